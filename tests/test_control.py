"""The channel for commands, with made-up commands."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from litewrite import control
from litewrite.control import CommandFailed, ControlServer, ControlUnavailable, call


async def handle(command: str, arguments: Mapping[str, Any]) -> Any:
    match command:
        case "echo":
            return dict(arguments)
        case "refuse":
            raise CommandFailed("not today")
        case "break":
            raise ZeroDivisionError("secret detail")
        case "wait":
            await asyncio.sleep(60)
        case "large":
            return "x" * control.ANSWER_LIMIT
    return None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    async with ControlServer(tmp_path, handle, receive_seconds=0.3) as opened:
        yield opened
    assert os.listdir(tmp_path) == []


def address(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "control.json").read_text())
    return record


async def send(folder: Path, line: bytes) -> Any:
    """What the server answers to raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", address(folder)["port"])
    try:
        writer.write(line)
        await writer.drain()
        return json.loads(await asyncio.wait_for(reader.read(), 5))
    finally:
        writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def request(folder: Path, **changes: Any) -> bytes:
    return (
        json.dumps({"token": address(folder)["token"], "command": "echo", "arguments": {}, **changes}).encode() + b"\n"
    )


async def test_a_command_and_its_result(server: ControlServer, tmp_path: Path) -> None:
    assert await call(tmp_path, "echo", {"name": "Zoë\n", "list": [1, None]}, seconds=5) == {
        "name": "Zoë\n",
        "list": [1, None],
    }
    with pytest.raises(CommandFailed, match=r"^not today$"):
        await call(tmp_path, "refuse", {}, seconds=5)


async def test_where_the_server_is_is_told_to_its_owner_alone(server: ControlServer, tmp_path: Path) -> None:
    record = address(tmp_path)
    assert stat.S_IMODE((tmp_path / "control.json").stat().st_mode) == 0o600
    assert record["pid"] == os.getpid()
    assert len(record["token"]) >= 43  # 32 bytes


@pytest.mark.parametrize("token", ["", "wrong", "ü\ud800", None, 5, ["a"], {}])
async def test_a_wrong_token_is_refused(server: ControlServer, tmp_path: Path, token: Any) -> None:
    assert await send(tmp_path, request(tmp_path, token=token)) == {"ok": False, "error": "The token is wrong"}


async def test_a_token_that_is_nearly_right_is_refused(server: ControlServer, tmp_path: Path) -> None:
    token = address(tmp_path)["token"]
    for near in (token[:-1], token + "x", token[:-1] + ("a" if token[-1] != "a" else "b")):
        assert (await send(tmp_path, request(tmp_path, token=near)))["error"] == "The token is wrong"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"7\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\n",
        b"[" * 60_000 + b"\n",
        b'{"token": "x"}\n',
    ],
)
async def test_what_is_no_command(server: ControlServer, tmp_path: Path, line: bytes) -> None:
    assert await send(tmp_path, line) == {"ok": False, "error": "That is no command"}


@pytest.mark.parametrize("changes", [{"command": 5}, {"arguments": []}, {"arguments": None}])
async def test_wrong_parts_are_refused(server: ControlServer, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert await send(tmp_path, request(tmp_path, **changes)) == {"ok": False, "error": "That is no command"}


async def test_a_long_command_is_refused(server: ControlServer, tmp_path: Path) -> None:
    answer = await send(tmp_path, b"x" * (control.REQUEST_LIMIT + 10))
    assert "at most 65536 bytes" in answer["error"]
    with pytest.raises(CommandFailed, match="at most 65536 bytes"):
        await call(tmp_path, "echo", {"text": "x" * control.REQUEST_LIMIT}, seconds=5)


async def test_silence_is_cut_off(server: ControlServer, tmp_path: Path) -> None:
    assert (await send(tmp_path, b'{"token": '))["error"] == "No command came in time"


async def test_a_failure_is_logged_and_not_told(
    server: ControlServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CommandFailed, match=r"that the server has logged$"):
        await call(tmp_path, "break", {}, seconds=5)
    assert "secret detail" in caplog.text
    with pytest.raises(CommandFailed, match="too long"):
        await call(tmp_path, "large", {}, seconds=5)


async def test_too_many_at_a_time_are_turned_away(server: ControlServer, tmp_path: Path) -> None:
    waiting = [asyncio.create_task(call(tmp_path, "wait", {}, seconds=30)) for _ in range(control.CONNECTIONS)]
    await until(lambda: len(server._tasks) == control.CONNECTIONS)
    reader, writer = await asyncio.open_connection("127.0.0.1", address(tmp_path)["port"])
    assert b"too many commands" in await reader.read()
    writer.close()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_stopping_cancels_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STOP_SECONDS", 0.05)
    server = ControlServer(tmp_path, handle)
    await server.__aenter__()
    waiting = asyncio.create_task(call(tmp_path, "wait", {}, seconds=30))
    await until(lambda: len(server._tasks) == 1)
    await server.__aexit__(None, None, None)
    with pytest.raises(CommandFailed, match="ended before it answered"):
        await waiting
    assert not server._tasks


async def test_stopping_lets_a_quick_command_end(tmp_path: Path) -> None:
    began = asyncio.Event()

    async def slow(command: str, arguments: Mapping[str, Any]) -> str:
        began.set()
        await asyncio.sleep(0.1)
        return "done"

    async with ControlServer(tmp_path, slow):
        running = asyncio.create_task(call(tmp_path, "any", {}, seconds=5))
        await began.wait()
    assert await running == "done"


async def test_an_answer_that_does_not_come(server: ControlServer, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"did not answer within 0\.1 seconds; the command may still"):
        await call(tmp_path, "wait", {}, seconds=0.1)


async def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(ControlUnavailable, match="no commands yet"):
        await call(tmp_path, "echo", {}, seconds=5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    (tmp_path / "control.json").write_text(json.dumps({"port": port, "token": "x", "pid": 1}))
    with pytest.raises(ControlUnavailable, match="does not answer"):
        await call(tmp_path, "echo", {}, seconds=5)
    for text in ("", "{", "[]", "{}", '{"port": "x", "token": "", "pid": 1}'):
        (tmp_path / "control.json").write_text(text)
        with pytest.raises(ControlUnavailable, match="understood"):
            await call(tmp_path, "echo", {}, seconds=5)


async def test_another_program_on_the_port(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"[]\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        (tmp_path / "control.json").write_text(json.dumps({"port": port, "token": "x", "pid": 1}))
        with pytest.raises(CommandFailed, match="no answer of a server"):
            await call(tmp_path, "echo", {}, seconds=5)


async def test_the_file_is_written_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "control.json.new").write_text("left by a crash")
    with caplog.at_level(logging.WARNING):
        async with ControlServer(tmp_path, handle):
            assert os.listdir(tmp_path) == ["control.json"]
    assert caplog.text == ""
