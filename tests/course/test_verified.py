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
    monkeypatch.setattr(verified, "_processor", lambda: "Abacus 7")
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    line = verified.verified_line(41.6, language)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for words in (
        today,
        "42 s" if language == "en" else "42 秒",
        "Python 3.",
        "onnxruntime 1.",
        "Abacus 7",
        "3 ",
    ):
        assert words in line
    assert verified.is_verified(line)
    assert ("no GPU" in line) == (language == "en")
    assert "H200" in verified.verified_line(1, language, gpu="H200")


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
