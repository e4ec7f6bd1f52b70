"""Desktop apps and other clients with origins of their own: they may call once they are declared, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from litewrite.entities import CONSOLE
from litewrite.services.project_access import OPERATOR
from tests.conftest import Answer, Client, World

ALLOW = "Access-Control-Allow-Origin"

DECLARED = [
    ("tauri://app", {"type": "web", "key": "tauri://app"}),
    ("tauri://app", {"type": "web", "hostname": "tauri://app"}),
    ("tauri://app", {"type": "flutter-linux", "key": "tauri://app"}),
    ("tauri://app", {"type": "web", "key": "TAURI://App/"}),
    ("app://bundle", {"type": "web", "key": "app://bundle"}),
    ("app://bundle", {"type": "web", "key": "app://"}),
    ("app://-", {"type": "apple-macos", "key": "app://-"}),
    ("app://", {"type": "web", "key": "app://"}),
    ("capacitor://shop", {"type": "apple-ios", "key": "capacitor://shop"}),
    ("ionic://shop:8100", {"type": "web", "key": "ionic://shop:8100"}),
    ("null", {"type": "web", "hostname": "null"}),
    ("null", {"type": "web", "key": "file://"}),
    ("null", {"type": "unity", "key": "file:///"}),
    ("file://", {"type": "web", "key": "file://"}),
    ("file://", {"type": "web", "key": "null"}),
    ("appwrite-android://com.example.app", {"type": "flutter-android", "key": "com.example.app"}),
    ("appwrite-macos://com.example.app", {"type": "apple-macos", "key": "com.Example.App"}),
    ("https://shop.example.com:8443", {"type": "web", "hostname": "Shop.example.com"}),
    ("https://shop.example.com:8443", {"type": "web", "hostname": "https://shop.example.com/start"}),
    ("https://shop.example.com:8443", {"type": "web", "key": "https://shop.example.com:1"}),
    ("http://[2001:db8::1]:3000", {"type": "web", "hostname": "http://[2001:db8::1]:3000"}),
]
UNDECLARED = [
    ("tauri://other", {"type": "web", "key": "tauri://app"}),
    ("other://app", {"type": "web", "key": "tauri://app"}),
    ("app://bundle", {"type": "web", "key": "apps://"}),
    ("https://app.example.com", {"type": "web", "key": "app://"}),
    ("null", {"type": "web", "key": "tauri://app"}),
    ("file://", {"type": "web", "hostname": "app.example.com"}),
    ("app://", {"type": "web", "key": "app://bundle"}),
    ("https://com.example", {"type": "web", "key": "com.example"}),
    ("https://a.shop.example.com", {"type": "web", "hostname": "shop.example.com"}),
    ("https://shop.example.com", {"type": "web", "hostname": ""}),
]


async def declare(world: World, platform: dict[str, str], project: str = "default") -> str:
    made = await world.backend.services.platforms.create(OPERATOR, project, **{"name": "x", **platform})
    platform_id: str = made.id
    return platform_id


def is_foreign(answer: Answer, origin: str) -> bool:
    assert (answer.status == 403) == (answer.headers[ALLOW] != origin)
    if answer.status == 403:
        assert answer["type"] == "general_unknown_origin"
    return answer.status == 403


async def write(user: Client, origin: str) -> Answer:
    return await user.patch("/account/name", {"name": "New"}, headers={"Origin": origin})


@pytest.mark.parametrize(("origin", "platform"), DECLARED)
async def test_declared_ones_may_write_with_cookies(world: World, origin: str, platform: dict[str, str]) -> None:
    user = await world.sign_up()
    assert is_foreign(await write(user, origin), origin)
    platform_id = await declare(world, platform)
    answer = await write(user, origin)
    assert (answer.status, answer.headers[ALLOW]) == (200, origin)
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    read = await user.get("/account", headers={"Origin": origin})
    assert (read.status, read.headers[ALLOW]) == (200, origin)
    await world.backend.services.platforms.delete(OPERATOR, "default", platform_id)
    assert is_foreign(await write(user, origin), origin)


@pytest.mark.parametrize(("origin", "platform"), UNDECLARED)
async def test_others_may_not(world: World, origin: str, platform: dict[str, str]) -> None:
    user = await world.sign_up()
    await declare(world, platform)
    assert is_foreign(await write(user, origin), origin)


async def test_a_whole_visit_of_a_desktop_app(world: World) -> None:
    """Sign-up, login and upload from pages of `tauri://localhost`, which WebKit sends for every request."""
    await declare(world, {"type": "web", "key": "tauri://localhost"})
    app = world.guest.with_headers(Origin="tauri://localhost")
    assert (await app.post("/account", {"email": "ada@example.com", "password": "password"})).status == 201
    answer = await app.post("/account/sessions", {"email": "ada@example.com", "password": "password"})
    assert (answer.status, answer.headers[ALLOW]) == (201, "tauri://localhost")
    user = app.with_headers(X_Fallback_Cookies=answer.headers["X-Fallback-Cookies"])
    assert (await user.patch("/account/prefs", {"prefs": {"a": 1}})).status == 200
    assert (await user.delete("/account/sessions/current")).status == 204


@pytest.mark.parametrize(
    ("url", "platform"),
    [
        ("tauri://app/welcome", {"type": "web", "key": "tauri://app"}),
        ("com.example.app://welcome", {"type": "flutter-android", "key": "com.example.app"}),
        ("https://shop.example.com:99/welcome?x=y", {"type": "web", "hostname": "shop.example.com"}),
        ("https://shop.example.com/welcome", {"type": "web", "hostname": "https://shop.example.com"}),
    ],
)
async def test_links_may_lead_to_declared_ones(world: World, url: str, platform: dict[str, str]) -> None:
    user = await world.sign_up()
    refused = await user.post("/account/verification", {"url": url})
    assert (refused.status, refused["type"]) == (400, "general_argument_invalid")
    await declare(world, platform)
    assert (await user.post("/account/verification", {"url": url})).status == 201


class TestAdministrators:
    @pytest.fixture
    async def cookie(self, world: World) -> str:
        await world.backend.services.admins.create(email="root@example.com", password="password")
        console = World(world.server, world.http, CONSOLE)
        cookie: str = (await console.log_in("root@example.com")).headers["Cookie"]
        return cookie

    @pytest.mark.parametrize("target", [{"X-Appwrite-Project": CONSOLE}, {"X-Appwrite-Mode": "admin"}])
    async def test_platforms_of_an_app_do_not_count(self, world: World, cookie: str, target: dict[str, str]) -> None:
        admin = Client(world.http, world.endpoint, {**world.guest.headers, "Cookie": cookie, **target})

        async def write() -> Answer:
            return await admin.post("/teams", {"name": "x"}, headers={"Origin": "tauri://console"})

        await declare(world, {"type": "web", "key": "tauri://console"})
        assert is_foreign(await write(), "tauri://console")
        await declare(world, {"type": "web", "key": "tauri://console"}, CONSOLE)
        answer = await write()
        assert (answer.status, answer.headers[ALLOW]) == (201, "tauri://console")

    async def test_settings_are_out_of_reach_for_pages_of_an_app(self, world: World, cookie: str) -> None:
        await declare(world, {"type": "web", "hostname": "shop.example.com"})
        admin = Client(world.http, world.endpoint, {"X-Appwrite-Project": CONSOLE, "Cookie": cookie})
        body: Any = {"name": "k", "scopes": ["users.read"]}
        answer = await admin.post("/projects/default/keys", body, headers={"Origin": "https://shop.example.com"})
        assert answer.status == 403
        assert (await admin.post("/projects/default/keys", body, headers={"Origin": world.server.url})).status == 201
