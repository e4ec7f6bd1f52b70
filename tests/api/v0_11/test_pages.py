"""The pages that finish logins: fixed words, one escaped link, and a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import html
import re

import pytest

from tests.conftest import Answer, Client, World

PAGES = ("/auth/magic-url", "/auth/oauth2/success", "/auth/oauth2/failure")
EVIL = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%27"


async def fetch(world: World, path: str) -> Answer:
    return await Client(world.http, world.server.url).get(path)


def link_of(answer: Answer) -> str:
    match = re.search(r'<a id="app" href="([^"]*)"', answer.raw.decode())
    assert match is not None
    return html.unescape(match[1])


@pytest.mark.parametrize("path", [*PAGES, *(f"/v1{path}" for path in PAGES)])
async def test_pages(world: World, path: str) -> None:
    query = "project=default&domain=.x.com&key=a_session_default&secret=a%3D%3D+b"
    answer = await fetch(world, f"{path}?{query}")
    assert answer.status == 200
    assert answer.headers["Content-Type"].lower() == "text/html; charset=utf-8"
    assert link_of(answer) == f"appwrite-callback-default://?{query}"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
async def test_only_our_script_runs(world: World, path: str) -> None:
    answer = await fetch(world, f"{path}?project=default&x={EVIL}")
    text = answer.raw.decode()
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for directive, content in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "alert" not in script


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "query",
    ["", "project=", "project=a%2Fb", "project=a%20b", f"project={EVIL}", "project[]=default", f"project={'x' * 33}"],
)
async def test_a_project_that_is_none(world: World, path: str, query: str) -> None:
    answer = await fetch(world, f"{path}?{query}")
    assert answer.status == 200
    assert link_of(answer) == ""
    assert "appwrite-callback" not in answer.raw.decode()
    assert "does not say which project" in answer.raw.decode()
    assert "<script></script>" in answer.raw.decode()


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_of_the_query_becomes_markup(world: World, path: str) -> None:
    answer = await fetch(world, f"{path}?project=default&userId={EVIL}&a=<b>\"'")
    plain = await fetch(world, f"{path}?project=default")
    assert answer.raw.count(b"<") == plain.raw.count(b"<")
    assert answer.raw.count(b'"') == plain.raw.count(b'"')


async def test_a_project_that_does_not_exist(world: World) -> None:
    assert link_of(await fetch(world, "/auth/oauth2/success?project=nowhere")).startswith("appwrite-callback-nowhere")


async def test_the_notice_and_the_call(world: World) -> None:
    assert b"Missing redirect URL" in (await fetch(world, "/auth/oauth2/success?project=default")).raw
    page = (await fetch(world, "/auth/magic-url?project=default")).raw.decode()
    assert "/v1/account/sessions/magic-url" in page
    assert "x-appwrite-project" in page
    assert "FormData" in page


async def test_head(world: World) -> None:
    async with world.http.head(f"{world.server.url}/auth/magic-url?project=default") as answer:
        assert answer.status == 200
