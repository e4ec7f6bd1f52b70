"""Reads: at once on the event loop's own connection, or on one of a few pooled connections with a thread each.

Whichever it is, all rows are fetched in one go, so no read transaction outlives its statement: the next one sees every
commit, and the log can be checkpointed.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from litewrite.db.connections import open_inline, pooled_settings, primary_code, translate
from litewrite.db.query import Row, Value
from litewrite.errors import DatabaseUnavailable, DeadlineExceeded, Overloaded

if TYPE_CHECKING:
    import aiosqlite

log = logging.getLogger(__name__)

_STOPPING = "The database is being closed"
_STEP = 5_000
_INTERRUPT_SECONDS = 0.01
_ELSEWHERE = frozenset((sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))


class InlineReader:
    """The connection of the event loop. A statement has a budget of virtual machine instructions (25,000 ≈ 1 ms)."""

    def __init__(self, path: Path, budget: int) -> None:
        self.reads = 0
        self.fallbacks = 0
        self._connection = open_inline(path)
        self._cursor = self._connection.cursor()
        self._step = min(_STEP, budget)
        self._steps = budget // self._step
        self._left = self._steps
        self._connection.set_progress_handler(self._spend, self._step)

    def _spend(self) -> int:
        # SQLite counts the instructions of a prepared statement over all its runs, so the first call may come early.
        self._left -= 1
        return self._left < 0

    def fetch(self, sql: str, params: Sequence[Value]) -> list[Row] | None:
        """All rows, or None when the statement is too long for the event loop or would have to wait for a lock."""
        self._left = self._steps
        try:
            rows = self._cursor.execute(sql, params).fetchall()
        except BaseException as error:
            # An unfinished statement would hold its snapshot, and the next read would not see new commits.
            self._cursor.close()
            self._cursor = self._connection.cursor()
            if not isinstance(error, sqlite3.Error):
                raise
            if primary_code(error) in _ELSEWHERE:
                self.fallbacks += 1
                return None
            kind = translate(error)
            if kind is error:
                raise
            raise kind from error
        self.reads += 1
        return rows

    def close(self) -> None:
        self._connection.close()


class ReaderPool:
    """Up to `size` connections, opened when first needed. One reader at a time uses a connection.

    A statement that nobody waits for any more is interrupted, and its connection is used again only when its thread has
    come to rest.
    """

    def __init__(self, path: Path, size: int, waiting_limit: int) -> None:
        self.reads = 0
        self.interrupted = 0
        self.waiting = 0
        self._path = path
        self._waiting_limit = waiting_limit
        self._slots = asyncio.Semaphore(size)
        self._idle: list[aiosqlite.Connection] = []
        self._busy: set[aiosqlite.Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def connections(self) -> int:
        return len(self._idle) + len(self._busy)

    async def fetch(self, sql: str, params: Sequence[Value], seconds: float) -> list[Row]:
        """All rows. `seconds` covers the wait for a connection as well.

        Raises `DeadlineExceeded`, `Overloaded` when too many wait, `DatabaseUnavailable` when the file cannot be read.
        """
        end = asyncio.get_running_loop().time() + seconds
        await self._slot(end)
        connection = self._idle.pop() if self._idle else await self._connect(end)
        self._busy.add(connection)
        try:
            async with asyncio.timeout_at(end):
                rows = cast("list[Row]", await connection.execute_fetchall(sql, params))
        except (asyncio.CancelledError, TimeoutError) as error:
            self.interrupted += 1
            self._keep(self._rest(connection))
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded from None
            raise
        except BaseException as error:
            self._busy.discard(connection)
            self._keep(self._retire(connection))
            if isinstance(error, sqlite3.Error):
                raise self._kind(error) from error
            raise
        self._give_back(connection)
        self.reads += 1
        return rows

    async def close(self, seconds: float = 2.0) -> None:
        """Interrupt what runs, refuse what waits and close all connections."""
        self._closed = True
        end = asyncio.get_running_loop().time() + seconds
        while (self._busy or self._tasks or self.waiting) and asyncio.get_running_loop().time() < end:
            for connection in tuple(self._busy):
                await connection.interrupt()
            await asyncio.sleep(_INTERRUPT_SECONDS)
        if self._busy:
            log.error("%d reads do not end; their connections are left to them", len(self._busy))
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _slot(self, end: float) -> None:
        """Take one of the places for readers; whoever holds a connection holds its place."""
        if self._slots.locked():
            if self.waiting >= self._waiting_limit:
                raise Overloaded
            self.waiting += 1
            try:
                async with asyncio.timeout_at(end):
                    await self._slots.acquire()
            except TimeoutError:
                raise DeadlineExceeded from None
            finally:
                self.waiting -= 1
        else:
            await self._slots.acquire()
        if self._closed:
            self._slots.release()
            raise DatabaseUnavailable(_STOPPING)

    async def _connect(self, end: float) -> aiosqlite.Connection:
        opening = asyncio.ensure_future(self._dial())
        try:
            async with asyncio.timeout_at(end):
                return await asyncio.shield(opening)
        except (asyncio.CancelledError, TimeoutError) as error:
            self._keep(self._adopt(opening))
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded from None
            raise
        except BaseException as error:
            self._slots.release()
            if isinstance(error, sqlite3.Error):
                raise self._kind(error) from error
            raise

    async def _dial(self) -> aiosqlite.Connection:
        import aiosqlite  # a server whose reads are all short never needs it

        return await aiosqlite.connect(self._path, **pooled_settings())

    async def _adopt(self, opening: asyncio.Future[aiosqlite.Connection]) -> None:
        """Take in a connection whose caller has gone before it was open."""
        try:
            self._idle.append(await opening)
        finally:
            self._slots.release()

    def _give_back(self, connection: aiosqlite.Connection) -> None:
        self._busy.discard(connection)
        self._idle.append(connection)
        self._slots.release()

    async def _rest(self, connection: aiosqlite.Connection) -> None:
        """Interrupt what a connection runs, wait until its thread is idle and give it back.

        An interrupt that comes before the thread has begun is lost, hence it is repeated. A statement queued behind the
        other tells when the thread has come to it.
        """
        idle = asyncio.ensure_future(connection.execute_fetchall("SELECT 1"))
        while not idle.done():
            await connection.interrupt()
            await asyncio.wait((idle,), timeout=_INTERRUPT_SECONDS)
        error = idle.exception()
        if error is None or (isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_INTERRUPT):
            self._give_back(connection)
        else:
            self._busy.discard(connection)
            await self._retire(connection)

    async def _retire(self, connection: aiosqlite.Connection) -> None:
        """Close a connection after an error: what is left of its statement goes with it."""
        try:
            await connection.close()
        finally:
            self._slots.release()

    def _kind(self, error: sqlite3.Error) -> Exception:
        if self._closed and primary_code(error) == sqlite3.SQLITE_INTERRUPT:
            return DatabaseUnavailable(_STOPPING)
        return translate(error)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a reading connection was lost", exc_info=error)
