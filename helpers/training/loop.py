"""The training loop: resumable, one process, the same on a laptop's CPU and on a GPU.

`train` runs a fixed number of steps. Everything that a step depends on is the step number, the weights,
their average and the optimiser's memory; all of it goes into `state.pt` now and then, and a run that finds
such a file goes on from it, on the same machine bit for bit (a GPU's sums are in no fixed order).
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from torch.utils.data import DataLoader
from tqdm import tqdm

from helpers.training.config import TrainingConfig
from helpers.training.run import Run
from helpers.training.run_files import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor
    from torch.utils.data import Dataset

    from helpers.network import Network
    from helpers.training.datasets import Sample

__all__ = ["TrainingConfig", "TrainingError", "TrainingResult", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        average: the averaged network, in evaluation mode, on the CPU: the one that is saved.
        step: steps done.
        seconds: time spent in training, over all interruptions.
        history: path of `history.jsonl`.
        weights: the averaged weights in deploy form, as `python -m helpers convert` takes them.
        best: the same at the best running AP50; None without a running evaluation.
        interrupted: stopped before the last step, with everything saved: call `train` again to go on.
    """

    average: Network
    step: int
    seconds: float
    history: Path
    weights: Path
    best: Path | None = None
    interrupted: bool = False


def train(
    config: TrainingConfig,
    network: Network,
    batches: Dataset[tuple[Tensor, Tensor]],
    validation: Sequence[Sample] = (),
    stop_at: int | None = None,
    on_log: Callable[[Mapping[str, object]], None] | None = None,
) -> TrainingResult:
    """Train a network, going on from `state.pt` where there is one.

    Ctrl-C (in a notebook: interrupt) and SIGTERM finish the step, save, and return; a second Ctrl-C stops at
    once, and the last save holds.

    Args:
        config: how.
        network: changed in place, and moved to the device.
        batches: `images_nchw[B,3,H,W]` and `targets[T,6]`, by number; each step takes `accumulate` of them.
        validation: pictures for the running evaluation.
        stop_at: stop after this step, with a state written, as an interruption would.
        on_log: is given every line of the history as it is written, as a mapping.

    Raises:
        TrainingError: the loss stays not finite, or the folder holds a run with another configuration, recipe
            or network.
        ValueError: there is no such device.
    """
    run = Run(config, network, validation, on_log, str(getattr(batches, "recipe", "")))
    run.resume()
    last = config.steps if stop_at is None else min(config.steps, stop_at)
    with (
        tqdm(total=config.steps, initial=run.step, disable=not config.progress, mininterval=5) as bar,
        _stop_request(partial(bar.set_description, "stopping after this step")) as stop,
    ):
        for group in _groups(_load(batches, run, last), config.accumulate):
            _one_step(run, group, bar, last)
            if stop.is_set():
                break
    if not run.files.weights.exists() or (stop.is_set() and run.step % config.save_every):
        run.save()
    best = run.files.best if run.best >= 0 else None
    return TrainingResult(
        run.average.network.cpu(), run.step, run.seconds, run.files.history, run.files.weights, best,
        run.step < config.steps,
    )  # fmt: skip


def _one_step(run: Run, group: Sequence[tuple[Tensor, Tensor]], bar: tqdm[object], last: int) -> None:
    config, parts = run.config, run.advance(group)
    bar.update()
    if run.step % config.log_every == 0:
        loss = parts.box + parts.objectness + parts.classes
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        run.log(parts)
    if run.step % config.evaluate_every == 0 or run.step == config.steps:
        run.evaluate()
    if run.step % config.save_every == 0 or run.step == last:
        run.save()


def _load(batches: Dataset[tuple[Tensor, Tensor]], run: Run, last: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches from the run's next step up to the last."""
    config = run.config
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            sampler=range(run.step * config.accumulate, last * config.accumulate),
            num_workers=config.workers,
            prefetch_factor=4 if config.workers else None,
            pin_memory=run.device.type == "cuda",
            worker_init_fn=_ignore_interrupts,
        )
    )


def _ignore_interrupts(_worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the workers go when the loop does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _groups(batches: Iterator[tuple[Tensor, Tensor]], size: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    group = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []


@contextmanager
def _stop_request(tell: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets, and tells of; the second one interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        tell()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
