"""Which form a folder has: one of three, never a guess."""

from __future__ import annotations

import pytest
from labelled_folders import coco, picture, voc, write, yolo

from helpers.training.dataset_form import FORMS, list_folder
from helpers.training.flaws import DatasetError

ROW = "0 .5 .5 .5 .5\n"
MAKERS = {
    "yolo": lambda root: yolo(root, {"train/a": ROW, "val/b": ROW}),
    "coco": lambda root: coco(root, "train", {1: "c.png"}, []),
    "voc": lambda root: voc(root, {"d": [("cell", 1, 2, 3, 4)]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found_and_may_be_said(tmp_path, form):
    MAKERS[form](tmp_path)
    for said in (None, form):
        found, listing = list_folder(tmp_path, said, None)
        assert (found, sum(map(len, listing.splits.values()))) == (form, 2 if form == "yolo" else 1)


def test_an_unknown_folder_says_what_was_looked_for(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "readme.txt", "x")
    with pytest.raises(DatasetError, match="found none of these") as caught:
        list_folder(tmp_path, None, None)
    assert all(what in str(caught.value) for what in FORMS.values())


@pytest.mark.parametrize("pair", [("yolo", "coco"), ("coco", "voc"), ("yolo", "voc")])
def test_two_forms_are_no_form_until_one_is_said(tmp_path, pair):
    for form in pair:
        MAKERS[form](tmp_path)
    with pytest.raises(DatasetError, match=f"expected one form, found {pair[0]} and {pair[1]}; say form="):
        list_folder(tmp_path, None, None)
    for form in pair:
        assert list_folder(tmp_path, form, None)[0] == form


@pytest.mark.parametrize("labels", ["labels/a.txt", "labels/train/deep/a.txt", "train/labels/a.txt"])
def test_yolo_without_a_yaml_file(tmp_path, labels):
    picture(tmp_path / labels.replace("labels", "images").replace(".txt", ".png"))
    write(tmp_path / labels, ROW)
    form, listing = list_folder(tmp_path, None, ["cell"])
    assert (form, [len(e.rows) for e in listing.splits["train"]]) == ("yolo", [1])


def test_a_yaml_file_itself(tmp_path):
    root = MAKERS["yolo"](tmp_path)
    other = write(root / "other.yaml", "train: images/val\nval: images/train\nnames: [x, y]\n")
    form, listing = list_folder(other, None, None)
    assert (form, listing.names) == ("yolo", ("x", "y"))
    assert [entry.picture.name for entry in listing.splits["train"]] == ["b.png"]


@pytest.mark.parametrize("name", ["none", "a.png", "none.yaml"])
def test_no_folder(tmp_path, name):
    picture(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="folder: expected a folder of labelled pictures, found none at"):
        list_folder(tmp_path / name, None, None)


def test_names_that_only_their_case_tells_apart(tmp_path):
    voc(tmp_path, {"a": [(name, 1, 2, 3, 4) for name in ("RBC", "WBC", "rbc", "Rbc")]})
    listing = list_folder(tmp_path, None, None)[1]
    assert listing.notes == ["one class or several? RBC, Rbc, rbc"]
    assert len(listing.names) == 4


def test_an_unknown_form(tmp_path):
    with pytest.raises(DatasetError, match="form: expected yolo, coco or voc, got 'tfrecord'"):
        list_folder(tmp_path, "tfrecord", None)
