"""`python -m helpers check-data`: what is wrong with a folder of labelled pictures, before training on it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from helpers.training.datasets import Dataset

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `check-data`."""
    command = commands.add_parser(
        "check-data", help="flaws of a folder of labelled pictures (YOLO, COCO or Pascal VOC form)"
    )
    command.add_argument("folder", type=Path, help="the folder, or the YAML file in it that describes it")
    command.add_argument("--form", choices=("yolo", "coco", "voc"), help="where the folder has several")
    command.add_argument("--names", help="class names in the order of the ids, separated by commas")
    command.add_argument("--decode", action="store_true", help="decode every picture, not only its header")
    command.add_argument(
        "--fix-report", action="store_true", help="also say what is left when every flaw is fixed"
    )
    command.set_defaults(run=_check)


def _say(line: object) -> None:
    """Print lines without what would steer a terminal."""
    for each in str(line).splitlines() or [""]:
        sys.stdout.write("".join(c if c.isprintable() else "?" for c in each) + "\n")


def _check(options: argparse.Namespace) -> int:
    """Print classes, boxes and pictures by split, and every flaw; 1 where there are any."""
    from tqdm import tqdm

    from helpers.training.datasets import open_dataset

    names = [name.strip() for name in options.names.split(",")] if options.names else None
    progress = partial(tqdm, unit="picture", leave=False, disable=None)
    dataset = open_dataset(
        options.folder, form=options.form, names=names, decode=options.decode, progress=progress
    )
    _say(f"{options.folder}: {dataset.form} form, {len(dataset.names)} classes")
    _say(dataset.counts())
    for note in dataset.notes:
        _say(f"note: {note}")
    for flaw in dataset.flaws:
        _say(flaw)
    _say(_verdict(dataset))
    if options.fix_report and dataset.flaws:
        _say("\nwith every flaw fixed:")
        _say(dataset.fixed().counts())
    return 1 if dataset.flaws else 0


def _verdict(dataset: Dataset) -> str:
    """How many flaws, of which kinds."""
    from helpers.training.flaws import count_by_kind

    if not dataset.flaws:
        return "no flaws"
    kinds = ", ".join(f"{count} {kind}" for kind, count in count_by_kind(dataset.flaws).items())
    return f"{len(dataset.flaws)} flaw{'s' if len(dataset.flaws) > 1 else ''}: {kinds}"
