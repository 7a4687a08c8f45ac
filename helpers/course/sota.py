"""The comparison table of 31 detectors that the guides print, and who beats whom in it.

Source of the figures: the YOLOv7 authors (Wang, Bochkovskiy, Liao, "YOLOv7: Trainable bag-of-freebies sets
new state-of-the-art for real-time object detectors", 2022), in `sota.csv` beside this file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["BIBTEX", "FAMILIES", "Row", "beaten_by", "comparison", "front", "less", "more"]

FAMILIES = ("YOLOv7", "YOLOR", "PPYOLOE", "YOLOX", "YOLOv5")

BIBTEX = """\
@article{wang2022yolov7,
  title={YOLOv7: Trainable bag-of-freebies sets new state-of-the-art for real-time object detectors},
  author={Wang, Chien-Yao and Bochkovskiy, Alexey and Liao, Hong-Yuan Mark},
  journal={arXiv preprint arXiv:2207.02696},
  year={2022}
}"""


@dataclass(frozen=True)
class Row:
    """One detector, trained on COCO.

    Attributes:
        model, family: Names.
        params_m, flops_g: Millions of parameters, 10^9 operations for one picture.
        size_px: Side of the square input.
        fps_v100: Pictures a second on one V100, batch 1.
        ap_test: Average precision, per cent, on COCO test-dev; None where it was not published.
        ap_val: The same on COCO val2017; every row has it.
        ap50_test, ap75_test: At an overlap of 0.5 and of 0.75.
        ap_s_test, ap_m_test, ap_l_test: Of small, medium, large objects.
    """

    model: str
    family: str
    params_m: float
    flops_g: float
    size_px: int
    fps_v100: int
    ap_test: float | None
    ap_val: float
    ap50_test: float | None
    ap75_test: float | None
    ap_s_test: float | None
    ap_m_test: float | None
    ap_l_test: float | None


@cache
def comparison() -> dict[str, Row]:
    """The 31 rows by the model's name, in the guides' order.

    Example:
        >>> comparison()["YOLOv7"].params_m, len(comparison())
        (36.9, 31)
    """
    text = Path(__file__).with_name("sota.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {cells["model"]: _row(cells) for cells in csv.DictReader(lines)}


def _row(cells: dict[str, str]) -> Row:
    rest = ("ap_test", "ap50_test", "ap75_test", "ap_s_test", "ap_m_test", "ap_l_test")
    known: dict[str, float | None] = {name: float(cells[name]) if cells[name] else None for name in rest}
    return Row(
        model=cells["model"], family=cells["family"], params_m=float(cells["params_m"]),
        flops_g=float(cells["flops_g"]), size_px=int(cells["size_px"]), fps_v100=int(cells["fps_v100"]),
        ap_val=float(cells["ap_val"]), **known,
    )  # fmt: skip


def beaten_by(row: Row, rows: Iterable[Row]) -> list[Row]:
    """Those that are at least as fast and at least as accurate (val), and better in one of the two.

    Example:
        >>> rows = comparison()
        >>> [other.model for other in beaten_by(rows["YOLOR-D6"], rows.values())]
        ['YOLOv7-D6', 'YOLOv7-E6E']
    """
    mine = (row.fps_v100, row.ap_val)
    return [
        other
        for other in rows
        if other.fps_v100 >= mine[0] and other.ap_val >= mine[1] and (other.fps_v100, other.ap_val) != mine
    ]


def front(rows: Iterable[Row]) -> list[Row]:
    """The Pareto front: those that nobody beats, fastest first.

    Example:
        >>> [row.model for row in front(comparison().values())][:2]
        ['YOLOv7-tiny-SiLU', 'PPYOLOE-S']
    """
    rows = list(rows)
    return sorted((row for row in rows if not beaten_by(row, rows)), key=lambda row: -row.fps_v100)


def less(small: float, large: float) -> float:
    """By how many per cent `small` is less than `large`: per cent **of `large`**.

    >>> less(50, 100)
    50.0
    """
    return 100 * (1 - small / large)


def more(large: float, small: float) -> float:
    """By how many per cent `large` is more than `small`: per cent **of `small`**.

    >>> more(100, 50)
    100.0
    """
    return 100 * (large / small - 1)
