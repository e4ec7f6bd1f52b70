"""The search language of clients, made into FTS5's, and the rows of the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litewrite.db import search
from litewrite.db.ids import pack
from litewrite.db.search import MATCH_NOTHING, SearchIndex, clause, indexed_values, parse, scope_of
from litewrite.db.sqlite import SqliteDatabase

VALUES = (
    "Captain America",
    "Spider-Man: Far From Home",
    "Spider-Man: Homecoming",
    "Émile Zola, straße",
    "snake_case_word and 2019",
    "the big bang theory of www",
    "Ünïcödé ЖИЗНЬ 漢字漢字",
)
IDS = [f"{0x61D5C1A200000 + n:013x}" for n in range(len(VALUES))]
SCOPE = scope_of("documents", "61d5c1a2b3c4d")


def make_index() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    script = (Path(search.__file__).parent / "migrations" / "0001_initial.sql").read_text()
    connection.executescript(script[script.index("CREATE VIRTUAL TABLE search") :])
    for id, value in zip(IDS, VALUES, strict=True):
        for scope in (SCOPE, scope_of("files", "other")):
            connection.execute(
                "INSERT INTO search (rowid, scope, value) VALUES (?, ?, ?)",
                ((pack(id) << search.VALUE_BITS) + (scope != SCOPE), scope, value),
            )
    connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO things VALUES (?)", [(pack(id),) for id in IDS])
    return connection


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    with closing(make_index()) as connection:
        yield connection


def found(index: sqlite3.Connection, text: str, scope: str = SCOPE) -> list[int] | None:
    condition = clause(scope, text, "id", packed=True)
    if condition is None:
        return None
    rows = index.execute(f"SELECT id FROM things WHERE {condition[0]} ORDER BY id", condition[1]).fetchall()
    return [IDS.index(f"{row[0]:013x}") for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("  ", None),
        ("*", None),
        ("captain", [0]),
        ("CAPTAIN", [0]),
        ("captain homecoming", [0, 2]),
        ("+spider +home", [1]),
        ("spider -home", [2]),
        ("spider -far", [2]),
        ("+spider home", [1, 2]),
        ("spider-man", [1, 2]),
        ("spider -man", []),
        ("pider", []),
        ("spi", []),
        ("spi*", [1, 2]),
        ("+spi* -home*", []),
        ("home*", [1, 2]),
        ('"far from home"', [1]),
        ('"from far home"', []),
        ('+"far from" +spider', [1]),
        ('spider -"far from"', [2]),
        ('"homecoming', []),
        ('abc"captain america"', [0]),
        ("emile", [3]),
        ("ÉMILE", [3]),
        ("snake", []),
        ("snake_case_word", [4]),
        ("2019", [4]),
        ("the", []),
        ("from", []),
        ("from captain", [0]),
        ("+from +captain", [0]),
        ("an", []),
        ("-captain", []),
        ("-captain -spider", []),
        ("++captain", []),
        ("+-captain", []),
        ("captain+", [0]),
        ("captain + home", [0, 1]),
        ("(captain)", [0]),
        ("captain OR nothing", [0]),
        ("value:captain", [0]),
        ("scope:files", []),
        ("NEAR(captain america)", [0]),
        ("captain^2", [0]),
        ("{captain}", [0]),
        ("жизнь", [6]),
        ("x" * 84, []),
        ("x" * 256, []),
        ("a " * 128, []),
        ("+captain " * 28, [0]),
        ("cap*tain", [0]),
        ("th*", [5]),
    ],
)
def test_searches(index: sqlite3.Connection, text: str, expected: list[int] | None) -> None:
    assert found(index, text) == expected


def test_a_search_does_not_leave_its_place(index: sqlite3.Connection) -> None:
    assert found(index, "captain", scope_of("documents", "61d5c1a2b3c4e")) == []
    assert found(index, "documents*") == []


def test_ids_as_text(index: sqlite3.Connection) -> None:
    condition = clause(SCOPE, "captain", "printf('%013x', id)", packed=False)
    assert condition is not None
    rows = index.execute(f"SELECT printf('%013x', id) FROM things WHERE {condition[0]}", condition[1]).fetchall()
    assert rows == [(IDS[0],)]


SPECIAL = st.sampled_from(
    ["AND", "OR", "NOT", "NEAR", "the", "captain", "spi*", "\0", *"+-*\"'()^:{}<>~@\\ \t\n,."],
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(SPECIAL, st.text(max_size=6)), max_size=40).map("".join))
def test_no_text_is_an_error(index: sqlite3.Connection, text: str) -> None:
    found(index, text)
    search = parse(text)
    if search is not None:
        index.execute("SELECT rowid FROM search WHERE search MATCH ?", (search.expression,)).fetchall()


def test_what_finds_nothing_is_no_error(index: sqlite3.Connection) -> None:
    search = parse("-x")
    assert search is not None
    assert search.expression == MATCH_NOTHING
    assert index.execute("SELECT rowid FROM search WHERE search MATCH ?", (MATCH_NOTHING,)).fetchall() == []


@pytest.mark.parametrize(
    ("text", "word", "holds"),
    [
        ("61d5c1a200000", "61d5c1a200000", True),
        ("61D5C1A200000", "61d5c1a200000", True),
        ("61d5*", "61d5c1a200000", True),
        ("+61d5c1a200000 +other", "61d5c1a200000", False),
        ("61d5c1a200000 other", "61d5c1a200000", True),
        ("61d5c1a200000 -61d5*", "61d5c1a200000", False),
        ('"61d5c1a200000"', "61d5c1a200000", True),
        ('"61d5c1a200000 x"', "61d5c1a200000", False),
        ("-x", "61d5c1a200000", False),
    ],
)
def test_what_holds_for_a_single_word(text: str, word: str, holds: bool) -> None:
    parsed = parse(text)
    assert parsed is not None
    assert parsed.holds_for(word) is holds


@given(st.lists(st.tuples(st.sampled_from(["files", "documents"]), st.text(max_size=12)), max_size=6))
def test_places_have_words_of_their_own(places: list[tuple[str, str]]) -> None:
    words = {scope_of(kind, owner) for kind, owner in places}
    assert len(words) == len(set(places))
    assert all(word.isascii() and word.replace("_", "").isalnum() and word == word.lower() for word in words)


def test_values_without_findable_words_are_left_out() -> None:
    assert indexed_values(["ab", "--", "", "a b c", "abc", "abc", "é́x"]) == ["abc", "é́x"]
    many = [f"word{n}" for n in range(3_000)]
    kept = indexed_values(many)
    assert len(kept) == search.MOST_VALUES
    assert kept[-1].split("\n") == many[search.MOST_VALUES - 1 :]


async def test_rows_follow_their_values(tmp_path: Path) -> None:
    index = SearchIndex()

    async def ids(db: SqliteDatabase, word: str) -> list[int]:
        return await db.write(
            lambda tx: [row[0] & 2047 for row in tx.rows("SELECT rowid FROM search WHERE search MATCH ?", (word,))]
        )

    async with SqliteDatabase(tmp_path / "t.db", durability="normal") as db:
        first, second = ["alpha one", "x", "beta two", "alpha one"], ["alpha one", "gamma three", "delta"]
        await db.write(lambda tx: index.add(tx, SCOPE, IDS[0], first))
        assert await ids(db, "alpha OR beta") == [0, 1]
        await db.write(lambda tx: index.replace(tx, SCOPE, IDS[0], first, second))
        assert (await ids(db, "alpha"), await ids(db, "beta"), await ids(db, "gamma")) == ([0], [], [1])
        await db.write(lambda tx: index.replace(tx, SCOPE, IDS[0], second, first[:1]))
        assert (await ids(db, "alpha"), await ids(db, "gamma"), await ids(db, "delta")) == ([0], [], [])
        await db.write(lambda tx: index.remove(tx, SCOPE, IDS[0], first[:1]))
        assert await ids(db, f"scope : {SCOPE}") == []
