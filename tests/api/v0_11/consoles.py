"""Administrators for tests: users of the project `console` and what they call it with."""

from __future__ import annotations

from litewrite.entities import CONSOLE
from tests.api.v0_11.callers import assert_refused
from tests.conftest import Answer, Client, World

UNKNOWN = "61d5c1a2b3cff"


def console_of(world: World) -> World:
    """The same server, seen from its project `console`."""
    return World(world.server, world.http, CONSOLE)


async def administrator(world: World, email: str = "root@example.com", name: str = "Root") -> Client:
    """Somebody made on the command line, logged in to the console."""
    await world.backend.services.admins.create(email=email, password="password", name=name)
    return await console_of(world).log_in(email)


async def acting(admin: Client, project: str = "default") -> Client:
    """The same person, acting on a project."""
    return admin.with_headers(X_Appwrite_Project=project, X_Appwrite_Mode="admin")


async def member(world: World, admin: Client, team_id: str, *roles: str, email: str = "eve@example.com") -> Client:
    """Somebody who was invited to a console team with some roles and has joined it."""
    invited = await admin.post(
        f"/teams/{team_id}/memberships", {"email": email, "roles": list(roles), "url": "http://localhost/join"}
    )
    assert invited.status == 201, invited.body
    mails = await world.backend.services.mails.list(CONSOLE, to=email)
    link = world.backend.services.mails.read(mails[0]).link
    secret = link.partition("secret=")[2].partition("&")[0]
    guest = console_of(world).guest
    joined = await guest.patch(
        f"/teams/{team_id}/memberships/{invited['$id']}/status", {"userId": invited["userId"], "secret": secret}
    )
    assert joined.status == 200, joined.body
    client = guest.with_headers(Cookie=joined.headers.getall("Set-Cookie")[-1].split(";")[0])
    client.user = (await client.get("/account")).body
    return client


async def team_of(admin: Client, name: str = "Shop") -> str:
    answer = await admin.post("/teams", {"name": name})
    assert answer.status == 201, answer.body
    team_id: str = answer["$id"]
    return team_id


async def project_of(admin: Client, team_id: str, name: str = "Shop") -> str:
    answer = await admin.post("/projects", {"name": name, "teamId": team_id})
    assert answer.status == 201, answer.body
    project_id: str = answer["$id"]
    return project_id


def assert_not_found(answer: Answer, kind: str = "project_not_found") -> None:
    assert_refused(answer, 404, kind)
