"""Augmentation: boxes stay on their cells through every turn, and a seed gives the same picture again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from helpers.training import augmentation
from helpers.training.augmentation import DEFAULT, PAD_VALUE, Jitter, collate, fit, mosaic, recolour, single
from helpers.training.datasets import Sample

STILL = Jitter(scale=0, translate=0, hue=0, saturation=0, value=0)
COLOURS = ((0, 0, 255), (0, 255, 0), (255, 0, 0))


def rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def painted(boxes, class_ids, size_wh=(160, 120)):
    """A white picture with a filled rectangle of its class's colour in each box."""
    image = np.full((size_wh[1], size_wh[0], 3), 255, np.uint8)
    for (x0, y0, x1, y1), class_id in zip(boxes, class_ids, strict=True):
        image[y0:y1, x0:x1] = COLOURS[class_id]
    return Sample.of(image, boxes, class_ids)


def extent(sample, class_id, slice_=np.s_[:, :]):
    """Box of the pixels of one class's colour."""
    offset = np.array(COLOURS[class_id]) - sample.image_bgr[slice_].astype(int)
    y, x = np.nonzero(np.abs(offset).max(-1) < 128)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def test_empty_pictures():
    empty = painted([], [])
    for result in (fit(empty, 64), single(empty, 64, rng()), mosaic([empty] * 4, 64, rng())):
        assert result.image_bgr.shape == (64, 64, 3)
        assert result.image_bgr.dtype == np.uint8
        assert result.boxes_xyxy.shape == (0, 4)
    images, targets = collate([fit(empty, 64)])
    assert (images.shape, targets.shape) == ((1, 3, 64, 64), (0, 6))


@pytest.mark.parametrize("size", [64, 97, 160, 320])
@pytest.mark.parametrize("size_wh", [(160, 120), (120, 160), (100, 100), (200, 31)])
def test_fit_keeps_boxes_on_the_pixels(size, size_wh):
    sample = fit(painted([[20, 5, 80, 30]], [0], size_wh), size)
    assert sample.size_wh == (size, size)
    np.testing.assert_allclose(extent(sample, 0), sample.boxes_xyxy[0], atol=1.0)
    if size_wh != (100, 100):
        assert sample.image_bgr[0, 0].tolist() == [PAD_VALUE] * 3


@pytest.mark.parametrize("seed", range(16))
def test_single_keeps_boxes_on_the_pixels(seed):
    sample = single(painted([[30, 40, 70, 60], [90, 20, 120, 100]], [0, 2]), 200, rng(seed), STILL)
    assert sample.class_ids.tolist() == [0, 2]
    for box, class_id in zip(sample.boxes_xyxy, sample.class_ids, strict=True):
        np.testing.assert_allclose(extent(sample, class_id), box, atol=1.0)


def test_all_eight_symmetries_occur():
    sample = painted([[0, 0, 30, 10]], [1], (100, 100))
    places = {
        tuple(np.rint(single(sample, 100, rng(seed), STILL).boxes_xyxy[0]).astype(int)) for seed in range(80)
    }
    assert len(places) == 8
    assert {tuple(np.array([x1 - x0, y1 - y0])) for x0, y0, x1, y1 in places} == {(30, 10), (10, 30)}


@pytest.mark.parametrize("seed", range(12))
def test_mosaic_keeps_boxes_on_the_pixels(seed):
    four = [painted([[40, 30, 110, 90]], [index % 3], (160, 120)) for index in range(4)]
    still = dataclasses.replace(DEFAULT, hue=0, saturation=0, value=0)
    sample = mosaic([*four[:3], painted([], [])], 256, rng(seed), still)
    assert sample.size_wh == (256, 256)
    assert (sample.boxes_xyxy >= 0).all()
    assert (sample.boxes_xyxy <= 256).all()
    for box, class_id in zip(sample.boxes_xyxy, sample.class_ids, strict=True):
        np.testing.assert_allclose(extent(sample, class_id), box, atol=1.5)


def test_mosaic_wants_four():
    with pytest.raises(ValueError, match="expected four for a mosaic, got 3"):
        mosaic([painted([], [])] * 3, 64, rng())


def test_the_seed_decides_and_inputs_are_left_alone():
    sample = painted([[40, 30, 110, 90]], [0])
    before = sample.image_bgr.copy()
    first, again, other = (mosaic([sample] * 4, 128, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image_bgr, again.image_bgr)
    np.testing.assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)
    assert (first.image_bgr != other.image_bgr).any()
    np.testing.assert_array_equal(sample.image_bgr, before)


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ([0, 0, 100, 100], True),
        ([0, 0, 100, 15], True),
        ([0, 0, 100, 14], False),
        ([0, 0, 40, 40], True),
        ([0, 0, 12.4, 100], False),
        ([0, 0, 0, 100], False),
        ([0, 0, 100, 0], False),
    ],
)
def test_remnants_are_dropped(cut, kept):
    whole = np.array([[0, 0, 100, 100.0]])
    assert augmentation._kept(whole, np.array([cut], float), DEFAULT).tolist() == [kept]


def test_tiny_and_long_boxes():
    thin, tiny = np.array([[0, 0, 5, 100.0]]), np.array([[0, 0, 2.5, 2.5]])
    assert augmentation._kept(thin, thin, DEFAULT).tolist() == [True]  # whole, so its shape is its own
    assert augmentation._kept(tiny, tiny, DEFAULT).tolist() == [False]


def test_recolour():
    image = rng().integers(0, 256, (20, 30, 3)).astype(np.uint8)
    unchanged = recolour(image, rng(), STILL).astype(int)
    assert np.abs(unchanged - image).max() <= 6  # eight-bit hue and saturation, there and back
    changed = recolour(image, rng(3), Jitter(value=0.5))
    assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
    assert abs(changed.mean() - image.mean()) > 3
    grey = np.full((4, 4, 3), 120, np.uint8)
    assert (recolour(grey, rng(1), Jitter(value=0)) == 120).all()  # grey has no hue to turn


def test_collate_rgb_and_targets():
    first = painted([[2, 4, 10, 8]], [0], (32, 32))
    second = painted([[0, 0, 32, 32], [1, 1, 3, 5]], [2, 1], (32, 32))
    images, targets = collate([first, painted([], [], (32, 32)), second])
    assert (images.shape, images.dtype, targets.dtype) == ((3, 3, 32, 32), np.float32, np.float32)
    assert images[0, :, 5, 5].tolist() == [1, 0, 0]  # red first
    assert (images.min(), images.max()) == (0, 1)
    assert targets.tolist() == [[0, 0, 6, 6, 8, 4], [2, 2, 16, 16, 32, 32], [2, 1, 2, 3, 2, 4]]


@pytest.mark.parametrize("sizes", [[], [(32, 32), (32, 64)]])
def test_collate_wants_one_size(sizes):
    with pytest.raises(ValueError, match="all of one size"):
        collate([painted([], [], size_wh) for size_wh in sizes])
