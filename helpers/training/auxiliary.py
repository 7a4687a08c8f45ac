"""The auxiliary head: it helps the middle of the network to learn, and is dropped afterwards.

It looks at the pyramid's way down, before the way up joins the levels again, and predicts the same as the
lead head at the same places; its gradient reaches the backbone by a shorter way (deep supervision; Wang et
al., "YOLOv7", arXiv:2207.02696, section 4.2 and figure 5). Variants whose training form has an auxiliary head
use that one; any other network gets one here, found in its layer table. It is never part of what is saved for
deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from helpers.layers import Conv
from helpers.network import Network
from helpers.training.prior import set_prior_bias

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.family import Architecture

__all__ = ["AuxiliaryHead", "auxiliary_rows"]


def auxiliary_rows(architecture: Architecture) -> tuple[tuple[int, int], ...]:
    """Per level, the row that the auxiliary head reads, and its channels.

    A level's row is the last one of its stride at which the way down forks: read by what follows on the way
    down, and again by the way up.

    Raises:
        ValueError: a level has no such row.

    >>> from helpers.family import describe
    >>> auxiliary_rows(describe("yolov7-tiny", ("cell",)))
    ((57, 64), (47, 128), (37, 256))
    """
    rows, strides = architecture.rows, architecture.strides
    shapes = _shapes(architecture)
    readers = [0] * len(rows)
    for index, row in enumerate(rows):
        for source in row.sources:
            readers[index + source if source < 0 else source] += index > 0
    forks = [index for index, count in enumerate(readers) if count > 1 and index in shapes]
    side = 2 * max(strides)
    last = max((index for index in forks if shapes[index][1] == side // strides[0]), default=-1)
    found = []
    for stride in strides:
        mine = [index for index in forks if index <= last and shapes[index][1] == side // stride]
        if not mine:
            raise ValueError(
                f"architecture: expected a fork of stride {stride} for the auxiliary head, got none; "
                "train without one (auxiliary=False)"
            )
        found.append((mine[-1], shapes[mine[-1]][0]))
    return tuple(found)


def _shapes(architecture: Architecture) -> dict[int, tuple[int, int]]:
    """Channels and rows of every feature map, for pictures of twice the largest stride; without numbers."""
    shapes: dict[int, tuple[int, int]] = {}
    with torch.device("meta"):
        network = Network(architecture).eval()
        for index, module in enumerate(list(network.model)[:-1]):
            module.register_forward_hook(_keeper(shapes, index))
        side = 2 * max(architecture.strides)
        network.levels(torch.empty(1, architecture.input_channels, side, side))
    return shapes


def _keeper(shapes: dict[int, tuple[int, int]], index: int) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        shapes[index] = (int(output.shape[1]), int(output.shape[2]))

    return keep


class AuxiliaryHead(nn.Module):
    """An auxiliary head for a network; holds its own weights, and refers to the network at each call only.

    Args:
        network: whose features it will read. If the network's head has auxiliary levels itself, those are
            used and this module has no weights.

    >>> from helpers.family import describe
    >>> from helpers.network import build_network
    >>> network = build_network(describe("yolov7-tiny", ("cell",), width_multiple=0.125))
    >>> lead, auxiliary = AuxiliaryHead(network).both(network, torch.zeros(1, 3, 64, 64))
    >>> [tuple(level.shape) for level in lead] == [tuple(level.shape) for level in auxiliary]
    True
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.before, self.m, self.rows = nn.ModuleList(), nn.ModuleList(), tuple[int, ...]()
        self.per_cell = network.head.per_cell
        if len(network.head.m2):
            return
        chosen = auxiliary_rows(network.architecture)
        width = self.per_cell * (5 + len(network.names))
        self.rows = tuple(index for index, _ in chosen)
        self.before.extend(Conv(c, c, 3, act="nn.LeakyReLU(0.1)") for _, c in chosen)
        self.m.extend(nn.Conv2d(c, width, 1) for _, c in chosen)
        set_prior_bias(self.m, len(network.names), self.per_cell)

    def both(self, network: Network, images_nchw: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Raw logits `[B,A,H,W,5+C]` per level: of the lead head, and of the auxiliary head."""
        seen: dict[int, Tensor] = {}
        handles = []
        for level, row in enumerate(self.rows):
            handles.append(network.model[row].register_forward_hook(_saver(seen, level)))
        if not self.rows:
            levels = len(network.strides)

            def save_inputs(_head: nn.Module, inputs: tuple[list[Tensor]]) -> None:
                seen.update(enumerate(inputs[0][levels:]))

            handles.append(network.head.register_forward_pre_hook(save_inputs))
        try:
            lead = network.levels(images_nchw)
        finally:
            for handle in handles:
                handle.remove()
        convolutions = self.m if self.rows else network.head.m2
        out = []
        for level, conv in enumerate(convolutions):
            x = conv(self.before[level](seen[level]) if self.rows else seen[level])
            batch, values, height, width = x.shape
            x = x.view(batch, self.per_cell, values // self.per_cell, height, width)
            out.append(x.permute(0, 1, 3, 4, 2))
        return lead, tuple(out)


def _saver(seen: dict[int, Tensor], level: int) -> Callable[[nn.Module, object, Tensor], None]:
    def save(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen[level] = output

    return save
