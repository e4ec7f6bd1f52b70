"""Teams without HTTP: permission as it is at the moment of the change, numbers under concurrency, failure half-way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from litewrite.countries import Countries
from litewrite.db.engine import Transaction
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import EPOCH, Client, Member, Project, Team, User
from litewrite.errors import (
    InvitationNotFound,
    InvitationSecretInvalid,
    LitewriteError,
    ScopeMissing,
    StorageFull,
    TeamNotFound,
    Unauthorized,
    UserBlocked,
    UserNotFound,
)
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind, user_roles
from litewrite.security import Passwords, ServerSecret
from litewrite.services.accounts import Accounts
from litewrite.services.projects import ensure_project
from litewrite.services.teams import Teams
from litewrite.services.users import Users

PROJECT = "shop"
URL = "http://localhost/join"
KEY = Actor(ActorKind.KEY, PROJECT)
GUEST = Actor(ActorKind.GUEST, PROJECT)


class Outbox:
    """Keeps the secrets of invitations, by the id of the membership."""

    enabled = True

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.broken = False

    def queue(
        self,
        tx: Transaction,
        *,
        project: Project,
        kind: str,
        to: str,
        to_name: str,
        locale: str,
        link: str,
        variables: Mapping[str, str],
    ) -> None:
        if self.broken:
            raise StorageFull
        parts = dict(part.split("=") for part in link.partition("?")[2].split("&"))
        self.secrets[parts["membershipId"]] = parts["secret"]


class NoDetector:
    def detect(self, user_agent: str) -> Client:
        return Client()


@dataclass
class Place:
    db: SqliteDatabase
    teams: Teams
    users: Users
    outbox: Outbox
    passwords: Passwords
    events: list[Event] = field(default_factory=list)
    made: int = 0

    async def user(self) -> Actor:
        self.made += 1
        number = self.made

        def unit(tx: Transaction) -> User:
            user = User(tx.new_id(), PROJECT, f"User {number}", f"user{number}@example.com", registered_at=tx.now)
            tx.stores.users.insert(tx, user)
            return user

        return acting(await self.db.write(unit))

    async def invited(self, owner: Actor, team: Team, email: str, *roles: str) -> Member:
        return await self.teams.create_membership(owner, team.id, email=email, roles=roles, url=URL)

    async def accept(self, member: Member) -> None:
        membership = member.membership
        secret = self.outbox.secrets[membership.id]
        await self.teams.accept(GUEST, membership.team_id, membership.id, user_id=membership.user_id, secret=secret)

    async def total(self, team: Team) -> int:
        return (await self.teams.get(KEY, team.id)).total

    async def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return await self.db.write(lambda tx: tx.rows(sql, params))


def acting(user: User, *memberships: tuple[str, tuple[str, ...]]) -> Actor:
    return Actor(ActorKind.USER, PROJECT, roles=user_roles(user.id, memberships), user=user, user_agent="test")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with SqliteDatabase(tmp_path / "data.db", durability="normal") as db:
        await db.write(ensure_project(PROJECT))
        passwords = Passwords(memory_kib=8, passes=1)
        accounts = Accounts(db, passwords, ServerSecret(b"x" * 32), NoDetector(), Countries())
        outbox = Outbox()
        teams = Teams(db, accounts, outbox)  # type: ignore[arg-type]
        made = Place(db, teams, Users(db, passwords, accounts), outbox, passwords)
        db.on_events(made.events.extend)
        yield made
        passwords.close()


# Permission as it is now


async def test_roles_that_a_caller_had_a_moment_ago_give_nothing(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    member = await place.invited(KEY, team, "other@example.com", "owner")
    user = await place.users.get(KEY, member.membership.user_id)
    stale = acting(user, (team.id, ("owner",)))
    await place.teams.update(stale, team.id, name="Chelsea")
    await place.teams.update_roles(owner, team.id, member.membership.id, roles=["editor"])
    with pytest.raises(Unauthorized):
        await place.teams.update(stale, team.id, name="Fulham")
    with pytest.raises(Unauthorized):
        await place.teams.delete(stale, team.id)
    with pytest.raises(Unauthorized):
        await place.invited(stale, team, "friend@example.com")
    await place.teams.delete_membership(owner, team.id, member.membership.id)
    with pytest.raises(TeamNotFound):
        await place.teams.update(stale, team.id, name="Fulham")
    with pytest.raises(TeamNotFound):
        await place.teams.get(stale, team.id)
    with pytest.raises(TeamNotFound):
        await place.teams.members(stale, team.id)
    assert (await place.teams.list(stale)).total == 0
    assert (await place.teams.get(KEY, team.id)).name == "Chelsea"


async def test_guests_are_members_of_nothing(place: Place) -> None:
    team = await place.teams.create(KEY, name="Arsenal")
    assert (await place.teams.list(GUEST)).total == 0
    with pytest.raises(TeamNotFound):
        await place.teams.get(GUEST, team.id)
    with pytest.raises(ScopeMissing):
        await place.teams.create(GUEST, name="Chelsea")


async def test_a_caller_who_is_gone_or_blocked_makes_no_team(place: Place) -> None:
    gone, blocked = await place.user(), await place.user()
    await place.users.delete(KEY, gone.user_id)
    await place.db.write(lambda tx: tx.execute("UPDATE users SET status = 2 WHERE id = ?", (blocked.user_id,)))
    with pytest.raises(ScopeMissing):
        await place.teams.create(gone, name="Arsenal")
    with pytest.raises(UserBlocked):
        await place.teams.create(blocked, name="Arsenal")
    assert (await place.teams.list(KEY)).total == 0


async def test_who_is_put_out_while_it_invites(place: Place) -> None:
    """Whichever comes first, a team never gets an invitation from somebody who had been put out before."""
    for _ in range(10):
        owner = await place.user()
        team = await place.teams.create(owner, name="Arsenal")
        member = await place.invited(KEY, team, f"{team.id}@example.com", "owner")
        other = acting(await place.users.get(KEY, member.membership.user_id), (team.id, ("owner",)))
        out, invited = await asyncio.gather(
            place.teams.delete_membership(owner, team.id, member.membership.id),
            place.invited(other, team, f"friend-{team.id}@example.com"),
            return_exceptions=True,
        )
        assert out is None
        listed = (await place.teams.members(KEY, team.id)).total
        assert listed == (1 if isinstance(invited, TeamNotFound) else 2)


# Half-way


async def test_nothing_is_kept_when_the_mail_cannot_be_stored(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    place.outbox.broken = True
    before, events = await place.rows("SELECT count(*) FROM audit"), len(place.events)
    with pytest.raises(StorageFull):
        await place.invited(owner, team, "friend@example.com")
    assert (await place.users.list(KEY)).total == 1
    assert (await place.users.list(KEY, search="friend")).total == 0
    assert (await place.teams.members(KEY, team.id)).total == 1
    assert await place.rows("SELECT count(*) FROM audit") == before
    assert len(place.events) == events


async def test_an_invitation_of_a_user_whose_row_is_gone(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    member = await place.invited(owner, team, "friend@example.com")
    await place.db.write(lambda tx: tx.execute("DELETE FROM users WHERE email = 'friend@example.com'"))
    with pytest.raises(UserNotFound):
        await place.accept(member)
    assert await place.total(team) == 1


async def test_a_team_whose_number_is_too_low_never_goes_below_zero(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    await place.db.write(lambda tx: tx.execute("UPDATE teams SET total = 0"))
    [own] = (await place.teams.members(KEY, team.id)).items
    await place.teams.delete_membership(owner, team.id, own.membership.id)
    assert await place.total(team) == 0


# Numbers


async def test_fifty_people_accept_at_once(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    invited = [await place.invited(owner, team, f"friend{number}@example.com") for number in range(50)]
    await asyncio.gather(*(place.accept(member) for member in invited for _ in range(2)))
    assert await place.total(team) == 51
    updates = [event for event in place.events if event.action == "update.status"]
    assert len(updates) == 100
    assert {event.subject.membership.confirmed for event in updates} == {True}


async def test_accepting_and_withdrawing_at_once(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    invited = [await place.invited(owner, team, f"friend{number}@example.com") for number in range(20)]
    results = await asyncio.gather(
        *(
            call
            for member in invited
            for call in (
                place.accept(member),
                place.teams.delete_membership(owner, team.id, member.membership.id),
                place.accept(member),
            )
        ),
        return_exceptions=True,
    )
    assert {type(result) for result in results} <= {type(None), InvitationNotFound}
    assert results[1::3] == [None] * 20
    assert await place.total(team) == 1


async def test_owners_leave_while_the_team_is_deleted(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    others = []
    for number in range(10):
        member = await place.invited(KEY, team, f"owner{number}@example.com", "owner")
        others.append((acting(await place.users.get(KEY, member.membership.user_id)), member.membership.id))
    results = await asyncio.gather(
        *(place.teams.delete_membership(actor, team.id, membership_id) for actor, membership_id in others[:5]),
        place.teams.delete(owner, team.id),
        *(place.teams.delete_membership(actor, team.id, membership_id) for actor, membership_id in others[5:]),
        return_exceptions=True,
    )
    assert {type(result) for result in results} <= {type(None), InvitationNotFound}
    with pytest.raises(TeamNotFound):
        await place.teams.get(KEY, team.id)
    assert await place.rows("SELECT count(*) FROM memberships") == [(0,)]


@pytest.mark.parametrize("seed", range(5))
async def test_numbers_stay_right_whatever_happens(place: Place, seed: int) -> None:
    dice = random.Random(seed)
    owners = [await place.user() for _ in range(3)]
    teams = [await place.teams.create(owner, name=f"Team {number}") for number, owner in enumerate(owners)]
    known: list[Member] = []

    async def step() -> None:
        place_of = dice.randrange(3)
        owner, team = owners[place_of], teams[place_of]
        kind = dice.choice(("invite", "invite", "add", "add", "accept", "accept", "remove", "delete user", "leave"))
        if kind == "invite":
            known.append(await place.invited(owner, team, f"p{dice.randrange(12)}@example.com", "editor"))
        elif kind == "add":
            known.append(await place.invited(KEY, team, f"p{dice.randrange(12)}@example.com", "owner"))
        elif known:
            member = dice.choice(known)
            membership = member.membership
            if kind == "accept" and membership.id in place.outbox.secrets:
                await place.accept(member)
            elif kind == "remove":
                await place.teams.delete_membership(KEY, membership.team_id, membership.id)
            elif kind == "delete user":
                await place.users.delete(KEY, membership.user_id)
            elif kind == "leave":
                user = User(membership.user_id, PROJECT, "", "", registered_at=EPOCH)
                await place.teams.delete_membership(acting(user), membership.team_id, membership.id)

    for _ in range(15):
        for result in await asyncio.gather(*(step() for _ in range(10)), return_exceptions=True):
            assert result is None or isinstance(result, LitewriteError), result
    counted = await place.rows(
        "SELECT teams.id, total, (SELECT count(*) FROM memberships WHERE team_id = teams.id AND confirmed = 1) "
        "FROM teams"
    )
    assert len(counted) == 3
    assert all(total == confirmed for _, total, confirmed in counted)
    assert sum(total for _, total, _ in counted) > 0
    assert (
        await place.rows(
            "SELECT id FROM memberships WHERE user_id NOT IN (SELECT id FROM users) "
            "OR team_id NOT IN (SELECT id FROM teams)"
        )
        == []
    )


async def test_a_wrong_secret_changes_nothing(place: Place) -> None:
    owner = await place.user()
    team = await place.teams.create(owner, name="Arsenal")
    member = await place.invited(owner, team, "friend@example.com")
    membership = member.membership
    for secret in ("", "x", membership.secret_hash, "\udc80"):
        with pytest.raises(InvitationSecretInvalid):
            await place.teams.accept(GUEST, team.id, membership.id, user_id=membership.user_id, secret=secret)
    assert await place.total(team) == 1
    assert await place.rows("SELECT count(*) FROM sessions") == [(0,)]
