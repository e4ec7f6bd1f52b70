"""Logins with a password, many at the same time, and how long other requests take meanwhile, beside PocketBase.

litewrite hashes passwords with argon2id (19 MiB, 2 passes), PocketBase with bcrypt (cost 10): a login is meant to be
slow, and is the work of a processor. What counts beside the rate is that it holds up nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from tests.bench import command, load, peers
from tests.bench.load import Load, Request
from tests.bench.report import Report, Row

GUEST = {"X-Appwrite-Project": peers.Litewrite.project}


def arguments() -> argparse.Namespace:
    made = command.parser(__doc__)
    made.add_argument("--seconds", type=command.positive, default=5, help="length of one load (5)")
    made.add_argument("--connections", type=command.positive, default=64, help="logins at the same time (64)")
    made.add_argument("--alone", action="store_true", help="without PocketBase")
    made.add_argument("--pocketbase", metavar="PATH", help="the program; by default the one of the extra bench")
    return made.parse_args()


def login_of(peer: peers.Peer) -> Request:
    if isinstance(peer, peers.Litewrite):
        return Request("POST", "/v1/account/sessions", GUEST, {"email": peers.EMAIL, "password": peers.PASSWORD})
    path = "/api/collections/users/auth-with-password"
    return Request("POST", path, {}, {"identity": peers.EMAIL, "password": peers.PASSWORD})


def other_of(peer: peers.Peer) -> Request:
    """A light request of a user with a session."""
    if isinstance(peer, peers.Litewrite):
        return Request("GET", "/v1/account", peer.session)
    assert isinstance(peer, peers.PocketBase)
    return Request("GET", f"/api/collections/users/records/{peer.user_id}", peer.session)


async def measure(peer: peers.Peer, options: argparse.Namespace) -> tuple[Load, Load, Load]:
    """The logins, the other requests at the same time, and the other requests by themselves."""
    command.note(f"logins: {peer.name}")
    other = [other_of(peer)]
    alone = await load.run(peer.url, other, connections=1, seconds=options.seconds)
    logins, meanwhile = await asyncio.gather(
        load.run(peer.url, [login_of(peer)], connections=options.connections, seconds=options.seconds),
        load.run(peer.url, other, connections=1, seconds=options.seconds),
    )
    return logins, meanwhile, alone


async def main(options: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(command.work_folder(options))
        sides: list[peers.Peer] = [await stack.enter_async_context(peers.serve_litewrite(folder / "litewrite"))]
        if not options.alone:
            program = peers.find_pocketbase(options.pocketbase)
            sides.append(await stack.enter_async_context(peers.serve_pocketbase(folder / "pocketbase", program)))
        found = [await measure(peer, options) for peer in sides]
        memory = [peer.resident / 1e6 for peer in sides]
    theirs = found[1] if len(found) > 1 else None
    rows = [Row(f"{options.connections} logins at once", found[0][0].rate, "/s", theirs[0].rate if theirs else None)]
    for index, name in ((1, "another request meanwhile"), (2, "the same by itself")):
        for figure in ("p50", "p99"):
            peer = getattr(theirs[index], figure) if theirs else None
            rows.append(Row(f"{name}, {figure}", getattr(found[0][index], figure), "ms", peer, remark="less is better"))
    rows.append(Row("resident memory afterwards", memory[0], "MB", memory[1] if theirs else None))
    errors = [one[0].errors + one[1].errors for one in found]
    notes = (
        [f"Requests that were refused or took longer than 2 seconds: {' : '.join(map(str, errors))}."]
        if any(errors)
        else []
    )
    peer_name = f"PocketBase {sides[1].version}" if theirs else ""
    Report("Logins over HTTP", rows, peer_name, notes).show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(command.run(main, arguments()))
