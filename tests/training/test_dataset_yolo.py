"""YOLO form: layouts found in the field, rows of every kind, and each flaw with its line."""

from __future__ import annotations

import pytest
from labelled_folders import picture, told, write, yolo

from helpers.training.dataset_yaml import find_yaml
from helpers.training.dataset_yolo import list_yolo, parse_row
from helpers.training.flaws import DatasetError

ROW = "1 0.5 0.5 0.25 0.5\n"


def read(root, **more):
    return list_yolo(root, find_yaml(root), **more)


def splits(listing):
    return {split: [entry.picture.name for entry in entries] for split, entries in listing.splits.items()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2 0.5 0.5 0.25 0.5", (2, (0.375, 0.25, 0.625, 0.75), "box")),
        (" 0\t.5 .25  1 .5 ", (0, (0, 0, 1, 0.5), "box")),
        ("1.0 .5 .5 .5 .5 0.93", (1, (0.25, 0.25, 0.75, 0.75), "confidence")),
        ("0 .1 .2 .6 .3 .4 .8", (0, (0.1, 0.2, 0.6, 0.8), "polygon")),
        ("3 .5 .5 .25 .75 .125 .25 1 0", (3, (0.125, 0, 1, 0.75), "polygon")),
        ("-1 .5 .5 -.5 .5", (-1, (0.75, 0.25, 0.25, 0.75), "box")),
    ],
)
def test_rows(line, expected):
    assert parse_row(line) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1", "columns: .* got 1 columns"), ("1 2 3 4", "columns: .* 4"),
        ("0 .1 .2 .3 .4 .5 .6 .7", "columns: .* 8"),
        ("cell .5 .5 .5 .5", "cell"), ("0 .5 .5 .5 x", "x"), ("0 nan .5 .5 .5", "not finite"),
        ("0 .5 1e999 .5 .5", "not finite"), ("inf .5 .5 .5 .5", "not finite"), ("0.5 .5 .5 .5 .5", "whole"),
        ("0,.5,.5,.5,.5", "columns"),
    ],
)  # fmt: skip
def test_rows_that_are_none(line, reason):
    with pytest.raises(ValueError, match=reason):
        parse_row(line)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DatasetError, match="expected class names, got none"):
        read(tmp_path)
    listing = read(tmp_path, names=["a"])
    assert (listing.splits, listing.names, listing.flaws) == ({"train": []}, ("a",), [])


def test_the_usual_folder(tmp_path):
    listing = read(yolo(tmp_path, {"train/b": ROW * 2, "train/a": "", "val/c": None}))
    assert listing.names == ("cell", "dot")
    assert splits(listing) == {"train": ["a.png", "b.png"], "val": ["c.png"]}
    assert (listing.flaws, listing.notes) == ([], ["1 picture without a label file is background"])
    background, entry = listing.splits["train"]
    assert (background.rows, background.relative, background.label.name) == ([], True, "a.txt")
    assert [row.line for row in entry.rows] == [1, 2]
    assert entry.rows[0][1:] == (1, (0.375, 0.25, 0.625, 0.75))


FLAT, SPLIT = ("images/{}/{}", "labels/{}/{}"), ("{}/images/{}", "{}/labels/{}")
NESTED = ("data/images/{}/{}", "data/labels/{}/{}")
ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['cell']\n"
ULTRALYTICS = """path: ../datasets/cells
train: images/train
val: [images/valid]
names:
  0: cell
download: |
  raise SystemExit(1)
"""
ABSOLUTE = "train: /content/set/images/train\nval: /content/set/images/valid\nnames: {0: cell}\n"
LAYOUTS = {
    "roboflow": (*SPLIT, ROBOFLOW),
    "path": (*FLAT, ULTRALYTICS),
    "absolute": (*FLAT, ABSOLUTE),
    "windows": (*FLAT, "train: images\\train\nval: images\\valid\nnames: [cell]\n"),
    "beside": ("{}/{}", "{}/{}", "train: train\nval: valid\nnames: [cell]\n"),
    "folder of images": (*FLAT, None),
    "folders of splits": (*SPLIT, None),
    "nested in path": (*NESTED, "path: data\ntrain: images/train\nval: images/valid\nnames: [cell]\n"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    image, label, yaml = LAYOUTS[layout]
    for split, name in (("train", "a"), ("train", "b"), ("valid", "c")):
        picture(tmp_path / f"{image.format(split, name)}.png")
        write(tmp_path / f"{label.format(split, name)}.txt", "0 .5 .5 .5 .5\n")
    write(tmp_path / ("data.yaml" if yaml else "classes.txt"), yaml or "cell\n")
    listing = read(tmp_path)
    assert splits(listing) == {"train": ["a.png", "b.png"], "val": ["c.png"]}
    assert (listing.names, listing.flaws) == (("cell",), [])
    assert [len(entry.rows) for entries in listing.splits.values() for entry in entries] == [1, 1, 1]


@pytest.mark.parametrize("yaml", ["train: train.txt\nval: lists/val.txt\nnames: [cell]\n", None])
def test_lists(tmp_path, yaml):
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.txt", "0 .5 .5 .5 .5\n")
    write(tmp_path / "train.txt", "./images/b.png\n\n/elsewhere/set/images/a.png\n")
    write(tmp_path / ("lists/val.txt" if yaml else "val.txt"), "images/c.png\n")
    write(tmp_path / ("data.yaml" if yaml else "classes.txt"), yaml or "cell\n")
    listing = read(tmp_path)
    assert splits(listing) == {"train": ["b.png", "a.png"], "val": ["c.png"]}
    assert [(e.source.name, e.line, len(e.rows)) for e in listing.splits["train"]] == [
        ("train.txt", 1, 1), ("train.txt", 3, 1),
    ]  # fmt: skip
    assert listing.flaws == []


def test_a_flat_folder(tmp_path):
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", "0 .5 .5 .5 .5\n")
    write(tmp_path / "labels/classes.txt", "cell\n")
    listing = read(tmp_path)
    assert (splits(listing), listing.names, listing.flaws) == ({"train": ["a.png"]}, ("cell",), [])


def test_images_above_the_data_set_is_no_images_folder(tmp_path):
    root = tmp_path / "images" / "set"
    picture(root / "train/a.png")
    write(root / "train/a.txt", "0 .5 .5 .5 .5\n")
    write(root / "data.yaml", "train: train\nnames: [cell]\n")
    (entry,) = read(root).splits["train"]
    assert (entry.label, len(entry.rows)) == (root / "train/a.txt", 1)


def test_every_flaw_of_a_label_file_with_its_line(tmp_path):
    rows = "0 .5 .5 .5 .5\n0 .5 .5 .5\n\nx .5 .5 .5 .5\n2 .5 .5 .5 .5\n-1 .5 .5 .5 .5\n1 .5 .5 .5 .5 .9\n"
    rows += "0 .5 nan .5 .5\n1e300 .5 .5 .5 .5\n1 .1 .1 .2 .1 .2 .2"
    listing = read(yolo(tmp_path, {"train/a": rows, "val/b": ROW}))
    assert told(listing.flaws) == [
        ("columns", "a.txt", 2), ("not-a-number", "a.txt", 4), ("unknown-class", "a.txt", 5),
        ("unknown-class", "a.txt", 6), ("confidence", "a.txt", 7), ("not-a-number", "a.txt", 8),
        ("unknown-class", "a.txt", 9),
    ]  # fmt: skip
    assert {flaw.picture.name for flaw in listing.flaws} == {"a.png"}
    assert [flaw.message for flaw in listing.flaws[2:4]] == [
        "class 2 is outside 0 to 1",
        "class -1 is outside 0 to 1",
    ]
    assert listing.flaws[0].message == "expected class cx cy w h, got 4 columns"
    assert [row.line for row in listing.splits["train"][0].rows] == [1, 7, 10]
    assert listing.notes == ["1 polygon: its box is taken"]


def test_labels_that_are_no_text_or_have_no_picture(tmp_path):
    root = yolo(tmp_path, {"train/a": None, "val/b": ROW})
    path = write(root / "labels/train/a.txt", "")
    path.write_bytes(b"\xff\xfe0")
    write(root / "labels/train/lost.txt", ROW)
    listing = read(root)
    assert told(listing.flaws) == [("broken-label", "a.txt", 1), ("missing-picture", "lost.txt", None)]
    assert listing.splits["train"][0].unusable
    assert not listing.splits["val"][0].unusable


def test_paths_of_a_list_that_leave_the_folder(tmp_path):
    root = yolo(tmp_path / "set", {"train/a": ROW}, "train: list.txt\nnames: [cell, dot]\n")
    picture(tmp_path / "outside.png")
    write(root / "list.txt", "images/train/a.png\n../../etc/passwd\n../outside.png\nimages/train/none.png\n")
    listing = read(root)
    assert told(listing.flaws) == [("path", "list.txt", 2), ("path", "list.txt", 3)]
    assert splits(listing) == {"train": ["a.png", "none.png"]}


def test_train_and_val_from_the_same_folder(tmp_path):
    yaml = "train: images/train\nval: images/train\nnames: [cell, dot]\n"
    listing = read(yolo(tmp_path, {"train/a": ROW}, yaml))
    assert told(listing.flaws) == [("leak", "data.yaml", 2)]
    assert "held out" in listing.flaws[0].fix
    assert splits(listing) == {"train": ["a.png"]}


def test_a_test_split_that_was_not_delivered(tmp_path):
    yaml = "train: images/train\nval: images/val\ntest: images/test\nnames: [cell, dot]\n"
    listing = read(yolo(tmp_path, {"train/a": ROW, "val/b": ROW}, yaml))
    assert list(listing.splits) == ["train", "val"]
    assert listing.notes == ["test is named, but is not in the folder"]


@pytest.mark.parametrize("where", ["images/none", "/etc", "../..", "/"])
def test_pictures_that_are_not_in_the_folder(tmp_path, where):
    root = yolo(tmp_path, {"train/a": ROW}, f"train: {where}\nval: images/train\nnames: [cell, dot]\n")
    with pytest.raises(DatasetError, match=r"expected pictures at .*found none; correct the path"):
        read(root)


def test_the_callers_names_come_first(tmp_path):
    root = yolo(tmp_path, {"train/a": ROW, "val/b": ROW})
    assert read(root, names=["x", "y", "z"]).names == ("x", "y", "z")
    listing = read(root, names=["x"])
    assert told(listing.flaws) == [("unknown-class", "a.txt", 1), ("unknown-class", "b.txt", 1)]


def test_no_labels_outside_are_read(tmp_path):
    picture(tmp_path / "set/a.png")
    write(tmp_path / "a.txt", ROW)
    assert list_yolo(tmp_path / "set", names=["x", "y"]).splits["train"][0].rows == []
