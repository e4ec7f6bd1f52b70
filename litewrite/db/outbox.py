"""The outbox: events on their way to webhooks and functions, written in the transaction of the change they report.

An event is one row for each that is told of it, so that they are delivered, tried again and dropped each on its own.
What has been delivered to a webhook, or has failed for good, is kept for a while without its payload, for those who ask
what became of it. Ids of webhooks and functions are unique among all projects, so most indexes do without the project.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.executions import created_at
from litewrite.db.ids import from_micros, pack, to_micros, unpack
from litewrite.db.query import Query, Row, many, one, scalar
from litewrite.entities import Delivery, DeliveryState

log = logging.getLogger(__name__)

WEBHOOK = "webhook"
FUNCTION = "function"
CHANGED = "outbox"
"""Kind under which new rows are told; the key is the id of the webhook, or empty for functions."""
MOST_WAITING = 10_000
"""Rows that wait for one webhook or function; beyond it the oldest are dropped."""
CLOSED_KEPT = 100
"""Rows of a webhook that are kept after they were delivered or have failed."""
_TRIM_EVERY = 100
_MOST_PROJECTS = 1_000

_COLUMNS = "id, project_id, target_id, event, payload, user_id, state, attempts, due_at, status, error, ended_at"


@dataclass(frozen=True, slots=True)
class Subscribers:
    """Ids of who is told of an event: webhooks in the order of their creation, functions in that of their names."""

    webhooks: tuple[str, ...]
    functions: tuple[str, ...]


NOBODY: Mapping[str, Subscribers] = MappingProxyType({})


def make(row: Row) -> Delivery:
    delivery_id = unpack(row[0])
    return Delivery(
        id=delivery_id,
        project_id=row[1],
        target_id=row[2],
        event=row[3],
        payload=row[4],
        user_id=row[5],
        state=DeliveryState(row[6]),
        attempts=row[7],
        due_at=from_micros(row[8]),
        status=row[9],
        error=row[10],
        created_at=created_at(delivery_id),
        ended_at=from_micros(row[11]),
    )


def next_of(target_id: str) -> Query[Delivery | None]:
    """What a webhook is to get next: what was never tried in the order of events, then what is due first."""
    return Query(
        f"SELECT {_COLUMNS} FROM outbox WHERE target_id = ? AND state = 'waiting' ORDER BY due_at, id LIMIT 1",
        (target_id,),
        one(make),
    )


def waiting_targets(target: str) -> Query[tuple[str, ...]]:
    """Ids of the webhooks, or functions, that something waits for."""
    return Query(
        "SELECT DISTINCT target_id FROM outbox WHERE target = ? AND state = 'waiting'",
        (target,),
        many(lambda row: str(row[0])),
        inline=False,
    )


def oldest(target: str, limit: int) -> Query[tuple[Delivery, ...]]:
    """What waits for webhooks, or for functions, in the order of events."""
    return Query(
        f"SELECT {_COLUMNS} FROM outbox WHERE target = ? AND state = 'waiting' ORDER BY id LIMIT ?",
        (target, limit),
        many(make),
    )


def of_webhook(project_id: str, webhook_id: str, limit: int) -> Query[tuple[Delivery, ...]]:
    """The newest deliveries to a webhook, whatever became of them, newest first."""
    part = f"SELECT {_COLUMNS} FROM outbox WHERE target_id = ? AND state {{}} 'waiting' AND project_id = ?"
    return Query(
        f"SELECT * FROM ({part.format('=')} UNION ALL {part.format('<>')}) ORDER BY id DESC LIMIT ?",
        (webhook_id, project_id, webhook_id, project_id, limit),
        many(make),
        inline=False,
    )


def count_waiting(target: str) -> Query[int]:
    """How many events are on their way to webhooks, or to functions."""
    return Query("SELECT count(*) FROM outbox WHERE target = ? AND state = 'waiting'", (target,), scalar)


class OutboxStore:
    """Belongs to the writing connection, where it remembers who subscribes to what."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, Mapping[str, Subscribers]] = {}
        self._inserted: dict[str, int] = {}

    def forget(self) -> None:
        """Drop what is remembered, since a rollback may have undone it."""
        self._subscriptions.clear()
        self._inserted.clear()

    def forget_subscriptions(self, project_id: str) -> None:
        """To be called in every unit that changes webhooks, functions or their deployment."""
        self._subscriptions.pop(project_id, None)

    def subscriptions(self, tx: Transaction, project_id: str) -> Mapping[str, Subscribers]:
        """Who is told of which event of a project, by the event's name. Functions without a deployment are left out."""
        known = self._subscriptions.get(project_id)
        if known is not None:
            return known
        if len(self._subscriptions) >= _MOST_PROJECTS:
            self._subscriptions.clear()
        found = _subscriptions(
            tx.rows("SELECT id, events FROM webhooks WHERE project_id = ? ORDER BY id", (project_id,)),
            tx.rows(
                "SELECT id, events FROM functions WHERE project_id = ? AND deployment_id <> '' AND events <> '[]' "
                "ORDER BY name, id",
                (project_id,),
            ),
        )
        self._subscriptions[project_id] = found
        return found

    def insert(
        self, tx: Transaction, project_id: str, target: str, target_id: str, event: str, payload: bytes, user_id: str
    ) -> None:
        """Queue an event for one webhook or function. `payload` is encrypted; empty for none."""
        tx.execute(
            f"INSERT INTO outbox ({_COLUMNS}, target) VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, 0, 0, '', 0, ?)",
            (pack(tx.new_id()), project_id, target_id, event, payload, user_id, target),
        )
        count = self._inserted.get(target_id, 0)
        self._inserted[target_id] = count + 1
        if count % _TRIM_EVERY == 0:
            self._trim(tx, project_id, target, target_id)
        tx.invalidate(CHANGED, target_id if target == WEBHOOK else "")

    @staticmethod
    def _trim(tx: Transaction, project_id: str, target: str, target_id: str) -> None:
        dropped = tx.execute(
            "DELETE FROM outbox WHERE target_id = ? AND state = 'waiting' AND id <= (SELECT id FROM outbox "
            "WHERE target_id = ? AND state = 'waiting' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (target_id, target_id, MOST_WAITING),
        )
        if dropped:
            log.warning(
                "more than %d events wait for the %s %s of project %s; the oldest %d are dropped",
                MOST_WAITING,
                target,
                target_id,
                project_id,
                dropped,
            )

    def postpone(self, tx: Transaction, delivery: Delivery, due_at: datetime, status: int, error: str) -> None:
        """Note an attempt that failed and when the next one is due."""
        tx.execute(
            "UPDATE outbox SET attempts = attempts + 1, due_at = ?, status = ?, error = ? "
            "WHERE id = ? AND state = 'waiting'",
            (to_micros(due_at), status, error, pack(delivery.id)),
        )

    def close(
        self, tx: Transaction, delivery: Delivery, state: DeliveryState, *, status: int = 0, error: str = ""
    ) -> None:
        """Note what became of a delivery to a webhook, and forget what it said."""
        tx.execute(
            "UPDATE outbox SET state = ?, payload = x'', attempts = attempts + 1, status = ?, error = ?, ended_at = ? "
            "WHERE id = ? AND state = 'waiting'",
            (state.value, status, error, to_micros(tx.now), pack(delivery.id)),
        )
        tx.execute(
            "DELETE FROM outbox WHERE target_id = ? AND state <> 'waiting' AND id <= (SELECT id FROM outbox "
            "WHERE target_id = ? AND state <> 'waiting' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (delivery.target_id, delivery.target_id, CLOSED_KEPT),
        )

    def remove(self, tx: Transaction, deliveries: Iterable[Delivery]) -> None:
        tx.execute_many("DELETE FROM outbox WHERE id = ?", [(pack(delivery.id),) for delivery in deliveries])

    def delete_slice(self, tx: Transaction, target_id: str, limit: int) -> int:
        """Remove up to `limit` rows of a webhook or function and return how many there were."""
        return sum(
            tx.execute(
                "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox "
                f"WHERE target_id = ? AND state {comparison} 'waiting' LIMIT ?)",
                (target_id, limit),
            )
            for comparison in ("=", "<>")
        )


def _subscriptions(webhooks: Sequence[Row], functions: Sequence[Row]) -> Mapping[str, Subscribers]:
    if not (webhooks or functions):
        return NOBODY
    by_event: dict[str, tuple[list[str], list[str]]] = {}
    for position, rows in enumerate((webhooks, functions)):
        for target_id, events in rows:
            for event in dict.fromkeys(orjson.loads(events)):
                by_event.setdefault(event, ([], []))[position].append(target_id)
    return {event: Subscribers(tuple(hooks), tuple(runs)) for event, (hooks, runs) in by_event.items()}
