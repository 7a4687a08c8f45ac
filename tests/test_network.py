"""The network against what the official form means, and against the official code's own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from official_form import FIXTURES, make_model, predict, save
from torch import nn

from helpers.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from helpers.family import Architecture, LayerRow, Tiny
from helpers.network import Network, build_network, fuse

HEADS = ("Detect", "IDetect", "IAuxDetect")


@pytest.fixture(scope="module")
def images():
    torch.manual_seed(1)
    return torch.rand(2, 3, 96, 64)


@pytest.fixture
def load(tmp_path):
    return lambda model: load_checkpoint(save(tmp_path / "best.pt", model))


@torch.no_grad()
def largest(network, images, expected):
    return (network(images.to(expected.dtype)) - expected).abs().max().item()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_parity_before_and_after_fusing(load, images, head, half):
    model = make_model(head, half=half, seed=5)
    network = build_network(load(model), dtype=torch.float64)
    expected = predict(model, images)
    assert expected.shape == (2, (12 * 8 + 6 * 4) * 2, 8)
    assert largest(network, images, expected) < 1e-10
    assert largest(fuse(network), images, expected) < 1e-9
    assert largest(fuse(network), images, expected) < 1e-9


@pytest.mark.parametrize("names", [("only",), tuple("abcdefghijklm")])
def test_parity_with_other_class_counts(load, images, names):
    model = make_model("IDetect", names)
    expected = predict(model, images)
    assert largest(build_network(load(model), dtype=torch.float64), images, expected) < 1e-10


def test_single_precision_fused(load, images):
    model = make_model("IDetect", seed=2)
    network = fuse(build_network(load(model)))
    expected = predict(model, images)
    with torch.no_grad():
        difference = (network(images).double() - expected).abs()
    assert difference[..., :4].max() < 0.05
    assert difference[..., 4:].max() < 1e-4


@pytest.mark.parametrize("head", HEADS)
def test_fused_form_has_nothing_left_to_fold(load, head):
    network = fuse(build_network(load(make_model(head))))
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    endings = {
        name.split(".", 2)[2].split(".")[0] for name in network.state_dict() if name.startswith("model.17.")
    }
    assert endings == {"m", "anchors", "anchor_grid"}
    assert not network.training


@pytest.mark.parametrize("head", HEADS)
def test_checkpoints_saved_fused(load, images, head):
    """As the official deploy form has them: `conv.bias`, `rbr_reparam`, a head without implicit layers."""
    model = make_model(head)
    checkpoint = load(model)
    state = {
        name: value.clone()
        for name, value in fuse(build_network(checkpoint, dtype=torch.float64)).state_dict().items()
    }
    assert {"model.1.conv.bias", "model.13.rbr_reparam.weight", "model.4.1.conv.bias"} <= state.keys()
    again = build_network(Checkpoint(checkpoint.architecture, state), dtype=torch.float64)
    assert largest(again, images, predict(model, images)) < 1e-9


def test_parameter_names_are_the_official_ones(load):
    for head in HEADS:
        model = make_model(head)
        assert build_network(load(model)).state_dict().keys() == model.state_dict().keys()


def test_the_checkpoint_stays_as_it_was(load, images):
    checkpoint = load(make_model("IDetect"))
    before = {name: value.clone() for name, value in checkpoint.state_dict.items()}
    network = fuse(build_network(checkpoint))
    network(images).sum().backward()
    for parameter in network.parameters():
        parameter.data.zero_()
    for name, value in checkpoint.state_dict.items():
        assert torch.equal(value, before[name]), name


def test_a_network_for_training(load, images):
    network = build_network(load(make_model())).train()
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in network.parameters())
    sum(level.square().sum() for level in network.levels(images)).backward()
    assert network.model[1].conv.weight.grad.abs().sum() > 0
    with (
        torch.no_grad()
    ):  # fusing what was trained: the official code fails here on a leaf that requires grad
        expected = network.eval()(images)
        assert (fuse(network)(images) - expected).abs().max() < 1e-3


def test_repeats_and_widths(load):
    network = build_network(load(make_model()))
    assert isinstance(network.model[4], nn.Sequential)
    assert len(network.model[4]) == 2
    assert network.model[1].conv.out_channels == 16  # as wide as the head's output, so not scaled
    assert network.model[2].conv.out_channels == 16  # 32, halved


def test_the_count_of_a_block_that_takes_it_itself():
    rows = [[-1, 3, "SPPCSPC", [16]], [-1, 2, "MP", []], [-1, 1, "Detect", []]]
    from helpers.family import parse_rows

    rows = (*parse_rows(rows[:2]), LayerRow((1,), 1, "Detect"))
    network = build_network(Architecture(rows, ("a",), (((1.0, 1.0),),), (4,)))
    assert type(network.model[0]).__name__ == "SPPCSPC"
    assert len(network.model[1]) == 2


def test_attributes(load):
    network = build_network(load(make_model(names=("x", "y"))))
    assert (network.names, network.strides) == (("x", "y"), (8, 16))
    assert network.anchors_px.tolist() == [[[10, 13], [16, 30]], [[33, 23], [30, 61]]]
    assert network.head is network.model[-1]
    assert network.architecture.class_count == 2


def test_levels_and_decode(load, images):
    network = build_network(load(make_model()))
    with torch.no_grad():
        levels = network.levels(images)
        assert [tuple(level.shape) for level in levels] == [(2, 2, 12, 8, 8), (2, 2, 6, 4, 8)]
        assert torch.equal(network.decode(levels), network(images))


def test_random_weights_of_an_architecture():
    architecture = Tiny().architecture(("a",), width_multiple=0.125)
    torch.manual_seed(0)
    first = build_network(architecture)
    torch.manual_seed(0)
    second = build_network(architecture, dtype=torch.float64)
    assert isinstance(first, Network)
    assert torch.equal(first.model[0].conv.weight.double(), second.model[0].conv.weight)
    assert not first.training
    assert sum(p.numel() for p in build_network(Tiny().architecture(("a", "b", "c"))).parameters()) == 6019432


@pytest.mark.parametrize(
    "shape", [(3, 64, 64), (1, 3, 64), (1, 4, 64, 64), (1, 3, 60, 64), (1, 3, 64, 72), (1, 3, 64, 63)]
)
def test_pictures_of_another_shape(load, shape):
    network = build_network(load(make_model()))
    with pytest.raises(ValueError, match=r"images_nchw: expected \[B,3,H,W\], sides multiples of 16, got"):
        network(torch.zeros(shape))


def test_an_empty_batch_and_a_large_one(load):
    network = build_network(load(make_model()))
    assert network(torch.zeros(0, 3, 32, 32)).shape == (0, 40, 8)
    assert network(torch.zeros(5, 3, 16, 48)).shape == (5, 2 * (2 * 6 + 3), 8)


def test_weights_that_do_not_fit(load):
    checkpoint = load(make_model())
    state = dict(checkpoint.state_dict)
    state["model.1.conv.weight"] = torch.zeros(1)
    with pytest.raises(
        CheckpointError, match=r"weights do not fit the layers: size mismatch for model\.1\.conv\.weight"
    ):
        build_network(replace(checkpoint, state_dict=state))
    with pytest.raises(CheckpointError, match="Missing key"):
        build_network(replace(checkpoint, state_dict={}))


def test_only_what_is_read_later_is_kept(load):
    """Activations that nothing reads again must not stay in memory."""
    assert build_network(load(make_model()))._keep == {3, 5, 7, 10, 13, 14}


def test_fused_layers_of_the_auxiliary_head_do_not_run(load, images):
    """Rows 15 and 16 are read by auxiliary levels alone."""
    network = build_network(load(make_model("IAuxDetect")))
    assert network.idle == frozenset()
    seen = []
    for index, module in enumerate(network.model):
        module.register_forward_hook(lambda *_, index=index: seen.append(index))
    before = network(images)
    assert seen == list(range(18))
    seen.clear()
    assert (fuse(network)(images) - before).abs().max() < 1e-3
    assert network.idle == {15, 16}
    assert seen == [*range(15), 17]
    assert fuse(build_network(load(make_model("IDetect")))).idle == {15, 16}


# --- The official code's numbers


@pytest.mark.shared
@pytest.mark.parametrize("name", FIXTURES)
def test_parity_with_the_official_code(fixtures, name):
    """float64 to 1e-6 (measured: 2e-14), fused float32 to 0.05 px and 1e-4 in score."""
    stored = np.load(fixtures / f"{name}.npz")
    checkpoint = load_checkpoint(fixtures / f"{name}.pt")
    x = torch.from_numpy(stored["x"])
    with torch.no_grad():
        exact = build_network(checkpoint, dtype=torch.float64)(x.double()).numpy()
        assert np.abs(exact - stored["y64"]).max() < 1e-9
        fused = fuse(build_network(checkpoint, dtype=torch.float64))(x.double()).numpy()
        assert np.abs(fused - stored["y64"]).max() < 1e-7
        single = fuse(build_network(checkpoint))(x).numpy()
    difference = np.abs(single - stored["y"])
    assert difference[..., :4].max() < 0.05
    assert difference[..., 4:].max() < 1e-4


def test_depth_scales_what_repeats_and_nothing_else():
    """As the official parser has it: `n = max(round(n * gd), 1) if n > 1 else n`."""
    tiny = Tiny().architecture(("cell",), width_multiple=0.125)
    rows = (tiny.rows[0], replace(tiny.rows[1], number=2, args=(32, 3, 2)), *tiny.rows[2:])
    network = build_network(replace(tiny, rows=tiny.rows, depth_multiple=3.0))
    assert not [module for module in network.model if isinstance(module, nn.Sequential)]
    with pytest.raises(CheckpointError, match="strides: expected"):  # two strided layers where one was
        build_network(replace(tiny, rows=rows))
