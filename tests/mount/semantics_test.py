#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs expect of a filesystem, on a plain and an encrypted library.

In the end everything is sent, and a second client sees the same tree.
"""

import errno
import fcntl
import mmap
import os
import subprocess
import unicodedata
import unittest

import kit
from kit import get, put


class Semantics:
    """The tests; run for each kind of library."""

    encrypted = False

    @classmethod
    def setUpClass(cls):
        cls.world = kit.World()
        cls.addClassCleanup(cls.world.close)
        cls.world.serve()
        cls.world.login("a")
        cls.world.library("lib", cls.encrypted)
        cls.secret = kit.PASSWORD if cls.encrypted else None
        cls.mount = cls.world.mount("a", "-o", "max-deletions=0", "--library", "lib",
                                    secret=cls.secret)

    def setUp(self):
        self.top = self.mount.path(self.id().rpartition(".test_")[2])
        os.mkdir(self.top)

    def path(self, *names):
        return os.path.join(self.top, *names)

    def refused(self, code, call, *arguments):
        with self.assertRaises(OSError) as caught:
            call(*arguments)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[code])

    def test_what_is_written_through_a_map_is_read(self):
        put(self.path("a"), b"0123456789" * 1000)
        with open(self.path("a"), "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[5000:5005] = b"hello"
            view.flush()
        self.assertEqual(get(self.path("a"))[4998:5007], b"89hello56")
        self.assertEqual(len(get(self.path("a"))), 10000)

    def test_rename_over_an_open_file_keeps_the_old_one_for_its_reader(self):
        put(self.path("a"), "old")
        put(self.path("b"), "new")
        with open(self.path("a"), "rb") as reader:
            os.rename(self.path("b"), self.path("a"))
            self.assertEqual(reader.read(), b"old")
        self.assertEqual(get(self.path("a")), b"new")
        self.assertEqual(os.listdir(self.top), ["a"])

    def test_an_unlinked_open_file_lives_until_it_is_closed(self):
        put(self.path("a"), "first")
        with open(self.path("a"), "r+b") as file:
            os.unlink(self.path("a"))
            self.assertEqual(os.listdir(self.top), [])
            file.seek(0, os.SEEK_END)
            file.write(b" second")
            file.seek(0)
            self.assertEqual(file.read(), b"first second")
            put(self.path("a"), "another")
            self.assertEqual(os.fstat(file.fileno()).st_size, 12)
        self.assertEqual(get(self.path("a")), b"another")

    def test_ten_thousand_files_in_a_directory(self):
        names = {f"file {number:05}" for number in range(10_000)}
        for name in names:
            os.close(os.open(self.path(name), os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644))
        self.assertEqual(set(os.listdir(self.top)), names)
        for name in sorted(names)[::2]:
            os.unlink(self.path(name))
        self.assertEqual(set(os.listdir(self.top)), set(sorted(names)[1::2]))

    def test_names_of_255_bytes_and_no_more(self):
        for name in ("n" * 255, "ü" * 127 + "x", "貝" * 85):
            put(self.path(name), name)
            self.assertEqual(get(self.path(name)).decode(), name)
            self.refused(errno.ENAMETOOLONG, put, self.path(name + "x"), "")
        self.assertEqual(len(os.listdir(self.top)), 3)

    def test_composed_and_decomposed_names_stay_as_they_were_given(self):
        name = "Übergrößenträger é"
        forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
        self.assertEqual(len(forms), 2)
        for form in forms:
            put(self.path(form), form)
        self.assertEqual(set(os.listdir(self.top)), forms)
        for form in forms:
            self.assertEqual(get(self.path(form)).decode(), form)

    def test_names_that_a_library_cannot_hold_are_refused(self):
        for name in (b"latin-\xe9", b"\xff\xfe"):
            path = os.path.join(os.fsencode(self.top), name)
            with self.assertRaises(OSError):
                put(path, "")
            self.assertFalse(os.path.lexists(path))
        self.assertEqual(os.listdir(self.top), [])

    def test_rename_noreplace_and_exchange(self):
        put(self.path("a"), "a")
        os.mkdir(self.path("d"))
        put(self.path("d", "x"), "x")
        self.refused(errno.EEXIST, kit.renameat2, self.path("a"), self.path("d"),
                     kit.RENAME_NOREPLACE)
        kit.renameat2(self.path("a"), self.path("b"), kit.RENAME_NOREPLACE)
        kit.renameat2(self.path("b"), self.path("d"), kit.RENAME_EXCHANGE)
        self.assertEqual(get(self.path("d")), b"a")
        self.assertEqual(get(self.path("b", "x")), b"x")
        self.refused(errno.ENOENT, kit.renameat2, self.path("b"), self.path("none"),
                     kit.RENAME_EXCHANGE)

    def test_renaming_directories(self):
        os.makedirs(self.path("a", "b"))
        put(self.path("a", "b", "f"), "f")
        os.mkdir(self.path("empty"))
        self.refused(errno.EINVAL, os.rename, self.path("a"), self.path("a", "b", "c"))
        self.refused(errno.ENOTEMPTY, os.rename, self.path("empty"), self.path("a"))
        self.refused(errno.ENOTEMPTY, os.rmdir, self.path("a"))
        self.refused(errno.EISDIR, os.rename, self.path("a", "b", "f"), self.path("empty"))
        self.refused(errno.ENOTDIR, os.rename, self.path("empty"), self.path("a", "b", "f"))
        os.rename(self.path("a"), self.path("empty"))
        self.assertEqual(get(self.path("empty", "b", "f")), b"f")

    def test_fallocate(self):
        with open(self.path("a"), "w+b") as file:
            file.write(b"x" * 10_000)
            file.flush()
            fd = file.fileno()
            kit.fallocate(fd, kit.PUNCH_HOLE | kit.KEEP_SIZE, 100, 200)
            kit.fallocate(fd, 0, 0, 20_000)
            self.assertEqual(os.fstat(fd).st_size, 20_000)
            kit.fallocate(fd, kit.KEEP_SIZE, 0, 30_000)
            self.assertEqual(os.fstat(fd).st_size, 20_000)
            kit.fallocate(fd, kit.ZERO_RANGE, 19_000, 2_000)
            self.assertEqual(os.fstat(fd).st_size, 21_000)
            self.refused(errno.EOPNOTSUPP, kit.fallocate, fd, kit.COLLAPSE_RANGE, 0, 4096)
        content = b"x" * 100 + bytes(200) + b"x" * 9_700 + bytes(11_000)
        self.assertEqual(get(self.path("a")), content)

    def test_seeking_data_and_holes(self):
        put(self.path("a"), b"x" * 1000)
        with open(self.path("a"), "rb") as file:
            self.assertEqual(os.lseek(file.fileno(), 10, os.SEEK_DATA), 10)
            self.assertEqual(os.lseek(file.fileno(), 10, os.SEEK_HOLE), 1000)
            self.refused(errno.ENXIO, os.lseek, file.fileno(), 1000, os.SEEK_DATA)

    def test_copy_file_range(self):
        content = os.urandom(3_000_000)
        put(self.path("a"), content)
        with open(self.path("a"), "rb") as source, open(self.path("b"), "wb") as target:
            offset = 0
            while offset < 2_500_000:
                offset += os.copy_file_range(source.fileno(), target.fileno(), 2_500_000 - offset,
                                             500_000 + offset, offset)
        self.assertEqual(get(self.path("b")), content[500_000:])

    def test_locks_exclude_each_other(self):
        put(self.path("a"), "a")
        with open(self.path("a"), "r+b") as one, open(self.path("a"), "r+b") as two:
            fcntl.flock(one, fcntl.LOCK_EX)
            self.refused(errno.EWOULDBLOCK, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(one, fcntl.LOCK_UN)
            fcntl.lockf(one, fcntl.LOCK_EX)
            if (child := os.fork()) == 0:
                try:
                    fcntl.lockf(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os._exit(0)
                except OSError:
                    os._exit(17)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 17)

    def test_truncate_and_append(self):
        put(self.path("a"), "0123456789")
        os.truncate(self.path("a"), 4)
        os.truncate(self.path("a"), 6)
        with open(self.path("a"), "ab") as one, open(self.path("a"), "ab") as two:
            for file, text in ((one, b"A"), (two, b"B"), (one, b"C")):
                file.write(text)
                file.flush()
        self.assertEqual(get(self.path("a")), b"0123\0\0ABC")
        with open(self.path("a"), "wb"):
            pass
        self.assertEqual(os.stat(self.path("a")).st_size, 0)

    def test_writes_anywhere(self):
        expected = bytearray(3_000_000)
        with open(self.path("a"), "w+b", buffering=0) as file:
            for step in range(200):
                offset = step * 7_919_113 % 2_900_000
                piece = os.urandom(step * 37 % 5000 + 1)
                os.pwrite(file.fileno(), piece, offset)
                expected[offset:offset + len(piece)] = piece
            size = os.fstat(file.fileno()).st_size
        self.assertEqual(get(self.path("a")), bytes(expected[:size]))

    def test_the_executable_bit_is_kept(self):
        put(self.path("a"), "#!/bin/sh\necho run\n", 0o755)
        self.assertEqual(subprocess.check_output([self.path("a")], timeout=10), b"run\n")
        self.assertEqual(os.stat(self.path("a")).st_mode & 0o111, 0o111)
        os.chmod(self.path("a"), 0o644)
        self.assertEqual(os.stat(self.path("a")).st_mode & 0o777, 0o644)

    def test_times_are_kept_to_the_second(self):
        put(self.path("a"), "a")
        os.utime(self.path("a"), ns=(1_500_000_000_000_000_000, 1_234_567_890_987_654_321))
        self.assertEqual(os.stat(self.path("a")).st_mtime_ns, 1_234_567_890_000_000_000)

    def test_what_a_library_cannot_hold(self):
        put(self.path("a"), "a")
        self.refused(errno.EPERM, os.symlink, "a", self.path("s"))
        self.refused(errno.EPERM, os.link, self.path("a"), self.path("l"))
        self.refused(errno.EPERM, os.mkfifo, self.path("f"))
        self.refused(errno.EOPNOTSUPP, os.setxattr, self.path("a"), "user.x", b"1")
        self.assertEqual(os.listdir(self.top), ["a"])

    def test_attributes_tell_the_state(self):
        put(self.path("a"), "a")
        names = os.listxattr(self.path("a"))
        self.assertIn("user.nacre.state", names)
        for name in names:
            self.assertTrue(os.getxattr(self.path("a"), name))
        self.refused(errno.ENODATA, os.getxattr, self.path("a"), "user.other")
        # Or `ls -l` asks for it again for every file.
        self.refused(errno.EOPNOTSUPP, os.getxattr, self.path("a"), "security.capability")

    def test_statfs(self):
        room = os.statvfs(self.top)
        self.assertEqual(room.f_namemax, 255)
        self.assertGreater(room.f_blocks, 0)
        self.assertGreaterEqual(room.f_blocks, room.f_bavail)

    def test_a_big_file(self):
        content = os.urandom(1 << 20) * 24
        put(self.path("a"), content)
        self.assertEqual(get(self.path("a")), content)

    @classmethod
    def tearDownClass(cls):
        """The same tree at a second client, with folders of its own."""
        cls.mount.sync()
        cls.world.login("b")
        other = cls.world.mount("b", "--library", "lib", secret=cls.secret)
        ours, theirs = kit.tree(cls.mount.where), kit.tree(other.where)
        for name in sorted(set(ours) | set(theirs)):
            if ours.get(name) != theirs.get(name):
                raise AssertionError(f"{name!r}: {ours.get(name)} here, {theirs.get(name)} there")
        if cls.mount.end() != 0 or other.end() != 0:
            raise AssertionError("a daemon did not end well\n" + cls.mount.log() + other.log())


class Plain(Semantics, unittest.TestCase):
    pass


class Encrypted(Semantics, unittest.TestCase):
    encrypted = True


if __name__ == "__main__":
    kit.run()
