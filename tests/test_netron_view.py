"""Netron where the browser can reach it, a drawing with a reason where it cannot."""

import urllib.request

import onnx
import pytest

from helpers import netron_view
from helpers.netron_view import REMOTE, view, why_not_netron

MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 17]>'
    "g (float[1,3,4,6] images) => (float[1,3,4,6] y)"
    "{ a = Relu(images)\n b = Sigmoid(a)\n c = Neg(b)\n y = Exp(c) }"
)


@pytest.fixture
def path(tmp_path):
    onnx.save(MODEL, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


@pytest.fixture
def displayed(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda value, raw=False: shown.append(value))
    return shown


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, ""),
        ({"CI": "", "YOLOV7_HEADLESS": "0"}, ""),
        ({"CI": "true"}, "run without a screen"),
        ({"YOLOV7_HEADLESS": "1", "JUPYTERHUB_USER": "me"}, "run without a screen"),
        *(({name: "x"}, reason) for name, reason in REMOTE.items()),
    ],
)
def test_reason(environment, reason):
    assert why_not_netron(environment) == reason


def test_colab_and_no_netron(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "google.colab", object())
    assert "Colab" in why_not_netron({})
    monkeypatch.delitem(__import__("sys").modules, "google.colab")
    monkeypatch.setattr(netron_view, "find_spec", lambda _: None)
    assert why_not_netron({}) == "Netron is not installed; pip install netron"


def test_headless_is_a_drawing_and_always_the_same(monkeypatch, displayed, path):
    monkeypatch.setenv("YOLOV7_HEADLESS", "1")
    view(path)
    view(str(path))
    assert displayed[0] == displayed[1]
    assert displayed[0]["text/plain"] == "<graph of a.onnx; no Netron: run without a screen>"
    assert "<svg" in displayed[0]["image/svg+xml"]
    view(path, focus="b", hops=0)
    assert "Sigmoid" in displayed[2]["image/svg+xml"]
    assert "Exp" not in displayed[2]["image/svg+xml"]


def test_frame_on_the_real_server(monkeypatch, capsys, displayed, path):
    netron = pytest.importorskip("netron")
    monkeypatch.setattr(netron_view, "why_not_netron", lambda: "")
    view(path, height=300)
    (frame,) = displayed
    assert (frame.src.split(":")[0], frame.width, frame.height) == ("http", "100%", 300)
    try:
        with urllib.request.urlopen(frame.src) as page:
            assert b"netron" in page.read().lower()
    finally:
        netron.stop()
    assert capsys.readouterr().out == ""


def test_no_file(tmp_path, displayed):
    with pytest.raises(FileNotFoundError, match=r"expected an ONNX file, got .*a\.onnx"):
        view(tmp_path / "a.onnx")
