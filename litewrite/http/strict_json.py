"""JSON as strangers send it: nothing that would mean different things to different readers, or break one.

Parsing goes through the standard library's C scanner, because its hook sees the members of each object and so notices
repeated keys; faster parsers drop them silently. What the scanner does not check (nesting, 64 bit, surrogates) is first
looked for in the bytes with a few cheap searches; only a text that might be at fault is looked at closely.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from litewrite.errors import ArgumentInvalid

MAX_JSON_DEPTH = 64
"""Most objects and lists inside each other."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class JsonBroken(ValueError):
    """The text is no JSON at all."""


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(members)
    if len(result) != len(members):
        seen: set[str] = set()
        for key, _ in members:
            if key in seen:
                raise ArgumentInvalid("", f"A JSON object has the key {key[:64]!r} twice")
            seen.add(key)
    return result


def _no_constant(name: str) -> NoReturn:
    raise ArgumentInvalid("", f"{name} is no JSON number")


def _int64(digits: str) -> int:
    if len(digits) <= 20:
        number = int(digits)
        if _INT_MIN <= number <= _INT_MAX:
            return number
    raise ArgumentInvalid("", "A JSON number does not fit into 64 bits")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        raise ArgumentInvalid("", "A JSON number is too large")
    return number


_PLAIN = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_CAREFUL = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int64, parse_float=_finite
)
_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _depth(body: bytes) -> int:
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(body.split(b'"')[::2])
    steps = outside.translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _has_lone_surrogate(body: bytes) -> bool:
    return bool(_SURROGATE.search(_SURROGATE_PAIR.sub(b"", body.replace(b"\\\\", b""))))


def decode_json(body: bytes) -> Any:
    """The value of a JSON text of any kind.

    Raises JsonBroken when it is no JSON in UTF-8, and ArgumentInvalid for nesting above `MAX_JSON_DEPTH`, numbers that
    are not finite, integers outside of signed 64 bits, lone surrogates and objects with a key twice.
    """
    if body.count(b"[") + body.count(b"{") > MAX_JSON_DEPTH and _depth(body) > MAX_JSON_DEPTH:
        raise ArgumentInvalid("", f"JSON is nested deeper than {MAX_JSON_DEPTH} levels")
    # A number can only be out of range with 19 digits in a row or an exponent of three digits.
    alike = body.translate(_DIGITS_ALIKE)
    careful = b"0000000000000000000" in alike or b"0e000" in alike or b"0e+000" in alike
    try:
        value = (_CAREFUL if careful else _PLAIN).decode(body.decode())
    except ValueError:
        raise JsonBroken("the text is no JSON") from None
    if (b"\\ud" in body or b"\\uD" in body) and _has_lone_surrogate(body):
        raise ArgumentInvalid("", "JSON text contains half of a surrogate pair")
    return value


def parse_json(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; `{}` for anything else, broken JSON and an empty body included.

    Raises ArgumentInvalid as `decode_json` does.
    """
    if not body:
        return {}
    try:
        value = decode_json(body)
    except JsonBroken:
        return {}
    return value if type(value) is dict else {}
