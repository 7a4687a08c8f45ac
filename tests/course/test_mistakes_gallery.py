"""The gallery: a column a kind, the worst first, the object thin and black, what is wrong thick and red."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.course.mistakes_gallery import mistake_caption, mistakes_gallery
from helpers.detections import Detections
from helpers.training.evaluation import score_detections
from helpers.training.samples import Sample

pytest.importorskip("faster_coco_eval")
NAMES = ("RBC", "Platelets")
TRUTH = Detections([[100, 60, 140, 100], [20, 20, 60, 60]], [1, 1], [0, 1])
RED = [30, 30, 200]


def report(found, truth=TRUTH):
    sample = Sample.of(np.full((160, 200, 3), 180, np.uint8), truth.boxes_xyxy, truth.class_ids)
    return score_detections([truth], [found], NAMES), [sample]


def boxes(*rows):
    return Detections([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def test_no_mistakes():
    assert mistakes_gallery(*report(TRUTH)) is None


@pytest.mark.parametrize(
    ("found", "captions"),
    [
        (boxes(([100, 60, 140, 100], 0.9, 0)), ["missed: Platelets"]),
        (boxes(([100, 60, 140, 100], 0.9, 1), ([20, 20, 60, 60], 0.8, 1)), ["RBC as Platelets"]),
        (boxes(([100, 60, 140, 100], 0.9, 0), ([20, 20, 60, 60], 0.8, 1), ([101, 60, 140, 100], 0.7, 0)),
         ["doubled: 70%"]),
        (boxes(([100, 60, 140, 100], 0.9, 0), ([20, 20, 60, 60], 0.8, 1), ([150, 110, 190, 150], 0.6, 1)),
         ["background: 60%"]),
        (boxes(([100, 60, 140, 100], 0.9, 0), ([20, 20, 60, 35], 0.5, 1)), ["loose: 50%"]),
    ],
)  # fmt: skip
def test_captions(found, captions):
    judged, _ = report(found)
    assert [mistake_caption(each, judged) for each in judged.mistakes()] == captions


def test_a_column_a_kind_and_grey_where_there_are_no_more():
    found = boxes(
        ([100, 60, 140, 100], 0.9, 0), ([101, 60, 140, 100], 0.7, 0), ([102, 60, 140, 100], 0.6, 0),
        ([150, 110, 190, 150], 0.5, 1),
    )  # fmt: skip
    gallery = mistakes_gallery(*report(found), each=2, cell_width=60)
    assert gallery.shape == (2 * 86 + 6, 5 * 66 - 6, 3), "the size does not depend on what was found"
    assert (gallery[92 + 26 :, :60] == 246).all(), "one object is missed, so the second place is empty"
    assert (gallery[92 + 26 :, 66:126] != 246).any(), "two are doubled"
    assert (gallery[26:86, 2 * 66 : 2 * 66 + 60] == 246).all(), "nothing is confused"
    assert gallery[:26, 2 * 66 : 2 * 66 + 60].min() < 128, "and that is said"
    assert gallery[92 : 92 + 26, 2 * 66 : 2 * 66 + 60].min() == 255, "once"
    assert mistakes_gallery(*report(found), each=2, cell_width=60, kinds=["missed"]).shape == (178, 60, 3)
    assert mistakes_gallery(*report(found), each=2, cell_width=60, kinds=["confused"]) is None


def test_the_best_scored_comes_first():
    found = boxes(
        ([100, 60, 140, 100], 0.9, 0), ([20, 20, 60, 60], 0.8, 1), ([150, 110, 190, 150], 0.3, 1),
        ([0, 100, 20, 120], 0.7, 1),
    )  # fmt: skip
    one = mistakes_gallery(*report(found), each=1, cell_width=60)
    other = mistakes_gallery(*report(found[[0, 1, 3]]), each=1, cell_width=60)
    assert np.array_equal(one, other)


def test_frames_are_where_the_boxes_are():
    """The missed object lies in the middle of a window of 2 * 1.1 * 40 pixels, moved inside the picture."""
    judged = report(boxes(([100, 60, 140, 100], 0.9, 0)))
    cell = mistakes_gallery(*judged, each=1, cell_width=88, kinds=["missed"])[26:114]
    assert cell.shape == (88, 88, 3)  # one pixel of the picture a pixel; it starts at (0, 0)
    assert cell[40, 20].tolist() == cell[20, 40].tolist() == RED
    assert cell[40, 60].tolist() == RED
    assert cell[40, 40].tolist() == [195, 195, 195], "180, a fifth of the way to white"


def test_other_objects_are_thin_and_black():
    judged = report(boxes(([20, 20, 60, 60], 0.9, 1), ([100, 60, 140, 85], 0.8, 1)))
    cell = mistakes_gallery(*judged, each=1, cell_width=88, kinds=["confused"])[26:]
    # the window's corner is at (76, 28.5), so the object's left edge is at 24; below 56 the red box is over
    assert cell[66, 24].tolist() == [20, 20, 20]
    assert cell[66, 22].tolist() == cell[66, 26].tolist() == [195, 195, 195]
    assert cell[40, 24].tolist() == RED
