"""Files: placeholder until the service is written."""

from __future__ import annotations

from dataclasses import dataclass

from litewrite.blobs.base import BlobStore, BlobWriter
from litewrite.db.engine import Database


@dataclass(slots=True)
class Upload:
    """A file that was received and waits under a temporary name.

    `too_large` says that it went beyond the limit and was cut off. It vanishes unless it is stored.
    """

    name: str
    writer: BlobWriter
    too_large: bool = False


class Files:
    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs

    async def begin_upload(self) -> BlobWriter:
        """Where the bytes of an upload go before it is known what becomes of it."""
        return await self._blobs.writer()
