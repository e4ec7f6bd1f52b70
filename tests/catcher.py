"""A real HTTP server on loopback that keeps what it is sent, and answers as it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Caught:
    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def event(self) -> str:
        return str(self.headers["X-Appwrite-Webhook-Event"])

    @property
    def delivery(self) -> str:
        return str(self.headers["X-Litewrite-Delivery"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Catcher:
    """`answers` are given in order, then 200; a number is a status, an event is waited for before a 200."""

    port: int = 0
    scheme: str = "http"
    caught: list[Caught] = field(default_factory=list)
    answers: list[int | asyncio.Event] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    @property
    def events(self) -> list[str]:
        return [each.event for each in self.caught]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            body = await request.read()
            self.caught.append(Caught(request.method, request.path_qs, request.headers, body))
            self.arrived.set()
            answer = self.answers.pop(0) if self.answers else 200
            if isinstance(answer, asyncio.Event):
                await answer.wait()
                answer = 200
            headers = {"Location": self.url("/elsewhere")} if 300 <= answer < 400 else {}
            return web.Response(status=answer, text="thanks", headers=headers)
        finally:
            self.open -= 1

    async def wait_for(self, count: int, seconds: float = 10.0) -> list[Caught]:
        """All that was caught, once it is so many."""
        async with asyncio.timeout(seconds):
            while len(self.caught) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.caught


@asynccontextmanager
async def catching(*, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Catcher]:
    catcher = Catcher(scheme="https" if tls else "http")
    runner = web.ServerRunner(web.Server(catcher.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        catcher.port = runner.addresses[0][1]
        yield catcher
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for something that nobody tells of; `condition` may be a coroutine function."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if await holds if asyncio.iscoroutine(holds) else holds:
                return
            await asyncio.sleep(0.01)
