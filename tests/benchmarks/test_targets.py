"""Targets: which side is better, the aim behind the bound, and nothing claimed from a busy machine."""

import pytest

from benchmarks.targets import CONVERT, FLOOR, IMPORT, INT8, STATES, Target

CASES = [
    (FLOOR, None, "not judged"),
    (FLOOR, 1.0, "aim met"),
    (FLOOR, 1.02, "aim met"),
    (FLOOR, 1.0201, "met"),
    (FLOOR, 1.05, "met"),
    (FLOOR, 1.0501, "missed"),
    (INT8, 3.0, "aim met"),
    (INT8, 2.999, "met"),
    (INT8, 2.0, "met"),
    (INT8, 1.999, "missed"),
    (IMPORT, 0.2, "met"),
    (IMPORT, 0.01, "met"),
    (IMPORT, 0.21, "missed"),
    (CONVERT, 0.4, "aim met"),
]


@pytest.mark.parametrize(("target", "value", "expected"), CASES)
def test_states(target, value, expected):
    assert target.judge(value) == expected
    assert expected in STATES
    assert target.judge(value, quiet=False) == "not judged"


def test_as_text():
    assert str(INT8) == "≥ 2, aim ≥ 3"
    assert str(Target(0.2)) == "≤ 0.2"
    assert FLOOR.source == "DESIGN §6"
