"""Documents in documents against a plain model in memory: random trees, changes, deletions, lists through links."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litewrite.api.v0_11 import models
from litewrite.db.document_lists import Request
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Attribute, User
from litewrite.errors import DocumentNotFound, StructureInvalid, Unauthorized
from litewrite.filters import Cast, Filter, Operator, Order
from litewrite.permissions import Actor, ActorKind, allows, user_roles
from litewrite.services.collections import Collections
from litewrite.services.documents import Documents
from litewrite.services.projects import ensure_project

PROJECT = "p"
WORDS = ("alpha", "beta", "gamma", "10", "9")
LINKS = ("one", "many")
LISTS = (["*"], ["user:alice"], ["user:bob"], [])


def member(id: str) -> Actor:
    user = User(id=id, project_id=PROJECT, name=id, email="", registered_at=datetime.now(UTC))
    return Actor(kind=ActorKind.USER, project_id=PROJECT, roles=user_roles(id, ()), user=user)


SERVER = Actor(kind=ActorKind.KEY, project_id=PROJECT)
ALICE, BOB = member("alice"), member("bob")
ACTORS = st.sampled_from((SERVER, SERVER, ALICE, BOB))
ROLES = st.sampled_from(LISTS)
DATA = st.fixed_dictionaries({"word": st.sampled_from(WORDS)}, optional={"n": st.integers(-2, 12)})

NEW = st.tuples(st.just("new"), st.integers(0, 1), ROLES, ROLES, DATA)
OLD = st.tuples(
    st.just("old"), st.integers(0, 40), st.sampled_from(("same", "same", "same", "data", "read", "unlink", "twice"))
)
NODES = st.recursive(
    st.one_of(NEW, OLD).map(lambda node: (node, None, ())),
    lambda inner: st.tuples(NEW, st.none() | inner, st.lists(inner, max_size=3).map(tuple)),
    max_leaves=6,
)
CHILDREN = st.fixed_dictionaries({}, optional={"one": st.none() | NODES, "many": st.lists(NODES, max_size=3)})
CREATE = st.tuples(st.just("create"), ACTORS, st.integers(0, 1), ROLES, DATA, CHILDREN)
UPDATE = st.tuples(st.just("update"), ACTORS, st.integers(0, 40), st.one_of(st.just({}), DATA), CHILDREN)
DELETE = st.tuples(st.just("delete"), ACTORS, st.integers(0, 40))
PUT = st.tuples(
    st.just("put"), ACTORS, st.integers(0, 40), st.sampled_from(LINKS), st.integers(0, 1), DATA,
    st.sampled_from(("assign", "append", "prepend")),
)  # fmt: skip
PATHS = st.sampled_from(
    [
        (*way, end)
        for way in ((), ("one",), ("many",), ("one", "one"), ("many", "one"), ("many", "many"), ("one", "many"))
        for end in ("word", "n", "$id")
    ]
)
LIST = st.tuples(
    st.just("list"),
    ACTORS,
    st.integers(0, 1),
    st.lists(
        st.tuples(PATHS, st.sampled_from(list(Operator)), st.sampled_from((*WORDS, "3", "0", "5f00000000000"))),
        max_size=1,
    ),
    st.tuples(st.just(()) | PATHS, st.booleans(), st.sampled_from((Cast.TEXT, Cast.INTEGER))),
    st.sampled_from(("", "", "", "", "", "", *WORDS)),
    st.sampled_from((25, 2)),
    st.sampled_from((0, 1)),
)
STEPS = st.tuples(
    st.lists(CREATE, min_size=2, max_size=6),
    st.lists(st.one_of(CREATE, UPDATE, UPDATE, UPDATE, DELETE, PUT), min_size=2, max_size=8),
    st.lists(LIST, min_size=4, max_size=8),
).map(lambda parts: [step for part in parts for step in part])

SHAPES = {"one": False, "many": True}


@dataclass
class Item:
    collection: str
    read: list[str]
    write: list[str]
    data: dict[str, Any]
    held: dict[str, list[str]] = field(default_factory=dict)


class Model:
    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    def shown(self, id: str) -> dict[str, Any]:
        """What is read of a document."""
        item = self.items[id]
        body = {
            "$id": id,
            "$collection": item.collection,
            "$permissions": {"read": item.read, "write": item.write},
            **item.data,
        }
        for key, ids in item.held.items():
            inner = [self.shown(child) for child in ids if child in self.items]
            if inner:
                body[key] = inner if SHAPES[key] else inner[0]
        return body

    def faults(self, actor: Actor, value: dict[str, Any], around: list[str], linked: set[str]) -> set[type[Exception]]:
        """Everything that is wrong about a document that is sent in others, by the rules."""
        found: set[type[Exception]] = set()
        id = value.get("$id")
        own: set[str] = set()
        if id is not None:
            if id in around:
                return {StructureInvalid}
            item = self.items[id]
            own = {child for ids in item.held.values() for child in ids}
            if id not in linked and not allows(tuple(item.read), actor, id):
                found.add(StructureInvalid)
            if value != self.as_sent(id, value) and not allows(tuple(item.write), actor, id):
                found.add(Unauthorized)
        for child in self.inner(value):
            found |= self.faults(actor, child, [*around, id] if id else around, own)
        return found

    def as_sent(self, id: str, value: dict[str, Any]) -> dict[str, Any]:
        """The document as it would have to be sent to stay as it is, whatever becomes of what it holds."""
        stored = self.shown(id)
        for key in LINKS:
            if key in value and key in stored:
                ids = [child.get("$id") for child in self.inner({key: value[key]})]
                if ids == [child["$id"] for child in self.inner({key: stored[key]})]:
                    stored[key] = value[key]
        return stored

    @staticmethod
    def inner(value: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for key, is_list in SHAPES.items():
            if value.get(key):
                found += value[key] if is_list else [value[key]]
        return found

    def clashes(self, value: dict[str, Any]) -> bool:
        """Whether one document is sent twice with different content."""
        seen: dict[str, str] = {}

        def walk(node: dict[str, Any]) -> bool:
            if "$id" in node:
                text = json.dumps(node, sort_keys=True)
                if seen.setdefault(node["$id"], text) != text:
                    return True
            return any(walk(child) for child in self.inner(node))

        return any(walk(child) for child in self.inner(value))

    def keep(self, sent: dict[str, Any], answer: dict[str, Any]) -> str:
        """Store a document that was sent in another one, with the ids of the answer."""
        id = answer["$id"]
        assert sent.get("$id", id) == id
        item = Item(answer["$collection"], [], [], {})
        item.read, item.write = sent["$permissions"]["read"], sent["$permissions"]["write"]
        item.data = {key: value for key, value in sent.items() if key not in LINKS and key[0] != "$"}
        self.hold(item, sent, answer)
        self.items[id] = item
        return id

    def hold(self, item: Item, sent: dict[str, Any], answer: dict[str, Any]) -> None:
        for key in LINKS:
            if key in sent:
                pairs = zip(self.inner({key: sent[key]}), self.inner({key: answer.get(key)}), strict=True)
                item.held[key] = [self.keep(one, other) for one, other in pairs]

    # Lists

    def values(self, id: str, path: tuple[str, ...]) -> list[Any]:
        item = self.items[id]
        if len(path) == 1:
            value = id if path[0] == "$id" else item.data.get(path[0])
            return [] if value is None else [value]
        return [v for child in item.held.get(path[0], ()) if child in self.items for v in self.values(child, path[1:])]

    def listed(self, actor: Actor, collection: str, filters: Any, order: Any, search: str) -> list[str]:
        found = [
            id
            for id, item in sorted(self.items.items())
            if item.collection == collection
            and allows(tuple(item.read), actor, id)
            and all(self.holds(id, *condition) for condition in filters)
            and (not search or self.is_found(id, search))
        ]
        path, falling, cast = order
        if path in ((), ("$id",)):
            return found[::-1] if falling else found
        convert = str if cast is Cast.TEXT else leading_integer
        pick = max if falling else min

        def key(id: str) -> tuple[bool, Any]:
            values = [convert(value) for value in self.values(id, path)]
            return (bool(values), pick(values) if values else 0)

        return sorted(found, key=key, reverse=falling)

    def holds(self, id: str, path: tuple[str, ...], operator: Operator, text: str) -> bool:
        convert: Any = str
        if path[-1] == "n":
            convert = lambda value: int(value) if str(value).lstrip("-").isdigit() else 0  # noqa: E731
            if text == "5f00000000000":
                convert = lambda value: 5 if value == text else int(value)  # noqa: E731
        wanted = convert(text)
        return any(compare(operator, convert(value), wanted) for value in self.values(id, path))

    def is_found(self, id: str, word: str) -> bool:
        if not word.isalpha():
            return False  # shorter than what is indexed
        direct = [child for ids in self.items[id].held.values() for child in ids if child in self.items]
        return any(self.items[other].data.get("word") == word for other in (id, *direct))


def leading_integer(value: Any) -> int:
    text = str(value)
    digits = ""
    for char in text:
        if not (char.isdigit() or (char == "-" and not digits)):
            break
        digits += char
    return int(digits) if digits not in ("", "-") else 0


def compare(operator: Operator, one: Any, other: Any) -> bool:
    return {
        Operator.EQUAL: one == other,
        Operator.NOT_EQUAL: one != other,
        Operator.GREATER: one > other,
        Operator.GREATER_EQUAL: one >= other,
        Operator.LESS: one < other,
        Operator.LESS_EQUAL: one <= other,
    }[operator]


class Scenario:
    def __init__(self, db: SqliteDatabase) -> None:
        self.db = db
        self.collections = Collections(db)
        self.documents = Documents(db, self.collections)
        self.model = Model()
        self.ids: list[str] = []

    async def run(self, steps: list[Any]) -> None:
        await self.db.write(ensure_project(PROJECT))
        made = [await self.collections.create(SERVER, name="c", read=["*"], write=[], attributes=()) for _ in range(2)]
        self.ids = [collection.id for collection in made]
        for collection in made:
            rules = (
                Attribute("", "word", "text"),
                Attribute("", "n", "numeric"),
                Attribute("", "one", "document", list=tuple(self.ids)),
                Attribute("", "many", "document", array=True, list=tuple(self.ids)),
            )
            await self.collections.update(SERVER, collection.id, name="c", read=None, write=None, attributes=rules)
        for name, *arguments in steps:
            await getattr(self, name)(*arguments)
            await self.compare()
        await self.empty()

    async def empty(self) -> None:
        for id in self.ids:
            while await self.db.write(lambda tx, id=id: tx.stores.documents.delete_slice(tx, id, 3)):
                pass
        tables = ("documents", "document_links", "document_counts")
        left = await self.db.write(lambda tx: [tx.rows(f"SELECT * FROM {table}") for table in tables])
        assert left == [[], [], []]

    async def compare(self) -> None:
        for id, item in self.model.items.items():
            document = await self.documents.get(SERVER, item.collection, id)
            assert json.loads(models.Document.of(document).render()) == self.model.shown(id)

    def pick(self, number: int) -> str | None:
        ids = sorted(self.model.items)
        return ids[number % len(ids)] if ids else None

    def value(self, node: Any) -> dict[str, Any]:
        """What a node of a random tree looks like when it is sent."""
        (kind, *rest), one, many = node
        if kind == "new":
            number, read, write, data = rest
            value = {"$collection": self.ids[number], "$permissions": {"read": read, "write": write}, **data}
            if one is not None:
                value["one"] = self.value(one)
            if many:
                value["many"] = [self.value(item) for item in many]
            return value
        number, change = rest
        id = self.pick(number)
        if id is None:
            return self.value((("new", 0, [], [], {"word": "alpha"}), None, ()))
        value = self.model.shown(id)
        if change == "data":
            value["word"] = "gamma"
        elif change == "read":
            value["$permissions"] = {**value["$permissions"], "read": ["user:bob", "*"]}
        elif change == "unlink":
            value.pop("one", None)
        elif change == "twice" and "many" in value:
            value["many"] = value["many"] * 2
        return value

    def sent(self, children: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in children.items():
            if inner is None:
                found[key] = None
            else:
                found[key] = [self.value(node) for node in inner] if SHAPES[key] else self.value(inner)
        return found

    def faults(self, actor: Actor, value: dict[str, Any], id: str | None) -> set[type[Exception]]:
        found: set[type[Exception]] = set()
        linked: set[str] = set()
        if id is not None:
            linked = {child for ids in self.model.items[id].held.values() for child in ids}
        for child in self.model.inner(value):
            found |= self.model.faults(actor, child, [id] if id else [], linked)
        if self.model.clashes(value):
            found.add(StructureInvalid)
        return found

    async def settle(self, call: Any, faults: set[type[Exception]]) -> dict[str, Any] | None:
        """The answer of a call, or None when it fails, which it does exactly when there is a fault."""
        if not faults:
            written = await call
            answer: dict[str, Any] = json.loads(models.Document.of(written.document, written.shown).render())
            return answer
        with pytest.raises(tuple(faults)):
            await call
        return None

    async def create(
        self, actor: Actor, number: int, read: list[str], data: dict[str, Any], children: dict[str, Any]
    ) -> None:
        sent = {**data, **self.sent(children)}
        collection = self.ids[number]
        call = self.documents.create(actor, collection, sent, read=read, write=["*"])
        answer = await self.settle(call, self.faults(actor, sent, None))
        if answer is not None:
            item = Item(collection, read, ["*"], data)
            self.model.hold(item, sent, answer)
            self.model.items[answer["$id"]] = item
            self.check(answer)

    async def update(self, actor: Actor, number: int, data: dict[str, Any], children: dict[str, Any]) -> None:
        id = self.pick(number)
        if id is None:
            return
        item = self.model.items[id]
        sent = {**data, **self.sent(children)}
        call = self.documents.update(actor, item.collection, id, sent)
        answer = await self.settle(call, self.access(actor, id) or self.faults(actor, sent, id))
        if answer is not None:
            item.data = {**item.data, **data}
            self.model.hold(item, sent, answer)
            self.check(answer)

    def access(self, actor: Actor, id: str) -> set[type[Exception]]:
        item = self.model.items[id]
        if not allows(tuple(item.read), actor, id):
            return {DocumentNotFound}
        return set() if allows(tuple(item.write), actor, id) else {Unauthorized}

    async def put(self, actor: Actor, number: int, key: str, of: int, data: dict[str, Any], how: str) -> None:
        id = self.pick(number)
        if id is None:
            return
        faults = self.access(actor, id)
        if not faults and SHAPES[key] is (how == "assign"):
            faults = {StructureInvalid}
        call = self.documents.create(
            actor, self.ids[of], data, read=[], write=["*"], parent_id=id, parent_key=key, parent_place=how
        )
        answer = await self.settle(call, faults)
        if answer is not None:
            item = self.model.items[id]
            kept = [child for child in item.held.get(key, ()) if child in self.model.items]
            inner = self.model.inner({key: answer[key]})
            new = inner[0] if how == "prepend" else inner[-1]
            assert new["$id"] not in self.model.items
            self.model.items[new["$id"]] = Item(self.ids[of], [], ["*"], data)
            item.held[key] = {"assign": [], "append": kept, "prepend": []}[how] + [new["$id"]]
            if how == "prepend":
                item.held[key] += kept
            self.check(answer)

    def check(self, answer: dict[str, Any]) -> None:
        expected = self.model.shown(answer["$id"])
        assert {key: value for key, value in answer.items() if value not in (None, [])} == expected

    async def delete(self, actor: Actor, number: int) -> None:
        id = self.pick(number)
        if id is None:
            return
        call = self.documents.delete(actor, self.model.items[id].collection, id)
        faults = self.access(actor, id)
        if faults:
            with pytest.raises(tuple(faults)):
                await call
        else:
            await call
            del self.model.items[id]
            for item in self.model.items.values():
                item.held = {key: [child for child in ids if child != id] for key, ids in item.held.items()}

    async def list(
        self, actor: Actor, number: int, filters: Any, order: Any, search: str, limit: int, offset: int
    ) -> None:
        collection = self.ids[number]
        expected = self.model.listed(actor, collection, filters, order, search)
        for is_from_below in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Request, "planned", plan if is_from_below else lambda request, visible: request)
                page = await self.documents.list(
                    actor,
                    collection,
                    filters=[Filter(*condition) for condition in filters],
                    order=Order(*order),
                    search=search,
                    limit=limit,
                    offset=offset,
                )
            assert page.total == len(expected)
            assert [json.loads(models.Document.of(item).render()) for item in page.items] == [
                self.model.shown(id) for id in expected[offset : offset + limit]
            ]


def plan(request: Request, visible: int) -> Request:
    """Conditions on other documents begin with those, however many there are."""
    return replace(request, declared=replace(request.declared, visible=1_000_000))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_nested_documents_agree_with_the_model(steps: list[Any]) -> None:
    async def scenario(folder: Path) -> None:
        async with SqliteDatabase(folder / "test.db", durability="normal") as db:
            await Scenario(db).run(steps)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
