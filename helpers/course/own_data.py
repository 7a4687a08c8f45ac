"""A labelled folder for the lesson on training: drawn smears in YOLO form, with flaws put in on purpose."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from helpers.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from helpers.rows import Anchors
    from helpers.training.datasets import Dataset

__all__ = ["anchors_figure", "drawn_folder", "flaws_table", "labelled_sheet", "spoil"]


def drawn_folder(
    folder: Path, *, train: int = 48, val: int = 12, size_wh: tuple[int, int] = (192, 144)
) -> Path:
    """Write drawn smears as a data set in YOLO form; what was in the folder goes.

    Args:
        folder: Where to.
        train: How many pictures to train on.
        val: How many to validate on; their seeds are ones that no training uses.
        size_wh: Of the pictures, pixels.
    """
    from helpers.training.datasets import write_dataset
    from helpers.training.smears import draw_smear

    if folder.exists():
        shutil.rmtree(folder)
    seeds = {"train": range(100, 100 + train), "val": range(9100, 9100 + val)}
    samples = {split: [draw_smear(seed, size_wh) for seed in chosen] for split, chosen in seeds.items()}
    return write_dataset(samples, folder, "yolo")


def spoil(folder: Path) -> None:
    """Put in what goes wrong in real data sets, on the first pictures of `train`.

    A box of no area, a class that does not exist, a box that reaches beyond its picture, a picture that was
    cut off in a download, and a validation picture that is in `train`, too.
    """
    labels, images = folder / "labels" / "train", folder / "images" / "train"
    rows = ("0 0.50000000 0.50000000 0.00000000 0.10000000", "7 0.3 0.3 0.1 0.1", "0 0.02 0.5 0.2 0.2")
    for number, row in enumerate(rows):
        with (labels / f"train-{number:04d}.txt").open("a", encoding="utf-8") as file:
            file.write(row + "\n")
    cut = images / "train-0003.jpg"
    cut.write_bytes(cut.read_bytes()[:2000])
    for part, ending in (("images", "jpg"), ("labels", "txt")):
        shutil.copy(folder / part / "val" / f"val-0000.{ending}", folder / part / "train" / f"copy.{ending}")


def flaws_table(dataset: Dataset) -> Table:
    """What is wrong with a data set: file and line from its folder on, what, and what fixing does.

    >>> from helpers.training.datasets import Dataset
    >>> len(flaws_table(Dataset("yolo", ("cell",), {}, ())))
    0
    """
    rows = []
    for flaw in dataset.flaws:
        path = flaw.path
        for root in (dataset.folder, dataset.folder.absolute()):
            path = path.relative_to(root) if path.is_relative_to(root) else path
        place = path.as_posix() if flaw.line is None else f"{path.as_posix()}:{flaw.line}"
        rows.append((place, flaw.kind, flaw.message, flaw.fix))
    return Table(("file:line", "kind", "what is wrong", "fixing it"), tuple(rows))


def labelled_sheet(dataset: Dataset, split: str = "train", count: int = 2) -> NDArray:  # type: ignore[type-arg]
    """Some pictures of a split with their boxes, side by side."""
    import numpy as np

    from helpers.detections import Detections
    from helpers.drawing import draw, grid

    samples = dataset.samples(split)
    chosen = [samples[number] for number in range(min(count, len(samples)))]
    found = [Detections(each.boxes_xyxy, np.ones(len(each)), each.class_ids) for each in chosen]
    pairs = zip(chosen, found, strict=True)
    return grid([draw(s.image_bgr, f, dataset.names, scores=False) for s, f in pairs], count, cell_width=235)


def anchors_figure(sizes_wh: NDArray, anchors: Mapping[str, Anchors]) -> Figure:  # type: ignore[type-arg]
    """Widths and heights of objects as dots, and sets of anchors as crosses, on scales by powers of two."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from helpers.course.charts import PALETTE, figure

    chart, axes = figure("Objects and anchors, in pixels", (5.0, 3.3))
    chart.set_dpi(90)
    axes.plot(*sizes_wh.T, ".", color="#b9bfc6", markersize=4, label=f"{len(sizes_wh)} objects")
    for (name, levels), tint, mark in zip(anchors.items(), PALETTE, ("+", "x", "o"), strict=False):
        flat = [pair for level in levels for pair in level]
        axes.plot(*zip(*flat, strict=True), mark, color=tint, markersize=10, markeredgewidth=2, label=name)
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    ticks = [4, 8, 16, 32, 64, 128, 256, 512]
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_xlabel("width", fontsize=9)
    axes.set_ylabel("height", fontsize=9)
    axes.legend(frameon=False, fontsize=9)
    return chart
