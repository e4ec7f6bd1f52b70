"""Whose turn it is when several functions wait for the same few slots.

Start-time fair queueing with runs that all count the same: every run gets a number, one more than that of the run
before it of the same function, but at least that of the run started last. The lowest number goes first. So a function
with a thousand runs waiting delays another one by a single run, and one that comes again and again starves nobody.
"""

from __future__ import annotations

from collections.abc import Sequence


class Turns:
    """Remembers numbers of the functions that ran of late only, and none once nothing waits."""

    def __init__(self) -> None:
        self._now = 0
        self._next: dict[str, int] = {}

    def take(self, waiting: Sequence[tuple[str, str]]) -> str | None:
        """The execution to start, out of the oldest ones of each function: pairs of function id and execution id.

        Among equals the oldest goes first, so what one event starts begins in the order in which it was queued.
        """
        if not waiting:
            self._next.clear()
            return None
        number, execution_id, function_id = min(
            (max(self._next.get(function_id, 0), self._now), execution_id, function_id)
            for function_id, execution_id in waiting
        )
        self._now = number
        self._next[function_id] = number + 1
        self._next = {each: after for each, after in self._next.items() if after > number}
        return execution_id
