"""From a checked data set to trained weights in one call; what is not chosen is chosen from the data.

`Plan` says what the caller wants; `train_folder` starts the network, looks at the anchors, chooses windows,
trains, and measures the result on the validation pictures.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from helpers.export import check_size
from helpers.training.anchors import check_anchors, fit_anchors, object_sizes, set_anchors
from helpers.training.batches import Batches, BatchRecipe
from helpers.training.loop import TrainingConfig, TrainingResult, train
from helpers.training.picture_store import PictureStore
from helpers.training.start import Start, start_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from helpers.training.datasets import Dataset
    from helpers.training.evaluation import EvaluationReport

__all__ = ["Plan", "Trained", "choose_window", "train_folder"]

_RUNNING = 100  # pictures of a running evaluation, at most


@dataclass(frozen=True)
class Plan:
    """What to train, and how long.

    Attributes:
        out: folder of the run.
        start: checkpoint by name or path; "" starts from nothing.
        variant, width: what to build from nothing, and a factor on its channels.
        epochs: times through the training pictures.
        steps: steps of the optimiser, instead of epochs.
        batch, accumulate: pictures a batch, batches a step.
        size: input size at detection, in pixels.
        window: side of the training windows in pixels; None chooses by the objects' sizes.
        peak: highest learning rate; None is 0.002 from nothing, 0.001 from a checkpoint.
        mosaic: probability of a mosaic; a short run has no time for many.
        whole: share of the run, at its end, on whole pictures without mosaics.
        anchors: `check` refits those that do not fit, `keep` never, `fit` always.
        any_way_up: pictures may be turned.
        seed, device, workers, save_every: as in `TrainingConfig`.
        evaluate_every: steps; None is eight times a run, and every 500 steps at least.
        progress: show a bar.
    """

    out: Path
    start: str = ""
    variant: str = "yolov7-tiny"
    width: float = 1.0
    epochs: float = 100.0
    steps: int | None = None
    batch: int = 8
    accumulate: int = 1
    size: int = 640
    window: int | None = None
    peak: float | None = None
    mosaic: float = 0.8
    whole: float = 0.06
    anchors: str = "check"
    any_way_up: bool = False
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    evaluate_every: int | None = None
    save_every: int = 250
    progress: bool = True

    def count_steps(self, pictures: int) -> int:
        """Steps of the optimiser for so many training pictures.

        >>> from pathlib import Path
        >>> Plan(Path("a"), epochs=2, batch=4).count_steps(10)
        5
        """
        return self.steps or max(math.ceil(self.epochs * pictures / (self.batch * self.accumulate)), 1)


@dataclass(frozen=True)
class Trained:
    """What came out.

    Attributes:
        training: weights' files, history, steps.
        report: precision of `weights` on all validation pictures; None where training was interrupted.
        weights: the better of the last and the best weights.
        line: which of the two, in words.
    """

    training: TrainingResult
    report: EvaluationReport | None
    weights: Path
    line: str


def choose_window(sizes_wh: np.ndarray, size: int) -> int:
    """Side of the training windows: about two thirds of the input where the objects are small, else its own.

    >>> choose_window(np.full((9, 2), 90.0), 640), choose_window(np.full((9, 2), 300.0), 640)
    (416, 640)
    """
    window = 32 * round(0.65 * size / 32)
    small = len(sizes_wh) and np.quantile(sizes_wh.max(1), 0.95) < 0.5 * window
    return window if small else size


def train_folder(
    dataset: Dataset,
    plan: Plan,
    *,
    say: Callable[[object], None] | None = None,
    stop_at: int | None = None,
    on_log: Callable[[Mapping[str, object]], None] | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Trained:
    """Train a detector on a data set; called again with the same plan, it goes on where it stopped.

    Args:
        dataset: checked, see `helpers.training.datasets.open_dataset`.
        plan: what and how long.
        say: is given lines on what was chosen.
        stop_at: stop after this step, as an interruption would.
        on_log: as in `helpers.training.loop.train`.
        progress: wraps the picture numbers while they are read; `tqdm` is one.

    Raises:
        ImportError: the evaluator is not installed; said before the training, not after it.
        TrainingError, ValueError: see `train`, `start_training`, `check_size`.
    """
    if importlib.util.find_spec("faster_coco_eval") is None:
        raise ImportError("faster_coco_eval: expected for the evaluation, not installed")
    cv2.setNumThreads(0)
    pictures = PictureStore(dataset.splits["train"], plan.size).preload(progress)
    validation = PictureStore(dataset.splits["val"], max(plan.size, 10_000))
    start = start_training(
        plan.start, dataset.names, variant=plan.variant, width_multiple=plan.width, seed=plan.seed
    )
    check_size((plan.size, plan.size), max(start.network.strides))
    sizes = object_sizes(pictures, plan.size)
    steps = plan.count_steps(len(pictures))
    recipe = replace(_recipe(plan, steps, sizes), source=_source(dataset, plan))
    chosen = f"{steps} steps of {plan.batch * plan.accumulate} pictures, windows of {recipe.size} pixels"
    for line in (*start.report, *_settle_anchors(start, sizes, plan), chosen):
        if say is not None:
            say(line)
    thin = math.ceil(len(validation) / _RUNNING)
    shown = [validation[index] for index in range(0, len(validation), thin)]
    batches = Batches(recipe, pictures)
    result = train(_config(plan, steps), start.network, batches, shown, stop_at, on_log)
    if result.interrupted:
        return Trained(result, None, result.weights, "interrupted")
    return _measure(result, validation, dataset.names, plan.size)


def _source(dataset: Dataset, plan: Plan) -> str:
    """Labels to learn from, as a hash, and the start."""
    digest = hashlib.sha256(repr(dataset.names).encode())
    for each in dataset.splits["train"]:
        digest.update(each.path.name.encode() + each.boxes_xyxy.tobytes() + each.class_ids.tobytes())
    return f"labels {digest.hexdigest()[:8]} from {plan.start or 'nothing'}"


def _recipe(plan: Plan, steps: int, sizes_wh: np.ndarray) -> BatchRecipe:
    return BatchRecipe(
        batch=plan.batch, size=plan.window or choose_window(sizes_wh, plan.size), canvas=plan.size,
        steps=steps * plan.accumulate, real_fraction=1.0, rectangular=True, upright=not plan.any_way_up,
        mosaic=plan.mosaic, calm_fraction=max(0.15, plan.whole), whole_fraction=plan.whole, seed=plan.seed,
    )  # fmt: skip


def _config(plan: Plan, steps: int) -> TrainingConfig:
    peak = plan.peak or (0.001 if plan.start else 0.002)
    return TrainingConfig(
        plan.out, steps=steps, accumulate=plan.accumulate, peak=peak, warmup=min(200, steps // 10 + 1),
        decay=max(min(0.998, 1 - 5 / steps), 0.5), device=plan.device, workers=plan.workers,
        save_every=plan.save_every, evaluate_every=plan.evaluate_every or min(500, max(1, steps // 8)),
        evaluate_size=plan.size, progress=plan.progress, seed=plan.seed,
    )  # fmt: skip


def _settle_anchors(start: Start, sizes_wh: np.ndarray, plan: Plan) -> list[str]:
    """Check the anchors, refit them where that was asked for or is needed; what happened, as lines."""
    found = check_anchors(sizes_wh, start.network.architecture.anchors_px)
    lines = [str(found)]
    if plan.anchors == "fit" or (plan.anchors == "check" and not found.enough):
        fitted = fit_anchors(sizes_wh, start.network.architecture.anchors_px, seed=plan.seed)
        set_anchors(start.network, fitted)
        lines.append(f"refitted {check_anchors(sizes_wh, fitted)}")
    return lines


def _measure(result: TrainingResult, validation: PictureStore, names: tuple[str, ...], size: int) -> Trained:
    """Last against best weights, on all validation pictures."""
    from helpers.checkpoint import load_checkpoint
    from helpers.network import build_network
    from helpers.training.evaluation import evaluate
    from helpers.training.prediction import predictor

    last = evaluate(predictor(result.average, size), validation, names)
    if result.best is None:
        return Trained(result, last, result.weights, "the last weights:")
    best = load_checkpoint(result.best)
    report = evaluate(predictor(build_network(best), size), validation, names)
    if report.ap50 <= last.ap50 or math.isnan(report.ap50):
        return Trained(result, last, result.weights, "the last weights are the best:")
    step = best.metadata.get("step", "?")
    return Trained(result, report, result.best, f"the weights of step {step} are better than the last ones:")
