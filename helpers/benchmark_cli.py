"""`python -m helpers benchmark`: runs the package `benchmarks` of the clone, which is not installed."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `benchmark`; its options are those of `python -m benchmarks`."""
    command = commands.add_parser(
        "benchmark", help="our path and its peers, timed side by side (--list names the rows)",
        add_help=False, prefix_chars="\0",
    )  # fmt: skip - with no prefix that can be typed, every word is handed on as it is
    command.add_argument("options", nargs="*")
    command.set_defaults(run=_benchmark)


def _benchmark(options: argparse.Namespace) -> int:
    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise ValueError("benchmark: expected to be in a clone of the repository, got an installed package")
    command = [sys.executable, "-m", "benchmarks", *options.options]
    return subprocess.run(command, cwd=root, check=False).returncode
