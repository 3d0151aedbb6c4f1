# SPDX-License-Identifier: Apache-2.0
"""A world for one test: a server, an account, libraries, and mounts of them.

Everything lives in one temporary folder, with XDG folders of its own per client,
and is taken down whatever happens.  Every wait is bounded: when a script takes
longer than its limit its daemons are killed, so that nobody hangs in a mount.
"""

import ctypes
import hashlib
import json
import mmap
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import needles

NACRE = os.environ.get("NACRE", "nacre")
PASSWORD = "the password of one library of the tests"
USER = "someone@example.com"

_processes = []


def run(limit_seconds=240):
    """The main function of a script of tests."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("skipped: no /dev/fuse")
        sys.exit(77)

    def give_up():
        print(f"not done after {limit_seconds} s: killing the daemons", flush=True)
        for process in _processes:
            process.kill()

    watchdog = threading.Timer(limit_seconds, give_up)
    watchdog.daemon = True
    watchdog.start()
    unittest.main(verbosity=2)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=15.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return value


class Mount:
    """A library on a directory, served by a daemon that we can kill."""

    def __init__(self, world, client, arguments, where, secret):
        self.world, self.client, self.where = world, client, where
        self.log_path = os.path.join(world.top, f"{client}.log")
        os.makedirs(where, exist_ok=True)
        self.process = None
        self.arguments, self.secret = arguments, secret
        self.start()

    def start(self):
        self.let_go()
        with open(self.log_path, "ab") as log:
            self.process = self.world.popen(
                ["mount", "--foreground", *self.arguments, self.where],
                self.client, self.secret, stdout=subprocess.PIPE, stderr=log)
        line = read_line(self.process, 30)
        if b"mounted" not in line:
            self.process.wait(10)
            raise AssertionError(f"mount: {line!r}\n{self.log()}")

    def let_go(self):
        """Of what connects us with a daemon that has ended."""
        if self.process is not None:
            self.process.stdout.close()

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-4000:]

    def path(self, *names):
        return os.path.join(self.where, *names)

    def sync(self, seconds=60):
        self.world.nacre("sync", self.where, "--wait", "--timeout", str(seconds),
                         client=self.client, timeout=seconds + 10)

    def status(self):
        return json.loads(self.world.nacre("status", self.where, "--json", client=self.client))

    def kill(self):
        """As the kernel's out-of-memory killer does it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end_at_once(self):
        """Whatever it is doing; what is unsent stays in its state."""
        if self.process.poll() is None:
            self.kill()
        if is_mounted(self.where):
            subprocess.run(["fusermount3", "-u", "-z", "-q", self.where], check=False)

    def end(self):
        """Cleanly; returns the exit status of the daemon."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(60)  # it sends what is left, and a disk may be slow
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the daemon does not end\n{self.log()}") from None
        return self.process.returncode


def read_line(process, seconds):
    line = []
    reader = threading.Thread(target=lambda: line.append(process.stdout.readline()), daemon=True)
    reader.start()
    reader.join(seconds)
    return line[0] if line else b""


class World:
    recorded = True  # what clients send is searched for secrets at the end

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="nacre-test-")
        self.server = self.recorder = None
        self.port = free_port()
        self.server_port = free_port() if self.recorded else self.port
        self.mounts = []
        # None, unless a test brings its own: not the desktop's of who runs the tests.
        self.buses = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
                      "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
        self.passwords = set()  # of libraries

    def path(self, *names):
        return os.path.join(self.top, *names)

    # --- the program ---

    def environment(self, client):
        home = os.path.join(self.top, client)
        places = {"HOME": home}
        for name in ("CONFIG", "CACHE", "STATE", "DATA"):
            places[f"XDG_{name}_HOME"] = os.path.join(home, name.lower())
        places["XDG_RUNTIME_DIR"] = os.path.join(home, "run")
        for place in places.values():
            os.makedirs(place, mode=0o700, exist_ok=True)
        return {**os.environ, **places, **self.buses, "LC_ALL": "C.UTF-8",
                "GIT_CONFIG_NOSYSTEM": "1"}

    def popen(self, arguments, client, secret=None, **streams):
        fds = ()
        if secret is not None:
            if arguments[0] not in ("login", "serve"):
                self.passwords.update(secret.encode().splitlines())
            reading, writing = os.pipe()
            os.write(writing, secret.encode() + b"\n")
            os.close(writing)
            fds = (reading,)
            arguments = [*arguments, "--password-fd", str(reading)]
        process = subprocess.Popen([NACRE, *arguments], env=self.environment(client),
                                   stdin=subprocess.DEVNULL, pass_fds=fds, **streams)
        if fds:
            os.close(fds[0])
        _processes.append(process)
        return process

    def nacre(self, *arguments, client="a", secret=None, timeout=60, expect=0):
        process = self.popen(list(arguments), client, secret, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=timeout)
        if process.returncode != expect:
            raise AssertionError(f"nacre {' '.join(arguments)}: exit status {process.returncode}, "
                                 f"expected {expect}\n{out}{err}")
        return out if expect == 0 else err

    # --- the server ---

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def serve(self):
        storage = os.path.join(self.top, "storage")
        self.nacre("serve", storage, "--add-user", USER, client="server", secret="secret of user")
        self.start_server()

    def start_server(self):
        with open(os.path.join(self.top, "server.log"), "ab") as log:
            self.server = self.popen(
                ["serve", os.path.join(self.top, "storage"),
                 "--listen", f"127.0.0.1:{self.server_port}",
                 "--faults", os.path.join(self.top, "faults")],
                "server", stdout=log, stderr=log)

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.server_port)) == 0

        wait_until(answers, "the server answers")
        if self.recorded:
            self.start_recorder()

    @property
    def records(self):
        return os.path.join(self.top, "sent")

    def start_recorder(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorder.py")
        self.recorder = subprocess.Popen(
            [sys.executable, script, str(self.port), str(self.server_port), self.records],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # it ends with its input
        _processes.append(self.recorder)
        if not read_line(self.recorder, 20):
            raise AssertionError("what clients send cannot be recorded")

    def stop_recorder(self):
        if self.recorder is not None:
            self.recorder.kill()
            self.recorder.wait(10)
            self.recorder.stdin.close()
            self.recorder.stdout.close()
            self.recorder = None

    def look_for_secrets(self):
        """No server was sent a library's password or key."""
        if self.recorded and os.path.isdir(self.records):
            needles.search(self.records,
                           needles.needles(os.path.join(self.top, "storage"), self.passwords))

    def stop_server(self):
        self.stop_recorder()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(20)

    def kill_server(self):
        """As a power cut takes it away."""
        self.stop_recorder()
        self.server.kill()
        self.server.wait(20)

    def faults(self, *rules):
        """What the server does wrong from now on (nacre-serve(1), --faults); without rules: nothing."""
        fresh = os.path.join(self.top, "faults.new")
        put(fresh, "".join(rule + "\n" for rule in rules))
        os.rename(fresh, os.path.join(self.top, "faults"))

    def login(self, client="a"):
        self.nacre("login", self.url, "--user", USER, client=client, secret="secret of user")

    def library(self, name, encrypted=False, version=None):
        if encrypted:
            how = ["--encryption", str(version)] if version else []
            self.nacre("libraries", "create", name, "--encrypted", *how, secret=PASSWORD)
        else:
            self.nacre("libraries", "create", name)

    # --- mounts ---

    def mount(self, client, *arguments, secret=None, source=None):
        """Mounts for `client`; polls each second unless told otherwise."""
        words = ["-o", "poll=1,quiet=300", *arguments]
        if source is not None:
            words.append(source)
        where = os.path.join(self.top, "mnt-" + client)
        mount = Mount(self, client, words, where, secret)
        self.mounts.append(mount)
        return mount

    def close(self):
        for mount in self.mounts:
            if mount.process.poll() is None:
                mount.process.send_signal(signal.SIGTERM)
        for mount in self.mounts:
            try:
                mount.process.wait(15)
            except subprocess.TimeoutExpired:
                mount.kill()
        for mount in self.mounts:
            mount.let_go()
            if is_mounted(mount.where):
                subprocess.run(["fusermount3", "-u", "-z", "-q", mount.where], check=False)
        self.stop_recorder()
        if self.server is not None and self.server.poll() is None:
            self.server.kill()
            self.server.wait(10)
        if any(is_mounted(mount.where) for mount in self.mounts):
            return
        try:
            self.look_for_plaintext()
            self.look_for_secrets()
        finally:
            shutil.rmtree(self.top, ignore_errors=True)

    def look_for_plaintext(self):
        """Nothing that was written lies in a client's state or cache as it was written."""
        places = [os.path.join(self.top, client, what)
                  for client in os.listdir(self.top) for what in ("state", "cache")]
        for place in places:
            for folder, _, names in os.walk(place):
                for name in names:
                    path = os.path.join(folder, name)
                    if os.path.getsize(path) == 0:
                        continue
                    with open(path, "rb") as file, \
                            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                        for written in _written[::max(1, len(_written) // 20)]:
                            if content.find(written) >= 0:
                                raise AssertionError(f"{path} holds in clear: {written!r}")


def is_mounted(where):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return any(line.split()[1] == where for line in mounts)


class Case(unittest.TestCase):
    """A test with a world of its own, or one for all tests of its class."""

    def logs_on_failure(self, world):
        outcome = self._outcome.result
        failed = [case for case, _ in outcome.failures + outcome.errors if case is self]
        if failed:
            for mount in {mount.log_path: mount for mount in world.mounts}.values():
                print(f"--- log of {mount.client}:\n{mount.log()}", file=sys.stderr)


# --- trees ---


class ServedCase(Case):
    """A world of its own for every test, with a server and an account of client a."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.logs_on_failure, self.world)
        self.world.serve()
        self.world.login("a")

    def json(self, *arguments, client="a"):
        """What a command says with --json."""
        return json.loads(self.world.nacre(*arguments, "--json", client=client))


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def tree(top, times=True):
    """Every entry below `top`: its type and mode, size, time and contents."""
    entries = {}
    for folder, folders, names in os.walk(os.fsencode(top), onerror=_raise):
        for name in folders + names:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            entry = (stat.S_IFMT(st.st_mode), st.st_mode & 0o111)
            if stat.S_ISREG(st.st_mode):
                entry += (st.st_size, int(st.st_mtime) if times else 0, digest(path))
            entries[os.path.relpath(path, os.fsencode(top))] = entry
    return entries


def _raise(error):
    raise error


_written = []  # beginnings of contents, and names, that are long enough to be no accident


def put(path, content, mode=None):
    if isinstance(content, str):
        content = content.encode()
    for known in (content[:64], os.fsencode(os.path.basename(path))):
        if len(known) >= 12 and len(set(known)) > 6 and len(_written) < 200:
            _written.append(known)
    with open(path, "wb") as file:
        file.write(content)
    if mode is not None:
        os.chmod(path, mode)


def get(path):
    with open(path, "rb") as file:
        return file.read()


_libc = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, COLLAPSE_RANGE = 1, 2, 16, 8


def renameat2(old, new, flags):
    if _libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), old)


def fallocate(fd, mode, offset, length):
    if _libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
