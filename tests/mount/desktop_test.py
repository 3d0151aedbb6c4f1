#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a desktop is told, and how a mount sleeps: over a D-Bus of the test's own."""

import errno
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import kit
from kit import get, put, wait_until

PYTHON = "/usr/bin/python3"  # the one that Debian's python3-dbus is for
SERVICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bus_service.py")


class Service:
    """A bus, and a service on it: what it was asked for."""

    def __init__(self, kind):
        self.said = []
        self.bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = kit.read_line(self.bus, 20).strip()
        self.process = subprocess.Popen(
            [PYTHON, "-B", SERVICE, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": self.address})
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()
        self.wait(["ready"])

    def listen(self):
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def wait(self, what, count=1):
        wait_until(lambda: self.said.count(what) >= count, f"{what} in {self.said}", 20)

    def shown(self, summary):
        return [said for said in self.said if said[0] == "shown" and summary in said[2]]

    def wait_shown(self, summary):
        return wait_until(lambda: self.shown(summary), f"{summary} in {self.said}", 20)[-1]

    def end(self):
        for process in self.process, self.bus:
            process.kill()
            process.wait(10)
        self.reader.join(10)
        self.process.stdin.close()
        self.process.stdout.close()
        self.bus.stdout.close()


def is_reading(thread, path):
    """Whether a thread waits in a system call on an open file."""
    try:
        words = get(f"/proc/self/task/{thread.native_id}/syscall").split()
        return os.readlink(f"/proc/self/fd/{int(words[1], 16)}") == path
    except (OSError, IndexError, TypeError):
        return False


class OnABus(kit.ServedCase):
    def service(self, kind, variable):
        service = Service(kind)
        self.addCleanup(service.end)
        self.world.buses[variable] = service.address
        return service


class Notified(OnABus):
    def setUp(self):
        super().setUp()
        self.desktop = self.service("notifications", "DBUS_SESSION_BUS_ADDRESS")

    def parked(self, client, *options):
        """A mount with deletions that wait."""
        mount = self.world.mount(client, "-o", "max-deletions=2", *options, "--library", "lib")
        names = [f"secret name {n} of {client}" for n in range(3)]
        for name in names:
            put(mount.path(name), name)
        mount.sync()
        for name in names:
            os.unlink(mount.path(name))
        wait_until(lambda: mount.status()["libraries"][0]["state"] == "parked", "it is parked")
        return mount

    def test_deletions_that_wait_are_shown_once_until_they_are_confirmed(self):
        self.world.library("lib")
        self.world.login("b")
        silent = self.parked("a", "-o", "notify=no")
        mount = self.parked("b")
        _, number, _, body = self.desktop.wait_shown("deletions")
        self.assertIn("lib: ", body)
        self.assertIn("--confirm-deletes", body)
        self.assertNotIn("secret", body)
        self.assertIn(mount.where, body)
        self.world.nacre("sync", mount.where, "--confirm-deletes", client="b")
        self.desktop.wait(["closed", number])
        self.assertEqual(len(self.desktop.shown("")), 1)
        self.assertEqual(silent.status()["libraries"][0]["state"], "parked")

    def test_a_password_is_wanted_when_somebody_looks(self):
        self.world.library("Private & <more>", encrypted=True)
        self.world.library("plain")
        mount = self.world.mount("a")
        private = mount.path("Private & <more>")
        with self.assertRaises(PermissionError):
            os.listdir(private)
        _, number, _, body = self.desktop.wait_shown("password")
        self.assertIn("Private &amp; &lt;more&gt; is locked", body)
        with self.assertRaises(PermissionError):
            os.listdir(private)
        self.world.nacre("unlock", mount.where, "Private & <more>", secret=kit.PASSWORD)
        self.desktop.wait(["closed", number])
        self.world.nacre("lock", mount.where)
        with self.assertRaises(PermissionError):
            os.listdir(private)
        wait_until(lambda: len(self.desktop.shown("password")) == 2, "it is shown again", 20)

    def test_conflict_copies_are_shown(self):
        self.world.library("lib", encrypted=True)
        self.world.login("b")
        mounts = [self.world.mount(client, "-o", "quiet=3600000", "--library", "lib",
                                   secret=kit.PASSWORD) for client in "ab"]
        for mount in mounts:
            put(mount.path("secret name"), "by " + mount.client)
        for mount in mounts:
            mount.sync()
        _, _, _, body = self.desktop.wait_shown("Conflict")
        self.assertIn("lib: 1 file", body)
        self.assertNotIn("secret", body)


    def test_a_full_account_and_a_server_that_went_back_are_shown(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib")
        put(mount.path("secret one"), "1")
        mount.sync()
        self.world.faults("GET permission-check/.op=upload status 443")
        put(mount.path("secret two"), "2")
        _, number, _, body = self.desktop.wait_shown("full")
        self.assertNotIn("secret", body)
        self.world.stop_server()
        storage, backup = self.world.path("storage"), self.world.path("backup")
        shutil.copytree(storage, backup)
        self.world.faults()
        self.world.start_server()
        mount.sync()
        self.desktop.wait(["closed", number])
        self.world.stop_server()
        shutil.rmtree(storage)
        os.rename(backup, storage)
        self.world.start_server()
        _, number, _, body = self.desktop.wait_shown("went back")
        self.assertIn("lib: ", body)
        self.world.nacre("sync", mount.where, "--accept-rollback")
        self.desktop.wait(["closed", number])
        self.assertEqual(len(self.desktop.shown("")), 2)


class Asleep(OnABus):
    def setUp(self):
        super().setUp()
        self.logind = self.service("logind", "DBUS_SYSTEM_BUS_ADDRESS")

    def asks_for_a_block(self):
        """Whether a mount has sent the request."""
        records = self.world.records
        return any(re.search(rb"GET \S+/block/", get(os.path.join(records, name)))
                   for name in os.listdir(records))

    def test_nothing_keeps_the_machine_awake_and_the_server_is_tried_after_it(self):
        self.world.library("lib", encrypted=True)
        mount = self.world.mount("a", "--lock-on-sleep", "-o", "poll=3600,timeout=600", "--library",
                                 "lib", secret=kit.PASSWORD)
        self.logind.wait(["inhibited", "sleep", "nacre", "delay"])
        put(mount.path("file"), os.urandom(100_000))
        mount.sync()
        self.world.nacre("evict", mount.path("file"))
        self.world.faults("GET /block/ hang 60")
        failures = []

        def read():
            # As one request: what fails of a readahead the kernel asks for once more, and by then
            # the library may be locked.
            fd = os.open(mount.path("file"), os.O_RDONLY | os.O_DIRECT)
            try:
                with mmap.mmap(-1, 4096) as page:
                    os.readv(fd, [page])
            except OSError as error:
                failures.append(error.errno)
            finally:
                os.close(fd)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        wait_until(lambda: is_reading(reader, mount.path("file")), "the read waits")
        wait_until(self.asks_for_a_block, "it is the server that it waits for")
        self.assertEqual(failures, [])
        begin = time.monotonic()
        self.logind.tell("sleep")
        self.logind.wait(["released"])
        reader.join(5)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(failures, [errno.ETIMEDOUT])
        with self.assertRaises(PermissionError):
            os.listdir(mount.where)
        self.assertTrue(mount.status()["libraries"][0]["locked"])

        self.world.faults()
        self.logind.tell("wake")
        self.logind.wait(["inhibited", "sleep", "nacre", "delay"], 2)
        wait_until(lambda: mount.status()["connection_error"] is None, "the server is tried")
        self.world.nacre("unlock", mount.where, "lib", secret=kit.PASSWORD)
        self.assertEqual(len(get(mount.path("file"))), 100_000)
        self.assertEqual(mount.end(), 0)
        self.logind.wait(["released"], 2)  # nothing is left of it


if __name__ == "__main__":
    if not shutil.which("dbus-daemon") or \
            subprocess.run([PYTHON, "-c", "import dbus, gi"], capture_output=True,
                           check=False).returncode != 0:
        print("skipped: needs dbus-daemon, python3-dbus and python3-gi")
        sys.exit(77)
    kit.run(200)
