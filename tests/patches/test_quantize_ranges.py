"""Calibration: ranges as ONNX Runtime's calibrator finds them, shared where bytes are only moved."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from patches.quantize_nets import PICTURES, net, run

from helpers.images import letterbox, to_tensor
from helpers.patches import PatchError
from helpers.patches.quantize_network import cut_network
from helpers.patches.quantize_ranges import _shared, calibrate, network_inputs


@pytest.fixture(scope="module")
def ranges():
    return calibrate(net(), PICTURES)


def seen():
    """Every value of the network for every picture, by plain runs."""
    network = onnx.shape_inference.infer_shapes(cut_network(net()))
    network.graph.output.extend(network.graph.value_info)
    names = [value.name for value in network.graph.output]
    runs = [run(network, to_tensor(letterbox(each, (64, 64)).image_bgr)) for each in PICTURES]
    return {name: np.stack([each[place] for each in runs]) for place, name in enumerate(names)}


def test_ranges_are_those_of_the_values_that_flow(ranges):
    values = seen()
    for name in ("a", "c", "h"):
        low, high = ranges.limits[name]
        width = float(np.ptp(values[name]))
        assert low == pytest.approx(float(values[name].min()), abs=0.01 * width)
        assert high == pytest.approx(float(values[name].max()), abs=0.01 * width)
        counts, edges = ranges.histograms[name]
        assert counts.sum() == values[name].size
        assert len(edges) == len(counts) + 1


def test_a_picture_is_255_grey_levels(ranges):
    assert ranges.limits["images"] == (0.0, 1.0)


def test_what_a_concat_joins_has_one_range(ranges):
    joined = [ranges.limits[name] for name in ("b", "p", "d", "u", "v", "e")]
    assert len(set(joined)) == 1
    values = seen()
    assert joined[0][1] == pytest.approx(max(values["b"].max(), values["d"].max()), rel=0.01)
    assert joined[0][0] == pytest.approx(min(values["b"].min(), values["d"].min()), rel=0.01)
    assert ranges.limits["a"] != ranges.limits["c"]


def test_more_pictures_widen_and_never_narrow():
    one, two = calibrate(net(), PICTURES[:1]), calibrate(net(), PICTURES)
    dark = calibrate(net(), [np.zeros((64, 64, 3), np.uint8)])
    assert len(two.inputs) == 2
    for name in ("a", "c", "h"):
        assert two.limits[name][0] <= one.limits[name][0] + 1e-3
        assert two.limits[name][1] >= one.limits[name][1] - 1e-3
    assert dark.limits["a"][1] < one.limits["a"][1]


def test_pictures_are_letterboxed_to_the_input(rng):
    picture = rng.integers(0, 256, (30, 60, 3), np.uint8)
    (image,) = network_inputs(net(), [picture])
    np.testing.assert_array_equal(image, to_tensor(letterbox(picture, (64, 64)).image_bgr))


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_one_value_that_is_no_number_in_one_head_is_refused(bad):
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, 64, 64] images) => (float[1, 2, 64, 64] a, float[1, 2, 64, 64] b)
    <float[2, 3, 1, 1] v = {1, 2, 3, 4, 5, 6}, float[2, 3, 1, 1] w = {1, 2, 3, 4, 5, 6}, float[2] k = {0, 0}>
    { x = Conv(images, v) a = Tanh(x) y = Conv(images, w, k) b = Tanh(y) }"""
    model = onnx.parser.parse_model(text)
    broken = onnx.numpy_helper.from_array(np.array([0, float(bad)], np.float32), "k")
    model.graph.initializer[2].CopyFrom(broken)
    with pytest.raises(PatchError, match="finite values at the head"):
        calibrate(model, PICTURES)


def test_a_constant_has_no_range_to_share():
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, 4, 4] x) => (float[1, 4, 4, 4] y) <float[1, 1, 4, 4] k>
    { y = Concat <axis = 1> (x, k) }"""
    limits = {"x": (0.0, 2.0), "y": (-1.0, 1.0), "z": (5.0, 6.0)}
    shared = _shared(onnx.parser.parse_model(text), limits)
    assert shared == {"x": (-1.0, 2.0), "y": (-1.0, 2.0), "z": (5.0, 6.0)}


def test_the_calibrator_prints_nothing(capsys):
    calibrate(net(), PICTURES[:1])
    assert capsys.readouterr().out == ""
