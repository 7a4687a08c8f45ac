"""What is saved is the official deploy form, whatever was trained, and computes the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.checkpoint import load_checkpoint, save_checkpoint
from helpers.family import describe
from helpers.network import build_network, fuse
from helpers.training.deploy import deployed

NAMES = ("a", "b")


@pytest.mark.parametrize(
    ("variant", "training"),
    [
        ("yolov7-tiny", False),
        ("yolov7-tiny", True),
        ("yolov7", True),
        ("yolov7-w6", True),
        ("yolov7-e6e", True),
    ],
)
def test_the_deploy_form_of_every_variant(variant: str, training: bool) -> None:
    torch.manual_seed(2)
    network = build_network(
        describe(variant, NAMES, training=training, width_multiple=0.125), dtype=torch.float64
    )
    for value in network.parameters():
        value.data += 0.05 * torch.randn_like(value)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    checkpoint = deployed(network)
    assert checkpoint.architecture == describe(variant, NAMES, width_multiple=0.125)
    rebuilt = build_network(checkpoint, dtype=torch.float64)
    pictures = torch.rand(1, 3, 64, 128, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(rebuilt(pictures), network(pictures), atol=1e-9, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_rep_convolutions_are_trained_in_branches_and_fold_afterwards(tmp_path: Path) -> None:
    """Planned re-parameterisation: three branches while training, one convolution when deployed."""
    torch.manual_seed(2)
    network = build_network(describe("yolov7", NAMES, training=True, width_multiple=0.0625)).train()
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    for _ in range(2):
        sum(level.square().mean() for level in network.levels(torch.rand(2, 3, 64, 64))).backward()  # type: ignore[union-attr]
        optimiser.step()
    network.eval()
    save_checkpoint(deployed(network, {"step": "2"}), tmp_path / "w.safetensors", dtype=None)
    loaded = load_checkpoint(tmp_path / "w.safetensors")
    assert any("rbr_1x1" in name for name in loaded.state_dict)
    assert loaded.metadata["step"] == "2"
    folded = fuse(build_network(loaded))
    assert not any("rbr_1x1" in name for name in folded.state_dict())
    pictures = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = network(pictures)
        assert torch.allclose(folded(pictures), expected, atol=2e-3, rtol=1e-4)
        assert float(expected.std()) > 1
