"""The mock provider of logins, served only with `--mock-oauth2`.

Without further parameters everything goes through at once, as one fixed person. With `ui=1` a page asks who one is.
Tests of apps choose without a page: parameters of the authorisation URL (`email`, `name`, `id`, `unverified`,
`decline`), or scopes of the login (`as:ada@example.com`, `unverified`, `decline`, `ui`), which every SDK can send.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from litewrite.api.context import Context
from litewrite.api.origins import own_hosts
from litewrite.api.v0_11.oauth import page, redirect
from litewrite.api.v0_11.oauth_pages import mock_page
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.errors import ArgumentInvalid
from litewrite.http.endpoint import Routes
from litewrite.http.model import Field, Model
from litewrite.http.params import Text, Url
from litewrite.services import mock_provider as mock
from litewrite.services.mails import link_with

routes = Routes()

MOCK = "/v1/mock/tests/general/oauth2"
_AS = "as:"
_SWITCHES = ("ui", "unverified", "decline")


class MockToken(Model):
    """An access token of the mock provider."""

    FIELDS = (Field("access_token", "string", "The token.", "123456"),)


class MockUser(Model):
    """A person at the mock provider."""

    OPEN = True
    FIELDS = (
        Field("id", "string", "Id at the provider; a number for the person without a choice.", 1),
        Field("name", "string", "Name.", "User Name"),
        Field("email", "string", "Address.", "user@localhost.test"),
    )


class MockResult(Model):
    """Where a login ended."""

    FIELDS = (Field("result", "string", "success or failure.", "success"),)


def _given(ctx: Context, name: str, kind: Any, default: str | None = None) -> str:
    """A parameter of the query; its name is that of the standard, not of this dialect."""
    value = ctx.given.get(name)
    if value is None or value == "":
        if default is None:
            raise ArgumentInvalid(name, "it is required")
        return default
    try:
        return str(kind.check(value))
    except ValueError as error:
        raise ArgumentInvalid(name, str(error)) from None


@routes.get(
    MOCK, name="mock.oauth2", summary="Mock OAuth2 Authorisation", scope=PUBLIC, status=301, content_type="text/html"
)
async def authorize(ctx: Context) -> web.Response:
    """Send the browser back with a code, or ask who one is."""
    client_id = _given(ctx, "client_id", Text(max=100))
    redirect_uri = _given(ctx, "redirect_uri", Url(schemes=("http", "https")))
    scope = _given(ctx, "scope", Text(max=16_384), "")
    state = _given(ctx, "state", Text(max=2_048), "")
    assert ctx.caller is not None
    base_host = urlsplit(ctx.base_url).hostname or ""
    if (urlsplit(redirect_uri).hostname or "") not in own_hosts(ctx.caller) | {"localhost", base_host}:
        raise ArgumentInvalid("redirect_uri", "the mock provider sends back to this server and localhost only")
    choice = {name: _given(ctx, name, Text(max=320), "") for name in ("email", "name", "id", *_SWITCHES)}
    wanted = scope.split()
    choice |= {name: choice[name] or "1" for name in _SWITCHES if name in wanted}
    choice["email"] = choice["email"] or next((s.removeprefix(_AS) for s in wanted if s.startswith(_AS)), "")
    back = [("state", state)] if state else []
    if choice["decline"]:
        return redirect(link_with(redirect_uri, [("error", "access_denied"), *back]))
    problem = ""
    if choice["email"] or choice["id"]:
        try:
            person = mock.person_of(
                email=choice["email"], name=choice["name"], uid=choice["id"], verified=not choice["unverified"]
            )
            return redirect(link_with(redirect_uri, [("code", mock.code_of(person)), *back]))
        except ValueError as error:
            if not choice["ui"]:
                raise ArgumentInvalid("email", str(error)) from None
            problem = str(error)
    if choice["ui"]:
        fields = [("client_id", client_id), ("redirect_uri", redirect_uri), *back, ("ui", "1")]
        return page(mock_page(ctx.request.rel_url.raw_path, fields, mock.EXAMPLES, problem))
    return redirect(link_with(redirect_uri, [("code", mock.code_of(mock.DEFAULT)), *back]))


@routes.get(f"{MOCK}/token", name="mock.oauth2Token", summary="Mock OAuth2 Token", scope=PUBLIC)
async def token(ctx: Context) -> MockToken:
    """Change a code for an access token."""
    client_id, code = _given(ctx, "client_id", Text(max=100)), _given(ctx, "code", Text(max=1_024))
    secret = _given(ctx, "client_secret", Text(max=100))
    _given(ctx, "redirect_uri", Url(schemes=("http", "https")))
    return MockToken({"access_token": mock.token_of(client_id, secret, code)})


@routes.get(f"{MOCK}/user", name="mock.oauth2User", summary="Mock OAuth2 User", scope=PUBLIC)
async def user(ctx: Context) -> MockUser:
    """The person behind an access token."""
    person = mock.person_behind(_given(ctx, "token", Text(max=1_024)))
    body: dict[str, Any] = {"id": person.uid, "name": person.name, "email": person.email}
    if person == mock.DEFAULT:
        body["id"] = int(person.uid)
    if not person.verified:
        body["email_verified"] = False
    return MockUser(body)


@routes.get(f"{MOCK}/success", name="mock.oauth2Success", summary="Mock OAuth2 Success", scope=PUBLIC)
async def success(ctx: Context) -> MockResult:
    """A place to go after a login."""
    return MockResult({"result": "success"})


@routes.get(f"{MOCK}/failure", name="mock.oauth2Failure", summary="Mock OAuth2 Failure", scope=PUBLIC, status=400)
async def failure(ctx: Context) -> MockResult:
    """A place to go after a login that failed."""
    return MockResult({"result": "failure"})
