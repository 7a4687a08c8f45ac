"""The sensitivity scan: switches that do what the quantised graph does, noise by hand, the cheapest set."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from patches.quantize_nets import PICTURES, net, run

from helpers.patches.quantize_network import cut_network
from helpers.patches.quantize_nodes import insert_qdq
from helpers.patches.quantize_ranges import Ranges, calibrate
from helpers.patches.quantize_scan import LOCAL, Switchboard, _boxes, _middle, _multiplications, _noise

RUNTIMES = ("onnxruntime", "tensorrt")


@pytest.fixture(scope="module")
def ranges():
    return calibrate(net(), PICTURES)


@pytest.fixture(scope="module")
def board(ranges):
    return Switchboard(cut_network(net()), ranges, runtime="onnxruntime")


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def noise_by_hand(model, ranges):
    """The definition again, from plain runs of the whole pictures: 24 channels are 3 boxes of 8 numbers."""
    exact, found = ([], [])
    for image in ranges.inputs:
        for side, each in ((exact, cut_network(net())), (found, model)):
            head = run(each, image)[0].astype(np.float64)
            side.append(np.moveaxis(head.reshape(3, 8, -1), 1, 2).reshape(-1, 8))
    a, b = sigmoid(np.concatenate(exact)), sigmoid(np.concatenate(found))
    weight = np.maximum(a[:, 4], b[:, 4])
    squares = (weight[:, None] * (a - b) ** 2).sum(axis=0) / weight.sum()
    return np.sqrt(max(squares[:4].mean(), squares[4:].mean()))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_switches_on_is_the_quantised_network(runtime, ranges):
    board = Switchboard(cut_network(net()), ranges, runtime=runtime)
    quantised = insert_qdq(cut_network(net()), ranges, runtime=runtime)
    assert board.noise(board.layers) == pytest.approx(noise_by_hand(quantised, ranges), rel=0.05)


def test_no_switch_on_is_the_float_network(board):
    assert board.noise([]) == 0


def test_what_everything_is_compared_with_is_the_float_network(board, ranges):
    head = np.concatenate([run(cut_network(net()), image)[0] for image in ranges.inputs])
    boxes = np.moveaxis(head.astype(np.float64).reshape(2, 3, 8, -1), 2, 3).reshape(-1, 8)
    np.testing.assert_allclose(board._exact[0], sigmoid(boxes), rtol=1e-5)
    assert board._exact[0].dtype == np.float64


@pytest.mark.parametrize(("noise", "work"), [((0.2, 0.5), (1, 5)), ((0.5, 0.2), (7, 1))])
def test_noise_adds_up_in_squares(board, monkeypatch, noise, work):
    """Both layers would stand the other way round by noise alone, by its cube, or without their work."""
    alone = dict(zip(("first", "middle", "last"), (*noise, 0.1), strict=True))
    monkeypatch.setattr(board, "work", dict(zip(alone, (*work, 1), strict=True)))
    monkeypatch.setattr(board, "noise", lambda names: sum(alone[name] for name in names))
    found = board.scan(limit=-1)
    gain = [noise[place] ** 2 / work[place] for place in (0, 1)]
    order = ["first", "middle"] if gain[0] > gain[1] else ["middle", "first"]
    assert found.floats == ("last", *order)
    assert len(found.curve) == 4


def test_a_network_may_end_behind_an_activation():
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, 64, 64] images) => (float[1, 1, 64, 64] b, float[1, 1, 64, 64] c)
    <float[1, 3, 1, 1] w = {1, 2, 3}>
    { [one] a = Conv(images, w) [act] b = Sigmoid(a) [two] c = Conv(images, w) }"""
    images = [np.zeros((1, 3, 64, 64), np.float32)]
    ranges = Ranges(dict.fromkeys(("images", "a", "b", "c"), (0.0, 9.0)), {}, images)
    board = Switchboard(onnx.parser.parse_model(text), ranges, runtime="onnxruntime")
    assert board.heads == {"two"}


def test_what_sees_a_part_of_a_picture_alone():
    names = "Add Concat Conv LeakyRelu MaxPool Mul Resize Sigmoid Relu Clip HardSwish Slice"
    assert set(names.split()) == LOCAL


def test_every_layer_makes_noise_of_its_own(board):
    alone = [board.noise([name]) for name in ("first", "middle", "last")]
    assert min(alone) > 0
    assert len(set(alone)) == 3
    assert max(alone) <= board.noise(board.layers) * 1.5


def test_a_coarser_layer_makes_more_noise(ranges):
    """One weight a hundred times the others makes the steps of its channel a hundred times as coarse."""
    model = net()
    weights = numpy_helper.to_array(model.graph.initializer[2]).copy()
    before = Switchboard(cut_network(net()), ranges, runtime="onnxruntime").noise(["middle"])
    weights[:, 0, 0, 0] *= 100
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(weights, "w2"))
    assert model.graph.initializer[2].name == "w2"
    after = Switchboard(cut_network(model), calibrate(model, PICTURES), runtime="onnxruntime").noise(
        ["middle"]
    )
    assert after > 1.5 * before


def test_the_scan_takes_most_noise_for_its_work_first(board):
    everything = board.scan(limit=0.0)
    gain = {name: noise**2 / board.work[name] for name, noise in everything.noise.items()}
    assert everything.floats[0] == "last"  # the head, which would come last by its gain
    assert list(everything.floats[1:]) == sorted(["first", "middle"], key=lambda name: -gain[name])
    assert list(everything.noise.values()) == sorted(everything.noise.values(), reverse=True)
    assert everything.curve[-1] == 0
    assert everything.curve[0] == board.noise(board.layers)
    assert len(everything.curve) == 4


def test_the_scan_stops_at_the_limit(board):
    everything = board.scan(limit=0.0)
    second = board.scan(limit=everything.curve[2])
    assert second.floats == everything.floats[:2]
    assert second.curve == everything.curve[:3]


def test_the_head_stays_in_float_whatever_the_limit(board):
    assert board.heads == {"last"}
    assert board.scan(limit=1.0).floats == ("last",)


def test_work_is_counted_in_multiplications(board):
    assert board.work == {
        "first": 4 * 3 * 9 * 32 * 32,
        "middle": 4 * 4 * 9 * 16 * 16,
        "last": 24 * 8 * 32 * 32,
    }


def test_work_where_sizes_are_open_is_that_of_a_cell():
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, h, w] images) => (float[1, 1, h, w] output) <float[1, 3, 1, 1] k = {1, 2, 3}>
    { [only] output = Conv(images, k) }"""
    assert _multiplications(onnx.parser.parse_model(text)) == {"only": 3}


def test_boxes_come_out_of_a_head_in_order():
    head = np.arange(3 * 6 * 2 * 2, dtype=np.float32).reshape(1, 18, 2, 2) / 50 - 1
    boxes = _boxes(head)
    assert boxes.shape == (12, 6)
    np.testing.assert_allclose(
        boxes[5], sigmoid(head[0, 6:12, 0, 1]), rtol=1e-6
    )  # second anchor, second cell
    assert _boxes(head[:, :7]).shape == (4, 7)  # no head of YOLOv7: cells by channels
    assert _boxes(head[:, :15]).shape == (4, 15)  # three boxes would have no scores
    assert _boxes(np.zeros((1, 19, 2, 2), np.float32)).shape == (4, 19)  # not the same for three


def test_sure_boxes_weigh_more_and_less_than_one_box_counts_less():
    exact, weight = np.full((2, 4), 0.5), np.array([0.9, 0.1])
    sure, unsure = exact.copy(), exact.copy()
    sure[0, 0] += 0.2
    unsure[1, 0] += 0.2
    assert _noise(exact, sure, weight) == pytest.approx(np.sqrt(0.9 * 0.04 / 4))
    assert _noise(exact, sure, weight) == pytest.approx(3 * _noise(exact, unsure, weight))
    assert _noise(exact, sure, weight * 4) == pytest.approx(_noise(exact, sure, weight))
    assert _noise(exact, sure, weight / 4) == pytest.approx(_noise(exact, sure, weight) / 2)


@pytest.fixture
def levels(board, monkeypatch):
    """A board of two levels, `[2, 6]` and `[3, 6]`, all surely boxes; the test chooses what comes out."""
    exact = [np.full((2, 6), 0.5), np.full((3, 6), 0.5)]
    for level in exact:
        level[:, 4] = 1
    found = [level.copy() for level in exact]
    monkeypatch.setattr(board, "_exact", exact)
    monkeypatch.setattr(board, "_run", lambda _: found)
    return exact, found


def test_places_count_in_the_worst_level(board, levels):
    _, found = levels
    found[0][:, :4] += 0.1
    found[1][:, :4] += 0.02
    assert board.noise(()) == pytest.approx(0.1)
    found[0][:, :4] = 0.5
    assert board.noise(()) == pytest.approx(0.02)


def test_scores_count_over_all_levels(board, levels):
    _, found = levels
    found[0][:, 5] += 0.1
    assert board.noise(()) == pytest.approx(np.sqrt(2 * 0.01 / 5 / 2))
    found[1][:, :4] += 0.3
    assert board.noise(()) == pytest.approx(0.3)


@pytest.mark.parametrize("side", [0, 1])
def test_what_either_network_believes_in_weighs(board, levels, side):
    exact, found = levels
    for level in (*exact, *found):
        level[:, 4] = 0
    levels[side][1][0, 4] = 1.0
    found[1][0, :4] += 0.1
    assert board.noise(()) >= 0.1
    found[1][1:, :4] += 9  # of what neither believes in, no place counts
    assert board.noise(()) < 1


def test_a_head_without_scores_makes_all_plain_numbers(board, monkeypatch):
    exact = [np.zeros((2, 6)), np.zeros((3, 2))]
    found = [np.full((2, 6), 0.1), np.full((3, 2), 0.3)]
    monkeypatch.setattr(board, "_exact", exact)
    monkeypatch.setattr(board, "_run", lambda _: found)
    assert board.noise(()) == pytest.approx(0.3)


def test_two_pictures_are_run(ranges):
    more = Ranges(ranges.limits, ranges.histograms, [*ranges.inputs, *ranges.inputs])
    assert len(Switchboard(cut_network(net()), more, runtime="onnxruntime")._images) == 2


def test_a_part_of_a_picture_will_do_for_slices():
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, 128, 128] images) => (float[1, 1, 128, 128] output) <float[1, 3, 1, 1] w = {1, 2, 3},
     int64[1] zero = {0}, int64[1] end = {3}, int64[1] one = {1}>
    { s = Slice(images, zero, end, one) output = Conv(s, w) }"""
    model = onnx.parser.parse_model(text)
    board = Switchboard(cut_network(model), calibrate(model, PICTURES), runtime="tensorrt")
    assert [image.shape for image in board._images] == [(1, 3, 64, 64)] * 2


@pytest.mark.parametrize(
    ("sides", "kept"),
    [((640, 640), (320, 320)), ((384, 640), (192, 320)), ((64, 64), (64, 64)), ((192, 128), (64, 64))],
)
def test_the_middle_of_a_picture_in_whole_cells(sides, kept):
    image = np.zeros((1, 3, *sides), np.float32)
    image[:, :, sides[0] // 2, sides[1] // 2] = 1
    middle = _middle(image)
    assert middle.shape == (1, 3, *kept)
    assert middle[0, 0, kept[0] // 2, kept[1] // 2] == 1


def test_an_operator_that_sees_the_whole_picture_is_run_on_the_whole(ranges):
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, 128, 128] images) => (float[1, 1, 128, 128] output) <float[1, 3, 1, 1] w = {1, 2, 3}>
    { m = GlobalAveragePool(images) n = Sub(images, m) output = Conv(n, w) }"""
    model = onnx.parser.parse_model(text)
    pictures = [np.random.default_rng(3).integers(0, 256, (128, 128, 3), np.uint8)]
    board = Switchboard(cut_network(model), calibrate(model, pictures), runtime="tensorrt")
    assert board._images[0].shape == (1, 3, 128, 128)
    assert 0 < board.noise(board.layers) < 0.01


def test_the_worst_level_counts():
    text = """<ir_version: 8, opset_import: ["": 17]>
    net (float[1, 3, 64, 64] images) => (float[1, 1, 64, 64] a, float[1, 2, 64, 64] b)
    <float[1, 3, 1, 1] v = {0.31, -0.52, 0.77}, float[2, 3, 1, 1] w = {0.11, 0.23, -0.37, 0.41, 0.53, 0.61}>
    { [one] x = Conv(images, v) a = Tanh(x) [two] y = Conv(images, w) b = Tanh(y) }"""
    network = cut_network(onnx.parser.parse_model(text))
    board = Switchboard(network, calibrate(onnx.parser.parse_model(text), PICTURES), runtime="onnxruntime")
    alone = [board.noise([name]) for name in ("one", "two")]
    assert min(alone) > 0
    assert board.noise(["one", "two"]) == max(alone)
