#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What takes long shows how far it is, and Ctrl-C leaves nothing half done."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import termios
import threading
import unittest

import kit
from kit import get, put, wait_until
from terminal import Terminal

SECRET = "secret of user"


class Asked:
    """A gate before the server: counts requests, and holds them while it is closed."""

    def __init__(self, world):
        self.world, self.port = world, kit.free_port()
        self.asked, self.open = 0, threading.Event()
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.pass_on, args=(client,), daemon=True).start()

    def pass_on(self, client):
        with contextlib.suppress(OSError), client, \
                socket.create_connection(("127.0.0.1", self.world.port)) as server:
            threading.Thread(target=self.copy, args=(server, client), daemon=True).start()
            while part := client.recv(65536):
                self.asked += 1
                self.open.wait()
                server.sendall(part)
            server.shutdown(socket.SHUT_WR)

    @staticmethod
    def copy(source, target):
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)

    @contextlib.contextmanager
    def closed(self):
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()

    def close(self):
        self.open.set()
        self.listener.close()


class LongWork(kit.ServedCase):
    def setUp(self):
        self.world = kit.World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.logs_on_failure, self.world)
        self.world.serve()
        self.gate = Asked(self.world)
        self.addCleanup(self.gate.close)
        self.world.nacre("login", self.gate.url, "--user", kit.USER, "--account", "gate",
                         secret=SECRET)

    def mounted(self, *options, files=3, library="lib"):
        self.world.library(library)
        mount = self.world.mount("a", "--library", library, "-o", "quiet=100,poll=3600",
                                 *options)
        for number in range(files):
            os.makedirs(mount.path(f"d{number}", "below"))
            put(mount.path(f"d{number}", "below", "file"), os.urandom(3000))
        put(mount.path("file"), "first")
        mount.sync()
        put(mount.path("file"), "second version")
        mount.sync()
        return mount

    def without_cache(self, mount):
        """The same mount, that knows nothing but what it has not sent."""
        mount.end()
        shutil.rmtree(self.world.path("a", "cache"))
        mount.start()
        return mount

    def terminal(self, *arguments):
        terminal = Terminal(self.world, *arguments)
        self.addCleanup(terminal.close)
        return terminal

    def first_commit(self, mount, name):
        return self.json("history", mount.path(name))["versions"][-1]["commit"]

    # --- progress ---

    def test_what_can_be_counted_is_shown_with_rate_and_time_left(self):
        mount = self.mounted(files=12)
        commit = self.first_commit(mount, "file")
        for words, unit in ((["du", mount.where], "folders"), (["pin", mount.where], "files")):
            self.without_cache(mount)
            self.world.faults("GET .* delay 200", "POST .* delay 200")
            shown = self.terminal(*words)
            self.assertEqual(shown.end(60), 0, shown.shown)
            self.assertRegex(shown.shown, rf"\[=+> *\]  \d+ of about \d+ {unit}, [\d.]+/s, "
                                          r"\d:\d\d left")
            self.world.faults()
        self.world.nacre("unpin", mount.where)
        # How many versions there will be is not known: what is looked at is counted.
        self.world.faults("GET .*/commit/ delay 900")
        shown = self.terminal("history", mount.path("file"))
        self.assertEqual(shown.end(60), 0, shown.shown)
        self.assertRegex(shown.shown, r"history  0:0\d  \d+ commits, [\d.]+/s")
        self.world.faults()
        # Of a folder that is brought back, it is looked whether the server still has it all.
        shutil.rmtree(mount.path("d0"))
        mount.sync()
        self.world.faults("* .* delay 900")
        shown = self.terminal("restore", mount.path("d0"), "--at", commit)
        self.assertEqual(shown.end(60), 0, shown.shown)
        self.assertRegex(shown.shown, r"restore  .*\d+ of about \d+ files")

    def test_what_waits_for_the_server_shows_that_it_does_and_says_nothing_into_a_pipe(self):
        self.world.library("lib")
        self.world.faults("* .* delay 1500")
        for words in (["libraries", "--account", "gate"],
                      ["libraries", "create", "new", "--account", "gate"],
                      ["libraries", "rename", "lib", "lib2", "--account", "gate"],
                      ["libraries", "delete", "lib2", "--yes", "--account", "gate"],
                      ["logout", "gate"]):
            shown = self.terminal(*words)
            self.assertEqual(shown.end(60), 0, shown.shown)
            name = words[0] if words[1].startswith("--") or words[0] == "logout" else \
                " ".join(words[:2])
            self.assertIn(f"{name}  0:01", shown.shown)
        self.world.faults()
        self.world.nacre("login", self.gate.url, "--user", kit.USER, "--account", "gate",
                         secret=SECRET)
        self.world.faults("* .* delay 1500")
        process = self.world.popen(["libraries"], "a", stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        _, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (0, ""))

    def test_a_library_is_not_deleted_without_a_word_about_what_was_not_sent(self):
        self.world.library("lib")
        mount = self.world.mount("a", "--library", "lib", "-o", "quiet=3600000,poll=3600")
        put(mount.path("a"), "content of a")
        shown = self.terminal("libraries", "delete", "lib")
        shown.read_until(lambda text: "to go on:" in text)
        self.assertIn("1 change made here was never sent", shown.shown)
        shown.type(b"no\n")
        self.assertEqual(shown.end(), 1)
        process = self.world.popen(["libraries", "delete", "lib", "--yes"], "a",
                                   stderr=subprocess.PIPE, text=True)
        self.assertIn("was never sent", process.communicate(timeout=20)[1])
        self.assertEqual((process.returncode, self.libraries()), (0, []))
        self.assertEqual(get(mount.path("a")), b"content of a")

    # --- Ctrl-C ---

    def interrupted(self, *words, secret=None, said=""):
        """Ctrl-C once the server has been asked; what was said."""
        with self.gate.closed():
            before = self.gate.asked
            process = self.world.popen(list(words), "a", secret, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            wait_until(lambda: self.gate.asked > before, f"{words}: the server is asked")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, -signal.SIGINT, err)
        self.assertIn(said, err)
        self.no_temporary_files()
        return err

    def no_temporary_files(self):
        home = self.world.path("a", "config")
        for _, _, names in os.walk(home):
            self.assertFalse([name for name in names if ".new" in name or name.endswith("~")
                              or ".token." in name or ".tmp" in name])

    def libraries(self):
        return sorted(entry["name"] for entry in self.json("libraries"))

    def test_accounts_and_libraries(self):
        self.world.library("lib")
        self.world.library("Private", encrypted=True)
        before = self.libraries()
        accounts = self.json("accounts")
        self.interrupted("login", self.gate.url, "--user", kit.USER, "--account", "other",
                         secret=SECRET)
        self.assertEqual(self.json("accounts"), accounts)
        self.interrupted("libraries", "create", "new")
        self.interrupted("libraries", "create", "new", "--encrypted", secret=kit.PASSWORD)
        self.interrupted("libraries", "rename", "lib", "new")
        self.interrupted("libraries", "delete", "lib", "--yes")
        self.interrupted("libraries", "passwd", "Private",
                         secret=kit.PASSWORD + "\nanother password of the same library")
        self.assertEqual(self.libraries(), before)
        # The old password still opens it, also where a mount looks at its remembered key.
        mount = self.world.mount("a", "--library", "Private", "--unlock", "Private",
                                 secret=kit.PASSWORD)
        put(mount.path("file"), "content")
        mount.sync()
        mount.end()
        # Here it is gone, whatever the server has heard of it.
        for command in (["logout", "gate"], ["forget", "gate", "--yes"]):
            self.interrupted(*command, said="the server may not know")
            self.assertEqual(self.json("accounts"), [])
            self.world.nacre("login", self.gate.url, "--user", kit.USER, "--account", "gate",
                             secret=SECRET)
        self.assertEqual(self.libraries(), before)

    def test_a_mount_that_is_being_made(self):
        self.world.library("lib")
        where = self.world.path("mnt-new")
        os.makedirs(where)
        self.interrupted("mount", "--foreground", "gate", where)
        self.assertFalse(kit.is_mounted(where))
        self.world.nacre("mount", "gate", where)
        self.addCleanup(subprocess.run, ["fusermount3", "-uzq", where], check=False)
        self.assertEqual(os.listdir(where), ["lib"])
        self.world.nacre("umount", where)

    def test_paths_of_a_mount(self):
        mount = self.mounted()
        before = kit.tree(mount.where)
        commit = self.first_commit(mount, "file")
        for words in (["history", mount.path("file")], ["du", mount.where],
                      ["pin", mount.path("d0")],
                      ["restore", mount.path("file"), "--at", commit]):
            self.without_cache(mount)
            self.interrupted(*words)
            self.assertEqual(kit.tree(mount.where), before)
            self.assertEqual(mount.status()["pins"], [])
            self.assertEqual(mount.status()["libraries"][0]["pending_names"], 0)
        # A pin that is made is kept, as is said.
        self.without_cache(mount)
        self.world.nacre("du", mount.path("d1"))
        self.world.faults("GET .*/block/ delay 3000")
        process = self.world.popen(["pin", mount.path("d1")], "a", stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        wait_until(lambda: mount.status()["pins"], "it is pinned")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertIn("stays pinned", err)
        self.world.faults()
        wait_until(lambda: mount.status()["pins"][0]["complete"], "it is here")
        # What is here is dropped as a whole.
        self.world.nacre("unpin", mount.path("d1"))
        process = self.world.popen(["evict", mount.where], "a", stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertIn(process.returncode, (0, -signal.SIGINT))
        self.assertEqual(kit.tree(mount.where), before)

    def test_unlock_sync_and_umount(self):
        self.world.library("Private", encrypted=True)
        self.world.library("lib")
        mount = self.world.mount("a", "-o", "quiet=3600000,poll=3600")
        self.interrupted("unlock", mount.where, "Private", secret=kit.PASSWORD)
        self.world.nacre("unlock", mount.where, "Private", secret=kit.PASSWORD)
        put(mount.path("lib", "a"), "content of a")
        self.interrupted("sync", mount.where, "--wait", said="goes on in the background")
        wait_until(lambda: not any(library["pending_names"]
                                   for library in mount.status()["libraries"]), "it is sent", 60)
        put(mount.path("lib", "b"), "content of b")
        self.interrupted("umount", mount.where)
        put(mount.path("lib", "c"), "content of c")
        self.assertEqual(get(mount.path("lib", "b")), b"content of b")
        mount.sync()
        self.world.nacre("umount", mount.where, timeout=150)
        self.assertFalse(kit.is_mounted(mount.where))

    def test_prompts_give_the_terminal_back(self):
        self.world.library("Private", encrypted=True)
        mount = self.world.mount("a", "--library", "Private")
        for words in (["login", self.gate.url, "--user", "x"],
                      ["unlock", mount.where, "Private"]):
            shown = self.terminal(*words)
            wait_until(lambda shown=shown: not termios.tcgetattr(shown.fd)[3] & termios.ECHO,
                       "echo is off")
            shown.type(b"\x03")
            self.assertEqual(shown.end(), -signal.SIGINT, shown.shown)
            self.assertEqual(termios.tcgetattr(shown.fd)[3] & termios.ECHO, termios.ECHO)


if __name__ == "__main__":
    kit.run(220)
