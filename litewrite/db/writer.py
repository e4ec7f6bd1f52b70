"""The writer: one thread that owns the only connection which commits and checkpoints.

Units of work wait in a queue. The thread takes as many as there are, runs them one after the other in one transaction,
commits once and hands the whole group back to the event loop in one call. Savepoints would halve the rate, so a unit
that fails after it changed something, a transaction that SQLite gave up and a COMMIT that fails have one answer:
nothing of the group counts, and its units run again, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litewrite.db import migrate
from litewrite.db.connections import Durability, open_writer, prepare_file, translate
from litewrite.db.engine import Recorder
from litewrite.db.ids import IdGenerator
from litewrite.db.log_file import Checkpoints
from litewrite.db.stores import Stores
from litewrite.db.transaction import Action, Job, SqliteTransaction
from litewrite.errors import DatabaseUnavailable, DeadlineExceeded, LitewriteError, Overloaded

log = logging.getLogger(__name__)

_STOPPING = "The database is being closed"
_ID_MARK = "id_mark"
_KEEP = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_MOST_DOUBTFUL = 10_000
_PAUSE_SECONDS = 0.1

Deliver = Callable[[Sequence[Job], Sequence[Action]], None]


@dataclass(frozen=True, slots=True)
class WriterOptions:
    durability: Durability
    group_units: int
    group_seconds: float
    queue_limit: int
    background_limit: int
    migrations: Path


class Writer:
    """Runs units of work. All methods but `submit` belong to the event loop that calls `open`.

    `deliver` is called on that loop with the finished jobs of a group, in order, and with actions of earlier jobs that
    can run now.
    """

    def __init__(self, path: Path, options: WriterOptions, make_stores: Callable[[], Stores], deliver: Deliver) -> None:
        self.path = path
        self.recorder: Recorder | None = None
        self.jobs: deque[Job] = deque()
        self.background: deque[Job] = deque()
        self.units = self.failed = self.groups = self.commits = self.reruns = self.dropped = 0
        self._options = options
        self._make_stores = make_stores
        self._deliver = deliver
        self._wake = threading.Event()
        self._finish = threading.Event()
        self._sleeping = False
        self._stopping = True  # until it is open
        self._stop_at = 0.0
        self._ended = False
        self._taken: list[Job] = []
        """Jobs taken off the queues and not answered yet."""
        self._doubtful: list[Action] = []
        """What undoes units of which it is not certain yet that they did not commit."""
        self._released: list[Action] = []

    # On the event loop

    async def open(self) -> None:
        """Open the file, bring it up to date and begin to accept units. Raises what `prepare_file` and `migrate` do."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._stopping = False
        # A daemon, so that a program which dies without closing the database ends all the same.
        self._thread = threading.Thread(target=self._main, args=(opened,), name="litewrite-writer", daemon=True)
        self._thread.start()
        try:
            await asyncio.shield(opened)
        except BaseException:
            self._stopping = True
            self._finish.set()
            self._wake.set()
            # Whoever opens the file next must not meet a thread that is still making it.
            await asyncio.wait((opened,))
            await asyncio.to_thread(self._thread.join)
            raise

    def submit(self, job: Job, background: bool) -> None:
        """Queue a job. Raises `Overloaded` when too many wait, `DatabaseUnavailable` when the writer is stopping."""
        if self._stopping:
            raise DatabaseUnavailable(_STOPPING)
        if background:
            if len(self.background) >= self._options.background_limit:
                raise Overloaded
            self.background.append(job)
        else:
            if len(self.jobs) >= self._options.queue_limit:
                raise Overloaded
            self.jobs.append(job)
        if self._sleeping:
            self._wake.set()
        if self._ended:  # only another thread's call can come this late
            self._refuse_waiting()

    async def drain(self, seconds: float) -> None:
        """Accept no more units, finish those that wait; after `seconds` break off what runs and refuse the rest."""
        self._stop_at = time.monotonic() + seconds
        self._stopping = True
        self._wake.set()
        done, _ = await asyncio.wait((self._drained,), timeout=seconds)
        if not done:
            self._connection.interrupt()
            done, _ = await asyncio.wait((self._drained,), timeout=1.0)
        if not done:
            log.error("a unit of work does not end; the database is left to it")

    async def close(self) -> None:
        """After `drain`: checkpoint and close the connection."""
        self._finish.set()
        if self._drained.done():
            await self._closed
            self._thread.join()

    # On the writer's thread

    def _main(self, opened: asyncio.Future[None]) -> None:
        try:
            self._open()
        except BaseException as error:
            self._tell(opened, error)
            return
        self._tell(opened)
        while True:
            try:
                if not self._turn():
                    break
            except BaseException:
                log.critical("the writer met an error of its own and goes on", exc_info=True)
                self._recover()
        self._ended = True
        self._refuse_waiting()
        self._tell(self._drained)
        self._finish.wait()
        try:
            self.checkpoints.close()
            self._connection.close()
        except sqlite3.Error:
            log.exception("the database could not be closed")
        self._tell(self._closed)

    def _open(self) -> None:
        options = self._options
        migrations = migrate.load(options.migrations)
        prepare_file(self.path, migrations)
        self._connection = open_writer(self.path, options.durability)
        try:
            migrate.migrate(self._connection, migrations)
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (_ID_MARK,)).fetchone()
            self._mark = 0 if row is None else int(row[0])
            self._ids = IdGenerator(self._mark)
            self._tx = SqliteTransaction(self._connection, self._ids, self._make_stores())
            self.checkpoints = Checkpoints(self._connection, self.path)
        except BaseException:
            self._connection.close()
            raise

    def _turn(self) -> bool:
        """Do the next thing there is to do; False when there will be nothing more."""
        if self._stopping and time.monotonic() >= self._stop_at:
            return False
        if self.jobs:
            self._group()
        elif self._stopping:
            return False
        elif self.background:
            self._slice()
        else:
            return self._sleep()
        self.checkpoints.after_commit()
        return True

    def _sleep(self) -> bool:
        # The flag goes up before the queues are looked at a last time, so a job is either seen here or wakes us.
        self._wake.clear()
        self._sleeping = True
        if not (self.jobs or self.background or self._stopping):
            woken = self._wake.wait(self.checkpoints.idle_after())
            if not woken:
                self.checkpoints.when_idle()
        self._sleeping = False
        return True

    def _group(self) -> None:
        """Run what waits as one transaction."""
        jobs, options, tx = self.jobs, self._options, self._tx
        try:
            tx.begin()
        except sqlite3.Error as error:
            self._fail_waiting(translate(error))
            return
        tx.recorder = self.recorder
        limit = time.perf_counter() + options.group_seconds
        group: list[Job] = []
        finished = self._taken
        intact = True
        while jobs:
            job = jobs.popleft()
            finished.append(job)
            if job.future.cancelled():
                self._drop(job)
                continue
            group.append(job)
            intact = self._attempt(job)
            if not intact or len(group) >= options.group_units or time.perf_counter() >= limit:
                break
        tx.leave()
        self.groups += 1
        self.units += len(group)
        if intact:
            failure, certain = self._commit()
            if failure is not None and len(group) > 1:
                log.warning("a commit of %d units failed and is done again one by one: %s", len(group), failure)
                self._again(finished, group)
                return
            for job in group:
                job.error = failure or job.error
                if job.error is not None:
                    self._undo(job, certain)
        else:
            self._roll_back()
            if len(group) > 1:
                self._again(finished, group)
                return
            self._give_up(group[0])
        self._publish(finished)

    def _again(self, finished: list[Job], group: list[Job]) -> None:
        """Run the units of a group that did not count, each in its own transaction."""
        self.reruns += 1
        waiting = set(map(id, group))
        start = 0
        limit = time.perf_counter() + self._options.group_seconds
        for index, job in enumerate(finished, 1):
            if id(job) not in waiting:
                continue
            if self._stopping and time.monotonic() >= self._stop_at:
                job.error = DatabaseUnavailable(_STOPPING)
                self._undo(job, True)
            else:
                self._alone(job)
            if time.perf_counter() >= limit:
                self._publish(finished[start:index], finished[index:])
                start = index
                limit = time.perf_counter() + self._options.group_seconds
        self._publish(finished[start:])

    def _slice(self) -> None:
        """Run one background unit."""
        job = self.background.popleft()
        self._taken.append(job)
        if job.future.cancelled():
            self._drop(job)
        else:
            self.units += 1
            self._alone(job)
        self._publish([job])

    def _alone(self, job: Job) -> None:
        """Run a unit in a transaction of its own and settle what came of it."""
        tx = self._tx
        try:
            tx.begin()
        except sqlite3.Error as error:
            job.error = translate(error)
            self._undo(job, True)
            return
        tx.recorder = self.recorder
        intact = self._attempt(job)
        tx.leave()
        if not intact or job.error is not None:
            self._roll_back()
            self._give_up(job)
            return
        job.error, certain = self._commit()
        if job.error is not None:
            self._undo(job, certain)

    def _attempt(self, job: Job) -> bool:
        """Run a unit; False when the transaction can no longer be committed for the others."""
        tx = self._tx
        job.events = job.stale = job.actions = job.error = job.result = None
        tx.enter(job)
        try:
            job.result = job.unit(tx)
        except BaseException as error:
            job.error = error
            return tx.untouched
        return self._connection.in_transaction

    def _commit(self) -> tuple[Exception | None, bool]:
        """Commit, or roll back and return why, and whether it is certain that nothing was written.

        It is not when SQLite gave the transaction up in the COMMIT: its frames may be in the log and would count after
        a crash, until the next commit has written over them.
        """
        mark = self._ids.mark
        reached = False
        try:
            if mark != self._mark:
                self._tx.execute(_KEEP, (_ID_MARK, mark))
            writes = self._tx.writes
            reached = True
            self._tx.commit()
        except (sqlite3.Error, LitewriteError) as error:
            certain = not reached or self._connection.in_transaction
            self._roll_back()
            return translate(error) if isinstance(error, sqlite3.Error) else error, certain
        self._mark = mark
        self.commits += 1
        if writes and self._doubtful:
            self._released += self._doubtful
            self._doubtful = []
        return None, True

    def _roll_back(self) -> None:
        try:
            self._tx.rollback()
        except sqlite3.Error:
            log.exception("a rollback failed")

    def _recover(self) -> None:
        """After an error in the writer itself: answer who is left, without saying whether their units committed."""
        self._tx.leave()
        self._roll_back()
        for job in self._taken:
            job.events = job.stale = job.actions = None
            job.error = DatabaseUnavailable()
        self._publish(self._taken)
        self._finish.wait(_PAUSE_SECONDS)

    def _give_up(self, job: Job) -> None:
        if self._stopping and isinstance(job.error, DeadlineExceeded):
            job.error = DatabaseUnavailable(_STOPPING)
        elif job.error is None:  # the unit went on after SQLite had rolled back under it
            job.error = DatabaseUnavailable("The transaction was rolled back")
        self._undo(job, True)

    def _drop(self, job: Job) -> None:
        self.dropped += 1
        job.actions = job.undo

    def _undo(self, job: Job, certain: bool) -> None:
        """Settle a job whose unit did not commit."""
        self.failed += 1
        job.events = job.stale = job.actions = None
        job.result = None
        if certain:
            job.actions = job.undo
        elif job.undo:
            if len(self._doubtful) >= _MOST_DOUBTFUL:
                log.error("what %d failed units made cannot be removed: the disk fails for too long", _MOST_DOUBTFUL)
            else:
                self._doubtful += job.undo
        if job.future.cancelled() and not isinstance(job.error, LitewriteError):
            log.error("a unit of work failed after its caller had gone", exc_info=job.error)

    def _publish(self, jobs: Sequence[Job], left: Sequence[Job] = ()) -> None:
        """Hand finished jobs to the loop; `left` are those of the group that are still to be done."""
        self._taken = list(left)
        released, self._released = self._released, []
        if jobs or released:
            self._call(self._deliver, jobs, released)

    def _fail_waiting(self, error: Exception) -> None:
        """Answer all that wait: a file that cannot be written to would make each wait for its turn in vain."""
        finished: list[Job] = []
        while self.jobs:
            job = self.jobs.popleft()
            job.error = error
            self._undo(job, True)
            finished.append(job)
        self._publish(finished)

    def _refuse_waiting(self) -> None:
        self._fail_waiting(DatabaseUnavailable(_STOPPING))
        while self.background:
            self.jobs.append(self.background.popleft())
        self._fail_waiting(DatabaseUnavailable(_STOPPING))

    def _tell(self, future: asyncio.Future[None], error: BaseException | None = None) -> None:
        def settle() -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._call(settle)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            log.error("the event loop was closed before its database")
