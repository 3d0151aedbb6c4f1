#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server's bad days: whatever it does, nothing that was written here is lost, nothing wrong
is read, and either all drains when it is well again or the status says what to do."""

import concurrent.futures
import contextlib
import errno
import os
import re
import shutil
import time
import unittest

import kit
from kit import get, put, wait_until
from wire import Wire

CONFLICT = "SFConflict"
STATUSES = (400, 401, 403, 404, 429, 443, 444, 500, 502, 503)
MISDEEDS = ("reset", "lose-answer", "truncate", "corrupt", "wrong-id")

# What a batch asks of the server; {} is the library.
SENDING = {
    "permission": r"GET /repo/{}/permission-check/",
    "quota": r"GET /repo/{}/quota-check/",
    "head": r"GET /repo/{}/commit/HEAD",
    "commit": r"PUT /repo/{}/commit/[0-9a-f]{{40}}",
    "check-fs": r"POST /repo/{}/check-fs/",
    "recv-fs": r"POST /repo/{}/recv-fs/",
    "check-blocks": r"POST /repo/{}/check-blocks/",
    "block": r"PUT /repo/{}/block/",
    "publish": r"PUT /repo/{}/commit/HEAD/",
    "token": r"GET /api2/repos/{}/download-info/",
}
# What a reader asks of it.
READING = {
    "commit": r"GET /repo/{}/commit/[0-9a-f]{{40}}",
    "objects": r"POST /repo/{}/pack-fs/",
    "block": r"GET /repo/{}/block/",
}
# What the status says for each HTTP status: how it stands, and what to do about it.
ADVICE = {401: "log in", 403: "ask the library's owner|for reading only", 429: "wait",
          443: "free some space", 444: "deleted on the server|has it no more",
          500: "try again later", 502: "try again later", 503: "try again later"}


class Weather(kit.Case):
    """One server for all tests of a class; every test has libraries of its own."""

    @classmethod
    def setUpClass(cls):
        cls.world = kit.World()
        cls.addClassCleanup(cls.world.close)
        cls.world.serve()
        for client in "ab":
            cls.world.login(client)
        cls.wire = Wire(cls.world)

    def setUp(self):
        self.addCleanup(self.world.faults)
        self.addCleanup(self.logs_on_failure, self.world)

    def mount(self, client, *libraries, options="quiet=100", secret=None):
        words = [word for library in libraries for word in ("--library", library)]
        mount = self.world.mount(client, *words, "-o", options, secret=secret)
        self.addCleanup(mount.end_at_once)
        return mount

    def state(self, mount, name=None):
        """What the status says of the library with this name, or of the only one."""
        return next(library for library in mount.status()["libraries"]
                    if name in (None, library["name"]))

    def wait_for_error(self, mount, pattern, seconds=30):
        """Until the library cannot be sent for a reason that the status tells."""

        def told():
            state = self.state(mount)
            return state["state"] == "error" and re.search(pattern, state["error"]) and state

        return wait_until(told, f"the status says {pattern!r}", seconds)

    def check_drained(self, mount, library, expected=None, conflicts=False, secret=None):
        """All is on the server: a second mount sees the same tree."""
        state = self.state(mount)
        self.assertEqual((state["pending_names"], state["error"]), (0, None))
        here = kit.tree(mount.where)
        other = self.mount("b", library, secret=secret)
        self.assertEqual(kit.tree(other.where), here)
        if not conflicts:
            self.assertFalse([name for name in here if CONFLICT.encode() in name])
        if expected is not None:
            files = {name: get(mount.path(name)) for name in os.listdir(mount.where)}
            self.assertEqual(files, expected)
        self.assertEqual(other.end(), 0)


    def tokens(self):
        """The server's lines of tokens: a hash, a user, and a library where it is one for that."""
        return get(self.world.path("storage", "tokens")).decode().splitlines(keepends=True)

    def set_tokens(self, lines):
        """As the owner of a server does it, who finds no button."""
        fresh = self.world.path("storage", "tokens.test")
        put(fresh, "".join(lines))
        os.rename(fresh, self.world.path("storage", "tokens"))


class Connection(Weather):
    def test_a_server_that_is_away_is_waited_for_and_all_drains_without_being_asked(self):
        self.wire.create("away")
        mount = self.mount("a", "away")
        put(mount.path("sent"), "before")
        mount.sync()
        self.world.stop_server()
        for number in range(5):
            put(mount.path(f"unsent {number}"), f"{number}")
        os.rename(mount.path("sent"), mount.path("moved"))
        state = self.wait_for_error(mount, ".")
        self.assertEqual(state["pending_names"], 7)
        self.assertEqual(get(mount.path("unsent 4")), b"4")
        self.world.start_server()
        wait_until(lambda: self.state(mount)["pending_names"] == 0, "it drains", 30)
        wait_until(lambda: self.state(mount)["error"] is None, "the error is gone")
        self.check_drained(mount, "away", {"moved": b"before", **{
            f"unsent {number}": f"{number}".encode() for number in range(5)}})

    def test_resets_are_tried_again_and_all_drains_without_being_asked(self):
        self.wire.create("resets")
        mount = self.mount("a", "resets")
        self.assertEqual(os.listdir(mount.where), [])  # a library never looked at takes nothing
        self.world.faults("* . reset")
        put(mount.path("file"), "unsent")
        self.wait_for_error(mount, ".")
        self.assertEqual(get(mount.path("file")), b"unsent")
        self.world.faults()
        wait_until(lambda: self.state(mount)["pending_names"] == 0, "it drains", 30)
        # Every third request fails: the rest is enough.
        self.world.faults("* . reset every 3")
        for number in range(5):
            put(mount.path(f"more {number}"), os.urandom(1000))
        mount.sync()
        self.world.faults()
        self.check_drained(mount, "resets")

    def test_a_lost_answer_never_makes_a_conflict_with_ourselves(self):
        library = self.wire.create("lost")
        mount = self.mount("a", "lost", options="quiet=3600000")
        put(mount.path("file"), "first")
        os.mkdir(mount.path("folder"))
        put(mount.path("folder", "deep"), "first")
        mount.sync()
        for killed in (False, True):
            # The head can be read when the batch is begun, and no more from then on.
            before = self.wire.head(library)["commit_id"]
            self.world.faults("PUT /commit/HEAD lose-answer", "PUT /block/ lose-answer first 1",
                              "GET /commit/HEAD reset after 1", "POST /head-commits-multi reset")
            put(mount.path("file"), f"second {killed}")
            put(mount.path("folder", "deep"), f"second {killed}")
            put(mount.path(f"new {killed}"), f"second {killed}")
            self.world.nacre("sync", mount.where)
            self.wait_for_error(mount, ".")
            put(mount.path("file"), f"third {killed}, longer")
            put(mount.path(f"new {killed}"), f"third {killed}, longer")
            if killed:
                mount.kill()
            self.world.faults()
            self.assertNotEqual(self.wire.head(library)["commit_id"], before)  # it was carried out
            if killed:
                mount.start()
            mount.sync()
            self.assertEqual(sorted(os.listdir(mount.where)),
                             ["file", "folder", "new False", "new True"][:3 + killed])
            self.assertEqual(get(mount.path("file")).decode(), f"third {killed}, longer")
            self.assertEqual(get(mount.path("folder", "deep")).decode(), f"second {killed}")
            self.assertEqual(get(mount.path(f"new {killed}")).decode(), f"third {killed}, longer")
            self.assertEqual(self.state(mount)["conflicts"], 0)
        self.check_drained(mount, "lost")

    def test_a_slow_body_is_read_whole_and_stops_nobody_else(self):
        self.wire.create("slow")
        content = os.urandom(150_000)
        writer = self.mount("a", "slow")
        os.mkdir(writer.path("folder"))
        put(writer.path("folder", "small"), "small")
        put(writer.path("large"), content)
        writer.sync()
        reader = self.mount("b", "slow")
        self.assertEqual(os.listdir(reader.path("folder")), ["small"])
        self.world.faults("GET /block/ slow 75000")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            began = time.monotonic()
            large = pool.submit(get, reader.path("large"))
            while not large.done():
                asked = time.monotonic()
                self.assertEqual(sorted(os.listdir(reader.where)), ["folder", "large"])
                self.assertEqual(os.stat(reader.path("folder", "small")).st_size, 5)
                self.assertLess(time.monotonic() - asked, 1.5)
                time.sleep(0.1)
            self.assertGreater(time.monotonic() - began, 1)
            self.assertEqual(large.result(), content)
        # No answer at all, and then none that is whole: asked again.
        self.world.faults("GET /block/ hang 1 first 1", "GET /block/ truncate first 1")
        self.assertEqual(get(reader.path("folder", "small")), b"small")


class Endpoints(Weather):
    """A library for each thing that can be wrong with each request, all in one mount."""

    def test_every_endpoint_and_every_fault_while_sending(self):
        cases = {f"{place} {fault}": (place, fault)
                 for place in SENDING for fault in (*STATUSES, *MISDEEDS)}
        libraries = {name: self.wire.create(name) for name in cases}
        mount = self.mount("a", *libraries.values())
        for name in cases:
            self.assertEqual(os.listdir(mount.path(name)), [])
        rules = []
        for name, (place, fault) in cases.items():
            action = fault if fault in MISDEEDS else f"status {fault}"
            rules.append(SENDING[place].format(libraries[name]) + " " + action)
        # A new token is asked for when the old one is refused.
        self.world.faults(*rules)
        asking = {libraries[name] for name, (place, _) in cases.items() if place == "token"}
        self.set_tokens([line for line in self.tokens() if line.split()[-1] not in asking])
        for name in cases:
            put(mount.path(name, "file"), f"content of {name}")

        def stuck():
            states = {state["name"]: state for state in mount.status()["libraries"]}
            without = [name for name, (place, fault) in cases.items()
                       if fault in STATUSES and not states[name]["error"]]
            return not without and states

        states = wait_until(stuck, "every refusal is in the status", 60)
        wrong = {}
        for name, (place, fault) in cases.items():
            state = states[name]
            self.assertEqual(get(mount.path(name, "file")).decode(), f"content of {name}")
            if fault not in STATUSES:
                continue
            advice = ADVICE.get(fault, ".")
            if (state["state"], state["pending_names"]) != ("error", 1) or not re.search(
                    advice, state["error"]):
                wrong[name] = (state["state"], state["pending_names"], state["error"], advice)
        self.assertEqual(wrong, {})
        self.world.faults()
        mount.sync()
        other = self.mount("b", *libraries.values())
        expected = {f"{name}/file" for name in cases} | set(cases)
        here = kit.tree(mount.where)
        self.assertEqual({os.fsdecode(name) for name in here}, expected)
        self.assertEqual(kit.tree(other.where), here)
        for name in cases:
            self.assertEqual(get(other.path(name, "file")).decode(), f"content of {name}")

    def test_every_endpoint_and_every_fault_while_reading(self):
        cases = {f"reading {place} {fault}": (place, fault)
                 for place in READING
                 for fault in (401, 403, 404, 444, 500, 503, "reset", "truncate", "corrupt",
                               "wrong-id") if (place, fault) != ("commit", "corrupt")}
        libraries = {name: self.wire.create(name) for name in cases}
        writer = self.mount("a", *libraries.values())
        for name in cases:
            for file in ("file", "more"):
                put(writer.path(name, file), f"{file} of {name}")
        writer.sync()
        reader = self.mount("b", *libraries.values(), options="poll=3600")
        rules = []
        for name, (place, fault) in cases.items():
            action = f"status {fault}" if isinstance(fault, int) else fault
            rules.append(READING[place].format(libraries[name]) + " " + action)
        self.world.faults(*rules)

        def read(name):
            """What a backup program would see."""
            place, _ = cases[name]
            try:
                names = sorted(os.listdir(reader.path(name)))
            except OSError as error:
                return "no list" if place != "block" and error.errno != errno.ENOENT else error
            if place != "block" or names != ["file", "more"]:
                return names
            try:
                return get(reader.path(name, "file"))
            except OSError as error:
                return "no content" if error.errno != errno.ENOENT else error

        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            found = dict(zip(cases, pool.map(read, cases)))
        self.assertEqual(found, {name: "no content" if place == "block" else "no list"
                                 for name, (place, _) in cases.items()})
        self.world.faults()
        self.assertEqual(kit.tree(reader.where), kit.tree(writer.where))

    def test_the_poll_for_changes_fails_for_a_while(self):
        library = self.wire.create("poll")
        mount = self.mount("a", "poll")
        put(mount.path("file"), "content")
        mount.sync()
        for fault in (*(f"status {status}" for status in (400, 403, 500)), "wrong-id", "truncate"):
            self.world.faults(f"POST /head-commits-multi {fault}")
            if fault != "wrong-id":  # which names a head that nobody has: the real one is asked for
                wait_until(lambda: mount.status()["connection_error"], f"{fault} is told")
            self.assertEqual(get(mount.path("file")), b"content")
            put(mount.path(fault), "sent all the same")
            mount_head = self.state(mount)["head"]
            wait_until(lambda: self.state(mount)["head"] != mount_head, "it is sent")
        self.world.faults()
        wait_until(lambda: mount.status()["connection_error"] is None, "the poll is well again")
        mount.sync()
        self.assertEqual(self.state(mount)["head"], self.wire.head(library)["commit_id"])
        self.check_drained(mount, "poll")


class Account(Weather):
    """What others do to the account and to the library while it is mounted."""

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
        others = [line for line in known if line not in self.tokens_of("a")]
        self.set_tokens(others)
        put(mount.path("file"), "three")
        self.wait_for_error(mount, "log in")
        self.assertEqual(mount.end(), 0)
        self.world.login("a")
        mount.start()
        self.assertEqual(get(mount.path("file")), b"three")
        mount.sync()
        self.check_drained(mount, "login", {"file": b"three", "new": b"unsent"})

    def tokens_of(self, client):
        """Every token that is not of the other clients: of one there is only its hash."""
        return [line for line in self.tokens() if len(line.split()) == 3] if client else []

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
        mount.sync()
        head = self.wire.head(library)
        self.assertEqual(head["description"].splitlines()[0][:5], "Added")
        self.assertEqual({field: head[field] for field in changed}, changed)
        # Without a change of ours: it is a head like any other.
        changed = self.wire.change_password(library, "another", "a third")
        published = self.wire.head(library)["commit_id"]
        wait_until(lambda: self.state(mount)["head"] == published, "the new head is seen")
        put(mount.path("file"), "three")
        mount.sync()
        head = self.wire.head(library)
        self.assertEqual({field: head[field] for field in changed}, changed)
        # Locked, it opens with the new password only.
        self.world.nacre("lock", mount.where, "password")
        self.world.nacre("unlock", mount.where, "password", secret=kit.PASSWORD, expect=3)
        self.world.nacre("unlock", mount.where, "password", secret="a third")
        self.check_drained(mount, "password", {
            "file": b"three", "new": b"written with the same secret"}, secret="a third")

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
        self.wire_sees_nothing_new(library, state["head"])
        self.world.faults()
        mount.sync()
        self.check_drained(mount, "permission", {"file": b"two"})

    def wire_sees_nothing_new(self, library, head):
        self.assertEqual(self.wire.head(library)["commit_id"], head)

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
            self.check_drained(mount, name)
            mount.end()


if __name__ == "__main__":
    kit.run(220)
