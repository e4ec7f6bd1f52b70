"""Looks at a data folder and the machine, says what is wrong and what to do about it, and changes nothing.

The same findings come from a running server, which is asked for them, and from a folder that nobody has open.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from litewrite import __version__, control
from litewrite.config import DIALECT_VERSION, Config
from litewrite.control import CommandFailed, ControlUnavailable
from litewrite.data_folder import BLOBS, COMMAND_SECONDS, DATABASE, FILE_MODE, FOLDER_MODE, LOCK, SECRET
from litewrite.db.connections import has_wal_reset_bug, sqlite_version
from litewrite.db.inspection import (
    INDEXED_FIELDS,
    VERSION,
    IndexedField,
    Inspection,
    inspect_file,
    newest_version,
)
from litewrite.errors import LitewriteError
from litewrite.executor.runtimes import RUNTIMES, find_interpreter
from litewrite.folder_lock import FolderLock, Holder

if TYPE_CHECKING:
    from litewrite.app import Backend

__all__ = ["Finding", "examine", "examine_running", "is_sound"]

State = Literal["ok", "note", "problem"]

CHECK_SECONDS = 3_600.0
"""How long a running server may look at itself: a large database takes its time."""
FULL = 64 * 2**20
NEARLY_FULL = 512 * 2**20
_STEP_SECONDS = 0.1
_MOST_PROBLEMS = 10
_MOST_COLLECTIONS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` is what to do; empty when there is nothing to do."""

    state: State
    subject: str
    text: str
    advice: str = ""


def is_sound(report: dict[str, Any]) -> bool:
    """Whether a report has no problem; notes do not count."""
    return all(finding["state"] != "problem" for finding in report["findings"])


async def examine(config: Config) -> dict[str, Any]:
    """The report on a data folder, from the server that runs on it when there is one.

    Blocks the event loop while it looks at a folder itself, so it is for a process that does nothing else.
    """
    path = config.data_dir.absolute()
    missing = _missing(path)
    if missing is not None:
        return _report(path, [*_system(config), missing])
    lock = FolderLock(path / LOCK)
    clock = asyncio.get_running_loop().time
    started = clock()
    while True:
        try:
            # Where no server ever was, there is no lock to take, and none is made.
            alone = not lock.path.exists()
            if not alone and lock.acquire():
                alone = True
                lock.describe(Holder("command", os.getpid(), command="doctor"))
        except OSError as error:
            return _look(path, config, _lock_closed(lock.path, error))
        if alone:
            try:
                return _look(path, config, None)
            finally:
                lock.release()
        holder = lock.holder()
        late = clock() - started > COMMAND_SECONDS
        if holder is not None and holder.kind == "server":
            try:
                report: dict[str, Any] = await control.call(path, "doctor", {}, seconds=CHECK_SECONDS)
                return report
            except CommandFailed as error:
                return _look(path, config, _silent(holder, error))
            except ControlUnavailable as error:
                if late:
                    return _look(path, config, _silent(holder, error))
        elif late:
            who = holder or "another process"
            return _look(path, config, Finding("note", "lock", f"{who} is using the folder", "wait for its end"))
        await asyncio.sleep(_STEP_SECONDS)


async def examine_running(backend: Backend) -> dict[str, Any]:
    """The report of a running server on itself."""
    path, config = backend.db.path.parent, backend.config
    leave = threading.Event()
    try:
        findings = await asyncio.to_thread(lambda: [*_system(config), *_folder(path, config, leave)])
    except asyncio.CancelledError:
        leave.set()
        raise
    findings.append(Finding("ok", "server", f"runs as process {os.getpid()} and takes commands"))
    try:
        problems = await backend.db.check_integrity(quick=False)
        inspection = Inspection(await backend.db.read(VERSION), tuple(problems), await backend.db.read(INDEXED_FIELDS))
    except LitewriteError as error:
        inspection = Inspection(newest_version(), (str(error),))
    findings += _database_findings(path, inspection)
    return _report(path, findings)


def _missing(path: Path) -> Finding | None:
    if path.is_dir():
        return None
    if path.exists():
        return Finding("problem", "folder", f"{path} is no folder", "name the data folder with --data")
    return Finding("note", "folder", f"{path} does not exist yet: serve makes it")


def _look(path: Path, config: Config, lock: Finding | None) -> dict[str, Any]:
    findings = [*_system(config), *_folder(path, config, threading.Event())]
    if lock is not None:
        findings.append(lock)
    try:
        if (path / DATABASE).exists():
            findings += _database_findings(path, inspect_file(path / DATABASE, alone=lock is None))
        else:
            findings.append(Finding("note", "database", "there is none yet: serve makes it"))
    except OSError as error:
        findings.append(_unreadable(error))
    return _report(path, findings)


def _report(path: Path, findings: list[Finding]) -> dict[str, Any]:
    return {"data": str(path), "findings": [asdict(finding) for finding in findings]}


def _lock_closed(path: Path, error: OSError) -> Finding:
    return Finding(
        "problem",
        "lock",
        f"{path} cannot be opened: {error.strerror}",
        "run commands as the user that runs the server, or give that user the folder",
    )


def _silent(holder: Holder, error: Exception) -> Finding:
    return Finding(
        "problem",
        "server",
        f"{holder} has the folder and did not answer: {error}",
        f"look at what it logs; stop process {holder.pid} and start it again",
    )


def _unreadable(error: OSError) -> Finding:
    return Finding(
        "problem",
        "permissions",
        f"{error.filename} cannot be read: {error.strerror}",
        "run commands as the user that runs the server, or give that user the folder",
    )


def _system(config: Config) -> list[Finding]:
    version = ".".join(str(part) for part in sqlite_version())
    findings = [
        Finding("ok", "litewrite", f"{__version__}, speaking Appwrite {DIALECT_VERSION}"),
        Finding("ok", "Python", f"{platform.python_version()} ({platform.python_implementation()})"),
    ]
    if has_wal_reset_bug(sqlite_version()):
        findings.append(
            Finding(
                "note",
                "SQLite",
                f"{version} has the WAL-reset bug, which takes two connections that write; litewrite has one",
                "write to the database with no other program while a server runs; 3.51.3 is free of it",
            )
        )
    else:
        findings.append(Finding("ok", "SQLite", f"{version}, free of the WAL-reset bug"))
    return [*findings, *_runtimes(config)]


def _runtimes(config: Config) -> Iterator[Finding]:
    if os.name == "nt":
        yield Finding("note", "functions", "cannot run on Windows")
        return
    languages = {runtime.language: runtime for runtime in RUNTIMES.values()}
    missing = []
    for language, runtime in languages.items():
        found = find_interpreter(language, config.python or None)
        if found is not None:
            yield Finding("ok", f"runtime {runtime.name}", found)
        elif language == "python" and config.python:
            yield Finding(
                "problem",
                f"runtime {runtime.name}",
                f"{config.python} does not exist or cannot be run",
                "name an interpreter with --python or LITEWRITE_PYTHON",
            )
        else:
            missing.append(runtime.name)
    if missing:
        yield Finding(
            "note",
            "runtimes",
            f"not found on PATH: {', '.join(missing)}",
            "install those that functions are written in",
        )


def _folder(path: Path, config: Config, leave: threading.Event) -> list[Finding]:
    """Room, permissions, secret and sizes of the folder; stops early when `leave` is set."""
    try:
        return [_space(path), *_permissions(path, leave), _secret(path, config), *_sizes(path, leave)]
    except OSError as error:
        return [_unreadable(error)]


def _space(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    text = f"{_size(free)} free"
    if free < FULL:
        return Finding("problem", "disk", text, "make room before writes are refused")
    if free < NEARLY_FULL:
        return Finding("note", "disk", text, "make room soon")
    return Finding("ok", "disk", text)


def _permissions(path: Path, leave: threading.Event) -> Iterator[Finding]:
    if os.name != "posix":
        yield Finding("note", "permissions", "are those of the folder above; see that it is yours alone")
        return
    folder = path.stat()
    count = open_count = foreign_count = 0
    first_open = first_foreign = ""
    for entry, state in _walk(path, leave):
        count += 1
        if stat.S_IMODE(state.st_mode) & 0o077 and not entry.is_symlink():
            open_count += 1
            first_open = first_open or entry.path
        if state.st_uid != folder.st_uid:
            foreign_count += 1
            first_foreign = first_foreign or entry.path
    mode = stat.S_IMODE(folder.st_mode)
    if mode & 0o077:
        yield Finding("problem", "permissions", f"{path} is open to other users ({mode:04o})", f"chmod 0700 {path}")
    if open_count:
        yield Finding(
            "problem",
            "permissions",
            f"{open_count} files or folders are open to other users, such as {first_open}",
            f"chmod -R go= {path}",
        )
    if foreign_count:
        yield Finding(
            "problem",
            "permissions",
            f"{foreign_count} files or folders belong to another user than {path}, such as {first_foreign}",
            f"give them to one user with chown -R, the one that runs the server (the folder has user {folder.st_uid})",
        )
    if not (mode & 0o077 or open_count or foreign_count):
        yield Finding("ok", "permissions", f"{FOLDER_MODE:04o} and {FILE_MODE:04o}, {count} files and folders")


def _secret(path: Path, config: Config) -> Finding:
    if config.secret:
        return Finding("ok", "secret", "comes from the settings", "keep it with your backups")
    if (path / SECRET).is_file():
        return Finding("ok", "secret", f"in {path / SECRET}", "keep it with your backups")
    if (path / DATABASE).exists():
        return Finding(
            "problem",
            "secret",
            "the server secret that the database was written with is missing",
            f"put {path / SECRET} back from a backup, or set LITEWRITE_SECRET as for the server",
        )
    return Finding("note", "secret", "there is none yet: serve makes it")


def _sizes(path: Path, leave: threading.Event) -> Iterator[Finding]:
    parts = []
    for name, label in ((DATABASE, "database"), (f"{DATABASE}-wal", "log")):
        if (path / name).exists():
            parts.append(f"{label} {_size((path / name).stat().st_size)}")
    blobs = size = 0
    for entry, state in _walk(path / BLOBS, leave):
        if entry.is_file(follow_symlinks=False):
            blobs += 1
            size += state.st_size
    parts.append(f"{blobs} blobs {_size(size)}")
    yield Finding("ok", "sizes", ", ".join(parts))


def _database_findings(path: Path, inspection: Inspection) -> Iterator[Finding]:
    if inspection.problems:
        more = len(inspection.problems) - _MOST_PROBLEMS
        text = "; ".join(inspection.problems[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        yield Finding(
            "problem",
            "database",
            f"{path / DATABASE} is damaged: {text}",
            "stop the server, keep a copy of the folder, and put the database back from a backup",
        )
        return
    yield Finding("ok", "database", "sound")
    newest = newest_version()
    if inspection.version > newest:
        yield Finding(
            "problem",
            "schema",
            f"version {inspection.version}, this litewrite knows versions up to {newest}",
            "use the newer litewrite that wrote it, or a backup from before",
        )
    elif inspection.version < newest:
        yield Finding(
            "note",
            "schema",
            f"version {inspection.version} of {newest}",
            "serve brings it up to date; make a backup first",
        )
    else:
        yield Finding("ok", "schema", f"version {inspection.version}")
    if inspection.indexed_fields:
        yield Finding("ok", "indexes", _indexes(inspection.indexed_fields))


def _indexes(fields: Sequence[IndexedField]) -> str:
    """The indexed fields by collection: each makes lists quick and writing a little slower."""
    by_collection: dict[str, list[IndexedField]] = {}
    for field in fields:
        by_collection.setdefault(field.collection_id, []).append(field)
    shown = [
        f"{found[0].collection_name} ({id}): "
        + ", ".join(f"{'.'.join(f.path)} as {f.kind}{'' if f.is_ready else ' (being built)'}" for f in found)
        for id, found in list(by_collection.items())[:_MOST_COLLECTIONS]
    ]
    more = len(by_collection) - len(shown)
    return f"{len(fields)} indexed fields: {'; '.join(shown)}" + (f"; and {more} more collections" if more else "")


def _walk(folder: Path | str, leave: threading.Event) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Everything below a folder. A running server changes it meanwhile, so what is gone is passed over."""
    if leave.is_set():
        return
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            yield entry, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, leave)


def _size(count: int) -> str:
    value, unit = float(count), "bytes"
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            break
        value /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
