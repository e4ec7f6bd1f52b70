"""The seam to the SQL engine: units of work, transactions and reads.

Everything above is written against these two protocols; `sqlite.py` is the engine for one file. An engine for a server
database arrives as a new file beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from litewrite.db.query import Query, Row, Value
from litewrite.events import Event

if TYPE_CHECKING:
    from litewrite.db.stores import Stores

T = TypeVar("T")


class Transaction(Protocol):
    """What a unit of work may do. It lives on the writer's thread and only as long as its unit runs.

    A unit is a function of its transaction alone and may be run twice, so it keeps no state of its own between runs.
    """

    now: datetime
    """The moment of the unit, aware, in UTC; the same for all that the unit writes."""

    stores: Stores

    def execute(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Run one changing statement and return the number of rows it touched."""
        ...

    def execute_many(self, sql: str, params: Sequence[Sequence[Value]]) -> None: ...

    def rows(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...

    def row(self, sql: str, params: Sequence[Value] = ()) -> Row | None: ...

    def run(self, query: Query[T]) -> T: ...

    def new_id(self) -> str: ...

    @property
    def id_mark(self) -> str:
        """The last id given out: every existing id is at most this."""
        ...

    def emit(self, event: Event) -> None:
        """Hand on an event after the commit. What must survive a crash is written to the outbox by the recorder."""
        ...

    def invalidate(self, kind: str, key: str) -> None:
        """Tell caches after the commit, before the caller is answered, that what they hold for (kind, key) is stale."""
        ...

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run something short on the event loop once the transaction has committed, before the caller is answered."""
        ...

    def on_rollback(self, action: Callable[[], None]) -> None:
        """Run something short on the event loop once it is certain that the unit did not commit.

        A unit that ran twice and failed has the actions of both runs called, so an action can be repeated.
        """
        ...


Unit = Callable[[Transaction], T]
Recorder = Callable[[Transaction, Event], None]
"""Writes what an event leaves behind in the transaction (outbox rows); called on the writer's thread."""


class Database(Protocol):
    async def write(
        self, unit: Unit[T], *, background: bool = False, on_rollback: Callable[[], None] | None = None
    ) -> T:
        """Run a unit of work and answer once it has committed.

        Raises whatever the unit raises (nothing of it is kept then), `Overloaded` when too many units wait,
        `StorageFull` when the disk is full. A caller that is cancelled before its unit began takes it back; one that
        began runs to its end. Background units wait behind all others.

        `on_rollback` is for what was made before the unit, such as a blob: it runs on the event loop once it is certain
        that the unit did not commit, also when the unit never began.
        """
        ...

    async def read(self, query: Query[T], *, deadline: float = 10.0) -> T:
        """Run a query on what has been committed. Raises `DeadlineExceeded` after `deadline` seconds."""
        ...

    def on_invalidate(self, listener: Callable[[str, str], None]) -> None: ...

    def on_events(self, listener: Callable[[list[Event]], None]) -> None: ...

    def set_recorder(self, recorder: Recorder) -> None: ...
