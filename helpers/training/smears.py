"""A procedural stained blood smear: pictures like BCCD's photographs, drawn from a seed, with exact boxes.

The picture is made as a microscope makes it. Every cell adds to maps of how much of each stain lies where, light
is dimmed by Beer-Lambert's law, so that cells that overlap are darker there, and then come focus and the sensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from helpers.training.datasets import Sample

Map = npt.NDArray[np.float32]

RED, WHITE, PLATELET = 0, 1, 2
"""Class ids, in the order of `datasets.CELL_NAMES`."""

_DIRECTIONS = 720
_ANGLES = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
_STAINS = ("haem", "nucleus", "lilac", "eosin", "azure")
_LIGHT_BGR = np.array([199.0, 204.0, 202.0])
# Optical density per unit of stain, in blue, green and red: minus the logarithm of (colour / background), read
# from the photographs. A camera's colour matrix makes blue stains brighter than the background in blue.
_DENSITY_BGR = np.array(
    [[0.25, 0.30, 0.13], [-0.06, 0.76, 0.46], [0.05, 0.20, 0.10], [0.24, 0.50, 0.20], [0.00, 0.40, 0.36]]
)


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
        return np.array([x.min(), y.min(), x.max(), y.max()]) + np.tile(self.centre_xy, 2)


def draw_smear(seed: int, size_wh: tuple[int, int] = (640, 480), *, cells: int | None = None) -> Sample:
    """Draw a stained blood smear and its boxes. The same seed gives the same picture.

    Cells keep BCCD's proportions: a red cell is about 100 px across in a picture of 640x480. When `cells` asks
    for more than fit at that size, all of them are drawn smaller.

    >>> draw_smear(0, (64, 48), cells=0).boxes_xyxy.shape, len(draw_smear(1, (128, 96), cells=5))
    ((0, 4), 5)

    Args:
        seed: any non-negative number.
        size_wh: width and height of the picture in pixels.
        cells: exact number of cells of all kinds; 0 is an empty slide; None draws as many as a photograph has.

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
    maps = {stain: np.zeros(size_wh[::-1], np.float32) for stain in _STAINS}
    pallor = rng.uniform(0.1, 1.0)
    speckled = rng.uniform(0.02, 0.25) * (rng.random() < 0.5)
    for cell in sorted(plan, key=lambda cell: cell.class_id == WHITE):
        patch = _Patch(cell, size_wh)
        if cell.class_id == RED:
            _paint_red(maps, patch, rng, pallor, rng.random() < speckled)
        elif cell.class_id == WHITE:
            _paint_white(maps, patch, rng)
        else:
            _paint_platelet(maps, patch, rng)
    image_bgr = _photograph(_expose(maps, rng), rng)
    boxes = np.array([cell.box_xyxy for cell in plan]).reshape(-1, 4)
    boxes = np.clip(boxes, 0, (*size_wh, *size_wh))
    return Sample.of(image_bgr, boxes, [cell.class_id for cell in plan])


# --- the plan: which cells, where -------------------------------------------------------------------------------


def _plan(rng: np.random.Generator, size_wh: tuple[int, int], cells: int | None) -> list[Cell]:
    """Choose kinds, sizes and places of all cells."""
    whites = int(rng.choice(3, p=[0.05, 0.85, 0.10]))
    platelets = int(rng.choice(5, p=[0.40, 0.28, 0.17, 0.10, 0.05]))
    total = int(rng.integers(12, 27)) if cells is None else cells
    kinds = ([WHITE] * whites + [PLATELET] * platelets + [RED] * total)[:total]
    if cells is not None:  # whites and platelets first, but never most of a short list
        kinds = sorted(kinds, reverse=True)[-total:] if total > 4 else [RED] * total
    kinds.sort(key=lambda kind: (WHITE, PLATELET, RED).index(kind))
    scale = min(size_wh[0] / 640, size_wh[1] / 480) * rng.uniform(0.88, 1.12) * min(1.0, (26 / max(total, 1)) ** 0.5)
    spacing, clumping = rng.uniform(0.72, 1.0), rng.uniform(0.0, 0.7)
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
        friend = reds[int(rng.integers(len(reds)))]
        turn = rng.uniform(0, 2 * np.pi, 40)
        step = (friend.radius + radius) * rng.uniform(0.6, 0.95, 40)
        tries[:25] = (friend.centre_xy + step[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1))[:25]
        spacing = 0.62
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
    stretch = {RED: 1 + abs(rng.normal(0, 0.10)), WHITE: rng.uniform(1, 1.12), PLATELET: rng.uniform(1, 1.3)}[kind]
    if kind == RED and rng.random() < 0.08:
        stretch += rng.uniform(0.15, 0.5)
    long, short = radius * stretch**0.5, radius / stretch**0.5
    turned = _ANGLES + rng.uniform(0, np.pi)
    outline = long * short / np.hypot(short * np.cos(turned), long * np.sin(turned))
    rough = {RED: 0.012 if rng.random() < 0.85 else 0.03, WHITE: 0.018, PLATELET: 0.07}[kind]
    for order in range(3, 8):
        outline *= 1 + rough * (3 / order) ** 0.7 * rng.normal() * np.cos(order * _ANGLES + rng.uniform(0, 2 * np.pi))
    if kind == RED and rng.random() < 0.05:  # crenated: a burr cell
        outline *= 1 + 0.035 * np.cos(int(rng.integers(9, 15)) * _ANGLES)
    return Cell(kind, centre_xy, radius, outline)


# --- painting: how much of which stain lies where ---------------------------------------------------------------


class _Patch:
    """The part of the picture around one cell, with coordinates relative to it.

    `x`, `y` are in radii from the centre, `rho` is 1 on the outline, `inside` runs softly from 0 to 1.
    """

    def __init__(self, cell: Cell, size_wh: tuple[int, int]) -> None:
        """Cut the cell's window, with a margin for its halo, out of the picture."""
        box, margin = cell.box_xyxy, 8
        left, top = (max(0, int(edge) - margin) for edge in box[:2])
        right, bottom = (min(side, int(edge) + margin) for side, edge in zip(size_wh, box[2:], strict=True))
        self.window = slice(top, max(bottom, top)), slice(left, max(right, left))
        self.radius = cell.radius
        across = (np.arange(left, right) + 0.5 - cell.centre_xy[0]) / cell.radius
        down = (np.arange(top, bottom) + 0.5 - cell.centre_xy[1]) / cell.radius
        grid = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
        self.x, self.y = np.ascontiguousarray(grid[0]), np.ascontiguousarray(grid[1])
        length, degrees = cv2.cartToPolar(self.x, self.y, angleInDegrees=True)
        table = (cell.radius / cell.outline).astype(np.float32)
        self.rho: Map = length * table[(degrees * np.float32(_DIRECTIONS / 360)).astype(np.int32) % _DIRECTIONS]
        self.inside = self.step((1 - self.rho) * cell.radius, 1.6)

    @staticmethod
    def step(distance: Map, softness: float) -> Map:
        """Smooth step of a distance: 0 below minus `softness`, 1 above it."""
        t = np.clip(distance / (2 * softness) + 0.5, 0, 1)
        return np.asarray(t * t * (3 - 2 * t), np.float32)

    def noise(self, rng: np.random.Generator, grain: float) -> Map:
        """Smooth noise of mean 0 and deviation about 0.7, with grains of so many pixels."""
        height, width = self.x.shape
        coarse = rng.standard_normal((int(height / grain) + 3, int(width / grain) + 3), np.float32)
        big = cv2.resize(coarse, None, fx=grain, fy=grain, interpolation=cv2.INTER_CUBIC)
        return np.asarray(big[:height, :width], np.float32)


def _paint_red(maps: dict[str, Map], patch: _Patch, rng: np.random.Generator, pallor: float, speckled: bool) -> None:
    """A biconcave disc: a rim, a paler middle that may be wide, narrow, a slit or missing, a bright halo."""
    wide, narrow = rng.uniform(0.25, 0.6), rng.uniform(0.6, 1.0)
    turn, shift = rng.uniform(0, np.pi), rng.normal(0, 0.08, 2)
    x, y = patch.x - shift[0], patch.y - shift[1]
    along = (x * np.cos(turn) + y * np.sin(turn)) / wide
    across = (y * np.cos(turn) - x * np.sin(turn)) / (wide * narrow)
    squared = along * along + across * across
    depth = np.clip(rng.normal(0.55 * pallor + 0.1, 0.25), 0.0, 0.92)
    thick = 1 - depth * np.exp(-squared * (squared if rng.random() < 0.4 else 1.0))
    rim = np.exp(-np.square((patch.rho - 0.88) / 0.10))
    uneven = 1 + rng.normal(0, 0.10) * patch.x + rng.normal(0, 0.10) * patch.y + 0.025 * patch.noise(rng, 12)
    halo = np.exp(-np.square((patch.rho - 1) * patch.radius / 3 - 1.1))
    density = rng.uniform(0.75, 1.1) * patch.inside * (thick * uneven + 0.10 * rim) - 0.10 * halo
    maps["haem"][patch.window] += density
    for _ in range(int(rng.integers(1, 4)) if speckled else 0):
        spot = rng.normal(0, 0.3, 2)
        distance = np.hypot(patch.x - spot[0], patch.y - spot[1]) * patch.radius / rng.uniform(2.0, 4.0)
        maps["haem"][patch.window] += 0.9 * np.exp(-np.square(distance - 1.7) * 2) - 0.8 * np.exp(-distance * distance)


def _paint_white(maps: dict[str, Map], patch: _Patch, rng: np.random.Generator) -> None:
    """A leukocyte over what lies there: cytoplasm with granules, and a nucleus of one to five lobes."""
    for stain in maps.values():
        stain[patch.window] *= 1 - patch.inside
    kind = rng.choice(["neutrophil", "eosinophil", "lymphocyte"], p=[0.6, 0.2, 0.2])
    nucleus = _nucleus(patch, rng, str(kind))
    fine, coarse = patch.noise(rng, 2.6), patch.noise(rng, 9)
    body = patch.inside * (1 - nucleus)
    chromatin = 1 + 0.16 * coarse + 0.06 * fine
    maps["nucleus"][patch.window] += nucleus * patch.inside * chromatin * rng.uniform(0.8, 1.15)
    edge = 0.25 * np.exp(-np.square((patch.rho - 0.96) / 0.04))
    if kind == "eosinophil":
        grains = np.clip(0.55 + 0.75 * patch.noise(rng, 4.2), 0, 1.6)
        maps["eosin"][patch.window] += body * grains * rng.uniform(0.6, 0.95)
    elif kind == "neutrophil":
        maps["eosin"][patch.window] += body * np.clip(fine - 0.55, 0, 1) * rng.uniform(0.15, 0.5)
    blue = rng.uniform(0.3, 0.7) if kind == "lymphocyte" else 0.0
    maps["azure"][patch.window] += body * blue * (1 + 0.2 * coarse)
    maps["lilac"][patch.window] += body * (rng.uniform(0.5, 1.1) + 0.14 * coarse + 0.14 * fine + edge)


def _nucleus(patch: _Patch, rng: np.random.Generator, kind: str) -> Map:
    """Soft mask of the nucleus: lobes on an arc, melted together like metaballs."""
    lobes = 1 if kind == "lymphocyte" else int(rng.integers(2, 4 if kind == "eosinophil" else 6))
    start, turning = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1]) * rng.uniform(0.95, 1.35)
    field = np.zeros_like(patch.x)
    for lobe in range(lobes):
        angle = start + turning * lobe
        away = rng.uniform(0.0, 0.12) if lobes == 1 else rng.uniform(0.34, 0.5)
        size = rng.uniform(0.72, 0.85) if lobes == 1 else rng.uniform(0.25, 0.36) * (1.2 if lobes < 4 else 1.0)
        long, tilt = rng.uniform(1.0, 1.35), rng.uniform(0, np.pi)
        x, y = patch.x - away * np.cos(angle), patch.y - away * np.sin(angle)
        along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
        field += np.exp(-0.7 * (np.square(along / long) + np.square(across)) / size**2)
    field = field + 0.05 * patch.noise(rng, 11)
    return patch.step((field - 0.5) * patch.radius * 0.6, 2.5)


def _paint_platelet(maps: dict[str, Map], patch: _Patch, rng: np.random.Generator) -> None:
    """A small granular speck with a frayed edge, blue to purple."""
    grains = patch.noise(rng, 3.2)
    soft = patch.step((1 - patch.rho + 0.12 * grains) * patch.radius, rng.uniform(2.5, 5.0))
    violet, strength = rng.uniform(0.1, 0.75), rng.uniform(0.45, 1.1)
    core = np.exp(-np.square(patch.rho / 0.65))
    density = soft * np.clip(0.55 + 0.5 * core + 0.3 * grains, 0.1, 2) * strength
    maps["nucleus"][patch.window] += violet * density * 0.7
    maps["azure"][patch.window] += (1 - violet) * density


# --- the microscope: light, focus, sensor -----------------------------------------------------------------------


def _expose(maps: dict[str, Map], rng: np.random.Generator) -> Map:
    """Light that reaches the camera, `[H, W, 3]` BGR: uneven lamp, then Beer-Lambert through the stains."""
    height, width = maps["haem"].shape
    density = _DENSITY_BGR.copy()
    warm = rng.normal(0, 1)
    density[0] *= np.array([1 + 0.14 * warm, 1.0, 1 - 0.12 * warm]) * np.clip(rng.normal(1.0, 0.14), 0.65, 1.4)
    density[1:] *= rng.uniform(0.85, 1.2)
    maps["haem"] /= 0.78 + 0.22 * np.abs(maps["haem"])  # overlaps are darker, though not twice as dark
    light = _LIGHT_BGR * rng.normal(1, 0.012, 3) * rng.uniform(0.97, 1.03)
    lamp = rng.uniform(-0.15, 0.15, 2)
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    tilt = rng.normal(0, 0.014, (2, 3)) + rng.normal(0, 0.012, (2, 1))
    fade = rng.uniform(0.01, 0.06)
    image = np.empty((height, width, 3), np.float32)
    vignette = 1 - fade * (np.square(across - lamp[0])[None] + np.square(down - lamp[1])[:, None])
    for channel in range(3):
        absorbed = sum(maps[stain] * np.float32(density[row, channel]) for row, stain in enumerate(_STAINS))
        lit = vignette + tilt[0, channel] * across[None] + tilt[1, channel] * down[:, None]
        image[:, :, channel] = light[channel] * lit * np.exp(-np.asarray(absorbed))
    return image


def _photograph(image: Map, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Soft focus, dust on the sensor, column and colour noise, eight bits."""
    height, width = image.shape[:2]
    image = cv2.GaussianBlur(image, (0, 0), float(rng.choice([rng.uniform(0.9, 1.6), rng.uniform(1.6, 3.2)], p=[0.75, 0.25])))
    for _ in range(int(rng.integers(0, 9))):
        x, y = int(rng.integers(5, width - 5)), int(rng.integers(5, height - 5))
        distance = np.hypot(*np.mgrid[-5:5, -5:5].astype(np.float32)) / rng.uniform(0.9, 1.2)
        ring = 1 - rng.uniform(0.05, 0.2) * np.exp(-np.square(distance - 2.6)) + 0.06 * np.exp(-distance * distance)
        image[y - 5 : y + 5, x - 5 : x + 5] *= ring[:, :, None]
    grain = rng.standard_normal((height, width), np.float32)
    colour = cv2.resize(rng.standard_normal((height // 3, width // 3, 3), np.float32), (width, height))
    columns = 0.5 * rng.standard_normal((1, width, 1), np.float32)
    image = image + 1.1 * grain[:, :, None] + 1.3 * colour + columns
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)
