"""What is gone for callers and still has rows or blobs behind it.

A removal is a row until everything it names is gone, so that a crash in the middle only delays it.
"""

from __future__ import annotations

from dataclasses import dataclass

from litewrite.db.engine import Transaction
from litewrite.db.query import Query, one


@dataclass(frozen=True, slots=True)
class Removal:
    id: int
    kind: str
    """`project`, `collection`, `function`, `webhook` or `blob`."""
    project_id: str
    key: str
    """Id of the thing; for a blob its key in the blob store."""


def oldest(after: int = 0) -> Query[Removal | None]:
    """The oldest removal that waits, behind the given one."""
    return Query(
        "SELECT id, kind, project_id, key FROM removals WHERE id > ? ORDER BY id LIMIT 1",
        (after,),
        one(lambda row: Removal(*row)),
    )


def of_project(project_id: str) -> Query[Removal | None]:
    """The removal of a whole project that waits or is under way."""
    return Query(
        "SELECT id, kind, project_id, key FROM removals WHERE kind = 'project' AND project_id = ? LIMIT 1",
        (project_id,),
        one(lambda row: Removal(*row)),
    )


class RemovalStore:
    def add(self, tx: Transaction, kind: str, project_id: str, key: str) -> None:
        tx.execute("INSERT INTO removals (kind, project_id, key) VALUES (?, ?, ?)", (kind, project_id, key))
        tx.invalidate("removals", "")

    def done(self, tx: Transaction, removal: Removal) -> None:
        tx.execute("DELETE FROM removals WHERE id = ?", (removal.id,))


_ROWS_OF_PROJECT = (
    ("users", "id"),
    ("sessions", "user_id, id"),
    ("tokens", "user_id, id"),
    ("identities", "provider, provider_uid"),
    ("mails", "id"),
    ("teams", "id"),
    ("memberships", "id"),
    ("audit", "id"),
    ("outbox", "id"),
)
"""Tables whose rows stand for themselves, and what tells a row apart within a project."""


def remove_rows_of_project(tx: Transaction, project_id: str, limit: int) -> int:
    """Remove up to `limit` rows of a project from each table that needs no more than that; returns how many."""
    removed = 0
    for table, key in _ROWS_OF_PROJECT:
        removed += tx.execute(
            f"DELETE FROM {table} WHERE project_id = ? AND ({key}) IN "
            f"(SELECT {key} FROM {table} WHERE project_id = ? LIMIT ?)",
            (project_id, project_id, limit),
        )
    return removed
