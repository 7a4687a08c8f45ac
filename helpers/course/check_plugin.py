"""A pytest plugin that writes down what a check did, each cell by its id.

`course test` loads it (`-p helpers.course.check_plugin --course-report FILE`) and reads the file afterwards
(`helpers.course.report`). nbval names cells by place; here a cell has its id, a broken one the first line
that differs, and a notebook with a broken cell is written with the outputs that it gave, beside the file.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.artifacts import atomic_path
from helpers.course.changes import first_line
from helpers.course.runner import not_run_reasons

__all__ = ["Recorder", "first_difference"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to write."""
    parser.addoption("--course-report", metavar="FILE", help="write what was checked to a JSON file")


def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that prints; xdist's workers send it what they saw."""
    path = config.getoption("--course-report")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(path)), "course-recorder")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what is known of a cell into its report."""
    report = yield
    if hasattr(item, "cell") and (report.when == "call" or report.failed):
        report.course_cell = _describe(item, call, report)  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: Any, nextitem: Any) -> Generator[None, object, object]:
    """After the last cell of a notebook: keep it as it ran here, if a cell broke."""
    broken = getattr(item.parent, "course_broken", False)
    if broken and (nextitem is None or nextitem.parent is not item.parent):
        _keep(item)
    return (yield)


def _describe(item: Any, call: pytest.CallInfo[None], report: pytest.TestReport) -> dict[str, Any]:
    outputs = item.test_outputs or []
    item.parent.course_outputs = {**getattr(item.parent, "course_outputs", {}), item.cell.id: outputs}
    known = {
        "notebook": item.path.relative_to(item.config.rootpath).as_posix(),
        "cell": item.cell.id,
        "number": item.cell_num + 1,
        "line": first_line(item.cell),
        "not_run": not_run_reasons(SimpleNamespace(cells=[{"outputs": outputs}])),
    }
    if report.skipped:
        return known | {"state": "left out"}
    if report.passed:
        compared = item.options["check"] and item.cell.execution_count is not None
        return known | {"state": "compared" if compared else "not compared"}
    item.parent.course_broken = True
    return known | {"state": "failed"} | _failure(item, call)


def _failure(item: Any, call: pytest.CallInfo[None]) -> dict[str, str]:
    """What is wrong: an error by name, or the first line that differs."""
    errors = [output for output in item.test_outputs or [] if output.output_type == "error"]
    said = str(call.excinfo.value) if call.excinfo else ""
    if "outputs differ" in said:
        return first_difference(item)
    return {"error": f"{errors[-1].ename}: {errors[-1].evalue}" if errors else said or "no answer"}


def first_difference(item: Any) -> dict[str, str]:
    """The first line in which a cell's outputs differ from the committed ones, as nbval compares them.

    Returns:
        `where` (`stdout`, `text/plain`, ...), `expected` and `got`; empty where one has no such line.
    """
    committed, here = (_texts(item, outputs) for outputs in (item.cell.outputs, item.test_outputs))
    for key in [*committed, *(key for key in here if key not in committed)]:
        old, new = committed.get(key, []), here.get(key, [])
        for place in range(max(len(old), len(new))):
            lines = [texts[place] if place < len(texts) else "" for texts in (old, new)]
            if lines[0] != lines[1]:
                return {"where": key, "expected": lines[0], "got": lines[1]}
    return {"where": "outputs", "expected": ", ".join(committed), "got": ", ".join(here)}


def _texts(item: Any, outputs: list[Any]) -> dict[str, list[str]]:
    """The lines that nbval compares, by stream or kind of data."""
    found: dict[str, list[str]] = {}
    for output in outputs:
        pieces = dict(output.get("data", {}))
        if output.output_type == "stream":
            pieces[output.name] = output.text
        pieces |= {key: output[key] for key in ("ename", "evalue") if key in output}
        for key, value in pieces.items():
            if key not in item.parent.skip_compare:
                text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                found.setdefault(key, []).extend(item.sanitize(text).splitlines() or [""])
    return found


def _keep(item: Any) -> None:
    """Write the notebook with the outputs it gave here, beside the report."""
    import nbformat

    notebook = copy.deepcopy(item.parent.nb)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = item.parent.course_outputs.get(cell.id, [])
    folder = Path(item.config.getoption("--course-report") or "build/check/report.json").parent / "executed"
    with atomic_path(folder / item.path.relative_to(item.config.rootpath)) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


class Recorder:
    """Collects reports and writes them when the session ends.

    Args:
        path: The JSON file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: list[dict[str, Any]] = []
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
        self.failures: list[dict[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A cell, or a unit test."""
        cell = getattr(report, "course_cell", None)
        if cell is not None:
            self.cells.append(cell)
        elif "Cell " not in report.nodeid.rpartition("::")[2]:
            if report.when == "call" or report.outcome != "passed":
                self.counts[report.outcome] += 1
            if report.failed:
                self.failures.append({"test": report.nodeid, "error": _crash(report)})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that could not even be read."""
        if report.failed:
            self.counts["failed"] += 1
            self.failures.append({"test": report.nodeid, "error": _crash(report)})

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        known = {"cells": self.cells, "tests": self.counts, "failures": self.failures}
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _crash(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The error in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else str(report.longrepr)).strip().splitlines()
    return (lines[0] if crash else lines[-1]) if lines else ""
