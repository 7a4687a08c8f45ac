"""Interleaved runs, and what is said about them: medians, quartiles, paired ratios.

Contestants take turns in every round, so a machine that slows down slows all of them; the order is reversed
from round to round and rotated every second one, so nobody always follows the same neighbour. A ratio is the
median of the ratios within the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Contestant = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some numbers.

    >>> spread([3, 1, 2, 5, 4])
    Spread(median=3.0, q1=2.0, q3=4.0, count=5)
    """

    median: float
    q1: float
    q3: float
    count: int

    @property
    def iqr(self) -> float:
        """The middle half's width."""
        return self.q3 - self.q1


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles, linearly interpolated."""
    if not len(values):
        raise ValueError("values: expected at least one number, got none; measure first")
    q1, median, q3 = np.quantile(np.asarray(values, np.float64), (0.25, 0.5, 0.75))
    return Spread(float(median), float(q1), float(q3), len(values))


def order(names: Sequence[str], number: int) -> list[str]:
    """Who comes when in round `number`: forward, backward, then the same from the next name on.

    >>> [order("abc", number) for number in range(4)]
    [['a', 'b', 'c'], ['c', 'b', 'a'], ['b', 'c', 'a'], ['a', 'c', 'b']]
    """
    first = (number // 2) % max(1, len(names))
    turned = [*names[first:], *names[:first]]
    return turned[::-1] if number % 2 else turned


def interleave(
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every contestant in every round; `warmup` rounds before them are not kept."""
    if rounds < 1 or not contestants:
        raise ValueError(
            f"rounds, contestants: expected at least 1 of each, got {rounds} and {len(contestants)}"
        )
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warmup + rounds):
        for name in order(list(contestants), number):
            began = clock()
            contestants[name]()
            took = clock() - began
            if number >= warmup:
                seconds[name].append(took)
    return seconds


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """How many times as long `above` takes as `below`, round by round.

    >>> paired_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 2.0]).median
    2.0
    """
    if len(above) != len(below):
        raise ValueError(f"above, below: expected as many of each, got {len(above)} and {len(below)}")
    return spread([a / b for a, b in zip(above, below, strict=True)])
