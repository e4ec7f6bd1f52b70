"""Pictures that take work: made off the event loop a few at a time, each once, and kept.

Every picture has a key. Whoever asks for one gets it from memory, from the cache on disk, or from a task that makes it;
all who ask for the same key meanwhile wait for that one task. Making goes on when those who asked have left, since the
next one will ask again. Threads, not the event loop and not its default threads, do the work, and their number and
what waits for them are bounded.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from litewrite.blobs.cache import CachedFile, CacheKey, FileCache
from litewrite.errors import Overloaded, StorageFull
from litewrite.imaging.options import MEDIA_TYPES

log = logging.getLogger(__name__)

SMALL: Final = 262_144
"""Pictures of up to this many bytes are handed out as bytes, and the most recent ones stay in memory ..."""
KEPT_IN_MEMORY: Final = 16 * 1024 * 1024
"""... up to this many bytes in all."""
MAX_WAITING: Final = 128
"""Pictures that are being made or wait for it; further ones are refused."""
LARGE: Final = 4_000_000
"""Pictures of more pixels are made one at a time: a few at once could take gigabytes, and would keep the small ones."""
_NO_SPACE: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})

T = TypeVar("T")
Make = Callable[[Path], Awaitable[str]]
"""Writes a picture under a temporary name and gives its extension, a key of `MEDIA_TYPES`."""


@dataclass(frozen=True, slots=True)
class RenderedPicture:
    """A picture to be sent."""

    media_type: str
    content: bytes | Path
    """The bytes, or where they lie; a file can vanish, and is then to be asked for again."""
    etag: str
    written: float
    """Unix seconds."""
    from_cache: bool


class Pictures:
    """The pictures of one server. An async context; leaving it ends what is being made.

    Args:
        folder: of the cache; made at the first use.
        limit: bytes that the cache may take on disk.
        threads: that make pictures at the same time; by default as many as suits the processors.
    """

    def __init__(self, folder: Path, limit: int, *, threads: int | None = None) -> None:
        self._cache = FileCache(folder, limit)
        self._opening: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(threads or max(2, min(4, (os.cpu_count() or 1) - 1)), "picture")
        self._large_pool = ThreadPoolExecutor(1, "large-picture")
        self._making: dict[CacheKey, asyncio.Task[RenderedPicture]] = {}
        self._dropped: set[str] = set()
        self._dropping: asyncio.Task[None] | None = None
        self._memory: OrderedDict[CacheKey, RenderedPicture] = OrderedDict()
        self._memory_size = 0
        self._waiting = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        for making in self._making.values():
            making.cancel()
        owned = (*self._making.values(), self._dropping, self._opening)
        await asyncio.gather(*(task for task in owned if task is not None), return_exceptions=True)
        # A thread in the middle of a picture cannot be stopped; it takes seconds at most.
        for pool in (self._pool, self._large_pool):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def get(self, key: CacheKey, max_age: float, make: Make) -> RenderedPicture:
        """The picture under `key`, made when there is none of at most `max_age` seconds.

        Whatever `make` raises is raised for all who wait, and nothing is kept then. Raises `Overloaded` when too many
        pictures wait, and `StorageFull` when the disk is full.
        """
        picture = self._memory.get(key)
        if picture is not None:
            if 0 <= time.time() - picture.written <= max_age:
                self._memory.move_to_end(key)
                return picture
            self._forget(key)
        await self._opened()
        file = self._cache.find(key, max_age)
        if file is not None:
            try:
                return await self._load(key, file)
            except FileNotFoundError:  # somebody emptied the folder
                await asyncio.to_thread(self._cache.forget, key)
        task = self._making.get(key)
        if task is None:
            if self._closed or len(self._making) >= MAX_WAITING:
                raise Overloaded
            task = asyncio.create_task(self._produce(key, make))
            self._making[key] = task
            task.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(task)

    async def run(self, work: Callable[[], T], *, pixels: int = 0) -> T:
        """Call a function in a thread; `pixels` is about how many it will hold in memory.

        Raises `Overloaded`, `StorageFull`, and whatever the function raises.
        """
        if self._closed or self._waiting >= MAX_WAITING:
            raise Overloaded
        pool = self._large_pool if pixels > LARGE else self._pool
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise StorageFull from error
            raise
        finally:
            self._waiting -= 1

    def drop(self, group: str) -> None:
        """Forget every picture of a group, from disk soon after."""
        making = [task for key, task in self._making.items() if key.group == group]
        for task in making:
            task.add_done_callback(lambda done: self.drop(group))
        for key in [key for key in self._memory if key.group == group]:
            self._forget(key)
        self._dropped.add(group)
        if self._dropping is None and not self._closed:
            self._dropping = asyncio.create_task(self._drop())

    async def _drop(self) -> None:
        try:
            await self._opened()
            while self._dropped:
                groups, self._dropped = self._dropped, set()
                await asyncio.to_thread(self._cache.drop, groups)
        except OSError as error:
            log.warning("the cache of pictures cannot be read: %s", error)
        finally:
            self._dropping = None

    async def _opened(self) -> None:
        """Wait until the folder was looked through; another attempt is made when the last one failed."""
        opening = self._opening
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            opening = self._opening = asyncio.create_task(asyncio.to_thread(self._cache.open))
        await asyncio.shield(opening)

    async def _produce(self, key: CacheKey, make: Make) -> RenderedPicture:
        temporary = self._cache.temporary()
        try:
            suffix = await make(temporary)
            file = await asyncio.to_thread(self._cache.add, key, temporary, suffix)
            return await self._load(key, file, from_cache=False)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(_remove, temporary))
            raise

    def _made(self, key: CacheKey, task: asyncio.Task[RenderedPicture]) -> None:
        del self._making[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def _load(self, key: CacheKey, file: CachedFile, *, from_cache: bool = True) -> RenderedPicture:
        content = await asyncio.to_thread(_read_small, file)
        picture = RenderedPicture(MEDIA_TYPES[file.suffix], content, file.path.stem, file.written, True)
        if isinstance(content, bytes):
            self._keep(key, picture, len(content))
        if from_cache:
            return picture
        return RenderedPicture(picture.media_type, content, picture.etag, picture.written, False)

    def _keep(self, key: CacheKey, picture: RenderedPicture, size: int) -> None:
        self._forget(key)
        self._memory[key] = picture
        self._memory_size += size
        while self._memory_size > KEPT_IN_MEMORY:
            self._forget(next(iter(self._memory)))

    def _forget(self, key: CacheKey) -> None:
        picture = self._memory.pop(key, None)
        if picture is not None and isinstance(picture.content, bytes):
            self._memory_size -= len(picture.content)


def _read_small(file: CachedFile) -> bytes | Path:
    """The content of a small file, the path of a larger one. Raises FileNotFoundError for both when it has gone."""
    if file.size <= SMALL:
        return file.path.read_bytes()
    file.path.stat()
    return file.path


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
