"""The layer table of a YOLOv7 network: rows, and the architecture they belong to.

A network is a list of *layer rows*, each naming the rows it reads, how often it repeats, its kind and its
arguments. A row's position is its official index, so a network built from rows carries the parameter names
of the official checkpoints (`model.0.conv.weight`, ...). Needs neither torch nor a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REPEATS = 100
HEADS = ("Detect", "IDetect", "IAuxDetect")

Anchors = tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True)
class LayerRow:
    """One row of a layer table.

    Attributes:
        source: Index of the row(s) read: negative counts back from this row, otherwise absolute.
        number: How often the layer repeats, before depth scaling.
        module: Official name of the layer kind, for example `Conv`.
        args: The layer's arguments, for example `(32, 3, 2)`: channels, kernel, stride.
    """

    source: int | tuple[int, ...]
    number: int
    module: str
    args: tuple[Any, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """The rows read, always as a tuple."""
        return (self.source,) if isinstance(self.source, int) else self.source


@dataclass(frozen=True)
class Architecture:
    """Everything that is needed to build a network, weights aside.

    Attributes:
        rows: The layer table, head last.
        names: Class names; their number is the class count.
        anchors_px: Per level, smallest stride first, the anchors' `(w, h)` in input pixels.
        strides: Per level, input pixels per grid cell.
        width_multiple: Factor on every channel count (rounded up to a multiple of 8).
        depth_multiple: Factor on every repeat count above one.
        input_channels: Channels of the input picture.
        name: What to call it; two architectures that differ in this alone are equal.

    Raises:
        ValueError: A row reads what does not come before it, the last row is no detection head, or names,
            anchors, strides or factors make no sense.
    """

    rows: tuple[LayerRow, ...]
    names: tuple[str, ...]
    anchors_px: Anchors
    strides: tuple[int, ...]
    width_multiple: float = 1.0
    depth_multiple: float = 1.0
    input_channels: int = 3
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_rows(self.rows)
        numbers = [self.width_multiple, self.depth_multiple, self.input_channels, *self.strides]
        numbers += [side for level in self.anchors_px for pair in level for side in pair]
        if not self.names or not all(isinstance(name, str) for name in self.names):
            raise ValueError("names: expected at least one class name, all text; pass e.g. ('cell',)")
        if not all(isinstance(n, int | float) and 0 < n < math.inf for n in numbers):
            raise ValueError("multiples, channels, strides, anchors: expected numbers above 0, got another")
        if list(self.strides) != sorted({int(s) for s in self.strides}):
            raise ValueError(f"strides: expected whole numbers, smallest first, got {self.strides}")
        counts = {len(level) for level in self.anchors_px}
        if len(self.anchors_px) != len(self.strides) or len(counts) != 1 or 0 in counts:
            raise ValueError(
                f"anchors: expected {len(self.strides)} levels, one per stride, of as many pairs each"
            )
        inputs = len(self.strides) * (2 if self.rows[-1].module == "IAuxDetect" else 1)
        if len(self.rows[-1].sources) != inputs:
            raise ValueError(f"head: expected {inputs} inputs, got {len(self.rows[-1].sources)}")

    @property
    def class_count(self) -> int:
        """Number of classes, C; every prediction has 5 + C values."""
        return len(self.names)


def parse_rows(table: Sequence[object]) -> tuple[LayerRow, ...]:
    """Layer rows from lists `[from, number, module, args]`, as files hold them.

    Args:
        table: One such list per row; what a file writes as `"None"`, `"True"` or `"False"` becomes the value.

    Raises:
        ValueError: A row has another form; the message says which.

    Example:
        >>> parse_rows([[-1, 1, "Conv", [32, 3, 2, "None", 1]]])[0].args
        (32, 3, 2, None, 1)
    """
    return tuple(_parse_row(index, row) for index, row in enumerate(table))


def _parse_row(index: int, row: object) -> LayerRow:
    match row:
        case [int(source), int(number), str(module), [*args]]:
            sources: int | tuple[int, ...] = source
        case [[int(), *_] as several, int(number), str(module), [*args]]:
            sources = tuple(s for s in several if isinstance(s, int))
        case _:
            raise ValueError(f"layer {index}: expected [from, number, module, args], got another form")
    words = {"None": None, "True": True, "False": False}
    values = tuple(words.get(a, a) if isinstance(a, str) else a for a in args)
    if not all(isinstance(a, str | int | float | None) for a in values):
        raise ValueError(f"layer {index} ({module[:40]}): expected numbers or text as arguments")
    return LayerRow(sources, number, module, values)


def check_rows(rows: Sequence[LayerRow]) -> None:
    """Refuse rows that read what does not come before them, and tables without one head at their end.

    Raises:
        ValueError: Which row, and why.
    """
    for index, row in enumerate(rows):
        wrong = [s for s in row.sources if not (-index <= s < index or (index == 0 and s == -1))]
        label = f"layer {index} ({row.module[:40]})"
        if wrong:
            raise ValueError(f"{label}: reads layer {wrong[0]}, which does not come before it")
        if not 1 <= row.number <= MAX_REPEATS:
            raise ValueError(f"{label}: expected 1 to {MAX_REPEATS} repeats, got {row.number}")
    heads = [index for index, row in enumerate(rows) if row.module in HEADS]
    if not rows or heads != [len(rows) - 1]:
        last = rows[-1].module[:40] if rows else "nothing"
        raise ValueError(f"layers: expected one head ({', '.join(HEADS)}), at the end; got {last} there")


def with_names(architecture: Architecture, names: tuple[str, ...]) -> Architecture:
    """The same layers for other classes."""
    return replace(architecture, names=tuple(names))
