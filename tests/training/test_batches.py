"""Batches depend on seed and step alone, and follow the plan of the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.training.batches import Batches, BatchRecipe, window
from helpers.training.datasets import Sample

RECIPE = BatchRecipe(batch=2, size=96, canvas=128, steps=100, drawn_pool=3)


def sample(grey: int) -> Sample:
    return Sample.of(np.full((96, 128, 3), grey, np.uint8), [[20, 20, 60, 60], [70, 30, 110, 80]], [0, 1])


def test_nothing_to_take_from() -> None:
    with pytest.raises(ValueError, match="got neither"):
        Batches(RECIPE, [])


@pytest.mark.parametrize("step", [0, 50, 90, 99])
def test_a_batch_is_a_function_of_its_step(step: int) -> None:
    first = Batches(RECIPE, [sample(90), sample(200)], sample)[step]
    other = Batches(RECIPE, [sample(90), sample(200)], sample)
    assert len(other) == 100
    other[3]
    assert all(torch.equal(a, b) for a, b in zip(first, other[step], strict=True))
    assert not torch.equal(first[0], Batches(RECIPE, [sample(91)], None)[step][0])


def test_sizes_follow_the_plan() -> None:
    batches = Batches(RECIPE, [sample(90)])
    sizes = [tuple(batches[step][0].shape[2:]) for step in range(100)]
    assert {side for pair in sizes[:94] for side in pair} <= {32, 64, 96, 128}
    assert set(sizes[95:]) == {(128, 128)}


def test_share_of_photographs() -> None:
    drawn: list[int] = []

    def draw(seed: int) -> Sample:
        drawn.append(seed)
        return sample(0)

    for step in range(10):
        Batches(BatchRecipe(batch=2, size=96, canvas=128, steps=100, real_fraction=1.0), [sample(90)], draw)[
            step
        ]
    assert drawn == []
    batches = Batches(BatchRecipe(batch=2, size=96, canvas=128, steps=100, drawn_pool=3), [], draw)
    for step in range(10):
        batches[step]
    assert sorted(drawn) == [0, 1, 2]  # each is drawn once, then kept


def test_window_clips_and_drops() -> None:
    boxes = [[0, 0, 40, 10], [0, 0, 4, 4], [36, 6, 40, 10]]
    cut = window(Sample.of(np.zeros((10, 40, 3), np.uint8), boxes, [0, 1, 2]), 10, np.random.default_rng(0))
    assert cut.size_wh == (10, 10)
    assert 0 in cut.class_ids or len(cut) == 0
    assert (cut.boxes_xyxy >= 0).all()
    assert (cut.boxes_xyxy <= 10).all()


def test_window_larger_than_the_picture_is_the_picture() -> None:
    whole = sample(5)
    cut = window(whole, 500, np.random.default_rng(0))
    assert cut.size_wh == whole.size_wh
    assert cut.boxes_xyxy.tolist() == whole.boxes_xyxy.tolist()


def test_window_without_boxes() -> None:
    assert len(window(Sample.of(np.zeros((9, 9, 3), np.uint8), [], []), 5, np.random.default_rng(0))) == 0
