"""What one worker does: read a part's pictures ahead, run them in batches, write its Parquet file.

Knows nothing of Ray. A worker that dies is started again by whoever started it; its part is then looked at
one picture at a time, so that a picture that kills its worker costs one row and not the job.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any

from helpers import __version__
from helpers.artifacts import atomic_path
from helpers.detections import Detections, class_name
from helpers.images import ImageError, load_image
from helpers.scale_parts import Picture, Results

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from helpers.detector import Detector

__all__ = ["Job", "Worker"]

DIED = "the worker died while it looked at this picture alone"


@dataclass(frozen=True)
class Job:
    """What all workers of one run share.

    Attributes:
        run: A name of this run; notes of other runs mean nothing to it.
        pictures: The folder of pictures, as every machine sees it.
        results: The folder of results, likewise.
        model: SHA-256 of the model's file.
        score_threshold: Boxes must score more than this.
        batch_size: Pictures in one run of the graph, where its batch is free.
        threads: Of ONNX Runtime, and of the reader.
        providers: Of ONNX Runtime; `None` takes CUDA where it works.
    """

    run: str
    pictures: str
    results: str
    model: str
    score_threshold: float = 0.0
    batch_size: int = 8
    threads: int = 1
    providers: str | None = None


class Worker:
    """One session, open for as long as the worker lives.

    Args:
        job: What to do with each part.
        model: The `.onnx` file's bytes.
    """

    def __init__(self, job: Job, model: bytes) -> None:
        import onnxruntime

        from helpers.detector import Detector

        self.job = job
        self.detector: Detector = Detector(
            model, providers=job.providers, score_threshold=job.score_threshold, threads=job.threads
        )
        self.batch = self.detector.batch or job.batch_size
        self.results = Results(Path(job.results))
        self.versions = f"yolov7-graph-surgery {__version__}, onnxruntime {onnxruntime.__version__}"

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """Look at the pictures of one part and write its file.

        Args:
            part: `name`, and the pictures as columns `path`, `bytes`, `modified_ns`.

        Returns:
            What was done, in a few numbers: the boxes themselves are in the file.
        """
        started = time.time()
        columns = (part["path"], part["bytes"], part["modified_ns"])
        pictures = [Picture(str(p), int(b), int(m)) for p, b, m in zip(*columns, strict=True)]
        note = self.results.folder / "_running" / f"{part['name']}.json"
        blamed = self._blamed(note)
        if blamed is None:
            self._take_note(note, at=None, blamed=[])
            rows = [row for chunk in self._read(pictures) for row in self._rows(chunk)]
        else:
            rows = list(self._one_by_one(pictures, note, blamed))
        self.results.write(str(part["name"]), rows)
        note.unlink(missing_ok=True)
        return {
            "part": str(part["name"]), "pictures": len(rows),
            "boxes": sum(len(row["scores"]) for row in rows),
            "errors": sum(row["error"] is not None for row in rows), "worker": f"{node()}/{os.getpid()}",
            "started": started, "ended": time.time(),
        }  # fmt: skip

    def _blamed(self, note: Path) -> list[int] | None:
        """Pictures that killed a worker of this run, by position; None where nobody died over this part."""
        try:
            known = json.loads(note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if known["run"] != self.job.run:
            return None
        return [*known["blamed"], *([] if known["at"] is None else [known["at"]])]

    def _take_note(self, note: Path, *, at: int | None, blamed: list[int]) -> None:
        with atomic_path(note) as temporary:
            known = {"run": self.job.run, "pid": os.getpid(), "at": at, "blamed": blamed}
            temporary.write_text(json.dumps(known), "utf-8")

    def _one_by_one(
        self, pictures: Sequence[Picture], note: Path, blamed: list[int]
    ) -> Iterator[dict[str, Any]]:
        for at, picture in enumerate(pictures):
            if at in blamed:
                yield self._row(picture, None, DIED)
                continue
            self._take_note(note, at=at, blamed=blamed)
            yield from self._rows([(picture, self._load(picture))])

    def _read(self, pictures: Sequence[Picture]) -> Iterator[list[tuple[Picture, Any]]]:
        """Pictures in batches, read by other threads while the graph runs; at most three in memory."""
        with ThreadPoolExecutor(max(2, self.job.threads)) as pool:
            coming: deque[Any] = deque()
            left = iter(pictures)
            chunk: list[tuple[Picture, Any]] = []
            while True:
                while len(coming) < 2 * self.batch and (picture := next(left, None)):
                    coming.append((picture, pool.submit(self._load, picture)))
                if not coming:
                    break
                picture, future = coming.popleft()
                chunk.append((picture, future.result()))
                if len(chunk) == self.batch:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk

    def _load(self, picture: Picture) -> NDArray[np.uint8] | str:
        """The picture, or why it cannot be read."""
        path = Path(self.job.pictures) / picture.path
        try:
            return load_image(path)
        except (ImageError, MemoryError) as error:
            return str(error).removeprefix(f"{path}: ") or "not enough memory"

    def _rows(self, chunk: Sequence[tuple[Picture, NDArray[np.uint8] | str]]) -> list[dict[str, Any]]:
        found = iter(self._detect([image for _, image in chunk if not isinstance(image, str)]))
        rows = []
        for picture, image in chunk:
            answer = image if isinstance(image, str) else next(found)
            size = None if isinstance(image, str) else image.shape
            rows.append(self._row(picture, size, answer))
        return rows

    def _detect(self, images_bgr: list[NDArray[np.uint8]]) -> list[Detections | str]:
        """Boxes of each picture, or why there are none; a batch that fails is tried again one by one."""
        if not images_bgr:
            return []
        try:
            found = self.detector.detect_many(images_bgr, batch_size=len(images_bgr))
            return [result.detections for result in found]
        except _graph_errors() as error:
            if len(images_bgr) == 1:
                return [
                    f"the graph failed: {error}"
                    if str(error)
                    else f"the graph failed: {type(error).__name__}"
                ]
            return [answer for image in images_bgr for answer in self._detect([image])]

    def _row(self, picture: Picture, shape: Sequence[int] | None, answer: Detections | str) -> dict[str, Any]:
        found = Detections.empty() if isinstance(answer, str) else answer
        return {
            "path": picture.path, "bytes": picture.bytes, "modified_ns": picture.modified_ns,
            "width": shape[1] if shape else None, "height": shape[0] if shape else None,
            "boxes_xyxy": found.boxes_xyxy.tolist(), "scores": found.scores.tolist(),
            "class_ids": found.class_ids.tolist(),
            "names": [class_name(self.detector.names, index) for index in found.class_ids.tolist()],
            "error": answer if isinstance(answer, str) else None,
            "model": self.job.model, "versions": self.versions,
        }  # fmt: skip


def _graph_errors() -> tuple[type[Exception], ...]:
    """What a picture can make the graph, or what is around it, raise."""
    import cv2
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (getattr(state, kind) for kind in ("Fail", "InvalidArgument", "RuntimeException", "EPFail"))
    return (ValueError, RuntimeError, MemoryError, cv2.error, *kinds)
