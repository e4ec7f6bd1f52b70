"""The webhooks commands, with and without a server, and what a server that is killed still delivers."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from litewrite.api.v0_11.events import SUBSCRIBABLE
from litewrite.cli import main
from tests.catcher import catching
from tests.test_cli import Server, answer, data, posix, start, succeed

__all__ = ["data", "start"]
TARGET = "http://127.0.0.1:9/"
ID = re.compile(r"[0-9a-f]{13}")


@dataclass
class Shell:
    """Gives commands within this process."""

    data: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def run(self, *arguments: str, text: str = "") -> tuple[int, str, str]:
        self.patch.setattr("sys.stdin", io.StringIO(text))
        command, subcommand, *rest = arguments
        code = main([command, subcommand, "--data", str(self.data), *rest])
        out, errors = self.capture.readouterr()
        return code, out, errors

    def succeed(self, *arguments: str, text: str = "") -> str:
        code, out, errors = self.run(*arguments, text=text)
        assert (code, errors) == (0, "")
        return out

    def answer(self, *arguments: str, text: str = "") -> Any:
        return json.loads(self.succeed(*arguments, "--json", text=text))

    def fail(self, *arguments: str) -> str:
        code, out, errors = self.run(*arguments)
        assert (code, out, errors.count("\n")) == (1, "", 1)
        return errors


@pytest.fixture
def shell(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(data, capsys, monkeypatch)


def test_making_listing_and_deleting(shell: Shell) -> None:
    made = shell.succeed("webhooks", "create", "--name", "mine", "--url", TARGET, "--events", "all")
    *_, secret, webhook_id = made.splitlines()
    assert ID.fullmatch(webhook_id)
    assert re.search(r"signed with [0-9a-f]{256}$", secret)
    (listed,) = shell.answer("webhooks", "list")
    assert listed.pop("created_at")
    assert listed == {
        "id": webhook_id,
        "project": "default",
        "name": "mine",
        "url": TARGET,
        "events": list(SUBSCRIBABLE),
        "verify": True,
        "user": "",
    }
    assert webhook_id in shell.succeed("webhooks", "list")
    assert shell.succeed("webhooks", "deliveries", webhook_id) == "There are none\n"
    assert f"Deleted the webhook {webhook_id} (mine)" in shell.succeed("webhooks", "delete", webhook_id)
    assert shell.answer("webhooks", "list") == []
    assert "There is no project with the id none" in shell.fail("webhooks", "list", "--project", "none")
    for command in ("delete", "deliveries"):
        assert f"no webhook with the id {webhook_id}" in shell.fail("webhooks", command, webhook_id)


def test_choosing_events_and_credentials(shell: Shell) -> None:
    chosen = ["--name", "mine", "--url", "https://example.com/hook", "--events", "teams.create, users.delete"]
    made = shell.answer("webhooks", "create", *chosen, "--user", "ada", "--no-verify", text="geheim\n")
    assert (made["events"], made["user"], made["verify"]) == (["teams.create", "users.delete"], "ada", False)
    assert "geheim" not in json.dumps(made)
    (listed,) = shell.answer("webhooks", "list")
    assert "secret" not in listed
    assert listed["id"] == made["id"]
    shell.succeed("projects", "create", "other")
    assert shell.answer("webhooks", "list", "--project", "other") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--name", "", "--url", TARGET, "--events", "all"), "The name is empty"),
        (("--name", "x", "--url", "example.com", "--events", "all"), "The URL"),
        (("--name", "x", "--url", "ftp://example.com/", "--events", "all"), "The URL"),
        (("--name", "x", "--url", TARGET, "--events", "teams.create,nothing"), "There is no event nothing. There are"),
        (("--name", "x", "--url", TARGET, "--events", " , "), "Name events, with commas between them, or all"),
        (("--name", "x", "--url", TARGET, "--events", "all", "--user", "ada"), "No password was given"),
    ],
)
def test_what_cannot_be_is_told(shell: Shell, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in shell.fail("webhooks", "create", *arguments)


async def call(server: Server, path: str, body: Any) -> int:
    import aiohttp

    headers = {"X-Appwrite-Project": "default"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(server.info["endpoint"] + path, json=body, headers=headers) as response,
    ):
        return response.status


async def sign_up(server: Server, name: str) -> None:
    status = await call(server, "/account", {"email": f"{name}@example.com", "password": "password", "name": name})
    assert status == 201


async def test_a_running_server_tells_of_deliveries(data: Path, start: Callable[..., Server]) -> None:
    server = await asyncio.to_thread(start().wait)
    async with catching() as target:
        target.answers = [404, 200, 503]
        made = await asyncio.to_thread(
            answer, "webhooks", "create", "--data", data, "--name", "x", "--url", target.url(), "--events", "all"
        )
        for name in ("ada", "bob", "cleo"):
            await sign_up(server, name)
        await target.wait_for(3)
        await asyncio.sleep(0.1)
        listed = await asyncio.to_thread(answer, "webhooks", "deliveries", "--data", data, made["id"])
    assert [(each["state"], each["status"], each["attempts"]) for each in listed] == [
        ("waiting", 503, 1),
        ("delivered", 200, 1),
        ("failed", 404, 1),
    ]
    assert [bool(each["next_at"]) for each in listed] == [True, False, False]
    assert [each["id"] for each in listed] == [each.delivery for each in reversed(target.caught)]


@posix
async def test_what_was_committed_is_delivered_after_a_kill(data: Path, start: Callable[..., Server]) -> None:
    """Ends the server with SIGKILL between the commit and the delivery of some events."""
    async with catching() as target:
        never = asyncio.Event()
        target.answers = [never]
        await asyncio.to_thread(
            succeed, "webhooks", "create", "--data", data, "--name", "x", "--url", target.url(), "--events",
            "account.create",
        )  # fmt: skip
        server = await asyncio.to_thread(start().wait)
        names = [f"user{number}" for number in range(8)]
        for name in names:
            await sign_up(server, name)
        (first,) = await target.wait_for(1)
        server.process.kill()
        await asyncio.to_thread(server.end)
        server.ready.unlink()
        never.set()
        await asyncio.to_thread(start().wait)
        caught = await target.wait_for(1 + len(names))
    assert [each.json["name"] for each in caught] == [names[0], *names]
    assert caught[1].delivery == first.delivery
    deliveries = {each.delivery: each for each in caught}
    assert len(deliveries) == len(names)
