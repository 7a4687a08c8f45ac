"""Reading and writing ONNX files for patches; how `convert` uses them is in test_convert.py."""

import onnx
import pytest

from helpers.onnx_file import edit_file, is_raw, read_onnx
from helpers.patches import PatchError, PatchResult

RAW = """<ir_version: 8, opset_import: ["": 17]>
    g (float[1, 9, 7] images) => (float[1, 9, 7] output) { output = Relu(images) }"""


@pytest.fixture
def path(tmp_path):
    onnx.save(onnx.parser.parse_model(RAW), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def renamed(model):
    new = onnx.ModelProto()
    new.CopyFrom(model)
    new.producer_name = "edited"
    return PatchResult(new, changed=True, report=())


def test_a_patch_from_file_to_file(path, tmp_path):
    edit_file(path, tmp_path / "deep" / "b.onnx", renamed)
    assert read_onnx(tmp_path / "deep" / "b.onnx").producer_name == "edited"
    assert read_onnx(path).producer_name == ""


def test_a_refusal_leaves_nothing_behind(path, tmp_path):
    def refuse(model):
        raise PatchError("model", "another", "this", "none")

    with pytest.raises(PatchError, match="expected another"):
        edit_file(path, tmp_path / "b.onnx", refuse)
    with pytest.raises(PatchError, match="where no file is"):
        edit_file(tmp_path / "none.onnx", tmp_path / "b.onnx", renamed)
    path.write_bytes(b"<html>")
    with pytest.raises(PatchError, match="which is none"):
        read_onnx(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("change", "raw"),
    [
        (("", ""), True),
        (("float[1, 9, 7] output", "float[9, 7] output"), False),
        (("=> (float[1, 9, 7] output)", "=> (float[1, 9, 7] output, float[1, 9, 7] images)"), False),
        (("Relu(images)", "Reshape(k, n) k = NonMaxSuppression(images, images)"), False),
    ],
)
def test_raw(change, raw):
    assert is_raw(onnx.parser.parse_model(RAW.replace(*change))) is raw


def test_a_patched_graph_is_not_raw():
    model = onnx.parser.parse_model(RAW)
    model.graph.node[0].name = "ultralytics/pad"
    assert is_raw(model) is False
