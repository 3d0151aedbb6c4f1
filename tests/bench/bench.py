#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast nacre is, beside yardsticks measured in the same run.

Starts a server of its own, lines with a round trip, and peers; drops the kernel's caches, so it
runs as root.  Prints a table, and writes build/bench.json (--json).  With --profile, perf samples
each daemon while it is measured; `perf script` over the files makes flame graphs of them.
"""

import argparse
import contextlib
import datetime
import fnmatch
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for folder in ("mount", "interop"):
    sys.path.insert(0, os.path.join(ROOT, "tests", folder))
import kit  # noqa: E402

import figures  # noqa: E402
import library  # noqa: E402
import reading  # noqa: E402
import staying  # noqa: E402
import trees  # noqa: E402
import writing  # noqa: E402
from yardsticks import MIB, Curl, Missing, World  # noqa: E402

FIGURES = reading.FIGURES | writing.FIGURES | trees.FIGURES | staying.FIGURES


class Bench:
    """What the figures share: sizes, the world, things that are made once."""

    def __init__(self, world, options):
        self.world, self.small, self.nacre = world, options.small, kit.NACRE
        self.runs = options.runs or (1 if self.small else 5)
        self.size = (64 if self.small else 1024) * MIB
        self.files = 500 if self.small else 5000
        self.folders = 50 if self.small else 500
        self.huge = (200, 100) if self.small else (10_000, 100)
        self.rows, self.made, self.profiles = [], {}, options.profile
        self.figure, self.taken = "", 0
        world.serve()
        world.login("a")
        self.curl = Curl(world)

    def row(self, *what):
        self.rows.append(figures.Row(*what))
        return self.rows[-1]

    def once(self, name, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def storage(self, name):
        """An empty library to be filled in the server's storage."""
        self.world.library(name)
        return library.Storage(self.world.storage(), self.curl.library(name))

    def remove(self, folder):
        shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def profile(self, mount):
        if not self.profiles:
            yield
            return
        os.makedirs(self.profiles, exist_ok=True)
        self.taken += 1
        path = os.path.join(self.profiles, f"{self.figure}-{self.taken}.perf")
        perf = subprocess.Popen(["perf", "record", "-q", "-g", "-F", "199", "-o", path, "-p",
                                 str(mount.process.pid)], stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            perf.send_signal(signal.SIGINT)
            perf.wait(60)

    def measure(self, name):
        self.figure, before = name, len(self.rows)
        print(f"{name} (load {os.getloadavg()[0]:.1f})", flush=True)
        try:
            FIGURES[name](self)
        except Missing as missing:
            if len(self.rows) == before:
                self.row(name, str(missing), "below", None)
            for row in self.rows[before:]:
                row.missing = str(missing)
        except Exception as error:  # the others are measured all the same
            print(f"  {name}: {error}", file=sys.stderr, flush=True)
            for mount in self.world.mounts[-1:]:
                print(mount.log(), file=sys.stderr)
            if len(self.rows) == before:
                self.row(name, "-", "below", None)
            for row in self.rows[before:]:
                row.missing = f"failed: {error}".split("\n", maxsplit=1)[0]
            return False
        return True


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench",
                                     description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--nacre", required=True, help="the program to measure")
    parser.add_argument("--only", metavar="PATTERN", default="*",
                        help="figures whose names fit; of " + ", ".join(FIGURES))
    parser.add_argument("--runs", type=int, help="how often each is measured (5)")
    parser.add_argument("--small", action="store_true", help="less of everything, and once only")
    parser.add_argument("--profile", metavar="FOLDER", help="leave profiles of perf there")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "build", "bench.json"))
    return parser.parse_args()


def write_report(options, bench, loads):
    """What there is by now: a run that is cut short has measured something."""
    report = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "kernel": platform.release(), "processors": os.cpu_count(), "load": loads,
              "small": options.small, "runs": bench.runs,
              "figures": [row.record() for row in bench.rows]}
    os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")


def main():
    options = parse()
    chosen = [name for name in FIGURES if fnmatch.fnmatch(name, options.only)]
    if not chosen:
        print(f"bench: no figure fits {options.only}; there are {', '.join(FIGURES)}",
              file=sys.stderr)
        return 2
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("curl") is None:
        print("skipped: needs /dev/fuse and curl")
        return 77
    if os.geteuid() != 0:
        print("bench: only root can drop the kernel's caches", file=sys.stderr)
        return 1
    kit.NACRE = os.path.abspath(options.nacre)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    world, loads = World(), [os.getloadavg()[0]]

    def give_up():
        print("takes too long: killing the daemons", flush=True)
        for mount in list(world.mounts):
            mount.process.kill()

    watchdog = threading.Timer(600 if options.small else 4 * 3600, give_up)
    watchdog.daemon = True
    watchdog.start()
    fine = True
    try:
        bench = Bench(world, options)
        for name in chosen:
            fine &= bench.measure(name)
            loads.append(os.getloadavg()[0])
            write_report(options, bench, loads)
    finally:
        world.close()
        watchdog.cancel()
    print(figures.table(bench.rows))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
