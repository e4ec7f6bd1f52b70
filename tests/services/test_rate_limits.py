"""Counters in fixed windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.services.rate_limits import RateLimits, Verdict


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_010.9)


def test_a_window_starts_at_multiples_of_its_length(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    assert limits.count(("a",), 2, 60) == Verdict(True, 2, 1, 1_800_000_060)
    assert limits.count(("a",), 2, 60) == Verdict(True, 2, 0, 1_800_000_060)
    assert limits.count(("a",), 2, 60) == Verdict(False, 2, 0, 1_800_000_060)
    clock.now = 1_800_000_059.99
    assert not limits.count(("a",), 2, 60).allowed
    clock.now = 1_800_000_060
    assert limits.count(("a",), 2, 60) == Verdict(True, 2, 1, 1_800_000_120)


def test_a_refused_call_is_not_counted(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    for _ in range(5):
        limits.count(("a",), 1, 60)
    assert limits.count(("a",), 7, 60) == Verdict(True, 7, 5, 1_800_000_060)


def test_keys_are_told_apart_by_their_parts(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    for key in (("a", "b"), ("ab",), ("a", "", "b"), ("a\0b",), ("b", "a"), ("\udcff",), ("ä", "x" * 100_000)):
        assert limits.count(key, 1, 60).allowed, key
        assert not limits.count(key, 1, 60).allowed, key


def test_a_running_window_is_never_evicted_and_new_keys_are_refused(clock: Clock) -> None:
    limits = RateLimits(most=3, clock=clock)
    for key in "abc":
        limits.count((key,), 1, 60)
    for number in range(100):
        assert limits.count((f"new{number}",), 10, 60) == Verdict(False, 10, 0, 1_800_000_060)
    for key in "abc":
        assert not limits.count((key,), 1, 60).allowed
    assert len(limits._counters) == 3


def test_past_windows_make_room(clock: Clock) -> None:
    limits = RateLimits(most=3, clock=clock)
    limits.count(("short",), 1, 10)
    limits.count(("long",), 1, 3600)
    limits.count(("longer",), 1, 3600)
    assert not limits.count(("new",), 1, 60).allowed
    clock.now += 10
    assert limits.count(("new",), 1, 60).allowed
    assert not limits.count(("long",), 1, 3600).allowed
    assert not limits.count(("newer",), 1, 60).allowed
    clock.now += 3600
    for key in "abc":
        assert limits.count((key,), 1, 60).allowed


def test_a_full_table_is_searched_only_when_a_window_may_have_ended(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = RateLimits(most=2, clock=clock)
    limits.count(("a",), 1, 60)
    limits.count(("b",), 1, 60)
    limits.count(("c",), 1, 60)
    kept = limits._counters
    for _ in range(10):
        assert not limits.count(("c",), 1, 60).allowed
    assert limits._counters is kept
    clock.now += 60
    assert limits.count(("c",), 1, 60).allowed
    assert limits._counters is not kept


def test_a_known_key_needs_no_room(clock: Clock) -> None:
    limits = RateLimits(most=1, clock=clock)
    assert limits.count(("a",), 2, 60).allowed
    assert limits.count(("a",), 2, 60).allowed
    clock.now += 60
    assert limits.count(("a",), 2, 60).allowed


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40)), max_size=200), st.integers(1, 4))
def test_no_order_of_calls_gives_more_than_the_limit_in_a_window(calls: list[tuple[str, int]], most: int) -> None:
    clock = Clock(1_800_000_000)
    limits = RateLimits(most=most, clock=clock)
    passed: dict[tuple[str, int], int] = {}
    for key, pause in calls:
        clock.now += pause
        verdict = limits.count((key,), 3, 60)
        window = int(clock.now) // 60
        assert verdict.resets_at == window * 60 + 60
        assert 0 <= verdict.remaining < 3
        if verdict.allowed:
            passed[key, window] = passed.get((key, window), 0) + 1
            assert verdict.remaining == 3 - passed[key, window]
        assert len(limits._counters) <= most
    assert max(passed.values(), default=0) <= 3
