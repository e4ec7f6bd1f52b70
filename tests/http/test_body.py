from __future__ import annotations

import asyncio
import gzip
import io
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest import mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from litewrite.errors import ArgumentInvalid
from litewrite.http import body as body_module
from litewrite.http.body import (
    MAX_FILE_NAME,
    MAX_PAIRS,
    MAX_PART_HEADERS,
    BodyTooLarge,
    Field,
    FilePart,
    MultipartBroken,
    MultipartReader,
    base_name,
    parse_body,
    parse_multipart,
    read_body,
)

FORM = "multipart/form-data; boundary=XX"
Chunks = list[bytes]


class Arriving(StreamReader):
    """A stream that gets its next chunk when its reader has to wait."""

    def __init__(self, chunks: Chunks) -> None:
        super().__init__(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
        self.coming = [chunk for chunk in chunks if chunk]

    async def readany(self) -> bytes:
        if self.coming:
            self.feed_data(self.coming.pop(0))
        else:
            self.feed_eof()
        return await super().readany()


def request_of(chunks: Chunks, content_type: str | None = FORM, method: str = "POST", **headers: str) -> web.Request:
    """A request whose body arrives chunk by chunk, each read one by one."""
    content = Arriving(chunks)
    sent = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    if content_type is not None:
        sent["Content-Type"] = content_type
    return make_mocked_request(method, "/", sent, payload=content)


def form(*parts: str | bytes, end: bytes = b"--XX--\r\n") -> bytes:
    """A body of parts, each its headers, an empty line and its data; line ends are written as `\\n`."""
    texts = [part.encode().replace(b"\n", b"\r\n") if isinstance(part, str) else part for part in parts]
    return b"".join(b"--XX\r\n" + text + b"\r\n" for text in texts) + end


def field(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\n\n{value}'


def file(data: bytes, disposition: str = 'name="file"; filename="a.txt"', *headers: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {disposition}", *headers, "", ""]
    return "\r\n".join(lines).encode() + data


async def parts_of(request: web.Request, limit: int = 10**6, field_limit: int = 10**5) -> list[Any]:
    found: list[Any] = []
    async for part in MultipartReader(request, limit=limit, field_limit=field_limit):
        if isinstance(part, Field):
            found.append((part.name, part.value))
        else:
            data = b"".join([chunk async for chunk in part])
            found.append((part.name, part.filename, part.content_type, data))
    return found


# Reading


async def test_read_body_joins_chunks_up_to_the_limit() -> None:
    assert await read_body(request_of([b"ab", b"c"]), 3) == b"abc"
    assert await read_body(request_of([]), 0) == b""
    with pytest.raises(BodyTooLarge):
        await read_body(request_of([b"ab", b"cd"]), 3)


async def test_a_declared_length_above_the_limit_is_refused_unread() -> None:
    request = request_of([b"abcd"], Content_Length="4")
    with pytest.raises(BodyTooLarge) as caught:
        await read_body(request, 3)
    assert caught.value.limit == 3
    assert request.content.total_bytes == 0
    with pytest.raises(BodyTooLarge):
        await parse_multipart(request, limit=3, field_limit=3)
    assert request.content.total_bytes == 0


async def test_a_body_that_stops_arriving_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "IDLE_TIMEOUT", 0.01)
    content = StreamReader(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
    content.feed_data(b"--XX\r\n")
    request = make_mocked_request("POST", "/", {"Content-Type": FORM}, payload=content)
    with pytest.raises(ArgumentInvalid, match="arrived"):
        await parse_body(request, 100)


JSON_TYPE = "application/json"
URLENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        (JSON_TYPE, b'{"a":[1]}', {"a": [1]}),
        (JSON_TYPE + "; charset=utf-8", b'{"a":1}', {"a": 1}),
        (JSON_TYPE, b"null", {}),
        (JSON_TYPE, b"[]", {}),
        (JSON_TYPE, b"", {}),
        (URLENCODED, b"a[]=1&b=x+y", {"a": ["1"], "b": "x y"}),
        ("text/plain", b"a=1", {"a": "1"}),
        ("application/jsonx", b"a=1", {"a": "1"}),
        (FORM, form(field("a[]", "1"), file(b"data"), field("b", "2")), {"a": ["1"], "b": "2"}),
        (None, b'{"a":1}', {}),
        ("", b'{"a":1}', {}),
    ],
)
async def test_parse_body_goes_by_the_content_type(content_type: str | None, body: bytes, value: object) -> None:
    assert await parse_body(request_of([body], content_type), 1_000) == value


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_body_of_a_get_is_ignored(method: str) -> None:
    for body in (b'{"a":1}', b"null", b'{"a":1,"a":2}'):
        assert await parse_body(request_of([body], JSON_TYPE, method), 1) == {}


async def test_large_bodies_are_parsed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    parse_json = body_module.parse_json

    def recorded(body: bytes) -> dict[str, Any]:
        threads.append(threading.current_thread() is threading.main_thread())
        return parse_json(body)

    monkeypatch.setattr(body_module, "parse_json", recorded)
    large = b'{"a":"' + b"x" * body_module.OFF_LOOP + b'"}'
    assert len((await parse_body(request_of([large], JSON_TYPE), 10**6))["a"]) == body_module.OFF_LOOP
    assert await parse_body(request_of([b'{"a":1}'], JSON_TYPE), 10**6) == {"a": 1}
    assert threads == [False, True]


# Multipart


async def test_parts_come_in_order() -> None:
    body = form(
        field("read[0]", "*"),
        file(b"\x00\r\n--X\r\n", 'name="file"; filename="a.txt"', "Content-Type: Text/Plain; charset=x"),
        field("naïve", "wört\n"),
        field("empty", ""),
        file(b"", 'name="file[]"; filename=b.bin'),
    )
    assert await parts_of(request_of([body])) == [
        ("read[0]", "*"),
        ("file", "a.txt", "text/plain", b"\x00\r\n--X\r\n"),
        ("naïve", "wört\r\n"),
        ("empty", ""),
        ("file", "b.bin", "", b""),
    ]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ('multipart/form-data; charset=utf-8; boundary="XX"', form(field("a", "1"))),
        ("multipart/form-data;boundary=XX;", form(field("a", "1"))),
        (FORM, b"preamble\r\nof two lines\r\n" + form(field("a", "1"))),
        (FORM, form(field("a", "1"), end=b"--XX--")),
        (FORM, form(field("a", "1"), end=b"--XX--\r\nepilogue --XX\r\n")),
        (FORM, form(field("a", "1")).replace(b"--XX\r\n", b"--XX \t\r\n")),
        (FORM, form("CONTENT-DISPOSITION:form-data;NAME=a\nContent-Transfer-Encoding: 8BIT\nX-Other:\n\n1")),
        (FORM, form('Content-Disposition: form-data; name="a"\nContent-Length: 99\n\n1')),
        (FORM, form(file(b"x", 'name="file"; filename=""'), field("a", "1"))),
    ],
)
async def test_what_clients_may_vary(content_type: str, body: bytes) -> None:
    assert await parts_of(request_of([body], content_type)) == [("a", "1")]


async def test_a_form_without_parts_is_empty() -> None:
    assert await parts_of(request_of([form()])) == []


async def test_charset_is_a_field_like_others() -> None:
    boundary = "B" * 60
    body = form(field("_charset_", "latin-1"), field("a", "ä")).replace(b"XX", boundary.encode())
    found = await parts_of(request_of([body], f"multipart/form-data; boundary={boundary}"))
    assert found == [("_charset_", "latin-1"), ("a", "ä")]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="',
        "multipart/form-data; x",
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="a\\"b"',
        "multipart/mixed; boundary=XX",
        'multipart/form-data; boundary="XX "',
        "multipart/form-data; boundary=XX; boundary=YY",
        "multipart/form-data; boundary=ä",
    ],
)
async def test_a_content_type_without_good_boundary(content_type: str) -> None:
    with pytest.raises(MultipartBroken):
        await parts_of(request_of([form(field("a", "1"))], content_type))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a=1",
        form(field("a", "1"), end=b""),
        form(field("a", "1"), end=b"--XX"),
        form(field("a", "1"), end=b"--XX-"),
        form(field("a", "1"), end=b"--XX\r\n"),
        form(field("a", "1"), end=b"--XXY\r\n\r\n"),
        form(field("a", "1"))[:-20],
        form(file(b"x" * 1_000))[:500],
        form("no colon\n\n1"),
        form(" Content-Disposition: form-data; name=a\n\n1"),
        form("Content-Disposition: form-data; name=a\n folded\n\n1"),
        form("Content-Disposition: form-data; name=a\nContent-Disposition: form-data; name=b\n\n1"),
        form("Content-Type: text/plain\n\n1"),
        form("Content-Disposition: form-data\n\n1"),
        form('Content-Disposition: form-data; name=""\n\n1'),
        form("Content-Disposition: attachment; name=a\n\n1"),
        form('Content-Disposition: form-data; name="a\n\n1'),
        form('Content-Disposition: form-data; name="a"b\n\n1'),
        form("Content-Disposition: form-data; name=a; name=b\n\n1"),
        form("Content-Disposition: form-data; name=a; filename*=x\n\n1"),
        form("Content-Disposition: form-data; name=a; filename*=UTF-8''%ff\n\n1"),
        form("Content-Disposition: form-data; name=a; filename*=koi8-r''x\n\n1"),
        form("Content-Disposition: form-data; name=a\nContent-Transfer-Encoding: base64\n\nMQ=="),
        form("Content-Disposition: form-data; name=a\nContent-Transfer-Encoding: quoted-printable\n\n=31"),
        form("Content-Disposition: form-data; name=a\nContent-Type: multipart/mixed; boundary=Y\n\n--Y--"),
        form("X: " + "x" * MAX_PART_HEADERS + "\n\n1"),
        b"--XX\r\n" + b"x" * (MAX_PART_HEADERS + 100),
        b"--XX" + b" " * 1_000 + b"\r\n",
        form(field("a", "1")).replace(b"\r\n", b"\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])
async def test_broken_bodies(body: bytes, size: int) -> None:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    with pytest.raises(MultipartBroken):
        await parts_of(request_of(chunks))
    with pytest.raises(ArgumentInvalid):
        await parse_body(request_of(chunks), 10**6)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="logo.png"', "logo.png"),
        ("filename=logo.png", "logo.png"),
        ('filename="with space; semicolon.png"', "with space; semicolon.png"),
        ('filename="größe 😀.png"', "größe 😀.png"),
        ('filename="C:\\dir\\logo.png"', "logo.png"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="a\\"b.png"', 'a"b.png'),
        ('filename="a%22b%0D%0A.png"', 'a"b.png'),
        ('filename="50%20off.png"', "50%20off.png"),
        ("filename=\"fallback.png\"; filename*=UTF-8''%e2%82%ac.png", "€.png"),
        ("filename*=utf-8'en'..%2F..%5Cx.png", "x.png"),
        ("filename*=iso-8859-1''%e4.png", "ä.png"),
        ("filename=\"fallback.png\"; filename*=UTF-8''%ff", "fallback.png"),
        ("filename=\"fallback.png\"; filename*=koi8-r''x", "fallback.png"),
        ('filename="a\tb\x01c\u202egnp.png"', "abcgnp.png"),
        ('filename="dir/"', "file"),
        ('filename=".."', "file"),
    ],
)
async def test_file_names(disposition: str, name: str) -> None:
    body = form(file(b"x", f'name="file"; {disposition}'))
    assert await parts_of(request_of([body])) == [("file", name, "", b"x")]


def test_long_file_names_keep_their_extension() -> None:
    assert base_name("x" * 300 + ".tar.gz") == "x" * (MAX_FILE_NAME - 3) + ".gz"
    assert base_name("x" * 300) == "x" * MAX_FILE_NAME
    assert base_name("x." + "y" * 300) == ("x." + "y" * 300)[:MAX_FILE_NAME]
    assert base_name("." + "y" * 300) == "." + "y" * (MAX_FILE_NAME - 1)


@given(st.text(max_size=400))
def test_any_file_name_becomes_a_harmless_one(name: str) -> None:
    harmless = base_name(name)
    assert 1 <= len(harmless) <= MAX_FILE_NAME
    assert harmless not in (".", "..")
    assert not set(harmless) & set("/\\\0\r\n")


async def test_the_whole_body_is_limited() -> None:
    body = form(file(b"x" * 1_000))
    assert await parts_of(request_of([body]), limit=len(body))
    chunks = [body[at : at + 100] for at in range(0, len(body), 100)]
    with pytest.raises(BodyTooLarge):
        await parts_of(request_of(chunks), limit=len(body) - 1)
    for endless in (
        [b"preamble\r\n"] * 100,
        [form(), *[b"epilogue"] * 100],
        [form(file(b"x" * 10), end=b""), *[b"y" * 10] * 99],
    ):
        with pytest.raises(BodyTooLarge):
            await parts_of(request_of(endless), limit=500)


async def test_text_fields_are_limited_together_and_files_are_not() -> None:
    body = form(field("a", "x" * 60), file(b"y" * 1_000), field("b", "x" * 40))
    assert len(await parts_of(request_of([body]), field_limit=100)) == 3
    with pytest.raises(BodyTooLarge):
        await parts_of(request_of([body]), field_limit=99)


async def test_the_number_of_parts_is_limited() -> None:
    assert len(await parts_of(request_of([form(*[field("a", "1")] * MAX_PAIRS)]))) == MAX_PAIRS
    with pytest.raises(ArgumentInvalid):
        await parts_of(request_of([form(*[field("a", "1")] * (MAX_PAIRS + 1))]))


async def test_a_field_that_is_not_utf8_is_named() -> None:
    with pytest.raises(ArgumentInvalid) as caught:
        await parts_of(request_of([form(field("a", "").encode().replace(b"\n", b"\r\n") + b"\xff")]))
    assert caught.value.param == "a"


async def test_a_file_left_unread_is_skipped_and_too_late_to_read() -> None:
    reader = MultipartReader(request_of([form(file(b"x" * 100), field("a", "1"))]), limit=10**4, field_limit=10**4)
    part = await anext(reader)
    assert isinstance(part, FilePart)
    assert await anext(reader) == Field("a", "1")
    with pytest.raises(RuntimeError):
        await anext(part)
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(reader)


async def test_a_file_is_handed_on_while_it_still_arrives() -> None:
    head, tail = form(file(b"x" * 100))[:100], form(file(b"x" * 100))[100:]
    request = request_of([head, tail])
    part = await anext(MultipartReader(request, limit=10**4, field_limit=10**4))
    assert isinstance(part, FilePart)
    assert await anext(part)
    assert request.content.total_bytes == len(head)


async def test_the_first_file_of_the_wanted_field_goes_to_the_sink() -> None:
    taken: list[object] = []

    async def sink(part: FilePart, before: dict[str, Any]) -> None:
        taken.append((part.filename, before, b"".join([chunk async for chunk in part])))

    body = form(
        field("read[]", "*"),
        file(b"other", 'name="other"; filename="o"'),
        file(b"first", 'name="file[]"; filename="1"'),
        file(b"second", 'name="file[]"; filename="2"'),
        field("write[]", "user:x"),
    )
    fields = await parse_multipart(request_of([body]), limit=10**4, field_limit=10**4, file_field="file", sink=sink)
    assert fields == {"read": ["*"], "write": ["user:x"]}
    assert taken == [("1", {"read": ["*"]}, b"first")]


async def test_what_the_sink_leaves_is_skipped_and_what_it_raises_comes_out() -> None:
    async def lazy(part: FilePart, before: dict[str, Any]) -> None:
        pass

    async def failing(part: FilePart, before: dict[str, Any]) -> None:
        raise LookupError

    body = form(file(b"x" * 5_000), field("a", "1"))
    assert await parse_multipart(request_of([body]), limit=10**4, field_limit=9, file_field="file", sink=lazy) == {
        "a": "1"
    }
    with pytest.raises(LookupError):
        await parse_multipart(request_of([body]), limit=10**4, field_limit=9, file_field="file", sink=failing)


NAMES = st.text(st.characters(blacklist_categories=("C", "Z"), blacklist_characters='"\\%[]'), min_size=1, max_size=8)
DATA = st.binary(max_size=40) | st.lists(st.sampled_from([b"\r", b"\n", b"-", b"X", b"\r\n--X", b"\r\n--"])).map(
    b"".join
)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, DATA)), st.integers(1, 50))
def test_any_data_in_any_chunks_round_trips(files: list[tuple[str, bytes]], size: int) -> None:
    files = [(name, data) for name, data in files if b"\r\n--XX" not in b"\r\n" + data + b"\r\n"]
    body = form(*(file(data, f'name="{name}"; filename="f"') for name, data in files))
    chunks = [body[at : at + size] for at in range(0, len(body), size)]

    async def run() -> list[Any]:
        return await parts_of(request_of(chunks))

    assert asyncio.run(run()) == [(name, "f", "", data) for name, data in files]


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"--XX", b"\r\n", b"--", *form(field("a", "1"), file(b"x")).split(b" "), b'"', b";"])))
def test_any_body_gives_parts_or_argument_invalid(pieces: list[bytes]) -> None:
    async def run() -> None:
        await parts_of(request_of(pieces))

    try:
        asyncio.run(run())
    except ArgumentInvalid:
        pass


# Over a socket

Answer = Callable[[web.Request], Awaitable[object]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Answer], Awaitable[URL]]]:
    servers = []

    async def start(answer: Answer) -> URL:
        async def handle(request: web.Request) -> web.Response:
            try:
                return web.Response(text=repr(await answer(request)))
            except ArgumentInvalid as error:
                return web.Response(status=400, text=type(error).__name__)

        application = web.Application()
        application.router.add_route("*", "/", handle)
        server = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await server.setup()
        servers.append(server)
        await web.TCPSite(server, "127.0.0.1", 0).start()
        host, port = server.addresses[0][:2]
        return URL.build(scheme="http", host=host, port=port)

    yield start
    for server in servers:
        await server.cleanup()


async def test_uploads_of_aiohttp_with_and_without_a_length(serve: Callable[[Answer], Awaitable[URL]]) -> None:
    async def answer(request: web.Request) -> object:
        sizes: list[int] = []

        async def sink(part: FilePart, before: dict[str, Any]) -> None:
            sizes.append(sum([len(chunk) async for chunk in part]))

        fields = await parse_multipart(request, limit=10**6, field_limit=1_000, file_field="file", sink=sink)
        return fields, sizes, request.content_length is None

    url = await serve(answer)
    async with aiohttp.ClientSession() as session:
        for chunked in (True, False):
            data = aiohttp.FormData({"read[0]": "*", "read[1]": "a"})
            data.add_field("file", io.BytesIO(b"x" * 700_000), filename="größe.bin")
            async with session.post(url, data=data, chunked=chunked or None) as response:
                assert await response.text() == repr(({"read": ["*", "a"]}, [700_000], chunked))
        for count in (999_000, 1_100_000):
            data = aiohttp.FormData()
            data.add_field("file", io.BytesIO(b"x" * count), filename="a")
            async with session.post(url, data=data, chunked=True) as response:
                assert response.status == (200 if count < 10**6 else 400)


async def test_bodies_that_lie_about_their_encoding(serve: Callable[[Answer], Awaitable[URL]]) -> None:
    url = await serve(lambda request: parse_body(request, 1_000))
    headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        async with session.post(url, data=gzip.compress(b'{"a":1}'), headers=headers) as response:
            assert await response.text() == "{'a': 1}"
        async with session.post(url, data=b"no gzip", headers=headers) as response:
            assert (response.status, await response.text()) == (400, "ArgumentInvalid")
        async with session.post(url, data=gzip.compress(b" " * 10**6), headers=headers) as response:
            assert (response.status, await response.text()) == (400, "BodyTooLarge")
        async with session.get(url, data=b"null", headers={"Content-Type": JSON_TYPE}) as response:
            assert await response.text() == "{}"


@pytest.mark.parametrize("content_type", [JSON_TYPE, FORM])
async def test_a_client_that_goes_away(serve: Callable[[Answer], Awaitable[URL]], content_type: str) -> None:
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    started = asyncio.Event()

    async def answer(request: web.Request) -> object:
        started.set()
        try:
            return await parse_body(request, 1_000)
        except ConnectionResetError as error:
            outcome.set_result(error)
            return None

    url = await serve(answer)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: 99\r\n\r\n--XX".encode()
    )
    await writer.drain()
    async with asyncio.timeout(5):
        await started.wait()
        writer.close()
        await writer.wait_closed()
        assert isinstance(await outcome, ConnectionResetError)


async def test_a_broken_transfer_encoding_is_given_up(
    serve: Callable[[Answer], Awaitable[URL]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "IDLE_TIMEOUT", 0.1)
    started = asyncio.Event()

    async def answer(request: web.Request) -> object:
        started.set()
        return await parse_body(request, 1_000)

    url = await serve(answer)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    headers = "Host: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    writer.write(f"POST / HTTP/1.1\r\n{headers}\r\n\r\n1\r\n{{\r\n".encode())
    try:
        async with asyncio.timeout(5):
            await started.wait()
            writer.write(b"ZZ\r\n")
            assert b" 400 " in await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()
