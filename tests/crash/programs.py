# SPDX-License-Identifier: Apache-2.0
"""Programs that know how to survive a crash, as long as the filesystem keeps its word: SQLite, git.

Their files are not in the model; what they say afterwards is checked instead.
"""

import os
import re
import sqlite3
import subprocess

from contents import NAME_MARK, content
from workloads import Workload

JOURNALS = ("DELETE", "TRUNCATE", "PERSIST", "WAL")


def _connect(path):
    # Alone on the file: write-ahead logging would want memory shared through the mount otherwise.
    base = sqlite3.connect(path, isolation_level=None, timeout=5)
    base.execute("PRAGMA locking_mode=EXCLUSIVE")
    return base


def _row(number):
    return content(f"row{number}", 50 + number * 7919 % 9000).decode()


class Sqlite(Workload):
    """Transactions: two tables that must agree, rows of all sizes, journals of all kinds."""

    def step(self):
        path = self.path(self.folder + "/" + NAME_MARK + ".db")
        opened = []
        self.do(["init"], lambda: opened.append(self.open(path)))
        base = opened[0]
        last = base.execute("SELECT number FROM last").fetchone()[0]
        for number in range(last + 1, last + 1 + self.rng.randrange(5, 30)):
            if self.stop:
                break
            self.pace()
            self.do(["transaction", number], lambda number=number: self.insert(base, number))
        self.do(["init"], base.close)

    def open(self, path):
        base = _connect(path)
        base.execute("PRAGMA journal_mode=" + self.rng.choice(JOURNALS))
        base.execute("PRAGMA synchronous=EXTRA")
        base.execute("PRAGMA cache_size=4")  # pages, so that they are written in the middle, too
        base.execute("BEGIN IMMEDIATE")
        base.execute("CREATE TABLE IF NOT EXISTS rows(number INTEGER PRIMARY KEY, text TEXT)")
        base.execute("CREATE TABLE IF NOT EXISTS last(number INTEGER)")
        if base.execute("SELECT count(*) FROM last").fetchone()[0] == 0:
            base.execute("INSERT INTO last VALUES(0)")
        base.execute("COMMIT")
        return base

    def insert(self, base, number):
        base.execute("BEGIN IMMEDIATE")
        base.execute("INSERT INTO rows VALUES(?, ?)", (number, _row(number)))
        base.execute("DELETE FROM rows WHERE number = ?", (number - 20,))
        base.execute("UPDATE last SET number = ?", (number,))
        base.execute("COMMIT")

    @staticmethod
    def look(where, folder):
        """The last transaction that is there; AssertionError where the file is damaged."""
        path = os.path.join(where, folder, NAME_MARK + ".db")
        if not os.path.exists(path):
            return 0
        base = _connect(path)
        try:
            verdict = base.execute("PRAGMA integrity_check").fetchone()[0]
            assert verdict == "ok", f"integrity_check: {verdict}"
            if not base.execute("SELECT 1 FROM sqlite_master WHERE name = 'last'").fetchone():
                return 0
            last = base.execute("SELECT number FROM last").fetchone()[0]
            rows = base.execute("SELECT number, text FROM rows ORDER BY number").fetchall()
            expected = [(number, _row(number)) for number in range(max(1, last - 19), last + 1)]
            assert rows == expected, f"rows {[row[0] for row in rows]}, the last is {last}"
            return last
        finally:
            base.close()

    # What an intact copy of the files shows without being written to.
    @staticmethod
    def check_copy(where, folder):
        path = os.path.join(where, folder, NAME_MARK + ".db")
        if not os.path.exists(path) or os.path.getsize(path) == 0:
            return
        base = sqlite3.connect(f"file:{path.replace(' ', '%20')}?mode=ro&immutable=1", uri=True)
        try:
            verdict = base.execute("PRAGMA integrity_check").fetchone()[0]
            assert verdict == "ok", f"the other mount: integrity_check: {verdict}"
        finally:
            base.close()


def _git(where, *words):
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
                   "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8",
                   "GIT_CEILING_DIRECTORIES": os.path.dirname(where)}
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com",
                "-c", "gc.auto=0", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=no")
    done = subprocess.run(["git", *identity, *words], cwd=where, env=environment, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"git {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Git(Workload):
    """Commits, one after the other; what a killed git has left locked is unlocked first."""

    def step(self):
        where = self.path(self.folder)
        self.do(["init"], lambda: self.open(where))
        number = self.count(where)
        while not self.stop:
            number += 1
            self.pace()
            self.do(["commit", number], lambda number=number: self.commit(where, number))

    def open(self, where):
        for folder, _, names in os.walk(os.path.join(where, ".git")):
            for name in names:
                if name.endswith(".lock"):
                    os.unlink(os.path.join(folder, name))
        _git(where, "init", "-q")
        _git(where, "config", "core.fsync", self.rng.choice(("all", "committed", "none")))

    @staticmethod
    def count(where):
        """The number of the newest commit."""
        if not _git(where, "for-each-ref", "--count=1", "refs/heads"):
            return 0
        return int(_git(where, "log", "-1", "--format=%s"))

    def commit(self, where, number):
        for name in (f"{NAME_MARK} {number % 7}", f"{NAME_MARK} always"):
            with open(os.path.join(where, name), "w", encoding="ascii") as file:
                file.write(content(f"commit{number}", number * 613 % 7000).decode())
        _git(where, "add", "-A")
        _git(where, "commit", "-q", "--allow-empty", "-m", str(number))

    @classmethod
    def look(cls, where, folder):
        where = os.path.join(where, folder)
        if not all(os.path.exists(os.path.join(where, ".git", name))
                   for name in ("HEAD", "objects", "refs")):
            return 0  # `git init` was under way, or had not begun
        last = cls.count(where)
        _git(where, "fsck", "--full", "--no-dangling")
        if last == 0:
            return 0
        numbers = _git(where, "log", "--format=%s").split()
        assert numbers == [str(number) for number in range(last, 0, -1)], f"history {numbers}"
        shown = _git(where, "show", f"HEAD:{NAME_MARK} always")
        assert shown == content(f"commit{last}", last * 613 % 7000).decode(), "HEAD's content"
        return last

    @classmethod
    def check_copy(cls, where, folder):
        cls.look(where, folder)


def moments_of(history, found, kept_until):
    """As History.moments, for a program of which the work numbered `found` is the last there is."""
    least = history.least(kept_until)
    numbers = [step.op[1] if len(step.op) > 1 and isinstance(step.op[1], int) else None
               for step in history.steps]
    shown, result = None, []
    for count in range(len(history.steps) + 1):
        if count > 0 and numbers[count - 1] is not None:
            shown = numbers[count - 1]
        before = next((number - 1 for number in numbers if number is not None), None)
        at = shown if shown is not None else before
        if count >= least and (at is None or at == found):
            result.append(history.moment(count))
    if result:
        return result, None
    return [], (f"the last work there is {found}, of {re.sub('None, ', '', str(numbers))}, "
                f"{least} steps must be there of {len(history.steps)}")
