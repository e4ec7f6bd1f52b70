"""API keys, as rows. Only the SHA-256 of a key's secret is stored."""

from __future__ import annotations

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.query import Query, Row, many, one
from litewrite.entities import Key

COLUMNS = "project_id, id, name, scopes, secret_hash, hint, created_at"


def make(row: Row) -> Key:
    return Key(
        project_id=row[0],
        id=row[1],
        name=row[2],
        scopes=tuple(orjson.loads(row[3])),
        secret_hash=row[4],
        hint=row[5],
        created_at=from_micros(row[6]),
    )


def by_secret(project_id: str, secret_hash: str) -> Query[Key | None]:
    return Query(
        f"SELECT {COLUMNS} FROM keys WHERE project_id = ? AND secret_hash = ?", (project_id, secret_hash), one(make)
    )


def get(project_id: str, key_id: str) -> Query[Key | None]:
    return Query(f"SELECT {COLUMNS} FROM keys WHERE project_id = ? AND id = ?", (project_id, key_id), one(make))


def of_project(project_id: str) -> Query[tuple[Key, ...]]:
    """The keys of a project, oldest first."""
    return Query(f"SELECT {COLUMNS} FROM keys WHERE project_id = ? ORDER BY id", (project_id,), many(make))


class KeyStore:
    def insert(self, tx: Transaction, key: Key) -> None:
        tx.execute(
            f"INSERT INTO keys ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key.project_id,
                key.id,
                key.name,
                orjson.dumps(key.scopes).decode(),
                key.secret_hash,
                key.hint,
                to_micros(key.created_at),
            ),
        )
        tx.invalidate("keys", key.project_id)

    def update(self, tx: Transaction, key: Key) -> None:
        """Store name and scopes."""
        tx.execute(
            "UPDATE keys SET name = ?, scopes = ? WHERE project_id = ? AND id = ?",
            (key.name, orjson.dumps(key.scopes).decode(), key.project_id, key.id),
        )
        tx.invalidate("keys", key.project_id)

    def delete(self, tx: Transaction, project_id: str, key_id: str) -> bool:
        """Remove a key; False when there was none."""
        removed = tx.execute("DELETE FROM keys WHERE project_id = ? AND id = ?", (project_id, key_id))
        tx.invalidate("keys", project_id)
        return removed > 0
