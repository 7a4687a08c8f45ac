"""Exercises of lesson 01: the base of a percentage, a variant of one's own, folding by hand."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from helpers.course.exercises import close, wrong_type

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.family import Variant

__all__ = ["exercise_1", "exercise_2", "exercise_3"]

SMALL, LARGE = "YOLOv7-E6", "YOLOR-E6"
LOW_M, HIGH_M = 20.0, 30.0


def exercise_1(answer: object) -> str | None:
    """By how many per cent one detector has fewer parameters than another.

    >>> exercise_1("a sixth")
    'Expected a number, per cent, got str.'
    """
    from helpers.course.sota import comparison, less, more

    if hint := wrong_type(answer, (int, float), "a number, per cent"):
        return hint
    number, rows = float(str(answer)), comparison()
    small, large = rows[SMALL], rows[LARGE]
    right = less(small.params_m, large.params_m)
    if close(number, right, 0.06):
        return None
    if close(number, right / 100, 0.0006):
        return "That is the share; in per cent it is a hundred times as much."
    if close(number, -right, 0.06):
        return "The size is right. *Fewer* already says the sign: a positive number."
    if close(number, more(large.params_m, small.params_m), 0.06):
        return f"That is how much more {LARGE} has. *Fewer than {LARGE}* makes {LARGE} the base."
    if close(number, large.params_m - small.params_m, 0.06):
        return f"That is the difference in millions. Divide it by the parameters of {LARGE}."
    if close(number, 100 * small.params_m / large.params_m, 0.06):
        return "That is what is left. How much is gone?"
    return f"The difference of the two, divided by the parameters of {LARGE}, times a hundred."


def exercise_2(answer: object) -> str | None:
    """A variant whose number of parameters lies between two bounds.

    >>> exercise_2("yolov7")
    'Expected a Variant, for example replace(VARIANTS["yolov7"], ...), got str.'
    """
    from helpers.family import Variant
    from helpers.pickles import CheckpointError

    if hint := wrong_type(answer, Variant, 'a Variant, for example replace(VARIANTS["yolov7"], ...)'):
        return hint
    try:
        millions = _millions(answer)  # type: ignore[arg-type]
    except (CheckpointError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return f"It cannot be built: {str(error).splitlines()[0][:160]}."
    if millions < LOW_M:
        return f"It has {millions:.1f} million, which is too few: wider or deeper."
    if millions > HIGH_M:
        return f"It has {millions:.1f} million, which is too many: narrower or less deep."
    return None


def _millions(variant: Variant) -> float:
    from helpers.counts import count

    stride = max(variant.strides)  # parameters do not depend on the size
    architecture = variant.architecture(tuple(f"class{number}" for number in range(80)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's about layers without channels; the hint says it better
        return count(architecture, (2 * stride, 2 * stride)).parameters_m


def exercise_3(answer: object) -> str | None:
    """A function `(dense [c, c, 3, 3], point [c, c, 1, 1]) -> kernel [c, c, 3, 3]`.

    >>> exercise_3(3)
    'Expected a function of dense and point, got int.'
    """
    import torch

    if not callable(answer):
        return f"Expected a function of dense and point, got {type(answer).__name__}."
    generator = torch.Generator().manual_seed(3)
    for channels in (1, 5):
        dense = torch.randn(channels, channels, 3, 3, generator=generator)
        point = torch.randn(channels, channels, 1, 1, generator=generator)
        got = answer(dense.clone(), point.clone())
        if got is ...:
            return "Waiting for your function: it still returns `...`."
        if not isinstance(got, torch.Tensor):
            return f"Expected the function to return a tensor, got {type(got).__name__}."
        if got.shape != dense.shape:
            return f"Expected a kernel of shape {list(dense.shape)}, got {list(got.shape)}."
        if hint := _wrong_kernel(got.detach(), dense, point):
            return hint
    return None


def _wrong_kernel(got: Tensor, dense: Tensor, point: Tensor) -> str | None:
    """A hint, found by what the kernel has to do: its centre alone differs from `dense`."""
    import torch

    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    identity = torch.eye(len(dense))[:, :, None, None]
    added = (got - dense).to(dense.dtype)
    if torch.allclose(added, (point + identity) * centre, atol=1e-5):
        return None
    if torch.allclose(added, torch.zeros(1), atol=1e-5):
        return "That is the 3x3 alone: add the other two."
    if torch.allclose(added, point * centre, atol=1e-5):
        return "3x3 and 1x1 are right; the identity is missing: which kernel passes each channel on as it is?"
    if torch.allclose(added, (point + 1) * centre, atol=1e-5):
        return "The identity passes a channel to itself, not to all the others."
    if not torch.allclose(added * (1 - centre), torch.zeros(1), atol=1e-5):
        return "Only the centre of the kernel may change: a 1x1 sees no neighbours."
    return "The centre is not right: to `dense` there, add `point`, and what the identity is as a 1x1 kernel."
