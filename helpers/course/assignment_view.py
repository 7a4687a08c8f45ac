"""The label assignment, drawn: which cells and anchors learn an object, for lead and auxiliary head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from helpers.network import Network
    from helpers.training.assigner import Assignment
    from helpers.training.datasets import Sample

__all__ = ["Seen", "anchors_sheet", "cells_picture", "cells_sheet", "most_central", "see_assignment"]

LEVEL_RGB = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
"""Colours of the levels, the finest first."""
_HEADS = ("lead", "auxiliary")


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network's lead head chose for one picture.

    Attributes:
        image_bgr: The picture as the network saw it, `uint8[S,S,3]`.
        targets: `[T,6]` picture index, class, cx, cy, w, h in pixels.
        lead, auxiliary: The pairs of the fine and of the coarse assignment.
        lead_ious, auxiliary_ious: `[M]` overlap of each pair's present prediction with its object.
    """

    image_bgr: NDArray[np.uint8]
    targets: Tensor
    lead: Assignment
    auxiliary: Assignment
    lead_ious: Tensor
    auxiliary_ious: Tensor

    def per_object(self, head: str = "lead") -> list[int]:
        """How many predictions each object was given."""
        ids = getattr(self, head).target_ids
        return [int((ids == number).sum()) for number in range(len(self.targets))]

    def level_share(self, level: int = 0, head: str = "lead") -> float:
        """Which share of the chosen predictions lies on a level, the finest being 0."""
        ids = getattr(self, head).level_ids
        return float((ids == level).float().mean()) if len(ids) else 0.0

    def mean_iou(self, head: str = "lead") -> float:
        """Mean overlap of the chosen predictions with their objects."""
        ious = getattr(self, f"{head}_ious")
        return float(ious.mean()) if len(ious) else 0.0


def see_assignment(network: Network, sample: Sample, size: int) -> Seen:
    """Run the assigner on one picture, with a network as it is now.

    Args:
        network: Its lead head's predictions decide, for both heads.
        sample: Picture and boxes.
        size: Side of the network's square input, pixels.
    """
    import torch

    from helpers.images import to_tensor
    from helpers.training.assigner import assign_coarse_to_fine
    from helpers.training.augmentation import fit

    square = fit(sample, size)
    boxes = torch.from_numpy(square.boxes_xyxy.copy())
    centre, wh = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    first = torch.stack([torch.zeros(len(boxes)), torch.from_numpy(square.class_ids.copy()).float()], dim=1)
    targets = torch.cat([first, centre, wh], dim=1)
    was_training, device = network.training, next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        inputs = torch.from_numpy(to_tensor(square.image_bgr)).to(device)
        levels = [level.cpu() for level in network.levels(inputs)]
        anchors = torch.tensor(network.architecture.anchors_px)
        pairs = assign_coarse_to_fine(levels, targets, anchors, network.strides)
        ious = [_ious(levels, each, targets) for each in pairs]
    network.train(was_training)
    return Seen(square.image_bgr, targets, *pairs, *ious)


def _ious(levels: Sequence[Tensor], pairs: Assignment, targets: Tensor) -> Tensor:
    """Overlap `[M]` of each pair's prediction with its object."""
    import torch

    from helpers.training.assigner import decode_boxes, flatten_levels

    rows = flatten_levels(levels)[0][pairs.flat]
    found = decode_boxes(rows[:, :4], pairs.cells_xy, pairs.anchors_wh, pairs.strides)
    wanted = targets[pairs.target_ids, 2:6]
    low = torch.maximum(found[:, :2] - found[:, 2:] / 2, wanted[:, :2] - wanted[:, 2:] / 2)
    high = torch.minimum(found[:, :2] + found[:, 2:] / 2, wanted[:, :2] + wanted[:, 2:] / 2)
    shared = (high - low).clamp(min=0).prod(1)
    return shared / (found[:, 2:].prod(1) + wanted[:, 2:].prod(1) - shared).clamp(min=1e-9)


def cells_picture(seen: Seen, head: str = "lead", scale: int = 3) -> NDArray[np.uint8]:
    """The whole picture: objects outlined, and each chosen cell filled in its level's colour.

    The more anchors of a cell were chosen, the stronger its colour.
    """
    from PIL import Image, ImageDraw

    base = _paled(seen.image_bgr, scale)
    veil = Image.new("RGBA", base.size)
    pairs: Assignment = getattr(seen, head)
    for level in sorted(set(pairs.level_ids.tolist()), reverse=True):  # fine cells on top of coarse ones
        mine = pairs.level_ids == level
        stride = float(pairs.strides[mine][0]) * scale
        cells, counts = np.unique(pairs.cells_xy[mine].numpy(), axis=0, return_counts=True)
        for (x, y), count in zip(cells.tolist(), counts.tolist(), strict=True):
            layer = Image.new("RGBA", base.size)
            box = [x * stride, y * stride, (x + 1) * stride - 1, (y + 1) * stride - 1]
            ImageDraw.Draw(layer).rectangle(box, fill=(*LEVEL_RGB[level], min(200, 75 + 40 * count)))
            veil = Image.alpha_composite(veil, layer)
    canvas = Image.alpha_composite(base.convert("RGBA"), veil).convert("RGB")
    pen = ImageDraw.Draw(canvas)
    for box in _corners(seen.targets) * scale:
        pen.rectangle(box.tolist(), outline=(30, 30, 30), width=2)
    left, top, right, bottom = (side * scale for side in _content(seen.image_bgr))
    return np.ascontiguousarray(np.asarray(canvas)[top:bottom, left:right, ::-1])


def _content(image_bgr: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what lies between the grey bars of the letterbox."""
    from helpers.training.augmentation import PAD_VALUE

    seen = (image_bgr != PAD_VALUE).any(axis=2)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, image_bgr.shape[1], image_bgr.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def cells_sheet(moments: Mapping[str, Seen], cell_width: int = 280) -> NDArray[np.uint8]:
    """Every moment of the training as a row: the lead's cells, the auxiliary head's cells."""
    from helpers.drawing import grid

    pictures, captions = [], []
    for name, seen in moments.items():
        for head, kind in zip(_HEADS, ("fine", "coarse"), strict=True):
            pictures.append(cells_picture(seen, head))
            mean = np.mean(seen.per_object(head))
            iou = seen.mean_iou(head)
            captions.append(f"{name}, {kind}: {mean:.1f} an object, IoU {iou:.2f}")
    return grid(pictures, 2, captions=captions, cell_width=cell_width)


def anchors_sheet(
    moments: Mapping[str, Seen], target_id: int | None = None, size: int = 220, margin: float = 0.9
) -> NDArray[np.uint8]:
    """One object close up: its chosen cells, and around each the anchor that was chosen there.

    Args:
        moments: Name to what was chosen then.
        target_id: The object, a row of the targets; by default the one nearest to the middle.
        size: Side of each picture in pixels.
        margin: How much is seen around the object, in its own sizes.
    """
    from helpers.drawing import grid

    pictures, captions = [], []
    for name, seen in moments.items():
        if target_id is None:
            target_id = most_central(seen)
        for head in _HEADS:
            pictures.append(_close_up(seen, getattr(seen, head).of(target_id), target_id, size, margin))
            captions.append(f"{name}, {head}: {seen.per_object(head)[target_id]} predictions")
    return grid(pictures, 2, captions=captions, cell_width=size)


def most_central(seen: Seen) -> int:
    """The object nearest to the middle of the picture, a row of the targets."""
    middle = seen.image_bgr.shape[0] / 2
    return int((seen.targets[:, 2:4] - middle).square().sum(1).argmin())


def _close_up(seen: Seen, pairs: Assignment, target_id: int, size: int, margin: float) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    x0, y0, x1, y1 = _corners(seen.targets)[target_id]
    reach = max(x1 - x0, y1 - y0, 24) * (0.5 + margin)
    origin = np.array([(x0 + x1) / 2 - reach, (y0 + y1) / 2 - reach])
    scale = size / (2 * reach)
    canvas = _paled(seen.image_bgr, 1).transform(
        (size, size), Image.Transform.AFFINE, (1 / scale, 0, origin[0], 0, 1 / scale, origin[1]),
        Image.Resampling.BICUBIC, fillcolor=(235, 235, 235),
    )  # fmt: skip
    pen = ImageDraw.Draw(canvas, "RGBA")

    def rectangle(low: NDArray[np.float64], high: NDArray[np.float64], **paint: object) -> None:
        ends = [*((low - origin) * scale), *((high - origin) * scale)]
        pen.rectangle([float(value) for value in ends], **paint)  # type: ignore[arg-type]

    rows = list(zip(pairs.level_ids.tolist(), pairs.cells_xy.numpy(), pairs.anchors_wh.numpy(),
                    pairs.strides.tolist(), strict=True))  # fmt: skip
    for level, cell, _, stride in rows:
        rectangle(cell * stride, (cell + 1) * stride, fill=(*LEVEL_RGB[level], 70))
    for level, cell, anchor, stride in rows:
        centre = (cell + 0.5) * stride
        rectangle(centre - anchor / 2, centre + anchor / 2, outline=(*LEVEL_RGB[level], 255), width=2)
    rectangle(np.array([x0, y0]), np.array([x1, y1]), outline=(20, 20, 20, 255), width=3)
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def _corners(targets: Tensor) -> NDArray[np.float64]:
    centre, wh = targets[:, 2:4].double().numpy(), targets[:, 4:6].double().numpy()
    return np.hstack([centre - wh / 2, centre + wh / 2])


def _paled(image_bgr: NDArray[np.uint8], scale: int) -> Image.Image:
    """The picture enlarged and half faded to white, so that what is drawn on it can be seen."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image_bgr[:, :, ::-1]))
    large = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.BICUBIC)
    return Image.blend(large, Image.new("RGB", large.size, (255, 255, 255)), 0.5)
