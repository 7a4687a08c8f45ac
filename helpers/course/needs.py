"""What a lesson needs from earlier ones: found, or made on the spot, and the reader is told which."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import LESSONS, Manifest, describe_onnx
from helpers.course.place import is_headless, relative, say

if TYPE_CHECKING:
    from helpers.course.picker import CourseModel

__all__ = ["need"]


def need(model: CourseModel, kind: str) -> Path:
    """The path of a pipeline file, current; made here where an earlier lesson has not.

    Args:
        model: The lesson's model.
        kind: `raw`, `end2end` or `ultralytics`.

    Raises:
        ValueError: Another kind.
    """
    if kind not in ("raw", "end2end", "ultralytics"):
        raise ValueError(f"kind: expected raw, end2end or ultralytics, got {kind!r}")
    path: Path = getattr(model.files, kind)
    state = Manifest(model.files.folder).state(path)
    if state != "current":
        _make(model, path, state)
    ports = [p for side in ("inputs", "outputs") for p in describe_onnx(path)[side]]
    shapes = (f"{p['name']} [{', '.join(str(n or '?') for n in p['shape'])}]" for p in ports)
    say(f"{relative(path)}: {' -> '.join(shapes)}")
    return path


def _make(model: CourseModel, path: Path, state: str) -> None:
    from helpers.convert import convert

    started = time.perf_counter()
    if not is_headless():
        lesson = next(lesson for ending, lesson in LESSONS.items() if path.name.endswith(ending))
        say(f"{path.name} is {state}. Lesson {lesson} makes it; making it now ...")
    convert(model.checkpoint, model.files.folder.parent)
    if not is_headless():
        say(f"done in {time.perf_counter() - started:.0f} s")
