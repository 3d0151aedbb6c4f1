#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The brake on deletions, as who types the commands meets it."""

import os
import shutil

import kit
from kit import put, wait_until


class Brake(kit.ServedCase):
    def library_state(self, mount, name):
        return next(each for each in mount.status()["libraries"] if each["name"] == name)

    def wait_parked(self, mount, name):
        return wait_until(lambda: self.library_state(mount, name)["state"] == "parked" and
                          self.library_state(mount, name), f"{name} is parked")

    def test_rm_r_of_many_files_waits_for_a_word(self):
        for name in "one", "two":
            self.world.library(name)
        mount = self.world.mount("a")
        for name in "one", "two":
            os.mkdir(mount.path(name, "node_modules"))
            for n in range(501):
                put(mount.path(name, "node_modules", f"{n}.js"), str(n))
        mount.sync()
        for name in "one", "two":
            shutil.rmtree(mount.path(name, "node_modules"))
        state = self.wait_parked(mount, "one")
        self.wait_parked(mount, "two")
        self.assertEqual(state["confirm"], f"nacre sync '{mount.path('one')}' --confirm-deletes")
        text = self.world.nacre("status", mount.where)
        self.assertIn("one: parked, 1 changes unsent", text)
        self.assertIn("one: more than 500 files would be deleted or overwritten", text)
        self.assertNotIn("next try", text)
        why = self.json("why", mount.path("one", "node_modules"))
        self.assertEqual((why["state"], why["waits_for"]), ("removed", "confirmation"))
        # Ended with a word of what is left, and parked when it is begun again.
        self.assertEqual(mount.end(), 0)
        mount.start()
        self.wait_parked(mount, "two")
        self.wait_parked(mount, "one")
        said = self.world.nacre("sync", mount.where, "--wait", expect=1)
        self.assertIn("--confirm-deletes", said)
        self.world.nacre("sync", mount.path("one"), "--confirm-deletes")
        self.assertEqual(self.library_state(mount, "one")["state"], "synced")
        self.assertEqual(self.library_state(mount, "two")["state"], "parked")
        # The other is undone: it needs no word.
        os.mkdir(mount.path("two", "node_modules"))
        for n in range(501):
            put(mount.path("two", "node_modules", f"{n}.js"), str(n))
        wait_until(lambda: self.library_state(mount, "two")["state"] == "synced", "it goes on")
        self.assertIn("no deletions wait", self.world.nacre(
            "sync", mount.where, "--confirm-deletes", expect=1))

    def test_the_limit_can_be_another_or_none(self):
        self.world.library("lib")
        for limit, state in ("3", "parked"), ("0", "synced"):
            mount = self.world.mount("a", "--library", "lib", "-o", f"max-deletions={limit}")
            for n in range(4):
                put(mount.path(f"{n}"), str(n))
            mount.sync()
            for n in range(4):
                os.unlink(mount.path(f"{n}"))
            wait_until(lambda: mount.status()["libraries"][0]["state"] == state, state)
            self.world.nacre("umount", mount.where)
            mount.process.wait(30)
        for wrong in "many", "-1", "":
            self.world.nacre("mount", "-o", f"max-deletions={wrong}", self.world.path("mnt-a"),
                             expect=2)


if __name__ == "__main__":
    kit.run(200)
