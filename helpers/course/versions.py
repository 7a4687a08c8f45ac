"""`course versions`: what is installed here, and what moved since the lock was tested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from helpers.course.place import repository
from helpers.course.report import publish

__all__ = ["Moved", "compare", "installed", "locked", "markdown", "show"]

OURS = "yolov7-graph-surgery"


@dataclass(frozen=True)
class Moved:
    """Packages that are not as the lock has them.

    Attributes:
        changed: Name, version in the lock and version here.
        new: Name and version of what the lock does not have.
        gone: Name and version of what the lock has for this system and is not installed.
    """

    changed: tuple[tuple[str, str, str], ...]
    new: tuple[tuple[str, str], ...]
    gone: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """A line for each package that moved; what came or went in one line.

        >>> print(compare({"onnx": "1.23.2", "lark": "1"}, {"onnx": "1.24.0", "ruff": "1"}))
        moved since the lock: onnx 1.23.2 -> 1.24.0
        not in the lock: ruff 1
        in the lock, not here: lark 1
        """
        lines = [f"moved since the lock: {name} {old} -> {new}" for name, old, new in self.changed]
        lines = lines or ["nothing moved since the lock"]
        for title, found in (("not in the lock", self.new), ("in the lock, not here", self.gone)):
            if found:
                lines.append(f"{title}: {', '.join(f'{name} {version}' for name, version in found)}")
        return "\n".join(lines)


def show() -> str:
    """Everything installed and what moved, as text; in GitHub Actions on the run's summary page, too."""
    here = installed()
    moved = compare(locked("gpu" if "onnxruntime-gpu" in here else "cpu"), here)
    publish(markdown(moved, here))
    return "\n".join([*(f"{name}=={version}" for name, version in here.items()), "", str(moved)])


def compare(lock: Mapping[str, str], here: Mapping[str, str]) -> Moved:
    """What differs between two tables of name and version; a build's mark (`+cpu`) does not count."""
    changed = [
        (name, lock[name], here[name])
        for name in sorted(lock.keys() & here.keys())
        if lock[name].partition("+")[0] != here[name].partition("+")[0]
    ]
    new = [(name, here[name]) for name in sorted(here.keys() - lock.keys() - {OURS})]
    gone = [(name, lock[name]) for name in sorted(lock.keys() - here.keys())]
    return Moved(tuple(changed), tuple(new), tuple(gone))


def installed() -> dict[str, str]:
    """Name and version of every package here, in order; of two copies the one that Python finds first."""
    found: dict[str, str] = {}
    for package in distributions():
        if name := package.metadata["Name"]:
            found.setdefault(_plain(name), package.version)
    return dict(sorted(found.items()))


def locked(kind: str = "cpu", folder: Path | None = None) -> dict[str, str]:
    """Name and version of every package that the lock has for this system and Python.

    Args:
        kind: `cpu` or `gpu`.
        folder: `requirements` by default.
    """
    from packaging.requirements import Requirement

    folder = folder or repository() / "requirements"
    found = {}
    for file in (folder / "lock.txt", folder / f"lock-{kind}.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            text = line.partition("#")[0].strip()
            wanted = Requirement(text) if text else None
            if wanted and (wanted.marker is None or wanted.marker.evaluate()):
                found[_plain(wanted.name)] = str(wanted.specifier).removeprefix("==")
    return found


def markdown(moved: Moved, here: Mapping[str, str]) -> str:
    """The same for a page: what moved as a table, everything folded away under it.

    >>> print(markdown(compare({"onnx": "1.23.2"}, {"onnx": "1.24.0"}), {"onnx": "1.24.0"}).splitlines()[4])
    | onnx | 1.23.2 | 1.24.0 |
    """
    lines = ["### Moved since the lock", ""]
    if moved.changed:
        lines += ["| package | lock | here |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in moved.changed]
    else:
        lines.append("Nothing.")
    everything = "\n".join(f"{name}=={version}" for name, version in here.items())
    lines += ["", f"<details><summary>{len(here)} packages</summary>", "", "```text", everything, "```"]
    return "\n".join([*lines, "", "</details>", "", ""])


def _plain(name: str) -> str:
    """A package's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()
