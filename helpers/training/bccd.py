"""The blood-cell photographs (BCCD): a Pascal VOC folder read by one of its lists, in a fixed class order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers.training.dataset_boxes import judge
from helpers.training.dataset_entries import Entry, Row
from helpers.training.dataset_xml import VocFile, read_xml
from helpers.training.flaws import DatasetError
from helpers.training.samples import CELL_NAMES, Annotation

__all__ = ["bccd_folder", "read_voc"]


def bccd_folder() -> Path | None:
    """Folder of the BCCD photographs: what the environment variable `YOLOV7_BCCD` names, or None.

    Raises:
        DatasetError: the variable names something that is not a BCCD folder.
    """
    named = os.environ.get("YOLOV7_BCCD", "").strip()
    if not named:
        return None
    folder = Path(named).expanduser()
    if not (folder / "Annotations").is_dir():
        raise DatasetError(f"YOLOV7_BCCD: expected a folder with Annotations/ and JPEGImages/, got {folder}")
    return folder


def read_voc(
    folder: Path | str, list_file: Path | str, class_names: Sequence[str] = CELL_NAMES
) -> list[Annotation]:
    """Read the Pascal VOC labels of the pictures that a list names.

    Boxes are clipped to the picture. A box without area is dropped and reported in `Annotation.flaws`.

    Args:
        folder: data set with `Annotations/*.xml` and `JPEGImages/*`.
        list_file: text file with one picture name per line, relative to `folder` or absolute: `train.txt`.
        class_names: names in the order of the class ids.

    Returns:
        One annotation per line of the list, in its order.

    Raises:
        DatasetError: a file is missing or broken, or names an unknown class.

    Source: the Pascal VOC development kit's annotation format.
    """
    root = Path(folder)
    listed = root / list_file
    if not listed.is_file():
        raise DatasetError(f"list_file: expected a text file of picture names, found none at {listed}")
    names = [line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [_read_annotation(root, name, class_names) for name in names]


def _read_annotation(root: Path, name: str, class_names: Sequence[str]) -> Annotation:
    """Labels of one picture of a VOC folder."""
    path = root / "Annotations" / f"{name}.xml"
    try:
        file = read_xml(path)
        size_wh = _stated(file)
        rows = [(item, item.corners()) for item in file.objects]
    except (OSError, ValueError) as error:
        raise DatasetError(f"annotation {path}: expected Pascal VOC XML, got: {error}") from error
    entry = Entry(_picture(root, name, file), path)
    for item, corners in rows:
        if item.name not in class_names:
            known = ", ".join(class_names[:5]) + (", ..." if len(class_names) > 5 else "")
            message = f"class {item.name!r} is none of {known}; use another model"
            raise DatasetError(f"annotation {path}: {message}")
        line = item.lines.get("bndbox", item.lines[""])
        entry.rows.append(Row(line, list(class_names).index(item.name), corners))
    judged = judge(entry, size_wh, tuple(class_names))
    boxes = np.asarray([box for _, box in judged.kept], np.float32).reshape(-1, 4)
    class_ids = np.asarray([class_id for class_id, _ in judged.kept], np.int64)
    return Annotation(entry.picture, boxes, class_ids, tuple(judged.flaws))


def _stated(file: VocFile) -> tuple[int, int]:
    if file.size_wh is None:
        raise ValueError("<annotation> lacks <size/width> or <size/height>")
    return int(file.size_wh[0]), int(file.size_wh[1])


def _picture(root: Path, name: str, file: VocFile) -> Path:
    """Path of the picture: by the list's name, else by the file name inside the annotation."""
    by_list, named = root / "JPEGImages" / f"{name}.jpg", file.texts.get("filename", "").strip()
    return by_list if by_list.is_file() or not named else root / "JPEGImages" / Path(named).name
