"""Frames of a video, one at a time, in and out."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from helpers.artifacts import atomic_path
from helpers.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["frame_rate", "read_frames", "write_video"]

CODECS = {".mp4": "mp4v", ".webm": "VP80", ".avi": "MJPG", ".mkv": "mp4v", ".mov": "mp4v"}


@contextmanager
def _opened(path: str | Path) -> Iterator[cv2.VideoCapture]:
    if not Path(path).is_file():
        raise ImageError(f"{path}: expected a video file, found no file there; check the path")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise ImageError(
                f"{path}: expected a video file; OpenCV cannot read this one ({Path(path).suffix})"
            )
        yield capture
    finally:
        capture.release()


def frame_rate(path: str | Path) -> float:
    """Frames per second of a video; 25 where the file does not say."""
    with _opened(path) as capture:
        return float(capture.get(cv2.CAP_PROP_FPS)) or 25.0


def read_frames(path: str | Path, *, every: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames of a video, `(number from 0, image_bgr)`; `every=3` gives the frames 0, 3, 6, ...

    Raises:
        ImageError: the file is missing or no video that OpenCV reads.
    """
    if every < 1:
        raise ValueError(f"every: expected at least 1, got {every}")
    with _opened(path) as capture:
        number = 0
        while capture.grab():
            if number % every == 0:
                done, image_bgr = capture.retrieve()
                if not done:
                    return
                yield number, np.asarray(image_bgr, np.uint8)
            number += 1


def write_video(
    path: str | Path, images_bgr: Iterable[NDArray[np.uint8]], *, frames_per_second: float = 25.0
) -> int:
    """Write frames of one size as a video, atomically; the suffix picks the codec. Returns their number.

    Raises:
        ImageError: an unknown suffix, no frames, or frames of different sizes.
    """
    path = Path(path)
    if path.suffix.lower() not in CODECS:
        raise ImageError(f"{path}: no codec for the suffix {path.suffix!r}; use one of {' '.join(CODECS)}")
    with atomic_path(path) as temporary:
        count = _write_frames(path, temporary, images_bgr, frames_per_second)
        if not count:
            raise ImageError(f"{path}: no frames to write")
    return count


def _write_frames(
    path: Path, temporary: Path, images_bgr: Iterable[NDArray[np.uint8]], frames_per_second: float
) -> int:
    """Write frames to `temporary`, which errors call `path`; returns their number."""
    writer, size_wh, count = None, (0, 0), 0
    try:
        for image_bgr in images_bgr:
            got_wh = (image_bgr.shape[1], image_bgr.shape[0])
            if writer is None:
                size_wh = got_wh
                code = cv2.VideoWriter.fourcc(*CODECS[path.suffix.lower()])
                writer = cv2.VideoWriter(str(temporary), code, frames_per_second, size_wh)
                if not writer.isOpened():
                    raise ImageError(f"{path}: this OpenCV cannot write {path.suffix}; use .avi")
            if got_wh != size_wh:
                raise ImageError(
                    f"{path}: expected frames of {size_wh} pixels, got {got_wh} at frame {count}"
                )
            writer.write(image_bgr)
            count += 1
    finally:
        if writer is not None:
            writer.release()
    return count
