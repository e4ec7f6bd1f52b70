"""Platforms of a project, as a part of the projects service."""

from __future__ import annotations

from typing import Annotated

from litewrite.api.context import Context
from litewrite.api.v0_11 import models_projects as models
from litewrite.api.v0_11.params import ID, NAME
from litewrite.api.v0_11.projects import ADMIN, READ, WRITE, ProjectId, administrator
from litewrite.http.endpoint import Routes
from litewrite.http.model import Empty
from litewrite.http.params import OneOf, Text

routes = Routes()

TYPES = (
    "web",
    "flutter-ios",
    "flutter-android",
    "flutter-linux",
    "flutter-macos",
    "flutter-windows",
    "apple-ios",
    "apple-macos",
    "apple-watchos",
    "apple-tvos",
    "android",
    "unity",
)
VALUE = Text(max=256)

PlatformId = Annotated[str, ID, "Id of the platform."]
KEY_HELP = "Bundle id or package name of an app, or an origin such as tauri://localhost."


@routes.post(
    "/v1/projects/{projectId}/platforms",
    name="projects.createPlatform",
    summary="Add a platform",
    scope=WRITE,
    auth=ADMIN,
    status=201,
)
async def create(
    ctx: Context,
    project_id: ProjectId,
    type: Annotated[str, OneOf(TYPES), "Kind of platform."],
    name: Annotated[str, NAME, "Name for people."],
    key: Annotated[str, VALUE, KEY_HELP] = "",
    store: Annotated[str, VALUE, "Id in an app store."] = "",
    hostname: Annotated[str, VALUE, "Host name of a web page."] = "",
) -> models.Platform:
    """Let a web page or an app call the project, and be linked to."""
    platform = await ctx.services.platforms.create(
        administrator(ctx), project_id, type=type, name=name, key=key, store=store, hostname=hostname
    )
    return models.Platform.of(platform)


@routes.get(
    "/v1/projects/{projectId}/platforms",
    name="projects.listPlatforms",
    summary="List the platforms",
    scope=READ,
    auth=ADMIN,
)
async def list_platforms(ctx: Context, project_id: ProjectId) -> models.PlatformList:
    """All platforms of a project, oldest first."""
    return models.PlatformList.of(await ctx.services.platforms.list(administrator(ctx), project_id))


@routes.get(
    "/v1/projects/{projectId}/platforms/{platformId}",
    name="projects.getPlatform",
    summary="Read a platform",
    scope=READ,
    auth=ADMIN,
)
async def get(ctx: Context, project_id: ProjectId, platform_id: PlatformId) -> models.Platform:
    """One platform."""
    return models.Platform.of(await ctx.services.platforms.get(administrator(ctx), project_id, platform_id))


@routes.put(
    "/v1/projects/{projectId}/platforms/{platformId}",
    name="projects.updatePlatform",
    summary="Replace a platform",
    scope=WRITE,
    auth=ADMIN,
)
async def update(
    ctx: Context,
    project_id: ProjectId,
    platform_id: PlatformId,
    name: Annotated[str, NAME, "Name for people."],
    key: Annotated[str, VALUE, KEY_HELP] = "",
    store: Annotated[str, VALUE, "Id in an app store."] = "",
    hostname: Annotated[str, VALUE, "Host name of a web page."] = "",
) -> models.Platform:
    """Replace everything but the type."""
    platform = await ctx.services.platforms.update(
        administrator(ctx), project_id, platform_id, name=name, key=key, store=store, hostname=hostname
    )
    return models.Platform.of(platform)


@routes.delete(
    "/v1/projects/{projectId}/platforms/{platformId}",
    name="projects.deletePlatform",
    summary="Remove a platform",
    scope=WRITE,
    auth=ADMIN,
    status=204,
)
async def delete(ctx: Context, project_id: ProjectId, platform_id: PlatformId) -> Empty:
    """Remove a platform; its pages and apps may not call from then on."""
    await ctx.services.platforms.delete(administrator(ctx), project_id, platform_id)
    return Empty()
