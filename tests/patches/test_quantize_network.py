"""The network cut out of a graph and put back."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from patches.quantize_nets import net, run
from small_graph import SMALL

from helpers.patches import PatchError
from helpers.patches.nms import add_nms
from helpers.patches.quantize_network import cut_network, join_network, layer_nodes, picture_size
from helpers.patches.ultralytics import to_ultralytics

HEADER = '<ir_version: 8, opset_import: ["": 17], metadata_props: ["k": "v"]> net '
SHARED = (
    HEADER + "(float[1, 2, 4, 4] images) => (float[1, 2, 4, 4] output)"
    """<float[2, 2, 1, 1] w = {1, 2, 3, 4}, float[2] b = {0.25, 0.5}, int64[4] s = {1, 2, 1, 1}>
    { i = Identity(b) j = Identity(i) z = Constant<value_floats = [1.0, 2.0]>()
      a = Conv(images, w, j) c = Conv(a, w, z) v = Reshape(i, s) d = Mul(c, v) output = Add(d, a) }"""
)


def finished():
    """The whole chain of patches over a raw graph."""
    return to_ultralytics(add_nms(onnx.parser.parse_model(SMALL)).model, slots=5).model


@pytest.mark.parametrize("make", [net, lambda: onnx.parser.parse_model(SMALL), finished])
def test_cut_and_joined_it_is_what_it_was(make, rng):
    before = make()
    copy = before.SerializeToString(deterministic=True)
    after = join_network(before, cut_network(before))
    assert before.SerializeToString(deterministic=True) == copy
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.node) == list(before.graph.node)
    assert after.metadata_props == before.metadata_props
    shape = [d.dim_value for d in before.graph.input[0].type.tensor_type.shape.dim]
    images = rng.uniform(0, 1, shape).astype(np.float32)
    for one, other in zip(run(before, images), run(after, images), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_network_ends_where_the_rest_begins():
    network = cut_network(net())
    assert [node.name for node in network.graph.node] == [
        "first", "act", "pool", "middle", "act2", "wide", "two", "both", "last",
    ]  # fmt: skip
    assert [value.name for value in network.graph.output] == ["h"]
    assert not network.metadata_props
    onnx.checker.check_model(network, full_check=True)


def test_weights_behind_identity_and_constant_and_shared_with_the_rest(rng):
    before = onnx.parser.parse_model(SHARED)
    network = cut_network(before)
    assert sorted(t.name for t in network.graph.initializer) == ["b", "w", "z"]
    assert [value.name for value in network.graph.output] == ["c", "a"]
    after = join_network(before, network)
    assert [n.op_type for n in after.graph.node] == ["Conv", "Conv", "Identity", "Reshape", "Mul", "Add"]
    images = rng.uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(after, images)[0], run(before, images)[0])


def test_every_node_gets_a_name_of_its_own():
    model = net()
    for node, name in zip(model.graph.node, ("", "x", "x"), strict=False):
        node.name = name
    names = [node.name for node in cut_network(model).graph.node]
    assert names[:3] == ["Conv/a", "x", "MaxPool/p"]
    assert len(set(names)) == len(names)


def test_layers_are_a_convolution_and_its_activation():
    assert layer_nodes(cut_network(net())) == {
        "first": ["first", "act"], "middle": ["middle", "act2"], "last": ["last"],
    }  # fmt: skip


def test_a_silu_is_one_layer():
    model = onnx.parser.parse_model(
        HEADER
        + "(float[1, 2, 4, 4] images) => (float[1, 2, 4, 4] output) <float[2, 2, 1, 1] w = {1, 2, 3, 4}>"
        "{ [a] x = Conv(images, w) [b] s = Sigmoid(x) [c] y = Mul(x, s)"
        "  [d] z = Conv(y, w) [e] output = Tanh(z) }"
    )
    assert layer_nodes(cut_network(model)) == {"a": ["a", "b", "c"], "d": ["d"]}


@pytest.mark.parametrize("op", ["LeakyRelu", "Relu", "Sigmoid", "HardSwish", "Clip", "Mul", "Tanh"])
def test_which_operators_belong_to_a_layer(op):
    sources = "x, images" if op == "Mul" else "x"
    model = onnx.parser.parse_model(
        HEADER + "(float[1, 2, 4, 4] images) => (float[1, 2, 4, 4] y) <float[2, 2, 1, 1] w = {1, 2, 3, 4}>"
        f"{{ [a] x = Conv(images, w) [b] y = {op}({sources}) }}"
    )
    assert layer_nodes(model) == {"a": ["a"] if op == "Tanh" else ["a", "b"]}


@pytest.mark.parametrize(
    "shape", ["1, 3, h, 48", "1, 3, 32, w", "1, 3, 32", "1, 3, 32, 48, 2", "1, c, 32, 48"]
)
def test_a_picture_of_another_shape_is_refused(shape):
    text = f"{HEADER} (float[{shape}] images) => (float[{shape}] y) {{ y = Relu(images) }}"
    with pytest.raises(PatchError, match=r"one FP32 input \[B,3,H,W\] of fixed size; got images "):
        picture_size(onnx.parser.parse_model(text))


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        ("float[1, 3, 4, 4] x, float[2] z", r"x \[1, 3, 4, 4\], z \[2\]"),
        ("float16[1, 3, 4, 4] x", r"x \[1, 3, 4, 4\]"),
        ("", "no input"),
    ],
)
def test_other_inputs_are_refused(inputs, got):
    text = f"{HEADER} ({inputs}) => (float[1] y) {{ y = Constant<value = float[1] {{2}}>() }}"
    with pytest.raises(PatchError, match=f"got {got}"):
        picture_size(onnx.parser.parse_model(text))


def test_nothing_to_cut():
    text = f"{HEADER} (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) {{ y = Relu(x) }}"
    with pytest.raises(PatchError, match="convolutions in FP32; got none"):
        cut_network(onnx.parser.parse_model(text))


def test_a_network_that_is_the_whole_graph():
    text = HEADER + "(float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) <float[2, 2, 1, 1] w = {1, 2, 3, 4}>"
    model = onnx.parser.parse_model(text + "{ [a] y = Conv(x, w) }")
    network = cut_network(model)
    assert list(network.graph.node) == list(model.graph.node)
    assert network.graph.output == model.graph.output
    joined = join_network(model, network)
    assert joined.graph.node == model.graph.node
    assert joined.graph.output == model.graph.output
    assert not joined.graph.value_info  # nothing but ends


def test_joined_it_has_the_sizes_and_weights_of_both():
    noted = onnx.shape_inference.infer_shapes(net())
    network = cut_network(noted)
    network.graph.initializer[0].name = network.graph.node[0].input[1] = "w1_new"
    after = join_network(noted, network)
    assert {info.name for info in after.graph.value_info} == {info.name for info in noted.graph.value_info}
    before = {tensor.name for tensor in noted.graph.initializer}
    assert {tensor.name for tensor in after.graph.initializer} == before - {"w1"} | {"w1_new"}


def test_sizes_that_were_noted_are_worked_out_again():
    noted = onnx.shape_inference.infer_shapes(net())
    noted.graph.value_info[0].type.tensor_type.shape.dim[0].dim_param = "forgotten"
    assert cut_network(noted).graph.value_info == cut_network(net()).graph.value_info


def test_picture_size_is_width_and_height():
    text = HEADER + "(float[2, 3, 32, 48] images) => (float[2, 3, 32, 48] y) { y = Relu(images) }"
    assert picture_size(onnx.parser.parse_model(text)) == (48, 32)
    with pytest.raises(PatchError, match=r"\[2, 4, 32, 48\]"):
        picture_size(onnx.parser.parse_model(text.replace("3, 32", "4, 32")))
