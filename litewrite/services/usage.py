"""How much a function was used: runs, failures and run time over a period that ends now.

Points lie on multiples of their distance since the Unix epoch, so that two charts of the same day agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from litewrite.db import functions as function_rows
from litewrite.db import usage as usage_rows
from litewrite.db.engine import Database
from litewrite.errors import FunctionNotFound
from litewrite.permissions import Actor

HOUR = 3_600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Period:
    """Times in seconds."""

    length: int
    step: int
    ahead: int = 0
    """How far beyond now the points go."""


PERIODS = {
    "24h": Period(DAY, HOUR // 2, ahead=HOUR),
    "7d": Period(7 * DAY, DAY),
    "30d": Period(30 * DAY, DAY),
    "90d": Period(90 * DAY, DAY),
}


@dataclass(frozen=True, slots=True)
class Point:
    """What ended from one moment, in Unix seconds, to the next point."""

    start: int
    executions: int = 0
    failures: int = 0
    milliseconds: int = 0


class Usage:
    def __init__(self, db: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._clock = clock

    async def of_function(self, actor: Actor, function_id: str, period: str) -> tuple[Point, ...]:
        """One point for every step of the period, oldest first. Raises `FunctionNotFound`."""
        if not await self._db.read(function_rows.exists(actor.project_id, function_id)):
            raise FunctionNotFound
        chosen = PERIODS[period]
        now = int(self._clock())
        first = _aligned(now - chosen.length, chosen.step)
        sums = {start: [0, 0, 0] for start in range(first, now + chosen.ahead + 1, chosen.step)}
        for slot in await self._db.read(usage_rows.of_function(function_id, first)):
            point = sums.get(_aligned(slot.start, chosen.step))
            if point is not None:  # a clock that was set back leaves counts in the future
                for index, value in enumerate((slot.executions, slot.failures, slot.milliseconds)):
                    point[index] += value
        return tuple(Point(start, *values) for start, values in sums.items())


def _aligned(moment: int, step: int) -> int:
    return moment - moment % step
