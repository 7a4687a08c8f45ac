"""Labels of boxes: colours of the classes, chips with a name on them, and where they go on a picture.

A class has the same colour everywhere, from the palette of Okabe and Ito (2008), which people with any form
of colour blindness can tell apart. Letters are Pillow's own bundled font, or for names in Chinese characters
the one in `helpers/fonts`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from helpers.detections import class_name
from helpers.wording import FONT, is_wide, wording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PALETTE_RGB", "Rectangle", "colour", "emptiest_corner", "font_size"]
__all__ += ["legend_chips", "load_font", "make_chip", "name_of_box", "overlap", "place_chip"]

PALETTE_RGB = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0),
    (204, 121, 167), (86, 180, 233), (240, 228, 66), (30, 30, 30),
)  # fmt: skip
Rectangle = tuple[int, int, int, int]


def colour(class_id: int) -> tuple[int, int, int]:
    """Fixed colour of a class, red, green, blue.

    >>> colour(0), colour(8) == colour(0)
    ((0, 114, 178), True)
    """
    return PALETTE_RGB[class_id % len(PALETTE_RGB)]


def font_size(width: int, height: int) -> int:
    """Height of letters for a picture of this size, pixels.

    >>> font_size(640, 480), font_size(64, 64)
    (14, 11)
    """
    return max(11, round(math.sqrt(width * height) / 40))


def load_font(size: int, text: str = "") -> ImageFont.FreeTypeFont:
    """A font for this text, `size` pixels high: Pillow's own, or one with Chinese characters.

    >>> load_font(14).getname()[0], load_font(14, "红细胞").getname()[0]
    ('Aileron', 'Noto Sans CJK SC')

    Raises:
        ImportError: this Pillow was built without FreeType.
    """
    return _font(size, is_wide(text))


@lru_cache(maxsize=16)
def _font(size: int, wide: bool) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(FONT, size) if wide else ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ImportError("Pillow lacks FreeType, so it has no scalable font; install Pillow's own wheel")  # noqa: TRY004
    return font


def make_chip(text: str, fill: tuple[int, int, int], size: int) -> Image.Image:
    """A filled rectangle with text on it, black or white, whichever reads better.

    >>> make_chip("WBC", colour(1), 14).getpixel((0, 0))
    (230, 159, 0)
    """
    font = load_font(size, text)
    pad = max(3, size // 3)
    chip = Image.new("RGB", (round(font.getlength(text)) + 2 * pad, sum(font.getmetrics()) + 1), fill)
    bright = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 140
    ImageDraw.Draw(chip).text((pad, 0), text, (0, 0, 0) if bright else (255, 255, 255), font)
    return chip


def name_of_box(names: Sequence[str], class_id: int) -> str:
    """What a label calls a class: its name, unless the lesson's language has a word for `box: name`.

    A model's own names stay: that `train` is also a word of some chart must not translate a train.

    >>> name_of_box(["RBC", "WBC"], 1)
    'WBC'
    """
    name = class_name(names, class_id)
    said = wording(f"box: {name}")
    return name if "box: " in said else said  # a template took a part of the name


def legend_chips(
    counts: Mapping[int, int | None], names: Sequence[str], size: int, width: int
) -> Image.Image:
    """One chip a class (`class id → number of boxes`, or None for no number), in rows of `width` pixels.

    >>> legend_chips({}, [], 14, 640).size
    (1, 1)
    """
    chips, corners, x, y = [], [], 0, 0
    for class_id, number in sorted(counts.items()):
        text = name_of_box(names, class_id)
        chip = make_chip(text if number is None else f"{number} {text}", colour(class_id), size)
        if x and x + chip.width > width:
            x, y = 0, y + chip.height + 1
        chips.append(chip)
        corners.append((x, y))
        x += chip.width + 1
    across = max((corner[0] + chip.width for corner, chip in zip(corners, chips, strict=True)), default=1)
    image = Image.new("RGB", (min(across, width), y + (chips[0].height if chips else 1)), (255, 255, 255))
    for chip, corner in zip(chips, corners, strict=True):
        image.paste(chip, corner)
    return image


def place_chip(
    chip_wh: tuple[int, int], outline: Rectangle, size_wh: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle | None:
    """Where a chip goes: above its box, below, beside or inside, the first place that covers no other chip.

    Where none is free, the place that covers least; None where the chip is larger than the picture.

    >>> place_chip((40, 10), (20, 30, 80, 90), (100, 100), [])
    (20, 20, 60, 30)
    """
    x0, y0, x1, y1 = outline
    wide, high = chip_wh
    most_x, most_y = size_wh[0] - wide, size_wh[1] - high
    if min(most_x, most_y) < 0:
        return None
    ends = [min(max(x, 0), most_x) for x in (x0, x1 + 1 - wide)]
    wanted = [(x, y) for y in (y0 - high, y1 + 1) for x in ends]
    wanted += [(x, y) for y in (y0, y1 + 1 - high) for x in (x1 + 1, x0 - wide)]
    wanted += [(x, min(max(y, 0), most_y)) for y in (y0, y1 + 1 - high) for x in ends]
    places = [(x, y, x + wide, y + high) for x, y in wanted if 0 <= x <= most_x and 0 <= y <= most_y]
    return min(places, key=lambda place: sum(overlap(place, other) for other in taken))


def emptiest_corner(
    wanted_wh: tuple[int, int], size_wh: tuple[int, int], outlines: Sequence[Rectangle]
) -> Rectangle:
    """The corner of a picture where something of `wanted_wh` pixels covers the least of the boxes.

    >>> emptiest_corner((20, 10), (100, 80), [(0, 50, 30, 79), (60, 60, 99, 79)])
    (0, 0, 20, 10)
    """
    right, bottom = (max(0, size - wanted) for size, wanted in zip(size_wh, wanted_wh, strict=True))
    corners = [(0, bottom), (right, bottom), (0, 0), (right, 0)]
    places = [(x, y, x + wanted_wh[0], y + wanted_wh[1]) for x, y in corners]
    return min(places, key=lambda place: sum(overlap(place, box) for box in outlines))


def overlap(a: Rectangle, b: Rectangle) -> int:
    """Pixels that two rectangles `x0, y0, x1, y1` share.

    >>> overlap((0, 0, 4, 4), (2, 3, 9, 9))
    2
    """
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
