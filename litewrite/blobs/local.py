"""Blobs as files of one folder.

A blob lies at `<root>/<kind>/<project>/<x>/<y>/<id>`; x and y are two hexadecimal digits of a checksum of the id, so
that 256 folders share what one project has of a kind. Capital letters are written `=a` and so on: file systems that do
not tell `A` from `a` must not let two projects or two blobs meet in one place. `<root>/.temporary` holds what is being
written; being on the same file system, it is left by a rename.

File I/O and hashing run on a small thread pool of the store. Chunks from the network are small, and handing each one to
a thread would cost more than writing it, so a writer collects a buffer first, and fills the next while a thread hashes
and writes the last. A blob smaller than one buffer takes a single hop.
"""

import asyncio
import errno
import hashlib
import logging
import os
import re
import secrets
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum, auto
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from litewrite.blobs.base import HEAD_SIZE, BlobExists, BlobKey, BlobMissing, BlobSpaceExhausted

BUFFER_SIZE: Final = 262_144
"""Bytes a writer collects before a thread hashes and writes them; it holds at most two such buffers."""

_BATCH: Final = 500
_PROBE_SECONDS: Final = 5.0
_MAX_KNOWN_FOLDERS: Final = 16_384
_TEMPORARY: Final = ".temporary"
_NO_SPACE: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _State(Enum):
    OPEN = auto()
    FAILED = auto()
    FINISHED = auto()
    ABORTED = auto()


class LocalBlobWriter:
    """Writes one blob; made by `LocalBlobStore.writer`. See `BlobWriter` for the contract."""

    def __init__(self, store: "LocalBlobStore", temporary: Path) -> None:
        self._store = store
        self._temporary = temporary
        self._state = _State.OPEN
        self._failure: Exception | None = None
        self._buffer = bytearray()
        self._head = bytearray()
        self._size = 0
        self._job: asyncio.Future[None] | None = None
        self._cleanup: asyncio.Task[None] | None = None
        # Below: touched by the job only, and there is one job at a time.
        self._hash = hashlib.md5(usedforsecurity=False)
        self._file = -1
        self._created = False
        self._published: Path | None = None

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    @property
    def md5(self) -> str:
        """MD5 of the whole content in hexadecimal; `RuntimeError` before `finish` has succeeded."""
        if self._state is not _State.FINISHED:
            raise RuntimeError("the MD5 is known once the blob is finished")
        return self._hash.hexdigest()

    @property
    def head(self) -> bytes:
        """The first bytes of what was taken so far, at most `HEAD_SIZE`."""
        return bytes(self._head)

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `BlobSpaceExhausted`, `OSError`, or `RuntimeError` when no longer open."""
        self._check_open()
        try:
            with memoryview(chunk) as view, view.cast("B") as rest:
                length = len(rest)
                if len(self._head) < HEAD_SIZE:
                    self._head += rest[: HEAD_SIZE - len(self._head)]
                start = 0
                while start < length:
                    end = min(length, start + BUFFER_SIZE - len(self._buffer))
                    self._buffer += rest[start:end]
                    start = end
                    if len(self._buffer) == BUFFER_SIZE:
                        full, self._buffer = self._buffer, bytearray()
                        await self._settle()
                        self._job = self._store.submit(self._append, full)
            self._size += length
        except BaseException as error:
            self._fail(error)
            raise

    async def finish(self, key: str) -> None:
        """Publish the blob. Raises `BlobExists`, `BlobSpaceExhausted`, `OSError`, `ValueError` or `RuntimeError`."""
        self._check_open()
        target = self._store.locate(BlobKey.parse(key))
        try:
            await self._settle()
            last, self._buffer = self._buffer, bytearray()
            self._job = self._store.submit(self._publish, last, target)
            await self._settle()
        except BaseException as error:
            self._fail(error)
            raise
        self._state = _State.FINISHED
        self._store.forget(self)

    async def abort(self) -> None:
        """Throw everything away, unless `finish` has returned. Completes even when its caller is cancelled."""
        if self._state is _State.FINISHED:
            return
        if self._cleanup is None:
            self._state = _State.ABORTED
            self._cleanup = self._store.own(self._discard())
        await asyncio.shield(self._cleanup)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.abort()

    @property
    def temporary_name(self) -> str:
        """Name of the file in the temporary folder, whether it is there yet or not."""
        return self._temporary.name

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._state is not _State.OPEN:
            raise RuntimeError("the blob writer is no longer open")

    def _fail(self, error: BaseException) -> None:
        """Bar further use: after an error or a cancellation some bytes may be missing."""
        if self._state is _State.OPEN:
            self._state = _State.FAILED
            interrupted = RuntimeError("the blob is incomplete: a call to its writer was interrupted")
            self._failure = error if isinstance(error, Exception) else interrupted

    async def _settle(self) -> None:
        """Wait for the running job and raise what it raised. A cancelled wait leaves the job running."""
        if self._job is None:
            return
        if not self._job.done():
            await asyncio.wait((self._job,))
        job, self._job = self._job, None
        try:
            job.result()
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise BlobSpaceExhausted("no space left in the blob store") from error
            raise

    async def _discard(self) -> None:
        try:
            # What a job raised has either been told or belongs to a call that was cancelled.
            with suppress(Exception):
                await self._settle()
            if self._created:
                await self._store.submit(self._remove_traces)
        except OSError:
            # The caller has its own error to deal with; what is left here is removed by the next sweep.
            _log.exception("could not remove the unfinished blob %s", self._temporary)
        finally:
            self._buffer.clear()
            self._store.forget(self)

    def _append(self, data: bytearray) -> None:
        try:
            if self._file == -1:
                self._created = True
                self._file = os.open(self._temporary, _CREATE, 0o600)
            self._hash.update(data)
            with memoryview(data) as view:
                start = 0
                while start < len(view):
                    start += os.write(self._file, view[start:])
        except BaseException:
            self._remove_traces()
            raise

    def _publish(self, last: bytearray, target: Path) -> None:
        self._append(last)
        try:
            os.fsync(self._file)
            file, self._file = self._file, -1
            os.close(file)
            self._store.make_folders(target.parent)
            try:
                self._store.move(self._temporary, target)
            except FileNotFoundError:
                # Somebody tidied up empty folders by hand.
                self._store.make_folders(target.parent, again=True)
                self._store.move(self._temporary, target)
            self._published = target
            _sync_folder(target.parent)
        except BaseException:
            self._remove_traces()
            raise

    def _remove_traces(self) -> None:
        if self._file != -1:
            file, self._file = self._file, -1
            os.close(file)
        for path in (self._temporary, self._published):
            if path is not None:
                with suppress(FileNotFoundError):
                    os.unlink(path)
        self._created = False
        self._published = None


class LocalBlobStore:
    """Keeps blobs under one folder of the local disk; that folder belongs to the store alone. See `BlobStore`.

    An async context for one event loop. Folders are made 0700 and files 0600. `threads` bounds how many file operations
    run at a time; a writer that waits for the disk holds one.
    """

    def __init__(self, root: Path, *, threads: int = 4) -> None:
        self._root = root
        self._temporary = root / _TEMPORARY
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._writers: set[LocalBlobWriter] = set()
        self._cleanups: set[asyncio.Task[None]] = set()
        self._known_folders: set[Path] = set()
        self._moving = threading.Lock()
        self._probe: asyncio.Future[bool] | None = None

    async def __aenter__(self) -> Self:
        if self._pool is not None:
            raise RuntimeError("the blob store is already open")
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="litewrite-blobs")
        try:
            await self.submit(self._prepare)
        except BaseException:
            self._close_pool()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for writer in tuple(self._writers):
                await writer.abort()
            while self._cleanups:
                await asyncio.wait(self._cleanups)
            if self._pool is not None:
                await asyncio.to_thread(self._pool.shutdown)
        finally:
            self._close_pool()

    async def writer(self) -> LocalBlobWriter:
        """Begin a blob. Nothing is written before the first buffer is full or the blob is finished."""
        self._require_pool()
        writer = LocalBlobWriter(self, self._temporary / secrets.token_hex(16))
        self._writers.add(writer)
        return writer

    async def remove(self, key: str) -> None:
        """Remove a blob; nothing happens when there is none. Raises `ValueError` or `OSError`."""
        await self.submit(_unlink, self.locate(BlobKey.parse(key)))

    async def path(self, key: str) -> Path:
        """The file with the content, not to be changed. Raises `BlobMissing` or `ValueError`."""
        path = self.locate(BlobKey.parse(key))
        if not await self.submit(os.path.isfile, path):
            raise BlobMissing(key)
        return path

    async def exists(self, key: str) -> bool:
        """Whether there is a blob under `key`. Raises `ValueError`."""
        return await self.submit(os.path.isfile, self.locate(BlobKey.parse(key)))

    async def keys(self, *, min_age: float = 0.0) -> AsyncIterator[str]:
        """All keys, a few hundred at a time; `min_age` seconds leaves out younger blobs. Foreign files are passed over.

        Memory is bounded by the largest folder, which holds about one in 256 of a project's blobs.
        """
        found = self._walk(min_age)
        while batch := await self.submit(_take, found):
            for key in batch:
                yield key

    async def sweep_temporary(self) -> int:
        """Remove temporary files that no writer of this store owns; returns how many. Raises `OSError`."""
        # Listed first and compared afterwards: a writer is registered before its file appears.
        names = await self.submit(os.listdir, self._temporary)
        live = {writer.temporary_name for writer in self._writers}
        stale = [self._temporary / name for name in names if name not in live]
        for start in range(0, len(stale), _BATCH):
            await self.submit(_unlink_all, stale[start : start + _BATCH])
        return len(stale)

    async def writable(self) -> bool:
        """Write and remove a small file; False when that fails or has not ended after 5 seconds."""
        # A disk that hangs must not take one thread more with every question.
        if self._probe is None or self._probe.done():
            self._probe = self.submit(self._try_to_write)
        done, _ = await asyncio.wait((self._probe,), timeout=_PROBE_SECONDS)
        return bool(done) and self._probe.result()

    # What follows is for the writers of this store.

    def submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> asyncio.Future[_T]:
        """Start a call on the pool. Raises `RuntimeError` when the store is not open."""
        pool = self._require_pool()
        return asyncio.get_running_loop().run_in_executor(pool, lambda: function(*args, **kwargs))

    def own(self, cleanup: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a clean-up that closing the store waits for."""
        task = asyncio.get_running_loop().create_task(cleanup)
        self._cleanups.add(task)
        task.add_done_callback(self._cleanups.discard)
        return task

    def forget(self, writer: LocalBlobWriter) -> None:
        """Note that a writer is done with its temporary file."""
        self._writers.discard(writer)

    def locate(self, key: BlobKey) -> Path:
        """Where a blob lies or would lie."""
        digits = f"{zlib.crc32(key.id.encode()) & 0xFF:02x}"
        return self._root / key.kind / _encode(key.project) / digits[0] / digits[1] / _encode(key.id)

    def make_folders(self, leaf: Path, *, again: bool = False) -> None:
        """Make the folders down to `leaf` durably; `again` forgets which ones were made before. Blocks."""
        if again or len(self._known_folders) > _MAX_KNOWN_FOLDERS:
            self._known_folders.clear()
        depth = len(leaf.relative_to(self._root).parts)
        for folder in reversed((leaf, *leaf.parents[: depth - 1])):
            if folder not in self._known_folders:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o700)
                # Also for a folder that was there: a process that was killed may have made it and not come this far.
                _sync_folder(folder.parent)
                self._known_folders.add(folder)

    def move(self, temporary: Path, target: Path) -> None:
        """Rename a file to its place. Raises `BlobExists` when that is taken. Blocks."""
        # A rename replaces what is there, so the look and the rename of one thread must not mix with another's.
        with self._moving:
            if os.path.lexists(target):
                raise BlobExists(f"there already is a blob {_decode(target.name)}")
            os.rename(temporary, target)

    def _require_pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            raise RuntimeError("the blob store is not open")
        return self._pool

    def _close_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    def _prepare(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._temporary.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(self._root)
        _sync_folder(self._root.parent)

    def _try_to_write(self) -> bool:
        path = self._temporary / secrets.token_hex(16)
        try:
            file = os.open(path, _CREATE, 0o600)
            try:
                os.write(file, b"litewrite")
            finally:
                os.close(file)
                _unlink(path)
        except OSError as error:
            _log.warning("the blob folder is not writable: %s", error)
            return False
        return True

    def _walk(self, min_age: float) -> Iterator[str]:
        before = time.time() - min_age
        for kind in _names(self._root):
            for project in _names(self._root / kind):
                for outer in _names(self._root / kind / project):
                    for inner in _names(self._root / kind / project / outer):
                        folder = self._root / kind / project / outer / inner
                        for name in _names(folder):
                            key = self._key_at(kind, project, folder / name)
                            if key is not None and (min_age <= 0 or _written_before(folder / name, before)):
                                yield str(key)

    def _key_at(self, kind: str, project: str, path: Path) -> BlobKey | None:
        try:
            key = BlobKey.parse(f"{kind}/{_decode(project)}/{_decode(path.name)}")
        except ValueError:
            return None
        return key if self.locate(key) == path else None


def _encode(name: str) -> str:
    return re.sub("[A-Z]", lambda match: "=" + match[0].lower(), name)


def _decode(name: str) -> str:
    return re.sub("=([a-z])", lambda match: match[1].upper(), name)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _written_before(path: Path, moment: float) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    # The rename into place counts as well, and touches only the second of the two.
    return max(status.st_mtime, status.st_ctime) <= moment


def _take(keys: Iterator[str]) -> list[str]:
    return list(islice(keys, _BATCH))


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _unlink_all(paths: list[Path]) -> None:
    for path in paths:
        _unlink(path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be synced there
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
