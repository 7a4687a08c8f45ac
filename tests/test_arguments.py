"""Wrong values on the command line are refused before any work."""

import argparse
import io
import sys

import pytest

from helpers import arguments
from helpers.arguments import folder, new_onnx_file, number, picture_size, whole


@pytest.mark.parametrize(
    ("text", "size_wh"), [("640", (640, 640)), ("640X480", (640, 480)), ("64x", (64, 64))]
)
def test_sizes(text, size_wh):
    assert picture_size(text) == size_wh


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (picture_size, ""),
        (picture_size, "big"),
        (picture_size, "1x2x3"),
        (number(0, 1), "1.01"),
        (number(0, 1), "-0.01"),
        (number(0, 1), "nan"),
        (number(0), "inf"),
        (whole(1), "0"),
        (whole(1, 5), "6"),
        (folder, __file__),
        (new_onnx_file, "."),
        (new_onnx_file, "best.pt"),
        (new_onnx_file, "best"),
    ],
)
def test_refusals(parse, text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected .* got "):
        parse(text)


def test_limits_belong_to_the_range():
    assert [number(0, 1)(text) for text in ("0", "1")] == [0, 1]
    assert [whole(1, 5)(text) for text in ("1", "5")] == [1, 5]


def test_what_is_not_there_yet(tmp_path):
    assert folder(str(tmp_path / "new")) == tmp_path / "new"
    assert folder(str(tmp_path)) == tmp_path
    (tmp_path / "a.onnx").write_text("old")
    assert new_onnx_file(str(tmp_path / "a.onnx")) == tmp_path / "a.onnx"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_console_without_the_letter_shows_an_escape(monkeypatch, stream):
    written = io.BytesIO()
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(written, encoding="cp1252"))
    arguments.show_every_letter()
    print("1 → 2", file=getattr(sys, stream), flush=True)
    assert written.getvalue().replace(b"\r", b"") == b"1 \\u2192 2\n"


def test_a_stream_that_cannot_be_set_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    arguments.show_every_letter()
