"""Which pictures INT8 is calibrated on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from helpers.calibration import calibration_pictures, pictures_digest
from helpers.patches.metadata import COCO_NAMES
from helpers.training.samples import CELL_NAMES


def write(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((8, 8, 3), number, np.uint8))


def marks(pictures):
    return [int(picture[0, 0, 0]) for picture in pictures]


def test_blood_cells_are_drawn_and_always_the_same():
    first, line = calibration_pictures(CELL_NAMES)
    again, _ = calibration_pictures(CELL_NAMES)
    assert line == "4 drawn smears"
    assert [picture.shape for picture in first] == [(480, 640, 3)] * 4
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("names", "line"), [(CELL_NAMES, "4 drawn smears"), (COCO_NAMES, "pictures of assets")]
)
def test_names_as_a_file_has_them_are_known_too(names, line):
    pictures, said = calibration_pictures(dict(enumerate(names)))
    assert said.endswith(line)
    assert pictures


def test_coco_has_the_example_pictures_of_ultralytics():
    pictures, line = calibration_pictures(COCO_NAMES)
    assert len(pictures) >= 2
    assert line.endswith("pictures of assets")


def test_a_folder_gives_eight_evenly(tmp_path):
    write(tmp_path / "mine", *(f"{number:02}.png" for number in range(20)))
    (tmp_path / "mine" / "notes.txt").write_text("no picture")
    pictures, line = calibration_pictures(("a",), tmp_path / "mine")
    assert marks(pictures) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert line == "8 pictures of mine"
    few, _ = calibration_pictures(CELL_NAMES, tmp_path / "mine")
    assert len(few) == 8


def test_a_folder_like_bccd_gives_training_pictures_alone(tmp_path):
    write(tmp_path / "JPEGImages", "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "train.txt").write_text("c\na\n")
    (tmp_path / "val.txt").write_text("b\n")
    pictures, _ = calibration_pictures(CELL_NAMES, tmp_path)
    assert marks(pictures) == [0, 2]


def test_the_digest_is_that_of_the_chosen_pictures_contents(tmp_path):
    names = [f"{number:02}.png" for number in range(20)]
    for folder in ("mine", "copy"):
        write(tmp_path / folder, *names)
    digest = pictures_digest(tmp_path / "mine")
    assert digest == pictures_digest(tmp_path / "copy")
    assert len(digest) == 8
    (tmp_path / "copy" / "01.png").write_bytes(b"not chosen")
    assert digest == pictures_digest(tmp_path / "copy")
    (tmp_path / "copy" / "02.png").write_bytes((tmp_path / "mine" / "03.png").read_bytes())
    assert digest != pictures_digest(tmp_path / "copy")
    with pytest.raises(ValueError, match="expected a folder with pictures"):
        pictures_digest(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "missing"])
def test_a_folder_without_pictures_is_refused(tmp_path, kind):
    folder = tmp_path if kind == "empty" else tmp_path / "nowhere"
    with pytest.raises(ValueError, match="expected a folder with pictures"):
        calibration_pictures(CELL_NAMES, folder)


def test_a_model_of_ones_own_needs_a_folder():
    with pytest.raises(ValueError, match="--pictures"):
        calibration_pictures(("cat", "dog"))
