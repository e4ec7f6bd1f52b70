"""The avatars service over the wire; what it fetches comes from servers on this machine."""

from __future__ import annotations

import asyncio
import email.utils
import io
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from appwrite.client import Client as SdkClient
from appwrite.services.avatars import Avatars as SdkAvatars
from PIL import Image

from litewrite import Config, Litewrite
from litewrite.imaging.initials import THEMES
from litewrite.imaging.transform import colour
from litewrite.reference import data_folder
from litewrite.services import avatars
from litewrite.services.avatars import BROWSERS, CREDIT_CARDS, FLAGS
from tests.conftest import FAST, Answer, Client, World
from tests.imaging.pictures import BLACK, BLUE, GREEN, RED, WHITE, animation, close, encoded, quarters

INVALID = (400, "general_argument_invalid")
NO_IMAGE = (404, "avatar_image_not_found")
NO_PAGE = (404, "avatar_remote_url_failed")
NO_ICON = (404, "avatar_icon_not_found")
SETS = {"credit-cards": (CREDIT_CARDS, "visa"), "browsers": (BROWSERS, "ch"), "flags": (FLAGS, "us")}
ICO = b"\0\0\1\0" + bytes(20)


def outcome(answer: Answer) -> tuple[int, str]:
    return answer.status, answer["type"]


def picture(answer: Answer, cache: str | None = None) -> Image.Image:
    """The picture of an answer that is as all answers of this service are."""
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "image/png"
    expires = email.utils.parsedate_to_datetime(answer.headers["Expires"]).timestamp()
    assert abs(expires - time.time() - 3_888_000) < 60
    assert answer.headers["Cache-Control"] == "private, max-age=3888000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers.get("X-Appwrite-Cache") == cache
    image = Image.open(io.BytesIO(answer.raw))
    assert image.format == "PNG"
    image.load()
    return image


# Cards, browsers, flags


@pytest.mark.parametrize("kind", SETS)
async def test_icons(guest: Client, kind: str) -> None:
    path = f"/avatars/{kind}/{SETS[kind][1]}"
    first = await guest.get(path)
    assert picture(first, "miss").size == (100, 100)
    again = await guest.get(path.upper().replace(f"/AVATARS/{kind.upper()}", f"/avatars/{kind}"))
    assert picture(again, "hit").size == (100, 100)
    assert again.raw == first.raw
    for params, size in (
        ({"width": 200, "height": 200}, (200, 200)),
        ({"width": 300, "height": 300, "quality": 30}, (300, 300)),
        ({"width": 2000, "height": 10}, (2000, 10)),
    ):
        assert picture(await guest.get(path, params=params), "miss").size == size


@pytest.mark.parametrize(
    ("kind", "original"), [("credit-cards", (1200, 900)), ("browsers", (512, 512)), ("flags", (640, 480))]
)
async def test_a_size_of_zero_follows(guest: Client, kind: str, original: tuple[int, int]) -> None:
    path = f"/avatars/{kind}/{SETS[kind][1]}"
    width, height = original
    for params, size in (
        ({"width": 0, "height": 90}, (90 * width // height, 90)),
        ({"width": 100, "height": 0}, (100, 100 * height // width)),
        ({"width": 0, "height": 0}, original),
    ):
        assert picture(await guest.get(path, params=params), "miss").size == size


@pytest.mark.parametrize("kind", SETS)
async def test_every_code_has_a_picture(guest: Client, kind: str) -> None:
    for code in SETS[kind][0]:
        answer = await guest.get(f"/avatars/{kind}/{code}", params={"width": 16, "height": 12})
        image = picture(answer, answer.headers["X-Appwrite-Cache"])
        assert image.size == (16, 12)
        assert len(image.convert("RGB").getcolors(1_000) or []) > 1, code


def test_the_data_folder_has_what_is_named_and_nothing_else() -> None:
    folder = data_folder() / "avatars"
    for kind, drawings in (
        ("credit-cards", set(CREDIT_CARDS.values())),
        ("browsers", set(BROWSERS.values())),
        ("flags", set(FLAGS)),
    ):
        assert {path.stem for path in (folder / kind).glob("*.webp")} == drawings
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 3_000_000
    rows = (data_folder() / "locale" / "countries.tsv").read_text().splitlines()[1:]
    assert set(FLAGS) == {row.split("\t")[0].lower() for row in rows}


async def test_flags_show_their_country(guest: Client) -> None:
    # Lithuania is yellow, green and red; Lesotho, whose letters are ls, blue, white and green.
    image = picture(await guest.get("/avatars/flags/lt", params={"width": 40, "height": 30}), "miss").convert("RGB")
    red, green, blue = (image.getpixel((20, row)) for row in (4, 15, 26))
    assert close(red, (253, 185, 19), 12)
    assert close(green, (0, 106, 68), 12)
    assert close(blue, (193, 39, 45), 12)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/avatars/credit-cards/unknown", {}),
        ("/avatars/browsers/unknown", {}),
        ("/avatars/flags/--", {}),
        ("/avatars/flags/xx", {}),
        ("/avatars/credit-cards/visa", {"width": 2001}),
        ("/avatars/browsers/ch", {"height": 2001}),
        ("/avatars/flags/us", {"width": -1}),
        ("/avatars/flags/us", {"width": "100.0"}),
        ("/avatars/flags/us", {"width": "1e2"}),
        ("/avatars/flags/us", {"quality": 101}),
        ("/avatars/flags/us", {"quality": "best"}),
    ],
)
async def test_what_icons_refuse(guest: Client, path: str, params: dict[str, Any]) -> None:
    assert outcome(await guest.get(path, params=params)) == INVALID


async def test_quality_changes_the_size_only(guest: Client) -> None:
    fast, small = [
        await guest.get("/avatars/flags/bz", params={"width": 300, "height": 300, "quality": quality})
        for quality in (100, 0)
    ]
    assert picture(fast, "miss").tobytes() == picture(small, "miss").tobytes()
    assert len(small.raw) < len(fast.raw)


async def test_misspelt_cards(guest: Client) -> None:
    for right, wrong in (("cencosud", "censosud"), ("tarjeta-shopping", "targeta-shopping")):
        spelled = [(await guest.get(f"/avatars/credit-cards/{code}")).raw for code in (right, wrong)]
        assert spelled[0] == spelled[1]


# QR codes


async def test_qr(guest: Client) -> None:
    answer = await guest.get("/avatars/qr", params={"text": "hello"})
    image = picture(answer)
    assert (image.mode, image.size) == ("L", (400, 400))
    assert "Content-Disposition" not in answer.headers
    assert picture(await guest.get("/avatars/qr", params={"text": "hello", "size": 0})).size == (115, 115)
    assert (
        picture(await guest.get("/avatars/qr", params={"text": "é" * 512, "size": 1000, "margin": 10})).size[0] == 1000
    )
    for row in (8, 391):
        assert image.crop((0, row, 400, row + 1)).getextrema() == (255, 255)


@pytest.mark.parametrize("value", ["true", "1", "True"])
async def test_qr_for_download(guest: Client, value: str) -> None:
    answer = await guest.get("/avatars/qr", params={"text": "hello", "download": value})
    picture(answer)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="qr.png"'


@pytest.mark.parametrize("value", ["false", "0", "False", ""])
async def test_qr_to_be_shown(guest: Client, value: str) -> None:
    answer = await guest.get("/avatars/qr", params={"text": "hello", "download": value})
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"text": ""},
        {"text": "x" * 513},
        {"text": "x", "size": 1001},
        {"text": "x", "size": -1},
        {"text": "x", "margin": 11},
        {"text": "x", "download": "yes"},
        {"text": "x", "download": "TRUE"},
        {"text": "x", "download[]": "true"},
    ],
)
async def test_what_qr_refuses(guest: Client, params: dict[str, Any]) -> None:
    assert outcome(await guest.get("/avatars/qr", params=params)) == INVALID


# Initials


async def test_initials(guest: Client) -> None:
    plain = picture(await guest.get("/avatars/initials"))
    assert plain.size == (500, 500)
    assert plain.getcolors() == [(250_000, colour(THEMES[0][1]))]
    assert picture(await guest.get("/avatars/initials", params={"width": 200, "height": 100})).size == (200, 100)
    assert picture(await guest.get("/avatars/initials", params={"width": 0, "height": 0})).size == (500, 500)
    named = picture(await guest.get("/avatars/initials", params={"name": "W W", "width": 200, "height": 200}))
    assert named.getpixel((0, 0)) == colour(THEMES[4][1])
    both = {"name": "W W", "width": 200, "height": 200, "color": "ffffff", "background": "000"}
    coloured = picture(await guest.get("/avatars/initials", params=both))
    pixels = {pixel for _, pixel in coloured.getcolors(1_000) or []}
    assert WHITE in pixels
    assert coloured.getpixel((0, 0)) == BLACK


@pytest.mark.parametrize(
    "params",
    [
        {"width": 200_000},
        {"height": 2001},
        {"color": "white"},
        {"background": "black"},
        {"color": "#ffffff"},
        {"name": "x" * 129},
    ],
)
async def test_what_initials_refuse(guest: Client, params: dict[str, Any]) -> None:
    assert outcome(await guest.get("/avatars/initials", params=params)) == INVALID


async def test_initials_of_the_user(world: World, guest: Client, key: Client) -> None:
    ada = await world.sign_up(name="Ada Lovelace")
    own, named = await ada.get("/avatars/initials"), await guest.get("/avatars/initials?name=Ada+Lovelace")
    assert own.raw == named.raw
    nameless = await world.sign_up("bob@example.com", name="")
    own, named = await nameless.get("/avatars/initials"), await guest.get("/avatars/initials?name=bob@example.com")
    assert own.raw == named.raw
    assert (await key.get("/avatars/initials")).raw == (await guest.get("/avatars/initials")).raw


# Pictures and icons from elsewhere


@dataclass
class Site:
    """A web site on this machine: what lies under which path, and what was asked for."""

    port: int = 0
    pages: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    delay: float = 0

    def put(self, path: str, content: bytes | str, content_type: str = "text/html") -> None:
        self.pages[path] = (content.encode() if isinstance(content, str) else content, content_type)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        await asyncio.sleep(self.delay)
        found = self.pages.get(request.path)
        if found is None:
            return web.Response(status=404, text="<html>nothing here</html>", content_type="text/html")
        content, content_type = found
        if content_type == "redirect":
            return web.Response(status=302, headers={"Location": content.decode()})
        return web.Response(status=self.status, body=content, content_type=content_type)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    runner = web.ServerRunner(web.Server(site.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Client]:
    """A guest of a server that fetches from this machine."""
    config = Config(data_dir=tmp_path / "open", port=0, allow_private_fetch=True, **FAST)
    async with Litewrite(config) as server, aiohttp.ClientSession() as http:
        yield World(server, http).guest


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
async def test_image(visitor: Client, site: Site, format: str) -> None:
    site.put("/x", encoded(quarters((200, 100)), format), f"image/{format.lower()}")
    params = {"url": site.url("/x")}
    image = picture(await visitor.get("/avatars/image", params=params), "miss")
    assert image.size == (400, 400)
    corners = [image.convert("RGB").getpixel(point) for point in ((5, 5), (395, 5), (5, 395), (395, 395))]
    assert all(close(seen, meant, 24) for seen, meant in zip(corners, (RED, GREEN, BLUE, WHITE), strict=True))
    assert picture(await visitor.get("/avatars/image", params=params), "hit").size == (400, 400)
    small = {**params, "width": 200, "height": 200}
    assert picture(await visitor.get("/avatars/image", params=small), "miss").size == (200, 200)
    follows = {**params, "width": 0, "height": 50, "quality": 7}
    assert picture(await visitor.get("/avatars/image", params=follows), "miss").size == (100, 50)
    assert site.asked == ["/x"] * 3


async def test_an_animated_image_is_its_first_frame(visitor: Client, site: Site) -> None:
    site.put("/x.gif", animation(3), "image/gif")
    image = picture(await visitor.get("/avatars/image", params={"url": site.url("/x.gif"), "width": 10}), "miss")
    assert close(image.convert("RGB").getpixel((5, 5)), GREEN)


async def test_images_that_are_none(visitor: Client, site: Site) -> None:
    site.put("/page", "<html>hello</html>")
    site.put("/text", "hello", "image/png")
    site.put("/empty", b"", "image/png")
    site.put("/broken", encoded(quarters())[:60], "image/png")
    site.put("/svg", "<svg/>", "image/svg+xml")
    site.put("/bomb", encoded(Image.new("1", (8_000, 8_000))), "image/png")
    site.put("/loop", "/loop", "redirect")
    site.put("/file", "file:///etc/passwd", "redirect")
    for path in ("/page", "/text", "/empty", "/broken", "/svg", "/bomb", "/loop", "/file", "/missing"):
        for _ in range(2):
            answer = await visitor.get("/avatars/image", params={"url": site.url(path)})
            assert outcome(answer) == NO_IMAGE, path
    assert site.asked.count("/missing") == 2, "failures are not kept"
    for url in ("http://unknown.invalid/x.png", "http://127.0.0.1:1/x.png"):
        assert outcome(await visitor.get("/avatars/image", params={"url": url})) == NO_IMAGE


async def test_images_with_an_error_status_are_none(visitor: Client, site: Site) -> None:
    site.put("/x", encoded(quarters()), "image/png")
    site.status = 500
    assert outcome(await visitor.get("/avatars/image", params={"url": site.url("/x")})) == NO_IMAGE


@pytest.mark.parametrize("path", ["/avatars/image", "/avatars/favicon"])
@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "unknown-address",
        "//example.com/x",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "http://a b/",
        "http://",
    ],
)
async def test_urls_that_are_none(guest: Client, path: str, url: str | None) -> None:
    assert outcome(await guest.get(path, params={} if url is None else {"url": url})) == INVALID


async def test_image_sizes(guest: Client) -> None:
    params = {"url": "http://example.com/x.png", "width": 2001}
    assert outcome(await guest.get("/avatars/image", params=params)) == INVALID


async def test_private_addresses_are_as_unreachable_ones(guest: Client, site: Site) -> None:
    site.put("/", '<link rel="icon" href="/x.png">')
    site.put("/x.png", encoded(quarters()), "image/png")
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"):
        url = f"http://{host}:{site.port}/x.png"
        assert outcome(await guest.get("/avatars/image", params={"url": url})) == NO_IMAGE
        assert outcome(await guest.get("/avatars/favicon", params={"url": url})) == NO_PAGE
    assert site.asked == []


async def test_favicon(visitor: Client, site: Site) -> None:
    site.put("/blog/", '<link rel="icon" href="a.png" sizes="16x16"><link rel="icon" href="../b.png" sizes="64x64">')
    site.put("/b.png", encoded(quarters((100, 50))), "image/png")
    params = {"url": site.url("/blog/?x=1")}
    image = picture(await visitor.get("/avatars/favicon", params=params), "miss")
    assert image.size == (56, 56)
    assert close(image.convert("RGB").getpixel((3, 3)), RED)
    assert picture(await visitor.get("/avatars/favicon", params=params), "hit").size == (56, 56)
    assert site.asked == ["/blog/?x=1", "/b.png"]


async def test_favicon_as_ico(visitor: Client, site: Site) -> None:
    site.put("/", "<html>no icon</html>")
    site.put("/favicon.ico", ICO, "image/x-icon")
    site.status = 200
    for cache in ("miss", "hit"):
        answer = await visitor.get("/avatars/favicon", params={"url": site.url()})
        assert (answer.status, answer.raw) == (200, ICO)
        assert answer.headers["Content-Type"] == "image/x-icon"
        assert answer.headers["X-Appwrite-Cache"] == cache


async def test_the_status_of_a_page_does_not_matter(visitor: Client, site: Site) -> None:
    site.put("/favicon.ico", ICO, "application/octet-stream")
    answer = await visitor.get("/avatars/favicon", params={"url": site.url("/no/such/page")})
    assert (answer.status, answer.raw) == (200, ICO)


async def test_a_page_that_moved_names_its_icon_from_where_it_is(visitor: Client, site: Site) -> None:
    site.put("/", "/new/page", "redirect")
    site.put("/new/page", '<link rel="icon" href="x.jpg">')
    site.put("/new/x.jpg", encoded(quarters(), "JPEG"), "image/jpeg")
    assert picture(await visitor.get("/avatars/favicon", params={"url": site.url()}), "miss").size == (56, 56)
    assert site.asked == ["/", "/new/page", "/new/x.jpg"]


async def test_favicons_that_are_none(visitor: Client, site: Site) -> None:
    site.put("/empty", b"")
    assert outcome(await visitor.get("/avatars/favicon", params={"url": site.url("/empty")})) == NO_PAGE
    assert outcome(await visitor.get("/avatars/favicon", params={"url": "http://unknown.invalid"})) == NO_PAGE
    for name, content, content_type in (
        ("page.ico", b" <!DOCTYPE html><p>", "image/x-icon"),
        ("page.png", b"<html>", "image/png"),
        ("html.ico", b"<html>", "text/html"),
        ("nothing.ico", b"", "image/x-icon"),
        ("broken.png", b"\x89PNG", "image/png"),
        ("away.png", b"http://unknown.invalid/", "redirect"),
    ):
        site.put(f"/for/{name}", f'<link rel="icon" href="/{name}">')
        site.put(f"/{name}", content, content_type)
        assert outcome(await visitor.get("/avatars/favicon", params={"url": site.url(f"/for/{name}")})) == NO_ICON, name
    assert outcome(await visitor.get("/avatars/favicon", params={"url": site.url("/no/icon/anywhere")})) == NO_ICON


async def test_a_slow_site_does_not_keep_anybody(visitor: Client, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatars, "PAGE_SECONDS", 1.0)
    monkeypatch.setattr(avatars, "SITE_ICON_SECONDS", 0.2)
    site.put("/", '<link rel="icon" href="/slow.png">')
    site.delay = 0.4
    asking = asyncio.create_task(visitor.get("/avatars/favicon", params={"url": site.url()}))
    await asyncio.sleep(0.05)
    picture(await visitor.get("/avatars/initials", params={"width": 10, "height": 10}))
    assert not asking.done()
    assert outcome(await asking) == NO_ICON
    monkeypatch.setattr(avatars, "PAGE_SECONDS", 0.1)
    assert outcome(await visitor.get("/avatars/favicon", params={"url": site.url("/x")})) == NO_PAGE


async def test_many_ask_for_one_picture_and_it_is_fetched_once(visitor: Client, site: Site) -> None:
    site.put("/x", encoded(quarters()), "image/png")
    site.delay = 0.05
    answers = await asyncio.gather(*(visitor.get("/avatars/image", params={"url": site.url("/x")}) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert site.asked == ["/x"]


# Callers

EVERY = (
    "/avatars/credit-cards/visa",
    "/avatars/browsers/ch",
    "/avatars/flags/us",
    "/avatars/qr?text=hello",
    "/avatars/initials",
)


@pytest.mark.parametrize("path", EVERY)
async def test_callers(world: World, guest: Client, user: Client, path: str) -> None:
    token = (await user.post("/account/jwt"))["jwt"]
    for client in (guest, user, guest.with_headers(X_Appwrite_JWT=token), await world.key("avatars.read")):
        assert (await client.get(path)).status == 200
    unable = await world.key("files.read")
    assert outcome(await unable.get(path)) == (401, "general_unauthorized_scope")
    nobody = Client(world.http, world.endpoint)
    assert outcome(await nobody.get(path)) == (400, "project_unknown")
    named = await nobody.get(path + ("&" if "?" in path else "?") + f"project={world.project}")
    assert named.status == 200
    assert outcome(await nobody.get(path, params={"project": "unknown"})) == (400, "project_unknown")


async def test_a_blocked_user_gets_none(user: Client, key: Client) -> None:
    assert (await key.patch(f"/users/{user.user['$id']}/status", {"status": 2})).status == 200
    assert outcome(await user.get("/avatars/flags/us")) == (401, "user_blocked")


async def test_head(guest: Client) -> None:
    whole = await guest.get("/avatars/flags/us")
    head = await guest.call("HEAD", "/avatars/flags/us")
    assert (head.status, head.raw, head.headers["Content-Length"]) == (200, b"", str(len(whole.raw)))


async def test_the_python_sdk(world: World, key: Client) -> None:
    def ask() -> list[bytes]:
        client = SdkClient().set_endpoint(world.endpoint).set_project(world.project)
        service = SdkAvatars(client.set_key(key.headers["X-Appwrite-Key"]))
        return [
            service.get_browser("ch", 50, 50, 90),
            service.get_flag("DE"),
            service.get_qr("hello", 200, 2, True),
            service.get_initials("Ada", 60, 60, "fff", "000"),
        ]

    sizes = [Image.open(io.BytesIO(content)).size for content in await asyncio.to_thread(ask)]
    assert sizes == [(50, 50), (100, 100), (200, 200), (60, 60)]


def test_the_origin_of_every_picture_is_told() -> None:
    text = (data_folder() / "README.md").read_text()
    for name in ("flag-icons", "simple-icons", "DejaVu", "generate_avatars.py"):
        assert name in text
    assert re.search(r"LICENSE\.flag-icons", text)
    for licence in ("fonts/LICENSE.dejavu", "flags/LICENSE.flag-icons"):
        assert (data_folder() / "avatars" / licence).stat().st_size > 500
