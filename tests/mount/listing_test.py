#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Listings that the kernel keeps: they change when the directory does, whoever changed it."""

import ctypes
import os
import unittest

import kit
from kit import put, wait_until

WIDE = 3000  # entries that take several pages

libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
for function in (libc.readdir, libc.telldir, libc.closedir, libc.seekdir, libc.rewinddir):
    function.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Stream:
    """readdir(3) and its like; d_name begins at byte 19 of an entry."""

    def __init__(self, path):
        self.stream = libc.opendir(os.fsencode(path))
        assert self.stream, path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.closedir(self.stream)

    def next(self):
        entry = libc.readdir(self.stream)
        return os.fsdecode(ctypes.string_at(entry + 19)) if entry else None

    def rest(self):
        return list(iter(self.next, None))

    def tell(self):
        return libc.telldir(self.stream)

    def seek(self, place):
        libc.seekdir(self.stream, place)

    def rewind(self):
        libc.rewinddir(self.stream)


class Listings(kit.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = kit.World()
        cls.addClassCleanup(cls.world.close)
        cls.world.serve()
        for client in "ab":
            cls.world.login(client)
        cls.world.library("lib")
        cls.a = cls.world.mount("a", "--library", "lib")
        cls.b = cls.world.mount("b", "--library", "lib")

    def setUp(self):
        self.name = self.id().rpartition(".test_")[2]
        os.mkdir(self.a.path(self.name))

    def tearDown(self):
        self.logs_on_failure(self.world)

    def here(self, *names):
        return self.a.path(self.name, *names)

    def there(self, *names):
        return self.b.path(self.name, *names)

    def listed(self, where=None):
        return sorted(os.listdir(where or self.here()))

    def fill(self, names):
        """On both machines, sent, and kept by this one's kernel."""
        for name in names:
            put(self.here(name), "")
        self.a.sync()
        wait_until(lambda: os.path.isdir(self.there()) and self.listed(self.there()) == sorted(names),
                   "the other one has it", 60)
        for _ in range(3):
            self.assertEqual(self.listed(), sorted(names))

    def test_what_others_change_shows(self):
        self.fill(["goes", "moves", "stays"])
        put(self.there("new"), "x")
        os.unlink(self.there("goes"))
        os.rename(self.there("moves"), self.there("moved"))
        os.mkdir(self.there("folder"))
        self.b.sync()
        wait_until(lambda: self.listed() == ["folder", "moved", "new", "stays"], "all of it", 60)
        put(self.there("folder", "deep"), "x")
        self.b.sync()
        wait_until(lambda: self.listed(self.here("folder")) == ["deep"], "what is below", 60)

    def test_what_is_changed_here_shows_at_once(self):
        names = {"one", "two"}
        self.fill(names)
        for step in range(30):
            put(self.here(f"n{step}"), "")
            names.add(f"n{step}")
            self.assertEqual(set(os.listdir(self.here())), names)
            if step % 3 == 0:
                os.unlink(self.here(f"n{step}"))
                names.remove(f"n{step}")
            elif step % 3 == 1:
                os.rename(self.here(f"n{step}"), self.here(f"m{step}"))
                names.remove(f"n{step}")
                names.add(f"m{step}")
            self.assertEqual(set(os.listdir(self.here())), names)
            if step % 10 == 0:
                self.a.sync()
                self.assertEqual(set(os.listdir(self.here())), names)

    def test_a_listing_that_is_being_read_names_once_what_stays(self):
        names = [f"entry {n:05}" for n in range(WIDE)]
        self.fill(names)
        with Stream(self.here()) as stream:
            begun = [stream.next() for _ in range(10)]
            for name in names[:100]:
                os.unlink(self.there(name))
            self.b.sync()
            wait_until(lambda: len(os.listdir(self.here())) == WIDE - 100, "they have gone", 60)
            seen = begun + stream.rest()
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(set(names[100:]), set(seen))
        self.assertEqual(self.listed(), names[100:])

    def test_places_in_a_kept_listing_stay(self):
        names = [f"entry {n:05}" for n in range(WIDE)]
        self.fill(names)
        with Stream(self.here()) as stream:
            places = []
            while (place := stream.tell()) is not None and (name := stream.next()):
                places.append((place, name))
            self.assertEqual(sorted(name for _, name in places), sorted([".", "..", *names]))
            for place, name in [places[-1], places[0], places[WIDE // 2], places[5]]:
                stream.seek(place)
                self.assertEqual(stream.next(), name)
            put(self.here("another"), "")
            stream.rewind()
            self.assertEqual(stream.rest().count("another"), 1)

    def test_who_looks_at_files_sees_them_as_they_are(self):
        self.fill([f"entry {n}" for n in range(50)])
        for _ in range(2):  # the names first, then files with their attributes
            self.assertEqual([entry.stat().st_size for entry in os.scandir(self.here())], [0] * 50)
        put(self.there("entry 7"), "seven")
        self.b.sync()
        wait_until(lambda: os.path.getsize(self.here("entry 7")) == 5, "its size", 60)


class Locked(kit.Case):
    def test_a_locked_library_shows_no_listing_that_was_kept(self):
        world = kit.World()
        self.addCleanup(world.close)
        world.serve()
        world.login("a")
        world.library("lib", True)
        mount = world.mount("a", "--library", "lib", secret=kit.PASSWORD)
        os.mkdir(mount.path("folder"))
        put(mount.path("folder", "a name that is nobody's"), "x")
        mount.sync()
        for _ in range(3):
            self.assertEqual(len(os.listdir(mount.path("folder"))), 1)
        folder = os.open(mount.path("folder"), os.O_RDONLY | os.O_DIRECTORY)
        try:
            world.nacre("lock", mount.where, "lib")
            for place in mount.where, mount.path("folder"):
                with self.assertRaises(OSError):
                    os.listdir(place)
            with self.assertRaises(OSError):
                os.listdir(f"/proc/self/fd/{folder}")
        finally:
            os.close(folder)
        world.nacre("unlock", mount.where, "lib", secret=kit.PASSWORD)
        self.assertEqual(len(os.listdir(mount.path("folder"))), 1)


if __name__ == "__main__":
    kit.run(200)
