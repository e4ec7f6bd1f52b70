"""Who hears what: subscribers by project, channel and role, and the delivery of events to them.

Events are queued as they are published, after their commit, and delivered by one task for each project that has any
waiting. The task lets two things be settled that a call could not: the roles of users whose rights changed are read
again before anything published with or after the change is delivered, and a long delivery gives others a turn. Nothing
is described, let alone serialised, before somebody may hear it.

The roles that a change gives count for the event that reports it, and so do those that it takes: who is thrown out of a
team still hears that the team is gone, and nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from litewrite.events import Event
from litewrite.permissions import GUEST_ROLES

log = logging.getLogger(__name__)

MOST_WAITING = 4_096
"""Events that may wait for one project; they pile up only while roles are read or far more is written than can be
delivered. Beyond that its connections are ended: who connects again knows that it missed something."""
TURN_SECONDS = 0.01
HURRIED_TURN_SECONDS = 0.1
HURRY = 64
"""Waiting events from which on turns are longer."""
_STRIDE = 64
"""Subscribers between two looks at the clock."""
_CHUNK = 64 * 1024

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013


class Sink(Protocol):
    """Where frames go. Neither method waits."""

    def send(self, frame: bytes) -> None: ...

    def end(self, code: int, reason: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who listens, with which roles. A guest has no ids; a user who may not listen as one keeps them."""

    roles: frozenset[str] = GUEST_ROLES
    """All of them, also `*`."""
    user_id: str = ""
    session_id: str = ""
    expires_at: float = math.inf
    """Unix time from which on the roles are those of a guest."""


GUEST = Identity()


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event as listeners get it: those who have one of the channels and one of the roles."""

    channels: Sequence[str]
    roles: frozenset[str]
    make_frame: Callable[[], bytes]
    """Called once, and only when somebody listens."""
    ends_roles: bool = False
    """Whether who lost one of the roles by this very change shall still hear of it."""


Announce = Callable[[Event], Announcement | None]
"""Describes an event; None when nobody can hear it."""
Recall = Callable[[str, Identity], Awaitable[Identity]]
"""Reads what the user of an identity may hear now on a project."""
Exists = Callable[[str], Awaitable[bool]]
"""Reads whether there is still a project."""


class Subscriber:
    """What one connection hears."""

    __slots__ = ("channels", "identity", "room", "sink")

    def __init__(self, sink: Sink, room: Room, channels: frozenset[str], identity: Identity) -> None:
        self.sink = sink
        self.room = room
        self.channels = channels
        self.identity = identity


Mail = dict[Subscriber, list[bytes]]
"""Frames that are due, in order."""
Departure = tuple[Subscriber, frozenset[str]]
"""A subscriber and the roles that it had until just now."""


class Room:
    """The subscribers of one project, and the events that wait for them."""

    __slots__ = (
        "_by_channel",
        "_by_role",
        "events",
        "is_doubtful",
        "project_id",
        "stale",
        "subscribers",
        "task",
        "turn",
    )

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.subscribers: set[Subscriber] = set()
        self.events: list[Event] = []
        self.stale: dict[str, None] = {}
        """Users whose roles have to be read again before the waiting events are delivered."""
        self.is_doubtful = False
        """Whether the project may be gone."""
        self.task: asyncio.Task[None] | None = None
        self.turn = _Turn()
        self._by_channel: dict[str, set[Subscriber]] = {}
        self._by_role: dict[str, set[Subscriber]] = {}

    def add(self, subscriber: Subscriber) -> None:
        self.subscribers.add(subscriber)
        _enter(self._by_channel, subscriber.channels, subscriber)
        _enter(self._by_role, subscriber.identity.roles, subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        self.subscribers.discard(subscriber)
        _leave(self._by_channel, subscriber.channels, subscriber)
        _leave(self._by_role, subscriber.identity.roles, subscriber)

    def candidates(self, channels: Sequence[str], roles: frozenset[str]) -> list[Subscriber]:
        """Those who may hear something: all who have a channel, or all who have a role, whichever are fewer."""
        by_channel = [found for channel in channels if (found := self._by_channel.get(channel))]
        if not by_channel:
            return []
        by_role = [found for role in roles if (found := self._by_role.get(role))]
        return _union(min(by_channel, by_role, key=_size))


def _enter(index: dict[str, set[Subscriber]], keys: Iterable[str], subscriber: Subscriber) -> None:
    for key in keys:
        found = index.get(key)
        if found is None:
            index[key] = {subscriber}
        else:
            found.add(subscriber)


def _leave(index: dict[str, set[Subscriber]], keys: Iterable[str], subscriber: Subscriber) -> None:
    for key in keys:
        found = index.get(key)
        if found is not None:
            found.discard(subscriber)
            if not found:
                del index[key]


def _size(sets: list[set[Subscriber]]) -> int:
    return sum(map(len, sets))


def _union(sets: list[set[Subscriber]]) -> list[Subscriber]:
    return list(sets[0]) if len(sets) == 1 else list(set().union(*sets))


def _chunks(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces of at most `_CHUNK` bytes, unless a single frame has more."""
    chunk: list[bytes] = []
    size = 0
    for frame in frames:
        if chunk and size + len(frame) > _CHUNK:
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(frame)
        size += len(frame)
    if chunk:
        yield b"".join(chunk)


class Broker:
    """All methods belong to one event loop; only `close` waits."""

    def __init__(
        self,
        announce: Announce,
        recall: Recall,
        exists: Exists,
        *,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._announce = announce
        self._recall = recall
        self._exists = exists
        self._most_waiting = most_waiting
        self._clock = clock
        self._rooms: dict[str, Room] = {}
        self._by_user: dict[str, set[Subscriber]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.mark = 0
        """Moves whenever the rights of any user changed: who reads an identity notes it first and says so to `join`."""

    # Connections

    def join(
        self, sink: Sink, project_id: str, channels: Iterable[str], identity: Identity, *, since: int
    ) -> Subscriber:
        """Begin to hear. `since` is the mark from before the identity was read."""
        room = self._rooms.get(project_id)
        if room is None:
            room = self._rooms[project_id] = Room(project_id)
        subscriber = Subscriber(sink, room, frozenset(channels), identity)
        self._enter(subscriber, since)
        return subscriber

    def change(self, subscriber: Subscriber, channels: Iterable[str], identity: Identity, *, since: int) -> Subscriber:
        """Hear other channels as somebody else from now on, and nothing more of what was due before."""
        self._exit(subscriber)
        changed = Subscriber(subscriber.sink, subscriber.room, frozenset(channels), identity)
        self._enter(changed, since)
        return changed

    def leave(self, subscriber: Subscriber) -> None:
        self._exit(subscriber)
        room = subscriber.room
        if not room.subscribers and self._rooms.get(room.project_id) is room:
            # Its task, if one runs, finds nobody and ends.
            del self._rooms[room.project_id]

    def _enter(self, subscriber: Subscriber, since: int) -> None:
        subscriber.room.add(subscriber)
        user_id = subscriber.identity.user_id
        if user_id:
            _enter(self._by_user, (user_id,), subscriber)
            if since != self.mark:
                self._make_stale(subscriber.room, user_id)

    def _exit(self, subscriber: Subscriber) -> None:
        subscriber.room.remove(subscriber)
        _leave(self._by_user, (subscriber.identity.user_id,), subscriber)

    # What happens

    def user_changed(self, user_id: str) -> None:
        """Take note that a user's rights may have changed; called before the events of the same commit."""
        self.mark += 1
        for subscriber in self._by_user.get(user_id, ()):
            self._make_stale(subscriber.room, user_id)

    def project_changed(self, project_id: str) -> None:
        """Take note that a project may be gone."""
        room = self._rooms.get(project_id)
        if room is not None:
            room.is_doubtful = True
            self._wake(room)

    def publish(self, project_id: str, event: Event) -> None:
        """Deliver an event after those published before."""
        room = self._rooms.get(project_id)
        if room is None:
            return
        if len(room.events) >= self._most_waiting:
            self._give_up(room)
            return
        room.events.append(event)
        self._wake(room)

    def _make_stale(self, room: Room, user_id: str) -> None:
        room.stale[user_id] = None
        self._wake(room)

    def _wake(self, room: Room) -> None:
        if room.task is None and not self._closed:
            # It starts in the next turn of the loop, when all that one commit has to tell is there.
            room.task = asyncio.create_task(self._run(room))
            self._tasks.add(room.task)
            room.task.add_done_callback(self._tasks.discard)

    def _give_up(self, room: Room) -> None:
        log.warning("realtime: ending all connections to project %s: it cannot keep up", room.project_id)
        self._clear(room, TRY_AGAIN_LATER, "More happens than can be delivered")

    def _clear(self, room: Room, code: int, reason: str) -> None:
        room.events.clear()
        room.stale.clear()
        for subscriber in tuple(room.subscribers):
            self.leave(subscriber)
            subscriber.sink.end(code, reason)

    # Delivery

    async def _run(self, room: Room) -> None:
        try:
            await room.turn.pass_on()  # who made the change is answered first
            while room.events or room.stale or room.is_doubtful:
                if room.is_doubtful:
                    room.is_doubtful = False
                    if not await self._exists(room.project_id):
                        self._clear(room, POLICY_VIOLATION, "The project is gone")
                events, room.events = room.events, []
                stale, room.stale = room.stale, {}
                departures = await self._refresh(room, stale) if stale else []
                await self._deliver(room, events, departures)
        except Exception:
            log.exception("realtime delivery for project %s failed", room.project_id)
            self._give_up(room)
        finally:
            room.task = None

    async def _refresh(self, room: Room, users: Iterable[str]) -> list[Departure]:
        """Give subscribers the roles that their users have now, and tell who lost any."""
        departures: list[Departure] = []
        for user_id in users:
            fresh: dict[str, Identity] = {}
            for subscriber in tuple(self._by_user.get(user_id, ())):
                identity = subscriber.identity
                if subscriber.room is not room:
                    continue
                now = fresh.get(identity.session_id)
                if now is None:
                    try:
                        now = await self._recall(room.project_id, identity)
                    except Exception:
                        log.exception("the rights of user %s cannot be read; ending its connection", user_id)
                        self.leave(subscriber)
                        subscriber.sink.end(TRY_AGAIN_LATER, "The rights of the user cannot be read")
                        continue
                    fresh[identity.session_id] = now
                # It may have left or become somebody else meanwhile.
                if subscriber.identity is identity and subscriber in room.subscribers:
                    room.remove(subscriber)
                    subscriber.identity = now
                    room.add(subscriber)
                    if not identity.roles <= now.roles:
                        departures.append((subscriber, identity.roles))
        return departures

    async def _deliver(self, room: Room, events: Iterable[Event], departures: list[Departure]) -> None:
        mail: Mail = {}
        for event in events:
            if not room.subscribers:
                return
            try:
                announcement = self._announce(event)
                if announcement is not None:
                    self._address(room, announcement, departures, mail)
            except Exception:
                log.exception("realtime: %s %s cannot be told", event.resource, event.action)
            if room.turn.is_over(len(room.events)):
                await self._send(room, mail)
                await room.turn.pass_on()
        await self._send(room, mail)

    def _address(self, room: Room, announcement: Announcement, departures: list[Departure], mail: Mail) -> None:
        """Put an event into the mail of all who hear it."""
        heard = [
            subscriber
            for subscriber in room.candidates(announcement.channels, announcement.roles)
            if self._hears(subscriber, announcement)
        ]
        if announcement.ends_roles and departures:
            heard += self._departed(announcement, departures)
        if heard:
            frame = announcement.make_frame()
            for subscriber in heard:
                mail.setdefault(subscriber, []).append(frame)

    async def _send(self, room: Room, mail: Mail) -> None:
        """Send what was addressed; events that came together go out together, at the price of one system call."""
        for number, (subscriber, frames) in enumerate(mail.items()):
            if subscriber in room.subscribers:  # others may have had a turn since it was addressed
                for chunk in frames if len(frames) == 1 else _chunks(frames):
                    subscriber.sink.send(chunk)
            if number % _STRIDE == _STRIDE - 1 and room.turn.is_over(len(room.events)):
                await room.turn.pass_on()
        mail.clear()

    def _hears(self, subscriber: Subscriber, announcement: Announcement) -> bool:
        identity = subscriber.identity
        if subscriber.channels.isdisjoint(announcement.channels):
            return False
        if identity.expires_at <= self._clock():
            self._make_stale(subscriber.room, identity.user_id)
            return not GUEST_ROLES.isdisjoint(announcement.roles)
        return not identity.roles.isdisjoint(announcement.roles)

    def _departed(self, announcement: Announcement, departures: list[Departure]) -> list[Subscriber]:
        """Those who would have heard with the roles that they have just lost."""
        return [
            subscriber
            for subscriber, former in departures
            if not former.isdisjoint(announcement.roles)
            and not subscriber.channels.isdisjoint(announcement.channels)
            and not self._hears(subscriber, announcement)
        ]

    async def close(self) -> None:
        """Deliver nothing more. Ending the connections is their owner's part."""
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Turn:
    """How long a delivery may keep the event loop for itself."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.perf_counter()

    async def pass_on(self) -> None:
        await asyncio.sleep(0)
        self.begin()

    def is_over(self, waiting: int) -> bool:
        # With short turns under pressure others would publish faster than this delivers.
        return time.perf_counter() - self._began > (TURN_SECONDS if waiting < HURRY else HURRIED_TURN_SECONDS)
