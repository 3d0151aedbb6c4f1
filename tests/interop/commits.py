# SPDX-License-Identifier: Apache-2.0
"""A library's history, from the server's storage: who committed which tree.

Names are in clear there, of encrypted libraries too (seafile-protocol, section 1).
"""

import json
import os
import zlib

NOTHING = "0" * 40
IS_DIRECTORY = 0o040000


def history(storage, library):
    """One text: each commit with its author, its parents, and what changed in it."""
    folder = os.path.join(storage, "storage", "commits", library)
    if not os.path.isdir(folder):
        folder = os.path.join(storage, "commits", library)
    commits = {}
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), encoding="utf-8") as file:
                commit = json.load(file)
            commits[commit["commit_id"]] = commit
    lines = []
    trees = {None: {}}
    waiting = sorted(commits.values(), key=lambda commit: commit["ctime"])
    while waiting:
        commit = next((one for one in waiting if one.get("parent_id") in trees), waiting[0])
        waiting.remove(commit)
        ident, parent = commit["commit_id"], commit.get("parent_id")
        trees[ident] = tree(os.path.dirname(os.path.dirname(folder)), library, commit["root_id"])
        lines.append(f"{ident[:6]} by {commit.get('device_name', '?')} at {commit['ctime']} on "
                     f"{(parent or '-')[:6]} {(commit.get('second_parent_id') or '')[:6]}")
        before = trees.get(parent, {})
        for path in sorted(before.keys() | trees[ident].keys()):
            was, now = before.get(path), trees[ident].get(path)
            if was != now:
                lines.append(f"    {path}: {was} -> {now}")
    return "\n".join(lines)


def tree(storage, library, root):
    """Path: "folder", or the first digits of the file's id and its mode."""
    found = {}

    def walk(path, ident):
        if ident == NOTHING:
            return
        with open(os.path.join(storage, "fs", library, ident[:2], ident[2:]), "rb") as file:
            entries = json.loads(zlib.decompress(file.read()))["dirents"]
        for entry in entries:
            name = os.path.join(path, entry["name"])
            if entry["mode"] & 0o170000 == IS_DIRECTORY:
                found[name] = "folder"
                walk(name, entry["id"])
            else:
                found[name] = f"{entry['id'][:6]} {entry['mode'] & 0o777:o}"

    walk("", root)
    return found
