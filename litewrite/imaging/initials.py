"""Initials of a name on a coloured ground."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from litewrite.imaging.fonts import has_letter, load_font
from litewrite.imaging.options import Size
from litewrite.imaging.transform import colour

THEMES: Final = (
    ("27005e", "e1d2f6"),
    ("5e2700", "f3d9c6"),
    ("006128", "c9f3c6"),
    ("580061", "f2d1f5"),
    ("00365d", "c6e1f3"),
    ("00075c", "d2d5f6"),
    ("610038", "f5d1e6"),
    ("386100", "dcf1bd"),
    ("615800", "f1ecba"),
    ("610008", "f6d2d5"),
)
"""Colours of letters and ground, by number."""

WIDEST: Final = 0.9
"""How much of the width two broad letters may take."""


@dataclass(frozen=True, slots=True)
class Initials:
    letters: str
    """At most two characters."""

    @classmethod
    def of(cls, name: str) -> Initials:
        """The first letters of the first and the second word, in upper case."""
        words = unicodedata.normalize("NFC", name).upper().split()
        return cls("".join(word[0] for word in words[:2]))

    @property
    def theme(self) -> int:
        """Which of the themes belongs to the letters."""
        return sum(letter.encode(errors="replace")[0] for letter in self.letters) % 10


def draw_initials(initials: Initials, size: Size, data: Path, *, color: str = "", background: str = "") -> Image.Image:
    """The picture, opaque. Colours that are not given come from the theme.

    Letters that the font lacks are left out; when nothing remains of some letters, a figure of a person stands for
    them. Without any letter the picture is plain.
    """
    theme_color, theme_background = THEMES[initials.theme]
    ink = colour(color or theme_color)
    image = Image.new("RGB", size, colour(background or theme_background))
    if not initials.letters:
        return image
    font_size = max(1.0, min(size) / 2)
    font = load_font(data, font_size)
    letters = "".join(letter for letter in initials.letters if has_letter(font, letter))
    if letters:
        broad = font.getlength(letters) / (WIDEST * size[0])
        if broad > 1:
            font_size /= broad
            font = load_font(data, font_size)
        draw = ImageDraw.Draw(image)
        draw.text((size[0] / 1.97, size[1] / 2 + font_size / 3), letters, ink, font, anchor="ms")
    else:
        _draw_person(image, ink)
    return image


def _draw_person(image: Image.Image, ink: tuple[int, int, int]) -> None:
    """A head over shoulders, in the middle."""
    edge = max(1, min(image.size) * 5 // 8)
    scale = 4 if edge <= 500 else 1
    unit = edge * scale / 100
    mask = Image.new("L", (edge * scale, edge * scale), 0)
    draw = ImageDraw.Draw(mask)
    draw.ellipse((28 * unit, 6 * unit, 72 * unit, 50 * unit), fill=255)
    draw.ellipse((8 * unit, 56 * unit, 92 * unit, 140 * unit), fill=255)
    mask = mask.reduce(scale)
    image.paste(ink, ((image.width - mask.width) // 2, (image.height - mask.height) // 2), mask)
