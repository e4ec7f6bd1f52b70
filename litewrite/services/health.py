"""The state of the server's parts."""

from __future__ import annotations

from litewrite.blobs.base import BlobStore
from litewrite.db.engine import Database
from litewrite.db.query import Query, scalar
from litewrite.errors import DatabaseUnavailable, StorageUnavailable


class Health:
    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs

    async def check_database(self) -> None:
        """Raises `DatabaseUnavailable` when a trivial query fails."""
        if await self._db.read(Query("SELECT 1", (), scalar)) != 1:
            raise DatabaseUnavailable

    async def check_storage(self) -> None:
        """Raises `StorageUnavailable` when the folder of the blobs cannot be written to."""
        if not await self._blobs.writable():
            raise StorageUnavailable

    async def queue_length(self, queue: str) -> int:
        """Jobs that wait in a queue: `webhooks`, `functions`, `logs`, `usage`, `tasks` or `certificates`."""
        query = _QUEUES.get(queue)
        return await self._db.read(query) if query else 0


_QUEUES: dict[str, Query[int]] = {
    "webhooks": Query("SELECT count(*) FROM outbox WHERE target = 'webhook'", (), scalar),
    "functions": Query(
        "SELECT (SELECT count(*) FROM executions WHERE status = 'waiting') "
        "+ (SELECT count(*) FROM outbox WHERE target = 'function')",
        (),
        scalar,
    ),
}
