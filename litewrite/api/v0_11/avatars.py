"""The avatars service: small pictures that apps show beside names."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import web

from litewrite.api.context import Context
from litewrite.api.v0_11.pictures import EXPIRY, HEX_COLOR, drawn_response, picture_response
from litewrite.http.endpoint import Routes
from litewrite.http.files import content_disposition
from litewrite.http.params import Boolean, Integer, OneOf, Text, Url
from litewrite.services.avatars import BROWSERS, CREDIT_CARDS, FLAGS
from litewrite.services.pictures import RenderedPicture

routes = Routes()

SCOPE = "avatars.read"
CALLERS = ("session", "jwt", "key")
PNG = "image/png"
ANY_IMAGE = "image/*"
CACHED = {"Cache-Control": f"private, max-age={EXPIRY}"}


@dataclass(frozen=True, slots=True)
class Switch(Boolean):
    """A boolean in a query, where Python clients write True and False."""

    loose: bool = True

    def check(self, value: Any) -> bool:
        return Boolean.check(self, value.lower() if value in ("True", "False") else value)


SIDE = Integer(0, 2000)
QUALITY = Integer(0, 100)
WEB_URL = Url(schemes=("http", "https"))

Width = Annotated[int, SIDE, "Width in pixels; 0 to follow from the height."]
Height = Annotated[int, SIDE, "Height in pixels; 0 to follow from the width."]
Quality = Annotated[int, QUALITY, "100 for the least effort of compression, 0 for the most; the pixels stay the same."]


async def _kept(picture: Awaitable[RenderedPicture]) -> tuple[RenderedPicture, Mapping[str, str]]:
    return await picture, CACHED


@routes.get(
    "/v1/avatars/credit-cards/{code}",
    name="avatars.getCreditCard",
    summary="Get Credit Card Icon",
    scope=SCOPE,
    auth=CALLERS,
    content_type=PNG,
)
async def get_credit_card(
    ctx: Context,
    code: Annotated[str, OneOf(CREDIT_CARDS, ignore_case=True), "Code of a card brand."],
    width: Width = 100,
    height: Height = 100,
    quality: Quality = 100,
) -> web.StreamResponse:
    """The icon of a brand of credit cards, scaled and cropped to the size."""
    avatars = ctx.services.avatars
    return await picture_response(ctx.request, lambda: _kept(avatars.credit_card(code, width, height, quality)))


@routes.get(
    "/v1/avatars/browsers/{code}",
    name="avatars.getBrowser",
    summary="Get Browser Icon",
    scope=SCOPE,
    auth=CALLERS,
    content_type=PNG,
)
async def get_browser(
    ctx: Context,
    code: Annotated[str, OneOf(BROWSERS, ignore_case=True), "Code of a browser, as sessions have it."],
    width: Width = 100,
    height: Height = 100,
    quality: Quality = 100,
) -> web.StreamResponse:
    """The icon of a browser, scaled and cropped to the size."""
    avatars = ctx.services.avatars
    return await picture_response(ctx.request, lambda: _kept(avatars.browser(code, width, height, quality)))


@routes.get(
    "/v1/avatars/flags/{code}",
    name="avatars.getFlag",
    summary="Get Country Flag",
    scope=SCOPE,
    auth=CALLERS,
    content_type=PNG,
)
async def get_flag(
    ctx: Context,
    code: Annotated[str, OneOf(FLAGS, ignore_case=True), "Code of a country (ISO 3166-1, two letters)."],
    width: Width = 100,
    height: Height = 100,
    quality: Quality = 100,
) -> web.StreamResponse:
    """The flag of a country, scaled and cropped to the size."""
    avatars = ctx.services.avatars
    return await picture_response(ctx.request, lambda: _kept(avatars.flag(code, width, height, quality)))


@routes.get(
    "/v1/avatars/image",
    name="avatars.getImage",
    summary="Get Image from URL",
    scope=SCOPE,
    auth=CALLERS,
    content_type=ANY_IMAGE,
)
async def get_image(
    ctx: Context,
    url: Annotated[str, WEB_URL, "Address of a picture on the web."],
    width: Width = 400,
    height: Height = 400,
) -> web.StreamResponse:
    """A picture from the web as PNG, scaled and cropped to the size."""
    return await picture_response(ctx.request, lambda: _kept(ctx.services.avatars.image(url, width, height)))


@routes.get(
    "/v1/avatars/favicon",
    name="avatars.getFavicon",
    summary="Get Favicon",
    scope=SCOPE,
    auth=CALLERS,
    content_type=ANY_IMAGE,
)
async def get_favicon(
    ctx: Context, url: Annotated[str, WEB_URL, "Address of a page of the web site."]
) -> web.StreamResponse:
    """The icon of a web site: 56 x 56 as PNG, or an .ico as it is."""
    return await picture_response(ctx.request, lambda: _kept(ctx.services.avatars.favicon(url)))


@routes.get("/v1/avatars/qr", name="avatars.getQR", summary="Get QR Code", scope=SCOPE, auth=CALLERS, content_type=PNG)
async def get_qr(
    ctx: Context,
    text: Annotated[str, Text(min=1, max=512), "What to encode."],
    size: Annotated[int, Integer(0, 1000), "Width and height in pixels; 0 takes 5 pixels a module."] = 400,
    margin: Annotated[int, Integer(0, 10), "Width of the white border, in modules."] = 1,
    download: Annotated[bool, Switch(), "Whether browsers shall save the picture instead of showing it."] = False,
) -> web.StreamResponse:
    """A text as QR code."""
    headers = {**CACHED, "Content-Disposition": content_disposition("attachment", "qr.png")} if download else CACHED
    return drawn_response(await ctx.services.avatars.qr(text, size, margin), headers)


@routes.get(
    "/v1/avatars/initials",
    name="avatars.getInitials",
    summary="Get User Initials",
    scope=SCOPE,
    auth=CALLERS,
    content_type=PNG,
)
async def get_initials(
    ctx: Context,
    name: Annotated[str, Text(max=128), "Whose initials; those of the current user unless given."] = "",
    width: Annotated[int, SIDE, "Width in pixels; 0 for 500."] = 500,
    height: Annotated[int, SIDE, "Height in pixels; 0 for 500."] = 500,
    color: Annotated[str, HEX_COLOR, "Colour of the letters; it follows from them unless given."] = "",
    background: Annotated[str, HEX_COLOR, "Colour of the ground; it follows from the letters unless given."] = "",
) -> web.StreamResponse:
    """The initials of a name on a coloured ground."""
    content = await ctx.services.avatars.initials(ctx.actor, name, width, height, color=color, background=background)
    return drawn_response(content, CACHED)
