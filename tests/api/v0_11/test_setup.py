"""The first administrator: who may sign up to the console, and the page that does it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

import pytest

from litewrite.api.v0_11.setup import SETUP_TOKEN
from litewrite.db import projects as project_rows
from litewrite.entities import CONSOLE
from tests.api.v0_11.callers import assert_refused, audited
from tests.api.v0_11.consoles import acting, administrator, console_of
from tests.conftest import World

NEW = {"email": "Root@example.com", "password": "password", "name": "Root"}


async def token_of(world: World) -> str:
    token: str = await world.backend.services.admins.open_setup()
    return token


async def test_the_first_one_administers_what_is_there(world: World) -> None:
    await world.backend.services.projects.create("shop")
    token = await token_of(world)
    console = console_of(world)
    made = await console.guest.post("/account", NEW, headers={SETUP_TOKEN: token})
    assert (made.status, made["email"], made["name"]) == (201, "root@example.com", "Root")
    root = await console.log_in("root@example.com")
    projects = (await root.get("/projects"))["projects"]
    assert [project["$id"] for project in projects] == ["default", "shop"]
    (team,) = (await root.get("/teams"))["teams"]
    assert (team["name"], team["sum"]) == ("Administrators", 1)
    assert {project["teamId"] for project in projects} == {team["$id"]}
    assert (await (await acting(root)).get("/users")).status == 200
    assert await audited(console, made["$id"], "account.create") == [("account.create", f"users/{made['$id']}")]


async def test_the_token_works_once(world: World) -> None:
    token = await token_of(world)
    console = console_of(world)
    answers = await asyncio.gather(
        *(
            console.guest.post("/account", {**NEW, "email": f"root{number}@example.com"}, headers={SETUP_TOKEN: token})
            for number in range(5)
        )
    )
    assert sorted(answer.status for answer in answers) == [201, 401, 401, 401, 401]
    again = await console.guest.post("/account", {**NEW, "email": "eve@example.com"}, headers={SETUP_TOKEN: token})
    assert_refused(again, 401, "general_unauthorized_scope")
    assert await token_of(world) == ""


async def test_without_the_token_nobody_signs_up(world: World) -> None:
    console = console_of(world)
    for header in ("", "wrong"):
        refused = await console.guest.post("/account", NEW, headers={SETUP_TOKEN: header})
        assert_refused(refused, 401, "general_unauthorized_scope")
    assert "admins create" in refused["message"]
    old = await token_of(world)
    new = await token_of(world)
    assert old != new
    refused = await console.guest.post("/account", NEW, headers={SETUP_TOKEN: old})
    assert_refused(refused, 401, "general_unauthorized_scope")
    stored = await world.backend.db.read(project_rows.get(CONSOLE))
    assert new not in str(stored.settings)
    assert_refused(
        await console.guest.post("/account", {}, headers={SETUP_TOKEN: new}), 400, "general_argument_invalid"
    )
    assert (await console.guest.post("/account", NEW, headers={SETUP_TOKEN: new})).status == 201


async def test_an_administrator_from_the_command_line_ends_it(world: World) -> None:
    token = await token_of(world)
    admin = await administrator(world)
    for client in (console_of(world).guest, admin):
        refused = await client.post("/account", {**NEW, "email": "eve@example.com"}, headers={SETUP_TOKEN: token})
        assert_refused(refused, 401, "general_unauthorized_scope")
    await world.backend.services.admins.delete("root@example.com")
    refused = await console_of(world).guest.post("/account", NEW, headers={SETUP_TOKEN: token})
    assert_refused(refused, 401, "general_unauthorized_scope")
    assert await token_of(world)


async def test_it_is_worth_nothing_elsewhere(world: World) -> None:
    token = await token_of(world)
    assert (await world.guest.post("/account", NEW, headers={SETUP_TOKEN: token})).status == 201
    assert await world.backend.services.admins.list() == ()


@pytest.mark.parametrize("path", ["/auth/setup", "/v1/auth/setup", "/auth/setup/"])
async def test_the_page(world: World, path: str) -> None:
    async with world.http.get(world.server.url + path) as answer:
        page = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert SETUP_TOKEN in page
    assert "'X-Appwrite-Project': 'console'" in page
