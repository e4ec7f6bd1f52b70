"""What can be asked of a preview, and the sizes that follow from it: numbers only, nobody has to load Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

Size = tuple[int, int]

MAX_RESULT_PIXELS: Final = 50_000_000
"""As many pixels as a picture that is made may have."""

ICON_SIZE: Final[Size] = (1200, 800)
"""Of the icons of files."""

GRAVITIES: Final[dict[str, tuple[float, float]]] = {
    "center": (0.5, 0.5),
    "top-left": (0.0, 0.0),
    "top": (0.5, 0.0),
    "top-right": (1.0, 0.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "bottom-left": (0.0, 1.0),
    "bottom": (0.5, 1.0),
    "bottom-right": (1.0, 1.0),
}
"""Which part is kept when something has to be cut off: the share of the overhang that goes left of it and above it."""

FORMATS: Final = ("jpg", "png", "gif", "webp")
MEDIA_TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "ico": "image/x-icon",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a picture is transformed. Colours are 3 or 6 hexadecimal digits."""

    width: int = 0
    """Pixels; 0 to follow from the height, or to keep the original size."""
    height: int = 0
    gravity: str = "center"
    opacity: float = 1.0
    background: str = ""
    border_width: int = 0
    """Pixels."""
    border_color: str = "000000"
    border_radius: int = 0
    """Pixels."""
    rotation: int = 0
    """Degrees, clockwise."""
    quality: int = 100
    """0 to 100: for JPEG and WebP the usual scale, for PNG 100 means the least effort of compression."""
    output: str = "png"
    """One of `FORMATS`."""

    @property
    def key(self) -> str:
        """All of it but the output in one string, the same for the same options only."""
        return (
            f"{self.width}x{self.height} {self.gravity} {self.opacity} {self.background} {self.border_width} "
            f"{self.border_color} {self.border_radius} {self.rotation} {self.quality}"
        )


def scaled_size(original: Size, width: int, height: int) -> Size:
    """The size to scale and crop to, at least one pixel. 0 follows from the other; both 0 keep the original."""
    original_width, original_height = original
    if width == 0 and height == 0:
        return original
    if height == 0:
        height = int(width / (original_width / original_height))
    elif width == 0:
        width = int(height * (original_width / original_height))
    return max(1, width), max(1, height)


def rotated_size(size: Size, degrees: int) -> Size:
    """The size of the canvas after a turn."""
    degrees %= 360
    width, height = size
    if degrees in (0, 180):
        return size
    if degrees in (90, 270):
        return height, width
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))

    def canvas(side: int, reach: float) -> int:
        return math.ceil((side / 2 + reach) - math.floor(side / 2 - reach - 0.5) + 0.5)

    return (
        canvas(width, (width * cosine + height * sine) / 2),
        canvas(height, (width * sine + height * cosine) / 2),
    )


def final_size(original: Size, options: Options) -> Size:
    """The size of a picture when everything was done to it."""
    width, height = scaled_size(original, options.width, options.height)
    if options.border_width and not options.border_radius:
        width, height = width + 2 * options.border_width, height + 2 * options.border_width
    return rotated_size((width, height), options.rotation)
