"""The one font that pictures are lettered with, and which letters it has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import ImageFont

FONT: Final = "avatars/fonts/DejaVuSans-letters.ttf"
"""Below the data folder."""
_IN_NO_FONT: Final = "\uffff"


def load_font(data: Path, size: float) -> ImageFont.FreeTypeFont:
    """The font in a size in pixels; `data` is the data folder of the package."""
    return ImageFont.truetype(str(data / FONT), size, layout_engine=ImageFont.Layout.BASIC)


def has_letter(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Whether the font has a drawing of its own for a character."""
    drawn, missing = font.getmask(letter), font.getmask(_IN_NO_FONT)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)
