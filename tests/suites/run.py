#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The suites that others test their filesystems with, on mounts of nacre.

fsx, fsstress and pjdfstest are not part of this repository: README.md in this
folder says how to come by them.  What is not installed is skipped, and said.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import kit
import pjdfstest

# One line each: the share of all operations in percent, and the shape of the file.
# Closing now and then lets the daemon upload while the next operations go on.
FSX = (
    ("small, mapped and not", 65, ("-l", "65536", "-o", "16384", "-c", "200")),
    ("several blocks, mapped and not", 5, ("-l", "20971520", "-o", "65536", "-c", "500")),
    ("never closed, mapped and not", 25, ("-l", "262144", "-o", "32768")),
    ("synced all the time, mapped and not", 5, ("-l", "524288", "-o", "32768", "-y", "-c", "500")),
)
FSX_BUFFERED = ("through read and write only", ("-R", "-W", "-l", "1048576", "-o", "32768", "-c", "100"))

# What a library can express; the rest (links, devices, owners, attributes) is refused.
FSSTRESS = {
    "creat": 6, "mkdir": 4, "rmdir": 2, "unlink": 3, "rename": 5, "rnoreplace": 2, "rexchange": 2,
    "write": 8, "writev": 4, "mwrite": 4, "truncate": 4, "fallocate": 2, "punch": 2, "zero": 2,
    "copyrange": 3, "splice": 2, "setattr": 1, "read": 4, "readv": 2, "mread": 3, "dread": 1,
    "dwrite": 1, "stat": 2, "getdents": 2, "getattr": 1, "fsync": 2, "fdatasync": 2, "sync": 1,
}


class Failure(Exception):
    """What a suite found."""


class Outcome:
    """Counts, and the lines that say them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, check):
        start = time.monotonic()
        try:
            check()
        except (Failure, AssertionError, OSError, subprocess.SubprocessError) as failure:
            self.failed += 1
            print(f"not ok  {name}\n{failure}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name} ({time.monotonic() - start:.0f} s)", flush=True)

    def summary(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def skip(self, name, why):
        self.skipped += 1
        print(f"skipped {name}: {why}", flush=True)


class Room:
    """A library of one kind, mounted, and what a second client sees of it."""

    def __init__(self, encrypted):
        self.kind = "encrypted" if encrypted else "plain"
        self.secret = kit.PASSWORD if encrypted else None
        self.world = kit.World()
        self.mount = None

    def open(self):
        self.world.serve()
        self.world.login("a")
        self.world.login("b")
        self.world.library("lib", self.secret is not None)
        # Each pause is used to upload: that is what shall not disturb.
        self.mount = self.world.mount("a", "-o", "quiet=50,max-deletions=0", "--library", "lib",
                                      secret=self.secret)

    def folder(self, name):
        path = self.mount.path(name)
        os.mkdir(path)
        return path

    def program(self, words, cwd, seconds):
        """Its output; when it does not end in time, the daemon is ended, then the program."""
        process = subprocess.Popen(words, cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                                   errors="replace", stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            out, _ = process.communicate(timeout=seconds)
        except BaseException:
            self.mount.kill()
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return process.returncode, out

    def check_daemon(self):
        if self.mount.process.poll() is not None:
            raise Failure(f"the daemon ended: {self.mount.process.returncode}\n{self.mount.log()}")

    def compare(self, seconds):
        """Everything is sent, and is the same in a mount that never saw it."""
        self.check_daemon()
        self.mount.sync(seconds)
        here = kit.tree(self.mount.where)
        other = self.world.mount("b", "--library", "lib", secret=self.secret)
        try:
            there = kit.tree(other.where)
            different = [path for path in sorted(here.keys() | there.keys())
                         if here.get(path) != there.get(path)]
            if different:
                raise Failure("\n".join(
                    [f"{len(different)} of {len(here)} entries differ on the second mount:"] +
                    [f"  {os.fsdecode(path)}: {here.get(path)} here, {there.get(path)} there"
                     for path in different[:10]]))
        finally:
            other.end()
            self.world.mounts.remove(other)

    def close(self):
        self.world.close()


def fsx(room, program, arguments, operations, seed):
    folder = room.folder(f"fsx-{seed}")
    kept = os.path.join(room.world.top, f"fsx-{seed}")
    os.makedirs(kept)
    words = [program, "-q", "-S", str(seed), "-N", str(operations), "-P", kept, *arguments,
             os.path.join(folder, "file")]
    code, out = room.program(words, room.world.top, 300 + operations / 50)
    room.check_daemon()
    if code != 0:
        lines = out.splitlines()
        raise Failure("\n".join([f"{' '.join(words)}: exit status {code}", *lines[:40],
                                 f"… {len(lines)} lines", *lines[-40:]]))


def fsstress(room, program, operations, processes, seed):
    folder = room.folder("fsstress")
    chosen = [word for name, share in FSSTRESS.items() for word in ("-f", f"{name}={share}")]
    words = [program, "-d", folder, "-z", *chosen, "-n", str(operations), "-p", str(processes),
             "-s", str(seed)]
    code, out = room.program(words, room.world.top, 300 + operations * processes / 10)
    room.check_daemon()
    if code != 0:
        raise Failure(f"{' '.join(words)}: exit status {code}\n{out[-4000:]}")
    kit.tree(folder)  # everything can be listed and read


def pjdfstest_on(room, tests, expected, groups, outcome, record):
    for group in groups:
        if group in expected.left_out:
            outcome.skip(f"pjdfstest {group}", expected.left_out[group])
            continue
        for script in pjdfstest.scripts(tests, group):
            name = f"{group}/{os.path.basename(script)}"
            if name in expected.left_out:
                outcome.skip(f"pjdfstest {name}", expected.left_out[name])
                continue

            def check(script=script, name=name):
                room.check_daemon()
                folder = room.folder(name.replace("/", "-"))
                _, out = room.program(["/bin/sh", script], folder, 300)
                room.check_daemon()
                results = pjdfstest.read_tap(out)
                if record:
                    record.write(f"== {name}\n{out}")
                wrong = expected.differences(name, results)
                if wrong:
                    raise Failure("\n".join("  " + line for line in wrong))
                subprocess.run(["rm", "-rf", folder], check=True, timeout=60)

            outcome.run(f"pjdfstest {name} on a mount ({room.kind})", check)


def find_programs(outcome):
    what = {"fsx": "exercises one file and knows each byte of it",
            "fsstress": "many processes at once in one tree"}
    found = {}
    for name, does in what.items():
        if path := shutil.which(name):
            found[name] = path
        else:
            outcome.skip(name, f"not on PATH ({does}); tests/suites/README.md says where it is from")
    if tests := pjdfstest.find():
        if os.geteuid() == 0:
            found["pjdfstest"] = tests
        else:
            outcome.skip("pjdfstest", "runs as root only: it changes users")
    else:
        outcome.skip("pjdfstest", "neither $PJDFSTEST nor PATH leads to it (what POSIX says of "
                     "each system call); tests/suites/README.md says where it is from")
    return found


def arguments():
    parser = argparse.ArgumentParser(prog="dev suites", description=__doc__.splitlines()[0])
    parser.add_argument("--ops", type=int, default=1_000_000, metavar="N",
                        help="operations of fsx with mmap, in total (1000000)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run (random)")
    parser.add_argument("--only", choices=("fsx", "fsstress", "pjdfstest"), action="append",
                        help="run this suite; may be given again")
    parser.add_argument("--group", action="append", help="only this group of pjdfstest")
    parser.add_argument("--library", choices=("plain", "encrypted"), default=None,
                        help="only this kind of library (both)")
    parser.add_argument("--record", type=argparse.FileType("w"), metavar="FILE",
                        help="write what pjdfstest said to FILE")
    return parser.parse_args()


def run_on(room, found, options, outcome, kinds):
    share = options.ops // kinds
    if "fsx" in found:
        runs = [(name, words, max(share * percent // 100, 1)) for name, percent, words in FSX]
        runs.append((*FSX_BUFFERED, max(share // 10, 1)))
        for number, (name, words, operations) in enumerate(runs):
            seed = options.seed + number
            outcome.run(f"fsx {operations} operations, {name}, {room.kind} (seed {seed})",
                        lambda w=words, n=operations, s=seed: fsx(room, found["fsx"], w, n, s))
        outcome.run(f"fsx: the same on a second mount, {room.kind}", lambda: room.compare(300))
    if "fsstress" in found:
        operations, processes = max(share // 100, 10), 4
        outcome.run(
            f"fsstress {processes} × {operations} operations, {room.kind} (seed {options.seed})",
            lambda: fsstress(room, found["fsstress"], operations, processes, options.seed))
        outcome.run(f"fsstress: the same on a second mount, {room.kind}",
                    lambda: room.compare(600))
    if "pjdfstest" in found:
        expected = pjdfstest.Expected()
        groups = options.group or pjdfstest.groups(found["pjdfstest"])
        pjdfstest_on(room, found["pjdfstest"], expected, groups, outcome, options.record)


def main():
    options = arguments()
    options.seed = options.seed if options.seed is not None else random.randrange(1, 1 << 30)
    outcome = Outcome()
    found = find_programs(outcome)
    found = {name: path for name, path in found.items() if not options.only or name in options.only}
    if found and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        for name in found:
            outcome.skip(name, "no /dev/fuse")
        found = {}
    if not found:
        print(outcome.summary())
        return 77
    kinds = [options.library] if options.library else ["plain", "encrypted"]
    for kind in kinds:
        room = Room(kind == "encrypted")
        try:
            room.open()
            run_on(room, found, options, outcome, len(kinds))
        finally:
            if outcome.failed and room.mount:
                print(f"--- log of the daemon ({kind}):\n{room.mount.log()}", flush=True)
            room.close()
    print(outcome.summary())
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
