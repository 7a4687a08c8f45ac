"""Where an object can be learned: cells and anchors on tiny grids, by hand."""

from __future__ import annotations

import pytest
import torch

from helpers.training.candidates import candidates, decode_boxes


def cells_of(centre: tuple[float, float], neighbours: int) -> set[tuple[int, ...]]:
    target = torch.tensor([[0.0, 0.0, *centre, 10.0, 10.0]])
    found = candidates([(8, 8)], target, torch.tensor([[[10.0, 10.0]]]), (8,), neighbours=neighbours)
    assert found.valid.shape == found.flat.shape == (1, 1 + neighbours)
    good = found.valid[0]
    assert found.flat[0][good].tolist() == [y * 8 + x for x, y in found.cells_xy[0][good].long().tolist()]
    return {tuple(xy) for xy in found.cells_xy[0][good].long().tolist()}


def test_no_objects_have_no_places() -> None:
    found = candidates([(8, 8), (4, 4)], torch.zeros(0, 6), torch.ones(2, 3, 2), (8, 16), neighbours=4)
    assert found.valid.shape == (0, 30)
    assert found.level_ids.tolist() == [0] * 15 + [1] * 15


@pytest.mark.parametrize(
    ("centre", "near", "coarse"),
    [
        ((20.0, 28.0), {(2, 3), (3, 3), (2, 4)}, {(1, 3), (2, 2)}),
        ((17.0, 26.0), {(2, 3), (1, 3), (2, 2)}, {(3, 3), (2, 4)}),
        ((1.0, 1.0), {(0, 0)}, {(1, 0), (0, 1)}),
        ((63.0, 1.0), {(7, 0)}, {(6, 0), (7, 1)}),
        ((63.0, 63.0), {(7, 7)}, {(6, 7), (7, 6)}),
        ((64.0, 64.0), set(), set()),
    ],
)
def test_candidate_cells(
    centre: tuple[float, float], near: set[tuple[int, int]], coarse: set[tuple[int, int]]
) -> None:
    assert cells_of(centre, 2) == near
    assert cells_of(centre, 4) == near | coarse


def test_another_number_of_neighbours() -> None:
    with pytest.raises(ValueError, match=r"neighbours: expected 2 .* got 3"):
        cells_of((4.0, 4.0), 3)


@pytest.mark.parametrize(("side", "fits"), [(2.4, False), (2.6, True), (39.0, True), (40.0, False)])
def test_anchor_ratio(side: float, fits: bool) -> None:
    target = torch.tensor([[0.0, 0.0, 20.0, 20.0, side, 10.0]])
    assert bool(candidates([(8, 8)], target, torch.tensor([[[10.0, 10.0]]]), (8,)).valid.any()) == fits


def test_decoding_reaches_half_a_cell_beyond_its_own() -> None:
    raw = torch.tensor([[-50.0, 50.0, 50.0, -50.0]])
    box = decode_boxes(raw, torch.tensor([[2.0, 3.0]]), torch.tensor([[10.0, 20.0]]), torch.tensor([8.0]))
    assert torch.allclose(box, torch.tensor([[12.0, 36.0, 40.0, 0.0]]), atol=1e-5)
