# SPDX-License-Identifier: Apache-2.0
"""What a folder of the mount may look like after a kill or a power cut.

A state maps paths to DIRECTORY or to a file as it may be found.  Each worker has
a history: its operations in order, with the times between which each took effect.
Operations are lists, as they travel through a pipe as JSON; a `spec` is [tag, length],
arguments of contents.content:

    mkdir P | rmdir P | unlink P | rename P P | exchange P P | chmod P BOOL | truncate P N
    create P SPEC      a new file, written and closed
    rewrite P SPEC     an old one, opened with O_TRUNC, written and closed
    patch P AT SPEC    some bytes of an old one, written and closed
    open P | append P SPEC | fsync P | close P      a file that stays open
    fsyncdir P
"""

import dataclasses
import math

from contents import content

DIRECTORY = "directory"
PAGE = 4096
SYNCING = ("fsync", "fsyncdir", "transaction")  # what ended before these began is on the disk


@dataclasses.dataclass(frozen=True)
class File:
    """One that is exactly so; or, while it is open, at least its first `sure` bytes.

    An `unclosed` one was made by an open, and neither closed nor synced since: it may be absent."""
    data: bytes
    executable: bool = False
    sure: int | None = None
    unclosed: bool = False

    def allows(self, data):
        if self.sure is None:
            return data == self.data
        return len(data) >= self.sure and self.data.startswith(data)


@dataclasses.dataclass(frozen=True)
class Patched:
    """One that is being overwritten in place: each of its pages is old or new."""
    data: bytes
    old: bytes
    executable: bool = False

    def allows(self, data):
        return len(data) == len(self.data) and all(
            data[at:at + PAGE] in (self.data[at:at + PAGE], self.old[at:at + PAGE])
            for at in range(0, len(data), PAGE))


def move(state, old, new):
    """`state` with `old` and all below it at `new`, and what was there gone."""
    moved = {}
    for path, entry in state.items():
        if path == old or path.startswith(old + "/"):
            moved[new + path[len(old):]] = entry
        elif path != new:
            moved.setdefault(path, entry)
    return moved


def _patch(data, at, new):
    return data[:at] + new + data[at + len(new):]


def apply(state, op):
    """The state when `op` is over."""
    kind, path = op[0], op[1] if len(op) > 1 else None
    if kind == "rename":
        return move(state, path, op[2])
    if kind == "exchange":
        return move(move(move(state, path, "\0"), op[2], path), "\0", op[2])
    state = dict(state)
    entry = state.get(path)
    if kind == "mkdir":
        state[path] = DIRECTORY
    elif kind in ("rmdir", "unlink"):
        del state[path]
    elif kind == "create":
        state[path] = File(content(*op[2]))
    elif kind == "rewrite":
        state[path] = File(content(*op[2]), entry.executable)
    elif kind == "patch":
        state[path] = File(_patch(entry.data, op[2], content(*op[3])), entry.executable)
    elif kind == "chmod":
        state[path] = dataclasses.replace(entry, executable=op[2])
    elif kind == "truncate":
        data = entry.data[:op[2]]
        state[path] = File(data + bytes(op[2] - len(data)), entry.executable)
    elif kind == "open":
        state[path] = File(entry.data, entry.executable, len(entry.data)) if entry \
            else File(b"", False, 0, unclosed=True)
    elif kind == "append":
        state[path] = dataclasses.replace(entry, data=entry.data + content(*op[2]))
    elif kind == "fsync":
        state[path] = File(entry.data, entry.executable, len(entry.data))
    elif kind == "close":
        state[path] = File(entry.data, entry.executable)
    elif kind not in ("fsyncdir", "transaction", "init", "commit"):
        raise ValueError(f"not an operation: {op}")
    return state


def meanwhile(state, op):
    """The states that may be found while `op` is under way, besides those before and after it."""
    kind, path = op[0], op[1] if len(op) > 1 else None
    if kind in ("create", "rewrite"):
        executable = path in state and state[path].executable
        return [{**state, path: File(content(*op[2]), executable, 0)}]
    if kind == "patch":
        old = state[path]
        new = _patch(old.data, op[2], content(*op[3]))
        return [{**state, path: Patched(new, old.data, old.executable)}]
    return []


def difference(state, observed):
    """None, or what of `observed` (path: DIRECTORY or (bytes, executable)) is not as in `state`."""
    for path in sorted(state.keys() | observed.keys()):
        want, got = state.get(path), observed.get(path)
        if want is None:
            return f"{path}: is there, and should not be"
        if got is None and isinstance(want, File) and want.unclosed:
            continue
        if got is None:
            return f"{path}: is not there"
        if (want == DIRECTORY) != (got == DIRECTORY):
            return f"{path}: a directory instead of a file, or the other way round"
        if want == DIRECTORY:
            continue
        data, executable = got
        if not want.allows(data):
            return f"{path}: {describe(data)} instead of {describe(want.data)}"
        if executable != want.executable:
            return f"{path}: executable is {executable}"
    return None


def describe(data):
    return f"{len(data)} bytes {data[20:52]!r}… (zeros: {data.count(0)})"


@dataclasses.dataclass
class Step:
    op: list
    begin: float
    end: float = math.inf


class History:
    """What one worker did since the last check, from the state that was found then."""

    def __init__(self, state):
        self.start = state
        self.steps = []
        self.failure = None  # of an operation, while the daemon was alive

    def note(self, report):
        kind, when, what = report
        if kind == "begin":
            self.steps.append(Step(what, when))
        elif kind == "end":
            self.steps[-1].end = when
        else:
            self.failure = what

    def ended(self):
        return sum(step.end < math.inf for step in self.steps)

    def least(self, kept_until):
        """How many steps must be there when all that ended before `kept_until` must."""
        return sum(step.end < kept_until for step in self.steps)

    def moment(self, count, partly=False):
        """When the first `count` steps were there and no further one; `partly`: and some of it."""
        included = count + partly
        begin = self.steps[included - 1].begin if included > 0 else -math.inf
        return begin, self.steps[count].end if count < len(self.steps) else math.inf

    def moments(self, observed, kept_until):
        """The intervals of time at which `observed` was the state; none: why not."""
        state, least, found, why = self.start, self.least(kept_until), [], None
        for count in range(len(self.steps) + 1):
            if count >= least:
                wrong = difference(state, observed)
                if not wrong:
                    found.append(self.moment(count))
                elif why is None or count <= self.ended():
                    why = wrong
            if count == len(self.steps):
                break
            op = self.steps[count].op
            if count >= least and any(not difference(middle, observed)
                                      for middle in meanwhile(state, op)):
                found.append(self.moment(count, partly=True))
            state = apply(state, op)
        return found, None if found else why


def synced_until(histories):
    """What ended before this time is on the disk."""
    return max((step.begin for history in histories for step in history.steps
                if step.op[0] in SYNCING and step.end < math.inf), default=-math.inf)


def common_moment(all_moments, not_before):
    """Whether there is one moment, at or after `not_before`, in an interval of each."""
    candidates = [not_before] + [begin for moments in all_moments for begin, _ in moments]
    return any(when >= not_before and all(any(begin <= when <= end for begin, end in moments)
                                          for moments in all_moments)
               for when in candidates)
