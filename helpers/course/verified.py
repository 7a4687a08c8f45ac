"""The line in every lesson that says when it last ran, with what and how long it took: a run writes it."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["TAG", "is_verified", "processor", "put", "verified_line"]

TAG = "verified"
PACKAGES = ("torch", "onnx", "onnxruntime", "ultralytics")
_WORDS = {
    "en": "*Last verified {date}: every cell, {seconds} s; {versions}; {device}. Written by the run.*",
    "zh-CN": "*最近验证 {date}：全部单元格，{seconds} 秒；{versions}；{device}。由运行写入。*",
}
_DEVICE = {"en": "{cpu}, {cores} cores, no GPU, {system}", "zh-CN": "{cpu}，{cores} 核，无 GPU，{system}"}
"""A run that is committed hides the machine's GPU from the lessons, so none of them used one."""
_FORM = re.compile(r"\*\D+\d{4}-\d\d-\d\d\D+\d+ (?:s|秒).+Python 3\.\d+.+\*")


def verified_line(seconds: float, language: str = "en") -> str:
    """The line, for a run that ended today.

    Args:
        seconds: Wall time of the lesson.
        language: `en` or `zh-CN`.

    >>> is_verified(verified_line(12.3)), is_verified(verified_line(12.3, "zh-CN"))
    (True, True)
    """
    cores = os.cpu_count() or 1
    device = _DEVICE[language].format(cpu=processor(), cores=cores, system=platform.system())
    versions = [f"Python {platform.python_version()}", *(f"{n} {v}" for n in PACKAGES if (v := _version(n)))]
    return _WORDS[language].format(
        date=dt.datetime.now(dt.UTC).date(), seconds=round(seconds), versions=", ".join(versions),
        device=device,
    )  # fmt: skip


def is_verified(text: str) -> bool:
    """True for a line as `verified_line` writes it.

    >>> is_verified("*Last verified by hand.*")
    False
    """
    return _FORM.fullmatch(text.strip()) is not None


def put(notebook: Any, line: str, lesson: str) -> None:
    """Write the line into the notebook's cell for it; one that has none gets it before its first code cell.

    Args:
        notebook: Changed in place.
        line: Markdown.
        lesson: File name; its two digits begin the cell's id.
    """
    import nbformat

    for cell in notebook.cells:
        if TAG in cell.metadata.get("tags", []):
            cell.source = line
            return
    place = next(
        (n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"), len(notebook.cells)
    )
    cell = nbformat.v4.new_markdown_cell(line, id=f"{lesson[:2]}-{TAG}", metadata={"tags": [TAG]})
    notebook.cells.insert(place, cell)


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return ""


def processor() -> str:
    """The processor as its maker names it, where the system tells.

    >>> bool(processor())
    True
    """
    listed = Path("/proc/cpuinfo")
    text = listed.read_text("utf-8") if listed.is_file() else ""
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", text)
    return model.group(1).strip() if model else platform.processor() or platform.machine()
