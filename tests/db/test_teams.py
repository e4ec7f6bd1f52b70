"""Teams, memberships and users as rows: what is found, what is counted, what stays in the index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from litewrite.db import memberships as membership_rows
from litewrite.db import teams as team_rows
from litewrite.db import users as user_rows
from litewrite.db.engine import Transaction
from litewrite.db.pages import Window
from litewrite.db.query import Query
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import Membership, Team, User

PROJECT, OTHER = "shop", "shop-2"
NOW = datetime(2022, 1, 5, 22, 23, 53, 123456, tzinfo=UTC)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "data.db", durability="normal") as database:
        yield database


async def add_team(db: SqliteDatabase, name: str, project_id: str = PROJECT) -> Team:
    def unit(tx: Transaction) -> Team:
        team = Team(tx.new_id(), project_id, name, 0, NOW)
        tx.stores.teams.insert(tx, team)
        return team

    return await db.write(unit)


async def add_user(db: SqliteDatabase, name: str, email: str, project_id: str = PROJECT) -> User:
    def unit(tx: Transaction) -> User:
        user = User(tx.new_id(), project_id, name, email, registered_at=NOW)
        tx.stores.users.insert(tx, user)
        return user

    return await db.write(unit)


async def join(
    db: SqliteDatabase, team: Team, user: User, *roles: str, confirmed: bool = True, project_id: str = PROJECT
) -> Membership:
    def unit(tx: Transaction) -> Membership:
        membership = Membership(
            id=tx.new_id(),
            project_id=project_id,
            team_id=team.id,
            user_id=user.id,
            roles=roles,
            invited_at=NOW,
            joined_at=NOW if confirmed else None,
            confirmed=confirmed,
            secret_hash="" if confirmed else "ab" * 32,
            invited_email=user.email,
        )
        tx.stores.memberships.insert(tx, membership)
        if confirmed:
            tx.stores.teams.count_in(tx, project_id, team.id)
        return membership

    return await db.write(unit)


async def plan(db: SqliteDatabase, query: Query[Any]) -> str:
    rows = await db.write(lambda tx: tx.rows(f"EXPLAIN QUERY PLAN {query.sql}", query.params))
    return "\n".join(str(row[3]) for row in rows)


async def test_teams_are_read_as_they_were_written(db: SqliteDatabase) -> None:
    team = await add_team(db, "Arsenal")
    assert await db.read(team_rows.get(PROJECT, team.id)) == team
    assert await db.read(team_rows.get(OTHER, team.id)) is None
    assert await db.read(team_rows.get(PROJECT, team.id, member_id="")) is None


async def test_memberships_are_read_as_they_were_written(db: SqliteDatabase) -> None:
    team, user = await add_team(db, "Arsenal"), await add_user(db, "Ada", "ada@example.com")
    for confirmed in (False, True):
        membership = await join(db, team, user, "b", "a", "b", confirmed=confirmed)
        assert await db.read(membership_rows.get(PROJECT, membership.id)) == membership
        assert await db.read(membership_rows.of_user(PROJECT, user.id, team.id)) == membership
        assert await db.read(membership_rows.get(OTHER, membership.id)) is None
        changed = replace(membership, roles=(), joined_at=NOW, confirmed=True)
        await db.write(lambda tx, changed=changed: tx.stores.memberships.update(tx, changed))  # type: ignore[misc]
        assert await db.read(membership_rows.get(PROJECT, membership.id)) == changed
        await db.write(lambda tx, changed=changed: tx.stores.memberships.delete(tx, changed))  # type: ignore[misc]
        assert await db.read(membership_rows.get(PROJECT, membership.id)) is None


async def test_every_change_of_a_membership_is_told(db: SqliteDatabase) -> None:
    team, user = await add_team(db, "Arsenal"), await add_user(db, "Ada", "ada@example.com")
    told: list[tuple[str, str]] = []
    db.on_invalidate(lambda kind, key: told.append((kind, key)))
    membership = await join(db, team, user)
    await db.write(lambda tx: tx.stores.memberships.update(tx, membership))
    await db.write(lambda tx: tx.stores.memberships.delete(tx, membership))
    await db.write(lambda tx: tx.stores.memberships.delete_of_user(tx, PROJECT, user.id))
    assert told == [("user", user.id)] * 4


async def test_only_confirmed_members_see_a_team(db: SqliteDatabase) -> None:
    team = await add_team(db, "Arsenal")
    member, invited = await add_user(db, "A", "a@example.com"), await add_user(db, "B", "b@example.com")
    await join(db, team, member)
    await join(db, team, invited, confirmed=False)
    assert (await db.read(team_rows.get(PROJECT, team.id, member_id=member.id))) is not None
    assert (await db.read(team_rows.get(PROJECT, team.id, member_id=invited.id))) is None
    for user, teams, members in ((member, 1, 2), (invited, 0, 0)):
        assert (await db.read(team_rows.list_page(PROJECT, Window(), member_id=user.id))).total == teams
        page = await db.read(membership_rows.list_page(PROJECT, team.id, Window(), member_id=user.id))
        assert (page.total, len(page.items)) == (members, members)


async def test_the_index_of_teams_follows(db: SqliteDatabase) -> None:
    team = await add_team(db, "Blue Harbour")
    await add_team(db, "Blue Harbour", OTHER)

    async def found(text: str, project_id: str = PROJECT) -> int:
        return (await db.read(team_rows.list_page(project_id, Window(search=text)))).total

    assert [await found(text) for text in ("blue", "HARBOUR", "har", "green")] == [1, 1, 0, 0]
    await db.write(lambda tx: tx.stores.teams.rename(tx, team, "Green Harbour"))
    assert [await found(text) for text in ("blue", "harbour", "green")] == [0, 1, 1]
    renamed = replace(team, name="Green Harbour")
    await db.write(lambda tx: tx.stores.teams.delete(tx, renamed))
    assert [await found(text) for text in ("blue", "harbour", "green")] == [0, 0, 0]
    assert await found("blue", OTHER) == 1
    assert await db.write(lambda tx: tx.stores.teams.delete_of_project(tx, OTHER, 10)) == 1
    assert await found("blue", OTHER) == 0
    assert await db.write(lambda tx: tx.rows("SELECT rowid FROM search WHERE search MATCH 'blue OR green'")) == []


async def test_counting_out_a_user_touches_its_own_teams_once(db: SqliteDatabase) -> None:
    first, second, third = [await add_team(db, name) for name in ("First", "Second", "Third")]
    user, other = await add_user(db, "A", "a@example.com"), await add_user(db, "B", "b@example.com")
    await join(db, first, user)
    await join(db, first, other)
    await join(db, second, user, confirmed=False)
    await join(db, third, other)

    def leave(tx: Transaction) -> None:
        tx.stores.teams.count_out_user(tx, PROJECT, user.id)
        tx.stores.memberships.delete_of_user(tx, PROJECT, user.id)

    for _ in range(2):
        await db.write(leave)
        teams = (await db.read(team_rows.list_page(PROJECT, Window()))).items
        assert [team.total for team in teams] == [1, 0, 1]


async def test_deleting_the_memberships_of_a_team_tells_every_member(db: SqliteDatabase) -> None:
    team, other = await add_team(db, "First"), await add_team(db, "Second")
    users = [await add_user(db, "A", f"{number}@example.com") for number in range(3)]
    for user in users:
        await join(db, team, user)
    await join(db, other, users[0])
    told: list[tuple[str, str]] = []
    db.on_invalidate(lambda kind, key: told.append((kind, key)))
    await db.write(lambda tx: tx.stores.memberships.delete_of_team(tx, PROJECT, team.id))
    assert sorted(told) == sorted(("user", user.id) for user in users)
    assert (await db.read(membership_rows.list_page(PROJECT, team.id, Window()))).total == 0
    assert (await db.read(membership_rows.list_page(PROJECT, other.id, Window()))).total == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("owner", [0]),
        ("editor", [1, 2]),
        ("chief", [1]),
        ('"chief editor"', [1]),
        ('"editor chief"', []),
        ('"owner reader"', []),
        ("read*", [0]),
        ("+editor +chief", [1]),
        ("+editor -chief", [2]),
        ("-chief", []),
        ("team_lead", [2]),
        ("lead", []),
        ("ada", [0]),
        ("ada chief", [0, 1]),
        ("+ada +chief", []),
        ("ÉDITH", [1]),
        ("example", [0, 1]),
        ("somebody", []),
        ("++editor", []),
        ("", [0, 1, 2]),
        ("*", [0, 1, 2]),
        ("\" ' ] [ ,", []),
    ],
)
async def test_search_of_memberships(db: SqliteDatabase, text: str, found: list[int]) -> None:
    team = await add_team(db, "Arsenal")
    ada = await add_user(db, "Ada", "ada@example.com")
    edith = await add_user(db, "Edith", "edith@example.com")
    gone = User("61d5c1a2b3c4d", PROJECT, "Somebody", "", registered_at=NOW)
    ids = [
        (await join(db, team, ada, "owner", "reader")).id,
        (await join(db, team, edith, "Chief-Editor")).id,
        (await join(db, team, gone, "editor", "team_lead")).id,
    ]
    page = await db.read(membership_rows.list_page(PROJECT, team.id, Window(search=text)))
    assert [member.membership.id for member in page.items] == [ids[number] for number in found]
    assert page.total == len(found)


async def test_members_are_called_what_their_users_are_called(db: SqliteDatabase) -> None:
    team, user = await add_team(db, "Arsenal"), await add_user(db, "Ada", "ada@example.com")
    await join(db, team, user)
    await db.write(lambda tx: tx.stores.users.update(tx, replace(user, name="Bea", email="bea@example.com")))
    [member] = (await db.read(membership_rows.list_page(PROJECT, team.id, Window()))).items
    assert (member.name, member.email) == ("Bea", "bea@example.com")
    await db.write(lambda tx: tx.stores.users.delete(tx, PROJECT, user.id))
    [member] = (await db.read(membership_rows.list_page(PROJECT, team.id, Window()))).items
    assert (member.name, member.email) == ("", "")


async def test_a_change_of_a_user_who_is_gone_is_nothing(db: SqliteDatabase) -> None:
    user = await add_user(db, "Ada", "ada@example.com")
    for _ in range(2):
        await db.write(lambda tx: tx.stores.users.delete(tx, PROJECT, user.id))
    await db.write(lambda tx: tx.stores.users.update(tx, replace(user, name="Bea")))
    assert (await db.read(user_rows.list_page(PROJECT, Window()))).total == 0
    assert await db.write(lambda tx: tx.rows("SELECT rowid FROM search WHERE search MATCH 'ada OR bea'")) == []


async def test_users_of_a_project_go_in_slices(db: SqliteDatabase) -> None:
    for number in range(5):
        await add_user(db, "Ada", f"{number}@example.com")
    await add_user(db, "Ada", "other@example.com", OTHER)
    removed = [await db.write(lambda tx: tx.stores.users.delete_of_project(tx, PROJECT, 2)) for _ in range(4)]
    assert removed == [2, 2, 1, 0]
    assert (await db.read(user_rows.list_page(OTHER, Window(search="ada")))).total == 1
    assert len(await db.write(lambda tx: tx.rows("SELECT rowid FROM search WHERE search MATCH 'ada'"))) == 1


async def test_nothing_reads_more_than_it_has_to(db: SqliteDatabase) -> None:
    for query, index in (
        (team_rows.get(PROJECT, "x", member_id="y"), "SEARCH teams USING PRIMARY KEY (project_id=? AND id=?)"),
        (team_rows.list_page(PROJECT, Window(), member_id="y"), "memberships_user (project_id=? AND user_id=?)"),
        (membership_rows.get(PROJECT, "x"), "SEARCH memberships USING PRIMARY KEY (id=?)"),
        (membership_rows.of_user(PROJECT, "x", "y"), "memberships_user (project_id=? AND user_id=? AND team_id=?)"),
        (membership_rows.list_page(PROJECT, "x", Window()), "memberships_team (project_id=? AND team_id=?)"),
        (
            membership_rows.list_page(PROJECT, "x", Window(search="word"), member_id="y"),
            "memberships_team (project_id=? AND team_id=?)",
        ),
        (membership_rows.list_page(PROJECT, "x", Window()), "COVERING INDEX memberships_team"),
        (user_rows.memberships(PROJECT, "x"), "memberships_user (project_id=? AND user_id=?)"),
        (user_rows.get(PROJECT, "x"), "SEARCH users USING PRIMARY KEY (id=?)"),
        (user_rows.by_email(PROJECT, "x"), "users_email (project_id=? AND email=?)"),
        (user_rows.count(PROJECT), "COVERING INDEX users_project (project_id=?)"),
    ):
        assert index in await plan(db, query)
    # One sort is that of the page itself, which is short.
    for query in (
        team_rows.list_page(PROJECT, Window(descending=True)),
        membership_rows.list_page(PROJECT, "x", Window(descending=True), member_id="y"),
        user_rows.list_page(PROJECT, Window()),
    ):
        assert (await plan(db, query)).count("TEMP B-TREE FOR ORDER BY") == 1
