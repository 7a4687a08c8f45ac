"""Labels through a catalogue, and nothing left in English unseen."""

from __future__ import annotations

import ast
import logging
import sys
import tomllib
import types

import numpy as np
import pytest

from helpers import wording
from helpers.course import charts, language, place
from helpers.course.language import Catalog
from helpers.course.place import repository

WORDS = Catalog(
    {
        "boxes": "框", "{} boxes": "{} 个框", "{} of {}": "{1} 中的 {0}", "Count again.": "再数一遍。",
        "at {} of {} boxes": "共 {1} 个框，在 {0} 处", "exercise {}: not yet. {}": "练习 {}：还不对。{}",
        "Nodes by operator": "各算子的节点",
    },
    ("Conv", r"yolov7[-\w]*"),
)  # fmt: skip


@pytest.fixture
def chinese(monkeypatch):
    """The catalogue above is in use, and labels are checked."""
    monkeypatch.setenv("YOLOV7_CHECKED", "1")
    monkeypatch.delenv("YOLOV7_MISSING_LABELS", raising=False)
    wording.set_translator(language._translator(WORDS, "there"))
    yield
    wording.set_translator(None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""), ("boxes", "框"), ("3 boxes", "3 个框"), ("3 of 7", "7 中的 3"),
        ("at 3 of 7 boxes", "共 7 个框，在 3 处"), ("boxes of 2", "2 中的 框"), ("3 of Conv", "Conv 中的 3"),
        ("exercise 02.1: not yet. Count again.", "练习 02.1：还不对。再数一遍。"),
        ("boxes\nnothing", "框\nnothing"), (" boxes ", " 框 "), ("box", "box"), ("my boxes!", "my boxes!"),
    ],
)  # fmt: skip
def test_what_a_catalogue_says(text, said):
    assert WORDS.say(text) == said


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", False),
        ("3 px", False),
        ("Conv 3", False),
        ("yolov7-w6", False),
        ("yolov7-w6 fast", True),
        ("框 fast", False),
    ],
)
def test_what_still_is_english(text, lacks):
    assert WORDS.lacks(text) == lacks
    assert Catalog({}).lacks("word")


@pytest.mark.usefixtures("chinese")
def test_a_label_without_an_entry_is_an_error_under_a_check(monkeypatch, tmp_path):
    assert wording.wording("unknown words") == "unknown words", "what is no label may stay"
    with pytest.raises(language.LabelError, match="entry in there, got 'unknown words'"):
        wording.wording("unknown words", label=True)
    listed = tmp_path / "labels"
    monkeypatch.setenv("YOLOV7_MISSING_LABELS", str(listed))
    assert wording.wording("unknown words", label=True) == "unknown words"
    assert listed.read_text("utf-8") == "unknown words\0"
    monkeypatch.delenv("YOLOV7_CHECKED")
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    monkeypatch.delenv("YOLOV7_MISSING_LABELS")
    assert wording.wording("unknown words", label=True) == "unknown words", "a reader is never stopped"


@pytest.mark.usefixtures("chinese")
def test_a_figure_is_said_in_letters_that_exist(caplog):
    chart = charts.bars({"3 boxes": 58.0, "Conv": 3.0}, title="Nodes by operator", unit="boxes")
    with caplog.at_level(logging.WARNING, "matplotlib.font_manager"):
        pixels = charts.render(chart)
    axes = chart.axes[0]
    assert axes.get_title(loc="left") == "各算子的节点"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["3 个框", "Conv"]
    assert {text.get_text() for text in axes.texts} == {"58 个框", "3 个框"}
    assert caplog.records == [], "no font is missing"
    wording.set_translator(None)
    english = charts.render(
        charts.bars({"3 boxes": 58.0, "Conv": 3.0}, title="Nodes by operator", unit="boxes")
    )
    assert pixels.shape == english.shape
    assert not np.array_equal(pixels, english)


@pytest.mark.usefixtures("chinese")
def test_a_figure_with_an_unknown_label_is_an_error():
    chart = charts.lines([1, 2], {"boxes": [1, 2], "3 boxes": [2, 1]}, title="boxes", x_label="steps")
    with pytest.raises(language.LabelError, match="got 'steps'"):
        charts.render(chart)


@pytest.mark.parametrize(
    ("folder", "named", "expected"),
    [
        ("notebooks", "", "en"), ("notebooks/zh-CN", "", "zh-CN"), ("notebooks/zh-CN/solutions", "", "zh-CN"),
        ("zh-CN/a/b", "", "en"), ("notebooks", "zh-CN", "zh-CN"), ("notebooks/zh-CN", "en", "en"),
    ],
)  # fmt: skip
def test_the_folder_says_the_language_and_a_setting_overrides(tmp_path, monkeypatch, folder, named, expected):
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setenv("YOLOV7_LANGUAGE", named)
    assert language.current() == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"ipynb": {"cells": [{"source": ["[x](", "https://c/me/notebooks/zh-CN/00.ipynb)"]}]}}, "zh-CN"),
        ({"ipynb": {"cells": [{"source": "[x](https://c/me/notebooks/00.ipynb)"}]}}, "en"),
        ({"ipynb": {"cells": []}}, "en"),
        (None, "en"),
    ],
)
def test_on_colab_the_title_cell_says_it(monkeypatch, tmp_path, answer, expected):
    """Colab runs a notebook in another folder; this stands in for its own module, which is not here."""
    message = types.SimpleNamespace(blocking_request=lambda *_, **__: answer)
    package = types.ModuleType("google.colab")
    package._message = message
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("YOLOV7_LANGUAGE", raising=False)
    assert language.current() == expected


def test_settling_sets_the_translator(monkeypatch):
    monkeypatch.setenv("YOLOV7_LANGUAGE", "zh-CN")
    try:
        place.settle()
        assert wording.wording("exercise 02.1: right") == "练习 02.1：正确"
        monkeypatch.setenv("YOLOV7_LANGUAGE", "en")
        place.settle()
        assert wording.wording("exercise 02.1: right") == "exercise 02.1: right"
    finally:
        wording.set_translator(None)


def test_a_language_that_nobody_wrote():
    with pytest.raises(ValueError, match="expected one of en, zh-CN, got 'fr'"):
        language.catalog("fr")
    assert language.catalog("en") == Catalog({}, ())


def test_two_files_do_not_disagree():
    said: dict[str, str] = {}
    for path in sorted((repository() / "helpers" / "course" / "catalog" / "zh-CN").glob("*.toml")):
        for text, translation in tomllib.loads(path.read_text("utf-8")).get("text", {}).items():
            assert said.setdefault(text, translation) == translation, f"{path.name}: {text!r}"


def hints(path):
    """The sentences that a checker may say: its strings that end like one, `{}` for what varies."""
    tree = ast.parse(path.read_text("utf-8"))
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef)]
    docs = {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}
    inside = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    } - {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
            text = node.value
        else:
            continue
        if text.endswith((".", "?")) and " " in text:
            yield text


CHECKERS = sorted((repository() / "helpers" / "course" / "exercises").glob("lesson_*.py"))


@pytest.mark.parametrize("path", CHECKERS, ids=lambda path: path.stem)
def test_every_hint_is_said_in_chinese(path):
    words = language.catalog("zh-CN")
    found = list(hints(path))
    assert found
    filled = [text.replace("{}", "7") for text in found]
    assert [text for text in filled if not wording.is_wide(words.say(text))] == []
