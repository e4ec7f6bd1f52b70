"""Interned lists of roles.

Each distinct list is one row, so a document keeps two small integers instead of two lists, and a list query asks for
the few role lists that a caller can see instead of looking into every document. Rows are never removed or changed.
"""

from __future__ import annotations

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.query import Value

_CACHE_SIZE = 10_000


def decode(text: str) -> tuple[str, ...]:
    """The roles of a row of `role_lists`."""
    return tuple(orjson.loads(text))


def visible_clause(column: str, roles: frozenset[str]) -> tuple[str, list[Value]]:
    """SQL that holds for rows whose role list, in `column`, names one of the roles.

    All roles are one bound value, so the statement is the same for every caller and their number has no limit.
    """
    sql = f"{column} IN (SELECT list_id FROM json_each(?) j CROSS JOIN role_list_members m ON m.role = j.value)"
    return sql, [orjson.dumps(sorted(roles)).decode()]


class RoleLists:
    """Finds or makes the row of a role list. Belongs to the writing connection."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, ...], int] = {}

    def forget(self) -> None:
        """Drop what is remembered, since a rollback may have undone it."""
        self._ids.clear()

    def intern(self, tx: Transaction, roles: tuple[str, ...]) -> int:
        known = self._ids.get(roles)
        if known is not None:
            return known
        text = orjson.dumps(roles).decode()
        row = tx.row("SELECT id FROM role_lists WHERE roles = ?", (text,))
        if row is None:
            row = tx.rows("INSERT INTO role_lists (roles) VALUES (?) RETURNING id", (text,))[0]
            tx.execute_many(
                "INSERT INTO role_list_members (role, list_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(role, row[0]) for role in dict.fromkeys(roles)],
            )
        if len(self._ids) >= _CACHE_SIZE:
            self._ids.clear()
        list_id = int(row[0])
        self._ids[roles] = list_id
        return list_id
