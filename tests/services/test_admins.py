"""Administrators, and the team that owns what is made from the command line."""

from __future__ import annotations

import pytest

from litewrite.entities import CONSOLE, Project, Team
from litewrite.errors import UserExists, UserNotFound
from litewrite.permissions import Actor, ActorKind
from litewrite.services.admins import Admins
from litewrite.services.projects import Projects
from tests.conftest import World

CONSOLE_SERVER = Actor(ActorKind.KEY, CONSOLE)


@pytest.fixture
def admins(world: World) -> Admins:
    made: Admins = world.backend.services.admins
    return made


@pytest.fixture
def projects(world: World) -> Projects:
    made: Projects = world.backend.services.projects
    return made


async def teams(world: World) -> tuple[Team, ...]:
    found: tuple[Team, ...] = (await world.backend.services.teams.list(CONSOLE_SERVER)).items
    return found


async def owners(projects: Projects) -> dict[str, str]:
    return {project.id: project.team_id for project in await projects.list()}


async def make(admins: Admins, email: str = "root@example.com") -> str:
    return (await admins.create(email=email, password="password", name="Root")).id


async def test_there_is_no_team_before_there_is_an_administrator(world: World, projects: Projects) -> None:
    await projects.create("shop")
    assert await teams(world) == ()
    assert await owners(projects) == {CONSOLE: "", "default": "", "shop": ""}


async def test_all_are_owners_of_one_team_with_all_projects(world: World, admins: Admins, projects: Projects) -> None:
    await projects.create("before")
    for number in range(3):
        await make(admins, f"root{number}@example.com")
    await projects.create("after")
    (team,) = await teams(world)
    assert (team.name, team.total) == ("Administrators", 3)
    assert await owners(projects) == {CONSOLE: "", "default": team.id, "before": team.id, "after": team.id}
    members = await world.backend.services.teams.members(CONSOLE_SERVER, team.id)
    assert {(member.membership.roles, member.membership.confirmed) for member in members.items} == {(("owner",), True)}


async def test_addresses_are_taken_once(admins: Admins) -> None:
    await make(admins)
    with pytest.raises(UserExists):
        await make(admins)
    assert [user.email for user in await admins.list()] == ["root@example.com"]


@pytest.mark.parametrize("by", ["id", "address", "ADDRESS"])
async def test_one_is_deleted(world: World, admins: Admins, projects: Projects, by: str) -> None:
    user_id = await make(admins)
    await make(admins, "other@example.com")
    name = {"id": user_id, "address": "root@example.com", "ADDRESS": "ROOT@example.com"}[by]
    assert (await admins.delete(name)).id == user_id
    with pytest.raises(UserNotFound):
        await admins.delete(name)
    (team,) = await teams(world)
    assert team.total == 1
    assert (await owners(projects))["default"] == team.id


async def test_the_last_one_may_go_and_the_next_finds_all_as_it_was(
    world: World, admins: Admins, projects: Projects
) -> None:
    await make(admins)
    before = await teams(world)
    await admins.delete("root@example.com")
    assert await admins.list() == ()
    await make(admins)
    assert await teams(world) == before
    assert (await owners(projects))["default"] == before[0].id


async def test_a_team_that_was_deleted_is_made_again(world: World, admins: Admins, projects: Projects) -> None:
    await make(admins)
    (old,) = await teams(world)
    await world.backend.services.teams.delete(CONSOLE_SERVER, old.id)
    await projects.create("orphan")
    await make(admins, "other@example.com")
    (new,) = await teams(world)
    assert new.id != old.id
    assert await owners(projects) == {CONSOLE: "", "default": new.id, "orphan": new.id}


async def test_projects_of_other_teams_stay_theirs(world: World, admins: Admins, projects: Projects) -> None:
    team = await world.backend.services.teams.create(CONSOLE_SERVER, name="Shop")
    await world.backend.db.write(
        lambda tx: tx.stores.projects.insert(tx, Project(id="shop", name="Shop", team_id=team.id, created_at=tx.now))
    )
    await make(admins)
    found = await owners(projects)
    assert found["shop"] == team.id
    assert found["default"] not in ("", team.id)


async def test_sign_up_is_open_again_when_the_last_one_closed_its_account(world: World, admins: Admins) -> None:
    await make(admins)
    assert await admins.open_setup() == ""
    root = await World(world.server, world.http, CONSOLE).log_in("root@example.com")
    assert (await root.delete("/account")).status == 204
    assert await admins.open_setup() != ""
