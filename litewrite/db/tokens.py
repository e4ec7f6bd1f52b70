"""Secrets that were mailed to users, as rows. Only the SHA-256 of a secret is stored."""

from __future__ import annotations

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.query import Query, Row, one
from litewrite.entities import Token

COLUMNS = "project_id, user_id, id, kind, email, secret_hash, expires_at"


def make(row: Row) -> Token:
    return Token(
        project_id=row[0],
        user_id=row[1],
        id=row[2],
        kind=row[3],
        email=row[4],
        secret_hash=row[5],
        expires_at=from_micros(row[6]),
    )


def by_secret(project_id: str, user_id: str, kind: str, secret_hash: str) -> Query[Token | None]:
    """The token of a user with a secret, also when it has expired."""
    return Query(
        f"SELECT {COLUMNS} FROM tokens WHERE project_id = ? AND user_id = ? AND kind = ? AND secret_hash = ?",
        (project_id, user_id, kind, secret_hash),
        one(make),
    )


class TokenStore:
    def insert(self, tx: Transaction, token: Token) -> None:
        tx.execute(
            f"INSERT INTO tokens ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                token.project_id,
                token.user_id,
                token.id,
                token.kind,
                token.email,
                token.secret_hash,
                to_micros(token.expires_at),
            ),
        )

    def delete(self, tx: Transaction, token: Token) -> None:
        tx.execute(
            "DELETE FROM tokens WHERE project_id = ? AND user_id = ? AND id = ?",
            (token.project_id, token.user_id, token.id),
        )

    def delete_expired(self, tx: Transaction, limit: int) -> int:
        """Remove up to `limit` expired tokens and return how many there were."""
        return tx.execute(
            "DELETE FROM tokens WHERE (project_id, user_id, id) IN "
            "(SELECT project_id, user_id, id FROM tokens WHERE expires_at <= ? LIMIT ?)",
            (to_micros(tx.now), limit),
        )
