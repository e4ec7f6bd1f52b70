"""API keys of a project, as a part of the projects service."""

from __future__ import annotations

from typing import Annotated

from litewrite.api.context import Context
from litewrite.api.v0_11 import models_projects as models
from litewrite.api.v0_11.params import ID, NAME
from litewrite.api.v0_11.projects import ADMIN, READ, WRITE, ProjectId, administrator
from litewrite.api.v0_11.scopes import KEY_SCOPES
from litewrite.http.endpoint import Routes
from litewrite.http.model import Empty
from litewrite.http.params import ListOf, OneOf

routes = Routes()

SCOPES = ListOf(OneOf(KEY_SCOPES))

KeyId = Annotated[str, ID, "Id of the key."]


@routes.post(
    "/v1/projects/{projectId}/keys",
    name="projects.createKey",
    summary="Add a key",
    scope=WRITE,
    auth=ADMIN,
    status=201,
)
async def create(
    ctx: Context,
    project_id: ProjectId,
    name: Annotated[str, NAME, "Name for people."],
    scopes: Annotated[list[str], SCOPES, "What the key allows."],
) -> models.Key:
    """Make a key. Only this answer has its whole secret."""
    actor = administrator(ctx)
    return models.Key.of(*await ctx.services.keys.create(project_id, name, scopes, actor=actor))


@routes.get("/v1/projects/{projectId}/keys", name="projects.listKeys", summary="List the keys", scope=READ, auth=ADMIN)
async def list_keys(ctx: Context, project_id: ProjectId) -> models.KeyList:
    """All keys of a project, oldest first, with the first characters of their secrets."""
    actor = administrator(ctx)
    return models.KeyList.of(await ctx.services.keys.list(project_id, actor=actor))


@routes.get(
    "/v1/projects/{projectId}/keys/{keyId}", name="projects.getKey", summary="Read a key", scope=READ, auth=ADMIN
)
async def get(ctx: Context, project_id: ProjectId, key_id: KeyId) -> models.Key:
    """One key, with the first characters of its secret."""
    actor = administrator(ctx)
    return models.Key.of(await ctx.services.keys.get(project_id, key_id, actor=actor))


@routes.put(
    "/v1/projects/{projectId}/keys/{keyId}",
    name="projects.updateKey",
    summary="Replace a key",
    scope=WRITE,
    auth=ADMIN,
)
async def update(
    ctx: Context,
    project_id: ProjectId,
    key_id: KeyId,
    name: Annotated[str, NAME, "Name for people."],
    scopes: Annotated[list[str], SCOPES, "What the key allows."],
) -> models.Key:
    """Replace name and scopes; the secret stays."""
    actor = administrator(ctx)
    return models.Key.of(await ctx.services.keys.update(project_id, key_id, name, scopes, actor=actor))


@routes.delete(
    "/v1/projects/{projectId}/keys/{keyId}",
    name="projects.deleteKey",
    summary="Remove a key",
    scope=WRITE,
    auth=ADMIN,
    status=204,
)
async def delete(ctx: Context, project_id: ProjectId, key_id: KeyId) -> Empty:
    """Remove a key, which is refused from then on."""
    actor = administrator(ctx)
    await ctx.services.keys.delete(project_id, key_id, actor=actor)
    return Empty()
