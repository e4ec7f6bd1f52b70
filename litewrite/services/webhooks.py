"""The webhooks of a project: which URLs are told of which events.

A password for basic authentication is encrypted with the server secret and never shown again. Every webhook gets a
secret of its own to sign deliveries with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from litewrite.db import outbox as outbox_rows
from litewrite.db import webhooks as webhook_rows
from litewrite.db.engine import Database, Transaction
from litewrite.entities import Delivery, Webhook
from litewrite.errors import WebhookNotFound
from litewrite.permissions import Actor
from litewrite.security import ServerSecret, new_secret
from litewrite.services.project_access import MASK, changeable, ensure_readable

MOST_LISTED = 100
"""Deliveries of a list."""


class Webhooks:
    """All methods with an actor raise `ProjectNotFound`, those that change something `Unauthorized`, and those that
    take the id of a webhook `WebhookNotFound`. URLs and events have been checked already.
    """

    def __init__(self, db: Database, secret: ServerSecret) -> None:
        self._db = db
        self._secret = secret

    def password(self, webhook: Webhook) -> str:
        """The password for basic authentication. Raises ValueError when it was encrypted with another secret."""
        return self._secret.decrypt(webhook.http_password) if webhook.http_password else ""

    def signature_secret(self, webhook: Webhook) -> str:
        """What deliveries are signed with. Raises ValueError when it was encrypted with another secret."""
        return self._secret.decrypt(webhook.signature_secret)

    async def create(
        self,
        actor: Actor,
        project_id: str,
        *,
        name: str,
        url: str,
        events: Iterable[str],
        verify_tls: bool,
        http_user: str = "",
        http_password: str = "",
    ) -> Webhook:
        """Add a webhook; without `verify_tls` whoever answers at its address is trusted."""
        chosen = tuple(dict.fromkeys(events))

        def unit(tx: Transaction) -> Webhook:
            changeable(tx, actor, project_id)
            webhook = Webhook(
                id=tx.new_id(),
                project_id=project_id,
                name=name,
                url=url,
                events=chosen,
                verify_tls=verify_tls,
                http_user=http_user,
                http_password=self._seal(http_password),
                signature_secret=self._seal(new_secret()),
                created_at=tx.now,
                updated_at=tx.now,
            )
            tx.stores.webhooks.insert(tx, webhook)
            return webhook

        return await self._db.write(unit)

    async def list(self, actor: Actor, project_id: str) -> tuple[Webhook, ...]:
        """The webhooks of a project, oldest first."""
        await ensure_readable(self._db, actor, project_id)
        return await self._db.read(webhook_rows.of_project(project_id))

    async def get(self, actor: Actor, project_id: str, webhook_id: str) -> Webhook:
        await ensure_readable(self._db, actor, project_id)
        webhook = await self._db.read(webhook_rows.get(project_id, webhook_id))
        if webhook is None:
            raise WebhookNotFound
        return webhook

    async def deliveries(self, actor: Actor, project_id: str, webhook_id: str) -> tuple[Delivery, ...]:
        """The newest events on their way to a webhook, delivered to it or given up, newest first; 100 at most."""
        await self.get(actor, project_id, webhook_id)
        return await self._db.read(outbox_rows.of_webhook(project_id, webhook_id, MOST_LISTED))

    async def update(
        self,
        actor: Actor,
        project_id: str,
        webhook_id: str,
        *,
        name: str,
        url: str,
        events: Iterable[str],
        verify_tls: bool,
        http_user: str = "",
        http_password: str = "",
    ) -> Webhook:
        """Replace everything that can be chosen. The mask as a password leaves it as it is."""
        chosen = tuple(dict.fromkeys(events))

        def unit(tx: Transaction) -> Webhook:
            changeable(tx, actor, project_id)
            webhook = tx.run(webhook_rows.get(project_id, webhook_id))
            if webhook is None:
                raise WebhookNotFound
            webhook = replace(
                webhook,
                name=name,
                url=url,
                events=chosen,
                verify_tls=verify_tls,
                http_user=http_user,
                http_password=webhook.http_password if http_password == MASK else self._seal(http_password),
                updated_at=tx.now,
            )
            tx.stores.webhooks.update(tx, webhook)
            return webhook

        return await self._db.write(unit)

    def _seal(self, text: str) -> bytes:
        return self._secret.encrypt(text) if text else b""

    async def delete(self, actor: Actor, project_id: str, webhook_id: str) -> None:
        def unit(tx: Transaction) -> None:
            changeable(tx, actor, project_id)
            if not tx.stores.webhooks.delete(tx, project_id, webhook_id):
                raise WebhookNotFound

        await self._db.write(unit)
