"""The rules that committed notebooks keep, as functions that say what is wrong."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from helpers.course import editions
from helpers.course.colab import colab_cell, repository_address
from helpers.course.language import catalog
from helpers.course.place import repository
from helpers.course.twins import KERNEL, read_notebook, render, twin_of
from helpers.course.verified import TAG, is_verified

__all__ = ["MAX_IGNORED", "all_notebooks", "broken_rules", "ignored_cells", "rules"]

MAX_BYTES = 300_000
MAX_LINES = 25
MEDIAN_LINES = 9
IGNORE = "nbval-ignore-output"
MAX_IGNORED = 12  # in each edition; raise it in the same commit as the cell that needs it, with a reason
_ABSOLUTE = re.compile(
    r"(?:^|[\s\"'(=`])(?:/(?:work|home|root|tmp|Users|content|mnt|usr|opt)/[\w.-]+|[A-Z]:\\\\?\w)"
)
_HOST = re.compile(r"\b(?:127\.0\.0\.1|localhost):\d+")


def broken_rules(path: Path) -> list[str]:
    """Every rule that a notebook breaks, one line each; empty where it keeps them all."""
    notebook = read_notebook(path)
    return [line for rule in rules() for line in rule(path, notebook)]


def ignored_cells(notebook: Any) -> int:
    """How many cells are run but not compared."""
    return sum(IGNORE in cell.metadata.get("tags", []) for cell in notebook.cells)


def rules() -> tuple[Callable[[Path, Any], Iterator[str]], ...]:
    """All rules, in the order in which they are reported."""
    return (
        _executed, _plain_python, _small, _clean_metadata, _clean_outputs,
        _in_sync, _complete, _switch, _verified, _links, _solved,
    )  # fmt: skip


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def _is_lesson(path: Path) -> bool:
    return path.parent.name != "solutions"


def _executed(_path: Path, notebook: Any) -> Iterator[str]:
    counts = [cell.execution_count for cell in _code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"executed top to bottom: expected counts 1 to {len(counts)}, got {counts}; run course execute"
    for cell in _code(notebook):
        failed = [output for output in cell.outputs if output.output_type == "error"]
        if failed and "raises-exception" not in cell.metadata.get("tags", []):
            yield f"cell {cell.id}: holds the error {failed[0].ename}"
        for output in cell.outputs:
            if output.output_type == "execute_result" and output.execution_count != cell.execution_count:
                yield f"cell {cell.id}: its output carries another count than the cell"


def _plain_python(_path: Path, notebook: Any) -> Iterator[str]:
    for cell in _code(notebook):
        lines = cell.source.splitlines()
        for line in lines:
            if line.lstrip().startswith(("!", "%")):
                yield f"cell {cell.id}: shell lines and magics fail unseen: {line.strip()!r}"
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {cell.id}: not plain Python ({error.msg})"
            continue
        installs = "pip" in {
            n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        if (installs or "get_ipython" in cell.source) and "colab" not in cell.metadata.get("tags", []):
            yield f"cell {cell.id}: installs or talks to IPython; only the Colab cell may"
        if any(isinstance(n, ast.Attribute) and ast.unparse(n) == "sys.path" for n in ast.walk(tree)):
            yield f"cell {cell.id}: edits sys.path; helpers is installed"


def _small(path: Path, notebook: Any) -> Iterator[str]:
    if (size := path.stat().st_size) > MAX_BYTES:
        yield f"size: expected at most {MAX_BYTES // 1000} kB, got {size // 1000} kB"
    cells = [cell for cell in _code(notebook) if "colab" not in cell.metadata.get("tags", [])]
    lengths = [len(cell.source.splitlines()) for cell in cells]
    for cell, length in zip(cells, lengths, strict=True):
        if length > MAX_LINES:
            yield f"cell {cell.id}: {length} lines, expected at most {MAX_LINES}"
    if lengths and median(lengths) > MEDIAN_LINES:
        yield f"cells: median of {median(lengths)} lines, expected at most {MEDIAN_LINES}"


def _clean_metadata(_path: Path, notebook: Any) -> Iterator[str]:
    kernel = dict(notebook.metadata.get("kernelspec", {}))
    if kernel != KERNEL:
        yield f"kernel: expected {KERNEL['name']}, got {kernel.get('name', kernel)}"
    if "widgets" in notebook.metadata:
        states = notebook.metadata["widgets"].values()
        if not all("state" in value for value in states):
            yield "widgets: metadata without state, which GitHub shows as an invalid notebook"
    if extra := set(notebook.metadata) - {"kernelspec", "language_info", "widgets"}:
        yield f"metadata: expected kernel and language alone, got {sorted(extra)}"
    for cell in notebook.cells:
        if extra := set(cell.metadata) - {"tags"}:
            yield f"cell {cell.id}: metadata beyond tags: {sorted(extra)}"


def _clean_outputs(_path: Path, notebook: Any) -> Iterator[str]:
    for cell in _code(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            texts = [output.get("text", ""), *(v for k, v in data.items() if k.startswith("text/"))]
            text = "\n".join("".join(value) for value in texts)
            if found := _ABSOLUTE.search(text):
                yield f"cell {cell.id}: a path of one machine in an output: {found.group(0).strip()!r}"
            if _HOST.search(text):
                yield f"cell {cell.id}: an address of one machine in an output"
            if output.get("name") == "stderr" and IGNORE not in cell.metadata.get("tags", []):
                yield f"cell {cell.id}: writes to stderr: {output.text.strip()[:80]!r}"
            if "image/png" in data:
                yield f"cell {cell.id}: a PNG; pictures go out as JPEG through helpers.show"


def _in_sync(path: Path, notebook: Any) -> Iterator[str]:
    twin = twin_of(path)
    if editions.language_of(path) != "en":
        yield from _same_as_english(path, notebook)
    elif not twin.is_file():
        yield f"text twin: {twin.name} is missing; run course sync --from-notebook"
    elif twin.read_text(encoding="utf-8") != render(notebook):
        yield "text twin: differs from the notebook; run course sync"


def _same_as_english(path: Path, notebook: Any) -> Iterator[str]:
    """Code as in English, and prose as in its text, which is stamped with the English that it says."""
    if not editions.english_of(path).is_file():
        yield f"edition: {editions.english_of(path).name} is not there in English"
        return
    english, passages = read_notebook(editions.english_of(path)), editions.read_text(twin_of(path))
    yield from editions.stale(passages, english)
    wanted, found = (
        [(c.id, c.cell_type, c.source) for c in book.cells if TAG not in c.metadata.get("tags", [])]
        for book in (editions.build(english, passages), notebook)
    )
    if wanted != found:
        cells = sorted({cell_id for cell_id, *_ in set(wanted) ^ set(found)})
        yield f"edition: other than the English code or its text in {cells}; run course execute --language"


NEEDED = {
    "en": ("**You need**", "**You get**", "## Contents", "## Summary", "## Exercises", "Next:"),
    "zh-CN": ("**你需要**", "**你将得到**", "## 目录", "## 小结", "## 练习", "下一课："),
}


def _complete(path: Path, notebook: Any) -> Iterator[str]:
    if not _is_lesson(path):
        return
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    *needed, following = NEEDED[editions.language_of(path)]
    for words in needed:
        if words not in text:
            yield f"lesson: {words!r} is missing"
    if not re.search(rf"{following} ?\[", text) and not path.name.startswith("10"):
        yield f"lesson: the link to the next one is missing ({following!r})"
    colab = [cell for cell in notebook.cells[:4] if "colab" in cell.metadata.get("tags", [])]
    if not colab:
        yield "lesson: the Colab cell (tag colab) does not stand among the first cells"
    elif colab[0].source != colab_cell(repository_address()):
        yield "lesson: the Colab cell is not what helpers.course.colab says"


def _switch(path: Path, notebook: Any) -> Iterator[str]:
    """The first cell leads to the same page in every other language."""
    here, english = editions.language_of(path), editions.english_of(path)
    top = english.parent.parent if english.parent.name == "solutions" else english.parent
    for language in NEEDED:
        other = top / ("" if language == "en" else language) / english.relative_to(top)
        link = Path(os.path.relpath(other, path.parent)).as_posix()
        if language != here and other.is_file() and f"]({link})" not in notebook.cells[0].source:
            yield f"language switch: expected a link to {link} in the first cell"


def _verified(path: Path, notebook: Any) -> Iterator[str]:
    """Each lesson says when it last ran: a run writes that, so it is there, once, in the run's words."""
    lines = [cell.source for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    if _is_lesson(path) and not (len(lines) == 1 and is_verified(lines[0])):
        yield f"last verified: expected one line that a run wrote, got {lines}; run course execute"


def _anchor(heading: str) -> str:
    return heading.strip().replace(" ", "-")


def _links(path: Path, notebook: Any) -> Iterator[str]:
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    anchors = {_anchor(match) for text in texts for match in re.findall(r"(?m)^#{1,6} (.+)$", text)}
    for text in texts:
        for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):
            if target.startswith("#"):
                if target[1:] not in anchors:
                    yield f"link {target}: no such heading (capitals stay, spaces become '-')"
            elif not re.match(r"\w+:", target) and not (path.parent / target.split("#")[0]).exists():
                yield f"link {target}: leads nowhere"


_CHECK = re.compile(r"exercises\.check\(\s*\"(\d\d)\"\s*,\s*(\d)")


def _solved(path: Path, notebook: Any) -> Iterator[str]:
    """Three exercises in a lesson, and each of them solved, with the checker's word for it."""
    calls = [(match, cell) for cell in _code(notebook) for match in _CHECK.findall(cell.source)]
    expected = [(path.name[:2], str(number)) for number in (1, 2, 3)]
    if [match for match, _ in calls] != expected:
        yield f"exercises: expected checks {expected}, got {[match for match, _ in calls]}"
    if _is_lesson(path):
        solutions = path.parent / "solutions" / path.name
        if not solutions.is_file():
            yield f"exercises: {solutions.relative_to(path.parent)} is missing"
        return
    words = catalog(editions.language_of(path))
    for (lesson, number), cell in calls:
        said = "".join(output.get("text", "") for output in cell.outputs)
        if words.say(f"exercise {lesson}.{number}: right") not in said:
            yield f"solution {lesson}.{number}: the checker does not say right"


def all_notebooks(root: Path | None = None) -> list[Path]:
    """Lessons and solutions that are there, in order, the other editions last."""
    folder = (root or repository()) / "notebooks"
    editions_of = [folder, *(folder / language for language in NEEDED)]
    return [
        path for place in editions_of for path in
        sorted([*place.glob("[0-9]*.ipynb"), *place.glob("solutions/[0-9]*.ipynb")])
    ]  # fmt: skip
