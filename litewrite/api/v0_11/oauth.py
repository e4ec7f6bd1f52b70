"""The account service, logins at other providers: the four steps that a browser is sent through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import orjson
from aiohttp import web

from litewrite.api.client_urls import check_client_url
from litewrite.api.context import Context
from litewrite.api.credentials import cookie_domain, cookie_name
from litewrite.api.origins import own_hosts
from litewrite.api.v0_11.oauth_pages import HEADERS, HTML
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.errors import (
    ArgumentInvalid,
    FailureUrlInvalid,
    LitewriteError,
    LoginStateInvalid,
    ProjectUnknown,
    SuccessUrlInvalid,
)
from litewrite.http.endpoint import RateLimit, Routes
from litewrite.http.params import ListOf, OneOf, Text, Url
from litewrite.security import new_secret
from litewrite.services.login_states import LIFETIME, LONGEST, LoginState
from litewrite.services.mails import link_with
from litewrite.services.providers import PROVIDERS

routes = Routes()

LIMIT = RateLimit(50, 3600, ("url", "ip"))
PROVIDER = OneOf(PROVIDERS)
CODE = Text(max=1_024)
STATE = Text(max=LONGEST)
NOT_CACHED = {"Cache-Control": "no-store, no-cache, must-revalidate, max-age=0", "Pragma": "no-cache"}
SESSIONS = "/v1/account/sessions/oauth2"
SUCCESS, FAILURE = "/v1/auth/oauth2/success", "/v1/auth/oauth2/failure"
_COOKIE = "litewrite_oauth2"
_BROWSER_LENGTH = 43


def base_of(ctx: Context) -> str:
    """Scheme, host, port and prefix under which the browser reaches this server."""
    if ctx.services.config.public_url:
        return ctx.base_url
    return ctx.base_url + ctx.request.rel_url.raw_path.partition(SESSIONS)[0]


def callback_of(base: str, provider: str, project_id: str) -> str:
    return f"{base}{SESSIONS}/callback/{provider}/{project_id}"


def redirect(url: str) -> web.Response:
    """Send the browser on."""
    headers = {"Location": url, "Content-Type": HTML, "Referrer-Policy": "no-referrer", **NOT_CACHED}
    return web.Response(status=301, headers=headers)


def page(text: str) -> web.Response:
    return web.Response(text=text, headers={"Content-Type": HTML, **HEADERS, **NOT_CACHED})


# The cookie that ties a login to the browser that began it


def _cookie_name(ctx: Context) -> str:
    # With this prefix, a browser takes the cookie from this very host only, and not from one beside it.
    return f"__Host-{_COOKIE}" if _is_secure(ctx) else _COOKIE


def _is_secure(ctx: Context) -> bool:
    return ctx.caller is not None and ctx.caller.protocol == "https"


def _browser(ctx: Context) -> str:
    """What the cookie of the browser holds, or nothing."""
    name = _cookie_name(ctx)
    for header in ctx.request.headers.getall("Cookie", ()):
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name and len(value) == _BROWSER_LENGTH and value.isascii() and value.isalnum():
                return value
    return ""


def _set_browser(ctx: Context, value: str, *, form_post: bool) -> None:
    secure = _is_secure(ctx)
    # Browsers take None with Secure only; over plain http, Lax still reaches the redirect that follows the POST.
    same_site = "None" if form_post and secure else "Lax"
    ctx.cookies.append(
        f"{_cookie_name(ctx)}={value}; Max-Age={int(LIFETIME.total_seconds())}; Path=/; HttpOnly; SameSite={same_site}"
        + ("; Secure" if secure else "")
    )


# The four steps


@routes.get(
    f"{SESSIONS}/{{provider}}",
    name="account.createOAuth2Session",
    summary="Create Account Session with OAuth2",
    scope=PUBLIC,
    rate_limit=LIMIT,
    status=301,
    content_type="text/html",
)
async def create_session(
    ctx: Context,
    provider: Annotated[str, PROVIDER, "Key of the provider."],
    success: Annotated[str, Url(), "Where the browser goes at the end; by default a page that opens the app."] = "",
    failure: Annotated[str, Url(), "Where the browser goes when it fails; by default a page that says why."] = "",
    scopes: Annotated[
        Sequence[str], ListOf(Text(max=128), max_items=100), "Scopes to ask for beyond those that a login needs."
    ] = (),
) -> web.Response:
    """Start a login at a provider, to be opened in a browser."""
    for name, url in (("success", success), ("failure", failure)):
        if url:
            check_client_url(ctx, name, url)
    base, project = base_of(ctx), ctx.project.project
    begun = ctx.services.oauth.start(
        project,
        provider,
        base=base,
        callback=callback_of(base, provider, project.id),
        success=success or f"{base}{SUCCESS}",
        failure=failure,
        scopes=scopes,
        browser=_browser(ctx) or new_secret()[:_BROWSER_LENGTH],
    )
    if begun.browser:
        _set_browser(ctx, begun.browser, form_post=begun.form_post)
    return redirect(f"{base}{begun.url}" if begun.url.startswith("/") else begun.url)


async def _callback(ctx: Context, project_id: str, provider: str, code: str, state: str, error: str) -> web.Response:
    """Turn the path into a request that names the project, so that its session cookie is read."""
    try:
        login = ctx.services.oauth.state(state)
    except LoginStateInvalid:
        # The next step says so, to a request that knows its project.
        login = None
    if login is not None and (login.project_id, login.provider) != (project_id, provider):
        login = None
    if not code:
        if not error:
            raise ArgumentInvalid("code", f"it is required ({CODE.description})")
        if login is None or not login.failure:
            raise ArgumentInvalid("code", f"the provider sent the error {error[:100]!r} instead")
        ctx.view = await ctx.services.projects.view(project_id)
        return _failed(ctx, login, ArgumentInvalid("code", f"the provider sent the error {error[:100]!r} instead"))
    # At the address where it was begun, which need not be this one, there is the cookie.
    base = login.base if login is not None else base_of(ctx)
    query = urlencode({"project": project_id, "code": code, "state": state})
    return redirect(f"{base}{SESSIONS}/{provider}/redirect?{query}")


@routes.get(
    f"{SESSIONS}/callback/{{provider}}/{{projectId}}",
    name="account.oauth2Callback",
    summary="OAuth2 Callback",
    scope=PUBLIC,
    status=301,
    content_type="text/html",
)
async def callback(
    ctx: Context,
    project_id: Annotated[str, Text(max=1_024), "Id of the project."],
    provider: Annotated[str, PROVIDER, "Key of the provider."],
    code: Annotated[str, CODE, "Authorisation code."] = "",
    state: Annotated[str, STATE, "State as the login was started with."] = "",
    error: Annotated[str, Text(max=1_024), "What the provider sends instead of a code."] = "",
) -> web.Response:
    """Where a provider sends the browser back to."""
    return await _callback(ctx, project_id, provider, code, state, error)


@routes.post(
    f"{SESSIONS}/callback/{{provider}}/{{projectId}}",
    name="account.oauth2CallbackPost",
    summary="OAuth2 Callback by POST",
    scope=PUBLIC,
    status=301,
    content_type="text/html",
    any_origin=True,
)
async def callback_post(
    ctx: Context,
    project_id: Annotated[str, Text(max=1_024), "Id of the project."],
    provider: Annotated[str, PROVIDER, "Key of the provider."],
    code: Annotated[str, CODE, "Authorisation code."] = "",
    state: Annotated[str, STATE, "State as the login was started with."] = "",
    error: Annotated[str, Text(max=1_024), "What the provider sends instead of a code."] = "",
) -> web.Response:
    """The same for providers that answer with a form."""
    return await _callback(ctx, project_id, provider, code, state, error)


@routes.get(
    f"{SESSIONS}/{{provider}}/redirect",
    name="account.oauth2Redirect",
    summary="OAuth2 Redirect",
    scope=PUBLIC,
    rate_limit=LIMIT,
    event="account.sessions.create",
    status=301,
    content_type="text/html",
)
async def finish(
    ctx: Context,
    provider: Annotated[str, PROVIDER, "Key of the provider."],
    code: Annotated[str, CODE, "Authorisation code."],
    state: Annotated[str, STATE, "State as the login was started with."] = "",
) -> web.Response:
    """Finish a login: the person gets a session, and the browser goes where the app wants it."""
    project = ctx.project.project
    login = ctx.services.oauth.state(state)
    if (login.project_id, login.provider) != (project.id, provider):
        raise LoginStateInvalid
    try:
        success = _checked_success(ctx, login)
        session, value = await ctx.services.oauth.finish(
            ctx.actor,
            project,
            login,
            text=state,
            code=code,
            callback=callback_of(login.base, provider, project.id),
            browser=_browser(ctx),
        )
    except LitewriteError as error:
        if not login.failure:
            raise
        return _failed(ctx, login, error)
    ctx.log_in(value, session.expires_at)
    assert ctx.caller is not None
    parts, own = urlsplit(success), urlsplit(f"{login.base}{SUCCESS}")
    if parts.path == own.path and parts.hostname in own_hosts(ctx.caller) | {own.hostname}:
        # Apps read their session from here, since they share no cookies with the browser.
        domain = cookie_domain(ctx.caller.host)
        told = [("project", project.id), *([("domain", domain)] if domain else [])]
        success = link_with(success, [*told, ("key", cookie_name(project.id)), ("secret", value)])
    return redirect(success)


def _checked_success(ctx: Context, login: LoginState) -> str:
    if login.success == f"{login.base}{SUCCESS}":
        return login.success
    try:
        return check_client_url(ctx, "success", login.success)
    except ArgumentInvalid as error:
        raise SuccessUrlInvalid(str(error)) from None


def _failed(ctx: Context, login: LoginState, error: LitewriteError) -> web.Response:
    """Send the browser to where failures go, with what happened as JSON in the parameter `error`."""
    if ctx.view is None:
        raise ProjectUnknown
    try:
        url = check_client_url(ctx, "failure", login.failure)
    except ArgumentInvalid as refusal:
        raise FailureUrlInvalid(str(refusal)) from None
    _, body = ctx.dialect.render_error(error)
    told = {name: body[name] for name in ("message", "type", "code")}
    parameters = [("error", orjson.dumps(told).decode())]
    if urlsplit(url).path == urlsplit(f"{login.base}{FAILURE}").path:
        parameters.insert(0, ("project", login.project_id))
    return redirect(link_with(url, parameters))
