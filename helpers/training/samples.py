"""Labelled pictures: a `Sample` in memory, an `Annotation` before its picture is read, many of them together.

Everything in `helpers.training` takes and gives samples. Boxes are corners in the picture's own pixels,
`boxes_xyxy[n, 4]`, class ids count from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from helpers.images import ImageError, load_image
from helpers.training.flaws import DatasetError, Flaw

__all__ = ["CELL_NAMES", "Annotation", "Sample", "Samples"]

CELL_NAMES: tuple[str, ...] = ("RBC", "WBC", "Platelets")
"""Class order of the bundled model `blood-cells`."""


@dataclass(frozen=True)
class Sample:
    """A picture with its labelled boxes.

    Attributes:
        image_bgr: `uint8[H, W, 3]`.
        boxes_xyxy: `float32[n, 4]`, left, top, right, bottom in pixels.
        class_ids: `int64[n]`.

    >>> import numpy as np
    >>> sample = Sample.of(np.zeros((48, 64, 3), np.uint8), [[1, 2, 30, 40]], [0])
    >>> sample.size_wh, len(sample)
    ((64, 48), 1)
    """

    image_bgr: npt.NDArray[np.uint8]
    boxes_xyxy: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not belong together."""
        shapes = (self.image_bgr.shape, self.boxes_xyxy.shape, self.class_ids.shape)
        count = len(self.class_ids)
        if self.image_bgr.ndim != 3 or shapes[0][2] != 3 or shapes[1:] != ((count, 4), (count,)):
            raise ValueError(
                f"Sample: expected image_bgr[H, W, 3], boxes_xyxy[n, 4], class_ids[n]; got shapes {shapes}"
            )

    @classmethod
    def of(
        cls, image_bgr: npt.NDArray[np.uint8], boxes_xyxy: npt.ArrayLike, class_ids: npt.ArrayLike
    ) -> Sample:
        """Build a sample from anything array-like, an empty list of boxes included."""
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        return cls(image_bgr, boxes, np.asarray(class_ids, np.int64).reshape(-1))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return self.image_bgr.shape[1], self.image_bgr.shape[0]

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.class_ids)


@dataclass(frozen=True)
class Annotation:
    """The labels of one picture, before the picture itself is read.

    Attributes:
        path: the picture.
        boxes_xyxy: `float32[n, 4]` in pixels.
        class_ids: `int64[n]`.
        flaws: labels of the file that were dropped.
    """

    path: Path
    boxes_xyxy: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    flaws: tuple[Flaw, ...] = ()

    def load(self) -> Sample:
        """Read the picture from the disk.

        Raises:
            DatasetError: the picture is missing or cannot be decoded.
        """
        try:
            return Sample.of(load_image(self.path), self.boxes_xyxy, self.class_ids)
        except ImageError as error:
            raise DatasetError(
                f"picture: expected a readable image, got: {error}. Fix: fetch the data set again"
            ) from error


class Samples(Sequence[Sample]):
    """Samples of a list of annotations, each picture decoded once and kept in memory.

    BCCD's 292 pictures of 640x480 take 270 MB. `preload()` decodes all of them before training, so
    that forked workers share the memory.
    """

    def __init__(self, annotations: Sequence[Annotation]) -> None:
        """Remember the annotations; nothing is read yet."""
        self.annotations = tuple(annotations)
        self._loaded: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample at `index`, read at the first request."""
        position = range(len(self))[index]
        if position not in self._loaded:
            self._loaded[position] = self.annotations[position].load()
        return self._loaded[position]

    def preload(self) -> Samples:
        """Decode every picture now, and return the samples themselves."""
        for index in range(len(self)):
            self[index]
        return self
