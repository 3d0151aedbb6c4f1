#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unsent changes written out as plain files, and what commands say of them: rescue, umount, and
two daemons on one state."""

import json
import os
import shutil
import subprocess
import unittest

import kit
from kit import get, put, wait_until

NEVER = "quiet=3600000"  # nothing is sent unless somebody asks


class Rescue(kit.ServedCase):
    def mount(self, *arguments, **others):
        return self.world.mount("a", "-o", f"{NEVER},timeout=4", *arguments, **others)

    def stop_server(self):
        self.world.kill_server()

    def away(self, mount):
        wait_until(lambda: mount.status()["connection_error"], "the mount knows that it is alone")

    def disown(self, library):
        """Takes a library from its owner, as the server keeps them: a line for each."""
        owners = os.path.join(self.world.top, "storage", "owners")
        with open(owners, encoding="utf-8") as file:
            lines = file.readlines()
        kept = [line for line in lines if library not in line]
        self.assertEqual(len(kept), len(lines) - 1)
        put(owners, "".join(kept))

    def folder(self, name="rescued"):
        return os.path.join(self.world.top, name)

    def rescue(self, source, name="rescued", expect=0, secret=None, options=()):
        """Rescues, and gives the folder and what was said."""
        process = self.world.popen(["rescue", source, self.folder(name), "--json", *options], "a",
                                   secret, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, expect, out + err)
        return self.folder(name), json.loads(out) if out else err

    def changed(self, mount):
        """Changes of every kind, over something that is on the server."""
        os.makedirs(mount.path("old", "sub"))
        put(mount.path("old", "big"), b"p" * 700_000)
        put(mount.path("old", "gone"), "published")
        put(mount.path("old", "renamed"), "keeps its contents")
        put(mount.path("old", "touched"), "t")
        mount.sync()
        put(mount.path("new"), "new file", 0o755)
        os.utime(mount.path("new"), (1_600_000_000, 1_600_000_000))
        os.makedirs(mount.path("made", "empty"))
        put(mount.path("made", "deep"), os.urandom(300_000))
        with open(mount.path("old", "big"), "r+b") as file:
            file.seek(200_000)
            file.write(b"changed here")
        os.unlink(mount.path("old", "gone"))
        os.rename(mount.path("old", "renamed"), mount.path("made", "other name"))
        os.chmod(mount.path("old", "touched"), 0o755)

    def check(self, mount, folder, said, expected):
        top = os.path.join(folder, "lib")
        self.assertEqual(sorted(os.listdir(folder)), ["lib", "lib.changes.txt"])
        for path, entry in kit.tree(top).items():
            self.assertEqual(entry[2:], expected[path][2:], path)
        self.assertEqual(sorted(kit.tree(top)),
                         [b"made", b"made/deep", b"made/empty", b"new", b"old", b"old/big"])
        self.assertEqual(os.stat(os.path.join(top, "new")).st_mode & 0o111, 0o111)
        self.assertEqual(get(os.path.join(top, "old", "big"))[199_999:200_013],
                         b"pchanged herep")
        changes = get(os.path.join(folder, "lib.changes.txt")).decode()
        self.assertIn('removed: "old/gone"\n', changes)
        self.assertIn('renamed: "old/renamed" -> "made/other name"\n', changes)
        self.assertIn('time or exec bit changed: "old/touched"\n', changes)
        self.assertEqual((said["files"], said["incomplete"]), (3, []))
        self.assertEqual(said["bytes"], 700_000 + 300_000 + len("new file"))
        self.assertEqual(said["changes"], 3)

    def test_a_running_mount_writes_its_unsent_files_out(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        self.changed(mount)
        expected = kit.tree(mount.where)
        folder, said = self.rescue(mount.where)
        self.check(mount, folder, said, expected)
        self.assertEqual(kit.tree(mount.where), expected)  # nothing of it is touched
        self.assertGreater(mount.status()["libraries"][0]["pending_names"], 0)
        # Never over anything, and never into the mount itself.
        message = self.world.nacre("rescue", mount.where, folder, expect=1)
        self.assertIn("ever written over", message)
        self.world.nacre("rescue", mount.where, mount.path("inside"), expect=2)
        self.assertFalse(os.path.exists(mount.path("inside")))
        os.mkdir(self.folder("empty"))
        text = self.world.nacre("rescue", mount.where, self.folder("empty"))
        self.assertIn("3 files", text)

    def test_without_a_mount_and_without_a_server_the_state_is_opened(self):
        self.world.library("lib", encrypted=True)
        mount = self.mount("--library", "lib", secret=kit.PASSWORD)
        self.changed(mount)
        expected = kit.tree(mount.where)
        get(mount.path("old", "big"))
        mount.kill()
        subprocess.run(["fusermount3", "-uz", mount.where], check=True)
        self.stop_server()
        account = os.listdir(os.path.join(self.world.top, "a", "state", "nacre"))[0]
        folder, said = self.rescue(account, secret=kit.PASSWORD)
        self.check(mount, folder, said, expected)
        # Locked: what was written here is there, the published rest is not.
        folder, said = self.rescue(account, "locked", expect=1)
        self.assertEqual(sorted(os.listdir(os.path.join(folder, "lib", "old"))),
                         ["big.incomplete"])
        big = get(os.path.join(folder, "lib", "old", "big.incomplete"))
        self.assertEqual((len(big), big[200_000:200_012]), (700_000, b"changed here"))
        self.assertEqual(big.count(0), 700_000 - 12)
        self.assertEqual(get(os.path.join(folder, "lib", "new")), b"new file")
        self.assertEqual([entry["path"] for entry in said["incomplete"]],
                         ["lib/old/big.incomplete"])
        self.assertIn("locked", said["incomplete"][0]["why"])
        self.rescue(account, "wrong", expect=3, secret="wrong")
        # It has sent and lost nothing: a mount goes on.
        self.world.start_server()
        mount.start()
        self.assertEqual(kit.tree(mount.where), expected)
        mount.sync()
        self.assertEqual(kit.tree(mount.where), expected)

    def test_what_the_cache_lacks_is_told_as_incomplete(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        put(mount.path("big"), b"p" * 3_000_000)
        put(mount.path("kept"), "k" * 1000)
        mount.sync()
        with open(mount.path("big"), "r+b") as file:
            file.seek(1_000_000)
            file.write(b"changed here")
        os.truncate(mount.path("kept"), 4)
        with open(mount.path("kept"), "r+b") as file:
            file.write(b"whole")
        mount.kill()
        subprocess.run(["fusermount3", "-uz", mount.where], check=True)
        shutil.rmtree(os.path.join(self.world.top, "a", "cache"))
        self.stop_server()
        account = os.listdir(os.path.join(self.world.top, "a", "state", "nacre"))[0]
        folder, said = self.rescue(account, expect=1)
        self.assertEqual(get(os.path.join(folder, "lib", "kept")), b"whole")
        big = get(os.path.join(folder, "lib", "big.incomplete"))
        self.assertEqual(big[1_000_000:1_000_012], b"changed here")
        self.assertEqual(len(big), 3_000_000)
        self.assertEqual(said["incomplete_files"], 1)
        # With the server it is whole.
        self.world.start_server()
        folder, said = self.rescue(account, "again")
        self.assertEqual(get(os.path.join(folder, "lib", "big")),
                         b"p" * 1_000_000 + b"changed here" + b"p" * 1_999_988)

    def test_a_library_that_was_deleted_on_the_server_keeps_what_was_not_sent(self):
        self.world.library("lib")
        self.world.library("other")
        mount = self.mount()
        put(mount.path("lib", "sent"), "sent")
        mount.sync()
        put(mount.path("lib", "unsent"), "the only copy")
        library = next(entry["id"] for entry in mount.status()["libraries"]
                       if entry["name"] == "lib")
        mount.kill()
        self.stop_server()
        self.disown(library)
        self.world.start_server()
        mount.start()
        self.assertEqual(sorted(os.listdir(mount.where)), ["lib", "other"])
        self.assertEqual(get(mount.path("lib", "unsent")), b"the only copy")
        folder, said = self.rescue(mount.where)
        self.assertEqual(get(os.path.join(folder, "lib", "unsent")), b"the only copy")
        self.assertEqual(said["files"], 1)

    # --- the end of a mount ---

    def test_umount_sends_what_it_can_and_says_what_is_left(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        put(mount.path("a"), "sent before the end")
        self.assertEqual(self.world.nacre("umount", mount.where), "")
        self.assertEqual(mount.process.wait(10), 0)
        mount.start()
        self.assertEqual(mount.status()["libraries"][0]["pending_names"], 0)
        self.assertEqual(get(mount.path("a")), b"sent before the end")
        put(mount.path("b"), "x" * 2048)
        put(mount.path("c"), "y")
        self.stop_server()
        self.away(mount)
        text = self.world.nacre("umount", mount.where, timeout=20)  # 30 s are not waited
        self.assertIn("2 changes (2.0 KiB) are not on the server yet; they are kept, and sent at "
                      "the next mount", text)
        self.assertEqual(mount.process.wait(10), 0)
        mount.start()
        self.assertEqual(get(mount.path("c")), b"y")
        self.world.start_server()
        wait_until(lambda: not mount.status()["connection_error"], "the server is back")
        text = self.world.nacre("umount", mount.where, "--timeout", "0")
        self.assertIn("2 changes", text)
        mount.process.wait(10)
        mount.start()
        mount.sync()

    def test_a_mount_in_use_is_not_ended_and_goes_on(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        with open(mount.path("a"), "wb") as file:
            file.write(b"1")
            message = self.world.nacre("umount", mount.where, expect=1)
            self.assertIn("in use by ", message)
            self.assertIn(f"({os.getpid()})", message)
            file.write(b"2")
        put(mount.path("b"), "still at work")
        mount.sync()
        self.world.nacre("umount", mount.where)

    def test_umount_8_and_signals_send_as_well(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        put(mount.path("a"), "a")
        subprocess.run(["fusermount3", "-u", mount.where], check=True, timeout=20)
        self.assertEqual(mount.process.wait(40), 0)
        mount.start()
        self.assertEqual(mount.status()["libraries"][0]["pending_names"], 0)
        put(mount.path("b"), "b")
        self.assertEqual(mount.end(), 0)
        mount.start()
        self.assertEqual(mount.status()["libraries"][0]["pending_names"], 0)
        self.assertEqual(sorted(os.listdir(mount.where)), ["a", "b"])

    # --- two daemons ---

    def test_a_second_daemon_on_the_same_state_refuses(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        put(mount.path("a"), "of the first")
        message = self.world.nacre("mount", mount.where, expect=1)
        self.assertIn("already a mount", message)
        elsewhere = self.folder("elsewhere")
        os.mkdir(elsewhere)
        message = self.world.nacre("mount", elsewhere, expect=1)
        self.assertIn(f"in use by another nacre (process {mount.process.pid})", message)
        self.assertFalse(kit.is_mounted(elsewhere))
        account = os.listdir(os.path.join(self.world.top, "a", "state", "nacre"))[0]
        message = self.world.nacre("rescue", account, self.folder(), expect=1)
        self.assertIn("in use by another nacre", message)
        self.assertEqual(get(mount.path("a")), b"of the first")
        mount.sync()
        # With a state of its own it may.
        options = ["--state-dir", self.folder("state"), "--library", "lib", elsewhere]
        self.world.nacre("mount", *options)
        self.addCleanup(subprocess.run, ["fusermount3", "-uzq", elsewhere], check=False)
        self.assertEqual(get(os.path.join(elsewhere, "a")), b"of the first")
        self.world.nacre("umount", elsewhere)


if __name__ == "__main__":
    kit.run(220)
