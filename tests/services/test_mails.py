"""The outbox and the queue: what is kept of a mail, for how long, and who hears that one came."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from litewrite import Config
from litewrite.db import mails as mail_rows
from litewrite.db import projects as project_rows
from litewrite.db.engine import Transaction
from litewrite.db.query import Query, many
from litewrite.entities import MailState, Project, StoredMail
from litewrite.errors import MailNotFound, Overloaded
from litewrite.reference import Reference
from litewrite.security import ServerSecret
from litewrite.services import mails as module
from litewrite.services.cleanup import MAIL_RETENTION, Cleanup
from litewrite.services.mails import Mails, link_with
from tests.conftest import World

LINK = "http://localhost/x?userId=1&secret=hushhush"


@pytest.fixture
def mails(world: World) -> Mails:
    found: Mails = world.backend.services.mails
    return found


async def queue(world: World, to: str = "ada@example.com", **changed: Any) -> None:
    mails = world.backend.services.mails
    arguments = {"kind": "recovery", "to_name": "Ada", "locale": "en", "link": LINK, "variables": {}} | changed

    def unit(tx: Transaction) -> None:
        mails.queue(tx, project=tx.run(project_rows.get("default")), to=to, **arguments)

    await world.backend.db.write(unit)


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("http://localhost/x", "http://localhost/x?userId=1&secret=s+%26%3D"),
        ("http://localhost:5000/join?a=1#title", "http://localhost:5000/join?a=1&userId=1&secret=s+%26%3D#title"),
        ("http://localhost/?secret=old&a=", "http://localhost/?secret=s+%26%3D&a=&userId=1"),
        ("http://localhost/?a=1&a=2&userId=8&userId=9", "http://localhost/?a=1&a=2&userId=1&secret=s+%26%3D"),
        ("http://localhost/?q=a%20b%2Bc+d", "http://localhost/?q=a+b%2Bc+d&userId=1&secret=s+%26%3D"),
        ("com.example.app://join/now", "com.example.app://join/now?userId=1&secret=s+%26%3D"),
    ],
)
def test_links(url: str, link: str) -> None:
    assert link_with(url, (("userId", "1"), ("secret", "s &="))) == link


async def test_a_mail_in_the_outbox(world: World, mails: Mails) -> None:
    assert (mails.mode, mails.enabled) == ("outbox", True)
    await queue(world)
    (stored,) = await mails.list("default")
    assert (stored.kind, stored.recipient, stored.state) == ("recovery", "ada@example.com", MailState.KEPT)
    assert await mails.get("default", stored.id) == stored
    mail = mails.read(stored)
    assert (mail.subject, mail.link, mail.to, mail.to_name) == ("Password Reset", LINK, "ada@example.com", "Ada")
    assert mail.sender_name == "default Team"
    with pytest.raises(MailNotFound):
        await mails.get("other", stored.id)


async def test_what_it_says_is_encrypted(world: World, mails: Mails) -> None:
    await queue(world)
    every: Query[Any] = Query("SELECT * FROM mails", (), many(lambda row: row))
    (row,) = await world.backend.db.read(every)
    assert not any("hushhush" in str(value) or "Ada" in str(value) for value in row)
    folder = world.backend.config.data_dir
    assert not any(b"hushhush" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_a_unit_that_fails_mails_nothing(world: World, mails: Mails) -> None:
    def unit(tx: Transaction) -> None:
        project = tx.run(project_rows.get("default"))
        assert project is not None
        mails.queue(tx, project=project, kind="recovery", to="a@b.c", to_name="", locale="en", link=LINK, variables={})
        raise MailNotFound

    with pytest.raises(MailNotFound):
        await world.backend.db.write(unit)
    assert await mails.list("default") == ()


async def test_narrowing_down(world: World, mails: Mails) -> None:
    await queue(world)
    await queue(world, kind="verification")
    await queue(world, "bob@example.com")
    newest, middle, oldest = await mails.list("default")
    assert [mail.recipient for mail in (newest, middle, oldest)] == ["bob@example.com", *["ada@example.com"] * 2]
    assert await mails.list("default", to="ADA@example.com") == (middle, oldest)
    assert await mails.list("default", kind="recovery") == (newest, oldest)
    assert await mails.list("default", after=oldest.id) == (newest, middle)
    assert await mails.list("default", to="ada@example.com", kind="recovery", after=oldest.id) == ()
    assert await mails.list("default", limit=1) == (newest,)
    assert await mails.list("other") == ()


async def test_the_oldest_go_beyond_the_bound(world: World, mails: Mails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MAILS", 3)
    for number in range(5):
        await queue(world, f"user{number}@example.com")
    assert [mail.recipient for mail in await mails.list("default")] == [
        f"user{number}@example.com" for number in (4, 3, 2)
    ]


async def test_old_mails_are_cleaned_up(world: World, mails: Mails) -> None:
    await queue(world)
    await queue(world, "bob@example.com")
    newest, oldest = await mails.list("default")
    late = newest.created_at - MAIL_RETENTION - timedelta(seconds=1)

    def age(tx: Transaction) -> None:
        tx.execute("UPDATE mails SET created_at = ? WHERE id = ?", (int(late.timestamp() * 1e6), oldest.id))
        waiting = replace(oldest, id=tx.new_id(), state=MailState.QUEUED, created_at=late)
        tx.stores.mails.insert(tx, waiting)

    await world.backend.db.write(age)
    await Cleanup(world.backend.db, world.backend.blobs, {}).expire()
    assert [(mail.recipient, mail.state) for mail in await mails.list("default")] == [
        ("ada@example.com", MailState.QUEUED),
        ("bob@example.com", MailState.KEPT),
    ]


async def test_waiting_for_one_that_is_there(world: World, mails: Mails) -> None:
    await queue(world)
    (stored,) = await mails.list("default")
    assert await mails.wait("default", to="ada@example.com", seconds=0) == stored
    assert await mails.wait("default", to="bob@example.com", seconds=0) is None
    assert await mails.wait("default", to="ada@example.com", after=stored.id, seconds=0.05) is None


async def test_waiting_for_one_that_comes(world: World, mails: Mails) -> None:
    await queue(world)
    (first,) = await mails.list("default")
    waiting = asyncio.create_task(mails.wait("default", to="ada@example.com", after=first.id, seconds=20))
    await asyncio.sleep(0.05)
    await queue(world, "bob@example.com")
    assert not waiting.done()
    started = time.monotonic()
    await queue(world, kind="verification")
    found = await waiting
    assert found is not None
    assert found.kind == "verification"
    assert time.monotonic() - started < 1.0


async def test_languages(world: World, mails: Mails) -> None:
    await queue(world, locale="de")
    await queue(world, locale="sa")
    english, german = await mails.list("default")
    assert mails.read(german).subject == "Passwort zurücksetzen"
    assert mails.read(english).subject == "Password Reset"
    assert mails.read(english).locale == "en"


async def test_one_that_was_sent_says_nothing_more(mails: Mails, world: World) -> None:
    await queue(world)
    (stored,) = await mails.list("default")
    await world.backend.db.write(lambda tx: tx.stores.mails.close(tx, stored, MailState.SENT))
    sent = await mails.get("default", stored.id)
    assert (sent.state, sent.content) == (MailState.SENT, b"")
    with pytest.raises(ValueError, match="gone"):
        mails.read(sent)


async def test_the_queue_of_a_project_is_bounded(world: World, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = world.backend
    sending = replace(config, smtp_url="smtp://127.0.0.1")
    smtp = Mails(backend.db, ServerSecret(b"secret"), sending, Reference())
    monkeypatch.setattr(module, "QUEUED_MAILS", 2)
    project = Project("default", "default")

    def unit(tx: Transaction) -> None:
        smtp.queue(tx, project=project, kind="recovery", to="a@b.c", to_name="", locale="en", link=LINK, variables={})

    await backend.db.write(unit)
    await backend.db.write(unit)
    with pytest.raises(Overloaded):
        await backend.db.write(unit)
    assert await backend.db.read(mail_rows.count_queued("default", 10)) == 2


async def test_a_project_takes_its_mails_along(world: World, mails: Mails) -> None:
    await queue(world)
    assert isinstance((await mails.list("default"))[0], StoredMail)
    await world.backend.services.projects.delete("default")
    async with asyncio.timeout(10):
        while True:
            if not await mails.list("default"):
                break
            await asyncio.sleep(0.01)
