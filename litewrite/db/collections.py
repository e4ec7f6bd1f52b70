"""Collections, as rows. Attributes are one JSON text, since they are always read and replaced together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from litewrite.db import search
from litewrite.db.engine import Transaction
from litewrite.db.fields import Field, decode_fields
from litewrite.db.ids import from_micros, pack, to_micros, unpack
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, many, one
from litewrite.db.role_lists import decode
from litewrite.entities import Attribute, Collection, Page, Permissions

SCOPE = "collections"

COLUMNS = (
    "c.id AS id, c.project_id, c.name, r.roles AS readers, w.roles AS writers, c.attributes, c.created_at, c.updated_at"
)
_FROM = "FROM collections c JOIN role_lists r ON r.id = c.read_list JOIN role_lists w ON w.id = c.write_list"
_FIELDS = (
    "(SELECT json_group_array(json_array(f.id, f.path, f.kind, f.built_to, f.is_multiple)) "
    "FROM indexed_fields f WHERE f.collection_id = c.id)"
)


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection with what the work on its documents needs besides."""

    collection: Collection
    attributes: str
    """The attributes as they are stored: equal texts are equal attributes."""
    fields: tuple[Field, ...]
    nested: tuple[str, ...]
    """The collections whose documents its documents may hold, or once might."""


def encode_attributes(attributes: Iterable[Attribute]) -> str:
    return orjson.dumps(
        [(a.id, a.key, a.type, a.label, a.default, a.required, a.array, a.list, a.filters) for a in attributes]
    ).decode()


def decode_attributes(text: str) -> tuple[Attribute, ...]:
    return tuple(
        Attribute(id, key, type, label, default, required, array, tuple(list_), tuple(filters))
        for id, key, type, label, default, required, array, list_, filters in orjson.loads(text)
    )


def nested_collections(attributes: Iterable[Attribute]) -> str:
    """The collections whose documents the attributes may hold, as a JSON array."""
    return orjson.dumps(sorted({id for item in attributes if item.type == "document" for id in item.list})).decode()


def make(row: Row) -> Collection:
    return Collection(
        id=unpack(row[0]),
        project_id=row[1],
        name=row[2],
        permissions=Permissions(decode(row[3]), decode(row[4])),
        attributes=decode_attributes(row[5]),
        created_at=from_micros(row[6]),
        updated_at=from_micros(row[7]),
    )


def make_stored(row: Row) -> StoredCollection:
    return StoredCollection(make(row), row[5], decode_fields(row[8]), tuple(orjson.loads(row[9])))


def get(project_id: str, collection_id: str) -> Query[Collection | None]:
    return Query(
        f"SELECT {COLUMNS} {_FROM} WHERE c.id = ? AND c.project_id = ?", (pack(collection_id), project_id), one(make)
    )


def get_stored(project_id: str, collection_id: str) -> Query[StoredCollection | None]:
    return Query(
        f"SELECT {COLUMNS}, {_FIELDS}, c.nested {_FROM} WHERE c.id = ? AND c.project_id = ?",
        (pack(collection_id), project_id),
        one(make_stored),
    )


WRITING = f"SELECT r.roles, c.attributes, {_FIELDS}, c.nested {_FROM} WHERE c.id = ? AND c.project_id = ?"
"""What the writing of a document asks of its collection: read list, attributes, fields and `nested`, all as text."""


def of_project(project_id: str, window: Window) -> Query[Page[Collection]]:
    """A page of the collections of a project, in the order of creation."""
    condition = "c.project_id = ?"
    params: list[Value] = [project_id]
    found = search.clause(search.scope_of(SCOPE, project_id), window.search, "c.id", packed=True)
    if found is not None:
        condition, params = f"{condition} AND {found[0]}", [*params, *found[1]]
    return page(COLUMNS, _FROM.removeprefix("FROM "), condition, params, window, make)


def ids_of_project(project_id: str, limit: int) -> Query[tuple[str, ...]]:
    """Some collections of a project, for the removal of everything that it has."""
    return Query(
        "SELECT id FROM collections WHERE project_id = ? LIMIT ?",
        (project_id, limit),
        many(lambda row: unpack(row[0])),
    )


def searched_values(collection: Collection) -> list[str]:
    """The texts by which a collection is found: its id, its name and what its attributes are called."""
    values: list[Any] = [collection.id, collection.name]
    for attribute in collection.attributes:
        values += (attribute.label, attribute.key, attribute.type, attribute.default)
    return [value for value in values if isinstance(value, str)]


class CollectionStore:
    def insert(self, tx: Transaction, collection: Collection) -> None:
        permissions = collection.permissions
        tx.execute(
            "INSERT INTO collections "
            "(id, project_id, name, read_list, write_list, attributes, nested, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                pack(collection.id),
                collection.project_id,
                collection.name,
                tx.stores.role_lists.intern(tx, permissions.read),
                tx.stores.role_lists.intern(tx, permissions.write),
                encode_attributes(collection.attributes),
                nested_collections(collection.attributes),
                to_micros(collection.created_at),
                to_micros(collection.updated_at),
            ),
        )
        tx.stores.search.add(tx, _scope(collection), collection.id, searched_values(collection))

    def update(self, tx: Transaction, old: Collection, new: Collection) -> None:
        """Store what may change of a collection, and tell the caches."""
        permissions = new.permissions
        tx.execute(
            "UPDATE collections SET name = ?, read_list = ?, write_list = ?, attributes = ?, updated_at = ?, nested = "
            "(SELECT json_group_array(value) FROM (SELECT value FROM json_each(nested) "
            "UNION SELECT value FROM json_each(?))) WHERE id = ?",
            (
                new.name,
                tx.stores.role_lists.intern(tx, permissions.read),
                tx.stores.role_lists.intern(tx, permissions.write),
                encode_attributes(new.attributes),
                to_micros(new.updated_at),
                nested_collections(new.attributes),  # documents keep what they hold when a rule goes
                pack(new.id),
            ),
        )
        tx.stores.search.replace(tx, _scope(new), new.id, searched_values(old), searched_values(new))
        tx.invalidate("collection", new.id)

    def delete(self, tx: Transaction, collection: Collection) -> None:
        """Remove a collection; its documents are left to `DocumentStore.delete_slice`."""
        tx.execute("DELETE FROM collections WHERE id = ?", (pack(collection.id),))
        tx.stores.search.remove(tx, _scope(collection), collection.id, searched_values(collection))
        tx.invalidate("collection", collection.id)


def _scope(collection: Collection) -> str:
    return search.scope_of(SCOPE, collection.project_id)
