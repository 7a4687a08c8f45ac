r"""The language of a lesson: English, or what a catalogue makes of it.

The Chinese notebooks have the same code cells as the English ones. What differs is where they lie: below a
folder `zh-CN`. There every label (figures, captions, tables, hints) is looked up in `catalog/zh-CN/*.toml`:

    keep = ["RBC", "yolov7[-\w]*"]           # regular expressions of words that stay as they are
    [text]
    "{} boxes above {}" = "得分高于 {1} 的框有 {0} 个"

`{}` stands for anything, and what it stood for is looked up in turn. Under a check a label with an English
word and no entry is an error, so that a label cannot change in one edition alone.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.course.place import is_checked
from helpers.wording import FONT, is_wide, set_translator, translator, wording

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["LANGUAGES", "Catalog", "LabelError", "catalog", "current", "settle_language", "speak"]
__all__ += ["speaking", "translate_figure"]

LANGUAGES = ("en", "zh-CN")
_FOLDER = Path(__file__).with_name("catalog")
_HOLE = re.compile(r"\{(\d*)\}")


class LabelError(ValueError):
    """A label has no entry in the catalogue of the lesson's language."""


@dataclass(frozen=True)
class Catalog:
    """What labels are called in one language.

    Attributes:
        texts: From a text, with `{}` for what varies, to its translation.
        keep: Regular expressions of words that need none.

    >>> small = Catalog({"{} of {}": "{1} 中的 {0}", "boxes": "框"}, ("RBC",))
    >>> small.say("3 of boxes"), small.say("other"), small.lacks("RBC 3 px"), small.lacks("RBC cells")
    ('框 中的 3', 'other', False, True)
    """

    texts: Mapping[str, str]
    keep: Sequence[str] = ()

    def say(self, text: str) -> str:
        """The translation of a text; the text itself where there is none."""
        if text in self.texts:
            return self.texts[text]
        for pattern, translation in self._templates():
            if found := pattern.fullmatch(text):
                return _filled(translation, [self.say(part) for part in found.groups()])
        if "\n" in text:
            return "\n".join(self.say(line) for line in text.split("\n"))
        head = text.lstrip()
        core = head.rstrip()
        if core and core != text:  # spaces around a label are layout
            return text.replace(core, self.say(core), 1)
        return text

    def lacks(self, text: str) -> bool:
        """True if a text still has an English word of three letters or more that is not to be kept."""
        if is_wide(text):
            return False
        rest = re.sub("|".join(f"(?:{word})" for word in self.keep) or r"(?!)", " ", text)
        return re.search(r"[A-Za-z]{3,}", rest) is not None

    def _templates(self) -> list[tuple[re.Pattern[str], str]]:
        return _compiled(tuple(self.texts.items()))


@lru_cache(maxsize=4)
def _compiled(texts: tuple[tuple[str, str], ...]) -> list[tuple[re.Pattern[str], str]]:
    """Texts with holes as patterns, the one with most letters first."""
    holed = [(text, said) for text, said in texts if "{}" in text]
    holed.sort(key=lambda pair: -len(pair[0]))
    texts_of = ("(.+?)".join(map(re.escape, text.split("{}"))) for text, _ in holed)
    return [(re.compile(text, re.DOTALL), said) for text, (_, said) in zip(texts_of, holed, strict=True)]


def _filled(translation: str, parts: Sequence[str]) -> str:
    """Put the parts where the translation wants them: `{}` in order, `{1}` by number."""
    order = iter(range(len(parts)))
    return _HOLE.sub(lambda hole: parts[int(hole[1]) if hole[1] else next(order)], translation)


@lru_cache(maxsize=4)
def catalog(language: str) -> Catalog:
    """Every entry of a language; where two files have one, the first.

    Raises:
        ValueError: Another language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language: expected one of {', '.join(LANGUAGES)}, got {language!r}. Fix: name it")
    texts: dict[str, str] = {}
    keep: list[str] = []
    for path in sorted((_FOLDER / language).glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        keep += content.get("keep", [])
        texts = content.get("text", {}) | texts
    return Catalog(texts, tuple(keep))


def current() -> str:
    """The lesson's language: `YOLOV7_LANGUAGE`, or the folder it lies in; English where neither says.

    Raises:
        ValueError: `YOLOV7_LANGUAGE` names a language that is not there.

    >>> current()
    'en'
    """
    named = os.environ.get("YOLOV7_LANGUAGE") or _colab_language()
    if not named:
        folders = _folder_of_notebook().parts[-2:]
        return next((language for language in LANGUAGES if language in folders), "en")
    if named not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ValueError(f"YOLOV7_LANGUAGE: expected one of {known}, got {named!r}. Fix: set one or none")
    return named


def _folder_of_notebook() -> Path:
    """The working folder; VS Code, which can be told to run in another one, names the notebook's file."""
    if "IPython" in sys.modules:
        from IPython import get_ipython

        shell: Any = get_ipython()
        if shell is not None and (file := shell.user_ns.get("__vsc_ipynb_file__")):
            return Path(file).parent
    return Path.cwd()


def _colab_language() -> str:
    """On Colab a notebook's folder is not its working folder; there its title cell names it."""
    if "google.colab" not in sys.modules:
        return ""
    try:
        from google.colab import _message
    except ImportError:
        return ""
    refusal = getattr(_message, "MessageError", TypeError)
    try:
        cells = _message.blocking_request("get_ipynb", timeout_sec=10)["ipynb"]["cells"]
    except (AttributeError, KeyError, TypeError, refusal):  # no answer is None
        return ""
    title = "".join(cells[0].get("source", "")) if cells else ""
    return next((language for language in LANGUAGES if f"/notebooks/{language}/" in title), "")


def settle_language() -> None:
    """Make labels speak the lesson's language from here on."""
    speak(current())


def speak(language: str) -> None:
    """Make labels speak this language from here on.

    Raises:
        ValueError: A language that has no catalogue.
    """
    if language == "en":
        set_translator(None)
        return
    words = catalog(language)
    set_translator(_translator(words, f"helpers/course/catalog/{language}"))


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Make labels speak this language in a `with` block, and what they spoke before after it."""
    before = translator()
    speak(language)
    try:
        yield
    finally:
        set_translator(before)


def _translator(words: Catalog, where: str) -> Callable[[str, bool], str]:
    def translate(text: str, label: bool) -> str:
        said = words.say(text)
        if label and is_checked() and words.lacks(said):
            if listed := os.environ.get("YOLOV7_MISSING_LABELS"):
                with Path(listed).open("a", encoding="utf-8") as file:
                    file.write(said + "\0")
            else:
                raise LabelError(
                    f"label: expected an entry in {where}, got {text!r}. Fix: add it, or keep it"
                )
        return said

    return translate


def translate_figure(chart: Figure) -> None:
    """Say every text of a figure in the lesson's language, in letters that have its characters."""
    from matplotlib import font_manager
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    if translator() is None:
        return
    if FONT.as_posix() not in {Path(entry.fname).as_posix() for entry in font_manager.fontManager.ttflist}:
        font_manager.fontManager.addfont(FONT)
    chart.draw_without_rendering()  # ticks come with the layout
    axis: Any
    for axis in chart.findobj(Axis):
        _translate_ticks(axis)
    said: Any
    for said in chart.findobj(Text):
        said.set_text(wording(said.get_text(), label=True))
        if is_wide(said.get_text()):
            said.set(fontfamily=["DejaVu Sans", "Noto Sans CJK SC"], fontweight="normal")


def _translate_ticks(axis: Axis) -> None:
    """Ticks make their texts anew at every drawing, so theirs are fixed where they are words."""
    labels = [label.get_text() for label in axis.get_ticklabels()]
    said = [wording(label, label=True) for label in labels]
    if said != labels:
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)  # ticks beyond the limits would move them
        ticks = zip(axis.get_ticklocs(), said, strict=True)
        seen = [(place, text) for place, text in ticks if low - slack <= place <= high + slack]
        axis.set_ticks([place for place, _ in seen], labels=[text for _, text in seen])
