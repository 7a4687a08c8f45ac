"""`python -m helpers patch`: an ONNX file of ours or of the official exporter, in the form that is wanted."""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.arguments import add_thresholds, class_names, new_onnx_file, whole
from helpers.convert import patch_file
from helpers.onnx_file import edit_file, is_raw, read_onnx
from helpers.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from helpers.patches import PatchResult

__all__ = ["add_parser", "progress", "report"]

FORMS = {
    "ultralytics": "for Ultralytics and TensorRT (default)",
    "batched": "for any number of pictures at once",
    "picture": "a raw picture in, boxes in its own pixels out",
    "letterbox": "only the first half of it: a raw picture in",
    "boxes": "only the second half: boxes in the picture's own pixels out",
    "bytes": "uint8 [B,H,W,3] of the network's size in",
    "int8": "the network in INT8, for CPUs",
    "int8-tensorrt": "the same for TensorRT",
}
OF_FORMS = {"pictures": ("int8", "int8-tensorrt"), "plain_resize": ("picture", "letterbox")}
OF_NMS, OF_FINISHING = ("iou", "conf", "max_wh"), ("topk", "names", "stride")
ENDS = ("-end2end", "-ultralytics", "-batched")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `patch`."""
    command = commands.add_parser("patch", help="raw or [M,7] end-to-end ONNX -> the graph Ultralytics reads")
    option = command.add_argument
    option("model", type=Path, help="an .onnx file")
    text = "; ".join(f"{form}: {what}" for form, what in FORMS.items())
    option("--form", choices=FORMS, default="ultralytics", help=text)
    option("--out", type=new_onnx_file, help="the new file (default: MODEL-FORM.onnx)")
    option("--names", help="class names, separated by commas, or 'coco', where the file has none")
    option("--stride", type=whole(1), help="largest stride, where the file does not say (32)")
    text = "scale with ONNX's Resize, not as OpenCV: faster on a CPU, up to a grey level off"
    option("--plain-resize", action="store_true", help=text)
    option("--pictures", type=Path, help="folder of pictures that INT8 is calibrated on")
    add_thresholds(command)
    names = (*OF_FORMS, *OF_NMS, *OF_FINISHING)
    command.set_defaults(run=_patch, usual={name: command.get_default(name) for name in names})


def progress(line: str) -> None:
    """One step, on the terminal."""
    sys.stdout.write(f"  {line}\n")
    sys.stdout.flush()


def report(path: Path) -> None:
    """One file that was made."""
    sys.stdout.write(f"{path}  {path.stat().st_size / 1e6:.1f} MB\n")


def _check_options(options: argparse.Namespace) -> None:
    """Refuse an option that would do nothing with this form, or with this file.

    Raises:
        ValueError: There is one.
    """
    given = [name for name, value in options.usual.items() if getattr(options, name) != value]
    others = {name: forms for name, forms in OF_FORMS.items() if options.form not in forms}
    idle = {name: f"--form {' or '.join(forms)}" for name, forms in others.items()}
    got = f"--form {options.form}"
    if wrong := next((name for name in given if name in idle), None):
        raise _idle(wrong, idle[wrong], got)
    model = read_onnx(options.model)
    if is_raw(model):
        return
    idle = dict.fromkeys(OF_NMS, "a raw file, whose NMS is made here")
    got = f"{options.model.name}, which has its NMS"
    if _is_finished(model) and options.form not in ("ultralytics", "batched"):
        idle |= dict.fromkeys(OF_FINISHING, "--form ultralytics or batched")
        got = f"{options.model.name}, which is finished"
    if wrong := next((name for name in given if name in idle), None):
        raise _idle(wrong, idle[wrong], got)


def _idle(name: str, wanted: str, got: str) -> ValueError:
    option = f"--{name.replace('_', '-')}"
    return ValueError(f"{option}: expected with {wanted}, got it with {got}; leave it out")


def _patch(options: argparse.Namespace) -> None:
    _check_options(options)
    stem = options.model.stem
    if options.form != "ultralytics":
        stem = next((stem.removesuffix(end) for end in ENDS if stem.endswith(end)), stem)
    target = options.out or options.model.with_name(f"{stem}-{options.form}.onnx")
    finish = partial(
        patch_file,
        recipe=Recipe((0, 0), options.iou, options.conf, options.topk, options.max_wh),
        names=class_names(options.names),
        stride=options.stride,
    )
    if options.form in ("ultralytics", "batched"):
        lines = finish(options.model, target, batched=options.form == "batched")
    else:
        with tempfile.TemporaryDirectory() as folder:
            source, lines = options.model, ()
            if not _is_finished(read_onnx(source)):
                source = Path(folder, "finished.onnx")
                lines = finish(options.model, source)
            edit = _edit(options.form, exact=not options.plain_resize, pictures=options.pictures)
            result = edit_file(source, target, edit)
            lines += result.report
    for line in lines:
        progress(line)
    report(target)


def _is_finished(model: onnx.ModelProto) -> bool:
    shapes = [value.type.tensor_type.shape.dim for value in model.graph.output]
    return [len(shape) for shape in shapes] == [3] and not is_raw(model)


def _edit(form: str, *, exact: bool, pictures: Path | None) -> Callable[[onnx.ModelProto], PatchResult]:
    from helpers.patches import preprocess

    if form.startswith("int8"):
        return partial(_quantised, runtime=form.partition("-")[2] or "onnxruntime", folder=pictures)

    edits: dict[str, Callable[[onnx.ModelProto], PatchResult]] = {
        "picture": partial(preprocess.add_picture, exact=exact),
        "letterbox": partial(preprocess.add_letterbox, exact=exact),
        "boxes": preprocess.add_box_mapping,
        "bytes": preprocess.add_conversion,
    }
    return edits[form]


def _quantised(model: onnx.ModelProto, *, runtime: str, folder: Path | None) -> PatchResult:
    from helpers.calibration import calibration_pictures
    from helpers.patches.metadata import read_metadata
    from helpers.patches.quantize import quantize

    pictures, line = calibration_pictures(read_metadata(model).get("names", ()), folder)
    progress(f"calibrated on {line}")
    return quantize(model, pictures, runtime=runtime)
