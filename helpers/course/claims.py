"""Claims and their verdicts: what a text says, what comes out when it is recomputed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from helpers.course.place import say
from helpers.table import Table
from helpers.wording import wording

__all__ = ["NOT_CHECKABLE", "RIGHT", "WRONG", "Claims", "Verdict", "Verdicts"]

RIGHT, WRONG, NOT_CHECKABLE = "right", "wrong", "not checkable"
COLOURS = {
    RIGHT: ("#e2f3ea", "#1b6b49"),
    WRONG: ("#fbe3dc", "#a8320f"),
    NOT_CHECKABLE: ("#e9e9e6", "#555555"),
}
HEADER = ("verdict", "the guides say", "recomputed")


@dataclass(frozen=True)
class Verdict:
    """One claim, judged.

    Attributes:
        claim: What the text says.
        verdict: `right`, `wrong` or `not checkable`.
        found: What came out.
    """

    claim: str
    verdict: str
    found: str


@dataclass(frozen=True, repr=False)
class Verdicts:
    """Verdicts as a table: coloured in a notebook, text elsewhere.

    >>> Verdicts((Verdict("all", WRONG, "22 of 23"),))
    verdict  the guides say  recomputed
    wrong    all             22 of 23
    """

    verdicts: tuple[Verdict, ...]

    def __repr__(self) -> str:
        """Aligned text."""
        return str(Table(HEADER, tuple((v.verdict, v.claim, v.found) for v in self.verdicts)))

    def _repr_html_(self) -> str:
        left = ' style="text-align:left"'
        head = "".join(f"<th{left}>{wording(name, label=True)}</th>" for name in HEADER)
        return f"<table><tr>{head}</tr>{''.join(_row_html(v, left) for v in self.verdicts)}</table>"


def _row_html(verdict: Verdict, left: str) -> str:
    paper, ink = COLOURS[verdict.verdict]
    style = f"background-color:{paper};color:{ink};padding:1px 8px;border-radius:6px;white-space:nowrap"
    chip = f'<b style="{style}">{wording(verdict.verdict, label=True)}</b>'
    said = (wording(text, label=True) for text in (verdict.claim, verdict.found))
    texts = (chip, *(escape(text, quote=False) for text in said))
    return "<tr>" + "".join(f"<td{left}>{text}</td>" for text in texts) + "</tr>"


class Claims:
    """Collects verdicts, and says each when it is made.

    >>> claims = Claims()
    >>> claims.number("half of them", 50, 100 * 2 / 4, "% of four")
    right          half of them: 50 % of four
    >>> claims.number("a third of them", 33.3, 100 * 2 / 4, "% of four", digits=1)
    wrong          a third of them: 50.0 % of four
    >>> claims.counts()
    {'right': 1, 'wrong': 1, 'not checkable': 0}
    """

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def number(self, claim: str, said: float, found: float, what: str = "", *, digits: int = 0) -> None:
        """A claim with a number: right if what was found rounds to what was said.

        Args:
            claim: What the text says.
            said: Its number.
            found: The number recomputed.
            what: Unit, and of what.
            digits: After the point, as many as the text has.
        """
        right = abs(found - said) <= 0.5 * 10.0**-digits + 1e-9
        self._add(claim, RIGHT if right else WRONG, f"{found:.{digits}f} {what}".strip())

    def statement(self, claim: str, holds: bool, found: str) -> None:
        """A claim without a number of its own.

        Args:
            claim: What the text says.
            holds: Whether it is so.
            found: What came out.
        """
        self._add(claim, RIGHT if holds else WRONG, found)

    def not_checkable(self, claim: str, why: str) -> None:
        """A claim that the figures at hand cannot decide."""
        self._add(claim, NOT_CHECKABLE, why)

    def _add(self, claim: str, verdict: str, found: str) -> None:
        self.verdicts.append(Verdict(claim, verdict, found))
        say(f"{verdict:<{len(NOT_CHECKABLE)}}  {claim}: {found}")

    def counts(self) -> dict[str, int]:
        """How many of each verdict."""
        found = [verdict.verdict for verdict in self.verdicts]
        return {kind: found.count(kind) for kind in (RIGHT, WRONG, NOT_CHECKABLE)}

    def table(self) -> Verdicts:
        """All of them, in the order in which they were made."""
        return Verdicts(tuple(self.verdicts))
