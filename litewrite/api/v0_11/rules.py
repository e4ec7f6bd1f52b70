"""The rule objects by which clients of Appwrite 0.11 declare the attributes of a collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from litewrite.entities import Attribute
from litewrite.http.params import Validator

MARKER = "rules"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LONGEST_ID = 32
_KNOWN = frozenset(
    (
        "$id",
        "$collection",
        "$permissions",
        "label",
        "key",
        "type",
        "default",
        "required",
        "array",
        "list",
        "filter",
    )
)


@dataclass(frozen=True, slots=True)
class Rule(Validator):
    """A rule object; gives the attribute, with an empty id unless the client sent one."""

    @property
    def description(self) -> str:
        return "a rule object with label, key, type, required and array"

    def check(self, value: Any) -> Attribute:
        if not isinstance(value, dict):
            raise self._refused()
        for name in value:
            if name not in _KNOWN:
                raise ValueError(f"has the unknown field {name[:64]!r}")
        _check_record_fields(value)
        key = _text(value, "key")
        if not _KEY.fullmatch(key):
            raise ValueError("must have a key of at most 32 characters out of A-Z a-z 0-9 - _")
        return Attribute(
            id=value.get("$id") or "",
            key=key,
            type=_text(value, "type"),
            label=_text(value, "label"),
            default=value.get("default"),
            required=_flag(value, "required"),
            array=_flag(value, "array"),
            list=_texts(value, "list"),
            filters=_texts(value, "filter"),
        )

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["label", "key", "type", "required", "array"],
            "properties": {
                "label": {"type": "string"},
                "key": {"type": "string", "maxLength": _LONGEST_ID},
                "type": {"type": "string"},
                "default": {},
                "required": {"type": "boolean"},
                "array": {"type": "boolean"},
                "list": {"type": "array", "items": {"type": "string"}},
            },
        }


def _check_record_fields(rule: dict[str, Any]) -> None:
    """What clients send back of rules that they have read."""
    id = rule.get("$id")
    if id is not None and not (isinstance(id, str) and len(id) <= _LONGEST_ID):
        raise ValueError("must have an $id of at most 32 characters")
    if rule.get("$collection", MARKER) not in (MARKER, None):
        raise ValueError(f"must have the $collection {MARKER!r}")
    permissions = rule.get("$permissions")
    if permissions is None or permissions == []:
        return
    if not isinstance(permissions, dict) or not permissions.keys() <= {"read", "write"}:
        raise ValueError("must have $permissions with the keys read and write")
    for roles in permissions.values():
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise ValueError("must have lists of strings in its $permissions")


def _text(rule: dict[str, Any], name: str) -> str:
    value = rule.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"must have a {name}, a string that is not empty")
    return value


def _flag(rule: dict[str, Any], name: str) -> bool:
    value = rule.get(name)
    if value is not True and value is not False:
        raise ValueError(f"must have {name}, true or false")
    return value


def _texts(rule: dict[str, Any], name: str) -> tuple[str, ...]:
    value = rule.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise ValueError(f"must have a {name} of strings")
    return tuple(value)
