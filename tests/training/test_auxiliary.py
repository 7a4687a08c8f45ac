"""The auxiliary head: where it looks, what it trains, and that nothing of it stays."""

from __future__ import annotations

import pytest
import torch

from helpers.family import VARIANTS, describe
from helpers.network import Network, build_network
from helpers.rows import Architecture, LayerRow
from helpers.training.auxiliary import AuxiliaryHead, auxiliary_rows

PICTURES = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(5))


def make(variant: str = "yolov7-tiny", training: bool = False) -> Network:
    torch.manual_seed(3)
    described = describe(variant, ("a", "b"), training=training, width_multiple=0.125)
    return build_network(described).train().requires_grad_(True)


@pytest.mark.parametrize(
    ("variant", "rows"),
    [
        ("yolov7-tiny", (57, 47, 37)),
        ("yolov7", (75, 63, 51)),
        ("yolov7x", (87, 73, 59)),
        ("yolov7-w6", (83, 71, 59, 47)),
        ("yolov7-e6", (99, 85, 71, 57)),
        ("yolov7-d6", (115, 99, 83, 67)),
        ("yolov7-e6e", (187, 162, 137, 112)),
    ],
)
def test_it_reads_the_way_down_of_every_variant(variant: str, rows: tuple[int, ...]) -> None:
    """The rows that the way up reads again: laterals of the layer tables, written down by hand."""
    found = auxiliary_rows(describe(variant, ("a",)))
    assert tuple(row for row, _ in found) == rows
    widths = [out * VARIANTS[variant].width for _, out in VARIANTS[variant].levels]
    assert [channels for _, channels in found] == widths


def test_a_table_without_a_way_down_is_refused() -> None:
    rows = (LayerRow(-1, 1, "Conv", (8, 3, 8)), LayerRow((0,), 1, "Detect", ("nc", "anchors")))
    with pytest.raises(ValueError, match=r"fork of stride 8 .*auxiliary=False"):
        auxiliary_rows(Architecture(rows, ("a",), (((9.0, 9.0),),), (8,)))


@pytest.mark.parametrize(
    ("variant", "training"), [("yolov7-tiny", False), ("yolov7-tiny", True), ("yolov7-w6", True)]
)
def test_both_heads_have_one_shape_and_the_lead_is_untouched(variant: str, training: bool) -> None:
    network = make(variant, training).eval()
    head = AuxiliaryHead(network).eval()
    pictures = torch.rand(1, 3, 128, 128)
    lead, auxiliary = head.both(network, pictures)
    for mine, alone, other in zip(lead, network.levels(pictures), auxiliary, strict=True):
        assert torch.equal(mine, alone)
        assert mine.shape == other.shape
        assert not torch.equal(mine, other)


def test_nothing_of_it_is_in_the_network() -> None:
    network = make()
    before = set(network.state_dict())
    head = AuxiliaryHead(network)
    head.both(network, PICTURES)
    assert set(network.state_dict()) == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    with pytest.raises(ValueError, match="multiples of 32"):
        head.both(network, PICTURES[..., :63])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert len(list(head.parameters())) == 3 * 5  # convolution, its norm's two, weight and bias of the output


def test_its_gradient_reaches_what_comes_before_its_rows_and_nothing_else() -> None:
    network = make()
    _, auxiliary = AuxiliaryHead(network).both(network, PICTURES)
    sum(level.square().sum() for level in auxiliary).backward()  # type: ignore[union-attr]
    reached = {
        int(name.split(".")[1])
        for name, value in network.named_parameters()
        if value.grad is not None and bool(value.grad.any())
    }
    assert {0, 37, 47, 57} <= reached
    assert max(reached) == 57


def test_the_network_s_own_auxiliary_levels_are_used_where_it_has_them() -> None:
    network = make("yolov7-w6", training=True)
    head = AuxiliaryHead(network)
    assert list(head.parameters()) == []
    _, auxiliary = head.both(network, torch.rand(1, 3, 128, 128))
    sum(level.square().sum() for level in auxiliary).backward()  # type: ignore[union-attr]
    grads = {name for name, value in network.head.named_parameters() if value.grad is not None}
    assert grads == {f"m2.{level}.{kind}" for level in range(4) for kind in ("weight", "bias")}


def test_it_starts_sure_of_nothing() -> None:
    network = make()
    _, auxiliary = AuxiliaryHead(network).eval().both(network.eval(), torch.zeros(1, 3, 64, 64))
    assert all(bool((level[..., 4].sigmoid() < 0.05).all()) for level in auxiliary)
