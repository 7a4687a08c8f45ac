"""Average precision of a detector on labelled pictures, by a maintained evaluator of the COCO protocol.

`AP` is the mean over ten overlaps from 0.50 to 0.95, `AP50` and `AP75` are those at one overlap (Lin et al.,
"Microsoft COCO", arXiv:1405.0312). Small is under 32x32 pixels of the picture, large is over 96x96.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from helpers.detections import Detections, iou_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


__all__ = ["EvaluationReport", "Labelled", "evaluate"]

Image = npt.NDArray[np.uint8]


class Labelled(Protocol):
    """A picture with its labels: `helpers.training.datasets.Sample` is one."""

    @property
    def image_bgr(self) -> Image:
        """`uint8[H,W,3]`."""

    @property
    def boxes_xyxy(self) -> npt.NDArray[np.float32]:
        """`float32[n,4]` in the picture's pixels."""

    @property
    def class_ids(self) -> npt.NDArray[np.int64]:
        """`int64[n]`."""


@dataclass(frozen=True)
class EvaluationReport:
    """How good a detector is, in fractions of 1; `nan` where there is nothing to find.

    Attributes:
        ap, ap50, ap75: mean over the classes.
        ap_small, ap_medium, ap_large: `ap` of objects by their size in the picture.
        ap_per_class, ap50_per_class: by class name, for the classes that occur.
        precision, recall: at overlap 0.5 and the score threshold asked for, all classes together.
        pictures, objects: what was evaluated.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ap_per_class: Mapping[str, float]
    ap50_per_class: Mapping[str, float]
    precision: float
    recall: float
    pictures: int
    objects: int

    def to_table(self) -> str:
        """The figures as lines of text, in per cent."""
        lines = [f"{'class':<12}{'AP50':>7}{'AP':>7}"]
        lines += [
            f"{name:<12}{100 * self.ap50_per_class[name]:>7.1f}{100 * value:>7.1f}"
            for name, value in self.ap_per_class.items()
        ]
        lines += [f"{'all':<12}{100 * self.ap50:>7.1f}{100 * self.ap:>7.1f}"]
        sizes = f"small {self.ap_small:.3f}, medium {self.ap_medium:.3f}, large {self.ap_large:.3f}"
        rates = f"precision {self.precision:.3f}, recall {self.recall:.3f}"
        return "\n".join([*lines, f"AP75 {self.ap75:.3f}; {sizes}", rates])


def evaluate(
    predict: Callable[[Image], Detections],
    annotations: Sequence[Labelled],
    class_names: Sequence[str],
    score_threshold: float = 0.25,
) -> EvaluationReport:
    """Run a detector over labelled pictures and score it.

    Args:
        predict: picture in, detections in its own pixels out, down to low scores (0.001), or the precision is
            cut off; `Detector.detect` of a graph with a low threshold is one.
        annotations: pictures with their labels.
        class_names: names by class id.
        score_threshold: for precision and recall.

    Raises:
        ValueError: no pictures.

    >>> from helpers.training.datasets import Sample
    >>> sample = Sample.of(np.zeros((64, 64, 3), np.uint8), [[8, 8, 40, 40]], [0])
    >>> report = evaluate(lambda image: Detections(sample.boxes_xyxy, [0.9], [0]), [sample], ["cell"])
    >>> round(report.ap, 6), report.precision, report.recall
    (1.0, 1.0, 1.0)
    """
    if not len(annotations):
        raise ValueError("annotations: expected at least one picture, got none; check the list of pictures")
    found = [predict(annotation.image_bgr).sorted() for annotation in annotations]
    truth = [
        Detections(each.boxes_xyxy, np.ones(len(each.class_ids)), each.class_ids) for each in annotations
    ]
    scores = _coco(truth, found, annotations, len(class_names))
    precision, recall = _rates(truth, [each.above(score_threshold) for each in found])
    present = sorted({int(index) for each in truth for index in each.class_ids})
    by_class = {class_names[index]: scores(category=index) for index in present}
    return EvaluationReport(
        ap=scores(), ap50=scores(iou=0.5), ap75=scores(iou=0.75),
        ap_small=scores(area="small"), ap_medium=scores(area="medium"), ap_large=scores(area="large"),
        ap_per_class=by_class,
        ap50_per_class={class_names[index]: scores(category=index, iou=0.5) for index in present},
        precision=precision, recall=recall, pictures=len(truth), objects=sum(len(each) for each in truth),
    )  # fmt: skip


def _coco(
    truth: Sequence[Detections],
    found: Sequence[Detections],
    annotations: Sequence[Labelled],
    class_count: int,
) -> Callable[..., float]:
    """Evaluate; returns a function that reads one mean from the evaluator's table of precisions."""
    from faster_coco_eval import COCO, COCOeval_faster

    images = [
        {"id": number, "height": each.image_bgr.shape[0], "width": each.image_bgr.shape[1]}
        for number, each in enumerate(annotations)
    ]
    labels = [{**row, "iscrowd": 0, "id": number} for number, row in enumerate(_rows(truth), start=1)]
    categories = [{"id": index, "name": str(index)} for index in range(class_count)]
    results = _rows(found)
    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO({"images": images, "annotations": labels, "categories": categories, "info": {}})
        # The evaluator refuses an empty list of results; a box outside every picture changes no precision.
        nothing = [
            {"image_id": 0, "category_id": 0, "bbox": [-9.0, -9.0, 1.0, 1.0], "score": 0.0, "area": 1.0}
        ]
        run = COCOeval_faster(ground, ground.loadRes(results or nothing), "bbox", print_function=_quiet)
        run.params.maxDets = [1, 10, 300]
        run.evaluate()
        run.accumulate()
    table: npt.NDArray[np.float64] = run.eval["precision"]  # [overlaps, recalls, classes, areas, limits]
    areas = {"all": 0, "small": 1, "medium": 2, "large": 3}

    def mean(category: int | None = None, iou: float | None = None, area: str = "all") -> float:
        overlaps = (
            slice(None) if iou is None else slice(round((iou - 0.5) / 0.05), round((iou - 0.5) / 0.05) + 1)
        )
        classes = slice(None) if category is None else slice(category, category + 1)
        values = table[overlaps, :, classes, areas[area], -1]
        values = values[values > -1]
        return float(values.mean()) if values.size else math.nan

    return mean


def _quiet(*_: object) -> None:
    """Swallow the evaluator's messages."""


def _rows(pictures: Sequence[Detections]) -> list[dict[str, Any]]:
    """Detections as the evaluator's records."""
    rows = []
    for number, each in enumerate(pictures):
        for (x0, y0, x1, y1), score, class_id in zip(
            each.boxes_xyxy.tolist(), each.scores.tolist(), each.class_ids.tolist(), strict=True
        ):
            box = [x0, y0, x1 - x0, y1 - y0]
            rows.append(
                {
                    "image_id": number,
                    "category_id": class_id,
                    "bbox": box,
                    "score": score,
                    "area": box[2] * box[3],
                }
            )
    return rows


def _rates(truth: Sequence[Detections], found: Sequence[Detections]) -> tuple[float, float]:
    """Precision and recall at overlap 0.5; the best-scored detection takes its best free object."""
    hits = 0
    for expected, seen in zip(truth, found, strict=True):
        iou = iou_matrix(seen.boxes_xyxy, expected.boxes_xyxy)
        iou *= seen.class_ids[:, None] == expected.class_ids[None, :]
        for row in iou if len(expected) else ():
            best = int(row.argmax())
            if row[best] >= 0.5:
                hits += 1
                iou[:, best] = 0
    seen_count, expected_count = (sum(len(each) for each in group) for group in (found, truth))
    return (
        hits / seen_count if seen_count else math.nan,
        hits / expected_count if expected_count else math.nan,
    )
