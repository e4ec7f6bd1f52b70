"""The teams service over HTTP: who may what, invitations from mail to membership, and what is fired."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import orjson
import pytest

from litewrite import Config, Litewrite
from litewrite.db import mails as mail_rows
from litewrite.db.engine import Transaction
from litewrite.events import Event
from litewrite.security import decode_session
from litewrite.services.mails import Mails
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
URL = "http://localhost:5000/join-us#title"
BEA = {"email": "bea@example.com", "name": "Bea", "roles": ["admin", "editor"], "url": URL}


@dataclass
class Invitation:
    """What the service has sent by mail."""

    to: str
    to_name: str
    locale: str
    link: str
    variables: dict[str, str]
    kind: str
    project: str

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.link).query))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Invitation]:
    """The invitations that are queued from here on."""
    invitations: list[Invitation] = []
    queue = Mails.queue

    def listen(self: Mails, tx: Transaction, **mail: Any) -> None:
        mail["variables"] = dict(mail["variables"])
        invitations.append(Invitation(**{**mail, "project": mail["project"].id}))
        queue(self, tx, **mail)

    monkeypatch.setattr(Mails, "queue", listen)
    return invitations


@pytest.fixture
def fired(world: World) -> list[Event]:
    """What happens from here on."""
    events: list[Event] = []
    world.backend.bus.subscribe(events.append)
    return events


async def make_team(owner: Client, name: str = "Arsenal", **body: Any) -> str:
    answer = await owner.post("/teams", {"name": name, **body})
    assert answer.status == 201, answer.body
    return str(answer["$id"])


async def invite(owner: Client, team_id: str, **body: Any) -> dict[str, Any]:
    answer = await owner.post(f"/teams/{team_id}/memberships", {**BEA, **body})
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def accept(world: World, invitation: Invitation) -> Client:
    """The invitee, logged in by the link of the mail."""
    given = invitation.parameters
    answer = await world.guest.patch(
        f"/teams/{given['teamId']}/memberships/{given['membershipId']}/status",
        {"userId": given["userId"], "secret": given["secret"]},
    )
    assert answer.status == 200, answer.body
    cookie = answer.headers.getall("Set-Cookie")[-1].split(";")[0]
    client = world.guest.with_headers(Cookie=cookie)
    client.user = (await client.get("/account")).body
    return client


async def total(key: Client, team_id: str) -> int:
    answer = await key.get(f"/teams/{team_id}")
    assert answer.status == 200
    return int(answer["sum"])


async def members(client: Client, team_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/teams/{team_id}/memberships", params=params)
    assert answer.status == 200, answer.body
    return list(answer["memberships"])


# Who may at all


CALLS: list[tuple[str, str, Any, str]] = [
    ("POST", "/teams", {"name": "Arsenal"}, "teams.write"),
    ("GET", "/teams", None, "teams.read"),
    ("GET", "/teams/{team}", None, "teams.read"),
    ("PUT", "/teams/{team}", {"name": "Chelsea"}, "teams.write"),
    ("GET", "/teams/{team}/memberships", None, "teams.read"),
    ("GET", "/teams/{team}/memberships/{membership}", None, "teams.read"),
    ("POST", "/teams/{team}/memberships", BEA, "teams.write"),
    ("PATCH", "/teams/{team}/memberships/{membership}", {"roles": ["x"]}, "teams.write"),
    ("DELETE", "/teams/{team}/memberships/{membership}", None, "teams.write"),
    ("DELETE", "/teams/{team}", None, "teams.write"),
]
ON_ONE = [call for call in CALLS if "{team}" in call[1]]


def name_of(call: tuple[str, str, Any, str]) -> str:
    return f"{call[0]} {call[1]}"


async def paths_of(owner: Client, path: str) -> str:
    team_id = await make_team(owner)
    [own] = await members(owner, team_id)
    return path.format(team=team_id, membership=own["$id"])


@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_guests_and_keys_without_the_scope_may_not(
    world: World, user: Client, call: tuple[str, str, Any, str]
) -> None:
    method, path, body, scope = call
    path = await paths_of(user, path)
    other = "teams.write" if scope == "teams.read" else "teams.read"
    for client in (world.guest, await world.key(other, "users.write"), world.guest.with_headers(X_Appwrite_Key="no")):
        assert_refused(await client.call(method, path, body), 401, "general_unauthorized_scope")
    nowhere = Client(world.http, world.endpoint)
    assert_refused(await nowhere.call(method, path, body), 400, "project_unknown")


@pytest.mark.parametrize("by", ["session", "jwt", "key", "admin"])
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_owners_keys_and_administrators_may(
    world: World, user: Client, call: tuple[str, str, Any, str], by: str
) -> None:
    method, path, body, scope = call
    path = await paths_of(user, path)
    client = user
    if by == "jwt":
        client = await with_jwt(world, user)
    elif by == "key":
        client = await world.key(scope)
    elif by == "admin":
        client = await administrator(world)
    answer = await client.call(method, path, body)
    assert answer.status in (200, 201, 204), answer.body


@pytest.mark.parametrize("call", ON_ONE, ids=name_of)
async def test_strangers_see_no_team_and_no_difference_to_a_missing_one(
    world: World, user: Client, key: Client, call: tuple[str, str, Any, str]
) -> None:
    method, path, body, _ = call
    stranger = await world.sign_up("eve@example.com")
    await make_team(stranger)
    foreign = await stranger.call(method, await paths_of(user, path), body)
    missing = await stranger.call(method, path.format(team=MISSING, membership=MISSING), body)
    kind = "team_invite_not_found" if method == "DELETE" and "membership" in path else "team_not_found"
    for answer in (foreign, missing, await key.call(method, path.format(team=MISSING, membership=MISSING), body)):
        assert_refused(answer, 404, kind)
    assert foreign.body == missing.body


@pytest.mark.parametrize("call", ON_ONE, ids=name_of)
async def test_ids_have_at_most_32_characters(key: Client, call: tuple[str, str, Any, str]) -> None:
    method, path, body, _ = call
    answer = await key.call(method, path.format(team="x" * 33, membership=MISSING), body)
    assert_refused(answer, 400, "general_argument_invalid")


async def test_a_blocked_user_may_nothing(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    await key.patch(f"/users/{user.user['$id']}/status", {"status": 2})
    assert_refused(await user.get(f"/teams/{team_id}"), 401, "user_blocked")
    assert_refused(await user.post("/teams", {"name": "Chelsea"}), 401, "user_blocked")
    assert await total(key, team_id) == 1
    await key.patch(f"/users/{user.user['$id']}/status", {"status": 0})
    assert (await user.get(f"/teams/{team_id}")).status == 200


async def test_a_foreign_page_may_not_write(user: Client) -> None:
    page = user.with_headers(Origin="http://evil.example")
    assert_refused(await page.post("/teams", {"name": "Arsenal"}), 403, "general_unknown_origin")


async def test_teams_of_another_project_are_out_of_reach(world: World, user: Client) -> None:
    team_id = await make_team(user)
    await world.backend.services.projects.create("other")
    _, secret = await world.backend.services.keys.create("other", "test", ("teams.read", "teams.write"))
    stranger = Client(world.http, world.endpoint, {"X-Appwrite-Project": "other", "X-Appwrite-Key": secret})
    assert (await stranger.get("/teams"))["sum"] == 0
    assert_refused(await stranger.get(f"/teams/{team_id}"), 404, "team_not_found")
    assert_refused(await stranger.delete(f"/teams/{team_id}"), 404, "team_not_found")


# Teams


@pytest.mark.parametrize("by_key", [False, True])
async def test_create(user: Client, key: Client, fired: list[Event], by_key: bool) -> None:
    client = key if by_key else user
    before = int(time.time())
    made = [await client.post("/teams", {"name": name}) for name in ("Arsenal", "Manchester United", "Newcastle")]
    for answer, name in zip(made, ("Arsenal", "Manchester United", "Newcastle"), strict=True):
        assert answer.status == 201
        assert set(answer.body) == {"$id", "name", "dateCreated", "sum"}
        assert len(answer["$id"]) == 13
        assert answer["name"] == name
        assert type(answer["sum"]) is int
        assert answer["sum"] == (0 if by_key else 1)
        assert type(answer["dateCreated"]) is int
        assert before <= answer["dateCreated"] <= time.time()
        assert (await client.get(f"/teams/{answer['$id']}")).body == answer.body
    assert names_and_payloads(fired) == [("teams.create", answer.body) for answer in made]
    team_id = made[0]["$id"]
    told = rendered(fired)[0]
    assert told.channels == ("teams", f"teams.{team_id}")
    assert told.roles == (f"team:{team_id}",)
    assert told.user_id == ("" if by_key else user.user["$id"])


async def test_the_creator_is_the_first_member(user: Client) -> None:
    team_id = await make_team(user)
    listed = await user.get(f"/teams/{team_id}/memberships")
    assert (listed.status, listed["sum"]) == (200, 1)
    [own] = listed["memberships"]
    assert own == {
        "$id": own["$id"],
        "userId": user.user["$id"],
        "teamId": team_id,
        "name": "Ada",
        "email": "ada@example.com",
        "invited": own["invited"],
        "joined": own["invited"],
        "confirm": True,
        "roles": ["owner"],
    }
    assert own["joined"] > 0


async def test_a_team_made_by_a_key_is_empty(key: Client) -> None:
    team_id = await make_team(key, roles=["owner"])
    assert (await key.get(f"/teams/{team_id}/memberships")).body == {"sum": 0, "memberships": []}


async def test_a_creator_without_the_role_owner_is_an_ordinary_member(user: Client) -> None:
    team_id = await make_team(user, roles=["player", "player"])
    assert (await members(user, team_id))[0]["roles"] == ["player", "player"]
    assert_refused(await user.put(f"/teams/{team_id}", {"name": "Chelsea"}), 401, "user_unauthorized")
    assert_refused(await user.delete(f"/teams/{team_id}"), 401, "user_unauthorized")
    assert_refused(await user.post(f"/teams/{team_id}/memberships", BEA), 401, "user_unauthorized")


async def test_the_roles_of_a_team_count_in_permissions_at_once(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    permissions = {"read": [f"team:{team_id}"], "write": [f"team:{team_id}/owner"]}
    rule = {"label": "Title", "key": "title", "type": "text", "default": "", "required": True, "array": False}
    collection = await key.post("/database/collections", {"name": "Plans", "rules": [rule], **permissions})
    assert collection.status == 201, collection.body
    documents = f"/database/collections/{collection['$id']}/documents"
    created = await user.post(documents, {"data": {"title": "Plan"}, **permissions})
    assert created.status == 201, created.body
    stranger = await world.sign_up("eve@example.com")
    document = f"{documents}/{created['$id']}"
    assert (await stranger.get(document)).status == 404
    await key.post(f"/teams/{team_id}/memberships", {**BEA, "email": "eve@example.com"})
    assert (await stranger.get(document)).status == 200
    assert (await stranger.delete(document)).status == 401
    membership = (await members(key, team_id))[1]
    await key.patch(f"/teams/{team_id}/memberships/{membership['$id']}", {"roles": ["owner"]})
    assert (await stranger.patch(document, {"data": {"title": "Better plan"}})).status == 200
    await key.delete(f"/teams/{team_id}/memberships/{membership['$id']}")
    assert (await stranger.get(document)).status == 404
    await user.delete(f"/teams/{team_id}")
    assert (await user.get(document)).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 1},
        {"name": "x" * 129},
        {"name": "Arsenal", "roles": "owner"},
        {"name": "Arsenal", "roles": ["bad role"]},
        {"name": "Arsenal", "roles": ["x" * 33]},
        {"name": "Arsenal", "roles": [1]},
        {"name": "Arsenal", "roles": ["x"] * 101},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_create_with_a_bad_value(user: Client, fired: list[Event], body: dict[str, Any]) -> None:
    answer = await user.post("/teams", body)
    assert_refused(answer, 400, "general_argument_invalid")
    assert ("roles" if "roles" in body else "name") in answer["message"]
    assert (await user.get("/teams"))["sum"] == 0
    assert fired == []


async def test_list_shows_users_their_own_teams_and_keys_all(world: World, user: Client, key: Client) -> None:
    other = await world.sign_up("bea@example.com")
    mine = [await make_team(user, name) for name in ("Blue Harbour", "Green Hill", "Red Field")]
    theirs = await make_team(other, "Blue Lagoon")

    async def page(client: Client, **params: Any) -> tuple[int, list[str]]:
        answer = await client.get("/teams", params=params)
        assert answer.status == 200, answer.body
        return answer["sum"], [team["$id"] for team in answer["teams"]]

    assert await page(user) == (3, mine)
    assert await page(other) == (1, [theirs])
    assert await page(key) == (4, [*mine, theirs])
    assert await page(user, limit=2) == (3, mine[:2])
    assert await page(user, offset=1) == (3, mine[1:])
    assert await page(user, offset=1, limit=1) == (3, mine[1:2])
    assert await page(user, limit=0) == (3, [])
    assert await page(user, orderType="DESC") == (3, mine[::-1])
    assert await page(user, search="blue") == (1, mine[:1])
    assert await page(user, search="HARBOUR") == (1, mine[:1])
    assert await page(user, search="har") == (0, [])
    assert await page(user, search="*") == (3, mine)
    assert await page(key, search="blue", limit=1) == (2, mine[:1])
    assert await page(key, search="lagoon hill") == (2, [mine[1], theirs])


@pytest.mark.parametrize(
    "params",
    [{"limit": 101}, {"limit": -1}, {"limit": "1.5"}, {"offset": 2001}, {"orderType": "asc"}, {"search": "x" * 257}],
    ids=str,
)
async def test_lists_with_a_bad_value(user: Client, params: dict[str, Any]) -> None:
    team_id = await make_team(user)
    for path in ("/teams", f"/teams/{team_id}/memberships"):
        assert_refused(await user.get(path, params=params), 400, "general_argument_invalid")


async def test_update(user: Client, fired: list[Event]) -> None:
    created = await user.post("/teams", {"name": "Demo"})
    fired.clear()
    changed = await user.put(f"/teams/{created['$id']}", {"name": "Demo New"})
    assert (changed.status, changed.body) == (200, {**created.body, "name": "Demo New"})
    assert (await user.get(f"/teams/{created['$id']}")).body == changed.body
    assert names_and_payloads(fired) == [("teams.update", changed.body)]
    assert rendered(fired)[0].channels == ("teams", f"teams.{created['$id']}")
    assert (await user.get("/teams", params={"search": "new"}))["sum"] == 1
    await user.put(f"/teams/{created['$id']}", {"name": "Other"})
    assert (await user.get("/teams", params={"search": "new demo"}))["sum"] == 0


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 129}, {"name": 1}], ids=lambda body: str(body)[:40])
async def test_update_with_a_bad_value(user: Client, body: dict[str, Any]) -> None:
    team_id = await make_team(user)
    assert_refused(await user.put(f"/teams/{team_id}", body), 400, "general_argument_invalid")
    assert_refused(await user.put(f"/teams/{MISSING}", body), 400, "general_argument_invalid")
    assert (await user.get(f"/teams/{team_id}"))["name"] == "Arsenal"


async def test_delete(world: World, user: Client, key: Client, fired: list[Event]) -> None:
    other = await world.sign_up("bea@example.com")
    kept = await make_team(user)
    created = await user.post("/teams", {"name": "Demo"})
    team_id = created["$id"]
    await key.post(f"/teams/{team_id}/memberships", BEA)
    assert (await other.get(f"/teams/{team_id}")).status == 200
    last = (await user.get(f"/teams/{team_id}")).body
    fired.clear()
    deleted = await user.delete(f"/teams/{team_id}")
    assert (deleted.status, deleted.raw) == (204, b"")
    assert names_and_payloads(fired) == [("teams.delete", last)]
    assert rendered(fired)[0].roles == (f"team:{team_id}",)
    for client in (user, other, key):
        assert_refused(await client.get(f"/teams/{team_id}"), 404, "team_not_found")
        assert_refused(await client.delete(f"/teams/{team_id}"), 404, "team_not_found")
        assert_refused(await client.get(f"/teams/{team_id}/memberships"), 404, "team_not_found")
    assert (await other.get("/teams"))["sum"] == 0
    assert [team["$id"] for team in (await user.get("/teams"))["teams"]] == [kept]
    assert (await key.get("/teams", params={"search": "demo"}))["sum"] == 0

    def left(tx: Transaction) -> int:
        return int(tx.rows("SELECT count(*) FROM memberships WHERE team_id = ?", (team_id,))[0][0])

    assert await world.backend.db.write(left) == 0


async def test_members_without_the_role_owner(world: World, user: Client, key: Client, fired: list[Event]) -> None:
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    membership = await invite(key, team_id, roles=["editor"])
    [own, _] = await members(user, team_id)
    fired.clear()
    path = f"/teams/{team_id}"
    assert (await member.get(path)).status == 200
    assert len(await members(member, team_id)) == 2
    for method, below, body in [
        ("PUT", "", {"name": "Chelsea"}),
        ("DELETE", "", None),
        ("POST", "/memberships", {**BEA, "email": "eve@example.com"}),
        ("PATCH", f"/memberships/{own['$id']}", {"roles": []}),
        ("PATCH", f"/memberships/{membership['$id']}", {"roles": ["owner"]}),
        ("DELETE", f"/memberships/{own['$id']}", None),
    ]:
        assert_refused(await member.call(method, path + below, body), 401, "user_unauthorized")
    assert fired == []
    assert await total(key, team_id) == 2


# Inviting


async def test_invite(world: World, user: Client, key: Client, sent: list[Invitation], fired: list[Event]) -> None:
    team_id = await make_team(user)
    fired.clear()
    before = int(time.time())
    answer = await user.post(f"/teams/{team_id}/memberships", {**BEA, "email": "Friend.User@LocalHost.Test"})
    assert answer.status == 201, answer.body
    assert set(answer.body) == {
        "$id",
        "userId",
        "teamId",
        "name",
        "email",
        "invited",
        "joined",
        "confirm",
        "roles",
    }
    assert len(answer["$id"]) == 13
    assert len(answer["userId"]) == 13
    assert answer["teamId"] == team_id
    assert answer["name"] == "Bea"
    assert answer["email"] == "friend.user@localhost.test"
    assert answer["roles"] == ["admin", "editor"]
    assert before <= answer["invited"] <= time.time()
    assert answer["joined"] == 0
    assert answer["confirm"] is False

    [mail] = sent
    assert (mail.kind, mail.project) == ("invitation", "default")
    assert (mail.to, mail.to_name) == ("friend.user@localhost.test", "Bea")
    assert mail.variables == {"owner": "Ada", "team": "Arsenal"}
    assert mail.link.startswith("http://localhost:5000/join-us?membershipId=")
    assert mail.link.endswith("#title")
    assert list(mail.parameters) == ["membershipId", "userId", "secret", "teamId"]
    assert mail.parameters == {
        "membershipId": answer["$id"],
        "userId": answer["userId"],
        "secret": mail.parameters["secret"],
        "teamId": team_id,
    }
    assert len(mail.parameters["secret"]) == 256

    assert names_and_payloads(fired) == [("teams.memberships.create", answer.body)]
    told = rendered(fired)[0]
    assert told.channels == ("memberships", f"memberships.{answer['$id']}")
    assert told.roles == (f"team:{team_id}",)
    assert mail.parameters["secret"] not in told.payload
    entries = await audited(world, answer["userId"], "teams.memberships.create")
    assert entries == [("teams.memberships.create", f"teams/{team_id}")]

    assert await total(key, team_id) == 1
    assert (await user.get(f"/teams/{team_id}/memberships"))["sum"] == 2
    made = (await key.get(f"/users/{answer['userId']}")).body
    assert made["name"] == "Bea"
    assert made["email"] == "friend.user@localhost.test"
    assert made["status"] == 0
    assert made["emailVerification"] is False
    assert made["passwordUpdate"] == 0
    assert made["prefs"] == {}


async def test_the_mail_that_is_kept(world: World, user: Client) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    [stored] = await world.backend.db.read(mail_rows.newest(world.project, limit=10))
    mail = world.backend.services.mails.read(stored)
    assert (mail.to, mail.to_name) == ("bea@example.com", "Bea")
    assert mail.subject == "Invitation to Arsenal Team at default"
    named = f"?membershipId={membership['$id']}&userId={membership['userId']}&secret="
    start = mail.text.index(named) + len(named)
    secret = mail.text[start : start + 256]
    assert mail.text[start + 256 :].startswith(f"&teamId={team_id}#title")
    answer = await world.guest.patch(
        f"/teams/{team_id}/memberships/{membership['$id']}/status", {"userId": membership["userId"], "secret": secret}
    )
    assert (answer.status, answer["confirm"]) == (200, True)


async def test_the_secret_is_stored_as_a_hash_alone(world: World, user: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    secret = sent[0].parameters["secret"]

    def stored(tx: Transaction) -> list[Any]:
        return tx.rows("SELECT * FROM memberships WHERE id = ?", (membership["$id"],))

    row = (await world.backend.db.write(stored))[0]
    assert secret not in row
    assert any(isinstance(value, str) and len(value) == 64 for value in row)
    assert all(secret not in orjson.dumps(item).decode() for item in await members(user, team_id))


async def test_the_link_keeps_what_the_url_has(user: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    await invite(user, team_id, url="http://localhost/join?a=1&b=x%20y")
    assert sent[0].link.startswith("http://localhost/join?a=1&b=x")
    assert list(sent[0].parameters)[:3] == ["a", "b", "membershipId"]


async def test_the_language_of_the_request_goes_along(user: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    await invite(user.with_headers(X_Appwrite_Locale="de"), team_id)
    assert sent[0].locale == "de"


async def test_the_name_falls_back_to_the_address(user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id, name="")
    assert membership["name"] == "bea@example.com"
    assert sent[0].to_name == "bea@example.com"
    assert (await key.get(f"/users/{membership['userId']}"))["name"] == "bea@example.com"


async def test_inviting_a_user_who_exists(world: World, user: Client, sent: list[Invitation]) -> None:
    other = await world.sign_up("bea@example.com", name="Beatrice")
    team_id = await make_team(user)
    membership = await invite(user, team_id, name="Somebody")
    assert (membership["userId"], membership["name"]) == (other.user["$id"], "Somebody")
    assert sent[0].to_name == "Somebody"
    assert [item["name"] for item in await members(user, team_id)] == ["Ada", "Beatrice"]
    assert (await other.get("/account"))["name"] == "Beatrice"
    assert_refused(await other.get(f"/teams/{team_id}"), 404, "team_not_found")
    assert (await other.get("/teams"))["sum"] == 0


@pytest.mark.parametrize("roles", [[], None, {"a": "admin", "b": "editor"}, ["x", "x"]], ids=str)
async def test_roles_that_are_accepted(world: World, user: Client, key: Client, roles: Any) -> None:
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    membership = await invite(key, team_id, roles=roles)
    assert membership["roles"] == (list(roles.values()) if isinstance(roles, dict) else roles or [])
    assert (await member.get(f"/teams/{team_id}")).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"email": None},
        {"email": ""},
        {"email": "friend.user"},
        {"email": "a@localhost"},
        {"roles": "bad string"},
        {"roles": ["bad role"]},
        {"roles": ["x" * 33]},
        {"roles": ["x"] * 101},
        {"url": None},
        {"url": ""},
        {"url": "example.com/join"},
        {"url": "http://example.com/join-us#title"},
        {"url": "javascript://localhost/%0aalert(1)"},
        {"url": "http://user@localhost/join"},
        {"name": "x" * 129},
    ],
    ids=lambda change: str(change)[:50],
)
@pytest.mark.parametrize("by_key", [False, True])
async def test_invite_with_a_bad_value(
    world: World,
    user: Client,
    key: Client,
    sent: list[Invitation],
    fired: list[Event],
    change: dict[str, Any],
    by_key: bool,
) -> None:
    team_id = await make_team(user)
    fired.clear()
    client = key if by_key else user
    answer = await client.post(f"/teams/{team_id}/memberships", {**BEA, **change})
    assert_refused(answer, 400, "general_argument_invalid")
    assert next(iter(change)) in answer["message"]
    assert (sent, fired) == ([], [])
    assert (await key.get("/users"))["sum"] == 1
    assert len(await members(user, team_id)) == 1


async def test_strangers_invite_nobody(world: World, user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    stranger = await world.sign_up("eve@example.com")
    assert_refused(await stranger.post(f"/teams/{team_id}/memberships", BEA), 404, "team_not_found")
    member = await world.sign_up("carol@example.com")
    await invite(key, team_id, email="carol@example.com", roles=["editor"])
    assert_refused(await member.post(f"/teams/{team_id}/memberships", BEA), 401, "user_unauthorized")
    assert sent == []
    assert (await key.get("/users"))["sum"] == 3


async def test_a_second_invitation_is_a_conflict(
    world: World, user: Client, key: Client, sent: list[Invitation], fired: list[Event]
) -> None:
    team_id = await make_team(user)
    await invite(user, team_id)
    fired.clear()
    for client in (user, key):
        pending = await client.post(f"/teams/{team_id}/memberships", {**BEA, "email": "BEA@example.com"})
        assert_refused(pending, 409, "team_invite_already_exists")
        own = await client.post(f"/teams/{team_id}/memberships", {**BEA, "email": "ada@example.com"})
        assert_refused(own, 409, "team_invite_already_exists")
    assert (len(sent), fired) == (1, [])
    await accept(world, sent[0])
    assert_refused(await user.post(f"/teams/{team_id}/memberships", BEA), 409, "team_invite_already_exists")
    assert await total(key, team_id) == 2


async def test_a_full_project(world: World, user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    other = await world.sign_up("bea@example.com")
    await change_settings(world, user_limit=2)
    for client in (user, key):
        answer = await client.post(f"/teams/{team_id}/memberships", {**BEA, "email": "new@example.com"})
        assert_refused(answer, 501, "user_count_exceeded")
    assert sent == []
    assert (await invite(user, team_id))["userId"] == other.user["$id"]


async def test_invitations_that_are_switched_off(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    await change_settings(world, auth={"invites": False})
    answer = await user.post(f"/teams/{team_id}/memberships", {"roles": "bad string"})
    assert_refused(answer, 501, "user_auth_method_unsupported")
    assert (await invite(key, team_id))["confirm"] is True


async def test_without_mail(monkeypatch: pytest.MonkeyPatch, user: Client, key: Client, fired: list[Event]) -> None:
    team_id = await make_team(user)
    fired.clear()
    monkeypatch.setattr(Mails, "enabled", property(lambda self: False))
    for client in (user, key):
        assert_refused(await client.post(f"/teams/{team_id}/memberships", BEA), 503, "general_smtp_disabled")
        assert_refused(await client.post(f"/teams/{MISSING}/memberships", BEA), 503, "general_smtp_disabled")
        bad = await client.post(f"/teams/{team_id}/memberships", {**BEA, "url": "http://example.com"})
        assert_refused(bad, 400, "general_argument_invalid")
    assert fired == []


@pytest.fixture
async def limited(config: Config) -> AsyncIterator[World]:
    async with (
        Litewrite(replace(config, rate_limits="on")) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield World(server, http)


async def test_ten_invitations_an_hour(limited: World) -> None:
    user = await limited.sign_up()
    team_id = await make_team(user)
    key = await limited.key()
    answers = [
        await user.post(f"/teams/{team_id}/memberships", {**BEA, "email": f"{number}@example.com"})
        for number in range(11)
    ]
    assert [answer.status for answer in answers] == [201] * 10 + [429]
    assert [answer.headers["X-RateLimit-Limit"] for answer in answers] == ["10"] * 11
    assert answers[0].headers["X-RateLimit-Remaining"] == "9"
    assert answers[10]["type"] == "general_rate_limit_exceeded"
    added = await key.post(f"/teams/{team_id}/memberships", BEA)
    assert (added.status, added.headers["X-RateLimit-Remaining"]) == (201, "0")


# Adding with a key


async def test_a_key_adds_a_member_at_once(
    world: World, user: Client, key: Client, sent: list[Invitation], fired: list[Event]
) -> None:
    team_id = await make_team(user)
    fired.clear()
    membership = await invite(key, team_id)
    assert membership["confirm"] is True
    assert membership["joined"] == membership["invited"] > 0
    assert sent == []
    assert await total(key, team_id) == 2
    assert names_and_payloads(fired) == [("teams.memberships.create", membership)]
    entries = await audited(world, membership["userId"], "teams.memberships.create")
    assert entries == [("teams.memberships.create", f"teams/{team_id}")]
    made = (await key.get(f"/users/{membership['userId']}")).body
    assert (made["emailVerification"], made["passwordUpdate"]) == (False, 0)
    assert (await key.get(f"/users/{membership['userId']}/sessions"))["sum"] == 0


async def test_nobody_can_accept_for_a_member_that_a_key_added(world: World, key: Client) -> None:
    team_id = await make_team(key)
    membership = await invite(key, team_id)
    path = f"/teams/{team_id}/memberships/{membership['$id']}/status"
    for secret in ("x", "0" * 64, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"):
        answer = await world.guest.patch(path, {"userId": membership["userId"], "secret": secret})
        assert_refused(answer, 401, "team_invalid_secret")


async def test_an_administrator_adds_a_member_at_once(world: World, key: Client, sent: list[Invitation]) -> None:
    admin = await administrator(world)
    team_id = await make_team(admin)
    assert await total(key, team_id) == 0
    assert (await invite(admin, team_id))["confirm"] is True
    assert sent == []


@pytest.mark.parametrize("password", ["", "password", "bea@example.com"])
async def test_no_password_fits_a_user_who_was_made(world: World, key: Client, password: str) -> None:
    await invite(key, await make_team(key))
    answer = await world.guest.post("/account/sessions", {"email": "bea@example.com", "password": password})
    assert answer.status == (401 if password else 400)


# Accepting


async def test_accept(world: World, user: Client, key: Client, sent: list[Invitation], fired: list[Event]) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    given = sent[0].parameters
    fired.clear()
    before = int(time.time())
    answer = await world.guest.patch(
        f"/teams/{team_id}/memberships/{membership['$id']}/status",
        {"userId": given["userId"], "secret": given["secret"]},
    )
    assert answer.status == 200, answer.body
    assert before <= answer["joined"] <= time.time()
    assert answer.body == {**membership, "joined": answer["joined"], "confirm": True}
    assert names_and_payloads(fired) == [("teams.memberships.update.status", answer.body)]
    assert rendered(fired)[0].user_id == ""
    assert rendered(fired)[0].roles == (f"team:{team_id}",)
    logged = await audited(world, given["userId"], "teams.memberships.update.status", "account.sessions.create")
    assert logged == [("teams.memberships.update.status", f"teams/{team_id}")]

    cookies = answer.headers.getall("Set-Cookie")
    assert [cookie.split("=")[0] for cookie in cookies] == ["a_session_default_legacy", "a_session_default"]
    fallback = orjson.loads(answer.headers["X-Fallback-Cookies"])["a_session_default"]
    parts = decode_session(fallback)
    assert parts is not None
    assert parts[0] == given["userId"]
    invitee = world.guest.with_headers(Cookie=cookies[-1].split(";")[0])
    account = await invitee.get("/account")
    assert (account["$id"], account["emailVerification"]) == (given["userId"], True)
    session = await invitee.get("/account/sessions/current")
    assert (session["provider"], session["providerUid"]) == ("email", "bea@example.com")
    assert 31_536_000 - 60 < session["expire"] - before < 31_536_000 + 60
    assert (await invitee.get(f"/teams/{team_id}"))["sum"] == 2
    assert await total(key, team_id) == 2
    assert (await world.guest.with_headers(X_Fallback_Cookies=answer.headers["X-Fallback-Cookies"]).get("/account"))[
        "$id"
    ] == given["userId"]


async def test_who_was_invited_sets_a_first_password_without_an_old_one(
    world: World, user: Client, sent: list[Invitation]
) -> None:
    await invite(user, await make_team(user))
    invitee = await accept(world, sent[0])
    assert (await invitee.patch("/account/password", {"password": "new-password"})).status == 200
    again = await invitee.patch("/account/password", {"password": "new-password2"})
    assert_refused(again, 401, "user_invalid_credentials")
    changed = await invitee.patch("/account/password", {"password": "new-password2", "oldPassword": "new-password"})
    assert changed.status == 200
    await world.log_in("bea@example.com", "new-password2")


async def test_accepting_twice_only_logs_in_again(
    world: World, user: Client, key: Client, sent: list[Invitation], fired: list[Event]
) -> None:
    team_id = await make_team(user)
    await invite(user, team_id)
    first = await accept(world, sent[0])
    [_, joined] = await members(user, team_id)
    second = await accept(world, sent[0])
    assert first.headers["Cookie"] != second.headers["Cookie"]
    for client in (first, second):
        assert (await client.get("/account")).status == 200
    assert await total(key, team_id) == 2
    assert (await members(user, team_id))[1] == joined
    assert (await key.get(f"/users/{joined['userId']}/sessions"))["sum"] == 2


@pytest.mark.parametrize("times", [2, 10])
async def test_accepting_at_once_counts_once(
    world: World, user: Client, key: Client, sent: list[Invitation], times: int
) -> None:
    team_id = await make_team(user)
    await invite(user, team_id)
    await asyncio.gather(*(accept(world, sent[0]) for _ in range(times)))
    assert await total(key, team_id) == 2


async def test_only_the_address_that_was_written_to_is_verified(
    world: World, user: Client, key: Client, sent: list[Invitation]
) -> None:
    """Otherwise who has a team of his own could have any address verified by changing to it in between."""
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    await invite(user, team_id)
    await member.patch("/account/email", {"email": "victim@example.com", "password": "password"})
    accepted = await accept(world, sent[0])
    assert (accepted.user["email"], accepted.user["emailVerification"]) == ("victim@example.com", False)
    assert await total(key, team_id) == 2


async def test_accepting_again_verifies_no_other_address(world: World, user: Client, sent: list[Invitation]) -> None:
    await invite(user, await make_team(user))
    invitee = await accept(world, sent[0])
    await invitee.patch("/account/password", {"password": "password"})
    await invitee.patch("/account/email", {"email": "victim@example.com", "password": "password"})
    assert (await accept(world, sent[0])).user["emailVerification"] is False


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"secret": "sdasdasd"}, 401, "team_invalid_secret"),
        ({"secret": "0" * 256}, 401, "team_invalid_secret"),
        ({"secret": "sdasdasd", "userId": "sdasd"}, 401, "team_invalid_secret"),
        ({"userId": "sdasd"}, 401, "team_invite_mismatch"),
        ({"userId": MISSING}, 401, "team_invite_mismatch"),
        ({"secret": ""}, 400, "general_argument_invalid"),
        ({"userId": ""}, 400, "general_argument_invalid"),
        ({"secret": None}, 400, "general_argument_invalid"),
        ({"userId": None}, 400, "general_argument_invalid"),
        ({"secret": "x" * 257}, 400, "general_argument_invalid"),
        ({"userId": "x" * 33}, 400, "general_argument_invalid"),
        ({"secret": 1}, 400, "general_argument_invalid"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_accept_with_a_bad_value(
    world: World,
    user: Client,
    key: Client,
    sent: list[Invitation],
    fired: list[Event],
    change: dict[str, Any],
    status: int,
    kind: str,
) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    fired.clear()
    given = sent[0].parameters
    path = f"/teams/{team_id}/memberships/{membership['$id']}/status"
    answer = await world.guest.patch(path, {"userId": given["userId"], "secret": given["secret"], **change})
    assert_refused(answer, status, kind)
    assert answer.headers.getall("Set-Cookie", []) == []
    assert "X-Fallback-Cookies" not in answer.headers
    assert fired == []
    assert await total(key, team_id) == 1
    assert (await key.get(f"/users/{membership['userId']}"))["emailVerification"] is False
    assert (await key.get(f"/users/{membership['userId']}/sessions"))["sum"] == 0


async def test_accept_what_is_not_there(world: World, user: Client, sent: list[Invitation]) -> None:
    team_id, other_id = await make_team(user), await make_team(user, "Chelsea")
    membership = await invite(user, team_id)
    given = {name: sent[0].parameters[name] for name in ("userId", "secret")}

    async def refused(team: str, membership_id: str, kind: str, client: Client | None = None) -> None:
        path = f"/teams/{team}/memberships/{membership_id}/status"
        assert_refused(await (client or world.guest).patch(path, given), 404, kind)

    await refused(team_id, MISSING, "team_invite_not_found")
    await refused(other_id, membership["$id"], "team_membership_mismatch")
    await refused(MISSING, membership["$id"], "team_membership_mismatch")
    await world.backend.services.projects.create("other")
    elsewhere = Client(world.http, world.endpoint, {"X-Appwrite-Project": "other"})
    await refused(team_id, membership["$id"], "team_invite_not_found", elsewhere)

    def lose(tx: Transaction) -> None:
        tx.execute("DELETE FROM teams WHERE id = ?", (team_id,))

    await world.backend.db.write(lose)
    await refused(team_id, membership["$id"], "team_not_found")
    await user.delete(f"/teams/{other_id}")
    assert (await user.get("/teams"))["sum"] == 0


async def test_an_invitation_that_was_withdrawn(
    world: World, user: Client, key: Client, sent: list[Invitation]
) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    await user.delete(f"/teams/{team_id}/memberships/{membership['$id']}")
    given = sent[0].parameters
    path = f"/teams/{team_id}/memberships/{membership['$id']}/status"
    answer = await world.guest.patch(path, {"userId": given["userId"], "secret": given["secret"]})
    assert_refused(answer, 404, "team_invite_not_found")
    assert await total(key, team_id) == 1


async def test_who_may_accept(world: World, user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    invitee = await world.sign_up("bea@example.com")
    membership = await invite(user, team_id)
    path = f"/teams/{team_id}/memberships/{membership['$id']}/status"
    given = {name: sent[0].parameters[name] for name in ("userId", "secret")}
    for client in (user, await with_jwt(world, user)):
        assert_refused(await client.patch(path, given), 401, "team_invite_mismatch")
    assert_refused(await key.patch(path, given), 401, "general_unauthorized_scope")
    assert_refused(await Client(world.http, world.endpoint).patch(path, given), 400, "project_unknown")
    assert await total(key, team_id) == 1
    assert (await invitee.patch(path, given)).status == 200
    assert (await (await with_jwt(world, invitee)).patch(path, given)).status == 200
    assert (await (await administrator(world)).patch(path, given)).status == 200
    assert await total(key, team_id) == 2


async def test_a_blocked_invitee_cannot_accept(
    world: World, user: Client, key: Client, sent: list[Invitation], fired: list[Event]
) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    await key.patch(f"/users/{membership['userId']}/status", {"status": 2})
    fired.clear()
    given = {name: sent[0].parameters[name] for name in ("userId", "secret")}
    path = f"/teams/{team_id}/memberships/{membership['$id']}/status"
    assert_refused(await world.guest.patch(path, given), 401, "user_blocked")
    assert fired == []
    assert await total(key, team_id) == 1
    assert (await members(key, team_id))[1]["confirm"] is False
    assert (await key.get(f"/users/{membership['userId']}/sessions"))["sum"] == 0


async def test_a_pending_invitation_gives_nothing(world: World, user: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    invitee = await world.sign_up("bea@example.com")
    membership = await invite(user, team_id, roles=["owner"])
    path = f"/teams/{team_id}"
    for method, below, body, kind in [
        ("GET", "", None, "team_not_found"),
        ("PUT", "", {"name": "Chelsea"}, "team_not_found"),
        ("DELETE", "", None, "team_not_found"),
        ("GET", "/memberships", None, "team_not_found"),
        ("POST", "/memberships", {**BEA, "email": "eve@example.com"}, "team_not_found"),
        ("PATCH", f"/memberships/{membership['$id']}", {"roles": []}, "team_not_found"),
        ("DELETE", f"/memberships/{membership['$id']}", None, "team_not_found"),
    ]:
        assert_refused(await invitee.call(method, path + below, body), 404, kind)
    await accept(world, sent[0])
    assert (await invitee.put(path, {"name": "Chelsea"})).status == 200


async def test_fifty_people_accept_at_once(world: World, user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    for number in range(50):
        await invite(user, team_id, email=f"friend{number}@example.com")
    invitees = await asyncio.gather(*(accept(world, invitation) for invitation in sent))
    assert await total(key, team_id) == 51
    teams = await asyncio.gather(*(invitee.get(f"/teams/{team_id}") for invitee in invitees))
    assert [answer.status for answer in teams] == [200] * 50
    assert {invitee.user["$id"] for invitee in invitees} == {mail.parameters["userId"] for mail in sent}


# Memberships


async def test_memberships_with_pages_and_search(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    other_id = await make_team(user, "Chelsea")
    await invite(key, other_id, email="elsewhere@example.com", roles=["editor"])
    first = await invite(key, team_id, email="friend@example.com", name="Bea Miller", roles=["chief-editor"])
    second = await invite(user, team_id, email="other@example.org", name="Carl", roles=["editor", "team_lead"])
    [own, *_] = await members(user, team_id)

    async def page(**params: Any) -> tuple[int, list[str]]:
        answer = await user.get(f"/teams/{team_id}/memberships", params=params)
        assert answer.status == 200, answer.body
        return answer["sum"], [item["$id"] for item in answer["memberships"]]

    every = [own["$id"], first["$id"], second["$id"]]
    assert await page() == (3, every)
    assert await page(limit=1) == (3, every[:1])
    assert await page(offset=1, limit=1) == (3, every[1:2])
    assert await page(limit=0) == (3, [])
    assert await page(orderType="DESC", limit=2) == (3, every[:0:-1])
    assert await page(search="owner") == (1, every[:1])
    assert await page(search="EDITOR") == (2, every[1:])
    assert await page(search='"chief editor"') == (1, every[1:2])
    assert await page(search="edit") == (0, [])
    assert await page(search="edit*") == (2, every[1:])
    assert await page(search="+editor -chief") == (1, every[2:])
    assert await page(search="team_lead") == (1, every[2:])
    assert await page(search="owner lead") == (1, every[:1])
    assert await page(search=second["$id"]) == (1, every[2:])
    assert await page(search=first["userId"]) == (1, every[1:2])
    assert await page(search="miller") == (1, every[1:2])
    assert await page(search="other.example") == (3, every)
    assert await page(search="friend.com") == (1, every[1:2])
    assert await page(search="friend owner") == (2, every[:2])
    assert await page(search="elsewhere") == (0, [])
    assert await page(search="of") == (0, [])
    assert await page(search="*") == (3, every)


async def test_names_are_those_of_today(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    await user.patch("/account/name", {"name": "Ada Lovelace"})
    assert (await members(user, team_id))[0]["name"] == "Ada Lovelace"

    def lose(tx: Transaction) -> None:
        tx.execute("DELETE FROM users WHERE id = ?", (user.user["$id"],))

    await world.backend.db.write(lose)
    [own] = await members(key, team_id)
    assert (own["name"], own["email"]) == ("", "")


async def test_the_path_of_one_membership_gives_the_list(user: Client) -> None:
    team_id = await make_team(user)
    listed = await user.get(f"/teams/{team_id}/memberships")
    for membership_id in (listed["memberships"][0]["$id"], MISSING, "anything"):
        answer = await user.get(f"/teams/{team_id}/memberships/{membership_id}")
        assert (answer.status, answer.body) == (200, listed.body)
    assert_refused(await user.get(f"/teams/{MISSING}/memberships/x"), 404, "team_not_found")


async def test_change_roles(world: World, user: Client, key: Client, fired: list[Event]) -> None:
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    membership = await invite(key, team_id, roles=["admin"])
    fired.clear()
    path = f"/teams/{team_id}/memberships/{membership['$id']}"
    changed = await user.patch(path, {"roles": ["developer", "owner", "trial"]})
    assert changed.status == 200
    assert changed.body == {**membership, "name": "Ada", "roles": ["developer", "owner", "trial"]}
    assert (await members(user, team_id))[1] == changed.body
    assert names_and_payloads(fired) == [("teams.memberships.update", changed.body)]
    assert rendered(fired)[0].channels == ("memberships", f"memberships.{membership['$id']}")
    entries = await audited(world, user.user["$id"], "teams.memberships.update")
    assert entries == [("teams.memberships.update", f"teams/{team_id}")]
    assert (await member.put(f"/teams/{team_id}", {"name": "Chelsea"})).status == 200
    assert (await member.patch(path, {"roles": []}))["roles"] == []
    assert_refused(await member.patch(path, {"roles": ["owner"]}), 401, "user_unauthorized")
    assert await total(key, team_id) == 2


async def test_change_roles_with_a_key(world: World, key: Client) -> None:
    team_id = await make_team(key)
    membership = await invite(key, team_id, roles=["admin", "editor"])
    path = f"/teams/{team_id}/memberships/{membership['$id']}"
    changed = await key.patch(path, {"roles": ["admin", "developer", "trial"]})
    assert (changed.status, changed["roles"]) == (200, ["admin", "developer", "trial"])
    reader = await world.key("teams.read")
    assert_refused(await reader.patch(path, {"roles": ["x"]}), 401, "general_unauthorized_scope")


@pytest.mark.parametrize("roles", ["owner", ["bad role"], [1], ["x" * 33], 1], ids=str)
async def test_change_roles_with_a_bad_value(user: Client, roles: Any) -> None:
    team_id = await make_team(user)
    [own] = await members(user, team_id)
    for path in (f"/teams/{team_id}/memberships/{own['$id']}", f"/teams/{MISSING}/memberships/{MISSING}"):
        assert_refused(await user.patch(path, {"roles": roles}), 400, "general_argument_invalid")
    assert (await members(user, team_id))[0]["roles"] == ["owner"]


async def test_roles_of_a_membership_elsewhere(world: World, user: Client, key: Client) -> None:
    team_id, other_id = await make_team(user), await make_team(await world.sign_up("eve@example.com"))
    [foreign] = await members(key, other_id)
    for client in (user, key):
        missing = await client.patch(f"/teams/{team_id}/memberships/{MISSING}", {"roles": []})
        assert_refused(missing, 404, "membership_not_found")
        mismatch = await client.patch(f"/teams/{team_id}/memberships/{foreign['$id']}", {"roles": ["x"]})
        assert_refused(mismatch, 404, "team_membership_mismatch")
    assert (await members(key, other_id))[0]["roles"] == ["owner"]


async def test_only_owners_change_roles(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    membership = await invite(key, team_id, roles=["editor"])
    answer = await member.patch(f"/teams/{team_id}/memberships/{membership['$id']}", {"roles": ["owner"]})
    assert_refused(answer, 401, "user_unauthorized")
    assert answer["message"] == "User is not allowed to modify roles"
    missing = await member.patch(f"/teams/{team_id}/memberships/{MISSING}", {"roles": ["owner"]})
    assert_refused(missing, 404, "membership_not_found")


# Leaving


async def test_put_out(world: World, user: Client, key: Client, fired: list[Event]) -> None:
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    membership = await invite(key, team_id)
    assert (await member.get(f"/teams/{team_id}"))["sum"] == 2
    fired.clear()
    answer = await user.delete(f"/teams/{team_id}/memberships/{membership['$id']}")
    assert (answer.status, answer.raw) == (204, b"")
    assert names_and_payloads(fired) == [("teams.memberships.delete", {**membership, "name": "", "email": ""})]
    assert rendered(fired)[0].roles == (f"team:{team_id}",)
    entries = await audited(world, member.user["$id"], "teams.memberships.delete")
    assert entries == [("teams.memberships.delete", f"teams/{team_id}")]
    assert await total(key, team_id) == 1
    assert_refused(await member.get(f"/teams/{team_id}"), 404, "team_not_found")
    again = await user.delete(f"/teams/{team_id}/memberships/{membership['$id']}")
    assert_refused(again, 404, "team_invite_not_found")
    left = await user.get(f"/teams/{team_id}/memberships/{membership['$id']}")
    assert (left.status, left["sum"], len(left["memberships"])) == (200, 1, 1)


async def test_withdrawing_an_invitation_leaves_the_number(user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    membership = await invite(user, team_id)
    assert (await user.delete(f"/teams/{team_id}/memberships/{membership['$id']}")).status == 204
    assert await total(key, team_id) == 1
    assert len(await members(user, team_id)) == 1
    assert (await invite(user, team_id))["$id"] != membership["$id"]


async def test_a_member_leaves(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    member = await world.sign_up("bea@example.com")
    membership = await invite(key, team_id, roles=["editor"])
    answer = await member.delete(f"/teams/{team_id}/memberships/{membership['$id']}")
    assert (answer.status, answer.raw) == (204, b"")
    assert await total(key, team_id) == 1
    assert (await member.get("/teams"))["sum"] == 0


async def test_the_last_owner_leaves(user: Client, key: Client) -> None:
    team_id = await make_team(user)
    [own] = await members(user, team_id)
    assert (await user.delete(f"/teams/{team_id}/memberships/{own['$id']}")).status == 204
    assert_refused(await user.get(f"/teams/{team_id}"), 404, "team_not_found")
    assert await total(key, team_id) == 0
    assert (await key.put(f"/teams/{team_id}", {"name": "Chelsea"})).status == 200


async def test_memberships_elsewhere_cannot_be_removed(world: World, user: Client, key: Client) -> None:
    eve = await world.sign_up("eve@example.com")
    team_id, other_id = await make_team(user), await make_team(eve)
    [own_of_eve] = await members(key, other_id)
    added = await invite(key, other_id)
    # An owner elsewhere, and over the own team: neither reaches it.
    foreign = await user.delete(f"/teams/{team_id}/memberships/{own_of_eve['$id']}")
    assert_refused(foreign, 404, "team_invite_not_found")
    foreign = await user.delete(f"/teams/{team_id}/memberships/{added['$id']}")
    assert_refused(foreign, 404, "team_membership_mismatch")
    assert_refused(await user.delete(f"/teams/{other_id}/memberships/{added['$id']}"), 404, "team_not_found")
    mismatch = await key.delete(f"/teams/{team_id}/memberships/{own_of_eve['$id']}")
    assert_refused(mismatch, 404, "team_membership_mismatch")
    assert await total(key, other_id) == 2


async def test_owners_leave_at_once(world: World, user: Client, key: Client) -> None:
    team_id = await make_team(user)
    owners = [user]
    for number in range(7):
        owners.append(await world.sign_up(f"owner{number}@example.com"))
        await invite(key, team_id, email=f"owner{number}@example.com", roles=["owner"])
    ids = {item["userId"]: item["$id"] for item in await members(user, team_id)}
    answers = await asyncio.gather(
        *(owner.delete(f"/teams/{team_id}/memberships/{ids[owner.user['$id']]}") for owner in owners for _ in range(2))
    )
    assert sorted(answer.status for answer in answers) == [204] * 8 + [404] * 8
    assert await total(key, team_id) == 0
    assert await members(key, team_id) == []


async def test_joining_and_leaving_at_once(world: World, user: Client, key: Client, sent: list[Invitation]) -> None:
    team_id = await make_team(user)
    leaving = [await invite(key, team_id, email=f"out{number}@example.com") for number in range(20)]
    for number in range(20):
        await invite(user, team_id, email=f"in{number}@example.com")
    await asyncio.gather(
        *(accept(world, invitation) for invitation in sent),
        *(user.delete(f"/teams/{team_id}/memberships/{membership['$id']}") for membership in leaving),
        *(key.delete(f"/users/{membership['userId']}") for membership in leaving),
    )
    assert await total(key, team_id) == 21
    assert sum(item["confirm"] for item in await members(key, team_id, limit=100)) == 21


async def test_deleting_a_user_lowers_the_numbers_of_its_teams(
    world: World, user: Client, key: Client, sent: list[Invitation]
) -> None:
    joined, pending, other = await make_team(user), await make_team(user), await make_team(user)
    membership = await invite(key, joined)
    await invite(user, pending)
    assert await total(key, joined) == 2
    assert (await key.delete(f"/users/{membership['userId']}")).status == 204
    assert [await total(key, team_id) for team_id in (joined, pending, other)] == [1, 1, 1]
    assert [len(await members(key, team_id)) for team_id in (joined, pending, other)] == [1, 1, 1]
    assert (await key.delete(f"/users/{user.user['$id']}")).status == 204
    assert [await total(key, team_id) for team_id in (joined, pending, other)] == [0, 0, 0]
    again = await invite(key, joined)
    assert again["userId"] != membership["userId"]


async def test_teams_of_the_administrators(world: World) -> None:
    """The project of the administrators has teams too, and nothing of it can be subscribed to."""
    await administrator(world)
    console = Client(world.http, world.endpoint, {"X-Appwrite-Project": "console"})
    login = await console.post("/account/sessions", {"email": "root@example.com", "password": "password"})
    root = console.with_headers(Cookie=login.headers.getall("Set-Cookie")[-1].split(";")[0])
    team_id = await make_team(root, "Operators")
    assert (await root.get(f"/teams/{team_id}"))["sum"] == 1
