"""The teams service: groups of users whose roles count in permissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litewrite.api.client_urls import check_client_url
from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.params import ID, LIMIT, NAME, OFFSET, ORDER_TYPE, SEARCH
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.errors import ProjectUnknown
from litewrite.http.endpoint import FORMALLY_REQUIRED, RateLimit, Routes
from litewrite.http.params import Email, Key, ListOf, Text, Url

routes = Routes()

CALLERS = ("session", "jwt", "key")
READ = "teams.read"
WRITE = "teams.write"
HOUR = 3600
MOST_ROLES = 100
"""Each is a role of the member on every request it makes."""
TEAM_ROLES = ListOf(Key(max=32), MOST_ROLES)
SECRET = Text(max=256)


@routes.post(
    "/v1/teams", name="teams.create", summary="Create Team", scope=WRITE, auth=CALLERS, event="teams.create", status=201
)
async def create(
    ctx: Context,
    name: Annotated[str, NAME, "Name of the team."],
    roles: Annotated[Sequence[str], TEAM_ROLES, "Roles of the user who creates the team."] = ("owner",),
) -> models.Team:
    """Create a team. A user who does so is its first member."""
    return models.Team.of(await ctx.services.teams.create(ctx.actor, name=name, roles=roles))


@routes.get("/v1/teams", name="teams.list", summary="List Teams", scope=READ, auth=CALLERS)
async def list_teams(
    ctx: Context,
    search: Annotated[str, SEARCH, "Words of the name."] = "",
    limit: Annotated[int, LIMIT, "Number of teams on the page."] = 25,
    offset: Annotated[int, OFFSET, "Number of teams to skip."] = 0,
    order_type: Annotated[str, ORDER_TYPE, "Direction of the order, which is that of creation."] = "ASC",
) -> models.TeamList:
    """The teams that the caller has joined; all of them for API keys."""
    return models.TeamList.of(
        await ctx.services.teams.list(
            ctx.actor, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.get("/v1/teams/{teamId}", name="teams.get", summary="Get Team", scope=READ, auth=CALLERS)
async def get(ctx: Context, team_id: Annotated[str, ID, "Id of the team."]) -> models.Team:
    """One team, for its members."""
    return models.Team.of(await ctx.services.teams.get(ctx.actor, team_id))


@routes.put(
    "/v1/teams/{teamId}", name="teams.update", summary="Update Team", scope=WRITE, auth=CALLERS, event="teams.update"
)
async def update(
    ctx: Context,
    team_id: Annotated[str, ID, "Id of the team."],
    name: Annotated[str, NAME, "New name of the team."],
) -> models.Team:
    """Rename a team. Members need the role owner."""
    return models.Team.of(await ctx.services.teams.update(ctx.actor, team_id, name=name))


@routes.delete(
    "/v1/teams/{teamId}",
    name="teams.delete",
    summary="Delete Team",
    scope=WRITE,
    auth=CALLERS,
    event="teams.delete",
    status=204,
)
async def delete(ctx: Context, team_id: Annotated[str, ID, "Id of the team."]) -> models.Empty:
    """Remove a team with all memberships. Members need the role owner."""
    await ctx.services.teams.delete(ctx.actor, team_id)
    return models.Empty()


@routes.get(
    "/v1/teams/{teamId}/memberships",
    name="teams.getMemberships",
    summary="Get Team Memberships",
    scope=READ,
    auth=CALLERS,
)
async def get_memberships(
    ctx: Context,
    team_id: Annotated[str, ID, "Id of the team."],
    search: Annotated[str, SEARCH, "Ids, roles, or words of the name or the address of a member."] = "",
    limit: Annotated[int, LIMIT, "Number of memberships on the page."] = 25,
    offset: Annotated[int, OFFSET, "Number of memberships to skip."] = 0,
    order_type: Annotated[str, ORDER_TYPE, "Direction of the order, which is that of creation."] = "ASC",
) -> models.MembershipList:
    """The memberships of a team, pending invitations included."""
    return models.MembershipList.of(
        await ctx.services.teams.members(
            ctx.actor, team_id, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.post(
    "/v1/teams/{teamId}/memberships",
    name="teams.createMembership",
    summary="Create Team Membership",
    scope=WRITE,
    auth=CALLERS,
    rate_limit=RateLimit(10, HOUR, ("url", "ip")),
    event="teams.memberships.create",
    status=201,
    auth_method="invites",
)
async def create_membership(
    ctx: Context,
    *,
    team_id: Annotated[str, ID, "Id of the team."],
    email: Annotated[str, Email(), "Address of the new member."],
    roles: Annotated[Sequence[str], TEAM_ROLES, "Roles of the member in the team.", FORMALLY_REQUIRED] = (),
    url: Annotated[str, Url(), "Page of the app to which the link in the invitation leads."],
    name: Annotated[str, NAME, "Name for a user that has to be created; the address when empty."] = "",
) -> models.Membership:
    """Invite somebody to a team by mail. Members need the role owner; API keys add the member at once and send no mail.

    A user is created when nobody has the address.
    """
    url = check_client_url(ctx, "url", url)
    return models.Membership.of(
        await ctx.services.teams.create_membership(ctx.actor, team_id, email=email, roles=roles, url=url, name=name)
    )


@routes.patch(
    "/v1/teams/{teamId}/memberships/{membershipId}",
    name="teams.updateMembershipRoles",
    summary="Update Membership Roles",
    scope=WRITE,
    auth=CALLERS,
    event="teams.memberships.update",
)
async def update_membership_roles(
    ctx: Context,
    team_id: Annotated[str, ID, "Id of the team."],
    membership_id: Annotated[str, ID, "Id of the membership."],
    roles: Annotated[Sequence[str], TEAM_ROLES, "The new roles, replacing the old ones.", FORMALLY_REQUIRED] = (),
) -> models.Membership:
    """Change the roles of a member. Members need the role owner."""
    return models.Membership.of(await ctx.services.teams.update_roles(ctx.actor, team_id, membership_id, roles=roles))


@routes.patch(
    "/v1/teams/{teamId}/memberships/{membershipId}/status",
    name="teams.updateMembershipStatus",
    summary="Update Team Membership Status",
    scope=PUBLIC,
    event="teams.memberships.update.status",
)
async def update_membership_status(
    ctx: Context,
    team_id: Annotated[str, ID, "Id of the team."],
    membership_id: Annotated[str, ID, "Id of the membership."],
    user_id: Annotated[str, ID, "Id of the user, from the link of the invitation."],
    secret: Annotated[str, SECRET, "Secret from the link of the invitation."],
) -> models.Membership:
    """Accept an invitation, which logs the user in."""
    if ctx.view is None:
        raise ProjectUnknown
    member, session, value = await ctx.services.teams.accept(
        ctx.actor, team_id, membership_id, user_id=user_id, secret=secret
    )
    ctx.log_in(value, session.expires_at)
    return models.Membership.of(member)


@routes.delete(
    "/v1/teams/{teamId}/memberships/{membershipId}",
    name="teams.deleteMembership",
    summary="Delete Team Membership",
    scope=WRITE,
    auth=CALLERS,
    event="teams.memberships.delete",
    status=204,
)
async def delete_membership(
    ctx: Context,
    team_id: Annotated[str, ID, "Id of the team."],
    membership_id: Annotated[str, ID, "Id of the membership."],
) -> models.Empty:
    """Leave a team, or, as its owner, put a member out or withdraw an invitation."""
    await ctx.services.teams.delete_membership(ctx.actor, team_id, membership_id)
    return models.Empty()
