"""File answers over a real socket, on the standard event loop and on uvloop."""

import asyncio
import errno
import gc
import logging
import os
import random
import re
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientSession, web
from aiohttp.test_utils import make_mocked_request
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDictProxy

from litewrite.http import files
from litewrite.http.files import SLICE, SMALL, content_disposition, file_response, http_date

T = TypeVar("T")

ETAG = "9e107d9d372bb6826bd81d3542a419d6"
MODIFIED = 1_600_000_000.75
MODIFIED_HTTP = "Sun, 13 Sep 2020 12:26:40 GMT"
EARLIER = "Sun, 13 Sep 2020 12:26:39 GMT"
LATER = "Sun, 13 Sep 2020 12:26:41 GMT"

SIZES = [0, 1, 10, SMALL, SMALL + 1, SLICE, 2 * SLICE + 77_777]


class Run(Protocol):
    def __call__(self, scenario: Coroutine[Any, Any, T]) -> T: ...


class Reply(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "uvloop":
        factory: Callable[[], asyncio.AbstractEventLoop] = pytest.importorskip("uvloop").new_event_loop
    else:
        factory = asyncio.new_event_loop

    def call(scenario: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(scenario)

    return call


@asynccontextmanager
async def serving(path: Path, before_send: Callable[[], None] = lambda: None) -> AsyncIterator[str]:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            response = await file_response(
                request,
                path,
                content_type="text/plain",
                headers={"Content-Disposition": "inline", "Expires": "later", "Content-Length": "999999"},
                etag=ETAG,
                last_modified=MODIFIED,
            )
        except FileNotFoundError:
            return web.Response(status=404, text="gone")
        response.headers["X-Added"] = "afterwards"
        before_send()
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def exchange(path: Path, *requests: Mapping[str, str], method: str = "GET") -> list[Reply]:
    """Send requests one after the other over one connection."""
    replies = []
    async with serving(path) as url, ClientSession(auto_decompress=False) as session:
        for headers in requests:
            async with session.request(method, url, headers=headers) as response:
                replies.append(Reply(response.status, response.headers, await response.read()))
    return replies


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[int], tuple[Path, bytes]]:
    def make(size: int) -> tuple[Path, bytes]:
        content = random.Random(size).randbytes(size)
        path = tmp_path / "blob"
        path.write_bytes(content)
        return path, content

    return make


MakeFile = Callable[[int], tuple[Path, bytes]]


@pytest.mark.parametrize("size", SIZES)
def test_the_whole_file(run: Run, make_file: MakeFile, size: int) -> None:
    path, content = make_file(size)
    for reply in run(exchange(path, {}, {}, {"Accept-Encoding": "gzip, br"})):
        assert reply.status == 200
        assert reply.body == content
        assert reply.headers["Content-Type"] == "text/plain"
        assert reply.headers.getall("Content-Length") == [str(size)]
        assert reply.headers["ETag"] == f'"{ETAG}"'
        assert reply.headers["Last-Modified"] == MODIFIED_HTTP
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert reply.headers["Content-Disposition"] == "inline"
        assert reply.headers["X-Added"] == "afterwards"
        assert "Content-Encoding" not in reply.headers
        assert "Transfer-Encoding" not in reply.headers


@pytest.mark.parametrize("size", SIZES)
def test_head_says_the_same_without_the_body(run: Run, make_file: MakeFile, size: int) -> None:
    path, _ = make_file(size)
    for reply in run(exchange(path, {}, {"Range": "bytes=0-0"}, method="HEAD")):
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["Content-Length"] == str(size)
        assert reply.headers["Content-Type"] == "text/plain"
        assert reply.headers["ETag"] == f'"{ETAG}"'
        assert "Content-Range" not in reply.headers


@pytest.mark.parametrize("size", [10, SMALL + 10, 2 * SLICE + 77_777])
def test_one_range(run: Run, make_file: MakeFile, size: int) -> None:
    path, content = make_file(size)
    ranges = {
        "bytes=0-0": (0, 1),
        "bytes=0-": (0, size),
        "bytes=3-6": (3, 7),
        "bytes=3-": (3, size),
        "bytes=-1": (size - 1, size),
        f"bytes=-{size + 5}": (0, size),
        f"bytes=5-{size - 2}": (5, size - 1),
        f"bytes=5-{size + 100}": (5, size),
        "BYTES = 002 - 004": (2, 5),
        "bytes=1-" + "9" * 5000: (1, size),
        "bytes=-" + "9" * 5000: (0, size),
    }
    replies = run(exchange(path, *({"Range": value} for value in ranges)))
    for reply, (start, end) in zip(replies, ranges.values(), strict=True):
        assert reply.status == 206
        assert reply.body == content[start:end]
        assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert reply.headers["Content-Length"] == str(end - start)
        assert reply.headers["Content-Type"] == "text/plain"
        assert reply.headers["ETag"] == f'"{ETAG}"'


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_behind_the_end(run: Run, make_file: MakeFile, value: str) -> None:
    path, _ = make_file(10)
    (reply,) = run(exchange(path, {"Range": value}))
    assert (reply.status, reply.body) == (416, b"")
    assert reply.headers["Content-Range"] == "bytes */10"
    assert "Expires" not in reply.headers


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=1",
        "items=0-1",
        "bytes=0-1,4-5",
        "bytes=0-1, 2-3",
        "bytes=+1-2",
        "bytes=1_0-",
        "bytes=٣-٤",
    ],
)
def test_ranges_that_are_ignored(run: Run, make_file: MakeFile, value: str) -> None:
    path, content = make_file(10)
    (reply,) = run(exchange(path, {"Range": value}))
    assert (reply.status, reply.body) == (200, content)


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=7-"])
def test_any_range_of_an_empty_file_is_the_empty_file(run: Run, make_file: MakeFile, value: str) -> None:
    path, _ = make_file(0)
    (reply,) = run(exchange(path, {"Range": value}))
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "0")


CONDITIONS: list[tuple[dict[str, str], int]] = [
    ({"If-None-Match": f'"{ETAG}"'}, 304),
    ({"If-None-Match": f'W/"{ETAG}"'}, 304),
    ({"If-None-Match": f'"other", "{ETAG}"'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-None-Match": ETAG}, 200),
    ({"If-None-Match": '"other"', "If-Modified-Since": LATER}, 200),
    ({"If-Modified-Since": MODIFIED_HTTP}, 304),
    ({"If-Modified-Since": LATER}, 304),
    ({"If-Modified-Since": EARLIER}, 200),
    ({"If-Modified-Since": "yesterday"}, 200),
    ({"If-Match": f'"{ETAG}"'}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": f'W/"{ETAG}"'}, 412),
    ({"If-Match": '"other"'}, 412),
    ({"If-Unmodified-Since": EARLIER}, 412),
    ({"If-Unmodified-Since": MODIFIED_HTTP}, 200),
    ({"Range": "bytes=1-2", "If-Range": f'"{ETAG}"'}, 206),
    ({"Range": "bytes=1-2", "If-Range": f'W/"{ETAG}"'}, 200),
    ({"Range": "bytes=1-2", "If-Range": '"other"'}, 200),
    ({"Range": "bytes=1-2", "If-Range": MODIFIED_HTTP}, 206),
    ({"Range": "bytes=1-2", "If-Range": EARLIER}, 200),
    ({"Range": "bytes=1-2", "If-Range": LATER}, 200),
    ({"Range": "bytes=1-2", "If-Range": "nonsense"}, 200),
    ({"Range": "bytes=99-", "If-Range": '"other"'}, 200),
    ({"Range": "bytes=1-2", "If-None-Match": f'"{ETAG}"'}, 304),
    ({"Range": "bytes=99-", "If-None-Match": f'"{ETAG}"'}, 304),
    ({"Range": "bytes=99-", "If-Match": '"other"'}, 412),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(run: Run, make_file: MakeFile, method: str) -> None:
    path, content = make_file(10)
    replies = run(exchange(path, *(headers for headers, _ in CONDITIONS), method=method))
    for reply, (headers, status) in zip(replies, CONDITIONS, strict=True):
        if method == "HEAD" and status == 206:
            status = 200
        assert (headers, reply.status) == (headers, status)
        whole = {200: content, 206: content[1:3]}.get(status, b"")
        assert reply.body == (whole if method == "GET" else b"")
        if status == 304:
            assert reply.headers["ETag"] == f'"{ETAG}"'
            assert reply.headers["Expires"] == "later"
            assert reply.headers.get("Content-Length", "0") == "0"


def test_a_vanished_file_is_told_before_anything_is_sent(run: Run, tmp_path: Path) -> None:
    for reply in run(exchange(tmp_path / "none", {}, {"Range": "bytes=0-1"})):
        assert (reply.status, reply.body) == (404, b"gone")


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
@pytest.mark.parametrize("size", [10, 3 * SLICE])
def test_a_file_removed_after_it_was_opened_is_still_sent(run: Run, make_file: MakeFile, size: int) -> None:
    path, content = make_file(size)

    async def scenario() -> bytes:
        async with serving(path, path.unlink) as url, ClientSession() as session, session.get(url) as response:
            return await response.read()

    assert run(scenario()) == content


def test_a_file_that_shrinks_breaks_the_connection(
    run: Run, make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = make_file(3 * SLICE)

    async def scenario() -> None:
        cut = serving(path, lambda: os.truncate(path, SLICE + 5))
        async with cut as url, ClientSession() as session, session.get(url) as response:
            assert response.status == 200
            with pytest.raises((ClientPayloadError, ClientConnectionError)):
                await response.read()

    with caplog.at_level(logging.ERROR, "litewrite.http.files"):
        run(scenario())
    assert "became shorter" in caplog.text


def test_a_client_that_stops_reading_is_dropped(run: Run, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = make_file(32 * SLICE)
    monkeypatch.setattr(files, "STALL_SECONDS", 0.3)

    async def scenario() -> int:
        async with serving(path) as url:
            host, port = re.findall(r"//(.*):(\d+)/", url)[0]
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, (host, int(port)))
                await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(0.8)
                received = 0
                try:
                    while chunk := await asyncio.wait_for(loop.sock_recv(client, 1_000_000), 10):
                        received += len(chunk)
                except ConnectionResetError:
                    pass
                return received

    assert run(scenario()) < len(content)


@pytest.mark.skipif(sys.platform != "linux", reason="counts /proc/self/fd")
@pytest.mark.parametrize("size", [SMALL, 3 * SLICE])
def test_no_descriptor_is_left(run: Run, make_file: MakeFile, size: int) -> None:
    path, _ = make_file(size)

    def opened() -> int:
        gc.collect()
        links = Path("/proc/self/fd").iterdir()
        return sum(_target(link) == str(path) for link in links)

    async def scenario() -> None:
        def fail() -> None:
            raise web.HTTPBadGateway

        async with serving(path) as url, ClientSession() as session:
            for headers in ({}, {"Range": "bytes=2-"}, {"Range": "bytes=99999999-"}):
                async with session.get(url, headers=headers) as response:
                    await response.read()
            async with session.head(url) as response:
                assert response.status == 200
            async with session.get(url) as response:
                response.close()
        async with serving(path, fail) as url, ClientSession() as session, session.get(url) as response:
            assert response.status == 502

    run(scenario())
    assert opened() == 0


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def test_a_request_cancelled_while_the_file_is_opened_closes_it(
    run: Run, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make_file(3 * SLICE)
    opened: list[files._Opened] = []
    genuine = files._open

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        async def cancel() -> None:
            task.cancel()

        def open_and_cancel(*args: Any) -> files._Opened:
            opened.append(genuine(*args))
            asyncio.run_coroutine_threadsafe(cancel(), loop).result(10)
            return opened[-1]

        monkeypatch.setattr(files, "_open", open_and_cancel)
        request = _request()
        call = file_response(request, path, content_type="a/b", headers={}, etag=ETAG, last_modified=0)
        task = asyncio.create_task(call)
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.shutdown_default_executor()
        await asyncio.sleep(0)

    run(scenario())
    assert opened[0].file is not None
    assert opened[0].file.closed


def _request() -> web.Request:
    return make_mocked_request("GET", "/")


@pytest.mark.parametrize("etag", ["", 'a"b', "a b", "a\r\nX: y", "é"])
async def test_an_etag_unfit_for_a_header_is_refused(tmp_path: Path, etag: str) -> None:
    with pytest.raises(ValueError, match="ETag"):
        await file_response(_request(), tmp_path, content_type="a/b", headers={}, etag=etag, last_modified=0)


async def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        await file_response(_request(), tmp_path, content_type="a/b", headers={}, etag="x", last_modified=0)
    assert caught.value.errno in (errno.EISDIR, errno.EACCES)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB there")
def test_a_large_file_needs_little_memory(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)

    async def scenario() -> int:
        total = 0
        async with serving(path) as url, ClientSession() as session, session.get(url) as response:
            async for chunk in response.content.iter_any():
                total += len(chunk)
        return total

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(scenario()) == 200 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1_603_265_280, "Wed, 21 Oct 2020 07:28:00 GMT"),
        (1_603_265_280.999, "Wed, 21 Oct 2020 07:28:00 GMT"),
    ],
)
def test_http_date(moment: float, text: str) -> None:
    assert http_date(moment) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logo.png", 'attachment; filename="logo.png"'),
        ("my file (1), final; v=2 100%25.txt", 'attachment; filename="my file (1), final; v=2 100%25.txt"'),
        ("", 'attachment; filename=""'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a\\b.txt", "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%5Cb.txt"),
        ("a\r\nX-Evil: 1", "attachment; filename=\"a__X-Evil: 1\"; filename*=UTF-8''a__X-Evil%3A%201"),
        ("é.txt", "attachment; filename=\"e.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ("日本.pdf", "attachment; filename=\"__.pdf\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.pdf"),
        ("\ud800.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%3F.txt"),
        ("x" * 600 + ".jpeg", f'attachment; filename="{"x" * 507}.jpeg"'),
    ],
)
def test_content_disposition(name: str, value: str) -> None:
    assert content_disposition("attachment", name) == value
    assert content_disposition("inline", name) == value.replace("attachment", "inline", 1)


@given(st.text(st.characters(codec=None), max_size=600))
@example("\u2028" * 3)
@example("\ufb03" * 512)
@example("." * 600)
def test_content_disposition_is_always_one_well_formed_header(name: str) -> None:
    value = content_disposition("attachment", name)
    match = re.fullmatch(
        r"attachment; filename=\"([ !#-\[\]-~]*)\"(; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*))?", value
    )
    assert match is not None
    assert len(value) < 8_000
    message = Message()
    message["Content-Disposition"] = value
    assert message.get_content_disposition() == "attachment"
    if match[2] is None:
        assert name.startswith(match[1][:496])
    elif len(name) <= 512 and name.isprintable():
        assert unquote(match[3]) == name
