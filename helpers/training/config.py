"""How to train: the one value that a run is made from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from helpers.training.loss import LossConfig

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TrainingConfig"]

_NO_MATTER = (
    "out", "device", "workers", "log_every", "save_every", "evaluate_every", "evaluate_size", "progress",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        out: folder of the run: state, history, weights.
        steps: number of optimiser steps.
        accumulate: batches whose gradients are summed into one step: the batch of a large machine on a
            small one. The batches' own plan has `steps * accumulate` batches then.
        peak: highest learning rate.
        warmup: steps until it is reached.
        weight_decay: of weights with more than one dimension.
        decay: of the average of the weights.
        clip: largest norm of the gradient.
        auxiliary: train an auxiliary head beside the lead head, and drop it.
        autocast: forward pass in bfloat16, where the device can.
        device: `auto` is CUDA where there is one, else the CPU; or a name of torch's.
        workers: processes that prepare batches; 0 prepares them in the loop.
        log_every, save_every, evaluate_every: in steps.
        evaluate_size: input size of the running evaluation.
        progress: show a bar.
        seed: of the weights' initial values.
        loss: gains, and the numbers of the assignments.
    """

    out: Path
    steps: int = 6000
    accumulate: int = 1
    peak: float = 0.002
    warmup: int = 200
    weight_decay: float = 0.01
    decay: float = 0.998
    clip: float = 10.0
    auxiliary: bool = True
    autocast: bool = True
    device: str = "auto"
    workers: int = 1
    log_every: int = 20
    save_every: int = 250
    evaluate_every: int = 500
    evaluate_size: int = 640
    progress: bool = True
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)

    def fingerprint(self) -> str:
        """The part that the weights depend on, as text.

        >>> from pathlib import Path
        >>> TrainingConfig(Path("a")).fingerprint() == TrainingConfig(Path("b")).fingerprint()
        True
        """
        values = {name: value for name, value in asdict(self).items() if name not in _NO_MATTER}
        return json.dumps(values, sort_keys=True)
