"""How to train: the one value that a run is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from helpers.training.loss import LossConfig

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        out: folder of `state.pt` and `history.jsonl`.
        steps: number of optimiser steps.
        peak: highest learning rate.
        warmup: steps until it is reached.
        weight_decay: of weights with more than one dimension.
        decay: of the average of the weights.
        clip: largest norm of the gradient.
        autocast: forward pass in bfloat16.
        workers: processes that prepare batches; 0 prepares them in the loop.
        log_every, save_every, evaluate_every: in steps.
        evaluate_size: input size of the running evaluation.
        progress: show a bar.
        seed: of the weights' initial values.
        loss: gains.
    """

    out: Path
    steps: int = 6000
    peak: float = 0.002
    warmup: int = 200
    weight_decay: float = 0.01
    decay: float = 0.998
    clip: float = 10.0
    autocast: bool = True
    workers: int = 1
    log_every: int = 20
    save_every: int = 250
    evaluate_every: int = 500
    evaluate_size: int = 640
    progress: bool = True
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
