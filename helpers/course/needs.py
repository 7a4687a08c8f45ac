"""What a lesson needs from earlier ones: found, or made on the spot, and the reader is told which."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from helpers.artifacts import LESSONS, Manifest, describe_onnx
from helpers.convert import Recipe
from helpers.course.place import is_headless, relative, say

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.course.picker import CourseModel

__all__ = ["need", "require"]

# Every kind with the files on the way to it, and what the recipe must ask for besides.
CHAINS = {"raw": ("raw",), "end2end": ("raw", "end2end"), "ultralytics": ("raw", "end2end", "ultralytics")}
CHAINS["fp16"] = (*CHAINS["ultralytics"], "fp16")
CHAINS["int8"] = (*CHAINS["ultralytics"], "int8")
CHAINS["picture"] = (*CHAINS["ultralytics"], "picture")
CHAINS["batched"] = (*CHAINS["end2end"], "batched")
RECIPES = {"fp16": Recipe(half=True), "batched": Recipe(batched=True), "picture": Recipe(picture=True)}
RECIPES["int8"] = Recipe(int8=True)


def need(model: CourseModel, kind: str) -> Path:
    """The path of a pipeline file, current; made here where an earlier lesson has not.

    Args:
        model: The lesson's model.
        kind: `raw`, `end2end`, `ultralytics`, `batched`, `picture`, `fp16` or `int8`.

    Raises:
        ValueError: Another kind.
    """
    path = require(model, kind, tell=not is_headless())
    ports = [p for side in ("inputs", "outputs") for p in describe_onnx(path)[side]]
    shapes = (f"{p['name']} [{', '.join(str(n or '?') for n in p['shape'])}]" for p in ports)
    say(f"{relative(path)}: {' -> '.join(shapes)}")
    return path


def require(model: CourseModel, kind: str, *, tell: bool = False) -> Path:
    """The same without its line of shapes, for exercise checks; `tell` says what is made, and the time.

    Raises:
        ValueError: Another kind.
    """
    if kind not in CHAINS:
        raise ValueError(f"kind: expected {', '.join(CHAINS)}, got {kind!r}. Fix: name one of them")
    path: Path = getattr(model.files, kind)
    state = _state(model, CHAINS[kind])
    if state != "current":
        _make(model, kind, state, tell=tell)
    return path


def _state(model: CourseModel, kinds: tuple[str, ...]) -> str:
    """The last file's state; one that is current itself is stale where a file before it is not current."""
    manifest = Manifest(model.files.folder)
    paths: list[Path] = [getattr(model.files, kind) for kind in kinds]
    states = [manifest.state(path) for path in paths]
    broken = next((path.name for path, state in zip(paths, states, strict=True) if state != "current"), "")
    return f"stale: {broken} is not current" if broken and states[-1] == "current" else states[-1]


def _make(model: CourseModel, kind: str, state: str, *, tell: bool) -> None:
    from helpers.convert import convert

    started, path = time.perf_counter(), getattr(model.files, kind)
    if tell:
        lesson = next(lesson for ending, lesson in LESSONS.items() if path.name.endswith(ending))
        say(f"{path.name} is {state}. Lesson {lesson} makes it; making it now ...")
    convert(model.checkpoint, model.files.folder.parent, recipe=RECIPES.get(kind, Recipe()))
    if tell:
        say(f"done in {time.perf_counter() - started:.0f} s")
