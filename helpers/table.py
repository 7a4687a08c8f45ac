"""A small table that prints as aligned text and shows itself as HTML in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Header and rows of cells; numbers stand to the right.

    >>> print(Table(("op", "count"), (("Conv", 58), ("Mul", 3))))
    op    count
    Conv     58
    Mul       3
    >>> Table(("op",), (("<Conv>",),))._repr_html_()
    '<table><tr><th>op</th></tr><tr><td>&lt;Conv&gt;</td></tr></table>'
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
        lines = [self.header, *self.rows]
        widths = [max(len(str(line[column])) for line in lines) for column in range(len(self.header))]
        right = [
            bool(self.rows) and all(isinstance(row[c], int | float) for row in self.rows)
            for c in range(len(widths))
        ]
        texts = [
            [str(c).rjust(w) if r else str(c).ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
            for line in lines
        ]
        return "\n".join("  ".join(text).rstrip() for text in texts)

    def _repr_html_(self) -> str:
        """An HTML table."""
        lines = [("th", self.header), *(("td", row) for row in self.rows)]
        cells = ("".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in line) for tag, line in lines)
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
