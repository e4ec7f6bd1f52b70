"""Executions, as rows; those that wait are the queue.

Ids of functions are unique among all projects, so the indexes do without the project. An execution is found by a search
once it has ended, since only then its texts stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from litewrite.db.engine import Transaction
from litewrite.db.ids import MICROSECONDS, from_micros, pack, unpack
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, many, one, scalar
from litewrite.db.role_lists import decode, visible_clause
from litewrite.db.search import clause, scope_of
from litewrite.entities import Execution, ExecutionStatus, Page, Permissions

_COLUMNS = (
    "executions.id AS id, project_id, function_id, roles, trigger, status, deployment_id, exit_code, stdout, stderr, "
    "duration, user_id"
)
_SOURCE = "executions JOIN role_lists ON role_lists.id = executions.read_list"
_SCOPE = "executions"
HTTP = "http"
"""Trigger of what a caller has started."""
_FRACTION_BITS = 20
_OPEN = (ExecutionStatus.WAITING, ExecutionStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a waiting execution needs to start."""

    data: str = ""
    session_id: str = ""
    """The session that the program may act for; empty for none."""
    event: str = ""
    event_data: bytes = b""
    """Encrypted with the server secret; empty for none."""


@dataclass(frozen=True, slots=True)
class Started:
    """An execution with the id of the user behind it, empty for nobody."""

    execution: Execution
    user_id: str


def created_at(execution_id: str) -> datetime:
    """The moment of creation, which the id holds."""
    number = pack(execution_id)
    return from_micros((number >> _FRACTION_BITS) * MICROSECONDS + (number & ((1 << _FRACTION_BITS) - 1)))


def _make(row: Row) -> Execution:
    execution_id = unpack(row[0])
    status = ExecutionStatus(row[5])
    if status is ExecutionStatus.WAITING and row[4] != HTTP:
        # What nobody asked for and waits for is told as running from its beginning; the queue alone knows better.
        status = ExecutionStatus.PROCESSING
    return Execution(
        id=execution_id,
        project_id=row[1],
        function_id=row[2],
        permissions=Permissions(read=decode(row[3])),
        trigger=row[4],
        status=status,
        created_at=created_at(execution_id),
        deployment_id=row[6],
        exit_code=row[7],
        stdout=row[8],
        stderr=row[9],
        duration=row[10],
    )


def _make_started(row: Row) -> Started:
    return Started(_make(row), row[11])


def _searched(execution: Execution) -> tuple[str, ...]:
    return (execution.trigger, execution.status.value, execution.stdout, execution.stderr)


def get(project_id: str, function_id: str, execution_id: str) -> Query[Execution | None]:
    return Query(
        f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE executions.id = ? AND project_id = ? AND function_id = ?",
        (pack(execution_id), project_id, function_id),
        one(_make),
    )


def of_function(
    project_id: str, function_id: str, window: Window, roles: frozenset[str] | None
) -> Query[Page[Execution]]:
    """A page of the executions of a function that one of the roles may read; None is all of them."""
    conditions = ["project_id = ?", "function_id = ?"]
    params: list[Value] = [project_id, function_id]
    if roles is not None:
        visible, values = visible_clause("read_list", roles)
        conditions.append(visible)
        params += values
    found = clause(scope_of(_SCOPE, function_id), window.search, "executions.id", packed=True)
    if found:
        conditions.append(found[0])
        params += found[1]
    return page(_COLUMNS, _SOURCE, " AND ".join(conditions), params, window, _make)


def processing(limit: int) -> Query[tuple[Started, ...]]:
    """Executions that have started and not ended."""
    return Query(f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE status = 'processing' LIMIT ?", (limit,), many(_make_started))


def waiting() -> Query[tuple[tuple[str, str], ...]]:
    """For each function that an execution waits for: its id and that of the oldest one. As cheap as they are few."""
    first = "SELECT min(function_id) FROM executions WHERE status = 'waiting'"
    return Query(
        f"WITH RECURSIVE queues (function_id) AS ({first} UNION ALL SELECT ({first} "
        "AND executions.function_id > queues.function_id) FROM queues WHERE queues.function_id IS NOT NULL) "
        "SELECT function_id, (SELECT min(id) FROM executions WHERE status = 'waiting' "
        "AND executions.function_id = queues.function_id) FROM queues WHERE function_id IS NOT NULL",
        (),
        many(lambda row: (row[0], unpack(row[1]))),
    )


def count_waiting(function_id: str, limit: int) -> Query[int]:
    """How many executions of a function wait; counts no further than `limit`."""
    return Query(
        "SELECT count(*) FROM (SELECT 1 FROM executions WHERE status = 'waiting' AND function_id = ? LIMIT ?) AS few",
        (function_id, limit),
        scalar,
    )


class ExecutionStore:
    def insert(self, tx: Transaction, execution: Execution, user_id: str, inputs: Inputs) -> None:
        """Queue an execution, whatever its status says.

        `user_id` is who started it or caused its event; empty for nobody.
        """
        number = pack(execution.id)
        tx.execute(
            "INSERT INTO executions (id, project_id, function_id, deployment_id, user_id, read_list, trigger, status, "
            "exit_code, stdout, stderr, duration) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                execution.project_id,
                execution.function_id,
                execution.deployment_id,
                user_id,
                tx.stores.role_lists.intern(tx, execution.permissions.read),
                execution.trigger,
                ExecutionStatus.WAITING.value,
                execution.exit_code,
                execution.stdout,
                execution.stderr,
                execution.duration,
            ),
        )
        tx.execute(
            "INSERT INTO execution_inputs (execution_id, data, session_id, event, event_data) VALUES (?, ?, ?, ?, ?)",
            (number, inputs.data, inputs.session_id, inputs.event, inputs.event_data),
        )

    def start(self, tx: Transaction, execution_id: str) -> tuple[Started, Inputs] | None:
        """Take a waiting execution out of the queue: it is processing then, and its inputs are removed.

        None when it waits no longer.
        """
        number = pack(execution_id)
        if not tx.execute("UPDATE executions SET status = 'processing' WHERE id = ? AND status = 'waiting'", (number,)):
            return None
        started = tx.run(
            Query(f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE executions.id = ?", (number,), one(_make_started))
        )
        row = tx.row(
            "SELECT data, session_id, event, event_data FROM execution_inputs WHERE execution_id = ?", (number,)
        )
        tx.execute("DELETE FROM execution_inputs WHERE execution_id = ?", (number,))
        return None if started is None else (started, Inputs(*row) if row else Inputs())

    def finish(self, tx: Transaction, execution: Execution) -> bool:
        """Store how a processing execution has ended; False when it is no longer there."""
        found = tx.execute(
            "UPDATE executions SET status = ?, deployment_id = ?, exit_code = ?, stdout = ?, stderr = ?, duration = ? "
            "WHERE id = ? AND status = 'processing'",
            (
                execution.status.value,
                execution.deployment_id,
                execution.exit_code,
                execution.stdout,
                execution.stderr,
                execution.duration,
                pack(execution.id),
            ),
        )
        if found:
            scope = scope_of(_SCOPE, execution.function_id)
            tx.stores.search.add(tx, scope, execution.id, _searched(execution))
        return bool(found)

    def delete_slice(self, tx: Transaction, project_id: str, function_id: str, limit: int) -> int:
        """Remove up to `limit` executions of a function, whatever their state, and return how many there were."""
        return self._delete(
            tx,
            tx.rows(
                f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE function_id = ? AND project_id = ? LIMIT ?",
                (function_id, project_id, limit),
            ),
        )

    def delete_ended_before(self, tx: Transaction, before: str, limit: int) -> int:
        """Remove up to `limit` executions that were created before the id `before` and have ended; returns how many."""
        return self._delete(
            tx,
            tx.rows(
                f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE executions.id < ? AND status IN ('completed', 'failed') "
                "ORDER BY executions.id LIMIT ?",
                (pack(before), limit),
            ),
        )

    @staticmethod
    def _delete(tx: Transaction, rows: Iterable[Row]) -> int:
        executions = [_make(row) for row in rows]
        for execution in executions:
            if execution.status not in _OPEN:
                scope = scope_of(_SCOPE, execution.function_id)
                tx.stores.search.remove(tx, scope, execution.id, _searched(execution))
        numbers = [(pack(execution.id),) for execution in executions]
        tx.execute_many("DELETE FROM execution_inputs WHERE execution_id = ?", numbers)
        tx.execute_many("DELETE FROM executions WHERE id = ?", numbers)
        return len(executions)
