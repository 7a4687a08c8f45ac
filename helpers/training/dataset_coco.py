"""COCO form: one JSON file a split, with pictures, boxes `[x, y, w, h]` in pixels, and categories.

Category ids may have gaps; class ids count from zero in their order. Crowd regions are no single object and
are left out, as every converter to YOLO's form does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers.training.dataset_entries import (
    Entry,
    Listing,
    Row,
    is_file,
    locate,
    outside_flaw,
    shown,
    split_of,
    unique_names,
)
from helpers.training.dataset_json import Document, read_document
from helpers.training.flaws import DatasetError, Flaw

__all__ = ["coco_files", "list_coco"]

_ROBOFLOW = "_annotations.coco.json"


def coco_files(root: Path) -> dict[str, list[Path]]:
    """The annotation file(s) of each split of a folder in COCO form; empty where there are none.

    Looks for `annotations/instances_*.json` (else any JSON there), `<split>/_annotations.coco.json`, and both
    kinds in the folder itself.
    """
    patterns = (
        ("annotations/instances_*.json",), (f"*/{_ROBOFLOW}", _ROBOFLOW),
        ("instances_*.json",), ("annotations/*.json",),
    )  # fmt: skip
    for alternatives in patterns:
        found: dict[str, list[Path]] = {}
        for path in sorted(path for pattern in alternatives for path in root.glob(pattern)):
            name = path.stem if path.name != _ROBOFLOW else "" if path.parent == root else path.parent.name
            found.setdefault(split_of(name) or "train", []).append(path)
        if found:
            return found
    return {}


def list_coco(root: Path, names: Sequence[str] | None = None) -> Listing:
    """List the pictures and boxes of a folder in COCO form.

    Args:
        root: the folder; nothing outside is read.
        names: class names in the order of the ids; otherwise the categories in the order of theirs.

    Raises:
        DatasetError: a file is no COCO annotation file, or has no categories.
    """
    documents = {split: [read_document(path) for path in files] for split, files in coco_files(root).items()}
    everything = [document for group in documents.values() for document in group]
    if not everything:
        raise DatasetError(f"{root}: expected annotations/instances_*.json or */_annotations.coco.json")
    listing = Listing(unique_names(names, "names") if names is not None else _names(everything))
    crowds = 0
    for split, group in documents.items():
        entries = listing.splits.setdefault(split, [])
        for document in group:
            reader = _Reader(root, document, listing)
            entries += reader.read()
            crowds += reader.crowds
    listing.note(crowds, "crowd region is left out", "crowd regions are left out")
    return listing


def _names(documents: Sequence[Document]) -> tuple[str, ...]:
    """Category names by id, without an umbrella (`cells` above `RBC`, `WBC`) that no box has."""
    by_name: dict[str, Any] = {}
    used: set[str | None] = set()
    parents: set[str] = set()
    for document in documents:
        ids: dict[Any, str] = {}
        for _, each in document.lists["categories"]:
            if isinstance(each, dict) and isinstance(each.get("name"), str) and _is_id(each.get("id")):
                ids[each["id"]] = each["name"].strip()
                by_name.setdefault(each["name"].strip(), each["id"])
                if each.get("supercategory") != each["name"]:
                    parents.add(str(each.get("supercategory")))
        boxes = document.lists.get("annotations", [])
        labels = (each.get("category_id") for _, each in boxes if isinstance(each, dict))
        used |= {ids.get(label) for label in labels if _is_id(label)}
    kept = [name for name in by_name if name in used or name not in parents]
    kept.sort(key=lambda name: (isinstance(by_name[name], str), by_name[name]))
    return unique_names(kept, f"{documents[0].path}: categories")


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    """Whether a JSON value is a number that a float can hold."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


class _Reader:
    """Turns one annotation file into entries."""

    def __init__(self, root: Path, document: Document, listing: Listing) -> None:
        self.root, self.document, self.flaws = root, document, listing.flaws
        self.names, self.crowds = listing.names, 0
        self.classes = {
            each["id"]: str(each.get("name", "")).strip()
            for _, each in document.lists["categories"]
            if isinstance(each, dict) and _is_id(each.get("id"))
        }

    def read(self) -> list[Entry]:
        """The pictures of the file, each with its boxes."""
        self._repeated_categories()
        entries = dict(self._pictures())
        seen: set[Any] = set()
        for at, each in self.document.lists.get("annotations", []):
            self._box(entries, seen, at, each)
        return [entry for entry in entries.values() if entry is not None]

    def _flaw(self, kind: str, at: int, message: str, picture: Path | None = None) -> None:
        self.flaws.append(Flaw(kind, self.document.path, message, self.document.line(at), picture))

    def _repeated_categories(self) -> None:
        seen: set[Any] = set()
        for at, each in self.document.lists["categories"]:
            key = each.get("id") if isinstance(each, dict) else None
            if not _is_id(key):
                self._flaw("columns", at, "a category has no id")
            elif key in seen:
                self._flaw("duplicate-id", at, f"category id {key} stands twice")
            seen.add(key if _is_id(key) else None)

    def _pictures(self) -> Iterator[tuple[Any, Entry | None]]:
        """Id and entry of each picture; None for one whose path leaves the data set."""
        seen: set[Any] = set()
        folder: Path | None = None
        for at, each in self.document.lists["images"]:
            key = each.get("id") if isinstance(each, dict) else None
            name = each.get("file_name") if isinstance(each, dict) else None
            if not _is_id(key) or not isinstance(name, str):
                self._flaw("columns", at, "a picture has no id or no file_name", None)
                continue
            if key in seen:
                self._flaw("duplicate-id", at, f"picture id {key} stands twice ({name[:100]})")
                continue
            seen.add(key)
            folder = folder or self._folder(name)
            picture = locate(self.root, name, folder)
            if picture is None:
                self.flaws.append(outside_flaw(self.document.path, self.document.line(at), name))
                yield key, None
                continue
            size = (each.get("width"), each.get("height"))
            entry = Entry(picture, self.document.path, source=self.document.path, line=self.document.line(at))
            if all(map(_is_finite, size)):
                entry.size_wh, entry.line_of_size = (float(size[0]), float(size[1])), entry.line
            yield key, entry

    def _folder(self, name: str) -> Path | None:
        """The folder that has the pictures of this file, by its first picture."""
        split = self.document.path.stem.removeprefix("instances_")
        places = (self.document.path.parent, self.root / split, self.root / "images" / split,
                  self.root / str(split_of(split)), self.root / "images", self.root)  # fmt: skip
        return next((place for place in places if (found := locate(self.root, name, place))
                     and found.is_relative_to(place) and is_file(found)), None)  # fmt: skip

    def _box(self, entries: dict[Any, Entry | None], seen: set[Any], at: int, each: Any) -> None:
        """Enter one annotation, or say what is wrong with it."""
        if not isinstance(each, dict):
            return self._flaw("columns", at, "an annotation is no object")
        key, image, category = each.get("id"), each.get("image_id"), each.get("category_id")
        name = f"annotation {shown(key)}"
        if _is_id(key) and key in seen:
            return self._flaw("duplicate-id", at, f"{name} stands twice")
        if _is_id(key):
            seen.add(key)
        if not _is_id(image) or image not in entries:
            return self._flaw("missing-picture", at, f"{name}: no picture has the id {shown(image)}")
        entry = entries[image]
        if entry is None:
            return None
        if each.get("iscrowd") in (1, True):
            self.crowds += 1
            return None
        label = self.classes.get(category) if _is_id(category) else None
        if label is None or label not in self.names:
            what = f"category id {shown(category)}" if label is None else f"class {label[:60]!r}"
            return self._flaw("unknown-class", at, f"{name}: {what} is none of the classes", entry.picture)
        box = each.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            return self._flaw("columns", at, f"{name}: expected bbox [x, y, w, h]", entry.picture)
        if not all(map(_is_finite, box)):
            return self._flaw("not-a-number", at, f"{name}: bbox {', '.join(map(shown, box))}", entry.picture)
        x, y, w, h = map(float, box)
        entry.rows.append(Row(self.document.line(at), self.names.index(label), (x, y, x + w, y + h)))
        return None
