# SPDX-License-Identifier: Apache-2.0
"""The processes that work on a mount, and what they tell."""

import json
import os
import random
import select
import signal
import time

from model import History

ENDS = 30  # seconds that a worker may take to see that its daemon is gone


class Pace:
    """Pauses of `off` seconds after each `on` seconds, at the same time in all workers."""

    def __init__(self, begin, on, off):
        self.begin, self.on, self.off = begin, on, off

    def __call__(self):
        if self.off == 0:
            return
        into = (time.monotonic() - self.begin) % (self.on + self.off)
        if into > self.on:
            time.sleep(self.on + self.off - into)


class Worker:
    def __init__(self, kind, where, folder, state, seed, pace):
        self.kind, self.folder = kind, folder
        self.history = History(state)
        self.rest = b""
        self.pipe, writing = os.pipe()
        # Told to stop before it listens, it would not hear.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.pipe)
                kind(where, folder, state, random.Random(seed), pace, writing).run()
            finally:
                os._exit(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(writing)
        self.open = True

    def read(self):
        got = os.read(self.pipe, 1 << 16)
        *lines, self.rest = (self.rest + got).split(b"\n")
        for line in lines:
            self.history.note(json.loads(line))
        if not got:
            os.close(self.pipe)
            os.waitpid(self.pid, 0)
            self.open = False


def listen(workers, seconds):
    """Takes what comes within so long, or a little of it."""
    pipes = {worker.pipe: worker for worker in workers if worker.open}
    for pipe in select.select(list(pipes), [], [], max(0, seconds))[0]:
        pipes[pipe].read()
    if not pipes:
        time.sleep(max(0, seconds))


def tell_to_stop(workers):
    for worker in workers:
        if worker.open:
            os.kill(worker.pid, signal.SIGTERM)


def finish(workers):
    """Until all have ended by themselves; AssertionError for those that do not."""
    end = time.monotonic() + ENDS
    while any(worker.open for worker in workers) and time.monotonic() < end:
        listen(workers, 0.1)
    hung = [worker for worker in workers if worker.open]
    for worker in hung:
        os.kill(worker.pid, signal.SIGKILL)
    assert not hung, f"hang on a mount: {[worker.folder for worker in hung]}"
