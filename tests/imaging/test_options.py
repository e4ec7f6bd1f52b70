"""Sizes that follow from what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite.imaging.options import rotated_size, scaled_size


@pytest.mark.parametrize(
    ("original", "width", "height", "expected"),
    [
        ((1837, 1920), 300, 0, (300, 313)),
        ((1837, 1920), 0, 300, (287, 300)),
        ((1837, 1920), 0, 0, (1837, 1920)),
        ((1837, 1920), 300, 100, (300, 100)),
        ((10, 10), 400, 200, (400, 200)),
        ((4000, 1), 10, 0, (10, 1)),
        ((1, 4000), 0, 10, (1, 10)),
    ],
)
def test_scaled_size(original: tuple[int, int], width: int, height: int, expected: tuple[int, int]) -> None:
    assert scaled_size(original, width, height) == expected


@pytest.mark.parametrize(
    ("size", "degrees", "expected"),
    [
        ((300, 100), 45, (284, 284)),
        ((100, 50), 30, (114, 96)),
        ((101, 50), 60, (95, 114)),
        ((101, 50), 0, (101, 50)),
        ((101, 50), 360, (101, 50)),
        ((101, 50), 180, (101, 50)),
        ((101, 50), 90, (50, 101)),
        ((101, 50), 270, (50, 101)),
    ],
)
def test_rotated_size(size: tuple[int, int], degrees: int, expected: tuple[int, int]) -> None:
    assert rotated_size(size, degrees) == expected


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 360))
def test_the_canvas_of_a_turn_holds_the_picture(width: int, height: int, degrees: int) -> None:
    turned_width, turned_height = rotated_size((width, height), degrees)
    assert turned_width * turned_height >= width * height
    assert turned_width <= width + height + 3
    assert turned_height <= width + height + 3
    assert rotated_size((height, width), degrees) == (turned_height, turned_width)
