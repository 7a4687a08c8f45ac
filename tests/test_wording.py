"""Labels in another language, and the letters to draw them with."""

from __future__ import annotations

import tomllib
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from fontTools.ttLib import TTFont

from helpers import graph, wording
from helpers.course.language import LANGUAGES, speaking
from helpers.course.place import repository
from helpers.course.surgery import pair_svg
from helpers.detections import Detections
from helpers.drawing import draw, grid, show
from helpers.labels import legend_chips, load_font, make_chip, name_of_box
from helpers.table import Table
from helpers.training.confusion import confusion_matrix
from helpers.training.datasets import Dataset


@pytest.fixture
def shouting():
    """A translator that knows one label."""
    heard = []

    def translate(text, label):
        heard.append((text, label))
        return {"boxes": "框", "score above 0.35": "得分高于 0.35"}.get(text, text)

    wording.set_translator(translate)
    yield heard
    wording.set_translator(None)


def test_without_a_translator_texts_stay():
    assert wording.wording("") == ""
    assert wording.wording("boxes", label=True) == "boxes"


def test_with_one_they_are_said_and_labels_are_marked(shouting):
    assert wording.wording("boxes", label=True) == "框"
    assert wording.wording("other") == "other"
    assert shouting == [("boxes", True), ("other", False)]
    said = wording.translator()
    wording.set_translator(None)
    assert wording.wording("boxes") == "boxes"
    assert wording.translator() is None
    wording.set_translator(said)
    assert wording.wording("boxes") == "框"


@pytest.mark.parametrize(
    ("text", "wide", "columns"),
    [("", False, 0), ("boxes 3", False, 7), ("é→≤", False, 3), ("框", True, 2), ("3 个框，", True, 8),
     ("Ａ｡", True, 3), ("\u2e7f", False, 2), ("\u2e80", True, 2)],
)
def test_width(text, wide, columns):
    assert (wording.is_wide(text), wording.columns(text)) == (wide, columns)


def test_tables_are_said_and_stay_aligned(shouting):
    table = Table(("boxes", "n"), (("other", 3), ("boxes", 12)))
    wide = "\N{IDEOGRAPHIC SPACE}"  # a Chinese character is not twice as wide as a letter in every font
    assert str(table).splitlines() == ["框        n", f"other{wide}   3", "框       12"]
    assert "<th style='text-align:left'>框</th>" in table._repr_html_()
    assert ("boxes", True) in shouting, "a header is a label"
    assert ("other", False) in shouting, "a cell need not be"


def test_names_of_things_in_a_file_stay(shouting):
    table = Table(("boxes", "n"), ((wording.Name("boxes"), "boxes"),))
    assert str(table).splitlines() == ["框       n", "boxes\N{IDEOGRAPHIC SPACE}  框"]
    assert ">boxes</td>" in table._repr_html_()


def test_a_class_called_train_is_called_so_in_every_table():
    """In the Chinese lessons `train` is a word, too: of a split."""
    names = ("boxes", "train")
    empty = Dataset("yolo", names, {"train": ()}, ()).counts()
    matrix = confusion_matrix([], [], names).to_table()
    with speaking("zh-CN"):
        assert str(empty).splitlines()[0].split() == ["类别", "训练集"]
        assert [line.split()[0] for line in str(empty).splitlines()[1:3]] == ["boxes", "train"]
        assert str(matrix).splitlines()[0].split()[-3:-1] == ["boxes", "train"]
        assert [line.split()[0] for line in str(matrix).splitlines()[1:3]] == ["boxes", "train"]


def test_a_tensor_called_boxes_is_called_so_in_every_language(shouting):
    text = """<ir_version: 8, opset_import: ["": 17]> g (float[1] boxes) => (float[1] y) { y = Exp(boxes) }"""
    model = onnx.parser.parse_model(text)
    assert "input   boxes" in str(graph.io_table(model))
    del model.graph.node[:]
    model.graph.node.add(op_type="Exp", name="boxes", input=["boxes"], output=["y"])
    assert str(graph.node_table(model)).split()[-3] == "boxes"


def test_captions_are_said_in_letters_that_exist(shouting, monkeypatch):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **kinds: bundles.append((bundle, kinds)))
    show(np.zeros((8, 90, 3), np.uint8), "score above 0.35")
    ((bundle, kinds),) = bundles
    assert bundle["text/plain"] == "<picture 90x8: 得分高于 0.35>"
    assert kinds["metadata"]["image/jpeg"]["alt"] == "得分高于 0.35"
    one, other = (
        grid([np.zeros((8, 90, 3), np.uint8)], 1, captions=[words], cell_width=90)
        for words in ("boxes", "框")
    )
    assert np.array_equal(one, other)


def test_two_characters_do_not_look_alike():
    """Letters that a font lacks would all be the same empty rectangle."""
    chips = [np.asarray(make_chip(text, (0, 0, 0), 24)).tobytes() for text in ("红", "框", "网")]
    assert len(set(chips)) == 3
    assert load_font(14, "boxes").getname() == load_font(14).getname() != load_font(14, "框").getname()


def test_the_font_has_every_character_of_the_catalogues():
    has = TTFont(wording.FONT).getBestCmap()
    files = list((repository() / "helpers" / "course" / "catalog").glob("*/*.toml"))
    assert files
    for path in files:
        texts = tomllib.loads(path.read_text("utf-8")).get("text", {}).values()
        lacking = {c for text in texts for c in text if wording.is_wide(c) and ord(c) not in has}
        assert lacking == set(), f"{path.name}: not in helpers/fonts (LICENSE.txt there says how it is made)"


CHAIN = """<ir_version: 8, opset_import: ["": 17]>
    g (float[1] x) => (float[1] y) { a = Exp(x) b = Abs(a) y = Neg(b) }"""


def test_drawings_of_a_graph_are_said():
    words = {"from above": "来自上方", "further on": "通向后面", "a part of the graph": "它的一部分"}
    view = graph.subgraph(onnx.parser.parse_model(CHAIN), ["b"])
    wording.set_translator(lambda text, label: words.get(text, text))
    try:
        svg = graph.to_svg(view)
        pair = pair_svg([view], ["改动前" * 20])
    finally:
        wording.set_translator(None)
    assert all(word in svg for word in words.values())
    assert ET.fromstring(svg).get("aria-label") == "它的一部分"
    assert float(ET.fromstring(pair).get("viewBox").split()[2]) > 9 * 2 * 60, "room for the caption"


def test_captions_of_drawings_are_said_and_looked_for(shouting):
    svg = pair_svg([graph.subgraph(onnx.parser.parse_model(CHAIN), ["b"])], ["boxes"])
    assert ">框</text>" in svg
    assert {("boxes", True), ("from above", True), ("further on", True)} <= set(shouting)


def test_words_that_a_lesson_draws_as_classes_are_said_and_a_models_names_stay():
    words = {"box: lost": "丢失", "train": "训练集", "lost": "不见了"}
    wording.set_translator(lambda text, label: words.get(text, text))
    try:
        names = [name_of_box(["lost", "train"], number) for number in (0, 1, 2)]
        legend = legend_chips({0: 3}, ["lost"], 14, 640)
        one, other = (draw(*drawing_of(name)) for name in ("lost", "丢失"))
    finally:
        wording.set_translator(None)
    assert names == ["丢失", "train", "class 2"]
    assert np.array_equal(legend, legend_chips({0: 3}, ["丢失"], 14, 640))
    assert np.array_equal(one, other)


def drawing_of(name):
    return np.full((90, 120, 3), 255, np.uint8), Detections([[10, 40, 90, 80]], [0.9], [0]), [name]


def test_no_template_of_a_catalogue_takes_a_models_name_apart():
    for language in set(LANGUAGES) - {"en"}:
        names = ["person", "train", "RBC", "class 7", "cardboard boxes", "7 of 9, not 3", " boxes "]
        with speaking(language):
            assert [name_of_box(names, number) for number in range(len(names))] == names
