# SPDX-License-Identifier: Apache-2.0
"""Mounts of a daemon that may not use fusermount3 itself: a helper does it, as systemd runs it."""

import array
import os
import signal
import socket
import subprocess
import threading
import unittest

import kit
from kit import NACRE, World, get, is_mounted, put, wait_until


class Helper(kit.Case):
    """A socket that runs `nacre fusermount-helper` for each connection."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        os.chmod(self.world.top, 0o755)
        self.path = self.world.path("helper.sock")
        self.asked = 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen()
        accepter = threading.Thread(target=self.serve)
        accepter.start()
        self.addCleanup(accepter.join, 20)
        self.addCleanup(self.listener.close)
        self.addCleanup(self.listener.shutdown, socket.SHUT_RDWR)

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.asked += 1
                subprocess.run([NACRE, "fusermount-helper", self.world.top], stdin=connection,
                               stderr=subprocess.DEVNULL, timeout=20, check=False)

    def ask(self, *words):
        """Its reply: a descriptor, None, or why not."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as helper:
            helper.settimeout(20)
            helper.connect(self.path)
            helper.send("".join(word + "\0" for word in words).encode())
            said, control, _, _ = helper.recvmsg(2048, socket.CMSG_SPACE(4))
        if said != b"\0":
            return said.decode()
        fds = array.array("i", b"".join(data for _, _, data in control))
        return fds[0] if fds else None

    def place(self, name="place"):
        where = self.world.path(name)
        os.makedirs(where, exist_ok=True)
        self.addCleanup(lambda: is_mounted(where) and
                        subprocess.run(["fusermount3", "-u", "-z", "-q", where], check=False))
        return where

    def flags(self, where):
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            (found,) = [line.split() for line in mounts if line.split()[1] == where]
        return found

    def test_it_mounts_and_unmounts(self):
        where = self.place()
        fd = self.ask("mount", where, "ro", "fsname=a,suid,b", "subtype=nacre")
        self.assertIsInstance(fd, int, fd)
        source, _, kind, options, *_ = self.flags(where)
        self.assertEqual((source, kind), ("a,suid,b", "fuse.nacre"))
        self.assertLessEqual({"ro", "nosuid", "nodev"}, set(options.split(",")))
        self.assertIn("already a mount", self.ask("mount", where))
        os.close(fd)
        self.assertIsNone(self.ask("detach", where))
        self.assertFalse(is_mounted(where))
        self.assertIsNone(self.ask("unmount", where))  # it is as was asked for

    def test_it_refuses_what_no_daemon_asks_for(self):
        where = self.place()
        os.makedirs(os.path.join(where, "deeper"))
        os.symlink(where, self.world.path("link"))
        for option in ("suid", "dev", "auto_unmount", "subtype=ext4", "ro,suid", "fd=3", ""):
            self.assertIn("refused: the option", self.ask("mount", where, option))
        for place in ("/", "/etc", self.world.top, self.world.top + "/", where + "/",
                      where + "/deeper", self.world.top + "/./place", where + "/../place",
                      "place", "", self.world.path("link", "deeper")):
            for word in ("mount", "unmount", "detach"):
                self.assertIn("refused: ", self.ask(word, place), (word, place))
        self.assertIsInstance(self.ask("mount", self.world.path("link")), str)
        self.assertIsInstance(self.ask("mount", self.world.path("missing")), str)
        for words in ((), ("mount",), ("unmount", where, "more"), ("remount", where),
                      ("mount", where, "fsname=" + "x" * 17000)):
            self.assertEqual(self.ask(*words) if words else self.ask_bytes(b"mount"),
                             "refused: not a request")
        self.assertFalse(is_mounted(where))

    def ask_bytes(self, packet):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as helper:
            helper.settimeout(20)
            helper.connect(self.path)
            helper.send(packet)
            return helper.recv(2048).decode()

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_it_refuses_another_user(self):
        where = self.place()
        script = ("import os, socket, sys; os.setuid(65534); "
                  "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(20); "
                  "s.connect(sys.argv[1]); s.send(b'mount\\0' + sys.argv[2].encode() + b'\\0'); "
                  "print(s.recv(2048).decode())")
        done = subprocess.run(["python3", "-c", script, self.path, where], timeout=60, check=True,
                              capture_output=True, text=True)
        self.assertEqual(done.stdout, "refused: another user asks\n")
        self.assertFalse(is_mounted(where))

    def mount_by_helper(self):
        os.environ["NACRE_FUSERMOUNT_SOCKET"] = self.path
        self.addCleanup(os.environ.pop, "NACRE_FUSERMOUNT_SOCKET")
        self.world.serve()
        self.world.login()
        self.world.library("Work")
        return self.world.mount("a")

    def test_a_daemon_mounts_and_unmounts_by_it(self):
        mount = self.mount_by_helper()
        self.assertEqual(self.asked, 1)
        put(mount.path("Work", "a"), "content of a file")
        mount.sync()
        self.world.nacre("umount", mount.where)
        self.assertEqual(mount.process.wait(20), 0)
        self.assertEqual(self.asked, 2)
        self.assertFalse(is_mounted(mount.where))

        mount.start()
        self.assertEqual(get(mount.path("Work", "a")), b"content of a file")
        mount.kill()
        self.assertTrue(is_mounted(mount.where))
        mount.start()  # the dead one is cleared away
        self.assertEqual(get(mount.path("Work", "a")), b"content of a file")
        self.assertEqual(mount.end(), 0)
        self.assertFalse(is_mounted(mount.where))

    def test_a_mount_in_use_ends_by_it_too(self):
        mount = self.mount_by_helper()
        fd = os.open(mount.path("Work", "open"), os.O_WRONLY | os.O_CREAT)
        mount.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_mounted(mount.where), "it is unmounted", 60)
        with self.assertRaises(OSError):
            os.close(fd)
        self.assertEqual(mount.process.wait(60), 0)
        self.assertEqual(self.asked, 3)  # it was refused first


if __name__ == "__main__":
    kit.run()
