#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that tell of accounts, libraries, files, and what is wrong with this machine."""

import json
import os
import signal
import subprocess
import unittest

import kit
from kit import get, put, wait_until

NEVER = "quiet=3600000"  # nothing is sent unless somebody asks


class Commands(kit.ServedCase):
    # --- accounts ---

    def test_accounts_are_listed_with_whether_they_are_logged_in(self):
        alias = "127.0.0.1"
        known = {"alias": alias, "url": self.world.url, "user": kit.USER}
        known["token_in"] = "file"
        self.assertEqual(self.json("accounts"), [{**known, "logged_in": True}])
        self.assertIn("logged in", self.world.nacre("accounts"))
        os.unlink(self.world.path("a", "config", "nacre", "accounts", alias + ".token"))
        self.assertEqual(self.json("accounts"), [{**known, "logged_in": False}])
        self.assertEqual(self.json("accounts", client="nobody"), [])

    # --- why ---

    def why(self, path):
        return self.json("why", path)

    def test_why_tells_what_a_change_waits_for(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", f"{NEVER},timeout=3", "--library", "lib")
        os.mkdir(mount.path("d"))
        put(mount.path("d", "file"), "x" * 1000)
        said = self.why(mount.path("d", "file"))
        self.assertEqual((said["state"], said["waits_for"], said["kind"]),
                         ("unsent", "quiet", "file"))
        self.assertEqual(said["path"], "d/file")
        text = self.world.nacre("why", mount.path("d"))
        self.assertIn("d: waiting to be sent for ", text)
        self.assertIn("(1 change, 1000 B): the library was changed just now", text)
        self.assertEqual(text.count("\n"), 1)
        mount.sync()
        self.assertEqual(self.world.nacre("why", mount.path("d", "file")),
                         "d/file: synced; cached whole\n")
        self.assertEqual(self.why(mount.where)["state"], "synced")
        # Also from inside of it, and by a link to it.
        os.symlink(mount.where, self.world.path("link"))
        self.assertEqual(self.why(self.world.path("link", "d"))["path"], "d")
        with open(mount.path("d", "file"), "ab") as file:
            file.write(b"y")
            file.flush()
            os.fsync(file.fileno())
            said = self.why(mount.path("d", "file"))
            self.assertEqual(said["waits_for"], "open")
            self.assertIn("once it is closed", said["reason"])
        os.rename(mount.path("d", "file"), mount.path("d", "moved"))
        self.assertEqual(self.why(mount.path("d", "file"))["state"], "removed")
        self.world.stop_server()
        wait_until(lambda: mount.status()["connection_error"], "the server is missed")
        said = self.why(mount.path("d", "moved"))
        self.assertEqual(said["waits_for"], "away")
        self.assertIn("sent when the server is back", said["reason"])
        self.world.nacre("why", mount.path("nothing"), expect=1)
        self.assertIn("not in a mount", self.world.nacre("why", self.world.top, expect=1))

    def test_why_tells_how_much_of_a_file_is_here(self):
        self.world.library("lib")
        first = self.world.mount("a", "--library", "lib")
        put(first.path("big"), os.urandom(24_000_000))
        put(first.path("small"), "s" * 100)
        os.mkdir(first.path("folder"))
        put(first.path("folder", "inner"), "i" * 100)
        first.sync()
        self.world.login("b")
        mount = self.world.mount("b", "--library", "lib")
        why = lambda *names: self.json("why", mount.path(*names), client="b")
        os.stat(mount.path("big"))
        self.assertFalse(why("big")["complete"])
        with open(mount.path("big"), "rb") as file:
            file.read(1000)
        wait_until(lambda: why("big")["blocks_cached"] == 1, "the block is here as well")
        self.assertGreater(why("big")["blocks"], 1)
        get(mount.path("big"))
        wait_until(lambda: why("big")["complete"], "all of it is here")
        get(mount.path("small"))
        said = why()
        self.assertEqual((said["files"], said["files_cached"]), (2, 2))
        self.assertFalse(said["complete"])
        self.assertIn("1 folder not looked at yet",
                      self.world.nacre("why", mount.where, client="b"))

    def test_why_names_the_command_that_unlocks(self):
        self.world.library("secret", encrypted=True)
        mount = self.world.mount("a", "--library", "secret", secret=kit.PASSWORD)
        put(mount.path("file"), "text")
        self.world.nacre("lock", mount.where)
        for path in (mount.where, mount.path("file")):
            said = self.why(path)
            self.assertEqual(said["state"], "unsent" if said["pending_names"] else "locked")
            self.assertIn(f"nacre unlock {mount.where} 'secret'",
                          self.world.nacre("why", path))

    def test_attributes_tell_the_state(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", NEVER, "--library", "lib")
        put(mount.path("file"), "text")
        attributes = lambda: {name: os.getxattr(mount.path("file"), name).decode()
                              for name in os.listxattr(mount.path("file"))}
        self.assertEqual(attributes()["user.nacre.state"], "unsent")
        self.assertNotIn("user.nacre.id", attributes())
        mount.sync()
        said = attributes()
        self.assertEqual(said["user.nacre.state"], "synced")
        self.assertEqual(said["user.nacre.id"], self.why(mount.path("file"))["id"])
        self.assertEqual(said["user.nacre.library"], mount.status()["libraries"][0]["id"])

    # --- privacy ---

    def test_privacy_tells_who_can_see_what(self):
        self.world.library("plain")
        self.world.library("secret", encrypted=True)
        mount = self.world.mount("a", "-o", NEVER, "--unlock", "secret", secret=kit.PASSWORD)
        contents = os.urandom(100_000)
        for library in ("plain", "secret"):
            put(mount.path(library, "file"), contents)
        mount.sync()
        # What it says of the server, of this disk and of memory is what is there.
        blocks = self.world.path("storage", "storage", "blocks")
        for library, seen in (("plain", True), ("secret", False)):
            said = self.json("privacy", mount.path(library, "file"))
            self.assertEqual(said["server"]["contents"]["seen"], seen)
            stored = [get(os.path.join(folder, name))
                      for folder, _, names in os.walk(os.path.join(blocks, self.id_of(library)))
                      for name in names]
            self.assertEqual(any(contents[:64] in block for block in stored), seen)
            self.assertEqual(said["here"]["contents"]["device_key_opens"], seen)
            self.assertIn("1 of 1 block in " + self.world.path("a", "cache"),
                          said["here"]["contents"]["how"])
            for what in ("names", "structure", "sizes", "times", "who"):
                self.assertTrue(said["server"][what]["seen"], what)
        self.assertEqual(said["encryption"], 4)
        self.assertFalse(said["server"]["password"]["seen"])
        self.assertIn("in memory only", said["here"]["key"]["how"])
        self.assertTrue(os.path.exists(self.world.path("a", "state", "nacre", "127.0.0.1",
                                                       "device.key")))
        self.assertIn("device.key, for you only to read", said["here"]["device_key"]["how"])
        self.assertIn("does not leave this machine", said["transport"])
        put(mount.path("secret", "unsent"), "unsent")
        self.assertIn("1 change that it does not have yet",
                      self.world.nacre("privacy", mount.path("secret", "unsent")))
        self.world.nacre("lock", mount.where)
        said = self.json("privacy", mount.path("secret"))
        self.assertTrue(said["locked"])
        self.assertEqual(said["here"]["key"]["how"], "locked: not here")
        self.assertIn("ask for a path in it", self.world.nacre("privacy", mount.where))

    def id_of(self, name):
        return next(library["id"] for library in self.json("libraries")
                    if library["name"] == name)

    # --- bench ---

    def test_bench_measures_and_leaves_nothing(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        os.mkdir(mount.path("d"))
        put(mount.path("d", "file"), os.urandom(20_000_000))
        mount.sync()
        before = sorted(self.traces())
        said = self.json("bench", "--library", "lib", "--upload", "scratch", "--yes")
        for what in ("sha1", "aes_encrypt", "aes_decrypt", "seal", "disk_write", "disk_read",
                     "round_trip_microseconds", "download", "upload"):
            self.assertGreater(said[what], 0, what)
        self.assertEqual([library["name"] for library in self.json("libraries")], ["lib"])
        self.assertEqual(sorted(self.traces()), before)
        self.world.nacre("bench", "--upload", "scratch", expect=2)  # nobody to ask
        self.assertIn("is there already",
                      self.world.nacre("bench", "--upload", "lib", "--yes", expect=1))
        self.assertIn("no such library", self.world.nacre("bench", "--library", "x", expect=1))
        text = self.world.nacre("bench")
        self.assertIn("What to expect of a mount", text)
        self.assertNotIn("upload", text)

    def test_bench_that_is_interrupted_cleans_up(self):
        self.world.faults("PUT /block/ delay 3000")
        process = self.world.popen(["bench", "--upload", "scratch", "--yes"], "a",
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        names = lambda: [library["name"] for library in self.json("libraries")]
        wait_until(lambda: names() == ["scratch"], "it is made", 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertIn(b"interrupted", err)
        self.assertEqual(names(), [])

    # --- doctor and forget ---

    def doctor(self):
        process = self.world.popen(["doctor", "--json"], "a", stdout=subprocess.PIPE, text=True)
        out, _ = process.communicate(timeout=60)
        found = {finding["what"]: finding for finding in json.loads(out)}
        # Other mounts of this machine are looked at too.
        failed = any(finding["verdict"] == "fail" for finding in found.values())
        self.assertEqual(process.returncode, 1 if failed else 0, out)
        return found

    def test_doctor_finds_what_is_wrong_and_says_what_to_do(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        account = "127.0.0.1: "
        found = self.doctor()
        for what in ("fuse device", account + "token", account + "server version",
                     account + "clock", "mount " + mount.where):
            self.assertEqual(found[what]["verdict"], "ok", found[what])
        mount.kill()
        found = self.doctor()["mount " + mount.where]
        self.assertEqual((found["verdict"], found["found"]), ("fail", "its daemon has died"))
        self.assertIn(f"fusermount3 -u -z {mount.where}", found["advice"])
        mount.end_at_once()
        put(self.world.path("a", "config", "nacre", "accounts", "127.0.0.1.token"), "0" * 40)
        self.assertEqual(self.doctor()[account + "token"]["verdict"], "fail")
        self.world.stop_server()
        self.assertEqual(self.doctor()[account + "server"]["verdict"], "fail")

    def traces(self):
        top = self.world.path("a")
        return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]

    def test_forget_removes_every_trace_but_nothing_that_was_not_sent(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", f"{NEVER},timeout=3", "--library", "lib")
        put(mount.path("sent"), "sent")
        mount.sync()
        self.assertIn("is mounted", self.world.nacre("forget", "127.0.0.1", "--yes", expect=1))
        put(mount.path("unsent"), "the only copy")
        self.world.nacre("umount", mount.where, "--timeout", "0")
        mount.process.wait(10)
        before = self.traces()
        message = self.world.nacre("forget", "127.0.0.1", "--yes", expect=1)
        self.assertIn("1 change was never sent", message)
        self.world.nacre("forget", "127.0.0.1", "--force", expect=2)  # nobody to ask
        self.assertEqual(self.traces(), before)
        listed = self.world.nacre("forget", "127.0.0.1", "--force", "--yes")
        for place in ("config", "state", "cache"):
            self.assertIn(self.world.path("a", place, "nacre"), listed)
        self.assertEqual(self.traces(), [])
        self.assertIn("nothing of an account",
                      self.world.nacre("forget", "127.0.0.1", "--yes", expect=1))
        self.assertEqual(self.json("accounts"), [])
        self.world.nacre("forget", "../storage", "--yes", expect=1)

    # --- libraries ---

    def test_libraries_are_renamed_and_deleted(self):
        self.world.library("before")
        self.world.library("taken")
        self.world.nacre("libraries", "rename", "before", "taken", expect=1)
        self.world.nacre("libraries", "rename", "before", "a/b", expect=2)
        self.world.nacre("libraries", "rename", "before", "after & now")
        names = lambda: sorted(library["name"] for library in self.json("libraries"))
        self.assertEqual(names(), ["after & now", "taken"])
        self.world.nacre("libraries", "delete", "taken", expect=2)  # nobody to ask
        self.assertEqual(names(), ["after & now", "taken"])
        self.world.nacre("libraries", "delete", "taken", "--yes")
        self.assertEqual(names(), ["after & now"])
        self.assertIn("no such library",
                      self.world.nacre("libraries", "delete", "taken", "--yes", expect=1))

    def test_a_library_gets_another_password_and_keeps_its_contents(self):
        self.world.library("secret", encrypted=True)
        mount = self.world.mount("a", "--library", "secret", secret=kit.PASSWORD)
        put(mount.path("file"), "text under the key")
        mount.sync()
        message = self.world.nacre("libraries", "passwd", "secret", secret="wrong\nnew one",
                                   expect=3)
        self.assertIn("nothing was changed", message)
        self.world.nacre("libraries", "passwd", "secret", "--weak-password",
                         secret=kit.PASSWORD + "\nnew one")
        put(mount.path("later"), "written by who had it open")
        mount.sync()
        self.world.login("b")
        other = self.world.mount("b", "--library", "secret", secret="new one")
        self.assertEqual(get(other.path("file")), b"text under the key")
        self.assertEqual(get(other.path("later")), b"written by who had it open")
        self.world.nacre("lock", mount.where)
        self.world.nacre("unlock", mount.where, "secret", secret=kit.PASSWORD, expect=3)
        self.world.nacre("unlock", mount.where, "secret", secret="new one")
        self.assertEqual(get(mount.path("later")), b"written by who had it open")


if __name__ == "__main__":
    kit.run(220)
