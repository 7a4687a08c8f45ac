"""Suppression box by box, and boxes brought back to the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.training.prediction import predictor, suppress


def row(cx: float, score: float, class_id: int) -> list[float]:
    return [cx, 20, 20, 20, score, *(1.0 if c == class_id else 0.0 for c in range(2))]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([], []),
        ([row(20, 0.0005, 0)], []),
        ([row(20, 0.5, 0), row(21, 0.9, 0)], [0.9]),
        ([row(20, 0.5, 0), row(21, 0.9, 1)], [0.9, 0.5]),
        ([row(20, 0.5, 0), row(60, 0.9, 0)], [0.9, 0.5]),
        (
            [row(20, 0.9, 0), row(24, 0.8, 0), row(28, 0.7, 0)],
            [0.9, 0.7],
        ),  # the second is gone, so the third stays
    ],
)
def test_suppress(rows: list[list[float]], kept: list[float]) -> None:
    found = suppress(np.array(rows, np.float32).reshape(-1, 7))
    assert found.scores.tolist() == pytest.approx(kept)


def test_suppress_keeps_the_best_up_to_the_limit() -> None:
    rows = np.array([row(30 * index, 0.1 + index / 100, 0) for index in range(20)], np.float32)
    assert suppress(rows, limit=3).scores.tolist() == pytest.approx([0.29, 0.28, 0.27])


def test_one_class_scores_by_objectness_alone() -> None:
    assert suppress(np.array([[20, 20, 9, 9, 0.5, 0.1]], np.float32)).scores.tolist() == [0.5]


def test_predictor_gives_boxes_in_the_picture() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, images: object) -> object:
            return torch.tensor([[[32.0, 32.0, 64.0, 16.0, 0.9, 1.0, 0.0]]])

    found = predictor(Fixed(), 64)(np.zeros((50, 100, 3), np.uint8))
    # letterboxed: scale 0.64, 16 rows of border; 64x16 at the middle is the whole width, rows 12.5 to 37.5
    assert found.boxes_xyxy[0].tolist() == pytest.approx([0, 12.5, 100, 37.5], abs=0.01)
