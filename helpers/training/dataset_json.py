"""JSON with positions: the three lists of a COCO file, each object with the line it begins on."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.training.flaws import DatasetError

__all__ = ["Document", "read_document"]

_SPACE = re.compile(r"[\s]*")
_Objects = list[tuple[int, Any]]


class Document:
    r"""A JSON object whose lists keep the position of each of their items.

    >>> document = Document('{"images": [\n {"id": 3},\n {"id": 5}]}', Path("a.json"))
    >>> [(document.line(at), item["id"]) for at, item in document.lists["images"]]
    [(2, 3), (3, 5)]
    """

    def __init__(self, text: str, path: Path) -> None:
        """Parse a text.

        Raises:
            DatasetError: it is no JSON object.
        """
        self.path, self._text = path, text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.lists: dict[str, _Objects] = {}
        decoder = json.JSONDecoder()
        try:
            self._members(decoder)
        except (ValueError, IndexError, RecursionError, StopIteration) as error:
            raise DatasetError(f"{path}: expected COCO's JSON, got: {error}. Fix: export it again") from error

    def line(self, position: int) -> int:
        """The line of a position, counted from 1."""
        return bisect_right(self._lines, position)

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position

    def _expect(self, position: int, character: str) -> int:
        if self._text[position : position + 1] != character:
            raise json.JSONDecodeError(f"expected {character!r}", self._text, position)
        return self._skip(position + 1)

    def _next(self, position: int, closing: str) -> int:
        """Past a comma, or to what closes the object or list."""
        position = self._skip(position)
        return position if self._text[position] == closing else self._expect(position, ",")

    def _members(self, decoder: json.JSONDecoder) -> None:
        """Walk over the outermost object, one member after another."""
        at = self._expect(self._skip(0), "{")
        while self._text[at] != "}":
            key, at = decoder.raw_decode(self._text, at)
            if not isinstance(key, str):
                raise json.JSONDecodeError("expected a name in quotes", self._text, at)
            at = self._expect(self._skip(at), ":")
            if self._text[at] == "[":
                self.lists[key] = list(self._items(decoder, at))
                at = self._end
            else:
                _, at = decoder.raw_decode(self._text, at)
            at = self._next(at, "}")

    def _items(self, decoder: json.JSONDecoder, at: int) -> Iterator[tuple[int, Any]]:
        """The items of a list, each with its position; leaves the list's end in `_end`."""
        at = self._expect(at, "[")
        while self._text[at] != "]":
            item, end = decoder.raw_decode(self._text, at)
            yield at, item
            at = self._next(end, "]")
        self._end = at + 1


def read_document(path: Path) -> Document:
    """Read a COCO file.

    Raises:
        DatasetError: it cannot be read, is no JSON, or lacks a list that COCO has.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: expected COCO's JSON, got: {error}. Fix: export it again") from error
    document = Document(text, path)
    missing = {"images", "categories"} - document.lists.keys()
    if missing:
        names = ", ".join(sorted(missing))
        raise DatasetError(f"{path}: expected the lists images, annotations, categories; it lacks {names}")
    return document
