"""The painters and the camera, on maps small enough to reason about."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.training import staining
from helpers.training.smears import PLATELET, RED, WHITE, Cell

DISC = np.full(720, 20.0)


def rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def empty(size_wh=(64, 64)):
    return {stain: np.zeros(size_wh[::-1], np.float32) for stain in staining.STAINS}


def patch(kind=RED, centre_xy=(32.0, 32.0), size_wh=(64, 64)):
    return staining.Patch(Cell(kind, centre_xy, 20.0, DISC), size_wh)


def test_patch_measures_in_radii():
    cut = patch()
    assert cut.window == (slice(4, 60), slice(4, 60))
    middle = cut.rho.shape[0] // 2
    assert cut.rho[middle, middle] < 0.05
    assert cut.inside[middle, middle] == 1
    assert cut.inside[0, 0] == 0
    np.testing.assert_allclose(cut.rho, np.hypot(cut.x, cut.y), atol=1e-5)


@pytest.mark.parametrize("centre_xy", [(0.0, 0.0), (64.0, 64.0), (-15.0, 30.0), (30.0, 79.0)])
def test_cells_at_the_border_stay_inside_the_maps(centre_xy):
    for kind, paint in ((WHITE, staining.paint_white), (PLATELET, staining.paint_platelet)):
        maps = empty()
        paint(maps, patch(kind, centre_xy), rng())
        assert all(np.isfinite(layer).all() for layer in maps.values())
    maps = empty()
    staining.paint_red(maps, patch(RED, centre_xy), rng(), 1.0, speckled=True)
    assert maps["haem"].any()


def test_turned_coordinates():
    cut = patch()
    along, across = cut.turned(0.5, 0.0, np.pi / 2)
    np.testing.assert_allclose(along, cut.y, atol=1e-6)
    np.testing.assert_allclose(across, 0.5 - cut.x, atol=1e-6)


@pytest.mark.parametrize("grain", [2.6, 4.0, 11.0])
def test_noise_covers_the_patch(grain):
    noise = patch().noise(rng(), grain)
    assert noise.shape == patch().x.shape
    assert 0.3 < noise.std() < 1.3


def test_a_white_cell_hides_what_lies_under_it():
    maps = empty()
    maps["haem"][:] = 1
    staining.paint_white(maps, patch(WHITE), rng())
    assert maps["haem"][32, 32] == 0
    assert maps["haem"][0, 0] == 1
    assert maps["nucleus"].max() > 0.5


def test_overlaps_are_darker_though_not_twice_as_dark():
    light = []
    for density in (0.0, 1.0, 2.0):
        maps = empty()
        maps["haem"][:] = density
        light.append(np.log(staining.expose(maps, rng()).mean()))
    assert light[0] > light[1] > light[2]
    assert light[1] - light[2] < 0.7 * (light[0] - light[1])


def test_photograph_is_eight_bit_and_clipped():
    bright = staining.photograph(np.full((40, 50, 3), 300, np.float32), rng())
    assert (bright.dtype, bright.shape) == (np.uint8, (40, 50, 3))
    assert np.median(bright) == 255
