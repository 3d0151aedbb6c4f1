#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real applications on a mount of a plain and an encrypted library.

In the end everything is sent, and a second client sees the same tree.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import unittest

import kit
from kit import get, put


def sample(top, count, seed):
    """A tree of small and some bigger files, as sources and documents are."""
    dice = random.Random(seed)
    for number in range(count):
        folder = os.path.join(top, f"part {number % 23}", f"section-{number % 7}")
        os.makedirs(folder, exist_ok=True)
        size = dice.choice((0, 17, 800, 4096, 20_000)) if number % 300 else 2_500_000
        path = os.path.join(folder, f"file {number} é.txt")
        put(path, dice.randbytes(size), 0o755 if number % 10 == 0 else 0o644)
        os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number))


class Applications:
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
        cls.mount = cls.world.mount("a", "--library", "lib", secret=cls.secret)
        cls.local = os.path.join(cls.world.top, "local")
        sample(os.path.join(cls.local, "sample"), 1500, "the same each time")

    def setUp(self):
        self.top = self.mount.path(self.id().rpartition(".test_")[2])
        os.mkdir(self.top)

    def path(self, *names):
        return os.path.join(self.top, *names)

    def run_here(self, *words, cwd=None, timeout=60):
        done = subprocess.run(words, cwd=cwd or self.top, env=self.world.environment("apps"),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, check=False)
        self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def git(self, *words, cwd=None):
        who = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c",
               "protocol.file.allow=always")
        return self.run_here("git", *who, *words, cwd=cwd)

    def test_git_clones_commits_and_checks(self):
        origin = os.path.join(self.local, f"origin-{self.encrypted}")
        shutil.copytree(os.path.join(self.local, "sample", "part 1"), origin)
        self.git("init", "-q", "-b", "main", cwd=origin)
        self.git("add", ".", cwd=origin)
        self.git("commit", "-q", "-m", "first", cwd=origin)
        self.git("clone", "-q", "file://" + origin, "clone")
        clone = self.path("clone")
        self.assertEqual(self.git("status", "--porcelain", cwd=clone), "")
        put(os.path.join(clone, "new"), "new\n")
        self.git("add", "new", cwd=clone)
        self.git("commit", "-q", "-m", "second", cwd=clone)
        self.git("checkout", "-q", "-b", "side", "HEAD~1", cwd=clone)
        put(os.path.join(clone, "other"), "other\n")
        self.git("add", "other", cwd=clone)
        self.git("commit", "-q", "-m", "third", cwd=clone)
        self.git("merge", "-q", "main", "-m", "merged", cwd=clone)
        self.git("gc", "-q", cwd=clone)
        self.git("fsck", "--full", "--strict", cwd=clone)
        self.assertEqual(self.git("status", "--porcelain", cwd=clone), "")
        self.git("push", "-q", "origin", "side", cwd=clone)

    def test_sqlite_keeps_its_integrity(self):
        for mode in ("delete", "wal", "truncate"):
            with sqlite3.connect(self.path(f"{mode}.db"), timeout=10) as database:
                database.execute(f"pragma journal_mode={mode}")
                database.execute("create table t(id integer primary key, text)")
                for start in range(0, 3000, 500):
                    with database:
                        database.executemany("insert into t values(?, ?)",
                                             ((n, "text " * (n % 50)) for n in
                                              range(start, start + 500)))
                with database:
                    database.execute("delete from t where id % 3 = 0")
                database.execute("vacuum")
            database.close()
            out = self.run_here("sqlite3", f"{mode}.db",
                                "pragma integrity_check; select count(*) from t")
            self.assertEqual(out, "ok\n2000\n")

    def test_tar_packs_and_unpacks_what_it_was_given(self):
        archive = os.path.join(self.local, f"sample-{self.encrypted}.tar")
        self.run_here("tar", "-cf", archive, "-C", self.local, "sample")
        self.run_here("tar", "-xf", archive)
        self.assertEqual(kit.tree(self.path("sample")),
                         kit.tree(os.path.join(self.local, "sample")))
        self.run_here("tar", "-df", archive, "-C", self.top)
        self.run_here("tar", "-cf", self.path("again.tar"), "-C", self.top, "sample")
        self.run_here("tar", "-df", self.path("again.tar"), "-C", self.local)

    def test_a_second_rsync_moves_nothing(self):
        words = ("rsync", "-rtE", "--itemize-changes", os.path.join(self.local, "sample/"),
                 self.path("copy/"))
        self.assertGreater(len(self.run_here(*words).splitlines()), 1500)
        self.assertEqual(self.run_here(*words), "")
        self.assertEqual(self.run_here(*words[:3], "--checksum", "--delete", *words[3:]), "")
        self.assertEqual(self.run_here("rsync", "-rtEn", "--checksum", "--itemize-changes",
                                       "--delete", self.path("copy/"),
                                       os.path.join(self.local, "sample/")), "")

    def test_vim_saves_with_and_without_a_backup(self):
        vim = shutil.which("vim.tiny") or shutil.which("vim")
        if vim is None:
            self.skipTest("no vim")
        for number, settings in enumerate(("nobackup nowritebackup", "nobackup writebackup",
                                           "backup writebackup backupcopy=no",
                                           "backup writebackup backupcopy=yes")):
            name = f"text {number}"
            put(self.path(name), "one\ntwo\n", 0o755)
            self.run_here(vim, "-u", "NONE", "-N", "-n", "-es", "-c", f"set backupskip= {settings}",
                          "-c", "normal Gothree", "-c", "wq!", name)
            self.assertEqual(get(self.path(name)), b"one\ntwo\nthree\n")
            self.assertEqual(os.stat(self.path(name)).st_mode & 0o111, 0o111)
        self.assertEqual(sorted(os.listdir(self.top)),
                         ["text 0", "text 1", "text 2", "text 2~", "text 3", "text 3~"])

    def test_cp_and_mv_between_folders(self):
        self.run_here("cp", "-a", os.path.join(self.local, "sample", "part 2"), "copied")
        self.run_here("mv", "copied", "moved")
        self.assertEqual(kit.tree(self.path("moved")),
                         kit.tree(os.path.join(self.local, "sample", "part 2")))
        self.run_here("rm", "-r", "moved")
        self.assertEqual(os.listdir(self.top), [])

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


class Plain(Applications, unittest.TestCase):
    pass


class Encrypted(Applications, unittest.TestCase):
    encrypted = True


if __name__ == "__main__":
    kit.run(150)
