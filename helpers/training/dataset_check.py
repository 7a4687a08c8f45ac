"""The check before training: every picture and box of a listing is looked at, every flaw is reported.

Sizes come from the pictures' headers; a picture is decoded where its end is missing, where the camera turned
it, or where the caller asks for it.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from helpers.images import ImageError, load_image
from helpers.training.dataset_boxes import judge
from helpers.training.dataset_entries import is_file
from helpers.training.flaws import Flaw
from helpers.training.samples import Annotation

if TYPE_CHECKING:
    from helpers.training.dataset_entries import Entry, Listing

__all__ = ["Checked", "check", "picture_size"]

Splits = dict[str, tuple[Annotation, ...]]
Checked = tuple[Splits, Splits, tuple[Flaw, ...]]
Progress = Callable[[list[Any]], Iterable[Any]]

_KEEP_FIRST = ("test", "val", "train")
_TURNED = range(5, 9)  # EXIF orientations that swap width and height
_END = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, EOFError, struct.error,
    Image.DecompressionBombError, ImportError,  # ultralytics replaces Image.open: it wants a package for HEIF
)  # fmt: skip


def check(listing: Listing, *, decode: bool = False, progress: Progress = iter) -> Checked:
    """Look at every picture and box.

    Args:
        listing: the data set as it is written.
        decode: decode every picture, and not only its header.
        progress: wraps the list of pictures; `tqdm` is one.

    Returns:
        The splits as written (without pictures that cannot be read), the splits with every flaw fixed, and
        the flaws, those of the listing included, by file and line.
    """
    written: dict[str, list[Annotation]] = {split: [] for split in listing.splits}
    fixed: dict[str, list[Annotation]] = {split: [] for split in listing.splits}
    flaws = list(listing.flaws)
    spare = _copies(listing, flaws)
    everything = [(split, entry) for split, entries in listing.splits.items() for entry in entries]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and of very large pictures
        for split, entry in progress(everything):
            try:
                size_wh = picture_size(entry.picture, decode=decode)
            except ImageError as error:
                flaws.append(_unreadable(entry, error))
                continue
            judged = judge(entry, size_wh, listing.names)
            flaws += judged.flaws
            if not entry.unusable:
                written[split].append(_annotation(entry, judged.written))
            if not entry.unusable and judged.usable and id(entry) not in spare:
                fixed[split].append(_annotation(entry, judged.kept))
    flaws.sort(key=lambda flaw: (str(flaw.path), flaw.line or 0))
    return _frozen(written), _frozen(fixed), tuple(flaws)


def _frozen(splits: dict[str, list[Annotation]]) -> Splits:
    return {split: tuple(annotations) for split, annotations in splits.items()}


def _annotation(entry: Entry, rows: list[tuple[int, tuple[float, float, float, float]]]) -> Annotation:
    boxes = np.asarray([box for _, box in rows], np.float32).reshape(-1, 4)
    return Annotation(entry.picture, boxes, np.asarray([each for each, _ in rows], np.int64))


def _unreadable(entry: Entry, error: ImageError) -> Flaw:
    """The flaw of a picture that is missing or broken."""
    if is_file(entry.picture):
        message = str(error).removeprefix(f"{entry.picture}: ")
        return Flaw("unreadable-picture", entry.picture, message, None, entry.picture)
    message = f"{entry.picture.name} is missing"
    return Flaw("missing-picture", entry.source, message, entry.line, entry.picture)


def picture_size(path: Path, *, decode: bool = False) -> tuple[int, int]:
    """Width and height of a picture as `load_image` gives it, pixels; from its header where that is enough.

    Raises:
        ImageError: it is missing, cut short, or no picture.
    """
    if not is_file(path):
        raise ImageError(f"{path}: expected a picture, found none")
    try:
        with Image.open(path) as image:
            kind, size_wh = image.format or "", image.size
            turned = bool(image.info.get("exif") or kind == "TIFF") and _is_turned(image)
        if not decode and not turned and _is_whole(path, kind):
            return size_wh
    except _BROKEN:
        pass  # OpenCV has the last word
    image_bgr = load_image(path)
    return int(image_bgr.shape[1]), int(image_bgr.shape[0])


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(0x0112) in _TURNED


def _is_whole(path: Path, kind: str) -> bool:
    """Whether a picture's end is where it should be; True for formats that have no mark there."""
    if kind not in _END:
        return True
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - (1 << 16), 0))
        return _END[kind] in file.read()


def _copies(listing: Listing, flaws: list[Flaw]) -> set[int]:
    """Report pictures that are there twice; returns the `id()` of the entries that fixing leaves out.

    Of a picture in several splits the copy in test stays, else the one in val: there it must be unseen.
    """
    order = sorted(listing.splits, key=lambda split: _KEEP_FIRST.index(split) if split in _KEEP_FIRST else 9)
    entries = [(split, entry) for split in order for entry in listing.splits[split]]
    first: dict[Any, tuple[str, Entry]] = {}
    spare: set[int] = set()
    sizes: dict[int, list[tuple[str, Entry]]] = defaultdict(list)
    for split, entry in entries:
        if entry.picture in first:
            flaws.append(_copy(first[entry.picture], split, entry))
            spare.add(id(entry))
            continue
        first[entry.picture] = (split, entry)
        if is_file(entry.picture):
            sizes[entry.picture.stat().st_size].append((split, entry))
    for group in sizes.values():
        by_content: dict[bytes, tuple[str, Entry]] = {}
        for split, entry in group if len(group) > 1 else ():
            kept = by_content.setdefault(_digest(entry.picture), (split, entry))
            if kept[1] is not entry:
                flaws.append(_copy(kept, split, entry))
                spare.add(id(entry))
    return spare


def _copy(kept: tuple[str, Entry], split: str, entry: Entry) -> Flaw:
    """The flaw of a picture that is there a second time."""
    kind = "duplicate-picture" if kept[0] == split else "leak"
    other = kept[1].picture
    same = "is listed twice" if other == entry.picture else f"is the same picture as {other.name}"
    message = f"{entry.picture.name} {same}" + (f", in {split} and in {kept[0]}" if kind == "leak" else "")
    fix = f"the picture is left out of {split}" if kind == "leak" else ""
    return Flaw(kind, entry.source, message, entry.line, entry.picture, fix)


def _digest(path: Path) -> bytes:
    """Hash of a file's content; a file that cannot be read is like no other."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return str(path).encode()
