"""Links from documents to the documents that they hold, and reading documents with everything below them.

A link is a row, so a document that is removed is gone from all that held it, and one that changes has changed in all of
them. Whatever the number of documents that are read, all that they hold comes with the same statement. Links to
documents of a deleted collection count for nothing, also before they are removed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from litewrite.db import role_lists
from litewrite.db.engine import Transaction
from litewrite.db.ids import pack, unpack
from litewrite.db.query import Query, Row
from litewrite.entities import Document, Permissions

MOST_LEVELS = 16
"""How deep documents are held in each other in one answer."""
MOST_EMBEDDED = 1_000
"""Documents in others in one answer."""
LARGEST_EMBEDDED = 16 << 20
"""Characters of attributes of documents in others in one answer."""
SINGLE = -1
"""The position of a document in an attribute that is no list."""

_LINKS = (
    "(SELECT json_group_array(json_array(l.key, l.position, l.child_id)) "
    "FROM document_links l WHERE l.parent_id = d.id)"
)
COLUMNS = f"d.id, d.collection_id, r.roles, w.roles, d.data, {_LINKS}"
"""The columns of a document with its links, of `JOINED`."""
JOINED = (
    "CROSS JOIN documents d ON d.id = s.id CROSS JOIN role_lists r ON r.id = d.read_list "
    "CROSS JOIN role_lists w ON w.id = d.write_list"
)
"""What follows a source `s` of ids."""

_HELD = (
    "CROSS JOIN document_links l ON l.parent_id = s.id CROSS JOIN documents c ON c.id = l.child_id "
    "CROSS JOIN collections k ON k.id = c.collection_id"
)
BELOW = (
    f"below (id, size) AS (SELECT c.id, length(c.data) FROM roots s {_HELD} "
    f"UNION SELECT c.id, length(c.data) FROM below s {_HELD} LIMIT {MOST_EMBEDDED + 1})"
)
"""A recursive table of all documents below those of a table `roots`, each once, the nearest first."""
SELECT_BELOW = (
    "SELECT NULL, NULL, d.id, d.collection_id, r.roles, w.roles, "
    f"CASE WHEN s.filled <= {LARGEST_EMBEDDED} THEN d.data END, {_LINKS} "
    f"FROM (SELECT id, sum(size) OVER (ROWS UNBOUNDED PRECEDING) AS filled FROM below) s {JOINED}"
)
"""The documents of `below`, behind two columns that are NULL; the text of those that are too much is NULL."""


@dataclass(slots=True)
class _Place:
    """A document at one place of an answer."""

    row: Row
    held: list[tuple[str, bool, list[_Place]]] = field(default_factory=list)


def assemble(roots: Sequence[Row], below: Sequence[Row]) -> list[Document]:
    """The root documents, complete with what they hold, of rows of `COLUMNS`.

    The nearest documents have precedence. An attribute whose documents would be too many, too much or too deep is left
    out as a whole, so that what is there of an attribute is all of it.
    """
    rows = {row[0]: row for row in (*roots, *below)}
    is_cut = len(below) > MOST_EMBEDDED
    left, room = MOST_EMBEDDED, LARGEST_EMBEDDED
    links: dict[int, list[tuple[str, bool, list[int]]]] = {}
    places = [_Place(row) for row in roots]
    queue = deque((place, 0) for place in places)
    while queue:
        place, level = queue.popleft()
        if level == MOST_LEVELS:
            break
        number = place.row[0]
        known = links.get(number)
        if known is None:
            known = links[number] = _grouped(orjson.loads(place.row[5]))
        for key, is_list, children in known:
            found = [rows[child] for child in children if child in rows]
            if not found or len(found) > left or (is_cut and len(found) < len(children)):
                continue
            if any(row[4] is None for row in found) or (size := sum(len(row[4]) for row in found)) > room:
                continue
            left -= len(found)
            room -= size
            held = [_Place(row) for row in found]
            place.held.append((key, is_list, held))
            queue.extend((child, level + 1) for child in held)
    granted: dict[tuple[str, str], Permissions] = {}
    return [_make(place, granted) for place in places]


def _grouped(links: Iterable[Any]) -> list[tuple[str, bool, list[int]]]:
    """The documents of each key, in order."""
    grouped: dict[str, tuple[bool, list[int]]] = {}
    for key, position, child in sorted(links):
        grouped.setdefault(key, (position != SINGLE, []))[1].append(child)
    return [(key, is_list, children) for key, (is_list, children) in grouped.items()]


def _make(place: _Place, granted: dict[tuple[str, str], Permissions]) -> Document:
    number, collection, read, write, data, _ = place.row
    permissions = granted.get((read, write))
    if permissions is None:
        granted[read, write] = permissions = Permissions(role_lists.decode(read), role_lists.decode(write))
    children: list[tuple[str, Document | tuple[Document, ...]]] = []
    for key, is_list, held in place.held:
        made = tuple(_make(child, granted) for child in held)
        children.append((key, made if is_list else made[0]))
    return Document(unpack(number), unpack(collection), permissions, data, tuple(children))


@dataclass(frozen=True, slots=True)
class Held:
    """What an attribute of a document holds."""

    is_list: bool
    children: tuple[str, ...]
    collections: tuple[str, ...]
    """Of the children, in the same order."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it is kept, with what it holds itself."""

    document: Document
    project_id: str | None
    """None when its collection has been deleted."""
    held: Mapping[str, Held]


def _held(rows: Iterable[Any]) -> dict[str, Held]:
    grouped: dict[str, list[tuple[int, int, int]]] = {}
    for key, position, child, collection in rows:
        grouped.setdefault(key, []).append((position, child, collection))
    held = {}
    for key, items in grouped.items():
        items.sort()
        held[key] = Held(
            items[0][0] != SINGLE,
            tuple(unpack(child) for _, child, _ in items),
            tuple(unpack(collection) for _, _, collection in items),
        )
    return held


def of_document(document_id: str) -> Query[dict[str, Held]]:
    """What a document holds, by key."""
    return Query(
        "SELECT l.key, l.position, c.id, c.collection_id FROM document_links l CROSS JOIN documents c "
        "ON c.id = l.child_id CROSS JOIN collections k ON k.id = c.collection_id WHERE l.parent_id = ?",
        (pack(document_id),),
        _held,
    )


def stored(document_ids: Iterable[str]) -> Query[dict[str, Stored]]:
    """The documents that exist of some ids, whatever project they belong to."""

    def make(row: Row) -> Stored:
        permissions = Permissions(role_lists.decode(row[2]), role_lists.decode(row[3]))
        document = Document(unpack(row[0]), unpack(row[1]), permissions, row[4])
        return Stored(document, row[6], _held(orjson.loads(row[5])))

    return Query(
        "SELECT d.id, d.collection_id, r.roles, w.roles, d.data, "
        "(SELECT json_group_array(json_array(l.key, l.position, c.id, c.collection_id)) FROM document_links l "
        "CROSS JOIN documents c ON c.id = l.child_id CROSS JOIN collections k ON k.id = c.collection_id "
        "WHERE l.parent_id = d.id), (SELECT project_id FROM collections k WHERE k.id = d.collection_id) "
        f"FROM (SELECT DISTINCT value AS id FROM json_each(?)) s {JOINED}",
        (orjson.dumps([pack(id) for id in document_ids]).decode(),),
        lambda rows: {stored.document.id: stored for stored in map(make, rows)},
    )


class LinkStore:
    """Writes links. Ids are integers here."""

    def add(self, tx: Transaction, parent: int, key: str, children: Sequence[int], *, is_list: bool) -> None:
        """Link an attribute without links to its documents, in order."""
        first = 0 if is_list else SINGLE
        tx.execute_many(
            "INSERT INTO document_links (parent_id, key, position, child_id) VALUES (?, ?, ?, ?)",
            [(parent, key, position, child) for position, child in enumerate(children, first)],
        )

    def remove(self, tx: Transaction, parent: int, key: str) -> None:
        """Empty one attribute."""
        tx.execute("DELETE FROM document_links WHERE parent_id = ? AND key = ?", (parent, key))

    def forget(self, tx: Transaction, number: int) -> None:
        """Remove all links to and from a document that is gone."""
        tx.execute("DELETE FROM document_links WHERE child_id = ?", (number,))
        tx.execute("DELETE FROM document_links WHERE parent_id = ?", (number,))
