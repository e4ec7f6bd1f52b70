"""Documents, as rows: the attributes are one JSON text, which answers take over as it is.

A document knows its role lists by number. How many documents of a collection have which read list is counted in the
transaction of every change, so the total of an unfiltered list is a sum of a few numbers however long the list is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from litewrite.db import links, search
from litewrite.db.engine import Transaction
from litewrite.db.fields import Field, FieldStore
from litewrite.db.ids import pack, unpack
from litewrite.db.links import LinkStore
from litewrite.db.query import Query, Row, one
from litewrite.db.role_lists import decode
from litewrite.entities import Document, Permissions

SCOPE = "documents"

COLUMNS = "d.id, d.collection_id, r.roles, w.roles, d.data"
"""The columns of a whole document, as `make` takes them, of `ROLES`."""
ROLES = "JOIN role_lists r ON r.id = d.read_list JOIN role_lists w ON w.id = d.write_list"


@dataclass(slots=True)
class FoundDocument:
    """A document with the read list of its collection: both decide who may see it."""

    document: Document
    collection_readers: tuple[str, ...]
    is_nested: bool
    """Whether the documents of its collection may hold others."""


def make(row: Row) -> Document:
    return Document(unpack(row[0]), unpack(row[1]), Permissions(decode(row[2]), decode(row[3])), row[4])


_FOUND = (
    f"SELECT {COLUMNS}, cr.roles, c.nested <> '[]' FROM documents d {ROLES} "
    "JOIN collections c ON c.id = d.collection_id JOIN role_lists cr ON cr.id = c.read_list"
)


def _make_found(row: Row) -> FoundDocument:
    return FoundDocument(make(row), decode(row[5]), bool(row[6]))


def get(project_id: str, collection_id: str, document_id: str) -> Query[FoundDocument | None]:
    """A document of an existing collection, without what it holds."""
    return Query(
        f"{_FOUND} WHERE d.id = ? AND d.collection_id = ? AND c.project_id = ?",
        (pack(document_id), pack(collection_id), project_id),
        one(_make_found),
    )


def get_whole(project_id: str, collection_id: str, document_id: str) -> Query[FoundDocument | None]:
    """The same with everything that it holds."""

    def decode_all(rows: list[Row]) -> FoundDocument | None:
        roots = [row[2:] for row in rows if row[0] is not None]
        if not roots:
            return None
        document = links.assemble(roots, [row[2:] for row in rows if row[0] is None])[0]
        return FoundDocument(document, decode(rows[0][1]), True)

    return Query(
        "WITH RECURSIVE roots (id, readers) AS MATERIALIZED (SELECT d.id, cr.roles FROM documents d "
        "JOIN collections c ON c.id = d.collection_id JOIN role_lists cr ON cr.id = c.read_list "
        f"WHERE d.id = ? AND d.collection_id = ? AND c.project_id = ?), {links.BELOW} "
        f"SELECT 1, s.readers, {links.COLUMNS} FROM roots s {links.JOINED} UNION ALL {links.SELECT_BELOW}",
        (pack(document_id), pack(collection_id), project_id),
        decode_all,
    )


def of_project(project_id: str, document_id: str) -> Query[FoundDocument | None]:
    """A document of any existing collection of a project, without what it holds."""
    return Query(
        f"{_FOUND} WHERE d.id = ? AND c.project_id = ?",
        (pack(document_id), project_id),
        one(_make_found),
    )


def searched_values(data: dict[str, Any]) -> list[str]:
    """The texts of a document by which it is found: every string in it, in order."""
    values: list[str] = []
    for value in data.values():
        if type(value) is str:  # most are, and every writer of a document comes here
            values.append(value)
        elif type(value) is dict or type(value) is list:
            values += _strings(value)
    return values


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, list):
        for element in value:
            yield from _strings(element)


class DocumentStore:
    """Writes documents with all that depends on them: the counters, the search index and the indexed fields.

    What a document holds is written through `links`, but goes with a document that is removed.

    `fields` are those of the collection. `data` is what the text of the document says, so that it is parsed once.
    """

    def __init__(self) -> None:
        self.fields = FieldStore()
        self.links = LinkStore()

    def insert(self, tx: Transaction, document: Document, data: dict[str, Any], fields: Sequence[Field]) -> None:
        number, collection = int(document.id, 16), int(document.collection_id, 16)
        intern = tx.stores.role_lists.intern
        read_list = intern(tx, document.permissions.read)
        tx.execute(
            "INSERT INTO documents (id, collection_id, read_list, write_list, data) VALUES (?, ?, ?, ?, ?)",
            (number, collection, read_list, intern(tx, document.permissions.write), document.data),
        )
        self._count(tx, collection, read_list, 1)
        values = searched_values(data)
        if values:
            tx.stores.search.add(tx, search_scope(document.collection_id), document.id, values)
        if fields:
            self.fields.add(tx, fields, number, read_list, data)

    def update(
        self,
        tx: Transaction,
        old: Document,
        old_data: dict[str, Any],
        new: Document,
        new_data: dict[str, Any],
        fields: Sequence[Field],
    ) -> None:
        number, collection = int(new.id, 16), int(new.collection_id, 16)
        intern = tx.stores.role_lists.intern
        old_list, new_list = intern(tx, old.permissions.read), intern(tx, new.permissions.read)
        tx.execute(
            "UPDATE documents SET read_list = ?, write_list = ?, data = ? WHERE id = ?",
            (new_list, intern(tx, new.permissions.write), new.data, number),
        )
        if old_list != new_list:
            self._count(tx, collection, old_list, -1)
            self._count(tx, collection, new_list, 1)
        before, after = searched_values(old_data), searched_values(new_data)
        if before != after:
            tx.stores.search.replace(tx, search_scope(new.collection_id), new.id, before, after)
        if fields:
            self.fields.replace(tx, fields, number, old_data, new_list, new_data)

    def delete(self, tx: Transaction, document: Document, data: dict[str, Any], fields: Sequence[Field]) -> None:
        number, collection = int(document.id, 16), int(document.collection_id, 16)
        tx.execute("DELETE FROM documents WHERE id = ?", (number,))
        self._count(tx, collection, tx.stores.role_lists.intern(tx, document.permissions.read), -1)
        tx.stores.search.remove(tx, search_scope(document.collection_id), document.id, searched_values(data))
        self.fields.remove(tx, fields, number, data)
        self.links.forget(tx, number)

    def delete_slice(self, tx: Transaction, collection_id: str, limit: int) -> int:
        """Remove up to `limit` rows of what a deleted collection has left and return how many there were.

        First its documents with their search rows and links go, then its indexed fields.
        """
        collection = pack(collection_id)
        rows = tx.rows("SELECT id, data FROM documents WHERE collection_id = ? LIMIT ?", (collection, limit))
        if not rows:
            tx.execute("DELETE FROM document_counts WHERE collection_id = ?", (collection,))
            return self.fields.drop(tx, collection, limit)
        scope = search_scope(collection_id)
        for number, text in rows:
            tx.stores.search.remove(tx, scope, unpack(number), searched_values(orjson.loads(text)))
            self.links.forget(tx, number)
        tx.execute_many("DELETE FROM documents WHERE id = ?", [(row[0],) for row in rows])
        return len(rows)

    @staticmethod
    def _count(tx: Transaction, collection: int, read_list: int, change: int) -> None:
        tx.execute(
            "INSERT INTO document_counts (collection_id, read_list, total) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET total = total + excluded.total",
            (collection, read_list, change),
        )


def search_scope(collection_id: str) -> str:
    return search.scope_of(SCOPE, collection_id)
