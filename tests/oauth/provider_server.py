"""A server that answers as it is told and remembers what it was asked, in place of any provider."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: Mapping[str, str]


@dataclass
class ProviderServer:
    """`answers` are by path: JSON, text, or a whole response."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    base: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(Asked(request.method, request.path, dict(request.query), form, request.headers.copy()))
        answer = self.answers.get(request.path)
        if callable(answer):
            answer = await answer(request)
        if answer is None:
            return web.json_response({"error": "not_found"}, status=404)
        if isinstance(answer, web.StreamResponse):
            return answer
        if isinstance(answer, str):
            return web.Response(text=answer)
        return web.json_response(answer)


@contextlib.asynccontextmanager
async def serving(answers: dict[str, Any]) -> AsyncIterator[ProviderServer]:
    server = ProviderServer(answers)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base = "http://{}:{}".format(*runner.addresses[0][:2])
        yield server
    finally:
        await runner.cleanup()
