"""The command line: `python -m helpers convert best.pt` makes every file; each step also runs alone."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from helpers.convert import Recipe, convert
from helpers.download import find_checkpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when all went well, 1 when it failed (one line on stderr says why), 2 when the arguments are wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except KeyboardInterrupt:
        print("interrupted; files that were finished stay", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError) as error:
        if os.environ.get("YOLOV7_TRACEBACK"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers", description=__doc__, epilog="YOLOV7_TRACEBACK=1 shows where an error came from."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("convert", help="checkpoint -> raw, end-to-end and Ultralytics ONNX")
    _model(command)
    _recipe(command)
    command.add_argument("--out", type=Path, default=Path("build"), help="parent of the model's folder (build)")
    command.add_argument("--force", action="store_true", help="make files again that are current")
    command.set_defaults(run=_convert)
    command = commands.add_parser("export", help="checkpoint -> raw ONNX")
    _model(command)
    _size(command)
    command.add_argument("--out", type=Path, help="the .onnx file (default: beside the checkpoint)")
    command.set_defaults(run=_export)
    command = commands.add_parser("patch", help="raw or [M,7] end-to-end ONNX -> the graph Ultralytics reads")
    command.add_argument("model", type=Path, help="an .onnx file")
    command.add_argument("--out", type=Path, help="the new file (default: MODEL-ultralytics.onnx)")
    command.add_argument("--names", help="class names, separated by commas, or 'coco', where the file has none")
    command.add_argument("--stride", type=int, help="largest stride, where the file does not say (32)")
    _thresholds(command)
    command.set_defaults(run=_patch)
    command = commands.add_parser("detect", help="pictures -> boxes")
    command.add_argument("model", type=Path, help="an end-to-end or patched .onnx file")
    command.add_argument("source", help="a picture, a folder, a pattern, or a video")
    command.add_argument("--out", type=Path, default=Path("build/pictures"), help="folder of the drawn pictures")
    command.add_argument("--conf", type=float, default=0.0, help="drop boxes that score less (the graph's own limit stays)")
    command.set_defaults(run=_detect)
    command = commands.add_parser("evaluate", help="average precision on pictures with Pascal VOC boxes")
    _model(command)
    command.add_argument("--data", type=Path, required=True, help="folder with JPEGImages, Annotations and the list")
    command.add_argument("--list", default="val.txt", help="text file of picture names (val.txt)")
    _size(command)
    command.set_defaults(run=_evaluate)
    _add_course(commands)
    return parser


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", help="best.pt, a .safetensors, blood-cells, or an official name such as yolov7-tiny")


def _size(command: argparse.ArgumentParser) -> None:
    command.add_argument("--size", type=_parse_size, default=(640, 640), help="input size: 640, or 640x480 (width x height)")
    command.add_argument("--dynamic-batch", action="store_true", help="leave the batch open in raw and end-to-end graph")


def _thresholds(command: argparse.ArgumentParser) -> None:
    command.add_argument("--iou", type=float, default=0.65, help="overlap above which the weaker box goes (0.65)")
    command.add_argument("--conf", type=float, default=0.35, help="score that a box must exceed (0.35)")
    command.add_argument("--topk", type=int, default=100, help="most boxes a picture, and slots of the output (100)")
    command.add_argument("--max-wh", type=float, help="pixels between classes in the NMS (default: safe; official: 640)")


def _recipe(command: argparse.ArgumentParser) -> None:
    _size(command)
    _thresholds(command)


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 640 or 640x480 (width x height), got {text!r}") from None


def _convert(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    recipe = Recipe(options.size, options.iou, options.conf, options.topk, options.max_wh, options.dynamic_batch)
    files = convert(
        find_checkpoint(options.model), options.out, recipe=recipe, force=options.force, progress=lambda s: print(f"  {s}")
    )
    for path in (files.raw, files.end2end, files.ultralytics):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    print(f"done in {time.perf_counter() - started:.1f} s; use it: YOLO({str(files.ultralytics)!r}, task='detect')")


def _export(options: argparse.Namespace) -> None:
    from helpers.convert import export_checkpoint

    checkpoint = find_checkpoint(options.model)
    path = options.out or checkpoint.with_suffix(".onnx")
    export_checkpoint(checkpoint, path, Recipe(options.size, dynamic_batch=options.dynamic_batch))
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


def _patch(options: argparse.Namespace) -> None:
    from helpers.convert import patch_file
    from helpers.patches.metadata import COCO_NAMES

    recipe = Recipe(
        iou_threshold=options.iou, score_threshold=options.conf, max_detections=options.topk, class_offset=options.max_wh
    )
    path = options.out or options.model.with_name(f"{options.model.stem}-ultralytics.onnx")
    names = COCO_NAMES if options.names == "coco" else tuple(options.names.split(",")) if options.names else None
    for line in patch_file(options.model, path, recipe, names=names, stride=options.stride):
        print(f"  {line}")
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


def _detect(options: argparse.Namespace) -> int:
    from helpers.detector import Detector
    from helpers.drawing import draw
    from helpers.images import save_image

    detector = Detector(options.model, score_threshold=options.conf)
    if Path(options.source).suffix.lower() in {".mp4", ".avi", ".mov", ".mkv", ".webm"}:
        target = options.out / f"{Path(options.source).stem}.mp4"
        frames = detector.annotate_video(options.source, target)
        print(f"{frames} frames -> {target}")
        return 0
    failed = 0
    for result in detector.detect_many(options.source, on_error="record"):
        name = result.path.name if result.path else "picture"
        if result.error:
            failed += 1
            print(f"{name}: not read: {result.error}", file=sys.stderr)
            continue
        drawn = options.out / f"{Path(name).stem}.jpg"
        save_image(drawn, draw(result.image_bgr, result.detections, detector.names))
        print(f"{name}: {result.detections.summary(detector.names)} -> {drawn}")
    return 1 if failed else 0


def _evaluate(options: argparse.Namespace) -> None:
    from helpers.checkpoint import load_checkpoint
    from helpers.network import build_network, fuse
    from helpers.training.datasets import Samples, read_voc
    from helpers.training.evaluation import evaluate, predictor

    checkpoint = load_checkpoint(find_checkpoint(options.model))
    samples = Samples(read_voc(options.data, options.list, checkpoint.names))
    print(f"{len(samples)} pictures of {options.data / options.list}")
    report = evaluate(predictor(fuse(build_network(checkpoint)), max(options.size)), samples, checkpoint.names)
    print(report.to_table())


def _add_course(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from helpers.course.cli import add_parser

    add_parser(commands)


if __name__ == "__main__":
    raise SystemExit(main())
