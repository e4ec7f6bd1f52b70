"""Deployments, as rows. The bytes of an archive lie in the blob store under `blob_key`."""

from __future__ import annotations

from collections.abc import Sequence

from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, to_micros
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, one
from litewrite.db.search import clause, scope_of
from litewrite.entities import Deployment, Page

COLUMNS = "project_id, function_id, id, command, size, blob_key, created_at"
_SCOPE = "deployments"


def _make(row: Row) -> Deployment:
    return Deployment(
        project_id=row[0],
        function_id=row[1],
        id=row[2],
        command=row[3],
        size=row[4],
        blob_key=row[5],
        created_at=from_micros(row[6]),
    )


def get(project_id: str, function_id: str, deployment_id: str) -> Query[Deployment | None]:
    return Query(
        f"SELECT {COLUMNS} FROM deployments WHERE project_id = ? AND function_id = ? AND id = ?",
        (project_id, function_id, deployment_id),
        one(_make),
    )


def of_function(project_id: str, function_id: str, window: Window) -> Query[Page[Deployment]]:
    condition, params = "project_id = ? AND function_id = ?", list[Value]((project_id, function_id))
    found = clause(scope_of(_SCOPE, function_id), window.search, "id", packed=False)
    if found:
        condition, params = f"{condition} AND {found[0]}", [*params, *found[1]]
    return page(COLUMNS, "deployments", condition, params, window, _make)


def with_blobs(keys: Sequence[str]) -> Query[frozenset[str]]:
    """Which of some keys are those of deployments' blobs."""
    marks = ",".join("?" * len(keys))
    return Query(
        f"SELECT blob_key FROM deployments WHERE blob_key IN ({marks})",
        keys,
        lambda rows: frozenset(row[0] for row in rows),
    )


class DeploymentStore:
    def insert(self, tx: Transaction, deployment: Deployment) -> None:
        tx.execute(
            f"INSERT INTO deployments ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                deployment.project_id,
                deployment.function_id,
                deployment.id,
                deployment.command,
                deployment.size,
                deployment.blob_key,
                to_micros(deployment.created_at),
            ),
        )
        scope = scope_of(_SCOPE, deployment.function_id)
        tx.stores.search.add(tx, scope, deployment.id, (deployment.command,))

    def delete(self, tx: Transaction, deployment: Deployment) -> None:
        """Remove a deployment; its blob is for the caller to remove."""
        tx.execute(
            "DELETE FROM deployments WHERE project_id = ? AND function_id = ? AND id = ?",
            (deployment.project_id, deployment.function_id, deployment.id),
        )
        scope = scope_of(_SCOPE, deployment.function_id)
        tx.stores.search.remove(tx, scope, deployment.id, (deployment.command,))

    def delete_slice(
        self, tx: Transaction, project_id: str, function_id: str, limit: int
    ) -> tuple[int, tuple[str, ...]]:
        """Remove up to `limit` deployments of a function; returns how many, and the keys of their blobs."""
        rows = tx.rows(
            f"SELECT {COLUMNS} FROM deployments WHERE project_id = ? AND function_id = ? ORDER BY id LIMIT ?",
            (project_id, function_id, limit),
        )
        for row in rows:
            self.delete(tx, _make(row))
        return len(rows), tuple(row[5] for row in rows)
