"""Losses by hand, their gradients, and that following them works."""

from __future__ import annotations

import math

import pytest
import torch

from helpers.training.assigner import COARSE, assign
from helpers.training.loss import LossConfig, complete_iou, detection_loss, lead_guided_loss

ANCHORS = torch.tensor([[[10.0, 13.0], [33.0, 23.0]], [[60.0, 45.0], [116.0, 90.0]]])
STRIDES = (8, 16)
CONFIG = LossConfig(balance=(4.0, 1.0))


def make_levels(batch: int = 2, value: float | None = None) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = [(batch, 2, 64 // s, 96 // s, 8) for s in STRIDES]
    made = [torch.randn(s, generator=generator) if value is None else torch.full(s, value) for s in shapes]
    return [level.requires_grad_() for level in made]


TARGETS = torch.tensor([[0, 1, 40, 30, 12, 14], [1, 0, 60, 20, 40, 30], [1, 2, 20, 50, 90, 80]]).float()


def test_without_objects_only_the_background_is_learned() -> None:
    levels = make_levels(value=0.0)
    parts = detection_loss(levels, torch.zeros(0, 6), ANCHORS, STRIDES, CONFIG)
    expected = 0.7 * 64 * 96 / 640**2 * math.log(2) * 5
    assert (parts.box, parts.classes, parts.positives) == (0.0, 0.0, 0)
    assert parts.objectness == pytest.approx(expected, rel=1e-5)
    parts.total.backward()
    assert parts.total.item() == pytest.approx(2 * expected, rel=1e-5)
    assert levels[0].grad is not None
    assert bool((levels[0].grad[..., 4] > 0).all())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((10, 10, 4, 4), (10, 10, 4, 4), 1.0),
        ((10, 10, 4, 4), (12, 10, 4, 4), 1 / 3 - 4 / 52),
        ((10, 10, 4, 4), (20, 10, 4, 4), 0 - 100 / 212),
    ],
)
def test_complete_iou_by_hand(first: tuple[int, ...], second: tuple[int, ...], expected: float) -> None:
    pair = (torch.tensor([first]).float(), torch.tensor([second]).float())
    assert complete_iou(*pair).item() == pytest.approx(expected, abs=1e-5)
    assert complete_iou(*reversed(pair)).item() == pytest.approx(expected, abs=1e-5)


def test_complete_iou_punishes_another_aspect() -> None:
    first, second = torch.tensor([[0.0, 0.0, 8.0, 2.0]]), torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    aspect = 4 / math.pi**2 * (math.atan(4) - math.atan(1)) ** 2
    iou = 8 / 24
    assert complete_iou(first, second).item() == pytest.approx(iou - aspect**2 / (1 - iou + aspect), abs=1e-5)


def test_total_is_the_parts_times_the_batch() -> None:
    parts = detection_loss(make_levels(), TARGETS, ANCHORS, STRIDES, CONFIG)
    assert parts.total.item() == pytest.approx(2 * (parts.box + parts.objectness + parts.classes), rel=1e-5)
    assert parts.positives >= 3


def test_gradient_stays_off_what_was_not_assigned() -> None:
    levels = make_levels()
    pairs = assign(levels, TARGETS, ANCHORS, STRIDES)
    detection_loss(levels, TARGETS, ANCHORS, STRIDES, CONFIG, pairs).total.backward()
    grads = [level.grad for level in levels if level.grad is not None]
    rows = torch.cat([grad.reshape(2, -1, 8) for grad in grads], 1).reshape(-1, 8)
    touched = (rows[:, [0, 1, 2, 3, 5, 6, 7]] != 0).any(1).nonzero().flatten()
    assert touched.tolist() == pairs.flat.tolist()
    assert bool((rows[:, 4] != 0).all())


def test_every_level_counts_the_same_however_many_positives() -> None:
    pairs = assign(make_levels(), TARGETS, ANCHORS, STRIDES)
    assert set(pairs.level_ids.tolist()) == {0, 1}
    parts = detection_loss(
        make_levels(value=-60.0), TARGETS, ANCHORS, STRIDES, LossConfig(balance=(0, 0)), pairs
    )
    assert 0.1 <= parts.box <= 0.2  # 0.05 * (1 - CIoU) of no overlap, once per level


def test_following_the_gradient_finds_the_objects() -> None:
    levels = make_levels(value=-2.0)
    optimiser = torch.optim.Adam(levels, lr=0.1)
    first = None
    for _ in range(150):
        parts = detection_loss(levels, TARGETS, ANCHORS, STRIDES, CONFIG)
        first = first or parts.total.item()
        optimiser.zero_grad()
        parts.total.backward()
        optimiser.step()
    assert first is not None
    assert parts.total.item() < 0.2 * first
    assert parts.box < 0.01


def test_balance_must_fit_the_levels() -> None:
    with pytest.raises(ValueError, match="balance: expected 2 weights, one per level, got 3"):
        detection_loss(make_levels(), TARGETS, ANCHORS, STRIDES, LossConfig(balance=(4.0, 1.0, 0.4)))


@pytest.mark.parametrize(("levels", "weights"), [(3, (4.0, 1.0, 0.4)), (4, (4.0, 1.0, 0.25, 0.06))])
def test_published_balance_by_the_number_of_levels(levels: int, weights: tuple[float, ...]) -> None:
    maps = [torch.zeros(1, 1, 8 >> i, 8 >> i, 7) for i in range(levels)]
    anchors, strides = torch.ones(levels, 1, 2), tuple(8 << i for i in range(levels))
    parts = detection_loss(maps, torch.zeros(0, 6), anchors, strides)
    assert parts.objectness == pytest.approx(0.7 * 64 * 64 / 640**2 * math.log(2) * sum(weights), rel=1e-5)


def test_a_single_class_has_no_class_loss() -> None:
    levels = [level.detach()[..., :6].requires_grad_() for level in make_levels()]
    targets = TARGETS * torch.tensor([1, 0, 1, 1, 1, 1])
    parts = detection_loss(levels, targets, ANCHORS, STRIDES, CONFIG)
    parts.total.backward()
    assert (parts.classes, parts.positives > 0) == (0.0, True)
    assert all(not level.grad[..., 5].any() for level in levels if level.grad is not None)


def test_lead_guided_loss_is_both_losses_with_a_gain() -> None:
    lead, other = make_levels(), [level.detach() * 0.5 - 1 for level in make_levels()]
    parts = lead_guided_loss(lead, other, TARGETS, ANCHORS, STRIDES, CONFIG)
    coarse = assign(lead, TARGETS, ANCHORS, STRIDES, COARSE)
    alone = detection_loss(lead, TARGETS, ANCHORS, STRIDES, CONFIG)
    second = detection_loss(other, TARGETS, ANCHORS, STRIDES, CONFIG, coarse)
    assert parts.total.item() == pytest.approx(alone.total.item() + 0.25 * second.total.item(), rel=1e-5)
    assert parts.auxiliary == pytest.approx(0.25 * second.total.item() / 2, rel=1e-5)
    assert (parts.box, parts.positives) == (alone.box, alone.positives)
    assert parts.auxiliary_positives == len(coarse) > parts.positives


def test_the_auxiliary_head_learns_what_the_lead_says() -> None:
    lead, other = make_levels(), make_levels(value=0.0)
    lead_guided_loss(lead, other, TARGETS, ANCHORS, STRIDES, CONFIG).total.backward()
    grads = torch.cat([level.grad.reshape(2, -1, 8) for level in other if level.grad is not None], 1)
    touched = (grads.reshape(-1, 8)[:, 5:] != 0).any(1).nonzero().flatten()
    assert touched.tolist() == assign(lead, TARGETS, ANCHORS, STRIDES, COARSE).flat.tolist()


def test_without_an_auxiliary_head_the_loss_is_the_lead_alone() -> None:
    parts = lead_guided_loss(make_levels(), (), TARGETS, ANCHORS, STRIDES, CONFIG)
    alone = detection_loss(make_levels(), TARGETS, ANCHORS, STRIDES, CONFIG)
    assert parts.total.item() == alone.total.item()
    assert (parts.auxiliary, parts.auxiliary_positives) == (0.0, 0)


def test_bfloat16_levels_are_taken() -> None:
    levels = [level.detach().bfloat16() for level in make_levels()]
    assert math.isfinite(detection_loss(levels, TARGETS, ANCHORS, STRIDES, CONFIG).total.item())
