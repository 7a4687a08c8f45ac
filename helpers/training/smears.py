"""A procedural stained blood smear: pictures like BCCD's photographs, drawn from a seed, with exact boxes.

The picture is made as a microscope makes it: every cell adds to maps of how much of each stain lies where,
light is dimmed by Beer-Lambert's law, so cells that overlap are darker there, and then come focus and the
sensor. Here is the plan, which cells lie where; `helpers.training.staining` has the painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.training import staining
from helpers.training.datasets import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

RED, WHITE, PLATELET = 0, 1, 2
"""Class ids, in the order of `datasets.CELL_NAMES`."""

_DIRECTIONS = 720
_ANGLES = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)


@dataclass(frozen=True)
class Cell:
    """One cell of the plan: its class, centre, and the radius in 720 directions, in pixels."""

    class_id: int
    centre_xy: tuple[float, float]
    radius: float
    outline: npt.NDArray[np.float64]

    @property
    def box_xyxy(self) -> npt.NDArray[np.float64]:
        """The outline's bounding box, `[4]`, not clipped to the picture."""
        x, y = self.outline * np.cos(_ANGLES), self.outline * np.sin(_ANGLES)
        left, top = self.centre_xy
        return np.array([x.min() + left, y.min() + top, x.max() + left, y.max() + top])


def draw_smear(seed: int, size_wh: tuple[int, int] = (640, 480), *, cells: int | None = None) -> Sample:
    """Draw a stained blood smear and its boxes. The same seed gives the same picture.

    Cells keep BCCD's proportions: a red cell is about 100 px across in a picture of 640x480. When `cells`
    asks for more than fit at that size, all of them are drawn smaller.

    >>> draw_smear(0, (64, 48), cells=0).boxes_xyxy.shape, len(draw_smear(1, (128, 96), cells=5))
    ((0, 4), 5)

    Args:
        seed: any non-negative number.
        size_wh: width and height of the picture in pixels.
        cells: exact number of cells of all kinds; 0 is an empty slide; None: as many as a photograph has.

    Returns:
        Picture `uint8[H, W, 3]`, boxes tight around the outlines and clipped to the picture, class ids in the
        order RBC, WBC, Platelets.

    Raises:
        ValueError: a negative seed or count, or a size below 32 px.

    Source: this project's own; colours and sizes measured on BCCD's training pictures.
    """
    if seed < 0 or (cells is not None and cells < 0) or min(size_wh) < 32:
        raise ValueError(
            f"draw_smear: expected seed >= 0, cells >= 0 and sides >= 32 px, got {seed}, {cells}, {size_wh}"
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    plan = _plan(rng, size_wh, cells)
    maps: staining.Stains = {stain: np.zeros(size_wh[::-1], np.float32) for stain in staining.STAINS}
    pallor = rng.uniform(0.2, 1.0)
    speckled = rng.uniform(0.02, 0.25) * (rng.random() < 0.5)
    for cell in sorted(plan, key=lambda cell: cell.class_id == WHITE):
        patch = staining.Patch(cell, size_wh)
        if cell.class_id == RED:
            staining.paint_red(maps, patch, rng, pallor, rng.random() < speckled)
        elif cell.class_id == WHITE:
            staining.paint_white(maps, patch, rng)
        else:
            staining.paint_platelet(maps, patch, rng)
    image_bgr = staining.photograph(staining.expose(maps, rng), rng)
    boxes = np.array([cell.box_xyxy for cell in plan]).reshape(-1, 4)
    boxes = np.clip(boxes, 0, (*size_wh, *size_wh))
    return Sample.of(image_bgr, boxes, [cell.class_id for cell in plan])


def _plan(rng: np.random.Generator, size_wh: tuple[int, int], cells: int | None) -> list[Cell]:
    """Choose kinds, sizes and places of all cells."""
    whites = int(rng.choice(3, p=[0.05, 0.85, 0.10]))
    platelets = int(rng.choice(5, p=[0.40, 0.28, 0.17, 0.10, 0.05]))
    total = int(rng.integers(15, 33)) if cells is None else cells
    whites, platelets = (whites, platelets) if total > 8 else (0, 0)
    kinds = [WHITE] * whites + [PLATELET] * platelets + [RED] * (total - whites - platelets)
    scale = min(size_wh[0] / 640, size_wh[1] / 480) * rng.uniform(0.88, 1.12)
    scale *= min(1.0, (30 / max(total, 1)) ** 0.5)
    spacing, clumping = rng.uniform(0.70, 1.0), rng.uniform(0.1, 0.7)
    plan: list[Cell] = []
    for kind in kinds:
        radius = scale * _radius(rng, kind)
        clumped = kind == RED and rng.random() < clumping
        plan.append(_cell(rng, kind, radius, _place(rng, plan, radius, size_wh, kind, spacing, clumped)))
    return plan


def _radius(rng: np.random.Generator, kind: int) -> float:
    """Mean radius of a cell in a picture of 640x480, in pixels."""
    if kind == RED:
        return float(np.clip(rng.normal(50, 4.5), 38, 64))
    if kind == WHITE:
        return float(np.clip(rng.normal(92, 17), 55, 120))
    return float(np.clip(rng.lognormal(2.9, 0.2), 12, 32))


def _place(
    rng: np.random.Generator,
    plan: Sequence[Cell],
    radius: float,
    size_wh: tuple[int, int],
    kind: int,
    spacing: float,
    clumped: bool,
) -> tuple[float, float]:
    """Find a centre that leaves the others room; the best of forty tries where there is none."""
    reach = radius * (0.5 if kind == RED else 0.2 if kind == WHITE else -1.0)
    low, high = np.full(2, -reach), np.array(size_wh) + reach
    tries = rng.uniform(low, high, (40, 2))
    reds = [other for other in plan if other.class_id == RED]
    if clumped and reds:
        friend = reds[-1] if rng.random() < 0.6 else reds[int(rng.integers(len(reds)))]
        turn = rng.uniform(0, 2 * np.pi, 40)
        step = (friend.radius + radius) * rng.uniform(0.55, 1.0, 40)
        tries[:25] = (friend.centre_xy + step[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1))[:25]
        spacing = 0.55
    if not plan:
        return float(tries[0, 0]), float(tries[0, 1])
    centres = np.array([other.centre_xy for other in plan])
    radii = np.array([other.radius for other in plan])
    slack = np.array([spacing if kind == other.class_id == RED else 1.0 for other in plan])
    distance = np.linalg.norm(tries[:, None] - centres[None], axis=2)
    room = (distance / ((radii + radius) * slack)).min(1)
    room[(tries < low).any(1) | (tries > high).any(1)] = -1
    best = tries[int(np.argmax(room >= 1)) if (room >= 1).any() else int(np.argmax(room))]
    return float(best[0]), float(best[1])


def _cell(rng: np.random.Generator, kind: int, radius: float, centre_xy: tuple[float, float]) -> Cell:
    """Draw the outline: an ellipse with a few waves on it."""
    stretch = (
        1 + {RED: abs(rng.normal(0, 0.15)), WHITE: rng.uniform(0, 0.12), PLATELET: rng.uniform(0, 0.3)}[kind]
    )
    if kind == RED and rng.random() < 0.12:
        stretch += rng.uniform(0.2, 0.7)
    long, short = radius * stretch**0.5, radius / stretch**0.5
    turned = _ANGLES + rng.uniform(0, np.pi)
    outline = long * short / np.hypot(short * np.cos(turned), long * np.sin(turned))
    rough = {RED: 0.014 if rng.random() < 0.75 else 0.035, WHITE: 0.018, PLATELET: 0.05}[kind]
    for order in range(3, 8):
        wave = np.cos(order * _ANGLES + rng.uniform(0, 2 * np.pi))
        outline *= 1 + rough * (3 / order) ** 0.7 * rng.normal() * wave
    if kind == RED and rng.random() < 0.05:  # crenated: a burr cell
        outline *= 1 + 0.035 * np.cos(int(rng.integers(9, 15)) * _ANGLES)
    return Cell(kind, centre_xy, radius, outline)
