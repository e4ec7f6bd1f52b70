"""Single sockets over real ports, on asyncio's own loop and on uvloop: limits, slow and silent clients, the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiohttp import web

from litewrite.realtime.connection import (
    GOING_AWAY,
    TRY_AGAIN_LATER,
    Connection,
    Connections,
    Limits,
    NotWebSocket,
    text_frame,
)

PATIENCE = 10
HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
BIG = 256 * 1024

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a test on one of the event loops that the server runs on."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
            runner.run(asyncio.wait_for(test(), 3 * PATIENCE))

        yield run


class Peer:
    """A client that sends and reads bytes when it is told to, and keeps as little in its buffers as it can."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._got = b""

    @classmethod
    async def connect(cls, port: int) -> Peer:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        peer = cls(connection)
        await peer.send(HEAD)
        while b"\r\n\r\n" not in peer._got:
            await peer._more()
        head, _, peer._got = peer._got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        return peer

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send_frame(self, first: int, content: bytes = b"") -> None:
        assert len(content) < 126
        await self.send(bytes((first, 0x80 | len(content))) + bytes(4) + content)

    async def _more(self) -> None:
        chunk = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 262_144), PATIENCE)
        if not chunk:
            raise EOFError
        self._got += chunk

    async def _take(self, count: int) -> bytes:
        while len(self._got) < count:
            await self._more()
        taken, self._got = self._got[:count], self._got[count:]
        return taken

    async def frame(self) -> tuple[int, bytes]:
        """The next frame; EOFError or ConnectionError at the end."""
        first, length = await self._take(2)
        if length == 126:
            (length,) = struct.unpack(">H", await self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self._take(8))
        return first, await self._take(length)

    async def until_end(self) -> list[tuple[int, bytes]]:
        """All whole frames that still come. A close frame is answered."""
        frames = []
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                frames.append(await self.frame())
                if frames[-1][0] == CLOSE:
                    await self.send_frame(CLOSE, frames[-1][1][:2])
        return frames

    def close(self) -> None:
        self._socket.close()


class Place:
    """A server that hands its connections to the test, and collects what clients say."""

    def __init__(self, limits: Limits) -> None:
        self.connections = Connections(limits)
        self.accepted: asyncio.Queue[Connection] = asyncio.Queue()
        self.said: list[str | bytes] = []
        self.port = 0
        self.served = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            connection = await self.connections.accept(request, "test")
        except NotWebSocket:
            return web.Response(status=400)
        self.accepted.put_nowait(connection)
        try:
            while (message := await connection.receive()) is not None:
                self.said.append(message)
        finally:
            await connection.close()
            self.served += 1
        return connection.response

    async def open(self) -> tuple[Peer, Connection]:
        peer = await Peer.connect(self.port)
        return peer, await self.accepted.get()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not is_so():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[Place]:
    place = Place(Limits(**limits))
    runner = web.ServerRunner(web.Server(place.handle))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        place.port = runner.addresses[0][1]
        yield place
    finally:
        place.connections.stop()
        await runner.cleanup()
        assert len(place.connections) == 0
        assert place.connections.waiting_bytes == 0


def numbered(number: int, size: int = 100) -> bytes:
    return text_frame(b"%08d" % number + b"x" * (size - 8))


def close_code(frame: tuple[int, bytes]) -> int:
    first, content = frame
    assert first == CLOSE
    return int.from_bytes(content[:2], "big")


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_text_frames_of_every_length(run: Run, length: int) -> None:
    async def test() -> None:
        async with serving() as place:
            peer, connection = await place.open()
            connection.send(text_frame(b"y" * length))
            assert await peer.frame() == (TEXT, b"y" * length)
            peer.close()

    run(test)


def test_frames_keep_their_order_however_slowly_they_are_read(run: Run) -> None:
    async def test() -> None:
        count = 200
        async with serving(waiting_bytes=64 * 1024 * 1024) as place:
            peer, connection = await place.open()
            for number in range(count):
                connection.send(numbered(number, 40_000))
                if number % 50 == 49:
                    await asyncio.sleep(0)
            assert place.connections.waiting_bytes > 0
            frames = [await peer.frame() for _ in range(count)]
            assert [int(content[:8]) for _, content in frames] == list(range(count))
            await place.until(lambda: place.connections.waiting_bytes == 0)
            connection.send(numbered(count))
            assert int((await peer.frame())[1][:8]) == count
            peer.close()

    run(test)


@pytest.mark.parametrize("limits", [{"waiting_frames": 20}, {"waiting_bytes": BIG}, {"waiting_bytes_of_all": BIG}])
def test_a_client_that_lags_too_far_behind_is_dropped(run: Run, limits: dict[str, int]) -> None:
    async def test() -> None:
        async with serving(close=5.0, **limits) as place:
            peer, connection = await place.open()
            reader, reading = await place.open()
            number, most = 0, 0
            while not connection.is_ended:
                connection.send(numbered(number, 32_000))
                number += 1
                most = max(most, place.connections.waiting_bytes)
                assert number < 2_000
                await asyncio.sleep(0)
            assert most <= limits.get("waiting_frames", 0) * 33_000 + BIG + 33_000
            assert place.connections.waiting_bytes == 0
            reading.send(numbered(0))
            assert int((await reader.frame())[1][:8]) == 0
            *frames, last = await peer.until_end()
            assert (close_code(last), last[1][2:]) == (TRY_AGAIN_LATER, b"The client reads too slowly")
            # What had been on its way arrives whole and in order; what waited is gone.
            assert [int(content[:8]) for _, content in frames] == list(range(len(frames)))
            assert len(frames) < number
            peer.close()
            reader.close()

    run(test)


def test_who_never_reads_is_cut_off(run: Run) -> None:
    async def test() -> None:
        async with serving(close=0.2) as place:
            peer, connection = await place.open()
            for number in range(600):
                connection.send(numbered(number, 32_000))
            assert connection.is_ended
            began = time.monotonic()
            await place.until(lambda: len(place.connections) == 0)
            assert time.monotonic() - began < 2
            frames = await peer.until_end()
            assert CLOSE not in {first for first, _ in frames}
            peer.close()

    run(test)


def test_a_single_large_frame_may_always_wait(run: Run) -> None:
    async def test() -> None:
        async with serving(waiting_bytes=1_000) as place:
            peer, connection = await place.open()
            for number in range(2):
                connection.send(numbered(number, 8 * 1024 * 1024))
            assert not connection.is_ended
            assert [int((await peer.frame())[1][:8]) for _ in range(2)] == [0, 1]
            peer.close()

    run(test)


def test_pings_find_out_who_is_gone(run: Run) -> None:
    async def test() -> None:
        async with serving(ping=0.1) as place:
            silent, _ = await place.open()
            lively, connection = await place.open()
            for _ in range(4):
                assert await lively.frame() == (PING, b"")
                await lively.send_frame(PONG)
            assert await silent.until_end() == [(PING, b"")]
            assert not connection.is_ended
            assert len(place.connections) == 1
            silent.close()
            lively.close()

    run(test)


def test_pings_of_clients_are_answered(run: Run) -> None:
    async def test() -> None:
        async with serving() as place:
            peer, _ = await place.open()
            await peer.send_frame(PING, b"hello")
            assert await peer.frame() == (PONG, b"hello")
            await peer.send_frame(TEXT, b"text")
            await peer.send_frame(0x82, b"\x00\xff")
            await peer.send_frame(CLOSE, (1000).to_bytes(2, "big"))
            assert close_code(await peer.frame()) == 1000
            assert await peer.until_end() == []
            assert place.said == ["text", b"\x00\xff"]
            peer.close()

    run(test)


def test_a_close_frame_without_a_code_is_answered_alike(run: Run) -> None:
    async def test() -> None:
        async with serving() as place:
            peer, _ = await place.open()
            await peer.send_frame(CLOSE)
            assert await peer.until_end() == [(CLOSE, b"")]
            peer.close()

    run(test)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bytes((TEXT, 0x80 | 127)) + (2**62).to_bytes(8, "big") + bytes(4), 1009),
        (bytes((TEXT, 0x80 | 126)) + (1_001).to_bytes(2, "big") + bytes(4), 1009),
        (bytes((TEXT, 0x80 | 2)) + bytes(4) + b"\xff\xfe", 1007),
        (bytes((0x83, 0x80)) + bytes(4), 1002),
        (bytes((0xC1, 0x80)) + bytes(4), 1002),
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(run: Run, data: bytes, code: int) -> None:
    async def test() -> None:
        async with serving(message=1_000, close=0.3) as place:
            peer, _ = await place.open()
            await peer.send(data)
            assert close_code(await peer.frame()) == code
            await place.until(lambda: len(place.connections) == 0)
            peer.close()

    run(test)


def test_ending_waits_for_the_answer_and_no_longer_than_it_may(run: Run) -> None:
    async def test() -> None:
        async with serving(close=0.5) as place:
            polite, connection = await place.open()
            connection.end(GOING_AWAY, "so long")
            connection.end(TRY_AGAIN_LATER)
            connection.send(numbered(1))
            assert await polite.frame() == (CLOSE, GOING_AWAY.to_bytes(2, "big") + b"so long")
            await polite.send_frame(TEXT, b"not heard any more")
            await polite.send_frame(CLOSE, GOING_AWAY.to_bytes(2, "big"))
            assert await polite.until_end() == []
            await place.until(lambda: place.served == 1)

            deaf, connection = await place.open()
            began = time.monotonic()
            connection.end(GOING_AWAY)
            await place.until(lambda: place.served == 2)
            assert 0.4 < time.monotonic() - began < 2
            assert place.said == []
            polite.close()
            deaf.close()

    run(test)


def test_a_client_that_vanishes(run: Run) -> None:
    async def test() -> None:
        async with serving() as place:
            peer, connection = await place.open()
            for number in range(30):
                connection.send(numbered(number, 32_000))
            peer._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            await place.until(lambda: place.served == 1)
            connection.send(numbered(0))
            connection.end(GOING_AWAY)
            assert len(place.connections) == 0

    run(test)


def test_stopping_ends_all_and_who_comes_later(run: Run) -> None:
    async def test() -> None:
        async with serving(close=0.3) as place:
            peers = [(await place.open())[0] for _ in range(3)]
            place.connections.stop()
            late, _ = await place.open()
            for peer in (*peers, late):
                assert close_code(await peer.frame()) == GOING_AWAY
                peer.close()
            await place.until(lambda: place.served == 4)

    run(test)


def test_a_request_that_is_no_handshake(run: Run) -> None:
    async def test() -> None:
        async with serving() as place:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
            writer.close()
            await writer.wait_closed()

    run(test)
