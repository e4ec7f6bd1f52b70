"""The engine for one SQLite file: units of work go to the writer's thread, reads never wait for it.

The event loop that opens the database is its home: listeners and actions run there, and reads are made there. Units of
work may be handed in from other event loops too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from litewrite.db import migrate
from litewrite.db.connections import Durability, has_wal_reset_bug, sqlite_version
from litewrite.db.engine import Recorder, Unit
from litewrite.db.query import Query
from litewrite.db.readers import InlineReader, ReaderPool
from litewrite.db.stores import Stores
from litewrite.db.transaction import Action, Job
from litewrite.db.writer import Writer, WriterOptions
from litewrite.errors import DatabaseUnavailable
from litewrite.events import Event

__all__ = ["SqliteDatabase", "Statistics", "has_wal_reset_bug", "sqlite_version"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_INTEGRITY_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since the database was opened, except for the first group, which is the present state."""

    queue_length: int
    background_length: int
    readers_waiting: int
    reader_connections: int
    log_bytes: int

    units: int
    failed: int
    dropped: int
    groups: int
    reruns: int
    commits: int
    checkpoints: int
    inline_reads: int
    inline_fallbacks: int
    pool_reads: int
    interrupted_reads: int


class SqliteDatabase:
    """A database in one file, open while the context is.

    `durability` "full" syncs every commit, so that what was answered survives a power cut; "normal" survives the end of
    the process only. `pool_size` connections serve reads that are no short look-ups. A group of units ends at
    `group_units` units or after `group_seconds`. More than `queue_limit` waiting units, or `waiting_limit` waiting
    reads, are refused. `inline_budget` is in instructions of SQLite's virtual machine, about 25 a microsecond.
    `close_seconds` is how long closing waits for units that were accepted.

    Entering raises `DataRefused` (a file that is not ours to write to, left untouched) and `MigrationError`.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = "full",
        migrations: Path | None = None,
        pool_size: int = 4,
        make_stores: Callable[[], Stores] = Stores,
        group_units: int = 256,
        group_seconds: float = 0.005,
        queue_limit: int = 4_096,
        background_limit: int = 256,
        waiting_limit: int = 1_024,
        inline_budget: int = 50_000,
        close_seconds: float = 2.0,
    ) -> None:
        self.path = path
        self._pool_size = pool_size
        self._waiting_limit = waiting_limit
        self._inline_budget = inline_budget
        self._close_seconds = close_seconds
        self._invalidate_listeners: list[Callable[[str, str], None]] = []
        self._event_listeners: list[Callable[[list[Event]], None]] = []
        options = WriterOptions(
            durability=durability,
            group_units=group_units,
            group_seconds=group_seconds,
            queue_limit=queue_limit,
            background_limit=background_limit,
            migrations=migrations or migrate.FOLDER,
        )
        self._writer = Writer(path, options, make_stores, self._deliver)
        self._home: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        await self._writer.open()
        try:
            self._inline = InlineReader(self.path, self._inline_budget)
        except BaseException:
            await self._close_writer()
            raise
        self._pool = ReaderPool(self.path, self._pool_size, self._waiting_limit)
        self._home = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._writer.drain(self._close_seconds)
            await self._pool.close()
        finally:
            self._home = None
            self._inline.close()
            await self._writer.close()

    async def _close_writer(self) -> None:
        await self._writer.drain(self._close_seconds)
        await self._writer.close()

    async def write(self, unit: Unit[T], *, background: bool = False, on_rollback: Action | None = None) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._writer.submit(Job(unit, future, on_rollback), background)
        except BaseException:
            if on_rollback is not None:
                on_rollback()
            raise
        try:
            return await future
        finally:
            del future  # an exception's traceback holds this frame, and the future holds the exception

    async def read(self, query: Query[T], *, deadline: float = 10.0) -> T:
        if asyncio.get_running_loop() is not self._home:
            if self._home is None:
                raise DatabaseUnavailable("The database is not open")
            raise RuntimeError("reads belong to the event loop that opened the database")
        rows = self._inline.fetch(query.sql, query.params) if query.inline else None
        if rows is None:
            rows = await self._pool.fetch(query.sql, query.params, deadline)
        return query.decode(rows)

    def on_invalidate(self, listener: Callable[[str, str], None]) -> None:
        self._invalidate_listeners.append(listener)

    def on_events(self, listener: Callable[[list[Event]], None]) -> None:
        self._event_listeners.append(listener)

    def set_recorder(self, recorder: Recorder) -> None:
        self._writer.recorder = recorder

    async def check_integrity(self, quick: bool = True) -> list[str]:
        """What is wrong with the file, a line each; nothing when it is sound. Takes long on a long file.

        `quick` leaves out whether indexes agree with their tables.
        """
        pragma = "quick_check" if quick else "integrity_check"
        found = await self._pool.fetch(f"PRAGMA {pragma}", (), _INTEGRITY_SECONDS)
        problems = [str(row[0]) for row in found if row[0] != "ok"]
        orphans = await self._pool.fetch("PRAGMA foreign_key_check", (), _INTEGRITY_SECONDS)
        problems += [f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}" for row in orphans]
        return problems

    def statistics(self) -> Statistics:
        """For health and doctor. Only while the database is open."""
        writer, pool, inline = self._writer, self._pool, self._inline
        return Statistics(
            queue_length=len(writer.jobs),
            background_length=len(writer.background),
            readers_waiting=pool.waiting,
            reader_connections=pool.connections,
            log_bytes=writer.checkpoints.log_bytes(),
            units=writer.units,
            failed=writer.failed,
            dropped=writer.dropped,
            groups=writer.groups,
            reruns=writer.reruns,
            commits=writer.commits,
            checkpoints=writer.checkpoints.passive + writer.checkpoints.truncating,
            inline_reads=inline.reads,
            inline_fallbacks=inline.fallbacks,
            pool_reads=pool.reads,
            interrupted_reads=pool.interrupted,
        )

    def _deliver(self, jobs: Sequence[Job], released: Sequence[Action]) -> None:
        """Tell listeners what a group changed, then answer its callers. Runs on the home loop."""
        events: list[Event] = []
        actions = list(released)
        for job in jobs:
            if job.stale is not None:
                for kind, key in job.stale:
                    for forget in self._invalidate_listeners:
                        try:
                            forget(kind, key)
                        except Exception:
                            log.exception("a listener failed to forget %s %s", kind, key)
            if job.events is not None:
                events += job.events
            if job.actions is not None:
                actions += job.actions
        if events:
            for listener in self._event_listeners:
                try:
                    listener(list(events))
                except Exception:
                    log.exception("a listener failed on %d events", len(events))
        for action in actions:
            try:
                action()
            except Exception:
                log.exception("an action after a unit of work failed")
        home = asyncio.get_running_loop()
        for job in jobs:
            loop = job.future.get_loop()
            if loop is home:
                _answer(job)
            else:
                try:
                    loop.call_soon_threadsafe(_answer, job)
                except RuntimeError:
                    log.warning("the event loop of a unit's caller was closed before the answer")


def _answer(job: Job) -> None:
    future, result, error = job.future, job.result, job.error
    # The frames behind an exception hold the job: as long as it held the exception too, only the collector freed both.
    del job.future, job.result, job.error
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):  # which a future cannot carry
        future.set_exception(RuntimeError("a unit of work raised StopIteration"))
    else:
        future.set_exception(error)
