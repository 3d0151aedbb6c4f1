#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The model of crash_test.py, and the power cut: do they catch what they are for?"""

import math
import os
import random
import shutil
import tempfile
import unittest

import model
import powercut
from contents import content, find_plaintext
from model import DIRECTORY, File, History

OLD, NEW = ["old", 9000], ["new", 5000]


def history(ops, ended, start=None):
    """Operation n takes from 10 n to 10 n + 5."""
    told = History(start or {})
    for number, op in enumerate(ops):
        told.note(["begin", 10.0 * number, op])
        if number < ended:
            told.note(["end", 10.0 * number + 5, None])
    return told


def seen(**files):
    return {name: data if data == DIRECTORY else (data, False) for name, data in files.items()}


class Model(unittest.TestCase):
    def found(self, told, observed, kept_until=math.inf):
        return bool(told.moments(observed, kept_until)[0])

    def test_what_ended_must_be_there_and_what_was_under_way_may_be(self):
        told = history([["create", "a", OLD], ["create", "b", NEW]], ended=1)
        old, new = content(*OLD), content(*NEW)
        for good in (seen(a=old), seen(a=old, b=b""), seen(a=old, b=new[:77]), seen(a=old, b=new)):
            self.assertTrue(self.found(told, good))
        for bad in (seen(), seen(b=new), seen(a=old[:-1]), seen(a=bytes(9000)),
                    seen(a=old, b=bytes(5000)), seen(a=old, b=new[1:]), seen(a=old, c=b"")):
            self.assertFalse(self.found(told, bad))

    def test_a_name_replaced_is_old_or_new_never_empty_never_a_mixture(self):
        start = {"a": File(content(*OLD)), "t": File(content(*NEW))}
        told = history([["rename", "t", "a"]], ended=0, start=start)
        old, new = content(*OLD), content(*NEW)
        self.assertTrue(self.found(told, seen(a=old, t=new)))
        self.assertTrue(self.found(told, seen(a=new)))
        for bad in (seen(a=b""), seen(a=old), seen(t=new), seen(a=new, t=new), seen(a=b"", t=new),
                    seen(a=new + old[5000:])):
            self.assertFalse(self.found(told, bad))

    def test_an_open_file_keeps_what_was_synced(self):
        told = history([["open", "log"], ["append", "log", OLD], ["fsync", "log"],
                        ["append", "log", NEW]], ended=4)
        whole = content(*OLD) + content(*NEW)
        self.assertTrue(self.found(told, seen(log=whole[:9000])))
        self.assertTrue(self.found(told, seen(log=whole)))
        self.assertFalse(self.found(told, seen(log=whole[:8999])))
        self.assertFalse(self.found(told, seen(log=whole[:9000] + bytes(5000))))

    def test_a_new_file_is_there_once_it_was_closed_or_synced(self):
        opened = [["mkdir", "d"], ["open", "log"], ["append", "log", OLD]]
        self.assertTrue(self.found(history(opened, ended=3), seen(d=DIRECTORY)))
        self.assertFalse(self.found(history(opened, ended=3), seen(log=b"")))
        for last in (["close", "log"], ["fsync", "log"]):
            told = history([*opened, last], ended=4)
            self.assertFalse(self.found(told, seen(d=DIRECTORY)))
            self.assertTrue(self.found(told, seen(d=DIRECTORY, log=content(*OLD))))

    def test_a_patch_is_made_of_whole_pages(self):
        start = {"a": File(content(*OLD))}
        told = history([["patch", "a", 0, NEW]], ended=0, start=start)
        old, new = content(*OLD), content(*NEW)
        self.assertTrue(self.found(told, seen(a=new[:4096] + old[4096:])))
        self.assertFalse(self.found(told, seen(a=new[:100] + old[100:])))

    def test_folders_move_with_all_that_is_in_them(self):
        state = {}
        for op in (["mkdir", "a"], ["create", "a/f", NEW], ["mkdir", "b"], ["rename", "a", "b"],
                   ["mkdir", "c"], ["exchange", "b", "c"]):
            state = model.apply(state, op)
        self.assertEqual(state, {"b": DIRECTORY, "c": DIRECTORY, "c/f": File(content(*NEW))})

    def test_after_a_power_cut_it_is_one_moment_not_before_the_last_sync(self):
        ops = [["mkdir", "a"], ["fsyncdir", "a"], ["mkdir", "b"], ["mkdir", "c"]]
        told = history(ops, ended=4)
        until = model.synced_until([told])
        self.assertEqual(until, 10.0)
        every = {name: DIRECTORY for name in "abc"}
        for good in ("a", "ab", "abc"):
            self.assertTrue(self.found(told, {name: every[name] for name in good}, until))
        for bad in ("", "ac", "b", "bc"):
            self.assertFalse(self.found(told, {name: every[name] for name in bad}, until))
        # Another worker, whose second step ended before `b` here began.
        other = history([["mkdir", "x"], ["mkdir", "y"]], ended=2)
        ours = told.moments({"a": DIRECTORY, "b": DIRECTORY}, until)[0]
        early = other.moments({"x": DIRECTORY}, -math.inf)[0]
        late = other.moments({"x": DIRECTORY, "y": DIRECTORY}, -math.inf)[0]
        self.assertTrue(model.common_moment([ours, late], until))
        self.assertFalse(model.common_moment([ours, early], until))


class PowerCut(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="nacre-test-")
        self.addCleanup(shutil.rmtree, self.top)

    def test_pages_are_old_or_new_and_what_was_never_synced_is_not_there(self):
        results = set()
        for seed in range(60):
            disk, shelf = os.path.join(self.top, "disk"), os.path.join(self.top, "shelf")
            for folder in (disk, shelf):
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
            path = os.path.join(disk, "f")
            with open(path, "wb") as file:
                file.write(b"n" * 9000)
            inode = os.stat(path).st_ino
            with open(os.path.join(shelf, str(inode)), "wb") as file:
                file.write(b"o" * 8192)
            with open(os.path.join(shelf, "names"), "w", encoding="ascii") as file:
                file.write(f"{inode} f f\n")
            with open(os.path.join(disk, "fresh"), "wb") as file:
                file.write(b"n")
            powercut.cut(disk, shelf, random.Random(seed))
            with open(path, "rb") as file:
                data = file.read()
            self.assertIn(len(data), (8192, 9000))
            pages = "".join(chr(data[at]) for at in range(0, len(data), 4096))
            for at, letter in enumerate(pages):
                self.assertEqual(len(set(data[at * 4096:(at + 1) * 4096])), 1, letter)
            results.add((pages, os.path.exists(os.path.join(disk, "fresh"))))
        self.assertIn(("oo", False), results)
        self.assertIn(("nnn", True), results)
        self.assertTrue({"on", "no"} & {pages for pages, _ in results})

    def test_plaintext_is_found_in_contents_and_in_names(self):
        with open(os.path.join(self.top, "a"), "wb") as file:
            file.write(bytes(5000) + content("x", 60) + bytes(10))
        self.assertEqual([path for path, _ in find_plaintext([self.top])],
                         [os.path.join(self.top, "a")])


if __name__ == "__main__":
    unittest.main()
