"""A small table that prints as aligned text and shows itself as HTML in a notebook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from helpers.wording import Name, columns, wording

__all__ = ["Table"]


NUMBER = re.compile(r"(-|[-+]?\d[\d.,]*( ?%)?)?$")  # a dash stands for no number
LEFT = " style='text-align:left'"  # Jupyter would set every cell to the right


@dataclass(frozen=True, repr=False)
class Table:
    """Header and rows of cells; numbers stand to the right.

    >>> print(Table(("op", "count"), (("Conv", 58), ("Mul", 3))))
    op    count
    Conv     58
    Mul       3
    >>> Table(("n",), ((3,),))._repr_html_()
    '<table><tr><th>n</th></tr><tr><td>3</td></tr></table>'
    """

    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def __len__(self) -> int:
        """Number of rows, without the header."""
        return len(self.rows)

    def head(self, count: int) -> Table:
        """The first rows."""
        return Table(self.header, self.rows[:count])

    def __str__(self) -> str:
        """Aligned text."""
        lines = self._said()
        widths = [
            [max(kind) for kind in zip(*map(_widths, column), strict=True)]
            for column in zip(*lines, strict=True)
        ]
        places = list(zip(widths, self._numeric(), strict=True))
        texts = [[_set(cell, *place) for cell, place in zip(row, places, strict=True)] for row in lines]
        return "\n".join("  ".join(text).rstrip() for text in texts)

    __repr__ = __str__

    def _said(self) -> list[list[str]]:
        """Header and rows as they are shown."""
        header = [text if isinstance(text, Name) else wording(text, label=True) for text in self.header]
        return [header, *([_say(cell) for cell in row] for row in self.rows)]

    def _numeric(self) -> list[bool]:
        """For each column, whether its cells are numbers, as numbers or as text (`+0.32%`), or empty."""
        columns = [[str(row[c]) for row in self.rows] for c in range(len(self.header))]
        return [
            any(text not in ("", "-") for text in column) and all(NUMBER.match(text) for text in column)
            for column in columns
        ]

    def _repr_html_(self) -> str:
        """An HTML table."""
        styles = ["" if number else LEFT for number in self._numeric()]

        def line(tag: str, cells: list[str]) -> str:
            texts = zip(cells, styles, strict=True)
            return "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for cell, style in texts)

        header, *body = self._said()
        rows = [line("th", header), *(line("td", row) for row in body)]
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _say(cell: object) -> str:
    return cell if isinstance(cell, Name) else wording(str(cell))


def _widths(cell: str) -> tuple[int, int]:
    """How many wide (Chinese) and how many other characters a cell has."""
    wide = columns(cell) - len(cell)
    return wide, len(cell) - wide


def _set(cell: str, widths: Sequence[int], right: bool) -> str:
    """Fill a cell up with spaces of both widths: how wide a wide character is differs from font to font."""
    wide, narrow = (want - have for want, have in zip(widths, _widths(cell), strict=True))
    padding = "\N{IDEOGRAPHIC SPACE}" * wide + " " * narrow
    return padding + cell if right else cell + padding
