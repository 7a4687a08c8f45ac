"""Writing the three forms: read back, compared with each other, and read by other readers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import yaml

from helpers.training.datasets import CELL_NAMES, DatasetError, Sample, open_dataset, write_dataset
from helpers.training.smears import draw_smear

TOLERANCE = {"yolo": 1e-4, "coco": 2e-3, "voc": 0.5}
"""Pixels: YOLO's rows have 8 decimals, COCO's boxes 3 (corner and size), VOC whole pixels."""
FORMS = tuple(TOLERANCE)


@pytest.fixture(scope="module")
def samples():
    return {
        "train": [draw_smear(seed, (160, 120), cells=4) for seed in (1, 2)]
        + [draw_smear(3, (96, 128), cells=0)],
        "val": [draw_smear(4, (128, 96), cells=3)],
        "test": [draw_smear(5, (64, 64), cells=2)],
    }


def assert_equal(dataset, samples, tolerance):
    assert (dataset.names, dataset.flaws, dataset.notes) == (CELL_NAMES, (), ())
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        k: len(v) for k, v in samples.items()
    }
    for split, expected in samples.items():
        for found, sample in zip(dataset.samples(split), expected, strict=True):
            assert found.class_ids.tolist() == sample.class_ids.tolist()
            np.testing.assert_allclose(found.boxes_xyxy, sample.boxes_xyxy, atol=tolerance, rtol=0)
            assert np.array_equal(found.image_bgr, sample.image_bgr)


@pytest.mark.parametrize("form", FORMS)
def test_read_back(tmp_path, samples, form):
    folder = write_dataset(samples, tmp_path / form, form, suffix=".png")
    dataset = open_dataset(folder)
    assert dataset.form == form
    assert_equal(dataset.require_clean(), samples, TOLERANCE[form])


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_from_form_to_form(tmp_path, samples, first, second):
    one = open_dataset(write_dataset(samples, tmp_path / "one", first, suffix=".png"))
    read = {split: one.samples(split) for split in one.splits}
    two = open_dataset(write_dataset(read, tmp_path / "two", second, names=one.names, suffix=".png"))
    again = {split: list(one.samples(split)) for split in one.splits}
    assert_equal(two, again, TOLERANCE[second])


@pytest.mark.parametrize("form", FORMS)
def test_no_samples_and_a_plain_list(tmp_path, samples, form):
    with pytest.raises(DatasetError, match=r"expected pictures, found none|expected Annotations"):
        open_dataset(write_dataset([], tmp_path / "none", form), form=form)
    dataset = open_dataset(write_dataset(samples["train"], tmp_path / "list", form))
    assert sum(map(len, dataset.splits.values())) == 3
    assert dataset.notes[0].startswith("no val split")


def test_the_files_as_other_readers_see_them(tmp_path, samples):
    train = {"train": samples["train"][:1]}
    box = samples["train"][0].boxes_xyxy[0]
    root = write_dataset(train, tmp_path / "yolo", "yolo")
    content = yaml.safe_load((root / "data.yaml").read_text())
    assert content == {"path": ".", "train": "images/train", "nc": 3, "names": dict(enumerate(CELL_NAMES))}
    row = np.array((root / "labels/train/train-0000.txt").read_text().split("\n")[0].split(), float)
    expected = [
        (box[0] + box[2]) / 320,
        (box[1] + box[3]) / 240,
        (box[2] - box[0]) / 160,
        (box[3] - box[1]) / 120,
    ]
    np.testing.assert_allclose(row, [samples["train"][0].class_ids[0], *expected], atol=1e-7)

    root = write_dataset(train, tmp_path / "coco", "coco")
    content = json.loads((root / "annotations/instances_train.json").read_text())
    first = content["annotations"][0]
    np.testing.assert_allclose(first["bbox"], [box[0], box[1], box[2] - box[0], box[3] - box[1]], atol=1e-3)
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3], rel=1e-3)
    assert (first["id"], first["category_id"]) == (1, samples["train"][0].class_ids[0] + 1)
    assert [item["id"] for item in content["annotations"]] == [1, 2, 3, 4]
    assert [item["id"] for item in content["categories"]] == [1, 2, 3]
    assert content["images"][0] == {"id": 1, "file_name": "train-0000.jpg", "width": 160, "height": 120}

    root = write_dataset(train, tmp_path / "voc", "voc")
    tree = ET.parse(root / "Annotations/train-0000.xml").getroot()
    corners = [int(tree.findtext(f"object/bndbox/{tag}")) for tag in ("xmin", "ymin", "xmax", "ymax")]
    np.testing.assert_allclose(corners, box, atol=0.5)
    assert tree.findtext("object/name") == CELL_NAMES[samples["train"][0].class_ids[0]]
    assert (root / "ImageSets/Main/train.txt").read_text() == "train-0000\n"


def test_pycocotools_reads_the_coco_form(tmp_path, samples):
    import contextlib
    import io

    coco = pytest.importorskip("pycocotools.coco")
    root = write_dataset(samples, tmp_path / "coco", "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(root / "annotations/instances_train.json"))
    assert len(truth.getAnnIds()) == sum(map(len, samples["train"]))


@pytest.mark.parametrize("form", FORMS)
def test_names_that_are_hard_to_write(tmp_path, form):
    names = ("<a & b>", "red: 'cell' #1", "中文")
    sample = Sample.of(np.full((48, 64, 3), 9, np.uint8), [[1, 2, 30, 40], [3, 4, 9, 9]], [0, 2])
    other = Sample.of(np.full((48, 64, 3), 90, np.uint8), [[1, 2, 30, 40]], [1])
    root = write_dataset({"train": [sample], "val": [other]}, tmp_path / form, form, names=names)
    dataset = open_dataset(root).require_clean()
    assert dataset.names == names
    assert dataset.splits["train"][0].class_ids.tolist() == [0, 2]


def test_a_box_thinner_than_a_pixel_keeps_its_area_in_voc(tmp_path):
    sample = Sample.of(np.zeros((48, 64, 3), np.uint8), [[5.1, 6.1, 5.3, 6.4]], [0])
    root = write_dataset({"train": [sample]}, tmp_path / "voc", "voc")
    (annotation,) = open_dataset(root).splits["train"]
    assert annotation.boxes_xyxy.tolist() == [[5, 6, 6, 7]]


def test_refused(tmp_path, samples):
    with pytest.raises(DatasetError, match="form: expected yolo, coco or voc, got 'csv'"):
        write_dataset(samples, tmp_path / "a", "csv")
    with pytest.raises(DatasetError, match="names: expected one for class 2, got 2"):
        write_dataset(
            [Sample.of(np.zeros((9, 9, 3), np.uint8), [[1, 2, 3, 4]], [2])],
            tmp_path / "a",
            "yolo",
            names="ab",
        )
    assert not (tmp_path / "a").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for path in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(DatasetError, match="folder: expected a new or empty one"):
            write_dataset(samples, path, "yolo")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
