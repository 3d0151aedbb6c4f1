#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What others do to the account and to its libraries while they are mounted: nothing that was
written here is lost, and the status says what to do."""

import contextlib
import os
import shutil

import kit
from kit import get, put
from weather import Weather
from wire import Wire


class Account(Weather):
    def test_a_librarys_token_that_is_revoked_is_replaced(self):
        library = self.wire.create("token")
        mount = self.mount("a", "token")
        put(mount.path("file"), "one")
        mount.sync()
        self.set_tokens([line for line in self.tokens() if line.split()[-1] != library])
        put(mount.path("file"), "two")
        mount.sync(20)
        self.wire.tokens.pop(library)
        self.check_drained(mount, "token", {"file": b"two"})

    def test_a_login_that_is_gone_is_told_and_a_new_one_goes_on(self):
        self.wire.create("login")
        mount = self.mount("a", "login")
        put(mount.path("file"), "one")
        mount.sync()
        known = self.tokens()
        self.set_tokens([])
        put(mount.path("file"), "two")
        put(mount.path("new"), "unsent")
        state = self.wait_for_error(mount, "log in")
        self.assertEqual(state["pending_names"], 2)
        self.world.nacre("sync", mount.where, "--wait", "--timeout", "30", expect=3)
        self.assertEqual(get(mount.path("file")), b"two")
        self.set_tokens(known)  # it was a server that had lost its session store
        mount.sync()
        # For good: what is unsent is kept over the end of the mount, and sent after a new login.
        self.set_tokens([])
        put(mount.path("file"), "three")
        self.wait_for_error(mount, "log in")
        self.assertEqual(mount.end(), 0)
        for client in "ab":
            self.world.login(client)
        type(self).wire = Wire(self.world)
        mount.start()
        self.assertEqual(get(mount.path("file")), b"three")
        mount.sync()
        self.check_drained(mount, "login", {"file": b"three", "new": b"unsent"})

    def test_a_library_that_is_deleted_is_told_and_all_is_sent_when_it_is_back(self):
        library = self.wire.create("deleted")
        mount = self.mount("a", "deleted")
        put(mount.path("sent"), "sent")
        put(mount.path("changed"), "sent")
        mount.sync()
        with self.backup():
            self.wire.delete(library)
            put(mount.path("changed"), "unsent")
            put(mount.path("new"), "unsent")
            state = self.wait_for_error(mount, "deleted on the server|has it no more")
            self.assertEqual(state["pending_names"], 2)
            self.assertEqual({name: get(mount.path(name)) for name in os.listdir(mount.where)},
                             {"sent": b"sent", "changed": b"unsent", "new": b"unsent"})
            os.unlink(mount.path("sent"))
        mount.sync()
        self.check_drained(mount, "deleted", {"changed": b"unsent", "new": b"unsent"})

    @contextlib.contextmanager
    def backup(self):
        """The server ends as it was at the beginning, whatever happened in between."""
        storage, kept = self.world.path("storage"), self.world.path("kept")
        shutil.copytree(storage, kept)
        try:
            yield
        finally:
            self.world.stop_server()
            shutil.rmtree(storage)
            os.rename(kept, storage)
            self.world.start_server()

    def test_a_password_that_another_client_changes_is_kept(self):
        self.world.library("password", encrypted=True)
        library = self.wire.id_of("password")
        mount = self.mount("a", "password", secret=kit.PASSWORD)
        put(mount.path("file"), "one")
        mount.sync()
        changed = self.wire.change_password(library, kit.PASSWORD, "another")
        put(mount.path("file"), "two")
        put(mount.path("new"), "written with the same secret")
        self.wait_for_error(mount, "--accept-new-key")
        self.world.nacre("unlock", mount.where, "password", "--accept-new-key", secret="another")
        mount.sync()
        head = self.wire.head(library)
        self.assertEqual(head["description"].splitlines()[0][:5], "Added")
        self.assertEqual({field: head[field] for field in changed}, changed)
        # Locked, it opens with the new password only.
        self.world.nacre("lock", mount.where, "password")
        self.world.nacre("unlock", mount.where, "password", secret=kit.PASSWORD, expect=3)
        self.world.nacre("unlock", mount.where, "password", secret="another")
        self.check_drained(mount, "password", {
            "file": b"two", "new": b"written with the same secret"}, secret="another")

    def test_a_library_that_may_only_be_read_from_now_on_parks_what_is_unsent(self):
        library = self.wire.create("permission")
        mount = self.mount("a", "permission")
        put(mount.path("file"), "one")
        mount.sync()
        where = f"/repo/{library}"
        self.world.faults(f"GET {where}/permission-check/\\?op=upload status 403",
                          f"PUT {where} status 403", f"POST {where}/recv-fs status 403")
        put(mount.path("file"), "two")
        state = self.wait_for_error(mount, "for reading only")
        self.assertGreater(state["retry_seconds"], 30)  # parked: it will not get better soon
        self.assertEqual(get(mount.path("file")), b"two")
        self.assertEqual(self.wire.head(library)["commit_id"], state["head"])
        self.world.faults()
        mount.sync()
        self.check_drained(mount, "permission", {"file": b"two"})

    def test_a_full_account_parks_what_is_unsent(self):
        library = self.wire.create("quota")
        mount = self.mount("a", "quota")
        put(mount.path("file"), "one")
        mount.sync()
        for rule in (f"GET /repo/{library}/quota-check/ status 443",
                     f"PUT /repo/{library}/commit/HEAD/ status 443"):
            self.world.faults(rule)
            put(mount.path("file"), rule)
            state = self.wait_for_error(mount, "the account is full; free some space")
            self.assertGreater(state["retry_seconds"], 30)
            self.assertIn("the account is full",
                          self.world.nacre("sync", mount.where, "--wait", expect=1))
            self.assertEqual(get(mount.path("file")).decode(), rule)
            self.world.faults()
            mount.sync()
        self.check_drained(mount, "quota", {"file": rule.encode()})

    def test_a_head_that_moves_at_every_update_is_merged_with(self):
        library = self.wire.create("moving")
        mount = self.mount("a", "moving")
        os.mkdir(mount.path("folder"))
        put(mount.path("folder", "file"), "0")
        mount.sync()
        self.world.faults(f"PUT /repo/{library}/commit/HEAD/ move-head")
        for number in range(1, 6):
            put(mount.path("folder", "file"), f"{number}")
            put(mount.path(f"{number}"), f"{number}", 0o755)
            if number > 1:
                os.rename(mount.path(f"{number - 1}"), mount.path("folder", f"{number - 1}"))
            mount.sync()
        self.world.faults()
        moved = [f"moved {number}.txt" for number in range(1, 6)]
        self.assertEqual(sorted(os.listdir(mount.where)), ["5", "folder", *moved])
        self.assertEqual(sorted(os.listdir(mount.path("folder"))), ["1", "2", "3", "4", "file"])
        self.assertEqual(get(mount.path("folder", "file")), b"5")
        self.assertEqual(os.stat(mount.path("5")).st_mode & 0o111, 0o111)
        self.assertEqual(self.state(mount)["conflicts"], 0)
        self.check_drained(mount, "moving")

    def test_a_server_from_an_older_backup_takes_nothing_away_unasked(self):
        for name, goes_on in (("restored", False), ("restored and used", True)):
            library = self.wire.create(name)
            mount = self.mount("a", name)
            put(mount.path("old"), "in the backup")
            put(mount.path("both"), "in the backup")
            mount.sync()
            with self.backup():
                put(mount.path("new"), "after the backup")
                put(mount.path("both"), "after the backup")
                os.mkdir(mount.path("folder"))
                mount.sync()
            if goes_on:  # the tip is newer than what we know, and still does not contain it
                self.world.faults(f"GET /repo/{library}/commit/HEAD move-head first 1")
                self.wire.head(library)
                self.world.faults()
            before = self.wire.head(library)["commit_id"]
            put(mount.path("unsent"), "unsent")
            state = self.wait_for_error(mount, "accept-rollback")
            self.assertGreaterEqual(state["pending_names"], 1)
            expected = {"old": b"in the backup", "new": b"after the backup",
                        "both": b"after the backup", "unsent": b"unsent"}
            self.assertEqual({file: get(mount.path(file)) for file in os.listdir(mount.where)
                              if file != "folder"}, expected)
            self.assertTrue(os.path.isdir(mount.path("folder")))
            self.assertEqual(self.wire.head(library)["commit_id"], before)  # nothing was sent
            mount.kill()
            mount.start()  # it is known over a restart as well
            self.wait_for_error(mount, "accept-rollback")
            self.world.nacre("sync", mount.where, "--accept-rollback")
            mount.sync()
            self.assertEqual(get(mount.path("unsent")), b"unsent")
            self.assertEqual(get(mount.path("old")), b"in the backup")
            self.assertEqual(os.path.exists(mount.path("moved 1.txt")), goes_on)
            self.check_drained(mount, name, conflicts=True)
            self.assertEqual(mount.end(), 0)


if __name__ == "__main__":
    kit.run(150)
