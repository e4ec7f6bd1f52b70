"""The dialect of Appwrite 0.11: its routes, models, errors, scopes and events."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from litewrite.api.dialect import Dialect, make_router
from litewrite.api.v0_11.errors import ErrorRenderer
from litewrite.api.v0_11.params import LOCALES
from litewrite.api.v0_11.scopes import KEY_SCOPES, PUBLIC, SCOPES
from litewrite.config import DIALECT_VERSION
from litewrite.http.endpoint import Endpoint

NAME = "v0_11"
SERVICES = ("account", "database", "functions", "health", "storage")


def endpoints(services: Iterable[str] = SERVICES) -> tuple[Endpoint, ...]:
    """Every endpoint of the dialect, by service and in the order of declaration."""
    return tuple(
        endpoint for service in services for endpoint in import_module(f"{__name__}.{service}").routes
    )


def make_dialect(version: str = DIALECT_VERSION) -> Dialect:
    """The dialect; `version` is what error bodies report."""
    every = endpoints()
    by_name = {endpoint.name: endpoint for endpoint in every}
    aliases = (("POST", "/v1/account/anonymous", by_name["account.create"]),)
    return Dialect(
        name=NAME,
        version=DIALECT_VERSION,
        endpoints=every,
        router=make_router(every, aliases),
        render_error=ErrorRenderer(version),
        locales=LOCALES,
        public_scope=PUBLIC,
        key_scopes=frozenset(KEY_SCOPES),
        scopes=SCOPES,
    )
