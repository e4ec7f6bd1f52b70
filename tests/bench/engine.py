"""The SQL engine without HTTP: units of work a second from coroutines that each wait for one before the next.

A unit makes a row of about 400 bytes, or one and a second in another table with an index; both ways of durability.
Reads of one row by its key follow, at once on the loop's own connection and through the pool of readers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from litewrite.db.connections import Durability
from litewrite.db.engine import Transaction
from litewrite.db.query import Query, one, scalar
from litewrite.db.sqlite import SqliteDatabase
from tests.bench import command
from tests.bench.documents import make_documents
from tests.bench.report import Report, Row, number

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE notes (id INTEGER PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE ranks (note INTEGER PRIMARY KEY, category TEXT NOT NULL, rank INTEGER NOT NULL);
CREATE INDEX ranks_order ON ranks (category, rank);
"""
WARM_UP = 0.5
DURABILITIES: tuple[Durability, ...] = ("full", "normal")

Step = Callable[[], Awaitable[object]]


def arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--coroutines", type=command.positive, default=32, help="(%(default)s)")
    parser.add_argument("--seconds", type=command.positive, default=2, help="length of one load (%(default)s)")
    parser.add_argument("--repeats", type=command.positive, default=3, help="a figure is their median (%(default)s)")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    rows: list[Row] = []
    with command.work_folder(options) as folder:
        migrations = write_schema(folder)
        for durability in DURABILITIES:
            async with SqliteDatabase(folder / f"{durability}.db", durability=durability, migrations=migrations) as db:
                for inserts in (1, 2):
                    before = db.statistics()
                    rate = await median_rate(writing(db, inserts), options)
                    after = db.statistics()
                    groups = (after.units - before.units) / max(1, after.commits - before.commits)
                    name = f"units of {inserts} insert{'s' if inserts > 1 else ''}, {durability}"
                    rows.append(Row(name, rate, "/s", remark=f"{number(groups)} units a commit"))
                if durability == DURABILITIES[-1]:
                    for inline, name in ((True, "reads on the loop"), (False, "reads through the pool")):
                        rows.append(Row(name, await median_rate(await reading(db, inline), options), "/s"))
    title = f"The engine, {options.coroutines} coroutines"
    notes = [f"Median of {options.repeats} loads of {options.seconds} s."]
    Report(title, rows, notes=notes).show(as_json=options.json)


def write_schema(folder: Path) -> Path:
    migrations = folder / "migrations"
    migrations.mkdir()
    (migrations / "0001_initial.sql").write_text(SCHEMA)
    return migrations


def writing(db: SqliteDatabase, inserts: int) -> Step:
    documents = [
        (json.dumps(document, ensure_ascii=False), document["category"], document["rank"])
        for document in make_documents(1_000, categories=100)
    ]
    made = 0

    def step() -> Awaitable[int]:
        nonlocal made
        made += 1
        data, category, rank = documents[made % len(documents)]

        def unit(tx: Transaction) -> int:
            id = int(tx.new_id(), 16)
            tx.execute("INSERT INTO notes (id, data) VALUES (?, ?)", (id, data))
            if inserts > 1:
                tx.execute("INSERT INTO ranks (note, category, rank) VALUES (?, ?, ?)", (id, category, rank))
            return id

        return db.write(unit)

    return step


async def reading(db: SqliteDatabase, inline: bool) -> Step:
    some = await db.read(Query("SELECT id FROM notes LIMIT 1", (), scalar))
    query = Query("SELECT id, data FROM notes WHERE id = ?", (some,), one(tuple), inline)

    def step() -> Awaitable[object]:
        return db.read(query)

    return step


async def median_rate(step: Step, options: argparse.Namespace) -> float:
    await rate(step, options.coroutines, WARM_UP)
    return statistics.median([await rate(step, options.coroutines, options.seconds) for _ in range(options.repeats)])


async def rate(step: Step, coroutines: int, seconds: float) -> float:
    """How often the step was made in a second by coroutines that repeat it."""
    begin = time.perf_counter()
    end = begin + seconds
    made = 0

    async def repeat() -> None:
        nonlocal made
        while time.perf_counter() < end:
            await step()
            made += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(coroutines):
            group.create_task(repeat())
    return made / (time.perf_counter() - begin)


if __name__ == "__main__":
    sys.exit(command.run(main, arguments()))
