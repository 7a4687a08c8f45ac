"""The Ultralytics patch: against the guide's own algorithm, and in Ultralytics itself."""

from __future__ import annotations

import os
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.patches import PatchError, shape_of, ultralytics
from helpers.patches.metadata import write_metadata
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics

END2END = """<ir_version: 8, opset_import: ["": {opset}], metadata_props: ["a": "b"]>
end2end (float[batch, 3, m, 7] images) => (float[m, 7] output)
<int64 first = {{0}}>
{{
    [upstream] picture = Gather <axis = 0> (images, first)
    output = Gather <axis = 0> (picture, first)
}}"""


def end2end(opset=17):
    return onnx.parser.parse_model(END2END.format(opset=opset))


def run(model, rows):
    """Feed `rows` [M, 7] through a graph made from END2END."""
    images = np.zeros((1, 3, len(rows), 7), np.float32)
    images[0, 0] = rows
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def guide(rows, slots=100):
    """The guide's script, in numpy: slice, swap by concatenation, batch dimension, pad at the end."""
    sliced = rows[:, 1:7]
    swapped = np.concatenate((sliced[:, 0:4], sliced[:, 5:6], sliced[:, 4:5]), axis=1)
    batched = swapped.reshape(1, -1, 6)
    return np.pad(batched, ((0, 0), (0, slots - batched.shape[1]), (0, 0)))


def detections(rng, count):
    rows = rng.uniform(1, 640, (count, 7)).astype(np.float32)
    rows[:, 0] = 0
    rows[:, 5] = rng.integers(0, 80, count)
    rows[:, 6] = rng.permutation(np.linspace(0.3, 0.9, count))  # not in order: the order of rows must survive
    return rows


@pytest.mark.parametrize("count", [0, 1, 2, 50, 99, 100])
def test_up_to_the_slots_the_values_are_the_guides(rng, count):
    rows = detections(rng, count)
    out = run(to_ultralytics(end2end()).model, rows)
    assert out.shape == (1, 100, 6)
    np.testing.assert_array_equal(out, guide(rows))


@pytest.mark.parametrize("count", [101, 102, 300, 4000])
def test_beyond_the_slots_the_best_scored_stay_in_their_order(rng, count):
    rows = detections(rng, count)
    best = np.sort(np.argsort(-rows[:, 6])[:100])
    np.testing.assert_array_equal(run(to_ultralytics(end2end()).model, rows), guide(rows[best]))


@pytest.mark.parametrize("slots", [1, 7, 300, 3839])
def test_the_number_of_slots_is_a_parameter(rng, slots):
    rows = detections(rng, 60)
    best = np.sort(np.argsort(-rows[:, 6])[:slots])
    model = to_ultralytics(end2end(), slots=slots).model
    assert shape_of(model.graph.output[0]) == (1, slots, 6)
    np.testing.assert_array_equal(run(model, rows), guide(rows[best], slots))


@pytest.mark.parametrize("score", [0.0, -3.0, 1e30])
def test_rows_of_any_score_stand_before_padding(rng, score):
    rows = detections(rng, 5)
    rows[:, 6] = score
    np.testing.assert_array_equal(run(to_ultralytics(end2end()).model, rows), guide(rows))


def test_the_edits_can_be_called_one_by_one_with_arrays(rng):
    rows = detections(rng, 5)
    ordered = ultralytics.reorder(rows)
    padded = ultralytics.pad(ordered, np.zeros((3, 6), np.float32))
    assert padded.shape == (8, 6)
    last = np.full((1, 3), ultralytics.LAST)
    chosen = ultralytics.choose(ordered, padded, last, np.array([3]), np.array([1, 3]))
    np.testing.assert_array_equal(chosen, guide(rows[np.sort(np.argsort(-rows[:, 6])[:3])], 3))


def test_equal_scores_keep_the_first(rng):
    rows = detections(rng, 150)
    rows[:, 6] = 0.5
    np.testing.assert_array_equal(run(to_ultralytics(end2end()).model, rows), guide(rows[:100]))


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 20, 21, 23])
def test_every_opset_keeps_its_own_and_derives_the_shape(rng, opset):
    model = to_ultralytics(end2end(opset)).model
    assert [entry.version for entry in model.opset_import] == [opset]
    rows = detections(rng, 120)
    np.testing.assert_array_equal(run(model, rows), run(to_ultralytics(end2end()).model, rows))
    for dimension in model.graph.output[0].type.tensor_type.shape.dim:
        dimension.dim_param = "forgotten"
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    again = onnxruntime.InferenceSession(model.SerializeToString())
    assert again.get_outputs()[0].name == inferred.graph.output[0].name == "output0"
    named = {value.name: shape_of(value) for value in inferred.graph.value_info}
    assert named["ultralytics/picked"] == (1, 100)


def test_the_batch_becomes_one_and_everything_else_upstream_stays():
    model = end2end()
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("picture", 1, [3, "batch", 7]))
    before = model.SerializeToString(deterministic=True)
    result = to_ultralytics(model)
    assert model.SerializeToString(deterministic=True) == before
    assert list(result.model.graph.node[:2]) == list(model.graph.node)
    assert result.model.graph.initializer[0] == model.graph.initializer[0]
    assert result.model.metadata_props == model.metadata_props
    assert shape_of(result.model.graph.input[0]) == (1, 3, "m", 7)
    assert shape_of(result.model.graph.value_info[0]) == (3, 1, 7)
    assert result.report == (
        "output ['m', 7] -> output0 [1, 100, 6]: x0, y0, x1, y1, score, class",
        "images: batch batch -> 1",
    )
    assert len(result.model.functions) == 0
    operators = {node.op_type for node in result.model.graph.node}
    assert not operators & {"If", "Compress", "Unique", "NonZero", "Constant"}


def test_an_unknown_batch_becomes_one_and_a_batch_of_one_stays():
    model = end2end()
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    assert to_ultralytics(model).report[1:] == ("images: batch unknown -> 1",)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert len(to_ultralytics(model).report) == 1


def test_an_input_that_is_no_picture_is_left_alone():
    model = onnx.parser.parse_model(HEAD + "(float[n, 7] x) => (float[n, 7] y) { y = Identity(x) }")
    result = to_ultralytics(model)
    assert len(result.report) == 1
    assert result.model.graph.input == model.graph.input


def test_what_the_new_nodes_are_called():
    nodes = to_ultralytics(end2end()).model.graph.node[2:]
    names = [node.name for node in nodes]
    assert all(node.name in node.output for node in nodes[:-1])
    parts = ["ordered", "padded", "score_column", "score_row", "contest", "best", "in_order", "picked"]
    assert names == [*(f"ultralytics/{part}" for part in parts), "ultralytics/output0"]


def test_a_graph_that_another_tool_patched_is_left_alone():
    assert not to_ultralytics(suppressed("1, 100, 6")).changed


@pytest.mark.parametrize("shape", ["2, 100, 6", "1, 100, 7", "1, 9, 6, 2", "1, 100", "b, 100, 6"])
def test_nms_and_another_output_is_refused(shape):
    with pytest.raises(PatchError, match=r"an end-to-end output \[M, 7\]"):
        to_ultralytics(suppressed(shape))


def suppressed(shape):
    """A graph with an NMS and an output of this shape."""
    return onnx.parser.parse_model(
        HEAD + f"(float[1, 9, 4] a, float[1, 1, 9] s, float[{shape}] x) => (float[{shape}] y) "
        "{ kept = NonMaxSuppression(a, s) y = Identity(x) }"
    )


def test_a_second_run_changes_nothing_and_other_slots_are_refused():
    once = to_ultralytics(end2end()).model
    twice = to_ultralytics(once)
    assert not twice.changed
    assert twice.model == once
    with pytest.raises(PatchError, match=r"slots: expected 100, as in the graph; got 50"):
        to_ultralytics(once, slots=50)


@pytest.mark.parametrize("slots", [0, -1, 3840, 2.0, True, "100"])
def test_slots_out_of_range_are_refused(slots):
    with pytest.raises(PatchError, match="slots: expected 1 to 3839"):
        to_ultralytics(end2end(), slots=slots)


def test_another_name_of_the_input_is_noted_and_kept():
    text = END2END.format(opset=17).replace("images", "input_0")
    result = to_ultralytics(onnx.parser.parse_model(text))
    assert result.model.graph.input[0].name == "input_0"
    assert any("needs it to be 'images'" in line for line in result.report)


HEAD = '<ir_version: 8, opset_import: ["": 17]> g '
BAD_GRAPHS = {
    "(float[1, 9, 85] x) => (float[1, 9, 85] y) { y = Identity(x) }": "run .*nms.add_nms first",
    "(float[1, 100, 6] x) => (float[1, 100, 6] y) { y = Identity(x) }": "run .*nms.add_nms first",
    "(float[1, n, 85] x) => (float[1, n, 85] y) { y = Identity(x) }": "run .*nms.add_nms first",
    "(float[1, 3, 6] x) => (float[1, 3, 6] y) { y = Identity(x) }": "run .*nms.add_nms first",
    "(float[1, 7, 85] x) => (float[1, 7, 85] y) { y = Identity(x) }": "run .*nms.add_nms first",
    "(float[1, 9, 5] x) => (float[1, 9, 5] y) { y = Identity(x) }": "fix: hand in an end",
    "(float[1, 9, c] x) => (float[1, 9, c] y) { y = Identity(x) }": "fix: hand in an end",
    "(float[9, 6] x) => (float[9, 6] y) { y = Identity(x) }": r"got y \[9, 6\]; fix: hand in an end",
    "(float[9, n] x) => (float[9, n] y) { y = Identity(x) }": "end-to-end",
    "(float16[n, 7] x) => (float16[n, 7] y) { y = Identity(x) }": "y of type float16; fix: keep decoding",
    "(float[n, 7] x) => (float[n, 7] y, float[n, 7] z) { y = Exp(x) z = Exp(x) }": "one output; got 2: y, z",
    "(float[8, 3, 9, 7] x) => (float[a, 7] y) <int64[2] s = {-1, 7}> { y = Reshape(x, s) }": "got x ",
}


@pytest.mark.parametrize(("text", "message"), BAD_GRAPHS.items())
def test_what_is_no_end_to_end_graph_is_refused_with_the_reason(text, message):
    with pytest.raises(PatchError, match=message):
        to_ultralytics(onnx.parser.parse_model(HEAD + text))


def test_the_plugin_form_of_the_official_exporter_is_refused_by_name():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17, "TRT": 1]>
        g (float[1, 9, 4] x) => (int32[1] num, float[100, 4] box, float[100] score, int32[100] label)
        { num, box, score, label = TRT.EfficientNMS_TRT(y) y = Abs(x) }""")
    model.graph.node.insert(0, model.graph.node.pop())
    with pytest.raises(
        PatchError, match=r"EfficientNMS, outputs num, box, score, label; fix: export with --max-wh"
    ):
        to_ultralytics(model)


def test_the_official_exporters_own_file(fixtures):
    official = onnx.load(fixtures / "official-end2end-yolov7-tiny.onnx")
    result = to_ultralytics(official)
    session = onnxruntime.InferenceSession(result.model.SerializeToString())
    truth = np.load(fixtures / "official-end2end-yolov7-tiny.npz")
    names = [name for name in truth if name.startswith("x")]
    for name in names:
        out = session.run(None, {"images": truth[name].astype(np.float32)})[0]
        np.testing.assert_array_equal(out, truth[name.replace("x", "padded")])
        np.testing.assert_array_equal(out, guide(truth[name.replace("x", "rows")]))
    assert not to_ultralytics(result.model).changed
    assert list(result.model.graph.node[: len(official.graph.node)]) == list(official.graph.node)


# --- Ultralytics itself ---

PICTURE = """<ir_version: 8, opset_import: ["": 17]>
detector (float[1, 3, 64, 96] images) => (float[1, 3, 7] output)
<int64[3] wanted = {0, 2, 1}, float[1, 3, 7] fixed = {
        20, 16, 16, 24, 0, 1, 0.25,  60, 40, 24, 16, 0, 0.25, 1,  80, 20, 8, 8, 0, 0.5, 0.75},
    float[1, 1, 7] column = {0, 0, 0, 0, 1, 0, 0}>
{
    bright = ReduceMean <axes = [2, 3], keepdims = 0> (images)
    picked = Gather <axis = 1> (bright, wanted)
    two = Constant <value = int64[3] {1, 3, 1}> ()
    objectness = Reshape (picked, two)
    shown = Mul (objectness, column)
    output = Add (fixed, shown)
}"""
NAMES = ("red cell", "white cell")


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory):
    """A detector of six lines: how red, green and blue a picture is decides which of three boxes it finds."""
    path = tmp_path_factory.mktemp("ultralytics") / "colours.onnx"
    patched = to_ultralytics(add_nms(onnx.parser.parse_model(PICTURE), score_threshold=0.3).model).model
    onnx.save(write_metadata(patched, names=NAMES, stride=32).model, path)
    return path


@pytest.fixture(scope="module")
def yolo():
    os.environ |= {"YOLO_AUTOINSTALL": "False", "YOLO_OFFLINE": "True", "YOLO_VERBOSE": "False"}
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # what Ultralytics and its dependencies warn about at import is not ours
        from ultralytics import YOLO
    return YOLO


def picture(blue, green, red):
    return np.full((64, 96, 3), (blue, green, red), np.uint8)


def found(result):
    """Class name, score, corners of each box, best first."""
    boxes = result.boxes
    names = [result.names[int(index)] for index in boxes.cls]
    scores = boxes.conf.numpy().astype(float).round(3).tolist()
    return sorted(
        zip(names, scores, boxes.xyxy.numpy().round(2).tolist(), strict=True), key=lambda box: -box[1]
    )


RED, BLUE = [12.0, 4.0, 28.0, 28.0], [48.0, 32.0, 72.0, 48.0]


def test_ultralytics_finds_the_same_boxes_with_their_names(yolo, detector_file):
    model = yolo(detector_file, task="detect")
    assert model.names == dict(enumerate(NAMES))
    one = model(picture(255, 0, 204), verbose=False)
    assert found(one[0]) == [("white cell", 1.0, BLUE), ("red cell", 0.8, RED)]
    assert len(model(picture(0, 0, 0), verbose=False)[0].boxes) == 0
    several = model([picture(0, 0, 255), picture(0, 0, 0), picture(255, 0, 0)], verbose=False)
    assert [found(result) for result in several] == [
        [("red cell", 1.0, RED)],
        [],
        [("white cell", 1.0, BLUE)],
    ]


def test_ultralytics_agrees_with_the_runtime_value_for_value(yolo, detector_file):
    image = picture(200, 250, 150)
    feed = image[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    session = onnxruntime.InferenceSession(detector_file)
    rows = session.run(None, {"images": np.ascontiguousarray(feed)})[0][0]
    rows = rows[rows[:, 4] > 0]
    theirs = yolo(detector_file, task="detect")(image, verbose=False, conf=0.001)[0].boxes.data.numpy()
    assert len(rows) == 3
    order = [np.lexsort(table.T) for table in (rows, theirs)]
    np.testing.assert_allclose(theirs[order[1]], rows[order[0]], atol=1e-5)


def test_ultralytics_own_thresholds_cut_but_never_add(yolo, detector_file):
    model = yolo(detector_file, task="detect")
    image = picture(255, 0, 102)
    low, high = (len(model(image, conf=conf, iou=0.01, verbose=False)[0].boxes) for conf in (0.001, 0.9))
    assert (low, high) == (2, 1)


def test_torchvision_is_not_needed(yolo, detector_file, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)  # import torchvision now fails
    assert found(yolo(detector_file, task="detect")(picture(0, 0, 255), verbose=False)[0]) == [
        ("red cell", 1.0, RED)
    ]


def test_ultralytics_on_the_official_file(yolo, fixtures, tmp_path):
    from helpers.patches.metadata import COCO_NAMES

    official = onnx.load(fixtures / "official-end2end-yolov7-tiny.onnx")
    path = tmp_path / "official.onnx"
    onnx.save(write_metadata(to_ultralytics(official).model, names=COCO_NAMES, stride=32).model, path)
    truth = np.load(fixtures / "official-end2end-yolov7-tiny.npz")
    image = np.clip(truth["x0"][0].astype(np.float32).transpose(1, 2, 0)[..., ::-1] * 255, 0, 255).astype(
        np.uint8
    )
    image = np.ascontiguousarray(image)
    feed = np.ascontiguousarray(
        image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    )
    ours = onnxruntime.InferenceSession(path).run(None, {"images": feed})[0][0]
    ours = ours[ours[:, 4] > 0]
    result = yolo(path, task="detect")(image, verbose=False, conf=0.0)[0]
    assert len(result.boxes) == len(ours)
    assert set(result.names.values()) == set(COCO_NAMES)
    np.testing.assert_allclose(np.sort(result.boxes.conf.numpy()), np.sort(ours[:, 4]), atol=1e-6)
