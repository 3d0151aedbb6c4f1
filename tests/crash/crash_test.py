#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the daemon at any moment, again and again, and looks whether all is there that must be.

    crash_test.py [--kills N] [--seed S] [--from ROUND] [--failures N] [--keep]

The environment names the program (NACRE) and the library that stands for a disk (POWERCUT).
A round is one kill, by SIGKILL at some instant or by a failpoint; some are power cuts. The
choices of a round depend on the seed and its number only; the instants are the machine's.
"""

import argparse
import collections
import dataclasses
import os
import random
import re
import signal
import sys
import threading
import time
import traceback

import model
import programs
import workers as crew
import workloads
from world import CrashWorld, clock, read_tree, tree_difference
from workloads import kit

ROUNDS_OF_A_WORLD = 25
ROUND_LIMIT = 150  # seconds; then the daemons are killed, so that nobody hangs
FAILPOINT_LIMIT = 3.0  # seconds of work in which one is reached, or that passage is too late
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

FOLDERS = {workloads.NAME_MARK + " " + name: kind for name, kind in (
    ("files", workloads.Files), ("log", workloads.Log), ("renames", workloads.Renames),
    ("sql", programs.Sqlite), ("git", programs.Git))}
OTHER = workloads.NAME_MARK + " of b"


def failpoints():
    """As the sources have them."""
    names = set()
    for folder in ("cache", "fs"):
        for name in os.listdir(os.path.join(ROOT, folder)):
            if name.endswith(".cpp"):
                with open(os.path.join(ROOT, folder, name), encoding="utf-8") as source:
                    names.update(re.findall(r'failpoint\("([^"]+)"\)', source.read()))
    return sorted(names)


class Failpoints:
    """Takes turns; learns how often each is passed, to kill at any of its passages."""

    def __init__(self, names):
        self.names, self.turn = names, 0
        self.most = {name: 60.0 if name.startswith("state.w") else 4.0 for name in names}
        self.count = {name: collections.Counter() for name in names}

    def next(self, rng):
        name = self.names[self.turn % len(self.names)]
        self.turn += 1
        passage = rng.randint(1, max(1, int(self.most[name])))
        return name, passage if self.reached(name) else 1

    def note(self, name, how):
        self.count[name][how] += 1
        if how == "not reached":
            self.most[name] = max(1.0, self.most[name] / 3)
        else:
            self.most[name] = min(400.0, self.most[name] * 1.3)

    def reached(self, name):
        return self.count[name]["at work"] + self.count[name]["at the start"] > 0

    def seconds(self, name):
        """Of work, for one that has to be reached; the first time on a slow machine, too."""
        return FAILPOINT_LIMIT if self.reached(name) else 4 * FAILPOINT_LIMIT

    def never_reached(self):
        return [name for name in self.names if not self.reached(name)]

    def __str__(self):
        return "\n".join(f"  {name:16} " + ", ".join(f"{how}: {count[how]}" for how in sorted(count))
                         for name, count in self.count.items())


@dataclasses.dataclass
class Plan:
    """What one round will do."""
    folders: list
    other: bool  # the other mount writes, too, to a folder of its own
    quiet: int
    pace: crew.Pace
    seconds: float
    nudge: float  # seconds between commands to send now; 0: none
    failpoint: tuple | None
    cut: bool
    sync: bool
    seeds: list

    def __str__(self):
        how = f"failpoint {self.failpoint[0]}:{self.failpoint[1]}" if self.failpoint \
            else f"kill after {self.seconds:.2f} s"
        return how + (", power cut" if self.cut else "")


def make_plan(rng, points, with_cuts):
    failpoint = points.next(rng) if rng.random() < 0.5 else None
    sending = failpoint is not None and not failpoint[0].startswith("state.")
    quiet = rng.choice((100, 150, 300))
    bursts = sending or rng.random() < 0.4
    return Plan(
        folders=[folder for folder in FOLDERS if rng.random() < 0.6] or [rng.choice([*FOLDERS])],
        other=rng.random() < 0.25 or bool(failpoint and failpoint[0].startswith("pull")),
        quiet=quiet,
        pace=crew.Pace(clock(), rng.uniform(0.05, 0.25), quiet / 1000 + 0.1 if bursts else 0),
        seconds=points.seconds(failpoint[0]) if failpoint
        else rng.choice((0.1, 0.4, 0.8)) * rng.random(),
        nudge=rng.choice((0.15, 0.3)) if sending or rng.random() < 0.3 else 0,
        failpoint=failpoint,
        cut=with_cuts and rng.random() < 0.35,
        sync=rng.random() < 0.8,
        seeds=[rng.random() for _ in range(len(FOLDERS) + 1)])


def part_of(tree, folder):
    """Of a tree as read, what the model speaks of."""
    return {path: model.DIRECTORY if entry[0] else (entry[4], entry[1])
            for path, entry in tree.items() if path == folder or path.startswith(folder + "/")}


def as_state(part):
    return {path: entry if entry == model.DIRECTORY else model.File(*entry)
            for path, entry in part.items()}


class Life:
    """One world, from its first round to its last."""

    def __init__(self, rng, encrypted, shim, points):
        self.points = points
        self.states = {folder: {} for folder in [*FOLDERS, OTHER]}
        self.world = CrashWorld(rng, encrypted, shim)
        self.workers, self.notes = [], []
        self.how_it_ended = None
        self.begun = clock()

    def round(self, plan):
        world = self.world
        self.notes = []
        started = True
        if plan.failpoint and world.alive():
            world.kill()
            world.detach()
        if not world.alive():
            started = world.start(plan.quiet, plan.failpoint and ":".join(map(str, plan.failpoint)))
        self.workers = []
        if started:
            self.work(plan)
        workers = self.workers
        if plan.failpoint:
            self.points.note(plan.failpoint[0], self.how_it_ended if started else "at the start")
        if plan.cut:
            self.notes.append(world.cut_power())
        world.start(plan.quiet)
        self.look(plan, [worker for worker in workers if worker.folder != OTHER])
        for worker in workers:
            if worker.folder == OTHER:
                self.check_other(worker)
        if plan.sync:
            self.compare(plan)

    def keep_histories(self):
        for worker in self.workers:
            name = os.path.join(self.world.top, "history of " + worker.folder)
            with open(name, "w", encoding="utf-8") as file:
                for step in worker.history.steps:
                    file.write(f"{step.begin:.6f} {step.end:.6f} {step.op}\n")

    def work(self, plan):
        world, begin = self.world, clock()
        plan.pace.begin = begin
        workers = [crew.Worker(FOLDERS[folder], world.where, folder, self.states[folder], seed,
                               plan.pace)
                   for folder, seed in zip(plan.folders, plan.seeds)]
        other = [crew.Worker(workloads.Files, world.b.where, OTHER, self.states[OTHER],
                             plan.seeds[-1], crew.Pace(begin, 0.1, 0.45))] if plan.other else []
        self.workers = workers + other
        nudged = begin
        while clock() < begin + plan.seconds and world.alive():
            crew.listen(workers + other, min(0.01, begin + plan.seconds - clock()))
            if plan.nudge and clock() > nudged + plan.nudge:
                nudged = clock()
                world.sync_soon()
        self.how_it_ended = "not reached" if world.alive() else "at work"
        died_by_itself = not world.alive()
        world.kill()
        crew.tell_to_stop(other)
        crew.finish(workers + other)
        for worker in workers + other:
            assert worker.history.failure is None, \
                f"{worker.folder}: while the daemon was alive:\n{worker.history.failure}"
        assert plan.failpoint or not died_by_itself, \
            f"the daemon ended by itself: {world.a.returncode}\n{world.log('a')}"
        world.detach()

    def look(self, plan, workers):
        """Is all there that must be, and nothing that must not?"""
        world = self.world
        tree = read_tree(world.where, without=OTHER)
        strangers = {path.split("/")[0] for path in tree} - {*FOLDERS}
        assert not strangers, f"names that nobody made: {strangers}"
        histories = [worker.history for worker in workers]
        kept_until = model.synced_until(histories) if plan.cut else float("inf")
        moments = []
        by_folder = {worker.folder: worker.history for worker in workers}
        for folder, kind in FOLDERS.items():
            history = by_folder.get(folder, model.History(self.states[folder]))
            if issubclass(kind, (programs.Sqlite, programs.Git)):
                found, why = programs.moments_of(history, kind.look(world.where, folder),
                                                 kept_until)
            else:
                found, why = history.moments(part_of(tree, folder), kept_until)
            assert found, (f"{folder}: {why}\n  {history.ended()} of {len(history.steps)} operations "
                           f"had ended, {history.least(kept_until)} must be there; the last: "
                           f"{[step.op for step in history.steps[-4:]]}")
            moments.append(found)
        if plan.cut:
            assert model.common_moment(moments, kept_until), \
                f"each folder is as it was at some moment, but not at one: {moments}"
        # Databases have been put back to their last transaction.
        after = read_tree(world.where, without=OTHER)
        for folder in FOLDERS:
            self.states[folder] = as_state(part_of(after, folder))

    def check_other(self, worker):
        # What the first mount wrote is on its way here meanwhile: only this folder stands still.
        now = part_of(read_tree(self.world.b.where, only=OTHER), OTHER)
        found, why = worker.history.moments(now, float("inf"))
        assert found, f"the mount that was not killed: {why}"
        self.states[OTHER] = as_state(now)

    def compare(self, plan):
        """All is on the server, and the other mount shows the same."""
        world = self.world
        world.b.sync()
        world.sync()
        seconds = clock() - self.begun
        self.begun = clock()
        commits = world.storage.check()
        most = 20 + 2 * seconds * 1000 / min(plan.quiet, 300)
        assert commits < most, f"{commits} commits in {seconds:.1f} s"
        world.b.sync()
        trees = {}

        def same():
            try:
                trees["a"], trees["b"] = read_tree(world.where), read_tree(world.b.where)
            except FileNotFoundError:  # what has just come from the other side
                return False
            return trees["a"] == trees["b"]

        try:
            kit.wait_until(same, "both mounts show the same", 10)
        except AssertionError as error:
            raise AssertionError(
                f"the mounts differ: {tree_difference(trees['a'], trees['b'])}") from error
        found, why = model.History(self.states[OTHER]).moments(part_of(trees["a"], OTHER), 0)
        assert found, f"what the other mount wrote: {why}"

    def last_look(self):
        """What is looked at once in a world, as it takes longer."""
        world = self.world
        if not world.alive():
            return
        plan = make_plan(random.Random(0), self.points, False)
        self.compare(plan)
        world.remount_b(forget=True)
        self.compare(plan)
        for folder, kind in FOLDERS.items():
            if issubclass(kind, (programs.Sqlite, programs.Git)):
                kind.check_copy(world.b.where, folder)
        found = world.plaintext()
        assert not found, f"plaintext on the disk: {found}"


class Run:
    def __init__(self, options):
        self.options = options
        self.shim = os.environ.get("POWERCUT")
        self.points = Failpoints(failpoints())
        self.failures = []
        self.cuts = 0
        self.life = None

    def all(self):
        begin, number = clock(), getattr(self.options, "from")
        last = number + self.options.kills
        number -= number % ROUNDS_OF_A_WORLD
        while number < last and len(self.failures) < self.options.failures:
            self.one(number, last)
            number += 1
        seconds = clock() - begin
        print(f"{number} rounds, {self.cuts} power cuts, {seconds:.0f} s, "
              f"{len(self.failures)} failures\nfailpoints:\n{self.points}")
        if self.options.reach_all and not self.failures and self.points.never_reached():
            self.failures.append(f"never reached: {self.points.never_reached()}")
        for failure in self.failures:
            print(failure)
        return 1 if self.failures else 0

    def one(self, number, last):
        rng = random.Random(f"{self.options.seed} {number}")
        plan = make_plan(rng, self.points, bool(self.shim))
        self.cuts += plan.cut
        begin = clock()
        watchdog = threading.Timer(ROUND_LIMIT, self.give_up)
        watchdog.daemon = True
        watchdog.start()
        stage = f"round {number}: {plan}"
        try:
            if self.life is None:
                encrypted = number // ROUNDS_OF_A_WORLD % 2 == 1
                self.life = Life(rng, encrypted, self.shim, self.points)
            self.life.round(plan)
            if self.options.verbose:
                print(f"{stage}: {clock() - begin:.1f} s {self.life.notes}", flush=True)
            if (number + 1) % ROUNDS_OF_A_WORLD == 0 or number + 1 == last:
                stage += ", the end of its world"
                self.life.last_look()
                self.end_life()
        except Exception as error:  # pylint: disable=broad-except
            self.fail(stage, error)
        finally:
            watchdog.cancel()

    def fail(self, stage, error):
        text = f"FAILED {stage} (--seed {self.options.seed}): {error}"
        print(text, flush=True)
        if not isinstance(error, AssertionError):
            traceback.print_exc()
        self.failures.append(text[:600])
        if self.life is not None:
            world = self.life.world
            print(f"  {self.life.notes}\n--- log of a:\n{world.log('a')}", flush=True)
            if self.options.keep:
                self.life.keep_histories()
                print(f"  kept: {world.top}.kept")
                os.system(f"cp -a {world.top} {world.top}.kept")
        self.end_life()

    def end_life(self):
        if self.life is not None:
            self.life.world.close()
            self.life = None

    def give_up(self):
        print(f"not done after {ROUND_LIMIT} s: killing the daemons", flush=True)
        for process in kit._processes:
            process.kill()


def main():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("skipped: no /dev/fuse")
        return 77
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--from", type=int, default=0, help="the first round")
    parser.add_argument("--failures", type=int, default=1, help="end after so many")
    parser.add_argument("--reach-all", action="store_true",
                        help="a failpoint that was never reached is a failure")
    parser.add_argument("--keep", action="store_true", help="keep the folders of a failure")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    print(f"crash_test: --kills {options.kills} --seed {options.seed}", flush=True)
    run = Run(options)
    # Who ends this ends its daemons and mounts, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return run.all()
    finally:
        run.end_life()


if __name__ == "__main__":
    sys.exit(main())
