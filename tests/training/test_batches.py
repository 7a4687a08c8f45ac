"""Batches depend on seed and step alone, and follow the plan of the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.training.batches import Batches, BatchRecipe, rectangle, window
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


@pytest.mark.parametrize(
    ("sizes_wh", "upright", "expected"),
    [
        ([(640, 480)], False, (640, 512)),
        ([(480, 640)], False, (640, 512)),
        ([(480, 640)], True, (512, 640)),
        ([(640, 480), (480, 640)], True, (640, 640)),
        ([(640, 464)], False, (640, 480)),
        ([(640, 466)], False, (640, 512)),
        ([(100, 50), (1000, 250)], False, (640, 352)),
        ([(64, 64)], False, (640, 640)),
    ],
)
def test_rectangle(sizes_wh: list[tuple[int, int]], upright: bool, expected: tuple[int, int]) -> None:
    assert rectangle(sizes_wh, 640, upright=upright) == expected


@pytest.mark.parametrize("upright", [False, True])
def test_whole_pictures_lie_in_rectangles(upright: bool) -> None:
    recipe = BatchRecipe(
        batch=2, size=96, canvas=128, steps=100, whole_fraction=1.0, rectangular=True, upright=upright
    )
    tall = Sample.of(np.full((128, 64, 3), 90, np.uint8), [[10, 20, 50, 90]], [1])
    batches = Batches(recipe, [tall])
    shapes = {tuple(batches[step][0].shape[2:]) for step in range(12)}
    assert shapes == ({(128, 96)} if upright else {(128, 96), (96, 128)})
    for step in range(12):
        images, targets = batches[step]
        lying = images.shape[3] > images.shape[2]
        assert bool(((targets[:, 4] > targets[:, 5]) == lying).all())
        assert len(targets) == 2
        assert float((images == 90 / 255).float().mean()) < 1  # some grey is left at the long sides


def test_what_has_an_up_is_never_turned() -> None:
    """A picture that is dark below stays so, in mosaics, windows and whole pictures."""
    image = np.full((128, 128, 3), 250, np.uint8)
    image[64:] = 5
    split = Sample.of(image, [[0, 0, 128, 64], [0, 64, 128, 128]], [0, 1])
    for fraction in (0.0, 1.0):
        recipe = BatchRecipe(
            batch=4, size=128, canvas=128, steps=40, mosaic=0.5, whole_fraction=fraction, upright=True
        )
        for step in range(0, 30, 3):
            images, targets = Batches(recipe, [split])[step]
            for picture, label, x, y, _, _ in targets.tolist():
                light = float(images[int(picture), :, int(y), int(x)].mean())
                assert (light < 0.4) == (label == 1)
            if fraction:
                tops = [targets[targets[:, 0] == picture] for picture in range(4)]
                for rows in tops:
                    assert float(rows[rows[:, 1] == 0, 3]) < float(rows[rows[:, 1] == 1, 3])
