"""COCO form: ids with gaps, crowds, umbrellas, pictures in the usual places, and each flaw with its line."""

from __future__ import annotations

import json

import pytest
from labelled_folders import coco, picture, write

from helpers.training.dataset_coco import coco_files, list_coco
from helpers.training.flaws import DatasetError

BOX = [8, 6, 24, 18]


def line_of(root, text, split="train", nth=1):
    """The line of the object whose first member is `text`, in the indented file."""
    lines = (root / f"annotations/instances_{split}.json").read_text().splitlines()
    return [number for number, line in enumerate(lines) if text in line][nth - 1]


def test_an_empty_folder_and_an_empty_file(tmp_path):
    assert coco_files(tmp_path) == {}
    with pytest.raises(DatasetError, match="expected annotations/instances"):
        list_coco(tmp_path)
    listing = list_coco(coco(tmp_path, "train", {}, []))
    assert (listing.names, listing.splits, listing.flaws) == (("cell", "dot"), {"train": []}, [])


def test_boxes_and_classes(tmp_path):
    annotations = [(1, 5, 7, BOX), (2, 3, 1, [0.5, 0, 10, 20]), (3, 5, 1, BOX)]
    listing = list_coco(coco(tmp_path, "train", {3: "a.png", 5: "b.png", 9: "c.png"}, annotations))
    assert listing.flaws == listing.notes == []
    first, second, third = listing.splits["train"]
    assert [row[1:] for row in first.rows] == [(0, (0.5, 0, 10.5, 20))]
    assert [row[1:] for row in second.rows] == [(1, (8, 6, 32, 24)), (0, (8, 6, 32, 24))]
    assert third.rows == []
    assert (first.picture, first.size_wh, first.relative) == (tmp_path / "train/a.png", (64, 48), False)
    assert first.line == line_of(tmp_path, '"id": 3')
    assert second.rows[0].line == line_of(tmp_path, '"id": 1,')


def test_categories_in_the_order_of_their_ids(tmp_path):
    categories = ((90, "last"), (2, "first"), (44, " middle "))
    root = coco(tmp_path, "train", {1: "a.png"}, [(1, 1, 44, BOX)], categories)
    listing = list_coco(root)
    assert listing.names == ("first", "middle", "last")
    assert listing.splits["train"][0].rows[0].class_id == 1
    assert list_coco(root, ["x", "middle"]).splits["train"][0].rows[0].class_id == 1


@pytest.mark.parametrize(("used", "expected"), [(1, ("RBC", "WBC")), (0, ("cells", "RBC", "WBC"))])
def test_an_umbrella_without_boxes_is_no_class(tmp_path, used, expected):
    picture(tmp_path / "train/a.png")
    content = {
        "images": [{"id": 0, "file_name": "a.png"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": used, "bbox": BOX}],
        "categories": [
            {"id": 0, "name": "cells", "supercategory": "none"},
            {"id": 1, "name": "RBC", "supercategory": "cells"},
            {"id": 2, "name": "WBC", "supercategory": "cells"},
        ],
    }
    write(tmp_path / "train/_annotations.coco.json", json.dumps(content))
    assert list_coco(tmp_path).names == expected


def test_a_category_that_is_its_own_umbrella_stays(tmp_path):
    content = {"images": [], "categories": [{"id": 1, "name": "person", "supercategory": "person"}]}
    write(tmp_path / "instances_train.json", json.dumps(content))
    assert list_coco(tmp_path).names == ("person",)


def test_splits_agree_by_name_and_not_by_number(tmp_path):
    coco(tmp_path, "train", {1: "a.png"}, [(1, 1, 1, BOX)], ((1, "cell"), (2, "dot")))
    coco(tmp_path, "val", {1: "b.png"}, [(1, 1, 1, BOX)], ((1, "dot"), (2, "cell"), (3, "new")))
    listing = list_coco(tmp_path)
    assert listing.names == ("cell", "dot", "new")
    assert [listing.splits[split][0].rows[0].class_id for split in ("train", "val")] == [0, 1]


@pytest.mark.parametrize(("crowd", "notes"), [(1, ["1 crowd region is left out"]), (0, [])])
def test_crowds(tmp_path, crowd, notes):
    annotations = [(1, 1, 1, BOX, {"iscrowd": crowd}), (2, 1, 7, BOX)]
    listing = list_coco(coco(tmp_path, "train", {1: "a.png"}, annotations))
    assert (listing.flaws, listing.notes) == ([], notes)
    assert len(listing.splits["train"][0].rows) == 2 - crowd


def test_every_flaw_of_an_annotation_with_its_line(tmp_path):
    annotations = [
        (1, 1, 1, BOX), (1, 1, 1, BOX), (2, 99, 1, BOX), (3, 1, 2, BOX), (4, 1, 1, [1, 2, 3]),
        (5, 1, 1, None), (6, 1, 1, [1, 2, "3", 4]), (7, 1, 1, [1, 2, float("nan"), 4]), (8, 1, None, BOX),
        (9, None, 1, BOX), (10, 1, 1, [1, 2, 3, 10**400]), (11, [1], 1, BOX), (12, 1, {"a": 1}, BOX),
    ]  # fmt: skip
    root = coco(tmp_path, "train", {1: "a.png"}, annotations)
    listing = list_coco(root)
    kinds = [
        "duplicate-id", "missing-picture", "unknown-class", "columns", "columns",
        "not-a-number", "not-a-number", "unknown-class", "missing-picture", "not-a-number",
        "missing-picture", "unknown-class",
    ]  # fmt: skip
    assert [flaw.kind for flaw in listing.flaws] == kinds
    lines = [line_of(root, '"id": 1,', nth=3)] + [line_of(root, f'"id": {n},') for n in range(2, 13)]
    assert [flaw.line for flaw in listing.flaws] == lines
    assert listing.flaws[2].picture == tmp_path / "train/a.png"
    assert listing.flaws[0].message == "annotation 1 stands twice"
    assert listing.flaws[1].message == "annotation 2: no picture has the id 99"
    assert len(listing.splits["train"][0].rows) == 1


def test_flaws_of_pictures_and_categories(tmp_path):
    picture(tmp_path / "train/a.png")
    content = """{"images": [
      {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
      {"id": 1, "file_name": "b.png"},
      {"file_name": "c.png"},
      {"id": 2},
      7,
      {"id": 3, "file_name": "../../etc/passwd"},
      {"id": true, "file_name": "d.png"},
      {"id": 4, "file_name": "e.png", "width": "64", "height": 1e999}],
    "annotations": [
      {"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4]},
      [],
      {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
      {"image_id": 1, "category_id": 1, "bbox": [5, 2, 3, 4]}],
    "categories": [{"id": 1, "name": "cell"}, {"id": 1, "name": "dot"}, {"name": "x"}, null]}"""
    write(tmp_path / "annotations/instances_train.json", content)
    listing = list_coco(tmp_path)
    assert [(flaw.kind, flaw.line) for flaw in listing.flaws] == [
        ("duplicate-id", 15), ("columns", 15), ("columns", 15), ("duplicate-id", 3), ("columns", 4),
        ("columns", 5), ("columns", 6), ("path", 7), ("columns", 8), ("columns", 12),
    ]  # fmt: skip
    first, last = listing.splits["train"]
    assert (first.picture.name, len(first.rows), last.picture.name, last.size_wh) == (
        "a.png",
        2,
        "e.png",
        None,
    )


@pytest.mark.parametrize(
    ("labels", "pictures", "name"),
    [
        ("annotations/instances_val2017.json", "val2017", "a.png"),
        ("annotations/instances_val2017.json", "images/val2017", "a.png"),
        ("annotations/instances_val2017.json", "images", "a.png"),
        ("annotations/instances_val2017.json", "val", "a.png"),
        ("annotations/instances_val.json", "", "a.png"),
        ("annotations/instances_val.json", "val", "val/a.png"),
        ("annotations/validation.json", "annotations", "a.png"),
        ("valid/_annotations.coco.json", "valid", "a.png"),
        ("instances_val.json", "val", "a.png"),
    ],
)
def test_where_labels_and_pictures_lie(tmp_path, labels, pictures, name):
    path = picture(tmp_path / pictures / "a.png")
    for decoy in ("train2017", "test"):
        picture(tmp_path / decoy / "a.png")
    content = {"images": [{"id": 1, "file_name": name}], "categories": [{"id": 1, "name": "cell"}]}
    write(tmp_path / labels, json.dumps(content))
    listing = list_coco(tmp_path)
    assert {split: [e.picture for e in entries] for split, entries in listing.splits.items()} == {
        "val": [path]
    }


def test_one_file_without_a_split_is_train(tmp_path):
    content = {"images": [], "categories": [{"id": 1, "name": "cell"}]}
    write(tmp_path / "_annotations.coco.json", json.dumps(content))
    assert list(list_coco(tmp_path).splits) == ["train"]


def test_a_missing_picture_is_where_it_should_be(tmp_path):
    listing = list_coco(coco(tmp_path, "val", {1: "a.png"}, [], make=False))
    assert listing.splits["val"][0].picture == tmp_path / "a.png"
