"""How quickly litewrite is there and how much memory it takes.

Prints how long `import litewrite` takes in a fresh interpreter, the time from starting `python -m litewrite serve` on
an existing data folder to its first answer, and its resident memory after that answer and after 100 requests (a
sign-up, a login and 98 reads of the account). With --imports, which modules cost most on the way to the first answer.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import command, peers
from tests.bench.peers import BenchError, Litewrite, ServerProcess, process_tree, resident_bytes
from tests.bench.report import Report, Row, number

AIM_IMPORT, AIM_ANSWER, AIM_MEMORY = 50.0, 500.0, 60.0
REQUESTS = 100
TIMED_IMPORT = "import time; begin = time.perf_counter(); import litewrite; print(time.perf_counter() - begin)"
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


def arguments() -> argparse.Namespace:
    parser = command.parser(__doc__)
    parser.add_argument("--repeats", type=command.positive, default=5, help="a figure is their median (%(default)s)")
    parser.add_argument("--imports", type=command.positive, metavar="N", help="print the N modules that cost most")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the server. Times are in milliseconds, memory in MB, children included."""

    answer: float
    first: float
    later: float
    own: float
    """What the server's own process takes of `later`."""
    log: str


async def main(options: argparse.Namespace) -> None:
    imports = [1e3 * float(await peers.output_of(sys.executable, "-c", TIMED_IMPORT)) for _ in range(options.repeats)]
    with command.work_folder(options) as folder:
        data = folder / "data"
        await peers.output_of(*peers.litewrite_key_command(data, Litewrite.project))
        await start(data, folder / "log-0")  # which finishes what a new folder needs
        starts = [await start(data, folder / f"log-{turn}") for turn in range(1, options.repeats + 1)]
        traced = await start(data, folder / "log-imports", "-X", "importtime") if options.imports else None
    later = statistics.median(one.later for one in starts)
    children = later - statistics.median(one.own for one in starts)
    times = [one.answer for one in starts]
    rows = [
        Row("import litewrite", statistics.median(imports), "ms", aim=AIM_IMPORT, at_most=True),
        Row("serve to first answer", statistics.median(times), "ms", aim=AIM_ANSWER, at_most=True, remark=span(times)),
        Row("memory, first answer", statistics.median(one.first for one in starts), "MB", aim=AIM_MEMORY, at_most=True),
        Row(
            f"memory, {REQUESTS} requests",
            later,
            "MB",
            aim=AIM_MEMORY,
            at_most=True,
            remark=f"of which {number(children)} MB in processes below the server's" if children else "",
        ),
    ]
    notes = [f"Median of {options.repeats}. Memory is resident memory, shared libraries included."]
    if traced is not None:
        notes += import_lines(traced.log, options.imports)
    Report("Start and memory", rows, notes=notes).show(as_json=options.json)


async def start(data: Path, log: Path, *python_options: str) -> Start:
    """Start the server on an existing folder, measure it and stop it again."""
    port = peers.free_port()
    serve = peers.litewrite_serve_command(data, Litewrite.project, "--port", str(port))
    launch = [serve[0], *python_options, *serve[1:]]
    begin = time.perf_counter()
    async with ServerProcess(launch, log) as process, peers.client() as http:
        await asyncio.to_thread(first_answer, process, port)
        answer = (time.perf_counter() - begin) * 1e3
        first = memory(process.pid)
        peer = Litewrite(f"http://127.0.0.1:{port}", process, http, "")
        await peer.sign_up(f"{log.name}@example.com")
        for _ in range(REQUESTS - 2):
            await peer.call("GET", "/v1/account", headers=peer.session)
        later, own = memory(process.pid), resident_bytes(process.pid) / 1e6
    return Start(answer, first, later, own, process.output())


def first_answer(process: ServerProcess, port: int) -> None:
    """Wait for an answer without a client library, whose own start would count. Raises `BenchError` if none comes."""
    request = b"GET /v1/health/version HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    deadline = time.monotonic() + peers.START_SECONDS
    while time.monotonic() < deadline:
        process.check()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=peers.START_SECONDS) as connection:
                connection.sendall(request)
                if connection.recv(4096).startswith(b"HTTP/1.1 "):
                    return
        except ConnectionError:
            pass
        time.sleep(0.001)
    raise BenchError(f"litewrite did not answer within {peers.START_SECONDS:.0f} seconds")


def memory(pid: int) -> float:
    return sum(map(resident_bytes, process_tree(pid))) / 1e6


def span(values: list[float]) -> str:
    return f"{number(min(values))} to {number(max(values))}"


def import_lines(log: str, count: int) -> list[str]:
    """What `-X importtime` printed: whole packages, modules alone, and modules with what they were first to import."""
    modules = [(int(own), int(total), name) for own, total, name in IMPORT_LINE.findall(log)]
    packages: dict[str, int] = {}
    for own, _, name in modules:
        package = name.partition(".")[0]
        packages[package] = packages.get(package, 0) + own
    lines = [
        f"{len(modules)} modules took {sum(packages.values()) / 1e3:.0f} ms under -X importtime, which adds to it."
    ]
    for title, times in (
        ("all modules of a package", [(own, name) for name, own in packages.items()]),
        ("a module alone", [(own, name) for own, _, name in modules]),
        ("a module with what it was first to import", [(total, name) for _, total, name in modules]),
    ):
        lines += ["", title, *(f"{spent / 1e3:8.1f} ms  {name}" for spent, name in sorted(times, reverse=True)[:count])]
    return [*lines, ""]


if __name__ == "__main__":
    sys.exit(command.run(main, arguments()))
