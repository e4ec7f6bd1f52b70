"""Who is calling, and that what is remembered about it never outlives a change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from litewrite.db import users as user_rows
from litewrite.entities import CONSOLE, Membership, Project, Session, User, UserStatus
from litewrite.errors import JwtInvalid, PasswordResetRequired, ScopeMissing, UserBlocked
from litewrite.permissions import Actor, ActorKind
from litewrite.security import encode_session, hash_secret, new_secret
from litewrite.services import auth as auth_module
from litewrite.services.auth import Auth, Credentials
from tests.conftest import Client, World

DEFAULT = Project(id="default", name="default")


class Counted:
    """The database of a server, with the reads counted."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.reads = 0

    async def read(self, query: Any) -> Any:
        self.reads += 1
        return await self.db.read(query)

    def on_invalidate(self, listener: Any) -> None:
        self.db.on_invalidate(listener)


@pytest.fixture
def db(world: World) -> Counted:
    return Counted(world.backend.db)


@pytest.fixture
def auth(world: World, db: Counted) -> Auth:
    return Auth(db, world.backend.services.auth._secret)  # type: ignore[arg-type]


async def make_session(world: World, user_id: str = "", *, seconds: float = 1_000, project: str = "default") -> Any:
    """A session, of a new user unless one is named: the session, its value and its user."""
    secret = new_secret()

    def unit(tx: Any) -> tuple[Session, User]:
        user = tx.run(user_rows.get(project, user_id)) if user_id else None
        if user is None:
            user = User(id=tx.new_id(), project_id=project, name="Ada", email="", registered_at=tx.now)
            tx.stores.users.insert(tx, user)
        session = Session(
            id=tx.new_id(),
            project_id=project,
            user_id=user.id,
            secret_hash=hash_secret(secret),
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
            provider="email",
        )
        tx.stores.sessions.insert(tx, session)
        return session, user

    session, user = await world.backend.db.write(unit)
    return session, encode_session(user.id, secret), user


async def change(world: World, user: User, **fields: Any) -> None:
    await world.backend.db.write(lambda tx: tx.stores.users.update(tx, replace(user, **fields)))


class TestIdentity:
    async def test_nothing_is_a_guest(self, auth: Auth) -> None:
        actor = await auth.identify(DEFAULT, Credentials(), ip="1.2.3.4", user_agent="x", locale="de")
        assert actor == Actor(ActorKind.GUEST, "default", ip="1.2.3.4", user_agent="x", locale="de")
        assert actor.roles == {"*", "role:guest"}

    async def test_a_session_is_its_user(self, world: World, auth: Auth) -> None:
        session, value, user = await make_session(world)
        actor = await auth.identify(DEFAULT, Credentials(session=value))
        assert (actor.kind, actor.user, actor.session_id, actor.via_jwt) == (ActorKind.USER, user, session.id, False)
        assert actor.roles == {"*", "role:member", f"user:{user.id}"}

    @pytest.mark.parametrize("part", ["user", "secret", "project", "text"])
    async def test_a_wrong_session_is_a_guest(self, world: World, auth: Auth, part: str) -> None:
        _, value, user = await make_session(world)
        wrong = {
            "user": encode_session("0000000000000", new_secret()),
            "secret": encode_session(user.id, new_secret()),
            "project": value,
            "text": value[:-2],
        }[part]
        project = Project(id="other", name="") if part == "project" else DEFAULT
        assert (await auth.identify(project, Credentials(session=wrong))).kind is ActorKind.GUEST

    async def test_an_outdated_session_is_a_guest(self, world: World, auth: Auth) -> None:
        _, value, _ = await make_session(world, seconds=-1)
        assert (await auth.identify(DEFAULT, Credentials(session=value))).kind is ActorKind.GUEST

    async def test_a_session_ends_while_it_is_remembered(
        self, world: World, auth: Auth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, value, _ = await make_session(world, seconds=100)
        assert await auth.session("default", value)

        class Later(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + timedelta(seconds=101)

        monkeypatch.setattr(auth_module, "datetime", Later)
        assert await auth.session("default", value) is None

    async def test_a_token_is_its_user(self, world: World, auth: Auth) -> None:
        session, _, user = await make_session(world)
        token = auth._secret.make_jwt(user.id, session.id)
        actor = await auth.identify(DEFAULT, Credentials(jwt=token))
        assert (actor.user, actor.session_id, actor.via_jwt) == (user, session.id, True)

    async def test_a_token_wins_over_a_session_even_when_it_is_of_nobody(self, world: World, auth: Auth) -> None:
        _, value, user = await make_session(world)
        dead = auth._secret.make_jwt(user.id, "0000000000000")
        assert (await auth.identify(DEFAULT, Credentials(session=value, jwt=dead))).kind is ActorKind.GUEST
        with pytest.raises(JwtInvalid):
            await auth.identify(DEFAULT, Credentials(session=value, jwt="nonsense"))

    async def test_a_token_of_an_outdated_session_is_of_nobody(self, world: World, auth: Auth) -> None:
        session, _, user = await make_session(world, seconds=-1)
        token = auth._secret.make_jwt(user.id, session.id)
        assert (await auth.identify(DEFAULT, Credentials(jwt=token))).kind is ActorKind.GUEST

    async def test_a_key_is_an_application(self, world: World, auth: Auth) -> None:
        _, secret = await world.backend.services.keys.create("default", "k", ["files.read", "files.read"])
        actor = await auth.identify(DEFAULT, Credentials(key=secret))
        assert (actor.kind, actor.scopes, actor.user, actor.with_key) == (
            ActorKind.KEY,
            {"files.read"},
            None,
            True,
        )

    async def test_a_user_wins_over_a_key_which_is_told_all_the_same(self, world: World, auth: Auth) -> None:
        _, secret = await world.backend.services.keys.create("default", "k", ["files.read"])
        _, value, user = await make_session(world)
        actor = await auth.identify(DEFAULT, Credentials(session=value, key=secret))
        assert (actor.kind, actor.user, actor.scopes, actor.with_key) == (ActorKind.USER, user, frozenset(), True)
        with pytest.raises(ScopeMissing):
            await auth.identify(DEFAULT, Credentials(session=value, key="nonsense"))

    async def test_roles_come_from_confirmed_memberships(self, world: World, auth: Auth) -> None:
        _, value, user = await make_session(world)

        def join(tx: Any) -> None:
            columns = [row[1:3] for row in tx.rows("PRAGMA table_info(memberships)")]
            for team, roles, confirmed in (("t1", '["owner","dev"]', 1), ("t2", "[]", 1), ("t3", '["x"]', 0)):
                values = {name: 0 if kind == "INTEGER" else "" for name, kind in columns}
                values |= {
                    "project_id": "default",
                    "id": tx.new_id(),
                    "team_id": team,
                    "user_id": user.id,
                    "roles": roles,
                    "confirmed": confirmed,
                }
                marks = ", ".join("?" * len(values))
                tx.execute(f"INSERT INTO memberships ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
            tx.invalidate("user", user.id)

        assert "team:t1" not in (await auth.identify(DEFAULT, Credentials(session=value))).roles
        await world.backend.db.write(join)
        roles = (await auth.identify(DEFAULT, Credentials(session=value))).roles
        assert roles == {"*", "role:member", f"user:{user.id}", "team:t1", "team:t1/owner", "team:t1/dev", "team:t2"}


class TestAdministrators:
    async def test_a_session_of_the_console_is_none_of_a_project(self, world: World, auth: Auth) -> None:
        _, value, _ = await make_session(world, project=CONSOLE)
        owned = replace(DEFAULT, team_id="owners")
        for credentials in (Credentials(session=value), Credentials(admin_session=value)):
            assert (await auth.identify(owned, credentials)).kind is ActorKind.GUEST
        assert (await auth.identify(DEFAULT, Credentials(admin_session=value))).kind is ActorKind.GUEST

    async def test_by_role(self, world: World, auth: Auth) -> None:
        owned = replace(DEFAULT, team_id="owners")
        for roles, expected in (
            (["owner"], {"role:owner"}),
            (["developer", "x"], {"role:developer"}),
            (["owner", "admin"], {"role:owner", "role:admin"}),
            (["viewer"], {"role:colleague"}),
            ([], {"role:colleague"}),
        ):
            _, value, user = await make_session(world, project=CONSOLE)
            await join(world, user, roles)
            actor = await auth.identify(owned, Credentials(admin_session=value))
            assert (actor.kind, actor.user, actor.admin_id, actor.user_id) == (
                ActorKind.ADMIN,
                None,
                user.id,
                f"admin-{user.id}",
            )
            assert actor.roles == {"*", *expected}
            assert actor.is_server

    async def test_an_invitation_is_not_enough(self, world: World, auth: Auth) -> None:
        _, value, user = await make_session(world, project=CONSOLE)
        await join(world, user, ["owner"], confirmed=False)
        owned = replace(DEFAULT, team_id="owners")
        assert (await auth.identify(owned, Credentials(admin_session=value))).kind is ActorKind.GUEST

    async def test_who_leaves_the_team_is_none_at_once(self, world: World, auth: Auth) -> None:
        owned = replace(DEFAULT, team_id="owners")
        _, value, user = await make_session(world, project=CONSOLE)
        await join(world, user, ["owner"])
        assert (await auth.identify(owned, Credentials(admin_session=value))).kind is ActorKind.ADMIN
        await world.backend.db.write(lambda tx: tx.stores.memberships.delete_of_user(tx, CONSOLE, user.id))
        assert (await auth.identify(owned, Credentials(admin_session=value))).kind is ActorKind.GUEST

    async def test_priority(self, world: World, auth: Auth) -> None:
        """A JWT before an administrator, who comes before a session of the project and a key."""
        owned = replace(DEFAULT, team_id="owners")
        _, value, user = await make_session(world, project=CONSOLE)
        await join(world, user, ["owner"])
        session, own, member = await make_session(world)
        _, secret = await world.backend.services.keys.create("default", "k", ["users.read"])
        actor = await auth.identify(owned, Credentials(session=own, admin_session=value))
        assert (actor.kind, actor.user) == (ActorKind.ADMIN, None)
        actor = await auth.identify(owned, Credentials(key=secret, admin_session=value))
        assert (actor.kind, actor.with_key, actor.scopes) == (ActorKind.ADMIN, True, frozenset())
        token = auth._secret.make_jwt(member.id, session.id)
        assert (await auth.identify(owned, Credentials(jwt=token, admin_session=value))).user == member
        dead = auth._secret.make_jwt(user.id, session.id)
        assert (await auth.identify(owned, Credentials(jwt=dead, admin_session=value))).kind is ActorKind.GUEST
        _, stranger, _ = await make_session(world, project=CONSOLE)
        actor = await auth.identify(owned, Credentials(session=own, admin_session=stranger))
        assert actor.kind is ActorKind.GUEST

    async def test_blocked_ones_are_told(self, world: World, auth: Auth) -> None:
        owned = replace(DEFAULT, team_id="owners")
        _, value, user = await make_session(world, project=CONSOLE)
        await join(world, user, ["owner"])
        await change(world, user, status=UserStatus.BLOCKED)
        with pytest.raises(UserBlocked):
            await auth.identify(owned, Credentials(admin_session=value))
        await change(world, user, reset_required=True)
        with pytest.raises(PasswordResetRequired):
            await auth.identify(owned, Credentials(admin_session=value))

    async def test_the_console_has_none(self, world: World, auth: Auth) -> None:
        console = Project(id=CONSOLE, name="Console", team_id="owners")
        _, value, user = await make_session(world, project=CONSOLE)
        await join(world, user, ["owner"])
        assert (await auth.identify(console, Credentials(admin_session=value))).kind is ActorKind.GUEST
        assert (await auth.identify(console, Credentials(session=value))).kind is ActorKind.USER


async def join(world: World, user: User, roles: list[str], *, confirmed: bool = True) -> None:
    """Let a console user join the team `owners`."""

    def unit(tx: Any) -> None:
        membership = Membership(
            tx.new_id(), CONSOLE, "owners", user.id, tuple(roles), tx.now, tx.now, confirmed=confirmed
        )
        tx.stores.memberships.insert(tx, membership)

    await world.backend.db.write(unit)


class TestMemory:
    async def test_a_known_session_needs_no_read(self, world: World, auth: Auth, db: Counted) -> None:
        _, value, _ = await make_session(world)
        await auth.identify(DEFAULT, Credentials(session=value))
        before = db.reads
        await auth.identify(DEFAULT, Credentials(session=value))
        assert db.reads == before

    async def test_a_known_key_needs_no_read(self, world: World, auth: Auth, db: Counted) -> None:
        _, secret = await world.backend.services.keys.create("default", "k", [])
        await auth.identify(DEFAULT, Credentials(key=secret))
        before = db.reads
        await auth.identify(DEFAULT, Credentials(key=secret))
        assert db.reads == before

    async def test_what_is_remembered_is_bounded(
        self, world: World, auth: Auth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auth_module, "MOST_KEPT", 3)
        for _ in range(5):
            _, value, user = await make_session(world)
            _, secret = await world.backend.services.keys.create("default", "k", [])
            assert (await auth.identify(DEFAULT, Credentials(session=value))).user == user
            assert (await auth.identify(DEFAULT, Credentials(key=secret))).kind is ActorKind.KEY
        assert len(auth._sessions) <= 3
        assert sum(map(len, auth._by_user.values())) <= 3
        assert len(auth._keys) <= 3

    async def test_a_change_of_the_user_is_seen(self, world: World, auth: Auth) -> None:
        _, value, user = await make_session(world)
        await auth.identify(DEFAULT, Credentials(session=value))
        await change(world, user, name="Eve", status=UserStatus.BLOCKED)
        found = (await auth.identify(DEFAULT, Credentials(session=value))).user
        assert found is not None
        assert (found.name, found.is_blocked) == ("Eve", True)

    async def test_every_session_of_a_user_sees_it_and_others_stay_known(
        self, world: World, auth: Auth, db: Counted
    ) -> None:
        _, one, user = await make_session(world)
        _, two, _ = await make_session(world, user.id)
        _, other, _ = await make_session(world)
        for value in (one, two, other):
            await auth.identify(DEFAULT, Credentials(session=value))
        await change(world, user, name="Eve")
        for value in (one, two):
            found = (await auth.identify(DEFAULT, Credentials(session=value))).user
            assert found is not None
            assert found.name == "Eve"
        before = db.reads
        await auth.identify(DEFAULT, Credentials(session=other))
        assert db.reads == before

    async def test_a_deleted_session_is_a_guest_and_its_token_too(self, world: World, auth: Auth) -> None:
        session, value, user = await make_session(world)
        token = auth._secret.make_jwt(user.id, session.id)
        assert (await auth.identify(DEFAULT, Credentials(session=value))).kind is ActorKind.USER
        assert (await auth.identify(DEFAULT, Credentials(jwt=token))).kind is ActorKind.USER
        await world.backend.db.write(lambda tx: tx.stores.sessions.delete(tx, session))
        assert (await auth.identify(DEFAULT, Credentials(session=value))).kind is ActorKind.GUEST
        assert (await auth.identify(DEFAULT, Credentials(jwt=token))).kind is ActorKind.GUEST

    async def test_a_deleted_key_is_unknown(self, world: World, auth: Auth) -> None:
        keys = world.backend.services.keys
        key, secret = await keys.create("default", "k", [])
        _, kept = await keys.create("default", "kept", [])
        await auth.identify(DEFAULT, Credentials(key=secret))
        await keys.delete("default", key.id)
        with pytest.raises(ScopeMissing):
            await auth.identify(DEFAULT, Credentials(key=secret))
        assert (await auth.identify(DEFAULT, Credentials(key=kept))).kind is ActorKind.KEY

    async def test_new_scopes_of_a_key_are_seen(self, world: World, auth: Auth) -> None:
        keys = world.backend.services.keys
        key, secret = await keys.create("default", "k", ["files.read"])
        await auth.identify(DEFAULT, Credentials(key=secret))
        await keys.update("default", key.id, "k", ["files.write"])
        assert (await auth.identify(DEFAULT, Credentials(key=secret))).scopes == {"files.write"}

    async def test_keys_of_a_deleted_project_are_unknown(self, world: World, auth: Auth) -> None:
        await world.backend.services.projects.create("other")
        other = Project(id="other", name="")
        _, secret = await world.backend.services.keys.create("other", "k", [])
        await auth.identify(other, Credentials(key=secret))
        await world.backend.services.projects.delete("other")
        with pytest.raises(ScopeMissing):
            await auth.identify(other, Credentials(key=secret))

    async def test_what_was_read_before_a_change_is_not_remembered(self, world: World, auth: Auth, db: Counted) -> None:
        _, value, user = await make_session(world)
        read = db.read

        async def slow(query: Any) -> Any:
            found = await read(query)
            if isinstance(found, User) and found.name == "Ada":
                await change(world, user, name="Eve")
            return found

        db.read = slow  # type: ignore[method-assign]
        await auth.identify(DEFAULT, Credentials(session=value))
        found = (await auth.identify(DEFAULT, Credentials(session=value))).user
        assert found is not None
        assert found.name == "Eve"


class TestOverTheWire:
    async def test_the_next_request_sees_each_change(self, world: World, user: Client) -> None:
        await user.get("/account")
        await user.patch("/account/name", {"name": "Eve"})
        assert (await user.get("/account"))["name"] == "Eve"
        second = await world.log_in("ada@example.com")
        await second.delete("/account/sessions", {})
        assert (await user.get("/account")).status == 401

    async def test_a_project_that_is_gone_is_unknown(self, world: World) -> None:
        projects = world.backend.services.projects
        await projects.create("other")
        other = world.guest.with_headers(X_Appwrite_Project="other")
        assert (await other.get("/account")).status == 401
        await projects.delete("other")
        assert (await other.get("/account")).status == 400
