"""`python -m helpers evaluate`: average precision on COCO's or on Pascal VOC's labels."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `evaluate`."""
    command = commands.add_parser("evaluate", help="average precision on COCO's or Pascal VOC's labels")
    command.add_argument(
        "model", nargs="?", help="a checkpoint, by name or path; with --coco also an .onnx or .engine"
    )
    command.add_argument("--model", dest="model_option", metavar="MODEL", help="the same")
    data = command.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--data", type=Path, help="Pascal VOC: folder with JPEGImages, Annotations and the list"
    )
    data.add_argument("--coco", type=Path, help="COCO: folder of the labels and the pictures")
    command.add_argument("--list", default="val.txt", help="VOC: text file of picture names (val.txt)")
    command.add_argument(
        "--annotations", default="annotations/instances_val2017.json",
        help="COCO: the labels (annotations/instances_val2017.json)",
    )  # fmt: skip
    command.add_argument("--pictures", default="val2017", help="COCO: folder of the pictures (val2017)")
    command.add_argument("--limit", type=int, help="COCO: the first so many pictures only")
    command.add_argument(
        "--one-label", action="store_true", help="COCO: one class a box, as finished graphs do"
    )
    command.add_argument(
        "--trust-engine", action="store_true", help="COCO: load an engine that was not built here"
    )
    command.add_argument(
        "--size", type=int, help="side of a checkpoint's square input (640; with --coco, 1280 for P6 models)"
    )
    command.set_defaults(run=_evaluate)


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _evaluate(options: argparse.Namespace) -> None:
    model = options.model_option or options.model
    if not model or (options.model_option and options.model):
        raise ValueError("model: expected one, as the first word or after --model")
    if options.coco:
        _evaluate_coco(options, model)
    else:
        _evaluate_voc(options, model)


def _evaluate_voc(options: argparse.Namespace, model: str) -> None:
    from helpers.checkpoint import load_checkpoint
    from helpers.download import find_checkpoint
    from helpers.export import check_size
    from helpers.network import build_network, fuse
    from helpers.training.datasets import Samples, read_voc
    from helpers.training.evaluation import evaluate
    from helpers.training.prediction import predictor

    checkpoint, size = load_checkpoint(find_checkpoint(model)), options.size or 640
    samples = Samples(read_voc(options.data, options.list, checkpoint.names))
    check_size((size, size), max(checkpoint.architecture.strides))
    _say(f"{len(samples)} pictures of {options.data / options.list}")
    report = evaluate(predictor(fuse(build_network(checkpoint)), size), samples, checkpoint.names)
    _say(report.to_table())


def _evaluate_coco(options: argparse.Namespace, model: str) -> None:
    from tqdm import tqdm

    from helpers.counts import PUBLISHED
    from helpers.download import find_checkpoint
    from helpers.training.coco import CocoFolder, evaluate_coco
    from helpers.training.file_prediction import file_predictor

    folder = CocoFolder(options.coco, options.annotations, options.pictures)
    folder.read()  # before the model, which takes longer
    path = Path(model) if Path(model).suffix in (".onnx", ".engine") else find_checkpoint(model)
    predict, names, line = file_predictor(
        path, size=options.size, multi_label=not options.one_label, trust_engine=options.trust_engine
    )
    _say(f"{path.name}: {line}")
    progress = partial(tqdm, unit="picture", leave=False, disable=None)
    _say(evaluate_coco(predict, folder, names, limit=options.limit, progress=progress))
    if model in PUBLISHED:
        _say(f"published, on all of val2017, several classes a box: AP {PUBLISHED[model].ap_val}%")
    if model == "yolov7-tiny":
        _say("(the published figure is of tiny-SiLU; this file has LeakyReLU)")
