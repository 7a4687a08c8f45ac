"""What the tests on a GPU share: the machine's facts, boxes without partner, interleaved timing, the report.

Nothing here needs a GPU; tests/test_gpu_support.py holds it to account where there is none.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from helpers.artifacts import atomic_path
from helpers.convert import Files, Recipe, convert
from helpers.detections import Detections, iou_matrix
from helpers.detector import Detector
from helpers.engine import BuildReport
from helpers.table import Table

REPOSITORY = Path(__file__).parents[1]
DOUBLE = os.environ.get("YOLOV7_GPU_DOUBLE", "")  # 10.16 or 11.4: TensorRT's double instead of a GPU
THRESHOLD = 0.35
MARGIN = 0.02  # a box this far above the threshold must be on both sides
OVERLAP, SCORE = 0.95, 0.01  # and there it must look like this


def converted(checkpoint: Path, folder: Path, recipe: Recipe) -> Files:
    """`convert`; the double only says that there is a GPU, which torch must not hear while it exports."""
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        if DOUBLE:
            patch.setattr("torch.cuda.is_available", lambda: False)
        return convert(checkpoint, folder, recipe=recipe)


Note = Callable[[str], None]


@dataclass(frozen=True)
class Engines:
    """The bundled model: its files, and by precision the graphs and the engines built from them."""

    files: Files
    graphs: dict[str, Path]
    reports: dict[str, BuildReport]

    def detector(self, kind: str) -> Detector:
        """An engine, ready."""
        return Detector(self.reports[kind].path)


def without_partner(found: Detections, others: Detections, threshold: float = THRESHOLD) -> Detections:
    """Boxes of `found` that score the threshold + 0.02 and have no like in `others`.

    A like has the same class, an IoU of at least 0.95, and a score within 0.01.
    """
    sure = found[found.scores >= threshold + MARGIN]
    like = iou_matrix(sure.boxes_xyxy, others.boxes_xyxy) >= OVERLAP
    like &= np.abs(sure.scores[:, None] - others.scores) <= SCORE
    like &= sure.class_ids[:, None] == others.class_ids
    return sure[np.flatnonzero(~like.any(axis=1))]


@dataclass(frozen=True)
class Agreement:
    """How two stages agree over pictures: sure boxes on both sides, and those without partner."""

    sure: int
    alone: int
    pictures: tuple[str, ...]  # those with a box alone

    @staticmethod
    def of(pairs: Mapping[str, tuple[Detections, Detections]], threshold: float = THRESHOLD) -> Agreement:
        """Over pictures by name: what either stage found."""
        sure = alone = 0
        pictures = []
        for name, (a, b) in pairs.items():
            count = len(without_partner(a, b, threshold)) + len(without_partner(b, a, threshold))
            sure += int((a.scores >= threshold + MARGIN).sum() + (b.scores >= threshold + MARGIN).sum())
            alone += count
            pictures += [name] * bool(count)
        return Agreement(sure, alone, tuple(pictures))


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds of each call, one of each a round, so that a slow moment meets them all alike."""
    for call in calls.values():
        for _ in range(warm_up):
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        names = list(calls)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            begun = clock()
            calls[name]()
            taken[name].append(1000 * (clock() - begun))
    return taken


@dataclass(frozen=True)
class Row:
    """What was timed, beside the times."""

    what: str
    runtime: str
    precision: str
    cuda_graph: bool
    letterbox: bool


@dataclass
class Latency:
    """The report: facts of the machine, what was timed and how, milliseconds."""

    machine: dict[str, str]
    rounds: int
    warm_up: int
    rows: list[tuple[Row, list[float]]] = field(default_factory=list)

    def table(self) -> Table:
        """A row a path: median, the middle half, pictures a second."""
        header = (
            "what",
            "runtime",
            "precision",
            "CUDA graph",
            "letterbox",
            "median ms",
            "middle half",
            "1/s",
        )
        rows = []
        for row, taken in sorted(self.rows, key=lambda entry: statistics.median(entry[1])):
            low, median, high = np.percentile(taken, (25, 50, 75))
            graph, boxed = ("yes" if row.cuda_graph else "no"), ("in" if row.letterbox else "out")
            figures = (f"{median:.2f}", f"{low:.2f} to {high:.2f}", f"{1000 / median:.0f}")
            rows.append((row.what, row.runtime, row.precision, graph, boxed, *figures))
        return Table(header, tuple(rows))

    def write(self, folder: Path) -> Path:
        """`latency.json`, and the same to read, `latency.txt`."""
        folder.mkdir(parents=True, exist_ok=True)
        entries: list[dict[str, Any]] = [
            {**vars(row), "median_ms": statistics.median(taken), "ms": taken} for row, taken in self.rows
        ]
        facts = {"machine": self.machine, "rounds": self.rounds, "warm_up": self.warm_up, "rows": entries}
        with atomic_path(folder / "latency.json") as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        lines = [f"{key}: {value}" for key, value in self.machine.items()]
        lines.append(f"{self.rounds} rounds, interleaved, after {self.warm_up} calls each to warm up")
        with atomic_path(folder / "latency.txt") as temporary:
            temporary.write_text("\n".join([*lines, "", str(self.table()), ""]), encoding="utf-8")
        return folder / "latency.json"


def machine() -> dict[str, str]:
    """GPU, driver, versions."""
    import torch

    facts = {
        "GPU": torch.cuda.get_device_name(),
        "driver": driver(),
        "CUDA of torch": str(torch.version.cuda),
    }
    names = ("tensorrt", "onnxruntime-gpu", "onnxruntime", "torch", "ultralytics", "onnx")
    facts |= {name: version(name) for name in names if version(name)}
    return facts | {"Python": platform.python_version(), "system": platform.platform()}


def version(name: str) -> str:
    """Of an installed package; empty where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def driver() -> str:
    """NVIDIA's driver, as nvidia-smi says it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else "unknown"
