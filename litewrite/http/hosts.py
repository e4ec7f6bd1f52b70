"""Under which names the server answers, and who is really calling behind a proxy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from multidict import istr

from litewrite.errors import HostUnknown

_FORWARDED_FOR = istr("X-Forwarded-For")
_FORWARDED_PROTO = istr("X-Forwarded-Proto")
_FORWARDED_HOST = istr("X-Forwarded-Host")
_HOST = istr("Host")
_CACHE_SIZE = 1_000
_NETLOC = re.compile(
    r"(?:(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request came from and which address it was sent to."""

    ip: str
    protocol: str
    """`http` or `https`."""
    host: str
    """Name or address without port, in lower case, IPv6 without brackets."""
    netloc: str
    """Host with port, as the client wrote it."""

    @property
    def base_url(self) -> str:
        return f"{self.protocol}://{self.netloc}"


def split_host(netloc: str) -> str:
    """The host of `host:port`, in lower case and without brackets; empty when it is anything but that.

    Links are made with what was sent as `Host`, so user info, a path or a backslash must not hide in it.
    """
    match = _NETLOC.fullmatch(netloc)
    if match is None or int(match["port"] or 0) > 65_535:
        return ""
    return (match["name"] or match["ipv6"]).lower()


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class HostPolicy:
    """Which `Host` values are answered, and from whom `X-Forwarded-*` counts.

    `localhost`, names below it, IP literals, the host of the public URL and the allowed hosts are answered; anything
    else is refused, so that a page whose name suddenly resolves to this machine gets nowhere. Raises ValueError for an
    allowed host that is no host name and for a proxy that is no address or network.
    """

    def __init__(
        self, *, public_url: str = "", allowed: Iterable[str] = (), trusted_proxies: Iterable[str] = ()
    ) -> None:
        self._public = urlsplit(public_url) if public_url else None
        self._names = set()
        for name in allowed:
            host = split_host(name)
            if not host:
                raise ValueError(f"an allowed host must be a host name, not {name!r}")
            self._names.add(host)
        if self._public and self._public.hostname:
            self._names.add(self._public.hostname)
        self._trusted = tuple(ipaddress.ip_network(address, strict=False) for address in trusted_proxies)
        self._known: dict[str, str] = {}

    def _checked(self, netloc: str) -> str:
        known = self._known.get(netloc)
        if known is not None:
            return known
        host = split_host(netloc)
        if not host:
            raise HostUnknown("The Host header is no host name with an optional port")
        if not (host == "localhost" or host.endswith(".localhost") or host in self._names or is_ip(host)):
            raise HostUnknown(
                f"This server does not answer under the host name {host[:253]} unless --allowed-host names it"
            )
        if len(self._known) < _CACHE_SIZE:
            self._known[netloc] = host
        return host

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self._trusted)

    def caller(self, request: web.BaseRequest) -> Caller:
        """Who sent a request. Raises `HostUnknown` when it names a host that this server does not answer under."""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        ip = peer[0] if isinstance(peer, tuple) and peer else "127.0.0.1"
        protocol = request.scheme
        headers = request.headers
        hosts = headers.getall(_HOST, ())
        netloc = hosts[-1] if hosts else "localhost"
        if self._trusted and self._is_trusted(ip):
            for hop in reversed([part.strip() for part in ",".join(headers.getall(_FORWARDED_FOR, ())).split(",")]):
                if not is_ip(hop):
                    break
                ip = hop
                if not self._is_trusted(hop):
                    break
            forwarded = headers.get(_FORWARDED_PROTO, "").split(",")[-1].strip().lower()
            if forwarded in ("http", "https"):
                protocol = forwarded
            netloc = headers.get(_FORWARDED_HOST, "").split(",")[-1].strip() or netloc
        return Caller(ip=ip, protocol=protocol, host=self._checked(netloc), netloc=netloc)
