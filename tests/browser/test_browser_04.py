"""Lesson 04 in the browser: drawings before and after, the slider of detections, the first exercise."""

import re

from browser_checks import LessonChecks


class TestLesson04(LessonChecks):
    lesson = "04"

    def test_drawings_are_no_wider_than_the_page(self, reader):
        for name in ("04-edit1-code", "04-edit2-code", "04-edit4-code"):
            drawing = reader.show(name).locator("[data-mime-type='image/svg+xml'] :is(img, svg)")
            place = reader.cell(name).locator(".jp-OutputArea").bounding_box()
            assert 100 < drawing.bounding_box()["width"] <= place["width"]
            reader.picture(f"before-after-{name.split('-')[1]}", name, ".jp-OutputArea")

    def test_the_slider_feeds_as_many_detections_as_it_says(self, reader):
        said = reader.output_after("04-slider", lambda: reader.slide("04-slider", 0.1))
        reader.picture("slider", "04-slider")
        count, filled = map(int, re.search(r"(\d+) detections in, (\d+) slots filled", said).groups())
        assert 20 <= count <= 40
        assert filled == count

    def test_an_exercise_wrongly_and_rightly(self, reader):
        said = reader.answer("04-exercise-1", "= ...", "= [2, 3, 4, 5, 1, 0]")
        reader.picture("exercise-wrong", "04-exercise-1")
        assert reader.is_hint(said, "04.1")
        assert "5, 4, 0" not in said
        said = reader.answer("04-exercise-1", "[2, 3, 4, 5, 1, 0]", "[5, 4, 0, 1, 2, 3]")
        reader.picture("exercise-right", "04-exercise-1")
        assert reader.is_right(said, "04.1")
