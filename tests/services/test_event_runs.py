"""From the outbox to the queue of executions, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from litewrite.blobs.local import LocalBlobStore
from litewrite.config import Config
from litewrite.db import executions as execution_rows
from litewrite.db import outbox
from litewrite.db.engine import Transaction
from litewrite.db.executions import Inputs
from litewrite.db.pages import Window
from litewrite.db.query import Query, scalar
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import EPOCH, Execution, Function
from litewrite.errors import LitewriteError, Overloaded
from litewrite.executor.process import Runner
from litewrite.security import ServerSecret
from litewrite.services import event_runs as module
from litewrite.services import executions as executions_module
from litewrite.services.event_runs import EventRuns
from litewrite.services.executions import Executions
from tests.catcher import until

PROJECT = "shop"
SECRET = ServerSecret(b"a secret of enough length for all")


class Database(SqliteDatabase):
    """One that can be told to refuse the next writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durability="normal")
        self.refusals: list[Exception] = []

    async def write(self, unit: Any, **settings: Any) -> Any:
        if self.refusals:
            raise self.refusals.pop()
        return await super().write(unit, **settings)


@dataclass
class Place:
    db: Database
    executions: Executions

    async def function(self, deployment: str = "61d5c1a2b3c99") -> str:
        def unit(tx: Transaction) -> str:
            function = Function(
                tx.new_id(), PROJECT, "mine", (), "python-3.9", deployment, {}, (), "", 15, EPOCH, EPOCH
            )  # fmt: skip
            tx.stores.functions.insert(tx, function, SECRET)
            return function.id

        made: str = await self.db.write(unit)
        return made

    async def tell(self, *function_ids: str, event: str = "account.create", payload: str = "{}") -> None:
        sealed = SECRET.encrypt(payload)

        def unit(tx: Transaction) -> None:
            for function_id in function_ids:
                tx.stores.outbox.insert(tx, PROJECT, outbox.FUNCTION, function_id, event, sealed, "61d5c1a2b3c4d")

        await self.db.write(unit)

    async def moved(self) -> None:
        async def is_empty() -> bool:
            return bool(await self.db.read(Query("SELECT count(*) FROM outbox", (), scalar)) == 0)

        await until(is_empty)

    async def runs(self, function_id: str) -> tuple[Execution, ...]:
        page = await self.db.read(execution_rows.of_function(PROJECT, function_id, Window(), None))
        return page.items


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    config = Config(data_dir=tmp_path)
    async with Database(tmp_path / "data.db") as db, LocalBlobStore(tmp_path / "blobs") as blobs, Runner() as runner:
        yield Place(db, Executions(db, blobs, runner, SECRET, config))


async def test_an_event_becomes_a_run(place: Place) -> None:
    function_id = await place.function()
    async with EventRuns(place.db, place.executions):
        await place.tell(function_id, payload='{"a": 1}')
        await place.moved()
    (execution,) = await place.runs(function_id)
    assert (execution.trigger, execution.status, execution.permissions.read) == ("event", "processing", ())
    begun = await place.db.write(lambda tx: tx.stores.executions.start(tx, execution.id))
    assert begun is not None
    assert begun[0].user_id == "61d5c1a2b3c4d"
    inputs = begun[1]
    assert SECRET.decrypt(inputs.event_data) == '{"a": 1}'
    assert inputs == Inputs(event="account.create", event_data=inputs.event_data)


async def test_what_was_left_before_is_taken_up(place: Place) -> None:
    functions = [await place.function() for _ in range(3)]
    await place.tell(*functions)
    async with EventRuns(place.db, place.executions):
        await place.moved()
    assert [len(await place.runs(function_id)) for function_id in functions] == [1, 1, 1]
    ids = [(await place.runs(function_id))[0].id for function_id in functions]
    assert ids == sorted(ids)


async def test_all_of_many_are_moved(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    function_id = await place.function()
    await place.tell(*[function_id] * 12)
    async with EventRuns(place.db, place.executions):
        await place.moved()
    assert len(await place.runs(function_id)) == 12


async def test_functions_without_code_or_life_are_skipped(place: Place) -> None:
    idle, alive = await place.function(""), await place.function()
    await place.tell(idle, "61d5c1a2bffff", alive)
    async with EventRuns(place.db, place.executions):
        await place.moved()
    assert [len(await place.runs(function_id)) for function_id in (idle, "61d5c1a2bffff", alive)] == [0, 0, 1]


async def test_a_function_that_cannot_keep_up_loses_events(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(executions_module, "MOST_WAITING", 2)
    busy, other = await place.function(), await place.function()
    await place.tell(busy, busy, busy, other)
    async with EventRuns(place.db, place.executions):
        await place.moved()
    assert [len(await place.runs(function_id)) for function_id in (busy, other)] == [2, 1]
    assert f"starts no run of the function {busy}" in caplog.text


@pytest.mark.parametrize("error", [Overloaded(), ZeroDivisionError("broken")])
async def test_errors_delay_runs(
    place: Place, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    function_id = await place.function()
    await place.tell(function_id)
    place.db.refusals = [error]
    async with EventRuns(place.db, place.executions):
        await place.moved()
    assert len(await place.runs(function_id)) == 1
    assert ("Traceback" in caplog.text) is not isinstance(error, LitewriteError)


async def test_an_event_starts_one_run_whatever_is_rolled_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row goes with the very transaction that queues the execution."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    function_id = await place.function()
    await place.tell(function_id)
    runs, failures = EventRuns(place.db, place.executions), [1, 1]
    take = runs._take

    def failing(tx: Transaction) -> int:
        taken = take(tx)
        if failures:
            failures.pop()
            raise Overloaded
        return taken

    monkeypatch.setattr(runs, "_take", failing)
    async with runs:
        await place.moved()
    assert len(await place.runs(function_id)) == 1
