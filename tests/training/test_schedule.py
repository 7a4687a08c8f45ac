"""Learning rate and running average by their formulas."""

from __future__ import annotations

import math

import torch
from torch import nn

from helpers.training.schedule import Average, learning_rate


def test_learning_rate_rises_then_falls_to_its_floor() -> None:
    rates = [learning_rate(step, 50, peak=0.1, warmup=10, floor=0.02) for step in range(51)]
    assert max(rates) == rates[9] == rates[10] == 0.1
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert math.isclose(rates[50], 0.002)


def test_learning_rate_without_warmup_or_steps() -> None:
    assert learning_rate(0, 10, peak=0.1, warmup=0) == 0.1
    assert learning_rate(0, 0, peak=0.1, warmup=0) == 0.1


def test_average_by_hand() -> None:
    network = nn.BatchNorm1d(1)
    average = Average(network, decay=0.5, ramp=2.0)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(1.0)  # type: ignore[union-attr]
        network.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    average.update(network, step=1)
    kept = 0.5 * (1 - math.exp(-1))
    assert math.isclose(average.network.weight.item(), kept * 1 + (1 - kept) * 3, rel_tol=1e-6)
    assert math.isclose(average.network.running_mean.item(), 1 - kept, rel_tol=1e-6)  # type: ignore[union-attr]
    assert average.network.num_batches_tracked.item() == 7  # type: ignore[union-attr]
    assert not average.network.weight.requires_grad
    assert network.weight.item() == 3.0
