"""The closing summary of `course test`: cells by notebook, which one broke and where, what was not run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.course.place import relative, repository
from helpers.table import Table

__all__ = ["Check", "closing", "forget", "markdown", "notices", "options", "publish", "read"]

HEADER = ("notebook", "cells", "compared", "not compared", "not run here", "failed")
MAX_FAILURES = 20
WIDTH = 160


@dataclass(frozen=True)
class Check:
    """What one or more runs of pytest did.

    Attributes:
        cells: A dictionary for each cell, as `helpers.course.check_plugin` writes it.
        tests: How many unit tests `passed`, `failed` and were `skipped`.
        failures: `test` and `error` of the tests that failed.
        missing: Parts of the check that left no report: pytest itself broke, or was killed.
    """

    cells: tuple[dict[str, Any], ...] = ()
    tests: dict[str, int] | None = None
    failures: tuple[dict[str, str], ...] = ()
    missing: tuple[str, ...] = ()


def options(part: str, folder: Path | None = None) -> list[str]:
    """What pytest is told, so that it leaves a report.

    Args:
        part: `units` or `notebooks`.
        folder: `build/check` by default.
    """
    path = (folder or report_folder()) / f"{part}.json"
    return ["-p", "helpers.course.check_plugin", "--course-report", str(path)]


def report_folder() -> Path:
    """Where reports and the notebooks with broken cells go."""
    return repository() / "build" / "check"


def forget(folder: Path | None = None) -> None:
    """Remove what the last check left, so that none of it passes for this one's."""
    folder = folder or report_folder()
    for path in [*folder.glob("*.json"), *folder.glob("executed/**/*.ipynb")]:
        path.unlink()


def read(parts: Sequence[str], folder: Path | None = None) -> Check:
    """The reports of the parts of a check, as one."""
    paths = {part: (folder or report_folder()) / f"{part}.json" for part in parts}
    known = [json.loads(path.read_text("utf-8")) for path in paths.values() if path.is_file()]
    return Check(
        cells=tuple(cell for one in known for cell in one["cells"]),
        tests={kind: sum(one["tests"][kind] for one in known) for kind in ("passed", "failed", "skipped")},
        failures=tuple(failure for one in known for failure in one["failures"]),
        missing=tuple(part for part, path in paths.items() if not path.is_file()),
    )


def closing(check: Check) -> str:
    """The summary for a terminal.

    >>> cell = {"notebook": "notebooks/05_build.ipynb", "cell": "05-a", "number": 1, "line": "a = 1"}
    >>> print(closing(Check(({**cell, "state": "compared", "not_run": ["no GPU"]},))))
    notebook  cells  compared  not compared  not run here  failed
    05_build      1         1             0             1       0
    not run here: no GPU (05_build)
    """
    lines = [str(Table(HEADER, tuple(_rows(check))))] if check.cells else []
    lines += [f"not run here: {reason}" for reason in _reasons(check)]
    if broken := _broken(check):
        lines += ["", "Broken cells", *(line for title, rest in broken for line in (title, *_indented(rest)))]
        lines += [f"executed as far as they came: {relative(report_folder())}/executed/"]
    return "\n".join([*lines, *_units(check)])


def markdown(check: Check) -> str:
    """The summary for a page: a table of notebooks, and the broken cells first."""
    lines = []
    if broken := _broken(check):
        lines += ["### Broken cells", ""]
        for title, rest in broken:
            lines += [f"**{_escaped(title)}**", "", "```text", *rest, "```", ""]
    lines += [f"{_escaped(line)}\n" for line in _units(check)]
    if check.cells:
        rows = [HEADER, tuple("---" if not place else "--:" for place in range(len(HEADER))), *_rows(check)]
        lines += ["### Notebooks", "", *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]
    return "\n".join([*lines, *(f"- not run here: {_escaped(reason)}" for reason in _reasons(check))]) + "\n"


def notices(check: Check) -> str:
    """A line for each broken cell that GitHub Actions shows beside the file; empty elsewhere.

    >>> notices(Check()) == ""
    True
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return ""
    files = {_label(cell["notebook"]): cell["notebook"] for cell in check.cells}
    lines = []
    for title, rest in _broken(check):
        file = files[title.partition(", cell ")[0]]
        lines.append(f"::error file={file},title={_command(title, ':,')}::{_command(chr(10).join(rest))}")
    return "\n".join(lines)


def _command(text: str, more: str = "") -> str:
    """Text as GitHub's workflow commands want it: `%`, ends of lines and `more` by number."""
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)


def publish(text: str) -> bool:
    """Append to the summary page of a run in GitHub Actions; elsewhere do nothing.

    Returns:
        Whether there is such a page.
    """
    page = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if page:
        with Path(page).open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    return bool(page)


def _rows(check: Check) -> Iterator[tuple[object, ...]]:
    """A row for each notebook, and their sum."""
    names = list(dict.fromkeys(cell["notebook"] for cell in check.cells))
    total = [0] * (len(HEADER) - 1)
    for name in names:
        cells = [cell for cell in check.cells if cell["notebook"] == name]
        states = [cell["state"] for cell in cells]
        counts = [
            len(cells) - states.count("left out"), states.count("compared"), states.count("not compared"),
            sum(len(cell["not_run"]) for cell in cells), states.count("failed"),
        ]  # fmt: skip
        total = [a + b for a, b in zip(total, counts, strict=True)]
        yield (_label(name), *counts)
    if len(names) > 1:
        yield (f"{len(names)} notebooks", *total)


def _reasons(check: Check) -> Iterator[str]:
    """Each reason why something did not run, once, with the lessons that gave it."""
    where: dict[str, list[str]] = {}
    for cell in check.cells:
        for reason in cell["not_run"]:
            where.setdefault(reason, []).append(_label(cell["notebook"]))
    for reason, lessons in where.items():
        yield f"{reason} ({', '.join(dict.fromkeys(lessons))})"


def _broken(check: Check) -> list[tuple[str, list[str]]]:
    """Each broken cell with what is wrong; after an error the later ones of its notebook are only named."""
    found = []
    for name in dict.fromkeys(cell["notebook"] for cell in check.cells):
        failed = [cell for cell in check.cells if cell["notebook"] == name and cell["state"] == "failed"]
        for place, cell in enumerate(failed, 1):
            title = f"{_label(name)}, cell {cell['cell']}, In [{cell['number']}]: {cell['line']}"
            later = ", ".join(other["cell"] for other in failed[place:])
            if "error" not in cell:
                found.append((title, _difference(cell)))
                continue
            found.append((title, [_cut(cell["error"]), *([f"then also: {later}"] if later else [])]))
            break
    return found


def _difference(cell: dict[str, Any]) -> list[str]:
    return [
        f"first difference, in {cell['where']}",
        f"expected: {_cut(cell['expected']) or '(nothing)'}",
        f"got:      {_cut(cell['got']) or '(nothing)'}",
    ]


def _units(check: Check) -> Iterator[str]:
    """Unit tests that failed, and parts of the check that left no report."""
    for failure in check.failures[:MAX_FAILURES]:
        yield f"failed: {failure['test']}: {_cut(failure['error'])}"
    if len(check.failures) > MAX_FAILURES:
        yield f"failed: {len(check.failures) - MAX_FAILURES} more"
    if check.tests and any(check.tests.values()):
        yield "tests: " + ", ".join(f"{count} {kind}" for kind, count in check.tests.items())
    for part in check.missing:
        yield f"{part}: no report; pytest ended before its first test, see its lines above"


def _label(name: str) -> str:
    return name.removeprefix("notebooks/").removesuffix(".ipynb")


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _cut(text: str) -> str:
    line = " ".join(text.split("\n", 1)[0].split("\r"))
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|" else letter for letter in text)
