"""Opening a file in ONNX Runtime, and what is refused."""

import onnx
import pytest

from helpers import session as module
from helpers.session import CPU, CUDA, DetectorError, open_session, read_metadata

MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 17], metadata_props: ["names": "{0: \'a\'}", "author": "{nobody"]>'
    "g (float[1,3,4,6] images) => (float[1,3,4,6] y) { y = Relu(images) }"
)


@pytest.fixture
def path(tmp_path):
    onnx.save(MODEL, tmp_path / "größe.onnx")
    return tmp_path / "größe.onnx"


def test_opens_files_and_bytes(path):
    for source in (path, str(path), path.read_bytes()):
        session = open_session(source, providers="cpu", threads=1)
        assert session.get_providers() == [CPU]
        assert read_metadata(session) == {"names": {0: "a"}, "author": "{nobody"}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"<!doctype html>\n<p>Not found", "text that begins '<!doctype html>"),
        ("请先登录".encode(), "text that begins '请先登录'"),
        (b"PK\x03\x04" + bytes(90), "a zip, maybe a PyTorch checkpoint; export it first"),
        (b"\x40\x01\x00\x00" + b'{"names": {}}' + bytes(90), "the manifest beside it does not know it"),
        (b"ftrt" + bytes(90), "the manifest beside it does not know it"),
        (b"\x40\x01\x00\x00\x00\x00\x00\x00" + b'{"a": {}}', "a safetensors checkpoint; export it first"),
        (b"\x00\x01\x02" * 50, "cannot load it as an ONNX graph"),
    ],
)
def test_other_files_are_named(tmp_path, data, found):
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(DetectorError) as caught:
        open_session(tmp_path / "a.onnx")
    assert str(caught.value).startswith(f"{tmp_path / 'a.onnx'}: ")
    assert found in str(caught.value)


def test_cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DetectorError, match=r"größe\.onnx: ONNX Runtime cannot load it"):
        open_session(path)
    with pytest.raises(DetectorError, match="model bytes: ONNX Runtime cannot load it"):
        open_session(b"\x08\x09nonsense")


def test_missing(tmp_path):
    with pytest.raises(DetectorError, match=r"a\.onnx: expected an ONNX file, got none .*; check the path"):
        open_session(tmp_path / "a.onnx")


def test_metadata_that_is_no_literal():
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    model.metadata_props[0].value = "__import__('os').getcwd()"
    with pytest.raises(DetectorError, match='metadata names: expected a Python literal, got "__import__'):
        read_metadata(open_session(model.SerializeToString()))


@pytest.mark.parametrize(
    ("asked", "available", "environment", "wanted"),
    [
        (None, [CPU], {}, [CPU]),
        (None, [CUDA, CPU], {}, [CUDA, CPU]),
        (None, [CUDA, CPU], {"YOLOV7_HEADLESS": "1"}, [CPU]),
        (None, [CUDA, CPU], {"CI": "true"}, [CPU]),
        (None, [CUDA, CPU], {"CI": "", "YOLOV7_HEADLESS": "0"}, [CUDA, CPU]),
        ("cpu", [CUDA, CPU], {}, [CPU]),
        ("cuda", [CUDA, CPU], {"CI": "true"}, [CUDA, CPU]),
        ([CPU], [CUDA, CPU], {}, [CPU]),
    ],
)
def test_which_providers(monkeypatch, asked, available, environment, wanted):
    for name in ("CI", "YOLOV7_HEADLESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert module._wanted_providers(asked, available) == wanted


@pytest.mark.parametrize("asked", ["cuda", "TensorrtExecutionProvider", ["Nothing", CPU]])
def test_provider_that_is_not_there(asked):
    with pytest.raises(
        DetectorError, match=r"is not in this ONNX Runtime, which has .*; use providers='cpu'"
    ):
        module._wanted_providers(asked, [CPU])


def test_a_silent_fall_back_is_an_error(monkeypatch, path):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(module, "_wanted_providers", lambda *_: [CPU])
    open_session(path, providers="cuda")
    real = __import__("onnxruntime").InferenceSession

    class Fallen(real):
        def get_providers(self):
            return [CPU]

    monkeypatch.setattr(module, "_wanted_providers", lambda *_: [CUDA, CPU])
    monkeypatch.setattr(
        "onnxruntime.InferenceSession",
        lambda path, options, providers: Fallen(path, options, providers=[CPU]),
    )
    with pytest.raises(
        DetectorError, match="asked for CUDAExecutionProvider, but ONNX Runtime fell back to CPU"
    ):
        open_session(path, providers="cuda")
    assert open_session(path).get_providers() == [CPU]
