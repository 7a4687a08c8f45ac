"""Curves, matrix and list as they are drawn, and the table by hand."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.course.charts import render
from helpers.course.evaluation_view import evaluation_figure, list_figure, precision_table
from helpers.detections import Detections
from helpers.training.evaluation import score_detections

pytest.importorskip("faster_coco_eval")
TRUTH = Detections([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 100]], [1, 1, 1], [0, 0, 1])
FOUND = Detections([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 99]], [0.9, 0.2, 0.8], [0, 0, 0])
NAMES = ("RBC", "WBC")


@pytest.fixture(scope="module")
def axes():
    return evaluation_figure(score_detections([TRUTH], [FOUND], NAMES), title="a model").axes


def test_curves_end_where_nothing_more_is_found(axes):
    """RBC: right at 0.9, wrong at 0.8, right at 0.2: precision 1 to recall 0.5, then 2/3. WBC: nothing."""
    left = axes[0]
    curve = left.lines[0].get_xydata()
    assert curve[:51, 1] == pytest.approx(np.ones(51))
    assert curve[51:, 1] == pytest.approx(np.full(50, 2 / 3))
    assert left.get_title(loc="left") == "a model"
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == [f"RBC: AP50 {(51 + 50 * 2 / 3) / 101:.3f}", "WBC: AP50 0.000"]


def test_a_dot_marks_the_score(axes):
    dot = axes[0].lines[1]
    assert dot.get_xydata().tolist() == [[pytest.approx(0.5), pytest.approx(1.0)]]
    assert "0.25" in axes[0].get_xlabel()


def test_matrix_has_a_number_in_every_cell_but_the_corner(axes):
    right = axes[1]
    texts = {text.get_position(): text.get_text() for text in right.texts}
    assert len(texts) == 8
    assert (texts[0, 0], texts[2, 0], texts[0, 1], texts[1, 1]) == ("1", "1", "1", "0")
    assert [label.get_text() for label in right.get_xticklabels()] == ["RBC", "WBC", "missed"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["RBC", "WBC", "nothing there"]
    assert "0.25" in right.get_title(loc="left")


def test_nothing_found_and_nothing_to_find():
    empty = Detections.empty()
    for truth, found in ((TRUTH, empty), (empty, FOUND), (empty, empty)):
        assert render(evaluation_figure(score_detections([truth], [found], NAMES))).shape[2] == 3


def test_table():
    table = precision_table([True, False, True, False], 3, [0.9, 0.8, 0.6, 0.4])
    assert table.rows == (
        ("0.90", "yes", 1, "1.00", "0.33"),
        ("0.80", "no", 1, "0.50", "0.33"),
        ("0.60", "yes", 2, "0.67", "0.67"),
        ("0.40", "no", 2, "0.50", "0.67"),
    )
    assert precision_table([], 3).rows == ()
    assert precision_table([True], 3).rows == (("1", "yes", 1, "1.00", "0.33"),)


def test_list_is_lifted():
    lifted, raw = list_figure([True, False, True, False], 3).axes[0].lines
    values = np.asarray(lifted.get_ydata())
    assert values.mean() == pytest.approx(56 / 101)
    assert values[[0, 33, 34, 66, 67, 100]] == pytest.approx([1, 1, 2 / 3, 2 / 3, 0, 0])
    assert raw.get_xydata().tolist() == [
        pytest.approx(pair) for pair in ([1 / 3, 1], [1 / 3, 0.5], [2 / 3, 2 / 3], [2 / 3, 0.5])
    ]


def test_a_recall_that_is_just_reached_counts():
    lifted = list_figure([True], 1).axes[0].lines[0]
    assert np.asarray(lifted.get_ydata()).tolist() == [1.0] * 101
