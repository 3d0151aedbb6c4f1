#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that are away: refused, black holes, back again; mounts begun and ended without one."""

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import kit
from kit import get, put, wait_until

TIMEOUT = 6  # of the mounts here, in seconds
PROMPT = 5  # what does not wait for a server may take so long on a loaded machine

# As cat(1), which dies of Ctrl-C: a handler of Python's own would wait for the read to end.
READER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
fd = os.open(sys.argv[1], os.O_RDONLY)
print("opened", flush=True)
os.read(fd, 1)
"""


class BlackHole:
    """Stands where the server stood, takes connections, and never says a word."""

    def __init__(self, port):
        self.listener = socket.socket()
        for option in socket.SO_REUSEADDR, socket.SO_REUSEPORT:  # as the server has them
            self.listener.setsockopt(socket.SOL_SOCKET, option, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(256)
        self.taken = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.swallow, daemon=True)
        self.thread.start()

    def swallow(self):
        while not self.ended.is_set():
            ready, _, _ = select.select([self.listener], [], [], 0.1)
            if ready:
                self.taken.append(self.listener.accept()[0])

    def close(self):
        self.ended.set()
        self.thread.join(10)
        self.listener.close()
        for connection in self.taken:
            connection.close()


class Timed:
    """What is done inside may take `seconds`."""

    def __init__(self, seconds, what):
        self.seconds, self.what = seconds, what

    def __enter__(self):
        self.began = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.began
        if kind is None and took > self.seconds:
            raise AssertionError(f"{self.what}: {took:.1f} s, more than {self.seconds} s")


class Offline(kit.ServedCase):
    def mount(self, *arguments, poll=1, quiet=300, timeout=TIMEOUT, **others):
        options = f"poll={poll},quiet={quiet},timeout={timeout}"
        return self.world.mount("a", "-o", options, *arguments, **others)

    def filled(self, *arguments, cold=True, **others):
        """A mount with cached and (if cold) uncached files on the server."""
        mount = self.mount(*arguments, **others)
        os.mkdir(mount.path("warm"))
        put(mount.path("warm", "a"), "cached")
        put(mount.path("warm", "b"), os.urandom(300_000))
        os.mkdir(mount.path("cold"))
        for n in range(5):
            os.makedirs(mount.path("cold", f"d{n}"))
            put(mount.path("cold", f"d{n}", "file"), f"of {n}")
        mount.sync()
        mount.end()
        if cold:
            self.forget_cache(mount)
        mount.start()
        kit.tree(mount.path("warm"))
        return mount

    def forget_cache(self, mount):
        cache = os.path.join(self.world.top, mount.client, "cache")
        subprocess.run(["rm", "-rf", cache], check=True)

    def stop_server(self):
        """At once: no farewell to anybody."""
        self.world.kill_server()

    def black_hole(self):
        self.stop_server()
        hole = BlackHole(self.world.port)
        self.addCleanup(hole.close)
        return hole

    def away(self, mount):
        wait_until(lambda: mount.status()["connection_error"], "the mount knows that it is alone")

    def other_side(self, library, secret=None):
        """The tree as another machine sees it on the server."""
        self.world.login("b")
        other = self.world.mount("b", "--library", library, secret=secret)
        return other

    def fails_with(self, code, call, *arguments):
        with self.assertRaises(OSError) as caught:
            call(*arguments)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[code])

    # --- refused ---

    def test_what_is_cached_goes_on_and_all_is_sent_when_the_server_is_back(self):
        self.world.library("lib")
        mount = self.filled("--library", "lib", poll=3600)
        before = kit.tree(mount.path("warm"))
        self.stop_server()
        for n in range(20):
            put(mount.path("warm", f"new {n}"), f"written {n}")
        os.rename(mount.path("warm", "a"), mount.path("warm", "moved"))
        os.mkdir(mount.path("made"))
        with open(mount.path("warm", "b"), "r+b") as file:
            file.seek(100_000)
            file.write(b"patched")
        self.away(mount)
        with Timed(PROMPT, "cached files while the server is away"):
            self.assertEqual(get(mount.path("warm", "moved")), b"cached")
            self.assertEqual(len(kit.tree(mount.path("warm"))), len(before) + 20)
            os.statvfs(mount.where)
            os.stat(mount.path("warm", "b"))
            self.assertEqual(sorted(os.listdir(mount.where)), ["cold", "made", "warm"])
        expected = kit.tree(mount.path("warm"))
        self.assertGreater(mount.status()["libraries"][0]["pending_names"], 20)
        self.world.start_server()
        # Nobody asks for it: the follower looks again soon, though it polls once an hour.
        wait_until(lambda: mount.status()["libraries"][0]["pending_names"] == 0, "all is sent", 40)
        self.assertIsNone(mount.status()["connection_error"])
        other = self.other_side("lib")
        self.assertEqual(kit.tree(other.path("warm")), expected)
        self.assertEqual(sorted(os.listdir(other.where)), ["cold", "made", "warm"])

    def test_what_is_not_cached_fails_fast_and_is_never_an_empty_folder(self):
        self.world.library("lib")
        mount = self.filled("--library", "lib")
        self.stop_server()
        self.away(mount)
        with Timed(2 * PROMPT, "a walk over everything"):
            for n in range(5):
                self.fails_with(errno.ETIMEDOUT, os.listdir, mount.path("cold", f"d{n}"))
                self.fails_with(errno.ETIMEDOUT, get, mount.path("cold", f"d{n}", "file"))
            self.assertEqual(get(mount.path("warm", "a")), b"cached")
        self.world.start_server()
        wait_until(lambda: not mount.status()["connection_error"], "the server is back")
        self.assertEqual(get(mount.path("cold", "d3", "file")), b"of 3")

    # --- mounting without a server ---

    def test_mounting_without_the_server_shows_what_was_known(self):
        self.world.library("plain")
        self.world.library("secret", encrypted=True)
        self.world.library("never opened")
        mount = self.mount("--unlock", "secret", secret=kit.PASSWORD, quiet=3_600_000)
        for library in "plain", "secret":
            put(mount.path(library, "sent"), f"in {library}")
        mount.sync()
        kit.tree(mount.path("plain"))
        put(mount.path("secret", "unsent"), "not yet")
        self.stop_server()
        self.away(mount)
        mount.kill()
        mount.start()
        self.assertIn("connection", json.dumps(mount.status()))
        self.assertIsNotNone(mount.status()["connection_error"])
        self.assertIn("going on without the server", mount.log())
        with Timed(PROMPT, "what is known"):
            self.assertEqual(sorted(os.listdir(mount.where)), ["never opened", "plain", "secret"])
            self.assertEqual(get(mount.path("plain", "sent")), b"in plain")
            self.assertEqual(get(mount.path("secret", "sent")), b"in secret")
            self.assertEqual(get(mount.path("secret", "unsent")), b"not yet")
            self.fails_with(errno.ETIMEDOUT, os.listdir, mount.path("never opened"))
        put(mount.path("plain", "made offline"), "1")
        self.world.nacre("lock", mount.where, "secret")
        self.fails_with(errno.EACCES, get, mount.path("secret", "sent"))
        self.world.nacre("unlock", mount.where, "secret", secret="wrong", expect=3)
        self.world.nacre("unlock", mount.where, "secret", secret=kit.PASSWORD)
        self.assertEqual(get(mount.path("secret", "sent")), b"in secret")
        self.world.start_server()
        wait_until(lambda: not mount.status()["connection_error"], "the server is back")
        self.assertEqual(os.listdir(mount.path("never opened")), [])
        mount.sync()
        other = self.other_side("plain")
        self.assertEqual(get(other.path("made offline")), b"1")

    def test_the_first_mount_ever_needs_the_server(self):
        self.stop_server()
        where = os.path.join(self.world.top, "first")
        os.mkdir(where)
        message = self.world.nacre("mount", where, expect=4)
        self.assertIn("the server is needed", message)
        self.assertFalse(kit.is_mounted(where))

    def test_changes_made_offline_survive_a_remount_and_are_sent_in_order(self):
        self.world.library("lib", encrypted=True)
        mount = self.mount("--library", "lib", secret=kit.PASSWORD)
        put(mount.path("a"), "first")
        mount.sync()
        self.stop_server()
        put(mount.path("a"), "second")
        self.away(mount)
        with Timed(20, "the end of a mount without its server"):
            self.assertEqual(mount.end(), 0)
        self.assertIn("not on the server yet", mount.log())
        mount.start()
        self.assertEqual(get(mount.path("a")), b"second")
        put(mount.path("a"), "third")
        os.mkdir(mount.path("d"))
        os.rename(mount.path("a"), mount.path("d", "a"))
        expected = kit.tree(mount.where)
        mount.kill()
        mount.start()
        self.assertEqual(kit.tree(mount.where), expected)
        self.world.start_server()
        wait_until(lambda: mount.status()["libraries"][0]["pending_names"] == 0, "all is sent", 40)
        other = self.other_side("lib", kit.PASSWORD)
        self.assertEqual(kit.tree(other.where), expected)
        self.assertEqual(get(other.path("d", "a")), b"third")

    # --- a server that takes connections and says nothing ---

    def blocked_reader(self, path):
        process = subprocess.Popen([sys.executable, "-c", READER, path], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.kill)
        return process

    def big_and_cold(self, mount, count=1):
        """Files whose folder is cached, and whose contents are not."""
        names = [f"cold {n}" for n in range(count)]
        for name in names:
            put(mount.path(name), os.urandom(200_000))
        put(mount.path("warm"), "cached")
        mount.sync()
        mount.end()
        self.forget_cache(mount)
        mount.start()
        for name in names:
            os.stat(mount.path(name))
        self.assertEqual(get(mount.path("warm")), b"cached")
        return names

    def test_a_blocked_read_dies_at_ctrl_c(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib", poll=3600, timeout=90)
        names = self.big_and_cold(mount)
        self.black_hole()
        for number in (signal.SIGINT, signal.SIGKILL):
            reader = self.blocked_reader(mount.path(names[0]))
            self.assertEqual(reader.stdout.readline(), b"opened\n")
            with self.assertRaises(subprocess.TimeoutExpired):
                reader.wait(0.5)  # it does wait
            reader.send_signal(number)
            with Timed(8, "dying"):
                reader.wait(20)

    def test_a_hundred_blocked_reads_do_not_delay_what_is_cached(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib", poll=3600)
        names = self.big_and_cold(mount, 100)
        self.black_hole()
        began = time.monotonic()
        readers = [subprocess.Popen(["cat", mount.path(name)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE) for name in names]
        for reader in readers:
            self.addCleanup(reader.stderr.close)
            self.addCleanup(reader.wait, 30)
            self.addCleanup(reader.kill)
        with Timed(PROMPT, "cached files beside a hundred blocked reads"):
            self.assertEqual(len(os.listdir(mount.where)), 101)
            self.assertEqual(get(mount.path("warm")), b"cached")
            put(mount.path("new"), "accepted")
            os.statvfs(mount.where)
        for reader in readers:
            _, error = reader.communicate(timeout=60)
            self.assertIn(b"timed out", error)
        # Not one timeout after the other: who waited waited once, the others not at all.
        self.assertLess(time.monotonic() - began, 5 * TIMEOUT)
        with Timed(PROMPT, "a server that is known to be away"):
            self.fails_with(errno.ETIMEDOUT, get, mount.path(names[0]))

    def test_a_mount_ends_in_time_though_reads_are_blocked(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib", poll=3600, quiet=3_600_000)
        names = self.big_and_cold(mount)
        put(mount.path("unsent"), "kept")
        self.black_hole()
        readers = [self.blocked_reader(mount.path(names[0])) for _ in range(3)]
        for reader in readers:
            reader.stdout.readline()
        with Timed(3 * TIMEOUT, "SIGTERM"):
            self.assertEqual(mount.end(), 0)
        for reader in readers:
            reader.wait(10)
        self.assertFalse(kit.is_mounted(mount.where))
        mount.start()  # the hole is still there
        self.assertEqual(get(mount.path("unsent")), b"kept")

    def test_umount_of_a_mount_whose_readers_were_killed_ends_in_time(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib", poll=3600, quiet=3_600_000)
        names = self.big_and_cold(mount)
        put(mount.path("unsent"), "kept")
        self.black_hole()
        reader = self.blocked_reader(mount.path(names[0]))
        reader.stdout.readline()
        reader.send_signal(signal.SIGKILL)
        reader.wait(10)
        with Timed(4 * TIMEOUT, "umount"):
            text = self.world.nacre("umount", mount.where)
        self.assertIn("1 change (4 B) is not on the server yet; it is kept", text)
        self.assertEqual(mount.process.wait(10), 0)
        mount.start()
        self.assertEqual(get(mount.path("unsent")), b"kept")

    def test_the_options_of_patience_and_of_writing(self):
        self.world.library("lib")
        where = os.path.join(self.world.top, "options")
        os.mkdir(where)
        for wrong in "fsync=sometimes", "fsync", "timeout=0", "timeout=soon", "write-buffer=0":
            self.assertIn(wrong.partition("=")[0],
                          self.world.nacre("mount", "-o", wrong, where, expect=2))
        mount = self.mount("--library", "lib", "-o", "write-buffer=1M,fsync=remote")
        put(mount.path("a"), os.urandom(3_000_000))  # more than the buffer
        mount.sync()
        self.assertEqual(os.stat(mount.path("a")).st_size, 3_000_000)

    def test_a_server_that_was_silent_and_is_back_gets_everything(self):
        self.world.library("lib")
        mount = self.mount("--library", "lib")
        put(mount.path("a"), "before")
        mount.sync()
        hole = self.black_hole()
        put(mount.path("b"), "into the hole")
        self.away(mount)
        hole.close()
        self.world.start_server()
        wait_until(lambda: mount.status()["libraries"][0]["pending_names"] == 0, "all is sent", 60)
        other = self.other_side("lib")
        self.assertEqual(get(other.path("b")), b"into the hole")


if __name__ == "__main__":
    kit.run(220)
