"""Pascal VOC form: one XML file a picture, and lists of picture names.

Corners are taken as they are written, in pixels. Objects marked `difficult` are left out: VOC's own rules do
not count them. Source: the Pascal VOC development kit's annotation format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from helpers.images import IMAGE_SUFFIXES
from helpers.training.dataset_entries import (
    Entry,
    Listing,
    Row,
    locate,
    outside_flaw,
    read_list,
    split_of,
    unique_names,
)  # fmt: skip
from helpers.training.dataset_xml import VocFile, read_xml
from helpers.training.flaws import DatasetError, Flaw

__all__ = ["list_voc", "voc_folders"]

_NAME_FILES = ("classes.txt", "labelmap.txt", "labels.txt")
_LISTS = ("train", "val", "test")
_Read = list[tuple[Entry, VocFile]]
_Labels = list[tuple[int | None, Path]]


def voc_folders(root: Path) -> list[Path]:
    """The folders of a VOC data set's XML files: `Annotations`, else those of the splits; or none."""
    folders = [root / "Annotations", *sorted(path for path in root.glob("*") if split_of(path.name)), root]
    found = [folder for folder in folders if folder.is_dir() and next(folder.glob("*.xml"), None)]
    return found[:1] if found and found[0].name == "Annotations" else found


def list_voc(root: Path, names: Sequence[str] | None = None) -> Listing:
    """List the pictures and boxes of a folder in Pascal VOC form.

    Args:
        root: the folder; nothing outside is read.
        names: class names in the order of the ids; otherwise `classes.txt` or `labelmap.txt`, else the names
            that are found, in alphabetical order.

    Raises:
        DatasetError: there is no XML file, or no class in any.
    """
    folders = voc_folders(root)
    if not folders:
        raise DatasetError(f"{root}: expected Annotations/*.xml, found none")
    listing = Listing(())
    reader = _Reader(root, listing)
    read: dict[str, _Read] = {}
    for split, source, labels in _sources(root, folders):
        read.setdefault(split, []).extend(reader.entries(source, labels))
        listing.flaws += [] if source else reader.bare(labels)
    listing.names = _names(root, names, read)
    for split, pairs in read.items():
        for entry, file in pairs:
            reader.boxes(entry, file)
        listing.splits[split] = [entry for entry, _ in pairs]
    listing.note(
        reader.difficult, "object marked difficult is left out", "objects marked difficult are left out"
    )
    return listing


_Source = tuple[str, Path | None, _Labels]


def _sources(root: Path, folders: list[Path]) -> Iterator[_Source]:
    """Of each split: its name, its list (None where a folder is read), lines and XML files."""
    labels = folders[0]
    for place in (root, root / "ImageSets" / "Main", root / "ImageSets"):
        lists = [name for name in _LISTS if (place / f"{name}.txt").is_file()]
        if "train" not in lists and (place / "trainval.txt").is_file():
            lists.append("trainval")
        if lists:
            for name in lists:
                path = place / f"{name}.txt"
                yield split_of(name) or name, path, [(n, _label(labels, text)) for n, text in read_list(path)]
            return
    for folder in folders:
        split = "train" if folder in (root, root / "Annotations") else str(split_of(folder.name))
        yield split, None, [(None, path) for path in sorted(folder.glob("*.xml"))]


def _label(labels: Path, written: str) -> Path:
    """The XML file of a line of a list: a bare name, or a path of a picture; never outside the folder."""
    name = written.replace("\\", "/")
    stem = name.rpartition("/")[2]
    stem = stem.rpartition(".")[0] if f".{stem.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES else stem
    return labels / f"{stem}.xml"


def _picture_folder(label: Path) -> Path:
    """Where the picture of a label file is looked for."""
    return label.parent.parent / "JPEGImages" if label.parent.name == "Annotations" else label.parent


def _names(root: Path, given: Sequence[str] | None, read: dict[str, _Read]) -> tuple[str, ...]:
    """Class names: the caller's, a list's beside the folders, or all that are found."""
    if given is not None:
        return unique_names(given, "names")
    for path in (root / name for name in _NAME_FILES):
        if path.is_file():
            lines = [text for _, text in read_list(path)]
            return unique_names(_labels(lines) if path.stem == "labelmap" else lines, str(path))
    found = {item.name for pairs in read.values() for _, file in pairs for item in file.objects}
    return unique_names(sorted(found - {""}), f"{root}: class names in the XML files")


def _labels(lines: list[str]) -> list[str]:
    """The names of a label map: `name:colour:parts:actions`, without comments and background."""
    names = [line.partition(":")[0].strip() for line in lines if not line.startswith("#")]
    return [name for name in names if name != "background"]


class _Reader:
    """Reads the XML files of a data set."""

    def __init__(self, root: Path, listing: Listing) -> None:
        self.root, self.listing, self.flaws = root, listing, listing.flaws
        self.difficult = 0
        self._pictures: dict[Path, dict[str, Path]] = {}

    def entries(self, source: Path | None, labels: _Labels) -> Iterator[tuple[Entry, VocFile]]:
        """One entry a label file, still without boxes."""
        for line, label in labels:
            place = source or label
            try:
                file = read_xml(label)
                size_wh = file.size_wh
            except FileNotFoundError:
                self.flaws.append(Flaw("missing-label", place, f"{label.name} is missing", line))
                continue
            except (OSError, ValueError) as error:
                at = _line_in(str(error))
                self.flaws.append(Flaw("broken-label", label, f"is no Pascal VOC XML: {error}", at))
                continue
            picture = self._picture(label, file)
            if picture is None:
                self.flaws.append(outside_flaw(label, file.lines.get("filename"), file.texts["filename"]))
                continue
            at = file.lines.get("filename", 1) if source is None else line
            yield Entry(picture, label, [], place, at, size_wh, file.lines.get("size")), file

    def _picture(self, label: Path, file: VocFile) -> Path | None:
        """The picture of a label file: by the label's own name, else by the name that it has inside."""
        folder = _picture_folder(label)
        written = file.texts.get("filename", "").strip()
        named = locate(self.root, written, folder) if written else folder / f"{label.stem}.jpg"
        if named is None:
            return None
        return self._files(folder).get(label.stem, named)

    def _files(self, folder: Path) -> dict[str, Path]:
        """The pictures of a folder by name without ending."""
        if folder not in self._pictures:
            files = sorted(folder.glob("*"))
            self._pictures[folder] = {p.stem: p for p in files if p.suffix.lower() in IMAGE_SUFFIXES}
        return self._pictures[folder]

    def bare(self, labels: _Labels) -> list[Flaw]:
        """Pictures that no label file belongs to, where no list says that they do not count."""
        stems = {label.stem for _, label in labels}
        folders = dict.fromkeys(_picture_folder(label) for _, label in labels)
        pictures = {path for folder in folders for path in self._files(folder).values()}
        return [
            Flaw("missing-label", path, f"has no {path.stem}.xml", picture=path)
            for path in sorted(pictures)
            if path.stem not in stems
        ]

    def boxes(self, entry: Entry, file: VocFile) -> None:
        """Fill an entry with the objects of its file."""
        for item in file.objects:
            line = item.lines.get("bndbox", item.lines[""])
            if item.name not in self.listing.names:
                message = f"class {item.name[:60]!r} is none of the classes" if item.name else "has no class"
                line = item.lines.get("name", item.lines[""])
                self.flaws.append(Flaw("unknown-class", entry.label, message, line, entry.picture))
                continue
            try:
                corners = item.corners()
            except ValueError as error:
                self.flaws.append(Flaw("not-a-number", entry.label, str(error), line, entry.picture))
                continue
            if not all(map(math.isfinite, corners)):
                message = f"{item.name} box {corners} is not finite"
                self.flaws.append(Flaw("not-a-number", entry.label, message, line, entry.picture))
            elif item.difficult:
                self.difficult += 1
            else:
                entry.rows.append(Row(line, self.listing.names.index(item.name), corners))


def _line_in(message: str) -> int | None:
    """The line that the XML parser's message ends with: `...: line 3, column 7`."""
    _, found, tail = message.rpartition("line ")
    digits = tail.partition(",")[0]
    return int(digits) if found and digits.isdigit() else None
