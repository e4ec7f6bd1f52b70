"""Realtime connections: their memory, how quickly an event reaches all, and messages delivered beside PocketBase.

One document is created after the other, readable by everybody, and every listener hears of each; in a last run several
clients create at the same time. The time for one event runs from sending the request that makes it to the moment at
which the last listener has it. Delivered messages a second are those of all creations together, from the first request
to the last message; with the processor time that the server needs for one message. Listeners run in processes of their
own, and on a machine with few cores they take from the servers what they need.

PocketBase runs with its settings as they come. It sends server-sent events, litewrite WebSocket messages.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.bench import command, peers
from tests.bench.listeners import Listeners, Plan, split_plan, stream_plan, websocket_plan
from tests.bench.peers import Litewrite, Peer, PocketBase
from tests.bench.report import Report, Row, number

AIM_MEMORY, AIM_EVENT, AIM_RATE = 300.0, 60.0, 2.0
EVENT_LISTENERS = 1_000
EVENT_REPEATS = 10
TEXT = "Harbor meadow quartz, river summit and willow: a note of the size that notes have. " * 2


def arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--sockets", type=command.positive, default=5_000, help="for the memory (%(default)s)")
    parser.add_argument(
        "--listeners", type=command.positive, nargs="+", default=[100, 500], help="for messages a second (%(default)s)"
    )
    parser.add_argument(
        "--writers", type=command.positive, default=16, help="clients that create in the last run (%(default)s)"
    )
    parser.add_argument("--creates", type=command.positive, default=50, help="creations in a run (%(default)s)")
    parser.add_argument("--repeats", type=command.positive, default=3, help="a rate is their median (%(default)s)")
    parser.add_argument("--clients", type=command.positive, default=2, help="processes that listen (%(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="leave PocketBase out")
    parser.add_argument("--pocketbase", metavar="PATH", help="the program; by default the installed one")
    return parser.parse_args()


class Notes(Protocol):
    """A collection that everybody may read, and who listens to it."""

    @property
    def peer(self) -> Peer: ...

    async def make(self) -> None: ...

    async def create(self, number: int) -> None: ...

    def plan(self, connections: int) -> Plan: ...


class LitewriteNotes:
    def __init__(self, peer: Litewrite) -> None:
        self.peer = peer
        self._path = ""

    async def make(self) -> None:
        rules = [_rule("title"), _rule("body")]
        body = {"name": "Notes", "read": ["*"], "write": ["role:member"], "rules": rules}
        collection = await self.peer.call("POST", "/v1/database/collections", body, self.peer.key)
        self._path = f"/v1/database/collections/{collection['$id']}/documents"

    async def create(self, number: int) -> None:
        data = {"title": f"Note {number}", "body": TEXT}
        await self.peer.call("POST", self._path, {"data": data, "read": ["*"]}, self.peer.session)

    def plan(self, connections: int) -> Plan:
        host, port = _address(self.peer)
        path = f"/v1/realtime?project={self.peer.project}&channels%5B%5D=documents"
        return websocket_plan(host, port, connections, path, '"event":"database.documents.create"')


def _rule(key: str) -> dict[str, Any]:
    return {"label": key, "key": key, "type": "text", "default": "", "required": False, "array": False}


class PocketBaseNotes:
    def __init__(self, peer: PocketBase) -> None:
        self.peer = peer

    async def make(self) -> None:
        body = {
            "name": "notes",
            "type": "base",
            "listRule": "",
            "viewRule": "",
            "createRule": "@request.auth.id != ''",
            "fields": [{"name": "title", "type": "text"}, {"name": "body", "type": "text"}],
        }
        await self.peer.call("POST", "/api/collections", body, self.peer.superuser)

    async def create(self, number: int) -> None:
        data = {"title": f"Note {number}", "body": TEXT}
        await self.peer.call("POST", "/api/collections/notes/records", data, self.peer.session)

    def plan(self, connections: int) -> Plan:
        return stream_plan(*_address(self.peer), connections, "notes/*", '"action":"create"')


def _address(peer: Peer) -> tuple[str, int]:
    parts = urlsplit(peer.url)
    return parts.hostname or "", parts.port or 0


@dataclass(frozen=True, slots=True)
class Kind:
    listeners: int
    writers: int

    @property
    def name(self) -> str:
        return f"messages to {self.listeners} listeners" + (f", {self.writers} writers" if self.writers > 1 else "")


def kinds(options: argparse.Namespace) -> list[Kind]:
    return [*(Kind(count, 1) for count in options.listeners), Kind(max(options.listeners), options.writers)]


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages a second over a run, and processor time of the server for one, in microseconds."""

    messages: float
    cpu: float


async def main(options: argparse.Namespace) -> None:
    rows: list[Row] = []
    versions: list[str] = []
    with command.work_folder(options) as folder:
        program = None if options.no_peer else peers.find_pocketbase(options.pocketbase)
        async with peers.serve_litewrite(folder / "litewrite-memory") as litewrite:
            versions.append(f"litewrite {litewrite.version}")
            rows.append(await memory(litewrite, options.sockets, options.clients))
        ours, theirs = await rates(folder, program, options, versions)
        rows.append(await one_event(folder, None, options.clients, "litewrite"))
        if program is not None:
            peer_event = await one_event(folder, program, options.clients, "pocketbase")
            rows[-1] = Row(
                rows[-1].name,
                rows[-1].ours,
                "ms",
                aim=AIM_EVENT,
                at_most=True,
                remark=f"{rows[-1].remark}; PocketBase {number(peer_event.ours)} ms",
            )
        for kind in kinds(options):
            mine, other = ours[kind], theirs.get(kind)
            remark = f"server's CPU a message: {number(mine.cpu)} us"
            remark += f", PocketBase {number(other.cpu)} us" if other else ""
            rows.append(
                Row(
                    kind.name,
                    mine.messages,
                    "/s",
                    peer=other.messages if other else None,
                    aim=AIM_RATE if other else None,
                    remark=remark,
                )
            )
    notes = [
        ", ".join(versions),
        f"{options.creates} creations in a run, one after the other unless there are more writers; "
        f"median of {options.repeats}; {options.clients} processes listen. "
        "Memory is resident memory of all of the server's processes.",
    ]
    Report("Realtime", rows, peer="PocketBase", notes=notes).show(as_json=options.json)


async def memory(litewrite: Litewrite, sockets: int, clients: int) -> Row:
    notes = LitewriteNotes(litewrite)
    await notes.make()
    before = litewrite.resident
    command.note(f"litewrite: {sockets} sockets")
    async with Listeners(split_plan(notes.plan(sockets), clients)) as listeners:
        opened = litewrite.resident
        await notes.create(1)
        await listeners.received(1)
        after = max(opened, litewrite.resident)
    remark = f"{number((after - before) / sockets / 1024)} KB a socket"
    return Row(f"memory with {sockets} sockets", after / 1e6, "MB", aim=AIM_MEMORY, at_most=True, remark=remark)


async def rates(
    folder: Path, program: str | None, options: argparse.Namespace, versions: list[str]
) -> tuple[dict[Kind, Rate], dict[Kind, Rate]]:
    """Rates by number of listeners, ours and the peer's. The servers take turns, so that both see the same machine."""
    async with contextlib.AsyncExitStack() as stack:
        litewrite = await stack.enter_async_context(peers.serve_litewrite(folder / "litewrite-rates"))
        sides: list[Notes] = [LitewriteNotes(litewrite)]
        if program is not None:
            pocketbase = await stack.enter_async_context(peers.serve_pocketbase(folder / "pocketbase-rates", program))
            versions.append(f"PocketBase {pocketbase.version}")
            sides.append(PocketBaseNotes(pocketbase))
        for notes in sides:
            await notes.make()
        found: list[dict[Kind, Rate]] = [{}, {}]
        for kind in kinds(options):
            command.note(kind.name)
            for side, rate in enumerate(await rates_of(sides, kind, options)):
                found[side][kind] = rate
    return found[0], found[1]


async def rates_of(sides: Sequence[Notes], kind: Kind, options: argparse.Namespace) -> list[Rate]:
    """The median rate of each server."""
    runs: list[list[Rate]] = [[] for _ in sides]
    async with contextlib.AsyncExitStack() as stack:
        listening = []
        for notes in sides:
            plans = split_plan(notes.plan(kind.listeners), options.clients)
            listening.append(await stack.enter_async_context(Listeners(plans)))
            await notes.create(0)
            await listening[-1].received(1)
        for turn in range(options.repeats):
            for notes, listeners, done in zip(sides, listening, runs, strict=True):
                done.append(await rate(notes, listeners, options.creates, turn, kind))
    return [sorted(done, key=lambda run: run.messages)[len(done) // 2] for done in runs]


async def rate(notes: Notes, listeners: Listeners, creates: int, turn: int, kind: Kind) -> Rate:
    used, began = notes.peer.cpu, time.monotonic()
    left = iter(range(creates))

    async def write() -> None:
        for index in left:
            await notes.create(index)

    async with asyncio.TaskGroup() as group:
        for _ in range(kind.writers):
            group.create_task(write())
    ended = await listeners.received(1 + (turn + 1) * creates)
    messages = creates * kind.listeners
    return Rate(messages / (ended - began), 1e6 * (notes.peer.cpu - used) / messages)


async def one_event(folder: Path, program: str | None, clients: int, name: str) -> Row:
    """How long one event takes to all listeners of one server."""
    command.note(f"{name}: one event to {EVENT_LISTENERS} listeners")
    if program is None:
        async with peers.serve_litewrite(folder / f"{name}-event") as litewrite:
            times = await event_times(LitewriteNotes(litewrite), clients)
    else:
        async with peers.serve_pocketbase(folder / f"{name}-event", program) as pocketbase:
            times = await event_times(PocketBaseNotes(pocketbase), clients)
    return Row(
        f"one event to {EVENT_LISTENERS} listeners",
        statistics.median(times),
        "ms",
        aim=AIM_EVENT,
        at_most=True,
        remark=f"{number(min(times))} to {number(max(times))} ms in {EVENT_REPEATS}",
    )


async def event_times(notes: Notes, clients: int) -> list[float]:
    await notes.make()
    times = []
    async with Listeners(split_plan(notes.plan(EVENT_LISTENERS), clients)) as listeners:
        for index in range(1, EVENT_REPEATS + 2):
            began = time.monotonic()
            await notes.create(index)
            times.append(1e3 * (await listeners.received(index) - began))
    return times[1:]  # the first one warms up


if __name__ == "__main__":
    sys.exit(command.run(main, arguments()))
