"""ONNX files as patches take them: read with a clear refusal, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import atomic_path

if TYPE_CHECKING:
    import onnx

    from helpers.patches import PatchResult

__all__ = ["edit_file", "is_raw", "read_onnx"]


def read_onnx(path: str | Path) -> onnx.ModelProto:
    """Read a file.

    Raises:
        PatchError: It is not there, or no ONNX file.
    """
    import onnx
    from google.protobuf.message import DecodeError

    from helpers.patches import PatchError

    if not Path(path).is_file():
        raise PatchError("source", "an ONNX file", f"{path}, where no file is", "check the path")
    try:
        return onnx.load(path)
    except DecodeError as error:
        raise PatchError("source", "an ONNX file", f"{path}, which is none", "name an .onnx file") from error


def edit_file(source: Path, target: Path, patch: Callable[[onnx.ModelProto], PatchResult]) -> PatchResult:
    """Write what a patch makes of a file, and return it.

    Raises:
        PatchError: `source` is no ONNX file, or the patch refuses it.
    """
    import onnx

    result = patch(read_onnx(source))
    with atomic_path(target) as temporary:
        onnx.save(result.model, temporary)
    return result


def is_raw(model: onnx.ModelProto) -> bool:
    """Three dimensions, and not the ones of a graph that is patched already."""
    outputs, nodes = model.graph.output, model.graph.node
    patched = any(n.op_type == "NonMaxSuppression" or n.name.startswith("ultralytics/") for n in nodes)
    return len(outputs) == 1 and len(outputs[0].type.tensor_type.shape.dim) == 3 and not patched
