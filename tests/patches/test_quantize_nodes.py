"""Q/DQ nodes and the edits beside them: the same numbers, more bytes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from patches.quantize_nets import PICTURES, net, run

from helpers.patches.quantize_network import cut_network
from helpers.patches.quantize_nodes import insert_qdq, pad_channels, pool_first
from helpers.patches.quantize_ranges import Ranges, calibrate


@pytest.fixture(scope="module")
def ranges():
    return calibrate(net(), PICTURES)


def operators(model):
    return [node.op_type for node in model.graph.node]


def test_nothing_chosen_is_nothing_changed(ranges):
    network = cut_network(net())
    every = [node.name for node in network.graph.node]
    assert insert_qdq(network, ranges, runtime="tensorrt", floats=every) == network


def test_scales_are_the_ranges_in_255_steps(ranges):
    after = insert_qdq(cut_network(net()), ranges, runtime="onnxruntime")
    stored = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    assert stored["images_scale"] == np.float32(1 / 255)
    assert stored["images_zero_point"] == 0
    for name in ("a", "c", "e"):
        low, high = ranges.limits[name]
        assert stored[f"{name}_scale"] == pytest.approx((high - low) / 255, rel=1e-5)
        assert stored[f"{name}_zero_point"] == round(-low / (high - low) * 255)


def test_symmetric_scales_reach_the_farther_end(ranges):
    after = insert_qdq(cut_network(net()), ranges, runtime="tensorrt")
    stored = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    assert stored["e_scale"] == pytest.approx(max(map(abs, ranges.limits["e"])) / 127, rel=0.01)


def test_padding_changes_no_number_and_feeds_the_convolution_four_channels(ranges, rng):
    images = rng.uniform(0, 1, (1, 3, 64, 64)).astype(np.float32)
    before = insert_qdq(cut_network(net()), ranges, runtime="onnxruntime")
    after = insert_qdq(cut_network(net()), ranges, runtime="onnxruntime")
    assert pad_channels(after) == 1
    onnx.checker.check_model(after, full_check=True)
    stored = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    assert stored["w1_quantized"].shape == (4, 4, 3, 3)
    assert not stored["w1_quantized"][:, 3].any()
    np.testing.assert_array_equal(run(after, images)[0], run(before, images)[0])
    assert pad_channels(cut_network(net())) == 0  # nothing is quantised


def packed(channels=3, *, group=1, kind="int8", weight="small", more=""):
    """A convolution in bytes."""
    shape = (4 * group, channels // group, 1, 1)
    numbers = ", ".join(str(index % 5) for index in range(np.prod(shape)))
    return onnx.parser.parse_model(f"""{HEADER}
        (float[1, {channels}, 4, 4] images) => (float[1, {shape[0]}, 4, 4] output)
        <float s = {{0.1}}, uint8 z = {{0}}, {kind} y = {{0}},
         {kind}[{", ".join(map(str, shape))}] small = {{{numbers}}}>
        {{
            [q] q = QuantizeLinear (images, s, z)
            [d] d = DequantizeLinear (q, s, z)
            {more}
            [i] copy = Identity (small)
            [w] w = DequantizeLinear ({weight}, s, y)
            [c] output = Conv <group = {group}> (d, w)
        }}""")


@pytest.mark.parametrize(
    ("options", "padded"),
    [
        ({}, 1),
        ({"channels": 6}, 1),
        ({"more": "w1 = DequantizeLinear(small, s, y) [b] other = Conv(d, w1) "}, 2),
        ({"channels": 4}, 0),
        ({"group": 3}, 0),
        ({"kind": "uint8"}, 0),
        ({"weight": "copy"}, 0),
        ({"more": "other = Neg(d) "}, 0),
    ],
)
def test_what_can_be_padded(options, padded):
    model = packed(**options)
    before = onnx.ModelProto.FromString(model.SerializeToString())
    assert pad_channels(model) == padded
    if not padded:
        assert model == before
    else:
        node = next(node for node in model.graph.node if node.op_type == "Pad")
        assert (node.name, list(node.output)) == ("quantize/Pad", ["quantize/padded"])
        images = np.random.default_rng(3).uniform(0, 9, (1, options.get("channels", 3), 4, 4))
        images = images.astype(np.float32)
        np.testing.assert_array_equal(run(model, images)[0], run(before, images)[0])


def test_every_operator_of_the_list_works_on_bytes():
    text = "(float[1, 2, 4, 4] images) => (float[1, 4, 4, 4] output) <float[1] one = {0.5}> { [a] a = "
    text += "Sigmoid(images) [b] b = Mul(images, a) [c] c = Add(b, one) [d] output = Concat<axis = 1>(b, c) }"
    network = onnx.parser.parse_model(HEADER + text)
    limits = dict.fromkeys(("images", "a", "b", "c", "output", "one"), (0.0, 2.0))
    after = insert_qdq(network, Ranges(limits, {}, []), runtime="onnxruntime")
    makers = {name: node for node in after.graph.node for name in node.output}
    for name in "abcd":
        node = next(node for node in after.graph.node if node.name == name)
        assert {makers[source].op_type for source in node.input} == {"DequantizeLinear"}, name


HEADER = '<ir_version: 8, opset_import: ["": 17]> net '
LEAKY = "b = LeakyRelu <alpha = 0.1> (images)"
POOLS = {
    "read by the pool alone": (f"{LEAKY} output = POOL (b)", 1, ["MaxPool", "LeakyRelu"]),
    "read by another, too": (
        f"{LEAKY} c = POOL (b) d = POOL (b) output = Add(c, d)",
        0,
        ["LeakyRelu", "MaxPool", "MaxPool", "Add"],
    ),
    "a falling slope": (f"{LEAKY.replace('0.1', '-0.1')} output = POOL (b)", 0, ["LeakyRelu", "MaxPool"]),
    "another operator behind": (f"{LEAKY} c = Neg(b) output = POOL (c)", 0, ["LeakyRelu", "Neg", "MaxPool"]),
    "a slope that is not written": ("b = LeakyRelu(images) output = POOL (b)", 1, ["MaxPool", "LeakyRelu"]),
}


@pytest.mark.parametrize("case", POOLS)
def test_a_pool_goes_first_where_that_changes_nothing(case, rng):
    body, moved, expected = POOLS[case]
    body = body.replace("POOL", "MaxPool <kernel_shape = [2, 2], strides = [2, 2]>")
    model = onnx.parser.parse_model(
        HEADER + f"(float[1, 2, 4, 4] images) => (float[1, 2, 2, 2] output) {{ {body} }}"
    )
    before = onnx.ModelProto.FromString(model.SerializeToString())
    assert pool_first(model) == moved
    assert operators(model) == expected
    onnx.checker.check_model(model, full_check=True)
    images = rng.uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(model, images)[0], run(before, images)[0])


def test_an_output_of_the_network_stays_where_it_is():
    model = onnx.parser.parse_model(
        HEADER + "(float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] b, float[1, 2, 2, 2] p)"
        "{ b = LeakyRelu(x) p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b) }"
    )
    assert pool_first(model) == 0
