"""Indexes on the attributes that lists filter and sort by, made when they are first asked for.

The list that asks does not wait: it reads the documents themselves, and the index is built behind it in short units
that stand back for all others. What is unfinished when the server stops is gone on with at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from litewrite.db import document_lists, fields
from litewrite.db.collections import StoredCollection
from litewrite.db.document_lists import Request
from litewrite.db.engine import Database
from litewrite.db.fields import Kind
from litewrite.db.ids import pack
from litewrite.errors import LitewriteError

log = logging.getLogger(__name__)

LEAST_SIZE = 100
"""Documents from which on an index is worth its rows."""
MOST_FIELDS = 16
"""Indexed fields of one collection: each makes writing its documents a little slower."""
MOST_WANTED = 1_000
SLICE = 250
"""Documents that one unit indexes."""
RETRY_SECONDS = 5.0
SIZE_SECONDS = 5.0
"""How long the size of a collection is taken to be what it was."""
MOST_SIZES = 10_000

_OPEN_TYPES = frozenset(("wildcard", "permissions"))
"""Types whose values may have lists and members of their own."""

_Wanted = tuple[int, tuple[str, ...], Kind]


class Sizes:
    """About how many documents collections have. Only the choice of a way depends on it, never a result."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, tuple[float, int]] = {}

    async def of(self, collection_id: str) -> int:
        now = time.monotonic()
        known = self._known.get(collection_id)
        if known is not None and known[0] > now:
            return known[1]
        size = await self._db.read(document_lists.total(collection_id))
        if len(self._known) >= MOST_SIZES:
            self._known.clear()
        self._known[collection_id] = (now + SIZE_SECONDS, size)
        return size


class FieldIndexes:
    """Builds indexes one after the other, in a task that lives from `start` to `stop`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._wanted: dict[_Wanted, bool] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, request: Request, stored: StoredCollection, size: int) -> None:
        """Have what a list filters and sorts by indexed, unless its collection is small or has enough of them."""
        if size < LEAST_SIZE or self._task is None:
            return
        known = {(field.path, field.kind) for field in stored.fields}
        if known.issuperset(request.fields()):
            return
        attributes = {attribute.key: attribute for attribute in reversed(stored.collection.attributes)}
        for path, kind in request.fields():
            attribute = attributes.get(path[0])
            if attribute is None or attribute.type == "document":
                continue
            if len(path) > 1 and attribute.type not in _OPEN_TYPES:
                continue
            if (path, kind) in known or len(known) >= MOST_FIELDS:
                continue
            known.add((path, kind))
            if len(self._wanted) < MOST_WANTED:
                wanted = (pack(request.collection_id), path, kind)
                self._wanted[wanted] = attribute.array or attribute.type in _OPEN_TYPES
                self._wake.set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name="litewrite-field-indexes")

    async def stop(self) -> None:
        """Stop after the unit that runs."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _work(self) -> None:
        while True:
            try:
                for collection in await self._db.read(fields.unfinished()):
                    await self._build(collection)
                while self._wanted:
                    await self._make(next(iter(self._wanted)))
            except LitewriteError as error:
                log.warning("an index could not be built yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception:
                log.exception("an index cannot be built")
                self._wanted.clear()
            await self._wake.wait()
            self._wake.clear()

    async def _make(self, wanted: _Wanted) -> None:
        collection, path, kind = wanted
        is_multiple = self._wanted[wanted]
        await self._db.write(
            lambda tx: tx.stores.documents.fields.request(
                tx, collection, path, kind, is_multiple=is_multiple, most=MOST_FIELDS
            ),
            background=True,
        )
        await self._build(collection)
        del self._wanted[wanted]

    async def _build(self, collection: int) -> None:
        while await self._db.write(
            lambda tx: tx.stores.documents.fields.build_slice(tx, collection, SLICE), background=True
        ):
            pass
