"""Webhooks against a real target: what is sent, when it is sent again, and who waits for whom."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from litewrite import __version__, webhooks
from litewrite.db import outbox
from litewrite.db import webhooks as webhook_rows
from litewrite.db.engine import Transaction
from litewrite.db.ids import first_id_of, pack
from litewrite.db.query import Query, scalar
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Delivery, Project, Webhook
from litewrite.errors import LitewriteError, StorageFull
from litewrite.outbound import Outbound
from litewrite.security import ServerSecret
from litewrite.services.project_access import OPERATOR
from litewrite.webhooks import Backoff, WebhookDelivery, sign
from tests.catcher import Catcher, catching, until
from tests.conftest import Client, World
from tests.mail_server import make_certificate

PROJECT = "shop"
SECRET = ServerSecret(b"a secret of enough length for all")
QUICK = Backoff(0.02, 0.05)
DOCUMENT = {"read": ["*"], "write": ["*"]}


@pytest.fixture
async def target() -> AsyncIterator[Catcher]:
    async with catching() as catcher:
        yield catcher


# A whole server


async def subscribe(world: World, url: str, *events: str, project: str = "default", **settings: Any) -> Webhook:
    made: Webhook = await world.backend.services.webhooks.create(
        OPERATOR, project, **{"name": "mine", "url": url, "events": events, "verify_tls": True, **settings}
    )
    return made


def queued(world: World) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        return int(await world.backend.db.read(outbox.count_waiting(outbox.WEBHOOK)))

    return count


def idle(world: World) -> Callable[[], Awaitable[bool]]:
    count = queued(world)

    async def is_idle() -> bool:
        return await count() == 0

    return is_idle


async def test_a_request_is_what_the_protocol_says(world: World, target: Catcher) -> None:
    webhook = await subscribe(world, target.url("/hook?a=1"), "account.create")
    before = time.time()
    ada = await world.guest.post("/account", {"email": "ada@example.com", "password": "password", "name": "Ada"})
    answered = time.time()
    (caught,) = await target.wait_for(1)
    assert time.time() - answered < 1.0
    assert (caught.method, caught.path) == ("POST", "/hook?a=1")
    assert caught.json == ada.body
    assert caught.body == ada.raw
    headers = {name: caught.headers[name] for name in caught.headers if name.startswith(("X-", "Content-", "User"))}
    signature = headers.pop("X-Litewrite-Signature")
    assert re.fullmatch(r"[0-9a-f]{13}", headers.pop("X-Litewrite-Delivery"))
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(caught.body)),
        "User-Agent": f"litewrite/{__version__}",
        "X-Appwrite-Webhook-Id": webhook.id,
        "X-Appwrite-Webhook-Event": "account.create",
        "X-Appwrite-Webhook-Name": "mine",
        "X-Appwrite-Webhook-User-Id": "",
        "X-Appwrite-Webhook-Project-Id": "default",
        "X-Appwrite-Webhook-Signature": "not-yet-implemented",
    }
    assert "Authorization" not in caught.headers
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", signature)
    assert match
    assert before - 1 <= int(match[1]) <= time.time()
    secret = world.backend.services.webhooks.signature_secret(webhook).encode()
    signed = f"{match[1]}.".encode() + caught.body
    assert hmac.compare_digest(match[2], hmac.new(secret, signed, hashlib.sha256).hexdigest())


def test_a_signature_is_reproducible() -> None:
    # As `openssl dgst -sha256 -hmac key` has it for 1600000000.{"a":1}
    digest = "31809093a123d444a3d7bb59940aa11befe074187e492b896741dd33282e2daa"
    assert sign("key", b'{"a":1}', 1_600_000_000) == f"t=1600000000,v1={digest}"


async def test_who_caused_it_is_named(world: World, target: Catcher) -> None:
    await subscribe(world, target.url(), "account.update.name", "users.create")
    ada = await world.sign_up()
    await ada.patch("/account/name", {"name": "Ada L."})
    await (await world.key()).post("/users", {"email": "bob@example.com", "password": "password"})
    caught = await target.wait_for(2)
    assert [(each.event, each.headers["X-Appwrite-Webhook-User-Id"]) for each in caught] == [
        ("account.update.name", ada.user["$id"]),
        ("users.create", ""),
    ]
    assert caught[0].json["name"] == "Ada L."


async def test_only_named_events_of_the_project_are_told(world: World, target: Catcher) -> None:
    await world.backend.services.projects.create("other")
    await subscribe(world, target.url(), "account.update.name")
    await subscribe(world, target.url("/other"), "account.create", project="other")
    ada = await world.sign_up()
    await ada.patch("/account/prefs", {"prefs": {"a": 1}})
    await ada.patch("/account/name", {"name": "Ada L."})
    await target.wait_for(1)
    await until(idle(world))
    assert target.events == ["account.update.name"]
    assert await world.backend.db.read(Query("SELECT count(*) FROM outbox", (), scalar)) == 1


async def test_tokens_come_with_their_secret(world: World, target: Catcher) -> None:
    await subscribe(world, target.url(), "account.recovery.create")
    await world.sign_up()
    answer = await world.guest.post("/account/recovery", {"email": "ada@example.com", "url": "http://localhost/reset"})
    (caught,) = await target.wait_for(1)
    assert answer["secret"] == ""
    assert re.fullmatch(r"[0-9a-f]{256}", caught.json["secret"])
    assert {**caught.json, "secret": ""} == answer.body


async def test_basic_authentication_needs_both(world: World, target: Catcher) -> None:
    await subscribe(world, target.url("/both"), "account.create", http_user="ada", http_password="geheim: ß")
    await subscribe(world, target.url("/user"), "account.create", http_user="ada")
    await subscribe(world, target.url("/password"), "account.create", http_password="geheim")
    await world.sign_up()
    sent = {each.path: each.headers.get("Authorization") for each in await target.wait_for(3)}
    expected = "Basic " + base64.b64encode("ada:geheim: ß".encode()).decode()
    assert sent == {"/both": expected, "/user": None, "/password": None}


async def test_a_name_cannot_break_the_headers(world: World, target: Catcher) -> None:
    await subscribe(world, target.url(), "account.create", name="a\r\nX-Evil: 1\x00 é")
    await world.sign_up()
    (caught,) = await target.wait_for(1)
    assert caught.headers["X-Appwrite-Webhook-Name"] == "a  X-Evil: 1  é"
    assert "X-Evil" not in caught.headers


async def test_nothing_is_told_of_what_failed(world: World, target: Catcher) -> None:
    await subscribe(world, target.url(), "account.create", "teams.create")
    await world.sign_up()
    again = await world.guest.post("/account", {"email": "ada@example.com", "password": "password", "name": "Ada"})
    assert again.status == 409
    await (await world.key()).post("/teams", {"name": "Gardeners"})
    await target.wait_for(2)
    await until(idle(world))
    assert target.events == ["account.create", "teams.create"]


async def test_the_console_tells_nothing(world: World, target: Catcher) -> None:
    events = world.backend.event_names
    await subscribe(world, target.url(), *events, project="console")
    await world.backend.services.admins.create(email="root@example.com", password="password")
    console = Client(world.http, world.endpoint, {"X-Appwrite-Project": "console"})
    answer = await console.post("/account/sessions", {"email": "root@example.com", "password": "password"})
    assert answer.status == 201
    assert await queued(world)() == 0
    assert await world.backend.db.read(Query("SELECT count(*) FROM outbox", (), scalar)) == 0


async def test_changes_of_a_webhook_count_from_the_next_event_on(world: World, target: Catcher) -> None:
    ada = await world.sign_up()
    services = world.backend.services
    webhook = await subscribe(world, target.url("/old"), "account.update.name")
    await ada.patch("/account/name", {"name": "one"})
    await target.wait_for(1)
    await services.webhooks.update(
        OPERATOR, "default", webhook.id, name="new", url=target.url("/new"), events=["account.update.prefs"],
        verify_tls=True,
    )  # fmt: skip
    await ada.patch("/account/name", {"name": "two"})
    await ada.patch("/account/prefs", {"prefs": {}})
    await target.wait_for(2)
    await services.webhooks.delete(OPERATOR, "default", webhook.id)
    await ada.patch("/account/prefs", {"prefs": {"a": 1}})
    count = Query("SELECT count(*) FROM outbox", (), scalar)

    async def is_empty() -> bool:
        return bool(await world.backend.db.read(count) == 0)

    await until(is_empty)
    assert [(each.path, each.event) for each in target.caught] == [
        ("/old", "account.update.name"),
        ("/new", "account.update.prefs"),
    ]


async def test_what_waits_for_a_deleted_webhook_goes(world: World, target: Catcher) -> None:
    target.answers = [503]
    webhook = await subscribe(world, target.url(), "account.create")
    key = await world.key()
    await world.sign_up()
    await target.wait_for(1)
    assert (await key.get("/health/queue/webhooks")).body == {"size": 1}
    await world.backend.services.webhooks.delete(OPERATOR, "default", webhook.id)
    await until(idle(world))
    assert (await key.get("/health/queue/webhooks")).body == {"size": 0}


async def test_a_dead_target_slows_no_request(world: World) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)  # takes connections and never answers
        port = listening.getsockname()[1]
        await subscribe(world, f"http://127.0.0.1:{port}/", "users.update.name")
        key = await world.key()
        user = (await key.post("/users", {"email": "bob@example.com", "password": "password"})).body["$id"]
        started = time.monotonic()
        for number in range(50):
            assert (await key.patch(f"/users/{user}/name", {"name": f"Bob {number}"})).status == 200
        assert time.monotonic() - started < 5
        assert await queued(world)() == 50


# The delivery alone


class Database(SqliteDatabase):
    """One that can be told to refuse the next writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durability="normal")
        self.refusals: list[LitewriteError] = []

    async def write(self, unit: Any, **settings: Any) -> Any:
        if self.refusals:
            raise self.refusals.pop()
        return await super().write(unit, **settings)


@dataclass
class Place:
    db: Database

    @asynccontextmanager
    async def delivering(self, **settings: Any) -> AsyncIterator[WebhookDelivery]:
        chosen = {"allow_loopback": True, "backoff": QUICK, **settings}
        secret = chosen.pop("secret", SECRET)
        async with Outbound("litewrite/test") as client, WebhookDelivery(self.db, secret, client, **chosen) as delivery:
            yield delivery

    async def webhook(self, url: str, **settings: Any) -> Webhook:
        def unit(tx: Transaction) -> Webhook:
            made = {"name": "mine", "events": ("account.create",), "verify_tls": True, **settings}
            webhook = Webhook(id=tx.new_id(), project_id=PROJECT, url=url, **made)
            tx.stores.webhooks.insert(tx, webhook)
            return webhook

        return await self.db.write(unit)  # type: ignore[no-any-return]

    async def send(self, webhook: Webhook, *bodies: Any, event: str = "account.create") -> None:
        def unit(tx: Transaction) -> None:
            for body in bodies:
                sealed = SECRET.encrypt(json.dumps(body))
                tx.stores.outbox.insert(tx, PROJECT, outbox.WEBHOOK, webhook.id, event, sealed, "")

        await self.db.write(unit)

    async def deliveries(self, webhook: Webhook) -> list[Delivery]:
        """Oldest first."""
        return list(reversed(await self.db.read(outbox.of_webhook(PROJECT, webhook.id, 100))))

    async def states(self, webhook: Webhook) -> list[tuple[str, int, int]]:
        return [(each.state.value, each.attempts, each.status) for each in await self.deliveries(webhook)]

    async def ended(self, webhook: Webhook, count: int) -> list[Delivery]:
        """All deliveries once so many have ended."""

        async def has_ended() -> bool:
            return len([each for each in await self.deliveries(webhook) if each.state != "waiting"]) >= count

        await until(has_ended)
        return await self.deliveries(webhook)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with Database(tmp_path / "data.db") as db:
        await db.write(lambda tx: tx.stores.projects.insert(tx, Project(id=PROJECT, name="Shop")))
        yield Place(db)


async def test_events_arrive_in_their_order(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    await place.send(webhook, *range(10))
    async with place.delivering():
        for number in range(10, 30):
            await place.send(webhook, number)
        caught = await target.wait_for(30)
        await place.ended(webhook, 30)
    assert [each.json for each in caught] == list(range(30))
    assert target.most_open == 1
    assert set(await place.states(webhook)) == {("delivered", 1, 200)}
    assert {each.payload for each in await place.deliveries(webhook)} == {b""}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_target_is_asked_again(place: Place, target: Catcher, status: int) -> None:
    webhook = await place.webhook(target.url())
    target.answers = [status, 200, status]
    async with place.delivering():
        await place.send(webhook, "a", "b")
        caught = await target.wait_for(4)
        await place.ended(webhook, 2)
    assert [each.json for each in caught] == ["a", "b", "a", "a"]
    assert caught[0].delivery == caught[2].delivery == caught[3].delivery != caught[1].delivery
    assert await place.states(webhook) == [("delivered", 3, 200), ("delivered", 1, 200)]


@pytest.mark.parametrize("status", [302, 400, 404, 410])
async def test_other_answers_are_final(
    place: Place, target: Catcher, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = await place.webhook(target.url())
    target.answers = [status]
    async with place.delivering():
        await place.send(webhook, "a", "b")
        deliveries = await place.ended(webhook, 2)
    assert target.caught[0].path == "/"
    assert [each.json for each in target.caught] == ["a", "b"]
    assert await place.states(webhook) == [("failed", 1, status), ("delivered", 1, 200)]
    assert (deliveries[0].error, deliveries[0].payload) == (f"the target answered with status {status}", b"")
    assert "is given up after 1 attempts" in caplog.text


async def test_a_target_may_come_later(place: Place) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    webhook = await place.webhook(f"http://127.0.0.1:{port}/?token=geheim")
    async with place.delivering():
        await place.send(webhook, "a")

        async def has_failed() -> bool:
            return (await place.deliveries(webhook))[0].attempts >= 2

        await until(has_failed)
        (waiting,) = await place.deliveries(webhook)
        assert (waiting.state, waiting.status) == ("waiting", 0)
        assert "cannot be fetched" in waiting.error
        assert "geheim" not in waiting.error
        async with catching(port=port) as target:
            (caught,) = await target.wait_for(1)
            await place.ended(webhook, 1)
    assert caught.delivery == waiting.id


async def test_it_is_given_up_after_a_day(place: Place, target: Catcher, caplog: pytest.LogCaptureFixture) -> None:
    webhook = await place.webhook(target.url())
    target.answers = [503, 503, 503]
    await place.send(webhook, "young", "old")
    _young, old = await place.deliveries(webhook)
    yesterday = first_id_of(datetime.now(UTC) - timedelta(days=1, seconds=1))
    await place.db.write(
        lambda tx: tx.execute("UPDATE outbox SET id = ?, attempts = 30 WHERE id = ?", (pack(yesterday), pack(old.id)))
    )
    async with place.delivering():
        await place.ended(webhook, 2)
    assert await place.states(webhook) == [("failed", 31, 503), ("delivered", 3, 200)]
    assert "is given up after 31 attempts" in caplog.text


async def test_pauses_grow_up_to_an_hour() -> None:
    backoff = webhooks.BACKOFF
    assert [backoff.after(failures) for failures in (1, 2, 3, 10, 11, 1_000)] == [5, 10, 20, 2_560, 3_600, 3_600]


async def test_a_slow_target_holds_up_no_other(place: Place, target: Catcher) -> None:
    async with catching() as slow:
        never = asyncio.Event()
        slow.answers = [never] * 100
        # More of them than a host gets slots.
        stuck = [await place.webhook(slow.url(f"/{number}")) for number in range(10)]
        quick = await place.webhook(target.url())
        async with place.delivering():
            for webhook in stuck:
                await place.send(webhook, 1, 2, 3)
            await until(lambda: slow.open == webhooks.SLOTS_OF_HOST)
            started = time.monotonic()
            await place.send(quick, *range(20))
            await target.wait_for(20)
            assert time.monotonic() - started < 5
            assert slow.most_open == webhooks.SLOTS_OF_HOST
            never.set()
            slow.answers.clear()
            await slow.wait_for(30)
    assert slow.most_open <= webhooks.SLOTS_OF_HOST


async def test_a_target_that_takes_too_long_is_asked_again(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    target.answers = [asyncio.Event()]
    async with place.delivering(seconds=0.2):
        await place.send(webhook, "a")
        await place.ended(webhook, 1)
    assert len(target.caught) == 2
    assert await place.states(webhook) == [("delivered", 2, 200)]


async def test_a_dead_target_is_left_alone_for_a_while(
    place: Place, target: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = await place.webhook(target.url())
    target.answers = [503] * 1_000
    monkeypatch.setattr(webhooks, "LONGEST_PAUSE", 60.0)
    async with place.delivering():
        await place.send(webhook, *range(100))
        await target.wait_for(webhooks.PATIENCE)
        await asyncio.sleep(0.3)
        assert len(target.caught) == webhooks.PATIENCE
        # A change may have mended it.
        target.answers.clear()
        await place.db.write(lambda tx: tx.stores.webhooks.update(tx, replace(webhook, name="mended")))
        await place.ended(webhook, 100)
    assert target.caught[-1].headers["X-Appwrite-Webhook-Name"] == "mended"


async def test_the_oldest_are_dropped_when_too_many_wait(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 20)
    webhook = await place.webhook("http://127.0.0.1:9/")
    other = await place.webhook("http://127.0.0.1:9/")
    await place.send(other, *range(5))
    for _ in range(3):
        await place.send(webhook, *range(70))
    kept = [json.loads(SECRET.decrypt(each.payload)) for each in await place.deliveries(webhook)]
    # It is looked at with every hundredth row, here last with the 201st of 210.
    assert kept == list(range(41, 70))
    assert len(await place.deliveries(other)) == 5
    assert f"wait for the webhook {webhook.id} of project {PROJECT}" in caplog.text


async def test_what_became_of_the_newest_is_kept(
    place: Place, target: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "CLOSED_KEPT", 3)
    webhook = await place.webhook(target.url())
    await place.send(webhook, *range(6))
    newest = [each.id for each in await place.deliveries(webhook)][3:]
    async with place.delivering():
        await target.wait_for(6)

        async def is_done() -> bool:
            return bool(await place.db.read(outbox.count_waiting(outbox.WEBHOOK)) == 0)

        await until(is_done)
    assert [each.id for each in await place.deliveries(webhook)] == newest


async def test_a_certificate_is_verified_unless_told_otherwise(place: Place, tmp_path: Path) -> None:
    tls, _ = make_certificate(tmp_path)
    async with catching(tls=tls) as target, place.delivering():
        strict = await place.webhook(target.url("/strict"))
        lax = await place.webhook(target.url("/lax"), verify_tls=False)
        for webhook in (strict, lax):
            await place.send(webhook, "a")
        await place.ended(lax, 1)

        async def has_failed() -> bool:
            return (await place.deliveries(strict))[0].attempts > 0

        await until(has_failed)
        (waiting,) = await place.deliveries(strict)
    assert "certificate" in waiting.error.lower()
    assert [each.path for each in target.caught] == ["/lax"]


async def test_this_machine_is_reached_only_from_itself(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    async with place.delivering(allow_loopback=False):
        await place.send(webhook, "a")
        (delivery,) = await place.ended(webhook, 1)
    assert (delivery.state, delivery.attempts) == ("failed", 1)
    assert "not a public address" in delivery.error
    assert target.caught == []


async def test_another_server_secret_ends_a_delivery(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    await place.send(webhook, "a")
    async with place.delivering(secret=ServerSecret(b"another secret of enough length for all")):
        (delivery,) = await place.ended(webhook, 1)
    assert (delivery.state, target.caught) == ("failed", [])
    assert "another server secret" in delivery.error


async def test_what_is_cut_off_is_sent_again_under_the_same_id(
    place: Place, target: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "STOP_SECONDS", 0.05)
    webhook = await place.webhook(target.url())
    target.answers = [asyncio.Event()]
    async with place.delivering():
        await place.send(webhook, "a", "b")
        await target.wait_for(1)
    assert [each.state for each in await place.deliveries(webhook)] == ["waiting", "waiting"]
    async with place.delivering():
        caught = await target.wait_for(3)
        await place.ended(webhook, 2)
    assert [each.json for each in caught] == ["a", "a", "b"]
    assert caught[0].delivery == caught[1].delivery


async def test_stopping_lets_an_attempt_end(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    answer = asyncio.Event()
    target.answers = [answer]
    async with place.delivering():
        await place.send(webhook, "a", "b")
        await target.wait_for(1)
        asyncio.get_running_loop().call_later(0.1, answer.set)
    assert [each.state for each in await place.deliveries(webhook)] == ["delivered", "waiting"]
    await place.send(webhook, "c")  # nobody is there to be woken
    assert len(target.caught) == 1


async def test_a_full_disk_delays_deliveries(
    place: Place, target: Catcher, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", 0.05)
    webhook = await place.webhook(target.url())
    await place.send(webhook, "a")
    place.db.refusals = [StorageFull()]
    async with place.delivering():
        await place.ended(webhook, 1)
    # That it was taken could not be noted.
    assert [each.json for each in target.caught] == ["a", "a"]
    assert f"deliveries to the webhook {webhook.id} pause" in caplog.text


async def test_an_error_of_ours_ends_no_lane(
    place: Place, target: Catcher, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", 0.05)
    post, failures = Outbound.post, [ZeroDivisionError("broken")]

    async def failing(self: Outbound, *arguments: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return await post(self, *arguments, **more)

    monkeypatch.setattr(Outbound, "post", failing)
    webhook = await place.webhook(target.url())
    await place.send(webhook, "a")
    with caplog.at_level(logging.ERROR):
        async with place.delivering():
            await place.ended(webhook, 1)
    assert "ZeroDivisionError" in caplog.text


async def test_rows_without_a_webhook_are_removed(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    await place.send(webhook, *range(300))
    await place.db.write(lambda tx: tx.execute("DELETE FROM webhooks WHERE id = ?", (webhook.id,)))
    async with place.delivering():

        async def is_empty() -> bool:
            return await place.deliveries(webhook) == []

        await until(is_empty)
    assert target.caught == []


async def test_a_webhook_is_found_among_those_of_its_project(place: Place, target: Catcher) -> None:
    webhook = await place.webhook(target.url())
    assert await place.db.read(webhook_rows.of_project(PROJECT)) == (webhook,)
    assert await place.db.read(outbox.of_webhook("other", webhook.id, 10)) == ()


@pytest.mark.parametrize(
    "query",
    [
        outbox.next_of("61d5c1a2b3c4d"),
        outbox.oldest(outbox.FUNCTION, 50),
        outbox.count_waiting(outbox.WEBHOOK),
        outbox.waiting_targets(outbox.WEBHOOK),
        outbox.of_webhook(PROJECT, "61d5c1a2b3c4d", 100),
    ],
)
async def test_no_query_looks_at_everything(place: Place, query: Query[Any]) -> None:
    plan = await place.db.read(
        Query(f"EXPLAIN QUERY PLAN {query.sql}", query.params, lambda rows: [str(row[3]) for row in rows])
    )
    assert any("outbox_" in step for step in plan)
    assert not [step for step in plan if step.startswith("SCAN outbox") and "INDEX" not in step], plan
