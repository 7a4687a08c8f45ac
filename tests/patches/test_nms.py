"""The NMS patch: against numpy, against the official rows, and what it must leave alone or refuse."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.parity import reference_nms
from helpers.patches import PatchError, constant_value, nms
from helpers.patches.nms import add_nms

RAW = """<ir_version: 8, opset_import: ["": {opset}], producer_name: "six lines", metadata_props: ["a": "b"]>
raw (float[{batch}, {count}, {columns}] images) => (float[{batch}, {count}, {columns}] output)
<float[1] one = {{1.0}}>
{{
    [upstream] output = Mul(images, one)
}}"""


def raw(columns=8, batch="1", count="n", opset=17):
    return onnx.parser.parse_model(RAW.format(columns=columns, batch=batch, count=count, opset=opset))


def run(model, predictions):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": predictions.astype(np.float32)})[0]


def crowd(rng, pictures=1, count=300, classes=3, spread=640.0):
    """Boxes that overlap a lot, some far beyond the picture."""
    centre = rng.uniform(-0.2 * spread, 1.2 * spread, (pictures, count, 2)).round(1)
    size = rng.uniform(0.1 * spread, 0.4 * spread, (pictures, count, 2)).round(1)
    scores = rng.uniform(0, 1, (pictures, count, 1 + classes))
    return np.concatenate((centre, size, scores), axis=2).astype(np.float32)


def expected(predictions, **options):
    rows = []
    for picture, table in enumerate(predictions):
        kept = reference_nms(table, **options)
        kept[:, 0] = picture
        rows.append(kept)
    return np.concatenate(rows)


def test_nothing_above_the_threshold_gives_no_rows():
    rows = run(add_nms(raw()).model, np.zeros((1, 5, 8)))
    assert rows.shape == (0, 7)
    assert rows.dtype == np.float32


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_offset": 640.0},
        {"class_offset": 0.0},
        {"iou_threshold": 0.1},
        {"iou_threshold": 1.0},
        {"score_threshold": 0.7},
        {"max_detections": 1},
        {"max_detections": 3},
        {"score_threshold": 0.0, "max_detections": 1000},
    ],
    ids=str,
)
@pytest.mark.parametrize("pictures", [1, 3])
def test_rows_are_those_of_the_reference(rng, options, pictures):
    predictions = crowd(rng, pictures)
    model = add_nms(raw(batch="batch"), **options).model
    np.testing.assert_array_equal(run(model, predictions), expected(predictions, **options))


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 20, 21, 23])
def test_every_opset_keeps_its_own_and_gives_the_same(rng, opset):
    predictions = crowd(rng)
    result = add_nms(raw(opset=opset))
    assert [entry.version for entry in result.model.opset_import] == [opset]
    assert len(result.model.functions) == 0
    np.testing.assert_array_equal(run(result.model, predictions), expected(predictions))


def test_one_class_scores_by_objectness_alone(rng):
    predictions = crowd(rng, classes=1)
    result = add_nms(raw(columns=6))
    rows = run(result.model, predictions)
    np.testing.assert_array_equal(rows, expected(predictions))
    assert set(rows[:, 6]) <= set(predictions[0, :, 4])
    assert not rows[:, 5].any()
    assert any("single class" in line for line in result.report)


def test_only_the_best_class_of_a_box_counts():
    box = np.array([[[50, 50, 20, 20, 0.9, 0.8, 0.9, 0.85]]])
    rows = run(add_nms(raw()).model, box)
    np.testing.assert_allclose(rows, [[0, 40, 40, 60, 60, 1, 0.81]], rtol=1e-6)


def test_boxes_beyond_the_picture_stay_apart_by_default_but_not_at_640():
    """Class 0 at x 640..680 and class 1 at x 0..40: an offset of 640 lays one on the other."""
    boxes = np.array([[[660, 660, 40, 40, 1, 0.9, 0, 0], [20, 20, 40, 40, 1, 0, 0.8, 0]]])
    assert len(run(add_nms(raw()).model, boxes)) == 2
    assert len(run(add_nms(raw(), class_offset=640.0).model, boxes)) == 1


@pytest.mark.parametrize("shift", [-5000.0, 0.0, 5000.0])
def test_the_default_offset_is_safe_wherever_the_boxes_are(rng, shift):
    predictions = crowd(rng, count=120, classes=5)
    predictions[..., :2] += shift
    np.testing.assert_array_equal(run(add_nms(raw(columns=10)).model, predictions), expected(predictions))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((600, 640), (-41, -1)),  # an offset of only the highest corner lays the second on the first
        ((0, 10), (90, 100)),  # an offset of one pixel less than the span, downwards, makes them touch
    ],
)
def test_the_default_offset_clears_the_whole_span(first, second):
    rows = [[np.mean(s), np.mean(s), s[1] - s[0], s[1] - s[0], 1.0] for s in (first, second)]
    boxes = np.array([[[*rows[0], 0.9, 0, 0], [*rows[1], 0, 0.8, 0]]])
    assert len(run(add_nms(raw(), iou_threshold=0.0).model, boxes)) == 2


def test_the_default_offset_has_a_pixel_to_spare_for_rounding(rng):
    """At class 79 the float grid is 1/256 px: without it some of these pairs overlap by rounding."""
    session = onnxruntime.InferenceSession(
        add_nms(raw(columns=85), iou_threshold=0.0).model.SerializeToString()
    )
    for _ in range(60):
        boxes = np.zeros((1, 2, 85), np.float32)
        low, high, size = rng.uniform(-40, 30), rng.uniform(600, 680), rng.uniform(1, 9, 2)
        boxes[0, 0, :5] = (high, high, size[0], size[0], 1)
        boxes[0, 1, :5] = (low, low, size[1], size[1], 1)
        boxes[0, [0, 1], [5 + 78, 5 + 79]] = 0.9
        assert len(session.run(None, {"images": boxes})[0]) == 2


def test_of_equal_classes_the_first_counts():
    rows = run(add_nms(raw()).model, np.array([[[50, 50, 20, 20, 1, 0.3, 0.8, 0.8]]]))
    assert rows[:, 5].tolist() == [1]


def test_same_place_and_another_class_both_stay():
    pair = np.array([[[50, 50, 20, 20, 1, 0.9, 0, 0], [50, 50, 20, 20, 1, 0, 0, 0.8]]])
    assert run(add_nms(raw()).model, pair)[:, 5].tolist() == [0, 2]
    assert run(add_nms(raw(), class_offset=0.0).model, pair)[:, 5].tolist() == [0]


@pytest.mark.parametrize("classes", [1, 3])
def test_the_functions_can_be_called_one_by_one_with_arrays(rng, classes):
    predictions = crowd(rng, classes=classes, count=40)
    corners = nms.corners_of(predictions)
    class_id, score = (nms.only_class_of if classes == 1 else nms.best_class_of)(predictions)
    offset = nms.safe_offset(corners)
    assert corners.shape == (1, 40, 4)
    assert class_id.shape == score.shape == (1, 40, 1)
    np.testing.assert_array_equal(
        offset, corners.max(keepdims=True) - corners.min(keepdims=True) + np.float32(1)
    )
    limits = (np.array([100]), np.array([0.65], np.float32), np.array([0.35], np.float32))
    rows = nms.suppress(corners, class_id, score, offset, *limits)
    np.testing.assert_array_equal(rows, expected(predictions))


def test_what_stands_upstream_stays_and_the_input_model_is_not_touched():
    model = raw(batch="batch")
    before = model.SerializeToString(deterministic=True)
    result = add_nms(model)
    assert model.SerializeToString(deterministic=True) == before
    assert result.changed
    assert result.model.graph.node[0] == model.graph.node[0]
    assert result.model.graph.input == model.graph.input
    assert result.model.graph.initializer[0] == model.graph.initializer[0]
    assert result.model.metadata_props == model.metadata_props
    assert result.model.producer_name == "six lines"
    output = result.model.graph.output[0]
    assert output.name == "detections"
    assert [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim] == ["detection_count", 7]
    assert all(node.name for node in result.model.graph.node)


def test_a_second_run_changes_nothing_and_other_thresholds_are_refused():
    once = add_nms(raw()).model
    twice = add_nms(once)
    assert not twice.changed
    assert twice.model == once
    with pytest.raises(PatchError, match=r"start from the raw graph, or ask for the same thresholds"):
        add_nms(once, score_threshold=0.5)


def test_seven_boxes_are_not_seven_columns(rng):
    predictions = crowd(rng, count=7, classes=2)
    result = add_nms(raw(columns=7, count="7"))
    assert result.report[-1] == "score = objectness x class"
    np.testing.assert_array_equal(run(result.model, predictions), expected(predictions))


def test_what_the_new_nodes_are_called():
    nodes = add_nms(raw()).model.graph.node[1:]
    names = [node.name.removeprefix("nms/") for node in nodes]
    assert all(node.name in node.output for node in nodes[:-1])
    assert names == [
        "centre", "size", "half", "low", "high", "corners", "objectness", "class_scores", "best", "class_id",
        "class_score", "score", "highest", "lowest", "span", "class_offset", "shift", "apart", "score_row",
        "kept", "table", "address", "rows", "picture", "picture_column", "detections",
    ]  # fmt: skip


def test_rows_made_without_onnx_nms_are_left_alone():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[n, 7] images) => (float[n, 7] output) { output = Identity(images) }""")
    assert not add_nms(model).changed


def test_only_operators_and_forms_that_tensorrt_takes(shared):
    import json

    table = json.loads((shared / "facts" / "tensorrt-onnx-operators.json").read_text())["operators"]
    model = add_nms(raw()).model
    weights = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        assert table[node.op_type]["supported"], node.op_type
        if node.op_type == "Slice":
            assert set(node.input[1:]) <= weights
        assert node.op_type != "Constant"
    for node in model.graph.node:  # INMSLayer sizes its output from a constant
        if node.op_type == "NonMaxSuppression":
            assert all(constant_value(model, name) is not None for name in node.input[2:])


BAD_OPTIONS = [
    ({"iou_threshold": 1.5}, "iou_threshold: expected a number from 0 to 1"),
    ({"iou_threshold": float("nan")}, "iou_threshold"),
    ({"score_threshold": -0.1}, "score_threshold: expected a number from 0 to 1"),
    ({"max_detections": 0}, "max_detections: expected a whole number from 1"),
    ({"max_detections": 2.5}, "max_detections"),
    ({"max_detections": True}, "max_detections"),
    ({"class_offset": -1.0}, "class_offset: expected None, or pixels from 0"),
    ({"class_offset": float("inf")}, "class_offset"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=str)
def test_thresholds_out_of_range_are_refused(options, message):
    with pytest.raises(PatchError, match=f"^{message}") as refusal:
        add_nms(raw(), **options)
    assert "fix: " in str(refusal.value)


HEAD = '<ir_version: 8, opset_import: ["": 17]> g '
BAD_GRAPHS = {
    "(float[1, 9, 5] x) => (float[1, 9, 5] y) { y = Identity(x) }": r"raw output \[B, N, 5 \+ classes\]",
    "(float[1, 9, c] x) => (float[1, 9, c] y) { y = Identity(x) }": "number of classes fixed",
    "(float[9, 85] x) => (float[9, 85] y) { y = Identity(x) }": r"got y \[9, 85\]",
    "(float[1, 3, 8, 8, 85] x) => (float[1, 3, 8, 8, 85] y) { y = Identity(x) }": "raw output",
    "(float16[1, 9, 85] x) => (float16[1, 9, 85] y) { y = Identity(x) }": "y of type float16",
    "(float[1, 9, 85] x) => (float[1, 9, 85] y, float[1, 9, 85] z) { y = Exp(x) z = Exp(x) }": "got 2: y, z",
    "(float[1, 9, 85] x) => (float[1, 9, 85] y) { y = Exp(z) }": "onnx.checker",
}


@pytest.mark.parametrize(("text", "message"), BAD_GRAPHS.items())
def test_what_is_no_raw_graph_is_refused_with_the_reason(text, message):
    with pytest.raises(PatchError, match=message):
        add_nms(onnx.parser.parse_model(HEAD + text))


def test_a_path_an_old_opset_and_an_unknown_rank_are_refused():
    with pytest.raises(PatchError, match=r"got str; fix: read the file"):
        add_nms("model.onnx")
    with pytest.raises(PatchError, match="opset 12 or newer; got opset 11"):
        add_nms(raw(opset=11))
    model = raw()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(PatchError, match="Field 'shape' of 'type' is required"):
        add_nms(model)


def test_a_clash_of_names_is_refused():
    model = raw()
    model.graph.node[0].output[0] = model.graph.output[0].name = "nms/corners"
    with pytest.raises(PatchError, match="rename the values"):
        add_nms(model)


def test_official_rows_one_for_one(fixtures):
    official = onnx.shape_inference.infer_shapes(onnx.load(fixtures / "official-end2end-yolov7-tiny.onnx"))
    decoded = next(node.input[0] for node in official.graph.node if node.name == "/end2end/Slice_1")
    cut = onnx.utils.Extractor(official).extract_model(["images"], [decoded])
    session = onnxruntime.InferenceSession(add_nms(cut, class_offset=640.0).model.SerializeToString())
    safe = onnxruntime.InferenceSession(add_nms(cut).model.SerializeToString())
    truth = np.load(fixtures / "official-end2end-yolov7-tiny.npz")
    pictures = [name for name in truth if name.startswith("x")]
    assert len(pictures) >= 7
    for name in pictures:
        images = truth[name].astype(np.float32)
        np.testing.assert_array_equal(
            session.run(None, {"images": images})[0], truth[name.replace("x", "rows")]
        )
        raw_output = onnxruntime.InferenceSession(cut.SerializeToString()).run(None, {"images": images})[0]
        np.testing.assert_array_equal(safe.run(None, {"images": images})[0], reference_nms(raw_output[0]))
    assert not add_nms(official).changed  # the official file has its NMS already
