"""How a command reaches the server that has its data folder.

A running server takes commands on a random port of the loopback address, never on the port of the API. The port and a
token are in a file that only the owner of the data folder can read. One connection carries one request and one answer,
each a line of JSON:

    {"token": "...", "command": "keys.list", "arguments": {"project": "default"}}
    {"ok": true, "result": [...]}        or        {"ok": false, "error": "There is no project ..."}
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from litewrite.data_folder import CONTROL, write_private

__all__ = ["CommandFailed", "ControlServer", "ControlUnavailable", "call"]

log = logging.getLogger(__name__)

Handler = Callable[[str, Mapping[str, Any]], Awaitable[Any]]

TOKEN_BYTES = 32
REQUEST_LIMIT = 64 * 1024
"""Bytes of a request."""
ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer."""
CONNECTIONS = 16
"""How many commands a server takes at the same time; a further one is turned away."""
RECEIVE_SECONDS = 5.0
SEND_SECONDS = 10.0
STOP_SECONDS = 1.0
"""How long a server that stops waits for commands that run."""
_HOST = "127.0.0.1"
_FILE_LIMIT = 4_096


class CommandFailed(Exception):
    """A command was refused or failed. `str()` is a sentence for the person who gave it."""


class ControlUnavailable(Exception):
    """No server takes commands for the folder, or it went away before the command was sent."""


@dataclass(frozen=True, slots=True)
class _Address:
    port: int
    token: str


class ControlServer:
    """Takes commands while the context is open and has `handle` carry them out.

    `handle` gets the name and the arguments, returns what JSON can hold and raises `CommandFailed` with a sentence;
    anything else that it raises is logged and answered without details. Raises OSError when the port or the file cannot
    be had. Leaving waits a second for commands that run and then cancels them.
    """

    def __init__(self, folder: Path, handle: Handler, *, receive_seconds: float = RECEIVE_SECONDS) -> None:
        self._file = folder / CONTROL
        self._handle = handle
        self._receive_seconds = receive_seconds
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # In two steps: a start that is cancelled while it serves already would lose the socket.
        server = await asyncio.start_server(self._connected, _HOST, 0, limit=REQUEST_LIMIT, start_serving=False)
        try:
            await server.start_serving()
            port = server.sockets[0].getsockname()[1]
            record = json.dumps({"port": port, "token": self._token, "pid": os.getpid()})
            await asyncio.to_thread(write_private, self._file, record)
        except BaseException:
            server.close()
            raise
        self._server = server
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.unlink(missing_ok=True)
        finally:
            if self._server is not None:
                self._server.close()
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            if self._server is not None:
                await self._server.wait_closed()
                self._server = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= CONNECTIONS:
            writer.write(_failure("The server is carrying out too many commands: try again shortly"))
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await self._answer(reader))
            async with asyncio.timeout(SEND_SECONDS):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            log.info("a command's caller went away: %s", error)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._receive_seconds):
                line = await reader.readline()
        except TimeoutError:
            return _failure("No command came in time")
        except ValueError:
            return _failure(f"A command is at most {REQUEST_LIMIT} bytes long")
        try:
            request = json.loads(line)
            token, command, arguments = request["token"], request["command"], request["arguments"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return _failure("That is no command")
        if not isinstance(token, str) or not hmac.compare_digest(
            token.encode("utf-8", "surrogatepass"), self._token.encode()
        ):
            return _failure("The token is wrong")
        if not isinstance(command, str) or not isinstance(arguments, dict):
            return _failure("That is no command")
        try:
            result = await self._handle(command, arguments)
        except CommandFailed as error:
            return _failure(str(error))
        except Exception:
            log.exception("the command %s failed", command)
            return _failure("The command failed for a reason that the server has logged")
        answer = json.dumps({"ok": True, "result": result}).encode() + b"\n"
        return answer if len(answer) <= ANSWER_LIMIT else _failure("The answer is too long")


def _failure(sentence: str) -> bytes:
    return json.dumps({"ok": False, "error": sentence}).encode() + b"\n"


async def call(folder: Path, command: str, arguments: Mapping[str, Any], *, seconds: float) -> Any:
    """Have the server that runs on a data folder carry out a command, and return its result.

    Waits `seconds` for the answer at most. Raises `ControlUnavailable` as long as the command has certainly not been
    carried out, `CommandFailed` for everything else that goes wrong.
    """
    address = await asyncio.to_thread(_read_address, folder / CONTROL)
    request = json.dumps({"token": address.token, "command": command, "arguments": dict(arguments)}).encode() + b"\n"
    if len(request) > REQUEST_LIMIT:
        raise CommandFailed(f"A command is at most {REQUEST_LIMIT} bytes long, this one is {len(request)}")
    try:
        async with asyncio.timeout(RECEIVE_SECONDS):
            reader, writer = await asyncio.open_connection(_HOST, address.port, limit=ANSWER_LIMIT)
    except (OSError, TimeoutError) as error:
        raise ControlUnavailable("the server does not answer") from error
    try:
        async with asyncio.timeout(seconds):
            writer.write(request)
            await writer.drain()
            line = await reader.readline()
        answer = json.loads(line)
    except TimeoutError:
        raise CommandFailed(
            f"The server did not answer within {seconds:g} seconds; the command may still be carried out"
        ) from None
    except (OSError, ValueError):
        raise CommandFailed(
            "The server ended before it answered: whether the command was carried out is open"
        ) from None
    finally:
        writer.transport.abort()
    match answer:
        case {"ok": True, "result": result}:
            return result
        case {"ok": False, "error": str(sentence)}:
            raise CommandFailed(sentence)
    raise CommandFailed("What came back is no answer of a server")


def _read_address(file: Path) -> _Address:
    try:
        with file.open("rb") as stream:
            record = json.loads(stream.read(_FILE_LIMIT))
        address = _Address(int(record["port"]), str(record["token"]))
    except FileNotFoundError:
        raise ControlUnavailable("the server takes no commands yet") from None
    except OSError as error:
        raise CommandFailed(f"The file {file} cannot be read: run the command as the user of the server") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ControlUnavailable("the file for commands cannot be understood") from error
    return address
