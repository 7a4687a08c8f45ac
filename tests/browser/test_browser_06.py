"""Lesson 06 in the browser: the slider of scores, another picture, a picture of one's own, a broken one."""

import re

import pytest
from browser_checks import LessonChecks

from helpers.images import save_image
from helpers.training.smears import draw_smear

BROKEN = {
    "broken.png": b"\x89PNG\r\n\x1a\nand then nothing",
    "page.jpg": b"<html>404 Not Found</html>",
    "no.jpg": b"",
}


def boxes(said: str) -> int:
    """How many boxes a line such as `above 0.50: 23 RBC, 1 WBC` counts."""
    return sum(map(int, re.findall(r"(\d+) [A-Z]", said.rpartition(":")[2])))


class TestLesson06(LessonChecks):
    lesson = "06"

    def test_a_higher_score_leaves_fewer_boxes(self, reader):
        before = reader.output("06-slider")
        reader.picture("slider-before", "06-slider")
        said = reader.output_after("06-slider", lambda: reader.slide("06-slider", 0.95))
        reader.picture("slider-after", "06-slider")
        assert "above 0.50" in before
        assert float(re.search(r"above (0\.\d\d)", said)[1]) > 0.85
        assert boxes(said) < boxes(before)
        assert reader.cell("06-slider").locator("img").count() == 1, "the old picture is gone"

    def test_another_picture_from_the_list(self, reader):
        box = reader.show("06-choose").locator("select")
        names = box.locator("option").all_text_contents()
        said = reader.output_after("06-choose", lambda: box.select_option(names[3]))
        reader.picture("choose", "06-choose")
        assert names[3] in said
        assert boxes(said) > 10

    def test_a_picture_of_ones_own(self, reader, tmp_path):
        picture = save_image(tmp_path / "my-slide.png", draw_smear(9321, (800, 500)).image_bgr)
        before = reader.cell("06-upload").locator("img").get_attribute("src")
        said = reader.output_after("06-upload", lambda: reader.upload("06-upload", picture))
        reader.picture("upload", "06-upload")
        assert "my-slide" in said
        assert boxes(said) > 5
        assert reader.cell("06-upload").locator("img").get_attribute("src") != before

    @pytest.mark.parametrize("name", BROKEN)
    def test_a_broken_file_is_one_sentence(self, reader, tmp_path, name):
        broken = tmp_path / name
        broken.write_bytes(BROKEN[name])
        said = reader.output_after("06-upload", lambda: reader.upload("06-upload", broken))
        reader.picture(f"upload-{broken.stem}", "06-upload")
        assert said.count("\n") == 0
        assert name in said
        assert "Traceback" not in said
        assert reader.cell("06-upload").locator("img").count() == 0

    def test_after_a_broken_file_a_good_one(self, reader, tmp_path):
        picture = save_image(tmp_path / "second.png", draw_smear(9322, (640, 480)).image_bgr)
        said = reader.output_after("06-upload", lambda: reader.upload("06-upload", picture))
        assert "second" in said
        assert boxes(said) > 5

    def test_an_exercise_wrongly_and_rightly(self, reader):
        said = reader.answer("06-exercise-1", "= ...", "= (500, 150)")
        reader.picture("exercise-wrong", "06-exercise-1")
        assert reader.is_hint(said, "06.1")
        assert "290" not in said
        said = reader.answer("06-exercise-1", "(500, 150)", "(500, 290)")
        reader.picture("exercise-right", "06-exercise-1")
        assert reader.is_right(said, "06.1")
