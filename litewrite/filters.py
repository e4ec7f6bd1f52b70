"""What a caller asks of a list: conditions and an order, free of any dialect and of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_EQUAL = ">="
    LESS = "<"
    LESS_EQUAL = "<="


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on an attribute.

    `path` leads to it: one attribute, or several keys that walk into what attributes hold. The condition holds when at
    least one value at the path satisfies it, so it never holds without a value. Whether it compares numbers or text
    depends on the declared type of the attribute; text is compared without case, accents and trailing blanks.
    """

    path: tuple[str, ...]
    operator: Operator
    value: str


class Cast(StrEnum):
    """What values are taken for when they are put in order; those that are none of it come as if they were missing."""

    TEXT = "text"
    INTEGER = "integer"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Order:
    """By which attribute a list is sorted; an empty path is the order of creation.

    Missing values are the smallest. Of several values the smallest counts, or the largest when descending. Equal ones
    are in the order of creation.
    """

    path: tuple[str, ...] = ()
    descending: bool = False
    cast: Cast = Cast.TEXT
