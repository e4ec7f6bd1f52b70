"""A text as a QR code."""

from __future__ import annotations

from PIL import Image
from qrcode.constants import ERROR_CORRECT_L  # type: ignore[import-untyped]
from qrcode.exceptions import DataOverflowError  # type: ignore[import-untyped]
from qrcode.main import QRCode  # type: ignore[import-untyped]
from qrcode.util import MODE_8BIT_BYTE, QRData  # type: ignore[import-untyped]

from litewrite.imaging import ResultTooLarge

MODULE = 5
"""Pixels of a module in the natural size."""


def draw_qr(text: str, size: int, margin: int) -> Image.Image:
    """The smallest code that holds the text in UTF-8, at error correction level L; 8-bit grey, black on white.

    The picture is `size` pixels wide and high, the white border of `margin` modules included; size 0 takes 5 pixels a
    module. Where a module is no whole number of pixels, modules differ by a pixel. Raises `ResultTooLarge` for a text
    that no code can hold (2,953 bytes).
    """
    code = QRCode(error_correction=ERROR_CORRECT_L, border=0)
    code.add_data(QRData(text.encode(errors="replace"), mode=MODE_8BIT_BYTE), optimize=0)
    try:
        code.make(fit=True)
    except (DataOverflowError, ValueError) as error:
        raise ResultTooLarge("the text is too long for a QR code") from error
    rows = code.modules
    count = len(rows)
    edge = count + 2 * margin
    pixels = bytes(0 if dark else 255 for row in rows for dark in row)
    image = Image.new("L", (edge, edge), 255)
    image.paste(Image.frombytes("L", (count, count), pixels), (margin, margin))
    size = size or MODULE * edge
    return image.resize((size, size), Image.Resampling.NEAREST)
