# SPDX-License-Identifier: Apache-2.0
"""Mounts as mount(8), fstab(5) and systemd make them: through mount.nacre."""

import errno
import os
import socket
import stat
import subprocess

import kit
from kit import NACRE, PASSWORD, World, get, is_mounted, put

HELPER = os.path.join(os.path.dirname(os.path.abspath(NACRE)), "mount.nacre")


class Helper(kit.Case):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.end_mounts)
        self.world.serve()
        self.world.login()
        self.world.library("Work")
        self.mounted = []

    def place(self, name):
        where = self.world.path(name)
        os.makedirs(where, exist_ok=True)
        self.mounted.append(where)
        return where

    def end_mounts(self):
        for where in self.mounted:
            if is_mounted(where):
                self.world.nacre("umount", where, timeout=150)

    def call(self, *words, expect=0, **more):
        done = subprocess.run(
            [HELPER, *words], env={**self.world.environment("a"), **more}, timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            start_new_session=True)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stderr

    def flags(self, where):
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            lines = [line.split() for line in mounts]
        (found,) = [line for line in lines if line[1] == where]
        self.assertEqual(found[2], "fuse.nacre")
        return found[3].split(",")

    def test_the_users_configuration_file_counts_below_the_options(self):
        where = self.place("mnt")
        self.world.environment("a")
        put(os.path.join(self.world.path("a", "config", "nacre"), "nacre.conf"),
            f"[mount {where}]\nread-only = true\nnosuid = true\nlibrary = Elsewhere\n", 0o600)
        self.call(self.world.url, where, "-o", "library=Work")
        flags = self.flags(where)
        self.assertIn("ro", flags)
        self.assertIn("nosuid", flags)

    def test_it_answers_when_the_helper_returns_and_options_do_what_they_say(self):
        where = self.place("mnt")
        self.call(self.world.url, where, "-o",
                  "rw,noexec,nosuid,nodev,_netdev,nofail,noauto,user=me,x-systemd.automount,"
                  "library=Work,poll=1,quiet=300,umask=027,fmask=117")
        flags = self.flags(where)  # at once: it was told that it answers
        for flag in ("rw", "noexec", "nosuid", "nodev"):
            self.assertIn(flag, flags)
        put(os.path.join(where, "a"), "content of a file")
        os.mkdir(os.path.join(where, "d"))
        mode = lambda name: stat.S_IMODE(os.stat(os.path.join(where, name)).st_mode)
        self.assertEqual(mode("a"), 0o660)
        self.assertEqual(mode("d"), 0o750)
        self.world.nacre("sync", where, "--wait")
        self.world.nacre("umount", where, timeout=150)
        self.assertFalse(is_mounted(where))

        self.call("none", where, "-o", "ro,library=Work")
        self.assertIn("ro", self.flags(where))
        self.assertEqual(get(os.path.join(where, "a")), b"content of a file")
        self.assertEqual(mode("a"), 0o444)
        with self.assertRaises(OSError) as refused:
            put(os.path.join(where, "b"), "x")
        self.assertEqual(refused.exception.errno, errno.EROFS)

    def test_an_automount_point_is_mounted_on_without_asking_it(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        where = self.place("mnt")
        requests, kernels_end = os.pipe()
        self.addCleanup(os.close, requests)
        # As systemd does it: who is not of this process group and looks there waits for the mount,
        # which is for ever where the helper does so.
        done = subprocess.run(
            ["mount", "-i", "-t", "autofs", "-o", f"fd={kernels_end},pgrp={os.getpgrp()},"
             "minproto=5,maxproto=5,direct", "automount", where],
            pass_fds=[kernels_end], timeout=20, capture_output=True, text=True, check=False)
        os.close(kernels_end)
        if done.returncode != 0:
            self.skipTest(f"no autofs: {done.stderr}")
        self.addCleanup(subprocess.run, ["umount", where], check=True, timeout=20)
        self.call(self.world.url, where, "-o", "library=Work")
        put(os.path.join(where, "a"), "content of a file")
        self.assertIn(f"{where} fuse.nacre", get("/proc/self/mounts").decode())
        self.world.nacre("umount", where, timeout=150)
        self.assertNotIn(f"{where} fuse.nacre", get("/proc/self/mounts").decode())

    def test_a_mount_waits_for_the_last_daemon_that_is_still_sending(self):
        where = self.place("mnt")
        self.call(self.world.url, where, "-o", "library=Work")
        self.world.faults("PUT . delay 3000")
        put(os.path.join(where, "a"), "content of a file")
        # As umount(8) and an automount's end do it.
        subprocess.run(["fusermount3", "-u", where], check=True, timeout=20)
        self.call(self.world.url, where, "-o", "library=Work")
        self.assertEqual(get(os.path.join(where, "a")), b"content of a file")
        self.world.faults()
        self.world.nacre("sync", where, "--wait")

    def test_files_are_whose_the_options_say(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        where = self.place("mnt")
        self.call(self.world.url, where, "-o", "library=Work,allow_other,uid=1234,gid=2345")
        path = os.path.join(where, "a")
        put(path, "content of a file")
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_gid), (1234, 2345))
        os.chown(path, 1234, 2345)  # to whom it belongs already
        with self.assertRaises(OSError) as refused:
            os.chown(path, 1, 1)
        self.assertEqual(refused.exception.errno, errno.EPERM)

    def test_passwords_come_from_files_that_nobody_else_can_read(self):
        self.world.library("Private", encrypted=True)
        where = self.place("mnt")
        secret = self.world.path("secret")
        put(secret, PASSWORD + "\n", mode=0o644)
        options = "library=Private,unlock=Private,password-file="
        said = self.call(self.world.url, where, "-o", options + secret, expect=3)
        self.assertIn("chmod 600", said)
        self.assertFalse(is_mounted(where))

        os.chmod(secret, 0o600)
        self.call(self.world.url, where, "-o", options + secret)
        put(os.path.join(where, "a"), "content of a file")
        self.world.nacre("umount", where, timeout=150)

        # As LoadCredential=library:/etc/… has it.
        credentials = self.world.path("credentials")
        os.mkdir(credentials, 0o700)
        put(os.path.join(credentials, "library"), PASSWORD, mode=0o440)
        self.call(self.world.url, where, "-o", options + "library",
                  CREDENTIALS_DIRECTORY=credentials)
        self.assertEqual(get(os.path.join(where, "a")), b"content of a file")

    def test_what_cannot_be_is_refused_before_anything_is_mounted(self):
        where = self.place("mnt")
        for option, word in (("frob", "unknown"), ("umask=9", "octal"), ("poll=x", "number"),
                             ("uid=no-such-user", "no such user"), ("umask=", "missing"),
                             ("password=geheim", "password-file")):
            said = self.call(self.world.url, where, "-o", option, expect=2)
            self.assertIn(word, said)
            self.assertNotIn("geheim", said)
        self.call(self.world.url, expect=2)
        self.call(self.world.url, where, "-o", expect=2)
        self.call(self.world.url, where, "-f", "-o", "library=Work")
        self.assertFalse(is_mounted(where))
        self.call(self.world.url, where, "-sn", "-o", "frob,library=Work")
        self.assertTrue(is_mounted(where))

    def test_a_service_manager_is_told_that_it_answers_and_goes_on_to(self):
        where, heard = self.place("mnt"), self.world.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(heard)
            manager.settimeout(30)
            process = subprocess.Popen(
                [NACRE, "mount", "--foreground", "--library", "Work", self.world.url, where],
                env={**self.world.environment("a"), "NOTIFY_SOCKET": heard,
                     "WATCHDOG_USEC": "1500000"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.addCleanup(process.kill)
            self.assertIn(b"READY=1", manager.recv(4096).split(b"\n"))
            self.assertTrue(is_mounted(where))
            for _ in range(7):  # three in each of its times
                self.assertEqual(manager.recv(4096), b"WATCHDOG=1")
        put(os.path.join(where, "a"), "content of a file")
        self.world.nacre("umount", where, timeout=150)
        self.assertEqual(process.wait(60), 0)

    def test_mount_of_this_type_calls_it(self):
        probe = ["unshare", "--mount", "true"]
        if os.geteuid() != 0 or subprocess.run(probe, check=False).returncode != 0:
            self.skipTest("needs root and a mount namespace of its own")
        where = self.place("mnt")
        # /sbin of the namespace holds only the helper, as an installation puts it there.
        script = """
            set -eu
            where=$1 url=$2 program=$3
            sbin=$(readlink -f /sbin)
            mount -t tmpfs none "$sbin"
            ln -s "$program" "$sbin/mount.nacre"
            trap 'umount -l "$where" 2>/dev/null || :' EXIT
            mount -t nacre -o library=Work,noexec,nofail "$url" "$where"
            grep " $where fuse.nacre " /proc/self/mounts
            echo "written through mount" >"$where/a"
            cat "$where/a"
            "$program" umount "$where"
        """
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", where, self.world.url,
             os.path.abspath(NACRE)],
            env=self.world.environment("a"), timeout=90, capture_output=True, text=True,
            check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("noexec", done.stdout)
        self.assertIn("written through mount", done.stdout)
        self.assertFalse(is_mounted(where))


if __name__ == "__main__":
    kit.run()
