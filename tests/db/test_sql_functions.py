"""SQL functions of ours."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.db.sql_functions import fold, register_functions


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        (None, None),
        ("", ""),
        ("Abc  ", "abc"),
        ("  Abc", "  abc"),
        ("a b\t", "a b\t"),
        ("Été ", "ete"),
        ("E\u0301TE\u0301", "ete"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("ﬁne\u00a0", "fine"),
        ("İstanbul", "istanbul"),
        ("日本", "日本"),
        (7, "7"),
        (1.5, "1.5"),
        (b"A ", b"A "),
    ],
)
def test_fold(value: str | int | float | bytes | None, folded: str | bytes | None) -> None:
    assert fold(value) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    once = fold(text)
    assert fold(once) == once


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_case_and_trailing_blanks_do_not_matter(text: str) -> None:
    assert fold(text.upper()) == fold(text.lower()) == fold(text + "  ")


def test_a_column_can_be_indexed_by_it() -> None:
    connection = sqlite3.connect(":memory:")
    register_functions(connection)
    connection.execute("CREATE TABLE a (b)")
    connection.execute("CREATE INDEX folded ON a (fold(b))")
    connection.executemany("INSERT INTO a VALUES (?)", [("Zoë",), ("zoe ",), (None,), (12,)])
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT b FROM a WHERE fold(b) = 'zoe'").fetchall()
    assert "folded" in plan[0][3]
    assert connection.execute("SELECT count(*) FROM a WHERE fold(b) = 'zoe'").fetchone() == (2,)
    connection.close()
