"""What changed between two states of a notebook, cell by cell: cells are paired by their ids, not by place.

nbdime pairs cells by content, names them by place, shows a picture as a checksum and brings 20 MB of browser
code. A maintainer asks which cell moved and by how much, so here a cell has its id and a picture its pixels.
"""

from __future__ import annotations

import base64
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np

from helpers.course.rules import IGNORE
from helpers.course.verified import TAG

__all__ = ["CellChange", "compare", "first_line", "picture_difference", "text_difference"]

MAX_LINES = 12
MAX_WIDTH = 110
VISIBLE = 16  # of 255; JPEG moves the pixels around an edit by less
_PICTURES = ("image/jpeg", "image/png")
_TEXTS = ("text/plain", "text/html", "text/markdown", "image/svg+xml")  # the first that differs is shown


@dataclass(frozen=True)
class CellChange:
    """One cell that is not as it was.

    Attributes:
        cell: Its id.
        line: The first line of its source.
        kind: `added`, `removed`, `moved` or `changed`.
        details: What differs, a line each.
        expected: Whether it may differ: its output, which no check compares (tag `nbval-ignore-output`), did,
            and nothing else.
    """

    cell: str
    line: str
    kind: str
    details: tuple[str, ...] = ()
    expected: bool = False

    def __str__(self) -> str:
        """The cell in one line, what differs indented under it.

        >>> print(CellChange("03-ops", "ops = count(graph)", "changed", ("- 205", "+ 207")))
        changed  03-ops  | ops = count(graph)
            - 205
            + 207
        """
        head = f"{self.kind}  {self.cell}  | {self.line}".rstrip(" |")
        return "\n".join([head, *(f"    {detail}" for detail in self.details)])


def first_line(cell: Any) -> str:
    r"""The first line of a cell, shortened; in code the first that is no comment, where there is one.

    >>> from nbformat.v4 import new_code_cell
    >>> first_line(new_code_cell("# why\n\ntotal = 1 + 1\nprint(total)"))
    'total = 1 + 1'
    """
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()] or [""]
    code = [line for line in lines if cell.cell_type != "code" or not line.startswith("#")]
    return _short((code or lines)[0], 70)


def compare(before: Any, after: Any) -> list[CellChange]:
    """Cells that were added, removed, moved or changed, in the order of the notebook as it is now.

    The line that every run writes (tag `verified`) is left out.

    Args:
        before: A notebook, as nbformat reads it.
        after: The same notebook now.
    """
    old, new = (
        {cell.id: cell for cell in book.cells if TAG not in cell.metadata.get("tags", [])}
        for book in (before, after)
    )
    moved = _moved([name for name in old if name in new], [name for name in new if name in old])
    changes = []
    for name, cell in new.items():
        if name not in old:
            changes.append(CellChange(name, first_line(cell), "added"))
            continue
        of_source, of_outputs = [*_source(old[name], cell)], [*_outputs(old[name], cell)]
        if of_source or of_outputs or name in moved:
            tags, kind = cell.metadata.get("tags", []), "changed" if of_source or of_outputs else "moved"
            expected = kind == "changed" and IGNORE in tags and not of_source
            changes.append(
                CellChange(name, first_line(cell), kind, (*of_source, *of_outputs), expected)
            )
    gone = (CellChange(name, first_line(old[name]), "removed") for name in old if name not in new)
    return [*changes, *gone]


def _moved(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """Ids that stand elsewhere among the cells that both states have."""
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return set(after).difference(*(before[block.a : block.a + block.size] for block in blocks))


def _source(old: Any, new: Any) -> Iterator[str]:
    if old.cell_type != new.cell_type:
        yield f"cell type: {old.cell_type} -> {new.cell_type}"
    if old.source != new.source:
        yield from ("source", *text_difference(old.source, new.source))
    before, after = (", ".join(cell.metadata.get("tags", [])) or "none" for cell in (old, new))
    if before != after:
        yield f"tags: {before} -> {after}"


def _outputs(old: Any, new: Any) -> Iterator[str]:
    before, after = _errors(old), _errors(new)
    if before != after:
        yield f"error: {before} -> {after}"
    for name in ("stdout", "stderr"):
        texts = [_stream(cell, name) for cell in (old, new)]
        if texts[0] != texts[1]:
            yield from (name, *text_difference(*texts))
    bundles = [[o.data for o in cell.get("outputs", []) if "data" in o] for cell in (old, new)]
    if len(bundles[0]) != len(bundles[1]):
        yield f"results: {len(bundles[0])} -> {len(bundles[1])}"
    for number, (one, other) in enumerate(zip(*bundles, strict=False), 1):
        yield from _results(number, one, other)
    yield from _descriptions(old, new)


def _results(number: int, old: Any, new: Any) -> Iterator[str]:
    """What differs between two results of a cell, tables and pictures alike."""
    for kind in _PICTURES:
        if (kind in old) != (kind in new):
            yield f"picture {number}: {kind} was {'removed' if kind in old else 'added'}"
        elif kind in old and old[kind] != new[kind]:
            yield f"picture {number}: {_decoded_difference(old[kind], new[kind])}"
    for kind in _TEXTS:
        texts = ["".join(bundle.get(kind, "")) for bundle in (old, new)]
        if texts[0] != texts[1]:
            yield from (f"result {number}, {kind}", *text_difference(*map(_bare, texts)))
            return


def _bare(text: str) -> str:
    """Text without tags, a line for each row of a table."""
    if not text.lstrip().startswith("<") or text.startswith("<picture "):
        return text
    rows = re.sub(r"<[^>]+>", " ", re.sub(r"</(?:tr|p|div|text|g)>", "\n", text)).splitlines()
    return unescape("\n".join(" ".join(row.split()) for row in rows))


def _descriptions(old: Any, new: Any) -> Iterator[str]:
    """Alternative texts of pictures, for readers who hear the page."""
    of_outputs = [[o.get("metadata", {}) for o in cell.get("outputs", [])] for cell in (old, new)]
    said = [[kind["alt"] for of in found for kind in of.values() if "alt" in kind] for found in of_outputs]
    if said[0] != said[1]:
        yield from ("alternative texts of pictures", *text_difference(*map("\n".join, said)))


def _stream(cell: Any, name: str) -> str:
    return "".join(output.text for output in cell.get("outputs", []) if output.get("name") == name)


def _errors(cell: Any) -> str:
    found = [output for output in cell.get("outputs", []) if output.output_type == "error"]
    return ", ".join(f"{error.ename}: {_short(error.evalue)}" for error in found) or "none"


def text_difference(before: str, after: str) -> list[str]:
    r"""The lines that differ, `-` before and `+` after, cut to a dozen, long ones to where they differ.

    >>> text_difference("a\nb\nc", "a\nB\nc")
    ['- b', '+ B']
    """
    old, new = before.splitlines(), after.splitlines()
    shown = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            start = _same_beginning(old[a:b], new[c:d])
            shown += [f"- {_short(line, start=start)}" for line in old[a:b]]
            shown += [f"+ {_short(line, start=start)}" for line in new[c:d]]
    left = len(shown) - MAX_LINES
    shown = shown if left <= 0 else [*shown[:MAX_LINES], f"... {left} more lines"]
    return shown or ["only the ends of lines differ"]


def _same_beginning(old: Sequence[str], new: Sequence[str]) -> int:
    """How many characters a line shares with the one that replaces it, where one replaces one."""
    if len(old) != len(new) or len(old) != 1:
        return 0
    pairs = zip(old[0], new[0], strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(old[0]), len(new[0])))


def _decoded_difference(old: str, new: str) -> str:
    try:
        return picture_difference(*map(base64.b64decode, (old, new)))
    except (ValueError, OSError, ImportError):  # ultralytics replaces Image.open: it wants a package for HEIF
        return "other data, and one cannot be read"


def picture_difference(before: bytes, after: bytes) -> str:
    """How two encoded pictures differ: in size, else in how many pixels and by how much."""
    from PIL import Image

    old, new = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (before, after))
    if old.shape != new.shape:
        sizes = (f"{image.shape[1]} x {image.shape[0]}" for image in (old, new))
        return " -> ".join(sizes)
    size = f"{new.shape[1]} x {new.shape[0]}"
    away = np.abs(new - old)
    if not away.any():
        return f"{size}, the same pixels, other bytes ({len(before):,} -> {len(after):,})"
    share, plain = (f"{100 * np.mean(away.max(axis=-1) > limit):.1f} %" for limit in (0, VISIBLE))
    return (
        f"{size}, {share} of the pixels differ, {plain} by more than {VISIBLE} of 255, "
        f"mean absolute difference {away.mean():.2f}"
    )


def _short(text: str, width: int = MAX_WIDTH, start: int = 0) -> str:
    """At most `width` characters of a line, with what stands at `start` among them."""
    text = text.expandtabs().rstrip()
    if len(text) <= width:
        return text
    first = max(0, start - width // 2) if start > width - 10 else 0
    piece = text[first : first + width]
    return f"{'...' if first else ''}{piece}{'...' if first + width < len(text) else ''}"
