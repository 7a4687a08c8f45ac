"""The maintained evaluator of the COCO protocol, `faster-coco-eval`, fed with detections.

Everything that is reported comes out of two of its tables: `eval["precision"]` and `eval["scores"]`
(`[overlaps, recalls, classes, areas, limits]`), and its pairs of a detection and the object it was given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helpers.detections import Detections

__all__ = ["LIMIT", "Pairs", "match_pairs", "need_evaluator", "run_evaluator", "tables"]

LIMIT = 300
"""Detections a picture that count; COCO's own limit, 100, is less than a crowded smear can hold."""

Pairs = npt.NDArray[np.int64]


def need_evaluator() -> None:
    """Say what to install where the evaluator is missing.

    Raises:
        RuntimeError: It is.
    """
    if importlib.util.find_spec("faster_coco_eval") is None:
        raise RuntimeError("faster-coco-eval is not installed. Fix: pip install faster-coco-eval")


def run_evaluator(content: dict[str, Any], results: list[dict[str, Any]], **settings: Any) -> Any:
    """Evaluate COCO records, silently.

    Args:
        content: `images`, `annotations`, `categories`, as in COCO's annotation file.
        results: `image_id`, `category_id`, `bbox` (x, y, width, height), `score`.
        settings: the evaluator's parameters to change: `maxDets`, `iouThrs`, `imgIds`, ...

    Returns:
        The evaluator, accumulated: its tables are in `.eval`.

    Raises:
        RuntimeError: The evaluator is not installed.
    """
    need_evaluator()
    from faster_coco_eval import COCO, COCOeval_faster

    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)
    # The evaluator refuses an empty list of results; a box outside every picture changes no figure.
    first = {"image_id": content["images"][0]["id"], "category_id": content["categories"][0]["id"]}
    nothing = [{**first, "bbox": [-9.0, -9.0, 1.0, 1.0], "score": 0.0}]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO({"info": {}, **content})
        run = COCOeval_faster(
            truth, truth.loadRes(results or nothing), "bbox", print_function=lambda *_: None, extra_calc=True
        )
        for name, value in settings.items():
            setattr(run.params, name, value)
        run.evaluate()
        run.accumulate()
    return run


def tables(truth: Sequence[Detections], found: Sequence[Detections], class_count: int) -> Any:
    """The evaluator, run over pictures: ten overlaps, 101 recalls, every class, four ranges of area.

    Args:
        truth: for each picture its objects; scores are not looked at.
        found: for each picture what a detector found.
        class_count: number of classes.
    """
    return run_evaluator(_content(truth, class_count), _records(found), maxDets=[1, 10, LIMIT])


def match_pairs(
    truth: Sequence[Detections],
    found: Sequence[Detections],
    *,
    iou_threshold: float = 0.5,
    same_class: bool = True,
) -> list[Pairs]:
    """Which detection was given which object: by falling score, each takes its best object that is free.

    Args:
        truth: for each picture its objects.
        found: for each picture what a detector found.
        iou_threshold: the least overlap of a pair.
        same_class: False pairs boxes whatever their classes, as a confusion matrix wants it.

    Returns:
        For each picture `int64[m, 2]`: row of `found`, row of `truth`, ascending.

    >>> from helpers.detections import Detections
    >>> cell = Detections([[0, 0, 9, 9]], [1], [0])
    >>> two = Detections([[0, 0, 9, 8], [0, 0, 9, 9]], [0.9, 0.8], [0, 1])
    >>> match_pairs([cell], [two])[0].tolist()
    [[0, 0]]
    """
    if not truth:
        return []
    objects, boxes = _places(truth), _places(found)
    classes = 1 + max((int(each.class_ids.max()) for each in (*truth, *found) if len(each)), default=0)
    run = run_evaluator(
        _content(truth, classes), _records(found), maxDets=[max(1, len(boxes))], useCats=int(same_class),
        iouThrs=[iou_threshold], areaRng=[[0, 1e10]], areaRngLbl=["all"],
    )  # fmt: skip
    pairs: list[list[tuple[int, int]]] = [[] for _ in truth]
    for key in run.eval["matched"]:
        box, item = (int(part) for part in key.split("_"))
        picture, row = boxes[box - 1]
        pairs[picture].append((row, objects[item - 1][1]))
    return [np.array(sorted(each), np.int64).reshape(-1, 2) for each in pairs]


def _places(pictures: Sequence[Detections]) -> list[tuple[int, int]]:
    """Picture and row of each box, in the order of the evaluator's ids, which count from 1."""
    return [(number, row) for number, each in enumerate(pictures) for row in range(len(each))]


def _content(truth: Sequence[Detections], class_count: int) -> dict[str, Any]:
    labels = _records(truth)
    for number, row in enumerate(labels, start=1):
        row |= {"id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
    return {
        "images": [{"id": number} for number in range(len(truth))],
        "annotations": labels,
        "categories": [{"id": index, "name": str(index)} for index in range(class_count)],
    }


def _records(pictures: Sequence[Detections]) -> list[dict[str, Any]]:
    """Detections as the evaluator's records."""
    records = []
    for number, each in enumerate(pictures):
        corners = each.boxes_xyxy.astype(np.float64)
        bboxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
        for bbox, score, class_id in zip(bboxes, each.scores.tolist(), each.class_ids.tolist(), strict=True):
            records.append({"image_id": number, "category_id": class_id, "bbox": bbox, "score": score})
    return records
