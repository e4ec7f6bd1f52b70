"""The account service: what a user does with its own account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.params import ID, NAME
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.api.v0_11.setup import SETUP_TOKEN
from litewrite.entities import CONSOLE, AuditEntry, Client, Session
from litewrite.http.endpoint import FORMALLY_REQUIRED, RateLimit, Routes
from litewrite.http.params import Email, JsonObject, Password, Text
from litewrite.services.accounts import is_current

routes = Routes()

SESSION, JWT, KEY = "session", "jwt", "key"
USER = (SESSION, JWT)
ACCOUNT = "account"
HOUR = 3600


async def session_model(ctx: Context, session: Session, *, current: bool | None = None) -> models.Session:
    """A session in the language of the request; unless told, whether it is the current one follows from the caller."""
    if current is None:
        current = is_current(ctx.actor, session)
    names = await ctx.services.locale.names(ctx.locale)
    return models.Session.of(
        session,
        current=current,
        country_name=names.country(session.country_code),
        provider_token=ctx.services.oauth.token_of(session),
    )


async def session_list(ctx: Context, sessions: Iterable[Session]) -> models.SessionList:
    return models.SessionList.of([await session_model(ctx, session) for session in sessions])


async def log_list(ctx: Context, entries: Iterable[tuple[AuditEntry, Client]]) -> models.LogList:
    names = await ctx.services.locale.names(ctx.locale)
    return models.LogList.of(
        [models.Log.of(entry, client, names.country(entry.country_code)) for entry, client in entries]
    )


async def started(ctx: Context, session: Session, value: str) -> models.Session:
    """Hand a new session to the client."""
    ctx.log_in(value, session.expires_at)
    return await session_model(ctx, session, current=True)


@routes.post(
    "/v1/account",
    name="account.create",
    summary="Create Account",
    scope=PUBLIC,
    rate_limit=RateLimit(10, HOUR, ("url", "ip")),
    event="account.create",
    status=201,
    auth_method="email-password",
)
async def create(
    ctx: Context,
    email: Annotated[str, Email(), "Address of the new user."],
    password: Annotated[str, Password(), "Password of the new user."],
    name: Annotated[str, Text(max=128, min=0), "Display name of the new user."] = "",
) -> models.User:
    """Register a user with an e-mail address and a password. It logs nobody in."""
    if ctx.project.project.id == CONSOLE:
        token = ctx.request.headers.get(SETUP_TOKEN, "")
        admins = ctx.services.admins
        return models.User.of(await admins.sign_up(ctx.actor, token, email=email, password=password, name=name))
    return models.User.of(await ctx.services.accounts.create(ctx.actor, email=email, password=password, name=name))


@routes.post(
    "/v1/account/sessions",
    name="account.createSession",
    summary="Create Account Session",
    scope=PUBLIC,
    rate_limit=(RateLimit(10, HOUR, ("url", "ip", "param:email")), RateLimit(100, HOUR, ("url", "ip"))),
    event="account.sessions.create",
    status=201,
    auth_method="email-password",
)
async def create_session(
    ctx: Context,
    email: Annotated[str, Email(), "Address of the user."],
    password: Annotated[str, Password(), "Password of the user."],
) -> models.Session:
    """Log in with e-mail address and password."""
    return await started(ctx, *await ctx.services.accounts.create_session(ctx.actor, email=email, password=password))


@routes.post(
    "/v1/account/sessions/anonymous",
    name="account.createAnonymousSession",
    summary="Create Anonymous Session",
    scope=PUBLIC,
    rate_limit=RateLimit(50, HOUR, ("url", "ip")),
    event="account.sessions.create",
    status=201,
    auth_method="anonymous",
)
async def create_anonymous_session(ctx: Context) -> models.Session:
    """Create a user without credentials and log it in."""
    return await started(ctx, *await ctx.services.accounts.create_anonymous_session(ctx.actor))


@routes.post(
    "/v1/account/jwt",
    name="account.createJWT",
    summary="Create Account JWT",
    scope=ACCOUNT,
    auth=(SESSION,),
    rate_limit=RateLimit(10, HOUR, ("url", "caller")),
    status=201,
    auth_method="jwt",
)
async def create_jwt(ctx: Context) -> models.Jwt:
    """Make a token that acts for the current session for 15 minutes."""
    return models.Jwt({"jwt": ctx.services.accounts.create_jwt(ctx.actor)})


@routes.get("/v1/account", name="account.get", summary="Get Account", scope=ACCOUNT, auth=USER)
async def get(ctx: Context) -> models.User:
    """The current user."""
    assert ctx.actor.user is not None
    return models.User.of(ctx.actor.user)


@routes.get("/v1/account/prefs", name="account.getPrefs", summary="Get Account Preferences", scope=ACCOUNT, auth=USER)
async def get_prefs(ctx: Context) -> models.Preferences:
    """Preferences of the current user."""
    assert ctx.actor.user is not None
    return models.Preferences.of(ctx.actor.user)


@routes.get(
    "/v1/account/sessions", name="account.getSessions", summary="Get Account Sessions", scope=ACCOUNT, auth=USER
)
async def get_sessions(ctx: Context) -> models.SessionList:
    """Sessions of the current user, oldest first."""
    sessions = await ctx.services.accounts.sessions(ctx.actor)
    return await session_list(ctx, sessions)


@routes.get("/v1/account/logs", name="account.getLogs", summary="Get Account Logs", scope=ACCOUNT, auth=USER)
async def get_logs(ctx: Context) -> models.LogList:
    """The ten newest security events of the current user."""
    return await log_list(ctx, await ctx.services.accounts.logs(ctx.actor))


@routes.get(
    "/v1/account/sessions/{sessionId}",
    name="account.getSession",
    summary="Get Session By ID",
    scope=ACCOUNT,
    auth=USER,
)
async def get_session(
    ctx: Context, session_id: Annotated[str, ID, "Id of a session, or the word current."]
) -> models.Session:
    """One session of the current user."""
    return await session_model(ctx, await ctx.services.accounts.session(ctx.actor, session_id))


@routes.patch(
    "/v1/account/name",
    name="account.updateName",
    summary="Update Account Name",
    scope=ACCOUNT,
    auth=USER,
    event="account.update.name",
)
async def update_name(ctx: Context, name: Annotated[str, NAME, "New name."]) -> models.User:
    """Change the display name."""
    return models.User.of(await ctx.services.accounts.update_name(ctx.actor, name))


@routes.patch(
    "/v1/account/password",
    name="account.updatePassword",
    summary="Update Account Password",
    scope=ACCOUNT,
    auth=USER,
    event="account.update.password",
)
async def update_password(
    ctx: Context,
    password: Annotated[str, Password(), "New password."],
    old_password: Annotated[str, Password(), "Present password; not needed when the server invented it."] = "",
) -> models.User:
    """Change the password. Sessions stay valid."""
    return models.User.of(await ctx.services.accounts.update_password(ctx.actor, password, old_password))


@routes.patch(
    "/v1/account/email",
    name="account.updateEmail",
    summary="Update Account Email",
    scope=ACCOUNT,
    auth=USER,
    event="account.update.email",
)
async def update_email(
    ctx: Context,
    email: Annotated[str, Email(), "New address."],
    password: Annotated[str, Password(), "Present password; for an anonymous user the one to be set."],
) -> models.User:
    """Change the address. It turns an anonymous user into a regular one."""
    return models.User.of(await ctx.services.accounts.update_email(ctx.actor, email, password))


@routes.patch(
    "/v1/account/prefs",
    name="account.updatePrefs",
    summary="Update Account Preferences",
    scope=ACCOUNT,
    auth=USER,
    event="account.update.prefs",
)
async def update_prefs(
    ctx: Context,
    prefs: Annotated[
        dict[str, Any] | None,
        JsonObject(),
        "The new preferences, replacing the old ones as a whole.",
        FORMALLY_REQUIRED,
    ] = None,
) -> models.User:
    """Replace the preferences."""
    return models.User.of(await ctx.services.accounts.update_preferences(ctx.actor, prefs or {}))


@routes.delete(
    "/v1/account",
    name="account.delete",
    summary="Delete Account",
    scope=ACCOUNT,
    auth=USER,
    event="account.delete",
    status=204,
)
async def delete(ctx: Context) -> models.Empty:
    """Close the account: the user is blocked and everything of it stays."""
    await ctx.services.accounts.delete(ctx.actor)
    ctx.log_out()
    return models.Empty()


@routes.delete(
    "/v1/account/sessions/{sessionId}",
    name="account.deleteSession",
    summary="Delete Account Session",
    scope=ACCOUNT,
    auth=USER,
    rate_limit=RateLimit(100, HOUR, ("url", "ip")),
    event="account.sessions.delete",
    status=204,
)
async def delete_session(
    ctx: Context, session_id: Annotated[str, ID, "Id of a session, or the word current."]
) -> models.Empty:
    """Log one session out."""
    session = await ctx.services.accounts.delete_session(ctx.actor, session_id)
    if is_current(ctx.actor, session):
        ctx.log_out()
    return models.Empty()


@routes.delete(
    "/v1/account/sessions",
    name="account.deleteSessions",
    summary="Delete All Account Sessions",
    scope=ACCOUNT,
    auth=USER,
    rate_limit=RateLimit(100, HOUR, ("url", "ip")),
    event="account.sessions.delete",
    status=204,
)
async def delete_sessions(ctx: Context) -> models.Empty:
    """Log every session of the current user out."""
    await ctx.services.accounts.delete_sessions(ctx.actor)
    ctx.log_out(cookies=not ctx.actor.via_jwt)
    return models.Empty()
