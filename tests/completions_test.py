# SPDX-License-Identifier: Apache-2.0
"""What shells complete: completions_test.py PROGRAM."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)

# Completes the words it is given, the last of them to where the cursor is, as readline does.
BASH = r"""
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
compopt() { :; }  # only within readline
$(complete -p nacre | sed 's/.*-F \([^ ]*\) .*/\1/') nacre "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"
"""


class Shell(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="nacre-completions-")
        cls.addClassCleanup(shutil.rmtree, cls.top)
        os.makedirs(os.path.join(cls.top, ".config/nacre/accounts"))
        for name in ("home", "home.token", "work", "work.token"):
            with open(os.path.join(cls.top, ".config/nacre/accounts", name), "w",
                      encoding="utf-8"):
                pass
        os.makedirs(os.path.join(cls.top, "some folder"))
        with open(os.path.join(cls.top, "some.pem"), "w", encoding="utf-8"):
            pass
        for shell, name in (("bash", "nacre"), ("zsh", "_nacre"), ("fish", "nacre.fish")):
            script = subprocess.run([PROGRAM, "completions", shell], check=True, timeout=20,
                                    capture_output=True).stdout
            with open(os.path.join(cls.top, name), "wb") as file:
                file.write(script)

    def run_shell(self, *words):
        if not shutil.which(words[0]):
            self.skipTest(f"no {words[0]}")
        environment = {**os.environ, "HOME": self.top, "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        environment.pop("XDG_CONFIG_HOME", None)
        done = subprocess.run(words, cwd=self.top, env=environment, timeout=30, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return [line for line in done.stdout.splitlines() if line]

    # Each asks: what the words complete to.  `has` is in it, `lacks` is not.
    CASES = (
        (["nacre", ""], ["login", "libraries", "mount", "completions"], ["create", "--help"]),
        (["nacre", "l"], ["login", "logout", "libraries", "lock"], ["mount"]),
        (["nacre", "libraries", ""], ["create"], ["login"]),
        (["nacre", "libraries", "--"], ["--account", "--json"], ["--encrypted", "--user"]),
        (["nacre", "libraries", "create", "--"], ["--encrypted", "--account"], ["--json"]),
        (["nacre", "mount", "--fsync", ""], ["local", "remote"], ["home", "some folder"]),
        (["nacre", "login", "--ca-file", "some"], ["some.pem"], []),
        (["nacre", "mount", "--cache-dir", "some"], ["some folder"], ["some.pem"]),
        (["nacre", "mount", ""], ["home", "work", "some folder"], ["home.token", "some.pem"]),
        (["nacre", "mount", "home", "so"], ["some folder"], ["some.pem"]),
        (["nacre", "umount", "--timeout", "5", "so"], ["some folder"], ["some.pem"]),
        (["nacre", "libraries", "--account", ""], ["home", "work"], ["home.token"]),
        (["nacre", "why", "some"], ["some.pem", "some folder"], []),
        (["nacre", "logout", "h"], ["home"], ["work"]),
        (["nacre", "completions", ""], ["bash", "zsh", "fish"], []),
    )

    def check(self, complete):
        for words, has, lacks in self.CASES:
            with self.subTest(words=words):
                found = complete(words)
                for word in has:
                    self.assertIn(word, found)
                for word in lacks:
                    self.assertNotIn(word, found)

    def test_bash(self):
        self.check(lambda words: self.run_shell(
            "bash", "--norc", "-c", BASH, "bash", "nacre", *words))

    def test_bash_cuts_words_at_colons_and_equals_signs(self):
        def complete(*words):
            return self.run_shell("bash", "--norc", "-c", BASH, "bash", "nacre", "nacre", *words)

        self.assertIn("some folder", complete("mount", "dir", ":", "so"))
        self.assertIn("some folder", complete("mount", "dir", ":", "/x", "so"))
        self.assertEqual(complete("mount", "dir", ":", "/x", "/mnt", "so"), [])
        self.assertIn("remote", complete("mount", "--fsync", "="))
        self.assertIn("remote", complete("mount", "--fsync", "=", "r"))

    def test_fish(self):
        def complete(words):
            lines = self.run_shell("fish", "--no-config", "-c",
                                   "source nacre.fish; complete -C $argv[1]",
                                   " ".join(words))
            return [line.split("\t")[0].rstrip("/").replace("\\ ", " ") for line in lines]

        self.check(complete)

    def test_zsh_takes_it(self):
        self.run_shell("zsh", "-n", "_nacre")
        # It defines itself for nacre, and a function for each command.
        found = self.run_shell(
            "zsh", "-fc", "fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; "
            "print $_comps[nacre]; source ./_nacre; print -l ${(k)functions[(I)_nacre*]}")
        self.assertEqual(found[0], "_nacre")
        self.assertIn("_nacre_libraries_create", found)


if __name__ == "__main__":
    unittest.main(verbosity=2)
