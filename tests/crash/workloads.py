# SPDX-License-Identifier: Apache-2.0
"""What runs on the mount: each workload in a process and a folder of its own.

A workload tells of every operation before it begins and when it has ended, through
a pipe; it ends when the daemon is gone, or when it is told to.
"""

import errno
import json
import os
import signal
import sys
import time
import traceback

import model
from contents import NAME_MARK, content

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import kit  # noqa: E402 pylint: disable=wrong-import-position

MOST_FILES = 24


class DaemonGone(Exception):
    pass


def is_gone(where):
    """statfs always asks the daemon."""
    try:
        os.statvfs(where)
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


class Workload:
    """One process's work below `where`/`folder`; `pace` has it pause now and then."""

    def __init__(self, where, folder, state, rng, pace, pipe):
        self.where, self.folder, self.rng, self.pace, self.pipe = where, folder, rng, pace, pipe
        self.state = dict(state)
        self.stop = False
        self.made = 0

    def tell(self, kind, what=None):
        os.write(self.pipe, json.dumps([kind, time.monotonic(), what]).encode() + b"\n")

    def path(self, name):
        return os.path.join(self.where, name)

    def do(self, op, act=None):
        """One operation, told of; `act` does what this class does not know how to."""
        self.tell("begin", op)
        try:
            if act is not None:
                act()
            else:
                self.act(op)
        except Exception as error:
            if is_gone(self.where):
                raise DaemonGone from error
            raise
        self.tell("end")
        self.state = model.apply(self.state, op)

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stop", True))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        try:
            if self.folder not in self.state:
                self.do(["mkdir", self.folder])
            while not self.stop:
                self.pace()
                self.step()
        except DaemonGone:
            pass
        except Exception:  # pylint: disable=broad-except
            # Where a program was run, the daemon may be gone by now.
            if not is_gone(self.where):
                self.tell("failure", traceback.format_exc()[-2000:])

    def step(self):
        raise NotImplementedError

    # --- what to work on ---

    def fresh_name(self):
        self.made += 1
        return f"{NAME_MARK} {self.made}-{self.rng.randrange(10 ** 6)}"

    def spec(self):
        length = self.rng.choice((0, 1, 100, 4096, 5000, 20000, 20000, 150_000, 300_000))
        return [f"{self.folder[:8]}{self.rng.randrange(10 ** 9)}",
                self.rng.randrange(length + 1) if length > 1 else length]

    def below(self, directories, top=None):
        """Paths of the directories, or of the files, below the workload's folder."""
        top = (top or self.folder) + "/"
        return [path for path, entry in sorted(self.state.items())
                if path.startswith(top) and (entry == model.DIRECTORY) == directories]

    def fresh_path(self):
        folders = [self.folder, *self.below(directories=True)]
        return self.rng.choice(folders) + "/" + self.fresh_name()

    # --- the operations of model.py ---

    def act(self, op):
        getattr(self, "do_" + op[0])(*op[1:])

    def write(self, path, flags, spec, at=0):
        fd = os.open(self.path(path), os.O_WRONLY | flags, 0o666)
        try:
            data = content(*spec)
            for piece in range(0, len(data), 65536):
                os.pwrite(fd, data[piece:piece + 65536], at + piece)
        finally:
            os.close(fd)

    def do_mkdir(self, path):
        os.mkdir(self.path(path))

    def do_rmdir(self, path):
        os.rmdir(self.path(path))

    def do_unlink(self, path):
        os.unlink(self.path(path))

    def do_rename(self, old, new):
        os.rename(self.path(old), self.path(new))

    def do_exchange(self, old, new):
        kit.renameat2(self.path(old), self.path(new), kit.RENAME_EXCHANGE)

    def do_chmod(self, path, executable):
        os.chmod(self.path(path), 0o755 if executable else 0o644)

    def do_truncate(self, path, size):
        os.truncate(self.path(path), size)

    def do_create(self, path, spec):
        self.write(path, os.O_CREAT | os.O_EXCL, spec)

    def do_rewrite(self, path, spec):
        self.write(path, os.O_TRUNC, spec)

    def do_patch(self, path, at, spec):
        self.write(path, 0, spec, at)

    def do_fsyncdir(self, path):
        fd = os.open(self.path(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Files(Workload):
    """Many small files: made, written anew in each way that programs do it, removed."""

    def step(self):
        files, rng = self.below(directories=False), self.rng
        if len(files) < 4 or (len(files) < MOST_FILES and rng.random() < 0.3):
            self.do(["create", self.fresh_path(), self.spec()])
            return
        path = rng.choice(files)
        size = len(self.state[path].data)
        kind = rng.choices(("replace", "rewrite", "unlink", "patch", "truncate", "chmod", "mkdir",
                            "rmdir", "fsync"), (8, 6, 4, 3, 2, 2, 1, 1, 1))[0]
        if kind == "replace":
            self.replace(path)
        elif kind == "rewrite":
            self.do(["rewrite", path, self.spec()])
        elif kind == "unlink":
            self.do(["unlink", path])
        elif kind == "patch":
            spec = self.spec()
            at = rng.randrange(size + 1)
            spec[1] = min(spec[1], size - at, 8192)
            self.do(["patch", path, at, spec])
        elif kind == "truncate":
            self.do(["truncate", path, rng.randrange(size + 1) + rng.choice((0, 0, 5000))])
        elif kind == "chmod":
            self.do(["chmod", path, not self.state[path].executable])
        elif kind == "mkdir":
            if len(self.below(directories=True)) < 5:
                self.do(["mkdir", self.folder + "/" + self.fresh_name()])
        elif kind == "rmdir":
            self.remove_empty()
        else:
            self.do(["fsyncdir", self.folder])

    def replace(self, path):
        """As careful programs do: a new file, then its name over the old one."""
        new = path + ".new"
        if new in self.state:  # the last kill left it
            self.do(["unlink", new])
        self.do(["create", new, self.spec()])
        if self.rng.random() < 0.3:
            self.do(["fsync", new], lambda: self.do_fsync_closed(new))
        self.do(["rename", new, path])

    def do_fsync_closed(self, path):
        fd = os.open(self.path(path), os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def remove_empty(self):
        for path in self.below(directories=True):
            if not any(other.startswith(path + "/") for other in self.state):
                self.do(["rmdir", path])
                return


class Log(Workload):
    """One growing file that stays open, with fsync now and then; and its rotation."""

    def step(self):
        path = self.folder + "/" + NAME_MARK + ".log"
        entry = self.state.get(path)
        if entry and len(entry.data) > 400_000:
            self.do(["rename", path, path + ".1"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = []
        self.do(["open", path], lambda: opened.append(os.open(self.path(path), flags, 0o666)))
        try:
            for _ in range(self.rng.randrange(1, 30)):
                if self.stop:
                    break
                self.pace()
                spec = self.spec()
                spec[1] = min(spec[1], 30_000)
                self.do(["append", path, spec],
                        lambda data=content(*spec): os.write(opened[0], data))
                if self.rng.random() < 0.2:
                    self.do(["fsync", path], lambda: os.fsync(opened[0]))
        except BaseException:
            try:
                os.close(opened[0])
            except OSError:
                pass  # the daemon is gone, or another failure is on its way up
            raise
        self.do(["close", path], lambda: os.close(opened[0]))


class Renames(Workload):
    """A storm of renames of files and folders, over others and in exchange."""

    def step(self):
        rng = self.rng
        files, folders = self.below(directories=False), self.below(directories=True)
        if len(folders) < 3:
            self.do(["mkdir", self.fresh_path()])
            return
        if len(files) < 6:
            self.do(["create", self.fresh_path(), self.spec()])
            return
        kind = rng.choices(("file", "over", "folder", "over empty", "exchange", "unlink"),
                           (4, 4, 4, 1, 3, 1))[0]
        one, two = rng.sample(files, 2)
        if kind == "file":
            self.do(["rename", one, self.fresh_path()])
        elif kind == "over":
            self.do(["rename", one, two])
        elif kind == "unlink":
            self.do(["unlink", one])
        elif kind == "exchange":
            one, two = rng.sample(files + folders, 2)
            if not (one.startswith(two + "/") or two.startswith(one + "/")):
                self.do(["exchange", one, two])
        else:
            self.rename_folder(rng.choice(folders), over=kind == "over empty")

    def rename_folder(self, old, over):
        parents = [path for path in [self.folder, *self.below(directories=True)]
                   if not (path + "/").startswith(old + "/")]
        new = self.rng.choice(parents) + "/" + self.fresh_name()
        if new.count("/") > 6:
            new = self.folder + "/" + self.fresh_name()
        if over:
            self.do(["mkdir", new])
        self.do(["rename", old, new])
