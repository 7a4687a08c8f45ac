"""Drawn smears: the seed decides, the number is exact, boxes are tight, colours are the photographs'."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.training import staining
from helpers.training.datasets import CELL_NAMES, read_voc
from helpers.training.smears import PLATELET, RED, WHITE, draw_smear


def test_an_empty_slide():
    sample = draw_smear(0, cells=0)
    assert sample.image_bgr.shape == (480, 640, 3)
    assert sample.boxes_xyxy.shape == (0, 4)
    assert sample.image_bgr.mean() > 180
    assert sample.image_bgr.std((0, 1)).max() < 12


@pytest.mark.parametrize("cells", [1, 4, 8, 9, 30, 99, 100, 101, 300])
def test_the_number_is_exact(cells):
    sample = draw_smear(cells, (160, 120), cells=cells)
    assert len(sample) == cells
    boxes = sample.boxes_xyxy
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes >= 0).all()
    assert (boxes <= [160, 120, 160, 120]).all()
    assert np.bincount(sample.class_ids, minlength=3)[RED] >= cells / 3


@pytest.mark.parametrize("size_wh", [(32, 32), (33, 47), (640, 640), (320, 96)])
def test_any_size(size_wh):
    sample = draw_smear(3, size_wh)
    assert sample.size_wh == size_wh
    assert len(sample) >= 15


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 0, "cells": -1}, {"seed": 0, "size_wh": (640, 31)}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match="draw_smear: expected seed >= 0"):
        draw_smear(**wrong)


def test_the_seed_decides():
    first, again, other = (draw_smear(seed, (160, 120)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image_bgr, again.image_bgr)
    np.testing.assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)
    assert (first.image_bgr != other.image_bgr).any()


def test_all_classes_occur_and_kinds_have_their_sizes():
    samples = [draw_smear(seed, (320, 240)) for seed in range(12)]
    inside = [
        (class_id, *(box[2:] - box[:2]))
        for sample in samples
        for class_id, box in zip(sample.class_ids, sample.boxes_xyxy, strict=True)
        if (box[:2] > 0).all() and (box[2:] < [320, 240]).all()
    ]
    sizes = {kind: np.mean([row[1:] for row in inside if row[0] == kind]) * 2 for kind in range(3)}
    assert CELL_NAMES[PLATELET] == "Platelets"
    assert 80 < sizes[RED] < 125
    assert 120 < sizes[WHITE] < 240
    assert 25 < sizes[PLATELET] < 60


@pytest.mark.parametrize("seed", range(8))
def test_the_box_is_tight_around_a_lone_cell(seed, monkeypatch):
    """The stain that was laid on the slide reaches the four sides of the box, and no further."""
    seen = {}

    def expose(maps, rng):
        seen.update({stain: layer.copy() for stain, layer in maps.items()})
        return staining_expose(maps, rng)

    staining_expose = staining.expose
    monkeypatch.setattr(staining, "expose", expose)
    sample = draw_smear(seed, (320, 240), cells=1)
    y, x = np.nonzero(seen["haem"] > 0.1)
    found = x.min(), y.min(), x.max() + 1, y.max() + 1
    np.testing.assert_allclose(found, sample.boxes_xyxy[0], atol=2.5)


def test_colours_are_those_of_the_photographs(shared):
    """Background, red cells and nuclei: medians over pictures close to BCCD's."""
    photographs = [item.load() for item in read_voc(shared / "data/bccd", "train.txt")[::20]]
    drawn = [draw_smear(seed) for seed in range(len(photographs))]
    assert np.abs(_colours(photographs) - _colours(drawn)).max() < 15


def _colours(samples):
    """Background, then the middle half of red-cell pixels, then dark nucleus, `[3, 3]` BGR medians."""
    rows = []
    for sample in samples:
        image = sample.image_bgr.astype(float)
        bright = np.percentile(image.sum(-1), 80)
        row = [np.median(image[image.sum(-1) > bright], axis=0)]
        for kind, share in ((RED, 40), (WHITE, 20)):
            crops = [
                image[int(y0) : int(y1), int(x0) : int(x1)].reshape(-1, 3)
                for (x0, y0, x1, y1), class_id in zip(sample.boxes_xyxy, sample.class_ids, strict=True)
                if class_id == kind
            ]
            pixels = np.concatenate(crops) if crops else np.full((1, 3), np.nan)
            green = pixels[:, 1]
            row.append(
                np.median(pixels[green <= np.percentile(green, share)], axis=0) if crops else pixels[0]
            )
        rows.append(row)
    return np.nanmedian(np.array(rows), axis=0)
