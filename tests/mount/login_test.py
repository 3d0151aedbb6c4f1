#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logging in with a browser, as servers with single sign-on want it, and passwords for libraries."""

import os
import re
import signal
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request

import kit
from kit import get, put

WEAK = "sommer2024"


class Browser(kit.ServedCase):
    def begin(self, *options, client="b"):
        self.process = self.world.popen(
            ["login", self.world.url, "--browser", *options], client, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(self.process.communicate, timeout=20)
        self.addCleanup(self.process.kill)
        kit.read_line(self.process, 20)
        return kit.read_line(self.process, 20).decode().strip()

    def log_in(self, link, password="secret of user"):
        form = urllib.parse.urlencode({"username": kit.USER, "password": password}).encode()
        with urllib.request.urlopen(link, data=form, timeout=20) as page:
            return page.read().decode()

    def test_who_logs_in_behind_the_link_logs_the_program_in(self):
        link = self.begin()
        self.assertTrue(link.startswith(self.world.url + "/client-sso/"), link)
        self.assertIn("shib_device_name=", link)
        with self.assertRaises(urllib.error.HTTPError):
            self.log_in(link, "wrong")
        self.assertIn("logged in", self.log_in(link))
        out, err = self.process.communicate(timeout=20)
        self.assertEqual(self.process.returncode, 0, err)
        self.assertIn(f"as {kit.USER}", out.decode())
        self.world.library("lib")
        mount = self.world.mount("b", "--library", "lib")
        put(mount.path("file"), "text")
        mount.sync()
        # The link is of no use to anybody after that.
        with self.assertRaises(urllib.error.HTTPError):
            self.log_in(link)

    def test_interrupted_it_leaves_nothing(self):
        self.begin(client="c")
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=20)
        self.assertIn(b"interrupted", err)
        home = self.world.path("c")
        self.assertEqual([name for _, _, names in os.walk(home) for name in names], [])

    def test_a_server_without_it_says_what_to_do(self):
        self.world.faults("POST /api2/client-sso-link/ status 404")
        message = self.world.nacre("login", self.world.url, "--browser", client="b", expect=1)
        self.assertIn("no login by browser", message)
        self.assertIn("--token-fd", message)
        self.world.nacre("login", self.world.url, "--browser", "--user", "x", expect=2)

    def test_on_a_desktop_it_is_opened_without_telling_other_users(self):
        programs = self.world.path("bin")
        opened = self.world.path("opened")
        os.makedirs(programs)
        put(os.path.join(programs, "xdg-open"),
            f'#!/bin/sh\ncp "$1" {opened}.new\necho "$1" > {opened}.name\nmv {opened}.new {opened}\n',
            mode=0o755)
        environment = self.world.environment
        self.world.environment = lambda client: {
            **environment(client), "DISPLAY": ":nowhere", "PATH": f"{programs}:{os.environ['PATH']}"}
        link = self.begin()
        kit.wait_until(lambda: os.path.exists(opened), "the page is opened")
        page = re.search(r'url=([^"]+)"', get(opened).decode())[1]
        self.assertEqual(page.replace("&#38;", "&"), link)
        name = get(opened + ".name").decode().strip()
        self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)
        self.log_in(link)
        self.assertEqual(self.process.wait(20), 0)
        self.assertFalse(os.path.exists(name))


class Passwords(kit.ServedCase):
    def test_a_weak_one_is_refused_unless_somebody_insists(self):
        create = lambda *options, **how: self.world.nacre("libraries", "create", "lib",
                                                          "--encrypted", *options, **how)
        message = create(secret=WEAK, expect=1)
        self.assertIn("9 million guesses a second on one graphics card", message)
        self.assertRegex(message, r"would stand for (\d+ (second|minute|hour)|less than a second)")
        self.assertIn("--generate-password", message)
        self.assertEqual(self.json("libraries"), [])
        create("--weak-password", secret=WEAK)
        message = self.world.nacre("libraries", "passwd", "lib", secret=f"{WEAK}\nlibrary1",
                                   expect=1)
        self.assertIn("too easy to guess", message)
        self.world.nacre("libraries", "passwd", "lib", secret=f"{WEAK}\n{kit.PASSWORD}")
        mount = self.world.mount("a", "--library", "lib", secret=kit.PASSWORD)
        self.assertEqual(os.listdir(mount.where), [])

    def made(self, *words):
        """The password that a command writes to a descriptor."""
        reading, writing = os.pipe()
        process = subprocess.Popen([kit.NACRE, *words, "--show-fd", str(writing)],
                                   env=self.world.environment("a"), pass_fds=[writing],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(writing)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        with os.fdopen(reading) as shown:
            password = shown.read().strip()
        self.assertNotIn(password.encode(), out + err)
        self.assertRegex(password, r"^([a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}$")
        self.world.passwords.add(password.encode())
        return password

    def test_one_is_made_and_shown_once(self):
        password = self.made("libraries", "create", "lib", "--encrypted", "--generate-password")
        self.assertNotEqual(password, self.made("password"))
        self.assertIn("no terminal", self.world.nacre("password", expect=1))
        mount = self.world.mount("a", "--library", "lib", secret=password)
        put(mount.path("file"), "text")
        mount.sync()

    def test_libraries_are_of_the_newest_version_that_is_safe(self):
        from wire import Wire
        wire = Wire(self.world)
        versions = {}
        for name, options in (("new", ()), ("old", ("--encryption", "2"))):
            self.world.nacre("libraries", "create", name, "--encrypted", *options,
                             secret=kit.PASSWORD)
            head = wire.head(wire.id_of(name))
            versions[name] = (head["enc_version"], len(head.get("salt") or ""))
        self.assertEqual(versions, {"new": (4, 64), "old": (2, 0)})


if __name__ == "__main__":
    kit.run()
