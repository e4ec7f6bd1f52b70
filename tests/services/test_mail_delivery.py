"""Mails on their way to a real mail server: sent once, kept while it is down, given up at last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from litewrite import Config, Litewrite
from litewrite.db.engine import Transaction
from litewrite.entities import MailState, StoredMail
from litewrite.services import mail_delivery
from litewrite.services.mail_delivery import Backoff, MailDelivery
from litewrite.smtp import SmtpServer
from tests.conftest import World
from tests.mail_server import MailServer, mail_server

RECOVERY = {"email": "ada@example.com", "url": "http://localhost/reset"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        MailDelivery.__init__,
        "__kwdefaults__",
        {
            "mail_backoff": Backoff(0.05, 0.2),
            "server_backoff": Backoff(0.05, 0.2),
        },
    )


@contextlib.asynccontextmanager
async def sending(config: Config, port: int, **settings: Any) -> AsyncIterator[World]:
    settings = {"smtp_url": f"smtp://127.0.0.1:{port}", "mail_from": "post@example.com"} | settings
    async with (
        Litewrite(replace(config, **settings)) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield World(server, http)


async def states(world: World, *wanted: MailState, attempts: int = 0) -> list[StoredMail]:
    """The mails of the project, once they are in these states and have had as many attempts, newest first."""
    async with asyncio.timeout(20):
        while True:
            mails = await world.backend.services.mails.list("default")
            if [mail.state for mail in mails] == list(wanted) and all(mail.attempts >= attempts for mail in mails):
                return list(mails)
            await asyncio.sleep(0.01)


async def test_a_mail_is_sent_once_and_at_once(config: Config) -> None:
    async with mail_server() as server, sending(config, server.port) as world:
        await world.sign_up()
        started = time.monotonic()
        assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
        (message,) = await server.wait_for(1)
        assert time.monotonic() - started < 2.0
        assert message["Subject"] == "Password Reset"
        (sender,) = message["From"].addresses
        assert (sender.display_name, sender.addr_spec) == ("default Team", "post@example.com")
        (recipient,) = message["To"].addresses
        assert (recipient.display_name, recipient.addr_spec) == ("Ada", "ada@example.com")
        (envelope,) = server.envelopes
        assert (envelope.mail_from, envelope.rcpt_tos) == ("post@example.com", ["ada@example.com"])
        text = message.get_body(("plain",)).get_content()
        secret = text.split("&secret=")[1][:256]
        user_id = text.split("?userId=")[1][:13]
        new = {"userId": user_id, "secret": secret, "password": "new-password", "passwordAgain": "new-password"}
        assert (await world.guest.put("/account/recovery", new)).status == 200
        (stored,) = await states(world, MailState.SENT)
        assert (stored.content, stored.attempts, stored.last_error) == (b"", 0, "")
        await asyncio.sleep(0.2)
        assert len(server.envelopes) == 1


async def test_many_mails_share_connections(config: Config) -> None:
    async with mail_server() as server, sending(config, server.port) as world:
        answers = await asyncio.gather(
            *(
                world.guest.post("/account/sessions/magic-url", {"email": f"user{number}@example.com"})
                for number in range(30)
            )
        )
        assert {answer.status for answer in answers} == {201}
        await server.wait_for(30)
        await states(world, *[MailState.SENT] * 30)
        recipients = {envelope.rcpt_tos[0] for envelope in server.envelopes}
        assert len(recipients) == len(server.envelopes) == 30
        assert server.connections < 30


async def test_a_server_that_is_down_fails_no_request(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "litewrite")
    async with mail_server() as server:
        port = server.port
    async with sending(config, port) as world:
        await world.sign_up()
        for _ in range(2):
            assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
        mails = await states(world, MailState.QUEUED, MailState.QUEUED, attempts=2)
        assert all(mail.last_error for mail in mails)
        assert "no mail can be sent" in caplog.text
        async with mail_server(port=port) as server:
            await server.wait_for(2)
            await states(world, MailState.SENT, MailState.SENT)
            assert len(server.envelopes) == 2


async def test_the_queue_outlives_the_process(config: Config) -> None:
    async with mail_server() as server:
        port = server.port
    async with sending(config, port) as world:
        await world.sign_up()
        assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
    async with mail_server(port=port) as server, sending(config, port) as world:
        await server.wait_for(1)
        await states(world, MailState.SENT)


async def test_a_mail_that_is_not_taken_for_now(config: Config) -> None:
    server = MailServer(answers=["451 later", "452 no room"])
    async with mail_server(server=server), sending(config, server.port) as world:
        await world.sign_up()
        assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
        await server.wait_for(1)
        (stored,) = await states(world, MailState.SENT)
        assert stored.attempts == 2


async def test_a_mail_that_is_refused(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "litewrite")
    server = MailServer(answers=["554 we think it is spam"])
    async with mail_server(server=server), sending(config, server.port) as world:
        await world.sign_up()
        assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
        (stored,) = await states(world, MailState.FAILED)
        assert (stored.content, stored.last_error) == (b"", "554 we think it is spam")
        assert "is not going to be sent: 554" in caplog.text
        assert "secret" not in caplog.text
        assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
        await server.wait_for(1)
        await states(world, MailState.SENT, MailState.FAILED)


async def test_a_mail_is_given_up_after_a_day(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_delivery, "GIVEN_UP_AFTER", timedelta(seconds=0.3))
    async with mail_server() as server:
        port = server.port
    async with sending(config, port) as world:
        await world.sign_up()
        assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
        (stored,) = await states(world, MailState.FAILED)
        assert stored.content == b""
        assert stored.attempts >= 1
        assert stored.last_error


async def test_a_mail_that_cannot_be_read_hinders_no_other(config: Config) -> None:
    async with mail_server() as server:
        port = server.port
    async with sending(config, port) as world:
        await world.sign_up()
        for _ in range(2):
            assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
    async with sending(config, port, mail="off") as world:
        oldest = (await states(world, MailState.QUEUED, MailState.QUEUED))[1]

        def spoil(tx: Transaction) -> None:
            tx.execute("UPDATE mails SET content = ? WHERE id = ?", (b"x" * 40, oldest.id))

        await world.backend.db.write(spoil)
    async with mail_server(port=port) as server, sending(config, port) as world:
        await states(world, MailState.SENT, MailState.FAILED)
        assert len(server.envelopes) == 1


async def test_stopping_does_not_wait_for_a_server_that_says_nothing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_delivery, "STOP_SECONDS", 0.1)
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        async with sending(config, port) as world:
            await world.sign_up()
            started = time.monotonic()
            assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
            assert time.monotonic() - started < 2.0
            async with asyncio.timeout(10):
                await connected.wait()
            started = time.monotonic()
        assert time.monotonic() - started < 5.0


async def test_waiting_between_attempts() -> None:
    backoff = Backoff(30.0, 3_600.0)
    assert [backoff.after(attempts) for attempts in (0, 1, 2, 7, 8, 10_000)] == [30, 60, 120, 3_600, 3_600, 3_600]


async def test_only_a_server_sends(config: Config) -> None:
    """A command that opens the folder leaves the queue alone."""
    async with mail_server() as server:
        async with sending(config, server.port) as world:
            assert world.backend.services.mails.on_queued is not None
        async with sending(config, server.port, mail="outbox") as world:
            assert world.backend.services.mails.mode == "outbox"
            assert world.backend.services.mails.on_queued is None
        assert SmtpServer.parse(f"smtp://127.0.0.1:{server.port}").is_local
