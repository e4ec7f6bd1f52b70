"""`litewrite mail`: what tests of apps type to get the link of a mail."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from litewrite import Config, Litewrite, ThreadedServer
from litewrite.commands import COMMANDS, LONGEST_WAIT, perform
from litewrite.control import CommandFailed
from tests.conftest import World
from tests.test_cli import PROGRAM, Server, answer, fail, succeed

RECOVERY = {"email": "ada@example.com", "url": "http://localhost/reset"}


async def wait(world: World, **changed: str) -> Any:
    arguments = {"project": "default", "to": "ada@example.com", "kind": "", "after": "", "timeout": "0", **changed}
    return await perform(world.backend, "mail.wait", arguments)


async def test_waiting_for_a_mail(world: World) -> None:
    await world.sign_up()
    waiting = asyncio.create_task(wait(world, timeout="20"))
    await asyncio.sleep(0.05)
    await world.guest.post("/account/recovery", RECOVERY)
    mail = await waiting
    assert (mail["kind"], mail["to"], mail["subject"]) == ("recovery", "ada@example.com", "Password Reset")
    assert mail["link"] in mail["text"].splitlines()
    assert json.loads(json.dumps(mail)) == mail
    assert await wait(world) == mail
    with pytest.raises(CommandFailed, match=r"No mail to ada@example.com came to the project default within 0.05 sec"):
        await wait(world, after=mail["id"], timeout="0.05")
    with pytest.raises(CommandFailed, match="No invitation mail to"):
        await wait(world, kind="invitation")


@pytest.mark.parametrize("timeout", ["", "x", "-1", "nan", "inf", "1e9"])
async def test_bad_timeouts(world: World, timeout: str) -> None:
    with pytest.raises(CommandFailed, match="The timeout is a number of seconds from 0 to 3600"):
        await wait(world, timeout=timeout)
    assert COMMANDS["mail.wait"].seconds > LONGEST_WAIT


async def test_other_refusals(world: World) -> None:
    with pytest.raises(CommandFailed, match=r"There is no kind of mail 'letter'\. There are verification"):
        await wait(world, kind="letter")
    with pytest.raises(CommandFailed, match="no project with the id other"):
        await wait(world, project="other")
    with pytest.raises(CommandFailed, match="no mail with the id 61d5c1a2b3c4d in the project default"):
        await perform(world.backend, "mail.show", {"project": "default", "mail": "61d5c1a2b3c4d"})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"mail": "off"}, "has mail switched off"), ({"smtp_url": "smtp://127.0.0.1:9"}, "sends its mails")],
)
async def test_without_an_outbox(config: Config, settings: dict[str, str], reason: str) -> None:
    async with Litewrite(replace(config, **settings)) as server, aiohttp.ClientSession() as http:
        with pytest.raises(CommandFailed, match=reason):
            await wait(World(server, http))


def request_recovery(server: Server, email: str = "ada@example.com") -> None:
    import urllib.request

    for path, body in (
        ("/account", {"email": email, "password": "password", "name": "Ada"}),
        ("/account/recovery", {**RECOVERY, "email": email}),
    ):
        request = urllib.request.Request(
            server.info["endpoint"] + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Appwrite-Project": "default"},
        )
        with urllib.request.urlopen(request, timeout=10) as answered:
            assert answered.status == 201


def test_with_a_running_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Server(data).wait()
    try:
        assert answer("mail", "list", "--data", data) == []
        assert succeed("mail", "list", "--data", data) == "There are none\n"
        failure = fail("mail", "wait", "--to", "ada@example.com", "--timeout", "0.2", "--data", data)
        assert failure == "litewrite: No mail to ada@example.com came to the project default within 0.2 seconds\n"
        waiting = subprocess.Popen(
            [*PROGRAM, "mail", "wait", "--to", "Ada@example.com", "--timeout", "30", "--json", "--data", str(data)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            time.sleep(0.3)
            request_recovery(server)
            output, _ = waiting.communicate(timeout=30)
        finally:
            waiting.kill()
            waiting.wait()
        assert waiting.returncode == 0
        mail = json.loads(output)
        shown = succeed("mail", "show", mail["id"], "--data", data)
        assert shown == succeed("mail", "wait", "--to", "ada@example.com", "--kind", "recovery", "--data", data)
        assert mail["link"] in shown.splitlines()
        assert "Subject: Password Reset" in shown
        (listed,) = answer("mail", "list", "--to", "ada@example.com", "--data", data)
        assert {name: mail[name] for name in listed} == listed
        assert mail["id"] in succeed("mail", "list", "--data", data)
        assert "secret" not in succeed("mail", "list", "--json", "--data", data)
    finally:
        server.stop()
    assert answer("mail", "show", mail["id"], "--data", data) == mail
    started = time.monotonic()
    failure = fail("mail", "wait", "--to", "bob@example.com", "--timeout", "60", "--data", data)
    assert "no server runs that could send one" in failure
    assert time.monotonic() - started < 30


def test_wrong_command_lines(tmp_path: Path) -> None:
    fail("mail", "wait", "--data", tmp_path, code=2)
    fail("mail", "show", "--data", tmp_path, code=2)


def test_a_server_in_a_thread_ends_while_a_command_waits(config: Config) -> None:
    server = ThreadedServer(config)
    server.start()
    failures: list[str] = []

    def run() -> None:
        from litewrite.commands import run

        arguments = {"project": "default", "to": "a@b.c", "kind": "", "after": "", "timeout": "60"}
        try:
            asyncio.run(run(config, "mail.wait", arguments))
        except CommandFailed as error:
            failures.append(str(error))

    waiting = threading.Thread(target=run)
    waiting.start()
    time.sleep(0.3)
    started = time.monotonic()
    server.stop()
    waiting.join(20)
    assert not waiting.is_alive()
    assert time.monotonic() - started < 10
    assert len(failures) == 1
