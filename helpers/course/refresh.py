"""`course refresh`: execute the lessons again, each for itself, and show what changed cell by cell."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.course.changes import CellChange, compare, first_line
from helpers.course.language import LANGUAGES
from helpers.course.place import relative, repository, say
from helpers.course.rules import broken_rules, ignored_cells
from helpers.course.runner import LessonFailedError, execute, not_run_reasons
from helpers.course.twins import lessons, notebook_of, read_notebook

__all__ = ["NotebookChanges", "closing", "committed", "every_edition", "refresh"]


@dataclass(frozen=True)
class NotebookChanges:
    """What changed in one notebook.

    Attributes:
        name: Its path from the repository's root.
        cells: How many code cells were executed; none of a lesson that failed.
        ignored: Of these, how many no check compares.
        not_run: The reasons after each `not run:` line.
        changes: Cells that are not as they were.
        new: True if there is nothing to compare it with.
    """

    name: str
    cells: int
    ignored: int
    not_run: tuple[str, ...]
    changes: tuple[CellChange, ...]
    new: bool = False

    def __str__(self) -> str:
        """The cells that changed; apart, those that may."""
        if self.new:
            return f"{self.name}\nnew, {_many(self.cells, 'code cell')}"
        lines = [self.name, *(str(change) for change in self.changes if not change.expected)]
        expected = [change.cell for change in self.changes if change.expected]
        return "\n".join([*lines, *([f"differ, as they may: {', '.join(expected)}"] if expected else [])])


def every_edition(names: Sequence[str] = ()) -> list[Path]:
    """Text twins of the named lessons (all without) in every language, English first: the others follow it.

    Raises:
        ValueError: A name that no lesson begins with.
    """
    lessons(names)
    beginnings = tuple(names) or ("",)
    everything = (twin for language in LANGUAGES for twin in lessons(language=language))
    return [twin for twin in everything if twin.name.startswith(beginnings)]


def refresh(twins: Sequence[Path], *, run: bool = True) -> int:
    """Execute lessons, show what changed cell by cell, and count; one that fails does not stop the rest.

    Args:
        twins: Text twins, as `helpers.course.twins.lessons` lists them.
        run: False to show what the notebooks that are there have changed, and execute nothing.

    Returns:
        1 if a lesson failed or a notebook breaks a rule, else 0.
    """
    paths = [notebook_of(twin) for twin in twins]
    here = {path: read_notebook(path) for path in paths if path.is_file()}
    before = committed()
    failures = _execute(twins) if run else {}
    since = "the last commit" if before else "this command was given (no git or no commit here)"
    say(f"\nWhat changed since {since}\n")
    there = [path for path in paths if path.is_file()]
    found = [
        _changes(path, before(path) if before else here.get(path), ran=path not in failures) for path in there
    ]
    for notebook in found:
        if notebook.changes or notebook.new:
            say(f"{notebook}\n")
    kept = [path for path in there if path not in failures]
    broken = [f"{relative(path)}: {line}" for path in kept for line in broken_rules(path)]
    for title, lines in (("Failed", [*failures.values()]), ("Rules broken", broken)):
        if lines:
            say("\n".join([title, *lines, ""]))
    say(closing(found, len(failures), executed=run))
    return 1 if failures or broken else 0


def _execute(twins: Iterable[Path]) -> dict[Path, str]:
    """Execute each lesson for itself; returns the notebooks that failed, each with a line that says how."""
    failures = {}
    for twin in twins:
        try:
            execute([twin])
        except (LessonFailedError, OSError, ValueError) as error:
            failures[notebook_of(twin)] = line = _failure(twin, error)
            say(line)
    return failures


def _failure(twin: Path, error: Exception) -> str:
    """Lesson, cell, the cell's first line, and the error, in one line."""
    ours = isinstance(error, LessonFailedError)
    text = str(error) if ours else f"{twin.stem}: {type(error).__name__}: {error}"
    named = re.search(r"\bcell ([\w.-]+)", text)
    notebook = read_notebook(notebook_of(twin)) if named and notebook_of(twin).is_file() else None
    for cell in notebook.cells if notebook else ():
        if named and cell.id == named.group(1):
            text = text.replace(named.group(0), f"{named.group(0)} ({first_line(cell)})", 1)
    return f"failed: {text}"


def committed(root: Path | None = None) -> Callable[[Path], Any] | None:
    """A function from a notebook's path to the notebook as the last commit has it (None where it has none).

    Returns:
        The function, or None where git or a commit is missing.
    """
    root = root or repository()

    def ask(*words: str) -> bytes | None:
        try:
            done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)
        except OSError:
            return None
        return done.stdout if done.returncode == 0 else None

    if ask("rev-parse", "--verify", "--quiet", "HEAD") is None:
        return None

    def read(path: Path) -> Any:
        import nbformat

        text = ask("show", f"HEAD:./{path.resolve().relative_to(root.resolve()).as_posix()}")
        return None if text is None else nbformat.reads(text.decode("utf-8"), as_version=4)

    return read


def _changes(path: Path, before: Any, *, ran: bool) -> NotebookChanges:
    now = read_notebook(path)
    return NotebookChanges(
        name=relative(path),
        cells=sum(cell.cell_type == "code" for cell in now.cells) if ran else 0,
        ignored=ignored_cells(now) if ran else 0,
        not_run=not_run_reasons(now) if ran else (),
        changes=() if before is None else tuple(compare(before, now)),
        new=before is None,
    )


def closing(notebooks: Sequence[NotebookChanges], failed: int = 0, *, executed: bool = True) -> str:
    """The counts: notebooks, cells, what changed, what no check compares, what was not run here and why.

    >>> book = NotebookChanges("notebooks/05.ipynb", 9, 1, ("no GPU",), (CellChange("05-a", "a", "changed"),))
    >>> print(closing([book]))
    not run here: no GPU (05)
    1 notebook, 9 cells executed: 1 changed, 1 not compared (0 of them differ), 1 part not run here
    """
    changes = [change for notebook in notebooks for change in notebook.changes]
    expected = sum(change.expected for change in changes)
    parts = sum(len(notebook.not_run) for notebook in notebooks)
    counts = [
        f"{len(changes) - expected} changed",
        f"{sum(notebook.ignored for notebook in notebooks)} not compared ({expected} of them differ)",
        f"{_many(parts, 'part')} not run here",
        *([f"{_many(failed, 'lesson')} FAILED"] if failed else []),
    ]
    cells = _many(sum(notebook.cells for notebook in notebooks), "cell")
    head = f"{_many(len(notebooks), 'notebook')}, {cells}{' executed' if executed else ''}"
    return "\n".join([*_reasons(notebooks), f"{head}: {', '.join(counts)}"])


def _reasons(notebooks: Sequence[NotebookChanges]) -> Iterator[str]:
    """Each reason once, with the lessons that gave it."""
    where: dict[str, list[str]] = {}
    for notebook in notebooks:
        for reason in notebook.not_run:
            where.setdefault(reason, []).append(_label(notebook.name))
    for reason, names in where.items():
        yield f"not run here: {reason} ({', '.join(dict.fromkeys(names))})"


def _label(name: str) -> str:
    return name.removeprefix("notebooks/").removesuffix(".ipynb")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
