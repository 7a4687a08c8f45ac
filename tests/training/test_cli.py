"""`python -m helpers evaluate`: one command for checkpoints and graphs, COCO's labels and Pascal VOC's."""

from __future__ import annotations

import json

import cv2
import numpy as np
import official_form
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from helpers.__main__ import main
from helpers.training.cli import renumbered
from helpers.training.datasets import Sample, open_dataset, write_dataset

PROGRAM = """
<ir_version: 8, opset_import: ["": 18]>
constant (float[1,3,64,64] images) => ({shape} output)
{{
    top = ReduceMax <keepdims = 0> (images)
    nothing = Mul (top, zero)
    output = Add (value, nothing)
}}
"""


@pytest.fixture
def coco(tmp_path):
    """Two pictures; a cat in each, and a dog (or is it a cat?) in the same place."""
    for name in ("val2017", "annotations"):
        (tmp_path / name).mkdir()
    images, labels = [], []
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / "val2017" / f"{number}.png"), np.full((64, 64, 3), 99, np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
        for category in (17, 18):
            box = {"bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
            labels.append({**box, "id": len(labels) + 1, "image_id": number, "category_id": category})
    categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    content = {"images": images, "annotations": labels, "categories": categories}
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return tmp_path


def graph(path, output):
    """A graph that gives the same answer to every picture."""
    value = np.asarray(output, np.float32)
    shape = f"float[{','.join(str(side) for side in value.shape)}]"
    model = onnx.parser.parse_model(PROGRAM.format(shape=shape))
    constants = [numpy_helper.from_array(value, "value"), numpy_helper.from_array(np.float32(0), "zero")]
    model.graph.initializer.extend(constants)
    helper.set_model_props(model, {"names": "{0: 'cat', 1: 'dog'}"})
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.save(model, path)
    return str(path)


def evaluate(capsys, *arguments):
    assert main(["evaluate", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_raw_and_finished_graph(coco, capsys):
    """Raw predictions may be cat and dog at once, AP 1; a finished graph says cat alone, AP 1/2."""
    raw = graph(coco / "raw.onnx", [[[30, 30, 40, 40, 1.0, 0.9, 0.8]]])
    lines = evaluate(capsys, raw, "--coco", str(coco))
    assert lines[0] == "raw.onnx: raw ONNX, 64x64, several classes a box"
    assert lines[1] == "AP 100.0%, AP50 100.0%, AP75 100.0% on 2 pictures (4 boxes found)"
    lines = evaluate(capsys, "--model", raw, "--coco", str(coco), "--one-label", "--limit", "1")
    assert lines[1] == "AP 50.0%, AP50 50.0%, AP75 50.0% on 1 pictures (1 boxes found)"
    rows = [[[10, 10, 50, 50, 0.9, 0], [0, 0, 0, 0, 0, 0]]]
    lines = evaluate(capsys, graph(coco / "done.onnx", rows), "--coco", str(coco))
    assert lines[0].startswith("done.onnx: finished ONNX, 64x64, one class a box")
    assert lines[1].startswith("AP 50.0%, AP50 50.0%")


def test_a_checkpoint_by_its_official_name(coco, capsys, monkeypatch):
    official_form.save(coco / "yolov7-tiny.pt", official_form.make_model("Detect", ("cat", "dog")))
    monkeypatch.setenv("YOLOV7_WEIGHTS", str(coco))
    lines = evaluate(capsys, "--model", "yolov7-tiny", "--coco", str(coco), "--size", "64")
    assert lines[0] == "yolov7-tiny.pt: checkpoint, 64x64, several classes a box"
    assert lines[-2] == "published, on all of val2017, several classes a box: AP 38.7%"
    assert "tiny-SiLU" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "model: expected one, as the first word or after --model"),
        (["a.pt", "--model", "b.pt"], "model: expected one"),
        (["model.engine"], "expected an engine, got none"),
        (["model.onnx"], "expected an ONNX file, got none"),
    ],
)
def test_one_line_says_what_is_wrong(coco, capsys, arguments, match):
    assert main(["evaluate", *arguments, "--coco", str(coco)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert match in lines[0]


def test_labels_are_looked_for_first(tmp_path, capsys):
    assert main(["evaluate", "nowhere.pt", "--coco", str(tmp_path)]) == 1
    assert "Fix: --coco is the folder that holds" in capsys.readouterr().err


def test_one_kind_of_labels(coco, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "a.pt", "--coco", str(coco), "--data", str(coco)])
    assert "not allowed with" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path):
    """Two pictures in YOLO form, classes in another order than the model's, one label broken."""
    picture = np.full((64, 64, 3), 99, np.uint8)
    samples = [Sample.of(picture + shade, [[10, 10, 50, 50]], [shade % 2]) for shade in (0, 1, 2)]
    path = write_dataset(
        {"train": samples[2:], "val": samples[:2]}, tmp_path / "pets", "yolo", names=("dog", "cat")
    )
    with (path / "labels/val/val-0000.txt").open("a") as file:
        file.write("0 0.5 0.5 0.0 0.1\n")
    return path


def test_your_own_folder(folder, capsys):
    """Every picture is said to hold a cat; one of two does: AP of cat is 0.5 (the other scores the same)."""
    model = graph(folder / "done.onnx", [[[10, 10, 50, 50, 0.9, 0], [0, 0, 0, 0, 0, 0]]])
    lines = evaluate(capsys, model, "--data", str(folder), "--details")
    assert lines[0].startswith("1 flaws left out; python -m helpers check-data")
    assert lines[1].startswith("done.onnx: finished ONNX, 64x64")
    assert lines[2] == f"2 pictures of {folder}, val"
    figures = {line.split()[0]: line.split()[1:] for line in lines[3:7]}
    assert figures["dog"] == ["0.0", "0.0"]
    assert figures["cat"] == figures["cat"][:1] * 2
    assert float(figures["cat"][0]) in (50.0, 100.0)
    assert "precision 0.500, recall 0.500" in lines
    assert [line.split() for line in lines if line.startswith(("cat ", "dog "))][-2:] == [
        ["cat", "1", "0", "0"],
        ["dog", "1", "0", "0"],
    ]
    assert lines[-1] == "0 missed, 0 doubled, 1 confused, 0 loose, 0 background"


def test_without_details_there_is_the_table_alone(folder, capsys):
    model = graph(folder / "done.onnx", [[[10, 10, 50, 50, 0.9, 0], [0, 0, 0, 0, 0, 0]]])
    lines = evaluate(capsys, model, "--data", str(folder), "--split", "train")
    assert lines[1].startswith("done.onnx")
    assert lines[2].endswith("pets, train")
    assert lines[-1].startswith("precision")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["cat", "dog"], None),
        (["cat", "dog", "cow"], "1 of the model's 3 classes are not in the data (cow); their boxes"),
        (["a", "cat", "b", "dog", "c", "d"], "4 of the model's 6 classes are not in the data (a, b, c, ...)"),
    ],
)
def test_classes_that_the_data_lack_are_told(folder, capsys, names, told):
    path = folder / "done.onnx"
    graph(path, [[[10, 10, 50, 50, 0.9, names.index("cat")], [10, 10, 50, 50, 0.8, len(names) - 1]]])
    model = onnx.load(path)
    helper.set_model_props(model, {"names": str(dict(enumerate(names)))})
    onnx.save(model, path)
    lines = evaluate(capsys, str(path), "--data", str(folder))
    said = [line for line in lines if "not in the data" in line]
    assert len(said) == (told is not None)
    assert told is None or said[0].startswith(told)
    rates = "precision 0.500, recall 1.000" if told is None else "precision 0.250, recall 0.500"
    assert lines[-1] == rates, "as the line says: boxes of the other classes count"


def test_classes_go_by_name(folder):
    dataset = open_dataset(folder).fixed()
    assert [each.class_ids.tolist() for each in renumbered(dataset, "val", ("cat", "dog", "cow"))] == [
        [1],
        [0],
    ]


def test_a_class_that_the_model_does_not_know(folder, capsys):
    onnx_file = graph(folder / "done.onnx", [[[10, 10, 50, 50, 0.9, 0]]])
    (folder / "data.yaml").write_text((folder / "data.yaml").read_text().replace("dog", "horse"))
    assert main(["evaluate", onnx_file, "--data", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "expected some of the model's, cat, dog; got horse" in said
    assert len(said.splitlines()) == 1


def test_a_checkpoint_on_your_own_folder(folder, tmp_path, capsys):
    path = tmp_path / "pets.pt"
    official_form.save(path, official_form.make_model("Detect", ("cat", "dog")))
    lines = evaluate(capsys, str(path), "--data", str(folder), "--size", "64")
    assert lines[1] == f"2 pictures of {folder}, val"
    assert lines[-1].startswith("precision")
    assert main(["evaluate", str(path), "--data", str(folder), "--size", "65"]) == 1
    assert "65" in capsys.readouterr().err
