"""Ids: always growing, whatever the clock does, over restarts too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.db import ids
from litewrite.db.engine import Transaction
from litewrite.db.ids import IdGenerator, from_micros, from_micros_or_none, pack, to_micros, unpack
from litewrite.db.query import Query, one
from litewrite.db.sqlite import SqliteDatabase
from litewrite.errors import NotFound

NOW = 1_700_000_000_000_000
"""A moment in microseconds."""


class Clock:
    def __init__(self, micros: int) -> None:
        self.micros = micros

    def time_ns(self) -> int:
        return self.micros * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(NOW)
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=clock.time_ns))
    return clock


def check(id: str) -> None:
    assert len(id) == 13
    assert id == id.lower()
    assert int(id[8:], 16) < 1_000_000


@given(st.lists(st.integers(-3_000_000, 3_000_000), min_size=1, max_size=60), st.integers(0, NOW))
def test_ids_grow_whatever_the_clock_does(steps: list[int], mark: int) -> None:
    clock = Clock(NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "time", SimpleNamespace(time_ns=clock.time_ns))
        generator = IdGenerator(pack(unpack(mark // 1_000_000 << 20 | mark % 1_000_000)))
        last = unpack(generator.mark)
        for step in steps:
            clock.micros += step
            id = unpack(generator.next())
            check(id)
            assert id > last
            last = id


def test_an_id_is_its_moment(clock: Clock) -> None:
    clock.micros = NOW + 123_456
    id = unpack(IdGenerator().next())
    assert (int(id[:8], 16), int(id[8:], 16)) == (1_700_000_000, 123_456)


def test_the_last_microsecond_of_a_second_carries(clock: Clock) -> None:
    clock.micros = NOW + 999_999
    generator = IdGenerator()
    made = [unpack(generator.next()) for _ in range(3)]
    assert [int(id[:8], 16) - 1_700_000_000 for id in made] == [0, 1, 1]
    assert [int(id[8:], 16) for id in made] == [999_999, 0, 1]


def test_a_hundred_thousand_in_one_instant(clock: Clock) -> None:
    clock.micros = NOW + 950_000
    generator = IdGenerator()
    made = [unpack(generator.next()) for _ in range(100_000)]
    assert made == sorted(set(made))
    for id in made:
        check(id)


@given(st.integers(0, (1 << 52) - 1))
def test_packing(number: int) -> None:
    assert pack(unpack(number)) == number


@pytest.mark.parametrize(
    "text", ["", "5f5e1000", "5f5e1000abcdef", "5F5E1000ABCDE", "5f5e1000abcd_", "unique()", " 5f5e1000abcd"]
)
def test_what_no_server_made_packs_to_nothing(text: str) -> None:
    assert pack(text) == -1


@given(st.datetimes(datetime(1970, 1, 1, 0, 0, 1), datetime(2100, 1, 1)))
def test_times(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert abs(from_micros(to_micros(aware)) - aware) <= timedelta(microseconds=1)
    assert to_micros(None) == 0
    assert from_micros_or_none(0) is None


async def test_the_mark_outlives_the_process_and_a_clock_that_steps_back(tmp_path: Path, clock: Clock) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_initial.sql").write_text("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;")
    path = tmp_path / "data.db"
    stored = Query("SELECT value FROM meta WHERE key = 'id_mark'", (), one(lambda row: unpack(row[0])))
    async with SqliteDatabase(path, migrations=migrations) as db:
        assert await db.write(lambda tx: tx.id_mark) == "0" * 13
        assert await db.read(stored) is None
        first = await db.write(lambda tx: [tx.new_id() for _ in range(1_000)])
        assert await db.read(stored) == first[-1]
        assert await db.write(lambda tx: tx.id_mark) == first[-1]

        def failing(tx: Transaction) -> None:
            tx.new_id()
            raise NotFound

        with pytest.raises(NotFound):
            await db.write(failing)
    clock.micros -= 3_600_000_000
    async with SqliteDatabase(path, migrations=migrations) as db:
        second = await db.write(lambda tx: [tx.new_id() for _ in range(1_000)])
    assert second[0] > first[-1]
    clock.micros += 7_200_000_000
    async with SqliteDatabase(path, migrations=migrations) as db:
        third = await db.write(lambda tx: tx.new_id())
    assert third > second[-1]
    assert int(third[:8], 16) == clock.micros // 1_000_000
