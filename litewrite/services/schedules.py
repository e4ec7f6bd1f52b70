"""Starts functions by their schedules, in UTC.

When a function is due is a column of its row. The unit that queues its execution also plans the next run, after the
present moment: so nothing runs twice, and of all the runs that were missed while the server was off one is made up.

The clock of the machine may be set while the server runs. Set forward, that is like having been off. Set back, plans
made by the wrong clock may lie far ahead; so whenever the wall clock falls behind the steady one, and at the start,
every plan is held against its schedule. A last run that lies up to an hour in the future counts for that all the same,
or a small correction would have it made twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from litewrite.db import functions as function_rows
from litewrite.db.engine import Database, Transaction
from litewrite.db.functions import Plan
from litewrite.errors import LitewriteError
from litewrite.services.executions import Executions
from litewrite.services.functions import next_run

log = logging.getLogger(__name__)

SCHEDULE = "schedule"
LONGEST_SLEEP = 15.0
"""Seconds between two looks at the clock."""
RETRY_SECONDS = 1.0
SETBACK = 1.0
"""Seconds that the wall clock may fall behind before it counts as having been set back."""
CORRECTION = timedelta(hours=1)
"""Largest setback after which runs of before still count."""
BATCH = 100


def utc_now() -> datetime:
    return datetime.now(UTC)


class Schedules:
    """Entering starts the work, leaving stops it after the unit that runs. `now` and `steady` are the two clocks."""

    def __init__(
        self,
        db: Database,
        executions: Executions,
        *,
        now: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._executions = executions
        self._now = now
        self._steady = steady
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._offset: float | None = None
        """Wall clock minus steady clock at the last look; None when plans are to be checked."""

    async def __aenter__(self) -> Self:
        self._db.on_invalidate(self._notice)
        self._task = asyncio.create_task(self._work(), name="litewrite-schedules")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _notice(self, kind: str, key: str) -> None:
        if kind == "functions":
            self._wake.set()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = await self.run_due()
            except LitewriteError as error:
                log.warning("scheduled functions are started later: %s", error)
                pause = RETRY_SECONDS
            except Exception:
                log.exception("scheduled functions are started later")
                pause = RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def run_due(self) -> float:
        """Start whatever is due now and return the seconds until it is time to look again."""
        await self._check_clock()
        while True:
            now = self._now()
            plans = await self._db.read(function_rows.planned(until=now, limit=BATCH))
            if not plans:
                break
            for plan in plans:
                await self._db.write(partial(self._run, plan, now))
        upcoming = await self._db.read(function_rows.next_planned())
        if upcoming is None:
            return LONGEST_SLEEP
        return min(max((upcoming - self._now()).total_seconds(), 0.0), LONGEST_SLEEP)

    def _run(self, plan: Plan, now: datetime, tx: Transaction) -> None:
        """A unit that starts a function, unless it was planned anew meanwhile."""
        if tx.run(function_rows.plan(plan.project_id, plan.function_id)) != plan:
            return
        tx.stores.functions.replan(tx, plan, next_run(plan.schedule, now), now)
        if not self._executions.queue(tx, plan.project_id, plan.function_id, SCHEDULE):
            log.warning("a scheduled run of the function %s is left out: too many of them wait", plan.function_id)

    async def _check_clock(self) -> None:
        offset = self._now().timestamp() - self._steady()
        if self._offset is None or offset < self._offset - SETBACK:
            await self._check_plans()
        self._offset = offset

    async def _check_plans(self) -> None:
        now = self._now()
        after = ""
        while True:
            plans = await self._db.read(function_rows.plans(after, BATCH))
            for plan in plans:
                if _planned_by(plan, now) != plan.next_at:
                    await self._db.write(partial(self._correct, plan, now))
            if len(plans) < BATCH:
                return
            after = plans[-1].function_id

    @staticmethod
    def _correct(plan: Plan, now: datetime, tx: Transaction) -> None:
        if tx.run(function_rows.plan(plan.project_id, plan.function_id)) == plan:
            log.info("the next run of the function %s is planned anew: the clock was set", plan.function_id)
            tx.stores.functions.replan(tx, plan, _planned_by(plan, now), plan.previous_at)


def _planned_by(plan: Plan, now: datetime) -> datetime | None:
    """When a function should run next: as it is planned, unless the schedule has it run earlier."""
    previous = plan.previous_at
    after = max(now, previous) if previous is not None and previous - now <= CORRECTION else now
    earliest = next_run(plan.schedule, after)
    return plan.next_at if earliest is None else min(plan.next_at, earliest)
