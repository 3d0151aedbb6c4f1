# SPDX-License-Identifier: Apache-2.0
"""The units that are shipped are ones that systemd takes: units_test.py SYSTEMD_DIR PROGRAM."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

folder, program = sys.argv[1:]
if not shutil.which("systemd-analyze"):
    print("skipped: no systemd-analyze")
    sys.exit(77)


def verify(top, *words):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *words], cwd=top, timeout=60,
                          env={**os.environ, "XDG_RUNTIME_DIR": top}, capture_output=True,
                          text=True, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines()
            if "nacre" in line or "srv-seafile" in line]
    if done.returncode != 0 or ours:
        sys.exit(f"{words}: exit status {done.returncode}\n{done.stdout}{done.stderr}")


with tempfile.TemporaryDirectory() as top:
    for name in ("srv-seafile.mount", "srv-seafile.automount"):
        shutil.copy(os.path.join(folder, name), top)
    shutil.copy(os.path.join(folder, "nacre-fusermount.socket"), top)
    for source, name in (("nacre@.service.in", "nacre@home.service"),
                         ("nacre-fusermount@.service.in", "nacre-fusermount@.service")):
        with open(os.path.join(folder, source), encoding="utf-8") as unit:
            text = unit.read().replace("@program@", program)
        with open(os.path.join(top, name), "w", encoding="utf-8") as unit:
            unit.write(text)
    verify(top, "--user", "./nacre@home.service", "./nacre-fusermount.socket")
    verify(top, "./srv-seafile.mount", "./srv-seafile.automount")

    # How exposed the daemons are.  systemd rates services only, and by settings that are the same
    # for mounts.
    with open(os.path.join(folder, "srv-seafile.mount"), encoding="utf-8") as unit:
        settings = re.sub(r"^\[Mount\]\n(\w+=.*\n)*", "[Service]\nExecStart=/bin/true\n",
                          unit.read(), flags=re.MULTILINE)
    with open(os.path.join(top, "rated.service"), "w", encoding="utf-8") as unit:
        unit.write(settings)
    for most, name in (("50", "rated.service"), ("30", "nacre@home.service")):
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                               f"--threshold={most}", f"./{name}"], cwd=top, timeout=60,
                              text=True, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"exposed: {done.stdout}{done.stderr}")
