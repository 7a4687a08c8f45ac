"""Heads and decode are found by structure; names say nothing."""

from __future__ import annotations

import numpy as np
import onnx
import packed_detector as packed
import pytest

from helpers.patches import PatchError
from helpers.patches.filter import filter_candidates
from helpers.patches.filter_find import between, find_decode, read_decode, reading
from helpers.patches.nms import add_nms


def nameless(model):
    """Every node and inner value called by a number."""
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = {name for node in model.graph.node for name in (*node.input, *node.output) if name}
    numbers = {name: f"v{number}" for number, name in enumerate(sorted(names - ends))}
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
        node.input[:] = [numbers.get(name, name) for name in node.input]
        node.output[:] = [numbers.get(name, name) for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name = numbers.get(tensor.name, tensor.name)
    return model, numbers


@pytest.mark.parametrize("dialect", ["dynamo", "script"])
@pytest.mark.parametrize("batch", [1, 3, "B"])
def test_names_do_not_matter(dialect, batch):
    model, numbers = nameless(add_nms(packed.raw(dialect=dialect, batch=batch)).model)
    heads, output, shapes = find_decode(model)
    assert heads == [numbers["head0"], numbers["head1"]]
    assert output == numbers["output"]
    assert shapes[heads[1]][1:] == (24, 5, 6)
    assert filter_candidates(model).changed


def test_a_head_is_followed_through_what_keeps_its_shape():
    """Implicit scaling, quantisation and casts belong to the head."""
    model = add_nms(packed.raw()).model
    for number in range(2):
        conv = next(node for node in model.graph.node if node.name == f"conv{number}")
        conv.output[0] = f"early{number}"
        place = list(model.graph.node).index(conv)
        model.graph.node.insert(
            place + 1, onnx.helper.make_node("Mul", [f"early{number}", "factor"], [f"head{number}"])
        )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 24, 1, 1), np.float32), "factor"))
    assert find_decode(model)[0] == ["head0", "head1"]


@pytest.mark.parametrize("kind", ["Add", "Cast", "Identity", "Quantised"])
def test_what_a_head_is_followed_through(kind):
    model = add_nms(packed.raw()).model
    conv = next(node for node in model.graph.node if node.name == "conv0")
    conv.output[0] = "early"
    steps = {
        "Add": [("Add", ["early", "bias"], ["head0"], {})],
        "Cast": [("Cast", ["early"], ["head0"], {"to": 1})],
        "Identity": [("Identity", ["early"], ["head0"], {})],
        "Quantised": [
            ("QuantizeLinear", ["early", "scale", "point"], ["bytes"], {}),
            ("DequantizeLinear", ["bytes", "scale", "point"], ["head0"], {}),
        ],
    }[kind]
    place = list(model.graph.node).index(conv) + 1
    for step, (op, sources, results, attributes) in enumerate(steps):
        model.graph.node.insert(place + step, onnx.helper.make_node(op, sources, results, **attributes))
    given = {"bias": np.float32(0.1), "scale": np.float32(0.1), "point": np.uint8(3)}
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in given.items()]
    model.graph.initializer.extend(tensors)
    assert find_decode(model)[0] == ["head0", "head1"]


def test_a_head_is_not_followed_through_what_changes_its_numbers():
    model = add_nms(packed.raw()).model
    conv = next(node for node in model.graph.node if node.name == "conv0")
    conv.output[0] = "early"
    place = list(model.graph.node).index(conv) + 1
    model.graph.node.insert(place, onnx.helper.make_node("Abs", ["early"], ["head0"]))
    assert find_decode(model)[0] == ["early", "head1"]


def test_six_columns_are_one_class():
    assert find_decode(add_nms(packed.raw(classes=1)).model)[1] == "output"


def test_shapes_that_the_graph_works_out_are_known():
    """As exporters write it: the size of the batch, read from the head, joined to the rest of the shape."""
    model = add_nms(packed.raw(batch="B")).model
    split = next(tensor for tensor in model.graph.initializer if tensor.name == "split0")
    rest = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(split)[1:], "rest")
    model.graph.initializer.remove(split)
    model.graph.initializer.extend([rest, onnx.numpy_helper.from_array(np.array([0]), "first")])
    place = next(index for index, node in enumerate(model.graph.node) if "split0" in node.input)
    chain = [
        onnx.helper.make_node("Shape", ["head0"], ["size"]),
        onnx.helper.make_node("Gather", ["size", "first"], ["count"]),
        onnx.helper.make_node("Concat", ["count", "rest"], ["split0"], axis=0),
    ]
    for step, node in enumerate(chain):
        model.graph.node.insert(place + step, node)
    assert find_decode(model)[2]["five0"] == ("B", 3, 8, 10, 12)


def test_a_convolution_that_leads_nowhere_is_no_head():
    model = add_nms(packed.raw()).model
    dead = onnx.helper.make_node("Conv", ["part0", "identity"], ["dead"], name="dead")
    model.graph.node.insert(1, dead)
    assert find_decode(model)[0] == ["head0", "head1"]
    assert any(node.name == "dead" for node in filter_candidates(model).model.graph.node)


HEAD = '<ir_version: 8, opset_import: ["": 17]> g (float[1, 10, 4, 4] x) => (y) '
WEIGHTS = "<float[10, 10, 1, 1] w, int64[3] s = {1, 16, 10}, int64[4] wide = {1, 1, 16, 10}"
BAD = {
    "no convolution": ("y = Identity(x)", "a detector with convolutions; got none"),
    "no value of three dimensions": ("c = Conv(x, w) y = Reshape(c, wide)", "one value .* none behind c"),
    "too few columns": ("c = Conv(x, w) y = Reshape(c, narrow)", "none behind c"),
    "boxes and scores that never meet": (
        """c = Conv(x, w) b = Reshape(c, boxes) m = ReduceMax<axes = [2]>(b) r = Reshape(m, row)
        k = NonMaxSuppression(b, r) f = Cast<to = 1>(k) y = Reshape(f, six)""",
        "between the last convolutions and the NMS",
    ),
    "a table that exists behind the NMS alone": (
        """c = Conv(x, w) b = Reshape(c, boxes) m = ReduceMax<axes = [2]>(b) r = Reshape(m, row)
        k = NonMaxSuppression(b, r) y = Concat<axis = 2>(b, b)""",
        "between the last convolutions and the NMS",
    ),
    "channels that no number of anchors makes": (
        "c = Conv(x, w) y = Reshape(c, eight)",
        r"heads \[B, anchors x 8, H, W\] of fixed size; got c",
    ),
    "two ways that meet": (
        "c = Conv(x, w) a = Reshape(c, s) d = Reshape(c, s) y = Concat<axis = 1>(a, d)",
        "",
    ),
}


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD.keys())
def test_what_has_no_decode(body, message):
    weights = WEIGHTS + ", int64[3] narrow = {1, 32, 5}, int64[3] boxes = {1, 40, 4}"
    weights += ", int64[3] row = {1, 1, 40}, int64[3] six = {1, -1, 6}, int64[3] eight = {1, 20, 8}>"
    text = weights.replace("float[10, 10, 1, 1] w", f"float[10, 10, 1, 1] w = {{{', '.join(['0.5'] * 100)}}}")
    model = onnx.parser.parse_model(HEAD + text + f"{{ {body} }}")
    if not message:
        assert find_decode(model)[1] == "y"
        return
    with pytest.raises(PatchError, match=message):
        find_decode(model)


def test_a_head_of_one_dimension_is_refused():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[1, 1, 5] x) => (float[1, 5, 10] y) <float[10, 1, 1] w = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
        int64[3] s = {1, 5, 10}> { c = Conv(x, w) y = Reshape(c, s) }""")
    with pytest.raises(PatchError, match=r"heads \[B, anchors x 10, H, W\] of fixed size; got c"):
        find_decode(model)


def test_a_value_of_unknown_rank_is_no_decode():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[1, 2, 4, 4] x, int64[k] form) => (float[n] y) <float[2, 2, 1, 1] w = {1, 2, 3, 4},
        int64[1] flat = {-1}> { c = Conv(x, w) u = Reshape(c, form) y = Reshape(u, flat) }""")
    with pytest.raises(PatchError, match="none behind c"):
        find_decode(model)


def test_a_head_of_open_size_is_refused():
    model = add_nms(packed.raw()).model
    for axis, name in ((2, "high"), (3, "wide")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for tensor in model.graph.initializer:
        if tensor.name.startswith("stop"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([2**62, 2**62]), tensor.name))
    del model.graph.value_info[:]
    with pytest.raises(PatchError, match=r"of fixed size; got head0 .*; fix: export for a fixed size"):
        find_decode(model)


def test_between_takes_what_is_needed_and_stops_at_the_start():
    model = packed.raw()
    nodes, needed = between(model, ["head0", "head1"], "output")
    assert [node.op_type for node in nodes].count("Conv") == 0
    assert nodes[-1].op_type == "Concat"
    assert {"head0", "head1", "anchor0"} <= needed
    assert "images" not in needed


def test_inputs_that_are_left_out_are_not_needed():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[2] x) => (float[2] y) <float top = {1}> { a = Abs(x) y = Clip(a, , top) }""")
    assert between(model, ["a"], "y")[1] == {"a", "top"}


def test_reading_refuses_a_way_around_the_heads():
    model = add_nms(packed.raw()).model
    with pytest.raises(PatchError, match="made from the heads alone; got a convolution beside them"):
        reading(model, ["head0"])


def test_reading_keeps_other_inputs():
    part = reading(packed.raw(), ["head0", "head1"])
    assert [value.name for value in part.graph.input] == ["head0", "head1"]
    assert "identity" not in [tensor.name for tensor in part.graph.initializer]
    onnx.checker.check_model(part, full_check=True)


@pytest.mark.parametrize("options", [{}, {"form": "topk", "k": 9}], ids=str)
def test_a_filtered_graph_remembers_its_decode(options):
    model = filter_candidates(add_nms(packed.raw()).model, **options).model
    decode = read_decode(model)
    assert decode is not None
    assert ([level.head for level in decode.levels], decode.columns) == (["head0", "head1"], 8)
    assert (decode.output, decode.candidates) == ("output", packed.CANDIDATES)
    np.testing.assert_array_equal(decode.levels[1].scales[:, 2:], 4 * packed.ANCHORS[1])
    np.testing.assert_array_equal(decode.levels[1].scales[:, :2], 32)
    assert decode.levels[1].scales.dtype == decode.levels[1].places.dtype == np.float32
    np.testing.assert_array_equal(decode.levels[0].places[:2], [[-4, -4], [4, -4]])


def test_any_other_graph_has_none_to_remember():
    model = packed.raw()
    model.graph.node[0].name = "other/planes"
    assert read_decode(model) is None
