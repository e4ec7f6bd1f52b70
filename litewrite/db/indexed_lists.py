"""Lists of documents over indexed fields: which way through the indexes is the quickest.

A condition is a range of rows of `field_values`, so the total is a count of rows without any document. For the page
there are several ways, each good where others are bad; the quickest is chosen by what they cost. The costs are measured
microseconds a row, and a wrong guess makes a list slow but never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isqrt

from litewrite.db import document_lists, filters
from litewrite.db.document_lists import Request, Survey, Visible, assemble, direction
from litewrite.db.fields import MISSING, Field
from litewrite.db.filters import Condition
from litewrite.db.ids import pack
from litewrite.db.query import Query, Value
from litewrite.entities import Document, Page
from litewrite.filters import Filter, Operator

ROW_COST = 0.07
"""A row of an index."""
SET_COST = 0.4
"""A row put into a set, or looked up in one, or sorted."""
OPEN_COST = 2.5
"""A document opened and its JSON looked into."""
LONGEST_INLINE = 1_500
"""A list that is expected to take longer does not try its luck on the event loop."""
LEAST_LIMIT = 64
"""Rows up to which each condition is counted beforehand; further in large collections."""
MOST_SORTED_VALUES = 20_000
"""Documents up to which sorting those with equal values is quicker than stepping from value to value."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to the page: what it costs, and what makes the SELECT, which only the quickest is asked for."""

    cost: float
    select: Callable[[], Condition]


def survey_limit(size: int) -> int:
    """How far the rows of conditions are worth counting before a list of a collection of so many documents."""
    return max(LEAST_LIMIT, isqrt(25 * size))


def rows_of(filter: Filter, field: Field, declared: filters.Declared) -> Condition:
    """SQL on `field_values v` that holds for the rows that satisfy a condition."""
    value = filters.operand(declared, filter)
    values: tuple[Value, ...]
    match filter.operator:
        case Operator.EQUAL:
            sql, values = "v.value = ?", (value,)
        case Operator.NOT_EQUAL:
            sql, values = "v.value > ? AND v.value <> ?", (MISSING, value)
        case Operator.GREATER | Operator.GREATER_EQUAL:
            sql, values = f"v.value {filter.operator.value} ?", (value,)
        case Operator.LESS | Operator.LESS_EQUAL:
            sql, values = f"v.value > ? AND v.value {filter.operator.value} ?", (MISSING, value)
    return f"v.field_id = ? AND {sql}", (field.id, *values)


def page(request: Request, fields: Sequence[Field], known: Survey, size: int) -> Query[Page[Document]]:
    """The page of a list and the number of all matches. `size` is about how many documents the collection has."""
    cost, make = min(candidates(request, fields, known, size), key=lambda way: way[0])
    query = make()
    # What a search costs is not known beforehand, so the engine finds out.
    if cost > LONGEST_INLINE and request.search is None:
        return replace(query, inline=False)
    return query


def candidates(
    request: Request, fields: Sequence[Field], known: Survey, size: int
) -> list[tuple[float, Callable[[], Query[Page[Document]]]]]:
    """All statements that give the same list: what each costs, and what makes it."""
    seen = known.visible
    unordered = filters.by_creation(request.order)
    if not request.filters and request.search is None and unordered:
        return [(0.0, lambda: document_lists.in_creation_order(request, seen))]
    size = max(size, seen.total, 1)
    visible = size if seen.lists is None or seen.self_lists else seen.total
    request = request.planned(visible)
    inspected = len(request.filters) + (not unordered)
    found: list[tuple[float, Callable[[], Query[Page[Document]]]]] = [
        (OPEN_COST * visible * max(1, inspected), lambda: document_lists.scan(request, seen))
    ]
    if request.search is not None or seen.self_lists:
        return found
    sorted_by = None if unordered else _order_field(request, fields)
    conditions = request.indexed(fields)
    before: Condition = "", ()
    if conditions:
        before, total, total_cost, ways = _filtered(request, seen, conditions, known.matches, sorted_by, size)
    elif not request.filters and sorted_by is not None:
        total, total_cost, ways = _ordered(request, seen, sorted_by, size)
    else:
        return found

    def make(way: _Way) -> Query[Page[Document]]:
        return assemble(request, total, way.select(), before=before)

    return [*found, *((total_cost + way.cost, partial(make, way)) for way in ways)]


def _order_field(request: Request, fields: Sequence[Field]) -> Field | None:
    if request.order.path in request.declared.nested:
        return None
    key = (request.order.path, filters.kind_of(request.order))
    return next((field for field in fields if field.is_ready and (field.path, field.kind) == key), None)


def _ordered(request: Request, seen: Visible, field: Field, size: int) -> tuple[Condition, float, list[_Way]]:
    """Everything that is visible, in the order of a field."""
    sql, params = seen.condition("v", "v.document_id")
    visible = max(1, size if seen.lists is None else seen.total)
    wanted = min(request.limit + request.offset, visible)
    falling = request.order.descending
    order = "DESC" if falling else "ASC"

    def walk() -> Condition:
        return _walk(field, falling, "", (sql, params))

    def group() -> Condition:
        return (
            f"SELECT v.document_id AS id, {'max' if falling else 'min'}(v.value) AS k FROM field_values v "
            f"WHERE v.field_id = ? AND {sql} GROUP BY v.document_id ORDER BY k {order}, id",
            (field.id, *params),
        )

    if field.is_multiple:
        way = _Way((ROW_COST + 2 * SET_COST) * size, group)
    else:
        way = _Way(ROW_COST * wanted * size / visible, walk)
    return document_lists.total_of_visible(request, seen), 0.0, [way]


def _filtered(
    request: Request,
    seen: Visible,
    conditions: list[tuple[Filter, Field]],
    matches: Sequence[int],
    sorted_by: Field | None,
    size: int,
) -> tuple[Condition, Condition, float, list[_Way]]:
    """What satisfies the conditions. The one with the fewest rows leads; the others are sets, or looked up in JSON."""
    limit = survey_limit(size)
    rows = [count if count < limit else max(limit, size // 4) for count in matches]
    lead = min(range(len(conditions)), key=lambda i: (rows[i], conditions[i][0].operator is not Operator.EQUAL))
    (leading, field), led = conditions[lead], rows[lead]

    tests = [rows_of(leading, field, request.declared), seen.condition("v", "v.document_id")]
    scanned = ROW_COST * led
    indexed = {id(item) for item, _ in conditions}
    opened = [item for item in request.filters if id(item) not in indexed]
    for i, (item, other) in enumerate(conditions):
        if i == lead:
            continue
        if SET_COST * rows[i] < OPEN_COST * led:
            sql, params = rows_of(item, other, request.declared)
            inner = f"SELECT v.document_id FROM field_values v WHERE {sql}"
            tests.append((f"+v.document_id IN ({inner})", params))
            scanned += SET_COST * (rows[i] + led)
        else:
            opened.append(item)
    if opened:
        parts = [filters.condition(request.declared, request.collection_id, item) for item in opened]
        tests.append(
            (
                f"EXISTS (SELECT 1 FROM documents d WHERE d.id = v.document_id AND {_all(parts)[0]})",
                _all(parts)[1],
            )
        )
        scanned += OPEN_COST * led * len(opened)
    where, values = _all(tests)
    distinct = "DISTINCT " if field.is_multiple and leading.operator is not Operator.EQUAL else ""
    source: Condition = f"SELECT {distinct}v.document_id AS id FROM field_values v WHERE {where}", values
    if distinct:
        scanned += SET_COST * led
    if len(tests) > 2:  # found out once, for the total and the page
        before: Condition = f"m AS MATERIALIZED ({source[0]})", values
        ways = _ways(request, seen, ("SELECT id FROM m", ()), leading, led, ROW_COST * led, sorted_by, size)
        return before, ("(SELECT count(*) FROM m)", ()), scanned, ways
    counted = "DISTINCT v.document_id" if distinct else "*"
    total: Condition = f"(SELECT count({counted}) FROM field_values v WHERE {where})", values
    return ("", ()), total, scanned, _ways(request, seen, source, leading, led, scanned, sorted_by, size)


def _ways(
    request: Request,
    seen: Visible,
    source: Condition,
    leading: Filter,
    led: int,
    scanned: float,
    sorted_by: Field | None,
    size: int,
) -> list[_Way]:
    """The ways to a page of `source`, a SELECT of ids that takes `scanned` to run and gives about `led` of them."""
    order = request.order
    walked = min(float(size), (request.limit + request.offset) * size / max(1, led))
    opening = OPEN_COST * len(request.filters)
    falling = "DESC" if order.descending else "ASC"

    def looked() -> Condition:
        return _all(
            [
                seen.condition(),
                *(filters.condition(request.declared, request.collection_id, item) for item in request.filters),
            ]
        )

    def sort_ids() -> Condition:
        return f"SELECT id, NULL AS k FROM ({source[0]}) ORDER BY id {direction(order)}", source[1]

    def walk_collection() -> Condition:
        sql, params = looked()
        return (
            "SELECT d.id AS id, NULL AS k FROM documents d INDEXED BY documents_collection "
            f"WHERE d.collection_id = ? AND {sql} ORDER BY d.id {direction(order)}",
            (pack(request.collection_id), *params),
        )

    def sort_documents() -> Condition:
        key, params = filters.sort_value(request.declared, order)
        return (
            f"SELECT d.id AS id, {key} AS k FROM ({source[0]}) s CROSS JOIN documents d ON d.id = s.id "
            f"ORDER BY k {falling}, d.id",
            (*params, *source[1]),
        )

    if filters.by_creation(order):
        is_in_order = leading.operator is Operator.EQUAL
        sorting = scanned * min(1.0, walked / size) if is_in_order else scanned + SET_COST * led
        return [_Way(sorting, sort_ids), _Way(opening * walked, walk_collection)]
    ways = [_Way(scanned + OPEN_COST * led, sort_documents)]
    if sorted_by is None or sorted_by.is_multiple:
        return ways
    field = sorted_by

    def walk_order_in_set() -> Condition:
        # The plus keeps the set from leading: it would be gone through again for every value.
        condition = f"+v.document_id IN ({source[0]})"
        if size <= MOST_SORTED_VALUES:
            return (
                "SELECT v.document_id AS id, v.value AS k FROM field_values v "
                f"WHERE v.field_id = ? AND {condition} ORDER BY v.value {falling}, v.document_id",
                (field.id, *source[1]),
            )
        return _walk(field, order.descending, "", (condition, source[1]))

    def walk_order_and_look() -> Condition:
        return _walk(field, order.descending, "CROSS JOIN documents d ON d.id = v.document_id", looked())

    return [
        *ways,
        _Way(scanned + SET_COST * (led + walked), walk_order_in_set),
        _Way(opening * walked, walk_order_and_look),
    ]


def _walk(field: Field, falling: bool, joined: str, condition: Condition) -> Condition:
    """A SELECT of the rows `v` of a field for which a condition holds, in the order of values and then of creation.

    The index is in that order, so a page ends the walk. Falling values with rising ids are the order of no index; there
    the walk steps from each value down to the next one, and the loops give the order by the way they are nested.
    """
    sql, params = condition
    if not falling:
        return (
            f"SELECT v.document_id AS id, v.value AS k FROM field_values v {joined} "
            f"WHERE v.field_id = ? AND {sql} ORDER BY v.value, v.document_id",
            (field.id, *params),
        )
    below = "SELECT x.value FROM field_values x WHERE x.field_id = ?"
    return (
        f"WITH RECURSIVE steps (value) AS (SELECT ({below} ORDER BY x.value DESC LIMIT 1) UNION ALL "
        f"SELECT ({below} AND x.value < steps.value ORDER BY x.value DESC LIMIT 1) FROM steps "
        "WHERE steps.value IS NOT NULL) "
        "SELECT v.document_id AS id, v.value AS k FROM steps CROSS JOIN field_values v "
        f"ON v.field_id = ? AND v.value = steps.value {joined} WHERE {sql}",
        (field.id, field.id, field.id, *params),
    )


def _all(conditions: Sequence[Condition]) -> Condition:
    """All of several conditions."""
    values = [value for _, params in conditions for value in params]
    return " AND ".join(sql for sql, _ in conditions), tuple(values)
