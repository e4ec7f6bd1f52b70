"""Process trees: finding all of one, weighing it, ending it. Everything that differs between systems is here.

On Linux a supervisor makes itself the reaper of its descendants, so whatever its program starts, forks twice or moves
to a session of its own stays below it and is found by walking down; once it has no child left, nothing is left. Where
that does not exist (macOS), the process table of `ps` is searched for descendants and for the program's process group;
a program that forks twice and also changes its session can escape there.

Runs in the launcher and its children: standard library only, and nothing that is missing on some system is imported
before it is needed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "ADOPTS",
    "catch_signals",
    "end_group",
    "end_processes",
    "members",
    "prepare_adoption",
    "reap",
    "soften",
    "weigh",
]

_LINUX = sys.platform.startswith("linux")
ADOPTS = _LINUX
"""Whether a process can become the parent of the orphans below it, so that "no child left" means "nothing left"."""
_PR_SET_CHILD_SUBREAPER = 36
_PS_SECONDS = 5.0


def prepare_adoption() -> Callable[[], None]:
    """A function that makes the calling process the parent of orphans below it; forked children must call it again.

    To be called once, before any fork, since loading takes milliseconds. The function does nothing where `ADOPTS` is
    false, and raises OSError when the system refuses.
    """
    if not ADOPTS:
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    zero = ctypes.c_ulong(0)

    def adopt() -> None:
        if prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), zero, zero, zero) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return adopt


def catch_signals() -> int:
    """Makes this process outlive terminal and service signals, and tells of ended children through a pipe.

    The signals are caught rather than ignored because programs started from here would inherit "ignored", and blocked
    ones are unblocked for the same reason. Returns the non-blocking reading end of the pipe.
    """

    def nothing(_number: int, _frame: object) -> None:
        pass

    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for name in ("SIGCHLD", "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        signal.signal(getattr(signal, name), nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reading


def soften() -> None:
    """No core dumps from here on, and when memory runs out these processes go before the server does."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _LINUX:
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("500")
        except OSError:
            # Some containers keep this file read-only; it is a preference and not a condition.
            pass


def reap() -> dict[int, int] | None:
    """Exit codes (negative: the signal) by process id of all children that have ended; None when no child is left."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def members(root: int, group: int | None = None) -> Iterator[int]:
    """Ids of all processes below `root`, parents before children; without `ADOPTS` also those of `group`.

    They come as they are found, so that a caller can act on the first ones while more are being made.
    """
    if not _LINUX:
        yield from _members_by_ps(root, group)
    elif os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"):
        yield from _members_by_children(root)
    else:
        # The kernel was built without these lists.
        yield from _members_by_table({pid: _parent(pid) for pid in _all_processes()}, root)


def _members_by_children(root: int) -> Iterator[int]:
    waiting = [root]
    known = {root}
    while waiting:
        pid = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for task in tasks:
            try:
                with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                    children = [int(child) for child in file.readall().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            for child in children:
                if child not in known:
                    known.add(child)
                    waiting.append(child)
                    yield child


def _all_processes() -> Iterable[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            # The name before the last parenthesis may hold anything.
            return int(file.read(1024).rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _members_by_table(parents: dict[int, int], root: int, more: Iterable[int] = ()) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [pid for pid in more if pid != root]
    waiting = [root, *found]
    known = set(waiting)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in known:
                known.add(child)
                found.append(child)
                waiting.append(child)
    return found


def _ps(*columns: str) -> list[list[int]]:
    """Rows of numbers, the process id first; without the row of `ps` itself."""
    arguments = ["ps", "-A", *(part for column in ("pid", *columns) for part in ("-o", column + "="))]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=_PS_SECONDS)
    if process.returncode != 0:
        raise OSError(f"ps ended with exit code {process.returncode}")
    rows = ([int(field) for field in line.split()] for line in output.splitlines())
    return [row for row in rows if row[0] != process.pid]


def _members_by_ps(root: int, group: int | None) -> list[int]:
    rows = _ps("ppid", "pgid")
    in_group = [pid for pid, _, pgid in rows if pgid == group]
    return _members_by_table({pid: parent for pid, parent, _ in rows}, root, in_group)


def weigh(pids: Iterable[int]) -> int:
    """Resident memory of the processes together, in bytes; on Linux pages that may be shared count once."""
    if not _LINUX:
        wanted = set(pids)
        return 1024 * sum(size for pid, size in _ps("rss") if pid in wanted)
    own, shared = 0, 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
                fields = file.read(256).split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        own += int(fields[1]) - int(fields[2])
        shared = max(shared, int(fields[2]))
    return (own + shared) * os.sysconf("SC_PAGE_SIZE")


def end_group(group: int) -> None:
    """Kills a process group in one step; the caller has not reaped its leader yet, so the id is not somebody else's."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # PermissionError: macOS says so of groups in which only zombies are left.
        pass


def end_processes(pids: Iterable[int]) -> int:
    """Kills each process as it comes, and tells how many there were.

    One that has gone, or has become somebody else's by a setuid program, is passed over.
    """
    count = 0
    for pid in pids:
        count += 1
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    return count
