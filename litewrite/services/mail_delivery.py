"""Sends the queued mails: at once after the commit that queued them, and again until the mail server has taken them.

Every mail is a row until its fate is known, so a crash delays it at most; one that happened between the mail server's
answer and the note of it sends the mail twice, under the same Message-ID.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from litewrite.db import mails as mail_rows
from litewrite.db.engine import Database
from litewrite.entities import MailState, StoredMail
from litewrite.errors import LitewriteError
from litewrite.mail import render
from litewrite.services.mails import Mails
from litewrite.smtp import MailRefused, MailServerFailed, SmtpConnection, SmtpServer

log = logging.getLogger(__name__)

GIVEN_UP_AFTER = timedelta(days=1)
BATCH = 100
CONNECTIONS = 4
"""Connections to the mail server at the same time."""
STOP_SECONDS = 3.0
"""How long stopping waits for the mail that is being sent."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds until the next attempt: `first`, then twice as long each time, up to `longest`."""

    first: float
    longest: float

    def after(self, attempts: int) -> float:
        """`attempts` is how many have failed before this one."""
        return min(self.first * 2.0 ** min(attempts, 30), self.longest)


MAIL_BACKOFF = Backoff(30.0, 3_600.0)
"""For a mail that the server does not take for now."""
SERVER_BACKOFF = Backoff(1.0, 300.0)
"""For a server that takes nothing at all."""


class MailDelivery:
    """Entering starts the work; leaving lets the mail that is being sent end and then stops."""

    def __init__(
        self,
        db: Database,
        mails: Mails,
        server: SmtpServer,
        *,
        sender: str,
        mail_backoff: Backoff = MAIL_BACKOFF,
        server_backoff: Backoff = SERVER_BACKOFF,
    ) -> None:
        self._db = db
        self._mails = mails
        self._server = server
        self._sender = sender
        self._host = sender.rpartition("@")[2].strip("[]")
        self._mail_backoff = mail_backoff
        self._server_backoff = server_backoff
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._mails.on_queued = self._wake.set
        self._task = asyncio.create_task(self._work(), name="litewrite-mail")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mails.on_queued = None
        self._stopping.set()
        self._wake.set()
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait((task,), timeout=STOP_SECONDS)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                failed = await self._send_due()
                pause = await self._until_next()
            except LitewriteError as error:
                log.warning("queued mails cannot be read or noted as sent: %s", error)
                failed, pause = True, None
            if failed:
                # New mails do not call a server that is down any sooner.
                await _wait(self._stopping, self._server_backoff.after(failures))
                failures += 1
            else:
                failures = 0
                await _wait(self._wake, pause)

    async def _until_next(self) -> float | None:
        due = await self._db.read(mail_rows.next_due())
        return None if due is None else max((due - datetime.now(UTC)).total_seconds(), 0.0)

    async def _send_due(self) -> bool:
        """Send what is due; True when the mail server took nothing."""
        while not self._stopping.is_set():
            batch = await self._db.read(mail_rows.due(datetime.now(UTC), BATCH))
            if not batch:
                return False
            lanes = min(CONNECTIONS, len(batch))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._send(batch[lane::lanes])) for lane in range(lanes)]
            if any(task.result() for task in tasks):
                return True
        return False

    async def _send(self, mails: Iterable[StoredMail]) -> bool:
        """Send mails one after the other; True when no connection could be had for them."""
        waiting = deque(mails)
        while waiting and not self._stopping.is_set():
            try:
                async with SmtpConnection(self._server) as connection:
                    while waiting and connection.is_open and not self._stopping.is_set():
                        await self._send_one(connection, waiting[0])
                        waiting.popleft()
            except MailServerFailed as error:
                log.warning("no mail can be sent by way of %s: %s", self._server.host, error)
                for mail in waiting:
                    await self._postpone(mail, str(error), self._server_backoff)
                return True
            except LitewriteError as error:
                log.warning("what became of a mail cannot be noted: %s", error)
                return True
        return False

    async def _send_one(self, connection: SmtpConnection, stored: StoredMail) -> None:
        try:
            mail = self._mails.read(stored)
        except ValueError as error:
            await self._close(stored, MailState.FAILED, str(error))
            return
        message_id = f"{stored.id}.{stored.project_id}@{self._host}"
        message = await asyncio.to_thread(
            lambda: render(mail, sender=self._sender, message_id=message_id, sent_at=stored.created_at).as_bytes()
        )
        try:
            await connection.send(self._sender, mail.to, message)
        except MailRefused as error:
            await self._close(stored, MailState.FAILED, str(error))
        except MailServerFailed as error:
            await self._postpone(stored, str(error), self._mail_backoff)
        else:
            await self._close(stored, MailState.SENT)

    async def _postpone(self, stored: StoredMail, reason: str, backoff: Backoff) -> None:
        now = datetime.now(UTC)
        if now - stored.created_at >= GIVEN_UP_AFTER:
            await self._close(stored, MailState.FAILED, reason)
            return
        due_at = now + timedelta(seconds=backoff.after(stored.attempts))
        log.info("mail %s of project %s is tried again at %s: %s", stored.id, stored.project_id, due_at, reason)
        await self._db.write(lambda tx: tx.stores.mails.postpone(tx, stored, due_at, reason))

    async def _close(self, stored: StoredMail, state: MailState, reason: str = "") -> None:
        if state is MailState.FAILED:
            log.warning("mail %s of project %s is not going to be sent: %s", stored.id, stored.project_id, reason)
        await self._db.write(lambda tx: tx.stores.mails.close(tx, stored, state, reason))


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
