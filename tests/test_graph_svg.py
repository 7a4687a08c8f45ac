"""The drawing of a neighbourhood."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import onnx

from helpers.graph import GraphView, neighbourhood, subgraph, to_svg
from helpers.graph_svg import PAGE
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics

PLAIN = '<ir_version: 8, opset_import: ["": 17]> g (float[2] x) => (float[2] y) { y = Exp (x) }'


def test_the_drawing_is_well_formed_and_always_the_same(small):
    view = neighbourhood(add_nms(small).model, "nms/kept", 4)
    svg = to_svg(view)
    assert svg == to_svg(neighbourhood(add_nms(small).model, "nms/kept", 4))
    assert svg == view._repr_html_()
    root = ET.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("NonMaxSuppression") == 1
    assert "nms/kept" in texts
    assert "1 x 64 x 4" in texts
    assert "style>" not in svg
    assert " id=" not in svg
    assert "nan" not in svg


def frames(svg):
    """`(x, y, width, height)` of each box, the card left out."""
    pattern = r"<g><title>[^<]*</title><rect x='([-\d.]+)' y='([-\d.]+)' width='([-\d.]+)' height='([-\d.]+)'"
    return [tuple(map(float, found)) for found in re.findall(pattern, svg)]


def test_boxes_do_not_overlap_and_lie_on_the_card(small):
    patched = to_ultralytics(add_nms(small).model).model
    view = subgraph(patched, [node.name for node in patched.graph.node])
    svg = to_svg(view)
    places = frames(svg)
    assert len(places) == len(patched.graph.node) + 2
    width, height = map(float, re.search(r"viewBox='0 0 (\d+) (\d+)'", svg).groups())
    for index, (x, y, w, h) in enumerate(places):
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= height
        for u, v, p, q in places[index + 1 :]:
            assert x + w <= u or u + p <= x or y + h <= v or v + q <= y


def test_no_drawing_is_wider_than_a_page():
    outputs = ", ".join(f"float[1] y{n}" for n in range(12))
    names = ", ".join(f"y{n}" for n in range(12))
    wide = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 18]>
        g (float[12] x) => ({outputs}) {{ {names} = Split <num_outputs = 12> (x) }}""")
    for model, node in ((wide, "y0"), (onnx.parser.parse_model(PLAIN), "y")):
        root = ET.fromstring(to_svg(subgraph(model, [node])))
        width = float(root.get("viewBox").split()[2])
        assert float(root.get("width")) == min(width, PAGE)
        assert (width > PAGE) == (model is wide)


def test_the_flow_goes_downwards(small):
    view = subgraph(small, [node.name for node in small.graph.node])
    heights = [y for _, y, _, _ in frames(to_svg(view))]
    assert heights[:6] == sorted(set(heights[:6]))


def test_an_empty_view_and_a_lone_node_can_be_drawn(small):
    ET.fromstring(to_svg(GraphView((), (), {}, frozenset())))
    ET.fromstring(to_svg(subgraph(small, ["last"])))
    split = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[2] x) => (float[1] y, float[1] z) { y, z = Split (x) }""")
    split.graph.node[0].name = "<cut>"
    assert "&lt;cut&gt;" in to_svg(subgraph(split, ["<cut>"]))
