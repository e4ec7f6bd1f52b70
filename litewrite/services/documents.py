"""Documents: who may see and change them, and what becomes of what a caller sends.

The read list of a collection says who may use it at all; its write list is kept but never asked. What a document holds
is checked against the attributes of its collection in the unit that writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import orjson

from litewrite.db import collections as collection_rows
from litewrite.db import document_lists, indexed_lists, links
from litewrite.db import documents as document_rows
from litewrite.db import files as file_rows
from litewrite.db.collections import StoredCollection
from litewrite.db.document_lists import Request, Survey
from litewrite.db.engine import Database, Transaction
from litewrite.db.fields import Field, decode_fields
from litewrite.db.filters import Reach
from litewrite.db.ids import pack
from litewrite.db.role_lists import decode
from litewrite.db.search import parse
from litewrite.entities import Document, Page, Permissions
from litewrite.errors import CollectionNotFound, DocumentNotFound, PayloadMissing, StructureInvalid, Unauthorized
from litewrite.events import NOTHING, Event
from litewrite.filters import Filter, Order
from litewrite.permissions import Actor, allows, can_read, can_write
from litewrite.services.accounts import record
from litewrite.services.collections import Collections
from litewrite.services.field_indexes import FieldIndexes, Sizes
from litewrite.services.files import BUCKET
from litewrite.services.nesting import Children, Enter, Nesting, Place, texts
from litewrite.services.structure import RESERVED, Structures

ASSIGN, APPEND, PREPEND = "assign", "append", "prepend"
"""How an attribute takes a document that is created in it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it is after a change.

    `shown` is the JSON text of its attributes as the caller sent them, with those that are null or empty lists and so
    were not stored; None when that is all the same.
    """

    document: Document
    shown: bytes | None = None


class _References:
    """What the caller may refer to, looked up in the unit."""

    def __init__(self, tx: Transaction, actor: Actor) -> None:
        self._tx = tx
        self._actor = actor

    def document_exists(self, collection_id: str, document_id: str) -> bool:
        found = self._tx.run(document_rows.get(self._actor.project_id, collection_id, document_id))
        return found is not None and _may_read(found, self._actor)

    def file_exists(self, file_id: str) -> bool:
        file = self._tx.run(file_rows.get(self._actor.project_id, BUCKET, file_id))
        return file is not None and can_read(file.permissions, self._actor, file.id)


class Documents:
    def __init__(self, db: Database, collections: Collections) -> None:
        self._db = db
        self._collections = collections
        self._structures = Structures()
        self._sizes = Sizes(db)
        self._indexes = FieldIndexes(db)

    async def __aenter__(self) -> Self:
        """Begin to build the indexes that lists ask for."""
        await self._indexes.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._indexes.stop()

    async def create(
        self,
        actor: Actor,
        collection_id: str,
        data: Any,
        *,
        read: Sequence[str] | None = None,
        write: Sequence[str] | None = None,
        parent_id: str = "",
        parent_key: str = "",
        parent_place: str = ASSIGN,
    ) -> Written:
        """Create a document; lists that are not given name the caller alone.

        With both a parent and one of its attributes the new document is put into that, and the parent is what comes of
        the call. Raises `PayloadMissing`, `StructureInvalid`, `CollectionNotFound` and `Unauthorized`, and
        `DocumentNotFound` for a parent.
        """
        if data is None or data in ("", {}, []):
            raise PayloadMissing
        sent = _object(data)
        if "$id" in sent:
            raise StructureInvalid("A document gets its $id from the server")
        attributes = {key: value for key, value in sent.items() if key not in RESERVED}
        own = actor.own_role
        permissions = Permissions(own if read is None else tuple(read), own if write is None else tuple(write))

        def unit(tx: Transaction) -> Written:
            place = self._enter(tx, actor, collection_id)
            if parent_id and parent_key:
                parent = tx.run(document_rows.of_project(actor.project_id, parent_id))
                if parent is None or not _may_read(parent, actor):
                    raise DocumentNotFound
                new = _New(attributes, permissions)
                return self._create_in(tx, actor, parent.document, parent_key, parent_place, place, new)
            if not can_write(permissions, actor):
                raise Unauthorized
            structure = place.structure
            shown = structure.with_defaults(attributes)
            references = _References(tx, actor)
            structure.check(shown, references)
            if structure.nested:
                nesting = Nesting(tx, actor, self._place, references)
                shown, children = nesting.take(structure, shown)
                nesting.settle(children, {})
            stored, text, shown_text = texts(shown)
            document = Document(tx.new_id(), collection_id, permissions, text)
            tx.stores.documents.insert(tx, document, stored, place.fields)
            if structure.nested and children:
                nesting.store(children, pack(document.id))
                document = _whole(tx, actor, document)
            return _conclude(tx, actor, "create", document, shown_text)

        return await self._db.write(unit)

    async def get(self, actor: Actor, collection_id: str, document_id: str) -> Document:
        """Raises `DocumentNotFound` for whatever reason the caller does not get to see it."""
        found = await self._db.read(document_rows.get(actor.project_id, collection_id, document_id))
        if found is not None and found.is_nested:
            # Read once more, so that the document and what it holds are of one moment.
            found = await self._db.read(document_rows.get_whole(actor.project_id, collection_id, document_id))
        if found is None or not _may_read(found, actor) or not allows(found.collection_readers, actor, collection_id):
            raise DocumentNotFound
        return found.document

    async def list(
        self,
        actor: Actor,
        collection_id: str,
        *,
        filters: Iterable[Filter] = (),
        search: str = "",
        order: Order = Order(),
        limit: int = 25,
        offset: int = 0,
    ) -> Page[Document]:
        """A page of what the caller may read, and the number of all of it. `filters` all have to hold.

        Raises `CollectionNotFound`, and `DeadlineExceeded` for a list that takes too long.
        """
        stored = await self._collections.stored(actor.project_id, collection_id)
        if stored is None or not can_read(stored.collection.permissions, actor, collection_id):
            raise CollectionNotFound
        filters = tuple(filters)
        declared = self._structures.of(stored.attributes).declared
        if stored.nested:
            paths = {order.path, *(item.path for item in filters)}
            declared = replace(declared, nested=await self._reaches(stored, paths))
        request = Request(collection_id, declared, filters, parse(search), order, limit, offset, stored.nested)
        size = 0
        if request.filters or request.order.path:
            size = await self._sizes.of(collection_id)
            self._indexes.want(request, stored, size)
        known = await self._survey(actor, request, stored.fields, size)
        if known.visible.is_empty:
            return Page(0, ())
        return await self._db.read(indexed_lists.page(request, stored.fields, known, size))

    async def _reaches(
        self, stored: StoredCollection, paths: Iterable[tuple[str, ...]]
    ) -> dict[tuple[str, ...], Reach]:
        """Where the paths lead that go through attributes which hold documents."""
        nested = self._structures.of(stored.attributes).nested
        return {path: await self._reach(stored, path) for path in paths if len(path) > 1 and path[0] in nested}

    async def _reach(self, stored: StoredCollection, path: tuple[str, ...]) -> Reach:
        """Follow a path through what the collections on the way declare."""
        here = {stored.collection.id: stored}
        ends: list[int] = []
        types: set[str] = set()
        for depth, key in enumerate(path[: links.MOST_LEVELS + 1]):
            below: dict[str, StoredCollection] = {}
            for item in here.values():
                structure = self._structures.of(item.attributes)
                attribute = structure.nested.get(key)
                if attribute is None or depth == len(path) - 1:
                    ends.append(depth)
                    types.add(structure.declared.types.get(path[-1], ""))
                    continue
                for id in attribute.list:
                    found = await self._collections.stored(stored.collection.project_id, id)
                    if found is not None:
                        below[id] = found
            here = below
        first = self._structures.of(stored.attributes).nested[path[0]].list
        size = sum([await self._sizes.of(id) for id in first])
        return Reach(tuple(dict.fromkeys(ends)), types.pop() if len(types) == 1 else "", first, size)

    async def _survey(self, actor: Actor, request: Request, fields: Sequence[Field], size: int) -> Survey:
        conditions = [indexed_lists.rows_of(item, field, request.declared) for item, field in request.indexed(fields)]
        if actor.is_server and not conditions:
            return Survey()
        roles = None if actor.is_server else actor.roles
        limit = indexed_lists.survey_limit(size)
        return await self._db.read(document_lists.survey(request.collection_id, roles, conditions, limit))

    async def update(
        self,
        actor: Actor,
        collection_id: str,
        document_id: str,
        data: Any = None,
        *,
        read: Sequence[str] | None = None,
        write: Sequence[str] | None = None,
    ) -> Written:
        """Replace the attributes and role lists that are given; null removes an attribute.

        Raises `CollectionNotFound`, `DocumentNotFound`, `Unauthorized` and `StructureInvalid`.
        """
        sent = {} if data is None or data in ("", []) else _object(data)
        changes = {key: value for key, value in sent.items() if key not in RESERVED}

        def unit(tx: Transaction) -> Written:
            place = self._enter(tx, actor, collection_id)
            old = self._writable(tx, actor, collection_id, document_id)
            permissions = Permissions(
                old.permissions.read if read is None else tuple(read),
                old.permissions.write if write is None else tuple(write),
            )
            if not can_write(permissions, actor, document_id):
                raise Unauthorized
            if place.is_nested:
                change = _Change(tx, actor, place, old, self._place)
                change.check(changes, changes.keys())
                own, children = change.nesting.take(place.structure, changes, frozenset((old.id,)))
                return change.carry_out("update", changes.keys(), own, children, permissions)
            references = _References(tx, actor)
            old_data = orjson.loads(old.data)
            shown = {**old_data, **changes}
            place.structure.check(shown, references)
            stored, text, shown_text = texts(shown)
            document = Document(old.id, collection_id, permissions, text)
            tx.stores.documents.update(tx, old, old_data, document, stored, place.fields)
            return _conclude(tx, actor, "update", document, shown_text)

        return await self._db.write(unit)

    async def delete(self, actor: Actor, collection_id: str, document_id: str) -> None:
        """Delete a document; what it holds stays, and what held it does so no more.

        Raises `DocumentNotFound`, `CollectionNotFound` when only the collection is out of reach, and `Unauthorized`.
        """

        def unit(tx: Transaction) -> None:
            found = tx.run(document_rows.get(actor.project_id, collection_id, document_id))
            if found is None or not _may_read(found, actor):
                raise DocumentNotFound
            place = self._enter(tx, actor, collection_id)
            document = found.document
            if not can_write(document.permissions, actor, document_id):
                raise Unauthorized
            if place.is_nested:
                document = _whole(tx, actor, document)
            tx.stores.documents.delete(tx, document, orjson.loads(document.data), place.fields)
            _conclude(tx, actor, "delete", document, None)

        await self._db.write(unit)

    def _create_in(
        self, tx: Transaction, actor: Actor, parent: Document, key: str, how: str, place: Place, new: _New
    ) -> Written:
        """Create a document in an attribute of an existing one."""
        around = self._place(tx, actor, parent.collection_id)
        if around is None or not around.is_readable:
            raise DocumentNotFound
        if not can_write(new.permissions, actor) or not can_write(parent.permissions, actor, parent.id):
            raise Unauthorized
        attribute = around.structure.nested.get(key)
        if attribute is None:
            raise StructureInvalid("The parent has no attribute of that name that holds documents")
        if place.id not in attribute.list:
            raise StructureInvalid(f"The attribute {key} takes no documents of that collection")
        change = _Change(tx, actor, around, parent, self._place)
        known = change.held.get(key)
        others = [] if known is None or how == ASSIGN else [change.nesting.kept(around, id) for id in known.children]
        if len(others) >= links.MOST_EMBEDDED:
            raise StructureInvalid(f"The attribute {key} holds {links.MOST_EMBEDDED} documents already")
        shape: Any = {} if how == ASSIGN else [{}] * (len(others) + 1)
        change.check({key: shape}, {key} if how == ASSIGN else frozenset())
        sent = change.nesting.adopt(place, new.attributes, new.permissions, frozenset((parent.id,)))
        documents = (sent, *others) if how == PREPEND else (*others, sent)
        return change.carry_out("create", {key}, {}, {key: Children(how != ASSIGN, documents)}, parent.permissions)

    def _enter(self, tx: Transaction, actor: Actor, collection_id: str) -> Place:
        """The collection that a caller works in. Raises `CollectionNotFound` when it may not read it."""
        place = self._place(tx, actor, collection_id)
        if place is None or not place.is_readable:
            raise CollectionNotFound
        return place

    def _place(self, tx: Transaction, actor: Actor, collection_id: str) -> Place | None:
        """A collection of the caller's project, also one that it may not read."""
        row = tx.row(collection_rows.WRITING, (pack(collection_id), actor.project_id))
        if row is None:
            return None
        is_readable = actor.is_server or allows(decode(row[0]), actor, collection_id)
        return Place(collection_id, self._structures.of(row[1]), decode_fields(row[2]), row[3] != "[]", is_readable)

    @staticmethod
    def _writable(tx: Transaction, actor: Actor, collection_id: str, document_id: str) -> Document:
        found = tx.run(document_rows.get(actor.project_id, collection_id, document_id))
        if found is None or not _may_read(found, actor):
            raise DocumentNotFound
        if not can_write(found.document.permissions, actor, document_id):
            raise Unauthorized
        return found.document


@dataclass(frozen=True, slots=True)
class _New:
    """What is to be created in another document."""

    attributes: Mapping[str, Any]
    permissions: Permissions


class _Change:
    """A change of a document that may hold others."""

    def __init__(self, tx: Transaction, actor: Actor, place: Place, old: Document, enter: Enter) -> None:
        self._tx = tx
        self._actor = actor
        self._place = place
        self._old = old
        self._old_data: dict[str, Any] = orjson.loads(old.data)
        self._references = _References(tx, actor)
        self.held = tx.run(links.of_document(old.id))
        self.nesting = Nesting(tx, actor, enter, self._references)

    def check(self, changes: Mapping[str, Any], replaced: AbstractSet[str]) -> None:
        """Check the document as it is going to be, but not what is in the documents that it is going to hold.

        Raises `StructureInvalid`, also when what it holds and keeps is not allowed any more.
        """
        structure = self._place.structure
        shapes: dict[str, Any] = {
            key: [{}] * len(held.children) if held.is_list else {} for key, held in self.held.items()
        }
        structure.check({**self._old_data, **shapes, **changes}, self._references)
        for key, held in self.held.items():
            attribute = structure.nested.get(key)
            if attribute is not None and key not in replaced and not set(held.collections) <= set(attribute.list):
                raise StructureInvalid(f"The attribute {key} holds documents of collections that it does not allow")

    def carry_out(
        self,
        action: str,
        keys: AbstractSet[str],
        own: Mapping[str, Any],
        children: Mapping[str, Children],
        permissions: Permissions,
    ) -> Written:
        """Write the change: of the changed `keys` some hold documents, `children`, and the others are `own`."""
        tx, old = self._tx, self._old
        self.nesting.settle(children, self.held)
        shown = {key: value for key, value in {**self._old_data, **own}.items() if key not in children}
        stored, text, shown_text = texts(shown)
        document = Document(old.id, old.collection_id, permissions, text)
        tx.stores.documents.update(tx, old, self._old_data, document, stored, self._place.fields)
        number = pack(old.id)
        for key in self.held.keys() & keys - children.keys():
            tx.stores.documents.links.remove(tx, number, key)
        self.nesting.store(children, number, self.held)
        return _conclude(tx, self._actor, action, _whole(tx, self._actor, document), shown_text)


def _whole(tx: Transaction, actor: Actor, document: Document) -> Document:
    """A document that exists, with everything that it holds."""
    found = tx.run(document_rows.get_whole(actor.project_id, document.collection_id, document.id))
    assert found is not None
    return found.document


def _may_read(found: document_rows.FoundDocument, actor: Actor) -> bool:
    return can_read(found.document.permissions, actor, found.document.id)


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise StructureInvalid("The data of a document must be a JSON object")
    return data


def _conclude(tx: Transaction, actor: Actor, action: str, document: Document, shown: bytes | None) -> Written:
    # What was created stands in its own row; a copy of every document would nearly double the file.
    data = "" if action == "create" else document.data
    record(tx, actor, actor.user_id, f"database.documents.{action}", f"database/document/{document.id}", data)
    tx.emit(Event("document", action, document, actor, NOTHING if shown is None else {"data": shown}))
    return Written(document, shown)
