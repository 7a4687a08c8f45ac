"""One Pascal VOC annotation file: picture name, stated size and objects, with the lines they stand on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from helpers.training.dataset_entries import read_text

__all__ = ["VocFile", "VocObject", "read_xml"]


@dataclass
class VocObject:
    """One `<object>`: its texts by tag, and the lines of `<object>` (0 key "") and of its children."""

    texts: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its class name."""
        return " ".join(self.texts.get("name", "").split())

    @property
    def difficult(self) -> bool:
        """Whether the annotator marked it as too hard to count."""
        return self.texts.get("difficult", "").strip() == "1"

    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels.

        Raises:
            ValueError: one is missing, or no number.
        """
        tags = [f"bndbox/{corner}" for corner in ("xmin", "ymin", "xmax", "ymax")]
        missing = [tag for tag in tags if tag not in self.texts]
        if missing:
            raise ValueError(f"<object> lacks <{missing[0]}>")
        left, top, right, bottom = (float(self.texts[tag]) for tag in tags)
        return left, top, right, bottom


@dataclass
class VocFile:
    """What one annotation file says.

    Attributes:
        texts: `filename`, `size/width`, `size/height`, as written.
        objects: its objects, in order.
    """

    texts: dict[str, str] = field(default_factory=dict)
    objects: list[VocObject] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def size_wh(self) -> tuple[float, float] | None:
        """Stated width and height in pixels; None where the file does not say.

        Raises:
            ValueError: they are no numbers.
        """
        if "size/width" not in self.texts or "size/height" not in self.texts:
            return None
        width, height = float(self.texts["size/width"]), float(self.texts["size/height"])
        if not (math.isfinite(width) and math.isfinite(height)):
            raise ValueError(f"size {width}x{height}")
        return width, height


class _Reader:
    """Follows the parser; parts of objects (`<part>`) and whatever else a tool writes are passed over."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.path: list[str] = []
        self.found = VocFile()

    def _refuse(self, *_: object) -> NoReturn:
        raise ValueError("a document type, which no annotation needs (entities could fill the memory)")

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self.path.append(tag)
        if len(self.path) > 32:
            raise ValueError("elements deeper than 32")
        if self.path[1:] == ["object"]:
            self.found.objects.append(VocObject(lines={"": self.parser.CurrentLineNumber}))
        else:
            place, key = self._place()
            place.lines.setdefault(key, self.parser.CurrentLineNumber)

    def _place(self) -> tuple[VocFile | VocObject, str]:
        """Where a text belongs, and its tag from there."""
        if self.path[1:2] == ["object"] and self.found.objects:
            return self.found.objects[-1], "/".join(self.path[2:])
        return self.found, "/".join(self.path[1:])

    def _end(self, _: str) -> None:
        self.path.pop()

    def _text(self, text: str) -> None:
        place, key = self._place()
        if text.strip() or key in place.texts:
            place.texts[key] = place.texts.get(key, "") + text


def read_xml(path: Path) -> VocFile:
    """Read an annotation file; entities are refused, so that a small file cannot grow.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no XML, with the line where it ends to be.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(read_text(path).encode(), True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error
    return reader.found
