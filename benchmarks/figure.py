"""Four small charts of one results file, as SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from helpers.artifacts import atomic_path
from helpers.course.charts import PALETTE

INK, CARD, RULE = "#22303c", "#fbfaf7", "#d9d6ce"
MOST_BYTES = 100_000


def draw(data: dict[str, Any], path: Path) -> int:
    """Write the figure; returns its size in bytes.

    Raises:
        ValueError: it is larger than a page should carry.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = {row["id"]: row for row in data["rows"]}
    panels = [
        (id_, make)
        for id_, make in PANELS.items()
        if id_ in rows and (rows[id_]["entries"] or rows[id_]["series"])
    ]
    height = 2.7 * max(1, (len(panels) + 1) // 2)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmark", "font.family": "sans-serif"}):
        figure = Figure(figsize=(10, height), facecolor=CARD, layout="constrained")
        for number, (id_, make) in enumerate(panels):
            axes = figure.add_subplot((len(panels) + 1) // 2, 2, number + 1, facecolor=CARD)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(RULE)
            axes.tick_params(colors=INK, labelsize=8, length=0)
            make(axes, rows[id_])
        if not data["quiet"]:
            figure.suptitle("measured on a busy machine: not to be quoted", color="#b3261e", fontsize=10)
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    if content.tell() > MOST_BYTES:
        raise ValueError(f"figure: expected at most {MOST_BYTES} bytes, got {content.tell()}; draw less")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return content.tell()


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", color=INK, fontsize=10, fontweight="bold")


def _bars(axes: Any, row: dict[str, Any], value: Any, label: Any, colours: Any = None) -> None:
    entries = row["entries"]
    names = [entry["name"] for entry in entries]
    drawn = axes.barh(names, [value(e) for e in entries], color=colours or PALETTE[0], height=0.62)
    axes.bar_label(drawn, [label(e) for e in entries], padding=4, color=INK, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _ratio(entry: dict[str, Any]) -> float:
    return entry["ratio"]["median"] if entry["ratio"] else 1.0


def _floor(axes: Any, row: dict[str, Any]) -> None:
    _title(axes, "On top of the convolutions (% of their time)")
    entries = [entry for entry in row["entries"] if entry["ratio"]]
    colours = [PALETTE[0 if entry["name"].startswith("ours") else 1] for entry in entries]
    _bars(axes, {"entries": entries}, _on_top, lambda e: f"{_on_top(e):+.1f} %", colours)
    axes.axvline(5, color=INK, linestyle=":", linewidth=1)
    axes.text(5.2, 0, "target: 5 %", color=INK, fontsize=7, va="center")
    axes.set_xlim(min(0, *map(_on_top, entries)), max(8, 1.25 * max(map(_on_top, entries))))


def _on_top(entry: dict[str, Any]) -> float:
    return 100 * (_ratio(entry) - 1)


def _picture(axes: Any, row: dict[str, Any]) -> None:
    _title(axes, "Picture in, boxes out (ms)")
    _bars(axes, row, lambda e: e["value"]["median"], lambda e: f"{e['value']['median']:.1f} ms")


def _precision(axes: Any, row: dict[str, Any]) -> None:
    _title(axes, "Times as fast as FP32")
    _bars(axes, row, lambda e: 1 / _ratio(e), lambda e: f"{1 / _ratio(e):.2f} ×")


def _growth(title: str, *, log: bool = False) -> Any:
    def panel(axes: Any, row: dict[str, Any]) -> None:
        _title(axes, title)
        for colour, (name, points) in zip(PALETTE, row["series"].items(), strict=False):
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, marker="o", markersize=3, linewidth=1.6, color=colour, label=name)
        if log:
            axes.set_xscale("symlog", linthresh=10)
            axes.set_xticks([0, 10, 100, 1000, 10000], ["0", "10", "100", "1 000", "10 000"])
            axes.minorticks_off()
        else:
            axes.set_xticks(sorted({x for points in row["series"].values() for x, _ in points}))
        axes.set_ylim(0, 1.1 * max(y for points in row["series"].values() for _, y in points))
        axes.set_xlabel(row["x_label"], color=INK, fontsize=8)
        axes.grid(axis="y", color=RULE, linewidth=0.7)
        if len(row["series"]) > 1:
            axes.legend(frameon=False, fontsize=7, labelcolor=INK)

    return panel


PANELS = {
    "floor": _floor,
    "picture": _picture,
    "precision": _precision,
    "detections": _growth("After the convolutions (ms)", log=True),
    "batch": _growth("Milliseconds a picture, by batch"),
    "pictures": _growth("Pictures a second, by workers"),
}
