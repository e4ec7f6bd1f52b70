"""Starts functions for the events that they ask for: from the outbox to the queue of executions.

The transaction that takes an event out of the outbox queues the execution, so each event starts one run, whatever ends
the server meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Self

from litewrite.db import functions as function_rows
from litewrite.db import outbox
from litewrite.db.engine import Database, Transaction
from litewrite.db.executions import Inputs
from litewrite.entities import Delivery
from litewrite.errors import LitewriteError
from litewrite.services.executions import Executions

log = logging.getLogger(__name__)

EVENT = "event"
BATCH = 50
"""Events that one unit takes."""
RETRY_SECONDS = 1.0


class EventRuns:
    """Entering starts the work, leaving stops it after the unit that runs."""

    def __init__(self, db: Database, executions: Executions) -> None:
        self._db = db
        self._executions = executions
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._db.on_invalidate(self._notice)
        self._wake.set()
        self._task = asyncio.create_task(self._work(), name="litewrite-event-runs")
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
        if kind == outbox.CHANGED and not key:
            self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._db.write(self._take) == BATCH:
                    pass
            except LitewriteError as error:
                log.warning("functions are started for events later: %s", error)
            except Exception:
                log.exception("functions are started for events later")
            else:
                continue
            await asyncio.sleep(RETRY_SECONDS)
            self._wake.set()

    def _take(self, tx: Transaction) -> int:
        """A unit that moves some events on; returns how many there were."""
        deliveries = tx.run(outbox.oldest(outbox.FUNCTION, BATCH))
        for delivery in deliveries:
            self._start(tx, delivery)
        tx.stores.outbox.remove(tx, deliveries)
        return len(deliveries)

    def _start(self, tx: Transaction, delivery: Delivery) -> None:
        project_id, function_id = delivery.project_id, delivery.target_id
        target = tx.run(function_rows.target(project_id, function_id))
        if target is None or not target.deployment_id:
            return  # deleted, or without code, since the event
        inputs = Inputs(event=delivery.event, event_data=delivery.payload)
        if not self._executions.queue(tx, project_id, function_id, EVENT, delivery.user_id, inputs):
            log.warning(
                "the event %s starts no run of the function %s: too many of them wait", delivery.event, function_id
            )
