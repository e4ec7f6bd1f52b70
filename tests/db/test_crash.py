"""A process that is killed while it writes: what was answered is there, and nothing is half there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from litewrite.db.query import Query, many
from litewrite.db.sqlite import SqliteDatabase

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE things (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE shadows (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

CHILD = """
import asyncio, sys
from pathlib import Path
from litewrite.db.sqlite import SqliteDatabase

def unit(tx):
    id = tx.new_id()
    tx.execute("INSERT INTO things (id) VALUES (?)", (id,))
    tx.execute("INSERT INTO shadows (id) VALUES (?)", (id,))
    return id

async def write(db):
    while True:
        id = await db.write(unit)
        sys.stdout.write(id + "\\n")
        sys.stdout.flush()

async def main():
    async with SqliteDatabase(Path(sys.argv[1]), migrations=Path(sys.argv[2]), durability=sys.argv[3]) as db:
        await asyncio.gather(*(write(db) for _ in range(16)))

asyncio.run(main())
"""


def answered_before_the_kill(folder: Path, durability: str, lines: int) -> list[str]:
    """Kill a writing process once it has printed so many ids, and return all that it printed."""
    command = [sys.executable, "-c", CHILD, str(folder / "data.db"), str(folder / "migrations"), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            printed = [child.stdout.readline() for _ in range(lines)]
        finally:
            child.kill()
        printed += child.stdout.readlines()
    assert child.returncode != 0
    return [line.strip() for line in printed if line.endswith("\n") and line.strip()]


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_a_killed_process_loses_nothing_that_was_answered(tmp_path: Path, durability: str) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_initial.sql").write_text(SCHEMA)
    answered: list[str] = []
    for lines in (1, 700, 4_000):
        answered += await asyncio.to_thread(answered_before_the_kill, tmp_path, durability, lines)
    assert len(answered) >= 4_701
    assert len(set(answered)) == len(answered)
    async with SqliteDatabase(tmp_path / "data.db", migrations=tmp_path / "migrations") as db:
        kept = await db.read(Query("SELECT id FROM things", (), many(lambda row: row[0]), inline=False))
        assert set(answered) <= set(kept)
        shadows = await db.read(Query("SELECT id FROM shadows", (), many(lambda row: row[0]), inline=False))
        assert shadows == kept
        mark = await db.write(lambda tx: tx.id_mark)
        assert mark >= max(kept)
        assert await db.check_integrity(quick=False) == []
