"""Batches for training, each a function of its step number alone.

Batch `i` is drawn from a generator seeded with `(seed, i)`, so a run that was interrupted goes on with
exactly the batches it would have seen, and any number of worker processes give the same run.

Pictures are magnified as they will be at detection (`canvas` pixels for the longer side), and the network
trains on smaller *windows* of that canvas: cheaper steps, cells of the right size. The last steps see whole
pictures, letterboxed as at detection, without mosaics; `rectangular` leaves most of the grey bars away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from helpers.training.augmentation import DEFAULT, Jitter, collate, mosaic, single
from helpers.training.datasets import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BatchRecipe", "Batches", "rectangle", "window"]

CALM = Jitter(scale=0.2, translate=0.05, hue=0.01, saturation=0.25, value=0.15)


@dataclass(frozen=True)
class BatchRecipe:
    """What a batch is made of.

    Attributes:
        batch: pictures per batch.
        size: middle of the window sizes, in pixels; windows differ by up to 64 pixels from step to step.
        canvas: side at which pictures are magnified, the input size at detection.
        steps: length of the whole run.
        real_fraction: share of photographs; the rest is drawn.
        mosaic: probability of a mosaic.
        calm_fraction: share of the run, at its end, without mosaics.
        whole_fraction: share of the run, at its end, on whole pictures of `canvas` pixels.
        rectangular: whole pictures lie in a rectangle of their shape, a batch lengthwise or upright, with
            grey bars of at least 8 pixels: 640x512 instead of 640x640 for pictures of 640x480.
        upright: the pictures have an up: they are mirrored left and right, and never turned.
        drawn_pool: how many different drawn pictures there are.
        seed: of everything random.
        source: what the pictures are and what the run starts from, in words; a run is not gone on from with
            another one.
    """

    batch: int = 8
    size: int = 416
    canvas: int = 640
    steps: int = 6000
    real_fraction: float = 0.7
    mosaic: float = 0.8
    calm_fraction: float = 0.15
    whole_fraction: float = 0.06
    rectangular: bool = False
    upright: bool = False
    drawn_pool: int = 300
    seed: int = 0
    source: str = ""


def window(sample: Sample, size: int, rng: np.random.Generator, min_kept: float = 0.25) -> Sample:
    """Cut a random square window; boxes are clipped, remnants under `min_kept` of their area dropped.

    >>> import numpy as np
    >>> whole = Sample.of(np.zeros((8, 8, 3), np.uint8), [[0, 0, 8, 8]], [2])
    >>> cut = window(whole, 6, np.random.default_rng(0))
    >>> cut.size_wh, cut.boxes_xyxy.tolist()
    ((6, 6), [[0.0, 0.0, 6.0, 6.0]])
    """
    width, height = sample.size_wh
    left, top = (int(rng.integers(0, max(side - size, 0) + 1)) for side in (width, height))
    moved = sample.boxes_xyxy - np.array([left, top, left, top], np.float32)
    limit = np.array([min(size, width), min(size, height)] * 2, np.float32)
    cut = np.clip(moved, 0, limit)
    before, after = ((box[:, 2:] - box[:, :2]) for box in (moved, cut))
    kept = (after.prod(1) >= min_kept * np.maximum(before.prod(1), 1e-9)) & (after.min(1, initial=1e9) >= 3)
    return Sample.of(
        sample.image_bgr[top : top + size, left : left + size], cut[kept], sample.class_ids[kept]
    )


def rectangle(
    sizes_wh: Sequence[tuple[int, int]], canvas: int, bar: int = 8, *, upright: bool = False
) -> tuple[int, int]:
    """Width and height of the smallest rectangle that pictures fit in, in multiples of 32.

    Args:
        sizes_wh: the pictures' sizes in pixels, at least one.
        canvas: length of their longer sides.
        bar: pixels to leave free along a shorter side, so that borders look as they do at detection.
        upright: the pictures may not be turned; otherwise all lie lengthwise.

    >>> rectangle([(640, 480), (300, 400)], 640), rectangle([(9, 9)], 640)
    ((640, 512), (640, 640))
    >>> rectangle([(480, 640)], 640, upright=True), rectangle([(640, 480), (300, 400)], 640, upright=True)
    ((512, 640), (640, 640))
    """
    lying = [size if upright else (max(size), min(size)) for size in sizes_wh]
    sides = [max(size[axis] / max(size) for size in lying) * canvas for axis in (0, 1)]
    wide, high = (min(canvas, 32 * math.ceil((side + 2 * bar) / 32)) for side in sides)
    return wide, high


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of a run, by step.

    Args:
        recipe: what a batch is made of.
        real: photographs; may be empty when something draws.
        draw: makes a picture from a seed, or None.

    Raises:
        ValueError: there is nothing to take pictures from.
    """

    def __init__(
        self, recipe: BatchRecipe, real: Sequence[Sample], draw: Callable[[int], Sample] | None = None
    ) -> None:
        if not len(real) and draw is None:
            raise ValueError(
                "real, draw: expected photographs or something that draws, got neither; pass one"
            )
        self.recipe, self._real, self._draw = recipe, real, draw
        self._jitter, self._small_jitter = (replace(j, upright=recipe.upright) for j in (DEFAULT, CALM))
        self._drawn: dict[int, Sample] = {}

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """`images_nchw[B,3,S,S]` float32 and `targets[T,6]` of a step."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, step])
        left = 1 - step / recipe.steps
        size = recipe.size + 32 * int(rng.integers(-2, 3))
        make = self._calm if left <= recipe.calm_fraction else self._lively
        if left <= recipe.whole_fraction:
            samples = self._whole(rng)
        else:
            samples = [window(make(rng), min(size, recipe.canvas), rng) for _ in range(recipe.batch)]
        images_nchw, targets = collate(samples)
        return torch.from_numpy(images_nchw), torch.from_numpy(targets)

    def _whole(self, rng: np.random.Generator) -> list[Sample]:
        canvas = self.recipe.canvas
        picked = [self._pick(rng) for _ in range(self.recipe.batch)]
        size_wh = None
        if self.recipe.rectangular:
            size_wh = rectangle([sample.size_wh for sample in picked], canvas, upright=self.recipe.upright)
            size_wh = size_wh if self.recipe.upright or rng.random() < 0.5 else (size_wh[1], size_wh[0])
        return [single(sample, canvas, rng, self._small_jitter, size_wh) for sample in picked]

    def _calm(self, rng: np.random.Generator) -> Sample:
        return single(self._pick(rng), self.recipe.canvas, rng, self._small_jitter)

    def _lively(self, rng: np.random.Generator) -> Sample:
        if rng.random() < self.recipe.mosaic:
            return mosaic([self._pick(rng) for _ in range(4)], self.recipe.canvas, rng, self._jitter)
        return single(self._pick(rng), self.recipe.canvas, rng, self._jitter)

    def _pick(self, rng: np.random.Generator) -> Sample:
        real = self._draw is None or rng.random() < self.recipe.real_fraction
        if real and len(self._real):
            return self._real[int(rng.integers(len(self._real)))]
        seed = int(rng.integers(self.recipe.drawn_pool))
        if seed not in self._drawn and self._draw is not None:
            self._drawn[seed] = self._draw(seed)
        return self._drawn[seed]
