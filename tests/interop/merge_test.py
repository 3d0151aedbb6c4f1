#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three who work on one library: two mounts, and a real Seafile client.

In rounds, each does things at random without knowing of the others; then all send and
fetch until they agree.  They must end with the same tree, and every content that nobody who had
seen it overwrote or deleted must be in some file.

    merge_test.py [--rounds N] [--seed S]
"""

import argparse
import collections
import json
import os
import random
import stat
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import kit
from kit import put
from peer import Peer

OPTIONS = argparse.Namespace(rounds=2, seed=20260611)
ACTIONS = 7        # of each side in a round
AGREE = 110.0      # seconds; the real client looks at the server every 30 s
MARK = "(SFConflict "

# Twins but for their case among them: on Linux they are two names, for the client too.
# Files and folders have names of their own: the real client gives up on a library ("Failed to create
# directory", then the state "error") where a file and a folder of one name meet.  Two mounts do
# not; tests/unit/fs_history_test.cpp has them replace one by the other.
FILES = ["alpha", "Alpha", "beta.txt", "gamma"]
FOLDERS = ["delta", "Delta", "epsilon.d"]


def tree(top):
    """Path below `top`: None for a folder, else the file's bytes."""
    found = {}

    def fail(error):
        raise error

    for folder, folders, names in os.walk(top, onerror=fail):
        for name in folders + names:
            if name == ".seafile-data":
                continue
            path = os.path.join(folder, name)
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
            found[os.path.relpath(path, top)] = None if is_folder else kit.get(path)
    return found


class Side:
    """Somebody with a folder of the library."""

    def __init__(self, name, top, rng, alive):
        self.name, self.top, self.rng, self.alive = name, top, rng, alive
        self.written = 0

    def act(self):
        """One thing at random; what it makes an end of is not missed later."""
        now = tree(self.top)
        files = sorted(path for path, content in now.items() if content is not None)
        folders = ["", *sorted(path for path, content in now.items() if content is None)]
        parent = self.rng.choice(folders)
        target = os.path.join(parent, self.rng.choice(FILES))
        kind = self.rng.choice(["write", "write", "write", "equal", "edit", "delete", "mkdir",
                                "move", "move", "move folder", "rmdir"])
        try:
            if kind in ("write", "equal"):
                self.write(now, target, kind == "equal")
            elif kind == "mkdir":
                os.mkdir(self.path(os.path.join(parent, self.rng.choice(FOLDERS))))
            elif kind == "rmdir" and len(folders) > 1:
                os.rmdir(self.path(self.rng.choice(folders[1:])))
            elif kind == "move folder" and len(folders) > 1:
                os.rename(self.path(self.rng.choice(folders[1:])),
                          self.path(os.path.join(parent, self.rng.choice(FOLDERS))))
            elif kind == "move" and files:
                source = self.rng.choice(files)
                if source != target:
                    os.rename(self.path(source), self.path(target))
                    self.forget(now.get(target))
            elif files:
                victim = self.rng.choice(files)
                if kind == "edit":
                    self.write(now, victim, False)
                    return
                os.unlink(self.path(victim))
                self.forget(now[victim])
        except OSError:
            pass  # taken, not empty, into itself: as any filesystem says

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, now, name, equal):
        if name in now and now[name] is None:
            return
        self.written += 1
        # What two sides may write alike: no conflict when they do.
        who = "everybody" if equal else self.name
        text = f"{name} by {who}, {self.written}\n".encode() * (1 + self.written % 3 * 400)
        put(self.path(name), text)
        self.forget(now.get(name))
        self.alive[text] += 1

    def forget(self, content):
        if content is not None:
            self.alive.pop(content, None)


class MergeTest(kit.Case):
    def setUp(self):
        self.world = kit.World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.logs_on_failure, self.world)
        self.world.serve()
        for client in ("a", "b"):
            self.world.login(client)
        self.peer = Peer(self.world, "peer")
        self.addCleanup(self.peer.stop)

    def library_of_three(self, name, encrypted):
        self.world.library(name, encrypted)
        listed = json.loads(self.world.nacre("libraries", "--json"))
        library = next(entry["id"] for entry in listed if entry["name"] == name)
        secret = kit.PASSWORD if encrypted else None
        mounts = []
        for client in ("a", "b"):
            where = os.path.join(self.world.top, f"{client} {name}")
            state = os.path.join(self.world.top, f"state of {client} {name}")
            mount = kit.Mount(self.world, client,
                              ["-o", "poll=1,quiet=3600000", "--library", library, "--state-dir",
                               state], where, secret)
            self.world.mounts.append(mount)
            mounts.append(mount)
        worktree = os.path.join(self.world.top, "peer " + name)
        self.peer.attach("sync", library, worktree, secret)
        rng = random.Random(f"{OPTIONS.seed} {name}")
        alive = collections.Counter()
        sides = [Side(f"{name}-{who}", top, rng, alive)
                 for who, top in [("one", mounts[0].where), ("two", mounts[1].where),
                                  ("peer", worktree)]]
        return mounts, sides, rng, alive

    def agree(self, libraries):
        """Until all three of each library show the same."""
        def trees():
            for mounts, sides, rng, _ in libraries:
                for mount in rng.sample(mounts, 2):
                    mount.sync()
                shown = [tree(side.top) for side in sides]
                if any(one != shown[0] for one in shown):
                    return False
            return True

        def same():
            try:
                return trees()
            except FileNotFoundError:  # somebody is changing it
                return False

        try:
            kit.wait_until(same, "all three agree", AGREE)
        except AssertionError as error:
            raise AssertionError(f"{error} (seed {OPTIONS.seed})\n{self.differences(libraries)}\n"
                                 f"--- log of the peer:\n{self.peer.log()}") from error

    @staticmethod
    def differences(libraries):
        lines = []
        for _, sides, _, _ in libraries:
            shown = {side.name: tree(side.top) for side in sides}
            for path in sorted(set().union(*shown.values())):
                entries = {name: one.get(path, "absent") for name, one in shown.items()}
                if len(set(entries.values())) > 1:
                    short = {name: entry if entry in (None, "absent") else entry[:40]
                             for name, entry in entries.items()}
                    lines.append(f"{path}: {short}")
        return "\n".join(lines)

    def check(self, sides, alive):
        now = tree(sides[0].top)
        contents = set(now.values())
        lost = [text[:60] for text in alive if text not in contents]
        self.assertEqual(lost, [], f"(seed {OPTIONS.seed}) of\n" + "\n".join(sorted(now)))
        for path, content in now.items():
            name = os.path.basename(path)
            self.assertLessEqual(name.count(MARK), 1, path)
            if MARK in name and content is not None:
                stem = name[:name.index(MARK)].rstrip()
                ending = name[name.index(")") + 1:]
                original = os.path.join(os.path.dirname(path), stem + ending)
                self.assertNotEqual(now.get(original), content, f"{path}: a copy of its equal")

    def test_three_sides_agree_and_nothing_is_lost(self):
        libraries = [self.library_of_three("plain", False), self.library_of_three("secret", True)]
        for _, sides, _, _ in libraries:  # something to begin with
            for _ in range(12):
                sides[0].act()
        self.agree(libraries)
        for number in range(OPTIONS.rounds):
            with self.subTest(round=number):
                for mounts, sides, rng, _ in libraries:
                    for side in rng.sample(sides, 3):
                        for _ in range(ACTIONS):
                            side.act()
                self.agree(libraries)
                for _, sides, _, alive in libraries:
                    self.check(sides, alive)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=OPTIONS.rounds)
    parser.add_argument("--seed", type=int, default=OPTIONS.seed)
    OPTIONS, sys.argv[1:] = parser.parse_known_args()
    kit.run(limit_seconds=280 * max(1, OPTIONS.rounds // 2))
