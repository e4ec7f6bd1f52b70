"""The realtime socket of Appwrite 0.11: its frames, the checks on connecting, and the messages of clients.

Everything that can be wrong on connecting is told in a message over the socket that was asked for, followed by a close
frame, since clients read no HTTP answer. Who hears what is the broker's matter; here events get their words.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from litewrite.api.context import Context
from litewrite.api.credentials import PROJECT, SessionCookies, read_credentials
from litewrite.api.origins import check_socket_origin
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.events import Renderer
from litewrite.entities import CONSOLE, User
from litewrite.errors import ArgumentInvalid, JwtInvalid, LitewriteError, OriginUnknown
from litewrite.events import Event
from litewrite.http.body import parse_query
from litewrite.permissions import SELF
from litewrite.realtime.broker import GUEST, Announcement, Broker, Identity, Subscriber
from litewrite.realtime.connection import (
    DEFAULT_LIMITS,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    UNSUPPORTED,
    Connection,
    Connections,
    Limits,
    NotWebSocket,
    text_frame,
)
from litewrite.services import Services
from litewrite.services.auth import Credentials, KnownSession
from litewrite.services.projects import ProjectView

log = logging.getLogger(__name__)

PATH = "/v1/realtime"
CONNECTIONS_PER_MINUTE = 128
"""From one address, on one project."""
MESSAGES_PER_MINUTE = 32
"""On one connection."""
MINUTE = 60

ACCOUNT = "account"
ENDS_ROLES = frozenset((("team", "delete"), ("account", "delete"), ("session", "delete"), ("sessions", "delete")))
"""Resources and actions of events that those hear, too, whose roles the change itself has ended."""


class Refused(Exception):
    """A connection that cannot be, or a message that cannot be followed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# Frames


def _frame(kind: str, data: dict[str, Any]) -> bytes:
    return text_frame(orjson.dumps({"type": kind, "data": data}))


def connected_frame(channels: Iterable[str], user: User | None) -> bytes:
    return _frame("connected", {"channels": list(channels), "user": _fragment(user)})


def authenticated_frame(user: User) -> bytes:
    return _frame("response", {"to": "authentication", "success": True, "user": _fragment(user)})


def error_frame(code: int, message: str) -> bytes:
    return _frame("error", {"code": code, "message": message})


def event_frame(name: str, channels: Iterable[str], timestamp: int, payload: str) -> bytes:
    """`payload` is JSON text."""
    data = {"event": name, "channels": list(channels), "timestamp": timestamp, "payload": orjson.Fragment(payload)}
    return _frame("event", data)


def _fragment(user: User | None) -> Any:
    return None if user is None else models.User.of(user).fragment()


# Channels


def read_channels(given: Any) -> tuple[str, ...]:
    """The channels that a client asks for, each once, without those of single accounts, which cannot be asked for."""
    named = given.values() if isinstance(given, dict) else given if isinstance(given, list) else (given,)
    texts = (name for name in named if isinstance(name, str) and name)
    return tuple(dict.fromkeys(name for name in texts if not name.startswith(f"{ACCOUNT}.")))


def effective_channels(asked: tuple[str, ...], user_id: str) -> tuple[str, ...]:
    """What a client hears: `account` stands for the user's own account, too."""
    return (*asked, f"{ACCOUNT}.{user_id}") if user_id and ACCOUNT in asked else asked


# Messages of clients


def read_authentication(message: str | bytes) -> str:
    """The value of the session that a client logs in with. Raises `Refused` for anything but such a message."""
    try:
        content = orjson.loads(message) if isinstance(message, str) else None
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict) or not ("type" in content or "data" in content):
        raise Refused(UNSUPPORTED, "Message format is not valid.")
    if content.get("type") != "authentication":
        raise Refused(UNSUPPORTED, "Message type is not valid.")
    data = content.get("data")
    if not isinstance(data, dict) or "session" not in data:
        raise Refused(UNSUPPORTED, "Payload is not valid.")
    session = data["session"]
    return session if isinstance(session, str) else ""


class MessageLimit:
    """Counts the messages of one connection in fixed windows."""

    __slots__ = ("_count", "_window")

    def __init__(self) -> None:
        self._window = self._count = 0

    def count(self, now: float) -> bool:
        """Count a message and say whether it is one too many."""
        window = int(now) // MINUTE
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        return self._count > MESSAGES_PER_MINUTE


class Realtime:
    """Serves the sockets of one server; `publish`, `forget`, `stop` and `close` are for who wires it."""

    def __init__(
        self,
        services: Services,
        *,
        limits_rates: bool,
        limits: Limits = DEFAULT_LIMITS,
        server: str = "litewrite",
    ) -> None:
        self._services = services
        self._limits_rates = limits_rates
        self._server = server
        self._renderer = Renderer()
        self._cookies = SessionCookies()
        self.connections = Connections(limits)
        self.broker = Broker(self._announce, self._recall, self._exists)

    # Wiring

    def publish(self, event: Event) -> None:
        """Tell the listeners of a committed event; nothing on the project of the administrators is told."""
        if event.project_id != CONSOLE:
            self.broker.publish(event.project_id, event)

    def forget(self, kind: str, key: str) -> None:
        """Take note of what a commit changed, before its events are published."""
        if kind == "user":
            self.broker.user_changed(key)
        elif kind == "project":
            self.broker.project_changed(key)

    async def stop(self, _: web.Application) -> None:
        """Begin to end all connections, so that their requests end."""
        self.connections.stop()

    async def close(self, _: web.Application) -> None:
        await self.broker.close()

    # Events

    def _announce(self, event: Event) -> Announcement | None:
        channels, roles = self._renderer.audience(event)
        if not channels or not roles:
            return None
        heard = {role.replace(SELF, event.subject.id) if SELF in role else role for role in roles}
        if event.resource == "team" and event.action == "create":
            # Whose roles may be read only when the team is gone again.
            heard.add(f"user:{event.actor.user_id}")
        elif event.resource == "membership" and event.subject.membership.confirmed:
            heard.add(f"user:{event.subject.membership.user_id}")
        return Announcement(
            channels=channels,
            roles=frozenset(heard),
            make_frame=partial(self._event_frame, event, int(time.time())),
            ends_roles=(event.resource, event.action) in ENDS_ROLES,
        )

    def _event_frame(self, event: Event, timestamp: int) -> bytes:
        rendered = self._renderer.render(event)
        return event_frame(rendered.name, rendered.channels, timestamp, rendered.public_payload or rendered.payload)

    # Identities

    async def _recall(self, project_id: str, identity: Identity) -> Identity:
        known = await self._services.auth.known_session(project_id, identity.user_id, identity.session_id)
        if known is None or not _may_listen(known):
            # The ids stay: a user who is unblocked listens again.
            return Identity(user_id=identity.user_id, session_id=identity.session_id)
        return _identity(known)

    async def _exists(self, project_id: str) -> bool:
        return await self._services.projects.view(project_id) is not None

    # Connections

    async def handle(self, ctx: Context) -> web.StreamResponse:
        """Serve a socket until it ends. Raises `ArgumentInvalid` for a request that is no WebSocket handshake."""
        try:
            connection = await self.connections.accept(ctx.request, self._server)
        except NotWebSocket:
            raise ArgumentInvalid("", f"{PATH} is for WebSocket connections alone") from None
        try:
            admitted = await self._admit(ctx, connection)
            if admitted is not None:
                await self._listen(connection, *admitted)
        except Exception:
            log.exception("a realtime connection failed")
            connection.end(INTERNAL_ERROR)
        finally:
            await connection.close()
        return connection.response

    async def _admit(self, ctx: Context, connection: Connection) -> tuple[Subscriber, tuple[str, ...]] | None:
        """Let a client in and return its subscription and the channels it asked for, or tell it why not."""
        since = self.broker.mark
        try:
            view = await self._project(ctx)
            credentials, asked = self._check(ctx, view)
            known = await self._identify(view, credentials)
        except Refused as refusal:
            self._refuse(connection, refusal.code, refusal.message)
            return None
        except LitewriteError as error:
            self._refuse(connection, TRY_AGAIN_LATER, ctx.dialect.render_error(error)[1]["message"])
            return None
        user = known.user if known is not None else None
        channels = effective_channels(asked, user.id if user is not None else "")
        identity = _identity(known) if known is not None else GUEST
        connection.send(connected_frame(channels, user))
        return self.broker.join(connection, view.project.id, channels, identity, since=since), asked

    @staticmethod
    def _refuse(connection: Connection, code: int, message: str) -> None:
        connection.send(error_frame(code, message))
        connection.end(code)

    async def _listen(self, connection: Connection, subscriber: Subscriber, asked: tuple[str, ...]) -> None:
        """Follow the messages of a client until it leaves."""
        limit = MessageLimit()
        try:
            while (message := await connection.receive()) is not None:
                try:
                    if limit.count(time.time()) and self._limits_rates:
                        raise Refused(TRY_AGAIN_LATER, "Too many messages")
                    subscriber = await self._authenticate(connection, subscriber, asked, read_authentication(message))
                except Refused as refusal:
                    connection.send(error_frame(refusal.code, refusal.message))
        finally:
            self.broker.leave(subscriber)

    async def _project(self, ctx: Context) -> ProjectView:
        """The project of a handshake, whose query is read here."""
        try:
            ctx.given = parse_query(ctx.request.rel_url.raw_query_string)
        except ArgumentInvalid as error:
            raise Refused(POLICY_VIOLATION, str(error)) from None
        named = ctx.given.get("project")
        project_id = named if isinstance(named, str) and named else ctx.request.headers.get(PROJECT, "")
        view = await self._services.projects.view(project_id) if project_id else None
        if view is None:
            raise Refused(POLICY_VIOLATION, "Missing or unknown project ID")
        return view

    def _check(self, ctx: Context, view: ProjectView) -> tuple[Credentials, tuple[str, ...]]:
        request, caller, project_id = ctx.request, ctx.caller, view.project.id
        assert caller is not None
        verdict = self._services.rate_limits.count(
            (project_id, f"GET {PATH}", caller.ip), CONNECTIONS_PER_MINUTE, MINUTE
        )
        if self._limits_rates and not verdict.allowed:
            raise Refused(TRY_AGAIN_LATER, "Too many requests")
        credentials, from_cookie = read_credentials(request, project_id, "", self._cookies.of(request))
        try:
            check_socket_origin(request, view, caller, with_cookie=from_cookie, administrative=project_id == CONSOLE)
        except OriginUnknown as error:
            raise Refused(POLICY_VIOLATION, str(error)) from None
        channels = read_channels(ctx.given.get("channels", ()))
        if not channels:
            raise Refused(POLICY_VIOLATION, "Missing channels")
        # A key has no effect here.
        return Credentials(session=credentials.session, jwt=credentials.jwt), channels

    async def _identify(self, view: ProjectView, credentials: Credentials) -> KnownSession | None:
        """The session that a handshake carries, if its user may listen."""
        try:
            actor = await self._services.auth.identify(view.project, credentials)
            if actor.user is None:
                return None
            known = await self._services.auth.known_session(view.project.id, actor.user.id, actor.session_id)
        except JwtInvalid as error:
            raise Refused(POLICY_VIOLATION, str(error)) from None
        return known if known is not None and _may_listen(known) else None

    async def _authenticate(
        self, connection: Connection, subscriber: Subscriber, asked: tuple[str, ...], session: str
    ) -> Subscriber:
        """Log a connection in. Raises `Refused` when the session is none of a user who may listen."""
        since = self.broker.mark
        known = await self._services.auth.session(subscriber.room.project_id, session)
        if known is None or not _may_listen(known):
            raise Refused(UNSUPPORTED, "Session is not valid.")
        if connection.is_ended:
            return subscriber
        channels = effective_channels(asked, known.user.id)
        connection.send(authenticated_frame(known.user))
        return self.broker.change(subscriber, channels, _identity(known), since=since)


def _may_listen(known: KnownSession) -> bool:
    return not (known.user.is_blocked or known.user.reset_required)


def _identity(known: KnownSession) -> Identity:
    return Identity(
        roles=known.roles,
        user_id=known.user.id,
        session_id=known.session_id,
        expires_at=known.expires_at.timestamp(),
    )
