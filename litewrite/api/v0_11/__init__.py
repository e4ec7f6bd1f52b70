"""The dialect of Appwrite 0.11: its routes, models, errors, scopes and events."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from litewrite.api.dialect import Dialect, make_router
from litewrite.api.v0_11.errors import ErrorRenderer
from litewrite.api.v0_11.oauth_pages import error_page
from litewrite.api.v0_11.params import LOCALES
from litewrite.api.v0_11.scopes import KEY_SCOPES, PUBLIC, SCOPES
from litewrite.config import DIALECT_VERSION
from litewrite.http.endpoint import Endpoint

NAME = "v0_11"
SERVICES = (
    "account",
    "account_tokens",
    "avatars",
    "database",
    "extras",
    "functions",
    "health",
    "keys",
    "locale",
    "mails",
    "oauth",
    "pages",
    "platforms",
    "projects",
    "setup",
    "storage",
    "teams",
    "users",
    "webhooks",
)
MOCK_SERVICES = (*SERVICES, "mock_oauth")
"""The same with the mock provider of logins."""


def endpoints(services: Iterable[str] = SERVICES) -> tuple[Endpoint, ...]:
    """Every endpoint of the dialect, by service and in the order of declaration."""
    return tuple(endpoint for service in services for endpoint in import_module(f"{__name__}.{service}").routes)


def make_dialect(version: str = DIALECT_VERSION, *, mock_oauth2: bool = False) -> Dialect:
    """The dialect; `version` is what error bodies report, `mock_oauth2` adds the mock provider of logins."""
    every = endpoints(MOCK_SERVICES if mock_oauth2 else SERVICES)
    by_name = {endpoint.name: endpoint for endpoint in every}
    aliases = (
        ("POST", "/v1/account/anonymous", by_name["account.create"]),
        ("GET", "/v1/teams/{teamId}/memberships/{membershipId}", by_name["teams.getMemberships"]),
        *(("GET", f"/v1{page.path}", page) for page in every if page.tag in ("extras", "pages")),
    )
    return Dialect(
        name=NAME,
        version=DIALECT_VERSION,
        endpoints=every,
        router=make_router(every, aliases),
        render_error=ErrorRenderer(version),
        render_page=error_page,
        locales=LOCALES,
        public_scope=PUBLIC,
        key_scopes=frozenset(KEY_SCOPES),
        scopes=SCOPES,
    )
