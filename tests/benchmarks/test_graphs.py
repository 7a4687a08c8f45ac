"""The cuts: what is left computes what it did before; the guide's patch, against its algorithm in NumPy."""

import numpy as np
import official_form
import onnx
import pytest

from benchmarks.graphs import between, convolutions, guide_patch, head_outputs, logits, tail
from helpers.convert import Recipe, convert
from helpers.session import open_session


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    official_form.save(folder / "best.pt", official_form.make_model())
    return convert(
        folder / "best.pt", folder, recipe=Recipe((64, 96), score_threshold=0.3, max_detections=40)
    )


def run(model, feeds):
    return open_session(model.SerializeToString(), providers="cpu", threads=1).run(None, feeds)


def test_no_detector():
    plain = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) { y = Relu(x) }'
    )
    with pytest.raises(ValueError, match="expected head convolutions, got none"):
        head_outputs(plain)
    with pytest.raises(ValueError, match=r"made of \['z'\], got ones that need \['x'\]"):
        between(plain, ["z"], ["y"])


def test_convolutions_and_tail_together_are_the_graph(files, rng):
    images = {"images": rng.random((1, 3, 96, 64), np.float32)}
    for path in (files.ultralytics, files.end2end):
        model = onnx.load(path)
        heads = head_outputs(model)
        assert len(heads) == 2  # the small model has two levels
        floor, rest = convolutions(model), tail(model)
        assert len(floor.graph.node) + len(rest.graph.node) <= len(model.graph.node)
        assert {n.op_type for n in floor.graph.node}.isdisjoint({"NonMaxSuppression", "ArgMax", "TopK"})
        assert "Conv" not in {n.op_type for n in rest.graph.node}
        values = dict(zip(heads, run(floor, images), strict=True))
        np.testing.assert_array_equal(run(rest, values)[0], run(model, images)[0])
        assert model == onnx.load(path)


def test_the_guides_patch(files, rng):
    end2end = onnx.load(files.end2end)
    made = guide_patch(end2end)
    images = {"images": rng.random((1, 3, 96, 64), np.float32)}
    rows = run(end2end, images)[0][:, 1:7]
    expected = np.pad(rows[:, [0, 1, 2, 3, 5, 4]], ((0, 100 - len(rows)), (0, 0)))[None]
    assert 0 < len(rows) < 100
    np.testing.assert_array_equal(run(made, images)[0], expected)
    added = [n.op_type for n in made.graph.node[len(end2end.graph.node) :]]
    script = ["Slice"] * 4 + ["Concat", "Reshape", "Shape", "Gather", "Sub", "Concat", "Concat", "Pad"]
    assert added == script
    assert end2end == onnx.load(files.end2end)


@pytest.mark.parametrize("passing", [0, 1, 7, 10**6])
def test_logits_pass_as_often_as_asked(files, passing):
    model = tail(onnx.load(files.ultralytics))
    feeds = logits(model, passing, 8)
    candidates = onnx.load(files.raw).graph.output[0].type.tensor_type.shape.dim[1].dim_value
    assert sum(values.size for values in feeds.values()) == 8 * candidates
    passed = sum(int((v.reshape(2, 8, -1)[:, 4] > 0).sum()) for v in feeds.values())
    assert passed == min(passing, candidates)
    found = int((run(model, feeds)[0][0, :, 4] > 0).sum())
    assert (found > 0) == (passing > 0)
    assert found <= passed
