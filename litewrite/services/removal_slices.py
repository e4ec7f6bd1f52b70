"""What lies behind a deleted project, collection, function or webhook, and how it is taken away a slice at a time."""

from __future__ import annotations

from litewrite.db import collections as collection_rows
from litewrite.db.engine import Transaction
from litewrite.db.removals import Removal, remove_rows_of_project
from litewrite.services.cleanup import Slice


def _documents(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.documents.delete_slice(tx, removal.key, limit)


def _deployments(tx: Transaction, removal: Removal, limit: int) -> int:
    removed, blobs = tx.stores.deployments.delete_slice(tx, removal.project_id, removal.key, limit)
    for key in blobs:
        tx.stores.removals.add(tx, "blob", removal.project_id, key)
    return removed


def _executions(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.executions.delete_slice(tx, removal.project_id, removal.key, limit)


def _usage(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.usage.delete_slice(tx, removal.key, limit)


def _deliveries(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.outbox.delete_slice(tx, removal.key, limit)


def _collections(tx: Transaction, removal: Removal, limit: int) -> int:
    ids = tx.run(collection_rows.ids_of_project(removal.project_id, limit))
    for id in ids:
        collection = tx.run(collection_rows.get(removal.project_id, id))
        if collection is not None:
            tx.stores.collections.delete(tx, collection)
            tx.stores.removals.add(tx, "collection", removal.project_id, id)
    return len(ids)


def _functions(tx: Transaction, removal: Removal, limit: int) -> int:
    ids = tx.stores.functions.delete_slice(tx, removal.project_id, limit)
    for id in ids:
        tx.stores.removals.add(tx, "function", removal.project_id, id)
    return len(ids)


def _files(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.files.delete_of_project(tx, removal.project_id, limit)


def _users(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.users.delete_of_project(tx, removal.project_id, limit)


def _teams(tx: Transaction, removal: Removal, limit: int) -> int:
    return tx.stores.teams.delete_of_project(tx, removal.project_id, limit)


def _rows(tx: Transaction, removal: Removal, limit: int) -> int:
    return remove_rows_of_project(tx, removal.project_id, limit)


SLICES: dict[str, tuple[Slice, ...]] = {
    "collection": (_documents,),
    "function": (_deployments, _executions, _usage, _deliveries),
    "webhook": (_deliveries,),
    "project": (_collections, _functions, _files, _users, _teams, _rows),
}
