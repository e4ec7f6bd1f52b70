"""The lock that keeps a second process out of a data folder.

The operating system holds it for an open file, so it ends with its process however that ends. The file tells others who
holds it; what it says counts only while it is locked. The file stays when the lock is released: removing it would let
two processes lock two files of the same name.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["FolderLock", "Holder", "HolderKind"]

HolderKind = Literal["server", "command"]

_RECORD_LIMIT = 4_096
_WINDOWS_POSITION = 1 << 30
"""Where the locked byte lies on Windows, which keeps others from reading what is locked: far behind the record."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    kind: HolderKind
    pid: int
    url: str = ""
    """Where a server listens; empty before it does, and when another program has mounted it."""
    command: str = ""

    def __str__(self) -> str:
        if self.kind == "command":
            return f"the command {self.command!r} (process {self.pid})"
        return f"the server at {self.url} (process {self.pid})" if self.url else f"a server (process {self.pid})"


class FolderLock:
    """An exclusive lock on a file, made for its owner alone. Neither threads nor processes share a held lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False when someone else has it. Raises OSError, also when the file system knows no locks."""
        if self._file is not None:
            raise RuntimeError("the lock is held already")
        # Python opens files so that programs it starts do not inherit them: none of those can keep the lock.
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            locked = _lock(file)
        except BaseException:
            os.close(file)
            raise
        if not locked:
            os.close(file)
            return False
        self._file = file
        return True

    def describe(self, holder: Holder) -> None:
        """Tell others who holds the lock."""
        self._write(json.dumps({"kind": holder.kind, "pid": holder.pid, "url": holder.url, "command": holder.command}))

    def holder(self) -> Holder | None:
        """Who says to hold the lock; None when the file says nothing usable or names a process that is gone."""
        try:
            with self.path.open("rb") as file:
                record = json.loads(file.read(_RECORD_LIMIT))
            holder = _make_holder(record)
        except (OSError, ValueError, RecursionError):
            return None
        return holder if holder is not None and _may_run(holder.pid) else None

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        file = self._file
        if file is None:
            return
        try:
            # A disk that went away takes the record with it; the lock has to go all the same.
            with contextlib.suppress(OSError):
                self._write("")
            # Said aloud, because a fork of this process would keep the lock beyond the closing.
            with contextlib.suppress(OSError):
                _unlock(file)
        finally:
            self._file = None
            os.close(file)

    def _write(self, text: str) -> None:
        if self._file is None:
            raise RuntimeError("the lock is not held")
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, text.encode())


def _make_holder(record: Any) -> Holder | None:
    if not isinstance(record, dict):
        return None
    kind, pid, url, command = (record.get(name) for name in ("kind", "pid", "url", "command"))
    if kind not in ("server", "command") or type(pid) is not int or pid < 1:
        return None
    if not (isinstance(url, str) and isinstance(command, str)):
        return None
    return Holder(kind, pid, url, command)


def _may_run(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 would be sent as an interrupt
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _lock(file: int) -> bool:
    if os.name == "nt":
        return _lock_on_windows(file, unlock=False)
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    if os.name == "nt":
        _lock_on_windows(file, unlock=True)
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)


def _lock_on_windows(file: int, *, unlock: bool) -> bool:
    # Looked up by name: the module exists on Windows only, and so do its declarations.
    import importlib

    msvcrt: Any = importlib.import_module("msvcrt")
    os.lseek(file, _WINDOWS_POSITION, os.SEEK_SET)
    try:
        msvcrt.locking(file, msvcrt.LK_UNLCK if unlock else msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    return True
