# SPDX-License-Identifier: Apache-2.0
"""pjdfstest: where it is, what it says, and what of that is expected."""

import os
import re
import shutil

EXPECTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pjdfstest.expected")


def find():
    """The folder of groups of *.t, or None: $PJDFSTEST, else beside the program on PATH."""
    places = [os.environ["PJDFSTEST"]] if os.environ.get("PJDFSTEST") else []
    if program := shutil.which("pjdfstest"):
        places.append(os.path.dirname(os.path.realpath(program)))
    for place in places:
        for folder in (place, os.path.join(place, "tests")):
            if groups(folder):
                return folder
    return None


def groups(folder):
    """The names of the folders below it that hold scripts."""
    if not os.path.isdir(folder):
        return []
    return sorted(name for name in os.listdir(folder) if scripts(folder, name))


def scripts(folder, group):
    place = os.path.join(folder, group)
    if not os.path.isdir(place):
        return []
    return [os.path.join(place, name) for name in sorted(os.listdir(place))
            if name.endswith(".t")]


class Results:
    """What a script said: the tests that passed, and what is known of those that did not."""

    def __init__(self):
        self.passed, self.failed = set(), {}


def read_tap(text):
    """Tests that were planned and never ran have failed; a failing TODO has not."""
    results, planned = Results(), None
    for line in text.splitlines():
        if plan := re.match(r"1\.\.(\d+)", line):
            planned = int(plan[1])
        elif said := re.match(r"(not )?ok (\d+)(.*)", line):
            number = int(said[2])
            if said[1] and "# TODO" not in said[3]:
                results.failed[number] = said[3].strip(" -") or "no details"
            else:
                results.passed.add(number)
    if planned is None:
        results.failed[0] = "no plan: the script did not run\n" + text[-1000:]
    for number in range(1, (planned or 0) + 1):
        if number not in results.failed and number not in results.passed:
            results.failed[number] = "did not run"
    return results


class Expected:
    """The list of what fails, and why.

    A line is a group or a script and `left out: REASON`; or a script, the numbers of its tests
    (`3`, `5-9`, with commas between), and the reason.  A line that begins with a
    blank continues the one before.
    """

    def __init__(self, path=EXPECTED):
        self.left_out, self.failures = {}, {}
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"\n[ \t]+", " ", file.read())
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            name, what, reason = (line.split(None, 2) + ["", ""])[:3]
            if not reason:
                raise ValueError(f"{path}: no reason: {line}")
            if line.split(None, 1)[1].startswith("left out: "):
                self.left_out[name] = line.split(": ", 1)[1]
                continue
            numbers = self.failures.setdefault(name, {})
            for part in what.split(","):
                first, _, last = part.partition("-")
                for number in range(int(first), int(last or first) + 1):
                    numbers[number] = reason

    def differences(self, script, results):
        """What failed without being expected, and what was expected and did not fail."""
        numbers = self.failures.get(script, {})
        wrong = [f"{number}: {why}" for number, why in sorted(results.failed.items())
                 if number not in numbers]
        wrong += [f"{number}: passes, and is expected to fail: {why}"
                  for number, why in sorted(numbers.items()) if number not in results.failed]
        return wrong
