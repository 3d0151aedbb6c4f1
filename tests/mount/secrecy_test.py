#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No operation sends a library's password or key to the server.  Every test of a mount records what
its clients send, and searches it at the end (kit.World.look_for_secrets); here the search is shown to
find what it looks for, and commands that have passwords are run under it."""

import base64
import io
import json
import os
import shutil
import socket
import unittest
import urllib.parse

import kit
import needles
from kit import get, put
from wire import Wire

NEW = "another password, such as nobody guesses"


class Secrecy(kit.ServedCase):
    def setUp(self):
        super().setUp()
        self.world.library("lib", encrypted=True)
        self.wire = Wire(self.world)

    def send(self, body):
        """As a client that has a secret in its request."""
        request = (b"POST /api2/ping/ HTTP/1.1\r\nHost: x\r\nUser-Agent: nacre/0\r\n"
                   b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        with socket.create_connection(("127.0.0.1", self.world.port), 20) as server:
            server.sendall(request + body)
            while server.recv(4096):
                pass

    def forget_what_was_sent(self):
        for name in os.listdir(self.world.records):
            os.truncate(os.path.join(self.world.records, name), 0)

    def test_what_is_looked_for_is_found(self):
        commit = self.wire.head(self.wire.id_of("lib"))
        password = kit.PASSWORD.encode()
        outer, iv, secret, key, key_iv = needles.keys_of(commit, password)
        quoted = urllib.parse.urlencode({"passwd": kit.PASSWORD}).encode()
        # In the middle of a megabyte, too.
        for body in (password, quoted, json.dumps({"password": kit.PASSWORD}).encode(),
                     base64.b64encode(secret), key.hex().encode(), key, key_iv, outer, iv,
                     (1 << 18) * b"x" + secret + 1_000_000 * b"y"):
            self.forget_what_was_sent()
            self.world.look_for_secrets()
            self.send(body)
            with self.assertRaisesRegex(AssertionError, "was sent a library's"):
                self.world.look_for_secrets()
        self.forget_what_was_sent()

    def test_it_is_found_on_the_border_of_what_is_looked_at_at_once(self):
        secret = os.urandom(32)
        for before in (0, 1, 31, 32, 33):
            sent = io.BytesIO(b"x" * ((8 << 20) - before) + secret + b"y")
            self.assertTrue(any(secret in piece for piece in needles.pieces(sent, len(secret))))

    def test_logs_name_no_file_of_an_encrypted_library(self):
        self.world.login("b")
        mounts = [self.world.mount(client, "--library", "lib", secret=kit.PASSWORD)
                  for client in ("a", "b")]
        for mount in mounts:
            self.addCleanup(mount.end_at_once)
        mine, theirs = mounts
        os.mkdir(mine.path("Diagnosis folder"))
        put(mine.path("Diagnosis folder", "Diagnosis.txt"), os.urandom(100_000))
        mine.sync()
        kit.wait_until(lambda: os.path.exists(theirs.path("Diagnosis folder", "Diagnosis.txt")),
                       "the other has it")
        # A conflict.
        for mount in mounts:
            put(mount.path("Diagnosis folder", "Diagnosis.txt"), f"of {mount.client}")
        for mount in mounts:
            mount.sync()
        kit.wait_until(lambda: len(os.listdir(mine.path("Diagnosis folder"))) == 2, "a conflict")
        # Blocks that the server has lost, and a server that is away.
        put(mine.path("Diagnosis lost"), os.urandom(200_000))
        mine.sync()
        kit.wait_until(lambda: os.path.exists(theirs.path("Diagnosis lost")), "the other has it")
        shutil.rmtree(self.world.path("storage", "storage", "blocks"))
        with self.assertRaises(OSError):
            get(theirs.path("Diagnosis lost"))
        self.world.faults("PUT /repo/[^/]*/block/ status 443")
        put(mine.path("Diagnosis unsent"), "unsent")
        os.unlink(mine.path("Diagnosis lost"))
        kit.wait_until(lambda: "full" in self.world.nacre("status", mine.where), "a full account")
        self.world.stop_server()
        for mount in mounts:
            mount.end()
            log = mount.log()
            self.assertIn("mounted", log)
            self.assertNotIn("Diagnosis", log)

    def test_no_command_sends_one(self):
        mount = self.world.mount("a", "--unlock", "lib", secret=kit.PASSWORD)
        put(mount.path("lib", "file"), "contents that are encrypted here" * 1000)
        mount.sync()
        self.world.nacre("libraries", "passwd", "lib", secret=f"{kit.PASSWORD}\n{NEW}")
        self.world.nacre("lock", mount.where)
        self.world.nacre("unlock", mount.where, "lib", secret=NEW)
        self.assertEqual(get(mount.path("lib", "file"))[:8], b"contents")
        self.world.nacre("libraries", "create", "two", "--encrypted", "--encryption", "2",
                         secret=NEW)
        put(mount.path("lib", "unsent"), "unsent")
        self.world.nacre("rescue", mount.where, self.world.path("rescued"))
        self.world.nacre("umount", mount.where)
        wanted = needles.needles(self.world.path("storage"), self.world.passwords)
        self.assertGreater(len([what for what in wanted.values() if "key" in what]), 50)
        self.assertGreater(needles.search(self.world.records, wanted), 10_000)
        for name in os.listdir(self.world.records):
            self.assertNotIn(b"contents that are", get(os.path.join(self.world.records, name)))


if __name__ == "__main__":
    kit.run()
