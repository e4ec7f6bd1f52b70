"""One run of a function: a working folder, an environment, a program, and what came of it.

Every run has a folder of its own, which is removed afterwards; what a crash leaves is swept out at the next start.
Unpacking and removing happen on a few threads of their own, since both can take seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from litewrite.entities import Deployment, Execution, Function
from litewrite.executor.archive import ArchiveError, ArchiveLimits, unpack
from litewrite.executor.process import Command, Result, Runner, base_environment
from litewrite.executor.runtimes import RUNTIMES, Runtime, RuntimeMissing, resolve_command, split_command

log = logging.getLogger(__name__)

T = TypeVar("T")

FOLDER = "runs"
OUTPUT_CHARACTERS = 4_000
LARGEST_VALUE = 100_000
"""Bytes of one environment variable; systems pass hardly more than 128 KiB to a program."""
NOT_RUN = 1
_THREADS = 4
_DROPPED = re.compile(r"[^A-Za-z0-9_.-]")


class CannotRun(Exception):
    """A run that cannot start. The text says why, in sentences fit for the developer of the function."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `duration` is in seconds; a run that never started has 0."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    duration: float = 0.0
    deployment_id: str = ""

    @classmethod
    def failure(cls, reason: str, deployment_id: str = "") -> Outcome:
        """Of a run that could not start, or was broken off."""
        return cls(NOT_RUN, stderr=reason, deployment_id=deployment_id)


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a run needs. What there is nothing to say about is the empty string."""

    execution: Execution
    function: Function
    deployment: Deployment
    archive: Path
    user_id: str = ""
    jwt: str = ""
    data: str = ""
    event: str = ""
    event_data: str = ""


def environment(order: Order, runtime: Runtime) -> dict[str, str]:
    """The variables of the function, and above them the twelve that every program gets."""
    function = order.function
    variables = {_DROPPED.sub("", name): as_text(value) for name, value in function.variables.items()}
    variables.pop("", None)
    told = {
        "ID": function.id,
        "NAME": function.name,
        "TAG": order.deployment.id,
        "TRIGGER": order.execution.trigger,
        "RUNTIME_NAME": runtime.name,
        "RUNTIME_VERSION": runtime.version,
        "EVENT": order.event,
        "EVENT_DATA": order.event_data,
        "DATA": order.data,
        "USER_ID": order.user_id,
        "JWT": order.jwt,
        "PROJECT_ID": function.project_id,
    }
    # No environment can hold a NUL, which the name of a function may contain.
    variables.update({f"APPWRITE_FUNCTION_{name}": value.replace("\0", "") for name, value in told.items()})
    return variables


def as_text(value: Any) -> str:
    """A variable as programs see it: text as it is, nothing for null, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()


def spill(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Empty the values that are too large for an environment; `<name>_FILE` then names a file with the value.

    Blocking. The folder is made when it is needed.
    """
    kept = dict(variables)
    for number, (name, value) in enumerate(variables.items()):
        content = value.encode("utf-8", "surrogateescape")
        if len(content) > LARGEST_VALUE:
            folder.mkdir(mode=0o700, exist_ok=True)
            file = folder / str(number)
            file.write_bytes(content)
            kept[name] = ""
            kept[f"{name}_FILE"] = str(file)
    return kept


class Runs:
    """Carries out runs below `folder`, which it alone uses. `close` to be called when none is under way.

    `timeout` (seconds), `memory` (bytes) and `processes` bound every run. `python` is the interpreter of Python
    functions; empty for the one that runs the server.
    """

    def __init__(
        self, runner: Runner, folder: Path, *, python: str = "", timeout: float, memory: int, processes: int
    ) -> None:
        self._runner = runner
        self._folder = Path(os.path.abspath(folder))
        self._python = python or None
        self._timeout = timeout
        self._memory = memory
        self._processes = processes
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="litewrite-run")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def sweep(self) -> None:
        """Remove what runs of an earlier process have left."""
        await self._on_thread(lambda: self._sweep())

    async def carry_out(self, order: Order) -> Outcome:
        """Run a function and say how it ended. Raises `CannotRun` when it could not start.

        Cancelling ends the program and everything it has started.
        """
        runtime = RUNTIMES.get(order.function.runtime)
        if runtime is None:
            raise CannotRun(f"The runtime {order.function.runtime} is not supported.")
        place = self._folder / order.execution.id
        try:
            argv, code, variables = await self._on_thread(lambda: self._prepare(order, runtime, place))
            result = await self._runner.run(
                Command(
                    argv,
                    cwd=str(code),
                    env=variables,
                    timeout=min(order.function.timeout, self._timeout),
                    output_limit=OUTPUT_CHARACTERS,
                    memory_bytes=self._memory,
                    max_processes=self._processes,
                )
            )
        finally:
            # Also when unpacking was given up: it fails as soon as its folder is gone.
            await self._on_thread(lambda: _remove(place))
        return _outcome(result, order.deployment.id)

    def _prepare(self, order: Order, runtime: Runtime, place: Path) -> tuple[list[str], Path, dict[str, str]]:
        try:
            argv = resolve_command(runtime, split_command(order.deployment.command), self._python)
        except (RuntimeMissing, ValueError) as error:
            raise CannotRun(str(error)) from error
        code = place / "code"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.mkdir(mode=0o700)
            code.mkdir(mode=0o700)
            unpack(order.archive, code, ArchiveLimits())
            variables = spill(environment(order, runtime), place / "values")
        except ArchiveError as error:
            raise CannotRun(str(error)) from error
        except OSError as error:
            raise CannotRun(
                f"The working folder could not be made: {error.strerror or type(error).__name__}."
            ) from error
        return argv, code, {**base_environment(str(code)), **variables}

    def _sweep(self) -> None:
        try:
            left = list(self._folder.iterdir())
        except FileNotFoundError:
            return
        for place in left:
            _remove(place)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _outcome(result: Result, deployment_id: str) -> Outcome:
    stderr, exit_code = result.stderr, result.exit_code
    if result.reason:
        exit_code = exit_code or NOT_RUN
        if result.reason not in stderr:
            stderr = f"{stderr}\nThe run was ended: {result.reason}.".lstrip("\n")[-OUTPUT_CHARACTERS:]
    return Outcome(exit_code, result.stdout, stderr, round(result.duration, 6), deployment_id)


def _remove(place: Path) -> None:
    """Remove a working folder, whatever the program made of it; what cannot be removed is left for the next sweep."""
    try:
        _remove_tree(place)
    except FileNotFoundError:
        return
    except (OSError, RecursionError) as error:
        log.warning("the folder %s of a run could not be removed: %s", place.name, error)


def _remove_tree(place: Path) -> None:
    if place.is_symlink() or not place.is_dir():
        place.unlink()
        return
    try:
        shutil.rmtree(place)
    except PermissionError:
        # A program may take its own folders away from itself, and from us when we are not root.
        place.chmod(0o700)
        for parent, folders, _ in os.walk(place):
            for name in folders:
                path = os.path.join(parent, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(place)
