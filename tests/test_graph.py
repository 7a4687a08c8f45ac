"""Looking into a graph: tables, parts, costs, neighbourhoods and their drawing."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest

from helpers import graph
from helpers.graph import GraphView, NodeCost, cost_table, diff_graphs, neighbourhood, subgraph, to_svg
from helpers.patches.nms import add_nms
from helpers.patches.ultralytics import to_ultralytics

HEAD = '<ir_version: 8, opset_import: ["": 17], producer_name: "hand", metadata_props: ["k": "v"]>'
SMALL = (
    HEAD
    + """
net (float[1, 3, 8, 8] images) => (float[1, 64, 7] output)
<float[7, 3, 3, 3] w1, float[7, 7, 1, 1] w2, int64[3] flat = {1, 7, 64}>
{
    [first] a = Conv <pads = [1, 1, 1, 1]> (images, w1)
    [act] b = LeakyRelu <alpha = 0.1> (a)
    [last] c = Conv (b, w2)
    [flatten] d = Reshape (c, flat)
    [soft] e = Sigmoid (d)
    [turn] output = Transpose <perm = [0, 2, 1]> (e)
}"""
)


@pytest.fixture
def small():
    model = onnx.parser.parse_model(SMALL.replace("float[7, 3, 3, 3] w1, float[7, 7, 1, 1] w2, ", ""))
    rng = np.random.default_rng(3)
    for name, shape in (("w1", (7, 3, 3, 3)), ("w2", (7, 7, 1, 1))):
        weights = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def test_summary(small):
    rows = dict(graph.summarize(small).rows)
    assert rows["input images"] == "float, 1 x 3 x 8 x 8"
    assert rows["output output"] == "float, 1 x 64 x 7"
    assert rows["opset"] == "17"
    assert rows["nodes"] == "6"
    assert rows["parameters"] == str(7 * 27 + 49 + 3)
    assert rows["bytes"].replace(",", "") == str(small.ByteSize())
    assert (rows["producer"], rows["k"]) == ("hand", "v")


def test_op_counts_start_with_the_most_frequent(small):
    assert list(graph.op_counts(small).items()) == [
        ("Conv", 2),
        ("LeakyRelu", 1),
        ("Reshape", 1),
        ("Sigmoid", 1),
        ("Transpose", 1),
    ]
    assert graph.op_counts(onnx.ModelProto()) == {}


def test_node_table_shows_shapes_and_parts(small):
    rows = graph.node_table(small).rows
    assert rows[0] == (0, "backbone", "Conv", "first", "1 x 3 x 8 x 8, 7 x 3 x 3 x 3", "1 x 7 x 8 x 8")
    assert [row[1] for row in rows] == ["backbone", "backbone", "head", "decode", "decode", "decode"]


def test_parts_of_a_patched_graph(small):
    patched = to_ultralytics(add_nms(small).model).model
    parts = graph.node_parts(patched)
    assert parts[:6] == ["backbone", "backbone", "head", "decode", "decode", "decode"]
    names = [node.name for node in patched.graph.node]
    assert {part for part, name in zip(parts, names, strict=True) if name.startswith("nms/")} == {"nms"}
    assert {p for p, name in zip(parts, names, strict=True) if name.startswith("ultralytics/")} == {
        "ultralytics"
    }


def test_parts_without_names_follow_the_nms(small):
    patched = add_nms(small).model
    for node in patched.graph.node:
        node.name = ""
    ops = [node.op_type for node in patched.graph.node]
    parts = graph.node_parts(patched)
    assert parts[ops.index("NonMaxSuppression")] == parts[ops.index("GatherND")] == parts[-1] == "nms"
    assert parts[ops.index("ArgMax")] == "decode"
    assert graph.node_table(patched).rows[0][3] == "a"


def test_profile_counts_every_part_and_leaves_nothing_behind(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.onnx"
    patched = to_ultralytics(add_nms(small).model).model
    onnx.save(patched, path)
    costs = graph.profile_nodes(path, {"images": np.ones((1, 3, 8, 8), np.float32)}, runs=3)
    assert [cost.ms for cost in costs] == sorted((cost.ms for cost in costs), reverse=True)
    assert {"backbone", "head", "decode", "nms", "ultralytics"} <= {cost.part for cost in costs}
    assert "other" not in {cost.part for cost in costs}
    assert all(cost.ms >= 0 for cost in costs)
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.onnx"]


def test_cost_table():
    assert len(cost_table([])) == 0
    costs = [
        NodeCost("a", "Conv", "head", 1.0),
        NodeCost("b", "Conv", "backbone", 2.0),
        NodeCost("c", "Mul", "head", 1.0),
    ]
    assert cost_table(costs, "op").rows == (("Conv", 2, 3.0, 75), ("Mul", 1, 1.0, 25))
    assert cost_table(costs).rows == (("head", 2, 2.0, 50), ("backbone", 1, 2.0, 50))
    with pytest.raises(ValueError, match="by: expected 'part' or 'op', got 'name'"):
        cost_table(costs, "name")


@pytest.mark.parametrize(
    ("name", "hops", "expected"),
    [
        ("last", 0, ["last"]),
        ("last", 1, ["act", "last", "flatten"]),
        ("d", 2, ["act", "last", "flatten", "soft", "turn"]),
        ("first", 9, ["first", "act", "last", "flatten", "soft", "turn"]),
    ],
)
def test_neighbourhood(small, name, hops, expected):
    view = neighbourhood(small, name, hops)
    assert [node.name for node in view.nodes] == expected
    assert len(view.marked) == 1


def test_neighbourhood_names_the_nearest_node(small):
    with pytest.raises(
        ValueError, match=r"node_name: expected a node or a value, got 'flaten'; near: flatten"
    ):
        neighbourhood(small, "flaten")


def test_edges_say_who_feeds_whom_and_what_crosses_the_border(small):
    view = neighbourhood(small, "last", 1)
    assert set(view.edges) == {(-1, 0, "a"), (0, 1, "b"), (1, 2, "c"), (2, -1, "d")}
    whole = subgraph(small, [node.name for node in small.graph.node])
    assert {edge for edge in whole.edges if -1 in edge} == {(-1, 0, "images"), (5, -1, "output")}
    assert whole.ends == {"images", "output"}


def test_diff(small):
    patched = add_nms(small).model
    diff = diff_graphs(small, patched)
    assert diff.removed == diff.changed == ()
    assert diff.added == tuple(node.name for node in patched.graph.node[6:])
    assert str(diff) == f"0 removed, {len(diff.added)} added, 0 changed"
    changed = onnx.ModelProto()
    changed.CopyFrom(small)
    changed.graph.node[1].attribute[0].f = 0.2
    del changed.graph.node[5]
    assert diff_graphs(small, changed) == graph.GraphDiff(("turn",), (), ("act",))


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
