"""Metadata: what is written is what Ultralytics' own reader understands; nonsense is refused."""

from __future__ import annotations

import onnx
import pytest

from helpers.patches import PatchError
from helpers.patches.metadata import COCO_NAMES, read_metadata, write_metadata

NET = """<ir_version: 8, opset_import: ["": 17], metadata_props: ["origin": "kept"]>
net (float[{shape}] images) => (float[{shape}] output) {{ output = Identity(images) }}"""


def net(shape="1, 3, 64, 96"):
    return onnx.parser.parse_model(NET.format(shape=shape))


def test_a_model_without_metadata_reads_as_empty():
    assert read_metadata(onnx.ModelProto()) == {}


def test_every_key_with_its_value_and_type():
    result = write_metadata(net(), names=["it's", 'a "cell"'], stride=32, description="d", license="MIT")
    assert result.changed
    assert read_metadata(result.model) == {
        "origin": "kept",
        "description": "d",
        "license": "MIT",
        "stride": 32,
        "task": "detect",
        "batch": 1,
        "imgsz": [64, 96],
        "names": {0: "it's", 1: 'a "cell"'},
        "channels": 3,
        "args": {"nms": True, "dynamic": False},
    }


def test_every_text_is_written():
    texts = {"description": "d", "author": "a", "version": "1", "license": "MIT"}
    found = read_metadata(write_metadata(net(), names=["a"], stride=32, **texts).model)
    assert {key: found[key] for key in texts} == texts


def test_the_graph_and_the_model_handed_in_stay():
    model = net()
    before = model.SerializeToString(deterministic=True)
    result = write_metadata(model, names=["a"], stride=32)
    assert model.SerializeToString(deterministic=True) == before
    assert result.model.graph == model.graph


def test_twice_changes_nothing_and_new_names_replace_the_old():
    once = write_metadata(net(), names=["a", "b"], stride=32).model
    again = write_metadata(once, names={1: "b", 0: "a"}, stride=32)
    assert not again.changed
    assert again.model == once
    other = write_metadata(once, names=["c"], stride=32)
    assert other.changed
    assert read_metadata(other.model)["names"] == {0: "c"}
    assert len({entry.key for entry in other.model.metadata_props}) == len(other.model.metadata_props)


def test_a_symbolic_batch_is_dynamic_and_nms_can_be_denied():
    found = read_metadata(write_metadata(net("batch, 3, 64, 96"), names=["a"], stride=32, nms=False).model)
    assert found["args"] == {"nms": False, "dynamic": True}
    assert found["batch"] == 1
    assert read_metadata(write_metadata(net("4, 1, 64, 96"), names=["a"], stride=32).model)["batch"] == 4


@pytest.mark.parametrize(
    ("imgsz", "expected"), [(None, [64, 96]), ((64, 96), [64, 96]), ([64, 96], [64, 96])]
)
def test_the_size_is_height_and_width(imgsz, expected):
    assert (
        read_metadata(write_metadata(net(), names=["a"], stride=32, imgsz=imgsz).model)["imgsz"] == expected
    )


def test_the_least_stride_and_size():
    found = read_metadata(write_metadata(net("1, 3, h, w"), names=["a"], stride=1, imgsz=(1, 2)).model)
    assert (found["stride"], found["imgsz"]) == (1, [1, 2])


@pytest.mark.parametrize("imgsz", [0, -32, (0, 32), (32, 0, 32)])
def test_no_size_is_refused(imgsz):
    with pytest.raises(PatchError, match=r"^imgsz: "):
        write_metadata(net("1, 3, h, w"), names=["a"], stride=32, imgsz=imgsz)


def test_one_number_is_a_square_and_a_free_size_takes_any():
    assert (
        read_metadata(write_metadata(net("1, 3, h, w"), names=["a"], stride=64, imgsz=640).model)["imgsz"]
        == [640] * 2
    )


BAD = [
    ({"names": []}, "names: expected a distinct name"),
    ({"names": "cat"}, "names"),
    ({"names": ["a", "a"]}, "names"),
    ({"names": ["a", " "]}, "names"),
    ({"names": ["a", 3]}, "names"),
    ({"names": {1: "a"}}, "names"),
    ({"stride": 0}, "stride: expected a whole number"),
    ({"stride": 32.0}, "stride"),
    ({"stride": True}, "stride"),
    ({"stride": 64}, "imgsz: expected .* multiples of 64"),
    ({"imgsz": 640}, r"imgsz: expected .* the input's \[64, 96\]"),
    ({"imgsz": (96, 64)}, "imgsz"),
    ({"imgsz": (64,)}, "imgsz"),
    ({"imgsz": (64, 96, 3)}, "imgsz"),
    ({"imgsz": "64"}, "imgsz"),
    ({"imgsz": 64.0}, "imgsz"),
    ({"forward": "x"}, "texts: expected text under description"),
    ({"author": 3}, "texts"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_nonsense_is_refused_with_the_fix(options, message):
    with pytest.raises(PatchError, match=message) as refusal:
        write_metadata(net(), **({"names": ["a"], "stride": 32} | options))
    assert "fix: " in str(refusal.value)


def test_a_free_size_has_to_be_said():
    with pytest.raises(PatchError, match="imgsz"):
        write_metadata(net("1, 3, h, w"), names=["a"], stride=32)


@pytest.mark.parametrize("shape", ["1, 85", "1, c, 64, 64"])
def test_what_takes_no_picture_is_refused(shape):
    with pytest.raises(PatchError, match=r"one input \[B, channels, H, W\]"):
        write_metadata(net(shape), names=["a"], stride=32)


def test_two_inputs_are_refused():
    model = net()
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1, 3, 64, 96]))
    with pytest.raises(PatchError, match=r"one input \[B, channels, H, W\]"):
        write_metadata(model, names=["a"], stride=32)


@pytest.mark.parametrize(
    ("key", "text"),
    [("names", "{0: open('x')}"), ("names", "{0:"), ("stride", "many"), ("stride", "32.5")],
)
def test_reading_runs_nothing_and_says_which_key_is_broken(key, text):
    model = net()
    onnx.helper.set_model_props(model, {key: text})
    with pytest.raises(PatchError, match=rf"metadata\['{key}'\]: expected a Python literal"):
        read_metadata(model)


def test_the_coco_names_are_eighty_and_known():
    assert len(COCO_NAMES) == len(set(COCO_NAMES)) == 80
    assert (COCO_NAMES[0], COCO_NAMES[5], COCO_NAMES[79]) == ("person", "bus", "toothbrush")


def test_ultralytics_own_reader_sees_the_same(tmp_path):
    from ultralytics.cfg import DEFAULT_CFG_DICT
    from ultralytics.nn.backends.base import BaseBackend
    from ultralytics.utils import ROOT, YAML

    assert DEFAULT_CFG_DICT
    model = write_metadata(net(), names=COCO_NAMES, stride=32).model
    onnx.save(model, tmp_path / "net.onnx")
    theirs = BaseBackend.read_metadata(tmp_path / "net.onnx")
    assert theirs == {entry.key: entry.value for entry in model.metadata_props}
    assert dict(enumerate(COCO_NAMES)) == YAML.load(ROOT / "cfg/datasets/coco.yaml")["names"]
