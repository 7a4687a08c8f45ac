"""Boxes and labels on pictures, and the one way in which pictures leave a notebook.

Colours and labels are those of `helpers.labels`: a class has the same colour everywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from helpers.detections import Detections  # noqa: TC001 (doctests use it)
from helpers.images import check_image
from helpers.labels import (
    Rectangle,
    colour,
    emptiest_corner,
    font_size,
    legend_chips,
    load_font,
    make_chip,
    name_of_box,
    place_chip,
)
from helpers.wording import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["colour", "draw", "encode_jpeg", "grid", "legend", "show", "side_by_side"]

CROWD = 12  # with more boxes than this, classes of many boxes are named once, in a legend
RARE = 4  # ... and classes of at most so many boxes keep their labels


def draw(
    image_bgr: NDArray[np.uint8], detections: Detections, names: Sequence[str] = (), *, scores: bool = True
) -> NDArray[np.uint8]:
    """Draw boxes and labels on a copy of a picture.

    A label is a chip with the class and, with `scores`, the score in per cent; it stays inside the picture,
    and clear of other labels where there is room. In a crowd (more than 12 boxes) the frequent classes are
    told by colour, and a legend in the emptiest corner names and counts all of them.

    >>> blank = np.full((60, 80, 3), 255, np.uint8)
    >>> drawn = draw(blank, Detections([[10, 20, 50, 50]], [0.9], [0]), ["cell"])
    >>> drawn[35, 10].tolist(), drawn[35, 30].tolist(), blank.min()
    ([178, 114, 0], [255, 255, 255], np.uint8(255))
    """
    height, width = check_image(image_bgr).shape[:2]
    canvas = Image.fromarray(image_bgr[:, :, ::-1])
    pen = ImageDraw.Draw(canvas)
    found = detections.clipped((width, height)).sorted()
    line = max(1, round(math.sqrt(width * height) / 260))
    outlines = [_outline(box, (width, height)) for box in found.boxes_xyxy]
    for outline, class_id in reversed(list(zip(outlines, found.class_ids.tolist(), strict=True))):
        pen.rectangle(outline, outline=colour(class_id), width=line)
    _write_labels(canvas, found, outlines, names, scores=scores)
    return _to_bgr(canvas)


def _write_labels(
    canvas: Image.Image, found: Detections, outlines: list[Rectangle], names: Sequence[str], *, scores: bool
) -> None:
    """Paste the chips, best score first, and in a crowd the legend before them."""
    counts: dict[int, int] = Counter(found.class_ids.tolist())
    size = font_size(*canvas.size)
    taken: list[Rectangle] = []
    if len(found) > CROWD:
        key = legend_chips(counts, names, size, canvas.width)
        taken.append(emptiest_corner(key.size, canvas.size, outlines))
        canvas.paste(key, taken[0][:2])
    rows = zip(outlines, found.class_ids.tolist(), found.scores.tolist(), strict=True)
    for outline, class_id, score in rows:
        if len(found) <= CROWD or counts[class_id] <= RARE:
            text = name_of_box(names, class_id) + (f" {score:.0%}" if scores else "")
            chip = make_chip(text, colour(class_id), size)
            if spot := place_chip(chip.size, outline, canvas.size, taken):
                canvas.paste(chip, spot[:2])
                taken.append(spot)


def legend(
    names: Sequence[str],
    counts: Mapping[int, int] | None = None,
    *,
    letter_height: int = 16,
    width: int = 640,
) -> NDArray[np.uint8]:
    """A strip of chips, one a class, at most `width` pixels wide; `counts` is class id → number of boxes."""
    shown: Mapping[int, int | None] = counts if counts is not None else dict.fromkeys(range(len(names)))
    return _to_bgr(legend_chips(shown, names, letter_height, width))


def grid(
    images_bgr: Iterable[NDArray[np.uint8]],
    columns: int = 3,
    *,
    captions: Sequence[str] = (),
    cell_width: int = 320,
    gap: int = 6,
) -> NDArray[np.uint8]:
    """Lay pictures out on white, row by row, each `cell_width` pixels wide, with a caption above.

    >>> grid([np.zeros((10, 20, 3), np.uint8)] * 3, columns=2, cell_width=20, gap=2).shape
    (22, 42, 3)
    """
    cells = [
        _captioned(_scaled(picture, cell_width), wording(caption or "", label=True), reserve=bool(captions))
        for picture, caption in zip_longest(images_bgr, captions)
    ]
    if not cells or columns < 1:
        raise ValueError(f"grid: expected pictures and at least 1 column, got {len(cells)} and {columns}")
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    across = min(columns, len(cells))
    sheet = np.full(
        (sum(heights) + gap * (len(rows) - 1), (cell_width + gap) * across - gap, 3), 255, np.uint8
    )
    for number, row in enumerate(rows):
        top = sum(heights[:number]) + gap * number
        for column, cell in enumerate(row):
            left = column * (cell_width + gap)
            sheet[top : top + cell.shape[0], left : left + cell_width] = cell
    return sheet


def side_by_side(
    *images_bgr: NDArray[np.uint8], captions: Sequence[str] = (), cell_width: int = 480
) -> NDArray[np.uint8]:
    """Pictures in one row, each `cell_width` pixels wide, with captions above them."""
    return grid(images_bgr, max(1, len(images_bgr)), captions=captions, cell_width=cell_width)


def encode_jpeg(image_bgr: NDArray[np.uint8], *, quality: int = 88, max_bytes: int = 75_000) -> bytes:
    """JPEG of a picture, at lower quality and then at a smaller size where `max_bytes` asks for it."""
    for factor in (1.0, 0.8, 0.6, 0.45, 0.3):
        scaled = _scaled(image_bgr, max(1, round(image_bgr.shape[1] * factor)))
        for level in range(quality, min(quality, 50) - 1, -8):
            options = [cv2.IMWRITE_JPEG_QUALITY, level, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
            data = bytes(cv2.imencode(".jpg", scaled, options)[1])
            if len(data) <= max_bytes:
                return data
    return data


def show(
    image_bgr: NDArray[np.uint8],
    caption: str = "",
    *,
    width: int | None = None,
    quality: int = 88,
    alt: str = "",
) -> None:
    """Show a picture in the notebook, as a JPEG of at most 75 kB.

    Args:
        image_bgr: the picture, `uint8[H, W, 3]`.
        caption: one line above the picture; it is part of the text that stands in for the picture, too.
        width: scale it to so many pixels; None keeps its size.
        quality: of the JPEG, 0 to 100; lowered where the picture would be too large.
        alt: what a screen reader says in its place; the caption where there is none.
    """
    from IPython.display import display

    height, picture_width = check_image(image_bgr).shape[:2]
    caption = wording(caption, label=True)
    text = f"<picture {picture_width}x{height}{': ' + caption if caption else ''}>"
    scaled = _captioned(_scaled(image_bgr, width or picture_width), caption)
    bundle = {"image/jpeg": encode_jpeg(scaled, quality=quality), "text/plain": text}
    said = wording(alt) or caption or f"picture of {picture_width}x{height} pixels"
    described = {"image/jpeg": {"alt": said}}
    display(bundle, raw=True, metadata=described)  # type: ignore[no-untyped-call]


def _outline(box: NDArray[np.float32], size_wh: tuple[int, int]) -> Rectangle:
    """First and last pixel of a box, both inside the picture."""
    x0, y0 = (min(round(float(low)), side - 1) for low, side in zip(box[:2], size_wh, strict=True))
    x1, y1 = (round(float(high)) - 1 for high in box[2:])
    return x0, y0, max(x0, x1), max(y0, y1)


def _scaled(image_bgr: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    height, had = check_image(image_bgr).shape[:2]
    if had == width:
        return image_bgr
    how = cv2.INTER_AREA if width < had else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(image_bgr, (width, max(1, round(height * width / had))), interpolation=how), np.uint8
    )


def _captioned(image_bgr: NDArray[np.uint8], caption: str, *, reserve: bool = False) -> NDArray[np.uint8]:
    """The picture under a white strip with a line of text; `reserve` keeps the strip without one."""
    if not caption and not reserve:
        return image_bgr
    strip = Image.new("RGB", (image_bgr.shape[1], 26), (255, 255, 255))
    ImageDraw.Draw(strip).text((2, 3), caption, (40, 40, 40), load_font(15, caption))
    return np.concatenate((_to_bgr(strip), image_bgr))


def _to_bgr(image: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image, np.uint8)[:, :, ::-1])
