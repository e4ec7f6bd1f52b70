"""Conditions and orders on documents as SQL over their JSON, for fields without an index.

The expressions say the same as the functions of `fields.py`; names and values are always bound. SQL stands on `d`, a
row of `documents`, and each value of an attribute becomes a row `f` of `json_each`. A path through attributes that hold
documents first follows links, and goes on in the JSON of the last document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from litewrite.db.fields import LONGEST_TEXT, Kind, as_number, as_text
from litewrite.db.ids import pack
from litewrite.db.query import Value
from litewrite.filters import Cast, Filter, Operator, Order

ID = ("$id",)
COLLECTION = ("$collection",)
HIDDEN = "$permissions"

Condition = tuple[str, tuple[Value, ...]]
"""SQL and the values that it binds, in order."""

ALWAYS: Condition = ("1", ())
NEVER: Condition = ("0", ())

_SQL_OPERATOR = {
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "<>",
    Operator.GREATER: ">",
    Operator.GREATER_EQUAL: ">=",
    Operator.LESS: "<",
    Operator.LESS_EQUAL: "<=",
}

_OWN_COLUMNS: dict[tuple[str, ...], str] = {ID: "id", COLLECTION: "collection_id"}
"""What a document is found by besides its attributes, and its columns."""

_UNQUOTABLE = re.compile(r'["\\\x00-\x1f]')
_ID_TEXT = re.compile(r"[0-9a-f]{13}")

_SCALAR = "f.type NOT IN ('null', 'array', 'object')"
_DAY = (
    "CASE WHEN f.value GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND f.value >= '0001' "
    "AND date(substr(f.value, 1, 10), '+0 days') = substr(f.value, 1, 10) THEN substr(f.value, 1, 10) END"
)


def _clock(text: str) -> str:
    return (
        f"CASE WHEN {text} GLOB '[0-9][0-9]:[0-5][0-9]*' THEN substr({text}, 1, 5) || "
        f"CASE WHEN substr({text}, 6, 3) GLOB ':[0-5][0-9]' THEN substr({text}, 6, 3) ELSE ':00' END END"
    )


_CLOCK = (
    f"CASE WHEN {_DAY} IS NULL THEN {_clock('f.value')} "
    f"WHEN substr(f.value, 11, 1) IN (' ', 'T', 't') THEN {_clock('substr(f.value, 12)')} END"
)

# Folding in Python takes the interpreter's lock for each value, so plain text is folded by SQLite itself.
_FORM = {
    Kind.TEXT: (
        f"substr(CASE f.type WHEN 'text' THEN CASE WHEN f.value GLOB '*[^ -~]*' THEN fold(f.value) "
        f"ELSE rtrim(lower(f.value)) END WHEN 'real' THEN CASE WHEN f.value = CAST(f.value AS INTEGER) "
        f"THEN CAST(CAST(f.value AS INTEGER) AS TEXT) ELSE fold(f.value) END ELSE CAST(f.value AS TEXT) END, "
        f"1, {LONGEST_TEXT})"
    ),
    Kind.NUMBER: "CASE f.type WHEN 'text' THEN CAST(f.value AS NUMERIC) ELSE f.value END",
    Kind.INTEGER: "CAST(f.value AS INTEGER)",
    Kind.DATE: f"CASE f.type WHEN 'text' THEN {_DAY} END",
    Kind.TIME: f"CASE f.type WHEN 'text' THEN {_CLOCK} END",
    Kind.DATETIME: f"CASE f.type WHEN 'text' THEN {_DAY} || ' ' || coalesce({_CLOCK}, '00:00:00') END",
}

_KIND_OF_CAST = {
    Cast.TEXT: Kind.TEXT,
    Cast.INTEGER: Kind.INTEGER,
    Cast.DATE: Kind.DATE,
    Cast.TIME: Kind.TIME,
    Cast.DATETIME: Kind.DATETIME,
}


MOST_TABLES = 60
"""Tables that SQLite joins, with some to spare."""


_OF_COLLECTIONS = "IN (SELECT k.id FROM json_each(?) j CROSS JOIN collections k ON k.id = j.value)"
_HOLDS_DOCUMENT = (
    "d.id IN (SELECT l.parent_id FROM document_links l CROSS JOIN documents c ON c.id = l.child_id "
    f"AND c.collection_id {_OF_COLLECTIONS} WHERE l.child_id = ? AND l.key = ?)"
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a path through attributes that hold documents leads."""

    links: tuple[int, ...]
    """How many links there are to the document that has the values; several when collections differ."""
    type: str
    """The declared type of the values; empty when there is none, or collections differ."""
    collections: tuple[str, ...]
    """Where the first link leads: the collections that the attribute takes documents of."""
    size: int
    """About how many documents those have."""

    @property
    def bound(self) -> str:
        """The collections as `_OF_COLLECTIONS` takes them."""
        return orjson.dumps(list(map(pack, self.collections))).decode()


@dataclass(frozen=True, slots=True)
class Declared:
    """What comparisons depend on in the attributes of a collection: the type of each key."""

    types: Mapping[str, str]
    nested: Mapping[tuple[str, ...], Reach] = field(default_factory=dict)
    """The paths of a list that lead into other documents."""
    visible: int = 0
    """About how many documents the list looks at. Where other documents are fewer, conditions on them begin there."""

    def type(self, path: tuple[str, ...]) -> str | None:
        reach = self.nested.get(path)
        return self.types.get(path[-1]) if reach is None else reach.type

    def kind(self, path: tuple[str, ...]) -> Kind:
        """How conditions compare the values at a path."""
        return Kind.NUMBER if self.type(path) == "numeric" else Kind.TEXT


def kind_of(order: Order) -> Kind:
    return _KIND_OF_CAST[order.cast]


def operand(declared: Declared, filter: Filter) -> Value:
    """The value of a condition in the form that it is compared with."""
    if declared.kind(filter.path) is Kind.NUMBER:
        return as_number(filter.value)
    text = as_text(filter.value)
    if text in ("true", "false") and declared.type(filter.path) == "boolean":
        return "1" if text == "true" else "0"
    return text


def _is_reachable(path: tuple[str, ...]) -> bool:
    """Whether there can be a value at a path. Keys that JSON has to escape are none that attributes have."""
    return path[0] != HIDDEN and not any(_UNQUOTABLE.search(key) for key in path)


def _values(
    path: tuple[str, ...], links: int, node: str = "d.data", collections: str = "[]"
) -> tuple[str, list[Value]] | None:
    """A FROM clause whose rows `f` are what lies at a path, lists taken apart; None when there can be nothing.

    `node` is where a path without links begins, `collections` where the first link leads.
    """
    sources: list[str] = []
    params: list[Value] = []
    if links + len(path) > MOST_TABLES or HIDDEN in path[: links + 1]:
        return None
    parent = "d.id"
    for depth, key in enumerate(path[:links]):
        # Documents of a deleted collection are there until they are removed.
        params.append(key)
        if depth == 0:
            existing = f"c{depth}.collection_id {_OF_COLLECTIONS}"
            params.append(collections)
        else:
            existing = f"EXISTS (SELECT 1 FROM collections k WHERE k.id = c{depth}.collection_id)"
        sources.append(
            f"document_links l{depth} CROSS JOIN documents c{depth} ON l{depth}.parent_id = {parent} "
            f"AND l{depth}.key = ? AND c{depth}.id = l{depth}.child_id AND {existing}"
        )
        parent, node = f"c{depth}.id", f"c{depth}.data"
    own = _OWN_COLUMNS.get(path[links:]) if links else None
    if own is not None:
        sources.append(f"json_each(json_array(printf('%013x', c{links - 1}.{own}))) AS f")
        return " CROSS JOIN ".join(sources), params
    for depth, key in enumerate(path[links:], links):
        name = "f" if depth == len(path) - 1 else f"f{depth}"
        at = f'$."{key}"'
        sources.append(
            f"json_each(CASE json_type({node}, ?) WHEN 'array' THEN {node} -> ? ELSE json_array(json({node} -> ?)) END)"
            f" AS {name}"
        )
        params += (at, at, at)
        node = f"CASE {name}.type WHEN 'object' THEN {name}.value ELSE '{{}}' END"
    return " CROSS JOIN ".join(sources), params


def _sources(declared: Declared, path: tuple[str, ...]) -> list[tuple[str, list[Value]]]:
    """FROM clauses that together have everything at a path."""
    if not _is_reachable(path):
        return []
    reach = declared.nested.get(path)
    if reach is None:
        found = [_values(path, 0)]
    else:
        found = [_values(path, links, collections=reach.bound) for links in reach.links]
    return [source for source in found if source is not None]


def condition(declared: Declared, collection_id: str, filter: Filter) -> Condition:
    """SQL that holds for the documents of a collection which satisfy a filter."""
    sign = _SQL_OPERATOR[filter.operator]
    if filter.path == ID:
        return _id_condition(sign, as_text(filter.value))
    if filter.path == COLLECTION:
        return ALWAYS if _compare(as_text(collection_id), filter.operator, as_text(filter.value)) else NEVER
    form, value = _FORM[declared.kind(filter.path)], operand(declared, filter)
    reach = declared.nested.get(filter.path)
    if reach is not None and reach.links == (1,):
        text = as_text(filter.value)
        if filter.path[1:] == ID and filter.operator is Operator.EQUAL and _ID_TEXT.fullmatch(text):
            return _HOLDS_DOCUMENT, (reach.bound, pack(text), filter.path[0])
        if reach.size < declared.visible:
            return _from_below(reach, filter.path, f"{form} {sign} ?", value)
    found = [
        (f"EXISTS (SELECT 1 FROM {source} WHERE {_SCALAR} AND {form} {sign} ?)", (*params, value))
        for source, params in _sources(declared, filter.path)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        return NEVER
    return f"({' OR '.join(sql for sql, _ in found)})", tuple(value for _, values in found for value in values)


def _from_below(reach: Reach, path: tuple[str, ...], test: str, value: Value) -> Condition:
    """The same condition on documents directly below, found out once for each of them."""
    key, *rest = path
    own = _OWN_COLUMNS.get(tuple(rest))
    found: tuple[str, list[Value]] | None
    if own is not None:
        found = f"json_each(json_array(printf('%013x', c.{own}))) AS f", []
    else:
        found = _values(tuple(rest), 0, "c.data")
    if found is None:
        return NEVER
    return (
        "d.id IN (SELECT l.parent_id FROM documents c CROSS JOIN document_links l "
        f"ON c.collection_id {_OF_COLLECTIONS} AND l.child_id = c.id "
        f"AND EXISTS (SELECT 1 FROM {found[0]} WHERE {_SCALAR} AND {test}) AND l.key = ?)",
        (reach.bound, *found[1], value, key),
    )


def _id_condition(sign: str, text: str) -> Condition:
    if _ID_TEXT.fullmatch(text):
        return f"d.id {sign} ?", (pack(text),)
    return f"printf('%013x', d.id) {sign} ?", (text,)


def _compare(left: str, operator: Operator, right: str) -> bool:
    match operator:
        case Operator.EQUAL:
            return left == right
        case Operator.NOT_EQUAL:
            return left != right
        case Operator.GREATER:
            return left > right
        case Operator.GREATER_EQUAL:
            return left >= right
        case Operator.LESS:
            return left < right
        case Operator.LESS_EQUAL:
            return left <= right


def by_creation(order: Order) -> bool:
    """Whether an order is that of creation, whatever the documents hold."""
    return order.path in ((), ID) or order.path == COLLECTION or not _is_reachable(order.path)


def is_backward(order: Order) -> bool:
    """Whether an order by creation shows the newest first."""
    return order.descending and order.path in ((), ID)


def sort_value(declared: Declared, order: Order) -> Condition:
    """An expression for what a document is sorted by."""
    pick, form = "max" if order.descending else "min", _FORM[kind_of(order)]
    sources = _sources(declared, order.path)
    if not sources:
        return "NULL", ()
    if len(sources) == 1:
        source, params = sources[0]
        chosen = f"(SELECT {pick}({form}) FROM {source} WHERE {_SCALAR})"
        if len(order.path) > 1 or order.path in declared.nested:
            return chosen, tuple(params)
        # Making a table of every value costs more than all else of a list, and most values are no lists.
        at = params[0]
        single = f"(SELECT {form} FROM (SELECT json_type(d.data, ?) AS type, d.data ->> ? AS value) f WHERE {_SCALAR})"
        return f"CASE json_type(d.data, ?) WHEN 'array' THEN {chosen} ELSE {single} END", (at, *params, at, at)
    parts = " UNION ALL ".join(f"SELECT {form} AS v FROM {source} WHERE {_SCALAR}" for source, _ in sources)
    return f"(SELECT {pick}(v) FROM ({parts}))", tuple(value for _, params in sources for value in params)


def is_indexable(declared: Declared, path: tuple[str, ...]) -> bool:
    """Whether the values at a path can have an index. What other documents hold has none: it changes without notice."""
    return path not in (ID, COLLECTION) and path not in declared.nested and _is_reachable(path)
