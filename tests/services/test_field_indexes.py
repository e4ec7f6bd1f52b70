"""Indexes on what lists filter and sort by: made on demand, in the background, gone on with after a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from litewrite.db import fields as field_rows
from litewrite.db.engine import Transaction
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import EPOCH, Attribute, User
from litewrite.errors import CollectionNotFound
from litewrite.filters import Cast, Filter, Operator, Order
from litewrite.permissions import Actor, ActorKind, user_roles
from litewrite.services import field_indexes
from litewrite.services.collections import Collections
from litewrite.services.documents import Documents
from litewrite.services.projects import ensure_project

PROJECT = "p"
SERVER = Actor(kind=ActorKind.KEY, project_id=PROJECT)
RULES = (
    Attribute("", "name", "text"),
    Attribute("", "n", "numeric"),
    Attribute("", "tags", "text", array=True),
    *(Attribute("", f"a{number}", "text") for number in range(20)),
)


def member(id: str, *teams: str) -> Actor:
    user = User(id=id, project_id=PROJECT, name=id, email="", registered_at=EPOCH)
    roles = user_roles(id, [(team, ("owner",)) for team in teams])
    return Actor(kind=ActorKind.USER, project_id=PROJECT, roles=roles, user=user)


class Server:
    """The services over one file, as a server has them."""

    def __init__(self, path: Path) -> None:
        self.db = SqliteDatabase(path, durability="normal")

    async def __aenter__(self) -> Server:
        await self.db.__aenter__()
        await self.db.write(ensure_project(PROJECT))
        self.collections = Collections(self.db)
        self.documents = Documents(self.db, self.collections)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.db.__aexit__(None, None, None)

    async def fill(self, count: int, **more: Any) -> str:
        collection = await self.collections.create(SERVER, name="c", read=["*"], write=[], attributes=RULES)
        await asyncio.gather(
            *(
                self.documents.create(
                    SERVER, collection.id, {"name": f"N{n:04}", "n": n % 7, "tags": ["x", f"t{n % 3}"]}, **more
                )
                for n in range(count)
            )
        )
        return collection.id

    async def fields(self) -> list[tuple[Any, ...]]:
        return await self.db.write(
            lambda tx: tx.rows("SELECT path, kind, built_to, is_multiple FROM indexed_fields ORDER BY path, kind")
        )

    async def settled(self) -> None:
        """Wait until no index is wanted or being built."""
        for _ in range(1_000):
            if not self.documents._indexes._wanted and not await self.db.read(field_rows.unfinished()):
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the indexes are not finished")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path / "test.db") as server:
        yield server


def has(path: str, operator: str, value: str) -> Filter:
    return Filter((path,), Operator(operator), value)


async def test_a_list_has_its_fields_indexed(server: Server) -> None:
    id = await server.fill(600)
    order = Order(("name",), descending=True)
    async with server.documents:
        first = await server.documents.list(SERVER, id, filters=[has("n", "=", "3")], order=order)
        await server.settled()
        second = await server.documents.list(SERVER, id, filters=[has("n", "=", "3")], order=order)
        assert first == second
        assert first.total == 86
        assert await server.fields() == [('["n"]', "number", None, 0), ('["name"]', "text", None, 0)]
        await server.documents.list(
            SERVER, id, filters=[has("tags", "!=", "x")], order=Order(("n",), cast=Cast.INTEGER)
        )
        await server.settled()
        assert [row[:2] for row in await server.fields()] == [
            ('["n"]', "integer"),
            ('["n"]', "number"),
            ('["name"]', "text"),
            ('["tags"]', "text"),
        ]
        page = await server.documents.list(SERVER, id, filters=[has("tags", "!=", "x")], limit=100)
        assert (page.total, len({item.id for item in page.items})) == (600, 100)


async def test_nothing_is_indexed_for_what_needs_none(server: Server) -> None:
    small = await server.fill(field_indexes.LEAST_SIZE - 1)
    large = await server.fill(field_indexes.LEAST_SIZE)
    async with server.documents:
        await server.documents.list(SERVER, small, filters=[has("n", "=", "3")])
        for path in (("$id",), ("$collection",), ("$permissions",), ("unknown",), ("name", "x"), ('a"b',)):
            await server.documents.list(SERVER, large, filters=[Filter(path, Operator.EQUAL, "x")], order=Order(path))
        await server.documents.list(SERVER, large, search="n0001")
        await server.settled()
    assert await server.fields() == []


async def test_a_collection_has_a_most_of_fields(server: Server) -> None:
    id = await server.fill(field_indexes.LEAST_SIZE)
    async with server.documents:
        for number in range(20):
            await server.documents.list(SERVER, id, filters=[has(f"a{number}", "=", "x")])
            await server.settled()
    assert len(await server.fields()) == field_indexes.MOST_FIELDS


async def test_what_is_unfinished_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_indexes, "SLICE", 50)
    async with Server(tmp_path / "test.db") as server:
        id = await server.fill(300)
        await server.db.write(
            lambda tx: tx.stores.documents.fields.request(
                tx, int(id, 16), ("name",), field_rows.Kind.TEXT, is_multiple=False, most=16
            )
        )
        await server.db.write(lambda tx: tx.stores.documents.fields.build_slice(tx, int(id, 16), 50))
        assert (await server.fields())[0][2] is not None
    async with Server(tmp_path / "test.db") as server:
        async with server.documents:
            await server.settled()
            assert (await server.fields())[0][2] is None
            page = await server.documents.list(SERVER, id, filters=[has("name", ">=", "n0290")])
            assert page.total == 10
        count = await server.db.write(lambda tx: tx.rows("SELECT count(*) FROM field_values"))
        assert count == [(300,)]


async def test_writers_keep_an_unfinished_index_current(server: Server) -> None:
    id = await server.fill(10)
    number = int(id, 16)

    def request(tx: Transaction) -> None:
        fields = tx.stores.documents.fields
        fields.request(tx, number, ("name",), field_rows.Kind.TEXT, is_multiple=False, most=16)
        fields.build_slice(tx, number, 4)

    await server.db.write(request)
    ids = [item.id for item in (await server.documents.list(SERVER, id)).items]
    await server.documents.update(SERVER, id, ids[1], {"name": "done before"})
    await server.documents.update(SERVER, id, ids[8], {"name": "done after"})
    await server.documents.update(SERVER, id, ids[9], {"name": None})
    await server.documents.delete(SERVER, id, ids[2])
    await server.documents.delete(SERVER, id, ids[7])
    await server.documents.create(SERVER, id, {"name": "new"})
    while await server.db.write(lambda tx: tx.stores.documents.fields.build_slice(tx, number, 4)):
        pass
    rows = await server.db.write(lambda tx: tx.rows("SELECT value FROM field_values ORDER BY value"))
    expected = ["done after", "done before", "n0000", "n0003", "n0004", "n0005", "n0006", "new"]
    assert [row[0] for row in rows] == [field_rows.MISSING, *expected]


async def test_a_deleted_collection_stops_its_indexes(server: Server) -> None:
    id = await server.fill(field_indexes.LEAST_SIZE)
    async with server.documents:
        await server.documents.list(SERVER, id, filters=[has("name", "=", "x")])
        await server.collections.delete(SERVER, id)
        await server.settled()
        while await server.db.write(lambda tx: tx.stores.documents.delete_slice(tx, id, 30)):
            pass
        with pytest.raises(CollectionNotFound):
            await server.documents.list(SERVER, id)
    assert await server.fields() == []
    assert await server.db.write(lambda tx: tx.rows("SELECT * FROM field_values")) == []


async def test_changed_rules_change_how_lists_compare(server: Server) -> None:
    id = await server.fill(field_indexes.LEAST_SIZE)
    async with server.documents:
        assert (await server.documents.list(SERVER, id, filters=[has("n", "<", "10")])).total == 100
        await server.settled()
        await server.collections.update(
            SERVER, id, name="c", read=None, write=None, attributes=[Attribute("", "n", "text")]
        )
        # As text, 2 to 6 come after 10.
        assert (await server.documents.list(SERVER, id, filters=[has("n", "<", "10")])).total == 30


async def test_the_self_placeholder_names_the_document(server: Server) -> None:
    """Ids are of one generator, so no user has a document's id; that permission means it is tested all the same."""
    id = await server.fill(3, read=["user:{self}", "team:{self}/owner"])
    await server.documents.create(SERVER, id, {"name": "seen", "n": 5}, read=["user:other", "role:member"])
    every = [item.id for item in (await server.documents.list(SERVER, id)).items]
    for actor, expected in (
        (member(every[0]), [every[0], every[3]]),
        (member("0000000000000", every[1]), [every[1], every[3]]),
        (member("someone"), [every[3]]),
        (Actor(kind=ActorKind.GUEST, project_id=PROJECT), []),
    ):
        for order in (Order(), Order(("name",))):
            for filters in ([], [has("n", ">=", "0")]):
                page = await server.documents.list(actor, id, filters=filters, order=order)
                assert (page.total, [item.id for item in page.items]) == (len(expected), expected)
                assert (await server.documents.list(actor, id, filters=filters, limit=1)).total == len(expected)
        for item in every:
            visible = item in expected
            if visible:
                assert (await server.documents.get(actor, id, item)).id == item
