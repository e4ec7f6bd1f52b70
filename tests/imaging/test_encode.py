"""Encoding, and previews from file to file."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageCms

from litewrite.imaging import PictureBroken, ResultTooLarge
from litewrite.imaging.artwork import crop_to_png
from litewrite.imaging.decode import RASTER
from litewrite.imaging.encode import compress_level, encode
from litewrite.imaging.options import FORMATS, Options
from litewrite.imaging.preview import count_pixels, render_icon, render_preview
from litewrite.reference import data_folder
from tests.imaging.pictures import BLACK, GREEN, RED, animation, close, encoded, quarters

NAMES = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP"}


def preview(content: bytes, folder: Path, **options: object) -> Image.Image:
    source, target = folder / "source", folder / "target"
    source.write_bytes(content)
    render_preview(source, target, Options(**options))  # type: ignore[arg-type]
    return Image.open(target)


@pytest.mark.parametrize("output", FORMATS)
def test_formats(output: str, tmp_path: Path) -> None:
    with preview(encoded(quarters()), tmp_path, output=output, width=40) as image:
        assert (image.format, image.size) == (NAMES[output], (40, 20))
        assert close(image.convert("RGB").getpixel((5, 5)), RED, 16)


@pytest.mark.parametrize(
    ("output", "expected"), [("png", (*RED, 0)), ("webp", (*RED, 0)), ("gif", (0, 0, 0, 0)), ("jpg", (*BLACK, 255))]
)
def test_what_is_transparent(output: str, expected: tuple[int, ...], tmp_path: Path) -> None:
    source = quarters(mode="RGBA")
    source.paste((*RED, 0), (0, 0, 40, 20))
    with preview(encoded(source), tmp_path, output=output) as image:
        seen = image.convert("RGBA")
        assert seen.getpixel((5, 5))[3] == expected[3]
        if output != "gif":
            assert close(seen.getpixel((5, 5)), expected, 16) or expected[3] == 0
        assert close(seen.getpixel((60, 5)), (*GREEN, 255), 16)


def test_quality(tmp_path: Path) -> None:
    noise = encoded(Image.effect_noise((120, 120), 90).convert("RGB"))

    def size(output: str, quality: int) -> int:
        preview(noise, tmp_path, output=output, quality=quality).close()
        return (tmp_path / "target").stat().st_size

    for output in ("jpg", "webp"):
        assert size(output, 5) < size(output, 50) < size(output, 100)
        size(output, 0)
    with preview(noise, tmp_path, quality=100) as fast:
        fast.load()
    with preview(noise, tmp_path, quality=0) as small:
        assert fast.tobytes() == small.tobytes()
    assert [compress_level(quality) for quality in (0, 50, 80, 100)] == [9, 5, 2, 1]


def test_only_colour_profiles_are_kept(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    content = encoded(quarters(), "JPEG", exif=exif, icc_profile=profile, comment=b"secret place", dpi=(72, 72))
    for output in FORMATS:
        with preview(content, tmp_path, output=output) as image:
            assert image.info.get("icc_profile") == (None if output == "gif" else profile)
            assert not image.getexif()
        assert b"secret" not in (tmp_path / "target").read_bytes()


def test_animations_stay(tmp_path: Path) -> None:
    with preview(animation(4, loop=3), tmp_path, output="gif", width=20, rotation=90) as image:
        assert (image.n_frames, image.size) == (4, (10, 20))
        assert image.info["loop"] == 3
        seen = set()
        for index in range(4):
            image.seek(index)
            assert image.info["duration"] == 70
            seen.add(image.convert("RGB").getpixel((5, 5)))
        assert len(seen) == 4


def test_animations_with_holes_do_not_pile_up(tmp_path: Path) -> None:
    frames = []
    for index in range(3):
        frame = Image.new("RGBA", (30, 10))
        frame.paste((*RED, 255), (10 * index, 0, 10 * index + 10, 10))
        frames.append(frame)
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2, duration=50)
    with preview(content, tmp_path, output="gif") as image:
        for index in range(3):
            image.seek(index)
            shown = image.convert("RGBA")
            assert [shown.getpixel((10 * third + 5, 5))[3] for third in range(3)] == [
                255 if third == index else 0 for third in range(3)
            ]


@pytest.mark.parametrize("output", ["png", "jpg", "webp"])
def test_animations_become_their_first_frame(output: str, tmp_path: Path) -> None:
    content = animation(3)
    with preview(content, tmp_path, output=output) as image:
        assert (image.format, getattr(image, "n_frames", 1)) == (NAMES[output], 1)
        assert close(image.convert("RGB").getpixel((5, 5)), (0, 255, 0), 16)


def test_sides_that_a_format_cannot_have(tmp_path: Path) -> None:
    for output, longest in (("webp", 16_383), ("jpg", 65_500), ("gif", 65_535)):
        with pytest.raises(ResultTooLarge):
            encode(Image.new("RGB", (longest + 1, 1)), tmp_path / "x", output)


def test_broken_pictures(tmp_path: Path) -> None:
    for content in (b"", b"GIF89a", encoded(quarters((300, 300)), "JPEG")[:900], encoded(quarters(), "WEBP")):
        with pytest.raises(PictureBroken):
            preview(content, tmp_path)


@pytest.mark.parametrize("kind", ["file", "video", "word", "excel", "powerpoint", "pdf"])
def test_icons(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "icon"
    render_icon(kind, target, Options(), data_folder())
    with Image.open(target) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (1200, 800), "RGB")
        assert image.getpixel((0, 0)) == (0xEC, 0xEF, 0xF1)
        assert len(image.getcolors(100_000) or []) > 3
    render_icon(kind, target, Options(width=300, background="f00", output="gif"), data_folder())
    with Image.open(target) as image:
        assert (image.format, image.size) == ("GIF", (300, 200))
        assert close(image.convert("RGB").getpixel((0, 0)), RED)


def test_cropping_to_png(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for source, size, expected in (
        (encoded(quarters(), "WEBP"), (30, 30), (30, 30)),
        (encoded(quarters(), "BMP"), (0, 10), (20, 10)),
        (animation(3), (0, 0), (40, 20)),
        (encoded(quarters((1000, 500)), "JPEG"), (50, 0), (50, 25)),
    ):
        crop_to_png(source, target, *size)
        with Image.open(target) as image:
            assert (image.format, image.size) == ("PNG", expected)


def test_counting_pixels() -> None:
    size = (1600, 800)
    jpeg, png = encoded(quarters(size), "JPEG"), encoded(quarters(size))

    def count(content: bytes, **options: int) -> int:
        return count_pixels(content, RASTER, Options(**options))  # type: ignore[arg-type]

    assert count(png) == count(png, width=10) == count(jpeg) == 1600 * 800
    assert count(jpeg, width=100) <= 400 * 200
    assert count(jpeg, width=4000) == count(png, width=4000) == 4000 * 2000
    assert count(png, rotation=45) > 1600 * 1600
    assert count(animation(5)) == 5 * 40 * 20
    with pytest.raises(PictureBroken):
        count(b"nothing")
