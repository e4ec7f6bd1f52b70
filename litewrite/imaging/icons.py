"""Icons for files that are no pictures, drawn here: a sheet of paper with a folded corner and a mark of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from litewrite.imaging.fonts import load_font
from litewrite.imaging.options import ICON_SIZE

_SCALE: Final = 2
"""Drawn larger and shrunk, so that edges are smooth."""
_PAPER: Final = (255, 255, 255, 255)
_EDGE: Final = (176, 190, 197, 255)
_LINES: Final = (207, 216, 220, 255)

KINDS: Final[dict[str, tuple[int, int, int, int]]] = {
    "file": (144, 164, 174, 255),
    "video": (142, 36, 170, 255),
    "word": (40, 83, 155, 255),
    "excel": (33, 115, 70, 255),
    "powerpoint": (200, 70, 34, 255),
    "pdf": (211, 47, 47, 255),
}
"""Kinds of files, and the colour of each."""

Box = tuple[float, float, float, float]


def draw_icon(kind: str, data: Path) -> Image.Image:
    """The icon of a kind, 1200 x 800 with a transparent ground; `data` is the data folder of the package.

    Raises KeyError for an unknown kind.
    """
    tint = KINDS[kind]
    image = Image.new("RGBA", (ICON_SIZE[0] * _SCALE, ICON_SIZE[1] * _SCALE), (*_PAPER[:3], 0))
    pen = _Pen(image, data)
    left, top, right, bottom, fold = 400, 130, 800, 670, 120
    outline = [(left, top), (right - fold, top), (right, top + fold), (right, bottom), (left, bottom)]
    pen.polygon(outline, _PAPER)
    pen.line([*outline, outline[0], outline[1]], _EDGE, 8)
    pen.polygon([(right - fold, top), (right, top + fold), (right - fold, top + fold)], _LINES)
    pen.line([(right - fold, top), (right - fold, top + fold), (right, top + fold)], _EDGE, 8)
    _MARKS[kind](pen, tint)
    return image.reduce(_SCALE)


class _Pen:
    """Draws in the coordinates of the finished icon."""

    def __init__(self, image: Image.Image, data: Path) -> None:
        self._data = data
        self._draw = ImageDraw.Draw(image)

    def polygon(self, points: Sequence[tuple[float, float]], tint: tuple[int, ...]) -> None:
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=tint)

    def line(self, points: Sequence[tuple[float, float]], tint: tuple[int, ...], width: int) -> None:
        self._draw.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=tint, width=width * _SCALE, joint="curve")

    def box(self, box: Box, tint: tuple[int, ...], radius: int = 0) -> None:
        self._draw.rounded_rectangle([side * _SCALE for side in box], radius * _SCALE, fill=tint)

    def text(self, middle: tuple[float, float], text: str, tint: tuple[int, ...]) -> None:
        x, y = middle
        font = load_font(self._data, 130 * _SCALE)
        self._draw.text((x * _SCALE, y * _SCALE), text, tint, font, anchor="mm", stroke_width=5 * _SCALE)


def _file(pen: _Pen, tint: tuple[int, ...]) -> None:
    for row, right in enumerate((740, 740, 740, 620)):
        pen.box((460, 330 + 75 * row, right, 354 + 75 * row), tint, 12)


def _video(pen: _Pen, tint: tuple[int, ...]) -> None:
    pen.box((450, 340, 750, 570), tint, 24)
    pen.polygon([(565, 395), (565, 515), (665, 455)], _PAPER)


def _word(pen: _Pen, tint: tuple[int, ...]) -> None:
    pen.box((450, 320, 750, 600), tint, 24)
    pen.line([(510, 385), (550, 535), (600, 425), (650, 535), (690, 385)], _PAPER, 26)


def _excel(pen: _Pen, tint: tuple[int, ...]) -> None:
    pen.box((450, 320, 750, 600), tint, 24)
    for column in range(2):
        for row in range(3):
            left, top = 485 + 120 * column, 355 + 74 * row
            pen.box((left, top, left + 110, top + 62), _PAPER, 6)


def _powerpoint(pen: _Pen, tint: tuple[int, ...]) -> None:
    pen.box((450, 320, 750, 600), tint, 24)
    for index, height in enumerate((80, 140, 200)):
        left = 505 + 75 * index
        pen.box((left, 565 - height, left + 45, 565), _PAPER, 6)


def _pdf(pen: _Pen, tint: tuple[int, ...]) -> None:
    pen.box((430, 350, 770, 570), tint, 24)
    pen.text((600, 460), "PDF", _PAPER)


_MARKS: Final = {
    "file": _file,
    "video": _video,
    "word": _word,
    "excel": _excel,
    "powerpoint": _powerpoint,
    "pdf": _pdf,
}
