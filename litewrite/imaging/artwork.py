"""Pictures that come with the package or from the web, cropped and put out as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from litewrite.imaging.decode import RASTER, open_picture
from litewrite.imaging.encode import encode
from litewrite.imaging.options import Options
from litewrite.imaging.preview import count_pixels, load_for
from litewrite.imaging.transform import transform

REMOTE_QUALITY: Final = 80
"""Effort of compression for what comes from the web."""


def crop_to_png(source: Path | bytes, target: Path, width: int, height: int, quality: int = REMOTE_QUALITY) -> None:
    """Write a picture of any raster format as PNG, scaled and cropped around its centre; an animation's first frame.

    A width or height of 0 follows from the other. Raises `PictureBroken`, `ResultTooLarge` and OSError.
    """
    options = Options(width=width, height=height, quality=quality)
    with open_picture(source, RASTER) as picture:
        encode(transform(load_for(picture, options), options, picture.size), target, "png", quality, picture.profile)


def count_pixels_to_crop(source: Path | bytes, width: int, height: int) -> int:
    """About how many pixels `crop_to_png` will hold at once. Raises `PictureBroken` and OSError."""
    return count_pixels(source, RASTER, Options(width=width, height=height))
