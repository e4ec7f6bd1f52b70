"""Answers that carry a file: conditional requests, byte ranges, and the headers that name and date it.

aiohttp's own file response is not used: it takes the ETag from the modification time, serves neighbouring `.gz` files,
answers a range it cannot read with 416, and a vanished file with a 404 of its own. Here the caller says what the file
is; this module opens it, decides what part of it to send, and sends that.

A small file is read in the same thread hop that opens it. A larger one is sent by the kernel where the event loop can
ask for that, else in slices read by a thread. Either way memory stays flat and a client that stops reading is dropped.
"""

import asyncio
import logging
import re
import unicodedata
import weakref
from collections.abc import Mapping
from email.utils import formatdate
from io import FileIO
from os import fstat
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from aiohttp import ETag, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

SMALL: Final = 65_536
"""Up to this many bytes are read at once and sent together with the headers."""

SLICE: Final = 1_048_576
"""A larger file is handed over in pieces of this many bytes ..."""

STALL_SECONDS: Final = 300.0
"""... each of which the client must take within this time; after that the connection is cut."""

_READ_SIZE: Final = 262_144
_MAX_NAME: Final = 512
_MAX_EXTENSION: Final = 16
_PLAIN_NAME: Final = re.compile(r"[ !#-\[\]-~]*")
_ESCAPED_IN_NAME: Final = re.compile(r'[^ -~]|["\\]')
_ATTR_CHARS: Final = "!#$&+-.^_`|~"
_OPAQUE_TAG: Final = re.compile(r"[\x21\x23-\x7e]+")
_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.IGNORECASE)

_log = logging.getLogger(__name__)


def content_disposition(kind: Literal["attachment", "inline"], name: str) -> str:
    """The value of a Content-Disposition header for a file called `name`.

    A name of printable ASCII without quotes and backslashes is put between quotes as it is. Any other gets an ASCII
    stand-in and, for clients that know RFC 6266, the real name in UTF-8; control characters become underscores in both.
    Of a name longer than 512 characters the middle is left out. Never raises.
    """
    if len(name) > _MAX_NAME:
        dot = name.rfind(".")
        extension = name[dot:] if 0 < len(name) - dot <= _MAX_EXTENSION and dot > 0 else ""
        name = name[: _MAX_NAME - len(extension)] + extension
    if _PLAIN_NAME.fullmatch(name):
        return f'{kind}; filename="{name}"'
    # Letters with accents lose the accent rather than become underscores.
    letters = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    fallback = _ESCAPED_IN_NAME.sub("_", letters)[:_MAX_NAME]
    real = "".join("_" if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in name)
    # Lone surrogates have no UTF-8 form.
    encoded = quote(real.encode("utf-8", "replace"), safe=_ATTR_CHARS)
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"


def http_date(timestamp: float) -> str:
    """A moment in Unix seconds as HTTP writes it, such as `Wed, 21 Oct 2020 07:28:00 GMT`; fractions are cut off.

    Raises `ValueError` or `OverflowError` outside of the years 1 to 9999.
    """
    return formatdate(int(timestamp), usegmt=True)


async def file_response(
    request: web.Request,
    path: Path,
    *,
    content_type: str,
    headers: Mapping[str, str],
    etag: str,
    last_modified: float,
) -> web.StreamResponse:
    """Make the answer to a GET or HEAD for a local file that does not change.

    The answer is returned unsent, so that headers may still be added; it must not be compressed. An open file in it is
    closed once it was sent or is dropped. Beside 200 it may be 206 (one byte range; several or malformed ones are
    ignored), 304, 412 or 416; the latter two have no body and none of the caller's headers.

    Args:
        content_type: sent exactly as given.
        headers: sent with 200, 206 and 304; those that this function sets itself are overridden.
        etag: strong validator without its quotes, printable ASCII, such as the MD5 of the content.
        last_modified: Unix seconds.

    Raises:
        FileNotFoundError: the file has vanished. Not found out when the client's copy is known to be good (304).
        OSError: the file cannot be read.
        ValueError: `etag` is not fit for a header.
    """
    if _OPAQUE_TAG.fullmatch(etag) is None:
        raise ValueError("an ETag is one or more printable ASCII characters without spaces and quotes")
    modified = int(last_modified)
    refusal = {hdrs.CONTENT_TYPE: content_type, hdrs.ACCEPT_RANGES: "bytes"}
    common = CIMultiDict(headers)
    common.update({**refusal, hdrs.ETAG: f'"{etag}"', hdrs.LAST_MODIFIED: http_date(modified)})
    for name in (hdrs.CONTENT_LENGTH, hdrs.CONTENT_RANGE, hdrs.TRANSFER_ENCODING):
        common.popall(name, None)

    precondition = _precondition(request, etag, modified)
    if precondition == 412:
        return web.Response(status=412, headers=refusal)
    if precondition == 304:
        return web.Response(status=304, headers=common)

    wanted = _wanted_range(request, etag, modified)
    opening = asyncio.get_running_loop().run_in_executor(None, _open, path, wanted, request.method == hdrs.METH_HEAD)
    try:
        opened = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unused)
        raise
    part = opened.part
    if part.status == 416:
        return web.Response(status=416, headers={**refusal, hdrs.CONTENT_RANGE: f"bytes */{part.size}"})
    if part.status == 206:
        common[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.start + part.length - 1}/{part.size}"
    if opened.content is not None:
        return web.Response(status=part.status, headers=common, body=opened.content)
    common[hdrs.CONTENT_LENGTH] = str(part.length)
    if opened.file is None:
        return web.StreamResponse(status=part.status, headers=common)
    return _OpenFileResponse(opened.file, path, part, common)


class _Range(NamedTuple):
    """A byte range as asked for: `first` is None for the last `last` bytes, `last` None for the rest of the file."""

    first: int | None
    last: int | None


class _Part(NamedTuple):
    """What is sent of a file of `size` bytes."""

    status: int
    start: int
    length: int
    size: int


class _Opened(NamedTuple):
    part: _Part
    content: bytes | None = None
    file: FileIO | None = None


def _precondition(request: web.Request, etag: str, modified: int) -> int | None:
    """Which status the conditions of the request call for; None to answer as if there were none (RFC 9110, 13.2.2)."""
    if (tags := request.if_match) is not None:
        if not _matches(tags, etag, weakly=False):
            return 412
    elif (moment := request.if_unmodified_since) is not None and modified > moment.timestamp():
        return 412
    if (tags := request.if_none_match) is not None:
        if _matches(tags, etag, weakly=True):
            return 304
    elif (moment := request.if_modified_since) is not None and modified <= moment.timestamp():
        return 304
    return None


def _matches(tags: tuple[ETag, ...], etag: str, *, weakly: bool) -> bool:
    if len(tags) == 1 and tags[0].value == "*":
        return True
    return any(tag.value == etag and (weakly or not tag.is_weak) for tag in tags)


def _wanted_range(request: web.Request, etag: str, modified: int) -> _Range | None:
    """The one byte range to honour; None when there is none or it is to be ignored."""
    value = request.headers.get(hdrs.RANGE)
    if value is None or request.method != hdrs.METH_GET:
        return None
    condition = request.headers.get(hdrs.IF_RANGE)
    if condition is not None:
        if '"' in condition:
            if condition.strip() != f'"{etag}"':
                return None
        elif (moment := request.if_range) is None or moment.timestamp() != modified:
            return None
    match = _RANGE.fullmatch(value.strip())
    if match is None:
        return None
    first, last = (_number(digits) for digits in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return _Range(first, last)


def _number(digits: str) -> int | None:
    # No file is as long as 18 digits can say, and Python refuses to read thousands of them.
    return int(digits.lstrip("0")[:18] or "0") if digits else None


def _choose_part(wanted: _Range | None, size: int) -> _Part:
    # Some clients ask for a range of everything; there is none in an empty file, which is still no error of theirs.
    if wanted is None or size == 0:
        return _Part(200, 0, size, size)
    first, last = wanted
    if first is None:
        count = min(last or 0, size)
        return _Part(206, size - count, count, size) if count else _Part(416, 0, 0, size)
    if first >= size:
        return _Part(416, 0, 0, size)
    end = size if last is None else min(last + 1, size)
    return _Part(206, first, end - first, size)


def _open(path: Path, wanted: _Range | None, only_headers: bool) -> _Opened:
    file = FileIO(path, "rb")
    try:
        part = _choose_part(wanted, fstat(file.fileno()).st_size)
        if part.status == 416 or only_headers:
            file.close()
            return _Opened(part)
        file.seek(part.start)
        if part.length > SMALL:
            return _Opened(part, file=file)
        content = _read(file, part.length)
        file.close()
    except BaseException:
        file.close()
        raise
    if len(content) < part.length:
        raise OSError(f"{path} became shorter while it was read")
    return _Opened(part, content=content)


def _close_unused(opening: asyncio.Future[_Opened]) -> None:
    if not opening.cancelled() and opening.exception() is None and (file := opening.result().file) is not None:
        file.close()


def _read(file: FileIO, count: int) -> bytes:
    pieces = []
    while count > 0 and (piece := file.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


class _OpenFileResponse(web.StreamResponse):
    """Sends a part of an open file, and closes it."""

    def __init__(self, file: FileIO, path: Path, part: _Part, headers: Mapping[str, str]) -> None:
        super().__init__(status=part.status, headers=headers)
        self._file = file
        self._path = path
        self._part = part
        self._reading: asyncio.Future[bytes] | None = None
        # An answer may be dropped unsent: the client has gone, or a later step failed.
        self._close = weakref.finalize(self, file.close)
        self._close.atexit = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self.prepared:
            return await super().prepare(request)
        try:
            writer = await super().prepare(request)
            assert writer is not None
            await self._send(request, writer)
            await self.write_eof()
        finally:
            if self._reading is None:
                self._close()
            else:
                # While a thread reads, the number of the descriptor must not pass to another file.
                self._reading.add_done_callback(self._close_after)
        return writer

    def _close_after(self, reading: asyncio.Future[bytes]) -> None:
        self._close()
        if not reading.cancelled() and (error := reading.exception()) is not None:
            _log.error("%s could not be read: %s", self._path, error)

    async def _send(self, request: web.BaseRequest, writer: AbstractStreamWriter) -> None:
        by_kernel = True
        start, end = self._part.start, self._part.start + self._part.length
        while start < end:
            transport = request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the client has gone")
            count = min(SLICE, end - start)
            sent = 0
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    if by_kernel:
                        try:
                            sent = await asyncio.get_running_loop().sendfile(transport, self._file, start, count)
                        except NotImplementedError:
                            by_kernel = False
                            self._file.seek(start)
                            continue
                    else:
                        sent = await self._send_slice(writer, count)
            except TimeoutError as error:
                transport.abort()
                raise ConnectionResetError("the client stopped reading") from error
            if sent < count:
                # The promised length cannot be kept, so the client has to see a broken connection.
                _log.error("%s became shorter while it was sent", self._path)
                transport.abort()
                raise ConnectionResetError("the file became shorter")
            start += sent

    async def _send_slice(self, writer: AbstractStreamWriter, count: int) -> int:
        loop = asyncio.get_running_loop()
        sent = 0
        while sent < count:
            self._reading = loop.run_in_executor(None, _read, self._file, min(_READ_SIZE, count - sent))
            # Shielded, because cancelling the future would not stop the thread but hide when it is done.
            chunk = await asyncio.shield(self._reading)
            if not chunk:
                break
            await writer.write(chunk)
            sent += len(chunk)
        return sent
