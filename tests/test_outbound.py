"""The guarded HTTP client, against real servers on this machine and names that no resolver knows."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from litewrite.errors import Overloaded
from litewrite.outbound import (
    CONCURRENT,
    Address,
    Answer,
    AnswerRefused,
    FetchFailed,
    Outbound,
    TargetRefused,
    is_loopback,
    is_public,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HERE = ip_address("127.0.0.1")


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server for every path; gives its port."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Names:
    """A resolver with a list of answers for each name, of which the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def only_here(address: Address) -> bool:
    """Stands in for `is_public` where the public internet is out of reach: 127.0.0.1 counts as public."""
    return address == HERE


def client(names: Names | None = None) -> Outbound:
    return Outbound("litewrite/test", lookup=names, allowed=only_here)


async def get(outbound: Outbound, url: str, *, seconds: float = 5, max_bytes: int = 1_000, **more: object) -> Answer:
    return await outbound.get(url, seconds=seconds, max_bytes=max_bytes, **more)  # type: ignore[arg-type]


async def hello(request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello", content_type="text/plain")


# Addresses


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:c0a8:101::1",
        "2a00:1450::5efe:10.0.0.1",
        "2a00:1450::200:5efe:192.168.0.1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.169.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2606:4700:4700::1111",
        "2a00:1450::5efe:8.8.8.8",
    ],
)
def test_addresses_that_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_public_addresses_are_global_for_python_too(address: IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=6))
def test_public_ipv6_addresses_are_global_unicast(address: IPv6Address) -> None:
    if is_public(address):
        assert address in ip_network("2000::/3") or address.ipv4_mapped is not None or address in NAT64
        assert not address.is_private
        assert not address.is_multicast


NAT64 = ip_network("64:ff9b::/96")


@given(st.ip_addresses(v=4))
def test_embedding_an_address_does_not_change_the_verdict(address: IPv4Address) -> None:
    verdict = is_public(address)
    assert is_public(IPv6Address(f"::ffff:{address}")) is verdict
    assert is_public(IPv6Address(f"64:ff9b::{address}")) is verdict
    assert is_public(IPv6Address(0x2002 << 112 | int(address) << 80 | 1)) is verdict
    assert is_loopback(IPv6Address(f"::ffff:{address}")) is address.is_loopback


# Names and connections


async def test_a_name_is_looked_up_once_and_connected_to_as_checked() -> None:
    names = Names(a_test=[["127.0.0.1"], ["127.0.0.2"]])
    async with serving(hello) as port, client(names) as outbound:
        answer = await get(outbound, f"http://a.test:{port}/x#y")
        assert answer.body == b"hello"
        assert answer.content_type == "text/plain"
        assert answer.status == 200
        assert answer.url == f"http://a.test:{port}/x"
        assert names.asked == ["a.test"]


async def test_a_name_that_changes_its_address_is_refused_on_the_next_hop() -> None:
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        raise web.HTTPFound("/secret")

    names = Names(a_test=[["127.0.0.1"], ["127.0.0.2"]])
    async with serving(redirect) as port, client(names) as outbound:
        with pytest.raises(TargetRefused):
            await get(outbound, f"http://a.test:{port}/start")
    assert seen == ["/start"]
    assert names.asked == ["a.test", "a.test"]


async def test_one_address_that_is_not_public_spoils_the_others() -> None:
    names = Names(a_test=[["127.0.0.1", "127.0.0.2"]], b_test=[["127.0.0.2", "127.0.0.1"]])
    async with serving(hello) as port, client(names) as outbound:
        for name in ("a.test", "b.test"):
            with pytest.raises(TargetRefused):
                await get(outbound, f"http://{name}:{port}/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "169.254.169.254",
    ],
)
async def test_spellings_of_this_machine_are_refused(host: str) -> None:
    connected = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        connected.set()
        return web.Response()

    async with serving(handler) as port, Outbound("litewrite/test") as outbound:
        with pytest.raises((TargetRefused, FetchFailed)):
            await get(outbound, f"http://{host}:{port}/", seconds=2)
    assert not connected.is_set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/x",
        "ftp://a.test/x",
        "file:///etc/passwd",
        "gopher://a.test/",
        "http://",
        "http:///x",
        "http://user@a.test/",
        "http://user:word@a.test/",
        "http://a.test:0/",
        "http://a.test:99999/",
        "http://a.test\\@b.test/",
        "http://a.test/\r\nX: y",
        "http://a.test/ x",
        "http://[fe80::1%25eth0]/",
        "http://a.test/" + "x" * 9_000,
    ],
)
async def test_urls_that_are_refused(url: str) -> None:
    names = Names(a_test=[["127.0.0.1"]])
    async with client(names) as outbound:
        with pytest.raises(TargetRefused):
            await get(outbound, url)
    assert names.asked == []


async def test_private_addresses_can_be_allowed() -> None:
    async with serving(hello) as port, Outbound("litewrite/test", allow_private=True) as outbound:
        assert (await get(outbound, f"http://localhost:{port}/")).body == b"hello"


async def test_unknown_names_and_closed_ports_fail() -> None:
    async with serving(hello) as port:
        pass
    async with client(Names(a_test=[["127.0.0.1"]], empty_test=[[]])) as outbound:
        for url in ("http://unknown.test/", "http://empty.test/", f"http://a.test:{port}/"):
            with pytest.raises(FetchFailed):
                await get(outbound, url)


async def test_sockets_are_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last check, for what would get past the others: aiohttp takes such hosts for addresses and asks nobody."""
    connected = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        connected.set()
        return web.Response()

    monkeypatch.setattr(Outbound, "_check_host", lambda *_: None)
    async with serving(handler) as port, Outbound("litewrite/test") as outbound:
        with pytest.raises(TargetRefused):
            await get(outbound, f"http://127.0.0.1:{port}/")
        with pytest.raises((TargetRefused, FetchFailed)):  # newer releases of aiohttp refuse this one themselves
            await get(outbound, f"http://2130706433:{port}/")
    assert not connected.is_set()


# Redirects


async def test_redirects_are_followed_relative_to_their_page() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/a/b":
            raise web.HTTPMovedPermanently("../c?d=1")
        return web.Response(text=request.path_qs)

    async with serving(handler) as port, client() as outbound:
        answer = await get(outbound, f"http://127.0.0.1:{port}/a/b")
    assert answer.body == b"/c?d=1"
    assert answer.url.endswith("/c?d=1")


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "http://[::1]/", "file:///etc/passwd", "http://b.test/", "http://user@a.test/", "//10.0.0.1/"],
)
async def test_a_redirect_leads_nowhere_else(location: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    names = Names(a_test=[["127.0.0.1"]], b_test=[["192.168.0.1"]])
    async with serving(handler) as port, client(names) as outbound:
        with pytest.raises(TargetRefused):
            await get(outbound, f"http://a.test:{port}/")


async def test_redirects_end() -> None:
    count = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal count
        count += 1
        raise web.HTTPFound("/again")

    async with serving(handler) as port, client() as outbound:
        with pytest.raises(FetchFailed, match="redirects"):
            await get(outbound, f"http://127.0.0.1:{port}/")
        assert count == 6
        with pytest.raises(FetchFailed):
            await get(outbound, f"http://127.0.0.1:{port}/", redirects=1)
        assert count == 8


# What is sent


async def test_nothing_of_the_server_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        if request.path == "/":
            return web.Response(status=302, headers={"Location": "/next", "Set-Cookie": "a=b; Path=/"})
        return web.Response(text="ok")

    async with serving(handler) as port, client() as outbound:
        await get(outbound, f"http://127.0.0.1:{port}/")
        await get(outbound, f"http://127.0.0.1:{port}/next")
    assert [set(headers) for headers in seen] == [{"host", "accept", "user-agent", "accept-encoding", "connection"}] * 3
    assert seen[0]["user-agent"] == "litewrite/test"
    assert seen[0]["accept-encoding"] == "identity"


# Limits


async def test_the_time_is_limited_as_a_whole() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    async with serving(drip) as port, client() as outbound:
        with pytest.raises(FetchFailed, match=r"0\.3 seconds"):
            await get(outbound, f"http://127.0.0.1:{port}/", seconds=0.3)


async def test_the_size_is_limited_whatever_the_server_says() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(10_000):
                await response.write(b"x" * 10_000)
        except ConnectionResetError:
            pass
        return response

    async with serving(flood) as port, client() as outbound:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(AnswerRefused):
            await get(outbound, url, max_bytes=50_000)
        answer = await get(outbound, url, max_bytes=50_000, truncate=True)
    assert answer.truncated
    assert answer.body == b"x" * 50_000


@pytest.mark.parametrize("size", [999, 1_000])
async def test_a_body_may_fill_its_limit(size: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * size)

    async with serving(handler) as port, client() as outbound:
        answer = await get(outbound, f"http://127.0.0.1:{port}/")
    assert (len(answer.body), answer.truncated) == (size, False)


def deflated(content: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", lambda content: deflated(content, 15)),
        ("deflate", lambda content: deflated(content, -15)),
        ("identity", bytes),
    ],
)
async def test_packed_answers_are_unpacked_within_the_limit(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        content = b"x" * (900 if request.path == "/small" else 10_000_000)
        return web.Response(body=pack(content), headers={"Content-Encoding": encoding})

    async with serving(handler) as port, client() as outbound:
        assert (await get(outbound, f"http://127.0.0.1:{port}/small")).body == b"x" * 900
        with pytest.raises(AnswerRefused):
            await get(outbound, f"http://127.0.0.1:{port}/bomb", max_bytes=20_000)


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip", b"this is not packed"), ("zstd", b"")])
async def test_packed_answers_that_cannot_be_read_fail(encoding: str, body: bytes) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with serving(handler) as port, client() as outbound:
        with pytest.raises(FetchFailed):
            await get(outbound, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [("image/png", True), ("IMAGE/PNG; x=y", True), ("text/html", False), (None, True), ("imagination", False)],
)
async def test_types_can_be_limited(content_type: str | None, taken: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        headers = {} if content_type is None else {"Content-Type": content_type}
        return web.Response(body=b"x", headers=headers)

    types = ("image/", "application/octet-stream")
    async with serving(handler) as port, client() as outbound:
        if taken:
            assert (await get(outbound, f"http://127.0.0.1:{port}/", types=types)).body == b"x"
        else:
            with pytest.raises(AnswerRefused):
                await get(outbound, f"http://127.0.0.1:{port}/", types=types)


async def test_no_more_requests_wait_than_are_allowed() -> None:
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(text="done")

    async with serving(handler) as port, client() as outbound:
        url = f"http://127.0.0.1:{port}/"
        tasks = [asyncio.create_task(get(outbound, url, seconds=20)) for _ in range(5 * CONCURRENT)]
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded):
            await get(outbound, url)
        go_on.set()
        assert {answer.body for answer in await asyncio.gather(*tasks)} == {b"done"}


async def test_a_closed_client_asks_nobody() -> None:
    async with client() as outbound:
        pass
    with pytest.raises(RuntimeError):
        await get(outbound, "http://127.0.0.1:1/")


# Posting


async def post(outbound: Outbound, url: str, *, allow_loopback: bool = False) -> Answer:
    return await outbound.post(
        url, b'{"a":1}', {"Content-Type": "application/json"}, seconds=5, max_bytes=10, allow_loopback=allow_loopback
    )


async def test_a_post_carries_its_body_and_follows_nothing() -> None:
    seen: list[tuple[str, str, bytes]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.headers["Content-Type"], await request.read()))
        return web.Response(status=302, headers={"Location": "/elsewhere"}, text="x" * 1_000)

    async with serving(handler) as port, client() as outbound:
        answer = await post(outbound, f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.body, answer.truncated) == (302, b"x" * 10, True)
    assert seen == [("POST", "application/json", b'{"a":1}')]


async def test_posts_reach_this_machine_only_when_allowed() -> None:
    names = Names(a_test=[["127.0.0.1"]], lan_test=[["192.168.0.1"]])
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(hello))
        outbound = await stack.enter_async_context(Outbound("litewrite/test", lookup=names))
        for host in ("127.0.0.1", "a.test"):
            with pytest.raises(TargetRefused):
                await post(outbound, f"http://{host}:{port}/")
            assert (await post(outbound, f"http://{host}:{port}/", allow_loopback=True)).body == b"hello"
        for host in ("192.168.0.1", "lan.test"):
            with pytest.raises(TargetRefused):
                await post(outbound, f"http://{host}:{port}/", allow_loopback=True)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def test_certificates_are_checked_unless_told_otherwise(tmp_path: Path) -> None:
    runner = web.ServerRunner(web.Server(hello))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate(tmp_path)).start()
        url = f"https://a.test:{runner.addresses[0][1]}/"
        async with client(Names(a_test=[["127.0.0.1"]])) as outbound:
            with pytest.raises(FetchFailed):
                await get(outbound, url)
            with pytest.raises(FetchFailed):
                await outbound.post(url, b"", {}, seconds=5, max_bytes=10)
            answer = await outbound.post(url, b"", {}, seconds=5, max_bytes=10, verify=False)
            assert answer.body == b"hello"
    finally:
        await runner.cleanup()
