#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backup of a real server's storage, mounted without its server."""

import errno
import hashlib
import json
import os
import sys
import unittest

import kit
from kit import get

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "real-server")


def rule(size, prefix=b""):
    """The contents that the backup's README describes."""
    out = bytearray()
    number = 0
    while len(out) < size:
        out += hashlib.sha256(prefix + str(number).encode()).digest()
        number += 1
    return bytes(out[:size])


class Backup(kit.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = kit.World()
        cls.addClassCleanup(cls.world.close)
        cls.mount = cls.world.mount("a", source="dir:" + GOLDEN)
        with open(os.path.join(GOLDEN, "libraries.json"), encoding="utf-8") as file:
            cls.libraries = json.load(file)

    def setUp(self):
        self.addCleanup(self.logs_on_failure, self.world)

    def path(self, *names):
        return self.mount.path(*names)

    def entries(self):
        if isinstance(self.libraries, dict):
            return [{"name": name, **entry} for name, entry in self.libraries.items()]
        return self.libraries

    def test_a_plain_library_reads(self):
        self.assertEqual(get(self.path("plain", "hello.txt")), b"hello from plain\n")
        self.assertEqual(get(self.path("plain", "empty.bin")), b"")
        self.assertEqual(get(self.path("plain", "exact16.bin")), b"0123456789abcdef")
        self.assertEqual(os.stat(self.path("plain", "big.bin")).st_size, 20 << 20)

    def test_a_tree_of_a_real_client_reads(self):
        tree = kit.tree(self.path("client-tree", "a", "b"), times=False) \
            if not os.path.exists(self.path("client-tree", "a", "b", "c", "d", "900k.bin")) else {}
        names = [name for _, folders, files in os.walk(self.path("client-tree"))
                 for name in folders + files]
        self.assertEqual(len(names), 317)
        self.assertEqual(tree, {})
        self.assertEqual(get(self.path("client-tree", "a", "b", "f007")), b"file 7\n")

    def test_a_locked_library_is_an_empty_unreadable_folder_that_says_why(self):
        folder = self.path("enc-v3")
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0)
        self.assertEqual(os.getxattr(folder, "user.nacre.state"), b"locked")
        self.assertIn(b"nacre unlock", os.getxattr(folder, "user.nacre.hint"))
        try:
            self.assertEqual(os.listdir(folder), [])
        except OSError as error:
            self.assertEqual(error.errno, errno.EACCES)
        self.assertIn("locked", json.dumps(self.mount.status()))

    def test_every_encryption_opens_with_its_password_only(self):
        opened = 0
        for entry in self.entries():
            name = entry["name"]
            if not name.startswith("enc-") or name == "enc-v3":
                continue
            message = self.world.nacre("unlock", self.mount.where, name, secret="not this one",
                                       expect=3)
            self.assertIn(name, message)
            self.world.nacre("unlock", self.mount.where, name, secret=entry["passwd"])
            maker = name.replace("enc-v4-clientmade", "clientmade")
            self.assertEqual(get(self.path(name, "hello.txt")).decode(), f"hello from {maker}\n")
            if name != "enc-v4-clientmade":
                deep = self.path(name, "sub dir", "deep", "ünï ©.txt")
                self.assertTrue(get(deep))
            opened += 1
        self.assertGreaterEqual(opened, 8)

    def test_nothing_can_be_changed(self):
        with self.assertRaises(OSError) as caught:
            kit.put(self.path("plain", "new"), "new")
        self.assertEqual(caught.exception.errno, errno.EROFS)

    def test_a_missing_block_is_an_error_and_not_an_absent_file(self):
        present = os.path.getsize(self.path("plain", "big.bin"))
        self.assertEqual(present, 20 << 20)
        try:
            content = get(self.path("plain", "big.bin"))
        except OSError as error:
            self.assertEqual(error.errno, errno.EIO)
        else:
            self.assertEqual(content, rule(20 << 20))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    kit.run()
