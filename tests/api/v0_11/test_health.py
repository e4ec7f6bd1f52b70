"""The health service."""

from __future__ import annotations

import time
from typing import Any

import pytest

from litewrite.errors import DatabaseUnavailable
from tests.conftest import Answer, Client, World

CHECKS = ["/health", "/health/db", "/health/cache", "/health/storage/local"]
QUEUES = ["webhooks", "tasks", "logs", "usage", "certificates", "functions"]
ALL = [*CHECKS, "/health/time", "/health/anti-virus", *(f"/health/queue/{name}" for name in QUEUES)]


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["type"]


@pytest.mark.parametrize("path", CHECKS)
async def test_what_works_is_ok(key: Client, path: str) -> None:
    answer = await key.get(path)
    assert (answer.status, answer.body) == (200, {"status": "OK"})


@pytest.mark.parametrize("name", QUEUES)
async def test_nothing_waits(key: Client, name: str) -> None:
    answer = await key.get(f"/health/queue/{name}")
    assert (answer.status, answer.body) == (200, {"size": 0})


async def test_the_time(key: Client) -> None:
    answer = await key.get("/health/time")
    assert answer.status == 200
    assert set(answer.body) == {"remote", "local", "diff"}
    assert all(type(value) is int for value in answer.body.values())
    assert abs(answer["local"] - time.time()) < 5
    assert (answer["remote"] - answer["local"], answer["diff"]) == (0, 0)


async def test_there_is_no_virus_scanner(key: Client) -> None:
    answer = await key.get("/health/anti-virus")
    assert (answer.status, answer.body) == (200, {"status": "disabled", "version": ""})


@pytest.mark.parametrize("path", ALL)
async def test_every_key_may_whatever_its_scopes(world: World, path: str) -> None:
    key = await world.key("locale.read")
    assert (await key.get(path)).status == 200


@pytest.mark.parametrize("path", ALL)
async def test_guests_and_users_may_not(world: World, user: Client, path: str) -> None:
    assert told(await world.guest.get(path)) == (401, "general_unauthorized_scope")
    assert told(await user.get(path)) == (401, "general_unauthorized_scope")


@pytest.mark.parametrize("path", ALL)
async def test_without_project_is_400(world: World, path: str) -> None:
    assert told(await Client(world.http, world.endpoint).get(path)) == (400, "project_unknown")


async def test_the_version_needs_nothing(world: World, user: Client) -> None:
    callers = [
        Client(world.http, world.endpoint),
        Client(world.http, world.endpoint, {"X-Appwrite-Project": "missing"}),
        world.guest,
        user,
        await world.key("files.read"),
    ]
    for caller in callers:
        answer = await caller.get("/health/version")
        assert (answer.status, answer.body) == (200, {"version": "0.11.2"})


async def test_a_database_that_cannot_be_read_is_500(
    world: World, key: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        async def read(self, query: Any) -> None:
            raise DatabaseUnavailable("no such disk")

    monkeypatch.setattr(world.backend.services.health, "_db", Broken())
    answer = await key.get("/health/db")
    assert told(answer) == (500, "general_server_error")
    assert "disk" not in answer["message"]
    assert (await key.get("/health")).status == 200


async def test_a_folder_that_cannot_be_written_is_500(
    world: World, key: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ReadOnly:
        async def writable(self) -> bool:
            return False

    monkeypatch.setattr(world.backend.services.health, "_blobs", ReadOnly())
    assert told(await key.get("/health/storage/local")) == (500, "general_server_error")


async def test_what_waits_is_counted(world: World, key: Client) -> None:
    def unit(tx: Any) -> None:
        columns = [row[1:3] for row in tx.rows("PRAGMA table_info(outbox)") if row[1] != "id"]
        for target in ("webhook", "webhook", "function"):
            values = {name: b"" if kind == "BLOB" else 2**52 if kind == "INTEGER" else "" for name, kind in columns}
            values |= {"target": target, "state": "waiting"}
            marks = ", ".join("?" * len(values))
            tx.execute(f"INSERT INTO outbox ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))

    await world.backend.db.write(unit)
    assert (await key.get("/health/queue/webhooks")).body == {"size": 2}
    assert (await key.get("/health/queue/functions")).body == {"size": 1}
