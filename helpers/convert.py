"""Checkpoint to everything, in one call: raw ONNX, end-to-end ONNX, the graph that Ultralytics reads.

Each file goes into `build/<model>/` and its manifest; a file that is current is not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import Manifest, atomic_path
from helpers.onnx_file import edit_file, is_raw, read_onnx
from helpers.recipe import Files, Recipe

if TYPE_CHECKING:
    import onnx

    from helpers.patches import PatchResult
    from helpers.patches.filter import Form

__all__ = ["Files", "Recipe", "convert", "export_checkpoint", "half_file", "int8_file", "patch_file"]

Progress = Callable[[str], None]


def convert(
    checkpoint: str | Path,
    build: str | Path = "build",
    *,
    recipe: Recipe | None = None,
    names: Sequence[str] | None = None,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> Files:
    """Make every ONNX file of a checkpoint that is missing or stale.

    Args:
        checkpoint: An official `.pt` or our `.safetensors`.
        build: Parent of the model's folder.
        recipe: Sizes and thresholds; the official exporter's by default.
        names: Class names for the last file, where the checkpoint's are not the ones to show.
        force: Make current files again, too.
        progress: Called with one line before each step.

    Returns:
        Where the files are.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        ExportError, PatchError, ValueError: A step refused; files made before it stay.
    """
    recipe, checkpoint = recipe or Recipe(), Path(checkpoint)
    files = Files.of(checkpoint, build)
    manifest = Manifest(files.folder)
    if not checkpoint.is_file():
        raise FileNotFoundError(
            f"checkpoint: expected a file, got {checkpoint} (none there). Fix: check the path"
        )
    if recipe.pictures is not None and not (recipe.int8 and recipe.pictures.is_dir()):
        got = f"{recipe.pictures} (no folder there)" if recipe.int8 else "pictures without int8"
        raise ValueError(
            f"pictures: expected a folder that INT8 is calibrated on, got {got}; fix: name it beside --int8"
        )

    for path, source, call, make in _steps(checkpoint, files, recipe, names):
        if not force and manifest.state(path, call=call, sources=[source]) == "current":
            progress(f"{path.name}: current")
            continue
        progress(f"{path.name}: {call}")
        make()
        manifest.record(path, call=call, sources=[source])
    return files


Step = tuple[Path, Path, str, Callable[[], object]]  # what is made, from what, the call, what makes it


def _steps(checkpoint: Path, files: Files, r: Recipe, names: Sequence[str] | None) -> list[Step]:
    """Everything that a recipe asks for, in order."""
    suppressed = (
        f"add_nms(iou_threshold={r.iou_threshold}, score_threshold={r.score_threshold}, "
        f"max_detections={r.max_detections}, class_offset={r.class_offset})"
    )
    named = f"write_metadata(names={list(names)})" if names else "write_metadata"
    steps: list[Step] = [
        (
            files.raw, checkpoint, f"export_onnx(size_wh={r.size_wh}, dynamic_batch={r.dynamic_batch})",
            lambda: export_checkpoint(checkpoint, files.raw, r),
        ),
        (
            files.end2end, files.raw, suppressed,
            lambda: edit_file(files.raw, files.end2end, lambda model: _with_nms(model, r)),
        ),
        (
            files.ultralytics, files.end2end,
            f"to_ultralytics(slots={r.max_detections}) + filter_candidates() + {named}",
            lambda: patch_file(files.end2end, files.ultralytics, r, names=names),
        ),
    ]  # fmt: skip
    if r.batched:
        call = f"filter_candidates() + to_batched(slots={r.max_detections}) + {named}"
        make = partial(patch_file, files.end2end, files.batched, r, names=names, batched=True)
        steps.append((files.batched, files.end2end, call, make))
    if r.picture:
        from helpers.patches.preprocess import add_picture

        into = partial(edit_file, files.ultralytics, files.picture, add_picture)
        steps.append((files.picture, files.ultralytics, "add_picture()", into))
    if r.half:
        call = "filter_candidates(form='topk') + to_half()"
        steps.append((files.fp16, files.ultralytics, call, partial(half_file, files.ultralytics, files.fp16)))
    if r.int8:
        from helpers.calibration import pictures_digest

        call = f"quantize({r.pictures}, {pictures_digest(r.pictures)})" if r.pictures else "quantize()"
        quantise = partial(int8_file, files.ultralytics, files.int8, pictures=r.pictures)
        steps.append((files.int8, files.ultralytics, call, quantise))
    return steps


def export_checkpoint(checkpoint: str | Path, path: str | Path, recipe: Recipe | None = None) -> None:
    """Read, build, fuse, export: the raw ONNX file of a checkpoint."""
    from helpers.checkpoint import load_checkpoint
    from helpers.export import export_onnx
    from helpers.network import build_network, fuse

    recipe = recipe or Recipe()
    network = fuse(build_network(load_checkpoint(checkpoint)))
    export_onnx(network, path, size_wh=recipe.size_wh, dynamic_batch=recipe.dynamic_batch)


def patch_file(
    source: str | Path,
    target: str | Path,
    recipe: Recipe | None = None,
    *,
    names: Sequence[str] | None = None,
    stride: int | None = None,
    batched: bool = False,
) -> tuple[str, ...]:
    """Patch one ONNX file, a raw or any `[M,7]` end-to-end one, into the graph that Ultralytics reads.

    A decode that `filter_candidates` does not understand stays as it is; the last lines say why.

    Args:
        source: The file; ours, or the official exporter's.
        target: Where to write, atomically.
        recipe: Thresholds of the NMS (raw files only) and the number of slots.
        names: Class names; where missing, those in the file.
        stride: Largest stride; where missing, the one in the file, else 32.
        batched: Make the graph for any number of pictures, `[B,100,6]`, instead.

    Returns:
        One line for each thing that changed.

    Raises:
        PatchError: The graph is not understood, or there are no names or another number of them.
    """
    import onnx

    from helpers.patches import PatchError
    from helpers.patches.batch import to_batched
    from helpers.patches.metadata import read_metadata, write_metadata
    from helpers.patches.ultralytics import to_ultralytics

    recipe, model = recipe or Recipe(), read_onnx(source)
    known = read_metadata(model)
    names = names or known.get("names")
    if not names:
        raise PatchError(
            "names", expected="class names, in the file's metadata or given", got="neither",
            fix="pass names (on the command line: --names RBC,WBC,Platelets, or --names coco)",
        )  # fmt: skip
    if Path(source).resolve() == Path(target).resolve():
        raise PatchError("target", "another file than the source", target, "name another")
    raw = is_raw(model)
    columns = model.graph.output[0].type.tensor_type.shape.dim[2].dim_value if raw else 0
    if columns and len(names) != columns - 5:
        raise PatchError("names", f"{columns - 5}, one for each class", len(names), "name every class")
    results = [_with_nms(model, recipe)] if raw else []
    model, slots = results[-1].model if results else model, recipe.max_detections
    if batched:
        results.append(_filtered(model))
        results.append(to_batched(results[-1].model, slots=slots))
    else:
        results.append(to_ultralytics(model, slots=slots))
        results.append(_filtered(results[-1].model))
    results.append(write_metadata(results[-1].model, names=names, stride=stride or known.get("stride", 32)))
    with atomic_path(target) as temporary:
        onnx.save(results[-1].model, temporary)
    return tuple(line for result in results for line in result.report)


def half_file(source: Path, target: Path) -> None:
    """Write the FP16 form of a finished file for engines: half precision, and candidates by fixed top-K.

    Raises:
        PatchError: `source` is no ONNX file, or has no FP16 form.
    """
    from helpers.patches.half import to_half

    edit_file(source, target, lambda model: to_half(_filtered(model, "topk").model))


def int8_file(source: Path, target: Path, *, pictures: Path | None = None) -> tuple[str, ...]:
    """Write the INT8 form of a finished file for CPUs, calibrated on a folder of pictures or the model's own.

    Raises:
        PatchError, ValueError: `source` has no INT8 form, or there are no pictures for it.
    """
    from helpers.calibration import calibration_pictures
    from helpers.patches.metadata import read_metadata
    from helpers.patches.quantize import quantize

    names = read_metadata(read_onnx(source)).get("names", ())
    found, line = calibration_pictures(names, pictures)
    return (f"calibrated on {line}", *edit_file(source, target, lambda model: quantize(model, found)).report)


def _filtered(model: onnx.ModelProto, form: Form = "mask") -> PatchResult:
    """The filter saves time; where it does not know the decode, the graph is right without it."""
    from helpers.patches import PatchError, unchanged
    from helpers.patches.filter import filter_candidates

    try:
        return filter_candidates(model, form=form)
    except PatchError as refusal:
        return unchanged(model, f"not filtered before the decode: {refusal}")


def _with_nms(model: onnx.ModelProto, recipe: Recipe) -> PatchResult:
    from helpers.patches.nms import add_nms

    return add_nms(
        model, iou_threshold=recipe.iou_threshold, score_threshold=recipe.score_threshold,
        max_detections=recipe.max_detections, class_offset=recipe.class_offset,
    )  # fmt: skip
