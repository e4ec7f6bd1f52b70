"""The state of the server's parts."""

from __future__ import annotations

from litewrite.blobs.base import BlobStore
from litewrite.db import health as rows
from litewrite.db import outbox
from litewrite.db.engine import Database
from litewrite.errors import DatabaseUnavailable, StorageUnavailable


class Health:
    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs

    async def check_database(self) -> None:
        """Raises `DatabaseUnavailable` when the database cannot be read."""
        if await self._db.read(rows.probe()) != 1:
            raise DatabaseUnavailable

    async def check_storage(self) -> None:
        """Raises `StorageUnavailable` when the folder of the blobs cannot be written to."""
        if not await self._blobs.writable():
            raise StorageUnavailable

    async def waiting_webhooks(self) -> int:
        """Webhook deliveries that are still to be made; what waits to be tried again is one of them."""
        return await self._db.read(outbox.count_waiting(outbox.WEBHOOK))

    async def waiting_functions(self) -> int:
        """Executions that wait for their turn, and events that are still to start one."""
        waiting = await self._db.read(rows.waiting_executions())
        return waiting + await self._db.read(outbox.count_waiting(outbox.FUNCTION))
