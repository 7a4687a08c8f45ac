"""Pick the model that a lesson works on: a dropdown in JupyterLab, one setting everywhere else."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.convert import Files
from helpers.course.place import is_checked, is_headless, relative, repository, say, settle
from helpers.download import BUNDLED, OFFICIAL, find_checkpoint
from helpers.wording import wording

if TYPE_CHECKING:
    from helpers.checkpoint import Checkpoint
    from helpers.course.pictures import NamedPicture

__all__ = ["CourseModel", "current_model", "pick_model"]


class CourseModel:
    """The model of this lesson. Its dropdown changes it in place: run the cells below again after a change.

    >>> model = CourseModel("blood-cells")
    >>> model.name, relative(model.files.raw)
    ('blood-cells', 'build/blood-cells/blood-cells.onnx')
    """

    def __init__(self, source: str) -> None:
        self.source = source

    @property
    def name(self) -> str:
        """Short name: `blood-cells`, `yolov7-tiny`, or the stem of your own file."""
        return self.source if self.source in (BUNDLED, *OFFICIAL) else Path(self.source).stem

    @property
    def files(self) -> Files:
        """Where its ONNX files lie or will lie: `.raw`, `.end2end`, `.ultralytics`, `.folder`."""
        folder = os.environ.get("YOLOV7_BUILD")
        return Files(Path(folder or repository() / "build") / self.name, self.name)

    @property
    def folder(self) -> Path:
        """`build/<model>`, made where it is missing."""
        self.files.folder.mkdir(parents=True, exist_ok=True)
        return self.files.folder

    @property
    def pictures_folder(self) -> Path:
        """`build/<model>/pictures`: what the lessons save for you to look at."""
        folder = self.folder / "pictures"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def checkpoint(self) -> Path:
        """Its weights; an official checkpoint is downloaded at the first use."""
        return find_checkpoint(self.source)

    def load(self) -> Checkpoint:
        """The checkpoint itself, read once per file."""
        path = self.checkpoint
        return _read(path, path.stat().st_mtime_ns)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, by class id."""
        return self.load().names

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the network's input in pixels."""
        return (640, 640)

    def pictures(self, count: int = 4) -> list[NamedPicture]:
        """Pictures that suit the model: drawn smears, or Ultralytics' own bus for the official ones."""
        from helpers.course.pictures import pictures_for

        return pictures_for(self.name, count)

    def __repr__(self) -> str:
        """How the model shows itself at the end of a cell."""
        return f"CourseModel({self.name!r})"


@lru_cache(maxsize=2)
def _read(path: Path, _changed_ns: int) -> Checkpoint:
    from helpers.checkpoint import load_checkpoint

    return load_checkpoint(path)


def _wanted() -> str:
    if is_checked():
        return BUNDLED
    remembered = repository() / "build" / "picked-model.txt"
    text = os.environ.get("YOLOV7_MODEL") or (
        remembered.read_text("utf-8").strip() if remembered.is_file() else ""
    )
    return text or BUNDLED


def current_model() -> CourseModel:
    """The model that `pick_model` would give, without a dropdown or a line: exercise checks work on it.

    >>> type(current_model()).__name__
    'CourseModel'
    """
    return CourseModel(_wanted())


def pick_model() -> CourseModel:
    """The model to work on; in JupyterLab a dropdown stands under the cell, too.

    `YOLOV7_MODEL` names another one: an official name, or the path of a `.pt` or `.safetensors`. While
    outputs are checked or committed it is always the bundled model.
    """
    settle()
    model = current_model()
    if is_headless():
        say(f"model: {model.name}, files in {relative(model.files.folder)}/")
    else:
        _show_dropdown(model)
    return model


def _show_dropdown(model: CourseModel) -> None:
    import ipywidgets
    from IPython.display import display

    names = [BUNDLED, *OFFICIAL]
    box = ipywidgets.Dropdown(
        options=names if model.source in names else [*names, model.source],
        value=model.source,
        description=wording("Model"),
        style={"description_width": "initial"},
    )
    note = ipywidgets.HTML()

    def change(_: object = None) -> None:
        model.source = str(box.value)
        remembered = repository() / "build" / "picked-model.txt"
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(model.source + "\n", "utf-8")
        said = wording(
            f"files in <code>{relative(model.files.folder)}/</code>; "
            "run the cells below again after a change<br>"
            f"{BUNDLED} comes with the course, so it always works; yolov7-tiny (COCO, the bus) is one click "
            "away: it is downloaded at its first use."
        )
        note.value = f'<div style="line-height: 1.5">{said}</div>'

    box.observe(change, names="value")
    change()
    display(ipywidgets.HBox([box, note]))  # type: ignore[no-untyped-call]
