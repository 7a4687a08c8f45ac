"""Where an object could be learned, by geometry alone: cells around its centre, anchors of about its size.

Anchors and neighbour cells as described in Wang et al., "YOLOv7" (arXiv:2207.02696), section 4.2: the fine
labels look at the two nearest neighbours of the centre's cell, the coarse ones at all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEAREST", "Candidates", "candidates", "decode_boxes", "flatten_levels"]

NEAREST, ALL = 2, 4
_STEPS = {
    NEAREST: ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)),
    ALL: ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)),
}
"""The cell itself, then its neighbours; +1 is the side on which the object's centre lies."""


@dataclass(frozen=True)
class Candidates:
    """For every object, a fixed row of `S = L*A*(1+neighbours)` places it could be learned at.

    Attributes:
        valid: `[T,S]` bool, the place passes the anchor test and lies inside the grid.
        flat: `[T,S]` int64 index into predictions flattened to `[B*N, 5+C]`.
        cells_xy: `[T,S,2]` grid cell, x then y.
        anchors_wh: `[T,S,2]` anchor in pixels.
        strides: `[T,S]` pixels per cell.
        level_ids: `[S]` int64 level of each place.
    """

    valid: Tensor
    flat: Tensor
    cells_xy: Tensor
    anchors_wh: Tensor
    strides: Tensor
    level_ids: Tensor


def flatten_levels(levels: Sequence[Tensor]) -> Tensor:
    """Join the raw levels `[B,A,H,W,5+C]` to `[B,N,5+C]` in float32, smallest stride first.

    >>> flatten_levels([torch.zeros(2, 3, 4, 4, 8), torch.zeros(2, 3, 2, 2, 8)]).shape
    torch.Size([2, 60, 8])
    """
    return torch.cat([level.reshape(level.shape[0], -1, level.shape[-1]).float() for level in levels], dim=1)


def decode_boxes(raw_xywh: Tensor, cells_xy: Tensor, anchors_wh: Tensor, strides: Tensor) -> Tensor:
    """Turn raw box values `[...,4]` into `cx, cy, w, h` in pixels of the input.

    >>> cell, anchor = torch.tensor([[2., 3.]]), torch.tensor([[10., 13.]])
    >>> decode_boxes(torch.zeros(1, 4), cell, anchor, torch.tensor([8.]))
    tensor([[20., 28., 10., 13.]])
    """
    unit = raw_xywh.sigmoid()
    centre = (unit[..., :2] * 2 - 0.5 + cells_xy) * strides[..., None]
    return torch.cat([centre, (unit[..., 2:] * 2) ** 2 * anchors_wh], dim=-1)


def candidates(
    shapes_hw: Sequence[tuple[int, int]],
    targets: Tensor,
    anchors_px: Tensor,
    strides: Sequence[int],
    max_ratio: float = 4.0,
    neighbours: int = NEAREST,
) -> Candidates:
    """List the places where each object could be learned, by geometry alone.

    Args:
        shapes_hw: rows and columns of each level's grid.
        targets: `[T,6]` picture index, class, cx, cy, w, h in pixels.
        anchors_px: `[L,A,2]` anchor widths and heights in pixels.
        strides: pixels per cell of each level.
        max_ratio: an anchor counts while no side differs by this factor or more.
        neighbours: cells beside the centre's own: 2, the nearer along each axis, or 4, all around it.

    Raises:
        ValueError: another number of neighbours.

    >>> one = torch.tensor([[0., 0., 20., 28., 10., 13.]])
    >>> places = candidates([(8, 8)], one, torch.tensor([[[10., 13.], [99., 99.]]]), (8,))
    >>> [xy for xy, ok in zip(places.cells_xy[0].tolist(), places.valid[0].tolist()) if ok]
    [[2.0, 3.0], [3.0, 3.0], [2.0, 4.0]]
    """
    if neighbours not in _STEPS:
        raise ValueError(
            f"neighbours: expected 2 (the nearer ones) or 4 (all), got {neighbours}; pass 2 or 4"
        )
    count, (level_count, anchor_count), device = targets.shape[0], anchors_px.shape[:2], targets.device
    rows, columns = (torch.tensor(side, device=device) for side in zip(*shapes_hw, strict=True))
    grid_wh = torch.stack([columns, rows], dim=-1)  # [L,2]
    scale = torch.tensor(strides, dtype=torch.float32, device=device)
    centre = targets[:, None, 2:4] / scale[:, None]  # [T,L,2] in cells
    home = centre.floor()
    side = torch.where(centre - home < 0.5, -1.0, 1.0)  # towards the nearer neighbour
    axis = torch.tensor(_STEPS[neighbours], device=device)
    cells = home[:, :, None] + side[:, :, None] * axis  # [T,L,P,2], P places
    inside = ((cells >= 0) & (cells < grid_wh[:, None])).all(-1)  # [T,L,P]
    ratio = targets[:, None, None, 4:6] / anchors_px  # [T,L,A,2]
    fits = torch.maximum(ratio, 1 / ratio.clamp(min=1e-9)).amax(-1) < max_ratio
    sizes = anchor_count * rows * columns
    picture_start = targets[:, 0].long() * sizes.sum()
    level_start = sizes.cumsum(0) - sizes
    plane = torch.arange(anchor_count, device=device)[:, None] * (rows * columns)[:, None, None]  # [L,A,1]
    spot = cells[..., 1].long() * columns[:, None] + cells[..., 0].long()  # [T,L,P]
    flat = picture_start[:, None, None, None] + level_start[:, None, None] + plane + spot[:, :, None]
    per_anchor = 1 + neighbours
    full = (count, level_count, anchor_count, per_anchor)
    slots = level_count * anchor_count * per_anchor
    return Candidates(
        valid=(fits[..., None] & inside[:, :, None]).reshape(count, slots),
        flat=flat.reshape(count, slots),
        cells_xy=cells[:, :, None].expand(*full, 2).reshape(count, slots, 2),
        anchors_wh=anchors_px[None, :, :, None].expand(*full, 2).reshape(count, slots, 2),
        strides=scale[None, :, None, None].expand(full).reshape(count, slots),
        level_ids=torch.arange(level_count, device=device).repeat_interleave(anchor_count * per_anchor),
    )
