"""Pictures for the lessons."""

from __future__ import annotations

import numpy as np

from helpers.course import pictures


def test_none_and_some_drawn_pictures():
    assert pictures.drawn(0) == []
    (first,) = pictures.drawn(1, size_wh=(96, 64))
    (again,) = pictures.drawn(1, size_wh=(96, 64))
    assert first.size_wh == (96, 64)
    assert np.array_equal(first.image_bgr, again.image_bgr)
    assert first.truth is not None


def test_under_a_check_there_are_no_photographs(bccd, monkeypatch, capsys):
    monkeypatch.setenv("YOLOV7_BCCD", str(bccd))
    assert pictures.photograph_folder() is None
    assert pictures.photographs() == []
    assert capsys.readouterr().out.startswith("not run: no photographs here")


def test_a_reader_with_photographs_gets_labelled_ones(bccd, monkeypatch):
    monkeypatch.setattr(pictures, "is_checked", lambda: False)
    monkeypatch.setenv("YOLOV7_BCCD", str(bccd))
    found = pictures.photographs(2)
    listed = (bccd / "val.txt").read_text("utf-8").split()
    assert [picture.name for picture in found] == listed[:2]
    assert all(len(picture.truth) > 0 for picture in found)


def test_no_folder_no_photographs(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "is_checked", lambda: False)
    monkeypatch.setenv("YOLOV7_BCCD", str(tmp_path / "none"))
    assert pictures.photographs() == []


def test_the_official_models_get_the_bus():
    picture = pictures.bus()
    assert picture is not None
    assert picture.size_wh == (810, 1080)
    assert [item.name for item in pictures.pictures_for("yolov7-tiny")] == ["bus"]
    assert [item.name for item in pictures.pictures_for("mine", 1)] == ["smear-9000"]


def test_without_ultralytics_they_get_smears(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert pictures.bus() is None
    assert [item.name for item in pictures.pictures_for("yolov7-tiny", 1)] == ["smear-9000"]
