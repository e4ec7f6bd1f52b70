"""What a dialect provides, and which one a request gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from litewrite.http.endpoint import Endpoint, Router
from litewrite.permissions import ANY, Actor, ActorKind

if TYPE_CHECKING:
    from litewrite.api.context import Context


class ErrorTable(Protocol):
    def __call__(self, error: BaseException) -> tuple[int, dict[str, Any]]:
        """Status and body of an error; anything unexpected becomes a plain 500."""
        ...


class SocketHandler(Protocol):
    async def __call__(self, ctx: Context) -> web.StreamResponse:
        """Answer a GET request on the path of a WebSocket, whose host has been checked and nothing else."""
        ...


class ErrorPage(Protocol):
    def __call__(self, status: int, body: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        """Text and headers of the page for an error body."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format: the routes with their models, what errors look like, and who has which scopes."""

    name: str
    version: str
    endpoints: tuple[Endpoint, ...]
    router: Router
    render_error: ErrorTable
    render_page: ErrorPage
    """Makes the page on which a person sees an error, for endpoints that answer with pages."""
    locales: frozenset[str]
    public_scope: str
    key_scopes: frozenset[str]
    scopes: Mapping[str, frozenset[str]]
    """Scopes by kind of caller: `guest`, `member`, `application`, and the roles of administrators."""

    def has_scope(self, actor: Actor, scope: str) -> bool:
        if actor.kind is ActorKind.ADMIN:
            return any(scope in self.scopes[role.removeprefix("role:")] for role in actor.roles if role != ANY)
        return scope in self.scopes[actor.kind.value] or scope in actor.scopes


def make_router(endpoints: Iterable[Endpoint], aliases: Iterable[tuple[str, str, Endpoint]] = ()) -> Router:
    """A router of all endpoints, and of further places where some of them answer."""
    router = Router()
    for endpoint in endpoints:
        router.add(endpoint.method, endpoint.path, endpoint)
    for method, path, endpoint in aliases:
        router.add(method, path, endpoint)
    return router
