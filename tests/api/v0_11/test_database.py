"""The database service over the wire: collections, documents, permissions, lists, errors and events."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from litewrite.api.v0_11.events import Renderer
from litewrite.db.query import Query
from litewrite.events import Event

COLLECTIONS = "/database/collections"
UNKNOWN = "61d5c1a2b3c4d"
LONG_ID = "x" * 33
RULES = [
    {"label": "Title", "key": "title", "type": "text", "required": True, "array": False, "default": ""},
    {"label": "Year", "key": "year", "type": "numeric", "required": False, "array": False},
    {"label": "Tags", "key": "tags", "type": "text", "required": False, "array": True},
]


def rule(key: str, type: str, **settings: Any) -> dict[str, Any]:
    return {"label": key.capitalize(), "key": key, "type": type, "required": False, "array": False, **settings}


async def make_collection(key: Any, rules: Any = RULES, read: Any = ("*",), write: Any = ("role:member",)) -> str:
    answer = await key.post(
        COLLECTIONS, {"name": "Movies", "read": list(read), "write": list(write), "rules": list(rules)}
    )
    assert answer.status == 201, answer.body
    return answer["$id"]


@pytest.fixture
async def movies(key: Any) -> str:
    return f"{COLLECTIONS}/{await make_collection(key)}/documents"


@pytest.fixture
def events(world: Any) -> list[Event]:
    heard: list[Event] = []
    world.backend.bus.subscribe(heard.append)
    return heard


async def audit(world: Any) -> list[tuple[str, str, str]]:
    return await world.backend.db.read(
        Query(
            "SELECT event, resource, user_id FROM audit WHERE event LIKE 'database%' ORDER BY id",
            (),
            lambda rows: [tuple(row) for row in rows],
        )
    )


def titles(answer: Any) -> list[str]:
    assert answer.status == 200, answer.body
    return [document["title"] for document in answer["documents"]]


# Who may call


async def callers(world: Any) -> dict[str, Any]:
    user = await world.sign_up()
    jwt = (await user.post("/account/jwt"))["jwt"]
    return {
        "guest": world.guest,
        "user": user,
        "jwt": world.guest.with_headers(X_Appwrite_JWT=jwt),
        "key": await world.key(),
        "bare key": await world.key("users.read"),
    }


async def test_scopes(world: Any) -> None:
    who = await callers(world)
    id = await make_collection(who["key"])
    one, documents = f"{COLLECTIONS}/{id}", f"{COLLECTIONS}/{id}/documents"
    by_collections = {"guest": 401, "user": 401, "jwt": 401, "bare key": 401}
    calls: list[tuple[str, str, Any, dict[str, int]]] = [
        ("POST", COLLECTIONS, {"name": "x"}, {**by_collections, "key": 201}),
        ("GET", COLLECTIONS, None, {**by_collections, "key": 200}),
        ("GET", one, None, {**by_collections, "key": 200}),
        ("PUT", one, {"name": "x", "rules": RULES}, {**by_collections, "key": 200}),
        ("DELETE", f"{COLLECTIONS}/{UNKNOWN}", None, {**by_collections, "key": 404}),
        (
            "POST",
            documents,
            {"data": {"title": "t"}},
            {"guest": 401, "user": 201, "jwt": 201, "key": 201, "bare key": 401},
        ),
        ("GET", documents, None, {"guest": 200, "user": 200, "jwt": 200, "key": 200, "bare key": 401}),
        ("GET", f"{documents}/{UNKNOWN}", None, {"guest": 404, "user": 404, "jwt": 404, "key": 404, "bare key": 401}),
        (
            "PATCH",
            f"{documents}/{UNKNOWN}",
            {"data": {}},
            {"guest": 401, "user": 404, "jwt": 404, "key": 404, "bare key": 401},
        ),
        (
            "DELETE",
            f"{documents}/{UNKNOWN}",
            None,
            {"guest": 401, "user": 404, "jwt": 404, "key": 404, "bare key": 401},
        ),
    ]
    for method, path, body, expected in calls:
        for name, status in expected.items():
            answer = await who[name].call(method, path, body)
            assert answer.status == status, (method, path, name, answer.body)
            if status == 401:
                assert answer["type"] == "general_unauthorized_scope"


# Collections


async def test_create_collection(key: Any, world: Any, events: list[Event]) -> None:
    answer = await key.post(
        COLLECTIONS, {"name": "Movies", "read": ["*"], "write": ["role:member", "role:member"], "rules": RULES}
    )
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    body = answer.body
    assert list(body) == ["$id", "$permissions", "name", "dateCreated", "dateUpdated", "rules"]
    assert body["$permissions"] == {"read": ["*"], "write": ["role:member", "role:member"]}
    assert body["dateCreated"] == body["dateUpdated"] > 1_600_000_000
    first = body["rules"][0]
    assert len(first["$id"]) == 13
    assert first == {
        "$id": first["$id"],
        "$collection": "rules",
        "type": "text",
        "key": "title",
        "label": "Title",
        "default": "",
        "array": False,
        "required": True,
        "list": [],
    }
    assert body["rules"][2]["array"] is True
    assert (await key.get(f"{COLLECTIONS}/{body['$id']}")).body == body
    assert [(event.resource, event.action, event.subject.id) for event in events] == [
        ("collection", "create", body["$id"])
    ]
    assert await audit(world) == [("database.collections.create", f"database/collection/{body['$id']}", "")]


async def test_collection_defaults(key: Any) -> None:
    answer = await key.post(COLLECTIONS, {"name": "n" * 128})
    assert answer.status == 201
    assert answer["$permissions"] == {"read": [], "write": []}
    assert answer["rules"] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 129}, "name"),
        ({"name": 5}, "name"),
        ({"read": "x"}, "read"),
        ({"read": ["x" * 65]}, "read"),
        ({"write": [1]}, "write"),
        ({"rules": "x"}, "rules"),
        ({"rules": ["x"]}, "rules"),
        ({"rules": [{}]}, "rules"),
        *(({"rules": [{**RULES[0], name: value}]}, "rules")
          for name in ("label", "key", "type") for value in (None, "", 3)),
        *(({"rules": [{**RULES[0], name: value}]}, "rules")
          for name in ("required", "array") for value in (None, "true", 1)),
        ({"rules": [{**RULES[0], "key": "a b"}]}, "rules"),
        ({"rules": [{**RULES[0], "key": "k" * 33}]}, "rules"),
        ({"rules": [{**RULES[0], "extra": 1}]}, "rules"),
        ({"rules": [{**RULES[0], "list": "x"}]}, "rules"),
        ({"rules": [{**RULES[0], "list": [1]}]}, "rules"),
        ({"rules": [{**RULES[0], "$id": "x" * 33}]}, "rules"),
        ({"rules": [{**RULES[0], "$collection": "users"}]}, "rules"),
        ({"rules": [{**RULES[0], "$permissions": {"execute": []}}]}, "rules"),
        ({"rules": [{**RULES[0], "$permissions": {"read": "x"}}]}, "rules"),
        ({"rules": [{**RULES[0], "filter": [1]}]}, "rules"),
    ],
)  # fmt: skip
async def test_bad_collection_parameters(key: Any, change: dict[str, Any], fault: str) -> None:
    answer = await key.post(COLLECTIONS, {"name": "x", "read": [], "write": [], "rules": [], **change})
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")
    assert fault in answer["message"]
    assert (await key.get(COLLECTIONS))["sum"] == 0


async def test_rules_as_clients_send_them_back(key: Any) -> None:
    id = await make_collection(key)
    read = (await key.get(f"{COLLECTIONS}/{id}"))["rules"]
    sent = [
        {**read[1], "$permissions": {"read": [], "write": []}, "filter": ["json"], "list": None},
        rule("new", "text", **{"$id": "unknown"}),
    ]
    answer = await key.put(f"{COLLECTIONS}/{id}", {"name": "Films", "rules": sent})
    assert answer.status == 200
    assert [item["key"] for item in answer["rules"]] == ["year", "new"]
    assert answer["rules"][0]["$id"] == read[1]["$id"]
    assert answer["rules"][1]["$id"] not in ("unknown", *(item["$id"] for item in read))


async def test_rules_in_a_form(key: Any) -> None:
    answer = await key.call("POST", COLLECTIONS, data={"name": "x", "read[0]": "*", "write[]": "role:member"})
    assert answer.status == 201
    assert answer["$permissions"] == {"read": ["*"], "write": ["role:member"]}


@pytest.mark.parametrize("default", ["x", 5, 2.5, True, False, 0, ["a"], {"a": 1}], ids=lambda value: json.dumps(value))
async def test_defaults_of_rules_keep_their_type(key: Any, default: Any) -> None:
    id = await make_collection(key, [rule("a", "wildcard", default=default)])
    shown = (await key.get(f"{COLLECTIONS}/{id}"))["rules"][0]["default"]
    assert shown == default
    assert type(shown) is type(default)


async def test_list_collections(key: Any, world: Any) -> None:
    names = ["Movies", "Émile's books", "Songs"]
    for name in names:
        rules = [rule(f"{name[-3:]}key", "text", label="Shared")]
        assert (await key.post(COLLECTIONS, {"name": name, "rules": rules})).status == 201
    await world.backend.services.projects.create("other")

    async def listed(**params: Any) -> tuple[int, list[str]]:
        answer = await key.get(COLLECTIONS, params=params)
        assert answer.status == 200, answer.body
        return answer["sum"], [item["name"] for item in answer["collections"]]

    assert await listed() == (3, names)
    assert await listed(orderType="DESC", limit="2") == (3, ["Songs", "Émile's books"])
    assert await listed(limit="1", offset="1") == (3, ["Émile's books"])
    assert await listed(limit="0") == (3, [])
    assert await listed(offset="40000") == (3, [])
    assert await listed(search="emile") == (1, ["Émile's books"])
    assert await listed(search="shared") == (3, names)
    assert await listed(search="ngskey") == (1, ["Songs"])
    assert await listed(search="*") == (3, names)
    assert await listed(search="nothing") == (0, [])
    for params in ({"limit": "101"}, {"offset": "40001"}, {"orderType": "asc"}, {"search": "x" * 257}):
        answer = await key.get(COLLECTIONS, params=params)
        assert (answer.status, answer["type"]) == (400, "general_argument_invalid"), params


async def test_get_collection_not_found(key: Any) -> None:
    for id in (UNKNOWN, "users", "files"):
        answer = await key.get(f"{COLLECTIONS}/{id}")
        assert (answer.status, answer["type"]) == (404, "collection_not_found")
    for method in ("GET", "DELETE"):
        answer = await key.call(method, f"{COLLECTIONS}/{LONG_ID}")
        assert (answer.status, answer["type"]) == (400, "general_argument_invalid")


async def test_update_collection(key: Any, world: Any, events: list[Event]) -> None:
    id = await make_collection(key)
    before = (await key.get(f"{COLLECTIONS}/{id}")).body
    answer = await key.put(f"{COLLECTIONS}/{id}", {"name": "Films"})
    assert answer.status == 200
    assert answer["rules"] == []
    assert answer["$permissions"] == before["$permissions"]
    assert answer["dateCreated"] == before["dateCreated"] <= answer["dateUpdated"]
    answer = await key.put(f"{COLLECTIONS}/{id}", {"name": "Films", "read": [], "rules": RULES})
    assert answer["$permissions"] == {"read": [], "write": ["role:member"]}
    assert (await key.get(COLLECTIONS, params={"search": "films"}))["sum"] == 1
    assert (await key.get(COLLECTIONS, params={"search": "movies"}))["sum"] == 0
    assert [event.action for event in events] == ["create", "update", "update"]
    assert (await audit(world))[-1] == ("database.collections.update", f"database/collections/{id}", "")
    for path, body, status, type in (
        (UNKNOWN, {"name": "x"}, 404, "collection_not_found"),
        (id, {}, 400, "general_argument_invalid"),
        (id, {"name": "x", "read": ["x" * 65]}, 400, "general_argument_invalid"),
        (id, {"name": "x", "rules": [{}]}, 400, "general_argument_invalid"),
    ):
        answer = await key.put(f"{COLLECTIONS}/{path}", body)
        assert (answer.status, answer["type"]) == (status, type)


async def test_delete_collection(key: Any, user: Any, world: Any, events: list[Event]) -> None:
    id = await make_collection(key)
    documents = f"{COLLECTIONS}/{id}/documents"
    first = await key.post(documents, {"data": {"title": "Captain America"}, "read": ["*"], "write": ["*"]})
    await key.post(documents, {"data": {"title": "Captain America"}})
    answer = await key.delete(f"{COLLECTIONS}/{id}")
    assert (answer.status, answer.raw) == (204, b"")
    assert not answer.headers["Content-Type"].startswith("application/json")
    assert (await key.get(f"{COLLECTIONS}/{id}")).status == 404
    for client in (key, user):
        assert (await client.get(documents))["type"] == "collection_not_found"
        assert (await client.post(documents, {"data": {"title": "x"}}))["type"] == "collection_not_found"
        assert (await client.get(f"{documents}/{first['$id']}"))["type"] == "document_not_found"
        assert (await client.patch(f"{documents}/{first['$id']}", {}))["type"] == "collection_not_found"
        assert (await client.delete(f"{documents}/{first['$id']}")).status == 404
    assert (await key.delete(f"{COLLECTIONS}/{id}"))["type"] == "collection_not_found"
    assert [(event.resource, event.action) for event in events] == [
        ("collection", "create"),
        ("document", "create"),
        ("document", "create"),
        ("collection", "delete"),
    ]
    assert len(events[-1].subject.attributes) == 3
    assert (await audit(world))[-1] == ("database.collections.delete", f"database/collections/{id}", "")
    await until_gone(world)


async def until_gone(world: Any) -> None:
    """The documents of the deleted collection go in the background, with all that belongs to them."""
    count = Query(
        "SELECT (SELECT count(*) FROM documents) + (SELECT count(*) FROM document_counts) "
        "+ (SELECT count(*) FROM removals)",
        (),
        lambda rows: rows[0][0],
    )
    for _ in range(1_000):
        if not await world.backend.db.read(count):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("rows are left of a deleted collection")


# Documents: creating


async def test_create_document(user: Any, key: Any, movies: str, world: Any, events: list[Event]) -> None:
    me = f"user:{user.user['$id']}"
    answer = await user.post(movies, {"data": {"title": "Captain America", "year": 1944, "tags": ["a", "b"]}})
    assert answer.status == 201
    collection = movies.split("/")[3]
    assert answer.body == {
        "$id": answer["$id"],
        "$collection": collection,
        "$permissions": {"read": [me], "write": [me]},
        "title": "Captain America",
        "year": 1944,
        "tags": ["a", "b"],
    }
    assert len(answer["$id"]) == 13
    assert (await user.get(f"{movies}/{answer['$id']}")).body == answer.body
    event = events[-1]
    assert (event.resource, event.action, event.subject.id) == ("document", "create", answer["$id"])
    assert (await audit(world))[-1] == (
        "database.documents.create",
        f"database/document/{answer['$id']}",
        user.user["$id"],
    )


async def test_absent_attributes_are_shown_once(user: Any, movies: str) -> None:
    created = await user.post(movies, {"data": {"title": "x", "tags": []}})
    assert created["year"] is None
    assert created["tags"] is None or created["tags"] == []
    read = (await user.get(f"{movies}/{created['$id']}")).body
    assert set(read) == {"$id", "$collection", "$permissions", "title"}
    updated = await user.patch(f"{movies}/{created['$id']}", {"data": {"year": None, "tags": []}})
    assert (updated["year"], updated["tags"]) == (None, [])
    assert (await user.get(f"{movies}/{created['$id']}")).body == read


@pytest.mark.parametrize("data", [None, {}, [], "", "{}", "[]"])
@pytest.mark.parametrize("collection", ["", UNKNOWN])
async def test_missing_payload(user: Any, movies: str, data: Any, collection: str) -> None:
    path = f"{COLLECTIONS}/{collection}/documents" if collection else movies
    answer = await user.post(path, {"data": data})
    assert (answer.status, answer["type"]) == (400, "document_missing_payload")


@pytest.mark.parametrize(
    ("data", "type"),
    [
        (5, "general_argument_invalid"),
        (True, "general_argument_invalid"),
        ("no json", "general_argument_invalid"),
        ('{"title":', "general_argument_invalid"),
        ('{"title":"a","title":"b"}', "general_argument_invalid"),
        ("5", "document_invalid_structure"),
        ('"x"', "document_invalid_structure"),
        ("[1]", "document_invalid_structure"),
        ([1], "document_invalid_structure"),
        ({"$id": "x", "title": "a"}, "document_invalid_structure"),
        ({"title": "a", "$other": 1}, "document_invalid_structure"),
        ({"title": "a", "other": None}, "document_invalid_structure"),
        ({"title": ""}, "document_invalid_structure"),
        ({"title": None}, "document_invalid_structure"),
        ({"year": 1944}, "document_invalid_structure"),
        ({"title": 5}, "document_invalid_structure"),
        ({"title": ["a"]}, "document_invalid_structure"),
        ({"title": "a", "year": "x"}, "document_invalid_structure"),
        ({"title": "a", "tags": "x"}, "document_invalid_structure"),
        ({"title": "a", "tags": ["x", None]}, "document_invalid_structure"),
        ({"title": "a", "tags": {"x": "y"}}, "document_invalid_structure"),
    ],
)
async def test_bad_data(user: Any, movies: str, data: Any, type: str) -> None:
    answer = await user.post(movies, {"data": data})
    assert (answer.status, answer["type"]) == (400, type), answer.body
    assert (await user.get(movies))["sum"] == 0


@pytest.mark.parametrize("lists", [{"read": "x"}, {"write": [5]}, {"read": ["x" * 65]}])
async def test_bad_lists(user: Any, movies: str, lists: dict[str, Any]) -> None:
    answer = await user.post(movies, {"data": {"title": "x"}, **lists})
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")


async def test_data_as_text_and_reserved_members(user: Any, movies: str) -> None:
    sent = {"title": "x", "$collection": "y", "$permissions": {"read": ["*"]}, "$createdAt": 5, "$updatedAt": "6.5"}
    for data in (sent, json.dumps(sent)):
        answer = await user.post(movies, {"data": data})
        assert answer.status == 201, answer.body
        assert (answer["$createdAt"], answer["$updatedAt"]) == (5, "6.5")
        assert answer["$collection"] == movies.split("/")[3]
        assert answer["$permissions"]["read"] == [f"user:{user.user['$id']}"]
    answer = await user.post(movies, {"data": {"title": "x", "$createdAt": "now"}})
    assert answer["type"] == "document_invalid_structure"


async def test_order_of_checks(user: Any, key: Any, movies: str) -> None:
    async def fails(body: dict[str, Any], path: str = movies) -> str:
        answer = await user.post(path, body)
        assert answer.status >= 400
        return answer["type"]

    elsewhere = f"{COLLECTIONS}/{UNKNOWN}/documents"
    assert await fails({"data": {}, "read": 5}, elsewhere) == "general_argument_invalid"
    assert await fails({"data": {}}, elsewhere) == "document_missing_payload"
    assert await fails({"data": {"$id": "x"}}, elsewhere) == "document_invalid_structure"
    assert await fails({"data": {"bad": 1}, "write": []}, elsewhere) == "collection_not_found"
    parent = {"parentDocument": UNKNOWN, "parentProperty": "title"}
    assert await fails({"data": {"bad": 1}, "write": [], **parent}) == "document_not_found"
    assert await fails({"data": {"bad": 1}, "write": []}) == "user_unauthorized"
    assert await fails({"data": {"bad": 1}}) == "document_invalid_structure"
    hidden = f"{COLLECTIONS}/{await make_collection(key, read=['role:guest'])}/documents"
    assert await fails({"data": {"title": "x"}}, hidden) == "collection_not_found"


async def test_parent_without_a_place_for_documents(user: Any, key: Any, movies: str) -> None:
    parent = await user.post(movies, {"data": {"title": "x"}})
    alien = await key.post(movies, {"data": {"title": "x"}, "read": ["*"]})
    hidden = await key.post(movies, {"data": {"title": "x"}})

    async def put(id: str, **more: Any) -> tuple[int, str]:
        body = {"data": {"title": "y"}, "parentDocument": id, "parentProperty": "title", **more}
        answer = await user.post(movies, body)
        return answer.status, answer.body.get("type", "")

    assert await put(parent["$id"]) == (400, "document_invalid_structure")
    assert await put(parent["$id"], parentPropertyType="append") == (400, "document_invalid_structure")
    assert await put(alien["$id"]) == (401, "user_unauthorized")
    assert await put(parent["$id"], write=[]) == (401, "user_unauthorized")
    assert await put(hidden["$id"]) == (404, "document_not_found")
    for bad in ({"parentDocument": LONG_ID}, {"parentProperty": "a b"}, {"parentPropertyType": "x"}):
        assert await put(parent["$id"], **bad) == (400, "general_argument_invalid")
    # One of the two alone is ignored.
    assert (await put(UNKNOWN, parentProperty=""))[0] == 201
    assert (await put("", parentProperty="title"))[0] == 201


async def test_default_and_given_lists(user: Any, key: Any, movies: str) -> None:
    me = f"user:{user.user['$id']}"

    async def lists(client: Any, **given: Any) -> Any:
        answer = await client.post(movies, {"data": {"title": "x"}, **given})
        return answer["$permissions"] if answer.status == 201 else answer["type"]

    assert await lists(user) == {"read": [me], "write": [me]}
    assert await lists(user, read=None, write=None) == {"read": [me], "write": [me]}
    assert await lists(user, read=[]) == {"read": [], "write": [me]}
    assert await lists(user, write=[]) == "user_unauthorized"
    assert await lists(user, write=["user:other"]) == "user_unauthorized"
    assert await lists(user, write=["testx", "*", "testx"]) == {"read": [me], "write": ["testx", "*", "testx"]}
    assert await lists(user, read=["testx", me], write=["role:member"]) == {
        "read": ["testx", me],
        "write": ["role:member"],
    }
    assert await lists(key) == {"read": [], "write": []}
    assert await lists(key, read=["a"], write=["b"]) == {"read": ["a"], "write": ["b"]}


async def test_a_document_its_maker_cannot_read(user: Any, movies: str) -> None:
    created = await user.post(movies, {"data": {"title": "x"}, "read": ["user:other"]})
    assert created.status == 201
    path = f"{movies}/{created['$id']}"
    for call in (user.get(path), user.patch(path, {"data": {"title": "y"}}), user.delete(path)):
        answer = await call
        assert (answer.status, answer["type"]) == (404, "document_not_found")
    assert (await user.get(movies))["sum"] == 0


# Documents: types of attributes


@pytest.mark.parametrize(
    ("type", "good", "bad"),
    [
        ("text", ["x", "é" * 9000], [1, True, {"a": 1}, ["x"]]),
        ("markdown", ["# x"], [1, True]),
        ("numeric", [1, -2.5, "12", " +1.5e3 ", ".5", "5."], ["x", "0x1f", "1e", True, "1 2", [1], "١"]),
        ("boolean", [True], ["true", "1", 1]),
        ("key", ["a-Z_9", "x" * 32], ["a b", "x" * 33, 5, "é"]),
        ("email", ["a@b.co", "A.b+c@d-e.fr"], ["a@localhost", "a", "a@b@c.de", "é@b.co", "a b@c.de", 5]),
        (
            "url",
            ["http://localhost", "https://a.b/c?d=e#f", "mailto:a@b.c", "ftp://u:p@h:21/x", "http://[::1]:8/"],
            ["example.com", "//example.com", "http://", "http://a b", "http://é.de", "http://a:99999", 5],
        ),
        ("ip", ["127.0.0.1", "::1", "2001:db8::1"], ["localhost", "1.2.3", "1.2.3.256", "fe80::1%eth0", 5]),
        ("wildcard", ["x", 5, True, {"a": {"b": 1}}, ["x", 1], [{"a": 1}]], [[["x"]], {"a": [[1]]}]),
        ("id", ["anything é", "x" * 32], ["x" * 33, 5]),
        ("permissions", [{"read": ["*"], "write": []}, {"execute": ["x"]}], [{"other": []}, {"read": "x"}, "x", [1]]),
        ("documentId", [], [UNKNOWN, 5, "x" * 33]),
        ("fileId", [], [UNKNOWN, 5]),
        ("document", [], [{"$collection": "x", "$permissions": {}}, "x"]),
    ],
)
async def test_types(user: Any, key: Any, type: str, good: list[Any], bad: list[Any]) -> None:
    for is_list in (False, True):
        id = await make_collection(key, [rule("a", type, array=is_list), rule("b", "text")])
        path = f"{COLLECTIONS}/{id}/documents"
        for value in good:
            if is_list and isinstance(value, list):
                continue
            sent = [value, value] if is_list else value
            answer = await user.post(path, {"data": {"a": sent}})
            assert answer.status == 201, (value, answer.body)
            read = (await user.get(f"{path}/{answer['$id']}")).body["a"]
            assert (read, answer["a"]) == (sent, sent)
            assert not isinstance(sent, bool) or read is sent
        for value in bad:
            answer = await user.post(path, {"data": {"a": [value] if is_list else value}})
            assert (answer.status, answer["type"]) == (400, "document_invalid_structure"), value
        for value in (None, "", 0, "0", 0.0, False, []):
            assert (await user.post(path, {"data": {"a": value, "b": "x"}})).status == 201, value


@pytest.mark.parametrize(
    ("type", "value", "status"),
    [
        ("numeric", 0, 201),
        ("numeric", "0", 201),
        ("numeric", "", 400),
        ("boolean", False, 201),
        ("boolean", 0, 400),
        ("text", "0", 201),
        ("text", 0, 400),
        ("text", False, 400),
        ("wildcard", 0, 201),
        ("wildcard", [], 201),
    ],
)
async def test_required_attributes(user: Any, key: Any, type: str, value: Any, status: int) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('a', type, required=True)])}/documents"
    assert (await user.post(path, {"data": {"a": value}})).status == status


async def test_required_list(user: Any, key: Any) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('a', 'text', required=True, array=True)])}/documents"
    for value, status in (([], 201), ([""], 201), (None, 400), ("", 400), (0, 400), ([None], 400)):
        assert (await user.post(path, {"data": {"a": value, "$createdAt": 1}})).status == status, value


async def test_defaults(user: Any, key: Any) -> None:
    rules = [
        rule("a", "text", required=True, default="x"),
        rule("b", "numeric", default=5),
        rule("c", "text", array=True, default=[]),
        rule("d", "boolean", default=False),
        rule("e", "text", array=True, default=["y"]),
        rule("f", "numeric", default="bad"),
    ]
    path = f"{COLLECTIONS}/{await make_collection(key, rules[:5])}/documents"
    created = await user.post(path, {"data": {"b": None, "$createdAt": 1}})
    assert created.status == 201
    assert {name: created[name] for name in "abcde"} == {"a": "x", "b": 5, "c": None, "d": False, "e": ["y"]}
    updated = await user.patch(f"{path}/{created['$id']}", {"data": {"b": None, "e": []}})
    assert (updated["b"], updated["e"]) == (None, [])
    assert "b" not in (await user.get(f"{path}/{created['$id']}")).body
    bad = f"{COLLECTIONS}/{await make_collection(key, rules)}/documents"
    assert (await user.post(bad, {"data": {"a": "z"}}))["type"] == "document_invalid_structure"


async def test_unknown_type_refuses_every_document(user: Any, key: Any) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('a', 'text'), rule('b', 'colour')])}/documents"
    answer = await user.post(path, {"data": {"a": "x"}})
    assert (answer.status, answer["type"]) == (400, "document_invalid_structure")


async def test_first_of_two_rules_with_a_key_counts(user: Any, key: Any) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('a', 'numeric'), rule('a', 'text')])}/documents"
    assert (await user.post(path, {"data": {"a": "x"}})).status == 400
    assert (await user.post(path, {"data": {"a": 5}})).status == 201


async def test_references(user: Any, key: Any, movies: str) -> None:
    target = movies.split("/")[3]
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('a', 'documentId', list=[target])])}/documents"
    mine = await user.post(movies, {"data": {"title": "x"}})
    hidden = await key.post(movies, {"data": {"title": "x"}})
    assert (await user.post(path, {"data": {"a": mine["$id"]}})).status == 201
    assert (await user.post(path, {"data": {"a": hidden["$id"]}})).status == 400
    assert (await key.post(path, {"data": {"a": hidden["$id"]}})).status == 201
    elsewhere = await user.post(path, {"data": {"a": mine["$id"]}})
    assert (await user.post(path, {"data": {"a": elsewhere["$id"]}})).status == 400
    without = f"{COLLECTIONS}/{await make_collection(key, [rule('a', 'documentId')])}/documents"
    assert (await user.post(without, {"data": {"a": mine["$id"]}})).status == 400


async def test_references_to_files(user: Any, key: Any) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('a', 'fileId', array=True)])}/documents"

    async def upload(client: Any) -> str:
        form = aiohttp.FormData()
        form.add_field("file", b"hello", filename="a.txt", content_type="text/plain")
        answer = await client.call("POST", "/storage/files", data=form)
        assert answer.status == 201, answer.body
        return answer["$id"]

    mine, hidden = await upload(user), await upload(key)
    assert (await user.post(path, {"data": {"a": [mine]}})).status == 201
    answer = await user.post(path, {"data": {"a": [mine, hidden]}})
    assert (answer.status, answer["type"]) == (400, "document_invalid_structure")
    assert (await key.post(path, {"data": {"a": [mine, hidden]}})).status == 201


async def test_what_listeners_get(user: Any, movies: str, events: list[Event]) -> None:
    me = f"user:{user.user['$id']}"
    created = await user.post(movies, {"data": {"title": "x"}})
    path = f"{movies}/{created['$id']}"
    updated = await user.patch(path, {"data": {"year": None, "tags": []}, "read": [me, "a"]})
    await user.delete(path)
    stored = {**updated.body}
    del stored["year"], stored["tags"]
    rendered = [Renderer().render(event) for event in events[-3:]]
    assert [item.name.rsplit(".", 1)[1] for item in rendered] == ["create", "update", "delete"]
    assert [json.loads(item.payload) for item in rendered] == [created.body, updated.body, stored]
    assert [item.roles for item in rendered] == [(me,), (me, "a"), (me, "a")]
    assert set(rendered[0].channels) == {
        "documents",
        f"documents.{created['$id']}",
        f"collections.{created['$collection']}.documents",
    }


async def test_too_large_a_document(user: Any, movies: str) -> None:
    body = json.dumps({"data": {"title": "x" * (1 << 20)}}).encode()
    headers = {"Content-Type": "application/json"}
    answer = await user.call("POST", movies, data=io.BytesIO(body), headers=headers)
    assert (answer.status, answer["type"]) == (400, "document_invalid_structure")


# Documents: getting, updating, deleting


async def test_get_document_not_found(user: Any, key: Any, world: Any, movies: str) -> None:
    mine = await user.post(movies, {"data": {"title": "x"}})
    other = f"{COLLECTIONS}/{await make_collection(key)}/documents"
    closed = await make_collection(key, read=["role:member"])
    inside = await user.post(f"{COLLECTIONS}/{closed}/documents", {"data": {"title": "x"}, "read": ["*"]})
    for client, path in (
        (user, f"{movies}/{UNKNOWN}"),
        (user, f"{movies}/users"),
        (user, f"{other}/{mine['$id']}"),
        (user, f"{COLLECTIONS}/{UNKNOWN}/documents/{mine['$id']}"),
        (world.guest, f"{movies}/{mine['$id']}"),
        (world.guest, f"{COLLECTIONS}/{closed}/documents/{inside['$id']}"),
    ):
        answer = await client.get(path)
        assert (answer.status, answer["type"]) == (404, "document_not_found"), path
    assert (await user.get(f"{movies}/{LONG_ID}"))["type"] == "general_argument_invalid"
    assert (await world.guest.delete(f"{COLLECTIONS}/{closed}/documents/{inside['$id']}")).status == 401


async def test_update_document(user: Any, world: Any, movies: str, events: list[Event]) -> None:
    me = f"user:{user.user['$id']}"
    lists = {"read": [me, "testx"], "write": [me, "testy"]}
    created = await user.post(movies, {"data": {"title": "Thor: Ragnaroc", "year": 2017}, **lists})
    assert created["$permissions"] == lists
    path = f"{movies}/{created['$id']}"
    new = {"read": [me, "testz"], "write": [me]}
    answer = await user.patch(path, {"data": {"title": "Thor: Ragnarok"}, **new})
    assert answer.status == 200
    assert (answer["title"], answer["year"], answer["$permissions"]) == ("Thor: Ragnarok", 2017, new)
    read = (await user.get(path)).body
    assert (read["title"], read["year"], read["$permissions"]) == ("Thor: Ragnarok", 2017, new)
    assert [event.action for event in events if event.resource == "document"] == ["create", "update"]
    assert events[-1].subject.permissions.read == (me, "testz")
    assert (await audit(world))[-1] == (
        "database.documents.update",
        f"database/document/{created['$id']}",
        user.user["$id"],
    )


@pytest.mark.parametrize("data", [None, {}, [], "", "{}", {"$id": "x", "$collection": "y", "$permissions": {}}])
async def test_update_without_data_changes_lists_only(user: Any, movies: str, data: Any) -> None:
    created = await user.post(movies, {"data": {"title": "x", "year": 1}})
    me = f"user:{user.user['$id']}"
    answer = await user.patch(f"{movies}/{created['$id']}", {"data": data, "read": ["*"]})
    assert answer.status == 200
    assert answer["$permissions"] == {"read": ["*"], "write": [me]}
    assert (answer["$id"], answer["title"], answer["year"]) == (created["$id"], "x", 1)


async def test_update_errors(user: Any, key: Any, world: Any, movies: str) -> None:
    mine = f"{movies}/{(await user.post(movies, {'data': {'title': 'x'}}))['$id']}"
    readable = f"{movies}/{(await key.post(movies, {'data': {'title': 'x'}, 'read': ['*']}))['$id']}"
    other = await make_collection(key)
    for path, body, status, type in (
        (mine, {"data": 5}, 400, "general_argument_invalid"),
        (mine, {"data": "x"}, 400, "general_argument_invalid"),
        (mine, {"read": "x"}, 400, "general_argument_invalid"),
        (mine, {"data": "5"}, 400, "document_invalid_structure"),
        (mine, {"data": [1]}, 400, "document_invalid_structure"),
        (mine, {"data": {"title": None}}, 400, "document_invalid_structure"),
        (mine, {"data": {"other": 1}}, 400, "document_invalid_structure"),
        (mine, {"data": {"year": "x"}}, 400, "document_invalid_structure"),
        (mine, {"data": {"other": 1}, "write": []}, 401, "user_unauthorized"),
        (mine, {"write": ["user:other"]}, 401, "user_unauthorized"),
        (mine, {"read": [], "write": []}, 401, "user_unauthorized"),
        (readable, {"data": {"other": 1}}, 401, "user_unauthorized"),
        (f"{movies}/{UNKNOWN}", {}, 404, "document_not_found"),
        (mine.replace(movies.split("/")[3], other), {}, 404, "document_not_found"),
        (mine.replace(movies.split("/")[3], UNKNOWN), {}, 404, "collection_not_found"),
    ):
        answer = await user.patch(path, body)
        assert (answer.status, answer["type"]) == (status, type), (body, answer.body)
    assert (await user.get(mine))["$permissions"]["write"] == [f"user:{user.user['$id']}"]
    assert (await key.patch(mine, {"read": [], "write": []}))["$permissions"] == {"read": [], "write": []}
    assert (await user.get(mine)).status == 404


async def test_leaving_the_read_list(user: Any, movies: str) -> None:
    created = await user.post(movies, {"data": {"title": "x"}})
    path = f"{movies}/{created['$id']}"
    assert (await user.patch(path, {"read": []})).status == 200
    assert (await user.get(path)).status == 404
    assert (await user.patch(path, {"read": ["*"]})).status == 404
    assert (await user.get(movies))["sum"] == 0


async def test_update_after_the_rules_have_changed(user: Any, key: Any, movies: str) -> None:
    created = await user.post(movies, {"data": {"title": "x", "year": 5}})
    path, collection = f"{movies}/{created['$id']}", movies.removesuffix("/documents")
    await key.put(collection, {"name": "n", "rules": [RULES[0], rule("new", "text", default="d")]})
    read = (await user.get(path)).body
    assert read["year"] == 5
    assert "new" not in read
    assert (await user.patch(path, {"data": {"title": "y"}}))["type"] == "document_invalid_structure"
    await key.put(collection, {"name": "n", "rules": RULES})
    assert (await user.patch(path, {"data": {"year": None}})).status == 200


async def test_delete_document(user: Any, key: Any, world: Any, movies: str, events: list[Event]) -> None:
    created = await user.post(movies, {"data": {"title": "Thor"}})
    path = f"{movies}/{created['$id']}"
    assert (await user.get(path)).status == 200
    answer = await user.delete(path)
    assert (answer.status, answer.raw) == (204, b"")
    assert not answer.headers["Content-Type"].startswith("application/json")
    assert (await user.get(path)).status == 404
    assert (await user.delete(path))["type"] == "document_not_found"
    assert (await user.get(movies, params={"search": "thor"}))["sum"] == 0
    assert (events[-1].resource, events[-1].action, events[-1].subject.data) == (
        "document",
        "delete",
        '{"title":"Thor"}',
    )
    assert (await audit(world))[-1][0] == "database.documents.delete"
    readable = await key.post(movies, {"data": {"title": "x"}, "read": ["*"]})
    answer = await user.delete(f"{movies}/{readable['$id']}")
    assert (answer.status, answer["type"]) == (401, "user_unauthorized")
    collection = movies.removesuffix("/documents")
    await key.put(collection, {"name": "n", "read": [], "rules": RULES})
    assert (await user.delete(f"{movies}/{readable['$id']}"))["type"] == "collection_not_found"
    assert (await user.delete(f"{movies}/{LONG_ID}"))["type"] == "general_argument_invalid"


async def test_failed_calls_leave_nothing(user: Any, world: Any, movies: str, events: list[Event]) -> None:
    events.clear()
    entries = await audit(world)
    await user.post(movies, {"data": {"other": 1}})
    await user.patch(f"{movies}/{UNKNOWN}", {"data": {}})
    await user.delete(f"{movies}/{UNKNOWN}")
    assert events == []
    assert await audit(world) == entries


# Lists

FILMS = (("Captain America", 1944), ("Spider-Man: Far From Home", 2019), ("Spider-Man: Homecoming", 2017))


@pytest.fixture
async def films(user: Any, movies: str) -> str:
    for title, year in FILMS:
        assert (await user.post(movies, {"data": {"title": title, "year": year, "tags": ["Red", "b"]}})).status == 201
    return movies


async def test_limit_and_offset(user: Any, key: Any, films: str) -> None:
    order = {"orderField": "year", "orderCast": "int", "orderType": "ASC"}
    for client in (user, key):
        assert titles(await client.get(films, params={**order, "limit": "1"})) == [FILMS[0][0]]
        answer = await client.get(films, params={**order, "limit": "2", "offset": "1"})
        assert titles(answer) == [FILMS[2][0], FILMS[1][0]]
        assert answer["sum"] == 3
        assert titles(await client.get(films, params={**order, "orderType": "DESC"}))[0] == FILMS[1][0]
        empty = await client.get(films, params={"limit": "0"})
        assert (empty["sum"], empty["documents"]) == (3, [])


async def test_search(user: Any, key: Any, films: str) -> None:
    for client in (user, key):
        for text, found in (
            ("Captain America", FILMS[:1]),
            ("Homecoming", FILMS[2:]),
            ("spider", FILMS[1:]),
            ("SPIDER-MAN", FILMS[1:]),
            ("pider", ()),
            ("spi*", FILMS[1:]),
            ("from", ()),
            ('"far from home"', FILMS[1:2]),
            ("+spider -home", FILMS[2:]),
            ("-spider", ()),
            ("2017", ()),
            ("red", FILMS),
            ("+spider +red", ()),
            ("*", FILMS),
            ('"', ()),
            ("100% 'x'", ()),
        ):
            answer = await client.get(films, params={"search": text})
            assert titles(answer) == [title for title, _ in found], text
            assert answer["sum"] == len(found)


async def test_search_by_id(user: Any, films: str) -> None:
    documents = (await user.get(films))["documents"]
    assert titles(await user.get(films, params={"search": documents[1]["$id"]})) == [FILMS[1][0]]
    assert len(titles(await user.get(films, params={"search": documents[1]["$collection"]}))) == 3
    assert titles(await user.get(films, params={"search": f"+{documents[1]['$id']} +nothing"})) == []


async def test_search_follows_changes(user: Any, films: str) -> None:
    id = (await user.get(films))["documents"][0]["$id"]
    await user.patch(f"{films}/{id}", {"data": {"title": "Thor", "tags": ["Red", "Blue"]}})
    assert titles(await user.get(films, params={"search": "captain"})) == []
    assert titles(await user.get(films, params={"search": "thor"})) == ["Thor"]
    assert titles(await user.get(films, params={"search": "blue"})) == ["Thor"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["title=captain america"], [0]),
        (["title!=captain america"], [1, 2]),
        (["year=2019"], [1]),
        (["year=2019.0"], [1]),
        (["year>1944"], [1, 2]),
        (["year>=1944", "year<=2017"], [0, 2]),
        (["year<2000"], [0]),
        (["year =2019"], [1]),
        (["year= 2019"], [1]),
        (["year=x"], []),
        (["year!=x"], [0, 1, 2]),
        (["tags=red"], [0, 1, 2]),
        (["tags!=red"], [0, 1, 2]),
        (["tags=green"], []),
        (["tags=red", "year=2017"], [2]),
        (["unknown=1"], []),
        (["unknown!=1"], []),
        (["$permissions!=1"], []),
        (["title="], []),
        (["title=a>b"], []),
        (["title=100%"], []),
        (["ti\"tle=x"], []),
        (["=x"], []),
        (["title.x=y"], []),
        (["$collection!=x"], [0, 1, 2]),
        (["$id>0"], [0, 1, 2]),
    ],
)  # fmt: skip
async def test_filters(user: Any, films: str, filters: list[str], found: list[int]) -> None:
    for name in ("filters[]", "filters[0]"):
        params = [(name.replace("0", str(number)), text) for number, text in enumerate(filters)]
        answer = await user.get(films, params=params)
        assert titles(answer) == [FILMS[i][0] for i in found]
        assert answer["sum"] == len(found)


async def test_filters_on_ids_and_booleans(user: Any, key: Any) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('title', 'text'), rule('done', 'boolean')])}/documents"
    ids = [
        (await user.post(path, {"data": {"title": str(n), "done": done}}))["$id"]
        for n, done in enumerate((True, False, None))
    ]
    for text, found in (
        ("done=1", "0"),
        ("done=true", "0"),
        ("done=0", "1"),
        ("done=FALSE", "1"),
        ("done!=1", "1"),
        (f"$id={ids[1].upper()}", "1"),
        (f"$id!={ids[1]}", "02"),
        (f"$id>{ids[0]}", "12"),
        (f"$id<={ids[1]}", "01"),
        (f"$id>={ids[1][:6]}", "012"),
        (f"$collection={path.split('/')[3]}", "012"),
        (f"$collection={ids[0]}", ""),
    ):
        assert "".join(titles(await user.get(path, params={"filters[]": text}))) == found, text


@pytest.mark.parametrize("text", ["title", "a=b=c", "", "a!=b!=c", "1>2>3"])
async def test_malformed_filters(user: Any, films: str, text: str) -> None:
    answer = await user.get(films, params={"filters[]": text})
    assert (answer.status, answer["type"]) == (400, "general_query_invalid")
    missing = await user.get(f"{COLLECTIONS}/{UNKNOWN}/documents", params={"filters[]": text})
    assert missing["type"] == "collection_not_found"


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "x"},
        {"offset": "900000001"},
        {"orderType": "desc"},
        {"orderCast": "INT"},
        {"orderField": "x" * 129},
        {"search": "x" * 257},
        {"filters": "title=x"},
        {"filters[]": "x" * 129},
    ],
)
async def test_bad_list_parameters(user: Any, films: str, params: dict[str, str]) -> None:
    answer = await user.get(films, params=params)
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")


@pytest.mark.parametrize(
    ("values", "cast", "rising", "falling"),
    [
        ([10, 9, None, 10], "string", [2, 0, 3, 1], [1, 0, 3, 2]),
        ([10, 9, None, -3], "int", [2, 3, 1, 0], [0, 1, 3, 2]),
        (["b", "A", "á", "c"], "string", [1, 2, 0, 3], [3, 0, 1, 2]),
        (["12abc", "x", "-5.9", "7"], "int", [2, 1, 3, 0], [0, 3, 1, 2]),
        (["2021-01-01", "no", "2020-12-31T10:00:00Z", "2021-01-01 09:00"], "date", [1, 2, 0, 3], [0, 3, 2, 1]),
        (["2021-01-01", "no", "2020-12-31T10:00:00Z", "2021-01-01 09:00"], "datetime", [1, 2, 0, 3], [3, 0, 2, 1]),
        (["10:30", "2020-01-01 09:00:01", "x", "09:00:00"], "time", [2, 3, 1, 0], [0, 1, 3, 2]),
        ([["b", "z"], ["a"], [], ["c"]], "string", [2, 1, 0, 3], [0, 3, 1, 2]),
    ],
)
async def test_orders(user: Any, key: Any, values: list[Any], cast: str, rising: list[int], falling: list[int]) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('title', 'text'), rule('v', 'wildcard')])}/documents"
    for number, value in enumerate(values):
        await user.post(path, {"data": {"title": str(number), "v": value}})
    params = {"orderField": "v", "orderCast": cast}
    assert titles(await user.get(path, params=params)) == [str(n) for n in rising]
    assert titles(await user.get(path, params={**params, "orderType": "DESC"})) == [str(n) for n in falling]
    for page in range(4):
        assert titles(await user.get(path, params={**params, "limit": "1", "offset": str(page)})) == [str(rising[page])]


async def test_orders_by_creation(user: Any, films: str) -> None:
    names = [title for title, _ in FILMS]
    for field in ("", "$id", "unknown", "$permissions", "a.b"):
        assert titles(await user.get(films, params={"orderField": field})) == names
    for field in ("", "$id"):
        params = {"orderField": field, "orderType": "DESC"}
        assert titles(await user.get(films, params=params)) == names[::-1]
    assert titles(await user.get(films, params={"orderField": "unknown", "orderType": "DESC"})) == names


async def test_paths_into_wildcards(user: Any, key: Any) -> None:
    path = f"{COLLECTIONS}/{await make_collection(key, [rule('title', 'text'), rule('v', 'wildcard')])}/documents"
    for number, value in enumerate(({"a": {"b": "x"}}, [{"a": "y"}, {"a": "x"}], "x", {"a": ["x", "z"]})):
        await user.post(path, {"data": {"title": str(number), "v": value}})
    for text, found in (("v.a=x", "13"), ("v.a.b=x", "0"), ("v=x", "2"), ("v.a!=x", "13"), ("v.a.b.c=x", "")):
        assert "".join(titles(await user.get(path, params={"filters[]": text}))) == found, text


async def test_lists_hold_what_the_caller_may_read(world: Any, key: Any, movies: str) -> None:
    ada = await world.sign_up("ada@example.com")
    bob = await world.sign_up("bob@example.com")
    for client, read in (
        (ada, None),
        (bob, None),
        (bob, ["*"]),
        (ada, ["role:member"]),
        (key, None),
        (bob, [f"user:{ada.user['$id']}", "nobody"]),
    ):
        body = {"data": {"title": str(len((await key.get(movies))["documents"]))}}
        assert (await client.post(movies, {**body, "read": read})).status == 201
    for client, found in ((ada, "0235"), (bob, "123"), (world.guest, "2"), (key, "012345")):
        for params in ({}, {"filters[]": "title>=0"}, {"orderField": "title"}, {"orderField": "title", "limit": "1"}):
            answer = await client.get(movies, params=params)
            assert answer["sum"] == len(found)
            assert "".join(titles(answer)) == (found[0] if "limit" in params else found)
    closed = f"{COLLECTIONS}/{await make_collection(key, read=['role:member'])}/documents"
    assert (await world.guest.get(closed))["type"] == "collection_not_found"
    assert (await ada.get(closed)).body == {"sum": 0, "documents": []}


async def test_a_get_ignores_its_body(user: Any, films: str) -> None:
    answer = await user.call("GET", films, json={}, params={"limit": "1"})
    assert titles(answer) == [FILMS[0][0]]


async def test_other_projects_are_out_of_reach(world: Any, key: Any, movies: str) -> None:
    created = await key.post(movies, {"data": {"title": "x"}})
    services = world.backend.services
    await services.projects.create("other")
    _, secret = await services.keys.create("other", "k", ("collections.read", "documents.read", "documents.write"))
    stranger = world.guest.with_headers(X_Appwrite_Project="other", X_Appwrite_Key=secret)
    assert (await stranger.get(COLLECTIONS))["sum"] == 0
    assert (await stranger.get(movies.removesuffix("/documents"))).status == 404
    assert (await stranger.get(movies)).status == 404
    assert (await stranger.get(f"{movies}/{created['$id']}")).status == 404
    assert (await stranger.patch(f"{movies}/{created['$id']}", {})).status == 404
    assert (await stranger.post(movies, {"data": {"title": "x"}})).status == 404
    assert (await stranger.delete(f"{movies}/{created['$id']}")).status == 404
