"""What the lesson on failures provokes and how it reads it: messages, checkpoints, names, boxes, inputs."""

from __future__ import annotations

import pickle
import sys
import types

import cv2
import numpy as np
import pytest
import torch

from helpers import load_checkpoint
from helpers.course.failures import MISTAKES, drift, gone, input_mistakes, save_official, told
from helpers.images import letterbox, to_tensor
from tests.official_form import make_model, save


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("plain", "plain"),
        ("two\n  lines", "two lines"),
        ("\x1b[96mred\x1b[0m", "red"),
        ("/home/me/a b/model.onnx: gone", "model.onnx: gone"),
        ("in '/tmp/x.py', line 3", "in 'x.py', line 3"),
        (r"C:\Users\me\best.pt is none", "best.pt is none"),
        ("/home/me/best.pt and build/x.onnx", "best.pt and build/x.onnx"),
        ("from /a/b.pt to /c/d.onnx", "from b.pt to d.onnx"),
        ("~/models/best.pt", "best.pt"),
        (r"\\server\share\best.pt", "best.pt"),
        ("'/a/v1.2 final/best.pt'", "'best.pt'"),
        ("inputs/outputs, 1/2 and and/or", "inputs/outputs, 1/2 and and/or"),
        (
            "see https://pytorch.org/docs/serialization.html",
            "see https://pytorch.org/docs/serialization.html",
        ),
        ("build/blood-cells/x.onnx", "build/blood-cells/x.onnx"),
    ],
)
def test_a_message_is_told_without_its_machine(text, said):
    assert told(ValueError(text)) == f"ValueError: {said}"


def test_a_long_message_ends_at_a_word():
    assert told(KeyError("word " * 50), 30) == "KeyError: 'word word word word word ..."


@pytest.mark.parametrize("head", ["Detect", "IDetect"])
def test_a_checkpoint_in_official_form_comes_back_whole(tmp_path, head):
    checkpoint = load_checkpoint(save(tmp_path / "a.pt", make_model(head)))
    save_official(checkpoint, tmp_path / "b.pt")
    again = load_checkpoint(tmp_path / "b.pt")
    assert again.architecture == checkpoint.architecture
    assert again.state_dict.keys() == checkpoint.state_dict.keys()
    assert all(torch.equal(again.state_dict[key], value) for key, value in checkpoint.state_dict.items())


def test_pytorch_refuses_it_by_name_and_no_module_is_left_behind(tmp_path):
    checkpoint = load_checkpoint(save(tmp_path / "a.pt", make_model()))
    save_official(checkpoint, tmp_path / "b.pt")
    assert not {"models", "models.yolo", "models.common"} & sys.modules.keys()
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL models\.yolo\.Model"):
        torch.load(tmp_path / "b.pt")
    with pytest.raises(ModuleNotFoundError, match="models"):
        torch.load(tmp_path / "b.pt", weights_only=False)


def test_the_readers_own_modules_and_file_stay(tmp_path, monkeypatch):
    """Who has the official repository on the path has imported its `models`."""
    checkpoint = load_checkpoint(save(tmp_path / "a.pt", make_model()))
    mine = types.ModuleType("models")
    monkeypatch.setitem(sys.modules, "models", mine)
    save_official(checkpoint, tmp_path / "b.pt")
    assert sys.modules["models"] is mine
    before = (tmp_path / "b.pt").read_bytes()
    monkeypatch.setattr(torch, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_official(checkpoint, tmp_path / "b.pt")
    assert sys.modules["models"] is mine
    assert (tmp_path / "b.pt").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


FLAGS, NETWORK = "trt.BuilderFlag.", "trt.NetworkDefinitionCreationFlag."


@pytest.mark.parametrize(
    ("script", "ten", "eleven"),
    [
        ("", [], []),
        ("x = 1", [], []),
        ("trt.Logger(trt.Logger.WARNING)", [], []),
        ("trt.ILogger.Severity.ERROR", [], []),
        ("trt.BuilderFlag.TF32.name.lower()", [], []),
        (f"config.set_flag({FLAGS}FP16)", [], [f"{FLAGS}FP16"]),
        (f"{FLAGS}INT8; {FLAGS}FP16; {FLAGS}INT8", [], [f"{FLAGS}INT8", f"{FLAGS}FP16"]),
        (f"1 << int({NETWORK}EXPLICIT_BATCH)", [], [f"{NETWORK}EXPLICIT_BATCH"]),
        ("trt.NoSuch.member.of(it)", ["trt.NoSuch"], ["trt.NoSuch"]),
        ("class C(trt.IInt8EntropyCalibrator2): pass", [], ["trt.IInt8EntropyCalibrator2"]),
        ("other.BuilderFlag.FP16; builder.trt.x", [], []),
        ("trt.__version__", [], []),
    ],
)
def test_names_that_are_gone(script, ten, eleven):
    assert sorted(gone(script, "10.16")) == sorted(ten)
    assert sorted(gone(script, "11.4")) == sorted(eleven)


def test_names_of_an_imported_module():
    trt = types.ModuleType("tensorrt")
    trt.BuilderFlag = types.SimpleNamespace(TF32=1)
    script = "trt.BuilderFlag.TF32\ntrt.BuilderFlag.FP16\ntrt.Runtime.x"
    assert gone(script, trt) == ["trt.BuilderFlag.FP16", "trt.Runtime"]


def test_another_release_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"expected one of \['10.16', '11.4'\] or the module, got '9.0'"):
        gone("", "9.0")


BOXES = np.array([[10, 20, 110, 60], [50, 5, 90, 200], [0, 0, 30, 40]], np.float64)


@pytest.mark.parametrize(
    ("scale", "shift"),
    [
        ((1, 1), (0, 0)),
        ((0.64, 0.64), (0, 153)),
        ((1, 0.5), (0, 60)),
        ((2, 3), (-7, 11)),
        ((-1, 1), (100, 0)),
    ],
)
def test_scale_and_shift_are_found(scale, shift):
    found = drift(BOXES * (*scale, *scale) + (*shift, *shift), BOXES)
    assert found.scale_xy == pytest.approx(scale, abs=1e-3)
    assert found.shift_xy == pytest.approx(shift, abs=1e-2)
    assert found.worst_px == 0
    assert "-0.0" not in str(found)


def test_what_neither_explains_is_told():
    swapped = BOXES[:, [1, 0, 3, 2]]
    assert drift(swapped, BOXES).worst_px > 10
    moved = BOXES.copy()
    moved[0, 2] += 9
    assert 2 < drift(moved, BOXES).worst_px < 9


@pytest.mark.parametrize(("a", "b"), [([], []), (BOXES, BOXES[:2]), ([], BOXES)])
def test_boxes_without_partners_are_refused(a, b):
    with pytest.raises(ValueError, match=f"as many of each, and some, got {len(a)} and {len(b)}"):
        drift(a, b)


@pytest.fixture(scope="module")
def picture():
    """A picture with structure, wider than high, and its input of 96x96."""
    random = np.random.default_rng(3)
    image_bgr = cv2.resize(random.integers(0, 256, (12, 24, 3), np.uint8), (144, 72))
    image_bgr[..., 0] //= 3
    return image_bgr, to_tensor(letterbox(image_bgr, (96, 96)).image_bgr)


MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)
MAKE = {
    "0 to 255, not divided": lambda x: x * 255,
    "divided by 255 twice": lambda x: x / 255,
    "-1 to 1 instead of 0 to 1": lambda x: 2 * x - 1,
    "ImageNet's mean and deviation": lambda x: (x - MEAN) / DEVIATION,
    "bytes with a sign": lambda x: np.rint(x * 255).astype(np.uint8).astype(np.int8) / np.float32(255),
    "BGR instead of RGB": lambda x: x[:, ::-1],
    "reshaped instead of transposed": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(
        x.shape
    ),
    "height and width swapped": lambda x: x.transpose(0, 1, 3, 2),
}


def test_every_mistake_has_its_opposite(picture):
    assert MAKE.keys() == MISTAKES.keys()
    _, tensor = picture
    for name, make in MAKE.items():
        assert np.abs(MISTAKES[name](make(tensor)) - tensor).max() < 1e-5, name


@pytest.mark.parametrize("name", MAKE)
def test_one_mistake_is_named(picture, name):
    image_bgr, tensor = picture
    assert input_mistakes(MAKE[name](tensor), image_bgr, (96, 96)) == [name]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("BGR instead of RGB", "0 to 255, not divided"),
        ("BGR instead of RGB", "ImageNet's mean and deviation"),
        ("height and width swapped", "divided by 255 twice"),
    ],
)
def test_two_mistakes_are_named(picture, first, second):
    image_bgr, tensor = picture
    found = input_mistakes(MAKE[second](MAKE[first](tensor)), image_bgr, (96, 96))
    assert found == [second, first]


def test_the_right_input_and_the_hopeless_one(picture):
    image_bgr, tensor = picture
    assert input_mistakes(tensor, image_bgr, (96, 96)) == []
    assert input_mistakes(tensor.astype(np.float64), image_bgr, (96, 96)) == []
    noise = np.random.default_rng(0).random(tensor.shape, np.float32)
    assert input_mistakes(noise, image_bgr, (96, 96)) is None
    assert input_mistakes(tensor * 0, image_bgr, (96, 96)) is None


def test_shape_and_stretch(picture):
    image_bgr, tensor = picture
    assert input_mistakes(tensor.transpose(0, 2, 3, 1), image_bgr, (96, 96)) == ["channels last"]
    assert input_mistakes(tensor[:, :, :64], image_bgr, (96, 96)) == [
        "shape [1, 3, 64, 96] instead of [1, 3, 96, 96]"
    ]
    assert input_mistakes(tensor[0], image_bgr, (96, 96)) == ["shape [3, 96, 96] instead of [1, 3, 96, 96]"]
    stretched = to_tensor(cv2.resize(image_bgr, (96, 96)))
    assert input_mistakes(stretched, image_bgr, (96, 96)) == ["stretched, without a letterbox"]
    assert input_mistakes(stretched * 255, image_bgr, (96, 96)) == [
        "0 to 255, not divided", "stretched, without a letterbox",
    ]  # fmt: skip
