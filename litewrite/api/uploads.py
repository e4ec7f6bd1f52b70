"""The file of a multipart body: streamed to the blob store while its fields are collected.

The body is read in two goes. The fields in front of the file are read with the other parameters, since they may name
the project; then the caller is identified and checked, and only from one who may upload is the file taken to disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from litewrite.blobs.base import BlobSpaceExhausted, BlobWriter
from litewrite.errors import FileBroken, FileTooLarge, StorageFull
from litewrite.http.body import BodyTooLarge, Field, FilePart, MultipartBroken, MultipartReader, nest
from litewrite.http.endpoint import validate
from litewrite.services.files import Upload

if TYPE_CHECKING:
    from litewrite.api.context import Context

FIELD_LIMIT = 1_000_000
"""Most bytes in the text fields of an upload together."""
FRAMING = 1_000_000
"""Room in a request for boundaries and headers, beside the file and the fields."""


@contextmanager
def _upload_errors() -> Iterator[None]:
    """Turn what the readers of bodies and the blob store raise into what an upload can fail with."""
    try:
        yield
    except MultipartBroken as error:
        raise FileBroken(str(error)) from error
    except BodyTooLarge as error:
        if error.limit == FIELD_LIMIT:
            raise
        raise FileTooLarge from error
    except BlobSpaceExhausted as error:
        raise StorageFull from error


class Multipart:
    """The parts of one request, read as far as they are needed. The first file in `file_field` is the file.

    Raises `FileBroken` for a body that is cut or malformed, `FileTooLarge` for one with more bytes than a file of
    `limit` bytes explains, and `ArgumentInvalid` for faults of the fields.
    """

    def __init__(self, request: web.BaseRequest, file_field: str, limit: int) -> None:
        with _upload_errors():
            self._reader = MultipartReader(request, limit=limit + FIELD_LIMIT + FRAMING, field_limit=FIELD_LIMIT)
        self._file_field = file_field
        self._limit = limit
        self._pairs: list[tuple[str, str]] = []
        self._file: FilePart | None = None
        self._writer: BlobWriter | None = None

    async def until_file(self) -> dict[str, Any]:
        """The fields in front of the file, or all when there is none."""
        with _upload_errors():
            async for part in self._reader:
                if isinstance(part, Field):
                    self._pairs.append((part.name, part.value))
                elif part.name == self._file_field:
                    self._file = part
                    break
        return nest(self._pairs)

    async def receive(self, begin: Callable[[], Awaitable[BlobWriter]]) -> tuple[dict[str, Any], Upload | None]:
        """Take the file, when there is one, and whatever follows it; returns all fields and the file.

        `begin` makes the writer. It is thrown away on `close` unless the upload was stored.
        """
        upload = None
        if self._file is not None:
            self._writer = writer = await begin()
            with _upload_errors():
                upload = await self._take(self._file, writer)
                async for part in self._reader:
                    if isinstance(part, Field):
                        self._pairs.append((part.name, part.value))
        return nest(self._pairs), upload

    async def _take(self, part: FilePart, writer: BlobWriter) -> Upload:
        async for chunk in part:
            if writer.size + len(chunk) > self._limit:
                return Upload(name=part.filename, writer=writer, too_large=True)
            await writer.write(chunk)
        return Upload(name=part.filename, writer=writer)

    async def close(self) -> None:
        """Remove what was received and not stored."""
        if self._writer is not None:
            await self._writer.abort()


def start_multipart(ctx: Context) -> Multipart:
    """The body of an upload, unread. Raises as `Multipart`."""
    endpoint = ctx.endpoint
    assert endpoint is not None
    assert endpoint.file_param is not None
    return Multipart(ctx.request, endpoint.file_param.name, ctx.services.config.storage_limit)


async def receive(ctx: Context) -> None:
    """Take the file of an upload endpoint and validate its other parameters; without a file its argument is None.

    Raises as `Multipart`, `ArgumentInvalid` for a bad parameter and `StorageFull`.
    """
    endpoint = ctx.endpoint
    assert endpoint is not None
    file_param = endpoint.file_param
    assert file_param is not None
    given: dict[str, Any] = dict(ctx.given)
    upload: Upload | None = None
    if ctx.parts is not None:
        given, upload = await ctx.parts.receive(ctx.services.files.begin_upload)
    given[file_param.name] = upload
    ctx.arguments = validate(endpoint, ctx.path, given)
