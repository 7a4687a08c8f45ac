"""Dynamic label assignment: which predictions learn which object.

A detection head has thousands of predictions and a picture a few dozen objects. Each object first
names its *candidates* by geometry alone: the anchors whose width and height are within a factor
of four of its own, in the grid cell that holds its centre and in the nearest neighbouring cell along
each axis. Of these it keeps the `k` cheapest by the network's own present predictions, where `k` is the sum
of its best overlaps (so a well-covered object trains more predictions). A prediction wanted by
several objects goes to the one for which it is cheapest.

Sources: SimOTA in Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430, section 2.1), after Ge
et al., "OTA: Optimal Transport Assignment for Object Detection" (arXiv:2103.14259); anchors and neighbour
cells as described in Wang et al., "YOLOv7" (arXiv:2207.02696). One difference: an object chooses among
its own candidates only, so that the work is one table of `[T, L*A*3]` for the whole batch, without a loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AssignerConfig",
    "Assignment",
    "Candidates",
    "assign",
    "candidates",
    "decode_boxes",
    "flatten_levels",
]


@dataclass(frozen=True)
class AssignerConfig:
    """The numbers of the assignment.

    Attributes:
        max_ratio: an anchor is a candidate while no side differs by this factor or more.
        top_ious: how many of the best overlaps are summed into `k`.
        iou_weight: weight of `-log IoU` in the cost, against 1 for the classification.
    """

    max_ratio: float = 4.0
    top_ious: int = 10
    iou_weight: float = 3.0


@dataclass(frozen=True)
class Candidates:
    """For every object, a fixed row of `S = L*A*3` places it could be learned at.

    Attributes:
        valid: `[T,S]` bool, the place passes the anchor test and lies inside the grid.
        flat: `[T,S]` int64 index into predictions flattened to `[B*N, 5+C]`.
        cells_xy: `[T,S,2]` grid cell, x then y.
        anchors_wh: `[T,S,2]` anchor in pixels.
        strides: `[T,S]` pixels per cell.
        level_ids: `[S]` int64 level of each place.
    """

    valid: Tensor
    flat: Tensor
    cells_xy: Tensor
    anchors_wh: Tensor
    strides: Tensor
    level_ids: Tensor


@dataclass(frozen=True)
class Assignment:
    """`M` pairs of one prediction and the object it has to learn; no prediction appears twice.

    Attributes:
        flat: `[M]` int64 index into predictions flattened to `[B*N, 5+C]`, ascending.
        target_ids: `[M]` int64 row of the targets.
        level_ids: `[M]` int64 level of the prediction.
        cells_xy: `[M,2]` grid cell, x then y.
        anchors_wh: `[M,2]` anchor in pixels.
        strides: `[M]` pixels per cell.
    """

    flat: Tensor
    target_ids: Tensor
    level_ids: Tensor
    cells_xy: Tensor
    anchors_wh: Tensor
    strides: Tensor

    def __len__(self) -> int:
        return int(self.flat.shape[0])


def flatten_levels(levels: Sequence[Tensor]) -> Tensor:
    """Join the raw levels `[B,A,H,W,5+C]` to `[B,N,5+C]` in float32, smallest stride first.

    >>> flatten_levels([torch.zeros(2, 3, 4, 4, 8), torch.zeros(2, 3, 2, 2, 8)]).shape
    torch.Size([2, 60, 8])
    """
    return torch.cat([level.reshape(level.shape[0], -1, level.shape[-1]).float() for level in levels], dim=1)


def decode_boxes(raw_xywh: Tensor, cells_xy: Tensor, anchors_wh: Tensor, strides: Tensor) -> Tensor:
    """Turn raw box values `[...,4]` into `cx, cy, w, h` in pixels of the input.

    >>> cell, anchor = torch.tensor([[2., 3.]]), torch.tensor([[10., 13.]])
    >>> decode_boxes(torch.zeros(1, 4), cell, anchor, torch.tensor([8.]))
    tensor([[20., 28., 10., 13.]])
    """
    unit = raw_xywh.sigmoid()
    centre = (unit[..., :2] * 2 - 0.5 + cells_xy) * strides[..., None]
    return torch.cat([centre, (unit[..., 2:] * 2) ** 2 * anchors_wh], dim=-1)


def _iou_cxcywh(first: Tensor, second: Tensor) -> Tensor:
    """Overlap of pairs of boxes `cx, cy, w, h`, broadcast over the leading dimensions."""
    low = torch.maximum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.minimum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    return shared / union.clamp(min=1e-9)


def candidates(
    shapes_hw: Sequence[tuple[int, int]],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    max_ratio: float = 4.0,
) -> Candidates:
    """List the places where each object could be learned, by geometry alone.

    Args:
        shapes_hw: rows and columns of each level's grid.
        targets: `[T,6]` picture index, class, cx, cy, w, h in pixels.
        anchors_px: `[L,A,2]` anchor widths and heights in pixels.
        strides: pixels per cell of each level.
        max_ratio: an anchor counts while no side differs by this factor or more.

    >>> one = torch.tensor([[0., 0., 20., 28., 10., 13.]])
    >>> places = candidates([(8, 8)], one, torch.tensor([[[10., 13.], [99., 99.]]]), (8,))
    >>> [xy for xy, ok in zip(places.cells_xy[0].tolist(), places.valid[0].tolist()) if ok]
    [[2.0, 3.0], [3.0, 3.0], [2.0, 4.0]]
    """
    count, (level_count, anchor_count) = targets.shape[0], anchors_px.shape[:2]
    rows, columns = (torch.tensor(side) for side in zip(*shapes_hw, strict=True))
    grid_wh = torch.stack([columns, rows], dim=-1)  # [L,2]
    scale = torch.tensor(strides, dtype=torch.float32)
    centre = targets[:, None, 2:4] / scale[:, None]  # [T,L,2] in cells
    home = centre.floor()
    side = torch.where(centre - home < 0.5, -1.0, 1.0)  # towards the nearer neighbour
    axis = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    cells = home[:, :, None] + side[:, :, None] * axis  # [T,L,3,2]
    inside = ((cells >= 0) & (cells < grid_wh[:, None])).all(-1)  # [T,L,3]
    ratio = targets[:, None, None, 4:6] / anchors_px  # [T,L,A,2]
    fits = torch.maximum(ratio, 1 / ratio.clamp(min=1e-9)).amax(-1) < max_ratio
    sizes = anchor_count * rows * columns
    picture_start = targets[:, 0].long() * sizes.sum()
    level_start = sizes.cumsum(0) - sizes
    plane = torch.arange(anchor_count)[:, None] * (rows * columns)[:, None, None]  # [L,A,1]
    spot = cells[..., 1].long() * columns[:, None] + cells[..., 0].long()  # [T,L,3]
    flat = picture_start[:, None, None, None] + level_start[:, None, None] + plane + spot[:, :, None]
    full = (count, level_count, anchor_count, 3)
    slots = level_count * anchor_count * 3
    return Candidates(
        valid=(fits[..., None] & inside[:, :, None]).reshape(count, slots),
        flat=flat.reshape(count, slots),
        cells_xy=cells[:, :, None].expand(*full, 2).reshape(count, slots, 2),
        anchors_wh=anchors_px[None, :, :, None].expand(*full, 2).reshape(count, slots, 2),
        strides=scale[None, :, None, None].expand(full).reshape(count, slots),
        level_ids=torch.arange(level_count).repeat_interleave(anchor_count * 3),
    )


def _cheapest_owner(flat: Tensor, cost: Tensor) -> Tensor:
    """Positions that remain when every value of `flat` `[M]` is kept once, where `cost` `[M]` is lowest."""
    by_cost = cost.argsort(stable=True)
    order = by_cost[flat[by_cost].argsort(stable=True)]
    ordered = flat[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return order[first]


@torch.no_grad()
def assign(
    levels: Sequence[Tensor],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    config: AssignerConfig | None = None,
) -> Assignment:
    """Choose, for a whole batch, which predictions learn which object.

    Args:
        levels: raw logits `[B,A,H,W,5+C]` of each level, smallest stride first.
        targets: `[T,6]` picture index, class, cx, cy, w, h in pixels; `T` may be 0.
        anchors_px: `[L,A,2]` anchor widths and heights in pixels.
        strides: pixels per cell of each level.
        config: the numbers of the assignment.

    Returns:
        The chosen pairs. An object that no anchor fits gets none; every other object gets at least
        one unless a cheaper owner takes it.

    >>> level = torch.zeros(1, 1, 4, 4, 7)
    >>> pairs = assign([level], torch.tensor([[0., 1., 20., 12., 9., 9.]]), torch.tensor([[[9., 9.]]]), (8,))
    >>> len(pairs), pairs.flat.tolist()
    (1, [6])
    """
    config = config or AssignerConfig()
    places = candidates(
        [(int(level.shape[2]), int(level.shape[3])) for level in levels],
        targets,
        anchors_px,
        strides,
        config.max_ratio,
    )
    predictions = flatten_levels(levels).nan_to_num()
    class_count = predictions.shape[-1] - 5
    rows = predictions.reshape(-1, 5 + class_count)[torch.where(places.valid, places.flat, 0)]  # [T,S,5+C]
    boxes = decode_boxes(rows[..., :4], places.cells_xy, places.anchors_wh, places.strides)
    iou = _iou_cxcywh(boxes, targets[:, None, 2:6]) * places.valid
    score = (rows[..., 5:].sigmoid() * rows[..., 4:5].sigmoid()).sqrt()
    wanted = one_hot(targets[:, 1].long(), class_count).float()[:, None].expand_as(score)
    cost = binary_cross_entropy(score, wanted, reduction="none").sum(-1)
    cost = cost - config.iou_weight * (iou + 1e-8).log() + 1e6 * ~places.valid
    wanted_count = iou.topk(min(config.top_ious, iou.shape[1]), dim=1).values.sum(1).long().clamp(min=1)
    rank = cost.argsort(dim=1).argsort(dim=1)
    target_ids, slots = ((rank < wanted_count[:, None]) & places.valid).nonzero(as_tuple=True)
    keep = _cheapest_owner(places.flat[target_ids, slots], cost[target_ids, slots])
    target_ids, slots = target_ids[keep], slots[keep]
    return Assignment(
        flat=places.flat[target_ids, slots],
        target_ids=target_ids,
        level_ids=places.level_ids[slots],
        cells_xy=places.cells_xy[target_ids, slots],
        anchors_wh=places.anchors_wh[target_ids, slots],
        strides=places.strides[target_ids, slots],
    )
