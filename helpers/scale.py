"""Thousands of pictures through one graph, on every core of one machine or of many, with Ray Data.

The folder is cut into parts. A pool of workers, each a process with a session of its own, takes a part at a
time and writes a Parquet file for it; only names and counts pass through Ray, so memory does not grow with
the folder. Without an address Ray runs on this machine for as long as the job; with one, the same code runs
on that cluster, whose machines must have this package and see both folders under the same paths.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any
from uuid import uuid4

from helpers.artifacts import Manifest, sha256
from helpers.scale_cluster import OBJECT_STORE_BYTES, cluster
from helpers.scale_parts import Picture, Results, ScaleError, list_pictures, package, part_name
from helpers.scale_worker import Job, Worker

__all__ = ["ScaleError", "Summary", "best_model", "cluster", "count_names", "detect_folder", "read_results"]

Progress = Callable[[int, int], None]
PART_SIZE = 64
DEATHS = 20  # of one worker, or over one part, before the job is given up


@dataclass(frozen=True)
class Summary:
    """What one run did.

    Attributes:
        pictures: Files in the folder.
        before: Of these, done by earlier runs.
        done: Done by this run.
        errors: Of the last, how many have an error instead of boxes.
        boxes: Found by this run.
        workers: How many processes took part.
        seconds: Wall time, with starting everything.
        working_s: From the first part's beginning to the last part's end.
    """

    pictures: int
    before: int
    done: int = 0
    errors: int = 0
    boxes: int = 0
    workers: int = 0
    seconds: float = 0.0
    working_s: float = 0.0

    @property
    def pictures_per_s(self) -> float:
        """Throughput while the workers were at work.

        >>> Summary(10, 2, done=8, working_s=4.0).pictures_per_s
        2.0
        """
        return self.done / self.working_s if self.working_s else 0.0

    def __str__(self) -> str:
        """One line, without times.

        >>> print(Summary(10, 2, done=8, errors=1, boxes=70))
        10 pictures: 2 done before, 8 done now (1 with an error), 70 boxes
        """
        return (
            f"{self.pictures} pictures: {self.before} done before, {self.done} done now "
            f"({self.errors} with an error), {self.boxes} boxes"
        )


def detect_folder(
    pictures: str | Path,
    model: str | Path,
    results: str | Path,
    *,
    workers: int | None = None,
    address: str | None = None,
    batch_size: int = 8,
    threads: int = 1,
    gpus: float = 0.0,
    part_size: int | None = None,
    score_threshold: float = 0.0,
    progress: Progress = lambda _done, _of: None,
) -> Summary:
    """Look at every picture of a folder that has no row in the results yet.

    Args:
        pictures: A folder; the folders below it belong to it.
        model: A finished `.onnx` file; see `best_model`.
        results: Where the Parquet files go, or already are.
        workers: Processes; by default one for every `threads` cores.
        address: A Ray cluster's, such as `ray://head:10001` or `auto`; `None` is this machine alone.
        batch_size: Pictures in one run of the graph, where its batch is free.
        threads: Of each worker. One gives the most pictures a second on a CPU.
        gpus: Of each worker, in Ray's count; 0 keeps it on the CPU.
        part_size: Pictures in one Parquet file, which is what a kill can lose per worker.
        score_threshold: Boxes must score more than this.
        progress: Called with pictures done and pictures to do, after every part.

    Raises:
        ImportError: Ray Data is not installed (extra `scale`).
        ImageError: No pictures.
        DetectorError: The model is no finished detector.
        ScaleError: The results belong to another job or another run is at them, or workers keep dying.
        ValueError: A number below 1.
    """
    _at_least_one(workers=workers, batch_size=batch_size, threads=threads, part_size=part_size)
    started, out, model = time.perf_counter(), Results(Path(results).absolute()), Path(model)
    listed = list_pictures(pictures)
    job = Job(
        uuid4().hex, str(Path(pictures).absolute()), str(out.folder), _checked(model), score_threshold,
        batch_size, threads, "cuda" if gpus else "cpu",
    )  # fmt: skip
    package("ray.data")
    same = {"pictures": job.pictures, "model": job.model, "score_threshold": job.score_threshold}
    with out.opened(same):
        done = out.done()
        left = [picture for picture in listed if picture not in done]
        out.drop(picture.path for picture in left)
        summary = Summary(len(listed), len(listed) - len(left), len(left))
        if not left:
            return summary
        store = OBJECT_STORE_BYTES + 2 * model.stat().st_size
        with cluster(address, workers=workers, threads=threads, object_store_bytes=store) as ray:
            pool = _pool(ray, workers, threads, alone=address is None)
            parts = _parts(left, part_size or min(PART_SIZE, ceil(len(left) / (4 * pool))))
            pool = min(pool, len(parts))
            told = []
            for row in _work(ray, job, model, parts, range(pool if address is None else 1, pool + 1), gpus):
                told.append(row)
                progress(sum(row["pictures"] for row in told), len(left))
    return _summary(summary, told, time.perf_counter() - started)


def _at_least_one(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")


def _checked(model: Path) -> str:
    """The hash of a file that this package can open as a finished detector."""
    from helpers.detector import Detector

    Detector(model, providers="cpu", threads=1)
    return sha256(model)


def _parts(pictures: Sequence[Picture], size: int) -> list[dict[str, Any]]:
    """Rows for Ray: `name` and the pictures of a part, column by column."""
    chunks = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    columns = ("path", "bytes", "modified_ns")
    return [
        {"name": part_name(chunk), **{c: [getattr(p, c) for p in chunk] for c in columns}} for chunk in chunks
    ]


def _pool(ray: Any, workers: int | None, threads: int, *, alone: bool) -> int:
    """How many workers; on this machine no more than it has room for: the rest would wait for ever."""
    room = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    return (min(workers, room) if alone else workers) if workers else room


class _RayWorker:
    """A `Worker` whose model comes out of Ray's object store, once per process."""

    def __init__(self, job: Job, model: Any) -> None:
        import cv2

        cv2.setNumThreads(job.threads)
        self._worker = Worker(job, package("ray").get(model))

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        return self._worker(part)


def _work(
    ray: Any, job: Job, model: Path, parts: list[dict[str, Any]], pool: range, gpus: float
) -> Iterator[dict[str, Any]]:
    """What each part's worker says, as parts are finished."""
    data, wanted = package("ray.data"), {"num_gpus": gpus} if gpus else {"num_cpus": job.threads}
    compute = data.ActorPoolStrategy(
        min_size=pool.start, max_size=pool.stop - 1, max_tasks_in_flight_per_actor=2
    )
    dataset = data.from_items(parts, override_num_blocks=min(len(parts), 10_000)).map(
        _RayWorker, fn_constructor_args=(job, ray.put(model.read_bytes())), compute=compute, **wanted,
        max_restarts=DEATHS, max_task_retries=DEATHS,
    )  # fmt: skip
    try:
        yield from dataset.iter_rows()
    except ray.exceptions.RayError as error:
        said = str(getattr(error, "cause", None) or error).strip().splitlines()
        raise ScaleError(
            f"a worker failed: {said[-1] if said else type(error).__name__}; "
            "parts that were finished stay: cure the cause and call again"
        ) from error


def _summary(plan: Summary, told: Sequence[dict[str, Any]], seconds: float) -> Summary:
    return replace(
        plan, done=sum(row["pictures"] for row in told), errors=sum(row["errors"] for row in told),
        boxes=sum(row["boxes"] for row in told), workers=len({row["worker"] for row in told}),
        seconds=seconds,
        working_s=max(row["ended"] for row in told) - min(row["started"] for row in told),
    )  # fmt: skip


def best_model(model: str | Path) -> Path:
    """For many pictures: a current `<m>-batched.onnx` beside `<m>-ultralytics.onnx`, else the latter.

    >>> best_model("build/none/none-ultralytics.onnx").name
    'none-ultralytics.onnx'
    """
    path = Path(model)
    batched = path.with_name(path.name.replace("-ultralytics.onnx", "-batched.onnx"))
    if batched == path or not batched.is_file() or Manifest(path.parent).state(batched) != "current":
        return path
    return batched


def read_results(results: str | Path) -> Any:
    """All rows of a folder of results, a `pyarrow.Table` in the order of the paths; it may be at work still.

    Raises:
        ImportError: pyarrow is not installed (extra `scale`).
        ScaleError: A file in it cannot be read.
    """
    return Results(Path(results)).table()


def count_names(table: Any) -> dict[str, int]:
    """Boxes per class of a table of results, most first."""
    names = Counter(name for row in table["names"].to_pylist() for name in row)
    return dict(names.most_common())
