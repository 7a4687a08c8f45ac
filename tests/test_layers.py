"""Each layer against the same thing written out; each folded layer against itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers import layers
from helpers.layers import SPPCSPC, Concat, Conv, DownC, ReOrg, RepConv, Shortcut, activation, fold_batch_norm


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(7)


def shaken(module):
    """Random BatchNorm statistics, none of them near the defaults, small variances among them."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.001, 2)
    return module.double().eval()


def close(a, b, limit=1e-9):
    assert a.shape == b.shape
    assert (a - b).abs().max() < limit


@torch.no_grad()
def assert_fuses(module, x):
    before = module(x)
    module.fuse()
    close(module(x), before)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in module.modules())
    module.fuse()  # a second time changes nothing
    close(module(x), before)


@pytest.mark.parametrize(
    "arguments", [(4, 6), (4, 6, 3, 2), (4, 8, 3, 1, None, 2), (4, 6, 3, 1, 0, 1, "nn.LeakyReLU(0.1)")]
)
def test_conv_fuses(arguments):
    assert_fuses(shaken(Conv(*arguments)), torch.randn(2, 4, 7, 9, dtype=torch.float64))


@torch.no_grad()
def test_conv_written_out():
    conv = shaken(Conv(2, 3, 3, 2))
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    y = functional.conv2d(x, conv.conv.weight, stride=2, padding=1)
    n = conv.bn
    scale = n.weight / (n.running_var + 1e-3).sqrt()
    y = (y - n.running_mean.view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + n.bias.view(1, -1, 1, 1)
    close(conv(x), y * y.sigmoid())


@pytest.mark.parametrize(
    "arguments",
    [
        (4, 4),
        (4, 6),
        (4, 4, 3, 2),
        (4, 4, 3, 1, None, 2),
        (4, 8, 3, 1, 1, 4),
        (4, 4, 3, 1, 1, 1, "nn.ReLU()"),
    ],
    ids=["identity", "no identity", "stride", "groups with identity", "groups", "activation"],
)
def test_rep_conv_fuses(arguments):
    module = shaken(RepConv(*arguments))
    assert (module.rbr_identity is not None) == (arguments[1] == 4 and arguments[2:4] != (3, 2))
    assert_fuses(module, torch.randn(2, 4, 7, 9, dtype=torch.float64))
    assert [name for name, _ in module.named_parameters()] == ["rbr_reparam.weight", "rbr_reparam.bias"]


@torch.no_grad()
def test_rep_conv_is_the_sum_of_its_branches():
    module = shaken(RepConv(4, 4))
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    y = module.rbr_dense(x) + module.rbr_1x1(x) + module.rbr_identity(x)
    close(module(x), y * y.sigmoid())


@pytest.mark.parametrize("arguments", [(4, 4, 1), (4, 4, 5), (4, 4, 3, 1, 0)])
def test_rep_conv_refuses(arguments):
    with pytest.raises(ValueError, match="expected a 3x3 kernel padded by 1"):
        RepConv(*arguments)


@torch.no_grad()
def test_fold_batch_norm_keeps_bias_dilation_and_type():
    conv, norm = nn.Conv2d(4, 6, 3, 2, 2, dilation=2, groups=2), shaken(nn.BatchNorm2d(6))
    x = torch.randn(2, 4, 9, 8)
    folded = fold_batch_norm(conv, norm.float())
    close(folded(x), norm(conv(x)), 1e-4)
    assert folded.weight.dtype == torch.float32
    assert fold_batch_norm(conv.half(), norm).bias.dtype == torch.float16


def test_epsilon():
    assert {m.eps for m in RepConv(4, 4).modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert Conv(1, 1).bn.eps == 1e-3


def test_pools():
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert layers.MP()(x).flatten().tolist() == [7, 9, 11, 19, 21, 23, 31, 33, 35]
    close(layers.SP(5)(x), functional.max_pool2d(x, 5, 1, 2))
    assert layers.SP(3, 2)(x).shape == (1, 1, 3, 3)


def test_small_layers():
    a, b = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4)
    close(Concat(1)([a, b]), torch.cat((a, b), 1))
    close(Concat(2)([a, b]), torch.cat((a, b), 2))
    close(Shortcut(1)([a, b]), a + b)


def test_reorg_order():
    x = torch.tensor([[0, 1], [2, 3]]).view(1, 1, 2, 2).repeat(1, 2, 1, 1) + torch.tensor([0, 10]).view(
        1, 2, 1, 1
    )
    assert ReOrg()(x).flatten().tolist() == [0, 10, 2, 12, 1, 11, 3, 13]


@torch.no_grad()
def test_down_c_written_out():
    module, x = shaken(DownC(4, 6)), torch.randn(1, 4, 6, 8, dtype=torch.float64)
    out = module(x)
    close(out[:, :3], module.cv2(module.cv1(x)))
    close(out[:, 3:], module.cv3(functional.max_pool2d(x, 2)))


@torch.no_grad()
def test_spp_csp_pools_in_parallel():
    module, x = shaken(SPPCSPC(4, 6)), torch.randn(1, 4, 16, 15, dtype=torch.float64)
    a = module.cv4(module.cv3(module.cv1(x)))
    pools = [functional.max_pool2d(a, k, 1, k // 2) for k in (5, 9, 13)]
    a = module.cv6(module.cv5(torch.cat([a, *pools], 1)))
    close(module(x), module.cv7(torch.cat([a, module.cv2(x)], 1)))


ACTIVATIONS = {
    "SiLU()": [True, "nn.SiLU()"],
    "Identity()": [False, None, 0, "nn.Identity()"],
    "ReLU()": ["nn.ReLU()"],
    "LeakyReLU(negative_slope=0.1)": ["nn.LeakyReLU(0.1)", "nn.LeakyReLU(negative_slope=0.1)"],
    "Mish()": ["nn.Mish()"],
    "Hardswish()": ["nn.Hardswish()"],
}


@pytest.mark.parametrize(
    ("shown", "spec"), [(shown, spec) for shown, specs in ACTIVATIONS.items() for spec in specs]
)
def test_activations(shown, spec):
    assert repr(activation(spec)) == shown


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "SiLU()",
        "nn.SiLU",
        "nn.LeakyReLU(__import__('os').abort())",
        "nn.LeakyReLU(0.1)()",
        "nn.Linear(1, 1)",
        "nn.ReLU(1",
        "nn.ReLU(**{'a': 1})",
        "nn.ReLU(1, 2, 3)",
        "nn.SiLU() or exit()",
        "(" * 5000,
        "nn.ReLU(\0)",
        "nn.modules.SiLU()",
    ],
)
def test_activations_are_parsed_not_run(spec):
    with pytest.raises(ValueError, match=r"activation: expected one of nn\.SiLU"):
        activation(spec)
