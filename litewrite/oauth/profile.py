"""What a provider answers: an access token, and who the person is.

Answers come from outside, so everything read out of them is brought into a form and a size that can be stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_UID = 255
LONGEST_NAME = 128
LONGEST_ADDRESS = 318
_ADDRESS = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token. `answer` is the whole answer it came in, in which some providers tell more."""

    access_token: str = field(repr=False)
    answer: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """A person at a provider. Empty texts are what the provider did not tell."""

    uid: str
    """Tells the person apart from all others at the provider, for ever."""
    name: str = ""
    email: str = ""
    """In lower case."""
    vouched: bool = False
    """Whether the provider says that it has checked that the address is the person's."""


def dig(value: Any, path: str) -> Any:
    """What lies at a path such as `data.0.id` in decoded JSON, or None."""
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text(value: Any) -> str:
    """A text or a whole number as text; anything else is empty."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def is_true(value: Any) -> bool:
    """Whether a claim is true; some providers write it as text."""
    return value is True or value == "true"


def make_profile(*, uid: Any, name: Any = "", email: Any = "", vouched: bool = False) -> Profile:
    """A profile out of whatever an answer holds. A value that cannot be stored counts as not told."""
    known = text(uid)
    address = text(email).strip().lower()
    if len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
        address = ""
    return Profile(
        uid=known if len(known) <= LONGEST_UID and known.isprintable() else "",
        name=" ".join("".join(char if char.isprintable() else " " for char in text(name)).split())[:LONGEST_NAME],
        email=address,
        vouched=vouched and bool(address),
    )
