"""Every endpoint that declares an event fires that one and no other, and webhooks and functions are told of it.

One story goes through all of them. What it fires is held against the declarations, what webhooks and functions get
against what it fires.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from litewrite import Config, Litewrite
from litewrite.api.v0_11 import endpoints
from litewrite.api.v0_11.events import SUBSCRIBABLE, Renderer
from litewrite.app import open_backend
from litewrite.data_folder import DataFolder
from litewrite.db import outbox
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind
from litewrite.services.project_access import OPERATOR
from tests.api.v0_11.test_functions import deploy, form, pack
from tests.catcher import catching, until
from tests.conftest import Answer, Client, World

DECLARED = {endpoint.name: endpoint.event for endpoint in endpoints() if endpoint.event}
ELSEWHERE = {name for name in DECLARED if "oauth2" in name.lower()}
"""Endpoints whose story needs a provider; the tests of logins through providers tell it."""
BACKGROUND = "functions.executions.update"
"""The one event that no request fires."""
UNNAMED = "users.update.verification"
"""The one event that nobody can subscribe to."""
ADA, MOVED, BOB, CLEO = "ada@example.com", "ada@example.org", "bob@example.com", "cleo@example.com"
PAGE = "http://localhost/page"
PASSWORD = {"password": "password"}


def test_every_name_is_fired_and_every_fired_name_is_known() -> None:
    assert set(DECLARED.values()) | {BACKGROUND} == {*SUBSCRIBABLE, UNNAMED}


@dataclass
class Story:
    """Calls endpoints by their names, and keeps what each of them fired."""

    world: World
    events: list[Event] = field(default_factory=list)
    fired: dict[str, list[str]] = field(default_factory=dict)
    told: list[tuple[str, Any, str]] = field(default_factory=list)
    """Name, payload and user of all that was fired, in order."""

    def listen(self) -> None:
        self.world.backend.bus.subscribe(self.events.append)

    async def tell(self, name: str, call: Awaitable[Answer]) -> Answer:
        self.take()
        answer = await call
        assert answer.status < 300, (name, answer.body)
        self.fired.setdefault(name, []).extend(self.take())
        return answer

    def take(self) -> list[str]:
        """Names of what was fired since; ends of runs, which come when they come, are left out."""
        taken, self.events[:] = list(self.events), []
        names = []
        for event in taken:
            told = Renderer().render(event)
            if told.name != BACKGROUND:
                names.append(told.name)
                self.told.append((told.name, json.loads(told.payload), told.user_id))
        return names

    async def link(self, to: str) -> dict[str, str]:
        """What the link of the newest mail to an address carries."""
        mails = self.world.backend.services.mails
        (stored, *_) = await mails.list(self.world.project, to=to)
        return dict(parse_qsl(urlsplit(mails.read(stored).link).query))


def client_of(world: World, answer: Answer) -> Client:
    return world.guest.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])


async def tell_accounts(story: Story) -> None:
    world, tell = story.world, story.tell
    guest = world.guest
    await tell("account.create", guest.post("/account", {"email": ADA, **PASSWORD, "name": "Ada"}))
    ada = client_of(
        world, await tell("account.createSession", guest.post("/account/sessions", {"email": ADA, **PASSWORD}))
    )
    await tell("account.createAnonymousSession", guest.post("/account/sessions/anonymous"))
    await tell("account.createJWT", ada.post("/account/jwt"))
    await tell("account.updateName", ada.patch("/account/name", {"name": "Ada L."}))
    await tell("account.updatePrefs", ada.patch("/account/prefs", {"prefs": {"a": 1}}))
    await tell(
        "account.updatePassword", ada.patch("/account/password", {"password": "password", "oldPassword": "password"})
    )
    await tell("account.updateEmail", ada.patch("/account/email", {"email": MOVED, **PASSWORD}))
    await tell("account.createVerification", ada.post("/account/verification", {"url": PAGE}))
    link = await story.link(MOVED)
    given = {"userId": link["userId"], "secret": link["secret"]}
    await tell("account.updateVerification", guest.put("/account/verification", given))
    await tell("account.createRecovery", guest.post("/account/recovery", {"email": MOVED, "url": PAGE}))
    given["secret"] = (await story.link(MOVED))["secret"]
    again = {**PASSWORD, "passwordAgain": "password"}
    await tell("account.updateRecovery", guest.put("/account/recovery", {**given, **again}))
    await tell("account.createMagicURLSession", guest.post("/account/sessions/magic-url", {"email": MOVED}))
    given["secret"] = (await story.link(MOVED))["secret"]
    other = client_of(
        world, await tell("account.updateMagicURLSession", guest.put("/account/sessions/magic-url", given))
    )
    await tell("account.deleteSession", other.delete("/account/sessions/current"))
    await tell("account.deleteSessions", ada.delete("/account/sessions"))
    last = await world.log_in(MOVED)
    await tell("account.delete", last.delete("/account"))


async def tell_teams(story: Story) -> None:
    world, tell = story.world, story.tell
    owner = await world.sign_up(BOB)
    team = (await tell("teams.create", owner.post("/teams", {"name": "Gardeners"})))["$id"]
    await tell("teams.update", owner.put(f"/teams/{team}", {"name": "Farmers"}))
    invitation = {"email": CLEO, "name": "Cleo", "roles": ["hand"], "url": PAGE}
    member = (await tell("teams.createMembership", owner.post(f"/teams/{team}/memberships", invitation)))["$id"]
    place = f"/teams/{team}/memberships/{member}"
    link = await story.link(CLEO)
    accepted = {"userId": link["userId"], "secret": link["secret"]}
    await tell("teams.updateMembershipStatus", world.guest.patch(f"{place}/status", accepted))
    await tell("teams.updateMembershipRoles", owner.patch(place, {"roles": ["head"]}))
    await tell("teams.deleteMembership", owner.delete(place))
    await tell("teams.delete", owner.delete(f"/teams/{team}"))


async def tell_users(story: Story, key: Client) -> None:
    world, tell = story.world, story.tell
    dan = {"email": "dan@example.com", **PASSWORD, "name": "Dan"}
    user = (await tell("users.create", key.post("/users", dan)))["$id"]
    place = f"/users/{user}"
    await tell("users.updateName", key.patch(f"{place}/name", {"name": "Daniel"}))
    await tell("users.updateEmail", key.patch(f"{place}/email", {"email": "daniel@example.com"}))
    await tell("users.updatePassword", key.patch(f"{place}/password", PASSWORD))
    await tell("users.updatePrefs", key.patch(f"{place}/prefs", {"prefs": {"b": 2}}))
    await tell("users.updateVerification", key.patch(f"{place}/verification", {"emailVerification": True}))
    await tell("users.updateStatus", key.patch(f"{place}/status", {"status": 1}))
    for _ in range(2):
        await world.log_in("daniel@example.com", user={"$id": user})
    (session, *_) = (await key.get(f"{place}/sessions"))["sessions"]
    await tell("users.deleteSession", key.delete(f"{place}/sessions/{session['$id']}"))
    await tell("users.deleteSessions", key.delete(f"{place}/sessions"))
    await tell("users.delete", key.delete(place))


async def tell_database(story: Story, key: Client) -> None:
    tell = story.tell
    rule = {"label": "Title", "key": "title", "type": "text", "default": "", "required": True, "array": False}
    made = {"name": "Books", "read": ["*"], "write": ["*"], "rules": [rule]}
    collection = (await tell("database.createCollection", key.post("/database/collections", made)))["$id"]
    place = f"/database/collections/{collection}"
    await tell("database.updateCollection", key.put(place, {**made, "name": "Novels"}))
    body = {"data": {"title": "Emma"}, "read": ["*"], "write": ["*"]}
    document = (await tell("database.createDocument", key.post(f"{place}/documents", body)))["$id"]
    await tell("database.updateDocument", key.patch(f"{place}/documents/{document}", body))
    await tell("database.deleteDocument", key.delete(f"{place}/documents/{document}"))
    await tell("database.deleteCollection", key.delete(place))


async def tell_files(story: Story, key: Client) -> None:
    tell = story.tell
    data = aiohttp.FormData({"read[]": "*", "write[]": "*"}, quote_fields=False)
    data.add_field("file", b"hello", filename="hello.txt", content_type="application/octet-stream")
    file = (await tell("storage.createFile", key.post("/storage/files", data=data)))["$id"]
    roles: dict[str, list[str]] = {"read": [], "write": []}
    await tell("storage.updateFile", key.put(f"/storage/files/{file}", roles))
    await tell("storage.deleteFile", key.delete(f"/storage/files/{file}"))


async def tell_functions(story: Story, key: Client) -> None:
    tell = story.tell
    made = {"name": "resize", "runtime": "python-3.9", "execute": [], "timeout": 20}
    function = (await tell("functions.create", key.post("/functions", made)))["$id"]
    place = f"/functions/{function}"
    await tell("functions.update", key.put(place, made))
    code = form(pack({"main.py": "print(1)"}))
    tag = (await tell("functions.createTag", key.post(f"{place}/tags", data=code)))["$id"]
    await tell("functions.updateTag", key.patch(f"{place}/tag", {"tag": tag}))
    run = (await tell("functions.createExecution", key.post(f"{place}/executions")))["$id"]

    async def has_ended() -> bool:
        return (await key.get(f"{place}/executions/{run}"))["status"] in ("completed", "failed")

    await until(has_ended, 30)
    await tell("functions.deleteTag", key.delete(f"{place}/tags/{tag}"))
    await tell("functions.delete", key.delete(place))


async def tell_everything(story: Story) -> None:
    key = await story.world.key()
    story.take()
    await tell_accounts(story)
    await tell_teams(story)
    await tell_users(story, key)
    await tell_database(story, key)
    await tell_files(story, key)
    await tell_functions(story, key)


PROGRAM = """
import os
names = "TRIGGER EVENT EVENT_DATA USER_ID JWT DATA".split()
print("\\n".join(os.environ["APPWRITE_FUNCTION_" + name] for name in names), end="")
"""


async def test_declared_events_are_fired_and_delivered(world: World) -> None:
    key = await world.key()
    function = await deploy(key, PROGRAM, name="listener", events=list(SUBSCRIBABLE))

    async def listens() -> bool:
        """It is told of its own activation first."""
        runs = (await key.get(f"/functions/{function}/executions"))["executions"]
        return [run["status"] for run in runs] == ["completed"]

    await until(listens, 30)
    story = Story(world)
    async with catching() as target:
        await world.backend.services.webhooks.create(
            OPERATOR, "default", name="all", url=target.url(), events=SUBSCRIBABLE, verify_tls=True
        )
        story.listen()
        await tell_everything(story)
        silent = {"account.createJWT": [], "account.createMagicURLSession": []}
        assert story.fired == {**{name: [event] for name, event in DECLARED.items() if name not in ELSEWHERE}, **silent}

        # Requests that only helped the story along fired something, too.
        subscribed = [each for each in story.told if each[0] in SUBSCRIBABLE]
        assert {name for name, _, _ in subscribed} == {*SUBSCRIBABLE} - {BACKGROUND}
        ends = len(subscribed) + len([name for name, _, _ in subscribed if name == "functions.executions.create"])
        caught = await target.wait_for(len(subscribed) + ends, 60)
        assert [
            (each.event, each.json, each.headers["X-Appwrite-Webhook-User-Id"])
            for each in caught
            if each.event != BACKGROUND
        ] == subscribed
        assert target.events.count(BACKGROUND) == ends
        assert len({each.delivery for each in caught}) == len(caught)

    page = await key.get(f"/functions/{function}/executions", params={"limit": "100"})
    activation, *runs = page["executions"]
    assert activation["stdout"].split("\n")[:2] == ["event", "functions.tags.update"]
    assert len(runs) == len(subscribed)
    for run, (name, payload, user_id) in zip(runs, subscribed, strict=True):
        assert (run["trigger"], run["status"], run["$permissions"]) == ("event", "completed", {"read": [], "write": []})
        trigger, event, data, user, token, given = run["stdout"].split("\n")
        assert (trigger, event, user, token, given) == ("event", name, user_id, "", "")
        if payload:
            assert json.loads(data) == payload
        else:
            assert data == ""


async def test_functions_start_in_the_order_of_their_names(config: Config) -> None:
    async with (
        Litewrite(replace(config, function_slots=1)) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        world = World(server, http)
        key = await world.key()
        names = ["zebra", "apple", "mango", "Pear"]
        functions = {await deploy(key, "print(1)", name=name, events=["account.create"]): name for name in names}
        started: list[str] = []

        def listen(event: Event) -> None:
            if (event.resource, event.action) == ("execution", "update"):
                started.append(functions[event.subject.function_id])

        server.backend.bus.subscribe(listen)
        await world.sign_up()
        await until(lambda: len(started) == 4, 30)
        assert started == sorted(names)


async def test_runs_that_nobody_asked_for_are_told_as_processing(config: Config) -> None:
    """From their creation on, though they wait for a slot like all others."""
    async with (
        Litewrite(replace(config, function_slots=1)) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        world = World(server, http)
        key = await world.key()
        busy = await deploy(key, "import time\ntime.sleep(1)", name="busy")
        await key.post(f"/functions/{busy}/executions")
        waiting = (await key.post(f"/functions/{busy}/executions")).body
        assert waiting["status"] == "waiting"
        function = await deploy(key, "print(1)", name="later", events=["account.create"])
        user = await world.sign_up()

        async def is_there() -> bool:
            return (await key.get(f"/functions/{function}/executions"))["sum"] == 1

        await until(is_there)
        (run,) = (await key.get(f"/functions/{function}/executions"))["executions"]
        assert (run["trigger"], run["status"]) == ("event", "processing")
        assert (await user.get(f"/functions/{function}/executions"))["sum"] == 0


async def test_a_function_without_code_is_skipped(world: World) -> None:
    key = await world.key()
    made = {"name": "idle", "runtime": "python-3.9", "execute": [], "events": ["account.create"]}
    function = (await key.post("/functions", made))["$id"]
    await world.sign_up()
    await asyncio.sleep(0.1)
    assert (await key.get(f"/functions/{function}/executions"))["sum"] == 0


async def test_two_functions_do_not_call_each_other_for_ever(world: World) -> None:
    key = await world.key()
    events = ["functions.executions.create", "functions.executions.update"]
    functions = [await deploy(key, "print(1)", name=name, events=events) for name in "ab"]
    answer = await key.post(f"/functions/{functions[0]}/executions")
    assert answer.status == 201

    async def runs() -> list[str]:
        pages = [await key.get(f"/functions/{function}/executions") for function in functions]
        return [run["status"] for page in pages for run in page["executions"]]

    async def have_ended() -> bool:
        return await runs() == ["completed"] * 3

    await until(have_ended, 30)
    await asyncio.sleep(0.3)
    assert len(await runs()) == 3


async def test_an_event_of_a_server_that_ended_starts_its_function(config: Config) -> None:
    """What lies between the commit and the start of a run is in the database."""
    async with (
        Litewrite(config) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        function = await deploy(await World(server, http).key(), PROGRAM, events=["users.create"])
    async with DataFolder(config) as folder, open_backend(config, folder.path, folder.secret, serving=False) as backend:
        actor = Actor(ActorKind.KEY, "default")
        user = await backend.services.users.create(actor, email=ADA, password="password")
        assert await backend.db.read(outbox.count_waiting(outbox.FUNCTION)) == 1
    async with (
        Litewrite(config) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        key = await World(server, http).key()

        async def runs() -> list[Any]:
            return [run["status"] for run in (await key.get(f"/functions/{function}/executions"))["executions"]]

        async def has_ended() -> bool:
            return await runs() == ["completed"]

        await until(has_ended, 30)
        (run,) = (await key.get(f"/functions/{function}/executions"))["executions"]
    _, event, data, *_ = run["stdout"].split("\n")
    assert (event, json.loads(data)["$id"]) == ("users.create", user.id)
