from __future__ import annotations

import json
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.errors import ArgumentInvalid
from litewrite.http.strict_json import JsonBroken, decode_json, parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b'"text"',
        b"true",
        b"[]",
        b'[{"a":1}]',
        b"{",
        b'{"a":1',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":1}x',
        b'{"a":1,}',
        b'{"a":"\n"}',
        b'{"a":01}',
        b"\xff\xfe",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"  ",
        b'{"a":\\u0031}',
        '{"a":1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"' + b'\\"' * 2_000,
    ],
)
def test_what_is_no_object_counts_as_no_parameters(body: bytes) -> None:
    assert parse_json(body) == {}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' {"a" : [1, 2.5, "x", null, true, {"b": {}}]}\r\n', {"a": [1, 2.5, "x", None, True, {"b": {}}]}),
        ('{"ä":"\U0001f600"}'.encode(), {"ä": "\U0001f600"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a":"\\\\ud83d"}', {"a": "\\ud83d"}),
        (b'{"a":"\\u00e4\\u0000"}', {"a": "ä\0"}),
        (b'{"a":9223372036854775807,"b":-9223372036854775808}', {"a": 2**63 - 1, "b": -(2**63)}),
        (
            b'{"a":1e308,"b":1E+300,"c":1e-999,"d":1e00000000000000000001}',
            {"a": 1e308, "b": 1e300, "c": 0.0, "d": 10.0},
        ),
        (b'{"a":0.12345678901234567890123}', {"a": 0.12345678901234568}),
        (b'{"a":"99999999999999999999 and 1e999 and NaN"}', {"a": "99999999999999999999 and 1e999 and NaN"}),
        (b'{"a":{"x":1},"b":{"x":1}}', {"a": {"x": 1}, "b": {"x": 1}}),
    ],
)
def test_objects_keep_their_types(body: bytes, value: object) -> None:
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":-1E400}',
        b'{"a":1e+309}',
        b"[1.5e999]",
        b'{"a":9223372036854775808}',
        b'{"a":-9223372036854775809}',
        b'{"a":' + b"9" * 10_000 + b"}",
        b'{"a":' + b"9" * 400 + b".0}",
        b'{"a":1,"a":1}',
        b'{"x":[{"a":1,"b":2,"a":3}]}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\uDC00"}',
        b'{"a":"\\ude00\\ud83d"}',
        b'{"a":"\\ud83d\\ud83d\\ude00"}',
        b'{"\\udfff":1}',
        b'{"a":"\\\\\\ud800"}',
    ],
)
def test_what_readers_take_differently_is_refused(body: bytes) -> None:
    with pytest.raises(ArgumentInvalid):
        parse_json(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_limited(opening: bytes, closing: bytes) -> None:
    def nested(levels: int) -> bytes:
        return b'{"x":' + opening * (levels - 1) + b"0" + closing * (levels - 1) + b"}"

    assert "x" in parse_json(nested(64))
    for levels in (65, 1_000, 100_000):
        with pytest.raises(ArgumentInvalid):
            parse_json(nested(levels))
        with pytest.raises(ArgumentInvalid):
            parse_json(b'{"x":' + opening * levels)


def test_brackets_in_text_and_beside_each_other_are_not_nesting() -> None:
    text = '[[{{"' * 100 + "\\" * 3 + '"'
    value = {"a": [[]] * 200, "b": text, text: {"c": "["}}
    assert parse_json(json.dumps(value).encode()) == value


def test_the_limit_holds_on_a_small_stack() -> None:
    outcome: list[object] = []
    body = b'{"a":' * 64 + b"1" + b"}" * 64
    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: outcome.append(parse_json(body)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert outcome == [json.loads(body)]


@given(VALUES)
def test_round_trip(value: object) -> None:
    assert decode_json(json.dumps(value).encode()) == value
    assert decode_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary() | st.text(alphabet='[]{}":,\\ud8cDe0019.+-NaInfty ').map(str.encode))
def test_any_bytes_give_a_value_or_one_of_two_errors(body: bytes) -> None:
    try:
        value = decode_json(body)
    except (JsonBroken, ArgumentInvalid):
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert not isinstance(value, float) or math.isfinite(value)
    assert json.loads(body) == value
