"""Logins at providers: cookies and addresses, over https, behind a proxy, and with limits; and what is logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from litewrite import Config
from litewrite.app import make_application
from tests.api.v0_11.oauth_flows import APP, MOCK, START, Browser, assert_page, query_of, serving
from tests.conftest import FAST, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(Config(data_dir=tmp_path / "data", port=0, mock_oauth2=True, **FAST)) as world:
        yield world


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


@pytest.fixture
def https_config(tmp_path: Path) -> Config:
    return Config(
        data_dir=tmp_path / "data",
        port=0,
        mock_oauth2=True,
        trusted_proxies=("127.0.0.1",),
        allowed_hosts=("api.example.com",),
        **FAST,
    )


@pytest.mark.parametrize(("provider", "same_site"), [("github", "Lax"), ("apple", "None")])
async def test_the_cookie_over_https(https_config: Config, provider: str, same_site: str) -> None:
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com"}
    async with serving(https_config) as world:
        await world.backend.services.providers.set("default", provider, "app", "secret")
        browser = Browser(world, headers=proxied)
        answer = await browser.start(provider)
        (cookie,) = answer.headers.getall("Set-Cookie")
        assert cookie.startswith("__Host-litewrite_oauth2=")
        assert f"SameSite={same_site}" in cookie
        assert cookie.endswith("; Secure")
        assert "Domain" not in cookie
        callback = f"https://api.example.com/v1{START}/callback/{provider}/default"
        assert query_of(answer.headers["Location"])["redirect_uri"] == callback


async def test_the_browser_goes_back_to_the_address_where_it_began(world: World, browser: Browser) -> None:
    """PayPal wants 127.0.0.1 where the login began at localhost, whose cookies 127.0.0.1 does not get."""
    await world.backend.services.providers.set("default", "paypal", "app", "secret")
    port = world.server.url.rpartition(":")[2]
    host = f"localhost:{port}"
    answer = await browser.open(f"{START}/paypal?project=default", Host=host)
    query = query_of(answer.headers["Location"])
    assert query["redirect_uri"].startswith(f"http://127.0.0.1:{port}/v1")
    answer = await browser.open(query["redirect_uri"] + f"?code=x&state={query['state']}")
    assert answer.headers["Location"].startswith(f"http://{host}/v1{START}/paypal/redirect?")


async def test_behind_a_public_url(tmp_path: Path) -> None:
    config = Config(
        data_dir=tmp_path / "data", port=0, mock_oauth2=True, public_url="https://api.example.com/base", **FAST
    )
    async with serving(config) as world:
        browser = Browser(world, headers={"Host": "api.example.com"})
        answer = await browser.start(success="https://api.example.com/done")
        location = answer.headers["Location"]
        assert location.startswith("https://api.example.com/base/v1/mock/tests/general/oauth2?")
        assert query_of(location)["redirect_uri"].startswith("https://api.example.com/base/v1/account/")


async def test_below_a_prefix(world: World) -> None:
    runner = web.AppRunner(make_application(world.backend, prefix="/api/v1"), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = "http://{}:{}/api/v1".format(*runner.addresses[0][:2])
        url, seen = f"{base}/v1{START}/mock?project=default&success={APP}", []
        while not url.startswith(APP):
            async with world.http.get(url, allow_redirects=False) as answer:
                assert answer.status == 301
                url = answer.headers["Location"]
                seen.append(url.partition("?")[0])
    finally:
        await runner.cleanup()
    assert seen[0] == f"{base}/v1{MOCK}"
    assert seen[1:3] == [f"{base}/v1{START}/callback/mock/default", f"{base}/v1{START}/mock/redirect"]


async def test_rate_limit(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data", port=0, mock_oauth2=True, rate_limits="on", **FAST)
    async with serving(config) as world:
        browser = Browser(world)
        answers = [await browser.start(success=APP) for _ in range(51)]
        assert [answer.status for answer in answers[:50]] == [301] * 50
        assert answers[0].headers["X-RateLimit-Remaining"] == "49"
        assert_page(answers[50], 429, "general_rate_limit_exceeded")


async def test_nothing_secret_is_logged(world: World, browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        answer = await browser.log_in(success=APP)
        value = orjson.loads(answer.headers["X-Fallback-Cookies"])["a_session_default"]
        await world.backend.services.providers.set("default", "mock", "1", "wrong-secret")
        await browser.log_in(success=APP)
    for secret in (value, "abcdef", "wrong-secret"):
        assert secret not in "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("litewrite"))


# Without the mock provider


async def test_the_mock_provider_is_there_only_when_asked_for(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data", port=0, **FAST)
    async with serving(config) as world:
        await world.backend.services.providers.set("default", "mock", "1", "123456")
        assert_page(await Browser(world).start(success=APP), 501, "project_provider_unsupported")
        for path in ("", "/token", "/user", "/success", "/failure"):
            answer = await world.guest.get(MOCK + path)
            assert (answer.status, answer["type"]) == (404, "general_route_not_found")
