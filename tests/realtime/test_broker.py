"""Who hears what, without sockets: matching, order, changing roles, and what happens when too much happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.events import Event
from litewrite.permissions import ANY, GUEST_ROLES, Actor, ActorKind, user_roles
from litewrite.realtime.broker import GUEST, Announcement, Broker, Identity, Subscriber

ACTOR = Actor(ActorKind.KEY, "p")


@dataclass
class Ear:
    """Keeps what it is sent; frames are lines."""

    frames: list[bytes] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    """Bytes of each call."""
    ended: int = 0

    def send(self, frame: bytes) -> None:
        if not self.ended:
            self.frames += frame.split(b"\n")[:-1]
            self.sent.append(len(frame))

    def end(self, code: int, reason: str = "") -> None:
        self.ended = self.ended or code


@dataclass
class Told:
    """An event that is its own description."""

    text: bytes
    channels: Sequence[str] = ("c",)
    roles: frozenset[str] = frozenset((ANY,))
    ends_roles: bool = False


class House:
    """A broker, and what is true at the moment."""

    def __init__(self, **options: Any) -> None:
        self.made = 0
        self.roles: dict[str, frozenset[str]] = {}
        self.projects = {"p"}
        self.recalled: list[str] = []
        self.pause = asyncio.Event()
        self.pause.set()
        self.broker = Broker(self.announce, self.recall, self.exists, **options)

    def announce(self, event: Event) -> Announcement | None:
        told: Told = event.subject

        def make() -> bytes:
            self.made += 1
            return told.text + b"\n"

        return Announcement(told.channels, told.roles, make, told.ends_roles)

    async def recall(self, project_id: str, identity: Identity) -> Identity:
        self.recalled.append(identity.user_id)
        roles = self.roles.get(identity.user_id, GUEST_ROLES)
        await asyncio.sleep(0)
        await self.pause.wait()
        return Identity(roles, identity.user_id, identity.session_id)

    async def exists(self, project_id: str) -> bool:
        return project_id in self.projects

    def join(self, *channels: str, user: str = "", project: str = "p") -> tuple[Ear, Subscriber]:
        ear = Ear()
        identity = Identity(self.roles.get(user, GUEST_ROLES), user, f"session of {user}") if user else GUEST
        return ear, self.broker.join(ear, project, channels or ("c",), identity, since=self.broker.mark)

    def publish(self, text: bytes, *roles: str, channels: Sequence[str] = ("c",), ends_roles: bool = False) -> None:
        told = Told(text, channels, frozenset(roles or (ANY,)), ends_roles)
        self.broker.publish("p", Event("document", "create", told, ACTOR))

    def become(self, user: str, *teams: str) -> None:
        """Change the teams of a user, as the engine tells it before it tells the events."""
        self.roles[user] = user_roles(user, ((team, ()) for team in teams))
        self.broker.user_changed(user)

    async def settle(self) -> None:
        async with asyncio.timeout(5):
            while self.broker._tasks:
                await asyncio.sleep(0)


async def test_a_frame_is_made_once_and_only_when_somebody_hears() -> None:
    house = House()
    house.publish(b"nobody")
    assert house.broker._tasks == set()
    ears = [house.join()[0] for _ in range(10)]
    house.publish(b"other channel", channels=("d",))
    house.publish(b"other role", "team:x")
    await house.settle()
    assert house.made == 0
    house.publish(b"all")
    await house.settle()
    assert (house.made, [ear.frames for ear in ears]) == (1, [[b"all"]] * 10)


async def test_who_left_hears_nothing_and_leaves_nothing_behind() -> None:
    house = House()
    ear, subscriber = house.join("c", "d", user="ada")
    other, staying = house.join()
    house.broker.leave(subscriber)
    house.broker.leave(subscriber)
    house.publish(b"after")
    await house.settle()
    assert (ear.frames, other.frames) == ([], [b"after"])
    house.broker.leave(staying)
    assert (house.broker._rooms, house.broker._by_user) == ({}, {})
    room = staying.room
    assert (room._by_channel, room._by_role, room.subscribers) == ({}, {}, set())


async def test_others_take_turns_during_a_long_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litewrite.realtime.broker.TURN_SECONDS", 0.0)
    house = House()
    ears = [house.join()[0] for _ in range(1_000)]
    house.publish(b"one")
    turns = 0
    while house.broker._tasks:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    assert all(ear.frames == [b"one"] for ear in ears)


async def test_who_becomes_somebody_else_during_a_delivery_hears_no_more_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("litewrite.realtime.broker.TURN_SECONDS", 0.0)
    house = House()
    house.roles["ada"] = user_roles("ada", ())
    joined = [house.join(user="ada") for _ in range(500)]
    house.publish(b"for ada", "user:ada")
    while not any(ear.frames for ear, _ in joined):
        await asyncio.sleep(0)
    deaf = [(ear, subscriber) for ear, subscriber in joined if not ear.frames]
    assert deaf
    for _, subscriber in deaf:
        house.broker.change(subscriber, ("c",), GUEST, since=house.broker.mark)
    house.publish(b"guests", "role:guest")
    await house.settle()
    assert all(ear.frames == [b"guests"] for ear, _ in deaf)


async def test_events_that_come_together_go_out_together() -> None:
    house = House()
    ear, _ = house.join()
    other, _ = house.join("d")
    for number in range(200):
        house.publish(b"%d" % number, channels=("c", "d") if number % 2 else ("c",))
    house.publish(b"x" * 60_000)
    house.publish(b"y" * 10_000)
    house.publish(b"z" * 100_000)
    await house.settle()
    assert ear.frames == [b"%d" % number for number in range(200)] + [b"x" * 60_000, b"y" * 10_000, b"z" * 100_000]
    assert len(ear.sent) == 3
    assert max(ear.sent[:2]) <= 64 * 1024
    assert (other.frames, len(other.sent)) == ([b"%d" % number for number in range(1, 200, 2)], 1)


# Changing roles


async def test_roles_that_were_won_count_for_the_event_that_reports_it() -> None:
    house = House()
    house.become("ada")
    ear, _ = house.join(user="ada")
    house.publish(b"before", "team:x")
    await house.settle()
    house.become("ada", "x")
    house.publish(b"joined", "team:x")
    house.publish(b"then", "team:x")
    await house.settle()
    assert ear.frames == [b"joined", b"then"]


async def test_roles_that_were_lost_count_for_the_event_that_reports_it_alone() -> None:
    house = House()
    house.become("ada", "x")
    ear, _ = house.join(user="ada")
    other_channel, _ = house.join("d", user="ada")
    house.become("ada")
    house.publish(b"in between", "team:x")
    house.publish(b"gone", "team:x", ends_roles=True)
    house.publish(b"after", "team:x")
    await house.settle()
    house.publish(b"another end", "team:x", ends_roles=True)
    await house.settle()
    assert (ear.frames, other_channel.frames) == ([b"gone"], [])


async def test_who_hears_anyway_hears_of_an_end_once() -> None:
    house = House()
    house.become("ada", "x")
    ear, _ = house.join(user="ada")
    house.become("ada")
    house.publish(b"gone", "team:x", "user:ada", ends_roles=True)
    await house.settle()
    assert ear.frames == [b"gone"]


async def test_nothing_is_delivered_while_roles_are_read() -> None:
    house = House()
    house.become("ada", "x")
    ada, _ = house.join(user="ada")
    guest, _ = house.join()
    await house.settle()
    house.pause.clear()
    house.become("ada")
    house.publish(b"one", "team:x", "role:guest")
    for _ in range(5):
        await asyncio.sleep(0)
    house.publish(b"two", "role:member", "role:guest")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (ada.frames, guest.frames) == ([], [])
    house.pause.set()
    await house.settle()
    assert (ada.frames, guest.frames) == ([b"two"], [b"one", b"two"])


async def test_a_change_while_roles_are_read_is_read_again() -> None:
    house = House()
    house.become("ada", "x")
    ada, _ = house.join(user="ada")
    await house.settle()
    house.pause.clear()
    house.become("ada", "x", "y")
    for _ in range(5):
        await asyncio.sleep(0)
    house.become("ada")
    house.publish(b"late", "team:x", "team:y")
    house.pause.set()
    await house.settle()
    assert ada.frames == []
    assert len(house.recalled) >= 2


async def test_who_logs_in_or_leaves_while_roles_are_read_is_not_overwritten() -> None:
    house = House()
    house.become("ada", "x")
    ada, subscriber = house.join(user="ada")
    gone, leaving = house.join(user="ada")
    await house.settle()
    house.pause.clear()
    house.become("ada", "x", "y")
    for _ in range(5):
        await asyncio.sleep(0)
    changed = house.broker.change(subscriber, ("c",), GUEST, since=house.broker.mark)
    house.broker.leave(leaving)
    house.publish(b"secret", "team:x")
    house.publish(b"guests", "role:guest")
    house.pause.set()
    await house.settle()
    assert (ada.frames, gone.frames) == ([b"guests"], [])
    assert changed.identity is GUEST


async def test_who_joins_with_what_was_read_before_a_change_is_read_again() -> None:
    house = House()
    house.become("ada", "x")
    since, old = house.broker.mark, Identity(house.roles["ada"], "ada", "s")
    house.become("ada")
    ear = Ear()
    house.broker.join(ear, "p", ("c",), old, since=since)
    house.publish(b"secret", "team:x")
    await house.settle()
    assert ear.frames == []


async def test_a_user_s_sessions_are_each_read_once() -> None:
    house = House()
    house.become("ada", "x")
    ears = [house.join(user="ada")[0] for _ in range(50)]
    await house.settle()
    house.recalled.clear()
    house.become("ada", "y")
    house.publish(b"y", "team:y")
    await house.settle()
    assert house.recalled == ["ada"]
    assert all(ear.frames == [b"y"] for ear in ears)


async def test_an_identity_that_expires() -> None:
    now = [100.0]
    house = House(clock=lambda: now[0])
    ear = Ear()
    identity = Identity(user_roles("ada", ()), "ada", "s", expires_at=150.0)
    house.broker.join(ear, "p", ("c",), identity, since=house.broker.mark)
    house.publish(b"in time", "user:ada")
    await house.settle()
    now[0] = 150.0
    house.publish(b"late", "user:ada")
    await house.settle()
    house.publish(b"guests", "role:guest")
    await house.settle()
    assert ear.frames == [b"in time", b"guests"]


# When something goes wrong


async def test_too_many_events_end_the_connections_of_their_project(caplog: pytest.LogCaptureFixture) -> None:
    house = House(most_waiting=10)
    ear, _ = house.join()
    away, _ = house.join(project="q")
    for number in range(11):
        house.publish(b"%d" % number)
    await house.settle()
    assert (ear.ended, ear.frames, away.ended) == (1013, [], 0)
    assert "cannot keep up" in caplog.text
    again, _ = house.join()
    house.publish(b"again")
    await house.settle()
    assert again.frames == [b"again"]


async def test_a_description_that_fails_is_logged_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    ear, _ = house.join()
    house.broker.publish("p", Event("document", "create", None, ACTOR))
    house.publish(b"next")
    await house.settle()
    assert ear.frames == [b"next"]
    assert "document create cannot be told" in caplog.text


async def test_roles_that_cannot_be_read_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.become("ada")
    ada, _ = house.join(user="ada")
    guest, _ = house.join()

    async def fail(project_id: str, identity: Identity) -> Identity:
        raise OSError

    house.broker._recall = fail
    house.become("ada")
    house.publish(b"all")
    await house.settle()
    assert (ada.ended, ada.frames) == (1013, [])
    assert (guest.ended, guest.frames) == (0, [b"all"])
    assert "cannot be read" in caplog.text


async def test_a_project_that_is_gone() -> None:
    house = House()
    ear, _ = house.join()
    house.broker.project_changed("p")
    await house.settle()
    assert ear.ended == 0
    house.projects.clear()
    house.broker.project_changed("p")
    house.publish(b"too late")
    await house.settle()
    assert (ear.ended, ear.frames, house.broker._rooms) == (1008, [], {})


async def test_closing_in_the_middle() -> None:
    house = House()
    house.become("ada")
    ear, _ = house.join(user="ada")
    await house.settle()
    house.pause.clear()
    house.become("ada")
    house.publish(b"never")
    await asyncio.sleep(0)
    await house.broker.close()
    assert house.broker._tasks == set()
    house.publish(b"nor this")
    assert house.broker._tasks == set()
    assert ear.frames == []


# Against a plain model

NAMES = st.sampled_from(["a", "b", "c", "d"])
ROLES = st.sets(st.sampled_from([ANY, "role:guest", "role:member", "user:ada", "user:bea", "team:x", "team:y"]))


@given(
    st.lists(st.tuples(st.sets(NAMES, min_size=1), st.sampled_from(["", "ada", "bea"])), max_size=8),
    st.lists(st.tuples(st.sets(NAMES, min_size=1), ROLES), max_size=8),
)
def test_matching_agrees_with_the_rule(
    subscribers: list[tuple[set[str], str]], events: list[tuple[set[str], set[str]]]
) -> None:
    held = {"": GUEST_ROLES, "ada": user_roles("ada", [("x", ["o"])]), "bea": user_roles("bea", [("y", [])])}

    async def deliver() -> list[list[bytes]]:
        house = House()
        house.roles = held
        ears = [house.join(*channels, user=user)[0] for channels, user in subscribers]
        for number, (channels, roles) in enumerate(events):
            told = Told(b"%d" % number, tuple(channels), frozenset(roles))
            house.broker.publish("p", Event("document", "create", told, ACTOR))
        await house.settle()
        return [ear.frames for ear in ears]

    expected = [
        [
            b"%d" % number
            for number, (channels, roles) in enumerate(events)
            if channels & asked and (ANY in roles or roles & held[user])
        ]
        for asked, user in subscribers
    ]
    assert asyncio.run(deliver()) == expected


async def test_nobody_hears_too_much_or_too_little() -> None:
    """Events and changes of teams in random order, in random pieces, with roles that are slow to read."""
    chance = random.Random(7)
    house = House()
    users = ("ada", "bea", "cyd")
    for user in users:
        house.become(user)
    ears = {user: house.join(user=user)[0] for user in users}
    expected: dict[str, list[bytes]] = {user: [] for user in users}
    teams: dict[str, set[str]] = {user: set() for user in users}
    await house.settle()
    for number in range(500):
        if chance.random() < 0.3:
            # What was published in the same turn before counts as after, so there must be nothing.
            while any(room.events for room in house.broker._rooms.values()):
                await asyncio.sleep(0)
            user, team = chance.choice(users), chance.choice("xy")
            teams[user] ^= {team}
            house.become(user, *teams[user])
        team = chance.choice("xy")
        house.publish(b"%d" % number, f"team:{team}")
        for user in users:
            if team in teams[user]:
                expected[user].append(b"%d" % number)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
    await house.settle()
    assert {user: ear.frames for user, ear in ears.items()} == expected
