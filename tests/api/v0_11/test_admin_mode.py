"""Administrators at work on a project: what they may call by role, and that they see everything in it."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import aiohttp
import pytest

from tests.api.v0_11.callers import assert_refused
from tests.api.v0_11.consoles import acting, administrator, member, project_of, team_of
from tests.conftest import Client, World

RULES = [{"label": "t", "key": "t", "type": "text", "required": False, "array": False}]
ADMINISTRATION = [
    "/users",
    "/teams",
    "/database/collections",
    "/storage/files",
    "/functions",
    "/health",
    "/locale",
]
EVERYONES = ["/teams", "/storage/files", "/locale"]


async def act(world: World, admin: Client) -> Client:
    return await acting(admin, world.project)


async def test_scopes_by_role(world: World) -> None:
    admin = await administrator(world)
    team = await team_of(admin)
    world.project = await project_of(admin, team)
    for role in ("owner", "developer", "admin", "viewer"):
        person = await member(world, admin, team, role, email=f"{role}@example.com")
        client = await act(world, person)
        for path in ADMINISTRATION:
            answer = await client.get(path)
            if role != "viewer" or path in EVERYONES:
                assert answer.status == 200, (role, path, answer.body)
            else:
                assert_refused(answer, 401, "general_unauthorized_scope")
        assert_refused(await client.get("/account"), 401, "general_unauthorized_scope")
        public = await client.post("/account", {"email": f"{role}@shop.example.com", "password": "password"})
        if role in ("owner", "viewer"):
            assert public.status == 201
        else:
            assert_refused(public, 401, "general_unauthorized_scope")
        refused = await client.get("/projects")
        kind = "general_access_forbidden" if role in ("owner", "viewer") else "general_unauthorized_scope"
        assert_refused(refused, 401, kind)


async def test_strangers_of_the_console_are_guests(world: World) -> None:
    admin = await administrator(world)
    world.project = await project_of(admin, await team_of(admin))
    stranger = await act(world, await administrator(world, "other@example.com"))
    assert_refused(await stranger.get("/users"), 401, "general_unauthorized_scope")
    assert (await stranger.get("/storage/files")).body == {"sum": 0, "files": []}


async def test_a_session_of_an_app_on_the_same_host_does_not_matter(world: World) -> None:
    admin = await act(world, await administrator(world))
    user = await world.sign_up()
    both = admin.with_headers(Cookie=f"{admin.headers['Cookie']}; {user.headers['Cookie']}")
    assert (await both.get("/users"))["sum"] == 1
    assert (await both.with_headers(X_Appwrite_Mode="default").get("/account"))["email"] == "ada@example.com"


async def test_a_blocked_one_is_told_so(world: World) -> None:
    root = await administrator(world)
    admin = await act(world, root)
    assert (await root.delete("/account")).status == 204
    assert_refused(await admin.get("/users"), 401, "user_blocked")
    assert_refused(await admin.get("/locale"), 401, "user_blocked")


@pytest.fixture
async def private(world: World) -> dict[str, Any]:
    """One of everything that nobody but keys and administrators may see."""
    key = await world.key()
    collection = (await key.post("/database/collections", {"name": "c", "rules": RULES, "read": [], "write": []})).body
    documents = f"/database/collections/{collection['$id']}/documents"
    document = (await key.post(documents, {"data": {"t": "x"}, "read": [], "write": []})).body
    form = aiohttp.FormData()
    form.add_field("file", b"content", filename="a.txt")
    file = (await key.post("/storage/files", data=form)).body
    function = (await key.post("/functions", {"name": "f", "runtime": "python-3.9", "execute": []})).body
    return {"documents": documents, "document": document, "file": file, "function": function}


async def test_all_documents_and_files(world: World, private: dict[str, Any]) -> None:
    admin = await act(world, await administrator(world))
    user = await world.sign_up()
    documents, document, file = private["documents"], private["document"]["$id"], private["file"]["$id"]
    assert (await user.get(f"{documents}/{document}")).status == 404
    assert (await admin.get(documents))["sum"] == 1
    assert (await admin.get(f"{documents}/{document}"))["t"] == "x"
    assert (await admin.patch(f"{documents}/{document}", {"data": {"t": "y"}}))["t"] == "y"
    assert (await user.get("/storage/files"))["sum"] == 0
    assert (await admin.get("/storage/files"))["sum"] == 1
    assert (await admin.get(f"/storage/files/{file}/download")).raw == b"content"
    assert (await admin.delete(f"/storage/files/{file}")).status == 204
    assert (await admin.delete(f"{documents}/{document}")).status == 204


async def test_what_they_make_is_theirs(world: World, private: dict[str, Any]) -> None:
    root = await administrator(world)
    admin = await act(world, root)
    answer = await admin.post(private["documents"], {"data": {"t": "z"}})
    own = [f"user:admin-{root.user['$id']}"]
    assert (answer.status, answer["$permissions"]) == (201, {"read": own, "write": own})
    team = await admin.post("/teams", {"name": "empty"})
    assert (team.status, team["sum"]) == (201, 0)


async def test_all_executions(world: World, private: dict[str, Any]) -> None:
    root = await administrator(world)
    admin = await act(world, root)
    path = f"/functions/{private['function']['$id']}"
    code = io.BytesIO()
    with tarfile.open(fileobj=code, mode="w:gz"):
        pass
    form = aiohttp.FormData()
    form.add_field("command", "python main.py")
    form.add_field("code", code.getvalue(), filename="code.tar.gz")
    tag = await admin.post(f"{path}/tags", data=form)
    assert (await admin.patch(f"{path}/tag", {"tag": tag["$id"]})).status == 200
    by_key = await (await world.key()).post(f"{path}/executions", {})
    assert by_key["$permissions"]["read"] == []
    own = await admin.post(f"{path}/executions", {})
    assert own["$permissions"]["read"] == [f"user:admin-{root.user['$id']}"]
    user = await world.sign_up()
    assert (await user.get(f"{path}/executions"))["sum"] == 0
    listed = await admin.get(f"{path}/executions")
    assert [entry["$id"] for entry in listed["executions"]] == [by_key["$id"], own["$id"]]
    assert (await admin.get(f"{path}/executions/{by_key['$id']}")).status == 200


async def test_switches_and_limits_are_for_others(world: World) -> None:
    root = await administrator(world)
    admin = await act(world, root)
    await root.patch("/projects/default/auth/email-password", {"status": False})
    new = {"email": "ada@example.com", "password": "password"}
    assert_refused(await world.guest.post("/account", new), 501, "user_auth_method_unsupported")
    assert (await admin.post("/account", new)).status == 201
