"""Functions, as rows. Their variables are encrypted with the server secret, so reading a whole function needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, from_micros_or_none, to_micros
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, many, one
from litewrite.db.search import clause, scope_of
from litewrite.entities import Function, Page
from litewrite.security import ServerSecret

COLUMNS = (
    "project_id, id, name, execute, runtime, deployment_id, variables, events, schedule, schedule_next, "
    "schedule_previous, timeout, created_at, updated_at"
)
_SCOPE = "functions"


@dataclass(frozen=True, slots=True)
class Target:
    """What has to be known of a function to let somebody run it."""

    execute: tuple[str, ...]
    deployment_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """When a function runs by its schedule."""

    project_id: str
    function_id: str
    schedule: str
    next_at: datetime
    previous_at: datetime | None
    """When it ran last."""


_PLAN = "project_id, id, schedule, schedule_next, schedule_previous"


def _make_plan(row: Row) -> Plan:
    return Plan(row[0], row[1], row[2], from_micros(row[3]), from_micros_or_none(row[4]))


def _seal(variables: Mapping[str, Any], secret: ServerSecret) -> bytes:
    return secret.encrypt(orjson.dumps(variables).decode()) if variables else b""


def _open(sealed: bytes, secret: ServerSecret) -> Mapping[str, Any]:
    variables: dict[str, Any] = orjson.loads(secret.decrypt(sealed)) if sealed else {}
    return variables


def _make(row: Row, secret: ServerSecret) -> Function:
    return Function(
        project_id=row[0],
        id=row[1],
        name=row[2],
        execute=tuple(orjson.loads(row[3])),
        runtime=row[4],
        deployment_id=row[5],
        variables=_open(row[6], secret),
        events=tuple(orjson.loads(row[7])),
        schedule=row[8],
        schedule_next=from_micros_or_none(row[9]),
        schedule_previous=from_micros_or_none(row[10]),
        timeout=row[11],
        created_at=from_micros(row[12]),
        updated_at=from_micros(row[13]),
    )


def _values(function: Function, secret: ServerSecret) -> tuple[Value, ...]:
    return (
        function.project_id,
        function.id,
        function.name,
        orjson.dumps(function.execute).decode(),
        function.runtime,
        function.deployment_id,
        _seal(function.variables, secret),
        orjson.dumps(function.events).decode(),
        function.schedule,
        to_micros(function.schedule_next),
        to_micros(function.schedule_previous),
        function.timeout,
        to_micros(function.created_at),
        to_micros(function.updated_at),
    )


def _searched(function: Function) -> tuple[str, ...]:
    """The texts that a search looks at; the variables, which may be secret, are none of them."""
    return (function.name, function.runtime, function.schedule, function.deployment_id, *function.events)


def get(project_id: str, function_id: str, secret: ServerSecret) -> Query[Function | None]:
    """Decoding raises ValueError when the variables were encrypted with another secret."""
    return Query(
        f"SELECT {COLUMNS} FROM functions WHERE project_id = ? AND id = ?",
        (project_id, function_id),
        one(lambda row: _make(row, secret)),
    )


def target(project_id: str, function_id: str) -> Query[Target | None]:
    return Query(
        "SELECT execute, deployment_id FROM functions WHERE project_id = ? AND id = ?",
        (project_id, function_id),
        one(lambda row: Target(tuple(orjson.loads(row[0])), row[1])),
    )


def exists(project_id: str, function_id: str) -> Query[bool]:
    return Query("SELECT 1 FROM functions WHERE project_id = ? AND id = ?", (project_id, function_id), bool)


def of_project(project_id: str, window: Window, secret: ServerSecret) -> Query[Page[Function]]:
    condition, params = "project_id = ?", list[Value]((project_id,))
    found = clause(scope_of(_SCOPE, project_id), window.search, "id", packed=False)
    if found:
        condition, params = f"{condition} AND {found[0]}", [*params, *found[1]]
    return page(COLUMNS, "functions", condition, params, window, lambda row: _make(row, secret))


def plan(project_id: str, function_id: str) -> Query[Plan | None]:
    """The plan of a function that has an active deployment; None when it is not going to run by itself."""
    return Query(
        f"SELECT {_PLAN} FROM functions WHERE project_id = ? AND id = ? AND schedule_next > 0 AND deployment_id <> ''",
        (project_id, function_id),
        one(_make_plan),
    )


def planned(*, until: datetime, limit: int) -> Query[tuple[Plan, ...]]:
    """What is due, that which is longest first."""
    return Query(
        f"SELECT {_PLAN} FROM functions WHERE schedule_next > 0 AND schedule_next <= ? AND deployment_id <> '' "
        "ORDER BY schedule_next LIMIT ?",
        (to_micros(until), limit),
        many(_make_plan),
    )


def next_planned() -> Query[datetime | None]:
    """When the next function is due."""
    return Query(
        "SELECT schedule_next FROM functions WHERE schedule_next > 0 AND deployment_id <> '' "
        "ORDER BY schedule_next LIMIT 1",
        (),
        one(lambda row: from_micros(row[0])),
    )


def plans(after: str, limit: int) -> Query[tuple[Plan, ...]]:
    """The plans of all projects in the order of function ids, behind the id `after`."""
    return Query(
        f"SELECT {_PLAN} FROM functions WHERE schedule_next > 0 AND id > ? ORDER BY id LIMIT ?",
        (after, limit),
        many(_make_plan),
        inline=False,
    )


class FunctionStore:
    """Every change is told under the kind `functions` and the project's id."""

    def insert(self, tx: Transaction, function: Function, secret: ServerSecret) -> None:
        marks = ", ".join("?" * 14)
        tx.execute(f"INSERT INTO functions ({COLUMNS}) VALUES ({marks})", _values(function, secret))
        tx.stores.search.add(tx, scope_of(_SCOPE, function.project_id), function.id, _searched(function))
        _tell(tx, function.project_id)

    def update(self, tx: Transaction, old: Function, new: Function, secret: ServerSecret) -> None:
        """Store every field of a function that exists; `old` is how it was."""
        project_id, function_id, *rest = _values(new, secret)
        tx.execute(
            "UPDATE functions SET name = ?, execute = ?, runtime = ?, deployment_id = ?, variables = ?, events = ?, "
            "schedule = ?, schedule_next = ?, schedule_previous = ?, timeout = ?, created_at = ?, updated_at = ? "
            "WHERE project_id = ? AND id = ?",
            (*rest, project_id, function_id),
        )
        scope = scope_of(_SCOPE, new.project_id)
        tx.stores.search.replace(tx, scope, new.id, _searched(old), _searched(new))
        _tell(tx, new.project_id)

    def replan(self, tx: Transaction, plan: Plan, next_at: datetime | None, previous_at: datetime | None) -> None:
        """Store when a function runs next and when it ran last. This changes nothing that others remember."""
        tx.execute(
            "UPDATE functions SET schedule_next = ?, schedule_previous = ? WHERE project_id = ? AND id = ?",
            (to_micros(next_at), to_micros(previous_at), plan.project_id, plan.function_id),
        )

    def delete(self, tx: Transaction, function: Function) -> None:
        """Remove a function; its deployments and executions stay for `delete_slice` of their stores."""
        tx.execute("DELETE FROM functions WHERE project_id = ? AND id = ?", (function.project_id, function.id))
        scope = scope_of(_SCOPE, function.project_id)
        tx.stores.search.remove(tx, scope, function.id, _searched(function))
        _tell(tx, function.project_id)

    def delete_slice(self, tx: Transaction, project_id: str, limit: int) -> tuple[str, ...]:
        """Remove up to `limit` functions of a project and return their ids, whose deployments and executions remain."""
        rows = tx.rows(
            "SELECT id, name, runtime, schedule, deployment_id, events FROM functions WHERE project_id = ? LIMIT ?",
            (project_id, limit),
        )
        scope = scope_of(_SCOPE, project_id)
        for id, *texts, events in rows:
            tx.stores.search.remove(tx, scope, id, (*texts, *orjson.loads(events)))
        tx.execute_many("DELETE FROM functions WHERE project_id = ? AND id = ?", [(project_id, row[0]) for row in rows])
        _tell(tx, project_id)
        return tuple(row[0] for row in rows)


def _tell(tx: Transaction, project_id: str) -> None:
    tx.stores.outbox.forget_subscriptions(project_id)
    tx.invalidate("functions", project_id)
