"""Notebooks and their text twins: `notebooks/text/NN_name.py` is what people write and review.

A twin is jupytext's percent format with each cell's id in its header line. Ids and outputs survive: a cell
whose id and source did not change keeps its outputs; a cell without an id gets one, which is written back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.artifacts import atomic_path
from helpers.course import editions
from helpers.course.place import repository
from helpers.course.verified import TAG, put

__all__ = [
    "KERNEL",
    "lessons",
    "notebook_of",
    "pull",
    "push",
    "read_notebook",
    "render",
    "twin_of",
    "write_notebook",
]

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_HEADER = "# The text twin of a notebook: edit this file, then run python -m helpers course execute\n\n"


def lessons(
    names: Iterable[str] = (), folder: Path | None = None, *, solutions: bool = True, language: str = "en"
) -> list[Path]:
    """Text twins in course order, each lesson before its solutions.

    Args:
        names: Beginnings of lesson names, such as `02`; all lessons without.
        folder: `notebooks/text` by default.
        solutions: Whether the twins of `notebooks/solutions/` come along.
        language: `en`, or that of another edition, whose texts are `.md` files.

    Raises:
        ValueError: A name that no lesson begins with.
    """
    folder, ending = folder or repository() / "notebooks" / "text", ".py"
    if language != "en":
        folder, ending = folder / language, ".md"
    found = [
        *folder.glob(f"[0-9][0-9]_*{ending}"),
        *(folder.glob(f"solutions/[0-9][0-9]_*{ending}") if solutions else ()),
    ]
    found.sort(key=lambda path: (path.stem, path.parent.name == "solutions"))
    wanted = tuple(names)
    for name in wanted:
        if not any(path.stem.startswith(name) for path in found):
            known = ", ".join(path.stem for path in found if path.parent == folder)
            raise ValueError(f"lesson: expected one of {known or 'no lessons yet'}, got {name}")
    return [path for path in found if not wanted or path.stem.startswith(wanted)]


def notebook_of(twin: Path) -> Path:
    """The notebook of a text twin.

    >>> notebook_of(Path("notebooks/text/solutions/02_export.py")).as_posix()
    'notebooks/solutions/02_export.ipynb'
    """
    parts = list(twin.parts)
    last = len(parts) - 1 - parts[::-1].index("text")
    return Path(*parts[:last], *parts[last + 1 :]).with_suffix(".ipynb")


def twin_of(notebook: Path) -> Path:
    """The text twin of a notebook.

    >>> twin_of(Path("notebooks/solutions/02_export.ipynb")).as_posix()
    'notebooks/text/solutions/02_export.py'
    """
    parts = list(notebook.parts)
    last = len(parts) - 1 - parts[::-1].index("notebooks")
    ending = ".py" if editions.language_of(notebook) == "en" else ".md"
    return Path(*parts[: last + 1], "text", *parts[last + 1 :]).with_suffix(ending)


def read_notebook(path: Path) -> Any:
    """A notebook, as nbformat reads it."""
    import nbformat

    return nbformat.read(path, as_version=4)


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all, with the key order that keeps differences small."""
    import nbformat

    nbformat.validate(notebook)
    with atomic_path(path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def render(notebook: Any) -> str:
    """The text twin of a notebook: cells, ids, tags; no outputs, and no line that a run wrote."""
    import jupytext
    import nbformat

    bare = nbformat.v4.new_notebook()
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        if TAG in (tags or ()):
            continue
        metadata = {"id": cell.id, **({"tags": list(tags)} if tags else {})}
        if cell.cell_type == "code":
            bare.cells.append(nbformat.v4.new_code_cell(cell.source, metadata=metadata))
        else:
            bare.cells.append(nbformat.v4.new_markdown_cell(cell.source, metadata=metadata))
    text: str = jupytext.writes(bare, fmt="py:percent")
    body = text[text.index("# %%") :] if "# %%" in text else ""
    return _HEADER + body


def push(twin: Path) -> Any:
    """Make the notebook of a twin, keep the outputs that still belong, and write both.

    Returns:
        The notebook.
    """
    path = notebook_of(twin)
    english = editions.language_of(twin) == "en"
    notebook = _parse(twin) if english else _translated(path, twin)
    if path.is_file():
        _keep_outputs(notebook, read_notebook(path), twin.stem)
    write_notebook(notebook, path)
    if english:
        _write_text(twin, render(notebook))
    return notebook


def _translated(path: Path, text: Path) -> Any:
    return editions.build(read_notebook(editions.english_of(path)), editions.read_text(text))


def _keep_outputs(notebook: Any, before: Any, lesson: str) -> None:
    """Outputs of cells whose source is the same, and the line that the last run wrote."""
    old = {cell.id: cell for cell in before.cells}
    for cell in notebook.cells:
        same = old.get(cell.id)
        if cell.cell_type == "code" and same is not None and same.source == cell.source:
            cell.outputs, cell.execution_count = same.outputs, same.execution_count
    for cell in before.cells:
        if TAG in cell.metadata.get("tags", []):
            put(notebook, cell.source, lesson)


def pull(notebook_path: Path) -> Path:
    """Write the twin of a notebook that was edited in JupyterLab; returns the twin."""
    notebook, twin = read_notebook(notebook_path), twin_of(notebook_path)
    if editions.language_of(notebook_path) != "en":
        return _pull_text(notebook, twin)
    _give_ids(notebook.cells, notebook_path.stem)
    _write_text(twin, render(notebook))
    return twin


def _pull_text(notebook: Any, text: Path) -> Path:
    """Passages of an edited notebook; a stamp stays where it was."""
    stamps = {passage.cell_id: passage.stamp for passage in editions.read_text(text)}
    prose = (c for c in notebook.cells if c.cell_type == "markdown" and TAG not in c.metadata.get("tags", []))
    sources = ((c.id, editions.without_anchors(c.source)) for c in prose)
    passages = [editions.Passage(cell_id, stamps.get(cell_id, ""), source) for cell_id, source in sources]
    editions.write_text(text, passages)
    return text


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _parse(twin: Path) -> Any:
    import jupytext
    import nbformat

    notebook = jupytext.reads(twin.read_text(encoding="utf-8"), fmt="py:percent")
    if notebook.cells and notebook.cells[0].source.startswith("# The text twin of a notebook"):
        del notebook.cells[0]
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.id = cell.metadata.pop("id", "")
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    _give_ids(notebook.cells, twin.stem)
    return notebook


def _give_ids(cells: list[Any], lesson: str) -> None:
    """Give every cell an id of its own; the ones there are stay."""
    seen: set[str] = set()
    for place, cell in enumerate(cells):
        if not cell.get("id") or cell["id"] in seen:
            digest = hashlib.sha256(f"{lesson}:{place}:{cell.source}".encode()).hexdigest()[:6]
            cell["id"] = f"{lesson[:2]}-{digest}"
        seen.add(cell["id"])
