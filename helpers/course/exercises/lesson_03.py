"""Exercises of lesson 03: inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.course.exercises import wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

_RAW = """<ir_version: 8, opset_import: ["": 18]>
    raw (float[1, 4, 7] images) => (float[1, 4, 7] output) { output = Identity(images) }"""
# Small graphs: operator, kernel of its weight, whether the node names the kernel; how many count; the hint.
_GRAPHS: tuple[tuple[tuple[tuple[str, tuple[int, int], bool], ...], int, str], ...] = (
    ((), 0, "A graph without any Conv has none of 3 x 3."),
    (
        (("Conv", (3, 3), True), ("Conv", (1, 1), True)),
        1,
        "In a graph with one 3 x 3 and one 1 x 1, one counts.",
    ),
    ((("Conv", (5, 5), True), ("Conv", (3, 1), True)), 0, "Both sides of the kernel must be 3."),
    ((("MaxPool", (3, 3), True), ("Conv", (1, 1), True)), 0, "Other operators have a kernel_shape, too."),
    (
        (("Conv", (3, 3), False), ("Conv", (3, 3), True)),
        2,
        "Where kernel_shape is left out, what else tells?",
    ),
)


def _end2end() -> onnx.ModelProto:
    """The smallest graph with the NMS of lesson 02: names are the same in all of them."""
    import onnx

    from helpers.patches.nms import add_nms

    return add_nms(onnx.parser.parse_model(_RAW)).model


def _nms(model: onnx.ModelProto) -> onnx.NodeProto:
    found: onnx.NodeProto = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    return found


def exercise_1(answer: object) -> str | None:
    """Name of the initializer that holds the IoU threshold.

    >>> exercise_1(0.65)
    'Expected a name, as text, got float.'
    """
    if hint := wrong_type(answer, str, "a name, as text"):
        return hint
    right = list(_nms(_end2end()).input)
    if answer == right[3]:
        return None
    if answer in right:
        return "The operator reads it, but for something else. In which order does it take its inputs?"
    return "It is among the values that the NonMaxSuppression node reads."


def exercise_2(answer: object) -> str | None:
    """A function that counts convolutions with a kernel of 3 x 3.

    >>> exercise_2(31)
    'Expected a function count_3x3(model), got int.'
    """
    if not callable(answer):
        return f"Expected a function count_3x3(model), got {type(answer).__name__}."
    for nodes, right, hint in _GRAPHS:
        try:
            found = answer(_graph(nodes))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            NameError,
            StopIteration,
            TypeError,
            ValueError,
        ) as error:
            return f"Your function stopped with {type(error).__name__}: {error}"
        if isinstance(found, bool) or found != right:
            return hint
    return None


def _graph(nodes: Sequence[tuple[str, tuple[int, int], bool]]) -> onnx.ModelProto:
    """A chain of convolutions and poolings, from `x` to the last of them."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    made, weights = [helper.make_node("Identity", ["x"], ["v0"])], []
    for place, (op, kernel, named) in enumerate(nodes):
        sources = [f"v{place}"]
        if op == "Conv":
            sources.append(f"w{place}")
            weights.append(numpy_helper.from_array(np.zeros((1, 1, *kernel), np.float32), f"w{place}"))
        made.append(helper.make_node(op, sources, [f"v{place + 1}"], name=f"n{place}"))
        if named:
            made[-1].attribute.append(helper.make_attribute("kernel_shape", kernel))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *sides])
        for name, sides in (("x", (16, 16)), (f"v{len(nodes)}", ("h", "w")))
    ]
    return helper.make_model(helper.make_graph(made, "g", ends[:1], ends[1:], weights))


def exercise_3(answer: object) -> str | None:
    """A model that ends at the corners of all candidates.

    >>> exercise_3(None)
    'Expected an onnx.ModelProto, got NoneType.'
    """
    import onnx

    if hint := wrong_type(answer, onnx.ModelProto, "an onnx.ModelProto"):
        return hint
    model: onnx.ModelProto = answer  # type: ignore[assignment]
    outputs = [value.name for value in model.graph.output]
    if len(outputs) != 1:
        return f"Expected a single output, got {len(outputs)}."
    moved = _nms(_end2end()).input[0]
    right = next(node for node in _end2end().graph.node if moved in node.output).input[0]
    if outputs[0] == moved:
        return "Those corners have been moved apart already, class by class. One step back."
    if outputs[0] != right:
        return f"It ends at {outputs[0]}. Which value holds corners, four columns, before the class comes in?"
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        return f"The right place, but ONNX's checker refuses the model: {str(error).splitlines()[0][:200]}"
    dims = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    return None if dims[-1:] == [4] else "The right place; the declared shape should end in 4 columns."
