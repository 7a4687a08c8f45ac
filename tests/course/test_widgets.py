"""Slider, chooser, upload: once and the same without a screen; at every change with one."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from helpers.course import widgets
from helpers.course.pictures import NamedPicture
from helpers.images import ImageError

PICTURE = NamedPicture("fallback", np.full((4, 6, 3), 9, np.uint8))


@pytest.fixture
def screen(monkeypatch):
    """As in JupyterLab; returns what was displayed."""
    shown = []
    monkeypatch.setattr(widgets, "is_headless", lambda: False)
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_headless_each_acts_once():
    calls = []
    widgets.slider(calls.append, value=0.35)
    widgets.choose(calls.append, ["a", "b"])
    widgets.upload(calls.append, fallback=PICTURE)
    assert calls == [0.35, "a", PICTURE]


def test_nothing_to_choose_from_is_an_error():
    with pytest.raises(ValueError, match="options: expected at least one, got none"):
        widgets.choose(print, [])


def test_a_slider_acts_at_once_and_at_every_move(screen):
    calls = []
    widgets.slider(calls.append, value=0.35, label="score")
    screen[0].children[0].value = 0.5
    assert calls == [0.35, 0.5]


@pytest.mark.parametrize(("step", "digits"), [(0.01, ".2f"), (1, ".0f")])
def test_a_slider_of_whole_numbers_shows_whole_numbers(screen, step, digits):
    widgets.slider(lambda _: None, value=3, maximum=9, step=step)
    assert screen[0].children[0].readout_format == digits


def test_a_chooser_lists_names_and_hands_over_the_option(screen):
    calls = []
    other = NamedPicture("other", PICTURE.image_bgr)
    widgets.choose(calls.append, [PICTURE, other])
    box = screen[0].children[0]
    assert [label for label, _ in box.options] == ["fallback", "other"]
    box.value = 1
    assert calls == [PICTURE, other]


def test_an_upload_is_decoded(screen):
    calls = []
    widgets.upload(calls.append, fallback=PICTURE)
    jpeg = bytes(cv2.imencode(".png", PICTURE.image_bgr)[1])
    file = {"name": "../mine.png", "type": "image/png", "size": len(jpeg), "content": memoryview(jpeg)}
    screen[0].children[0].value = ({**file, "last_modified": datetime(2026, 1, 1, tzinfo=UTC)},)
    assert [picture.name for picture in calls] == ["fallback", "mine"]
    assert np.array_equal(calls[1].image_bgr, PICTURE.image_bgr)


def test_an_upload_that_is_no_picture_is_said_in_one_line(screen, capsys):
    calls = []
    widgets.upload(calls.append, fallback=PICTURE)
    file = {"name": "page.jpg", "type": "image/jpeg", "size": 6, "content": memoryview(b"<html>")}
    screen[0].children[0].value = ({**file, "last_modified": datetime(2026, 1, 1, tzinfo=UTC)},)
    assert calls == [PICTURE]
    said = capsys.readouterr().out.splitlines()[-1]
    assert "page.jpg: expected a complete picture (JPEG, PNG, ...), found text that begins '<html>'" in said


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        widgets._decoded({"name": "x.jpg", "content": b"<html>"})


def test_labels_are_said_in_the_lessons_language(marked, screen, monkeypatch):
    monkeypatch.setattr("ipywidgets.Output.clear_output", lambda self, wait: None)
    calls = []
    widgets.slider(calls.append, value=0.35, label="score")
    widgets.choose(calls.append, ["a", "b"], label="picture")
    widgets.upload(calls.append, fallback=PICTURE, label="yours")
    controls = [box.children[0] for box in screen]
    assert [control.description for control in controls] == ["«score»", "«picture»", "«yours»"]
    assert [text for text, _ in controls[1].options] == ["«a»", "«b»"]
    assert calls == [0.35, "a", PICTURE], "what an action receives is not a label"
