# SPDX-License-Identifier: Apache-2.0
"""A terminal for programs of nacre."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import kit


class Terminal:
    """A program on a terminal of its own, of 80 columns."""

    def __init__(self, world, *arguments, columns=80, rows=24, **environment):
        environment = {**world.environment("a"), "TERM": "xterm", **environment}
        self.process, self.fd = pty.fork()
        if self.process == 0:
            os.execve(kit.NACRE, ["nacre", *arguments], environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.settings = termios.tcgetattr(self.fd)
        self.shown, self.status = "", None

    def read_until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition(self.shown):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"not shown in {seconds} s:\n{self.shown}")
            try:
                part = os.read(self.fd, 65536)
            except OSError:  # the program has ended
                part = b""
            if not part:
                raise AssertionError(f"ended before it was shown:\n{self.shown}")
            self.shown += part.decode(errors="replace")

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self, seconds=20):
        """What it shows until it ends, and its exit status."""
        end = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                break
            if not part:
                break
            self.shown += part.decode(errors="replace")
        else:
            os.kill(self.process, signal.SIGKILL)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.fd)
