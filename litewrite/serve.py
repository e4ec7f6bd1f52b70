"""The process of `litewrite serve`: from settings to a server that stops when it is told to.

One thing more than embedding: signals, the file that says that requests are answered, the watch on the parent process,
log lines and the greeting. Stopping has a deadline that also holds when the event loop is stuck.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import json
import logging
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from litewrite import __version__
from litewrite.config import Config
from litewrite.logs import LogWriter
from litewrite.server import REFUSALS, Litewrite

__all__ = ["ServeFailed", "serve"]

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 4.7
"""After the first signal; then the process ends whatever is still under way."""
PARENT_SECONDS = 0.5
"""How often the parent process is looked for."""
_FORCED = 128
_DESCRIPTORS = 65_536
"""Open files and connections that the process allows itself, where the system lets it."""
_M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h; a C library that does not know it takes no notice."""


class ServeFailed(Exception):
    """The server could not be started. `str()` is a sentence for the operator."""


def serve(config: Config, command: str = "litewrite") -> None:
    """Run a server until SIGINT or SIGTERM. `command` is how people call this program. Raises `ServeFailed`."""
    parent = _Parent() if config.exit_with_parent else None
    ready = _ReadyFile(config.ready_file)
    with _Stopper(ready.remove) as stopper, LogWriter("json" if config.log_format == "json" else "text"):
        try:
            ready.prepare()
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_run(config, stopper, ready, parent, command))
        except ServeFailed:
            raise
        except Exception as error:
            log.critical("the server met an error of its own", exc_info=True)
            raise ServeFailed("The server failed: what it logged says why") from error


async def _run(config: Config, stopper: _Stopper, ready: _ReadyFile, parent: _Parent | None, command: str) -> None:
    asked = asyncio.Event()
    stopper.attach(asyncio.get_running_loop(), asked)
    async with contextlib.AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(Litewrite(config))
        except REFUSALS as error:
            raise ServeFailed(str(error)) from error
        except OSError as error:
            raise ServeFailed(_explain(error, config)) from error
        _tune()
        stack.enter_context(ready.written(server))
        _greet(config, server, command, await server.backend.services.admins.open_setup())
        watch = asyncio.create_task(_watch(parent, stopper)) if parent is not None else None
        try:
            await asked.wait()
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)


async def _watch(parent: _Parent, stopper: _Stopper) -> None:
    while True:
        if parent.has_ended():
            stopper.stop()
            return
        await asyncio.sleep(PARENT_SECONDS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed; None for the usual one."""
    if os.name == "nt":
        return None
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _tune() -> None:
    """Fit a process that is a server and nothing else to its work; an embedding program is left as it is.

    What was loaded lives as long as the process, so the collector need not look at it again, and few objects of a
    request are part of a cycle, so it can look more rarely. Each connection takes a descriptor. The memory of a
    password hash (19 MiB) goes back to the system at once: glibc would otherwise keep it after the second one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, _DESCRIPTORS)
        if now != resource.RLIM_INFINITY and now < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _greet(config: Config, server: Litewrite, command: str, setup_token: str) -> None:
    endpoint = f"{config.public_url.rstrip('/')}/v1" if config.public_url else server.endpoint
    make_key = [command, "keys create --name NAME --scopes all"]
    make_admin = [command, "admins create --email ADDRESS"]
    if config.data_dir != Config().data_dir:
        for parts in (make_key, make_admin):
            parts.append(f"--data {shlex.quote(str(config.data_dir))}")
    if config.project != Config().project:
        make_key.append(f"--project {shlex.quote(config.project)}")
    lines = [
        f"litewrite {__version__} is running",
        f"  endpoint    {endpoint}",
        f"  project     {config.project}",
        f"  make a key  {' '.join(make_key)}",
    ]
    if setup_token:
        page = endpoint.removesuffix("/v1")
        lines += [
            f"  make an administrator, the first one, once: {page}/auth/setup#{setup_token}",
            f"  or at any time: {' '.join(make_admin)}",
        ]
    lines.append("  stop        Ctrl+C")
    if not config.is_loopback:
        log.warning(
            "listening on %s, where other machines reach it: functions are %s, rate limits are %s",
            config.host or "every address",
            "on" if config.functions_enabled else "off",
            "on" if config.limits_rates else "off",
        )
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        log.warning("nobody reads standard output: %s", error)
        # Python would try once more at its end, and fail for that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Stopper:
    """Turns the first signal into a request to stop, with a deadline, and the second one into the end.

    `clean` removes what must not stay behind; it is called before every end that is forced.
    """

    def __init__(self, clean: Callable[[], None]) -> None:
        self._clean = clean
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None
        self._stopping = False
        self._deadline = threading.Timer(DEADLINE_SECONDS, self._end_late)
        self._deadline.daemon = True
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Stopper:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *error: object) -> None:
        self._deadline.cancel()
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def attach(self, loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
        """Set `asked` when a signal comes, or at once when one has come."""
        self._loop, self._asked = loop, asked
        if self._stopping:
            asked.set()

    def stop(self) -> None:
        """Ask the server to stop; nothing happens when it was asked before."""
        if self._stopping:
            return
        self._stopping = True
        self._deadline.start()
        if self._loop is not None and self._asked is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped by itself
                self._loop.call_soon_threadsafe(self._asked.set)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            self._end(_FORCED + number)
        self.stop()

    def _end_late(self) -> None:
        self._end(0)

    def _end(self, code: int) -> None:
        try:
            self._clean()
        finally:
            os._exit(code)


class _ReadyFile:
    """The file that says where the server answers. It appears whole, and goes when the server begins to stop."""

    def __init__(self, path: Path | None) -> None:
        self._path = path.absolute() if path is not None else None

    def prepare(self) -> None:
        """Remove what a server that was killed has left. Raises `ServeFailed` when the folder is missing."""
        if self._path is None:
            return
        if not self._path.parent.is_dir():
            raise ServeFailed(f"The folder of the ready file {self._path} does not exist")
        if self._path.is_dir():
            raise ServeFailed(f"The ready file {self._path} is a folder")
        pid = self._owner()
        if pid is not None and (pid == os.getpid() or not _runs(pid)):
            self.remove(pid)

    @contextlib.contextmanager
    def written(self, server: Litewrite) -> Iterator[None]:
        """Keep the file while the context is open. Raises `ServeFailed` when it cannot be written."""
        if self._path is None:
            yield
            return
        record = {"url": server.url, "endpoint": server.endpoint, "project": server.project, "pid": os.getpid()}
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            fresh.write_text(json.dumps(record) + "\n", encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            raise ServeFailed(f"The ready file {self._path} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            self.remove()

    def remove(self, pid: int | None = None) -> None:
        """Remove the file if it is that of a process, by default of this one."""
        if self._path is not None and self._owner() == (pid or os.getpid()):
            self._path.unlink(missing_ok=True)

    def _owner(self) -> int | None:
        if self._path is None:
            return None
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        pid = record.get("pid") if isinstance(record, dict) else None
        return pid if isinstance(pid, int) else None


def _runs(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 would be sent as an interrupt
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Parent:
    """The process that started this one."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._handle = _open_on_windows(self._pid) if os.name == "nt" else None

    def has_ended(self) -> bool:
        if self._handle is not None:
            # Windows never gives a process another parent, so the parent itself is asked.
            ended: bool = _kernel32().WaitForSingleObject(self._handle, 0) == 0
            return ended
        return os.getppid() != self._pid


def _kernel32() -> Any:
    ctypes: Any = importlib.import_module("ctypes")
    return ctypes.windll.kernel32


def _open_on_windows(pid: int) -> Any:
    synchronize = 0x0010_0000
    return _kernel32().OpenProcess(synchronize, False, pid) or None


def _explain(error: OSError, config: Config) -> str:
    where = f"{config.host or 'every address'}, port {config.port}"
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens on {where}: stop it, or choose another --port (0 picks a free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not listen on {where}: choose a --port from 1024 up"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"This machine has no address {config.host}: choose another --host"
    return f"The server cannot be started: {error}"
