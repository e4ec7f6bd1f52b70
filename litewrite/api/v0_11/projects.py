"""The projects service: what administrators do with their projects, on the project `console`.

Only a session of the console will do, neither a JWT nor a key; which projects it reaches follows from the teams of its
user. None of it fires events.
"""

from __future__ import annotations

from typing import Annotated

from litewrite.api.context import Context
from litewrite.api.v0_11 import models_projects as models
from litewrite.api.v0_11.params import ID, LIMIT, NAME, OFFSET, ORDER_TYPE, SEARCH
from litewrite.entities import CONSOLE
from litewrite.errors import AccessForbidden, ScopeMissing
from litewrite.http.endpoint import FORMALLY_REQUIRED, Routes
from litewrite.http.model import Empty
from litewrite.http.params import Boolean, Integer, OneOf, Text, Url
from litewrite.permissions import Actor
from litewrite.services.projects import AUTH_METHODS
from litewrite.services.providers import PROVIDERS

routes = Routes()

ADMIN = ("session",)
READ, WRITE = "projects.read", "projects.write"
LEGAL = Text(max=256)
LARGEST_LIMIT = 2**31 - 1

ProjectId = Annotated[str, ID, "Id of the project."]


def administrator(ctx: Context) -> Actor:
    """The console user who calls. Raises `AccessForbidden` on another project, and `ScopeMissing` without a session."""
    if ctx.project.project.id != CONSOLE:
        raise AccessForbidden("This call works on the project console alone")
    if ctx.actor.user is None or ctx.actor.via_jwt:
        raise ScopeMissing("This call needs a session of the project console")
    return ctx.actor


@routes.post("/v1/projects", name="projects.create", summary="Create a project", scope=WRITE, auth=ADMIN, status=201)
async def create(
    ctx: Context,
    name: Annotated[str, NAME, "Name of the project."],
    team_id: Annotated[str, ID, "Id of the console team that will own it."],
    description: Annotated[str, LEGAL, "What it is for."] = "",
    logo: Annotated[str, Text(max=1024), "Id of a logo."] = "",
    url: Annotated[str, Url(), "Web site."] = "",
    legal_name: Annotated[str, LEGAL, "Name of the company."] = "",
    legal_country: Annotated[str, LEGAL, "Its country."] = "",
    legal_state: Annotated[str, LEGAL, "Its state."] = "",
    legal_city: Annotated[str, LEGAL, "Its city."] = "",
    legal_address: Annotated[str, LEGAL, "Its address."] = "",
    legal_tax_id: Annotated[str, LEGAL, "Its tax number."] = "",
) -> models.Project:
    """Make a project of a team of which the caller is an owner or a developer."""
    details = {
        "description": description,
        "logo": logo,
        "url": url,
        "legal_name": legal_name,
        "legal_country": legal_country,
        "legal_state": legal_state,
        "legal_city": legal_city,
        "legal_address": legal_address,
        "legal_tax_id": legal_tax_id,
    }
    actor = administrator(ctx)
    return models.Project.of(await ctx.services.projects.create_in_team(actor, team_id, name=name, details=details))


@routes.get("/v1/projects", name="projects.list", summary="List projects", scope=READ, auth=ADMIN)
async def list_projects(
    ctx: Context,
    search: Annotated[str, SEARCH, "Words of the name or the id."] = "",
    limit: Annotated[int, LIMIT, "Size of the page."] = 25,
    offset: Annotated[int, OFFSET, "How many to skip."] = 0,
    order_type: Annotated[str, ORDER_TYPE, "Oldest first, or newest first."] = "ASC",
) -> models.ProjectList:
    """Projects of the caller's teams, in the order of creation."""
    page = await ctx.services.projects.list_page(
        administrator(ctx), search=search, limit=limit, offset=offset, descending=order_type == "DESC"
    )
    return models.ProjectList.of(page)


@routes.get("/v1/projects/{projectId}", name="projects.get", summary="Read a project", scope=READ, auth=ADMIN)
async def get(ctx: Context, project_id: ProjectId) -> models.Project:
    """One project with its platforms, keys, webhooks and settings."""
    return models.Project.of(await ctx.services.projects.get(administrator(ctx), project_id))


@routes.patch(
    "/v1/projects/{projectId}",
    name="projects.update",
    summary="Change the descriptive fields",
    scope=WRITE,
    auth=ADMIN,
)
async def update(
    ctx: Context,
    project_id: ProjectId,
    name: Annotated[str, NAME, "Name of the project."],
    description: Annotated[str, LEGAL, "What it is for."] = "",
    logo: Annotated[str, Text(max=1024), "Id of a logo."] = "",
    url: Annotated[str, Url(), "Web site."] = "",
    legal_name: Annotated[str, LEGAL, "Name of the company."] = "",
    legal_country: Annotated[str, LEGAL, "Its country."] = "",
    legal_state: Annotated[str, LEGAL, "Its state."] = "",
    legal_city: Annotated[str, LEGAL, "Its city."] = "",
    legal_address: Annotated[str, LEGAL, "Its address."] = "",
    legal_tax_id: Annotated[str, LEGAL, "Its tax number."] = "",
) -> models.Project:
    """Replace the name and the description; what is left out becomes empty."""
    details = {
        "description": description,
        "logo": logo,
        "url": url,
        "legal_name": legal_name,
        "legal_country": legal_country,
        "legal_state": legal_state,
        "legal_city": legal_city,
        "legal_address": legal_address,
        "legal_tax_id": legal_tax_id,
    }
    actor = administrator(ctx)
    return models.Project.of(await ctx.services.projects.update(actor, project_id, name=name, details=details))


@routes.patch(
    "/v1/projects/{projectId}/oauth2",
    name="projects.updateOAuth2",
    summary="Set the credentials of an OAuth2 provider",
    scope=WRITE,
    auth=ADMIN,
)
async def update_oauth2(
    ctx: Context,
    project_id: ProjectId,
    provider: Annotated[str, OneOf(PROVIDERS), "Key of the provider."],
    app_id: Annotated[str, Text(max=256), "App id at the provider."] = "",
    secret: Annotated[str, Text(max=512), "Secret at the provider; its mask leaves it as it is."] = "",
) -> models.Project:
    """Switch an OAuth2 provider on, or off by leaving both values out."""
    return models.Project.of(
        await ctx.services.projects.update_provider(
            administrator(ctx), project_id, provider, app_id=app_id, secret=secret
        )
    )


@routes.patch(
    "/v1/projects/{projectId}/auth/limit",
    name="projects.updateAuthLimit",
    summary="Set the user limit",
    scope=WRITE,
    auth=ADMIN,
)
async def update_auth_limit(
    ctx: Context,
    project_id: ProjectId,
    limit: Annotated[int, Integer(0, LARGEST_LIMIT), "The most users; 0 for no limit."],
) -> models.Project:
    """Limit how many users can sign up."""
    return models.Project.of(await ctx.services.projects.update_user_limit(administrator(ctx), project_id, limit))


@routes.patch(
    "/v1/projects/{projectId}/auth/{method}",
    name="projects.updateAuthStatus",
    summary="Switch an auth method",
    scope=WRITE,
    auth=ADMIN,
)
async def update_auth_status(
    ctx: Context,
    project_id: ProjectId,
    method: Annotated[str, OneOf(AUTH_METHODS), "A way of logging in."],
    status: Annotated[bool, Boolean(loose=True), "Whether it is on.", FORMALLY_REQUIRED] = False,
) -> models.Project:
    """Switch a way of logging in on or off. Sessions stay as they are."""
    return models.Project.of(
        await ctx.services.projects.update_auth_method(administrator(ctx), project_id, method, status)
    )


@routes.delete(
    "/v1/projects/{projectId}",
    name="projects.delete",
    summary="Delete a project",
    scope=WRITE,
    auth=ADMIN,
    status=204,
)
async def delete(
    ctx: Context,
    project_id: ProjectId,
    password: Annotated[str, Text(max=32), "Password of the calling user."],
) -> Empty:
    """Remove a project with everything in it, and its team when it has no other project."""
    await ctx.services.projects.delete_with_password(administrator(ctx), project_id, password)
    return Empty()
