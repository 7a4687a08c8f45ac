"""Flaws: how they read, how they are counted, and the error that stops a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.training.flaws import KINDS, DatasetError, Flaw, count_by_kind, refusal


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_fixing_does(kind):
    flaw = Flaw(kind, Path("a/b.txt"), "is wrong", 7)
    assert flaw.fix == KINDS[kind]
    assert str(flaw) == f"a/b.txt:7: {kind}: is wrong (fix: {KINDS[kind]})"


def test_a_fix_of_its_own_and_a_file_without_lines():
    assert str(Flaw("size", Path("a.jpg"), "is wrong", fix="scaled")) == "a.jpg: size: is wrong (fix: scaled)"


def test_an_unknown_kind_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        Flaw("odd", Path("a"), "b")


def test_counts_are_in_the_order_of_the_kinds():
    assert count_by_kind([]) == {}
    flaws = [Flaw(kind, Path("a"), "b") for kind in ("leak", "no-area", "leak")]
    assert list(count_by_kind(flaws).items()) == [("no-area", 1), ("leak", 2)]


@pytest.mark.parametrize(("count", "more"), [(1, False), (10, False), (11, True)])
def test_the_refusal_shows_ten(count, more):
    flaws = tuple(Flaw("no-area", Path(f"{n}.txt"), "b", n) for n in range(count))
    error = refusal(Path("cells"), flaws)
    assert isinstance(error, DatasetError)
    lines = str(error).splitlines()
    assert lines[0].startswith(f"data set cells: expected no flaws, got {count} ({count} no-area); mend")
    assert lines[1:11] == [f"  {flaw}" for flaw in flaws[:10]]
    assert (lines[-1] == "  ... and 1 more: python -m helpers check-data cells") == more
