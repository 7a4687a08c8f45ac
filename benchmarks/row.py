"""One row of the benchmark: who was timed, what the ratios are, what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from benchmarks.measure import Spread, paired_ratio, spread

if TYPE_CHECKING:
    from benchmarks.targets import Target


@dataclass(frozen=True)
class Entry:
    """One contestant.

    Attributes:
        name: What was timed.
        value: In the row's unit.
        ratio: To the row's baseline, paired round by round; None for the baseline itself.
        note: Anything a reader must know beside it.
    """

    name: str
    value: Spread
    ratio: Spread | None = None
    note: str = ""


@dataclass(frozen=True)
class Check:
    """A number that is held against a target."""

    what: str
    value: float | None
    target: Target
    note: str = ""


@dataclass
class Row:
    """The outcome of one case.

    Attributes:
        id: Its name on the command line.
        title: What is compared.
        timed: What lies between the two looks at the clock.
        unit: Of the entries' values.
        entries: The contestants.
        checks: Against DESIGN's targets.
        series: Growth: label to pairs `(x, value)`; what x is stands in `x_label`.
        notes: For a reader.
        not_run: What is missing here, and why.
        others: Share of the machine that others took meanwhile, 0 to 1.
    """

    id: str
    title: str
    timed: str
    unit: str = "ms"
    entries: list[Entry] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    x_label: str = ""
    notes: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    others: float | None = None

    def add(
        self, seconds: Mapping[str, Sequence[float]], baseline: str, *, scale: float = 1000.0, note: str = ""
    ) -> None:
        """Entries of interleaved runs, each with its ratio to the baseline."""
        for name, taken in seconds.items():
            ratio = None if name == baseline else paired_ratio(taken, seconds[baseline])
            self.entries.append(Entry(name, spread([second * scale for second in taken]), ratio, note))

    def ratio(self, name: str) -> float | None:
        """The median ratio of an entry; None where it was not run."""
        return next((e.ratio.median for e in self.entries if e.name == name and e.ratio), None)

    def to_dict(self, *, quiet: bool) -> dict[str, object]:
        """As it stands in the JSON: with every check's state."""
        plain = asdict(self)
        plain["checks"] = [
            {
                "what": check.what, "value": check.value, "target": str(check.target),
                "source": check.target.source, "state": check.target.judge(check.value, quiet=quiet),
                "note": check.note,
            }
            for check in self.checks
        ]  # fmt: skip
        return plain
