"""The training loop: resumable, one process, made for a machine with two cores and no GPU.

`train` runs a fixed number of steps. Everything that a step depends on is the step number, the weights,
their average and the optimiser's memory; all of it goes into `state.pt` now and then, and a run that finds
such a file goes on from it.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader
from tqdm import tqdm

from helpers.training.config import TrainingConfig
from helpers.training.loss import LossParts, detection_loss
from helpers.training.schedule import Average, learning_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch.utils.data import Dataset

    from helpers.family import Architecture
    from helpers.training.datasets import Sample

__all__ = ["TrainableNetwork", "TrainingConfig", "TrainingError", "TrainingResult", "train"]


class TrainingError(RuntimeError):
    """Training cannot go on: the message says why and what to do."""


class TrainableNetwork(Protocol):
    """What the loop needs of a network, besides being a `torch.nn.Module`."""

    architecture: Architecture

    def levels(self, images_nchw: Tensor) -> tuple[Tensor, ...]:
        """Raw logits `[B,A,H,W,5+C]` of each level, smallest stride first."""
        ...


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        average: the averaged network, in evaluation mode: the one to save.
        step: steps done.
        seconds: time spent in training, over all interruptions.
        history: path of `history.jsonl`.
    """

    average: nn.Module
    step: int
    seconds: float
    history: Path


def train(
    config: TrainingConfig,
    network: nn.Module,
    batches: Dataset[tuple[Tensor, Tensor]],
    validation: Sequence[Sample] = (),
    stop_at: int | None = None,
) -> TrainingResult:
    """Train a network, going on from `state.pt` where there is one.

    Args:
        config: how.
        network: a `TrainableNetwork`; changed in place.
        batches: `images_nchw[B,3,H,W]` and `targets[T,6]` for each step number.
        validation: pictures for the running evaluation.
        stop_at: stop after this step, with a state written, as an interruption would.

    Raises:
        TrainingError: the loss stays not finite, or the folder holds a run with another configuration.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    run = _Run(config, network, validation)
    run.resume()
    last = min(config.steps, stop_at or config.steps)
    with tqdm(total=config.steps, initial=run.step, disable=not config.progress, mininterval=5) as bar:
        for images_nchw, targets in _load(batches, run.step, last, config.workers):
            parts = run.advance(images_nchw, targets)
            bar.update()
            if run.step % config.log_every == 0:
                bar.set_postfix(loss=f"{parts.box + parts.objectness + parts.classes:.4f}", refresh=False)
                run.log(parts)
            if run.step % config.evaluate_every == 0 or run.step == config.steps:
                run.evaluate()
            if run.step % config.save_every == 0 or run.step == last:
                run.save()
    return TrainingResult(run.average.network, run.step, run.seconds, run.history)


def _load(
    batches: Dataset[tuple[Tensor, Tensor]], start: int, stop: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    ahead = 4 if workers else None
    return iter(
        DataLoader(
            batches, batch_size=None, sampler=range(start, stop), num_workers=workers, prefetch_factor=ahead
        )
    )


class _Run:
    """The moving parts of one training run."""

    def __init__(self, config: TrainingConfig, network: nn.Module, validation: Sequence[Sample]) -> None:
        self.config, self.network, self.validation = config, network, validation
        network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = Average(network, config.decay)
        described: Any = network
        self.architecture: Architecture = described.architecture
        self.anchors_px = torch.tensor(self.architecture.anchors_px)
        weights = [value for value in network.parameters() if value.requires_grad]
        groups = [
            {"params": [value for value in weights if value.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [value for value in weights if value.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=config.peak, betas=(0.9, 0.99), fused=True)
        self.step, self.seconds, self.skipped = 0, 0.0, 0
        self.history, self.state = config.out / "history.jsonl", config.out / "state.pt"

    def advance(self, images_nchw: Tensor, targets: Tensor) -> LossParts:
        """One step of the optimiser."""
        config, started = self.config, time.perf_counter()
        rate = learning_rate(self.step, config.steps, peak=config.peak, warmup=config.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        network: Any = self.network
        images_nchw = images_nchw.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.autocast):
            levels = network.levels(images_nchw)
        parts = detection_loss(levels, targets, self.anchors_px, self.architecture.strides, config.loss)
        if not bool(parts.total.isfinite()):
            message = (
                f"loss: expected a finite value, got {parts.total.item()} at step {self.step}; lower `peak`"
            )
            raise TrainingError(message)
        self.optimiser.zero_grad(set_to_none=True)
        parts.total.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(self.network.parameters(), config.clip)
        if bool(norm.isfinite()):
            self.optimiser.step()
            self.average.update(self.network, self.step)
            self.skipped = 0
        else:
            self._skip()
        self.step += 1
        self.seconds += time.perf_counter() - started
        return parts

    def _skip(self) -> None:
        self.skipped += 1
        if self.skipped >= 10:
            message = (
                f"gradient: expected finite values, got none in 10 steps up to {self.step}; lower `peak`"
            )
            raise TrainingError(message)

    def log(self, parts: LossParts) -> None:
        """Append the losses to the history."""
        rounded = {name: round(getattr(parts, name), 5) for name in ("box", "objectness", "classes")}
        self._append(
            {"step": self.step, **rounded, "positives": parts.positives, "seconds": round(self.seconds, 1)}
        )

    def evaluate(self) -> None:
        """Append the averaged network's precision on the validation pictures to the history."""
        if not self.validation:
            return
        from helpers.training.evaluation import evaluate
        from helpers.training.prediction import predictor

        predict = predictor(self.average.network, self.config.evaluate_size)
        report = evaluate(predict, self.validation, self.architecture.names)
        self._append(
            {
                "step": self.step,
                "AP": round(report.ap, 4),
                "AP50": round(report.ap50, 4),
                "AP50_per_class": {name: round(value, 4) for name, value in report.ap50_per_class.items()},
            }
        )

    def _append(self, entry: dict[str, object]) -> None:
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def save(self) -> None:
        """Write the state so that an interruption at any moment leaves a whole file."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "config": self._fingerprint(),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
        temporary = self.state.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.state)

    def resume(self) -> None:
        """Go on from the state in the folder, if there is one; the history is cut back to it."""
        if not self.state.exists():
            self.history.unlink(missing_ok=True)
            return
        state = torch.load(self.state, weights_only=True)
        if state["config"] != self._fingerprint():
            found = f"{self.state} of another configuration, {state['config']}"
            message = f"out: expected an empty folder or this run's state, got {found}; choose another folder"
            raise TrainingError(message)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.step, self.seconds = state["step"], state["seconds"]
        lines = self.history.read_text(encoding="utf-8").splitlines() if self.history.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= self.step]
        self.history.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def _fingerprint(self) -> str:
        """The part of the configuration that the weights depend on."""
        ignored = {"out", "workers", "log_every", "save_every", "evaluate_every", "evaluate_size", "progress"}
        values = {
            name: value for name, value in dataclasses.asdict(self.config).items() if name not in ignored
        }
        return json.dumps(values, sort_keys=True)
