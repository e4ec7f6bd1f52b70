"""Mails, as rows: on their way to the mail server, or kept for those who read the outbox.

What a mail says is encrypted, since its link logs somebody in; it goes when the mail has been delivered or given up.
"""

from __future__ import annotations

from datetime import datetime

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.query import Query, Row, Value, many, one, scalar
from litewrite.entities import MailState, StoredMail

COLUMNS = "project_id, id, kind, recipient, content, state, created_at, due_at, attempts, last_error"


def make(row: Row) -> StoredMail:
    return StoredMail(
        project_id=row[0],
        id=row[1],
        kind=row[2],
        recipient=row[3],
        content=row[4],
        state=MailState(row[5]),
        created_at=from_micros(row[6]),
        due_at=from_micros(row[7]),
        attempts=row[8],
        last_error=row[9],
    )


def get(project_id: str, mail_id: str) -> Query[StoredMail | None]:
    return Query(f"SELECT {COLUMNS} FROM mails WHERE project_id = ? AND id = ?", (project_id, mail_id), one(make))


def newest(
    project_id: str, *, recipient: str = "", kind: str = "", after: str = "", limit: int = 100
) -> Query[tuple[StoredMail, ...]]:
    """The newest mails of a project, newest first.

    `recipient` (an address in lower case), `kind` and `after` (the id of a mail that was there before) narrow it down.
    """
    condition = "project_id = ?"
    params: list[Value] = [project_id]
    for column, comparison, value in (("recipient", "=", recipient), ("kind", "=", kind), ("id", ">", after)):
        if value:
            condition += f" AND {column} {comparison} ?"
            params.append(value)
    return Query(
        f"SELECT {COLUMNS} FROM mails WHERE {condition} ORDER BY id DESC LIMIT ?", (*params, limit), many(make)
    )


def due(now: datetime, limit: int) -> Query[tuple[StoredMail, ...]]:
    """The queued mails whose time has come, those that wait longest first."""
    return Query(
        f"SELECT {COLUMNS} FROM mails WHERE state = '{MailState.QUEUED}' AND due_at <= ? ORDER BY due_at LIMIT ?",
        (to_micros(now), limit),
        many(make),
    )


def next_due() -> Query[datetime | None]:
    """When the next queued mail is to be sent."""
    return Query(
        f"SELECT due_at FROM mails WHERE state = '{MailState.QUEUED}' ORDER BY due_at LIMIT 1",
        (),
        one(lambda row: from_micros(row[0])),
    )


def count_queued(project_id: str, limit: int) -> Query[int]:
    """How many mails of a project wait to be sent, counting no further than `limit`."""
    return Query(
        f"SELECT count(*) FROM (SELECT 1 FROM mails WHERE state = '{MailState.QUEUED}' AND project_id = ? LIMIT ?)",
        (project_id, limit),
        scalar,
    )


class MailStore:
    def insert(self, tx: Transaction, mail: StoredMail) -> None:
        tx.execute(
            f"INSERT INTO mails ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                mail.project_id,
                mail.id,
                mail.kind,
                mail.recipient,
                mail.content,
                mail.state,
                to_micros(mail.created_at),
                to_micros(mail.due_at),
                mail.attempts,
                mail.last_error,
            ),
        )

    def postpone(self, tx: Transaction, mail: StoredMail, due_at: datetime, error: str) -> None:
        """Note a failed attempt and when the next one is due."""
        tx.execute(
            "UPDATE mails SET attempts = attempts + 1, due_at = ?, last_error = ? WHERE project_id = ? AND id = ?",
            (to_micros(due_at), error, mail.project_id, mail.id),
        )

    def close(self, tx: Transaction, mail: StoredMail, state: MailState, error: str = "") -> None:
        """Note that a mail was sent or has failed, and forget what it says."""
        tx.execute(
            "UPDATE mails SET state = ?, content = x'', last_error = ? WHERE project_id = ? AND id = ?",
            (state, error, mail.project_id, mail.id),
        )

    def trim(self, tx: Transaction, project_id: str, keep: int) -> int:
        """Remove all but the newest `keep` mails of a project that do not wait to be sent; returns how many."""
        return tx.execute(
            f"DELETE FROM mails WHERE project_id = ? AND state <> '{MailState.QUEUED}' AND id <= "
            f"(SELECT id FROM mails WHERE project_id = ? AND state <> '{MailState.QUEUED}' "
            "ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (project_id, project_id, keep),
        )

    def delete_older(self, tx: Transaction, before: datetime, limit: int) -> int:
        """Remove up to `limit` mails that do not wait and were made before a moment; returns how many there were."""
        return tx.execute(
            "DELETE FROM mails WHERE (project_id, id) IN (SELECT project_id, id FROM mails "
            f"WHERE state <> '{MailState.QUEUED}' AND created_at < ? LIMIT ?)",
            (to_micros(before), limit),
        )
