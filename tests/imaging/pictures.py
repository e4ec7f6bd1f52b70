"""Pictures to try things on."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def quarters(size: tuple[int, int] = (80, 40), mode: str = "RGB") -> Image.Image:
    """Red upper left, green upper right, blue lower left, white lower right."""
    width, height = size
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image.convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **arguments: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **arguments)
    return buffer.getvalue()


def animation(frames: int = 3, size: tuple[int, int] = (40, 20), **arguments: Any) -> bytes:
    """Frames of different colours, 70 ms each."""
    images = [Image.new("RGB", size, (80 * index % 256, 255 - 60 * index % 256, 20 * index)) for index in range(frames)]
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=70, **arguments)


def close(one: Any, other: Any, tolerance: int = 12) -> bool:
    """Whether two colours look the same."""
    return len(one) == len(other) and all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))
