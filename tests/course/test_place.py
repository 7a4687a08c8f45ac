"""Where we are: paths, headless and checked runs."""

from __future__ import annotations

import io
import os
import sys

import pytest

from helpers.course import place

NAMES = ("YOLOV7_CHECKED", "YOLOV7_HEADLESS", "CI", "PYTEST_VERSION")


@pytest.fixture
def no_signs(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name in ("CUDA_VISIBLE_DEVICES", "YOLOV7_OFFLINE", "YOLO_OFFLINE", "YOLO_AUTOINSTALL"):
        monkeypatch.setenv(name, "before")


@pytest.mark.parametrize(
    ("name", "value", "checked", "headless"),
    [
        (None, "", False, False),
        ("YOLOV7_CHECKED", "1", True, True),
        ("PYTEST_VERSION", "9.2.0", True, True),
        ("YOLOV7_HEADLESS", "1", False, True),
        ("YOLOV7_HEADLESS", "0", False, False),
        ("CI", "true", False, True),
    ],
)
def test_what_says_that_nobody_can_click(no_signs, monkeypatch, name, value, checked, headless):
    if name:
        monkeypatch.setenv(name, value)
    assert (place.is_checked(), place.is_headless()) == (checked, headless)


def test_a_reader_keeps_gpu_and_network(no_signs):
    place.settle()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "before"
    assert "YOLOV7_HEADLESS" not in os.environ


def test_a_check_has_neither(no_signs, monkeypatch):
    monkeypatch.setenv("YOLOV7_CHECKED", "1")
    monkeypatch.setenv("YOLOV7_HEADLESS", "0")
    place.settle()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert os.environ["YOLOV7_OFFLINE"] == os.environ["YOLOV7_HEADLESS"] == "1"
    assert os.environ["YOLO_OFFLINE"] == "True"


def test_the_repository_is_the_clone_wherever_one_works(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place.repository() == repository
    monkeypatch.setattr(place, "__file__", str(tmp_path / "lib" / "helpers" / "course" / "place.py"))
    assert place.repository() == tmp_path, "installed without a clone"


def test_paths_are_told_from_the_root(repository, tmp_path):
    assert place.repository() == repository
    assert place.relative(repository / "build" / "a" / "b.onnx") == "build/a/b.onnx"
    assert place.relative(tmp_path / "elsewhere.onnx") == "elsewhere.onnx"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("cp1252", b"\\u2264 \\u4e2d \xd7"), ("utf-8", "≤ 中 ×".encode()), ("ascii", b"\\u2264 \\u4e2d \\xd7")],
)
def test_saying_never_fails_on_a_code_page(monkeypatch, encoding, expected):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding=encoding))
    place.say("≤ 中 ×")
    assert written.getvalue().rstrip() == expected


def test_saying_to_a_stream_without_an_encoding(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    place.say("≤")
    assert sys.stdout.getvalue() == "≤\n"
