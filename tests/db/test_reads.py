"""Reads: what they see, what they may cost, how they end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from litewrite.db.engine import Transaction
from litewrite.db.query import Query, many, one, scalar
from litewrite.db.readers import InlineReader
from litewrite.db.sqlite import SqliteDatabase
from litewrite.errors import DatabaseUnavailable, DeadlineExceeded, Overloaded

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT);
"""
COUNT: Query[int] = Query("SELECT count(*) FROM things", (), scalar)
POOLED_COUNT: Query[int] = Query("SELECT count(*) FROM things", (), scalar, inline=False)


def numbers(to: int, inline: bool) -> Query[int]:
    sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT max(i) FROM n"
    return Query(sql, (to,), scalar, inline)


ENDLESS = numbers(1 << 60, inline=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_initial.sql").write_text(SCHEMA)
    return tmp_path


def open_database(folder: Path, **options: Any) -> SqliteDatabase:
    return SqliteDatabase(folder / "data.db", migrations=folder / "migrations", **options)


@pytest.fixture
async def db(folder: Path) -> AsyncIterator[SqliteDatabase]:
    async with open_database(folder, pool_size=1, waiting_limit=2) as database:
        yield database


def insert(tx: Transaction) -> None:
    tx.execute("INSERT INTO things (name) VALUES ('a')")


async def test_rows_become_what_the_query_says(db: SqliteDatabase) -> None:
    await db.write(lambda tx: tx.execute_many("INSERT INTO things (name) VALUES (?)", [("a",), ("b",)]))
    for inline in (True, False):
        assert await db.read(Query("SELECT name FROM things ORDER BY id", (), many(lambda row: row[0]), inline)) == (
            "a",
            "b",
        )
        assert (
            await db.read(Query("SELECT name FROM things WHERE id = ?", (2,), one(lambda row: row[0]), inline)) == "b"
        )
        assert (
            await db.read(Query("SELECT name FROM things WHERE id = ?", (9,), one(lambda row: row[0]), inline)) is None
        )
    state = db.statistics()
    assert (state.inline_reads, state.pool_reads, state.reader_connections) == (3, 3, 1)


async def test_reads_do_not_wait_for_the_writer(db: SqliteDatabase) -> None:
    entered, opened = threading.Event(), threading.Event()

    def unit(tx: Transaction) -> None:
        insert(tx)
        entered.set()
        assert opened.wait(20)

    task = asyncio.create_task(db.write(unit))
    assert await asyncio.to_thread(entered.wait, 20)
    assert await db.read(COUNT) == 0
    assert await db.read(POOLED_COUNT) == 0
    opened.set()
    await task
    assert await db.read(COUNT) == 1
    assert await db.read(POOLED_COUNT) == 1


async def test_a_long_inline_query_goes_to_the_pool(db: SqliteDatabase) -> None:
    assert await db.read(numbers(1_000, inline=True)) == 1_000
    assert db.statistics().inline_fallbacks == 0
    assert await db.read(numbers(100_000, inline=True)) == 100_000
    state = db.statistics()
    assert (state.inline_fallbacks, state.pool_reads) == (1, 1)
    await db.write(insert)
    assert await db.read(COUNT) == 1


async def test_short_queries_never_use_up_the_budget(db: SqliteDatabase) -> None:
    await db.write(insert)
    for _ in range(5_000):
        await db.read(COUNT)
    assert db.statistics().inline_fallbacks == 0


async def test_the_deadline_ends_a_query(db: SqliteDatabase) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await db.read(ENDLESS, deadline=0.05)
    assert time.monotonic() - started < 5
    await db.write(insert)
    assert await db.read(POOLED_COUNT) == 1
    state = db.statistics()
    assert (state.reader_connections, state.interrupted_reads) == (1, 1)


async def test_a_caller_who_leaves_ends_its_query(db: SqliteDatabase) -> None:
    for delay in (0, 0.001, 0.03):
        task = asyncio.create_task(db.read(ENDLESS))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(10):
        for _ in range(20):
            assert await db.read(numbers(20_000, inline=False)) == 20_000
    assert db.statistics().reader_connections == 1


async def test_a_connection_has_one_reader_at_a_time(db: SqliteDatabase) -> None:
    results = await asyncio.gather(*(db.read(numbers(1_000 + extra, inline=False)) for extra in range(3)))
    assert results == [1_000, 1_001, 1_002]
    assert db.statistics().reader_connections == 1


async def test_waiting_for_a_connection_is_bounded(db: SqliteDatabase) -> None:
    await db.read(POOLED_COUNT)
    first = asyncio.create_task(db.read(ENDLESS))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(db.read(POOLED_COUNT, deadline=0.05)) for _ in range(2)]
    await asyncio.sleep(0)
    assert db.statistics().readers_waiting == 2
    with pytest.raises(Overloaded):
        await db.read(POOLED_COUNT)
    for task in waiting:
        with pytest.raises(DeadlineExceeded):
            await task
    assert await db.read(COUNT) == 0
    left = asyncio.create_task(db.read(POOLED_COUNT))
    await asyncio.sleep(0)
    left.cancel()
    first.cancel()
    await asyncio.wait((first, left))
    assert await db.read(POOLED_COUNT) == 0
    assert db.statistics().readers_waiting == 0


async def test_a_pool_of_several(folder: Path) -> None:
    async with open_database(folder, pool_size=3) as db:
        await asyncio.gather(*(db.read(numbers(50_000, inline=False)) for _ in range(12)))
        assert db.statistics().reader_connections == 3


async def test_closing_ends_running_and_waiting_reads(folder: Path) -> None:
    async with open_database(folder, pool_size=1) as db:
        tasks = [asyncio.create_task(db.read(ENDLESS)) for _ in range(3)]
        await asyncio.sleep(0.05)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    for task in tasks:
        with pytest.raises(DatabaseUnavailable):
            await task
    assert not [thread for thread in threading.enumerate() if thread is not threading.main_thread()]


@pytest.mark.parametrize("inline", [True, False])
async def test_a_read_changes_nothing(db: SqliteDatabase, inline: bool) -> None:
    with pytest.raises(DatabaseUnavailable):
        await db.read(Query("INSERT INTO things (name) VALUES ('x') RETURNING id", (), scalar, inline))
    assert await db.read(COUNT) == 0


@pytest.mark.parametrize("inline", [True, False])
async def test_a_failed_read_leaves_no_snapshot(db: SqliteDatabase, inline: bool) -> None:
    broken = Query("SELECT CAST(x'ff' AS TEXT) FROM things UNION ALL SELECT name FROM things", (), scalar, inline)
    await db.write(insert)
    with pytest.raises(sqlite3.OperationalError):
        await db.read(broken)
    with pytest.raises(sqlite3.OperationalError):
        await db.read(Query("SELECT * FROM nothing", (), scalar, inline))
    await db.write(insert)
    assert await db.read(COUNT) == 2
    assert await db.read(POOLED_COUNT) == 2


async def test_the_same_query_inside_and_outside_of_a_unit(db: SqliteDatabase) -> None:
    def unit(tx: Transaction) -> tuple[int, int]:
        before = tx.run(COUNT)
        insert(tx)
        return before, tx.run(COUNT)

    assert await db.write(unit) == (0, 1)
    assert await db.read(COUNT) == 1


@pytest.mark.parametrize("inline", [True, False])
async def test_functions_are_on_every_connection(db: SqliteDatabase, inline: bool) -> None:
    query = Query("SELECT fold('ÉTÉ ')", (), scalar, inline)
    assert await db.read(query) == "ete"
    assert await db.write(lambda tx: tx.run(query)) == "ete"


async def test_integrity(db: SqliteDatabase) -> None:
    await db.write(insert)
    assert await db.check_integrity() == []
    assert await db.check_integrity(quick=False) == []


async def test_integrity_of_a_damaged_file(folder: Path) -> None:
    async with open_database(folder) as db:
        await db.write(lambda tx: tx.execute("CREATE INDEX by_name ON things (name)"))
        await db.write(lambda tx: tx.execute_many("INSERT INTO things (name) VALUES (?)", [("a",), ("b",)]))
        root = await db.read(Query("SELECT rootpage FROM sqlite_schema WHERE name = 'by_name'", (), scalar))
    with (folder / "data.db").open("r+b") as file:
        file.seek((root - 1) * 4096 + 3)
        file.write(b"\0\0")  # the index says that it is empty
    async with open_database(folder) as db:
        assert await db.check_integrity(quick=False) != []


def test_a_locked_file_is_left_to_the_pool(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    owner = sqlite3.connect(path, isolation_level=None)
    owner.execute("CREATE TABLE a (b)")
    reader = InlineReader(path, 50_000)
    owner.execute("BEGIN EXCLUSIVE")
    assert reader.fetch("SELECT * FROM a", ()) is None
    owner.execute("ROLLBACK")
    assert reader.fetch("SELECT * FROM a", ()) == []
    assert (reader.reads, reader.fallbacks) == (1, 1)
    reader.close()
    owner.close()


async def test_closing_right_after_an_error(folder: Path) -> None:
    async with open_database(folder, pool_size=2) as db:
        tasks = [asyncio.create_task(db.read(Query("SELECT * FROM nothing", (), scalar, False))) for _ in range(2)]
        await asyncio.wait(tasks)
    for task in tasks:
        with pytest.raises(sqlite3.OperationalError):
            await task
