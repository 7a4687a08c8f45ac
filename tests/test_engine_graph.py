"""Graphs for engines, from the bundled model's files: made once, again when stale, and what is in them."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.artifacts import Manifest
from helpers.convert import Recipe, convert
from helpers.engine_graph import engine_graph
from helpers.engine_plan import Plan
from helpers.images import letterbox, to_tensor
from helpers.patches import PatchError
from helpers.recipe import Files
from helpers.training.smears import draw_smear

FORMS = [(half, batched) for half in (True, False) for batched in (False, True)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    weights = Path(__file__).parents[1] / "data" / "blood-cells.safetensors"
    return convert(weights, tmp_path_factory.mktemp("b"), recipe=Recipe((128, 96), half=True, batched=True))


def rows(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


@pytest.mark.parametrize(("half", "batched"), FORMS)
def test_what_is_made(files, half, batched):
    path = engine_graph(files, half=half, batched=batched)
    kind = ("-batched" if batched else "") + ("-fp16" if half else "-fp32")
    assert path == files.folder / f"{files.name}{kind}.onnx"
    model = onnx.load(path)
    assert not {"NonZero", "Compress"} & {node.op_type for node in model.graph.node}, "shapes that change"
    source = files.batched if batched else files.ultralytics
    assert list(Manifest(files.folder).entries()[path.name]["sources"]) == [source.name]
    plan = Plan.of(model, path, path.with_suffix(".engine"))
    assert (plan.half, plan.dynamic) == (half, batched)
    count = 3 if batched else 1
    pictures = [letterbox(draw_smear(seed).image_bgr, (128, 96)).image_bgr for seed in range(count)]
    images = np.concatenate([to_tensor(picture) for picture in pictures])
    expected, found = rows(source, images), rows(path, images)
    assert expected[..., 4].any()
    np.testing.assert_allclose(found[..., 4], expected[..., 4], atol=0.01 if half else 1e-6)
    if not half:
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_current_file_is_not_made_again(files):
    path = engine_graph(files, half=False)
    before = path.stat().st_mtime_ns
    assert engine_graph(files, half=False).stat().st_mtime_ns == before
    assert engine_graph(files).name == files.fp16.name
    path.write_bytes(b"edited")
    assert engine_graph(files, half=False).stat().st_size > 100


def test_the_fp16_file_of_convert_is_the_same(files):
    before = files.fp16.stat().st_mtime_ns
    assert engine_graph(files).stat().st_mtime_ns == before


def test_no_source(tmp_path):
    with pytest.raises(PatchError, match="where no file is"):
        engine_graph(Files(tmp_path, "a"))
