"""The command `patch` in its six forms."""

import numpy as np
import official_form
import onnx
import pytest

from helpers.__main__ import main
from helpers.convert import Recipe, export_checkpoint
from helpers.images import save_image
from helpers.patch_cli import FORMS
from helpers.patches import shape_of
from helpers.patches.metadata import read_metadata
from helpers.patches.nms import add_nms

PORTS = {
    "ultralytics": (["images"], ["output0"]),
    "batched": (["images"], ["output0"]),
    "picture": (["picture"], ["picture_boxes"]),
    "letterbox": (["picture"], ["output0"]),
    "boxes": (["images", "picture_wh"], ["picture_boxes"]),
    "bytes": (["pictures"], ["output0"]),
}


@pytest.fixture
def raw(tmp_path):
    """`[1, 18, 7]`, two classes: as a network leaves it."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> net (float[n,3,32,64] images) => (float[n,18,7] output) {
        least = ReduceMin<axes=[2, 3], keepdims=0>(images) one = Gather<axis=1>(least, first)
        wide = Reshape(one, open) none = Mul(wide, zero) output = Add(rows, none) }"""
    )
    rows = np.random.default_rng(3).uniform(0, 1, (1, 18, 7)).astype(np.float32)
    rows[..., :4] *= 30
    for name, value in (
        ("rows", rows),
        ("zero", np.float32(0)),
        ("first", np.array([0])),
        ("open", np.array([-1, 1, 1])),
    ):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    onnx.save(model, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


@pytest.mark.parametrize("form", PORTS)
def test_every_form_from_a_raw_file(raw, capsys, form):
    assert main(["patch", str(raw), "--form", form, "--names", "x,y"]) == 0
    model = onnx.load(raw.with_name(f"a-{form}.onnx"))
    names = tuple([value.name for value in values] for values in (model.graph.input, model.graph.output))
    assert names == PORTS[form]
    assert shape_of(model.graph.output[0])[1:] == (100, 6)
    assert f"a-{form}.onnx" in capsys.readouterr().out


def test_from_a_finished_file(raw, capsys):
    for form in ("ultralytics", "batched"):
        assert main(["patch", str(raw), "--form", form, "--names", "x,y"]) == 0
    assert main(["patch", str(raw.with_name("a-batched.onnx")), "--form", "boxes"]) == 0
    assert [shape_of(value) for value in onnx.load(raw.with_name("a-boxes.onnx")).graph.output] == [
        ("n", 100, 6)
    ]
    plain = raw.with_name("plain.onnx")
    finished = str(raw.with_name("a-ultralytics.onnx"))
    assert main(["patch", finished, "--form", "picture", "--plain-resize", "--out", str(plain)]) == 0
    assert "Resize" in {node.op_type for node in onnx.load(plain).graph.node}
    assert main(["patch", finished, "--form", "picture"]) == 0
    assert "Resize" not in {node.op_type for node in onnx.load(raw.with_name("a-picture.onnx")).graph.node}
    capsys.readouterr()


def test_refusals(raw, capsys):
    assert main(["patch", str(raw), "--form", "picture"]) == 1
    assert "names: expected class names" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["patch", str(raw), "--form", "other"])
    assert "invalid choice" in capsys.readouterr().err
    assert [path.name for path in raw.parent.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        ("raw", ["--pictures", "p"], "--pictures: expected with --form int8 or int8-tensorrt, got it with"),
        ("raw", ["--form", "bytes", "--plain-resize"], "expected with --form picture or letterbox"),
        ("raw", ["--form", "int8", "--plain-resize"], "got it with --form int8; leave it out"),
        ("rows", ["--conf", "0.2"], "--conf: expected with a raw file, whose NMS is made here, got it with"),
        ("rows", ["--max-wh", "640"], "--max-wh: expected with a raw file"),
        ("done", ["--form", "boxes", "--iou", "0.5"], "--iou: expected with a raw file"),
        ("done", ["--form", "bytes", "--topk", "50"], "--topk: expected with --form ultralytics or batched"),
        ("done", ["--conf", "0.5"], "got it with a-ultralytics.onnx, which has its NMS; leave it out"),
        ("done", ["--form", "bytes", "--names", "x,y"], "--names: expected with --form ultralytics or bat"),
        ("done", ["--form", "bytes", "--stride", "64"], "--stride: expected with --form ultralytics or b"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(raw, capsys, file, options, said):
    path = raw
    if file == "done":
        assert main(["patch", str(raw), "--names", "x,y"]) == 0
        path = raw.with_name("a-ultralytics.onnx")
    elif file == "rows":
        path = raw.with_name("a-rows.onnx")
        onnx.save(add_nms(onnx.load(raw)).model, path)
    capsys.readouterr()
    before = sorted(raw.parent.iterdir())
    assert main(["patch", str(path), *options]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert sorted(raw.parent.iterdir()) == before


def test_options_that_do_something_are_taken(raw, capsys):
    every = ["--iou", "0.5", "--conf", "0.2", "--topk", "50", "--max-wh", "640", "--stride", "32"]
    every += ["--names", "x,y", "--plain-resize"]
    assert main(["patch", str(raw), "--form", "letterbox", *every]) == 0
    rows = raw.with_name("a-rows.onnx")
    onnx.save(add_nms(onnx.load(raw)).model, rows)
    assert main(["patch", str(rows), "--names", "x,y", "--topk", "50", "--stride", "32"]) == 0
    done = raw.with_name("a-rows-ultralytics.onnx")
    assert shape_of(onnx.load(done).graph.output[0]) == (1, 50, 6)
    assert main(["patch", str(rows), "--form", "bytes", "--names", "x,y", "--topk", "50"]) == 0
    new = raw.with_name("new.onnx")
    assert main(["patch", str(done), "--names", "v,w", "--topk", "50", "--out", str(new)]) == 0
    assert read_metadata(onnx.load(new))["names"] == {0: "v", 1: "w"}
    capsys.readouterr()


def test_every_form_is_tested():
    assert set(FORMS) == {*PORTS, "int8", "int8-tensorrt"}


@pytest.fixture
def pictures(tmp_path):
    """A folder of three pictures."""
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (48, 32, 3), np.uint8)
        save_image(tmp_path / "mine" / f"{seed}.png", noise)
    return tmp_path / "mine"


@pytest.mark.parametrize(("form", "kind"), [("int8", "uint8"), ("int8-tensorrt", "int8")])
def test_int8_is_calibrated_on_a_folder(tmp_path, capsys, pictures, form, kind):
    checkpoint = official_form.save(tmp_path / "best.pt", official_form.make_model())
    raw = tmp_path / "best.onnx"
    export_checkpoint(checkpoint, raw, Recipe((32, 48)))
    assert main(["patch", str(raw), "--form", form, "--names", "a,b,c", "--pictures", str(pictures)]) == 0
    out = capsys.readouterr().out
    assert "calibrated on 3 pictures of mine" in out
    assert f"INT8 for {form.partition('-')[2] or 'onnxruntime'}: " in out
    model = onnx.load(tmp_path / f"best-{form}.onnx")
    assert shape_of(model.graph.output[0]) == (1, 100, 6)
    zeros = {n.input[2] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    stored = [onnx.numpy_helper.to_array(t).dtype for t in model.graph.initializer if t.name in zeros]
    assert {str(each) for each in stored} == {kind}


def test_int8_of_a_model_of_ones_own_asks_for_pictures(tmp_path, capsys):
    checkpoint = official_form.save(tmp_path / "best.pt", official_form.make_model())
    export_checkpoint(checkpoint, tmp_path / "best.onnx", Recipe((32, 48)))
    assert main(["patch", str(tmp_path / "best.onnx"), "--form", "int8", "--names", "a,b,c"]) == 1
    assert "--pictures" in capsys.readouterr().err
    assert not (tmp_path / "best-int8.onnx").exists()
