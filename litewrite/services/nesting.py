"""Documents that are sent inside of others: what may be sent, what of it is new or changed, and how it is kept.

A document inside of another is complete: it names its collection and its role lists, and brings everything that it is
to hold itself. So all that a change leads to is known from what was sent, and a cycle is an id that occurs again on the
way to itself. Nothing is written before all of it has been found good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from litewrite.db import links
from litewrite.db.engine import Transaction
from litewrite.db.fields import Field
from litewrite.db.ids import pack, unpack
from litewrite.db.links import MOST_EMBEDDED, MOST_LEVELS, Held, Stored
from litewrite.entities import Attribute, Document, Permissions
from litewrite.errors import StructureInvalid, Unauthorized
from litewrite.permissions import Actor, can_read, can_write
from litewrite.services.structure import COLLECTION, ID, PERMISSIONS, RESERVED, References, Structure

LARGEST_DOCUMENT = 1 << 20
"""Most bytes of the attributes of a document as JSON."""
LONGEST_ROLE = 64

_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Place:
    """A collection as a caller finds it who writes documents into it."""

    id: str
    structure: Structure
    fields: tuple[Field, ...]
    is_nested: bool
    """Whether its documents may hold others, or once might."""
    is_readable: bool


@dataclass(slots=True, eq=False)
class Sent:
    """A document as it was sent inside of another, and what is going to be done with it."""

    value: Mapping[str, Any]
    place: Place
    id: str
    """Empty when the server is to make one."""
    permissions: Permissions
    attributes: dict[str, Any]
    """Those that hold no documents."""
    children: dict[str, Children]
    number: int = 0
    """The id as an integer, once the document is there as it was sent."""
    is_settled: bool = False
    stored: Stored | None = None
    """What is there already."""
    is_changed: bool = True
    data: dict[str, Any] | None = None
    text: str = ""

    def check(self, references: References) -> None:
        """Check all attributes, of those that hold documents the shape."""
        members = {key: value for key, value in self.value.items() if key not in RESERVED}
        self.place.structure.check(members, references)


@dataclass(frozen=True, slots=True)
class Children:
    """What an attribute is to hold."""

    is_list: bool
    documents: tuple[Sent, ...]


def texts(shown: Mapping[str, Any]) -> tuple[dict[str, Any], str, bytes | None]:
    """What is stored of the attributes, its text, and the text of all of them when that is another one.

    Raises `StructureInvalid` for what is no JSON and for too much.
    """
    stored = {key: value for key, value in shown.items() if value is not None and value != []}
    try:
        text = orjson.dumps(stored)
        shown_text = orjson.dumps(shown) if len(stored) != len(shown) else None
    except orjson.JSONEncodeError as error:
        raise StructureInvalid(f"The document cannot be written as JSON: {error}") from None
    if len(text) > LARGEST_DOCUMENT:
        raise StructureInvalid(f"The document is larger than {LARGEST_DOCUMENT} bytes as JSON")
    return stored, text.decode(), shown_text


Enter = Callable[[Transaction, Actor, str], Place | None]
"""Looks a collection of the caller's project up."""


class Nesting:
    """What one call sends inside of a document. Made in the unit, and used in the order of its methods."""

    def __init__(
        self,
        tx: Transaction,
        actor: Actor,
        enter: Enter,
        references: References,
    ) -> None:
        self._tx = tx
        self._actor = actor
        self._enter = enter
        self._references = references
        self._mark = tx.id_mark
        self._places: dict[str, Place | None] = {}
        self._named: dict[str, Sent] = {}
        self._count = 0

    # Reading what was sent

    def take(
        self, structure: Structure, attributes: Mapping[str, Any], trail: frozenset[str] = _NOBODY, level: int = 0
    ) -> tuple[dict[str, Any], dict[str, Children]]:
        """Part attributes into those that hold no documents and the documents that the others hold.

        `trail` are the ids of the document itself and of all around it. Raises `StructureInvalid` for a document
        without collection or role lists, of a collection that is not allowed, that would hold itself, and for too many.
        """
        if not structure.nested:
            return dict(attributes), {}
        own: dict[str, Any] = {}
        children: dict[str, Children] = {}
        for key, value in attributes.items():
            attribute = structure.nested.get(key)
            if attribute is not None and not attribute.array and isinstance(value, dict):
                children[key] = Children(False, (self._child(attribute, value, trail, level + 1),))
            elif attribute is not None and attribute.array and _is_list_of_objects(value):
                children[key] = Children(True, tuple(self._child(attribute, v, trail, level + 1) for v in value))
            else:
                own[key] = value
        return own, children

    def adopt(
        self, place: Place, attributes: Mapping[str, Any], permissions: Permissions, trail: frozenset[str]
    ) -> Sent:
        """A new document that is created inside of another one, whose id is the `trail`."""
        self._count += 1
        own, children = self.take(place.structure, attributes, trail, 1)
        return Sent(attributes, place, "", permissions, own, children)

    def kept(self, place: Place, id: str) -> Sent:
        """A document that is held already and was not sent; it stays as it is."""
        return Sent({}, place, id, Permissions(), {}, {}, number=pack(id), is_settled=True, is_changed=False)

    def _child(self, attribute: Attribute, value: Mapping[str, Any], trail: frozenset[str], level: int) -> Sent:
        self._count += 1
        if level > MOST_LEVELS:
            raise StructureInvalid(f"Documents are held in each other at more than {MOST_LEVELS} levels")
        if self._count > MOST_EMBEDDED:
            raise StructureInvalid(f"The document holds more than {MOST_EMBEDDED} others")
        place = self._place(attribute, value.get(COLLECTION))
        permissions = _permissions(attribute.key, value.get(PERMISSIONS))
        id = value.get(ID)
        if id is None or id == "":
            id = ""
        elif not isinstance(id, str) or pack(id) <= 0:
            raise StructureInvalid(f"A document in {attribute.key} has an $id that no server has made")
        elif id in trail:
            raise StructureInvalid(f"The document {id} would hold itself")
        attributes = {key: member for key, member in value.items() if key not in RESERVED}
        own, children = self.take(place.structure, attributes, trail | {id} if id else trail, level)
        known = self._named.get(id) if id else None
        if known is not None:
            if not _same(known.value, value):
                raise StructureInvalid(f"The document {id} occurs twice with different content")
            return known
        sent = Sent(value, place, id, permissions, own, children)
        if id:
            self._named[id] = sent
        return sent

    def _place(self, attribute: Attribute, collection_id: Any) -> Place:
        if not isinstance(collection_id, str) or not collection_id:
            raise StructureInvalid(f"A document in {attribute.key} has no $collection")
        if collection_id not in attribute.list:
            raise StructureInvalid(f"The attribute {attribute.key} takes no documents of that $collection")
        if collection_id not in self._places:
            self._places[collection_id] = self._enter(self._tx, self._actor, collection_id)
        place = self._places[collection_id]
        if place is None:
            raise StructureInvalid(f"The $collection of a document in {attribute.key} does not exist")
        return place

    # Finding out what is to be done

    def settle(self, children: Mapping[str, Children], held: Mapping[str, Held]) -> None:
        """Find out what is new or changed, and check it; `held` is what the document that holds them holds already.

        Raises `StructureInvalid`, and `Unauthorized` when the caller may not change a document as it was sent.
        """
        found = self._tx.run(links.stored(self._named)) if self._named else {}
        for sent in self._named.values():
            sent.stored = found.get(sent.id)
        self._settle(children, held)

    def _settle(self, children: Mapping[str, Children], held: Mapping[str, Held]) -> None:
        linked = {id for item in held.values() for id in item.children}
        for item in children.values():
            for sent in item.documents:
                self._settle_one(sent, sent.id in linked)

    def _settle_one(self, sent: Sent, is_linked: bool) -> None:
        stored = sent.stored
        if stored is not None:
            self._check_link(sent, stored, is_linked)
        if sent.is_settled:
            return
        sent.is_settled = True
        if stored is None:
            # An id that was never given out could be given to another document later.
            if sent.id > self._mark:
                raise StructureInvalid(f"The $id {sent.id} was not made by this server")
        else:
            sent.is_changed = not _is_as_stored(sent, stored)
            if sent.is_changed and not can_write(stored.document.permissions, self._actor, sent.id):
                raise Unauthorized
        if sent.is_changed:
            if not sent.place.is_readable:
                raise StructureInvalid("The $collection of a document in another one does not exist")
            sent.check(self._references)
            sent.data, sent.text, _ = texts(sent.attributes)
        self._settle(sent.children, {} if stored is None else stored.held)

    def _check_link(self, sent: Sent, stored: Stored, is_linked: bool) -> None:
        document = stored.document
        if stored.project_id != self._actor.project_id or document.collection_id != sent.place.id:
            raise StructureInvalid(f"The $id {sent.id} belongs to another document")
        if not is_linked and not (sent.place.is_readable and can_read(document.permissions, self._actor, sent.id)):
            raise StructureInvalid(f"The $id {sent.id} belongs to another document")

    # Writing it

    def store(self, children: Mapping[str, Children], parent: int, held: Mapping[str, Held] | None = None) -> None:
        """Write what is new or changed, and link it to the document that holds it; `held` is None for a new one."""
        link = self._tx.stores.documents.links
        for key, item in children.items():
            numbers = [self._store_one(sent) for sent in item.documents]
            if held is not None:
                known = held.get(key)
                if known is not None and known.is_list == item.is_list and list(map(pack, known.children)) == numbers:
                    continue
                link.remove(self._tx, parent, key)
            link.add(self._tx, parent, key, numbers, is_list=item.is_list)

    def _store_one(self, sent: Sent) -> int:
        if sent.number:
            return sent.number
        tx, stored = self._tx, sent.stored
        sent.number = number = pack(sent.id or tx.new_id())
        if not sent.is_changed:  # but what it holds may have changed
            for item in sent.children.values():
                for child in item.documents:
                    self._store_one(child)
            return number
        assert sent.data is not None
        document = Document(unpack(number), sent.place.id, sent.permissions, sent.text)
        if stored is None:
            tx.stores.documents.insert(tx, document, sent.data, sent.place.fields)
            self.store(sent.children, number)
        else:
            old, held = stored.document, stored.held
            tx.stores.documents.update(tx, old, orjson.loads(old.data), document, sent.data, sent.place.fields)
            for key in held.keys() - sent.children.keys():
                tx.stores.documents.links.remove(tx, number, key)
            self.store(sent.children, number, held)
        return number


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, dict) for element in value)


def _permissions(key: str, value: Any) -> Permissions:
    """The role lists of a document in another one. Clients in PHP send an empty object as an empty list."""
    if value == []:
        return Permissions()
    if not isinstance(value, dict) or not value.keys() <= {"read", "write"}:
        raise StructureInvalid(f"A document in {key} must have $permissions with the keys read and write")
    return Permissions(_roles(key, value.get("read")), _roles(key, value.get("write")))


def _roles(key: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(role, str) and len(role) <= LONGEST_ROLE for role in value):
        raise StructureInvalid(f"The $permissions of a document in {key} must be lists of roles")
    return tuple(value)


def _is_as_stored(sent: Sent, stored: Stored) -> bool:
    document = stored.document
    if sent.permissions != document.permissions or sent.children.keys() != stored.held.keys():
        return False
    for key, item in sent.children.items():
        held = stored.held[key]
        if held.is_list != item.is_list or held.children != tuple(child.id for child in item.documents):
            return False
    attributes = {key: value for key, value in sent.attributes.items() if value is not None and value != []}
    return _same(attributes, orjson.loads(document.data))


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. A number may be written with a fraction of zero."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
