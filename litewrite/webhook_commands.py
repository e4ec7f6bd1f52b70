"""Commands about webhooks: which URLs are told of the events of a project, and what became of that.

They are rows of the table in `commands.py` and keep to its rules: texts in, what JSON can hold out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litewrite.administration import Command, check_name, format_time
from litewrite.control import CommandFailed
from litewrite.entities import Delivery, DeliveryState, Webhook
from litewrite.errors import WebhookNotFound

if TYPE_CHECKING:
    from litewrite.app import Backend

__all__ = ["WEBHOOKS"]

ALL_EVENTS = "all"
CREDENTIAL_LIMIT = 256
"""Characters of a user name or password."""
YES, NO = "yes", "no"


async def webhooks_create(
    backend: Backend, *, project: str, name: str, url: str, events: str, user: str, password: str, verify: str
) -> dict[str, Any]:
    """Add a webhook for `events`: "all", or names with commas between them. Only this answer has the secret."""
    from litewrite.http.params import Url
    from litewrite.services.project_access import OPERATOR

    check_name(name)
    try:
        Url(schemes=("http", "https")).check(url)
    except ValueError as error:
        raise CommandFailed(f"The URL {error}") from None
    if bool(user) != bool(password):
        raise CommandFailed("Basic authentication needs a user name and a password")
    if max(len(user), len(password)) > CREDENTIAL_LIMIT:
        raise CommandFailed(f"A user name or password has at most {CREDENTIAL_LIMIT} characters")
    if verify not in (YES, NO):
        raise CommandFailed(f"Certificates are verified or not, {YES} or {NO}, not {verify[:40]!r}")
    webhook = await backend.services.webhooks.create(
        OPERATOR,
        project,
        name=name,
        url=url,
        events=_read_events(events, backend.event_names),
        verify_tls=verify == YES,
        http_user=user,
        http_password=password,
    )
    return {**_webhook(webhook), "secret": backend.services.webhooks.signature_secret(webhook)}


async def webhooks_list(backend: Backend, *, project: str) -> list[dict[str, Any]]:
    from litewrite.services.project_access import OPERATOR

    return [_webhook(webhook) for webhook in await backend.services.webhooks.list(OPERATOR, project)]


async def webhooks_delete(backend: Backend, *, project: str, webhook: str) -> dict[str, Any]:
    from litewrite.services.project_access import OPERATOR

    found = await _find(backend, project, webhook)
    await backend.services.webhooks.delete(OPERATOR, project, webhook)
    return _webhook(found)


async def webhooks_deliveries(backend: Backend, *, project: str, webhook: str) -> list[dict[str, Any]]:
    """The newest deliveries, newest first, without what they say."""
    from litewrite.services.project_access import OPERATOR

    await _find(backend, project, webhook)
    return [_delivery(each) for each in await backend.services.webhooks.deliveries(OPERATOR, project, webhook)]


async def _find(backend: Backend, project: str, webhook: str) -> Webhook:
    from litewrite.services.project_access import OPERATOR

    try:
        return await backend.services.webhooks.get(OPERATOR, project, webhook)
    except WebhookNotFound:
        raise WebhookNotFound(f"There is no webhook with the id {webhook[:40]} in the project {project}") from None


def _read_events(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if text.strip() == ALL_EVENTS:
        return known
    events = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not events:
        raise CommandFailed(f"Name events, with commas between them, or {ALL_EVENTS}. There are {', '.join(known)}")
    unknown = [event for event in events if event not in known]
    if unknown:
        raise CommandFailed(
            f"There is no event {', '.join(event[:60] for event in unknown[:5])}. There are {', '.join(known)}"
        )
    return events


def _webhook(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "project": webhook.project_id,
        "name": webhook.name,
        "url": webhook.url,
        "events": list(webhook.events),
        "verify": webhook.verify_tls,
        "user": webhook.http_user,
        "created_at": format_time(webhook.created_at),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    tried_again = delivery.state is DeliveryState.WAITING and delivery.attempts > 0
    return {
        "id": delivery.id,
        "event": delivery.event,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "created_at": format_time(delivery.created_at),
        "next_at": format_time(delivery.due_at) if tried_again else "",
        "error": delivery.error,
    }


WEBHOOKS: Mapping[str, Command] = {
    "webhooks.create": Command(webhooks_create, ("project", "name", "url", "events", "user", "password", "verify")),
    "webhooks.list": Command(webhooks_list, ("project",)),
    "webhooks.delete": Command(webhooks_delete, ("project", "webhook")),
    "webhooks.deliveries": Command(webhooks_deliveries, ("project", "webhook")),
}
