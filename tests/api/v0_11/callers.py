"""What tests of this dialect share: further callers, refusals, and what was fired."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from litewrite.api.v0_11.events import Renderer
from litewrite.db import audit as audit_rows
from litewrite.db import projects as project_rows
from litewrite.db.engine import Transaction
from litewrite.entities import CONSOLE, Membership
from litewrite.events import Event, RenderedEvent
from litewrite.permissions import Actor, ActorKind
from tests.conftest import Answer, Client, World

OWNING_TEAM = "61d5c1a2b3cff"


def assert_refused(answer: Answer, status: int, kind: str) -> None:
    assert (answer.status, answer["type"], answer["code"]) == (status, kind, status), answer.body


async def with_jwt(world: World, user: Client) -> Client:
    """The same user, by a token."""
    answer = await user.post("/account/jwt")
    assert answer.status == 201
    client = world.guest.with_headers(X_Appwrite_JWT=answer["jwt"])
    client.user = user.user
    return client


async def administrator(world: World) -> Client:
    """Somebody who acts on the project as an owner of the team that owns it."""
    services = world.backend.services
    server = Actor(ActorKind.KEY, CONSOLE)
    user = await services.users.create(server, email="root@example.com", password="password")

    def own(tx: Transaction) -> None:
        project = tx.run(project_rows.get(world.project))
        assert project is not None
        tx.stores.projects.update(tx, replace(project, team_id=OWNING_TEAM))
        tx.stores.memberships.insert(
            tx, Membership(tx.new_id(), CONSOLE, OWNING_TEAM, user.id, ("owner",), tx.now, tx.now, confirmed=True)
        )

    await world.backend.db.write(own)
    console = Client(world.http, world.endpoint, {"X-Appwrite-Project": CONSOLE})
    answer = await console.post("/account/sessions", {"email": "root@example.com", "password": "password"})
    assert answer.status == 201, answer.body
    cookie = answer.headers.getall("Set-Cookie")[-1].split(";")[0]
    return world.guest.with_headers(Cookie=cookie, X_Appwrite_Mode="admin")


async def change_settings(world: World, **settings: Any) -> None:
    """Change what the owners of the project have chosen."""

    def unit(tx: Transaction) -> None:
        project = tx.run(project_rows.get(world.project))
        assert project is not None
        tx.stores.projects.update(tx, replace(project, settings={**project.settings, **settings}))

    await world.backend.db.write(unit)


def rendered(events: list[Event]) -> list[RenderedEvent]:
    return [Renderer().render(event) for event in events]


def names_and_payloads(events: list[Event]) -> list[tuple[str, Any]]:
    return [(told.name, orjson.loads(told.payload)) for told in rendered(events)]


async def audited(world: World, user_id: str, *names: str) -> list[tuple[str, str]]:
    """Event and resource of the newest entries of a user among the named events, newest first."""
    entries = await world.backend.db.read(audit_rows.newest_of_user(world.project, user_id, names, 10))
    return [(entry.event, entry.resource) for entry in entries]
