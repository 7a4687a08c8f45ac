"""What holds for every lesson after "Run All Cells": the classes in tests/browser inherit these tests."""

from __future__ import annotations


class LessonChecks:
    """Tests of one lesson; a class that inherits them names it.

    Attributes:
        lesson: Its number, two digits.
    """

    lesson = ""

    def test_every_cell_ran_in_order(self, reader):
        assert reader.counts() == [str(number) for number in range(1, len(reader.code) + 1)]

    def test_nothing_failed_and_nothing_was_written_to_stderr(self, reader):
        assert reader.problems("failures") == {}

    def test_every_picture_is_there(self, reader):
        assert reader.page.evaluate("document.querySelectorAll(course.drawn).length") > 0
        assert reader.problems("unseen") == {}

    def test_nothing_is_wider_than_the_page(self, reader):
        assert reader.problems("wide") == {}

    def test_no_printed_line_is_folded(self, reader):
        assert reader.problems("folded") == {}

    def test_the_whole_lesson_in_pictures(self, reader):
        reader.pictures("light")

    def test_it_can_be_read_in_the_light_theme(self, reader):
        assert reader.problems("faint") == {}

    def test_it_can_be_read_in_the_dark_theme(self, reader):
        reader.theme("JupyterLab Dark")
        try:
            reader.pictures("dark")
            assert reader.problems("faint") == {}
        finally:
            reader.theme("JupyterLab Light")

    def test_nothing_came_from_the_network(self, reader):
        assert reader.outside == []

    def test_the_browser_had_nothing_to_complain_of(self, reader):
        assert reader.complaints == []
