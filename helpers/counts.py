"""Parameters and operations of a network, counted over the built modules; nothing is computed.

The formula: one FLOP is a multiplication or an addition, and a multiply-add is two. Per output value a
convolution has `k * k * c1 / groups` multiply-adds, its bias one more, an unfused BatchNorm one. Additions of
branches, pooling, activations and the decoding of boxes are not counted. So on the fused network, in the form
that is deployed, come out the figures that the authors publish.

The network is built on torch's `meta` device, which knows shapes and holds no numbers: YOLOv7-E6E at 1280
takes a second and no memory.

Source of the published figures: the comparison table of the YOLOv7 authors (facts, in `PUBLISHED`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from helpers.family import VARIANTS, Architecture, Variant
from helpers.network import Network, fuse


@dataclass(frozen=True)
class Published:
    """A row of the authors' comparison table.

    Attributes:
        parameters_m, flops_g: Millions of parameters, 10^9 operations.
        fps: Pictures a second on a V100, batch 1.
        ap_test, ap_val: Average precision, per cent, on COCO test-dev and on COCO val2017.
    """

    parameters_m: float
    flops_g: float
    fps: int
    ap_test: float
    ap_val: float


PUBLISHED: dict[str, Published] = {
    "yolov7-tiny": Published(6.2, 13.8, 286, 38.7, 38.7),  # of tiny-SiLU; the released file has LeakyReLU
    "yolov7": Published(36.9, 104.7, 161, 51.4, 51.2),
    "yolov7x": Published(71.3, 189.9, 114, 53.1, 52.9),
    "yolov7-w6": Published(70.4, 360.0, 84, 54.9, 54.6),
    "yolov7-e6": Published(97.2, 515.2, 56, 56.0, 55.9),
    "yolov7-d6": Published(154.7, 806.8, 44, 56.6, 56.3),  # of the training form
    "yolov7-e6e": Published(151.7, 843.2, 36, 56.8, 56.8),
}
PUBLISHED_IN_TRAINING_FORM = ("yolov7-d6",)


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: Numbers that are learned, BatchNorm's statistics not among them.
        flops: Operations for one picture; see the module's formula.
        convolutions, norms: How many of these layers run, BatchNorms and branches counted one by one.
    """

    parameters: int
    flops: int
    convolutions: int
    norms: int

    @property
    def parameters_m(self) -> float:
        """Millions of parameters."""
        return self.parameters / 1e6

    @property
    def flops_g(self) -> float:
        """10^9 operations."""
        return self.flops / 1e9


def count(architecture: Architecture, size_wh: tuple[int, int] = (640, 640), *, fused: bool = True) -> Cost:
    """Count parameters and operations.

    Args:
        architecture: What to count; `helpers.family.describe` makes one.
        size_wh: Input size in pixels, multiples of the largest stride.
        fused: In the form that is deployed, everything folded and no auxiliary head; otherwise as it is
            trained, every branch and head counted.

    Raises:
        ValueError: `size_wh` does not fit the strides.

    Example:
        >>> from helpers.family import describe
        >>> cost = count(describe("yolov7-tiny", ("cell",), width_multiple=0.5), (64, 64))
        >>> cost.parameters, cost.flops, cost.norms
        (1507798, 33325520, 0)
    """
    width, height = size_wh
    with torch.device("meta"), torch.no_grad():
        network = Network(architecture).eval()
        if fused:
            fuse(network)
        counter = _Counter()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                module.register_forward_hook(counter.see)
        network.head.register_forward_hook(_run_auxiliary)
        network.levels(torch.empty(1, architecture.input_channels, height, width))
    running = (module for index, module in enumerate(network.model) if index not in network.idle)
    parameters = sum(parameter.numel() for module in running for parameter in module.parameters())
    return Cost(parameters, counter.flops, counter.convolutions, counter.norms)


class _Counter:
    """Adds up what passes by."""

    def __init__(self) -> None:
        self.flops = self.convolutions = self.norms = 0

    def see(self, module: nn.Module, _inputs: object, out: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            per_value = module.weight[0].numel() + (module.bias is not None)
            self.convolutions += 1
        else:
            per_value = 1
            self.norms += 1
        self.flops += 2 * per_value * out.numel()


def _run_auxiliary(head: nn.Module, inputs: tuple[Sequence[Tensor]], _out: object) -> None:
    """Let the auxiliary convolutions, which detection does not need, be seen too."""
    convolutions = list(head.get_submodule("m2").children())
    features = inputs[0]
    for conv, feature in zip(convolutions, features[len(features) - len(convolutions) :], strict=True):
        conv(feature)


@dataclass(frozen=True)
class Comparison:
    """Our count of a variant beside the published one.

    Attributes:
        name: Official name.
        form: `deploy` (fused) or `training` (as trained), whichever the published figures are for.
        size: Side of the square input.
        cost: Our count.
        published: The authors' figures.
    """

    name: str
    form: str
    size: int
    cost: Cost
    published: Published

    @property
    def parameters_error(self) -> float:
        """Our parameters over the published ones, less one."""
        return self.cost.parameters_m / self.published.parameters_m - 1

    @property
    def flops_error(self) -> float:
        """Our operations over the published ones, less one."""
        return self.cost.flops_g / self.published.flops_g - 1


def compare_with_published(class_count: int = 80) -> list[Comparison]:
    """Count all seven in the form that the published figures are for.

    D6's figures are of its training form, with the auxiliary head; its deploy form is a row of its own, the
    last.
    """
    out = [_compare(v, v.name in PUBLISHED_IN_TRAINING_FORM, class_count) for v in VARIANTS.values()]
    return [*out, *(_compare(VARIANTS[name], False, class_count) for name in PUBLISHED_IN_TRAINING_FORM)]


def _compare(variant: Variant, training: bool, class_count: int) -> Comparison:
    names = tuple(f"class{index}" for index in range(class_count))
    architecture = variant.architecture(names, training=training)
    cost = count(architecture, (variant.size, variant.size), fused=not training)
    form = "training" if training else "deploy"
    return Comparison(variant.name, form, variant.size, cost, PUBLISHED[variant.name])


def reparameterization(name: str, class_count: int = 80) -> dict[str, Cost]:
    """What folding saves: the same network as it is trained, without its auxiliary head, and deployed.

    Args:
        name: One of `helpers.family.VARIANTS`.
        class_count: Number of classes.

    Returns:
        Costs at the variant's own size: `training` (everything that is trained), `no auxiliary head` (what
        detection needs of it, unfolded; only where there is such a head), `deploy` (folded).
    """
    variant = VARIANTS[name]
    names, size_wh = tuple(f"class{index}" for index in range(class_count)), (variant.size, variant.size)
    full = variant.architecture(names, training=True)
    lead = replace(variant, auxiliary=0.0).architecture(names, training=True)
    costs = {"training": count(full, size_wh, fused=False)}
    if variant.auxiliary:
        costs["no auxiliary head"] = count(lead, size_wh, fused=False)
    return {**costs, "deploy": count(full, size_wh)}
