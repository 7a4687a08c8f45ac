"""Pictures in, `Detections` out: one interface over ONNX Runtime and TensorRT.

Two output forms are understood: `[M, 7]` of the end-to-end graph (batch, x0, y0, x1, y1, class, score) and
`[B, S, 6]` of the patched graph (x0, y0, x1, y1, score, class; rows of zeros are padding). What goes in, a
tensor or the raw picture, is read from the graph (`helpers.feeds`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from helpers.detections import Detections
from helpers.drawing import draw
from helpers.feeds import Feed
from helpers.images import ImageError, Letterbox, check_image, find_images, load_image
from helpers.session import DetectorError, open_session, read_metadata
from helpers.video import frame_rate, read_frames, write_video

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Detector", "DetectorError", "PictureResult"]

Picture = NDArray[np.uint8] | str | Path
NO_PICTURE: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class PictureResult:
    """One picture and what was found in it.

    Attributes:
        path: the file it came from; None for an array.
        image_bgr: the picture, `uint8[H, W, 3]`; without pixels where it could not be read.
        detections: boxes in this picture's own pixels.
        error: why it could not be read; empty where all went well.
        frame: number of the video frame, from 0.
    """

    path: Path | None
    image_bgr: NDArray[np.uint8]
    detections: Detections
    error: str = ""
    frame: int = 0


class Detector:
    """A finished ONNX graph, or an engine built from one, ready to look at pictures.

    Args:
        path: the `.onnx` file, or the bytes of one; or a TensorRT `.engine`, which needs an NVIDIA GPU.
        providers: "cpu", "cuda", a list of ONNX Runtime providers, or None: CUDA where it works, else the CPU
            (always the CPU where `YOLOV7_HEADLESS` or `CI` is set).
        score_threshold: boxes must score more than this. It can only sharpen the threshold inside the graph.
        threads: of ONNX Runtime within one operator; 0 lets it choose.
        trust: load an engine that was not built here; loading one runs code that is in it.

    Raises:
        DetectorError: the file is no ONNX graph of a finished detector, "cuda" does not work here, or an
            engine is not known, of another TensorRT, or without a GPU.

    Attributes:
        names: class names from the file's metadata; empty where it has none.
        size_wh: width and height of the network's input, pixels.
        provider: the ONNX Runtime provider in use, or "TensorRT".
    """

    def __init__(
        self,
        path: str | Path | bytes,
        *,
        providers: str | Sequence[str] | None = None,
        score_threshold: float = 0.0,
        threads: int = 0,
        trust: bool = False,
    ) -> None:
        self.path = None if isinstance(path, bytes) else Path(path)
        self.score_threshold = score_threshold
        self._label = str(self.path or "model bytes")
        self._session = open_session(path, providers=providers, threads=threads, trust=trust)
        self.provider: str = self._session.get_providers()[0]
        self.metadata = read_metadata(self._session)
        names = self.metadata.get("names", ())
        self.names = tuple(str(name) for name in (names.values() if isinstance(names, dict) else names))
        self._feed = Feed.of(self._session, self.metadata, self._label)
        self.size_wh, self.batch = self._feed.size_wh, self._feed.batch
        self._read_output()

    def _read_output(self) -> None:
        outputs = self._session.get_outputs()
        shape = outputs[0].shape if len(outputs) == 1 else []
        got = ", ".join(f"{o.name} {o.shape}" for o in outputs)
        args = self.metadata.get("args")
        finished = isinstance(args, dict) and args.get("nms") is True
        if len(shape) == 3 and not finished and (shape[2] != 6 or shape[1] in _anchor_counts(self.size_wh)):
            raise DetectorError(
                f"{self._label}: its output {got} is raw predictions, before NMS; "
                "finish it first: python -m helpers patch FILE.onnx"
            )
        if (len(shape), shape[-1:]) not in ((2, [7]), (3, [6])):
            raise DetectorError(f"{self._label}: expected one output, [M, 7] or [B, slots, 6], got {got}")

    def detect(self, picture: Picture) -> Detections:
        """Find things in one picture (`uint8[H, W, 3]` in BGR order, or a file).

        Returns:
            Boxes in the picture's own pixels, inside it, best score first.

        Raises:
            ImageError: the picture cannot be read.
        """
        return self._detect_batch([_pixels(picture)])[0]

    def detect_many(
        self,
        source: Picture | Iterable[Picture],
        *,
        batch_size: int = 1,
        on_error: Literal["raise", "record"] = "raise",
    ) -> Iterator[PictureResult]:
        """Go through a file, a folder, a glob pattern, an array, or a list of files and arrays.

        Args:
            source: what to look at; folders are read in natural order (`img2` before `img10`).
            batch_size: pictures per run of the graph where its batch dimension is free.
            on_error: "record" makes a picture that cannot be read a result with `error` set, and goes on.
        """
        if on_error not in ("raise", "record"):
            raise ValueError(f'on_error: expected "raise" or "record", got {on_error!r}')
        if self.batch is None and batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        pictures = iter(_list(source))
        while chunk := list(islice(pictures, self.batch or batch_size)):
            loaded = [_load(picture, on_error) for picture in chunk]
            found = iter(self._detect_batch([result.image_bgr for result in loaded if not result.error]))
            for result in loaded:
                detections = result.detections if result.error else next(found)
                yield PictureResult(result.path, result.image_bgr, detections, result.error)

    def detect_video(self, path: str | Path, *, every: int = 1) -> Iterator[PictureResult]:
        """Go through a video, `every` so many frames; `result.frame` counts all frames from 0.

        Raises:
            ImageError: the file is missing or no video that OpenCV reads.
        """
        for frame, image_bgr in read_frames(path, every=every):
            yield PictureResult(Path(path), image_bgr, self.detect(image_bgr), frame=frame)

    def annotate_video(self, source: str | Path, target: str | Path, *, every: int = 1) -> int:
        """Write the video again with boxes drawn, at the same speed; returns the number of frames written."""
        results = self.detect_video(source, every=every)
        frames = (draw(result.image_bgr, result.detections, self.names) for result in results)
        return write_video(target, frames, frames_per_second=frame_rate(source) / every)

    def _detect_batch(self, images_bgr: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        if not images_bgr:
            return []
        feed, boxed = self._feed(images_bgr)
        output = np.asarray(self._session.run(None, feed)[0])
        return [self._in_picture(_rows(output, index), box) for index, box in enumerate(boxed)]

    def _in_picture(self, rows: NDArray[np.float64], box: Letterbox) -> Detections:
        found = Detections.from_rows(rows).above(self.score_threshold).sorted()
        if not self._feed.mapped:
            boxes_xyxy = box.boxes_to_picture(found.boxes_xyxy)
            found = Detections(boxes_xyxy, found.scores, found.class_ids)
        return found.clipped(box.picture_wh)


def _rows(output: NDArray[Any], index: int) -> NDArray[np.float64]:
    """Rows `[n, 6]` (x0, y0, x1, y1, score, class) of picture `index`, from either output form."""
    table = output.astype(np.float64)
    if table.ndim == 3:
        return np.asarray(table[index])
    return np.asarray(table[table[:, 0] == index][:, [1, 2, 3, 4, 6, 5]])


def _anchor_counts(size_wh: tuple[int, int]) -> set[int]:
    """Rows that a raw output of YOLOv7 has for this input: three anchors per cell, three or four levels."""
    cells = [3 * (size_wh[0] // stride) * (size_wh[1] // stride) for stride in (8, 16, 32, 64)]
    return {sum(cells[:3]), sum(cells)}


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    return load_image(picture) if isinstance(picture, str | Path) else check_image(picture)


def _list(source: Picture | Iterable[Picture]) -> Iterable[Picture]:
    if isinstance(source, np.ndarray):
        return [source]
    return find_images(source) if isinstance(source, str | Path) else source


def _load(picture: Picture, on_error: str) -> PictureResult:
    path = Path(picture) if isinstance(picture, str | Path) else None
    try:
        return PictureResult(path, _pixels(picture), Detections.empty())
    except ImageError as error:
        if on_error == "raise":
            raise
        return PictureResult(path, NO_PICTURE, Detections.empty(), str(error))
