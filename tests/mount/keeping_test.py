#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files that are kept on this machine, let go, looked back at, and brought back."""

import os
import unittest

import kit
from kit import get, put, wait_until

NEVER = "quiet=3600000"  # nothing is sent unless somebody asks


class Keeping(kit.ServedCase):
    # --- pins ---

    def pins(self, mount):
        return {pin["path"]: pin for pin in mount.status()["pins"]}

    def written(self, mount, folder, count, size):
        os.makedirs(mount.path(folder), exist_ok=True)
        for i in range(count):
            put(mount.path(folder, f"file {i}"), os.urandom(size))
        mount.sync()
        return kit.tree(mount.path(folder))

    def test_what_is_pinned_can_be_read_without_the_server_and_outlives_eviction(self):
        self.world.library("lib")
        first = self.world.mount("a", "--library", "lib")
        expected = self.written(first, "kept", 4, 1_000_000)
        self.written(first, "other", 12, 1_000_000)
        self.world.login("b")
        mount = self.world.mount("b", "-o", "cache-limit=8M,timeout=3", "--library", "lib")
        self.world.nacre("pin", mount.path("kept"), client="b")
        pin = self.pins(mount)["kept"]
        self.assertEqual((pin["files"], pin["bytes"], pin["complete"]), (4, 4_000_000, True))
        self.assertEqual(pin["blocks"], pin["blocks_here"])
        self.assertIn("pinned kept: 4 files, 3.8 MiB",
                      self.world.nacre("status", mount.where, client="b"))
        self.assertEqual(os.getxattr(mount.path("kept", "file 0"), "user.nacre.pinned"), b"kept")
        for name in os.listdir(mount.path("other")):  # more than the cache holds
            get(mount.path("other", name))
        # A new daemon, with nothing in memory, and no server.
        self.assertEqual(mount.end(), 0)
        self.world.stop_server()
        mount.start()
        self.assertEqual(kit.tree(mount.path("kept")), expected)
        self.assertLessEqual(mount.status()["cache_bytes"], 8 << 20)

    def test_a_pinned_folder_follows_the_server(self):
        self.world.library("lib", encrypted=True)
        first = self.world.mount("a", "--library", "lib", secret=kit.PASSWORD)
        self.written(first, "kept", 2, 50_000)
        self.world.login("b")
        mount = self.world.mount("b", "-o", "timeout=3", "--library", "lib", secret=kit.PASSWORD)
        self.world.nacre("pin", mount.path("kept"), client="b")
        os.mkdir(first.path("kept", "deep"))
        put(first.path("kept", "deep", "new"), os.urandom(200_000))
        os.unlink(first.path("kept", "file 0"))
        first.sync()
        expected = kit.tree(first.path("kept"))
        wait_until(lambda: self.pins(mount)["kept"]["bytes"] == 250_000 and
                   self.pins(mount)["kept"]["complete"], "what is new is here")
        before = mount.status()["pinned_bytes"]
        self.world.stop_server()
        wait_until(lambda: mount.status()["connection_error"], "the server is missed")
        self.assertEqual(kit.tree(mount.path("kept")), expected)
        # It is forgotten in the end, and nothing stays reserved.
        self.world.start_server()
        self.world.nacre("unpin", mount.path("kept"), client="b")
        wait_until(lambda: mount.status()["pinned_bytes"] == 0 < before, "nothing is kept")
        self.assertEqual(self.pins(mount), {})
        self.assertIn("not pinned", self.world.nacre("unpin", mount.path("kept"), client="b",
                                                     expect=1))

    def test_a_pin_that_does_not_fit_is_refused(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", "cache-limit=8M", "--library", "lib")
        self.written(mount, "large", 10, 1_000_000)
        self.written(mount, "small", 1, 1_000_000)
        self.world.nacre("pin", mount.path("small"))
        message = self.world.nacre("pin", mount.path("large"), expect=1)
        self.assertIn("whose limit is 8.0 MiB", message)
        self.assertIn("cache-limit", message)
        self.assertEqual(list(self.pins(mount)), ["small"])
        self.assertIn("only what is can be pinned",
                      self.world.nacre("pin", mount.path("nothing"), expect=1))

    def test_evict_drops_what_is_cached_but_nothing_unsent_and_nothing_pinned(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", NEVER, "--library", "lib")
        expected = self.written(mount, "d", 3, 300_000)
        put(mount.path("d", "unsent"), b"only here" * 1000)
        self.assertIn("freed", self.world.nacre("evict", mount.path("d")))
        said = self.json("why", mount.path("d", "file 0"))
        self.assertEqual((said["state"], said["blocks_cached"]), ("synced", 0))
        self.assertEqual(get(mount.path("d", "unsent")), b"only here" * 1000)
        os.unlink(mount.path("d", "unsent"))
        mount.sync()
        self.assertEqual(kit.tree(mount.path("d")), expected)
        self.world.nacre("pin", mount.path("d"))
        self.assertIn("pinned by d", self.world.nacre("evict", mount.path("d", "file 0"), expect=1))
        self.world.nacre("evict", mount.where)  # leaves what is pinned
        self.assertTrue(self.json("why", mount.path("d"))["complete"])

    # --- history ---

    def history(self, path, *options):
        return self.json("history", path, *options)

    def test_history_lists_versions_and_restore_brings_them_back(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", NEVER, "--library", "lib")
        os.mkdir(mount.path("d"))
        texts = ["first", "the second", "x" * 3000]
        for text in texts:
            put(mount.path("d", "file"), text)
            put(mount.path("other"), "beside " + text)
            mount.sync()
        os.unlink(mount.path("d", "file"))
        mount.sync()
        page = self.history(mount.path("d", "file"))
        versions = page["versions"]
        self.assertEqual([version["change"] for version in versions],
                         ["removed", "modified", "modified", "added"])
        self.assertEqual([version["size"] for version in versions], [3000, 3000, 10, 5])
        self.assertEqual({version["author"] for version in versions}, {kit.USER})
        self.assertIsNone(page["next"])
        # In pages.
        part = self.history(mount.path("d", "file"), "--limit", "2")
        rest = self.history(mount.path("d", "file"), "--before", part["next"])
        self.assertEqual(part["versions"] + rest["versions"], versions)
        self.assertIn("more: --before", self.world.nacre("history", mount.path("other"),
                                                         "--limit", "1"))
        # Back, over nothing, over another version, and beside.
        second, first = versions[2]["commit"], versions[3]["commit"]
        self.world.nacre("restore", mount.path("d", "file"), "--at", second)
        self.assertEqual(get(mount.path("d", "file")), b"the second")
        mount.sync()
        self.world.nacre("restore", mount.path("d", "file"), "--at", first)
        self.assertEqual(get(mount.path("d", "file")), b"first")
        self.world.nacre("restore", mount.path("d", "file"), "--at", second,
                         "--to", mount.path("copy"))
        self.world.nacre("restore", mount.path("d"), "--at", second, "--to", mount.path("old d"))
        self.assertEqual(get(mount.path("old d", "file")), b"the second")
        mount.sync()
        self.world.login("b")
        other = self.world.mount("b", "--library", "lib")
        self.assertEqual(kit.tree(other.where, times=False), kit.tree(mount.where, times=False))
        self.assertEqual(get(other.path("copy")), b"the second")

    def test_restore_refuses_what_would_lose_something(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", NEVER, "--library", "lib")
        os.mkdir(mount.path("d"))
        put(mount.path("d", "file"), "first")
        mount.sync()
        commit = self.history(mount.path("d", "file"))["versions"][0]["commit"]
        put(mount.path("d", "file"), "unsent")
        restore = lambda *words: self.world.nacre("restore", *words, "--at", commit, expect=1)
        self.assertIn("unsent changes", restore(mount.path("d", "file")))
        self.assertEqual(get(mount.path("d", "file")), b"unsent")
        self.assertIn("another name", restore(mount.path("d")))
        self.assertIn("not there at that commit", restore(mount.path("nothing")))
        self.assertIn("history", self.world.nacre("restore", mount.path("d", "file"), "--at",
                                                  "yesterday", expect=1))
        # Contents that the server has lost are not pointed to.
        mount.sync()
        self.world.nacre("evict", mount.where)
        for folder, _, names in os.walk(self.world.path("storage")):
            for name in names:
                if get(os.path.join(folder, name)) == b"first":
                    os.unlink(os.path.join(folder, name))
        self.assertIn("no longer has the contents",
                      restore(mount.path("d", "file"), "--to", mount.path("back")))
        self.assertFalse(os.path.exists(mount.path("back")))

    def test_du_adds_up_what_is_stored_cached_and_unsent(self):
        self.world.library("lib")
        first = self.world.mount("a", "-o", NEVER, "--library", "lib")
        self.written(first, "d", 3, 100_000)
        put(first.path("d", "unsent"), "u" * 500)
        said = self.json("du", first.path("d"))
        self.assertEqual((said["bytes"], said["files"], said["unsent_bytes"]), (300_500, 4, 500))
        self.world.login("b")
        mount = self.world.mount("b")
        said = self.json("du", mount.path("lib"), client="b")
        self.assertEqual((said["bytes"], said["files"], said["cached_bytes"]), (300_000, 3, 0))
        get(mount.path("lib", "d", "file 1"))
        wait_until(lambda: self.json("du", mount.where, client="b")["cached_bytes"] == 100_000,
                   "what was read is counted")
        self.assertIn("293.0 KiB in 3 files",
                      self.world.nacre("du", mount.path("lib", "d"), client="b"))


if __name__ == "__main__":
    kit.run(220)
