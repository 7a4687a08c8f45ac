"""The mistakes of a detector as a gallery: for every kind a row of close-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from helpers.training.evaluation import EvaluationReport, Labelled
    from helpers.training.mistakes import Mistake

__all__ = ["mistake_caption", "mistakes_gallery"]

_TRUTH, _WRONG = (20, 20, 20), (200, 30, 30)
_EMPTY = 246  # grey of a place without a mistake
_CAPTION = 15  # letters above a close-up


def mistakes_gallery(
    report: EvaluationReport,
    pictures: Sequence[Labelled],
    *,
    score_threshold: float = 0.25,
    each: int = 3,
    kinds: Sequence[str] = ("missed", "doubled", "confused", "loose", "background"),
    cell_width: int = 120,
) -> NDArray[np.uint8] | None:
    """Close-ups of the mistakes, a column a kind: objects thin and black, what is wrong thick and red.

    Args:
        report: Of an evaluation on these pictures.
        pictures: In the same order.
        score_threshold: Detections that score no more are left out.
        each: How many of a kind; the best-scored first, because those hurt most.
        kinds: Which kinds, in order.
        cell_width: Of a close-up, pixels.

    Returns:
        The gallery, a column for every kind, so that its size is always the same; None without any mistake.
    """
    from helpers.drawing import grid

    found = [mistake for mistake in report.mistakes(score_threshold) if mistake.kind in kinds]
    if not found:
        return None
    columns: list[list[tuple[NDArray[np.uint8], str]]] = []
    for kind in kinds:
        mine = sorted((m for m in found if m.kind == kind), key=lambda mistake: -mistake.score)[:each]
        cells = [_close_up(m, pictures[m.picture], report, cell_width) for m in mine]
        words = [mistake_caption(m, report) for m in mine] or [f"{kind}: none"]
        cells += [np.full((cell_width, cell_width, 3), _EMPTY, np.uint8)] * (each - len(cells))
        columns.append(list(zip(cells, words + [""] * (each - len(words)), strict=True)))
    pictures_bgr, captions = zip(*(column[row] for row in range(each) for column in columns), strict=True)
    return grid(pictures_bgr, len(kinds), captions=captions, cell_width=cell_width)


def mistake_caption(mistake: Mistake, report: EvaluationReport) -> str:
    """A mistake in a few words.

    >>> from helpers.detections import Detections
    >>> from helpers.training.evaluation import score_detections
    >>> report = score_detections([Detections([[0, 0, 9, 9]], [1], [0])], [Detections.empty()], ["RBC"])
    >>> mistake_caption(report.mistakes()[0], report)
    'missed: RBC'
    """
    name, score = report.class_names[mistake.class_id], f"{mistake.score:.0%}"
    if mistake.kind == "missed":
        return f"missed: {name}"
    if mistake.kind == "confused":
        truth = report.truth[mistake.picture].class_ids[mistake.truth_id]
        return _shorter(
            f"{report.class_names[truth]} as {name} {score}", f"{report.class_names[truth]} as {name}"
        )
    return _shorter(f"{mistake.kind}: {name} {score}", f"{mistake.kind}: {score}")


def _shorter(text: str, otherwise: str) -> str:
    return text if len(text) <= _CAPTION else otherwise


def _close_up(mistake: Mistake, picture: Labelled, report: EvaluationReport, side: int) -> NDArray[np.uint8]:
    """A square around the box, with its objects and the box."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(np.ascontiguousarray(picture.image_bgr[:, :, ::-1]))
    x0, y0, x1, y1 = mistake.box_xyxy
    reach = max(1.1 * max(x1 - x0, y1 - y0), 0.06 * max(image.size))
    centre = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = (  # moved inside where the picture is large enough
        min(max(0.0, middle - reach), max(0.0, length - 2 * reach))
        for middle, length in zip(centre, image.size, strict=True)
    )
    scale = side / (2 * reach)
    canvas = image.transform(
        (side, side), Image.Transform.AFFINE, (1 / scale, 0, left, 0, 1 / scale, top),
        Image.Resampling.BICUBIC, fillcolor=(235, 235, 235),
    )  # fmt: skip
    canvas = Image.blend(canvas, Image.new("RGB", canvas.size, (255, 255, 255)), 0.2)
    pen = ImageDraw.Draw(canvas)

    def moved(box: Sequence[float]) -> list[float]:
        return [(value - origin) * scale for value, origin in zip(box, (left, top, left, top), strict=True)]

    for box in report.truth[mistake.picture].boxes_xyxy.tolist():
        pen.rectangle(moved(box), outline=_TRUTH, width=1)
    pen.rectangle(moved(mistake.box_xyxy), outline=_WRONG, width=3)
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])
