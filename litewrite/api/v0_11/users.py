"""The users service: what servers do with the users of a project."""

from __future__ import annotations

from typing import Annotated, Any

from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.account import log_list, session_list
from litewrite.api.v0_11.params import ID, LIMIT, NAME, OFFSET, ORDER_TYPE, SEARCH
from litewrite.entities import UserStatus
from litewrite.http.endpoint import FORMALLY_REQUIRED, Routes
from litewrite.http.params import Boolean, Email, JsonObject, OneOf, Password

routes = Routes()

KEY = ("key",)
READ = "users.read"
WRITE = "users.write"
STATUSES = OneOf(tuple(status.value for status in UserStatus))


@routes.post(
    "/v1/users", name="users.create", summary="Create User", scope=WRITE, auth=KEY, event="users.create", status=201
)
async def create(
    ctx: Context,
    email: Annotated[str, Email(), "Address of the new user."],
    password: Annotated[str, Password(), "Password of the new user."],
    name: Annotated[str, NAME, "Display name of the new user."] = "",
) -> models.User:
    """Create a user. The project's limit of users does not apply."""
    return models.User.of(await ctx.services.users.create(ctx.actor, email=email, password=password, name=name))


@routes.get("/v1/users", name="users.list", summary="List Users", scope=READ, auth=KEY)
async def list_users(
    ctx: Context,
    search: Annotated[str, SEARCH, "Words of the name or the address."] = "",
    limit: Annotated[int, LIMIT, "Number of users on the page."] = 25,
    offset: Annotated[int, OFFSET, "Number of users to skip."] = 0,
    order_type: Annotated[str, ORDER_TYPE, "Direction of the order, which is that of registration."] = "ASC",
) -> models.UserList:
    """Users of the project."""
    return models.UserList.of(
        await ctx.services.users.list(
            ctx.actor, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.get("/v1/users/{userId}", name="users.get", summary="Get User", scope=READ, auth=KEY)
async def get(ctx: Context, user_id: Annotated[str, ID, "Id of the user."]) -> models.User:
    """One user."""
    return models.User.of(await ctx.services.users.get(ctx.actor, user_id))


@routes.get("/v1/users/{userId}/prefs", name="users.getPrefs", summary="Get User Preferences", scope=READ, auth=KEY)
async def get_prefs(ctx: Context, user_id: Annotated[str, ID, "Id of the user."]) -> models.Preferences:
    """Preferences of a user."""
    return models.Preferences.of(await ctx.services.users.get(ctx.actor, user_id))


@routes.get("/v1/users/{userId}/sessions", name="users.getSessions", summary="Get User Sessions", scope=READ, auth=KEY)
async def get_sessions(ctx: Context, user_id: Annotated[str, ID, "Id of the user."]) -> models.SessionList:
    """Sessions of a user, oldest first; expired ones are listed as long as they are stored."""
    return await session_list(ctx, await ctx.services.users.sessions(ctx.actor, user_id))


@routes.get("/v1/users/{userId}/logs", name="users.getLogs", summary="Get User Logs", scope=READ, auth=KEY)
async def get_logs(ctx: Context, user_id: Annotated[str, ID, "Id of the user."]) -> models.LogList:
    """The ten newest security events of a user."""
    return await log_list(ctx, await ctx.services.users.logs(ctx.actor, user_id))


@routes.patch(
    "/v1/users/{userId}/status",
    name="users.updateStatus",
    summary="Update User Status",
    scope=WRITE,
    auth=KEY,
    event="users.update.status",
)
async def update_status(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    status: Annotated[int, STATUSES, "0 registered, 1 active, 2 blocked."],
) -> models.User:
    """Block a user, or let it in again. Sessions stay."""
    return models.User.of(await ctx.services.users.update_status(ctx.actor, user_id, UserStatus(status)))


@routes.patch(
    "/v1/users/{userId}/verification",
    name="users.updateVerification",
    summary="Update Email Verification",
    scope=WRITE,
    auth=KEY,
    event="users.update.verification",
)
async def update_verification(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    email_verification: Annotated[bool, Boolean(), "Whether the address is verified.", FORMALLY_REQUIRED] = False,
) -> models.User:
    """Set whether the address of a user is verified."""
    return models.User.of(await ctx.services.users.update_verification(ctx.actor, user_id, email_verification))


@routes.patch(
    "/v1/users/{userId}/name",
    name="users.updateName",
    summary="Update Name",
    scope=WRITE,
    auth=KEY,
    event="users.update.name",
)
async def update_name(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    name: Annotated[str, NAME, "New name."],
) -> models.User:
    """Change the display name of a user."""
    return models.User.of(await ctx.services.users.update_name(ctx.actor, user_id, name))


@routes.patch(
    "/v1/users/{userId}/password",
    name="users.updatePassword",
    summary="Update Password",
    scope=WRITE,
    auth=KEY,
    event="users.update.password",
)
async def update_password(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    password: Annotated[str, Password(), "New password."],
) -> models.User:
    """Change the password of a user without the old one. Sessions stay valid."""
    return models.User.of(await ctx.services.users.update_password(ctx.actor, user_id, password))


@routes.patch(
    "/v1/users/{userId}/email",
    name="users.updateEmail",
    summary="Update Email",
    scope=WRITE,
    auth=KEY,
    event="users.update.email",
)
async def update_email(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    email: Annotated[str, Email(), "New address."],
) -> models.User:
    """Change the address of a user. Whether it is verified stays as it was."""
    return models.User.of(await ctx.services.users.update_email(ctx.actor, user_id, email))


@routes.patch(
    "/v1/users/{userId}/prefs",
    name="users.updatePrefs",
    summary="Update User Preferences",
    scope=WRITE,
    auth=KEY,
    event="users.update.prefs",
)
async def update_prefs(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    prefs: Annotated[dict[str, Any], JsonObject(), "The new preferences, replacing the old ones as a whole."],
) -> models.Preferences:
    """Replace the preferences of a user."""
    return models.Preferences.of(await ctx.services.users.update_preferences(ctx.actor, user_id, prefs))


@routes.delete(
    "/v1/users/{userId}/sessions/{sessionId}",
    name="users.deleteSession",
    summary="Delete User Session",
    scope=WRITE,
    auth=KEY,
    event="users.sessions.delete",
    status=204,
)
async def delete_session(
    ctx: Context,
    user_id: Annotated[str, ID, "Id of the user."],
    session_id: Annotated[str, ID, "Id of the session."],
) -> models.Empty:
    """End one session of a user. A session that does not exist is no error."""
    await ctx.services.users.delete_session(ctx.actor, user_id, session_id)
    return models.Empty()


@routes.delete(
    "/v1/users/{userId}/sessions",
    name="users.deleteSessions",
    summary="Delete User Sessions",
    scope=WRITE,
    auth=KEY,
    event="users.sessions.delete",
    status=204,
)
async def delete_sessions(ctx: Context, user_id: Annotated[str, ID, "Id of the user."]) -> models.Empty:
    """End every session of a user."""
    await ctx.services.users.delete_sessions(ctx.actor, user_id)
    return models.Empty()


@routes.delete(
    "/v1/users/{userId}",
    name="users.delete",
    summary="Delete User",
    scope=WRITE,
    auth=KEY,
    event="users.delete",
    status=204,
)
async def delete(ctx: Context, user_id: Annotated[str, ID, "Id of the user."]) -> models.Empty:
    """Remove a user with its sessions and memberships. Its documents and files stay."""
    await ctx.services.users.delete(ctx.actor, user_id)
    return models.Empty()
