"""Average precision of a detector on labelled pictures, by a maintained evaluator of the COCO protocol.

`AP` is the mean over ten overlaps from 0.50 to 0.95, `AP50` and `AP75` are those at one overlap (Lin et al.,
"Microsoft COCO", arXiv:1405.0312). Small is under 32x32 pixels of the picture, large is over 96x96.
`evaluate` runs a detector; `score_detections` scores what has been found already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from helpers.detections import Detections
from helpers.training.confusion import ConfusionMatrix, confusion_matrix
from helpers.training.curves import PrecisionRecall, precision_recall
from helpers.training.evaluator import match_pairs, tables
from helpers.training.mistakes import Mistake, find_mistakes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


__all__ = ["EvaluationReport", "Labelled", "evaluate", "score_detections"]

AREAS = ("all", "small", "medium", "large")  # the evaluator's order
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
        curves: precision against recall at overlap 0.5, by class name, for the classes that occur.
        class_names: names by class id.
        truth, found: for each picture its objects, and what the detector found, best score first.
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
    curves: Mapping[str, PrecisionRecall] = field(default_factory=dict, repr=False)
    class_names: tuple[str, ...] = field(default=(), repr=False)
    truth: tuple[Detections, ...] = field(default=(), repr=False)
    found: tuple[Detections, ...] = field(default=(), repr=False)

    def confusion(self, score_threshold: float = 0.25, iou_threshold: float = 0.5) -> ConfusionMatrix:
        """Which class was taken for which, what was missed and what was made up."""
        return confusion_matrix(
            self.truth, self.found, self.class_names,
            score_threshold=score_threshold, iou_threshold=iou_threshold,
        )  # fmt: skip

    def mistakes(self, score_threshold: float = 0.25) -> list[Mistake]:
        """Every mistake, picture by picture: missed, doubled, confused, loose, background."""
        return find_mistakes(self.truth, self.found, score_threshold=score_threshold)

    def to_table(self) -> str:
        """The figures as lines of text, in per cent."""
        lines = [f"{'class':<12}{'AP50':>7}{'AP':>7}"]
        lines += [
            f"{name:<12}{_said(100 * self.ap50_per_class[name], 1):>7}{_said(100 * value, 1):>7}"
            for name, value in self.ap_per_class.items()
        ]
        lines += [f"{'all':<12}{_said(100 * self.ap50, 1):>7}{_said(100 * self.ap, 1):>7}"]
        sizes = f"small {_said(self.ap_small)}, medium {_said(self.ap_medium)}, large {_said(self.ap_large)}"
        rates = f"precision {_said(self.precision)}, recall {_said(self.recall)}"
        return "\n".join([*lines, f"AP75 {_said(self.ap75)}; {sizes}", rates])


def _said(value: float, digits: int = 3) -> str:
    """A figure; a dash where there was nothing to find."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


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
        ValueError: no pictures, or a class without a name.
        RuntimeError: the evaluator is not installed.

    >>> from helpers.training.datasets import Sample
    >>> sample = Sample.of(np.zeros((64, 64, 3), np.uint8), [[8, 8, 40, 40]], [0])
    >>> report = evaluate(lambda image: Detections(sample.boxes_xyxy, [0.9], [0]), [sample], ["cell"])
    >>> round(report.ap, 6), report.precision, report.recall
    (1.0, 1.0, 1.0)
    """
    if not len(annotations):
        raise ValueError("annotations: expected at least one picture, got none; check the list of pictures")
    found, truth = [], []
    for each in annotations:
        found.append(predict(each.image_bgr))
        truth.append(Detections(each.boxes_xyxy, np.ones(len(each.class_ids)), each.class_ids))
    return score_detections(truth, found, class_names, score_threshold)


def score_detections(
    truth: Sequence[Detections],
    found: Sequence[Detections],
    class_names: Sequence[str],
    score_threshold: float = 0.25,
) -> EvaluationReport:
    """Score what a detector has found.

    Args:
        truth: for each picture its objects; their scores are not looked at.
        found: for each picture the detections, down to low scores.
        class_names: names by class id.
        score_threshold: for precision and recall.

    Raises:
        ValueError: no pictures, another number of pictures, or a class without a name.
        RuntimeError: the evaluator is not installed.

    >>> cell = Detections([[8, 8, 40, 40]], [0.9], [0])
    >>> round(score_detections([cell], [cell], ["cell"]).ap50, 6)
    1.0
    """
    _check(truth, found, class_names)
    truth, found = tuple(truth), tuple(each.sorted() for each in found)
    precision, recall = _rates(truth, found, score_threshold)
    ids = sorted({int(index) for each in truth for index in each.class_ids})
    present = {class_names[index]: index for index in ids}
    run = tables(truth, found, len(class_names))
    mean = _Means(run.eval["precision"])
    return EvaluationReport(
        ap=mean(), ap50=mean(iou=0.5), ap75=mean(iou=0.75),
        ap_small=mean(area="small"), ap_medium=mean(area="medium"), ap_large=mean(area="large"),
        ap_per_class={name: mean(index) for name, index in present.items()},
        ap50_per_class={name: mean(index, iou=0.5) for name, index in present.items()},
        precision=precision, recall=recall, pictures=len(truth), objects=sum(len(each) for each in truth),
        curves={name: precision_recall(run, index, name) for name, index in present.items()},
        class_names=tuple(class_names), truth=truth, found=found,
    )  # fmt: skip


def _check(truth: Sequence[Detections], found: Sequence[Detections], class_names: Sequence[str]) -> None:
    if not len(truth) or len(truth) != len(found):
        message = f"truth, found: expected one value a picture in both, got {len(truth)} and {len(found)}"
        raise ValueError(f"{message}; pass the same pictures, at least one")
    highest = max((int(each.class_ids.max()) for each in (*truth, *found) if len(each)), default=-1)
    if highest >= len(class_names):
        message = f"class_names: expected a name for class {highest}, got {len(class_names)} names"
        raise ValueError(f"{message}; pass the names that the model or the data set was made with")


@dataclass(frozen=True)
class _Means:
    """Means over parts of the evaluator's `[overlaps, recalls, classes, areas, limits]`; -1 is empty."""

    precision: npt.NDArray[np.float64]

    def __call__(self, category: int | None = None, *, iou: float | None = None, area: str = "all") -> float:
        overlap = slice(None) if iou is None else round((iou - 0.5) / 0.05)
        classes = slice(None) if category is None else category
        values = self.precision[overlap, ..., AREAS.index(area), -1][..., classes]
        values = values[values > -1]
        return float(values.mean()) if values.size else math.nan


def _rates(
    truth: Sequence[Detections], found: Sequence[Detections], score_threshold: float
) -> tuple[float, float]:
    """Precision and recall at overlap 0.5, of what scores above the threshold."""
    kept = [each.above(score_threshold) for each in found]
    hits = sum(len(pairs) for pairs in match_pairs(truth, kept))
    seen, expected = (sum(len(each) for each in group) for group in (kept, truth))
    return hits / seen if seen else math.nan, hits / expected if expected else math.nan
