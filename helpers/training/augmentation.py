"""Augmentation of labelled pictures: mosaic, affine jitter, flips, quarter turns, colour; numpy and cv2.

Every random choice is drawn from the `numpy.random.Generator` that the caller passes in, so a seed gives the
same batch again. Blood cells have no up, so all eight symmetries of the square are fair; for what has one,
`upright` leaves the mirror image alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from helpers.training.datasets import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

PAD_VALUE = 114
"""Grey of the border, the same as at inference."""


@dataclass(frozen=True)
class Jitter:
    """How far the random choices reach.

    Attributes:
        scale: the magnification is drawn from `1 - scale` to `1 + scale`, times that of the fit.
        translate: shift of the picture, as a fraction of the output size.
        hue: turn of the hue, as a fraction of a half circle.
        saturation: relative change of the saturation.
        value: relative change of the brightness.
        min_kept: a box is dropped when less than this fraction of its area is still inside.
        min_side: a box is dropped when a side is below this, in pixels.
        max_aspect: a cut box is dropped when one side is longer than the other by more than this.
        upright: mirror left and right only; no quarter turns, nothing upside down.
    """

    scale: float = 0.4
    translate: float = 0.1
    hue: float = 0.02
    saturation: float = 0.4
    value: float = 0.25
    min_kept: float = 0.15
    min_side: float = 3.0
    max_aspect: float = 8.0
    upright: bool = False


DEFAULT = Jitter()


def fit(sample: Sample, size: int) -> Sample:
    """Scale a picture into a square with grey borders, the boxes with it: the validation form.

    >>> import numpy as np
    >>> square = fit(Sample.of(np.zeros((48, 96, 3), np.uint8), [[0, 0, 96, 48]], [1]), 64)
    >>> square.size_wh, square.boxes_xyxy.tolist()
    ((64, 64), [[0.0, 16.0, 64.0, 48.0]])

    Args:
        sample: the picture.
        size: side of the result in pixels.

    Returns:
        A sample of `size` x `size` pixels.
    """
    width, height = sample.size_wh
    scale = min(size / width, size / height)
    new_wh = round(width * scale), round(height * scale)
    left, top = (size - new_wh[0]) // 2, (size - new_wh[1]) // 2
    image = np.full((size, size, 3), PAD_VALUE, np.uint8)
    image[top : top + new_wh[1], left : left + new_wh[0]] = cv2.resize(sample.image_bgr, new_wh)
    stretch = np.array([new_wh[0] / width, new_wh[1] / height], np.float32)
    boxes = sample.boxes_xyxy * np.tile(stretch, 2) + np.array([left, top] * 2, np.float32)
    return Sample.of(image, boxes, sample.class_ids)


def mosaic(
    samples: Sequence[Sample], size: int, rng: np.random.Generator, jitter: Jitter = DEFAULT
) -> Sample:
    """Put four pictures around a random centre, each scaled, shifted, turned and mirrored on its own.

    Each picture is warped straight into its tile, so no pixel is resampled twice and nothing larger than the
    result is ever made. At magnification 1 a picture's longer side is as long as the result.

    Args:
        samples: four pictures.
        size: side of the result in pixels.
        rng: source of every random choice.
        jitter: reach of the choices.

    Returns:
        A sample of `size` x `size` pixels; boxes are clipped to their tile, remnants are dropped.

    Raises:
        ValueError: other than four samples.

    Source: the mosaic of YOLOv4 (Bochkovskiy et al., 2020).
    """
    if len(samples) != 4:
        raise ValueError(f"samples: expected four for a mosaic, got {len(samples)}")
    image = np.empty((size, size, 3), np.uint8)
    column, row = (int(edge) for edge in rng.uniform(0.3, 0.7, 2) * size)
    tiles = (0, 0, column, row), (column, 0, size, row), (0, row, column, size), (column, row, size, size)
    parts = []
    for sample, tile in zip(samples, tiles, strict=True):
        parts.append(_warp_into(image, sample, tile, _matrix(sample, size, tile, rng, jitter), jitter))
    boxes = np.concatenate([part[0] for part in parts])
    return Sample.of(recolour(image, rng, jitter), boxes, np.concatenate([part[1] for part in parts]))


def single(
    sample: Sample,
    size: int,
    rng: np.random.Generator,
    jitter: Jitter = DEFAULT,
    size_wh: tuple[int, int] | None = None,
) -> Sample:
    """One picture in a square, scaled, shifted, turned, mirrored and recoloured: for the last epochs.

    Args:
        sample: the picture.
        size: how long its longer side becomes, before the jitter, in pixels; side of the square.
        rng: source of every random choice.
        jitter: reach of the choices.
        size_wh: size of the result instead of the square; the picture is turned to lie in it lengthwise.

    Returns:
        A sample of `size` x `size` pixels, or of `size_wh`.
    """
    wide, high = size_wh or (size, size)
    image, tile = np.empty((high, wide, 3), np.uint8), (0, 0, wide, high)
    along = (wide > high) == (sample.size_wh[0] >= sample.size_wh[1])
    turns = (0, 1, 2, 3) if wide == high else (0, 2) if along else (1, 3)
    matrix = _matrix(sample, size, tile, rng, jitter, turns)
    boxes, class_ids = _warp_into(image, sample, tile, matrix, jitter)
    return Sample.of(recolour(image, rng, jitter), boxes, class_ids)


def recolour(
    image_bgr: npt.NDArray[np.uint8], rng: np.random.Generator, jitter: Jitter = DEFAULT
) -> npt.NDArray[np.uint8]:
    """Turn the hue and scale saturation and brightness by one random draw, through lookup tables."""
    reach = np.array([jitter.hue, jitter.saturation, jitter.value])
    hue, saturation, value = rng.uniform(-1, 1, 3) * reach
    levels = np.arange(256, dtype=np.float64)
    tables = np.stack(
        [
            np.mod(np.rint(levels + hue * 180), 180),
            np.clip(np.rint(levels * (1 + saturation)), 0, 255),
            np.clip(np.rint(levels * (1 + value)), 0, 255),
        ],
        axis=-1,
    ).astype(np.uint8)
    hsv = cv2.LUT(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2HSV), tables[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR).astype(np.uint8, copy=False)


def collate(samples: Sequence[Sample]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Stack samples of one size into the arrays that the network and the loss take.

    >>> import numpy as np
    >>> images, targets = collate([Sample.of(np.zeros((8, 8, 3), np.uint8), [[1, 2, 5, 4]], [2])])
    >>> images.shape, targets.tolist()
    ((1, 3, 8, 8), [[0.0, 2.0, 3.0, 3.0, 4.0, 2.0]])

    Args:
        samples: at least one, all of one size.

    Returns:
        `images_nchw`, `float32[B, 3, H, W]`, RGB from 0 to 1, and `targets`, `float32[T, 6]`: picture index,
        class id, and centre x, centre y, width, height in pixels.

    Raises:
        ValueError: no samples, or sizes that differ.
    """
    sizes = sorted({sample.size_wh for sample in samples})
    if len(sizes) != 1:
        raise ValueError(
            f"samples: expected at least one, all of one size, got sizes {sizes}; use fit() first"
        )
    images = np.empty((len(samples), 3, sizes[0][1], sizes[0][0]), np.float32)
    rows = []
    for index, sample in enumerate(samples):
        np.multiply(sample.image_bgr[:, :, ::-1].transpose(2, 0, 1), np.float32(1 / 255), out=images[index])
        first, last = sample.boxes_xyxy[:, :2], sample.boxes_xyxy[:, 2:]
        head = np.column_stack([np.full(len(sample), index), sample.class_ids])
        rows.append(np.column_stack([head, (first + last) / 2, last - first]))
    return images, np.concatenate(rows).astype(np.float32)


def _matrix(
    sample: Sample,
    size: int,
    tile: tuple[int, int, int, int],
    rng: np.random.Generator,
    jitter: Jitter,
    turns: Sequence[int] = (0, 1, 2, 3),
) -> npt.NDArray[np.float64]:
    """Random affine map `[2, 3]` from the picture's pixels (edges, not centres) to those of the result."""
    width, height = sample.size_wh
    scale = size / max(width, height) * rng.uniform(1 - jitter.scale, 1 + jitter.scale)
    turn, mirror = turns[int(rng.integers(len(turns)))], rng.choice([-1, 1], 2)
    if jitter.upright:
        turn, mirror[1] = 0, 1
    linear = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turn) @ np.diag(mirror) * scale
    # A tile smaller than the picture shows a random part of it; a larger one has it roughly in the middle.
    middle = np.array([tile[0] + tile[2], tile[1] + tile[3]]) / 2
    room = np.abs(linear) @ [width, height] - np.array([tile[2] - tile[0], tile[3] - tile[1]])
    slack = np.maximum(room, 0) / 2 + jitter.translate * size * (room <= 0)
    centre = middle + rng.uniform(-1, 1, 2) * slack
    return np.column_stack([linear, centre - linear @ [width / 2, height / 2]])


def _warp_into(
    image: npt.NDArray[np.uint8],
    sample: Sample,
    tile: tuple[int, int, int, int],
    matrix: npt.NDArray[np.float64],
    jitter: Jitter,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw the mapped picture into a tile of `image`; return the boxes that are left, and their classes."""
    left, top, right, bottom = tile
    pixel = matrix.copy()
    # cv2 counts pixel centres, boxes count pixel edges: shift by half a pixel on both sides.
    pixel[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5 - np.array([left, top])
    image[top:bottom, left:right] = cv2.warpAffine(
        sample.image_bgr, pixel, (right - left, bottom - top),
        flags=cv2.INTER_LINEAR, borderValue=[PAD_VALUE] * 3,
    )  # fmt: skip
    corners = sample.boxes_xyxy.reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
    whole = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    cut = np.clip(whole, (left, top, left, top), (right, bottom, right, bottom))
    kept = _kept(whole, cut, jitter)
    return cut[kept].astype(np.float32), sample.class_ids[kept]


def _kept(
    whole: npt.NDArray[np.float64], cut: npt.NDArray[np.float64], jitter: Jitter
) -> npt.NDArray[np.bool_]:
    """Which boxes are still worth learning after they were cut: enough area, no slivers."""
    before, after = whole[:, 2:] - whole[:, :2], cut[:, 2:] - cut[:, :2]
    area = after.prod(1) / np.maximum(before.prod(1), 1e-9)
    short, long = after.min(1), after.max(1)
    sliver = (area < 0.999) & (long > jitter.max_aspect * np.maximum(short, 1e-9))
    return np.asarray((area >= jitter.min_kept) & (short >= jitter.min_side) & ~sliver)
