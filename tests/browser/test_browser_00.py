"""Lesson 00 in the browser: the dropdown of models, the contents, the first exercise."""

from browser_checks import LessonChecks


class TestLesson00(LessonChecks):
    lesson = "00"

    def test_the_dropdown_offers_the_models_and_stays_at_the_one_that_works(self, reader):
        box = reader.show("00-model").locator("select")
        assert box.input_value() == "blood-cells"
        assert "yolov7-e6e" in box.locator("option").all_text_contents()
        remembered = reader.lab.course / "build" / "picked-model.txt"
        for name in ("yolov7-tiny", "blood-cells"):
            said = reader.output_after("00-model", lambda name=name: box.select_option(name))
            assert f"build/{name}/" in said
            reader.picture(f"model-{name}", "00-model")
        assert remembered.read_text("utf-8") == "blood-cells\n"

    def test_every_link_of_the_contents_leads_to_its_heading(self, reader):
        links = reader.cell("00-contents").locator("li a")
        lost = [text for text in links.all_text_contents() if not reader.follows("00-contents", text)]
        reader.picture("contents")
        assert links.count() >= 8
        assert lost == []

    def test_the_map_leads_to_the_lessons(self, reader):
        reader.picture("map", "00-map", ".jp-OutputArea")
        assert reader.cell("00-map").locator("a").count() >= 10

    def test_an_exercise_wrongly_and_rightly(self, reader):
        said = reader.answer("00-exercise-1", "...", "3")
        reader.picture("exercise-wrong", "00-exercise-1")
        assert reader.is_hint(said, "00.1")
        assert "25200" not in said
        said = reader.answer("00-exercise-1", "= 3", "= 25200")
        reader.picture("exercise-right", "00-exercise-1")
        assert reader.is_right(said, "00.1")
