"""Picking the model: the setting, the memory of the dropdown, the bundled model under a check."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.course import picker
from helpers.course.picker import CourseModel, pick_model
from helpers.wording import set_translator


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """A reader in JupyterLab with a repository of its own; returns what was displayed."""
    for name in ("YOLOV7_CHECKED", "YOLOV7_HEADLESS", "CI", "PYTEST_VERSION", "YOLOV7_MODEL", "YOLOV7_BUILD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(picker, "repository", lambda: tmp_path)
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_under_a_check_it_is_the_bundled_model_whatever_is_set(monkeypatch, capsys):
    monkeypatch.setenv("YOLOV7_MODEL", "yolov7-tiny")
    assert pick_model().name == "blood-cells"
    assert capsys.readouterr().out == "model: blood-cells, files in build/blood-cells/\n"


def test_headless_the_setting_decides(reader, monkeypatch, capsys):
    monkeypatch.setenv("YOLOV7_HEADLESS", "1")
    assert pick_model().name == "blood-cells"
    monkeypatch.setenv("YOLOV7_MODEL", "yolov7-tiny")
    assert pick_model().name == "yolov7-tiny"
    monkeypatch.setenv("YOLOV7_MODEL", "runs/exp/best.pt")
    model = pick_model()
    assert (model.name, model.source) == ("best", "runs/exp/best.pt")
    assert reader == []


def test_the_dropdown_changes_the_model_in_place_and_is_remembered(reader, tmp_path):
    model = pick_model()
    box, note = reader[0].children
    assert (model.name, box.value) == ("blood-cells", "blood-cells")
    box.value = "yolov7x"
    assert model.name == "yolov7x"
    assert model.files.raw == tmp_path / "build" / "yolov7x" / "yolov7x.onnx"
    assert "yolov7x" in note.value
    assert pick_model().name == "yolov7x", "the next lesson goes on with it"


def test_the_dropdown_lists_a_file_of_the_reader(reader, monkeypatch):
    monkeypatch.setenv("YOLOV7_MODEL", "mine.pt")
    model = pick_model()
    assert model.name == "mine"
    assert "mine.pt" in reader[0].children[0].options


def test_files_and_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("YOLOV7_BUILD", str(tmp_path))
    model = CourseModel("blood-cells")
    assert model.pictures_folder == tmp_path / "blood-cells" / "pictures"
    assert model.pictures_folder.is_dir()
    assert [path.name for path in (model.files.raw, model.files.end2end, model.files.ultralytics)] == [
        "blood-cells.onnx", "blood-cells-end2end.onnx", "blood-cells-ultralytics.onnx",
    ]  # fmt: skip
    assert model.size_wh == (640, 640)
    assert repr(model) == "CourseModel('blood-cells')"


def test_the_bundled_model_says_its_names():
    model = CourseModel("blood-cells")
    assert model.checkpoint == Path(model.checkpoint)
    assert model.names == ("RBC", "WBC", "Platelets")
    assert model.load() is model.load(), "read once"
    assert [picture.name for picture in model.pictures(1)] == ["smear-9000"]


def test_the_dropdown_speaks_the_lessons_language(reader, monkeypatch):
    monkeypatch.setenv("YOLOV7_LANGUAGE", "zh-CN")
    try:
        pick_model()
    finally:
        set_translator(None)
    box, note = reader[0].children
    assert box.description == "模型"
    assert "随课程提供" in note.value
    assert "blood-cells" in note.value
