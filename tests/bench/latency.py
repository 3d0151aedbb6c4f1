#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A line with a round trip, of unlimited bandwidth, on loopback.

    latency.py PORT ROUND_TRIP_MS

A process of its own, so that its work is not done by what is measured.  It listens on a
port that it prints, and carries bytes to PORT and back, half a round trip each way.
A connection costs one more round trip at its beginning, as a TCP handshake does (the
kernel accepts on loopback at once).  Slow start and loss are not imitated.  What is
under way is bounded: a direction with 64 MiB in the air takes no more.
It prints "SENT RECEIVED REQUESTS" per line of input, the bytes so far towards the server and
from it, and how many requests of HTTP/1.1 are in them; and ends when its input does.
"""

import collections
import socket
import subprocess
import sys
import threading
import time

PIECE = 1 << 18
IN_THE_AIR = 64 << 20


class Direction:
    """One way of one connection: a thread takes, another gives when it is time."""

    def __init__(self, source, target, delay, not_before, count):
        self.source, self.target, self.delay = source, target, delay
        self.not_before, self.count = not_before, count
        self.pieces, self.size = collections.deque(), 0
        self.changed = threading.Condition()
        self.open = True
        for work in (self.take, self.give):
            threading.Thread(target=work, daemon=True).start()

    def take(self):
        while self.open:
            try:
                piece = self.source.recv(PIECE)
            except OSError:
                piece = b""
            due = max(time.monotonic(), self.not_before) + self.delay
            with self.changed:
                while self.size > IN_THE_AIR and self.open:
                    self.changed.wait()
                self.pieces.append((due, piece))
                self.size += len(piece)
                self.changed.notify_all()
            self.count(piece)
            if not piece:
                return

    def give(self):
        while True:
            with self.changed:
                while not self.pieces:
                    self.changed.wait()
                due, piece = self.pieces.popleft()
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            try:
                if piece:
                    self.target.sendall(piece)
                else:
                    self.target.shutdown(socket.SHUT_WR)
            except OSError:
                piece = b""
            with self.changed:
                self.size -= len(piece)
                self.open = bool(piece)
                self.changed.notify_all()
            if not piece:
                return


class Line:
    def __init__(self, port, round_trip):
        self.port, self.round_trip = port, round_trip
        self.bytes, self.requests, self.lock = [0, 0], 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def counter(self, way):
        def count(piece):
            with self.lock:
                self.bytes[way] += len(piece)
                self.requests += piece.count(b" HTTP/1.1\r\n")
        return count

    def serve(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.port), 10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready = time.monotonic() + self.round_trip
            Direction(near, far, self.round_trip / 2, ready, self.counter(0))
            Direction(far, near, self.round_trip / 2, 0, self.counter(1))


class Proxy:
    """That line, from the bench's side."""

    def __init__(self, port, milliseconds):
        self.process = subprocess.Popen([sys.executable, __file__, str(port), str(milliseconds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def so_far(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [int(number) for number in self.process.stdout.readline().split()]

    def carried(self):
        """Bytes to the server, and from it."""
        return tuple(self.so_far()[:2])

    def requests(self):
        return self.so_far()[2]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def main():
    line = Line(int(sys.argv[1]), float(sys.argv[2]) / 1000)
    threading.Thread(target=line.serve, daemon=True).start()
    print(line.listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        print(*line.bytes, line.requests, flush=True)


if __name__ == "__main__":
    main()
