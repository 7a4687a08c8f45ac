"""Looking into a graph: tables, neighbourhoods, differences."""

from __future__ import annotations

import onnx
import pytest
from small_graph import HEAD

from helpers import graph
from helpers.graph import diff_graphs, neighbourhood, subgraph
from helpers.patches.nms import add_nms


def test_summary(small):
    rows = dict(graph.summarize(small).rows)
    assert rows["input images"] == "float, 1 x 3 x 8 x 8"
    assert rows["output output"] == "float, 1 x 64 x 7"
    assert rows["opset"] == "17"
    assert rows["nodes"] == "6"
    assert rows["parameters"] == str(21 + 49 + 3)
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
    assert rows[0] == (0, "backbone", "Conv", "first", "1 x 3 x 8 x 8, 7 x 3 x 1 x 1", "1 x 7 x 8 x 8")
    assert [row[1] for row in rows] == ["backbone", "backbone", "head", "decode", "decode", "decode"]


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


def test_a_scalar_an_unknown_rank_and_unknown_sizes_have_a_text():
    assert graph.shape_text(()) == "scalar"
    assert graph.shape_text(None) == ""
    assert graph.shape_text((None, "unk__3", "batch", 5)) == "? x ? x batch x 5"


def test_optional_inputs_left_out_are_no_edges():
    model = onnx.parser.parse_model(
        HEAD
        + """
        g (float[1, 1, 2, 2] x) => (float[1, 1, 4, 4] y) <float[4] s = {1,1,2,2}> { y = Resize (x, , s) }"""
    )
    assert subgraph(model, ["y"]).edges == ((-1, 0, "x"), (0, -1, "y"))
