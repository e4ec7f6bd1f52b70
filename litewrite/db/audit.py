"""The audit log, as rows, written in the transaction of what it records."""

from __future__ import annotations

from collections.abc import Iterable

from litewrite.db.engine import Transaction
from litewrite.db.ids import MICROSECONDS, from_micros, pack
from litewrite.db.query import Query, Row, many
from litewrite.entities import AuditEntry

_CACHE_SIZE = 1_000
_LONGEST_AGENT = 2_000
_FRACTION_BITS = 20


def make(row: Row) -> AuditEntry:
    number = row[0]
    return AuditEntry(
        project_id=row[1],
        user_id=row[2],
        event=row[3],
        resource=row[4],
        user_agent=row[5],
        ip=row[6],
        occurred_at=from_micros((number >> _FRACTION_BITS) * MICROSECONDS + (number & 0xFFFFF)),
    )


def newest_of_user(project_id: str, user_id: str, events: Iterable[str], limit: int) -> Query[tuple[AuditEntry, ...]]:
    """The newest entries of a user among the named events, newest first."""
    names = tuple(events)
    marks = ",".join("?" * len(names))
    return Query(
        "SELECT audit.id, project_id, user_id, event, resource, user_agent, ip FROM audit "
        "JOIN agents ON agents.id = audit.agent_id "
        f"WHERE project_id = ? AND user_id = ? AND user_id <> '' AND event IN ({marks}) ORDER BY audit.id DESC LIMIT ?",
        (project_id, user_id, *names, limit),
        many(make),
    )


class AuditStore:
    """Appends entries. User agents are interned: a text that recurs in every entry is stored once."""

    def __init__(self) -> None:
        self._agents: dict[str, int] = {}

    def forget(self) -> None:
        """Drop what is remembered, since a rollback may have undone it."""
        self._agents.clear()

    def insert(
        self,
        tx: Transaction,
        *,
        project_id: str,
        user_id: str,
        event: str,
        resource: str,
        user_agent: str,
        ip: str,
        data: str = "",
    ) -> None:
        tx.execute(
            "INSERT INTO audit (id, project_id, user_id, event, resource, agent_id, ip, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (pack(tx.new_id()), project_id, user_id, event, resource, self._agent(tx, user_agent), ip, data),
        )

    def _agent(self, tx: Transaction, user_agent: str) -> int:
        user_agent = user_agent[:_LONGEST_AGENT]
        known = self._agents.get(user_agent)
        if known is not None:
            return known
        row = tx.row("SELECT id FROM agents WHERE user_agent = ?", (user_agent,))
        if row is None:
            row = tx.rows("INSERT INTO agents (user_agent) VALUES (?) RETURNING id", (user_agent,))[0]
        if len(self._agents) >= _CACHE_SIZE:
            self._agents.clear()
        self._agents[user_agent] = int(row[0])
        return int(row[0])

    def delete_older(self, tx: Transaction, before: str, limit: int) -> int:
        """Remove up to `limit` entries made before the id `before` and return how many there were."""
        return tx.execute(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)",
            (pack(before), limit),
        )
