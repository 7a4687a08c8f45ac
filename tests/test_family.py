"""The seven variants: row for row the official tables, and the official numbers from our own description."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from helpers.family import COCO_ANCHORS_TINY, VARIANTS, LayerRow, Tiny, describe, with_names

# Of the rows: (variant, training form) -> digest and number, so that this holds without ../shared. Those in
# OFFICIAL are of tables that official files embed; the others were derived, and are held to what they are.
TABLES = {
    ("yolov7-tiny", False): ("8f2d03589b319a55", 78),
    ("yolov7-tiny", True): ("2c6ab3881e1c28c6", 78),
    ("yolov7", False): ("00f98b58092f30ba", 106),
    ("yolov7", True): ("3d4c44bd99404557", 106),
    ("yolov7x", False): ("7a5bb7a002bf39c3", 122),
    ("yolov7x", True): ("1f3d6a658e850046", 122),
    ("yolov7-w6", False): ("f2485b5d571766d0", 119),
    ("yolov7-w6", True): ("466ec7090893be63", 123),
    ("yolov7-e6", False): ("d88becde8bcb349f", 141),
    ("yolov7-e6", True): ("3391ebaa78ad9616", 145),
    ("yolov7-d6", False): ("08f787ca009bae9a", 163),
    ("yolov7-d6", True): ("3dc75e718a7534c3", 167),
    ("yolov7-e6e", False): ("97e023d0e273cfef", 262),
    ("yolov7-e6e", True): ("5152e13d740cdba8", 266),
}
OFFICIAL = {
    "deploy-yolov7-d6": ("yolov7-d6", False),
    "deploy-yolov7-e6": ("yolov7-e6", False),
    "deploy-yolov7-tiny": ("yolov7-tiny", False),
    "deploy-yolov7-w6": ("yolov7-w6", False),
    "deploy-yolov7": ("yolov7", False),
    "deploy-yolov7x": ("yolov7x", False),
    "genuine-structure-yolov7-tiny": ("yolov7-tiny", False),
    "training-yolov7-e6e": ("yolov7-e6e", True),
    "training-yolov7-tiny": ("yolov7-tiny", True),
    "training-yolov7-w6": ("yolov7-w6", True),
    "training-yolov7": ("yolov7", True),
}
P6 = ("yolov7-w6", "yolov7-e6", "yolov7-d6", "yolov7-e6e")


def digest(rows):
    text = "\n".join(f"{list(row.sources)} {row.number} {row.module} {list(row.args)}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "training"), TABLES)
def test_tables(name, training):
    rows = VARIANTS[name].rows(training=training)
    assert (digest(rows), len(rows)) == TABLES[name, training]


@pytest.mark.shared
@pytest.mark.parametrize("fixture", OFFICIAL)
def test_row_for_row_and_number_for_number(fixtures, fixture):
    import torch

    from helpers.checkpoint import load_checkpoint
    from helpers.network import build_network

    name, training = OFFICIAL[fixture]
    checkpoint, stored = load_checkpoint(fixtures / f"{fixture}.pt"), np.load(fixtures / f"{fixture}.npz")
    found = checkpoint.architecture
    ours = describe(name, found.names, training=training, width_multiple=found.width_multiple)
    assert ours.rows == found.rows
    assert ours == found
    network = build_network(replace(checkpoint, architecture=ours), dtype=torch.float64)
    with torch.no_grad():
        out = network(torch.from_numpy(stored["x"]).double()).numpy()
    assert np.abs(out - stored["y64"]).max() < 1e-9


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_form_runs(name, training):
    import torch

    from helpers.network import build_network, fuse

    architecture = describe(name, ("a", "b", "c"), training=training, width_multiple=0.02)
    side = 2 * architecture.strides[-1]
    cells = sum((side // stride) ** 2 for stride in architecture.strides)
    network = build_network(architecture, dtype=torch.float64)
    image = torch.rand(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        before, after = network(image), fuse(network)(image)
    assert before.shape == (1, 3 * cells, 8)
    assert (before - after).abs().max() < 1e-9


def plain_model(variant, names, training, width):
    """The same table run by the plain stand-ins for the official classes, statistics set by one batch."""
    import torch
    from official_form import Model
    from torch import nn

    torch.manual_seed(4)
    rows = [[list(r.source) if isinstance(r.source, tuple) else r.source, r.number, r.module, list(r.args)]
            for r in variant.rows(training=training)]  # fmt: skip
    anchors = [[side for pair in level for side in pair] for level in variant.anchors_px]
    model = Model(
        {"nc": len(names), "depth_multiple": 1.0, "width_multiple": width, "ch": 3, "anchors": anchors,
         "backbone": rows[:20], "head": rows[20:]}, list(names),
    )  # fmt: skip
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.3)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 128, 128))
    return model.eval()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_form_through_a_file_of_the_official_form(name, training, tmp_path, monkeypatch):
    import official_form
    import torch

    from helpers.checkpoint import load_checkpoint
    from helpers.network import build_network, fuse

    variant, names = VARIANTS[name], ("a", "b", "c")
    monkeypatch.setattr(official_form, "STRIDES", variant.strides)
    model = plain_model(variant, names, training, 0.02)
    checkpoint = load_checkpoint(official_form.save(tmp_path / "best.pt", model))
    ours = describe(name, names, training=training, width_multiple=0.02)
    assert ours == checkpoint.architecture
    network = build_network(replace(checkpoint, architecture=ours), dtype=torch.float64)
    images = torch.rand(1, 3, 128, 64)
    expected = official_form.predict(model, images)
    with torch.no_grad():
        assert (network(images.double()) - expected).abs().max() < 1e-9
        assert (fuse(network)(images.double()) - expected).abs().max() < 1e-7


@pytest.mark.parametrize("name", VARIANTS)
def test_forms_differ_in_the_head_alone(name):
    deploy, training = VARIANTS[name].rows(), VARIANTS[name].rows(training=True)
    auxiliary = 4 if name in P6 else 0
    assert training[: len(deploy) - 1] == deploy[:-1]
    assert len(training) == len(deploy) + auxiliary
    assert (deploy[-1].module, training[-1].module) == ("Detect", "IAuxDetect" if auxiliary else "IDetect")
    assert training[-1].sources[: len(deploy[-1].sources)] == deploy[-1].sources


def test_scaling_is_a_handful_of_parameters():
    base, x, w6, e6, d6, e6e = (VARIANTS[f"yolov7{tail}"] for tail in ("", "x", "-w6", "-e6", "-d6", "-e6e"))
    assert replace(x, name="yolov7", depth=4, width=1.0, neck=base.neck, before_head="RepConv") == base
    assert replace(e6, name="yolov7-w6", depth=4, width=1.0, halve="Conv", halve_neck="Conv") == w6
    assert replace(d6, name="yolov7-e6", depth=6, width=1.25, auxiliary=1.25) == e6
    assert replace(e6e, name="yolov7-e6", doubled=False) == e6


def test_only_yolov7_has_rep_conv():
    kinds = {name: {row.module for row in variant.rows()} for name, variant in VARIANTS.items()}
    assert [name for name in kinds if "RepConv" in kinds[name]] == ["yolov7"]
    assert [name for name in kinds if "Shortcut" in kinds[name]] == ["yolov7-e6e"]
    assert [name for name in kinds if "DownC" in kinds[name]] == ["yolov7-e6", "yolov7-d6", "yolov7-e6e"]
    assert [name for name in kinds if "SPPCSPC" not in kinds[name]] == ["yolov7-tiny"]


def test_the_auxiliary_head_reads_the_way_down():
    rows = VARIANTS["yolov7-w6"].rows(training=True)
    assert [(row.source, row.args[0]) for row in rows[-5:-1]] == [(83, 320), (71, 640), (59, 960), (47, 1280)]
    rows = VARIANTS["yolov7-e6e"].rows(training=True)
    assert [row.source for row in rows[-5:-1]] == [186, 161, 136, 112]
    assert all(rows[source + 1].module == "Shortcut" for source in (186, 161, 136))


def test_tiny_landmarks():
    rows = Tiny().rows()
    assert rows[0] == LayerRow(-1, 1, "Conv", (32, 3, 2, None, 1, "nn.LeakyReLU(0.1)"))
    assert rows[40].source == 21
    assert rows[-1] == LayerRow((74, 75, 76), 1, "Detect", ("nc", "anchors"))
    assert {row.args[-1] for row in Tiny(activation="nn.SiLU()").rows() if row.module == "Conv"} == {
        "nn.SiLU()"
    }
    assert Tiny(activation=None).rows()[0].args == (32, 3, 2)  # tiny-SiLU, the published table's row


def test_architecture_of_tiny():
    tiny = Tiny().architecture(("a", "b"), width_multiple=0.5)
    assert tiny == describe("yolov7-tiny", ("a", "b"), width_multiple=0.5)
    assert (tiny.class_count, tiny.width_multiple, tiny.name) == (2, 0.5, "yolov7-tiny")
    assert (tiny.anchors_px, tiny.strides) == (COCO_ANCHORS_TINY, (8, 16, 32))
    assert with_names(tiny, ("x",)).rows == tiny.rows
    assert replace(tiny, name="another") == tiny


def test_describe_refuses():
    with pytest.raises(ValueError, match=r"expected one of yolov7-tiny, yolov7, .*; got 'yolov9'"):
        describe("yolov9", ("a",))
    with pytest.raises(ValueError, match="names: expected at least one"):
        describe("yolov7", ())
