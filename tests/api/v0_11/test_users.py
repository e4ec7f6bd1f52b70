"""The users service over HTTP: what servers see and change, what it fires, and who may not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from litewrite.api.v0_11.events import Renderer
from litewrite.db import users as user_rows
from litewrite.db.engine import Transaction
from litewrite.entities import EPOCH, Token
from litewrite.events import Event
from tests.api.v0_11.callers import (
    administrator,
    assert_refused,
    audited,
    change_settings,
    names_and_payloads,
    rendered,
    with_jwt,
)
from tests.conftest import Client, World

MISSING = "61d5c1a2b3c4d"
ADA = {"email": "ada@example.com", "password": "password", "name": "Ada Example"}

CALLS: list[tuple[str, str, Any, str]] = [
    ("POST", "/users", ADA, "users.write"),
    ("GET", "/users", None, "users.read"),
    ("GET", "/users/{}", None, "users.read"),
    ("GET", "/users/{}/prefs", None, "users.read"),
    ("GET", "/users/{}/sessions", None, "users.read"),
    ("GET", "/users/{}/logs", None, "users.read"),
    ("PATCH", "/users/{}/status", {"status": 1}, "users.write"),
    ("PATCH", "/users/{}/verification", {"emailVerification": True}, "users.write"),
    ("PATCH", "/users/{}/name", {"name": "Bea"}, "users.write"),
    ("PATCH", "/users/{}/password", {"password": "another"}, "users.write"),
    ("PATCH", "/users/{}/email", {"email": "bea@example.com"}, "users.write"),
    ("PATCH", "/users/{}/prefs", {"prefs": {}}, "users.write"),
    ("DELETE", "/users/{}/sessions/61d5c1a2b3c4d", None, "users.write"),
    ("DELETE", "/users/{}/sessions", None, "users.write"),
    ("DELETE", "/users/{}", None, "users.write"),
]
ON_ONE = [call for call in CALLS if "{}" in call[1]]


def name_of(call: tuple[str, str, Any, str]) -> str:
    return f"{call[0]} {call[1]}"


@pytest.fixture
def fired(world: World) -> list[Event]:
    """What happens from here on."""
    events: list[Event] = []
    world.backend.bus.subscribe(events.append)
    return events


@pytest.fixture
async def ada(key: Client) -> dict[str, Any]:
    created = await key.post("/users", ADA)
    assert created.status == 201
    return dict(created.body)


def fired_to_servers(events: list[Event]) -> list[tuple[str, Any]]:
    """Names and payloads; nobody hears of them over realtime."""
    assert all(told.channels == () and told.roles == () for told in rendered(events))
    return names_and_payloads(events)


# Who may


@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_only_keys_with_the_scope_and_administrators(
    world: World, ada: dict[str, Any], call: tuple[str, str, Any, str]
) -> None:
    method, path, body, scope = call
    path = path.format(ada["$id"])
    user = await world.log_in("ada@example.com")
    other = "users.write" if scope == "users.read" else "users.read"
    refused = [
        world.guest,
        user,
        await with_jwt(world, user),
        await world.key(other, "teams.write"),
        world.guest.with_headers(X_Appwrite_Key="unknown"),
    ]
    for client in refused:
        assert_refused(await client.call(method, path, body), 401, "general_unauthorized_scope")
    assert (await (await world.key(scope)).call(method, path, body)).status in (200, 201, 204, 409)


@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_administrators_may_do_everything(
    world: World, ada: dict[str, Any], call: tuple[str, str, Any, str]
) -> None:
    method, path, body, _ = call
    answer = await (await administrator(world)).call(method, path.format(ada["$id"]), body)
    assert answer.status in (200, 201, 204, 409), answer.body


@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_the_project_is_needed(world: World, call: tuple[str, str, Any, str]) -> None:
    method, path, body, _ = call
    nowhere = Client(world.http, world.endpoint)
    assert_refused(await nowhere.call(method, path.format(MISSING), body), 400, "project_unknown")


@pytest.mark.parametrize("call", ON_ONE, ids=name_of)
async def test_a_user_that_does_not_exist(key: Client, fired: list[Event], call: tuple[str, str, Any, str]) -> None:
    method, path, body, _ = call
    assert_refused(await key.call(method, path.format(MISSING), body), 404, "user_not_found")
    assert_refused(await key.call(method, path.format("nobody"), body), 404, "user_not_found")
    assert_refused(await key.call(method, path.format("x" * 33), body), 400, "general_argument_invalid")
    assert fired == []


async def test_users_of_another_project_are_out_of_reach(world: World, ada: dict[str, Any]) -> None:
    await world.backend.services.projects.create("other")
    _, secret = await world.backend.services.keys.create("other", "test", ("users.read", "users.write"))
    stranger = Client(world.http, world.endpoint, {"X-Appwrite-Project": "other", "X-Appwrite-Key": secret})
    assert_refused(await stranger.get(f"/users/{ada['$id']}"), 404, "user_not_found")
    assert_refused(await stranger.delete(f"/users/{ada['$id']}"), 404, "user_not_found")
    assert (await stranger.get("/users", params={"search": "ada"}))["sum"] == 0
    assert (await stranger.post("/users", ADA)).status == 201


# Creating


async def test_create(world: World, key: Client, fired: list[Event]) -> None:
    before = int(time.time())
    created = await key.post("/users", {**ADA, "email": "Users.Service@Example.COM"})
    assert created.status == 201
    body = created.body
    assert set(body) == {
        "$id",
        "name",
        "registration",
        "status",
        "passwordUpdate",
        "email",
        "emailVerification",
        "prefs",
    }
    assert len(body["$id"]) == 13
    assert body["name"] == "Ada Example"
    assert body["email"] == "users.service@example.com"
    assert body["status"] == 0
    assert body["emailVerification"] is False
    assert body["prefs"] == {}
    assert before <= body["registration"] <= time.time()
    assert body["passwordUpdate"] == body["registration"]
    assert fired_to_servers(fired) == [("users.create", body)]
    assert await audited(world, body["$id"], "users.create", "account.create") == []
    assert (await world.log_in("users.service@example.com", "password")).user["$id"] == body["$id"]


async def test_the_name_is_optional(key: Client) -> None:
    assert (await key.post("/users", {"email": "a@example.com", "password": "password"}))["name"] == ""


@pytest.mark.parametrize(
    "change",
    [
        {"email": None},
        {"email": ""},
        {"email": "ada"},
        {"email": "ada@localhost"},
        {"email": 1},
        {"password": None},
        {"password": "short"},
        {"password": "x" * 33},
        {"password": "ü" * 17},
        {"name": "x" * 129},
        {"name": 5},
    ],
    ids=str,
)
async def test_create_with_a_bad_value(key: Client, fired: list[Event], change: dict[str, Any]) -> None:
    answer = await key.post("/users", {**ADA, **change})
    assert_refused(answer, 400, "general_argument_invalid")
    assert next(iter(change)) in answer["message"]
    assert (await key.get("/users"))["sum"] == 0
    assert fired == []


async def test_an_address_is_taken_once(key: Client, ada: dict[str, Any], fired: list[Event]) -> None:
    assert_refused(await key.post("/users", {**ADA, "email": "ADA@example.com"}), 409, "user_already_exists")
    assert fired == []


async def test_one_of_many_gets_an_address(key: Client) -> None:
    answers = await asyncio.gather(*(key.post("/users", ADA) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + 7 * [409]
    assert (await key.get("/users"))["sum"] == 1


async def test_the_limit_of_users_and_the_auth_switch_do_not_apply(world: World, key: Client) -> None:
    await change_settings(world, user_limit=1, auth={"email-password": False})
    for name in "abc":
        assert (await key.post("/users", {**ADA, "email": f"{name}@example.com"})).status == 201


# Reading


async def test_get(key: Client, ada: dict[str, Any]) -> None:
    read = await key.get(f"/users/{ada['$id']}")
    assert (read.status, read.body) == (200, ada)


async def test_a_closed_account_is_still_there(world: World, key: Client, user: Client) -> None:
    assert (await user.delete("/account")).status == 204
    read = await key.get(f"/users/{user.user['$id']}")
    assert (read.status, read["status"]) == (200, 2)


async def test_list_with_pages(key: Client) -> None:
    ids = [(await key.post("/users", {**ADA, "email": f"{name}@example.com"}))["$id"] for name in "abcd"]

    async def page(**params: Any) -> tuple[int, list[str]]:
        answer = await key.get("/users", params=params)
        assert answer.status == 200, answer.body
        return answer["sum"], [item["$id"] for item in answer["users"]]

    assert await page() == (4, ids)
    assert await page(limit=2) == (4, ids[:2])
    assert await page(offset=1, limit=2) == (4, ids[1:3])
    assert await page(orderType="DESC", limit=1) == (4, ids[3:])
    assert await page(limit=0) == (4, [])
    assert await page(offset=2000) == (4, [])


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 101},
        {"limit": -1},
        {"limit": "1.5"},
        {"offset": 2001},
        {"orderType": "desc"},
        {"search": "x" * 257},
    ],
    ids=str,
)
async def test_list_with_a_bad_value(key: Client, params: dict[str, Any]) -> None:
    assert_refused(await key.get("/users", params=params), 400, "general_argument_invalid")


async def found(key: Client, search: str) -> list[str]:
    answer = await key.get("/users", params={"search": search})
    assert answer.status == 200
    assert answer["sum"] == len(answer["users"])
    return [item["email"] for item in answer["users"]]


async def test_search_in_name_and_address(world: World, key: Client) -> None:
    await key.post("/users", {**ADA, "email": "users.service@example.com", "name": "Projet Été"})
    await key.post("/users", {**ADA, "email": "bea@elsewhere.test", "name": "Bea Miller"})
    await world.guest.post("/account/sessions/anonymous")
    assert await found(key, "example.com") == ["users.service@example.com"]
    assert await found(key, "EXAMPLE") == ["users.service@example.com"]
    assert await found(key, "miller") == ["bea@elsewhere.test"]
    assert await found(key, "mill") == []
    assert await found(key, "mill*") == ["bea@elsewhere.test"]
    assert await found(key, "service miller") == ["users.service@example.com", "bea@elsewhere.test"]
    assert await found(key, "+bea -miller") == ["bea@elsewhere.test"]
    assert await found(key, "*") == ["users.service@example.com", "bea@elsewhere.test", ""]
    assert await found(key, "password") == []


async def test_search_follows_every_change(world: World, key: Client) -> None:
    """Whoever makes, changes or removes a user, be it this service or the account itself."""
    user = await world.sign_up("first@example.com", name="Robin")
    user_id = user.user["$id"]
    assert await found(key, "robin") == ["first@example.com"]
    await user.patch("/account/name", {"name": "Kestrel"})
    assert (await found(key, "robin"), await found(key, "kestrel")) == ([], ["first@example.com"])
    await user.patch("/account/email", {"email": "second@example.com", "password": "password"})
    assert (await found(key, "first"), await found(key, "second")) == ([], ["second@example.com"])
    await key.patch(f"/users/{user_id}/name", {"name": "Merlin"})
    assert (await found(key, "kestrel"), await found(key, "merlin")) == ([], ["second@example.com"])
    await key.patch(f"/users/{user_id}/email", {"email": "third@example.com"})
    assert (await found(key, "second"), await found(key, "third")) == ([], ["third@example.com"])
    await key.patch(f"/users/{user_id}/status", {"status": 2})
    assert await found(key, "merlin") == ["third@example.com"]
    await key.delete(f"/users/{user_id}")
    assert await found(key, "merlin third example") == []


# Sessions and logs


async def test_sessions_are_all_that_is_stored(world: World, key: Client, user: Client) -> None:
    path = f"/users/{user.user['$id']}/sessions"
    first = (await user.get("/account/sessions/current")).body
    second = await world.guest.with_headers(User_Agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/95.0").post(
        "/account/sessions", {"email": "ada@example.com", "password": "password"}
    )

    def expire(tx: Transaction) -> None:
        assert tx.execute("UPDATE sessions SET expires_at = 1000000 WHERE id = ?", (first["$id"],)) == 1

    await world.backend.db.write(expire)
    answer = await key.get(path)
    assert answer.status == 200
    assert answer["sum"] == 2
    assert [item["$id"] for item in answer["sessions"]] == [first["$id"], second["$id"]]
    assert [item["current"] for item in answer["sessions"]] == [False, False]
    assert [item["expire"] for item in answer["sessions"]] == [1, second["expire"]]
    assert {key: value for key, value in answer["sessions"][1].items() if key != "current"} == {
        key: value for key, value in second.body.items() if key != "current"
    }


async def test_a_user_without_sessions_and_logs(key: Client, ada: dict[str, Any]) -> None:
    assert (await key.get(f"/users/{ada['$id']}/sessions")).body == {"sum": 0, "sessions": []}
    assert (await key.get(f"/users/{ada['$id']}/logs")).body == {"logs": []}


async def test_logs_are_those_of_the_account(world: World, key: Client, user: Client) -> None:
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/96.0.4664.110 Safari/537.36"
    await user.with_headers(User_Agent=agent).patch("/account/name", {"name": "Bea"})
    await key.patch(f"/users/{user.user['$id']}/name", {"name": "Cleo"})
    await key.patch(f"/users/{user.user['$id']}/email", {"email": "cleo@example.com"})
    answer = await key.get(f"/users/{user.user['$id']}/logs")
    assert answer.status == 200
    assert list(answer.body) == ["logs"]
    names = [entry["event"] for entry in answer["logs"]]
    assert names == ["account.update.email", "account.update.name", "account.sessions.create", "account.create"]
    assert answer["logs"][1]["clientName"] == "Chrome"
    assert answer["logs"][1]["osCode"] == "WIN"
    assert answer["logs"] == (await user.get("/account/logs"))["logs"]


async def test_ten_logs_at_most(key: Client, user: Client) -> None:
    for number in range(12):
        await user.patch("/account/prefs", {"prefs": {"number": number}})
    assert len((await key.get(f"/users/{user.user['$id']}/logs"))["logs"]) == 10


# Changing


async def test_status(world: World, key: Client, user: Client, fired: list[Event]) -> None:
    path = f"/users/{user.user['$id']}/status"
    jwt = await with_jwt(world, user)
    blocked = await key.patch(path, {"status": 2})
    assert (blocked.status, blocked["status"]) == (200, 2)
    assert fired_to_servers(fired) == [("users.update.status", blocked.body)]
    assert_refused(await user.get("/account"), 401, "user_blocked")
    assert_refused(await jwt.get("/account"), 401, "user_blocked")
    login = await world.guest.post("/account/sessions", {"email": "ada@example.com", "password": "password"})
    assert_refused(login, 401, "user_blocked")
    assert (await key.get(f"/users/{user.user['$id']}/sessions"))["sum"] == 1
    for status in (0, 1):
        assert (await key.patch(path, {"status": status}))["status"] == status
        assert (await user.get("/account"))["status"] == status
        assert (await jwt.get("/account")).status == 200
    assert await audited(world, user.user["$id"], "users.update.status", "account.update.status") == []


@pytest.mark.parametrize("body", [{}, {"status": "1"}, {"status": 3}, {"status": True}, {"status": 1.0}], ids=str)
async def test_status_with_a_bad_value(key: Client, ada: dict[str, Any], body: dict[str, Any]) -> None:
    assert_refused(await key.patch(f"/users/{ada['$id']}/status", body), 400, "general_argument_invalid")
    assert (await key.get(f"/users/{ada['$id']}"))["status"] == 0


async def test_verification(world: World, key: Client, ada: dict[str, Any], fired: list[Event]) -> None:
    path = f"/users/{ada['$id']}"
    verified = await key.patch(f"{path}/verification", {"emailVerification": True})
    assert (verified.status, verified["emailVerification"]) == (200, True)
    assert (await key.get(path))["emailVerification"] is True
    assert fired_to_servers(fired) == [("users.update.verification", verified.body)]
    assert Renderer().name(fired[0]) == ""
    unset = await key.patch(f"{path}/verification", {})
    assert (unset.status, unset["emailVerification"]) == (200, False)
    assert (await key.get(path))["emailVerification"] is False
    assert await audited(world, ada["$id"], "users.update.verification") == []


@pytest.mark.parametrize("value", ["true", 1, 0, []], ids=str)
async def test_verification_with_a_bad_value(key: Client, ada: dict[str, Any], value: Any) -> None:
    answer = await key.patch(f"/users/{ada['$id']}/verification", {"emailVerification": value})
    assert_refused(answer, 400, "general_argument_invalid")


async def test_name(world: World, key: Client, ada: dict[str, Any], fired: list[Event]) -> None:
    changed = await key.patch(f"/users/{ada['$id']}/name", {"name": "Bea"})
    assert (changed.status, changed.body) == (200, {**ada, "name": "Bea"})
    assert (await key.get(f"/users/{ada['$id']}")).body == changed.body
    assert fired_to_servers(fired) == [("users.update.name", changed.body)]
    entries = await audited(world, ada["$id"], "users.update.name", "account.update.name")
    assert entries == [("users.update.name", f"users/{ada['$id']}")]


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 129}, {"name": 1}], ids=str)
async def test_name_with_a_bad_value(key: Client, ada: dict[str, Any], body: dict[str, Any]) -> None:
    assert_refused(await key.patch(f"/users/{ada['$id']}/name", body), 400, "general_argument_invalid")


async def test_email(world: World, key: Client, ada: dict[str, Any], fired: list[Event]) -> None:
    path = f"/users/{ada['$id']}"
    await key.patch(f"{path}/verification", {"emailVerification": True})
    fired.clear()
    changed = await key.patch(f"{path}/email", {"email": "Users.Service@updated.com"})
    assert changed.status == 200
    assert changed.body == {**ada, "email": "users.service@updated.com", "emailVerification": True}
    assert (await key.get(path)).body == changed.body
    assert fired_to_servers(fired) == [("users.update.email", changed.body)]
    entries = await audited(world, ada["$id"], "account.update.email", "users.update.email")
    assert entries == [("account.update.email", f"users/{ada['$id']}")]
    assert (await world.log_in("users.service@updated.com")).user["$id"] == ada["$id"]
    old = await world.guest.post("/account/sessions", {"email": "ada@example.com", "password": "password"})
    assert_refused(old, 401, "user_invalid_credentials")
    assert (await key.post("/users", ADA)).status == 201


async def test_email_that_is_taken(key: Client, ada: dict[str, Any], fired: list[Event]) -> None:
    await key.post("/users", {**ADA, "email": "bea@example.com"})
    fired.clear()
    for email in ("bea@example.com", "ada@example.com", "ADA@example.com"):
        answer = await key.patch(f"/users/{ada['$id']}/email", {"email": email})
        assert_refused(answer, 400, "user_email_already_exists")
    assert fired == []


@pytest.mark.parametrize("body", [{}, {"email": ""}, {"email": "ada"}, {"email": 1}], ids=str)
async def test_email_with_a_bad_value(key: Client, ada: dict[str, Any], body: dict[str, Any]) -> None:
    assert_refused(await key.patch(f"/users/{ada['$id']}/email", body), 400, "general_argument_invalid")


async def test_an_address_does_not_bring_a_password(world: World, key: Client) -> None:
    session = (await world.guest.post("/account/sessions/anonymous")).body
    changed = await key.patch(f"/users/{session['userId']}/email", {"email": "anonymous@example.com"})
    assert (changed.status, changed["email"]) == (200, "anonymous@example.com")
    for password in ("password", "anonymous"):
        login = await world.guest.post("/account/sessions", {"email": "anonymous@example.com", "password": password})
        assert_refused(login, 401, "user_invalid_credentials")


async def test_password(world: World, key: Client, user: Client, fired: list[Event]) -> None:
    path = f"/users/{user.user['$id']}"

    def long_ago(tx: Transaction) -> None:
        found = tx.run(user_rows.get("default", user.user["$id"]))
        assert found is not None
        tx.stores.users.update(tx, replace(found, password_updated_at=EPOCH))

    await world.backend.db.write(long_ago)
    changed = await key.patch(f"{path}/password", {"password": "new-password"})
    assert changed.status == 200
    assert changed["passwordUpdate"] >= changed["registration"]
    assert fired_to_servers(fired) == [("users.update.password", changed.body)]
    entries = await audited(world, user.user["$id"], "users.update.password", "account.update.password")
    assert entries == [("users.update.password", f"users/{user.user['$id']}")]
    assert (await user.get("/account")).status == 200
    old = await world.guest.post("/account/sessions", {"email": "ada@example.com", "password": "password"})
    assert_refused(old, 401, "user_invalid_credentials")
    await world.log_in("ada@example.com", "new-password")


async def test_password_after_the_address_was_changed(world: World, key: Client, ada: dict[str, Any]) -> None:
    await key.patch(f"/users/{ada['$id']}/email", {"email": "users.service@updated.com"})
    assert (await key.patch(f"/users/{ada['$id']}/password", {"password": "password2"})).status == 200
    login = await world.guest.post("/account/sessions", {"email": "users.service@updated.com", "password": "password2"})
    assert login.status == 201


@pytest.mark.parametrize("body", [{}, {"password": "short"}, {"password": "x" * 33}, {"password": 123456}], ids=str)
async def test_password_with_a_bad_value(key: Client, ada: dict[str, Any], body: dict[str, Any]) -> None:
    assert_refused(await key.patch(f"/users/{ada['$id']}/password", body), 400, "general_argument_invalid")


async def test_preferences(world: World, key: Client, ada: dict[str, Any], fired: list[Event]) -> None:
    path = f"/users/{ada['$id']}/prefs"
    assert (await key.get(path)).body == {}
    for prefs in ({"funcKey1": "funcValue1", "funcKey2": "funcValue2"}, {"z": [1, {"a": None}], "b": 1.5}, {}):
        written = await key.patch(path, {"prefs": prefs})
        assert (written.status, written.body) == (200, prefs)
        assert list(written.body) == list(prefs)
        assert (await key.get(path)).body == prefs
        assert (await key.get(f"/users/{ada['$id']}"))["prefs"] == prefs
        assert fired_to_servers(fired) == [("users.update.prefs", prefs)]
        fired.clear()
    assert await audited(world, ada["$id"], "users.update.prefs", "account.update.prefs") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prefs": "bad-string"},
        {"prefs": None},
        {"prefs": ["a"]},
        {"prefs": 1},
        {"prefs": {"a": "x" * 65_536}},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_preferences_with_a_bad_value(key: Client, ada: dict[str, Any], body: dict[str, Any]) -> None:
    assert_refused(await key.patch(f"/users/{ada['$id']}/prefs", body), 400, "general_argument_invalid")
    assert (await key.get(f"/users/{ada['$id']}/prefs")).body == {}


# Ending


async def test_delete_one_session(world: World, key: Client, user: Client, fired: list[Event]) -> None:
    other = await world.log_in("ada@example.com")
    jwt = await with_jwt(world, user)
    session_id = (await user.get("/account/sessions/current"))["$id"]
    fired.clear()
    path = f"/users/{user.user['$id']}/sessions"
    ended = await key.delete(f"{path}/{session_id}")
    assert (ended.status, ended.raw) == (204, b"")
    assert_refused(await user.get("/account"), 401, "general_unauthorized_scope")
    assert_refused(await jwt.get("/account"), 401, "general_unauthorized_scope")
    assert (await other.get("/account")).status == 200
    assert [name for name, _ in fired_to_servers(fired)] == ["users.sessions.delete"]
    assert fired_to_servers(fired)[0][1]["$id"] == user.user["$id"]
    assert await audited(world, user.user["$id"], "account.sessions.delete", "users.sessions.delete") == []
    fired.clear()
    for unknown in (session_id, "current", MISSING):
        assert (await key.delete(f"{path}/{unknown}")).status == 204
    assert fired == []
    assert (await key.get(path))["sum"] == 1


async def test_the_session_of_somebody_else_stays(world: World, key: Client, user: Client) -> None:
    other = await world.sign_up("bea@example.com")
    session_id = (await other.get("/account/sessions/current"))["$id"]
    assert (await key.delete(f"/users/{user.user['$id']}/sessions/{session_id}")).status == 204
    assert (await other.get("/account")).status == 200


async def test_delete_all_sessions(world: World, key: Client, user: Client, fired: list[Event]) -> None:
    other = await world.log_in("ada@example.com")
    stranger = await world.sign_up("bea@example.com")
    fired.clear()
    path = f"/users/{user.user['$id']}/sessions"
    ended = await key.delete(path)
    assert (ended.status, ended.raw) == (204, b"")
    for client in (user, other):
        assert_refused(await client.get("/account"), 401, "general_unauthorized_scope")
    assert (await stranger.get("/account")).status == 200
    assert (await key.get(path))["sum"] == 0
    assert (await key.delete(path)).status == 204
    assert [name for name, _ in fired_to_servers(fired)] == 2 * ["users.sessions.delete"]


async def test_delete(world: World, key: Client, user: Client, fired: list[Event]) -> None:
    path = f"/users/{user.user['$id']}"
    jwt = await with_jwt(world, user)
    before = (await key.patch(f"{path}/status", {"status": 1})).body
    fired.clear()
    deleted = await key.delete(path)
    assert (deleted.status, deleted.raw) == (204, b"")
    assert fired_to_servers(fired) == [("users.delete", before)]
    assert_refused(await key.get(path), 404, "user_not_found")
    assert_refused(await key.delete(path), 404, "user_not_found")
    for client in (user, jwt):
        assert_refused(await client.get("/account"), 401, "general_unauthorized_scope")
    assert (await key.get("/users"))["sum"] == 0
    assert await audited(world, user.user["$id"], "users.delete", "account.delete") == []
    again = await world.sign_up("ada@example.com")
    assert again.user["$id"] > user.user["$id"]


async def test_delete_leaves_nothing_of_the_user_but_what_it_made(world: World, key: Client, user: Client) -> None:
    user_id = user.user["$id"]

    def hand_out_token(tx: Transaction) -> None:
        tx.stores.tokens.insert(
            tx, Token(tx.new_id(), "default", user_id, "recovery", "ada@example.com", "ab" * 32, tx.now)
        )

    await world.backend.db.write(hand_out_token)
    form = aiohttp.FormData()
    form.add_field("file", b"hello", filename="hello.txt")
    file = await user.post("/storage/files", data=form)
    assert file.status == 201
    assert (await key.delete(f"/users/{user_id}")).status == 204

    def count(tx: Transaction) -> list[int]:
        tables = ("users", "sessions", "tokens")
        return [tx.rows(f"SELECT count(*) FROM {table} WHERE project_id = 'default'")[0][0] for table in tables]

    assert await world.backend.db.write(count) == [0, 0, 0]
    kept = await key.get(f"/storage/files/{file['$id']}")
    assert kept.status == 200
    assert kept["$permissions"]["read"] == [f"user:{user_id}"]


async def test_nothing_here_is_limited(key: Client, ada: dict[str, Any]) -> None:
    answer = await key.patch(f"/users/{ada['$id']}/name", {"name": "Bea"})
    assert "X-RateLimit-Limit" not in answer.headers


async def test_a_project_that_is_removed_takes_its_users_out_of_the_index(world: World) -> None:
    services = world.backend.services
    await services.projects.create("other")
    _, secret = await services.keys.create("other", "test", ("users.write",))
    stranger = Client(world.http, world.endpoint, {"X-Appwrite-Project": "other", "X-Appwrite-Key": secret})
    assert (await stranger.post("/users", ADA)).status == 201

    def matches(tx: Transaction) -> int:
        return len(tx.rows("SELECT rowid FROM search WHERE search MATCH 'ada'"))

    assert await world.backend.db.write(matches) == 2
    await services.projects.delete("other")
    await until(lambda: world.backend.db.write(matches), 0)


async def until(read: Callable[[], Awaitable[object]], expected: object) -> None:
    for _ in range(500):
        if await read() == expected:
            return
        await asyncio.sleep(0.02)
    assert await read() == expected
