"""COCO validation: average precision of a checkpoint or an ONNX file, by a maintained evaluator.

The evaluator reads COCO's own annotation file, so crowd regions and areas count as COCO means them. What
looks at the pictures is made by `helpers.training.file_prediction`; it says what differs from the authors'.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from helpers.training.datasets import DatasetError
from helpers.training.evaluator import need_evaluator, run_evaluator

if TYPE_CHECKING:
    from helpers.detections import Detections

__all__ = ["CocoFolder", "CocoReport", "category_ids", "evaluate_coco"]

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CocoFolder:
    """COCO's folder: an annotation file, and pictures.

    Attributes:
        root: The folder.
        annotations: File of the labels, from `root`.
        pictures: Folder of the pictures, from `root`.
    """

    root: Path
    annotations: str = "annotations/instances_val2017.json"
    pictures: str = "val2017"

    def read(self) -> dict[str, Any]:
        """The annotation file's content.

        Raises:
            DatasetError: It is missing, or no annotation file.
        """
        path = self.root / self.annotations
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{path}: expected COCO annotations, got: {error}. Fix: --coco is the folder that holds "
                f"{self.annotations} and {self.pictures}/"
            ) from error
        if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
            raise DatasetError(f"{path}: expected images, annotations, categories. Fix: name another file")
        return content


def category_ids(names: Sequence[str], categories: Iterable[dict[str, Any]]) -> list[int]:
    """The data set's category of each class: by name where all are there, else (or without names) by order.

    COCO has 80 classes whose ids run from 1 to 90, with gaps.

    Raises:
        DatasetError: Neither names nor numbers agree.

    Example:
        >>> category_ids(["cat", "dog"], [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}])
        [17, 18]
    """
    by_name = {str(each["name"]): int(each["id"]) for each in categories}
    if names and set(names) <= set(by_name):
        return [by_name[name] for name in names]
    if names and len(names) != len(by_name):
        raise DatasetError(
            f"classes: expected the {len(by_name)} of the annotations, got {len(names)} others. "
            "Fix: evaluate a model that was trained on these classes"
        )
    return sorted(by_name.values())


@dataclass(frozen=True)
class CocoReport:
    """COCO's figures, in fractions of 1; -1 where there is nothing to find.

    Attributes:
        ap, ap50, ap75: Mean over overlaps 0.50 to 0.95, at 0.50, at 0.75; at most 100 boxes a picture.
        ap_small, ap_medium, ap_large: `ap` by area.
        pictures, boxes: What was looked at, what was found.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    pictures: int
    boxes: int

    def __str__(self) -> str:
        """Two lines, in per cent."""
        sizes = f"small {self.ap_small:.1%}, medium {self.ap_medium:.1%}, large {self.ap_large:.1%}"
        head = f"AP {self.ap:.1%}, AP50 {self.ap50:.1%}, AP75 {self.ap75:.1%}"
        return f"{head} on {self.pictures} pictures ({self.boxes} boxes found)\n{sizes}"


def evaluate_coco(
    predict: Callable[[Image], Detections],
    folder: CocoFolder,
    names: Sequence[str],
    *,
    limit: int | None = None,
    progress: Callable[[list[Any]], Iterable[Any]] = iter,
) -> CocoReport:
    """Run a detector over COCO's pictures and score it.

    Args:
        predict: Picture in, detections in its own pixels out, down to low scores.
        folder: Where the pictures and labels are.
        names: The detector's class names.
        limit: Look at the first so many pictures only, by id.
        progress: Wraps the list of pictures; `tqdm` is one.

    Raises:
        DatasetError: Labels or pictures are missing, or belong to other classes.
        ImageError: A picture cannot be read.
        RuntimeError: The evaluator is not installed.
    """
    from helpers.images import load_image

    need_evaluator()  # before the pictures, which take longer
    content = folder.read()
    ids = category_ids(names, content["categories"])
    images = sorted(content["images"], key=lambda each: int(each["id"]))[:limit]
    if not images:
        raise DatasetError(
            f"{folder.root / folder.annotations}: expected pictures, got none. Fix: another file"
        )
    results: list[dict[str, Any]] = []
    for each in progress(images):
        found = predict(load_image(folder.root / folder.pictures / each["file_name"]))
        results += _records(each["id"], found, ids)
    figures = _score(content, results, [each["id"] for each in images])
    return CocoReport(**figures, pictures=len(images), boxes=len(results))


def _records(image_id: int, found: Detections, ids: list[int]) -> list[dict[str, Any]]:
    """Detections as the evaluator's records."""
    if len(found) and int(found.class_ids.max()) >= len(ids):
        raise DatasetError(
            f"class {int(found.class_ids.max())}: expected less than {len(ids)}, the classes of the "
            "annotations. Fix: evaluate a model that was trained on them"
        )
    corners = found.boxes_xyxy.astype(float)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1).tolist()
    return [
        {"image_id": image_id, "category_id": ids[class_id], "bbox": box, "score": score}
        for box, score, class_id in zip(boxes, found.scores.tolist(), found.class_ids.tolist(), strict=True)
    ]


def _score(content: dict[str, Any], results: list[dict[str, Any]], image_ids: list[int]) -> dict[str, Any]:
    """COCO's first six figures, by the evaluator."""
    run = run_evaluator(content, results, imgIds=image_ids)
    run.summarize()
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    return {name: float(value) for name, value in zip(names, run.stats[:6], strict=True)}
