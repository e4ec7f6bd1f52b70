"""What is done to the pixels between decoding and encoding. Each step takes a picture in RGB or RGBA and gives one."""

from __future__ import annotations

import math
from typing import Final

from PIL import Image, ImageChops, ImageColor, ImageDraw

from litewrite.imaging import ResultTooLarge
from litewrite.imaging.options import GRAVITIES, MAX_RESULT_PIXELS, Options, Size, final_size, rotated_size, scaled_size

REDUCING_GAP: Final = 3.0
"""Much larger pictures are first shrunk by whole numbers to about this many times the final size, which is quick."""
Colour = tuple[int, int, int]


def transform(image: Image.Image, options: Options, original: Size | None = None) -> Image.Image:
    """All steps in their order. `original` is the full size of a picture that was decoded smaller.

    Raises `ResultTooLarge`.
    """
    size = scaled_size(original or image.size, options.width, options.height)
    for width, height in (size, final_size(original or image.size, options)):
        if width * height > MAX_RESULT_PIXELS:
            raise ResultTooLarge(f"a picture of {width} x {height} pixels is not made")
    image = cover(image, size, options.gravity)
    # JPEG has no alpha: an opacity that no background makes use of would have no effect but to hide the picture.
    if options.opacity < 1 and (options.background or options.output != "jpg"):
        image = image.copy()
        image.putalpha(round(255 * options.opacity))
    if options.background:
        image = flatten(image, colour(options.background))
    if options.border_radius:
        image = round_corners(image, options.border_radius, options.border_width, colour(options.border_color))
    elif options.border_width:
        image = frame(image, options.border_width, colour(options.border_color))
    return rotate(image, options.rotation)


def colour(digits: str) -> Colour:
    """The colour of 3 or 6 hexadecimal digits."""
    red, green, blue, *_ = ImageColor.getrgb(f"#{digits}")
    return red, green, blue


def cover(image: Image.Image, size: Size, gravity: str = "center") -> Image.Image:
    """Scale until the picture just covers `size`, keeping its shape, and cut off what sticks out."""
    if image.size == size:
        return image
    width, height = size
    scale = max(width / image.width, height / image.height)
    kept_width, kept_height = min(image.width, width / scale), min(image.height, height / scale)
    share_left, share_above = GRAVITIES[gravity]
    left, top = (image.width - kept_width) * share_left, (image.height - kept_height) * share_above
    box = (left, top, min(image.width, left + kept_width), min(image.height, top + kept_height))
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)


def flatten(image: Image.Image, ground: Colour) -> Image.Image:
    """The picture on a ground of one colour, opaque."""
    if image.mode != "RGBA":
        return image
    result = Image.new("RGB", image.size, ground)
    result.paste(image, mask=image.getchannel("A"))
    return result


def frame(image: Image.Image, width: int, tint: Colour) -> Image.Image:
    """The picture with a frame around it."""
    result = Image.new(image.mode, (image.width + 2 * width, image.height + 2 * width), tint)
    result.paste(image, (width, width))
    return result


def round_corners(image: Image.Image, radius: int, stroke: int, tint: Colour) -> Image.Image:
    """The picture with rounded, transparent corners, and with a stroke of a colour along the inside of its edge."""
    width, height = image.size
    radius = min(radius, width // 2, height // 2)
    alpha = rounded_mask(image.size, radius)
    if stroke:
        inside = Image.new("L", image.size, 0)
        if width > 2 * stroke and height > 2 * stroke:
            inside.paste(rounded_mask((width - 2 * stroke, height - 2 * stroke), radius - stroke), (stroke, stroke))
        stroked = Image.new(image.mode, image.size, tint)
        stroked.paste(image, mask=inside)
        image = stroked
    if image.mode == "RGBA":
        alpha = ImageChops.multiply(alpha, image.getchannel("A"))
    result = image.copy()
    result.putalpha(alpha)
    return result


def rounded_mask(size: Size, radius: int) -> Image.Image:
    """White inside of a rounded rectangle, black in its corners, smooth between them."""
    mask = Image.new("L", size, 255)
    radius = min(radius, size[0] // 2, size[1] // 2)
    if radius < 1:
        return mask
    oversampling = 4 if radius <= 500 else 2
    edge = radius * oversampling
    corner = Image.new("L", (edge, edge), 0)
    ImageDraw.Draw(corner).ellipse((0, 0, 2 * edge - 1, 2 * edge - 1), fill=255)
    corner = corner.reduce(oversampling)
    right, bottom = size[0] - radius, size[1] - radius
    mask.paste(corner, (0, 0))
    mask.paste(corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (right, 0))
    mask.paste(corner.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, bottom))
    mask.paste(corner.transpose(Image.Transpose.ROTATE_180), (right, bottom))
    return mask


def rotate(image: Image.Image, degrees: int) -> Image.Image:
    """The picture turned clockwise around its centre; what it does not cover of the canvas is transparent."""
    degrees %= 360
    if degrees == 0:
        return image
    if degrees % 90 == 0:
        turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
        return image.transpose(turns[degrees])
    width, height = image.size
    canvas = rotated_size(image.size, degrees)
    # With a transparent border the edges of the turned picture come out smooth.
    padded = Image.new("RGBA", (width + 2, height + 2))
    padded.paste(image, (1, 1))
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle_x, middle_y = canvas[0] / 2, canvas[1] / 2
    matrix = (
        cosine,
        sine,
        padded.width / 2 - cosine * middle_x - sine * middle_y,
        -sine,
        cosine,
        padded.height / 2 + sine * middle_x - cosine * middle_y,
    )
    return padded.transform(canvas, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
