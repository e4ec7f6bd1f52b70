"""Users, sessions, keys and projects as rows: what comes back is what went in, and each project sees its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from litewrite.db import keys, projects, sessions, users
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import EPOCH, Client, Key, Project, Session, User, UserStatus

NOW = datetime(2031, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)
ADA = User(
    id="6b046fb9a94b5",
    project_id="p",
    name="Ada Ö",
    email="ada@example.com",
    registered_at=NOW,
    status=UserStatus.ACTIVE,
    email_verified=True,
    password_hash="$argon2id$x",
    password_updated_at=EPOCH,
    reset_required=True,
    preferences='{"a":1}',
)
SESSION = Session(
    id="6b046fb9a94b6",
    project_id="p",
    user_id=ADA.id,
    secret_hash="0f" * 32,
    expires_at=NOW,
    provider="email",
    provider_uid="ada@example.com",
    ip="::1",
    country_code="de",
    client=Client("WIN", "Windows", "10", device_model="ü"),
)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "test.db", durability="normal") as opened:
        yield opened


@pytest.fixture
def told(db: SqliteDatabase) -> list[tuple[str, str]]:
    """What caches are told to forget."""
    heard: list[tuple[str, str]] = []
    db.on_invalidate(lambda kind, key: heard.append((kind, key)))
    return heard


async def store(db: SqliteDatabase, *entities: User | Session) -> None:
    def unit(tx: Any) -> None:
        for entity in entities:
            (tx.stores.users if isinstance(entity, User) else tx.stores.sessions).insert(tx, entity)

    await db.write(unit)


class TestUsers:
    async def test_every_field_comes_back(self, db: SqliteDatabase) -> None:
        await store(db, ADA)
        assert await db.read(users.get("p", ADA.id)) == ADA
        assert await db.read(users.get("q", ADA.id)) is None

    async def test_every_field_is_updated_and_caches_are_told(
        self, db: SqliteDatabase, told: list[tuple[str, str]]
    ) -> None:
        other = replace(ADA, id="6b046fb9a94b7", email="eve@example.com")
        await store(db, ADA, other)
        changed = User(id=ADA.id, project_id="p", name="", email="", registered_at=EPOCH, password_updated_at=NOW)
        await db.write(lambda tx: tx.stores.users.update(tx, changed))
        assert await db.read(users.get("p", ADA.id)) == changed
        assert await db.read(users.get("p", other.id)) == other
        assert told == [("user", ADA.id)]

    async def test_an_address_finds_who_took_it_first(self, db: SqliteDatabase) -> None:
        later = replace(ADA, id="6b046fb9a94c0")
        await store(db, later, ADA, replace(ADA, id="6b046fb9a94a0", project_id="q"))
        assert await db.read(users.by_email("p", "ada@example.com")) == ADA
        assert await db.read(users.by_email("p", "ADA@example.com")) is None
        assert await db.read(users.by_email("r", "ada@example.com")) is None

    async def test_no_address_finds_nobody(self, db: SqliteDatabase) -> None:
        await store(db, replace(ADA, email=""))
        assert await db.read(users.by_email("p", "")) is None

    async def test_they_are_counted_by_project(self, db: SqliteDatabase) -> None:
        await store(db, ADA, replace(ADA, id="6b046fb9a94c0"), replace(ADA, id="6b046fb9a94a0", project_id="q"))
        assert [await db.read(users.count(project)) for project in "pqr"] == [2, 1, 0]


class TestSessions:
    async def test_every_field_comes_back(self, db: SqliteDatabase) -> None:
        await store(db, SESSION)
        assert await db.read(sessions.get("p", ADA.id, SESSION.id)) == SESSION
        assert await db.read(sessions.by_secret("p", ADA.id, "0f" * 32)) == SESSION

    @pytest.mark.parametrize("wrong", [("q", ADA.id), ("p", "6b046fb9a94c0")])
    async def test_they_belong_to_their_user(self, db: SqliteDatabase, wrong: tuple[str, str]) -> None:
        await store(db, SESSION)
        assert await db.read(sessions.get(*wrong, SESSION.id)) is None
        assert await db.read(sessions.by_secret(*wrong, "0f" * 32)) is None
        assert await db.read(sessions.by_secret("p", ADA.id, "0e" * 32)) is None

    async def test_those_that_live_are_listed_oldest_first(self, db: SqliteDatabase) -> None:
        old, new = replace(SESSION, id="6b046fb9a94a0"), replace(SESSION, id="6b046fb9a94c0")
        over = replace(SESSION, id="6b046fb9a94d0", expires_at=NOW - timedelta(seconds=1))
        await store(db, new, over, SESSION, old, replace(SESSION, user_id="other"))
        found = await db.read(sessions.of_user("p", ADA.id, NOW - timedelta(microseconds=1)))
        assert found == (old, SESSION, new)

    async def test_one_is_deleted_and_caches_are_told(self, db: SqliteDatabase, told: list[tuple[str, str]]) -> None:
        other = replace(SESSION, id="6b046fb9a94c0")
        await store(db, SESSION, other)
        await db.write(lambda tx: tx.stores.sessions.delete(tx, SESSION))
        assert await db.read(sessions.of_user("p", ADA.id, EPOCH)) == (other,)
        assert told == [("user", ADA.id)]

    async def test_all_of_a_user_are_deleted(self, db: SqliteDatabase, told: list[tuple[str, str]]) -> None:
        stranger = replace(SESSION, user_id="other")
        await store(db, SESSION, replace(SESSION, id="6b046fb9a94c0"), stranger)
        await db.write(lambda tx: tx.stores.sessions.delete_of_user(tx, "p", ADA.id))
        assert await db.read(sessions.of_user("p", ADA.id, EPOCH)) == ()
        assert await db.read(sessions.of_user("p", "other", EPOCH)) == (stranger,)
        assert told == [("user", ADA.id)]

    async def test_expired_ones_go_in_slices(self, db: SqliteDatabase) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await store(
            db,
            replace(SESSION, expires_at=datetime.now(UTC) + timedelta(hours=1)),
            *(replace(SESSION, id=f"6b046fb9a950{number}", expires_at=past) for number in range(5)),
        )
        removed = [await db.write(lambda tx: tx.stores.sessions.delete_expired(tx, 2)) for _ in range(4)]
        assert removed == [2, 2, 1, 0]
        assert [session.id for session in await db.read(sessions.of_user("p", ADA.id, EPOCH))] == [SESSION.id]


class TestKeysAndProjects:
    async def test_a_project_comes_back_with_its_settings(self, db: SqliteDatabase) -> None:
        project = Project("p", "Name", "team", NOW, {"auth": {"jwt": False}, "user_limit": 3})
        await db.write(lambda tx: tx.stores.projects.insert(tx, project))
        found = await db.read(projects.get("p"))
        assert found == project
        assert (found.auth_enabled("jwt"), found.auth_enabled("anonymous"), found.user_limit) == (False, True, 3)
        changed = replace(project, name="Other", team_id="", settings={})
        await db.write(lambda tx: tx.stores.projects.update(tx, changed))
        assert await db.read(projects.get("p")) == changed

    async def test_projects_are_listed_oldest_first(self, db: SqliteDatabase) -> None:
        for name, moment in (("b", NOW), ("a", NOW), ("c", EPOCH)):
            await db.write(lambda tx, p=Project(name, "", "", moment): tx.stores.projects.insert(tx, p))  # type: ignore[misc]
        assert [project.id for project in await db.read(projects.list_all())] == ["c", "a", "b"]

    async def test_a_key_comes_back_and_goes_with_its_project(
        self, db: SqliteDatabase, told: list[tuple[str, str]]
    ) -> None:
        key = Key("6b046fb9a94b5", "p", "mine", ("b", "a"), "0f" * 32, "12345678", NOW)
        await db.write(lambda tx: tx.stores.projects.insert(tx, Project("p", "")))
        await db.write(lambda tx: tx.stores.keys.insert(tx, key))
        assert await db.read(keys.get("p", key.id)) == key
        assert await db.read(keys.by_secret("p", "0f" * 32)) == key
        assert await db.read(keys.by_secret("q", "0f" * 32)) is None
        assert await db.write(lambda tx: tx.stores.keys.delete(tx, "q", key.id)) is False
        await db.write(lambda tx: tx.stores.projects.delete(tx, "p"))
        assert await db.read(keys.of_project("p")) == ()
        assert ("keys", "p") in told
        assert ("project", "p") in told
