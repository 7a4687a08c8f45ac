"""The README's picture: both halves of one drawing, boxes where the detector says, small enough."""

from pathlib import Path

import numpy as np

from helpers.course.pictures import drawn
from helpers.course.portrait import MAX_BYTES, PORTRAIT_SEED, make_portrait, portrait
from helpers.detections import Detections
from helpers.images import load_image


class OneBox:
    """A detector that finds one white cell in the middle, whatever it is shown."""

    names = ("RBC", "WBC")

    def detect(self, image_bgr):
        assert image_bgr.shape == (480, 640, 3)
        return Detections([[160, 120, 480, 360]], [0.9], [1])


def test_the_left_half_is_the_drawing_and_the_right_half_has_the_box():
    picture = portrait(OneBox(), seed=3, width=320)
    assert picture.shape == (240, 648, 3)
    left, gutter, right = picture[:, :320], picture[:, 320:328], picture[:, 328:]
    assert (gutter == 255).all()
    small = drawn(1, first_seed=3)[0].image_bgr.reshape(240, 2, 320, 2, 3).mean((1, 3))
    assert np.abs(left - small).mean() < 2
    changed = (np.abs(left.astype(int) - right).max(2) > 60).nonzero()
    assert abs(changed[0].max() - 180) <= 1
    assert abs(changed[1].min() - 80) <= 1
    assert abs(changed[1].max() - 240) <= 1


def test_the_bundled_models_picture_is_small_and_the_same_every_time(tmp_path):
    first = make_portrait(tmp_path / "docs" / "result.jpg")
    assert first.stat().st_size <= MAX_BYTES < 120_000
    again = make_portrait(tmp_path / "again.jpg", PORTRAIT_SEED)
    assert first.read_bytes() == again.read_bytes()
    assert load_image(first).shape == (465, 1248, 3)


def test_the_command_writes_it_and_says_where(monkeypatch, tmp_path, capsys):
    from helpers.__main__ import main
    from helpers.course import cheat_sheet, gallery
    from helpers.course import portrait as module

    target = tmp_path / "result.jpg"
    target.write_bytes(b"x" * 85_300)
    sheet = tmp_path / "sheet.pdf"
    sheet.write_bytes(b"x" * 1000)
    monkeypatch.setattr(module, "make_portrait", lambda: target)
    monkeypatch.setattr(cheat_sheet, "write_sheet", lambda _folder, language: [sheet] * (language == "en"))
    monkeypatch.setattr(gallery, "update", lambda: [Path("docs/gallery/none.jpg")])
    assert main(["course", "picture"]) == 0
    said = "result.jpg  85 kB\nsheet.pdf  1 kB\ndocs/gallery/none.jpg  removed\n"
    assert capsys.readouterr().out == said
