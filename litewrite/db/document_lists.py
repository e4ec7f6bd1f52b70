"""Lists of documents: which statement gives a page and its total, for what a caller may see and asks for.

A list takes two statements: a survey (which read lists of the collection the caller can see, and roughly how many rows
each indexed condition has), and the page with the total. Everything is decided inside the query, so paging and totals
agree. This file has the statements that work on the documents themselves; `indexed_lists.py` has those over indexed
fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from litewrite.db import documents, filters, links, role_lists
from litewrite.db.fields import Field, Kind
from litewrite.db.filters import Condition, Declared
from litewrite.db.ids import pack, unpack
from litewrite.db.query import Query, Row, Value
from litewrite.db.search import VALUE_BITS, Search, bare
from litewrite.entities import Document, Page, Permissions
from litewrite.filters import Filter, Order
from litewrite.permissions import SELF

CREATION = Order()
MOST_SORTED = 50_000
"""Documents of several read lists up to which sorting all of them is quicker than walking the collection."""


@dataclass(frozen=True, slots=True)
class Visible:
    """The documents of a collection that a caller may read, by read list."""

    lists: tuple[int, ...] | None = None
    """Read lists that name a role of the caller; None when it sees everything."""
    total: int = 0
    """Documents that have one of `lists`."""
    self_lists: tuple[int, ...] = ()
    """Read lists that name a role of the caller only on a document which has the id of that user or team."""
    own_ids: tuple[int, ...] = ()
    """Those ids, as integers."""

    @property
    def is_empty(self) -> bool:
        return self.lists is not None and not self.total and not self.self_lists

    def condition(self, alias: str = "d", id: str = "d.id") -> Condition:
        """SQL on a row with a column `read_list`."""
        if self.lists is None:
            return filters.ALWAYS
        params: tuple[Value, ...]
        if len(self.lists) <= 2:  # compared at once, while a longer list is a table to look into
            marks = ", ".join("?" * len(self.lists))
            sql, params = f"{alias}.read_list IN ({marks})", self.lists
        else:
            sql, params = f"{alias}.read_list IN (SELECT value FROM json_each(?))", (array(self.lists),)
        if self.self_lists:
            sql = (
                f"({sql} OR {id} IN (SELECT value FROM json_each(?)) "
                f"AND {alias}.read_list IN (SELECT value FROM json_each(?)))"
            )
            params = (*params, array(self.own_ids), array(self.self_lists))
        return sql, params


EVERYTHING = Visible()


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a list before its page is asked for."""

    visible: Visible = EVERYTHING
    matches: tuple[int, ...] = ()
    """For each indexed condition the number of its rows, counted no further than a limit."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the documents of a collection."""

    collection_id: str
    declared: Declared
    filters: tuple[Filter, ...] = ()
    search: Search | None = None
    order: Order = CREATION
    limit: int = 25
    offset: int = 0
    nested: tuple[str, ...] = ()
    """The collections whose documents the documents may hold."""

    def fields(self) -> list[tuple[tuple[str, ...], Kind]]:
        """What would have to be indexed for this list: paths with the forms of their values."""
        wanted = [
            (item.path, self.declared.kind(item.path))
            for item in self.filters
            if filters.is_indexable(self.declared, item.path)
        ]
        if not filters.by_creation(self.order) and self.order.path not in self.declared.nested:
            wanted.append((self.order.path, filters.kind_of(self.order)))
        return list(dict.fromkeys(wanted))

    def planned(self, visible: int) -> Request:
        """The request with its conditions on other documents as they suit a list of about so many."""
        if not self.declared.nested:
            return self
        return replace(self, declared=replace(self.declared, visible=visible))

    def indexed(self, fields: Sequence[Field]) -> list[tuple[Filter, Field]]:
        """The conditions that an index can answer. With a search, its few documents are looked at instead."""
        if self.search is not None:
            return []
        ready = {(field.path, field.kind): field for field in fields if field.is_ready}
        keys = [
            (item, (item.path, self.declared.kind(item.path)))
            for item in self.filters
            if item.path not in self.declared.nested
        ]
        return [(item, ready[key]) for item, key in keys if key in ready]


def array(values: Sequence[int | str]) -> str:
    return orjson.dumps(values).decode()


def _self_roles(roles: frozenset[str]) -> dict[str, str]:
    """The roles as they are listed with a placeholder, and the ids that it then stands for."""
    found = {}
    for role in roles:
        kind, colon, rest = role.partition(":")
        id, slash, name = rest.partition("/")
        if colon and pack(id) >= 0:
            found[f"{kind}:{SELF}{slash}{name}"] = id
    return found


def survey(
    collection_id: str, roles: frozenset[str] | None, conditions: Sequence[Condition], limit: int
) -> Query[Survey]:
    """What a caller with these roles (None: all) may read, and how many rows of `field_values v` conditions have."""
    parts: list[str] = []
    params: list[Value] = []
    own_ids: tuple[int, ...] = ()
    if roles is not None:
        templates = _self_roles(roles)
        own_ids = tuple(sorted({pack(id) for id in templates.values()}))
        parts.append(
            "SELECT n.read_list, n.total, max(instr(m.role, '{self}') = 0) FROM role_list_members m "
            "CROSS JOIN document_counts n ON n.collection_id = ? AND n.read_list = m.list_id "
            "WHERE m.role IN (SELECT value FROM json_each(?)) AND n.total > 0 GROUP BY n.read_list"
        )
        params += (pack(collection_id), array((*roles, *templates)))
    for sql, values in conditions:
        parts.append(f"SELECT -1, count(*), NULL FROM (SELECT 1 FROM field_values v WHERE {sql} LIMIT ?)")
        params += (*values, limit)

    def decode(rows: list[Row]) -> Survey:
        named = [row for row in rows if row[2]]
        seen = Visible(
            None if roles is None else tuple(row[0] for row in named),
            sum(row[1] for row in named),
            tuple(row[0] for row in rows if row[2] == 0),
            own_ids,
        )
        return Survey(seen, tuple(row[1] for row in rows if row[2] is None))

    return Query(" UNION ALL ".join(parts), params, decode)


def total(collection_id: str) -> Query[int]:
    """How many documents a collection has."""
    return Query(
        "SELECT coalesce(sum(total), 0) FROM document_counts WHERE collection_id = ?",
        (pack(collection_id),),
        lambda rows: int(rows[0][0]),
    )


_JOINED = (
    "LEFT JOIN documents d ON d.id = p.id LEFT JOIN role_lists r ON r.id = d.read_list "
    "LEFT JOIN role_lists w ON w.id = d.write_list"
)


def _decode(collection_id: str) -> Callable[[list[Row]], Page[Document]]:
    def decode(rows: list[Row]) -> Page[Document]:
        # The documents of a page share few role lists.
        granted: dict[tuple[str, str], Permissions] = {}
        items = []
        for _, number, read, write, data in rows:
            if number is None:  # without items the join leaves one row of NULLs
                break
            permissions = granted.get((read, write))
            if permissions is None:
                granted[read, write] = permissions = Permissions(role_lists.decode(read), role_lists.decode(write))
            items.append(Document(unpack(number), collection_id, permissions, data))
        return Page(rows[0][0], tuple(items))

    return decode


def assemble(
    request: Request, counted: Condition, chosen: Condition, *, before: Condition = ("", ())
) -> Query[Page[Document]]:
    """The statement of a list, of an expression for the total and a SELECT of `id` and `k` for the page.

    `chosen` has the page in order, by `k` and then `id`, or by `id` alone when its `k` is NULL. `before` is a table for
    both of them, as it stands after WITH.
    """
    if filters.by_creation(request.order):
        order = f"p.id {direction(request.order)}"
    else:
        order = f"p.k {'DESC' if request.order.descending else 'ASC'}, p.id"
    if request.nested:
        return _with_children(request, counted, chosen, before, order)
    table = f"WITH {before[0]} " if before[0] else ""
    return Query(
        f"{table}SELECT t.total, d.id, r.roles, w.roles, d.data FROM (SELECT {counted[0]} AS total) t "
        f"LEFT JOIN ({chosen[0]} LIMIT ? OFFSET ?) p ON TRUE {_JOINED} ORDER BY {order}",
        (*before[1], *counted[1], *chosen[1], request.limit, request.offset),
        _decode(request.collection_id),
    )


def _with_children(
    request: Request, counted: Condition, chosen: Condition, before: Condition, order: str
) -> Query[Page[Document]]:
    """The same with what the documents of the page hold: a row for the total, then the page, then all that is below."""
    tables = [before[0]] if before[0] else []
    tables += (
        f"roots (id, n) AS MATERIALIZED (SELECT p.id, row_number() OVER (ORDER BY {order}) "
        f"FROM ({chosen[0]} LIMIT ? OFFSET ?) p)",
        links.BELOW,
    )
    return Query(
        f"WITH RECURSIVE {', '.join(tables)} "
        f"SELECT 0, {counted[0]}, NULL, NULL, NULL, NULL, NULL, NULL "
        f"UNION ALL SELECT s.n, NULL, {links.COLUMNS} FROM roots s {links.JOINED} UNION ALL {links.SELECT_BELOW}",
        (*before[1], *chosen[1], request.limit, request.offset, *counted[1]),
        _decode_with_children,
    )


def _decode_with_children(rows: list[Row]) -> Page[Document]:
    total, roots, below = 0, [], []
    for row in rows:
        if row[0] is None:
            below.append(row[2:])
        elif row[0] == 0:
            total = row[1]
        else:
            roots.append(row)
    roots.sort(key=lambda row: row[0])
    return Page(total, tuple(links.assemble([row[2:] for row in roots], below)))


def direction(order: Order) -> str:
    return "DESC" if filters.is_backward(order) else "ASC"


def total_of_visible(request: Request, seen: Visible) -> Condition:
    """An expression for the number of all visible documents."""
    collection = pack(request.collection_id)
    if seen.lists is None:
        return "(SELECT coalesce(sum(total), 0) FROM document_counts WHERE collection_id = ?)", (collection,)
    sql, params = seen.condition("n")
    if not seen.self_lists:
        counted = f"(SELECT coalesce(sum(n.total), 0) FROM document_counts n WHERE n.collection_id = ? AND {sql})"
        return counted, (collection, *params)
    sql, params = seen.condition()
    return f"(SELECT count(*) FROM documents d WHERE d.collection_id = ? AND {sql})", (collection, *params)


def in_creation_order(request: Request, seen: Visible) -> Query[Page[Document]]:
    """Everything that is visible, in the order of creation; counters know the total."""
    sql, params = seen.condition()
    sorts = seen.lists is not None and not seen.self_lists and (len(seen.lists) == 1 or seen.total <= MOST_SORTED)
    index = "documents_visible" if sorts else "documents_collection"
    return assemble(
        request,
        total_of_visible(request, seen),
        (
            f"SELECT d.id AS id, NULL AS k FROM documents d INDEXED BY {index} "
            f"WHERE d.collection_id = ? AND {sql} ORDER BY d.id {direction(request.order)}",
            (pack(request.collection_id), *params),
        ),
    )


def _search_condition(request: Request, found: Search) -> Condition:
    """The documents that a search finds, by texts of their own or of those that they hold directly."""
    if found.finds_nothing:
        return filters.NEVER
    if found.holds_for(request.collection_id):
        return filters.ALWAYS
    source, params = _found(found, (request.collection_id,))
    if not request.nested:
        return f"d.id IN ({source})", params
    inner, more = _found(found, request.nested)
    source += (
        " UNION ALL SELECT l.parent_id FROM document_links l CROSS JOIN documents c ON c.id = l.child_id "
        f"CROSS JOIN collections k ON k.id = c.collection_id WHERE l.child_id IN ({inner})"
    )
    return f"d.id IN ({source})", (*params, *more)


def _found(found: Search, collection_ids: Sequence[str]) -> Condition:
    """A SELECT of the documents that a search finds; the ids of a document and its collection are texts of it, too."""
    sources = [f"SELECT rowid >> {VALUE_BITS} FROM search WHERE search MATCH ?"]
    params: list[Value] = [found.match(*map(documents.search_scope, collection_ids))]
    collections = array(list(map(pack, collection_ids)))
    for collection_id in collection_ids:
        if found.holds_for(collection_id):
            sources.append("SELECT id FROM documents WHERE collection_id = ?")
            params.append(pack(collection_id))
    for term in (*found.required, *found.optional):
        word = bare(term.words[0])
        low, high = pack(word.ljust(13, "0")), pack(word.ljust(13, "f"))
        if low < 0 or len(term.words) > 1:
            continue
        if low == high and found.holds_for(word):
            sources.append(
                "SELECT id FROM documents WHERE id = ? AND collection_id IN (SELECT value FROM json_each(?))"
            )
            params += (low, collections)
        elif term.is_prefix and not found.required and not found.excluded:
            sources.append(
                "SELECT d.id FROM json_each(?) j CROSS JOIN documents d ON d.collection_id = j.value "
                "AND d.id BETWEEN ? AND ?"
            )
            params += (collections, low, high)
    return " UNION ALL ".join(sources), tuple(params)


def scan(request: Request, seen: Visible) -> Query[Page[Document]]:
    """Conditions and order are looked up in the JSON of every visible document, or of those that a search finds."""
    order = request.order
    found = request.search
    conditions = [seen.condition()]
    if found is not None:
        conditions.append(_search_condition(request, found))
    for item in request.filters:
        conditions.append(filters.condition(request.declared, request.collection_id, item))
    # The plus keeps the planner from walking the collection when a search names the documents.
    own = "+d.collection_id = ?" if found is not None else "d.collection_id = ?"
    where = " AND ".join([own, *(sql for sql, _ in conditions)])
    params: list[Value] = [pack(request.collection_id)]
    for _, values in conditions:
        params += values
    if filters.by_creation(order):
        key: Condition = "NULL", ()
        ordering = f"id {direction(order)}"
    else:
        key = filters.sort_value(request.declared, order)
        ordering = f"k {'DESC' if order.descending else 'ASC'}, id"
    return assemble(
        request,
        ("(SELECT count(*) FROM m)", ()),
        (f"SELECT id, k FROM m ORDER BY {ordering}", ()),
        before=(
            f"m AS MATERIALIZED (SELECT d.id AS id, {key[0]} AS k FROM documents d WHERE {where})",
            (*key[1], *params),
        ),
    )
