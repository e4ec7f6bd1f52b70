"""The functions service over HTTP, with real programs."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
import pytest

from litewrite import Config, Litewrite
from litewrite.db import executions as execution_rows
from litewrite.db.query import Query, scalar
from litewrite.events import Event
from litewrite.services.functions import RUNTIME_KEYS

if TYPE_CHECKING:
    from tests.conftest import Client, World
else:
    Client = World = Any

NOTHING = "61d5c1a2b3c4d"


def needs(program: str) -> pytest.MarkDecorator:
    missing = shutil.which(program) is None
    if missing and os.environ.get("LITEWRITE_REQUIRE_ALL") == "1":
        raise RuntimeError(f"{program} is not installed, and LITEWRITE_REQUIRE_ALL is set")
    return pytest.mark.skipif(missing, reason=f"{program} is not installed")


def pack(files: dict[str, str], *, prefix: str = "./") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(prefix + name)
            content = text.encode()
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def form(code: bytes | None, command: str | None = "python main.py", name: str = "code.tar.gz") -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("unused", "1", content_type="text/plain")
    if command is not None:
        data.add_field("command", command)
    if code is not None:
        data.add_field("code", io.BytesIO(code), filename=name, content_type="application/octet-stream")
    return data


async def create(key: Client, **settings: Any) -> dict[str, Any]:
    body = {"name": "resize", "execute": ["role:member"], "runtime": "python-3.9", "timeout": 20, **settings}
    answer = await key.post("/functions", body)
    assert answer.status == 201, answer.body
    return answer.body


async def upload(key: Client, function_id: str, code: bytes, command: str = "python main.py") -> dict[str, Any]:
    answer = await key.post(f"/functions/{function_id}/tags", data=form(code, command))
    assert answer.status == 201, answer.body
    return answer.body


async def deploy(
    key: Client, source: str, *, command: str = "python main.py", file: str = "main.py", **settings: Any
) -> str:
    """A function with code, ready to run; gives its id."""
    function_id = (await create(key, **settings))["$id"]
    tag = await upload(key, function_id, pack({file: source}), command)
    answer = await key.patch(f"/functions/{function_id}/tag", {"tag": tag["$id"]})
    assert answer.status == 200, answer.body
    return str(function_id)


async def start(client: Client, function_id: str, data: str | None = None) -> str:
    answer = await client.post(f"/functions/{function_id}/executions", {} if data is None else {"data": data})
    assert answer.status == 201, answer.body
    return str(answer["$id"])


async def ended(client: Client, function_id: str, execution_id: str, seconds: float = 30) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        answer = await client.get(f"/functions/{function_id}/executions/{execution_id}")
        assert answer.status == 200, answer.body
        if answer["status"] in ("completed", "failed"):
            return answer.body
        assert time.monotonic() < deadline, answer.body
        await asyncio.sleep(0.02)


async def run(client: Client, function_id: str, data: str | None = None) -> dict[str, Any]:
    return await ended(client, function_id, await start(client, function_id, data))


def listen(world: World) -> list[tuple[str, str, str, Any]]:
    heard: list[tuple[str, str, str, Any]] = []

    def hear(event: Event) -> None:
        heard.append((event.resource, event.action, event.actor.user_id, event.subject))

    world.backend.bus.subscribe(hear)
    return heard


# Functions


async def test_create(key: Client, world: World) -> None:
    heard = listen(world)
    body = {
        "name": "Test",
        "execute": ["user:x"],
        "runtime": "php-8.0",
        "vars": {"funcKey1": "funcValue1", "n": 5},
        "events": ["account.create", "account.delete"],
        "schedule": "0 0 1 1 *",
        "timeout": 10,
    }
    before = int(time.time())
    answer = await key.post("/functions", body)
    assert answer.status == 201
    made = answer.body
    assert before <= made["dateCreated"] <= time.time()
    assert made == {
        "$id": made["$id"],
        "$permissions": {"execute": ["user:x"]},
        "name": "Test",
        "dateCreated": made["dateCreated"],
        "dateUpdated": made["dateCreated"],
        "status": "disabled",
        "runtime": "php-8.0",
        "tag": "",
        "vars": {"funcKey1": "funcValue1", "n": 5},
        "events": ["account.create", "account.delete"],
        "schedule": "0 0 1 1 *",
        "scheduleNext": 0,
        "schedulePrevious": 0,
        "timeout": 10,
    }
    assert (await key.get(f"/functions/{made['$id']}")).body == made
    assert [entry[:3] for entry in heard] == [("function", "create", "")]


async def test_create_with_the_least(key: Client) -> None:
    answer = await key.post("/functions", {"name": "Test", "runtime": "node-14.5", "vars": [], "schedule": ""})
    assert answer.status == 201
    assert answer["$permissions"] == {"execute": []}
    assert (answer["vars"], answer["events"], answer["schedule"], answer["timeout"]) == ({}, [], "", 15)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": 5}, "name"),
        ({"execute": ["x" * 65]}, "execute"),
        ({"execute": "role:member"}, "execute"),
        ({"runtime": None}, "runtime"),
        ({"runtime": "cobol-1.0"}, "runtime"),
        ({"runtime": "PHP-8.0"}, "runtime"),
        ({"runtime": "python-3.11"}, "runtime"),
        ({"vars": ["x"]}, "vars"),
        ({"vars": "x"}, "vars"),
        ({"vars": {"a": "b\0"}}, "vars"),
        ({"vars": {"a\0": "b"}}, "vars"),
        ({"vars": {"a": {"b": ["\0"]}}}, "vars"),
        ({"vars": {"a": "x" * 1_000_001}}, "vars"),
        ({"events": ["account.created"]}, "events"),
        ({"events": ["users.update.verification"]}, "events"),
        ({"schedule": "* * * *"}, "schedule"),
        ({"schedule": "* * * * * *"}, "schedule"),
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": "tomorrow"}, "schedule"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 901}, "timeout"),
        ({"timeout": 1.5}, "timeout"),
    ],
)
async def test_bad_settings(key: Client, change: dict[str, Any], param: str) -> None:
    good = {"name": "Test", "runtime": "python-3.9"}
    answer = await key.post("/functions", {**good, **change})
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")
    assert answer["message"].startswith(f"Invalid {param}: ")
    if param != "runtime":
        # Parameters are looked at before the function is.
        answer = await key.put(f"/functions/{NOTHING}", {**good, **change})
        assert (answer.status, answer["type"]) == (400, "general_argument_invalid")


async def test_every_runtime_can_be_chosen(key: Client) -> None:
    assert len(RUNTIME_KEYS) == 28
    for runtime in RUNTIME_KEYS:
        assert (await create(key, runtime=runtime))["runtime"] == runtime


async def test_who_may_manage(world: World, user: Client) -> None:
    reader = await world.key("functions.read")
    path = f"/functions/{NOTHING}"
    calls = [
        ("POST", "/functions"),
        ("PUT", path),
        ("DELETE", path),
        ("PATCH", f"{path}/tag"),
        ("POST", f"{path}/tags"),
        ("DELETE", f"{path}/tags/x"),
    ]
    reads = [("GET", "/functions"), ("GET", path), ("GET", f"{path}/tags"), ("GET", f"{path}/tags/x")]
    for client, refused in ((world.guest, calls + reads), (user, calls + reads), (reader, calls)):
        for method, where in refused:
            answer = await client.call(method, where)
            assert (answer.status, answer["type"]) == (401, "general_unauthorized_scope"), (method, where)


async def test_list(key: Client, world: World) -> None:
    assert (await key.get("/functions")).body == {"sum": 0, "functions": []}
    made = [await create(key, name=name) for name in ("first", "second", "third one")]
    assert (await key.get("/functions")).body == {"sum": 3, "functions": made}

    async def names(**params: Any) -> tuple[int, list[str]]:
        answer = await key.get("/functions", params=params)
        assert answer.status == 200
        return answer["sum"], [function["name"] for function in answer["functions"]]

    assert await names(orderType="DESC") == (3, ["third one", "second", "first"])
    assert await names(limit=1, offset=1) == (3, ["second"])
    assert await names(limit=0) == (3, [])
    assert await names(search="third") == (1, ["third one"])
    assert await names(search="fir*") == (1, ["first"])
    assert await names(search="python") == (3, ["first", "second", "third one"])
    assert await names(search="nothing") == (0, [])
    for bad in ({"limit": 101}, {"offset": 2001}, {"orderType": "asc"}, {"search": "x" * 257}, {"limit": "x"}):
        assert (await key.get("/functions", params=bad)).status == 400
    other = replace(world, project="other")
    await world.backend.services.projects.create("other")
    assert (await (await other.key()).get("/functions")).body == {"sum": 0, "functions": []}


async def test_update_replaces_everything(key: Client, world: World) -> None:
    made = await create(key, vars={"a": "b"}, events=["account.create"], schedule="@daily", timeout=30)
    path = f"/functions/{made['$id']}"
    heard = listen(world)
    await asyncio.sleep(1.01)
    answer = await key.put(path, {"name": "renamed", "execute": ["*"], "runtime": "php-8.0", "vars": {"c": "d"}})
    assert answer.status == 200
    assert answer["dateUpdated"] > made["dateUpdated"]
    assert answer.body == {
        **made,
        "name": "renamed",
        "$permissions": {"execute": ["*"]},
        "vars": {"c": "d"},
        "events": [],
        "schedule": "",
        "timeout": 15,
        "dateUpdated": answer["dateUpdated"],
    }
    assert (await key.get(path)).body == answer.body
    assert (await key.get("/functions", params={"search": "renamed"}))["sum"] == 1
    assert (await key.get("/functions", params={"search": "resize"}))["sum"] == 0
    assert [entry[:2] for entry in heard] == [("function", "update")]


async def test_unknown_ids(key: Client) -> None:
    function_id = (await create(key))["$id"]
    tag = {"tag": NOTHING}
    for method, path, body, kind in [
        ("GET", "/functions/x", None, "function_not_found"),
        ("PUT", "/functions/x", {"name": "x"}, "function_not_found"),
        ("DELETE", "/functions/x", None, "function_not_found"),
        ("PATCH", "/functions/x/tag", tag, "function_not_found"),
        ("GET", "/functions/x/tags", None, "function_not_found"),
        ("GET", "/functions/x/tags/x", None, "function_not_found"),
        ("DELETE", "/functions/x/tags/x", None, "function_not_found"),
        ("POST", "/functions/x/executions", None, "function_not_found"),
        ("GET", "/functions/x/executions", None, "function_not_found"),
        ("GET", "/functions/x/executions/x", None, "function_not_found"),
        ("PATCH", f"/functions/{function_id}/tag", tag, "deployment_not_found"),
        ("GET", f"/functions/{function_id}/tags/x", None, "deployment_not_found"),
        ("DELETE", f"/functions/{function_id}/tags/x", None, "deployment_not_found"),
        ("POST", f"/functions/{function_id}/executions", None, "deployment_not_found"),
        ("GET", f"/functions/{function_id}/executions/x", None, "execution_not_found"),
    ]:
        answer = await key.call(method, path, body)
        assert (answer.status, answer["type"]) == (404, kind), (method, path)
    assert (await key.get(f"/functions/{'x' * 33}")).status == 400
    assert (await key.patch(f"/functions/{function_id}/tag", {})).status == 400
    assert (await key.patch(f"/functions/{function_id}/tag", {"tag": "x" * 33})).status == 400


async def test_delete(key: Client, world: World) -> None:
    function_id = await deploy(key, "print(1)")
    await run(key, function_id)
    heard = listen(world)
    answer = await key.delete(f"/functions/{function_id}")
    assert (answer.status, answer.raw) == (204, b"")
    assert "json" not in answer.headers["Content-Type"]
    assert (await key.get(f"/functions/{function_id}")).status == 404
    assert (await key.get(f"/functions/{function_id}/tags")).status == 404
    assert (await key.delete(f"/functions/{function_id}")).status == 404
    assert [entry[:2] for entry in heard] == [("function", "delete")]
    # What is behind it goes in the background: rows, then the archive.
    left = Query("SELECT (SELECT count(*) FROM deployments) + (SELECT count(*) FROM executions)", (), scalar)
    deadline = time.monotonic() + 20
    while await world.backend.db.read(left) or [blob async for blob in world.backend.blobs.keys(min_age=0)]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


# Tags


async def test_tags(key: Client, world: World) -> None:
    function_id = (await create(key))["$id"]
    path = f"/functions/{function_id}/tags"
    heard = listen(world)
    code = pack({"main.py": "print(1)"})
    before = int(time.time())
    tag = await upload(key, function_id, code)
    assert before <= tag["dateCreated"] <= time.time()
    assert tag == {
        "$id": tag["$id"],
        "functionId": function_id,
        "dateCreated": tag["dateCreated"],
        "command": "python main.py",
        "size": len(code),
    }
    other = await upload(key, function_id, code, "python other.py")
    assert (await key.get(f"{path}/{tag['$id']}")).body == tag
    assert (await key.get(path)).body == {"sum": 2, "tags": [tag, other]}
    answer = await key.get(path, params={"orderType": "DESC", "limit": 1})
    assert answer.body == {"sum": 2, "tags": [other]}
    assert (await key.get(path, params={"search": "other"})).body == {"sum": 1, "tags": [other]}
    assert (await key.get(f"/functions/{function_id}"))["tag"] == ""
    foreign = (await create(key))["$id"]
    assert (await key.get(f"/functions/{foreign}/tags/{tag['$id']}"))["type"] == "deployment_not_found"
    assert (await key.get(f"/functions/{foreign}/tags")).body == {"sum": 0, "tags": []}
    assert (await key.delete(f"/functions/{foreign}/tags/{tag['$id']}"))["type"] == "deployment_not_found"
    assert (await key.patch(f"/functions/{foreign}/tag", {"tag": tag["$id"]}))["type"] == "deployment_not_found"

    answer = await key.delete(f"{path}/{tag['$id']}")
    assert (answer.status, answer.raw) == (204, b"")
    assert (await key.get(f"{path}/{tag['$id']}")).status == 404
    assert (await key.get(path)).body == {"sum": 1, "tags": [other]}
    assert [entry[:2] for entry in heard] == [
        ("deployment", "create"),
        ("deployment", "create"),
        ("function", "create"),
        ("deployment", "delete"),
    ]


@pytest.mark.parametrize(
    ("make", "status", "kind"),
    [
        (lambda: form(b"x", None), 400, "general_argument_invalid"),
        (lambda: form(b"x", ""), 400, "general_argument_invalid"),
        (lambda: form(b"x", "x" * 1_029), 400, "general_argument_invalid"),
        (lambda: form(None), 400, "storage_file_empty"),
        (lambda: form(b"x", name="code.tgz"), 400, "storage_file_type_unsupported"),
        (lambda: form(b"x", name="code.GZ"), 400, "storage_file_type_unsupported"),
        (lambda: form(b"x", name="gz"), 400, "storage_file_type_unsupported"),
        (lambda: form(b"x" * 10_000_001), 400, "storage_invalid_file_size"),
        (lambda: form(b"x" * 10_000_001, name="code.zip"), 400, "storage_file_type_unsupported"),
        (lambda: form(b"not an archive", "x" * 1_028, name="x.gz"), 201, None),
        (lambda: form(b"x" * 10_000_000), 201, None),
    ],
)
async def test_uploads(key: Client, world: World, make: Any, status: int, kind: str | None) -> None:
    function_id = (await create(key))["$id"]
    answer = await key.post(f"/functions/{function_id}/tags", data=make())
    assert (answer.status, answer.body.get("type")) == (status, kind)
    # A bad command is found first, then the unknown function, then what is wrong with the file.
    expected = (400, kind) if kind == "general_argument_invalid" else (404, "function_not_found")
    answer = await key.post(f"/functions/{NOTHING}/tags", data=make())
    assert (answer.status, answer["type"]) == expected
    kept = [blob async for blob in world.backend.blobs.keys(min_age=0)]
    assert len(kept) == (1 if status == 201 else 0)


async def test_a_tag_needs_a_multipart_body(key: Client) -> None:
    function_id = (await create(key))["$id"]
    answer = await key.post(f"/functions/{function_id}/tags", {"command": "python main.py", "code": "x"})
    assert (answer.status, answer["type"]) == (400, "storage_file_empty")


async def test_update_tag(key: Client, world: World) -> None:
    made = await create(key, schedule="0 4 * * *")
    function_id, path = made["$id"], f"/functions/{made['$id']}"
    one, two = [(await upload(key, function_id, b"x"))["$id"] for _ in range(2)]
    heard = listen(world)
    answer = await key.patch(f"{path}/tag", {"tag": one})
    planned = answer["scheduleNext"]
    assert answer.status == 200
    assert answer.body == {**made, "tag": one, "scheduleNext": planned}
    assert time.time() < planned <= time.time() + 86_400
    assert planned % 86_400 == 4 * 3600
    # The plan goes on with another tag, follows the schedule, and ends with it or with the tag.
    assert (await key.patch(f"{path}/tag", {"tag": two}))["scheduleNext"] == planned
    updated = await key.put(path, {"name": "x", "schedule": "30 5 * * *"})
    assert updated["scheduleNext"] % 86_400 == 5 * 3600 + 1800
    assert (await key.put(path, {"name": "x"}))["scheduleNext"] == 0
    assert (await key.put(path, {"name": "x", "schedule": "@hourly"}))["scheduleNext"] % 3600 == 0
    assert (await key.delete(f"{path}/tags/{one}")).status == 204
    assert (await key.get(path))["tag"] == two
    assert (await key.delete(f"{path}/tags/{two}")).status == 204
    stopped = (await key.get(path)).body
    assert (stopped["tag"], stopped["scheduleNext"]) == ("", 0)
    assert heard[0][:2] == ("function", "update.deployment")
    assert (await key.post(f"{path}/executions"))["type"] == "deployment_not_found"


# Executions


async def test_a_run(key: Client, user: Client, world: World) -> None:
    heard = listen(world)
    function_id = await deploy(key, "import sys\nprint('hello')\nprint('careful', file=sys.stderr)")
    before = int(time.time())
    answer = await user.post(f"/functions/{function_id}/executions", {"async": 1})
    made = answer.body
    assert answer.status == 201
    assert before <= made["dateCreated"] <= time.time()
    waiting = {
        "$id": made["$id"],
        "$permissions": {"read": [f"user:{user.user['$id']}"], "write": []},
        "functionId": function_id,
        "dateCreated": made["dateCreated"],
        "trigger": "http",
        "status": "waiting",
        "exitCode": 0,
        "stdout": "",
        "stderr": "",
        "time": 0,
    }
    assert made == waiting
    done = await ended(user, function_id, made["$id"])
    assert 0 < done["time"] < 20
    assert done == {**waiting, "status": "completed", "stdout": "hello\n", "stderr": "careful\n", "time": done["time"]}
    assert (await key.get(f"/functions/{function_id}/executions")).body == {"sum": 1, "executions": [done]}
    user_id = user.user["$id"]
    events = [entry for entry in heard if entry[0] == "execution"]
    assert [entry[:3] for entry in events] == [("execution", "create", user_id), ("execution", "update", user_id)]
    assert [entry[3].status.value for entry in events] == ["waiting", "completed"]
    stored = await world.backend.db.read(Query("SELECT deployment_id FROM executions", (), scalar))
    assert stored == (await key.get(f"/functions/{function_id}"))["tag"]
    assert os.listdir(world.server.config.data_dir / "runs") == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sys\nprint('so far')\nsys.exit(3)", ("failed", 3, "so far\n", "")),
        ("print('grüße, 世界 \\N{ROCKET}')", ("completed", 0, "grüße, 世界 🚀\n", "")),
        ("import sys\nsys.stdout.buffer.write(bytes([0xEA, 0xE4]))", ("completed", 0, "êä", "")),
        ("import sys\nsys.stdout.write('x' * 5000 + 'end')", ("completed", 0, "x" * 3997 + "end", "")),
        ("print('{\"a\": [1, 2]}', end='')", ("completed", 0, '{"a": [1, 2]}', "")),
        ("import sys\nprint(repr(sys.stdin.read()))", ("completed", 0, "''\n", "")),
        ("import os\nos.kill(os.getpid(), 9)", ("failed", 137, "", "")),
    ],
)
async def test_how_runs_end(key: Client, source: str, expected: tuple[str, int, str, str]) -> None:
    done = await run(key, await deploy(key, source))
    assert (done["status"], done["exitCode"], done["stdout"], done["stderr"]) == expected


async def test_timeout(key: Client) -> None:
    source = "import time\nprint('begun', flush=True)\ntime.sleep(5)"
    function_id = await deploy(key, source, timeout=2, vars=[], events=[], schedule="")
    done = await run(key, function_id)
    assert (done["trigger"], done["status"], done["exitCode"]) == ("http", "failed", 124)
    assert (done["stdout"], done["stderr"]) == ("", "")
    assert 2 < done["time"] < 3


SHOW = "import json, os\nprint(json.dumps(dict(os.environ)))"


async def test_environment_of_a_user(key: Client, user: Client, world: World) -> None:
    variables = {"MODE": "fast", "N U": 5, "APPWRITE_FUNCTION_ID": "mine", "EMPTY": ""}
    function_id = await deploy(key, SHOW, vars=variables, name="Größe")
    done = await run(user, function_id, "some 'data' & ünïcode\n")
    told = json.loads(done["stdout"])
    token = told.pop("APPWRITE_FUNCTION_JWT")
    assert {name: value for name, value in told.items() if name.startswith("APPWRITE_")} == {
        "APPWRITE_FUNCTION_ID": function_id,
        "APPWRITE_FUNCTION_NAME": "Größe",
        "APPWRITE_FUNCTION_TAG": (await key.get(f"/functions/{function_id}"))["tag"],
        "APPWRITE_FUNCTION_TRIGGER": "http",
        "APPWRITE_FUNCTION_RUNTIME_NAME": "Python",
        "APPWRITE_FUNCTION_RUNTIME_VERSION": "3.9",
        "APPWRITE_FUNCTION_EVENT": "",
        "APPWRITE_FUNCTION_EVENT_DATA": "",
        "APPWRITE_FUNCTION_DATA": "some 'data' & ünïcode\n",
        "APPWRITE_FUNCTION_USER_ID": user.user["$id"],
        "APPWRITE_FUNCTION_PROJECT_ID": "default",
    }
    assert (told["MODE"], told["NU"], told["EMPTY"]) == ("fast", "5", "")
    assert not [name for name in told if name.startswith(("LITEWRITE", "PYTEST"))]
    by_token = world.guest.with_headers(X_Appwrite_JWT=token)
    assert (await by_token.get("/account"))["$id"] == user.user["$id"]
    # A caller that came with a token gets none, and a token ends with its session.
    done = await run(by_token, function_id)
    assert json.loads(done["stdout"])["APPWRITE_FUNCTION_JWT"] == ""
    assert (await user.delete("/account/sessions/current")).status == 204
    assert (await by_token.get("/account")).status == 401


async def test_environment_of_a_key(key: Client) -> None:
    told = json.loads((await run(key, await deploy(key, SHOW)))["stdout"])
    names = {name.removeprefix("APPWRITE_FUNCTION_") for name in told if name.startswith("APPWRITE_")}
    assert names == {
        *("ID", "NAME", "TAG", "TRIGGER", "RUNTIME_NAME", "RUNTIME_VERSION"),
        *("EVENT", "EVENT_DATA", "DATA", "USER_ID", "JWT", "PROJECT_ID"),
    }
    empty = ("EVENT", "EVENT_DATA", "DATA", "USER_ID", "JWT")
    assert [told[f"APPWRITE_FUNCTION_{name}"] for name in empty] == [""] * 5


async def test_a_session_from_the_fallback_header_gives_a_token(key: Client, user: Client, world: World) -> None:
    name, _, value = user.headers["Cookie"].partition("=")
    client = world.guest.with_headers(X_Fallback_Cookies=json.dumps({name: unquote(value)}))
    told = json.loads((await run(client, await deploy(key, SHOW)))["stdout"])
    assert told["APPWRITE_FUNCTION_JWT"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": "x" * 8_192}, 201),
        ({"data": "ü" * 8_192}, 201),
        ({"data": "x" * 8_193}, 400),
        ({"data": {"a": 1}}, 400),
        ({"data": 5}, 400),
        ({"data": "a\0b"}, 400),
        (None, 201),
    ],
)
async def test_data(key: Client, body: Any, status: int) -> None:
    function_id = await deploy(key, "import os\nprint(len(os.environ['APPWRITE_FUNCTION_DATA']))")
    answer = await key.post(f"/functions/{function_id}/executions", body)
    assert answer.status == status
    if status == 201:
        done = await ended(key, function_id, answer["$id"])
        assert done["stdout"] == f"{len((body or {}).get('data', ''))}\n"
    else:
        assert answer["type"] == "general_argument_invalid"


async def test_who_may_run(key: Client, user: Client, world: World) -> None:
    function_id = await deploy(key, "print(1)", execute=[f"user:{user.user['$id']}"])
    path = f"/functions/{function_id}/executions"
    other = await world.sign_up("bob@example.com")
    for client, kind in ((world.guest, "general_unauthorized_scope"), (other, "user_unauthorized")):
        answer = await client.post(path)
        assert (answer.status, answer["type"]) == (401, kind)
    assert (await (await world.key("functions.write")).post(path)).status == 401
    execution_id = await start(user, function_id)
    await start(await world.key("execution.write"), function_id)
    assert (await key.put(f"/functions/{function_id}", {"name": "x", "execute": []})).status == 200
    assert (await user.post(path))["type"] == "user_unauthorized"
    assert (await key.put(f"/functions/{function_id}", {"name": "x", "execute": ["*"]})).status == 200
    assert (await other.post(path)).status == 201
    assert (await world.guest.post(path)).status == 401
    assert (await world.guest.get(path)).status == 401
    # Everybody sees its own; keys see all.
    assert (await user.get(path))["sum"] == 1
    assert [execution["$id"] for execution in (await user.get(path))["executions"]] == [execution_id]
    assert (await key.get(path))["sum"] == 3
    assert (await other.get(f"{path}/{execution_id}"))["type"] == "execution_not_found"
    assert (await user.get(f"{path}/{execution_id}")).status == 200
    foreign = (await create(key))["$id"]
    assert (await key.get(f"/functions/{foreign}/executions/{execution_id}"))["type"] == "execution_not_found"
    # Without a tag that is what a user without permission is told.
    assert (await user.post(f"/functions/{foreign}/executions"))["type"] == "deployment_not_found"


async def test_lists_and_search(key: Client) -> None:
    function_id = await deploy(key, "import os\nprint('word', os.environ['APPWRITE_FUNCTION_DATA'])")
    path = f"/functions/{function_id}/executions"
    made = [(await run(key, function_id, data))["$id"] for data in ("apple", "banana", "cherry")]

    async def ids(**params: Any) -> tuple[int, list[str]]:
        answer = await key.get(path, params=params)
        assert answer.status == 200
        return answer["sum"], [execution["$id"] for execution in answer["executions"]]

    assert await ids() == (3, made)
    assert await ids(orderType="DESC") == (3, made[::-1])
    assert await ids(limit=1, offset=1) == (3, [made[1]])
    assert await ids(limit=0) == (3, [])
    assert await ids(search="banana cherry") == (2, made[1:])
    assert await ids(search="+word -cherry") == (2, made[:2])
    assert await ids(search="word", limit=1, orderType="DESC") == (3, [made[2]])
    assert (await key.get(path, params={"offset": 2001})).status == 400


async def test_rate_limit(key: Client, user: Client, config: Config) -> None:
    function_id = (await create(key))["$id"]
    answer = await user.post(f"/functions/{function_id}/executions")
    assert answer.status == 404
    assert answer.headers["X-RateLimit-Limit"] == "60"
    left = int(answer.headers["X-RateLimit-Remaining"])
    assert left < 60
    assert int(answer.headers["X-RateLimit-Reset"]) % 60 == 0


async def test_too_many_calls_are_refused(world: World, config: Config, tmp_path: Path) -> None:
    async with serving(type(world), replace(config, data_dir=tmp_path / "again", rate_limits="on")) as strict:
        user = await strict.sign_up()
        seen = []
        # A window may end in between.
        while len(seen) < 121 and 429 not in seen:
            seen.append((await user.post(f"/functions/{NOTHING}/executions")).status)
        assert seen == [404] * (len(seen) - 1) + [429]
        assert len(seen) > 60
        assert (await user.get(f"/functions/{NOTHING}/executions")).status == 404
        assert (await (await strict.key()).post(f"/functions/{NOTHING}/executions")).status == 404


# Other runtimes


@needs("node")
async def test_node(key: Client) -> None:
    source = "console.log(process.env.APPWRITE_FUNCTION_RUNTIME_NAME, process.argv.slice(2).join('|')); process.exit(4)"
    function_id = await deploy(key, source, file="index.js", command="node index.js 'a b' $HOME", runtime="node-16.0")
    done = await run(key, function_id)
    assert (done["status"], done["exitCode"], done["stdout"]) == ("failed", 4, "Node.js a b|$HOME\n")


@needs("php")
async def test_php(key: Client) -> None:
    source = (
        "<?php\necho $_SERVER['APPWRITE_FUNCTION_RUNTIME_NAME'] ?? getenv('APPWRITE_FUNCTION_RUNTIME_NAME'), 1 + 1;"
    )
    function_id = await deploy(key, source, file="index.php", command="php index.php", runtime="php-8.0")
    done = await run(key, function_id)
    assert (done["status"], done["stdout"], done["stderr"]) == ("completed", "PHP2", "")


async def test_a_missing_runtime_is_told(key: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    function_id = await deploy(key, "print(1)", command="swift run", runtime="swift-5.5")
    done = await run(key, function_id)
    assert (done["status"], done["exitCode"], done["stdout"], done["time"]) == ("failed", 1, "", 0)
    assert "swift-5.5" in done["stderr"]
    assert "install" in done["stderr"]


@pytest.mark.parametrize("prefix", ["./", "project/", ""])
async def test_archives_of_every_layout_work(key: Client, prefix: str) -> None:
    function_id = (await create(key))["$id"]
    files = {"main.py": "import lib.words\nprint(lib.words.WORD)", "lib/words.py": "WORD = 'found'"}
    if not prefix:
        files = {"main.py": "print('found')"}
    tag = await upload(key, function_id, pack(files, prefix=prefix))
    await key.patch(f"/functions/{function_id}/tag", {"tag": tag["$id"]})
    assert (await run(key, function_id))["stdout"] == "found\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"no archive at all", "not a valid gzip file"),
        (b"", "empty"),
        (pack({"../main.py": "x"}, prefix="project/"), "leaves its folder"),
    ],
)
async def test_a_bad_archive_fails_when_it_runs(key: Client, code: bytes, reason: str) -> None:
    function_id = (await create(key))["$id"]
    tag = await upload(key, function_id, code)
    await key.patch(f"/functions/{function_id}/tag", {"tag": tag["$id"]})
    done = await run(key, function_id)
    assert (done["status"], done["exitCode"], done["stdout"], done["time"]) == ("failed", 1, "", 0)
    assert reason in done["stderr"]


# The queue


@pytest.fixture
def config(tmp_path: Path, config: Config) -> Config:
    return replace(config, function_slots=2)


@asynccontextmanager
async def serving(world_kind: type[World], config: Config) -> AsyncIterator[World]:
    async with (
        Litewrite(config) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield world_kind(server, http)


async def test_no_more_than_the_slots_run_at_once(key: Client, tmp_path: Path) -> None:
    source = (
        "import os, time\n"
        f"marks = {str(tmp_path / 'marks')!r}\n"
        "os.makedirs(marks, exist_ok=True)\n"
        "mine = os.path.join(marks, str(os.getpid()))\n"
        "open(mine, 'w').close()\ntime.sleep(0.1)\nprint(len(os.listdir(marks)))\ntime.sleep(0.1)\nos.unlink(mine)"
    )
    one, two = await deploy(key, source), await deploy(key, source)
    first = [await start(key, one) for _ in range(8)]
    second = await start(key, two)
    counts = [int((await ended(key, one, execution_id))["stdout"]) for execution_id in first]
    assert max(counts) == 2
    # The other function did not wait for all of the first one's.
    order = (await key.get(f"/functions/{one}/executions"))["executions"]
    assert [execution["$id"] for execution in order] == first
    assert (await ended(key, two, second))["status"] == "completed"


async def test_functions_take_turns(key: Client, tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = f"import os, time\nopen({str(log)!r}, 'a').write(os.environ['APPWRITE_FUNCTION_NAME'])\ntime.sleep(0.3)"
    many, few = await deploy(key, source, name="m"), await deploy(key, source, name="f")
    started = [await start(key, many) for _ in range(8)]
    last = await start(key, few)
    await ended(key, few, last)
    for execution_id in started:
        await ended(key, many, execution_id)
    assert log.read_text().count("m") == 8
    assert log.read_text().index("f") <= 5


def marks(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith("mark")]


async def test_a_restart_loses_nothing(world: World, config: Config, tmp_path: Path) -> None:
    """What waits goes on in the next server; what ran is recorded as failed, and its program is dead."""
    config = replace(config, data_dir=tmp_path / "again")
    mark = tmp_path / "mark"
    source = (
        "import os, time\n"
        f"mark = {str(mark)!r}\n"
        "if os.environ['APPWRITE_FUNCTION_DATA'] == 'long':\n"
        "    open(mark + str(os.getpid()), 'w').close()\n"
        "    time.sleep(60)\n"
        "print('done', os.environ['APPWRITE_FUNCTION_USER_ID'], bool(os.environ['APPWRITE_FUNCTION_JWT']))"
    )
    async with serving(type(world), config) as first:
        key = await first.key()
        user = await first.sign_up()
        function_id = await deploy(key, source, timeout=100)
        running = [await start(user, function_id, "long") for _ in range(2)]
        deadline = time.monotonic() + 20
        while len(marks(tmp_path)) < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        waiting = [await start(user, function_id, "short") for _ in range(3)]
        path = f"/functions/{function_id}/executions"
        states = {entry["$id"]: entry["status"] for entry in (await key.get(path))["executions"]}
        assert states == dict.fromkeys(running, "processing") | dict.fromkeys(waiting, "waiting")
        heard = listen(first)
    assert sorted(entry[:3] for entry in heard) == [("execution", "update", user.user["$id"])] * 2
    for name in marks(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(int(name.removeprefix("mark")), 0)
    async with serving(type(world), config) as second:
        user = replace(user, http=second.http, endpoint=second.endpoint)
        for execution_id in running:
            done = await ended(user, function_id, execution_id)
            assert (done["status"], done["exitCode"], done["stdout"]) == ("failed", 1, "")
            assert done["stderr"] == "The server was stopped while the function was running."
        for execution_id in waiting:
            done = await ended(user, function_id, execution_id)
            assert (done["status"], done["stdout"]) == ("completed", f"done {user.user['$id']} True\n")
        assert os.listdir(config.data_dir / "runs") == []


async def test_after_a_crash(world: World, config: Config, tmp_path: Path) -> None:
    """An execution that was processing when the process died fails at the start, with its event."""
    config = replace(config, data_dir=tmp_path / "again")
    async with serving(type(world), config) as first:
        key = await first.key()
        user = await first.sign_up()
        function_id = await deploy(key, "print('ran')")
        await run(user, function_id)
    async with serving(type(world), replace(config, functions="off")) as off:
        # With functions switched off nothing takes executions out of the queue, so they can be put into any state.
        key = await off.key()
        answer = await key.post(f"/functions/{function_id}/executions")
        assert (answer.status, answer["type"]) == (503, "general_functions_disabled")
        db = off.backend.db
        copied = await db.read(execution_rows.of_function("default", function_id, execution_rows.Window(), None))
        crashed, waiting = [
            replace(copied.items[0], id=execution_id, status=execution_rows.ExecutionStatus("waiting"), stdout="")
            for execution_id in [await db.write(lambda tx: tx.new_id()) for _ in range(2)]
        ]
        user_id = user.user["$id"]
        for execution in (crashed, waiting):
            await db.write(
                lambda tx, made=execution: tx.stores.executions.insert(tx, made, user_id, execution_rows.Inputs())
            )
        await off.backend.services.executions.__aexit__(None, None, None)
        await db.write(lambda tx: tx.stores.executions.start(tx, crashed.id))
        (config.data_dir / "runs" / crashed.id / "code").mkdir(parents=True)
        # Leaving would tidy up what a crash does not.
        off.backend.services.executions._fail_processing = lambda reason: asyncio.sleep(0)
    async with serving(type(world), config) as second:
        user = replace(user, http=second.http, endpoint=second.endpoint)
        done = await ended(user, function_id, crashed.id)
        assert (done["status"], done["exitCode"]) == ("failed", 1)
        assert done["stderr"] == "The server ended while the function was running."
        assert (await ended(user, function_id, waiting.id))["stdout"] == "ran\n"
        assert os.listdir(config.data_dir / "runs") == []


async def test_deleting_the_function_of_a_run(key: Client, world: World) -> None:
    function_id = await deploy(key, "import time\ntime.sleep(0.5)\nprint(1)")
    for _ in range(5):
        await start(key, function_id)
    assert (await key.delete(f"/functions/{function_id}")).status == 204
    after = await deploy(key, "print('next')")
    assert (await run(key, after))["stdout"] == "next\n"


async def test_deleting_the_tag_of_a_waiting_run(key: Client) -> None:
    blocker = await deploy(key, "import time\ntime.sleep(1)")
    function_id = await deploy(key, "print(1)")
    for _ in range(2):
        await start(key, blocker)
    await asyncio.sleep(0.3)
    execution_id = await start(key, function_id)
    tag = (await key.get(f"/functions/{function_id}"))["tag"]
    assert (await key.delete(f"/functions/{function_id}/tags/{tag}")).status == 204
    done = await ended(key, function_id, execution_id)
    assert (done["status"], done["exitCode"], done["stderr"]) == ("failed", 1, "The function has no active tag.")
