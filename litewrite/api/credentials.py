"""What a request presents to say who is calling, and the cookies that a login sets."""

from __future__ import annotations

import email.utils
import ipaddress
import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web
from multidict import istr

from litewrite.entities import CONSOLE
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


def session_cookies(request: web.BaseRequest) -> dict[str, str]:
    """Every session cookie of a request by its name in lower case, percent-decoded.

    The standard library's cookie parser refuses whole headers for one odd cookie and is slow; a session cookie is plain.
    """
    cookies: dict[str, str] = {}
    for header in request.headers.getall(COOKIE, ()):
        for pair in header.split(";"):
            name, separator, value = pair.strip().partition("=")
            name = name.lower()
            if separator and name.startswith("a_session_"):
                value = value.strip('"')
                cookies[name] = unquote(value) if "%" in value else value
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
    for candidate in (cookies.get(name, ""), cookies.get(f"{name}_legacy", "")):
        if candidate and decode_session(candidate) is not None:
            return candidate, True
    return _fallback(request, name), False


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


def _domain(host: str) -> str:
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
    domain = _domain(host)
    attributes = f"; Expires={moment}; Path=/" + (f"; Domain={domain}" if domain else "")
    attributes += ("; Secure" if secure else "") + "; HttpOnly"
    name = cookie_name(project_id)
    encoded = quote(value, safe="")
    return [f"{name}_legacy={encoded}{attributes}", f"{name}={encoded}{attributes}; SameSite=None"]


def needs_fallback(host: str, origin: str) -> bool:
    """Whether a client may be unable to keep cookies: always, unless its page and the server share a registrable domain."""
    if not origin or not _domain(host):
        return True
    try:
        page = urlsplit(origin).hostname or ""
    except ValueError:
        return True
    from publicsuffixlist import PublicSuffixList

    suffixes = PublicSuffixList(accept_unknown=False)
    own = suffixes.privatesuffix(host)
    return own is None or own != suffixes.privatesuffix(page)
