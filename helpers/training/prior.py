"""How detection heads start: sure of nothing."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["class_bias", "set_prior_bias"]


def class_bias(class_count: int) -> float:
    """Starting bias of a class score, `log(0.6 / (C - 0.99))`, the authors' choice."""
    return math.log(0.6 / (class_count - 0.99))


@torch.no_grad()
def set_prior_bias(network: nn.Module, class_count: int, anchor_count: int = 3, prior: float = 0.01) -> int:
    """Start the detection heads at "almost nothing is here", so that no step is spent on learning that.

    The heads are the convolutions with a bias and `anchor_count * (5 + class_count)` outputs
    (Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, section 3.3).

    Returns:
        How many heads were found and set.

    Raises:
        ValueError: no head was found.

    >>> set_prior_bias(nn.Sequential(nn.Conv2d(4, 24, 1)), class_count=3)
    1
    """
    outputs = anchor_count * (5 + class_count)
    heads = [
        m
        for m in network.modules()
        if isinstance(m, nn.Conv2d) and m.bias is not None and m.out_channels == outputs
    ]
    if not heads:
        message = (
            f"network: expected convolutions with a bias and {outputs} outputs, got none; check class_count"
        )
        raise ValueError(message)
    for head in heads:
        values = torch.zeros(anchor_count, 5 + class_count)
        values[:, 4] = math.log(prior / (1 - prior))
        values[:, 5:] = class_bias(class_count)
        if head.bias is not None:
            head.bias.copy_(values.view(-1))
    return len(heads)
