"""YOLO form: `data.yaml`, pictures, and one text file of boxes a picture.

A row is `class cx cy w h`, in shares of the picture; a longer one is a polygon, whose box is taken. A picture
without a label file is background.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from helpers.training.dataset_entries import (
    Entry,
    Listing,
    Row,
    locate,
    outside_flaw,
    pictures_under,
    read_list,
    read_text,
)  # fmt: skip
from helpers.training.dataset_yaml import class_names, line_of, picture_places, read_yaml
from helpers.training.flaws import DatasetError, Flaw

__all__ = ["list_yolo", "parse_row"]


def list_yolo(root: Path, file: Path | None = None, names: Sequence[str] | None = None) -> Listing:
    """List the pictures and boxes of a folder in YOLO form.

    Args:
        root: the folder; nothing outside is read.
        file: its YAML file, if it has one.
        names: class names in the order of the ids, instead of the folder's own.

    Raises:
        DatasetError: there are no class names or no pictures, or a file that names them cannot be read.
    """
    content = read_yaml(file) if file else {}
    listing = Listing(())
    listing.names = class_names(root, file, content, names, listing.flaws)
    base = locate(root, content["path"]) if isinstance(content.get("path"), str) else None
    written_places = picture_places(root, content)
    if file and written_places.get("val") == written_places.get("train"):
        message, fix = "train and val are the same pictures", "a share of them is held out for val"
        listing.flaws.append(Flaw("leak", file, message, line_of(file, "val"), fix=fix))
        del written_places["val"]
    for split, written in written_places.items():
        places = [locate(root, text, base) for text in written]
        pairs = zip(written, places, strict=True)
        missing = [text for text, place in pairs if not (place and place.exists())]
        if missing and split == "test":
            listing.notes.append("test is named, but is not in the folder")
        elif missing:
            raise DatasetError(
                f"{file or root}: expected pictures at {missing[0][:200]!r}, inside {root}, found none; "
                "correct the path, or move (or link) the pictures into the folder"
            )
        else:
            found = (entry for place in places if place for entry in _entries(root, place, listing.flaws))
            listing.splits[split] = list(found)
    reader = _Rows(listing)
    for entries in listing.splits.values():
        for entry in entries:
            reader.read(entry)
    listing.flaws += _orphans(listing)
    listing.note(reader.polygons, "polygon: its box is taken", "polygons: their boxes are taken")
    listing.note(
        reader.bare,
        "picture without a label file is background",
        "pictures without a label file are background",
    )
    return listing


def parse_row(line: str) -> tuple[int, tuple[float, float, float, float], str]:
    """Class id, corners in shares of the picture, and what kind of row it is.

    Returns:
        The third is `box`, `confidence` (a sixth column) or `polygon`.

    Raises:
        ValueError: the row has another number of columns (`columns: ...`), or one is no finite number.

    >>> parse_row("2 0.5 0.5 0.25 0.5")
    (2, (0.375, 0.25, 0.625, 0.75), 'box')
    >>> parse_row("0 0.1 0.2 0.6 0.3 0.4 0.8")
    (0, (0.1, 0.2, 0.6, 0.8), 'polygon')
    """
    words = line.split()
    count = len(words)
    if count not in (5, 6) and not (count >= 7 and count % 2):
        raise ValueError(f"columns: expected class cx cy w h, got {count} columns")
    values = [float(word) for word in words]
    if not all(map(math.isfinite, values)):
        raise ValueError("not finite")
    if values[0] != int(values[0]):
        raise ValueError(f"class {words[0]} is no whole number")
    if count >= 7:
        x, y = values[1::2], values[2::2]
        return int(values[0]), (min(x), min(y), max(x), max(y)), "polygon"
    cx, cy, w, h = values[1:5]
    kind = "box" if count == 5 else "confidence"
    return int(values[0]), (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), kind


class _Rows:
    """Reads label files into entries, and counts what is no flaw."""

    def __init__(self, listing: Listing) -> None:
        self.flaws, self.classes = listing.flaws, len(listing.names)
        self.polygons = self.bare = 0

    def read(self, entry: Entry) -> None:
        """Fill an entry with the rows of its label file."""
        try:
            lines = read_text(entry.label).splitlines()
        except FileNotFoundError:
            self.bare += 1
            return
        except (OSError, ValueError) as error:
            self.flaws.append(Flaw("broken-label", entry.label, f"is no text: {error}", 1, entry.picture))
            entry.unusable = True
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._row(entry, number, line)

    def _row(self, entry: Entry, number: int, line: str) -> None:
        try:
            class_id, box, kind = parse_row(line)
        except ValueError as error:
            wrong = "columns" if str(error).startswith("columns") else "not-a-number"
            message = str(error).removeprefix("columns: ")
            self.flaws.append(Flaw(wrong, entry.label, message, number, entry.picture))
            return
        if not 0 <= class_id < self.classes:
            message = f"class {class_id:.6g} is outside 0 to {self.classes - 1}"
            self.flaws.append(Flaw("unknown-class", entry.label, message, number, entry.picture))
            return
        if kind == "confidence":
            message = "a sixth column: rows of detections, not of labels?"
            self.flaws.append(Flaw("confidence", entry.label, message, number, entry.picture))
        self.polygons += kind == "polygon"
        entry.rows.append(Row(number, class_id, box))


def _entries(root: Path, place: Path, flaws: list[Flaw]) -> Iterator[Entry]:
    """The pictures of a folder or of a list."""
    if place.is_dir():
        for path in pictures_under(place):
            yield Entry(path, _label_of(root, path), source=path, relative=True)
        return
    for number, name in read_list(place):
        picture = locate(root, name, place.parent)
        if picture is None:
            flaws.append(outside_flaw(place, number, name))
        else:
            yield Entry(picture, _label_of(root, picture), source=place, line=number, relative=True)


def _label_of(root: Path, picture: Path) -> Path:
    """The label file of a picture: `labels/` for the last `images/` of its path, else beside it."""
    parts = list(picture.relative_to(root).parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return root.joinpath(*parts).with_suffix(".txt")


def _orphans(listing: Listing) -> list[Flaw]:
    """Label files in the folders of the labels that belong to no picture."""
    known = {entry.label for entries in listing.splits.values() for entry in entries}
    folders = sorted({label.parent for label in known if "labels" in label.parts})
    files = (path for folder in folders for path in sorted(folder.glob("*.txt")) if path not in known)
    return [
        Flaw("missing-picture", path, "has no picture", fix="the file is not read")
        for path in files
        if path.name != "classes.txt"
    ]
