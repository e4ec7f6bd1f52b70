"""Sessions, as rows. Only the SHA-256 of a session's secret is stored."""

from __future__ import annotations

from dataclasses import astuple
from datetime import datetime

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.query import Query, Row, many, one
from litewrite.entities import Client, Session

COLUMNS = (
    "project_id, user_id, id, secret_hash, expires_at, provider, provider_uid, provider_token, ip, country_code, client"
)


def make(row: Row) -> Session:
    return Session(
        project_id=row[0],
        user_id=row[1],
        id=row[2],
        secret_hash=row[3],
        expires_at=from_micros(row[4]),
        provider=row[5],
        provider_uid=row[6],
        provider_token=row[7],
        ip=row[8],
        country_code=row[9],
        client=Client(*orjson.loads(row[10])),
    )


def by_secret(project_id: str, user_id: str, secret_hash: str) -> Query[Session | None]:
    return Query(
        f"SELECT {COLUMNS} FROM sessions WHERE project_id = ? AND user_id = ? AND secret_hash = ?",
        (project_id, user_id, secret_hash),
        one(make),
    )


def get(project_id: str, user_id: str, session_id: str) -> Query[Session | None]:
    return Query(
        f"SELECT {COLUMNS} FROM sessions WHERE project_id = ? AND user_id = ? AND id = ?",
        (project_id, user_id, session_id),
        one(make),
    )


def of_user(project_id: str, user_id: str, now: datetime) -> Query[tuple[Session, ...]]:
    """The sessions of a user that have not expired, oldest first."""
    return Query(
        f"SELECT {COLUMNS} FROM sessions WHERE project_id = ? AND user_id = ? AND expires_at > ? ORDER BY id",
        (project_id, user_id, to_micros(now)),
        many(make),
    )


def stored_of_user(project_id: str, user_id: str) -> Query[tuple[Session, ...]]:
    """All sessions of a user that are stored, expired ones too, oldest first."""
    return Query(
        f"SELECT {COLUMNS} FROM sessions WHERE project_id = ? AND user_id = ? ORDER BY id",
        (project_id, user_id),
        many(make),
    )


class SessionStore:
    def insert(self, tx: Transaction, session: Session) -> None:
        tx.execute(
            f"INSERT INTO sessions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                session.project_id,
                session.user_id,
                session.id,
                session.secret_hash,
                to_micros(session.expires_at),
                session.provider,
                session.provider_uid,
                session.provider_token,
                session.ip,
                session.country_code,
                orjson.dumps(astuple(session.client)).decode(),
            ),
        )

    def delete(self, tx: Transaction, session: Session) -> None:
        tx.execute(
            "DELETE FROM sessions WHERE project_id = ? AND user_id = ? AND id = ?",
            (session.project_id, session.user_id, session.id),
        )
        tx.invalidate("user", session.user_id)

    def delete_of_user(self, tx: Transaction, project_id: str, user_id: str) -> None:
        tx.execute("DELETE FROM sessions WHERE project_id = ? AND user_id = ?", (project_id, user_id))
        tx.invalidate("user", user_id)

    def delete_expired(self, tx: Transaction, limit: int) -> int:
        """Remove up to `limit` expired sessions and return how many there were."""
        return tx.execute(
            "DELETE FROM sessions WHERE (project_id, user_id, id) IN "
            "(SELECT project_id, user_id, id FROM sessions WHERE expires_at <= ? LIMIT ?)",
            (to_micros(tx.now), limit),
        )
