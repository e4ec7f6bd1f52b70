"""What a dialect provides, and which one a request gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from litewrite.http.endpoint import Endpoint, Router
from litewrite.permissions import Actor


class ErrorTable(Protocol):
    def __call__(self, error: BaseException) -> tuple[int, dict[str, Any]]:
        """Status and body of an error; anything unexpected becomes a plain 500."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format: the routes with their models, what errors look like, and who has which scopes."""

    name: str
    version: str
    endpoints: tuple[Endpoint, ...]
    router: Router
    render_error: ErrorTable
    locales: frozenset[str]
    public_scope: str
    key_scopes: frozenset[str]
    scopes: Mapping[str, frozenset[str]]
    """Scopes by kind of caller: `guest`, `member`, `application`, `owner`."""

    def has_scope(self, actor: Actor, scope: str) -> bool:
        return scope in self.scopes[actor.kind.value] or scope in actor.scopes


def make_router(endpoints: Iterable[Endpoint], aliases: Iterable[tuple[str, str, Endpoint]] = ()) -> Router:
    """A router of all endpoints, and of further places where some of them answer."""
    router = Router()
    for endpoint in endpoints:
        router.add(endpoint.method, endpoint.path, endpoint)
    for method, path, endpoint in aliases:
        router.add(method, path, endpoint)
    return router


