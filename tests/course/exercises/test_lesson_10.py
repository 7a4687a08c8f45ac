"""The checkers of lesson 10: right answers, likely wrong ones, and hints that give nothing away."""

import numpy as np
import onnx
import pytest

from helpers.course.exercises import lesson_10
from helpers.course.exercises.lesson_10 import (
    broken,
    exercise_1,
    exercise_2,
    exercise_3,
    patients,
    through_half,
)
from helpers.patches.metadata import write_metadata
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics

RIGHT = {"A": "half", "B": "healthy", "C": "open", "D": "names"}
NAMES = ("RBC", "WBC", "Platelets")


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (RIGHT, None),
        (dict(reversed(RIGHT.items())), None),
        (["half"], "Expected a dictionary, got list"),
        ({}, "a word for each of A, B, C, D"),
        ({"A": "half"}, "a word for each of A, B, C, D"),
        (RIGHT | {"E": "open"}, "a word for each of A, B, C, D"),
        (RIGHT | {"A": "fp16"}, "got fp16"),
        (RIGHT | {"A": ...}, "got Ellipsis"),
        (RIGHT | {"A": "healthy"}, "A: follow the boxes up"),
        (RIGHT | {"B": "half"}, "B: shape, names, types"),
        (RIGHT | {"C": "healthy"}, "C: what is the shape"),
        (RIGHT | {"D": "healthy"}, "D: what does its metadata"),
        (dict.fromkeys("ABCD", "open"), "A: follow the boxes up"),
    ],
)
def test_patients(answer, hint):
    found = exercise_1(answer)
    assert found is None if hint is None else hint in found


@pytest.mark.parametrize("shape", [None, [], ["M", 7], [1, None, 6]])
def test_an_output_without_a_whole_shape_is_open(shape):
    model = patients()["B"]
    value = onnx.helper.make_tensor_value_info(model.graph.output[0].name, onnx.TensorProto.FLOAT, shape)
    model.graph.output[0].CopyFrom(value)
    assert lesson_10._ailment(model) == "open"


def test_patients_are_ill_in_one_way_only():
    whole = patients()["B"]
    for letter, model in patients().items():
        onnx.checker.check_model(model, full_check=True)
        assert (model.graph == whole.graph) == (letter in "BD")
        assert (model.metadata_props == whole.metadata_props) == (letter in "ABC")


def test_the_rounded_one_loses_a_neighbour_and_the_whole_one_does_not():
    """Not only a cast in the graph: it does what it is there to show."""
    four = [[145, 123, 176, 149], [156, 125, 187, 151], [216, 117, 236, 139], [218, 118, 239, 141]]
    bare = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        bare (float[1, 4, 85] images) => (float[1, 4, 85] output) { output = Identity(images) }""")
    rows = np.zeros((1, 4, 85), np.float32)
    for row, (x0, y0, x1, y1), score in zip(rows[0], four, (0.9, 0.8, 0.7, 0.6), strict=True):
        row[:5], row[5 + 79] = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, score), 1
    exact = add_nms(bare, class_offset=640.0).model
    for model, kept in ((exact, [0.9, 0.8, 0.7]), (through_half(exact, "nms/apart"), [0.9, 0.7, 0.6])):
        onnx.checker.check_model(model, full_check=True)
        found = run(model, rows)
        assert found[:, 6].round(1).tolist() == pytest.approx(kept)


def test_through_half_takes_one_of_several_outputs_and_leaves_its_model_alone():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[1, 9] images) => (float[1, 2] y) <int64[1] k = {2}>
        { best, place = TopK(images, k)
          y = Identity(best) }""")
    before = model.SerializeToString(deterministic=True)
    rounded = through_half(model, "best")
    assert model.SerializeToString(deterministic=True) == before
    assert [node.op_type for node in rounded.graph.node] == ["TopK", "Cast", "Cast", "Identity"]
    images = np.full((1, 9), 2049.0, np.float32)
    assert run(model, images).tolist() == [[2049, 2049]]
    assert run(rounded, images).tolist() == [[2048, 2048]]


def run(model, images):
    from helpers.session import open_session

    return open_session(model.SerializeToString(), providers="cpu").run(None, {"images": images})[0]


def put_back(boxes_xyxy, picture_wh, *, share=0.5, divide=True, sign=1, side=max):
    scale = 640 / side(picture_wh)
    grey = [(640 - length * scale) * share for length in picture_wh]
    return boxes_xyxy + sign * np.array([*grey, *grey]) / (scale if divide else 1)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (put_back, None),
        (lambda boxes, size: put_back(boxes, size).round(), None),
        (lambda boxes, size: put_back(boxes, size).tolist(), None),
        ([], "Expected a function of boxes and size, got list"),
        (lambda boxes, size: None, "expected boxes [3, 4], got []"),
        (lambda boxes: boxes, "TypeError"),
        (lambda boxes, size: boxes[9], "IndexError"),
        (lambda boxes, size: boxes[:1], "expected boxes [3, 4], got [1, 4]"),
        (lambda boxes, size: boxes * np.nan, "off by up to nan"),
        (lambda boxes, size: put_back(boxes, size, share=1), "A picture of 1280x720: still off by up to 280"),
        (
            lambda boxes, size: put_back(boxes, size, divide=False),
            "A picture of 1280x720: still off by up to 140",
        ),
        (lambda boxes, size: put_back(boxes, size, sign=-1), "A picture of 1280x720: still off by up to 560"),
        (lambda boxes, size: put_back(boxes, size, side=lambda sides: sides[0]), "A picture of 480x640"),
        (lambda boxes, size: put_back(boxes, (1280, 720)), "A picture of 480x640"),
        (lambda boxes, size: put_back(boxes, size) + (size == (640, 640)) * 9, "A picture of 640x640"),
        (lambda boxes, size: put_back(boxes, size) * (1 if size[0] != 900 else 2), "A picture of 900x300"),
    ],
)
def test_the_way_back(answer, hint):
    found = exercise_2(answer)
    assert found is None if hint is None else hint in found


def swapped(order=(0, 1, 2, 3, 4, 6, 5)):
    model = broken()
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(order), "order"))
    model.graph.node.append(onnx.helper.make_node("Gather", ["detections", "order"], ["ordered"], axis=1))
    value = onnx.helper.make_tensor_value_info("ordered", onnx.TensorProto.FLOAT, ["M", 7])
    model.graph.output[0].CopyFrom(value)
    return model


def repaired(model=None, *, names=NAMES, slots=100, nms=True):
    patched = to_ultralytics(model or swapped(), slots=slots).model
    return write_metadata(patched, names=names, stride=32, nms=nms).model if names else patched


def renamed(to="x"):
    model = repaired()
    model.graph.input[0].name = to
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "images":
                node.input[place] = to
    return model


def one_number():
    """All of it added up."""
    model = repaired()
    model.graph.node.append(onnx.helper.make_node("ReduceSum", ["output0"], ["sum"], keepdims=0))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, []))
    return model


def unargued():
    """Names, and not a word of how it was exported."""
    model = repaired()
    entries = {entry.key: entry.value for entry in model.metadata_props if entry.key != "args"}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, entries)
    return model


def homeless():
    """An operator that onnx lets pass, because it is nobody's."""
    model = repaired()
    model.graph.node[-1].domain = "nobody"
    model.opset_import.append(onnx.helper.make_opsetid("nobody", 1))
    return model


def claimed():
    """It declares the shape and does not have it."""
    model = swapped()
    model.graph.node.append(onnx.helper.make_node("Gather", ["ordered", "order"], ["output0"], axis=1))
    value = onnx.helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, [1, 100, 6])
    model.graph.output[0].CopyFrom(value)
    return model


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (repaired, None),
        (lambda: "model.onnx", "Expected a model, got str"),
        (onnx.ModelProto, "no valid model"),
        (broken, r"[M, 7]"),
        (swapped, r"[M, 7]"),
        (lambda: repaired(slots=50), "[1, 50, 6]"),
        (lambda: repaired(broken()), "The class stands where the score should be"),
        (lambda: repaired(swapped((0, 2, 1, 4, 3, 6, 5))), "With 3 detections"),
        (lambda: repaired(names=None), "should be called RBC, WBC, Platelets"),
        (lambda: repaired(names=("Platelets", "RBC", "WBC")), "should be called RBC, WBC, Platelets"),
        (lambda: repaired(nms=False), "the NMS is in the graph"),
        (unargued, "the NMS is in the graph"),
        (one_number, "Its output is []; Ultralytics wants [1, 100, 6]."),
        (homeless, "ONNX Runtime does not load it: model bytes: ONNX Runtime cannot load it"),
        (renamed, "should still be called images"),
        (lambda: renamed("input"), "should still be called images"),
        (claimed, "no valid model"),
    ],
)
def test_the_repair(answer, hint):
    found = exercise_3(answer())
    assert found is None if hint is None else hint in found


def test_the_guides_way_of_padding_keeps_the_first_rows_and_is_found_out():
    """100 rows of 130, but not the best ones."""
    model = swapped()
    arrays = {
        "to": [100],
        "from": [0],
        "axis": [0],
        "columns": [1, 2, 3, 4, 6, 5],
        "empty": np.zeros((100, 6)),
    }
    for name, value in arrays.items():
        array = np.array(value, np.float32 if name == "empty" else np.int64)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, f"g/{name}"))
    for kind, inputs, output, extra in (
        ("Gather", ["ordered", "g/columns"], "g/six", {"axis": 1}),
        ("Concat", ["g/six", "g/empty"], "g/long", {"axis": 0}),
        ("Slice", ["g/long", "g/from", "g/to", "g/axis"], "g/cut", {}),
        ("Unsqueeze", ["g/cut", "g/from"], "output0", {}),
    ):
        model.graph.node.append(onnx.helper.make_node(kind, inputs, [output], **extra))
    value = onnx.helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, [1, 100, 6])
    model.graph.output[0].CopyFrom(value)
    assert "With 130 detections" in exercise_3(write_metadata(model, names=NAMES, stride=32).model)


def test_hints_do_not_give_the_answer_away():
    assert not any(word in exercise_1(dict.fromkeys("ABCD", "open")) for word in ("half", "FP16"))
    assert lesson_10.__all__[1:4] == ["exercise_1", "exercise_2", "exercise_3"]
