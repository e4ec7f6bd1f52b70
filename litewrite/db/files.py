"""Files, as rows. Their bytes lie in the blob store, under the key in `blob_key`."""

from __future__ import annotations

from collections.abc import Sequence

from litewrite.db import search
from litewrite.db.engine import Transaction
from litewrite.db.ids import from_micros, pack, to_micros, unpack
from litewrite.db.pages import Window, page
from litewrite.db.query import Query, Row, Value, one
from litewrite.db.role_lists import decode, visible_clause
from litewrite.entities import File, Page, Permissions

COLUMNS = (
    "id, project_id, bucket_id, (SELECT roles FROM role_lists WHERE id = read_list) AS readers, "
    "(SELECT roles FROM role_lists WHERE id = write_list) AS writers, name, mime_type, signature, size, blob_key, "
    "created_at"
)


def make(row: Row) -> File:
    return File(
        id=unpack(row[0]),
        project_id=row[1],
        bucket_id=row[2],
        permissions=Permissions(decode(row[3]), decode(row[4])),
        name=row[5],
        mime_type=row[6],
        signature=row[7],
        size=row[8],
        blob_key=row[9],
        created_at=from_micros(row[10]),
    )


def get(project_id: str, bucket_id: str, file_id: str) -> Query[File | None]:
    """One file with its permissions, in one statement, so that both are of the same moment."""
    return Query(
        f"SELECT {COLUMNS} FROM files WHERE id = ? AND project_id = ? AND bucket_id = ?",
        (pack(file_id), project_id, bucket_id),
        one(make),
    )


def of_bucket(
    project_id: str, bucket_id: str, window: Window, *, roles: frozenset[str] | None = None
) -> Query[Page[File]]:
    """One page of the files of a bucket in the order of creation, and how many there are in all.

    `roles` leaves out what none of them may read; None leaves out nothing. No role list with `{self}` makes a file
    visible: the id of a file is that of nothing else.
    """
    condition = "project_id = ? AND bucket_id = ?"
    params: list[Value] = [project_id, bucket_id]
    for clause in (
        visible_clause("read_list", roles) if roles is not None else None,
        search.clause(_scope(project_id), window.search, "id", packed=True),
    ):
        if clause is not None:
            condition += f" AND {clause[0]}"
            params += clause[1]
    return page(COLUMNS, "files", condition, params, window, make)


def with_blobs(keys: Sequence[str]) -> Query[frozenset[str]]:
    """Those of some blob keys that a file has; at most a few hundred are asked about at a time."""
    marks = ",".join("?" * len(keys))
    return Query(
        f"SELECT blob_key FROM files WHERE blob_key IN ({marks})",
        tuple(keys),
        lambda rows: frozenset(row[0] for row in rows),
    )


def _scope(project_id: str) -> str:
    return search.scope_of("files", project_id)


class FileStore:
    def insert(self, tx: Transaction, file: File) -> None:
        role_lists = tx.stores.role_lists
        tx.execute(
            "INSERT INTO files (id, project_id, bucket_id, read_list, write_list, name, mime_type, signature, size, "
            "blob_key, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                pack(file.id),
                file.project_id,
                file.bucket_id,
                role_lists.intern(tx, file.permissions.read),
                role_lists.intern(tx, file.permissions.write),
                file.name,
                file.mime_type,
                file.signature,
                file.size,
                file.blob_key,
                to_micros(file.created_at),
            ),
        )
        tx.stores.search.add(tx, _scope(file.project_id), file.id, (file.name,))

    def update_permissions(self, tx: Transaction, file: File) -> None:
        role_lists = tx.stores.role_lists
        tx.execute(
            "UPDATE files SET read_list = ?, write_list = ? WHERE id = ?",
            (
                role_lists.intern(tx, file.permissions.read),
                role_lists.intern(tx, file.permissions.write),
                pack(file.id),
            ),
        )

    def delete(self, tx: Transaction, file: File) -> None:
        """Take the row away and leave the blob to be removed after the commit."""
        tx.execute("DELETE FROM files WHERE id = ?", (pack(file.id),))
        tx.stores.search.remove(tx, _scope(file.project_id), file.id, (file.name,))
        tx.stores.removals.add(tx, "blob", file.project_id, file.blob_key)

    def delete_of_project(self, tx: Transaction, project_id: str, limit: int) -> int:
        """Delete up to `limit` files of a project and return how many there were."""
        rows = tx.rows(f"SELECT {COLUMNS} FROM files WHERE project_id = ? LIMIT ?", (project_id, limit))
        for row in rows:
            self.delete(tx, make(row))
        return len(rows)
