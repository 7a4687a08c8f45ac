"""Anchors against the data: do the boxes that the head starts from fit the objects, and which fit better.

An object can be learned at an anchor when no side differs by a factor of four or more. The *best possible
recall* is the share of objects that have such an anchor. Below 0.98 new anchors are worth their price (the
head has to unlearn the old ones): k-means over the objects' sizes, then many small random changes, of which
those are kept that fit better. That is the procedure of this family of detectors since YOLOv5; the k-means
here is in logarithms, where a factor of two is as far up as down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from helpers.network import Network
    from helpers.rows import Anchors
    from helpers.training.samples import Sample

__all__ = ["AnchorCheck", "check_anchors", "fit_anchors", "object_sizes", "set_anchors"]

ENOUGH = 0.98
"""Best possible recall from which anchors are left as they are."""

Sizes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AnchorCheck:
    """How well anchors fit objects.

    Attributes:
        recall: share of the objects that some anchor fits; 1 without objects.
        per_object: how many anchors fit an object, on average.
        fit: mean over the objects of the best anchor's worse side ratio, 1 for a perfect fit.
        objects: how many were looked at.
    """

    recall: float
    per_object: float
    fit: float
    objects: int

    @property
    def enough(self) -> bool:
        """No new anchors are needed."""
        return self.recall >= ENOUGH

    def __str__(self) -> str:
        """One line."""
        return (
            f"anchors: best possible recall {self.recall:.3f}, {self.per_object:.1f} anchors an object, "
            f"fit {self.fit:.2f} ({self.objects} objects)"
        )


def object_sizes(samples: Iterable[Sample], canvas: int) -> Sizes:
    """Widths and heights `[n,2]` of all objects, in pixels of an input of `canvas` pixels.

    >>> import numpy as np
    >>> from helpers.training.samples import Sample
    >>> sample = Sample.of(np.zeros((240, 320, 3), np.uint8), [[10, 10, 40, 30]], [0])
    >>> object_sizes([sample], 640).tolist()
    [[60.0, 40.0]]
    """
    sizes = [np.zeros((0, 2))]
    for sample in samples:
        sides = sample.boxes_xyxy[:, 2:] - sample.boxes_xyxy[:, :2]
        sizes.append(sides.astype(np.float64) * canvas / max(sample.size_wh))
    return np.concatenate(sizes)


def check_anchors(sizes_wh: Sizes, anchors_px: Anchors, max_ratio: float = 4.0) -> AnchorCheck:
    """Hold anchors against objects.

    Args:
        sizes_wh: `[n,2]` objects in pixels of the input.
        anchors_px: per level, widths and heights in pixels of the input.
        max_ratio: an anchor fits while no side differs by this factor or more.

    >>> check_anchors(np.array([[10.0, 20.0], [90.0, 10.0]]), (((10.0, 10.0),),)).recall
    0.5
    """
    if not len(sizes_wh):
        return AnchorCheck(1.0, 0.0, 0.0, 0)
    closeness = _closeness(sizes_wh, np.array(anchors_px).reshape(-1, 2))
    fits = closeness > 1 / max_ratio
    best = np.where(fits, closeness, 0).max(1)
    return AnchorCheck(float(fits.any(1).mean()), float(fits.sum(1).mean()), float(best.mean()), len(best))


def _closeness(sizes_wh: Sizes, anchors_wh: Sizes) -> Sizes:
    """`[n,k]`: the worse side's ratio of each object and anchor, the smaller side over the larger."""
    ratio = sizes_wh[:, None] / anchors_wh[None]
    return np.asarray(np.minimum(ratio, 1 / np.maximum(ratio, 1e-9)).min(2), np.float64)


def fit_anchors(
    sizes_wh: Sizes, anchors_px: Anchors, *, max_ratio: float = 4.0, changes: int = 1000, seed: int = 0
) -> Anchors:
    """Anchors that fit the objects better; the given ones where none were found.

    Args:
        sizes_wh: `[n,2]` objects in pixels of the input.
        anchors_px: the present anchors: how many, on how many levels.
        max_ratio: an anchor fits while no side differs by this factor or more.
        changes: random changes to try.
        seed: of everything random.

    Returns:
        As many levels and anchors as given, small ones on the first level.

    >>> sizes = np.array([[30.0, 90.0], [31.0, 88.0], [60.0, 60.0]])
    >>> check_anchors(sizes, fit_anchors(sizes, (((1.0, 1.0), (2.0, 2.0)),))).recall
    1.0
    """
    sizes_wh = sizes_wh[(sizes_wh > 1).all(1)]
    levels, per_level = len(anchors_px), len(anchors_px[0])
    if not len(sizes_wh):
        return anchors_px
    rng = np.random.default_rng(seed)
    sizes_wh = sizes_wh[rng.permutation(len(sizes_wh))[:5000]]
    best = _cluster(sizes_wh, levels * per_level, rng)
    best_score = _score(sizes_wh, best, max_ratio)
    for _ in range(changes):
        factor = np.exp(rng.normal(0, 0.1, best.shape) * (rng.random(best.shape) < 0.9 * rng.random()))
        changed = np.maximum(best * factor, 2.0)
        if (score := _score(sizes_wh, changed, max_ratio)) > best_score:
            best, best_score = changed, score
    if best_score <= _score(sizes_wh, np.array(anchors_px).reshape(-1, 2), max_ratio):
        return anchors_px
    ordered = best[best.prod(1).argsort(kind="stable")].round(1).reshape(levels, per_level, 2)
    return tuple(tuple((w, h) for w, h in level) for level in ordered.tolist())


def _cluster(sizes_wh: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """Centres `[count,2]` by k-means in logarithms; few objects are repeated with a little noise."""
    points = np.tile(np.log(sizes_wh), (1 + 20 * count // len(sizes_wh), 1))
    points = (points + rng.normal(0, 0.03, points.shape)).astype(np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    labels = np.zeros((len(points), 1), np.int32)
    _, _, centres = cv2.kmeans(points, count, labels, criteria, 5, cv2.KMEANS_PP_CENTERS)
    return np.exp(centres.astype(np.float64))


def _score(sizes_wh: Sizes, anchors_wh: Sizes, max_ratio: float) -> float:
    closeness = _closeness(sizes_wh, anchors_wh).max(1)
    return float((closeness * (closeness > 1 / max_ratio)).mean())


def set_anchors(network: Network, anchors_px: Sequence[Sequence[Sequence[float]]]) -> None:
    """Give a network other anchors, in place: in its head, and in the description that is saved with it.

    Raises:
        ValueError: another number of levels or of anchors.

    >>> from helpers.training.start import start_training
    >>> network = start_training("", ["cell"], width_multiple=0.125).network
    >>> set_anchors(network, [[[9, 9], [20, 20], [30, 30]]] * 3)
    >>> network.anchors_px[0, 1].tolist(), network.architecture.anchors_px[2][0]
    ([20.0, 20.0], (9.0, 9.0))
    """
    wanted = np.array(network.architecture.anchors_px).shape
    found = np.array(anchors_px, np.float64)
    if found.shape != wanted:
        raise ValueError(
            f"anchors_px: expected {list(wanted)} numbers, got {list(found.shape)}; keep the shape"
        )
    anchors = tuple(tuple((w, h) for w, h in level) for level in found.tolist())
    network.architecture = replace(network.architecture, anchors_px=anchors)
    grid = torch.tensor(anchors, dtype=network.head.anchor_grid.dtype)
    strides = torch.tensor(network.strides, dtype=grid.dtype).view(-1, 1, 1)
    network.head.anchor_grid.copy_(grid.view(network.head.anchor_grid.shape))
    network.head.anchors.copy_(grid / strides)
