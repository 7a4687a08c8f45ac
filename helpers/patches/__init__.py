"""Graph patches: a model in, a `PatchResult` out, and the model that was handed in stays as it was.

Every patch has the same three steps. *Requires*: is this a graph the patch understands? If not, it refuses and
says why. *Change*: new nodes are appended behind the old ones; no old node is touched. *Ensures*: the ONNX checker
(with strict shape inference) accepts the result, and everything upstream is byte for byte what it was.
A patch that finds its work done already changes nothing.

New operators are written as onnxscript functions and spliced in node by node, so no local function stays behind.
They use only operator forms that are the same from opset 12 to the newest, so the model keeps its opset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxscript import OnnxFunction

__all__ = ["PatchError", "PatchResult", "constant_value", "copy_model", "finish", "require_single_output",
           "shape_of", "splice"]

OLDEST_OPSET = 12
Shape = tuple[int | str | None, ...]


class PatchError(ValueError):
    """A patch refuses: the argument at fault, what was expected, what was found, and what to do about it."""

    def __init__(self, argument: str, *, expected: str, got: str, fix: str) -> None:
        super().__init__(f"{argument}: expected {expected}; got {got}; fix: {fix}")


@dataclass(frozen=True)
class PatchResult:
    """What a patch made: the new model, whether it differs from the old one, and one line a change."""

    model: onnx.ModelProto
    changed: bool
    report: tuple[str, ...]


def shape_of(value: onnx.ValueInfoProto) -> Shape | None:
    """Shape of a value: numbers, symbols, `None` for an unknown dimension; `None` where the rank is unknown.

    >>> shape_of(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 7]))
    ('n', 7)
    """
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim)


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs that a caller has to feed: those without an initializer of the same name."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def constant_value(model: onnx.ModelProto, name: str) -> NDArray[Any] | None:
    """The array behind a value that is an initializer or a `Constant` node; `None` for any other."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return onnx.numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if name in node.output and node.op_type == "Constant":
            return _constant(node)
    return None


def copy_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """A checked copy of `model` to work on.

    Raises:
        PatchError: not a `ModelProto`, not valid ONNX, or an opset older than 12.
    """
    if not isinstance(model, onnx.ModelProto):
        raise PatchError("model", expected="an onnx.ModelProto", got=type(model).__name__,
                         fix="read the file first: onnx.load(path)")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise PatchError("model", expected=f"opset {OLDEST_OPSET} or newer", got=f"opset {opset}",
                         fix="export again with a newer opset, or run onnx.version_converter")
    _check(model, "model", "repair or export the graph again; what onnx.checker refuses no patch can be proved on")
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def require_single_output(model: onnx.ModelProto) -> tuple[str, Shape]:
    """Name and shape of the only output, inferred where the file does not declare it.

    Raises:
        PatchError: several outputs, an output that is not float32, or a rank that cannot be known.
    """
    names = [value.name for value in model.graph.output]
    if len(names) != 1:
        nms = any(node.op_type.startswith("EfficientNMS") for node in model.graph.node)
        fix = "export with --max-wh 640, so that the NMS is plain ONNX" if nms else "export without the extra outputs"
        raise PatchError("model", expected="one output", got=f"{len(names)} outputs: {', '.join(names)}", fix=fix)
    output = model.graph.output[0]
    if output.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        found = onnx.TensorProto.DataType.Name(output.type.tensor_type.elem_type).lower()
        raise PatchError("model", expected="a float (32 bit) output", got=f"{output.name} of type {found}",
                         fix="keep decoding and NMS in FP32: FP16 has a step of 32 px at class 79 x 640")
    shape = shape_of(output)
    if shape is None:
        shape = shape_of(onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0])
    if shape is None:
        raise PatchError("model", expected="an output of known rank", got=f"{output.name} without a shape",
                         fix="declare the shape of the graph's output")
    return output.name, shape


def splice(
    model: onnx.ModelProto,
    function: OnnxFunction,
    inputs: Mapping[str, str | NDArray[Any]],
    prefix: str,
    output: str | None = None,
) -> None:
    """Append the nodes of an onnxscript function to `model`, in place.

    Args:
        model: the graph to grow.
        function: a flat function, all of its operators in the forms of opset 12.
        inputs: for each parameter the name of a value, or an array that becomes an initializer.
        prefix: nodes and values are called `prefix/<name in the function>`.
        output: another name for the function's last result.
    """
    proto, weights = function.to_function_proto(), model.graph.initializer
    renamed: dict[str, str] = {proto.output[-1]: output} if output else {}
    for parameter, source in inputs.items():
        renamed[parameter] = source if isinstance(source, str) else f"{prefix}/{parameter}"
        if not isinstance(source, str):
            weights.append(onnx.numpy_helper.from_array(source, renamed[parameter]))
    for node in proto.node:
        for name in node.output:
            renamed.setdefault(name, f"{prefix}/{name}")
        if node.op_type == "Constant":  # TensorRT wants axes and slice bounds as initializers
            value = _constant(node)
            numbers = "_".join(str(number) for number in value.ravel())
            name = renamed[node.output[0]] = f"{prefix}/{value.dtype}_{numbers}" + ("" if value.ndim else "_scalar")
            if all(tensor.name != name for tensor in weights):
                weights.append(onnx.numpy_helper.from_array(value, name))
            continue
        copied = model.graph.node.add()
        copied.CopyFrom(node)
        copied.name = f"{prefix}/{node.output[0]}"
        copied.input[:] = [renamed[name] for name in node.input]
        copied.output[:] = [renamed[name] for name in node.output]


def finish(before: onnx.ModelProto, after: onnx.ModelProto, report: Sequence[str]) -> PatchResult:
    """Check what a patch promises: a valid graph, in order, with everything upstream unchanged.

    Raises:
        PatchError: the promise does not hold. That is a defect of the patch, or a clash of names.
    """
    for kind in ("node", "initializer"):
        old, new = getattr(before.graph, kind), getattr(after.graph, kind)
        for position, entry in enumerate(old):
            if position >= len(new) or new[position] != entry:
                raise PatchError("patch", expected=f"every {kind} upstream unchanged", got=f"{entry.name} changed",
                                 fix="report this graph: the patch does not handle it")
    _check(after, "patch", "rename values of the graph that start like the patch's own")
    return PatchResult(after, changed=True, report=tuple(report))


def unchanged(model: onnx.ModelProto, reason: str) -> PatchResult:
    """The result of a patch that found its work done."""
    return PatchResult(model, changed=False, report=(reason,))


def _check(model: onnx.ModelProto, argument: str, fix: str) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PatchError(argument, expected="a graph that onnx.checker accepts", got=reason, fix=fix) from error


def _constant(node: onnx.NodeProto) -> NDArray[Any]:
    value = onnx.helper.get_attribute_value(node.attribute[0])
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.array(value, np.float32 if "float" in node.attribute[0].name else np.int64)


def nms_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """The `NonMaxSuppression` nodes of the graph."""
    return (node for node in model.graph.node if node.op_type == "NonMaxSuppression")
