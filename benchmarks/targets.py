"""What DESIGN section 6 asks of each row, and whether a number meets it."""

from __future__ import annotations

from dataclasses import dataclass

STATES = ("aim met", "met", "missed", "not judged", "no target")


@dataclass(frozen=True)
class Target:
    """A bound with a further one to aim at.

    Attributes:
        least: The value that has to be reached.
        aim: The one to aim at; None where there is one bound alone.
        lower_is_better: Whether values should stay below (latency) or above (speed-up).
        source: Where the bound is from.
    """

    least: float
    aim: float | None = None
    lower_is_better: bool = True
    source: str = "DESIGN §6"

    def judge(self, value: float | None, *, quiet: bool = True) -> str:
        """One of `STATES`; nothing is claimed from a busy machine.

        >>> Target(1.05, 1.02).judge(1.03), Target(2, 3, lower_is_better=False).judge(3.1)
        ('met', 'aim met')
        """
        if value is None or not quiet:
            return "not judged"
        sign = 1 if self.lower_is_better else -1
        if self.aim is not None and sign * value <= sign * self.aim:
            return "aim met"
        return "met" if sign * value <= sign * self.least else "missed"

    def __str__(self) -> str:
        """As in a table's cell.

        >>> str(Target(1.05, 1.02)), str(Target(2, lower_is_better=False))
        ('≤ 1.05, aim ≤ 1.02', '≥ 2')
        """
        sign = "≤" if self.lower_is_better else "≥"
        return f"{sign} {self.least:g}" + (f", aim {sign} {self.aim:g}" if self.aim is not None else "")


FLOOR = Target(1.05, 1.02)
PICTURE = Target(1.05, 1.02)
ULTRALYTICS = Target(1.0)
CONVERT = Target(0.7, 0.4)
INT8 = Target(2.0, 3.0, lower_is_better=False)
IMPORT = Target(0.2)
COURSE = Target(600, 300)
LESSON = Target(120)
