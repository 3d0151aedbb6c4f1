#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a mount beside yardsticks of the same run: curl of the same blocks from the
same server, and a plain directory on the same disk.  Prints a table, writes build/bench.json."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import kit

PIECE = 1 << 20


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def drop_kernel_cache():
    subprocess.run(["sync"], check=False)
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
    except OSError:
        pass  # not root: a fresh mount has no pages yet


def write_file(path, size):
    noise = os.urandom(PIECE)
    with open(path, "wb", buffering=0) as file:
        for number in range(size // PIECE):
            file.write(number.to_bytes(8, "big") + noise[8:])


def read_file(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(PIECE):
            pass


def make_small(top, count, size=4096, folders=50):
    for number in range(folders):
        os.mkdir(os.path.join(top, f"d{number}"))
    for number in range(count):
        with open(os.path.join(top, f"d{number % folders}", f"f{number}"), "wb") as file:
            file.write(number.to_bytes(8, "big") * (size // 8))


def list_all(top):
    subprocess.run(["ls", "-lR", top], stdout=subprocess.DEVNULL, check=True)


class Bench:
    def __init__(self, runs, small):
        self.world = kit.World()
        self.runs = runs
        self.big = (64 << 20) if small else (1 << 30)
        self.small_files = 500 if small else 5000
        self.entries = 2000 if small else 50000
        self.rows = []
        self.clients = 0

    def client(self):
        """A machine that has nothing of ours yet."""
        self.clients += 1
        name = f"c{self.clients}"
        self.world.login(name)
        return name

    def api(self, path, token=None, form=None):
        headers = {"Authorization": "Token " + token} if token else {}
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(
                urllib.request.Request(self.world.url + path, data, headers), timeout=30) as reply:
            return json.load(reply)

    def curl_blocks(self, library, upload=False):
        """The same blocks over four connections."""
        token = self.api("/api2/auth-token/",
                         form={"username": kit.USER, "password": "secret of user"})["token"]
        info = self.api(f"/api2/repos/{library}/download-info/", token)
        top = os.path.join(self.world.top, "storage", "storage", "blocks", library)
        config = os.path.join(self.world.top, "curl.txt")
        with open(config, "w", encoding="utf-8") as file:
            for folder, _, names in os.walk(top):
                for name in names:
                    url = f"{self.world.url}/seafhttp/repo/{library}/block/" \
                          f"{os.path.basename(folder)}{name}"
                    file.write(f'next\nurl = "{url}"\noutput = /dev/null\nsilent\n'
                               f'header = "Seafile-Repo-Token: {info["token"]}"\n')
                    if upload:
                        file.write(f'upload-file = "{os.path.join(folder, name)}"\n'
                                   'header = "Expect:"\n')
        subprocess.run(["curl", "--parallel", "--parallel-max", "4", "--no-progress-meter",
                        "--config", config], check=True, stdout=subprocess.DEVNULL)

    def row(self, what, ours, yardstick_name, theirs):
        mine, other = statistics.median(ours), statistics.median(theirs)
        self.rows.append({"what": what, "seconds": ours, "yardstick": yardstick_name,
                          "yardstick_seconds": theirs, "speed_ratio": other / mine})
        print(f"{what:44} {mine:8.3f} s  {min(ours):.3f}-{max(ours):.3f}   "
              f"{yardstick_name:28} {other:8.3f} s   speed ratio {other / mine:5.2f}", flush=True)

    def big_file(self):
        write, curl_put, cold, curl_get, warm = [], [], [], [], []
        for run in range(self.runs):
            name = f"big{run}"
            self.world.library(name)
            writer = self.world.mount(self.client(), "--library", name)
            write.append(timed(lambda: (write_file(writer.path("big"), self.big),
                                        writer.sync(600))))
            library = os.getxattr(writer.where, "user.nacre.library").decode()
            writer.end()
            curl_put.append(timed(lambda: self.curl_blocks(library, upload=True)))
            drop_kernel_cache()
            curl_get.append(timed(lambda: self.curl_blocks(library)))
            client = self.client()
            drop_kernel_cache()
            reader = self.world.mount(client, "--library", name)
            cold.append(timed(lambda: read_file(reader.path("big"))))
            reader.end()
            drop_kernel_cache()
            reader = self.world.mount(client, "--library", name)
            warm.append(timed(lambda: read_file(reader.path("big"))))
            reader.end()
        size = f"{self.big >> 20} MiB"
        self.row(f"{size} written until the server has it", write, "curl PUT, 4 connections",
                 curl_put)
        self.row(f"{size} read, cold", cold, "curl GET, 4 connections", curl_get)
        self.row(f"{size} read, from nacre's cache", warm, "curl GET, 4 connections", curl_get)

    def small(self):
        create, confirmed, plain = [], [], []
        for run in range(self.runs):
            name = f"small{run}"
            self.world.library(name)
            mount = self.world.mount(self.client(), "--library", name)
            begin = time.monotonic()
            make_small(mount.where, self.small_files)
            create.append(time.monotonic() - begin)
            mount.sync(600)
            confirmed.append(time.monotonic() - begin)
            mount.end()
            folder = os.path.join(self.world.top, "plain")
            os.mkdir(folder)
            plain.append(timed(lambda: make_small(folder, self.small_files)))
            shutil.rmtree(folder)
        self.row(f"{self.small_files} files of 4 KiB made", create, "plain directory", plain)
        self.row(f"{self.small_files} files until the server has them", confirmed,
                 "plain directory", plain)

    def listing(self):
        self.world.library("many")
        writer = self.world.mount(self.client(), "--library", "many")
        folder = os.path.join(self.world.top, "plain")
        os.mkdir(folder)
        for top in (writer.where, folder):
            make_small(top, self.entries, 8, 500)
        writer.sync(900)
        writer.end()
        first, second, plain = [], [], []
        for _ in range(self.runs):
            client = self.client()
            drop_kernel_cache()
            mount = self.world.mount(client, "--library", "many")
            first.append(timed(lambda: list_all(mount.where)))
            second.append(timed(lambda: list_all(mount.where)))
            mount.end()
            drop_kernel_cache()
            plain.append(timed(lambda: list_all(folder)))
        self.row(f"ls -lR of {self.entries} entries, first time", first, "plain directory, cold",
                 plain)
        self.row(f"ls -lR of {self.entries} entries, again", second, "plain directory, cold",
                 plain)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nacre", required=True)
    options.add_argument("--small", action="store_true", help="small sizes, one run")
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    kit.NACRE = os.path.abspath(chosen.nacre)
    bench = Bench(1 if chosen.small else chosen.runs, chosen.small)
    try:
        bench.world.serve()
        bench.world.login("a")
        bench.big_file()
        bench.small()
        bench.listing()
    finally:
        bench.world.close()
    os.makedirs("build", exist_ok=True)
    with open("build/bench.json", "w", encoding="utf-8") as file:
        json.dump(bench.rows, file, indent=1)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
