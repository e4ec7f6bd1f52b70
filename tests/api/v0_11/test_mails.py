"""The outbox over HTTP: administrators alone may read it."""

from __future__ import annotations

import asyncio

import pytest

from litewrite.api.v0_11.models_mail import Mail, MailSummary
from litewrite.entities import MailState
from tests.api.v0_11.callers import administrator, assert_refused
from tests.conftest import Client, World

MAILS = "/litewrite/mails"
RECOVERY = {"email": "ada@example.com", "url": "http://localhost/reset"}


@pytest.fixture
async def admin(world: World, user: Client) -> Client:
    return await administrator(world)


async def test_reading(world: World, admin: Client) -> None:
    assert (await admin.get(MAILS)).body == {"sum": 0, "mails": []}
    assert (await world.guest.post("/account/recovery", RECOVERY)).status == 201
    listed = await admin.get(MAILS)
    (summary,) = listed["mails"]
    assert listed["sum"] == 1
    assert set(summary) == {field.name for field in MailSummary.FIELDS}
    assert (summary["kind"], summary["to"], summary["state"]) == ("recovery", "ada@example.com", "kept")
    assert b"secret" not in listed.raw
    mail = await admin.get(f"{MAILS}/{summary['$id']}")
    assert set(mail.body) == {field.name for field in Mail.FIELDS}
    assert {name: mail[name] for name in summary} == summary
    assert (mail["subject"], mail["toName"], mail["from"]) == ("Password Reset", "Ada", "default Team")
    assert mail["link"] in mail["text"].splitlines()


async def test_one_that_was_sent(world: World, admin: Client) -> None:
    await world.guest.post("/account/recovery", RECOVERY)
    (stored,) = await world.backend.services.mails.list("default")
    await world.backend.db.write(lambda tx: tx.stores.mails.close(tx, stored, MailState.SENT))
    mail = await admin.get(f"{MAILS}/{stored.id}")
    assert (mail["state"], mail["subject"], mail["text"], mail["link"]) == ("sent", "", "", "")


async def test_narrowing_down(world: World, user: Client, admin: Client) -> None:
    await world.guest.post("/account/recovery", RECOVERY)
    await user.post("/account/verification", {"url": RECOVERY["url"]})
    await world.guest.post("/account/sessions/magic-url", {"email": "bob@example.com"})
    newest, middle, oldest = (await admin.get(MAILS))["mails"]
    for params, wanted in (
        ({"to": "Ada@example.com"}, [middle, oldest]),
        ({"kind": "magic-link"}, [newest]),
        ({"after": oldest["$id"]}, [newest, middle]),
        ({"limit": "1"}, [newest]),
        ({"to": "carol@example.com"}, []),
    ):
        assert (await admin.get(MAILS, params=params))["mails"] == wanted


async def test_waiting(world: World, admin: Client) -> None:
    waiting = asyncio.create_task(admin.get(MAILS, params={"to": "ada@example.com", "timeout": "20"}))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await world.guest.post("/account/recovery", RECOVERY)
    assert (await waiting)["sum"] == 1
    assert (await admin.get(MAILS, params={"to": "bob@example.com", "timeout": "1"}))["sum"] == 0


@pytest.mark.parametrize(
    "params",
    [{"to": "ada"}, {"kind": "other"}, {"limit": "0"}, {"limit": "101"}, {"timeout": "61"}, {"after": "x" * 33}],
)
async def test_bad_parameters(admin: Client, params: dict[str, str]) -> None:
    assert_refused(await admin.get(MAILS, params=params), 400, "general_argument_invalid")


async def test_unknown_mails(admin: Client) -> None:
    assert_refused(await admin.get(f"{MAILS}/61d5c1a2b3c4d"), 404, "mail_not_found")


async def test_others_may_not(world: World, user: Client, key: Client, guest: Client) -> None:
    await world.guest.post("/account/recovery", RECOVERY)
    (stored,) = await world.backend.services.mails.list("default")
    for client in (user, key, guest):
        for path in (MAILS, f"{MAILS}/{stored.id}"):
            assert_refused(await client.get(path), 401, "general_unauthorized_scope")


async def test_another_project(world: World, admin: Client) -> None:
    await world.backend.services.projects.create("other")
    await world.guest.post("/account/recovery", RECOVERY)
    elsewhere = admin.with_headers(X_Appwrite_Project="other")
    assert_refused(await elsewhere.get(MAILS), 401, "general_unauthorized_scope")
