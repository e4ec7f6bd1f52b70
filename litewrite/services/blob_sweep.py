"""Removes, once after each start, the blobs that nothing names.

A blob is published before the row that names it is written, so a process that dies in between leaves one behind. The
same goes for the temporary files of uploads that were under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from litewrite.blobs.base import BlobKey, BlobStore
from litewrite.db import deployments as deployment_rows
from litewrite.db import files as file_rows
from litewrite.db.engine import Database
from litewrite.db.query import Query
from litewrite.errors import LitewriteError
from litewrite.services.files import BLOB_KIND as FILES
from litewrite.services.functions import BLOB_KIND as CODE

log = logging.getLogger(__name__)

BATCH = 200
"""Keys that one query asks about."""
MIN_AGE = 60.0
"""Seconds; a younger blob may belong to a row that is just being written."""

Owned = Callable[[Sequence[str]], Query[frozenset[str]]]
"""Which of some keys are named by a row."""

OWNERS: Mapping[str, Owned] = {FILES: file_rows.with_blobs, CODE: deployment_rows.with_blobs}
"""By the kind of blob, where its rows are. Blobs of other kinds are left alone."""


async def sweep(
    db: Database, blobs: BlobStore, owners: Mapping[str, Owned] = OWNERS, *, min_age: float = MIN_AGE
) -> tuple[int, int]:
    """Remove temporary files of earlier processes, then blobs without a row; returns how many of each.

    Only blobs written more than `min_age` seconds before the call are looked at, so it may run while requests are
    answered. Raises `OSError`, `DeadlineExceeded` and `DatabaseUnavailable`; what was removed until then stays removed.
    """
    temporary = await blobs.sweep_temporary()
    removed = 0
    batches: defaultdict[str, list[str]] = defaultdict(list)
    async for key in blobs.keys(min_age=min_age):
        kind = BlobKey.parse(key).kind
        if kind in owners:
            batches[kind].append(key)
            if len(batches[kind]) == BATCH:
                removed += await _remove_unnamed(db, blobs, owners[kind], batches.pop(kind))
    for kind, batch in batches.items():
        removed += await _remove_unnamed(db, blobs, owners[kind], batch)
    return temporary, removed


async def _remove_unnamed(db: Database, blobs: BlobStore, owned: Owned, batch: Sequence[str]) -> int:
    named = await db.read(owned(batch))
    unnamed = [key for key in batch if key not in named]
    for key in unnamed:
        await blobs.remove(key)
    return len(unnamed)


@contextlib.asynccontextmanager
async def sweeping(db: Database, blobs: BlobStore) -> AsyncIterator[None]:
    """Sweep in the background, as long as the context lasts at most. A failure is logged and left to the next start."""
    task = asyncio.create_task(_sweep(db, blobs), name="litewrite-blob-sweep")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _sweep(db: Database, blobs: BlobStore) -> None:
    try:
        temporary, removed = await sweep(db, blobs)
    except (OSError, LitewriteError):
        log.exception("blobs that nothing names could not all be removed")
        return
    if temporary or removed:
        log.info("removed %d unfinished uploads and %d blobs that nothing names", temporary, removed)
