"""Side-by-side drawings and row tables of lesson 04."""

import xml.etree.ElementTree as ET

import numpy as np
import onnx
import pytest

from helpers.course.surgery import SEVEN, SIX, before_after, output_text, pair_svg, rows_table
from helpers.graph import subgraph
from helpers.graph_svg import PAGE

HEAD = '<ir_version: 8, opset_import: ["": 17]> g (float[n, 7] x) => '
BEFORE = onnx.parser.parse_model(HEAD + "(float[n, 7] y) { a = Exp(x) y = Abs(a) }")
AFTER = onnx.parser.parse_model(HEAD + "(float[n, 7] z) { a = Exp(x) y = Abs(a) z = Neg(y) }")
SVG = "{http://www.w3.org/2000/svg}"


def shown(monkeypatch, *arguments, **options):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    before_after(*arguments, **options)
    return bundles[0]


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_two_drawings_and_one_line(monkeypatch, capsys):
    bundle = shown(monkeypatch, BEFORE, AFTER)
    assert texts(bundle["image/svg+xml"]).count("Abs") == 2
    assert texts(bundle["image/svg+xml"]).count("Neg") == 1
    assert "Exp" not in texts(bundle["image/svg+xml"])
    assert bundle["text/plain"] == "<two graphs: before | after>"
    said = capsys.readouterr().out
    assert said == "nodes: 0 removed, 1 added, 0 changed; output: y [n, 7] -> z [n, 7]\n"


def test_only_nodes_that_one_graph_has_are_bold(monkeypatch):
    svg = shown(monkeypatch, BEFORE, AFTER)["image/svg+xml"]
    assert svg.count("stroke-width='3.5'") == 1
    assert shown(monkeypatch, AFTER, AFTER)["image/svg+xml"].count("stroke-width='3.5'") == 0


def test_context_and_captions(monkeypatch):
    bundle = shown(monkeypatch, BEFORE, AFTER, context=2, captions=("one < two", "three"))
    assert texts(bundle["image/svg+xml"]).count("Exp") == 2
    assert "one < two" in texts(bundle["image/svg+xml"])


def test_drawings_stand_beside_each_other():
    views = [subgraph(model, ["y", "z"]) for model in (BEFORE, AFTER)]
    outer = ET.fromstring(pair_svg(views, ("a", "b")))
    left, right = outer.findall(f"{SVG}svg")
    assert float(right.get("x")) >= float(left.get("x")) + float(left.get("width"))
    assert float(outer.get("width")) >= float(right.get("x")) + float(right.get("width"))
    assert [inner.get("style") for inner in (left, right)] == [None, None]


def test_a_pair_wider_than_a_page_is_scaled_to_it():
    """JupyterLab shows an SVG as an image, which nothing but its own width holds down."""
    narrow = ET.fromstring(pair_svg([subgraph(BEFORE, ["y"])] * 2, ("a", "b")))
    wide = ET.fromstring(pair_svg([subgraph(BEFORE, ["y"])] * 8, "abcdefgh"))
    assert float(narrow.get("width")) == float(narrow.get("viewBox").split()[2]) < PAGE
    assert float(wide.get("width")) == PAGE < float(wide.get("viewBox").split()[2])
    assert wide.get("height") is None, "or it would not keep its shape"


def test_a_single_drawing_that_was_scaled_is_whole_in_a_pair():
    row = ", ".join(f"float[1] y{n}" for n in range(12))
    names = ", ".join(f"y{n}" for n in range(12))
    split = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 18]>
        g (float[12] x) => ({row}) {{ {names} = Split <num_outputs = 12> (x) }}""")
    (inner,) = ET.fromstring(pair_svg([subgraph(split, ["y0"])], ("a",))).findall(f"{SVG}svg")
    assert inner.get("viewBox") == f"0 0 {inner.get('width')} {inner.get('height')}"
    assert float(inner.get("width")) > PAGE


def test_rows_are_rounded_and_cut():
    table = rows_table(np.full((6, 7), 1.256), SEVEN)
    assert len(table) == 4
    assert table.header == ("row", *SEVEN)
    assert table.rows[0] == (0, 1, 1, 1, 1, 1, 1, "1.26")
    assert rows_table(np.zeros((0, 6)), SIX).rows == ()
    assert [row[0] for row in rows_table(np.zeros((6, 6)), SIX, 3, first=4).rows] == [4, 5]


def test_rows_with_other_columns_are_refused():
    with pytest.raises(ValueError, match=r"rows: expected shape \[n, 6\], got \[2, 7\]"):
        rows_table(np.zeros((2, 7)), SIX)


def test_an_output_without_a_shape_has_a_name():
    model = onnx.ModelProto()
    model.graph.output.append(onnx.ValueInfoProto(name="y"))
    assert output_text(model) == "y []"
