# SPDX-License-Identifier: Apache-2.0
"""The world that is measured in, and what stands beside nacre: curl, gocryptfs, rclone, sshfs."""

import contextlib
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import kit

MIB = 1 << 20
PATIENCE = 1200  # seconds for one `sync --wait`
SECRET = "secret of user"


class Missing(Exception):
    """A yardstick is not installed."""


def need(*programs):
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        raise Missing("no " + ", ".join(absent))


class World(kit.World):
    """A server, and a client of its own for every mount that must know nothing yet."""

    recorded = False  # it is measured

    def __init__(self):
        super().__init__()
        self.clients = (f"client-{n}" for n in itertools.count())

    def look_for_plaintext(self):
        """The tests look; here are gigabytes."""

    def client(self, url=None, ca_file=None):
        name = next(self.clients)
        trust = ["--ca-file", ca_file] if ca_file else []
        self.nacre("login", url or self.url, "--user", kit.USER, *trust, client=name,
                   secret=SECRET)
        return name

    @contextlib.contextmanager
    def mounted(self, library, client, *options, encrypted=False):
        secret = kit.PASSWORD if encrypted else None
        mount = self.mount(client, "--library", library, *options, secret=secret)
        try:
            yield mount
            mount.end()
        finally:
            mount.end_at_once()
            self.mounts.remove(mount)

    def forget(self, client):
        shutil.rmtree(self.path(client), ignore_errors=True)

    def storage(self, *names):
        return self.path("storage", "storage", *names)


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def timed(action, *arguments):
    start = time.monotonic()
    action(*arguments)
    return time.monotonic() - start


def write_random(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def copy(source, target):
    with open(source, "rb", buffering=0) as old, open(target, "wb", buffering=0) as new:
        while piece := old.read(MIB):
            new.write(piece)


def read_all(path, size):
    buffer, got = bytearray(MIB), 0
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            got += count
    if got != size:
        raise AssertionError(f"{path}: {got} bytes instead of {size}")


def await_mounted(where, process, seconds=30):
    def ready():
        if process.poll() is not None:
            raise AssertionError(f"{process.args[0]}: exit status {process.returncode}")
        return kit.is_mounted(where)

    kit.wait_until(ready, f"{process.args[0]} has mounted", seconds)


def unmount(where, process):
    subprocess.run(["fusermount3", "-u", "-z", "-q", where], check=False)
    await_end(process, 20)


def await_end(process, seconds=10):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def mounted_by(words, where, **how):
    """What a program that stays in the foreground mounts there."""
    os.makedirs(where, exist_ok=True)
    process = subprocess.Popen(words, **how)
    try:
        await_mounted(where, process)
        yield where
    finally:
        unmount(where, process)


class Curl:
    """The blocks and objects of one library over plain HTTP, with the server's own protocol."""

    def __init__(self, world):
        self.world = world
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        form = urllib.parse.urlencode({"username": kit.USER, "password": SECRET})
        self.token = self.ask("/api2/auth-token/", form.encode())["token"]
        subprocess.run(["curl", "--version"], check=True, stdout=subprocess.DEVNULL)

    def ask(self, path, body=None, headers=None):
        request = urllib.request.Request(self.world.url + path, body, headers or {})
        with self.opener.open(request, timeout=60) as answer:
            return json.load(answer)

    def api(self, path):
        return self.ask(path, headers={"Authorization": "Token " + self.token})

    def library(self, name):
        return next(entry["id"] for entry in self.api("/api2/repos/") if entry["name"] == name)

    def repo_token(self, library):
        return self.api(f"/api2/repos/{library}/download-info/")["token"]

    def stored(self, kind, library):
        """Id and file of each block or object, as the server keeps them."""
        return [(os.path.basename(folder) + name, os.path.join(folder, name))
                for folder, _, names in os.walk(self.world.storage(kind, library))
                for name in names]

    def run(self, library, lines):
        config = self.world.path("curl.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f'header = "Seafile-Repo-Token: {self.repo_token(library)}"\n'
                       'header = "Expect:"\n' + "\n".join(lines))
        start = time.monotonic()
        done = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--noproxy", "*",
                               "--parallel", "--parallel-max", "4", "--config", config],
                              check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, timeout=PATIENCE)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            raise AssertionError(f"curl: exit status {done.returncode}\n{done.stderr}")
        return seconds

    def blocks(self, library, blocks, put=False):
        lines = []
        for block, path in blocks:
            lines.append(f'url = "{self.world.url}/seafhttp/repo/{library}/block/{block}"')
            lines.append(f'upload-file = "{path}"' if put else 'output = "/dev/null"')
        return self.run(library, lines)

    def packs(self, library, objects, each):
        """The objects, so many in each request; the server's packs hold about 1 MiB.

        Curl repeats one body per command, so the packs are dealt to four curls.  That all came
        shows in the bytes: each object's own, and 44 of its head."""
        token, commands = self.repo_token(library), []
        ids = [name for name, _ in objects]
        whole = sum(44 + os.path.getsize(path) for _, path in objects)
        url = f"{self.world.url}/seafhttp/repo/{library}/pack-fs/"
        bodies = []
        for n, first in enumerate(range(0, len(ids), each)):
            path = self.world.path(f"pack-{n}")
            with open(path, "w", encoding="ascii") as file:
                json.dump(ids[first:first + each], file)
            bodies.append(path)
        for n in range(4):
            words = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*"]
            for k, path in enumerate(bodies[n::4]):
                words += ["--next"] if k else []
                words += ["-s", "-S", "-f", "-H", "Seafile-Repo-Token: " + token, "--data-binary",
                          "@" + path, "-o", "/dev/null", "-w", "%{size_download}\n", url]
            if bodies[n::4]:
                commands.append(words)
        start = time.monotonic()
        running = [subprocess.Popen(words, stdout=subprocess.PIPE) for words in commands]
        sizes = [process.communicate(timeout=PATIENCE)[0] for process in running]
        seconds = time.monotonic() - start
        if any(process.returncode for process in running):
            raise AssertionError("curl: pack-fs failed")
        for path in bodies:
            os.unlink(path)
        got = sum(int(size) for out in sizes for size in out.split())
        if got != whole:
            raise AssertionError(f"curl: {got} bytes of packs instead of {whole}")
        return seconds

    def first_bytes(self, port, library, block, warm):
        """Seconds until 4 KiB of the block are here, on a connection that has fetched `warm`."""
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        header = {"Seafile-Repo-Token": self.repo_token(library)}
        try:
            line.request("GET", f"/seafhttp/repo/{library}/block/{warm}", headers=header)
            line.getresponse().read()
            start = time.monotonic()
            line.request("GET", f"/seafhttp/repo/{library}/block/{block}", headers=header)
            answer = line.getresponse()
            answer.read(4096)
            first = time.monotonic() - start
            answer.read()  # the line is free again
            return first
        finally:
            line.close()


class Gocryptfs:
    """An encrypted folder on the same disk."""

    def __init__(self, world):
        need("gocryptfs")
        self.store = tempfile.mkdtemp(prefix="gocryptfs-", dir=world.top)
        self.where = tempfile.mkdtemp(prefix="mnt-gocryptfs-", dir=world.top)
        self.mount = None
        subprocess.run(["gocryptfs", "-q", "-init", "-scryptn", "10", "-extpass", "echo x",
                        self.store], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        self.mount = mounted_by(["gocryptfs", "-q", "-fg", "-extpass", "echo x", self.store,
                                 self.where], self.where, stdout=subprocess.DEVNULL)
        self.mount.__enter__()
        return self

    def __exit__(self, *why):
        self.mount.__exit__(*why)

    def path(self, *names):
        return os.path.join(self.where, *names)


class Rclone:
    """A folder over WebDAV by way of a line, mounted."""

    def __init__(self, world, folder):
        need("rclone")
        self.world, self.folder, self.port = world, folder, kit.free_port()
        self.server = None

    def __enter__(self):
        self.server = subprocess.Popen(
            ["rclone", "serve", "webdav", self.folder, "--addr", f"127.0.0.1:{self.port}", "-q"],
            env=self.world.environment("rclone"))
        return self

    def __exit__(self, *_):
        self.server.terminate()
        await_end(self.server)

    def mounted(self, url):
        where = self.world.path("mnt-rclone")
        self.world.forget("rclone")
        return mounted_by(
            ["rclone", "mount", ":webdav:", where, "--webdav-url", url, "--read-only", "-q"],
            where, env=self.world.environment("rclone"))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


class Sshfs:
    """A folder over SFTP, without ssh, by way of a line, mounted."""

    SERVER = "/usr/lib/openssh/sftp-server"

    def __init__(self, world, folder):
        need("sshfs", "socat", self.SERVER)
        self.world, self.folder, self.port = world, folder, kit.free_port()
        self.server = None

    def __enter__(self):
        self.server = subprocess.Popen(
            ["socat", f"TCP-LISTEN:{self.port},bind=127.0.0.1,reuseaddr,fork",
             "EXEC:" + self.SERVER])
        kit.wait_until(self.listens, "socat listens", 10)
        return self

    def listens(self):
        with socket.socket() as line:
            return line.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.server.terminate()
        await_end(self.server)

    def mounted(self, port):
        where = self.world.path("mnt-sshfs")
        return mounted_by(["sshfs", "127.0.0.1:" + self.folder, where, "-f",
                           "-o", f"directport={port},ro"], where)
