#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk under unsent changes, and little memory for many of them."""

import errno
import os
import re
import subprocess
import unittest

import kit
from kit import get, put, wait_until

MIB = 1 << 20


class FullDisk(kit.Case):
    def setUp(self):
        self.world = kit.World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.logs_on_failure, self.world)
        self.state = os.path.join(self.world.top, "small disk")
        os.mkdir(self.state)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=0700", "tmpfs",
                                  self.state], check=False, stderr=subprocess.DEVNULL)
        if mounted.returncode != 0:
            self.skipTest("no small disk can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.state], check=False)
        self.world.serve()
        self.world.login()

    def mount(self, encrypted):
        self.world.library("lib", encrypted)
        return self.world.mount(
            "a", "--library", "lib", "--state-dir", self.state, "--cache-dir",
            os.path.join(self.world.top, "cache"), "-o", "quiet=3600000,write-buffer=4M",
            secret=kit.PASSWORD if encrypted else None)

    def fill(self, mount):
        """Writes files until there is no more room; returns what was accepted."""
        accepted = {}
        for number in range(200):
            content = os.urandom(MIB + number)
            path = mount.path(f"file {number}")
            try:
                put(path, content)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
                return accepted
            accepted[path] = content
        raise AssertionError("the disk never became full")

    def test_a_full_disk_refuses_keeps_and_recovers(self):
        for encrypted in (False, True):
            with self.subTest(encrypted=encrypted):
                self.full_disk(encrypted)

    def full_disk(self, encrypted):
        if encrypted:
            self.tearDown()
            self.doCleanups()
            self.setUp()
        mount = self.mount(encrypted)
        accepted = self.fill(mount)
        self.assertGreater(len(accepted), 20)
        for _ in range(3):  # and again, whoever asks: no memory fills up instead
            with self.assertRaises(OSError) as caught:
                with open(mount.path("large"), "wb") as file:
                    for _ in range(64):
                        file.write(os.urandom(MIB))
            self.assertEqual(caught.exception.errno, errno.ENOSPC)
        for path, content in accepted.items():
            self.assertEqual(get(path), content, path)
        removed = next(iter(accepted))
        os.unlink(removed)  # needs no room
        del accepted[removed]

        mount.kill()
        subprocess.run(["fusermount3", "-uzq", mount.where], check=False)
        mount.start()
        for path, content in accepted.items():
            self.assertEqual(get(path), content, path)
        self.assertFalse(os.path.exists(removed))

        mount.sync()  # what is sent makes room, on this very disk
        wait_until(lambda: self.can_write(mount, accepted), "there is room again")
        mount.sync()
        for path, content in accepted.items():
            self.assertEqual(get(path), content, path)
        self.world.login("b")
        other = self.world.mount("b", "--library", "lib",
                                 secret=kit.PASSWORD if encrypted else None)
        for path, content in accepted.items():
            self.assertEqual(get(other.path(os.path.basename(path))), content)

    def can_write(self, mount, accepted):
        path, content = mount.path("after"), os.urandom(8 * MIB)
        try:
            put(path, content)
        except OSError as error:
            self.assertEqual(error.errno, errno.ENOSPC)
            return False
        accepted[path] = content
        return True


class Memory(kit.ServedCase):
    def anonymous(self, mount):
        with open(f"/proc/{mount.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) * 1024

    def test_a_large_file_takes_no_more_memory_than_its_buffer(self):
        self.world.library("lib", encrypted=True)
        mount = self.world.mount("a", "--library", "lib", "-o", "quiet=3600000,write-buffer=16M",
                                 secret=kit.PASSWORD)
        put(mount.path("first"), os.urandom(4 * MIB))
        before = self.anonymous(mount)
        most = 0
        piece = os.urandom(MIB)
        with open(mount.path("large"), "wb", buffering=0) as file:
            for number in range(600):
                file.write(piece)
                if number % 16 == 0:
                    most = max(most, self.anonymous(mount))
        # The buffer, and threads with a request each.
        self.assertLess(most - before, 28 * MIB)
        self.assertEqual(os.path.getsize(mount.path("large")), 600 * MIB)


if __name__ == "__main__":
    kit.run(200)
