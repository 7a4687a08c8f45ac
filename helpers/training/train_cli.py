"""`python -m helpers train FOLDER`: a detector for one's own pictures, from any labelled folder."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.arguments import folder, number, whole

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `train`."""
    command = commands.add_parser(
        "train", help="a detector for your own pictures (folder in YOLO, COCO or Pascal VOC form)"
    )
    command.add_argument("folder", type=Path, help="the pictures with their labels, or the YAML file there")
    command.add_argument("--form", choices=("yolo", "coco", "voc"), help="where the folder has several")
    command.add_argument(
        "--flaws", choices=("stop", "fix"), default="stop", help="what to do about wrong labels (stop)"
    )
    command.add_argument(
        "--start", default="blood-cells",
        help="checkpoint by name or path, '' for nothing (blood-cells; everyday photographs do better with "
        "yolov7-tiny, fetched once)",
    )  # fmt: skip
    command.add_argument(
        "--variant", default="yolov7-tiny", help="what to build where nothing is started from (yolov7-tiny)"
    )
    command.add_argument("--width", type=number(0.05, 4), default=1.0, help="its channels, as a factor (1)")
    command.add_argument("--out", type=folder, help="folder of the run (build/train/FOLDER)")
    _add_plan(command)
    _add_machine(command)
    command.set_defaults(run=_train)


def _add_plan(command: argparse.ArgumentParser) -> None:
    length = command.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=number(0), default=100.0, help="times through the pictures (100)")
    length.add_argument("--steps", type=whole(1), help="steps of the optimiser, instead")
    command.add_argument("--batch", type=whole(1), default=8, help="pictures per batch (8)")
    command.add_argument("--accumulate", type=whole(1), default=1, help="batches per step (1)")
    command.add_argument("--size", type=whole(64), default=640, help="input size at detection (640)")
    command.add_argument(
        "--window", type=whole(64), help="train on windows of this side (from the objects' sizes)"
    )
    command.add_argument(
        "--peak", type=number(0), help="highest learning rate (0.002; 0.001 from a checkpoint)"
    )
    command.add_argument(
        "--anchors", choices=("check", "keep", "fit"), default="check",
        help="refit them where they do not fit, never, or always (check)",
    )  # fmt: skip
    command.add_argument(
        "--any-way-up", action="store_true", help="the pictures have no up: turn them, as for cells"
    )
    command.add_argument("--seed", type=whole(0), default=0)


def _add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    command.add_argument("--workers", type=whole(0), default=1, help="processes that prepare batches (1)")
    command.add_argument("--evaluate-every", type=whole(1), help="steps (eight times a run)")
    command.add_argument("--save-every", type=whole(1), default=250, help="steps (250)")
    command.add_argument("--stop-at", type=whole(0), help="stop after this step; run again to go on")


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run_name(data: Path) -> str:
    """The data's folder; `data.yaml` is what the file in all of them is called."""
    data = data.resolve()
    return data.parent.name if data.is_file() else data.name


def _train(options: argparse.Namespace) -> int:
    """Open, check, train, evaluate; says how to go on."""
    from tqdm import tqdm

    from helpers.training.datasets import open_dataset
    from helpers.training.project import Plan, train_folder

    progress = partial(tqdm, unit="picture", leave=False, disable=None)
    dataset = open_dataset(options.folder, form=options.form, progress=progress)
    if dataset.flaws and options.flaws == "fix":
        count = f"{len(dataset.flaws)} flaw{'s' if len(dataset.flaws) > 1 else ''}"
        _say(f"{count} fixed; python -m helpers check-data {options.folder} lists them")
    dataset = dataset.fixed() if options.flaws == "fix" else dataset.require_clean()
    _say(dataset.counts())
    plan = Plan(
        out=options.out or Path("build/train") / _run_name(options.folder), start=options.start,
        variant=options.variant, width=options.width, epochs=options.epochs, steps=options.steps,
        batch=options.batch, accumulate=options.accumulate, size=options.size, window=options.window,
        peak=options.peak, anchors=options.anchors, any_way_up=options.any_way_up, seed=options.seed,
        device=options.device, workers=options.workers, evaluate_every=options.evaluate_every,
        save_every=options.save_every,
    )  # fmt: skip
    result = train_folder(dataset, plan, say=_say, stop_at=options.stop_at, progress=progress)
    if result.training.interrupted:
        _say(f"stopped after step {result.training.step}, all saved; the same command goes on")
        return 130 if options.stop_at is None else 0
    if result.report is not None:
        _say(result.report.to_table())
    _say(f"{result.line}\npython -m helpers convert {result.weights} --out {plan.out}")
    return 0
