"""What tells whether the database works, and how much waits in it."""

from __future__ import annotations

from litewrite.db.query import Query, scalar


def probe() -> Query[int | None]:
    """1 when the file can be read: it asks for a row that is always there."""
    return Query("SELECT 1 FROM projects LIMIT 1", (), scalar)


def waiting_executions() -> Query[int]:
    """Executions that have not started."""
    return Query("SELECT count(*) FROM executions WHERE status = 'waiting'", (), scalar)
