"""Webhooks of a project, as a part of the projects service."""

from __future__ import annotations

from typing import Annotated

from litewrite.api.context import Context
from litewrite.api.v0_11 import models_projects as models
from litewrite.api.v0_11.events import SUBSCRIBABLE
from litewrite.api.v0_11.params import ID, NAME
from litewrite.api.v0_11.projects import ADMIN, READ, WRITE, ProjectId, administrator
from litewrite.http.endpoint import FORMALLY_REQUIRED, Routes
from litewrite.http.model import Empty
from litewrite.http.params import Boolean, ListOf, OneOf, Text, Url

routes = Routes()

EVENTS = ListOf(OneOf(SUBSCRIBABLE))
TARGET = Url(schemes=("http", "https"))
CREDENTIAL = Text(max=256)

WebhookId = Annotated[str, ID, "Id of the webhook."]


@routes.post(
    "/v1/projects/{projectId}/webhooks",
    name="projects.createWebhook",
    summary="Add a webhook",
    scope=WRITE,
    auth=ADMIN,
    status=201,
)
async def create(
    ctx: Context,
    project_id: ProjectId,
    name: Annotated[str, NAME, "Name for people."],
    events: Annotated[list[str], EVENTS, "Events to send."],
    url: Annotated[str, TARGET, "Where to send them."],
    security: Annotated[
        bool, Boolean(loose=True), "Whether the certificate of the target is verified.", FORMALLY_REQUIRED
    ] = False,
    http_user: Annotated[str, CREDENTIAL, "User for basic authentication."] = "",
    http_pass: Annotated[str, CREDENTIAL, "Password for it."] = "",
) -> models.Webhook:
    """Have events of the project sent to a URL."""
    webhook = await ctx.services.webhooks.create(
        administrator(ctx),
        project_id,
        name=name,
        url=url,
        events=events,
        verify_tls=security,
        http_user=http_user,
        http_password=http_pass,
    )
    return models.Webhook.of(webhook, http_pass)


@routes.get(
    "/v1/projects/{projectId}/webhooks",
    name="projects.listWebhooks",
    summary="List the webhooks",
    scope=READ,
    auth=ADMIN,
)
async def list_webhooks(ctx: Context, project_id: ProjectId) -> models.WebhookList:
    """All webhooks of a project, oldest first."""
    return models.WebhookList.of(await ctx.services.webhooks.list(administrator(ctx), project_id))


@routes.get(
    "/v1/projects/{projectId}/webhooks/{webhookId}",
    name="projects.getWebhook",
    summary="Read a webhook",
    scope=READ,
    auth=ADMIN,
)
async def get(ctx: Context, project_id: ProjectId, webhook_id: WebhookId) -> models.Webhook:
    """One webhook."""
    return models.Webhook.of(await ctx.services.webhooks.get(administrator(ctx), project_id, webhook_id))


@routes.put(
    "/v1/projects/{projectId}/webhooks/{webhookId}",
    name="projects.updateWebhook",
    summary="Replace a webhook",
    scope=WRITE,
    auth=ADMIN,
)
async def update(
    ctx: Context,
    project_id: ProjectId,
    webhook_id: WebhookId,
    name: Annotated[str, NAME, "Name for people."],
    events: Annotated[list[str], EVENTS, "Events to send."],
    url: Annotated[str, TARGET, "Where to send them."],
    security: Annotated[
        bool, Boolean(loose=True), "Whether the certificate of the target is verified.", FORMALLY_REQUIRED
    ] = False,
    http_user: Annotated[str, CREDENTIAL, "User for basic authentication."] = "",
    http_pass: Annotated[str, CREDENTIAL, "Password for it; its mask leaves it as it is."] = "",
) -> models.Webhook:
    """Replace all fields; what is left out becomes empty."""
    webhook = await ctx.services.webhooks.update(
        administrator(ctx),
        project_id,
        webhook_id,
        name=name,
        url=url,
        events=events,
        verify_tls=security,
        http_user=http_user,
        http_password=http_pass,
    )
    return models.Webhook.of(webhook, http_pass)


@routes.delete(
    "/v1/projects/{projectId}/webhooks/{webhookId}",
    name="projects.deleteWebhook",
    summary="Remove a webhook",
    scope=WRITE,
    auth=ADMIN,
    status=204,
)
async def delete(ctx: Context, project_id: ProjectId, webhook_id: WebhookId) -> Empty:
    """Remove a webhook."""
    await ctx.services.webhooks.delete(administrator(ctx), project_id, webhook_id)
    return Empty()
