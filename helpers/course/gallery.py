"""Pictures of the lessons for pages outside them: taken from the executed notebooks as they are.

`course execute` brings them up to date; a test compares them with the notebooks, byte for byte.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from helpers.artifacts import atomic_path
from helpers.course.atlas import CARDS
from helpers.course.language import LANGUAGES, catalog
from helpers.course.place import repository, say
from helpers.course.twins import read_notebook

__all__ = ["SHOWN", "Picture", "pages", "pictures_of", "renew", "update"]

SHOWN = {
    "00": ("00-draw", "00-truth"),
    "01": ("01-chart", "01-rep-figure"),
    "02": ("02-n-figure", "02-offset-figure"),
    "03": ("03-columns-draw", "03-cost-chart"),
    "04": ("04-figure-code", "04-filter-count"),
    "05": ("05-picture-figure", "05-grid-code"),
    "06": ("06-folder-figure", "06-back"),
    "07": ("07-scan-code", "07-ranges-figure"),
    "08": ("08-assign-code", "08-mistakes-code"),
    "09": ("09-limit", "09-ask"),
    "10": ("10-empty-figure", "10-half-figure"),
}
"""Cells whose first picture is shown; the first of a lesson stands in the README, too."""


@dataclass(frozen=True)
class Picture:
    """One picture of a lesson.

    Attributes:
        name: File name, from the cell's id.
        jpeg: As in the notebook.
        alt: What a screen reader says.
        width: In pixels.
    """

    name: str
    jpeg: bytes
    alt: str
    width: int


def pictures_of(notebook: Any, cells: tuple[str, ...]) -> list[Picture]:
    """The first picture of each of these cells.

    Raises:
        ValueError: A cell that is not there, or has no picture.
    """
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    found = []
    for cell_id in cells:
        shown = (output for output in outputs.get(cell_id, []) if "image/jpeg" in output.get("data", {}))
        output = next(shown, None)
        if output is None:
            again = f"course execute {cell_id[:2]}, or name another in gallery.SHOWN"
            raise ValueError(f"cell: expected one with a picture, got {cell_id}. Fix: {again}")
        jpeg = base64.b64decode(output.data["image/jpeg"])
        alt = output.metadata.get("image/jpeg", {}).get("alt", "") or output.data.get("text/plain", "").strip(
            "<>"
        )
        found.append(Picture(f"{cell_id}.jpg", jpeg, alt, _width(jpeg)))
    return found


def _width(jpeg: bytes) -> int:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return image.width


def _folder(language: str) -> Path:
    """Where the pictures of an edition lie, from `docs`."""
    return Path("gallery") if language == "en" else Path("gallery") / language


def pages(language: str = "en") -> Iterator[tuple[Path, bytes]]:
    """Every file of the gallery in one language: path from the repository, and content."""
    words, ending = catalog(language), "" if language == "en" else f".{language}"
    folder = _folder(language)
    notebooks = Path("notebooks") if language == "en" else Path("notebooks") / language
    parts = [f"# {words.say('Gallery')}", words.say("What each lesson shows, as its last run drew it.")]
    for card in CARDS:
        path = notebooks / f"{card.stem}.ipynb"
        if not (repository() / path).is_file():
            continue
        notebook = read_notebook(repository() / path)
        title = re.search(r"(?m)^# (.+)$", notebook.cells[0].source)
        parts.append(f"## [{title[1] if title else card.title}](../{path.as_posix()})")
        for picture in pictures_of(notebook, SHOWN.get(card.number, ())):
            yield Path("docs") / folder / picture.name, picture.jpeg
            source = (folder / picture.name).as_posix()
            parts.append(
                f'<img src="{source}" alt="{escape(picture.alt)}" width="{min(picture.width, 760)}">'
            )
    sheet = f"cheat-sheet{ending}"
    parts.append(f"## {words.say('The pipeline on one page')}")
    parts.append(f"[![{words.say('From a checkpoint to boxes')}]({sheet}.png)]({sheet}.pdf)")
    back = f"[{words.say('back to the README')}](../README{ending}.md)"
    parts.append(f"[{words.say('PDF, to print')}]({sheet}.pdf) · {back}")
    yield Path("docs") / f"gallery{ending}.md", ("\n\n".join(parts) + "\n").encode()


def update(languages: tuple[str, ...] = LANGUAGES) -> list[Path]:
    """Write what has changed and remove what is no longer shown; returns the paths, from the repository."""
    changed = []
    for language in languages:
        wanted = dict(pages(language))
        for path, content in wanted.items():
            there = repository() / path
            if not there.is_file() or there.read_bytes() != content:
                with atomic_path(there) as temporary:
                    temporary.write_bytes(content)
                changed.append(path)
        folder = Path("docs") / _folder(language)
        for there in (repository() / folder).glob("*.jpg"):
            if folder / there.name not in wanted:
                there.unlink()
                changed.append(folder / there.name)
    return changed


def renew(languages: tuple[str, ...] = LANGUAGES) -> int:
    """Like `update`, after a run; 1 if a page stays as it was, because a picture for it is missing."""
    code = 0
    for language in languages:
        try:
            update((language,))
        except ValueError as error:
            say(f"gallery ({language}): not brought up to date: {error}")
            code = 1
    return code
