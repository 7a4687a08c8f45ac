"""The README's picture: a drawn smear beside what the bundled model finds in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from helpers.course.place import repository

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from helpers.detector import Detector

__all__ = ["PORTRAIT_SEED", "make_portrait", "portrait"]

PORTRAIT_SEED = 9005
MAX_BYTES = 118_000


def portrait(detector: Detector, seed: int = PORTRAIT_SEED, width: int = 620) -> NDArray[np.uint8]:
    """A drawn smear on the left, the same with the detector's boxes on the right: `uint8[H, W, 3]`.

    Args:
        detector: What looks at the picture.
        seed: Of the drawing.
        width: Of each half, pixels; drawn at twice that and made smaller, for smooth lines and letters.
    """
    import cv2
    import numpy as np

    from helpers.course.pictures import drawn
    from helpers.drawing import draw

    image_bgr = drawn(1, first_seed=seed)[0].image_bgr
    found = detector.detect(image_bgr)
    height, had = image_bgr.shape[:2]
    double = (2 * width, round(2 * width * height / had))
    large = np.asarray(cv2.resize(image_bgr, double, interpolation=cv2.INTER_CUBIC), np.uint8)
    boxes = type(found)(found.boxes_xyxy * (double[0] / had), found.scores, found.class_ids)
    halves = [
        np.asarray(cv2.resize(picture, (width, double[1] // 2), interpolation=cv2.INTER_AREA), np.uint8)
        for picture in (large, draw(large, boxes, detector.names))
    ]
    gutter = np.full((double[1] // 2, 8, 3), 255, np.uint8)
    return np.concatenate((halves[0], gutter, halves[1]), axis=1)


def make_portrait(path: str | Path | None = None, seed: int = PORTRAIT_SEED) -> Path:
    """Write the README's picture with the bundled model, at most 118 kB.

    Args:
        path: Where; `docs/result.jpg` of this repository by default.
        seed: Of the drawing.

    Returns:
        The file.
    """
    from helpers.artifacts import atomic_path
    from helpers.convert import convert
    from helpers.course.picker import CourseModel
    from helpers.detector import Detector
    from helpers.download import BUNDLED
    from helpers.drawing import encode_jpeg

    model = CourseModel(BUNDLED)
    files = convert(model.checkpoint, model.files.folder.parent)
    picture = portrait(Detector(files.ultralytics, providers="cpu"), seed)
    target = Path(path) if path else repository() / "docs" / "result.jpg"
    with atomic_path(target) as temporary:
        temporary.write_bytes(encode_jpeg(picture, quality=92, max_bytes=MAX_BYTES))
    return target
