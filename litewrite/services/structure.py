"""What a document of a collection has to look like: its attributes compiled into checks, and the checking itself.

A collection's attributes are compiled once and kept by their stored text, so a change of them is noticed by itself and
nothing has to be told.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Protocol

from litewrite.db.collections import decode_attributes
from litewrite.db.filters import Declared
from litewrite.entities import Attribute
from litewrite.errors import StructureInvalid

ID, COLLECTION, PERMISSIONS = "$id", "$collection", "$permissions"
RESERVED = frozenset((ID, COLLECTION, PERMISSIONS))
"""Members of a document that are not attributes."""
LONGEST_ID = 32
MOST_KEPT = 1_000

_TIMES = tuple(Attribute(id="", key=key, type="numeric", label=key) for key in ("$createdAt", "$updatedAt"))
"""Attributes that every collection has."""

_NUMERIC = re.compile(r"[ \t\n\r\v\f]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\r\v\f]*")
_NOT_KEY = re.compile(r"[^A-Za-z0-9_-]")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:\[(?P<literal>[0-9A-Za-z:.]+)\]|(?P<domain>{_LABEL}(?:\.{_LABEL})+))")
_URL = re.compile(
    r"(?:(?P<opaque>mailto|news|file):[\x21-\x7e]+"
    r"|[A-Za-z][A-Za-z0-9+.-]*://(?:[\x21\x22\x24-\x2e\x30-\x3e\x41-\x7e]*@)?"
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[(?P<address>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#][\x21-\x7e]*)?)",
    re.IGNORECASE,
)


class References(Protocol):
    """Whether what a document refers to exists for the caller."""

    def document_exists(self, collection_id: str, document_id: str) -> bool: ...

    def file_exists(self, file_id: str) -> bool: ...


Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, str):
        return _NUMERIC.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_ID and not _NOT_KEY.search(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_ID


def is_ip(value: Any) -> bool:
    """Whether a value is the text of an IPv4 or IPv6 address, without a zone."""
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_email(value: Any) -> bool:
    """Whether a value is an e-mail address in ASCII whose domain has a dot, or is an address in brackets."""
    if not isinstance(value, str) or len(value) > 318:
        return False
    match = _EMAIL.fullmatch(value)
    if match is None or value.rindex("@") > 64 or len(match["domain"] or "") > 253:
        return False
    literal = match["literal"]
    return not literal or is_ip(literal[5:] if literal[:5].lower() == "ipv6:" else literal)


def is_url(value: Any) -> bool:
    """Whether a value is an absolute URL with a host, or one of a scheme that has none (mailto, news, file)."""
    if not isinstance(value, str):
        return False
    match = _URL.fullmatch(value)
    if match is None or int(match["port"] or 0) > 65_535:
        return False
    return not match["address"] or is_ip(match["address"])


def _has_list_in_list(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_list_in_list, value.values()))
    return isinstance(value, list) and any(isinstance(item, list) or _has_list_in_list(item) for item in value)


def _is_anything(value: Any) -> bool:
    return value is not None and not _has_list_in_list(value)


def _is_permissions(value: Any) -> bool:
    return isinstance(value, dict) and all(
        action in ("read", "write", "execute")
        and isinstance(roles, list)
        and all(isinstance(role, str) for role in roles)
        for action, roles in value.items()
    )


def _is_document(value: Any) -> bool:
    """Only the shape; what a document inside of another has to be is checked by its own collection."""
    return isinstance(value, dict)


_CHECKS: dict[str, Check] = {
    "text": _is_text,
    "markdown": _is_text,
    "numeric": _is_numeric,
    "boolean": _is_boolean,
    "key": _is_key,
    "email": is_email,
    "url": is_url,
    "ip": is_ip,
    "wildcard": _is_anything,
    "id": _is_id,
    "permissions": _is_permissions,
    "documentId": _is_id,
    "fileId": _is_id,
    "document": _is_document,
}


def is_empty(value: Any) -> bool:
    """Whether a value counts as none for an optional attribute: null, false, zero, and empty texts and lists."""
    return (not value and type(value) is not dict) or value == "0"


class _Slot:
    """The check of one attribute."""

    __slots__ = ("array", "check", "key", "refers_to", "required", "target", "type")

    def __init__(self, attribute: Attribute) -> None:
        self.key = attribute.key
        self.type = attribute.type
        self.required = attribute.required
        self.array = attribute.array
        self.check = _CHECKS.get(attribute.type)
        self.refers_to = attribute.type if attribute.type in ("documentId", "fileId") else ""
        self.target = attribute.list[0] if attribute.list else ""

    def fail(self, reason: str) -> NoReturn:
        raise StructureInvalid(f"The attribute {self.key} {reason}")

    def take(self, value: Any, references: References) -> None:
        """Raise `StructureInvalid` unless the value fits. `value` is not empty, or the attribute is required."""
        check = self.check
        assert check is not None
        if self.array:
            if not isinstance(value, list):
                self.fail(f"must be a list of values of type {self.type}")
            for element in value:
                if not check(element) or (isinstance(element, list) and self.type == "wildcard"):
                    self.fail(f"must hold values of type {self.type} only")
                if self.refers_to:
                    self.resolve(element, references)
        else:
            if not check(value):
                self.fail(f"must be of type {self.type}")
            if self.refers_to:
                self.resolve(value, references)

    def resolve(self, id: str, references: References) -> None:
        if self.refers_to == "fileId":
            exists = references.file_exists(id)
        else:
            exists = references.document_exists(self.target, id)
        if not exists:
            self.fail("names something that does not exist")


class Structure:
    """The attributes of a collection, compiled. When two share a key, the first one counts."""

    def __init__(self, attributes: Iterable[Attribute]) -> None:
        first: dict[str, Attribute] = {}
        for attribute in (*attributes, *_TIMES):
            first.setdefault(attribute.key, attribute)
        self.attributes = tuple(first.values())
        self.nested = {key: attribute for key, attribute in first.items() if attribute.type == "document"}
        """The attributes that hold documents."""
        self.declared = Declared({key: attribute.type for key, attribute in first.items()})
        self._slots = {key: _Slot(attribute) for key, attribute in first.items()}
        self._required = tuple(slot for slot in self._slots.values() if slot.required)
        self._unknown = next((slot for slot in self._slots.values() if slot.check is None), None)
        self._defaults = {
            key: None if attribute.default == [] else attribute.default
            for key, attribute in first.items()
            if attribute not in _TIMES
        }

    def with_defaults(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a new document, where defaults stand in for what is absent or null."""
        complete = dict(data)
        for key, default in self._defaults.items():
            if complete.get(key) is None:
                complete[key] = default
        return complete

    def check(self, data: Mapping[str, Any], references: References) -> None:
        """Raise `StructureInvalid` unless the attributes of a document are as they are declared."""
        if self._unknown is not None:
            raise StructureInvalid(
                f"The attribute {self._unknown.key} is of type {self._unknown.type!r}, which no value can have"
            )
        for slot in self._required:
            if data.get(slot.key) is None:
                slot.fail("is required")
        slots = self._slots
        for key, value in data.items():
            slot_of = slots.get(key)
            if slot_of is None:
                raise StructureInvalid(f"The collection has no attribute {key[:64]!r}")
            if slot_of.required:
                if value == "":
                    slot_of.fail("is required and must not be empty")
            elif is_empty(value):
                continue
            slot_of.take(value, references)


class Structures:
    """Compiled structures, kept by the stored text of their attributes."""

    def __init__(self) -> None:
        self._known: dict[str, Structure] = {}

    def of(self, attributes: str) -> Structure:
        known = self._known.get(attributes)
        if known is None:
            known = Structure(decode_attributes(attributes))
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[attributes] = known
        return known
