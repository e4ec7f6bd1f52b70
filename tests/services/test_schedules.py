"""Schedules under a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from litewrite.blobs.local import LocalBlobStore
from litewrite.config import Config
from litewrite.db import executions as execution_rows
from litewrite.db import functions as function_rows
from litewrite.db.engine import Transaction
from litewrite.db.pages import Window
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Execution, Function
from litewrite.errors import LitewriteError, StorageFull
from litewrite.executor.process import Runner
from litewrite.permissions import Actor, ActorKind
from litewrite.security import ServerSecret
from litewrite.services import executions as executions_module
from litewrite.services import schedules as module
from litewrite.services.executions import Executions
from litewrite.services.functions import Functions
from litewrite.services.schedules import LONGEST_SLEEP, Schedules
from tests.catcher import until

PROJECT = "shop"
SECRET = ServerSecret(b"a secret of enough length for all")
KEY = Actor(ActorKind.KEY, PROJECT)
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Database(SqliteDatabase):
    """One that can be told to refuse the next writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durability="normal")
        self.refusals: list[LitewriteError] = []

    async def write(self, unit: Any, **settings: Any) -> Any:
        if self.refusals:
            raise self.refusals.pop()
        return await super().write(unit, **settings)


@dataclass
class Clock:
    """`now` is what the wall shows; both clocks go on together unless one is set."""

    now: datetime = NOON
    steady: float = 1_000.0

    def pass_by(self, **duration: float) -> None:
        self.now += timedelta(**duration)
        self.steady += timedelta(**duration).total_seconds()


@dataclass
class Place:
    db: Database
    executions: Executions
    clock: Clock = field(default_factory=Clock)

    def schedules(self) -> Schedules:
        return Schedules(
            self.db, self.executions, now=lambda: self.clock.now, steady=lambda: self.clock.steady
        )  # fmt: skip

    async def function(
        self, schedule: str, planned: datetime | None, *, previous: datetime | None = None, deployment: str = "d"
    ) -> str:
        def unit(tx: Transaction) -> str:
            function = Function(
                id=tx.new_id(),
                project_id=PROJECT,
                name="cron",
                execute=(),
                runtime="python-3.9",
                deployment_id=deployment,
                variables={},
                events=(),
                schedule=schedule,
                timeout=15,
                created_at=NOON,
                updated_at=NOON,
                schedule_next=planned,
                schedule_previous=previous,
            )
            tx.stores.functions.insert(tx, function, SECRET)
            return function.id

        made: str = await self.db.write(unit)
        return made

    async def get(self, function_id: str) -> Function:
        function = await self.db.read(function_rows.get(PROJECT, function_id, SECRET))
        assert function is not None
        return function

    async def runs(self, function_id: str) -> tuple[Execution, ...]:
        page = await self.db.read(execution_rows.of_function(PROJECT, function_id, Window(), None))
        return page.items


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    config = Config(data_dir=tmp_path)
    async with Database(tmp_path / "data.db") as db, LocalBlobStore(tmp_path / "blobs") as blobs, Runner() as runner:
        yield Place(db, Executions(db, blobs, runner, SECRET, config))


async def test_a_function_runs_when_it_is_due(place: Place) -> None:
    schedules = place.schedules()
    function_id = await place.function("*/5 * * * *", NOON + timedelta(minutes=5))
    assert await schedules.run_due() == LONGEST_SLEEP
    place.clock.pass_by(minutes=4, seconds=50)
    assert await schedules.run_due() == 10
    assert await place.runs(function_id) == ()
    place.clock.pass_by(seconds=10.5)
    await schedules.run_due()
    await schedules.run_due()
    (execution,) = await place.runs(function_id)
    # As whoever looks is told, though it is in the queue.
    assert (execution.trigger, execution.status, execution.permissions.read) == ("schedule", "processing", ())
    assert [function for function, _ in await place.db.read(execution_rows.waiting())] == [function_id]
    function = await place.get(function_id)
    assert function.schedule_previous == place.clock.now
    assert function.schedule_next == NOON + timedelta(minutes=10)
    place.clock.pass_by(minutes=5)
    await schedules.run_due()
    assert len(await place.runs(function_id)) == 2


async def test_of_missed_runs_one_is_made_up(place: Place) -> None:
    function_id = await place.function("* * * * *", NOON - timedelta(days=3), previous=NOON - timedelta(days=3))
    for _ in range(3):
        await place.schedules().run_due()
    assert len(await place.runs(function_id)) == 1
    assert (await place.get(function_id)).schedule_next == NOON + timedelta(minutes=1)


async def test_a_clock_that_is_set_forward_misses_runs(place: Place) -> None:
    schedules = place.schedules()
    function_id = await place.function("* * * * *", NOON + timedelta(minutes=1))
    await schedules.run_due()
    place.clock.now += timedelta(hours=5)
    await schedules.run_due()
    await schedules.run_due()
    assert len(await place.runs(function_id)) == 1


async def test_a_clock_that_is_corrected_runs_nothing_twice(place: Place) -> None:
    schedules = place.schedules()
    function_id = await place.function("* * * * *", NOON)
    await schedules.run_due()
    place.clock.now -= timedelta(seconds=30)  # 11:59:30
    await schedules.run_due()
    place.clock.pass_by(seconds=45)  # 12:00:15
    await schedules.run_due()
    assert len(await place.runs(function_id)) == 1
    place.clock.pass_by(seconds=45)
    await schedules.run_due()
    assert len(await place.runs(function_id)) == 2


@pytest.mark.parametrize("restarted", [False, True])
async def test_plans_of_a_wrong_clock_are_made_anew(place: Place, restarted: bool) -> None:
    schedules = place.schedules()
    place.clock.now = NOON.replace(year=2099)
    function_id = await place.function("0 * * * *", place.clock.now)
    await schedules.run_due()
    assert (await place.get(function_id)).schedule_next == NOON.replace(year=2099, hour=13)
    place.clock.now = NOON + timedelta(minutes=30)
    schedules = place.schedules() if restarted else schedules
    await schedules.run_due()
    assert (await place.get(function_id)).schedule_next == NOON + timedelta(hours=1)
    assert len(await place.runs(function_id)) == 1
    place.clock.pass_by(minutes=31)
    await schedules.run_due()
    assert len(await place.runs(function_id)) == 2


async def test_a_plan_that_is_gone_is_not_followed(place: Place) -> None:
    """The function was changed between the look at what is due and the unit that starts it."""
    schedules = place.schedules()
    function_id = await place.function("* * * * *", NOON)
    (plan,) = await place.db.read(function_rows.planned(until=NOON, limit=10))

    def change(tx: Transaction) -> None:
        tx.stores.functions.replan(tx, plan, NOON + timedelta(days=1), None)

    await place.db.write(change)
    await place.db.write(lambda tx: schedules._run(plan, NOON, tx))
    assert await place.runs(function_id) == ()
    await place.db.write(lambda tx: tx.execute("DELETE FROM functions"))
    await place.db.write(lambda tx: schedules._run(plan, NOON, tx))


async def test_without_a_deployment_or_a_plan_nothing_runs(place: Place) -> None:
    functions = [
        await place.function("* * * * *", NOON, deployment=""),
        await place.function("* * * * *", None),
        await place.function("", None),
    ]
    assert await place.schedules().run_due() == LONGEST_SLEEP
    assert [await place.runs(function_id) for function_id in functions] == [(), (), ()]


async def test_a_function_that_cannot_keep_up_leaves_runs_out(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(executions_module, "MOST_WAITING", 2)
    schedules = place.schedules()
    function_id = await place.function("* * * * *", NOON)
    for _ in range(4):
        await schedules.run_due()
        place.clock.pass_by(minutes=1)
    assert len(await place.runs(function_id)) == 2
    assert (await place.get(function_id)).schedule_next == place.clock.now
    assert "too many of them wait" in caplog.text


async def test_many_due_at_once_all_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    functions = [await place.function("* * * * *", NOON) for _ in range(5)]
    await place.schedules().run_due()
    assert [len(await place.runs(function_id)) for function_id in functions] == [1] * 5


async def test_a_changed_function_is_noticed(place: Place) -> None:
    """The work looks again when a function changes, however long it meant to sleep."""
    services = Functions(place.db, LocalBlobStore(Path("unused")), SECRET)
    function_id = await place.function("0 0 1 1 *", NOON + timedelta(days=300))
    async with place.schedules():
        await asyncio.sleep(0)
        place.clock.pass_by(minutes=1)

        def unit(tx: Transaction) -> None:
            old = services._load(tx, KEY, function_id)
            tx.stores.functions.update(tx, old, replace(old, schedule="* * * * *", schedule_next=NOON), SECRET)

        await place.db.write(unit)

        async def has_run() -> bool:
            return len(await place.runs(function_id)) == 1

        await until(has_run)


async def test_a_full_disk_delays_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    function_id = await place.function("* * * * *", NOON)
    place.db.refusals = [StorageFull(), StorageFull()]
    async with place.schedules():

        async def has_run() -> bool:
            return len(await place.runs(function_id)) == 1

        await until(has_run)
    assert "scheduled functions are started later" in caplog.text


async def test_an_error_of_ours_does_not_end_the_work(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    function_id = await place.function("* * * * *", NOON)
    schedules, failures = place.schedules(), [ZeroDivisionError("broken")]
    check = schedules._check_clock

    async def failing() -> None:
        if failures:
            raise failures.pop()
        await check()

    monkeypatch.setattr(schedules, "_check_clock", failing)
    async with schedules:

        async def has_run() -> bool:
            return len(await place.runs(function_id)) == 1

        await until(has_run)
    assert "ZeroDivisionError" in caplog.text
