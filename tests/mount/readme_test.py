# SPDX-License-Identifier: Apache-2.0
"""The README's quick start does what it says, typed at a terminal as it stands there."""

import os
import pty
import re
import select
import time

import kit

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../README.md")
EXAMPLE_SERVER = "https://sync.example.com"
EXAMPLE_USER = "me@example.com"
ANSWERS = {
    f"Password of {EXAMPLE_USER}: ": "secret of user",
    "Password of Private: ": kit.PASSWORD,
}


def blocks(mark):
    with open(README, encoding="utf-8") as file:
        return re.findall(rf"^```sh {mark}\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


def type_at_terminal(script, environment, seconds):
    """Runs it on a terminal of its own, and answers what is asked for.  Exit status and output."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe("bash", ["bash", "--norc", "-exc", script], environment)
    shown, unanswered, end = "", dict(ANSWERS), time.monotonic() + seconds
    try:
        while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # its last process has let go of it
                break
            if not part:
                break
            shown += part.decode(errors="replace")
            for question in [question for question in unanswered if question in shown]:
                os.write(terminal, unanswered.pop(question).encode() + b"\n")
        else:
            os.kill(process, 9)
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown


class QuickStart(kit.Case):
    def setUp(self):
        self.world = kit.World()
        self.addCleanup(self.world.close)
        world = self.world
        storage = world.path("storage")
        world.nacre("serve", storage, "--add-user", EXAMPLE_USER, client="server",
                    secret="secret of user")
        world.start_server()
        world.nacre("login", world.url, "--user", EXAMPLE_USER, client="other",
                    secret="secret of user")
        for name in ("Photos", "Work"):
            world.nacre("libraries", "create", name, client="other")
        world.nacre("libraries", "create", "Private", "--encrypted", client="other",
                    secret=kit.PASSWORD)

    def test_the_quick_start(self):
        (script,) = blocks("quick-start")
        self.assertIn(EXAMPLE_SERVER, script)
        environment = self.world.environment("a")
        environment["PATH"] = os.path.dirname(kit.NACRE) + ":" + environment["PATH"]
        where = os.path.join(environment["HOME"], "Seafile")
        status, shown = type_at_terminal(script.replace(EXAMPLE_SERVER, self.world.url),
                                         environment, 60)
        if kit.is_mounted(where):
            self.world.nacre("umount", where, client="a")
        self.assertEqual(status, 0, shown)
        self.assertIn("Photos Private Work", " ".join(shown.split()))
        for secret in ANSWERS.values():
            self.assertNotIn(secret, shown)

        other = self.world.mount("other", "--unlock", "Private", secret=kit.PASSWORD)
        self.assertEqual(kit.get(other.path("Private", "letter.txt")), b"See you on Friday.\n")


if __name__ == "__main__":
    kit.run()
