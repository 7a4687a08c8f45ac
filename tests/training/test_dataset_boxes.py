"""The check of one picture's boxes: each kind of flaw on both sides of its limit, and what fixing keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.training.dataset_boxes import judge
from helpers.training.dataset_entries import Entry, Row

NAMES = ("cell", "dot")


def entry(*boxes, **more):
    rows = [Row(10 + n, class_id, box) for n, (class_id, *box) in enumerate(boxes)]
    return Entry(Path("a.jpg"), Path("a.txt"), rows, **more)


def test_no_boxes():
    judged = judge(entry(), (64, 48), NAMES)
    assert (judged.written, judged.kept, judged.flaws, judged.usable) == ([], [], [], True)


@pytest.mark.parametrize(
    ("box", "kind", "kept"),
    [
        ((1, 2, 30, 40), None, (1, 2, 30, 40)),
        ((0, 0, 64, 48), None, (0, 0, 64, 48)),
        ((5, 6, 5, 9), "no-area", None),
        ((5, 6, 9, 6), "no-area", None),
        ((9, 6, 5, 9), "no-area", None),
        ((5, 9, 9, 6), "no-area", None),
        ((5, 6, 5.01, 6.01), None, (5, 6, 5.01, 6.01)),
        ((-9, 5, 0, 9), "outside", None),
        ((5, -9, 9, -1), "outside", None),
        ((64, 5, 70, 9), "outside", None),
        ((5, 48, 9, 50), "outside", None),
        ((-9, 5, 1, 9), "partly-outside", (0, 5, 1, 9)),
        ((5, -0.6, 9, 9), "partly-outside", (5, 0, 9, 9)),
        ((5, 6, 64.6, 9), "partly-outside", (5, 6, 64, 9)),
        ((5, 6, 9, 48.6), "partly-outside", (5, 6, 9, 48)),
        ((-0.4, -0.4, 64.4, 48.4), None, (0, 0, 64, 48)),
        ((float("nan"), 6, 9, 9), "not-a-number", None),
        ((5, 6, float("inf"), 9), "not-a-number", None),
    ],
)
def test_one_box(box, kind, kept):
    judged = judge(entry((1, *box)), (64, 48), NAMES)
    assert [(f.kind, f.line, f.path.name, f.picture.name) for f in judged.flaws] == (
        [(kind, 10, "a.txt", "a.jpg")] if kind else []
    )
    assert judged.kept == ([(1, kept)] if kept else [])
    assert str(judged.written) == str([(1, box)])
    assert judged.usable


def test_messages_have_class_corners_and_size():
    judged = judge(entry((1, 5, 6, 5, 9), (0, -9, 5, -1, 9.25), (0, 9, 6, 5, 9)), (64, 48), NAMES)
    assert [flaw.message for flaw in judged.flaws] == [
        "dot box (5, 6, 5, 9) has no area",
        "cell box (-9, 5, -1, 9.25) lies outside the picture of 64x48",
        "cell box (9, 6, 5, 9) has its corners swapped",
    ]


def test_a_file_for_many_pictures_is_told_which():
    row = Row(3, 0, (5, 6, 5, 9))
    judged = judge(Entry(Path("a.jpg"), Path("all.json"), [row]), (64, 48), NAMES)
    assert judged.flaws[0].message == "a.jpg: cell box (5, 6, 5, 9) has no area"


def test_shares_become_pixels():
    judged = judge(entry((0, 0.25, 0.5, 0.5, 1.0), relative=True), (64, 48), NAMES)
    assert judged.written == judged.kept == [(0, (16, 24, 32, 48))]


def test_a_repeated_box_of_the_same_class():
    first, other = (0, 1, 2, 30, 40), (0, 1, 2, 30, 40.2)
    judged = judge(entry(first, (1, 1, 2, 30, 40), first, other, (0, 1.04, 2, 30, 40)), (64, 48), NAMES)
    assert [(f.kind, f.line) for f in judged.flaws] == [("duplicate-box", 12), ("duplicate-box", 14)]
    assert judged.kept == [(0, (1, 2, 30, 40)), (1, (1, 2, 30, 40)), (0, (1, 2, 30, 40.2))]
    assert len(judged.written) == 5


@pytest.mark.parametrize(
    ("stated", "fix", "kept"),
    [
        (None, None, (8, 6, 32, 24)),
        ((64, 48), None, (8, 6, 32, 24)),
        ((64.0, 48.0), None, (8, 6, 32, 24)),
        ((128, 96), "scaled by 0.5", (4, 3, 16, 12)),
        ((32, 24), "scaled by 2", (16, 12, 64, 48)),
        ((0, 0), "own size", (8, 6, 32, 24)),
        ((64, -1), "own size", (8, 6, 32, 24)),
        ((64, 64), "left out", None),
        ((60, 48), "left out", None),
        ((48, 64), "left out", None),
    ],
)
def test_another_size_than_the_pictures(stated, fix, kept):
    judged = judge(entry((0, 8, 6, 32, 24), size_wh=stated, line_of_size=4), (64, 48), NAMES)
    assert [(f.kind, f.line) for f in judged.flaws] == ([("size", 4)] if fix else [])
    assert all(fix in flaw.fix for flaw in judged.flaws)
    assert judged.usable == (kept is not None)
    if kept:
        assert judged.kept == [(0, kept)]
    assert judged.written == [(0, (8, 6, 32, 24))]


@pytest.mark.parametrize(("stated", "told"), [((48, 64), True), ((50, 64), False)])
def test_a_turned_picture(stated, told):
    (flaw,) = judge(entry(size_wh=stated), (64, 48), NAMES).flaws
    assert flaw.message.startswith(f"states {stated[0]}x{stated[1]}, but a.jpg has 64x48")
    assert ("EXIF" in flaw.message) == told


def test_a_repeated_box_without_area_is_first_of_all_without_area():
    judged = judge(entry((0, 5, 6, 5, 9), (0, 5, 6, 5, 9)), (64, 48), NAMES)
    assert [flaw.kind for flaw in judged.flaws] == ["no-area", "no-area"]
