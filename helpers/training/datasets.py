"""Labelled pictures: reading Pascal VOC folders (BCCD is one) and holding them in memory.

A picture with its boxes is a `Sample`; everything in `helpers.training` takes and gives samples. Boxes are
corners in the picture's own pixels, `boxes_xyxy[n, 4]`, class ids count from zero.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

CELL_NAMES: tuple[str, ...] = ("RBC", "WBC", "Platelets")
"""Class order of the bundled model `blood-cells`."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class DatasetError(ValueError):
    """A data set that cannot be read: the message names the file, what was found and the cure."""


@dataclass(frozen=True)
class Sample:
    """A picture with its labelled boxes.

    Attributes:
        image_bgr: `uint8[H, W, 3]`.
        boxes_xyxy: `float32[n, 4]`, left, top, right, bottom in pixels.
        class_ids: `int64[n]`.

    >>> import numpy as np
    >>> sample = Sample.of(np.zeros((48, 64, 3), np.uint8), [[1, 2, 30, 40]], [0])
    >>> sample.size_wh, len(sample)
    ((64, 48), 1)
    """

    image_bgr: npt.NDArray[np.uint8]
    boxes_xyxy: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not belong together."""
        shapes = (self.image_bgr.shape, self.boxes_xyxy.shape, self.class_ids.shape)
        count = len(self.class_ids)
        if self.image_bgr.ndim != 3 or shapes[0][2] != 3 or shapes[1:] != ((count, 4), (count,)):
            raise ValueError(
                f"Sample: expected image_bgr[H, W, 3], boxes_xyxy[n, 4], class_ids[n]; got shapes {shapes}"
            )

    @classmethod
    def of(
        cls, image_bgr: npt.NDArray[np.uint8], boxes_xyxy: npt.ArrayLike, class_ids: npt.ArrayLike
    ) -> Sample:
        """Build a sample from anything array-like, an empty list of boxes included."""
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        return cls(image_bgr, boxes, np.asarray(class_ids, np.int64).reshape(-1))

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return self.image_bgr.shape[1], self.image_bgr.shape[0]

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.class_ids)


@dataclass(frozen=True)
class Flaw:
    """A label that was dropped: in which file, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Annotation:
    """The labels of one picture, before the picture itself is read.

    Attributes:
        path: the picture.
        boxes_xyxy: `float32[n, 4]` in pixels, inside the picture.
        class_ids: `int64[n]`.
        flaws: labels of the file that were dropped.
    """

    path: Path
    boxes_xyxy: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    flaws: tuple[Flaw, ...] = ()

    def load(self) -> Sample:
        """Read the picture from the disk.

        Raises:
            DatasetError: the picture is missing or cannot be decoded.
        """
        image_bgr = cv2.imread(str(self.path), cv2.IMREAD_COLOR) if self.path.is_file() else None
        if image_bgr is None:
            raise DatasetError(
                f"picture {self.path}: expected a readable image, found none; fetch the data set again"
            )
        return Sample.of(image_bgr.astype(np.uint8, copy=False), self.boxes_xyxy, self.class_ids)


class Samples(Sequence[Sample]):
    """Samples of a list of annotations, each picture decoded once and kept in memory.

    BCCD's 292 pictures of 640x480 take 270 MB. `preload()` decodes all of them before training, so
    that forked workers share the memory.
    """

    def __init__(self, annotations: Sequence[Annotation]) -> None:
        """Remember the annotations; nothing is read yet."""
        self.annotations = tuple(annotations)
        self._loaded: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample at `index`, read at the first request."""
        position = range(len(self))[index]
        if position not in self._loaded:
            self._loaded[position] = self.annotations[position].load()
        return self._loaded[position]

    def preload(self) -> Samples:
        """Decode every picture now, and return the samples themselves."""
        for index in range(len(self)):
            self[index]
        return self


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


def flaws_of(annotations: Sequence[Annotation]) -> list[Flaw]:
    """All flaws of a list of annotations, in order."""
    return [flaw for annotation in annotations for flaw in annotation.flaws]


def _read_annotation(root: Path, name: str, class_names: Sequence[str]) -> Annotation:
    """Labels of one picture of a VOC folder."""
    path = root / "Annotations" / f"{name}.xml"
    try:
        tree = ET.parse(path).getroot()  # noqa: S314 - expat refuses entity bombs since 2.4.1
        size_wh = _number(tree, "size/width"), _number(tree, "size/height")
        rows = list(_rows(tree))
    except (OSError, ET.ParseError, ValueError) as error:
        raise DatasetError(f"annotation {path}: expected Pascal VOC XML, got: {error}") from error
    boxes: list[npt.NDArray[np.float64]] = []
    class_ids: list[int] = []
    flaws: list[Flaw] = []
    for label, corners in rows:
        if label not in class_names:
            known = ", ".join(class_names[:5]) + (", ..." if len(class_names) > 5 else "")
            raise DatasetError(f"annotation {path}: class {label!r} is none of {known}; use another model")
        clipped = np.clip(corners, 0, (*size_wh, *size_wh))
        if (clipped[2:] <= clipped[:2]).any():
            flaws.append(Flaw(path, f"{label} box {tuple(map(int, corners))} has no area"))
            continue
        boxes.append(clipped)
        class_ids.append(list(class_names).index(label))
    sample_boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return Annotation(_picture(root, name, tree), sample_boxes, np.asarray(class_ids, np.int64), tuple(flaws))


def _picture(root: Path, name: str, tree: ET.Element) -> Path:
    """Path of the picture: by the list's name, else by the file name inside the annotation."""
    by_list = root / "JPEGImages" / f"{name}.jpg"
    named = tree.findtext("filename")
    return by_list if by_list.is_file() or not named else root / "JPEGImages" / Path(named).name


def _rows(tree: ET.Element) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Class name and corners of each object."""
    for item in tree.iter("object"):
        corners = np.array([_number(item, f"bndbox/{corner}") for corner in _CORNERS])
        yield (item.findtext("name") or "").strip(), corners


def _number(element: ET.Element, tag: str) -> float:
    """Text of a child as a number."""
    text = element.findtext(tag)
    if text is None:
        raise ValueError(f"<{element.tag}> lacks <{tag}>")
    return float(text)
