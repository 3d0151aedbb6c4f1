# SPDX-License-Identifier: Apache-2.0
"""A real Seafile client: Debian's seafile-daemon, driven by its seaf-cli."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import kit

SEAF_CLI = ["/usr/bin/python3", "/usr/bin/seaf-cli"]
# Of encrypted libraries that nacre makes; Debian's build of the client opens no version 4.
ENCRYPTION = 2
SLOW = 90.0  # the client looks at the server every 30 s


class Peer:
    """A seaf-daemon with folders of its own."""

    def __init__(self, world, name, url=None):
        self.url = url or world.url
        self.top = os.path.join(world.top, name)
        os.makedirs(self.top)
        self.conf = os.path.join(self.top, "conf")
        self.environment = {**os.environ, "HOME": self.top, "LC_ALL": "C.UTF-8"}
        self.socket = os.path.join(self.top, "seafile-data", "seafile.sock")
        self.call("init", "-d", self.top)
        self.call("start")
        kit.wait_until(lambda: os.path.exists(self.socket), "the client's daemon listens", 60)

    def call(self, *arguments):
        done = subprocess.run([*SEAF_CLI, arguments[0], "-c", self.conf, *arguments[1:]],
                              env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f"seaf-cli {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def account(self):
        return ["-s", self.url, "-u", kit.USER, "-p", "secret of user"]

    def create(self, name, password=None):
        secret = ["-e", password] if password else []
        out = self.call("create", "-n", name, "-t", "made by the peer", *self.account(), *secret)
        return re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", out).group(0)

    def attach(self, verb, library, folder, password=None):
        secret = ["-e", password] if password else []
        os.makedirs(folder, exist_ok=True)
        self.call(verb, "-l", library, "-d", folder, *self.account(), *secret)

    def look_now(self, library):
        """Has it send and fetch at once, which it does every 30 s."""
        subprocess.run(["/usr/bin/python3", "-c",
                        "import sys, seafile; seafile.RpcClient(sys.argv[1]).sync(sys.argv[2], '')",
                        self.socket, library], check=True, timeout=60)

    def log(self):
        try:
            with open(os.path.join(self.conf, "logs", "seafile.log"), errors="replace") as log:
                return log.read()[-6000:]
        except OSError:
            return "(no log)"

    def stop(self):
        subprocess.run([*SEAF_CLI, "stop", "-c", self.conf], env=self.environment,
                       capture_output=True, timeout=30, check=False)
        subprocess.run(["pkill", "-f", self.top], check=False)


def shown(top):
    """The tree without what a real client keeps of its own in a folder."""
    return {path: entry for path, entry in kit.tree(top).items()
            if os.path.basename(path) != b".seafile-data"}
