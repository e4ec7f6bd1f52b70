from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from litewrite.http.params import (
    Boolean,
    Email,
    HexColor,
    Id,
    Integer,
    JsonObject,
    JsonObjectOrText,
    Key,
    ListOf,
    Number,
    OneOf,
    Password,
    Text,
    Url,
    Validator,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)

NOT_TEXT: list[Any] = [5, 1.5, True, False, None, [], ["a"], {}, {"a": "b"}]
NOT_NUMBERS: list[Any] = [
    True,
    False,
    None,
    [],
    {},
    [1],
    "",
    " ",
    "x",
    " 5",
    "5 ",
    "5\n",
    "0x10",
    "1_000",
    "٥",
    "--1",
    "+",
]

ACCEPTED: list[tuple[Validator, list[Any]]] = [
    (Id(), ["5f3c0a1b2c3d4", "x" * 32, "any: ä/ \0", ""]),
    (Text(128), ["a", "ä" * 128, "😀" * 128, ""]),
    (Text(128, min=1), ["a"]),
    (Text(), ["x" * 100_000]),
    (Key(), ["abc-DEF_09", "x" * 32, ""]),
    (Key(max=64, min=1), ["x" * 64]),
    (Password(), ["secret", "x" * 32, "äöü", "😀" * 8]),
    (Url(), ["http://localhost/recovery", "http://localhost:5000/join?a=1#title", "http://remotehost/recovery"]),
    (
        Url(),
        [
            "https://a.b-c.example/%20?x=[1]&y=@",
            "myapp://auth",
            "http://127.0.0.1:80",
            "http://[::1]:8080/x",
            "HTTP://X",
        ],
    ),
    (Url(("http", "https")), ["http://example.com", "HTTPS://example.com/"]),
    (HexColor(), ["fff", "FFFFFF", "0aF", "000000"]),
    (OneOf(("ASC", "DESC")), ["ASC", "DESC"]),
    (OneOf((0, 1, 2)), [0, 1, 2]),
    (OneOf((True, "1")), [True, "1"]),
    (ListOf(Text(64)), [[], ["a", "b", "a"], ["x" * 64]]),
    (ListOf(ListOf(Id())), [[[], ["a"]]]),
    (JsonObject(), [{}, {"a": [1, None]}]),
    (JsonObject(max_bytes=10), [{"a": "ä"}, {"a": 1234}]),
    (JsonObjectOrText(), [{}, {"a": 1}]),
]

CONVERTED: list[tuple[Validator, Any, Any]] = [
    (Email(), "user@localhost.test", "user@localhost.test"),
    (Email(), "A.B+c@Example.COM", "a.b+c@example.com"),
    (Email(), "a@b.c", "a@b.c"),
    (Email(), "a@[127.0.0.1]", "a@[127.0.0.1]"),
    (Email(), "a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"),
    (Email(), "x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    (Integer(0, 100), 0, 0),
    (Integer(0, 100), 100, 100),
    (Integer(0, 100), "25", 25),
    (Integer(0, 100), "+5", 5),
    (Integer(0, 100), "007", 7),
    (Integer(-5, 5), "-5", -5),
    (Integer(), 2**63 - 1, 2**63 - 1),
    (Integer(), "-9223372036854775808", -(2**63)),
    (Number(0, 1), "0.5", 0.5),
    (Number(0, 1), 1, 1.0),
    (Number(0, 1), ".5", 0.5),
    (Number(), "-1.5e3", -1500.0),
    (Number(), 0.25, 0.25),
    (Boolean(), True, True),
    (Boolean(), False, False),
    *((Boolean(loose=True), given_, True) for given_ in (True, "true", "1", 1)),
    *((Boolean(loose=True), given_, False) for given_ in (False, "false", "0", 0)),
    (OneOf(("24h", "7d"), ignore_case=True), "24H", "24h"),
    (OneOf(("Top-Left",), ignore_case=True), "top-left", "Top-Left"),
    (ListOf(Text(64)), {"x": "a", "0": "b"}, ["a", "b"]),
    (ListOf(Integer(0, 9)), ["1", 2], [1, 2]),
    (JsonObject(), [], {}),
    (JsonObjectOrText(), [], {}),
    (JsonObjectOrText(), '{"a": [1]}', {"a": [1]}),
    (JsonObjectOrText(), "[1]", [1]),
    (JsonObjectOrText(), "5", 5),
    (JsonObjectOrText(), "null", None),
]

REFUSED: list[tuple[Validator, list[Any]]] = [
    (Id(), ["x" * 33, *NOT_TEXT]),
    (Text(128), ["x" * 129, *NOT_TEXT]),
    (Text(128, min=1), ["", *NOT_TEXT]),
    (Key(), ["x" * 33, "a b", "a.b", "ä", "a\n", "٥", *NOT_TEXT]),
    (Key(min=1), [""]),
    (
        Email(),
        ["", "a@b", "a@localhost", "a b@x.com", "a@x..com", "üser@x.com", "a@ü.com", "@x.com", "a@", "a", *NOT_TEXT],
    ),
    (
        Email(),
        ["x" * 65 + "@x.com", "a@.com", "a@x.com.", "a@-x.com", "a@x-.com", ".a@x.com", "a..b@x.com", "a@x@y.com"],
    ),
    (
        Email(),
        ["a@[127.0.0]", "a@[]", "a@[x]", "a@[IPv6:zz]", "a@x.com\n", "a\r\nBcc: b@x.com", '"a"@x.com', "<a@x.com>"],
    ),
    (Email(), ["a@" + "x" * 64 + ".com", "a@" + "x." * 200 + "com"]),
    (Password(), ["12345", "x" * 33, "ä" * 17, *NOT_TEXT]),
    (
        Url(),
        [
            "localhost/recovery",
            "unknown-address",
            "http:///x",
            "example.com/x",
            "//example.com/x",
            "http://",
            "",
            *NOT_TEXT,
        ],
    ),
    (
        Url(),
        [
            "http://user@localhost/",
            "http://user:pw@localhost/",
            "http://localhost\\@evil.example/",
            "http:\\\\localhost",
        ],
    ),
    (
        Url(),
        [
            "http://local host/",
            "http://localhost/a b",
            " http://localhost/",
            "http://localhost/\n",
            "http://localhost/\x7f",
        ],
    ),
    (
        Url(),
        [
            "http://localhost:/x",
            "http://localhost:65536/",
            "http://localhost:x/",
            "http://a..b/",
            "http://.a/",
            "http://a./",
        ],
    ),
    (
        Url(),
        [
            "http://loc%61lhost/",
            "http://[::1",
            "http://[zz]/",
            "http://ｌocalhost/",
            "http://localhost/ä",
            "http:localhost",
        ],
    ),
    (
        Url(),
        ["javascript://localhost/%0aalert(1)", "JavaScript://x/", "data://x/", "mailto:a@b.c", "http://localhost/\\x"],
    ),
    (Url(), ["http://localhost/" + "x" * 8_192]),
    (Url(("http", "https")), ["file://host/x", "myapp://auth", "ftp://example.com/"]),
    (HexColor(), ["", "ff", "ffff", "#ffffff", "#fff", "white", "black", "ggg", "fff\n", "٣٣٣", *NOT_TEXT]),
    (Integer(0, 100), [-1, 101, "101", "-1", 5.0, 5.5, "5.0", "5.5", "1e3", 1e400, "9" * 5_000, *NOT_NUMBERS]),
    (Integer(), [2**63, -(2**63) - 1, "9223372036854775808"]),
    (Number(0, 1), [-0.1, 1.1, "1.1", float("nan"), float("inf"), 10**400, "1e999", "nan", "inf", *NOT_NUMBERS]),
    (Number(), [10**400, "1e999", float("-inf")]),
    (Boolean(), ["true", "false", "1", "0", 1, 0, 1.0, "", None, [], {}]),
    (Boolean(loose=True), ["True", "yes", "", 2, -1, 1.0, 0.0, None, [], {}]),
    (OneOf(("ASC", "DESC")), ["asc", "", "ASC ", *NOT_TEXT]),
    (OneOf((0, 1, 2)), ["0", "1", "2", True, False, 1.0, 3, None, [], [1], {}]),
    (OneOf(("24h",), ignore_case=True), ["25h", 24]),
    (ListOf(Text(64)), ["abc", "", 5, None, True, ["x" * 65], [5], [["a"]], [None], {"a": 1}]),
    (ListOf(Text(64), max_items=2), [["a"] * 3]),
    (JsonObject(), [["a"], [[]], "{}", "", 5, 1.5, True, None]),
    (JsonObject(max_bytes=10), [{"a": "äb"}, {"a": 12345}, {"a": float("nan")}]),
    (
        JsonObjectOrText(),
        [["a"], 5, True, None, "", "x", "{", '{"a":1,"a":2}', '{"a":NaN}', "[" * 100_000, '"\\ud800"', "\ud800"],
    ),
]

ALL = sorted({kind for kind, _ in ACCEPTED} | {kind for kind, _, _ in CONVERTED}, key=repr)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in ACCEPTED for value in values])
def test_accepted_as_it_is(kind: Validator, value: Any) -> None:
    assert kind.check(value) == value


@pytest.mark.parametrize(("kind", "value", "result"), CONVERTED)
def test_converted(kind: Validator, value: Any, result: Any) -> None:
    checked = kind.check(value)
    assert (type(checked), checked) == (type(result), result)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in REFUSED for value in values])
def test_refused(kind: Validator, value: Any) -> None:
    with pytest.raises(ValueError):
        kind.check(value)


@pytest.mark.parametrize("kind", ALL, ids=repr)
@given(value=JSON)
@example(value="9" * 5_000)
@example(value=10**5_000)
@example(value="\ud800" * 8)
def test_any_json_value_is_checked_or_refused(kind: Validator, value: Any) -> None:
    reason = None
    try:
        kind.check(value)
    except ValueError as error:
        reason = str(error)
    assert reason is None or "must be" in reason or "JSON" in reason


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_schemas_are_json_and_made_anew(kind: Validator) -> None:
    schema = kind.schema()
    assert json.loads(json.dumps(schema)) == schema
    schema["changed"] = True
    assert "changed" not in kind.schema()
    assert kind.description


def test_the_message_is_the_description() -> None:
    with pytest.raises(ValueError, match=r"^must be a string from 1 to 128 characters$"):
        Text(128, min=1).check(5)
    with pytest.raises(ValueError, match=r"^must be an integer from 0 to 100$"):
        Integer(0, 100).check("x")
    with pytest.raises(ValueError, match=r"^element 1 of the array must be a string of at most 64 characters$"):
        ListOf(Text(64)).check(["a", 5])
    with pytest.raises(ValueError, match=r"^must be one of 0, 1, true, x \(in any case\)$"):
        OneOf((0, 1, True, "x"), ignore_case=True).check("2")


def test_a_checked_list_is_a_new_one() -> None:
    given_ = ["a"]
    assert ListOf(Text(64)).check(given_) is not given_


def test_schemas() -> None:
    assert Text(128, min=1).schema() == {"type": "string", "minLength": 1, "maxLength": 128}
    assert Integer(0, 100).schema() == {"type": "integer", "format": "int64", "minimum": 0, "maximum": 100}
    assert ListOf(Id()).schema() == {"type": "array", "items": {"type": "string", "maxLength": 32}, "maxItems": 1_000}
    assert OneOf(("a", "b")).schema() == {"type": "string", "enum": ["a", "b"]}
    assert OneOf((0, "a")).schema() == {"enum": [0, "a"]}


def test_kinds_are_values() -> None:
    assert Text(5) == Text(5)
    assert {OneOf(["a"]), OneOf(("a",))} == {OneOf(("a",))}
    with pytest.raises(AttributeError):
        Text(5).max = 6  # type: ignore[misc]
