"""Migrations, and which files are opened at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.db.connections import APPLICATION_ID, has_wal_reset_bug, sqlite_version
from litewrite.db.migrate import (
    DataRefused,
    DataTooNew,
    Migration,
    MigrationError,
    load,
    migrate,
    statements,
    version_of,
)
from litewrite.db.sqlite import SqliteDatabase

META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "plain.db", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


# Files


def test_files_are_taken_in_order_and_the_engines_own_is_preferred(tmp_path: Path) -> None:
    for name, text in {
        "0010_ten.sql": "ten",
        "0002_two.sql": "two",
        "0002_two.sqlite.sql": "two for us",
        "0003_three.postgres.sql": "three for others",
        "0003_three.sql": "three",
        "0004_four.postgres.sql": "four for others",
        "notes.txt": "none",
    }.items():
        (tmp_path / name).write_text(text)
    assert load(tmp_path) == (
        Migration(2, "two", "two for us"),
        Migration(3, "three", "three"),
        Migration(10, "ten", "ten"),
    )


@pytest.mark.parametrize("names", [("1_a.sql",), ("0001-a.sql",), ("0001_a.sql", "0001_b.sql"), ("0001_A.sql",)])
def test_bad_names_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(MigrationError):
        load(tmp_path)


def test_the_packages_own_migrations(connection: sqlite3.Connection) -> None:
    migrations = load()
    assert migrations
    assert migrate(connection, migrations) == [migration.version for migration in migrations]
    assert {"meta", "migrations"} <= tables(connection)


# Scripts


def test_statements_end_where_they_end() -> None:
    script = """
    -- a comment; with a semicolon
    CREATE TABLE a (b TEXT DEFAULT ';'); /* another; */ INSERT INTO a VALUES ('it''s; fine');
    CREATE TRIGGER t AFTER INSERT ON a BEGIN
        UPDATE a SET b = 'x';
        SELECT CASE WHEN 1 THEN 2 END;
    END;
    SELECT 1; -- the end; really
    """
    parts = list(statements(script))
    assert len(parts) == 4
    assert parts[2].startswith("CREATE TRIGGER")
    assert parts[2].endswith("END;")


@pytest.mark.parametrize("script", ["SELECT 1", "SELECT 1; SELECT 2", "SELECT 'a;", "CREATE TRIGGER t BEGIN SELECT 1;"])
def test_a_statement_that_does_not_end_is_refused(script: str) -> None:
    with pytest.raises(MigrationError):
        list(statements(script))


@given(st.lists(st.text(alphabet="ab;'-\n*/\" ", max_size=12), max_size=5))
def test_texts_and_comments_never_split_a_statement(texts: list[str]) -> None:
    parts = ["SELECT '" + text.replace("'", "''") + "'" for text in texts]
    script = "".join(f"/*{index};*/ {part}; -- ;\n" for index, part in enumerate(parts))
    connection = sqlite3.connect(":memory:")
    found = [connection.execute(statement).fetchone() for statement in statements(script)]
    connection.close()
    assert [row[0] for row in found] == texts


# Running


def test_each_runs_once(connection: sqlite3.Connection) -> None:
    first = (Migration(1, "one", "CREATE TABLE a (b); INSERT INTO a VALUES (1);"),)
    assert version_of(connection) == 0
    assert migrate(connection, first) == [1]
    assert migrate(connection, first) == []
    assert migrate(connection, (*first, Migration(3, "three", "INSERT INTO a VALUES (3);"))) == [3]
    assert connection.execute("SELECT b FROM a").fetchall() == [(1,), (3,)]
    assert connection.execute("SELECT version, name FROM migrations").fetchall() == [(1, "one"), (3, "three")]
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE c (d); CREATE TABLE a (b);",
        "CREATE TABLE c (d); nonsense;",
        "CREATE TABLE c (d); INSERT INTO c VALUES (1)",
        "CREATE TABLE c (d); COMMIT;",
        "CREATE TABLE c (d); BEGIN;",
        "CREATE TABLE c (d REFERENCES a (b)); INSERT INTO c VALUES (7);",
    ],
)
def test_one_that_fails_leaves_the_version_before(connection: sqlite3.Connection, script: str) -> None:
    first = Migration(1, "one", "CREATE TABLE a (b PRIMARY KEY);")
    with pytest.raises(MigrationError):
        migrate(connection, (first, Migration(2, "two", script), Migration(3, "three", "CREATE TABLE e (f);")))
    assert not connection.in_transaction
    assert version_of(connection) == 1
    assert "e" not in tables(connection)
    if "COMMIT" not in script:
        assert "c" not in tables(connection)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_table_can_be_rebuilt_under_references(connection: sqlite3.Connection) -> None:
    migrate(
        connection,
        (
            Migration(
                1,
                "one",
                "CREATE TABLE a (b PRIMARY KEY); CREATE TABLE c (d REFERENCES a (b) ON DELETE CASCADE);"
                "INSERT INTO a VALUES (1); INSERT INTO c VALUES (1);",
            ),
            Migration(
                2,
                "two",
                "CREATE TABLE n (b PRIMARY KEY, e); INSERT INTO n SELECT b, 2 FROM a; DROP TABLE a;"
                "ALTER TABLE n RENAME TO a;",
            ),
        ),
    )
    assert connection.execute("SELECT * FROM a JOIN c ON d = b").fetchall() == [(1, 2, 1)]


# Opening


def folder_with(tmp_path: Path, *scripts: str) -> Path:
    folder = tmp_path / f"migrations{len(scripts)}"
    folder.mkdir()
    for index, script in enumerate(scripts, 1):
        (folder / f"{index:04d}_step.sql").write_text(script)
    return folder


def contents(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tmp_path.glob("data.db*") if not path.name.endswith("-shm")}


async def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    async with SqliteDatabase(path, migrations=folder_with(tmp_path, META)):
        pass
    async with SqliteDatabase(path, migrations=folder_with(tmp_path, META, "CREATE TABLE a (b);")) as db:
        await db.write(lambda tx: tx.execute("INSERT INTO a VALUES (1)"))
    connection = sqlite3.connect(path)
    assert version_of(connection) == 2
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("clean", [True, False])
async def test_a_newer_file_is_refused_untouched(tmp_path: Path, clean: bool) -> None:
    path = tmp_path / "data.db"
    older = folder_with(tmp_path, META)
    async with SqliteDatabase(path, migrations=folder_with(tmp_path, META, "CREATE TABLE a (b);")):
        if not clean:  # as after a crash: the newer version is known from the log only
            crashed = contents(tmp_path)
    if not clean:
        for name, data in crashed.items():
            (tmp_path / name).write_bytes(data)
        assert set(crashed) == {"data.db", "data.db-wal"}
    before = contents(tmp_path)
    with pytest.raises(DataTooNew, match=r"version 2.*up to 1"):
        async with SqliteDatabase(path, migrations=older):
            pass
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["other database", "no database", "short"])
async def test_a_foreign_file_is_refused_untouched(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.db"
    if kind == "other database":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE a (b)")
        connection.close()
    else:
        path.write_bytes(b"Dear diary, " * (500 if kind == "no database" else 1))
    path.chmod(0o644)
    before, mode = contents(tmp_path), path.stat().st_mode
    with pytest.raises(DataRefused, match="no database of litewrite"):
        async with SqliteDatabase(path, migrations=folder_with(tmp_path, META)):
            pass
    assert contents(tmp_path) == before
    assert path.stat().st_mode == mode


async def test_a_log_without_its_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.db-wal").write_bytes(b"frames")
    with pytest.raises(DataRefused, match=r"data\.db-wal"):
        async with SqliteDatabase(tmp_path / "data.db", migrations=folder_with(tmp_path, META)):
            pass
    assert contents(tmp_path) == {"data.db-wal": b"frames"}


async def test_a_creation_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "data.db.new").write_bytes(b"half")
    (tmp_path / "data.db").write_bytes(b"")
    async with SqliteDatabase(tmp_path / "data.db", migrations=folder_with(tmp_path, META)) as db:
        await db.write(lambda tx: tx.new_id())
    assert not (tmp_path / "data.db.new").exists()


async def test_a_failing_migration_leaves_the_database_closed(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    with pytest.raises(MigrationError):
        async with SqliteDatabase(path, migrations=folder_with(tmp_path, META, "nonsense;")):
            pass
    async with SqliteDatabase(path, migrations=folder_with(tmp_path, META, "CREATE TABLE a (b);", "SELECT 1;")):
        pass


async def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "50% of? #1 über"
    folder.mkdir()
    migrations = folder_with(folder, META)
    ids = []
    for _ in range(2):
        async with SqliteDatabase(folder / "data.db", migrations=migrations) as db:
            ids.append(await db.write(lambda tx: tx.new_id()))
    assert ids[0] < ids[1]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_versions_with_the_wal_reset_bug(version: tuple[int, ...], affected: bool) -> None:
    assert has_wal_reset_bug(version) is affected


def test_the_version_of_sqlite() -> None:
    assert sqlite_version() >= (3, 35)
