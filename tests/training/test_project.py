"""From a folder of labelled pictures to weights that walk through the pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from helpers.checkpoint import load_checkpoint
from helpers.convert import Recipe, convert
from helpers.detector import Detector
from helpers.training.datasets import Dataset, open_dataset, write_dataset
from helpers.training.project import Plan, choose_window, train_folder
from helpers.training.smears import draw_smear

pytest.importorskip("faster_coco_eval")

PLAN = Plan(
    Path("unset"), width=0.125, steps=4, batch=2, size=96, device="cpu", workers=0, evaluate_every=2,
    save_every=2, progress=False, any_way_up=True,
)  # fmt: skip


def make(folder: Path, names: tuple[str, ...] = ("RBC", "WBC", "Platelets")) -> Dataset:
    drawn = [draw_smear(seed, (128, 96), cells=3) for seed in range(5)]
    if len(names) == 1:
        drawn = [replace(sample, class_ids=np.zeros_like(sample.class_ids)) for sample in drawn]
    return open_dataset(write_dataset({"train": drawn[:3], "val": drawn[3:]}, folder, "yolo", names=names))


def test_windows_follow_the_objects() -> None:
    assert choose_window(np.zeros((0, 2)), 640) == 640
    sizes = np.array([[30.0, 90.0]] * 97 + [[600.0, 20.0]] * 3)
    assert (choose_window(sizes, 640), choose_window(sizes, 1280)) == (416, 832)
    assert choose_window(np.array([[208.0, 1.0]]), 640) == 640


@pytest.mark.parametrize(
    ("changes", "steps"),
    [({}, 4), ({"steps": None}, 150), ({"steps": None, "epochs": 0.1, "accumulate": 5}, 1)],
)
def test_steps(changes: dict[str, object], steps: int) -> None:
    assert replace(PLAN, **changes).count_steps(3) == steps  # type: ignore[arg-type]


def test_a_run_that_stops_and_goes_on(tmp_path: Path) -> None:
    dataset, plan = make(tmp_path / "data"), replace(PLAN, out=tmp_path / "run")
    said: list[object] = []
    part = train_folder(dataset, plan, say=said.append, stop_at=2)
    assert (part.training.interrupted, part.report, part.line) == (True, None, "interrupted")
    assert said[0] == "from nothing: yolov7-tiny, 3 classes"
    assert said[-1] == "4 steps of 2 pictures, windows of 64 pixels"
    whole = train_folder(dataset, plan)
    assert whole.report is not None
    assert whole.report.pictures == 2
    assert whole.weights in (whole.training.weights, whole.training.best)
    assert [line["step"] for line in _evaluations(whole.training.history)] == [2, 4]


def _evaluations(history: Path) -> list[dict[str, float]]:
    import json

    lines = [json.loads(line) for line in history.read_text().splitlines()]
    return [line for line in lines if "AP50" in line]


@pytest.mark.parametrize(("anchors", "refitted"), [("keep", False), ("fit", True), ("check", False)])
def test_anchors_as_asked(tmp_path: Path, anchors: str, refitted: bool) -> None:
    said: list[object] = []
    plan = replace(PLAN, out=tmp_path / "run", anchors=anchors, steps=1, evaluate_every=9)
    trained = train_folder(make(tmp_path / "data"), plan, say=said.append)
    assert any(str(line).startswith("refitted anchors") for line in said) == refitted
    saved = load_checkpoint(trained.weights).architecture.anchors_px
    assert (saved[0][0] != (10.0, 13.0)) == refitted


def test_anchors_that_do_not_fit_are_refitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.training.anchors.ENOUGH", 1.1)
    said: list[object] = []
    train_folder(make(tmp_path / "data"), replace(PLAN, out=tmp_path / "run", steps=1), say=said.append)
    assert str(said[2]).startswith("refitted anchors")


@pytest.mark.parametrize("names", [("cell",), ("RBC", "WBC", "Platelets")])
def test_the_result_walks_through_the_pipeline(tmp_path: Path, names: tuple[str, ...]) -> None:
    """One class has no class score: the score of the finished graph is objectness alone."""
    dataset = make(tmp_path / "data", names)
    plan = replace(PLAN, out=tmp_path / "run", anchors="fit", evaluate_every=None)
    trained = train_folder(dataset, plan)
    assert [line["step"] for line in _evaluations(trained.training.history)] == [1, 2, 3, 4]
    files = convert(trained.weights, tmp_path, recipe=Recipe((96, 96), 0.65, 0.0, 10))
    raw = onnx.load(files.raw)
    assert raw.graph.output[0].type.tensor_type.shape.dim[2].dim_value == 5 + len(names)
    detector = Detector(files.ultralytics)
    assert tuple(detector.names) == names
    found = detector.detect(dataset.samples("val")[0].image_bgr)
    assert len(found) == 10
    assert set(found.class_ids.tolist()) <= set(range(len(names)))


def test_the_missing_evaluator_is_said_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="faster_coco_eval"):
        train_folder(make(tmp_path / "data"), replace(PLAN, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_size_that_the_network_cannot_take(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100"):
        train_folder(make(tmp_path / "data"), replace(PLAN, out=tmp_path / "run", size=100))
