"""Starts: from nothing, from a checkpoint with the same classes, with others, fused or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.checkpoint import Checkpoint, save_checkpoint
from helpers.download import DownloadError
from helpers.family import describe
from helpers.network import Network, build_network, fuse
from helpers.rows import LayerRow
from helpers.training.start import sort_head, start_training

PICTURES = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def make(variant: str = "yolov7-tiny", training: bool = False) -> Network:
    torch.manual_seed(4)
    network = build_network(describe(variant, ("a", "b", "c"), training=training, width_multiple=0.125))
    for value in network.parameters():
        value.data += 0.1 * torch.randn_like(value)
    return network


def checkpoint_of(network: Network) -> Checkpoint:
    return Checkpoint(network.architecture, network.state_dict())


def test_from_nothing_the_seed_decides() -> None:
    first, again, other = (
        start_training("", ["x"], width_multiple=0.125, seed=seed).network.state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["model.0.conv.weight"], other["model.0.conv.weight"])


def test_from_nothing_the_random_numbers_of_the_caller_stay() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    start_training("", ["x"], width_multiple=0.125, seed=5)
    assert torch.equal(torch.rand(1), expected)


def test_from_nothing_it_is_sure_of_nothing_and_wants_gradients() -> None:
    start = start_training("", ["x", "y"], width_multiple=0.125)
    assert bool((start.network(PICTURES)[..., 4] < 0.05).all())
    assert all(value.requires_grad for value in start.network.parameters())
    assert start.report == ("from nothing: yolov7-tiny, 2 classes",)


def test_a_variant_with_an_auxiliary_head_comes_with_it() -> None:
    network = start_training("", ["x"], variant="yolov7-w6", width_multiple=0.0625).network
    assert network.architecture.rows[-1].module == "IAuxDetect"
    with pytest.raises(ValueError, match=r"variant: expected one of yolov7-tiny, .* got 'yolov8'"):
        start_training("", ["x"], variant="yolov8")


def test_same_classes_load_everything(tmp_path: Path) -> None:
    network = make()
    save_checkpoint(checkpoint_of(network), tmp_path / "w.safetensors", dtype=None)
    start = start_training(tmp_path / "w.safetensors", ["a", "b", "c"])
    assert torch.equal(start.network(PICTURES), network(PICTURES))
    assert "same classes: a, b, c" in start.report


@pytest.mark.parametrize(
    ("variant", "training"), [("yolov7-tiny", False), ("yolov7-tiny", True), ("yolov7-w6", True)]
)
def test_other_classes_keep_boxes_objectness_and_classes_of_the_same_name(
    variant: str, training: bool
) -> None:
    network = make(variant, training).double()
    pictures = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    changed, report = sort_head(checkpoint_of(network), ["c", "new", "a", "other"])
    assert report == ("kept: c, a; fresh: new, other; dropped: b",)
    found = build_network(changed, dtype=torch.float64)
    with torch.no_grad():
        new, old = found(pictures), network(pictures)
    assert new.shape[-1] == 9
    assert torch.allclose(new[..., [0, 1, 2, 3, 4, 5, 7]], old[..., [0, 1, 2, 3, 4, 7, 5]], atol=1e-6)
    assert float((new[..., 6] - new[..., 8]).abs().max()) > 0
    if variant == "yolov7-w6":
        assert found.head.m2[0].out_channels == 27
    for implicit in found.head.im:
        factors = implicit.implicit.view(3, 9)  # type: ignore[operator,union-attr]
        assert bool((factors[:, [6, 8]] == 1).all())  # a fresh class is not scaled
        assert not bool((factors[:, [4, 5, 7]] == 1).any())


def test_only_the_head_changes() -> None:
    checkpoint = checkpoint_of(make())
    changed, _ = sort_head(checkpoint, ["z"])
    different = {
        name
        for name, value in changed.state_dict.items()
        if not torch.equal(value, checkpoint.state_dict[name])
    }
    assert different == {f"model.77.m.{level}.{kind}" for level in range(3) for kind in ("weight", "bias")}
    assert changed.architecture.anchors_px == checkpoint.architecture.anchors_px


def test_a_fused_checkpoint_starts_too(tmp_path: Path) -> None:
    network = fuse(make("yolov7", training=True))
    changed, _ = sort_head(checkpoint_of(network), ["a"])
    found = build_network(changed)
    with torch.no_grad():
        assert torch.allclose(found(PICTURES)[..., :6], network(PICTURES)[..., :6], atol=1e-3)
    save_checkpoint(changed, tmp_path / "fused.safetensors")
    start = start_training(tmp_path / "fused.safetensors", ["a"])
    assert start.report[-1].startswith("its BatchNorm is folded in")
    start.network.train().levels(PICTURES)[0].sum().backward()


@pytest.mark.parametrize("classes", [1, 3, 27])
def test_layers_as_wide_as_an_output_keep_their_width(classes: int) -> None:
    """With 27 classes a layer of 96 channels is as wide as the head's output, which no factor scales."""
    names = [f"n{index}" for index in range(27)]
    network = build_network(describe("yolov7-tiny", tuple(names), width_multiple=0.5))
    row = LayerRow(-1, 1, "Conv", (96, 1, 1))
    rows = (*network.architecture.rows[:2], row, *network.architecture.rows[3:])
    network = build_network(replace(network.architecture, rows=rows))
    assert network.model[2].conv.out_channels == 96  # type: ignore[union-attr]
    found = build_network(sort_head(checkpoint_of(network), names[:classes])[0])
    with torch.no_grad():
        assert torch.allclose(found(PICTURES)[..., :6], network(PICTURES)[..., :6])


def test_many_classes_are_told_in_few_words() -> None:
    _, (line,) = sort_head(checkpoint_of(make()), [f"n{index}" for index in range(20)])
    assert line.endswith("n7 and 12 more; dropped: a, b, c")


def test_a_name_that_is_none() -> None:
    with pytest.raises(DownloadError, match="model: expected a file, blood-cells"):
        start_training("no-such-model", ["x"])
