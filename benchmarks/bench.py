"""What all cases share: the model's files, pictures, settings, and sessions that are opened once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from benchmarks.machine import cores
from benchmarks.measure import Contestant, interleave
from helpers.convert import Files, Recipe, convert
from helpers.detector import Detector
from helpers.download import find_checkpoint
from helpers.images import letterbox, to_tensor
from helpers.patches.filter import filter_candidates
from helpers.patches.ultralytics import to_ultralytics
from helpers.session import open_session

if TYPE_CHECKING:
    import numpy as np


LESSONS_SIZE = 640


class NotHereError(RuntimeError):
    """A case cannot be run on this machine; the message says why."""


@dataclass
class Bench:
    """One benchmark run.

    Attributes:
        model: blood-cells, an official name, or a checkpoint's path.
        size: Side of the network's input, pixels.
        rounds: Of interleaved runs.
        threads: Of every session that we open.
        folder: Where files made for the benchmark go.
        quick: Few, small steps: to see that it runs.
        peers: Whether other programs are asked, too.
        clock: `wall`, or `cpu`: processor time, which hardly notices what else the machine does. It says
            little about several threads, which wait for each other busily.
    """

    model: str = "blood-cells"
    size: int = 640
    rounds: int = 25
    threads: int = field(default_factory=cores)
    folder: Path = Path("build/benchmark")
    quick: bool = False
    peers: bool = True
    clock: str = "wall"

    def interleave(self, contestants: Mapping[str, Contestant], *, rounds: int) -> dict[str, list[float]]:
        """Interleaved runs by this run's clock."""
        clock = time.process_time if self.clock == "cpu" else time.perf_counter
        return interleave(contestants, rounds=rounds, clock=clock)

    @cached_property
    def checkpoint(self) -> Path:
        """The weights."""
        return find_checkpoint(self.model)

    def files(self, size: int | None = None) -> Files:
        """Every file of the model, made for an input of this size."""
        size = size or self.size
        recipe = Recipe((size, size), batched=True, half=True)
        return convert(self.checkpoint, self.folder / f"{size}", recipe=recipe)

    @cached_property
    def graphs(self) -> dict[str, onnx.ModelProto]:
        """The finished graph in its forms, by what a reader calls them."""
        from benchmarks.graphs import convolutions, guide_patch

        files = self.files()
        end2end, filtered = onnx.load(files.end2end), onnx.load(files.ultralytics)
        unfiltered = to_ultralytics(end2end).model
        return {
            "convolutions alone": convolutions(filtered),
            "ours, filtered by mask": filtered,
            "ours, filtered by top-K": filter_candidates(unfiltered, form="topk").model,
            "ours, unfiltered": unfiltered,
            "the guide's patch": guide_patch(end2end),
        }

    @cached_property
    def picture_bgr(self) -> np.ndarray:
        """A drawn smear, 640 x 480: the same on every machine."""
        from helpers.training.smears import draw_smear

        return draw_smear(9000, (640, 480)).image_bgr

    def tensor(self, size: int | None = None) -> np.ndarray:
        """The picture as the network eats it."""
        size = size or self.size
        return to_tensor(letterbox(self.picture_bgr, (size, size)).image_bgr)

    def session(self, model: onnx.ModelProto | Path) -> Any:
        """An ONNX Runtime session on the CPU, with this run's threads."""
        content = model if isinstance(model, Path) else model.SerializeToString()
        return open_session(content, providers="cpu", threads=self.threads)

    def detector(self, path: Path) -> Detector:
        """Our detector on a file, likewise."""
        return Detector(path, providers="cpu", threads=self.threads)

    @property
    def int8(self) -> Path:
        """The INT8 file, as lesson 07 makes it: calibrated, with what is sensitive left in FP32.

        Raises:
            NotHereError: a quick run, or another size than the lesson's.
        """
        if self.quick or self.size != LESSONS_SIZE:
            raise NotHereError(
                f"made at {LESSONS_SIZE} px only, and not in a quick run: calibration takes long"
            )
        return convert(self.checkpoint, recipe=Recipe(int8=True)).int8
