"""The heads: decoding by hand, implicit layers folded, auxiliary levels out of the way."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from helpers.family import Architecture, LayerRow
from helpers.head import Detect


def architecture(kind="Detect", names=("a", "b")):
    count = 4 if kind == "IAuxDetect" else 2
    rows = [LayerRow(-1, 1, "Conv", (8, 3, 2)) for _ in range(count)]
    head = LayerRow(tuple(range(count)), 1, kind)
    anchors = (((10.0, 13.0), (16.0, 30.0)), ((33.0, 23.0), (30.0, 61.0)))
    return Architecture((*rows, head), names, anchors, (8, 16))


def make(kind, names=("a", "b")):
    torch.manual_seed(3)
    channels = [4, 6, 5, 7] if kind == "IAuxDetect" else [4, 6]
    head = Detect(kind, architecture(kind, names), channels)
    for implicit in (*head.ia, *head.im):
        torch.nn.init.normal_(implicit.implicit, 0.5)
    return head.double().eval(), [
        torch.randn(2, c, 4 - 2 * (i % 2), 6 - 3 * (i % 2)).double() for i, c in enumerate(channels)
    ]


@pytest.mark.parametrize("names", [("a", "b"), ("only",)])
def test_decoding_by_hand(names):
    """Every number of every box, one by one, from the formula."""
    head, features = make("Detect", names)
    with torch.no_grad():
        levels = head(features)
        found = head.decode(levels)
    row, sigmoid = 0, lambda t: 1 / (1 + math.exp(-t))
    for level, stride, anchors in zip(
        levels, (8, 16), head.anchor_grid.reshape(2, 2, 2).tolist(), strict=True
    ):
        for anchor, (w, h) in enumerate(anchors):
            for y in range(level.shape[2]):
                for x in range(level.shape[3]):
                    t = level[1, anchor, y, x].tolist()
                    s = [sigmoid(value) for value in t]
                    box = [
                        (2 * s[0] - 0.5 + x) * stride,
                        (2 * s[1] - 0.5 + y) * stride,
                        (2 * s[2]) ** 2 * w,
                        (2 * s[3]) ** 2 * h,
                    ]
                    assert found[1, row].tolist() == pytest.approx([*box, *s[4:]], abs=1e-9)
                    row += 1
    assert found.shape == (2, row, 5 + len(names))


def test_levels_are_views_of_the_convolutions():
    head, features = make("Detect")
    raw = head.m[1](features[1])
    assert torch.equal(head(features)[1][1, 1, 0, 2], raw[1, 7:, 0, 2])


def test_implicit_layers_written_out():
    head, features = make("IDetect")
    raw = head.m[0](features[0] + head.ia[0].implicit) * head.im[0].implicit
    assert torch.allclose(head(features)[0].permute(0, 1, 4, 2, 3).flatten(1, 2), raw)


@pytest.mark.parametrize("kind", ["Detect", "IDetect", "IAuxDetect"])
@torch.no_grad()
def test_fusing_changes_no_output(kind):
    head, features = make(kind)
    before = head(features)
    names = set(copy.deepcopy(head).state_dict())
    head.fuse()
    for a, b in zip(head(features), before, strict=True):
        assert (a - b).abs().max() < 1e-9
    assert set(head.state_dict()) == {
        name for name in names if name.split(".")[0] in ("m", "anchors", "anchor_grid")
    }
    head.fuse()
    assert (head(features)[0] - before[0]).abs().max() < 1e-9


def test_auxiliary_levels_are_not_used():
    head, features = make("IAuxDetect")
    features[2:] = [torch.full_like(f, torch.nan) for f in features[2:]]
    assert all(level.isfinite().all() for level in head(features))
    assert [tuple(conv.weight.shape[:2]) for conv in head.m2] == [(14, 5), (14, 7)]


def test_buffers():
    head, _ = make("Detect")
    assert head.anchor_grid.shape == (2, 1, 2, 1, 1, 2)
    assert head.anchors[1].tolist() == [[33 / 16, 23 / 16], [30 / 16, 61 / 16]]
