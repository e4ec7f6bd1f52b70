"""Units of work: groups, failure, cancellation, overload, order, what is told after the commit."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litewrite.db import log_file
from litewrite.db.engine import Transaction
from litewrite.db.query import Query, many, scalar
from litewrite.db.sqlite import SqliteDatabase
from litewrite.db.transaction import SqliteTransaction
from litewrite.errors import DatabaseUnavailable, NotFound, Overloaded, StorageFull
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind

ACTOR = Actor(ActorKind.KEY, "default")
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE parts (id INTEGER PRIMARY KEY, thing INTEGER REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE recorded (action TEXT);
CREATE TABLE blobs (bytes BLOB);
"""
NAMES: Query[tuple[str, ...]] = Query("SELECT name FROM things ORDER BY id", (), many(lambda row: str(row[0])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_initial.sql").write_text(SCHEMA)
    return tmp_path


def open_database(folder: Path, name: str = "data.db", **options: Any) -> SqliteDatabase:
    options.setdefault("group_seconds", 60.0)  # groups end when nothing waits, however slow the machine
    return SqliteDatabase(folder / name, migrations=folder / "migrations", **options)


def insert(name: str) -> Callable[[Transaction], str]:
    def unit(tx: Transaction) -> str:
        tx.execute("INSERT INTO things (name) VALUES (?)", (name,))
        return name

    return unit


def refuse(tx: Transaction) -> None:
    raise NotFound("refused")


def insert_and_refuse(name: str) -> Callable[[Transaction], None]:
    def unit(tx: Transaction) -> None:
        tx.execute("INSERT INTO things (name) VALUES (?)", (name,))
        raise NotFound(f"refused {name}")

    return unit


class Gate:
    """A unit that holds the writer until it is opened, so that what is written meanwhile ends up in its group."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def unit(self, tx: Transaction) -> None:
        self._entered.set()
        assert self._opened.wait(20)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 20)

    def open(self) -> None:
        self._opened.set()

    async def hold(self, db: SqliteDatabase) -> asyncio.Task[None]:
        task = asyncio.create_task(db.write(self.unit))
        await self.entered()
        return task


async def together(db: SqliteDatabase, *units: Callable[[Transaction], Any]) -> list[Any]:
    """Run units as one group and return their results and exceptions."""
    gate = Gate()
    held = await gate.hold(db)
    tasks = [asyncio.create_task(db.write(unit)) for unit in units]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*tasks, held, return_exceptions=True)
    return results[:-1]


@contextmanager
def failing_commit(monkeypatch: pytest.MonkeyPatch, code: int) -> Iterator[None]:
    """COMMIT fails the way it does when the disk fails: SQLite gives the transaction up itself."""

    def commit(self: SqliteTransaction) -> None:
        self._connection.execute("ROLLBACK")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SqliteTransaction, "commit", commit)
        yield


# Groups


async def test_units_that_wait_share_a_commit(folder: Path) -> None:
    async with open_database(folder) as db:
        results = await together(db, *(insert(f"n{number}") for number in range(50)))
        assert results == [f"n{number}" for number in range(50)]
        assert await db.read(NAMES) == tuple(results)
        state = db.statistics()
        assert (state.groups, state.commits, state.units, state.reruns) == (1, 1, 51, 0)


async def test_a_group_is_capped(folder: Path) -> None:
    async with open_database(folder, group_units=8) as db:
        await together(db, *(insert(f"n{number}") for number in range(23)))
        assert db.statistics().groups == 3


async def test_a_group_ends_when_its_time_is_up(folder: Path) -> None:
    async with open_database(folder, group_seconds=0.0) as db:
        await together(db, *(insert(f"n{number}") for number in range(3)))
        assert db.statistics().groups == 4


async def test_a_unit_that_fails_before_it_changed_anything_hinders_nobody(folder: Path) -> None:
    async with open_database(folder) as db:
        first, refused, last = await together(db, insert("a"), refuse, insert("b"))
        assert (first, last) == ("a", "b")
        assert isinstance(refused, NotFound)
        state = db.statistics()
        assert (state.groups, state.commits, state.reruns, state.failed) == (1, 1, 0, 1)


async def test_a_late_failure_runs_the_others_again_one_by_one(folder: Path) -> None:
    runs: list[str] = []

    def counted(name: str) -> Callable[[Transaction], str]:
        def unit(tx: Transaction) -> str:
            runs.append(name)
            return insert(name)(tx)

        return unit

    async with open_database(folder) as db:
        results = await together(db, counted("a"), insert_and_refuse("x"), counted("b"))
        assert results[0] == "a"
        assert isinstance(results[1], NotFound)
        assert results[2] == "b"
        assert await db.read(NAMES) == ("a", "b")
        # "b" had not begun when the group failed, so it ran once, in the group after.
        assert runs == ["a", "a", "b"]
        state = db.statistics()
        assert (state.reruns, state.failed) == (1, 1)


async def test_a_constraint_is_the_units_to_handle(folder: Path) -> None:
    def take(tx: Transaction) -> str:
        try:
            tx.execute("INSERT INTO things (name) VALUES ('a')")
        except sqlite3.IntegrityError:
            return "taken"
        return "made"

    async with open_database(folder) as db:
        assert await together(db, take, take, insert("b")) == ["made", "taken", "b"]
        assert db.statistics().reruns == 0
        with pytest.raises(sqlite3.IntegrityError):
            await db.write(insert("a"))


async def test_a_failing_commit_runs_all_again_and_only_the_culprit_fails(folder: Path) -> None:
    undone: list[str] = []

    def orphan(tx: Transaction) -> None:
        tx.on_rollback(lambda: undone.append("orphan"))
        tx.execute("INSERT INTO parts (thing) VALUES (99)")

    async with open_database(folder) as db:
        results = await together(db, insert("a"), orphan, insert("b"))
        assert results[0] == "a"
        assert isinstance(results[1], sqlite3.IntegrityError)
        assert results[2] == "b"
        assert await db.read(NAMES) == ("a", "b")
        assert set(undone) == {"orphan"}
        assert db.statistics().reruns == 1


async def test_files_stay_until_a_failed_commit_is_certainly_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone: list[str] = []
    async with open_database(folder) as db:
        with failing_commit(monkeypatch, sqlite3.SQLITE_IOERR), pytest.raises(DatabaseUnavailable):
            await db.write(insert("a"), on_rollback=lambda: undone.append("a"))
        await db.write(lambda tx: tx.rows("SELECT 1"))
        assert undone == []
        await db.write(insert("b"))
        assert undone == ["a"]
        assert await db.read(NAMES) == ("b",)


async def test_a_commit_that_finds_the_disk_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_database(folder) as db:
        with failing_commit(monkeypatch, sqlite3.SQLITE_FULL):
            results = await together(db, insert("a"), insert("b"))
        assert [type(result) for result in results] == [StorageFull, StorageFull]
        assert await together(db, insert("a"), insert("b")) == ["a", "b"]


async def test_a_full_disk_fails_only_who_needs_the_room(folder: Path) -> None:
    def limit(pages: int) -> Callable[[Transaction], object]:
        return lambda tx: tx.rows(f"PRAGMA max_page_count = {pages}")

    def large(tx: Transaction) -> None:
        tx.execute("INSERT INTO blobs (bytes) VALUES (zeroblob(1000000))")

    async with open_database(folder) as db:
        await db.write(limit(60))
        first, full, last = await together(db, insert("a"), large, insert("b"))
        assert (first, last) == ("a", "b")
        assert isinstance(full, StorageFull)
        assert await db.read(NAMES) == ("a", "b")
        await db.write(limit(1_000_000))
        await db.write(large)


async def test_a_disk_that_is_full_when_the_id_mark_is_written(folder: Path) -> None:
    undone: list[str] = []
    trigger = (
        "CREATE TRIGGER large BEFORE INSERT ON meta BEGIN INSERT INTO blobs (bytes) VALUES (zeroblob(1000000)); END"
    )
    async with open_database(folder) as db:
        await db.write(lambda tx: tx.execute(trigger))
        await db.write(lambda tx: tx.rows("PRAGMA max_page_count = 60"))
        with pytest.raises(StorageFull):
            await db.write(lambda tx: tx.new_id(), on_rollback=lambda: undone.append("alone"))
        results = await together(db, insert("a"), lambda tx: tx.new_id(), insert("b"))
        assert [type(result) for result in results] == [StorageFull] * 3
        assert undone == ["alone"]
        await db.write(lambda tx: tx.rows("PRAGMA max_page_count = 1000000"))
        await db.write(insert("a"))


async def test_an_error_of_the_writers_own_leaves_nobody_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    undone: list[str] = []
    async with open_database(folder) as db:
        with monkeypatch.context() as patch:
            patch.setattr(SqliteTransaction, "writes", property(lambda tx: 1 / 0))
            results = await together(db, insert("a"), insert("b"))
            assert [type(result) for result in results] == [DatabaseUnavailable] * 2
            with pytest.raises(DatabaseUnavailable):
                await db.write(insert("c"), background=True, on_rollback=lambda: undone.append("c"))
        assert await together(db, insert("a"), insert("b")) == ["a", "b"]
        assert await db.read(NAMES) == ("a", "b")
    assert undone == []
    assert "ZeroDivisionError" in caplog.text


async def test_a_unit_that_goes_on_without_its_transaction_writes_nothing(folder: Path) -> None:
    def stubborn(tx: Transaction) -> str:
        tx.execute("INSERT INTO things (name) VALUES ('before')")
        with pytest.raises(StorageFull):
            tx.execute("INSERT INTO blobs (bytes) VALUES (zeroblob(1000000))")
        with pytest.raises(DatabaseUnavailable):
            tx.execute("INSERT INTO things (name) VALUES ('after')")
        return "done"

    async with open_database(folder) as db:
        await db.write(lambda tx: tx.rows("PRAGMA max_page_count = 60"))
        with pytest.raises(DatabaseUnavailable):
            await db.write(stubborn)
        results = await together(db, insert("a"), stubborn)
        assert results[0] == "a"
        assert isinstance(results[1], DatabaseUnavailable)
        assert await db.read(NAMES) == ("a",)


async def test_a_changed_schema_is_undone_with_its_unit(folder: Path) -> None:
    def change(tx: Transaction) -> None:
        tx.execute("CREATE TABLE more (id)")
        raise NotFound

    async with open_database(folder) as db:
        results = await together(db, insert("a"), change)
        assert results[0] == "a"
        assert isinstance(results[1], NotFound)
        tables = Query("SELECT count(*) FROM sqlite_schema WHERE name = 'more'", (), scalar)
        assert await db.read(tables) == 0


async def test_counts_of_changed_rows(folder: Path) -> None:
    def unit(tx: Transaction) -> list[int]:
        tx.execute_many("INSERT INTO things (name) VALUES (?)", [("a",), ("b",), ("c",)])
        return [
            tx.execute("UPDATE things SET name = name || '!'"),
            tx.execute("WITH old AS (SELECT 'b!' AS name) DELETE FROM things WHERE name IN (SELECT name FROM old)"),
            tx.execute("DELETE FROM things WHERE name = 'none'"),
            tx.execute("CREATE TABLE more (id)"),
        ]

    async with open_database(folder) as db:
        assert await db.write(unit) == [3, 1, 0, 0]


async def test_stores_forget_after_a_rollback(folder: Path) -> None:
    forgotten: list[int] = []

    class Remembering:
        def forget(self) -> None:
            forgotten.append(1)

    async with open_database(folder, make_stores=Remembering) as db:
        await together(db, insert("a"), refuse)
        assert forgotten == []
        with pytest.raises(NotFound):
            await db.write(insert_and_refuse("x"))
        assert forgotten == [1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["ok", "early", "late", "constraint", "commit"]), max_size=12))
def test_whatever_fails_the_rest_is_kept_in_order(tmp_path_factory: pytest.TempPathFactory, kinds: list[str]) -> None:
    folder = tmp_path_factory.mktemp("group")
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0001_initial.sql").write_text(SCHEMA)

    def unit_of(number: int, kind: str) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            if kind == "early":
                raise NotFound
            tx.execute("INSERT INTO things (name) VALUES (?)", (f"n{number}",))
            tx.emit(Event("thing", f"n{number}", None, ACTOR))
            if kind == "late":
                raise NotFound
            if kind == "constraint":
                tx.execute("INSERT INTO things (name) VALUES (?)", (f"n{number}",))
            if kind == "commit":
                tx.execute("INSERT INTO parts (thing) VALUES (-1)")

        return unit

    async def story() -> None:
        heard: list[str] = []
        async with open_database(folder) as db:
            db.on_events(lambda events: heard.extend(event.action for event in events))
            results = await together(db, *(unit_of(*numbered) for numbered in enumerate(kinds)))
            kept = tuple(f"n{number}" for number, kind in enumerate(kinds) if kind == "ok")
            assert [result is None for result in results] == [kind == "ok" for kind in kinds]
            assert await db.read(NAMES) == kept
            assert tuple(heard) == kept

    asyncio.run(story())


# Cancellation and overload


async def test_a_unit_whose_caller_left_before_it_began_is_dropped(folder: Path) -> None:
    undone: list[str] = []
    async with open_database(folder) as db:
        gate = Gate()
        held = await gate.hold(db)
        task = asyncio.create_task(db.write(insert("a"), on_rollback=lambda: undone.append("a")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert undone == []
        gate.open()
        await held
        await db.write(insert("b"))
        assert await db.read(NAMES) == ("b",)
        assert undone == ["a"]
        assert db.statistics().dropped == 1


async def test_a_unit_that_began_goes_on_without_its_caller(folder: Path) -> None:
    heard: list[str] = []
    async with open_database(folder) as db:
        db.on_events(lambda events: heard.extend(event.action for event in events))
        gate = Gate()

        def unit(tx: Transaction) -> None:
            insert("a")(tx)
            tx.emit(Event("thing", "create", None, ACTOR))
            tx.after_commit(lambda: heard.append("after"))
            gate.unit(tx)

        task = asyncio.create_task(db.write(unit, on_rollback=lambda: heard.append("undone")))
        await gate.entered()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open()
        await db.write(insert("b"))
        assert await db.read(NAMES) == ("a", "b")
        assert heard == ["create", "after"]


async def test_a_failure_that_nobody_waits_for_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_database(folder) as db:
        gate = Gate()

        def unit(tx: Transaction) -> None:
            gate.unit(tx)
            raise ZeroDivisionError("a bug")

        task = asyncio.create_task(db.write(unit))
        await gate.entered()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open()
        await db.write(insert("b"))
    assert "a bug" in caplog.text


async def test_too_many_waiting_units_are_refused(folder: Path) -> None:
    undone: list[str] = []
    async with open_database(folder, queue_limit=2, background_limit=1) as db:
        gate = Gate()
        held = await gate.hold(db)
        tasks = [asyncio.create_task(db.write(insert(name))) for name in "ab"]
        tasks.append(asyncio.create_task(db.write(insert("c"), background=True)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await db.write(insert("d"), on_rollback=lambda: undone.append("d"))
        with pytest.raises(Overloaded):
            await db.write(insert("e"), background=True)
        assert undone == ["d"]
        state = db.statistics()
        assert (state.queue_length, state.background_length) == (2, 1)
        gate.open()
        assert await asyncio.gather(*tasks) == ["a", "b", "c"]
        await held
        await db.write(insert("f"))


async def test_background_units_wait_behind_all_others(folder: Path) -> None:
    async with open_database(folder) as db:
        gate = Gate()
        held = await gate.hold(db)
        slices = [asyncio.create_task(db.write(insert(f"slice{number}"), background=True)) for number in range(2)]
        tasks = [asyncio.create_task(db.write(insert(name))) for name in "ab"]
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(*slices, *tasks, held)
        assert await db.read(NAMES) == ("a", "b", "slice0", "slice1")
        assert db.statistics().commits == 3

        gate = Gate()
        held = asyncio.create_task(db.write(gate.unit, background=True))
        await gate.entered()
        late = asyncio.create_task(db.write(insert("slice2"), background=True))
        await asyncio.sleep(0)
        urgent = asyncio.create_task(db.write(insert("c")))
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(held, late, urgent)
        assert (await db.read(NAMES))[-2:] == ("c", "slice2")


async def test_a_failing_background_unit_reaches_its_caller(folder: Path) -> None:
    async with open_database(folder) as db:
        with pytest.raises(NotFound):
            await db.write(insert_and_refuse("a"), background=True)
        assert await db.read(NAMES) == ()


# What is told after the commit


async def test_what_happens_between_commit_and_answer(folder: Path) -> None:
    told: list[str] = []

    def unit(tx: Transaction) -> str:
        tx.after_commit(lambda: told.append("action"))
        tx.emit(Event("thing", "create", None, ACTOR))
        tx.emit(Event("thing", "update", None, ACTOR))
        tx.invalidate("thing", "7")
        tx.on_rollback(lambda: told.append("undone"))
        assert told == []
        return insert("a")(tx)

    async with open_database(folder) as db:
        db.on_invalidate(lambda kind, key: told.append(f"{kind} {key}"))
        db.on_events(lambda events: told.append(" ".join(event.action for event in events)))
        home = threading.get_ident()
        db.on_events(lambda events: told.append(f"on the loop: {threading.get_ident() == home}"))
        await db.write(unit, on_rollback=lambda: told.append("undone"))
        assert told == ["thing 7", "create update", "on the loop: True", "action"]


async def test_nothing_is_told_of_a_unit_that_failed(folder: Path) -> None:
    told: list[str] = []

    def noisy(early: bool) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            tx.emit(Event("thing", "create", None, ACTOR))
            tx.invalidate("thing", "7")
            tx.after_commit(lambda: told.append("action"))
            tx.on_rollback(lambda: told.append(f"undone {early}"))
            if not early:
                insert("a")(tx)
            raise NotFound

        return unit

    async with open_database(folder) as db:
        db.on_invalidate(lambda kind, key: told.append(key))
        db.on_events(lambda events: told.extend(event.action for event in events))
        for early in (True, False):
            with pytest.raises(NotFound):
                await db.write(noisy(early))
        assert told == ["undone True", "undone False"]


async def test_events_keep_the_order_of_commits(folder: Path) -> None:
    heard: list[str] = []

    def unit_of(number: int) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            insert(str(number))(tx)
            tx.emit(Event("thing", str(number), None, ACTOR))

        return unit

    async with open_database(folder, group_units=7) as db:
        db.on_events(lambda events: heard.extend(event.action for event in events))
        await asyncio.gather(*(db.write(unit_of(number)) for number in range(100)))
        assert heard == [str(number) for number in range(100)]


async def test_the_recorder_writes_in_the_units_transaction(folder: Path) -> None:
    def record(tx: Transaction, event: Event) -> None:
        if event.action == "broken":
            raise NotFound("the recorder failed")
        tx.execute("INSERT INTO recorded (action) VALUES (?)", (event.action,))

    def emit(action: str, fail: bool = False) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            tx.emit(Event("thing", action, None, ACTOR))
            if fail:
                raise NotFound

        return unit

    async with open_database(folder) as db:
        db.set_recorder(record)
        results = await together(db, emit("a"), emit("b", fail=True), emit("broken"), emit("c"))
        assert [type(result) for result in results] == [type(None), NotFound, NotFound, type(None)]
        recorded = Query("SELECT action FROM recorded ORDER BY rowid", (), many(lambda row: row[0]))
        assert await db.read(recorded) == ("a", "c")


async def test_a_listener_that_raises_is_logged_and_hinders_nobody(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a listener's bug")

    def unit(tx: Transaction) -> None:
        tx.emit(Event("thing", "create", None, ACTOR))
        tx.invalidate("thing", "7")
        tx.after_commit(broken)
        tx.after_commit(lambda: heard.append("action"))

    async with open_database(folder) as db:
        db.on_invalidate(broken)
        db.on_events(broken)
        db.on_invalidate(lambda kind, key: heard.append("stale"))
        db.on_events(lambda events: heard.append("event"))
        await db.write(unit)
    assert heard == ["stale", "event", "action"]
    assert caplog.text.count("ZeroDivisionError: a listener's bug") == 3


async def test_what_was_answered_is_read(folder: Path) -> None:
    async with open_database(folder) as db:
        for number in range(200):
            await db.write(insert(str(number)))
            assert len(await db.read(NAMES)) == number + 1


async def test_an_exception_is_freed_without_the_garbage_collector(folder: Path) -> None:
    class Refused(Exception):
        pass

    def unit(tx: Transaction) -> None:
        raise Refused

    async with open_database(folder) as db:
        gc.collect()
        gc.disable()
        try:
            gone = None
            try:
                await db.write(unit)
            except Refused as error:
                gone = weakref.ref(error)
            await db.write(insert("a"))
            assert gone is not None
            assert gone() is None
        finally:
            gc.enable()


async def test_odd_exceptions_reach_the_caller(folder: Path) -> None:
    def stop(tx: Transaction) -> None:
        raise StopIteration

    async with open_database(folder) as db:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await db.write(stop)
        assert await db.write(insert("a")) == "a"


async def test_a_transaction_ends_with_its_unit(folder: Path) -> None:
    kept: list[Transaction] = []

    async with open_database(folder) as db:
        await db.write(kept.append)
        tx = kept[0]
        with pytest.raises((RuntimeError, sqlite3.ProgrammingError)):
            tx.execute("INSERT INTO things (name) VALUES ('late')")
        for use in (lambda: tx.invalidate("a", "b"), lambda: tx.after_commit(print), lambda: tx.on_rollback(print)):
            with pytest.raises(RuntimeError):
                use()
        with pytest.raises(RuntimeError):
            tx.emit(Event("thing", "create", None, ACTOR))
        assert await db.read(NAMES) == ()


async def test_one_moment_per_unit(folder: Path) -> None:
    def unit(tx: Transaction) -> bool:
        first = tx.now
        time.sleep(0.002)
        assert first.utcoffset() is not None
        return tx.now == first

    async with open_database(folder) as db:
        assert await db.write(unit)
        before = await db.write(lambda tx: tx.now)
        assert await db.write(lambda tx: tx.now) > before


# Opening and closing


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.glob("data.db*")}


async def test_files_are_for_their_owner_only(folder: Path) -> None:
    if os.name != "posix":
        pytest.skip("file modes are those of POSIX")
    umask = os.umask(0)
    try:
        async with open_database(folder) as db:
            await db.write(insert("a"))
            assert modes(folder) == {"data.db": 0o600, "data.db-wal": 0o600, "data.db-shm": 0o600}
        (folder / "data.db").chmod(0o644)
        async with open_database(folder):
            assert modes(folder)["data.db"] == 0o600
    finally:
        os.umask(umask)


async def test_closing_finishes_what_was_accepted(folder: Path) -> None:
    gate = Gate()
    async with open_database(folder) as db:
        held = await gate.hold(db)
        tasks = [asyncio.create_task(db.write(insert(f"n{number}"))) for number in range(10)]
        background = asyncio.create_task(db.write(insert("slice"), background=True))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, gate.open)
    await held
    assert await asyncio.gather(*tasks) == [f"n{number}" for number in range(10)]
    with pytest.raises(DatabaseUnavailable):
        await background
    with pytest.raises(DatabaseUnavailable):
        await db.write(insert("late"))
    with pytest.raises(DatabaseUnavailable):
        await db.read(NAMES)
    assert not (folder / "data.db-wal").exists()
    async with open_database(folder) as db:
        assert len(await db.read(NAMES)) == 10


async def test_closing_breaks_off_what_takes_too_long(folder: Path) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    entered = threading.Event()

    def unit(tx: Transaction) -> None:
        insert("a")(tx)
        entered.set()
        tx.rows(endless)

    undone: list[str] = []
    async with open_database(folder, close_seconds=0.1) as db:
        first = asyncio.create_task(db.write(unit, on_rollback=lambda: undone.append("first")))
        assert await asyncio.to_thread(entered.wait, 20)
        second = asyncio.create_task(db.write(insert("b"), on_rollback=lambda: undone.append("second")))
        await asyncio.sleep(0)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    for task in (first, second):
        with pytest.raises(DatabaseUnavailable):
            await task
    assert undone == ["first", "second"]
    async with open_database(folder) as db:
        assert await db.read(NAMES) == ()


async def test_a_database_that_is_not_open(folder: Path) -> None:
    db = open_database(folder)
    with pytest.raises(DatabaseUnavailable):
        await db.write(insert("a"))
    with pytest.raises(DatabaseUnavailable):
        await db.read(NAMES)


async def test_two_databases_in_one_process(folder: Path) -> None:
    async with open_database(folder, "one.db") as one, open_database(folder, "two.db") as two:
        await asyncio.gather(
            *(one.write(insert(f"one{number}")) for number in range(20)),
            *(two.write(insert(f"two{number}")) for number in range(20)),
        )
        assert {name[:3] for name in await one.read(NAMES)} == {"one"}
        assert {name[:3] for name in await two.read(NAMES)} == {"two"}


async def test_units_from_another_event_loop(folder: Path) -> None:
    async with open_database(folder) as db:
        stale: list[int] = []
        db.on_invalidate(lambda kind, key: stale.append(threading.get_ident()))

        def unit(tx: Transaction) -> str:
            tx.invalidate("thing", "a")
            return insert("a")(tx)

        async def elsewhere() -> str:
            with pytest.raises(RuntimeError):
                await db.read(NAMES)
            return await db.write(unit)

        assert await asyncio.to_thread(asyncio.run, elsewhere()) == "a"
        assert stale == [threading.get_ident()]
        assert await db.read(NAMES) == ("a",)


# The log


async def test_the_log_is_carried_over_under_traffic(folder: Path) -> None:
    async with open_database(folder, durability="normal") as db:
        most = 0
        for _ in range(60):
            await db.write(lambda tx: tx.execute("INSERT INTO blobs (bytes) VALUES (zeroblob(800000))"))
            await asyncio.sleep(0.025)  # the log is looked at every 20 ms
            most = max(most, db.statistics().log_bytes)
        assert db.statistics().checkpoints >= 2
        assert most < 30_000_000  # 60 * 800,000 would be 48,000,000
        assert (folder / "data.db").stat().st_size > 20_000_000


async def test_an_idle_log_is_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "_IDLE_SECONDS", 0.05)
    async with open_database(folder) as db:
        await db.write(insert("a"))
        async with asyncio.timeout(10):
            while db.statistics().log_bytes:
                await asyncio.sleep(0.01)
        await db.write(insert("b"))
        assert await db.read(NAMES) == ("a", "b")


def test_the_gauge_counts_frames(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    log = log_file.LogFile(tmp_path / "log.db")
    assert not log.holds(1, log.salts())
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE a (b)")
    generations = set()
    for rows in (300, 5):
        for _ in range(rows):
            connection.execute("INSERT INTO a VALUES (randomblob(500))")
        salts = log.salts()
        generations.add(salts)
        frames = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        assert frames >= rows
        assert log.holds(frames, salts)
        assert not log.holds(frames + 1, salts)
    assert len(generations) == 2
    log.close()
    connection.close()
