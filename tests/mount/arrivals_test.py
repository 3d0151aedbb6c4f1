#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Large blocks over a slow line: what is read before they are whole, and what if they are damaged."""

import errno
import glob
import os

import kit
from kit import get, put, wait_until

SIZE = 4 << 20  # one block
SLOW = f"GET /block/ slow {1 << 20}"


def first_bytes(path, count=4096, offset=0):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, count, offset)
    finally:
        os.close(fd)


def error_of(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return error.errno
    return 0


class Arrivals(kit.ServedCase):
    def setUp(self):
        super().setUp()
        self.content = os.urandom(SIZE)

    def published(self, encrypted=False):
        """A mount that has nothing of the file yet."""
        secret = kit.PASSWORD if encrypted else None
        self.world.library("films", encrypted)
        writer = self.world.mount("a", "--library", "films", secret=secret)
        put(writer.path("film"), self.content)
        writer.sync()
        writer.end()
        self.world.login("b")
        reader = self.world.mount("b", "--library", "films", secret=secret)
        self.addCleanup(reader.end)
        return reader

    def blocks_here(self, mount):
        why = self.json("why", mount.path("film"), "--json", client="b")
        return why["blocks_cached"]

    def damage(self):
        """One bit of the block's beginning, on the server's disk; how to mend it."""
        block, = glob.glob(self.world.path("storage", "storage", "blocks", "*", "*", "*"))
        with open(block, "rb") as file:
            good = file.read()
        with open(block, "r+b") as file:
            file.write(bytes([good[0] ^ 1]))

        def mend():
            with open(block, "r+b") as file:
                file.write(good[:1])

        return mend

    def test_a_part_is_read_before_the_block_is_whole(self):
        mount = self.published()
        self.world.faults(SLOW)
        self.assertEqual(first_bytes(mount.path("film")), self.content[:4096])
        self.assertEqual(self.blocks_here(mount), 0)
        middle = SIZE // 2
        self.assertEqual(first_bytes(mount.path("film"), offset=middle),
                         self.content[middle:middle + 4096])
        self.assertEqual(self.blocks_here(mount), 0)
        self.assertEqual(get(mount.path("film")), self.content)
        wait_until(lambda: self.blocks_here(mount) == 1, "the block is kept")

    def test_the_end_of_a_damaged_block_is_never_read(self):
        mount = self.published()
        mend = self.damage()
        beginning = first_bytes(mount.path("film"))  # of which nobody can know better yet
        self.assertEqual(beginning[1:], self.content[1:4096])
        self.assertEqual(error_of(get, mount.path("film")), errno.EIO)
        self.assertEqual(error_of(first_bytes, mount.path("film"), 4096, SIZE - 4096), errno.EIO)
        self.assertIn("damaged after a part of it had been read", mount.log())
        mend()
        self.assertEqual(first_bytes(mount.path("film")), self.content[:4096])
        self.assertEqual(get(mount.path("film")), self.content)

    def test_of_an_encrypted_block_nothing_is_read_before_its_check(self):
        mount = self.published(encrypted=True)
        mend = self.damage()
        self.assertEqual(error_of(first_bytes, mount.path("film")), errno.EIO)
        mend()
        self.assertEqual(get(mount.path("film")), self.content)


if __name__ == "__main__":
    kit.run()
