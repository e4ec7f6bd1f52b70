"""Pictures are made once, kept, and let go of."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from litewrite.blobs.cache import CacheKey
from litewrite.errors import Overloaded, StorageFull
from litewrite.services.pictures import KEPT_IN_MEMORY, LARGE, MAX_WAITING, SMALL, Make, Pictures, RenderedPicture

DAY = 86_400.0
KEY = CacheKey("group", "key")


@pytest.fixture
async def pictures(tmp_path: Path) -> AsyncIterator[Pictures]:
    async with Pictures(tmp_path / "pictures", 10_000_000) as pictures:
        yield pictures


def write(target: Path, content: bytes) -> None:
    target.write_bytes(content)


class Maker:
    """Writes the same bytes each time and counts."""

    def __init__(self, content: bytes = b"x", delay: float = 0) -> None:
        self.content = content
        self.delay = delay
        self.calls = 0

    async def __call__(self, target: Path) -> str:
        self.calls += 1
        await asyncio.sleep(self.delay)
        write(target, self.content)
        return "png"


def content_of(picture: RenderedPicture) -> bytes:
    return picture.content if isinstance(picture.content, bytes) else picture.content.read_bytes()


@pytest.mark.parametrize("size", [1, SMALL, SMALL + 1])
async def test_a_picture_is_made_once(pictures: Pictures, size: int) -> None:
    make = Maker(b"x" * size)
    first = await pictures.get(KEY, DAY, make)
    second = await pictures.get(KEY, DAY, make)
    assert (first.from_cache, second.from_cache, make.calls) == (False, True, 1)
    for picture in (first, second):
        assert content_of(picture) == make.content
        assert isinstance(picture.content, bytes) is (size <= SMALL)
        assert picture.media_type == "image/png"
    assert first.etag == second.etag


async def test_pictures_outlive_a_start(pictures: Pictures, tmp_path: Path) -> None:
    await pictures.get(KEY, DAY, Maker())
    async with Pictures(tmp_path / "pictures", 1_000) as later:
        make = Maker()
        assert (await later.get(KEY, DAY, make)).from_cache
        assert make.calls == 0


async def test_all_who_ask_meanwhile_wait_for_the_same(pictures: Pictures) -> None:
    make = Maker(delay=0.05)
    answers = await asyncio.gather(*(pictures.get(KEY, DAY, make) for _ in range(50)))
    assert make.calls == 1
    assert {answer.from_cache for answer in answers} == {False}


async def test_making_goes_on_when_those_who_asked_have_left(pictures: Pictures) -> None:
    make = Maker(delay=0.05)
    asking = asyncio.create_task(pictures.get(KEY, DAY, make))
    await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await pictures.get(KEY, DAY, make)
    assert make.calls == 1


async def test_failures_reach_all_and_are_not_kept(pictures: Pictures, tmp_path: Path) -> None:
    calls = 0

    async def fail(target: Path) -> str:
        nonlocal calls
        calls += 1
        write(target, b"half")
        await asyncio.sleep(0.02)
        raise ValueError("no picture")

    answers = await asyncio.gather(*(pictures.get(KEY, DAY, fail) for _ in range(3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["no picture"] * 3
    assert calls == 1
    assert list((tmp_path / "pictures").iterdir()) == []
    assert not (await pictures.get(KEY, DAY, Maker())).from_cache


async def test_old_pictures_are_made_again(pictures: Pictures) -> None:
    make = Maker()
    await pictures.get(KEY, DAY, make)
    await asyncio.sleep(0.02)
    assert not (await pictures.get(KEY, 0.01, make)).from_cache
    assert make.calls == 2


@pytest.mark.parametrize("size", [10, SMALL + 1])
async def test_a_folder_that_was_emptied(tmp_path: Path, size: int) -> None:
    make = Maker(b"x" * size)
    async with Pictures(tmp_path / "pictures", 10_000_000) as before:
        await before.get(KEY, DAY, make)
    async with Pictures(tmp_path / "pictures", 10_000_000) as pictures:
        await pictures.get(CacheKey("other", ""), DAY, Maker())
        for path in (tmp_path / "pictures").iterdir():
            path.unlink()
        assert content_of(await pictures.get(KEY, DAY, make)) == make.content
    assert make.calls == 2


async def test_the_folder_may_be_missing_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("in the way")
    async with Pictures(tmp_path / "pictures", 1_000) as pictures:
        with pytest.raises(FileExistsError):
            await pictures.get(KEY, DAY, Maker())
        (tmp_path / "pictures").unlink()
        assert content_of(await pictures.get(KEY, DAY, Maker())) == b"x"


async def test_memory_is_bounded(pictures: Pictures) -> None:
    for index in range(2 * KEPT_IN_MEMORY // SMALL):
        await pictures.get(CacheKey("group", str(index)), DAY, Maker(b"x" * SMALL))
    kept = pictures._memory
    assert sum(len(content_of(picture)) for picture in kept.values()) == pictures._memory_size <= KEPT_IN_MEMORY


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def test_a_group_is_dropped(pictures: Pictures, tmp_path: Path) -> None:
    make = Maker()
    for group in ("one", "two"):
        await pictures.get(CacheKey(group, "a"), DAY, make)
    pictures.drop("one")
    await until(lambda: len(list((tmp_path / "pictures").iterdir())) == 1)
    assert not (await pictures.get(CacheKey("one", "a"), DAY, make)).from_cache
    assert (await pictures.get(CacheKey("two", "a"), DAY, make)).from_cache


async def test_a_group_of_an_earlier_run_is_dropped(pictures: Pictures, tmp_path: Path) -> None:
    await pictures.get(KEY, DAY, Maker())
    async with Pictures(tmp_path / "pictures", 1_000) as later:
        later.drop("group")
        await until(lambda: not list((tmp_path / "pictures").iterdir()))


async def test_a_picture_that_is_being_made_is_dropped_afterwards(pictures: Pictures, tmp_path: Path) -> None:
    asking = asyncio.create_task(pictures.get(KEY, DAY, Maker(delay=0.05)))
    await asyncio.sleep(0.02)
    pictures.drop("group")
    assert content_of(await asking) == b"x"
    await until(lambda: not list((tmp_path / "pictures").iterdir()))


async def test_the_pool_is_bounded_and_off_the_loop(tmp_path: Path) -> None:
    running = most = 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return threading.get_ident()

    async with Pictures(tmp_path / "pictures", 1_000, threads=2) as pictures:
        tasks = [asyncio.create_task(pictures.run(work)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await pictures.run(work)
        threads = set(await asyncio.gather(*tasks))
    assert most == 2
    assert threading.get_ident() not in threads


async def test_large_pictures_are_made_one_at_a_time_and_keep_no_small_ones(pictures: Pictures) -> None:
    go_on = threading.Event()
    begun: list[int] = []

    def large() -> None:
        begun.append(1)
        go_on.wait(10)

    waiting = [asyncio.create_task(pictures.run(large, pixels=LARGE + 1)) for _ in range(4)]
    try:
        await until(lambda: bool(begun))
        assert await asyncio.wait_for(pictures.run(lambda: "small", pixels=LARGE), 5) == "small"
        assert len(begun) == 1
    finally:
        go_on.set()
    await asyncio.gather(*waiting)
    assert len(begun) == 4


async def test_not_too_many_pictures_wait(pictures: Pictures) -> None:
    go_on = asyncio.Event()

    async def make(target: Path) -> str:
        await go_on.wait()
        write(target, b"x")
        return "png"

    waiting = [asyncio.create_task(pictures.get(CacheKey("g", str(n)), DAY, make)) for n in range(MAX_WAITING)]
    await until(lambda: len(pictures._making) == MAX_WAITING)
    with pytest.raises(Overloaded):
        await pictures.get(KEY, DAY, make)
    go_on.set()
    assert len(await asyncio.gather(*waiting)) == MAX_WAITING


async def test_a_full_disk(pictures: Pictures) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def make(target: Path) -> str:
        await pictures.run(full)
        return "png"

    with pytest.raises(StorageFull):
        await pictures.get(KEY, DAY, make)


async def test_leaving_ends_what_is_made(tmp_path: Path) -> None:
    async def make(target: Path) -> str:
        await asyncio.sleep(60)
        return "png"

    async with Pictures(tmp_path / "pictures", 1_000) as pictures:
        asking = asyncio.create_task(pictures.get(KEY, DAY, make))
        await asyncio.sleep(0.02)
    with pytest.raises(asyncio.CancelledError):
        await asking
    late: Make = Maker()
    with pytest.raises(Overloaded):
        await pictures.get(KEY, DAY, late)
