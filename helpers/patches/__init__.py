"""Graph patches: a model in, a `PatchResult` out; the model that was handed in stays as it was.

Each patch has three steps. *Requires*: is this a graph that the patch understands? If not, it refuses and
says why. *Change*: new nodes go behind the old ones; no old node is touched. *Ensures*: the ONNX checker
accepts the result with strict shape inference, and everything upstream is what it was.

New operators are onnxscript functions, spliced in node by node, so no local function stays behind. They
keep to forms that are the same from opset 12 to the newest, so a model keeps its opset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnxscript import OnnxFunction

    Source = str | NDArray[Any]

__all__ = ["PatchError", "PatchResult", "constant_value", "finish", "graph_inputs", "open_model", "shape_of"]
__all__ += ["single_output", "splice", "unchanged"]

OLDEST_OPSET = 12
Shape = tuple[int | str | None, ...]


class PatchError(ValueError):
    """A patch refuses: the argument at fault, what was expected, what was found, and what to do about it."""

    def __init__(self, argument: str, expected: str, got: object, fix: str) -> None:
        super().__init__(f"{argument}: expected {expected}; got {got}; fix: {fix}")


@dataclass(frozen=True)
class PatchResult:
    """What a patch made: the new model, whether it differs from the old one, and one line a change."""

    model: onnx.ModelProto
    changed: bool
    report: tuple[str, ...]


def shape_of(value: onnx.ValueInfoProto) -> Shape | None:
    """Numbers, symbols, `None` for an unknown dimension; or `None` alone where the rank is unknown.

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
    """The array behind a value that is an initializer or comes from a `Constant`; `None` for any other."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return onnx.numpy_helper.to_array(tensor)
    constants = (node for node in model.graph.node if node.op_type == "Constant" and name in node.output)
    return next((_constant(node) for node in constants), None)


def open_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """A checked copy of `model` to work on.

    Raises:
        PatchError: not a `ModelProto`, not valid ONNX, or an opset older than 12.
    """
    if not isinstance(model, onnx.ModelProto):
        raise PatchError(
            "model", "an onnx.ModelProto", type(model).__name__, "read the file: onnx.load(path)"
        )
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise PatchError(
            "model", f"opset {OLDEST_OPSET} or newer", f"opset {opset}", "export with a newer opset"
        )
    _check(model, "model", "export the graph again, or repair it")
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def single_output(model: onnx.ModelProto) -> tuple[str, Shape]:
    """Name and shape of the only output; the checker has seen that it declares one.

    Raises:
        PatchError: several outputs, or one that is not float32.
    """
    names = ", ".join(value.name for value in model.graph.output)
    if any(node.op_type.startswith("EfficientNMS") for node in model.graph.node):
        raise PatchError(
            "model", "an NMS in plain ONNX", f"EfficientNMS, outputs {names}", "export with --max-wh 640"
        )
    if len(model.graph.output) != 1:
        raise PatchError(
            "model", "one output", f"{len(model.graph.output)}: {names}", "export without the others"
        )
    output = model.graph.output[0]
    if output.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(output.type.tensor_type.elem_type).lower()
        raise PatchError(
            "model", "a float32 output", f"{names} of type {kind}", "keep decoding and NMS in float32"
        )
    return names, shape_of(output) or ()


def splice(
    model: onnx.ModelProto,
    function: OnnxFunction,
    inputs: Mapping[str, Source],
    prefix: str,
    output: str | None = None,
) -> None:
    """Append the nodes of an onnxscript function to `model`, in place.

    Args:
        model: the graph to grow.
        function: a flat function, all of its operators in the forms of opset 12.
        inputs: for each parameter the name of a value, or an array that becomes an initializer.
        prefix: nodes and values are called `prefix/<name in the function>`.
        output: the name of the function's last result, where that is another.
    """
    proto, weights = function.to_function_proto(), model.graph.initializer
    renamed: dict[str, str] = {proto.output[-1]: output} if output else {}
    for parameter, source in inputs.items():
        renamed[parameter] = source if isinstance(source, str) else f"{prefix}/{parameter}"
        if not isinstance(source, str):
            weights.append(onnx.numpy_helper.from_array(source, renamed[parameter]))
    for node in proto.node:
        if node.op_type == "Constant":  # TensorRT wants axes and slice bounds as initializers
            value = _constant(node)
            label = "_".join([str(value.dtype), *map(str, value.ravel())])
            name = renamed[node.output[0]] = f"{prefix}/{label}"
            if all(tensor.name != name for tensor in weights):
                weights.append(onnx.numpy_helper.from_array(value, name))
            continue
        for name in node.output:
            renamed.setdefault(name, f"{prefix}/{name}")
        copied = model.graph.node.add()
        copied.CopyFrom(node)
        copied.input[:] = [renamed[name] for name in node.input]
        copied.output[:] = [renamed[name] for name in node.output]
        titles = [name.rpartition("/")[2] for name in copied.output]
        copied.name = f"{prefix}/{next(title for title in titles if not title.startswith('_'))}"


def finish(
    before: onnx.ModelProto, after: onnx.ModelProto, report: Sequence[str], ahead: int = 0
) -> PatchResult:
    """Check what every patch promises: a valid graph, in order, with everything old unchanged.

    Args:
        before: the model that was handed in.
        after: the new one.
        report: one line a change.
        ahead: how many new nodes stand before the old ones.

    Raises:
        PatchError: a promise does not hold: a defect of the patch, or names that clash with its own.
    """
    for kind in ("node", "initializer"):
        old, new = getattr(before.graph, kind), getattr(after.graph, kind)
        start = ahead if kind == "node" else 0
        if list(old) != list(new[start : start + len(old)]):
            raise PatchError("patch", f"every {kind} upstream unchanged", "a change", "report this graph")
    _check(after, "patch", "rename the values of the graph that are called like the patch's")
    return PatchResult(after, changed=True, report=tuple(report))


def unchanged(model: onnx.ModelProto, reason: str) -> PatchResult:
    """The result of a patch that found its work done."""
    return PatchResult(model, changed=False, report=(reason,))


def _check(model: onnx.ModelProto, argument: str, fix: str) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PatchError(argument, "a graph that onnx.checker accepts", reason, fix) from error


def _constant(node: onnx.NodeProto) -> NDArray[Any]:
    value = onnx.helper.get_attribute_value(node.attribute[0])
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.array(value, np.float32 if "float" in node.attribute[0].name else np.int64)
