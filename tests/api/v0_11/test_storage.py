"""The storage service over the wire: files and their content, by every kind of caller."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from appwrite.client import Client as SdkClient
from appwrite.exception import AppwriteException
from appwrite.services.storage import Storage

from litewrite.api.v0_11.events import Renderer
from litewrite.api.v0_11.storage import VIEWABLE
from litewrite.db import files as file_rows
from litewrite.db.engine import Transaction
from litewrite.entities import CONSOLE, Membership, Session, User
from litewrite.events import Event
from litewrite.security import encode_session, hash_secret, new_secret
from tests.conftest import Answer, Client, World

PATH = "/storage/files"
DAY = 86_400
OTHER = "user:61d5c1a2b3c4d"


def png(size: int) -> bytes:
    """A picture of one grey pixel in a PNG file of exactly `size` bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    end = chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")
    return start + chunk(b"tEXt", b"Comment\0" + b"x" * (size - len(start) - len(end) - 20)) + end


LOGO = png(47_218)
assert len(LOGO) == 47_218


async def upload(
    client: Client,
    content: bytes = b"hello",
    name: str = "hello.txt",
    *,
    read: list[str] | None = None,
    write: list[str] | None = None,
    **fields: str,
) -> Answer:
    form = aiohttp.FormData(fields, quote_fields=False)
    for key, roles in (("read", read), ("write", write)):
        for role in roles or ():
            form.add_field(f"{key}[]", role)
    form.add_field("file", content, filename=name, content_type="application/octet-stream")
    return await client.post(PATH, data=form)


async def make(client: Client, content: bytes = b"hello", name: str = "hello.txt", **fields: Any) -> dict[str, Any]:
    answer = await upload(client, content, name, **fields)
    assert answer.status == 201, answer.body
    file: dict[str, Any] = answer.body
    return file


def outcome(answer: Answer) -> tuple[int, str]:
    return answer.status, answer["type"]


NOT_FOUND = (404, "storage_file_not_found")
NO_SCOPE = (401, "general_unauthorized_scope")
NOT_ALLOWED = (401, "user_unauthorized")
INVALID = (400, "general_argument_invalid")


async def administrator(world: World) -> Client:
    """A console user who belongs to the team that owns the project, in admin mode."""
    secret = new_secret()

    def unit(tx: Transaction) -> str:
        user = User(tx.new_id(), CONSOLE, "Root", "root@example.com", registered_at=tx.now)
        tx.stores.users.insert(tx, user)
        tx.stores.sessions.insert(
            tx, Session(tx.new_id(), CONSOLE, user.id, hash_secret(secret), tx.now + timedelta(days=1), "email")
        )
        tx.execute("UPDATE projects SET team_id = 'owners' WHERE id = ?", (world.project,))
        tx.stores.memberships.insert(
            tx, Membership(tx.new_id(), CONSOLE, "owners", user.id, ("owner",), tx.now, tx.now, confirmed=True)
        )
        tx.invalidate("project", world.project)
        return user.id

    user_id = await world.backend.db.write(unit)
    client = world.guest.with_headers(
        Cookie=f"a_session_console={encode_session(user_id, secret)}", X_Appwrite_Mode="admin"
    )
    client.user = {"$id": f"admin-{user_id}"}
    return client


@pytest.fixture(params=["session", "jwt", "key", "admin"])
async def caller(request: pytest.FixtureRequest, world: World) -> Client:
    """Everybody who may write files."""
    if request.param == "key":
        return await world.key("files.read", "files.write")
    if request.param == "admin":
        return await administrator(world)
    user = await world.sign_up()
    if request.param == "jwt":
        token = (await user.post("/account/jwt"))["jwt"]
        jwt = world.guest.with_headers(X_Appwrite_JWT=token)
        jwt.user = user.user
        return jwt
    return user


@pytest.fixture
async def events(world: World) -> AsyncIterator[list[Event]]:
    heard: list[Event] = []
    unsubscribe = world.backend.bus.subscribe(heard.append)
    yield heard
    unsubscribe()


# What Appwrite's own tests look at


async def test_e2e_create_file(caller: Client) -> None:
    before = int(time.time())
    answer = await upload(caller, LOGO, "logo.png", read=["*"], write=["*"], folderId="xyz")
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    file = answer.body
    assert isinstance(file["$id"], str)
    assert len(file["$id"]) == 13
    assert type(file["dateCreated"]) is int
    assert before <= file["dateCreated"] <= time.time()
    assert {key: file[key] for key in file if key not in ("$id", "dateCreated")} == {
        "$permissions": {"read": ["*"], "write": ["*"]},
        "name": "logo.png",
        "signature": hashlib.md5(LOGO, usedforsecurity=False).hexdigest(),
        "mimeType": "image/png",
        "sizeOriginal": 47_218,
    }


async def test_e2e_get_file(caller: Client) -> None:
    file = await make(caller, LOGO, "logo.png", read=["*"], write=["*"])
    got = await caller.get(f"{PATH}/{file['$id']}")
    assert (got.status, got.body) == (200, file)

    download = await caller.get(f"{PATH}/{file['$id']}/download")
    assert (download.status, download.raw) == (200, LOGO)
    assert download.headers["Content-Disposition"] == 'attachment; filename="logo.png"'
    assert download.headers["Content-Type"] == "image/png"

    view = await caller.get(f"{PATH}/{file['$id']}/view")
    assert (view.status, view.raw) == (200, LOGO)
    assert view.headers["Content-Type"] == "image/png"


async def test_e2e_update_file(caller: Client) -> None:
    file = await make(caller, LOGO, "logo.png", read=["*"], write=["*"])
    role = f"user:{caller.user['$id']}" if caller.user else OTHER
    answer = await caller.put(f"{PATH}/{file['$id']}", {"read": [role], "write": [role]})
    assert answer.status == 200
    assert answer.body == {**file, "$permissions": {"read": [role], "write": [role]}}
    assert (await caller.get(f"{PATH}/{file['$id']}")).body == answer.body


async def test_e2e_delete_file(caller: Client) -> None:
    file = await make(caller, LOGO, "logo.png", read=["*"], write=["*"])
    answer = await caller.delete(f"{PATH}/{file['$id']}")
    assert (answer.status, answer.raw) == (204, b"")
    assert "json" not in answer.headers["Content-Type"]
    for method, path in (("GET", ""), ("GET", "/view"), ("GET", "/download"), ("PUT", ""), ("DELETE", "")):
        assert outcome(await caller.call(method, f"{PATH}/{file['$id']}{path}")) == NOT_FOUND


async def test_the_python_sdk_uploads_and_reads(world: World, tmp_path: Path) -> None:
    key = await world.key("files.read", "files.write")
    client = SdkClient()
    client.set_endpoint(world.endpoint).set_project(world.project).set_key(key.headers["X-Appwrite-Key"])
    storage = Storage(client)
    path = tmp_path / "logo.png"
    path.write_bytes(LOGO)

    def use() -> None:
        with path.open("rb") as content:
            file = storage.create_file(content, ["*"], ["role:member"])
        assert (file["name"], file["mimeType"], file["sizeOriginal"]) == ("logo.png", "image/png", 47_218)
        assert file["$permissions"] == {"read": ["*"], "write": ["role:member"]}
        assert storage.get_file(file["$id"]) == file
        assert storage.get_file_download(file["$id"]) == LOGO
        assert storage.get_file_view(file["$id"]) == LOGO
        assert storage.list_files("logo", 10, 0, "DESC") == {"sum": 1, "files": [file]}
        changed = storage.update_file(file["$id"], ["role:member"], [])
        assert changed["$permissions"] == {"read": ["role:member"], "write": []}
        assert storage.delete_file(file["$id"]) == b""
        with pytest.raises(AppwriteException) as gone:
            storage.get_file(file["$id"])
        assert gone.value.code == 404

    await asyncio.to_thread(use)


# Who may


@pytest.mark.parametrize("lists", [{}, {"read": ["*"]}, {"write": ["*"]}])
async def test_permissions_that_are_not_given(caller: Client, lists: dict[str, list[str]]) -> None:
    own = [f"user:{caller.user['$id']}"] if caller.user else []
    file = await make(caller, **lists)
    assert file["$permissions"] == {"read": own, "write": own, **lists}


async def test_an_update_replaces_both_lists(user: Client, key: Client) -> None:
    role = f"user:{user.user['$id']}"
    file = await make(user, read=["*"])
    path = f"{PATH}/{file['$id']}"
    assert (await user.put(path, {"write": [role]}))["$permissions"] == {"read": [], "write": [role]}
    assert outcome(await user.get(path)) == NOT_FOUND
    for body in ({}, {"read": None, "write": ""}, {"read": [], "write": []}):
        assert (await key.put(path, body))["$permissions"] == {"read": [], "write": []}
    assert (await key.put(path, {"read": {"0": "a", "1": "b"}}))["$permissions"]["read"] == ["a", "b"]


@pytest.mark.parametrize("body", [{}, {"read": ["*"]}, {"read": ["*"], "write": []}, {"write": [OTHER]}])
async def test_a_user_cannot_take_its_own_right_to_write(user: Client, body: dict[str, Any]) -> None:
    file = await make(user)
    assert outcome(await user.put(f"{PATH}/{file['$id']}", body)) == NOT_ALLOWED
    assert (await user.get(f"{PATH}/{file['$id']}")).body == file


async def test_what_another_user_may_read_it_may_not_change(world: World, user: Client) -> None:
    stranger = await world.sign_up("bob@example.com")
    file = await make(user, read=["role:member"])
    path = f"{PATH}/{file['$id']}"
    assert (await stranger.get(path)).body == file
    assert outcome(await stranger.put(path, {"read": ["*"], "write": ["*"]})) == NOT_ALLOWED
    assert outcome(await stranger.delete(path)) == NOT_ALLOWED
    assert (await user.get(f"{path}/download")).raw == b"hello"


async def test_what_another_user_may_not_read_does_not_exist_for_it(world: World, user: Client) -> None:
    stranger = await world.sign_up("bob@example.com")
    file = await make(user, write=[f"user:{user.user['$id']}", "*"])
    for method, path in (("GET", ""), ("GET", "/view"), ("GET", "/download"), ("PUT", ""), ("DELETE", "")):
        answer = await stranger.call(method, f"{PATH}/{file['$id']}{path}")
        unknown = await stranger.call(method, f"{PATH}/61d5c1a2b3c4d{path}")
        assert outcome(answer) == NOT_FOUND
        assert answer.body == unknown.body


async def test_guests_read_what_everybody_may_and_write_nothing(world: World, user: Client) -> None:
    guest = world.guest
    public = await make(user, read=["*"], write=["*"])
    private = await make(user, read=["role:member"])
    assert (await guest.get(f"{PATH}/{public['$id']}")).body == public
    assert (await guest.get(f"{PATH}/{public['$id']}/view")).raw == b"hello"
    assert outcome(await guest.get(f"{PATH}/{private['$id']}/download")) == NOT_FOUND
    assert (await guest.get(PATH)).body == {"sum": 1, "files": [public]}
    assert outcome(await guest.put(f"{PATH}/{public['$id']}", {"read": "*"})) == NO_SCOPE
    assert outcome(await guest.delete(f"{PATH}/{public['$id']}")) == NO_SCOPE
    assert outcome(await upload(guest)) == NO_SCOPE


async def test_keys_need_the_scope(world: World, user: Client) -> None:
    file = await make(user)
    path = f"{PATH}/{file['$id']}"
    reading, writing = await world.key("files.read"), await world.key("files.write")
    for each in (PATH, path, f"{path}/view", f"{path}/download"):
        assert (await reading.get(each)).status == 200
        assert outcome(await writing.get(each)) == NO_SCOPE
    assert outcome(await upload(reading)) == NO_SCOPE
    assert outcome(await reading.put(path, {})) == NO_SCOPE
    assert outcome(await reading.delete(path)) == NO_SCOPE
    assert (await upload(writing)).status == 201
    assert (await writing.put(path, {"read": ["*"]})).status == 200
    assert (await writing.delete(path)).status == 204


async def test_files_belong_to_one_project(world: World, key: Client) -> None:
    file = await make(key, read=["*"], write=["*"])
    await world.backend.services.projects.create("second")
    second = await World(world.server, world.http, "second").key()
    assert outcome(await second.get(f"{PATH}/{file['$id']}")) == NOT_FOUND
    assert outcome(await second.delete(f"{PATH}/{file['$id']}")) == NOT_FOUND
    assert (await second.get(PATH)).body == {"sum": 0, "files": []}


@pytest.mark.parametrize("headers", [{}, {"X-Appwrite-Project": "unknown"}])
async def test_a_project_is_needed(world: World, headers: dict[str, str]) -> None:
    answer = await Client(world.http, world.endpoint, headers).get(PATH)
    assert outcome(answer) == (400, "project_unknown")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
async def test_ids_have_at_most_32_characters(key: Client, method: str) -> None:
    assert outcome(await key.call(method, f"{PATH}/{'a' * 33}")) == INVALID
    assert outcome(await key.call(method, f"{PATH}/{'a' * 32}")) == NOT_FOUND
    if method == "GET":
        for kind in ("view", "download"):
            assert outcome(await key.get(f"{PATH}/{'a' * 33}/{kind}")) == INVALID


@pytest.mark.parametrize(
    "body",
    [{"read": "*"}, {"write": "*"}, {"read": [1]}, {"read": ["x" * 65]}, {"write": ["*", "x" * 65]}, {"read": 5}],
)
async def test_lists_of_roles_that_are_none(key: Client, body: dict[str, Any]) -> None:
    file = await make(key, read=["*"])
    assert outcome(await key.put(f"{PATH}/{file['$id']}", body)) == INVALID
    assert (await key.get(f"{PATH}/{file['$id']}")).body == file


# Lists


async def test_pages_of_what_the_caller_may_read(world: World, user: Client, key: Client) -> None:
    made = [await make(key, name=f"{n}.txt", read=["*"] if n % 2 else []) for n in range(6)]
    visible = made[1::2]
    assert (await user.get(PATH)).body == {"sum": 3, "files": visible}
    assert (await key.get(PATH)).body == {"sum": 6, "files": made}
    assert (await user.get(PATH, params={"limit": "1", "offset": "1"})).body == {"sum": 3, "files": visible[1:2]}
    assert (await user.get(PATH, params={"orderType": "DESC"})).body == {"sum": 3, "files": visible[::-1]}
    assert (await user.get(PATH, params={"limit": "0"})).body == {"sum": 3, "files": []}
    assert (await user.get(PATH, params={"offset": "2000"})).body == {"sum": 3, "files": []}
    assert (await (await administrator(world)).get(PATH))["sum"] == 6
    assert (await world.guest.get(PATH, params={"limit": "", "search": "", "orderType": ""}))["sum"] == 3


async def test_a_page_has_25_files_unless_told_otherwise(key: Client) -> None:
    await asyncio.gather(*(make(key) for _ in range(26)))
    answer = await key.get(PATH)
    assert (answer["sum"], len(answer["files"])) == (26, 25)
    assert len((await key.get(PATH, params={"limit": "100"}))["files"]) == 26


async def test_names_are_searched(key: Client) -> None:
    photo = await make(key, name="Summer photo.png")
    other = await make(key, name="winter-photo.jpeg")
    await make(key, name="notes.txt")
    assert (await key.get(PATH, params={"search": "photo"})).body == {"sum": 2, "files": [photo, other]}
    assert (await key.get(PATH, params={"search": "SUMMER"})).body == {"sum": 1, "files": [photo]}
    assert (await key.get(PATH, params={"search": "photo.png"}))["sum"] == 2
    assert (await key.get(PATH, params={"search": "nothing"})).body == {"sum": 0, "files": []}
    await key.delete(f"{PATH}/{photo['$id']}")
    assert (await key.get(PATH, params={"search": "photo"})).body == {"sum": 1, "files": [other]}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "1.5"},
        {"offset": "2001"},
        {"offset": "x"},
        {"orderType": "asc"},
        {"search": "x" * 257},
        {"search[]": "x"},
    ],
)
async def test_parameters_of_a_list_that_are_out_of_range(key: Client, params: dict[str, str]) -> None:
    assert outcome(await key.get(PATH, params=params)) == INVALID


# Content


async def test_headers_of_a_download(user: Client) -> None:
    file = await make(user, b"<html></html>", "page.html")
    answer = await user.get(f"{PATH}/{file['$id']}/download", headers={"Origin": "http://localhost:3000"})
    headers = answer.headers
    assert headers["Content-Type"] == "text/html"
    assert headers["Content-Disposition"] == 'attachment; filename="page.html"'
    assert headers["Content-Length"] == "13"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["ETag"] == f'"{file["signature"]}"'
    assert headers["Accept-Ranges"] == "bytes"
    assert "Content-Security-Policy" not in headers
    assert int(headers["X-Peak"]) > 1_000_000
    expires = email.utils.parsedate_to_datetime(headers["Expires"])
    assert headers["Expires"] == email.utils.format_datetime(expires, usegmt=True)
    assert abs((expires - datetime.now(UTC)).total_seconds() - 45 * DAY) < 60
    modified = email.utils.parsedate_to_datetime(headers["Last-Modified"])
    assert int(modified.timestamp()) == file["dateCreated"]


OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500


@pytest.mark.parametrize(
    ("content", "name", "stored", "shown"),
    [
        (LOGO, "logo.png", "image/png", "image/png"),
        (b"GIF89a" + b"\0" * 20, "a.gif", "image/gif", "image/gif"),
        (b"%PDF-1.4\n", "a.pdf", "application/pdf", "application/pdf"),
        (OFFICE, "a.doc", "application/msword", "application/msword"),
        (b"<!doctype html><script>1</script>", "a.html", "text/html", "text/plain"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a.svg", "image/svg+xml", "text/plain"),
        (b'{"a": 1}', "a.json", "application/json", "text/plain"),
        (b"hello", "hello.txt", "text/plain", "text/plain"),
        (b"\0\1\2\3", "a.bin", "application/octet-stream", "text/plain"),
        (b"", "empty", "application/x-empty", "text/plain"),
    ],
)
async def test_a_view_shows_only_what_runs_no_scripts(
    user: Client, content: bytes, name: str, stored: str, shown: str
) -> None:
    file = await make(user, content, name)
    assert file["mimeType"] == stored
    answer = await user.get(f"{PATH}/{file['$id']}/view")
    headers = answer.headers
    assert (answer.status, answer.raw) == (200, content)
    assert headers["Content-Type"] == shown
    assert headers["Content-Disposition"] == f'inline; filename="{name}"'
    policy = [directive.strip() for directive in headers["Content-Security-Policy"].split(";")]
    assert policy == ["script-src none", "" if shown == "application/pdf" else "sandbox"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert int(headers["X-Peak"]) > 1_000_000
    assert (await user.get(f"{PATH}/{file['$id']}/download")).headers["Content-Type"] == stored


def test_nothing_that_runs_scripts_is_viewable() -> None:
    assert len(VIEWABLE) == 44
    assert not {kind for kind in VIEWABLE if kind.startswith("text/") or "xml+" in kind or "svg" in kind}


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a b;c.png", 'attachment; filename="a b;c.png"'),
        ('say "hi".txt', "attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("größe.txt", "attachment; filename=\"gro_e.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"),
    ],
)
async def test_names_in_headers(user: Client, name: str, disposition: str) -> None:
    data = (
        b'--XXXX\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.replace('"', "%22").encode()
        + b'"\r\n\r\nhello\r\n--XXXX--\r\n'
    )
    answer = await user.post(PATH, data=data, headers={"Content-Type": "multipart/form-data; boundary=XXXX"})
    assert answer["name"] == name
    download = await user.get(f"{PATH}/{answer['$id']}/download")
    assert download.headers["Content-Disposition"] == disposition


async def test_a_shared_cache_may_keep_only_what_everybody_may_read(user: Client) -> None:
    private, public = await make(user, read=["role:member"]), await make(user, read=["role:member", "*"])
    for kind in ("view", "download"):
        assert (await user.get(f"{PATH}/{private['$id']}/{kind}")).headers["Cache-Control"] == "private"
        assert "Cache-Control" not in (await user.get(f"{PATH}/{public['$id']}/{kind}")).headers


@pytest.mark.parametrize("kind", ["view", "download"])
async def test_parts_and_copies_of_the_content(user: Client, kind: str) -> None:
    content = bytes(range(256)) * 1_000
    file = await make(user, content, "x.bin")
    path = f"{PATH}/{file['$id']}/{kind}"
    middle = await user.get(path, headers={"Range": "bytes=100-299"})
    assert (middle.status, middle.raw) == (206, content[100:300])
    assert middle.headers["Content-Range"] == f"bytes 100-299/{len(content)}"
    known = await user.get(path, headers={"If-None-Match": f'"{file["signature"]}"'})
    assert (known.status, known.raw) == (304, b"")
    beyond = await user.get(path, headers={"Range": "bytes=999999-", "Origin": "http://localhost"})
    assert (beyond.status, beyond.raw) == (416, b"")
    for answer in (middle, known, beyond):
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = await user.call("HEAD", path)
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["Content-Length"] == str(len(content))


async def test_a_link_needs_nothing_but_the_project_and_the_cookie(world: World, user: Client) -> None:
    file = await make(user, LOGO, "logo.png")
    browser = Client(world.http, world.endpoint, {"Cookie": user.headers["Cookie"], "Accept": "image/png,*/*;q=0.8"})
    for kind in ("view", "download"):
        path = f"{PATH}/{file['$id']}/{kind}"
        answer = await browser.get(path, params={"project": world.project})
        assert (answer.status, answer.raw) == (200, LOGO)
        assert (await browser.get(path)).status == 400
        stranger = Client(world.http, world.endpoint)
        assert outcome(await stranger.get(path, params={"project": world.project})) == NOT_FOUND


async def test_a_body_of_a_get_is_ignored(user: Client) -> None:
    file = await make(user, read=["*"])
    for path in (PATH, f"{PATH}/{file['$id']}", f"{PATH}/{file['$id']}/view"):
        for body in (b"null", b"{}", b"{broken"):
            answer = await user.get(path, data=body, headers={"Content-Type": "application/json"})
            assert answer.status == 200


async def test_missing_content_is_a_missing_file(world: World, user: Client) -> None:
    file = await make(user)
    stored = await world.backend.db.read(file_rows.get(world.project, "default", file["$id"]))
    await world.backend.blobs.remove(stored.blob_key)
    for kind in ("view", "download"):
        assert outcome(await user.get(f"{PATH}/{file['$id']}/{kind}")) == NOT_FOUND
    assert (await user.get(f"{PATH}/{file['$id']}")).status == 200
    assert (await user.delete(f"{PATH}/{file['$id']}")).status == 204


async def test_content_that_vanishes_while_it_is_opened(
    world: World, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await make(user)
    path_of: Callable[[str], Awaitable[Path]] = world.backend.blobs.path

    async def path(key: str) -> Path:
        found = await path_of(key)
        await world.backend.blobs.remove(key)
        return found

    monkeypatch.setattr(world.backend.blobs, "path", path)
    assert outcome(await user.get(f"{PATH}/{file['$id']}/download")) == NOT_FOUND


async def test_errors_of_content_are_not_kept_by_caches(user: Client) -> None:
    answer = await user.get(f"{PATH}/61d5c1a2b3c4d/view")
    assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"


# Events


async def test_events_of_a_file(user: Client, events: list[Event], world: World) -> None:
    file = await make(user, read=["*"])
    path = f"{PATH}/{file['$id']}"
    changed = (await user.put(path, {"read": ["role:member"], "write": ["role:member"]})).body
    await user.delete(path)
    await user.get(PATH)
    rendered = [Renderer().render(event) for event in events if event.resource == "file"]
    assert [(each.name, each.user_id) for each in rendered] == [
        ("storage.files.create", user.user["$id"]),
        ("storage.files.update", user.user["$id"]),
        ("storage.files.delete", user.user["$id"]),
    ]
    assert [each.payload for each in rendered] == [orjson.dumps(body).decode() for body in (file, changed, changed)]
    assert {each.channels for each in rendered} == {("files", f"files.{file['$id']}")}
    assert [each.roles for each in rendered] == [("*",), ("role:member",), ("role:member",)]


async def test_refused_calls_cause_no_event(world: World, user: Client, events: list[Event]) -> None:
    file = await make(user, read=["*"])
    stranger = await world.sign_up("bob@example.com")
    events.clear()
    await stranger.put(f"{PATH}/{file['$id']}", {"read": ["*"], "write": ["*"]})
    await stranger.delete(f"{PATH}/{file['$id']}")
    await world.guest.delete(f"{PATH}/{file['$id']}")
    await upload(user, write=[OTHER])
    assert events == []


async def test_calls_of_a_key_have_no_user(key: Client, events: list[Event]) -> None:
    await make(key)
    assert [event.actor.user_id for event in events if event.resource == "file"] == [""]
