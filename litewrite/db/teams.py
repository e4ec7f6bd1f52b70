"""Teams, as rows.

`total` is the number of confirmed memberships. It is changed in the transaction that confirms or removes one, and by
difference, so that it never depends on what somebody has read before.
"""

from __future__ import annotations

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, one
from litewrite.db.search import clause, scope_of
from litewrite.entities import Page, Team

COLUMNS = "project_id, id, name, total, created_at"


def make(row: Row) -> Team:
    return Team(project_id=row[0], id=row[1], name=row[2], total=row[3], created_at=from_micros(row[4]))


def _joined(project_id: str, member_id: str | None) -> tuple[str, list[Value]]:
    """SQL that holds for the teams of a user, to be put behind another condition; None is for every team."""
    if member_id is None:
        return "", []
    return (
        " AND id IN (SELECT team_id FROM memberships WHERE project_id = ? AND user_id = ? AND confirmed = 1)",
        [project_id, member_id],
    )


def get(project_id: str, team_id: str, *, member_id: str | None = None) -> Query[Team | None]:
    """One team; with `member_id` only when that user has joined it, so that row and permission are of one moment."""
    joined, params = _joined(project_id, member_id)
    return Query(
        f"SELECT {COLUMNS} FROM teams WHERE project_id = ? AND id = ?{joined}",
        (project_id, team_id, *params),
        one(make),
    )


def list_page(project_id: str, window: Window, *, member_id: str | None = None) -> Query[Page[Team]]:
    """A page of the teams of a project in the order of creation; with `member_id` of those that user has joined."""
    joined, more = _joined(project_id, member_id)
    condition = f"project_id = ?{joined}"
    params: list[Value] = [project_id, *more]
    found = clause(_scope(project_id), window.search, "id", packed=False)
    if found is not None:
        condition += f" AND {found[0]}"
        params += found[1]
    return page(COLUMNS, "teams", condition, params, window, make)


def _scope(project_id: str) -> str:
    return scope_of("teams", project_id)


class TeamStore:
    def insert(self, tx: Transaction, team: Team) -> None:
        tx.execute(
            f"INSERT INTO teams ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",
            (team.project_id, team.id, team.name, team.total, to_micros(team.created_at)),
        )
        tx.stores.search.add(tx, _scope(team.project_id), team.id, (team.name,))

    def rename(self, tx: Transaction, team: Team, name: str) -> None:
        tx.execute("UPDATE teams SET name = ? WHERE project_id = ? AND id = ?", (name, team.project_id, team.id))
        tx.stores.search.replace(tx, _scope(team.project_id), team.id, (team.name,), (name,))

    def count_in(self, tx: Transaction, project_id: str, team_id: str) -> None:
        """One confirmed member more."""
        tx.execute("UPDATE teams SET total = total + 1 WHERE project_id = ? AND id = ?", (project_id, team_id))

    def count_out(self, tx: Transaction, project_id: str, team_id: str) -> None:
        """One confirmed member less."""
        tx.execute(
            "UPDATE teams SET total = total - 1 WHERE project_id = ? AND id = ? AND total > 0", (project_id, team_id)
        )

    def count_out_user(self, tx: Transaction, project_id: str, user_id: str) -> None:
        """One confirmed member less in every team that a user has joined."""
        joined, params = _joined(project_id, user_id)
        tx.execute(
            f"UPDATE teams SET total = total - 1 WHERE project_id = ? AND total > 0{joined}", (project_id, *params)
        )

    def delete(self, tx: Transaction, team: Team) -> None:
        """Remove the team; its memberships are rows of their own."""
        tx.execute("DELETE FROM teams WHERE project_id = ? AND id = ?", (team.project_id, team.id))
        tx.stores.search.remove(tx, _scope(team.project_id), team.id, (team.name,))

    def delete_of_project(self, tx: Transaction, project_id: str, limit: int) -> int:
        """Delete up to `limit` teams of a project and return how many there were."""
        rows = tx.rows(f"SELECT {COLUMNS} FROM teams WHERE project_id = ? LIMIT ?", (project_id, limit))
        for row in rows:
            self.delete(tx, make(row))
        return len(rows)
