"""Requests to providers: what they carry, and what of an answer is too much."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from litewrite.errors import ProviderFailed
from litewrite.oauth import client as client_module
from litewrite.oauth.client import LARGEST_ANSWER, Client, decode
from tests.oauth.provider_server import serving


async def test_an_answer_and_what_was_asked() -> None:
    answers = {"/me": {"id": 7}, "/token": "access_token=a%20b&scope="}
    async with serving(answers) as server, Client({"x": server.base}) as client:
        assert await client.get("x", "https://x.test/me?a=1", token="t", query={"b": "2"}) == {"id": 7}
        answer = await client.post("x", "https://x.test/token", form={"code": "c"}, auth=("id", "secrét"))
    assert answer["access_token"] == "a b"
    first, second = server.asked
    assert (first.method, first.query, first.headers["Authorization"]) == ("GET", {"a": "1", "b": "2"}, "Bearer t")
    assert first.headers["User-Agent"] == "litewrite"
    assert (second.method, second.form) == ("POST", {"code": "c"})
    assert second.headers["Authorization"] == "Basic aWQ6c2VjcsOpdA=="


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    moved = web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"}, text="{}")
    answers = {"/me": moved, "/elsewhere": {}, "/again": {"ok": 1}}
    async with serving(answers) as server, Client({"x": server.base}) as client:
        with pytest.raises(ProviderFailed, match="302"):
            await client.get("x", "https://x.test/me")
        await client.get("x", "https://x.test/again")
    assert [asked.path for asked in server.asked] == ["/me", "/again"]
    assert "Cookie" not in server.asked[1].headers


@pytest.mark.parametrize("size", [LARGEST_ANSWER, LARGEST_ANSWER + 1])
async def test_the_size_of_an_answer_has_a_limit(size: int) -> None:
    body = '{"a":"' + "x" * (size - 8) + '"}'
    async with serving({"/me": body}) as server, Client({"x": server.base}) as client:
        if size <= LARGEST_ANSWER:
            assert len((await client.get("x", "https://x.test/me"))["a"]) == size - 8
        else:
            with pytest.raises(ProviderFailed, match="bytes"):
                await client.get("x", "https://x.test/me")


async def test_a_provider_that_is_slow_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SECONDS", 0.2)
    waiting = asyncio.Event()

    async def never(request: web.Request) -> None:
        await waiting.wait()

    async with serving({"/me": never}) as server, Client({"x": server.base}) as client:
        with pytest.raises(ProviderFailed, match="reached"):
            await client.get("x", "https://x.test/me")
        waiting.set()
    async with Client({"x": server.base}) as client:
        with pytest.raises(ProviderFailed, match="reached"):
            await client.get("x", "https://x.test/me")


async def test_a_refusal_is_logged_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    refusals = {
        "/code": web.json_response({"error": "invalid_grant", "error_description": "geheim"}, status=400),
        "/odd": web.json_response({"error": "geheim geheim"}, status=500),
        "/page": web.Response(text="<html>geheim</html>"),
        "/broken": web.Response(text='{"geheim":'),
    }
    async with serving(dict(refusals)) as server, Client({"x": server.base}) as client:
        with caplog.at_level(logging.DEBUG, "litewrite"):
            for path in refusals:
                with pytest.raises(ProviderFailed) as refused:
                    await client.get("x", f"https://x.test{path}", token="geheim", query={"token": "geheim"})
                assert "geheim" not in str(refused.value)
    assert "invalid_grant" in caplog.text
    assert "geheim" not in caplog.text


async def test_a_client_has_to_be_entered() -> None:
    with pytest.raises(RuntimeError):
        await Client().get("x", "https://x.test/")


def test_addresses_are_those_of_the_table_unless_a_base_is_given() -> None:
    client = Client({"x": "http://127.0.0.1:1"})
    assert client.address("y", "https://y.test/a?b=c") == "https://y.test/a?b=c"
    assert client.address("x", "https://x.test/a?b=c") == "http://127.0.0.1:1/a?b=c"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b' {"a": 1} ', {"a": 1}),
        (b"[1]", [1]),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"", None),
        (b"nothing", None),
        (b"\xff=1", None),
        (b"{", None),
    ],
)
def test_decoding(body: bytes, answer: object) -> None:
    assert decode(body) == answer
