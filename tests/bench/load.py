"""Load over HTTP with wrk: a list of requests, sent at random over many connections for some seconds.

Each connection sends its next request when the answer has come, so latencies under overload look better than those of
clients that do not wait for one another.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench.peers import BenchError

SCRIPT = Path(__file__).with_name("requests.lua")
PATIENCE = 30.0
"""Seconds that wrk may take beyond those of the load."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `body` is sent as JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None

    def encode(self, host: str) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}", "Accept: */*"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load. Latencies are in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    longest: float
    bytes: int
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections that could not be made, broke off or gave no answer within 2 seconds."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        return self.refused + self.broken


def find_wrk() -> str:
    """The path of wrk. Raises `BenchError` when it is not there."""
    found = shutil.which("wrk")
    if not found:
        raise BenchError("wrk is not installed: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk")
    return found


async def run(
    url: str, requests: Sequence[Request], *, connections: int, seconds: float, threads: int = 1, seed: int = 1
) -> Load:
    """Put load on the server at `url`. wrk counts whole seconds. Raises `BenchError` when wrk fails."""
    wrk = find_wrk()
    host = urlsplit(url).netloc
    with tempfile.NamedTemporaryFile(prefix="litewrite-bench-") as file:
        for request in requests:
            raw = request.encode(host)
            file.write(b"%d\n%s\n" % (len(raw), raw))
        file.flush()
        duration = f"{max(1, round(seconds))}s"
        command = [wrk, "-t", str(threads), "-c", str(connections), "-d", duration, "-s", str(SCRIPT), url]
        process = await asyncio.create_subprocess_exec(
            *command,
            "--",
            file.name,
            str(seed),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds + PATIENCE):
                raw, _ = await process.communicate()
        except TimeoutError:
            raise BenchError(f"wrk did not end within {seconds + PATIENCE:.0f} seconds") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    return _parse(raw.decode(errors="replace"))


def _parse(output: str) -> Load:
    last = output.strip().rpartition("\n")[2]
    try:
        found = json.loads(last)
    except ValueError:
        raise BenchError(f"wrk printed no result:\n{output.strip()}") from None
    return Load(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        p50=found["p50"] / 1e3,
        p99=found["p99"] / 1e3,
        longest=found["longest"] / 1e3,
        bytes=found["bytes"],
        refused=found["refused"],
        broken=found["broken"],
    )
