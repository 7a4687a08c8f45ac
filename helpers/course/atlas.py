"""The map of the course, a card for each lesson, and the way of the files from checkpoint to boxes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from helpers.course.place import repository
from helpers.wording import columns, wording

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["CARDS", "Card", "CourseMap", "course_map", "pipeline_figure"]

KINDS = {
    "look": ("#e3edf8", "#1f5fa8"),
    "make": ("#fbe9dc", "#a8480f"),
    "use": ("#e2f3ea", "#1b6b49"),
}
"""Kind of a lesson to the colours of its card and of its number; both carry dark letters."""


@dataclass(frozen=True)
class Card:
    """One lesson on the map.

    Attributes:
        stem: File name without its ending, for example `02_export`.
        title: As in the lesson's heading.
        about: What the reader can do afterwards, in a few words.
        result: What the lesson hands on.
        kind: `look`, `make` or `use`.
    """

    stem: str
    title: str
    about: str
    result: str
    kind: str

    @property
    def number(self) -> str:
        """Two digits."""
        return self.stem[:2]


CARDS = (
    Card("00_start_here", "Start here", "the finished result first", "boxes on a picture", "use"),
    Card("01_meet_yolov7", "Meet YOLOv7", "the family, counted and compared", "tables and charts", "look"),
    Card("02_export", "Export", "a checkpoint becomes a graph", "raw and end-to-end ONNX", "make"),
    Card("03_inspect", "Inspect", "what is inside, what it costs", "a drawing of the graph", "look"),
    Card("04_patch", "Patch", "the surgery, edit by edit", "the Ultralytics ONNX", "make"),
    Card("05_build_engine", "Build the engine", "half precision, TensorRT", "FP16 graph and engine", "make"),
    Card("06_detect", "Detect", "pictures, folders, video, proof", "boxes that agree", "use"),
    Card("07_quantize", "Quantize", "eight bits, accuracy kept", "an INT8 graph", "make"),
    Card("08_train", "Train", "your own classes", "a checkpoint", "make"),
    Card("09_scale_out", "Scale out", "many pictures, many processes", "a table of boxes", "use"),
    Card("10_when_it_breaks", "When it breaks", "failures, provoked and cured", "a calm reader", "look"),
)


@dataclass(frozen=True, repr=False)
class CourseMap:
    """The cards, and which lessons are there; shows itself as HTML in a notebook and as text elsewhere."""

    cards: tuple[Card, ...]
    there: frozenset[str]

    def __repr__(self) -> str:
        """One line a lesson."""
        titles = [wording(card.title, label=True) for card in self.cards]
        width = max(map(columns, titles))
        return "\n".join(
            f"{card.number}  {title}{' ' * (width - columns(title))}  {wording(card.about, label=True)}"
            + ("" if card.stem in self.there else f" ({wording('later', label=True)})")
            for card, title in zip(self.cards, titles, strict=True)
        )

    def _repr_html_(self) -> str:
        return "".join(_card_html(card, card.stem in self.there) for card in self.cards)


def _card_html(card: Card, there: bool) -> str:
    paper, ink = KINDS[card.kind] if there else ("#eeeeee", "#666666")
    said = {text: escape(wording(text, label=True)) for text in (card.title, card.about, card.result)}
    title = f"{card.number} · {said[card.title]}"
    style = f"color:{ink};font-weight:bold;font-size:15px"
    head = f'<span style="{style}">{title}</span>'
    if there:
        head = f'<a href="{card.stem}.ipynb" style="{style}">{title}</a>'
    result = f"→ {said[card.result]}" if there else wording("comes later", label=True)
    return (
        '<div style="display:inline-block;vertical-align:top;width:200px;height:82px;margin:4px;'
        f"padding:8px 12px;background-color:{paper};color:#22303c;border-left:5px solid {ink};"
        f'border-radius:6px;line-height:1.45">{head}<br>{said[card.about]}<br><small>{result}</small></div>'
    )


def course_map(folder: Path | None = None) -> CourseMap:
    """The map, with links to the lessons that lie in `folder` (default: the course's notebooks).

    >>> course_map().cards[0].title
    'Start here'
    """
    folder = folder or repository() / "notebooks"
    there = (card.stem for card in CARDS if (folder / f"{card.stem}.ipynb").is_file())
    return CourseMap(CARDS, frozenset(there))


def pipeline_figure(files: Mapping[str, tuple[str, str]], source: str) -> Figure:
    """The way from the checkpoint to the boxes as a row of cards.

    Args:
        files: For each file, what it is called on the card, to what was done to it and the shape it puts out.
        source: Name of the checkpoint.

    >>> pipeline_figure({"raw": ("export", "[1, 25200, 8]")}, "best.pt").axes[0].get_title(loc="left")
    'From a checkpoint to boxes'
    """
    from matplotlib.patches import FancyBboxPatch

    from helpers.course.charts import figure

    chart, axes = figure("From a checkpoint to boxes", (9.6, 1.8))
    cards = [(source, "", "weights")]
    cards += [(name, *texts) for name, texts in files.items()]
    cards += [("detections", "detect", "boxes, scores, classes")]
    axes.set(xlim=(-0.05, len(cards) - 0.25), ylim=(0.12, 0.8))
    axes.set_axis_off()
    for place, (name, step, shape) in enumerate(cards):
        kind = "look" if place == 0 else "use" if place == len(cards) - 1 else "make"
        paper, ink = KINDS[kind]
        corner, style = (place - 0.02, 0.2), "round,pad=0.02,rounding_size=0.05"
        axes.add_patch(FancyBboxPatch(corner, 0.66, 0.5, boxstyle=style, facecolor=paper, edgecolor=ink))
        middle: dict[str, Any] = {"x": place + 0.31, "ha": "center", "va": "center", "color": "#22303c"}
        axes.text(y=0.54, s=name, fontsize=9.5, weight="bold", **middle)
        axes.text(y=0.34, s=shape, fontsize=8, **middle)
        if place:
            grey, tip, tail = "#5c6b7a", (place - 0.05, 0.45), (place - 0.33, 0.45)
            axes.annotate("", xy=tip, xytext=tail, arrowprops={"arrowstyle": "-|>", "color": grey})
            axes.text(place - 0.19, 0.54, step, ha="center", fontsize=8.5, color=grey)
    return chart
