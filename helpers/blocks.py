"""The building blocks of YOLOv7, as functions that append layer rows to a table.

Source: Wang, Bochkovskiy, Liao, "YOLOv7: Trainable bag-of-freebies sets new state-of-the-art for real-time
object detectors", 2022 (ELAN and E-ELAN: figure 2); the order of the rows is the one that the layer tables
in the released files carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helpers.rows import LayerRow


class Table:
    """Collects rows; what adds one returns the new row's absolute index.

    Args:
        activation: What a `Conv` row asks for, or None for the default (SiLU).
    """

    def __init__(self, activation: str | None = None) -> None:
        self.rows: list[LayerRow] = []
        self._tail: tuple[Any, ...] = () if activation is None else (None, 1, activation)

    def add(self, source: int | tuple[int, ...], module: str, *args: Any) -> int:
        """Append one row."""
        self.rows.append(LayerRow(source, 1, module, args))
        return len(self.rows) - 1

    def conv(self, channels: int, kernel: int = 1, stride: int = 1, source: int = -1) -> int:
        """Append a convolution."""
        return self.add(source, "Conv", channels, kernel, stride, *self._tail)

    def concat(self, *sources: int) -> int:
        """Append a concatenation of channels."""
        return self.add(sources, "Concat", 1)


@dataclass(frozen=True)
class Elan:
    """An efficient layer aggregation network: how its chain of 3x3 convolutions is joined.

    Two 1x1 branches read the input. The second is carried through a chain of 3x3 convolutions. Some links of
    the chain and both branches are concatenated, and a 1x1 mixes them: short and long ways for the gradient.

    Attributes:
        every: Which links are concatenated: 2 is every second one, counted from the end; 1 is all.
        chain: Width of the chain, as a share of the branches' width.
    """

    every: int = 2
    chain: float = 1.0

    def emit(self, table: Table, depth: int, hidden: int, out: int, *, doubled: bool = False) -> int:
        """Append the block.

        Args:
            table: Where to.
            depth: Number of 3x3 convolutions in the chain.
            hidden: Width of the 1x1 branches.
            out: Width of the output.
            doubled: Two such blocks read the same input and are added (E-ELAN, as YOLOv7-E6E has it).

        Returns:
            The output's row.

        Example:
            >>> table = Table()
            >>> table.rows[Elan().emit(table, 4, 64, 256)].args, table.rows[-2].source
            ((256, 1, 1), (-1, -3, -5, -6))
        """
        length = depth + 4
        for copy in range(2 if doubled else 1):
            table.conv(hidden, source=-1 - copy * length)
            table.conv(hidden, source=-2 - copy * length)
            for _ in range(depth):
                table.conv(int(hidden * self.chain), 3)
            table.concat(*range(-1, -depth - 1, -self.every), -depth - 1, -depth - 2)
            table.conv(out)
        return table.add((-1, -1 - length), "Shortcut", 1) if doubled else len(table.rows) - 1


EVERY_SECOND, ALL, ALL_AT_HALF = Elan(every=2), Elan(every=1), Elan(every=1, chain=0.5)


def halve(table: Table, kind: str, channels: int) -> tuple[int, ...]:
    """Append what halves the feature map.

    Args:
        table: Where to.
        kind: `MP` is max pooling; `Conv` a 3x3 of stride 2; `DownC` both side by side, in one official layer;
            `transition` the same in rows: pooling and 1x1 beside 1x1 and 3x3 of stride 2.
        channels: After halving; pooling keeps what it gets.

    Returns:
        The rows whose concatenation is the result, counted back from the next row.

    Example:
        >>> table = Table()
        >>> halve(table, "transition", 256), len(table.rows)
        ((-1, -3), 4)
    """
    if kind == "transition":
        table.add(-1, "MP")
        table.conv(channels // 2)
        table.conv(channels // 2, source=-3)
        table.conv(channels // 2, 3, 2)
        return (-1, -3)
    if kind == "Conv":
        table.conv(channels, 3, 2)
    else:
        table.add(-1, kind, *((channels,) if kind == "DownC" else ()))
    return (-1,)


def pool_pyramid(table: Table, channels: int) -> int:
    """Append tiny's spatial pyramid: parallel windows of 5, 9 and 13 beside a 1x1 bypass.

    The larger variants have the same, with more convolutions, as one official layer, `SPPCSPC`.
    """
    table.conv(channels)
    table.conv(channels, source=-2)
    for back, window in ((-1, 5), (-2, 9), (-3, 13)):
        table.add(back, "SP", window)
    table.concat(-1, -2, -3, -4)
    table.conv(channels)
    table.concat(-1, -7)
    return table.conv(channels)


def join_from_above(table: Table, channels: int, feature: int) -> int:
    """Append the way down the pyramid: the coarser map, enlarged, beside the backbone's own of that size."""
    table.conv(channels)
    table.add(-1, "nn.Upsample", None, 2, "nearest")
    table.conv(channels, source=feature)
    return table.concat(-1, -2)
