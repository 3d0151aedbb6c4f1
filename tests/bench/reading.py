# SPDX-License-Identifier: Apache-2.0
"""Reading: one big file in sequence and at random, its first byte, and many small files."""

import concurrent.futures
import os
import random
import subprocess

import library
from latency import Proxy
from nginx import Nginx
from yardsticks import (MIB, Gocryptfs, Missing, Rclone, Sshfs, copy, drop_caches, read_all, timed,
                        write_random)


def big_library(bench, encrypted, name=None, size=None):
    """A library with one big file of random bytes, written once; its id and its blocks."""
    name = name or ("big-encrypted" if encrypted else "big-plain")
    size = size or bench.size

    def make():
        world = bench.world
        world.library(name, encrypted)
        source = world.path("source")
        write_random(source, size)
        client = world.client()
        with world.mounted(name, client, encrypted=encrypted) as mount:
            copy(source, mount.path("big"))
            mount.sync(1200)
        world.forget(client)
        os.unlink(source)
        found = bench.curl.library(name)
        return name, found, bench.curl.stored("blocks", found)

    return bench.once(name, make)


def cold(bench, name, encrypted, url=None):
    client = bench.world.client(url)
    with bench.world.mounted(name, client, encrypted=encrypted) as mount, bench.profile(mount):
        drop_caches()
        seconds = timed(read_all, mount.path("big"), bench.size)
    bench.world.forget(client)
    return seconds


def cold_sequential(bench, encrypted):
    name, found, blocks = big_library(bench, encrypted)
    kind, target = ("encrypted", 0.7) if encrypted else ("plain", 0.75)
    row = bench.row(f"cold sequential read, {kind}", "curl, 4 connections", "faster", target)
    for _ in range(bench.runs):
        drop_caches()
        other = bench.curl.blocks(found, blocks)
        row.add(cold(bench, name, encrypted), other)


def cold_plain(bench):
    cold_sequential(bench, False)


def cold_encrypted(bench):
    cold_sequential(bench, True)


def cold_far(bench):
    name, _, _ = big_library(bench, False)
    row = bench.row("cold sequential read, 50 ms round trip", "without delay", "faster", 0.7)
    same = bench.row("the same", "same line, no delay", "faster", None)
    port = bench.world.port
    with Proxy(port, 50) as far, Proxy(port, 0) as near:
        for _ in range(bench.runs):
            seconds = cold(bench, name, False, far.url)
            row.add(seconds, cold(bench, name, False))
            same.add(seconds, cold(bench, name, False, near.url))


def warm_encrypted(bench):
    name, _, _ = big_library(bench, True)
    row = bench.row("warm sequential read, encrypted", "gocryptfs", "faster", 1.5)
    scattered = bench.row("4 KiB random reads, cached, 8 threads", "gocryptfs", "faster", 1.5)
    world, client = bench.world, bench.world.client()
    with Gocryptfs(world) as peer, world.mounted(name, client, encrypted=True) as mount:
        read_all(mount.path("big"), bench.size)
        copy(mount.path("big"), peer.path("big"))
    for _ in range(bench.runs):
        with peer:
            drop_caches()
            other = timed(read_all, peer.path("big"), bench.size)
            drop_caches()
            other_scattered = timed(read_scattered, peer.path("big"), bench.size)
        with world.mounted(name, client, encrypted=True) as mount, bench.profile(mount):
            drop_caches()
            row.add(timed(read_all, mount.path("big"), bench.size), other)
            drop_caches()
            scattered.add(timed(read_scattered, mount.path("big"), bench.size), other_scattered)
    world.forget(client)
    bench.remove(peer.store)


def read_scattered(path, size, threads=8, each=1500):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)

    def one(seed):
        places = random.Random(seed)
        for _ in range(each):
            if len(os.pread(fd, 4096, places.randrange(size // 4096) * 4096)) != 4096:
                raise AssertionError(f"{path}: a short read")

    try:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(threads)))
    finally:
        os.close(fd)


def first_byte(bench):
    """Of files of one block each, opened before; the block's own bytes are what is waited for."""
    world, storage = bench.world, bench.storage("first-byte")
    count = bench.runs + 1
    files = []
    for n in range(count):
        content = os.urandom(8 * MIB)
        files.append(library.file_entry(f"file-{n}", storage.file(content), len(content)))
    storage.publish(storage.folder(files))
    blocks = [block for block, _ in bench.curl.stored("blocks", storage.library)]
    row = bench.row("first byte of an 8 MiB block, 20 ms round trip", "the same by HTTP",
                    "within", 1.3)
    with Proxy(world.port, 20) as line:
        client = world.client(line.url)
        with world.mounted("first-byte", client) as mount:
            read_all(mount.path("file-0"), 8 * MIB)  # a connection stands
            for run in range(bench.runs):
                fd = os.open(mount.path(f"file-{run + 1}"), os.O_RDONLY)
                try:
                    seconds = timed(os.pread, fd, 4096, 0)
                finally:
                    os.close(fd)
                row.add(seconds, bench.curl.first_bytes(line.port, storage.library,
                                                        blocks[run + 1], blocks[0]))
        world.forget(client)


def count_lines(where, files):
    """What grep makes of files of which none has the line."""
    done = subprocess.run(["grep", "-r", "-c", "-h", "no such line", where], check=False,
                          stdout=subprocess.PIPE, timeout=1200)
    if done.returncode != 1 or done.stdout.count(b"0\n") != files:
        raise AssertionError("grep has not seen all files")


def small_library(bench):
    """Files of 4 KiB, as a library and as a plain folder; how many."""
    folders, each = 50, (10 if bench.small else 100)

    def make():
        plain = bench.world.path("plain-small")
        library.small_files(bench.storage("small"), plain, folders, each)
        return plain, folders * each

    return bench.once("small", make)


def grep_by_nginx(bench):
    """The same by way of TLS, where the server's host speaks HTTP/2."""
    world, (_, count) = bench.world, small_library(bench)
    row = bench.row(f"the same by nginx, {count:,} files, HTTP/2", "by nginx, HTTP/1.1", "faster",
                    1)

    def measure(http2):
        with Nginx(world, http2) as host, Proxy(host.port, 20) as line:
            client = world.client(line.url.replace("http:", "https:"), host.ca_file)
            with world.mounted("small", client) as mount, bench.profile(mount):
                drop_caches()
                seconds = timed(count_lines, mount.where, count)
            world.forget(client)
        return seconds

    for _ in range(bench.runs):
        row.add(measure(True), measure(False))


def grep(bench):
    world, (plain, count) = bench.world, small_library(bench)
    row = bench.row(f"cold grep -r, {count:,} files, 20 ms round trip", "rclone, WebDAV", "faster",
                    10)
    sshfs = bench.row("the same", "sshfs, once", "faster", None)
    with Proxy(world.port, 20) as line, Rclone(world, plain) as peer, Proxy(peer.port, 20) as other:
        for _ in range(bench.runs):
            client = world.client(line.url)
            with world.mounted("small", client) as mount, bench.profile(mount):
                drop_caches()
                seconds = timed(count_lines, mount.where, count)
            world.forget(client)
            with peer.mounted(other.url) as where:
                drop_caches()
                row.add(seconds, timed(count_lines, where, count))
        try:  # several round trips for each file: minutes
            with Sshfs(world, plain) as peer, Proxy(peer.port, 20) as other, \
                    peer.mounted(other.port) as where:
                drop_caches()
                sshfs.add(seconds, timed(count_lines, where, count))
        except Missing as missing:
            sshfs.missing = str(missing)


FIGURES = {"cold-plain": cold_plain, "cold-encrypted": cold_encrypted, "warm": warm_encrypted,
           "first-byte": first_byte, "cold-50ms": cold_far, "grep-20ms": grep,
           "grep-http2": grep_by_nginx}
