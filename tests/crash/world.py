# SPDX-License-Identifier: Apache-2.0
"""A server, a library, and two mounts of it; the one of client `a` is killed again and again."""

import os
import shutil
import signal
import stat
import subprocess
import threading
import time
import uuid

import powercut
from contents import find_plaintext
from storage import Storage
from workloads import kit

DAEMON_STARTS = 30  # seconds, on a slow machine


class CrashWorld(kit.World):
    def __init__(self, rng, encrypted, shim):
        super().__init__()
        self.rng, self.encrypted, self.shim = rng, encrypted, shim
        self.extra = {}
        self.a = None  # the daemon's process
        self.where = os.path.join(self.top, "mnt-a")
        os.makedirs(self.where)
        self.boot_file = os.path.join(self.top, "boot-id")
        self.shelf = os.path.join(self.top, "shelf")
        os.makedirs(self.shelf)
        self.new_boot()
        try:
            self.serve()
            self.login("b")
            # What is made beside the mount has to outlive a power cut, too.
            self.extra = self.disk() if shim else {}
            self.login("a")
            self.library("lib", encrypted)
            self.extra = {}
            self.storage = Storage(os.path.join(self.top, "storage", "storage"))
            self.mount_b()
        except BaseException:
            self.close()
            raise

    def environment(self, client):
        return {**super().environment(client), **(self.extra if client == "a" else {})}

    def new_boot(self):
        with open(self.boot_file, "w", encoding="ascii") as file:
            file.write(str(uuid.UUID(int=self.rng.getrandbits(128))) + "\n")

    def state_folder(self, client):
        return os.path.join(self.top, client, "state")

    def cache_folder(self, client):
        return os.path.join(self.top, client, "cache")

    # --- the mount that is killed ---

    def disk(self):
        return {"LD_PRELOAD": self.shim, "NACRE_DISK": self.state_folder("a"),
                "NACRE_SHELF": self.shelf, "NACRE_BOOT_ID": self.boot_file,
                # A sanitizer wants to be the first library, and is not.
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def start(self, quiet, failpoint=None):
        """Mounts; False when the daemon was killed by the failpoint before that."""
        self.extra = self.disk() if self.shim else {"NACRE_BOOT_ID": self.boot_file}
        if failpoint:
            self.extra["NACRE_FAILPOINT"] = failpoint
        if self.a is not None:
            self.a.stdout.close()
        words = ["mount", "--foreground", "--library", "lib", "-o", f"poll=1,quiet={quiet}",
                 self.where]
        with open(os.path.join(self.top, "a.log"), "ab") as log:
            self.a = self.popen(words, "a", kit.PASSWORD if self.encrypted else None,
                                stdout=subprocess.PIPE, stderr=log)
        self.extra = {}
        line = kit.read_line(self.a, DAEMON_STARTS)
        if b"mounted" in line:
            return True
        self.a.wait(10)
        if failpoint and self.a.returncode == -signal.SIGKILL:
            self.detach()
            return False
        raise AssertionError(f"the daemon does not start: {self.a.returncode}\n{self.log('a')}")

    def alive(self):
        return self.a is not None and self.a.poll() is None

    def kill(self):
        if self.alive():
            self.a.send_signal(signal.SIGKILL)
        self.a.wait(10)

    def detach(self):
        """Takes the dead mount away; nobody may be working on it, who would go on below it."""
        if kit.is_mounted(self.where):
            subprocess.run(["fusermount3", "-uzq", self.where], check=True, timeout=20)
        assert os.listdir(self.where) == [], "something was written below the mountpoint"

    def cut_power(self):
        """After a kill."""
        said = powercut.cut(self.state_folder("a"), self.shelf, self.rng)
        self.new_boot()
        if self.rng.random() < 0.5:
            shutil.rmtree(self.cache_folder("a"))
            said += ", no cache"
        return said

    def sync(self, seconds=60):
        self.nacre("sync", self.where, "--wait", "--timeout", str(seconds), client="a",
                   timeout=seconds + 10)

    def sync_soon(self):
        """Asks for it, and does not wait: it falls into the middle of the work."""
        process = self.popen(["sync", self.where], "a", stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        threading.Thread(target=process.wait, daemon=True).start()

    # --- the other mount ---

    def mount_b(self):
        self.b = self.mount("b", "--library", "lib",
                            secret=kit.PASSWORD if self.encrypted else None)

    def remount_b(self, forget):
        assert self.b.end() == 0, self.log("b")
        self.mounts.remove(self.b)
        if forget:
            shutil.rmtree(self.cache_folder("b"))
        self.mount_b()

    # --- looking ---

    def log(self, client):
        with open(os.path.join(self.top, client + ".log"), errors="replace",
                  encoding="utf-8") as log:
            return log.read()[-3000:]

    def plaintext(self):
        return find_plaintext([folder(client) for client in "ab"
                               for folder in (self.state_folder, self.cache_folder)]
                              + [self.shelf])

    def close(self):
        if self.alive():
            self.kill()
        if self.a is not None:
            self.detach()
        super().close()


def read_tree(top, without=None, only=""):
    """Path: (is a directory, executable, size, time, bytes) of all; each is read in whole.

    `without`: a folder at the top that somebody else is writing to meanwhile; `only`: the
    one that nobody is.
    """
    entries = {only: (True, False, 0, 0, b"")} if only else {}

    def raise_(error):
        raise error

    for folder, folders, names in os.walk(os.path.join(top, only) if only else top,
                                          onerror=raise_):
        if folder == top and without in folders:
            folders.remove(without)
        for name in folders + names:
            path = os.path.join(folder, name)
            shown = os.path.relpath(path, top)
            st = os.lstat(path)
            if stat.S_ISDIR(st.st_mode):
                entries[shown] = (True, False, 0, 0, b"")
                continue
            data = kit.get(path)
            assert len(data) == st.st_size, \
                f"{shown}: stat says {st.st_size} bytes, there are {len(data)}"
            entries[shown] = (False, st.st_mode & 0o100 != 0, st.st_size, int(st.st_mtime), data)
    conflicts = [path for path in entries if "SFConflict" in path]
    assert not conflicts, f"conflict copies of a single writer: {conflicts}"
    return entries


def tree_difference(one, two):
    """None, or what differs between two results of read_tree."""
    for path in sorted(one.keys() | two.keys()):
        if one.get(path) != two.get(path):
            def show(entry):
                return entry and (*entry[:4], entry[4][:48], hash(entry[4]))
            return f"{path}: {show(one.get(path))} here, {show(two.get(path))} there"
    return None


def clock():
    return time.monotonic()
