#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens, device keys and passwords in the keyring of the session: gnome-keyring's Secret Service
on a bus of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import unittest

import kit
from kit import get, put, wait_until

ALIAS = "127.0.0.1"
NEW = "another password of the same library"

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class Session:
    """A session bus, and a Secret Service on it whose keyring is open."""

    def __init__(self, folder):
        self.environment = {**os.environ, "HOME": folder, "XDG_RUNTIME_DIR": folder,
                            "XDG_DATA_HOME": os.path.join(folder, "data"), "LC_ALL": "C.UTF-8"}
        config = os.path.join(folder, "bus.conf")
        put(config, BUS.format(folder))
        self.bus = subprocess.Popen(["dbus-daemon", "--config-file", config, "--nofork",
                                     "--print-address"],
                                    env=self.environment, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True)
        self.address = self.bus.stdout.readline().strip()
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = self.address
        self.service = None

    def start_service(self, *options):
        self.service = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", *options],
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        if options:
            self.service.stdin.write(b"password of the keyring")
        self.service.stdin.close()
        wait_until(lambda: b"true" in self.call(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner",
            "string:org.freedesktop.secrets"), "the Secret Service is there")
        if options:
            wait_until(lambda: b"boolean false" in self.ask("Locked"), "its keyring is open")

    def call(self, name, path, method, *arguments):
        return subprocess.run(
            ["dbus-send", "--session", "--print-reply", f"--dest={name}", path, method, *arguments],
            env=self.environment, capture_output=True, check=False, timeout=20).stdout

    def stop_service(self):
        if self.service is not None:
            self.service.send_signal(signal.SIGTERM)
            self.service.wait(10)
            self.service = None

    def items(self):
        """How many secrets the keyring has."""
        return self.ask("Items").count(b"object path")

    def ask(self, what):
        return self.call("org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login",
                         "org.freedesktop.DBus.Properties.Get",
                         "string:org.freedesktop.Secret.Collection", "string:" + what)

    def close(self):
        self.stop_service()
        self.bus.terminate()
        self.bus.wait(10)
        self.bus.stdout.close()


class World(kit.World):
    def __init__(self):
        super().__init__()
        folder = self.path("session")
        os.makedirs(folder, mode=0o700)
        self.session = Session(folder)

    def environment(self, client):
        return {**super().environment(client), "DBUS_SESSION_BUS_ADDRESS": self.session.address}


class Keyring(kit.Case):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.world.session.close)
        self.addCleanup(self.logs_on_failure, self.world)
        self.world.serve()

    def state(self, *names):
        return self.world.path("a", "state", "nacre", ALIAS, *names)

    def token_file(self):
        return self.world.path("a", "config", "nacre", "accounts", ALIAS + ".token")

    def keyring_finding(self):
        process = self.world.popen(["doctor", "--json"], "a", stdout=subprocess.PIPE, text=True)
        out, _ = process.communicate(timeout=60)
        return next(found["found"] for found in json.loads(out) if found["what"] == "keyring")

    def test_without_a_service_there_are_files_and_that_is_said(self):
        said = self.world.nacre("login", self.world.url, "--user", kit.USER, secret="secret of user")
        self.assertIn(f"Its token is in {self.token_file()}, for you only to read", said)
        self.assertEqual(os.stat(self.token_file()).st_mode & 0o777, 0o600)
        self.assertIn("file", self.world.nacre("accounts"))
        self.assertIn("in files that only you can read", self.keyring_finding())
        self.world.library("lib", encrypted=True)
        mount = self.world.mount("a", "--library", "lib", secret=kit.PASSWORD)
        self.assertEqual(os.path.getsize(self.state("device.key")), 32)
        self.assertIn("who steals the whole disk has it", self.world.nacre("privacy", mount.where))
        message = self.world.nacre("unlock", mount.where, "lib", "--remember-password",
                                   secret=kit.PASSWORD, expect=1)
        self.assertIn("there is no keyring", message)

    def test_token_and_device_key_are_in_the_keyring(self):
        self.world.session.start_service("--unlock")
        said = self.world.nacre("login", self.world.url, "--user", kit.USER, secret="secret of user")
        self.assertIn("Its token is in the keyring of your session", said)
        self.assertFalse(os.path.exists(self.token_file()))
        self.assertIn("keyring", self.world.nacre("accounts"))
        self.assertIn("are kept there", self.keyring_finding())
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        put(mount.path("file"), "one")
        mount.sync()
        self.assertEqual(get(self.state("device.key")), b"keyring\n")
        self.assertIn("in the keyring of your session", self.world.nacre("privacy", mount.where))
        # The session ends, with its bus; the mount goes on.
        self.assertEqual(self.world.session.items(), 2)
        self.world.session.stop_service()
        put(mount.path("file"), "two")
        mount.sync()
        self.assertEqual(mount.end(), 0)
        message = self.world.nacre("mount", "--foreground", mount.where, expect=3)
        self.assertIn("its token is in the keyring, which cannot be asked", message)
        self.world.session.start_service("--unlock")
        mount.start()
        self.assertEqual(get(mount.path("file")), b"two")
        self.assertEqual(mount.end(), 0)
        self.world.nacre("logout")
        self.assertEqual(self.world.session.items(), 1)
        self.world.nacre("forget", ALIAS, "--yes")
        self.assertEqual(self.world.session.items(), 0)

    def test_a_bus_that_says_nothing_is_not_waited_for(self):
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(self.world.path("silent"))
            silent.listen()
            environment = self.world.environment
            self.world.environment = lambda client: {
                **environment(client),
                "DBUS_SESSION_BUS_ADDRESS": "unix:path=" + self.world.path("silent")}
            said = self.world.nacre("login", self.world.url, "--user", kit.USER,
                                    secret="secret of user", timeout=20)
        self.assertIn("for you only to read", said)

    def test_a_mount_outlives_the_bus(self):
        self.world.session.start_service("--unlock")
        self.world.login("a")
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        self.world.session.close()
        put(mount.path("file"), "written after the session")
        mount.sync()
        self.assertIsNone(mount.process.poll())

    def test_a_password_is_remembered_only_if_somebody_says_so(self):
        self.world.session.start_service("--unlock")
        self.world.login("a")
        self.world.library("lib", encrypted=True)
        mount = self.world.mount("a", "--unlock", "lib", secret=kit.PASSWORD)
        put(mount.path("lib", "file"), "one")
        mount.sync()
        before = self.world.session.items()
        unlock = lambda *options, **how: self.world.nacre("unlock", mount.where, "lib", *options,
                                                          **how)
        lock = lambda *options: self.world.nacre("lock", mount.where, *options)
        lock()
        unlock(secret=kit.PASSWORD)
        lock()
        self.assertIn("no terminal to ask on", unlock(expect=1))
        unlock("--remember-password", secret=kit.PASSWORD)
        self.assertEqual(self.world.session.items(), before + 1)
        lock()
        unlock()
        self.assertEqual(get(mount.path("lib", "file")), b"one")
        # It is changed with the library's.
        self.world.nacre("libraries", "passwd", "lib", secret=f"{kit.PASSWORD}\n{NEW}")
        lock()
        unlock()
        self.assertEqual(self.world.session.items(), before + 1)
        # Also for a mount that begins.
        self.assertEqual(mount.end(), 0)
        again = self.world.mount("a", "--unlock", "lib")
        self.assertEqual(get(again.path("lib", "file")), b"one")
        lock("--forget")
        self.assertEqual(self.world.session.items(), before)
        self.assertIn("no terminal to ask on", unlock(expect=1))
        self.assertEqual(again.end(), 0)
        third = self.world.mount("a", "--unlock", "lib", "--remember-password", secret=NEW)
        self.assertEqual(self.world.session.items(), before + 1)
        lock()
        unlock()
        self.assertEqual(get(third.path("lib", "file")), b"one")
        self.world.nacre("logout")
        self.assertEqual(self.world.session.items(), 1)  # the device key: unsent changes need it


if __name__ == "__main__":
    for program in ("dbus-daemon", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            print("skipped: no " + program)
            sys.exit(77)
    kit.run()
