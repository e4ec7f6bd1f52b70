"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from litewrite.services.turns import Turns


class Queues:
    """Executions that wait, by function; ids grow as they come."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[str]] = {}
        self.count = 0
        self.turns = Turns()

    def add(self, function_id: str, count: int = 1) -> None:
        for _ in range(count):
            self.count += 1
            self.waiting.setdefault(function_id, []).append(f"{self.count:013x}")

    def take(self) -> str:
        """The function whose turn it is; empty when none waits."""
        taken = self.turns.take([(function_id, ids[0]) for function_id, ids in self.waiting.items() if ids])
        for function_id, ids in self.waiting.items():
            if ids and ids[0] == taken:
                ids.pop(0)
                return function_id
        assert taken is None
        return ""


def test_functions_take_turns() -> None:
    queues = Queues()
    queues.add("a", 3)
    queues.add("b", 2)
    queues.add("c", 1)
    assert [queues.take() for _ in range(7)] == ["a", "b", "c", "a", "b", "a", ""]


def test_what_one_event_starts_begins_in_its_order() -> None:
    queues = Queues()
    queues.add("z")
    assert queues.take() == "z"
    assert queues.take() == ""
    for function_id in ("z", "m", "a"):
        queues.add(function_id)
    assert [queues.take() for _ in range(3)] == ["z", "m", "a"]


def test_one_that_comes_again_and_again_starves_nobody() -> None:
    queues = Queues()
    queues.add("many", 50)
    started: Counter[str] = Counter()
    for _ in range(40):
        queues.waiting.setdefault("again", [])
        if not queues.waiting["again"]:
            queues.add("again")
        started[queues.take()] += 1
    assert started["many"] >= 19


def test_one_that_comes_late_waits_for_one_run() -> None:
    queues = Queues()
    queues.add("many", 50)
    for _ in range(10):
        queues.take()
    queues.add("late")
    assert "late" in [queues.take(), queues.take()]


@given(st.lists(st.one_of(st.sampled_from("abcd"), st.none()), max_size=200))
def test_everything_has_its_turn_and_little_is_remembered(steps: list[str | None]) -> None:
    queues = Queues()
    taken = 0
    for step in steps:
        if step is None:
            taken += bool(queues.take())
        else:
            queues.add(step)
        assert len(queues.turns._next) <= 4
    while queues.take():
        taken += 1
    assert taken == queues.count
    assert queues.turns._next == {}
