"""The audit log and the interned rows behind it and behind permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from litewrite.db import audit, removals
from litewrite.db.query import Query
from litewrite.db.role_lists import decode, visible_clause
from litewrite.db.sqlite import SqliteDatabase


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "test.db", durability="normal") as opened:
        yield opened


def entry(tx: Any, event: str = "e", *, user: str = "ada", agent: str = "Agent/1", project: str = "p") -> None:
    tx.stores.audit.insert(
        tx, project_id=project, user_id=user, event=event, resource=f"users/{user}", user_agent=agent, ip="::1"
    )


async def newest(db: SqliteDatabase, *events: str, user: str = "ada", limit: int = 10) -> list[str]:
    return [found.event for found in await db.read(audit.newest_of_user("p", user, events, limit))]


class TestAudit:
    async def test_an_entry_comes_back_with_its_moment(self, db: SqliteDatabase) -> None:
        await db.write(entry)
        (found,) = await db.read(audit.newest_of_user("p", "ada", ["e"], 10))
        assert (found.project_id, found.user_id, found.event) == ("p", "ada", "e")
        assert (found.resource, found.user_agent, found.ip) == ("users/ada", "Agent/1", "::1")
        assert abs(found.occurred_at - datetime.now(UTC)) < timedelta(seconds=5)

    async def test_the_newest_come_first_and_others_not_at_all(self, db: SqliteDatabase) -> None:
        for event in ("a", "b", "c", "b"):
            await db.write(lambda tx, event=event: entry(tx, event))  # type: ignore[misc]
        await db.write(lambda tx: entry(tx, "b", user="eve"))
        await db.write(lambda tx: entry(tx, "b", user=""))
        await db.write(lambda tx: entry(tx, "b", project="q"))
        assert await newest(db, "a", "b", "c") == ["b", "c", "b", "a"]
        assert await newest(db, "a", "b") == ["b", "b", "a"]
        assert await newest(db, "a", "b", limit=1) == ["b"]
        assert await newest(db, "b", user="") == []
        assert await newest(db) == []

    async def test_a_user_agent_is_stored_once_and_cut(self, db: SqliteDatabase) -> None:
        for agent in ("one", "one", "x" * 5_000, "x" * 3_000):
            await db.write(lambda tx, agent=agent: entry(tx, agent=agent))  # type: ignore[misc]
        rows = await db.write(lambda tx: tx.rows("SELECT user_agent FROM agents ORDER BY id"))
        assert rows == [("one",), ("x" * 2_000,)]

    async def test_what_a_rollback_undid_is_interned_again(self, db: SqliteDatabase) -> None:
        def failing(tx: Any) -> None:
            entry(tx, agent="new")
            raise ValueError

        with pytest.raises(ValueError):
            await db.write(failing)
        await db.write(lambda tx: entry(tx, agent="other"))
        await db.write(lambda tx: entry(tx, agent="new"))
        agents = [found.user_agent for found in await db.read(audit.newest_of_user("p", "ada", ["e"], 10))]
        assert agents == ["new", "other"]

    async def test_old_entries_go_in_slices(self, db: SqliteDatabase) -> None:
        for number in range(5):
            await db.write(lambda tx, number=number: entry(tx, str(number)))  # type: ignore[misc]
        before = await db.write(lambda tx: tx.new_id())
        await db.write(lambda tx: entry(tx, "5"))
        removed = [await db.write(lambda tx: tx.stores.audit.delete_older(tx, before, 3)) for _ in range(3)]
        assert removed == [3, 2, 0]
        assert await newest(db, *"012345") == ["5"]


class TestRoleLists:
    async def intern(self, db: SqliteDatabase, *roles: str) -> int:
        found: int = await db.write(lambda tx: tx.stores.role_lists.intern(tx, roles))
        return found

    async def test_equal_lists_are_one_row_and_order_counts(self, db: SqliteDatabase) -> None:
        one = await self.intern(db, "a", "b")
        assert await self.intern(db, "a", "b") == one
        assert (
            len({one, await self.intern(db, "b", "a"), await self.intern(db, "a", "b", "a"), await self.intern(db)})
            == 4
        )
        rows = await db.write(lambda tx: tx.rows("SELECT roles FROM role_lists ORDER BY id"))
        assert [decode(row[0]) for row in rows] == [("a", "b"), ("b", "a"), ("a", "b", "a"), ()]

    async def visible(self, db: SqliteDatabase, *roles: str) -> set[int]:
        clause, values = visible_clause("id", frozenset(roles))
        rows = await db.read(Query(f"SELECT id FROM role_lists WHERE {clause}", values, list))
        return {row[0] for row in rows}

    async def test_a_list_is_visible_to_each_of_its_roles(self, db: SqliteDatabase) -> None:
        one, two = await self.intern(db, "a", "b"), await self.intern(db, "b")
        await self.intern(db)
        assert await self.visible(db, "a") == {one}
        assert await self.visible(db, "a", "b") == {one, two}
        assert await self.visible(db, "c") == set()
        assert await self.visible(db, *(f"team:{number}" for number in range(40_000)), "a") == {one}

    async def test_what_a_rollback_undid_is_interned_again(self, db: SqliteDatabase) -> None:
        def failing(tx: Any) -> None:
            tx.stores.role_lists.intern(tx, ("a",))
            raise ValueError

        with pytest.raises(ValueError):
            await db.write(failing)
        one = await self.intern(db, "b")
        assert await self.intern(db, "a") != one
        assert len(await self.visible(db, "a")) == 1


async def test_removals_wait_in_order_until_they_are_done(db: SqliteDatabase) -> None:
    heard: list[str] = []
    db.on_invalidate(lambda kind, key: heard.append(kind))
    assert await db.read(removals.oldest()) is None
    for key in "ab":
        await db.write(lambda tx, key=key: tx.stores.removals.add(tx, "blob", "p", key))  # type: ignore[misc]
    first = await db.read(removals.oldest())
    assert first is not None
    assert (first.kind, first.project_id, first.key) == ("blob", "p", "a")
    second = await db.read(removals.oldest(first.id))
    assert second is not None
    assert second.key == "b"
    await db.write(lambda tx: tx.stores.removals.done(tx, first))
    assert await db.read(removals.oldest()) == second
    assert heard == ["removals", "removals"]
