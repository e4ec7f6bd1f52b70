"""Migrations: numbered SQL files that only go forward.

A file is named `0007_search.sql`; `0007_search.sqlite.sql` beside it takes its place on this engine. Each runs in one
transaction together with the row of `migrations` that records it, so a crash or an error leaves the version before.
Foreign keys are off while one runs (a table can then be rebuilt) and checked before it commits.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "migrations"

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+?)(?:\.([a-z]+))?\.sql")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_RECORD = """
CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
)
"""


class DataRefused(Exception):
    """The file was left untouched because this server must not write to it. `str()` is a sentence for the operator."""


class DataTooNew(DataRefused):
    """The file was written by a newer litewrite."""


class MigrationError(Exception):
    """A migration is malformed or failed; the file is at the version before it."""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str


def load(folder: Path = FOLDER, engine: str = "sqlite") -> tuple[Migration, ...]:
    """The migrations of a folder in the order of their numbers. Raises `MigrationError` for a bad name or number."""
    chosen: dict[int, Migration] = {}
    special: set[int] = set()
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is no name for a migration: expected 0007_words.sql")
        version, name, variant = int(match[1]), match[2], match[3]
        other = chosen.get(version)
        if other is not None and other.name != name:
            raise MigrationError(f"Two migrations have the number {version:04d}: {other.name} and {name}")
        if variant not in (None, engine) or (variant is None and version in special):
            continue
        if variant is not None:
            special.add(version)
        chosen[version] = Migration(version, name, path.read_text(encoding="utf-8"))
    return tuple(chosen[version] for version in sorted(chosen))


def statements(sql: str) -> Iterator[str]:
    """Split a script at the semicolons that end a statement, not at those in texts, comments and triggers.

    Raises `MigrationError` when the last statement does not end.
    """
    start = 0
    end = sql.find(";")
    while end >= 0:
        statement = sql[start : end + 1]
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            start = end + 1
        end = sql.find(";", end + 1)
    rest = _COMMENT.sub("", sql[start:]).strip()
    if rest:
        raise MigrationError(f"A statement does not end: {rest[:80]}")


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last migration that ran, 0 for a file without any."""
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'").fetchone()
    if known is None:
        return 0
    row = connection.execute("SELECT max(version) FROM migrations").fetchone()
    return int(row[0] or 0)


def check_version(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Raise `DataTooNew` when the file has migrations that this program does not know."""
    version = version_of(connection)
    newest = migrations[-1].version if migrations else 0
    if version > newest:
        raise DataTooNew(
            f"The database is at version {version}, this litewrite knows versions up to {newest}: "
            "use the newer litewrite that wrote it, or restore a backup from before"
        )


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> list[int]:
    """Run what has not run yet and return its numbers. The connection must be in autocommit mode.

    Raises `DataTooNew` before anything is touched, `MigrationError` when a migration fails.
    """
    check_version(connection, migrations)
    version = version_of(connection)
    waiting = [migration for migration in migrations if migration.version > version]
    if not waiting:
        return []
    enforced = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        for migration in waiting:
            _run(connection, migration)
    finally:
        connection.execute(f"PRAGMA foreign_keys = {int(enforced)}")
    return [migration.version for migration in waiting]


def _run(connection: sqlite3.Connection, migration: Migration) -> None:
    label = f"Migration {migration.version:04d}_{migration.name}"
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_RECORD)
        for statement in statements(migration.sql):
            connection.execute(statement).close()
            if not connection.in_transaction:
                raise MigrationError(f"{label} ended its own transaction")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise MigrationError(f"{label} leaves a row of {broken[0]} that refers to a missing row of {broken[2]}")
        connection.execute(
            "INSERT INTO migrations (version, name, applied_at) VALUES (?, ?, ?)",
            (migration.version, migration.name, time.time_ns() // 1000),
        )
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise MigrationError(f"{label} failed: {error}") from error
        raise
