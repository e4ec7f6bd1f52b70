"""From bytes to pixels, guardedly: known formats only, and the header is judged before anything is decoded.

Formats are opened by their own classes instead of by `Image.open`, which would try every format that Pillow has and
judges sizes by a setting that the whole process shares. What comes out is RGB or RGBA, upright, with the profile that
its colours are meant in.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from PIL import Image, ImageCms
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from litewrite.imaging import PictureBroken
from litewrite.imaging.gif import Animation, scan_gif
from litewrite.imaging.options import Size

MAX_PIXELS: Final = 50_000_000
"""Larger pictures are not decoded: 4 bytes a pixel, and some steps need a second copy."""
MAX_JPEG_PIXELS: Final = 200_000_000
"""JPEG can be decoded at a fraction of its size, which then has to fit into `MAX_PIXELS`."""
MAX_SIDE: Final = 65_535
MAX_FRAMES: Final = 500
"""Animations with more frames, or with more than `MAX_PIXELS` in all, are taken for their first frame."""

PREVIEWED: Final = ("jpeg", "gif", "png")
RASTER: Final = (*PREVIEWED, "webp", "bmp")

_ORIENTATION: Final = 0x0112
_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)
_CLASSES: Final[dict[str, type[ImageFile]]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "gif": GifImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
}


class Picture:
    """An opened picture. `size` is that of the upright picture; no pixel is decoded before `load` or `frames`.

    All methods raise `PictureBroken`.
    """

    def __init__(self, image: ImageFile, kind: str, animation: Animation) -> None:
        self._image = image
        self._animation = animation
        width, height = image.size
        limit = MAX_JPEG_PIXELS if kind == "jpeg" else MAX_PIXELS
        if width < 1 or height < 1 or max(width, height) > MAX_SIDE or width * height > limit:
            raise PictureBroken(f"a picture of {width} x {height} pixels is not decoded")
        self._orientation = _orientation(image) if kind != "gif" else 1
        self.size: Size = (height, width) if self._orientation >= 5 else (width, height)
        profile = image.info.get("icc_profile")
        self.profile: bytes | None = profile if isinstance(profile, bytes) and profile else None
        """The ICC profile of what `load` gives; None for sRGB."""

    def load(self, wanted: Size | None = None) -> Image.Image:
        """The picture, or its first frame, as RGB or RGBA.

        `wanted` allows a JPEG to come smaller than it is, but not smaller than that.
        """
        with _decoding():
            if wanted is not None:
                width, height = wanted
                self._image.draft(None, (height, width) if self._orientation >= 5 else (width, height))
            self._require_room()
            self._image.load()
            self._require_room()
            image = self._upright(self._plain(self._image))
            image.info = {}
            return image

    @property
    def is_animated(self) -> bool:
        """Whether this is a GIF with several frames, not too many to be transformed."""
        width, height = self._image.size
        return 1 < self._animation.frames <= min(MAX_FRAMES, MAX_PIXELS // (width * height))

    @property
    def clears(self) -> bool:
        """Whether an animation takes pixels away again, so that what is behind it shows."""
        return self._animation.clears

    @property
    def loop(self) -> int | None:
        """How often an animation is repeated, 0 for ever; None when it is not."""
        loop = self._image.info.get("loop")
        return loop if isinstance(loop, int) else None

    def pixels(self, wanted: Size | None = None) -> int:
        """About how many pixels `load` or, for an animation, `frames` will decode."""
        width, height = self.size
        if wanted is None or not isinstance(self._image, JpegImageFile):
            return width * height * (self._animation.frames if self.is_animated else 1)
        # Half, a quarter or an eighth of the sides, whichever is the least that will do.
        scale = min(1.0, max(1 / 8, 2 * max(wanted[0] / width, wanted[1] / height)))
        return round(width * height * scale * scale)

    def frames(self) -> Iterator[tuple[Image.Image, int]]:
        """Every frame of an animation, whole, with its duration in ms."""
        with _decoding():
            for index in range(self._animation.frames):
                self._image.seek(index)
                self._image.load()
                self._require_room()
                duration = self._image.info.get("duration", 0)
                frame = self._plain(self._image).copy()
                frame.info = {}
                yield frame, duration if isinstance(duration, int) else 0

    def _require_room(self) -> None:
        # The size may have changed: frames of a GIF can reach beyond the size in its header.
        width, height = self._image.size
        if width * height > MAX_PIXELS:
            raise PictureBroken(f"a picture of {width} x {height} pixels is not decoded")

    def _plain(self, image: Image.Image) -> Image.Image:
        """The same in RGB or RGBA, perhaps the same object."""
        mode = image.mode
        if mode in ("RGB", "RGBA") and "transparency" not in image.info:
            return image
        if mode in ("CMYK", "L") and self.profile is not None:
            profile, self.profile = self.profile, None
            converted = to_srgb(image, profile)
            if converted is not None:
                return converted
        elif mode not in ("RGB", "RGBA", "P", "PA"):
            self.profile = None
        if mode.startswith("I;16"):
            image = image.convert("I").point([min(255, level >> 8) for level in range(65_536)], "L")
        elif mode in ("I", "F"):
            image = image.convert("L")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")

    def _upright(self, image: Image.Image) -> Image.Image:
        if self._orientation == 1:
            return image
        turns = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90,
        }
        return image.transpose(turns[self._orientation])


@contextlib.contextmanager
def open_picture(source: Path | bytes, kinds: Iterable[str]) -> Iterator[Picture]:
    """Open a picture of one of `kinds`. Raises `PictureBroken`, and OSError when a file cannot be read."""
    with open(source, "rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        kind = _kind(file)
        if kind not in kinds:
            raise PictureBroken("this is no picture of a known format")
        with _decoding():
            if kind == "webp":
                _check_webp(file)
            animation = scan_gif(file, MAX_FRAMES) if kind == "gif" else Animation(1, clears=False)
            picture = Picture(_CLASSES[kind](file), kind, animation)
        yield picture


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture with its colours converted from `profile` to sRGB, as RGB or RGBA; None for a profile of no use."""
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except (PictureBroken, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the picture
        # Decoders meet hostile bytes with whatever comes up: struct.error, IndexError, OverflowError, SyntaxError ...
        raise PictureBroken(f"{type(error).__name__}: {error}") from error


def _kind(file: IO[bytes]) -> str:
    head = file.read(16)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def _check_webp(file: IO[bytes]) -> None:
    """Judge the size in the header; the class of Pillow would reserve memory for it first."""
    head = file.read(30)
    file.seek(0)
    match head[12:16]:
        case b"VP8X":
            width = 1 + int.from_bytes(head[24:27], "little")
            height = 1 + int.from_bytes(head[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            width = int.from_bytes(head[26:28], "little") & 0x3FFF
            height = int.from_bytes(head[28:30], "little") & 0x3FFF
    if width * height > MAX_PIXELS:
        raise PictureBroken(f"a picture of {width} x {height} pixels is not decoded")


def _orientation(image: ImageFile) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Notes about a picture that cannot be read say nothing about the picture.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
