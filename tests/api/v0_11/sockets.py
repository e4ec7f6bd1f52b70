"""Realtime connections for tests, and things to make events with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import WSMsgType

from tests.conftest import Client, World

CREDENTIALS = ("Cookie", "X-Fallback-Cookies", "X-Appwrite-JWT")
PATIENCE = 10


@dataclass
class Socket:
    """A realtime connection as its client sees it."""

    ws: aiohttp.ClientWebSocketResponse

    async def next(self) -> Any:
        """The next message, as JSON."""
        message = await self.ws.receive(timeout=PATIENCE)
        assert message.type is WSMsgType.TEXT, message
        return json.loads(message.data)

    async def event(self) -> Any:
        """The data of the next message, which must be an event."""
        message = await self.next()
        assert message["type"] == "event", message
        return message["data"]

    async def closed(self) -> int | None:
        """The close code; there must be no message before it."""
        message = await self.ws.receive(timeout=PATIENCE)
        assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), message
        return self.ws.close_code

    async def ask(self, message: Any) -> Any:
        """Send a message and give the next one that comes."""
        await self.ws.send_str(message if isinstance(message, str) else json.dumps(message))
        return await self.next()

    async def log_in(self, session: Any) -> Any:
        return await self.ask({"type": "authentication", "data": {"session": session}})


class Sockets:
    """Opens connections to a server; they are closed with it."""

    def __init__(self, world: World, stack: contextlib.AsyncExitStack) -> None:
        self.world = world
        self._stack = stack

    async def open(self, query: str, headers: Any = None, **options: Any) -> Socket:
        """A connection with a query of one's own, on which nothing has been read yet."""
        url = f"{self.world.server.url}/v1/realtime{query}"
        context = self.world.http.ws_connect(url, headers=headers, autoping=False, **options)
        return Socket(await self._stack.enter_async_context(context))

    async def connect(self, *channels: str, client: Client | None = None, project: str = "") -> tuple[Socket, Any]:
        """A connection that was accepted, and the data of its `connected` message."""
        headers = {name: value for name, value in client.headers.items() if name in CREDENTIALS} if client else {}
        socket = await self.open(query_of(*channels, project=project or self.world.project), headers)
        message = await socket.next()
        assert message["type"] == "connected", message
        return socket, message["data"]

    async def listen(self, *channels: str, client: Client | None = None) -> Socket:
        socket, _ = await self.connect(*channels, client=client)
        return socket


@contextlib.asynccontextmanager
async def opening(world: World) -> AsyncIterator[Sockets]:
    async with contextlib.AsyncExitStack() as stack:
        yield Sockets(world, stack)


def query_of(*channels: str, project: str = "default") -> str:
    return "?" + "&".join((f"project={project}", *(f"channels%5B%5D={channel}" for channel in channels)))


def session_of(client: Client) -> str:
    """The value of a client's session cookie, decoded."""
    return client.headers["Cookie"].partition("=")[2].replace("%3D", "=")


@dataclass
class Notes:
    """A collection of documents with one text; whoever listens to `documents` hears of each."""

    key: Client
    id: str
    numbers: Iterator[int]

    @property
    def path(self) -> str:
        return f"/database/collections/{self.id}/documents"

    async def create(self, title: str, *read: str) -> str:
        """A document that has a read list, made with the API key; gives its id."""
        body = {"data": {"title": title}, "read": list(read), "write": ["role:member"]}
        created = await self.key.post(self.path, body)
        assert created.status == 201, created.body
        return str(created["$id"])

    async def heard(self, socket: Socket) -> list[str]:
        """The titles that a listener to `documents` has been sent since this was last asked.

        Events come in order, so with one more document, for everybody, there is an end to wait for.
        """
        fence = f"fence {next(self.numbers)}"
        await self.create(fence, "*")
        titles = []
        while (title := (await socket.event())["payload"]["title"]) != fence:
            titles.append(title)
        return [title for title in titles if not title.startswith("fence ")]


def rule(key: str) -> dict[str, Any]:
    return {"label": key, "key": key, "type": "text", "default": "", "required": False, "array": False}


async def make_collection(key: Client, *fields: str, read: Sequence[str] = ("*",)) -> Any:
    body = {"name": "Notes", "read": list(read), "write": ["role:member"], "rules": [rule(field) for field in fields]}
    created = await key.post("/database/collections", body)
    assert created.status == 201, created.body
    return created.body
