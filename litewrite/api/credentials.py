"""What a request presents to say who is calling, and the cookies that a login sets."""

from __future__ import annotations

import email.utils
import ipaddress
import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote

from aiohttp import web
from multidict import istr

from litewrite.entities import CONSOLE
from litewrite.http.sites import Sites
from litewrite.security import decode_session
from litewrite.services.auth import Credentials

PROJECT = istr("X-Appwrite-Project")
KEY = istr("X-Appwrite-Key")
JWT = istr("X-Appwrite-JWT")
MODE = istr("X-Appwrite-Mode")
LOCALE = istr("X-Appwrite-Locale")
FALLBACK_COOKIES = istr("X-Fallback-Cookies")
COOKIE = istr("Cookie")
ADMIN_MODE = "admin"

_PAST = email.utils.formatdate(0, usegmt=True)


def cookie_name(project_id: str) -> str:
    return f"a_session_{project_id}"


class SessionCookies:
    """Reads session cookies, and remembers what the latest cookie headers said.

    The standard library's parser refuses whole headers for one odd cookie and is slow; a session cookie is plain.
    """

    _SIZE = 2_048
    _LONGEST = 2_048
    """Characters of a header that is remembered; two sessions take some 1,000."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, str]] = {}

    def of(self, request: web.BaseRequest) -> Mapping[str, str]:
        """The session cookies of a request that decode, by name in lower case, percent-decoded."""
        headers = request.headers.getall(COOKIE, ())
        if len(headers) != 1:
            return self._read("; ".join(headers)) if headers else {}
        header = headers[0]
        known = self._known.get(header)
        if known is None:
            known = self._read(header)
            if len(header) <= self._LONGEST:
                if len(self._known) >= self._SIZE:
                    self._known.clear()
                self._known[header] = known
        return known

    @staticmethod
    def _read(header: str) -> dict[str, str]:
        cookies: dict[str, str] = {}
        for pair in header.split(";"):
            name, separator, value = pair.strip().partition("=")
            name = name.lower()
            if separator and name.startswith("a_session_"):
                value = unquote(value.strip('"'))
                if decode_session(value) is not None:
                    cookies[name] = value
        return cookies


def _fallback(request: web.BaseRequest, name: str) -> str:
    header = request.headers.get(FALLBACK_COOKIES, "")
    if not header.startswith("{"):
        return ""
    try:
        cookies = json.loads(header)
    except (ValueError, RecursionError):
        return ""
    found = next((value for key, value in cookies.items() if key.lower() == name), "")
    return found if isinstance(found, str) else ""


def _session(request: web.BaseRequest, cookies: Mapping[str, str], project_id: str) -> tuple[str, bool]:
    """The session value for a project and whether a cookie held it."""
    name = cookie_name(project_id).lower()
    cookie = cookies.get(name) or cookies.get(f"{name}_legacy")
    return (cookie, True) if cookie else (_fallback(request, name), False)


def read_credentials(
    request: web.BaseRequest, project_id: str, mode: str, cookies: Mapping[str, str]
) -> tuple[Credentials, bool]:
    """The credentials of a request, and whether its session came as a cookie."""
    headers = request.headers
    session, from_cookie = _session(request, cookies, project_id)
    admin = ""
    if mode == ADMIN_MODE and project_id != CONSOLE:
        admin, admin_from_cookie = _session(request, cookies, CONSOLE)
        from_cookie = from_cookie or admin_from_cookie
    return Credentials(session, headers.get(JWT, ""), headers.get(KEY, ""), admin), from_cookie


def cookie_domain(host: str) -> str:
    """The `Domain` of session cookies of a host; empty when they belong to that very host alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return f".{host}"
    return ""


def set_cookie_headers(project_id: str, value: str, expires: datetime | None, *, secure: bool, host: str) -> list[str]:
    """Two `Set-Cookie` values, the legacy one first; no `expires` takes the cookies back.

    Browsers refuse `SameSite=None` without `Secure`, so over plain http it is the legacy cookie that stays.
    """
    moment = email.utils.format_datetime(expires, usegmt=True) if expires else _PAST
    domain = cookie_domain(host)
    attributes = f"; Expires={moment}; Path=/" + (f"; Domain={domain}" if domain else "")
    attributes += ("; Secure" if secure else "") + "; HttpOnly"
    name = cookie_name(project_id)
    encoded = quote(value, safe="")
    return [f"{name}_legacy={encoded}{attributes}", f"{name}={encoded}{attributes}; SameSite=None"]


async def needs_fallback(sites: Sites, host: str, page: str) -> bool:
    """Whether a client may be unable to keep cookies: unless the host of its page and the server are of one site.

    `page` is empty when it is unknown.
    """
    return not page or not cookie_domain(host) or not await sites.are_same(host, page)
