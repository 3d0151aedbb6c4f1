#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How the key of a library was told when it was opened here is remembered, and a server that tells
it otherwise is not followed before a person has said so."""

import json
import os
import unittest

import kit
from kit import get, put, wait_until
from wire import Wire

NEW = "another password of the same library"


class Keys(kit.ServedCase):
    def setUp(self):
        super().setUp()
        self.wire = Wire(self.world)
        self.world.library("lib", encrypted=True)
        self.library = self.wire.id_of("lib")
        self.mount = self.world.mount("a", secret=kit.PASSWORD)
        self.file = self.mount.path("lib", "file")
        put(self.file, "one")
        self.mount.sync()

    def unlock(self, *options, secret, expect=0):
        return self.world.nacre("unlock", self.mount.where, "lib", *options, secret=secret,
                                expect=expect)

    def error(self):
        return self.mount.status()["libraries"][0]["error"]

    def tamper(self, **fields):
        """The server's head has other encryption than what clients have put there."""
        return self.wire.publish(self.library, **fields)

    def fields(self):
        return {name: value for name, value in self.wire.head(self.library).items()
                if name in ("key", "magic", "pwd_hash", "pwd_hash_algo", "pwd_hash_params")}

    def test_a_key_that_is_replaced_under_the_same_password_is_refused(self):
        before = self.fields()
        # Of the three blocks of its ciphertext the first can be changed, and it still opens.
        garbled = f"{int(before['key'][:2], 16) ^ 1:02x}" + before["key"][2:]
        head = self.tamper(key=garbled)
        put(self.file, "not for that key")
        error = wait_until(self.error, "the other key is noticed")
        self.assertIn("its key is wrapped otherwise for the same password", error)
        self.assertIn("--accept-new-key", error)
        self.assertEqual(self.wire.head(self.library)["commit_id"], head)  # nothing was sent
        self.assertEqual(get(self.file), b"not for that key")
        # Neither when it is asked for again, nor by another mount, nor when a person says so.
        self.world.nacre("lock", self.mount.where)
        wait_until(lambda: self.mount.status()["libraries"][0]["head"] == head, "it is followed")
        self.assertIn("wrapped otherwise", self.unlock(secret=kit.PASSWORD, expect=3))
        message = self.unlock("--accept-new-key", secret=kit.PASSWORD, expect=3)
        self.assertIn("another key than the one that its contents are encrypted with", message)
        self.assertIn("ask who runs the server", message)
        self.assertIn("wrapped otherwise", self.world.nacre(
            "libraries", "passwd", "lib", secret=f"{kit.PASSWORD}\n{NEW}", expect=3))
        self.assertEqual(self.mount.end(), 0)
        message = self.world.nacre("mount", "--foreground", self.mount.where,
                                   secret=kit.PASSWORD, expect=3)
        self.assertIn("wrapped otherwise", message)
        # It was put right: what waited is sent.
        self.tamper(**before)
        self.mount.start()
        self.mount.sync()
        self.check_elsewhere(kit.PASSWORD, b"not for that key")

    def check_elsewhere(self, password, content):
        self.world.login("b")
        other = self.world.mount("b", "--library", "lib", secret=password)
        self.assertEqual(get(other.path("file")), content)

    def test_a_password_that_was_changed_elsewhere_is_accepted_by_an_explicit_step(self):
        self.wire.change_password(self.library, kit.PASSWORD, NEW)
        put(self.file, "two")
        self.assertIn("it is for another password", wait_until(self.error, "it is noticed"))
        self.assertIn("wrong password", self.unlock("--accept-new-key", secret=kit.PASSWORD,
                                                    expect=3))
        self.assertTrue(self.error())
        self.unlock("--accept-new-key", secret=NEW)
        self.mount.sync()
        self.check_elsewhere(NEW, b"two")
        # From then on it is the one that is known.
        self.world.nacre("lock", self.mount.where)
        self.unlock(secret=NEW)
        self.assertEqual(get(self.file), b"two")

    def test_a_password_that_was_changed_while_it_was_locked_is_told(self):
        self.world.nacre("lock", self.mount.where)
        self.wire.change_password(self.library, kit.PASSWORD, NEW)
        head = self.wire.head(self.library)["commit_id"]
        wait_until(lambda: self.mount.status()["libraries"][0]["head"] == head, "it is seen")
        for password in (kit.PASSWORD, NEW):
            self.assertIn("it is for another password", self.unlock(secret=password, expect=3))
        self.unlock("--accept-new-key", secret=NEW)
        self.assertEqual(get(self.file), b"one")

    def test_a_password_that_is_changed_here_is_known(self):
        self.world.nacre("libraries", "passwd", "lib", secret=f"{kit.PASSWORD}\n{NEW}")
        put(self.file, "two")
        self.mount.sync()
        self.assertIsNone(self.error())
        self.world.nacre("lock", self.mount.where)
        self.unlock(secret=NEW)
        self.assertEqual(get(self.file), b"two")

    def test_a_weaker_or_another_encryption_is_named(self):
        self.assertEqual(self.mount.end(), 0)
        head = self.tamper()
        path = self.world.path("storage", "storage", "commits", self.library, head[:2], head[2:])
        honest = json.loads(get(path))

        def refusal(**fields):
            put(path, json.dumps({**honest, **fields}))
            return self.world.nacre("mount", "--foreground", self.mount.where,
                                    secret=kit.PASSWORD, expect=3)

        said = refusal(salt=64 * "a")
        self.assertIn("its salt is another", said)
        self.assertIn("no change of a password does that", said)
        self.assertIn("its version of encryption was 4 and is 3", refusal(enc_version=3))
        said = refusal(magic="", pwd_hash=honest["magic"], pwd_hash_algo="pbkdf2_sha256",
                       pwd_hash_params="10")
        self.assertIn("was pbkdf2 (1000 rounds) and is pbkdf2_sha256 (10), which is weaker", said)
        put(path, json.dumps(honest))
        self.mount.start()
        self.assertEqual(get(self.file), b"one")

    def test_what_is_known_is_sealed_and_gone_with_the_account(self):
        path = self.world.path("a", "state", "nacre", "127.0.0.1", "keys", self.library)
        known = get(path)
        for name, value in self.fields().items():
            self.assertNotIn(value.encode(), known, name)
        self.assertEqual(self.mount.end(), 0)
        put(path, known[:-1] + bytes([known[-1] ^ 1]))
        self.assertIn("damaged", self.world.nacre("mount", "--foreground", self.mount.where,
                                                  secret=kit.PASSWORD, expect=1))
        self.world.nacre("forget", "127.0.0.1", "--yes")
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    kit.run(220)
