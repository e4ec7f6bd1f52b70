"""What requests need beyond a server: platforms, settings, administrators, and bytes sent as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from litewrite.db import projects as project_rows
from litewrite.entities import CONSOLE, Session, User
from litewrite.security import encode_session, hash_secret, new_secret
from tests.conftest import Answer, World

Configure = Callable[..., Awaitable[None]]


@pytest.fixture
def configure(world: World) -> Configure:
    """Give a project settings, a team that owns it, and platforms, each a type and its key or host name."""

    async def configure(
        *,
        settings: dict[str, Any] | None = None,
        team: str = "",
        platforms: Iterable[tuple[str, str]] = (),
        project: str = "default",
    ) -> None:
        def unit(tx: Any) -> None:
            found = tx.run(project_rows.get(project))
            tx.stores.projects.update(
                tx, replace(found, team_id=team or found.team_id, settings=settings or found.settings)
            )
            for kind, value in platforms:
                key, host = ("", value) if kind == "web" else (value, "")
                tx.execute(
                    f"INSERT INTO platforms ({project_rows.PLATFORM_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (project, tx.new_id(), kind, value, key, host, "", 0, 0),
                )

        await world.backend.db.write(unit)

    return configure


@pytest.fixture
def administrator(world: World, configure: Configure) -> Callable[..., Awaitable[str]]:
    """Make a console user in the team that owns the project; gives the header of its session cookie."""

    async def make(*, member: bool = True, roles: str = '["owner"]') -> str:
        secret = new_secret()

        def unit(tx: Any) -> str:
            user = User(id=tx.new_id(), project_id=CONSOLE, name="Root", email="root@example.com", registered_at=tx.now)
            tx.stores.users.insert(tx, user)
            tx.stores.sessions.insert(
                tx,
                Session(
                    id=tx.new_id(),
                    project_id=CONSOLE,
                    user_id=user.id,
                    secret_hash=hash_secret(secret),
                    expires_at=tx.now.replace(year=tx.now.year + 1),
                    provider="email",
                ),
            )
            values: dict[str, Any] = {
                column[1]: 0 if column[2] == "INTEGER" else "" for column in tx.rows("PRAGMA table_info(memberships)")
            }
            values |= {
                "project_id": CONSOLE,
                "id": tx.new_id(),
                "team_id": "owners" if member else "others",
                "user_id": user.id,
                "roles": roles,
                "confirmed": 1,
            }
            columns, marks = ", ".join(values), ", ".join("?" * len(values))
            tx.execute(f"INSERT INTO memberships ({columns}) VALUES ({marks})", tuple(values.values()))
            return f"a_session_console={encode_session(user.id, secret)}"

        await configure(team="owners")
        cookie: str = await world.backend.db.write(unit)
        return cookie

    return make


@dataclass
class Raw:
    """Sends bytes to the server as they are and gives back all that it answers before it closes."""

    port: int

    async def send(self, *chunks: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def request(self, method: str, path: str, *headers: str, body: bytes = b"") -> Answer:
        """One request with exactly these header lines, plus `Connection: close`."""
        lines = [f"{method} {path} HTTP/1.1", *headers, "Connection: close"]
        if not any(header.lower().startswith("host:") for header in headers):
            lines.append("Host: localhost")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        raw = await self.send("\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body)
        head, _, rest = raw.partition(b"\r\n\r\n")
        status, *fields = head.decode("utf-8", "surrogateescape").split("\r\n")
        return Answer(int(status.split(" ")[1]), rest, [tuple(field.split(": ", 1)) for field in fields], rest)


@pytest.fixture
def raw(world: World) -> Raw:
    return Raw(int(world.server.url.rpartition(":")[2]))
