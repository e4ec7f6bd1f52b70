"""The realtime socket over a real port: who may connect and how others are told, and what clients may say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import WSMsgType
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from litewrite import Config, Litewrite
from litewrite.api.v0_11.realtime import (
    MESSAGES_PER_MINUTE,
    MessageLimit,
    Refused,
    effective_channels,
    event_frame,
    read_authentication,
    read_channels,
)
from litewrite.db import users as user_rows
from litewrite.db.engine import Transaction
from litewrite.entities import CONSOLE, UserStatus
from litewrite.errors import Overloaded
from litewrite.server import STOP_SECONDS
from litewrite.services.projects import Projects
from tests.api.conftest import Configure
from tests.api.v0_11.callers import with_jwt
from tests.api.v0_11.sockets import Sockets, opening, query_of, session_of
from tests.conftest import FAST, Client, World


@pytest.fixture
async def sockets(world: World) -> AsyncIterator[Sockets]:
    async with opening(world) as made:
        yield made


async def block(world: World, client: Client, *, status: UserStatus = UserStatus.BLOCKED) -> None:
    def unit(tx: Transaction) -> None:
        user = tx.run(user_rows.get(world.project, client.user["$id"]))
        assert user is not None
        tx.stores.users.update(tx, replace(user, status=status))

    await world.backend.db.write(unit)


def error(code: int, message: str) -> dict[str, Any]:
    return {"type": "error", "data": {"code": code, "message": message}}


# Connecting


async def test_a_guest_with_a_bare_word_as_origin_connects(sockets: Sockets) -> None:
    socket = await sockets.open(query_of("documents"), {"Origin": "appwrite.test"})
    assert await socket.next() == {"type": "connected", "data": {"channels": ["documents"], "user": None}}


INVALID_ORIGIN = (
    "Invalid Origin. Register your new client (appwrite.unknown) as a new Web platform "
    "on your project console dashboard"
)
UNKNOWN_PROJECT = "Missing or unknown project ID"
MISSING_CHANNELS = "Missing channels"


@pytest.mark.parametrize(
    ("query", "origin", "message"),
    [
        (query_of("documents"), "http://appwrite.unknown", INVALID_ORIGIN),
        (query_of("documents"), "https://appwrite.unknown:8443", INVALID_ORIGIN),
        (
            query_of("documents"),
            "appwrite-android://com.unknown",
            INVALID_ORIGIN.replace("appwrite.unknown", "com.unknown").replace("Web", "Android"),
        ),
        (query_of(), "", MISSING_CHANNELS),
        (query_of(""), "", MISSING_CHANNELS),
        (query_of("account.61d2f0a1b3c4e"), "", MISSING_CHANNELS),
        ("?channels[]=documents", "", UNKNOWN_PROJECT),
        ("?project=&channels[]=documents", "", UNKNOWN_PROJECT),
        ("?project[]=default&channels[]=documents", "", UNKNOWN_PROJECT),
        (query_of("documents", project="nobody"), "", UNKNOWN_PROJECT),
        ("", "", UNKNOWN_PROJECT),
        # In the order of the checks: the project comes first, then the origin, then the channels.
        ("?project=nobody", "http://appwrite.unknown", UNKNOWN_PROJECT),
        (query_of(), "http://appwrite.unknown", INVALID_ORIGIN),
    ],
)
async def test_what_is_refused_is_told_and_then_closed(sockets: Sockets, query: str, origin: str, message: str) -> None:
    socket = await sockets.open(query, {"Origin": origin} if origin else None)
    assert await socket.next() == error(1008, message)
    assert await socket.closed() == 1008


async def test_a_query_that_cannot_be_read_is_refused(sockets: Sockets) -> None:
    port = int(sockets.world.server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /v1/realtime?project=default&channels[]=%zz HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, frames = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nServer: litewrite\r\n" in head
    assert b"Sec-WebSocket-Extensions" not in head
    text = orjson.loads(frames[2 : 2 + frames[1]])
    assert text["data"]["code"] == 1008
    assert "percent" in text["data"]["message"].lower()
    assert frames[2 + frames[1] :] == b"\x88\x02" + (1008).to_bytes(2, "big")


async def test_of_a_repeated_origin_the_last_one_counts(sockets: Sockets) -> None:
    headers = CIMultiDict([("Origin", "http://localhost"), ("origin", "http://appwrite.unknown")])
    socket = await sockets.open(query_of("documents"), headers)
    assert await socket.next() == error(1008, INVALID_ORIGIN)
    headers = CIMultiDict([("Origin", "http://appwrite.unknown"), ("origin", "http://localhost")])
    socket = await sockets.open(query_of("documents"), headers)
    assert (await socket.next())["type"] == "connected"


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000",
        "https://localhost",
        "http://127.0.0.1:1234",
        "https://app.example.com",
        "appwrite-ios://com.example.app",
        "null",
        "",
    ],
)
async def test_clients_of_the_project_connect(
    sockets: Sockets, configure: Configure, user: Client, origin: str
) -> None:
    platforms = [("web", "app.example.com"), ("flutter-ios", "com.example.app"), ("web", "null")]
    await configure(platforms=platforms)
    headers = {"Cookie": user.headers["Cookie"], **({"Origin": origin} if origin else {})}
    socket = await sockets.open(query_of("documents"), headers)
    assert (await socket.next())["data"]["user"]["$id"] == user.user["$id"]


async def test_a_page_without_a_host_is_refused_with_a_cookie_alone(sockets: Sockets, user: Client) -> None:
    for origin in ("null", "file://"):
        socket = await sockets.open(query_of("documents"), {"Cookie": user.headers["Cookie"], "Origin": origin})
        assert (await socket.next())["data"]["code"] == 1008
        socket = await sockets.open(query_of("documents"), {"Origin": origin})
        assert (await socket.next())["type"] == "connected"


async def test_the_referer_does_not_count(sockets: Sockets) -> None:
    socket = await sockets.open(query_of("documents"), {"Referer": "http://appwrite.unknown/page"})
    assert (await socket.next())["type"] == "connected"


async def test_the_console_is_for_its_own_pages_alone(sockets: Sockets, configure: Configure) -> None:
    await configure(platforms=[("web", "app.example.com")])
    query = query_of("documents", project=CONSOLE)
    for origin in ("https://app.example.com", "http://other.localhost"):
        socket = await sockets.open(query, {"Origin": origin})
        assert "Invalid Origin" in (await socket.next())["data"]["message"]
    socket = await sockets.open(query, {"Origin": "http://127.0.0.1:8080"})
    assert (await socket.next())["type"] == "connected"


async def test_the_project_may_come_as_a_header(sockets: Sockets) -> None:
    socket = await sockets.open("?channels[0]=files&channels[1]=documents", {"X-Appwrite-Project": "default"})
    assert (await socket.next())["data"]["channels"] == ["files", "documents"]


async def test_what_is_no_handshake_is_an_error_of_http(world: World) -> None:
    answer = await world.guest.get("/realtime", params={"project": "default", "channels[]": "documents"})
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")
    assert "WebSocket" in answer["message"]
    for method in ("POST", "HEAD", "DELETE"):
        assert (await world.guest.call(method, "/realtime")).status == 404
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    for key in ("", "short", "not base64 at all!"):
        answer = await world.guest.get("/realtime", headers={**upgrade, "Sec-WebSocket-Key": key})
        assert answer.status == 400


async def test_a_foreign_host_gets_no_socket(world: World) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.http.ws_connect(
            f"{world.server.url}/v1/realtime{query_of('documents')}", headers={"Host": "evil.test"}
        )
    assert caught.value.status == 400


async def test_one_trailing_slash_is_accepted(world: World) -> None:
    async with world.http.ws_connect(f"{world.server.url}/v1/realtime/{query_of('documents')}") as ws:
        assert (await ws.receive_json())["type"] == "connected"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.http.ws_connect(f"{world.server.url}/v1/realtime//{query_of('documents')}")
    assert caught.value.status == 404


async def test_compression_is_never_agreed_on(sockets: Sockets) -> None:
    socket = await sockets.open(query_of("documents"), compress=15)
    assert (await socket.next())["type"] == "connected"
    assert not socket.ws.compress


async def test_the_server_works_under_a_prefix(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data", **FAST)
    async with Litewrite(config, listen=False, prefix="/backend") as server:
        outer = aiohttp.web.Application()
        outer.add_subapp("/backend", server.application)
        runner = aiohttp.web.AppRunner(outer, handle_signals=False)
        await runner.setup()
        try:
            site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/backend/v1/realtime{query_of('documents')}"
            async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws:
                assert (await ws.receive_json())["type"] == "connected"
                stopping = asyncio.create_task(runner.cleanup())
                assert (await ws.receive(timeout=5)).type is WSMsgType.CLOSE
                assert ws.close_code == 1001
                await stopping
        finally:
            await runner.cleanup()


async def test_a_server_that_cannot_now_says_so(sockets: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> Any:
        raise Overloaded

    monkeypatch.setattr(Projects, "view", refuse)
    socket = await sockets.open(query_of("documents"))
    assert await socket.next() == error(1013, Overloaded.message)
    assert await socket.closed() == 1013


async def test_an_error_of_its_own_ends_the_connection(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Projects, "view", fail)
    socket = await sockets.open(query_of("documents"))
    assert await socket.closed() == 1011
    assert "ZeroDivisionError" in caplog.text


# Who is connected


@pytest.mark.parametrize("way", ["main", "legacy", "raw", "fallback", "jwt"])
async def test_a_user_is_known_by_what_http_knows_it_by(world: World, sockets: Sockets, user: Client, way: str) -> None:
    value = session_of(user)
    headers = {
        "main": {"Cookie": user.headers["Cookie"]},
        "legacy": {"Cookie": f"a_session_default_legacy={value.replace('=', '%3D')}"},
        "raw": {"Cookie": f"a_session_default={value}"},
        "fallback": {"X-Fallback-Cookies": json.dumps({"a_session_default": value})},
        "jwt": {"X-Appwrite-JWT": (await with_jwt(world, user)).headers["X-Appwrite-JWT"]},
    }[way]
    socket = await sockets.open(query_of("account"), headers)
    data = (await socket.next())["data"]
    assert data == {"channels": ["account", f"account.{user.user['$id']}"], "user": user.user}


async def test_a_bad_token_is_refused(sockets: Sockets) -> None:
    socket = await sockets.open(query_of("account"), {"X-Appwrite-JWT": "a.b.c"})
    message = await socket.next()
    assert (message["type"], message["data"]["code"]) == ("error", 1008)
    assert "token" in message["data"]["message"].lower()
    assert await socket.closed() == 1008


async def test_keys_have_no_effect(world: World, sockets: Sockets, key: Client, user: Client) -> None:
    for secret in (key.headers["X-Appwrite-Key"], "none of the project's"):
        socket = await sockets.open(query_of("account"), {"X-Appwrite-Key": secret})
        assert await socket.next() == {"type": "connected", "data": {"channels": ["account"], "user": None}}
        headers = {"X-Appwrite-Key": secret, "Cookie": user.headers["Cookie"], "Origin": "http://appwrite.unknown"}
        socket = await sockets.open(query_of("account"), headers)
        assert await socket.next() == error(1008, INVALID_ORIGIN)


async def test_sessions_that_are_none_make_a_guest(world: World, sockets: Sockets, user: Client) -> None:
    await world.backend.services.projects.create("other")
    value = session_of(user)
    damaged = [
        f"a_session_default={value[:-8]}",
        "a_session_default=x",
        f"a_session_other={value}",
        "a_session_default=",
    ]
    for cookie in damaged:
        for project in ("default", "other"):
            socket = await sockets.open(query_of("account", project=project), {"Cookie": cookie})
            assert (await socket.next())["data"] == {"channels": ["account"], "user": None}


async def test_who_is_blocked_connects_as_a_guest(world: World, sockets: Sockets, user: Client) -> None:
    await block(world, user)
    _, data = await sockets.connect("account", client=user)
    assert data == {"channels": ["account"], "user": None}
    await block(world, user, status=UserStatus.ACTIVE)
    _, data = await sockets.connect("account", client=user)
    assert data["user"]["$id"] == user.user["$id"]


# Channels


async def test_channels_of_a_user(sockets: Sockets, user: Client) -> None:
    own = f"account.{user.user['$id']}"
    _, data = await sockets.connect("account", client=user)
    assert (data["channels"], data["user"]["$id"]) == (["account", own], user.user["$id"])
    _, data = await sockets.connect("account", "account.1", "account.123", client=user)
    assert data["channels"] == ["account", own]
    mixed = ["account", "files", "files.1", "documents", "documents.1", "documents.2", "executions"]
    mixed += ["collections", "collections.1", "collections.1.documents", "collections.2.documents"]
    _, data = await sockets.connect(*mixed, "account.1", *mixed, client=user)
    assert data["channels"] == [*mixed, own]
    assert len(data["channels"]) == 12
    _, data = await sockets.connect("documents", client=user)
    assert data["channels"] == ["documents"]
    _, data = await sockets.connect("account", "account.1")
    assert data["channels"] == ["account"]


@pytest.mark.parametrize(
    ("given", "channels"),
    [
        (["a", "b", "a"], ("a", "b")),
        ({"0": "a", "x": "b"}, ("a", "b")),
        (["account", "account.x", "accounts.x", ""], ("account", "accounts.x")),
        ([["a"], {"b": "c"}, 1, None, "d"], ("d",)),
        ("documents", ("documents",)),
        ("", ()),
        ((), ()),
        (None, ()),
    ],
)
def test_reading_channels(given: Any, channels: tuple[str, ...]) -> None:
    assert read_channels(given) == channels


def test_effective_channels() -> None:
    assert effective_channels(("account", "files"), "1") == ("account", "files", "account.1")
    assert effective_channels(("account",), "") == ("account",)
    assert effective_channels(("files",), "1") == ("files",)


# Messages of clients


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ("not json", "Message format is not valid."),
        ("", "Message format is not valid."),
        ("{}", "Message format is not valid."),
        ("[]", "Message format is not valid."),
        ("5", "Message format is not valid."),
        ("null", "Message format is not valid."),
        ('"authentication"', "Message format is not valid."),
        ('{"kind": "authentication"}', "Message format is not valid."),
        ("[" * 100_000, None),
        ("[" * 2_000, "Message format is not valid."),
        ('{"type": "authentication"}', "Payload is not valid."),
        ('{"type": "authentication", "data": []}', "Payload is not valid."),
        ('{"type": "authentication", "data": {}}', "Payload is not valid."),
        ('{"type": "authentication", "data": null}', "Payload is not valid."),
        ('{"type": "authentication", "data": "session"}', "Payload is not valid."),
        ('{"type": "authentication", "data": {"session": ""}}', "Session is not valid."),
        ('{"type": "authentication", "data": {"session": 5}}', "Session is not valid."),
        ('{"type": "authentication", "data": {"session": "invalid"}}', "Session is not valid."),
        ('{"type": "authentication", "data": {"session": "\\ud800"}}', "Message format is not valid."),
        ('{"type": "ping"}', "Message type is not valid."),
        ('{"type": "ping", "data": {}}', "Message type is not valid."),
        ('{"type": null, "data": {"session": "x"}}', "Message type is not valid."),
        ('{"data": {"session": "x"}}', "Message type is not valid."),
    ],
)
async def test_messages_that_cannot_be_followed(sockets: Sockets, message: str, reply: str | None) -> None:
    socket = await sockets.listen("documents")
    if reply is None:
        await socket.ws.send_str(message)
        assert await socket.closed() == 1009
        return
    assert await socket.ask(message) == error(1003, reply)
    assert await socket.ask({"type": "ping"}) == error(1003, "Message type is not valid.")


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
def test_no_message_does_harm(message: str | bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_authentication(message)
    assert caught.value.code == 1003


async def test_binary_messages_are_no_json_texts(sockets: Sockets) -> None:
    socket = await sockets.listen("documents")
    await socket.ws.send_bytes(b'{"type": "ping"}')
    assert await socket.next() == error(1003, "Message format is not valid.")


async def test_the_largest_message(sockets: Sockets) -> None:
    socket = await sockets.listen("documents")
    assert await socket.ask("x" * 64_000) == error(1003, "Message format is not valid.")
    await socket.ws.send_str("x" * 64_001)
    assert await socket.closed() == 1009


async def test_logging_in(world: World, sockets: Sockets, user: Client) -> None:
    socket = await sockets.listen("account", "documents")
    reply = await socket.log_in(session_of(user))
    assert reply == {"type": "response", "data": {"to": "authentication", "success": True, "user": user.user}}
    await user.patch("/account/name", {"name": "Ada L."})
    event = await socket.event()
    assert (event["event"], event["channels"]) == (
        "account.update.name",
        ["account", f"account.{user.user['$id']}"],
    )


async def test_logging_in_as_somebody_else(world: World, sockets: Sockets, user: Client) -> None:
    other = await world.sign_up("bea@example.com", name="Bea")
    socket = await sockets.listen("account", client=user)
    assert (await socket.log_in(session_of(other)))["data"]["user"]["$id"] == other.user["$id"]
    await user.patch("/account/name", {"name": "Ada L."})
    await other.patch("/account/name", {"name": "Bea L."})
    assert (await socket.event())["payload"]["name"] == "Bea L."


async def test_a_failed_login_changes_nothing(world: World, sockets: Sockets, user: Client) -> None:
    other = await world.sign_up("bea@example.com", name="Bea")
    socket = await sockets.listen("account", client=user)
    await block(world, other)
    for session in (session_of(other), session_of(user).replace("=", "%3D") + "%3D", "x"):
        assert await socket.log_in(session) == error(1003, "Session is not valid.")
    await user.patch("/account/name", {"name": "Ada L."})
    assert (await socket.event())["payload"]["name"] == "Ada L."


async def test_an_expired_session_does_not_log_in(world: World, sockets: Sockets, user: Client) -> None:
    def expire(tx: Transaction) -> None:
        tx.execute("UPDATE sessions SET expires_at = 1000000")
        tx.invalidate("user", user.user["$id"])

    socket = await sockets.listen("account")
    await world.backend.db.write(expire)
    assert await socket.log_in(session_of(user)) == error(1003, "Session is not valid.")
    _, data = await sockets.connect("account", client=user)
    assert data["user"] is None


async def test_a_ping_is_answered(sockets: Sockets) -> None:
    socket = await sockets.listen("documents")
    await socket.ws.ping(b"are you there?")
    message = await socket.ws.receive(timeout=5)
    assert (message.type, message.data) == (WSMsgType.PONG, b"are you there?")


async def test_a_client_that_leaves_is_answered_and_forgotten(world: World, sockets: Sockets) -> None:
    socket = await sockets.listen("documents")
    await socket.ws.close(code=1000)
    assert socket.ws.close_code == 1000


# Limits


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Sockets]:
    """A server that refuses what is too often, in a window that does not end."""
    config = Config(data_dir=tmp_path / "limited", port=0, rate_limits="on", **FAST)
    async with Litewrite(config) as server, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        world = World(server, http)
        world.backend.services.rate_limits._clock = lambda: 1_000.0
        async with opening(world) as made:
            yield made


async def test_connections_are_limited_by_address_and_project(limited: Sockets) -> None:
    await limited.world.backend.services.projects.create("other")
    for _ in range(128):
        async with limited.world.http.ws_connect(f"{limited.world.server.url}/v1/realtime{query_of()}") as ws:
            assert await ws.receive_json() == error(1008, MISSING_CHANNELS)
    socket = await limited.open(query_of("documents"), {"Origin": "http://appwrite.unknown"})
    assert await socket.next() == error(1013, "Too many requests")
    assert await socket.closed() == 1013
    socket = await limited.open(query_of("documents", project="nobody"))
    assert await socket.next() == error(1008, UNKNOWN_PROJECT)
    await limited.connect("documents", project="other")
    limited.world.backend.services.rate_limits._clock = lambda: 1_060.0
    await limited.connect("documents")


async def test_messages_are_limited_by_connection(limited: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(time=lambda: 1_000.0)
    monkeypatch.setattr("litewrite.api.v0_11.realtime.time", now)
    socket = await limited.listen("documents")
    for _ in range(32):
        assert await socket.ask("{}") == error(1003, "Message format is not valid.")
    for _ in range(3):
        assert await socket.ask("{}") == error(1013, "Too many messages")
    other = await limited.listen("documents")
    assert await other.ask("{}") == error(1003, "Message format is not valid.")
    now.time = lambda: 1_020.0
    assert await socket.ask("{}") == error(1003, "Message format is not valid.")


async def test_limits_that_are_off_refuse_nothing(sockets: Sockets) -> None:
    socket = await sockets.listen("documents")
    for _ in range(MESSAGES_PER_MINUTE + 5):
        assert await socket.ask("{}") == error(1003, "Message format is not valid.")


def test_message_windows() -> None:
    limit = MessageLimit()
    assert [limit.count(59.9) for _ in range(33)] == [False] * 32 + [True]
    assert not limit.count(60.0)
    assert [limit.count(61.0) for _ in range(32)] == [False] * 31 + [True]


# Frames and the end


@given(st.text(), st.lists(st.text(), max_size=3), st.integers(0, 2**40), st.dictionaries(st.text(), st.text()))
def test_event_frames_are_json(name: str, channels: list[str], timestamp: int, payload: dict[str, str]) -> None:
    frame = event_frame(name, channels, timestamp, json.dumps(payload))
    text = frame[2:] if frame[1] < 126 else frame[4:]
    data = {"event": name, "channels": channels, "timestamp": timestamp, "payload": payload}
    assert orjson.loads(text) == {"type": "event", "data": data}


async def test_stopping_closes_every_connection(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data", port=0, **FAST)
    async with aiohttp.ClientSession() as http:
        async with Litewrite(config) as server:
            url = f"{server.url}/v1/realtime{query_of('documents')}"
            sockets = [await http.ws_connect(url) for _ in range(20)]
            for ws in sockets:
                assert (await ws.receive_json())["type"] == "connected"
            # One that never reads what it is sent, and so never answers a close frame.
            port = int(server.url.rpartition(":")[2])
            _, deaf = await asyncio.open_connection("127.0.0.1", port)
            head = f"GET /v1/realtime{query_of('documents')} HTTP/1.1\r\nHost: localhost\r\n"
            head += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            deaf.write(head.encode())
            await deaf.drain()
            last = [asyncio.create_task(ws.receive(timeout=10)) for ws in sockets]
            began = time.monotonic()
        assert time.monotonic() - began < STOP_SECONDS
        assert {(message.type, message.data) for message in await asyncio.gather(*last)} == {(WSMsgType.CLOSE, 1001)}
        assert {ws.close_code for ws in sockets} == {1001}
        deaf.close()
