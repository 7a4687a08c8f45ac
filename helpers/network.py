"""Layer rows become a torch module: forward, decode, fuse.

Parameter names are the official ones, so an official state dict loads with `strict=True`. The layers are in
`helpers.layers`, the heads in `helpers.head`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from helpers.checkpoint import Checkpoint
from helpers.family import HEADS, MAX_REPEATS, Architecture, LayerRow
from helpers.head import Detect
from helpers.layers import LAYERS, Conv, RepConv, fold_batch_norm
from helpers.pickles import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Detect", "Network", "build_network", "fold_batch_norm", "fuse"]

SCALED_BY_WIDTH = ("Conv", "RepConv", "DownC", "SPPCSPC")  # their first argument is scaled by the width
_WITH_COUNT = ("DownC", "SPPCSPC")  # the repeat count is one of their own arguments


class Network(nn.Module):
    """A YOLOv7 network built from its layer table.

    Args:
        architecture: The layer table and what belongs to it.

    Raises:
        CheckpointError: A layer is of an unknown kind, or its arguments do not fit it.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.model = nn.ModuleList()
        channels: list[int] = []
        for index, row in enumerate(architecture.rows):
            before = channels or [architecture.input_channels]
            module, width = _build_row(index, row, [before[s] for s in row.sources], architecture)
            self.model.append(module)
            channels.append(width)
        self._keep = {s % i for i, row in enumerate(architecture.rows) for s in row.sources if s != -1}
        self.idle: frozenset[int] = frozenset()  # rows that need not run; see fuse

    @property
    def head(self) -> Detect:
        """The detection head, the last layer."""
        return cast("Detect", self.model[-1])

    @property
    def names(self) -> tuple[str, ...]:
        """Class names."""
        return self.architecture.names

    @property
    def strides(self) -> tuple[int, ...]:
        """Per level, input pixels per grid cell."""
        return self.architecture.strides

    @property
    def anchors_px(self) -> Tensor:
        """Anchors `[L,A,2]`, `(w, h)` in input pixels."""
        return self.head.anchor_grid.reshape(len(self.strides), -1, 2)

    def levels(self, images_nchw: Tensor) -> tuple[Tensor, ...]:
        """Raw logits per level, smallest stride first.

        Args:
            images_nchw: `[B,3,H,W]`, RGB in 0..1; H and W multiples of the largest stride.

        Returns:
            Per level `[B,A,H/s,W/s,5+C]`.

        Raises:
            ValueError: The pictures have another shape.
        """
        expected, stride = self.architecture.input_channels, max(self.strides)
        shape = images_nchw.shape
        if len(shape) != 4 or shape[1] != expected or shape[2] % stride or shape[3] % stride:
            raise ValueError(
                f"images_nchw: expected [B,{expected},H,W], sides multiples of {stride}, got {list(shape)}; "
                "letterbox the pictures first (helpers.images.letterbox)"
            )
        x: Any = images_nchw
        kept: dict[int, Tensor] = {}
        for index, (row, module) in enumerate(zip(self.architecture.rows, self.model, strict=True)):
            if index in self.idle:
                continue
            sources = (s for s in row.sources if (index + s if s < 0 else s) not in self.idle)
            inputs = [x if s == -1 else kept[s % index] for s in sources]
            x = module(inputs if isinstance(row.source, tuple) else inputs[0])
            if index in self._keep:
                kept[index] = x
        return cast("tuple[Tensor, ...]", x)

    def decode(self, levels: Sequence[Tensor]) -> Tensor:
        """Logits per level to predictions `[B,N,5+C]`; see `Detect.decode`."""
        return self.head.decode(levels)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` (RGB, 0..1) to predictions `[B,N,5+C]`, N = sum of A·H/s·W/s."""
        return self.decode(self.levels(images_nchw))


def _build_row(index: int, row: LayerRow, sources: list[int], a: Architecture) -> tuple[nn.Module, int]:
    """The module of one row and how many channels it gives."""
    if row.module in HEADS:
        return Detect(row.module, a, sources), 0
    if row.module not in LAYERS:
        known = ", ".join([*LAYERS, *HEADS])
        raise CheckpointError(
            f"layer {index}: expected one of {known}; got {row.module[:40]!r}, which is not supported. "
            "Fix: use a checkpoint of one of the seven YOLOv7 variants"
        )
    repeats = max(round(row.number * a.depth_multiple), 1) if row.number > 1 else 1
    if repeats > MAX_REPEATS:
        raise CheckpointError(
            f"layer {index}: {repeats} repeats, expected at most {MAX_REPEATS}. Fix: use another file"
        )
    try:
        return _repeat(row, sources, a, repeats)
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        raise CheckpointError(
            f"layer {index} ({row.module}): its arguments do not fit it ({reason}). Fix: get the file again"
        ) from error


def _repeat(row: LayerRow, sources: list[int], a: Architecture, repeats: int) -> tuple[nn.Module, int]:
    make, arguments = LAYERS[row.module], row.args
    width = {"Concat": sum(sources), "ReOrg": 4 * sources[0]}.get(row.module, sources[0])
    if row.module in SCALED_BY_WIDTH:
        # As wide as the head's own output means: an output, which no factor scales.
        exempt = arguments[0] == len(a.anchors_px[0]) * (5 + a.class_count)
        width = arguments[0] if exempt else math.ceil(arguments[0] * a.width_multiple / 8) * 8
        if row.module in _WITH_COUNT:
            return make(sources[0], width, repeats, *arguments[1:]), width
        layers = [make(c, width, *arguments[1:]) for c in (sources[0], *[width] * (repeats - 1))]
    else:
        layers = [make(*arguments) for _ in range(repeats)]
    return (layers[0] if repeats == 1 else nn.Sequential(*layers)), width


def build_network(source: Checkpoint | Architecture, *, dtype: torch.dtype = torch.float32) -> Network:
    """Build the network of a checkpoint (with its weights) or of an architecture (random weights).

    Args:
        source: What to build.
        dtype: Floating-point type of the weights.

    Returns:
        The network in evaluation mode, not fused; it shares no memory with the checkpoint.

    Raises:
        CheckpointError: A layer kind is not supported, or weights do not fit the layer table.

    Example:
        >>> from helpers.family import Tiny
        >>> network = build_network(Tiny().architecture(("cell",), width_multiple=0.125))
        >>> tuple(network(torch.zeros(1, 3, 64, 64)).shape)
        (1, 252, 6)
    """
    architecture = source.architecture if isinstance(source, Checkpoint) else source
    with torch.device("meta"):  # shapes alone: a wrong table costs no memory, random weights no time
        network = Network(architecture).eval()
        _check_shapes(network)
    if isinstance(source, Architecture):
        return Network(architecture).to(dtype).eval()
    _match_fused_form(network, source.state_dict)
    state = {
        name: value.to(dtype if value.is_floating_point() else value.dtype, copy=True)
        for name, value in source.state_dict.items()
    }
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except (RuntimeError, TypeError) as error:
        reason = " ".join(" ".join(str(error).splitlines()[1:4]).split())[:300]
        raise CheckpointError(f"weights do not fit the layers: {reason}. Fix: get the file again") from error
    return network


def _check_shapes(network: Network) -> None:
    """One forward pass without numbers: the layers fit each other, and the strides are the stated ones."""
    side, strides = 2 * max(network.strides), network.strides
    try:
        levels = network.levels(torch.empty(1, network.architecture.input_channels, side, side))
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise CheckpointError(
            f"its layers do not fit each other ({reason}). Fix: get the file again"
        ) from error
    found = tuple(side / level.shape[2] for level in levels)
    if found != strides:
        raise CheckpointError(
            f"strides: expected {found}, as the layers give, got {strides}. Fix: use another file"
        )


def _match_fused_form(network: Network, state: dict[str, Tensor]) -> None:
    """Fuse those layers whose weights were saved already fused."""
    for name, module in network.named_modules():
        conv = isinstance(module, Conv) and f"{name}.conv.bias" in state and f"{name}.bn.weight" not in state
        rep = isinstance(module, RepConv) and f"{name}.rbr_reparam.weight" in state
        if conv or rep:
            cast("Conv | RepConv", module).fuse()
    head = f"model.{len(network.model) - 1}"
    if f"{head}.ia.0.implicit" not in state and f"{head}.m2.0.weight" not in state:
        network.head.fuse()


def fuse(network: Network) -> Network:
    """Fold BatchNorm, RepConv branches and implicit layers, in place; leave out the auxiliary head.

    Returns:
        The same network, now in deploy form and evaluation mode; its outputs are unchanged up to rounding.

    Example:
        >>> from helpers.family import Tiny
        >>> network = build_network(Tiny().architecture(("cell",), width_multiple=0.125))
        >>> sum(type(module) is nn.BatchNorm2d for module in fuse(network).modules())
        0
    """
    for module in list(network.modules()):
        if isinstance(module, Conv | RepConv | Detect):
            module.fuse()
    network.idle = _only_for_auxiliary(network.architecture)
    return network.eval()


def _only_for_auxiliary(architecture: Architecture) -> frozenset[int]:
    """Rows that nothing reads but the auxiliary levels of the head."""
    rows, levels = architecture.rows, len(architecture.strides)
    needed = {len(rows) - 1}
    for index in range(len(rows) - 1, 0, -1):
        if index in needed:
            sources = rows[index].sources[:levels] if rows[index].module in HEADS else rows[index].sources
            needed.update(index + s if s < 0 else s for s in sources)
    return frozenset(range(len(rows))) - needed
