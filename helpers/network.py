"""Layer rows become a torch module: forward, decode, fuse, re-parameterise.

Parameter names are the official ones, so an official state dict loads with `strict=True`. BatchNorm's
epsilon is 1e-3 (it is not in a state dict, so nothing would notice another). Source of the layers: the
YOLOv7 paper; SPPCSPC is cross-stage-partial pooling (Wang et al., 2020), RepConv is RepVGG's block (Ding
et al., 2021), the implicit layers are YOLOR's (Wang et al., 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from helpers.checkpoint import Checkpoint, CheckpointError
from helpers.family import Architecture, LayerRow

BATCH_NORM_EPSILON = 1e-3


def _activation(spec: Any) -> nn.Module:
    if spec is True or spec in ("nn.SiLU()", None):
        return nn.SiLU()
    if spec is False:
        return nn.Identity()
    known = {"nn.LeakyReLU(0.1)": nn.LeakyReLU(0.1), "nn.ReLU()": nn.ReLU(), "nn.Identity()": nn.Identity()}
    if isinstance(spec, str) and spec in known:
        return known[spec]
    raise CheckpointError(f"activation: expected one of {sorted(known)} or SiLU, got {spec!r}")


class Conv(nn.Module):
    """Convolution without bias, BatchNorm, activation."""

    def __init__(
        self, c1: int, c2: int, k: int = 1, s: int = 1, p: int | None = None, g: int = 1, act: Any = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2 if p is None else p, groups=g, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(c2, eps=BATCH_NORM_EPSILON, momentum=0.03)
        self.act = _activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H/s,W/s]`."""
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out

    def fuse(self) -> None:
        """Fold BatchNorm into the convolution."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fold_batch_norm(self.conv, self.bn), nn.Identity()


class RepConv(nn.Module):
    """3x3 beside 1x1 (beside identity, where the shapes allow), summed; folds into one 3x3."""

    def __init__(self, c1: int, c2: int, k: int = 3, s: int = 1) -> None:
        super().__init__()
        if k != 3:
            raise CheckpointError(f"RepConv: expected a 3x3 kernel, got {k}x{k}")
        def norm(channels: int) -> nn.BatchNorm2d:
            return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON, momentum=0.03)

        self.rbr_dense: nn.Module = nn.Sequential(nn.Conv2d(c1, c2, 3, s, 1, bias=False), norm(c2))
        self.rbr_1x1: nn.Module | None = nn.Sequential(nn.Conv2d(c1, c2, 1, s, 0, bias=False), norm(c2))
        self.rbr_identity: nn.Module | None = norm(c1) if c1 == c2 and s == 1 else None
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H/s,W/s]`."""
        out: Tensor = self.rbr_dense(x)
        for branch in (self.rbr_1x1, self.rbr_identity):
            if branch is not None:
                out = out + branch(x)
        return self.act(out)  # type: ignore[no-any-return]

    @torch.no_grad()
    def fuse(self) -> None:
        """One 3x3 with bias: pad the 1x1 kernel with zeros, write the identity as a kernel, add all."""
        if self.rbr_1x1 is None:
            return
        dense = fold_batch_norm(*self.rbr_dense)  # type: ignore[misc]
        point = fold_batch_norm(*self.rbr_1x1)  # type: ignore[misc]
        weight, bias = dense.weight.double(), dense.bias.double()  # type: ignore[union-attr]
        weight[:, :, 1, 1] += point.weight[:, :, 0, 0].double()
        bias += point.bias.double()  # type: ignore[union-attr]
        if isinstance(self.rbr_identity, nn.BatchNorm2d):
            scale, shift = _scale_and_shift(self.rbr_identity)
            weight[range(len(scale)), range(len(scale)), 1, 1] += scale
            bias += shift
        dense.weight.copy_(weight)
        dense.bias.copy_(bias)  # type: ignore[union-attr]
        self.rbr_dense, self.rbr_1x1, self.rbr_identity = dense, None, None


class MP(nn.MaxPool2d):
    """Max pooling that halves the size."""

    def __init__(self, k: int = 2) -> None:
        super().__init__(k, k)


class SP(nn.MaxPool2d):
    """Max pooling that keeps the size."""

    def __init__(self, k: int = 3, s: int = 1) -> None:
        super().__init__(k, s, k // 2)


class Concat(nn.Module):
    """Concatenate along one dimension."""

    def __init__(self, dimension: int = 1) -> None:
        super().__init__()
        self.dimension = dimension

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Channels of all inputs, in order."""
        return torch.cat(tuple(x), self.dimension)


class Shortcut(nn.Module):
    """Sum of two inputs."""

    def __init__(self, dimension: int = 0) -> None:
        super().__init__()

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Element-wise sum."""
        return x[0] + x[1]


class ReOrg(nn.Module):
    """Space to depth: every 2x2 block becomes four channels."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B,C,H,W]` to `[B,4C,H/2,W/2]`."""
        corners = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return torch.cat(corners, 1)


class DownC(nn.Module):
    """Halve the size twice over: a strided convolution beside max pooling, each half of the channels."""

    def __init__(self, c1: int, c2: int, n: int = 1, k: int = 2) -> None:
        super().__init__()
        self.cv1 = Conv(c1, c1, 1)
        self.cv2 = Conv(c1, c2 // 2, 3, k)
        self.cv3 = Conv(c1, c2 // 2, 1)
        self.mp = nn.MaxPool2d(k, k)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H/2,W/2]`."""
        return torch.cat((self.cv2(self.cv1(x)), self.cv3(self.mp(x))), 1)


class SPPCSPC(nn.Module):
    """Spatial pyramid pooling (parallel windows) inside a cross-stage-partial block."""

    def __init__(self, c1: int, c2: int, n: int = 1, shortcut: bool = False, g: int = 1, e: float = 0.5) -> None:
        super().__init__()
        hidden = int(2 * c2 * e)
        self.cv1, self.cv2 = Conv(c1, hidden, 1), Conv(c1, hidden, 1)
        self.cv3, self.cv4 = Conv(hidden, hidden, 3), Conv(hidden, hidden, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.cv5, self.cv6 = Conv(4 * hidden, hidden, 1), Conv(hidden, hidden, 3)
        self.cv7 = Conv(2 * hidden, c2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H,W]`."""
        pooled = self.cv4(self.cv3(self.cv1(x)))
        pooled = self.cv6(self.cv5(torch.cat((pooled, *(pool(pooled) for pool in self.m)), 1)))
        return self.cv7(torch.cat((pooled, self.cv2(x)), 1))  # type: ignore[no-any-return]


class Implicit(nn.Module):
    """A learned vector per channel, added to or multiplied with a feature map."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.full((1, channels, 1, 1), value))


class Detect(nn.Module):
    """One 1x1 convolution per level; `kind` says which extras the official head of that name has."""

    anchors: Tensor
    anchor_grid: Tensor

    def __init__(self, kind: str, architecture: Architecture, channels: Sequence[int]) -> None:
        super().__init__()
        levels, per_cell = len(architecture.strides), len(architecture.anchors_px[0])
        width = per_cell * (5 + architecture.class_count)
        lead = channels[:levels]
        grid = torch.tensor(architecture.anchors_px).view(levels, 1, per_cell, 1, 1, 2)
        self.strides, self.per_cell = architecture.strides, per_cell
        self.register_buffer("anchors", grid.view(levels, per_cell, 2) / torch.tensor(self.strides).view(-1, 1, 1))
        self.register_buffer("anchor_grid", grid)
        self.m = nn.ModuleList(nn.Conv2d(c, width, 1) for c in lead)
        if kind in ("IDetect", "IAuxDetect"):
            self.ia = nn.ModuleList(Implicit(c, 0.0) for c in lead)
            self.im = nn.ModuleList(Implicit(width, 1.0) for _ in lead)
        if kind == "IAuxDetect":
            self.m2 = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels[levels:])

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Per level raw logits `[B,A,H/s,W/s,5+C]`; auxiliary features are not used."""
        out = []
        for index, conv in enumerate(self.m):
            x = features[index]
            if hasattr(self, "ia"):
                x = conv(x + self.ia[index].implicit) * self.im[index].implicit
            else:
                x = conv(x)
            batch, _, height, width = x.shape
            out.append(x.view(batch, self.per_cell, -1, height, width).permute(0, 1, 3, 4, 2))
        return tuple(out)

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the implicit layers: `m(x + a) * w = (w m)(x) + w (m_bias + m a)`."""
        if not hasattr(self, "ia"):
            return
        for conv, add, multiply in zip(self.m, self.ia, self.im, strict=True):
            weight, factor = conv.weight.double(), multiply.implicit.double().flatten()  # type: ignore[operator,union-attr]
            bias = conv.bias.double() + weight[:, :, 0, 0] @ add.implicit.double().flatten()  # type: ignore[operator,union-attr]
            conv.weight.copy_(weight * factor.view(-1, 1, 1, 1))  # type: ignore[operator]
            conv.bias.copy_(bias * factor)  # type: ignore[operator]
        del self.ia, self.im


class Network(nn.Module):
    """A YOLOv7 network built from its layer table."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.model = nn.ModuleList()
        channels: list[int] = []
        for index, row in enumerate(architecture.rows):
            sources = [channels[s] if s >= 0 else ([architecture.input_channels, *channels])[s] for s in row.sources]
            module, width = _build_row(index, row, sources, architecture)
            self.model.append(module)
            channels.append(width)
        used = {s if s >= 0 else i + s for i, row in enumerate(architecture.rows) for s in row.sources}
        self._keep = frozenset(used)

    @property
    def head(self) -> Detect:
        """The detection head, the last layer."""
        return self.model[-1]  # type: ignore[return-value]

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
        return self.head.anchor_grid.flatten(1, 4).unflatten(1, (-1, 2))

    def levels(self, images_nchw: Tensor) -> tuple[Tensor, ...]:
        """Raw logits per level, smallest stride first.

        Args:
            images_nchw: `[B,3,H,W]`, RGB in 0..1; H and W multiples of the largest stride.

        Returns:
            Per level `[B,A,H/s,W/s,5+C]`.
        """
        x: Any = images_nchw
        kept: dict[int, Tensor] = {}
        for index, (row, module) in enumerate(zip(self.architecture.rows, self.model, strict=True)):
            inputs = [x if s == -1 else kept[s if s >= 0 else index + s] for s in row.sources]
            x = module(inputs if len(inputs) > 1 or row.module in ("Concat", "Shortcut") else inputs[0])
            if index in self._keep:
                kept[index] = x
        return x  # type: ignore[no-any-return]

    def decode(self, levels: Sequence[Tensor]) -> Tensor:
        """Logits per level to predictions `[B,N,5+C]`: cx, cy, w, h in pixels, objectness, class scores.

        `xy = (2 s(t) - 0.5 + cell) stride`, `wh = (2 s(t))^2 anchor`, where `s` is the sigmoid.
        """
        out = []
        for logits, stride, anchor in zip(levels, self.strides, self.head.anchor_grid, strict=True):
            batch, per_cell, height, width, values = logits.shape
            y = logits.sigmoid()
            cells = torch.stack(
                (
                    torch.arange(width, device=y.device, dtype=y.dtype).expand(height, width),
                    torch.arange(height, device=y.device, dtype=y.dtype).view(-1, 1).expand(height, width),
                ),
                -1,
            )
            xy = (y[..., :2] * 2 + (cells - 0.5)) * stride
            side = y[..., 2:4] * 2
            wh = side * side * anchor
            out.append(torch.cat((xy, wh, y[..., 4:]), -1).reshape(batch, per_cell * height * width, values))
        return torch.cat(out, 1)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` (RGB, 0..1) to predictions `[B,N,5+C]`, N = sum of A·H/s·W/s."""
        return self.decode(self.levels(images_nchw))


_LAYERS: dict[str, Callable[..., nn.Module]] = {
    "Conv": Conv, "RepConv": RepConv, "DownC": DownC, "SPPCSPC": SPPCSPC,
    "MP": MP, "SP": SP, "Concat": Concat, "Shortcut": Shortcut, "ReOrg": ReOrg, "nn.Upsample": nn.Upsample,
}  # fmt: skip
_HEADS = ("Detect", "IDetect", "IAuxDetect")


def _build_row(index: int, row: LayerRow, sources: list[int], a: Architecture) -> tuple[nn.Module, int]:
    """The module of one row and how many channels it gives."""
    if row.module in _HEADS:
        return Detect(row.module, a, sources), 0
    if row.module not in _LAYERS:
        known = ", ".join([*_LAYERS, *_HEADS])
        raise CheckpointError(f"layer {index}: expected one of {known}; got {row.module!r}, which is not supported")
    make, arguments = _LAYERS[row.module], row.args
    if row.module in ("Conv", "RepConv", "DownC", "SPPCSPC"):
        width = math.ceil(arguments[0] * a.width_multiple / 8) * 8
        arguments = (sources[0], width, *arguments[1:])
    else:
        width = {"Concat": sum(sources), "ReOrg": 4 * sources[0]}.get(row.module, sources[0])
    repeats = max(round(row.number * a.depth_multiple), 1) if row.number > 1 else 1
    if repeats == 1:
        return make(*arguments), width
    chain = [make(*arguments), *(make(width, width, *arguments[2:]) for _ in range(repeats - 1))]
    return nn.Sequential(*chain), width


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """BatchNorm as `y = scale x + shift`, in float64."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    return scale, norm.bias.double() - norm.running_mean.double() * scale  # type: ignore[union-attr]


@torch.no_grad()
def fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution with bias, equal to `norm(conv(x))` in evaluation mode.

    `g (Wx + b - mean) / sqrt(var + eps) + beta` is linear in x; computed in float64, kept in conv's type.

    Example:
        >>> conv, norm = nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3).eval()
        >>> x = torch.randn(1, 2, 4, 4)
        >>> bool((fold_batch_norm(conv, norm)(x) - norm(conv(x))).abs().max() < 1e-6)
        True
    """
    scale, shift = _scale_and_shift(norm)
    fused = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
        groups=conv.groups, bias=True,
    ).to(conv.weight)  # fmt: skip
    fused.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    fused.bias.copy_(shift if conv.bias is None else shift + conv.bias.double() * scale)  # type: ignore[union-attr]
    return fused.train(conv.training)


def build_network(source: Checkpoint | Architecture, *, dtype: torch.dtype = torch.float32) -> Network:
    """Build the network of a checkpoint (with its weights) or of an architecture (random weights).

    Args:
        source: What to build.
        dtype: Floating-point type of the weights.

    Returns:
        The network in evaluation mode, not fused.

    Raises:
        CheckpointError: A layer kind is not supported, or weights do not fit the layer table.

    Example:
        >>> from helpers.family import Tiny
        >>> network = build_network(Tiny().architecture(("cell",), width_multiple=0.125))
        >>> tuple(network(torch.zeros(1, 3, 64, 64)).shape)
        (1, 252, 6)
    """
    network = Network(source.architecture if isinstance(source, Checkpoint) else source)
    if isinstance(source, Checkpoint):
        _match_fused_form(network, source.state_dict)
        try:
            network.to(dtype).load_state_dict(source.state_dict, strict=True)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise CheckpointError(f"weights do not fit the layer table: {' '.join(lines[1:4])[:400]}") from error
    return network.to(dtype).eval()


def _match_fused_form(network: Network, state: dict[str, Tensor]) -> None:
    """Fuse those layers whose weights were saved already fused."""
    for name, module in network.named_modules():
        if isinstance(module, Conv) and f"{name}.conv.bias" in state and f"{name}.bn.weight" not in state:
            module.fuse()
    if hasattr(network.head, "ia") and f"model.{len(network.model) - 1}.ia.0.implicit" not in state:
        network.head.fuse()


def fuse(network: Network) -> Network:
    """Fold BatchNorm, RepConv branches and implicit layers, in place; drop the auxiliary head.

    Returns:
        The same network, now in deploy form; its outputs are unchanged up to rounding.
    """
    for module in network.modules():
        if isinstance(module, Conv | RepConv | Detect):
            module.fuse()
    if hasattr(network.head, "m2"):
        del network.head.m2
    return network.eval()
