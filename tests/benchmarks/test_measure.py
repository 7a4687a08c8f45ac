"""Statistics and the order of runs; nothing here looks at a real clock."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.measure import Spread, interleave, order, paired_ratio, spread


def test_nothing_measured():
    with pytest.raises(ValueError, match="at least one number, got none"):
        spread([])
    with pytest.raises(ValueError, match="got 0 and 1"):
        interleave({"a": int}, rounds=0)
    with pytest.raises(ValueError, match="got 3 and 0"):
        interleave({}, rounds=3)
    with pytest.raises(ValueError, match="as many of each, got 1 and 2"):
        paired_ratio([1.0], [1.0, 2.0])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_the_spread_is_numpys_quartiles(rng, count):
    values = rng.exponential(3, count)
    found = spread(values.tolist())
    assert found.median == pytest.approx(np.median(values))
    assert (found.q1, found.q3) == pytest.approx(tuple(np.percentile(values, [25, 75])))
    assert found.count == count
    assert found.iqr == pytest.approx(found.q3 - found.q1)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_everyone_runs_once_a_round_and_has_every_neighbour(count):
    names = list("abcde")[:count]
    rounds = [order(names, number) for number in range(2 * count)]
    assert all(sorted(names) == sorted(row) for row in rounds)
    for name in names:
        assert {row[0] for row in rounds} == set(names)
        before = {a for row in rounds for a, b in pairwise(row) if b == name}
        neighbours = before | {b for row in rounds for a, b in pairwise(row) if a == name}
        assert neighbours >= {names[(names.index(name) + step) % count] for step in (1, -1)} - {name}
    assert order(names, 1) == order(names, 0)[::-1]


class Clock:
    """Each contestant moves it by its own amount, times a drift that grows from run to run."""

    def __init__(self, drift=0.0):
        self.now, self.runs, self.drift = 0.0, [], drift

    def __call__(self):
        return self.now

    def contestant(self, name, seconds):
        def run():
            self.runs.append(name)
            self.now += seconds * (1 + self.drift * len(self.runs))

        return run


def test_runs_are_interleaved_and_the_warm_up_is_not_kept():
    clock = Clock()
    runs = {"a": clock.contestant("a", 1.0), "b": clock.contestant("b", 2.0)}
    seconds = interleave(runs, rounds=3, warmup=2, clock=clock)
    assert clock.runs == list("abbabaab" + "ab")
    assert seconds == {"a": [1.0] * 3, "b": [2.0] * 3}


def test_a_drift_of_the_machine_stays_out_of_the_ratio():
    clock = Clock(drift=0.05)
    runs = {"a": clock.contestant("a", 1.0), "b": clock.contestant("b", 1.5)}
    seconds = interleave(runs, rounds=20, warmup=0, clock=clock)
    assert spread(seconds["a"]).q3 > 1.5 * spread(seconds["a"]).q1
    assert paired_ratio(seconds["b"], seconds["a"]).median == pytest.approx(1.5, rel=0.02)


def test_one_outlier_does_not_move_the_ratio():
    assert paired_ratio([2.0, 2.0, 200.0], [1.0, 1.0, 1.0]) == Spread(2.0, 2.0, 101.0, 3)
