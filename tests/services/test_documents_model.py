"""Documents against a plain model in memory: whatever the way to a list, its page and total are the model's."""

from __future__ import annotations

import asyncio
import re
import tempfile
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litewrite.db import indexed_lists
from litewrite.db.document_lists import Request
from litewrite.db.ids import pack
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Attribute, Collection, User
from litewrite.errors import DocumentNotFound, LitewriteError, Unauthorized
from litewrite.filters import Cast, Filter, Operator, Order
from litewrite.permissions import Actor, ActorKind, allows, user_roles
from litewrite.services.collections import Collections
from litewrite.services.documents import Documents, Written
from litewrite.services.projects import ensure_project

PROJECT = "p"


def member(id: str, *teams: tuple[str, tuple[str, ...]]) -> Actor:
    user = User(id=id, project_id=PROJECT, name=id, email="", registered_at=datetime.now(UTC))
    return Actor(kind=ActorKind.USER, project_id=PROJECT, roles=user_roles(id, teams), user=user)


GUEST = Actor(kind=ActorKind.GUEST, project_id=PROJECT)
ALICE = member("alice")
BOB = member("bob", ("t1", ("owner",)))
SERVER = Actor(kind=ActorKind.KEY, project_id=PROJECT)
ACTORS = (GUEST, ALICE, BOB, SERVER)

RULES = (
    Attribute("", "title", "text"),
    Attribute("", "n", "numeric"),
    Attribute("", "flag", "boolean"),
    Attribute("", "tags", "text", array=True),
    Attribute("", "any", "wildcard"),
)

TEXTS = st.sampled_from(
    (
        *("", "a", "B", "b ", "Émile", "emile", "straße", "x" * 300, "x" * 299 + "y", "a\0b", "ＡＢ"),
        *("10", "9", "12abc", "-3", "true", "2020-01-02", "2020-01-02T10:20:30Z", "2020-02-31", "2021-12-31 23:59"),
        "09:30",
    )
)
NUMBERS = st.one_of(
    st.integers(-3, 12), st.sampled_from([0.5, 2.0, -1.25, 1e20, 2**62, "7", " 8.5 ", "1e2", "-3", -(2**63), 9.0e18])
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
DATA = st.fixed_dictionaries(
    {},
    optional={
        "title": st.one_of(st.none(), TEXTS),
        "n": st.one_of(st.none(), NUMBERS),
        "flag": st.one_of(st.none(), st.booleans()),
        "tags": st.lists(TEXTS, max_size=3),
        "any": st.one_of(
            SCALARS,
            st.lists(SCALARS, max_size=3),
            st.fixed_dictionaries({}, optional={"k": st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), "n": NUMBERS}),
            st.lists(st.fixed_dictionaries({"k": SCALARS}), min_size=1, max_size=2),
        ),
    },
)
READERS = st.sampled_from(
    (
        *(["*"], ["*"], ["user:alice", "*"], ["user:alice"], ["user:bob", "user:alice"]),
        *(["role:member"], [], ["team:t1/owner"]),
    )
)
PATHS = st.sampled_from(
    [("title",), ("n",), ("flag",), ("tags",), ("any",), ("any", "k"), ("any", "n"), ("none",), ("$permissions",)]
)
FILTERS = st.builds(
    Filter,
    PATHS,
    st.sampled_from(list(Operator)),
    st.one_of(TEXTS.filter(lambda text: len(text) < 100), st.sampled_from(["0", "1", "2", "false", "8.5", "x"])),
)
ORDERS = st.builds(Order, st.one_of(st.just(()), PATHS), st.booleans(), st.sampled_from(list(Cast)))


# The model


def fold(text: str) -> str:
    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return bare.casefold().rstrip(" ")[:256].split("\0")[0]


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value == int(value) and -(2**63) <= value < 2**63:
        return str(int(value))
    return fold(value) if isinstance(value, str) else str(value)


def as_number(value: Any) -> float | int:
    if not isinstance(value, str):
        return value
    match = re.match(r"\s*([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", value, re.IGNORECASE | re.ASCII)
    return float(match[1]) if match else 0


def as_integer(value: Any) -> int:
    if isinstance(value, str):
        match = re.match(r"\s*[+-]?\d+", value, re.ASCII)
        return int(match[0]) if match else 0
    return max(-(2**63), min(2**63 - 1, int(value)))


def as_moment(value: Any) -> tuple[str | None, str | None]:
    """Date and time of a text."""
    if not isinstance(value, str):
        return None, None
    match = re.match(r"(\d{4}-\d\d-\d\d)(?:[ Tt](.*))?", value)
    if match:
        try:
            date.fromisoformat(match[1])
        except ValueError:
            pass
        else:
            return match[1], as_clock(match[2] or "")
    return None, as_clock(value)


def as_clock(text: str) -> str | None:
    match = re.match(r"(\d\d:[0-5]\d)(:[0-5]\d)?", text)
    return match[1] + (match[2] or ":00") if match else None


def as_datetime(value: Any) -> str | None:
    day, clock = as_moment(value)
    return f"{day} {clock or '00:00:00'}" if day else None


CASTS = {
    Cast.TEXT: as_text,
    Cast.INTEGER: as_integer,
    Cast.DATE: lambda value: as_moment(value)[0],
    Cast.TIME: lambda value: as_moment(value)[1],
    Cast.DATETIME: as_datetime,
}


def values_at(node: Any, path: tuple[str, ...]) -> list[Any]:
    if isinstance(node, list):
        return [value for element in node for value in values_at(element, path)]
    if not path:
        return [] if node is None or isinstance(node, dict) else [node]
    return values_at(node.get(path[0]), path[1:]) if isinstance(node, dict) else []


COMPARE = {
    Operator.EQUAL: lambda a, b: a == b,
    Operator.NOT_EQUAL: lambda a, b: a != b,
    Operator.GREATER: lambda a, b: a > b,
    Operator.GREATER_EQUAL: lambda a, b: a >= b,
    Operator.LESS: lambda a, b: a < b,
    Operator.LESS_EQUAL: lambda a, b: a <= b,
}


def satisfies(data: dict[str, Any], item: Filter) -> bool:
    if item.path[-1] == "n":
        wanted: Any = as_number(item.value)
        return any(COMPARE[item.operator](as_number(value), wanted) for value in values_at(data, item.path))
    wanted = as_text(item.value)
    if item.path == ("flag",):
        wanted = {"true": "1", "false": "0"}.get(wanted, wanted)
    return any(COMPARE[item.operator](as_text(value), wanted) for value in values_at(data, item.path))


@dataclass
class Model:
    documents: dict[str, tuple[dict[str, Any], list[str], list[str]]] = field(default_factory=dict)

    def list(self, actor: Actor, filters: list[Filter], order: Order, limit: int, offset: int) -> tuple[int, list[str]]:
        found = [
            (id, data)
            for id, (data, read, _) in sorted(self.documents.items())
            if allows(tuple(read), actor, id) and all(satisfies(data, item) for item in filters)
        ]
        if not order.path:
            found.sort(key=lambda row: row[0], reverse=order.descending)
        elif order.path != ("$permissions",):
            convert, pick = CASTS[order.cast], max if order.descending else min

            def key(row: tuple[str, dict[str, Any]]) -> tuple[bool, Any]:
                values = [convert(value) for value in values_at(row[1], order.path)]
                present = [value for value in values if value is not None]
                return (bool(present), pick(present) if present else 0)

            # A reversed sort is stable too: equal keys stay in the order of creation.
            found.sort(key=key, reverse=order.descending)
        return len(found), [id for id, _ in found[offset : offset + limit]]


SOMEBODY = st.sampled_from((ALICE, BOB, SERVER, SERVER))
CREATE = st.tuples(st.just("create"), SOMEBODY, DATA, st.one_of(st.none(), READERS))
UPDATE = st.tuples(st.just("update"), st.sampled_from(ACTORS), DATA, st.one_of(st.none(), READERS), st.integers(0, 30))
DELETE = st.tuples(st.just("delete"), st.sampled_from(ACTORS), st.integers(0, 30))
INDEX = st.tuples(st.just("index"), PATHS, st.integers(1, 8))
LIST = st.tuples(
    st.just("list"),
    st.sampled_from(ACTORS),
    st.lists(FILTERS, max_size=2),
    ORDERS,
    st.sampled_from([0, 1, 2, 5, 25]),
    st.sampled_from([0, 0, 1, 3]),
)
STEPS = st.tuples(
    st.lists(CREATE, min_size=3, max_size=15),
    st.lists(INDEX, max_size=6),
    st.lists(st.one_of(CREATE, UPDATE, DELETE, INDEX), max_size=10),
    st.lists(LIST, min_size=6, max_size=12),
).map(lambda parts: [step for part in parts for step in part])


class Scenario:
    def __init__(self, db: SqliteDatabase) -> None:
        self.db = db
        self.collections = Collections(db)
        self.documents = Documents(db, self.collections)
        self.model = Model()
        self.collection: Collection

    async def run(self, steps: list[Any]) -> None:
        await self.db.write(ensure_project(PROJECT))
        self.collection = await self.collections.create(SERVER, name="c", read=["*"], write=[], attributes=RULES)
        for name, *arguments in steps:
            await getattr(self, name)(*arguments)
        while await self.db.write(lambda tx: tx.stores.documents.delete_slice(tx, self.collection.id, 7)):
            pass
        await self.db.write(self.assert_empty)

    def assert_empty(self, tx: Any) -> None:
        for table in ("documents", "document_counts", "document_links", "field_values", "indexed_fields"):
            assert tx.rows(f"SELECT * FROM {table}") == [], table
        found = tx.rows("SELECT rowid FROM search WHERE search MATCH ?", (f"scope : documents_{self.collection.id}",))
        assert found == []

    async def create(self, actor: Actor, data: dict[str, Any], read: list[str] | None) -> None:
        write = ["*"] if actor is SERVER else None
        try:
            written = await self.documents.create(actor, self.collection.id, data, read=read, write=write)
        except LitewriteError:
            assert not data
            return
        permissions = written.document.permissions
        self.model.documents[written.document.id] = (
            self.stored(data, written),
            list(permissions.read),
            list(permissions.write),
        )

    @staticmethod
    def stored(data: dict[str, Any], written: Written) -> dict[str, Any]:
        return {key: value for key, value in data.items() if value is not None and value != []}

    def pick(self, index: int) -> str:
        ids = sorted(self.model.documents)
        return ids[index % len(ids)] if ids else "0000000000000"

    async def update(self, actor: Actor, data: dict[str, Any], read: list[str] | None, index: int) -> None:
        id = self.pick(index)
        old = self.model.documents.get(id)
        call = self.documents.update(actor, self.collection.id, id, data, read=read)
        if old is None or not allows(tuple(old[1]), actor, id):
            with pytest.raises(DocumentNotFound):
                await call
        elif not allows(tuple(old[2]), actor, id):
            with pytest.raises(Unauthorized):
                await call
        else:
            written = await call
            merged = self.stored({**old[0], **data}, written)
            self.model.documents[id] = (merged, old[1] if read is None else read, old[2])

    async def delete(self, actor: Actor, index: int) -> None:
        id = self.pick(index)
        old = self.model.documents.get(id)
        call = self.documents.delete(actor, self.collection.id, id)
        if old is None or not allows(tuple(old[1]), actor, id):
            with pytest.raises(DocumentNotFound):
                await call
        elif not allows(tuple(old[2]), actor, id):
            with pytest.raises(Unauthorized):
                await call
        else:
            await call
            del self.model.documents[id]

    async def index(self, path: tuple[str, ...], slices: int) -> None:
        """Have every form of a path indexed, as far as a few small slices come."""
        order = [Order(path, cast=cast) for cast in Cast]
        structure = self.documents._structures
        stored = await self.collections.stored(PROJECT, self.collection.id)
        assert stored is not None
        declared = structure.of(stored.attributes).declared
        for item in order:
            request = Request(self.collection.id, declared, (Filter(path, Operator.EQUAL, ""),), order=item)
            for wanted, kind in request.fields():
                await self.db.write(
                    lambda tx, wanted=wanted, kind=kind: tx.stores.documents.fields.request(
                        tx, pack(self.collection.id), wanted, kind, is_multiple=False, most=100
                    )
                )
        for _ in range(slices):
            await self.db.write(lambda tx: tx.stores.documents.fields.build_slice(tx, pack(self.collection.id), 4))

    async def list(self, actor: Actor, filters: list[Filter], order: Order, limit: int, offset: int) -> None:
        expected = self.model.list(actor, filters, order, limit, offset)
        page = await self.documents.list(
            actor, self.collection.id, filters=filters, order=order, limit=limit, offset=offset
        )
        assert (page.total, [item.id for item in page.items]) == expected
        stored = await self.collections.stored(PROJECT, self.collection.id)
        assert stored is not None
        declared = self.documents._structures.of(stored.attributes).declared
        request = Request(self.collection.id, declared, tuple(filters), order=order, limit=limit, offset=offset)
        known = await self.documents._survey(actor, request, stored.fields, 0)
        for sorted_values in (0, indexed_lists.MOST_SORTED_VALUES):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(indexed_lists, "MOST_SORTED_VALUES", sorted_values)
                ways = indexed_lists.candidates(request, stored.fields, known, len(self.model.documents))
                for query in [make() for _, make in ways]:
                    page = await self.db.read(query)
                    assert (page.total, [item.id for item in page.items]) == expected, query.sql


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_documents_agree_with_the_model(steps: list[Any]) -> None:
    async def scenario(folder: Path) -> None:
        async with SqliteDatabase(folder / "test.db", durability="normal") as db:
            await Scenario(db).run(steps)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
