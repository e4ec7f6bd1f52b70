"""The kinds of parameters: what a value must look like, said once for checking, for the error message and for the docs.

A kind is a small frozen object. `check` returns the value, converted where the kind says so, or raises ValueError with
the reason; the caller adds the parameter's name. It takes any JSON value and never raises anything else. Whether a
parameter may be absent is not decided here. Numbers are never taken for text, nor booleans for numbers.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from litewrite.errors import ArgumentInvalid
from litewrite.http.strict_json import JsonBroken, decode_json


class Validator(ABC):
    """One kind of parameter. `description` completes both "must be ..." and a line of documentation."""

    __slots__ = ()

    @property
    @abstractmethod
    def description(self) -> str: ...

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value, converted where the kind says so. Raises ValueError with the reason."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """A schema object of OpenAPI 3.0, made anew on each call."""

    def _refused(self) -> ValueError:
        return ValueError(f"must be {self.description}")


def _span(low: float | None, high: float | None, unit: str = "") -> str:
    """` from 1 to 5 bytes`, ` of at most ...`: empty when nothing bounds it."""
    if low is None and high is None:
        return ""
    if high is None:
        return f" of at least {low}{unit}"
    if low is None:
        return f" of at most {high}{unit}"
    return f" from {low} to {high}{unit}"


# Text


@dataclass(frozen=True, slots=True)
class Text(Validator):
    """A string of `min` to `max` characters (code points); None for no upper bound but that of the body."""

    max: int | None = None
    min: int = 0

    @property
    def description(self) -> str:
        return "a string" + _span(self.min or None, self.max, " characters")

    def check(self, value: Any) -> str:
        if isinstance(value, str) and (self.max is None or len(value) <= self.max) and len(value) >= self.min:
            return value
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        if self.min:
            schema["minLength"] = self.min
        if self.max is not None:
            schema["maxLength"] = self.max
        return schema


@dataclass(frozen=True, slots=True)
class Id(Validator):
    """A string of at most 32 characters, whichever they are."""

    @property
    def description(self) -> str:
        return "an id: a string of at most 32 characters"

    def check(self, value: Any) -> str:
        if isinstance(value, str) and len(value) <= 32:
            return value
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": 32}


_NOT_KEY = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Key(Validator):
    """A string of `min` to `max` characters out of A-Z a-z 0-9 - _."""

    max: int = 32
    min: int = 0

    @property
    def description(self) -> str:
        return f"a string{_span(self.min or None, self.max, ' characters')} out of A-Z a-z 0-9 - _"

    def check(self, value: Any) -> str:
        if isinstance(value, str) and self.min <= len(value) <= self.max and not _NOT_KEY.search(value):
            return value
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.max, "pattern": f"^[A-Za-z0-9_-]{{{self.min},{self.max}}}$"}


_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:\[(?P<literal>[0-9A-Za-z:.]+)\]"
    r"|(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+))"
)


@dataclass(frozen=True, slots=True)
class Email(Validator):
    """An ASCII e-mail address; gives it in lower case.

    The local part is unquoted and at most 64 characters, the domain has a dot or is an IP address in brackets
    (`[127.0.0.1]`, `[IPv6:::1]`).
    """

    @property
    def description(self) -> str:
        return "an e-mail address in ASCII whose domain has a dot"

    def check(self, value: Any) -> str:
        # 64 characters, an at sign and the 253 of the longest domain name.
        if not isinstance(value, str) or len(value) > 318:
            raise self._refused()
        match = _EMAIL.fullmatch(value)
        if match is None or value.index("@") > 64 or len(match["domain"] or "") > 253:
            raise self._refused()
        if match["literal"] and not _is_address(match["literal"]):
            raise self._refused()
        return value.lower()

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "email"}


def _is_address(literal: str) -> bool:
    try:
        if literal[:5].lower() == "ipv6:":
            ipaddress.IPv6Address(literal[5:])
        else:
            ipaddress.IPv4Address(literal)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Password(Validator):
    """A string of 6 to 32 bytes in UTF-8."""

    @property
    def description(self) -> str:
        return "a string from 6 to 32 bytes in UTF-8"

    def check(self, value: Any) -> str:
        if isinstance(value, str) and 6 <= len(value.encode(errors="surrogatepass")) <= 32:
            return value
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "password", "maxLength": 32}


_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#][\x21-\x5b\x5d-\x7e]*)?"
)
_NEVER_A_LINK = frozenset(("javascript", "vbscript", "data", "blob", "about"))


@dataclass(frozen=True, slots=True)
class Url(Validator):
    """An absolute URL of ASCII characters with scheme and host, and nothing that readers might take differently.

    Refused are user info, backslashes, control characters, blanks, empty labels in the host, ports above 65535 and
    schemes by which a page runs script. `schemes`, in lower case, narrows it to some; empty allows the others.
    Which hosts are allowed is for the caller to decide.
    """

    schemes: tuple[str, ...] = ()
    max: int = 8_192

    @property
    def description(self) -> str:
        kind = f"an absolute {' or '.join(self.schemes)} URL" if self.schemes else "an absolute URL"
        return f"{kind} with a host, without user name, backslashes and blanks"

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > self.max:
            raise self._refused()
        match = _URL.fullmatch(value)
        if match is None or int(match["port"] or 0) > 65_535:
            raise self._refused()
        scheme = match["scheme"].lower()
        if scheme in _NEVER_A_LINK or (self.schemes and scheme not in self.schemes):
            raise self._refused()
        if match["ipv6"] and not _is_address(f"ipv6:{match['ipv6']}"):
            raise self._refused()
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "url", "maxLength": self.max}


_HEX_COLOR = re.compile(r"[0-9A-Fa-f]{3}(?:[0-9A-Fa-f]{3})?")


@dataclass(frozen=True, slots=True)
class HexColor(Validator):
    """3 or 6 hexadecimal digits without `#`."""

    @property
    def description(self) -> str:
        return "a colour of 3 or 6 hexadecimal digits without #"

    def check(self, value: Any) -> str:
        if isinstance(value, str) and _HEX_COLOR.fullmatch(value):
            return value
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$"}


# Numbers and choices

_INTEGER = re.compile(r"[+-]?[0-9]{1,32}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,3})?")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Integer(Validator):
    """An integer, or a string of an optional sign and digits, from `min` to `max`; gives an int within 64 bits.

    Fractions are refused, `5.0` and `1e3` included, and so are blanks.
    """

    min: int | None = None
    max: int | None = None

    @property
    def description(self) -> str:
        return "an integer" + _span(self.min, self.max)

    def check(self, value: Any) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if (
            type(value) is not int
            or value not in _INT64
            or (self.min is not None and value < self.min)
            or (self.max is not None and value > self.max)
        ):
            raise self._refused()
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "format": "int64", **_bounds(self.min, self.max)}


@dataclass(frozen=True, slots=True)
class Number(Validator):
    """A finite number, or a decimal string without blanks, from `min` to `max`; gives a float."""

    min: float | None = None
    max: float | None = None

    @property
    def description(self) -> str:
        return "a number" + _span(self.min, self.max)

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._refused()
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise self._refused()
        try:
            number = float(value)
        except OverflowError:
            raise self._refused() from None
        if (
            not math.isfinite(number)
            or (self.min is not None and number < self.min)
            or (self.max is not None and number > self.max)
        ):
            raise self._refused()
        return number

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "format": "double", **_bounds(self.min, self.max)}


def _bounds(low: float | None, high: float | None) -> dict[str, Any]:
    return {name: bound for name, bound in (("minimum", low), ("maximum", high)) if bound is not None}


@dataclass(frozen=True, slots=True)
class Boolean(Validator):
    """JSON true or false; with `loose` also `"true"`, `"false"`, `"1"`, `"0"`, 1 and 0. Gives a bool."""

    loose: bool = False

    @property
    def description(self) -> str:
        return "true, false, 1 or 0" if self.loose else "true or false"

    def check(self, value: Any) -> bool:
        if value is True or value is False:
            return value
        if self.loose:
            if isinstance(value, str):
                if value in ("true", "1"):
                    return True
                if value in ("false", "0"):
                    return False
            elif type(value) is int and value in (0, 1):
                return value == 1
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class OneOf(Validator):
    """One of `values` (strings, numbers, booleans), of the same type and case.

    With `ignore_case` the case of strings does not matter, and the value is given as it stands in `values`.
    """

    values: tuple[Any, ...]
    ignore_case: bool = False
    _known: dict[tuple[type, Any], Any] = field(init=False, repr=False, compare=False)

    def __init__(self, values: Iterable[Any], *, ignore_case: bool = False) -> None:
        object.__setattr__(self, "values", tuple(values))
        object.__setattr__(self, "ignore_case", ignore_case)
        known = {(type(value), self._folded(value)): value for value in reversed(self.values)}
        object.__setattr__(self, "_known", known)

    def _folded(self, value: Any) -> Any:
        return value.lower() if self.ignore_case and isinstance(value, str) else value

    @property
    def description(self) -> str:
        shown = ", ".join(str(value) if isinstance(value, str) else json.dumps(value) for value in self.values)
        return f"one of {shown}" + (" (in any case)" if self.ignore_case else "")

    def check(self, value: Any) -> Any:
        if isinstance(value, str | int | float):
            key = (type(value), self._folded(value))
            if key in self._known:
                return self._known[key]
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
        types = {kinds.get(type(value)) for value in self.values}
        schema: dict[str, Any] = {"enum": list(self.values)}
        if len(types) == 1 and None not in types:
            schema["type"] = types.pop()
        return schema


# Containers


@dataclass(frozen=True, slots=True)
class ListOf(Validator):
    """A list whose elements all pass `inner`, or a map, whose values in order are the list; may be empty.

    Gives a new list. More than `max_items` elements are refused.
    """

    inner: Validator
    max_items: int = 1_000

    @property
    def description(self) -> str:
        return f"an array of at most {self.max_items} elements, each {self.inner.description}"

    def check(self, value: Any) -> list[Any]:
        if isinstance(value, dict):
            value = list(value.values())
        elif not isinstance(value, list):
            raise ValueError("must be an array")
        if len(value) > self.max_items:
            raise ValueError(f"must be an array of at most {self.max_items} elements")
        check = self.inner.check
        checked: list[Any] = []
        try:
            for element in value:
                checked.append(check(element))
        except ValueError as error:
            raise ValueError(f"element {len(checked)} of the array {error}") from None
        return checked

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.inner.schema(), "maxItems": self.max_items}


@dataclass(frozen=True, slots=True)
class JsonObject(Validator):
    """A JSON object of at most `max_bytes` bytes as compact JSON; an empty list counts as the empty object."""

    max_bytes: int | None = None

    @property
    def description(self) -> str:
        return "a JSON object" + _span(None, self.max_bytes, " bytes")

    def check(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            if self.max_bytes is not None and _json_size(value) > self.max_bytes:
                raise self._refused()
            return value
        if isinstance(value, list) and not value:
            return {}
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


def _json_size(value: Any) -> int:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (RecursionError, ValueError):
        raise ValueError("must be an object that can be written as JSON") from None
    return len(text.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True)
class JsonObjectOrText(Validator):
    """A JSON object, or a string with JSON of any kind, which is parsed; an empty list counts as the empty object.

    Gives the object or whatever the string held: a caller that needs an object has to look. Strings are held to the
    same rules as JSON bodies.
    """

    @property
    def description(self) -> str:
        return "a JSON object, or a string that contains one"

    def check(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        if isinstance(value, list) and not value:
            return {}
        if isinstance(value, str):
            try:
                return decode_json(value.encode(errors="surrogatepass"))
            except JsonBroken:
                raise self._refused() from None
            except ArgumentInvalid as error:
                raise ValueError(str(error)) from None
        raise self._refused()

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}
