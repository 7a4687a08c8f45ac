"""The filter: the same detections as without it, whatever passes; and what it leaves alone or refuses."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import packed_detector as packed
import pytest

from helpers.parity import reference_nms
from helpers.patches import PatchError, constant_value
from helpers.patches.batch import to_batched
from helpers.patches.filter import _limit, filter_candidates
from helpers.patches.half import to_half
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics

FORMS = ("mask", "topk")


def end2end(*, max_detections=100, score_threshold=0.35, iou_threshold=0.65, class_offset=None, **options):
    limits = {"iou_threshold": iou_threshold, "score_threshold": score_threshold}
    return add_nms(
        packed.raw(**options), max_detections=max_detections, class_offset=class_offset, **limits
    ).model


def run(model, logits):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: packed.images_of(logits)})[0]


def same(model, logits, **options):
    """The filtered graph's output, after seeing that it is the unfiltered one's."""
    rows = run(filter_candidates(model, **options).model, logits)
    np.testing.assert_allclose(rows, run(model, logits), rtol=0, atol=1e-4)
    return rows


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 300])
def test_nothing_to_many(rng, form, count):
    logits = packed.crowd(rng, [count])
    rows = same(end2end(max_detections=1000), logits, form=form)
    assert len(rows) == count
    expected = reference_nms(packed.decoded(logits)[0], max_detections=1000)
    np.testing.assert_allclose(rows, expected, atol=1e-4)
    slots = same(to_ultralytics(end2end()).model, logits, form=form)
    assert (slots[..., 4] > 0).sum() == min(count, 100)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dialect", ["dynamo", "script"])
@pytest.mark.parametrize("classes", [1, 2, 80])
def test_boxes_that_overlap_classes_that_compete(rng, form, dialect, classes):
    logits = rng.normal(0, 2.5, (1, packed.CANDIDATES, 5 + classes)).astype(np.float32)
    for class_offset in (None, 640.0):
        rows = same(end2end(dialect=dialect, classes=classes, class_offset=class_offset), logits, form=form)
        assert 0 < len(rows) <= 100
        expected = reference_nms(packed.decoded(logits)[0], class_offset=class_offset)
        np.testing.assert_allclose(rows, expected, atol=2e-4)


@pytest.mark.parametrize("form", FORMS)
def test_every_candidate_passes(rng, form):
    logits = packed.crowd(rng, [packed.CANDIDATES])
    assert len(same(end2end(max_detections=1000), logits, form=form)) == packed.CANDIDATES


@pytest.mark.parametrize("threshold", [0.0, 5e-8, 0.001, 0.25, 0.5, 0.9, 0.999999, 1.0])
@pytest.mark.parametrize("form", FORMS)
def test_the_edge_of_the_threshold_is_the_suppressions_own(rng, form, threshold):
    """Logits a few steps of float32 around the edge; the class score is 1, so objectness decides."""
    edge = np.log(threshold / (1 - threshold)) if 0 < threshold < 1 else 40.0 * (threshold - 0.5)
    logits = packed.crowd(rng, [0])
    around = np.float32(edge)
    for step in range(60):
        around = np.nextafter(around, np.float32(np.inf if step > 30 else -np.inf))
        logits[0, 5 * step, 4] = around
    logits[0, 1:300:5, 4] = edge - np.linspace(0.01, 1, 60)  # ONNX Runtime's sigmoid is off by up to 6e-8
    logits[..., 5:] = (40, -40, -40)
    same(end2end(score_threshold=threshold, max_detections=1000), logits, form=form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("counts", [[0, 0], [0, 5, 0], [120, 0, 3, 300]], ids=str)
def test_pictures_of_a_batch_keep_apart(rng, form, counts):
    logits = packed.crowd(rng, counts)
    rows = same(end2end(batch="B"), logits, form=form)
    assert [int((rows[:, 0] == index).sum()) for index in range(len(counts))] == [min(n, 100) for n in counts]
    tables = same(to_batched(end2end(batch="B")).model, logits, form=form)
    assert [(table[:, 4] > 0).sum() for table in tables] == [min(n, 100) for n in counts]


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 20, 21, 23])
@pytest.mark.parametrize("form", FORMS)
def test_every_opset_keeps_its_own(rng, form, opset):
    model = filter_candidates(end2end(opset=opset, batch="B"), form=form).model
    assert [entry.version for entry in model.opset_import] == [opset]
    logits = packed.crowd(rng, [30, 0])
    np.testing.assert_allclose(run(model, logits), run(end2end(batch="B"), logits), atol=1e-4)


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("domains", [("far", ""), ("ai.onnx",), ("far", "ai.onnx")])
def test_the_standard_domain_is_found_among_others_and_has_two_spellings(opset, domains):
    model = end2end(opset=opset)
    del model.opset_import[:]
    versions = {"far": 1, "": opset, "ai.onnx": opset}
    model.opset_import.extend(onnx.helper.make_opsetid(domain, versions[domain]) for domain in domains)
    assert filter_candidates(model).changed


def test_top_k_is_exact_up_to_k_and_then_keeps_the_best_by_objectness(rng):
    logits = packed.crowd(rng, [0])
    level = 3 * packed.CELLS[0]
    logits[0, :level, 4] = rng.permutation(np.linspace(-9, 3, level))
    logits[..., 5:] = (6, -6, -6)
    best = np.sort(np.argsort(-logits[0, :level, 4])[:20])
    assert (logits[0, best, 4] > 0).all()
    rows = run(filter_candidates(end2end(), form="topk", k=20).model, logits)
    assert len(rows) == 20 < len(run(end2end(), logits))
    only = logits.copy()
    only[0, np.setdiff1d(np.arange(level), best), 4] = -9
    np.testing.assert_array_equal(rows, run(end2end(), only))


@pytest.mark.parametrize("batch", [1, "B"])
@pytest.mark.parametrize("k", [1, 7, 90, 3839])
def test_top_k_has_fixed_shapes_up_to_the_suppression(k, batch):
    result = filter_candidates(end2end(batch=batch), form="topk", k=k)
    inferred = onnx.shape_inference.infer_shapes(result.model, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in inferred.graph.value_info
    }
    rows = sum(min(k, 3 * cells) for cells in packed.CELLS)
    assert shapes["output"][1:] == [rows, 8]
    kept = next(node for node in result.model.graph.node if node.op_type == "NonMaxSuppression")
    assert shapes[kept.input[0]][1:] == [rows, 4]
    assert f"exact while in no picture more than {k} candidates of a level pass" in result.report
    assert not {node.op_type for node in result.model.graph.node} & {"NonZero", "Shape", "Expand"}


def test_where_nothing_passes_one_row_stays(rng):
    """Tables without rows are what runtimes differ in; TensorRT refuses some of them."""
    model = filter_candidates(end2end()).model
    model.graph.output.append(onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for count in (0, 7):
        rows, decoded = session.run(None, {"images": packed.images_of(packed.crowd(rng, [count]))})
        assert len(rows) == count
        assert decoded.shape[1] in ((1,) if count == 0 else (7, 8))


def test_equal_scores_keep_their_order(rng):
    logits = packed.crowd(rng, [200])
    logits[..., 4] = np.where(logits[..., 4] > 0, 1, logits[..., 4])
    logits[..., 5:] = (6, -6, -6)
    for form in FORMS:
        np.testing.assert_array_equal(
            run(filter_candidates(end2end(), form=form).model, logits), run(end2end(), logits)
        )


def test_a_candidate_that_is_no_number_spoils_nothing(rng):
    logits = packed.crowd(rng, [12])
    logits[0, [0, 5, packed.CANDIDATES - 3 * packed.CELLS[1]], 4] = np.nan
    model = end2end(class_offset=640.0)
    assert len(run(model, logits)) >= 10
    np.testing.assert_array_equal(run(filter_candidates(model).model, logits), run(model, logits))


def test_the_network_and_the_suppression_stay_node_for_node():
    before = end2end()
    text = before.SerializeToString(deterministic=True)
    after = filter_candidates(before).model
    assert before.SerializeToString(deterministic=True) == text
    old, new = list(before.graph.node), list(after.graph.node)
    convolution = max(place for place, node in enumerate(old) if node.op_type == "Conv")
    first = next(place for place, node in enumerate(old) if node.name.startswith("nms/"))
    assert [node for node in old[: convolution + 1] if node.name.startswith("conv")] == [
        node for node in new if node.name.startswith("conv")
    ]
    assert new[-len(old[first:]) :] == old[first:]
    assert {entry.key: entry.value for entry in after.metadata_props} == {
        "a": "b",
        "filter": "mask: objectness above 0.35; all that can pass",
    }
    names = [tensor.name for tensor in after.graph.initializer]
    assert len(set(names)) == len(names)
    assert set(names) == {name for node in new for name in node.input} & set(names)
    assert after.graph.output == before.graph.output
    assert after.graph.input == before.graph.input


def test_sizes_that_were_noted_for_the_whole_decode_are_forgotten():
    model = onnx.shape_inference.infer_shapes(end2end())
    noted = {value.name for value in model.graph.value_info}
    assert {"head0", "rows0", "nms/corners"} <= noted
    left = {value.name for value in filter_candidates(model).model.graph.value_info}
    assert left == {"part0", "head0", "part1", "head1"}


@pytest.mark.parametrize("options", [{}, {"form": "topk"}, {"form": "topk", "k": 7}], ids=str)
def test_twice_changes_nothing(options):
    once = filter_candidates(end2end(), **options).model
    again = filter_candidates(once, **options)
    assert not again.changed
    assert again.model == once
    assert again.report[0].startswith("filtered already")


@pytest.mark.parametrize("first", [{}, {"form": "topk", "k": 5}, {"form": "topk"}], ids=str)
@pytest.mark.parametrize("second", [{}, {"form": "topk", "k": 9}, {"form": "topk"}], ids=str)
def test_another_form_is_the_same_as_from_the_start(first, second):
    through = filter_candidates(filter_candidates(end2end(batch="B"), **first).model, **second).model
    direct = filter_candidates(end2end(batch="B"), **second).model
    assert list(through.graph.node) == list(direct.graph.node)
    tensors = [{t.name: t for t in model.graph.initializer} for model in (through, direct)]
    assert tensors[0] == tensors[1]


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_before_and_after(rng, form):
    logits = packed.crowd(rng, [40, 3]).astype(np.float16).astype(np.float32)
    model = to_batched(end2end(batch="B")).model
    whole = run(to_half(model).model, logits)
    after = to_half(filter_candidates(model, form=form).model).model
    before = filter_candidates(to_half(model).model, form=form)
    np.testing.assert_array_equal(run(after, logits), whole)
    np.testing.assert_array_equal(run(before.model, logits), whole)
    assert (whole[..., 4] > 0).sum(axis=1).tolist() == [40, 3]


def test_a_threshold_that_comes_at_run_time(rng):
    model = end2end()
    kept = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    kept.input[4] = "chosen"
    model.graph.input.append(onnx.helper.make_tensor_value_info("chosen", onnx.TensorProto.FLOAT, [1]))
    with pytest.raises(PatchError, match=r"a constant score threshold; got chosen; fix: say which"):
        filter_candidates(model)
    filtered = filter_candidates(model, score_threshold=0.2).model
    logits = packed.crowd(rng, [50], loud=(-2.5, 4))
    for chosen in (0.2, 0.6):
        feeds = {"images": packed.images_of(logits), "chosen": np.array([chosen], np.float32)}
        sessions = (onnxruntime.InferenceSession(m.SerializeToString()) for m in (model, filtered))
        old, new = (session.run(None, feeds)[0] for session in sessions)
        assert len(old) > 5
        np.testing.assert_allclose(new, old, atol=1e-4)


@pytest.mark.parametrize("threshold", [0.1, 0.25, 0.35, 0.45, 0.6, 0.7])
def test_its_own_threshold_may_be_named(threshold):
    """The graph holds it in FP32, where 0.35 is a little less than Python's."""
    model = end2end(score_threshold=threshold)
    named = filter_candidates(model, score_threshold=threshold).model
    assert named.graph == filter_candidates(model).model.graph
    with pytest.raises(PatchError, match="score_threshold: expected 0 to"):
        filter_candidates(model, score_threshold=threshold + 1e-6)


@pytest.mark.parametrize("inputs", [2, 3, 4])
def test_no_threshold_at_all_is_refused(inputs):
    model = end2end()
    kept = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    del kept.input[inputs:]
    with pytest.raises(PatchError, match="a constant score threshold; got none"):
        filter_candidates(model)


def test_what_leads_nowhere_stays():
    model = end2end()
    model.graph.node.insert(1, onnx.helper.make_node("Abs", ["part0"], ["dead"], name="dead"))
    assert "dead" in [node.name for node in filter_candidates(model).model.graph.node]


def test_a_number_that_decode_and_tail_share_stays(rng):
    model = end2end()
    two = next(tensor for tensor in model.graph.initializer if tensor.name == "scalar_two")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["scalar_two"], value=two))
    model.graph.initializer.remove(two)
    model.graph.node[-1].output[0] = "single"
    model.graph.node.append(onnx.helper.make_node("Mul", ["single", "scalar_two"], ["detections"]))
    logits = packed.crowd(rng, [20])
    np.testing.assert_array_equal(same(model, logits), 2 * run(end2end(), logits))


def with_threshold(value):
    """The graph with a threshold that `add_nms` would not take."""
    model = end2end()
    name = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression").input[4]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([value], np.float32), name))
    return model


def test_a_threshold_that_everything_passes(rng):
    model, logits = with_threshold(-1), packed.crowd(rng, [9])
    result = filter_candidates(model)
    assert constant_value(result.model, "filter/level0/limits") == -np.inf
    assert len(run(model, logits)) > 9
    np.testing.assert_allclose(run(result.model, logits), run(model, logits), atol=1e-4)


def test_a_threshold_that_nothing_passes(rng):
    result = filter_candidates(with_threshold(2))
    assert constant_value(result.model, "filter/level0/limits") == np.inf
    assert len(run(result.model, packed.crowd(rng, [9]))) == 0


@pytest.mark.parametrize(
    ("threshold", "limit"),
    [
        (0.0, -np.inf),
        (1.0001000100010001e-06, -np.inf),
        (0.5, -2e-4),
        (1.0, 9.2),
        (1.001, np.inf),
        (np.inf, np.inf),
    ],
)
def test_the_limit_is_the_logit_of_a_little_less(threshold, limit):
    """Where no room is left for rounding, all pass: the second is where it comes out at 0 exactly."""
    assert _limit(threshold) == pytest.approx(limit, rel=0.05)


def test_a_lower_threshold_may_be_asked_for_a_higher_may_not():
    assert constant_value(
        filter_candidates(end2end(), score_threshold=0.1).model, "filter/level0/limits"
    ) == pytest.approx(np.log(0.1 / 0.9), abs=1e-2)
    with pytest.raises(PatchError, match=r"score_threshold: expected 0 to the NMS's own 0\.35; got 0\.5"):
        filter_candidates(end2end(), score_threshold=0.5)


@pytest.mark.parametrize("asked", [0.0, 0.5])
def test_what_may_be_asked_for_goes_from_zero_to_the_threshold_itself(asked):
    report = filter_candidates(end2end(score_threshold=0.5), score_threshold=asked).report
    assert report[1].endswith(f"because the NMS wants scores above {asked:g}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "top"}, "form: expected 'mask' or 'topk'; got 'top'"),
        ({"score_threshold": -0.5}, "score_threshold: expected 0 to the NMS's own 0.35; got -0.5"),
        ({"k": 0}, "k: expected 1 to 3839"),
        ({"k": 3840}, "where TensorRT's TopK ends; got 3840"),
        ({"k": True}, "k: expected 1 to 3839"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(PatchError, match=message):
        filter_candidates(end2end(), **options)


@pytest.mark.parametrize(
    ("options", "kept", "more"),
    [
        ({}, "all that can pass", []),
        (
            {"form": "topk", "k": 9},
            "the 9 best of each level",
            ["exact while in no picture more than 9 candidates of a level pass"],
        ),
    ],
)
def test_the_whole_report(options, kept, more):
    before = add_nms(packed.raw()).model
    result = filter_candidates(before, **options)
    assert result.changed
    added = sum(node.name.startswith("filter/") for node in result.model.graph.node)
    removed = len(before.graph.node) + added - len(result.model.graph.node)
    assert result.report[:-1] == (
        f"decoded of 450 candidates: {kept}; {removed} nodes out, {added} in",
        "objectness logit above -0.6192, because the NMS wants scores above 0.35",
        *more,
    )


def test_top_k_is_a_thousand_if_nothing_is_said():
    assert "the 1000 best of each level" in filter_candidates(end2end(), form="topk").report[0]


def test_what_the_metadata_says_of_another_graph_is_not_believed():
    model = end2end()
    note = filter_candidates(model).model.metadata_props[-1]
    assert note.key == "filter"
    model.metadata_props.append(note)
    result = filter_candidates(model)
    assert result.changed
    assert len(result.model.metadata_props) == len(model.metadata_props)


def test_what_the_new_nodes_are_called():
    model = filter_candidates(add_nms(packed.raw()).model).model
    heads = [f"level{level}/{name}" for level in (0, 1) for name in ("planes", "objectness")]
    level = [
        "highest", "above", "mask", "found", "index", "anchor", "before", "cell", "place", "scale", "ahead",
        "first", "column", "wanted", "flat", "values", "picked", "logits",
    ]  # fmt: skip
    levels = [f"level{number}/{name}" for number in (0, 1) for name in level]
    decode = ["logits", "place", "scale", "values", "xy", "span", "moved", "centre", "wh", "anchor", "square"]
    decode += ["size", "scores", "decoded"]
    nodes = [node for node in model.graph.node if node.name.startswith("filter/")]
    names = [node.name.removeprefix("filter/") for node in nodes]
    assert names == [*heads, "anything", "zeros", *levels, *decode]
    assert all(node.name in node.output for node in nodes[:-1])
    kinds = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    for number in (0, 1):  # TensorRT's NonZero wants numbers
        kind = kinds[f"filter/level{number}/mask"].type.tensor_type.elem_type
        assert kind == onnx.TensorProto.FLOAT


def test_two_outputs_are_refused():
    model = add_nms(packed.raw()).model
    model.graph.output.append(onnx.helper.make_tensor_value_info("head0", 1, [1, 24, 10, 12]))
    with pytest.raises(PatchError, match="one output; got 2: detections, head0"):
        filter_candidates(model)


def test_a_raw_graph_is_refused_with_the_way_out():
    with pytest.raises(PatchError, match=r"an NMS to filter for; got none; fix: run .*add_nms first"):
        filter_candidates(packed.raw())


def test_two_suppressions_are_refused():
    model = end2end()
    kept = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    second = model.graph.node.add()
    second.CopyFrom(kept)
    second.name, second.output[0] = "more", "more"
    with pytest.raises(PatchError, match="an NMS to filter for; got 2; fix: leave this graph unfiltered"):
        filter_candidates(model)


def test_names_that_clash_with_the_patchs_own():
    model = end2end()
    model.graph.node[0].name = "ours"
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = "filter/level0/planes" if name == "part0" else name
    with pytest.raises(PatchError, match="rename the values of the graph that are called like the patch's"):
        filter_candidates(model)


@pytest.mark.parametrize("form", FORMS)
def test_the_official_exporters_own_file(fixtures, form):
    official = onnx.load(fixtures / "official-end2end-yolov7-tiny.onnx")
    truth = np.load(fixtures / "official-end2end-yolov7-tiny.npz")
    for model, expected in ((official, "rows"), (to_ultralytics(official).model, "padded")):
        session = onnxruntime.InferenceSession(filter_candidates(model, form=form).model.SerializeToString())
        for index in range(7):
            out = session.run(None, {"images": truth[f"x{index}"].astype(np.float32)})[0]
            np.testing.assert_array_equal(out, truth[f"{expected}{index}"])
