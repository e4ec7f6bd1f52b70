"""Requests to providers: bounded in time and size, without cookies, redirects and proxies of the environment.

Addresses come from our own table alone. Nothing of a request or an answer is logged, since both carry secrets.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from litewrite.errors import ProviderFailed

log = logging.getLogger(__name__)

SECONDS = 10.0
"""For one request, from the wait for a connection to the end of the answer."""
LARGEST_ANSWER = 262_144
MOST_CONNECTIONS = 32
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Client:
    """Owns the connections to providers; entering opens, leaving closes them.

    `bases` replaces scheme and host of all addresses of a provider, by its key; it is for tests.
    """

    def __init__(self, bases: Mapping[str, str] | None = None) -> None:
        self._bases = dict(bases or {})
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(limit=MOST_CONNECTIONS),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=SECONDS),
            headers={"User-Agent": "litewrite", "Accept": "application/json"},
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def address(self, provider: str, url: str) -> str:
        """An address of the table, at the base that was given for the provider."""
        base = self._bases.get(provider)
        if not base:
            return url
        parts, at = urlsplit(url), urlsplit(base)
        return urlunsplit((at.scheme, at.netloc, parts.path, parts.query, parts.fragment))

    async def get(
        self,
        provider: str,
        url: str,
        *,
        token: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer to a GET, by default with the token as bearer. Raises `ProviderFailed`."""
        return await self._ask("GET", provider, url, token=token, params=query, headers=headers)

    async def post(
        self,
        provider: str,
        url: str,
        *,
        token: str = "",
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Any:
        """The decoded answer to a POST of a form, or of nothing. Raises `ProviderFailed`."""
        headers = {"Authorization": f"Basic {base64.b64encode(':'.join(auth).encode()).decode()}"} if auth else None
        return await self._ask("POST", provider, url, token=token, data=form, headers=headers)

    async def _ask(
        self,
        method: str,
        provider: str,
        url: str,
        *,
        token: str,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        if self._session is None:
            raise RuntimeError("the client is used before it was entered")
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        try:
            async with self._session.request(
                method, self.address(provider, url), headers=sent, allow_redirects=False, **options
            ) as response:
                body = await response.content.read(LARGEST_ANSWER + 1)
                while len(body) <= LARGEST_ANSWER and not response.content.at_eof():
                    body += await response.content.read(LARGEST_ANSWER + 1 - len(body))
                status = response.status
        except (ClientError, OSError, ValueError) as error:
            log.warning("the login provider %s could not be asked: %s", provider, type(error).__name__)
            raise ProviderFailed(f"The login provider {provider} could not be reached") from None
        if len(body) > LARGEST_ANSWER:
            raise ProviderFailed(f"The login provider {provider} answered with more than {LARGEST_ANSWER} bytes")
        answer = decode(body)
        if status >= 300 or answer is None:
            log.warning("the login provider %s refused with status %d %s", provider, status, _code(answer))
            raise ProviderFailed(f"The login provider {provider} refused the request (status {status})")
        return answer


def decode(body: bytes) -> Any:
    """A body as JSON, or as a form, which some providers answer with; None when it is neither."""
    stripped = body.strip()
    if stripped[:1] in (b"{", b"["):
        try:
            return orjson.loads(stripped)
        except orjson.JSONDecodeError:
            return None
    try:
        return dict(parse_qsl(stripped.decode("ascii"), strict_parsing=True, max_num_fields=100)) or None
    except ValueError:
        return None


def _code(answer: Any) -> str:
    """The error code of an answer when it is plainly one."""
    code = answer.get("error") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
