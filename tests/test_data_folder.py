"""The data folder: who gets it, who may read it, its secret."""

# Files and processes are looked at between the steps of a test.
# ruff: noqa: ASYNC220, ASYNC240

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from litewrite import data_folder
from litewrite.config import Config
from litewrite.data_folder import DataFolder, FolderInUse, FolderRefused, SecretRefused
from litewrite.folder_lock import FolderLock, Holder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and signals are those of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some" / "data"


def folder(path: Path, **settings: str) -> DataFolder:
    return DataFolder(Config(data_dir=path, **settings))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_makes_a_private_folder_with_a_secret_that_stays(path: Path) -> None:
    async with folder(path) as opened:
        assert opened.path == path
        first = opened.secret.derive("test")
        assert sorted(os.listdir(path)) == ["lock", "secret"]
    async with folder(path) as opened:
        assert opened.secret.derive("test") == first
    assert mode(path) == 0o700
    assert {mode(file) for file in path.iterdir()} == {0o600}
    assert len((path / "secret").read_text().strip()) == 64


async def test_closes_what_is_open_to_others(path: Path) -> None:
    async with folder(path):
        pass
    (path / "litewrite.db").write_bytes(b"")
    path.chmod(0o755)
    for file in path.iterdir():
        file.chmod(0o644)
    async with folder(path):
        assert mode(path) == 0o700
        assert {mode(file) for file in path.iterdir()} == {0o600}


async def test_modes_do_not_depend_on_the_umask(path: Path) -> None:
    before = os.umask(0o277)
    try:
        async with folder(path):
            pass
    finally:
        os.umask(before)
    assert mode(path) == 0o700


async def test_a_relative_folder_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with folder(Path("data")) as opened:
        assert opened.path == tmp_path / "data"


async def test_a_second_server_is_told_where_the_first_is(path: Path) -> None:
    async with folder(path) as first:
        with pytest.raises(FolderInUse, match=rf"process {os.getpid()}") as unannounced:
            await folder(path).__aenter__()
        assert "at " not in str(unannounced.value).partition("already")[2]
        first.announce("http://127.0.0.1:8700")
        started = time.monotonic()
        with pytest.raises(FolderInUse, match=rf"http://127\.0\.0\.1:8700 \(process {os.getpid()}\)") as caught:
            await folder(path).__aenter__()
        assert time.monotonic() - started < 1
        assert caught.value.holder == Holder("server", os.getpid(), "http://127.0.0.1:8700")
    async with folder(path):
        pass


async def test_a_server_waits_for_a_command_to_end(path: Path) -> None:
    command = DataFolder(Config(data_dir=path), kind="command", command="keys list")
    await command.__aenter__()
    waiting = asyncio.create_task(folder(path).__aenter__())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await command.__aexit__(None, None, None)
    opened = await asyncio.wait_for(waiting, 2)
    assert FolderLock(path / "lock").holder() == Holder("server", os.getpid())
    await opened.__aexit__(None, None, None)


async def test_the_patience_with_a_command_ends(path: Path) -> None:
    async with DataFolder(Config(data_dir=path), kind="command", command="keys list"):
        with pytest.raises(FolderInUse, match=rf"The command 'keys list' \(process {os.getpid()}\) is using"):
            await DataFolder(Config(data_dir=path), patience=0.15).__aenter__()


async def test_a_command_does_not_wait_for_a_server(path: Path) -> None:
    async with folder(path):
        started = time.monotonic()
        with pytest.raises(FolderInUse) as caught:
            await DataFolder(Config(data_dir=path), kind="command", command="keys list").__aenter__()
        assert caught.value.holder is not None
        assert caught.value.holder.kind == "server"
        assert time.monotonic() - started < 1


async def test_cancelled_opening_keeps_no_lock(path: Path) -> None:
    for steps in range(4):
        opening = asyncio.create_task(folder(path).__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    async with folder(path):
        pass


async def test_children_do_not_keep_the_lock(path: Path) -> None:
    async with folder(path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        async with folder(path):
            assert child.poll() is None
    finally:
        child.communicate(b"\n")


async def test_a_killed_holder_loses_the_lock(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from litewrite.config import Config\n"
        "from litewrite.data_folder import DataFolder\n"
        "async def main():\n"
        "    async with DataFolder(Config(data_dir=sys.argv[1])) as folder:\n"
        "        folder.announce('http://127.0.0.1:1')\n"
        "        print('open', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(FolderInUse, match=rf"http://127\.0\.0\.1:1 \(process {process.pid}\)"):
            await folder(path).__aenter__()
        (path / "control.json").write_text("{}")
        process.kill()
    assert json.loads((path / "lock").read_text())["pid"] == process.pid
    async with folder(path):
        assert not (path / "control.json").exists()
        assert json.loads((path / "lock").read_text())["pid"] == os.getpid()
    assert (path / "lock").read_text() == ""


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"kind": "guest", "pid": 1, "url": "", "command": ""}',
        '{"kind": "server", "pid": "1", "url": "", "command": ""}',
        '{"kind": "server", "pid": true, "url": "", "command": ""}',
        '{"kind": "server", "pid": -1, "url": "", "command": ""}',
        '{"kind": "server", "pid": 1, "url": 5, "command": ""}',
        "[" * 4_000,
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
)
async def test_a_record_that_says_nothing(path: Path, record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "_SILENT_SECONDS", 0.06)
    async with folder(path):
        (path / "lock").write_bytes(record.encode("latin-1"))
        assert FolderLock(path / "lock").holder() is None
        with pytest.raises(FolderInUse, match="does not say which") as caught:
            await folder(path).__aenter__()
        assert caught.value.holder is None


def test_a_record_of_a_process_that_is_gone_does_not_count(path: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    lock = FolderLock(tmp_path / "lock")
    assert lock.acquire()
    lock.describe(Holder("server", process.pid, "http://127.0.0.1:1"))
    assert lock.holder() is None
    lock.describe(Holder("server", os.getpid(), "http://127.0.0.1:1"))
    assert lock.holder() == Holder("server", os.getpid(), "http://127.0.0.1:1")
    lock.release()
    lock.release()
    with pytest.raises(RuntimeError, match="not held"):
        lock.describe(Holder("server", 1))


def test_one_lock_at_a_time_in_one_process_too(tmp_path: Path) -> None:
    one, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    assert one.acquire()
    assert not other.acquire()
    with pytest.raises(RuntimeError, match="held already"):
        one.acquire()
    one.release()
    assert other.acquire()
    other.release()


async def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(FolderRefused, match="is a file"):
        await folder(tmp_path / "data").__aenter__()
    with pytest.raises(FolderRefused, match="cannot be used"):
        await folder(tmp_path / "data" / "below").__aenter__()
    assert (tmp_path / "data").read_text() == "mine"


async def test_a_folder_with_other_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FolderRefused, match=r"other files, such as thesis\.txt"):
        await folder(tmp_path).__aenter__()
    assert os.listdir(tmp_path) == ["thesis.txt"]
    assert mode(tmp_path) == 0o755


async def test_a_shared_folder_is_refused_and_left_as_it_is(path: Path) -> None:
    path.mkdir(parents=True)
    path.chmod(0o1777)
    with pytest.raises(FolderRefused, match="users share"):
        await folder(path).__aenter__()
    assert mode(path) == 0o1777


@pytest.mark.parametrize("name", ["lost+found", ".gitkeep"])
async def test_an_empty_folder_is_taken(path: Path, name: str) -> None:
    (path / name).mkdir(parents=True)
    async with folder(path):
        assert (path / "lock").exists()


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    program = (
        "import asyncio, fcntl, os, sys\n"
        "from litewrite.config import Config\n"
        "from litewrite.data_folder import DataFolder, FolderRefused\n"
        # Nothing is closed to the administrator.
        "if os.geteuid() == 0:\n"
        "    os.seteuid(65534)\n"
        "try:\n"
        "    asyncio.run(DataFolder(Config(data_dir=sys.argv[1])).__aenter__())\n"
        "except FolderRefused as error:\n"
        "    print(error)\n"
    )
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        (parent / "data").mkdir(mode=0o500)
        parent.chmod(0o555)
        try:
            for path in (parent / "data", parent / "new"):
                done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
                assert f"The data folder {path} cannot be used: this user may not write" in done.stdout, done.stderr
        finally:
            parent.chmod(0o700)


async def test_a_given_secret_is_used_and_not_written(path: Path) -> None:
    async with folder(path, secret="s" * 40) as opened:
        assert not (path / "secret").exists()
        given = opened.secret.derive("test")
    (path / "litewrite.db").write_bytes(b"x")
    with pytest.raises(SecretRefused, match="LITEWRITE_SECRET as before"):
        await folder(path).__aenter__()
    (path / "secret").write_text("s" * 40 + "\n")
    async with folder(path) as opened:
        assert opened.secret.derive("test") == given


async def test_bad_secrets_are_refused(path: Path) -> None:
    with pytest.raises(SecretRefused, match="LITEWRITE_SECRET must have at least 32 characters, it has 5"):
        await folder(path, secret="short").__aenter__()
    for content in (b"", b"short\n", b"\xff" * 64):
        (path / "secret").write_bytes(content)
        with pytest.raises(SecretRefused, match="secret"):
            await folder(path).__aenter__()
        assert (path / "secret").read_bytes() == content
    (path / "secret").unlink()
    async with folder(path):
        pass


async def test_the_secret_is_there_only_while_the_folder_is_open(path: Path) -> None:
    opened = folder(path)
    with pytest.raises(RuntimeError, match="not open"):
        _ = opened.secret
    async with opened:
        assert opened.secret
    with pytest.raises(RuntimeError, match="not open"):
        _ = opened.secret
