"""Webhooks, as rows. What is secret of them is encrypted before it gets here."""

from __future__ import annotations

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.query import Query, Row, many, one
from litewrite.entities import Webhook

COLUMNS = (
    "project_id, id, name, url, events, verify_tls, http_user, http_password, signature_secret, created_at, updated_at"
)


def make(row: Row) -> Webhook:
    return Webhook(
        project_id=row[0],
        id=row[1],
        name=row[2],
        url=row[3],
        events=tuple(orjson.loads(row[4])),
        verify_tls=bool(row[5]),
        http_user=row[6],
        http_password=row[7],
        signature_secret=row[8],
        created_at=from_micros(row[9]),
        updated_at=from_micros(row[10]),
    )


def get(project_id: str, webhook_id: str) -> Query[Webhook | None]:
    return Query(f"SELECT {COLUMNS} FROM webhooks WHERE project_id = ? AND id = ?", (project_id, webhook_id), one(make))


def of_project(project_id: str) -> Query[tuple[Webhook, ...]]:
    """The webhooks of a project, oldest first."""
    return Query(f"SELECT {COLUMNS} FROM webhooks WHERE project_id = ? ORDER BY id", (project_id,), many(make))


class WebhookStore:
    """Every change is told under the kind `webhooks` and the project's id."""

    def insert(self, tx: Transaction, webhook: Webhook) -> None:
        tx.execute(
            f"INSERT INTO webhooks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                webhook.project_id,
                webhook.id,
                webhook.name,
                webhook.url,
                orjson.dumps(webhook.events).decode(),
                int(webhook.verify_tls),
                webhook.http_user,
                webhook.http_password,
                webhook.signature_secret,
                to_micros(webhook.created_at),
                to_micros(webhook.updated_at),
            ),
        )
        _tell(tx, webhook.project_id)

    def update(self, tx: Transaction, webhook: Webhook) -> None:
        """Store everything but the secret of the signature."""
        tx.execute(
            "UPDATE webhooks SET name = ?, url = ?, events = ?, verify_tls = ?, http_user = ?, http_password = ?, "
            "updated_at = ? WHERE project_id = ? AND id = ?",
            (
                webhook.name,
                webhook.url,
                orjson.dumps(webhook.events).decode(),
                int(webhook.verify_tls),
                webhook.http_user,
                webhook.http_password,
                to_micros(webhook.updated_at),
                webhook.project_id,
                webhook.id,
            ),
        )
        _tell(tx, webhook.project_id)

    def delete(self, tx: Transaction, project_id: str, webhook_id: str) -> bool:
        """Remove a webhook, and its deliveries in the background; False when there was none."""
        removed = tx.execute("DELETE FROM webhooks WHERE project_id = ? AND id = ?", (project_id, webhook_id))
        if removed:
            # Both what waits for it and what is kept of what became of earlier events.
            tx.stores.removals.add(tx, "webhook", project_id, webhook_id)
        _tell(tx, project_id)
        return removed > 0


def _tell(tx: Transaction, project_id: str) -> None:
    tx.stores.outbox.forget_subscriptions(project_id)
    tx.invalidate("webhooks", project_id)
