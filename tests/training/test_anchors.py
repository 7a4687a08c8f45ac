"""Anchors against objects: recall by hand, refitting that helps, and writing them into a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.checkpoint import Checkpoint
from helpers.family import COCO_ANCHORS_TINY
from helpers.network import build_network
from helpers.training.anchors import check_anchors, fit_anchors, object_sizes, set_anchors
from helpers.training.samples import Sample
from helpers.training.start import start_training

SMALL = np.exp(np.random.default_rng(3).normal([1.2, 2.6], 0.3, (400, 2)))  # about 3 by 13 pixels


def test_no_objects() -> None:
    nothing = object_sizes([], 640)
    assert nothing.shape == (0, 2)
    assert check_anchors(nothing, COCO_ANCHORS_TINY).enough
    assert fit_anchors(nothing, COCO_ANCHORS_TINY) == COCO_ANCHORS_TINY


def test_sizes_are_those_of_the_input() -> None:
    tall = Sample.of(np.zeros((400, 100, 3), np.uint8), [[0, 0, 10, 40], [1, 1, 3, 2]], [0, 0])
    assert object_sizes([tall, tall], 640).tolist() == [[16, 64], [3.2, 1.6]] * 2


@pytest.mark.parametrize(
    ("size", "fits"), [((10, 10), 2), ((39, 4), 1), ((40, 4), 0), ((41, 10), 1), ((3, 3), 1), ((2, 9), 0)]
)
def test_which_anchors_fit(size: tuple[float, float], fits: int) -> None:
    anchors = (((10.0, 10.0),), ((20.0, 20.0),))
    check = check_anchors(np.array([size], float), anchors)
    assert (check.per_object, check.recall, check.objects) == (fits, fits > 0, 1)


def test_the_fit_by_hand() -> None:
    check = check_anchors(np.array([[10.0, 5.0], [100.0, 1.0]]), (((10.0, 10.0),),))
    assert (check.recall, check.fit, check.enough) == (0.5, 0.25, False)
    assert str(check) == "anchors: best possible recall 0.500, 0.5 anchors an object, fit 0.25 (2 objects)"


def test_refitted_anchors_fit_better_and_lie_small_to_large() -> None:
    before = check_anchors(SMALL, COCO_ANCHORS_TINY)
    fitted = fit_anchors(SMALL, COCO_ANCHORS_TINY)
    after = check_anchors(SMALL, fitted)
    assert not before.enough
    assert after.recall > 0.99
    assert after.fit > 0.8 > before.fit
    areas = np.array(fitted).prod(-1)
    assert areas.shape == (3, 3)
    assert (np.diff(areas.ravel()) >= 0).all()
    assert fit_anchors(SMALL, COCO_ANCHORS_TINY) == fitted


def test_random_changes_help() -> None:
    fits = [check_anchors(SMALL, fit_anchors(SMALL, COCO_ANCHORS_TINY, changes=n)).fit for n in (0, 300)]
    assert fits[1] > fits[0]


def test_what_fits_already_is_left() -> None:
    perfect = (((10.0, 20.0), (30.0, 40.0)),)
    assert fit_anchors(np.array([[10.0, 20.0], [30.0, 40.0]] * 5), perfect) == perfect


@pytest.mark.parametrize("count", [1, 2, 8])
def test_fewer_objects_than_anchors(count: int) -> None:
    assert check_anchors(SMALL[:count], fit_anchors(SMALL[:count], COCO_ANCHORS_TINY)).recall == 1


def test_they_are_in_the_head_and_in_what_is_saved() -> None:
    network = start_training("", ["x"], width_multiple=0.125).network
    pictures = torch.rand(1, 3, 64, 64)
    before = network(pictures)
    wider = (np.array(COCO_ANCHORS_TINY) * [2.0, 3.0]).tolist()
    set_anchors(network, wider)
    after = network(pictures)
    assert torch.allclose(after[..., 2:4], before[..., 2:4] * torch.tensor([2.0, 3.0]), rtol=1e-5)
    assert torch.equal(after[..., :2], before[..., :2])
    rebuilt = build_network(Checkpoint(network.architecture, network.state_dict()))
    assert torch.equal(rebuilt(pictures), after)
    fresh = build_network(network.architecture)
    assert torch.equal(fresh.head.anchors, network.head.anchors)
    assert torch.equal(fresh.anchors_px, network.anchors_px)


def test_another_number_of_anchors_is_refused() -> None:
    network = start_training("", ["x"], width_multiple=0.125).network
    with pytest.raises(ValueError, match=r"expected \[3, 3, 2\] numbers, got \[1, 3, 2\]"):
        set_anchors(network, [[[1, 2]] * 3])
