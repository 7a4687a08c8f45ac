"""`python -m helpers evaluate`: average precision on a folder of labelled pictures, or on COCO itself."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from helpers.training.datasets import Dataset, Sample
    from helpers.training.file_prediction import Predict

__all__ = ["add_parser", "renumbered"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `evaluate`."""
    command = commands.add_parser("evaluate", help="average precision on your labelled pictures, or on COCO")
    command.add_argument("model", nargs="?", help="a checkpoint, by name or path; an .onnx or .engine")
    command.add_argument("--model", dest="model_option", metavar="MODEL", help="the same")
    data = command.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, help="labelled pictures in YOLO, COCO or Pascal VOC form")
    data.add_argument("--coco", type=Path, help="COCO itself: folder of the labels and the pictures")
    command.add_argument("--split", default="val", help="--data: which part of it (val)")
    command.add_argument(
        "--details", action="store_true", help="--data: confusion matrix, and mistakes by kind"
    )
    command.add_argument(
        "--annotations", default="annotations/instances_val2017.json",
        help="COCO: the labels (annotations/instances_val2017.json)",
    )  # fmt: skip
    command.add_argument("--pictures", default="val2017", help="COCO: folder of the pictures (val2017)")
    command.add_argument("--limit", type=int, help="COCO: the first so many pictures only")
    command.add_argument(
        "--one-label", action="store_true", help="COCO: one class a box, as finished graphs do"
    )
    command.add_argument("--trust-engine", action="store_true", help="load an engine that was not built here")
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
        _evaluate_folder(options, model)


def _evaluate_folder(options: argparse.Namespace, model: str) -> None:
    from helpers.training.datasets import open_dataset
    from helpers.training.evaluation import evaluate
    from helpers.training.mistakes import count_mistakes

    dataset = open_dataset(options.data, held_out=False)
    if options.split not in dataset.splits:  # the pictures that training without such a split held out
        dataset = open_dataset(options.data)
    if dataset.flaws:
        _say(f"{len(dataset.flaws)} flaws left out; python -m helpers check-data {options.data} lists them")
    dataset = dataset.fixed()
    predict, names = _predictor(options, model)
    samples = renumbered(dataset, options.split, names)
    _say(f"{len(samples)} pictures of {options.data}, {options.split}")
    if absent := [name for name in names if name not in dataset.names]:
        which = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        counted = "their boxes are wrong by definition: in precision, matrix and mistakes, not in AP"
        _say(f"{len(absent)} of the model's {len(names)} classes are not in the data ({which}); {counted}")
    report = evaluate(predict, samples, names)
    _say(report.to_table())
    if options.details:
        _say(f"\nat score 0.25 and IoU 0.5:\n{report.confusion().to_table()}")
        _say(", ".join(f"{count} {kind}" for kind, count in count_mistakes(report.mistakes()).items()))


def renumbered(dataset: Dataset, split: str, names: Sequence[str]) -> list[Sample]:
    """The samples of a split with a model's class ids, by the classes' names.

    Raises:
        DatasetError: There is no such split, or the model does not know a class.
    """
    from helpers.training.datasets import DatasetError, Sample

    unknown = [name for name in dataset.names if name not in names]
    if unknown:
        raise DatasetError(
            f"classes: expected some of the model's, {', '.join(names[:8])}; got {', '.join(unknown[:8])}. "
            "Fix: rename them in the data, or name another model"
        )
    ids = [names.index(name) for name in dataset.names]
    return [
        Sample.of(each.image_bgr, each.boxes_xyxy, [ids[index] for index in each.class_ids])
        for each in dataset.samples(split)
    ]


def _predictor(options: argparse.Namespace, model: str) -> tuple[Predict, tuple[str, ...]]:
    """What looks at the pictures, and its class names."""
    from helpers.checkpoint import load_checkpoint
    from helpers.download import find_checkpoint
    from helpers.export import check_size
    from helpers.network import build_network, fuse
    from helpers.training.file_prediction import file_predictor
    from helpers.training.prediction import predictor

    if Path(model).suffix in (".onnx", ".engine"):
        predict, names, line = file_predictor(
            Path(model), multi_label=False, trust_engine=options.trust_engine
        )
        _say(f"{Path(model).name}: {line}")
        return predict, names
    checkpoint, size = load_checkpoint(find_checkpoint(model)), options.size or 640
    check_size((size, size), max(checkpoint.architecture.strides))
    return predictor(fuse(build_network(checkpoint)), size), checkpoint.names


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
