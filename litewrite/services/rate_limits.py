"""Counters of calls in fixed windows, in memory.

A window starts at every multiple of its length in Unix time. The number of counters is bounded: when it is reached,
those of past windows go first; a window that still runs is never evicted, and new keys are refused instead, so that a
flood of keys cannot make room for more attempts on an old one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_COUNTERS = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    limit: int
    remaining: int
    """Calls left in this window after this one, never below 0."""
    resets_at: int
    """Unix second at which the window ends."""


class RateLimits:
    def __init__(self, *, most: int = MOST_COUNTERS, clock: Callable[[], float] = time.time) -> None:
        self._most = most
        self._clock = clock
        self._counters: dict[tuple[str, ...], tuple[int, int]] = {}

    def count(self, key: tuple[str, ...], limit: int, seconds: int) -> Verdict:
        """Count a call under a key unless the limit of its window is reached."""
        now = int(self._clock())
        resets_at = now - now % seconds + seconds
        window_end, used = self._counters.get(key, (0, 0))
        if window_end <= now:
            used = 0
            if key not in self._counters and len(self._counters) >= self._most:
                self._drop_past(now)
                if len(self._counters) >= self._most:
                    return Verdict(False, limit, 0, resets_at)
        allowed = used < limit
        if allowed:
            self._counters[key] = (resets_at, used + 1)
        return Verdict(allowed, limit, max(0, limit - used - 1), resets_at)

    def _drop_past(self, now: int) -> None:
        self._counters = {key: value for key, value in self._counters.items() if value[0] > now}
