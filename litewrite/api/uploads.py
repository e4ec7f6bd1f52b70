"""The file of a multipart body: streamed to the blob store while its fields are collected."""

from __future__ import annotations

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
FRAMING = 1_000_000
"""Room in a request for what is not the file."""


class Multipart:
    """The parts of one request, read as far as they are needed.

    Fields in front of the file are read first, so that the caller is known before the file is taken. Raises
    `FileBroken` for a body that is cut or malformed and `FileTooLarge` for one beyond the limit.
    """

    def __init__(self, request: web.BaseRequest, file_field: str, limit: int) -> None:
        self._reader = MultipartReader(request, limit=limit + FRAMING, field_limit=FIELD_LIMIT)
        self._file_field = file_field
        self._limit = limit
        self._pairs: list[tuple[str, str]] = []
        self._file: FilePart | None = None
        self._writer: BlobWriter | None = None

    async def _next(self) -> Field | FilePart | None:
        try:
            return await anext(self._reader, None)
        except MultipartBroken as error:
            raise FileBroken(str(error)) from error
        except BodyTooLarge as error:
            raise FileTooLarge(str(error)) from error

    async def until_file(self) -> dict[str, Any]:
        """The fields in front of the file, or all when there is none."""
        while (part := await self._next()) is not None:
            if isinstance(part, Field):
                self._pairs.append((part.name, part.value))
            elif part.name == self._file_field:
                self._file = part
                break
        return nest(self._pairs)

    async def receive(self, writer: BlobWriter) -> tuple[dict[str, Any], Upload | None]:
        """Take the file and whatever follows it. The writer is thrown away on `close` unless the upload was stored."""
        upload = None
        if self._file is not None:
            self._writer = writer
            upload = await self._take(self._file, writer)
            while (part := await self._next()) is not None:
                if isinstance(part, Field):
                    self._pairs.append((part.name, part.value))
        return nest(self._pairs), upload

    async def _take(self, part: FilePart, writer: BlobWriter) -> Upload:
        too_large = False
        try:
            async for chunk in part:
                if writer.size + len(chunk) > self._limit:
                    too_large = True
                    break
                await writer.write(chunk)
        except MultipartBroken as error:
            raise FileBroken(str(error)) from error
        except BodyTooLarge as error:
            raise FileTooLarge(str(error)) from error
        except BlobSpaceExhausted as error:
            raise StorageFull from error
        return Upload(name=part.filename, writer=writer, too_large=too_large)

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.abort()


def start_multipart(ctx: Context) -> Multipart:
    endpoint = ctx.endpoint
    assert endpoint is not None
    assert endpoint.file_param is not None
    try:
        return Multipart(ctx.request, endpoint.file_param.name, ctx.services.config.storage_limit)
    except MultipartBroken as error:
        raise FileBroken(str(error)) from error
    except BodyTooLarge as error:
        raise FileTooLarge(str(error)) from error


async def receive(ctx: Context) -> None:
    """Take the file of an upload endpoint and validate its other parameters; without a file its argument is None."""
    endpoint = ctx.endpoint
    assert endpoint is not None
    file_param = endpoint.file_param
    assert file_param is not None
    given: dict[str, Any] = dict(ctx.given)
    upload: Upload | None = None
    if ctx.parts is not None:
        given, upload = await ctx.parts.receive(await ctx.services.files.begin_upload())
    given[file_param.name] = upload
    ctx.arguments = validate(endpoint, ctx.path, given)
