"""`import helpers`: cheap, lazy, and clear about what it does not have."""

import subprocess
import sys

import pytest

import helpers

HEAVY = ("torch", "tensorrt", "onnx", "onnxruntime", "cv2", "ultralytics", "matplotlib", "IPython")


def test_import_loads_nothing_heavy():
    code = f"import sys, helpers; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name", ["detections", "images", "drawing", "video", "session", "netron_view", "detector"]
)
def test_modules_of_pictures_load_without_torch(name):
    late = {"torch", "onnx", "onnxruntime", "IPython"}
    code = f"import sys, helpers.{name}; print(sorted(set(sys.modules) & {late!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(set(helpers.__all__) - {"__version__"}))
def test_every_main_name_resolves(name):
    value = getattr(helpers, name)
    assert value.__name__ == name
    assert getattr(helpers, name) is value
    assert name in dir(helpers)


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"no attribute 'Detektor'; main names: .*Detector"):
        helpers.Detektor  # noqa: B018


def test_version():
    assert helpers.__version__.count(".") == 2
