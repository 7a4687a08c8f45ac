"""What training starts from: nothing, or a checkpoint, whose classes may be others.

Of a checkpoint everything is taken. Where the classes differ, the rows of its detection head are sorted
anew: box and objectness stay, a class of the same name keeps its row, a new class starts fresh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from helpers.checkpoint import Checkpoint, load_checkpoint
from helpers.download import find_checkpoint
from helpers.family import VARIANTS, describe
from helpers.network import SCALED_BY_WIDTH, Network, build_network
from helpers.rows import with_names
from helpers.training.prior import class_bias, set_prior_bias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from helpers.rows import Architecture

__all__ = ["Start", "sort_head", "start_training"]


@dataclass(frozen=True)
class Start:
    """A network that is ready to be trained.

    Attributes:
        network: all of its weights want gradients.
        report: what was kept and what starts fresh, as lines of text.
    """

    network: Network
    report: tuple[str, ...]


def start_training(
    start: str | Path,
    names: Sequence[str],
    *,
    variant: str = "yolov7-tiny",
    width_multiple: float = 1.0,
    seed: int = 0,
) -> Start:
    """Make the network that training starts with.

    Args:
        start: name or path of a checkpoint; "" starts from nothing.
        names: classes of the data, in the order of their ids.
        variant: what to build from nothing; those with an auxiliary head of their own come with it.
        width_multiple: factor on every channel count, from nothing.
        seed: of the random weights.

    Raises:
        ValueError: no names, or an unknown variant.
        CheckpointError: the file is no checkpoint.
        DownloadError: no such name, or no network.

    >>> start_training("", ["cell"], width_multiple=0.125).report
    ('from nothing: yolov7-tiny, 1 class',)
    """
    classes = tuple(names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if str(start):
            checkpoint = load_checkpoint(find_checkpoint(str(start)))
            sorted_checkpoint, report = sort_head(checkpoint, classes)
            network = build_network(sorted_checkpoint)
            report = (f"from {start}: {len(network.architecture.rows)} layers", *report)
            if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
                report += ("its BatchNorm is folded in: it trains, though not as well as the unfolded file",)
        else:
            if variant not in VARIANTS:
                known = ", ".join(VARIANTS)
                raise ValueError(f"variant: expected one of {known}; got {variant!r}; use one of these")
            training = bool(VARIANTS[variant].auxiliary)
            network = build_network(
                describe(variant, classes, training=training, width_multiple=width_multiple)
            )
            set_prior_bias(network, len(classes))
            report = (f"from nothing: {variant}, {_counted(len(classes))}",)
    return Start(network.requires_grad_(True), report)


def _counted(count: int) -> str:
    return f"{count} class" if count == 1 else f"{count} classes"


def sort_head(checkpoint: Checkpoint, names: Sequence[str]) -> tuple[Checkpoint, tuple[str, ...]]:
    """The same checkpoint for other classes.

    Args:
        checkpoint: its head has `A*(5+C)` rows a level.
        names: the new classes.

    Returns:
        A checkpoint that differs in its head and names, and what happened as lines of text.

    >>> from helpers.family import Tiny
    >>> network = build_network(Tiny().architecture(("a", "b"), width_multiple=0.125))
    >>> other, report = sort_head(Checkpoint(network.architecture, network.state_dict()), ["b", "c", "d"])
    >>> other.names, report
    (('b', 'c', 'd'), ('kept: b; fresh: c, d; dropped: a',))
    """
    old = checkpoint.architecture
    if tuple(names) == old.names:
        return checkpoint, (f"same classes: {_some(names)}",)
    new = with_names(_with_plain_widths(old, len(names)), tuple(names))
    state = dict(checkpoint.state_dict)
    head = f"model.{len(old.rows) - 1}."
    for name, value in state.items():
        kind = name.removeprefix(head).split(".")[0]
        if name.startswith(head) and kind in ("m", "m2", "im"):
            state[name] = _sort_rows(value, kind, name.endswith("bias"), old.names, new.names)
    kept = [name for name in new.names if name in old.names]
    fresh = [name for name in new.names if name not in old.names]
    dropped = [name for name in old.names if name not in new.names]
    groups = {"kept": kept, "fresh": fresh, "dropped": dropped}
    line = "; ".join(f"{word}: {_some(group)}" for word, group in groups.items() if group)
    return replace(checkpoint, architecture=new, state_dict=state), (line,)


def _with_plain_widths(architecture: Architecture, class_count: int) -> Architecture:
    """The same layers, their widths written out where another class count would change them.

    A layer as wide as the head's output is not scaled by the width factor, so which layers are scaled
    depends on the number of classes.
    """
    per_cell, factor = len(architecture.anchors_px[0]), architecture.width_multiple
    outputs = [per_cell * (5 + count) for count in (architecture.class_count, class_count)]
    scaled = [row.module in SCALED_BY_WIDTH for row in architecture.rows]
    widths = [row.args[0] for row, yes in zip(architecture.rows, scaled, strict=True) if yes]
    if factor == 1 or not set(outputs) & set(widths):
        return architecture
    rows = []
    for row, yes in zip(architecture.rows, scaled, strict=True):
        if yes and row.args[0] != outputs[0]:
            row = replace(row, args=(math.ceil(row.args[0] * factor / 8) * 8, *row.args[1:]))
        rows.append(row)
    return replace(architecture, rows=tuple(rows), width_multiple=1.0)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _sort_rows(value: Tensor, kind: str, bias: bool, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """Rows `[A*(5+C), ...]` of a head's tensor, for other classes; `im` is `[1,A*(5+C),1,1]`."""
    shape = value.shape[1:2] if kind == "im" else value.shape[:1]
    rows = value.float().reshape(shape[0] // (5 + len(old)), 5 + len(old), -1)
    fill = 1.0 if kind == "im" else class_bias(len(new)) if bias else 0.0
    sorted_rows = torch.full((rows.shape[0], 5 + len(new), rows.shape[2]), fill)
    if kind != "im" and not bias:
        sorted_rows.normal_(0, 0.01)
    sorted_rows[:, :5] = rows[:, :5]
    for index, name in enumerate(new):
        if name in old:
            sorted_rows[:, 5 + index] = rows[:, 5 + list(old).index(name)]
    width = sorted_rows.shape[0] * sorted_rows.shape[1]
    size = (1, width, 1, 1) if kind == "im" else (width, *value.shape[1:])
    return sorted_rows.reshape(size).to(value.dtype)
