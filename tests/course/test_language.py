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
from helpers.course import charts, editions, language, place
from helpers.course.language import Catalog
from helpers.course.place import repository
from helpers.course.rules import all_notebooks
from helpers.course.twins import read_notebook

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
def test_words_that_stand_on_an_axis_alone_are_said_and_its_limits_stay():
    chart, axes = charts.figure("")
    axes.plot([0.3, 9.3], [0, 1])
    axes.set(xlim=(9.3, 0.3), ylim=(0, 1))
    axes.xaxis.set_major_formatter("{x:g} boxes")
    above = axes.secondary_xaxis("top")
    above.xaxis.set_major_formatter("{x:g} of 9")
    first = charts.render(chart)
    assert (axes.get_xlim(), axes.get_ylim()) == ((9.3, 0.3), (0, 1))
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["1 个框", "2 个框"]
    assert "9 中的 2" in {label.get_text() for label in above.get_xticklabels()}
    assert np.array_equal(charts.render(chart), first), "a second time changes nothing"


def test_a_figure_in_english_is_not_touched(monkeypatch):
    chart, _ = charts.figure("no entry anywhere")
    monkeypatch.setattr(chart, "draw_without_rendering", lambda: 1 / 0)
    language.translate_figure(chart)


@pytest.mark.usefixtures("chinese")
def test_a_tick_on_the_limit_stays():
    chart, axes = charts.figure("")
    axes.plot([0, 0.3], [0, 1])
    axes.set_xlim(0, 0.3)
    axes.set_xticks([0, 0.1, 0.1 + 0.2], labels=["boxes", "", "3 boxes"])
    charts.render(chart)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["框", "", "3 个框"]


def test_a_language_is_spoken_for_a_while(chinese):
    with language.speaking("en"):
        assert wording.wording("boxes") == "boxes"
    assert wording.wording("boxes") == "框", "what was spoken before"
    with pytest.raises(ZeroDivisionError), language.speaking("en"):
        _ = 1 / 0
    assert wording.wording("boxes") == "框", "after an error, too"
    with pytest.raises(ValueError, match="got 'fr'"), language.speaking("fr"):
        pass
    assert wording.wording("boxes") == "框"


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


def test_a_language_that_is_not_there_names_the_setting(monkeypatch):
    monkeypatch.setenv("YOLOV7_LANGUAGE", "zh")
    with pytest.raises(ValueError, match="YOLOV7_LANGUAGE: expected one of en, zh-CN, got 'zh'"):
        place.settle()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/x/notebooks/zh-CN/02_export.ipynb", "zh-CN"),
        ("/x/notebooks/zh-CN/solutions/02.ipynb", "zh-CN"),
        ("/x/notebooks/02_export.ipynb", "en"),
        (None, "zh-CN"),
    ],
)
def test_vs_code_names_the_file_wherever_it_runs(tmp_path, monkeypatch, file, expected):
    """`jupyter.notebookFileRoot` may be the workspace; the extension puts this name beside the variables."""
    shell = types.SimpleNamespace(user_ns={"__vsc_ipynb_file__": file} if file else {})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.delenv("YOLOV7_LANGUAGE", raising=False)
    (tmp_path / "zh-CN").mkdir()
    monkeypatch.chdir(tmp_path if file and expected == "zh-CN" else tmp_path / "zh-CN")
    assert language.current() == expected
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    assert language.current() == ("en" if file and expected == "zh-CN" else "zh-CN")


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


def test_colab_that_refuses_an_answer_speaks_english(monkeypatch, tmp_path):
    refusal = type("MessageError", (Exception,), {})

    def refuse(*_words, **_options):
        raise refusal

    package = types.ModuleType("google.colab")
    package._message = types.SimpleNamespace(blocking_request=refuse, MessageError=refusal)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("YOLOV7_LANGUAGE", raising=False)
    assert language.current() == "en"


LESSONS = [path for path in all_notebooks() if path.parent.name != "solutions"]  # these have no badge


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_title_cell_of_every_lesson_tells_colab_its_language(path, monkeypatch, tmp_path):
    message = types.SimpleNamespace(blocking_request=lambda *_, **__: {"ipynb": read_notebook(path)})
    package = types.ModuleType("google.colab")
    package._message = message
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("YOLOV7_LANGUAGE", raising=False)
    assert language.current() == editions.language_of(path)


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


def test_every_file_of_a_language_counts():
    words = language.catalog("zh-CN")
    assert not any(words.lacks(kept) for kept in ("RBC", "TensorRT 10", "yolov7-tiny", "best-int8.onnx"))
    assert words.lacks("unheard of")
    assert {words.say("what"), words.say("Gallery")} & {"what", "Gallery"} == set()
    where = "expected an entry in helpers/course/catalog/zh-CN, got 'unheard of'"
    with language.speaking("zh-CN"), pytest.raises(language.LabelError, match=where):
        wording.wording("unheard of", label=True)


def test_two_files_do_not_disagree():
    said: dict[str, str] = {}
    for path in sorted((repository() / "helpers" / "course" / "catalog" / "zh-CN").glob("*.toml")):
        for text, translation in tomllib.loads(path.read_text("utf-8")).get("text", {}).items():
            assert said.setdefault(text, translation) == translation, f"{path.name}: {text!r}"


@pytest.mark.parametrize("name", sorted(set(language.LANGUAGES) - {"en"}))
def test_every_entry_can_be_filled_and_is_said_once(name):
    words = language.catalog(name)
    for text, said in words.texts.items():
        assert text.replace("{}", "").strip(), f"{text!r} would take everything, and itself"
        holes = [int(number or place) for place, number in enumerate(language._HOLE.findall(said))]
        assert set(holes) == set(range(text.count("{}"))), f"{text!r} loses or invents a part"
        once = words.say(text.replace("{}", "7"))
        assert words.say(once) == once, "a figure is drawn twice"


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
