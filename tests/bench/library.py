# SPDX-License-Identifier: Apache-2.0
"""Libraries written straight into the server's storage, as another client would have left them."""

import hashlib
import json
import os
import struct
import time
import zlib

FILE_MODE, FOLDER_MODE = 0o100644, 0o040000
MTIME = 1700000000
EMPTY = 40 * "0"


def text_of(value):
    return json.dumps(value, sort_keys=True, separators=(", ", ": "), ensure_ascii=False).encode()


class Storage:
    def __init__(self, top, library):
        self.top, self.library = top, library
        self.folders = set()

    def place(self, kind, name):
        folder = os.path.join(self.top, kind, self.library, name[:2])
        if folder not in self.folders:
            os.makedirs(folder, exist_ok=True)
            self.folders.add(folder)
        return os.path.join(folder, name[2:])

    def write(self, kind, name, content):
        with open(self.place(kind, name), "wb") as file:
            file.write(content)

    def object(self, value):
        text = text_of(value)
        name = hashlib.sha1(text).hexdigest()
        self.write("fs", name, zlib.compress(text, 1))
        return name

    def file(self, content):
        block = hashlib.sha1(content).hexdigest()
        self.write("blocks", block, content)
        return self.object({"block_ids": [block], "size": len(content), "type": 1, "version": 1})

    def folder(self, entries):
        return self.object({"dirents": sorted(entries, key=lambda entry: entry["name"].encode(),
                                              reverse=True), "type": 3, "version": 1})

    def read(self, name):
        if name == EMPTY:
            return {"dirents": []}
        with open(self.place("fs", name), "rb") as file:
            return json.loads(zlib.decompress(file.read()))

    def root(self):
        with open(os.path.join(self.top, "heads", self.library), encoding="ascii") as file:
            head = file.read().strip()
        with open(self.place("commits", head), encoding="utf-8") as file:
            return json.load(file)["root_id"]

    def changed(self, folder, path, size):
        """The folder with the file below it of another size, and so of another id."""
        name, *rest = path
        entries = self.read(folder)["dirents"]
        for entry in entries:
            if entry["name"] != name:
                continue
            if rest:
                entry["id"] = self.changed(entry["id"], rest, size)
            else:
                entry |= {"size": size, "id": hashlib.sha1(b"%d" % size).hexdigest()}
        return self.folder(entries)

    def publish(self, root):
        """A commit on top of the head, with this root."""
        head_path = os.path.join(self.top, "heads", self.library)
        with open(head_path, encoding="ascii") as file:
            head = file.read().strip()
        with open(self.place("commits", head), encoding="utf-8") as file:
            commit = json.load(file)
        commit |= {"root_id": root, "parent_id": head, "ctime": int(time.time())}
        digest = hashlib.sha1()
        for field in ("root_id", "creator", "creator_name", "description"):
            digest.update(commit[field].encode() + b"\0")
        digest.update(struct.pack(">q", commit["ctime"]))
        commit["commit_id"] = digest.hexdigest()
        self.write("commits", commit["commit_id"], json.dumps(commit).encode())
        with open(head_path, "w", encoding="ascii") as file:
            file.write(commit["commit_id"] + "\n")


def file_entry(name, object_id, size):
    return {"id": object_id, "mode": FILE_MODE, "modifier": "bench@example.com", "mtime": MTIME,
            "name": name, "size": size}


def folder_entry(name, object_id):
    return {"id": object_id, "mode": FOLDER_MODE, "mtime": MTIME, "name": name}


def names_only(storage, folders, each, content=None):
    """Folders in groups of 100; the files have ids of their own and are not there, or else all
    have `content`: a server takes no change that moves what it lacks."""
    groups = {}
    same = content and storage.file(content)
    for n in range(folders):
        entries = []
        for m in range(each):
            name = f"entry-{n:05}-{m:03}"
            entries.append(file_entry(name, same, len(content)) if content else
                           file_entry(name, hashlib.sha1(name.encode()).hexdigest(), len(name)))
        groups.setdefault(n // 100, []).append(folder_entry(f"folder-{n:05}", storage.folder(entries)))
    storage.publish(storage.folder([folder_entry(f"group-{n:03}", storage.folder(entries))
                                    for n, entries in groups.items()]))


def small_content(n):
    """4 KiB of text, in lines."""
    line = hashlib.sha256(b"%d" % n).hexdigest()[:63].encode() + b"\n"
    return line * 64


def small_files(storage, plain, folders, each):
    """Files of 4 KiB, in the library and in the plain folder alike."""
    tops = []
    for n in range(folders):
        name = f"folder-{n:03}"
        os.makedirs(os.path.join(plain, name))
        entries = []
        for m in range(each):
            content = small_content(n * each + m)
            entries.append(file_entry(f"file-{m:03}", storage.file(content), len(content)))
            with open(os.path.join(plain, name, f"file-{m:03}"), "wb") as file:
                file.write(content)
        tops.append(folder_entry(name, storage.folder(entries)))
    storage.publish(storage.folder(tops))
