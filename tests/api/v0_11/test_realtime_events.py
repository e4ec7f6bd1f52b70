"""Who hears which event over the realtime socket, and what it looks like; over a real port."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from litewrite.api.v0_11.events import Renderer
from litewrite.api.v0_11.realtime import Realtime
from litewrite.db import users as user_rows
from litewrite.db.engine import Transaction
from litewrite.entities import CONSOLE
from litewrite.permissions import Actor, ActorKind
from litewrite.services.auth import Auth
from tests.api.v0_11.callers import with_jwt
from tests.api.v0_11.sockets import PATIENCE, Notes, Sockets, make_collection, opening, session_of
from tests.api.v0_11.test_functions import deploy
from tests.conftest import Client, World

URL = "http://localhost/page"


@pytest.fixture
async def sockets(world: World) -> AsyncIterator[Sockets]:
    async with opening(world) as made:
        yield made


@pytest.fixture
async def notes(key: Client) -> Notes:
    return Notes(key, (await make_collection(key, "title"))["$id"], itertools.count())


@pytest.fixture
async def bea(world: World) -> Client:
    return await world.sign_up("bea@example.com", name="Bea")


async def mailed(world: World) -> dict[str, str]:
    """What the link in the newest mail carries."""
    mails = world.backend.services.mails
    (stored, *_) = await mails.list(world.project)
    return dict(parse_qsl(urlsplit(mails.read(stored).link).query))


def check(event: Any, name: str, *channels: str) -> Any:
    """The payload of an event that is whole and the expected one."""
    assert set(event) == {"event", "channels", "timestamp", "payload"}
    assert (event["event"], event["channels"]) == (name, list(channels))
    assert abs(event["timestamp"] - time.time()) < 60
    assert isinstance(event["timestamp"], int)
    assert isinstance(event["payload"], dict)
    return event["payload"]


# The services, as their clients use them


async def test_account(world: World, sockets: Sockets, user: Client) -> None:
    user_id = user.user["$id"]
    socket = await sockets.listen("account", client=user)
    channels = ("account", f"account.{user_id}")

    async def heard(name: str) -> Any:
        return check(await socket.event(), name, *channels)

    await user.patch("/account/name", {"name": "Torsten"})
    assert (await heard("account.update.name"))["name"] == "Torsten"
    await user.patch("/account/password", {"password": "new-password", "oldPassword": "password"})
    assert (await heard("account.update.password"))["name"] == "Torsten"
    await user.patch("/account/email", {"email": "torsten@example.com", "password": "new-password"})
    assert (await heard("account.update.email"))["email"] == "torsten@example.com"

    await user.post("/account/verification", {"url": URL})
    payload = await heard("account.verification.create")
    assert (payload["userId"], payload["secret"]) == (user_id, "")
    link = await mailed(world)
    answer = await user.put("/account/verification", {"userId": user_id, "secret": link["secret"]})
    assert answer.status == 200, answer.body
    assert await heard("account.verification.update") == answer.body

    await user.patch("/account/prefs", {"prefs": {"theme": "dark"}})
    assert (await heard("account.update.prefs"))["prefs"] == {"theme": "dark"}

    login = {"email": "torsten@example.com", "password": "new-password"}
    session = await world.guest.post("/account/sessions", login)
    payload = await heard("account.sessions.create")
    assert (payload["$id"], payload["current"]) == (session["$id"], True)
    await user.delete(f"/account/sessions/{session['$id']}")
    payload = await heard("account.sessions.delete")
    assert (payload["$id"], payload["current"]) == (session["$id"], False)

    await world.guest.post("/account/recovery", {"email": "torsten@example.com", "url": URL})
    assert (await heard("account.recovery.create"))["secret"] == ""
    link = await mailed(world)
    new = {"password": "newest-password", "passwordAgain": "newest-password"}
    answer = await world.guest.put("/account/recovery", {"userId": user_id, "secret": link["secret"], **new})
    assert answer.status == 200, answer.body
    assert await heard("account.recovery.update") == answer.body

    # Nothing came twice, and nothing came of what is not announced.
    await user.post("/account/jwt")
    await user.get("/account/prefs")
    await user.patch("/account/name", {"name": "The end"})
    assert (await heard("account.update.name"))["name"] == "The end"


async def test_database(sockets: Sockets, key: Client, user: Client) -> None:
    socket = await sockets.listen("documents", "collections", client=user)
    collection = await make_collection(key, "name")
    payload = check(
        await socket.event(), "database.collections.create", "collections", f"collections.{collection['$id']}"
    )
    assert payload == collection

    path = f"/database/collections/{collection['$id']}/documents"
    body = {"data": {"name": "Chris Evans"}, "read": ["*"], "write": ["*"]}
    created = await user.post(path, body)
    channels = ("documents", f"documents.{created['$id']}", f"collections.{collection['$id']}.documents")
    assert check(await socket.event(), "database.documents.create", *channels) == created.body

    answer = await user.patch(f"{path}/{created['$id']}", {"data": {"name": "Chris Evans 2"}})
    payload = check(await socket.event(), "database.documents.update", *channels)
    assert (payload, payload["name"]) == (answer.body, "Chris Evans 2")

    await user.delete(f"{path}/{created['$id']}")
    assert check(await socket.event(), "database.documents.delete", *channels)["name"] == "Chris Evans 2"

    update = {"name": "Renamed", "read": ["*"], "write": ["*"], "rules": collection["rules"]}
    await key.put(f"/database/collections/{collection['$id']}", update)
    payload = check(
        await socket.event(), "database.collections.update", "collections", f"collections.{collection['$id']}"
    )
    assert payload["name"] == "Renamed"
    await key.delete(f"/database/collections/{collection['$id']}")
    check(await socket.event(), "database.collections.delete", "collections", f"collections.{collection['$id']}")


async def test_files(sockets: Sockets, user: Client) -> None:
    socket = await sockets.listen("files", client=user)
    created = await user.post("/storage/files", data={"file": io.BytesIO(b"hello")})
    assert created.status == 201, created.body
    channels = ("files", f"files.{created['$id']}")
    assert check(await socket.event(), "storage.files.create", *channels) == created.body
    await user.delete(f"/storage/files/{created['$id']}")
    check(await socket.event(), "storage.files.delete", *channels)


async def test_executions(sockets: Sockets, key: Client, user: Client) -> None:
    socket = await sockets.listen("executions", client=user)
    function_id = await deploy(key, "print('done')")
    execution = await user.post(f"/functions/{function_id}/executions", {})
    assert execution.status == 201, execution.body
    channels = ("executions", f"executions.{execution['$id']}", f"functions.{function_id}")
    assert check(await socket.event(), "functions.executions.create", *channels)["status"] == "waiting"
    payload = check(await socket.event(), "functions.executions.update", *channels)
    assert (payload["status"], payload["stdout"]) == ("completed", "done\n")


async def test_teams(sockets: Sockets, user: Client) -> None:
    socket = await sockets.listen("teams", client=user)
    team = await user.post("/teams", {"name": "Arsenal"})
    channels = ("teams", f"teams.{team['$id']}")
    assert check(await socket.event(), "teams.create", *channels) == team.body
    await user.put(f"/teams/{team['$id']}", {"name": "Manchester"})
    assert check(await socket.event(), "teams.update", *channels)["name"] == "Manchester"
    await user.delete(f"/teams/{team['$id']}")
    assert check(await socket.event(), "teams.delete", *channels)["name"] == "Manchester"


# Who hears what


async def test_each_listener_hears_what_it_may_read(
    world: World, sockets: Sockets, notes: Notes, user: Client, bea: Client
) -> None:
    guest = await sockets.listen("documents")
    ada, other = await sockets.listen("documents", client=user), await sockets.listen("documents", client=bea)
    for read in ("*", "role:guest", "role:member", f"user:{user.user['$id']}", "team:none", "role:app"):
        await notes.create(read, read)
    await notes.create("nobody")
    await notes.create("both", f"user:{user.user['$id']}", f"user:{bea.user['$id']}", "role:member")
    own = f"user:{user.user['$id']}"
    assert await notes.heard(guest) == ["*", "role:guest"]
    assert await notes.heard(ada) == ["*", "role:member", own, "both"]
    assert await notes.heard(other) == ["*", "role:member", "both"]


async def test_only_channels_that_were_asked_for(sockets: Sockets, key: Client, notes: Notes) -> None:
    kept = await notes.create("kept", "*")
    one = await sockets.listen(f"documents.{kept}")
    other = Notes(key, (await make_collection(key, "title"))["$id"], itertools.count())
    of_other = await sockets.listen(f"collections.{other.id}.documents", "files", "anything")
    await notes.create("new", "*")
    await notes.key.patch(f"{notes.path}/{kept}", {"data": {"title": "changed"}})
    await other.create("elsewhere", "*")
    assert (await one.event())["payload"]["title"] == "changed"
    assert (await of_other.event())["payload"]["title"] == "elsewhere"


async def test_an_event_comes_once_however_many_channels_fit(sockets: Sockets, notes: Notes, user: Client) -> None:
    socket = await sockets.listen("documents", f"collections.{notes.id}.documents", "documents", client=user)
    await notes.create("once", "*", "role:member", f"user:{user.user['$id']}")
    assert await notes.heard(socket) == ["once"]


async def test_events_come_in_the_order_of_their_commits(sockets: Sockets, notes: Notes, user: Client) -> None:
    first, second = await sockets.listen("documents"), await sockets.listen("documents", client=user)
    ids = await asyncio.gather(*(notes.create(f"{index}", "*", "role:member") for index in range(60)))
    heard = [(await first.event())["payload"]["$id"] for _ in ids]
    assert heard == sorted(ids)
    assert [(await second.event())["payload"]["$id"] for _ in ids] == heard


async def test_another_project_hears_nothing(world: World, sockets: Sockets, notes: Notes) -> None:
    await world.backend.services.projects.create("other")
    away, _ = await sockets.connect("documents", "collections", project="other")
    await notes.create("here", "*")
    _, secret = await world.backend.services.keys.create("other", "test", ("collections.write",))
    stranger = Client(world.http, world.endpoint, {"X-Appwrite-Project": "other", "X-Appwrite-Key": secret})
    collection = await make_collection(stranger)
    assert (await away.event())["payload"]["$id"] == collection["$id"]


async def test_nothing_is_told_of_the_console(world: World, sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    services = world.backend.services
    root = await services.users.create(Actor(ActorKind.KEY, CONSOLE), email="root@example.com", password="password")
    console = Client(world.http, world.endpoint, {"X-Appwrite-Project": CONSOLE})
    answer = await console.post("/account/sessions", {"email": "root@example.com", "password": "password"})
    client = console.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])
    socket, data = await sockets.connect("account", client=client, project=CONSOLE)
    assert data["user"]["$id"] == root.id
    asked: list[Any] = []
    monkeypatch.setattr(Renderer, "audience", lambda self, event: asked.append(event))
    assert (await client.patch("/account/name", {"name": "Root"})).status == 200
    assert (await socket.ask({"type": "ping"}))["type"] == "error"
    assert asked == []


async def test_with_nobody_connected_nothing_is_even_described(
    sockets: Sockets, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[str] = []
    audience, render = Renderer.audience, Renderer.render

    def look(self: Renderer, event: Any) -> Any:
        described.append("audience")
        return audience(self, event)

    def make(self: Renderer, event: Any) -> Any:
        described.append("render")
        return render(self, event)

    monkeypatch.setattr(Renderer, "audience", look)
    monkeypatch.setattr(Renderer, "render", make)
    await notes.create("alone", "*")
    assert described == []
    elsewhere = await sockets.listen("files")
    await notes.create("for nobody", "*")
    assert (await elsewhere.ask({"type": "ping"}))["type"] == "error"
    assert described == ["audience"]
    listening = [await sockets.listen("documents") for _ in range(5)]
    await notes.create("for five", "*")
    for socket in listening:
        assert (await socket.event())["payload"]["title"] == "for five"
    assert described == ["audience", "audience", "render"]


async def test_an_event_that_cannot_be_told_hinders_no_other(
    sockets: Sockets, notes: Notes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    socket = await sockets.listen("documents")
    with monkeypatch.context() as broken:
        broken.setattr(Realtime, "_event_frame", lambda *_: 1 / 0)
        await notes.create("broken", "*")
        assert (await socket.ask({"type": "ping"}))["type"] == "error"
    assert await notes.heard(socket) == []
    assert "cannot be told" in caplog.text


# Roles that come and go while a connection lasts


async def add_member(key: Client, team_id: str, client: Client, *roles: str) -> str:
    """Put a user into a team, with the API key; gives the id of the membership."""
    body = {"email": client.user["email"], "roles": list(roles), "url": URL}
    answer = await key.post(f"/teams/{team_id}/memberships", body)
    assert answer.status == 201, answer.body
    return str(answer["$id"])


async def make_team(caller: Client) -> str:
    answer = await caller.post("/teams", {"name": "Arsenal"})
    assert answer.status == 201, answer.body
    return str(answer["$id"])


async def test_members_hear_from_joining_to_leaving(sockets: Sockets, notes: Notes, key: Client, bea: Client) -> None:
    team_id = await make_team(key)
    notes_of_bea = await sockets.listen("documents", client=bea)
    memberships = await sockets.listen("memberships", client=bea)
    for_players, for_coaches = f"team:{team_id}", f"team:{team_id}/coach"

    await notes.create("before", for_players)
    membership_id = await add_member(key, team_id, bea, "player")
    channels = ("memberships", f"memberships.{membership_id}")
    assert check(await memberships.event(), "teams.memberships.create", *channels)["roles"] == ["player"]
    await notes.create("joined", for_players)
    await notes.create("no coach", for_coaches)
    await key.patch(f"/teams/{team_id}/memberships/{membership_id}", {"roles": ["coach"]})
    assert check(await memberships.event(), "teams.memberships.update", *channels)["roles"] == ["coach"]
    await notes.create("coach", for_coaches)
    await key.delete(f"/teams/{team_id}/memberships/{membership_id}")
    check(await memberships.event(), "teams.memberships.delete", *channels)
    await notes.create("left", for_players, for_coaches)
    assert await notes.heard(notes_of_bea) == ["joined", "coach"]

    await add_member(key, team_id, bea, "player")
    await memberships.event()
    assert (await memberships.ask({"type": "ping"}))["type"] == "error"


async def test_an_invitation_gives_its_roles_when_it_is_accepted(
    world: World, sockets: Sockets, notes: Notes, user: Client, bea: Client
) -> None:
    team_id = await make_team(user)
    owner = await sockets.listen("memberships", client=user)
    invitee = await sockets.listen("memberships", client=bea)
    invited = await user.post(
        f"/teams/{team_id}/memberships", {"email": "bea@example.com", "roles": ["player"], "url": URL}
    )
    assert invited.status == 201, invited.body
    channels = ("memberships", f"memberships.{invited['$id']}")
    check(await owner.event(), "teams.memberships.create", *channels)
    link = await mailed(world)
    path = f"/teams/{team_id}/memberships/{invited['$id']}/status"
    answer = await world.guest.patch(path, {"userId": link["userId"], "secret": link["secret"]})
    assert answer.status == 200, answer.body
    for socket in (owner, invitee):
        payload = check(await socket.event(), "teams.memberships.update.status", *channels)
        assert payload["confirm"] is True


async def test_members_hear_that_their_team_is_gone_and_nothing_more(
    sockets: Sockets, notes: Notes, key: Client, user: Client, bea: Client
) -> None:
    team_id = await make_team(user)
    await add_member(key, team_id, bea, "player")
    stranger = await sockets.listen("teams")
    members = [await sockets.listen("teams", client=client) for client in (user, bea, user)]
    documents = await sockets.listen("documents", client=bea)
    await asyncio.gather(
        key.delete(f"/teams/{team_id}"), *(notes.create(f"{index}", f"team:{team_id}") for index in range(5))
    )
    for socket in members:
        check(await socket.event(), "teams.delete", "teams", f"teams.{team_id}")
    await notes.create("too late", f"team:{team_id}")
    assert "too late" not in await notes.heard(documents)
    assert (await stranger.ask({"type": "ping"}))["type"] == "error"


async def test_a_creator_hears_of_a_team_that_is_gone_at_once(sockets: Sockets, key: Client, user: Client) -> None:
    socket = await sockets.listen("teams", client=user)
    for _ in range(10):
        team_id = await make_team(user)
        await key.delete(f"/teams/{team_id}")
    events = [await socket.event() for _ in range(20)]
    assert [event["event"] for event in events] == ["teams.create", "teams.delete"] * 10


async def test_the_end_of_a_session_ends_its_roles(world: World, sockets: Sockets, notes: Notes, user: Client) -> None:
    other = await world.log_in("ada@example.com")
    token = await with_jwt(world, other)
    kept = await sockets.listen("account", "documents", client=user)
    ended = [await sockets.listen("account", "documents", client=client) for client in (other, token)]
    answer = await other.delete("/account/sessions/current")
    assert answer.status == 204, answer.body
    for socket in (kept, *ended):
        assert (await socket.event())["event"] == "account.sessions.delete"
    await user.patch("/account/name", {"name": "Ada L."})
    assert (await kept.event())["event"] == "account.update.name"
    await notes.create("members", "role:member")
    await notes.create("guests", "role:guest")
    assert await notes.heard(kept) == ["members"]
    for socket in ended:
        assert await notes.heard(socket) == ["guests"]


async def test_the_end_of_all_sessions(world: World, sockets: Sockets, notes: Notes, user: Client) -> None:
    clients = [user, await world.log_in("ada@example.com")]
    listening = [await sockets.listen("account", "documents", client=client) for client in clients]
    assert (await user.delete("/account/sessions")).status == 204
    for socket in listening:
        event = await socket.event()
        assert (event["event"], event["payload"]["sum"]) == ("account.sessions.delete", 2)
    await notes.create("members", "role:member")
    for socket in listening:
        assert await notes.heard(socket) == []
        assert (await socket.log_in(session_of(user)))["data"]["message"] == "Session is not valid."


async def test_a_deleted_account(sockets: Sockets, notes: Notes, user: Client) -> None:
    socket = await sockets.listen("account", "documents", client=user)
    assert (await user.delete("/account")).status == 204
    assert check(await socket.event(), "account.delete", "account", f"account.{user.user['$id']}")["status"] == 2
    await notes.create("members", "role:member", f"user:{user.user['$id']}")
    assert await notes.heard(socket) == []


@pytest.mark.parametrize("way", ["status", "delete", "session", "sessions"])
async def test_what_the_server_side_takes_counts_at_once(
    sockets: Sockets, notes: Notes, key: Client, user: Client, way: str
) -> None:
    user_id = user.user["$id"]
    socket = await sockets.listen("account", "documents", client=user)
    session_id = (await user.get("/account/sessions/current"))["$id"]
    answer = await {
        "status": lambda: key.patch(f"/users/{user_id}/status", {"status": 2}),
        "delete": lambda: key.delete(f"/users/{user_id}"),
        "session": lambda: key.delete(f"/users/{user_id}/sessions/{session_id}"),
        "sessions": lambda: key.delete(f"/users/{user_id}/sessions"),
    }[way]()
    assert answer.status in (200, 204), answer.body
    await notes.create("members", "role:member", f"user:{user_id}")
    await notes.create("guests", "role:guest")
    assert await notes.heard(socket) == ["guests"]


async def test_who_is_unblocked_hears_again(sockets: Sockets, notes: Notes, key: Client, user: Client) -> None:
    socket = await sockets.listen("documents", client=user)
    for status, title in ((2, "blocked"), (1, "unblocked")):
        await key.patch(f"/users/{user.user['$id']}/status", {"status": status})
        await notes.create(title, "role:member")
    assert await notes.heard(socket) == ["unblocked"]


async def test_a_session_that_expires_on_a_connection(
    world: World, sockets: Sockets, notes: Notes, user: Client
) -> None:
    moment = time.time() + 0.5

    def shorten(tx: Transaction) -> None:
        tx.execute("UPDATE sessions SET expires_at = ?", (int(moment * 1e6),))
        tx.invalidate("user", user.user["$id"])

    await world.backend.db.write(shorten)
    socket = await sockets.listen("documents", client=user)
    await notes.create("in time", "role:member")
    await asyncio.sleep(max(0, moment - time.time()) + 0.05)
    await notes.create("late", "role:member")
    await notes.create("guests", "role:guest")
    assert await notes.heard(socket) == ["in time", "guests"]


async def test_a_change_during_the_handshake_is_not_missed(
    world: World, sockets: Sockets, notes: Notes, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_session = Auth.known_session
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(self: Auth, *args: str) -> Any:
        known = await known_session(self, *args)
        held.set()
        await go_on.wait()
        return known

    monkeypatch.setattr(Auth, "known_session", hold)
    connecting = asyncio.create_task(sockets.listen("documents", client=user))
    await asyncio.wait_for(held.wait(), PATIENCE)

    def delete(tx: Transaction) -> None:
        assert tx.run(user_rows.get("default", user.user["$id"])) is not None
        tx.stores.users.delete(tx, "default", user.user["$id"])

    await world.backend.db.write(delete)
    monkeypatch.setattr(Auth, "known_session", known_session)
    go_on.set()
    socket = await connecting
    await notes.create("members", "role:member")
    assert await notes.heard(socket) == []


async def test_rights_that_cannot_be_read_end_the_connection(
    sockets: Sockets, notes: Notes, key: Client, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket, guest = await sockets.listen("documents", client=user), await sockets.listen("documents")

    async def fail(*_: str) -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Auth, "known_session", fail)
    await key.patch(f"/users/{user.user['$id']}/status", {"status": 1})
    assert await socket.closed() == 1013
    assert await notes.heard(guest) == []


async def test_a_deleted_project_ends_its_connections(world: World, sockets: Sockets, notes: Notes) -> None:
    await world.backend.services.projects.create("other")
    away, _ = await sockets.connect("documents", project="other")
    here = await sockets.listen("documents")
    await world.backend.services.projects.delete("other")
    assert await away.closed() == 1008
    assert await notes.heard(here) == []


async def test_many_changes_of_roles_at_once_keep_the_order(
    sockets: Sockets, notes: Notes, key: Client, bea: Client
) -> None:
    """Joining, a document for the team, leaving, another one: over and over, and nothing too much or too little."""
    socket = await sockets.listen("documents", client=bea)
    expected = []
    for turn in range(15):
        team_id = await make_team(key)
        membership_id = await add_member(key, team_id, bea, "player")
        await notes.create(f"in {turn}", f"team:{team_id}/player")
        expected.append(f"in {turn}")
        await key.delete(f"/teams/{team_id}/memberships/{membership_id}")
        await notes.create(f"out {turn}", f"team:{team_id}/player", f"team:{team_id}")
    assert await notes.heard(socket) == expected
