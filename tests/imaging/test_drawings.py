"""What is drawn here: QR codes and initials."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from litewrite.imaging.fonts import has_letter, load_font
from litewrite.imaging.initials import THEMES, Initials, draw_initials
from litewrite.imaging.options import Size
from litewrite.imaging.qr import draw_qr
from litewrite.imaging.transform import colour
from litewrite.reference import data_folder

DATA = data_folder()


def black_part(image: Image.Image) -> tuple[int, int, int, int]:
    box = ImageChops.invert(image).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize("size", [1, 57, 400, 1000])
@pytest.mark.parametrize("margin", [0, 1, 10])
def test_codes_have_the_exact_size(size: int, margin: int) -> None:
    image = draw_qr("https://example.com", size, margin)
    assert (image.mode, image.size) == ("L", (size, size))
    assert set(image.tobytes()) <= {0, 255}


@pytest.mark.parametrize(
    ("text", "modules"), [("a", 21), ("x" * 17, 21), ("x" * 18, 25), ("é" * 8, 21), ("é" * 9, 25), ("x" * 512, 77)]
)
def test_codes_are_the_smallest_that_hold_the_text(text: str, modules: int) -> None:
    assert draw_qr(text, 0, 1).size == (5 * (modules + 2),) * 2
    assert black_part(draw_qr(text, 0, 3)) == (15, 15, 15 + 5 * modules, 15 + 5 * modules)


@pytest.mark.parametrize(("margin", "first", "last"), [(1, 17, 383), (10, 98, 302)])
def test_the_margin_is_part_of_the_size(margin: int, first: int, last: int) -> None:
    left, top, right, bottom = black_part(draw_qr("hello", 400, margin))
    assert abs(left - first) <= 1
    assert abs(top - first) <= 1
    assert abs(right - last) <= 1
    assert abs(bottom - last) <= 1


def read_bytes(image: Image.Image, modules: int) -> bytes:
    """What a version 1 code at level L says, read by the book for this smallest kind."""
    pixels = image.resize((modules, modules), Image.Resampling.NEAREST).load()
    assert pixels is not None

    def dark(row: int, column: int) -> bool:
        return pixels[column, row] == 0

    format_bits = [dark(8, column) for column in (0, 1, 2, 3, 4, 5, 7, 8)]
    value = sum(bit << 7 - index for index, bit in enumerate(format_bits)) ^ 0b10101000
    assert value >> 6 == 0b01, "error correction level L"
    masks = {
        0: lambda r, c: (r + c) % 2 == 0,
        1: lambda r, c: r % 2 == 0,
        2: lambda r, c: c % 3 == 0,
        3: lambda r, c: (r + c) % 3 == 0,
        4: lambda r, c: (r // 2 + c // 3) % 2 == 0,
        5: lambda r, c: r * c % 2 + r * c % 3 == 0,
        6: lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
        7: lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
    }
    mask = masks[value >> 3 & 7]

    def is_data(row: int, column: int) -> bool:
        corners = (row < 9 and column < 9) or (row < 9 and column > 12) or (row > 12 and column < 9)
        return not (corners or row == 6 or column == 6)

    bits = []
    upwards = True
    for right in (20, 18, 16, 14, 12, 10, 8, 5, 3, 1):
        rows = range(20, -1, -1) if upwards else range(21)
        places = [(row, column) for row in rows for column in (right, right - 1)]
        bits += [dark(*place) != mask(*place) for place in places if is_data(*place)]
        upwards = not upwards
    number = int("".join("1" if bit else "0" for bit in bits[:152]), 2).to_bytes(19, "big")
    text = int.from_bytes(number, "big")
    assert text >> 148 == 0b0100, "mode: bytes"
    length = text >> 140 & 0xFF
    return bytes(text >> 132 - 8 * index & 0xFF for index in range(length))


@pytest.mark.parametrize("text", ["hello", "0123456789", "ABC-123", "Grüße €", "a b\nc", "x" * 17])
def test_codes_say_the_text(text: str) -> None:
    assert read_bytes(draw_qr(text, 0, 0), 21) == text.encode()
    assert read_bytes(draw_qr(text, 400, 0), 21) == text.encode()


@pytest.mark.parametrize(
    ("name", "letters", "theme"),
    [
        ("W W", "WW", 4),
        ("John Doe", "JD", 2),
        ("john doe", "JD", 2),
        ("A", "A", 5),
        ("", "", 0),
        ("   ", "", 0),
        ("  Ada   Lovelace  King", "AL", (65 + 76) % 10),
        ("élodie", "É", 0xC3 % 10),
        ("e\u0301lodie", "É", 0xC3 % 10),
        ("жанна", "Ж", 0xD0 % 10),
        ("ßeta", "S", 83 % 10),
        ("漢字", "漢", 0xE6 % 10),
        ("\ud800x", "\ud800", 63 % 10),
    ],
)
def test_letters_and_theme(name: str, letters: str, theme: int) -> None:
    assert Initials.of(name) == Initials(letters)
    assert Initials.of(name).theme == theme


def drawn(name: str, size: Size = (500, 500), **colours: str) -> Image.Image:
    image = draw_initials(Initials.of(name), size, DATA, **colours)
    assert (image.mode, image.size) == ("RGB", size)
    return image


@pytest.mark.parametrize("name", ["John Doe", "Ωmega Ψ", "Жанна Ы", "é", "Ş Ğ", "7 @"])
@pytest.mark.parametrize("size", [(500, 500), (100, 300), (30, 20)])
def test_letters_are_drawn_in_the_middle(name: str, size: Size) -> None:
    image = drawn(name, size, color="000", background="fff").convert("L")
    left, top, right, bottom = black_part(image)
    assert abs((left + right) / 2 - size[0] / 1.97) <= size[0] * 0.06 + 2
    assert left >= size[0] * 0.03
    assert right <= size[0] * 0.98
    assert abs((top + bottom) / 2 - size[1] / 2) <= min(size) * 0.12 + 1
    assert bottom - top <= min(size) * 0.6


def test_broad_letters_fit() -> None:
    left, _, right, _ = black_part(drawn("W W", color="000", background="fff").convert("L"))
    assert left > 15
    assert right < 485


@pytest.mark.parametrize("number", range(10))
def test_themes(number: int) -> None:
    letter = next(chr(code) for code in range(65, 91) if code % 10 == number)
    image = drawn(letter)
    color, background = THEMES[number]
    assert image.getpixel((0, 0)) == colour(background)
    assert colour(color) in {pixel for _, pixel in image.getcolors(10_000) or []}


def test_colours_replace_those_of_the_theme() -> None:
    pixels = {pixel for _, pixel in drawn("John", color="0f0").getcolors(10_000) or []}
    assert (0, 255, 0) in pixels
    assert colour(THEMES[4][1]) in pixels
    assert drawn("John", background="00f").getpixel((0, 0)) == (0, 0, 255)


def test_no_name_is_a_plain_ground() -> None:
    assert drawn("").getcolors() == [(250_000, colour(THEMES[0][1]))]


def test_letters_that_the_font_lacks() -> None:
    font = load_font(DATA, 40)
    assert has_letter(font, "A")
    assert not has_letter(font, "漢")
    person, other = drawn("漢", color="000", background="fff"), drawn("字 語", color="000", background="fff")
    assert person.tobytes() == other.tobytes()
    assert person.tobytes() != drawn("", background="fff").tobytes()
    assert drawn("漢 Ada", color="000").tobytes() != person.tobytes()


@pytest.mark.parametrize(("first", "last"), [("A", "Z"), ("À", "ſ"), ("Α", "Ω"), ("А", "Я"), ("Ѐ", "Џ"), ("0", "9")])
def test_the_font_covers_latin_greek_and_cyrillic(first: str, last: str) -> None:
    font = load_font(DATA, 40)
    letters = [chr(code) for code in range(ord(first), ord(last) + 1) if chr(code).isalnum()]
    assert [letter for letter in letters if not has_letter(font, letter)] == []
