"""What can be wrong with a data set: each flaw with its file and line, and what fixing it would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KINDS", "DatasetError", "Flaw", "count_by_kind", "refusal"]

KINDS: dict[str, str] = {
    "no-area": "the box is dropped",
    "outside": "the box is dropped",
    "partly-outside": "the box is clipped to the picture",
    "unknown-class": "the box is dropped",
    "not-a-number": "the box is dropped",
    "columns": "the row is dropped",
    "confidence": "the last column is ignored",
    "duplicate-box": "one of them is kept",
    "duplicate-id": "the first is kept",
    "class-count": "the names count",
    "size": "the picture is left out",
    "duplicate-picture": "the first is kept",
    "leak": "the picture is left out of train",
    "missing-picture": "the entry is left out",
    "missing-label": "the picture is left out",
    "broken-label": "the picture is left out",
    "unreadable-picture": "the picture is left out",
    "path": "the entry is left out",
}
"""Each kind of flaw, and what `Dataset.fixed()` does about it."""


class DatasetError(ValueError):
    """A data set that cannot be read: the message names the file, what was found and the cure."""


@dataclass(frozen=True)
class Flaw:
    """One thing wrong with a data set.

    Attributes:
        kind: one of `KINDS`.
        path: the file that is wrong.
        message: what is wrong with it.
        line: where in that file, counted from 1; None where lines mean nothing.
        picture: the picture that is concerned.
        fix: what fixing does about it; by default what `KINDS` says.

    >>> print(Flaw("no-area", Path("labels/a.txt"), "cell box (4, 5, 4, 9) has no area", line=3))
    labels/a.txt:3: no-area: cell box (4, 5, 4, 9) has no area (fix: the box is dropped)
    """

    kind: str
    path: Path
    message: str
    line: int | None = None
    picture: Path | None = None
    fix: str = ""

    def __post_init__(self) -> None:
        """Fill in the usual fix."""
        if not self.fix:
            object.__setattr__(self, "fix", KINDS[self.kind])

    def __str__(self) -> str:
        """`file:line: kind: message (fix: ...)`."""
        place = self.path.as_posix() if self.line is None else f"{self.path.as_posix()}:{self.line}"
        return f"{place}: {self.kind}: {self.message} (fix: {self.fix})"


def count_by_kind(flaws: Iterable[Flaw]) -> dict[str, int]:
    """How many flaws of each kind, in the order of `KINDS`.

    >>> count_by_kind([Flaw("leak", Path("b.jpg"), "is a.jpg"), Flaw("no-area", Path("b.txt"), "...")])
    {'no-area': 1, 'leak': 1}
    """
    found = Counter(flaw.kind for flaw in flaws)
    return {kind: found[kind] for kind in KINDS if found[kind]}


def refusal(folder: Path, flaws: tuple[Flaw, ...], shown: int = 10) -> DatasetError:
    """The error that stops a training on flawed data: counts by kind, and the first flaws."""
    counts = ", ".join(f"{count} {kind}" for kind, count in count_by_kind(flaws).items())
    lines = [f"  {flaw}" for flaw in flaws[:shown]]
    if len(flaws) > shown:
        lines.append(f"  ... and {len(flaws) - shown} more: python -m helpers check-data {folder}")
    head = f"data set {folder}: expected no flaws, got {len(flaws)} ({counts})"
    return DatasetError("\n".join([f"{head}; mend the files, or train on dataset.fixed()", *lines]))
