"""Which icon a web page names for itself.

Only the few elements that matter are looked at, by a scanner that goes through the page once: what comes from the web
must not be able to choose how long it is worked on.
"""

from __future__ import annotations

import html
import re
from typing import Final
from urllib.parse import urljoin, urlsplit

MAX_PAGE: Final = 524_288
"""Bytes of a page that are read; the elements in question stand at its beginning."""
_MAX_ATTRIBUTES: Final = 32
_MAX_URL: Final = 8_192
_RELATIONS: Final = frozenset(("icon", "shortcut icon"))
_SUFFIXES: Final = (".ico", ".png", ".jpg", ".jpeg")
_ELEMENT: Final = re.compile(r"<(?:(?P<comment>!--)|(?P<name>[a-z][a-z0-9]*))", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"""[\s/]*([^\s=>/"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']*)))?""")
_OPAQUE: Final = frozenset(("script", "style", "title", "textarea", "noscript", "template"))
"""Elements whose content is text, or counts only under circumstances that there are none of here."""
_SIZE: Final = re.compile(r"([0-9]{1,5})[xX]([0-9]{1,5})")


def find_icon(page: bytes, url: str) -> str:
    """The URL of the icon that a page names, else that of `/favicon.ico` on its host.

    Of `link` elements with the relation icon that lead to an .ico, .png or .jpg file the one with the largest size is
    taken, the last of several. `url` is where the page came from; a `base` element changes what is relative to it.
    """
    base, best, best_size = url, "", -1
    for name, attributes in _elements(page[:MAX_PAGE].decode("utf-8", "replace")):
        href = attributes.get("href", "").strip()
        if name == "base":
            if href and base == url:
                base = _join(url, href) or url
        elif href and " ".join(attributes.get("rel", "").lower().split()) in _RELATIONS:
            target = _join(base, href)
            size = _SIZE.search(attributes.get("sizes", ""))
            pixels = int(size[1]) * int(size[2]) if size else 0
            if _path(target).endswith(_SUFFIXES) and pixels >= best_size:
                best, best_size = target, pixels
    return best or _join(url, "/favicon.ico")


def is_ico(url: str) -> bool:
    """Whether the path of a URL ends in .ico."""
    return _path(url).endswith(".ico")


def is_page(content: bytes) -> bool:
    """Whether content that should be an icon is a page, such as one that says that there is no icon."""
    return content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\f")[:5].lower() in (b"<html", b"<!doc")


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.lower()
    except ValueError:
        return ""


def _join(base: str, href: str) -> str:
    """An absolute URL, empty when the reference is none."""
    if len(href) > _MAX_URL:
        return ""
    try:
        return urljoin(base, href)
    except ValueError:
        return ""


def _elements(text: str) -> list[tuple[str, dict[str, str]]]:
    """All `link` and `base` elements with their attributes."""
    found = []
    lower = text.lower()
    if len(lower) != len(text):  # a few letters take more room in lower case
        text = lower
    position = 0
    while (match := _ELEMENT.search(text, position)) is not None:
        position = match.end()
        if match["comment"]:
            end = text.find("-->", position)
            if end < 0:
                break
            position = end + 3
            continue
        name = match["name"].lower()
        if name == "body":
            break
        attributes, position = _attributes(text, position)
        if name in ("link", "base"):
            found.append((name, attributes))
        elif name in _OPAQUE:
            end = lower.find(f"</{name}", position)
            if end < 0:
                break
            position = end
    return found


def _attributes(text: str, position: int) -> tuple[dict[str, str], int]:
    """The attributes from a position on, and where they end. Of several with one name the first counts."""
    attributes: dict[str, str] = {}
    for _ in range(_MAX_ATTRIBUTES):
        match = _ATTRIBUTE.match(text, position)
        if match is None:
            break
        value = next((group for group in match.groups()[1:] if group is not None), "")
        attributes.setdefault(match[1].lower(), html.unescape(value))
        position = match.end()
    return attributes, position
