"""Embedding: in an asyncio program, on a thread, inside another application, twice in one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from asyncio import StreamWriter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from litewrite import Config, Litewrite, ThreadedServer
from litewrite.commands import CommandFailed, run
from litewrite.data_folder import FolderInUse
from litewrite.db.migrate import DataRefused

HEADERS = {"X-Appwrite-Project": "default"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def version(http: aiohttp.ClientSession, endpoint: str) -> Any:
    async with http.get(f"{endpoint}/health/version", headers=HEADERS) as response:
        assert response.status == 200, await response.text()
        return (await response.json())["version"]


async def sign_up(http: aiohttp.ClientSession, endpoint: str) -> int:
    user = {"email": "ada@example.com", "password": "password"}
    async with http.post(f"{endpoint}/account", json=user, headers=HEADERS) as response:
        return response.status


async def test_a_server_in_a_program(config: Config, http: aiohttp.ClientSession) -> None:
    server = Litewrite(config)
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.backend
    async with server as entered:
        assert entered is server
        assert server.url.startswith("http://127.0.0.1:")
        assert server.endpoint == f"{server.url}/v1"
        assert server.project == "default"
        assert await version(http, server.endpoint)
        assert json.loads((config.data_dir / "lock").read_text()) == {
            "kind": "server",
            "pid": os.getpid(),
            "url": server.url,
            "command": "",
        }
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.application
    assert sorted(os.listdir(config.data_dir)) == ["blobs", "litewrite.db", "lock", "secret"]
    async with server:
        assert await version(http, server.endpoint)


async def test_two_servers_in_one_process(config: Config, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    other = replace(config, data_dir=tmp_path / "other")
    async with Litewrite(config) as one, Litewrite(other) as two:
        assert one.url != two.url
        assert await sign_up(http, one.endpoint) == 201
        assert await sign_up(http, two.endpoint) == 201
        assert await sign_up(http, one.endpoint) == 409
        await run(config, "projects.create", {"project": "shop", "name": ""})
        assert [project["id"] for project in await run(other, "projects.list", {})] == ["default"]


async def test_a_folder_has_one_server(config: Config, http: aiohttp.ClientSession) -> None:
    async with Litewrite(config) as server:
        with pytest.raises(FolderInUse, match=server.url):
            await Litewrite(config).__aenter__()
        assert await version(http, server.endpoint)


async def test_a_failed_start_leaves_nothing_open(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = replace(config, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await Litewrite(busy).__aenter__()
    assert sorted(os.listdir(config.data_dir)) == ["blobs", "litewrite.db", "lock", "secret"]
    async with Litewrite(config):
        pass
    (config.data_dir / "litewrite.db").write_bytes(b"something else " * 1000)
    with pytest.raises(DataRefused, match="no database of litewrite"):
        await Litewrite(config).__aenter__()
    with pytest.raises(CommandFailed, match="no database of litewrite"):
        await run(config, "projects.list", {})
    assert not (config.data_dir / "control.json").exists()


async def test_mounted_into_another_application(config: Config, http: aiohttp.ClientSession) -> None:
    async def home(request: web.Request) -> web.Response:
        return web.Response(text="home")

    async with Litewrite(config, listen=False, prefix="/backend") as server:
        assert server.url == ""
        application = web.Application()
        application.router.add_get("/", home)
        application.add_subapp("/backend", server.application)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with http.get(url) as response:
                assert await response.text() == "home"
            assert await version(http, f"{url}/backend/v1")
            assert await sign_up(http, f"{url}/backend/v1") == 201
            async with http.get(f"{url}/v1/health/version") as response:
                assert response.status == 404
                assert "litewrite" not in await response.text()
            # Commands find a server that has no port of its own too.
            assert [project["id"] for project in await run(config, "projects.list", {})] == ["default"]
            with pytest.raises(FolderInUse, match=rf"already, \(process {os.getpid()}\)"):
                await Litewrite(config).__aenter__()
        finally:
            await runner.cleanup()


async def test_leaving_lets_a_running_request_finish(config: Config, http: aiohttp.ClientSession) -> None:
    server = Litewrite(replace(config, password_memory=32_768, password_passes=12))  # which takes its time
    await server.__aenter__()
    waiting = asyncio.create_task(sign_up(http, server.endpoint))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    started = time.monotonic()
    await server.__aexit__(None, None, None)
    assert await waiting == 201
    assert time.monotonic() - started < 4


async def test_leaving_does_not_wait_for_idle_connections(config: Config) -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = Litewrite(config)
        await server.__aenter__()
        host, port = server.url.removeprefix("http://").split(":")
        for text in (b"", b"GET /v1/health/version HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /v1/health HT"):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(StreamWriter.close, writer)
            writer.write(text)
            if text.endswith(b"\r\n\r\n"):
                assert b"200" in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await server.__aexit__(None, None, None)
        assert time.monotonic() - started < 1


async def test_leaving_ends_an_upload_that_does_not_go_on(config: Config) -> None:
    server = Litewrite(config)
    await server.__aenter__()
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/account HTTP/1.1\r\nHost: localhost\r\nX-Appwrite-Project: default\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await server.__aexit__(None, None, None)
    assert time.monotonic() - started < 4.5
    writer.transport.abort()
    assert sorted(os.listdir(config.data_dir)) == ["blobs", "litewrite.db", "lock", "secret"]


async def test_a_thread(config: Config, http: aiohttp.ClientSession) -> None:
    server = ThreadedServer(config)
    server.stop()
    assert server.endpoint == server.url == ""
    for _ in range(2):
        with server:
            assert await version(http, server.endpoint)
            with pytest.raises(RuntimeError, match="started already"):
                server.start()
        assert server.endpoint == ""
        assert not any(thread.name == "litewrite-server" for thread in threading.enumerate())


def test_a_thread_raises_what_starting_raises(config: Config) -> None:
    with ThreadedServer(config) as first:
        other = ThreadedServer(config)
        with pytest.raises(FolderInUse, match=first.url):
            other.start()
        other.stop()
    with other:
        assert other.endpoint


def test_two_threads(config: Config, tmp_path: Path) -> None:
    with ThreadedServer(config) as one, ThreadedServer(replace(config, data_dir=tmp_path / "other")) as two:
        assert one.url != two.url


async def test_a_cancelled_start_leaves_nothing_open(config: Config) -> None:
    async with Litewrite(config):
        pass
    for seconds in (0.0, 0.003, 0.01, 0.02):
        starting = asyncio.create_task(Litewrite(config).__aenter__())
        await asyncio.sleep(seconds)
        if starting.done():
            await starting.result().__aexit__(None, None, None)
            continue
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            server = await starting
            await server.__aexit__(None, None, None)
    async with Litewrite(config):
        pass
