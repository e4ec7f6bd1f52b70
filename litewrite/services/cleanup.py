"""Removes, in the background and in slices, what is gone for callers and still has rows or blobs behind it.

What waits is in the table of removals, so a crash only delays it. Each slice is a background unit of a few hundred
rows: other writers never wait for more than one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

from litewrite.blobs.base import BlobStore
from litewrite.db import removals
from litewrite.db.engine import Database, Transaction
from litewrite.db.ids import first_id_of
from litewrite.db.removals import Removal
from litewrite.db.usage import KEPT as USAGE_KEPT
from litewrite.errors import LitewriteError

log = logging.getLogger(__name__)

SLICE = 200
"""Rows that one unit removes."""
RETRY_SECONDS = 5.0
EXPIRY_SECONDS = 3600.0
"""Time between two removals of what is kept for some time only."""
RETENTION = timedelta(days=14)
"""How long audit entries and ended executions are kept."""
MAIL_RETENTION = timedelta(days=7)
"""How long mails are kept that do not wait to be sent."""

Slice = Callable[[Transaction, Removal, int], int]
"""Removes up to so many rows of what a removal names and returns how many there were."""


class Cleanup:
    """Works off the removals. Entering starts the work, leaving stops it after the slice that runs.

    `slices` says for each kind of removal which functions take rows away, in order, each until it finds nothing more.
    """

    def __init__(self, db: Database, blobs: BlobStore, slices: dict[str, tuple[Slice, ...]]) -> None:
        self._db = db
        self._blobs = blobs
        self._slices = slices
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._db.on_invalidate(self._notice)
        self._wake.set()
        self._tasks = [
            asyncio.create_task(self._work(), name="litewrite-cleanup"),
            asyncio.create_task(self._expire(), name="litewrite-expiry"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _notice(self, kind: str, key: str) -> None:
        if kind == "removals":
            self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self._try_pass():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), RETRY_SECONDS)
                self._wake.set()

    async def _try_pass(self) -> bool:
        """Whether everything that waited is gone. Whatever keeps it from that, the work goes on later."""
        try:
            return not await self._pass()
        except LitewriteError as error:
            log.warning("what is deleted is removed later: %s", error)
        except Exception:
            log.exception("what is deleted is removed later")
        return False

    async def finish_project(self, project_id: str) -> None:
        """Carry out the removal of a project that waits, however long it takes; for when nothing else does.

        Raises what keeps it from being removed.
        """
        while (removal := await self._db.read(removals.of_project(project_id))) is not None:
            log.info("what is left of an earlier project %s is removed first", project_id)
            await self._carry_out(removal)

    async def _pass(self) -> bool:
        """Work off everything that waits; True when something could not be removed and is to be tried again."""
        failed = False
        removal = await self._db.read(removals.oldest())
        while removal is not None:
            try:
                await self._carry_out(removal)
            except (LitewriteError, OSError) as error:
                failed = True
                log.warning("what is left of %s %s could not be removed yet: %s", removal.kind, removal.key, error)
            removal = await self._db.read(removals.oldest(removal.id))
        return failed

    async def _carry_out(self, removal: Removal) -> None:
        if removal.kind == "blob":
            await self._blobs.remove(removal.key)
        for remove in self._slices.get(removal.kind, ()):
            while await self._db.write(partial(_take_slice, remove, removal), background=True):
                pass
        await self._db.write(lambda tx: tx.stores.removals.done(tx, removal), background=True)

    async def _expire(self) -> None:
        while True:
            await self.expire()
            await asyncio.sleep(EXPIRY_SECONDS)

    async def expire(self) -> None:
        """Remove expired sessions and tokens, and audit entries, executions, counts and mails beyond their time."""
        await self._until_none(lambda tx: tx.stores.sessions.delete_expired(tx, SLICE))
        await self._until_none(lambda tx: tx.stores.tokens.delete_expired(tx, SLICE))
        await self._until_none(lambda tx: tx.stores.mails.delete_older(tx, tx.now - MAIL_RETENTION, SLICE))
        await self._until_none(lambda tx: tx.stores.audit.delete_older(tx, _cutoff(tx), SLICE))
        await self._until_none(lambda tx: tx.stores.executions.delete_ended_before(tx, _cutoff(tx), SLICE))
        await self._until_none(lambda tx: tx.stores.usage.delete_older(tx, tx.now - USAGE_KEPT, SLICE))

    async def _until_none(self, remove: Callable[[Transaction], int]) -> None:
        try:
            while await self._db.write(remove, background=True):
                pass
        except LitewriteError as error:
            log.warning("expired rows could not be removed yet: %s", error)
        except Exception:
            log.exception("expired rows could not be removed yet")


def _take_slice(remove: Slice, removal: Removal, tx: Transaction) -> int:
    return remove(tx, removal, SLICE)


def _cutoff(tx: Transaction) -> str:
    """Every id below this one was made before the time of retention."""
    return first_id_of(tx.now - RETENTION)
