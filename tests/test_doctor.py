"""What doctor finds, on folders nobody has open and on those of a running server."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from litewrite import Config, Litewrite, doctor
from litewrite.data_folder import DataFolder
from litewrite.db.engine import Transaction
from litewrite.db.fields import Kind
from litewrite.db.ids import pack
from litewrite.doctor import examine, is_sound
from litewrite.folder_lock import FolderLock, Holder
from litewrite.permissions import Actor, ActorKind

posix = pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")


def finding(report: dict[str, Any], subject: str) -> dict[str, Any]:
    found = [item for item in report["findings"] if item["subject"] == subject]
    assert len(found) == 1, report
    return dict(found[0])


def problems(report: dict[str, Any]) -> list[str]:
    found = [item for item in report["findings"] if item["state"] == "problem"]
    assert all(item["advice"] for item in found), found
    assert is_sound(report) == (not found)
    return [f"{item['subject']}: {item['text']}" for item in found]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
async def used(config: Config) -> Config:
    """A folder that a server has used and closed."""
    async with Litewrite(config):
        pass
    return config


async def test_a_folder_that_does_not_exist(config: Config) -> None:
    report = await examine(config)
    assert problems(report) == []
    assert "does not exist yet" in finding(report, "folder")["text"]
    assert not config.data_dir.exists()


async def test_a_file_in_place_of_the_folder(config: Config) -> None:
    config.data_dir.write_text("")
    assert problems(await examine(config)) == [f"folder: {config.data_dir} is no folder"]


async def test_a_sound_folder_is_left_as_it_is(used: Config) -> None:
    before = contents(used.data_dir)
    report = await examine(used)
    assert problems(report) == []
    assert contents(used.data_dir) == before
    assert finding(report, "database")["text"] == "sound"
    assert finding(report, "schema")["state"] == "ok"
    assert finding(report, "sizes")["text"].startswith("database ")
    assert "free" in finding(report, "disk")["text"]
    assert finding(report, "SQLite")["text"].startswith(sqlite3.sqlite_version)


async def test_a_running_server_finds_the_same(used: Config) -> None:
    stopped = await examine(used)
    async with Litewrite(used):
        running = await examine(used)
    assert problems(running) == []
    changing = ("sizes", "disk", "permissions", "server")
    assert [item for item in running["findings"] if item["subject"] not in changing] == [
        item for item in stopped["findings"] if item["subject"] not in changing
    ]
    assert f"process {os.getpid()}" in finding(running, "server")["text"]


async def test_indexed_fields(config: Config) -> None:
    async with Litewrite(config) as server:
        backend: Any = server.backend
        actor = Actor(kind=ActorKind.KEY, project_id=config.project)
        made = [
            await backend.services.collections.create(actor, name=name, read=[], write=[], attributes=())
            for name in ("Movies", "Songs")
        ]

        def request(tx: Transaction) -> None:
            for collection, path, kind in (
                (made[0], ("title",), Kind.TEXT),
                (made[0], ("meta", "year"), Kind.NUMBER),
                (made[1], ("length",), Kind.INTEGER),
            ):
                fields = tx.stores.documents.fields
                fields.request(tx, pack(collection.id), path, kind, is_multiple=False, most=9)
            tx.stores.documents.fields.build_slice(tx, pack(made[0].id), 10)

        await backend.db.write(request)
        running = await doctor.examine_running(backend)
    report = await examine(config)
    assert problems(report) == problems(running) == []
    assert finding(report, "indexes") == finding(running, "indexes")
    assert finding(report, "indexes")["text"] == (
        f"3 indexed fields: Movies ({made[0].id}): title as text, meta.year as number; "
        f"Songs ({made[1].id}): length as integer (being built)"
    )


async def test_a_folder_that_a_killed_server_left(used: Config, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    async with Litewrite(used) as server:
        await server.backend.services.projects.create("shop")
        shutil.copytree(used.data_dir, copy)
    copy.chmod(0o700)
    before = contents(copy)
    assert before["litewrite.db-wal"][1]
    assert problems(await examine(Config(data_dir=copy))) == []
    after = contents(copy)
    # SQLite keeps its index of the log in the one, and the other named the server that was killed.
    for changing in ("litewrite.db-shm", "lock"):
        assert before.pop(changing) != after.pop(changing) or changing == "litewrite.db-shm"
    assert after == before


@posix
async def test_open_permissions(used: Config) -> None:
    folder = used.data_dir
    folder.chmod(0o755)
    (folder / "secret").chmod(0o640)
    (folder / "blobs" / "files").mkdir(mode=0o700)
    (folder / "blobs" / "files" / "x").touch(0o644)
    assert problems(await examine(used)) == [
        f"permissions: {folder} is open to other users (0755)",
        "permissions: 2 files or folders are open to other users, such as " + str(folder / "blobs/files/x"),
    ] or problems(await examine(used)) == [
        f"permissions: {folder} is open to other users (0755)",
        "permissions: 2 files or folders are open to other users, such as " + str(folder / "secret"),
    ]
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only the administrator can give files away")
async def test_files_of_another_user(used: Config) -> None:
    os.chown(used.data_dir / "secret", 12_345, -1)
    (found,) = problems(await examine(used))
    assert "1 files or folders belong to another user" in found


async def test_a_damaged_database(used: Config) -> None:
    file = used.data_dir / "litewrite.db"
    with file.open("r+b") as stream:
        for page in range(3, file.stat().st_size // 4096, 2):
            stream.seek(page * 4096)
            stream.write(os.urandom(512))
    (found,) = problems(await examine(used))
    assert found.startswith(f"database: {file} is damaged: ")


async def test_a_file_that_is_no_database(used: Config) -> None:
    file = used.data_dir / "litewrite.db"
    file.write_bytes(b"something else " * 1000)
    assert problems(await examine(used)) == [f"database: {file} is damaged: file is not a database"]
    file.unlink()
    sqlite3.connect(file).execute("CREATE TABLE t (x)").connection.close()
    file.chmod(0o600)
    assert problems(await examine(used)) == [f"database: {file} is damaged: the file is no database of litewrite"]


async def test_a_newer_database(used: Config) -> None:
    connection = sqlite3.connect(used.data_dir / "litewrite.db")
    with connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'later', 0)")
    connection.close()
    (found,) = problems(await examine(used))
    assert found.startswith("schema: version 9999, this litewrite knows versions up to ")


async def test_a_missing_secret(used: Config) -> None:
    (used.data_dir / "secret").unlink()
    assert problems(await examine(used)) == [
        "secret: the server secret that the database was written with is missing",
    ]
    assert problems(await examine(Config(data_dir=used.data_dir, secret="s" * 32))) == []


async def test_a_missing_database(used: Config) -> None:
    (used.data_dir / "litewrite.db").unlink()
    report = await examine(used)
    assert problems(report) == []
    assert finding(report, "database")["state"] == "note"


async def test_a_full_disk(used: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10 * 2**20})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert problems(await examine(used)) == ["disk: 10.0 MB free"]
    usage.free = 100 * 2**20
    report = await examine(used)
    assert problems(report) == []
    assert finding(report, "disk")["state"] == "note"


async def test_an_interpreter_that_does_not_exist(used: Config) -> None:
    report = await examine(Config(data_dir=used.data_dir, python="/no/such/python"))
    assert problems(report) == ["runtime Python: /no/such/python does not exist or cannot be run"]


async def test_a_server_that_does_not_answer(used: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "COMMAND_SECONDS", 0.2)
    lock = FolderLock(used.data_dir / "lock")
    assert lock.acquire()
    lock.describe(Holder("server", os.getpid(), "http://127.0.0.1:1"))
    try:
        (found,) = problems(await examine(used))
    finally:
        lock.release()
    assert found.startswith(f"server: the server at http://127.0.0.1:1 (process {os.getpid()}) has the folder and")


async def test_a_command_is_waited_for(used: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async with DataFolder(used, kind="command", command="keys list"):
        waiting = asyncio.create_task(examine(used))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert problems(await waiting) == []
    monkeypatch.setattr(doctor, "COMMAND_SECONDS", 0.1)
    async with DataFolder(used, kind="command", command="keys list"):
        report = await examine(used)
    assert problems(report) == []
    assert "the command 'keys list'" in finding(report, "lock")["text"]
