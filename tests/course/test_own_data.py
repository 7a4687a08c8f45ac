"""The lesson's own data set: five flaws are planted, five are found, and each by its file and line."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.course import own_data
from helpers.course.charts import render
from helpers.training.datasets import open_dataset

SIZE = (96, 72)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "cells"
    return own_data.drawn_folder(path, train=5, val=2, size_wh=SIZE)


def test_clean_as_drawn(folder):
    dataset = open_dataset(folder)
    assert (dataset.form, dataset.flaws, len(own_data.flaws_table(dataset))) == ("yolo", (), 0)
    assert {split: len(group) for split, group in dataset.splits.items()} == {"train": 5, "val": 2}
    sample = dataset.samples("val")[0]
    assert sample.size_wh == SIZE


def test_five_flaws(tmp_path):
    folder = own_data.drawn_folder(tmp_path / "cells", train=5, val=1, size_wh=SIZE)
    rows = [len((folder / f"labels/train/train-000{n}.txt").read_text().splitlines()) for n in range(3)]
    own_data.spoil(folder)
    dataset = open_dataset(folder)
    table = own_data.flaws_table(dataset)
    places = {row[1]: row[0] for row in table.rows}
    assert places == {
        "leak": "images/train/copy.jpg",
        "unreadable-picture": "images/train/train-0003.jpg",
        "no-area": f"labels/train/train-0000.txt:{rows[0] + 1}",
        "unknown-class": f"labels/train/train-0001.txt:{rows[1] + 1}",
        "partly-outside": f"labels/train/train-0002.txt:{rows[2] + 1}",
    }
    assert len(dataset.fixed().splits["train"]) == 4
    assert str(tmp_path) not in str(table), "paths are told from the data set's folder on"


def test_what_was_there_goes(tmp_path):
    own_data.drawn_folder(tmp_path / "cells", train=2, val=1, size_wh=SIZE)
    folder = own_data.drawn_folder(tmp_path / "cells", train=1, val=1, size_wh=SIZE)
    assert len(list((folder / "images/train").iterdir())) == 1


@pytest.mark.parametrize(("count", "wide"), [(1, 235), (2, 476), (9, 5 * 235 + 4 * 6)])
def test_sheet(folder, count, wide):
    dataset = open_dataset(folder)
    sheet = own_data.labelled_sheet(dataset, "train", count)
    assert sheet.shape[1] == wide
    assert sheet.std() > 10
    with pytest.raises(ValueError, match="split"):
        own_data.labelled_sheet(dataset, "test")


def test_anchors_are_drawn_where_they_are():
    sizes = np.array([[8.0, 16.0], [32.0, 64.0]])
    chart = own_data.anchors_figure(sizes, {"a": (((10.0, 13.0), (16.0, 30.0)),), "b": (((5.0, 6.0),),)})
    dots, first, second = chart.axes[0].lines
    assert dots.get_xydata().tolist() == sizes.tolist()
    assert first.get_xydata().tolist() == [[10, 13], [16, 30]]
    assert second.get_xydata().tolist() == [[5, 6]]
    assert [line.get_label() for line in (dots, first, second)] == ["2 objects", "a", "b"]
    assert render(chart).shape[2] == 3
