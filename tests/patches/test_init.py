"""What all patches share: errors, results, constants, and the promise that is checked at the end."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxscript import FLOAT, script
from onnxscript import opset12 as op

from helpers.patches import (
    PatchError,
    constant_value,
    finish,
    graph_inputs,
    open_model,
    shape_of,
    single_output,
    splice,
    unchanged,
)

TEXT = """<ir_version: 8, opset_import: ["": 17]>
g (float[2] x, float[2] weight) => (float[2] y) <float[2] weight = {1, 2}>
{
    three = Constant <value = float[2] {3, 3}> ()
    four = Constant <value_float = 4.0> ()
    ints = Constant <value_ints = [5, 6]> ()
    a = Mul (x, weight)
    y = Add (a, three)
}"""


@script()
def halve_twice(x: FLOAT) -> tuple[FLOAT, FLOAT]:
    """Two results, and the same constant twice."""
    once = op.Mul(x, op.Constant(value_float=0.5))
    twice = op.Mul(once, op.Constant(value_float=0.5))
    return once, twice


@pytest.fixture
def model():
    return onnx.parser.parse_model(TEXT)


def test_an_error_says_argument_expected_got_and_fix():
    assert str(PatchError("slots", "1 to 9", 10, "take 9")) == "slots: expected 1 to 9; got 10; fix: take 9"


@pytest.mark.parametrize(
    ("name", "value"),
    [("weight", [1, 2]), ("three", [3, 3]), ("four", 4), ("ints", [5, 6]), ("a", None), ("?", None)],
)
def test_constants_are_found_wherever_they_stand(model, name, value):
    found = constant_value(model, name)
    assert (found is None) == (value is None)
    if value is not None:
        np.testing.assert_array_equal(found, value)
        assert found.dtype == (np.int64 if name == "ints" else np.float32)


def test_weights_are_not_inputs_and_shapes_may_be_missing(model):
    assert [value.name for value in graph_inputs(model)] == ["x"]
    assert shape_of(onnx.ValueInfoProto()) is None
    assert shape_of(onnx.helper.make_tensor_value_info("v", 1, [None, 3, "n"])) == (None, 3, "n")


def test_the_copy_is_a_copy(model):
    copied = open_model(model)
    copied.graph.node[0].name = "other"
    assert model.graph.node[0].name == ""


@pytest.mark.parametrize("domains", [[("", 12)], [("ai.onnx", 12)], [("other", 1), ("", 17)]])
def test_the_opset_of_the_standard_operators_counts(model, domains):
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*each) for each in domains)
    assert open_model(model).opset_import == model.opset_import


def test_a_graph_without_standard_operators_is_refused(model):
    model.opset_import[0].domain = "other"
    with pytest.raises(PatchError, match=r"^model: expected opset 12 or newer; got opset 0; fix: "):
        open_model(model)


def test_what_the_checker_refuses_is_told_in_one_line(model):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 3
    with pytest.raises(PatchError) as refusal:
        open_model(model)
    text = str(refusal.value)
    assert text.startswith("model: expected a graph that onnx.checker accepts; got [ShapeInferenceError] I")
    assert "\n" not in text


def test_the_only_output_and_its_shape(model):
    assert single_output(model) == ("y", (2,))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    assert single_output(model) == ("y", ())


def test_nothing_to_do_is_told(model):
    result = unchanged(model, "as it was")
    assert (result.model is model, result.changed, result.report) == (True, False, ("as it was",))


def test_splice_names_nodes_after_results_and_shares_constants(model):
    splice(model, halve_twice, {"x": "y"}, "half", "quarter")
    nodes = model.graph.node[-2:]
    assert [(node.name, list(node.output)) for node in nodes] == [
        ("half/once", ["half/once"]),
        ("half/quarter", ["quarter"]),
    ]
    assert [tensor.name for tensor in model.graph.initializer] == ["weight", "half/float32_0.5"]
    splice(model, halve_twice, {"x": np.ones(2, np.float32)}, "more")
    assert model.graph.initializer[2].name == "more/x"
    assert model.graph.node[-1].output[0] == "more/twice"


def broken(model, what):
    if what == "node":
        model.graph.node[3].op_type = "Sub"
    elif what == "initializer":
        model.graph.initializer[0].float_data[0] = 9
    else:
        del model.graph.node[4]
    return model


@pytest.mark.parametrize("what", ["node", "initializer", "one node less"])
def test_a_change_upstream_does_not_pass(model, what):
    with pytest.raises(PatchError, match="upstream unchanged"):
        finish(model, broken(open_model(model), what), ["line"])


def test_new_nodes_may_stand_before_the_old_ones(model):
    after = open_model(model)
    after.graph.node.insert(0, onnx.helper.make_node("Exp", ["x"], ["early"]))
    assert finish(model, after, [], ahead=1).changed
    with pytest.raises(PatchError, match="every node upstream unchanged"):
        finish(model, after, [])


def test_nodes_out_of_order_do_not_pass(model):
    after = open_model(model)
    early, late = after.graph.node.add(), after.graph.node.add()
    early.CopyFrom(onnx.helper.make_node("Exp", ["late"], ["early"]))
    late.CopyFrom(onnx.helper.make_node("Exp", ["y"], ["late"]))
    with pytest.raises(PatchError, match=r"^patch: expected a graph that onnx\.checker accepts"):
        finish(model, after, [])


def test_what_keeps_the_promise_passes(model):
    result = finish(model, open_model(model), ["a", "b"])
    assert result.changed
    assert result.report == ("a", "b")
