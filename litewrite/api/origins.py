"""Which pages and apps may call, and the headers that tell browsers so."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from multidict import CIMultiDict, istr

from litewrite.errors import OriginUnknown
from litewrite.http.hosts import Caller
from litewrite.services.projects import ProjectView

ORIGIN = istr("Origin")
REFERER = istr("Referer")
SEC_FETCH_SITE = istr("Sec-Fetch-Site")
ALLOW_ORIGIN = istr("Access-Control-Allow-Origin")

ALLOW_METHODS = "GET, POST, PUT, PATCH, DELETE"
ALLOW_HEADERS = (
    "Origin, Cookie, Set-Cookie, X-Requested-With, Content-Type, Access-Control-Allow-Origin, "
    "Access-Control-Request-Headers, Accept, X-Appwrite-Project, X-Appwrite-Key, X-Appwrite-Locale, X-Appwrite-Mode, "
    "X-Appwrite-JWT, X-Appwrite-Response-Format, X-SDK-Version, Cache-Control, Expires, Pragma"
)
EXPOSE_HEADERS = "X-Fallback-Cookies"
_PLATFORM_NAMES = {
    "http": "Web",
    "https": "Web",
    "appwrite-ios": "iOS",
    "appwrite-android": "Android",
    "appwrite-macos": "macOS",
    "appwrite-windows": "Windows",
    "appwrite-linux": "Linux",
}
_WEB_SCHEMES = frozenset(("http", "https"))
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_OPAQUE = frozenset(("null", "file://"))
"""Origins without a host that browsers send for files, sandboxed frames and some apps."""
_OPAQUE_PLATFORMS = frozenset(("null", "file", "file://"))
"""What a project declares to be called from such pages."""


def origin_of(request: web.BaseRequest) -> str:
    """The `Origin` of a request, else its `Referer`, else nothing; of a repeated header the last one."""
    values = request.headers.getall(ORIGIN, ()) or request.headers.getall(REFERER, ())
    return values[-1].strip() if values else ""


def page_host(request: web.BaseRequest) -> str:
    """The host of the page that a request comes from, empty when it is unknown."""
    parts = split(origin_of(request))
    return parts.hostname or "" if parts else ""


def split(origin: str) -> SplitResult | None:
    """The parts of an origin that names a host, else None."""
    if "://" not in origin:
        return None
    try:
        parts = urlsplit(origin)
        return parts if parts.scheme and parts.hostname else None
    except ValueError:
        return None


def own_hosts(caller: Caller) -> frozenset[str]:
    """The host of the request itself; the names of this machine count as one."""
    return _LOOPBACK | {caller.host} if caller.host in _LOOPBACK else frozenset((caller.host,))


def is_client_host(
    host: str, clients: ProjectView | None, caller: Caller | None, *, administrative: bool = False
) -> bool:
    """Whether a host is an allowed client of a project: a web platform, `localhost`, or this server itself.

    For administrative requests `localhost` counts only when this server is reached under such a name itself.
    """
    if clients is not None and host in clients.web_hosts:
        return True
    if administrative:
        return caller is not None and host in own_hosts(caller)
    return host == "localhost" or (caller is not None and host == caller.host)


def is_client_app(parts: SplitResult, clients: ProjectView | None) -> bool:
    """Whether an origin is an app of a project, declared by its host, as a whole, or by a scheme of its own."""
    if clients is None or not clients.app_hosts:
        return False
    declared = {parts.hostname, f"{parts.scheme}://{parts.netloc}".lower()}
    if parts.scheme not in _WEB_SCHEMES:
        declared.add(f"{parts.scheme}://")
    return not declared.isdisjoint(clients.app_hosts)


def is_declared_opaque(origin: str, clients: ProjectView | None) -> bool:
    """Whether this is the origin of a page without a host, and such pages may call."""
    if clients is None:
        return False
    if origin in _OPAQUE:
        return not _OPAQUE_PLATFORMS.isdisjoint(clients.app_hosts)
    return origin.endswith("://") and origin.lower() in clients.app_hosts


def check_origin(
    request: web.BaseRequest, clients: ProjectView, caller: Caller, *, with_cookie: bool, administrative: bool
) -> None:
    """Refuse a writing request that a foreign page may have sent with its visitor's cookies. Raises `OriginUnknown`.

    `administrative` requests (project console, admin mode) are accepted from the server's own pages and the platforms
    of `clients` alone, which must then be the console. A client that names no page is refused only when it sends a
    session cookie: a bare word, `null` without being declared, or nothing while the browser says that it is another
    site.
    """
    if with_cookie and not request.headers.get(ORIGIN) and request.headers.get(SEC_FETCH_SITE) == "cross-site":
        raise OriginUnknown(_refusal("unknown", ""))
    origin = origin_of(request)
    parts = split(origin)
    if parts is None:
        if with_cookie and origin and not is_declared_opaque(origin, clients):
            raise OriginUnknown(_refusal(origin, ""))
        return
    host = parts.hostname or ""
    if is_client_app(parts, clients) or is_client_host(host, clients, caller, administrative=administrative):
        return
    raise OriginUnknown(_refusal(host, parts.scheme))


def check_socket_origin(
    request: web.BaseRequest, clients: ProjectView, caller: Caller, *, with_cookie: bool, administrative: bool
) -> None:
    """Refuse a WebSocket that a foreign page opens, perhaps with its visitor's cookies. Raises `OriginUnknown`.

    Only `Origin` counts, of a repeated one the last value. Clients that are no browsers may send a bare word. Pages
    without a host are refused only when they send a session cookie and the project has not declared them.
    """
    values = request.headers.getall(ORIGIN, ())
    origin = values[-1].strip() if values else ""
    parts = split(origin)
    if parts is None:
        if with_cookie and origin in _OPAQUE and not is_declared_opaque(origin, clients):
            raise OriginUnknown(_refusal(origin, ""))
        return
    host = parts.hostname or ""
    if is_client_app(parts, clients) or is_client_host(host, clients, caller, administrative=administrative):
        return
    raise OriginUnknown(_refusal(host, parts.scheme))


def _refusal(host: str, scheme: str) -> str:
    platform = _PLATFORM_NAMES.get(scheme, "Unsupported platform" if scheme else "Web")
    host = host[:100]
    return (
        f"Invalid Origin. Register your new client ({host}) as a new {platform} platform "
        "on your project console dashboard"
    )


class CorsHeaders:
    """The CORS headers of answers; made once for each distinct origin, and remembered up to a bound."""

    _SIZE = 1_000
    _LONGEST = 256
    """Characters of an origin that is remembered."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._made: dict[tuple[object, ...], CIMultiDict[str]] = {}

    def of(
        self, request: web.BaseRequest, clients: ProjectView | None, caller: Caller | None, administrative: bool = False
    ) -> CIMultiDict[str]:
        """A fresh set of the headers that every answer carries. `clients` is the project whose platforms may call."""
        origin = origin_of(request)
        key = (
            origin,
            administrative,
            (clients.web_hosts, clients.app_hosts) if clients is not None else None,
            (caller.netloc, caller.protocol) if caller is not None else None,
        )
        made = self._made.get(key)
        if made is None:
            made = self._make(_allowed(origin, clients, caller, administrative))
            if len(origin) <= self._LONGEST:
                if len(self._made) >= self._SIZE:
                    self._made.clear()
                self._made[key] = made
        return made.copy()

    def _make(self, allowed: str) -> CIMultiDict[str]:
        return CIMultiDict(
            {
                "Server": self._server,
                "X-Content-Type-Options": "nosniff",
                "Access-Control-Allow-Methods": ALLOW_METHODS,
                "Access-Control-Allow-Headers": ALLOW_HEADERS,
                "Access-Control-Expose-Headers": EXPOSE_HEADERS,
                ALLOW_ORIGIN: allowed,
                "Access-Control-Allow-Credentials": "true",
            }
        )

    def preflight(self, request: web.BaseRequest) -> CIMultiDict[str]:
        """The headers of an answer to OPTIONS, which is given on any path and without checks."""
        headers = self._make(echo(request.headers.get(ORIGIN, "")))
        headers["Access-Control-Allow-Headers"] = f"{ALLOW_HEADERS}, X-Fallback-Cookies"
        return headers


def echo(origin: str) -> str:
    """An origin as a header value; empty when it cannot be one."""
    return origin if origin.isascii() and origin.isprintable() else ""


def _allowed(origin: str, clients: ProjectView | None, caller: Caller | None, administrative: bool) -> str:
    """The value of `Access-Control-Allow-Origin`: the origin when it may call, else one that no browser accepts."""
    parts = split(origin)
    if parts is None:
        if is_declared_opaque(origin, clients):
            return origin
        return f"{caller.protocol if caller else 'http'}://localhost"
    host = parts.hostname or ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    if is_client_app(parts, clients) or is_client_host(host, clients, caller, administrative=administrative):
        named = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{named}{port}"
    if administrative and caller is not None:
        return caller.base_url  # a page on localhost is a stranger here
    return f"{parts.scheme}://localhost{port}"
