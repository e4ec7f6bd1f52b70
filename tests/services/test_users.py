"""Users as servers manage them, without HTTP: what may happen at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from litewrite.countries import Countries
from litewrite.db.engine import Transaction
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Client, User, UserStatus
from litewrite.errors import ArgumentInvalid, UserEmailTaken, UserExists, UserNotFound
from litewrite.events import Event
from litewrite.permissions import Actor, ActorKind
from litewrite.security import Passwords, ServerSecret
from litewrite.services.accounts import Accounts
from litewrite.services.projects import ensure_project
from litewrite.services.users import Users

PROJECT = "shop"
KEY = Actor(ActorKind.KEY, PROJECT)


class NoDetector:
    def detect(self, user_agent: str) -> Client:
        return Client()


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "data.db", durability="normal") as database:
        await database.write(ensure_project(PROJECT))
        yield database


@pytest.fixture
async def users(db: SqliteDatabase) -> AsyncIterator[Users]:
    passwords = Passwords(memory_kib=8, passes=1)
    yield Users(db, passwords, Accounts(db, passwords, ServerSecret(b"x" * 32), NoDetector(), Countries()))
    passwords.close()


async def make(users: Users, email: str = "ada@example.com") -> User:
    return await users.create(KEY, email=email, password="password", name="Ada")


async def test_one_of_many_gets_an_address(db: SqliteDatabase, users: Users) -> None:
    results = await asyncio.gather(*(make(users) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, User) for result in results) == 1
    assert sum(isinstance(result, UserExists) for result in results) == 9
    assert (await users.list(KEY)).total == 1
    assert (await users.list(KEY, search="ada")).total == 1


async def test_two_users_take_one_address_at_once(users: Users) -> None:
    first, second = await make(users, "a@example.com"), await make(users, "b@example.com")
    results = await asyncio.gather(
        users.update_email(KEY, first.id, "c@example.com"),
        users.update_email(KEY, second.id, "c@example.com"),
        return_exceptions=True,
    )
    assert isinstance(results[0], User)
    assert isinstance(results[1], UserEmailTaken)
    assert (await users.get(KEY, second.id)).email == "b@example.com"


async def test_a_user_who_is_deleted_while_it_is_changed(db: SqliteDatabase, users: Users) -> None:
    user = await make(users)
    events: list[Event] = []
    db.on_events(events.extend)
    results = await asyncio.gather(
        users.delete(KEY, user.id),
        users.update_name(KEY, user.id, "Bea"),
        users.update_password(KEY, user.id, "another"),
        users.update_status(KEY, user.id, UserStatus.BLOCKED),
        users.delete_session(KEY, user.id, "x"),
        users.delete_sessions(KEY, user.id),
        users.delete(KEY, user.id),
        return_exceptions=True,
    )
    assert results[0] is None
    assert [type(result) for result in results[1:]] == [UserNotFound] * 6
    assert [(event.resource, event.action) for event in events] == [("user", "delete")]
    assert (await users.list(KEY, search="ada bea")).total == 0


async def test_the_cache_is_told_of_every_change(db: SqliteDatabase, users: Users) -> None:
    user = await make(users)
    told: list[tuple[str, str]] = []
    db.on_invalidate(lambda kind, key: told.append((kind, key)))
    for change in (
        users.update_status(KEY, user.id, UserStatus.BLOCKED),
        users.update_verification(KEY, user.id, True),
        users.update_name(KEY, user.id, "Bea"),
        users.update_password(KEY, user.id, "another"),
        users.update_email(KEY, user.id, "bea@example.com"),
        users.update_preferences(KEY, user.id, {"a": 1}),
        users.delete_sessions(KEY, user.id),
        users.delete(KEY, user.id),
    ):
        told.clear()
        await change
        assert ("user", user.id) in told


async def test_preferences_have_a_limit(users: Users) -> None:
    user = await make(users)
    largest = {"a": "x" * (65_535 - len('{"a":""}'))}
    assert (await users.update_preferences(KEY, user.id, largest)).preferences.endswith('x"}')
    with pytest.raises(ArgumentInvalid):
        await users.update_preferences(KEY, user.id, {"a": largest["a"] + "x"})


async def test_ids_of_deleted_users_are_not_given_again(db: SqliteDatabase, users: Users) -> None:
    ids = []
    for _ in range(3):
        user = await make(users)
        ids.append(user.id)
        await users.delete(KEY, user.id)
    assert sorted(set(ids)) == ids

    def left(tx: Transaction) -> int:
        return len(tx.rows("SELECT rowid FROM search WHERE search MATCH 'ada'"))

    assert await db.write(left) == 0
