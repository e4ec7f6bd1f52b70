"""App ids and secrets of providers in the settings of a project."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from litewrite.db import projects as project_rows
from litewrite.db.query import Query, scalar
from litewrite.entities import Project
from litewrite.errors import ArgumentInvalid, ProjectNotFound
from litewrite.services.providers import PROVIDERS, Providers
from tests.conftest import World


@pytest.fixture
def providers(world: World) -> Any:
    return world.backend.services.providers


async def changed(world: World, key: str, app_id: str, secret: str) -> Project:
    """The project after new credentials."""
    await world.backend.services.providers.set("default", key, app_id, secret)
    project = await world.backend.db.read(project_rows.get("default"))
    assert project is not None
    return project


async def test_they_are_stored_encrypted(world: World, providers: Providers) -> None:
    project = await changed(world, "github", "app-1", "geheim")
    assert providers.credentials(project, "github") == ("app-1", "geheim")
    assert providers.credentials(project, "google") == ("", "")
    text = await world.backend.db.read(Query("SELECT settings FROM projects WHERE id = 'default'", (), scalar))
    assert "app-1" in text
    assert "geheim" not in text


async def test_other_settings_stay(world: World, providers: Providers) -> None:
    await changed(world, "github", "a", "b")
    project = await changed(world, "google", "c", "d")
    assert set(project.settings["providers"]) == {"github", "google"}
    project = await changed(world, "github", "", "")
    assert set(project.settings["providers"]) == {"google"}
    assert providers.credentials(project, "github") == ("", "")
    view = await world.backend.services.projects.view("default")
    assert view is not None
    assert view.project == project


@pytest.mark.parametrize(
    ("key", "app_id", "secret", "param"),
    [
        ("nobody", "a", "b", "provider"),
        ("Github", "a", "b", "provider"),
        ("github", "a" * 257, "b", "appId"),
        ("github", "a", "b" * 513, "secret"),
        ("github", "\ud800", "b", "appId"),
    ],
)
async def test_refused(providers: Providers, key: str, app_id: str, secret: str, param: str) -> None:
    with pytest.raises(ArgumentInvalid) as refused:
        await providers.set("default", key, app_id, secret)
    assert refused.value.param == param


async def test_the_longest(world: World, providers: Providers) -> None:
    project = await changed(world, "apple", "a" * 256, "b" * 512)
    assert providers.credentials(project, "apple") == ("a" * 256, "b" * 512)


async def test_an_unknown_project(providers: Providers) -> None:
    with pytest.raises(ProjectNotFound):
        await providers.set("unknown", "github", "a", "b")


async def test_a_damaged_secret_is_no_secret_of_another_kind(world: World, providers: Providers) -> None:
    project = await changed(world, "github", "a", "b")
    for damaged in ("!!!", "AAAA"):
        broken = replace(project, settings={"providers": {"github": {"app_id": "a", "secret": damaged}}})
        with pytest.raises(ValueError):
            providers.credentials(broken, "github")


async def test_the_mock_provider_needs_no_settings_where_it_is_served(world: World, providers: Providers) -> None:
    project = await world.backend.db.read(project_rows.get("default"))
    assert project is not None
    assert providers.credentials(project, "mock") == ("", "")
    with_mock = Providers(world.backend.db, None, with_mock=True)  # type: ignore[arg-type]
    assert with_mock.credentials(project, "mock") == ("1", "123456")


def test_all_of_them_are_known() -> None:
    assert len(PROVIDERS) == 26
