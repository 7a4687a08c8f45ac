"""Building blocks: the rows they append, written out."""

from __future__ import annotations

import pytest

from helpers.blocks import ALL, ALL_AT_HALF, EVERY_SECOND, Elan, Table, halve, join_from_above, pool_pyramid


def written(table):
    return [(row.source, row.module, *row.args) for row in table.rows]


def test_an_empty_table():
    table = Table()
    assert table.rows == []
    assert table.add(-1, "ReOrg") == 0
    assert table.conv(8) == 1


@pytest.mark.parametrize(("activation", "tail"), [(None, ()), ("nn.ReLU()", (None, 1, "nn.ReLU()"))])
def test_activation_goes_into_every_convolution(activation, tail):
    table = Table(activation)
    table.conv(8, 3, 2, source=-4)
    assert written(table) == [(-4, "Conv", 8, 3, 2, *tail)]


@pytest.mark.parametrize(
    ("kind", "depth", "sources"),
    [
        (ALL, 2, (-1, -2, -3, -4)),
        (EVERY_SECOND, 4, (-1, -3, -5, -6)),
        (EVERY_SECOND, 6, (-1, -3, -5, -7, -8)),
        (EVERY_SECOND, 8, (-1, -3, -5, -7, -9, -10)),
        (ALL_AT_HALF, 4, (-1, -2, -3, -4, -5, -6)),
    ],
)
def test_elan(kind, depth, sources):
    table = Table()
    assert kind.emit(table, depth, 16, 24) == depth + 3
    chain = int(16 * kind.chain)
    assert written(table) == [
        (-1, "Conv", 16, 1, 1), (-2, "Conv", 16, 1, 1), *[(-1, "Conv", chain, 3, 1)] * depth,
        (sources, "Concat", 1), (-1, "Conv", 24, 1, 1),
    ]  # fmt: skip


def test_doubled_elan_reads_one_input():
    table = Table()
    table.conv(8)
    assert Elan().emit(table, 2, 16, 24, doubled=True) == 13
    sources = [row.source for row in table.rows]
    assert [1 + sources[1], 2 + sources[2], 7 + sources[7], 8 + sources[8]] == [0, 0, 0, 0]
    assert written(table)[-1] == ((-1, -7), "Shortcut", 1)
    assert [row.args for row in table.rows[1:7]] == [row.args for row in table.rows[7:13]]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("MP", [(-1, "MP")]),
        ("Conv", [(-1, "Conv", 64, 3, 2)]),
        ("DownC", [(-1, "DownC", 64)]),
        ("transition", [(-1, "MP"), (-1, "Conv", 32, 1, 1), (-3, "Conv", 32, 1, 1), (-1, "Conv", 32, 3, 2)]),
    ],
)
def test_halve(kind, rows):
    table = Table()
    assert halve(table, kind, 64) == ((-1, -3) if kind == "transition" else (-1,))
    assert written(table) == rows


def test_pool_pyramid():
    table = Table()
    assert pool_pyramid(table, 8) == 8
    assert [row[:2] for row in written(table)] == [
        (-1, "Conv"), (-2, "Conv"), (-1, "SP"), (-2, "SP"), (-3, "SP"), ((-1, -2, -3, -4), "Concat"),
        (-1, "Conv"), ((-1, -7), "Concat"), (-1, "Conv"),
    ]  # fmt: skip
    assert [row.args[0] for row in table.rows[2:5]] == [5, 9, 13]


def test_join_from_above():
    table = Table()
    assert join_from_above(table, 8, 37) == 3
    assert written(table) == [
        (-1, "Conv", 8, 1, 1), (-1, "nn.Upsample", None, 2, "nearest"), (37, "Conv", 8, 1, 1),
        ((-1, -2), "Concat", 1),
    ]  # fmt: skip
