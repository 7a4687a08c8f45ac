"""Colours, chips, and where chips go."""

import numpy as np
import pytest

from helpers import labels
from helpers.labels import PALETTE_RGB, colour, emptiest_corner, make_chip, overlap, place_chip


def test_colours_are_fixed_and_apart():
    assert [colour(n) for n in range(8)] == list(PALETTE_RGB)
    assert colour(79) == colour(7)
    table = np.array(PALETTE_RGB, int)
    distances = np.abs(table[:, None] - table[None]).sum(axis=2) + 999 * np.eye(8, dtype=int)
    assert distances.min() > 60


@pytest.mark.parametrize("class_id", range(8))
def test_chip_text_is_readable(class_id):
    """Contrast of at least 3 to 1 (WCAG, large text) between letters and chip."""
    chip = np.asarray(make_chip("Wg", colour(class_id), 16), float) / 255
    linear = np.where(chip <= 0.04045, chip / 12.92, ((chip + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (luminance.max() + 0.05) / (luminance.min() + 0.05) > 3


def test_chips_grow_with_their_text():
    short, long = (make_chip(text, (0, 0, 0), 14) for text in ("RBC", "Platelets 99%"))
    assert short.width < long.width
    assert short.height == long.height


SIZE = (200, 100)
BOX = (60, 40, 119, 69)


@pytest.mark.parametrize(
    ("outline", "taken", "expected"),
    [
        (BOX, [], (60, 30)),  # above, at the left edge
        (BOX, [(60, 30, 61, 31)], (80, 30)),  # above, at the right edge
        (BOX, [(60, 30, 120, 40)], (60, 70)),  # below
        (BOX, [(60, 30, 120, 40), (60, 70, 61, 71)], (80, 70)),
        (BOX, [(60, 30, 120, 40), (60, 70, 120, 80)], (120, 40)),  # beside
        (BOX, [(60, 30, 120, 40), (60, 70, 120, 80), (120, 0, 200, 100)], (20, 40)),
        (
            BOX,
            [(60, 30, 120, 40), (60, 70, 120, 80), (120, 0, 200, 100), (0, 0, 60, 100)],
            (60, 40),
        ),  # inside
        (BOX, [(0, 0, 200, 62)], (60, 70)),  # below again
        (BOX, [(0, 0, 200, 100)], (60, 30)),  # nowhere free: the first of the equals
        (BOX, [(0, 0, 200, 75), (0, 75, 200, 100)], (60, 30)),
        ((0, 0, 199, 99), [], (0, 0)),  # the box fills the picture
        ((190, 0, 199, 9), [], (160, 10)),  # moved in from the right edge
        ((-5, 95, 3, 99), [], (0, 85)),
    ],
)
def test_places(outline, taken, expected):
    assert place_chip((40, 10), outline, SIZE, taken) == (*expected, expected[0] + 40, expected[1] + 10)


def test_no_place():
    assert place_chip((201, 10), BOX, SIZE, []) is None
    assert place_chip((40, 101), BOX, SIZE, []) is None
    assert place_chip((200, 100), BOX, SIZE, []) == (0, 0, 200, 100)


@pytest.mark.parametrize(
    ("boxes", "corner"),
    [
        ([], (0, 90)),
        ([(0, 95, 5, 99)], (170, 90)),
        ([(0, 95, 199, 99)], (0, 0)),
        ([(0, 95, 199, 99), (0, 0, 9, 9)], (170, 0)),
        ([(0, 0, 199, 99), (0, 0, 199, 9)], (170, 90)),
    ],
)
def test_corners(boxes, corner):
    assert emptiest_corner((30, 10), SIZE, boxes)[:2] == corner


@pytest.mark.parametrize(
    ("a", "b", "pixels"),
    [((0, 0, 4, 4), (4, 0, 8, 4), 0), ((0, 0, 4, 4), (1, 2, 3, 9), 4), ((0, 0, 4, 4), (9, 9, 12, 12), 0)],
)
def test_overlap(a, b, pixels):
    assert overlap(a, b) == overlap(b, a) == pixels


def test_no_scalable_font(monkeypatch):
    monkeypatch.setattr(labels.ImageFont, "load_default", lambda size: object())
    with pytest.raises(ImportError, match="Pillow lacks FreeType"):
        labels._font.__wrapped__(14, False)
