# SPDX-License-Identifier: Apache-2.0
"""Tests of a mount whose server has a bad day: what they share."""

import os
import re

import kit
from kit import get, put, wait_until
from wire import Wire


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
            self.assertFalse([name for name in here if b"SFConflict" in name])
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
