"""What changes from step to step besides the weights: learning rate and running average."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Average", "learning_rate"]

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def learning_rate(step: int, steps: int, *, peak: float, warmup: int, floor: float = 0.02) -> float:
    """Linear warm-up to `peak`, then half a cosine down to `floor * peak`.

    Source: Loshchilov and Hutter, "SGDR" (arXiv:1608.03983).

    >>> [round(learning_rate(step, 100, peak=1.0, warmup=10, floor=0.0), 2) for step in (0, 9, 55, 100)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


class Average(Generic[ModuleT]):
    """Exponential moving average of a network's weights and statistics, the one that is evaluated and saved.

    The decay grows with the steps, so that the first random weights are forgotten soon
    (Tarvainen and Valpola, "Mean teachers", arXiv:1703.01780).

    Args:
        network: copied at once, never changed.
        decay: of the average, once it is warm.
        ramp: steps that the warming takes.
    """

    def __init__(self, network: ModuleT, decay: float = 0.998, ramp: float = 300.0) -> None:
        self.network: ModuleT = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.ramp = decay, ramp

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's present values; counters are copied."""
        weight = 1 - self.decay * (1 - math.exp(-(step + 1) / self.ramp))
        mine, other = self.network.state_dict(), network.state_dict()
        moving = [name for name, value in mine.items() if value.is_floating_point()]
        targets: list[Tensor] = [other[name].detach() for name in moving]
        torch._foreach_lerp_([mine[name] for name in moving], targets, weight)
        for name in mine.keys() - set(moving):
            mine[name].copy_(other[name])
