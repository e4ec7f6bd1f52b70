"""Documents in documents over the wire: creating, replacing, reading, filters, orders and searches through links."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from litewrite.api.v0_11.events import Renderer
from litewrite.db.document_lists import Request
from litewrite.db.documents import DocumentStore
from litewrite.db.query import Query
from litewrite.errors import Overloaded
from litewrite.events import Event
from litewrite.services import cleanup

COLLECTIONS = "/database/collections"
UNKNOWN = "61d5c1a2b3c4d"
INVALID = (400, "document_invalid_structure")
DENIED = (401, "user_unauthorized")
OPEN = {"read": ["*"], "write": ["*"]}
CLOSED: dict[str, list[str]] = {"read": [], "write": []}


def rule(key: str, type: str, **settings: Any) -> dict[str, Any]:
    return {"label": key.capitalize(), "key": key, "type": type, "required": False, "array": False, **settings}


async def make_collection(key: Any, *rules: dict[str, Any], read: tuple[str, ...] = ("*",)) -> str:
    answer = await key.post(COLLECTIONS, {"name": "c", "read": list(read), "write": [], "rules": list(rules)})
    assert answer.status == 201, answer.body
    return answer["$id"]


def path_of(collection: str, *document: str) -> str:
    return "/".join((COLLECTIONS, collection, "documents", *document))


def child(collection: str, permissions: Any = OPEN, **attributes: Any) -> dict[str, Any]:
    return {"$collection": collection, "$permissions": permissions, **attributes}


def outcome(answer: Any) -> tuple[int, str]:
    return answer.status, answer.body.get("type", "") if isinstance(answer.body, dict) else ""


class Library:
    """Books with authors (one) and chapters (many), which have notes of their own."""

    def __init__(self, notes: str, people: str, chapters: str, books: str) -> None:
        self.notes, self.people, self.chapters, self.books = notes, people, chapters, books

    def person(self, name: str, permissions: Any = OPEN, **more: Any) -> dict[str, Any]:
        return child(self.people, permissions, name=name, **more)

    def chapter(self, title: str, permissions: Any = OPEN, **more: Any) -> dict[str, Any]:
        return child(self.chapters, permissions, title=title, **more)

    def note(self, text: str, permissions: Any = OPEN) -> dict[str, Any]:
        return child(self.notes, permissions, text=text)

    async def book(self, client: Any, title: str, **more: Any) -> dict[str, Any]:
        answer = await client.post(path_of(self.books), {"data": {"title": title, **more}})
        assert answer.status == 201, answer.body
        return answer.body

    async def read(self, client: Any, id: str) -> dict[str, Any]:
        answer = await client.get(path_of(self.books, id))
        assert answer.status == 200, answer.body
        return answer.body

    async def found(self, client: Any, **params: Any) -> list[str]:
        answer = await client.get(path_of(self.books), params=params)
        assert answer.status == 200, answer.body
        assert answer["sum"] == len(answer["documents"]) or "limit" in params
        return [item["title"] for item in answer["documents"]]


@pytest.fixture
async def library(key: Any) -> Library:
    notes = await make_collection(key, rule("text", "text", required=True))
    people = await make_collection(
        key, rule("name", "text", required=True), rule("age", "numeric"), rule("alive", "boolean"),
        rule("nicknames", "text", array=True), rule("any", "wildcard"), rule("motto", "text", default="none"),
    )  # fmt: skip
    chapters = await make_collection(
        key,
        rule("title", "text", required=True),
        rule("notes", "document", array=True, list=[notes]),
        rule("editor", "document", list=[people]),
    )
    books = await make_collection(
        key,
        rule("title", "text", required=True),
        rule("author", "document", list=[people]),
        rule("chapters", "document", array=True, list=[chapters, notes]),
        rule("year", "numeric"),
    )
    return Library(notes, people, chapters, books)


@pytest.fixture
def events(world: Any) -> list[Event]:
    heard: list[Event] = []
    world.backend.bus.subscribe(heard.append)
    return heard


async def rows(world: Any, sql: str) -> list[Any]:
    return await world.backend.db.read(Query(sql, (), list))


# Creating and reading


@pytest.mark.parametrize("side", ["user", "key"])
async def test_movies_with_actors(world: Any, user: Any, key: Any, side: str) -> None:
    """What the end-to-end tests of Appwrite do."""
    actors = await make_collection(
        key, rule("firstName", "text", required=True), rule("lastName", "text", required=True)
    )
    movies = await make_collection(
        key,
        rule("name", "text", required=True),
        rule("releaseYear", "numeric", required=True),
        rule("actors", "document", array=True, list=[actors]),
    )
    me, client = f"user:{user.user['$id']}", user if side == "user" else key
    for name, year, cast in (
        ("Captain America", 1944, (("Chris", "Evans"), ("Samuel", "Jackson"))),
        ("Spider-Man: Far From Home", 2019, (("Tom", "Holland"), ("Zendaya", "Stoermer"), ("Samuel", "Jackson"))),
        ("Spider-Man: Homecoming", 2017, (("Tom", "Holland"), ("Zendaya", "Stoermer"))),
    ):
        data = {
            "name": name,
            "releaseYear": year,
            "actors": [child(actors, CLOSED, firstName=first, lastName=last) for first, last in cast],
        }
        created = await client.post(path_of(movies), {"data": data, "read": [me], "write": [me]})
        assert created.status == 201
        assert (created["$collection"], created["name"], created["releaseYear"]) == (movies, name, year)
        assert created["$permissions"] == {"read": [me], "write": [me]}
        assert [(item["firstName"], item["lastName"]) for item in created["actors"]] == list(cast)
        assert all(len(item["$id"]) == 13 and item["$collection"] == actors for item in created["actors"])
        assert all(item["$permissions"] == CLOSED for item in created["actors"])
        assert (await client.get(path_of(movies, created["$id"]))).body == created.body
    assert outcome(await client.post(path_of(movies), {"data": {"releaseYear": 1}})) == INVALID
    listed = await client.get(path_of(movies), params={"search": "jackson"})
    assert [item["releaseYear"] for item in listed["documents"]] == [1944, 2019]
    # Children are documents of their own collection, seen by whom their own lists name.
    assert (await user.get(path_of(actors)))["sum"] == 0
    assert (await key.get(path_of(actors)))["sum"] == 7


async def test_deep_and_single_children(world: Any, user: Any, library: Library) -> None:
    created = await library.book(
        user,
        "Dune",
        author=library.person("Frank"),
        chapters=[
            library.chapter("one", notes=[library.note("x"), library.note("y")], editor=library.person("Ed")),
            library.note("between"),
            library.chapter("two", {}, notes=[]),
        ],
    )
    assert created["author"]["name"] == "Frank"
    assert "motto" not in created["author"], "documents in others get no defaults"
    one, between, two = created["chapters"]
    assert [note["text"] for note in one["notes"]] == ["x", "y"]
    assert (one["editor"]["name"], between["text"], two["title"]) == ("Ed", "between", "two")
    assert two["$permissions"] == CLOSED
    assert await library.read(user, created["$id"]) == {k: v for k, v in created.items() if v is not None}
    assert (await world.guest.get(path_of(library.people, created["author"]["$id"])))["name"] == "Frank"
    listed = await user.get(path_of(library.books))
    assert listed.body == {"sum": 1, "documents": [await library.read(user, created["$id"])]}
    assert (await user.get(path_of(library.chapters)))["documents"] == [{**one}], "two has no readers"


async def test_one_event_and_one_entry(world: Any, user: Any, library: Library, events: list[Event]) -> None:
    created = await library.book(user, "Dune", author=library.person("Frank"), chapters=[])
    assert [(event.resource, event.action, event.subject.id) for event in events[-1:]] == [
        ("document", "create", created["$id"])
    ]
    assert [event.resource for event in events].count("document") == 1
    entries = await rows(world, "SELECT resource FROM audit WHERE event LIKE 'database.documents.%'")
    assert entries == [(f"database/document/{created['$id']}",)]
    updated = await user.patch(path_of(library.books, created["$id"]), {"data": {"year": 5}})
    await user.delete(path_of(library.books, created["$id"]))
    rendered = [json.loads(Renderer().render(event).payload) for event in events[-3:]]
    assert rendered == [created, updated.body, {k: v for k, v in updated.body.items() if v not in (None, [])}]
    assert rendered[2]["author"]["name"] == "Frank"


MALFORMED: list[Any] = [
    UNKNOWN,
    "text",
    5,
    True,
    {},
    {"name": "x"},
    {"$collection": "PEOPLE"},
    {"$collection": "PEOPLE", "name": "x"},
    {"$id": UNKNOWN, "$permissions": {}, "name": "x"},
    {"$collection": "NOTES", "$permissions": {}, "text": "x"},
    {"$collection": "BOOKS", "$permissions": {}, "title": "x"},
    {"$collection": UNKNOWN, "$permissions": {}, "name": "x"},
    {"$collection": 5, "$permissions": {}, "name": "x"},
    {"$collection": ["PEOPLE"], "$permissions": {}, "name": "x"},
    {"$collection": None, "$permissions": {}, "name": "x"},
    {"$collection": "PEOPLE", "$permissions": None, "name": "x"},
    {"$collection": "PEOPLE", "$permissions": "x", "name": "x"},
    {"$collection": "PEOPLE", "$permissions": ["*"], "name": "x"},
    {"$collection": "PEOPLE", "$permissions": {"execute": []}, "name": "x"},
    {"$collection": "PEOPLE", "$permissions": {"read": "x"}, "name": "x"},
    {"$collection": "PEOPLE", "$permissions": {"read": [5]}, "name": "x"},
    {"$collection": "PEOPLE", "$permissions": {"write": ["x" * 65]}, "name": "x"},
    {"$collection": "PEOPLE", "$permissions": {}},
    {"$collection": "PEOPLE", "$permissions": {}, "name": ""},
    {"$collection": "PEOPLE", "$permissions": {}, "name": 5},
    {"$collection": "PEOPLE", "$permissions": {}, "name": "x", "age": "y"},
    {"$collection": "PEOPLE", "$permissions": {}, "name": "x", "other": 1},
    {"$collection": "PEOPLE", "$permissions": {}, "name": "x", "$other": 1},
    {"$collection": "PEOPLE", "$permissions": {}, "name": "x", "any": [[1]]},
    *(
        {"$id": id, "$collection": "PEOPLE", "$permissions": {}, "name": "x"}
        for id in (5, True, [], {}, "x", "unique()", "5F4C0A1B2C3D4", "0000000000000", "fffffffffffff", "x" * 40)
    ),
]


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: json.dumps(value)[:60])
async def test_malformed_children(world: Any, key: Any, library: Library, value: Any) -> None:
    text = json.dumps(value)
    for name in ("people", "notes", "books"):
        text = text.replace(f'"{name.upper()}"', f'"{getattr(library, name)}"')
    value = json.loads(text)
    kept = await library.book(key, "kept", author=library.person("p"))
    before = await rows(world, "SELECT id, data FROM documents ORDER BY id")
    good = library.person("good")
    deep = library.chapter("c", editor=value)
    for data in (
        {"title": "t", "author": value},
        {"title": "t", "author": [value]},
        {"title": "t", "chapters": value},
        {"title": "t", "chapters": [value]},
        {"title": "t", "chapters": [[value]]},
        {"title": "t", "author": good, "chapters": [deep]},
        {"title": "t", "author": good, "chapters": [library.chapter("ok"), None]},
    ):
        if data.get("chapters") == [value] and isinstance(value, dict) and value.get("$collection") == library.notes:
            continue
        assert outcome(await key.post(path_of(library.books), {"data": data})) == INVALID, data
        assert outcome(await key.patch(path_of(library.books, kept["$id"]), {"data": data})) == INVALID, data
    assert await rows(world, "SELECT id, data FROM documents ORDER BY id") == before
    assert (await library.read(key, kept["$id"]))["author"] == {k: v for k, v in kept["author"].items() if v}


async def test_large_children(world: Any, key: Any, library: Library) -> None:
    async def post(**data: Any) -> Any:
        body = io.BytesIO(json.dumps({"data": data}).encode())
        return await key.call("POST", path_of(library.books), data=body, headers={"Content-Type": "application/json"})

    note = library.note("x" * (1 << 20))
    assert outcome(await post(title="t", chapters=[note])) == INVALID
    # Each may be large; what is too much for one answer is left out with its attribute.
    large = [(await key.post(path_of(library.notes), {"data": {"text": "x" * 900_000}, **OPEN})).body for _ in range(2)]
    inside = [(await post(title="t", chapters=[note])).body["chapters"][0] for note in large]
    assert inside == large
    book = (await key.post(path_of(library.books), {"data": {"title": "t", "author": library.person("a")}})).body
    number, links = int(book["$id"], 16), [int(item["$id"], 16) for item in large]

    def link(tx: Any) -> None:
        tx.stores.documents.links.add(tx, number, "chapters", links * 10, is_list=True)

    await world.backend.db.write(link)
    read = await library.read(key, book["$id"])
    assert "chapters" not in read
    assert read["author"]["name"] == "a"


async def test_empty_role_lists_of_php(key: Any, library: Library) -> None:
    created = await library.book(key, "t", author=library.person("a", []))
    assert created["author"]["$permissions"] == CLOSED


async def test_required_and_empty(key: Any, library: Library) -> None:
    strict = await make_collection(
        key,
        rule("one", "document", required=True, list=[library.notes]),
        rule("many", "document", required=True, array=True, list=[library.notes]),
    )
    note = library.note("x")
    for data, status in (
        ({"one": note, "many": [note]}, 201),
        ({"one": note, "many": []}, 201),
        ({"one": note}, 400),
        ({"many": [note]}, 400),
        ({"one": None, "many": [note]}, 400),
        ({"one": "", "many": [note]}, 400),
        ({"one": 0, "many": [note]}, 400),
        ({"one": note, "many": note}, 400),
        ({"one": [note], "many": [note]}, 400),
    ):
        assert (await key.post(path_of(strict), {"data": data})).status == status, data
    for value in (None, "", 0, "0", False, []):
        created = await library.book(key, "t", author=value, chapters=value)
        assert created["author"] == value
        read = await library.read(key, created["$id"])
        assert read.get("author") == (value if value != [] else None)


# Replacing in place, and what keeps others from doing it


async def test_a_child_without_changes_is_linked(key: Any, user: Any, library: Library) -> None:
    author = (await key.post(path_of(library.people), {"data": {"name": "Ann", "age": 3}, "read": ["*"]})).body
    author = {name: value for name, value in author.items() if value is not None}
    first = await library.book(user, "one", author=author)
    second = await library.book(user, "two", author=author)
    assert first["author"] == second["author"] == author
    assert (await key.get(path_of(library.people)))["sum"] == 1
    # The same content written differently is the same.
    changed_spelling = {**author, "age": 3.0, "nicknames": [], "any": None}
    assert (await library.book(user, "three", author=changed_spelling))["author"] == author
    # A change is seen in all of them at once.
    assert (await key.patch(path_of(library.people, author["$id"]), {"data": {"name": "Anne"}})).status == 200
    assert {item["author"]["name"] for item in (await user.get(path_of(library.books)))["documents"]} == {"Anne"}
    assert await library.found(user, **{"filters[]": "author.name=anne"}) == ["one", "two", "three"]
    assert await library.found(user, search="ann") == []
    assert await library.found(user, search="anne") == ["one", "two", "three"]


async def test_replacing_a_child(user: Any, library: Library, world: Any) -> None:
    created = await library.book(
        user,
        "t",
        author=library.person("Ann", age=5, nicknames=["A"]),
        chapters=[library.chapter("one", notes=[library.note("x")], editor=library.person("Ed"))],
    )
    path = path_of(library.books, created["$id"])
    author, chapter = created["author"], created["chapters"][0]
    replaced = {"$id": author["$id"], "$collection": library.people, "$permissions": OPEN, "name": "Bea"}
    answer = await user.patch(path, {"data": {"author": replaced}})
    assert answer.status == 200
    assert answer["author"] == replaced, "attributes that are not sent are gone"
    assert answer["chapters"] == created["chapters"]
    assert await library.found(user, search="ann") == []
    assert await library.found(user, search="bea") == ["t"]
    # A child can be replaced below one that stays as it is; what is not sent of a child is not linked any more.
    chapter["notes"][0]["text"] = "y"
    answer = await user.patch(path, {"data": {"chapters": [chapter]}})
    assert answer["chapters"][0]["notes"][0] == chapter["notes"][0]
    del chapter["notes"]
    answer = await user.patch(path, {"data": {"chapters": [chapter]}})
    assert "notes" not in answer["chapters"][0]
    assert answer["chapters"][0]["editor"]["name"] == "Ed"
    assert (await user.get(path_of(library.notes)))["sum"] == 1, "it is left in its own collection"
    del chapter["editor"]
    assert (await user.patch(path, {"data": {"chapters": [chapter]}}))["chapters"] == [chapter]
    assert (await library.read(user, created["$id"]))["chapters"] == [chapter]


async def test_replacing_needs_write_permission(user: Any, key: Any, library: Library) -> None:
    readable = {"read": ["*"], "write": []}
    author = (await key.post(path_of(library.people), {"data": {"name": "Ann", "motto": "m"}, **readable})).body
    sent = {name: value for name, value in author.items() if value is not None}
    created = await library.book(user, "t", author=sent)
    path = path_of(library.books, created["$id"])
    for change in (
        {"name": "Bea"},
        {"motto": None},
        {"$permissions": OPEN},
        {"$permissions": {"read": ["*", "*"], "write": []}},
        {"age": 0},
        {"age": False},
    ):
        body = {"data": {"title": "x", "author": {**sent, **change}}}
        assert outcome(await user.patch(path, body)) == DENIED, change
        assert outcome(await user.post(path_of(library.books), body)) == DENIED, change
    assert (await library.read(user, created["$id"]))["author"] == sent
    assert (await key.patch(path, {"data": {"author": {**sent, "name": "Bea"}}}))["author"]["name"] == "Bea"
    # Permission is asked for before a later check of structure would be.
    assert outcome(await user.patch(path, {"data": {"author": {**sent, "other": 1}}})) == DENIED


async def test_linking_needs_read_permission(user: Any, key: Any, library: Library) -> None:
    hidden = (await key.post(path_of(library.people), {"data": {"name": "Ann", "motto": "m"}})).body
    sent = {name: value for name, value in hidden.items() if value is not None}
    assert outcome(await user.post(path_of(library.books), {"data": {"title": "t", "author": sent}})) == INVALID
    # Whoever reads the parent sees the child, and may send back what it has read.
    body = {"data": {"title": "t", "author": sent}, "read": ["*"], "write": ["*"]}
    book = (await key.post(path_of(library.books), body)).body
    path = path_of(library.books, book["$id"])
    read = await library.read(user, book["$id"])
    assert read["author"] == sent
    assert (await user.patch(path, {"data": {"title": "u", "author": read["author"]}})).status == 200
    assert outcome(await user.patch(path, {"data": {"author": {**sent, "name": "x"}}})) == DENIED
    # But it cannot be taken into another document, nor once it is gone from the parent.
    assert outcome(await user.post(path_of(library.books), {"data": {"title": "t", "author": sent}})) == INVALID
    other = {"data": {"chapters": [library.chapter("c", editor=sent)]}}
    assert outcome(await user.patch(path, other)) == INVALID
    assert (await user.patch(path, {"data": {"author": None}})).status == 200
    assert outcome(await user.patch(path, {"data": {"author": sent}})) == INVALID


async def test_ids_of_others_are_refused(world: Any, user: Any, key: Any, library: Library) -> None:
    note = (await key.post(path_of(library.notes), {"data": {"text": "x"}, **OPEN})).body
    book = await library.book(user, "t")
    services = world.backend.services
    await services.projects.create("other")
    _, secret = await services.keys.create("other", "k", ("collections.write", "documents.write"))
    stranger = world.guest.with_headers(X_Appwrite_Project="other", X_Appwrite_Key=secret)
    alien = await make_collection(stranger, rule("name", "text"))
    foreign = (await stranger.post(path_of(alien), {"data": {"name": "x"}, **OPEN})).body
    for id in (note["$id"], book["$id"], foreign["$id"]):
        for client in (user, key):
            data = {"title": "t", "author": {**library.person("x"), "$id": id}}
            assert outcome(await client.post(path_of(library.books), {"data": data})) == INVALID
    data = {"title": "t", "author": {"$id": foreign["$id"], **child(alien, name="x")}}
    assert outcome(await key.post(path_of(library.books), {"data": data})) == INVALID
    assert (await key.get(path_of(library.notes, note["$id"])))["text"] == "x"


async def test_a_free_id_below_the_mark(key: Any, library: Library) -> None:
    mark = (await library.book(key, "t"))["$id"]
    free = f"{int(mark, 16) - 1:013x}"
    data = {"title": "t", "author": {**library.person("x"), "$id": free}}
    created = (await key.post(path_of(library.books), {"data": data})).body
    assert created["author"]["$id"] == free
    assert (await key.get(path_of(library.people, free)))["name"] == "x"
    # The next one is a replacement, and one that was deleted is free again, but linked to nothing.
    data["author"]["name"] = "y"
    await key.post(path_of(library.books), {"data": data})
    assert (await library.read(key, created["$id"]))["author"]["name"] == "y"
    await key.delete(path_of(library.people, free))
    await key.post(path_of(library.books), {"data": data})
    assert "author" not in await library.read(key, created["$id"])
    beyond = f"{int(mark, 16) + (1 << 40):013x}"
    data["author"]["$id"] = beyond
    assert outcome(await key.post(path_of(library.books), {"data": data})) == INVALID


async def test_one_child_at_several_places(key: Any, library: Library) -> None:
    note = (await key.post(path_of(library.notes), {"data": {"text": "x"}, **OPEN})).body
    inner = library.chapter("c", notes=[note, note])
    created = await library.book(key, "t", chapters=[note, inner, note])
    assert [item["$id"] == note["$id"] for item in created["chapters"]] == [True, False, True]
    assert created["chapters"][1]["notes"] == [note, note]
    assert await library.found(key, **{"filters[]": "chapters.text=x"}) == ["t"]
    other = {**note, "text": "y"}
    assert (
        outcome(await key.post(path_of(library.books), {"data": {"title": "t", "chapters": [note, other]}})) == INVALID
    )
    both = {"data": {"title": "t", "chapters": [other, other]}}
    assert [item["text"] for item in (await key.post(path_of(library.books), both))["chapters"]] == ["y", "y"]
    fresh = f"{int(note['$id'], 16) - 1:013x}"
    new = {**library.note("new"), "$id": fresh}
    created = await library.book(key, "t", chapters=[new, library.chapter("c", notes=[new]), new])
    assert created["chapters"][0] == created["chapters"][2] == created["chapters"][1]["notes"][0] == new


async def test_unreadable_collections(user: Any, key: Any, library: Library) -> None:
    private = await make_collection(key, rule("name", "text"), read=("role:guest",))
    books = await make_collection(key, rule("title", "text"), rule("a", "document", list=[private]))
    data = {"title": "t", "a": child(private, name="x")}
    assert outcome(await user.post(path_of(books), {"data": data})) == INVALID
    made = (await key.post(path_of(books), {"data": data, **OPEN})).body
    path = path_of(books, made["$id"])
    read = (await user.get(path)).body
    assert read["a"]["name"] == "x"
    assert (await user.patch(path, {"data": {"title": "u", "a": read["a"]}})).status == 200
    assert outcome(await user.patch(path, {"data": {"a": {**read["a"], "name": "y"}}})) == INVALID


# Cycles and limits


async def tree_collection(key: Any) -> str:
    id = await make_collection(key, rule("n", "text"))
    rules = [rule("n", "text"), rule("one", "document", list=[id]), rule("many", "document", array=True, list=[id])]
    answer = await key.put(f"{COLLECTIONS}/{id}", {"name": "tree", "rules": rules})
    assert answer.status == 200
    return id


def chain(collection: str, levels: int) -> dict[str, Any]:
    node = child(collection, n=str(levels))
    for level in range(levels - 1, 0, -1):
        node = child(collection, n=str(level), one=node)
    return node


def depth(node: dict[str, Any]) -> int:
    levels = 0
    while "one" in node:
        node, levels = node["one"], levels + 1
    return levels


async def test_cycles(key: Any) -> None:
    tree = await tree_collection(key)
    root = (await key.post(path_of(tree), {"data": {"n": "0", "one": chain(tree, 2)}})).body
    path, one, two = path_of(tree, root["$id"]), root["one"], root["one"]["one"]
    bare = {name: value for name, value in root.items() if value is not None}
    for body in ({"one": bare}, {"one": {**one, "one": {**two, "one": bare}}}, {"many": [bare]}):
        assert outcome(await key.patch(path, {"data": body})) == INVALID
    for id, body in (
        (one["$id"], {"one": one}),
        (two["$id"], {"one": one}),
        (two["$id"], {"many": [bare]}),
        (two["$id"], {"one": {**one, "one": two}}),
    ):
        assert outcome(await key.patch(path_of(tree, id), {"data": body})) == INVALID
    assert (await key.get(path)).body == {name: value for name, value in root.items() if value is not None}
    # Turning a link round is none: what is sent of a child is all that it holds from then on.
    turned = {**two, "one": {name: value for name, value in one.items() if name != "one"}}
    answer = await key.patch(path, {"data": {"one": turned}})
    assert (answer["one"]["n"], answer["one"]["one"]["n"], depth(answer.body)) == ("2", "1", 2)
    # The parent of a new document cannot be in it.
    body = {"data": {"n": "x", "one": bare}, "parentDocument": root["$id"], "parentProperty": "one"}
    assert outcome(await key.post(path_of(tree), body)) == INVALID


async def test_levels(key: Any) -> None:
    tree = await tree_collection(key)
    answer = await key.post(path_of(tree), {"data": {"n": "0", "one": chain(tree, 16)}})
    assert (answer.status, depth(answer.body)) == (201, 16)
    assert outcome(await key.post(path_of(tree), {"data": {"n": "0", "one": chain(tree, 17)}})) == INVALID
    last = answer.body
    while "one" in last:
        last = last["one"]
    # What grows below is shown down to the same level.
    grown = await key.patch(path_of(tree, last["$id"]), {"data": {"one": chain(tree, 3)}})
    assert depth(grown.body) == 3
    read = await key.get(path_of(tree, answer["$id"]))
    assert depth(read.body) == 16
    assert (await key.get(path_of(tree), params={"limit": "1"}))["documents"] == [read.body]


async def test_many_children(key: Any) -> None:
    tree = await tree_collection(key)
    leaves = [child(tree, n=str(n)) for n in range(1_000)]
    answer = await key.post(path_of(tree), {"data": {"n": "root", "many": leaves}})
    assert [item["n"] for item in answer["many"]] == [str(n) for n in range(1_000)]
    assert (await key.get(path_of(tree, answer["$id"])))["many"] == answer["many"]
    assert (
        outcome(await key.post(path_of(tree), {"data": {"n": "x", "many": [*leaves, child(tree, n="y")]}})) == INVALID
    )
    inner = [child(tree, n="x", many=[child(tree, n="y") for _ in range(100)]) for _ in range(10)]
    assert outcome(await key.post(path_of(tree), {"data": {"n": "x", "many": inner}})) == INVALID
    place = {"parentDocument": answer["$id"], "parentProperty": "many", "parentPropertyType": "append"}
    assert outcome(await key.post(path_of(tree), {"data": {"n": "x"}, **place})) == INVALID
    # What would not fit is left out as a whole attribute, the nearest first.
    grown = await key.patch(path_of(tree, answer["many"][0]["$id"]), {"data": {"one": child(tree, n="deep")}})
    assert grown["one"]["n"] == "deep"
    read = await key.get(path_of(tree, answer["$id"]))
    assert len(read["many"]) == 1_000
    assert "one" not in read["many"][0]
    listed = await key.get(path_of(tree), params={"limit": "3"})
    assert [len(item.get("many", ())) for item in listed["documents"]] == [1_000, 0, 0]
    assert [("one" in item) for item in listed["documents"]] == [False, False, False]
    assert (await key.get(path_of(tree), params={"limit": "3", "offset": "1"}))["documents"][0]["one"]["n"] == "deep"


# Updating, deleting


async def test_update_keeps_what_is_not_sent(user: Any, library: Library) -> None:
    created = await library.book(user, "t", author=library.person("Ann"), chapters=[library.chapter("one")])
    path = path_of(library.books, created["$id"])
    answer = await user.patch(path, {"data": {"title": "u"}})
    assert (answer["title"], answer["author"], answer["chapters"]) == ("u", created["author"], created["chapters"])
    answer = await user.patch(path, {"read": ["*"]})
    assert (answer["author"], answer["chapters"]) == (created["author"], created["chapters"])
    answer = await user.patch(
        path, {"data": {"author": None, "chapters": [library.chapter("two"), *answer["chapters"]]}}
    )
    assert answer["author"] is None
    assert [item["title"] for item in answer["chapters"]] == ["two", "one"]
    answer = await user.patch(path, {"data": {"chapters": answer["chapters"][::-1]}})
    assert [item["title"] for item in answer["chapters"]] == ["one", "two"]
    assert (await user.patch(path, {"data": {"chapters": []}}))["chapters"] == []
    assert set(await library.read(user, created["$id"])) == {"$id", "$collection", "$permissions", "title"}
    assert (await user.get(path_of(library.chapters)))["sum"] == 2


async def test_deleted_children_are_gone_from_all_parents(world: Any, user: Any, library: Library) -> None:
    author = library.person("Ann")
    first = await library.book(user, "one", author=author, chapters=[library.chapter("a"), library.chapter("b")])
    second = await library.book(user, "two", author=first["author"], chapters=first["chapters"][::-1])
    await user.delete(path_of(library.people, first["author"]["$id"]))
    await user.delete(path_of(library.chapters, first["chapters"][0]["$id"]))
    for book in (first, second):
        read = await library.read(user, book["$id"])
        assert "author" not in read
        assert [item["title"] for item in read["chapters"]] == ["b"]
    assert await library.found(user, search="ann") == []
    assert await library.found(user, **{"filters[]": "author.name=ann"}) == []
    assert await library.found(user, **{"filters[]": f"author.$id={first['author']['$id']}"}) == []
    await user.delete(path_of(library.books, first["$id"]))
    assert (await user.get(path_of(library.chapters)))["sum"] == 1
    await user.delete(path_of(library.books, second["$id"]))
    assert await rows(world, "SELECT count(*) FROM document_links") == [(0,)]


async def test_a_deleted_collection(world: Any, key: Any, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    created = await library.book(
        key,
        "t",
        author=library.person("Ann"),
        chapters=[library.chapter("only a"), library.note("n"), library.chapter("b")],
    )
    remove, is_paused = DocumentStore.delete_slice, True

    def delete_slice(store: DocumentStore, tx: Any, collection_id: str, limit: int) -> int:
        if is_paused:
            raise Overloaded
        return remove(store, tx, collection_id, limit)

    monkeypatch.setattr(cleanup, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(DocumentStore, "delete_slice", delete_slice)
    assert (await key.delete(f"{COLLECTIONS}/{library.chapters}")).status == 204
    read = await library.read(key, created["$id"])
    assert [item["text"] for item in read["chapters"]] == ["n"]
    assert (await key.get(path_of(library.books)))["documents"] == [read]
    assert await library.found(key, **{"filters[]": "chapters.title=a"}) == []
    assert await library.found(key, search="only") == []
    lost = created["chapters"][0]
    data = {"chapters": [{**lost, "$collection": library.notes}]}
    assert outcome(await key.patch(path_of(library.books, created["$id"]), {"data": data})) == INVALID
    assert outcome(await key.patch(path_of(library.books, created["$id"]), {"data": {"chapters": [lost]}})) == INVALID
    # Links that are still there are in nobody's way.
    answer = await key.patch(path_of(library.books, created["$id"]), {"data": {"chapters": [library.note("m")] * 3}})
    assert [item["text"] for item in answer["chapters"]] == ["m", "m", "m"]
    is_paused = False
    await key.delete(f"{COLLECTIONS}/{library.books}")
    for _ in range(1_000):
        left = await rows(world, "SELECT (SELECT count(*) FROM removals) + (SELECT count(*) FROM document_links)")
        if left == [(0,)]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("links are left of deleted collections")


async def test_rules_change(key: Any, library: Library) -> None:
    created = await library.book(key, "t", author=library.person("Ann"), chapters=[library.chapter("a")])
    path, collection = path_of(library.books, created["$id"]), f"{COLLECTIONS}/{library.books}"
    rules = (await key.get(collection))["rules"]
    stored = await library.read(key, created["$id"])

    async def change(*new: dict[str, Any]) -> None:
        assert (await key.put(collection, {"name": "books", "rules": list(new)})).status == 200
        assert await library.read(key, created["$id"]) == stored
        assert (await key.get(path_of(library.books)))["documents"] == [stored]

    # Stored children stay what they are and are shown; the next write checks all.
    await change(rules[0])
    assert outcome(await key.patch(path, {"data": {"title": "u"}})) == INVALID
    await change(*rules[:2], {**rules[2], "array": False})
    assert outcome(await key.patch(path, {"data": {"title": "u"}})) == INVALID
    await change(*rules[:2], {**rules[2], "list": [library.notes]})
    assert outcome(await key.patch(path, {"data": {"title": "u"}})) == INVALID
    assert (await key.patch(path, {"data": {"chapters": [library.note("n")]}}))["chapters"][0]["text"] == "n"
    stored = await library.read(key, created["$id"])
    await change(rules[0], rule("author", "text"), rules[2])
    assert outcome(await key.patch(path, {"data": {"title": "u"}})) == INVALID
    answer = await key.patch(path, {"data": {"author": "plain"}})
    assert answer["author"] == "plain"
    stored = await library.read(key, created["$id"])
    assert stored["author"] == "plain"
    await change(*rules)
    answer = await key.patch(path, {"data": {"author": library.person("Bea")}})
    assert answer["author"]["name"] == "Bea"
    assert (await library.read(key, created["$id"]))["author"]["name"] == "Bea"


async def test_concurrent_changes_of_a_parent(key: Any) -> None:
    tree = await tree_collection(key)
    root = (await key.post(path_of(tree), {"data": {"n": "root"}})).body
    place = {"parentDocument": root["$id"], "parentProperty": "many"}

    async def put(n: int) -> None:
        how = "append" if n % 2 else "prepend"
        answer = await key.post(path_of(tree), {"data": {"n": str(n)}, **place, "parentPropertyType": how})
        assert answer.status == 201, answer.body
        assert answer["$id"] == root["$id"]
        assert str(n) in [item["n"] for item in answer["many"]]

    await asyncio.gather(*map(put, range(40)))
    read = await key.get(path_of(tree, root["$id"]))
    names = [int(item["n"]) for item in read["many"]]
    assert sorted(names) == list(range(40))
    assert [n % 2 for n in names] == [0] * 20 + [1] * 20
    await asyncio.gather(*(key.delete(path_of(tree, item["$id"])) for item in read["many"][5:]))
    assert [item["n"] for item in (await key.get(path_of(tree, root["$id"])))["many"]] == [str(n) for n in names[:5]]


# Creating inside of a parent


async def test_create_in_a_parent(world: Any, user: Any, library: Library, events: list[Event]) -> None:
    book = await library.book(user, "t", author=library.person("Old"))
    me = f"user:{user.user['$id']}"
    place = {"parentDocument": book["$id"], "parentProperty": "author"}
    answer = await user.post(path_of(library.people), {"data": {"name": "New"}, "read": ["*"], **place})
    assert answer.status == 201
    assert (answer["$id"], answer["$collection"], answer["title"]) == (book["$id"], library.books, "t")
    assert answer["author"]["name"] == "New"
    assert answer["author"]["$permissions"] == {"read": ["*"], "write": [me]}
    assert "motto" not in answer["author"], "no defaults"
    assert await library.read(user, book["$id"]) == answer.body
    assert (events[-1].resource, events[-1].action, events[-1].subject.id) == ("document", "create", book["$id"])
    assert json.loads(Renderer().render(events[-1]).payload) == answer.body
    last = "SELECT event, resource FROM audit WHERE event LIKE 'database%' ORDER BY id DESC LIMIT 1"
    assert await rows(world, last) == [("database.documents.create", f"database/document/{book['$id']}")]
    assert (await user.get(path_of(library.people)))["sum"] == 2

    place["parentProperty"] = "chapters"
    for title, how in (("b", "append"), ("c", "append"), ("a", "prepend")):
        body = {"data": {"title": title, "notes": [library.note(f"of {title}")]}, **place, "parentPropertyType": how}
        answer = await user.post(path_of(library.chapters), body)
        assert answer.status == 201, answer.body
    assert [item["title"] for item in answer["chapters"]] == ["a", "b", "c"]
    assert [item["notes"][0]["text"] for item in answer["chapters"]] == ["of a", "of b", "of c"]
    assert answer["author"]["name"] == "New"


async def test_create_in_a_parent_errors(world: Any, user: Any, key: Any, library: Library) -> None:
    mine = await library.book(user, "mine", author=library.person("x"))
    readable = (await key.post(path_of(library.books), {"data": {"title": "r"}, "read": ["*"]})).body
    hidden = await library.book(key, "hidden")
    closed = await make_collection(key, rule("a", "document", list=[library.people]), read=("role:guest",))
    unreachable = (await key.post(path_of(closed), {"data": {"$createdAt": 1}, **OPEN})).body

    async def put(parent: str, key_: str = "author", collection: str = library.people, **more: Any) -> tuple[int, str]:
        data = {"name": "n"} if collection == library.people else {"text": "n"}
        body = {"data": data, "parentDocument": parent, "parentProperty": key_, **more}
        return outcome(await user.post(path_of(collection), body))

    missing = (404, "document_not_found")
    assert await put(UNKNOWN) == missing
    assert await put(hidden["$id"]) == missing
    assert await put(unreachable["$id"], "a") == missing
    assert await put(UNKNOWN, write=[]) == missing
    assert await put(mine["$id"], write=[]) == DENIED
    assert await put(readable["$id"]) == DENIED
    assert await put(readable["$id"], "nothing", data={"bad": 1}) == DENIED
    assert await put(mine["$id"], "title") == INVALID
    assert await put(mine["$id"], "nothing") == INVALID
    assert await put(mine["$id"], "chapters") == INVALID
    assert await put(mine["$id"], "author", parentPropertyType="append") == INVALID
    assert await put(mine["$id"], "chapters", library.notes) == INVALID
    assert await put(mine["$id"], "chapters", library.people, parentPropertyType="append") == INVALID
    assert await put(mine["$id"], "author", library.notes) == INVALID
    assert await put(mine["$id"], data={"age": 5}) == INVALID
    assert await put(mine["$id"], data={"name": "x", "other": 1}) == INVALID
    assert await put(mine["$id"], data={"name": "x", "$id": UNKNOWN}) == INVALID
    assert await put(mine["$id"], collection=UNKNOWN) == (404, "collection_not_found")
    assert (await library.read(user, mine["$id"]))["author"]["name"] == "x"
    assert (await key.get(path_of(library.people)))["sum"] == 1
    assert await put(mine["$id"], "chapters", library.notes, parentPropertyType="prepend") == (201, "")


# Lists


@pytest.fixture
async def shelf(key: Any, library: Library) -> Library:
    def book(title: str, **more: Any) -> Any:
        return library.book(key, title, **more)

    ann = library.person("Ann", age=30, alive=True, nicknames=["A", "Annie"], any={"city": "Rome", "tags": ["x", "y"]})
    await book("0", author=ann, chapters=[library.chapter("one", notes=[library.note("deep word")])], year=5)
    await book("1", author=library.person("Émile", age=9, alive=False), chapters=[library.chapter("two")])
    await book("2", chapters=[library.chapter("three"), library.chapter("one"), library.note("solo")], year=7)
    await book("3", author=library.person("Zoe", age=-4), year=1)
    await book("4")
    return library


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["author.name=ann"], "0"),
        (["author.name=emile"], "1"),
        (["author.name!=ann"], "13"),
        (["author.name>b"], "13"),
        (["author.age>9"], "0"),
        (["author.age<=9"], "13"),
        (["author.age=30.0"], "0"),
        (["author.alive=true"], "0"),
        (["author.alive=0"], "1"),
        (["author.nicknames=annie"], "0"),
        (["author.nicknames!=annie"], "0"),
        (["author.any.city=rome"], "0"),
        (["author.any.tags=y"], "0"),
        (["author.name=ann", "year=5"], "0"),
        (["author.name=ann", "year=7"], ""),
        (["chapters.title=one"], "02"),
        (["chapters.title!=one"], "12"),
        (["chapters.title=one", "chapters.title=three"], "2"),
        (["chapters.text=solo"], "2"),
        (["chapters.notes.text=deep word"], "0"),
        (["chapters.notes.$id!=x"], "0"),
        (["chapters.editor.name=ann"], ""),
        (["author=ann"], ""),
        (["author.unknown=x"], ""),
        (["author.$permissions!=x"], ""),
        (["author.$permissions.read=*"], ""),
        (["chapters.notes.$permissions.read=*"], ""),
        (["author.$id!=x"], "013"),
        (["author.$id=x"], ""),
        (["author.name.x=ann"], ""),
        (["title.name=ann"], ""),
        (["unknown.name=ann"], ""),
        (["author.=x"], ""),
        (["author..name=x"], ""),
        (["chapters." * 10 + "x=1"], ""),
        (["a." * 63 + "=1"], ""),
    ],
)  # fmt: skip
async def test_filters_through_links(
    key: Any, shelf: Library, filters: list[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = [("filters[]", text) for text in filters]
    for is_from_below in (False, True):
        if is_from_below:
            monkeypatch.setattr(Request, "planned", plan)
        answer = await key.get(path_of(shelf.books), params=params)
        assert answer.status == 200, answer.body
        assert "".join(item["title"] for item in answer["documents"]) == found
        assert answer["sum"] == len(found)


def plan(request: Request, visible: int) -> Request:
    return replace(request, declared=replace(request.declared, visible=1_000_000))


async def test_filters_by_ids_of_children(key: Any, shelf: Library) -> None:
    documents = (await key.get(path_of(shelf.books)))["documents"]
    author, chapter = documents[1]["author"], documents[2]["chapters"][1]
    assert await shelf.found(key, **{"filters[]": f"author.$id={author['$id']}"}) == ["1"]
    assert await shelf.found(key, **{"filters[]": f"author.$id={author['$id'].upper()}"}) == ["1"]
    assert await shelf.found(key, **{"filters[]": f"author.$id>{author['$id']}"}) == ["3"]
    assert await shelf.found(key, **{"filters[]": f"chapters.$id={chapter['$id']}"}) == ["2"]
    assert await shelf.found(key, **{"filters[]": f"author.$collection={shelf.people}"}) == ["0", "1", "3"]
    assert await shelf.found(key, **{"filters[]": f"chapters.$collection={shelf.notes}"}) == ["2"]


@pytest.mark.parametrize(
    ("field", "cast", "rising", "falling"),
    [
        ("author.name", "string", "24013", "31024"),
        ("author.age", "int", "24310", "01324"),
        ("author.age", "string", "24301", "10324"),
        ("chapters.title", "string", "34021", "12034"),
        ("chapters.text", "string", "01342", "20134"),
        ("chapters.notes.text", "string", "12340", "01234"),
        ("author.$id", "string", "24013", "31024"),
        ("author.any.city", "string", "12340", "01234"),
        ("author", "string", "01234", "01234"),
        ("author.unknown", "string", "01234", "01234"),
        ("author.$permissions", "string", "01234", "01234"),
    ],
)
async def test_orders_through_links(key: Any, shelf: Library, field: str, cast: str, rising: str, falling: str) -> None:
    params = {"orderField": field, "orderCast": cast}
    assert "".join(await shelf.found(key, **params)) == rising
    assert "".join(await shelf.found(key, **params, orderType="DESC")) == falling
    pages = [await shelf.found(key, **params, limit="2", offset=str(offset)) for offset in (0, 2, 4)]
    assert "".join(title for page in pages for title in page) == rising


async def test_order_of_names_in_different_collections(key: Any) -> None:
    """Where collections that an attribute takes differ in what a key is, all of its meanings count."""
    leaf = await make_collection(key, rule("v", "text"))
    flat = await make_collection(key, rule("sub", "wildcard"))
    deep = await make_collection(key, rule("sub", "document", list=[leaf]))
    top = await make_collection(key, rule("title", "text"), rule("a", "document", list=[flat, deep]))
    for title, value in (
        ("0", child(flat, sub={"v": "m"})),
        ("1", child(deep, sub=child(leaf, v="b"))),
        ("2", child(deep, sub=child(leaf, v="z"))),
    ):
        assert (await key.post(path_of(top), {"data": {"title": title, "a": value}})).status == 201
    for params, found in (
        ({"orderField": "a.sub.v"}, "102"),
        ({"orderField": "a.sub.v", "orderType": "DESC"}, "201"),
        ({"filters[]": "a.sub.v=m"}, "0"),
        ({"filters[]": "a.sub.v<n"}, "01"),
        ({"filters[]": "a.sub.v!=m", "orderField": "a.sub.v", "orderType": "DESC"}, "21"),
    ):
        answer = await key.get(path_of(top), params=params)
        assert "".join(item["title"] for item in answer["documents"]) == found, params


async def test_searches_through_links(world: Any, key: Any, shelf: Library) -> None:
    documents = (await key.get(path_of(shelf.books)))["documents"]
    for text, found in (
        ("ann", "0"),
        ("annie", "0"),
        ("rome", "0"),
        ("emile zoe", "13"),
        ("one", "02"),
        ("solo", "2"),
        ("+solo +three", ""),
        ("thr*", "2"),
        ("deep", ""),
        (documents[3]["author"]["$id"], "3"),
        (documents[3]["author"]["$id"][:3] + "*", "01234"),
        (shelf.people, "013"),
        (shelf.notes, "2"),
        (shelf.books, "01234"),
    ):
        assert "".join(await shelf.found(key, search=text)) == found, text
    assert await shelf.found(key, search="one", **{"filters[]": "year=7"}) == ["2"]
    texts = await rows(world, "SELECT count(*) FROM documents WHERE data LIKE '%Annie%'")
    assert texts == [(1,)]


async def test_read_lists_of_children_play_no_part(user: Any, key: Any, library: Library) -> None:
    for title, name in (("0", "Zoe"), ("1", "Ann")):
        data = {"title": title, "author": library.person(name, CLOSED)}
        await key.post(path_of(library.books), {"data": data, "read": ["*"]})
    hidden = {"title": "2", "author": library.person("Ann")}
    await key.post(path_of(library.books), {"data": hidden})
    assert await library.found(user, orderField="author.name") == ["1", "0"]
    assert await library.found(user, **{"filters[]": "author.name=ann"}) == ["1"]
    assert await library.found(user, search="ann") == ["1"]


async def test_a_page_takes_one_statement(world: Any, key: Any, shelf: Library) -> None:
    inline = world.backend.db._inline
    await shelf.found(key)

    async def reads(call: Any) -> int:
        before = inline.reads
        assert (await call).status == 200
        return inline.reads - before

    plain = await make_collection(key, rule("title", "text"))
    made = await key.post(path_of(plain), {"data": {"title": "x"}})
    await key.get(path_of(plain))
    book = (await key.get(path_of(shelf.books)))["documents"][0]
    # Of these, one looks the caller's key up where that is not in memory.
    base = await reads(key.get(path_of(plain)))
    assert await reads(key.get(path_of(shelf.books))) == base
    base = await reads(key.get(path_of(plain, made["$id"])))
    assert await reads(key.get(path_of(shelf.books, book["$id"]))) == base + 1
