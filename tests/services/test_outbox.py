"""What an event leaves behind in its transaction, and what that costs."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from litewrite.api.v0_11.events import Renderer
from litewrite.db import functions, outbox
from litewrite.db.engine import Transaction
from litewrite.db.query import Query, many
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import CONSOLE, EPOCH, Execution, ExecutionStatus, Function, Permissions, Project, User, Webhook
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind
from litewrite.security import ServerSecret
from litewrite.services.outbox import Recorder

PROJECT = "shop"
SECRET = ServerSecret(b"a secret of enough length for all")
ADA = User(id="61d5c1a2b3c4d", project_id=PROJECT, name="Ada", email="ada@example.com", registered_at=EPOCH)
USER = Actor(ActorKind.USER, PROJECT, user=ADA)
KEY = Actor(ActorKind.KEY, PROJECT)
CREATED = Event("account", "create", ADA, USER)


@dataclass
class Place:
    db: SqliteDatabase

    async def webhook(self, *events: str, project: str = PROJECT) -> str:
        def unit(tx: Transaction) -> str:
            webhook = Webhook(tx.new_id(), project, "mine", "http://127.0.0.1:9/", events, True)
            tx.stores.webhooks.insert(tx, webhook)
            return webhook.id

        return await self.db.write(unit)

    async def function(self, name: str, *events: str, deployment: str = "61d5c1a2b3c99") -> str:
        return (await self.db.write(lambda tx: self.add(tx, name, *events, deployment=deployment))).id

    @staticmethod
    def add(tx: Transaction, name: str, *events: str, deployment: str = "61d5c1a2b3c99") -> Function:
        moment = datetime.now(UTC)
        function = Function(
            tx.new_id(), PROJECT, name, (), "python-3.9", deployment, {}, events, "", 15, moment, moment
        )  # fmt: skip
        tx.stores.functions.insert(tx, function, SECRET)
        return function

    async def emit(self, *events: Event) -> None:
        def unit(tx: Transaction) -> None:
            for event in events:
                tx.emit(event)

        await self.db.write(unit)

    async def rows(self) -> list[tuple[Any, ...]]:
        query = Query(
            "SELECT target, target_id, event, payload, user_id, project_id FROM outbox ORDER BY id",
            (),
            many(lambda row: (row[0], row[1], row[2], SECRET.decrypt(row[3]) if row[3] else "", *row[4:])),
        )
        return list(await self.db.read(query))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with SqliteDatabase(tmp_path / "data.db", durability="normal") as db:
        db.set_recorder(Recorder(Renderer(), SECRET))
        for project in (PROJECT, "other", CONSOLE):
            await db.write(lambda tx, id=project: tx.stores.projects.insert(tx, Project(id=id, name=id)))
        yield Place(db)


async def test_everybody_who_asked_gets_a_row(place: Place) -> None:
    hooks = [await place.webhook("account.create"), await place.webhook("account.create", "account.delete")]
    await place.webhook("account.delete")
    await place.webhook("account.create", project="other")
    names = {name: await place.function(name, "account.create") for name in ("zebra", "apple", "mango")}
    await place.function("idle", "account.create", deployment="")
    await place.emit(CREATED)
    rows = await place.rows()
    assert [row[:2] for row in rows] == [
        *(("webhook", id) for id in hooks),
        *(("function", names[name]) for name in ("apple", "mango", "zebra")),
    ]
    assert {row[2:] for row in rows} == {("account.create", rows[0][3], ADA.id, PROJECT)}
    assert json.loads(rows[0][3])["email"] == "ada@example.com"
    stored = await place.db.read(Query("SELECT payload FROM outbox", (), many(lambda row: row[0])))
    assert not any(b"ada" in payload for payload in stored)


async def test_a_subscription_twice_is_one(place: Place) -> None:
    await place.webhook("account.create", "account.create")
    await place.emit(CREATED)
    assert len(await place.rows()) == 1


async def test_changes_of_subscriptions_count_at_once(place: Place) -> None:
    await place.emit(CREATED)  # remembers that there is nobody
    function_id = await place.function("mine", "account.create", deployment="")
    await place.emit(CREATED)
    assert await place.rows() == []

    def deploy(deployment: str) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            function = tx.run(functions.get(PROJECT, function_id, SECRET))
            assert function is not None
            tx.stores.functions.update(tx, function, replace(function, deployment_id=deployment), SECRET)
            tx.emit(CREATED)

        return unit

    await place.db.write(deploy("61d5c1a2b3c99"))
    assert len(await place.rows()) == 1
    await place.db.write(deploy(""))
    assert len(await place.rows()) == 1
    webhook_id = await place.webhook("account.create")
    await place.emit(CREATED)
    assert len(await place.rows()) == 2
    await place.db.write(lambda tx: tx.stores.webhooks.delete(tx, PROJECT, webhook_id))
    await place.emit(CREATED)
    assert len(await place.rows()) == 2


async def test_a_subscription_that_was_rolled_back_never_was(place: Place) -> None:
    def unit(tx: Transaction) -> None:
        Place.add(tx, "mine", "account.create")
        tx.emit(CREATED)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await place.db.write(unit)
    await place.emit(CREATED)
    assert await place.rows() == []


async def test_a_deleted_project_tells_nothing(place: Place) -> None:
    await place.webhook("account.create")
    await place.emit(CREATED)
    await place.db.write(lambda tx: tx.stores.projects.delete(tx, PROJECT))
    await place.emit(CREATED)
    assert len(await place.rows()) == 1


async def test_the_end_of_a_run_starts_no_function(place: Place) -> None:
    webhook = await place.webhook("functions.executions.update", "functions.executions.create")
    function = await place.function("loop", "functions.executions.update", "functions.executions.create")
    execution = Execution(
        "61d5c1a2b3c60", PROJECT, function, Permissions(), "http", ExecutionStatus.COMPLETED, EPOCH
    )  # fmt: skip
    await place.emit(Event("execution", "create", execution, KEY), Event("execution", "update", execution, KEY))
    assert [row[:3] for row in await place.rows()] == [
        ("webhook", webhook, "functions.executions.create"),
        ("function", function, "functions.executions.create"),
        ("webhook", webhook, "functions.executions.update"),
    ]


async def test_an_empty_payload_is_no_text_for_a_program(place: Place) -> None:
    await place.webhook("functions.delete")
    await place.function("mine", "functions.delete")
    gone = await place.db.write(lambda tx: Place.add(tx, "gone"))
    await place.emit(Event("function", "delete", gone, KEY))
    assert [(row[0], row[3]) for row in await place.rows()] == [("webhook", "{}"), ("function", "")]


async def test_functions_that_never_run_get_nothing(place: Place) -> None:
    place.db.set_recorder(Recorder(Renderer(), SECRET, functions=False))
    await place.function("mine", "account.create")
    await place.emit(CREATED)
    assert await place.rows() == []
    await place.webhook("account.create")
    await place.emit(CREATED)
    assert [row[0] for row in await place.rows()] == ["webhook"]


async def test_subscriptions_of_many_projects_are_not_all_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_MOST_PROJECTS", 3)

    def unit(tx: Transaction) -> int:
        for number in range(10):
            tx.emit(Event("account", "create", ADA, Actor(ActorKind.KEY, f"p{number}")))
        return len(tx.stores.outbox._subscriptions)

    assert await place.db.write(unit) <= 3


async def test_an_event_that_nobody_asked_for_costs_next_to_nothing(place: Place) -> None:
    recorder = Recorder(Renderer(), SECRET)

    def unit(tx: Transaction) -> float:
        recorder(tx, CREATED)
        gc.disable()
        try:
            best = 1.0
            for _ in range(5):
                started = time.perf_counter()
                for _ in range(20_000):
                    recorder(tx, CREATED)
                best = min(best, (time.perf_counter() - started) / 20_000)
        finally:
            gc.enable()
        return best

    seconds = await place.db.write(unit)
    print(f"an event without subscribers: {seconds * 1e6:.3f} µs")
    assert seconds < 1e-6
