"""What a request carries: query strings, forms, JSON and multipart bodies, read with limits and made into parameters.

Everything here is fed by strangers, so each reader has a bound on bytes, count, depth and waiting, and the only errors
for bad input are `ArgumentInvalid` and its two kinds below. A body that is simply no JSON object is no error: it counts
as no parameters.

Multipart bodies are split here over the request's stream rather than by aiohttp's `MultipartReader`: that one (3.14)
skips any amount of preamble inside one call, answers a `_charset_` field with an AssertionError, hands nested multipart
out as an object of another class, mangles file names with backslashes, and warns (with one registry entry for each
distinct header) about malformed dispositions. Nested multipart and `Content-Transfer-Encoding` other than 7bit, 8bit
and binary are refused; both are obsolete in forms (RFC 7578, sections 4.3 and 4.7).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from aiohttp import web
from aiohttp.streams import StreamReader

from litewrite.errors import ArgumentInvalid
from litewrite.http.strict_json import parse_json as parse_json

MAX_PAIRS = 1_000
"""Most fields of a query string or form; of a multipart body, files included."""
MAX_NAME_DEPTH = 8
"""Most brackets after one name."""
OFF_LOOP = 256 * 1024
"""Bodies with more bytes than this are parsed in a thread."""
IDLE_TIMEOUT = 60.0
"""Seconds a client may go without sending any more of its body."""
MAX_PART_HEADERS = 16 * 1024
"""Most bytes in the headers of one multipart part."""
MAX_FILE_NAME = 255
"""Most characters in the name of an uploaded file."""


class BodyTooLarge(ArgumentInvalid):
    """The body, or the fields of a multipart body, exceed `limit` bytes."""

    def __init__(self, limit: int, what: str = "request body") -> None:
        super().__init__("", f"The {what} is larger than {limit} bytes")
        self.limit = limit


class MultipartBroken(ArgumentInvalid):
    """The multipart body does not follow its format or ends early."""

    def __init__(self, reason: str) -> None:
        super().__init__("", f"The multipart body is broken: {reason}")


# Query strings and forms


class _Branch(dict[str, Any]):
    """The values below one bracket name; `following` is the index that `[]` stands for."""

    __slots__ = ("following",)

    def __init__(self) -> None:
        self.following = 0

    def place(self, key: str) -> str:
        if not key:
            key = str(self.following)
        if _INDEX.fullmatch(key):
            self.following = max(self.following, int(key) + 1)
        return key

    def below(self, key: str) -> _Branch:
        key = self.place(key)
        branch = self.get(key)
        if type(branch) is not _Branch:
            branch = self[key] = _Branch()
        return branch

    def value(self) -> dict[str, Any] | list[Any]:
        values = {key: item.value() if type(item) is _Branch else item for key, item in self.items()}
        if all(str(index) in values for index in range(len(values))):
            return [values[str(index)] for index in range(len(values))]
        return values


_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parameters out of fields whose names may have brackets: `a[]`, `a[0]`, `a[x]`, `a[0][x]`.

    Brackets that number 0 to n-1, in any order, make a list, others a dict with string keys. A later field replaces
    an earlier one of the same name, also where one is plain and the other has brackets. A name whose brackets are not
    closed or not at its end is a plain name. Raises ArgumentInvalid for more than `MAX_NAME_DEPTH` brackets.
    """
    result: dict[str, Any] = {}
    for name, value in pairs:
        base, keys = _split_name(name)
        if not keys:
            result[base] = value
            continue
        branch = result.get(base)
        if type(branch) is not _Branch:
            branch = result[base] = _Branch()
        for key in keys[:-1]:
            branch = branch.below(key)
        branch[branch.place(keys[-1])] = value
    for name, value in result.items():
        if type(value) is _Branch:
            result[name] = value.value()
    return result


def _split_name(name: str) -> tuple[str, list[str]]:
    start = name.find("[")
    if start <= 0 or name[-1] != "]":
        return name, []
    inside = name[start + 1 : -1]
    if inside.count("][") >= MAX_NAME_DEPTH:
        raise ArgumentInvalid(name[:start][:64], f"more than {MAX_NAME_DEPTH} brackets after one name")
    keys = inside.split("][")
    if any("[" in key or "]" in key for key in keys):
        return name, []
    return name[:start], keys


def _percent_decoded(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    if _BAD_PERCENT.search(text):
        raise ArgumentInvalid("", "A percent sign is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ArgumentInvalid("", "A percent-encoded value is not UTF-8") from None


def _pairs(text: str) -> list[tuple[str, str]]:
    if text.count("&") >= MAX_PAIRS:
        raise ArgumentInvalid("", f"More than {MAX_PAIRS} parameters")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ArgumentInvalid("", "The parameters are not UTF-8") from None
    pairs = []
    coded = "%" in text or "+" in text
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if not name:
            continue
        pairs.append((_percent_decoded(name), _percent_decoded(value)) if coded else (name, value))
    return pairs


def parse_query(query_string: str) -> dict[str, Any]:
    """The parameters of a query string as it came, still percent-encoded; see `nest` for names with brackets.

    Raises ArgumentInvalid for broken percent-encoding, text that is not UTF-8, more than `MAX_PAIRS` fields or too many
    brackets.
    """
    if not query_string:
        return {}
    pairs = _pairs(query_string)
    if "[" in query_string or "%5" in query_string:
        return nest(pairs)
    return dict(pairs)


def parse_form(body: bytes) -> dict[str, Any]:
    """The parameters of an `application/x-www-form-urlencoded` body; rules and errors of `parse_query`."""
    try:
        return parse_query(body.decode())
    except UnicodeDecodeError:
        raise ArgumentInvalid("", "The form is not UTF-8") from None


# Reading


async def _receive(content: StreamReader) -> bytes:
    """What has arrived, at least one byte; empty at the end. Raises ConnectionResetError when the client has gone."""
    try:
        chunk = content.read_nowait()
        if chunk or content.at_eof():
            return chunk
        async with asyncio.timeout(IDLE_TIMEOUT):
            return await content.readany()
    except web.RequestPayloadError:
        raise ArgumentInvalid("", "The request body does not follow its transfer or content encoding") from None
    except TimeoutError:
        raise ArgumentInvalid("", f"No more of the request body arrived for {IDLE_TIMEOUT:g} seconds") from None


def _refuse_declared(request: web.BaseRequest, limit: int) -> None:
    length = request.content_length
    if length is not None and length > limit:
        raise BodyTooLarge(limit)


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body, at most `limit` bytes after decompression; the stream is used up.

    Raises BodyTooLarge, without reading when Content-Length already says so; ArgumentInvalid for a body that does not
    follow its encoding or stops arriving; ConnectionResetError when the client goes away.
    """
    _refuse_declared(request, limit)
    chunks = []
    size = 0
    while chunk := await _receive(request.content):
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def parse_body(request: web.BaseRequest, limit: int) -> dict[str, Any]:
    """The parameters in the body, by its Content-Type; of GET and HEAD always `{}`, their body is left alone.

    JSON, multipart (files are skipped), without Content-Type nothing, anything else as urlencoded form. Raises what the
    readers and parsers of this module raise.
    """
    if request.method in ("GET", "HEAD"):
        return {}
    header = request.headers.get("Content-Type")
    if not header:
        return {}
    content_type = header.partition(";")[0].strip()
    if content_type == "multipart/form-data":
        return await parse_multipart(request, limit=limit, field_limit=limit)
    body = await read_body(request, limit)
    parse = parse_json if content_type == "application/json" else parse_form
    if len(body) > OFF_LOOP:
        return await asyncio.to_thread(parse, body)
    return parse(body)


# Multipart


@dataclass(frozen=True, slots=True)
class Field:
    """A text field of a multipart body; `name` may have brackets, see `nest`."""

    name: str
    value: str


class FilePart:
    """A file of a multipart body, to be iterated once for its chunks, before the reader goes on to the next part."""

    __slots__ = ("_reader", "content_type", "filename", "name")

    def __init__(self, reader: MultipartReader, name: str, filename: str, content_type: str) -> None:
        self._reader = reader
        self.name = name
        """Name of the field without brackets: `file` for `file[]`."""
        self.filename = filename
        """Base name without folders and control characters, 1 to `MAX_FILE_NAME` characters."""
        self.content_type = content_type
        """Media type in lower case as the client claims it, without parameters; empty when there is none."""

    def __aiter__(self) -> FilePart:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the file, as they arrive. Raises as `MultipartReader`, and RuntimeError when too late."""
        chunk = await self._reader.read_file(self)
        if not chunk:
            raise StopAsyncIteration
        return chunk


FileSink = Callable[[FilePart, dict[str, Any]], Awaitable[None]]


class MultipartReader:
    """The parts of a `multipart/form-data` body in order: `Field`s, read, and `FilePart`s, whose bytes are to come.

    At most `limit` bytes in all, `field_limit` bytes in all fields together and `MAX_PAIRS` parts. What is left of a
    file is skipped when the next part is asked for. A file input that was left empty (no file name) is passed over.

    Creating and iterating raise MultipartBroken, BodyTooLarge, ArgumentInvalid for a field that is not UTF-8 or a body
    that stops arriving, and ConnectionResetError when the client goes away.
    """

    def __init__(self, request: web.BaseRequest, *, limit: int, field_limit: int) -> None:
        _refuse_declared(request, limit)
        self._delimiter = b"\r\n--" + _boundary(request.headers.get("Content-Type", ""))
        self._content = request.content
        self._limit = limit
        self._field_limit = field_limit
        # The first delimiter may stand at the very start, without the line break of the others.
        self._buffer = bytearray(b"\r\n")
        self._received = self._field_bytes = self._parts = 0
        self._in_data = True
        self._ended = False
        self._file: FilePart | None = None

    def __aiter__(self) -> MultipartReader:
        return self

    async def __anext__(self) -> Field | FilePart:
        while True:
            self._file = None
            while await self._data():
                pass
            if self._ended or not await self._next_part():
                raise StopAsyncIteration
            part = await self._part()
            if part is not None:
                return part

    async def read_file(self, part: FilePart) -> bytes:
        """The next bytes of `part`, empty at its end. Raises RuntimeError when the reader has gone on."""
        if self._file is not part:
            raise RuntimeError("the file was passed over: read it before asking for the next part")
        return await self._data()

    async def _fill(self) -> bool:
        chunk = await _receive(self._content)
        self._received += len(chunk)
        if self._received > self._limit:
            raise BodyTooLarge(self._limit)
        self._buffer += chunk
        return bool(chunk)

    async def _data(self) -> bytes:
        """Bytes up to the next delimiter, as they arrive; empty once it is reached, which then is used up."""
        buffer, delimiter = self._buffer, self._delimiter
        keep = len(delimiter) - 1
        while self._in_data:
            end = buffer.find(delimiter)
            if end == 0:
                del buffer[: len(delimiter)]
                self._in_data = False
                break
            if end < 0:
                end = len(buffer) - keep
            if end > 0:
                data = bytes(buffer[:end])
                del buffer[:end]
                return data
            if not await self._fill():
                raise MultipartBroken("it ends before its final boundary")
        return b""

    async def _until(self, mark: bytes, most: int) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > most:
                raise MultipartBroken("a boundary or the headers of a part are too long")
            if not await self._fill():
                raise MultipartBroken("it ends before its final boundary")
        if end > most:
            raise MultipartBroken("a boundary or the headers of a part are too long")
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    async def _next_part(self) -> bool:
        """Whether the delimiter just read starts another part; else the rest of the body has been skipped."""
        while len(self._buffer) < 2 and await self._fill():
            pass
        if self._buffer.startswith(b"--"):
            self._ended = True
            self._buffer.clear()
            while await self._fill():
                self._buffer.clear()
            return False
        if (await self._until(b"\r\n", 256)).strip(b" \t"):
            raise MultipartBroken("a boundary is followed by other text")
        self._parts += 1
        if self._parts > MAX_PAIRS:
            raise ArgumentInvalid("", f"More than {MAX_PAIRS} fields")
        return True

    async def _part(self) -> Field | FilePart | None:
        headers = _part_headers(await self._until(b"\r\n\r\n", MAX_PART_HEADERS))
        self._in_data = True
        kind, params = _header_params(headers.get("content-disposition", ""))
        name = params.get("name", "").replace("%22", '"')
        if kind != "form-data" or not name:
            raise MultipartBroken("a part has no form-data disposition with a name")
        if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
            raise MultipartBroken("a part has a Content-Transfer-Encoding")
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type.startswith("multipart/"):
            raise MultipartBroken("a part is multipart itself")
        raw_name = _raw_file_name(params)
        if raw_name is None:
            return Field(name, await self._field_value(name))
        if not raw_name:
            return None
        self._file = FilePart(self, _split_name(name)[0], base_name(raw_name), content_type)
        return self._file

    async def _field_value(self, name: str) -> str:
        value = bytearray()
        while chunk := await self._data():
            self._field_bytes += len(chunk)
            if self._field_bytes > self._field_limit:
                raise BodyTooLarge(self._field_limit, "text in the form's fields")
            value += chunk
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ArgumentInvalid(name[:64], "the value is not UTF-8") from None


async def parse_multipart(
    request: web.BaseRequest, *, limit: int, field_limit: int, file_field: str = "", sink: FileSink | None = None
) -> dict[str, Any]:
    """The fields of a multipart body; the first file in `file_field` goes to `sink`, other files are skipped.

    `sink` is awaited with the file and the fields that came before it; what it leaves unread is skipped. Raises as
    `MultipartReader` and whatever the sink raises.
    """
    pairs: list[tuple[str, str]] = []
    async for part in MultipartReader(request, limit=limit, field_limit=field_limit):
        if isinstance(part, Field):
            pairs.append((part.name, part.value))
        elif sink is not None and part.name == file_field:
            await sink(part, nest(pairs))
            sink = None
    return nest(pairs)


_PARAMETER = re.compile(
    r"""[ \t]*;[ \t]*(?:([\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;"]*)))?[ \t]*""",
    re.ASCII | re.DOTALL,
)
_QUOTED_PAIR = re.compile(r'\\(["\\])')
_BOUNDARY = re.compile(r"[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]", re.ASCII)
# Control characters, line separators and what reverses the direction of text.
_UNSAFE_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _header_params(header: str) -> tuple[str, dict[str, str]]:
    value, _, _ = header.partition(";")
    params: dict[str, str] = {}
    at = len(value)
    while at < len(header):
        match = _PARAMETER.match(header, at)
        if match is None:
            raise MultipartBroken("a header has malformed parameters")
        at = match.end()
        name, quoted, plain = match.groups()
        if name is None:
            continue
        if name.lower() in params:
            raise MultipartBroken("a header has a parameter twice")
        params[name.lower()] = plain.strip(" \t") if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
    return value.strip().lower(), params


def _boundary(content_type: str) -> bytes:
    kind, params = _header_params(content_type)
    if kind != "multipart/form-data":
        raise MultipartBroken("the Content-Type is not multipart/form-data")
    boundary = params.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise MultipartBroken("the Content-Type has no boundary of 1 to 70 characters")
    return boundary.encode()


def _part_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode(errors="replace").split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in headers:
            raise MultipartBroken("a part has malformed headers")
        headers[name] = value.strip(" \t")
    return headers


def _raw_file_name(params: Mapping[str, str]) -> str | None:
    """The file name as the client has it, None for a part that is no file."""
    extended = params.get("filename*")
    plain = params.get("filename")
    if extended is not None:
        charset, _, text = extended.partition("'")
        text = text.partition("'")[2]
        if charset.lower() in ("utf-8", "iso-8859-1") and not _BAD_PERCENT.search(text):
            try:
                return unquote(text, charset, "strict")
            except UnicodeDecodeError:
                pass  # the plain name, where there is one, is still good
        if plain is None:
            raise MultipartBroken("a file name is wrongly encoded")
    if plain is None:
        return None
    # Browsers encode these three and nothing else, not even the percent sign.
    return plain.replace("%22", '"').replace("%0D", "").replace("%0A", "")


def base_name(name: str) -> str:
    """A file name without folders (of either slash) and control characters, at most `MAX_FILE_NAME` characters.

    Cutting keeps the extension. A name of which nothing is left becomes `file`.
    """
    name = _UNSAFE_IN_NAMES.sub("", name).replace("\\", "/").rpartition("/")[2].strip()
    if name in ("", ".", ".."):
        return "file"
    if len(name) > MAX_FILE_NAME:
        stem, dot, extension = name.rpartition(".")
        tail = dot + extension if stem and len(extension) <= 32 else ""
        name = name[: MAX_FILE_NAME - len(tail)] + tail
    return name
