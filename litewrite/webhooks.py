"""Delivers events to webhooks: signed POSTs, at once after the commit, and again until the target has taken them.

Every webhook with something to deliver has a lane: a task that sends one event after the other, so that they arrive in
their order until one fails for the first time. What is sent comes from the outbox, a row at a time, and lanes share a
few slots, so a dead target costs no memory and delays no other one. Rows change only after the answer: what a crash
catches in between is sent again, under the same id.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from litewrite.db import outbox
from litewrite.db import webhooks as webhook_rows
from litewrite.db.engine import Database
from litewrite.entities import Delivery, DeliveryState, Webhook
from litewrite.errors import LitewriteError, Overloaded
from litewrite.outbound import CONCURRENT, AnswerRefused, FetchFailed, Outbound, TargetRefused
from litewrite.security import ServerSecret

log = logging.getLogger(__name__)

SECONDS = 15.0
"""How long one attempt may take."""
ANSWER_BYTES = 65_536
"""How much of an answer, which nobody looks at, is waited for."""
GIVEN_UP_AFTER = timedelta(days=1)
SLOTS = CONCURRENT
"""Attempts at the same time."""
SLOTS_OF_HOST = 4
"""Of them, to one host and port."""
STOP_SECONDS = 1.0
"""How long stopping waits for attempts that are under way."""
RETRY_SECONDS = 1.0
"""Between two tries to read or write a row."""
PATIENCE = 3
"""Failures in a row after which a lane pauses."""
LONGEST_PAUSE = 60.0
_SLICE = 200
_NOT_YET_IMPLEMENTED = "not-yet-implemented"
"""The signature that the protocol has for every delivery; the one that means something is `X-Litewrite-Signature`."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds until an event is tried again: `first`, then twice as long each time, up to `longest`."""

    first: float = 5.0
    longest: float = 3_600.0

    def after(self, failures: int) -> float:
        """`failures` is how many attempts have failed, the last one included."""
        return min(self.first * 2.0 ** min(failures - 1, 30), self.longest)


BACKOFF = Backoff()


@dataclass(slots=True)
class _Lane:
    """What is known of a webhook while something waits for it."""

    webhook_id: str
    project_id: str = ""
    failures: int = 0
    """Attempts that failed since the last one that did not."""
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the webhook may have been changed, which ends a pause."""


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    users: int = 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    state: DeliveryState
    """`WAITING` when it is to be tried again."""
    status: int = 0
    error: str = ""


class WebhookDelivery:
    """Entering starts the work; leaving lets attempts that are under way end, for a second, and then stops.

    A target has taken an event when it answers with 2xx. Without an answer, with 429 or with 5xx it is asked again
    with growing pauses, for a day; any other answer is final. `allow_loopback` lets URLs lead to this machine.
    """

    def __init__(
        self,
        db: Database,
        secret: ServerSecret,
        client: Outbound,
        *,
        allow_loopback: bool,
        backoff: Backoff = BACKOFF,
        seconds: float = SECONDS,
    ) -> None:
        self._db = db
        self._secret = secret
        self._client = client
        self._allow_loopback = allow_loopback
        self._backoff = backoff
        self._seconds = seconds
        self._slots = asyncio.Semaphore(SLOTS)
        self._hosts: dict[str, _Host] = {}
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = True

    async def __aenter__(self) -> Self:
        self._stopping = False
        self._db.on_invalidate(self._notice)
        for webhook_id in await self._db.read(outbox.waiting_targets(outbox.WEBHOOK)):
            self._wake(webhook_id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        for lane in self._lanes.values():
            lane.woken.set()
            lane.changed.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _notice(self, kind: str, key: str) -> None:
        if kind == outbox.CHANGED and key:
            self._wake(key)
        elif kind == "webhooks":
            for lane in self._lanes.values():
                if lane.project_id == key:
                    lane.changed.set()
                    lane.woken.set()

    def _wake(self, webhook_id: str) -> None:
        if self._stopping:
            return
        lane = self._lanes.get(webhook_id)
        if lane is None:
            lane = self._lanes[webhook_id] = _Lane(webhook_id)
            task = asyncio.create_task(self._work(lane), name=f"litewrite-webhook-{webhook_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        lane.woken.set()

    # One lane

    async def _work(self, lane: _Lane) -> None:
        try:
            while not self._stopping:
                lane.woken.clear()
                try:
                    goes_on = await self._step(lane)
                except LitewriteError as error:
                    log.warning("deliveries to the webhook %s pause: %s", lane.webhook_id, error)
                    await _wait(lane.changed, RETRY_SECONDS)
                    continue
                except Exception:
                    log.exception("deliveries to the webhook %s pause", lane.webhook_id)
                    await _wait(lane.changed, RETRY_SECONDS)
                    continue
                if not goes_on and not lane.woken.is_set():
                    return
        finally:
            del self._lanes[lane.webhook_id]

    async def _step(self, lane: _Lane) -> bool:
        """Deliver what is due, or wait until something is; False when nothing is left."""
        delivery = await self._db.read(outbox.next_of(lane.webhook_id))
        if delivery is None:
            return False
        lane.project_id = delivery.project_id
        ahead = (delivery.due_at - datetime.now(UTC)).total_seconds()
        if ahead > 0:
            await _wait(lane.woken, min(ahead, self._backoff.longest))
            return True
        lane.changed.clear()
        webhook = await self._db.read(webhook_rows.get(delivery.project_id, lane.webhook_id))
        if webhook is None:
            await self._db.write(lambda tx: tx.stores.outbox.delete_slice(tx, lane.webhook_id, _SLICE), background=True)
            return True
        async with self._slot(urlsplit(webhook.url).netloc):
            if self._stopping:
                return False
            outcome = await self._attempt(webhook, delivery)
        await self._note(delivery, outcome)
        if outcome.state is not DeliveryState.WAITING:
            lane.failures = 0
            return True
        lane.failures += 1
        if lane.failures >= PATIENCE:
            # So many events would fail in the same way that each would use up attempts for nothing.
            await _wait(lane.changed, min(2.0 ** (lane.failures - PATIENCE), LONGEST_PAUSE))
        return True

    @contextlib.asynccontextmanager
    async def _slot(self, netloc: str) -> AsyncIterator[None]:
        """A place among all attempts, and among those to one host."""
        host = self._hosts.setdefault(netloc, _Host(asyncio.Semaphore(SLOTS_OF_HOST)))
        host.users += 1
        try:
            async with host.slots, self._slots:
                yield
        finally:
            host.users -= 1
            if not host.users:
                del self._hosts[netloc]

    async def _note(self, delivery: Delivery, outcome: _Outcome) -> None:
        now = datetime.now(UTC)
        state, failures = outcome.state, delivery.attempts + 1
        what = f"the event {delivery.event} ({delivery.id}) to the webhook {delivery.target_id}"
        if state is DeliveryState.WAITING and now - delivery.created_at < GIVEN_UP_AFTER:
            due_at = now + timedelta(seconds=self._backoff.after(failures))
            log.info("%s is sent again at %s: %s", what, due_at.isoformat(timespec="seconds"), outcome.error)
            await self._db.write(
                lambda tx: tx.stores.outbox.postpone(tx, delivery, due_at, outcome.status, outcome.error)
            )
            return
        if state is not DeliveryState.DELIVERED:
            state = DeliveryState.FAILED
            log.warning("%s is given up after %d attempts: %s", what, failures, outcome.error)
        await self._db.write(
            lambda tx: tx.stores.outbox.close(tx, delivery, state, status=outcome.status, error=outcome.error)
        )

    # One attempt

    async def _attempt(self, webhook: Webhook, delivery: Delivery) -> _Outcome:
        try:
            body = self._secret.decrypt(delivery.payload).encode()
            headers = self._headers(webhook, delivery, body)
        except ValueError as error:
            return _Outcome(DeliveryState.FAILED, error=str(error))
        try:
            answer = await self._client.post(
                webhook.url,
                body,
                headers,
                seconds=self._seconds,
                max_bytes=ANSWER_BYTES,
                allow_loopback=self._allow_loopback,
                verify=webhook.verify_tls,
            )
        except (FetchFailed, TargetRefused, Overloaded) as error:
            # An answer in an encoding that nobody asked for is an answer all the same.
            final = isinstance(error, TargetRefused | AnswerRefused)
            # Whoever knows the whole URL may send to it.
            reason = str(error).replace(webhook.url, "the target")
            return _Outcome(DeliveryState.FAILED if final else DeliveryState.WAITING, error=reason)
        if 200 <= answer.status < 300:
            return _Outcome(DeliveryState.DELIVERED, answer.status)
        again = answer.status == 429 or answer.status >= 500
        state = DeliveryState.WAITING if again else DeliveryState.FAILED
        return _Outcome(state, answer.status, f"the target answered with status {answer.status}")

    def _headers(self, webhook: Webhook, delivery: Delivery, body: bytes) -> dict[str, str]:
        """Raises ValueError when what is secret of the webhook cannot be read."""
        headers = {
            "Content-Type": "application/json",
            "X-Appwrite-Webhook-Id": webhook.id,
            "X-Appwrite-Webhook-Event": delivery.event,
            "X-Appwrite-Webhook-Name": "".join(each if each.isprintable() else " " for each in webhook.name),
            "X-Appwrite-Webhook-User-Id": delivery.user_id,
            "X-Appwrite-Webhook-Project-Id": webhook.project_id,
            "X-Appwrite-Webhook-Signature": _NOT_YET_IMPLEMENTED,
            "X-Litewrite-Delivery": delivery.id,
        }
        if webhook.signature_secret:
            headers["X-Litewrite-Signature"] = sign(self._secret.decrypt(webhook.signature_secret), body)
        if webhook.http_user and webhook.http_password:
            password = self._secret.decrypt(webhook.http_password)
            credentials = base64.b64encode(f"{webhook.http_user}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        return headers


def sign(secret: str, body: bytes, moment: int | None = None) -> str:
    """What `X-Litewrite-Signature` says: `t=<Unix seconds>,v1=<HMAC-SHA-256 over "<t>.<body>" in hexadecimal>`."""
    moment = int(time.time()) if moment is None else moment
    digest = hmac.new(secret.encode(), str(moment).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
