"""Recovery, verification and magic links: every endpoint, its errors, its effects, and what the SDKs' tests look at."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from litewrite import Config, Litewrite
from litewrite.app import make_application
from litewrite.db import users as user_rows
from litewrite.db.engine import Transaction
from litewrite.entities import UserStatus
from litewrite.events import Event
from litewrite.mail import Mail
from litewrite.security import hash_secret
from litewrite.services.cleanup import Cleanup
from tests.api.conftest import Configure
from tests.api.v0_11.callers import (
    administrator,
    assert_refused,
    audited,
    change_settings,
    names_and_payloads,
    rendered,
    with_jwt,
)
from tests.conftest import Answer, Client, World

ADA = "ada@example.com"
URL = "http://localhost/reset"
RECOVERY, VERIFICATION, MAGIC = "/account/recovery", "/account/verification", "/account/sessions/magic-url"
NEW = {"password": "new-password", "passwordAgain": "new-password"}
TOKEN = {"$id", "userId", "secret", "expire"}
HOUR, WEEK = 3_600, 604_800


@pytest.fixture
def heard(world: World) -> list[Event]:
    events: list[Event] = []
    world.backend.bus.subscribe(events.append)
    return events


async def last_mail(world: World, to: str = ADA, project: str = "default") -> Mail:
    mails = world.backend.services.mails
    (stored, *_) = await mails.list(project, to=to)
    mail: Mail = mails.read(stored)
    return mail


async def mailed(world: World, to: str = ADA) -> dict[str, str]:
    """What the link of the newest mail carries."""
    return dict(parse_qsl(urlsplit((await last_mail(world, to)).link).query))


async def credentials(world: World, to: str = ADA) -> dict[str, str]:
    link = await mailed(world, to)
    return {"userId": link["userId"], "secret": link["secret"]}


async def user_of(world: World, user_id: str) -> Any:
    return await world.backend.db.read(user_rows.get("default", user_id))


async def set_user(world: World, user_id: str, **fields: Any) -> None:
    def unit(tx: Transaction) -> None:
        user = tx.run(user_rows.get("default", user_id))
        assert user is not None
        tx.stores.users.update(tx, replace(user, **fields))

    await world.backend.db.write(unit)


async def expire_tokens(world: World) -> None:
    def unit(tx: Transaction) -> None:
        assert tx.execute("UPDATE tokens SET expires_at = 1000000") > 0

    await world.backend.db.write(unit)


async def request_recovery(world: World, **changed: Any) -> Answer:
    return await world.guest.post(RECOVERY, {"email": ADA, "url": URL, **changed})


def check_token(answer: Answer, user_id: str, lifetime: int, status: int = 201) -> None:
    assert answer.status == status, answer.body
    assert set(answer.body) == TOKEN
    assert answer["userId"] == user_id
    assert re.fullmatch("[0-9a-f]{13}", answer["$id"])
    assert abs(answer["expire"] - time.time() - lifetime) < 60


# Recovery


async def test_asking_for_recovery(world: World, user: Client, heard: list[Event]) -> None:
    answer = await request_recovery(world)
    check_token(answer, user.user["$id"], HOUR)
    assert answer["secret"] == ""
    mail = await last_mail(world)
    assert (mail.kind, mail.subject, mail.to, mail.to_name) == ("recovery", "Password Reset", ADA, "Ada")
    link = await mailed(world)
    assert list(link) == ["userId", "secret", "expire"]
    assert mail.link.startswith(f"{URL}?userId=")
    assert link["userId"] == user.user["$id"]
    assert link["expire"] == str(answer["expire"])
    assert re.fullmatch("[0-9a-f]{256}", link["secret"])
    assert mail.link in mail.text.splitlines()
    assert names_and_payloads(heard) == [("account.recovery.create", {**answer.body, "secret": link["secret"]})]
    (event,) = rendered(heard)
    assert event.user_id == ""
    assert event.channels == ("account", f"account.{user.user['$id']}")
    assert event.roles == (f"user:{user.user['$id']}",)
    assert link["secret"] not in event.public_payload
    assert '"secret":""' in event.public_payload
    assert await audited(world, user.user["$id"], "account.recovery.create") == [
        ("account.recovery.create", f"users/{user.user['$id']}")
    ]


async def test_recovering(world: World, user: Client, heard: list[Event]) -> None:
    await request_recovery(world)
    heard.clear()
    given = await credentials(world)
    answer = await world.guest.put(RECOVERY, {**given, **NEW})
    check_token(answer, user.user["$id"], HOUR, 200)
    assert answer["secret"] == hash_secret(given["secret"])
    assert "Set-Cookie" not in answer.headers
    assert (await user.get("/account"))["emailVerification"] is True
    await world.log_in(ADA, "new-password")
    assert_refused(
        await world.guest.post("/account/sessions", {"email": ADA, "password": "password"}),
        401,
        "user_invalid_credentials",
    )
    assert (await user.get("/account")).status == 200  # sessions stay
    name, payload = names_and_payloads(heard)[0]
    assert (name, payload) == ("account.recovery.update", answer.body)
    assert rendered(heard)[0].public_payload == rendered(heard)[0].payload
    assert len(await audited(world, user.user["$id"], "account.recovery.update")) == 1
    changed = (await user_of(world, user.user["$id"])).password_updated_at
    assert abs(changed.timestamp() - time.time()) < 60
    assert_refused(await world.guest.put(RECOVERY, {**given, **NEW}), 401, "user_invalid_token")


async def test_recoveries_work_each_on_its_own(world: World, user: Client) -> None:
    await request_recovery(world)
    first = await credentials(world)
    await request_recovery(world)
    second = await credentials(world)
    assert first["secret"] != second["secret"]
    for given in (second, first):
        assert (await world.guest.put(RECOVERY, {**given, **NEW})).status == 200


async def test_recovery_by_other_callers(world: World, user: Client, key: Client) -> None:
    body = {"email": ADA, "url": URL}
    assert (await user.post(RECOVERY, body)).status == 201
    assert (await (await with_jwt(world, user)).post(RECOVERY, body)).status == 201
    assert_refused(await key.post(RECOVERY, body), 401, "general_unauthorized_scope")
    assert_refused(await key.put(RECOVERY, {**await credentials(world), **NEW}), 401, "general_unauthorized_scope")
    assert (await user.put(RECOVERY, {**await credentials(world), **NEW})).status == 200


async def test_an_administrator_sees_the_secret(world: World, user: Client) -> None:
    admin = await administrator(world)
    answer = await admin.post(RECOVERY, {"email": ADA, "url": URL})
    assert answer["secret"] == (await mailed(world))["secret"]
    answer = await admin.post(MAGIC, {"email": ADA})
    assert answer["secret"] == (await mailed(world))["secret"]


@pytest.mark.parametrize(
    "changed",
    [
        {"email": ""},
        {"email": None},
        {"email": "ada"},
        {"email": 7},
        {"url": ""},
        {"url": "localhost/recovery"},
        {"url": "unknown-address"},
        {"url": "http://remotehost/recovery"},
        {"url": "http:///x"},
        {"url": "http://user:pass@localhost/"},
        {"url": "http://localhost\\@remotehost/"},
        {"url": "http://localhost/\r\nBcc: x"},
        {"url": "http://localhost.remotehost.com/"},
        {"url": "javascript://localhost/%0aalert(1)"},
        {"url": ["http://localhost/"]},
    ],
)
async def test_bad_recoveries(world: World, user: Client, changed: dict[str, Any]) -> None:
    assert_refused(await request_recovery(world, **changed), 400, "general_argument_invalid")
    assert await world.backend.services.mails.list("default") == ()


async def test_recovery_of_nobody(world: World, user: Client) -> None:
    assert_refused(await request_recovery(world, email="bob@example.com"), 404, "user_not_found")
    await set_user(world, user.user["$id"], status=UserStatus.BLOCKED)
    assert_refused(await request_recovery(world), 401, "user_blocked")
    assert await world.backend.services.mails.list("default") == ()


async def test_addresses_in_any_case(world: World, user: Client) -> None:
    assert (await request_recovery(world, email="ADA@Example.COM")).status == 201


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("http://localhost:5000/join?a=1&userId=old#title", "http://localhost:5000/join?a=1&userId="),
        ("https://app.example.com/reset", "https://app.example.com/reset?userId="),
        ("com.example.app://callback/reset", "com.example.app://callback/reset?userId="),
    ],
)
async def test_pages_of_the_project(world: World, user: Client, configure: Configure, url: str, start: str) -> None:
    await configure(platforms=[("web", "app.example.com"), ("flutter-ios", "com.example.app")])
    answer = await request_recovery(world, url=url)
    assert answer.status == 201, answer.body
    link = (await last_mail(world)).link
    assert link.startswith(start + user.user["$id"])
    assert link.endswith("#title") == url.endswith("#title")
    assert (await mailed(world))["userId"] == user.user["$id"]


@pytest.mark.parametrize(
    ("changed", "status", "kind"),
    [
        ({"userId": ""}, 400, "general_argument_invalid"),
        ({"userId": "x" * 33}, 400, "general_argument_invalid"),
        ({"secret": ""}, 400, "general_argument_invalid"),
        ({"secret": "x" * 257}, 400, "general_argument_invalid"),
        ({"password": ""}, 400, "general_argument_invalid"),
        ({"password": "short"}, 400, "general_argument_invalid"),
        ({"password": "x" * 33}, 400, "general_argument_invalid"),
        ({"passwordAgain": ""}, 400, "general_argument_invalid"),
        ({"passwordAgain": "another-password"}, 400, "user_password_mismatch"),
        ({"passwordAgain": "another-password", "userId": "nobody"}, 400, "user_password_mismatch"),
        ({"userId": "nobody"}, 404, "user_not_found"),
        ({"secret": "sdasdasdasd"}, 401, "user_invalid_token"),
    ],
)
async def test_bad_completions(world: World, user: Client, changed: dict[str, Any], status: int, kind: str) -> None:
    await request_recovery(world)
    given = {**await credentials(world), **NEW}
    assert_refused(await world.guest.put(RECOVERY, {**given, **changed}), status, kind)
    assert (await world.guest.put(RECOVERY, given)).status == 200


async def test_an_expired_secret(world: World, user: Client) -> None:
    await request_recovery(world)
    await user.post(VERIFICATION, {"url": URL})
    recovery = {**await credentials(world), **NEW}
    await expire_tokens(world)
    for path in (RECOVERY, VERIFICATION, MAGIC):
        assert_refused(await world.guest.put(path, recovery), 401, "user_invalid_token")
    await Cleanup(world.backend.db, world.backend.blobs, {}).expire()
    assert await world.backend.db.write(lambda tx: tx.rows("SELECT id FROM tokens")) == []


async def test_a_secret_serves_one_purpose(world: World, user: Client) -> None:
    await request_recovery(world)
    given = await credentials(world)
    assert_refused(await world.guest.put(VERIFICATION, given), 401, "user_invalid_token")
    assert_refused(await world.guest.put(MAGIC, given), 401, "user_invalid_token")
    assert (await world.guest.put(RECOVERY, {**given, **NEW})).status == 200


async def test_a_secret_of_another_user(world: World, user: Client) -> None:
    bob = await world.sign_up("bob@example.com", name="Bob")
    await request_recovery(world)
    given = {**await credentials(world), **NEW, "userId": bob.user["$id"]}
    assert_refused(await world.guest.put(RECOVERY, given), 401, "user_invalid_token")


async def test_a_link_to_an_address_that_was_left(world: World, user: Client) -> None:
    """Who reads the old mailbox can neither take the account over nor verify the new address."""
    await request_recovery(world)
    recovery = {**await credentials(world), **NEW}
    await user.post(VERIFICATION, {"url": URL})
    verification = await credentials(world)
    await world.guest.post(MAGIC, {"email": ADA})
    magic = await credentials(world)
    changed = await user.patch("/account/email", {"email": "ada@new.example.com", "password": "password"})
    assert changed.status == 200
    for path, given in ((RECOVERY, recovery), (VERIFICATION, verification), (MAGIC, magic)):
        assert_refused(await world.guest.put(path, given), 401, "user_invalid_token")
    assert (await user.get("/account"))["emailVerification"] is False


async def test_a_secret_works_once_under_concurrency(world: World, user: Client) -> None:
    await request_recovery(world)
    given = {**await credentials(world), **NEW}
    answers = await asyncio.gather(*(world.guest.put(RECOVERY, given) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7


async def test_recovery_lets_in_who_had_to_reset(world: World, user: Client) -> None:
    await set_user(world, user.user["$id"], reset_required=True)
    assert_refused(await user.get("/account"), 412, "user_password_reset_required")
    await request_recovery(world)
    assert (await world.guest.put(RECOVERY, {**await credentials(world), **NEW})).status == 200
    assert (await user.get("/account")).status == 200


async def test_secrets_are_stored_as_hashes(world: World, user: Client) -> None:
    await request_recovery(world)
    secret = (await mailed(world))["secret"].encode()
    folder = world.backend.config.data_dir
    assert not any(secret in file.read_bytes() for file in folder.rglob("*") if file.is_file())


# Verification


async def test_asking_for_verification(world: World, user: Client, heard: list[Event]) -> None:
    answer = await user.post(VERIFICATION, {"url": URL})
    check_token(answer, user.user["$id"], WEEK)
    assert answer["secret"] == ""
    mail = await last_mail(world)
    assert (mail.kind, mail.subject, mail.to, mail.to_name) == ("verification", "Account Verification", ADA, "Ada")
    link = await mailed(world)
    assert list(link) == ["userId", "secret", "expire"]
    assert (link["userId"], link["expire"]) == (user.user["$id"], str(answer["expire"]))
    assert names_and_payloads(heard) == [("account.verification.create", {**answer.body, "secret": link["secret"]})]
    assert link["secret"] not in rendered(heard)[0].public_payload
    assert len(await audited(world, user.user["$id"], "account.verification.create")) == 1
    assert (await user.get("/account"))["emailVerification"] is False


async def test_verifying(world: World, user: Client, heard: list[Event]) -> None:
    await user.post(VERIFICATION, {"url": URL})
    heard.clear()
    given = await credentials(world)
    assert_refused(await world.guest.put(VERIFICATION, {**given, "userId": "nobody"}), 404, "user_not_found")
    assert_refused(await world.guest.put(VERIFICATION, {**given, "secret": "wrong"}), 401, "user_invalid_token")
    assert heard == []
    answer = await world.guest.put(VERIFICATION, given)
    check_token(answer, user.user["$id"], WEEK, 200)
    assert answer["secret"] == hash_secret(given["secret"])
    assert "Set-Cookie" not in answer.headers
    record = await user.get("/account")
    assert (record["emailVerification"], record["status"]) == (True, 0)
    assert names_and_payloads(heard) == [("account.verification.update", answer.body)]
    assert len(await audited(world, user.user["$id"], "account.verification.update")) == 1
    assert_refused(await world.guest.put(VERIFICATION, given), 401, "user_invalid_token")
    assert (await user.post(VERIFICATION, {"url": URL})).status == 201


async def test_verification_by_other_callers(world: World, user: Client, guest: Client, key: Client) -> None:
    body = {"url": URL}
    for client in (guest, key, await administrator(world)):
        assert_refused(await client.post(VERIFICATION, {}), 401, "general_unauthorized_scope")
    assert (await (await with_jwt(world, user)).post(VERIFICATION, body)).status == 201
    given = await credentials(world)
    assert_refused(await key.put(VERIFICATION, given), 401, "general_unauthorized_scope")
    assert (await (await with_jwt(world, user)).put(VERIFICATION, given)).status == 200


@pytest.mark.parametrize("url", ["", "localhost/verification", "http://remotehost/verification"])
async def test_bad_verifications(world: World, user: Client, url: str) -> None:
    assert_refused(await user.post(VERIFICATION, {"url": url}), 400, "general_argument_invalid")


@pytest.mark.parametrize("changed", [{"userId": ""}, {"userId": "x" * 33}, {"secret": ""}, {"secret": "x" * 257}])
@pytest.mark.parametrize("path", [VERIFICATION, MAGIC])
async def test_bad_links(world: World, path: str, changed: dict[str, str]) -> None:
    given = {"userId": "61d5c1a2b3c4d", "secret": "x" * 256, **changed}
    assert_refused(await world.guest.put(path, given), 400, "general_argument_invalid")


async def test_an_anonymous_user_has_nothing_to_verify(world: World) -> None:
    answer = await world.guest.post("/account/sessions/anonymous")
    anonymous = world.guest.with_headers(Cookie=answer.headers.getall("Set-Cookie")[-1].split(";")[0])
    assert_refused(await anonymous.post(VERIFICATION, {"url": URL}), 400, "general_argument_invalid")
    assert await world.backend.services.mails.list("default") == ()


# Magic links


async def test_asking_for_a_magic_link_with_a_new_address(world: World, heard: list[Event]) -> None:
    answer = await world.guest.post(MAGIC, {"email": "Bob@Example.com", "url": "http://localhost/magic"})
    user = await user_of(world, answer["userId"])
    check_token(answer, user.id, WEEK)
    assert answer["secret"] == ""
    assert (user.email, user.name, user.status, user.email_verified) == ("bob@example.com", "", 0, False)
    assert user.password_hash == ""
    assert user.password_updated_at == user.registered_at
    mail = await last_mail(world, "bob@example.com")
    assert (mail.kind, mail.subject, mail.to_name) == ("magic-link", "Login", "")
    link = await mailed(world, "bob@example.com")
    assert list(link) == ["userId", "secret", "expire", "project"]
    assert (link["userId"], link["expire"], link["project"]) == (user.id, str(answer["expire"]), "default")
    assert heard == []
    assert await audited(world, user.id, "users.create") == [("users.create", f"users/{user.id}")]


async def test_logging_in_by_a_magic_link(world: World, heard: list[Event]) -> None:
    await world.guest.post(MAGIC, {"email": ADA})
    given = await credentials(world)
    assert_refused(await world.guest.put(MAGIC, {**given, "userId": "nobody"}), 404, "user_not_found")
    assert_refused(await world.guest.put(MAGIC, {**given, "secret": "wrong"}), 401, "user_invalid_token")
    answer = await world.guest.put(MAGIC, given)
    assert answer.status == 201
    assert (answer["userId"], answer["provider"], answer["current"]) == (given["userId"], "magic-url", True)
    assert (answer["providerUid"], answer["providerToken"]) == ("", "")
    legacy, cookie = answer.headers.getall("Set-Cookie")
    assert legacy.startswith("a_session_default_legacy=")
    assert cookie.startswith("a_session_default=")
    assert answer.headers["X-Fallback-Cookies"].startswith('{"a_session_default":"')
    client = world.guest.with_headers(Cookie=cookie.split(";")[0])
    account = await client.get("/account")
    assert (account["$id"], account["emailVerification"]) == (given["userId"], True)
    assert [name for name, _ in names_and_payloads(heard)] == ["account.sessions.create"]
    assert len(await audited(world, given["userId"], "account.sessions.create")) == 1
    assert_refused(await world.guest.put(MAGIC, given), 401, "user_invalid_token")
    for answer in (
        await world.guest.post("/account/sessions", {"email": ADA, "password": "password"}),
        await client.patch("/account/password", {"password": "password", "oldPassword": "password"}),
        await client.patch("/account/email", {"email": "x@example.com", "password": "password"}),
    ):
        assert_refused(answer, 401, "user_invalid_credentials")
    await request_recovery(world)
    assert (await world.guest.put(RECOVERY, {**await credentials(world), **NEW})).status == 200
    await world.log_in(ADA, "new-password")


async def test_a_magic_link_for_who_has_an_account(world: World, user: Client, key: Client) -> None:
    for client in (user, await with_jwt(world, user), world.guest):
        assert (await client.post(MAGIC, {"email": ADA}))["userId"] == user.user["$id"]
    assert_refused(await key.post(MAGIC, {"email": ADA}), 401, "general_unauthorized_scope")
    assert await audited(world, user.user["$id"], "users.create") == []
    mails = await world.backend.services.mails.list("default")
    assert len(mails) == 3
    assert_refused(await key.put(MAGIC, await credentials(world)), 401, "general_unauthorized_scope")
    for stored in mails:
        link = dict(parse_qsl(urlsplit(world.backend.services.mails.read(stored).link).query))
        answer = await world.guest.put(MAGIC, {"userId": link["userId"], "secret": link["secret"]})
        assert answer.status == 201
    assert (await user.get("/account/sessions"))["sum"] == 4


async def test_the_default_page(world: World) -> None:
    await world.guest.post(MAGIC, {"email": ADA})
    assert (await last_mail(world)).link.startswith(f"{world.server.url}/auth/magic-url?userId=")
    async with world.http.get((await last_mail(world)).link) as answer:
        assert answer.status == 200


async def test_the_default_page_behind_a_proxy(config: Config) -> None:
    public = replace(config, public_url="https://api.example.com/base/")
    async with (
        Litewrite(public) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        world = World(server, http)
        await world.guest.post(MAGIC, {"email": ADA})
        assert (await last_mail(world)).link.startswith("https://api.example.com/base/auth/magic-url?userId=")


async def test_the_default_page_below_a_prefix(world: World) -> None:
    async with TestServer(make_application(world.backend, prefix="/api")) as mounted:
        url = str(mounted.make_url("/")).rstrip("/")
        guest = Client(world.http, f"{url}/api/v1", world.guest.headers)
        assert (await guest.post(MAGIC, {"email": ADA})).status == 201
        link = (await last_mail(world)).link
        assert link.startswith(f"{url}/api/auth/magic-url?userId=")
        async with world.http.get(link) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("form", ["json", "urlencoded", "multipart"])
async def test_bodies_of_a_magic_link(world: World, form: str) -> None:
    await world.guest.post(MAGIC, {"email": ADA})
    given = await credentials(world)
    if form == "json":
        answer = await world.guest.put(MAGIC, given)
    elif form == "urlencoded":
        answer = await world.guest.put(MAGIC, data=given)
    else:
        with aiohttp.MultipartWriter("form-data") as parts:
            for name, value in given.items():
                parts.append(value).set_content_disposition("form-data", name=name)
        answer = await world.guest.put(MAGIC, data=parts)
    assert answer.status == 201, answer.body


@pytest.mark.parametrize(
    "changed", [{"email": ""}, {"email": "ada"}, {"url": "http://remotehost/"}, {"url": "unknown-address"}]
)
async def test_bad_magic_links(world: World, changed: dict[str, str]) -> None:
    answer = await world.guest.post(MAGIC, {"email": ADA, **changed})
    assert_refused(answer, 400, "general_argument_invalid")


async def test_a_blocked_user_gets_no_link_and_no_session(world: World, user: Client) -> None:
    await world.guest.post(MAGIC, {"email": ADA})
    given = await credentials(world)
    await set_user(world, user.user["$id"], status=UserStatus.BLOCKED)
    assert_refused(await world.guest.post(MAGIC, {"email": ADA}), 401, "user_blocked")
    assert_refused(await world.guest.put(MAGIC, given), 401, "user_blocked")
    await set_user(world, user.user["$id"], status=UserStatus.REGISTERED)
    assert (await world.guest.put(MAGIC, given)).status == 201


async def test_magic_links_switched_off(world: World) -> None:
    await change_settings(world, auth={"magic-url": False})
    assert_refused(await world.guest.post(MAGIC, {}), 501, "user_auth_method_unsupported")


async def test_a_full_project(world: World, user: Client) -> None:
    await change_settings(world, user_limit=1)
    assert_refused(await world.guest.post(MAGIC, {"email": "bob@example.com"}), 501, "user_count_exceeded")
    assert (await world.guest.post(MAGIC, {"email": ADA})).status == 201


async def test_the_console_takes_nobody_new(world: World) -> None:
    answer = await world.guest.post(MAGIC, {"email": ADA, "project": "console"})
    assert_refused(answer, 401, "general_unauthorized_scope")


# All of them


async def test_mail_switched_off(config: Config) -> None:
    async with (
        Litewrite(replace(config, mail="off")) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        world = World(server, http)
        user = await world.sign_up()
        nobody = {"email": "nobody@example.com", "url": URL}
        for answer in (
            await world.guest.post(RECOVERY, nobody),
            await world.guest.post(MAGIC, nobody),
            await user.post(VERIFICATION, {"url": URL}),
        ):
            assert_refused(answer, 503, "general_smtp_disabled")
        for answer in (
            await world.guest.post(RECOVERY, {**nobody, "url": "http://remotehost/"}),
            await world.guest.post(MAGIC, {"email": ""}),
            await user.post(VERIFICATION, {"url": "http://remotehost/"}),
        ):
            assert_refused(answer, 400, "general_argument_invalid")


async def test_mails_speak_the_language_of_the_request(world: World, user: Client) -> None:
    await user.with_headers(X_Appwrite_Locale="de").post(VERIFICATION, {"url": URL})
    assert (await last_mail(world)).subject == "Bestätigung des Kontos"
    await user.post(VERIFICATION, {"url": URL, "locale": "ar"})
    mail = await last_mail(world)
    assert 'dir="rtl"' in mail.html
    assert mail.sender_name == "default Team"


async def test_rate_limits(config: Config) -> None:
    async with (
        Litewrite(replace(config, rate_limits="on")) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        world = World(server, http)
        user = await world.sign_up()
        calls: list[tuple[Client, str, str, dict[str, str], dict[str, str] | None]] = [
            (world.guest, "POST", RECOVERY, {"email": ADA, "url": URL}, {"email": "bob@example.com", "url": URL}),
            (world.guest, "POST", MAGIC, {"email": ADA}, {"email": "bob@example.com"}),
            (user, "POST", VERIFICATION, {"url": URL}, None),
            (world.guest, "PUT", RECOVERY, {"userId": "a", "secret": "b", **NEW}, {"userId": "b"}),
            (world.guest, "PUT", MAGIC, {"userId": "a", "secret": "b"}, {"userId": "b", "secret": "b"}),
            (world.guest, "PUT", VERIFICATION, {"userId": "a", "secret": "b"}, {"userId": "b", "secret": "b"}),
        ]
        for client, method, path, body, other in calls:
            for left in range(9, -1, -1):
                answer = await client.call(method, path, body)
                assert answer.status != 429
                assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == (
                    "10",
                    str(left),
                )
            assert_refused(await client.call(method, path, body), 429, "general_rate_limit_exceeded")
            if other is not None:
                assert (await client.call(method, path, other)).status != 429


async def test_an_unknown_project(world: World) -> None:
    guest = world.guest.with_headers(X_Appwrite_Project="nowhere")
    for answer in (await guest.post(RECOVERY, {}), await guest.put(VERIFICATION, {}), await guest.post(MAGIC, {})):
        assert_refused(answer, 400, "project_unknown")


async def test_tokens_go_with_their_user(world: World, user: Client, key: Client) -> None:
    await request_recovery(world)
    given = {**await credentials(world), **NEW}
    assert (await key.delete(f"/users/{user.user['$id']}")).status == 204
    assert_refused(await world.guest.put(RECOVERY, given), 404, "user_not_found")
    assert await world.backend.db.write(lambda tx: tx.rows("SELECT id FROM tokens")) == []
