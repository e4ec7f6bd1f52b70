"""Previews over the wire."""

from __future__ import annotations

import asyncio
import email.utils
import io
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from appwrite.client import Client as SdkClient
from appwrite.services.storage import Storage
from PIL import Image

from litewrite.imaging import preview as imaging_preview
from tests.conftest import Answer, Client, World
from tests.imaging.pictures import BLUE, GREEN, RED, WHITE, animation, close, encoded, quarters

NOT_FOUND = (404, "storage_file_not_found")
PNG = encoded(quarters((160, 80)))
JPEG = encoded(quarters((160, 80)), "JPEG", quality=95)
PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n"


async def upload(client: Client, content: bytes = PNG, name: str = "logo.png", read: str = "*") -> str:
    form = aiohttp.FormData({"read[]": read}, quote_fields=False)
    form.add_field("file", io.BytesIO(content), filename=name, content_type="application/octet-stream")
    answer = await client.post("/storage/files", data=form)
    assert answer.status == 201, answer.body
    file_id: str = answer["$id"]
    return file_id


async def preview(client: Client, file_id: str, headers: dict[str, str] | None = None, **params: Any) -> Answer:
    return await client.get(f"/storage/files/{file_id}/preview", params=params, headers=headers)


def picture(answer: Answer, media_type: str = "image/png") -> Image.Image:
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == media_type
    image = Image.open(io.BytesIO(answer.raw))
    image.load()
    assert Image.MIME[image.format or ""] == media_type
    return image


def corners(image: Image.Image) -> list[Any]:
    width, height = image.size
    opaque = image.convert("RGB")
    return [opaque.getpixel(point) for point in ((3, 3), (width - 4, 3), (3, height - 4), (width - 4, height - 4))]


async def test_a_preview_without_parameters_is_the_picture(guest: Client, user: Client) -> None:
    answer = await preview(guest, await upload(user))
    image = picture(answer)
    assert image.size == (160, 80)
    assert image.convert("RGB").tobytes() == quarters((160, 80)).tobytes()
    expires = email.utils.parsedate_to_datetime(answer.headers["Expires"]).timestamp()
    assert abs(expires - time.time() - 45 * 86_400) < 60
    assert answer.headers["X-Appwrite-Cache"] == "miss"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Cache-Control" not in answer.headers
    again = await preview(guest, await upload(user))
    assert again.headers["X-Appwrite-Cache"] == "miss"


async def test_the_second_call_is_a_hit_with_the_same_bytes(guest: Client, user: Client) -> None:
    file_id = await upload(user)
    first, second = [await preview(guest, file_id, width=50) for _ in range(2)]
    assert [answer.headers["X-Appwrite-Cache"] for answer in (first, second)] == ["miss", "hit"]
    assert first.raw == second.raw
    assert (await preview(guest, file_id, width=51)).headers["X-Appwrite-Cache"] == "miss"
    assert (await preview(guest, file_id, width="50", gravity="CENTER", output="")).headers["X-Appwrite-Cache"] == "hit"


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"width": 300}, (300, 150)),
        ({"height": 20}, (40, 20)),
        ({"width": 300, "height": 100}, (300, 100)),
        ({"width": 200, "height": 80, "borderWidth": 5, "borderColor": "f00"}, (210, 90)),
        ({"width": 300, "height": 100, "rotation": 45}, (284, 284)),
        ({"width": 100, "height": 50, "rotation": 30}, (114, 96)),
        ({"width": 101, "height": 50, "rotation": 60}, (95, 114)),
        ({"width": 101, "height": 50, "rotation": 90}, (50, 101)),
        ({"rotation": 360}, (160, 80)),
        ({"width": 60, "height": 60, "borderRadius": 20, "borderWidth": 4}, (60, 60)),
    ],
)
async def test_sizes(guest: Client, user: Client, params: dict[str, Any], size: tuple[int, int]) -> None:
    assert picture(await preview(guest, await upload(user), **params)).size == size


async def test_sizes_of_the_contract(guest: Client, user: Client) -> None:
    file_id = await upload(user, encoded(Image.new("RGB", (1837, 1920))))
    assert picture(await preview(guest, file_id, width=300)).size == (300, 313)
    assert picture(await preview(guest, file_id, height=300)).size == (287, 300)


@pytest.mark.parametrize(
    ("gravity", "expected"),
    [("left", [RED, RED]), ("top-right", [GREEN, GREEN]), ("center", [RED, GREEN]), ("Bottom-Left", [RED, RED])],
)
async def test_gravity(guest: Client, user: Client, gravity: str, expected: list[Any]) -> None:
    image = picture(await preview(guest, await upload(user), width=80, height=80, gravity=gravity))
    assert all(close(seen, meant) for seen, meant in zip(corners(image), expected, strict=False))


async def test_everything_at_once(guest: Client, user: Client) -> None:
    answer = await preview(
        guest,
        await upload(user),
        width=100,
        height=100,
        gravity="top-left",
        quality=80,
        borderWidth=5,
        borderColor="0000ff",
        borderRadius=10,
        opacity="0.5",
        rotation=90,
        background="ffffff",
        output="jpg",
    )
    image = picture(answer, "image/jpeg")
    assert image.size == (100, 100)
    assert close(image.getpixel((0, 0)), (0, 0, 0), 40)
    assert close(image.getpixel((50, 2)), BLUE, 40)
    assert close(image.getpixel((70, 20)), (255, 128, 128), 40)


@pytest.mark.parametrize(
    ("output", "accept", "media_type"),
    [
        ("jpg", "*/*", "image/jpeg"),
        ("jpeg", "*/*", "image/jpeg"),
        ("png", "*/*", "image/png"),
        ("gif", "*/*", "image/gif"),
        ("webp", "text/html,image/webp,*/*", "image/webp"),
        ("webp", "*/*", "image/jpeg"),
    ],
)
async def test_output(guest: Client, user: Client, output: str, accept: str, media_type: str) -> None:
    answer = await preview(guest, await upload(user), {"Accept": accept}, output=output, width=40)
    assert picture(answer, media_type).size == (40, 20)


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("photo.PNG", PNG, "image/png"),
        ("x.jpeg", JPEG, "image/jpeg"),
        ("x.jpg", PNG, "image/jpeg"),
        ("x.gif", PNG, "image/gif"),
        ("x", PNG, "image/png"),
        ("x.txt", JPEG, "image/jpeg"),
        (".png", JPEG, "image/jpeg"),
        ("x.webp", PNG, "image/jpeg"),
    ],
)
async def test_the_name_tells_the_format(
    guest: Client, user: Client, name: str, content: bytes, media_type: str
) -> None:
    assert picture(await preview(guest, await upload(user, content, name), width=16), media_type).size == (16, 8)


async def test_animations(guest: Client, user: Client) -> None:
    file_id = await upload(user, animation(3), "x.gif")
    assert getattr(picture(await preview(guest, file_id, width=10), "image/gif"), "n_frames", 1) == 3
    assert picture(await preview(guest, file_id, width=10, output="png")).size == (10, 5)


async def test_orientation_is_applied(guest: Client, user: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(quarters((160, 80)).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    image = picture(await preview(guest, await upload(user, content, "x.jpg"), width=80), "image/jpeg")
    assert image.size == (80, 40)
    assert all(close(seen, meant, 30) for seen, meant in zip(corners(image), (RED, GREEN, BLUE, WHITE), strict=True))


# Other files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.pdf", PDF),
        ("x.txt", b"hello"),
        ("empty", b""),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("x.webp", encoded(quarters(), "WEBP")),
        ("x.png", b"\x89PNG\r\n\x1a\nbroken"),
        ("x.jpg", encoded(Image.effect_noise((200, 200), 90), "JPEG")[:2_000]),
    ],
)
async def test_other_files_have_icons(guest: Client, user: Client, name: str, content: bytes) -> None:
    file_id = await upload(user, content, name)
    image = picture(await preview(guest, file_id))
    assert image.size == (1200, 800)
    assert image.getpixel((0, 0)) == (0xEC, 0xEF, 0xF1)
    small = picture(await preview(guest, file_id, width=90, background="f00", output="jpg"), "image/jpeg")
    assert small.size == (90, 60)
    assert close(small.getpixel((1, 1)), RED, 16)
    assert (await preview(guest, file_id)).headers["X-Appwrite-Cache"] == "hit"


async def test_icons_tell_kinds_apart(guest: Client, user: Client) -> None:
    pdf, text, other = [await preview(guest, await upload(user, content, "x")) for content in (PDF, b"a", b"b")]
    assert pdf.raw != text.raw
    assert text.raw == other.raw
    assert other.headers["X-Appwrite-Cache"] == "hit"


# Who may, and what is refused


async def test_permission_comes_before_the_cache(world: World, guest: Client, user: Client, key: Client) -> None:
    file_id = await upload(user, read=f"user:{user.user['$id']}")
    mine = await preview(user, file_id, width=10)
    assert picture(mine).size == (10, 5)
    assert mine.headers["Cache-Control"] == "private"
    other = await world.sign_up("bob@example.com")
    for client in (guest, other):
        answer = await preview(client, file_id, width=10)
        assert (answer.status, answer["type"]) == NOT_FOUND
    assert (await preview(key, file_id, width=10)).headers["X-Appwrite-Cache"] == "hit"
    unable = await world.key("files.write")
    answer = await preview(unable, file_id)
    assert (answer.status, answer["type"]) == (401, "general_unauthorized_scope")


async def test_files_that_are_not_there(guest: Client, user: Client, world: World) -> None:
    answer = await preview(guest, "5f4c0a1b2c3d4")
    assert (answer.status, answer["type"]) == NOT_FOUND
    file_id = await upload(user)
    await preview(guest, file_id, width=10)
    cached = await asyncio.to_thread(lambda: list((world.backend.config.data_dir / "pictures").iterdir()))
    assert len(cached) == 1
    assert (await user.delete(f"/storage/files/{file_id}")).status == 204
    answer = await preview(guest, file_id, width=10)
    assert (answer.status, answer["type"]) == NOT_FOUND
    for _ in range(200):
        if not await asyncio.to_thread(cached[0].exists):
            break
        await asyncio.sleep(0.01)
    assert not await asyncio.to_thread(cached[0].exists), "the preview goes with the file"


@pytest.mark.parametrize("content", [PNG, PDF])
async def test_content_that_is_missing(world: World, guest: Client, user: Client, content: bytes) -> None:
    file_id = await upload(user, content)
    blobs: Path = world.backend.config.data_dir / "blobs" / "files"

    def empty() -> None:
        for path in blobs.rglob("*"):
            if path.is_file():
                path.unlink()

    await asyncio.to_thread(empty)
    answer = await preview(guest, file_id)
    assert (answer.status, answer["type"]) == NOT_FOUND


@pytest.mark.parametrize(
    "params",
    [
        {"width": 4001},
        {"width": -1},
        {"height": "ten"},
        {"height": "1.5"},
        {"gravity": "north"},
        {"quality": 101},
        {"borderWidth": 101},
        {"borderColor": "#ff0000"},
        {"borderColor": "red"},
        {"borderRadius": 4001},
        {"opacity": 1.1},
        {"opacity": "half"},
        {"rotation": 361},
        {"rotation": -1},
        {"background": "ffff"},
        {"output": "bmp"},
        {"output": "PNG"},
    ],
)
async def test_bad_parameters(guest: Client, user: Client, params: dict[str, Any]) -> None:
    answer = await preview(guest, await upload(user), **params)
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")
    assert next(iter(params)) in answer["message"]


async def test_previews_that_would_be_too_large(guest: Client, user: Client) -> None:
    answer = await preview(guest, await upload(user, encoded(Image.new("L", (1, 9_000)))), width=4000)
    assert (answer.status, answer["type"]) == (400, "general_argument_invalid")
    assert "too large" in answer["message"]


async def test_a_bomb_is_an_icon(guest: Client, user: Client) -> None:
    content = encoded(Image.new("1", (8_000, 8_000)))
    assert picture(await preview(guest, await upload(user, content), width=120)).size == (120, 80)


async def test_empty_values_count_as_absent(guest: Client, user: Client) -> None:
    params = dict.fromkeys(("width", "gravity", "quality", "borderColor", "opacity", "background", "output"), "")
    assert picture(await preview(guest, await upload(user), **params)).size == (160, 80)


# As clients ask


async def test_an_img_element_names_the_project_in_the_url(world: World, user: Client) -> None:
    file_id = await upload(user, read=f"user:{user.user['$id']}")
    browser = Client(world.http, world.endpoint, {"Cookie": user.headers["Cookie"]})
    assert picture(await preview(browser, file_id, width=20, project=world.project)).size == (20, 10)


async def test_head(guest: Client, user: Client) -> None:
    file_id = await upload(user)
    whole = await preview(guest, file_id, width=20)
    head = await guest.call("HEAD", f"/storage/files/{file_id}/preview", params={"width": 20})
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.raw))
    assert head.headers["Content-Type"] == "image/png"
    assert head.headers["X-Appwrite-Cache"] == "hit"


async def test_large_previews_are_sent_from_disk(guest: Client, user: Client) -> None:
    noise = Image.effect_noise((500, 500), 90)
    file_id = await upload(user, encoded(noise))
    for cache in ("miss", "hit"):
        answer = await preview(guest, file_id)
        assert answer.headers["X-Appwrite-Cache"] == cache
        assert len(answer.raw) > 100_000
        assert picture(answer).convert("L").tobytes() == noise.tobytes()
    head = await guest.call("HEAD", f"/storage/files/{file_id}/preview")
    assert head.headers["Content-Length"] == str(len(answer.raw))


async def test_many_ask_for_one_preview_and_it_is_made_once(
    guest: Client, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    render = imaging_preview.render_preview

    def counted(source: Path, target: Path, options: Any) -> None:
        calls.append(source)
        render(source, target, options)

    monkeypatch.setattr(imaging_preview, "render_preview", counted)
    file_id = await upload(user)
    answers = await asyncio.gather(*(preview(guest, file_id, width=77) for _ in range(30)))
    assert {answer.raw for answer in answers} == {answers[0].raw}
    assert len(calls) == 1


async def test_other_calls_are_answered_while_previews_are_made(guest: Client, user: Client) -> None:
    big = await upload(user, encoded(Image.effect_noise((1_500, 1_500), 90).convert("RGB"), "JPEG"), "x.jpg")
    making = [asyncio.create_task(preview(guest, big, width=900 + index, rotation=33)) for index in range(8)]
    slowest = 0.0
    while not all(task.done() for task in making):
        start = time.perf_counter()
        assert (await guest.get("/locale")).status == 200
        slowest = max(slowest, time.perf_counter() - start)
        await asyncio.sleep(0.005)
    assert {answer.status for answer in await asyncio.gather(*making)} == {200}
    assert slowest < 1.0


async def test_the_python_sdk(world: World, key: Client, user: Client) -> None:
    file_id = await upload(user)

    def ask() -> bytes:
        client = SdkClient().set_endpoint(world.endpoint).set_project(world.project)
        client.set_key(key.headers["X-Appwrite-Key"])
        content: bytes = Storage(client).get_file_preview(
            file_id, 30, 30, "center", 90, 2, "ff0000", 0, 0.5, 90, "ffffff", "jpg"
        )
        return content

    image = Image.open(io.BytesIO(await asyncio.to_thread(ask)))
    assert (image.format, image.size) == ("JPEG", (34, 34))
