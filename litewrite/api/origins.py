"""Which pages and apps may call, and the headers that tell browsers so."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from multidict import CIMultiDict, istr

from litewrite.errors import OriginUnknown
from litewrite.http.hosts import Caller, is_ip
from litewrite.services.projects import ProjectView

ORIGIN = istr("Origin")
REFERER = istr("Referer")
SEC_FETCH_SITE = istr("Sec-Fetch-Site")

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
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
NULL_ORIGIN_PLATFORMS = frozenset(("null", "file", "file://"))


def origin_of(request: web.BaseRequest) -> str:
    """The `Origin` of a request, else its `Referer`, else nothing; of a repeated header the last one."""
    values = request.headers.getall(ORIGIN, ()) or request.headers.getall(REFERER, ())
    return values[-1].strip() if values else ""


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


def is_client_host(host: str, view: ProjectView | None, caller: Caller) -> bool:
    """Whether a host is an allowed client of a project: a web platform, `localhost`, or this server itself."""
    return host == "localhost" or host == caller.host or (view is not None and host in view.web_hosts)


def check_origin(
    request: web.BaseRequest, view: ProjectView, caller: Caller, *, with_cookie: bool, administrative: bool
) -> None:
    """Refuse a writing request that a foreign page sends with its visitor's cookies. Raises `OriginUnknown`.

    `administrative` requests (project console, admin mode) are accepted from the server's own pages and the platforms
    of the given view alone, which must then be that of the console.
    """
    origin = origin_of(request)
    parts = split(origin)
    if parts is None:
        if not with_cookie:
            return
        if not origin:
            if request.headers.get(SEC_FETCH_SITE, "") != "cross-site":
                return
            raise OriginUnknown(_refusal("unknown", ""))
        if origin == "null" and view.app_hosts & NULL_ORIGIN_PLATFORMS:
            return
        raise OriginUnknown(_refusal(origin, ""))
    host = (parts.hostname or "").rstrip(".")
    if host in view.web_hosts or host in view.app_hosts or f"{parts.scheme}://{parts.netloc}" in view.app_hosts:
        return
    if host in own_hosts(caller) if administrative else is_client_host(host, view, caller):
        return
    raise OriginUnknown(_refusal(host, parts.scheme))


def _refusal(host: str, scheme: str) -> str:
    platform = _PLATFORM_NAMES.get(scheme, "Unsupported platform" if scheme else "Web")
    host = host[:100]
    return (
        f"Invalid Origin. Register your new client ({host}) as a new {platform} platform on your project console dashboard"
    )


class CorsHeaders:
    """The CORS headers of answers; made once for each distinct origin, up to a bound."""

    _SIZE = 1_000

    def __init__(self, server: str) -> None:
        self._server = server
        self._made: dict[tuple[str, ...], CIMultiDict[str]] = {}

    def of(self, request: web.BaseRequest, view: ProjectView | None, caller: Caller | None) -> CIMultiDict[str]:
        """A fresh set of the headers that every answer carries."""
        origin = origin_of(request)
        key = (origin, view.project.id if view else "", caller.host if caller else "", caller.protocol if caller else "")
        made = self._made.get(key)
        if made is None:
            made = self._make(self._allowed(origin, view, caller))
            if len(self._made) < self._SIZE:
                self._made[key] = made
        return made.copy()

    def forget(self) -> None:
        self._made.clear()

    def _make(self, allowed: str) -> CIMultiDict[str]:
        return CIMultiDict(
            {
                "Server": self._server,
                "X-Content-Type-Options": "nosniff",
                "Access-Control-Allow-Methods": ALLOW_METHODS,
                "Access-Control-Allow-Headers": ALLOW_HEADERS,
                "Access-Control-Expose-Headers": EXPOSE_HEADERS,
                "Access-Control-Allow-Origin": allowed,
                "Access-Control-Allow-Credentials": "true",
            }
        )

    @staticmethod
    def _allowed(origin: str, view: ProjectView | None, caller: Caller | None) -> str:
        parts = split(origin)
        if parts is None:
            if origin == "null" and view is not None and view.app_hosts & NULL_ORIGIN_PLATFORMS:
                return "null"
            return f"{caller.protocol if caller else 'http'}://localhost"
        host = parts.hostname or ""
        named = f"[{host}]" if ":" in host and is_ip(host) else host
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            port = ""
        own = caller is not None and is_client_host(host, view, caller)
        declared = view is not None and (host in view.app_hosts or f"{parts.scheme}://{parts.netloc}" in view.app_hosts)
        if own or declared:
            return f"{parts.scheme}://{named}{port}"
        return f"{parts.scheme}://localhost{port}"

    def preflight(self, request: web.BaseRequest) -> CIMultiDict[str]:
        """The headers of an answer to OPTIONS, which is given on any path and without checks."""
        headers = self._make(request.headers.get(ORIGIN, ""))
        headers["Access-Control-Allow-Headers"] = f"{ALLOW_HEADERS}, X-Fallback-Cookies"
        return headers
