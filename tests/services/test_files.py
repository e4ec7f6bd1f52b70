"""Files without HTTP: what is stored when, what is left when something breaks off, and the sweep."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from litewrite.blobs.base import BlobSpaceExhausted
from litewrite.blobs.local import LocalBlobStore
from litewrite.db import files as file_rows
from litewrite.db import removals
from litewrite.db.engine import Transaction
from litewrite.db.files import FileStore
from litewrite.db.query import Query
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import EPOCH, File, Permissions, User
from litewrite.errors import (
    DatabaseUnavailable,
    FileMissing,
    FileNotFound,
    FileTooLarge,
    LitewriteError,
    Overloaded,
    ProjectNotFound,
    StorageFull,
    Unauthorized,
)
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind, user_roles
from litewrite.services import blob_sweep
from litewrite.services.blob_sweep import sweep, sweeping
from litewrite.services.files import BLOB_KIND, BUCKET, Files, Upload
from litewrite.services.projects import ensure_project

PROJECT = "shop"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


def a_user(id: str) -> Actor:
    user = User(id, PROJECT, "Ada", "ada@example.com", registered_at=EPOCH)
    return Actor(ActorKind.USER, PROJECT, roles=user_roles(id, [("x", ("owner",))]), user=user, user_agent="test")


ADA = a_user("61d5c1a2b3c00")
BOB = a_user("61d5c1a2b3c01")
KEY = Actor(ActorKind.KEY, PROJECT)
GUEST = Actor(ActorKind.GUEST, PROJECT)
ADMIN = Actor(ActorKind.ADMIN, PROJECT, admin_id="61d5c1a2b3c99")
ADA_ALONE = (f"user:{ADA.user_id}",)


@dataclass
class Place:
    """The service with its database and blobs, and what can be seen of them from outside."""

    db: SqliteDatabase
    blobs: LocalBlobStore
    folder: Path
    files: Files
    events: list[Event] = field(default_factory=list)

    async def upload(self, content: bytes = PNG, name: str = "photo.png") -> Upload:
        writer = await self.files.begin_upload()
        await writer.write(content)
        return Upload(name, writer)

    async def create(self, actor: Actor = KEY, content: bytes = PNG, **given: Any) -> File:
        return await self.files.create(actor, await self.upload(content), **given)

    async def keys(self) -> list[str]:
        return sorted([key async for key in self.blobs.keys()])  # noqa: SIM118

    async def total(self) -> int:
        return (await self.files.list(KEY, limit=0)).total

    def temporary(self) -> list[Path]:
        return list((self.folder / ".temporary").iterdir())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with (
        SqliteDatabase(tmp_path / "data.db", durability="normal", queue_limit=2) as db,
        LocalBlobStore(tmp_path / "blobs") as blobs,
    ):
        await db.write(ensure_project(PROJECT))
        files = Files(db, blobs)
        made = Place(db, blobs, tmp_path / "blobs", files)
        db.on_events(made.events.extend)
        yield made
        await files.close()


class Gate:
    """A unit that holds the writer until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, tx: Transaction) -> None:
        self.entered.set()
        assert self.opened.wait(10)

    async def hold(self, db: SqliteDatabase) -> asyncio.Task[None]:
        task = asyncio.create_task(db.write(self))
        await asyncio.to_thread(self.entered.wait, 10)
        return task


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


# Creating


async def test_content_and_row_are_stored(place: Place) -> None:
    file = await place.files.create(ADA, await place.upload(), read=["*"])
    assert file.name == "photo.png"
    assert file.mime_type == "image/png"
    assert file.size == len(PNG)
    assert file.signature == hashlib.md5(PNG, usedforsecurity=False).hexdigest()
    assert file.bucket_id == BUCKET
    assert file.permissions == Permissions(("*",), ADA_ALONE)
    assert await place.files.get(ADA, file.id) == file
    found, path = await place.files.content(ADA, file.id)
    assert found == file
    assert await asyncio.to_thread(path.read_bytes) == PNG
    assert file.blob_key.startswith(f"{BLOB_KIND}/{PROJECT}/")
    assert file.id not in file.blob_key


@pytest.mark.parametrize(
    ("actor", "given", "expected"),
    [
        (ADA, {}, Permissions(ADA_ALONE, ADA_ALONE)),
        (ADA, {"read": []}, Permissions((), ADA_ALONE)),
        (ADA, {"write": ["role:member"]}, Permissions(ADA_ALONE, ("role:member",))),
        (ADA, {"write": ["team:x/owner", "a", "a"]}, Permissions(ADA_ALONE, ("team:x/owner", "a", "a"))),
        (KEY, {}, Permissions()),
        (KEY, {"read": ["*"], "write": ["user:a"]}, Permissions(("*",), ("user:a",))),
        (ADMIN, {}, Permissions((f"user:{ADMIN.user_id}",), (f"user:{ADMIN.user_id}",))),
    ],
)
async def test_permissions_of_a_new_file(
    place: Place, actor: Actor, given: dict[str, list[str]], expected: Permissions
) -> None:
    assert (await place.create(actor, **given)).permissions == expected


async def test_equal_bytes_are_stored_as_often_as_they_are_uploaded(place: Place) -> None:
    first, second = await place.create(), await place.create()
    assert first.signature == second.signature
    assert await place.keys() == sorted((first.blob_key, second.blob_key))


async def test_uploads_at_the_same_time_do_not_meet(place: Place) -> None:
    contents = [bytes([n]) * 300_000 for n in range(8)]
    limit = asyncio.Semaphore(2)

    async def create(content: bytes) -> File:
        upload = await place.upload(content)
        async with limit:
            return await place.files.create(KEY, upload)

    made = await asyncio.gather(*map(create, contents))
    for file, content in zip(made, contents, strict=True):
        _, path = await place.files.content(KEY, file.id)
        assert await asyncio.to_thread(path.read_bytes) == content
    assert await place.total() == 8


@pytest.mark.parametrize(
    ("actor", "given"),
    [(ADA, {"write": []}), (ADA, {"write": ["user:other"]}), (GUEST, {}), (GUEST, {"write": ["role:member"]})],
)
async def test_a_user_must_not_lock_itself_out(place: Place, actor: Actor, given: dict[str, list[str]]) -> None:
    upload = await place.upload(b"x" * 300_000)
    await until(place.temporary)
    with pytest.raises(Unauthorized):
        await place.files.create(actor, upload, **given)
    await upload.writer.abort()
    assert (place.temporary(), await place.keys(), await place.total()) == ([], [], 0)


async def test_no_file_and_one_that_is_too_large(place: Place) -> None:
    with pytest.raises(FileMissing):
        await place.files.create(KEY, None)
    upload = await place.upload()
    upload.too_large = True
    with pytest.raises(FileTooLarge):
        await place.files.create(KEY, upload)
    await upload.writer.abort()
    assert (await place.keys(), await place.total()) == ([], 0)


async def test_an_upload_does_not_outlive_its_project(place: Place) -> None:
    upload = await place.upload()
    await place.db.write(lambda tx: tx.stores.projects.delete(tx, PROJECT))
    with pytest.raises(ProjectNotFound):
        await place.files.create(ADA, upload)
    await place.files.close()
    assert (await place.keys(), await place.total()) == ([], 0)


async def test_a_full_disk_stores_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = await place.upload()

    async def finish(key: str) -> None:
        raise BlobSpaceExhausted("full")

    monkeypatch.setattr(upload.writer, "finish", finish)
    with pytest.raises(StorageFull):
        await place.files.create(KEY, upload)
    assert await place.total() == 0


# What breaks off


async def test_the_blob_goes_when_its_row_cannot_be_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def insert(self: FileStore, tx: Transaction, file: File) -> None:
        seen.append(file.blob_key)
        raise DatabaseUnavailable

    monkeypatch.setattr(FileStore, "insert", insert)
    with pytest.raises(DatabaseUnavailable):
        await place.create()
    await place.files.close()
    assert len(seen) == 1
    assert (await place.keys(), await place.total(), place.events) == ([], 0, [])


async def test_the_blob_goes_when_the_server_has_too_much_to_do(place: Place) -> None:
    gate = Gate()
    held = await gate.hold(place.db)
    waiting = [asyncio.create_task(place.db.write(lambda tx: None)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await place.create()
    gate.opened.set()
    await asyncio.gather(held, *waiting)
    await place.files.close()
    assert (await place.keys(), await place.total()) == ([], 0)


async def test_the_blob_goes_when_the_caller_leaves_before_its_turn(place: Place) -> None:
    gate = Gate()
    held = await gate.hold(place.db)
    creating = asyncio.create_task(place.create())
    await until(lambda: place.db.statistics().queue_length == 1)
    assert len(await place.keys()) == 1
    creating.cancel()
    gate.opened.set()
    await asyncio.gather(held, creating, return_exceptions=True)
    assert creating.cancelled()
    await place.db.write(lambda tx: None)
    await place.files.close()
    assert (await place.keys(), await place.total()) == ([], 0)


async def test_a_file_stays_when_the_caller_leaves_too_late(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    insert = FileStore.insert

    def slow_insert(self: FileStore, tx: Transaction, file: File) -> None:
        gate(tx)
        insert(self, tx, file)

    monkeypatch.setattr(FileStore, "insert", slow_insert)
    creating = asyncio.create_task(place.create())
    await asyncio.to_thread(gate.entered.wait, 10)
    creating.cancel()
    gate.opened.set()
    await asyncio.wait((creating,))
    await place.db.write(lambda tx: None)
    page = await place.files.list(KEY)
    assert page.total == 1
    assert await place.keys() == [page.items[0].blob_key]
    assert [event.action for event in place.events] == ["create"]


async def test_a_blob_that_cannot_be_removed_is_left_to_the_sweep(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def remove(key: str) -> None:
        raise PermissionError(key)

    def insert(self: FileStore, tx: Transaction, file: File) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "insert", insert)
        patched.setattr(place.blobs, "remove", remove)
        with pytest.raises(DatabaseUnavailable):
            await place.create()
        await place.files.close()
    assert "could not be removed before the next start" in caplog.text
    assert len(await place.keys()) == 1
    assert await sweep(place.db, place.blobs, min_age=0) == (0, 1)
    assert await place.keys() == []


async def test_after_closing_a_blob_is_left_to_the_sweep(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def insert(self: FileStore, tx: Transaction, file: File) -> None:
        raise DatabaseUnavailable

    await place.files.close()
    monkeypatch.setattr(FileStore, "insert", insert)
    with pytest.raises(DatabaseUnavailable):
        await place.create()
    assert await sweep(place.db, place.blobs, min_age=0) == (0, 1)


# Reading, changing, deleting

READERS = Permissions(("role:member",), ADA_ALONE)


@pytest.mark.parametrize(
    ("actor", "permissions", "reads", "writes"),
    [
        (ADA, READERS, None, None),
        (BOB, READERS, None, Unauthorized),
        (GUEST, READERS, FileNotFound, FileNotFound),
        (GUEST, Permissions(("*",), ADA_ALONE), None, Unauthorized),
        (BOB, Permissions((), ("role:member",)), FileNotFound, FileNotFound),
        (KEY, Permissions(), None, None),
        (ADMIN, Permissions(), None, None),
    ],
)
async def test_who_may_do_what(
    place: Place,
    actor: Actor,
    permissions: Permissions,
    reads: type[LitewriteError] | None,
    writes: type[LitewriteError] | None,
) -> None:
    file = await place.create(KEY, read=permissions.read, write=permissions.write)
    place.events.clear()

    async def outcome(call: Any) -> type[BaseException] | None:
        try:
            await call
        except LitewriteError as error:
            return type(error)
        return None

    assert await outcome(place.files.get(actor, file.id)) is reads
    assert await outcome(place.files.content(actor, file.id)) is reads
    assert await outcome(place.files.update(actor, file.id, read=["*"], write=["*"])) is writes
    if writes is not None:
        assert await outcome(place.files.delete(actor, file.id)) is writes
        assert await place.files.get(KEY, file.id) == file
        assert place.events == []
        assert await place.keys() == [file.blob_key]
    else:
        assert await outcome(place.files.delete(actor, file.id)) is None
        assert await place.total() == 0
        assert [event.action for event in place.events] == ["update", "delete"]


async def test_an_update_must_leave_the_user_its_right_to_write(place: Place) -> None:
    file = await place.create(ADA)
    for write in ([], ["user:other"]):
        with pytest.raises(Unauthorized):
            await place.files.update(ADA, file.id, read=["*"], write=write)
    assert await place.files.get(ADA, file.id) == file
    changed = await place.files.update(ADA, file.id, read=[], write=["role:member"])
    assert changed.permissions == Permissions((), ("role:member",))
    with pytest.raises(FileNotFound):
        await place.files.get(ADA, file.id)


async def test_files_of_another_project_do_not_exist(place: Place) -> None:
    file = await place.create(read=["*"], write=["*"])
    stranger = Actor(ActorKind.KEY, "other")
    for call in (
        place.files.get(stranger, file.id),
        place.files.content(stranger, file.id),
        place.files.update(stranger, file.id, read=[], write=[]),
        place.files.delete(stranger, file.id),
    ):
        with pytest.raises(FileNotFound):
            await call
    assert (await place.files.list(stranger)).total == 0


async def test_a_deleted_file_leaves_its_blob_to_the_cleanup(place: Place) -> None:
    file = await place.create()
    await place.files.delete(KEY, file.id)
    removal = await place.db.read(removals.oldest())
    assert removal is not None
    assert (removal.kind, removal.key) == ("blob", file.blob_key)
    assert await place.keys() == [file.blob_key]
    with pytest.raises(FileNotFound):
        await place.files.delete(KEY, file.id)


async def test_missing_content_looks_like_a_missing_file(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    file = await place.create()
    await place.blobs.remove(file.blob_key)
    with pytest.raises(FileNotFound):
        await place.files.content(KEY, file.id)
    assert f"the content of file {file.id}" in caplog.text
    await place.files.delete(KEY, file.id)
    assert await place.total() == 0


async def test_pages_show_what_the_caller_may_read(place: Place) -> None:
    for read in (["*"], ["role:member"], ["role:guest"], [], list(ADA_ALONE), ["team:x"], ["user:other"]):
        await place.create(KEY, read=read)
    assert (await place.files.list(ADA)).total == 4
    assert (await place.files.list(BOB)).total == 3
    assert (await place.files.list(GUEST)).total == 2
    assert (await place.files.list(KEY)).total == 7
    assert (await place.files.list(ADMIN)).total == 7


AUDIT: Query[list[tuple[Any, ...]]] = Query("SELECT user_id, event, resource, data FROM audit ORDER BY id", (), list)


async def test_events_and_the_log_tell_what_happened(place: Place) -> None:
    file = await place.create(ADA)
    changed = await place.files.update(ADA, file.id, read=["*"], write=["*"])
    await place.files.delete(KEY, file.id)
    assert [(event.resource, event.action, event.subject, event.actor) for event in place.events] == [
        ("file", "create", file, ADA),
        ("file", "update", changed, ADA),
        ("file", "delete", changed, KEY),
    ]
    resource = f"storage/files/{file.id}"
    assert await place.db.read(AUDIT) == [
        (ADA.user_id, "storage.files.create", resource, ""),
        (ADA.user_id, "storage.files.update", resource, ""),
        ("", "storage.files.delete", resource, ""),
    ]


# The sweep


async def orphan(place: Place, key: str) -> str:
    async with await place.blobs.writer() as writer:
        await writer.write(b"x")
        await writer.finish(key)
    return key


async def test_the_sweep_removes_what_nothing_names(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_sweep, "BATCH", 2)
    kept = [(await place.create()).blob_key for _ in range(3)]
    kept.append(await orphan(place, f"other/{PROJECT}/a"))
    for n in range(5):
        await orphan(place, f"{BLOB_KIND}/{PROJECT}/orphan{n}")
    (place.folder / ".temporary" / "left").write_bytes(b"x")
    upload = await place.upload(b"x" * 300_000)
    assert await sweep(place.db, place.blobs, min_age=0) == (1, 5)
    assert await place.keys() == sorted(kept)
    await place.files.create(KEY, upload)
    assert await sweep(place.db, place.blobs, min_age=0) == (0, 0)


async def test_the_sweep_spares_what_is_young(place: Place) -> None:
    key = await orphan(place, f"{BLOB_KIND}/{PROJECT}/young")
    assert await sweep(place.db, place.blobs) == (0, 0)
    assert await place.keys() == [key]
    await asyncio.sleep(0.05)
    assert await sweep(place.db, place.blobs, min_age=0.02) == (0, 1)


async def test_the_sweep_asks_other_owners_about_their_kind(place: Place) -> None:
    key = await orphan(place, f"code/{PROJECT}/a")
    file = await place.create()
    named: Query[frozenset[str]] = Query("SELECT 1 WHERE 0", (), lambda rows: frozenset())
    asked: list[list[str]] = []

    def owned(keys: Any) -> Query[frozenset[str]]:
        asked.append(list(keys))
        return named

    owners = {"code": owned, BLOB_KIND: file_rows.with_blobs}
    assert await sweep(place.db, place.blobs, owners, min_age=0) == (0, 1)
    assert asked == [[key]]
    assert await place.keys() == [file.blob_key]


async def test_the_sweep_runs_in_the_background(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (place.folder / ".temporary" / "left").write_bytes(b"x")
    async with sweeping(place.db, place.blobs):
        await until(lambda: "removed 1 unfinished uploads and 0 blobs" in caplog.text)
    assert place.temporary() == []


async def test_the_sweep_ends_with_the_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()
    ended = []

    async def sweep_temporary() -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return 0

    monkeypatch.setattr(place.blobs, "sweep_temporary", sweep_temporary)
    async with asyncio.timeout(5), sweeping(place.db, place.blobs):
        await begun.wait()
    assert ended == [True]


async def test_a_sweep_that_fails_hinders_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def sweep_temporary() -> int:
        raise PermissionError("the folder")

    monkeypatch.setattr(place.blobs, "sweep_temporary", sweep_temporary)
    async with sweeping(place.db, place.blobs):
        await until(lambda: "could not all be removed" in caplog.text)
        await place.create()
    assert await place.total() == 1
