"""What functions were used for: ended executions, counted by half hours.

Executions themselves are removed after two weeks, these counts after a little more than the longest period that is
asked for. Ids of functions are unique among all projects.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from litewrite.db.engine import Transaction
from litewrite.db.query import Query, many

SLOT_SECONDS = 1_800
KEPT = timedelta(days=93)
"""How long counts are kept."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Executions that ended within one half hour."""

    start: int
    """Unix seconds."""
    executions: int
    failures: int
    milliseconds: int


def of_function(function_id: str, since: int) -> Query[tuple[Slot, ...]]:
    """The half hours from the Unix second `since` on in which an execution has ended, oldest first."""
    return Query(
        "SELECT slot, executions, failures, milliseconds FROM function_usage WHERE function_id = ? AND slot >= ? "
        "ORDER BY slot",
        (function_id, since),
        many(lambda row: Slot(*row)),
    )


class UsageStore:
    def add(self, tx: Transaction, function_id: str, *, failed: bool, seconds: float) -> None:
        """Count an execution that ends now."""
        tx.execute(
            "INSERT INTO function_usage (function_id, slot, executions, failures, milliseconds) VALUES (?, ?, 1, ?, ?) "
            "ON CONFLICT (function_id, slot) DO UPDATE SET executions = executions + 1, "
            "failures = failures + excluded.failures, milliseconds = milliseconds + excluded.milliseconds",
            (function_id, _slot_of(tx.now), int(failed), round(seconds * 1_000)),
        )

    def delete_slice(self, tx: Transaction, function_id: str, limit: int) -> int:
        """Remove up to `limit` counts of a function and return how many there were."""
        return tx.execute(
            "DELETE FROM function_usage WHERE function_id = ? AND slot IN "
            "(SELECT slot FROM function_usage WHERE function_id = ? LIMIT ?)",
            (function_id, function_id, limit),
        )

    def delete_older(self, tx: Transaction, before: datetime, limit: int) -> int:
        """Remove up to `limit` counts of what ended before a moment; returns how many there were."""
        return tx.execute(
            "DELETE FROM function_usage WHERE (function_id, slot) IN "
            "(SELECT function_id, slot FROM function_usage WHERE slot < ? LIMIT ?)",
            (_slot_of(before), limit),
        )


def _slot_of(moment: datetime) -> int:
    seconds = int(moment.timestamp())
    return seconds - seconds % SLOT_SECONDS
