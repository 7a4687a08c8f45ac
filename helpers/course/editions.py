"""The other editions of a lesson: its text in another language over the same code cells.

`notebooks/text/zh-CN/NN_name.md` holds the Chinese of every markdown cell, each after a line with the cell's
id and a stamp, the digests of the English text that it was written from and of its own:

    <!-- 02-title 3f2a1c9b.7d1e0c22 -->
    # 02 · 导出

The notebook is made of the English one's code cells, unchanged, and these. Where an English cell changes, the
stamp no longer fits, and the check fails until the text has changed, too (`course translate` stamps it then).
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from helpers.artifacts import atomic_path
from helpers.course.language import LANGUAGES, catalog
from helpers.course.verified import TAG

__all__ = ["Passage", "anchored", "build", "compare", "english_of", "language_of", "read_text", "stale"]
__all__ += ["text_of", "unlike", "without_anchors", "write_text"]

_MARKER = re.compile(r"^<!-- ([\w.-]+)(?: ([0-9a-f]{8}\.[0-9a-f]{8}))? -->$", re.MULTILINE)
_CODE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)*)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_ANCHOR = re.compile(r'\n<a id="[^"]*%[^"]*"></a>')
_UNCODED = ";,/?:@&=+$-_.!~*'()#"  # what browsers leave as it is in a link, besides letters and digits
_NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:[, \u202f]\d{3})+(?!\d)|(?<![\w.])\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Passage:
    """One markdown cell in another language.

    Attributes:
        cell_id: Of the cell in the English notebook.
        stamp: Digests of the English text that it says and of its own; empty where it is new.
        text: Markdown.
    """

    cell_id: str
    stamp: str
    text: str

    def is_of(self, source: str) -> bool:
        """True if it was written from this English text."""
        return self.stamp.partition(".")[0] == digest(source)


def language_of(path: Path) -> str:
    """The language of a notebook or of its text, by its folder.

    >>> language_of(Path("notebooks/zh-CN/solutions/02_export.ipynb"))
    'zh-CN'
    """
    folder = path.parent.parent if path.parent.name == "solutions" else path.parent
    return folder.name if folder.name in LANGUAGES else "en"


def english_of(path: Path) -> Path:
    """The English notebook of a notebook in another language.

    >>> english_of(Path("notebooks/zh-CN/solutions/02_export.ipynb")).as_posix()
    'notebooks/solutions/02_export.ipynb'
    """
    if language_of(path) == "en":
        return path
    parts, below = path.parts, 3 if path.parent.name == "solutions" else 2
    return Path(*parts[:-below], *parts[1 - below :])


def digest(text: str) -> str:
    """What stands in a marker for a text; white space does not count.

    >>> digest("Two  words.") == digest(" Two words.")
    True
    """
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]


def read_text(path: Path) -> list[Passage]:
    """The passages of a text file, in order; none where there is no file.

    Raises:
        ValueError: Text before the first marker, or a cell that comes twice.
    """
    if not path.is_file():
        return []
    before, *parts = _MARKER.split(path.read_text(encoding="utf-8"))
    passages = [
        Passage(cell_id, stamped or "", text.strip())
        for cell_id, stamped, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]
    twice = [cell_id for cell_id, count in Counter(p.cell_id for p in passages).items() if count > 1]
    if before.strip() or twice:
        found = f"cells twice: {twice}" if twice else f"text before it: {before.strip()[:40]!r}"
        raise ValueError(
            f"{path.name}: expected a marker line before each cell, got {found}. Fix: mend the file"
        )
    return passages


def write_text(path: Path, passages: Sequence[Passage]) -> None:
    """Write a text file whole or not at all.

    Raises:
        ValueError: A passage with a line that reading would take for the next cell's marker.
    """
    for passage in passages:
        if found := _MARKER.search(passage.text):
            raise ValueError(
                f"cell {passage.cell_id}: expected no line like a marker, got {found[0]!r}. Fix: reword it"
            )
    blocks = (f"<!-- {p.cell_id}{' ' if p.stamp else ''}{p.stamp} -->\n{p.text}\n" for p in passages)
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(blocks), encoding="utf-8", newline="\n")


def stale(passages: Sequence[Passage], english: Any) -> Iterator[str]:
    """What is not as the English notebook wants it, one line each: missing, unknown, changed since."""
    wanted = {cell.id: cell.source for cell in _prose(english)}
    have = {p.cell_id: p for p in passages}
    yield from (f"cell {cell_id}: not translated" for cell_id in wanted if cell_id not in have)
    yield from (f"cell {cell_id}: no such cell in English" for cell_id in have if cell_id not in wanted)
    for cell_id in sorted(wanted.keys() & have.keys()):
        if not have[cell_id].is_of(wanted[cell_id]):
            yield f"cell {cell_id}: the English has changed and this has not; edit it, run course translate"
    if [name for name in wanted if name in have] != [name for name in have if name in wanted]:
        yield "cells: in another order than in English"


def unlike(passage: Passage, source: str) -> Iterator[str]:
    """What a translation must share with its source and does not: inline code, outside links, numbers."""
    there, here = (
        Counter(" ".join(code.split()) for code in _CODE.findall(text)) for text in (source, passage.text)
    )
    for code in sorted((there - here) | (here - there)):
        yield f"`{code}`: {there[code]} times in English, {here[code]} here"
    links = (
        {link for link in _LINK.findall(text) if re.match(r"\w+:", link)} for text in (source, passage.text)
    )
    lost = {link for link in next(links) if "colab." not in link} - next(links)
    yield from (f"link {link} is missing" for link in sorted(lost))
    numbers, said = (set(_numbers(_CODE.sub(" ", text))) for text in (source, passage.text))
    yield from (f"number {number} is missing" for number in sorted(numbers - said))


def _numbers(text: str) -> Iterator[str]:
    for found in _NUMBER.findall(_LINK.sub("]", text)):
        yield re.sub(r"[\s\u202f,]", "", found)


def text_of(twin: Path, language: str) -> Path:
    """The text in another language of an English text twin.

    >>> text_of(Path("notebooks/text/solutions/02_export.py"), "zh-CN").as_posix()
    'notebooks/text/zh-CN/solutions/02_export.md'
    """
    parts = twin.with_suffix(".md").parts
    last = len(parts) - 1 - parts[::-1].index("text")
    return Path(*parts[: last + 1], language, *parts[last + 1 :])


def compare(path: Path, english: Any, *, accept: bool = False) -> list[str]:
    """What a text lacks, one line each; passages that were edited since the English changed are stamped.

    New cells come in as English. A passage whose English changed and that nobody edited keeps its old stamp,
    so that the check goes on failing; `accept` stamps it. One whose cell is gone is taken out, unless it
    never had a stamp: then its marker is mistyped.
    """
    sources = {cell.id: cell.source for cell in _prose(english)}
    before = {passage.cell_id: passage for passage in read_text(path)}
    after, lines, words = [], [], catalog(language_of(path))
    for cell_id, source in sources.items():
        passage = before.get(cell_id, Passage(cell_id, "", source))
        own, edited = f"{digest(source)}.{digest(passage.text)}", passage.stamp.partition(".")[2]
        if passage.text == source and words.lacks(_CODE.sub(" ", _LINK.sub("]", source))):
            lines.append(f"  {cell_id}: still in English")
        elif accept or edited != digest(passage.text):
            passage = Passage(cell_id, own, passage.text)
        elif not passage.is_of(source):
            lines.append(f"  {cell_id}: the English has changed and this has not")
        lines += [f"  {cell_id}: {line}" for line in unlike(passage, source)]
        after.append(passage)
    for passage in (before[cell_id] for cell_id in before if cell_id not in sources):
        what = "taken out" if passage.stamp else "mend its marker"
        lines.append(f"  {passage.cell_id}: no such cell in English; {what}")
        after += [] if passage.stamp else [passage]
    write_text(path, after)
    return lines


def anchored(text: str, targets: Collection[str]) -> str:
    r"""A cell's text with an anchor under each heading that a link of the notebook names.

    JupyterLab compares a link's percent codes with the heading's letters, so that a link finds no heading
    with others than ASCII (its issue 12402); an anchor called like the codes is found. Other readers follow
    the link to the heading itself.

    >>> anchored("## 小结", {"小结"}), anchored("## 小结", ()), anchored("## Summary", {"Summary"})
    ('## 小结\n<a id="%E5%B0%8F%E7%BB%93"></a>', '## 小结', '## Summary')
    """

    def under(heading: re.Match[str]) -> str:
        name = heading[1].strip().replace(" ", "-")
        wanted = name in targets and not name.isascii()
        return f'{heading[0]}\n<a id="{quote(name, safe=_UNCODED)}"></a>' if wanted else heading[0]

    return _HEADING.sub(under, text)


def without_anchors(text: str) -> str:
    r"""The text as somebody wrote it.

    >>> without_anchors(anchored("## 小结\n\n一句话。", {"小结"}))
    '## 小结\n\n一句话。'
    """
    return _ANCHOR.sub("", text)


def build(english: Any, passages: Sequence[Passage]) -> Any:
    """A notebook of the English code cells without outputs, and the passages; the rest stays English."""
    texts = {passage.cell_id: passage.text for passage in passages}
    targets = {link[1:] for text in texts.values() for link in _LINK.findall(text) if link[0] == "#"}
    notebook = copy.deepcopy(english)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code" or cell in _prose(notebook)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = anchored(texts.get(cell.id, cell.source), targets)
    notebook.metadata.pop("widgets", None)
    return notebook


def _prose(notebook: Any) -> list[Any]:
    """The markdown cells that somebody wrote; not the one that the run writes."""
    prose = (cell for cell in notebook.cells if cell.cell_type == "markdown")
    return [cell for cell in prose if TAG not in cell.metadata.get("tags", [])]
