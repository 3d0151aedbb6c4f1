# SPDX-License-Identifier: Apache-2.0
"""Stands between clients and a server, and keeps what clients send: recorder.py PORT SERVER_PORT
FOLDER.  One file for each connection.  A process of its own: a test that waits in a mount must
not keep the mount from its server."""

import itertools
import os
import socket
import struct
import sys
import threading

NUMBERS = itertools.count()


def reset(*sockets):
    """As the other side's end was: without a goodbye."""
    for each in sockets:
        try:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()


def pump(source, target, record=None):
    try:
        while data := source.recv(1 << 18):
            if record is not None:
                record.write(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        reset(source, target)


def serve(near, server_port, folder):
    try:
        far = socket.create_connection(("127.0.0.1", server_port), 20)
    except OSError:
        reset(near)
        return
    far.settimeout(None)
    for each in (near, far):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    path = os.path.join(folder, f"{os.getpid()}-{next(NUMBERS)}")
    with near, far, open(path, "wb", buffering=0) as record:
        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far, record)
        back.join()


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


def main(port, server_port, folder):
    os.makedirs(folder, exist_ok=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        print("ready", flush=True)
        while True:
            near, _ = listener.accept()
            threading.Thread(target=serve, args=(near, server_port, folder), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
