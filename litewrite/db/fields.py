"""Indexed fields: what the values of documents are when lists compare and sort them.

A field is an attribute in one form (text, number, date, ...), and its values lie in order in a side table, one row a
value, with the document and its read list: a condition or an order then walks a few rows instead of opening every
document. A field is made when it is first asked for, and every writer of documents keeps its rows current from then on.

What a value is compared as is said twice: here in Python, for the rows of the index, and in `filters.py` in SQL, for
lists over fields that have no index. Both give the same results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import unpack
from litewrite.db.query import Query, Value
from litewrite.db.sql_functions import fold

LONGEST_TEXT = 256
"""Characters of a folded text that comparisons look at."""
MISSING = float("-inf")
"""Stands in the index for a document without a value: it sorts before every number and every text."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?(?:([0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)", re.ASCII)
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(r"([0-9]{2}:[0-5][0-9])(:[0-5][0-9])?", re.ASCII)


class Kind(StrEnum):
    """The forms of values. A text or a number for conditions; all of them but the number for orders."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Field:
    """An indexed field of one collection."""

    id: int
    path: tuple[str, ...]
    kind: Kind
    built_to: int | None = None
    """While the index is being built, the last document that has its rows; None when all documents have them."""
    is_multiple: bool = False
    """Whether a document may have more than one value."""

    @property
    def is_ready(self) -> bool:
        return self.built_to is None


def encode_path(path: Iterable[str]) -> str:
    return orjson.dumps(tuple(path)).decode()


def decode_fields(text: str) -> tuple[Field, ...]:
    """The fields of a JSON array as the statements of `collections.py` make it."""
    if text == "[]":
        return ()
    return tuple(
        Field(id, tuple(orjson.loads(path)), Kind(kind), built_to, bool(multiple))
        for id, path, kind, built_to, multiple in orjson.loads(text)
    )


def scalars(data: Any, path: Iterable[str]) -> list[Any]:
    """The strings, numbers and booleans at a path. A list on the way or at its end stands for each of its elements."""
    nodes = [data]
    for key in path:
        below: list[Any] = []
        for node in nodes:
            value = node.get(key) if isinstance(node, dict) else None
            if isinstance(value, list):
                below += value
            elif value is not None:
                below.append(value)
        nodes = below
    return [node for node in nodes if node is not None and not isinstance(node, dict | list)]


def as_text(value: Any) -> str:
    """A scalar as conditions on text see it: folded, and cut after `LONGEST_TEXT` characters."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer() and _INT64_MIN <= value < 2.0**63:
        return str(int(value))
    if not isinstance(value, str):
        return str(value)
    folded = fold(value)
    assert isinstance(folded, str)
    return folded[:LONGEST_TEXT].partition("\0")[0]


def as_number(value: Any) -> int | float:
    """A scalar as conditions on numbers see it: of a text the number that it begins with, or else 0."""
    if not isinstance(value, str):
        return int(value) if isinstance(value, bool) else value
    match = _NUMBER.match(value)
    if match is None:
        return 0
    digits = match[1]
    if digits.lstrip("+-").isdigit():
        number = int(digits) if len(digits) < 32 else _INT64_MAX + 1
        if _INT64_MIN <= number <= _INT64_MAX:
            return number
    return float(digits)


def as_integer(value: Any) -> int:
    """A scalar without its fraction; of a text the integer that it begins with, or else 0."""
    if isinstance(value, str):
        match = _INTEGER.match(value)
        if match is None:
            return 0
        digits = match[1]
        value = int(digits) if len(digits) < 32 else _INT64_MIN if digits[0] == "-" else _INT64_MAX
    return max(_INT64_MIN, min(_INT64_MAX, int(value)))


def as_date(value: Any) -> str | None:
    """The date that a text begins with, in the form YYYY-MM-DD."""
    if not isinstance(value, str) or not _DATE.match(value):
        return None
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return None
    return value[:10]


def _clock(text: str) -> str | None:
    match = _TIME.match(text)
    return match[1] + (match[2] or ":00") if match else None


def as_time(value: Any) -> str | None:
    """The time of day that a text is, or that follows its date, in the form HH:MM:SS."""
    if not isinstance(value, str):
        return None
    if as_date(value) is not None:
        return _clock(value[11:]) if value[10:11] in (" ", "T", "t") else None
    return _clock(value)


def as_datetime(value: Any) -> str | None:
    """The date and time that a text begins with; midnight when it has no time."""
    day = as_date(value)
    return None if day is None else f"{day} {as_time(value) or '00:00:00'}"


_CONVERT = {
    Kind.TEXT: as_text,
    Kind.NUMBER: as_number,
    Kind.INTEGER: as_integer,
    Kind.DATE: as_date,
    Kind.TIME: as_time,
    Kind.DATETIME: as_datetime,
}


def indexed_values(field: Field, data: dict[str, Any]) -> list[Value]:
    """The different values of a document in the form of a field; `MISSING` alone when it has none."""
    convert = _CONVERT[field.kind]
    path = field.path
    if len(path) == 1:  # the usual case, and every writer of a document comes here
        value = data.get(path[0])
        if value is None:
            return [MISSING]
        if type(value) is not list and type(value) is not dict:
            form = convert(value)
            return [MISSING if form is None else form]
    values = {convert(value) for value in scalars(data, path)}
    values.discard(None)
    return list(values) or [MISSING]


class FieldStore:
    """Writes the rows of indexed fields. `fields` are always those of the document's collection."""

    def add(self, tx: Transaction, fields: Iterable[Field], document_id: int, read_list: int, data: Any) -> None:
        """Index a new document."""
        self._insert(tx, fields, [(document_id, read_list, data)])

    def replace(
        self, tx: Transaction, fields: Iterable[Field], document_id: int, old: Any, read_list: int, new: Any
    ) -> None:
        """Index a document whose attributes or read list have changed."""
        self.remove(tx, fields, document_id, old)
        self.add(tx, fields, document_id, read_list, new)

    def remove(self, tx: Transaction, fields: Iterable[Field], document_id: int, data: Any) -> None:
        """Forget a document; `data` are its attributes as they were."""
        for field in fields:
            for value in indexed_values(field, data):
                tx.execute(
                    "DELETE FROM field_values WHERE field_id = ? AND value = ? AND document_id = ?",
                    (field.id, value, document_id),
                )

    def request(
        self, tx: Transaction, collection_id: int, path: Iterable[str], kind: Kind, *, is_multiple: bool, most: int
    ) -> None:
        """Make a field, whose index is then to be built by `build_slice`.

        Nothing happens when it exists, when the collection does not, or when that has `most` fields already.
        """
        made = tx.execute(
            "INSERT INTO indexed_fields (collection_id, path, kind, built_to, is_multiple) "
            "SELECT id, ?, ?, 0, ? FROM collections WHERE id = ? "
            "AND (SELECT count(*) FROM indexed_fields WHERE collection_id = ?) < ? ON CONFLICT DO NOTHING",
            (encode_path(path), kind.value, int(is_multiple), collection_id, collection_id, most),
        )
        if made:
            tx.invalidate("collection", unpack(collection_id))

    def build_slice(self, tx: Transaction, collection_id: int, limit: int) -> bool:
        """Index up to `limit` further documents in the unfinished fields of a collection; False when none is left."""
        rows = tx.rows(
            "SELECT id, path, kind, built_to, is_multiple FROM indexed_fields "
            "WHERE collection_id = ? AND built_to IS NOT NULL ORDER BY built_to, id",
            (collection_id,),
        )
        if not rows:
            return False
        reached = rows[0][3]
        # Fields that stand at the same document go on together.
        fields = [
            Field(row[0], tuple(orjson.loads(row[1])), Kind(row[2]), row[3], bool(row[4]))
            for row in rows
            if row[3] == reached
        ]
        documents = tx.rows(
            "SELECT id, read_list, data FROM documents WHERE collection_id = ? AND id > ? ORDER BY id LIMIT ?",
            (collection_id, reached, limit),
        )
        self._insert(tx, fields, [(row[0], row[1], orjson.loads(row[2])) for row in documents])
        built_to = documents[-1][0] if len(documents) == limit else None
        tx.execute_many(
            "UPDATE indexed_fields SET built_to = ? WHERE id = ?", [(built_to, field.id) for field in fields]
        )
        if built_to is None:
            tx.invalidate("collection", unpack(collection_id))
        return True

    def _insert(self, tx: Transaction, fields: Iterable[Field], documents: list[tuple[int, int, Any]]) -> None:
        rows: list[tuple[Value, ...]] = []
        for field in fields:
            multiple = False
            for document_id, read_list, data in documents:
                values = indexed_values(field, data)
                multiple = multiple or len(values) > 1
                rows += [(field.id, value, document_id, read_list) for value in values]
            if multiple and not field.is_multiple:
                row = tx.row(
                    "UPDATE indexed_fields SET is_multiple = 1 WHERE id = ? RETURNING collection_id", (field.id,)
                )
                if row is not None:
                    tx.invalidate("collection", unpack(row[0]))
        # A document that was written while its field is being built has its rows already.
        tx.execute_many(
            "INSERT INTO field_values (field_id, value, document_id, read_list) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            rows,
        )

    def drop(self, tx: Transaction, collection_id: int, limit: int) -> int:
        """Remove up to `limit` rows of what indexes a collection, then the fields; how many rows there were."""
        removed = tx.execute(
            "DELETE FROM field_values WHERE (field_id, value, document_id) IN (SELECT field_id, value, document_id "
            "FROM indexed_fields f CROSS JOIN field_values v ON v.field_id = f.id WHERE f.collection_id = ? LIMIT ?)",
            (collection_id, limit),
        )
        if removed < limit:
            tx.execute("DELETE FROM indexed_fields WHERE collection_id = ?", (collection_id,))
        return removed


def unfinished() -> Query[tuple[int, ...]]:
    """The collections, as integers, with fields whose index is being built."""
    return Query(
        "SELECT DISTINCT collection_id FROM indexed_fields WHERE built_to IS NOT NULL",
        (),
        lambda rows: tuple(row[0] for row in rows),
    )
