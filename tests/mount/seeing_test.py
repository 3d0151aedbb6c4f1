#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a person, or a monitoring system, sees of a mount; and who gets nothing fetched."""

import errno
import http.client
import os
import re
import shutil
import subprocess
import termios
import unittest

import kit
from kit import get, put, wait_until
from terminal import Terminal

NEVER = "quiet=3600000"  # nothing is sent unless somebody asks
CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")
SET_SCREEN, LEFT_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Seeing(kit.ServedCase):
    def terminal(self, *arguments, **how):
        terminal = Terminal(self.world, *arguments, **how)
        self.addCleanup(terminal.close)
        return terminal

    # --- status --watch ---

    def test_a_live_view_that_leaves_the_terminal_as_it_was(self):
        self.world.library("Work")
        self.world.library("Private", encrypted=True)
        mount = self.world.mount("a", "-o", NEVER)
        os.mkdir(mount.path("Work", "Travel"))
        put(mount.path("Work", "Travel", "plan"), os.urandom(50_000))
        mount.sync()
        self.world.nacre("pin", mount.path("Work", "Travel"))
        terminal = self.terminal("status", mount.where, "--watch")
        terminal.read_until(lambda shown: "Ctrl-C ends" in shown)
        head = mount.status()["libraries"]
        head = next(library["head"] for library in head if library["name"] == "Work")
        for words in ("server   \x1b[32mconnected", "cache", "queue    empty", head[:8],
                      "unlock it with: nacre unlock", "pinned Travel: 1 file, 48.8 KiB, all here"):
            self.assertIn(words, terminal.shown)
        # What changes is seen without asking for it.
        put(mount.path("Work", "new"), os.urandom(2000))
        terminal.read_until(lambda shown: "1 change, 2.0 KiB" in shown)
        self.world.stop_server()
        terminal.read_until(lambda shown: "away; what is cached reads" in shown, 40)
        for line in CONTROL.sub("", terminal.shown).replace("\r", "").split("\n"):
            self.assertLessEqual(len(line), 80, line)
        self.assertEqual(terminal.shown.count(SET_SCREEN), 1)
        self.assertNotIn(LEFT_SCREEN, terminal.shown)
        terminal.type(b"\x03")
        self.assertEqual(terminal.end(), 0)
        self.assertTrue(terminal.shown.endswith("\x1b[?7h\x1b[?25h" + LEFT_SCREEN))
        self.assertEqual(termios.tcgetattr(terminal.fd), terminal.settings)

    def test_the_view_has_no_colour_where_none_is_wanted_and_fits_a_small_window(self):
        self.world.library("Work")
        mount = self.world.mount("a")
        terminal = self.terminal("status", mount.where, "--watch", NO_COLOR="1", rows=5, columns=40)
        terminal.read_until(lambda shown: shown.count("\x1b[J") > 1)  # the size is known by then
        self.assertIsNone(re.search(r"\x1b\[[\d;]*m", terminal.shown))
        last = terminal.shown.split("\x1b[H")[-2]
        self.assertLessEqual(last.count("\r\n"), 4)
        self.assertRegex(last, r"and \d+ more lines")
        self.assertEqual(mount.end(), 0)  # it ends with the mount
        self.assertEqual(terminal.end(), 4)
        self.assertIn(LEFT_SCREEN, terminal.shown)

    def test_without_a_terminal_the_view_is_refused(self):
        self.world.library("Work")
        mount = self.world.mount("a")
        said = self.world.nacre("status", mount.where, "--watch", expect=2)
        self.assertIn("--watch needs a terminal", said)

    # --- progress ---

    def test_long_work_shows_how_far_it_is_on_a_terminal_only(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", NEVER, "--library", "lib")
        for name in "abcd":
            put(mount.path(name), os.urandom(1_000_000))
        self.world.faults("PUT /block/ delay 1500")
        terminal = self.terminal("sync", mount.where, "--wait")
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(terminal.shown, r"\rsending  \[=*>? *\]  .* of 3\.8 MiB")
        self.assertTrue(terminal.shown.endswith("\r\x1b[K"))  # and nothing is left of it
        for line in CONTROL.sub("", terminal.shown).split("\r"):
            self.assertLess(len(line), 80)
        # What a command says comes where its line has been.
        self.world.faults("GET /commit/ delay 2000")
        terminal = self.terminal("history", mount.path("a"))
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(terminal.shown, r"\rhistory  0:0\d\x1b\[K.*\r\x1b\[K[0-9a-f]{40}  ")
        self.world.faults("PUT /block/ delay 1500")
        put(mount.path("e"), os.urandom(1_000_000))
        process = self.world.popen(["sync", mount.where, "--wait"], "a", stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        self.assertEqual(process.communicate(timeout=30)[0], b"")
        self.assertEqual(process.returncode, 0)

    def test_ctrl_c_leaves_no_half_file_under_its_name(self):
        self.world.library("lib")
        mount = self.world.mount("a", "-o", NEVER, "--library", "lib")
        content = os.urandom(60_000_000)
        put(mount.path("large"), content)
        mount.end_at_once()
        rescued = self.world.path("rescued")
        terminal = self.terminal("rescue", self.world.url, rescued)
        folder = os.path.join(rescued, "lib")
        wait_until(lambda: os.path.isdir(folder) and os.listdir(folder), "it begins")
        terminal.type(b"\x03")
        terminal.end()
        (name,) = os.listdir(folder)
        self.assertTrue(name == "large.incomplete" or get(os.path.join(folder, name)) == content)
        # And all of it can be had again.
        self.world.nacre("rescue", self.world.url, self.world.path("again"))
        self.assertEqual(get(self.world.path("again", "lib", "large")), content)

    # --- metrics ---

    def read_metrics(self, text):
        """Strictly as OpenMetrics 1.0 says, as far as it is used: families and their samples."""
        self.assertTrue(text.endswith("\n# EOF\n"))
        families, name = {}, None
        for line in text[:-len("# EOF\n")].splitlines():
            if line.startswith("# "):
                key, about, value = re.fullmatch(r"# (TYPE|UNIT|HELP) (\S+) (.+)", line).groups()
                if key == "TYPE":
                    self.assertNotIn(about, families)
                    self.assertRegex(about, r"\Anacre_[a-z_]+\Z")
                    self.assertIn(value, ("counter", "gauge", "info"))
                    families[about] = {"TYPE": value, "samples": {}}
                    name = about
                self.assertEqual(about, name)
                self.assertEqual(key in families[name], key == "TYPE")
                self.assertFalse(families[name]["samples"])
                families[name][key] = value
                if key == "UNIT":
                    self.assertTrue(name.endswith("_" + value))
                continue
            sample = re.fullmatch(r'([a-z_]+)(\{([a-z]+)="([^"\\\n]*)"\})? (\d+)', line)
            self.assertIsNotNone(sample, line)
            suffix = {"counter": "_total", "gauge": "", "info": "_info"}[families[name]["TYPE"]]
            self.assertEqual(sample[1], name + suffix)
            self.assertNotIn(sample[4], families[name]["samples"])
            families[name]["samples"][sample[4]] = int(sample[5])
        for name, family in families.items():
            self.assertIn("HELP", family)
            for unit in ("bytes", "seconds"):
                self.assertEqual(name.endswith("_" + unit), family.get("UNIT") == unit)
            self.assertFalse(name.endswith("_total"))
        return families

    def test_figures_for_monitoring(self):
        self.world.library("Work")
        self.world.library("Private affairs", encrypted=True)
        port = kit.free_port()
        mount = self.world.mount("a", "-o", f"{NEVER},metrics=127.0.0.1:{port}")
        put(mount.path("Work", "telling name"), os.urandom(100_000))
        mount.sync()
        put(mount.path("Work", "another name"), os.urandom(5000))
        text = self.world.nacre("status", mount.where, "--metrics")
        self.assertEqual(self.ask(port, "/metrics"), (200, text))
        for name in ("Work", "Private", "name"):
            self.assertNotIn(name, text)
        families = self.read_metrics(text)
        ids = {library["name"]: library["id"] for library in mount.status()["libraries"]}
        value = {name: family["samples"] for name, family in families.items()}
        self.assertEqual(value["nacre_connected"], {None: 1})
        self.assertEqual(value["nacre_sent_bytes"], {None: 100_000})
        self.assertEqual(value["nacre_library_unsent_bytes"],
                         {ids["Work"]: 5000, ids["Private affairs"]: 0})
        self.assertEqual(value["nacre_library_unsent_changes"][ids["Work"]], 1)
        self.assertEqual(value["nacre_library_locked"][ids["Private affairs"]], 1)
        self.assertEqual(families["nacre_build"]["TYPE"], "info")

        self.assertEqual(self.ask(port, "/")[0], 404)
        self.assertEqual(self.ask(port, "/metrics", host="evil.example.com")[0], 403)
        self.world.stop_server()
        wait_until(lambda: mount.status()["connection_error"], "the server is missed")
        self.assertIn("nacre_connected 0\n", self.ask(port, "/metrics")[1])

    def ask(self, port, path, host=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status == 200:
            self.assertEqual(answer.headers["Content-Type"],
                             "application/openmetrics-text; version=1.0.0; charset=utf-8")
        connection.close()
        return answer.status, text

    def test_figures_are_for_this_machine_only(self):
        self.world.library("Work")
        where = self.world.path("mnt")
        os.mkdir(where)
        for address in ("0.0.0.0:9100", "[::]:9100", "192.0.2.1:9100", "example.com:9100", "9100",
                        "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1"):
            said = self.world.nacre("mount", where, "-o", f"metrics={address}", expect=2)
            self.assertIn("metrics", said)
        port = kit.free_port()
        self.world.mount("a", "-o", f"metrics=127.0.0.1:{port}")
        self.world.login("b")
        said = self.world.nacre("mount", where, "-o", f"metrics=127.0.0.1:{port}", client="b",
                                expect=1)
        self.assertIn("cannot be had", said)

    # --- thumbnailers and indexers ---

    def read_as(self, program, path):
        """What a program of that name reads there, or the error it meets."""
        copy = self.world.path(program)
        if not os.path.exists(copy):
            shutil.copy(shutil.which("cat"), copy)
        done = subprocess.run([copy, path], capture_output=True, timeout=30, check=False,
                              env={**os.environ, "LC_ALL": "C"})
        return done.stdout if done.returncode == 0 else done.stderr.decode()

    def two_clients(self, options, **how):
        self.world.library("lib", **how)
        secret = kit.PASSWORD if how else None
        first = self.world.mount("a", "--library", "lib", secret=secret)
        self.content = os.urandom(3_000_000)
        put(first.path("photo"), self.content)
        put(first.path("other"), os.urandom(3_000_000))
        first.sync()
        self.world.login("b")
        return self.world.mount("b", "-o", options, "--library", "lib", secret=secret)

    def check_shield(self, mount, program):
        refused = os.strerror(errno.EACCES)
        self.assertIn(refused, self.read_as(program, mount.path("photo")))
        self.assertEqual(mount.status()["received_bytes"], 0)
        self.assertEqual(mount.status()["shielded_reads"], 1)
        self.assertIn("nothing was fetched for thumbnailers and indexers, 1 time\n",
                      self.world.nacre("status", mount.where, client="b"))
        self.assertIn("nacre_shielded_reads_total 1\n",
                      self.world.nacre("status", mount.where, "--metrics", client="b"))
        # Others are served, and what they have fetched is for all.
        self.assertEqual(self.read_as("gimp", mount.path("photo")), self.content)
        self.assertEqual(self.read_as(program, mount.path("photo")), self.content)
        self.assertEqual(mount.status()["shielded_reads"], 1)

    def test_nothing_is_fetched_for_a_thumbnailer(self):
        self.check_shield(self.two_clients("poll=1"), "tumblerd")

    def test_nothing_is_fetched_for_an_indexer_with_a_long_name(self):
        mount = self.two_clients("shield=a-program-of-mine:indexer-of-a-friend", encrypted=True)
        self.check_shield(mount, "indexer-of-a-friend")
        self.assertIn("denied", self.read_as("baloo_file_extractor", mount.path("other")))

    def test_a_file_that_is_partly_here_is_not_opened(self):
        mount = self.two_clients("poll=1")
        with open(mount.path("other"), "r+b") as file:  # changed here, and mostly not fetched
            file.write(b"mine")
        self.assertIn("denied", self.read_as("tumblerd", mount.path("photo")))
        said = self.read_as("tumblerd", mount.path("other"))
        self.assertIn("denied", said)
        self.assertEqual(mount.status()["shielded_reads"], 2)

    def test_without_a_shield_all_programs_are_served(self):
        mount = self.two_clients("noshield")
        self.assertEqual(self.read_as("tumblerd", mount.path("photo")), self.content)
        self.assertEqual(mount.status()["shielded_reads"], 0)


if __name__ == "__main__":
    kit.run()
