"""Real processes: a runner per test, and ways to see whether something is still running."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from litewrite.executor.process import Command, Runner, base_environment


@pytest_asyncio.fixture
async def runner() -> AsyncIterator[Runner]:
    async with Runner() as started:
        yield started


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Command]:
    """A command that runs the given Python source in the test's folder; keyword arguments go to Command."""

    def make(source: str, *arguments: str, **options: Any) -> Command:
        options.setdefault("timeout", 20.0)
        options.setdefault("env", base_environment(str(tmp_path)))
        argv = [sys.executable, "-I", "-S", "-c", textwrap.dedent(source), *arguments]
        return Command(argv=argv, cwd=str(tmp_path), **options)

    return make


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Command]:
    """The same for a shell script."""

    def make(script: str, **options: Any) -> Command:
        options.setdefault("timeout", 20.0)
        options.setdefault("env", base_environment(str(tmp_path)))
        return Command(argv=["/bin/sh", "-c", script], cwd=str(tmp_path), **options)

    return make


DAEMON = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def note(name):
    with open("pid." + name, "w") as file:
        file.write(f"{os.getpid()}\\n")
def sleep():
    while True:
        time.sleep(100)
note("main")
if os.fork() == 0:                      # a grandchild in the same group
    note("child"); sleep()
if os.fork() == 0:                      # one in a session of its own
    os.setsid(); note("session"); sleep()
if os.fork() == 0:                      # a daemon: forked twice, its parent gone
    os.setsid()
    if os.fork() == 0:
        note("daemon"); sleep()
    os._exit(0)
while len([name for name in os.listdir(".") if name.startswith("pid.") and os.path.getsize(name)]) < 4:
    time.sleep(0.005)
"""


class Processes:
    """Ways to look at processes from outside. A fixture, so that no test has to import this file."""

    daemon = DAEMON
    """Source of a program that leaves four processes: itself, a child, one in its own session, and a daemon."""

    @staticmethod
    def is_running(pid: int) -> bool:
        """Whether the process exists and is not merely waiting to be reaped."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
        except (FileNotFoundError, ProcessLookupError):
            return False

    @staticmethod
    def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Polls, blocking; True as soon as the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    @staticmethod
    def noted(folder: Path) -> list[int]:
        """The process ids that programs have written into files called pid.*, complete lines only."""
        lines = [file.read_text() for file in folder.glob("pid.*")]
        return [int(line) for line in lines if line.endswith("\n")]

    @classmethod
    def gone(cls, folder: Path) -> bool:
        """Whether the four processes of `daemon` were there and are no more."""
        pids = cls.noted(folder)
        assert len(pids) == 4
        return not any(cls.is_running(pid) for pid in pids)

    @classmethod
    async def begun(cls, folder: Path) -> None:
        """Until the four processes of `daemon` are there."""
        assert await asyncio.to_thread(cls.wait_until, lambda: len(cls.noted(folder)) == 4)

    @classmethod
    async def launcher_of(cls, runner: Runner) -> int:
        assert await asyncio.to_thread(cls.wait_until, lambda: runner._launcher is not None)
        assert runner._launcher is not None
        return runner._launcher._process.pid

    @staticmethod
    def children(pid: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @staticmethod
    def resident(pid: int) -> int:
        """Bytes of memory, 0 when the process is gone."""
        try:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            return 0


@pytest.fixture
def processes() -> type[Processes]:
    return Processes
