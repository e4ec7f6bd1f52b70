"""The database file and the connections to it: how it is made, recognised and opened, and what its errors mean.

No memory mapping: an I/O error on a mapped page is a signal that ends the process instead of an error to report.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from litewrite.db.migrate import DataRefused, Migration, check_version
from litewrite.db.sql_functions import register_functions
from litewrite.errors import DatabaseUnavailable, DeadlineExceeded, StorageFull

log = logging.getLogger(__name__)

Durability = Literal["full", "normal"]

APPLICATION_ID = 0x4C575254
"""Marks the file as ours (the letters LWRT)."""
PAGE_SIZE = 4096

_BUSY_SECONDS = 5.0
_STATEMENTS = 512
_WRITER_CACHE = 8_192  # KiB
_INLINE_CACHE = 8_192
_POOL_CACHE = 2_048
_LOG_LIMIT = 64 << 20
_OWNER_ONLY = 0o600
_UNUSABLE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    )
)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for errors that Python itself raises."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def translate(error: sqlite3.Error) -> Exception:
    """The kind of error that callers know. A broken constraint and a mistake in SQL stay what they are."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return StorageFull()
    if code == sqlite3.SQLITE_INTERRUPT:
        return DeadlineExceeded()
    if code in _UNUSABLE:
        log.error("the database cannot be used: %s (%s)", error, getattr(error, "sqlite_errorname", "unknown"))
        return DatabaseUnavailable()
    return error


def prepare_file(path: Path, migrations: Sequence[Migration]) -> None:
    """Make the file when there is none, readable for its owner only, or make sure that it is ours to open.

    Raises `DataRefused`, and leaves the file untouched, when it is no database of litewrite, is newer than this
    program, or lies beside a log that is not its own.
    """
    if path.exists() and path.stat().st_size > 0:
        try:
            _inspect(path, migrations)
        except sqlite3.Error as error:
            if primary_code(error) == sqlite3.SQLITE_NOTADB:
                raise DataRefused(f"{path} is no database of litewrite") from error
            raise DataRefused(f"{path} cannot be opened: {error}") from error
    else:
        _create(path)
    if os.name == "posix":
        for file in (path, *_companions(path)):
            if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(_OWNER_ONLY)


def _companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _inspect(path: Path, migrations: Sequence[Migration]) -> None:
    # Without a log the file is all there is, and reading it as immutable makes no log beside it.
    log_file = _companions(path)[0]
    mode = "mode=ro" if log_file.exists() and log_file.stat().st_size > 0 else "immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_BUSY_SECONDS)
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise DataRefused(f"{path} is no database of litewrite")
        check_version(connection, migrations)
    finally:
        connection.close()


def _create(path: Path) -> None:
    """Make an empty database under another name first: a crash in between leaves nothing half made at `path`."""
    for file in _companions(path):
        if file.exists() and file.stat().st_size > 0:
            raise DataRefused(f"{path} is missing but its log {file.name} is there: restore both, or move the log away")
    fresh = path.with_name(path.name + ".new")
    for file in (fresh, *_companions(fresh), fresh.with_name(fresh.name + "-journal")):
        file.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY))
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    finally:
        connection.close()
    if mode != "wal":
        raise DataRefused(f"{path.parent} is on a file system without shared memory, which SQLite's log needs")
    fresh.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    """The one connection that commits and checkpoints. Belongs to the thread that calls this."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, cached_statements=_STATEMENTS)
    try:
        connection.execute(f"PRAGMA synchronous = {durability.upper()}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE}")
        register_functions(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def set_patience(connection: sqlite3.Connection, patient: bool) -> None:
    """Whether the connection waits for locks of others (for some seconds) or gives up at once."""
    connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000) if patient else 0}")


class _Reader(sqlite3.Connection):
    """A connection that cannot change anything; set up by its constructor, on whichever thread it will be used."""

    cache = _POOL_CACHE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            self.execute("PRAGMA query_only = ON")
            self.execute("PRAGMA temp_store = MEMORY")
            self.execute(f"PRAGMA cache_size = -{self.cache}")
            register_functions(self)
        except BaseException:
            self.close()
            raise


class PooledConnection(_Reader):
    """Waits for locks: its thread has the time."""


class InlineConnection(_Reader):
    """Never waits for a lock, since the event loop would."""

    cache = _INLINE_CACHE


def pooled_settings() -> dict[str, Any]:
    """Arguments of `connect` for a connection of the pool."""
    return {
        "factory": PooledConnection,
        "timeout": _BUSY_SECONDS,
        "isolation_level": None,
        "cached_statements": _STATEMENTS // 2,
    }


def open_inline(path: Path) -> sqlite3.Connection:
    """The event loop's own connection. Belongs to the thread that calls this."""
    return sqlite3.connect(
        path, factory=InlineConnection, timeout=0, isolation_level=None, cached_statements=_STATEMENTS
    )


def sqlite_version() -> tuple[int, ...]:
    return sqlite3.sqlite_version_info


def has_wal_reset_bug(version: Sequence[int]) -> bool:
    """Whether two connections that commit or checkpoint at the same instant can lose commits (sqlite.org/wal.html).

    Fixed in 3.51.3, and in 3.50.7 and 3.44.6 of older lines. litewrite does neither on two connections.
    """
    release = tuple(version[:3])
    if release >= (3, 51, 3):
        return False
    return not ((3, 50, 7) <= release < (3, 51) or (3, 44, 6) <= release < (3, 45))
