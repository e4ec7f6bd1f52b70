"""The ordered steps that every request takes, from the route to the answer.

Each step is a small function of the context that returns or raises; one that has to wait returns an awaitable. What an
endpoint declares drives the steps, and no step asks for a path. The first failure is the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web
from multidict import CIMultiDict, istr

from litewrite.api.context import Context
from litewrite.api.credentials import LOCALE, MODE, PROJECT, read_credentials, session_cookies
from litewrite.api.dialect import Dialect
from litewrite.api.origins import CorsHeaders, check_origin
from litewrite.api.uploads import receive, start_multipart
from litewrite.entities import CONSOLE
from litewrite.errors import (
    ArgumentInvalid,
    AuthMethodDisabled,
    FileBroken,
    FileTooLarge,
    LitewriteError,
    PasswordResetRequired,
    ProjectNotFound,
    ProjectUnknown,
    RateLimitExceeded,
    RouteNotFound,
    ScopeMissing,
    UserBlocked,
)
from litewrite.http.body import parse_body, parse_query
from litewrite.http.endpoint import RateLimit, validate
from litewrite.http.hosts import HostPolicy
from litewrite.http.model import Empty, Model
from litewrite.permissions import ActorKind
from litewrite.services import Services

log = logging.getLogger(__name__)

Step = Callable[["Pipeline", Context], Awaitable[None] | None]

JSON = "application/json; charset=UTF-8"
NO_JSON = "text/html; charset=UTF-8"
CONTENT_TYPE = istr("Content-Type")
USER_AGENT = istr("User-Agent")
SET_COOKIE = istr("Set-Cookie")
WRITING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
NOT_CACHED = {"Cache-Control": "no-cache, no-store, must-revalidate", "Expires": "0", "Pragma": "no-cache"}


def find_route(pipeline: Pipeline, ctx: Context) -> None:
    request = ctx.request
    method = "GET" if request.method == "HEAD" else request.method
    path = request.rel_url.raw_path
    prefix = pipeline.prefix
    if prefix:
        path = path.removeprefix(prefix)
    found = ctx.dialect.router.find(method, path)
    if found is None:
        raise RouteNotFound
    ctx.endpoint, ctx.path = found


def check_host(pipeline: Pipeline, ctx: Context) -> None:
    ctx.caller = pipeline.hosts.caller(ctx.request)


def read_parameters(pipeline: Pipeline, ctx: Context) -> Awaitable[None] | None:
    """The query of GET, the body of everything else. A fault in it is reported when parameters are validated."""
    endpoint = ctx.endpoint
    assert endpoint is not None
    if endpoint.method == "GET":
        query = ctx.request.rel_url.raw_query_string
        if query:
            try:
                ctx.given = parse_query(query)
            except ArgumentInvalid as error:
                ctx.fault = error
        return None
    if endpoint.file_param is not None and ctx.request.content_type == "multipart/form-data":
        return _read_fields(ctx)
    return _read_body(pipeline, ctx)


async def _read_body(pipeline: Pipeline, ctx: Context) -> None:
    try:
        ctx.given = await parse_body(ctx.request, pipeline.services.config.request_limit)
    except ArgumentInvalid as error:
        ctx.fault = error


async def _read_fields(ctx: Context) -> None:
    """The fields in front of the file; the file itself is read only when the caller may send one."""
    try:
        ctx.parts = start_multipart(ctx)
        ctx.given = await ctx.parts.until_file()
    except (ArgumentInvalid, FileBroken, FileTooLarge) as error:
        ctx.fault = error


async def load_project(pipeline: Pipeline, ctx: Context) -> None:
    given = ctx.given
    headers = ctx.request.headers
    locale = given.get("locale") or headers.get(LOCALE, "")
    ctx.locale = locale if locale in ctx.dialect.locales else pipeline.services.config.locale
    project_id = given.get("project") or headers.get(PROJECT, "")
    if project_id and isinstance(project_id, str):
        ctx.view = await pipeline.services.projects.view(project_id)


async def identify(pipeline: Pipeline, ctx: Context) -> None:
    view, caller = ctx.view, ctx.caller
    assert caller is not None
    if view is None:
        return
    request = ctx.request
    mode = ctx.given.get("mode") or request.headers.get(MODE, "")
    credentials, ctx.session_from_cookie = read_credentials(request, view.project.id, mode, session_cookies(request))
    ctx.actor = await pipeline.services.auth.identify(
        view.project,
        credentials,
        ip=caller.ip,
        user_agent=request.headers.get(USER_AGENT, ""),
        locale=ctx.locale,
    )


def require_project(pipeline: Pipeline, ctx: Context) -> None:
    endpoint = ctx.endpoint
    assert endpoint is not None
    if ctx.view is None and (endpoint.scope != ctx.dialect.public_scope or endpoint.rate_limits):
        raise ProjectUnknown


def check_cross_site(pipeline: Pipeline, ctx: Context) -> Awaitable[None] | None:
    endpoint = ctx.endpoint
    assert endpoint is not None
    if (
        endpoint.method in WRITING
        and ctx.view is not None
        and ctx.actor.kind is not ActorKind.KEY
        and not endpoint.any_origin
    ):
        return _check_cross_site(pipeline, ctx)
    return None


async def _check_cross_site(pipeline: Pipeline, ctx: Context) -> None:
    view, caller = ctx.view, ctx.caller
    assert view is not None
    assert caller is not None
    administrative = ctx.actor.kind is ActorKind.ADMIN or view.project.id == CONSOLE
    if administrative:
        view = await pipeline.services.projects.view(CONSOLE) or view
    check_origin(
        ctx.request, view, caller, with_cookie=ctx.session_from_cookie, administrative=administrative
    )


def check_scope(pipeline: Pipeline, ctx: Context) -> None:
    endpoint, actor = ctx.endpoint, ctx.actor
    assert endpoint is not None
    if ctx.dialect.has_scope(actor, endpoint.scope) or (endpoint.with_any_key and actor.kind is ActorKind.KEY):
        return
    if ctx.view is None:
        raise ProjectNotFound
    name = (actor.user.email or actor.user.id) if actor.user else actor.kind.value.capitalize()
    if actor.kind is ActorKind.GUEST:
        name = "User"
    raise ScopeMissing(f"{name} (role: {actor.kind.value}) missing scope ({endpoint.scope})")


def check_user(pipeline: Pipeline, ctx: Context) -> None:
    user = ctx.actor.user
    if user is None:
        return
    if user.is_blocked:
        raise UserBlocked
    if user.reset_required:
        raise PasswordResetRequired


def count_call(pipeline: Pipeline, ctx: Context) -> None:
    endpoint = ctx.endpoint
    assert endpoint is not None
    if not endpoint.rate_limits:
        return
    refused = False
    for index, rate_limit in enumerate(endpoint.rate_limits):
        verdict = pipeline.services.rate_limits.count(
            _rate_limit_key(ctx, index, rate_limit), rate_limit.limit, rate_limit.seconds
        )
        refused = refused or not verdict.allowed
        if index == 0:
            ctx.add_header("X-RateLimit-Limit", str(verdict.limit))
            ctx.add_header("X-RateLimit-Remaining", str(verdict.remaining))
            ctx.add_header("X-RateLimit-Reset", str(verdict.resets_at))
    if refused and pipeline.limits_rates and not ctx.actor.is_server:
        raise RateLimitExceeded


def _rate_limit_key(ctx: Context, index: int, rate_limit: RateLimit) -> tuple[str, ...]:
    endpoint, caller = ctx.endpoint, ctx.caller
    assert endpoint is not None
    assert caller is not None
    parts = [ctx.actor.project_id, str(index)]
    for part in rate_limit.key:
        if part == "url":
            parts.append(f"{endpoint.method} {endpoint.path}")
        elif part == "ip":
            parts.append(caller.ip)
        elif part == "caller":
            parts.append(ctx.actor.user_id)
        else:
            value = ctx.given.get(part.removeprefix("param:"), part)
            text = value.lower() if isinstance(value, str) else orjson.dumps(value).decode()
            parts.append(text[:320])
    return tuple(parts)


def check_auth_method(pipeline: Pipeline, ctx: Context) -> None:
    endpoint = ctx.endpoint
    assert endpoint is not None
    method = endpoint.auth_method
    if method and not ctx.actor.is_server and not ctx.project.project.auth_enabled(method):
        raise AuthMethodDisabled


def check_parameters(pipeline: Pipeline, ctx: Context) -> Awaitable[None] | None:
    if ctx.fault is not None:
        raise ctx.fault
    endpoint = ctx.endpoint
    assert endpoint is not None
    if endpoint.file_param is not None:
        return receive(ctx)
    ctx.arguments = validate(endpoint, ctx.path, ctx.given)
    return None


async def call_handler(pipeline: Pipeline, ctx: Context) -> None:
    endpoint = ctx.endpoint
    assert endpoint is not None
    answer = await endpoint.handler(ctx, **ctx.arguments)
    if isinstance(answer, Model):
        headers = pipeline.headers(ctx)
        if isinstance(answer, Empty):
            headers[CONTENT_TYPE] = NO_JSON
            ctx.response = web.Response(status=endpoint.status, headers=headers)
        else:
            headers[CONTENT_TYPE] = JSON
            ctx.response = web.Response(body=answer.render(), status=endpoint.status, headers=headers)
    else:
        ctx.response = answer


STEPS: tuple[Step, ...] = (
    find_route,
    check_host,
    read_parameters,
    load_project,
    identify,
    require_project,
    check_cross_site,
    check_scope,
    check_user,
    count_call,
    check_auth_method,
    check_parameters,
    call_handler,
)


class Pipeline:
    """Takes every request of a server through the steps and turns every failure into the dialect's error body."""

    def __init__(
        self,
        services: Services,
        dialect: Dialect,
        hosts: HostPolicy,
        *,
        limits_rates: bool,
        prefix: str = "",
        server: str = "litewrite",
    ) -> None:
        self.services = services
        self.dialect = dialect
        self.hosts = hosts
        self.limits_rates = limits_rates
        self.prefix = prefix.rstrip("/")
        self.cors = CorsHeaders(server)

    def headers(self, ctx: Context) -> CIMultiDict[str]:
        """The headers of every answer, and what the steps and the handler added."""
        headers = self.cors.of(ctx.request, ctx.view, ctx.caller)
        if ctx.headers is not None:
            headers.extend(ctx.headers)
        for cookie in ctx.cookies:
            headers.add(SET_COOKIE, cookie)
        return headers

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            headers = self.cors.preflight(request)
            headers[CONTENT_TYPE] = NO_JSON
            return web.Response(status=204, headers=headers)
        ctx = Context(request, self.services, self.dialect)
        try:
            for step in STEPS:
                waiting = step(self, ctx)
                if waiting is not None:
                    await waiting
            assert ctx.response is not None
            return ctx.response
        except (LitewriteError, asyncio.TimeoutError) as error:
            return self.failure(ctx, error)
        except (asyncio.CancelledError, ConnectionError, web.HTTPException):
            raise
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            return self.failure(ctx, error)
        finally:
            if ctx.parts is not None:
                await ctx.parts.close()

    def failure(self, ctx: Context, error: BaseException) -> web.Response:
        status, body = ctx.dialect.render_error(error)
        ctx.cookies.clear()
        headers = self.headers(ctx)
        headers.update(NOT_CACHED)
        headers[CONTENT_TYPE] = JSON
        return web.Response(body=orjson.dumps(body), status=status, headers=headers)


