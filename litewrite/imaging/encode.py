"""From pixels to files. Nothing but the pixels and their colour profile gets into them.

What is large is written under a name instead of into memory: into files, Pillow encodes while other threads run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from litewrite.imaging import ResultTooLarge
from litewrite.imaging.decode import to_srgb
from litewrite.imaging.transform import flatten

_PLUGINS: Final = (GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)  # which registers them
_LONGEST_SIDE: Final = {"jpg": 65_500, "gif": 65_535, "webp": 16_383}
_BLACK: Final = (0, 0, 0)
_FINE_QUALITY: Final = 90
"""From here on JPEG keeps colours at full resolution."""
_CLEAR: Final = 255
"""Index of the transparent colour of a GIF."""


def encode(
    image: Image.Image, target: Path | IO[bytes], output: str, quality: int = 100, profile: bytes | None = None
) -> None:
    """Write a picture in RGB, RGBA or grey as one of `FORMATS`. `profile` is the ICC profile of its colours.

    Raises `ResultTooLarge` when the format cannot hold it, and OSError when the file cannot be written.
    """
    longest = _LONGEST_SIDE.get(output)
    if longest is not None and max(image.size) > longest:
        raise ResultTooLarge(f"no {output} has more than {longest} pixels a side")
    arguments: dict[str, Any]
    if output == "jpg":
        image = flatten(image, _BLACK)
        arguments = {"quality": max(1, quality), "subsampling": "4:4:4" if quality >= _FINE_QUALITY else "4:2:0"}
        image.save(target, "JPEG", icc_profile=profile, **arguments)
    elif output == "png":
        image.save(target, "PNG", icc_profile=profile, compress_level=compress_level(quality))
    elif output == "webp":
        image.save(target, "WEBP", icc_profile=profile or b"", quality=quality, method=2)
    else:
        if profile is not None:
            image = to_srgb(image, profile) or image
        arguments = {"transparency": _CLEAR} if image.mode == "RGBA" else {}
        indexed(image).save(target, "GIF", **arguments)


def compress_level(quality: int) -> int:
    """The effort of compressing a PNG, 1 (least, at quality 100) to 9 (most, at 0)."""
    # Level 0 would not compress at all: a thumbnail would be many times larger for a saving of nothing.
    return max(1, 9 - round(quality / 100 * 9))


def encode_animation(
    frames: Iterator[tuple[Image.Image, int]], target: Path, *, loop: int | None, clears: bool
) -> None:
    """Write the frames, each with its duration in ms, as an animated GIF. Raises OSError and `ResultTooLarge`.

    `clears` says that a frame may be transparent where an earlier one was not.
    """

    def timed() -> Iterator[Image.Image]:
        for image, duration in frames:
            if max(image.size) > _LONGEST_SIDE["gif"]:
                raise ResultTooLarge("no GIF has more than 65535 pixels a side")
            image.info = {"duration": duration}
            yield image

    images = timed()
    first = next(images)
    arguments: dict[str, Any] = {} if loop is None else {"loop": loop}
    # A frame with holes must not show the one before through them.
    if clears or first.mode == "RGBA":
        arguments["disposal"] = 2
    first.save(target, "GIF", save_all=True, append_images=images, **arguments)


def indexed(image: Image.Image) -> Image.Image:
    """The picture with a palette of its own; what is more than half transparent has the colour `_CLEAR`."""
    if image.mode != "RGBA":
        return image.quantize(256, Image.Quantize.MEDIANCUT)
    alpha = image.getchannel("A")
    result = flatten(image, _BLACK).quantize(255, Image.Quantize.MEDIANCUT)
    result.paste(_CLEAR, mask=alpha.point(lambda level: 255 if level < 128 else 0))
    return result
