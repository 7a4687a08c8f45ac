"""The check of one picture's boxes: area, picture bounds, repeats, and the size that the label states."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from helpers.training.flaws import Flaw

if TYPE_CHECKING:
    from helpers.training.dataset_entries import Entry

__all__ = ["ROUNDING", "Judged", "judge"]

ROUNDING = 0.5
"""Pixels by which a box may leave the picture without being called a flaw: labels are rounded."""

Corners = tuple[float, float, float, float]


@dataclass
class Judged:
    """The boxes of one picture in its own pixels.

    Attributes:
        written: class ids and corners as they are written.
        kept: the same with every flaw fixed.
        flaws: what was wrong.
        usable: False where fixing leaves the whole picture out.
    """

    written: list[tuple[int, Corners]] = field(default_factory=list)
    kept: list[tuple[int, Corners]] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    usable: bool = True


def judge(entry: Entry, size_wh: tuple[int, int], names: tuple[str, ...]) -> Judged:
    """Check the boxes of one picture.

    Args:
        entry: the picture's label.
        size_wh: the picture's true size in pixels.
        names: class names.
    """
    judged = Judged()
    scale_xy = _scale(entry, size_wh, judged)
    unit = (*size_wh, *size_wh) if entry.relative else (1, 1, 1, 1)
    seen: set[tuple[float, ...]] = set()
    for row in entry.rows:
        corners = _times(row.box_xyxy, unit)
        judged.written.append((row.class_id, corners))
        moved = _times(corners, (*scale_xy, *scale_xy))
        kind, message, kept = _fault(moved, size_wh)
        key = (row.class_id, *(round(value, 1) for value in moved))
        if kept and key in seen:
            kind, message, kept = "duplicate-box", "stands there twice", None
        seen.add(key)
        if kind:
            where = "" if entry.label.stem == entry.picture.stem else f"{entry.picture.name}: "
            numbers = ", ".join(f"{value:.6g}" for value in corners)
            text = f"{where}{names[row.class_id]} box ({numbers}) {message}"
            judged.flaws.append(Flaw(kind, entry.label, text, row.line, entry.picture))
        if kept:
            judged.kept.append((row.class_id, kept))
    return judged


def _times(corners: Corners, factors: tuple[float, float, float, float]) -> Corners:
    x0, y0, x1, y1 = corners
    return x0 * factors[0], y0 * factors[1], x1 * factors[2], y1 * factors[3]


def _fault(corners: Corners, size_wh: tuple[int, int]) -> tuple[str, str, Corners | None]:
    """Kind of flaw and message (empty where there is none), and the box that fixing keeps."""
    x0, y0, x1, y1 = corners
    width, height = size_wh
    if not all(map(math.isfinite, corners)):
        return "not-a-number", "is not finite", None
    if x1 <= x0 or y1 <= y0:
        swapped = x1 < x0 or y1 < y0
        return "no-area", "has its corners swapped" if swapped else "has no area", None
    kept = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if kept[2] <= kept[0] or kept[3] <= kept[1]:
        return "outside", f"lies outside the picture of {width}x{height}", None
    if max(-x0, -y0, x1 - width, y1 - height) > ROUNDING:
        return "partly-outside", f"reaches beyond the picture of {width}x{height}", kept
    return "", "", kept


def _scale(entry: Entry, size_wh: tuple[int, int], judged: Judged) -> tuple[float, float]:
    """What fixing multiplies the boxes by, where the label states another size than the picture's."""
    stated = entry.size_wh
    if stated is None or stated == size_wh:
        return 1.0, 1.0
    width, height = size_wh
    scale_xy, fix = (1.0, 1.0), ""
    if min(stated) <= 0:
        fix = "the picture's own size is taken"
    elif abs(stated[0] * height / stated[1] - width) <= 1:
        scale_xy = width / stated[0], height / stated[1]
        fix = f"the boxes are scaled by {scale_xy[0]:.4g}"
    else:
        judged.usable = False
    message = f"states {stated[0]:.6g}x{stated[1]:.6g}, but {entry.picture.name} has {width}x{height}"
    message += ", as its EXIF orientation turns it" if stated == (height, width) else ""
    judged.flaws.append(Flaw("size", entry.label, message, entry.line_of_size, entry.picture, fix))
    return scale_xy
