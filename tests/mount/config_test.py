#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The configuration file: whose options apply, and how mistakes in it are told."""

import os

import kit
from kit import put


class Modes(kit.ServedCase):
    def checked(self, *arguments):
        """Whether the kernel checks modes, in a mount with these arguments."""
        mount = self.world.mount("a", "--library", "lib", *arguments)
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            options = next(line.split()[-1] for line in lines if f" {mount.where} " in line)
        if "--read-only" in arguments:
            self.assertFalse(os.access(mount.path(), os.W_OK))
        else:
            put(mount.path("script"), "")
            self.assertFalse(os.access(mount.path("script"), os.X_OK))
            os.chmod(mount.path("script"), 0o755)
            self.assertTrue(os.access(mount.path("script"), os.X_OK | os.W_OK))
            os.unlink(mount.path("script"))
        os.chdir(mount.path())
        os.chdir("/")
        mount.end()
        return "default_permissions" in options.split(",")

    def test_the_kernel_checks_them_where_they_could_keep_somebody_out(self):
        self.world.library("lib")
        self.assertFalse(self.checked())
        self.assertFalse(self.checked("-o", "umask=077"))
        self.assertFalse(self.checked("--read-only"))
        self.assertTrue(self.checked("-o", "allow_other"))
        self.assertTrue(self.checked("-o", "uid=1234"))
        self.assertTrue(self.checked("-o", "fmask=0200"))
        self.assertTrue(self.checked("-o", "default_permissions"))


class ConfigFile(kit.ServedCase):
    def config(self, text, mode=0o600):
        self.world.environment("a")
        folder = self.world.path("a", "config", "nacre")
        os.makedirs(folder, exist_ok=True)
        self.file = os.path.join(folder, "nacre.conf")
        put(self.file, text, mode)

    def options(self, mount):
        """Of a mount: whether it can be written, and which libraries there are."""
        writable = os.access(mount.where, os.W_OK)
        return writable, sorted(each["name"] for each in mount.status()["libraries"])

    def test_options_of_all_mounts_and_of_one_and_the_command_line_wins(self):
        for name in "one", "two":
            self.world.library(name)
        where = self.world.path("mnt-a")
        self.config(f"""
[mount {where}]
library = ["one", "two"]
noatime = true
allow_other = false

# What I like.
[mount]
read-only = true        # look, do not touch
cache-limit = "20M"
library = "three"

[mount /somewhere.else]
library = four
""")
        mount = self.world.mount("a")
        self.assertEqual(mount.status()["mountpoint"], where)
        with self.assertRaises(OSError):
            put(mount.path("one", "new"), "x")
        self.assertEqual(self.options(mount)[1], ["one", "two"])
        self.assertEqual(mount.end(), 0)
        mount = self.world.mount("a", "--library", "two", "-o", "rw")
        put(mount.path("new"), "x")
        self.assertEqual(self.options(mount)[1], ["two"])
        self.assertEqual(mount.end(), 0)
        # By the name of the source; and as mount(8) mounts.
        self.config("[mount 127.0.0.1]\nlibrary = one\nmax-deletions = 7\n")
        mount = self.world.mount("a", source="127.0.0.1")
        self.assertEqual(self.options(mount)[1], ["one"])
        self.assertEqual(mount.end(), 0)

    def test_a_password_comes_from_a_command(self):
        self.world.library("Private", encrypted=True)
        self.config(f'[mount]\nunlock = "Private"\npassword-command = "echo {kit.PASSWORD}"\n')
        mount = self.world.mount("a")
        self.assertEqual(os.listdir(mount.path("Private")), [])

    def test_mistakes_are_told_with_their_place(self):
        where = self.world.path("mnt-a")
        os.mkdir(where)
        for text, said in (("[mount]\ncache-limits = 1G\n", "[mount] cache-limits"),
                           ("[mount]\npoll = soon\n", "[mount] poll=soon: not a number"),
                           ("[mount /other]\nnotify = maybe\n", "[mount /other] notify=maybe"),
                           ("[mount]\npassword = secret\n", "[mount] password"),
                           ("[mount]\npassword-command = pass show x\n",
                            "[mount] password-command: more than one value"),
                           ("[mounts]\npoll = 3\n", "[mounts] poll: options stand in sections"),
                           ("poll = 3\n", "[] poll: options stand in sections")):
            self.config(text)
            error = self.world.nacre("mount", where, expect=2)
            self.assertIn(f"{self.file}: {said}", error)
        self.config("[mount]\npoll = 3\n", mode=0o666)
        self.assertIn("others may write it", self.world.nacre("mount", where, expect=3))
        self.assertFalse(kit.is_mounted(where))


if __name__ == "__main__":
    kit.run(200)
