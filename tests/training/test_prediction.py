"""Suppression box by box, and boxes brought back to the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.detections import Detections
from helpers.training.prediction import predictor


class Fixed(torch.nn.Module):
    """A network that answers every picture with the same rows `[N, 5 + C]`."""

    def __init__(self, rows: list[list[float]], values: int = 7) -> None:
        super().__init__()
        self.rows = torch.tensor(rows, dtype=torch.float32).reshape(1, -1, values)

    def forward(self, images: object) -> torch.Tensor:
        return self.rows


def found_of(rows: list[list[float]], values: int = 7) -> Detections:
    """What is found on a square picture that needs no letterbox."""
    return predictor(Fixed(rows, values), 640)(np.zeros((640, 640, 3), np.uint8))


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
    assert found_of(rows).scores.tolist() == pytest.approx(kept)


def test_the_best_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.training.prediction.LIMIT", 3)
    rows = [row(30 * index + 15, 0.1 + index / 100, 0) for index in range(20)]
    assert found_of(rows).scores.tolist() == pytest.approx([0.29, 0.28, 0.27])


def test_classes_and_thresholds() -> None:
    found = found_of([row(20, 0.5, 1), row(60, 0.9, 0)])
    assert found.class_ids.tolist() == [0, 1]
    network = Fixed([row(20, 0.5, 0), row(21, 0.9, 0), row(90, 0.2, 0)])
    picture = np.zeros((640, 640, 3), np.uint8)
    # 20 px boxes, 1 px apart: IoU 19 / 21 = 0.905
    assert len(predictor(network, iou_threshold=0.91)(picture)) == 3
    assert len(predictor(network, score_threshold=0.3)(picture)) == 1


def test_one_class_scores_by_objectness_alone() -> None:
    assert found_of([[20, 20, 9, 9, 0.5, 0.1]], values=6).scores.tolist() == [0.5]


def test_boxes_are_in_the_picture() -> None:
    network = Fixed([[32.0, 32.0, 64.0, 16.0, 0.9, 1.0, 0.0]])
    found = predictor(network, 64)(np.zeros((50, 100, 3), np.uint8))
    # letterboxed: scale 0.64, 16 rows of border; 64x16 at the middle is the whole width, rows 12.5 to 37.5
    assert found.boxes_xyxy[0].tolist() == pytest.approx([0, 12.5, 100, 37.5], abs=0.01)
