"""Runs commands for the server: `Runner` gives each run to the launcher process and awaits its one answer.

The server side never forks and waits for no program, so it works in any thread and under any event loop. Per run there
is one socket; its far end is passed to the launcher, whose fork for that run reads the request from it, answers on it,
and takes its closing as the order to end the program. Nothing is multiplexed, so a slow run delays no other.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from litewrite.executor import runtimes, wire

__all__ = ["Command", "Result", "Runner", "base_environment"]

_NOT_RUN = 1
_HAND_OVER_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_STOP_SECONDS = 2.0
_CANCEL_SECONDS = 8.0
_BUSY = tuple(getattr(errno, name) for name in ("EAGAIN", "ENOBUFS", "ETOOMANYREFS") if hasattr(errno, name))
_MAX_ANSWER_HEADER = 64 * 1024
# The package is entered without its own __init__: what that imports is of no use to the launcher, whose pages every run
# is a copy of, and need not be installed for its interpreter.
_BOOTSTRAP = """\
import sys, types
package = types.ModuleType("litewrite")
package.__path__ = [sys.argv[1]]
sys.modules["litewrite"] = package
from litewrite.executor.launcher import main
main()
"""
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Command:
    """One program to run.

    `argv[0]` is a path or a name to look up in the `PATH` of `env`; `env` is everything the program's environment
    holds. `timeout` is in seconds; `output_limit` is how many characters of each output are kept, from the end;
    `memory_bytes` and `max_processes` bound the whole tree of processes, None for no bound. The bounds are watched
    several times a second, so they can be exceeded for a moment.

    Raises ValueError for an empty `argv`, a timeout that is not positive and finite, or a negative limit.
    """

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    timeout: float
    output_limit: int = 4000
    memory_bytes: int | None = None
    max_processes: int | None = 200

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("argv is empty")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise ValueError("timeout must be a positive number of seconds")
        if self.output_limit < 0 or (self.memory_bytes or 0) < 0 or (self.max_processes or 0) < 0:
            raise ValueError("limits must not be negative")


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    `exit_code` is the program's own, 128 + n when signal n ended it, 124 at the timeout (then both outputs are empty
    and `timed_out` is set), 137 when a limit ended it, 1 when it could not be run. `duration` is in seconds. `reason`
    is a short text when something else than the program itself or the timeout ended the run, otherwise "".
    """

    exit_code: int
    stdout: str
    stderr: str
    duration: float
    timed_out: bool
    reason: str


def base_environment(workdir: str) -> dict[str, str]:
    """What a program finds in its environment besides its own variables: PATH, and a home that is its own folder."""
    environment = {
        "PATH": os.environ.get("PATH") or os.defpath,
        "HOME": workdir,
        "TMPDIR": workdir,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }
    if os.name == "nt" and "SYSTEMROOT" in os.environ:
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    return environment


class Runner:
    """Runs commands, at most `max_concurrent` at a time; further calls of `run` wait for their turn.

    An async context manager that belongs to the event loop it is entered in. The launcher process is started by the
    first run and started anew when it has died. Leaving the context ends every program within about two seconds.
    `python` is the interpreter for the launcher when this program is frozen and has none of its own (then the package
    must lie unpacked on disk).
    """

    def __init__(self, *, python: str | None = None, max_concurrent: int = 64) -> None:
        if max_concurrent < 1:
            raise ValueError("max_concurrent must be at least 1")
        self._python = python
        self._slots = asyncio.Semaphore(max_concurrent)
        self._launcher: _Launcher | None = None
        self._starting: asyncio.Task[_Launcher] | None = None
        self._runs = _Runs()
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        if self._starting is not None:
            await asyncio.wait({self._starting})
        self._runs.stop()
        if self._launcher is not None:
            # The thread goes on when the caller is cancelled, so the launcher is reaped in any case.
            await asyncio.to_thread(self._launcher.stop)
            self._launcher = None
        await self._runs.idle(_STOP_SECONDS)

    async def run(self, command: Command) -> Result:
        """Runs the command and returns how it ended; everything it has started is gone by then.

        What goes wrong with the command or the machinery is a Result with a `reason`, never an exception; RuntimeError
        only when the context has been left. When the call is cancelled the program is killed before the cancellation
        goes on (waiting at most some seconds for that).
        """
        async with self._slots:
            if self._closing:
                raise RuntimeError("the runner has been closed")
            if not hasattr(socket, "send_fds"):
                return _not_run("programs can be run on Unix systems only")
            try:
                request = _pack(command)
            except ValueError as error:
                return _not_run(f"could not start {command.argv[0]!r}: {error}")
            try:
                conn = await self._hand_over()
            except (OSError, LauncherError) as error:
                return _not_run(f"could not start the launcher of programs: {error}")
            return await self._attend(conn, request, command)

    async def _attend(self, conn: socket.socket, request: bytes, command: Command) -> Result:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=conn)
        except BaseException:
            conn.close()
            raise
        self._runs.add(writer)
        try:
            async with asyncio.timeout(command.timeout + _ANSWER_SECONDS):
                return await _converse(reader, writer, request, command.output_limit)
        except TimeoutError:
            return _not_run("the process that watched the program did not answer")
        except (EOFError, OSError, ValueError, KeyError):
            # Nothing but its violent end keeps a supervisor from answering.
            return _not_run("the process that watched the program was killed")
        except asyncio.CancelledError:
            await _stop(reader, writer)
            raise
        finally:
            self._runs.discard(writer)
            writer.close()

    async def _hand_over(self) -> socket.socket:
        """Our end of a new run's socket; the launcher has the other. Raises OSError or LauncherError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                async with asyncio.timeout(_HAND_OVER_SECONDS):
                    await self._send(theirs)
        except TimeoutError:
            ours.close()
            raise LauncherError("it does not take on work") from None
        except BaseException:
            ours.close()
            raise
        return ours

    async def _send(self, theirs: socket.socket) -> None:
        refused = 0
        while True:
            launcher = await self._running_launcher()
            try:
                launcher.send(theirs)
                return
            except (BrokenPipeError, ConnectionResetError):
                refused += 1
                launcher.give_up()
                if refused == 2:
                    raise LauncherError("it ends as soon as it is started") from None
            except OSError as error:
                # The launcher is behind: too many bytes or too many descriptors are under way.
                if error.errno not in _BUSY:
                    raise
                await asyncio.sleep(0.005)

    async def _running_launcher(self) -> _Launcher:
        if self._launcher is not None and self._launcher.is_alive():
            return self._launcher
        if self._closing:
            raise LauncherError("the runner has been closed")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(_note_failure)
        # Shared by all runs that wait for it, so none of them may cancel it.
        return await asyncio.shield(self._starting)

    async def _start(self) -> _Launcher:
        try:
            if self._launcher is not None:
                await asyncio.to_thread(self._launcher.stop)
                self._launcher = None
            python = runtimes.own_interpreter() or runtimes.find_interpreter("python", self._python)
            if python is None:
                raise LauncherError("no Python interpreter was found")
            self._launcher = await asyncio.to_thread(_Launcher, python)
            return self._launcher
        finally:
            self._starting = None


def _note_failure(task: asyncio.Task[_Launcher]) -> None:
    """Takes the exception, which all who wait also get; when every one of them was cancelled, nobody does."""
    if not task.cancelled():
        task.exception()


class LauncherError(Exception):
    """The launcher cannot be started; the text says why."""


class _Launcher:
    """The launcher process and our end of its control socket. Starting and stopping block; the rest does not."""

    def __init__(self, python: str) -> None:
        ours, theirs = socket.socketpair()
        package = Path(__file__).resolve().parents[1]
        arguments = [python, "-I", "-S", "-X", "utf8", "-c", _BOOTSTRAP, str(package)]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    arguments,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    close_fds=True,
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        self._control = ours
        self._given_up = False

    def send(self, conn: socket.socket) -> None:
        socket.send_fds(self._control, [b"\0"], [conn.fileno()])

    def is_alive(self) -> bool:
        return not self._given_up and self._process.poll() is None

    def give_up(self) -> None:
        """For a launcher that has closed its end; it may still take a moment to die."""
        self._given_up = True
        self._process.kill()

    def stop(self) -> None:
        """Closes the control socket, upon which the launcher kills everything and ends; waits for that."""
        self._control.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Runs:
    """The runs under way, so that they can be told to stop and be waited for."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._idle.clear()

    def discard(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        if not self._writers:
            self._idle.set()

    def stop(self) -> None:
        for writer in self._writers:
            _ask_to_stop(writer)

    async def idle(self, seconds: float) -> None:
        """Until no run is under way, but not longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            # Their callers hold them; the programs are dead in any case.
            pass


def _keep_bytes(output_limit: int) -> int:
    """How much of an output is needed: four bytes a character at most, and a few for the one that is cut."""
    return 4 * output_limit + 4


def _pack(command: Command) -> bytes:
    return wire.pack_request(
        {
            "argv": list(command.argv),
            "cwd": os.path.abspath(command.cwd),
            "env": dict(command.env),
            "timeout": command.timeout,
            "memory_bytes": command.memory_bytes,
            "max_processes": command.max_processes,
            "keep_bytes": _keep_bytes(command.output_limit),
        }
    )


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, output_limit: int
) -> Result:
    writer.write(request)
    await writer.drain()
    (length,) = wire.LENGTH.unpack(await reader.readexactly(wire.LENGTH.size))
    if length > _MAX_ANSWER_HEADER:
        raise ValueError("the answer is too long")
    header = wire.unpack_header(await reader.readexactly(length))
    keep = _keep_bytes(output_limit)
    if header["stdout_bytes"] > keep or header["stderr_bytes"] > keep:
        raise ValueError("the answer is too long")
    stdout = await reader.readexactly(header["stdout_bytes"])
    stderr = await reader.readexactly(header["stderr_bytes"])
    return Result(
        exit_code=int(header["exit_code"]),
        stdout=decode_output(stdout, cut=bool(header["stdout_cut"]), limit=output_limit),
        stderr=decode_output(stderr, cut=bool(header["stderr_cut"]), limit=output_limit),
        duration=float(header["duration"]),
        timed_out=bool(header["timed_out"]),
        reason=str(header["reason"]),
    )


def _ask_to_stop(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        writer.write_eof()


async def _stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Has the program killed and waits until it is, or for some seconds."""
    try:
        _ask_to_stop(writer)
        async with asyncio.timeout(_CANCEL_SECONDS):
            while await reader.read(_MAX_ANSWER_HEADER):
                pass
    except OSError:
        # The supervisor is gone or late; the launcher ends what it leaves.
        pass


def decode_output(data: bytes, *, cut: bool, limit: int) -> str:
    """The last `limit` characters: of the text as meant when the bytes are UTF-8, else one for each byte (ISO-8859-1).

    `cut` says that something before `data` is missing, so it may begin inside a character.
    """
    start = 0
    if cut:
        while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
            start += 1
    try:
        text = data[start:].decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("iso-8859-1")
    return text[-limit:] if limit else ""


def _not_run(reason: str) -> Result:
    return Result(_NOT_RUN, "", reason, 0.0, False, reason)
