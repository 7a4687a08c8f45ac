"""A reader's own data: a folder in YOLO, COCO or Pascal VOC form, checked before training.

`open_dataset` finds the form, reads labels and pictures' headers, and reports every flaw with its file and
line. Then stop (`require_clean`) or go on without what is wrong (`fixed`). Nothing is written to the folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers.table import Table
from helpers.training.bccd import bccd_folder, read_voc
from helpers.training.dataset_check import Progress, check
from helpers.training.dataset_entries import is_file
from helpers.training.dataset_form import Form, list_folder
from helpers.training.dataset_split import hold_out
from helpers.training.dataset_write import write_dataset
from helpers.training.flaws import DatasetError, Flaw, count_by_kind, refusal
from helpers.training.samples import CELL_NAMES, Annotation, Sample, Samples
from helpers.wording import Name

__all__ = [
    "CELL_NAMES",
    "Annotation",
    "Dataset",
    "DatasetError",
    "Flaw",
    "Sample",
    "Samples",
    "bccd_folder",
    "flaws_of",
    "open_dataset",
    "read_voc",
    "write_dataset",
]


@dataclass(frozen=True)
class Dataset:
    """A folder of labelled pictures.

    Attributes:
        form: `yolo`, `coco` or `voc`.
        names: class names in the order of the ids.
        splits: `train`, `val` and perhaps `test`: the pictures that can be read, with boxes as written.
        flaws: everything that is wrong, by file and line; empty after `fixed()`.
        notes: what is no flaw but good to know: a split that was made, crowd regions left out.
        folder: where it lies.
        mended: what `fixed()` has fixed.
    """

    form: Form
    names: tuple[str, ...]
    splits: dict[str, tuple[Annotation, ...]]
    flaws: tuple[Flaw, ...]
    notes: tuple[str, ...] = ()
    folder: Path = Path()
    mended: tuple[Flaw, ...] = ()
    _fixed: dict[str, tuple[Annotation, ...]] = field(default_factory=dict, repr=False)

    def require_clean(self) -> Dataset:
        """The data set itself, if nothing is wrong with it.

        Raises:
            DatasetError: something is: how much of each kind, and the first ten flaws with file and line.
        """
        if self.flaws:
            raise refusal(self.folder, self.flaws)
        return self

    def fixed(self) -> Dataset:
        """The data set without what is wrong: each flaw's `fix` is done, and listed in `mended`.

        Raises:
            DatasetError: no picture is left to train on, or none to validate on.
        """
        splits = self._fixed if self.flaws else self.splits
        empty = [split for split in ("train", "val") if split in self.splits and not splits.get(split)]
        if empty:
            raise DatasetError(
                f"data set {self.folder}: expected pictures in train and val, none is left in {empty[0]}; "
                f"mend the files first: {count_by_kind(self.flaws)}"
            )
        return replace(self, splits=splits, flaws=(), mended=self.flaws or self.mended)

    def samples(self, split: str) -> Samples:
        """The samples of a split, each read at the first request.

        Raises:
            DatasetError: there is no such split.
        """
        if split not in self.splits:
            raise DatasetError(f"split: expected one of {', '.join(self.splits)}, got {split!r}")
        return Samples(self.splits[split])

    def counts(self) -> Table:
        """Boxes of each class, and pictures, by split."""
        rows: list[tuple[object, ...]] = []
        per_split = [
            np.bincount(_class_ids(annotations), minlength=len(self.names))
            for annotations in self.splits.values()
        ]
        for class_id, name in enumerate(self.names):
            rows.append((Name(name), *(int(counts[class_id]) for counts in per_split)))
        rows.append(("all boxes", *(int(counts.sum()) for counts in per_split)))
        rows.append(("pictures", *map(len, self.splits.values())))
        bare = (sum(not len(each.class_ids) for each in split) for split in self.splits.values())
        rows.append(("of them without boxes", *bare))
        return Table(("class", *self.splits), tuple(rows))


def _class_ids(annotations: Sequence[Annotation]) -> Any:
    return np.concatenate([np.zeros(0, np.int64), *(each.class_ids for each in annotations)])


def open_dataset(
    folder: Path | str,
    *,
    form: Form | None = None,
    names: Sequence[str] | None = None,
    decode: bool = False,
    progress: Progress = iter,
    held_out: bool = True,
) -> Dataset:
    """Open and check a folder of labelled pictures; nothing is changed in it.

    Args:
        folder: the folder, or the YAML file in it that describes it.
        form: `yolo`, `coco` or `voc`, where the folder has several.
        names: class names in the order of the ids, instead of the folder's own.
        decode: decode every picture to be sure that it is whole; otherwise header and end are looked at.
        progress: wraps the list of pictures; `tqdm` is one.
        held_out: where the folder lacks `train` or `val`, make both: a fifth of the pictures is held out, the
            same ones every time. Otherwise the splits stay as the folder has them, for evaluation.

    Returns:
        The data set.

    Raises:
        DatasetError: the folder has no known form, or a file that describes it cannot be read.

    >>> import tempfile
    >>> from helpers.training.smears import draw_smear
    >>> folder = Path(tempfile.mkdtemp(), "cells")
    >>> samples = {"train": [draw_smear(1, (64, 48), cells=2)], "val": [draw_smear(2, (64, 48), cells=1)]}
    >>> dataset = open_dataset(write_dataset(samples, folder, "coco", names=CELL_NAMES))
    >>> dataset.form, dataset.names, len(dataset.splits["train"]), len(dataset.flaws)
    ('coco', ('RBC', 'WBC', 'Platelets'), 1, 0)
    """
    typed = Path(folder).expanduser()
    whole = Path(os.path.abspath(typed))  # noqa: PTH100 - links stay what they are
    found, listing = list_folder(whole, form, names)
    root, typed = (whole.parent, typed.parent) if is_file(whole) else (whole, typed)
    if not any(listing.splits.values()):
        raise DatasetError(f"{typed}: expected pictures, found none ({found} form); {listing.flaws[:3]}")
    if held_out:
        hold_out(listing)
    written, fixed, flaws = check(listing, decode=decode, progress=progress)
    flaws = tuple(_as_typed(flaw, root, typed) for flaw in flaws)
    return Dataset(found, listing.names, written, flaws, tuple(listing.notes), typed, (), fixed)


def _as_typed(flaw: Flaw, root: Path, typed: Path) -> Flaw:
    """A flaw with its paths below the folder as the caller wrote it."""
    picture = typed / flaw.picture.relative_to(root) if flaw.picture else None
    return replace(flaw, path=typed / flaw.path.relative_to(root), picture=picture)


def flaws_of(annotations: Sequence[Annotation]) -> list[Flaw]:
    """All flaws of a list of annotations, in order."""
    return [flaw for annotation in annotations for flaw in annotation.flaws]
