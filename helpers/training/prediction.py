"""Detections straight from a torch network, for the evaluations during training.

The deployed path is another one (graph, patches, `helpers.detector`); this one needs no export.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.detections import Detections, iou_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["predictor", "suppress"]

Image = npt.NDArray[np.uint8]


def suppress(
    predictions: npt.NDArray[np.float32],
    score_threshold: float = 0.001,
    iou_threshold: float = 0.65,
    limit: int = 300,
) -> Detections:
    """Class-aware non-maximum suppression of one picture's decoded predictions `[N,5+C]`, best class only.

    >>> row = [20, 20, 10, 10, 0.9, 1.0, 0.0]
    >>> len(suppress(np.array([row, row, [60, 20, 10, 10, 0.9, 1.0, 0.0]], np.float32)))
    2
    """
    class_ids = (
        predictions[:, 5:].argmax(1) if predictions.shape[1] > 5 else np.zeros(len(predictions), np.int64)
    )
    scores = predictions[:, 4] * (predictions[:, 5:].max(1, initial=0) if predictions.shape[1] > 6 else 1)
    order = np.argsort(-scores, kind="stable")[:2000]
    order = order[scores[order] > score_threshold]
    half = predictions[order, 2:4] / 2
    boxes = np.concatenate([predictions[order, :2] - half, predictions[order, :2] + half], axis=1)
    class_ids, scores = class_ids[order], scores[order]
    overlapping = (iou_matrix(boxes, boxes) > iou_threshold) & (class_ids[:, None] == class_ids[None, :])
    kept: list[int] = []
    alive = np.ones(len(order), bool)
    for index in range(len(order)):
        if alive[index]:
            kept.append(index)
            alive &= ~overlapping[index]
    kept = kept[:limit]
    return Detections(boxes[kept], scores[kept], class_ids[kept])


def predictor(
    network: nn.Module, size: int = 640, score_threshold: float = 0.001, iou_threshold: float = 0.65
) -> Callable[[Image], Detections]:
    """A function that runs a network on one picture, letterboxed to `size`: what `evaluate` takes."""
    import torch

    from helpers.images import letterbox, to_tensor

    def predict(image_bgr: Image) -> Detections:
        boxed = letterbox(image_bgr, (size, size))
        with torch.inference_mode():
            decoded = network(torch.from_numpy(to_tensor(boxed.image_bgr)))
        found = suppress(decoded[0].float().numpy(), score_threshold, iou_threshold)
        height, width = image_bgr.shape[:2]
        boxes = boxed.boxes_to_picture(found.boxes_xyxy)
        return Detections(boxes, found.scores, found.class_ids).clipped((width, height))

    return predict
