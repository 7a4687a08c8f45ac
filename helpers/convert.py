"""Checkpoint to everything, in one call: raw ONNX, end-to-end ONNX, the graph that Ultralytics reads.

Each file goes into `build/<model>/` and its manifest; a file that is current is not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import Manifest, atomic_path
from helpers.onnx_file import edit_file, is_raw, read_onnx

if TYPE_CHECKING:
    import onnx

    from helpers.patches import PatchResult

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is converted.

    Attributes:
        size_wh: Input width and height in pixels, multiples of the largest stride.
        iou_threshold: Of two boxes of one class that overlap more than this, the weaker one goes.
        score_threshold: Boxes that score no more than this are dropped.
        max_detections: At most this many boxes a picture; also the slots of the padded output.
        class_offset: Pixels between classes in the NMS; `None` is safe for boxes beyond the picture, 640 is
            what the official exporter's guide uses.
        dynamic_batch: Leave the batch of raw and end-to-end graph open.
        half: Also make the last graph's FP16 form.
    """

    size_wh: tuple[int, int] = (640, 640)
    iou_threshold: float = 0.65
    score_threshold: float = 0.35
    max_detections: int = 100
    class_offset: float | None = None
    dynamic_batch: bool = False
    half: bool = False


@dataclass(frozen=True)
class Files:
    """Where the files of one model lie.

    Example:
        >>> Files.of(Path("runs/best.pt")).ultralytics.as_posix()
        'build/best/best-ultralytics.onnx'
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, checkpoint: str | Path, build: str | Path = "build") -> Files:
        """The files of a checkpoint, by its name."""
        name = Path(checkpoint).stem
        return cls(Path(build) / name, name)

    @property
    def raw(self) -> Path:
        """`images[B,3,H,W]` to `output[B,N,5+C]`."""
        return self.folder / f"{self.name}.onnx"

    @property
    def end2end(self) -> Path:
        """With NMS: `[M,7]`."""
        return self.folder / f"{self.name}-end2end.onnx"

    @property
    def ultralytics(self) -> Path:
        """After the surgery: `[1,100,6]`."""
        return self.folder / f"{self.name}-ultralytics.onnx"

    @property
    def fp16(self) -> Path:
        """The same with the network in half precision; engines are built from it."""
        return self.folder / f"{self.name}-fp16.onnx"


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
    padded = f"to_ultralytics(slots={r.max_detections}) + write_metadata"
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
            files.ultralytics, files.end2end, f"{padded}(names={list(names)})" if names else padded,
            lambda: patch_file(files.end2end, files.ultralytics, r, names=names),
        ),
    ]  # fmt: skip
    if r.half:
        from helpers.patches.half import to_half

        make = partial(edit_file, files.ultralytics, files.fp16, to_half)
        steps.append((files.fp16, files.ultralytics, "to_half()", make))
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
) -> tuple[str, ...]:
    """Patch one ONNX file, a raw or any `[M,7]` end-to-end one, into the graph that Ultralytics reads.

    Args:
        source: The file; ours, or the official exporter's.
        target: Where to write, atomically.
        recipe: Thresholds of the NMS (raw files only) and the number of slots.
        names: Class names; where missing, those in the file.
        stride: Largest stride; where missing, the one in the file, else 32.

    Returns:
        One line for each thing that changed.

    Raises:
        PatchError: The graph is not understood, or there are no names or another number of them.
    """
    import onnx

    from helpers.patches import PatchError
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
    results.append(to_ultralytics(results[-1].model if results else model, slots=recipe.max_detections))
    results.append(write_metadata(results[-1].model, names=names, stride=stride or known.get("stride", 32)))
    with atomic_path(target) as temporary:
        onnx.save(results[-1].model, temporary)
    return tuple(line for result in results for line in result.report)


def _with_nms(model: onnx.ModelProto, recipe: Recipe) -> PatchResult:
    from helpers.patches.nms import add_nms

    return add_nms(
        model, iou_threshold=recipe.iou_threshold, score_threshold=recipe.score_threshold,
        max_detections=recipe.max_detections, class_offset=recipe.class_offset,
    )  # fmt: skip
