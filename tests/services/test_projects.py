"""Projects, their keys, and what every request asks of them."""

from __future__ import annotations

import asyncio
import re

import pytest

from litewrite.db.removals import Removal
from litewrite.errors import ArgumentInvalid, KeyNotFound, ProjectExists, ProjectNotFound
from litewrite.security import hash_secret
from litewrite.services.projects import MOST_KEPT, Keys, Projects, check_project_id, ensure_project
from tests.conftest import World


@pytest.fixture
def projects(world: World) -> Projects:
    made: Projects = world.backend.services.projects
    return made


@pytest.fixture
def keys(world: World) -> Keys:
    made: Keys = world.backend.services.keys
    return made


@pytest.mark.parametrize("project_id", ["a", "A-1_b.c", "0", "x" * 32])
def test_good_ids(project_id: str) -> None:
    assert check_project_id(project_id) == project_id


@pytest.mark.parametrize("project_id", ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", "x" * 33, "a:b"])
def test_bad_ids(project_id: str) -> None:
    with pytest.raises(ArgumentInvalid):
        check_project_id(project_id)


class TestProjects:
    async def test_the_first_two_are_there(self, projects: Projects) -> None:
        assert [project.id for project in await projects.list()] == ["console", "default"]

    async def test_one_is_made_once(self, projects: Projects) -> None:
        made = await projects.create("app", "My App")
        assert (made.id, made.name) == ("app", "My App")
        assert (await projects.create("nameless")).name == "nameless"
        with pytest.raises(ProjectExists):
            await projects.create("app")
        with pytest.raises(ProjectExists):
            await projects.create("console")
        with pytest.raises(ArgumentInvalid):
            await projects.create("a b")

    async def test_one_is_removed(self, projects: Projects) -> None:
        await projects.create("app")
        assert await projects.view("app") is not None
        await projects.delete("app")
        assert await projects.view("app") is None
        with pytest.raises(ProjectNotFound):
            await projects.delete("app")
        with pytest.raises(ArgumentInvalid):
            await projects.delete("console")

    async def test_the_id_of_one_that_is_being_removed_is_not_given_again(
        self, world: World, projects: Projects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on = asyncio.Event()
        carry_out = world.backend.cleanup._carry_out

        async def slow(removal: Removal) -> None:
            await go_on.wait()
            await carry_out(removal)

        monkeypatch.setattr(world.backend.cleanup, "_carry_out", slow)
        await projects.create("app")
        old = World(world.server, world.http, "app")
        await old.sign_up()
        await projects.delete("app")
        for make in (projects.create("app"), world.backend.db.write(ensure_project("app"))):
            with pytest.raises(ProjectExists, match="still being removed: try again shortly"):
                await make
        assert await projects.view("app") is None
        go_on.set()
        async with asyncio.timeout(10):
            while True:
                try:
                    await projects.create("app")
                    break
                except ProjectExists:
                    await asyncio.sleep(0.01)
        await old.sign_up()
        await asyncio.sleep(0.05)
        assert (await old.log_in("ada@example.com")).user["email"] == "ada@example.com"

    async def test_one_that_was_unknown_is_seen_once_it_is_made(self, projects: Projects) -> None:
        assert await projects.view("app") is None
        await projects.create("app")
        assert await projects.view("app") is not None

    @pytest.mark.parametrize("project_id", ["", "a b", "\udcff", "x" * 10_000, "a\0b"])
    async def test_what_is_no_id_is_no_project(self, projects: Projects, project_id: str) -> None:
        assert await projects.view(project_id) is None

    async def test_a_view_is_remembered(self, projects: Projects) -> None:
        assert await projects.view("default") is await projects.view("default")
        assert len(projects._views) <= MOST_KEPT


class TestKeys:
    async def test_the_secret_is_shown_once(self, keys: Keys) -> None:
        key, secret = await keys.create("default", "mine", ["files.read", "files.write", "files.read"])
        assert re.fullmatch("[0-9a-f]{256}", secret)
        assert (key.name, key.scopes) == ("mine", ("files.read", "files.write"))
        assert (key.secret_hash, key.hint) == (hash_secret(secret), secret[:8])
        assert await keys.get("default", key.id) == key
        assert await keys.list("default") == (key,)

    async def test_they_belong_to_their_project(self, keys: Keys, projects: Projects) -> None:
        await projects.create("other")
        key, _ = await keys.create("default", "mine", [])
        assert await keys.list("other") == ()
        for call in (
            keys.get("other", key.id),
            keys.update("other", key.id, "x", []),
            keys.delete("other", key.id),
            keys.get("default", "unknown"),
        ):
            with pytest.raises(KeyNotFound):
                await call
        with pytest.raises(ProjectNotFound):
            await keys.create("missing", "x", [])

    async def test_they_are_changed_and_deleted(self, keys: Keys) -> None:
        key, _ = await keys.create("default", "mine", [])
        await keys.update("default", key.id, "yours", ["files.read"])
        found = await keys.get("default", key.id)
        assert (found.name, found.scopes, found.secret_hash) == ("yours", ("files.read",), key.secret_hash)
        await keys.delete("default", key.id)
        assert await keys.list("default") == ()

    async def test_they_go_with_their_project(self, keys: Keys, projects: Projects) -> None:
        await projects.create("other")
        key, _ = await keys.create("other", "mine", [])
        await projects.delete("other")
        with pytest.raises(ProjectNotFound):
            await keys.get("other", key.id)
