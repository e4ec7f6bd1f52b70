"""Who a person at a provider is here: the rule of linking, tried from every side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from litewrite import Config
from litewrite.db import users as user_rows
from litewrite.db.engine import Transaction
from litewrite.db.query import Query, scalar
from litewrite.entities import EPOCH, Membership, Session, User, UserStatus
from litewrite.errors import (
    InvalidCredentials,
    InvitationSecretInvalid,
    LoginStateInvalid,
    ProviderDisabled,
    ProviderUnsupported,
    ProviderUserMissing,
    UserBlocked,
    UserExists,
)
from litewrite.permissions import Actor, ActorKind
from litewrite.security import hash_secret
from litewrite.services import mock_provider as mock
from litewrite.services.mock_provider import Person
from tests.conftest import FAST, World

GUEST = Actor(ActorKind.GUEST, "default", ip="127.0.0.1")
ADA = Person("7", "Ada Provided", "ada@example.com")
EVE = Person("8", "Eve", "ada@example.com", verified=False)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", port=0, mock_oauth2=True, **FAST)


@dataclass
class Logins:
    world: World

    @property
    def services(self) -> Any:
        return self.world.backend.services

    async def log_in(self, person: Person, actor: Actor = GUEST) -> Session:
        """Through start and finish, as this person at the mock provider."""
        view = await self.services.projects.view("default")
        assert view is not None
        oauth = self.services.oauth
        begun = oauth.start(
            view.project, "mock", base="http://x", callback="http://x/c", success="http://x/", failure="", scopes=(),
            browser="",
        )  # fmt: skip
        text = dict(parse_qsl(urlsplit(begun.url).query))["state"]
        session, _ = await oauth.finish(
            actor, view.project, oauth.state(text), text=text, code=mock.code_of(person), callback="http://x/c",
            browser="",
        )  # fmt: skip
        return session

    async def user(self, user_id: str) -> User:
        user = await self.world.backend.db.read(user_rows.get("default", user_id))
        assert user is not None
        return user

    async def change(self, user_id: str, **changes: Any) -> User:
        user = replace(await self.user(user_id), **changes)

        def unit(tx: Transaction) -> None:
            tx.stores.users.update(tx, user)

        await self.world.backend.db.write(unit)
        return user

    async def register(self, email: str = "ada@example.com", *, verified: bool = False) -> User:
        user = await self.services.accounts.create(GUEST, email=email, password="password", name="Ada")
        return await self.change(user.id, email_verified=verified)

    async def acting(self, user: User) -> Actor:
        return Actor(ActorKind.USER, "default", user=await self.user(user.id), ip="127.0.0.1")

    async def count(self, table: str) -> int:
        return int(await self.world.backend.db.read(Query(f"SELECT count(*) FROM {table}", (), scalar)))


@pytest.fixture
def logins(world: World) -> Logins:
    return Logins(world)


async def test_a_new_user(logins: Logins) -> None:
    session = await logins.log_in(ADA)
    user = await logins.user(session.user_id)
    assert (user.name, user.email, user.email_verified, user.status) == (
        "Ada Provided", "ada@example.com", True, UserStatus.ACTIVE,
    )  # fmt: skip
    assert user.password_updated_at == EPOCH
    assert user.password_hash.startswith("$argon2id$")
    assert (session.provider, session.provider_uid) == ("mock", "7")
    assert logins.services.oauth.token_of(session).startswith("123456.")
    assert logins.services.oauth.token_of(replace(session, provider_token=b"")) == ""


async def test_a_new_user_without_a_proved_address(logins: Logins) -> None:
    user = await logins.user((await logins.log_in(EVE)).user_id)
    assert (user.email, user.email_verified) == ("ada@example.com", False)


async def test_users_without_an_address_are_kept_apart(logins: Logins) -> None:
    one = await logins.log_in(Person("1", "One", ""))
    two = await logins.log_in(Person("2", "Two", ""))
    again = await logins.log_in(Person("1", "One", ""))
    assert one.user_id != two.user_id
    assert again.user_id == one.user_id
    assert not (await logins.user(one.user_id)).is_anonymous


async def test_the_identity_outlives_sessions_and_addresses(logins: Logins) -> None:
    first = await logins.log_in(ADA)
    await logins.services.accounts.delete_sessions(await logins.acting(await logins.user(first.user_id)))
    moved = replace(ADA, email="ada@new.example")
    assert (await logins.log_in(moved)).user_id == first.user_id
    assert (await logins.user(first.user_id)).email == "ada@example.com"
    assert await logins.count("identities") == 1


async def test_a_proved_address_leads_to_the_account_that_has_proved_it_too(logins: Logins) -> None:
    user = await logins.register(verified=True)
    session = await logins.log_in(ADA)
    assert session.user_id == user.id
    assert await logins.user(user.id) == replace(user, status=UserStatus.ACTIVE)
    await logins.services.accounts.create_session(GUEST, email="ada@example.com", password="password")


async def test_whoever_registered_an_address_without_proof_loses_the_account_to_its_owner(logins: Logins) -> None:
    user = await logins.register()
    squatter = await logins.acting(user)
    await logins.services.accounts.create_session(GUEST, email="ada@example.com", password="password")
    await logins.log_in(Person("99", "Squatter", ""), squatter)  # a second way in
    team_id, invitation = await _invited(logins, user, "squatter@example.com", "i" * 256)
    await _token(logins, user)
    session = await logins.log_in(ADA)
    assert session.user_id == user.id
    now = await logins.user(user.id)
    assert (now.email_verified, now.password_updated_at) == (True, EPOCH)
    assert now.password_hash != user.password_hash
    with pytest.raises(InvalidCredentials):
        await logins.services.accounts.create_session(GUEST, email="ada@example.com", password="password")
    assert await logins.count("sessions") == 1
    assert await logins.count("tokens") == 0
    assert (await logins.log_in(Person("99", "Squatter", ""))).user_id != user.id
    with pytest.raises(InvitationSecretInvalid):
        await logins.services.teams.accept(GUEST, team_id, invitation, user_id=user.id, secret="i" * 256)


async def test_an_invitation_to_the_proved_address_stays_good(logins: Logins) -> None:
    user = await logins.register()
    team_id, invitation = await _invited(logins, user, "ada@example.com", "i" * 256)
    await logins.log_in(ADA)
    await logins.services.teams.accept(GUEST, team_id, invitation, user_id=user.id, secret="i" * 256)


async def _invited(logins: Logins, user: User, email: str, secret: str) -> tuple[str, str]:
    team = await logins.services.teams.create(Actor(ActorKind.KEY, "default"), name="Team", roles=("owner",))

    def unit(tx: Transaction) -> str:
        membership = Membership(
            tx.new_id(), "default", team.id, user.id, ("owner",), tx.now, None, False, hash_secret(secret), email
        )
        tx.stores.memberships.insert(tx, membership)
        return membership.id

    return team.id, await logins.world.backend.db.write(unit)


async def _token(logins: Logins, user: User) -> None:
    account = logins.services.tokens
    await account.create_recovery(GUEST, email=user.email, url="http://localhost/")
    assert await logins.count("tokens") == 1


async def test_an_address_without_proof_leads_nowhere(logins: Logins) -> None:
    for verified in (False, True):
        user = await logins.register(f"{verified}@example.com".lower(), verified=verified)
        with pytest.raises(UserExists, match="Log in as that user first"):
            await logins.log_in(replace(EVE, email=user.email))
        assert await logins.user(user.id) == user
    assert await logins.count("identities") == 0
    assert await logins.count("sessions") == 0


async def test_the_owner_takes_over_what_was_registered_at_a_provider_without_proof(logins: Logins) -> None:
    eve = await logins.log_in(EVE)
    ada = await logins.log_in(ADA)
    assert ada.user_id == eve.user_id
    assert await logins.count("sessions") == 1
    with pytest.raises(UserExists):
        await logins.log_in(EVE)


async def test_who_is_logged_in_connects_the_provider(logins: Logins) -> None:
    user = await logins.register("other@example.com")
    session = await logins.log_in(ADA, await logins.acting(user))
    assert session.user_id == user.id
    assert await logins.user(user.id) == replace(user, status=UserStatus.ACTIVE)
    assert (await logins.log_in(ADA)).user_id == user.id


async def test_connecting_takes_no_identity_away_from_another_user(logins: Logins) -> None:
    first = await logins.log_in(ADA)
    other = await logins.register("other@example.com")
    assert (await logins.log_in(ADA, await logins.acting(other))).user_id == other.id
    assert (await logins.log_in(ADA)).user_id == first.user_id


async def test_an_anonymous_user_becomes_a_regular_one(logins: Logins) -> None:
    taken = await logins.register(verified=True)
    started, _ = await logins.services.accounts.create_anonymous_session(GUEST)
    before = await logins.user(started.user_id)
    await logins.log_in(ADA, await logins.acting(before))
    after = await logins.user(started.user_id)
    assert after == replace(before, name="Ada Provided", email="ada@example.com", status=UserStatus.ACTIVE)
    assert (await logins.user(taken.id)).email == after.email  # the provider vouches for it, so both have it


async def test_an_anonymous_user_gets_no_address_of_others_without_proof(logins: Logins) -> None:
    started, _ = await logins.services.accounts.create_anonymous_session(GUEST)
    await logins.register(verified=True)
    await logins.log_in(EVE, await logins.acting(await logins.user(started.user_id)))
    after = await logins.user(started.user_id)
    assert (after.name, after.email) == ("Eve", "")
    found = await logins.world.backend.db.read(user_rows.by_email("default", "ada@example.com"))
    assert found is not None
    assert found.id != started.user_id


@pytest.mark.parametrize("vouched", [True, False])
async def test_blocked_users(logins: Logins, vouched: bool) -> None:
    user = await logins.register(verified=True)
    linked = await logins.log_in(Person("5", "Linked", ""))
    for user_id in (user.id, linked.user_id):
        await logins.change(user_id, status=UserStatus.BLOCKED)
    with pytest.raises(UserBlocked if vouched else UserExists):
        await logins.log_in(replace(ADA, verified=vouched))
    with pytest.raises(UserBlocked):
        await logins.log_in(Person("5", "Linked", ""))
    with pytest.raises(UserBlocked):
        await logins.log_in(Person("6", "Six", ""), await logins.acting(user))
    assert (await logins.user(user.id)).status is UserStatus.BLOCKED


async def test_a_deleted_user_leaves_no_identity_behind(logins: Logins) -> None:
    session = await logins.log_in(ADA)
    await logins.services.users.delete(Actor(ActorKind.KEY, "default"), session.user_id)
    assert await logins.count("identities") == 0
    assert (await logins.log_in(ADA)).user_id != session.user_id


async def test_somebody_whose_user_is_gone_meanwhile_is_a_guest(logins: Logins) -> None:
    user = await logins.register("other@example.com")
    actor = await logins.acting(user)
    await logins.services.users.delete(Actor(ActorKind.KEY, "default"), user.id)
    session = await logins.log_in(ADA, actor)
    assert session.user_id != user.id


async def test_projects_are_apart(logins: Logins) -> None:
    await logins.services.projects.create("other")
    session = await logins.log_in(ADA)
    view = await logins.services.projects.view("other")
    oauth = logins.services.oauth
    with pytest.raises(ProviderDisabled):
        oauth.start(view.project, "google", base="", callback="", success="", failure="", scopes=(), browser="")
    actor = Actor(ActorKind.GUEST, "other")
    begun = oauth.start(view.project, "mock", base="", callback="", success="", failure="", scopes=(), browser="")
    text = dict(parse_qsl(urlsplit(begun.url).query))["state"]
    state = oauth.state(text)
    other, _ = await oauth.finish(
        actor, view.project, state, text=text, code=mock.code_of(ADA), callback="", browser=""
    )
    assert other.user_id != session.user_id
    with pytest.raises(LoginStateInvalid):
        await oauth.finish(actor, view.project, state, text=text, code=mock.code_of(ADA), callback="", browser="")
    with pytest.raises(ProviderUnsupported):
        oauth.start(view.project, "nobody", base="", callback="", success="", failure="", scopes=(), browser="")


async def test_a_provider_that_tells_no_id(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    from litewrite.oauth.profile import Profile

    monkeypatch.setattr(mock, "profile_of", lambda person: Profile("", email="ada@example.com", vouched=True))
    with pytest.raises(ProviderUserMissing):
        await logins.log_in(ADA)
    assert await logins.count("users") == 0


async def test_finished_logins_are_forgotten_when_they_have_expired(logins: Logins) -> None:
    for _ in range(3):
        await logins.log_in(ADA)
    assert await logins.count("finished_logins") == 3

    def unit(tx: Transaction) -> None:
        tx.execute("UPDATE finished_logins SET expires_at = 0")

    await logins.world.backend.db.write(unit)
    await logins.log_in(ADA)
    assert await logins.count("finished_logins") == 1
