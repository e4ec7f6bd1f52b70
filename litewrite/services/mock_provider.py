"""The built-in fake provider, for development, demos and tests of apps.

It keeps nothing: who logs in is written into the code and, from there, into the token. So the same choice gives the
same person on every server and in every run. Without a choice it is one fixed person with a fixed code and token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import orjson

from litewrite.errors import ProviderFailed
from litewrite.oauth.profile import Profile, make_profile, text
from litewrite.security import same

APP_ID = "1"
SECRET = "123456"
_CODE = "abcdef"
_TOKEN = "123456"
_LONGEST = 512
"""Characters of a person in a code, which is to stay below the 1024 that a code may have."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can log in at the fake provider."""

    uid: str
    name: str
    email: str
    verified: bool = True


DEFAULT = Person("1", "User Name", "user@localhost.test")
EXAMPLES = (
    DEFAULT,
    Person("2", "Ada Example", "ada@example.com"),
    Person("3", "Grace Example", "grace@example.com"),
    Person("4", "Linus Unverified", "linus@example.com", verified=False),
    Person("5", "Nobody Reachable", ""),
)
"""Whom the page for people offers."""


def person_of(*, email: str = "", name: str = "", uid: str = "", verified: bool = True) -> Person:
    """A person out of what somebody typed; what is missing follows from the rest, always in the same way.

    Raises ValueError for what no provider would tell: nothing at all, no e-mail address, or too much of it.
    """
    email = email.strip().lower()
    for known in EXAMPLES:
        if (email, name or known.name, uid or known.uid) == (known.email, known.name, known.uid) and (email or uid):
            return Person(known.uid, known.name, known.email, verified and known.verified)
    if not email and not uid:
        raise ValueError("an e-mail address or an id is needed")
    if not uid:
        uid = str(int.from_bytes(hashlib.sha256(email.encode(errors="replace")).digest()[:6], "big"))
    name = name or email.partition("@")[0].replace(".", " ").title()
    profile = make_profile(uid=uid, name=name, email=email)
    if profile.uid != uid or profile.email != email:
        raise ValueError("this is no e-mail address")
    person = Person(profile.uid, profile.name, profile.email, verified)
    if len(_pack(person)) > _LONGEST:
        raise ValueError("this is too long")
    return person


def code_of(person: Person) -> str:
    """The code that stands for a person."""
    return _CODE if person == DEFAULT else f"{_CODE}.{_pack(person)}"


def token_of(app_id: str, secret: str, code: str) -> str:
    """The access token for a code. Raises `ProviderFailed` for other credentials and for what is no code."""
    if not (same(app_id, APP_ID) and same(secret, SECRET)):
        raise ProviderFailed(f"The mock provider knows the app id {APP_ID} with the secret {SECRET} only")
    return _TOKEN if code == _CODE else f"{_TOKEN}.{_pack(_unpack(code, _CODE))}"


def person_behind(token: str) -> Person:
    """The person of an access token. Raises `ProviderFailed` for what is none."""
    return DEFAULT if token == _TOKEN else _unpack(token, _TOKEN)


def profile_of(person: Person) -> Profile:
    return make_profile(uid=person.uid, name=person.name, email=person.email, vouched=person.verified)


def _pack(person: Person) -> str:
    members = orjson.dumps([person.uid, person.name, person.email, person.verified])
    return base64.urlsafe_b64encode(members).decode().rstrip("=")


def _unpack(value: str, prefix: str) -> Person:
    head, separator, packed = value.partition(".")
    try:
        uid, name, email, verified = orjson.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    except (binascii.Error, ValueError, TypeError):
        raise ProviderFailed("The mock provider did not give this out") from None
    if head != prefix or not separator or not isinstance(verified, bool) or not text(uid):
        raise ProviderFailed("The mock provider did not give this out")
    return Person(text(uid), text(name), text(email), verified)
