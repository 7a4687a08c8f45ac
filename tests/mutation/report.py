"""The report: figures for each module, then every survivor with the reason why it stays."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Module", "load_verdicts", "report", "unused_verdicts", "verdict"]

HEAD = """# Mutants

`python -m tests.mutation` changes each graph patch and each exercise checker in one place at a time (an
operator, a constant, a branch, an argument, a statement) and runs the module's own tests and doctests on the
changed copy, without `../shared` and without those marked slow. What is not changed, by rule, is told in
[mutants.py](../tests/mutation/mutants.py); mutants that cannot even be imported are not counted.

The command makes this page; the reasons are in [accepted.toml](../tests/mutation/accepted.toml).
"""


@dataclass(frozen=True)
class Module:
    """A module's outcomes.

    Attributes:
        path: As in `helpers/patches/nms.py`.
        made: How many mutants it has.
        tried: Of those that were tried: `line`, `function`, `name`, `old`, `new`, `outcome`.
    """

    path: str
    made: int
    tried: Sequence[Mapping[str, Any]]

    @property
    def counts(self) -> Counter[str]:
        return Counter(each["outcome"] for each in self.tried)

    @property
    def survivors(self) -> list[Mapping[str, Any]]:
        return [each for each in self.tried if each["outcome"] == "survived"]


def load_verdicts(path: Path) -> dict[str, dict[str, str]]:
    """Why survivors stay: for each module `"function: changed line" = "reason"`; a name may end with `*`."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def verdict(name: str, given: Mapping[str, str]) -> str:
    """The reason under a survivor's name, or under the longest beginning of it; empty if there is none."""
    fitting = [key for key in given if key == name or (key.endswith("*") and name.startswith(key[:-1]))]
    return given[max(fitting, key=len)] if fitting else ""


def report(modules: Sequence[Module], verdicts: Mapping[str, Mapping[str, str]]) -> str:
    """The page."""
    rows = [(each.path, each.made, each.counts) for each in modules]
    total: Counter[str] = sum((counts for _, _, counts in rows), Counter())
    rows.append(("**all**", sum(made for _, made, _ in rows), total))
    columns = "| module | made | tried | killed | timed out | survived | no test kills |"
    lines = [HEAD, columns, "|---|--:|--:|--:|--:|--:|--:|", *(_row(*row) for row in rows)]
    if any(len(each.tried) < each.made for each in modules):
        lines += ["", "Where fewer were tried than made, they are a sample, drawn with a fixed seed."]
    reasons = Counter(
        verdict(one["name"], verdicts.get(each.path, {})).split(":")[0] or "open"
        for each in modules for one in each.survivors
    )  # fmt: skip
    if reasons:
        lines += ["", f"Survivors: {', '.join(f'{count} {word}' for word, count in reasons.most_common())}."]
    lines += ["", "## Survivors", ""]
    for each in modules:
        if each.survivors:
            lines += [f"### {each.path}", "", "| line | change | why it stays |", "|--:|---|---|"]
            lines += [_survivor(one, verdicts.get(each.path, {})) for one in each.survivors]
            lines.append("")
    if not any(each.survivors for each in modules):
        lines.append("None.")
    return "\n".join(lines).rstrip() + "\n"


def unused_verdicts(modules: Sequence[Module], verdicts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Verdicts on what does not survive any more (of modules that were tried in full)."""
    whole = [each for each in modules if len(each.tried) == each.made]
    return [
        f"{each.path}: {key}" for each in whole for key, reason in verdicts.get(each.path, {}).items()
        if not any(verdict(one["name"], {key: reason}) for one in each.survivors)
    ]  # fmt: skip


def _row(path: str, made: int, counts: Counter[str]) -> str:
    known = sum(counts.values()) - counts["broken"]
    share = f"{counts['survived'] / known:.1%}" if known else "-"
    killed, late, survived = (counts[name] for name in ("killed", "timed out", "survived"))
    return f"| {path} | {made} | {known} | {killed} | {late} | {survived} | {share} |"


def _survivor(each: Mapping[str, Any], verdicts: Mapping[str, str]) -> str:
    change = f"{_code(each['old'])} -> {_code(each['new'])} in {_code(each['name'])}"
    return f"| {each['line']} | {change} | {verdict(each['name'], verdicts) or '**open**'} |"


def _code(text: str) -> str:
    shown = " ".join(text.split()).replace("|", "\\|")
    shown = shown if len(shown) <= 110 else f"{shown[:107]}..."
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`" if shown else "nothing"
