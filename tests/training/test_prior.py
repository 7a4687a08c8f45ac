"""The bias of a fresh detection head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.training.prior import set_prior_bias


def test_prior_bias() -> None:
    network = nn.Sequential(nn.Conv2d(3, 24, 1), nn.Conv2d(24, 24, 1, bias=False), nn.Conv2d(24, 8, 1))
    assert set_prior_bias(network, 3) == 1
    bias = network[0].bias.view(3, 8)
    assert torch.allclose(bias[:, 4].sigmoid(), torch.tensor(0.01))
    assert bool((bias[:, :4] == 0).all())
    with pytest.raises(ValueError, match="255 outputs"):
        set_prior_bias(network, 80)
