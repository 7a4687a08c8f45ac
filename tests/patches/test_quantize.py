"""INT8 as a graph edit: what changes, what must not, what is refused, and that the numbers stay near."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from patches.quantize_nets import PICTURES, net, run
from test_tensorrt_operators import complaints

from helpers.patches import PatchError
from helpers.patches.half import to_half
from helpers.patches.quantize import LIMIT, quantize, scan
from helpers.patches.quantize_network import join_network
from helpers.patches.quantize_ranges import Ranges, calibrate

RUNTIMES = ("onnxruntime", "tensorrt")
PAIRS = ("QuantizeLinear", "DequantizeLinear")


@pytest.fixture(scope="module")
def ranges():
    return calibrate(net(), PICTURES)


def operators(model, *kinds):
    return [node.op_type for node in model.graph.node if not kinds or node.op_type in kinds]


def zero_points(model):
    names = {node.input[2] for node in model.graph.node if node.op_type in PAIRS}
    return [numpy_helper.to_array(t) for t in model.graph.initializer if t.name in names]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_every_result_keeps(runtime, ranges):
    before = net()
    copy = before.SerializeToString(deterministic=True)
    result = quantize(before, ranges, runtime=runtime, floats=["last"])
    after = result.model
    assert before.SerializeToString(deterministic=True) == copy
    assert result.changed
    onnx.checker.check_model(after, full_check=True)
    for part in ("metadata_props", "opset_import", "ir_version", "producer_name"):
        assert getattr(after, part) == getattr(before, part)
    assert after.graph.input == before.graph.input
    assert after.graph.output == before.graph.output
    assert list(after.graph.node[-3:]) == list(before.graph.node[-3:])  # decoding, node by node
    made = [name for node in after.graph.node for name in node.output]
    assert len(made) == len(set(made))
    again = quantize(after, ranges, runtime=runtime)
    assert not again.changed
    assert again.model is after


def test_the_same_model_gives_the_same_bytes(ranges):
    twice = [quantize(net(), calibrate(net(), PICTURES)).model for _ in range(2)]
    assert twice[0].SerializeToString(deterministic=True) == twice[1].SerializeToString(deterministic=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_numbers_stay_near_and_are_not_the_same(runtime, ranges, rng):
    before, images = net(), rng.uniform(0, 1, (1, 3, 64, 64)).astype(np.float32)
    after = quantize(before, ranges, runtime=runtime, floats=[]).model
    exact, rounded = run(before, images)[0], run(after, images)[0]
    assert 0 < np.abs(rounded - exact).max() < 0.06
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.999


def test_for_onnxruntime_everything_between_is_bytes(ranges):
    after = quantize(net(), ranges, floats=["last"]).model
    assert {str(zero.dtype) for zero in zero_points(after)} == {"uint8", "int8", "int32"}
    makers = {name: node for node in after.graph.node for name in node.output}
    readers = {name: node for node in after.graph.node for name in node.input}
    for node in after.graph.node:
        if node.op_type in ("LeakyRelu", "MaxPool", "Concat", "Resize"):
            assert makers[node.input[0]].op_type == "DequantizeLinear", node.name
            assert readers[node.output[0]].op_type == "QuantizeLinear", node.name
    assert operators(after, "LeakyRelu", "MaxPool") == ["MaxPool", "LeakyRelu", "LeakyRelu"]
    pad = next(node for node in after.graph.node if node.op_type == "Pad")
    assert makers[pad.input[0]].op_type == "QuantizeLinear"


def test_for_tensorrt_it_is_symmetric_and_only_what_convolutions_read(ranges):
    after = quantize(net(), ranges, runtime="tensorrt", floats=["last"]).model
    zeros = zero_points(after)
    assert zeros
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
    read = {name for node in after.graph.node if node.op_type == "Conv" for name in node.input}
    pairs = [node for node in after.graph.node if node.op_type == "DequantizeLinear"]
    assert pairs
    assert {node.output[0] for node in pairs} <= read
    assert not {"a_QuantizeLinear", "c_QuantizeLinear", "h_QuantizeLinear"} & {
        n.name for n in after.graph.node
    }
    assert "Pad" not in operators(after)
    assert operators(after, "LeakyRelu", "MaxPool") == ["LeakyRelu", "MaxPool", "LeakyRelu"]
    assert all(t.data_type == TensorProto.FLOAT for t in after.graph.initializer if t.name == "b1")
    assert complaints(after) == []


def test_weights_have_a_scale_for_each_channel(ranges):
    before = net()
    after = quantize(before, ranges, runtime="tensorrt", floats=[]).model
    stored = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    exact = {t.name: numpy_helper.to_array(t) for t in before.graph.initializer}
    for name in ("w1", "w2"):
        steps, scales = stored[f"{name}_quantized"], stored[f"{name}_scale"]
        np.testing.assert_allclose(scales, np.abs(exact[name]).max(axis=(1, 2, 3)) / 127, rtol=0.01)
        assert np.abs(steps * scales[:, None, None, None] - exact[name]).max() <= scales.max() * 0.51


def test_named_layers_stay_in_float_with_their_activation(ranges):
    after = quantize(net(), ranges, floats=["first", "last"]).model
    unpacked = {n.output[0] for n in after.graph.node if n.op_type == "DequantizeLinear"}
    floats = [n.name for n in after.graph.node if n.op_type == "Conv" and n.input[1] not in unpacked]
    assert floats == ["first", "last"]
    leaky = next(n for n in after.graph.node if n.op_type == "LeakyRelu")
    assert leaky.input[0] not in unpacked


def test_the_scan_chooses_and_the_report_says_so(ranges):
    found = scan(net(), ranges, limit=0.0007)
    result = quantize(net(), ranges, limit=0.0007)
    named = quantize(net(), ranges, floats=found.floats)
    assert result.model == named.model
    assert 0 < len(found.floats) < len(found.noise)
    assert result.report[0].startswith(
        f"INT8 for onnxruntime: {3 - len(found.floats)} of 3 Conv, ranges from 2"
    )
    assert all(name in result.report[1] for name in found.floats)
    assert "in FP32: last (alone 0.0" in quantize(net(), ranges, limit=1).report[1]


def test_the_report_counts_the_pairs(ranges):
    result = quantize(net(), ranges, floats=["last"])
    counts = [len(operators(result.model, kind)) for kind in PAIRS]
    assert min(counts) > 5
    assert result.report[0].endswith(f"; {counts[0]} {PAIRS[0]}, {counts[1]} {PAIRS[1]}")


def test_each_line_of_the_report(ranges):
    lines = quantize(net(), ranges, floats=["last"]).report[1:]
    assert lines == (
        "1 LeakyRelu moved behind the MaxPool that reads it",
        "a channel of zeros beside the picture's three: the fast kernel takes four",
    )
    assert len(quantize(net(), ranges, runtime="tensorrt", floats=["last"]).report) == 1


def spoiled(what):
    """What joins the parts, with something else than the network changed."""

    def join(model, network):
        joined = join_network(model, network)
        if what == "metadata":
            joined.metadata_props[0].value = "other"
        else:
            getattr(joined.graph, what)[0].doc_string = "other"
        return joined

    return join


@pytest.mark.parametrize("what", ["input", "output", "metadata"])
def test_what_is_around_the_network_is_looked_after(monkeypatch, ranges, what):
    monkeypatch.setattr("helpers.patches.quantize.join_network", spoiled(what))
    with pytest.raises(PatchError, match=f"{what} as it was; got a change; fix: report this graph"):
        quantize(net(), ranges, floats=[])


def test_the_scan_is_one_of_the_same_form(ranges):
    found = {runtime: scan(net(), ranges, runtime=runtime, limit=1) for runtime in RUNTIMES}
    assert found["onnxruntime"] == scan(net(), ranges, limit=1) != found["tensorrt"]
    for runtime in RUNTIMES:
        alone = f"last (alone {found[runtime].noise['last']:.4f})"
        assert quantize(net(), ranges, runtime=runtime, limit=1).report[1].endswith(alone)


def test_the_limit_is_the_one_that_was_measured():
    assert LIMIT == 0.012


def old(model):
    """The same graph as an opset that has no scales by channel."""
    copied = onnx.ModelProto.FromString(model.SerializeToString())
    copied.opset_import[0].version, copied.ir_version = 12, 7
    copied.graph.initializer.append(numpy_helper.from_array(np.zeros(0, np.float32), "roi"))
    for node in copied.graph.node:
        if node.op_type == "Resize":  # the region was no option then
            node.input[1] = "roi"
    return copied


def test_only_the_version_of_the_standard_operators_counts(ranges):
    model = net()
    model.opset_import.append(onnx.helper.make_opsetid("other", 1))
    assert quantize(model, ranges, floats=[]).model.opset_import[0].version == 17


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_an_older_opset_is_converted_and_keeps_its_metadata(rng, domain):
    before, images = old(net()), rng.uniform(0, 1, (1, 3, 64, 64)).astype(np.float32)
    before.opset_import[0].domain = domain
    after = quantize(before, PICTURES, floats=["last"]).model
    assert [entry.version for entry in after.opset_import] == [13]
    assert after.metadata_props == before.metadata_props
    assert np.abs(run(after, images)[0] - run(before, images)[0]).max() < 0.06


HEADER = '<ir_version: 8, opset_import: ["": 17]> net '
REFUSED = {
    "no convolution": (HEADER + "(float[1, 3, 64, 64] x) => (float[1, 3, 64, 64] y) { y = Relu(x) }", "none"),
    "an open size": (
        HEADER + "(float[1, 3, h, 64] x) => (float[1, 1, h, 64] y) <float[1, 3, 1, 1] w = {1, 2, 3}>"
        "{ y = Conv(x, w) }",
        "[1, 3, 0, 64]",
    ),
    "bytes in": (
        HEADER + "(uint8[1, 3, 64, 64] x) => (float[1, 1, 64, 64] y) <float[1, 3, 1, 1] w = {1, 2, 3}>"
        "{ f = Cast<to = 1>(x) y = Conv(f, w) }",
        "x [1, 3, 64, 64]",
    ),
    "two inputs": (
        HEADER + "(float[1, 3, 64, 64] x, float[1] k) => (float[1, 1, 64, 64] y)"
        "<float[1, 3, 1, 1] w = {1, 2, 3}> { z = Conv(x, w) y = Mul(z, k) }",
        "k [1]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_graphs(case):
    text, word = REFUSED[case]
    with pytest.raises(PatchError, match="model: expected") as caught:
        quantize(onnx.parser.parse_model(text), PICTURES)
    assert word in str(caught.value)


def test_the_input_is_looked_at_where_ranges_are_given(ranges):
    with pytest.raises(PatchError, match="one FP32 input"):
        quantize(onnx.parser.parse_model(REFUSED["two inputs"][0]), ranges)


@pytest.mark.parametrize(
    ("pictures", "got"),
    [
        ([], "got none"),
        ([np.zeros((3, 64, 64), np.uint8)], "got uint8[3, 64, 64]"),
        ([np.zeros((64, 64, 3, 1), np.uint8)], "got uint8[64, 64, 3, 1]"),
        ([np.zeros((64, 64, 3), np.float32)], "float32[64, 64, 3]"),
        (["a.jpg"], "got str"),
        ([np.zeros((0, 64, 3), np.uint8)], "uint8[0, 64, 3]"),
    ],
)
def test_refused_pictures(pictures, got):
    with pytest.raises(PatchError, match="pictures: expected pictures") as caught:
        quantize(net(), pictures)
    assert got in str(caught.value)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"runtime": "openvino"}, "'openvino'"),
        ({"floats": ["nobody"]}, "'nobody', which is none"),
        ({"floats": ["first", "middle", "last"]}, "all 3"),
        ({"limit": 0.0}, "all 3"),
    ],
)
def test_refused_options(options, word, ranges):
    with pytest.raises(PatchError) as caught:
        quantize(net(), ranges, **options)
    assert word in str(caught.value)


def test_the_other_form_and_half_precision_are_refused(ranges):
    done = quantize(net(), ranges, floats=[]).model
    with pytest.raises(PatchError, match="INT8 for onnxruntime"):
        quantize(done, ranges, runtime="tensorrt")
    with pytest.raises(PatchError, match="got FP16"):
        quantize(to_half(net()).model, PICTURES)


def test_weights_that_are_no_numbers_are_refused():
    model = net()
    broken = np.full((4, 3, 3, 3), np.nan, np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, "w1"))
    with pytest.raises(PatchError, match="finite values"):
        quantize(model, PICTURES)


def test_ranges_stand_for_pictures(ranges):
    assert isinstance(ranges, Ranges)
    assert quantize(net(), PICTURES, floats=[]).model == quantize(net(), ranges, floats=[]).model
