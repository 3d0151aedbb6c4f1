# SPDX-License-Identifier: Apache-2.0
"""What stays bounded however long it goes on: a cache that is streamed through, a mount that
nobody uses, and what a change somewhere else costs."""

import os
import time

import kit
import library
from latency import Proxy
from reading import big_library
from trees import huge_library, resident
from yardsticks import MIB, drop_caches


def on_disk(folder):
    """MiB of the files below it."""
    return sum(os.lstat(os.path.join(top, name)).st_blocks * 512
               for top, _, names in os.walk(folder) for name in names) / MIB


def stream(bench):
    """One file that is longer than the cache, over and over: nothing of it is ever found there."""
    world, limit = bench.world, 2 * bench.size
    laps, length = (3, 3 * bench.size) if bench.small else (17, 3 * bench.size)
    name, _, _ = big_library(bench, True, "streamed", length)
    cache = bench.row(f"cache of {limit // MIB:,} MiB, {laps * length >> 30} GiB through it: its file",
                      "its limit and 1 %", "below", limit / MIB * 1.01, "MiB")
    pace = bench.row("time of its last tenth", "its first tenth", "within", 1.15)
    memory = bench.row("memory after it", "150 MiB", "below", 150, "MiB")
    highest = bench.row("memory meanwhile, at most", "-", "below", None, "MiB")
    client = world.client()
    with world.mounted(name, client, "-o", f"cache-limit={limit}", encrypted=True) as mount:
        drop_caches()
        times, largest, buffer = [], 0, bytearray(MIB)
        for _ in range(laps):
            with open(mount.path("big"), "rb", buffering=0) as file:
                begun, got = time.monotonic(), 0
                while count := file.readinto(buffer):
                    got += count
                    if got % (64 * MIB) == 0:
                        times.append(time.monotonic() - begun)
                        largest = max(largest, on_disk(world.path(client, "cache", "nacre")))
                        os.posix_fadvise(file.fileno(), 0, got, os.POSIX_FADV_DONTNEED)
                        begun = time.monotonic()
                if got != length:
                    raise AssertionError(f"{got} bytes instead of {length}")
        tenth = max(1, len(times) // 10)
        cache.add(largest)
        pace.add(sum(times[-tenth:]), sum(times[:tenth]))
        highest.add(resident(mount.process, "VmHWM"))
        # What is kept for the next request goes back when none comes.
        kit.wait_until(lambda: resident(mount.process, "RssAnon") < 110, "memory goes back", 15)
        memory.add(resident(mount.process))
    world.forget(client)


def processor_seconds(process):
    """What its threads have run, to the nanosecond."""
    total = 0
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def await_poll(line, every):
    """Until a request comes after a pause: by then what mounting had to ask is over."""
    seen, at = line.requests(), time.monotonic()

    def came():
        nonlocal seen, at
        before, now = at, time.monotonic()
        if line.requests() == seen:
            return False
        seen, at = line.requests(), now
        return now - before > every / 2

    kit.wait_until(came, "a poll", 3 * every)


def idle(bench):
    world, count = bench.world, 20 if bench.small else 200
    polls, every = 2, 30
    seconds = (polls + 0.5) * every  # from just after a poll
    for n in range(count):
        world.library(f"idle-{n}")
    asked = bench.row(f"idle, {count} libraries: requests per poll", "1", "below", 1, "requests")
    load = bench.row("idle, processor", "0.1 % of a core", "below", 0.1, "%")
    with Proxy(world.port, 0) as line:
        client = world.client(line.url)
        mount = world.mount(client, "-o", f"poll={every}")
        try:
            os.listdir(mount.where)
            await_poll(line, every)
            before, spent = line.requests(), processor_seconds(mount.process)
            time.sleep(seconds)  # it is the time in which nothing is to happen
            asked.add((line.requests() - before) / polls)
            load.add((processor_seconds(mount.process) - spent) / seconds * 100)
            mount.end()
        finally:
            mount.end_at_once()
            world.mounts.remove(mount)
        world.forget(client)


def remote_change(bench):
    """One file of a million, in a folder that somebody has looked at."""
    world, storage = bench.world, library.Storage(bench.world.storage(), huge_library(bench))
    folders, each = bench.huge
    got = bench.row(f"a remote change in {folders * each:,} files: received", "64 KiB", "below", 64,
                    "KiB")
    asked = bench.row("the same: requests", "depth and 5", "below", 8, "requests")
    path = ("group-000", "folder-00000", "entry-00000-000")
    with Proxy(world.port, 0) as line:
        client = world.client(line.url)
        with world.mounted("huge", client) as mount:
            os.listdir(mount.path(*path[:-1]))
            for run in range(bench.runs):
                size = 1000 + run
                before, (_, bytes_before) = line.requests(), line.carried()
                storage.publish(storage.changed(storage.root(), path, size))
                kit.wait_until(lambda wanted=size: os.stat(mount.path(*path)).st_size == wanted,
                               "the change is shown", 60)
                asked.add(line.requests() - before)
                got.add((line.carried()[1] - bytes_before) / 1024)
        world.forget(client)


FIGURES = {"stream": stream, "idle": idle, "remote-change": remote_change}
