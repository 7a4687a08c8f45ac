"""How the drawn blood cells look: stains laid on a slide cell by cell, then the microscope and its camera.

Each painter adds to maps of optical density, one per stain; `expose` sends light through them, `photograph`
adds focus, dust and noise. Colours and noise were measured on BCCD's training pictures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from helpers.training.smears import Cell

Map = npt.NDArray[np.float32]
Stains = dict[str, Map]

STAINS = ("haem", "nucleus", "lilac", "eosin", "azure")
_LIGHT_BGR = np.array([199.0, 204.0, 202.0])
# Optical density per unit of stain, in blue, green and red: minus the logarithm of (colour / background). The
# camera's colour matrix makes blue stains brighter than the background in blue, hence the negative numbers.
_DENSITY_BGR = np.array(
    [[0.19, 0.255, 0.11], [-0.06, 0.72, 0.42], [0.05, 0.17, 0.08], [0.20, 0.44, 0.16], [-0.01, 0.36, 0.32]]
)


class Patch:
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
        self.rho: Map = length * table[(degrees * np.float32(len(table) / 360)).astype(np.int32) % len(table)]
        self.inside = self.step((1 - self.rho) * cell.radius - 0.5, 2.6)

    def turned(self, x: float, y: float, angle: float) -> tuple[Map, Map]:
        """Coordinates along and across a direction, from a point that is given in radii."""
        cosine, sine = math.cos(angle), math.sin(angle)
        across, down = self.x - x, self.y - y
        return across * cosine + down * sine, down * cosine - across * sine

    @staticmethod
    def step(distance: npt.NDArray[np.floating], softness: float) -> Map:
        """Smooth step of a distance: 0 below minus `softness`, 1 above it."""
        t = np.clip(distance / (2 * softness) + 0.5, 0, 1)
        return np.asarray(t * t * (3 - 2 * t), np.float32)

    def noise(self, rng: np.random.Generator, grain: float) -> Map:
        """Smooth noise of mean 0 and deviation about 0.7, with grains of so many pixels."""
        height, width = self.x.shape
        coarse = rng.standard_normal((int(height / grain) + 3, int(width / grain) + 3), np.float32)
        big = cv2.resize(coarse, None, fx=grain, fy=grain, interpolation=cv2.INTER_CUBIC)
        return np.asarray(big[:height, :width], np.float32)


def paint_red(maps: Stains, patch: Patch, rng: np.random.Generator, pallor: float, speckled: bool) -> None:
    """A biconcave disc: a rim, a paler middle that may be wide, narrow, a slit or missing, a bright halo."""
    wide, narrow = rng.uniform(0.32, 0.74), rng.uniform(0.55, 1.0)
    along, across = patch.turned(rng.normal(0, 0.08), rng.normal(0, 0.08), rng.uniform(0, np.pi))
    along, across = along / wide, across / (wide * narrow)
    squared = along * along + across * across
    depth = min(max(rng.normal(pallor + 0.08, 0.3), 0.05), 1.05)
    thick = 1 - depth * np.exp(-squared * (squared if rng.random() < 0.6 else 1.0))
    rim = np.exp(-np.square((patch.rho - 0.88) / 0.10))
    uneven = 1 + rng.normal(0, 0.10) * patch.x + rng.normal(0, 0.10) * patch.y + 0.025 * patch.noise(rng, 12)
    halo = np.exp(-np.square((patch.rho - 1) * patch.radius / 3 - 1.1))
    density = rng.uniform(0.62, 1.15) * patch.inside * (thick * uneven + 0.08 * rim) - 0.12 * halo
    maps["haem"][patch.window] += density
    maps["lilac"][patch.window] += rng.uniform(0, 0.25) * density
    for _ in range(int(rng.integers(1, 4)) if speckled else 0):
        distance = np.hypot(patch.x - rng.normal(0, 0.3), patch.y - rng.normal(0, 0.3))
        distance *= patch.radius / rng.uniform(2.0, 4.0)
        ring, glint = np.exp(-2 * np.square(distance - 1.7)), np.exp(-distance * distance)
        maps["haem"][patch.window] += 0.9 * ring - 0.8 * glint


def paint_white(maps: Stains, patch: Patch, rng: np.random.Generator) -> None:
    """A leukocyte over what lies there: cytoplasm with granules, and a nucleus of one to five lobes."""
    for stain in maps.values():
        stain[patch.window] *= 1 - patch.inside
    kind = rng.choice(["neutrophil", "eosinophil", "lymphocyte"], p=[0.6, 0.2, 0.2])
    nucleus = _nucleus(patch, rng, str(kind))
    fine, coarse = patch.noise(rng, 3.4), patch.noise(rng, 11)
    body = patch.inside * (1 - nucleus)
    chromatin = 1 + 0.17 * coarse + 0.05 * fine
    maps["nucleus"][patch.window] += nucleus * patch.inside * chromatin * rng.uniform(0.8, 1.15)
    edge = 0.25 * np.exp(-np.square((patch.rho - 0.96) / 0.04))
    if kind == "eosinophil":
        grains = np.clip(0.7 + 0.45 * patch.noise(rng, 5.0), 0.15, 1.5)
        maps["eosin"][patch.window] += body * grains * rng.uniform(0.6, 0.95)
    elif kind == "neutrophil":
        maps["eosin"][patch.window] += body * np.clip(fine - 0.55, 0, 1) * rng.uniform(0.1, 0.4)
    blue = rng.uniform(0.3, 0.7) if kind == "lymphocyte" else 0.0
    maps["azure"][patch.window] += body * blue * (1 + 0.2 * coarse)
    maps["lilac"][patch.window] += body * (rng.uniform(0.4, 0.95) + 0.12 * coarse + 0.10 * fine + edge)


def _nucleus(patch: Patch, rng: np.random.Generator, kind: str) -> Map:
    """Soft mask of the nucleus: lobes on an arc, melted together like metaballs."""
    lobes = 1 if kind == "lymphocyte" else int(rng.integers(2, 4 if kind == "eosinophil" else 6))
    start, turning = rng.uniform(0, 2 * np.pi), float(rng.choice([-1, 1])) * rng.uniform(1.05, 1.45)
    field, fuller = np.zeros_like(patch.x), 1.25 if lobes < 4 else 1.0
    for lobe in range(lobes):
        angle = start + turning * lobe
        away = rng.uniform(0.0, 0.12) if lobes == 1 else rng.uniform(0.40, 0.56)
        size = rng.uniform(0.72, 0.85) if lobes == 1 else rng.uniform(0.21, 0.29) * fuller
        middle = away * math.cos(angle), away * math.sin(angle)
        along, across = patch.turned(*middle, rng.uniform(0, np.pi))
        field += np.exp(-0.7 / size**2 * (np.square(along / rng.uniform(1.0, 1.35)) + np.square(across)))
    field = field + 0.05 * patch.noise(rng, 11)
    return patch.step((field - 0.5) * patch.radius * 0.6, 2.5)


def paint_platelet(maps: Stains, patch: Patch, rng: np.random.Generator) -> None:
    """A small granular speck with a frayed edge, blue to purple."""
    grains = patch.noise(rng, 4.5)
    soft = patch.step((0.92 - patch.rho + 0.07 * grains) * patch.radius, rng.uniform(4.0, 7.0))
    violet, strength = rng.uniform(0.1, 0.75), rng.uniform(0.6, 1.25)
    core = np.exp(-np.square(patch.rho / 0.65))
    density = soft * np.clip(0.55 + 0.55 * core + 0.22 * grains, 0.1, 2) * strength
    maps["nucleus"][patch.window] += violet * density * 0.7
    maps["azure"][patch.window] += (1 - violet) * density


def expose(maps: Stains, rng: np.random.Generator) -> Map:
    """Light that reaches the camera, `[H, W, 3]` BGR: uneven lamp, then Beer-Lambert through the stains."""
    height, width = maps["haem"].shape
    density = _DENSITY_BGR.copy()
    warm = np.clip(rng.normal(0, 1), -1.2, 2.0)
    density[0] *= np.clip(rng.normal(1.0, 0.13), 0.7, 1.35) * np.array([1 + 0.24 * warm, 1, 1 - 0.10 * warm])
    density[1:] *= rng.uniform(0.85, 1.2)
    maps["haem"] -= 0.55 * np.maximum(maps["haem"] - 0.8, 0)  # overlaps are darker, though not twice as dark
    light = (_LIGHT_BGR * rng.normal(1, 0.008, 3) * rng.uniform(0.99, 1.04)).tolist()
    lamp = rng.uniform(-0.15, 0.15, 2).tolist()
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    tilt = (rng.normal(0, 0.009, (2, 3)) + rng.normal(0, 0.014, (2, 1))).tolist()
    fade = rng.uniform(0.01, 0.06)
    image = np.empty((height, width, 3), np.float32)
    vignette = 1 - fade * (np.square(across - lamp[0])[None] + np.square(down - lamp[1])[:, None])
    for channel in range(3):
        absorbed = sum(maps[stain] * np.float32(density[row, channel]) for row, stain in enumerate(STAINS))
        lit = vignette + tilt[0][channel] * across[None] + tilt[1][channel] * down[:, None]
        mottle = rng.standard_normal((7, 9), np.float32)
        lit = lit + 0.006 * cv2.resize(mottle, (width, height), interpolation=cv2.INTER_CUBIC)
        image[:, :, channel] = light[channel] * lit * np.exp(-np.asarray(absorbed))
    return image


def photograph(image: Map, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Soft focus, dust on the sensor, column and colour noise, eight bits."""
    height, width = image.shape[:2]
    blur = rng.uniform(1.0, 1.7) if rng.random() < 0.8 else rng.uniform(1.7, 3.2)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.float32)
    # Blue focuses elsewhere: the photographs have yellow fringes around the cells.
    image[:, :, 0] = cv2.GaussianBlur(image[:, :, 0], (0, 0), rng.uniform(1.8, 3.2))
    for _ in range(int(rng.integers(0, 9))):
        x, y = int(rng.integers(5, width - 5)), int(rng.integers(5, height - 5))
        distance = np.hypot(*np.mgrid[-5:5, -5:5].astype(np.float32)) / rng.uniform(0.9, 1.2)
        ring = 1 + 0.06 * np.exp(-distance * distance)
        ring -= rng.uniform(0.05, 0.2) * np.exp(-np.square(distance - 2.6))
        image[y - 5 : y + 5, x - 5 : x + 5] *= ring[:, :, None]
    grain = rng.standard_normal((height, width), np.float32)
    colour = cv2.resize(rng.standard_normal((height // 3, width // 3, 3), np.float32), (width, height))
    columns = 0.5 * rng.standard_normal((1, width, 1), np.float32)
    image = image + 1.1 * grain[:, :, None] + 1.3 * colour + columns
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)
