#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server's bad days: whatever it does, nothing that was written here is lost, nothing wrong
is read, and either all drains when it is well again or the status says what to do."""

import concurrent.futures
import errno
import os
import re
import time

import kit
from kit import get, put, wait_until
from weather import Weather

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


def action_of(fault):
    return f"status {fault}" if isinstance(fault, int) else fault


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

    def test_a_silent_server_stops_nobody_who_does_not_need_it(self):
        self.wire.create("silent")
        mount = self.mount("a", "silent")
        os.mkdir(mount.path("folder"))
        put(mount.path("folder", "file"), "one")
        mount.sync()
        self.assertEqual(get(mount.path("folder", "file")), b"one")
        self.world.faults("* . hang 2")
        began = time.monotonic()
        for number in range(10):
            put(mount.path("folder", f"new {number}"), f"{number}")
        os.rename(mount.path("folder"), mount.path("moved"))
        os.unlink(mount.path("moved", "file"))
        self.assertEqual(sorted(os.listdir(mount.path("moved"))), [f"new {n}" for n in range(10)])
        self.assertEqual(get(mount.path("moved", "new 7")), b"7")
        os.statvfs(mount.where)
        self.assertGreater(self.state(mount)["pending_names"], 0)
        self.assertLess(time.monotonic() - began, 5)  # four tries of one request take longer
        self.wait_for_error(mount, ".", 60)
        self.world.faults()
        wait_until(lambda: self.state(mount)["pending_names"] == 0, "it drains", 60)
        self.assertEqual(get(mount.path("moved", "new 7")), b"7")
        self.check_drained(mount, "silent")

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
        # A new token is asked for when the old one is refused.
        self.world.faults(*(SENDING[place].format(libraries[name]) + " " + action_of(fault)
                            for name, (place, fault) in cases.items()))
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
        for name, (place, _) in cases.items():
            if place == "block":
                self.assertEqual(sorted(os.listdir(reader.path(name))), ["file", "more"])
        self.world.faults(*(READING[place].format(libraries[name]) + " " + action_of(fault)
                            for name, (place, fault) in cases.items()))

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

        # A server that ends connections may be taken for one that is away, for all libraries.
        found = {}
        for transport in (False, True):
            some = [name for name, (_, fault) in cases.items()
                    if (fault in ("reset", "truncate")) == transport]
            with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
                found.update(zip(some, pool.map(read, some)))
        self.assertEqual(found, {name: "no content" if place == "block" else "no list"
                                 for name, (place, _) in cases.items()})
        self.world.faults()
        self.assertEqual(kit.tree(reader.where), kit.tree(writer.where))

    def test_every_fault_while_merging_with_what_others_did(self):
        cases = {f"merging {place} {fault}": (place, fault)
                 for place in ("commit", "objects")
                 for fault in (401, 403, 404, 429, 444, 500, 503, *MISDEEDS)
                 if (place, fault) != ("commit", "corrupt")}  # of which there is no hash
        libraries = {name: self.wire.create(name) for name in cases}
        mount = self.mount("a", *libraries.values(), options="poll=3600,quiet=3600000")
        other = self.mount("b", *libraries.values(), options="poll=3600,quiet=3600000")
        for name in cases:
            put(mount.path(name, "file"), "base")
        mount.sync()
        self.world.nacre("sync", other.where, "--wait", client="b")
        for name in cases:
            put(other.path(name, "file"), f"theirs in {name}")
            put(other.path(name, "theirs"), name)
        other.sync()
        self.world.faults(*(READING[place].format(libraries[name]) + " " + action_of(fault)
                            for name, (place, fault) in cases.items()))
        for name in cases:
            put(mount.path(name, "file"), f"ours in {name}")
            put(mount.path(name, "ours"), name)
        self.world.nacre("sync", mount.where)
        wait_until(lambda: all(state["error"] for state in mount.status()["libraries"]),
                   "every failure is in the status", 60)
        for name in cases:
            self.assertEqual(sorted(os.listdir(mount.path(name))), ["file", "ours"])
            self.assertEqual(get(mount.path(name, "file")).decode(), f"ours in {name}")
        self.world.faults()
        mount.sync()
        other.sync()
        self.assertEqual(kit.tree(other.where), kit.tree(mount.where))
        for name in cases:
            names = sorted(os.listdir(mount.path(name)))
            self.assertEqual(len(names), 4, names)
            self.assertEqual({get(mount.path(name, file)).decode() for file in names},
                             {f"ours in {name}", f"theirs in {name}", name})

    def test_the_poll_for_changes_fails_for_a_while(self):
        library = self.wire.create("poll")
        mount = self.mount("a", "poll")
        put(mount.path("file"), "content")
        mount.sync()
        heads, account = "POST /head-commits-multi", "GET /api2/account/info/"
        rules = [f"{heads} {action_of(fault)}" for fault in (400, 403, 500, "wrong-id", "truncate")]
        for rule in (*rules, f"{account} status 403", f"{account} truncate"):
            self.world.faults(rule)
            if "wrong-id" not in rule:  # a head that nobody has: the real one is asked for then
                # The account is looked at with every tenth poll only.
                wait_until(lambda: mount.status()["connection_error"], f"{rule} is told", 40)
            self.assertEqual(get(mount.path("file")), b"content")
            before = self.state(mount)["head"]
            put(mount.path("changed"), rule)
            wait_until(lambda before=before: self.state(mount)["head"] != before, "it is sent")
        self.world.faults()
        wait_until(lambda: mount.status()["connection_error"] is None, "the poll is well again")
        mount.sync()
        self.assertEqual(self.state(mount)["head"], self.wire.head(library)["commit_id"])
        self.check_drained(mount, "poll")


if __name__ == "__main__":
    kit.run(220)
