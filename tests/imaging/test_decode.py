"""Decoding: known formats, upright, in RGB or RGBA, and nothing that is too large or broken."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from litewrite.imaging import PictureBroken
from litewrite.imaging.decode import MAX_FRAMES, MAX_PIXELS, PREVIEWED, RASTER, open_picture
from litewrite.imaging.gif import scan_gif
from tests.imaging.pictures import BLUE, GREEN, RED, WHITE, animation, close, encoded, quarters


def decode(source: bytes | Path, wanted: tuple[int, int] | None = None) -> Image.Image:
    with open_picture(source, RASTER) as picture:
        return picture.load(wanted)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_formats(format: str, tmp_path: Path) -> None:
    content = encoded(quarters(), format)
    path = tmp_path / "picture"
    path.write_bytes(content)
    for source in (content, path):
        image = decode(source)
        assert (image.mode, image.size) == ("RGB", (80, 40))
        assert close(image.getpixel((5, 5)), RED, 16)
        assert close(image.getpixel((75, 35)), WHITE, 16)


@pytest.mark.parametrize("format", ["TIFF", "PPM", "ICO", "TGA", "PDF"])
def test_other_formats_are_refused(format: str) -> None:
    with pytest.raises(PictureBroken):
        decode(encoded(quarters(), format))


def test_formats_can_be_narrowed() -> None:
    with pytest.raises(PictureBroken), open_picture(encoded(quarters(), "WEBP"), PREVIEWED):
        pass


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", "RGB"), ("L", "RGB"), ("LA", "RGBA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("I;16", "RGB")],
)
def test_modes(mode: str, expected: str) -> None:
    image = Image.new("I;16", (8, 8), 0x8000) if mode == "I;16" else quarters((8, 8), mode)
    decoded = decode(encoded(image))
    assert decoded.mode == expected
    if mode == "I;16":
        assert close(decoded.getpixel((3, 3)), (128, 128, 128), 2)


def test_transparent_colours() -> None:
    image = decode(encoded(quarters((8, 8)), transparency=RED))
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0)) == (*RED, 0)
    assert image.getpixel((7, 0)) == (*GREEN, 255)


def test_cmyk_becomes_rgb() -> None:
    image = decode(encoded(quarters(mode="CMYK"), "JPEG", quality=95))
    assert image.mode == "RGB"
    assert close(image.getpixel((5, 5)), RED, 24)


UPRIGHT = {"upper left": RED, "upper right": GREEN, "lower left": BLUE, "lower right": WHITE}
UNDO = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, format: str) -> None:
    lying = quarters((800, 400))
    for step in UNDO[orientation]:
        lying = lying.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(lying, format, exif=exif)
    for wanted in (None, (100, 50)):
        with open_picture(content, RASTER) as picture:
            assert picture.size == (800, 400)
            image = picture.load(wanted)
        width, height = image.size
        assert width == 2 * height
        corners = [
            image.getpixel(point) for point in ((4, 4), (width - 5, 4), (4, height - 5), (width - 5, height - 5))
        ]
        assert all(close(seen, meant, 16) for seen, meant in zip(corners, UPRIGHT.values(), strict=True)), corners


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"nothing", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_broken_notes_do_not_matter(exif: bytes) -> None:
    assert decode(encoded(quarters(), "JPEG", exif=exif)).size == (80, 40)


def test_jpeg_comes_smaller_when_that_will_do() -> None:
    content = encoded(quarters((1600, 800)), "JPEG")
    assert decode(content, (200, 100)).size == (200, 100)
    assert decode(content, (201, 100)).size == (400, 200)
    assert decode(content, (1600, 800)).size == (1600, 800)


def test_profiles_are_told() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("JPEG", "PNG", "WEBP"):
        with open_picture(encoded(quarters(), format, icc_profile=profile), RASTER) as picture:
            assert picture.profile == profile
    with open_picture(encoded(quarters()), RASTER) as picture:
        assert picture.profile is None
    # A profile of another kind than the colours cannot be used; the picture can.
    with open_picture(encoded(quarters(mode="L"), "JPEG", icc_profile=profile), RASTER) as picture:
        assert picture.load().mode == "RGB"
        assert picture.profile is None


# Broken and hostile


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_truncated_pictures_are_broken(format: str) -> None:
    content = encoded(Image.effect_noise((200, 200), 90).convert("RGB"), format)
    for length in (0, 1, 8, 20, 60, len(content) // 2, len(content) - 200):
        with pytest.raises(PictureBroken):
            decode(content[:length])


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif_header(width: int, height: int) -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame + b";"


def webp_header(kind: bytes, width: int, height: int) -> bytes:
    if kind == b"VP8X":
        body = b"\x10\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        body = b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little") + bytes(20)
    else:
        body = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(20)
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize(
    "content",
    [
        png_header(100_000, 100_000),
        png_header(2**31 - 1, 1),
        png_header(0, 0),
        png_header(8_000, 8_000),
        gif_header(65_535, 65_535),
        gif_header(8_000, 8_000),
        webp_header(b"VP8X", 16_383, 16_383),
        webp_header(b"VP8L", 16_383, 16_383),
        webp_header(b"VP8 ", 16_383, 16_383),
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    ],
)
def test_bombs_are_refused_by_their_header(content: bytes) -> None:
    with pytest.raises(PictureBroken, match=r"not decoded|Error"):
        decode(content)


def test_frames_beyond_the_size_in_the_header_count() -> None:
    small = gif_header(8, 8)
    content = small.replace(
        b"\x2c" + struct.pack("<HHHH", 0, 0, 8, 8), b"\x2c" + struct.pack("<HHHH", 0, 0, 60_000, 60_000)
    )
    with pytest.raises(PictureBroken):
        decode(content)


def test_a_jpeg_above_the_limit_is_decoded_when_it_comes_smaller() -> None:
    content = encoded(Image.new("L", (9_000, 6_000)), "JPEG")
    assert MAX_PIXELS < 9_000 * 6_000
    with pytest.raises(PictureBroken):
        decode(content)
    assert decode(content, (900, 600)).size == (1_125, 750)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP"]), st.data())
def test_damage_gives_a_picture_or_the_one_error(format: str, data: st.DataObject) -> None:
    content = bytearray(encoded(quarters((24, 16)), format))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(content))
    except PictureBroken:
        return
    assert image.mode in ("RGB", "RGBA")


# Animations


def test_animations() -> None:
    with open_picture(animation(4, loop=0), PREVIEWED) as picture:
        assert picture.is_animated
        assert picture.loop == 0
        frames = list(picture.frames())
    assert [(frame.mode, frame.size, duration) for frame, duration in frames] == [("RGB", (40, 20), 70)] * 4
    assert len({frame.getpixel((3, 3)) for frame, _ in frames}) == 4
    with open_picture(animation(4), PREVIEWED) as picture:
        assert picture.loop is None
        assert close(picture.load().getpixel((3, 3)), frames[0][0].getpixel((3, 3)), 3)


def test_stills_are_no_animations() -> None:
    for content in (encoded(quarters(), "GIF"), encoded(quarters())):
        with open_picture(content, PREVIEWED) as picture:
            assert not picture.is_animated


def test_too_many_frames_are_no_animation() -> None:
    with open_picture(animation(MAX_FRAMES + 1, (2, 2)), PREVIEWED) as picture:
        assert not picture.is_animated
        assert picture.load().size == (2, 2)


def test_scanning_a_gif() -> None:
    content = animation(5)
    assert scan_gif(io.BytesIO(content), 10) == (5, False)
    assert scan_gif(io.BytesIO(content), 3).frames == 4
    assert scan_gif(io.BytesIO(animation(3, disposal=2)), 10) == (3, True)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 5


@given(st.binary(max_size=300))
def test_scanning_anything(tail: bytes) -> None:
    file = io.BytesIO(b"GIF89a" + tail)
    assert 1 <= scan_gif(file, 20).frames <= 21
    assert file.tell() == 0


def test_faults_of_the_disk_are_not_those_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "picture"
    path.write_bytes(encoded(quarters()))
    for error in (OSError(5, "Input/output error"), MemoryError()):
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
        with pytest.raises(type(error)):
            decode(path)
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "missing")
