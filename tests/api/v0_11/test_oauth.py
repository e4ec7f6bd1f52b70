"""Logins at providers over HTTP: the four steps, what they refuse, and where they end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from litewrite import Config
from litewrite.db.query import Query, scalar
from litewrite.services import login_states
from tests.api.v0_11.callers import audited, change_settings, names_and_payloads
from tests.api.v0_11.oauth_flows import (
    APP,
    FAILED,
    MOCK,
    START,
    Browser,
    add_web_platform,
    assert_failed,
    assert_page,
    finish_url,
    query_of,
    remove_platforms,
)
from tests.conftest import FAST, World


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", port=0, mock_oauth2=True, **FAST)


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


# The whole flow


async def test_the_whole_flow_as_the_suite_of_the_original_does_it(world: World) -> None:
    headers = {"X-Appwrite-Project": world.project, "Origin": "http://localhost", "Content-Type": "application/json"}
    pages = {name: f"{world.endpoint}{MOCK}/{name}" for name in ("success", "failure")}
    url = f"{START}/mock?{urlencode(pages)}"
    steps = []
    async with world.http.get(world.endpoint + url, headers=headers, allow_redirects=False) as answer:
        location = answer.headers["Location"]
        while True:
            steps.append(location.removeprefix(world.endpoint).partition("?")[0])
            async with world.http.get(location, headers=headers, allow_redirects=False) as answer:
                if answer.status != 301:
                    assert answer.status == 200
                    assert await answer.json() == {"result": "success"}
                    break
                assert answer.headers["Cache-Control"] == "no-store, no-cache, must-revalidate, max-age=0"
                assert answer.headers["Pragma"] == "no-cache"
                location = answer.headers["Location"]
    assert steps == [
        MOCK,
        f"{START}/callback/mock/{world.project}",
        f"{START}/mock/redirect",
        f"{MOCK}/success",
    ]


async def test_a_new_user(world: World, browser: Browser) -> None:
    events: list[Any] = []
    world.backend.bus.subscribe(events.append)
    answer = await browser.log_in(success=APP, failure=FAILED)
    assert (answer.status, answer.headers["Location"]) == (301, APP)
    legacy, main = answer.headers.getall("Set-Cookie")
    assert legacy.startswith("a_session_default_legacy=")
    assert main.startswith("a_session_default=")
    assert "SameSite=None" in main
    account = await world.guest.with_headers(X_Fallback_Cookies=answer.headers["X-Fallback-Cookies"]).get("/account")
    assert account.body == (await browser.account()).body
    assert account["email"] == "user@localhost.test"
    assert (account["name"], account["status"], account["emailVerification"]) == ("User Name", 1, True)
    assert account["passwordUpdate"] == 0
    session = await browser.user.get("/account/sessions/current")
    assert (session["provider"], session["providerUid"], session["providerToken"]) == ("mock", "1", "123456")
    assert session["current"] is True
    told = names_and_payloads(events)
    assert [name for name, _ in told] == ["account.sessions.create"]
    assert told[0][1] == {**session.body, "current": False}
    assert await audited(world, account["$id"], "account.sessions.create") == [
        ("account.sessions.create", f"users/{account['$id']}")
    ]
    data = await world.backend.db.read(_audit_data(account["$id"]))
    assert orjson.loads(data) == {"provider": "mock"}


def _audit_data(user_id: str) -> Any:
    return Query("SELECT data FROM audit WHERE user_id = ?", (user_id,), scalar)


async def test_the_token_of_the_provider_is_stored_encrypted(world: World, browser: Browser) -> None:
    await browser.log_in(success=APP)
    sealed = await world.backend.db.read(Query("SELECT provider_token FROM sessions", (), scalar))
    assert isinstance(sealed, bytes)
    assert b"123456" not in sealed
    assert len(sealed) > 20
    listed = await browser.user.get("/account/sessions")
    assert [session["providerToken"] for session in listed["sessions"]] == ["123456"]
    for_server = await (await world.key()).get(f"/users/{listed['sessions'][0]['userId']}/sessions")
    assert [session["providerToken"] for session in for_server["sessions"]] == ["123456"]


async def test_without_success_an_app_gets_its_session_by_the_built_in_page(world: World, browser: Browser) -> None:
    answer = await browser.follow(await browser.start(), until="/auth/oauth2/success")
    location = answer.headers["Location"]
    assert location.partition("?")[0] == f"{world.endpoint}/auth/oauth2/success"
    told = query_of(location)
    assert set(told) == {"project", "key", "secret"}  # no domain, since the host is an address
    assert (told["project"], told["key"]) == ("default", "a_session_default")
    client = world.guest.with_headers(Cookie=f"{told['key']}={told['secret']}")
    assert (await client.get("/account"))["email"] == "user@localhost.test"
    page = await browser.open(location)
    assert page.status == 200
    assert "appwrite-callback-default://?project=default&amp;key=a_session_default&amp;secret=" in page.raw.decode()


@pytest.mark.parametrize(
    "success", ["http://localhost:3000/v1/auth/oauth2/success/", "http://example.org/v1/auth/oauth2/success"]
)
async def test_sessions_are_put_into_the_url_of_no_other_page(world: World, browser: Browser, success: str) -> None:
    await add_web_platform(world, "example.org")
    answer = await browser.log_in(success=success)
    assert answer.headers["Location"] == success


async def test_a_login_that_is_repeated_finds_the_same_user(world: World, browser: Browser) -> None:
    await browser.log_in(success=APP)
    first = await browser.account()
    assert (await browser.user.delete("/account/sessions")).status == 204
    other = Browser(world)
    await other.log_in(success=APP)
    assert (await other.account())["$id"] == first["$id"]


async def test_a_logged_in_user_keeps_its_session_and_gets_one_more(world: World, browser: Browser) -> None:
    user = await world.sign_up()
    browser.cookies["a_session_default"] = user.headers["Cookie"].partition("=")[2]
    await browser.log_in(success=APP)
    assert (await browser.account())["$id"] == user.user["$id"]
    assert (await user.get("/account"))["email"] == "ada@example.com"
    sessions = await user.get("/account/sessions")
    assert [session["provider"] for session in sessions["sessions"]] == ["email", "mock"]


async def test_an_anonymous_user_becomes_a_regular_one(world: World, browser: Browser) -> None:
    started = await world.guest.post("/account/sessions/anonymous")
    cookie = started.headers.getall("Set-Cookie")[-1].split(";")[0]
    before = await world.guest.with_headers(Cookie=cookie).get("/account")
    browser.cookies["a_session_default"] = cookie.partition("=")[2]
    await browser.log_in(success=APP)
    after = await world.guest.with_headers(Cookie=cookie).get("/account")  # the old session still counts
    assert after.body == {**before.body, "name": "User Name", "email": "user@localhost.test", "status": 1}


# What the start refuses


@pytest.mark.parametrize(
    ("provider", "parameters", "status", "kind"),
    [
        ("nobody", {}, 400, "general_argument_invalid"),
        ("Mock", {}, 400, "general_argument_invalid"),
        ("mock", {"success": "http://evil.test/"}, 400, "general_argument_invalid"),
        ("mock", {"failure": "http://evil.test/"}, 400, "general_argument_invalid"),
        ("mock", {"success": "localhost/x"}, 400, "general_argument_invalid"),
        ("mock", {"success": "http://localhost@evil.test/"}, 400, "general_argument_invalid"),
        ("mock", {"scopes": "email"}, 400, "general_argument_invalid"),
        ("mock", {"scopes[0]": "x" * 129}, 400, "general_argument_invalid"),
        ("mock", {"success": "http://localhost/" + "x" * 2_000}, 400, "general_argument_invalid"),
        ("github", {}, 412, "project_provider_disabled"),
        ("mock", {"project": "unknown"}, 400, "project_unknown"),
    ],
)
async def test_refused_starts(
    browser: Browser, provider: str, parameters: dict[str, str], status: int, kind: str
) -> None:
    answer = await browser.start(provider, **parameters)
    assert_page(answer, status, kind)


async def test_an_api_key_may_not_start_a_login(world: World) -> None:
    key = await world.key()
    assert_page(await key.get(f"{START}/mock"), 401, "general_unauthorized_scope")


async def test_what_an_error_says_is_escaped(browser: Browser) -> None:
    answer = await browser.open(f"{START}/callback/mock/default?error=%3Cscript%3E&project=default")
    assert_page(answer, 400, "general_argument_invalid")
    assert "<script>" not in answer.raw.decode()
    assert "&lt;script&gt;" in answer.raw.decode()


@pytest.mark.parametrize("half", [("app", ""), ("", "secret")])
async def test_a_provider_with_half_its_settings_is_disabled(
    world: World, browser: Browser, half: tuple[str, str]
) -> None:
    await world.backend.services.providers.set("default", "github", *half)
    assert_page(await browser.start("github"), 412, "project_provider_disabled")


async def test_the_url_of_a_real_provider(world: World, browser: Browser) -> None:
    await world.backend.services.providers.set("default", "github", "app-1", "secret-1")
    answer = await browser.start("github", **{"scopes[0]": "repo", "scopes[1]": "user:email"}, success=APP)
    assert answer.status == 301
    location = answer.headers["Location"]
    assert location.startswith("https://github.com/login/oauth/authorize?")
    query = query_of(location)
    assert query["client_id"] == "app-1"
    assert query["scope"] == "user:email repo"
    assert query["redirect_uri"] == f"{world.endpoint}{START}/callback/github/default"
    assert query["code_challenge_method"] == "S256"
    assert len(query["state"]) <= 2_048
    assert "localhost" not in query["state"]
    assert "secret-1" not in location
    (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("litewrite_oauth2=")
    assert "SameSite=Lax" in cookie
    assert "HttpOnly" in cookie
    again = await browser.start("github")
    assert (
        again.headers["Set-Cookie"].split(";")[0] == cookie.split(";")[0]
    )  # so that two tabs do not hinder each other


# The state


async def begun(world: World, browser: Browser, provider: str = "gitlab", **parameters: Any) -> str:
    """The state of a login that was begun."""
    await world.backend.services.providers.set("default", provider, "app", "secret")
    answer = await browser.start(provider, success=APP, **parameters)
    assert answer.status == 301, answer.raw
    return query_of(answer.headers["Location"])["state"]


@pytest.mark.parametrize(
    "state", ["", "x", '{"success":"http://localhost/","failure":"http://localhost/"}', "A" * 200, "A" * 2_048]
)
async def test_a_state_that_is_none(browser: Browser, state: str) -> None:
    assert_page(await browser.open(finish_url(state, "mock", "abcdef")), 400, "general_argument_invalid")


async def test_a_state_that_was_changed(world: World, browser: Browser) -> None:
    state = query_of((await browser.start(success=APP)).headers["Location"])["state"]
    changed = state[:-1] + ("A" if state[-1] != "A" else "B")
    assert_page(await browser.open(finish_url(changed, "mock", "abcdef")), 400, "general_argument_invalid")


async def test_a_state_counts_once(browser: Browser) -> None:
    answer = await browser.follow(await browser.start(success=APP, failure=FAILED), until="/mock/redirect")
    url = answer.headers["Location"]
    assert (await browser.open(url)).headers["Location"] == APP
    assert_failed(await browser.open(url), 400, "general_argument_invalid")


async def test_of_two_at_once_one_counts(browser: Browser) -> None:
    answer = await browser.follow(await browser.start(success=APP, failure=FAILED), until="/mock/redirect")
    answers = await asyncio.gather(*(browser.open(answer.headers["Location"]) for _ in range(5)))
    assert [answer.headers["Location"] == APP for answer in answers].count(True) == 1


async def test_a_state_is_for_one_project_and_provider(world: World, browser: Browser) -> None:
    await world.backend.services.projects.create("other")
    state = query_of((await browser.start(success=APP, failure=FAILED)).headers["Location"])["state"]
    assert_page(await browser.open(finish_url(state, "mock", project="other")), 400, "general_argument_invalid")
    assert_page(await browser.open(finish_url(state, "github")), 400, "general_argument_invalid")
    assert (await browser.open(finish_url(state, "mock", "abcdef"))).headers["Location"] == APP


async def test_a_state_ends_after_ten_minutes(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_states, "LIFETIME", timedelta(seconds=-1))
    answer = await browser.log_in(success=APP, failure=FAILED)
    assert_page(answer, 400, "general_argument_invalid")
    assert "ten minutes" in answer.raw.decode()


async def test_a_state_belongs_to_the_browser_that_began(world: World, browser: Browser) -> None:
    state = await begun(world, browser, failure=FAILED)
    for other in (Browser(world), Browser(world, cookies={"litewrite_oauth2": "a" * 43})):
        assert_failed(await other.open(finish_url(state)), 400, "general_argument_invalid")
    state = await begun(world, browser)
    assert_page(await Browser(world).open(finish_url(state)), 400, "general_argument_invalid")


async def test_success_is_checked_again_at_the_end(world: World, browser: Browser) -> None:
    await add_web_platform(world, "example.org")
    answer = await browser.follow(await browser.start(success="http://example.org/"), until="/mock/redirect")
    failing = await browser.follow(
        await browser.start(success=APP, failure="http://example.org/", **{"scopes[]": "decline"}), until="/callback/"
    )
    await remove_platforms(world)
    assert_page(await browser.open(answer.headers["Location"]), 400, "project_invalid_success_url")
    assert_page(await browser.open(failing.headers["Location"]), 400, "project_invalid_failure_url")


# The callback


async def test_the_callback_turns_the_path_into_a_query(world: World, browser: Browser) -> None:
    answer = await browser.open(f"{START}/callback/mock/default?code=a%20b&state=c%26d")
    assert answer.status == 301
    assert answer.headers["Location"] == f"{world.endpoint}{START}/mock/redirect?project=default&code=a+b&state=c%26d"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_the_callback_by_post_from_the_site_of_the_provider(world: World, browser: Browser) -> None:
    form = {"code": "c", "state": "s"}
    answer = await browser.open(f"{START}/callback/apple/default", form=form, Origin="https://appleid.apple.com")
    assert answer.status == 301
    assert answer.headers["Location"] == f"{world.endpoint}{START}/apple/redirect?project=default&code=c&state=s"
    assert answer.headers["Access-Control-Allow-Origin"] == "https://appleid.apple.com"


@pytest.mark.parametrize(
    "url",
    [
        f"{START}/callback/mock/default",
        f"{START}/callback/mock/default?state=x",
        f"{START}/callback/mock/default?code={'x' * 1_025}",
        f"{START}/callback/mock/default?code=x&state={'x' * 2_049}",
        f"{START}/callback/nobody/default?code=x",
        f"{START}/callback/mock/{'x' * 1_025}?code=x",
        f"{START}/mock/redirect?project=default&state=x",
        f"{START}/mock/redirect?project=default&code={'x' * 1_025}",
    ],
)
async def test_refused_callbacks(browser: Browser, url: str) -> None:
    assert_page(await browser.open(url), 400, "general_argument_invalid")


async def test_somebody_who_declines(world: World, browser: Browser) -> None:
    answer = await browser.log_in(success=APP, failure=FAILED, **{"scopes[]": "decline"})
    assert_failed(answer, 400, "general_argument_invalid")
    assert "access_denied" in query_of(answer.headers["Location"])["error"]
    assert_page(await browser.log_in(success=APP, **{"scopes[]": "decline"}), 400, "access_denied")
    answer = await browser.follow(
        await browser.start(failure=f"{world.endpoint}/auth/oauth2/failure", **{"scopes[]": "decline"}),
        until="/auth/oauth2/failure",
    )
    assert query_of(answer.headers["Location"])["project"] == "default"
    page = await browser.open(answer.headers["Location"])
    assert "appwrite-callback-default://?project=default&amp;error=" in page.raw.decode()


# What goes wrong at the end


async def test_a_blocked_user(world: World, browser: Browser) -> None:
    await browser.log_in(success=APP)
    account = await browser.account()
    key = await world.key()
    assert (await key.patch(f"/users/{account['$id']}/status", {"status": 2})).status == 200
    assert_page(await Browser(world).log_in(success=APP), 401, "user_blocked")
    assert_failed(await Browser(world).log_in(success=APP, failure=FAILED), 401, "user_blocked")
    assert (await key.get(f"/users/{account['$id']}"))["status"] == 2


async def test_the_limit_of_users(world: World, browser: Browser) -> None:
    await world.sign_up()
    await change_settings(world, user_limit=1)
    assert_page(await browser.log_in(success=APP), 501, "user_count_exceeded")
    assert_failed(await browser.log_in(success=APP, failure=FAILED), 501, "user_count_exceeded")
    assert (await (await world.key()).get("/users"))["sum"] == 1


async def test_a_provider_that_refuses(world: World, browser: Browser) -> None:
    await world.backend.services.providers.set("default", "mock", "1", "wrong")
    answer = await browser.log_in(success=APP)
    assert_page(answer, 500, "general_server_error")
    assert_failed(await browser.log_in(success=APP, failure=FAILED), 500, "general_server_error")


async def test_a_provider_that_is_switched_off_meanwhile(world: World, browser: Browser) -> None:
    state = await begun(world, browser, failure=FAILED)
    await world.backend.services.providers.set("default", "gitlab", "", "")
    assert_failed(await browser.open(finish_url(state)), 412, "project_provider_disabled")


async def test_an_address_that_is_not_vouched_for_opens_no_account(world: World, browser: Browser) -> None:
    await world.sign_up()
    answer = await browser.log_in(success=APP, failure=FAILED, **{"scopes[]": ["as:ada@example.com", "unverified"]})
    assert_failed(answer, 409, "user_already_exists")


async def test_the_console_takes_nobody_new(world: World, browser: Browser) -> None:
    answer = await browser.log_in(project="console", success=APP)
    assert_page(answer, 401, "general_unauthorized_scope")
