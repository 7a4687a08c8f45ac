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


def packed(channels=3, *, group=1, kind="int8", weight="small", first="", more=""):
    """A convolution in bytes."""
    shape = (4 * group, channels // group, 1, 1)
    numbers = ", ".join(str(index % 5) for index in range(np.prod(shape)))
    return onnx.parser.parse_model(f"""{HEADER}
        (float[1, {channels}, 4, 4] images) => (float[1, {shape[0]}, 4, 4] output)
        <float s = {{0.1}}, uint8 z = {{0}}, {kind} y = {{0}},
         {kind}[{", ".join(map(str, shape))}] small = {{{numbers}}}>
        {{
            {first}
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
        ({"first": "[r] other = Relu (images)"}, 1),
        ({"first": "[r] other = QuantizeLinear (s, s, z)"}, 1),
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


@pytest.mark.parametrize(
    "body",
    [
        "y = Add(images, one)",
        "y = Mul(images, one)",
        "y = Sigmoid(images)",
        "y = LeakyRelu(images)",
        "y = Concat<axis = 1>(images, images)",
        "y = Conv(images, w)",
        "x = Conv(images, w) [op] y = MaxPool<kernel_shape = [1, 1]>(x)",
        'x = Conv(images, w) [op] y = Resize<mode = "nearest">(x, , up)',
    ],
)
def test_every_operator_of_the_list_works_on_bytes(body):
    weights = "<float[1] one = {0.5}, float[2, 2, 1, 1] w = {1, 2, 3, 4}, float[4] up = {1, 1, 1, 1}>"
    channels = 4 if "Concat" in body else 2
    network = onnx.parser.parse_model(
        f"{HEADER} (float[1, 2, 4, 4] images) => (float[1, {channels}, 4, 4] y) {weights} {{ [op] {body} }}"
    )
    limits = dict.fromkeys(("images", "x", "y", "one"), (0.0, 2.0))
    after = insert_qdq(network, Ranges(limits, {}, []), runtime="onnxruntime")
    makers = {name: node for node in after.graph.node for name in node.output}
    assert makers["y"].op_type == "DequantizeLinear"
    node = next(node for node in reversed(after.graph.node) if node.name == "op")
    assert makers[node.input[0]].op_type == "DequantizeLinear"


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
    "no slope at all": (f"{LEAKY.replace('0.1', '0.0')} output = POOL (b)", 1, ["MaxPool", "LeakyRelu"]),
    "a slope that is not written": ("b = LeakyRelu(images) output = POOL (b)", 1, ["MaxPool", "LeakyRelu"]),
}


def test_a_picture_that_no_convolution_reads_is_not_padded():
    model = onnx.parser.parse_model(
        HEADER + "(float[1, 3, 4, 4] images) => (float[1, 3, 4, 4] d) <float s = {0.1}, uint8 z = {0}>"
        "{ [q] q = QuantizeLinear(images, s, z) [d] d = DequantizeLinear(q, s, z) }"
    )
    assert pad_channels(model) == 0
    assert operators(model) == ["QuantizeLinear", "DequantizeLinear"]


def test_those_that_stay_do_not_keep_others_from_moving():
    pool = "MaxPool <kernel_shape = [2, 2], strides = [2, 2]>"
    model = onnx.parser.parse_model(
        HEADER + "(float[1, 2, 8, 8] x) => (float[1, 2, 2, 2] y) { a = LeakyRelu(x) b = Neg(a) "
        f"c = LeakyRelu(b) d = Neg(c) e, places = {pool}(d) f = LeakyRelu(e) g, i = {pool}(f) "
        f"h = LeakyRelu(d) k = {pool}(h) m = {pool}(k) y = Add(g, m) }}"
    )
    assert pool_first(model) == 2
    assert operators(model)[-4:-1] == ["MaxPool", "MaxPool", "LeakyRelu"]
    assert operators(model)[5:7] == ["LeakyRelu", "MaxPool"]  # the pool that tells places stays


def test_sizes_that_were_noted_are_forgotten_where_they_change():
    text = "(float[1, 2, 4, 4] x) => (float[1, 2, 2, 2] y) { a = Abs(x) b = LeakyRelu(a) "
    text += "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]>(b) }"
    model = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(HEADER + text))
    assert pool_first(model) == 1
    assert [info.name for info in model.graph.value_info] == ["a"]
    onnx.checker.check_model(model, full_check=True)


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
