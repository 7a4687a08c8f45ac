"""Any number of pictures: each its own table; and what the guides' edit makes of a batch."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import packed_detector as packed
import pytest

from helpers.patches import PatchError, batch, shape_of
from helpers.patches.batch import to_batched
from helpers.patches.filter import filter_candidates
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics

ROWS = """<ir_version: 8, opset_import: ["": {opset}], metadata_props: ["a": "b"]>
rows (float[B, 3, 4, 4] images, float[m, 7] rows) => (float[m, 7] output)
{{ [upstream] output = Identity(rows) }}"""


def rows_graph(opset=17):
    """Hands its rows straight through, so that a test chooses every detection."""
    return onnx.parser.parse_model(ROWS.format(opset=opset))


def run(model, **feeds):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def tables(model, rows, pictures):
    return run(model, images=np.zeros((pictures, 3, 4, 4), np.float32), rows=rows)


def detections(rng, counts):
    """Rows of so many detections of each picture, best first within a picture, as an NMS gives them."""
    rows = rng.uniform(1, 640, (sum(counts), 7)).astype(np.float32)
    rows[:, 0] = np.repeat(np.arange(len(counts)), counts)
    rows[:, 5] = rng.integers(0, 80, len(rows))
    rows[:, 6] = rng.permutation(np.linspace(0.3, 0.9, len(rows)))
    return rows


def expected(rows, pictures, slots=100):
    """Each picture alone, in numpy: its best rows in their order, then zeros."""
    out = np.zeros((pictures, slots, 6), np.float32)
    for picture in range(pictures):
        own = rows[rows[:, 0] == picture]
        own = own[np.sort(np.argsort(-own[:, 6], kind="stable")[:slots])]
        out[picture, : len(own)] = own[:, [1, 2, 3, 4, 6, 5]]
    return out


COUNTS = [[0], [1], [100], [101], [300], [0, 0], [3, 0], [0, 3], [2, 5], [1, 99, 0, 100, 101, 300], [100] * 9]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("slots", [1, 100, 3839])
def test_each_picture_gets_its_own_best(rng, counts, slots):
    rows = detections(rng, counts)
    out = tables(to_batched(rows_graph(), slots=slots).model, rows, len(counts))
    np.testing.assert_array_equal(out, expected(rows, len(counts), slots))


def test_rows_in_any_order(rng):
    rows = rng.permutation(detections(rng, [4, 0, 7]))
    np.testing.assert_array_equal(tables(to_batched(rows_graph()).model, rows, 3), expected(rows, 3))


@pytest.mark.parametrize("score", [0.0, -3.0, 1e30])
def test_rows_of_any_score_stand_before_padding(rng, score):
    rows = detections(rng, [2, 3])
    rows[:, 6] = score
    np.testing.assert_array_equal(tables(to_batched(rows_graph()).model, rows, 2), expected(rows, 2))


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 20, 21, 23])
def test_every_opset_keeps_its_own_and_derives_the_shape(rng, opset):
    model = to_batched(rows_graph(opset)).model
    assert [entry.version for entry in model.opset_import] == [opset]
    rows = detections(rng, [120, 0, 2])
    np.testing.assert_array_equal(tables(model, rows, 3), expected(rows, 3))
    assert shape_of(model.graph.output[0]) == ("B", 100, 6)
    assert len(model.functions) == 0


def test_one_picture_gives_what_the_form_for_one_gives(rng):
    rows = detections(rng, [130])
    single = rows_graph()
    del single.graph.input[0]
    one = run(to_ultralytics(single).model, rows=rows)
    np.testing.assert_array_equal(tables(to_batched(rows_graph()).model, rows, 1), one)


def guides_edit(rows, slots=100):
    """What the guides do to a batch: drop column 0, swap two, `Reshape [1, -1, 6]`, pad to 100."""
    ordered = rows[:, [1, 2, 3, 4, 6, 5]].reshape(1, -1, 6)[:, :slots]
    return np.pad(ordered, ((0, 0), (0, slots - ordered.shape[1]), (0, 0)))


def test_the_guides_edit_mixes_pictures_and_this_does_not(rng):
    """Two pictures with two and three things: the guides' one table claims five in the first picture."""
    rows = detections(rng, [2, 3])
    mixed, kept = guides_edit(rows), tables(to_batched(rows_graph()).model, rows, 2)
    assert mixed.shape == (1, 100, 6)
    assert (mixed[..., 4] > 0).sum() == 5
    assert (kept[..., 4] > 0).sum(axis=1).tolist() == [2, 3]
    np.testing.assert_array_equal(mixed[0, 2:5], kept[1, :3])


def test_the_guides_edit_as_a_graph_on_a_real_batch(rng):
    """The same in ONNX, on a detector and two pictures: no error, and the wrong table."""
    model = add_nms(packed.raw(batch="B")).model
    guides = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        guide (float[m, 7] detections) => (float[1, n, 6] out)
        <int64[1] a = {1}, int64[1] b = {5}, int64[1] c = {6}, int64[1] d = {7}, int64[3] form = {1, -1, 6}>
        {
            corners = Slice (detections, a, b, a)
            class = Slice (detections, b, c, a)
            score = Slice (detections, c, d, a)
            swapped = Concat <axis = 1> (corners, score, class)
            out = Reshape (swapped, form)
        }""")
    merged = onnx.compose.merge_models(model, guides, io_map=[("detections", "detections")])
    logits = packed.crowd(rng, [3, 4])
    images = packed.images_of(logits)
    alone = [run(merged, images=images[index : index + 1])[0] for index in range(2)]
    assert [len(table) for table in alone] == [3, 4]
    np.testing.assert_array_equal(run(merged, images=images)[0], np.concatenate(alone))
    ours = run(to_batched(model).model, images=images)
    for table, own in zip(ours, alone, strict=True):
        np.testing.assert_array_equal(table[: len(own)], own)
        assert not table[len(own) :].any()


@pytest.mark.parametrize("form", ["mask", "topk"])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_batch_of_one_is_set_free(rng, form, classes):
    """Exported for one picture, filtered, and then for any: each picture as if it were alone."""
    single = filter_candidates(add_nms(packed.raw(classes=classes)).model, form=form).model
    result = to_batched(single)
    assert result.report == (
        "detections ['detection_count', 7] -> output0 [batch, 100, 6]: x0, y0, x1, y1, score, class",
        "images: batch 1 -> batch",
    )
    assert shape_of(result.model.graph.input[0])[0] == "batch"
    assert shape_of(result.model.graph.output[0]) == ("batch", 100, 6)
    assert shape_of(single.graph.input[0])[0] == 1
    logits = packed.crowd(rng, [0, 2, 150, 0, 31], classes=classes)
    images = packed.images_of(logits)
    one = to_ultralytics(single).model
    alone = np.concatenate([run(one, images=images[index : index + 1]) for index in range(5)])
    np.testing.assert_array_equal(run(result.model, images=images), alone)
    assert (alone[..., 4] > 0).sum(axis=1).tolist() == [0, 2, 100, 0, 31]


def test_sizes_that_were_noted_for_one_picture_are_forgotten(rng):
    single = filter_candidates(add_nms(packed.raw()).model).model
    noted = onnx.shape_inference.infer_shapes(single)
    assert len(noted.graph.value_info) > 50
    images = packed.images_of(packed.crowd(rng, [2, 3]))
    out = run(to_batched(noted).model, images=images)
    np.testing.assert_array_equal(out, run(to_batched(single).model, images=images))


def test_what_the_new_nodes_are_called():
    nodes = to_batched(rows_graph()).model.graph.node[1:]
    names = [node.name for node in nodes]
    assert all(node.name in node.output for node in nodes[:-1])
    parts = [
        "ordered", "padded", "size", "count", "numbers", "column", "pictures", "owner_column", "owner_row",
        "own", "score_column", "score_row", "scores", "empty", "contest", "best", "in_order", "output0",
    ]  # fmt: skip
    assert names == [f"ultralytics/{part}" for part in parts]


OWN_SHAPE = """<ir_version: 8, opset_import: ["": 17]>
g (float[{batch}, 3, 8, 8] images, float[m, 7] rows) => (float[m, 7] output)
<int64[1] zero = {{0}}, int64[2] rest = {{48, 4}}{weight}>
{{
    {first}
    size = Shape (read)
    count = Gather (size, zero)
    form = Concat <axis = 0> (count, rest)
    boxes = Reshape (read, form)
    best = ReduceMax <axes = [2], keepdims = 1> (boxes)
    scores = Transpose <perm = [0, 2, 1]> (best)
    kept = NonMaxSuppression (boxes, scores)
    output = Identity (rows)
}}"""


def test_a_graph_that_reads_the_size_of_its_batch_is_set_free():
    text = OWN_SHAPE.format(batch=1, weight="", first="read = Identity (images)")
    assert shape_of(to_batched(onnx.parser.parse_model(text)).model.graph.output[0]) == ("batch", 100, 6)


def test_scores_that_are_the_same_for_any_batch_are_refused():
    text = OWN_SHAPE.format(
        batch=1,
        weight=f", float[1, 1, 48] fixed = {{{', '.join(['0.5'] * 48)}}}",
        first="read = Identity (images)",
    ).replace("(boxes, scores)", "(boxes, fixed)")
    with pytest.raises(PatchError, match=r"got boxes \[2, 48, 4\] for 2 pictures, fixed \[\] for 2 pictures"):
        to_batched(onnx.parser.parse_model(text))


def test_what_cannot_be_joined_for_another_batch_is_refused_with_the_reason():
    text = OWN_SHAPE.format(
        batch=1,
        weight=f", float[1, 3, 8, 8] more = {{{', '.join(['0'] * 192)}}}",
        first="both = Concat <axis = 1> (images, more) first, read = Split <axis = 1> (both)",
    )
    with pytest.raises(PatchError, match=r"got .*Concat.*Can't merge shape info.*; fix: run "):
        to_batched(onnx.parser.parse_model(text))


def test_a_graph_that_holds_its_batch_is_refused():
    with pytest.raises(PatchError, match=r"for 2 pictures; fix: run .*filter_candidates first, or export"):
        to_batched(add_nms(packed.raw()).model)


def test_a_batch_that_is_held_before_the_convolutions_is_refused_too():
    """`Reshape` to `[1, ...]` at the very start: shape inference sees 1 where 2 went in."""
    model = filter_candidates(add_nms(packed.raw()).model).model
    shape = shape_of(model.graph.input[0])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape), "one_picture"))
    for node in model.graph.node:
        node.input[:] = ["flattened" if name == "images" else name for name in node.input]
    first = onnx.helper.make_node("Reshape", ["images", "one_picture"], ["flattened"], name="flatten")
    model.graph.node.insert(0, first)
    with pytest.raises(PatchError, match="a graph for any batch up to the NMS"):
        to_batched(model)


def test_upstream_and_metadata_stay():
    model = filter_candidates(add_nms(packed.raw(batch="B")).model).model
    before = model.SerializeToString(deterministic=True)
    result = to_batched(model)
    assert model.SerializeToString(deterministic=True) == before
    assert list(result.model.graph.node[: len(model.graph.node)]) == list(model.graph.node)
    assert result.model.metadata_props == model.metadata_props
    assert result.model.graph.input == model.graph.input


def test_twice_changes_nothing_and_other_slots_are_refused():
    once = to_batched(rows_graph()).model
    again = to_batched(once)
    assert not again.changed
    assert again.model == once
    with pytest.raises(PatchError, match=r"an end-to-end output \[M, 7\]; got output0 \['B', 100, 6\]"):
        to_batched(once, slots=50)


@pytest.mark.parametrize("slots", [0, -1, 3840, 2.0, True, "100"])
def test_slots_out_of_range_are_refused(slots):
    with pytest.raises(PatchError, match="slots: expected 1 to 3839"):
        to_batched(rows_graph(), slots=slots)


HEAD = '<ir_version: 8, opset_import: ["": 17]> g '
IMAGES = "float[B, 3, 8, 8]"
BAD_GRAPHS = {
    f"({IMAGES} x, float[1, 100, 6] z) => (float[1, 100, 6] y) {{ y = Identity(z) }}": "before to_ultra",
    f"({IMAGES} x, float[1, 7, 6] z) => (float[1, 7, 6] y) {{ y = Identity(z) }}": "before to_ultra",
    f"({IMAGES} x, float[n, 6] z) => (float[n, 6] y) {{ y = Identity(z) }}": "before to_ultra",
    f"({IMAGES} x, float z) => (float y) {{ y = Identity(z) }}": "before to_ultra",
    "(float[n, 7] x) => (float[n, 7] y) { y = Identity(x) }": r"one input \[B, 3, H, W\]; got none",
    f"({IMAGES} a, {IMAGES} b, float[n, 7] x) => (float[n, 7] y) {{ y = Identity(x) }}": "got a, b",
    "(float[2, 3, 8, 8] a, float[n, 7] x) => (float[n, 7] y) { y = Identity(x) }": "got no NMS",
}


@pytest.mark.parametrize(("text", "message"), BAD_GRAPHS.items())
def test_what_is_no_end_to_end_graph_is_refused_with_the_reason(text, message):
    with pytest.raises(PatchError, match=message):
        to_batched(onnx.parser.parse_model(HEAD + text))


def test_the_functions_can_be_called_with_arrays():
    numbers = batch.pictures_of(np.zeros((2, 3, 4, 4), np.float32), np.array(0), np.array(1))
    np.testing.assert_array_equal(numbers, [[0], [1]])


def test_the_official_exporters_own_file_becomes_one_for_any_batch(fixtures):
    official = onnx.load(fixtures / "official-end2end-yolov7-tiny.onnx")
    truth = np.load(fixtures / "official-end2end-yolov7-tiny.npz")
    pictures = np.concatenate([truth[f"x{index}"] for index in (4, 0, 6)]).astype(np.float32)
    out = run(to_batched(filter_candidates(official).model).model, images=pictures)
    np.testing.assert_array_equal(out, np.concatenate([truth[f"padded{index}"] for index in (4, 0, 6)]))
