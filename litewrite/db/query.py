"""Reads as values.

A store's reading functions return a `Query`: one statement, its bound values and how its rows become entities. The same
value runs synchronously inside a unit of work (`tx.run(query)`) and outside of one (`await db.read(query)`), so a
look-up is written once and the engine decides where it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Value = str | int | float | bytes | None
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """One SELECT. `inline` says that it is usually short enough to run at once on the event loop's own connection.

    An inline query has a budget there; one that exceeds it is run again on a pooled connection, so the mark is a hint
    and never a risk.
    """

    sql: str
    params: Sequence[Value]
    decode: Callable[[list[Row]], T]
    inline: bool = True


def one(make: Callable[[Row], T]) -> Callable[[list[Row]], T | None]:
    """Decode the first row, or None when there is none."""
    return lambda rows: make(rows[0]) if rows else None


def many(make: Callable[[Row], T]) -> Callable[[list[Row]], tuple[T, ...]]:
    """Decode every row."""
    return lambda rows: tuple(map(make, rows))


def scalar(rows: list[Row]) -> Any:
    """Decode the first column of the first row, or None."""
    return rows[0][0] if rows else None
