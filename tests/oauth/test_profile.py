"""What is read out of answers of providers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.oauth.profile import Grant, dig, is_true, make_profile, text

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab01"), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": [1, {"c": "x"}]}),
        ("a.b.0", 1),
        ("a.b.1.c", "x"),
        ("a.b.2", None),
        ("a.b.-1", None),
        ("a.b.c", None),
        ("a.x.c", None),
        ("a.b.0.c", None),
    ],
)
def test_dig(path: str, found: Any) -> None:
    assert dig({"a": {"b": [1, {"c": "x"}]}}, path) == found


@given(ANY_JSON, st.lists(st.sampled_from(["a", "b", "0", "1"]), min_size=1, max_size=4).map(".".join))
def test_digging_never_raises_and_a_profile_can_be_stored(value: Any, path: str) -> None:
    found = dig(value, path)
    profile = make_profile(uid=found, name=found, email=found, vouched=True)
    for part in (profile.uid, profile.name, profile.email):
        assert part == part.encode().decode()
        assert part.isprintable()
    assert len(profile.uid) <= 255
    assert len(profile.name) <= 128
    assert profile.vouched == bool(profile.email)


@pytest.mark.parametrize(
    ("value", "expected"), [("x", "x"), (7, "7"), (True, ""), (None, ""), (1.5, ""), (["x"], ""), ({}, "")]
)
def test_text(value: Any, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), ("true", True), ("false", False), (1, False), (None, False), ("yes", False)]
)
def test_claims(value: Any, expected: bool) -> None:
    assert is_true(value) is expected


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("ada@localhost", ""),
        ("ada", ""),
        ("üda@example.com", ""),
        ("a" * 65 + "@example.com", ""),
        ("a@" + "b." * 160 + "com", ""),
        ("a@example.com\nb@example.com", ""),
    ],
)
def test_addresses_are_such_as_users_may_have(address: str, stored: str) -> None:
    profile = make_profile(uid="1", email=address, vouched=True)
    assert profile.email == stored
    assert profile.vouched == bool(stored)


def test_names_are_one_line() -> None:
    assert make_profile(uid="1", name=" Ada\n\x00 Example\ud800 ").name == "Ada Example"
    assert len(make_profile(uid="1", name="x" * 500).name) == 128


def test_an_id_that_cannot_be_kept_apart_from_others_is_none() -> None:
    assert make_profile(uid="x" * 256).uid == ""
    assert make_profile(uid="a\x00").uid == ""


def test_tokens_are_not_shown() -> None:
    assert "geheim" not in repr(Grant("geheim", {"refresh_token": "geheim"}))
