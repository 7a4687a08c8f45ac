"""Counts: by hand on a small table, and against the authors' figures for all seven."""

from __future__ import annotations

import csv

import pytest

from helpers.counts import (
    PUBLISHED,
    Comparison,
    Cost,
    Published,
    compare_with_published,
    count,
    reparameterization,
)
from helpers.family import VARIANTS, Architecture, LayerRow, describe

ROWS = (
    LayerRow(-1, 1, "Conv", (8, 3, 2)),
    LayerRow(-1, 1, "RepConv", (8, 3, 1)),
    LayerRow(-1, 1, "Conv", (16, 1, 2)),
    LayerRow(1, 1, "Conv", (8, 1, 1)),
    LayerRow(-2, 1, "Conv", (8, 1, 1)),
)
INPUTS = {"Detect": (1, 2), "IDetect": (1, 2), "IAuxDetect": (1, 2, 3, 4)}
OUT = 1 * (5 + 1)  # one anchor, one class


def small(head="Detect"):
    row = LayerRow(INPUTS[head], 1, head, ("nc", "anchors"))
    rows = (*ROWS[: 3 if head != "IAuxDetect" else 5], row)
    return Architecture(rows, ("a",), (((1.0, 2.0),), ((3.0, 4.0),)), (2, 4))


# Of a picture of 8x8: row 0 and 1 give 4x4 = 16 cells, row 2 gives 2x2 = 4 cells.
ROW_0 = (8 * 27 + 8, 2 * 16 * 8 * (27 + 1))
ROW_1 = (8 * 72 + 8, 2 * 16 * 8 * (72 + 1))
ROW_2 = (16 * 8 + 16, 2 * 4 * 16 * (8 + 1))
HEAD = (OUT * 8 + OUT + OUT * 16 + OUT, 2 * OUT * (16 * (8 + 1) + 4 * (16 + 1)))


@pytest.mark.parametrize("head", INPUTS)
def test_fused_by_hand(head):
    parameters, flops = (sum(pair) for pair in zip(ROW_0, ROW_1, ROW_2, HEAD, strict=True))
    assert count(small(head), (8, 8)) == Cost(parameters, flops, 5, 0)


def test_as_trained_by_hand():
    folded, cost = count(small(), (8, 8)), count(small(), (8, 8), fused=False)
    # RepConv has a 1x1 and an identity beside the 3x3, each with its own BatchNorm; a BatchNorm has two
    # numbers a channel where the folded convolution has one.
    assert cost.parameters - folded.parameters == 8 * 8 + 8 + 8 + 16 + 2 * 16
    assert cost.flops - folded.flops == 2 * 16 * 8 * (8 + 1) + 2 * 16 * 8
    assert (cost.convolutions, cost.norms) == (6, 5)


def test_implicit_layers_have_parameters_only():
    plain, implicit = count(small(), (8, 8), fused=False), count(small("IDetect"), (8, 8), fused=False)
    assert implicit.parameters - plain.parameters == 8 + 16 + 2 * OUT
    assert implicit.flops == plain.flops


def test_auxiliary_levels_are_counted_as_trained():
    lead, full = count(small("IDetect"), (8, 8), fused=False), count(small("IAuxDetect"), (8, 8), fused=False)
    convolutions = 8 * 8 + 16 + 16 * 8 + 16  # rows 3 and 4; row 4 reads row 2
    assert full.parameters - lead.parameters == convolutions + 2 * (OUT * 8 + OUT)
    rows = 2 * 16 * 8 * (8 + 1) + 2 * 4 * 8 * (16 + 1)
    assert full.flops - lead.flops == rows + 2 * OUT * (16 * (8 + 1) + 4 * (8 + 1))
    assert full.convolutions - lead.convolutions == 4


def test_size():
    square, wide = count(small(), (8, 8)), count(small(), (16, 8))
    assert wide.flops == 2 * square.flops
    assert wide.parameters == square.parameters
    with pytest.raises(ValueError, match="multiples of 4"):
        count(small(), (8, 6))


def test_units():
    cost = Cost(1_500_000, 2_000_000_000, 0, 0)
    assert (cost.parameters_m, cost.flops_g) == (1.5, 2.0)
    row = Comparison("x", "deploy", 640, cost, Published(1.0, 4.0, 1, 1.0, 1.0))
    assert (row.parameters_error, row.flops_error) == (0.5, -0.5)


def test_all_seven_against_the_published_table():
    *rows, d6 = compare_with_published()
    assert [row.name for row in rows] == list(VARIANTS) == list(PUBLISHED)
    for row in rows:
        assert abs(row.parameters_error) < 0.005, row
        assert abs(row.flops_error) < 0.005, row
    assert [row.form for row in rows if row.name == "yolov7-d6"] == ["training"]
    exact = {row.name: f"{row.cost.parameters_m:.2f} {row.cost.flops_g:.2f}" for row in rows}
    assert exact == {
        "yolov7-tiny": "6.22 13.74", "yolov7": "36.91 104.68", "yolov7x": "71.31 189.90",
        "yolov7-w6": "70.39 360.16", "yolov7-e6": "97.20 515.12", "yolov7-d6": "154.71 806.96",
        "yolov7-e6e": "151.69 843.24",
    }  # fmt: skip
    assert (d6.form, f"{d6.cost.parameters_m:.2f} {d6.cost.flops_g:.1f}") == ("deploy", "133.76 702.6")


def test_activation_costs_nothing():
    from dataclasses import replace

    silu = replace(VARIANTS["yolov7-tiny"], activation=None).architecture(("a",), width_multiple=0.25)
    assert count(silu) == count(describe("yolov7-tiny", ("a",), width_multiple=0.25))


def test_reparameterization():
    tiny, base, w6 = (reparameterization(name) for name in ("yolov7-tiny", "yolov7", "yolov7-w6"))
    assert list(tiny) == list(base) == ["training", "deploy"]
    assert list(w6) == ["training", "no auxiliary head", "deploy"]
    assert tiny["training"].flops == tiny["deploy"].flops  # a BatchNorm folded is a bias
    assert base["training"].flops - base["deploy"].flops == 1264025600  # RepConv's branches
    assert (tiny["deploy"].norms, tiny["training"].norms) == (0, 55)
    assert w6["training"].flops > w6["no auxiliary head"].flops == w6["deploy"].flops
    assert w6["deploy"] == count(describe("yolov7-w6", tuple("a" * 80)), (1280, 1280))


@pytest.mark.shared
def test_published_figures(shared):
    with (shared / "facts" / "sota.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["family"] == "YOLOv7"]
    assert len(rows) == len(PUBLISHED)
    for row, (name, found) in zip(rows, PUBLISHED.items(), strict=True):
        plain = row["model"].lower().removesuffix("-silu").replace("-x", "x")
        keys = ("params_m", "flops_g", "fps_v100", "ap_test", "ap_val", "size_px")
        assert plain == name
        assert [float(row[key]) for key in keys] == [
            found.parameters_m, found.flops_g, found.fps, found.ap_test, found.ap_val, VARIANTS[name].size,
        ]  # fmt: skip
