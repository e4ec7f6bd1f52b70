"""Looks at a database file without changing anything, for when no server has it open."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import orjson

from litewrite.db import migrate
from litewrite.db.connections import APPLICATION_ID
from litewrite.db.ids import unpack
from litewrite.db.query import Query, many, scalar
from litewrite.db.sql_functions import register_functions

__all__ = ["INDEXED_FIELDS", "VERSION", "IndexedField", "Inspection", "inspect_file", "newest_version"]

VERSION: Query[int] = Query("SELECT coalesce(max(version), 0) FROM migrations", (), scalar, inline=False)
"""The number of the last migration that ran."""

_MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class IndexedField:
    """What the documents of a collection are filtered or sorted by through an index."""

    collection_id: str
    collection_name: str
    path: tuple[str, ...]
    kind: str
    is_ready: bool


INDEXED_FIELDS: Query[tuple[IndexedField, ...]] = Query(
    "SELECT c.id, c.name, f.path, f.kind, f.built_to IS NULL FROM indexed_fields f "
    "JOIN collections c ON c.id = f.collection_id ORDER BY c.id, f.id",
    (),
    many(lambda row: IndexedField(unpack(row[0]), row[1], tuple(orjson.loads(row[2])), row[3], bool(row[4]))),
    inline=False,
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file says about itself."""

    version: int
    """The number of the last migration that ran; 0 when the file has none."""
    problems: tuple[str, ...]
    """What is wrong, a line each; nothing when the file is sound."""
    indexed_fields: tuple[IndexedField, ...] = ()


def newest_version() -> int:
    """The schema version that this program brings a database to."""
    migrations = migrate.load()
    return migrations[-1].version if migrations else 0


def inspect_file(path: Path, *, alone: bool) -> Inspection:
    """Check a whole database file; takes long on a long file and blocks meanwhile.

    `alone` says that nobody can open the file meanwhile; a file without a log is then read without making one beside
    it. Raises OSError when the file cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    parameters = "mode=ro&immutable=1" if alone and not has_log else "mode=ro"
    with path.open("rb"):
        pass  # says better than SQLite why a file cannot be read
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{parameters}", uri=True)
        try:
            register_functions(connection)
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return Inspection(0, ("the file is no database of litewrite",))
            version = migrate.version_of(connection)
            found = connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})").fetchall()
            problems = [str(row[0]) for row in found if row[0] != "ok"]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_PROBLEMS)
            problems += [f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}" for row in orphans]
            fields: tuple[IndexedField, ...] = ()
            if not problems and version == newest_version():  # of other versions the tables may be different
                fields = INDEXED_FIELDS.decode(connection.execute(INDEXED_FIELDS.sql).fetchall())
            return Inspection(version, tuple(problems), fields)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return Inspection(0, (str(error),))
