"""Execute the lessons without a browser: in order, with progress, and with a summary that hides nothing."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.artifacts import atomic_path
from helpers.course import editions, verified
from helpers.course.place import relative, repository, say
from helpers.course.rules import ignored_cells
from helpers.course.twins import notebook_of, push, read_notebook, write_notebook
from helpers.table import Table

__all__ = ["LessonFailedError", "LessonResult", "execute", "not_run_reasons", "run", "summary"]

TIMEOUT_S = 600


class LessonFailedError(RuntimeError):
    """A cell raised; the message names lesson, cell and error."""


@dataclass(frozen=True)
class LessonResult:
    """What one lesson did.

    Attributes:
        name: For example `02_export`, solutions with `solutions/` in front.
        cells: Code cells executed.
        ignored: Of these, how many a check does not compare.
        not_run: The reasons after each `not run:` line.
        pictures: Pictures written to the model's folder.
        seconds: Wall time.
    """

    name: str
    cells: int
    ignored: int
    not_run: tuple[str, ...]
    pictures: int
    seconds: float


def _name(path: Path) -> str:
    language = editions.language_of(path)
    parts = ("" if language == "en" else language, "solutions" if path.parent.name == "solutions" else "")
    return "/".join([*filter(None, parts), path.stem])


def _environment(language: str, *, checked: bool, model: str | None) -> dict[str, str]:
    added = {"YOLOV7_HEADLESS": "1", "YOLO_AUTOINSTALL": "False", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    added["PYTHONUTF8"] = "1"  # Windows would print to a pipe in its own code page
    if checked:
        added |= {"YOLOV7_CHECKED": "1", "CUDA_VISIBLE_DEVICES": "-1", "YOLOV7_LANGUAGE": language}
    if model:
        added["YOLOV7_MODEL"] = model
    return {**os.environ, **added}


def _run_cells(notebook: Any, path: Path, environment: dict[str, str]) -> None:
    """Run every code cell in a fresh kernel, with one progress bar."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from tqdm import tqdm

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started: list[str] = []  # ids, in the order of execution; the last one is where a run ended
    for cell in code:
        cell.outputs, cell.execution_count = [], None
    with tqdm(total=len(code), desc=_name(path), unit="cell", leave=False) as bar:
        client = NotebookClient(
            notebook, timeout=TIMEOUT_S, kernel_name="python3", record_timing=False, store_widget_state=True,
            extra_arguments=["--IPKernelApp.log_level=40"],
            resources={"metadata": {"path": str(path.parent)}}, on_cell_executed=lambda **_: bar.update(),
            on_cell_execute=lambda cell, **_: started.append(cell.id),
        )  # fmt: skip
        try:
            client.execute(env=environment)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            what = f"no end within {TIMEOUT_S} s" if isinstance(error, CellTimeoutError) else _words(error)
            where = f"cell {started[-1]}" if started else "before its first cell"
            raise LessonFailedError(f"{_name(path)}, {where}: {what}") from error


def _words(error: Any) -> str:
    """The error of a cell by name; else the kernel is gone."""
    named = hasattr(error, "ename")
    return f"{error.ename}: {error.evalue}" if named else "the kernel died; was there enough memory?"


def clean(notebook: Any) -> None:
    """Make outputs the same in every run that prints the same: streams joined, no metadata but alt texts."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        joined: list[Any] = []
        for output in cell.outputs:
            said = _descriptions(output.pop("metadata", {}))
            if output.output_type in ("display_data", "execute_result"):
                output["metadata"] = said
            last = joined[-1] if joined else None
            if last and output.output_type == last.output_type == "stream" and output.name == last.name:
                last.text += output.text
            else:
                joined.append(output)
        cell.outputs = joined
    for key in set(notebook.metadata) - {"kernelspec", "widgets"}:
        del notebook.metadata[key]
    notebook.metadata["language_info"] = {"name": "python"}
    if not any("application/vnd.jupyter.widget-view+json" in data for data in _bundles(notebook)):
        notebook.metadata.pop("widgets", None)


def _descriptions(metadata: Any) -> dict[str, dict[str, str]]:
    """Of an output's metadata what screen readers say: `{kind of picture: {"alt": text}}`."""
    of_pictures = ((kind, said) for kind, said in metadata.items() if kind.startswith("image/"))
    return {kind: {"alt": said["alt"]} for kind, said in of_pictures if "alt" in said}


def _bundles(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def _save_pictures(notebook: Any, folder: Path, lesson: str) -> int:
    """Write every picture of an executed lesson as a file; returns how many."""
    jpegs = [data["image/jpeg"] for data in _bundles(notebook) if "image/jpeg" in data]
    for number, jpeg in enumerate(jpegs, 1):
        (folder / f"{lesson}-{number:02d}.jpg").write_bytes(base64.b64decode(jpeg))
    return len(jpegs)


def not_run_reasons(notebook: Any) -> tuple[str, ...]:
    """What follows `not run:` in the outputs, once per line, in any language."""
    texts = (output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    return tuple(line.strip() for text in texts for line in re.findall(r"(?:not run: |未运行：)(.+)", text))


def _one(twin: Path, *, checked: bool, model: str | None, pictures: Path | None) -> tuple[LessonResult, Any]:
    path = notebook_of(twin)
    notebook = push(twin) if checked else read_notebook(path)
    start = time.perf_counter()
    environment = _environment(editions.language_of(path), checked=checked, model=model)
    _run_cells(notebook, path, environment)
    clean(notebook)
    written = _save_pictures(notebook, pictures, path.stem) if pictures else 0
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    seconds = time.perf_counter() - start
    return LessonResult(
        _name(path), cells, ignored_cells(notebook), not_run_reasons(notebook), written, seconds
    ), notebook


def execute(twins: Sequence[Path]) -> list[LessonResult]:
    """Run lessons as a check does and write them with their outputs; a lesson that fails stays as it was.

    Raises:
        LessonFailedError: A cell raised, or a label has no words in the lesson's language.
    """
    results = []
    for twin in twins:
        with _missing_labels(_name(twin)):
            result, notebook = _one(twin, checked=True, model=None, pictures=None)
        if twin.parent.name != "solutions":
            line = verified.verified_line(result.seconds, editions.language_of(twin))
            verified.put(notebook, line, twin.stem)
        write_notebook(notebook, notebook_of(twin))
        results.append(result)
        say(f"{result.name}: {result.cells} cells, {result.seconds:.0f} s")
    return results


@contextmanager
def _missing_labels(lesson: str) -> Iterator[None]:
    """Gather the labels that no catalogue has, so that a translator sees all of them at once."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "labels"
        os.environ["YOLOV7_MISSING_LABELS"] = str(listed)
        try:
            yield
        finally:
            del os.environ["YOLOV7_MISSING_LABELS"]
        texts = listed.read_text(encoding="utf-8").split("\0")[:-1] if listed.is_file() else []
    if texts:
        lines = "\n".join(f"  {text!r}" for text in dict.fromkeys(texts))
        raise LessonFailedError(f"{lesson}: labels without an entry in the catalogue:\n{lines}")


def run(twins: Sequence[Path], model: str | None = None) -> tuple[list[LessonResult], Path]:
    """Run lessons for their results alone: notebooks stay as committed, pictures go to the model's folder.

    Returns:
        What each lesson did, and the folder of pictures.
    """
    from helpers.course.picker import CourseModel, current_model

    model = model or current_model().source
    if Path(model).is_file():
        model = str(Path(model).resolve())  # kernels work in the notebooks' folders
    folder = CourseModel(model).pictures_folder
    executed = repository() / "build" / "executed"
    results = []
    for twin in twins:
        result, notebook = _one(twin, checked=False, model=model, pictures=folder)
        path = executed / f"{_name(twin)}.ipynb"
        write_notebook(notebook, path)
        results.append(result)
        say(f"{result.name}: {result.cells} cells, {result.pictures} pictures, {result.seconds:.0f} s")
    _record(results, executed / "record.json")
    return results, folder


def _record(results: Sequence[LessonResult], path: Path) -> None:
    """Leave the wall times of a run for the benchmark, which asks how long the course takes."""
    lessons = [{"name": r.name, "seconds": round(r.seconds, 1), "cells": r.cells} for r in results]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"when": when, "lessons": lessons}, indent=1) + "\n", "utf-8")


def summary(results: Sequence[LessonResult]) -> str:
    """The closing table, and every reason why something was not run.

    >>> print(summary([LessonResult("00_start_here", 5, 1, ("no CUDA device",), 2, 3.0)]))
    lesson         cells  not compared  not run  pictures  seconds
    00_start_here      5             1        1         2        3
    not run: no CUDA device (00_start_here)
    """
    rows = tuple((r.name, r.cells, r.ignored, len(r.not_run), r.pictures, round(r.seconds)) for r in results)
    table = Table(("lesson", "cells", "not compared", "not run", "pictures", "seconds"), rows)
    reasons = [f"not run: {reason} ({r.name})" for r in results for reason in r.not_run]
    return "\n".join([str(table), *reasons])


def where(folder: Path) -> str:
    """The line that says where the pictures are."""
    return f"pictures: {relative(folder)}/"
