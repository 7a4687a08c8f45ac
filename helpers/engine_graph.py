"""The graph that an engine is built from: fixed shapes up to the NMS, in FP16 or FP32, any batch or one.

What ONNX Runtime likes best, candidates by mask, changes its shapes with every picture. TensorRT plans
kernels and memory for shapes, so the engine's graph takes a fixed number of candidates (the form `topk`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from helpers.patches import PatchResult
    from helpers.recipe import Files

__all__ = ["engine_graph"]


def engine_graph(files: Files, *, half: bool = True, batched: bool = False) -> Path:
    """Make the graph where it is missing or stale, and enter it in the manifest.

    Args:
        files: A model's files; `ultralytics` must be there, or `batched` where that is asked for.
        half: The network in FP16.
        batched: For an open batch.

    Returns:
        `<model>-fp16.onnx`, `-fp32.onnx`, `-batched-fp16.onnx` or `-batched-fp32.onnx`.

    Raises:
        PatchError: The source is missing, or has no such form.
    """
    from helpers.artifacts import Manifest
    from helpers.onnx_file import edit_file

    source = files.batched if batched else files.ultralytics
    kind = ("-batched" if batched else "") + ("-fp16" if half else "-fp32")
    target, manifest = files.folder / f"{files.name}{kind}.onnx", Manifest(files.folder)
    call = "filter_candidates(form='topk')" + (" + to_half()" if half else "")
    if manifest.state(target, call=call, sources=[source] if source.is_file() else None) != "current":
        edit_file(source, target, _halved if half else _fixed)
        manifest.record(target, call=call, sources=[source])
    return target


def _fixed(model: onnx.ModelProto) -> PatchResult:
    """Where the filter does not know the decode, the graph is right without it, and its shapes are fixed."""
    from helpers.patches import PatchError, unchanged
    from helpers.patches.filter import filter_candidates

    try:
        return filter_candidates(model, form="topk")
    except PatchError as refusal:
        return unchanged(model, f"not filtered before the decode: {refusal}")


def _halved(model: onnx.ModelProto) -> PatchResult:
    from helpers.patches.half import to_half

    return to_half(_fixed(model).model)
