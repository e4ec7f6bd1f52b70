"""The projects service: administrators and their projects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litewrite.db import projects as project_rows
from litewrite.events import Event
from litewrite.services.project_access import MASK
from litewrite.services.providers import PROVIDERS
from tests.api.v0_11.callers import assert_refused, with_jwt
from tests.api.v0_11.consoles import (
    UNKNOWN,
    acting,
    administrator,
    assert_not_found,
    console_of,
    member,
    project_of,
    team_of,
)
from tests.conftest import Client, World

DETAILS = {
    "description": "What it is",
    "logo": "61d5c1a2b3c4d",
    "url": "https://shop.example.com",
    "legalName": "Shop Ltd",
    "legalCountry": "DE",
    "legalState": "Berlin",
    "legalCity": "Berlin",
    "legalAddress": "Street 1",
    "legalTaxId": "DE1",
}
SWITCHES = {
    "email-password": "usersAuthEmailPassword",
    "magic-url": "usersAuthMagicURL",
    "anonymous": "usersAuthAnonymous",
    "invites": "usersAuthInvites",
    "jwt": "usersAuthJWT",
    "phone": "usersAuthPhone",
}


@pytest.fixture
async def admin(world: World) -> Client:
    return await administrator(world)


@pytest.fixture
async def team(admin: Client) -> str:
    return await team_of(admin)


@pytest.fixture
async def project(admin: Client, team: str) -> str:
    return await project_of(admin, team)


def field(provider: str, what: str) -> str:
    return f"usersOauth2{provider[0].upper()}{provider[1:]}{what}"


class TestCreate:
    async def test_a_project_of_a_fresh_team(self, admin: Client, team: str) -> None:
        answer = await admin.post("/projects", {"name": "Shop", "teamId": team})
        assert answer.status == 201
        assert len(answer["$id"]) == 13
        assert (answer["name"], answer["teamId"], answer["usersAuthLimit"]) == ("Shop", team, 0)
        for name in ("platforms", "webhooks", "keys", "tasks", "domains"):
            assert answer[name] == []
        assert {answer[name] for name in DETAILS} == {""}
        assert all(answer[name] is True for name in SWITCHES.values())
        assert {answer[field(key, what)] for key in PROVIDERS for what in ("Appid", "Secret")} == {""}

    async def test_with_everything(self, admin: Client, team: str) -> None:
        answer = await admin.post("/projects", {"name": "Shop", "teamId": team, **DETAILS})
        assert {name: answer[name] for name in DETAILS} == DETAILS

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": None},
            {"name": "x" * 129},
            {"name": 1},
            {"teamId": None},
            {"teamId": ""},
            {"teamId": "x" * 33},
            {"description": "x" * 257},
            {"logo": "x" * 1025},
            {"url": "example.com"},
            {"url": "javascript://x/%0aalert(1)"},
            {"legalTaxId": "x" * 257},
        ],
    )
    async def test_wrong_parameters(self, admin: Client, team: str, wrong: dict[str, Any]) -> None:
        answer = await admin.post("/projects", {"name": "Shop", "teamId": team, **wrong})
        assert_refused(answer, 400, "general_argument_invalid")
        assert next(iter(wrong)) in answer["message"]

    async def test_it_works_at_once(self, world: World, admin: Client, project: str) -> None:
        shop = World(world.server, world.http, project)
        user = await shop.sign_up()
        assert (await user.get("/account")).status == 200
        assert (await (await acting(admin, project)).get("/users"))["sum"] == 1

    async def test_unknown_and_foreign_teams(self, world: World, admin: Client) -> None:
        other = await administrator(world, "other@example.com")
        foreign = await team_of(other)
        for team_id in (UNKNOWN, foreign):
            assert_not_found(await admin.post("/projects", {"name": "x", "teamId": team_id}), "team_not_found")


class TestCallers:
    CALLS = [
        ("GET", "/projects"),
        ("POST", "/projects"),
        ("GET", "/projects/{}"),
        ("PATCH", "/projects/{}"),
        ("PATCH", "/projects/{}/oauth2"),
        ("PATCH", "/projects/{}/auth/limit"),
        ("PATCH", "/projects/{}/auth/jwt"),
        ("DELETE", "/projects/{}"),
        *(
            (method, f"/projects/{{}}/{kind}{rest}")
            for kind in ("platforms", "keys", "webhooks")
            for method, rest in (("GET", ""), ("POST", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x"))
        ),
    ]
    BODY = {
        "name": "n",
        "teamId": UNKNOWN,
        "provider": "github",
        "limit": 1,
        "status": True,
        "password": "password",
        "type": "web",
        "scopes": [],
        "events": [],
        "url": "https://example.com",
        "security": True,
    }

    def body(self, method: str) -> Any:
        return None if method == "GET" else self.BODY

    @pytest.mark.parametrize(("method", "path"), CALLS)
    async def test_only_sessions_of_the_console(self, world: World, method: str, path: str) -> None:
        path = path.format("default")
        admin = await administrator(world)
        console = console_of(world)
        _, secret = await world.backend.services.keys.create("default", "all", world.backend.key_scopes)
        _, console_secret = await world.backend.services.keys.create("console", "all", world.backend.key_scopes)
        for client in (
            console.guest,
            console.guest.with_headers(X_Appwrite_Key=console_secret),
            world.guest,
            world.guest.with_headers(X_Appwrite_Key=secret),
            await with_jwt(console, admin),
        ):
            assert_refused(await client.call(method, path, self.body(method)), 401, "general_unauthorized_scope")
        for client in (await world.sign_up(), await acting(admin)):
            assert_refused(await client.call(method, path, self.body(method)), 401, "general_access_forbidden")
        assert (await admin.get("/projects/default")).status == 200

    @pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[1] != "/projects"])
    @pytest.mark.parametrize("project", ["foreign", "unknown", "console"])
    async def test_projects_of_others_are_not_there(
        self, world: World, admin: Client, method: str, path: str, project: str
    ) -> None:
        other = await administrator(world, "other@example.com")
        foreign = await project_of(other, await team_of(other))
        path = path.format({"foreign": foreign, "unknown": UNKNOWN, "console": "console"}[project])
        assert_not_found(await admin.call(method, path, self.body(method)))
        assert (await other.get(f"/projects/{foreign}"))["name"] == "Shop"

    @pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[1] != "/projects"])
    async def test_ids_that_are_too_long(self, admin: Client, method: str, path: str) -> None:
        answer = await admin.call(method, path.format("x" * 33), self.body(method))
        assert_refused(answer, 400, "general_argument_invalid")

    async def test_members_by_role(self, world: World, admin: Client, team: str, project: str) -> None:
        path = f"/projects/{project}"
        people = {
            role: await member(world, admin, team, role, email=f"{role}@example.com")
            for role in ("owner", "developer", "admin", "viewer")
        }
        for role, client in people.items():
            assert (await client.get(path)).status == 200
            assert project in [entry["$id"] for entry in (await client.get("/projects"))["projects"]]
            answers = [
                await client.patch(path, {"name": role}),
                await client.patch(f"{path}/oauth2", {"provider": "github", "appId": "a", "secret": "b"}),
                await client.patch(f"{path}/auth/limit", {"limit": 10}),
                await client.patch(f"{path}/auth/jwt", {"status": True}),
                await client.post(f"{path}/platforms", {"type": "web", "name": role, "hostname": "x"}),
                await client.post(f"{path}/keys", {"name": role, "scopes": []}),
                await client.post(
                    f"{path}/webhooks", {"name": role, "events": [], "url": "https://example.com", "security": True}
                ),
                await client.post("/projects", {"name": role, "teamId": team}),
            ]
            if role in ("owner", "developer"):
                assert {answer.status for answer in answers} == {200, 201}
            else:
                for answer in answers:
                    assert_refused(answer, 401, "user_unauthorized")
                assert_refused(await client.delete(path, {"password": "password"}), 401, "user_invalid_credentials")
        assert (await people["developer"].get(path))["usersOauth2GithubSecret"] == "b"
        assert (await people["viewer"].get(path))["usersOauth2GithubSecret"] == MASK

    async def test_who_left_the_team_is_a_stranger(self, world: World, admin: Client, team: str, project: str) -> None:
        eve = await member(world, admin, team, "developer")
        assert (await eve.patch(f"/projects/{project}", {"name": "Hers"})).status == 200
        memberships = (await admin.get(f"/teams/{team}/memberships"))["memberships"]
        (own,) = [entry for entry in memberships if entry["userId"] == eve.user["$id"]]
        assert (await admin.delete(f"/teams/{team}/memberships/{own['$id']}")).status == 204
        assert_not_found(await eve.patch(f"/projects/{project}", {"name": "Hers again"}))
        assert_not_found(await eve.get(f"/projects/{project}"))

    async def test_who_has_not_accepted_is_a_stranger(
        self, world: World, admin: Client, team: str, project: str
    ) -> None:
        eve = await member(world, admin, await team_of(admin, "Other"), "owner")
        invitation = {"email": "eve@example.com", "roles": ["owner"], "url": "http://localhost/join"}
        assert (await admin.post(f"/teams/{team}/memberships", invitation)).status == 201
        assert_not_found(await eve.get(f"/projects/{project}"))
        assert (await (await acting(eve, project)).get("/users")).status == 401


class TestList:
    async def test_projects_of_the_own_teams(self, world: World, admin: Client, team: str) -> None:
        other = await administrator(world, "other@example.com")
        await project_of(other, await team_of(other), "Foreign")
        made = [await project_of(admin, team, name) for name in ("Café shop", "Depot 42", "Workshop")]
        listed = await admin.get("/projects")
        assert (listed.status, listed["sum"]) == (200, 4)
        assert [entry["$id"] for entry in listed["projects"]] == ["default", *made]
        page = await admin.get("/projects", params={"limit": 2, "offset": 1, "orderType": "DESC"})
        assert (page["sum"], [entry["$id"] for entry in page["projects"]]) == (4, [made[1], made[0]])
        assert (await admin.get("/projects", params={"limit": 0})).body == {"sum": 4, "projects": []}

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("cafe", ["Café shop"]),
            ("SHOP", ["Café shop"]),
            ("shop depot", ["Café shop", "Depot 42"]),
            ("work*", ["Workshop"]),
            ("+shop +depot", []),
            ("shop -cafe", []),
            ('"cafe shop"', ["Café shop"]),
            ("default", ["default"]),
            ("*", ["default", "Café shop", "Depot 42", "Workshop"]),
            ("nothing", []),
            ("%", []),
        ],
    )
    async def test_search(self, admin: Client, team: str, search: str, found: list[str]) -> None:
        for name in ("Café shop", "Depot 42", "Workshop"):
            await project_of(admin, team, name)
        answer = await admin.get("/projects", params={"search": search})
        assert ([entry["name"] for entry in answer["projects"]], answer["sum"]) == (found, len(found))

    @pytest.mark.parametrize(
        "wrong",
        [{"limit": 101}, {"limit": -1}, {"offset": 2001}, {"orderType": "asc"}, {"search": "x" * 257}],
    )
    async def test_wrong_parameters(self, admin: Client, wrong: dict[str, Any]) -> None:
        assert_refused(await admin.get("/projects", params=wrong), 400, "general_argument_invalid")

    async def test_secrets_are_masked(self, admin: Client, project: str) -> None:
        await admin.patch(f"/projects/{project}/oauth2", {"provider": "github", "appId": "a", "secret": "hush"})
        listed = (await admin.get("/projects"))["projects"][-1]
        assert (listed["usersOauth2GithubAppid"], listed["usersOauth2GithubSecret"]) == ("a", MASK)


class TestUpdate:
    async def test_everything_is_replaced(self, admin: Client, project: str) -> None:
        answer = await admin.patch(f"/projects/{project}", {"name": "New", **DETAILS})
        assert (answer.status, answer["name"]) == (200, "New")
        assert {name: answer[name] for name in DETAILS} == DETAILS
        assert answer["platforms"] == answer["keys"] == answer["webhooks"] == []
        assert (await admin.get(f"/projects/{project}")).body == answer.body
        answer = await admin.patch(f"/projects/{project}", {"name": "Newer"})
        assert {answer[name] for name in DETAILS} == {""}

    async def test_settings_stay(self, admin: Client, project: str) -> None:
        await admin.patch(f"/projects/{project}/auth/limit", {"limit": 7})
        await admin.patch(f"/projects/{project}/auth/jwt", {"status": False})
        answer = await admin.patch(f"/projects/{project}", {"name": "New"})
        assert (answer["usersAuthLimit"], answer["usersAuthJWT"]) == (7, False)

    @pytest.mark.parametrize("wrong", [{"name": ""}, {}, {"name": "x", "url": "nowhere"}])
    async def test_wrong_parameters(self, admin: Client, project: str, wrong: dict[str, Any]) -> None:
        assert_refused(await admin.patch(f"/projects/{project}", wrong), 400, "general_argument_invalid")
        assert (await admin.get(f"/projects/{project}"))["name"] == "Shop"


class TestOAuth2:
    async def test_every_provider(self, world: World, admin: Client, project: str) -> None:
        assert len(PROVIDERS) == 26
        for key in PROVIDERS:
            values = {"provider": key, "appId": f"{key}-id", "secret": f"{key}-secret"}
            assert (await admin.patch(f"/projects/{project}/oauth2", values)).status == 200
        found = await admin.get(f"/projects/{project}")
        for key in PROVIDERS:
            assert (found[field(key, "Appid")], found[field(key, "Secret")]) == (f"{key}-id", f"{key}-secret")
        stored = await world.backend.db.read(project_rows.get(project))
        assert "github-id" in str(stored.settings)
        assert "github-secret" not in str(stored.settings)
        assert world.backend.services.providers.credentials(stored, "github") == ("github-id", "github-secret")
        assert world.backend.services.providers.credentials(stored, "unknown") == ("", "")

    async def test_one_is_switched_off(self, world: World, admin: Client, project: str) -> None:
        path = f"/projects/{project}/oauth2"
        await admin.patch(path, {"provider": "github", "appId": "a", "secret": "b"})
        answer = await admin.patch(path, {"provider": "github"})
        assert (answer["usersOauth2GithubAppid"], answer["usersOauth2GithubSecret"]) == ("", "")
        assert (await world.backend.db.read(project_rows.get(project))).settings["providers"] == {}

    async def test_the_mask_leaves_the_secret(self, admin: Client, project: str) -> None:
        path = f"/projects/{project}/oauth2"
        await admin.patch(path, {"provider": "github", "appId": "a", "secret": "b"})
        answer = await admin.patch(path, {"provider": "github", "appId": "c", "secret": MASK})
        assert (answer["usersOauth2GithubAppid"], answer["usersOauth2GithubSecret"]) == ("c", "b")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"provider": "unknown"},
            {"provider": "GitHub"},
            {"provider": ""},
            {},
            {"provider": "github", "appId": "x" * 257},
            {"provider": "github", "secret": "x" * 513},
        ],
    )
    async def test_wrong_parameters(self, admin: Client, project: str, wrong: dict[str, Any]) -> None:
        assert_refused(await admin.patch(f"/projects/{project}/oauth2", wrong), 400, "general_argument_invalid")


class TestAuth:
    async def test_a_limit_of_users(self, world: World, admin: Client, project: str) -> None:
        shop = World(world.server, world.http, project)
        await shop.sign_up()
        new = {"email": "eve@example.com", "password": "password"}
        assert (await admin.patch(f"/projects/{project}/auth/limit", {"limit": 1}))["usersAuthLimit"] == 1
        assert_refused(await shop.guest.post("/account", new), 501, "user_count_exceeded")
        assert (await admin.patch(f"/projects/{project}/auth/limit", {"limit": "0"}))["usersAuthLimit"] == 0
        assert (await shop.guest.post("/account", new)).status == 201

    @pytest.mark.parametrize("limit", [None, "", "many", 1.5, -1, True, 2**40])
    async def test_what_is_no_limit(self, admin: Client, project: str, limit: Any) -> None:
        answer = await admin.patch(f"/projects/{project}/auth/limit", {"limit": limit})
        assert_refused(answer, 400, "general_argument_invalid")

    @pytest.mark.parametrize(("method", "name"), SWITCHES.items())
    async def test_each_switch(self, admin: Client, project: str, method: str, name: str) -> None:
        path = f"/projects/{project}/auth/{method}"
        for given, expected in ((False, False), (True, True), ("false", False), ("1", True), (0, False), (1, True)):
            assert (await admin.patch(path, {"status": given}))[name] is expected
            assert (await admin.get(f"/projects/{project}"))[name] is expected
        assert (await admin.patch(path, {}))[name] is False
        found = await admin.get(f"/projects/{project}")
        assert [other for other in SWITCHES.values() if found[other] is False] == [name]

    async def test_unknown_methods_and_values(self, admin: Client, project: str) -> None:
        for method, status in (("telepathy", True), ("JWT", True), ("jwt", "maybe"), ("jwt", 2)):
            answer = await admin.patch(f"/projects/{project}/auth/{method}", {"status": status})
            assert_refused(answer, 400, "general_argument_invalid")

    async def test_with_everything_off(self, world: World, admin: Client, project: str) -> None:
        shop = World(world.server, world.http, project)
        user = await shop.sign_up()
        team = (await user.post("/teams", {"name": "t"}))["$id"]
        for method in SWITCHES:
            await admin.patch(f"/projects/{project}/auth/{method}", {"status": False})
        credentials = {"email": "ada@example.com", "password": "password"}
        invitation = {"email": "eve@example.com", "roles": [], "url": "http://localhost/join"}
        for answer in (
            await shop.guest.post("/account", {**credentials, "email": "eve@example.com"}),
            await shop.guest.post("/account/anonymous", {}),
            await shop.guest.post("/account/sessions", credentials),
            await shop.guest.post("/account/sessions/anonymous", {}),
            await user.post("/account/jwt", {}),
            await user.post(f"/teams/{team}/memberships", invitation),
        ):
            assert_refused(answer, 501, "user_auth_method_unsupported")
        assert (await user.post("/teams", {"name": "another"})).status == 201
        assert (await user.get("/account")).status == 200


class TestDelete:
    async def test_it_goes_with_all_that_is_in_it(self, world: World, admin: Client, team: str, project: str) -> None:
        shop = World(world.server, world.http, project)
        user = await shop.sign_up()
        assert_refused(
            await admin.delete(f"/projects/{project}", {"password": "wrong password"}), 401, "user_invalid_credentials"
        )
        assert_refused(await admin.delete(f"/projects/{project}", {}), 400, "general_argument_invalid")
        long = await admin.delete(f"/projects/{project}", {"password": "x" * 33})
        assert_refused(long, 400, "general_argument_invalid")
        answer = await admin.delete(f"/projects/{project}", {"password": "password"})
        assert (answer.status, answer.raw) == (204, b"")
        assert_not_found(await admin.get(f"/projects/{project}"))
        assert_not_found(await admin.delete(f"/projects/{project}", {"password": "password"}))
        assert_refused(await user.get("/account"), 400, "project_unknown")
        assert_not_found(await admin.get(f"/teams/{team}"), "team_not_found")
        async with asyncio.timeout(10):
            while await world.backend.db.read(_rows_of(project)):
                await asyncio.sleep(0.01)

    async def test_a_team_with_another_project_stays(self, admin: Client, team: str, project: str) -> None:
        other = await project_of(admin, team, "Depot")
        assert (await admin.delete(f"/projects/{project}", {"password": "password"})).status == 204
        assert (await admin.get(f"/projects/{other}")).status == 200
        assert (await admin.get(f"/teams/{team}")).status == 200

    async def test_the_team_of_the_command_line_stays(self, admin: Client) -> None:
        team = (await admin.get("/projects/default"))["teamId"]
        assert (await admin.delete("/projects/default", {"password": "password"})).status == 204
        assert (await admin.get(f"/teams/{team}"))["name"] == "Administrators"


def _rows_of(project: str) -> Any:
    from litewrite.db.query import Query, scalar

    tables = ("users", "sessions", "audit", "removals")
    counts = " + ".join(f"(SELECT count(*) FROM {table} WHERE project_id = ?)" for table in tables)
    return Query(f"SELECT {counts}", (project,) * len(tables), scalar)


async def test_nothing_is_told(world: World, admin: Client, team: str) -> None:
    told: list[Event] = []
    world.backend.db.on_events(told.extend)
    project = await project_of(admin, team)
    await admin.patch(f"/projects/{project}", {"name": "New"})
    await admin.post(f"/projects/{project}/keys", {"name": "k", "scopes": []})
    await admin.delete(f"/projects/{project}", {"password": "password"})
    assert told == []


@pytest.mark.parametrize("path", ["tasks", "domains", "usage"])
async def test_what_is_left_out(admin: Client, project: str, path: str) -> None:
    assert_refused(await admin.get(f"/projects/{project}/{path}"), 404, "general_route_not_found")
