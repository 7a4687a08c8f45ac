"""What the readers of the three forms have in common: entries and rows, safe paths, splits by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from helpers.images import IMAGE_SUFFIXES
from helpers.training.flaws import DatasetError, Flaw

__all__ = [
    "Entry",
    "Listing",
    "Row",
    "is_file",
    "locate",
    "outside_flaw",
    "pictures_under",
    "read_list",
    "read_text",
    "shown",
    "split_of",
    "unique_names",
]

TEXT_LIMIT = 32 << 20
"""Bytes of one label file or list; more is no label file."""


_LONGEST = 4096  # characters of a path
_TAIL = 8  # parts of a path of another machine that are looked for
_SPLIT = re.compile(r"(train|training|trainval|val|valid|validation|dev|test|testing)\d*")


class Row(NamedTuple):
    """One box as a label file has it: line, class, left, top, right, bottom."""

    line: int | None
    class_id: int
    box_xyxy: tuple[float, float, float, float]


@dataclass
class Entry:
    """One picture as a data set lists it.

    Attributes:
        picture: where it should be.
        label: the file that has its boxes.
        rows: its boxes.
        source: the file that names the picture; the picture itself where a folder is listed.
        line: where in `source`.
        size_wh: the size that the label states, pixels.
        line_of_size: where in `label`.
        relative: boxes are shares of the picture, not pixels.
        unusable: the label cannot be read, so the picture is left out.
    """

    picture: Path
    label: Path
    rows: list[Row] = field(default_factory=list)
    source: Path = Path()
    line: int | None = None
    size_wh: tuple[float, float] | None = None
    line_of_size: int | None = None
    relative: bool = False
    unusable: bool = False


@dataclass
class Listing:
    """A data set as it is written, before its pictures and boxes are checked."""

    names: tuple[str, ...]
    splits: dict[str, list[Entry]] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, count: int, one: str, many: str) -> None:
        """Remember something that is no flaw, where there is any of it."""
        if count:
            self.notes.append(f"{count} {one if count == 1 else many}")


def split_of(name: str) -> str | None:
    """`train`, `val` or `test`, from the name of a folder or file; None where it says nothing.

    >>> [split_of(name) for name in ("train2017", "instances_val2017", "valid", "test", "trainval", "images")]
    ['train', 'val', 'val', 'test', 'train', None]
    """
    for word in re.split(r"[-_. ]", name.lower()):
        if found := _SPLIT.fullmatch(word):
            return {"tr": "train", "te": "test"}.get(found[1][:2], "val")
    return None


def read_text(path: Path) -> str:
    """Text of a label file or list, without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or far too long.
    """
    with path.open("rb") as file:
        raw = file.read(TEXT_LIMIT + 1)
    if len(raw) > TEXT_LIMIT:
        raise ValueError(f"more than {TEXT_LIMIT >> 20} MB")
    return raw.decode("utf-8-sig")


def read_list(path: Path) -> list[tuple[int, str]]:
    """Line numbers and words of a list of pictures, without empty lines.

    Raises:
        DatasetError: there is no such text file.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: expected a list of pictures, one a line, got: {error}") from error
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def locate(root: Path, written: str, base: Path | None = None) -> Path | None:
    """Where inside `root` a path of a list, a YAML or a JSON file points; None where it leaves `root`.

    Paths of another machine (`/content/data/images/a.jpg`, `../train/images`) are found by their last parts.

    >>> locate(Path("/data"), "images/../a.jpg").as_posix(), locate(Path("/data"), "../../etc/passwd")
    ('/data/a.jpg', None)
    """
    text = written.strip().replace("\\", "/")
    if "\0" in text or not 0 < len(text) <= _LONGEST:
        return None
    inside = [
        path
        for parent in dict.fromkeys((base or root, root))
        if (path := Path(os.path.normpath(parent / text))).is_relative_to(root)
    ]
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    tails = (root.joinpath(*parts[start:]) for start in range(max(len(parts) - _TAIL, 0), len(parts)))
    found = next((path for path in (*inside, *tails) if os.path.exists(path)), None)  # noqa: PTH110
    return found or (inside[0] if inside else None)


def is_file(path: Path) -> bool:
    """Whether a regular file is there; `Path.is_file` raises where a name is longer than a name may be."""
    return os.path.isfile(path)  # noqa: PTH113


def outside_flaw(path: Path, line: int | None, written: str) -> Flaw:
    """The flaw of a path that leaves the data set."""
    return Flaw("path", path, f"{written[:200]!r} lies outside the data set, or is no path", line)


def pictures_under(folder: Path) -> Iterator[Path]:
    """Picture files of a folder and the folders in it, in order; links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith("."):  # noqa: PTH122
                yield Path(parent, name)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def shown(value: object) -> str:
    """A value of a file for a message: text or a number, else its type alone (nested aliases can be endless).

    >>> shown("cell"), shown(3), shown([["cell"]]), shown(None)
    ("'cell'", '3', 'list', 'None')
    """
    plain = value is None or isinstance(value, str | int | float)
    return repr(value)[:60] if plain else type(value).__name__


def unique_names(names: Sequence[object], where: str) -> tuple[str, ...]:
    """Class names as a tuple.

    Raises:
        DatasetError: there is none, one stands twice, or one is no text.
    """
    texts = tuple(str(name).strip() for name in names if _is_plain(name))
    if not texts or len(texts) != len(names) or len(set(texts)) != len(texts) or not all(texts):
        some = ", ".join(map(shown, names[:5]))
        raise DatasetError(f"{where}: expected class names, each once, got {len(names)}: {some}")
    return texts
