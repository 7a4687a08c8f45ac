"""Assignment against a slow, obvious version written for the test, and by hand on tiny grids."""

from __future__ import annotations

import math

import pytest
import torch

from helpers.training.assigner import AssignerConfig, assign, candidates, decode_boxes, flatten_levels

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


def slow_assign(levels: list[torch.Tensor], targets: torch.Tensor) -> dict[tuple[int, ...], int]:
    """The definition, one object and one place at a time: (level, picture, anchor, y, x) to target."""
    wanted: dict[tuple[int, ...], list[tuple[float, int]]] = {}
    for number, (picture, label, cx, cy, w, h) in enumerate(targets.tolist()):
        options = []
        for level, stride in enumerate(STRIDES):
            height, width = levels[level].shape[2:4]
            gx, gy = cx / stride, cy / stride
            x, y = math.floor(gx), math.floor(gy)
            cells = [(x, y), (x + (1 if gx - x >= 0.5 else -1), y), (x, y + (1 if gy - y >= 0.5 else -1))]
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
                    probabilities = [math.sqrt(u[4] * value) for value in u[5:]]
                    cost = sum(
                        -math.log(p if c == int(label) else 1 - p) for c, p in enumerate(probabilities)
                    )
                    options.append((cost - 3 * math.log(iou + 1e-8), iou, place))
        best = sorted((iou for _, iou, _ in options), reverse=True)[:10]
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


@pytest.mark.parametrize(("seed", "count", "batch"), [(0, 1, 1), (1, 12, 2), (2, 60, 2), (3, 80, 3)])
def test_equals_the_definition(seed: int, count: int, batch: int) -> None:
    levels, targets = make_levels(batch, 3, seed), make_targets(count, batch, seed)
    pairs = assign(levels, targets, ANCHORS, STRIDES)
    found = dict(zip(places(levels, pairs.flat), pairs.target_ids.tolist(), strict=True))
    assert found == slow_assign(levels, targets)
    assert len(found) == len(pairs)


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


@pytest.mark.parametrize(
    ("centre", "cells"),
    [
        ((20.0, 28.0), {(2, 3), (3, 3), (2, 4)}),
        ((17.0, 26.0), {(2, 3), (1, 3), (2, 2)}),
        ((1.0, 1.0), {(0, 0)}),
        ((63.0, 1.0), {(7, 0)}),
        ((63.0, 63.0), {(7, 7)}),
        ((64.0, 64.0), set()),
    ],
)
def test_candidate_cells(centre: tuple[float, float], cells: set[tuple[int, int]]) -> None:
    target = torch.tensor([[0.0, 0.0, *centre, 10.0, 10.0]])
    found = candidates([(8, 8)], target, torch.tensor([[[10.0, 10.0]]]), (8,))
    assert {
        tuple(map(int, xy)) for xy, ok in zip(found.cells_xy[0], found.valid[0], strict=True) if ok
    } == cells


@pytest.mark.parametrize(("side", "fits"), [(2.4, False), (2.6, True), (39.0, True), (40.0, False)])
def test_anchor_ratio(side: float, fits: bool) -> None:
    target = torch.tensor([[0.0, 0.0, 20.0, 20.0, side, 10.0]])
    assert bool(candidates([(8, 8)], target, torch.tensor([[[10.0, 10.0]]]), (8,)).valid.any()) == fits


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


def test_decoding_reaches_half_a_cell_beyond_its_own() -> None:
    raw = torch.tensor([[-50.0, 50.0, 50.0, -50.0]])
    box = decode_boxes(raw, torch.tensor([[2.0, 3.0]]), torch.tensor([[10.0, 20.0]]), torch.tensor([8.0]))
    assert torch.allclose(box, torch.tensor([[12.0, 36.0, 40.0, 0.0]]), atol=1e-5)
