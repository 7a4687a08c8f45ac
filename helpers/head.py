"""The detection heads: a 1x1 convolution per level, implicit layers around it, the decoding of boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helpers.family import Architecture


class Implicit(nn.Module):
    """A learned value per channel, added to a feature map or multiplied with it."""

    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.full((1, channels, 1, 1), value))


class Detect(nn.Module):
    """One 1x1 convolution per level; `kind` says which extras the official head of that name has.

    Args:
        kind: `Detect`; `IDetect` with implicit layers; `IAuxDetect` with them and auxiliary levels, which are
            kept for the state dict's sake and not used.
        architecture: Anchors, strides, classes.
        channels: Of each level's input, auxiliary ones last.
    """

    anchors: Tensor
    anchor_grid: Tensor

    def __init__(self, kind: str, architecture: Architecture, channels: Sequence[int]) -> None:
        super().__init__()
        levels, per_cell = len(architecture.strides), len(architecture.anchors_px[0])
        width = per_cell * (5 + architecture.class_count)
        grid = torch.tensor(architecture.anchors_px).view(levels, 1, per_cell, 1, 1, 2)
        strides = torch.tensor(architecture.strides).view(-1, 1, 1)
        self.strides, self.per_cell = architecture.strides, per_cell
        self.register_buffer("anchors", grid.view(levels, per_cell, 2) / strides)
        self.register_buffer("anchor_grid", grid)
        self.m = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels[:levels])
        self.ia = nn.ModuleList()
        self.im = nn.ModuleList()
        self.m2 = nn.ModuleList()
        if kind != "Detect":
            self.ia.extend(Implicit(c, 0.0) for c in channels[:levels])
            self.im.extend(Implicit(width, 1.0) for _ in self.strides)
        if kind == "IAuxDetect":
            self.m2.extend(nn.Conv2d(c, width, 1) for c in channels[levels:])

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Per level raw logits `[B,A,H/s,W/s,5+C]`; auxiliary features are not used."""
        out = []
        for index, conv in enumerate(self.m):
            x = features[index]
            if len(self.ia):
                x = x + cast("Tensor", self.ia[index].implicit)
            x = conv(x)
            if len(self.im):
                x = x * cast("Tensor", self.im[index].implicit)
            batch, values, height, width = x.shape
            x = x.view(batch, self.per_cell, values // self.per_cell, height, width)
            out.append(x.permute(0, 1, 3, 4, 2))
        return tuple(out)

    def decode(self, levels: Sequence[Tensor]) -> Tensor:
        """Logits per level to predictions `[B,N,5+C]`: cx, cy, w, h in pixels, objectness, class scores.

        `xy = (2 s(t) - 0.5 + cell) stride`, `wh = (2 s(t))^2 anchor`, where `s` is the sigmoid.
        """
        out = []
        for logits, stride, anchor in zip(levels, self.strides, self.anchor_grid, strict=True):
            batch, per_cell, height, width, values = logits.shape
            y = logits.sigmoid()
            columns = torch.arange(width, device=y.device, dtype=y.dtype).expand(height, width)
            rows = torch.arange(height, device=y.device, dtype=y.dtype).view(-1, 1).expand(height, width)
            xy = (y[..., :2] * 2 + (torch.stack((columns, rows), -1) - 0.5)) * stride
            side = y[..., 2:4] * 2
            boxes = torch.cat((xy, side * side * anchor, y[..., 4:]), -1)
            out.append(boxes.reshape(batch, per_cell * height * width, values))
        return torch.cat(out, 1)

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the implicit layers, `m(x + a) * w = (w m)(x) + w (b + m a)`; drop the auxiliary levels."""
        for conv, add, multiply in zip(self.m, self.ia, self.im, strict=False):  # a plain head has no ia, im
            weight, offset = cast("Tensor", conv.weight), cast("Tensor", add.implicit).double().flatten()
            bias, factor = cast("Tensor", conv.bias), cast("Tensor", multiply.implicit).double().flatten()
            bias.copy_((bias.double() + weight.double()[:, :, 0, 0] @ offset) * factor)
            weight.copy_(weight.double() * factor.view(-1, 1, 1, 1))
        self.ia, self.im, self.m2 = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
