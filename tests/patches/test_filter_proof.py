"""The proof must fail where the filter would be wrong."""

from __future__ import annotations

import numpy as np
import onnx
import packed_detector as packed
import pytest

from helpers.patches import PatchError
from helpers.patches.filter import filter_candidates
from helpers.patches.filter_find import find_decode
from helpers.patches.filter_proof import learn_decode, prove
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics


def changed(model, name, **fields):
    """A copy with another operator, or other inputs, at the node that makes `name`."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    node = next(node for node in copied.graph.node if name in node.output)
    if "op" in fields:
        node.op_type = fields["op"]
    for place, other in fields.get("inputs", {}).items():
        node.input[place] = other
    return copied


def set_constant(model, name, change):
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    tensor = next(tensor for tensor in copied.graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(tensor)), name))
    return copied


def unequal(grid):
    """One grid for each anchor, the last of which is moved in one cell."""
    grids = np.tile(grid, (3, 1, 1, 1))
    grids[-1, -1, -1, 0] += 0.25
    return grids


WRONG_DECODES = {
    "another activation": lambda raw: changed(raw, "y0", op="Tanh"),
    "a size that is not squared": lambda raw: changed(raw, "square0", inputs={1: "scalar_two"}),
    "a centre without its half": lambda raw: changed(raw, "shifted1", inputs={1: "scalar_two"}),
    "another grid for each anchor": lambda raw: set_constant(raw, "grid1", unequal),
}
OTHER_NUMBERS = {
    "another stride": ("stride1", lambda stride: stride * np.float32(1.5)),
    "other anchors": ("anchor0", lambda anchor: anchor[:, ::-1] * np.float32(1.1)),
    "cells by column": ("grid1", lambda grid: grid[..., ::-1].copy()),
    "rows that begin lower": ("grid1", lambda grid: grid + np.array([0, 1], np.float32)),
}


@pytest.mark.parametrize(("name", "change"), OTHER_NUMBERS.values(), ids=OTHER_NUMBERS.keys())
def test_numbers_are_read_off_the_graph(name, change):
    model = add_nms(set_constant(packed.raw(), name, change)).model
    assert filter_candidates(model).changed


@pytest.mark.parametrize("wrong", WRONG_DECODES.values(), ids=WRONG_DECODES.keys())
def test_another_decode_is_refused(wrong):
    with pytest.raises(PatchError, match="expected the decode of YOLOv7; got another"):
        filter_candidates(add_nms(wrong(packed.raw())).model)


def test_rows_that_are_left_out_are_counted():
    model = packed.raw()
    tensors = {"lo": [0], "hi": [packed.CANDIDATES - 1], "one": [1]}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.array(v), k) for k, v in tensors.items())
    model.graph.node[-1].output[0] = "all"
    model.graph.node.append(onnx.helper.make_node("Slice", ["all", "lo", "hi", "one"], ["output"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value -= 1
    heads, _, shapes = find_decode(model)
    with pytest.raises(PatchError, match="one row for each candidate; got 449 rows for 450 candidates"):
        learn_decode(model, heads, "output", {**shapes, "output": (1, 449, 8)})


@pytest.mark.parametrize("dialect", ["dynamo", "script"])
def test_levels_in_the_order_of_their_rows(dialect):
    """The heads run in one order, their rows stand in another."""
    model = packed.raw(dialect=dialect)
    model.graph.node[-1].input[:] = ["rows1", "rows0"]
    decode = learn_decode(model, *find_decode(model))
    assert [level.head for level in decode.levels] == ["head1", "head0"]
    filter_candidates(add_nms(model).model)


def test_three_levels(monkeypatch):
    monkeypatch.setattr(packed, "LEVELS", (*packed.LEVELS, (2, 3, 32)))
    monkeypatch.setattr(packed, "ANCHORS", np.concatenate((packed.ANCHORS, 2 * packed.ANCHORS[1:])))
    monkeypatch.setattr(packed, "HEIGHT", packed.HEIGHT + 2)
    monkeypatch.setattr(packed, "CANDIDATES", packed.CANDIDATES + 3 * 2 * 3)
    model = packed.raw()
    decode = learn_decode(model, *find_decode(model))
    assert [level.candidates for level in decode.levels] == [360, 90, 18]
    assert [level.scales[0, 0] for level in decode.levels] == [16, 32, 64]


def test_a_tail_that_does_not_look_at_objectness_is_refused():
    model = changed(
        add_nms(packed.raw()).model, "nms/score", inputs={0: "nms/class_score", 1: "nms/class_score"}
    )
    with pytest.raises(PatchError, match="detections that depend on what passes alone; got"):
        filter_candidates(model)


def test_a_tail_whose_score_exceeds_the_objectness_is_refused():
    """The root of objectness x class: 0.3 makes 0.55, so what the filter drops could have been found."""
    model = add_nms(packed.raw()).model
    place = next(place for place, node in enumerate(model.graph.node) if "nms/score" in node.output)
    model.graph.node[place].output[0] = "nms/product"
    model.graph.node.insert(
        place + 1, onnx.helper.make_node("Sqrt", ["nms/product"], ["nms/score"], name="root")
    )
    with pytest.raises(PatchError, match="detections that depend on what passes alone; got"):
        filter_candidates(model)


def test_a_tail_that_counts_candidates_is_refused():
    """A shape written down for all candidates: it does not run on fewer."""
    model = add_nms(packed.raw()).model
    form = onnx.numpy_helper.from_array(np.array([1, packed.CANDIDATES, 4]), "form")
    model.graph.initializer.append(form)
    place = next(place for place, node in enumerate(model.graph.node) if "nms/corners" in node.output)
    node = model.graph.node[place]
    node.output[0] = "nms/low_high"
    again = onnx.helper.make_node("Reshape", ["nms/low_high", "form"], ["nms/corners"], name="again")
    model.graph.node.insert(place + 1, again)
    with pytest.raises(PatchError, match=r"patch: |on any number of candidates"):
        filter_candidates(model)


@pytest.mark.parametrize("form", ["mask", "topk"])
@pytest.mark.parametrize("batch", [1, 2, "B"])
def test_what_was_seen_is_said(form, batch):
    report = filter_candidates(add_nms(packed.raw(batch=batch)).model, form=form).report
    assert report[-1].startswith("compared on random logits: the same 0, ")
    counts = [int(count) for count in report[-1].split(" same ")[1].removesuffix(" detections").split(", ")]
    assert 0 == counts[0] < counts[1] < 10 < counts[2]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("given", "factor"), [(None, 0), ({}, 0), ({"factor": 1.0}, 1), ({"factor": -1.0}, -1)]
)
def test_other_inputs_are_zeros_or_what_is_given(given, factor, sign):
    """What is positive anywhere from column 4 on counts as a detection; here column 4 times the input."""
    model = packed.raw()
    decode = learn_decode(model, *find_decode(model))
    model.graph.node[-1].output[0] = "all"
    mask = sign * np.eye(8, dtype=np.float32)[4]
    model.graph.initializer.append(onnx.numpy_helper.from_array(mask, "mask"))
    model.graph.input.append(onnx.helper.make_tensor_value_info("factor", 1, []))
    model.graph.node.append(onnx.helper.make_node("Mul", ["all", "mask"], ["masked"]))
    model.graph.node.append(onnx.helper.make_node("Mul", ["masked", "factor"], ["output"]))
    seen = prove(model, model, decode, 0.0, 5, given)
    count = packed.CANDIDATES if factor == sign else 0
    assert seen.endswith(f"the same {count}, {count}, {count} detections")


@pytest.mark.parametrize(("batch", "pictures"), [(1, 1), (3, 3), ("B", 2)])
@pytest.mark.parametrize(("most", "crowd"), [(packed.CANDIDATES, 60), (7, 7)])
@pytest.mark.parametrize("limit", [-2.0, 0.0, 1.5])
def test_none_one_and_a_crowd_pass_in_each_level(batch, pictures, most, crowd, limit):
    """A tail that keeps, twice, how far objectness is above the limit, beside boxes that do not count."""
    model = packed.raw(batch=batch)
    decode = learn_decode(model, *find_decode(model))
    model.graph.node[-1].output[0] = "all"
    arrays = {"corner": np.arange(4), "column": np.array([4]), "edge": np.float32(1 / (1 + np.exp(-limit)))}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in arrays.items())
    model.graph.node.extend(
        [
            onnx.helper.make_node("Gather", ["all", "corner"], ["boxes"], axis=2),
            onnx.helper.make_node("Gather", ["all", "column"], ["objectness"], axis=2),
            onnx.helper.make_node("Sub", ["objectness", "edge"], ["above"]),
            onnx.helper.make_node("Relu", ["above"], ["passes"]),
            onnx.helper.make_node("Concat", ["boxes", "passes", "passes"], ["output"], axis=2),
        ]
    )
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 6
    seen = prove(model, model, decode, limit, most)
    levels = pictures * len(packed.LEVELS)
    assert seen.endswith(f"the same 0, {levels}, {levels * crowd} detections")


@pytest.mark.parametrize("threshold", [0.0, 5e-7])
def test_a_threshold_near_zero_has_no_limit_and_still_keeps_the_silent_out(threshold):
    """The filter lets all pass, the NMS does not: of 450, the 60 best of each level are enough."""
    model = add_nms(packed.raw(), score_threshold=threshold).model
    assert "-inf" in filter_candidates(model, form="topk", k=60).report[1]


@pytest.mark.parametrize("factor", [1.001, 0.999])
def test_other_numbers_in_a_table_of_the_same_size_are_caught(factor):
    """Boxes a thousandth larger: as many as before, and each a little elsewhere."""
    before = to_ultralytics(add_nms(packed.raw()).model).model
    after = filter_candidates(before).model
    decode = learn_decode(before, *find_decode(before))
    wrong = set_constant(after, "filter/level0/scales", lambda scales: scales * np.float32(factor))
    with pytest.raises(PatchError, match="what passes alone"):
        prove(before, wrong, decode, -0.6, decode.candidates)


BROKEN_FILTERS = {
    "a limit too high": ("filter/level0/limits", lambda limits: limits + 2),
    "one level's limit too high": ("filter/level1/limits", lambda limits: limits + 2),
    "another anchor": ("filter/level0/scales", lambda scales: scales[::-1].copy()),
    "places of the neighbour": ("filter/level1/places", lambda places: np.roll(places, 1, axis=0)),
    "a stride between values": ("filter/level0/lanes", lambda lanes: lanes[::-1].copy()),
    "another plane": ("filter/level0/objectness_channels", lambda channels: channels + 1),
    "a jump too short": ("filter/level1/jump", lambda jump: jump - 1),
    "too few cells": ("filter/level1/cells", lambda cells: cells + 1),
}


@pytest.mark.parametrize(("name", "change"), BROKEN_FILTERS.values(), ids=BROKEN_FILTERS.keys())
def test_a_broken_filter_is_caught(name, change):
    before = add_nms(packed.raw()).model
    after = filter_candidates(before).model
    decode = learn_decode(before, *find_decode(before))
    assert prove(before, after, decode, -0.6, decode.candidates)
    with pytest.raises(PatchError, match=r"what passes alone|on any number"):
        prove(before, set_constant(after, name, change), decode, -0.6, decode.candidates)
