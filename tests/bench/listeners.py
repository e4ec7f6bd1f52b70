"""Realtime listeners for the bench: many connections in a process of its own, which counts what they are sent.

Clients with a whole WebSocket implementation would be the limit of what is measured. So a listener makes the handshake
and from then on looks for a few bytes that every event of interest has, for WebSockets and for PocketBase's event
streams alike.

The program reads one line of JSON, a `Plan`, opens the connections and answers `ready`. For each further line, how many
events every connection shall have got since the start, it answers with the moment at which the last one had, on the
clock of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from tests.bench.peers import BenchError

PATIENCE = 30.0
"""Seconds without any progress after which the listeners give up."""
OPENING = 64
"""Connections that are opened at the same time."""


@dataclass(frozen=True, slots=True)
class Plan:
    host: str
    port: int
    connections: int
    request: str
    """Head of the request that opens a connection."""
    opened: str
    """What a connection is sent when it listens, or when it can say what it listens to."""
    event: str
    """What every event contains once."""
    subscribe: str = ""
    """Path to post the subscription to, for event streams."""
    topic: str = ""


def websocket_plan(host: str, port: int, connections: int, path: str, event: str) -> Plan:
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    return Plan(host, port, connections, request, '"type":"connected"', event)


def stream_plan(host: str, port: int, connections: int, topic: str, event: str) -> Plan:
    request = f"GET /api/realtime HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n"
    return Plan(host, port, connections, request, '"clientId":"', event, subscribe="/api/realtime", topic=topic)


class Listeners:
    """Some processes that share the connections of a plan."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = plans
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        try:
            for plan in self._plans:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "tests.bench.listeners",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
                self._processes.append(process)
                await self._say(process, json.dumps(asdict(plan)))
            await asyncio.gather(*map(self._answer, self._processes))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def received(self, events: int) -> float:
        """When the last connection had got so many events. Raises `BenchError` when one does not."""
        for process in self._processes:
            await self._say(process, str(events))
        return max([float(moment) for moment in await asyncio.gather(*map(self._answer, self._processes))])

    async def _say(self, process: asyncio.subprocess.Process, line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n".encode())
        await process.stdin.drain()

    async def _answer(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode().strip()
        if not line or line.startswith("error"):
            raise BenchError(f"The listeners gave up: {line or 'their process ended'}")
        return line

    async def _stop(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


def split_plan(plan: Plan, processes: int) -> list[Plan]:
    """The same plan for some processes, each with its part of the connections."""
    share, rest = divmod(plan.connections, processes)
    parts = [share + (index < rest) for index in range(processes)]
    return [Plan(**{**asdict(plan), "connections": part}) for part in parts if part]


class GaveUp(Exception):
    """The server did not do its part."""


class Loop:
    """The connections of one process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.event = plan.event.encode()
        self.selector = selectors.DefaultSelector()
        self.total = 0
        self.tails: dict[int, bytes] = {}

    def open(self) -> None:
        left = self.plan.connections
        while left:
            batch = [self._connect() for _ in range(min(OPENING, left))]
            left -= len(batch)
            for connection in batch:
                self._settle(connection)
                connection.setblocking(False)
                self.tails[connection.fileno()] = b""
                self.selector.register(connection, selectors.EVENT_READ)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((self.plan.host, self.plan.port), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(self.plan.request.encode())
        return connection

    def _settle(self, connection: socket.socket) -> None:
        opened, got = self.plan.opened.encode(), b""
        while opened not in got or (self.plan.subscribe and b"}\n\n" not in got.partition(opened)[2]):
            chunk = connection.recv(65_536)
            if not chunk:
                raise GaveUp(f"a connection ended: {got[:300]!r}")
            got += chunk
        if self.plan.subscribe:
            self._subscribe(got.partition(opened)[2].partition(b'"')[0].decode())

    def _subscribe(self, client_id: str) -> None:
        body = json.dumps({"clientId": client_id, "subscriptions": [self.plan.topic]})
        host = f"{self.plan.host}:{self.plan.port}"
        head = f"POST {self.plan.subscribe} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((self.plan.host, self.plan.port), timeout=PATIENCE) as connection:
            connection.sendall((head + body).encode())
            answer = connection.recv(65_536)
        if b" 204 " not in answer.partition(b"\r\n")[0]:
            raise GaveUp(f"a subscription was refused: {answer[:300]!r}")

    def receive(self, events: int) -> float:
        """Read until there were so many events a connection, and return when that was."""
        target = events * self.plan.connections
        keep = len(self.event) - 1
        while self.total < target:
            ready = self.selector.select(PATIENCE)
            if not ready:
                raise GaveUp(f"{self.total} of {target} events came and then none for {PATIENCE:.0f} seconds")
            for key, _ in ready:
                connection: Any = key.fileobj
                chunk = connection.recv(262_144)
                if not chunk:
                    raise GaveUp("a connection ended")
                data = self.tails[key.fd] + chunk
                self.total += data.count(self.event)
                self.tails[key.fd] = data[-keep:]
        moment = time.monotonic()
        if self.total != target:
            raise GaveUp(f"{self.total} events came instead of {target}")
        return moment


def main() -> None:
    loop = Loop(Plan(**json.loads(sys.stdin.readline())))
    try:
        loop.open()
        print("ready", flush=True)
        for line in sys.stdin:
            print(loop.receive(int(line)), flush=True)
    except (GaveUp, OSError) as error:
        print(f"error {error}", flush=True)


if __name__ == "__main__":
    main()
