"""Administrators, as rows: the users of the project `console`."""

from __future__ import annotations

from litewrite.db.query import Query, Row, many
from litewrite.db.users import COLUMNS, make
from litewrite.entities import CONSOLE, User, UserStatus


def list_all() -> Query[tuple[User, ...]]:
    """Every administrator, blocked ones too, oldest first."""
    return Query(f"SELECT {COLUMNS} FROM users WHERE project_id = ? ORDER BY id", (CONSOLE,), many(make), inline=False)


def exist() -> Query[bool]:
    """Whether there is an administrator who is not blocked."""

    def decode(rows: list[Row]) -> bool:
        return bool(rows)

    return Query(
        "SELECT 1 FROM users WHERE project_id = ? AND status <> ? LIMIT 1", (CONSOLE, int(UserStatus.BLOCKED)), decode
    )
