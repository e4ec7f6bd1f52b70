"""What holds for every request: routes, hosts, parameters, the order of checks, headers and failures."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import socket
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from multidict import CIMultiDict

from litewrite import Config, Litewrite
from litewrite.api import pipeline as steps
from litewrite.api.context import Context
from litewrite.api.origins import CorsHeaders
from litewrite.db import users as user_rows
from litewrite.entities import UserStatus
from litewrite.errors import ArgumentInvalid, Overloaded, StorageFull
from litewrite.http.hosts import Caller
from tests.api.conftest import Configure, Raw
from tests.conftest import FAST, Answer, Client, World

ALLOW_METHODS = "GET, POST, PUT, PATCH, DELETE"
ALLOW_HEADERS = (
    "Origin, Cookie, Set-Cookie, X-Requested-With, Content-Type, Access-Control-Allow-Origin, "
    "Access-Control-Request-Headers, Accept, X-Appwrite-Project, X-Appwrite-Key, X-Appwrite-Locale, X-Appwrite-Mode, "
    "X-Appwrite-JWT, X-Appwrite-Response-Format, X-SDK-Version, Cache-Control, Expires, Pragma"
)
PROJECT = "X-Appwrite-Project: default"
JSON_TYPE = "Content-Type: application/json"
NOT_FOUND = {"message": "Not Found", "code": 404, "version": "0.11.2", "type": "general_route_not_found"}


def told(answer: Answer) -> tuple[int, str]:
    """Status and identifier of an error."""
    return answer.status, answer.body["type"]


def fields(answer: Answer) -> dict[str, str]:
    """The headers of a raw answer, names in lower case."""
    return {name.lower(): value for name, value in answer.headers}


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1"),
            ("GET", "/v1/unknown"),
            ("GET", "/v1/accounts"),
            ("GET", "/v1/xaccount"),
            ("GET", "/x/v1/account"),
            ("GET", "/v1/account/x"),
            ("GET", "/v1/account//"),
            ("GET", "/v1//account"),
            ("GET", "/V1/account"),
            ("GET", "/v1/%61ccount"),
            ("GET", "/v1/../v1/account"),
            ("PUT", "/v1/account"),
            ("POST", "/v1/account/"),
            ("DELETE", "/v1/account/sessions/"),
            ("PATCH", "/v1/account/name/x"),
            ("GET", "/v1/account/anonymous"),
            ("GET", "/v1/account/jwt"),
            ("POST", "/v1/health"),
            ("TRACE", "/v1/account"),
            ("PROPFIND", "/v1/account"),
        ],
    )
    async def test_what_is_not_exact_is_404(self, raw: Raw, method: str, path: str) -> None:
        answer = await raw.request(method, path, PROJECT)
        assert answer.status == 404
        assert json.loads(answer.raw) == NOT_FOUND

    async def test_one_trailing_slash_on_get(self, user: Client) -> None:
        assert (await user.get("/account/")).status == 200
        assert (await user.get("/account/sessions/current/")).status == 200

    async def test_post_anonymous_is_account_creation(self, world: World, configure: Configure) -> None:
        assert told(await world.guest.post("/account/anonymous", {})) == (400, "general_argument_invalid")
        await configure(settings={"auth": {"email-password": False}})
        assert told(await world.guest.post("/account/anonymous", {})) == (501, "user_auth_method_unsupported")

    async def test_a_404_may_be_read_by_pages_of_the_project(self, world: World, configure: Configure) -> None:
        await configure(platforms=[("web", "app.example")])
        answer = await world.guest.get("/unknown", headers={"Origin": "https://app.example"})
        assert answer.status == 404
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"

    async def test_head_is_get_without_a_body(self, user: Client, raw: Raw) -> None:
        got, head = await user.get("/account"), await user.call("HEAD", "/account")
        assert (head.status, head.raw) == (200, b"")
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
        assert (await user.call("HEAD", "/unknown")).status == 404
        assert (await raw.request("HEAD", "/v1/account", PROJECT)).raw == b""


class TestOptions:
    @pytest.mark.parametrize("path", ["/", "/v1", "/v1/account", "/v1/unknown/deeply/so", "/v1/account/", "/x?y=%"])
    async def test_any_path(self, world: World, path: str) -> None:
        async with world.http.options(
            world.server.url + path, headers={"Origin": "http://random.com:3000"}, allow_redirects=False
        ) as answer:
            assert answer.status == 204
            assert await answer.read() == b""
            assert not answer.headers["Content-Type"].startswith("application/json")
            cors = {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}
            assert cors == {
                "Access-Control-Allow-Methods": ALLOW_METHODS,
                "Access-Control-Allow-Headers": f"{ALLOW_HEADERS}, X-Fallback-Cookies",
                "Access-Control-Expose-Headers": "X-Fallback-Cookies",
                "Access-Control-Allow-Origin": "http://random.com:3000",
                "Access-Control-Allow-Credentials": "true",
            }

    async def test_no_check_is_made(self, raw: Raw) -> None:
        answer = await raw.request("OPTIONS", "/v1/account", "Host: evil.example", "X-Appwrite-JWT: nonsense")
        assert answer.status == 204

    async def test_an_origin_that_is_no_header_value_is_not_echoed(self, raw: Raw) -> None:
        answer = await raw.request("OPTIONS", "/v1/account", "Origin: http://\udcff\udcfe")
        assert answer.status == 204
        assert fields(answer)["access-control-allow-origin"].strip() == ""


class TestHeaders:
    async def test_of_an_answer(self, user: Client) -> None:
        answer = await user.get("/account")
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert answer.headers["Server"] == "litewrite"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Access-Control-Allow-Methods"] == ALLOW_METHODS
        assert answer.headers["Access-Control-Allow-Headers"] == ALLOW_HEADERS
        assert answer.headers["Access-Control-Expose-Headers"] == "X-Fallback-Cookies"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost"
        assert "Cache-Control" not in answer.headers
        assert "X-RateLimit-Limit" not in answer.headers

    @pytest.mark.parametrize("path", ["/account", "/unknown", "/account/sessions/x"])
    async def test_of_an_error(self, guest: Client, path: str) -> None:
        answer = await guest.get(path)
        assert answer.status >= 400
        assert set(answer.body) == {"message", "code", "version", "type"}
        assert answer.body["code"] == answer.status
        assert answer.body["version"] == "0.11.2"
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        assert answer.headers["Expires"] == "0"
        assert answer.headers["Pragma"] == "no-cache"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Server"] == "litewrite"

    async def test_of_no_content(self, user: Client) -> None:
        answer = await user.delete("/account/sessions")
        assert (answer.status, answer.raw) == (204, b"")
        assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"

    async def test_of_a_limited_endpoint(self, guest: Client) -> None:
        for left in (9, 8):
            answer = await guest.post("/account", {})
            assert answer.status == 400
            assert answer.headers["X-RateLimit-Limit"] == "10"
            assert answer.headers["X-RateLimit-Remaining"] == str(left)
            reset = int(answer.headers["X-RateLimit-Reset"])
            assert reset % 3600 == 0
            assert 0 < reset - time.time() <= 3600

    async def test_the_version_that_errors_report_is_a_setting(self, tmp_path: Any) -> None:
        config = Config(data_dir=tmp_path / "v", port=0, version="9.8.7", **FAST)
        async with Litewrite(config) as server, aiohttp.ClientSession() as http:
            assert (await World(server, http).guest.get("/unknown"))["version"] == "9.8.7"

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            ("http://localhost", "http://localhost"),
            ("https://localhost:3000", "https://localhost:3000"),
            ("http://127.0.0.1:5173", "http://127.0.0.1:5173"),  # the host of the request itself
            ("https://app.example", "https://app.example"),
            ("http://app.example:8080", "http://app.example:8080"),
            ("https://APP.example", "https://app.example"),
            ("https://sub.app.example", "https://localhost"),
            ("https://evil.example", "https://localhost"),
            ("https://evil.example:444", "https://localhost:444"),
            ("https://evil.example:99999", "https://localhost"),
            ("tauri://localhost", "tauri://localhost"),
            ("appwrite-android://com.example.App", "appwrite-android://com.example.app"),
            ("app://desk", "app://desk"),
            ("app://other", "app://localhost"),
            ("null", "http://localhost"),
            ("file://", "http://localhost"),
            ("word", "http://localhost"),
            ("", "http://localhost"),
        ],
    )
    async def test_which_origin_may_read(self, world: World, configure: Configure, origin: str, allowed: str) -> None:
        await configure(platforms=[("web", "app.example"), ("android", "com.example.App"), ("unity", "app://desk")])
        answer = await world.guest.get("/account", headers={"Origin": origin} if origin else {})
        assert answer.headers["Access-Control-Allow-Origin"] == allowed

    async def test_an_endpoint_for_any_origin_echoes_it_and_takes_writes_from_it(
        self, world: World, user: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find = steps.find_route

        def open_to_all(pipeline: Any, ctx: Any) -> Any:
            waiting = find(pipeline, ctx)
            ctx.endpoint = replace(ctx.endpoint, any_origin=True)
            return waiting

        monkeypatch.setattr(steps, "STEPS", tuple(open_to_all if step is find else step for step in steps.STEPS))
        answer = await user.patch("/account/name", {"name": "Eve"}, headers={"Origin": "https://provider.example"})
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://provider.example"

    async def test_the_referer_stands_in_for_the_origin(self, guest: Client) -> None:
        answer = await guest.get("/account", headers={"Referer": "http://localhost:81/a/page?x=1"})
        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:81"

    @pytest.mark.parametrize("declared", ["null", "file://"])
    async def test_pages_without_a_host_may_be_declared(
        self, world: World, configure: Configure, declared: str
    ) -> None:
        await configure(platforms=[("unity", declared)])
        for origin in ("null", "file://"):
            answer = await world.guest.get("/account", headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin

    async def test_a_platform_counts_from_the_next_request_on(self, world: World, configure: Configure) -> None:
        async def allowed() -> str:
            answer = await world.guest.get("/account", headers={"Origin": "https://app.example"})
            return str(answer.headers["Access-Control-Allow-Origin"])

        assert await allowed() == "https://localhost"
        await configure(platforms=[("web", "app.example")])
        assert await allowed() == "https://app.example"

    async def test_a_platform_of_another_project_does_not_count(self, world: World, configure: Configure) -> None:
        await world.backend.services.projects.create("other")
        await configure(project="other", platforms=[("web", "app.example")])
        answer = await world.guest.get("/account", headers={"Origin": "https://app.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://localhost"

    def test_what_is_remembered_is_bounded(self) -> None:
        def asking(origin: str) -> Any:
            return SimpleNamespace(headers=CIMultiDict(Origin=origin))

        cors = CorsHeaders("x")
        for number in range(CorsHeaders._SIZE + 10):
            cors.of(asking(f"http://h{number}"), None, None)
        cors.of(asking(f"http://{'h' * 300}"), None, None)
        assert len(cors._made) == 10


class TestHosts:
    @pytest.mark.parametrize("host", ["localhost", "localhost:1234", "app.localhost", "127.0.0.1:99", "[::1]:8700"])
    async def test_answered(self, raw: Raw, host: str) -> None:
        assert (await raw.request("GET", "/v1/health/version", f"Host: {host}")).status == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "evil.example@localhost", "localhost/x", "\udcff", "a b"]
    )
    @pytest.mark.parametrize("path", ["/v1/health/version", "/v1/unknown"])
    async def test_others_are_400(self, raw: Raw, host: str, path: str) -> None:
        answer = await raw.request("GET", path, f"Host: {host}", PROJECT)
        assert answer.status == 400

    async def test_the_refusal_is_an_error_body(self, raw: Raw) -> None:
        answer = await raw.request("GET", "/v1/account", "Host: evil.example", PROJECT)
        assert json.loads(answer.raw)["code"] == 400
        assert "evil.example" in json.loads(answer.raw)["message"]

    async def test_allowed_names_and_the_public_url(self, tmp_path: Any) -> None:
        config = Config(
            data_dir=tmp_path / "h", port=0, allowed_hosts=("my.example",), public_url="https://pub.example", **FAST
        )
        async with Litewrite(config) as server:
            raw = Raw(int(server.url.rpartition(":")[2]))
            for host, status in (("my.example:81", 200), ("pub.example", 200), ("x.my.example", 400)):
                assert (await raw.request("GET", "/v1/health/version", f"Host: {host}")).status == status

    async def test_forwarded_addresses_count_from_trusted_proxies_alone(self, tmp_path: Any, world: World) -> None:
        async def address(world: World) -> str:
            guest = world.guest.with_headers(X_Forwarded_For="6.6.6.6, 203.0.113.9")
            answer = await guest.post("/account/sessions/anonymous", {})
            assert answer.status == 201, answer.body
            return str(answer["ip"])

        assert await address(world) == "127.0.0.1"
        config = Config(data_dir=tmp_path / "t", port=0, trusted_proxies=("127.0.0.1",), **FAST)
        async with Litewrite(config) as server, aiohttp.ClientSession() as http:
            assert await address(World(server, http)) == "203.0.113.9"


class TestParameters:
    async def test_a_body_of_get_is_ignored(self, user: Client) -> None:
        for data in ("null", "{}", '{"project":"other"}', "not json"):
            answer = await user.call("GET", "/account", data=data, headers={"Content-Type": "application/json"})
            assert answer.status == 200

    async def test_the_query_of_a_writing_request_is_ignored(self, user: Client) -> None:
        answer = await user.call("PATCH", "/account/name", json={}, params={"name": "Eve", "project": "other"})
        assert told(answer) == (400, "general_argument_invalid")

    @pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
    async def test_json(self, user: Client, content_type: str) -> None:
        answer = await user.call(
            "PATCH", "/account/name", data='{"name":"Eve"}', headers={"Content-Type": content_type}
        )
        assert answer["name"] == "Eve"

    async def test_forms(self, user: Client) -> None:
        assert (await user.patch("/account/name", data={"name": "Eve Ö&="}))["name"] == "Eve Ö&="
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("name", "Eve Multi")
        assert (await user.patch("/account/name", data=form))["name"] == "Eve Multi"
        nested = await user.patch("/account/prefs", data={"prefs[theme]": "pink", "prefs[list][]": "a"})
        assert nested["prefs"] == {"theme": "pink", "list": ["a"]}

    @pytest.mark.parametrize("body", ["", "null", "7", '"text"', "[]", "[1]", "{", '{"name"'])
    async def test_what_is_no_json_object_is_no_parameters(self, user: Client, body: str) -> None:
        answer = await user.call("PATCH", "/account/name", data=body, headers={"Content-Type": "application/json"})
        assert told(answer) == (400, "general_argument_invalid")
        assert "name" in answer["message"]

    async def test_without_content_type_there_are_no_parameters(self, user: Client, raw: Raw) -> None:
        answer = await raw.request(
            "PATCH", "/v1/account/name", PROJECT, f"Cookie: {user.headers['Cookie']}", body=b'{"name":"Eve"}'
        )
        assert answer.status == 400

    @pytest.mark.parametrize(
        "body",
        [
            '{"name":NaN}',
            '{"name":"Eve","x":Infinity}',
            '{"name":"Eve","x":9223372036854775808}',
            '{"name":"Eve","x":-9223372036854775809}',
            '{"name":"Eve","x":1e999}',
            '{"name":"\\ud800"}',
            '{"name":"Eve","name":"Ada"}',
            '{"name":"Eve","x":{"a":1,"a":2}}',
            '{"name":"Eve","x":' + "[" * 64 + "]" * 64 + "}",
        ],
    )
    async def test_json_that_means_different_things_is_400_after_the_scope(
        self, world: World, user: Client, body: str
    ) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await user.call("PATCH", "/account/name", data=body, headers=headers)
        assert told(answer) == (400, "general_argument_invalid")
        answer = await world.guest.call("PATCH", "/account/name", data=body, headers=headers)
        assert told(answer) == (401, "general_unauthorized_scope")

    async def test_the_same_just_within_the_rules(self, user: Client) -> None:
        body = '{"name":"Eve","x":' + "[" * 63 + "]" * 63 + ',"y":9223372036854775807,"z":"\\ud83d\\ude00"}'
        headers = {"Content-Type": "application/json"}
        assert (await user.call("PATCH", "/account/name", data=body, headers=headers)).status == 200

    @pytest.mark.parametrize("query", ["a=%", "a=%ff", "a" + "[x]" * 20 + "=1", "&".join(["a=1"] * 1_001)])
    async def test_a_broken_query_is_400_after_the_scope(self, user: Client, raw: Raw, query: str) -> None:
        path = f"/v1/account?{query}"
        answer = await raw.request("GET", path, PROJECT, f"Cookie: {user.headers['Cookie']}")
        assert answer.status == 400
        assert json.loads(answer.raw)["type"] == "general_argument_invalid"
        assert (await raw.request("GET", path, PROJECT)).status == 401

    async def test_a_body_beyond_the_limit_is_400_after_the_scope(self, world: World, user: Client) -> None:
        body = b'{"prefs":{"x":"' + b"y" * 4_000_000 + b'"}}'
        headers = {"Content-Type": "application/json"}
        answer = await user.call("PATCH", "/account/prefs", data=io.BytesIO(body), headers=headers)
        assert told(answer) == (400, "general_argument_invalid")
        assert "4000000 bytes" in answer["message"]
        answer = await world.guest.call("PATCH", "/account/prefs", data=io.BytesIO(body), headers=headers)
        assert told(answer) == (401, "general_unauthorized_scope")

    async def test_a_chunked_body_beyond_the_limit_is_400(self, user: Client) -> None:
        async def chunks() -> Any:
            for _ in range(5):
                yield b"x" * 1_000_000

        answer = await user.call("PATCH", "/account/prefs", data=chunks(), headers={"Content-Type": "application/json"})
        assert told(answer) == (400, "general_argument_invalid")

    async def test_a_large_body_within_the_limit_is_read(self, user: Client) -> None:
        answer = await user.patch("/account/name", {"name": "Eve", "unknown": "x" * 1_000_000})
        assert answer.status == 200

    async def test_unknown_parameters_are_ignored(self, user: Client) -> None:
        assert (await user.patch("/account/name", {"name": "Eve", "status": 2}))["status"] == 0


class TestProjectModeLocale:
    async def test_the_query_of_get_wins_over_the_header(self, user: Client) -> None:
        assert (await user.get("/account", params={"project": "default"})).status == 200
        assert told(await user.get("/account", params={"project": "missing"})) == (400, "project_unknown")
        without = Client(user.http, user.endpoint, {"Cookie": user.headers["Cookie"]})
        assert (await without.get("/account", params={"project": "default"})).status == 200
        assert told(await without.get("/account")) == (400, "project_unknown")

    async def test_the_body_of_other_methods_wins_over_the_header(self, user: Client) -> None:
        cookie = {"Cookie": user.headers["Cookie"]}
        without = Client(user.http, user.endpoint, cookie)
        named = {"name": "Eve", "project": "default"}
        assert (await without.patch("/account/name", named)).status == 200
        assert (await without.patch("/account/name", data=named)).status == 200
        answer = await user.patch("/account/name", {"name": "Eve", "project": "missing"})
        assert told(answer) == (400, "project_unknown")

    @pytest.mark.parametrize("value", ["", None, 7, ["default"], {"a": 1}])
    async def test_what_is_no_text_leaves_it_to_the_header(self, user: Client, value: Any) -> None:
        body = {"name": "Eve", "project": value, "locale": value, "mode": value}
        assert (await user.patch("/account/name", body)).status == 200

    async def test_lists_in_the_query_are_no_error(self, user: Client) -> None:
        assert (await user.get("/account?locale[]=de&mode[]=admin&project[x]=y")).status == 200

    @pytest.mark.parametrize("project", ["missing", "DEFAULT", "default ", "a/b", "x" * 5_000, "ä", "\udcff", "de\0x"])
    async def test_unknown_projects(self, raw: Raw, project: str) -> None:
        if "\0" in project:
            answer = await raw.request("GET", "/v1/account?project=de%00x")
        else:
            answer = await raw.request("GET", "/v1/account", f"X-Appwrite-Project: {project}x"[:-1])
        if project == "default ":  # blanks around a header are no part of it
            assert answer.status == 401
        else:
            assert (answer.status, json.loads(answer.raw)["type"]) == (400, "project_unknown")

    @pytest.mark.parametrize(
        ("param", "header", "locale"),
        [
            ("", "", "en"),
            ("", "de", "de"),
            ("", "xx", "en"),
            ("fr", "de", "fr"),
            ("xx", "de", "en"),
            ("", "pt-br", "pt-br"),
            ("", "\udcff", "en"),
        ],
    )
    async def test_the_locale(
        self, raw: Raw, monkeypatch: pytest.MonkeyPatch, param: str, header: str, locale: str
    ) -> None:
        seen = []

        def look(pipeline: Any, ctx: Any) -> None:
            seen.append((ctx.locale, ctx.actor.locale))

        monkeypatch.setattr(steps, "STEPS", (*steps.STEPS[:5], look, *steps.STEPS[5:]))
        query = f"?locale={param}" if param else ""
        await raw.request("GET", f"/v1/account{query}", PROJECT, f"X-Appwrite-Locale: {header}")
        assert seen == [(locale, locale)]


class TestOrderOfChecks:
    async def block(self, world: World, user: Client, **changes: Any) -> None:
        def unit(tx: Any) -> None:
            found = tx.run(user_rows.get("default", user.user["$id"]))
            tx.stores.users.update(tx, replace(found, **changes))

        await world.backend.db.write(unit)

    async def test_a_bad_jwt_is_first(self, world: World, raw: Raw) -> None:
        for path in ("/v1/account", "/v1/health/version", "/v1/account/sessions/x"):
            for project in (PROJECT, "X-Appwrite-Project: missing", "X-Other: 1"):
                answer = await raw.request("GET", path, project, "X-Appwrite-JWT: nonsense")
                assert (answer.status, json.loads(answer.raw)["type"]) == (401, "user_jwt_invalid"), (path, project)

    async def test_the_project_comes_before_the_scope(self, world: World) -> None:
        nowhere = Client(world.http, world.endpoint)
        assert told(await nowhere.get("/account")) == (400, "project_unknown")
        assert told(await nowhere.post("/account", {})) == (400, "project_unknown")
        assert told(await nowhere.post("/account/sessions", {})) == (400, "project_unknown")
        assert (await nowhere.get("/health/version")).status == 200

    async def test_an_unknown_key_is_401_everywhere(self, world: World, user: Client) -> None:
        for client in (world.guest, user):
            with_key = client.with_headers(X_Appwrite_Key="nonsense")
            for call in (
                with_key.get("/account"),
                with_key.get("/health/version"),
                with_key.get("/health"),
                with_key.post("/account", {}),
                with_key.patch("/account/name", {"name": "Eve"}),
            ):
                assert told(await call) == (401, "general_unauthorized_scope")

    async def test_the_origin_comes_before_the_scope(self, world: World) -> None:
        answer = await world.guest.patch("/account/name", {}, headers={"Origin": "https://evil.example"})
        assert told(answer) == (403, "general_unknown_origin")

    async def test_the_scope_comes_before_a_blocked_user(self, world: World, user: Client) -> None:
        await self.block(world, user, status=UserStatus.BLOCKED)
        assert told(await user.get("/health")) == (401, "general_unauthorized_scope")
        assert told(await user.get("/account")) == (401, "user_blocked")
        assert told(await user.get("/health/version")) == (401, "user_blocked")
        assert told(await user.post("/account", {})) == (401, "user_blocked")

    async def test_a_user_who_has_to_reset_the_password(self, world: World, user: Client) -> None:
        await self.block(world, user, reset_required=True)
        assert told(await user.get("/account")) == (412, "user_password_reset_required")

    async def test_a_blocked_user_comes_before_the_rate_limit(self, world: World, user: Client) -> None:
        await self.block(world, user, status=UserStatus.BLOCKED)
        answer = await user.post("/account/jwt", {})
        assert told(answer) == (401, "user_blocked")
        assert "X-RateLimit-Limit" not in answer.headers

    async def test_the_method_of_login_comes_before_the_parameters(self, world: World, configure: Configure) -> None:
        await configure(settings={"auth": {"email-password": False}})
        answer = await world.guest.post("/account/sessions", {})
        assert told(answer) == (501, "user_auth_method_unsupported")
        assert answer.headers["X-RateLimit-Remaining"] == "9"

    async def test_guests_with_wrong_parameters_get_the_scope_error(self, guest: Client) -> None:
        answer = await guest.patch("/account/name", {})
        assert told(answer) == (401, "general_unauthorized_scope")
        assert answer["message"] == "User (role: guest) missing scope (account)"

    async def test_the_message_names_who_lacks_the_scope(self, world: World, user: Client) -> None:
        assert (await user.get("/health"))["message"] == "ada@example.com (role: member) missing scope (health.read)"
        key = await world.key()
        assert (await key.get("/account"))["message"] == "Application (role: application) missing scope (account)"


class TestIdentity:
    async def test_a_key_alone_is_an_application(self, world: World) -> None:
        key = await world.key("files.read")
        assert (await key.get("/health")).status == 200
        assert (await key.get("/health/version")).status == 200
        assert told(await key.get("/account")) == (401, "general_unauthorized_scope")
        assert told(await key.post("/account", {})) == (401, "general_unauthorized_scope")

    async def test_a_session_wins_over_a_key(self, world: World, user: Client) -> None:
        key = await world.key()
        both = user.with_headers(X_Appwrite_Key=key.headers["X-Appwrite-Key"])
        assert (await both.get("/account"))["$id"] == user.user["$id"]
        assert told(await both.get("/health")) == (401, "general_unauthorized_scope")

    async def test_a_jwt_wins_over_a_session(self, world: World, user: Client) -> None:
        other = await world.sign_up("eve@example.com")
        jwt = (await other.post("/account/jwt", {}))["jwt"]
        both = user.with_headers(X_Appwrite_JWT=jwt)
        assert (await both.get("/account"))["$id"] == other.user["$id"]

    async def test_a_jwt_whose_session_is_gone_makes_a_guest_even_beside_a_session(
        self, world: World, user: Client
    ) -> None:
        other = await world.log_in("ada@example.com")
        jwt = (await other.post("/account/jwt", {}))["jwt"]
        await other.delete("/account/sessions/current")
        answer = await user.with_headers(X_Appwrite_JWT=jwt).get("/account")
        assert told(answer) == (401, "general_unauthorized_scope")
        assert "role: guest" in answer["message"]

    async def test_a_session_of_another_project_is_none(self, world: World, user: Client) -> None:
        await world.backend.services.projects.create("other")
        value = user.headers["Cookie"].partition("=")[2]
        stranger = Client(
            world.http, world.endpoint, {"X-Appwrite-Project": "other", "Cookie": f"a_session_other={value}"}
        )
        assert told(await stranger.get("/account")) == (401, "general_unauthorized_scope")

    async def test_a_key_of_another_project_is_unknown(self, world: World) -> None:
        await world.backend.services.projects.create("other")
        key = await world.key()
        other = key.with_headers(X_Appwrite_Project="other")
        assert told(await other.get("/health/version")) == (401, "general_unauthorized_scope")


class TestAdministrators:
    async def test_a_member_of_the_owning_team_acts_as_one(self, world: World, administrator: Any) -> None:
        admin = world.guest.with_headers(Cookie=await administrator(), X_Appwrite_Mode="admin")
        assert (await admin.get("/health")).status == 200
        assert told(await admin.get("/account")) == (401, "general_unauthorized_scope")
        assert told(await admin.with_headers(X_Appwrite_Mode="default").get("/health"))[0] == 401

    async def test_others_do_not(self, world: World, administrator: Any) -> None:
        stranger = world.guest.with_headers(Cookie=await administrator(member=False), X_Appwrite_Mode="admin")
        assert told(await stranger.get("/health")) == (401, "general_unauthorized_scope")

    async def test_the_console_itself(self, world: World, administrator: Any) -> None:
        cookie = await administrator()
        console = Client(world.http, world.endpoint, {"X-Appwrite-Project": "console", "Cookie": cookie})
        assert (await console.get("/account"))["email"] == "root@example.com"
        answer = await world.guest.post(
            "/account", {"project": "console", "email": "x@example.com", "password": "password"}
        )
        assert answer.status == 401

    @pytest.mark.parametrize("target", [{"X-Appwrite-Mode": "admin"}, {"X-Appwrite-Project": "console"}])
    @pytest.mark.parametrize(
        ("host", "origin", "allowed"),
        [
            ("localhost:8700", "http://localhost:8700", True),
            ("127.0.0.1", "http://localhost", True),
            ("api.localhost", "http://api.localhost", True),
            ("api.localhost", "http://localhost:3000", False),
            ("localhost", "https://app.example", False),
            ("localhost", "https://console.example", True),
            ("localhost", "null", False),
            ("localhost", "tauri://localhost", True),
        ],
    )
    async def test_only_own_pages_and_those_of_the_console_count(
        self,
        world: World,
        configure: Configure,
        administrator: Any,
        target: dict[str, str],
        host: str,
        origin: str,
        allowed: bool,
    ) -> None:
        cookie = await administrator()
        await configure(platforms=[("web", "app.example"), ("unity", "null")])
        await configure(project="console", platforms=[("web", "console.example")])
        admin = Client(
            world.http,
            world.endpoint,
            {"X-Appwrite-Project": "default", "Cookie": cookie, "Host": host, "Origin": origin, **target},
        )
        answer = await admin.get("/account")
        assert (answer.headers["Access-Control-Allow-Origin"] == origin) is allowed
        answer = await admin.patch("/account/name", {"name": "New"})
        assert (answer.status != 403) is allowed, answer.body


WEB = ("web", "app.example")


class TestCrossSiteWrites:
    @pytest.mark.parametrize(
        ("headers", "with_cookie", "without"),
        [
            ({}, True, True),
            ({"Origin": "http://localhost"}, True, True),
            ({"Origin": "https://localhost:9999"}, True, True),
            ({"Origin": "http://127.0.0.1:1"}, True, True),
            ({"Origin": "https://app.example"}, True, True),
            ({"Origin": "http://app.example:81"}, True, True),
            ({"Origin": "https://evil.example"}, False, False),
            ({"Origin": "https://app.example.evil"}, False, False),
            ({"Origin": "https://sub.app.example"}, False, False),
            ({"Origin": "https://app.example@evil.example"}, False, False),
            ({"Origin": "https://evil.example", "Referer": "http://localhost/"}, False, False),
            ({"Referer": "https://evil.example/page"}, False, False),
            ({"Referer": "https://app.example/page?x#y"}, True, True),
            ({"Origin": "null"}, False, True),
            ({"Origin": "file://"}, False, True),
            ({"Origin": "word"}, False, True),
            ({"Origin": "//evil.example"}, False, True),
            ({"Origin": "http://["}, False, True),
            ({"Sec-Fetch-Site": "cross-site"}, False, True),
            ({"Sec-Fetch-Site": "cross-site", "Referer": "http://localhost/"}, False, True),
            ({"Sec-Fetch-Site": "cross-site", "Origin": ""}, False, True),
            ({"Sec-Fetch-Site": "same-origin"}, True, True),
            ({"Sec-Fetch-Site": "none"}, True, True),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"}, True, True),
            ({"Origin": "tauri://localhost"}, True, True),
            ({"Origin": "capacitor://localhost"}, True, True),
            ({"Origin": "app://desk"}, False, False),
            ({"Origin": "appwrite-ios://com.example.app"}, False, False),
        ],
    )
    async def test_undeclared(
        self,
        world: World,
        user: Client,
        configure: Configure,
        headers: dict[str, str],
        with_cookie: bool,
        without: bool,
    ) -> None:
        await configure(platforms=[WEB])
        answer = await user.patch("/account/name", {"name": "Eve"}, headers=headers)
        assert answer.status == (200 if with_cookie else 403), answer.body
        guest = await world.guest.post("/account/sessions/anonymous", {}, headers=headers)
        assert guest.status == (201 if without else 403), guest.body
        assert (await user.get("/account", headers=headers)).status == 200

    @pytest.mark.parametrize(
        ("platform", "origin"),
        [
            (("unity", "null"), "null"),
            (("unity", "file://"), "null"),
            (("unity", "file://"), "file://"),
            (("web", "null"), "null"),
            (("unity", "app://desk"), "app://desk"),
            (("unity", "desk"), "app://desk"),
            (("flutter-android", "com.example.App"), "appwrite-android://com.example.App"),
            (("apple-ios", "com.example.app"), "appwrite-ios://com.example.app"),
            (("flutter-macos", "com.example.app"), "appwrite-macos://com.example.app"),
        ],
    )
    async def test_declared(
        self, world: World, user: Client, configure: Configure, platform: tuple[str, str], origin: str
    ) -> None:
        await configure(platforms=[platform])
        answer = await user.patch("/account/name", {"name": "Eve"}, headers={"Origin": origin})
        assert answer.status == 200, answer.body

    async def test_a_valid_key_exempts_also_beside_a_session(self, world: World, user: Client) -> None:
        key = await world.key()
        foreign = {"Origin": "https://evil.example", "X-Appwrite-Key": key.headers["X-Appwrite-Key"]}
        assert (await user.patch("/account/name", {"name": "Eve"}, headers=foreign)).status == 200
        foreign["X-Appwrite-Key"] = "nonsense"
        assert (await user.patch("/account/name", {"name": "Eve"}, headers=foreign)).status == 401

    async def test_a_fallback_session_is_no_cookie(self, world: World, user: Client) -> None:
        value = user.headers["Cookie"].partition("=")[2]
        fallback = json.dumps({"a_session_default": unquote(value)})
        client = world.guest.with_headers(X_Fallback_Cookies=fallback, Origin="null")
        assert (await client.patch("/account/name", {"name": "Eve"})).status == 200

    @pytest.mark.parametrize(
        ("origin", "host", "platform"),
        [
            ("http://evil.example", "evil.example", "Web"),
            ("https://evil.example:8080", "evil.example", "Web"),
            ("appwrite-ios://com.evil", "com.evil", "iOS"),
            ("appwrite-android://com.evil", "com.evil", "Android"),
            ("appwrite-macos://com.evil", "com.evil", "macOS"),
            ("appwrite-windows://com.evil", "com.evil", "Windows"),
            ("appwrite-linux://com.evil", "com.evil", "Linux"),
            ("gopher://evil", "evil", "Unsupported platform"),
        ],
    )
    async def test_the_message(self, guest: Client, origin: str, host: str, platform: str) -> None:
        answer = await guest.post("/account", {}, headers={"Origin": origin})
        assert told(answer) == (403, "general_unknown_origin")
        assert answer["message"] == (
            f"Invalid Origin. Register your new client ({host}) as a new {platform} platform "
            "on your project console dashboard"
        )

    async def test_bytes_that_are_no_text_are_refused_in_order(self, raw: Raw) -> None:
        answer = await raw.request("POST", "/v1/account", PROJECT, "Origin: http://\udcff\udcfe")
        assert answer.status == 403
        assert json.loads(answer.raw)["type"] == "general_unknown_origin"


class TestRateLimits:
    @pytest.fixture
    def config(self, tmp_path: Any) -> Config:
        return Config(data_dir=tmp_path / "data", port=0, rate_limits="on", **FAST)

    @pytest.fixture(autouse=True)
    def frozen(self, world: World) -> None:
        """A clock in the middle of a window."""
        world.backend.services.rate_limits._clock = lambda: 1_800_000_100.0

    async def test_the_call_beyond_the_limit_is_429(self, world: World) -> None:
        for _ in range(10):
            assert (await world.guest.post("/account", {})).status == 400
        answer = await world.guest.post("/account", {})
        assert told(answer) == (429, "general_rate_limit_exceeded")
        assert answer.headers["X-RateLimit-Limit"] == "10"
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert answer.headers["X-RateLimit-Reset"] == str(1_800_000_000 + 3600)

    async def test_a_login_is_counted_by_address_and_email(self, world: World) -> None:
        async def log_in(email: str) -> Answer:
            return await world.guest.post("/account/sessions", {"email": email, "password": "wrong-one"})

        for number in range(10):
            assert (await log_in("ada@example.com" if number % 2 else "ADA@example.com")).status == 401
        assert told(await log_in("Ada@Example.com")) == (429, "general_rate_limit_exceeded")
        assert (await log_in("eve@example.com")).status == 401

    async def test_a_victim_is_not_locked_out_from_elsewhere(self, tmp_path: Any) -> None:
        config = Config(data_dir=tmp_path / "x", port=0, rate_limits="on", trusted_proxies=("127.0.0.1",), **FAST)
        async with Litewrite(config) as server, aiohttp.ClientSession() as http:
            world = World(server, http)
            server.backend.services.rate_limits._clock = lambda: 1_800_000_100.0
            body = {"email": "ada@example.com", "password": "wrong-one"}
            attacker, victim = (world.guest.with_headers(X_Forwarded_For=ip) for ip in ("203.0.113.1", "203.0.113.2"))
            statuses = [(await attacker.post("/account/sessions", body)).status for _ in range(11)]
            assert statuses == [401] * 10 + [429]
            assert (await victim.post("/account/sessions", body)).status == 401

    async def test_many_addresses_from_one_place_meet_a_ceiling(self, world: World) -> None:
        statuses = []
        for number in range(101):
            body = {"email": f"u{number}@example.com", "password": "short"}
            answer = await world.guest.post("/account/sessions", body)
            statuses.append(answer.status)
        assert statuses == [400] * 100 + [429]
        assert answer.headers["X-RateLimit-Limit"] == "100"
        assert answer.headers["X-RateLimit-Remaining"] == "0"

    async def test_the_host_is_no_part_of_the_key(self, world: World) -> None:
        for number in range(10):
            await world.guest.post("/account", {}, headers={"Host": f"h{number}.localhost"})
        assert (await world.guest.post("/account", {}, headers={"Host": "fresh.localhost"})).status == 429

    async def test_the_concrete_path_is_no_part_of_the_key(self, world: World) -> None:
        user = await world.sign_up()
        answers = [await user.delete(f"/account/sessions/{number}") for number in range(2)]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["99", "98"]

    async def test_projects_are_counted_apart(self, world: World) -> None:
        await world.backend.services.projects.create("other")
        await world.guest.post("/account", {})
        answer = await world.guest.post("/account", {"project": "other"})
        assert answer.headers["X-RateLimit-Remaining"] == "9"

    async def test_tokens_are_counted_by_their_user(self, world: World) -> None:
        one, other = await world.sign_up(), await world.sign_up("eve@example.com")
        await one.post("/account/jwt", {})
        assert (await one.post("/account/jwt", {})).headers["X-RateLimit-Remaining"] == "8"
        assert (await other.post("/account/jwt", {})).headers["X-RateLimit-Remaining"] == "9"

    async def test_a_refused_call_of_an_earlier_check_is_not_counted(self, world: World) -> None:
        key = await world.key()
        for _ in range(12):
            assert (await key.post("/account", {})).status == 401
        assert (await world.guest.post("/account", {})).headers["X-RateLimit-Remaining"] == "9"

    async def test_administrators_are_counted_and_never_refused(self, world: World, administrator: Any) -> None:
        admin = world.guest.with_headers(Cookie=await administrator(), X_Appwrite_Mode="admin")
        for _ in range(11):
            answer = await admin.post("/account", {})
            assert answer.status == 400
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert (await world.guest.post("/account", {})).status == 429

    async def test_values_that_are_no_text_are_keys_too(self, world: World) -> None:
        for value in (7, ["a", {"b": None}], {"x": 1.5}, None, "x" * 100_000):
            answer = await world.guest.post("/account/sessions", {"email": value, "password": "password"})
            assert answer.status == 400
            assert answer.headers["X-RateLimit-Remaining"] == "9"

    async def test_bodies_that_cannot_be_read_are_counted(self, world: World) -> None:
        for left in ("9", "8"):
            answer = await world.guest.call(
                "POST", "/account/sessions", data='{"a":NaN}', headers={"Content-Type": "application/json"}
            )
            assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (400, left)


async def test_without_limits_nothing_is_refused(world: World) -> None:
    statuses = {(await world.guest.post("/account", {})).status for _ in range(12)}
    assert statuses == {400}


class TestFailures:
    async def test_what_nobody_expected_is_a_plain_logged_500(
        self, user: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(pipeline: Any, ctx: Any) -> None:
            raise ZeroDivisionError("a secret of the server")

        monkeypatch.setattr(steps, "STEPS", (*steps.STEPS[:-1], broken))
        with caplog.at_level(logging.ERROR):
            answer = await user.get("/account/?x=%0Aforged")
        assert told(answer) == (500, "general_server_error")
        assert "secret" not in answer["message"]
        assert "Access-Control-Allow-Origin" in answer.headers
        assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        assert "ZeroDivisionError" in caplog.text
        assert "GET /v1/account/ failed" in caplog.text

    async def test_a_line_break_in_the_path_forges_no_line_of_the_log(
        self, guest: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(pipeline: Any, ctx: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(steps, "STEPS", (broken,))
        with caplog.at_level(logging.ERROR):
            assert (await guest.get("/a%0AERROR forged")).status == 500
        assert "\nERROR forged" not in caplog.records[-1].getMessage()

    @pytest.mark.parametrize(("error", "status"), [(StorageFull(), 503), (ArgumentInvalid("x", "y"), 400)])
    async def test_expected_errors_are_not_logged(
        self, user: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Any, status: int
    ) -> None:
        def failing(pipeline: Any, ctx: Any) -> None:
            raise error

        monkeypatch.setattr(steps, "STEPS", (*steps.STEPS[:-1], failing))
        assert (await user.get("/account")).status == status
        assert caplog.records == []

    async def test_too_much_work_is_503(self, world: World, user: Client) -> None:
        passwords = world.backend.services.accounts._passwords
        passwords._limit = 0
        answer = await world.guest.post("/account/sessions", {"email": "ada@example.com", "password": "password"})
        assert told(answer) == (503, "general_server_overloaded")

    async def test_a_full_queue_of_the_database_is_503(self, world: World, user: Client) -> None:
        async def refuse(*arguments: Any, **more: Any) -> None:
            raise Overloaded

        accounts = world.backend.services.accounts
        db = accounts._db
        accounts._db = type("Full", (), {"write": staticmethod(refuse), "read": db.read})()
        try:
            answer = await user.patch("/account/name", {"name": "Eve"})
        finally:
            accounts._db = db
        assert told(answer) == (503, "general_server_overloaded")

    async def test_a_client_that_goes_away_while_it_sends_leaves_no_traceback(
        self, world: World, raw: Raw, caplog: pytest.LogCaptureFixture
    ) -> None:
        head = (
            b"POST /v1/account HTTP/1.1\r\nHost: localhost\r\nX-Appwrite-Project: default\r\n"
            b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        )
        with caplog.at_level(logging.INFO):
            for reset in (False, True):
                _, writer = await asyncio.open_connection("127.0.0.1", raw.port)
                writer.write(head + b'{"email":')
                await writer.drain()
                await asyncio.sleep(0.05)
                if reset:
                    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                await asyncio.sleep(0.1)
        assert caplog.text == ""
        assert (await world.guest.get("/health/version")).status == 200

    @pytest.mark.parametrize(
        "request_text",
        [
            b"GET /v1/account\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET http://localhost/v1/account HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET /v1/account/sessions/%ff%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET /v1/account HTTP/1.0\r\nX-Appwrite-Project: default\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"nonsense\r\n\r\n",
        ],
    )
    async def test_odd_requests_get_an_answer_below_500(
        self, raw: Raw, caplog: pytest.LogCaptureFixture, request_text: bytes
    ) -> None:
        with caplog.at_level(logging.ERROR):
            answer = await raw.send(request_text)
        assert answer.startswith(b"HTTP/1.")
        assert int(answer.split(b" ")[1]) < 500
        assert not [record for record in caplog.records if record.name.startswith("litewrite")]

    async def test_bytes_that_are_no_text_in_every_header(
        self, raw: Raw, user: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        bad = "\udcff\udcfe"
        for header in (
            f"User-Agent: {bad}",
            f"Origin: {bad}",
            f"Referer: http://{bad}/",
            f"X-Appwrite-Locale: {bad}",
            f"X-Appwrite-Mode: {bad}",
            f"X-Appwrite-Key: {bad}",
            f"X-Appwrite-JWT: {bad}",
            f"X-Fallback-Cookies: {bad}",
            f"Cookie: a_session_default={bad}",
            f"Content-Type: {bad}",
            f"X-Forwarded-For: {bad}",
        ):
            for method, path, body in (
                ("GET", "/v1/account", b""),
                ("POST", "/v1/account/sessions/anonymous", b"{}"),
            ):
                answer = await raw.request(method, path, PROJECT, header, body=body)
                assert answer.status in (201, 400, 401, 403), header
        assert caplog.text == ""

    async def test_a_session_value_with_half_a_surrogate_pair_is_none(self, raw: Raw) -> None:
        value = base64.b64encode(b'{"id":"\\ud800","secret":"\\udfff"}').decode()
        answer = await raw.request("GET", "/v1/account", PROJECT, f"Cookie: a_session_default={value}")
        assert answer.status == 401

    async def test_a_user_agent_that_is_no_text_is_stored_readably(self, raw: Raw, world: World) -> None:
        answer = await raw.request(
            "POST", "/v1/account/sessions/anonymous", PROJECT, "User-Agent: Caf\udcc3\udca9 \udcff", body=b"{}"
        )
        assert answer.status == 201
        cookie = [value for name, value in answer.headers if name == "Set-Cookie"][-1].partition(";")[0]
        assert (await world.guest.with_headers(Cookie=cookie).get("/account/logs")).status == 200


async def test_the_public_url_is_the_base_of_links() -> None:
    def base(public_url: str) -> str:
        services: Any = SimpleNamespace(config=SimpleNamespace(public_url=public_url))
        ctx = Context(None, services, None)  # type: ignore[arg-type]
        ctx.caller = Caller("127.0.0.1", "http", "localhost", "localhost:8700")
        return ctx.base_url

    assert base("") == "http://localhost:8700"
    assert base("https://api.example.com/sub/") == "https://api.example.com/sub"
