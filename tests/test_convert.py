"""Checkpoint to every file: made once, made again when something changed, kept when a later step fails."""

from __future__ import annotations

import numpy as np
import official_form
import onnx
import onnxruntime
import pytest

from helpers import convert as module
from helpers.artifacts import Manifest
from helpers.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from helpers.convert import Files, Recipe, convert, patch_file
from helpers.patches import PatchError

SMALL = Recipe((32, 48), score_threshold=0.05)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A checkpoint, converted once."""
    folder = tmp_path_factory.mktemp("convert")
    checkpoint = official_form.save(folder / "best.pt", official_form.make_model())
    return checkpoint, convert(checkpoint, folder / "build", recipe=SMALL)


@pytest.fixture
def copied(built, tmp_path):
    """The same, to be changed."""
    import shutil

    shutil.copytree(built[0].parent, tmp_path / "copy")
    folder = tmp_path / "copy"
    return folder / "best.pt", Files.of("best.pt", folder / "build")


def shapes(path):
    model = onnx.load(path)
    return [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    ]


def run(path, images):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"images": images}
    )[0]


def test_three_files(built):
    _, files = built
    assert [p.name for p in (files.raw, files.end2end, files.ultralytics)] == [
        "best.onnx",
        "best-end2end.onnx",
        "best-ultralytics.onnx",
    ]
    assert shapes(files.raw) == [[1, 3, 48, 32], [1, 60, 8]]
    assert shapes(files.end2end)[1][1] == 7
    assert shapes(files.ultralytics) == [[1, 3, 48, 32], [1, 100, 6]]
    assert sorted(p.name for p in files.folder.iterdir()) == [
        "best-end2end.onnx",
        "best-ultralytics.onnx",
        "best.onnx",
        "manifest.json",
    ]


def test_the_files_agree_with_each_other(built):
    _, files = built
    images = np.random.default_rng(3).random((1, 3, 48, 32), dtype=np.float32)
    rows, slots = run(files.end2end, images), run(files.ultralytics, images)
    assert 0 < len(rows) < 100
    assert np.array_equal(np.sort(slots[0, : len(rows), 4]), np.sort(rows[:, 6]))
    assert not slots[0, len(rows) :].any()


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_metadata_names_the_classes_and_the_filter(built):
    found = metadata(built[1].ultralytics)
    assert found["names"] == "{0: 'a', 1: 'b', 2: 'c'}"
    assert found["stride"] == "16"
    assert found["filter"].startswith("mask: objectness above 0.05")


def test_manifest_of_all(built):
    files = built[1]
    manifest = Manifest(files.folder)
    assert {manifest.state(path) for path in (files.raw, files.end2end, files.ultralytics)} == {"current"}
    assert list(manifest.entries()["best.onnx"]["sources"]) == ["../../best.pt"]
    assert "size_wh=(32, 48)" in manifest.entries()["best.onnx"]["call"]


def steps(checkpoint, files, recipe=SMALL, **options):
    lines = []
    convert(checkpoint, files.folder.parent, recipe=recipe, progress=lines.append, **options)
    return [line.split(": ", 1)[1].split("(")[0] for line in lines]


MADE = ["export_onnx", "add_nms", "to_ultralytics"]


def test_current_files_are_not_made_again(copied):
    assert steps(*copied) == ["current"] * 3


def test_a_moved_or_renamed_checkpoint_is_still_the_same(copied):
    checkpoint, files = copied
    (checkpoint.parent / "runs").mkdir()
    assert steps(checkpoint.rename(checkpoint.parent / "runs" / "best.pt"), files) == ["current"] * 3


def test_changed_thresholds_make_what_depends_on_them(copied):
    assert steps(*copied, recipe=Recipe((32, 48), score_threshold=0.2)) == ["current", *MADE[1:]]
    assert steps(*copied, recipe=Recipe((32, 48), score_threshold=0.2, max_detections=7)) == [
        "current",
        *MADE[1:],
    ]
    assert shapes(copied[1].ultralytics)[1] == [1, 7, 6]


@pytest.fixture
def quick_export(built, monkeypatch):
    """The raw graph of before, and another one for another checkpoint: what torch would take seconds for."""

    def export(checkpoint, path, recipe):
        model = onnx.load(built[1].raw)
        if load_checkpoint(checkpoint).state_dict["model.1.conv.weight"].sum() != expected:
            model.producer_version = "another"
        onnx.save(model, path)

    expected = load_checkpoint(built[0]).state_dict["model.1.conv.weight"].sum()
    monkeypatch.setattr(module, "export_checkpoint", export)


@pytest.mark.usefixtures("quick_export")
def test_force(copied):
    assert steps(*copied, force=True) == MADE


@pytest.mark.usefixtures("quick_export")
def test_another_checkpoint_of_the_same_name(copied):
    """Content counts: the file of another run, also called best.pt, is not taken for this one."""
    checkpoint, files = copied
    other = checkpoint.parent / "other"
    other.mkdir()
    before = files.raw.read_bytes()
    assert steps(official_form.save(other / "best.pt", official_form.make_model(seed=9)), files) == MADE
    assert files.raw.read_bytes() != before


def test_a_deleted_or_edited_file_is_made_again(copied):
    files = copied[1]
    files.ultralytics.unlink()
    assert steps(*copied) == ["current", "current", "to_ultralytics"]
    files.end2end.write_bytes(b"edited")
    assert steps(*copied) == ["current", "add_nms", "current"]  # made the same again, so what follows stays


def test_a_failing_step_keeps_the_files_before_it(copied, monkeypatch):
    checkpoint, files = copied
    before = files.ultralytics.read_bytes()

    def fail(*_, **__):
        raise PatchError("model", "patience", "none", "try again")

    monkeypatch.setattr(module, "patch_file", fail)
    recipe = Recipe((32, 48), score_threshold=0.3)
    with pytest.raises(PatchError, match="patience"):
        convert(checkpoint, files.folder.parent, recipe=recipe)
    manifest = Manifest(files.folder)
    assert manifest.state(files.raw) == manifest.state(files.end2end) == "current"
    assert manifest.state(files.ultralytics).startswith("stale")
    assert files.ultralytics.read_bytes() == before
    monkeypatch.undo()
    assert steps(checkpoint, files, recipe) == ["current", "current", "to_ultralytics"]


def test_open_batch(copied):
    recipe = Recipe((32, 48), score_threshold=0.05, dynamic_batch=True)
    assert steps(*copied, recipe=recipe) == MADE
    assert shapes(copied[1].raw)[0] == ["batch", 3, 48, 32]
    assert shapes(copied[1].ultralytics) == [[1, 3, 48, 32], [1, 100, 6]]


def test_half_precision_is_one_more_file_and_stale_with_its_source(copied):
    files = copied[1]
    recipe = Recipe((32, 48), score_threshold=0.05, half=True)
    assert not files.fp16.exists()
    assert steps(*copied, recipe=recipe) == ["current"] * 3 + ["filter_candidates"]
    assert shapes(files.fp16) == shapes(files.ultralytics)
    half, full = (metadata(path) for path in (files.fp16, files.ultralytics))
    assert half.pop("filter").startswith("topk")
    assert full.pop("filter").startswith("mask")
    assert half == full
    assert not {node.op_type for node in onnx.load(files.fp16).graph.node} & {"NonZero"}
    manifest = Manifest(files.folder)
    assert list(manifest.entries()[files.fp16.name]["sources"]) == [files.ultralytics.name]
    assert steps(*copied, recipe=recipe) == ["current"] * 4
    assert steps(*copied, recipe=Recipe((32, 48), score_threshold=0.2)) == ["current", *MADE[1:]]
    assert manifest.state(files.fp16) == f"stale: {files.ultralytics.name} has changed since"
    images = np.random.default_rng(3).random((1, 3, 48, 32), dtype=np.float32)
    assert steps(*copied, recipe=recipe) == ["current", *MADE[1:], "current"]
    best = [run(path, images)[0, 0, 4] for path in (files.fp16, files.ultralytics)]
    assert best[0] == pytest.approx(best[1], abs=0.01)
    assert files.fp16.stat().st_size < files.ultralytics.stat().st_size


def test_int8_is_one_more_file_and_stale_with_its_pictures(copied):
    from helpers.images import save_image

    checkpoint, files = copied
    pictures = checkpoint.parent / "mine"
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (48, 32, 3), np.uint8)
        save_image(pictures / f"{seed}.png", noise)
    lines = []
    recipe = Recipe((32, 48), score_threshold=0.05, int8=True, pictures=pictures)
    convert(checkpoint, files.folder.parent, recipe=recipe, progress=lines.append)
    assert lines[-1].startswith(f"best-int8.onnx: quantize({pictures}, ")
    assert files.made_by(recipe)[-1] == files.int8
    assert shapes(files.int8) == shapes(files.ultralytics)
    kinds = [node.op_type for node in onnx.load(files.int8).graph.node]
    assert "QuantizeLinear" in kinds
    assert onnx.load(files.int8).metadata_props == onnx.load(files.ultralytics).metadata_props
    convert(checkpoint, files.folder.parent, recipe=recipe, progress=lines.append)
    assert lines[-1] == "best-int8.onnx: current"
    save_image(pictures / "1.png", np.full((48, 32, 3), 9, np.uint8))
    convert(checkpoint, files.folder.parent, recipe=recipe, progress=lines.append)
    assert lines[-1].startswith("best-int8.onnx: quantize("), "other pictures under the same names"
    assert lines[-1] not in lines[:-1]
    own = Recipe((32, 48), score_threshold=0.05, int8=True)
    with pytest.raises(ValueError, match="--pictures"):  # classes a, b, c: we have no pictures of those
        convert(checkpoint, files.folder.parent, recipe=own)


@pytest.mark.parametrize(("int8", "got"), [(True, "no folder there"), (False, "without int8")])
def test_pictures_that_cannot_be_used_are_refused_before_any_work(copied, tmp_path, int8, got):
    checkpoint, _ = copied
    recipe = Recipe((32, 48), int8=int8, pictures=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=f"pictures: expected a folder.*{got}"):
        convert(checkpoint, tmp_path / "fresh", recipe=recipe)
    assert not (tmp_path / "fresh").exists()


def test_any_batch_is_one_more_file(copied):
    checkpoint, files = copied
    recipe = Recipe((32, 48), score_threshold=0.05, batched=True)
    assert steps(*copied, recipe=recipe) == ["current"] * 3 + ["filter_candidates"]
    assert shapes(files.batched) == [["batch", 3, 48, 32], ["batch", 100, 6]]
    assert metadata(files.batched)["args"] == "{'nms': True, 'dynamic': True}"
    images = np.random.default_rng(3).random((3, 3, 48, 32), dtype=np.float32)
    images[1] = 0
    alone = [run(files.ultralytics, images[index : index + 1])[0] for index in range(3)]
    np.testing.assert_allclose(run(files.batched, images), alone, atol=1e-4)
    assert len({int((table[:, 4] > 0).sum()) for table in alone}) > 1
    assert steps(checkpoint, files, recipe) == ["current"] * 4


def test_a_decode_that_is_not_understood_stays(built, tmp_path):
    """The graph is right without the filter; only the form for any batch needs it."""
    model = onnx.load(built[1].end2end)
    target = next(node for node in model.graph.node if node.op_type == "Sigmoid" and "decode" in node.name)
    target.op_type = "Tanh"
    onnx.save(model, tmp_path / "odd.onnx")
    report = patch_file(tmp_path / "odd.onnx", tmp_path / "done.onnx")
    assert any(
        "not filtered before the decode: model: expected the decode of YOLOv7" in line for line in report
    )
    assert shapes(tmp_path / "done.onnx")[1] == [1, 100, 6]
    with pytest.raises(PatchError, match="a graph for any batch up to the NMS"):
        patch_file(tmp_path / "odd.onnx", tmp_path / "many.onnx", batched=True)


def test_safetensors_give_the_same_graph(copied, tmp_path):
    checkpoint, files = copied
    path = tmp_path / "best.safetensors"
    save_checkpoint(load_checkpoint(checkpoint), path, dtype=None)
    again = convert(path, tmp_path / "again", recipe=SMALL)
    assert again.ultralytics.read_bytes() == files.ultralytics.read_bytes()


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="none there"):
        convert(tmp_path / "best.pt", tmp_path / "build")
    (tmp_path / "best.pt").write_text("<html>")
    with pytest.raises(CheckpointError, match="an HTML page"):
        convert(tmp_path / "best.pt", tmp_path / "build")
    official_form.save(tmp_path / "best.pt", official_form.make_model())
    with pytest.raises(ValueError, match="nearest valid size: 96x96"):
        convert(tmp_path / "best.pt", tmp_path / "build", recipe=Recipe((100, 100)))
    assert not list(tmp_path.glob("build/*/*.onnx"))


def test_files_of():
    files = Files.of("runs/v2.best.safetensors", "out")
    assert files.raw.as_posix() == "out/v2.best/v2.best.onnx"


# --- patch_file on its own


def test_a_raw_file_is_patched_in_one_go(built, tmp_path):
    _, files = built
    report = patch_file(files.raw, tmp_path / "out" / "a.onnx", SMALL)
    assert report[0].endswith("detections [detection_count, 7]")
    assert (tmp_path / "out" / "a.onnx").read_bytes() == files.ultralytics.read_bytes()


def test_a_patched_file_stays_as_it_is(built, tmp_path):
    _, files = built
    patch_file(files.ultralytics, tmp_path / "a.onnx", SMALL)
    assert (tmp_path / "a.onnx").read_bytes() == files.ultralytics.read_bytes()


def test_names_are_needed_from_somewhere(built, tmp_path):
    model = onnx.load(built[1].raw)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(
        PatchError, match="names: expected class names, in the file's metadata or given; got neither"
    ):
        patch_file(tmp_path / "bare.onnx", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
    patch_file(tmp_path / "bare.onnx", tmp_path / "a.onnx", names=["x", "y", "z"], stride=16)
    metadata = {p.key: p.value for p in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert (metadata["names"], metadata["stride"]) == ("{0: 'x', 1: 'y', 2: 'z'}", "16")


def test_what_would_lose_or_mislabel(built, tmp_path):
    _, files = built
    with pytest.raises(PatchError, match="target: expected another file than the source"):
        patch_file(files.raw, files.folder / ".." / files.folder.name / files.raw.name, SMALL)
    with pytest.raises(
        PatchError, match="names: expected 3, one for each class; got 2; fix: name every class"
    ):
        patch_file(files.raw, tmp_path / "a.onnx", SMALL, names=["x", "y"])
    with pytest.raises(PatchError, match=r"source: expected an ONNX file; got .*where no file is"):
        patch_file(tmp_path / "nowhere.onnx", tmp_path / "a.onnx", SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04", bytes(100)])
def test_files_that_are_no_onnx(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(PatchError):
        patch_file(tmp_path / "a.onnx", tmp_path / "b.onnx", names=["x"])
    assert not (tmp_path / "b.onnx").exists()
