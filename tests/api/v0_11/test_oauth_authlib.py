"""Logins at an authorization server that is not ours."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from litewrite import Config
from litewrite import app as app_module
from litewrite.oauth.client import Client
from tests.api.v0_11.oauth_flows import APP, FAILED, START, Browser, assert_failed, finish_url, query_of, serving
from tests.conftest import World

SERVER = Path(__file__).parents[2] / "oauth" / "authorization_server.py"
CLIENT_ID, CLIENT_SECRET = "client-1", "s3cret"


@pytest.fixture
async def authlib_world(config: Config, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, str]]:
    """A server of ours whose GitLab is an authorization server built with Authlib, and the base of that."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore", str(SERVER), CLIENT_ID, CLIENT_SECRET),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        base = f"http://127.0.0.1:{int(await asyncio.wait_for(process.stdout.readline(), 30))}"
        monkeypatch.setattr(app_module, "Client", partial(Client, {"gitlab": base}))
        async with serving(config) as world:
            process.stdin.write(f"{world.endpoint}{START}/callback/gitlab/default\n".encode())
            await world.backend.services.providers.set("default", "gitlab", CLIENT_ID, CLIENT_SECRET)
            yield world, base
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def consent(world: World, url: str, person: str) -> str:
    """Look at the page of the provider, answer it, and return where it sends the browser."""
    async with world.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 200, await answer.text()
    form = {"user": person} if person else {"declined": "1"}
    async with world.http.post(url, data=form, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        return answer.headers["Location"]


async def test_a_server_that_is_not_ours(authlib_world: tuple[World, str]) -> None:
    world, base = authlib_world
    browser = Browser(world)
    started = await browser.start("gitlab", success=APP, failure=FAILED, **{"scopes[]": "openid"})
    url = started.headers["Location"]
    assert url.startswith(f"{base}/oauth/authorize?")

    # Ada logs in.
    back = await consent(world, url, "ada")
    redirect = await browser.open(back)
    answer = await browser.follow(redirect)
    assert answer.headers["Location"] == APP
    account = await browser.account()
    assert (account["name"], account["email"], account["emailVerification"]) == ("Ada Example", "ada@example.com", True)
    session = await browser.user.get("/account/sessions/current")
    assert (session["provider"], session["providerUid"]) == ("gitlab", "7")
    headers = {"Authorization": f"Bearer {session['providerToken']}"}
    async with world.http.get(f"{base}/api/v4/user", headers=headers) as profile:
        assert (await profile.json())["id"] == 7  # the token is one that the provider takes

    # The way back works once.
    assert_failed(await browser.follow(await browser.open(back)), 400, "general_argument_invalid")

    # A code of one login is worth nothing in another, since the verifier of PKCE differs.
    stolen = query_of(await consent(world, (await browser.start("gitlab")).headers["Location"], "ada"))["code"]
    mine = Browser(world)
    state = query_of((await mine.start("gitlab", success=APP, failure=FAILED)).headers["Location"])["state"]
    assert_failed(await mine.open(finish_url(state, code=stolen)), 500, "general_server_error")

    # Eve has Ada's address there without having proved it.
    eve = Browser(world)
    started = await eve.start("gitlab", success=APP, failure=FAILED)
    back = await consent(world, started.headers["Location"], "eve")
    assert_failed(await eve.follow(await eve.open(back)), 409, "user_already_exists")

    # Somebody declines.
    started = await eve.start("gitlab", success=APP, failure=FAILED)
    back = await consent(world, started.headers["Location"], "")
    assert_failed(await eve.open(back), 400, "general_argument_invalid")

    # Ada comes back, in another browser and after logging out everywhere.
    assert (await browser.user.delete("/account/sessions")).status == 204
    again = Browser(world)
    back = await consent(world, (await again.start("gitlab", success=APP)).headers["Location"], "ada")
    await again.follow(await again.open(back))
    assert (await again.account())["$id"] == account["$id"]
