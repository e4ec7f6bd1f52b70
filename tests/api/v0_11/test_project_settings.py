"""Platforms, API keys and webhooks of a project, as its administrators set them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from litewrite.api.v0_11.events import SUBSCRIBABLE
from litewrite.api.v0_11.scopes import KEY_SCOPES
from litewrite.db import webhooks as webhook_rows
from litewrite.db.query import Query, scalar
from litewrite.services.project_access import MASK
from tests.api.v0_11.callers import assert_refused
from tests.api.v0_11.consoles import UNKNOWN, administrator, assert_not_found, project_of, team_of
from tests.conftest import Client, World

HOOK = {
    "name": "Hook",
    "events": ["account.create", "account.update.email"],
    "url": "https://example.com/hook",
    "security": True,
    "httpUser": "user",
    "httpPass": "hush",
}
PLATFORMS: list[dict[str, str]] = [
    {"type": "web", "name": "Web", "hostname": "app.example.com"},
    {"type": "flutter-ios", "name": "Flutter iOS", "key": "com.example.ios", "store": "1"},
    {"type": "flutter-android", "name": "Flutter Android", "key": "com.example.android"},
    {"type": "apple-ios", "name": "iOS", "key": "com.example.ios"},
    {"type": "apple-macos", "name": "macOS", "key": "com.example.macos"},
    {"type": "apple-watchos", "name": "watchOS", "key": "com.example.watchos"},
    {"type": "apple-tvos", "name": "tvOS", "key": "com.example.tvos"},
]
TYPES = (
    "web flutter-ios flutter-android flutter-linux flutter-macos flutter-windows apple-ios apple-macos apple-watchos "
    "apple-tvos android unity"
)


@pytest.fixture
async def admin(world: World) -> Client:
    return await administrator(world)


@pytest.fixture
async def project(admin: Client) -> str:
    return await project_of(admin, await team_of(admin))


def body_of(platform: dict[str, str]) -> dict[str, str]:
    return {"key": "", "store": "", "hostname": "", "httpUser": "", "httpPass": "", **platform}


class TestPlatforms:
    async def test_each_comes_back_as_it_was_made_and_goes(self, admin: Client, project: str) -> None:
        path = f"/projects/{project}/platforms"
        ids = []
        for platform in PLATFORMS:
            made = await admin.post(path, platform)
            assert (made.status, made.body) == (201, {"$id": made["$id"], **body_of(platform)})
            ids.append(made["$id"])
        listed = await admin.get(path)
        assert (listed.status, listed["sum"]) == (200, 7)
        assert [entry["$id"] for entry in listed["platforms"]] == ids
        assert (await admin.get(f"/projects/{project}"))["platforms"] == listed["platforms"]
        for platform_id, platform in zip(ids, PLATFORMS, strict=True):
            found = await admin.get(f"{path}/{platform_id}")
            assert (found.status, found.body) == (200, {"$id": platform_id, **body_of(platform)})
        for platform_id in ids:
            gone = await admin.delete(f"{path}/{platform_id}")
            assert (gone.status, gone.raw) == (204, b"")
            assert_not_found(await admin.get(f"{path}/{platform_id}"), "platform_not_found")
        assert (await admin.get(path)).body == {"sum": 0, "platforms": []}

    @pytest.mark.parametrize("type", TYPES.split())
    async def test_every_type(self, admin: Client, project: str, type: str) -> None:
        assert (await admin.post(f"/projects/{project}/platforms", {"type": type, "name": "x"}))["type"] == type

    @pytest.mark.parametrize(
        "wrong",
        [
            {"type": "ios"},
            {"type": "Web"},
            {"type": ""},
            {"name": ""},
            {"name": "x" * 129},
            {"key": "x" * 257},
            {"store": "x" * 257},
            {"hostname": "x" * 257},
            {"hostname": 1},
        ],
    )
    async def test_wrong_parameters(self, admin: Client, project: str, wrong: dict[str, Any]) -> None:
        answer = await admin.post(f"/projects/{project}/platforms", {"type": "web", "name": "x", **wrong})
        assert_refused(answer, 400, "general_argument_invalid")

    async def test_all_but_the_type_is_replaced(self, admin: Client, project: str) -> None:
        path = f"/projects/{project}/platforms"
        made = await admin.post(path, PLATFORMS[1])
        answer = await admin.put(f"{path}/{made['$id']}", {"name": "New", "type": "web", "hostname": "h"})
        expected = body_of({"type": "flutter-ios", "name": "New", "hostname": "h"})
        assert (answer.status, answer.body) == (200, {"$id": made["$id"], **expected})
        assert (await admin.get(f"{path}/{made['$id']}")).body == answer.body
        assert_refused(await admin.put(f"{path}/{made['$id']}", {}), 400, "general_argument_invalid")

    async def test_unknown_ones(self, admin: Client, project: str) -> None:
        other = await project_of(admin, await team_of(admin))
        foreign = (await admin.post(f"/projects/{other}/platforms", PLATFORMS[0]))["$id"]
        for platform_id in (UNKNOWN, foreign):
            path = f"/projects/{project}/platforms/{platform_id}"
            assert_not_found(await admin.get(path), "platform_not_found")
            assert_not_found(await admin.put(path, {"name": "x"}), "platform_not_found")
            assert_not_found(await admin.delete(path), "platform_not_found")
        assert (await admin.get(f"/projects/{other}/platforms"))["sum"] == 1


class TestKeys:
    async def test_the_secret_is_shown_once(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/keys"
        made = await admin.post(path, {"name": "Server", "scopes": ["teams.read", "users.read"]})
        assert (made.status, made["name"], made["scopes"]) == (201, "Server", ["teams.read", "users.read"])
        assert re.fullmatch("[0-9a-f]{256}", made["secret"])
        hidden = {**made.body, "secret": f"{made['secret'][:8]}…"}
        assert (await admin.get(f"{path}/{made['$id']}")).body == hidden
        assert (await admin.get(path)).body == {"sum": 1, "keys": [hidden]}
        assert (await admin.get(f"/projects/{project}"))["keys"] == [hidden]
        everything: Query[int] = Query("SELECT count(*) FROM keys WHERE secret_hash = ?", (made["secret"],), scalar)
        assert await world.backend.db.read(everything) == 0

    async def test_it_works_until_it_is_deleted(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/keys"
        made = await admin.post(path, {"name": "Server", "scopes": ["users.read"]})
        key = World(world.server, world.http, project).guest.with_headers(X_Appwrite_Key=made["secret"])
        assert (await key.get("/users")).status == 200
        assert (await key.get("/functions")).status == 401
        changed = await admin.put(f"{path}/{made['$id']}", {"name": "New", "scopes": ["functions.read"]})
        assert (changed.status, changed["name"], changed["scopes"]) == (200, "New", ["functions.read"])
        assert (await admin.get(f"{path}/{made['$id']}")).body == changed.body
        assert (await key.get("/users")).status == 401
        assert (await key.get("/functions")).status == 200
        gone = await admin.delete(f"{path}/{made['$id']}")
        assert (gone.status, gone.raw) == (204, b"")
        assert_not_found(await admin.get(f"{path}/{made['$id']}"), "key_not_found")
        assert_refused(await key.get("/functions"), 401, "general_unauthorized_scope")

    async def test_scopes(self, admin: Client, project: str) -> None:
        path = f"/projects/{project}/keys"
        made = await admin.post(path, {"name": "all", "scopes": list(KEY_SCOPES)})
        assert (made.status, made["scopes"]) == (201, list(KEY_SCOPES))
        assert (await admin.post(path, {"name": "none", "scopes": []}))["scopes"] == []
        for scopes in (["unknown"], ["users.read", "projects.read"], ["mails.read"], "users.read", None):
            assert_refused(await admin.post(path, {"name": "x", "scopes": scopes}), 400, "general_argument_invalid")
            answer = await admin.put(f"{path}/{made['$id']}", {"name": "x", "scopes": scopes})
            assert_refused(answer, 400, "general_argument_invalid")
        assert (await admin.get(f"{path}/{made['$id']}"))["scopes"] == list(KEY_SCOPES)
        assert_refused(await admin.post(path, {"name": "", "scopes": []}), 400, "general_argument_invalid")

    async def test_unknown_ones(self, admin: Client, project: str) -> None:
        other = await project_of(admin, await team_of(admin))
        foreign = (await admin.post(f"/projects/{other}/keys", {"name": "x", "scopes": []}))["$id"]
        for key_id in (UNKNOWN, foreign):
            path = f"/projects/{project}/keys/{key_id}"
            assert_not_found(await admin.get(path), "key_not_found")
            assert_not_found(await admin.put(path, {"name": "x", "scopes": []}), "key_not_found")
            assert_not_found(await admin.delete(path), "key_not_found")
        assert (await admin.get(f"/projects/{other}/keys"))["sum"] == 1


class TestWebhooks:
    async def test_one_is_made_read_and_deleted(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/webhooks"
        made = await admin.post(path, HOOK)
        assert (made.status, made.body) == (201, {"$id": made["$id"], **HOOK})
        hidden = {**made.body, "httpPass": MASK}
        assert (await admin.get(f"{path}/{made['$id']}")).body == hidden
        assert (await admin.get(path)).body == {"sum": 1, "webhooks": [hidden]}
        assert (await admin.get(f"/projects/{project}"))["webhooks"] == [hidden]
        gone = await admin.delete(f"{path}/{made['$id']}")
        assert (gone.status, gone.raw) == (204, b"")
        assert_not_found(await admin.get(f"{path}/{made['$id']}"), "webhook_not_found")
        assert (await admin.get(path)).body == {"sum": 0, "webhooks": []}

    async def test_what_is_secret_is_encrypted(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/webhooks"
        made = [(await admin.post(path, HOOK))["$id"] for _ in range(2)]
        stored = [await world.backend.db.read(webhook_rows.get(project, webhook_id)) for webhook_id in made]
        webhooks = world.backend.services.webhooks
        for webhook in stored:
            assert b"hush" not in webhook.http_password
            assert webhooks.password(webhook) == "hush"
            assert re.fullmatch("[0-9a-f]{256}", webhooks.signature_secret(webhook))
            assert webhook.created_at == webhook.updated_at
        assert webhooks.signature_secret(stored[0]) != webhooks.signature_secret(stored[1])

    async def test_everything_is_replaced(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/webhooks"
        made = (await admin.post(path, HOOK))["$id"]
        before = await world.backend.db.read(webhook_rows.get(project, made))
        new = {"name": "New", "events": ["teams.create"], "url": "http://localhost:1234/x?y=z", "security": False}
        answer = await admin.put(f"{path}/{made}", new)
        assert (answer.status, answer.body) == (200, {"$id": made, **new, "httpUser": "", "httpPass": ""})
        assert (await admin.get(f"{path}/{made}")).body == answer.body
        after = await world.backend.db.read(webhook_rows.get(project, made))
        assert after.signature_secret == before.signature_secret
        assert after.http_password == b""

    async def test_the_mask_leaves_the_password(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/webhooks"
        made = (await admin.post(path, HOOK))["$id"]
        answer = await admin.put(f"{path}/{made}", {**HOOK, "name": "New", "httpPass": MASK})
        assert (answer["name"], answer["httpPass"]) == ("New", MASK)
        stored = await world.backend.db.read(webhook_rows.get(project, made))
        assert world.backend.services.webhooks.password(stored) == "hush"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": "x" * 129},
            {"events": ["account.unknown"]},
            {"events": ["account.create", "account.unknown"]},
            {"events": ["account.*"]},
            {"events": ["users.update.verification"]},
            {"events": "account.create"},
            {"events": None},
            {"url": "example.com"},
            {"url": "//example.com"},
            {"url": "ftp://example.com"},
            {"url": "https://user:pass@example.com"},
            {"url": ""},
            {"security": "maybe"},
            {"httpUser": "x" * 257},
            {"httpPass": "x" * 257},
        ],
    )
    async def test_wrong_parameters(self, admin: Client, project: str, wrong: dict[str, Any]) -> None:
        path = f"/projects/{project}/webhooks"
        made = (await admin.post(path, HOOK))["$id"]
        assert_refused(await admin.post(path, {**HOOK, **wrong}), 400, "general_argument_invalid")
        assert_refused(await admin.put(f"{path}/{made}", {**HOOK, **wrong}), 400, "general_argument_invalid")
        assert (await admin.get(path)).body == {"sum": 1, "webhooks": [{"$id": made, **HOOK, "httpPass": MASK}]}

    async def test_every_event_and_loose_booleans(self, admin: Client, project: str) -> None:
        path = f"/projects/{project}/webhooks"
        assert len(SUBSCRIBABLE) == 44
        made = await admin.post(path, {**HOOK, "events": [*SUBSCRIBABLE, "account.create"]})
        assert made["events"] == list(SUBSCRIBABLE)
        for given, expected in (("true", True), ("0", False), (1, True), (None, False)):
            assert (await admin.post(path, {**HOOK, "security": given}))["security"] is expected

    async def test_unknown_ones(self, admin: Client, project: str) -> None:
        other = await project_of(admin, await team_of(admin))
        foreign = (await admin.post(f"/projects/{other}/webhooks", HOOK))["$id"]
        for webhook_id in (UNKNOWN, foreign):
            path = f"/projects/{project}/webhooks/{webhook_id}"
            assert_not_found(await admin.get(path), "webhook_not_found")
            assert_not_found(await admin.put(path, HOOK), "webhook_not_found")
            assert_not_found(await admin.delete(path), "webhook_not_found")
        assert (await admin.get(f"/projects/{other}/webhooks"))["sum"] == 1
