#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Old trees of a library, as folders."""

import errno
import os
import re
import shutil
import subprocess
import unittest

import kit
from kit import get, put, wait_until

NAME = re.compile(r"\d{4}-\d\d-\d\d_\d\d\.\d\d\.\d\d(-\d+)?\Z")


class Snapshots(kit.ServedCase):
    def past(self, **how):
        """A mount of a library whose first tree is gone, and that tree's snapshot and contents."""
        self.world.library("lib", **how)
        secret = kit.PASSWORD if how else None
        mount = self.world.mount("a", "-o", "snapshots", "--library", "lib", secret=secret)
        os.makedirs(mount.path("d", "deep"))
        put(mount.path("d", "script"), b"#!/bin/sh\necho of the first tree\n", 0o755)
        put(mount.path("d", "deep", "large"), os.urandom(3_000_000))
        os.utime(mount.path("d", "script"), (1_000_000_000, 1_000_000_000))
        mount.sync()
        first = kit.tree(mount.where)
        shutil.rmtree(mount.path("d"))
        put(mount.path("other"), b"of the second tree")
        mount.sync()
        snapshots = sorted(os.listdir(mount.path(".snapshots")))
        old = next(name for name in snapshots
                   if os.path.exists(mount.path(".snapshots", name, "d")))
        return mount, mount.path(".snapshots", old), first

    def test_an_old_tree_is_read_and_copied_back(self):
        mount, old, first = self.past()
        for name in os.listdir(mount.path(".snapshots")):
            self.assertRegex(name, NAME)
        self.assertEqual(kit.tree(old), first)
        sent = mount.status()["sent_bytes"]
        subprocess.run(["cp", "-a", os.path.join(old, "d"), mount.path("d")], check=True)
        mount.sync()
        back = kit.tree(mount.where)
        del back[b"other"]
        self.assertEqual(back, first)
        self.assertEqual(mount.status()["sent_bytes"], sent)  # the server has those blocks

    def test_snapshots_are_hidden_from_who_does_not_ask_for_them(self):
        mount, old, _ = self.past()
        for command in (["ls", "-aR"], ["find"], ["du", "-a"]):
            shown = subprocess.run([*command, mount.where], capture_output=True, text=True,
                                   check=True).stdout
            self.assertNotIn(".snapshots", shown)
        self.assertEqual(os.getxattr(old, "user.nacre.commit").decode(),
                         self.json("history", mount.path("d"))["versions"][-1]["commit"])

    def test_commands_on_paths_know_them(self):
        mount, old, _ = self.past()
        commit = os.getxattr(old, "user.nacre.commit").decode()
        script = os.path.join(old, "d", "script")
        said = self.world.nacre("why", script)
        self.assertIn(f"read only, as it was at {os.path.basename(old)} in commit {commit}", said)
        why = self.json("why", script)
        self.assertEqual((why["state"], why["commit"]), ("snapshot", commit))
        self.assertIn("no such file", self.world.nacre("why", script + "x", expect=1))
        self.assertIn("folder of the library's snapshots",
                      self.world.nacre("why", mount.path(".snapshots")))
        # From that commit back: that it was removed later is not told.
        changes = [version["change"] for version in self.json("history", script)["versions"]]
        self.assertEqual(changes, ["added"])
        live = [version["change"]
                for version in self.json("history", mount.path("d", "script"))["versions"]]
        self.assertEqual(live, ["removed", "added"])
        self.assertEqual(self.json("privacy", script)["library"], "lib")
        for words, instead in ((["pin"], "name it in the library"),
                               (["evict"], "name it in the library"), (["unpin"], "in the library"),
                               (["du"], "du(1)"), (["restore", "--at", commit], f"--at {commit}")):
            said = self.world.nacre(words[0], script, *words[1:], expect=1)
            self.assertIn("a snapshot", said)
            self.assertIn(instead, said)
        self.assertEqual(mount.status()["pins"], [])
        # A library's own folder of this name is one like others.
        os.mkdir(mount.path(".snapshots2"))
        self.world.nacre("why", mount.path(".snapshots2"))

    def test_every_write_is_refused_as_on_a_read_only_filesystem(self):
        mount, old, first = self.past()
        script = os.path.join(old, "d", "script")
        for change in (
                lambda: put(os.path.join(old, "new"), b""),
                lambda: put(script, b""),
                lambda: os.truncate(script, 1),
                lambda: os.chmod(script, 0o644),
                lambda: os.utime(script),
                lambda: os.unlink(script),
                lambda: os.mkdir(os.path.join(old, "new")),
                lambda: os.symlink("x", os.path.join(old, "new")),
                lambda: os.link(script, os.path.join(old, "new")),
                lambda: os.rmdir(os.path.join(old, "d", "deep")),
                lambda: os.rename(script, script + "2"),
                lambda: os.rename(script, mount.path("stolen")),
                lambda: os.rename(mount.path("other"), os.path.join(old, "other")),
                lambda: os.rename(mount.path(".snapshots"), mount.path("mine")),
                lambda: os.rmdir(mount.path(".snapshots")),
                lambda: os.mkdir(os.path.join(mount.where, ".snapshots", "new"))):
            with self.assertRaises(OSError) as refused:
                change()
            self.assertEqual(refused.exception.errno, errno.EROFS)
        self.assertEqual(kit.tree(old), first)

    def test_of_an_encrypted_library_too_and_only_while_it_is_unlocked(self):
        mount, old, first = self.past(encrypted=True)
        self.assertEqual(kit.tree(old), first)
        script = os.path.join(old, "d", "script")
        with open(script, "rb") as file:
            self.assertTrue(file.read(1))
            self.world.nacre("lock", mount.where)
            file.seek(0)
            with self.assertRaises(PermissionError):
                os.pread(file.fileno(), 10, 0)
        with self.assertRaises(PermissionError):
            get(script)
        self.world.nacre("unlock", mount.where, "lib", secret=kit.PASSWORD)
        self.assertEqual(kit.tree(old), first)

    def test_nothing_is_fetched_but_what_is_looked_at(self):
        _, old, _ = self.past()
        self.world.login("b")
        mount = self.world.mount("b", "-o", "snapshots,poll=3600", "--library", "lib")
        there = mount.path(".snapshots", os.path.basename(old), "d")
        self.assertIn(os.path.basename(old), os.listdir(mount.path(".snapshots")))
        self.assertEqual(os.stat(os.path.join(there, "deep", "large")).st_size, 3_000_000)
        self.assertEqual(mount.status()["received_bytes"], 0)
        size = len(get(os.path.join(there, "script")))
        self.assertEqual(mount.status()["received_bytes"], size)
        # What was looked at is here, without the server.
        self.world.stop_server()
        mount.end_at_once()
        mount.start()
        self.assertEqual(len(get(os.path.join(there, "script"))), size)

    def test_what_is_the_librarys_own_comes_first(self):
        mount, old, _ = self.past()
        self.assertTrue(os.listdir(old))
        self.world.login("b")
        other = self.world.mount("b", "--library", "lib")
        put(other.path(".snapshots"), b"a file as any other")
        other.sync()
        wait_until(lambda: os.path.isfile(mount.path(".snapshots")), "it is shown")
        self.assertEqual(get(mount.path(".snapshots")), b"a file as any other")
        self.assertIn(".snapshots", os.listdir(mount.where))
        os.unlink(mount.path(".snapshots"))
        self.assertTrue(os.listdir(old))

    def test_without_the_option_there_are_none(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        self.assertFalse(os.path.exists(mount.path(".snapshots")))
        os.mkdir(mount.path(".snapshots"))
        self.assertEqual(os.listdir(mount.where), [".snapshots"])


if __name__ == "__main__":
    kit.run()
