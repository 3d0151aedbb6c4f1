#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Killed daemons, changes from elsewhere, conflicts, and mounts that take no changes."""

import errno
import os
import signal
import subprocess
import unittest

import kit
from kit import get, put, wait_until


class Survival(kit.ServedCase):
    def two_mounts(self, encrypted=False, quiet=300):
        self.world.library("lib", encrypted)
        self.world.login("b")
        secret = kit.PASSWORD if encrypted else None
        return [self.world.mount(client, "--library", "lib", "-o", f"quiet={quiet}", secret=secret)
                for client in "ab"]

    def test_what_was_closed_survives_kill_9_and_reaches_the_server(self):
        for encrypted in (False, True):
            name = f"lib-{encrypted}"
            secret = kit.PASSWORD if encrypted else None
            self.world.library(name, encrypted)
            mount = self.world.mount("a", "--library", name, "-o", "quiet=60000", secret=secret)
            os.makedirs(mount.path("folder", "deep"))
            contents = {f"file {n}": os.urandom(n * 977) for n in range(60)}
            for file, content in contents.items():
                put(mount.path("folder", "deep", file), content)
            put(mount.path("kept"), "first")
            put(mount.path("kept"), "second", 0o755)
            put(mount.path("removed"), "x")
            os.unlink(mount.path("removed"))
            os.rename(mount.path("folder", "deep", "file 7"), mount.path("moved"))
            before = kit.tree(mount.where)
            mount.kill()
            mount.start()
            self.assertEqual(kit.tree(mount.where), before)
            mount.sync()
            self.world.login("b")
            other = self.world.mount("b", "--library", name, secret=secret)
            self.assertEqual(kit.tree(other.where), before)
            self.assertEqual(get(other.path("moved")), contents["file 7"])
            self.assertEqual(mount.end(), 0)
            self.assertEqual(other.end(), 0)

    def test_what_was_fsynced_survives_although_it_is_open(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib", "-o", "quiet=60000")
        file = os.open(mount.path("open"), os.O_WRONLY | os.O_CREAT)
        os.write(file, b"written")
        os.fsync(file)
        mount.kill()
        with self.assertRaises(OSError):  # nobody is there to close it
            os.close(file)
        mount.start()
        self.assertEqual(get(mount.path("open")), b"written")

    def test_a_daemon_that_is_ended_cleanly_goes_on_later(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib", "-o", "quiet=60000")
        put(mount.path("a"), "unsent")
        self.assertEqual(mount.end(), 0)
        self.assertEqual(os.listdir(mount.where), [])
        mount.start()
        self.assertEqual(get(mount.path("a")), b"unsent")
        mount.sync()

    def test_remote_changes_appear_and_the_kernel_is_told(self):
        one, two = self.two_mounts()
        put(one.path("a"), "old")
        os.mkdir(one.path("d"))
        put(one.path("d", "gone"), "x")
        one.sync()
        wait_until(lambda: os.path.exists(two.path("d", "gone")), "the first files are there")
        self.assertEqual(get(two.path("a")), b"old")  # and now in the kernel's cache
        self.assertEqual(os.listdir(two.path("d")), ["gone"])
        with open(two.path("a"), "rb") as reader:
            put(one.path("a"), "NEW and longer", 0o755)
            os.unlink(one.path("d", "gone"))
            os.mkdir(one.path("d", "new"))
            os.rename(one.path("d"), one.path("e"))
            one.sync()
            wait_until(lambda: get(two.path("a")) == b"NEW and longer", "the new contents")
            self.assertIn(reader.read(), (b"old", b"NEW and longer"))
        wait_until(lambda: sorted(os.listdir(two.where)) == ["a", "e"], "the new name")
        self.assertEqual(os.listdir(two.path("e")), ["new"])
        self.assertEqual(os.stat(two.path("a")).st_mode & 0o111, 0o111)
        wait_until(lambda: kit.tree(one.where) == kit.tree(two.where), "the same tree")

    def test_the_same_size_and_time_do_not_hide_a_remote_change(self):
        one, two = self.two_mounts()
        put(one.path("a"), "aaaa")
        os.utime(one.path("a"), (1_600_000_000, 1_600_000_000))
        one.sync()
        wait_until(lambda: os.path.exists(two.path("a")), "the file is there")
        self.assertEqual(get(two.path("a")), b"aaaa")
        put(one.path("a"), "bbbb")
        os.utime(one.path("a"), (1_600_000_000, 1_600_000_000))
        one.sync()
        wait_until(lambda: get(two.path("a")) == b"bbbb", "the new contents")

    def test_when_both_changed_a_file_both_survive(self):
        one, two = self.two_mounts(quiet=3_600_000)
        put(one.path("a"), "base")
        one.sync()
        wait_until(lambda: os.path.exists(two.path("a")), "the file is there")
        put(one.path("a"), "from one")
        put(two.path("a"), "from two")
        put(one.path("only one"), "1")
        put(two.path("only two"), "2")
        one.sync()
        two.sync()
        one.sync()

        def agree():
            trees = kit.tree(one.where), kit.tree(two.where)
            return trees[0] == trees[1] and len(trees[0]) == 4 and trees[0]

        names = wait_until(agree, "both see both")
        files = {get(one.path(os.fsdecode(name))) for name in names}
        self.assertEqual(files, {b"from one", b"from two", b"1", b"2"})
        conflict = [name for name in names if b"SFConflict" in name]
        self.assertEqual(len(conflict), 1, names)

    def test_an_edit_beats_a_delete(self):
        one, two = self.two_mounts(quiet=3_600_000)
        os.mkdir(one.path("d"))
        put(one.path("d", "a"), "base")
        one.sync()
        wait_until(lambda: os.path.exists(two.path("d", "a")), "the file is there")
        put(two.path("d", "a"), "edited")
        os.unlink(one.path("d", "a"))
        os.rmdir(one.path("d"))
        one.sync()
        two.sync()
        one.sync()
        wait_until(lambda: os.path.exists(one.path("d", "a")), "the edit is back")
        self.assertEqual(get(one.path("d", "a")), b"edited")

    def test_a_file_open_for_writing_waits_and_nothing_is_lost(self):
        one, two = self.two_mounts()
        with open(one.path("log"), "wb", buffering=0) as file:
            file.write(b"1")
            put(one.path("other"), "x")
            wait_until(lambda: os.path.exists(two.path("other")), "the closed file is sent")
            file.write(b"2")
        one.sync()
        wait_until(lambda: os.path.exists(two.path("log")) and get(two.path("log")) == b"12",
                   "the log is sent")

    def test_a_read_only_mount_takes_no_changes(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        put(mount.path("a"), "a")
        mount.sync()
        mount.end()
        mount = self.world.mount("a", "--library", "lib", "--read-only")
        self.assertEqual(get(mount.path("a")), b"a")
        for change in (lambda: put(mount.path("a"), "b"), lambda: put(mount.path("b"), "b"),
                       lambda: os.unlink(mount.path("a")), lambda: os.mkdir(mount.path("d")),
                       lambda: os.chmod(mount.path("a"), 0o755)):
            with self.assertRaises(OSError) as caught:
                change()
            self.assertEqual(caught.exception.errno, errno.EROFS)

    def test_several_libraries_are_folders_of_the_account(self):
        self.world.library("plain")
        self.world.library("secret", encrypted=True)
        mount = self.world.mount("a")
        self.assertEqual(sorted(os.listdir(mount.where)), ["plain", "secret"])
        put(mount.path("plain", "a"), "a")
        with self.assertRaises(OSError):
            put(mount.path("secret", "a"), "a")
        self.world.nacre("unlock", mount.where, "secret", secret="wrong", expect=3)
        self.world.nacre("unlock", mount.where, "secret", secret=kit.PASSWORD)
        put(mount.path("secret", "a"), "sealed")
        with self.assertRaises(OSError) as caught:
            os.rename(mount.path("plain", "a"), mount.path("secret", "b"))
        self.assertEqual(caught.exception.errno, errno.EXDEV)
        subprocess.run(["mv", mount.path("plain", "a"), mount.path("secret", "b")], check=True,
                       timeout=20)
        self.assertEqual(sorted(os.listdir(mount.path("secret"))), ["a", "b"])
        mount.sync()
        self.world.nacre("lock", mount.where, "secret")
        with self.assertRaises(OSError):
            put(mount.path("secret", "c"), "c")
        self.world.nacre("unlock", mount.where, "secret", secret=kit.PASSWORD)
        self.assertEqual(get(mount.path("secret", "a")), b"sealed")

    def test_the_commands_end_a_mount_and_say_when_it_is_in_use(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        with open(mount.path("a"), "wb"):
            message = self.world.nacre("umount", mount.where, expect=1)
            self.assertIn("in use", message)
        self.world.nacre("umount", mount.where)
        self.assertEqual(mount.process.wait(10), 0)
        self.assertFalse(kit.is_mounted(mount.where))
        mount.start()
        subprocess.run(["fusermount3", "-u", mount.where], check=True, timeout=20)
        self.assertEqual(mount.process.wait(10), 0)

    def test_a_mount_in_the_background_answers_when_the_command_returns(self):
        self.world.library("lib")
        where = os.path.join(self.world.top, "background")
        os.mkdir(where)
        self.addCleanup(subprocess.run, ["fusermount3", "-uzq", where], check=False)
        words = ["mount", "--library", "lib", *self.source(), where]
        self.world.nacre(*words)
        self.assertEqual(os.listdir(where), [])
        put(os.path.join(where, "a"), "a")
        self.assertIn("already a mount", self.world.nacre(*words, expect=1))
        self.world.nacre("sync", where, "--wait")
        self.world.nacre("umount", where)
        self.assertFalse(kit.is_mounted(where))

    def source(self):
        return []

    def test_signals_end_a_mount(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            mount.process.send_signal(number)
            self.assertEqual(mount.process.wait(15), 0)
            self.assertFalse(kit.is_mounted(mount.where))
            mount.start()


if __name__ == "__main__":
    kit.run(150)
