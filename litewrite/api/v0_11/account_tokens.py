"""The account service: recovering a password, verifying an address and logging in by a link, each with a mailed secret.

A link that was mailed works from any address, but guesses count for who makes them, so that nobody uses up the tries of
another user.
"""

from __future__ import annotations

from typing import Annotated

from litewrite.api.client_urls import check_client_url
from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.account import ACCOUNT, HOUR, USER, started
from litewrite.api.v0_11.params import ID
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.entities import Token
from litewrite.http.endpoint import RateLimit, Routes
from litewrite.http.params import Email, Password, Text, Url
from litewrite.permissions import ActorKind

routes = Routes()

SECRET = Text(max=256)
PER_EMAIL = RateLimit(10, HOUR, ("url", "param:email"))
PER_USER = RateLimit(10, HOUR, ("url", "ip", "param:userId"))

MAGIC_URL_PAGE = "/auth/magic-url"


def _created(ctx: Context, token: Token, secret: str) -> models.Token:
    """A new token; its secret is in the mail, and in the answer for an administrator alone."""
    return models.Token.of(token, secret if ctx.actor.kind is ActorKind.ADMIN else "")


@routes.post(
    "/v1/account/recovery",
    name="account.createRecovery",
    summary="Create Password Recovery",
    scope=PUBLIC,
    rate_limit=PER_EMAIL,
    event="account.recovery.create",
    status=201,
)
async def create_recovery(
    ctx: Context,
    email: Annotated[str, Email(), "Address of the user."],
    url: Annotated[str, Url(), "Page of the app that asks for the new password; the mail links to it."],
) -> models.Token:
    """Mail a link for setting a new password, valid for an hour."""
    check_client_url(ctx, "url", url)
    return _created(ctx, *await ctx.services.tokens.create_recovery(ctx.actor, email=email, url=url))


@routes.put(
    "/v1/account/recovery",
    name="account.updateRecovery",
    summary="Complete Password Recovery",
    scope=PUBLIC,
    rate_limit=PER_USER,
    event="account.recovery.update",
)
async def update_recovery(
    ctx: Context,
    user_id: Annotated[str, ID, "User id from the link."],
    secret: Annotated[str, SECRET, "Secret from the link."],
    password: Annotated[str, Password(), "New password."],
    password_again: Annotated[str, Password(), "New password again."],
) -> models.Token:
    """Set a new password with a mailed secret. It logs nobody in, and sessions stay valid."""
    token = await ctx.services.tokens.update_recovery(
        ctx.actor, user_id=user_id, secret=secret, password=password, password_again=password_again
    )
    return models.Token.of(token, token.secret_hash)


@routes.post(
    "/v1/account/verification",
    name="account.createVerification",
    summary="Create Email Verification",
    scope=ACCOUNT,
    auth=USER,
    rate_limit=RateLimit(10, HOUR, ("url", "caller")),
    event="account.verification.create",
    status=201,
)
async def create_verification(
    ctx: Context,
    url: Annotated[str, Url(), "Page of the app that finishes the verification; the mail links to it."],
) -> models.Token:
    """Mail the current user a link that verifies its address, valid for seven days."""
    check_client_url(ctx, "url", url)
    return _created(ctx, *await ctx.services.tokens.create_verification(ctx.actor, url=url))


@routes.put(
    "/v1/account/verification",
    name="account.updateVerification",
    summary="Complete Email Verification",
    scope=PUBLIC,
    rate_limit=PER_USER,
    event="account.verification.update",
)
async def update_verification(
    ctx: Context,
    user_id: Annotated[str, ID, "User id from the link."],
    secret: Annotated[str, SECRET, "Secret from the link."],
) -> models.Token:
    """Verify the address of a user with a mailed secret. No session is needed."""
    token = await ctx.services.tokens.update_verification(ctx.actor, user_id=user_id, secret=secret)
    return models.Token.of(token, token.secret_hash)


@routes.post(
    "/v1/account/sessions/magic-url",
    name="account.createMagicURLSession",
    summary="Create Magic URL session",
    scope=PUBLIC,
    rate_limit=PER_EMAIL,
    status=201,
    auth_method="magic-url",
)
async def create_magic_url_session(
    ctx: Context,
    email: Annotated[str, Email(), "Address of the user; a new one is registered."],
    url: Annotated[str, Url(), "Page of the app that finishes the login; by default a page of this server."] = "",
) -> models.Token:
    """Mail a link that logs in, valid for seven days."""
    if url:
        check_client_url(ctx, "url", url)
    page = url or _own_page(ctx)
    return _created(ctx, *await ctx.services.tokens.create_magic_url(ctx.actor, email=email, url=page))


def _own_page(ctx: Context) -> str:
    """URL of the page that finishes a login; it lies beside this endpoint, wherever the application is mounted."""
    assert ctx.endpoint is not None
    if ctx.services.config.public_url:
        return ctx.base_url + MAGIC_URL_PAGE
    mounted_at = ctx.request.rel_url.raw_path.rstrip("/").removesuffix(ctx.endpoint.path)
    return f"{ctx.base_url}{mounted_at}{MAGIC_URL_PAGE}"


@routes.put(
    "/v1/account/sessions/magic-url",
    name="account.updateMagicURLSession",
    summary="Create Magic URL session (confirmation)",
    scope=PUBLIC,
    rate_limit=(PER_USER, RateLimit(100, HOUR, ("url", "ip"))),
    event="account.sessions.create",
    status=201,
)
async def update_magic_url_session(
    ctx: Context,
    user_id: Annotated[str, ID, "User id from the link."],
    secret: Annotated[str, SECRET, "Secret from the link."],
) -> models.Session:
    """Log in with a mailed secret."""
    return await started(ctx, *await ctx.services.tokens.update_magic_url(ctx.actor, user_id=user_id, secret=secret))
