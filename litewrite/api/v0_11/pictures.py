"""Answers that are pictures, as previews and avatars have in common."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from litewrite.errors import Overloaded
from litewrite.http.files import file_response, http_date
from litewrite.http.params import HexColor
from litewrite.services.pictures import RenderedPicture

HEX_COLOR = HexColor()
EXPIRY = 45 * 86_400
"""Seconds for which browsers may keep pictures, and the content of files."""
ATTEMPTS = 3


@functools.lru_cache(maxsize=2)
def expires(now: int) -> str:
    """The Expires header of what is sent in a second, which is thousands of pictures."""
    return http_date(now + EXPIRY)


def drawn_response(content: bytes, headers: Mapping[str, str]) -> web.Response:
    """A PNG that was drawn for this request."""
    return web.Response(
        body=content, headers={**headers, "Content-Type": "image/png", "Expires": expires(int(time.time()))}
    )


async def picture_response(
    request: web.Request, get: Callable[[], Awaitable[tuple[RenderedPicture, Mapping[str, str]]]]
) -> web.StreamResponse:
    """A picture that is kept by the server. `get` gives it with headers of its own; it may be asked again."""
    for _ in range(ATTEMPTS):
        picture, own_headers = await get()
        headers = {
            **own_headers,
            "Expires": expires(int(time.time())),
            "X-Appwrite-Cache": "hit" if picture.from_cache else "miss",
        }
        if isinstance(picture.content, bytes):
            return web.Response(body=picture.content, headers={**headers, "Content-Type": picture.media_type})
        try:
            return await file_response(
                request,
                picture.content,
                content_type=picture.media_type,
                headers=headers,
                etag=picture.etag,
                last_modified=picture.written,
            )
        except FileNotFoundError:
            continue  # it had to make room for others in this moment
    raise Overloaded
