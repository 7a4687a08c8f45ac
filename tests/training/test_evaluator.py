"""The bridge to the evaluator: the same tables and pairs as pycocotools', and pairs known by hand."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from typing import Any

import numpy as np
import pytest
from random_boxes import pictures

from helpers.detections import Detections
from helpers.training.evaluator import LIMIT, match_pairs, run_evaluator, tables

pytest.importorskip("faster_coco_eval")
NOTHING = Detections.empty()


def reference(truth: list[Detections], found: list[Detections], **settings: Any) -> Any:
    """pycocotools on the same boxes, its records written here and not by the code under test."""
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    def records(group: list[Detections], **more: Any) -> list[dict[str, Any]]:
        rows = []
        for number, each in enumerate(group):
            for row in range(len(each)):
                x0, y0, x1, y1 = (float(value) for value in each.boxes_xyxy[row])
                bbox = [x0, y0, x1 - x0, y1 - y0]
                rows.append(
                    {"image_id": number, "category_id": int(each.class_ids[row]), "bbox": bbox,
                     "score": float(each.scores[row]), "area": bbox[2] * bbox[3], **more}
                )  # fmt: skip
        return [{**row, "id": number} for number, row in enumerate(rows, start=1)]

    with contextlib.redirect_stdout(io.StringIO()):
        labels = coco.COCO()
        labels.dataset = {
            "info": {}, "images": [{"id": number} for number in range(len(truth))],
            "annotations": records(truth, iscrowd=0), "categories": [{"id": i} for i in range(3)],
        }  # fmt: skip
        labels.createIndex()
        run = COCOeval(labels, labels.loadRes(records(found)), "bbox")
        for name, value in settings.items():
            setattr(run.params, name, value)
        run.evaluate()
        run.accumulate()
    return run


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tables_of_the_reference_evaluator(seed: int) -> None:
    truth, found = pictures(seed)
    ours, theirs = tables(truth, found, 3), reference(truth, found, maxDets=[1, 10, LIMIT])
    for table in ("precision", "scores", "recall"):
        assert np.abs(ours.eval[table] - theirs.eval[table]).max() < 1e-12
    assert 0.02 < ours.eval["precision"][0, :, :, 0, -1].mean() < 0.98


@pytest.mark.parametrize("same_class", [True, False])
@pytest.mark.parametrize("overlap", [0.5, 0.75])
def test_pairs_of_the_reference_evaluator(same_class: bool, overlap: float) -> None:
    truth, found = pictures(4)
    run = reference(truth, found, useCats=int(same_class), iouThrs=np.array([overlap]), maxDets=[LIMIT])
    firsts = [np.cumsum([0, *map(len, group)]) for group in (found, truth)]
    expected: list[set[tuple[int, int]]] = [set() for _ in truth]
    for image in run.evalImgs:
        if image and image["aRng"] == run.params.areaRng[0]:
            for box, item in zip(image["dtIds"], image["dtMatches"][0], strict=True):
                if item:
                    number = image["image_id"]
                    expected[number].add((box - 1 - firsts[0][number], int(item) - 1 - firsts[1][number]))
    ours = match_pairs(truth, found, iou_threshold=overlap, same_class=same_class)
    assert [{(int(a), int(b)) for a, b in each} for each in ours] == expected
    assert sum(len(each) for each in ours) > 20


@pytest.mark.parametrize(
    ("truth", "found", "shapes"),
    [
        ([], [], []),
        ([NOTHING], [NOTHING], [(0, 2)]),
        ([Detections([[0, 0, 9, 9]], [1], [0])], [NOTHING], [(0, 2)]),
        ([NOTHING], [Detections([[0, 0, 9, 9]], [1], [0])], [(0, 2)]),
    ],
)
def test_nothing(truth: list[Detections], found: list[Detections], shapes: list[tuple[int, int]]) -> None:
    assert [pairs.shape for pairs in match_pairs(truth, found)] == shapes


def test_the_better_score_comes_first_and_takes_its_best_object() -> None:
    """Both boxes overlap both objects; the later row scores higher, so it chooses first."""
    truth = Detections([[0, 0, 10, 10], [2, 0, 12, 10]], [1, 1], [0, 0])
    found = Detections([[0, 0, 10, 10], [1, 0, 10, 10]], [0.5, 0.9], [0, 0])
    assert match_pairs([truth], [found])[0].tolist() == [[0, 1], [1, 0]]


def test_classes_matter_or_not() -> None:
    truth, found = Detections([[0, 0, 10, 10]], [1], [0]), Detections([[0, 0, 10, 10]], [0.9], [2])
    assert match_pairs([truth], [found])[0].tolist() == []
    assert match_pairs([truth], [found], same_class=False)[0].tolist() == [[0, 0]]


def test_pairs_stay_in_their_picture() -> None:
    one, two = Detections([[0, 0, 10, 10]], [0.9], [0]), Detections([[0, 0, 10, 10]] * 2, [0.9, 0.8], [1, 0])
    assert [pairs.tolist() for pairs in match_pairs([one, two], [two, one])] == [[[1, 0]], [[0, 1]]]


def test_more_detections_than_the_limit() -> None:
    """Pairs have no limit: the only right one among 400 scores worst, and is found."""
    boxes = [[50, 50, 60, 60]] * 400 + [[0, 0, 10, 10]]
    found = Detections(boxes, np.linspace(0.9, 0.1, 401), [0] * 401)
    assert match_pairs([Detections([[0, 0, 10, 10]], [1], [0])], [found])[0].tolist() == [[400, 0]]


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="pip install faster-coco-eval"):
        run_evaluator({}, [])


def test_objects_of_any_size_are_alike() -> None:
    """A large and a small object overlap the box; it takes the one that it fits, the large one."""
    truth = Detections([[0, 0, 300, 300], [0, 0, 400, 400]], [1, 1], [0, 0])
    found = Detections([[0, 0, 400, 400]], [0.9], [0])
    assert match_pairs([truth], [found])[0].tolist() == [[0, 1]]
    tiny = Detections(truth.boxes_xyxy / 100, [1, 1], [0, 0])
    assert match_pairs([tiny], [Detections([[0, 0, 4, 4]], [0.9], [0])])[0].tolist() == [[0, 1]]
