# SPDX-License-Identifier: Apache-2.0
"""Trees: how long until a big one is there, and what walking it costs."""

import os
import shutil
import subprocess
import time

import library
from yardsticks import Missing, Rclone, drop_caches, timed


def seconds_of(command, mark, count):
    """What it says goes to memory, and is looked at afterwards: to read along would be measured."""
    with open(os.memfd_create("said"), "w+b") as said:
        seconds = timed(lambda: subprocess.run(command, env={**os.environ, "LC_ALL": "C"},
                                               check=True, stdout=said, timeout=1200))
        said.seek(0)
        if said.read().count(mark) != count:
            raise AssertionError(f"{command[0]} does not show all of {count} entries")
    return seconds


def list_all(top, count):
    return seconds_of(["ls", "-lR", top], b"entry-", count)


def find_all(top, count):
    return seconds_of(["find", top], b"entry-", count)


def resident(process, kind="VmRSS"):
    """MiB that the daemon holds; RssAnon: those that are no pages of files."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1024


def huge_library(bench):
    def make():
        storage = bench.storage("huge")
        library.names_only(storage, *bench.huge)
        return storage.library

    return bench.once("huge", make)


def first_ls(bench):
    huge_library(bench)
    library.names_only(bench.storage("tiny"), 10, 100)
    count = bench.huge[0] * bench.huge[1]
    row = bench.row(f"mount to first ls, {count:,} files", "1,000 files", "within", 1.5)
    world = bench.world

    def measure(name):
        client = world.client()
        drop_caches()
        subprocess.run([bench.nacre, "--version"], check=True, stdout=subprocess.DEVNULL)
        start = time.monotonic()
        with world.mounted(name, client) as mount:
            if not os.listdir(mount.where):
                raise AssertionError(f"{name}: is empty")
            seconds = time.monotonic() - start
        world.forget(client)
        return seconds

    for _ in range(bench.runs):
        row.add(measure("huge"), measure("tiny"))


def find_huge(bench):
    found, world = huge_library(bench), bench.world
    count = bench.huge[0] * bench.huge[1]
    objects = bench.curl.stored("fs", found)
    row = bench.row(f"find, {count:,} files, first time", "curl of packs, 4 connections",
                    "within", 4)
    memory = bench.row("memory after it", "150 MiB", "below", 150, "MiB")
    own = bench.row("of it, without pages of files", "-", "below", None, "MiB")
    for _ in range(bench.runs):
        drop_caches()
        # 80 folders of 100 entries stay under the server's 1 MiB a pack.
        other = bench.curl.packs(found, objects, 80)
        client = world.client()
        with world.mounted("huge", client) as mount, bench.profile(mount):
            drop_caches()
            row.add(find_all(mount.where, count), other)
            memory.add(resident(mount.process))
            own.add(resident(mount.process, "RssAnon"))
        world.forget(client)


def list_long(bench):
    world, count = bench.world, bench.folders * 100
    library.names_only(bench.storage("listed"), bench.folders, 100)
    plain = world.path("plain-listed")
    for n in range(bench.folders):
        folder = os.path.join(plain, f"group-{n // 100:03}", f"folder-{n:05}")
        os.makedirs(folder)
        for m in range(100):
            with open(os.path.join(folder, f"entry-{n:05}-{m:03}"), "wb") as file:
                file.write(b"entry")
    cold = bench.row(f"ls -lR, {count:,} entries, cold", "find over rclone", "faster", 5)
    again = bench.row("the same, second time", "plain folder", "faster", 0.5)
    try:
        peer = Rclone(world, plain)
    except Missing as missing:
        peer, cold.missing = None, str(missing)
    for _ in range(bench.runs):
        other = None
        if peer:
            with peer, peer.mounted(peer.url) as where:
                drop_caches()
                other = find_all(where, count)
        client = world.client()
        with world.mounted("listed", client) as mount:
            drop_caches()
            cold.add(list_all(mount.where, count), other)
            list_all(plain, count)
            beside = list_all(plain, count)
            with bench.profile(mount):
                again.add(list_all(mount.where, count), beside)
        world.forget(client)
    shutil.rmtree(plain)


FIGURES = {"first-ls": first_ls, "find": find_huge, "ls": list_long}
