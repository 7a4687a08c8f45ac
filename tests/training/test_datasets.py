"""A data set as a whole: open, stop or fix, counts; the three forms with the same flaws; hostile folders."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from labelled_folders import coco, picture, told, voc, voc_xml, write, yolo

from helpers.training import datasets
from helpers.training.datasets import CELL_NAMES, DatasetError, Sample, open_dataset, write_dataset

ROW = "0 .5 .5 .5 .5\n"


def test_an_empty_folder_and_none(tmp_path):
    with pytest.raises(DatasetError, match="expected a data set"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="expected a folder of labelled pictures"):
        open_dataset(tmp_path / "none")
    write(tmp_path / "data.yaml", "names: [a]\n")
    with pytest.raises(DatasetError, match="expected pictures, found none"):
        open_dataset(tmp_path)


def test_a_clean_data_set_is_itself(tmp_path):
    dataset = open_dataset(yolo(tmp_path, {"train/a": ROW, "val/b": ROW}))
    assert dataset.require_clean() is dataset
    fixed = dataset.fixed()
    assert (fixed.flaws, fixed.mended, fixed.splits) == ((), (), dataset.splits)
    assert dataset.samples("train")[0].boxes_xyxy.tolist() == [[16, 12, 48, 36]]
    with pytest.raises(DatasetError, match="split: expected one of train, val, got 'test'"):
        dataset.samples("test")


def test_stop_or_fix(tmp_path):
    rows = ROW + "0 .5 .5 0 .5\n1 .9 .5 .5 .5\n"
    dataset = open_dataset(yolo(tmp_path, {"train/a": rows, "val/b": ROW}))
    assert told(dataset.flaws) == [("no-area", "a.txt", 2), ("partly-outside", "a.txt", 3)]
    with pytest.raises(
        DatasetError, match=r"expected no flaws, got 2 \(1 no-area, 1 partly-outside\)"
    ) as caught:
        dataset.require_clean()
    assert all(str(flaw) in str(caught.value) for flaw in dataset.flaws)
    fixed = dataset.fixed()
    assert (fixed.flaws, fixed.mended) == ((), dataset.flaws)
    assert fixed.require_clean() is fixed
    assert fixed.fixed().mended == dataset.flaws
    assert len(dataset.splits["train"][0].class_ids) == 3
    np.testing.assert_allclose(
        fixed.splits["train"][0].boxes_xyxy, [[16, 12, 48, 36], [41.6, 12, 64, 36]], atol=1e-5
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_nothing_left(tmp_path, split):
    root = yolo(tmp_path, {"train/a": ROW, "val/b": ROW})
    picture_path = root / "images" / split / ("a.png" if split == "train" else "b.png")
    picture_path.write_bytes(b"")
    with pytest.raises(DatasetError, match=f"none is left in {split}; .*'unreadable-picture': 1"):
        open_dataset(root).fixed()


@pytest.mark.parametrize("form", ["coco", "voc"])
def test_splits_stay_for_evaluation(tmp_path, form):
    image = np.full((40, 60, 3), 90, np.uint8)
    samples = [Sample.of(image + np.uint8(shade), [[5, 6, 30, 34]], [0]) for shade in range(3)]
    root = write_dataset({"val": samples}, tmp_path / "cells", form, names=["cell"])
    fixed = open_dataset(root, held_out=False).fixed()
    assert {name: len(found) for name, found in fixed.splits.items()} == {"val": 3}
    assert sorted(open_dataset(root).fixed().splits) == ["train", "val"]


def test_counts(tmp_path):
    root = yolo(tmp_path, {"train/a": ROW + "1 .1 .1 .1 .1\n", "train/c": None, "val/b": "1 .1 .1 .1 .1\n"})
    table = open_dataset(root).counts()
    assert table.header == ("class", "train", "val")
    counts = (("cell", 1, 0), ("dot", 1, 1), ("all boxes", 2, 1), ("pictures", 2, 1))
    assert table.rows == (*counts, ("of them without boxes", 1, 0))


def test_paths_as_the_caller_wrote_them(tmp_path, monkeypatch):
    yolo(tmp_path / "set", {"train/a": "0 .5 .5 0 0\n", "val/b": ROW})
    monkeypatch.chdir(tmp_path)
    for typed in ("set", "set/data.yaml", "./set", "../" + tmp_path.name + "/set"):
        (flaw,) = open_dataset(typed).flaws
        assert not flaw.path.is_absolute()
        assert flaw.path.is_file()
        assert flaw.picture.is_file()
    (flaw,) = open_dataset(tmp_path / "set").flaws
    assert flaw.path == tmp_path / "set/labels/train/a.txt"
    assert open_dataset("set").splits["train"][0].path.is_absolute()


def test_the_same_flaws_in_each_form(tmp_path):
    """Boxes without area, outside, clipped, twice; pictures that are missing, broken, in both splits."""
    boxes = [("cell", 8, 6, 40, 30), ("cell", 9, 9, 9, 20), ("dot", 70, 5, 90, 20), ("dot", 50, 5, 70, 20)]
    boxes.append(boxes[0])
    kinds = [
        "duplicate-box",
        "leak",
        "missing-picture",
        "no-area",
        "outside",
        "partly-outside",
        "unreadable-picture",
    ]
    classes = ("cell", "dot")
    shares = [
        (classes.index(n), (a + c) / 128, (b + d) / 96, (c - a) / 64, (d - b) / 48) for n, a, b, c, d in boxes
    ]
    rows = "".join(" ".join(map(str, share)) + "\n" for share in shares)
    one = yolo(tmp_path / "yolo", {"train/a": rows, "train/bad": ROW, "val/v": ROW})
    picture(one / "images/train/w.png", like="v.png")
    write(one / "labels/train/w.txt", ROW)
    write(one / "labels/train/none.txt", ROW)

    names = {1: "a.png", 2: "bad.png", 3: "w.png", 4: "none.png"}
    annotations = [
        (n, 1, 1 if name == "cell" else 7, [a, b, c - a, d - b]) for n, (name, a, b, c, d) in enumerate(boxes)
    ]
    two = coco(tmp_path / "coco", "train", names, annotations)
    (two / "train/none.png").unlink()
    picture(two / "train/w.png", like="v.png")
    coco(two, "val", {1: "v.png"}, [(1, 1, 1, [16, 12, 32, 24])])

    four = {"a": boxes, "bad": [], "w": [], "none": [], "v": [("cell", 16, 12, 48, 36)]}
    three = voc(tmp_path / "voc", four)
    (three / "JPEGImages/none.png").unlink()
    picture(three / "JPEGImages/w.png", like="v.png")
    write(three / "train.txt", "a\nbad\nw\nnone\n")
    write(three / "val.txt", "v\n")

    for root, bad in ((one, "images/train/bad.png"), (two, "train/bad.png"), (three, "JPEGImages/bad.png")):
        (root / bad).write_bytes(b"\x89PNG cut")
        dataset = open_dataset(root)
        assert sorted(flaw.kind for flaw in dataset.flaws) == kinds, root
        fixed = dataset.fixed()
        assert {split: [each.path.name for each in part] for split, part in fixed.splits.items()} == {
            "train": ["a.png"], "val": ["v.png"],
        }  # fmt: skip
        expected = [[8, 6, 40, 30], [50, 5, 64, 20]]
        np.testing.assert_allclose(fixed.splits["train"][0].boxes_xyxy, expected, atol=1e-4)
        np.testing.assert_allclose(fixed.splits["val"][0].boxes_xyxy, [[16, 12, 48, 36]], atol=1e-4)


def test_two_boxes_without_area_as_in_bccd(tmp_path):
    good = ("RBC", 1, 2, 30, 40)
    root = voc(
        tmp_path, {"a": [good, ("RBC", 50, 33, 50, 33)], "b": [good], "c": [("RBC", 18, 32, 18, 32), good]}
    )
    write(root / "train.txt", "a\nb\n")
    write(root / "val.txt", "c\n")
    dataset = open_dataset(root, names=CELL_NAMES)
    assert told(dataset.flaws) == [("no-area", "a.xml", 10), ("no-area", "c.xml", 6)]
    text = (root / "Annotations/a.xml").read_text().splitlines()
    assert "<xmin>50</xmin>" in text[9]
    assert [len(each.class_ids) for each in dataset.fixed().splits["train"]] == [1, 1]


def test_bccd(bccd):
    dataset = open_dataset(bccd, names=CELL_NAMES)
    assert (dataset.form, dataset.notes) == ("voc", ())
    assert told(dataset.flaws) == [
        ("no-area", "BloodImage_00338.xml", 163),
        ("no-area", "BloodImage_00343.xml", 55),
    ]
    for flaw in dataset.flaws:
        assert "<bndbox>" in flaw.path.read_text().splitlines()[flaw.line - 1]
    fixed = dataset.fixed()
    assert {split: len(part) for split, part in fixed.splits.items()} == {"train": 205, "val": 87}
    for split in ("train", "val"):
        listed = datasets.read_voc(bccd, f"{split}.txt")
        for ours, theirs in zip(fixed.splits[split], listed, strict=True):
            assert ours.path == theirs.path
            assert np.array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)
            assert np.array_equal(ours.class_ids, theirs.class_ids)


def test_flaws_of(tmp_path):
    root = voc(tmp_path, {"a": [("RBC", 5, 5, 5, 9)]})
    annotations = datasets.read_voc(root, "list.txt")
    assert told(datasets.flaws_of(annotations * 2)) == [("no-area", "a.xml", 6)] * 2
    assert datasets.flaws_of([]) == []


def hostile_list(root):
    write(root / "list.txt", "images/train/a.png\n../secret.png\n/etc/passwd\n\0\n" + "x/" * 9000 + "\n")
    write(root / "data.yaml", "train: list.txt\nval: images/val\nnames: [cell]\n")


def hostile_links(root):
    (root / "images/train/loop").symlink_to(root / "images", target_is_directory=True)
    (root / "images/train/self.png").symlink_to(root / "images/train/self.png")
    (root / "labels/train/self.txt").symlink_to(root / "labels/train/self.txt")


def hostile_device(root):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(root / "images/train/pipe.png")
    (root / "images/train/zero.png").symlink_to("/dev/zero")


def hostile_numbers(root):
    rows = [
        "1e308 1e308 1e308 1e308 1e308",
        "0 1e308 1e308 1e308 1e308",
        "0 -1e308 0 1e308 1",
        "9" * 400 + " 0 0 1 1",
    ]
    write(root / "labels/train/a.txt", "\n".join([*rows, ROW, "0" * 100_000, "0 " * 100_001]))


@pytest.mark.parametrize("harm", [hostile_list, hostile_links, hostile_device, hostile_numbers])
def test_hostile_folders_end_in_flaws(tmp_path, harm):
    root = yolo(tmp_path / "set", {"train/a": ROW, "val/b": ROW})
    picture(tmp_path / "secret.png")
    harm(root)
    dataset = open_dataset(root)
    assert dataset.flaws
    fixed = dataset.fixed()
    assert [len(each.class_ids) for each in fixed.splits["train"]] == [1]
    assert all(each.path.is_relative_to(root) for part in fixed.splits.values() for each in part)


def test_hostile_json_and_xml(tmp_path):
    secret = picture(tmp_path / "secret.png")
    names = {1: "a.png", 2: "../../secret.png", 3: str(secret), 4: "x" * 5000, 5: "\0", 6: "."}
    root = coco(tmp_path / "coco", "train", names, [(n, n, 1, [1, 2, 3, 4]) for n in names], make=False)
    picture(root / "train/a.png")
    coco(root, "val", {1: "b.png"}, [(1, 1, 1, [0, 0, 10**30, 1e-320])])
    dataset = open_dataset(root)
    assert {flaw.kind for flaw in dataset.flaws} >= {"path", "missing-picture"}
    assert [each.path.name for each in dataset.fixed().splits["train"]] == ["a.png"]

    root = voc(tmp_path / "voc", {"a": [("cell", 1, 2, 30, 40)], "b": [("cell", 1, 2, 30, 40)]})
    write(root / "Annotations/c.xml", voc_xml("../../secret.png", []))
    write(root / "Annotations/d.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>")
    write(root / "train.txt", "a\nc\nd\n../../secret\n")
    write(root / "val.txt", "b\n")
    dataset = open_dataset(root)
    assert sorted(flaw.kind for flaw in dataset.flaws) == ["broken-label", "missing-label", "path"]


def test_a_large_json_number_as_size(tmp_path):
    root = coco(tmp_path, "train", {1: "a.png", 2: "b.png"}, [(1, 1, 1, [1, 2, 3, 4])])
    path = root / "annotations/instances_train.json"
    content = json.loads(path.read_text())
    content["images"][0]["width"] = 10**300
    path.write_text(json.dumps(content))
    assert [flaw.kind for flaw in open_dataset(root).flaws] == ["size"]
