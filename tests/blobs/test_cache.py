"""The cache of files that can be made again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litewrite.blobs.cache import CachedFile, CacheKey, FileCache

DAY = 86_400.0
Add = Callable[..., CachedFile]


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    cache = FileCache(tmp_path / "cache", 1_000)
    cache.open()
    return cache


def add(cache: FileCache, name: str, size: int = 100, group: str = "group", suffix: str = "png") -> CachedFile:
    temporary = cache.temporary()
    temporary.write_bytes(name.encode()[:1] * size)
    return cache.add(CacheKey(group, name), temporary, suffix)


def names(cache: FileCache, among: str, group: str = "group") -> str:
    return "".join(name for name in among if cache.find(CacheKey(group, name), DAY))


def test_files_are_found(cache: FileCache, tmp_path: Path) -> None:
    assert cache.find(CacheKey("group", "a"), DAY) is None
    added = add(cache, "a", suffix="webp")
    found = cache.find(CacheKey("group", "a"), DAY)
    assert found == added
    assert found is not None
    assert (found.path.read_bytes(), found.suffix, found.size) == (b"a" * 100, "webp", 100)
    assert cache.find(CacheKey("other", "a"), DAY) is None
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [added.path.name]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_are_for_their_owner_alone(cache: FileCache, tmp_path: Path) -> None:
    assert stat.S_IMODE(add(cache, "a").path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


def test_a_later_file_takes_the_place(cache: FileCache, tmp_path: Path) -> None:
    add(cache, "a", 100)
    add(cache, "a", 50, suffix="jpg")
    found = cache.find(CacheKey("group", "a"), DAY)
    assert found is not None
    assert (found.size, found.suffix, cache.size) == (50, "jpg", 50)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_files_are_found_again_after_a_start(cache: FileCache, tmp_path: Path) -> None:
    added = add(cache, "a")
    other = FileCache(tmp_path / "cache", 1_000)
    other.open()
    found = other.find(CacheKey("group", "a"), DAY)
    assert found is not None
    assert (found.path, found.size) == (added.path, 100)
    assert abs(found.written - time.time()) < 60


def test_a_start_removes_what_is_not_whole(cache: FileCache, tmp_path: Path) -> None:
    short = add(cache, "a").path
    os.truncate(short, 10)
    cache.temporary().write_bytes(b"unfinished")
    (tmp_path / "cache" / "foreign").write_bytes(b"x")
    (tmp_path / "cache" / "folder").mkdir()
    other = FileCache(tmp_path / "cache", 1_000)
    other.open()
    assert other.size == 0
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["folder"]


def test_age(cache: FileCache, tmp_path: Path) -> None:
    old = add(cache, "a").path
    add(cache, "b")
    os.utime(old, (time.time() - 100,) * 2)
    other = FileCache(tmp_path / "cache", 1_000)
    other.open()
    assert other.find(CacheKey("group", "a"), 50) is None
    assert other.find(CacheKey("group", "a"), 200) is not None
    assert other.find(CacheKey("group", "b"), 50) is not None


def test_what_was_used_least_recently_goes_first(cache: FileCache, tmp_path: Path) -> None:
    for name in "abcdefghij":
        add(cache, name)
    assert cache.size == 1_000
    assert names(cache, "a") == "a"
    add(cache, "k")
    assert names(cache, "abcdefghijk") == "adefghijk"
    assert cache.size == 900
    assert len(list((tmp_path / "cache").iterdir())) == 9


def test_a_file_larger_than_the_limit_is_kept_until_the_next(cache: FileCache) -> None:
    add(cache, "a")
    add(cache, "b", 5_000)
    assert names(cache, "ab") == "b"
    add(cache, "c")
    assert names(cache, "abc") == "c"


def test_a_smaller_limit_counts_at_the_start(cache: FileCache, tmp_path: Path) -> None:
    for index, name in enumerate("abcde"):
        os.utime(add(cache, name).path, (time.time() - 100 + index,) * 2)
    other = FileCache(tmp_path / "cache", 300)
    other.open()
    assert names(other, "abcde") == "de"
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_groups_are_dropped(cache: FileCache, tmp_path: Path) -> None:
    for group in ("one", "two", "three"):
        for name in "abc":
            add(cache, name, group=group)
    cache.drop(["one", "three", "four"])
    assert [names(cache, "abc", group) for group in ("one", "two", "three")] == ["", "abc", ""]
    assert cache.size == 300
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_forgetting(cache: FileCache, tmp_path: Path) -> None:
    add(cache, "a")
    (tmp_path / "cache" / add(cache, "b").path.name).unlink()
    for name in "abc":
        cache.forget(CacheKey("group", name))
    assert cache.size == 0
    assert list((tmp_path / "cache").iterdir()) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "find", "forget", "drop", "open"]), st.sampled_from("abcdef"), st.integers(1, 400)
        )
    )
)
def test_the_size_is_what_lies_there(tmp_path: Path, steps: list[tuple[str, str, int]]) -> None:
    folder = tmp_path / "model"
    cache = FileCache(folder, 1_000)
    cache.open()
    for step, name, size in steps:
        match step:
            case "add":
                add(cache, name, size, group=name)
                assert cache.find(CacheKey(name, name), DAY) is not None
            case "find":
                found = cache.find(CacheKey(name, name), DAY)
                assert found is None or found.path.read_bytes() == name.encode() * found.size
            case "forget":
                cache.forget(CacheKey(name, name))
            case "drop":
                cache.drop([name])
            case _:
                cache = FileCache(folder, 1_000)
                cache.open()
        assert cache.size == sum(path.stat().st_size for path in folder.iterdir()) <= 1_000
