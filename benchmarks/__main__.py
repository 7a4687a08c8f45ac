"""`make benchmark`: our path and its peers side by side, and every number against its target."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.bench import Bench, NotHereError
from benchmarks.cases import CASES
from benchmarks.figure import draw
from benchmarks.row import Row

ROOT = Path(__file__).resolve().parents[1]
QUICK = {"size": 64, "rounds": 3, "quick": True}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 0, 1 where a case failed, 3 where the machine is busy."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{name:12}{(case.__doc__ or '').strip()}" for name, case in CASES.items()))
        return 0
    try:
        return _render(options.render) if options.render else _run(options)
    except (ValueError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="ROW", help="these rows alone")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--quick", action="store_true", help="small and few: to see that it runs")
    parser.add_argument("--model", default="blood-cells", help="blood-cells, an official name, a checkpoint")
    parser.add_argument("--size", type=int, help="side of the network's input, px (640)")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (25)")
    parser.add_argument("--threads", type=int, help="of every session (all cores)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: processor time of one thread, which a busy machine hardly changes",
    )  # fmt: skip
    parser.add_argument(
        "--no-peers", dest="peers", action="store_false", help="without Ultralytics and OpenVINO"
    )
    parser.add_argument(
        "--busy-ok", action="store_true", help="go on where others use the machine; judges nothing"
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="write benchmarks/results, the README's tables and docs/benchmark.svg",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/benchmark"), help="where files and results go"
    )
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="only tables and figure, of this results file"
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in ("size", "rounds", "threads")}
    settings = (QUICK if options.quick else {}) | {
        name: value for name, value in given.items() if value is not None
    }
    if options.clock == "cpu":
        settings = {"threads": 1} | settings
    bench = Bench(
        model=options.model, folder=options.out, peers=options.peers, clock=options.clock, **settings
    )  # fmt: skip
    share = machine.busy_share()
    quiet = share is None or share <= machine.BUSY
    if not quiet and not options.busy_ok:
        print(
            f"others use {share:.0%} of this machine: wait, or go on with --busy-ok; then nothing is judged",
            file=sys.stderr,
        )
        return 3
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.only or list(CASES)
    rows, failed = [], 0
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}", flush=True)
        row, ok = _one(name, bench)
        rows.append(row)
        failed += not ok
    data = results(rows, bench, quiet=quiet)
    path = options.out / f"{machine.host_kind(data['device'])}.json"
    report.write_results(path, data)
    print(f"\n{report.checks_table(data)}\n\n{path}")
    if options.save:
        _save(data, path.name, quick=options.quick)
    return 1 if failed else 0


def _one(name: str, bench: Bench) -> tuple[Row, bool]:
    """Run one case; a case that cannot run here, or fails, is a row that says so."""
    others = machine.Others()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row, ok = CASES[name](bench), True
    except NotHereError as reason:
        row, ok = (
            Row(name, (CASES[name].__doc__ or name).strip().rstrip("."), "nothing", not_run=[str(reason)]),
            True,
        )
    except Exception as error:  # noqa: BLE001 - one row must not cost the others
        said = f"failed: {type(error).__name__}: {error}"
        row, ok = (
            Row(name, (CASES[name].__doc__ or name).strip().rstrip("."), "nothing", not_run=[said]),
            False,
        )
        print(f"  {said}", file=sys.stderr)
    row.others = others.stop()
    for line in row.not_run:
        print(f"  not run: {line}")
    return row, ok


def results(rows: Sequence[Row], bench: Bench, *, quiet: bool) -> dict[str, Any]:
    """All that a results file says. A row during which others took a share of the machine is not judged."""
    plain = []
    for row in rows:
        calm = quiet and not bench.quick and (row.others is None or row.others <= machine.BUSY)
        plain.append(row.to_dict(quiet=calm) | {"quiet": calm})
    return {
        "schema": report.SCHEMA, "when": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": machine.device(), "versions": machine.versions(), "quick": bench.quick,
        "quiet": all(row["quiet"] for row in plain) or (quiet and bench.quick),
        "settings": {
            "model": bench.model, "size": bench.size, "rounds": bench.rounds, "threads": bench.threads,
            "clock": bench.clock,
        },
        "rows": plain,
    }  # fmt: skip


def _save(data: dict[str, Any], name: str, *, quick: bool) -> None:
    if quick or data["settings"]["clock"] != "wall":
        raise ValueError(
            "--save: expected a full run in wall time, got --quick or --clock cpu; leave that out"
        )
    noisy = [row["id"] for row in data["rows"] if not row["quiet"]]
    if noisy:
        raise ValueError(
            f"--save: expected a quiet machine, got one that others used during {', '.join(noisy)}"
        )
    path = ROOT / "benchmarks" / "results" / name
    old = report.read_results(path) if path.is_file() else None
    report.write_results(path, report.merged(old, data))
    _render(path)


def _render(path: Path) -> int:
    data = report.read_results(path)
    report.into_readme(ROOT / "benchmarks" / "README.md", data)
    size = draw(data, ROOT / "docs" / "benchmark.svg")
    print(f"benchmarks/README.md, docs/benchmark.svg ({size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
