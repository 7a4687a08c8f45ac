"""Boxes at random, with many overlaps, for comparisons with another evaluator."""

from __future__ import annotations

import numpy as np

from helpers.detections import Detections


def some(rng: np.random.Generator, count: int, classes: int = 3) -> Detections:
    """`count` boxes in a picture of about 120x120, crowded enough to overlap."""
    low, size = rng.uniform(0, 60, (count, 2)), rng.uniform(10, 60, (count, 2))
    return Detections(
        np.hstack([low, low + size]), rng.uniform(0.01, 1, count), rng.integers(0, classes, count)
    )


def pictures(seed: int, count: int = 20) -> tuple[list[Detections], list[Detections]]:
    """Truth and findings of some pictures: half of the findings are objects, moved a little."""
    rng = np.random.default_rng(seed)
    truth = [some(rng, int(rng.integers(0, 9))) for _ in range(count)]
    found = []
    for objects in truth:
        near = objects.boxes_xyxy + rng.normal(0, 3, (len(objects), 4))
        more = some(rng, int(rng.integers(0, 12)))
        found.append(
            Detections(
                np.vstack([near, more.boxes_xyxy]),
                np.concatenate([rng.uniform(0.1, 1, len(objects)), more.scores]),
                np.concatenate([objects.class_ids, more.class_ids]),
            )
        )
    return truth, found
