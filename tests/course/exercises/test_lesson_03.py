"""Lesson 03's exercises: what is right passes, what is wrong gets a hint that does not give it away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.course import exercises
from helpers.course.exercises import lesson_03
from helpers.patches.nms import add_nms


def end2end() -> onnx.ModelProto:
    return add_nms(
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        raw (float[1, 9, 8] images) => (float[1, 9, 8] output) { output = Identity(images) }""")
    ).model


def ending_at(value: str, columns: int = 4, *, cut: bool = True) -> onnx.ModelProto:
    """The graph, with this value as its output; `cut` removes what comes after it."""
    model = end2end()
    last = next(i for i, node in enumerate(model.graph.node) if value in node.output)
    if cut:
        del model.graph.node[last + 1 :]
    del model.graph.output[:]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, [1, 9, columns])
    )
    return model


def by_weight(model: onnx.ModelProto) -> int:
    kernels = {tensor.name: list(tensor.dims[2:]) for tensor in model.graph.initializer}
    return sum(node.op_type == "Conv" and kernels[node.input[1]] == [3, 3] for node in model.graph.node)


def by_attribute(model: onnx.ModelProto) -> int:
    shapes = [
        list(a.ints)
        for n in model.graph.node
        if n.op_type == "Conv"
        for a in n.attribute
        if a.name == "kernel_shape"
    ]
    return shapes.count([3, 3])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_waits(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.check("03", number, ...) is False
    assert "waiting" in capsys.readouterr().out


def test_right_answers() -> None:
    assert lesson_03.exercise_1("nms/iou_threshold") is None
    assert lesson_03.exercise_2(by_weight) is None
    assert lesson_03.exercise_3(ending_at("nms/corners")) is None
    assert lesson_03.exercise_3(ending_at("nms/corners", cut=False)) is None


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("nms/score_threshold", "something else"),
        ("nms/corners", "among the values"),
        (0.65, "as text"),
        ("", "among"),
    ],
)
def test_threshold(answer: object, hint: str) -> None:
    found = lesson_03.exercise_1(answer)
    assert found
    assert hint in found
    assert "nms/iou" not in found


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (by_attribute, "left out"),
        (lambda model: sum(node.op_type == "Conv" for node in model.graph.node), "one counts"),
        (lambda model: sum(bool(node.attribute) for node in model.graph.node), "one counts"),
        (lambda model: len(model.graph.node), "without any Conv"),
        (lambda model: model.nothing, "AttributeError"),
        (31, "Expected a function"),
    ],
)
def test_count(answer: Callable[[onnx.ModelProto], object], hint: str) -> None:
    found = lesson_03.exercise_2(answer)
    assert found
    assert hint in found


def raising(kind: type[Exception]) -> Callable[..., object]:
    """A function that fails in this way."""

    def answer(*_: object) -> object:
        raise kind("for a reason")

    return answer


@pytest.mark.parametrize(
    "kind",
    [ArithmeticError, AttributeError, LookupError, NameError, StopIteration, TypeError, ValueError],
)
def test_what_a_function_may_fail_with(kind: type[Exception]) -> None:
    found = lesson_03.exercise_2(raising(kind))
    assert found == f"Your function stopped with {kind.__name__}: for a reason"


GRAPHS = [
    ([], 0),
    ([("Conv", (3, 3), True), ("Conv", (1, 1), True)], 1),
    ([("Conv", (5, 5), True), ("Conv", (3, 1), True)], 0),
    ([("MaxPool", (3, 3), True), ("Conv", (1, 1), True)], 0),
    ([("Conv", (3, 3), False), ("Conv", (3, 3), True)], 2),
]


def test_what_a_function_is_tried_on() -> None:
    assert [(list(nodes), right) for nodes, right, _ in lesson_03._GRAPHS] == GRAPHS
    for nodes, _ in GRAPHS:
        model = lesson_03._graph(nodes)
        onnx.checker.check_model(model, full_check=True)
        assert [node.name for node in model.graph.node[1:]] == [f"n{place}" for place in range(len(nodes))]
        model.ir_version, model.opset_import[0].version = 8, 17  # onnx is ahead of ONNX Runtime
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"x": np.ones((1, 1, 16, 16), np.float32)})
        assert bool(found.any()) == (not nodes)  # weights are zeros


def test_true_is_no_count() -> None:
    assert lesson_03.exercise_2(lambda model: by_weight(model) and True) == GRAPHS_HINT


GRAPHS_HINT = "In a graph with one 3 x 3 and one 1 x 1, one counts."


def broken() -> onnx.ModelProto:
    model = ending_at("nms/corners")
    del model.graph.node[0]
    return model


def two_outputs() -> onnx.ModelProto:
    model = ending_at("nms/corners")
    model.graph.output.append(model.graph.output[0])
    return model


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (ending_at("nms/apart"), "One step back"),
        (ending_at("nms/score", 1), "It ends at nms/score"),
        (end2end(), "It ends at detections"),
        (two_outputs(), "single output"),
        (broken(), "checker refuses"),
        (ending_at("nms/corners", 5), "4 columns"),
        ("corners.onnx", "ModelProto"),
    ],
)
def test_corners(answer: object, hint: str) -> None:
    found = lesson_03.exercise_3(answer)
    assert found
    assert hint in found
