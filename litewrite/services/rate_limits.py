"""Counters of calls in fixed windows, in memory.

A window starts at every multiple of its length in Unix time. The number of counters is bounded: when it is reached,
those of past windows go first; a window that still runs is never evicted, and new keys are refused instead, so that a
flood of keys cannot make room for more attempts on an old one. Keys are kept as digests, since callers choose parts of
them and with that their length.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_COUNTERS = 100_000
_DIGEST_BYTES = 16


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
        self._counters: dict[bytes, tuple[int, int]] = {}
        """End of the window and calls in it."""
        self._nothing_ends_before = 0

    def count(self, key: tuple[str, ...], limit: int, seconds: int) -> Verdict:
        """Count a call under a key unless the limit of its window is reached."""
        now = int(self._clock())
        resets_at = now - now % seconds + seconds
        digest = _digest(key)
        known = self._counters.get(digest)
        if known is None:
            if len(self._counters) >= self._most:
                self._drop_past(now)
                if len(self._counters) >= self._most:
                    return Verdict(False, limit, 0, resets_at)
            used = 0
        else:
            window_end, used = known
            if window_end <= now:
                used = 0
        allowed = used < limit
        if allowed:
            self._counters[digest] = (resets_at, used + 1)
            self._nothing_ends_before = min(self._nothing_ends_before, resets_at)
        return Verdict(allowed, limit, max(0, limit - used - 1), resets_at)

    def _drop_past(self, now: int) -> None:
        # Looking through all counters takes milliseconds, so it is done only when one of them may have ended.
        if now < self._nothing_ends_before:
            return
        self._counters = {key: value for key, value in self._counters.items() if value[0] > now}
        self._nothing_ends_before = min((value[0] for value in self._counters.values()), default=now)


def _digest(key: tuple[str, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in key:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.digest()
