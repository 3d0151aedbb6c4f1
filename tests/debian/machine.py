# SPDX-License-Identifier: Apache-2.0
"""A machine in namespaces of its own: systemd as the first process of a tree.

It shares the kernel with its host and nothing else: processes, mounts, network, names and control
groups are its own, and all of it ends with one write to its control group.
"""

import os
import shutil
import subprocess
import tempfile
import time

import tree

USER = 1000


def cgroup2():
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            words = line.split()
            if words[2] == "cgroup2":
                return words[1]
    raise tree.CannotHost("no cgroup2 is mounted")


class Machine:
    def __init__(self, lower, folder):
        self.lower = lower
        self.cgroup = os.path.join(cgroup2(), f"nacre-test-{os.getpid()}")
        self.changes = tempfile.mkdtemp(prefix="changes-", dir=folder)
        self.first = None
        self.leader = None

    # --- its life ---

    def boot(self, seconds=60):
        """Up to multi-user.target; returns how long it took."""
        begun = time.monotonic()
        command = tree.enter(self.lower, self.changes, "/sbin/init", cgroup=self.make_cgroup())
        with open(os.path.join(self.changes, "console"), "ab") as console:
            self.first = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console,
                                          stderr=console)
        self.leader = wait_until(self.find_leader, "systemd is there", 20)
        wait_until(lambda: self.is_active("multi-user.target"), "it is booted", seconds)
        return time.monotonic() - begun

    def make_cgroup(self):
        try:
            os.mkdir(self.cgroup)
        except OSError as e:
            raise tree.CannotHost(f"{self.cgroup} cannot be made: {e.strerror}") from None
        return self.cgroup

    def find_leader(self):
        if self.first.poll() is not None:
            raise tree.CannotHost("systemd did not start: " +
                                  tree.read(os.path.join(self.changes, "console"))[-500:])
        try:
            with open(os.path.join(self.cgroup, "init.scope/cgroup.procs"),
                      encoding="utf-8") as file:
                return next((int(line) for line in file), None)
        except OSError:
            return None

    def power_off(self, seconds=60):
        self.call("systemctl", "--no-block", "poweroff")
        try:
            self.first.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not go down within {seconds} s") from None
        wait_until(self.cgroup_is_gone, "its control group is empty", 20)

    def remove(self):
        if self.first is not None and self.first.poll() is None:
            tree.write(os.path.join(self.cgroup, "cgroup.kill"), "1")
            self.first.wait(20)
        wait_until(self.cgroup_is_gone, "its control group is empty", 20)
        shutil.rmtree(self.changes)

    def cgroup_is_gone(self):
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return True

    # --- in it ---

    def call(self, *words, user=None, seconds=60, text=None):
        """Runs a command in it; root does, or its user, as if logged in."""
        home = f"/home/{user}" if user else "/root"
        command = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
                   "env", "-i", f"--chdir={home}", f"HOME={home}", "LC_ALL=C.UTF-8",
                   "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        if user:
            command += [f"XDG_RUNTIME_DIR=/run/user/{USER}", "setpriv", f"--reuid={USER}",
                        f"--regid={USER}", "--init-groups"]
        command += words
        return subprocess.run(command, timeout=seconds, check=False, capture_output=True,
                              text=True, input=text, start_new_session=True)

    def run(self, *words, **options):
        done = self.call(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit status {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def shell(self, script, **options):
        return self.run("sh", "-ec", script, **options)

    def write(self, path, text):
        self.run("sh", "-ec", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, text=text)

    def is_active(self, unit, user=None):
        words = ["systemctl", *(["--user"] if user else []), "is-active", unit]
        return self.call(*words, user=user).stdout.strip() == "active"

    def journal(self):
        return self.call("journalctl", "-b", "--no-pager", "-o", "short-monotonic").stdout


def wait_until(condition, what, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return value
