"""How a bench program begins and ends: common flags, and clean ends on Ctrl-C, SIGTERM and on what is missing."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from tests.bench.peers import BenchError

Main = Callable[[argparse.Namespace], Coroutine[Any, Any, None]]


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags that every bench has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print JSON for programs instead of tables")
    made.add_argument(
        "--folder",
        type=Path,
        help="where the servers' data folders are made and removed again; by default the system's temporary folder. "
        "What a commit costs depends on the disk behind it",
    )
    return made


def positive(text: str) -> int:
    """A whole number above 0, for `type=`."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


@contextlib.contextmanager
def work_folder(arguments: argparse.Namespace) -> Iterator[Path]:
    """A folder that is gone afterwards. Raises `BenchError` when it cannot be made."""
    try:
        made = tempfile.TemporaryDirectory(prefix="litewrite-bench-", dir=arguments.folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise BenchError(f"No folder for the servers' data: {error}") from None
    with made as name:
        yield Path(name)


def note(text: str) -> None:
    """Say what is going on, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def run(main: Main, arguments: argparse.Namespace) -> int:
    """Run a program to its end and return its exit code. Ctrl-C and SIGTERM cancel it, so that its contexts close."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_watched(main(arguments)))
    except BenchError as error:
        note(f"error: {error}")
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        note("stopped")
        return 130
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop that a server runs on, as far as it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _watched(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
