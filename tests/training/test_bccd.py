"""Reading Pascal VOC by a list: a folder made on the spot; every flaw and error; the real photographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from helpers.training import datasets
from helpers.training.datasets import Annotation, DatasetError, bccd_folder, read_voc

CORNERS = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
OBJECT = "<object><name>{}</name><bndbox>" + CORNERS + "</bndbox></object>"


@pytest.fixture
def voc(tmp_path):
    """Make a VOC folder of pictures of 64x48: name -> objects."""

    def make(pictures, suffix=".jpg"):
        for folder in ("Annotations", "JPEGImages"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for index, (name, objects) in enumerate(pictures.items()):
            body = "".join(OBJECT.format(*item) for item in objects)
            text = f"<annotation><filename>{name}{suffix}</filename>"
            text += f"<size><width>64</width><height>48</height></size>{body}</annotation>"
            (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
            picture = np.full((48, 64, 3), 10 * index, np.uint8)
            assert cv2.imwrite(str(tmp_path / "JPEGImages" / f"{name}{suffix}"), picture)
        (tmp_path / "list.txt").write_text("\n".join(pictures) + "\n\n")
        return tmp_path

    return make


def test_empty_list_and_empty_picture(voc):
    assert read_voc(voc({}), "list.txt") == []
    (annotation,) = read_voc(voc({"a": []}), "list.txt")
    assert annotation.boxes_xyxy.shape == (0, 4)
    assert annotation.boxes_xyxy.dtype == np.float32
    assert annotation.class_ids.dtype == np.int64
    assert len(annotation.load()) == 0


def test_order_boxes_and_classes(voc):
    folder = voc({"b": [("Platelets", 1, 2, 30, 40), ("RBC", 5, 6, 7, 8)], "a": [("WBC", 0, 0, 64, 48)]})
    first, second = read_voc(folder, folder / "list.txt")
    assert first.boxes_xyxy.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8]]
    assert first.class_ids.tolist() == [2, 0]
    assert (second.path.name, second.class_ids.tolist()) == ("a.jpg", [1])
    assert second.load().size_wh == (64, 48)


def test_picture_by_the_name_in_the_annotation(voc):
    folder = voc({"a": []}, suffix=".png")
    (annotation,) = read_voc(folder, "list.txt")
    assert annotation.path == folder / "JPEGImages" / "a.png"
    assert annotation.load().image_bgr.shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("corners", "kept", "kind"),
    [
        ((-5, -5, 70, 60), [0, 0, 64, 48], "partly-outside"),
        ((10, 10, 10, 20), None, "no-area"),
        ((10, 10, 20, 10), None, "no-area"),
        ((20, 10, 10, 20), None, "no-area"),
        ((70, 10, 80, 20), None, "outside"),
        ((63, 47, 64, 48), [63, 47, 64, 48], ""),
    ],
)
def test_read_voc_clips_drops_and_reports(voc, corners, kept, kind):
    folder = voc({"a": [("RBC", *corners), ("WBC", 1, 1, 9, 9)]})
    (annotation,) = read_voc(folder, "list.txt")
    assert annotation.boxes_xyxy.tolist() == ([kept] if kept else []) + [[1, 1, 9, 9]]
    assert [(flaw.kind, flaw.path, flaw.line) for flaw in annotation.flaws] == (
        [(kind, folder / "Annotations/a.xml", 1)] if kind else []
    )
    assert datasets.flaws_of([annotation, annotation]) == list(annotation.flaws) * 2


def test_unknown_class_names_the_file_and_the_class(voc):
    folder = voc({"a": [("Parasite", 1, 1, 9, 9)]})
    with pytest.raises(DatasetError, match=r"a\.xml: class 'Parasite' is none of RBC, WBC, Platelets; use"):
        read_voc(folder, "list.txt")
    assert read_voc(folder, "list.txt", ["x", "Parasite"])[0].class_ids.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation>", "expected Pascal VOC XML"),
        ("<annotation/>", "<annotation> lacks <size/width>"),
        ("<!DOCTYPE a [<!ENTITY b 'b'>]><annotation/>", "a document type"),
        ("<annotation><size><width>x</width></size></annotation>", "expected Pascal VOC XML"),
        (None, "expected Pascal VOC XML"),
    ],
)
def test_broken_annotations(voc, text, reason):
    folder = voc({"a": []})
    path = folder / "Annotations" / "a.xml"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DatasetError, match=reason):
        read_voc(folder, "list.txt")


def test_missing_list(voc):
    with pytest.raises(DatasetError, match="list_file: expected a text file"):
        read_voc(voc({}), "nothing.txt")


def test_bccd_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("YOLOV7_BCCD", raising=False)
    assert bccd_folder() is None
    monkeypatch.setenv("YOLOV7_BCCD", str(tmp_path))
    with pytest.raises(DatasetError, match="YOLOV7_BCCD: expected a folder"):
        bccd_folder()
    (tmp_path / "Annotations").mkdir()
    assert bccd_folder() == tmp_path


def test_bccd_itself(shared):
    folder = shared / "data" / "bccd"
    lists = {name: read_voc(folder, f"{name}.txt") for name in ("train", "val")}
    assert {name: len(found) for name, found in lists.items()} == {"train": 205, "val": 87}
    flaws = datasets.flaws_of([*lists["train"], *lists["val"]])
    assert sorted(flaw.path.stem for flaw in flaws) == ["BloodImage_00338", "BloodImage_00343"]
    both: list[Annotation] = lists["train"] + lists["val"]
    assert np.bincount(np.concatenate([item.class_ids for item in both])).tolist() == [3348, 301, 292]
    assert both[0].load().size_wh == (640, 480)
