"""The pipeline on one page: shapes as the files have them, in words of every language, nothing cut off."""

from __future__ import annotations

import itertools
import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helpers.course import cheat_sheet, language
from helpers.course.needs import CHAINS, require
from helpers.course.picker import CourseModel
from helpers.course.place import repository


@pytest.fixture(params=language.LANGUAGES)
def page(request, monkeypatch):
    monkeypatch.setenv("YOLOV7_CHECKED", "1")  # a label without an entry is an error
    sheet = cheat_sheet.sheet()
    with language.speaking(request.param):
        language.translate_figure(sheet)
    return sheet


@pytest.mark.parametrize("kind", [kind for kind in CHAINS if kind not in ("fp16", "int8")])
def test_the_shapes_are_those_of_the_files(kind):
    path = require(CourseModel("blood-cells"), kind)
    (stage,) = (s for s in cheat_sheet.STAGES if path.name == f"blood-cells{s.ending}")
    assert stage.shape == cheat_sheet.shapes_of(path)


def test_the_rows_of_the_raw_graph_are_the_grids():
    grids = re.search(r"3 · \((\d+)² \+ (\d+)² \+ (\d+)²\) = (\d+)", str(cheat_sheet.FORMULAS))
    assert grids
    *sides, total = map(int, grids.groups())
    assert 3 * sum(side * side for side in sides) == total == 25200
    assert f"[1, {total}, 8]" in cheat_sheet.STAGES[1].shape


def test_no_text_leaves_the_page_or_runs_into_another(page):
    canvas = FigureCanvasAgg(page)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [*page.axes[0].texts, page.axes[0]._left_title]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    width, height = canvas.get_width_height()
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text  # noqa: PT018
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} on {other!r}"


@pytest.mark.parametrize("name", ["cheat-sheet", "cheat-sheet.zh-CN"])
def test_the_committed_page_is_one_sheet_of_a4(name):
    text = (repository() / "docs" / f"{name}.pdf").read_bytes()
    assert text.startswith(b"%PDF-")
    sizes = re.findall(rb"/MediaBox \[ ?([\d. ]+)\]", text)
    assert len(sizes) == 1
    width, height = (round(float(side) / 72 * 25.4) for side in sizes[0].split()[2:])
    assert (width, height) == (297, 210)


def test_writing_it_twice_gives_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in cheat_sheet.write_sheet(tmp_path, "zh-CN")]
    assert [path.read_bytes() for path in cheat_sheet.write_sheet(tmp_path, "zh-CN")] == first
    assert {path.name for path in tmp_path.iterdir()} == {"cheat-sheet.zh-CN.pdf", "cheat-sheet.zh-CN.png"}
