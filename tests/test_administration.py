"""Commands about administrators, platforms, providers and settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from litewrite import Config
from litewrite.commands import CommandFailed, perform, run
from litewrite.db import projects as project_rows
from litewrite.entities import CONSOLE
from tests.conftest import FAST, World

ROOT = {"email": "Root@Example.com", "name": "Root", "password": "password"}
NOTHING = {"origin": "", "host": "", "type": "", "key": "", "name": ""}


class Commands:
    """Gives commands to a running server, about its default project unless told."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    async def __call__(self, command: str, **arguments: str) -> Any:
        if not command.startswith("admins."):
            arguments.setdefault("project", "default")
        result = await perform(self._backend, command, arguments)
        return json.loads(json.dumps(result))

    async def fail(self, command: str, **arguments: str) -> str:
        with pytest.raises(CommandFailed) as failed:
            await self(command, **arguments)
        sentence = str(failed.value)
        assert "\n" not in sentence
        return sentence


@pytest.fixture
def command(world: World) -> Commands:
    return Commands(world.backend)


class TestAdmins:
    async def test_one_is_made_listed_and_deleted(self, world: World, command: Commands) -> None:
        made = await command("admins.create", **ROOT)
        assert (made["email"], made["name"], made["blocked"]) == ("root@example.com", "Root", False)
        assert set(made) == {"id", "email", "name", "blocked", "created_at"}
        assert await command("admins.list") == [made]
        root = await World(world.server, world.http, CONSOLE).log_in("root@example.com")
        assert (await root.get("/projects"))["sum"] == 1
        assert await command("admins.delete", admin="root@example.com") == made
        assert (await root.get("/projects")).status == 401
        assert await command("admins.list") == []

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"email": "root"}, "The e-mail address must be"),
            ({"email": ""}, "The e-mail address must be"),
            ({"password": "short"}, "The password must be"),
            ({"password": "x" * 33}, "The password must be"),
            ({"name": "x" * 129}, "at most 128 characters"),
            ({"name": "a\nb"}, "printable"),
        ],
    )
    async def test_what_is_refused(self, command: Commands, wrong: dict[str, str], sentence: str) -> None:
        assert sentence in await command.fail("admins.create", **{**ROOT, **wrong})
        assert await command("admins.list") == []

    async def test_taken_and_unknown_ones(self, command: Commands) -> None:
        await command("admins.create", **ROOT)
        assert "exists already" in await command.fail("admins.create", **ROOT)
        assert await command.fail("admins.delete", admin="eve") == "There is no administrator eve"


class TestPlatforms:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"origin": "tauri://localhost"}, ("web", "", "tauri://localhost")),
            ({"origin": "App://Bundle/"}, ("web", "", "app://bundle")),
            ({"origin": "app://"}, ("web", "", "app://")),
            ({"origin": "file:///"}, ("web", "", "file://")),
            ({"origin": "null"}, ("web", "", "null")),
            ({"origin": "https://app.example.com:8443"}, ("web", "app.example.com", "")),
            ({"origin": "http://[2001:db8::1]:80/"}, ("web", "2001:db8::1", "")),
            ({"host": "app.example.com"}, ("web", "app.example.com", "")),
            ({"type": "android", "key": "com.example.app"}, ("android", "", "com.example.app")),
        ],
    )
    async def test_one_is_added(
        self, world: World, command: Commands, given: dict[str, str], expected: tuple[str, str, str]
    ) -> None:
        made = await command("platforms.add", **{**NOTHING, **given, "name": "Mine"})
        assert (made["type"], made["host"], made["key"]) == expected
        assert (made["name"], made["project"]) == ("Mine", "default")
        assert await command("platforms.list") == [made]
        view = await world.backend.services.projects.view("default")
        assert view.web_hosts | view.app_hosts == {expected[1] or expected[2]}
        assert await command("platforms.delete", platform=made["id"]) == made
        assert await command("platforms.list") == []
        assert "There is no platform" in await command.fail("platforms.delete", platform=made["id"])

    async def test_the_name_is_what_was_declared(self, command: Commands) -> None:
        assert (await command("platforms.add", **{**NOTHING, "origin": "app://x"}))["name"] == "app://x"

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"origin": "app://x", "host": "x"},
            {"origin": "app://x", "key": "x", "type": "android"},
            {"key": "com.example"},
            {"type": "android"},
            {"type": "web", "key": "x"},
            {"type": "toaster", "key": "x"},
            {"origin": "localhost"},
            {"origin": "https://"},
            {"origin": "https://x/path"},
            {"origin": "https://user@x"},
            {"origin": "nonsense"},
            {"host": "x" * 257},
            {"host": "a\nb"},
            {"host": "x", "name": "x" * 129},
        ],
    )
    async def test_what_is_refused(self, command: Commands, wrong: dict[str, str]) -> None:
        await command.fail("platforms.add", **{**NOTHING, **wrong})
        assert await command("platforms.list") == []

    async def test_of_the_console_and_of_no_project(self, command: Commands) -> None:
        made = await command("platforms.add", **{**NOTHING, "origin": "app://x"}, project=CONSOLE)
        assert made["project"] == CONSOLE
        assert await command("platforms.list") == []
        for name, arguments in (("platforms.add", {**NOTHING, "host": "x"}), ("platforms.list", {})):
            sentence = await command.fail(name, **arguments, project="nowhere")
            assert sentence == "There is no project with the id nowhere"


class TestProviders:
    async def test_on_and_off(self, world: World, command: Commands) -> None:
        made = await command("providers.set", provider="github", app_id="abc", secret="hush")
        assert made == {"project": "default", "provider": "github", "app_id": "abc", "on": True}
        assert await command("providers.list") == [{"provider": "github", "app_id": "abc", "on": True}]
        project = await world.backend.db.read(project_rows.get("default"))
        assert world.backend.services.providers.credentials(project, "github") == ("abc", "hush")
        assert (await command("providers.set", provider="github", app_id="", secret=""))["on"] is False
        assert await command("providers.list") == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"provider": "unknown"},
            {"app_id": ""},
            {"secret": ""},
            {"app_id": "x" * 257},
            {"secret": "x" * 513},
            {"project": "nowhere"},
        ],
    )
    async def test_what_is_refused(self, command: Commands, wrong: dict[str, str]) -> None:
        await command.fail("providers.set", **{"provider": "github", "app_id": "a", "secret": "b", **wrong})
        assert await command("providers.list") == []


class TestSettings:
    async def test_each_can_be_changed_and_the_others_stay(self, world: World, command: Commands) -> None:
        expected = await command("settings.show")
        values = {"url": "https://example.com", "user-limit": "7", "name": "Shop"}
        for name in expected:
            value = "off" if name.startswith("auth.") else values.get(name, f"my {name}")
            expected[name] = 7 if name == "user-limit" else value
            assert await command("settings.set", name=name, value=value) == expected
        assert await command("settings.show") == expected
        view = await world.backend.services.projects.view("default")
        assert (view.project.name, view.project.user_limit) == ("Shop", 7)
        assert not view.project.auth_enabled("jwt")
        assert (await world.guest.post("/account/sessions/anonymous", {})).status == 501
        await command("settings.set", name="description", value="")
        assert (await command("settings.show"))["description"] == ""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("unknown", "x"),
            ("auth.telepathy", "on"),
            ("auth.jwt", "maybe"),
            ("user-limit", "-1"),
            ("user-limit", "many"),
            ("name", ""),
            ("name", "x" * 129),
            ("url", "example.com"),
            ("description", "x" * 257),
            ("team_id", "x"),
        ],
    )
    async def test_what_is_refused(self, command: Commands, name: str, value: str) -> None:
        before = await command("settings.show")
        await command.fail("settings.set", name=name, value=value)
        assert await command("settings.show") == before


async def test_an_id_is_free_again_without_a_server(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data", **FAST)
    await run(config, "projects.create", {"project": "shop", "name": "Old"})
    await run(config, "keys.create", {"project": "shop", "name": "k", "scopes": "all"})
    await run(config, "projects.delete", {"project": "shop"})
    assert (await run(config, "projects.create", {"project": "shop", "name": "New"}))["name"] == "New"
    assert await run(config, "keys.list", {"project": "shop"}) == []


ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LITEWRITE_")}


def typed(data: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "litewrite", *arguments, "--data", str(data)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )


def test_the_command_lines(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lines: list[tuple[tuple[str, ...], str, str]] = [
        (("admins", "create", "--email", "root@example.com", "--name", "Root"), "password\n", "administrator root@"),
        (("admins", "list"), "", "root@example.com  Root  False"),
        (("platforms", "add", "--origin", "tauri://localhost"), "", "tauri://localhost may call the project default"),
        (("platforms", "list"), "", "tauri://localhost"),
        (("providers", "set", "github", "--app-id", "abc"), "hush\n", "github is on"),
        (("providers", "list"), "", "github    abc     True"),
        (("providers", "set", "github", "--off"), "", "github is off"),
        (("settings", "set", "user-limit", "7"), "", "user-limit           7"),
        (("settings", "show"), "", "auth.jwt             on"),
        (("admins", "delete", "root@example.com"), "", "Deleted the administrator root@example.com"),
    ]
    for arguments, given, expected in lines:
        done = typed(data, *arguments, given=given)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert expected in done.stdout
        assert "hush" not in done.stdout
    for arguments in (
        ("admins", "create", "--email", "a@example.com"),
        ("providers", "set", "github", "--app-id", "a"),
    ):
        done = typed(data, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
