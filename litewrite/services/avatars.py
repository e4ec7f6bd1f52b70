"""Small pictures for the faces of an app: brands, browsers, flags, icons of web sites, QR codes and initials."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from litewrite.blobs.cache import CacheKey
from litewrite.errors import LitewriteError, RemoteImageNotFound, RemotePageFailed, SiteIconNotFound
from litewrite.imaging import PictureError
from litewrite.outbound import Outbound, OutboundError
from litewrite.permissions import Actor
from litewrite.services.pictures import Pictures, RenderedPicture
from litewrite.services.site_icons import MAX_PAGE, find_icon, is_ico, is_page

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

DAY: Final = 86_400
ICON_AGE: Final = 90 * DAY
IMAGE_AGE: Final = 7 * DAY

MAX_DOWNLOAD: Final = 10_000_000
IMAGE_SECONDS: Final = 5.0
PAGE_SECONDS: Final = 3.0
SITE_ICON_SECONDS: Final = 2.0
REDIRECTS: Final = 3
IMAGE_TYPES: Final = ("image/", "application/octet-stream", "binary/octet-stream")
SITE_ICON_EDGE: Final = 56
INITIALS_EDGE: Final = 500
BUNDLED_QUALITY: Final = 100

CREDIT_CARDS: Final = {
    "amex": "amex",
    "argencard": "argencard",
    "cabal": "cabal",
    "censosud": "censosud",
    "cencosud": "censosud",
    "diners": "diners",
    "discover": "discover",
    "elo": "elo",
    "hipercard": "hipercard",
    "jcb": "jcb",
    "mastercard": "mastercard",
    "naranja": "naranja",
    "targeta-shopping": "targeta-shopping",
    "tarjeta-shopping": "targeta-shopping",
    "union-china-pay": "union-china-pay",
    "visa": "visa",
    "mir": "mir",
    "maestro": "maestro",
}
"""Codes of card brands, and the drawing of each. Two are misspelt in Appwrite, and known under both spellings here."""
BROWSERS: Final = {
    "aa": "avant",
    "an": "android",
    "ch": "chrome",
    "ci": "chrome",
    "cm": "chrome",
    "cr": "chromium",
    "ff": "firefox",
    "sf": "safari",
    "mf": "safari",
    "ps": "edge",
    "oi": "opera-mini",
    "om": "opera",
    "op": "opera",
    "on": "opera",
    "br": "brave",
    "fm": "firefox",
    "ie": "internet-explorer",
    "sb": "samsung",
    "vi": "vivaldi",
    "ya": "yandex",
}
"""Codes of browsers, as sessions have them, and the drawing of each."""
FLAGS: Final = tuple(
    (  # noqa: SIM905
        "ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw "
        "by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et fi "
        "fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in "
        "io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me "
        "mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf "
        "pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv "
        "sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi vn vu wf ws xk "
        "ye yt za zm zw"
    ).split()
)
"""Codes of countries and territories: ISO 3166-1, and xk."""


class Avatars:
    """The avatars of all projects; they depend on nothing that a project has.

    Args:
        data: the data folder of the package.
    """

    def __init__(self, pictures: Pictures, outbound: Outbound, data: Path) -> None:
        self._pictures = pictures
        self._outbound = outbound
        self._data = data

    async def credit_card(self, code: str, width: int, height: int, quality: int) -> RenderedPicture:
        """The icon of a card brand out of `CREDIT_CARDS`, cropped."""
        return await self._bundled("credit-cards", CREDIT_CARDS[code], width, height, quality)

    async def browser(self, code: str, width: int, height: int, quality: int) -> RenderedPicture:
        """The icon of a browser out of `BROWSERS`, cropped."""
        return await self._bundled("browsers", BROWSERS[code], width, height, quality)

    async def flag(self, code: str, width: int, height: int, quality: int) -> RenderedPicture:
        """The flag of a country out of `FLAGS`, cropped."""
        return await self._bundled("flags", code, width, height, quality)

    async def image(self, url: str, width: int, height: int) -> RenderedPicture:
        """A picture from the web, cropped. Raises `RemoteImageNotFound` when there is none."""

        async def make(target: Path) -> str:
            content = await self._fetch_icon(url, IMAGE_SECONDS, RemoteImageNotFound)
            await self._crop(content, target, width, height, RemoteImageNotFound)
            return "png"

        return await self._pictures.get(CacheKey("image", f"{url} {width}x{height}"), IMAGE_AGE, make)

    async def favicon(self, url: str) -> RenderedPicture:
        """The icon of a web site, 56 x 56, or an .ico as it is.

        Raises `RemotePageFailed` when the page cannot be had, and `SiteIconNotFound` when it has no icon.
        """

        async def make(target: Path) -> str:
            try:
                page = await self._outbound.get(
                    url, seconds=PAGE_SECONDS, max_bytes=MAX_PAGE, truncate=True, redirects=REDIRECTS
                )
            except OutboundError as error:
                log.info("no page for a favicon: %s", error)
                raise RemotePageFailed from error
            if not page.body:
                raise RemotePageFailed
            icon = await self._pictures.run(lambda: find_icon(page.body, page.url))
            content = await self._fetch_icon(icon, SITE_ICON_SECONDS, SiteIconNotFound)
            if is_page(content):
                raise SiteIconNotFound
            if is_ico(icon):
                await self._pictures.run(lambda: target.write_bytes(content))
                return "ico"
            await self._crop(content, target, SITE_ICON_EDGE, SITE_ICON_EDGE, SiteIconNotFound)
            return "png"

        return await self._pictures.get(CacheKey("favicon", url), ICON_AGE, make)

    async def qr(self, text: str, size: int, margin: int) -> bytes:
        """A text of at most 512 characters as QR code in a PNG; see `imaging.qr.draw_qr`."""

        def draw() -> bytes:
            from litewrite.imaging.qr import draw_qr

            return _png(draw_qr(text, size, margin))

        return await self._pictures.run(draw)

    async def initials(
        self, actor: Actor, name: str, width: int, height: int, *, color: str = "", background: str = ""
    ) -> bytes:
        """The initials of a name in a PNG; those of the calling user without one. A size of 0 is 500."""
        if not name and actor.user is not None:
            name = actor.user.name or actor.user.email or ""
        size = (width or INITIALS_EDGE, height or INITIALS_EDGE)

        def draw() -> bytes:
            from litewrite.imaging.initials import Initials, draw_initials

            return _png(draw_initials(Initials.of(name), size, self._data, color=color, background=background))

        return await self._pictures.run(draw)

    async def _bundled(self, folder: str, name: str, width: int, height: int, quality: int) -> RenderedPicture:
        source = self._data / "avatars" / folder / f"{name}.webp"

        async def make(target: Path) -> str:
            def crop() -> None:
                from litewrite.imaging.artwork import crop_to_png

                crop_to_png(source, target, width, height, quality)

            await self._pictures.run(crop)
            return "png"

        key = CacheKey("avatars", f"{folder}/{name} {width}x{height} {quality}")
        return await self._pictures.get(key, ICON_AGE, make)

    async def _fetch_icon(self, url: str, seconds: float, failure: type[LitewriteError]) -> bytes:
        try:
            answer = await self._outbound.get(
                url, seconds=seconds, max_bytes=MAX_DOWNLOAD, types=IMAGE_TYPES, redirects=REDIRECTS
            )
        except OutboundError as error:
            log.info("no picture from the web: %s", error)
            raise failure from error
        if answer.status >= 400 or not answer.body:
            raise failure
        return answer.body

    async def _crop(self, content: bytes, target: Path, width: int, height: int, failure: type[LitewriteError]) -> None:
        def measure() -> int:
            from litewrite.imaging.artwork import count_pixels_to_crop

            return count_pixels_to_crop(content, width, height)

        def crop() -> None:
            from litewrite.imaging.artwork import crop_to_png

            crop_to_png(content, target, width, height)

        try:
            await self._pictures.run(crop, pixels=await self._pictures.run(measure))
        except PictureError as error:
            log.info("no picture from the web: %s", error)
            raise failure from error


def _png(image: Image.Image) -> bytes:
    from litewrite.imaging.encode import encode

    buffer = io.BytesIO()
    encode(image, buffer, "png", BUNDLED_QUALITY)
    return buffer.getvalue()
