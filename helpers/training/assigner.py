"""Dynamic label assignment: which predictions learn which object.

A detection head has thousands of predictions and a picture a few dozen objects. Each object first
names its *candidates* by geometry alone: the anchors whose width and height are within a factor
of four of its own, in the grid cell that holds its centre and in the nearest neighbouring cell along
each axis. Of these it keeps the `k` cheapest by the network's own present predictions, where `k` is the sum
of its best overlaps (so a well-covered object trains more predictions). A prediction wanted by
several objects goes to the one for which it is cheapest.

Lead-guided, coarse to fine: while an auxiliary head is trained, both heads learn by the predictions of the
lead head. The lead gets the fine choice above, `FINE`. The auxiliary head, which cannot do as much, gets a
coarse one, `COARSE`: all four neighbour cells, and more of the best overlaps in `k`. Recall comes from the
many, precision from the few.

Sources: SimOTA in Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430, section 2.1), after Ge
et al., "OTA: Optimal Transport Assignment for Object Detection" (arXiv:2103.14259); lead and auxiliary head:
Wang et al., "YOLOv7" (arXiv:2207.02696, section 4.2). One difference: an object chooses among
its own candidates only, so that the work is one table of `[T,S]` for the whole batch, without a loop.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, one_hot

from helpers.training.candidates import NEAREST, Candidates, candidates, decode_boxes, flatten_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "COARSE",
    "FINE",
    "AssignerConfig",
    "Assignment",
    "Candidates",
    "assign",
    "assign_coarse_to_fine",
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
        neighbours: cells beside the centre's own: 2, the nearer along each axis, or 4, all around it.
    """

    max_ratio: float = 4.0
    top_ious: int = 10
    iou_weight: float = 3.0
    neighbours: int = NEAREST


FINE = AssignerConfig()
COARSE = AssignerConfig(top_ious=20, neighbours=4)


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

    def of(self, target_id: int) -> Assignment:
        """The pairs of one object, the row `target_id` of the targets.

        >>> pairs = Assignment(*(torch.tensor([4, 9, 7]) for _ in range(6)))
        >>> pairs.of(9).flat.tolist()
        [9]
        """
        mine = self.target_ids == target_id
        return Assignment(*(getattr(self, item.name)[mine] for item in fields(self)))


def _iou_cxcywh(first: Tensor, second: Tensor) -> Tensor:
    """Overlap of pairs of boxes `cx, cy, w, h`, broadcast over the leading dimensions."""
    low = torch.maximum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.minimum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    return shared / union.clamp(min=1e-9)


def _cheapest_owner(flat: Tensor, cost: Tensor) -> Tensor:
    """Positions that remain when every value of `flat` `[M]` is kept once, where `cost` `[M]` is lowest."""
    by_cost = cost.argsort(stable=True)
    order = by_cost[flat[by_cost].argsort(stable=True)]
    ordered = flat[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return order[first]


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
    return _choose(flatten_levels(levels), _shapes_hw(levels), targets, anchors_px, strides, config or FINE)


def assign_coarse_to_fine(
    levels: Sequence[Tensor],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    fine: AssignerConfig = FINE,
    coarse: AssignerConfig = COARSE,
) -> tuple[Assignment, Assignment]:
    """Choose by the lead head's predictions what the lead learns, and what the auxiliary head learns.

    Args:
        levels: the lead head's raw logits; otherwise as for `assign`.
        targets: as for `assign`.
        anchors_px: as for `assign`.
        strides: as for `assign`.
        fine: the numbers of the lead's assignment.
        coarse: the numbers of the auxiliary head's.

    Returns:
        The lead's pairs and the auxiliary head's; `flat` of both counts places, which the heads share.

    >>> level, box = torch.zeros(1, 1, 4, 4, 7), torch.tensor([[0., 1., 20., 12., 9., 9.]])
    >>> lead, auxiliary = assign_coarse_to_fine([level], box, torch.tensor([[[9., 9.]]]), (8,))
    >>> len(lead) <= len(auxiliary)
    True
    """
    flat, shapes = flatten_levels(levels), _shapes_hw(levels)
    lead, auxiliary = (
        _choose(flat, shapes, targets, anchors_px, strides, config) for config in (fine, coarse)
    )
    return lead, auxiliary


def _shapes_hw(levels: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(int(level.shape[2]), int(level.shape[3])) for level in levels]


@torch.no_grad()
def _choose(
    predictions: Tensor,
    shapes_hw: Sequence[tuple[int, int]],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    config: AssignerConfig,
) -> Assignment:
    """The assignment, from predictions `[B,N,5+C]`."""
    places = candidates(shapes_hw, targets, anchors_px, strides, config.max_ratio, config.neighbours)
    class_count = predictions.shape[-1] - 5
    rows = predictions.reshape(-1, 5 + class_count)[torch.where(places.valid, places.flat, 0)].nan_to_num()
    boxes = decode_boxes(rows[..., :4], places.cells_xy, places.anchors_wh, places.strides)
    iou = _iou_cxcywh(boxes, targets[:, None, 2:6]) * places.valid
    score = rows[..., 4:5].sigmoid()
    if class_count > 1:  # a single class has no score of its own
        score = (rows[..., 5:].sigmoid() * score).sqrt()
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
