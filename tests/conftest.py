"""A fresh server per test, in this process, and clients by side: guest, user, key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from litewrite import Config, Litewrite
from litewrite.api.v0_11.scopes import KEY_SCOPES


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is installed that tests need, a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("LITEWRITE_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where nothing may be missing: {report.longrepr}"
    return report


FAST = {"password_memory": 8, "password_passes": 1, "durability": "normal"}
"""Settings that make tests quick and change nothing they look at."""


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any
    raw: bytes

    def __getitem__(self, key: str) -> Any:
        return self.body[key]


@dataclass
class Client:
    """Calls the API as one caller. Paths are below `/v1`."""

    http: aiohttp.ClientSession
    endpoint: str
    headers: dict[str, str] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> Client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.http, self.endpoint, {**self.headers, **named}, self.user)

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        params: Any = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        async with self.http.request(
            method,
            self.endpoint + path,
            json=json,
            params=params,
            data=data,
            headers={**self.headers, **(headers or {})},
            allow_redirects=False,
        ) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json and raw else raw
            return Answer(response.status, body, response.headers, raw)

    async def get(self, path: str, **kwargs: Any) -> Answer:
        return await self.call("GET", path, **kwargs)

    async def post(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        return await self.call("POST", path, json, **kwargs)

    async def put(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        return await self.call("PUT", path, json, **kwargs)

    async def patch(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        return await self.call("PATCH", path, json, **kwargs)

    async def delete(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        return await self.call("DELETE", path, json, **kwargs)


@dataclass
class World:
    """A running server and its callers."""

    server: Litewrite
    http: aiohttp.ClientSession
    project: str = "default"

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    @property
    def backend(self) -> Any:
        return self.server.backend

    @property
    def guest(self) -> Client:
        return Client(self.http, self.endpoint, {"X-Appwrite-Project": self.project})

    async def key(self, *scopes: str) -> Client:
        """A caller with an API key; all scopes when none are named."""
        _, secret = await self.backend.services.keys.create(self.project, "test", scopes or KEY_SCOPES)
        return self.guest.with_headers(X_Appwrite_Key=secret)

    async def sign_up(self, email: str = "ada@example.com", password: str = "password", name: str = "Ada") -> Client:
        """A user with a session; `client.user` is its record."""
        created = await self.guest.post("/account", {"email": email, "password": password, "name": name})
        assert created.status == 201, created.body
        return await self.log_in(email, password, created.body)

    async def log_in(self, email: str, password: str = "password", user: dict[str, Any] | None = None) -> Client:
        answer = await self.guest.post("/account/sessions", {"email": email, "password": password})
        assert answer.status == 201, answer.body
        cookie = answer.headers.getall("Set-Cookie")[-1].split(";")[0]
        client = self.guest.with_headers(Cookie=cookie)
        client.user = user or (await client.get("/account")).body
        return client


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", port=0, **FAST)


@pytest.fixture
async def world(config: Config) -> AsyncIterator[World]:
    async with (
        Litewrite(config) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield World(server, http)
        await asyncio.sleep(0)


@pytest.fixture
def guest(world: World) -> Client:
    return world.guest


@pytest.fixture
async def user(world: World) -> Client:
    return await world.sign_up()


@pytest.fixture
async def key(world: World) -> Client:
    return await world.key()
