"""The line that says when a lesson last ran."""

from __future__ import annotations

import datetime as dt

import nbformat
import pytest

from helpers.course import verified


def book(*kinds):
    cells = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    return nbformat.v4.new_notebook(cells=[cells[kind]("x") for kind in kinds])


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_line_says_date_seconds_versions_and_device(language, monkeypatch):
    monkeypatch.setattr(verified, "processor", lambda: "Abacus 7")
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    line = verified.verified_line(41.6, language)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    in_words = ("42 s", "3 cores, no GPU") if language == "en" else ("42 秒", "3 核，无 GPU")
    packages = ("torch 2.", "onnx 1.", "onnxruntime 1.", "ultralytics 8.")
    for words in (today, *in_words, "Python 3.", *packages, "Abacus 7"):
        assert words in line
    assert "+" not in line.partition("Python")[2].partition(";")[0], "no build's mark"
    assert verified.is_verified(line)


def test_a_system_that_does_not_count_its_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert ", 1 cores, " in verified.verified_line(1)


@pytest.mark.parametrize(
    ("listed", "processor", "expected"),
    [
        ("vendor_id : X\nmodel name\t: Abacus 7  \nmodel name\t: Other\n", "x", "Abacus 7"),
        ("Features : fp asimd\n", "armv8", "armv8"),
        ("", "", "aarch64"),
        (None, "arm", "arm"),
    ],
)
def test_the_processor_is_named_as_the_system_names_it(tmp_path, monkeypatch, listed, processor, expected):
    if listed is not None:
        (tmp_path / "cpuinfo").write_text(listed, "utf-8")
    monkeypatch.setattr(verified, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", lambda: processor)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert f"; {expected}, " in verified.verified_line(1)


@pytest.mark.parametrize(
    "text",
    [
        "", "Last verified 2026-11-21.", "*Last verified: every cell, 3 s; Python 3.11; x*",
        "*Last verified 2026-11-21: every cell; Python 3.11; x*",
        "*Last verified 2026-11-21: every cell, 3 s; x*",
    ],
)  # fmt: skip
def test_a_line_of_another_form_is_not_the_runs(text):
    assert not verified.is_verified(text)


@pytest.mark.parametrize(
    ("kinds", "place"),
    [((), 0), (("markdown",), 1), (("markdown", "markdown", "code", "markdown", "code"), 2)],
)
def test_it_stands_before_the_first_code_cell_and_is_written_anew_each_time(kinds, place):
    notebook = book(*kinds)
    verified.put(notebook, "*one*", "07_quantize")
    verified.put(notebook, "*two*", "07_quantize")
    assert [cell.source for cell in notebook.cells] == [*"x" * place, "*two*", *"x" * (len(kinds) - place)]
    assert notebook.cells[place].id == "07-verified"
    nbformat.validate(notebook)


def test_a_package_that_is_not_there_is_not_named(monkeypatch):
    monkeypatch.setattr(verified, "PACKAGES", ("onnx", "no-such-package"))
    assert "no-such-package" not in verified.verified_line(1)
