# SPDX-License-Identifier: Apache-2.0
"""Fresh trees of Debian in which the package is tried.

debootstrap makes them, from where this machine's apt gets its packages, and they are kept in the
build folder for the next run.  What happens in one is in a copy-on-write layer of its own.
"""

import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class CannotHost(Exception):
    """What this machine lacks."""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def need_root_and_programs(*programs):
    if os.geteuid() != 0:
        raise CannotHost("it needs root: namespaces, devices and another tree as /")
    for program in programs:
        if not shutil.which(program):
            raise CannotHost(f"there is no {program}")


def need_namespaces():
    done = subprocess.run(["unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net",
                           "--cgroup", "mount", "--make-rprivate", "/"],
                          check=False, timeout=20, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotHost(f"no namespaces of its own: {done.stderr.strip()}")


def need_filesystem(name, module=None):
    def known():
        with open("/proc/filesystems", encoding="utf-8") as file:
            return any(line.split()[-1] == name for line in file)

    if not known():
        subprocess.run(["modprobe", "-q", module or name], check=False)
    if not known():
        raise CannotHost(f"the kernel has no {name}")


def output_of(*command):
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


def codename():
    with open("/etc/os-release", encoding="utf-8") as file:
        fields = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    if fields.get("ID") != "debian":
        raise CannotHost("this is not Debian, and there is no mirror to ask for one")
    return fields["VERSION_CODENAME"]


def sources():
    """Of Debian, as this machine's apt knows them: (address, distribution) of each."""
    lines = output_of("apt-get", "indextargets", "--format",
                      "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)", "Created-By: Packages")
    found = [line.split() for line in lines.splitlines()]
    found = [(words[0], words[1]) for words in found if words[2:] == ["main", "Debian"]]
    if codename() not in (distribution for _, distribution in found):
        raise CannotHost("apt knows no mirror of Debian here; apt-get update tells why")
    return found


def base(folder, name, packages):
    """The tree of this name with these packages, and what they depend on."""
    tree = os.path.join(folder, name)
    stamp = os.path.join(folder, name + ".made")
    wanted = f"{codename()} {' '.join(packages)}\n"
    if os.path.exists(stamp) and read(stamp) == wanted:
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    known = sources()
    mirror = next(address for address, distribution in known if distribution == codename())
    log = os.path.join(folder, name + ".log")
    include = ["--include=" + ",".join(packages)] if packages else []
    print(f"debootstrap: {tree} (this takes minutes, once)", flush=True)
    with open(log, "wb") as file:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", *include, codename(), tree, mirror],
            stdout=file, stderr=file, timeout=3600, check=False)
    if done.returncode != 0:
        raise CannotHost(f"debootstrap failed; see {log}")
    write(os.path.join(tree, "etc/apt/sources.list"),
          "".join(f"deb {address} {distribution} main\n" for address, distribution in known))
    write(stamp, wanted)
    return tree


def enter(tree, changes, *command, cgroup=None):
    """The command line that runs `command` in the tree, as the first process of its namespaces.

    With a control group it is all of the tree's control groups, and the network is a new one.
    """
    script = [os.path.join(HERE, "enter.sh"), tree, changes, *command]
    flags = ["--pid", "--mount", "--uts", "--ipc"]
    if cgroup:
        flags.append("--net")
        script = ["sh", "-c", 'echo 0 > "$0"/cgroup.procs && CGROUP=1 exec unshare --cgroup "$@"',
                  cgroup,
                  *script]
    return ["unshare", "--fork", "--kill-child", *flags, *script]


def install(tree, changes, package, folder):
    """The package and what it depends on, as `apt install ./FILE` does it."""
    place = os.path.join(changes, "changes/root")
    os.makedirs(place, mode=0o700)
    shutil.copy(package, place)
    os.makedirs(os.path.join(changes, "changes/etc"))
    shutil.copy("/etc/resolv.conf", os.path.join(changes, "changes/etc/resolv.conf"))
    run(enter(tree, changes, "sh", "-ec",
              "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "
              "--no-install-recommends ./root/" + os.path.basename(package)), folder)


def run(command, folder, timeout=600):
    done = subprocess.run(command, cwd=folder, timeout=timeout, check=False, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def built_package(build, place):
    """Built from what is in the build folder, in a new folder of `place`."""
    place = os.path.join(place, "package")
    run(["cpack", "-G", "DEB", "--config", os.path.join(build, "CPackConfig.cmake"), "-B", place],
        build)
    (name,) = [name for name in os.listdir(place) if name.endswith(".deb")]
    return os.path.join(place, name)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def end_on_signals():
    """Signals that end this program have its finally clauses run first."""
    def end(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
