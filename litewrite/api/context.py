"""The state of one request on its way through the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web
from multidict import CIMultiDict

from litewrite.api.credentials import cookie_name, set_cookie_headers
from litewrite.api.uploads import Multipart
from litewrite.errors import LitewriteError
from litewrite.http.endpoint import Endpoint
from litewrite.http.hosts import Caller
from litewrite.permissions import Actor, ActorKind
from litewrite.services import Services
from litewrite.services.projects import ProjectView

if TYPE_CHECKING:
    from litewrite.api.dialect import Dialect

GUEST = Actor(kind=ActorKind.GUEST, project_id="")
NOTHING: Mapping[str, Any] = {}


class Context:
    """What the steps of the pipeline find out about a request, and what a handler works with.

    A handler uses `actor`, `services`, `project`, `base_url` and the methods; the rest belongs to the pipeline.
    """

    __slots__ = (
        "actor",
        "administrative",
        "arguments",
        "caller",
        "clients",
        "cookies",
        "dialect",
        "endpoint",
        "fallback",
        "fault",
        "given",
        "headers",
        "locale",
        "parts",
        "path",
        "request",
        "response",
        "services",
        "session_from_cookie",
        "view",
    )

    def __init__(self, request: web.Request, services: Services, dialect: Dialect) -> None:
        self.request = request
        self.services = services
        self.dialect = dialect
        self.endpoint: Endpoint | None = None
        self.path: Mapping[str, str] = NOTHING
        self.given: Mapping[str, Any] = NOTHING
        self.fault: LitewriteError | None = None
        self.parts: Multipart | None = None
        self.caller: Caller | None = None
        self.view: ProjectView | None = None
        self.clients: ProjectView | None = None
        """The project whose platforms may call: that of the request, or the console for administrative ones."""
        self.administrative = False
        """Whether the request is on the project of the administrators, or asks to act as one."""
        self.actor: Actor = GUEST
        self.session_from_cookie = False
        self.locale = "en"
        self.arguments: dict[str, Any] = {}
        self.headers: CIMultiDict[str] | None = None
        self.response: web.StreamResponse | None = None
        self.cookies: list[str] = []
        self.fallback = ""
        """What clients that cannot keep cookies are told after a login or logout."""

    @property
    def project(self) -> ProjectView:
        if self.view is None:
            raise RuntimeError("this endpoint works without a project")
        return self.view

    @property
    def base_url(self) -> str:
        """Scheme, host and port under which the client reaches this server, or the configured public URL."""
        if self.services.config.public_url:
            return self.services.config.public_url.rstrip("/")
        return self.caller.base_url if self.caller else ""

    def add_header(self, name: str, value: str) -> None:
        """Put a header on the answer."""
        if self.headers is None:
            self.headers = CIMultiDict()
        self.headers.add(name, value)

    def log_in(self, session_value: str, expires: datetime) -> None:
        """Hand a new session to the client: both cookies, and the header for clients that cannot keep cookies."""
        self._cookies(session_value, expires)
        self.fallback = f'{{"{cookie_name(self.project.project.id)}":"{session_value}"}}'

    def log_out(self, *, cookies: bool = True) -> None:
        """Take the session back from the client."""
        if cookies:
            self._cookies("", None)
        self.fallback = "[]"

    def _cookies(self, value: str, expires: datetime | None) -> None:
        caller = self.caller
        assert caller is not None
        self.cookies += set_cookie_headers(
            self.project.project.id, value, expires, secure=caller.protocol == "https", host=caller.host
        )
