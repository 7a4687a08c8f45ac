"""The three losses of an anchor-based detector: box, objectness, class.

* **Box**: 1 - CIoU of the assigned predictions (Zheng et al., "Distance-IoU Loss", arXiv:1911.08287).
* **Objectness**: every prediction of the picture is asked "is something here?"; the right answer of an
  assigned one is its present overlap with its object, of every other one 0. The finest level has most
  cells, hence the balance.
* **Class**: one yes/no question per class, of the assigned predictions.

The gains are the published ones (box 0.05, objectness 0.7 at 640 px); the class gain is a choice. With an
auxiliary head the same losses are taken of it too, of its own coarse assignment, and added with a smaller
gain (Wang et al., "YOLOv7", arXiv:2207.02696, section 4.2). A single class has no class loss: objectness says
it all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from helpers.training.assigner import (
    COARSE,
    AssignerConfig,
    Assignment,
    assign,
    assign_coarse_to_fine,
    decode_boxes,
    flatten_levels,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "LossConfig",
    "LossParts",
    "complete_iou",
    "detection_loss",
    "lead_guided_loss",
]


_BALANCE = {3: (4.0, 1.0, 0.4), 4: (4.0, 1.0, 0.25, 0.06)}
"""Published weights of the levels' objectness, by the number of levels."""


@dataclass(frozen=True)
class LossConfig:
    """Gains of the losses.

    Attributes:
        box, objectness, classes: gain of each part; the objectness gain is the one at 640 px input.
        balance: weight of each level's objectness, smallest stride first; empty for the published weights.
        assigner: the numbers of the assignment.
        auxiliary: gain of the auxiliary head's losses, against 1 for the lead's.
        coarse: the numbers of the auxiliary head's assignment.
    """

    box: float = 0.05
    objectness: float = 0.7
    classes: float = 0.05
    balance: tuple[float, ...] = ()
    assigner: AssignerConfig = field(default_factory=AssignerConfig)
    auxiliary: float = 0.25
    coarse: AssignerConfig = COARSE


@dataclass(frozen=True)
class LossParts:
    """The loss to differentiate and its parts, after their gains.

    Attributes:
        total: scalar with a gradient, the sum of the parts times the batch size.
        box, objectness, classes: scalars without a gradient, per picture.
        positives: how many predictions were assigned an object.
        auxiliary: the same of the auxiliary head, after its gain; 0 without one.
        auxiliary_positives: how many of its predictions were assigned an object.
    """

    total: Tensor
    box: float
    objectness: float
    classes: float
    positives: int
    auxiliary: float = 0.0
    auxiliary_positives: int = 0


def complete_iou(first_cxcywh: Tensor, second_cxcywh: Tensor) -> Tensor:
    """Complete IoU of `M` pairs of boxes `[M,4]`, at most 1, below 0 for boxes far apart.

    >>> box = torch.tensor([[10., 10., 4., 4.]])
    >>> round(complete_iou(box, box).item(), 4)
    1.0
    >>> complete_iou(box, box + torch.tensor([40., 0., 0., 0.])).item() < 0
    True
    """
    first_low, first_high = _corners(first_cxcywh)
    second_low, second_high = _corners(second_cxcywh)
    shared = (
        (torch.minimum(first_high, second_high) - torch.maximum(first_low, second_low)).clamp(min=0).prod(-1)
    )
    union = first_cxcywh[:, 2:].prod(-1) + second_cxcywh[:, 2:].prod(-1) - shared
    iou = shared / union.clamp(min=1e-7)
    around = torch.maximum(first_high, second_high) - torch.minimum(first_low, second_low)
    apart = (first_cxcywh[:, :2] - second_cxcywh[:, :2]).square().sum(-1) / around.square().sum(-1).clamp(
        min=1e-7
    )
    angles = [torch.atan(box[:, 2] / box[:, 3].clamp(min=1e-7)) for box in (first_cxcywh, second_cxcywh)]
    aspect = (4 / math.pi**2) * (angles[0] - angles[1]).square()
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect).clamp(min=1e-7)
    return iou - apart - weight * aspect


def _corners(boxes_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    half = boxes_cxcywh[:, 2:] / 2
    return boxes_cxcywh[:, :2] - half, boxes_cxcywh[:, :2] + half


def _mean_per_level(values: Tensor, level_ids: Tensor, level_count: int) -> Tensor:
    """Sum over the levels of the mean of `values` `[M]` in each; a level without values adds nothing."""
    ones = torch.ones_like(values)
    size = torch.zeros(level_count, device=values.device).index_add(0, level_ids, ones)
    return (values / size[level_ids]).sum()


def _objectness(
    predictions: Tensor, wanted: Tensor, sizes: Sequence[int], balance: Sequence[float]
) -> Tensor:
    pieces = zip(
        torch.split(predictions, list(sizes), 1), torch.split(wanted, list(sizes), 1), balance, strict=True
    )
    parts = [weight * binary_cross_entropy_with_logits(logit, goal) for logit, goal, weight in pieces]
    return torch.stack(parts).sum()


def detection_loss(
    levels: Sequence[Tensor],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    config: LossConfig | None = None,
    assignment: Assignment | None = None,
) -> LossParts:
    """Loss of a batch.

    Args:
        levels: raw logits `[B,A,H,W,5+C]` of each level, smallest stride first.
        targets: `[T,6]` picture index, class, cx, cy, w, h in pixels; `T` may be 0.
        anchors_px: `[L,A,2]` anchor widths and heights in pixels.
        strides: pixels per cell of each level.
        config: gains.
        assignment: pairs to use; by default they are chosen here.

    Raises:
        ValueError: the balance does not have one weight per level.

    >>> level = torch.zeros(1, 1, 4, 4, 7, requires_grad=True)
    >>> one = torch.tensor([[0., 1., 20., 12., 9., 9.]])
    >>> parts = detection_loss([level], one, torch.tensor([[[9., 9.]]]), (8,), LossConfig(balance=(1.0,)))
    >>> parts.positives, parts.box, parts.total.requires_grad
    (1, 0.0, True)
    """
    config = config or LossConfig()
    balance = config.balance or _BALANCE.get(len(levels), (1.0,) * len(levels))
    if len(balance) != len(levels):
        got = f"got {len(balance)}; pass {len(levels)}"
        message = f"balance: expected {len(levels)} weights, one per level, {got}"
        raise ValueError(message)
    anchors_px = anchors_px.float()
    pairs = assignment
    if pairs is None:
        pairs = assign(levels, targets, anchors_px, strides, config.assigner)
    predictions = flatten_levels(levels)
    batch, _, width = predictions.shape
    positive = predictions.reshape(-1, width)[pairs.flat]
    goal = targets[pairs.target_ids]
    boxes = decode_boxes(positive[:, :4], pairs.cells_xy, pairs.anchors_wh, pairs.strides)
    overlap = complete_iou(boxes, goal[:, 2:6])
    box = config.box * _mean_per_level(1 - overlap, pairs.level_ids, len(levels))
    wanted = torch.zeros(predictions.shape[:2], device=predictions.device)
    wanted.view(-1)[pairs.flat] = overlap.detach().clamp(min=0)
    height_px, width_px = (levels[0].shape[axis] * strides[0] for axis in (2, 3))
    gain = config.objectness * height_px * width_px / 640**2
    sizes = [math.prod(level.shape[1:4]) for level in levels]
    objectness = gain * _objectness(predictions[..., 4], wanted, sizes, balance)
    labels = one_hot(goal[:, 1].long(), width - 5).float()
    per_class = binary_cross_entropy_with_logits(positive[:, 5:], labels, reduction="none").mean(-1)
    gain = config.classes if width > 6 else 0.0
    classes = gain * _mean_per_level(per_class, pairs.level_ids, len(levels))
    total = (box + objectness + classes) * batch
    return LossParts(total, box.item(), objectness.item(), classes.item(), len(pairs))


def lead_guided_loss(
    lead: Sequence[Tensor],
    auxiliary: Sequence[Tensor],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    config: LossConfig | None = None,
) -> LossParts:
    """Loss of a batch with an auxiliary head: both heads are assigned by the lead's predictions.

    Args:
        lead: raw logits `[B,A,H,W,5+C]` of the head that stays.
        auxiliary: raw logits of the same shapes, of the head that is dropped; none for no such head.
        targets: `[T,6]` picture index, class, cx, cy, w, h in pixels; `T` may be 0.
        anchors_px: `[L,A,2]` anchor widths and heights in pixels.
        strides: pixels per cell of each level.
        config: gains.

    Returns:
        The lead's parts, and the auxiliary head's loss beside them; `total` has both.

    >>> level, one = torch.zeros(1, 1, 4, 4, 7), torch.tensor([[0., 1., 20., 12., 9., 9.]])
    >>> parts = lead_guided_loss([level], [level], one, torch.tensor([[[9., 9.]]]), (8,))
    >>> parts.positives, parts.auxiliary_positives
    (1, 1)
    """
    config, anchors_px = config or LossConfig(), anchors_px.float()
    if not auxiliary:
        return detection_loss(lead, targets, anchors_px, strides, config)
    fine, coarse = assign_coarse_to_fine(lead, targets, anchors_px, strides, config.assigner, config.coarse)
    parts = detection_loss(lead, targets, anchors_px, strides, config, fine)
    other = detection_loss(auxiliary, targets, anchors_px, strides, config, coarse)
    gain = config.auxiliary
    return replace(
        parts, total=parts.total + gain * other.total, auxiliary_positives=len(coarse),
        auxiliary=gain * (other.box + other.objectness + other.classes),
    )  # fmt: skip
