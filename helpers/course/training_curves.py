"""Loss terms and running precision of a training run: redrawn while it goes on, or once at its end."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from helpers.course.place import is_headless, repository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    History: TypeAlias = Sequence[Mapping[str, Any]]

__all__ = ["LOSSES", "LiveCurves", "curves_figure", "read_history", "recorded_history"]

LOSSES = {"box": 0, "objectness": 1, "classes": 2, "auxiliary": 3}
"""Terms of the loss as the history names them, and their colours in `charts.PALETTE`."""
_FIGURES = {"AP50": 0, "AP": 2}


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a `history.jsonl`, as the training loop writes it.

    Raises:
        FileNotFoundError: There is none.
    """
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def recorded_history() -> list[dict[str, Any]]:
    """How the bundled model was trained: the history of that run.

    >>> entries = recorded_history()
    >>> entries[0]["step"] < entries[-1]["step"]
    True
    """
    return read_history(repository() / "data" / "blood-cells-history.jsonl")


def curves_figure(runs: Mapping[str, History], steps: int = 0, stops: Sequence[int] = ()) -> Figure:
    """The loss terms on the left, the running precision on the right.

    Args:
        runs: Name to history; lines with `box` hold losses, lines with `AP50` precision. Of several runs the
            later ones are dashed, and the horizontal axis is the share of the run.
        steps: Length of the horizontal axis; by default the run's own.
        stops: Steps at which the run was interrupted.
    """
    from helpers.course.charts import figure

    chart, axes = figure("", (8.0, 2.6))
    chart.set_dpi(90)
    axes.remove()
    panels: Any = chart.subplots(1, 2)
    (first, history), *others = runs.items()
    _style(panels[0], f"loss: {first}" if not others else "loss, by share of the run in %")
    dashed = ", ".join(name for name, _ in others)
    note = f"AP; solid: {first}, dashed: {dashed}" if others else "AP on pictures it never saw"
    _style(panels[1], note)
    ends = {name: max((entry["step"] for entry in lines), default=1) for name, lines in runs.items()}
    ends = {name: end / 100 for name, end in ends.items()} if others else {first: 1}
    for number, (name, lines) in enumerate(runs.items()):
        scaled = [{**entry, "step": entry["step"] / ends[name]} for entry in lines]
        _losses(panels[0], scaled, "-" if number == 0 else "--")
        _precision(panels[1], scaled, "-" if number == 0 else "--")
    _name_losses(panels[0])
    last = 100 if others else steps or max((entry["step"] for entry in history), default=1)
    for panel, room in zip(panels, (1, 1.26), strict=True):  # on the right for the names of the lines
        panel.set_xlim(0, last * room)
        panel.set_xticks([tick for tick in panel.get_xticks() if 0 <= tick <= last])
        panel.set_xlabel("% of the run" if others else "step", fontsize=9)
        for stop in stops:
            panel.axvline(stop, color="#5c6b7a", linestyle=":", linewidth=1.2)
    return chart


def _style(axes: Axes, title: str) -> None:
    axes.set_facecolor("#fbfaf7")
    axes.set_title(title, loc="left", color="#22303c", fontsize=10.5, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#d9d6ce")
    axes.tick_params(colors="#22303c", labelsize=8.5, length=0, which="both")
    axes.grid(axis="y", color="#d9d6ce", linewidth=0.8)


def _losses(axes: Axes, history: History, line: str) -> None:
    """The terms over the steps, on a scale by powers of ten; smoothed where there are many points."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from helpers.course.charts import PALETTE

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6f}".rstrip("0").rstrip(".")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    for name, number in LOSSES.items():
        points = [(entry["step"], entry[name]) for entry in history if entry.get(name)]
        if points:
            x, y = zip(*_means(points), strict=True)
            label = name if line == "-" else None
            axes.plot(x, y, line, color=PALETTE[number], linewidth=1.8, label=label)


def _name_losses(axes: Axes) -> None:
    """A legend below the lines; matplotlib warns where there are none to name."""
    if not axes.get_legend_handles_labels()[1]:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** 0.3, high)
    axes.legend(frameon=False, fontsize=8, labelcolor="#22303c", ncols=2, loc="lower left")


def _means(points: Sequence[tuple[int, float]], most: int = 30) -> list[tuple[float, float]]:
    """Neighbouring points put together, so that at most `most` remain.

    >>> _means([(10, 1.0), (20, 3.0), (30, 5.0)], most=2)
    [(15.0, 2.0), (30.0, 5.0)]
    """
    size = max(1, -(-len(points) // most))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _precision(axes: Axes, history: History, line: str) -> None:
    """Running precision over the steps; each solid line is named beside its last point."""
    from helpers.course.charts import PALETTE

    axes.set_ylim(0, 1.02)
    ends = {}
    for name, number in _FIGURES.items():
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, f"o{line}", color=PALETTE[number], linewidth=1.8, markersize=3.5, label=name)
            ends[name] = points[-1]
    if line != "-":
        return
    apart, floor = 0.11, 0.03  # shares of the axis: values that lie close do not cover each other
    for number, (name, (x_end, y_end)) in enumerate(sorted(ends.items(), key=lambda end: end[1][1]), 1):
        height = max(min(y_end, 0.97 - apart * (len(ends) - number)), floor)
        floor = height + apart
        axes.annotate(
            f"{name} {y_end:.2f}", (x_end, height), (7, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=PALETTE[_FIGURES[name]], annotation_clip=False,
        )  # fmt: skip


class LiveCurves:
    """Curves of a run that is going on; give it to `train` as `on_log`.

    In JupyterLab the picture is drawn anew every few seconds; without a screen once, when the block ends.
    Further blocks go on with the same curves, as a run that was interrupted does.

    Args:
        steps: Length of the whole run.
        name: Of the run.
        every_s: Seconds between two drawings.

    >>> curves = LiveCurves(100)
    >>> curves({"step": 20, "box": 0.06})
    >>> len(curves.history)
    1
    """

    def __init__(self, steps: int, name: str = "this run", every_s: float = 2.0) -> None:
        self.steps, self.name, self.every_s = steps, name, every_s
        self.history: list[dict[str, Any]] = []
        self.stops: list[int] = []
        self._handle: Any = None
        self._drawn = 0.0

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Take one line of the history; lines that a resumed run writes again replace the old ones."""
        kind = "AP50" in entry
        self.history = [
            old for old in self.history if old["step"] < entry["step"] or ("AP50" in old) != kind
        ] + [dict(entry)]
        if self._handle is not None and time.monotonic() - self._drawn >= self.every_s:
            self._draw()

    def __enter__(self) -> Self:
        """Begin a picture under the cell that runs."""
        if self.history:
            self.stops.append(max(entry["step"] for entry in self.history))
        if not is_headless():
            from IPython.display import display

            self._handle = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
            self._drawn = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time."""
        if self._handle is not None:
            self._draw()
            self._handle = None
            return
        from IPython.display import display

        display(self._bundle(), raw=True)  # type: ignore[no-untyped-call]

    def _draw(self) -> None:
        self._handle.update(self._bundle(), raw=True)
        self._drawn = time.monotonic()

    def _bundle(self) -> dict[str, Any]:
        from helpers.course.charts import render
        from helpers.drawing import encode_jpeg

        chart = curves_figure({self.name: self.history}, self.steps, self.stops)
        return {"image/jpeg": encode_jpeg(render(chart), quality=60), "text/plain": "<curves of the run>"}
