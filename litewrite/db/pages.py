"""One page of a list together with the number of all matches, in one statement, so that both tell of one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from litewrite.db.query import Query, Row, Value
from litewrite.entities import Page

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted. `search` is in the query language of clients; empty for all."""

    limit: int = 25
    offset: int = 0
    descending: bool = False
    search: str = ""


def page(
    columns: str,
    source: str,
    condition: str,
    params: Sequence[Value],
    window: Window,
    make: Callable[[Row], T],
) -> Query[Page[T]]:
    """A page in the order of the column `id`, which `columns` has to name, of the rows for which `condition` holds."""
    order = "DESC" if window.descending else "ASC"
    sql = (
        f"SELECT matches.total, items.* FROM (SELECT count(*) AS total FROM {source} WHERE {condition}) AS matches "
        f"LEFT JOIN (SELECT {columns} FROM {source} WHERE {condition} ORDER BY id {order} LIMIT ? OFFSET ?) AS items "
        f"ON TRUE ORDER BY items.id {order}"
    )

    def decode(rows: list[Row]) -> Page[T]:
        # Without items the join leaves one row of NULLs.
        items = tuple(make(row[1:]) for row in rows if row[1] is not None)
        return Page(total=rows[0][0], items=items)

    return Query(sql, (*params, *params, window.limit, window.offset), decode, inline=not window.search)
