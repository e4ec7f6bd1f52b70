"""The seam between the server and the place where its bytes lie.

Services know the two Protocols here and nothing of folders or buckets; a backend is one more file beside `local.py`.
A blob is written once and never changed: it appears whole under its key or not at all, and is later removed.

Keys are made by the server and read `<kind>/<project>/<id>`, for example `files/shop/5f4c0a1b2c3d4`. They are checked
here all the same, in one place for every backend, so that nothing a client sends can ever name a path.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

HEAD_SIZE: Final = 65_536
"""How many of the first bytes a writer keeps for media type detection."""

_KEY: Final = re.compile(r"([a-z0-9]{1,32})/([A-Za-z0-9_-][A-Za-z0-9._-]{0,31})/([A-Za-z0-9_-]{1,64})")


class BlobError(Exception):
    """What a blob store reports about its blobs; anything else, such as a disk error, stays an `OSError`."""


class BlobMissing(BlobError):
    """There is no blob under this key."""


class BlobExists(BlobError):
    """There already is a blob under this key; it has been left as it was."""


class BlobSpaceExhausted(BlobError):
    """The store is full (no space left, or quota reached); nothing of the refused blob is left behind."""


class BlobKey(NamedTuple):
    """The three parts of a key, checked."""

    kind: str
    project: str
    id: str

    @classmethod
    def parse(cls, key: str) -> Self:
        """Take a key apart.

        `kind` is 1 to 32 characters out of a-z 0-9, `project` 1 to 32 out of A-Z a-z 0-9 . _ - not starting with a dot,
        `id` 1 to 64 out of A-Z a-z 0-9 _ -.

        Raises:
            ValueError: the key has any other form.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"not a blob key: {key[:120]!r}")
        return cls(match[1], match[2], match[3])

    def __str__(self) -> str:
        return f"{self.kind}/{self.project}/{self.id}"


class BlobWriter(Protocol):
    """Takes one blob in pieces. Use it as an async context: leaving without `finish` throws everything away.

    One task at a time may use a writer. After the first error it only repeats that error.
    """

    @property
    def size(self) -> int:
        """Bytes taken so far."""

    @property
    def md5(self) -> str:
        """MD5 of the whole content, 32 hexadecimal characters; `RuntimeError` before `finish` has succeeded."""

    @property
    def head(self) -> bytes:
        """The first bytes of what was taken so far, at most `HEAD_SIZE`."""

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes; the caller may reuse `chunk` afterwards. Waits when the store is slower than the caller.

        Raises:
            BlobSpaceExhausted: the store is full.
            RuntimeError: the writer was finished or aborted before.
        """

    async def finish(self, key: str) -> None:
        """Publish the blob under `key`; when this returns, it survives a power cut.

        Raises:
            BlobExists: `key` is taken.
            BlobSpaceExhausted: the store is full.
            RuntimeError: the writer was finished or aborted before.
            ValueError: `key` is not a key.
        """

    async def abort(self) -> None:
        """Throw away what was written; nothing to do after `finish` has returned or after an earlier `abort`.

        Also undoes a `finish` that was cancelled while it ran, so that a blob exists only if its caller knows.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class BlobStore(Protocol):
    """Keeps blobs. An async context that owns its threads or connections; unusable outside of it (`RuntimeError`).

    Every method that takes a key raises `ValueError` for a malformed one.
    """

    async def writer(self) -> BlobWriter:
        """Begin a blob: `async with await store.writer() as blob: ...`."""

    async def remove(self, key: str) -> None:
        """Remove a blob; nothing happens when there is none."""

    async def path(self, key: str) -> Path:
        """A local file with the content, to be read and not changed. It vanishes when the blob is removed.

        Raises:
            BlobMissing: there is no such blob.
        """

    async def exists(self, key: str) -> bool:
        """Whether there is a blob under `key`."""

    def keys(self, *, min_age: float = 0.0) -> AsyncIterator[str]:
        """All keys in no particular order, read lazily in batches; blobs that come or go meanwhile may be missed.

        `min_age` leaves out blobs written during the last so many seconds. A blob is there before the row that names
        it, so whoever removes blobs without rows must not look at fresh ones.
        """

    async def sweep_temporary(self) -> int:
        """Remove what unfinished writers of an earlier process left; live writers are untouched. Returns how many."""

    async def writable(self) -> bool:
        """Whether a blob could be written now, found out by writing a few bytes; no answer in 5 seconds is False."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
