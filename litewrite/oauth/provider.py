"""What a row of the table of providers says, with the usual way as default of every column."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from litewrite.oauth.client import Client
from litewrite.oauth.profile import Grant, Profile, dig, is_true, make_profile, text

NOTHING: Mapping[str, str] = MappingProxyType({})
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fields:
    """Where an answer has what we want, as paths (`data.0.id`); several paths are joined by a blank."""

    uid: str
    email: str
    name: tuple[str, ...]
    vouched: str = ""
    """Where it says that the address was checked; empty when it never does, and then we do not believe it."""
    always_vouched: bool = False
    """The provider documents that it tells checked addresses only."""

    def read(self, answer: object) -> Profile:
        names = (text(dig(answer, path)) for path in self.name)
        return make_profile(
            uid=dig(answer, self.uid),
            email=dig(answer, self.email),
            name=" ".join(name for name in names if name),
            vouched=self.always_vouched or (bool(self.vouched) and is_true(dig(answer, self.vouched))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. Everything is by the standard unless a row says otherwise."""

    key: str
    name: str
    authorize: str
    """Where the browser is sent."""
    token: str
    """Where the code is changed for an access token, by POST of a form."""
    profile: str = ""
    """Where the token gives the person, by GET with the token as bearer."""
    fields: Fields | None = None
    """How the profile is read; None when `read` does it all."""
    scopes: tuple[str, ...] = ()
    separator: str = " "
    """Between scopes."""
    parameters: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Further parameters of the authorisation URL."""
    unwanted: frozenset[str] = NONE
    """Standard parameters of the authorisation URL that it does not take."""
    token_unwanted: frozenset[str] = NONE
    """Standard fields of the token request that it does not take."""
    token_wanted: frozenset[str] = NONE
    """Further fields of the token request: `scope`, `state`."""
    token_by_get: bool = False
    basic: bool = False
    """Whether app id and secret go into a Basic header instead of the form."""
    pkce: bool = False
    """Whether it documents that it takes PKCE (RFC 7636, S256)."""
    form_post: bool = False
    """Whether the browser comes back with a POST from the provider's site."""
    numeric_loopback: bool = False
    """Whether it wants 127.0.0.1 where a redirect URL says localhost."""
    make_secret: Callable[[str, str], str] | None = None
    """Makes the client secret out of app id and what the project has stored. Raises `ProviderFailed`."""
    read: Callable[[Client, Provider, Grant, str], Awaitable[Profile]] | None = None
    """Asks for the profile when one GET will not do; gets the app id as well."""
