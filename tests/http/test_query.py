from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.errors import ArgumentInvalid
from litewrite.http.body import MAX_NAME_DEPTH, MAX_PAIRS, nest, parse_form, parse_query

TABLE: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("&&", {}),
    ("a=1", {"a": "1"}),
    ("a", {"a": ""}),
    ("=1", {}),
    ("a==&b=c=d", {"a": "=", "b": "c=d"}),
    ("a=1&a=2", {"a": "2"}),
    ("a=x+y%20z%2B", {"a": "x y z+"}),
    ("%C3%A4=%F0%9F%98%80", {"ä": "😀"}),
    ("ä=ö", {"ä": "ö"}),
    ("a[]=1&a[]=2", {"a": ["1", "2"]}),
    ("a[0]=1&a[1]=2", {"a": ["1", "2"]}),
    ("a[1]=1&a[0]=2", {"a": ["2", "1"]}),
    ("a%5B0%5D=1&a%5b1%5d=2", {"a": ["1", "2"]}),
    ("a[x]=1", {"a": {"x": "1"}}),
    ("a[0][k]=1", {"a": [{"k": "1"}]}),
    ("a[][k]=1&a[][k]=2", {"a": [{"k": "1"}, {"k": "2"}]}),
    ("a[0][]=1&a[0][]=2", {"a": [["1", "2"]]}),
    ("a[1]=1", {"a": {"1": "1"}}),
    ("a[0]=1&a[2]=2", {"a": {"0": "1", "2": "2"}}),
    ("a[5]=1&a[]=2", {"a": {"5": "1", "6": "2"}}),
    ("a[00]=1", {"a": {"00": "1"}}),
    ("a[-1]=1", {"a": {"-1": "1"}}),
    ("a[0]=1&a[0]=2", {"a": ["2"]}),
    ("a[x]=1&a[]=2", {"a": {"x": "1", "0": "2"}}),
    # A later field replaces an earlier one of another shape.
    ("a=1&a[]=2", {"a": ["2"]}),
    ("a[]=1&a=2", {"a": "2"}),
    ("a[x]=1&a[x][y]=2", {"a": {"x": {"y": "2"}}}),
    ("a[x][y]=1&a[x]=2", {"a": {"x": "2"}}),
    # Names that only look like it.
    ("a[=1", {"a[": "1"}),
    ("a]=1", {"a]": "1"}),
    ("a[0]b=1", {"a[0]b": "1"}),
    ("a[0]b[1]=1", {"a[0]b[1]": "1"}),
    ("a[[0]]=1", {"a[[0]]": "1"}),
    ("[0]=1", {"[0]": "1"}),
    ("a[]", {"a": [""]}),
]


@pytest.mark.parametrize(("text", "value"), TABLE)
def test_names_and_values(text: str, value: dict[str, Any]) -> None:
    assert parse_query(text) == value
    assert parse_form(text.encode()) == value


@pytest.mark.parametrize("text", ["a=%", "a=%4", "a=%zz", "%=1", "a=%FF", "a=%C3", "a=%ED%A0%80", "a=\udcff", "a=%+1"])
def test_broken_encoding_is_refused(text: str) -> None:
    with pytest.raises(ArgumentInvalid):
        parse_query(text)


def test_a_form_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ArgumentInvalid):
        parse_form(b"a=\xff")


def test_the_number_of_fields_is_limited() -> None:
    assert len(parse_query("&".join(f"a{n}=1" for n in range(MAX_PAIRS)))) == MAX_PAIRS
    assert len(parse_query("&".join(["a[]=1"] * MAX_PAIRS))["a"]) == MAX_PAIRS
    with pytest.raises(ArgumentInvalid):
        parse_query("&".join(["a[]=1"] * (MAX_PAIRS + 1)))


def test_the_number_of_brackets_is_limited() -> None:
    value = parse_query("a" + "[]" * MAX_NAME_DEPTH + "=x")["a"]
    for _ in range(MAX_NAME_DEPTH):
        (value,) = value
    assert value == "x"
    for levels in (MAX_NAME_DEPTH + 1, 100_000):
        with pytest.raises(ArgumentInvalid):
            parse_query("a" + "[]" * levels + "=x")


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "[" not in name), st.text()))
def test_plain_fields_round_trip(fields: dict[str, str]) -> None:
    assert parse_query(urlencode(fields)) == fields


@given(st.lists(st.text(), min_size=1), st.booleans())
def test_lists_round_trip(values: list[str], numbered: bool) -> None:
    text = "&".join(f"a[{index if numbered else ''}]={quote(value)}" for index, value in enumerate(values))
    assert parse_query(text) == {"a": values}
    assert parse_query(text.replace("[", "%5B").replace("]", "%5D")) == {"a": values}


@given(st.text() | st.text(alphabet="ab01[]=&%5BDd+"))
def test_any_text_gives_parameters_or_argument_invalid(text: str) -> None:
    try:
        value = parse_query(text)
    except ArgumentInvalid:
        return
    assert isinstance(value, dict)


@given(st.lists(st.tuples(st.text(alphabet="a[]01x", max_size=12), st.text(max_size=2))))
def test_any_names_nest_into_text_lists_and_dicts(pairs: list[tuple[str, str]]) -> None:
    def plain(value: object) -> bool:
        if type(value) is dict:
            return all(type(key) is str and plain(item) for key, item in value.items())
        return all(map(plain, value)) if type(value) is list else type(value) is str

    assert plain(nest(pairs))
