"""litewrite and the servers it is compared with, as real processes with folders of their own.

A server is an async context: entering starts it and waits until it answers, leaving stops it, whatever happened
meanwhile. Each process leads its own group, so that Ctrl-C reaches the bench alone and all of a server ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import aiohttp

START_SECONDS = 20.0
STOP_SECONDS = 10.0
LOG_LINES = 20
LITEWRITE = (sys.executable, "-m", "litewrite")
EMAIL, PASSWORD = "ada@example.com", "password of ada"


class BenchError(Exception):
    """Something a person has to know about: a program that is missing, a server that does not do its part."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def process_tree(pid: int) -> list[int]:
    """A process and everything below it. Linux only; elsewhere the process alone."""
    found = [pid]
    for known in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{known}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def resident_bytes(pid: int) -> int:
    """The resident memory of one process. Raises `BenchError` where there is no /proc or no such process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        raise BenchError(f"The memory of process {pid} cannot be read: {error}") from None
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, user and system."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise BenchError(f"The processor time of process {pid} cannot be read: {error}") from None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def output_of(*command: str) -> str:
    """Run a program to its end and return what it printed. Raises `BenchError` when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        raise BenchError(f"{' '.join(command)} took longer than {START_SECONDS:.0f} seconds") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = (err or out).decode(errors="replace").splitlines()[-LOG_LINES:]
        raise BenchError("\n".join([f"{' '.join(command)} failed:", *said]))
    return out.decode(errors="replace").strip()


class ServerProcess:
    """A program that runs while the context is. What it prints goes to `log`."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command = tuple(command)
        self.log = log
        self._file: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._file = self.log.open("wb")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._file,
                stderr=self._file,
                start_new_session=True,
            )
        except BaseException:
            self._file.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._running()
        try:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if self._file is not None:
                self._file.close()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the process was not started: enter it with async with")
        return self._process

    @property
    def pid(self) -> int:
        return self._running().pid

    def output(self) -> str:
        """What the program has printed."""
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Raises `BenchError` with the last lines of the log when the process has ended."""
        code = self._running().returncode
        if code is not None:
            said = self.output().splitlines()[-LOG_LINES:]
            raise BenchError("\n".join([f"{' '.join(self.command)} ended with code {code}:", *said]))


class Peer:
    """A server that answers, and a client to prepare it with. `url` has no slash at its end."""

    name = ""

    def __init__(self, url: str, process: ServerProcess, http: aiohttp.ClientSession, version: str) -> None:
        self.url = url
        self.process = process
        self.http = http
        self.version = version

    @property
    def resident(self) -> int:
        """Resident bytes of the server and of all processes below it."""
        return sum(map(resident_bytes, process_tree(self.process.pid)))

    @property
    def cpu(self) -> float:
        """Processor time in seconds that the server and all processes below it have used."""
        return sum(map(cpu_seconds, process_tree(self.process.pid)))

    async def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The JSON of an answer. Raises `BenchError` for any but a good one."""
        answer, _ = await self.exchange(method, path, body, headers)
        return answer

    async def exchange(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[Any, list[str]]:
        """The JSON of an answer and its `Set-Cookie` headers."""
        async with self.http.request(method, self.url + path, json=body, headers=headers) as response:
            raw = await response.read()
            if response.status >= 300:
                said = self.process.output().splitlines()[-LOG_LINES:] if response.status >= 500 else []
                answer = f"{self.name}: {method} {path} gave {response.status}: {raw[:500].decode(errors='replace')}"
                raise BenchError("\n".join([answer, *said]))
            return (json.loads(raw) if raw else None), response.headers.getall("Set-Cookie", [])


class Litewrite(Peer):
    """A running litewrite with one project, an API key for all of it and one user with a session."""

    name = "litewrite"
    project = "bench"

    key: dict[str, str]
    """Headers of a program with the API key."""
    session: dict[str, str]
    """Headers of the user."""
    user_id: str

    async def sign_up(self, email: str = EMAIL) -> None:
        guest = {"X-Appwrite-Project": self.project}
        login = {"email": email, "password": PASSWORD}
        self.user_id = (await self.call("POST", "/v1/account", login, guest))["$id"]
        _, cookies = await self.exchange("POST", "/v1/account/sessions", login, guest)
        name = f"a_session_{self.project}="
        cookie = next((cookie for cookie in cookies if cookie.startswith(name)), "")
        if not cookie:
            raise BenchError("litewrite: the login set no session cookie")
        self.session = {**guest, "Cookie": cookie.partition(";")[0]}


class PocketBase(Peer):
    """A running PocketBase with a superuser and one user of its built-in `users` collection."""

    name = "PocketBase"

    superuser: dict[str, str]
    session: dict[str, str]
    user_id: str

    async def sign_up(self) -> None:
        self.superuser, _ = await self._log_in("_superusers")
        user = {"email": EMAIL, "password": PASSWORD, "passwordConfirm": PASSWORD, "verified": True}
        await self.call("POST", "/api/collections/users/records", user, self.superuser)
        self.session, self.user_id = await self._log_in("users")

    async def _log_in(self, collection: str) -> tuple[dict[str, str], str]:
        path = f"/api/collections/{collection}/auth-with-password"
        answer = await self.call("POST", path, {"identity": EMAIL, "password": PASSWORD})
        return {"Authorization": answer["token"]}, answer["record"]["id"]


def litewrite_key_command(data: Path, project: str) -> list[str]:
    options = ("--data", str(data), "--project", project, "--name", "bench", "--scopes", "all", "--json")
    return [*LITEWRITE, "keys", "create", *options]


def litewrite_serve_command(data: Path, project: str, *options: str) -> list[str]:
    return [*LITEWRITE, "serve", "--data", str(data), "--project", project, "--no-rate-limit", *options]


@contextlib.asynccontextmanager
async def serve_litewrite(folder: Path, *options: str) -> AsyncIterator[Litewrite]:
    """Start litewrite on a new data folder in `folder`; `options` are further flags of `serve`."""
    data, ready = _made(folder) / "data", folder / "ready.json"
    made = json.loads(await output_of(*litewrite_key_command(data, Litewrite.project)))
    command = litewrite_serve_command(data, Litewrite.project, "--port", "0", "--ready-file", str(ready), *options)
    async with ServerProcess(command, folder / "log") as process, client() as http:
        await _until(ready.exists, process)
        url = json.loads(ready.read_text())["url"]
        peer = Litewrite(url, process, http, "")
        peer.key = {"X-Appwrite-Project": Litewrite.project, "X-Appwrite-Key": made["secret"]}
        await peer.sign_up()
        peer.version = (await output_of(*LITEWRITE, "version")).rpartition(" ")[2]
        yield peer


def find_pocketbase(given: str | None = None) -> str:
    """The path of the program. Raises `BenchError` when it is not there."""
    beside = Path(sysconfig.get_path("scripts")) / ("pocketbase.exe" if os.name == "nt" else "pocketbase")
    found = shutil.which(given) if given else str(beside) if beside.exists() else shutil.which("pocketbase")
    if not found:
        raise BenchError(
            f"There is no PocketBase at {given}."
            if given
            else "PocketBase is not installed: pip install 'litewrite[bench]', or name the program with --pocketbase."
        )
    return found


@contextlib.asynccontextmanager
async def serve_pocketbase(folder: Path, program: str, *, logs: bool = True) -> AsyncIterator[PocketBase]:
    """Start PocketBase on a new data folder in `folder`, with its settings as they come.

    As they come it keeps a log of requests in a second database and commits with `synchronous=NORMAL`. Without `logs`
    it keeps none.
    """
    data = ("--dir", str(_made(folder) / "data"))
    await output_of(program, "superuser", "upsert", EMAIL, PASSWORD, *data)
    address = f"127.0.0.1:{free_port()}"
    command = (program, "serve", "--http", address, *data)
    async with ServerProcess(command, folder / "log") as process, client() as http:
        peer = PocketBase(f"http://{address}", process, http, "")
        await _until(lambda: _listens(address), process)
        await peer.sign_up()
        if not logs:
            await peer.call("PATCH", "/api/settings", {"logs": {"maxDays": 0}}, peer.superuser)
        peer.version = (await output_of(program, "--version")).rpartition(" ")[2]
        yield peer


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=60))


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def _until(is_ready: Callable[[], bool], process: ServerProcess) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not is_ready():
                process.check()
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise BenchError(f"{' '.join(process.command)} did not answer within {START_SECONDS:.0f} seconds") from None
