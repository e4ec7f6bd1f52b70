"""One run, seen from the process above it: starts the program, keeps its output's end, enforces limits, cleans up.

Each run has a supervisor of its own, a fork of the launcher, because only then is it certain which run an orphan
belongs to when several are under way: everything below this process is the run. One loop without threads; standard
library only.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from typing import Any

from litewrite.executor import groups, wire

__all__ = ["Supervisor", "Tail", "empty", "refuse"]

_READ = 64 * 1024
_WATCH_SECONDS = 0.025
_WATCH_SHARE = 10
_KILL_SECONDS = 5.0
_DRAIN_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
_TIMED_OUT = 124
_KILLED = 128 + 9
_NOT_RUN = 1


class Tail:
    """The last `size` bytes of a stream of any length; holds at most twice as many, and for a moment one read more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._data = bytearray()
        self.cut = False

    def feed(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * self._size:
            self._trim()

    def take(self) -> bytes:
        """What is kept; `cut` then tells whether something before it is missing."""
        self._trim()
        return bytes(self._data)

    def _trim(self) -> None:
        surplus = len(self._data) - self._size
        if surplus > 0:
            del self._data[:surplus]
            self.cut = True


def empty(reading: int) -> None:
    """Takes everything out of the non-blocking pipe that `groups.catch_signals` returned."""
    try:
        while os.read(reading, 4096):
            pass
    except BlockingIOError:
        pass


def refuse(conn: socket.socket, reason: str) -> None:
    """Answers that the program was not run."""
    _answer(conn, {"exit_code": _NOT_RUN, "duration": 0.0, "timed_out": False, "reason": reason}, Tail(0), Tail(0))


def _answer(conn: socket.socket, header: dict[str, object], stdout: Tail, stderr: Tail) -> None:
    out, err = stdout.take(), stderr.take()
    message = wire.pack_answer({**header, "stdout_cut": stdout.cut, "stderr_cut": stderr.cut}, out, err)
    conn.settimeout(_ANSWER_SECONDS)
    try:
        conn.sendall(message)
        conn.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        # Nobody waits for the answer any more.
        pass


def _receive(conn: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = conn.recv(min(count - len(parts), 1024 * 1024))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _start_error(program: str, error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"could not start {program!r}: {error}"
    if error.filename is not None and os.fsdecode(error.filename) != program:
        return f"could not start {program!r}: {error.strerror} ({os.fsdecode(error.filename)})"
    if isinstance(error, FileNotFoundError):
        return f"could not start {program!r}: no such program"
    return f"could not start {program!r}: {error.strerror}"


class Supervisor:
    """Runs the program that is asked for on `conn`, answers there once, and ends with no process left below it.

    `alive` is a pipe that ends together with the launcher.
    """

    def __init__(self, conn: socket.socket, alive: int) -> None:
        self._conn = conn
        self._alive = alive
        self._wakeup = groups.catch_signals()
        self._poller = select.poll()
        self._outputs: dict[int, Tail] = {}
        self._main = 0
        self._main_code: int | None = None
        self._childless = False

    def run(self) -> bool:
        """True when nothing is left of the program; False when something could not be killed."""
        head = _receive(self._conn, wire.LENGTH.size)
        body = None if head is None else _receive(self._conn, min(wire.LENGTH.unpack(head)[0], wire.MAX_MESSAGE))
        if body is None:
            return True
        request = wire.unpack_header(body)
        stdout, stderr = Tail(request["keep_bytes"]), Tail(request["keep_bytes"])
        begun = time.monotonic()
        try:
            program = self._start(request)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = _start_error(request["argv"][0], error)
            stderr.feed(reason.encode("utf-8", "backslashreplace"))
            self._finish(begun, _NOT_RUN, reason, stdout, stderr)
            return True
        assert program.stdout is not None
        assert program.stderr is not None
        for stream, tail in ((program.stdout, stdout), (program.stderr, stderr)):
            self._outputs[stream.fileno()] = tail
            self._poller.register(stream, select.POLLIN)
        for descriptor in (self._wakeup, self._alive, self._conn.fileno()):
            self._poller.register(descriptor, select.POLLIN)

        stopped, reason = self._watch(begun, request)
        ended = time.monotonic()
        clean = self._end_all()
        program.returncode = 0  # Reaped here, so the object must not look for it.
        if stopped == _TIMED_OUT:
            self._finish(begun, _TIMED_OUT, "", Tail(0), Tail(0), timed_out=True)
            return clean
        self._drain()
        if stopped:
            self._finish(begun, stopped, reason, stdout, stderr)
        else:
            code = self._main_code or 0
            self._finish(begun, code if code >= 0 else 128 - code, "", stdout, stderr, ended=ended)
        return clean

    def _start(self, request: dict[str, Any]) -> subprocess.Popen[bytes]:
        program = subprocess.Popen(
            request["argv"],
            cwd=request["cwd"],
            env=request["env"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
        )
        self._main = program.pid
        return program

    def _finish(
        self,
        begun: float,
        exit_code: int,
        reason: str,
        stdout: Tail,
        stderr: Tail,
        *,
        ended: float | None = None,
        timed_out: bool = False,
    ) -> None:
        duration = (time.monotonic() if ended is None else ended) - begun
        header = {"exit_code": exit_code, "duration": duration, "timed_out": timed_out, "reason": reason}
        _answer(self._conn, header, stdout, stderr)

    def _watch(self, begun: float, request: dict[str, Any]) -> tuple[int, str]:
        """Until the program ends: (0, ""). Until it has to be ended: the exit code to report, and the reason."""
        deadline = begun + request["timeout"]
        memory, count = request["memory_bytes"], request["max_processes"]
        next_look = begun + _WATCH_SECONDS if memory is not None or count is not None else deadline
        while True:
            now = time.monotonic()
            if now >= deadline:
                return _TIMED_OUT, ""
            if now >= next_look:
                reason = self._over_limit(memory, count)
                if reason:
                    return _KILLED, reason
                # A large tree takes long to look at; looking must not cost more than a share of one core.
                spent = time.monotonic() - now
                next_look = now + spent + max(_WATCH_SECONDS, _WATCH_SHARE * spent)
            ready = {fd for fd, _ in self._poller.poll(max(0.0, min(deadline, next_look) - now) * 1000 + 1)}
            for fd in ready.intersection(self._outputs):
                self._read(fd)
            if self._wakeup in ready:
                empty(self._wakeup)
                self._reap()
                if self._main_code is not None:
                    return 0, ""
            if self._alive in ready:
                return _NOT_RUN, "the launcher of programs ended"
            if self._conn.fileno() in ready:
                return _KILLED, "stopped before its end"

    def _over_limit(self, memory: int | None, count: int | None) -> str:
        pids: list[int] = []
        for pid in groups.members(os.getpid(), self._main):
            pids.append(pid)
            if count is not None and len(pids) > count:
                return f"more than {count} processes"
        if memory is not None and groups.weigh(pids) > memory:
            return f"more than {memory / 1024 / 1024:g} MB of memory"
        return ""

    def _read(self, fd: int) -> bool:
        data = os.read(fd, _READ)
        if data:
            self._outputs[fd].feed(data)
        else:
            self._poller.unregister(fd)
            del self._outputs[fd]
        return bool(data)

    def _reap(self) -> None:
        ended = groups.reap()
        if ended is None:
            self._childless = True
        else:
            self._main_code = ended.get(self._main, self._main_code)

    def _end_all(self) -> bool:
        """Kills everything below this process. False when something is still there after a while."""
        if self._main_code is None:
            groups.end_group(self._main)
        deadline = time.monotonic() + _KILL_SECONDS
        pause = 0.0005
        while True:
            killed = groups.end_processes(groups.members(os.getpid(), self._main))
            self._reap()
            if self._childless and (groups.ADOPTS or not killed):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.01)

    def _drain(self) -> None:
        """Reads what is left in the pipes. They end, unless a process elsewhere was handed one of them."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        poller = select.poll()
        for fd in self._outputs:
            poller.register(fd, select.POLLIN)
        while self._outputs and time.monotonic() < deadline:
            for fd, _ in poller.poll(50):
                if not self._read(fd):
                    poller.unregister(fd)
