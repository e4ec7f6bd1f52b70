"""Projects and their platforms, as rows."""

from __future__ import annotations

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.query import Query, Row, many, one
from litewrite.entities import Platform, Project

COLUMNS = "id, name, team_id, settings, created_at"
PLATFORM_COLUMNS = "project_id, id, type, name, key, hostname, store, created_at, updated_at"


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


def get(project_id: str) -> Query[Project | None]:
    return Query(f"SELECT {COLUMNS} FROM projects WHERE id = ?", (project_id,), one(make))


def list_all() -> Query[tuple[Project, ...]]:
    """Every project, oldest first."""
    return Query(f"SELECT {COLUMNS} FROM projects ORDER BY created_at, id", (), many(make), inline=False)


def platforms(project_id: str) -> Query[tuple[Platform, ...]]:
    return Query(
        f"SELECT {PLATFORM_COLUMNS} FROM platforms WHERE project_id = ? ORDER BY id",
        (project_id,),
        many(make_platform),
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

    def delete(self, tx: Transaction, project_id: str) -> None:
        """Remove the project with its platforms, keys and webhooks; what lies behind it goes in slices."""
        tx.execute("DELETE FROM projects WHERE id = ?", (project_id,))
        tx.invalidate("project", project_id)
