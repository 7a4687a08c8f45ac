"""The layers of YOLOv7 as torch modules, each with what it folds into for deployment.

Parameter names are the official ones. BatchNorm's epsilon is 1e-3 (it is not in a state dict, so nothing
would notice another). Sources: the YOLOv7 paper; SPPCSPC is cross-stage-partial pooling (Wang et al., 2020),
RepConv is RepVGG's block (Ding et al., 2021), the implicit layers are YOLOR's (Wang et al., 2021).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCH_NORM_EPSILON = 1e-3
_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.SiLU, nn.LeakyReLU, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Mish, nn.GELU, nn.ELU, nn.Identity,
)  # fmt: skip


def activation(spec: object) -> nn.Module:
    """The activation a layer table asks for: `True`, `None`, `False` or text such as `nn.LeakyReLU(0.1)`.

    The text is parsed, never evaluated.

    Raises:
        ValueError: Another text.

    Example:
        >>> activation("nn.LeakyReLU(0.1)"), activation(True)
        (LeakyReLU(negative_slope=0.1), SiLU())
    """
    if not isinstance(spec, str):
        return nn.SiLU() if spec is True else nn.Identity()
    known = {f"nn.{kind.__name__}": kind for kind in _ACTIVATIONS}
    try:
        call = ast.parse(spec, mode="eval").body
        if isinstance(call, ast.Call) and (kind := known.get(ast.unparse(call.func))):
            keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            return kind(*(ast.literal_eval(value) for value in call.args), **keywords)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        pass
    raise ValueError(f"activation: expected one of {', '.join(known)} with its numbers, got {spec[:60]!r}")


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON, momentum=0.03)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """BatchNorm as `y = scale x + shift`, in float64."""
    mean, variance = cast("Tensor", norm.running_mean).double(), cast("Tensor", norm.running_var).double()
    scale = norm.weight.double() / (variance + norm.eps).sqrt()
    return scale, norm.bias.double() - mean * scale


@torch.no_grad()
def fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution with bias, equal to `norm(conv(x))` in evaluation mode.

    `g (Wx + b - mean) / sqrt(var + eps) + beta` is linear in x; computed in float64, kept in conv's type.

    Args:
        conv: Weights `[c2,c1/groups,k,k]`.
        norm: Of `c2` channels.

    Example:
        >>> conv, norm = nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3).eval()
        >>> x = torch.randn(1, 2, 4, 4)
        >>> bool((fold_batch_norm(conv, norm)(x) - norm(conv(x))).abs().max() < 1e-6)
        True
    """
    scale, shift = _scale_and_shift(norm)
    bias = shift if conv.bias is None else shift + conv.bias.double() * scale
    fused = nn.Conv2d(
        conv.in_channels, conv.out_channels, cast("tuple[int, int]", conv.kernel_size),
        cast("tuple[int, int]", conv.stride), cast("tuple[int, int]", conv.padding),
        cast("tuple[int, int]", conv.dilation), conv.groups,
    ).to(conv.weight)  # fmt: skip
    fused.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    cast("Tensor", fused.bias).copy_(bias)
    return fused.train(conv.training)


class Conv(nn.Module):
    """Convolution without bias, BatchNorm, activation."""

    def __init__(
        self, c1: int, c2: int, k: int = 1, s: int = 1, p: int | None = None, g: int = 1, act: object = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2 if p is None else p, groups=g, bias=False)
        self.bn: nn.Module = _norm(c2)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H/s,W/s]`."""
        return cast("Tensor", self.act(self.bn(self.conv(x))))

    def fuse(self) -> None:
        """Fold BatchNorm into the convolution."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fold_batch_norm(self.conv, self.bn), nn.Identity()


class RepConv(nn.Module):
    """3x3 beside 1x1 (beside identity, where the shapes allow), summed; folds into one 3x3, `rbr_reparam`."""

    def __init__(
        self, c1: int, c2: int, k: int = 3, s: int = 1, p: int | None = None, g: int = 1, act: object = True
    ) -> None:
        super().__init__()
        if k != 3 or p not in (None, 1):
            raise ValueError(f"RepConv: expected a 3x3 kernel padded by 1, got {k}x{k} padded by {p}")
        self.rbr_dense = nn.Sequential(nn.Conv2d(c1, c2, 3, s, 1, groups=g, bias=False), _norm(c2))
        self.rbr_1x1 = nn.Sequential(nn.Conv2d(c1, c2, 1, s, 0, groups=g, bias=False), _norm(c2))
        self.rbr_identity = _norm(c1) if c1 == c2 and s == 1 else None
        self.rbr_reparam: nn.Conv2d | None = None
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H/s,W/s]`."""
        if self.rbr_reparam is not None:
            return cast("Tensor", self.act(self.rbr_reparam(x)))
        out = self.rbr_dense(x) + self.rbr_1x1(x)
        return cast("Tensor", self.act(out if self.rbr_identity is None else out + self.rbr_identity(x)))

    @torch.no_grad()
    def fuse(self) -> None:
        """One 3x3 with bias, from three branches with their BatchNorms folded.

        A 1x1 is a 3x3 that is zero but for its centre, and the identity a 1x1 whose matrix is diagonal, so
        `W3 * x + b3 + W1 * x + b1 + s x + t = (W3 + pad(W1) + pad(diag(s))) * x + (b3 + b1 + t)`.
        """
        if self.rbr_reparam is not None:
            return
        dense, point = (
            fold_batch_norm(cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", norm))
            for conv, norm in (self.rbr_dense, self.rbr_1x1)
        )
        weight, bias = dense.weight.double(), cast("Tensor", dense.bias).double()
        weight[:, :, 1, 1] += point.weight[:, :, 0, 0].double()
        bias += cast("Tensor", point.bias).double()
        if self.rbr_identity is not None:
            scale, shift = _scale_and_shift(self.rbr_identity)
            channel = torch.arange(len(scale))
            weight[channel, channel % weight.shape[1], 1, 1] += scale
            bias += shift
        dense.weight.copy_(weight)
        cast("Tensor", dense.bias).copy_(bias)
        del self.rbr_dense, self.rbr_1x1, self.rbr_identity
        self.rbr_reparam = dense


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
    """Sum of two inputs; the table's argument has no effect."""

    def __init__(self, _dimension: int = 0) -> None:
        super().__init__()

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Element-wise sum."""
        return x[0] + x[1]


class ReOrg(nn.Module):
    """Space to depth: every 2x2 block becomes four channels."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B,C,H,W]` to `[B,4C,H/2,W/2]`."""
        return torch.cat([x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)], 1)


class DownC(nn.Module):
    """Halve the size twice over: a strided convolution beside max pooling, each half of the channels."""

    def __init__(self, c1: int, c2: int, _n: int = 1, k: int = 2) -> None:
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

    def __init__(
        self, c1: int, c2: int, _n: int = 1, _shortcut: bool = False, _g: int = 1, e: float = 0.5
    ) -> None:
        super().__init__()
        hidden = int(2 * c2 * e)
        self.cv1, self.cv2 = Conv(c1, hidden, 1), Conv(c1, hidden, 1)
        self.cv3, self.cv4 = Conv(hidden, hidden, 3), Conv(hidden, hidden, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.cv5, self.cv6 = Conv(4 * hidden, hidden, 1), Conv(hidden, hidden, 3)
        self.cv7 = Conv(2 * hidden, c2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B,c1,H,W]` to `[B,c2,H,W]`."""
        deep = self.cv4(self.cv3(self.cv1(x)))
        deep = self.cv6(self.cv5(torch.cat((deep, *(pool(deep) for pool in self.m)), 1)))
        return cast("Tensor", self.cv7(torch.cat((deep, self.cv2(x)), 1)))


LAYERS: dict[str, Callable[..., nn.Module]] = {
    "Conv": Conv, "RepConv": RepConv, "DownC": DownC, "SPPCSPC": SPPCSPC,
    "MP": MP, "SP": SP, "Concat": Concat, "Shortcut": Shortcut, "ReOrg": ReOrg, "nn.Upsample": nn.Upsample,
}  # fmt: skip
