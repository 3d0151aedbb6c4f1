# SPDX-License-Identifier: Apache-2.0
"""The server's storage, read as another program would: is all there that its heads reach?"""

import hashlib
import json
import os
import zlib

NOTHING = "0" * 40


class Storage:
    """One library's objects; what was seen whole once is not read again."""

    def __init__(self, top):
        self.top = top
        libraries = os.listdir(os.path.join(top, "heads"))
        assert len(libraries) == 1, libraries
        self.library = libraries[0]
        self.seen = set()

    def path(self, kind, name):
        return os.path.join(self.top, kind, self.library, name[:2], name[2:])

    def head(self):
        with open(os.path.join(self.top, "heads", self.library), encoding="ascii") as file:
            return file.read().strip()

    def check(self):
        """Walks from the head; AssertionError where something lacks.  The number of new commits."""
        commits, waiting = 0, [self.head()]
        while waiting:
            name = waiting.pop()
            if name in self.seen:
                continue
            with open(self.path("commits", name), encoding="utf-8") as file:
                commit = json.load(file)
            assert commit["repo_id"] == self.library, f"commit {name} is of another library"
            self.check_object(commit["root_id"])
            waiting += [parent for parent in (commit["parent_id"], commit["second_parent_id"])
                        if parent]
            self.seen.add(name)
            commits += 1
        return commits

    def check_object(self, name):
        if name == NOTHING or name in self.seen:
            return
        with open(self.path("fs", name), "rb") as file:
            text = zlib.decompress(file.read())
        assert hashlib.sha1(text).hexdigest() == name, f"object {name} is not what it says"
        value = json.loads(text)
        if value["type"] == 3:
            for entry in value["dirents"]:
                assert "SFConflict" not in entry["name"], f"conflict copy: {entry['name']}"
                assert (entry["id"] == NOTHING) == (entry.get("size", 0) == 0) \
                    or entry["mode"] & 0o040000, f"{entry['name']}: size and content disagree"
                self.check_object(entry["id"])
        else:
            for block in value["block_ids"]:
                self.check_block(block)
        self.seen.add(name)

    def check_block(self, name):
        if name in self.seen:
            return
        with open(self.path("blocks", name), "rb") as file:
            assert hashlib.sha1(file.read()).hexdigest() == name, f"block {name} is damaged"
        self.seen.add(name)
