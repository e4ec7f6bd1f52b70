"""The one HTTP client for URLs that users give: it reaches public addresses only, and never more than it was told.

A server that fetches what strangers name can be turned against its own network. So the addresses of every hop are
looked up here, once, and all of them have to be public; the connection goes to exactly those, because the connector
gets them from this module instead of asking again, and a last check stands where its sockets are made. Redirects are
followed by hand, each hop like the first. There are no cookies, no proxies, no credentials and no transparent
decompression, and time, size, redirects and concurrency are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from litewrite.errors import Overloaded

Address = IPv4Address | IPv6Address
Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name; raises OSError when there are none."""

MAX_REDIRECTS: Final = 5
MAX_URL: Final = 8_192
CONCURRENT: Final = 16
"""Requests under way at the same time; as many again times four may wait."""
LOOKUP_THREADS: Final = 4
_CHUNK: Final = 65_536
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))

_SPECIAL_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by the customers of a carrier
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, where clouds keep their metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",
        "3fff::/20",  # documentation
    )
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_ISATAP: Final = frozenset((0x00005EFE, 0x02005EFE))


class OutboundError(Exception):
    """The other side could not be asked, or gave nothing that was asked for. The message is for logs."""


class TargetRefused(OutboundError):
    """The URL, or an address behind it, is none that this server goes to."""


class FetchFailed(OutboundError):
    """No connection, a broken answer, too many redirects, or the time was up."""


class AnswerRefused(FetchFailed):
    """The answer is larger than allowed, or of another type."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    url: str
    """Where it came from after all redirects."""
    status: int
    content_type: str
    """Media type in lower case, without parameters; empty when there was none."""
    body: bytes
    truncated: bool = False


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and so is every IPv4 address that it stands for.

    False for private, shared, loopback, link-local, multicast, reserved and documentation addresses, for IPv6 outside
    of global unicast, for Teredo, and for IPv4-mapped, NAT64, 6to4 and ISATAP addresses that lead to any of these.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    if address.scope_id is not None:
        return False
    value = int(address)
    if address in _MAPPED or address in _NAT64:
        return is_public(IPv4Address(value & 0xFFFFFFFF))
    if address not in _GLOBAL_V6 or any(address in network for network in _SPECIAL_V6):
        return False
    if address in _SIX_TO_FOUR and not is_public(IPv4Address(value >> 80 & 0xFFFFFFFF)):
        return False
    is_isatap = value >> 32 & 0xFFFFFFFF in _ISATAP
    return not is_isatap or is_public(IPv4Address(value & 0xFFFFFFFF))


def is_loopback(address: Address) -> bool:
    """Whether an address is this machine's own, also when it is written as an IPv4-mapped one."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


class Outbound:
    """Makes requests to where users point. An async context, to be left when those who asked have been answered.

    Args:
        user_agent: what the other side is told.
        allow_private: go to any address, for tests and intranets.
        lookup: asks for the addresses of a name; by default the system.
        allowed: decides about one address; by default `is_public`.
    """

    def __init__(
        self,
        user_agent: str,
        *,
        allow_private: bool = False,
        lookup: Lookup | None = None,
        allowed: Callable[[Address], bool] = is_public,
    ) -> None:
        self._user_agent = user_agent
        self._allowed: Callable[[Address], bool] = (lambda address: True) if allow_private else allowed
        self._lookup = lookup or self._ask_system
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._waiting = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        # A look-up cannot be interrupted, and the system may take long over it.
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def get(
        self,
        url: str,
        *,
        seconds: float,
        max_bytes: int,
        types: tuple[str, ...] = (),
        truncate: bool = False,
        redirects: int = MAX_REDIRECTS,
    ) -> Answer:
        """Fetch a URL, following redirects. The status of the answer is not judged.

        Args:
            seconds: for everything, waiting for a free slot included.
            max_bytes: of the body, as it came and unpacked.
            types: beginnings of media types that are taken; empty takes any. Without a type an answer counts as
                application/octet-stream.
            truncate: cut a longer body off instead of refusing it.
            redirects: how many are followed; at most 5.

        Raises:
            TargetRefused: the URL or an address behind it, on any hop.
            AnswerRefused: the answer is too long or of another type.
            FetchFailed: everything else that goes wrong on the way.
            Overloaded: too many requests wait already.
        """

        async def fetch() -> Answer:
            target = _parse(url)
            async with self._session(self._allowed) as session:
                for _ in range(min(redirects, MAX_REDIRECTS) + 1):
                    self._check_host(target, self._allowed)
                    async with session.get(target, allow_redirects=False) as response:
                        location = response.headers.get("Location", "")
                        if response.status not in _REDIRECTS or not location:
                            return await _read(response, target, max_bytes, types, truncate=truncate)
                        target = _parse(location, base=target)
            raise FetchFailed(f"{url} leads to more than {redirects} redirects")

        return await self._run(fetch, url, seconds)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        seconds: float,
        max_bytes: int,
        allow_loopback: bool = False,
        verify: bool = True,
    ) -> Answer:
        """Send a body to a URL. Redirects are not followed. Of the answer, what is beyond `max_bytes` is not read.

        Args:
            seconds: for everything, waiting for a free slot included.
            allow_loopback: whether addresses of this machine will do, too.
            verify: whether the certificate of an https server is checked.

        Raises:
            TargetRefused: the URL or an address behind it.
            FetchFailed: the body could not be delivered, or there was no answer in time.
            Overloaded: too many requests wait already.
        """

        def allowed(address: Address) -> bool:
            return self._allowed(address) or (allow_loopback and is_loopback(address))

        async def send() -> Answer:
            target = _parse(url)
            self._check_host(target, allowed)
            async with (
                self._session(allowed, verify=verify) as session,
                session.post(target, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return await _read(response, target, max_bytes, (), truncate=True)

        return await self._run(send, url, seconds)

    async def _run(self, work: Callable[[], Awaitable[Answer]], url: str, seconds: float) -> Answer:
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._waiting >= 4 * CONCURRENT:
            raise Overloaded
        try:
            async with asyncio.timeout(seconds):
                self._waiting += 1
                try:
                    await self._slots.acquire()
                finally:
                    self._waiting -= 1
                try:
                    return await work()
                finally:
                    self._slots.release()
        except TimeoutError as error:
            raise FetchFailed(f"{url} took longer than {seconds:g} seconds") from error
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
            refusal = _refusal_behind(error)
            if refusal is not None:
                raise TargetRefused(str(refusal)) from error
            raise FetchFailed(f"{url} cannot be fetched: {error}") from error

    @contextlib.asynccontextmanager
    async def _session(
        self, allowed: Callable[[Address], bool], *, verify: bool = True
    ) -> AsyncIterator[aiohttp.ClientSession]:
        # Made anew for each request: no connection that one check allowed serves another.
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(self._lookup, allowed),
            socket_factory=_socket_factory(allowed),
            use_dns_cache=False,
            force_close=True,
            ssl=verify,
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield session

    def _check_host(self, target: URL, allowed: Callable[[Address], bool]) -> None:
        """Judge a host that is an address, about which nobody asks the resolver."""
        host = target.host or ""
        try:
            address = ip_address(host)
        except ValueError:
            # Other spellings of addresses, which the system would understand further down.
            if ":" in host or host.replace(".", "").isdigit():
                raise TargetRefused(f"{host} is no address") from None
            return
        if not allowed(address):
            raise TargetRefused(f"{host} is not a public address")

    async def _ask_system(self, host: str) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class _Refused(OSError):
    """What stands for `TargetRefused` inside of aiohttp, which takes OSError only."""


class _CheckedResolver(AbstractResolver):
    """Gives the connector the addresses that were checked. One that is not allowed spoils all of a name's."""

    def __init__(self, lookup: Lookup, allowed: Callable[[Address], bool]) -> None:
        self._lookup = lookup
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        texts = await self._lookup(host)
        if not texts:
            raise OSError(f"{host} has no address")
        for text in texts:
            if not self._allowed(ip_address(text)):
                raise _Refused(f"{host} has the address {text}, which is not public")
        return [
            ResolveResult(
                hostname=host,
                host=text,
                port=port,
                family=socket.AF_INET6 if ":" in text else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for text in texts
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


def _socket_factory(allowed: Callable[[Address], bool]) -> Callable[[Any], socket.socket]:
    def make(info: Any) -> socket.socket:
        family, kind, proto, _, target = info
        try:
            address = ip_address(str(target[0]))
        except ValueError:
            raise _Refused(f"{target[0]} is no address") from None
        if not allowed(address):
            raise _Refused(f"{address} is not a public address")
        return socket.socket(family, kind, proto)

    return make


def _refusal_behind(error: BaseException) -> _Refused | None:
    """The refusal that aiohttp wrapped, if there is one."""
    seen: list[BaseException] = [error]
    for each in seen:
        if isinstance(each, _Refused):
            return each
        inner = [each.__cause__, each.__context__, getattr(each, "os_error", None)]
        if isinstance(each, BaseExceptionGroup):
            inner += each.exceptions
        seen += [one for one in inner if isinstance(one, BaseException) and one not in seen]
    return None


def _parse(text: str, base: URL | None = None) -> URL:
    """An absolute http or https URL with a host and nothing hidden in it. Raises `TargetRefused`."""
    if len(text) > MAX_URL or "\\" in text or any(ord(character) <= 32 or ord(character) == 127 for character in text):
        raise TargetRefused("a URL has at most 8192 characters, without backslashes and blanks")
    try:
        url = URL(text) if base is None else base.join(URL(text))
        host, port = url.host, url.port
    except ValueError as error:
        raise TargetRefused("this is no URL") from error
    if url.scheme not in ("http", "https") or not host or port is None or port == 0 or "%" in host:
        raise TargetRefused("only http and https URLs with a host are fetched")
    if url.raw_user is not None or url.raw_password is not None:
        raise TargetRefused("URLs with a user name are not fetched")
    return url.with_fragment(None)


async def _read(
    response: aiohttp.ClientResponse, url: URL, max_bytes: int, types: tuple[str, ...], *, truncate: bool
) -> Answer:
    content_type = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if types and not (content_type or "application/octet-stream").startswith(types):
        raise AnswerRefused(f"{url} is of type {content_type[:80]}")
    body = bytearray()
    truncated = False
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            truncated = True
            break
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    content = bytes(body[:max_bytes])
    if encoding in ("gzip", "x-gzip", "deflate"):
        # Some servers pack although they were asked not to.
        content, cut = await asyncio.to_thread(_unpack, content, max_bytes)
        truncated = truncated or cut
    elif encoding not in ("", "identity"):
        raise AnswerRefused(f"{url} is packed in an unknown way")
    if truncated and not truncate:
        raise AnswerRefused(f"{url} has more than {max_bytes} bytes")
    return Answer(str(url), response.status, content_type, content, truncated)


def _unpack(content: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """The unpacked content, at most `max_bytes` of it, and whether more was left. Raises zlib.error."""
    try:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
        unpacked = unpacker.decompress(content, max_bytes + 1)
    except zlib.error:  # deflate without a header, as some servers understand the name
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        unpacked = unpacker.decompress(content, max_bytes + 1)
    return unpacked[:max_bytes], len(unpacked) > max_bytes
