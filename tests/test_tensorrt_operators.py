"""Would TensorRT's ONNX parser take our graphs? Operators, types and restrictions, by the parser's own table.

The table is that of 10.1 (`tests/data/tensorrt_operators.json` says where from); a later parser takes more.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from helpers.convert import Files, Recipe, convert
from helpers.engine_graph import engine_graph
from helpers.patches import constant_value
from helpers.patches.filter import filter_candidates
from helpers.patches.half import to_half
from helpers.patches.half_plan import types_of
from helpers.patches.preprocess import add_box_mapping, add_conversion, add_picture

TABLE = json.loads((Path(__file__).parent / "data" / "tensorrt_operators.json").read_text("utf-8"))[
    "operators"
]
TYPES = {"FLOAT": "FP32", "FLOAT16": "FP16", "BFLOAT16": "BF16"}
UINT8 = onnx.TensorProto.UINT8
LARGEST_K = 3840
NEWEST_OPSET = 20
RESIZE = {
    "coordinate_transformation_mode": (
        "half_pixel",
        "half_pixel",
        "pytorch_half_pixel",
        "asymmetric",
        "align_corners",
    ),
    "mode": ("nearest", "nearest", "linear"),
    "nearest_mode": ("round_prefer_floor", "floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
    "keep_aspect_ratio_policy": ("stretch", "stretch"),
    "antialias": (0, 0),
}


def complaints(model):
    """One line for everything that the table does not allow."""
    types, found = types_of(model), []
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if not 9 <= opset <= NEWEST_OPSET:
        found.append(f"opset {opset}")
    for node in model.graph.node:
        row = TABLE.get(node.op_type)
        reasons = ["unknown or unsupported"] if row is None or node.domain not in ("", "ai.onnx") else []
        if not reasons:
            reasons = [*wrong_types(model, node, types, row["types"]), *broken_rules(model, node)]
        found += [f"{node.op_type}: {reason}" for reason in reasons]
    return found


def wrong_types(model, node, types, allowed):
    """Data in types that the operator does not take. The table speaks of the schema's main type parameter."""
    version = next(entry.version for entry in model.opset_import if entry.domain == node.domain)
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    letters = [formal.type_str for formal in (*schema.inputs, *schema.outputs)]
    main = {"T1", "T2"} if node.op_type == "Cast" else {"T" if "T" in letters else letters[0]}
    for names, formals in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for index, name in enumerate(names):
            if not name or formals[min(index, len(formals) - 1)].type_str not in main:
                continue
            kind = onnx.TensorProto.DataType.Name(types[name])
            if TYPES.get(kind, kind) not in allowed:
                yield f"{name} is {TYPES.get(kind, kind)}"


def broken_rules(model, node):
    """What the last column of the table says, for the operators of detectors."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    texts = {key: value.decode() if isinstance(value, bytes) else value for key, value in given.items()}
    fixed = {
        "Slice": {3: "axes"}, "ReduceMax": {1: "axes"}, "ReduceMin": {1: "axes"}, "ReduceSum": {1: "axes"},
        "Unsqueeze": {1: "axes"}, "Squeeze": {1: "axes"}, "Pad": {3: "axes"}, "CumSum": {1: "axis"},
    }.get(node.op_type, {})  # fmt: skip
    for index, label in fixed.items():
        if len(node.input) > index and node.input[index] and constant_value(model, node.input[index]) is None:
            yield f"{label} must be an initializer"
    if node.op_type == "TopK":
        count = constant_value(model, node.input[1])
        if count is None or not 0 < int(count.item()) < LARGEST_K:
            yield f"K must be a constant below {LARGEST_K}"
        if given.get("sorted", 1) != 1:
            yield "sorted must be 1"
    if node.op_type == "NonMaxSuppression" and constant_value(model, node.input[2]) is None:
        yield "max_output_boxes_per_class must be a constant, or the output has no upper bound"
    if node.op_type == "MaxPool" and (len(node.output) > 1 or set(given.get("dilations", [1])) != {1}):
        yield "indices or dilations"
    if node.op_type == "ScatterND" and texts.get("reduction", "none") != "none":
        yield "reduction"
    if node.op_type.endswith("tizeLinear") and len(node.input) > 2:
        zero = constant_value(model, node.input[2])
        if zero is None or np.any(zero):
            yield "the zero point must be 0"
    if node.op_type == "Resize":
        for name, (default, *choices) in RESIZE.items():
            if texts.get(name, default) not in choices:
                yield f"{name} {texts[name]}"
    if node.op_type == "Constant" and given.keys() & {"sparse_value", "value_string", "value_strings"}:
        yield "sparse values and text"


def small(body, inputs="float[1, 3, 8, 8] x", opset=17):
    return onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": {opset}]>
        g ({inputs}) => (y) <float one = {{1}}, int64[1] many = {{3840}}, int64[1] few = {{3839}},
        int8 zero = {{0}}, int8 off = {{3}}, int64[4] axis = {{0, 1, 2, 3}},
        int64[4] wide = {{1, 1, 1, 500}}> {{ {body} }}""")


BAD = {
    "an operator that is missing": ("y = Unique(x)", "Unique: unknown or unsupported"),
    "another": ("c = Cast<to = 9>(x) y = Compress(x, c)", "Compress: unknown or unsupported"),
    "not in the table at all": ("y = Sinh(x)", "Sinh: unknown or unsupported"),
    "NonZero of a mask": ("c = Greater(x, one) y = NonZero(c)", "NonZero: c is BOOL"),
    "FP64": ("d = Cast<to = 11>(x) y = Mul(d, d)", "Mul: d is DOUBLE"),
    "too many": ("t = Tile(x, wide) y, i = TopK(t, many)", "TopK: K must be a constant below 3840"),
    "unsorted": ("t = Tile(x, wide) y, i = TopK<sorted = 0>(t, few)", "TopK: sorted must be 1"),
    "axes that are computed": ("a = Shape(x) y = Slice(x, a, a, a)", "Slice: axes must be an initializer"),
    "zero points": ("y = QuantizeLinear(x, one, off)", "QuantizeLinear: the zero point must be 0"),
    "cubic": ('s = Shape(x) y = Resize<mode = "cubic">(x, , , s)', "Resize: mode cubic"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "complaint"), BAD.values(), ids=BAD.keys())
def test_the_check_sees(body, complaint):
    assert complaint in complaints(small(body))


@pytest.mark.parametrize(
    "body",
    [
        "t = Tile(x, wide) y, i = TopK(t, few)",
        "c = Greater(x, one) f = Cast<to = 1>(c) y = NonZero(f)",
        "q = QuantizeLinear(x, one, zero) y = DequantizeLinear(q, one, zero)",
        "y = Slice(x, axis, axis, axis)",
    ],
)
def test_the_check_lets_pass(body):
    assert complaints(small(body)) == []


def test_the_opset_counts():
    assert complaints(small("y = Relu(x)", opset=21)) == ["opset 21"]


@pytest.mark.shared
def test_the_table_is_the_parsers(shared: Path):
    whole = json.loads((shared / "facts" / "tensorrt-onnx-operators.json").read_text("utf-8"))["operators"]
    for name, row in TABLE.items():
        assert whole[name]["supported"] == (row is not None), name
        if row:
            assert whole[name]["restrictions"] == row["restrictions"]
            assert [kind.replace("INF", "INT") for kind in whole[name]["types"]] == row["types"]


@pytest.fixture(scope="module", params=[False, True], ids=["one picture", "any batch"])
def bundled(tmp_path_factory, request):
    """The bundled model's files, small."""
    weights = Path(__file__).parents[1] / "data" / "blood-cells.safetensors"
    recipe = Recipe(size_wh=(96, 64), dynamic_batch=request.param, batched=True)
    return convert(weights, tmp_path_factory.mktemp("build"), recipe=recipe)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("stage", ["raw", "end2end", "ultralytics", "batched"])
def test_our_graphs_are_what_tensorrt_takes(bundled: Files, stage, half):
    model = onnx.load(getattr(bundled, stage))
    assert complaints(to_half(model).model if half else model) == []


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("form", ["mask", "topk"])
@pytest.mark.parametrize("stage", ["end2end", "ultralytics", "batched"])
def test_both_forms_of_the_filter(bundled: Files, stage, form, half):
    model = filter_candidates(onnx.load(getattr(bundled, stage)), form=form, k=40).model
    assert complaints(to_half(model).model if half else model) == []


def open_dimensions(model):
    """Values before the NMS with a dimension that is not a number, an open batch aside."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    dims = {value.name: list(value.type.tensor_type.shape.dim) for value in inferred.value_info}
    (suppression,) = [node for node in inferred.node if node.op_type == "NonMaxSuppression"]
    makers, wanted, seen = {name: node for node in inferred.node for name in node.output}, set(), set()
    wanted.update(suppression.input[:2])
    while wanted:
        name = wanted.pop()
        seen.add(name)
        wanted.update(set(makers[name].input) - seen if name in makers else ())
    first = int(not inferred.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"))
    return [
        name
        for name in sorted(seen & dims.keys())
        if any(not dim.HasField("dim_value") for dim in dims[name][first:])
    ]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_an_engines_graph_has_fixed_shapes_up_to_its_nms(bundled: Files, half, batched):
    model = onnx.load(engine_graph(bundled, half=half, batched=batched))
    assert complaints(model) == []
    assert open_dimensions(model) == []
    top = [node.name for node in model.graph.node if node.op_type == "TopK"]
    assert {name.split("/")[1] for name in top if name.startswith("filter/")} == {
        f"level{n}" for n in range(3)
    }
    source = onnx.load(bundled.batched if batched else bundled.ultralytics)
    assert open_dimensions(source), "the mask's shapes change with the picture"


@pytest.mark.parametrize(
    "patch", [add_picture, partial(add_picture, exact=False), add_box_mapping, add_conversion]
)
def test_pictures_in_the_graph_too(bundled: Files, patch):
    """`UINT8` is read by a `Cast` alone: the parser takes it nowhere but at the border."""
    model = patch(onnx.load(bundled.ultralytics)).model
    assert complaints(model) == []
    bytes_in = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == UINT8}
    assert {node.op_type for node in model.graph.node if bytes_in & {*node.input}} <= {"Cast"}


@pytest.mark.shared
@pytest.mark.parametrize("half", [False, True])
def test_the_official_file_too(fixtures: Path, half):
    model = onnx.load(fixtures / "official-end2end-yolov7-tiny.onnx")
    assert complaints(to_half(model).model if half else model) == []
