# SPDX-License-Identifier: Apache-2.0
"""The package under a real systemd: systemd_test.py BUILD_FOLDER [TEST...].

A machine in namespaces (machine.py) boots with the package installed, and with a server that is
reached through a network of its own, which can be taken down.
"""

import os
import sys
import time
import unittest

import tree
from machine import Machine, USER, wait_until

PACKAGES = ["systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "iproute2", "openssl"]
URL = "https://192.0.2.1:8443"
CA = "/etc/ssl/server.pem"

# The network is up when the server's address is this machine's own.  When it is down there is a way
# to it on which everything disappears, as behind a broken router.
NETWORK = """
[Unit]
Description=The test's network
Before=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set lo up
ExecStart=sh -c 'if [ -e /etc/network-is-down ]; \
  then ip route add 192.0.2.1/32 dev lo; else ip address add 192.0.2.1/32 dev lo; fi'
ExecStop=-ip route del 192.0.2.1/32 dev lo
ExecStop=-ip address del 192.0.2.1/32 dev lo
[Install]
WantedBy=network-online.target
"""

SERVER = f"""
[Unit]
Description=The test's server
After=network-online.target
Wants=network-online.target
ConditionPathExists=!/etc/network-is-down
[Service]
ExecStart=nacre serve /srv/storage --listen 192.0.2.1:8443 \\
  --tls-cert {CA} --tls-key /etc/ssl/key.pem
[Install]
WantedBy=multi-user.target
"""


class Systemd(unittest.TestCase):
    machine = None

    # --- the machine ---

    @classmethod
    def set_up_machine(cls):
        machine = cls.machine
        machine.shell(f"""
            useradd --create-home --uid {USER} mussel
            cd /etc/ssl
            openssl req -x509 -newkey rsa:2048 -noenc -keyout key.pem -out {CA} -days 2 \
              -subj /CN=test -addext subjectAltName=IP:192.0.2.1 2>/dev/null""")
        machine.write("/etc/systemd/system/test-network.service", NETWORK)
        machine.write("/etc/systemd/system/test-server.service", SERVER)
        machine.write("/root/password", "secret\n")
        machine.shell("""
            nacre serve /srv/storage --add-user me --password-fd 3 3< /root/password
            systemctl daemon-reload
            systemctl enable --now -q test-network test-server
            loginctl enable-linger mussel""")
        wait_until(lambda: machine.is_active("user@1000.service"), "the user's manager runs")
        log_in = (f"nacre login {URL} --user me --ca-file {CA} --account home "
                  "--password-command 'echo secret'")
        wait_until(lambda: machine.call("sh", "-c", log_in).returncode == 0, "root logs in")
        machine.shell("nacre libraries create Work")
        machine.shell(log_in, user="mussel")

        # The examples, as they are, and what is of this machine in drop-ins.
        machine.shell("cp /usr/share/doc/nacre/examples/srv-seafile.* /etc/systemd/system")
        machine.write("/etc/systemd/system/srv-seafile.mount.d/test.conf", f"[Mount]\nWhat={URL}\n")
        machine.write("/etc/systemd/system/srv-seafile.automount.d/test.conf",
                      "[Automount]\nTimeoutIdleSec=3\n")
        machine.shell("systemctl daemon-reload; systemctl enable --now -q srv-seafile.automount")

    def setUp(self):
        self.network(up=True)
        self.addCleanup(self.tell_on_failure)

    def tell_on_failure(self):
        outcome = self._outcome.result
        if any(case is self for case, _ in outcome.failures + outcome.errors):
            print(self.machine.journal()[-8000:], file=sys.stderr)

    def network(self, up):
        self.machine.shell(f"""
            systemctl stop test-server
            {"rm -f" if up else "touch"} /etc/network-is-down
            systemctl restart test-network
            systemctl start test-server""")

    def mounted(self, where):
        return any(line.split()[1:3] == [where, "fuse.nacre"]
                   for line in self.machine.run("cat", "/proc/mounts").splitlines())

    def start_user_unit(self):
        """Its mount knows what is in the library when this returns."""
        self.machine.run("systemctl", "--user", "start", "nacre@home", user="mussel")
        self.assertTrue(self.mounted("/home/mussel/Seafile/home"))
        wait_until(lambda: self.machine.call("ls", "Seafile/home/Work", user="mussel").returncode
                   == 0, "the server is found again", 60)

    # --- what is seen true ---

    def test_an_automount_comes_idles_out_and_comes_back(self):
        machine = self.machine
        wait_until(lambda: not self.mounted("/srv/seafile"), "it is not mounted")
        self.assertTrue(machine.is_active("srv-seafile.automount"))
        self.assertIn("Work", machine.run("ls", "/srv/seafile"))
        self.assertTrue(self.mounted("/srv/seafile"))
        machine.shell("echo of the user > /srv/seafile/Work/mine", user="mussel")
        wait_until(lambda: not self.mounted("/srv/seafile"), "it idles out", 60)
        wait_until(lambda: not machine.is_active("srv-seafile.mount"), "its unit ends")
        self.assertTrue(machine.is_active("srv-seafile.automount"))
        self.assertEqual(machine.run("cat", "/srv/seafile/Work/mine", user="mussel"),
                         "of the user\n")
        self.assertTrue(self.mounted("/srv/seafile"))

    def test_an_automount_comes_back_with_what_is_unsent(self):
        self.machine.run("ls", "/srv/seafile/Work")
        self.network(up=False)
        self.machine.shell("echo not sent > /srv/seafile/Work/waiting", user="mussel")
        wait_until(lambda: not self.mounted("/srv/seafile"), "it idles out", 60)
        # Its daemon goes on trying, and has the state.
        self.assertEqual(self.machine.run("cat", "/srv/seafile/Work/waiting", user="mussel",
                                          seconds=120), "not sent\n")

    def test_a_boot_without_network_does_not_hang(self):
        machine = self.machine
        machine.shell("echo known before > /srv/seafile/Work/known", user="mussel")
        machine.shell("cat /srv/seafile/Work/known")
        machine.run("systemctl", "--user", "enable", "-q", "nacre@home", user="mussel")
        self.start_user_unit()
        # One that was never mounted, at boot.
        machine.write("/etc/fstab", f"{URL} /media nacre _netdev,nofail,allow_other,"
                      "state-dir=/var/lib/fresh,cache-dir=/var/cache/fresh 0 0\n")
        self.network(up=False)
        machine.power_off()
        machine.boot()
        self.assertTrue(machine.is_active("srv-seafile.automount"))
        begun = time.monotonic()
        self.assertIn("Work", machine.run("ls", "/srv/seafile"))  # as it was seen last
        self.assertEqual(machine.run("cat", "/srv/seafile/Work/known", user="mussel"),
                         "known before\n")
        self.assertLess(time.monotonic() - begun, 60)
        wait_until(lambda: machine.is_active("nacre@home", user="mussel"), "the user's mount", 60)

        self.network(up=True)
        machine.shell("echo later > Seafile/home/Work/later; "
                      "nacre sync --wait --timeout 60 Seafile/home", user="mussel", seconds=90)
        # The one that was never mounted before has failed, and nothing waited for it.
        failed = ("systemctl", "is-failed", "-q", "media.mount")
        wait_until(lambda: machine.call(*failed).returncode == 0, "it fails", 60)
        machine.run("systemctl", "start", "media.mount", seconds=100)
        self.assertEqual(machine.run("cat", "/media/Work/later"), "later\n")
        machine.shell("umount /media; : > /etc/fstab; systemctl daemon-reload")

    def test_a_user_unit_keeps_what_is_unsent(self):
        machine, user = self.machine, "mussel"
        self.start_user_unit()
        self.network(up=False)
        machine.shell("echo unsent > Seafile/home/Work/unsent", user=user)
        machine.run("systemctl", "--user", "stop", "nacre@home", user=user, seconds=200)
        self.assertFalse(self.mounted("/home/mussel/Seafile/home"))
        self.network(up=True)
        machine.run("systemctl", "--user", "start", "nacre@home", user=user)
        wait_until(lambda: machine.call("cat", "/srv/seafile/Work/unsent").stdout == "unsent\n",
                   "another mount has it", 90)

    def test_a_user_unit_is_in_a_sandbox(self):
        machine, user = self.machine, "mussel"
        self.start_user_unit()
        pid = self.main_pid()
        status = machine.run("cat", f"/proc/{pid}/status")
        for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000"):
            self.assertIn(line, status)
        for kind in ("user", "mnt"):
            self.assertNotEqual(machine.run("readlink", f"/proc/{pid}/ns/{kind}"),
                                machine.run("readlink", f"/proc/1/ns/{kind}"))
        # Of its user's home it can write to its own folders only.
        for place, flag in (("/home/mussel", "ro"), ("/home/mussel/.cache/nacre", "rw")):
            options = machine.run("nsenter", "-t", pid, "-m", "findmnt", "-n", "-o",
                                  "VFS-OPTIONS", "--target", place)
            self.assertIn(flag, options.strip().split(","), place)
        self.assertNotIn("fuse", machine.run("nsenter", "-t", pid, "-m", "ls", "/dev"))
        rating = machine.run("systemd-analyze", "--user", "security", "--no-pager",
                             "--threshold=30", "nacre@home", user=user)
        print(rating.strip().splitlines()[-1], flush=True)
        machine.shell("echo of the sandbox > Seafile/home/Work/sandboxed; "
                      "nacre sync --wait --timeout 60 Seafile/home", user=user, seconds=90)
        wait_until(lambda: machine.call("cat", "/srv/seafile/Work/sandboxed").stdout ==
                   "of the sandbox\n", "another mount has it", 60)

    def test_a_user_unit_mounts_without_user_namespaces(self):
        """With the lines that nacre-mount(1) gives."""
        machine, user = self.machine, "mussel"
        page = machine.run("zcat", "/usr/share/man/man1/nacre-mount.1.gz")
        start = page.index("[Service]\nPrivateUsers=no")
        place = "/home/mussel/.config/systemd/user/nacre@.service.d"
        again = "systemctl --user stop nacre@home; systemctl --user daemon-reload"
        self.addCleanup(machine.shell, f"rm -r {place}; {again}", user=user, seconds=200)
        machine.shell(f"mkdir -p {place}; cat > {place}/less.conf; {again}", user=user,
                      text=page[start:page.index(".Ed", start)], seconds=200)
        self.start_user_unit()
        pid = self.main_pid()
        self.assertEqual(machine.run("readlink", f"/proc/{pid}/ns/user"),
                         machine.run("readlink", "/proc/1/ns/user"))
        self.assertIn("NoNewPrivs:\t1", machine.run("cat", f"/proc/{pid}/status"))

    def main_pid(self):
        return self.machine.run("systemctl", "--user", "show", "-P", "MainPID", "nacre@home",
                                user="mussel").strip()

    def test_a_user_unit_ends_while_its_mount_is_used(self):
        machine, user = self.machine, "mussel"
        self.start_user_unit()
        machine.shell("systemd-run --user -q --unit=in-use --working-directory="
                      "/home/mussel/Seafile/home/Work sleep 600", user=user)
        self.addCleanup(machine.call, "systemctl", "--user", "stop", "in-use", user=user)
        machine.call("systemctl", "--user", "stop", "nacre@home", user=user, seconds=200)
        self.assertFalse(self.mounted("/home/mussel/Seafile/home"))
        self.assertFalse(machine.is_active("nacre@home", user=user))
        machine.call("systemctl", "--user", "reset-failed", "nacre@home", user=user)
        self.start_user_unit()

    def test_a_user_unit_comes_back_when_its_daemon_is_killed(self):
        machine, user = self.machine, "mussel"
        self.start_user_unit()
        machine.shell("echo kept > Seafile/home/Work/kept", user=user)
        before = self.main_pid()
        machine.run("systemctl", "--user", "kill", "-s", "KILL", "nacre@home", user=user)

        def restarted():
            return (self.main_pid() not in ("0", before) and
                    machine.is_active("nacre@home", user=user))

        wait_until(restarted, "it is started again", 60)
        self.assertEqual(machine.run("cat", "Seafile/home/Work/kept", user=user), "kept\n")


def main():
    build = os.path.abspath(sys.argv.pop(1))
    folder = os.path.join(build, "debian")
    tree.end_on_signals()
    machine = None
    try:
        tree.need_root_and_programs("debootstrap", "unshare", "nsenter", "setpriv")
        tree.need_namespaces()
        tree.need_filesystem("overlay")
        tree.need_filesystem("fuse")
        tree.need_filesystem("autofs", "autofs4")
        lower = tree.base(folder, "systemd", PACKAGES)
        machine = Machine(lower, folder)
        tree.install(lower, machine.changes, tree.built_package(build, machine.changes),
                     folder)
        print(f"booted in {machine.boot():.1f} s", flush=True)
        Systemd.machine = machine
        Systemd.set_up_machine()
        unittest.main(verbosity=2)
    except tree.CannotHost as e:
        tree.skip(str(e))
    finally:
        if machine is not None:
            machine.remove()


if __name__ == "__main__":
    main()
