"""The command line: `python -m helpers convert best.pt` makes every file; each step also runs alone."""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.arguments import (
    add_thresholds,
    class_names,
    folder,
    new_onnx_file,
    number,
    picture_size,
    show_every_letter,
)
from helpers.convert import Recipe, convert, export_checkpoint
from helpers.download import find_checkpoint
from helpers.patch_cli import progress, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helpers.detector import Detector

FORMS = {
    "half": "the FP16 form, for engines",
    "batched": "the form for any number of pictures",
    "picture": "the form that takes a raw picture",
    "int8": "the INT8 form, for CPUs",
}
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when all went well, 1 when it failed (one line on stderr says why), 2 when the arguments are wrong.
    """
    show_every_letter()
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except KeyboardInterrupt:
        print("interrupted; files that were finished stay", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        if os.environ.get("YOLOV7_TRACEBACK"):
            raise
        _complain(_in_words(error))
        return 1


def _in_words(error: Exception) -> str:
    """What went wrong and what to do; our own errors say both already."""
    if isinstance(error, ImportError):
        return f"{error}; fix: python bootstrap.py setup"
    if isinstance(error, OSError) and error.strerror:
        fix = "check the path, its permissions and the free space"
        return f"{error.filename or 'a file'}: {error.strerror}; fix: {fix}"
    return str(error)


def _complain(error: str) -> None:
    """One line, without what would steer a terminal."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(error.split()))
    print(f"error: {line}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers",
        description=__doc__,
        epilog="YOLOV7_TRACEBACK=1 shows where an error came from.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_files(commands)
    _add_pictures(commands)
    from helpers import benchmark_cli, engine_cli, patch_cli, scale_cli
    from helpers.course import cli as course
    from helpers.training import cli as training
    from helpers.training import data_cli, train_cli

    patch_cli.add_parser(commands)
    engine_cli.add_parser(commands)
    scale_cli.add_parser(commands)
    train_cli.add_parser(commands)
    training.add_parser(commands)
    data_cli.add_parser(commands)
    benchmark_cli.add_parser(commands)
    course.add_parser(commands)
    return parser


def _add_files(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("convert", help="checkpoint -> raw, end-to-end and Ultralytics ONNX")
    _model(command)
    _size(command)
    add_thresholds(command)
    command.add_argument(
        "--out", type=folder, default=Path("build"), help="parent of the model's folder (build)"
    )
    command.add_argument("--names", help="class names, separated by commas, instead of the checkpoint's")
    command.add_argument("--force", action="store_true", help="make files again that are current")
    for form, text in FORMS.items():
        command.add_argument(f"--{form}", action="store_true", help=f"also make {text}")
    command.add_argument("--pictures", type=Path, help="folder of pictures that INT8 is calibrated on")
    command.set_defaults(run=_convert)
    command = commands.add_parser("export", help="checkpoint -> raw ONNX")
    _model(command)
    _size(command)
    command.add_argument(
        "--out", type=new_onnx_file, help="the .onnx file (default: the checkpoint's name, in this folder)"
    )
    command.set_defaults(run=_export)


def _add_pictures(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("detect", help="pictures or a video -> boxes")
    command.add_argument("model", type=Path, help="an end-to-end or patched .onnx file, or a .engine")
    command.add_argument("source", nargs="+", help="pictures, a folder, a pattern, or a video")
    command.add_argument(
        "--out", type=folder, default=Path("build/pictures"), help="folder of the drawn pictures"
    )
    command.add_argument(
        "--conf", type=number(0, 1), default=0.0, help="drop boxes below (the graph's own limit stays)"
    )
    command.add_argument("--trust-engine", action="store_true", help="load an engine that was not built here")
    command.set_defaults(run=_detect)


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "model", help="best.pt, a .safetensors, blood-cells, or an official name such as yolov7-tiny"
    )


def _size(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--size", type=picture_size, default=(640, 640), help="input size: 640, or 640x480 (width x height)"
    )
    command.add_argument(
        "--dynamic-batch", action="store_true", help="leave the batch open in raw and end-to-end graph"
    )


def _convert(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    recipe = Recipe(
        options.size, options.iou, options.conf, options.topk, options.max_wh, options.dynamic_batch,
        options.half, options.batched, options.picture, options.int8, options.pictures,
    )  # fmt: skip
    checkpoint = find_checkpoint(options.model)
    files = convert(
        checkpoint, options.out, recipe=recipe, names=class_names(options.names), force=options.force,
        progress=progress,
    )  # fmt: skip
    for path in files.made_by(recipe):
        report(path)
    seconds = time.perf_counter() - started
    print(f"done in {seconds:.1f} s; use it: YOLO({str(files.ultralytics)!r}, task='detect')")


def _export(options: argparse.Namespace) -> None:
    checkpoint = find_checkpoint(options.model)
    path = options.out or Path(f"{checkpoint.stem}.onnx")
    export_checkpoint(checkpoint, path, Recipe(options.size, dynamic_batch=options.dynamic_batch))
    report(path)


def _detect(options: argparse.Namespace) -> int:
    from helpers.detector import Detector
    from helpers.drawing import draw
    from helpers.images import save_image

    detector = Detector(options.model, score_threshold=options.conf, trust=options.trust_engine)
    source = options.source if len(options.source) > 1 else options.source[0]
    if len(options.source) == 1 and Path(source).suffix.lower() in VIDEOS:
        return _detect_video(detector, Path(source), options.out)
    failed, taken = 0, set[Path]()
    for result in detector.detect_many(source, on_error="record"):
        name = result.path or Path("picture")
        if result.error:
            failed += 1
            _complain(result.error)
            continue
        drawn = _drawn_path(options.out, name, taken)
        save_image(drawn, draw(result.image_bgr, result.detections, detector.names))
        print(f"{name.name}: {result.detections.summary(detector.names)} -> {drawn}")
    return 1 if failed else 0


def _drawn_path(out: Path, picture: Path, taken: set[Path]) -> Path:
    """Where a drawn picture goes: on none that was drawn before it, and on none that was read."""
    if out.resolve() == picture.resolve().parent:
        raise ValueError(f"--out: expected another folder than the pictures', got {out}; fix: name another")
    names = chain((picture.stem, picture.name), (f"{picture.stem}-{number}" for number in count(2)))
    path = next(path for name in names if (path := out / f"{name}.jpg") not in taken)
    taken.add(path)
    return path


def _detect_video(detector: Detector, source: Path, out: Path) -> int:
    from helpers.drawing import draw
    from helpers.video import frame_rate, write_video

    target = out / f"{source.stem}-boxes.mp4"
    drawn = (draw(r.image_bgr, r.detections, detector.names) for r in detector.detect_video(source))
    frames = write_video(target, drawn, frames_per_second=frame_rate(source))
    print(f"{source.name}: {frames} frames -> {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
