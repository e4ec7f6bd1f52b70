"""The account service: every endpoint, its errors, its effects, and what the SDKs' own tests look at."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from litewrite.api.v0_11 import endpoints, models
from litewrite.api.v0_11.events import Renderer
from litewrite.db import users as user_rows
from litewrite.entities import EPOCH, UserStatus
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind
from litewrite.services.accounts import record
from tests.api.conftest import Configure
from tests.conftest import Answer, Client, World

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.77 Safari/537.36"
)
ADA = {"email": "ada@example.com", "password": "password"}
UNAUTHORIZED = (401, "general_unauthorized_scope")
INVALID = (400, "general_argument_invalid")


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["type"]


def members(model: type[models.Model]) -> set[str]:
    return {field.name for field in model.FIELDS}


@pytest.fixture
def heard(world: World) -> list[Event]:
    """Every event that the server hands on."""
    events: list[Event] = []
    world.backend.bus.subscribe(events.append)
    return events


Change = Callable[..., Awaitable[None]]


@pytest.fixture
def change(world: World) -> Change:
    """Change a user behind the API's back."""

    async def change(user_id: str, **fields: Any) -> None:
        def unit(tx: Any) -> None:
            tx.stores.users.update(tx, replace(tx.run(user_rows.get("default", user_id)), **fields))

        await world.backend.db.write(unit)

    return change


async def audited(world: World, user_id: str) -> list[tuple[str, str]]:
    """Event and resource of every audit entry about a user, oldest first."""

    def unit(tx: Any) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = tx.rows(
            "SELECT event, resource FROM audit WHERE user_id = ? ORDER BY id", (user_id,)
        )
        return rows

    found: list[tuple[str, str]] = await world.backend.db.write(unit)
    return found


def names(events: list[Event]) -> list[str]:
    return [Renderer().name(event) for event in events]


def payload(event: Event) -> Any:
    return json.loads(Renderer().render(event).payload)


NEEDS_USER = [
    ("GET", "/account", None),
    ("GET", "/account/prefs", None),
    ("GET", "/account/sessions", None),
    ("GET", "/account/logs", None),
    ("GET", "/account/sessions/current", None),
    ("POST", "/account/jwt", {}),
    ("PATCH", "/account/name", {"name": "Eve"}),
    ("PATCH", "/account/password", {"password": "new-password", "oldPassword": "password"}),
    ("PATCH", "/account/email", {"email": "eve@example.com", "password": "password"}),
    ("PATCH", "/account/prefs", {"prefs": {"a": 1}}),
    ("DELETE", "/account/sessions/current", {}),
    ("DELETE", "/account/sessions", {}),
    ("DELETE", "/account", {}),
]


class TestWhoMay:
    @pytest.mark.parametrize(("method", "path", "body"), NEEDS_USER)
    async def test_guests_and_keys_may_not(self, world: World, method: str, path: str, body: Any) -> None:
        key = await world.key()
        for caller in (world.guest, key):
            assert told(await caller.call(method, path, body)) == UNAUTHORIZED
            assert told(await caller.call(method, path, {})) == UNAUTHORIZED

    @pytest.mark.parametrize(("method", "path", "body"), NEEDS_USER)
    async def test_users_may(self, user: Client, method: str, path: str, body: Any) -> None:
        answer = await user.call(method, path, body)
        expected = {"GET": 200, "PATCH": 200, "POST": 201, "DELETE": 204}[method]
        assert answer.status == expected, answer.body

    @pytest.mark.parametrize(
        ("method", "path", "body"), [case for case in NEEDS_USER if "current" not in case[1] and "jwt" not in case[1]]
    )
    async def test_so_may_their_tokens(self, world: World, user: Client, method: str, path: str, body: Any) -> None:
        jwt = (await user.post("/account/jwt", {}))["jwt"]
        answer = await world.guest.with_headers(X_Appwrite_JWT=jwt).call(method, path, body)
        assert answer.status < 300, answer.body

    @pytest.mark.parametrize("path", ["/account", "/account/sessions", "/account/sessions/anonymous"])
    async def test_keys_may_not_call_what_is_public(self, world: World, path: str) -> None:
        key = await world.key()
        assert told(await key.post(path, dict(ADA))) == UNAUTHORIZED

    async def test_an_outdated_session_is_a_guest(self, world: World, user: Client) -> None:
        def expire(tx: Any) -> None:
            tx.execute("UPDATE sessions SET expires_at = 1")
            tx.invalidate("user", user.user["$id"])

        await world.backend.db.write(expire)
        assert told(await user.get("/account")) == UNAUTHORIZED


class TestCreate:
    async def test_a_user_is_made_and_nobody_logged_in(self, world: World, heard: list[Event]) -> None:
        answer = await world.guest.post("/account", {**ADA, "email": "A.B+c@Example.COM", "name": "Ada Ö"})
        assert answer.status == 201
        assert set(answer.body) == members(models.User)
        assert answer["email"] == "a.b+c@example.com"
        assert answer["name"] == "Ada Ö"
        assert abs(answer["registration"] - time.time()) < 5
        assert answer["passwordUpdate"] == answer["registration"]
        assert (answer["status"], answer["emailVerification"], answer["prefs"]) == (0, False, {})
        assert len(answer["$id"]) == 13
        assert "Set-Cookie" not in answer.headers
        assert names(heard) == ["account.create"]
        assert payload(heard[0]) == answer.body
        assert heard[0].actor.user_id == ""
        assert await audited(world, answer["$id"]) == [("account.create", f"users/{answer['$id']}")]

    async def test_the_password_is_nowhere(self, world: World, heard: list[Event]) -> None:
        answer = await world.guest.post("/account", {**ADA, "password": "a-rare-password"})
        assert b"argon2" not in answer.raw
        stored = (await world.backend.db.read(user_rows.by_email("default", "ada@example.com"))).password_hash
        assert stored.startswith("$argon2id$")
        assert "a-rare-password" not in stored
        assert "argon2" not in json.dumps(payload(heard[0]))

    @pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com"])
    async def test_a_taken_address_is_409_in_any_case(self, world: World, user: Client, email: str) -> None:
        assert told(await world.guest.post("/account", {**ADA, "email": email})) == (409, "user_already_exists")

    async def test_so_is_that_of_a_closed_account(self, world: World, user: Client) -> None:
        await user.delete("/account", {})
        assert told(await world.guest.post("/account", dict(ADA))) == (409, "user_already_exists")

    @pytest.mark.parametrize(
        "fault",
        [
            {"email": ""},
            {"email": None},
            {"email": "a@localhost"},
            {"email": "a b@x.com"},
            {"email": "üser@x.com"},
            {"email": 7},
            {"email": ["a@b.co"]},
            {"password": ""},
            {"password": "12345"},
            {"password": "x" * 33},
            {"password": "ö" * 17},
            {"password": 123456},
            {"email": "", "password": ""},
            {"name": "x" * 129},
            {"name": 7},
        ],
    )
    async def test_bad_parameters(self, world: World, heard: list[Event], fault: dict[str, Any]) -> None:
        answer = await world.guest.post("/account", {**ADA, **fault})
        assert told(answer) == INVALID
        assert next(iter(fault)) in answer["message"]
        assert heard == []

    @pytest.mark.parametrize("password", ["123456", "x" * 32, "ö" * 16])
    async def test_passwords_of_6_to_32_bytes(self, world: World, password: str) -> None:
        assert (await world.guest.post("/account", {**ADA, "password": password, "name": "x" * 128})).status == 201
        assert (await world.guest.post("/account/sessions", {**ADA, "password": password})).status == 201

    async def test_while_logged_in_nothing_changes_for_the_session(self, world: World, user: Client) -> None:
        assert (await user.post("/account", {**ADA, "email": "eve@example.com"})).status == 201
        assert (await user.get("/account"))["email"] == "ada@example.com"

    async def test_two_at_once_make_one_user(self, world: World, heard: list[Event]) -> None:
        answers = await asyncio.gather(*(world.guest.post("/account", dict(ADA)) for _ in range(6)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]
        assert len(heard) == 1
        assert await world.backend.db.read(user_rows.count("default")) == 1

    async def test_the_user_limit(self, world: World, configure: Configure) -> None:
        await configure(settings={"user_limit": 2})
        first = await world.sign_up()
        await first.delete("/account", {})
        assert (await world.guest.post("/account/sessions/anonymous", {})).status == 201
        for path, body in (
            ("/account", {**ADA, "email": "eve@example.com"}),
            ("/account", dict(ADA)),  # told before that the address is taken
            ("/account/sessions/anonymous", {}),
        ):
            assert told(await world.guest.post(path, body)) == (501, "user_count_exceeded")
        assert told(await world.guest.post("/account", {})) == INVALID
        await configure(settings={"user_limit": 3})
        assert told(await world.guest.post("/account", dict(ADA))) == (409, "user_already_exists")
        assert (await world.guest.post("/account", {**ADA, "email": "eve@example.com"})).status == 201

    async def test_the_limit_holds_for_many_at_once(self, world: World, configure: Configure) -> None:
        await configure(settings={"user_limit": 2})
        calls = (world.guest.post("/account", {**ADA, "email": f"u{number}@example.com"}) for number in range(5))
        assert sorted(answer.status for answer in await asyncio.gather(*calls)) == [201, 201, 501, 501, 501]

    async def test_the_console_is_closed(self, world: World) -> None:
        answer = await world.guest.post("/account", {**ADA, "project": "console"})
        assert told(answer) == UNAUTHORIZED


SWITCHES = [
    ("email-password", "/account"),
    ("email-password", "/account/sessions"),
    ("anonymous", "/account/sessions/anonymous"),
    ("jwt", "/account/jwt"),
]


@pytest.mark.parametrize(("method", "path"), SWITCHES)
async def test_a_method_that_is_off_is_501(
    world: World, user: Client, configure: Configure, method: str, path: str
) -> None:
    await configure(settings={"auth": {method: False}})
    assert told(await user.post(path, {})) == (501, "user_auth_method_unsupported")
    assert (await user.get("/account")).status == 200
    await configure(settings={"auth": {method: True}})
    assert (await user.post(path, {})).status != 501


class TestCreateSession:
    async def test_a_session_is_made(self, world: World, user: Client, heard: list[Event]) -> None:
        heard.clear()
        client = world.guest.with_headers(User_Agent=CHROME)
        answer = await client.post("/account/sessions", {**ADA, "email": "ADA@example.com"})
        assert answer.status == 201
        assert set(answer.body) == members(models.Session)
        assert answer["userId"] == user.user["$id"]
        assert abs(answer["expire"] - time.time() - 31_536_000) < 5
        assert (answer["provider"], answer["providerUid"], answer["providerToken"]) == ("email", "ada@example.com", "")
        assert (answer["ip"], answer["countryCode"], answer["countryName"]) == ("127.0.0.1", "--", "Unknown")
        assert answer["current"] is True
        assert names(heard) == ["account.sessions.create"]
        assert payload(heard[0]) == answer.body
        assert heard[0].actor.user_id == ""
        assert (await audited(world, user.user["$id"]))[-1] == (
            "account.sessions.create",
            f"users/{user.user['$id']}",
        )

    async def test_the_client_is_detected(self, world: World, user: Client) -> None:
        client = world.guest.with_headers(User_Agent=CHROME)
        answer = await client.post("/account/sessions", dict(ADA))
        assert {name: answer[name] for name in answer.body if name.startswith(("os", "client", "device"))} == {
            "osCode": "WIN",
            "osName": "Windows",
            "osVersion": "10",
            "clientType": "browser",
            "clientCode": "CH",
            "clientName": "Chrome",
            "clientVersion": "70.0",
            "clientEngine": "Blink",
            "clientEngineVersion": "",
            "deviceName": "desktop",
            "deviceBrand": "",
            "deviceModel": "",
        }

    @pytest.mark.parametrize(
        "body",
        [
            {"email": "eve@example.com", "password": "password"},
            {"email": "ada@example.com", "password": "passworD"},
        ],
    )
    async def test_wrong_credentials_look_alike(
        self, world: World, user: Client, heard: list[Event], body: dict[str, str]
    ) -> None:
        heard.clear()
        before = await audited(world, user.user["$id"])
        answer = await world.guest.post("/account/sessions", body)
        assert told(answer) == (401, "user_invalid_credentials")
        assert answer["message"] == "Invalid credentials"
        assert heard == []
        assert await audited(world, user.user["$id"]) == before

    async def test_a_user_without_password_cannot_log_in(self, world: World, user: Client, change: Change) -> None:
        await change(user.user["$id"], password_hash="")
        assert told(await world.guest.post("/account/sessions", dict(ADA))) == (401, "user_invalid_credentials")

    @pytest.mark.parametrize("body", [{}, {"email": ""}, {"email": "ada@example.com"}, {"password": "password"}])
    async def test_missing_parameters(self, world: World, body: dict[str, str]) -> None:
        assert told(await world.guest.post("/account/sessions", body)) == INVALID

    async def test_a_blocked_user_is_told_so_only_with_the_right_password(
        self, world: World, user: Client, change: Change
    ) -> None:
        await change(user.user["$id"], status=UserStatus.BLOCKED)
        assert told(await world.guest.post("/account/sessions", dict(ADA))) == (401, "user_blocked")
        answer = await world.guest.post("/account/sessions", {**ADA, "password": "wrong-one"})
        assert told(answer) == (401, "user_invalid_credentials")

    async def test_older_sessions_stay_and_the_new_cookie_names_the_new_one(self, world: World, user: Client) -> None:
        answer = await user.post("/account/sessions", dict(ADA))
        newer = world.guest.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])
        assert (await newer.get("/account/sessions/current"))["$id"] == answer["$id"]
        assert (await user.get("/account/sessions/current"))["$id"] != answer["$id"]
        assert (await user.get("/account/sessions"))["sum"] == 2

    async def test_only_the_hash_of_the_secret_is_stored(self, world: World, user: Client) -> None:
        rows = await world.backend.db.write(lambda tx: tx.rows("SELECT secret_hash FROM sessions"))
        assert all(len(row[0]) == 64 for row in rows)


class TestAnonymous:
    async def test_a_user_is_made_and_logged_in(self, world: World, heard: list[Event]) -> None:
        answer = await world.guest.post("/account/sessions/anonymous", {})
        assert answer.status == 201
        assert (answer["provider"], answer["providerUid"], answer["current"]) == ("anonymous", "", True)
        cookie = answer.headers.getall("Set-Cookie")[-1].split(";")[0]
        client = world.guest.with_headers(Cookie=cookie)
        account = (await client.get("/account")).body
        assert account["$id"] == answer["userId"]
        assert (account["name"], account["email"], account["status"]) == ("", "", 0)
        assert account["passwordUpdate"] == account["registration"] > 0
        assert names(heard) == ["account.sessions.create"]
        assert await audited(world, answer["userId"]) == [("account.sessions.create", f"users/{answer['userId']}")]
        again = await client.post("/account/sessions/anonymous", {})
        assert told(again) == (401, "user_session_already_exists")

    async def test_not_in_the_console(self, world: World) -> None:
        answer = await world.guest.post("/account/sessions/anonymous", {"project": "console"})
        assert told(answer) == (401, "user_anonymous_console_prohibited")

    async def test_several_have_no_address_in_common(self, world: World) -> None:
        for _ in range(2):
            assert (await world.guest.post("/account/sessions/anonymous", {})).status == 201
        assert told(await world.guest.post("/account/sessions", {"email": "", "password": "password"})) == INVALID


@pytest.fixture
async def anonymous(world: World) -> Client:
    answer = await world.guest.post("/account/sessions/anonymous", {})
    client = world.guest.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])
    client.user = (await client.get("/account")).body
    return client


class TestJwt:
    async def test_it_acts_for_its_session_until_that_is_deleted(self, world: World, user: Client) -> None:
        made = await user.post("/account/jwt", {})
        assert (made.status, set(made.body)) == (201, {"jwt"})
        token = world.guest.with_headers(X_Appwrite_JWT=made["jwt"])
        assert told(await world.guest.with_headers(X_Appwrite_JWT="nonsense").get("/account")) == (
            401,
            "user_jwt_invalid",
        )
        assert (await token.get("/account"))["$id"] == user.user["$id"]
        await user.delete("/account/sessions/current", {})
        assert told(await token.get("/account")) == UNAUTHORIZED

    async def test_a_token_makes_no_token(self, world: World, user: Client, heard: list[Event]) -> None:
        heard.clear()
        jwt = (await user.post("/account/jwt", {}))["jwt"]
        answer = await world.guest.with_headers(X_Appwrite_JWT=jwt).post("/account/jwt", {})
        assert told(answer) == (401, "user_session_not_found")
        assert heard == []

    async def test_a_blocked_user_is_blocked(self, world: World, user: Client, change: Change) -> None:
        jwt = (await user.post("/account/jwt", {}))["jwt"]
        await change(user.user["$id"], status=UserStatus.BLOCKED)
        assert told(await world.guest.with_headers(X_Appwrite_JWT=jwt).get("/account")) == (401, "user_blocked")

    async def test_no_session_is_current(self, world: World, user: Client) -> None:
        token = world.guest.with_headers(X_Appwrite_JWT=(await user.post("/account/jwt", {}))["jwt"])
        sessions = (await token.get("/account/sessions")).body
        assert [session["current"] for session in sessions["sessions"]] == [False]
        session_id = sessions["sessions"][0]["$id"]
        assert (await token.get(f"/account/sessions/{session_id}"))["current"] is False
        assert told(await token.get("/account/sessions/current")) == (404, "user_session_not_found")
        assert told(await token.delete("/account/sessions/current", {})) == (404, "user_session_not_found")
        gone = await token.delete(f"/account/sessions/{session_id}", {})
        assert gone.status == 204
        assert "Set-Cookie" not in gone.headers
        assert "X-Fallback-Cookies" not in gone.headers


class TestReading:
    async def test_the_account(self, user: Client) -> None:
        answer = await user.get("/account")
        assert (answer.status, answer.body) == (200, user.user)

    async def test_preferences_are_an_object(self, user: Client) -> None:
        answer = await user.get("/account/prefs")
        assert (answer.status, answer.raw) == (200, b"{}")
        await user.patch("/account/prefs", {"prefs": {"b": 1, "a": [None, {"x": "ö"}]}})
        assert (await user.get("/account/prefs")).body == {"b": 1, "a": [None, {"x": "ö"}]}

    async def test_the_only_session(self, world: World, user: Client) -> None:
        answer = await user.get("/account/sessions")
        assert answer.status == 200
        assert set(answer.body) == {"sum", "sessions"}
        assert answer["sum"] == 1
        session = answer["sessions"][0]
        assert set(session) == members(models.Session)
        assert (session["ip"], session["countryCode"], session["countryName"]) == ("127.0.0.1", "--", "Unknown")
        assert session["current"] is True

    async def test_several_are_listed_oldest_first_and_one_is_current(self, world: World, user: Client) -> None:
        second = await world.log_in("ada@example.com")
        third = await world.log_in("ada@example.com")
        listed = (await second.get("/account/sessions")).body
        assert listed["sum"] == 3
        assert [session["current"] for session in listed["sessions"]] == [False, True, False]
        ids = [session["$id"] for session in listed["sessions"]]
        assert ids == sorted(ids)
        assert ids[2] == (await third.get("/account/sessions/current"))["$id"]

    async def test_those_of_others_are_not_listed(self, world: World, user: Client) -> None:
        other = await world.sign_up("eve@example.com")
        assert (await other.get("/account/sessions"))["sum"] == 1
        session_id = (await user.get("/account/sessions/current"))["$id"]
        assert told(await other.get(f"/account/sessions/{session_id}")) == (404, "user_session_not_found")
        assert told(await other.delete(f"/account/sessions/{session_id}", {})) == (404, "user_session_not_found")

    async def test_expired_ones_are_not_listed(self, world: World, user: Client) -> None:
        await world.log_in("ada@example.com")
        first = (await user.get("/account/sessions"))["sessions"][1]["$id"]
        past = int((datetime.now(UTC) - timedelta(seconds=1)).timestamp() * 1_000_000)
        await world.backend.db.write(
            lambda tx: tx.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", (past, first))
        )
        assert (await user.get("/account/sessions"))["sum"] == 1
        assert told(await user.get(f"/account/sessions/{first}")) == (404, "user_session_not_found")

    async def test_one_by_id_or_as_the_current_one(self, anonymous: Client) -> None:
        current = await anonymous.get("/account/sessions/current")
        by_id = await anonymous.get(f"/account/sessions/{current['$id']}")
        assert (current.status, by_id.status) == (200, 200)
        assert current.body == by_id.body
        assert (current["provider"], current["current"]) == ("anonymous", True)
        assert told(await anonymous.get("/account/sessions/id-of-nothing")) == (404, "user_session_not_found")

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    async def test_an_id_of_33_characters_is_400(self, user: Client, method: str) -> None:
        assert told(await user.call(method, f"/account/sessions/{'x' * 33}", {})) == INVALID
        assert told(await user.call(method, f"/account/sessions/{'x' * 32}", {})) == (404, "user_session_not_found")

    async def test_the_log(self, world: World) -> None:
        agent = world.guest.with_headers(User_Agent=CHROME)
        await agent.post("/account", dict(ADA))
        answer = await agent.post("/account/sessions", dict(ADA))
        user = agent.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])
        await user.patch("/account/name", {"name": "Eve"})
        logs = await user.get("/account/logs")
        assert (logs.status, set(logs.body)) == (200, {"logs"})
        assert [entry["event"] for entry in logs["logs"]] == [
            "account.update.name",
            "account.sessions.create",
            "account.create",
        ]
        for entry in logs["logs"]:
            assert set(entry) == members(models.Log)
            assert (entry["ip"], entry["clientName"], entry["osName"]) == ("127.0.0.1", "Chrome", "Windows")
            assert abs(entry["time"] - time.time()) < 5
            assert (entry["countryCode"], entry["countryName"]) == ("--", "Unknown")

    async def test_the_log_has_the_ten_newest(self, user: Client) -> None:
        for number in range(12):
            await user.patch("/account/name", {"name": f"Ada {number}"})
        logs = (await user.get("/account/logs"))["logs"]
        assert [entry["event"] for entry in logs] == ["account.update.name"] * 10

    async def test_the_log_leaves_other_events_out(self, world: World, user: Client) -> None:
        actor = Actor(ActorKind.KEY, "default")

        def unit(tx: Any) -> None:
            for event in ("teams.memberships.create", "database.documents.create", "users.update.name"):
                record(tx, actor, user.user["$id"], event, "x")

        await world.backend.db.write(unit)
        events = [entry["event"] for entry in (await user.get("/account/logs"))["logs"]]
        assert events == ["account.sessions.create", "account.create"]

    async def test_a_log_without_user_agent(self, world: World, user: Client) -> None:
        await world.backend.db.write(lambda tx: tx.execute("UPDATE agents SET user_agent = ''"))
        entry = (await user.get("/account/logs"))["logs"][0]
        assert {entry[name] for name in entry if name.startswith(("os", "client", "device"))} == {""}


class TestUpdateName:
    async def test_it_is_changed(self, world: World, user: Client, heard: list[Event]) -> None:
        heard.clear()
        answer = await user.patch("/account/name", {"name": "New Name"})
        assert (answer.status, answer.body) == (200, {**user.user, "name": "New Name"})
        assert (await user.get("/account"))["name"] == "New Name"
        assert names(heard) == ["account.update.name"]
        assert payload(heard[0]) == answer.body
        assert heard[0].actor.user_id == user.user["$id"]
        assert (await audited(world, user.user["$id"]))[-1][0] == "account.update.name"

    @pytest.mark.parametrize("name", [None, "", "x" * 129, 7, ["x"], {"a": "b"}, True])
    async def test_bad_names(self, user: Client, heard: list[Event], name: Any) -> None:
        heard.clear()
        assert told(await user.patch("/account/name", {"name": name})) == INVALID
        assert heard == []

    async def test_characters_are_counted(self, user: Client) -> None:
        assert (await user.patch("/account/name", {"name": "😀" * 128})).status == 200


class TestUpdatePassword:
    async def test_it_is_changed(self, world: World, user: Client, heard: list[Event]) -> None:
        heard.clear()
        other = await world.log_in("ada@example.com")
        jwt = (await user.post("/account/jwt", {}))["jwt"]
        body = {"password": "new-password", "oldPassword": "password"}
        answer = await user.patch("/account/password", body)
        assert answer.status == 200
        assert answer["passwordUpdate"] >= user.user["passwordUpdate"]
        assert names(heard)[-1] == "account.update.password"
        assert (await audited(world, user.user["$id"]))[-1][0] == "account.update.password"
        assert (await world.guest.post("/account/sessions", {**ADA, "password": "new-password"})).status == 201
        assert (await world.guest.post("/account/sessions", dict(ADA))).status == 401
        for caller in (user, other, world.guest.with_headers(X_Appwrite_JWT=jwt)):
            assert (await caller.get("/account")).status == 200

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({}, INVALID),
            ({"password": ""}, INVALID),
            ({"password": "short"}, INVALID),
            ({"password": "new-password", "oldPassword": "short"}, INVALID),
            ({"password": "new-password", "oldPassword": 7}, INVALID),
            ({"password": "new-password", "oldPassword": "wrong-one"}, (401, "user_invalid_credentials")),
            ({"password": "new-password"}, (401, "user_invalid_credentials")),
            ({"password": "new-password", "oldPassword": ""}, (401, "user_invalid_credentials")),
        ],
    )
    async def test_what_is_refused(self, user: Client, body: dict[str, Any], expected: tuple[int, str]) -> None:
        assert told(await user.patch("/account/password", body)) == expected

    async def test_it_may_stay_the_same(self, user: Client) -> None:
        body = {"password": "password", "oldPassword": "password"}
        assert (await user.patch("/account/password", body)).status == 200

    async def test_an_invented_one_is_not_asked_for(self, world: World, user: Client, change: Change) -> None:
        await change(user.user["$id"], password_updated_at=EPOCH)
        assert (await user.get("/account"))["passwordUpdate"] == 0
        assert (await user.patch("/account/password", {"password": "own-password"})).status == 200
        answer = await user.patch("/account/password", {"password": "next-password"})
        assert told(answer) == (401, "user_invalid_credentials")

    async def test_anonymous_users_cannot(self, anonymous: Client) -> None:
        assert told(await anonymous.patch("/account/password", {})) == INVALID
        for old in ({}, {"oldPassword": "password"}):
            answer = await anonymous.patch("/account/password", {"password": "password", **old})
            assert told(answer) == (401, "user_invalid_credentials")

    async def test_of_two_changes_at_once_one_wins(self, user: Client) -> None:
        bodies = [{"password": f"password-{number}", "oldPassword": "password"} for number in range(4)]
        answers = await asyncio.gather(*(user.patch("/account/password", body) for body in bodies))
        assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]


class TestUpdateEmail:
    async def test_it_is_changed(self, world: World, user: Client, heard: list[Event], change: Change) -> None:
        heard.clear()
        await change(user.user["$id"], email_verified=True)
        answer = await user.patch("/account/email", {"email": "Eve@Example.com", "password": "password"})
        assert answer.status == 200
        assert answer.body == {**user.user, "email": "eve@example.com", "emailVerification": False}
        assert names(heard) == ["account.update.email"]
        assert (await audited(world, user.user["$id"]))[-1][0] == "account.update.email"
        session = (await user.get("/account/sessions/current")).body
        assert session["providerUid"] == "ada@example.com"
        assert (await world.guest.post("/account/sessions", dict(ADA))).status == 401
        assert (await world.guest.post("/account/sessions", {**ADA, "email": "eve@example.com"})).status == 201
        assert (await world.guest.post("/account", dict(ADA))).status == 201

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({}, INVALID),
            ({"email": "", "password": ""}, INVALID),
            ({"email": "nonsense", "password": "password"}, INVALID),
            ({"email": "eve@example.com"}, INVALID),
            ({"email": "eve@example.com", "password": "short"}, INVALID),
            ({"email": "eve@example.com", "password": "wrong-one"}, (401, "user_invalid_credentials")),
            ({"email": "taken@example.com", "password": "wrong-one"}, (401, "user_invalid_credentials")),
            ({"email": "Taken@example.com", "password": "password"}, (400, "user_already_exists")),
            ({"email": "ada@example.com", "password": "password"}, (400, "user_already_exists")),
        ],
    )
    async def test_what_is_refused(
        self, world: World, user: Client, body: dict[str, Any], expected: tuple[int, str]
    ) -> None:
        await world.guest.post("/account", {"email": "taken@example.com", "password": "password"})
        assert told(await user.patch("/account/email", body)) == expected
        assert (await user.get("/account"))["email"] == "ada@example.com"

    async def test_an_anonymous_user_becomes_a_regular_one(self, world: World, anonymous: Client) -> None:
        await anonymous.patch("/account/prefs", {"prefs": {"a": 1}})
        await world.guest.post("/account", {"email": "taken@example.com", "password": "password"})
        for body, expected in (
            ({"email": "eve@example.com", "password": ""}, INVALID),
            ({"email": "taken@example.com", "password": "password"}, (400, "user_already_exists")),
        ):
            assert told(await anonymous.patch("/account/email", body)) == expected
        answer = await anonymous.patch("/account/email", {"email": "eve@example.com", "password": "password"})
        assert answer.status == 200
        assert answer.body == {**anonymous.user, "email": "eve@example.com", "prefs": {"a": 1}}
        assert (await anonymous.get("/account")).status == 200
        again = await world.guest.post("/account/sessions", {"email": "eve@example.com", "password": "password"})
        assert (again.status, again["userId"]) == (201, anonymous.user["$id"])
        assert (await anonymous.post("/account/sessions/anonymous", {})).status == 401

    async def test_a_user_with_an_address_and_no_password_cannot(self, user: Client, change: Change) -> None:
        await change(user.user["$id"], password_hash="")
        answer = await user.patch("/account/email", {"email": "eve@example.com", "password": "password"})
        assert told(answer) == (401, "user_invalid_credentials")

    async def test_two_users_who_want_one_address(self, world: World, user: Client) -> None:
        other = await world.sign_up("bob@example.com")
        body = {"email": "eve@example.com", "password": "password"}
        answers = await asyncio.gather(*(caller.patch("/account/email", body) for caller in (user, other)))
        assert sorted(answer.status for answer in answers) == [200, 400]


class TestUpdatePrefs:
    async def test_they_are_replaced_as_a_whole(self, world: World, user: Client, heard: list[Event]) -> None:
        heard.clear()
        prefs = {"key1": "value1", "key2": {"deep": [1, 2.5, None, True]}}
        answer = await user.patch("/account/prefs", {"prefs": prefs})
        assert (answer.status, answer["prefs"]) == (200, prefs)
        assert (await user.patch("/account/prefs", {"prefs": {"other": 1}}))["prefs"] == {"other": 1}
        assert names(heard) == ["account.update.prefs"] * 2
        assert payload(heard[0])["prefs"] == prefs
        assert (await audited(world, user.user["$id"]))[-1][0] == "account.update.prefs"

    @pytest.mark.parametrize("body", [{}, {"prefs": {}}, {"prefs": []}, {"prefs": None}, {"prefs": ""}])
    async def test_nothing_clears_them(self, user: Client, body: dict[str, Any]) -> None:
        await user.patch("/account/prefs", {"prefs": {"a": 1}})
        answer = await user.patch("/account/prefs", body)
        assert (answer.status, answer["prefs"]) == (200, {})
        assert (await user.get("/account/prefs")).raw == b"{}"

    @pytest.mark.parametrize("prefs", ["{}", "[]", '{"test": "value"}', 7, True, ["a"], [{}]])
    async def test_what_is_no_object_is_400(self, user: Client, prefs: Any) -> None:
        await user.patch("/account/prefs", {"prefs": {"a": 1}})
        assert told(await user.patch("/account/prefs", {"prefs": prefs})) == INVALID
        assert (await user.get("/account/prefs")).body == {"a": 1}

    async def test_they_have_at_most_65535_bytes(self, user: Client) -> None:
        assert (await user.patch("/account/prefs", {"prefs": {"x": "y" * (65_535 - 8)}})).status == 200
        assert told(await user.patch("/account/prefs", {"prefs": {"x": "y" * (65_535 - 7)}})) == INVALID
        assert told(await user.patch("/account/prefs", {"prefs": {"x": "ö" * 40_000}})) == INVALID


class TestDelete:
    async def test_the_user_is_blocked_and_everything_stays(
        self, world: World, user: Client, heard: list[Event], change: Change
    ) -> None:
        heard.clear()
        jwt = (await user.post("/account/jwt", {}))["jwt"]
        answer = await user.delete("/account", {})
        assert (answer.status, answer.raw) == (204, b"")
        assert [cookie.partition("=")[0] for cookie in answer.headers.getall("Set-Cookie")] == [
            "a_session_default_legacy",
            "a_session_default",
        ]
        assert answer.headers["X-Fallback-Cookies"] == "[]"
        assert names(heard) == ["account.delete"]
        assert payload(heard[0])["status"] == 2
        assert heard[0].actor.user_id == user.user["$id"]
        assert (await audited(world, user.user["$id"]))[-1] == ("account.delete", f"users/{user.user['$id']}")
        assert told(await user.get("/account")) == (401, "user_blocked")
        assert told(await world.guest.with_headers(X_Appwrite_JWT=jwt).get("/account")) == (401, "user_blocked")
        assert told(await world.guest.post("/account/sessions", dict(ADA))) == (401, "user_blocked")
        await change(user.user["$id"], status=UserStatus.ACTIVE)
        assert (await user.get("/account"))["status"] == 1

    async def test_twice_at_once_is_once(self, user: Client, heard: list[Event]) -> None:
        heard.clear()
        answers = await asyncio.gather(*(user.delete("/account", {}) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [204, 401, 401, 401]
        assert names(heard) == ["account.delete"]


class TestDeleteSession:
    async def test_another_one(self, world: World, user: Client, heard: list[Event]) -> None:
        second = await world.log_in("ada@example.com")
        session = (await second.get("/account/sessions/current")).body
        jwt = (await second.post("/account/jwt", {}))["jwt"]
        heard.clear()
        answer = await user.delete(f"/account/sessions/{session['$id']}", {})
        assert (answer.status, answer.raw) == (204, b"")
        assert "Set-Cookie" not in answer.headers
        assert "X-Fallback-Cookies" not in answer.headers
        assert (await user.get("/account")).status == 200
        assert told(await second.get("/account")) == UNAUTHORIZED
        assert told(await world.guest.with_headers(X_Appwrite_JWT=jwt).get("/account")) == UNAUTHORIZED
        assert names(heard) == ["account.sessions.delete"]
        assert payload(heard[0]) == {**session, "current": False}
        assert (await audited(world, user.user["$id"]))[-1] == (
            "account.sessions.delete",
            f"/user/{user.user['$id']}",
        )
        assert told(await user.delete(f"/account/sessions/{session['$id']}", {})) == (404, "user_session_not_found")

    @pytest.mark.parametrize("by_id", [True, False])
    async def test_the_own_one(self, world: World, user: Client, heard: list[Event], by_id: bool) -> None:
        current = (await user.get("/account/sessions/current")).body
        heard.clear()
        answer = await user.delete(f"/account/sessions/{current['$id'] if by_id else 'current'}", {})
        assert answer.status == 204
        assert len(answer.headers.getall("Set-Cookie")) == 2
        assert answer.headers["X-Fallback-Cookies"] == "[]"
        assert payload(heard[0]) == current
        assert told(await user.get("/account")) == UNAUTHORIZED

    async def test_an_unknown_one_is_404(self, user: Client, heard: list[Event]) -> None:
        heard.clear()
        assert told(await user.delete("/account/sessions/unknown", {})) == (404, "user_session_not_found")
        assert heard == []


class TestDeleteSessions:
    async def test_all_are_deleted_with_one_event_and_entry(
        self, world: World, user: Client, heard: list[Event]
    ) -> None:
        second = await world.log_in("ada@example.com")
        bystander = await world.sign_up("eve@example.com")
        listed = (await second.get("/account/sessions")).body
        heard.clear()
        answer = await second.delete("/account/sessions", {})
        assert (answer.status, answer.raw) == (204, b"")
        assert len(answer.headers.getall("Set-Cookie")) == 2
        assert answer.headers["X-Fallback-Cookies"] == "[]"
        assert names(heard) == ["account.sessions.delete"]
        assert payload(heard[0]) == listed
        assert (listed["sum"], listed["sessions"][1]["current"]) == (2, True)
        entries = [entry for entry in await audited(world, user.user["$id"]) if entry[0] == "account.sessions.delete"]
        assert entries == [("account.sessions.delete", f"/user/{user.user['$id']}")]
        for caller in (user, second):
            assert told(await caller.get("/account")) == UNAUTHORIZED
        assert (await bystander.get("/account")).status == 200

    async def test_under_a_token_the_cookies_stay_and_the_header_goes(self, world: World, user: Client) -> None:
        token = world.guest.with_headers(X_Appwrite_JWT=(await user.post("/account/jwt", {}))["jwt"])
        answer = await token.delete("/account/sessions", {})
        assert answer.status == 204
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["X-Fallback-Cookies"] == "[]"
        assert told(await token.get("/account")) == UNAUTHORIZED


async def test_user_agents_are_read_off_the_event_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    detector = world.backend.services.accounts._detector
    detect = detector.detect

    def watched(user_agent: str) -> Any:
        threads.append(threading.current_thread())
        return detect(user_agent)

    monkeypatch.setattr(detector, "detect", watched)
    user = await world.sign_up()
    await world.guest.post("/account/sessions/anonymous", {})
    assert (await user.get("/account/logs")).status == 200
    assert len(threads) == 4
    assert threading.main_thread() not in threads


async def test_declared_events_are_those_that_are_fired(world: World, heard: list[Event]) -> None:
    declared = {
        endpoint.event for endpoint in endpoints(("account",)) if endpoint.event and "recovery" not in endpoint.event
    }
    user = await world.sign_up()
    await user.patch("/account/name", {"name": "x"})
    await user.patch("/account/password", {"password": "password", "oldPassword": "password"})
    await user.patch("/account/email", {"email": "x@example.com", "password": "password"})
    await user.patch("/account/prefs", {"prefs": {}})
    await user.delete("/account/sessions/current", {})
    again = await world.log_in("x@example.com")
    await again.delete("/account", {})
    assert {name for name in declared if "verification" not in name} == set(names(heard))
