"""The ordered steps that every request takes, from the route to the answer.

Each step is a small function of the context that returns or raises; one that has to wait returns an awaitable. What an
endpoint declares drives the steps, and no step asks for a path. The first failure is the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import orjson
from aiohttp import web
from multidict import CIMultiDict, istr

from litewrite.api.context import Context
from litewrite.api.credentials import (
    ADMIN_MODE,
    FALLBACK_COOKIES,
    JWT,
    LOCALE,
    MODE,
    PROJECT,
    SessionCookies,
    needs_fallback,
    read_credentials,
)
from litewrite.api.dialect import Dialect, SocketHandler
from litewrite.api.origins import ALLOW_ORIGIN, CorsHeaders, check_origin, echo, origin_of, page_host
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
from litewrite.http.sites import Sites
from litewrite.permissions import ActorKind
from litewrite.services import Services
from litewrite.services.rate_limits import Verdict

log = logging.getLogger(__name__)

Step = Callable[["Pipeline", Context], Awaitable[None] | None]

JSON = "application/json; charset=UTF-8"
NO_JSON = "text/html; charset=UTF-8"
PAGE = "text/html"
"""What an endpoint declares that a browser visits: a person then sees its errors."""
CONTENT_TYPE = istr("Content-Type")
USER_AGENT = istr("User-Agent")
SET_COOKIE = istr("Set-Cookie")
WRITING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
NO_SOCKETS: Mapping[str, SocketHandler] = MappingProxyType({})
NOT_CACHED = {"Cache-Control": "no-cache, no-store, must-revalidate", "Expires": "0", "Pragma": "no-cache"}


def check_host(pipeline: Pipeline, ctx: Context) -> None:
    ctx.caller = pipeline.hosts.caller(ctx.request)


def find_route(pipeline: Pipeline, ctx: Context) -> Awaitable[None] | None:
    request = ctx.request
    method = "GET" if request.method == "HEAD" else request.method
    found = ctx.dialect.router.find(method, pipeline.path_of(request))
    if found is None:
        return _refuse_route(pipeline, ctx)
    ctx.endpoint, ctx.path = found
    return None


async def _refuse_route(pipeline: Pipeline, ctx: Context) -> None:
    await load_project(pipeline, ctx)  # whose pages may read the answer
    raise RouteNotFound


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


def _named(ctx: Context, param: str, header: istr) -> str:
    """One of the three parameters that every endpoint takes, and that win over their header."""
    value = ctx.given.get(param)
    return value if isinstance(value, str) and value else ctx.request.headers.get(header, "")


async def load_project(pipeline: Pipeline, ctx: Context) -> None:
    ctx.locale = pipeline.services.config.locale
    if asked := _named(ctx, "locale", LOCALE):
        locale = asked.lower().replace("_", "-")
        if locale in ctx.dialect.locales:
            ctx.locale = locale
    project_id = _named(ctx, "project", PROJECT)
    if not project_id:
        return
    projects = pipeline.services.projects
    ctx.view = ctx.clients = await projects.view(project_id)
    if project_id == CONSOLE or _named(ctx, "mode", MODE) == ADMIN_MODE:
        ctx.administrative = True
        ctx.clients = await projects.view(CONSOLE)


async def identify(pipeline: Pipeline, ctx: Context) -> None:
    view, caller = ctx.view, ctx.caller
    assert caller is not None
    request = ctx.request
    if view is None:
        if token := request.headers.get(JWT):
            pipeline.services.auth.check_jwt(token)
        return
    credentials, ctx.session_from_cookie = read_credentials(
        request, view.project.id, ADMIN_MODE if ctx.administrative else "", pipeline.cookies.of(request)
    )
    user_agent = request.headers.get(USER_AGENT, "")
    if not user_agent.isascii():  # bytes that are no UTF-8 came as half surrogate pairs, which nothing can store
        user_agent = user_agent.encode(errors="replace").decode()
    ctx.actor = await pipeline.services.auth.identify(
        view.project,
        credentials,
        ip=caller.ip,
        user_agent=user_agent,
        locale=ctx.locale,
    )


def require_project(pipeline: Pipeline, ctx: Context) -> None:
    endpoint = ctx.endpoint
    assert endpoint is not None
    if ctx.view is None and (endpoint.scope != ctx.dialect.public_scope or endpoint.rate_limits):
        raise ProjectUnknown


def check_cross_site(pipeline: Pipeline, ctx: Context) -> None:
    endpoint, clients, caller = ctx.endpoint, ctx.clients, ctx.caller
    assert endpoint is not None
    assert caller is not None
    if endpoint.method not in WRITING or clients is None or ctx.actor.with_key or endpoint.any_origin:
        return
    check_origin(ctx.request, clients, caller, with_cookie=ctx.session_from_cookie, administrative=ctx.administrative)


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
    told: Verdict | None = None
    for index, rate_limit in enumerate(endpoint.rate_limits):
        verdict = pipeline.services.rate_limits.count(
            _rate_limit_key(ctx, index, rate_limit), rate_limit.limit, rate_limit.seconds
        )
        if told is None or (told.allowed and not verdict.allowed):
            told = verdict
    assert told is not None
    ctx.add_header("X-RateLimit-Limit", str(told.limit))
    ctx.add_header("X-RateLimit-Remaining", str(told.remaining))
    ctx.add_header("X-RateLimit-Reset", str(told.resets_at))
    if not told.allowed and pipeline.limits_rates and not ctx.actor.is_server:
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
    if ctx.fallback:
        assert ctx.caller is not None
        if await needs_fallback(pipeline.sites, ctx.caller.host, page_host(ctx.request)):
            ctx.add_header(FALLBACK_COOKIES, ctx.fallback)
    if isinstance(answer, Model):
        headers = pipeline.headers(ctx)
        if isinstance(answer, Empty):
            headers[CONTENT_TYPE] = NO_JSON
            ctx.response = web.Response(status=endpoint.status, headers=headers)
        else:
            headers[CONTENT_TYPE] = JSON
            ctx.response = web.Response(body=answer.render(), status=endpoint.status, headers=headers)
    else:
        # A file, not yet sent.
        answer.headers.update(pipeline.headers(ctx))
        ctx.response = answer


STEPS: tuple[Step, ...] = (
    check_host,
    find_route,
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
        sockets: Mapping[str, SocketHandler] = NO_SOCKETS,
        prefix: str = "",
        server: str = "litewrite",
    ) -> None:
        self.services = services
        self.dialect = dialect
        self.hosts = hosts
        self.limits_rates = limits_rates
        self.sockets = sockets
        """Who serves WebSockets, by path."""
        self.prefix = prefix.rstrip("/")
        self.cors = CorsHeaders(server)
        self.cookies = SessionCookies()
        self.sites = Sites()

    def path_of(self, request: web.Request) -> str:
        """The path of a request as it came, without the prefix that the server is mounted under."""
        path = request.rel_url.raw_path
        return path.removeprefix(self.prefix) if self.prefix else path

    def socket_of(self, request: web.Request) -> SocketHandler | None:
        """Who serves a request on the path of a WebSocket; None for all others."""
        if request.method != "GET" or not self.sockets:
            return None
        return self.sockets.get(self.path_of(request).removesuffix("/"))

    def headers(self, ctx: Context) -> CIMultiDict[str]:
        """The headers of every answer, and what the steps and the handler added."""
        headers = self.cors.of(ctx.request, ctx.clients, ctx.caller, ctx.administrative)
        if ctx.endpoint is not None and ctx.endpoint.any_origin:
            headers[ALLOW_ORIGIN] = echo(origin_of(ctx.request))
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
            serve_socket = self.socket_of(request)
            if serve_socket is not None:
                check_host(self, ctx)
                return await serve_socket(ctx)
            for step in STEPS:
                waiting = step(self, ctx)
                if waiting is not None:
                    await waiting
            assert ctx.response is not None
            # Requests that arrive together are all worked on before the first of them is answered. Answers that leave
            # in a row wake their receivers far less often: a quarter to a half more of them were measured.
            await asyncio.sleep(0)
            return ctx.response
        except LitewriteError as error:
            return self.failure(ctx, error)
        except web.HTTPException:
            raise
        except Exception as error:
            if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
                return web.Response(status=400)  # for nobody: the client went away while it was sending
            log.exception("%s %s failed", request.method, request.rel_url.raw_path)
            return self.failure(ctx, error)
        finally:
            if ctx.parts is not None:
                await ctx.parts.close()

    def failure(self, ctx: Context, error: BaseException) -> web.Response:
        status, body = ctx.dialect.render_error(error)
        if status == 500 and isinstance(error, LitewriteError):
            log.error("%s %s: %s", ctx.request.method, ctx.request.rel_url.raw_path, error)
        ctx.cookies.clear()
        headers = self.headers(ctx)
        headers.update(NOT_CACHED)
        if ctx.endpoint is not None and ctx.endpoint.content_type == PAGE:
            text, of_page = ctx.dialect.render_page(status, body)
            headers.update(of_page)
            headers[CONTENT_TYPE] = NO_JSON
            return web.Response(body=text.encode(), status=status, headers=headers)
        headers[CONTENT_TYPE] = JSON
        return web.Response(body=orjson.dumps(body), status=status, headers=headers)
