"""The filter strings of clients: what they mean, and that no text is any other error than the documented one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.api.v0_11.filters import OPERATORS, parse_filter, parse_order
from litewrite.errors import QueryInvalid
from litewrite.filters import Cast, Filter, Operator, Order


@pytest.mark.parametrize(
    ("text", "path", "operator", "value"),
    [
        ("title=x", ("title",), "=", "x"),
        ("title=a>b", ("title",), "=", "a>b"),
        ("a>b=c", ("a>b",), "=", "c"),
        ("x>=3", ("x",), ">=", "3"),
        ("x<=3", ("x",), "<=", "3"),
        ("x!=3", ("x",), "!=", "3"),
        ("x>3", ("x",), ">", "3"),
        ("x<3>2", ("x<3",), ">", "2"),
        ("x=>3", ("x",), "=", ">3"),
        ("a=b!=c", ("a=b",), "!=", "c"),
        ("title=", ("title",), "=", ""),
        ("=x", ("",), "=", "x"),
        ("title = x ", ("title",), "=", " x "),
        ("a.b.$id=5", ("a", "b", "$id"), "=", "5"),
    ],
)
def test_parse_filter(text: str, path: tuple[str, ...], operator: str, value: str) -> None:
    assert parse_filter(text) == Filter(path, Operator(operator), value)


@pytest.mark.parametrize("text", ["", "title", "a=b=c", "a!=b!=c", "a>b>c", "a>=b>=c", "=="])
def test_malformed_filters(text: str) -> None:
    with pytest.raises(QueryInvalid):
        parse_filter(text)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("=!<>.")), max_size=128))
def test_every_text_is_a_filter_or_is_refused(text: str) -> None:
    found = [operator for operator in OPERATORS if operator.value in text]
    if not found or text.count(found[0].value) != 1:
        with pytest.raises(QueryInvalid):
            parse_filter(text)
        return
    parsed = parse_filter(text)
    assert parsed.operator is found[0]
    path, value = text.split(found[0].value)
    assert (".".join(parsed.path), parsed.value) == (path.rstrip(" "), value)


def test_parse_order() -> None:
    assert parse_order("", "ASC", "string") == Order()
    assert parse_order("a.b", "DESC", "int") == Order(("a", "b"), True, Cast.INTEGER)
    assert [parse_order("a", "ASC", cast).cast for cast in ("string", "date", "time", "datetime")] == [
        Cast.TEXT,
        Cast.DATE,
        Cast.TIME,
        Cast.DATETIME,
    ]
