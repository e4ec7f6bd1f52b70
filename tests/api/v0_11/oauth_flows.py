"""A browser for logins at providers: it keeps cookies, follows redirects one by one and repeats its headers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

import aiohttp
import orjson

from litewrite import Config, Litewrite
from litewrite.db.engine import Transaction
from tests.conftest import Answer, Client, World

START = "/account/sessions/oauth2"
MOCK = "/mock/tests/general/oauth2"
APP = "http://localhost/done?a=1"
FAILED = "http://localhost/failed"
HTML = "text/html; charset=UTF-8"


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


@dataclass
class Browser:
    """Cookies are kept for one host; those of a `Client` may be put into it."""

    world: World
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)

    async def open(self, url: str, *, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """One request, by its whole URL or a path below `/v1`."""
        endpoint = self.world.endpoint
        path = url.removeprefix(endpoint) if url.startswith(endpoint) else url
        self.visited.append(url)
        sent = {**self.headers, **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        client = Client(self.world.http, endpoint)
        answer = await client.call("GET" if form is None else "POST", path, data=form, headers=sent)
        for header in answer.headers.getall("Set-Cookie", ()):
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value
        return answer

    async def start(self, provider: str = "mock", **parameters: Any) -> Answer:
        query = {"project": self.world.project, **parameters}
        return await self.open(f"/account/sessions/oauth2/{provider}?{urlencode(query, doseq=True)}")

    async def follow(self, answer: Answer, *, until: str = "") -> Answer:
        """Follow redirects as long as they stay on this server, or until one leads to a URL with this in it."""
        while answer.status in (301, 302):
            location = urljoin(self.world.endpoint, answer.headers["Location"])
            if not location.startswith(self.world.endpoint) or (until and until in location):
                return answer
            answer = await self.open(location)
        return answer

    async def log_in(self, provider: str = "mock", **parameters: Any) -> Answer:
        """Through the whole flow at the mock provider; the last answer on this server."""
        return await self.follow(await self.start(provider, **parameters))

    @property
    def user(self) -> Client:
        """Whoever is logged in here."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return self.world.guest.with_headers(Cookie=cookie)

    async def account(self) -> Answer:
        return await self.user.get("/account")


async def add_web_platform(world: World, hostname: str) -> None:
    """Let pages of a host call the project."""

    def unit(tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO platforms (project_id, id, type, name, key, hostname, store, created_at, updated_at) "
            "VALUES (?, ?, 'web', 'Web', '', ?, '', 0, 0)",
            (world.project, tx.new_id(), hostname),
        )
        tx.invalidate("project", world.project)

    await world.backend.db.write(unit)


async def remove_platforms(world: World) -> None:
    def unit(tx: Transaction) -> None:
        tx.execute("DELETE FROM platforms WHERE project_id = ?", (world.project,))
        tx.invalidate("project", world.project)

    await world.backend.db.write(unit)


@contextlib.asynccontextmanager
async def serving(config: Config) -> AsyncIterator[World]:
    """A server with settings of its own."""
    async with Litewrite(config) as server, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield World(server, http)


def finish_url(state: str, provider: str = "gitlab", code: str = "code", project: str = "default") -> str:
    return f"{START}/{provider}/redirect?project={project}&code={code}&state={quote(state)}"


def assert_page(answer: Answer, status: int, kind: str) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, HTML), answer.raw
    text = answer.raw.decode()
    assert f"Error {status}" in text
    assert kind in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def assert_failed(answer: Answer, status: int, kind: str) -> None:
    """The browser was sent to the failure URL, which is told why."""
    assert answer.status == 301
    location = answer.headers["Location"]
    assert location.startswith(FAILED + "?error="), location
    told = orjson.loads(query_of(location)["error"])
    assert (told["code"], told["type"]) == (status, kind), told
    assert not answer.headers.getall("Set-Cookie", ())
