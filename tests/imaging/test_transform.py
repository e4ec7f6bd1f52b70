"""Each step of a preview, and all of them in their order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from litewrite.imaging import ResultTooLarge
from litewrite.imaging.options import GRAVITIES, Options, rotated_size, scaled_size
from litewrite.imaging.transform import colour, cover, rotate, round_corners, transform
from tests.imaging.pictures import BLACK, BLUE, GREEN, RED, WHITE, close, quarters

CLEAR = (0, 0, 0, 0)


@pytest.mark.parametrize(("digits", "expected"), [("f00", RED), ("00FF00", GREEN), ("eceff1", (236, 239, 241))])
def test_colours(digits: str, expected: tuple[int, int, int]) -> None:
    assert colour(digits) == expected


@pytest.mark.parametrize("size", [(40, 40), (80, 40), (200, 10), (10, 200), (300, 300), (1, 1), (400, 200)])
@pytest.mark.parametrize("gravity", GRAVITIES)
def test_cover_has_the_exact_size(size: tuple[int, int], gravity: str) -> None:
    assert cover(quarters(), size, gravity).size == size


@pytest.mark.parametrize(
    ("size", "gravity", "left", "right"),
    [
        ((40, 40), "left", RED, RED),
        ((40, 40), "top-left", RED, RED),
        ((40, 40), "bottom-left", RED, RED),
        ((40, 40), "right", GREEN, GREEN),
        ((40, 40), "top-right", GREEN, GREEN),
        ((40, 40), "bottom-right", GREEN, GREEN),
        ((40, 40), "center", RED, GREEN),
        ((40, 40), "top", RED, GREEN),
        ((40, 40), "bottom", RED, GREEN),
        ((80, 20), "top", RED, GREEN),
        ((80, 20), "top-left", RED, GREEN),
        ((80, 20), "bottom", BLUE, WHITE),
        ((80, 20), "bottom-right", BLUE, WHITE),
    ],
)
def test_gravity_says_what_is_kept(
    size: tuple[int, int], gravity: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    image = cover(quarters(), size, gravity)
    assert close(image.getpixel((1, 1)), left)
    assert close(image.getpixel((size[0] - 2, 1)), right)


def test_proportions_are_kept() -> None:
    image = Image.new("RGB", (100, 50), WHITE)
    image.paste(RED, (40, 15, 60, 35))
    red = cover(image, (100, 100)).getchannel("G").point(lambda level: 255 if level < 128 else 0)
    left, top, right, bottom = red.getbbox() or (0, 0, 0, 0)
    assert (right - left, bottom - top) == (40, 40)
    assert (left + right) / 2 == (top + bottom) / 2 == 50


def test_nothing_asked_is_nothing_done() -> None:
    assert transform(quarters(), Options()).tobytes() == quarters().tobytes()


@pytest.mark.parametrize(("opacity", "alpha"), [(0.5, 128), (0, 0), (0.2, 51)])
def test_opacity_replaces_the_alpha(opacity: float, alpha: int) -> None:
    source = quarters(mode="RGBA")
    source.putpixel((0, 0), CLEAR)
    image = transform(source, Options(opacity=opacity))
    assert image.getpixel((0, 0)) == (0, 0, 0, alpha)
    assert image.getpixel((79, 0)) == (*GREEN, alpha)
    assert source.getpixel((79, 0)) == (*GREEN, 255)


def test_opacity_and_jpeg() -> None:
    assert transform(quarters(), Options(opacity=0.5, output="jpg")).getpixel((0, 0)) == RED
    mixed = transform(quarters(), Options(opacity=0.5, background="00f", output="jpg"))
    assert close(mixed.getpixel((0, 0)), (128, 0, 127), 1)


def test_background_fills_what_is_transparent() -> None:
    source = quarters(mode="RGBA")
    source.putpixel((0, 0), CLEAR)
    source.putpixel((1, 0), (255, 0, 0, 128))
    image = transform(source, Options(background="0000ff"))
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == BLUE
    assert close(image.getpixel((1, 0)), (128, 0, 127), 1)
    assert image.getpixel((79, 0)) == GREEN


def test_background_leaves_opaque_pictures_alone() -> None:
    assert transform(quarters(), Options(background="0000ff")).tobytes() == quarters().tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_border(mode: str) -> None:
    image = transform(quarters((200, 80), mode), Options(border_width=5, border_color="f0f"))
    assert image.size == (210, 90)
    assert image.mode == mode
    for point in ((0, 0), (209, 89), (4, 40), (205, 40), (100, 4), (100, 85)):
        assert image.getpixel(point)[:3] == (255, 0, 255)
    assert image.getpixel((5, 5))[:3] == RED
    assert image.getpixel((204, 84))[:3] == WHITE


def test_rounded_corners() -> None:
    image = transform(quarters((200, 100)), Options(border_radius=30))
    assert (image.size, image.mode) == ((200, 100), "RGBA")
    for point in ((0, 0), (199, 0), (0, 99), (199, 99), (4, 4), (195, 95)):
        assert image.getpixel(point)[3] == 0
    for point in ((30, 0), (0, 30), (100, 50), (199, 60), (12, 12)):
        assert image.getpixel(point)[3] == 255
    alpha = image.getchannel("A")
    assert alpha.tobytes() == alpha.transpose(Image.Transpose.ROTATE_180).tobytes()


@pytest.mark.parametrize("radius", [50, 51, 4000])
def test_a_radius_ends_at_half_the_side(radius: int) -> None:
    image = round_corners(quarters((200, 100)), radius, 0, BLACK)
    assert image.tobytes() == round_corners(quarters((200, 100)), 50, 0, BLACK).tobytes()
    assert image.getpixel((0, 0))[3] == 0
    assert image.getpixel((100, 0))[3] == 255


def test_border_and_radius_draw_inside() -> None:
    image = transform(quarters((200, 100)), Options(border_radius=20, border_width=6, border_color="000"))
    assert image.size == (200, 100)
    assert image.getpixel((0, 0))[3] == 0
    assert image.getpixel((100, 2)) == (*BLACK, 255)
    assert image.getpixel((2, 50)) == (*BLACK, 255)
    assert image.getpixel((50, 7)) == (*RED, 255)
    assert image.getpixel((8, 8))[:3] == BLACK


def test_a_border_wider_than_the_picture() -> None:
    image = transform(quarters((20, 10)), Options(border_radius=3, border_width=100, border_color="00f"))
    assert image.size == (20, 10)
    assert image.getpixel((10, 5)) == (*BLUE, 255)


@pytest.mark.parametrize(
    ("degrees", "upper_left", "size"),
    [(0, RED, (80, 40)), (90, BLUE, (40, 80)), (180, WHITE, (80, 40)), (270, GREEN, (40, 80)), (360, RED, (80, 40))],
)
def test_quarter_turns_are_exact(degrees: int, upper_left: tuple[int, ...], size: tuple[int, int]) -> None:
    image = rotate(quarters(), degrees)
    assert (image.size, image.mode) == (size, "RGB")
    assert image.getpixel((0, 0)) == upper_left
    assert sorted(image.getcolors() or []) == sorted(quarters().getcolors() or [])


def test_other_turns_go_clockwise_around_the_centre() -> None:
    image = rotate(quarters((200, 200)), 45)
    assert image.size == rotated_size((200, 200), 45) == (284, 284)
    assert image.getpixel((0, 0)) == CLEAR
    for point, expected in (((142, 40), RED), ((244, 142), GREEN), ((142, 244), WHITE), ((40, 142), BLUE)):
        assert image.getpixel(point) == (*expected, 255)
    alpha = image.getchannel("A")
    left, top, right, bottom = alpha.getbbox() or (0, 0, 0, 0)
    assert abs(left - (284 - right)) <= 1
    assert abs(top - (284 - bottom)) <= 1
    edge = [alpha.getpixel((x, 142)) for x in range(284)]
    assert any(0 < level < 255 for level in edge)


@pytest.mark.parametrize(("size", "degrees"), [((300, 100), 45), ((100, 50), 30), ((101, 50), 60), ((1, 1), 17)])
def test_turned_pictures_have_the_size_of_the_contract(size: tuple[int, int], degrees: int) -> None:
    assert rotate(quarters(size), degrees).size == rotated_size(size, degrees)


def test_steps_come_in_their_order() -> None:
    options = Options(
        width=100,
        height=50,
        opacity=0.5,
        background="fff",
        border_width=10,
        border_color="00f",
        rotation=90,
    )
    image = transform(quarters((400, 400)), options)
    assert (image.size, image.mode) == ((70, 120), "RGB")
    assert image.getpixel((0, 0)) == BLUE
    # Red, mixed with white, has turned to the upper right.
    assert close(image.getpixel((55, 15)), (255, 127, 127), 2)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((1, 4000), Options(width=4000)),
        ((4000, 1), Options(height=4000)),
        ((2, 20_000), Options(width=2, rotation=45)),
    ],
)
def test_what_would_be_too_large_is_not_made(size: tuple[int, int], options: Options) -> None:
    with pytest.raises(ResultTooLarge):
        transform(Image.new("RGB", size), options)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.builds(
        Options,
        width=st.integers(0, 80),
        height=st.integers(0, 80),
        gravity=st.sampled_from(sorted(GRAVITIES)),
        opacity=st.floats(0, 1),
        background=st.sampled_from(["", "f00"]),
        border_width=st.integers(0, 20),
        border_radius=st.integers(0, 50),
        rotation=st.integers(0, 360),
    ),
    st.sampled_from(["RGB", "RGBA"]),
)
def test_sizes_are_as_announced(size: tuple[int, int], options: Options, mode: str) -> None:
    image = transform(quarters(size, mode), options)
    width, height = scaled_size(size, options.width, options.height)
    if options.border_width and not options.border_radius:
        width, height = width + 2 * options.border_width, height + 2 * options.border_width
    assert image.size == rotated_size((width, height), options.rotation)
