"""The filter and order strings of Appwrite 0.11, made into what the services understand."""

from __future__ import annotations

from litewrite.errors import QueryInvalid
from litewrite.filters import Cast, Filter, Operator, Order

OPERATORS = (
    Operator.NOT_EQUAL,
    Operator.GREATER_EQUAL,
    Operator.LESS_EQUAL,
    Operator.EQUAL,
    Operator.GREATER,
    Operator.LESS,
)
"""In the order in which they are looked for."""

CASTS = {
    "int": Cast.INTEGER,
    "string": Cast.TEXT,
    "date": Cast.DATE,
    "time": Cast.TIME,
    "datetime": Cast.DATETIME,
}


def parse_path(text: str) -> tuple[str, ...]:
    """Keys parted by dots. Blanks behind it count for nothing."""
    return tuple(text.rstrip(" ").split("."))


def parse_filter(text: str) -> Filter:
    """A condition of the form path, operator, value; the first operator of `OPERATORS` that occurs anywhere counts.

    Raises `QueryInvalid` when there is none, or when it parts the text into more than two pieces.
    """
    for operator in OPERATORS:
        path, *values = text.split(operator.value)
        if len(values) == 1:
            return Filter(parse_path(path), operator, values[0])
        if values:
            raise QueryInvalid(f"The operator {operator.value} occurs more than once in the filter {text!r}")
    raise QueryInvalid(f"The filter {text!r} has no operator; it must be one of {' '.join(OPERATORS)}")


def parse_order(field: str, order_type: str, cast: str) -> Order:
    """An order; without a field that of creation."""
    return Order(parse_path(field) if field else (), order_type == "DESC", CASTS[cast])
