"""Which form a folder of labelled pictures has: by what is in it, never by guessing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from helpers.training.dataset_coco import coco_files, list_coco
from helpers.training.dataset_voc import list_voc, voc_folders
from helpers.training.dataset_yaml import find_yaml
from helpers.training.dataset_yolo import list_yolo
from helpers.training.flaws import DatasetError

if TYPE_CHECKING:
    from helpers.training.dataset_entries import Listing

__all__ = ["FORMS", "Form", "list_folder"]

Form = Literal["yolo", "coco", "voc"]
FORMS: dict[Form, str] = {
    "yolo": "data.yaml, or images/ and labels/*.txt",
    "coco": "annotations/instances_*.json, or <split>/_annotations.coco.json",
    "voc": "Annotations/*.xml",
}
"""What is looked for in a folder of each form."""


def list_folder(folder: Path, form: Form | None, names: Sequence[str] | None) -> tuple[Form, Listing]:
    """The form of a folder, or of a YAML file in it, and what it lists.

    Raises:
        DatasetError: the form is none of `FORMS`, or the folder has none of them, or several.
    """
    file = folder if folder.is_file() and folder.suffix in (".yaml", ".yml") else None
    root = folder.parent if file else folder
    if not root.is_dir():
        raise DatasetError(f"folder: expected a folder of labelled pictures, found none at {folder}")
    if form is not None and form not in FORMS:
        raise DatasetError(f"form: expected yolo, coco or voc, got {form!r}")
    form = form or ("yolo" if file else _form_of(root))
    if form == "yolo":
        listing = list_yolo(root, file or find_yaml(root), names)
    else:
        listing = (list_coco if form == "coco" else list_voc)(root, names)
    _note_alike(listing)
    return form, listing


def _note_alike(listing: Listing) -> None:
    """Note class names that only their case tells apart: most likely one class, spelt in two ways."""
    by_sound: dict[str, list[str]] = {}
    for name in listing.names:
        by_sound.setdefault(name.casefold(), []).append(name)
    for alike in by_sound.values():
        if len(alike) > 1:
            listing.notes.append(f"one class or several? {', '.join(alike)}")


def _form_of(root: Path) -> Form:
    """The one form that a folder has."""
    texts = next((path for path in (root / "labels").rglob("*.txt")), None)
    texts = texts or next((path for path in root.glob("*/labels/*.txt")), None)
    found: list[Form] = []
    if texts or find_yaml(root):
        found.append("yolo")
    if coco_files(root):
        found.append("coco")
    if voc_folders(root):
        found.append("voc")
    if len(found) == 1:
        return found[0]
    looked = "; ".join(f"{form}: {what}" for form, what in FORMS.items())
    if not found:
        raise DatasetError(f"{root}: expected a data set ({looked}), found none of these")
    several = " and ".join(found)
    raise DatasetError(f"{root}: expected one form, found {several}; say form={found[0]!r} ({looked})")
