"""The pipeline on one page for the wall: every file, how to make it, and the shapes at every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.course.atlas import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMULAS", "STAGES", "Stage", "shapes_of", "sheet", "write_sheet"]

A4_IN = (11.69, 8.27)
_INK, _GREY = "#22303c", "#5c6b7a"


@dataclass(frozen=True)
class Stage:
    """One band of the sheet.

    Attributes:
        ending: Of the file, behind the model's name.
        shape: What goes in and comes out; of the bundled model at 640 x 640.
        meaning: What the numbers are.
        command: That makes it, behind `python -m helpers`.
        lesson: Two digits.
        kind: `look`, `make` or `use`, for its colour.
        level: How far it is from the checkpoint.
    """

    ending: str
    shape: str
    meaning: str
    command: str
    lesson: str
    kind: str
    level: int


_IN, _OUT = "images [1, 3, 640, 640] → ", "output0 [1, 100, 6]"
STAGES = (
    Stage(".pt", "weights, names, strides, layer table", "read without running its pickle",
          "train pictures/", "08", "look", 0),
    Stage(".onnx", _IN + "output [1, 25200, 8]", "cx, cy, w, h in pixels, objectness, one score a class",
          "export best.pt", "02", "make", 1),
    Stage("-end2end.onnx", _IN + "detections [M, 7]",
          "picture, x0, y0, x1, y1, class, score; M as many as are found",
          "convert best.pt", "02", "make", 2),
    Stage("-batched.onnx", "images [B, 3, 640, 640] → output0 [B, 100, 6]",
          "the next one, for any number of pictures",
          "convert best.pt --batched", "04", "make", 3),
    Stage("-ultralytics.onnx", _IN + _OUT, "x0, y0, x1, y1, score, class; unused rows zero; names inside",
          "convert best.pt", "04", "make", 3),
    Stage("-picture.onnx", "picture [H, W, 3] uint8 → picture_boxes [1, 100, 6]",
          "letterbox inside: boxes in the picture's own pixels",
          "convert best.pt --picture", "06", "make", 4),
    Stage("-int8.onnx", _IN + _OUT, "Q/DQ around the convolutions, for CPUs",
          "convert best.pt --int8", "07", "make", 4),
    Stage("-fp16.onnx", _IN + _OUT, "halves up to the heads; the NMS stays FP32",
          "convert best.pt --half", "05", "make", 4),
    Stage("-fp16.engine", _IN + _OUT, "4 bytes of length, JSON metadata, TensorRT plan",
          "build best.pt", "05", "make", 5),
    Stage("finished boxes", "boxes_xyxy [n, 4], scores [n], class_ids [n]", "in the picture's own pixels",
          "detect best-ultralytics.onnx pictures/", "06", "use", 4),
)  # fmt: skip
"""From the checkpoint down; a stage is made from the nearest one above it of a lower level."""

FORMULAS: Mapping[str, Sequence[str]] = {
    "Letterbox": ("scale = min(640 / W, 640 / H)", "pad = (640 − scale · W) / 2, likewise for H",
                  "grey 114, RGB, divided by 255", "back: x = (x' − pad) / scale"),
    "Decode, at stride s": ("xy = (2 σ(t) − 0.5 + grid) · s", "wh = (2 σ(t))² · anchor",
                            "strides 8, 16, 32: grids of 80, 40, 20", "3 · (80² + 40² + 20²) = 25200 rows"),
    "Suppression": ("score = objectness × class", "best class of each box, score > 0.35",
                    "boxes + class · offset, IoU > 0.65 goes", "at most 100 a picture"),
}  # fmt: skip


def shapes_of(path: Path) -> str:
    """Inputs and outputs of an ONNX file, as the sheet writes them: open sizes as B, M, H and W.

    Args:
        path: The file.
    """
    from helpers.artifacts import describe_onnx

    short = {"batch": "B", "detection_count": "M", "height": "H", "width": "W"}
    sides = []
    for side in ("inputs", "outputs"):
        port = describe_onnx(path)[side][0]
        sizes = ", ".join(short.get(str(size), str(size)) for size in port["shape"])
        sides.append(f"{port['name']} [{sizes}]{' uint8' if port['type'] == 'uint8' else ''}")
    return " → ".join(sides)


def sheet() -> Figure:
    """The page, A4 across.

    >>> [round(float(side), 2) for side in sheet().get_size_inches()]
    [11.69, 8.27]
    """
    from matplotlib.figure import Figure

    page = Figure(figsize=A4_IN, facecolor="white")
    axes = page.add_axes((0.035, 0.02, 0.93, 0.925))
    axes.set(xlim=(0, 100), ylim=(100, 0))
    axes.set_axis_off()
    axes.set_title(
        "From a checkpoint to boxes", loc="left", fontsize=17, fontweight="bold", color=_INK, pad=2
    )
    axes.text(100, -1.2, "YOLOv7 Graph Surgery · 3 classes, 640 × 640", ha="right", fontsize=9, color=_GREY)
    heads = ((0, "file"), (26, "shapes"), (55, "what the numbers are"), (99, "python -m helpers …"))
    for x, text in heads:
        axes.text(x, 2.2, text, fontsize=8.5, color=_GREY, ha="right" if x == 99 else "left")
    for place, stage in enumerate(STAGES):
        _band(axes, stage, 3.6 + 7.4 * place)
    _arrows(axes)
    for place, (title, lines) in enumerate(FORMULAS.items()):
        _formula(axes, title, lines, 34 * place)
    return page


def _band(axes: Axes, stage: Stage, top: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    paper, ink = KINDS[stage.kind]
    left, middle = 1.6 * stage.level, top + 2.9
    look: dict[str, Any] = {"boxstyle": "round,pad=0.4,rounding_size=0.8", "mutation_aspect": 0.75}
    corner, width = (left + 0.4, top + 0.4), 99.2 - left
    box = FancyBboxPatch(corner, width, 5.0, facecolor=paper, edgecolor="none", **look)
    axes.add_patch(box)
    words: dict[str, Any] = {"va": "center", "color": _INK}
    name = stage.ending if stage.kind == "use" else f"best{stage.ending}"
    axes.text(left + 1, middle, stage.lesson, fontsize=9, fontweight="bold", va="center", color=ink)
    axes.text(left + 3.4, middle, name, fontsize=9.8, fontweight="bold", **words)
    axes.text(26, middle, stage.shape, fontsize=8.6, **words)
    axes.text(55, middle, stage.meaning, fontsize=8.3, **words)
    axes.text(99, middle, stage.command, fontsize=7.6, family="DejaVu Sans Mono", ha="right", **words)


def _arrows(axes: Axes) -> None:
    """An elbow from each stage to the nearest one above it of a lower level."""
    for place, stage in enumerate(STAGES):
        above = [n for n in range(place) if STAGES[n].level < stage.level]
        if above:
            x, end = 1.6 * stage.level - 0.75, 3.6 + 7.4 * place + 2.9
            start = 3.6 + 7.4 * above[-1] + 5.9
            axes.plot([x, x], [start, end], color=_GREY, linewidth=0.9)
            tip = {"arrowstyle": "-|>", "color": _GREY, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x + 0.85, end), (x, end), arrowprops=tip)


def _formula(axes: Axes, title: str, lines: Sequence[str], left: float) -> None:
    axes.text(left, 81.5, title, fontsize=10.5, fontweight="bold", color=_INK)
    for number, line in enumerate(lines):
        axes.text(left, 85.2 + 3.6 * number, line, fontsize=8.8, color=_INK)


def write_sheet(folder: Path, language: str = "en") -> list[Path]:
    """Write the page to print and a picture of it for a screen; returns both.

    Args:
        folder: For `cheat-sheet.pdf` and `cheat-sheet.png`, or `cheat-sheet.zh-CN.pdf` and so on.
        language: Of the page.
    """
    from helpers.artifacts import atomic_path
    from helpers.course.language import speaking, translate_figure

    page, ending = sheet(), "" if language == "en" else f".{language}"
    with speaking(language):
        translate_figure(page)
    paths = [folder / f"cheat-sheet{ending}.{kind}" for kind in ("pdf", "png")]
    for path in paths:
        unsigned = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with atomic_path(path) as temporary:
            page.savefig(temporary, format=path.suffix[1:], dpi=130, metadata=unsigned)
    return paths
