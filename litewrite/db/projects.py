"""Projects and their platforms, as rows.

A project belongs to a team of the project `console`; whose members its administrators are is asked in the statement
that reads the project.
"""

from __future__ import annotations

import re

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.pages import Window
from litewrite.db.query import Query, Row, Value, many, one
from litewrite.db.search import Search, Term, bare, parse
from litewrite.entities import CONSOLE, Page, Platform, Project

COLUMNS = "id, name, team_id, settings, created_at"
PLATFORM_COLUMNS = "project_id, id, type, name, key, hostname, store, created_at, updated_at"
_WORD = re.compile(r"\w+")


def make(row: Row) -> Project:
    return Project(
        id=row[0], name=row[1], team_id=row[2], settings=orjson.loads(row[3]), created_at=from_micros(row[4])
    )


def make_platform(row: Row) -> Platform:
    return Platform(
        project_id=row[0],
        id=row[1],
        type=row[2],
        name=row[3],
        key=row[4],
        hostname=row[5],
        store=row[6],
        created_at=from_micros(row[7]),
        updated_at=from_micros(row[8]),
    )


def _administered(member_id: str | None) -> tuple[str, list[Value]]:
    """SQL for the projects of the teams that a console user has joined, to be put behind another condition."""
    if member_id is None:
        return "", []
    return (
        " AND team_id IN (SELECT team_id FROM memberships WHERE project_id = ? AND user_id = ? AND confirmed = 1)",
        [CONSOLE, member_id],
    )


def get(project_id: str, *, member_id: str | None = None) -> Query[Project | None]:
    """One project; with `member_id` only when that console user has joined the team that owns it."""
    administered, params = _administered(member_id)
    return Query(f"SELECT {COLUMNS} FROM projects WHERE id = ?{administered}", (project_id, *params), one(make))


def list_all() -> Query[tuple[Project, ...]]:
    """Every project, oldest first."""
    return Query(f"SELECT {COLUMNS} FROM projects ORDER BY created_at, id", (), many(make), inline=False)


def list_page(window: Window, *, member_id: str | None = None) -> Query[Page[Project]]:
    """A page of the app projects in the order of creation; with `member_id` of those that console user administers."""
    administered, params = _administered(member_id)
    order = "DESC" if window.descending else "ASC"
    search = parse(window.search)

    def decode(rows: list[Row]) -> Page[Project]:
        # Their names are in no index: people have few projects, and their ids are no numbers, which the index needs.
        if search is not None:
            rows = [row for row in rows if _is_found(search, row[0], row[1])]
        return Page(total=len(rows), items=tuple(map(make, rows[window.offset : window.offset + window.limit])))

    return Query(
        f"SELECT {COLUMNS} FROM projects WHERE id <> ?{administered} ORDER BY created_at {order}, id {order}",
        (CONSOLE, *params),
        decode,
        inline=False,
    )


def _is_found(search: Search, *values: str) -> bool:
    if search.finds_nothing:
        return False
    # Each word between blanks.
    texts = [f" {' '.join(_WORD.findall(bare(value)))} " for value in values]

    def has(text: str, term: Term) -> bool:
        return f" {' '.join(map(bare, term.words))}{'' if term.is_prefix else ' '}" in text

    wanted = all if search.required else any
    return any(
        wanted(has(text, term) for term in search.required or search.optional)
        and not any(has(text, term) for term in search.excluded)
        for text in texts
    )


def has_projects(team_id: str) -> Query[bool]:
    """Whether a console team owns a project."""

    def decode(rows: list[Row]) -> bool:
        return bool(rows)

    return Query("SELECT 1 FROM projects WHERE team_id = ? LIMIT 1", (team_id,), decode)


def platforms(project_id: str) -> Query[tuple[Platform, ...]]:
    """The platforms of a project, oldest first."""
    return Query(
        f"SELECT {PLATFORM_COLUMNS} FROM platforms WHERE project_id = ? ORDER BY id",
        (project_id,),
        many(make_platform),
    )


def platform(project_id: str, platform_id: str) -> Query[Platform | None]:
    return Query(
        f"SELECT {PLATFORM_COLUMNS} FROM platforms WHERE project_id = ? AND id = ?",
        (project_id, platform_id),
        one(make_platform),
    )


class ProjectStore:
    def insert(self, tx: Transaction, project: Project) -> None:
        tx.execute(
            f"INSERT INTO projects ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",
            (
                project.id,
                project.name,
                project.team_id,
                orjson.dumps(dict(project.settings)).decode(),
                to_micros(project.created_at),
            ),
        )
        tx.invalidate("project", project.id)

    def update(self, tx: Transaction, project: Project) -> None:
        tx.execute(
            "UPDATE projects SET name = ?, team_id = ?, settings = ? WHERE id = ?",
            (project.name, project.team_id, orjson.dumps(dict(project.settings)).decode(), project.id),
        )
        tx.invalidate("project", project.id)

    def adopt(self, tx: Transaction, team_id: str) -> None:
        """Give every app project that belongs to no team, or to one that is gone, to a console team."""
        for row in tx.rows(
            "UPDATE projects SET team_id = ? WHERE id <> ? AND NOT EXISTS "
            "(SELECT 1 FROM teams WHERE teams.project_id = ? AND teams.id = projects.team_id) RETURNING id",
            (team_id, CONSOLE, CONSOLE),
        ):
            tx.invalidate("project", row[0])

    def delete(self, tx: Transaction, project_id: str) -> None:
        """Remove the project with its platforms, keys and webhooks; what lies behind it goes in slices."""
        tx.execute("DELETE FROM projects WHERE id = ?", (project_id,))
        tx.stores.outbox.forget_subscriptions(project_id)
        for kind in ("project", "keys", "webhooks"):
            tx.invalidate(kind, project_id)


class PlatformStore:
    """Every change is told as one of the project."""

    def insert(self, tx: Transaction, platform: Platform) -> None:
        tx.execute(
            f"INSERT INTO platforms ({PLATFORM_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                platform.project_id,
                platform.id,
                platform.type,
                platform.name,
                platform.key,
                platform.hostname,
                platform.store,
                to_micros(platform.created_at),
                to_micros(platform.updated_at),
            ),
        )
        tx.invalidate("project", platform.project_id)

    def update(self, tx: Transaction, platform: Platform) -> None:
        """Store everything but the type."""
        tx.execute(
            "UPDATE platforms SET name = ?, key = ?, hostname = ?, store = ?, updated_at = ? "
            "WHERE project_id = ? AND id = ?",
            (
                platform.name,
                platform.key,
                platform.hostname,
                platform.store,
                to_micros(platform.updated_at),
                platform.project_id,
                platform.id,
            ),
        )
        tx.invalidate("project", platform.project_id)

    def delete(self, tx: Transaction, project_id: str, platform_id: str) -> bool:
        """Remove a platform; False when there was none."""
        removed = tx.execute("DELETE FROM platforms WHERE project_id = ? AND id = ?", (project_id, platform_id))
        tx.invalidate("project", project_id)
        return removed > 0
