"""What a server is asked for without being asked for anything: robots, the people behind it, versions, a manifest.

No project and no credentials are needed. The files follow the conventions of robotstxt.org and humanstxt.org and the
W3C's web app manifest.
"""

from __future__ import annotations

from aiohttp import web

from litewrite import __version__
from litewrite.api.context import Context
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.config import DIALECT_VERSION
from litewrite.http.endpoint import Routes
from litewrite.http.model import Field, Model

routes = Routes()

ROBOTS = """\
# robotstxt.org/

User-agent: *
Disallow: /
"""
HUMANS = f"""\
# humanstxt.org/

/* SITE */
Software: litewrite {__version__}
Standards: the REST API of Appwrite {DIALECT_VERSION}
"""
SDK_VERSIONS = {
    "client-web": "4.0.4",
    "client-flutter": "2.0.3",
    "client-apple": "0.1.0",
    "client-android": "0.2.1",
    "console-web": "4.0.4",
    "server-nodejs": "2.5.1",
    "server-deno": "0.4.1",
    "server-php": "2.3.2",
    "server-python": "0.5.1",
    "server-ruby": "2.4.1",
    "server-dart": "1.0.2",
    "server-cli": "0.12.1",
    "server-kotlin": "0.1.1",
    "server-swift": "0.1.0",
}
"""The SDKs of the release whose API the server speaks."""


class Versions(Model):
    """The release of the dialect and of the SDKs that came with it."""

    FIELDS = (
        Field("server", "string", "Release of the dialect.", DIALECT_VERSION),
        *(Field(name, "string", "Release of the SDK.", version) for name, version in SDK_VERSIONS.items()),
    )


class Manifest(Model):
    """The manifest of a web app."""

    FIELDS = (
        Field("name", "string", "Name.", "litewrite"),
        Field("short_name", "string", "Short name.", "litewrite"),
        Field("start_url", "string", "Where the app starts.", "."),
        Field("url", "string", "Where the server is reached.", "http://localhost:8700"),
        Field("display", "string", "How it is shown.", "standalone"),
        Field("background_color", "string", "Colour behind it.", "#ffffff"),
        Field("theme_color", "string", "Its colour.", "#1f2a44"),
        Field("description", "string", "What it is.", "A self-contained backend for apps"),
        Field("icons", "string", "Its icons.", [], is_list=True),
    )


def _text(content: str) -> web.Response:
    return web.Response(body=content.encode(), headers={"Content-Type": "text/plain; charset=UTF-8"})


@routes.get(
    "/robots.txt",
    name="extras.robots",
    summary="Get robots.txt",
    scope=PUBLIC,
    with_any_key=True,
    content_type="text/plain",
)
async def robots(ctx: Context) -> web.Response:
    """What crawlers may look at: nothing."""
    return _text(ROBOTS)


@routes.get(
    "/humans.txt",
    name="extras.humans",
    summary="Get humans.txt",
    scope=PUBLIC,
    with_any_key=True,
    content_type="text/plain",
)
async def humans(ctx: Context) -> web.Response:
    """What the server is made with."""
    return _text(HUMANS)


@routes.get("/versions", name="extras.versions", summary="Get versions", scope=PUBLIC, with_any_key=True)
async def versions(ctx: Context) -> Versions:
    """The release of the dialect and of its SDKs."""
    return Versions({"server": DIALECT_VERSION, **SDK_VERSIONS})


@routes.get("/manifest.json", name="extras.manifest", summary="Get manifest.json", scope=PUBLIC, with_any_key=True)
async def manifest(ctx: Context) -> Manifest:
    """The manifest of the server as a web app."""
    return Manifest(
        {
            "name": "litewrite",
            "short_name": "litewrite",
            "start_url": ".",
            "url": ctx.base_url,
            "display": "standalone",
            "background_color": "#ffffff",
            "theme_color": "#1f2a44",
            "description": "A self-contained backend for apps",
            "icons": [],
        }
    )
