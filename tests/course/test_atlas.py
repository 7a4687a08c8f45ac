"""The map of the course: a card for each lesson, links only where they lead; and the pipeline's figure."""

import re

import pytest

from helpers.course.atlas import CARDS, course_map, pipeline_figure
from helpers.course.charts import render


def test_the_lessons_of_the_course_are_on_the_map_in_order(repository):
    there = sorted(path.stem for path in (repository / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    stems = [card.stem for card in CARDS]
    assert stems == sorted(stems)
    assert set(there) <= set(stems)


def test_only_lessons_that_are_there_are_links(tmp_path):
    (tmp_path / "02_export.ipynb").touch()
    page = course_map(tmp_path)._repr_html_()
    assert re.findall(r'href="([^"]+)"', page) == ["02_export.ipynb"]
    assert page.count("comes later") == len(CARDS) - 1


def test_the_text_form_names_every_lesson_and_what_comes_later(tmp_path):
    (tmp_path / "00_start_here.ipynb").touch()
    lines = repr(course_map(tmp_path)).splitlines()
    assert [line[:2] for line in lines] == [card.number for card in CARDS]
    assert [line.endswith("(later)") for line in lines] == [False] + [True] * (len(CARDS) - 1)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_pipeline_has_a_card_for_each_file_and_one_at_each_end(count):
    files = {f"file {number}": (f"step {number}", f"[{number}]") for number in range(count)}
    chart = pipeline_figure(files, "best.pt")
    words = [text.get_text() for text in chart.axes[0].texts]
    assert [word for word in words if word.startswith("file")] == list(files)
    assert "best.pt" in words
    assert len(chart.axes[0].patches) == count + 2
    assert render(chart).std() > 5


def test_every_word_on_a_card_is_said_in_the_lessons_language(marked, tmp_path):
    (tmp_path / "00_start_here.ipynb").touch()
    there, first = CARDS[0], course_map(tmp_path)._repr_html_().split("</div>")[0]
    assert all(f"«{word}»" in first for word in (there.title, there.about, there.result))
    assert course_map(tmp_path)._repr_html_().count("«comes later»") == len(CARDS) - 1
    assert f"«{there.title}» " in repr(course_map(tmp_path))
    assert f"«{there.about}»\n" in repr(course_map(tmp_path))
    assert repr(course_map(tmp_path)).count("(«later»)") == len(CARDS) - 1


def test_titles_of_wide_characters_leave_the_columns_straight(monkeypatch, tmp_path):
    said = {"Export": "导出", "a checkpoint becomes a graph": "about", "Inspect": "in"}
    monkeypatch.setattr("helpers.course.atlas.wording", lambda text, label: said.get(text, text))
    export, inspect = repr(course_map(tmp_path)).splitlines()[2:4]
    assert export.index("about") + 2 == inspect.index("what is inside"), "two characters take four columns"
