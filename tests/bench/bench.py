#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast nacre is, beside a yardstick measured in the same run.

    python3 tests/bench/bench.py --nacre build/release/nacre [--small]

Starts a server of its own and mounts libraries of it.  Reads and writes of a big file
stand beside curl with four connections, which moves the same blocks from and to the same
server; small files and listings stand beside a plain folder on the same disk.  Each
is measured three times (--small: once, and with less); what is shown is the median,
and the least and the most.  Ratio: nacre's time by the yardstick's, so less is better.

"Kernel cache dropped" is done for both sides when this runs as root; else only nacre's
part of it is dropped, by the new mount.  Results are printed and go to build/bench.json.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "mount"))
import kit  # noqa: E402

MIB = 1 << 20
PATIENCE = 1200  # seconds for one `sync --wait`


class Results:
    """Seconds by what was measured, of nacre and of its yardstick."""

    def __init__(self):
        self.rows = {}

    def add(self, what, amount, unit, yardstick, nacre_seconds, yardstick_seconds):
        row = self.rows.setdefault(what, {"amount": amount, "unit": unit, "yardstick": yardstick,
                                          "nacre_s": [], "yardstick_s": []})
        row["nacre_s"].append(nacre_seconds)
        row["yardstick_s"].append(yardstick_seconds)
        print(f"  {what}: {nacre_seconds:.2f} s, {yardstick}: {yardstick_seconds:.2f} s", flush=True)

    def finish(self):
        for row in self.rows.values():
            nacre, other = (statistics.median(row[key]) for key in ("nacre_s", "yardstick_s"))
            row |= {"nacre_median_s": nacre, "yardstick_median_s": other, "ratio": nacre / other}

    def table(self):
        def cell(seconds, row):
            speed = row["amount"] / statistics.median(seconds)
            spread = f" ({min(seconds):.2f}-{max(seconds):.2f})" if len(seconds) > 1 else ""
            return f"{statistics.median(seconds):.2f} s{spread}, {speed:,.0f} {row['unit']}/s"

        lines = [("what", "nacre", "yardstick", "ratio")]
        lines += [(what, cell(row["nacre_s"], row),
                   f"{row['yardstick']}: {cell(row['yardstick_s'], row)}", f"{row['ratio']:.2f}")
                  for what, row in self.rows.items()]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        lines.insert(1, tuple("-" * width for width in widths))
        return "\n".join("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |"
                         for line in lines)


def timed(action, *arguments):
    start = time.monotonic()
    action(*arguments)
    return time.monotonic() - start


def drop_caches():
    os.sync()
    if os.geteuid() == 0:
        try:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                file.write("3\n")
        except OSError:  # in a container that may not
            pass


# --- what is measured ---


def write_random(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def copy(source, target):
    with open(source, "rb", buffering=0) as old, open(target, "wb", buffering=0) as new:
        while block := old.read(MIB):
            new.write(block)


def read_all(path, size):
    buffer, got = bytearray(MIB), 0
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            got += count
    assert got == size, f"{path}: {got} bytes instead of {size}"


def create_files(folder, count):
    for n in range(count):
        with open(os.path.join(folder, f"file-{n:05}"), "wb") as file:
            file.write(n.to_bytes(4, "big") * 1024)


def make_tree(top, folders, each):
    for n in range(folders):
        folder = os.path.join(top, f"folder-{n:03}")
        os.makedirs(folder)
        for name in range(each):
            kit.put(os.path.join(folder, f"entry-{name:03}"), "entry")


def list_all(top, count):
    done = subprocess.run(["ls", "-lR", top], env={**os.environ, "LC_ALL": "C"}, check=True,
                          stdout=subprocess.PIPE)
    assert done.stdout.count(b"entry-") == count, "ls does not show all entries"


class Curl:
    """The blocks of one library over plain HTTP, with the server's own protocol."""

    def __init__(self, world):
        self.world = world
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        form = urllib.parse.urlencode({"username": kit.USER, "password": "secret of user"})
        self.token = self.ask("/api2/auth-token/", form.encode())["token"]

    def ask(self, path, body=None, headers=None):
        request = urllib.request.Request(self.world.url + path, body, headers or {})
        with self.opener.open(request, timeout=60) as answer:
            return json.load(answer)

    def api(self, path):
        return self.ask(path, headers={"Authorization": "Token " + self.token})

    def library(self, name):
        return next(entry["id"] for entry in self.api("/api2/repos/") if entry["name"] == name)

    def blocks(self, library):
        """Id and file of each block, as the server keeps them."""
        top = os.path.join(self.world.top, "storage", "storage", "blocks", library)
        return [(os.path.basename(folder) + name, os.path.join(folder, name))
                for folder, _, names in os.walk(top) for name in names]

    def transfer(self, library, blocks, put):
        token = self.api(f"/api2/repos/{library}/download-info/")["token"]
        lines = [f'header = "Seafile-Repo-Token: {token}"', 'header = "Expect:"']
        for block, path in blocks:
            lines.append(f'url = "{self.world.url}/seafhttp/repo/{library}/block/{block}"')
            lines.append(f'upload-file = "{path}"' if put else 'output = "/dev/null"')
        config = os.path.join(self.world.top, "curl.conf")
        kit.put(config, "\n".join(lines))
        command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--parallel",
                   "--parallel-max", "4", "--config", config]
        subprocess.run(["curl", "--version"], check=True, stdout=subprocess.DEVNULL)  # loads it
        start = time.monotonic()
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        seconds = time.monotonic() - start
        assert done.returncode == 0, f"curl: exit status {done.returncode}\n{done.stderr}"
        return seconds


# --- the parts ---


class Bench:
    def __init__(self, world, small):
        self.world, self.results = world, Results()
        self.runs = 1 if small else 3
        self.size = (64 if small else 1024) * MIB
        self.files = 500 if small else 5000
        self.folders = 50 if small else 500
        self.plain = os.path.join(world.top, "plain")
        os.mkdir(self.plain)
        world.serve()
        world.login("a")
        self.curl = Curl(world)

    def mount(self, library, client="a"):
        return self.world.mount(client, "--library", library)

    def forget(self, client):
        shutil.rmtree(os.path.join(self.world.top, client))

    def big_file(self, run):
        """Written by one client, then read by another that never saw it."""
        megabytes = self.size // MIB
        name, size = f"big-{run}", f"{megabytes} MiB"
        source = os.path.join(self.world.top, "source")
        write_random(source, self.size)
        self.world.library(name)
        mount = self.mount(name)
        os.sync()
        closed = timed(copy, source, mount.path("big"))
        written = closed + timed(mount.sync, PATIENCE)
        mount.end()
        drop_caches()
        plain = timed(read_all, source, self.size)
        os.unlink(source)
        library = self.curl.library(name)
        blocks = self.curl.blocks(library)
        total = sum(os.path.getsize(path) for _, path in blocks)
        assert total >= self.size, f"only {total} bytes in blocks"

        client = f"reader-{run}"
        self.world.login(client)
        mount = self.mount(name, client)
        drop_caches()
        cold = timed(read_all, mount.path("big"), self.size)
        mount.end()
        mount = self.mount(name, client)
        drop_caches()
        warm = timed(read_all, mount.path("big"), self.size)
        mount.end()
        self.forget(client)
        drop_caches()
        fetched = self.curl.transfer(library, blocks, put=False)

        # The blocks have just been read, as nacre's source had just been written.
        self.world.library(name + "-curl")
        other = self.curl.library(name + "-curl")
        os.sync()
        sent = self.curl.transfer(other, blocks, put=True)
        assert len(self.curl.blocks(other)) == len(blocks), "curl did not put all blocks"
        print(f"  (of the write: {closed:.2f} s until closed)")
        self.results.add(f"cold read, {size}", megabytes, "MiB", "curl", cold, fetched)
        self.results.add(f"warm read, {size}", megabytes, "MiB", "curl", warm, fetched)
        self.results.add(f"the same warm read, {size}", megabytes, "MiB", "file on disk", warm, plain)
        self.results.add(f"write + sync, {size}", megabytes, "MiB", "curl PUT", written, sent)
        self.forget("storage/storage/blocks/" + other)
        self.forget("storage/storage/blocks/" + library)

    def small_files(self, run):
        name = f"small-{run}"
        self.world.library(name)
        mount = self.mount(name)
        os.sync()
        start = time.monotonic()
        create_files(mount.where, self.files)
        created = time.monotonic() - start
        mount.sync(PATIENCE)
        confirmed = time.monotonic() - start
        mount.end()

        folder = os.path.join(self.plain, name)
        os.mkdir(folder)
        os.sync()
        plain = timed(create_files, folder, self.files)
        durable = plain + timed(lambda: subprocess.run(["sync", "-f", folder], check=True))
        what = f"{self.files:,} files of 4 KiB"
        self.results.add(f"{what}, closed", self.files, "files", "folder", created, plain)
        self.results.add(f"{what}, on the server", self.files, "files", "folder + sync",
                         confirmed, durable)

    def listings(self):
        count = self.folders * 100
        self.world.library("tree")
        mount = self.mount("tree")
        make_tree(mount.where, self.folders, 100)
        mount.sync(PATIENCE)
        mount.end()
        folder = os.path.join(self.plain, "tree")
        make_tree(folder, self.folders, 100)
        for run in range(self.runs):
            client = f"lister-{run}"
            self.world.login(client)
            mount = self.mount("tree", client)
            drop_caches()
            subprocess.run(["ls", "--version"], check=True, stdout=subprocess.DEVNULL)  # loads it
            first, second = (timed(list_all, mount.where, count) for _ in range(2))
            mount.end()
            self.forget(client)
            drop_caches()
            subprocess.run(["ls", "--version"], check=True, stdout=subprocess.DEVNULL)
            plain_first, plain_second = (timed(list_all, folder, count) for _ in range(2))
            what = f"ls -lR, {count:,} entries"
            self.results.add(f"{what}, first", count, "entries", "folder", first, plain_first)
            self.results.add(f"{what}, second", count, "entries", "folder", second, plain_second)

    def all(self):
        for part in (self.big_file, self.small_files):
            for run in range(self.runs):
                part(run)
        self.listings()
        self.results.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--nacre", required=True, help="the program to measure")
    parser.add_argument("--small", action="store_true", help="less of everything, and once only")
    options = parser.parse_args()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("curl") is None:
        print("skipped: needs /dev/fuse and curl")
        return 77
    kit.NACRE = os.path.abspath(options.nacre)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    world = kit.World()

    def give_up():
        print("takes too long: killing the daemons", flush=True)
        for mount in world.mounts:
            mount.process.kill()

    watchdog = threading.Timer(300 if options.small else 3600, give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        bench = Bench(world, options.small)
        bench.all()
    except BaseException:
        for mount in world.mounts[-1:]:
            print(mount.log(), file=sys.stderr)
        raise
    finally:
        world.close()
        watchdog.cancel()
    print(bench.results.table())
    report = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "kernel": platform.release(), "processors": os.cpu_count(), "small": options.small,
              "caches_dropped": os.geteuid() == 0, "results": bench.results.rows}
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    with open(os.path.join(ROOT, "build", "bench.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
