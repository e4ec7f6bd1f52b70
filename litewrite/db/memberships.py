"""Memberships of teams, as rows; a user has at most one in each team.

They are searched by looking at every row of their team instead of through the index: teams are small, and a membership
comes and goes with its team or its user, whose rows are then removed at once.
"""

from __future__ import annotations

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, from_micros_or_none, to_micros
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, one
from litewrite.db.search import Term, bare, clause, parse, scope_of
from litewrite.entities import Member, Membership, Page

COLUMNS = "project_id, id, team_id, user_id, roles, invited_at, joined_at, confirmed, secret_hash, invited_email"
_OF_USER = "(SELECT {} FROM users WHERE users.id = memberships.user_id AND users.project_id = memberships.project_id)"
# No join, since the rows are counted as well, and that takes an index alone.
_MEMBER_COLUMNS = f"{COLUMNS}, {_OF_USER.format('name')}, {_OF_USER.format('email')}"
# Ids and roles, each word between blanks. Roles are ASCII, and only the hyphen parts words in them.
_WORDS = (
    "(' ' || memberships.id || ' ' || memberships.user_id || ' ' || memberships.team_id || ' ' || "
    "replace(replace(lower(memberships.roles), '\"', ' '), '-', ' '))"
)


def make(row: Row) -> Membership:
    return Membership(
        project_id=row[0],
        id=row[1],
        team_id=row[2],
        user_id=row[3],
        roles=tuple(orjson.loads(row[4])),
        invited_at=from_micros(row[5]),
        joined_at=from_micros_or_none(row[6]),
        confirmed=bool(row[7]),
        secret_hash=row[8],
        invited_email=row[9],
    )


def make_member(row: Row) -> Member:
    return Member(make(row), name=row[10] or "", email=row[11] or "")


def get(project_id: str, membership_id: str) -> Query[Membership | None]:
    return Query(
        f"SELECT {COLUMNS} FROM memberships WHERE project_id = ? AND id = ?", (project_id, membership_id), one(make)
    )


def of_user(project_id: str, user_id: str, team_id: str) -> Query[Membership | None]:
    """The membership of a user in one team, confirmed or not."""
    return Query(
        f"SELECT {COLUMNS} FROM memberships WHERE project_id = ? AND user_id = ? AND team_id = ?",
        (project_id, user_id, team_id),
        one(make),
    )


def list_page(project_id: str, team_id: str, window: Window, *, member_id: str | None = None) -> Query[Page[Member]]:
    """A page of the memberships of a team in the order of creation, with what their users are called now.

    With `member_id` it is empty unless that user has joined the team, so that rows and permission are of one moment.
    """
    condition = "memberships.project_id = ? AND memberships.team_id = ?"
    params: list[Value] = [project_id, team_id]
    if member_id is not None:
        condition += (
            " AND EXISTS (SELECT 1 FROM memberships AS own WHERE own.project_id = ? AND own.user_id = ? "
            "AND own.team_id = ? AND own.confirmed = 1)"
        )
        params += [project_id, member_id, team_id]
    found = _found(project_id, window.search)
    if found is not None:
        condition += f" AND {found[0]}"
        params += found[1]
    return page(_MEMBER_COLUMNS, "memberships", condition, params, window, make_member)


def _found(project_id: str, text: str) -> tuple[str, list[Value]] | None:
    """SQL for memberships whose ids and roles, or whose user's name or address, a search finds; None for no search."""
    search = parse(text)
    if search is None:
        return None
    if search.finds_nothing:
        return "0", []
    params: list[Value] = []

    def either(terms: tuple[Term, ...], word: str) -> str:
        params.extend(_needle(term) for term in terms)
        return "(" + word.join(f"instr({_WORDS}, ?) > 0" for _ in terms) + ")"

    condition = either(search.required, " AND ") if search.required else either(search.optional, " OR ")
    if search.excluded:
        condition += f" AND NOT {either(search.excluded, ' OR ')}"
    of_users = clause(scope_of("users", project_id), text, "memberships.user_id", packed=False)
    assert of_users is not None
    return f"({condition} OR {of_users[0]})", [*params, *of_users[1]]


def _needle(term: Term) -> str:
    return f" {' '.join(map(bare, term.words))}" + ("" if term.is_prefix else " ")


class MembershipStore:
    """Every change is told to the caches of the user, whose roles depend on it."""

    def insert(self, tx: Transaction, membership: Membership) -> None:
        tx.execute(
            f"INSERT INTO memberships ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                membership.project_id,
                membership.id,
                membership.team_id,
                membership.user_id,
                orjson.dumps(membership.roles).decode(),
                to_micros(membership.invited_at),
                to_micros(membership.joined_at),
                int(membership.confirmed),
                membership.secret_hash,
                membership.invited_email,
            ),
        )
        tx.invalidate("user", membership.user_id)

    def update(self, tx: Transaction, membership: Membership) -> None:
        """Store the roles, and whether and when the user has joined."""
        tx.execute(
            "UPDATE memberships SET roles = ?, joined_at = ?, confirmed = ? WHERE project_id = ? AND id = ?",
            (
                orjson.dumps(membership.roles).decode(),
                to_micros(membership.joined_at),
                int(membership.confirmed),
                membership.project_id,
                membership.id,
            ),
        )
        tx.invalidate("user", membership.user_id)

    def delete(self, tx: Transaction, membership: Membership) -> None:
        tx.execute("DELETE FROM memberships WHERE project_id = ? AND id = ?", (membership.project_id, membership.id))
        tx.invalidate("user", membership.user_id)

    def delete_of_team(self, tx: Transaction, project_id: str, team_id: str) -> None:
        for row in tx.rows(
            "DELETE FROM memberships WHERE project_id = ? AND team_id = ? RETURNING user_id", (project_id, team_id)
        ):
            tx.invalidate("user", row[0])

    def delete_of_user(self, tx: Transaction, project_id: str, user_id: str) -> None:
        tx.execute("DELETE FROM memberships WHERE project_id = ? AND user_id = ?", (project_id, user_id))
        tx.invalidate("user", user_id)
