"""The mock provider over HTTP: the contract's answers, the page for people, and choices without a page."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from litewrite import Config
from tests.api.v0_11.callers import assert_refused
from tests.api.v0_11.oauth_flows import APP, HTML, MOCK, START, Browser, assert_page, query_of
from tests.conftest import FAST, World

BACK = "http://localhost:3000/back?a=1"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", port=0, mock_oauth2=True, **FAST)


async def authorize(world: World, **parameters: str) -> Any:
    query = {"client_id": "1", "redirect_uri": BACK, "state": '{"a":"b&c"}', **parameters}
    return await world.guest.get(MOCK, params={name: value for name, value in query.items() if value})


async def test_it_sends_back_at_once(world: World) -> None:
    answer = await authorize(world)
    assert answer.status == 301
    assert answer.headers["Location"].startswith(BACK)
    assert query_of(answer.headers["Location"]) == {"a": "1", "code": "abcdef", "state": '{"a":"b&c"}'}


@pytest.mark.parametrize(
    "parameters",
    [
        {"client_id": ""},
        {"redirect_uri": ""},
        {"redirect_uri": "http://evil.test/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "app://localhost/"},
        {"email": "ada"},
        {"email": "x" * 400 + "@example.com"},
        {"state": "x" * 2_049},
    ],
)
async def test_refused(world: World, parameters: dict[str, str]) -> None:
    assert_page(await authorize(world, **parameters), 400, "general_argument_invalid")


async def test_token_and_user(world: World) -> None:
    client = {"client_id": "1", "client_secret": "123456", "redirect_uri": BACK}
    answer = await world.guest.get(f"{MOCK}/token", params={**client, "code": "abcdef"})
    assert (answer.status, answer.body) == (200, {"access_token": "123456"})
    answer = await world.guest.get(f"{MOCK}/user", params={"token": "123456"})
    assert (answer.status, answer.body) == (200, {"id": 1, "name": "User Name", "email": "user@localhost.test"})


@pytest.mark.parametrize("wrong", [{"client_id": "2"}, {"client_secret": "x"}, {"code": "x"}])
async def test_wrong_credentials(world: World, wrong: dict[str, str]) -> None:
    right = {"client_id": "1", "client_secret": "123456", "redirect_uri": BACK, "code": "abcdef"}
    assert_refused(await world.guest.get(f"{MOCK}/token", params={**right, **wrong}), 500, "general_server_error")


async def test_a_wrong_token(world: World) -> None:
    assert_refused(await world.guest.get(f"{MOCK}/user", params={"token": "x"}), 500, "general_server_error")
    assert_refused(await world.guest.get(f"{MOCK}/user"), 400, "general_argument_invalid")


async def test_landing_pages(world: World) -> None:
    answer = await world.guest.get(f"{MOCK}/success")
    assert (answer.status, answer.body) == (200, {"result": "success"})
    answer = await world.guest.get(f"{MOCK}/failure")
    assert (answer.status, answer.body) == (400, {"result": "failure"})


# Whom one logs in as


@pytest.mark.parametrize(
    ("scopes", "person"),
    [
        (["as:ada.lovelace@example.com"], ("Ada Lovelace", "ada.lovelace@example.com", True)),
        (["as:eve@example.com", "unverified"], ("Eve", "eve@example.com", False)),
    ],
)
async def test_tests_of_apps_choose_by_a_scope(world: World, scopes: list[str], person: tuple[str, str, bool]) -> None:
    browser = Browser(world)
    await browser.log_in(success=APP, **{"scopes[]": scopes})
    account = await browser.account()
    assert (account["name"], account["email"], account["emailVerification"]) == person
    again = Browser(world)
    await again.log_in(success=APP, **{"scopes[]": scopes})
    assert (await again.account())["$id"] == account["$id"]


async def test_people_choose_on_a_page(world: World) -> None:
    browser = Browser(world)
    page = await browser.follow(await browser.start(success=APP, **{"scopes[]": "ui"}))
    assert (page.status, page.headers["Content-Type"]) == (200, HTML)
    text = page.raw.decode()
    assert "<script" not in text
    grace = next(unescape(link) for link in re.findall(r'href="([^"]*)"', text) if "grace" in link)
    answer = await browser.follow(await browser.open(grace.removeprefix("/v1")))
    assert answer.headers["Location"] == APP
    account = await browser.account()
    assert (account["name"], account["email"]) == ("Grace Example", "grace@example.com")


async def test_people_type_on_the_page(world: World) -> None:
    browser = Browser(world)
    page = await browser.follow(await browser.start(success=APP, **{"scopes[]": "ui"}))
    text = page.raw.decode()
    fields = {n: unescape(v) for n, v in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)}
    action = re.search(r'<form action="([^"]*)" method="get">', text)
    assert action is not None
    assert action[1] == f"/v1{MOCK}"
    typed = {**fields, "email": "no address", "name": ""}
    answer = await world.guest.get(MOCK, params=typed)
    assert answer.status == 200
    assert "this is no e-mail address" in answer.raw.decode()
    typed = {**fields, "email": "Linda@Example.com", "name": "Linda"}
    answer = await browser.follow(await world.guest.get(MOCK, params=typed))
    assert answer.headers["Location"] == APP
    account = await browser.account()
    assert (account["name"], account["email"]) == ("Linda", "linda@example.com")


async def test_the_page_escapes_what_it_was_given(world: World) -> None:
    answer = await authorize(world, ui="1", client_id='"><script>', state="'\"<b>")
    text = answer.raw.decode()
    assert answer.status == 200
    assert "<script>" not in text
    assert "<b>" not in text


async def test_somebody_without_an_address(world: World) -> None:
    browser = Browser(world)
    redirect = await browser.start(success=APP)
    answer = await browser.follow(await browser.open(redirect.headers["Location"] + "&id=5&name=Nobody+Reachable"))
    assert answer.headers["Location"] == APP
    account = await browser.account()
    assert (account["name"], account["email"], account["emailVerification"]) == ("Nobody Reachable", "", False)
    assert answer.status == 301


async def test_declining(world: World) -> None:
    answer = await authorize(world, decline="1", redirect_uri=f"{world.endpoint}{START}/callback/mock/default")
    assert query_of(answer.headers["Location"])["error"] == "access_denied"
