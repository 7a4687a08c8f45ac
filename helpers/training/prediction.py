"""Detections straight from a torch network, for the evaluations during training.

The deployed path is another one (graph, patches, `helpers.detector`); this one needs no export.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.detections import Detections
from helpers.parity import reference_nms

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["predictor"]

Image = npt.NDArray[np.uint8]


LIMIT = 300  # boxes a picture, as in the authors' evaluation


def predictor(
    network: nn.Module, size: int = 640, score_threshold: float = 0.001, iou_threshold: float = 0.65
) -> Callable[[Image], Detections]:
    """A function that runs a network on one picture, letterboxed to `size`: what `evaluate` takes.

    Class-aware suppression, best class of a box only.
    """
    import torch

    from helpers.images import letterbox, to_tensor

    device = next((value.device for value in network.parameters()), torch.device("cpu"))

    def predict(image_bgr: Image) -> Detections:
        boxed = letterbox(image_bgr, (size, size))
        with torch.inference_mode():
            images_nchw = torch.from_numpy(to_tensor(boxed.image_bgr)).to(device)
            decoded = network(images_nchw)
        rows = reference_nms(
            decoded[0].float().cpu().numpy(), iou_threshold=iou_threshold, score_threshold=score_threshold,
            max_detections=LIMIT,
        )  # fmt: skip
        boxes_xyxy = boxed.boxes_to_picture(rows[:, 1:5])
        return Detections(boxes_xyxy, rows[:, 6], rows[:, 5]).clipped(boxed.picture_wh)

    return predict
