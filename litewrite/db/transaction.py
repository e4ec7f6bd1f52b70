"""A unit of work while it runs: the job that carries it and the transaction that it is given.

One `SqliteTransaction` serves all units of the writing connection one after the other, and one cursor all their
statements; what belongs to a single unit is kept in its job. So a unit costs next to nothing beyond its statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from litewrite.db.connections import translate
from litewrite.db.engine import Recorder, Unit
from litewrite.db.ids import IdGenerator, unpack
from litewrite.db.query import Query, Row, Value
from litewrite.db.stores import Stores
from litewrite.errors import DatabaseUnavailable
from litewrite.events import Event

T = TypeVar("T")
Action = Callable[[], None]

_OUTSIDE = "A transaction is used outside of the unit of work that it was given to"


class Job:
    """A unit on its way through the writer, and what came of it."""

    __slots__ = ("actions", "error", "events", "future", "result", "stale", "undo", "unit")

    def __init__(self, unit: Unit[Any], future: asyncio.Future[Any], on_rollback: Action | None = None) -> None:
        self.unit = unit
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.events: list[Event] | None = None
        self.stale: list[tuple[str, str]] | None = None
        self.actions: list[Action] | None = None
        """What runs on the loop before the caller is answered."""
        self.undo: list[Action] | None = None if on_rollback is None else [on_rollback]


class SqliteTransaction:
    """The `Transaction` of the one writing connection. Used on its thread only, which SQLite's driver enforces."""

    __slots__ = (
        "_begun",
        "_connection",
        "_cursor",
        "_execute",
        "_execute_many",
        "_ids",
        "_job",
        "_started",
        "now",
        "recorder",
        "stores",
    )

    def __init__(self, connection: sqlite3.Connection, ids: IdGenerator, stores: Stores) -> None:
        self.now = datetime.now(UTC)
        self.stores = stores
        self.recorder: Recorder | None = None
        self._connection = connection
        self._ids = ids
        self._cursor = connection.cursor()
        self._execute: Callable[..., sqlite3.Cursor] = self._gone
        self._execute_many: Callable[..., sqlite3.Cursor] = self._gone
        self._started = 0
        self._begun = -1
        self._job: Job | None = None

    # What the writer calls

    def begin(self) -> None:
        """Start a transaction. Raises `sqlite3.Error`."""
        self._cursor.execute("BEGIN IMMEDIATE")
        self._started = self._connection.total_changes
        self._execute = self._cursor.execute
        self._execute_many = self._cursor.executemany

    def enter(self, job: Job) -> None:
        """Give the transaction to a unit."""
        self._job = job
        self.now = datetime.now(UTC)
        self._begun = self._connection.total_changes

    def leave(self) -> None:
        self._job = None

    @property
    def untouched(self) -> bool:
        """Whether the transaction is as it was when the present unit was entered."""
        return self._connection.total_changes == self._begun and self._connection.in_transaction

    @property
    def writes(self) -> bool:
        """Whether rows were changed since `begin`."""
        return self._connection.total_changes != self._started

    def commit(self) -> None:
        """Raises `sqlite3.Error`; whether a transaction is still open then tells if anything may have been written."""
        self._close()
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        self._close()
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")
        self.stores.forget()

    def _close(self) -> None:
        self._execute = self._execute_many = self._gone

    # What units call

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """A statement that begins with WITH, or changes the schema, costs a little more than others."""
        try:
            count = self._execute(sql, params).rowcount
            return count if count >= 0 else self._count(sql)
        except sqlite3.Error as error:
            self._check(error)
            raise

    def execute_many(self, sql: str, params: Sequence[Sequence[Value]]) -> None:
        try:
            self._execute_many(sql, params)
        except sqlite3.Error as error:
            self._check(error)
            raise

    def rows(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        try:
            return self._execute(sql, params).fetchall()
        except sqlite3.Error as error:
            self._check(error)
            raise

    def row(self, sql: str, params: Sequence[Value] = ()) -> Row | None:
        try:
            row: Row | None = self._execute(sql, params).fetchone()
        except sqlite3.Error as error:
            self._check(error)
            raise
        return row

    def run(self, query: Query[T]) -> T:
        return query.decode(self.rows(query.sql, query.params))

    def new_id(self) -> str:
        return unpack(self._ids.next())

    @property
    def id_mark(self) -> str:
        return unpack(self._ids.mark)

    def emit(self, event: Event) -> None:
        job = self._job
        if job is None:
            raise RuntimeError(_OUTSIDE)
        if self.recorder is not None:
            self.recorder(self, event)
        if job.events is None:
            job.events = [event]
        else:
            job.events.append(event)

    def invalidate(self, kind: str, key: str) -> None:
        job = self._job
        if job is None:
            raise RuntimeError(_OUTSIDE)
        if job.stale is None:
            job.stale = [(kind, key)]
        else:
            job.stale.append((kind, key))

    def after_commit(self, action: Action) -> None:
        job = self._job
        if job is None:
            raise RuntimeError(_OUTSIDE)
        if job.actions is None:
            job.actions = [action]
        else:
            job.actions.append(action)

    def on_rollback(self, action: Action) -> None:
        job = self._job
        if job is None:
            raise RuntimeError(_OUTSIDE)
        if job.undo is None:
            job.undo = [action]
        else:
            job.undo.append(action)

    # Failure

    def _check(self, error: sqlite3.Error) -> None:
        """Raise the kind of a driver's error. A statement after the loss of the transaction would commit by itself."""
        if not self._connection.in_transaction:
            self._close()
        kind = translate(error)
        if kind is not error:
            raise kind from error

    def _gone(self, sql: str, params: object = ()) -> NoReturn:
        if self._job is None:
            raise RuntimeError(_OUTSIDE)
        raise DatabaseUnavailable("The transaction was rolled back")

    def _count(self, sql: str) -> int:
        """Rows of a statement whose count the driver does not tell: one that begins with WITH, or changes the schema.

        The schema is not part of `total_changes`, so from here on the unit counts as one that changed something.
        """
        self._cursor.fetchall()
        self._begun = -1
        if sql.lstrip()[:4].upper() != "WITH":
            return 0
        return int(self._cursor.execute("SELECT changes()").fetchone()[0])
