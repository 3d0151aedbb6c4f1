# SPDX-License-Identifier: Apache-2.0
"""Writing: one big file, many small ones, and what a small change sends."""

import os
import shutil
import time

import kit
import library
from latency import Proxy
from reading import big_library
from peer import Peer
from yardsticks import (MIB, PATIENCE, Gocryptfs, Missing, copy, drop_caches, need, timed,
                        write_random)


def write_big(bench):
    world, source = bench.world, bench.world.path("write-source")
    write_random(source, bench.size)
    closed = bench.row("write and close, encrypted", "gocryptfs", "faster", 1.0)
    confirmed = bench.row("the same until confirmed", "curl PUT, 4 connections", "within", 1.5)
    try:
        peer = Gocryptfs(world)
    except Missing as missing:
        peer, closed.missing = None, str(missing)
    for run in range(bench.runs):
        other = None
        if peer:
            with peer:
                os.sync()
                other = timed(copy, source, peer.path("big"))
                os.unlink(peer.path("big"))
        name, client = f"written-{run}", world.client()
        world.library(name, True)
        with world.mounted(name, client, encrypted=True) as mount, bench.profile(mount):
            os.sync()
            start = time.monotonic()
            copy(source, mount.path("big"))
            closed.add(time.monotonic() - start, other)
            mount.sync(PATIENCE)
            seconds = time.monotonic() - start
        world.forget(client)
        blocks = bench.curl.stored("blocks", bench.curl.library(name))
        world.library(name + "-curl")
        target = bench.curl.library(name + "-curl")
        os.sync()
        confirmed.add(seconds, bench.curl.blocks(target, blocks, put=True))
        for done in (bench.curl.library(name), target):
            shutil.rmtree(world.storage("blocks", done))
    os.unlink(source)


def create_files(folder, count):
    for n in range(count):
        with open(os.path.join(folder, f"file-{n:05}"), "wb") as file:
            file.write(n.to_bytes(4, "big") * 1024)


def create(bench):
    world, count = bench.world, bench.files
    closed = bench.row(f"create {count:,} files of 4 KiB, closed", "gocryptfs", "faster", 2)
    peer = Gocryptfs(world)
    for run in range(bench.runs):
        with peer:
            os.mkdir(peer.path("files"))
            os.sync()
            other = timed(create_files, peer.path("files"), count)
            shutil.rmtree(peer.path("files"))
        name, client = f"created-{run}", world.client()
        world.library(name)
        with world.mounted(name, client) as mount, bench.profile(mount):
            os.sync()
            closed.add(timed(create_files, mount.where, count), other)
            mount.sync(PATIENCE)
        world.forget(client)


def create_far(bench):
    """Until the server has all of them, by way of a line; the peer finds its files there already."""
    world, count = bench.world, bench.files
    row = bench.row(f"create {count:,} files until confirmed, 20 ms round trip", "seaf-cli",
                    "faster", 3)
    need("seaf-cli", "seaf-daemon")
    for run in range(bench.runs):
        names = [f"far-{run}", f"far-{run}-peer"]
        for name in names:
            world.library(name)
        with Proxy(world.port, 20) as line:
            client = world.client(line.url)
            with world.mounted(names[0], client) as mount, bench.profile(mount):
                os.sync()
                start = time.monotonic()
                create_files(mount.where, count)
                mount.sync(PATIENCE)
                seconds = time.monotonic() - start
            world.forget(client)
            row.add(seconds, sync_by_peer(bench, line.url, names[1], count))


def sync_by_peer(bench, url, name, count):
    world, found = bench.world, bench.curl.library(name)
    folder = world.path(name)
    os.mkdir(folder)
    create_files(folder, count)
    peer = Peer(world, "peer of " + name, url)
    try:
        start = time.monotonic()
        peer.attach("sync", found, folder)
        storage = library.Storage(world.storage(), found)
        kit.wait_until(lambda: len(storage.read(storage.root())["dirents"]) == count,
                       "the peer has sent all files", PATIENCE)
        return time.monotonic() - start
    finally:
        peer.stop()


def small_change(bench):
    """What goes over the line for 4 KiB inside a big file."""
    world = bench.world
    name, found, _ = big_library(bench, True, "changed")
    row = bench.row("change 4 KiB in a big file: sent", "2 blocks", "below", 20, "MiB")
    with Proxy(world.port, 0) as line:
        client = world.client(line.url)
        with world.mounted(name, client, encrypted=True) as mount:
            for run in range(bench.runs):
                before, _ = line.carried()
                blocks = len(bench.curl.stored("blocks", found))
                fd = os.open(mount.path("big"), os.O_WRONLY)
                os.pwrite(fd, os.urandom(4096), (run + 1) * bench.size // (bench.runs + 2))
                os.close(fd)
                mount.sync(PATIENCE)
                row.add((line.carried()[0] - before) / MIB)
                added = len(bench.curl.stored("blocks", found)) - blocks
                if not 1 <= added <= 2:
                    raise AssertionError(f"{added} blocks were sent")
        world.forget(client)


def rename_folder(bench):
    world, storage = bench.world, bench.storage("renamed")
    folders, each = (100, 10) if bench.small else (100, 1000)
    library.names_only(storage, folders, each, b"content")
    row = bench.row(f"rename a folder of {folders * each:,} files: sent", "64 KiB", "below", 64,
                    "KiB")
    with Proxy(world.port, 0) as line:
        client = world.client(line.url)
        with world.mounted("renamed", client) as mount:
            drop_caches()
            names = ["group-000", *(f"renamed-{run}" for run in range(bench.runs))]
            for old, new in zip(names, names[1:]):
                before, _ = line.carried()
                os.rename(mount.path(old), mount.path(new))
                mount.sync(PATIENCE)
                row.add((line.carried()[0] - before) / 1024)
        world.forget(client)


FIGURES = {"write": write_big, "create": create, "create-20ms": create_far,
           "change": small_change, "rename": rename_folder}
