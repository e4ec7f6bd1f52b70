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
    """`project`, `collection`, `function` or `blob`."""
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


class RemovalStore:
    def add(self, tx: Transaction, kind: str, project_id: str, key: str) -> None:
        tx.execute("INSERT INTO removals (kind, project_id, key) VALUES (?, ?, ?)", (kind, project_id, key))
        tx.invalidate("removals", "")

    def done(self, tx: Transaction, removal: Removal) -> None:
        tx.execute("DELETE FROM removals WHERE id = ?", (removal.id,))
