"""What is left behind a deleted project or collection goes away by itself, also after a crash."""

from __future__ import annotations

import asyncio
import io
import tarfile
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from litewrite import Config, Litewrite
from litewrite.db import removals
from litewrite.db.ids import first_id_of, pack
from litewrite.db.query import Query, scalar
from litewrite.errors import Overloaded
from litewrite.services import cleanup
from litewrite.services.cleanup import RETENTION, Cleanup
from tests.conftest import World

SURVIVORS = {"meta", "migrations", "projects", "role_lists", "role_list_members", "agents", "sqlite_sequence"}
"""Tables that hold nothing of one project, or whose rows are shared."""
RULES = [{"label": "t", "key": "t", "type": "text", "required": False, "array": False}]


async def rows_left(world: World) -> dict[str, int]:
    """Rows by table, without those that may stay."""
    db = world.backend.db
    tables = await db.read(
        Query("SELECT name FROM sqlite_master WHERE type = 'table'", (), lambda rows: [row[0] for row in rows])
    )
    counts = {}
    for table in tables:
        if table in SURVIVORS or table.startswith("search_"):
            continue
        if table == "search":
            query: Query[int] = Query("SELECT count(*) FROM search WHERE search MATCH 'value:findable'", (), scalar)
        else:
            query = Query(f"SELECT count(*) FROM {table}", (), scalar)
        counts[table] = await db.read(query)
    return {table: count for table, count in counts.items() if count}


async def until_clean(world: World, *, of: str = "removals") -> None:
    async with asyncio.timeout(20):
        while (await rows_left(world)).get(of):
            await asyncio.sleep(0.01)


async def fill(world: World, documents: int = 30) -> Any:
    """One of everything in the project of the world; returns the collection."""
    key = await world.key()
    await world.sign_up(email="findable@example.com", name="findable")
    collection = (await key.post("/database/collections", {"name": "findable", "rules": RULES, "read": ["*"]})).body
    for number in range(documents):
        path = f"/database/collections/{collection['$id']}/documents"
        assert (await key.post(path, {"data": {"t": f"findable {number}"}})).status == 201
    form = aiohttp.FormData()
    form.add_field("file", b"content", filename="findable.txt")
    assert (await key.post("/storage/files", data=form)).status == 201
    function = (await key.post("/functions", {"name": "findable", "runtime": "python-3.9", "execute": []})).body
    code = io.BytesIO()
    with tarfile.open(fileobj=code, mode="w:gz"):
        pass
    form = aiohttp.FormData()
    form.add_field("command", "python main.py")
    form.add_field("code", code.getvalue(), filename="code.tar.gz")
    tag = await key.post(f"/functions/{function['$id']}/tags", data=form)
    assert tag.status == 201, tag.body
    assert (await key.patch(f"/functions/{function['$id']}/tag", {"tag": tag["$id"]})).status == 200
    assert (await key.post(f"/functions/{function['$id']}/executions", {})).status == 201
    async with asyncio.timeout(20):
        while (await key.get(f"/functions/{function['$id']}/executions"))["executions"][0]["status"] != "failed":
            await asyncio.sleep(0.02)
    return collection


async def blobs(world: World) -> list[str]:
    return [key async for key in world.backend.blobs.keys(min_age=0.0)]


async def test_a_deleted_project_leaves_nothing(world: World) -> None:
    projects = world.backend.services.projects
    await projects.create("shop")
    world.project = "shop"
    await fill(world)
    assert (await rows_left(world))["documents"] == 30
    assert len(await blobs(world)) == 2
    await projects.delete("shop")
    assert (await world.guest.get("/storage/files")).status == 400
    await until_clean(world)
    assert await rows_left(world) == {}
    assert await blobs(world) == []


async def test_a_deleted_collection_leaves_no_documents(world: World) -> None:
    collection = await fill(world, documents=450)
    key = await world.key()
    assert (await key.delete(f"/database/collections/{collection['$id']}")).status == 204
    await until_clean(world)
    left = await rows_left(world)
    assert {"documents", "document_counts", "field_values", "indexed_fields", "collections"}.isdisjoint(left)


async def test_a_removal_goes_on_after_a_restart(config: Config) -> None:
    async with Litewrite(config) as server, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        world = World(server, http)
        await fill(world)

        def unit(tx: Any) -> None:
            tx.execute("DELETE FROM projects WHERE id = 'default'")
            tx.execute("INSERT INTO removals (kind, project_id, key) VALUES ('project', 'default', 'default')")

        await server.backend.db.write(unit)
    async with Litewrite(config) as server, aiohttp.ClientSession() as http:
        world = World(server, http)
        await until_clean(world)
        assert await rows_left(world) == {}


async def test_the_removal_of_the_configured_project_ends_before_it_is_made_again(config: Config) -> None:
    async with Litewrite(config) as server, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        world = World(server, http)
        await world.sign_up()
        await fill(world, documents=450)

        def unit(tx: Any) -> None:
            tx.execute("DELETE FROM projects WHERE id = 'default'")
            tx.execute("INSERT INTO removals (kind, project_id, key) VALUES ('project', 'default', 'default')")

        await server.backend.db.write(unit)
    async with Litewrite(config) as server, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        world = World(server, http)
        assert await server.backend.db.read(removals.of_project("default")) is None
        await world.sign_up()
        await until_clean(world)
        assert (await world.log_in("ada@example.com")).user["email"] == "ada@example.com"
        assert (await (await world.key()).get("/users"))["sum"] == 1


async def test_old_audit_entries_expire(world: World) -> None:
    user = await world.sign_up()
    old = pack(first_id_of(datetime.now(UTC) - RETENTION - timedelta(1)))
    await world.backend.db.write(
        lambda tx: tx.execute("UPDATE audit SET id = id - (SELECT min(id) FROM audit) + ?", (old,))
    )
    assert len((await user.get("/account/logs"))["logs"]) == 2
    await Cleanup(world.backend.db, world.backend.blobs, {}).expire()
    assert (await user.get("/account/logs"))["logs"] == []


@pytest.mark.parametrize("error", [Overloaded(), RuntimeError("a fault of our own")])
async def test_an_error_only_delays_the_removal(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(cleanup, "RETRY_SECONDS", 0.01)
    db = world.backend.db
    read, refused = db.read, []

    async def refuse_once(query: Query[Any], **options: Any) -> Any:
        if not refused and "FROM removals" in query.sql:
            refused.append(query)
            raise error
        return await read(query, **options)

    monkeypatch.setattr(db, "read", refuse_once)
    key = await world.key()
    collection = (await key.post("/database/collections", {"name": "x", "rules": RULES})).body
    assert (await key.delete(f"/database/collections/{collection['$id']}")).status == 204
    await until_clean(world)
    assert refused
    assert "removed later" in caplog.text
