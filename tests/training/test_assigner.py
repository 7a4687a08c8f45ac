"""Assignment against a slow, obvious version written for the test, and by hand on tiny grids."""

from __future__ import annotations

import math

import pytest
import torch

from helpers.training.assigner import COARSE, FINE, AssignerConfig, assign, assign_coarse_to_fine
from helpers.training.candidates import flatten_levels

ANCHORS = torch.tensor([[[10.0, 13.0], [33.0, 23.0]], [[60.0, 45.0], [116.0, 90.0]]])
STRIDES = (8, 16)


def make_levels(batch: int, classes: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 2, 96 // s, 128 // s, 5 + classes, generator=generator) for s in STRIDES]


def make_targets(count: int, batch: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(count, 6, generator=generator)
    scale = torch.tensor([batch, 3, 128, 96, 70, 60]) * draw
    scale[:, :2] = scale[:, :2].floor()
    scale[:, 4:] += 4
    return scale


def slow_iou(a: list[float], b: list[float]) -> float:
    wide = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    high = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    shared = max(wide, 0) * max(high, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def slow_assign(
    levels: list[torch.Tensor], targets: torch.Tensor, config: AssignerConfig = FINE
) -> dict[tuple[int, ...], int]:
    """The definition, one object and one place at a time: (level, picture, anchor, y, x) to target."""
    wanted: dict[tuple[int, ...], list[tuple[float, int]]] = {}
    for number, (picture, label, cx, cy, w, h) in enumerate(targets.tolist()):
        options = []
        for level, stride in enumerate(STRIDES):
            height, width = levels[level].shape[2:4]
            gx, gy = cx / stride, cy / stride
            x, y = math.floor(gx), math.floor(gy)
            cells = [(x, y), (x + (1 if gx - x >= 0.5 else -1), y), (x, y + (1 if gy - y >= 0.5 else -1))]
            if config is COARSE:
                cells = [(x, y), (x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
            for anchor, (aw, ah) in enumerate(ANCHORS[level].tolist()):
                if max(w / aw, aw / w, h / ah, ah / h) >= 4:
                    continue
                for column, row in cells:
                    if not (0 <= column < width and 0 <= row < height):
                        continue
                    place = (level, int(picture), anchor, row, column)
                    raw = levels[level][place[1:]].double()
                    u = raw.sigmoid().tolist()
                    box = [(2 * u[0] - 0.5 + column) * stride, (2 * u[1] - 0.5 + row) * stride]
                    box += [(2 * u[2]) ** 2 * aw, (2 * u[3]) ** 2 * ah]
                    iou = slow_iou(box, [cx, cy, w, h])
                    probabilities = [math.sqrt(u[4] * value) if len(u) > 6 else u[4] for value in u[5:]]
                    cost = sum(
                        -math.log(p if c == int(label) else 1 - p) for c, p in enumerate(probabilities)
                    )
                    options.append((cost - 3 * math.log(iou + 1e-8), iou, place))
        best = sorted((iou for _, iou, _ in options), reverse=True)[: 20 if config is COARSE else 10]
        for cost, _, place in sorted(options)[: max(int(sum(best)), 1)]:
            wanted.setdefault(place, []).append((cost, number))
    return {place: min(owners)[1] for place, owners in wanted.items()}


def places(levels: list[torch.Tensor], flat: torch.Tensor) -> list[tuple[int, ...]]:
    """Undo the flattening by looking a label up in levels of the same shape."""
    labels = []
    for number, level in enumerate(levels):
        index = torch.stack(torch.meshgrid(*[torch.arange(n) for n in level.shape[:4]], indexing="ij"), -1)
        labels.append(torch.cat([torch.full((*level.shape[:4], 1), number), index], -1))
    rows = flatten_levels(labels).reshape(-1, 5)[flat].long()
    return [tuple(row) for row in rows.tolist()]


def test_no_objects_give_an_empty_assignment() -> None:
    pairs = assign(make_levels(2, 3, 0), torch.zeros(0, 6), ANCHORS, STRIDES)
    assert len(pairs) == 0
    assert pairs.cells_xy.shape == (0, 2)


@pytest.mark.parametrize("config", [FINE, COARSE])
@pytest.mark.parametrize(
    ("seed", "count", "batch", "classes"), [(0, 1, 1, 3), (1, 12, 2, 3), (2, 60, 2, 2), (3, 80, 3, 1)]
)
def test_equals_the_definition(
    seed: int, count: int, batch: int, classes: int, config: AssignerConfig
) -> None:
    levels, targets = make_levels(batch, classes, seed), make_targets(count, batch, seed)
    targets[:, 1] = targets[:, 1].clamp(max=classes - 1)
    pairs = assign(levels, targets, ANCHORS, STRIDES, config)
    found = dict(zip(places(levels, pairs.flat), pairs.target_ids.tolist(), strict=True))
    assert found == slow_assign(levels, targets, config)
    assert len(found) == len(pairs)


def test_coarse_to_fine_is_both_by_the_same_predictions() -> None:
    levels, targets = make_levels(2, 3, 4), make_targets(40, 2, 4)
    lead, auxiliary = assign_coarse_to_fine(levels, targets, ANCHORS, STRIDES)
    for found, config in ((lead, FINE), (auxiliary, COARSE)):
        expected = assign(levels, targets, ANCHORS, STRIDES, config)
        assert found.flat.tolist() == expected.flat.tolist()
        assert found.target_ids.tolist() == expected.target_ids.tolist()
    assert len(auxiliary) > len(lead)


def test_the_pairs_of_one_object() -> None:
    levels, targets = make_levels(2, 3, 4), make_targets(40, 2, 4)
    pairs = assign(levels, targets, ANCHORS, STRIDES, COARSE)
    assert sum(len(pairs.of(target)) for target in range(40)) == len(pairs)
    target = int(pairs.target_ids[0])
    mine = pairs.of(target)
    assert set(mine.target_ids.tolist()) == {target}
    first = (pairs.target_ids == target).nonzero()[0, 0]
    assert mine.cells_xy[0].tolist() == pairs.cells_xy[first].tolist()
    assert len(pairs.of(99)) == 0


def test_predictions_that_are_not_numbers_are_survived() -> None:
    levels, targets = make_levels(1, 3, 4), make_targets(5, 1, 4)
    levels[0][0, 0] = float("nan")
    assert len(assign(levels, targets, ANCHORS, STRIDES)) > 0


def test_what_it_says_about_a_pair_belongs_together() -> None:
    levels, targets = make_levels(2, 3, 5), make_targets(30, 2, 5)
    pairs = assign(levels, targets, ANCHORS, STRIDES)
    for place, level, cell, anchor, stride, target in zip(
        places(levels, pairs.flat), pairs.level_ids.tolist(), pairs.cells_xy.tolist(),
        pairs.anchors_wh.tolist(), pairs.strides.tolist(), pairs.target_ids.tolist(), strict=True,
    ):  # fmt: skip
        assert place[0] == level
        assert place[1] == targets[target, 0]
        assert anchor == ANCHORS[level, place[2]].tolist()
        assert cell == [place[4], place[3]]
        assert stride == STRIDES[level]


def test_the_cheaper_of_two_objects_keeps_the_place() -> None:
    level = torch.zeros(1, 1, 1, 1, 6)
    targets = torch.tensor([[0.0, 0.0, 4.0, 4.0, 5.0, 5.0], [0.0, 0.0, 4.0, 4.0, 8.0, 8.0]])
    for order in ([0, 1], [1, 0]):
        pairs = assign([level], targets[order], torch.tensor([[[8.0, 8.0]]]), (8,))
        assert targets[order][pairs.target_ids].tolist() == [targets[1].tolist()]


def test_iou_weight_decides_between_overlap_and_class() -> None:
    level = torch.zeros(1, 2, 1, 1, 6)
    level[0, 0, 0, 0, 4:] = 6.0  # sure of the class, half the overlap
    target = torch.tensor([[0.0, 0.0, 4.0, 4.0, 8.0, 8.0]])
    anchors = torch.tensor([[[8.0, 5.0], [8.0, 8.0]]])
    chosen = [
        assign([level], target, anchors, (8,), AssignerConfig(iou_weight=weight)).flat.tolist()
        for weight in (0.1, 30.0)
    ]
    assert chosen == [[0], [1]]
