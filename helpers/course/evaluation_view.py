"""An evaluation, drawn: precision against recall, the confusion matrix, the average precision of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from helpers.table import Table
    from helpers.training.confusion import ConfusionMatrix
    from helpers.training.evaluation import EvaluationReport

__all__ = ["evaluation_figure", "list_figure", "precision_table"]

_INK, _CARD, _RULE, _DEEP = "#22303c", "#fbfaf7", "#d9d6ce", "#1f5fa8"


def evaluation_figure(report: EvaluationReport, *, title: str = "", score_threshold: float = 0.25) -> Figure:
    """Precision-recall curves at overlap 0.5 on the left, the confusion matrix on the right.

    Args:
        report: What was evaluated.
        title: Of the model and the pictures.
        score_threshold: Detections above it are in the matrix; a dot marks it on each curve.
    """
    from helpers.course.charts import figure

    chart, axes = figure("", (8.0, 3.1))
    chart.set_dpi(90)
    axes.remove()
    left, right = chart.subplots(1, 2, width_ratios=(1.15, 1))
    _curves(left, report, title, score_threshold)
    _matrix(right, report.confusion(score_threshold))
    return chart


def _head(axes: Axes, title: str) -> None:
    axes.set_facecolor(_CARD)
    axes.set_title(title, loc="left", color=_INK, fontsize=10.5, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_RULE)
    axes.tick_params(colors=_INK, labelsize=8.5, length=0)


def _curves(axes: Axes, report: EvaluationReport, title: str, score_threshold: float) -> None:
    from helpers.labels import colour

    _head(axes, title or "precision against recall, IoU 0.5")
    for name, curve in report.curves.items():
        tint = tuple(value / 255 for value in colour(report.class_names.index(name)))
        reached = curve.precision > 0
        axes.plot(curve.recall[reached], curve.precision[reached], color=tint, linewidth=2,
                  label=f"{name}: AP50 {curve.ap:.3f}")  # fmt: skip
        above = np.flatnonzero(reached & (curve.scores > score_threshold))
        if len(above):
            axes.plot(curve.recall[above[-1]], curve.precision[above[-1]], "o", color=tint, markersize=7)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.04))
    axes.tick_params(pad=6)  # so that the two zeros stand apart
    axes.grid(color=_RULE, linewidth=0.8)
    axes.set_xlabel(f"recall (dot: score {score_threshold})", fontsize=9, color=_INK)
    axes.set_ylabel("precision", fontsize=9, color=_INK)
    if report.curves:
        axes.legend(frameon=False, fontsize=8.5, labelcolor=_INK, loc="best")


def _matrix(axes: Axes, matrix: ConfusionMatrix) -> None:
    """Counts as numbers, shares of a row as colour; wrong cells in another colour than right ones."""
    from helpers.training.confusion import BACKGROUND, MISSED

    _head(axes, f"truth and found, score > {matrix.score_threshold}")
    size = len(matrix.counts)
    shares, counts = matrix.shares, matrix.counts
    for row in range(size):
        for column in range(size):
            if row == column == size - 1:
                continue
            tint = _DEEP if row == column else "#c2410c"
            strength = float(shares[row, column]) ** 0.5
            box: Any = {"facecolor": tint, "alpha": 0.08 + 0.82 * strength if counts[row, column] else 0.0}
            axes.axhspan(row - 0.47, row + 0.47, (column + 0.03) / size, (column + 0.97) / size, **box)
            ink = "white" if strength > 0.6 and counts[row, column] else _INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=10)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    axes.set_xticks(range(size), [*matrix.names, MISSED])
    axes.set_yticks(range(size), [*matrix.names, BACKGROUND])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlabel("found", fontsize=9, color=_INK)
    axes.set_ylabel("truth", fontsize=9, color=_INK)


def precision_table(right: Sequence[bool], objects: int, scores: Sequence[float] = ()) -> Table:
    """Going down a list of detections: how many were right so far, precision and recall.

    Args:
        right: For each detection, by falling score, whether it is right.
        objects: How many there are to find.
        scores: Of the detections.

    >>> print(precision_table([True, False], 4, [0.9, 0.8]))
    score  right  found  precision  recall
     0.90  yes        1       1.00    0.25
     0.80  no         1       0.50    0.25
    """
    from helpers.table import Table

    hits = np.cumsum(right)
    rows = []
    for number, (hit, good) in enumerate(zip(hits.tolist(), right, strict=True)):
        score = f"{scores[number]:.2f}" if len(scores) else str(number + 1)
        word = "yes" if good else "no"
        rows.append((score, word, hit, f"{hit / (number + 1):.2f}", f"{hit / objects:.2f}"))
    return Table(("score" if len(scores) else "place", "right", "found", "precision", "recall"), tuple(rows))


def list_figure(right: Sequence[bool], objects: int) -> Figure:
    """The curve of such a list: its points, and the steps that they are lifted to; the area is the AP."""
    from helpers.course.charts import PALETTE, figure

    chart, axes = figure("Average precision is the area under the lifted curve", (5.6, 2.3))
    chart.set_dpi(85)
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / objects
    grid = np.linspace(0, 1, 101)
    lifted = np.array([precision[recall >= at].max(initial=0.0) for at in grid])
    axes.fill_between(grid, lifted, step="pre", color=PALETTE[0], alpha=0.15, linewidth=0)
    axes.step(grid, lifted, where="pre", color=PALETTE[0], linewidth=2, label="lifted")
    axes.plot(recall, precision, "o--", color=PALETTE[1], linewidth=1.2, label="down the list")
    axes.set(xlim=(0, 1), ylim=(0, 1.08))
    axes.tick_params(pad=6)  # so that the two zeros stand apart
    axes.set_xlabel("recall", fontsize=9, color=_INK)
    axes.set_ylabel("precision", fontsize=9, color=_INK)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    return chart
