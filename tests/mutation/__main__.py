"""python -m tests.mutation [module ...]: try the mutants, go on where the last run stopped, write the report.

    python -m tests.mutation                          every graph patch and every exercise checker
    python -m tests.mutation helpers/patches/nms.py   some of them
    python -m tests.mutation --sample 20              so many of each module, drawn with a fixed seed
    python -m tests.mutation --report                 only write docs/mutants.md from what is known

Outcomes are kept in build/mutants.jsonl. A mutant is tried again when its module has changed; a survivor also
when its tests have.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import report, trial
from .mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("helpers/patches/*.py", "helpers/course/exercises/lesson_*.py")
OUTCOMES, PAGE, VERDICTS = "build/mutants.jsonl", "docs/mutants.md", "tests/mutation/accepted.toml"
SEED = 7
Key = tuple[int, int, str]


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Carry the command out; 1 if a survivor has no reason to stay."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=str(__doc__).split("\n")[0])
    parser.add_argument("modules", nargs="*", help="files below helpers/; all targets if left out")
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants of each module")
    parser.add_argument("--report", action="store_true", help="try nothing")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no mutant after so long")
    options = parser.parse_args(arguments)
    if not options.report and not hasattr(os, "fork"):
        say("mutation: expected Linux or macOS, got a system without fork; fix: run it there, or --report")
        return 2
    paths = sorted(path for pattern in TARGETS for path in root.glob(pattern))
    targets = [path.relative_to(root).as_posix() for path in paths]
    if not options.report:
        end = time.monotonic() + options.minutes * 60
        for module in options.modules or targets:  # each with the project as it is by then
            with tempfile.TemporaryDirectory() as folder, trial.project_copy(root, Path(folder)) as copy:
                trial.warm_up()
                try_module(root, copy, module, options.sample, end)
    return write_report(root, targets if not options.modules or options.report else options.modules, targets)


def try_module(root: Path, copy: Path, module: str, sample: int | None, end: float) -> None:
    """Try what is not known yet of a module, and note each outcome at once."""
    source, known = (copy / module).read_text(encoding="utf-8"), outcomes(copy, root, module)
    left = [each for each in drawn(mutants_of(source), sample) if key(each) not in known]
    if not left:
        return
    tests = trial.tests_of(copy, module)
    trials = trial.Trials(copy, module, tests)
    try:
        trials.baseline()
    except RuntimeError as error:
        say(f"mutation: {error}")
        return
    marks = {"module": module, **digests(copy, module)}
    (root / OUTCOMES).parent.mkdir(exist_ok=True)
    with (root / OUTCOMES).open("a", encoding="utf-8") as file:
        for number, mutant in enumerate(left, 1):
            if time.monotonic() > end:
                return
            found = trials.try_one(source, mutant)
            file.write(json.dumps(marks | trial.record(mutant, found)) + "\n")
            file.flush()
            if found.outcome in ("survived", "timed out") or number == len(left):
                say(f"{number}/{len(left)} {module}:{mutant.line} {found.outcome}: {mutant.name(source)}")


def drawn(mutants: list[Mutant], sample: int | None) -> list[Mutant]:
    """All, or a sample in the order of the source."""
    if sample is None or sample >= len(mutants):
        return mutants
    chosen = sorted(random.Random(SEED).sample(range(len(mutants)), sample))
    return [mutants[index] for index in chosen]


def digests(root: Path, module: str) -> dict[str, str]:
    """Of a module and of its tests."""
    tests = trial.tests_of(root, module)
    return {"digest": trial.digest(root, [module]), "tests": trial.digest(root, tests)}


def key(mutant: Mutant | dict[str, Any]) -> Key:
    """What tells one mutant of a source from another."""
    each = mutant if isinstance(mutant, dict) else vars(mutant)
    return each["start"], each["end"], each["new"]


def outcomes(copy: Path, root: Path, module: str, *, stale: bool = False) -> dict[Key, dict[str, Any]]:
    """What is known of a module as it is now; a survivor of other tests only if `stale`."""
    path, now = root / OUTCOMES, digests(copy, module)
    found: dict[Key, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        each = json.loads(line)
        if each["module"] == module and each["digest"] == now["digest"]:
            found[key(each)] = each
    return {
        name: each for name, each in found.items()
        if stale or each["outcome"] != "survived" or each["tests"] == now["tests"]
    }  # fmt: skip


def write_report(root: Path, shown: list[str], targets: list[str]) -> int:
    """Write the page of all targets; say how the `shown` ones stand; 1 if something is open."""
    modules = []
    for path in targets:
        source = (root / path).read_text(encoding="utf-8")
        known, made = outcomes(root, root, path, stale=True), mutants_of(source)
        tried = [{**known[key(each)], "name": each.name(source)} for each in made if key(each) in known]
        modules.append(report.Module(path, len(made), tried))
    verdicts = report.load_verdicts(root / VERDICTS)
    page = root / PAGE
    page.parent.mkdir(exist_ok=True)
    page.write_text(report.report(modules, verdicts), encoding="utf-8")
    for line in report.unused_verdicts(modules, verdicts):
        say(f"killed by now, take it out of {VERDICTS}: {line}")
    open_ones = [
        one for each in modules if each.path in shown for one in each.survivors
        if not report.verdict(one["name"], verdicts.get(each.path, {}))
    ]  # fmt: skip
    say(f"{PAGE} written; survivors without a reason: {len(open_ones)}")
    return 1 if open_ones else 0


def say(line: str) -> None:
    """Print, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
