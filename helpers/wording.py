"""What labels say, and the letters to say it with: the one place where another language comes in.

Everything that draws words (captions, tables, charts) passes them through `wording`. It gives them back as
they are, unless a translator is set; the Chinese edition of the course sets one. No language is known here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

__all__ = ["FONT", "Name", "columns", "is_wide", "set_translator", "translator", "wording"]

FONT = Path(__file__).with_name("fonts") / "NotoSansSC-subset.otf"
"""A font with the 6763 Chinese characters of GB 2312, Latin, arrows and punctuation."""
_state: dict[str, Callable[[str, bool], str]] = {}


class Name(str):
    """What something is called in a file: a tensor named `boxes` stays that in every language.

    >>> Name("boxes")
    'boxes'
    """

    __slots__ = ()


def set_translator(translate: Callable[[str, bool], str] | None) -> None:
    """Let labels be said in another language; None says them as written.

    Args:
        translate: From a text, and whether it is a label that must not stay in English, to what is shown.
    """
    _state.clear()
    if translate is not None:
        _state["translate"] = translate


def translator() -> Callable[[str, bool], str] | None:
    """What was set last, to be set again later; None where texts stay as written.

    >>> translator() is None
    True
    """
    return _state.get("translate")


def wording(text: str, *, label: bool = False) -> str:
    """What is shown for a text.

    Args:
        text: As written in the code.
        label: It is part of a figure: a translator that does not know it may raise.

    >>> wording("score above 0.35")
    'score above 0.35'
    """
    return _state["translate"](text, label) if _state else text


def is_wide(text: str) -> bool:
    """True if a text has characters that Latin fonts lack, from the CJK blocks on.

    >>> is_wide("boxes"), is_wide("3 个框")
    (False, True)
    """
    return any(ord(character) >= 0x2E80 for character in text)


def columns(text: str) -> int:
    """How many columns a text takes where letters have one width: a Chinese character takes two.

    >>> columns("boxes"), columns("框 1")
    (5, 4)
    """
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)
