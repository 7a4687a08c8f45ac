"""Pictures are reduced once, and kept while memory lasts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.training.picture_store import PictureStore, reduce
from helpers.training.samples import Annotation, Sample


def annotations(folder: Path, count: int) -> list[Annotation]:
    found = []
    for index in range(count):
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), np.full((30, 40, 3), index * 20, np.uint8))
        found.append(Annotation(path, np.array([[4, 6, 20, 12]], np.float32), np.array([index])))
    return found


def test_no_pictures() -> None:
    assert len(PictureStore([], 640).preload()) == 0


@pytest.mark.parametrize(
    ("size_wh", "longest", "expected"),
    [((40, 30), 40, (40, 30)), ((40, 30), 20, (20, 15)), ((30, 40), 20, (15, 20)), ((400, 1), 20, (20, 1))],
)
def test_reduce(size_wh: tuple[int, int], longest: int, expected: tuple[int, int]) -> None:
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    small = reduce(Sample.of(image, [[0, 0, *size_wh]], [3]), longest)
    assert small.size_wh == expected
    assert small.boxes_xyxy.tolist() == [[0, 0, *expected]]
    assert small.class_ids.tolist() == [3]


def test_what_fits_is_kept_and_the_rest_is_read_again(tmp_path: Path) -> None:
    found = annotations(tmp_path, 3)
    store = PictureStore(found, 20, budget=2 * 20 * 15 * 3).preload()
    for path in tmp_path.iterdir():
        path.write_bytes(cv2.imencode(".png", np.full((30, 40, 3), 200, np.uint8))[1].tobytes())
    assert [int(store[index].image_bgr[0, 0, 0]) for index in range(3)] == [0, 20, 200]
    assert store[2] is not store[2]
    assert store[-1].boxes_xyxy.tolist() == [[2, 3, 10, 6]]
    with pytest.raises(IndexError):
        store[3]
