"""The picture in the graph: against the path outside, for any size; the halves alone; and what is refused."""

from __future__ import annotations

import itertools
import platform
from functools import partial

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.detections import Detections
from helpers.detector import Detector
from helpers.images import letterbox, place, to_tensor
from helpers.patches import PatchError, shape_of
from helpers.patches.metadata import read_metadata
from helpers.patches.preprocess import (
    PICTURE,
    PICTURE_BOXES,
    PICTURE_WH,
    PICTURES,
    add_box_mapping,
    add_conversion,
    add_letterbox,
    add_picture,
)

SIZES_WH = [(96, 64), (48, 32), (192, 128), (1, 1), (1, 300), (300, 1), (37, 999), (640, 480), (333, 5)]
SIZES_WH += [(131, 97), (1281, 721), (95, 65), (97, 64), (2000, 3)]
INPUTS_WH = [(96, 64), (64, 64), (33, 71)]
ROWS = np.array([[30, 20, 50, 40, 0.5, 1], [0] * 6, [-9, -9, 200, 300, 0.25, 0]], np.float32)


def network(size_wh=(96, 64), *, batch="1", kind="float", opset=17, name="images"):
    """Its output is its input."""
    shape = f"[{batch}, 3, {size_wh[1]}, {size_wh[0]}]"
    return onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": {opset}],
        metadata_props: ["names": "{{0: 'a'}}", "author": "me"]>
        net ({kind}{shape} {name}) => ({kind}{shape} output) {{ [only] output = Identity({name}) }}""")


def detector(rows=ROWS, *, batch="1", size_wh=(96, 64), opset=17, args="{'nms': True}"):
    """Rows that are always the same."""
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": {opset}],
        metadata_props: ["args": "{args}"]>
        net (float[{batch}, 3, {size_wh[1]}, {size_wh[0]}] images) => (float[{batch}, {len(rows)}, 6] output0)
        <int64[1] first = {{0}}> {{
            flat = Flatten <axis = 1> (images)
            pixel = Gather <axis = 1> (flat, first)
            nothing = Sub(pixel, pixel)
            column = Unsqueeze <axes = [2]> (nothing)
            output0 = Add(rows, column)
        }}""")
    if opset > 12:
        axes = onnx.numpy_helper.from_array(np.array([2]), "two")
        model.graph.initializer.append(axes)
        del model.graph.node[3].attribute[:]
        model.graph.node[3].input.append("two")
    model.graph.initializer.append(onnx.numpy_helper.from_array(rows, "rows"))
    return model


def run(model, **feed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)[0]


def picture(rng, size_wh):
    return rng.integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@pytest.mark.parametrize("input_wh", INPUTS_WH)
def test_the_pixels_are_those_of_the_letterbox_outside(rng, input_wh):
    session = session_of(add_letterbox(network(input_wh)).model)
    for size_wh in [*SIZES_WH, input_wh, *rng.integers(1, 400, (12, 2)).tolist()]:
        image_bgr = picture(rng, size_wh)
        inside = session.run(None, {PICTURE: image_bgr})[0]
        outside = to_tensor(letterbox(image_bgr, input_wh).image_bgr)
        apart = np.abs(inside - outside) * 255
        assert inside.shape == outside.shape
        assert apart.max() < 1.01, size_wh
        if platform.machine().lower() in ("x86_64", "amd64"):
            assert (apart > 0.01).sum() <= 3, size_wh


def opencv(image_bgr, content_wh):
    """OpenCV's bilinear interpolation in whole numbers, pixel by pixel of the content."""
    weights, places = [], []
    for side, count in zip(image_bgr.shape[1::-1], content_wh, strict=True):
        position = ((np.arange(count) + 0.5) * (side / count) - 0.5).astype(np.float32)
        lower = np.floor(position)
        second = np.rint((position - lower) * np.float32(2048)).astype(np.int64)
        weights.append((2048 - second, second))
        places.append([np.clip(lower.astype(int) + step, 0, side - 1) for step in (0, 1)])
    pixels, (columns, rows) = image_bgr.astype(np.int64), places
    blended = sum(pixels[:, columns[n]] * weights[0][n][:, None] for n in (0, 1)) >> 4
    return (sum((blended[rows[n]] * weights[1][n][:, None, None]) >> 16 for n in (0, 1)) + 2) >> 2


@pytest.mark.parametrize("size_wh", [*SIZES_WH, (200, 201), (200_001, 2)])
def test_the_arithmetic_is_opencvs(rng, size_wh):
    image_bgr = picture(rng, size_wh)
    (width, height), (left, top) = place(size_wh, (96, 64))
    inside = run(add_letterbox(network()).model, picture=image_bgr)[0, ::-1] * 255
    content = inside[:, top : top + height, left : left + width].transpose(1, 2, 0)
    assert (np.abs(content - opencv(image_bgr, (width, height))) > 0.01).sum() <= 3
    assert np.abs(inside.sum() - content.sum() - 114 * (inside.size - content.size)) < 1


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_onnx_resize_is_within_one_grey_level(rng, size_wh):
    image_bgr = picture(rng, size_wh)
    inside = run(add_letterbox(network(), exact=False).model, picture=image_bgr)
    apart = (inside - to_tensor(letterbox(image_bgr, (96, 64)).image_bgr)) * 255
    assert np.abs(apart).max() < 1.01
    assert -0.01 < apart.mean() < 0.15  # OpenCV's is darker
    if size_wh[0] % 96 == size_wh[1] % 64 == 0:
        assert np.abs(apart).max() < 0.01


@pytest.mark.parametrize(
    ("input_wh", "most"), [((640, 640), 0), ((1280, 1280), 0), ((1280, 736), 2), ((33, 71), 0)]
)
def test_any_size_is_placed_as_outside(rng, input_wh, most):
    """Sizes, halves rounded to even, and the grey before: twenty thousand sizes at once, ties among them.

    Python rounds `width * (736 / height)`, and where that should be exactly a half, it may be a hair off.
    """
    sizes_wh = rng.integers(1, 5000, (12000, 2))
    ties = [(w, h) for w, h in itertools.product(range(2, 1300, 2), range(1, 14)) if 2 * h * 640 % w == 0]
    sizes_wh = np.concatenate([sizes_wh, ties, np.array(ties)[:, ::-1], [(1, 1), input_wh]])
    model = add_box_mapping(detector(batch="n", size_wh=input_wh)).model
    names = ["fit/content_wh", "fit/before_wh"]
    kind = onnx.TensorProto.INT64
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, kind, ["n", 2]) for name in names)
    fit = onnx.utils.Extractor(model).extract_model([PICTURE_WH], names)
    outputs = session_of(fit).run(names, {PICTURE_WH: sizes_wh})
    expected = [place((int(width), int(height)), input_wh) for width, height in sizes_wh]
    apart = np.abs(np.stack(outputs, axis=1) - expected)
    assert (apart > 0).sum() <= most
    assert apart.max() <= 1


@pytest.mark.parametrize(
    ("exact", "scaling"), [(True, "columns rows blend_columns blend_rows"), (False, "resize")]
)
def test_which_way_it_is_scaled(exact, scaling):
    nodes = add_letterbox(network(), exact=exact).model.graph.node
    assert [node.op_type for node in nodes].count("Resize") == (not exact)
    prefixes = {node.name.split("/")[0] for node in nodes}
    assert prefixes == {"measure", "fit", "pad", "colours", "only", *scaling.split()}


def test_the_whole_hands_on_how_it_is_scaled():
    assert add_picture(detector()).model == add_box_mapping(add_letterbox(detector()).model).model
    plain = add_letterbox(detector(), exact=False).model
    assert add_picture(detector(), exact=False).model == add_box_mapping(plain).model


def test_a_batch_of_unknown_size_gets_a_name():
    model = detector(batch="n")
    model.graph.output[0].type.tensor_type.shape.dim[0].Clear()
    result = add_box_mapping(model)
    assert shape_of(result.model.graph.input[1]) == ("batch", 2)
    assert result.report[0] == "new input picture_wh int64[batch, 2]: width and height of each picture"


NOTE = "note: Ultralytics cannot run this file, it prepares pictures itself"
SIZES = "new input picture_wh int64[n, 2]: width and height of each picture"
INSIDE = "images float[n, 3, 64, 96] -> picture uint8[height, width, 3]: BGR, letterboxed in the graph"
BYTES = "images float[n, 3, 64, 96] -> pictures uint8[n, 64, 96, 3]: BGR, converted in the graph"
BOXES = "output0 -> picture_boxes [{}, 3, 6]: corners in the picture's own pixels"
REPORTS = [
    (add_box_mapping, SIZES, BOXES.format("n")),
    (add_picture, INSIDE, NOTE, BOXES.format(1)),
    (add_conversion, BYTES, NOTE),
]


@pytest.mark.parametrize(("patch", "lines"), [(patch, lines) for patch, *lines in REPORTS])
def test_the_whole_report(patch, lines):
    assert patch(detector(batch="n")).report == tuple(lines)


@pytest.mark.parametrize("patch", [add_letterbox, partial(add_letterbox, exact=False), add_conversion])
def test_it_is_right_as_it_is_written(rng, patch):
    """ONNX Runtime repairs some graphs on its way: an optimiser may put the right shape for a wrong one."""
    model, image_bgr = patch(network()).model, picture(rng, (96, 64))
    feed = {PICTURES: image_bgr[None]} if patch is add_conversion else {PICTURE: image_bgr[::2, ::3]}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feed)[0]
    np.testing.assert_array_equal(plain, run(model, **feed))


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_boxes_come_out_in_the_pictures_pixels(rng, size_wh):
    box = letterbox(picture(rng, size_wh), (96, 64))
    corners = np.concatenate([box.boxes_to_picture(ROWS[:1, :4]), [[0, 0, 0, 0]], [[0, 0, *size_wh]]])
    expected = np.concatenate([corners, ROWS[:, 4:]], axis=1)
    expected[:, :4] = np.clip(expected[:, :4], 0, [*size_wh, *size_wh])
    whole = run(add_picture(detector()).model, picture=picture(rng, size_wh))
    images, sizes = to_tensor(box.image_bgr), np.array([size_wh])
    half = run(add_box_mapping(detector()).model, images=images, picture_wh=sizes)
    for found in (whole, half):
        assert found.shape == (1, 3, 6)
        np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-3)
        assert not found[0, 1].any()  # padding stays padding


def test_every_picture_of_a_batch_has_its_own_size(rng):
    model = add_box_mapping(detector(batch="n")).model
    assert [shape_of(value) for value in model.graph.input] == [("n", 3, 64, 96), ("n", 2)]
    assert shape_of(model.graph.output[0]) == ("n", 3, 6)
    sizes = np.array([(300, 100), (10, 999), (96, 64)])
    found = run(model, images=np.zeros((3, 3, 64, 96), np.float32), picture_wh=sizes)
    for rows, size_wh in zip(found, sizes, strict=True):
        expected = letterbox(picture(rng, size_wh), (96, 64)).boxes_to_picture(ROWS[:1, :4])
        expected = np.clip(expected[0], 0, [*size_wh, *size_wh])
        np.testing.assert_allclose(rows[0, :4], expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("batch", ["1", "2", "n"])
def test_conversion_alone(rng, batch):
    model = add_conversion(network(batch=batch)).model
    size = int(batch) if batch.isdigit() else batch
    assert shape_of(model.graph.input[0]) == (size, 64, 96, 3)
    pictures = rng.integers(0, 256, (2 if size == "n" else size, 64, 96, 3), dtype=np.uint8)
    expected = np.concatenate([to_tensor(image_bgr) for image_bgr in pictures])
    np.testing.assert_array_equal(run(model, pictures=pictures), expected)


def test_conversion_of_any_size_and_with_boxes(rng):
    model = add_conversion(network(("w", "h"))).model
    assert shape_of(model.graph.input[0]) == (1, "h", "w", 3)
    model = add_box_mapping(add_conversion(detector()).model).model
    assert [value.name for value in model.graph.input] == [PICTURES, PICTURE_WH]
    found = run(model, pictures=np.zeros((1, 64, 96, 3), np.uint8), picture_wh=np.array([(192, 128)]))
    np.testing.assert_allclose(found[0, 0], [60, 40, 100, 80, 0.5, 1])


PATCHES = {
    "picture": add_picture,
    "letterbox": add_letterbox,
    "boxes": add_box_mapping,
    "bytes": add_conversion,
    "plain": partial(add_picture, exact=False),
}


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 20])
@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_what_was_there_stays_and_twice_is_once(patch, opset):
    model = detector(opset=opset)
    before = model.SerializeToString()
    result = patch(model)
    assert model.SerializeToString() == before
    assert result.changed
    nodes = list(result.model.graph.node)
    start = next(i for i, node in enumerate(nodes) if node.op_type == "Flatten")
    assert nodes[start : start + 5] == list(model.graph.node)
    assert read_metadata(result.model).items() >= read_metadata(model).items()
    assert "Ultralytics" in " ".join(result.report) or patch is add_box_mapping
    assert "cannot run" in read_metadata(result.model)["ultralytics"]
    again = patch(result.model)
    assert not again.changed
    assert again.model is result.model
    assert "already" in again.report[0]
    session_of(result.model)


def test_the_two_halves_are_the_whole():
    halves = add_box_mapping(add_letterbox(detector()).model).model
    assert halves == add_picture(detector()).model
    assert [value.name for value in halves.graph.input] == [PICTURE]
    assert [value.name for value in halves.graph.output] == [PICTURE_BOXES]
    assert add_picture(add_letterbox(detector()).model).model == halves
    notes = read_metadata(halves)
    assert notes["input"] == "picture uint8, BGR, letterboxed in the graph"
    assert notes["boxes"] == "in the picture's own pixels, clipped to it"


def test_half_precision_input(rng):
    image_bgr = picture(rng, (96, 64))
    for patch, feed in (
        (add_letterbox, {"picture": image_bgr}), (add_conversion, {"pictures": image_bgr[None]}),
    ):  # fmt: skip
        found = run(patch(network(kind="float16")).model, **feed)
        np.testing.assert_array_equal(found, to_tensor(image_bgr).astype(np.float16))


def test_an_open_batch_becomes_one(rng):
    model = add_letterbox(network(batch="n", name="x")).model
    assert shape_of(model.graph.output[0]) == (1, 3, 64, 96)
    assert run(model, picture=picture(rng, (50, 50))).shape == (1, 3, 64, 96)


def other(inputs, output):
    return onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17]>
        net ({inputs}) => ({output} output) {{ output = Relu(x) }}""")


@pytest.mark.parametrize(("node", "finished"), [("NonMaxSuppression", True), ("Conv", False)])
def test_rows_are_finished_where_an_nms_made_them(node, finished):
    model = detector(args="{}")
    inputs = ["corners", "scores"] if finished else ["plane", "kernel"]
    shapes = {"corners": [1, 1, 4], "scores": [1, 1, 1], "plane": [1, 1, 1, 1], "kernel": [1, 1, 1, 1]}
    for name in inputs:
        zeros = np.zeros(shapes[name], np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(zeros, name))
    model.graph.node.append(onnx.helper.make_node(node, inputs, ["side"]))
    if finished:
        assert add_box_mapping(model).changed
    else:
        with pytest.raises(PatchError, match="finished rows"):
            add_box_mapping(model)


@pytest.mark.parametrize("shape", ["6", "1,6", "1,9,7", "1,9,6,4"])
def test_rows_have_three_dimensions_and_six_columns(shape):
    model = other(f"float[{shape}] x", f"float[{shape}]")
    model.metadata_props.append(onnx.StringStringEntryProto(key="args", value="{'nms': True}"))
    with pytest.raises(PatchError, match=r"finished rows \[B, slots, 6\]; got output"):
        add_box_mapping(model)


def test_the_nms_is_looked_for_under_args_alone():
    model = detector()
    model.metadata_props.insert(0, onnx.StringStringEntryProto(key="author", value="me"))
    assert add_box_mapping(model).changed
    boast = detector(args="{}")
    boast.metadata_props.insert(0, onnx.StringStringEntryProto(key="author", value="'nms': True"))
    with pytest.raises(PatchError, match="finished rows"):
        add_box_mapping(boast)


@pytest.mark.parametrize(
    ("patch", "model", "message"),
    [
        (add_letterbox, network(batch="2"), "one picture at a time; got images float.2, 3, 64, 96."),
        (add_letterbox, network(("w", "h")), r"fixed height and width; got images float\[1, 3, h, w\]; "),
        (add_letterbox, add_conversion(network()).model, "one float input .*; got pictures uint8"),
        (add_letterbox, add_box_mapping(detector()).model, "without box mapping; got an input picture_wh"),
        (add_conversion, add_letterbox(network()).model, "one float input .*; got picture uint8"),
        (add_picture, detector(batch="2"), "one picture at a time"),
        (add_picture, network(), r"finished rows \[B, slots, 6\]; got output \[1, 3, 64, 96\]"),
        (add_picture, network(batch="2"), "finished rows"),
        (add_picture, detector(args="{}"), r"finished rows .*; got output0 \[1, 3, 6\]; fix: run .python"),
        (add_box_mapping, detector(size_wh=("w", "h")), "input of fixed height and width"),
        (add_letterbox, other("float[4] x", "float[4]"), r"got x float\[4\]"),
        (add_letterbox, other("float[1,3,8,8] x, float[2] z", "float[1,3,8,8]"), "got x float.*, z float"),
        (add_letterbox, other("double[1,3,8,8] x", "double[1,3,8,8]"), "got x double"),
        (add_letterbox, other("float[1,1,8,8] x", "float[1,1,8,8]"), r"got x float\[1, 1, 8, 8\]"),
        (add_box_mapping, "a.onnx", "an onnx.ModelProto; got str"),
    ],
)  # fmt: skip
def test_refuses(patch, model, message):
    with pytest.raises(PatchError, match=message):
        patch(model)


def test_names_that_clash():
    model = network()
    model.graph.node[0].output[0] = model.graph.output[0].name = PICTURE_WH
    with pytest.raises(PatchError, match="rename the values"):
        add_letterbox(model)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory, repository):
    """The bundled model at a small size, with its picture form and the same in FP16."""
    from helpers.convert import Recipe, convert
    from helpers.patches.half import to_half

    recipe = Recipe((224, 192), score_threshold=0.2, picture=True)
    files = convert(
        repository / "data" / "blood-cells.safetensors", tmp_path_factory.mktemp("b"), recipe=recipe
    )
    half = to_half(onnx.load(files.ultralytics)).model
    detectors = {"FP32": (files.ultralytics, files.picture)}
    detectors["FP16"] = (half.SerializeToString(), add_picture(half).model.SerializeToString())
    return {kind: [Detector(source, providers="cpu") for source in pair] for kind, pair in detectors.items()}


def agree(pair, image_bgr):
    """Same boxes in the same order: 0.5 px and 0.002 are promised, far less is seen."""
    outside, inside = (one.detect(image_bgr) for one in pair)
    assert inside.class_ids.tolist() == outside.class_ids.tolist()
    np.testing.assert_allclose(inside.boxes_xyxy, outside.boxes_xyxy, atol=0.1)
    np.testing.assert_allclose(inside.scores, outside.scores, atol=0.002)
    return len(inside)


@pytest.mark.parametrize("kind", ["FP32", "FP16"])
def test_the_whole_network_on_drawn_smears(bundled, kind):
    from helpers.training.smears import draw_smear

    smear_bgr = draw_smear(9001, (320, 240), cells=12).image_bgr
    found = [agree(bundled[kind], smear_bgr), agree(bundled[kind], smear_bgr[:, 40:200])]
    for size_wh in [(1, 1), (1, 90), (224, 192), (700, 331), (90, 400)]:
        agree(bundled[kind], cv2.resize(smear_bgr, size_wh))
    assert min(found) >= 3


@pytest.mark.shared
def test_the_whole_network_on_photographs(bundled, bccd):
    from helpers.images import find_images, load_image

    photographs = [load_image(path) for path in find_images(bccd / "JPEGImages")[:3]]
    assert sum(agree(bundled["FP32"], image_bgr[7:, 11:]) for image_bgr in photographs) >= 6
    assert bundled["FP32"][1].detect(photographs[0]) != Detections.empty()


def test_what_the_new_nodes_are_called():
    names = [node.name for node in add_conversion(network()).model.graph.node]
    assert names == ["planes/pixels", "planes/nchw", "colours/red_green_blue", "colours/images", "only"]
    named = (node.name.split("/") for node in add_picture(detector()).model.graph.node)
    prefixes = {parts[0] for parts in named if len(parts) > 1}
    expected = "measure fit columns rows blend_columns blend_rows pad colours boxes"
    assert prefixes == set(expected.split())


@pytest.mark.parametrize("first", [0, 1])
def test_the_input_of_pictures_is_found_in_any_place(first):
    model = add_box_mapping(detector()).model
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in model.graph.input]
    del model.graph.input[:]
    model.graph.input.extend(inputs[first:] + inputs[:first])
    names = [value.name for value in add_conversion(model).model.graph.input]
    assert names == [[PICTURES, PICTURE_WH], [PICTURE_WH, PICTURES]][first]


def test_conversion_behind_the_box_mapping_is_seen():
    model = add_box_mapping(add_conversion(detector()).model).model
    assert not add_conversion(model).changed


@pytest.mark.parametrize("size_wh", [("w", 64), (96, "h")])
def test_one_open_side_is_enough_to_refuse(size_wh):
    with pytest.raises(PatchError, match="input of fixed height and width"):
        add_letterbox(network(size_wh))


def test_a_graph_without_inputs_is_refused():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        net () => (float[1] y) { y = Constant <value = float[1] {2}> () }""")
    with pytest.raises(PatchError, match=r"one float input .*; got none; fix: "):
        add_conversion(model)
