"""Makes the pictures and the font of `avatars/` out of the packages they come from.

Run it after a change of a drawing here or of a pinned version. It needs the extra `artwork` of the package and the
unpacked npm packages, whose folders it is told:

    npm pack flag-icons@7.5.0 simple-icons@9.21.0 dejavu-fonts-ttf@2.37.3     then unpack each
    python data/generate_avatars.py --flags FOLDER --icons FOLDER --font FOLDER

Pictures are kept as lossless WebP, which takes a quarter of PNG. Brands that no package offers under terms that fit
are tiles with their name.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import resvg_py
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image

DATA = Path(__file__).parent
FOLDER = DATA / "avatars"
FLAG = (640, 480)
BROWSER = (512, 512)
CARD = (1200, 900)
WHITE = "#ffffff"
BOLD = "ttf/DejaVuSans-Bold.ttf"
REGULAR = "ttf/DejaVuSans.ttf"


@dataclass(frozen=True)
class Tile:
    """A tile in the colour of a brand, with its glyph, its name, or both."""

    color: str
    glyph: str = ""
    """Name of a picture of simple-icons, drawn on a square of 24."""
    lines: tuple[str, ...] = ()
    ink: str = WHITE
    extra: str = ""
    """Shapes of our own, in pixels of the tile."""


BROWSERS = {
    "android": Tile("#3ddc84", "android"),
    "avant": Tile("#e8833a", lines=("Avant",)),
    "brave": Tile("#fb542b", "brave"),
    "chrome": Tile("#4285f4", "googlechrome"),
    "chromium": Tile("#7aa7d9", "googlechrome"),
    "edge": Tile("#0078d7", "microsoftedge"),
    "firefox": Tile("#ff7139", "firefox"),
    "internet-explorer": Tile("#0076d6", "internetexplorer"),
    "opera": Tile("#ff1b2d", "opera"),
    "opera-mini": Tile("#ff1b2d", "opera", ("mini",)),
    "safari": Tile("#006cff", "safari"),
    "samsung": Tile("#1428a0", lines=("Samsung", "Internet")),
    "vivaldi": Tile("#ef3939", lines=("Vivaldi",)),
    "yandex": Tile("#fc3f1d", lines=("Yandex",)),
}
MAESTRO = '<circle cx="490" cy="400" r="190" fill="#eb001b"/><circle cx="710" cy="400" r="190" fill="#00a2e5"/>'
CARDS = {
    "amex": Tile("#2e77bc", "americanexpress"),
    "argencard": Tile("#c8102e", lines=("Argencard",)),
    "cabal": Tile("#1b3e8c", lines=("Cabal",)),
    "censosud": Tile("#00549f", lines=("Cencosud",)),
    "diners": Tile("#004c97", "dinersclub"),
    "discover": Tile("#ff6000", "discover"),
    "elo": Tile("#121212", lines=("elo",)),
    "hipercard": Tile("#b3131b", lines=("Hipercard",)),
    "jcb": Tile("#0b4ea2", "jcb"),
    "maestro": Tile("#f4f4f4", lines=("maestro",), ink="#222222", extra=MAESTRO),
    "mastercard": Tile("#eb001b", "mastercard"),
    "mir": Tile("#0f754e", lines=("MIR",)),
    "naranja": Tile("#ff4e00", lines=("Naranja",)),
    "targeta-shopping": Tile("#e30613", lines=("Tarjeta", "Shopping")),
    "union-china-pay": Tile("#00447c", lines=("UnionPay",)),
    "visa": Tile("#1a1f71", "visa"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("flags", "icons", "font"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    for folder, tiles, size in (("browsers", BROWSERS, BROWSER), ("credit-cards", CARDS, CARD)):
        for name, tile in tiles.items():
            save(FOLDER / folder / f"{name}.webp", render(drawing(tile, size, given.icons), size, given.font / BOLD))
    for code in flag_codes():
        svg = (given.flags / "flags" / "4x3" / f"{code}.svg").read_text(encoding="utf-8")
        save(FOLDER / "flags" / f"{code}.webp", render(svg, FLAG))
    make_font(given.font / REGULAR, FOLDER / "fonts" / "DejaVuSans-letters.ttf")
    shutil.copyfile(given.font / "LICENSE", FOLDER / "fonts" / "LICENSE.dejavu")
    shutil.copyfile(given.flags / "LICENSE", FOLDER / "flags" / "LICENSE.flag-icons")


def flag_codes() -> list[str]:
    rows = (DATA / "locale" / "countries.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [row.split("\t")[0].lower() for row in rows]


def drawing(tile: Tile, size: tuple[int, int], icons: Path) -> str:
    """The SVG of a tile. What matters lies in the square in the middle, to which pictures are cropped at first."""
    width, height = size
    square = min(size)
    parts = [f'<rect width="{width}" height="{height}" rx="{square * 0.16:.0f}" fill="{tile.color}"/>', tile.extra]
    if tile.glyph:
        path = re.search(r' d="([^"]+)"', (icons / "icons" / f"{tile.glyph}.svg").read_text(encoding="utf-8"))
        assert path is not None
        edge = square * (0.5 if tile.lines else 0.66)
        left, top = (width - edge) / 2, (height - edge) / 2 - (square * 0.1 if tile.lines else 0)
        parts.append(
            f'<path transform="translate({left:.1f} {top:.1f}) scale({edge / 24:.4f})" fill="{tile.ink}" '
            f'd="{path[1]}"/>'
        )
    if tile.lines:
        below = bool(tile.glyph or tile.extra)
        letters = max(map(len, tile.lines))
        font_size = min(square * (0.16 if below else 0.34), square * 0.82 / (0.69 * letters))
        first = height * 0.86 if below else height / 2 + font_size * (0.36 - 0.6 * (len(tile.lines) - 1))
        parts += [
            f'<text x="{width / 2}" y="{first + index * font_size * 1.2:.1f}" font-family="DejaVu Sans" '
            f'font-weight="bold" font-size="{font_size:.1f}" fill="{tile.ink}" text-anchor="middle">{line}</text>'
            for index, line in enumerate(tile.lines)
        ]
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'


def render(svg: str, size: tuple[int, int], font: Path | None = None) -> Image.Image:
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        width=size[0],
        height=size[1],
        skip_system_fonts=True,
        font_files=[str(font)] if font else None,
    )
    image = Image.open(io.BytesIO(bytes(png)))
    assert image.size == size
    return image


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.getextrema()[3] == (255, 255):
        image = image.convert("RGB")
    image.save(path, "WEBP", lossless=True, quality=100, method=6)


def make_font(source: Path, target: Path) -> None:
    """Letters, digits and ASCII of the font, without hints and tables that single letters do not need."""
    font = TTFont(source, recalcTimestamp=False)
    options = subset.Options(hinting=False, layout_features=[], notdef_outline=True)
    options.drop_tables += ["FFTM"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(
        unicodes=[code for code in font.getBestCmap() if code < 127 or unicodedata.category(chr(code))[0] in "LN"]
    )
    subsetter.subset(font)
    target.parent.mkdir(parents=True, exist_ok=True)
    font.save(target)


if __name__ == "__main__":
    main()
