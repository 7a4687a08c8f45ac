"""Average precision on a small drawn data set in COCO's form, the answers known by hand."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from helpers.detections import Detections
from helpers.training.coco import CocoFolder, CocoReport, _score, category_ids, evaluate_coco
from helpers.training.datasets import DatasetError

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
NAMES = ("cat", "dog")
# A picture's grey value says which it is: file name -> (id, grey), and its objects (class, x, y, w, h).
PICTURES = {"a.png": (7, 40), "b.png": (9, 90)}
OBJECTS = {7: [("cat", 10, 10, 100, 100), ("dog", 120, 10, 60, 100)], 9: [("cat", 20, 20, 100, 100)]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    numbers = {each["name"]: each["id"] for each in CATEGORIES}
    images, annotations = [], []
    for name, (number, grey) in PICTURES.items():
        picture = np.full((160, 200, 3), grey, np.uint8)
        images.append({"id": number, "file_name": name, "width": 200, "height": 160})
        for kind, x, y, w, h in OBJECTS[number]:
            cv2.rectangle(picture, (x, y), (x + w, y + h), (0, 0, 255), 2)
            entry = {"image_id": number, "category_id": numbers[kind], "bbox": [x, y, w, h], "area": w * h}
            annotations.append({**entry, "iscrowd": 0, "id": len(annotations) + 1})
        cv2.imwrite(str(tmp_path / "val2017" / name), picture)
    write(tmp_path, images=images, annotations=annotations, categories=CATEGORIES)
    return CocoFolder(tmp_path)


def write(root, **content):
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


def knows(objects=OBJECTS, score=0.9):
    """A detector that reads the picture's grey value and finds what `objects` says."""

    def predict(image_bgr):
        number = {grey: number for number, grey in PICTURES.values()}[int(image_bgr[0, 0, 0])]
        found = objects.get(number, [])
        boxes = np.array([[x, y, x + w, y + h] for _, x, y, w, h in found], np.float32).reshape(-1, 4)
        return Detections(boxes, np.full(len(found), score), [NAMES.index(kind) for kind, *_ in found])

    return predict


def test_no_detections(folder):
    report = evaluate_coco(lambda _: Detections.empty(), folder, NAMES)
    assert (report.ap, report.ap50, report.pictures, report.boxes) == (0.0, 0.0, 2, 0)


def test_all_found(folder):
    report = evaluate_coco(knows(), folder, NAMES)
    assert report.ap == pytest.approx(1.0)
    assert report.ap_large == pytest.approx(1.0)
    assert report.ap_medium == pytest.approx(1.0)  # the dog, 6000 px
    assert report.ap_small == -1  # there is none
    assert (report.pictures, report.boxes) == (2, 3)


def test_one_class_missed_is_half(folder):
    cats = {number: [each for each in objects if each[0] == "cat"] for number, objects in OBJECTS.items()}
    assert evaluate_coco(knows(cats), folder, NAMES).ap == pytest.approx(0.5)


def test_classes_go_to_cocos_ids(folder):
    """Cat and dog exchanged: every box is right, every class wrong."""
    other = {"cat": "dog", "dog": "cat"}
    wrong = {number: [(other[kind], *box) for kind, *box in objects] for number, objects in OBJECTS.items()}
    assert evaluate_coco(knows(wrong), folder, NAMES).ap == 0


def test_overlap_by_hand(folder):
    """Boxes 77 of 100 high have IoU 0.77: right at 0.50, 0.55, ... 0.75, six of ten overlaps."""
    lower = {n: [(kind, x, y, w, 0.77 * h) for kind, x, y, w, h in objects] for n, objects in OBJECTS.items()}
    report = evaluate_coco(knows(lower), folder, NAMES)
    assert (report.ap, report.ap50, report.ap75) == pytest.approx((0.6, 1.0, 1.0))


def test_a_false_alarm_before_the_truth_by_hand(folder):
    """One wrong cat scored best: precision 1/2 at recall 1/2, 2/3 at recall 1; AP = 2/3 from then on."""

    def predict(image_bgr):
        found = knows()(image_bgr)
        alarm = Detections(np.array([[150, 130, 190, 150]]), [0.99], [0])
        rows = [found.to_rows(), alarm.to_rows()] if image_bgr[0, 0, 0] == 40 else [found.to_rows()]
        return Detections.from_rows(np.concatenate(rows))

    assert evaluate_coco(predict, folder, NAMES).ap == pytest.approx((1 + 2 / 3) / 2)


def test_crowds_neither_count_nor_hurt(folder):
    content = folder.read()
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][0]["segmentation"] = {"counts": [0, 200 * 160], "size": [160, 200]}
    write(folder.root, **content)
    assert evaluate_coco(knows(), folder, NAMES).ap == pytest.approx(1.0)


def test_the_first_pictures_only(folder):
    seen = []
    report = evaluate_coco(
        knows(), folder, NAMES, limit=1, progress=lambda images: seen.extend(images) or images
    )
    assert [each["id"] for each in seen] == [7]
    assert (report.ap, report.pictures) == (pytest.approx(1.0), 1)


def test_categories():
    assert category_ids([], CATEGORIES) == [17, 18]  # a graph without names
    assert category_ids(["dog", "cat"], CATEGORIES) == [18, 17]
    assert category_ids(["class0", "class1"], CATEGORIES) == [17, 18]
    assert category_ids(["dog"], CATEGORIES) == [18]
    with pytest.raises(DatasetError, match="expected the 2 of the annotations, got 1 others"):
        category_ids(["cell"], CATEGORIES)


def test_cocos_eighty_classes_in_ninety_ids():
    from helpers.patches.metadata import COCO_NAMES

    missing = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    ids = [number for number in range(1, 91) if number not in missing]
    categories = [{"id": i, "name": name} for i, name in zip(ids, COCO_NAMES, strict=True)]
    assert category_ids(COCO_NAMES, reversed(categories)) == ids
    assert category_ids([f"class{i}" for i in range(80)], categories)[-1] == 90


def test_a_graph_without_names(folder):
    assert evaluate_coco(knows(), folder, ()).ap == pytest.approx(1.0)
    with pytest.raises(DatasetError, match="class 2: expected less than 2"):
        evaluate_coco(lambda _: Detections(np.array([[1, 1, 9, 9]]), [0.5], [2]), folder, ())


def test_folders_that_cannot_be_read(folder, tmp_path):
    with pytest.raises(
        DatasetError, match="Fix: --coco is the folder that holds annotations/instances_val2017"
    ):
        CocoFolder(tmp_path / "none").read()
    for content in ("{", "[]", '{"images": []}'):
        (tmp_path / "annotations" / "instances_val2017.json").write_text(content)
        with pytest.raises(DatasetError, match="Fix: "):
            folder.read()
    write(tmp_path, images=[], annotations=[], categories=CATEGORIES)
    with pytest.raises(DatasetError, match="expected pictures, got none"):
        evaluate_coco(knows(), folder, NAMES)


def test_a_picture_that_is_missing(folder):
    from helpers.images import ImageError

    (folder.root / "val2017" / "b.png").unlink()
    with pytest.raises(ImageError, match=r"b\.png"):
        evaluate_coco(knows(), folder, NAMES)


def test_the_same_as_the_reference_evaluator(tmp_path, rng):
    """Random boxes on 40 pictures, crowds among them: the figures of pycocotools, digit for digit."""
    import contextlib
    import io

    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    numbers = [1, 3, 17, 90]
    images = [{"id": i, "width": 640, "height": 480, "file_name": ""} for i in range(5, 45)]
    labels, results = [], []
    for image in images:
        for _ in range(rng.integers(0, 9)):
            (x, y), (w, h), category = (
                rng.uniform(0, 300, 2),
                rng.uniform(8, 250, 2),
                int(rng.choice(numbers)),
            )
            entry = {"image_id": image["id"], "category_id": category, "bbox": [x, y, w, h]}
            crowd = {"iscrowd": 1, "segmentation": {"counts": [0, 640 * 480], "size": [480, 640]}}
            extra = crowd if rng.random() < 0.1 else {"iscrowd": 0}
            labels.append({**entry, "id": len(labels) + 1, "area": w * h, **extra})
            moved = [x + rng.normal() * w * 0.08, y, w * rng.uniform(0.85, 1.15), h]
            results.append({**entry, "bbox": moved, "score": float(rng.random())})
        noise = {"category_id": int(rng.choice(numbers)), "bbox": rng.uniform(0, 200, 4).tolist()}
        results.append({"image_id": image["id"], "score": float(rng.random()), **noise})
    categories = [{"id": number, "name": str(number)} for number in numbers]
    content = {"images": images, "annotations": labels, "categories": categories}
    ours = _score(json.loads(json.dumps(content)), json.loads(json.dumps(results)), [i["id"] for i in images])
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {"info": {}, **content}
        truth.createIndex()
        run = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    assert list(ours.values()) == pytest.approx(run.stats[:6].tolist(), abs=1e-12)
    assert 0.1 < ours["ap"] < 0.9


def test_without_the_evaluator(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="pip install faster-coco-eval"):
        evaluate_coco(knows(), folder, NAMES)


def test_the_report_in_words():
    text = str(CocoReport(0.512, 0.697, 0.555, -1, 0.5, 0.25, 3, 9))
    assert text.splitlines()[0] == "AP 51.2%, AP50 69.7%, AP75 55.5% on 3 pictures (9 boxes found)"
