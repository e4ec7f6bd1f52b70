"""One preview, from the file that was uploaded to the file that is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image

from litewrite.imaging.decode import PREVIEWED, Picture, open_picture
from litewrite.imaging.encode import encode, encode_animation
from litewrite.imaging.icons import draw_icon
from litewrite.imaging.options import Options, Size, final_size, scaled_size
from litewrite.imaging.transform import transform

DETAIL: Final = 1.5
"""A JPEG is decoded at no less than this many times the size it is scaled to, which the eye does not tell from all."""
ICON_GROUND: Final = "eceff1"
"""What is behind an icon unless a colour is asked for."""


def render_preview(source: Path, target: Path, options: Options) -> None:
    """Write a transformed JPEG, GIF or PNG.

    An animated GIF stays one when it is put out as GIF. Raises `PictureBroken`, `ResultTooLarge` and OSError; what is
    at `target` then is of no use.
    """
    with open_picture(source, PREVIEWED) as picture:
        if options.output == "gif" and picture.is_animated:

            def transformed() -> Iterator[tuple[Image.Image, int]]:
                for frame, duration in picture.frames():
                    yield transform(frame, options), duration

            encode_animation(transformed(), target, loop=picture.loop, clears=picture.clears)
            return
        image = transform(load_for(picture, options), options, picture.size)
        encode(image, target, options.output, options.quality, picture.profile)


def load_for(picture: Picture, options: Options) -> Image.Image:
    """The picture in as much detail as the options can show. Raises `PictureBroken`."""
    return picture.load(_wanted(picture, options))


def count_pixels(source: Path | bytes, kinds: Iterable[str], options: Options) -> int:
    """About how many pixels have to be held at once to make something of a picture, judged by its header.

    Some 16 bytes of memory go with each. Raises `PictureBroken` and OSError.
    """
    with open_picture(source, kinds) as picture:
        width, height = final_size(picture.size, options)
        return max(picture.pixels(_wanted(picture, options)), width * height)


def _wanted(picture: Picture, options: Options) -> Size | None:
    width, height = picture.size
    wanted_width, wanted_height = scaled_size(picture.size, options.width, options.height)
    scale = DETAIL * max(wanted_width / width, wanted_height / height)
    return (max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else None


def render_icon(kind: str, target: Path, options: Options, data: Path) -> None:
    """Write the transformed icon of a kind of file; `data` is the data folder. Raises `ResultTooLarge` and OSError."""
    options = replace(options, background=options.background or ICON_GROUND)
    encode(transform(draw_icon(kind, data), options), target, options.output, options.quality)
