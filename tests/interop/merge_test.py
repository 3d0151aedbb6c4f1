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
import os
import random
import shutil
import stat
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import commits
import kit
from kit import put
from peer import ENCRYPTION, Peer

OPTIONS = argparse.Namespace(rounds=1, seed=20260611)
ACTIONS = 7        # of each side in a round
AGREE = 110.0      # seconds; the real client looks at the server every 30 s
LOOK = 5.0         # it commits two seconds after the last change, if it is let
MARK = "(SFConflict "

# Twins but for their case among them: on Linux they are two names, for the client too.
# No name that stands at the top stands below it as well: where d/x is deleted and d has become a
# file, the client commits that the x beside d is gone, and leaves it on its disk.
TOP_FILES, TOP_FOLDERS = ["alpha", "Alpha", "beta.txt", "gamma"], ["delta", "Delta", "epsilon.d"]
FILES, FOLDERS = ["pi", "Pi", "rho.txt", "sigma"], ["tau", "Tau", "upsilon.d"]
ACTIONS_OF_ALL = ["write", "write", "write", "equal", "edit", "delete", "mkdir", "move", "move",
                  "move folder", "rmdir", "remove folder", "save", "flip mode"]
# A name changes its kind: only on the mounts, at the top (see the names), and only where the client
# has sent what it has before it fetches.  Where the client makes a folder of a file in a folder, it
# commits what is not on its disk; and of two real clients alone, one that finds a folder where it has
# edited a file commits the *folder* under the conflict name, and its edit stays on its own disk.
REPLACEMENTS = ["file to folder", "folder to file"]
ACTIONS_OF_CLIENT = ["write", "equal", "edit", "save", "mkdir"]
# Changes of modes that the client makes are not tried here; those of the mounts are.  Nor are modes
# on its disk looked at: where a commit moves a file and changes its mode, it moves the file alone.
ACTIONS_THAT_CLIENT_CAN = [action for action in ACTIONS_OF_ALL if action != "flip mode"]


def tree(top):
    """Path below `top`: None for a folder, else the file's bytes and whether it may be run."""
    found = {}

    def fail(error):
        raise error

    for folder, folders, names in os.walk(top, onerror=fail):
        for name in folders + names:
            if name == ".seafile-data":
                continue
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            found[os.path.relpath(path, top)] = \
                None if stat.S_ISDIR(mode) else (kit.get(path), bool(mode & stat.S_IXUSR))
    return found


def a_file_in(rng, folder):
    return os.path.join(folder, rng.choice(FILES if folder else TOP_FILES))


def a_folder_in(rng, folder):
    return os.path.join(folder, rng.choice(FOLDERS if folder else TOP_FOLDERS))


def at_top(paths):
    return [path for path in paths if "/" not in path]


class Side:
    """Somebody with a folder of the library."""

    def __init__(self, name, top, rng, alive):
        self.name, self.top, self.rng, self.alive = name, top, rng, alive
        self.written = 0

    def act(self, kinds=ACTIONS_OF_ALL):
        """One thing at random; what it makes an end of is not missed later."""
        now = tree(self.top)
        files = sorted(path for path, entry in now.items() if entry is not None)
        folders = ["", *sorted(path for path, entry in now.items() if entry is None)]
        parent = self.rng.choice(folders)
        target = a_file_in(self.rng, parent)
        kind = self.rng.choice(kinds)
        try:
            if kind in ("write", "equal"):
                self.write(now, target, kind == "equal")
            elif kind == "mkdir":
                os.mkdir(self.path(a_folder_in(self.rng, parent)))
            elif "folder" in kind.split() or kind == "rmdir":
                self.change_folder(kind, now, files, folders[1:], parent)
            elif files:
                self.change_file(kind, now, self.rng.choice(files), target)
        except OSError:
            pass  # taken, not empty, into itself: as any filesystem says

    def change_folder(self, kind, now, files, folders, parent):
        if kind == "folder to file":
            folders = at_top(folders)
        if kind == "file to folder" and at_top(files):
            victim = self.rng.choice(at_top(files))
            os.unlink(self.path(victim))
            self.forget(now[victim])
            os.mkdir(self.path(victim))
            self.write({}, a_file_in(self.rng, victim), False)
        elif not folders:
            return
        elif kind == "rmdir":
            os.rmdir(self.path(self.rng.choice(folders)))
        elif kind == "move folder":
            os.rename(self.path(self.rng.choice(folders)),
                      self.path(a_folder_in(self.rng, parent)))
        elif kind in ("remove folder", "folder to file"):
            victim = self.rng.choice(folders)
            for path, entry in now.items():
                if path.startswith(victim + "/"):
                    self.forget(entry)
            shutil.rmtree(self.path(victim))
            if kind == "folder to file":
                self.write({}, victim, False)

    def change_file(self, kind, now, victim, target):
        if kind == "edit":
            self.write(now, victim, False)
        elif kind == "save":  # as editors do
            self.write(now, victim, False, through=os.path.join(os.path.dirname(victim), ".#new"))
        elif kind == "flip mode":
            os.chmod(self.path(victim), 0o644 if now[victim][1] else 0o755)
        elif kind == "delete":
            os.unlink(self.path(victim))
            self.forget(now[victim])
        elif kind == "move" and victim != target:
            os.rename(self.path(victim), self.path(target))
            self.forget(now.get(target))

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, now, name, equal, through=None):
        if name in now and now[name] is None:
            return
        self.written += 1
        # What two sides may write alike: no conflict when they do.
        who = "everybody" if equal else self.name
        text = f"{name} by {who}, {self.written}\n".encode() * (1 + self.written % 3 * 400)
        put(self.path(through or name), text)
        if through:
            os.rename(self.path(through), self.path(name))
        if name in now and now[name][0] == text:
            return  # no change: who deletes it meanwhile takes nothing from us
        self.forget(now.get(name))
        self.alive[text] += 1

    def forget(self, entry):
        if entry is not None:
            self.alive.pop(entry[0], None)


Library = collections.namedtuple("Library", "id mounts sides rng alive")


class MergeTest(kit.ServedCase):
    def setUp(self):
        super().setUp()
        self.world.login("b")
        self.peer = Peer(self.world, "peer")
        self.addCleanup(self.peer.stop)
        self.next_look = collections.defaultdict(float)

    def library_of_three(self, name, encrypted):
        self.world.library(name, encrypted, ENCRYPTION)
        listed = self.json("libraries")
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
        return Library(library, mounts, sides, rng, alive)

    def agree(self, libraries):
        """Until all three of each library show the same."""
        def same():
            for library in libraries:
                for mount in library.rng.sample(library.mounts, 2):
                    mount.sync()
            return all(self.alike(library, library.sides) for library in libraries)

        self.wait_for(libraries, same, "all three agree")

    def alike(self, library, sides):
        """Whether all of these show the same; the client is asked to look now if not."""
        if not self.differences(library, sides):
            return True
        if time.monotonic() > self.next_look[library.id]:
            self.next_look[library.id] = time.monotonic() + LOOK
            self.peer.look_now(library.id)
        return False

    def wait_for(self, libraries, condition, what):
        try:
            kit.wait_until(condition, what, AGREE)
        except AssertionError as error:
            lines = [line for library in libraries
                     for line in self.differences(library, library.sides)]
            raise AssertionError(f"{error} (seed {OPTIONS.seed})\n" + "\n".join(lines) +
                                 f"\n{self.histories(libraries)}\n"
                                 f"--- log of the peer:\n{self.peer.log()}") from error

    def histories(self, libraries):
        storage = os.path.join(self.world.top, "storage")
        return "\n".join(f"--- history of {library.sides[0].name}:\n"
                         f"{commits.history(storage, library.id)}" for library in libraries)

    @staticmethod
    def differences(library, sides):
        """What the sides show differently, a line each."""
        try:
            shown = [tree(side.top) for side in sides]
        except FileNotFoundError:
            return ["somebody is changing it"]
        if sides[-1] is library.sides[2]:  # the client
            for path, entry in shown[-1].items():
                if entry and shown[0].get(path):
                    shown[-1][path] = (entry[0], shown[0][path][1])
        lines = []
        for path in sorted(set().union(*shown)):
            entries = [one.get(path, "absent") for one in shown]
            if any(entry != entries[0] for entry in entries):
                short = {side.name: entry if entry in (None, "absent") else (entry[0][:40], entry[1])
                         for side, entry in zip(sides, entries)}
                lines.append(f"{path}: {short}")
        return lines

    def check(self, library):
        now = {path: entry and entry[0] for path, entry in tree(library.sides[0].top).items()}
        contents = set(now.values())
        lost = [text[:60] for text in library.alive if text not in contents]
        self.assertEqual(lost, [], f"(seed {OPTIONS.seed}) of\n" + "\n".join(sorted(now)) +
                         "\n" + self.histories([library]))
        for path, content in now.items():
            name = os.path.basename(path)
            self.assertLessEqual(name.count(MARK), 1, path)
            if MARK in name and content is not None:
                stem = name[:name.index(MARK)].rstrip()
                ending = name[name.index(")") + 1:]
                original = os.path.join(os.path.dirname(path), stem + ending)
                self.assertNotEqual(now.get(original), content, f"{path}: a copy of its equal")

    def everybody_acts(self, libraries):
        """At once, without a look at the others; the server merges, and the mounts do."""
        for library in libraries:
            for side in library.rng.sample(library.sides, 3):
                is_client = side is library.sides[2]
                for _ in range(ACTIONS):
                    side.act(ACTIONS_THAT_CLIENT_CAN if is_client else ACTIONS_OF_ALL)

    def kinds_change(self, libraries):
        """The client's changes go up first: under those of one mount, and before the other's."""
        seen = []
        for library in libraries:
            *mounts, client = library.sides
            before, after = library.rng.sample(mounts, 2)
            for _ in range(ACTIONS):
                before.act(ACTIONS_OF_ALL + REPLACEMENTS * 3)
            for _ in range(ACTIONS):
                client.act(ACTIONS_OF_CLIENT)
            seen.append((library, after, client))
        self.wait_for(libraries, lambda: all(self.alike(library, [after, client])
                                             for library, after, client in seen),
                      "the client's changes arrive")
        for _, after, _ in seen:
            for _ in range(ACTIONS):
                after.act(ACTIONS_OF_ALL + REPLACEMENTS * 3)

    def test_three_sides_agree_and_nothing_is_lost(self):
        libraries = [self.library_of_three("plain", False), self.library_of_three("secret", True)]
        for library in libraries:  # something to begin with
            for _ in range(12):
                library.sides[0].act()
        self.agree(libraries)
        for number in range(OPTIONS.rounds):
            for change in (self.everybody_acts, self.kinds_change):
                with self.subTest(round=number, change=change.__name__):
                    change(libraries)
                    self.agree(libraries)
                    for library in libraries:
                        self.check(library)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=OPTIONS.rounds)
    parser.add_argument("--seed", type=int, default=OPTIONS.seed)
    OPTIONS, sys.argv[1:] = parser.parse_known_args()
    kit.run(limit_seconds=280 * OPTIONS.rounds)
