"""One suite for every blob store, and below it what only the local one promises."""

import asyncio
import errno
import gc
import hashlib
import os
import random
import stat
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from litewrite.blobs import local
from litewrite.blobs.base import (
    HEAD_SIZE,
    BlobExists,
    BlobKey,
    BlobMissing,
    BlobSpaceExhausted,
    BlobStore,
    BlobWriter,
)
from litewrite.blobs.local import BUFFER_SIZE, LocalBlobStore

BACKENDS: dict[str, Callable[[Path], BlobStore]] = {"local": lambda folder: LocalBlobStore(folder / "blobs")}

KEY = "files/shop/5f4c0a1b2c3d4"


@pytest.fixture(params=sorted(BACKENDS))
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BlobStore]:
    return lambda: BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(make_store: Callable[[], BlobStore]) -> AsyncIterator[BlobStore]:
    async with make_store() as opened:
        yield opened


async def put(store: BlobStore, key: str, content: bytes, chunk_size: int = 65_536) -> BlobWriter:
    async with await store.writer() as writer:
        for start in range(0, len(content), chunk_size):
            await writer.write(content[start : start + chunk_size])
        await writer.finish(key)
    return writer


async def all_keys(store: BlobStore, **options: float) -> list[str]:
    return sorted([key async for key in store.keys(**options)])


@pytest.mark.parametrize(
    "size", [0, 1, HEAD_SIZE, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1, 3 * BUFFER_SIZE + 12_345]
)
@pytest.mark.parametrize("chunk_size", [4_096, 65_536, 1_000_003])
async def test_content_size_md5_and_head(store: BlobStore, size: int, chunk_size: int) -> None:
    content = random.Random(size).randbytes(size)
    writer = await put(store, KEY, content, chunk_size)
    assert writer.size == size
    assert writer.md5 == hashlib.md5(content).hexdigest()
    assert writer.head == content[:HEAD_SIZE]
    assert (await store.path(KEY)).read_bytes() == content
    assert await store.exists(KEY)
    assert await all_keys(store) == [KEY]


async def test_takes_every_kind_of_bytes_and_lets_go_of_them(store: BlobStore) -> None:
    reused = bytearray(b"two ")
    async with await store.writer() as writer:
        await writer.write(b"one ")
        await writer.write(reused)
        reused[:] = b"XXXXXXX"
        await writer.write(memoryview(b"..three..")[2:7])
        await writer.write(b"")
        await writer.finish(KEY)
    assert (await store.path(KEY)).read_bytes() == b"one two three"


async def test_leaving_without_finish_keeps_nothing(store: BlobStore) -> None:
    async with await store.writer() as writer:
        await writer.write(b"x" * (2 * BUFFER_SIZE))
    assert await all_keys(store) == []
    assert await store.sweep_temporary() == 0
    with pytest.raises(RuntimeError):
        await writer.write(b"more")
    with pytest.raises(RuntimeError):
        await writer.finish(KEY)
    assert not await store.exists(KEY)


async def test_abort_twice_and_after_finish(store: BlobStore) -> None:
    async with await store.writer() as writer:
        await writer.write(b"x" * BUFFER_SIZE)
        await writer.abort()
        await writer.abort()
    assert await store.sweep_temporary() == 0
    finished = await put(store, KEY, b"kept")
    await finished.abort()
    assert (await store.path(KEY)).read_bytes() == b"kept"
    with pytest.raises(RuntimeError):
        await finished.write(b"more")


async def test_md5_only_after_finish(store: BlobStore) -> None:
    async with await store.writer() as writer:
        await writer.write(b"x")
        with pytest.raises(RuntimeError):
            _ = writer.md5


async def test_a_taken_key_is_refused_and_the_first_blob_stays(store: BlobStore) -> None:
    await put(store, KEY, b"first")
    with pytest.raises(BlobExists):
        await put(store, KEY, b"second")
    assert (await store.path(KEY)).read_bytes() == b"first"
    assert await store.sweep_temporary() == 0


async def test_of_many_writers_of_one_key_exactly_one_wins(store: BlobStore) -> None:
    results = await asyncio.gather(*(put(store, KEY, b"%d" % i) for i in range(12)), return_exceptions=True)
    assert sum(isinstance(result, BlobExists) for result in results) == 11
    (winner,) = (i for i, result in enumerate(results) if not isinstance(result, BaseException))
    assert (await store.path(KEY)).read_bytes() == b"%d" % winner


async def test_missing_and_removed(store: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        await store.path(KEY)
    assert not await store.exists(KEY)
    await store.remove(KEY)
    await put(store, KEY, b"x")
    await store.remove(KEY)
    with pytest.raises(BlobMissing):
        await store.path(KEY)
    assert await all_keys(store) == []
    await put(store, KEY, b"again")
    assert (await store.path(KEY)).read_bytes() == b"again"


async def test_keys_that_differ_in_case_or_kind_are_different(store: BlobStore) -> None:
    keys = ["files/Shop/Ab", "files/Shop/aB", "files/a.b/x", "files/shop/ab", "tags/shop/ab", "tags/shop/-_Z"]
    for key in keys:
        await put(store, key, key.encode())
    assert await all_keys(store) == sorted(keys)
    for key in keys:
        assert (await store.path(key)).read_bytes() == key.encode()


async def test_keys_of_many_blobs_come_lazily_and_whole(store: BlobStore) -> None:
    keys = {f"files/p{i % 3}/id{i}" for i in range(60)}
    await asyncio.gather(*(put(store, key, b"x") for key in keys))
    assert set(await all_keys(store)) == keys
    async for key in store.keys():
        assert key in keys
        break


async def test_min_age_leaves_out_fresh_blobs(store: BlobStore) -> None:
    await put(store, KEY, b"x")
    assert await all_keys(store, min_age=3600) == []
    assert await all_keys(store, min_age=0) == [KEY]


async def test_concurrent_uploads_do_not_mix(store: BlobStore) -> None:
    contents = {f"files/p/{i}": random.Random(i).randbytes(600_000 + i) for i in range(12)}
    writers = await asyncio.gather(*(put(store, key, content, 40_000) for key, content in contents.items()))
    for writer, (key, content) in zip(writers, contents.items(), strict=True):
        assert writer.md5 == hashlib.md5(content).hexdigest()
        assert (await store.path(key)).read_bytes() == content


async def test_streaming_needs_little_memory(store: BlobStore) -> None:
    chunk = bytes(65_536)
    async with await store.writer() as writer:
        tracemalloc.start()
        try:
            for _ in range(640):
                await writer.write(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert writer.size == 640 * 65_536
    assert peak < 8 * BUFFER_SIZE


async def test_writable(store: BlobStore) -> None:
    assert await store.writable()
    assert await store.sweep_temporary() == 0


async def test_unusable_outside_its_context(make_store: Callable[[], BlobStore]) -> None:
    store = make_store()
    with pytest.raises(RuntimeError):
        await store.writer()
    async with store:
        await put(store, KEY, b"x")
    with pytest.raises(RuntimeError):
        await store.exists(KEY)
    async with store:
        assert await store.exists(KEY)


BAD_KEYS = [
    "",
    "files",
    "files/shop",
    "files/shop/",
    "/files/shop/x",
    "files//x",
    "files/../x",
    "files/./x",
    "files/.hidden/x",
    "files/shop/..",
    "files/shop/a.b",
    "files/shop/x/y",
    "files/shop/x\n",
    "files/shop/x\0",
    "Files/shop/x",
    "../../etc/passwd",
    "files/shop/" + "x" * 65,
    "files/" + "p" * 33 + "/x",
    "files/shop/é",
    "files/shop/=a",
    "files\\shop\\x",
    ".temporary/shop/x",
]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_other_keys_are_refused(store: BlobStore, key: str) -> None:
    for call in (store.remove, store.path, store.exists):
        with pytest.raises(ValueError, match="not a blob key"):
            await call(key)
    async with await store.writer() as writer:
        await writer.write(b"x")
        with pytest.raises(ValueError, match="not a blob key"):
            await writer.finish(key)
        await writer.finish(KEY)


_PARTS = st.text(st.sampled_from("abzABZ019._-=/\\~\0\n :é"), max_size=12)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=40), st.builds("{}/{}/{}".format, _PARTS, _PARTS, _PARTS)))
@example("files/../../x")
@example("a/b/c")
def test_no_key_leaves_the_root(key: str) -> None:
    root = Path("/root-of-blobs")
    try:
        parsed = BlobKey.parse(key)
    except ValueError:
        return
    path = LocalBlobStore(root).locate(parsed)
    inside = path.relative_to(root).parts
    assert len(inside) == 5
    assert Path(os.path.normpath(path)) == path
    assert not any(part.startswith(".") for part in inside)
    assert str(parsed) == key


_NAMES = st.text(st.sampled_from("abAB01_-"), min_size=1, max_size=8)


@given(_NAMES, _NAMES)
def test_no_two_keys_share_a_file_even_where_case_does_not_count(first: str, second: str) -> None:
    store = LocalBlobStore(Path("/r"))
    one, two = (store.locate(BlobKey("files", name, name)) for name in (first, second))
    assert (str(one).lower() == str(two).lower()) == (first == second)


# What follows looks into the folder of the local store.


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[LocalBlobStore]:
    async with LocalBlobStore(tmp_path / "deep" / "blobs") as opened:
        yield opened


def temporary_files(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "deep" / "blobs" / ".temporary")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(r"[a-z]{1,5}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,10}/[A-Za-z0-9_-]{1,10}", fullmatch=True))
def test_a_stored_key_is_listed_as_it_was(tmp_path: Path, key: str) -> None:
    async def round_trip() -> None:
        async with LocalBlobStore(tmp_path / "listing") as store:
            await store.remove(key)
            await put(store, key, b"x")
            assert key in await all_keys(store)
            await store.remove(key)

    asyncio.run(round_trip())


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
async def test_only_the_owner_may_read(disk: LocalBlobStore, tmp_path: Path) -> None:
    await put(disk, KEY, b"x" * BUFFER_SIZE)
    async with await disk.writer() as writer:
        await writer.write(b"x" * (2 * BUFFER_SIZE))
        await writer.write(b"x" * BUFFER_SIZE)
        for folder, folders, files in os.walk(tmp_path / "deep" / "blobs"):
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
            assert all(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600 for name in files)
            assert folders or files
        assert len(temporary_files(tmp_path)) == 1
    assert temporary_files(tmp_path) == []


async def test_what_a_crash_left_is_swept_but_not_what_is_being_written(disk: LocalBlobStore, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "blobs" / ".temporary"
    for i in range(3):
        (folder / f"left{i}").write_bytes(b"half")
    async with await disk.writer() as writer:
        await writer.write(b"x" * BUFFER_SIZE)
        await writer.write(b"x" * BUFFER_SIZE)
        assert await disk.sweep_temporary() == 3
        assert len(temporary_files(tmp_path)) == 1
        await writer.finish(KEY)
    assert (await disk.path(KEY)).stat().st_size == 2 * BUFFER_SIZE
    assert temporary_files(tmp_path) == []


async def test_foreign_files_are_not_listed(disk: LocalBlobStore, tmp_path: Path) -> None:
    await put(disk, KEY, b"x")
    leaf = (await disk.path(KEY)).parent
    (leaf / ".DS_Store").write_bytes(b"")
    (leaf / "Thumbs.db").write_bytes(b"")
    (leaf / "NOTES").write_bytes(b"")
    (tmp_path / "deep" / "blobs" / "README").write_bytes(b"")
    (leaf.parent / "elsewhere").mkdir()
    (leaf.parent / "elsewhere" / "5f4c0a1b2c3d4").write_bytes(b"")
    assert await all_keys(disk) == [KEY]


async def test_folders_removed_by_hand_come_back(disk: LocalBlobStore) -> None:
    await put(disk, KEY, b"x")
    leaf = (await disk.path(KEY)).parent
    await disk.remove(KEY)
    os.removedirs(leaf.parent / leaf.name)
    await put(disk, KEY, b"y")
    assert (await disk.path(KEY)).read_bytes() == b"y"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_while_writing(
    disk: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    written = 0

    def write(file: int, data: bytes) -> int:
        nonlocal written
        if written >= BUFFER_SIZE:
            raise OSError(code, os.strerror(code))
        written += len(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    async with await disk.writer() as writer:
        with pytest.raises(BlobSpaceExhausted):
            await writer.write(b"x" * (4 * BUFFER_SIZE))
        assert temporary_files(tmp_path) == []
        with pytest.raises(BlobSpaceExhausted):
            await writer.write(b"x")
        with pytest.raises(BlobSpaceExhausted):
            await writer.finish(KEY)
    assert not await disk.writable()
    monkeypatch.undo()
    assert await all_keys(disk) == []
    assert await disk.writable()
    await put(disk, KEY, b"room again")


async def test_a_full_disk_at_the_sync(disk: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(file: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(BlobSpaceExhausted):
        await put(disk, KEY, b"small")
    assert temporary_files(tmp_path) == []
    assert await all_keys(disk) == []


async def test_a_folder_that_cannot_be_synced_takes_the_blob_back(
    disk: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(disk, KEY, b"x")
    fsync = os.fsync

    def fail_on_folders(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "broken")
        fsync(file)

    monkeypatch.setattr(os, "fsync", fail_on_folders)
    with pytest.raises(OSError, match="broken"):
        await put(disk, "files/shop/other", b"small")
    monkeypatch.undo()
    assert temporary_files(tmp_path) == []
    assert await all_keys(disk) == [KEY]


async def test_the_file_is_synced_before_the_rename_and_the_folder_after(
    disk: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(disk, KEY, b"x")
    target = disk.locate(BlobKey.parse("files/shop/new"))
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(file: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    def note_rename(source: Path, destination: Path) -> None:
        assert destination == target
        steps.append("rename")
        rename(source, destination)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    await put(disk, "files/shop/new", b"x")
    assert steps[0] == "file"
    assert steps[-2:] == ["rename", "folder"]


async def test_a_finish_cancelled_midway_leaves_no_blob(
    disk: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    renaming = asyncio.Event()
    rename = os.rename

    def slow_rename(source: Path, destination: Path) -> None:
        rename(source, destination)
        asyncio.run_coroutine_threadsafe(_set(renaming), loop).result(10)

    async def _set(event: asyncio.Event) -> None:
        event.set()
        upload.cancel()

    monkeypatch.setattr(os, "rename", slow_rename)
    upload = asyncio.create_task(put(disk, KEY, b"x" * 10))
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert renaming.is_set()
    assert not await disk.exists(KEY)
    assert temporary_files(tmp_path) == []


async def test_a_write_cancelled_midway_bars_the_writer(disk: LocalBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    write = os.write

    async def cancel() -> None:
        feeding.cancel()

    def slow_write(file: int, data: bytes) -> int:
        asyncio.run_coroutine_threadsafe(cancel(), loop).result(10)
        return write(file, data)

    monkeypatch.setattr(os, "write", slow_write)
    async with await disk.writer() as writer:
        feeding = asyncio.create_task(writer.write(b"x" * (3 * BUFFER_SIZE)))
        with pytest.raises(asyncio.CancelledError):
            await feeding
        monkeypatch.undo()
        with pytest.raises(RuntimeError, match="incomplete"):
            await writer.write(b"x")
        with pytest.raises(RuntimeError, match="incomplete"):
            await writer.finish(KEY)
    assert await all_keys(disk) == []


async def test_closing_the_store_throws_away_open_writers(tmp_path: Path) -> None:
    async with LocalBlobStore(tmp_path / "deep" / "blobs") as store:
        writer = await store.writer()
        await writer.write(b"x" * (2 * BUFFER_SIZE))
    assert temporary_files(tmp_path) == []
    with pytest.raises(RuntimeError):
        await writer.write(b"x")


@pytest.mark.skipif(sys.platform != "linux", reason="counts /proc/self/fd")
async def test_no_descriptor_and_no_thread_is_left(tmp_path: Path) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    async with LocalBlobStore(tmp_path / "blobs") as store:
        for i in range(10):
            await put(store, f"files/p/{i}", b"x" * 300_000)
            async with await store.writer() as writer:
                await writer.write(b"x" * 600_000)
        assert descriptors() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("litewrite-blobs")]
    assert descriptors() == before


async def test_a_probe_that_hangs_is_not_repeated(disk: LocalBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    calls = 0

    def hang() -> bool:
        nonlocal calls
        calls += 1
        return released.wait(10)

    monkeypatch.setattr(disk, "_try_to_write", hang)
    monkeypatch.setattr(local, "_PROBE_SECONDS", 0.05)
    assert [await disk.writable(), await disk.writable(), await disk.writable()] == [False, False, False]
    assert calls == 1
    released.set()
    monkeypatch.setattr(local, "_PROBE_SECONDS", 5)
    assert await disk.writable()
