"""WebSockets: what is sent to one, how far it may lag behind, and whether anybody is still there.

Frames are made once, by whoever sends, and the same bytes are handed to the transport of every socket. As long as a
transport takes everything at once a frame costs one system call and no task. When it does not, frames wait in a queue
of references, bounded by count and bytes for each socket and by bytes for all of them; a client that lags further
behind is dropped with a close code, so that one who does not read never costs more than that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

log = logging.getLogger(__name__)

NORMAL = 1000
GOING_AWAY = 1001
UNSUPPORTED = 1003
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

PING = b"\x89\x00"
_TEXT = 0x81
_CLOSE = 0x88
_PONG = 0x8A
_CHUNK = 64 * 1024
"""Bytes of waiting frames that are handed over together."""


def text_frame(text: bytes) -> bytes:
    """A whole text message from a server, as it goes over the wire."""
    length = len(text)
    if length < 126:
        return bytes((_TEXT, length)) + text
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + text
    return b"\x81\x7f" + length.to_bytes(8, "big") + text


def _close_frame(code: int, reason: str) -> bytes:
    """A close frame; without a code, as for an answer to one without, it is empty. A reason has at most 123 bytes."""
    content = code.to_bytes(2, "big") + reason.encode() if code else b""
    return bytes((_CLOSE, len(content))) + content


@dataclass(frozen=True, slots=True)
class Limits:
    """What sockets may cost. Sizes are in bytes, times in seconds."""

    message: int = 64_000
    """Largest incoming message; a larger one ends the connection with code 1009."""
    waiting_frames: int = 1_000
    """Frames that may wait for one slow client."""
    waiting_bytes: int = 1024 * 1024
    """Bytes that may wait for one slow client; a single frame may always wait."""
    waiting_bytes_of_all: int = 64 * 1024 * 1024
    ping: float = 30.0
    """A client from which nothing came after a ping until the next one is gone."""
    close: float = 1.0
    """How long a client may take to read what is under way, and a close frame, and to answer it."""


DEFAULT_LIMITS = Limits()


class NotWebSocket(Exception):
    """The request is no proper WebSocket handshake."""


class Connections:
    """The sockets of one server: makes them, bounds what waits for all of them, ends them when the server stops."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self.waiting_bytes = 0
        self._open: set[Connection] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._open)

    async def accept(self, request: web.Request, server: str) -> Connection:
        """Answer a handshake, naming `server`; the caller must `close` what it gets.

        Raises `NotWebSocket`, and ConnectionError when the client has gone.
        """
        response = web.WebSocketResponse(
            timeout=self.limits.close,
            autoping=False,
            autoclose=False,
            compress=False,
            # aiohttp refuses a message of exactly this size too.
            max_msg_size=self.limits.message + 1,
        )
        if not response.can_prepare(request):
            raise NotWebSocket
        response.headers["Server"] = server
        writer = await response.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("The client went away during the handshake")
        connection = Connection(self, response, transport, writer)
        self._open.add(connection)
        if self._stopping:
            connection.end(GOING_AWAY)
        return connection

    def forget(self, connection: Connection) -> None:
        self._open.discard(connection)

    def stop(self) -> None:
        """Begin to end every socket, also those still to come; whoever serves them finds them ended."""
        self._stopping = True
        for connection in tuple(self._open):
            connection.end(GOING_AWAY)


class Connection:
    """One socket. A single task receives and finally closes; anybody may send or end, which never waits."""

    __slots__ = (
        "_answered",
        "_connections",
        "_ended",
        "_flushing",
        "_over",
        "_queue",
        "_timer",
        "_transport",
        "_waiting_bytes",
        "_writer",
        "response",
    )

    def __init__(
        self,
        connections: Connections,
        response: web.WebSocketResponse,
        transport: asyncio.Transport,
        writer: AbstractStreamWriter,
    ) -> None:
        self.response = response
        self._connections = connections
        self._transport = transport
        self._writer = writer
        self._queue: deque[bytes] | None = None
        self._waiting_bytes = 0
        self._flushing: asyncio.Task[None] | None = None
        self._ended = False
        """Whether nothing is sent any more."""
        self._over = False
        """Whether nothing is received any more."""
        self._answered = True
        # The writer's `drain` waits until the transport holds nothing at all, and uvloop writes at once instead of at
        # the end of the turn.
        transport.set_write_buffer_limits(high=0)
        self._timer = asyncio.get_running_loop().call_later(connections.limits.ping, self._ping)

    @property
    def is_ended(self) -> bool:
        return self._ended

    def send(self, frame: bytes) -> None:
        """Send whole frames, one or more, or let them wait their turn; a client that lags too far behind is dropped."""
        if self._ended:
            return
        if self._flushing is None:
            transport = self._transport
            if transport.is_closing():
                return
            if transport.get_write_buffer_size() == 0:
                transport.write(frame)
                return
        self._wait(frame)

    def _wait(self, frame: bytes) -> None:
        connections, limits = self._connections, self._connections.limits
        if self._queue is None:
            self._queue = deque()
        self._queue.append(frame)
        self._waiting_bytes += len(frame)
        connections.waiting_bytes += len(frame)
        if (
            len(self._queue) > limits.waiting_frames
            or (self._waiting_bytes > limits.waiting_bytes and len(self._queue) > 1)
            or connections.waiting_bytes > limits.waiting_bytes_of_all
        ):
            self.end(TRY_AGAIN_LATER, "The client reads too slowly")
        elif self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Hand over what waits, each time the transport has got rid of what it had."""
        try:
            while self._queue:
                await self._writer.drain()
                if not self._queue or self._transport.is_closing():
                    return
                self._transport.write(self._take(self._queue))
        except ConnectionError:
            self._transport.abort()  # the task that receives is told
        finally:
            self._flushing = None

    def _take(self, queue: deque[bytes]) -> bytes:
        """The next frames, as many as make a chunk."""
        frames = [queue.popleft()]
        size = len(frames[0])
        while queue and size + len(queue[0]) <= _CHUNK:
            frames.append(queue.popleft())
            size += len(frames[-1])
        self._waiting_bytes -= size
        self._connections.waiting_bytes -= size
        return b"".join(frames)

    def _ping(self) -> None:
        if not self._answered:
            self._stop_sending()
            self._transport.abort()
            return
        self._answered = False
        self.send(PING)
        self._timer = asyncio.get_running_loop().call_later(self._connections.limits.ping, self._ping)

    async def receive(self) -> str | bytes | None:
        """The next message, as text or, of a binary frame, bytes; None when the connection is over."""
        while not self._over:
            message = await self.response.receive()
            self._answered = True
            kind = message.type
            if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                if not self._ended:
                    return message.data  # type: ignore[no-any-return]
            elif kind is WSMsgType.PING:
                self.send(bytes((_PONG, len(message.data))) + bytes(message.data))
            elif kind is not WSMsgType.PONG:
                self._over = True
                if kind is WSMsgType.CLOSE:
                    self.end(message.data)
        return None

    def end(self, code: int, reason: str = "") -> None:
        """Begin to end the connection with a close frame; what still waits is thrown away. The first call counts.

        The frame goes out behind what is halfway out. A client that does not take and answer it in time is cut off.
        """
        if self._ended:
            return
        self._stop_sending()
        if not self._transport.is_closing():
            self._transport.write(_close_frame(code, reason))
            self._timer = asyncio.get_running_loop().call_later(self._connections.limits.close, self._transport.abort)

    def _stop_sending(self) -> None:
        self._ended = True
        self._timer.cancel()
        self._connections.waiting_bytes -= self._waiting_bytes
        self._waiting_bytes = 0
        self._queue = None  # which ends a flush; cancelling it would cancel what others wait for in `drain` too

    async def close(self) -> None:
        """Release the connection; for the task that receives, when it is done. Ends what has not been ended."""
        try:
            self.end(NORMAL)
            await self.receive()
            await self._writer.drain()
            if self._flushing is not None:
                await asyncio.wait((self._flushing,))
            self._transport.close()
        except ConnectionError:
            log.debug("a WebSocket client went away before it was told that its connection ends")
        finally:
            self._timer.cancel()
            self._transport.abort()
            self._connections.forget(self)
