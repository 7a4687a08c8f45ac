"""Pictures for training: reduced once to the size at which they are looked at, kept while memory lasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from helpers.training.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from helpers.training.samples import Annotation

__all__ = ["PictureStore", "reduce"]


def reduce(sample: Sample, longest: int) -> Sample:
    """The sample itself, or reduced so that its longer side has `longest` pixels, as detection does it.

    >>> import numpy as np
    >>> photo = Sample.of(np.zeros((600, 800, 3), np.uint8), [[80, 60, 400, 300]], [0])
    >>> small = reduce(photo, 400)
    >>> small.size_wh, small.boxes_xyxy.tolist()
    ((400, 300), [[40.0, 30.0, 200.0, 150.0]])
    """
    width, height = sample.size_wh
    if max(width, height) <= longest:
        return sample
    scale = longest / max(width, height)
    new_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    image = cv2.resize(sample.image_bgr, new_wh, interpolation=cv2.INTER_LINEAR)
    stretch = np.array([new_wh[0] / width, new_wh[1] / height] * 2, np.float32)
    return Sample.of(image.astype(np.uint8, copy=False), sample.boxes_xyxy * stretch, sample.class_ids)


class PictureStore(Sequence[Sample]):
    """Samples of annotations, none larger than needed, as many kept as fit.

    Args:
        annotations: where the pictures are.
        longest: longer side to which larger pictures are reduced, in pixels.
        budget: bytes of pictures to keep; the others are read again each time.
    """

    def __init__(self, annotations: Sequence[Annotation], longest: int, budget: int = 2_000_000_000) -> None:
        self._annotations, self.longest, self._left = tuple(annotations), longest, budget
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._annotations)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample at `index`, reduced."""
        position = range(len(self))[index]
        if position in self._kept:
            return self._kept[position]
        sample = reduce(self._annotations[position].load(), self.longest)
        if sample.image_bgr.nbytes <= self._left:
            self._left -= sample.image_bgr.nbytes
            self._kept[position] = sample
        return sample

    def preload(self, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> PictureStore:
        """Read what fits now, so that forked workers share the memory; returns the store itself.

        Args:
            progress: wraps the picture numbers; `tqdm` is one.
        """
        for index in progress(range(len(self))):
            before = self._left
            self[index]
            if self._left == before and index not in self._kept:
                break
        self._left = 0  # workers that kept more would each keep their own
        return self
