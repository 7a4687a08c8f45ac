"""What the drawings of the assignment show: cells where they are, objects framed, the right counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.course import assignment_view as view
from helpers.training.assigner import Assignment
from helpers.training.samples import Sample
from helpers.training.smears import draw_smear
from helpers.training.start import start_training

SIZE = 64
BLUE, ORANGE = view.LEVEL_RGB[0], view.LEVEL_RGB[1]


def pairs(*rows):
    """Object, level, cell x, cell y, anchor side, stride of each pair."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return Assignment(
        flat=torch.arange(len(table)), target_ids=table[:, 0].long(), level_ids=table[:, 1].long(),
        cells_xy=table[:, 2:4], anchors_wh=table[:, 4:5].expand(-1, 2), strides=table[:, 5],
    )  # fmt: skip


def seen(lead, auxiliary=None, boxes=((0, 0, 20, 20, 16, 16), (0, 1, 50, 40, 8, 8))):
    auxiliary = lead if auxiliary is None else auxiliary
    return view.Seen(
        np.full((SIZE, SIZE, 3), 200, np.uint8), torch.tensor(boxes, dtype=torch.float32), lead, auxiliary,
        torch.full((len(lead),), 0.5), torch.full((len(auxiliary),), 0.25),
    )  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return start_training("", ["RBC", "WBC", "Platelets"], width_multiple=0.125).network


def test_a_picture_without_objects(network):
    empty = view.see_assignment(network, Sample.of(np.zeros((48, 64, 3), np.uint8), [], []), SIZE)
    assert (len(empty.lead), len(empty.auxiliary), empty.per_object()) == (0, 0, [])
    assert (empty.mean_iou(), empty.level_share()) == (0.0, 0.0)
    assert view.cells_picture(empty).shape == (144, 192, 3)


def test_what_a_network_chose(network):
    sample = draw_smear(3, (64, 48), cells=5)
    network.train()
    got = view.see_assignment(network, sample, SIZE)
    assert network.training, "left as it was"
    assert got.image_bgr.shape == (SIZE, SIZE, 3)
    height, width = sample.boxes_xyxy[0, [3, 2]] - sample.boxes_xyxy[0, [1, 0]]
    assert got.targets[0, 4:].tolist() == pytest.approx([width, height], abs=0.01)
    centre_y = sample.boxes_xyxy[0, [1, 3]].mean() + 8  # below the grey bar
    assert float(got.targets[0, 3]) == pytest.approx(float(centre_y), abs=0.01)
    assert sum(got.per_object("auxiliary")) == len(got.auxiliary) > len(got.lead) == sum(got.per_object())
    assert got.lead_ious.shape == (len(got.lead),)
    assert 0 < got.mean_iou() < 1
    assert not got.lead_ious.requires_grad


def test_overlaps_are_those_of_the_predictions(network):
    """Where a network predicts the object itself, the overlap is 1: logits made so by hand."""
    targets = torch.tensor([[0.0, 0.0, 20.0, 12.0, 10.0, 10.0]])
    chosen = pairs((0, 0, 2, 1, 10, 8))
    level = torch.zeros(1, 1, 4, 4, 8)  # centre at (2 + 0.5) * 8 = 20, (1 + 0.5) * 8 = 12; anchor 10x10
    ious = view._ious([level], Assignment(**{**vars(chosen), "flat": torch.tensor([6])}), targets)
    assert ious.tolist() == pytest.approx([1.0])
    level[0, 0, 1, 2, 2:4] = torch.logit(torch.tensor(0.5 * 0.5**0.5))  # half the anchor's sides
    ious = view._ious([level], Assignment(**{**vars(chosen), "flat": torch.tensor([6])}), targets)
    assert ious.tolist() == pytest.approx([0.25], abs=1e-5)


def test_counts_and_shares():
    some = seen(
        pairs((0, 0, 1, 1, 9, 8), (0, 1, 1, 1, 9, 16), (1, 0, 6, 5, 9, 8)), pairs((1, 2, 1, 1, 9, 32))
    )
    assert some.per_object() == [2, 1]
    assert some.per_object("auxiliary") == [0, 1]
    assert some.level_share() == pytest.approx(2 / 3)
    assert (some.level_share(2, "auxiliary"), some.level_share(0, "auxiliary")) == (1.0, 0.0)
    assert (some.mean_iou(), some.mean_iou("auxiliary")) == (0.5, 0.25)


def towards(pixel_bgr, tint_rgb, plain):
    """How far a pixel has gone from the plain picture towards a tint, per channel."""
    rgb = np.array(pixel_bgr[::-1], float)
    return (rgb - plain) / (np.array(tint_rgb, float) - plain)


def test_cells_are_filled_where_they_are():
    one = view.cells_picture(seen(pairs((0, 0, 3, 5, 9, 8))), scale=3)
    plain = float(one[190, 190, 0])
    inside = one[5 * 24 + 12, 3 * 24 + 12]
    assert towards(inside, BLUE, plain) == pytest.approx([115 / 255] * 3, abs=0.02)
    for y, x in ((5 * 24 - 2, 3 * 24 + 12), (5 * 24 + 12, 4 * 24 + 2), (3 * 24 + 12, 5 * 24 + 12)):
        assert one[y, x].tolist() == [plain] * 3, "its neighbours stay as they are"


def test_more_anchors_in_a_cell_make_it_stronger():
    cells = pairs((0, 0, 3, 5, 9, 8), (0, 0, 3, 5, 11, 8), (0, 1, 2, 2, 9, 16), (1, 0, 7, 0, 9, 8))
    picture = view.cells_picture(seen(cells), scale=1)
    plain = float(picture[63, 63, 0])
    weak, strong = picture[4, 60], picture[44, 28]
    assert towards(weak, BLUE, plain)[0] == pytest.approx(115 / 255, abs=0.02)
    assert towards(strong, BLUE, plain)[0] == pytest.approx(155 / 255, abs=0.02)
    assert towards(picture[36, 36], ORANGE, plain)[2] == pytest.approx(115 / 255, abs=0.02)


def test_objects_are_framed():
    picture = view.cells_picture(seen(pairs()), scale=1)
    assert picture[12, 20].tolist() == picture[20, 12].tolist() == [30, 30, 30]
    assert picture[36, 50].tolist() == [30, 30, 30]
    assert picture[20, 20].tolist() != [30, 30, 30]


def test_grey_bars_are_left_away(network):
    wide = view.see_assignment(network, draw_smear(1, (64, 32), cells=2), SIZE)
    assert view.cells_picture(wide, scale=2).shape == (64, 128, 3)


def test_most_central():
    boxes = ((0, 0, 5, 5, 8, 8), (0, 0, 30, 35, 8, 8), (0, 0, 60, 30, 8, 8))
    assert view.most_central(seen(pairs(), boxes=boxes)) == 1


def test_sheets_have_a_row_a_moment():
    chosen = pairs((0, 0, 2, 2, 9, 8), (1, 1, 3, 2, 20, 16))
    moments = {"first": seen(chosen), "last": seen(chosen)}
    assert view.cells_sheet(moments, 100).shape == (2 * 126 + 6, 206, 3)
    assert view.anchors_sheet(moments, 0, size=80).shape == (2 * 106 + 6, 166, 3)
    assert view.anchors_sheet(moments, size=80).shape == (218, 166, 3)


def test_captions_are_not_cut_off(monkeypatch):
    from helpers.labels import load_font

    sheets = []
    monkeypatch.setattr(
        "helpers.drawing.grid", lambda _, __, captions, cell_width: sheets.append((captions, cell_width))
    )
    many = pairs(*[(0, 0, x, y, 9, 8) for x in range(5) for y in range(5)])
    for sheet in (view.cells_sheet, view.anchors_sheet):
        sheet({"epoch 1": seen(many), "the end": seen(many)})
    for captions, width in sheets:
        assert len(captions) == 4
        assert max(load_font(15, text).getlength(text) for text in captions) + 2 <= width


def test_close_up_shows_the_anchor_of_this_object_alone():
    chosen = pairs((0, 0, 2, 2, 20, 8), (1, 1, 3, 2, 30, 16))
    close = view._close_up(seen(chosen), chosen.of(0), 0, 100, 0.75)
    scale = 100 / 60  # reach = 24 * 1.25 on each side of (20, 20)
    corner = round((20 - 10 - (20 - 30)) * scale)  # the anchor around its cell's centre, (20, 20)
    middle = round(30 * scale)
    assert close[middle, corner].tolist() == list(BLUE[::-1])
    assert not (close.reshape(-1, 3) == np.array(ORANGE[::-1])).all(1).any()
    assert (close.reshape(-1, 3) == 20).all(1).any(), "the object's own frame"


def test_fine_cells_lie_on_coarse_ones():
    """Blue over orange is bluish, orange over blue reddish."""
    picture = view.cells_picture(seen(pairs((0, 0, 3, 5, 9, 8), (0, 1, 1, 2, 9, 16))), scale=1)
    blue, _, red = picture[44, 28].tolist()
    assert blue > red
