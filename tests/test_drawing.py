"""Exact pixels where they can be told by hand, golden pictures where they cannot.

`YOLOV7_REGENERATE=1 pytest tests/test_drawing.py` writes the golden pictures anew; look at them.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import drawing
from helpers.detections import Detections
from helpers.drawing import colour, draw, encode_jpeg, grid, legend, show, side_by_side
from helpers.images import ImageError, load_image, save_image
from helpers.labels import overlap

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("RBC", "WBC", "Platelets")
WHITE = np.full((300, 400, 3), 255, np.uint8)


def some(*rows):
    return Detections.from_rows(np.array(rows, np.float64).reshape(-1, 6))


def crowd():
    rows = [
        (20 + 60 * x, 30 + 50 * y, 70 + 60 * x, 75 + 50 * y, 0.9 - 0.01 * (5 * y + x), 0)
        for y in range(3)
        for x in range(5)
    ]
    return some(
        *rows, (100, 200, 180, 280, 0.8, 1), (300, 210, 320, 230, 0.5, 2), (335, 210, 352, 230, 0.4, 2)
    )


def bgr(class_id):
    return colour(class_id)[::-1]


def painted(image_bgr, class_id):
    """Where a picture has exactly the colour of a class, as rows and columns."""
    return np.nonzero((image_bgr == bgr(class_id)).all(axis=2))


def test_nothing_to_draw_gives_an_equal_copy():
    drawn = draw(WHITE, Detections.empty(), NAMES)
    assert np.array_equal(drawn, WHITE)
    assert not np.shares_memory(drawn, WHITE)


def test_box_is_drawn_on_its_own_pixels():
    image_bgr = np.full((60, 80, 3), (1, 2, 3), np.uint8)
    drawn = draw(image_bgr, some((10, 20, 50, 50, 0.9, 1)), ("",) * 2, scores=False)
    rows, columns = painted(drawn[20:], 1)  # below the chip
    assert (rows.min() + 20, rows.max() + 20, columns.min(), columns.max()) == (20, 49, 10, 49)
    ring = np.ones((30, 40), bool)
    ring[1:-1, 1:-1] = False
    assert (drawn[20:50, 10:50][ring] == bgr(1)).all()
    assert (drawn[20:50, 10:50][~ring] == (1, 2, 3)).all()
    assert (image_bgr == (1, 2, 3)).all()


@pytest.mark.parametrize(("side", "line"), [(64, 1), (260, 1), (640, 2), (1300, 5), (2600, 10)])
def test_lines_grow_with_the_picture(side, line):
    drawn = draw(np.full((side, side, 3), 255, np.uint8), some((0, 0, side, side, 1, 0)), scores=False)
    column = drawn[side * 3 // 4, : side // 2]
    assert (column == bgr(0)).all(axis=1).sum() == line


@pytest.mark.parametrize(
    "box", [(-50, -60, 9, 9), (390, 290, 700, 800), (-9, -9, 999, 999), (500, 500, 600, 600), (7, 7, 7, 7)]
)
def test_boxes_beyond_the_picture_stay_inside(box):
    drawn = draw(WHITE, some((*box, 0.5, 2)), NAMES)
    assert drawn.shape == WHITE.shape
    assert len(painted(drawn, 2)[0]) > 0


def test_tiny_pictures_have_no_room_for_labels():
    drawn = draw(np.full((9, 9, 3), 255, np.uint8), some((2, 2, 7, 7, 0.5, 0)), NAMES)
    rows, columns = painted(drawn, 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 6, 2, 6)
    assert len(rows) == 16


def test_best_score_is_on_top():
    drawn = draw(WHITE, some((100, 100, 200, 200, 0.9, 0), (100, 100, 200, 200, 0.8, 1)), scores=False)
    assert drawn[150, 100].tolist() == list(bgr(0))


def chips(image_bgr, detections, monkeypatch):
    """Where `draw` puts its chips."""
    places = []
    place = drawing.place_chip
    monkeypatch.setattr(drawing, "place_chip", lambda *a: places.append(place(*a)) or places[-1])
    draw(image_bgr, detections, NAMES)
    return places


def test_labels_stay_inside_and_apart(monkeypatch, rng):
    corners = [(0, 0, 50, 40), (350, 0, 400, 30), (0, 260, 40, 300), (360, 270, 400, 300), (0, 0, 400, 300)]
    for rows in (corners, [(x, y, x + 60, y + 50) for x, y in rng.uniform(0, 300, (8, 2))]):
        places = chips(
            WHITE, some(*[(*row, 0.9 - 0.01 * n, n % 3) for n, row in enumerate(rows)]), monkeypatch
        )
        assert len(places) == len(rows)
        for number, (x0, y0, x1, y1) in enumerate(places):
            assert 0 <= x0 < x1 <= 400
            assert 0 <= y0 < y1 <= 300
            assert not any(overlap(places[number], other) for other in places[:number])


def test_a_crowd_has_a_legend_and_labels_for_the_rare(monkeypatch):
    places = chips(WHITE, crowd(), monkeypatch)
    assert len(places) == 3
    assert len(chips(WHITE, crowd()[:12], monkeypatch)) == 12


def scenes():
    few = some((30, 60, 140, 170, 0.91, 0), (120, 120, 330, 280, 0.778, 1), (350, 5, 395, 40, 0.4, 2))
    return {
        "few": draw(WHITE, few, NAMES),
        "crowd": draw(WHITE, crowd(), NAMES),
        "legend": legend(NAMES, {0: 14, 2: 3}),
        "legend-wrapped": legend([f"class {n}" for n in range(12)], width=200),
        "grid": grid([WHITE, WHITE // 2, WHITE // 3], 2, captions=["white", "half", "third"], cell_width=120),
    }


@pytest.mark.parametrize("name", sorted(scenes()))
def test_golden(name):
    image_bgr, path = scenes()[name], GOLDEN / f"{name}.png"
    if os.environ.get("YOLOV7_REGENERATE"):
        save_image(path, image_bgr)
    golden = load_image(path).astype(int)
    assert image_bgr.shape == golden.shape
    difference = np.abs(image_bgr - golden).max(axis=2)
    assert (difference > 64).mean() < 0.002  # FreeType may place the edge of a letter a little differently


def test_grid_places_cells():
    sheet = grid([np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)], 2, cell_width=20, gap=4)
    assert sheet.shape == (24, 44, 3)
    assert (sheet[:10, :20] == 10).all()
    assert (sheet[:10, 24:] == 20).all()
    assert (sheet[14:, :20] == 30).all()
    assert (sheet[14:, 20:] == 255).all()
    assert (sheet[10:14] == 255).all()


def test_grid_of_different_sizes():
    sheet = grid([np.zeros((10, 20, 3), np.uint8), np.zeros((80, 40, 3), np.uint8)], 5, cell_width=40, gap=0)
    assert sheet.shape == (80, 80, 3)
    assert (sheet[20:, :40] == 255).all()
    assert side_by_side(WHITE, WHITE, cell_width=200).shape == (150, 406, 3)
    assert side_by_side(WHITE, captions=["one"], cell_width=200).shape == (176, 200, 3)


@pytest.mark.parametrize(("images", "columns"), [([], 3), ([WHITE], 0)])
def test_grid_of_nothing(images, columns):
    with pytest.raises(ValueError, match="grid: expected pictures and at least 1 column"):
        grid(images, columns)


def test_empty_legend():
    assert legend([], {}).shape == (1, 1, 3)


@pytest.mark.parametrize("shape", [(480, 640, 3), (1500, 2000, 3)])
def test_jpeg_fits(rng, shape):
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    data = encode_jpeg(noise)
    assert len(data) <= 75_000
    assert data[:2] == b"\xff\xd8"
    assert len(encode_jpeg(WHITE, max_bytes=10)) > 10  # the least there is
    assert len(encode_jpeg(noise, quality=20)) < len(encode_jpeg(noise, quality=60))


@pytest.fixture
def displayed(monkeypatch):
    import IPython.display

    bundles = []

    def display(bundle, raw, metadata):
        bundles.append({**bundle, "alt": metadata["image/jpeg"]["alt"]})

    monkeypatch.setattr(IPython.display, "display", display)
    return bundles


@pytest.mark.parametrize(
    ("arguments", "text", "size", "alt"),
    [
        ({}, "<picture 400x300>", (400, 300), "picture of 400x300 pixels"),
        ({"caption": "two cells"}, "<picture 400x300: two cells>", (400, 326), "two cells"),
        ({"width": 200, "alt": "a cell"}, "<picture 400x300>", (200, 150), "a cell"),
    ],
)
def test_show(displayed, arguments, text, size, alt):
    assert show(WHITE, **arguments) is None
    (bundle,) = displayed
    assert (bundle["text/plain"], bundle["alt"]) == (text, alt)
    with Image.open(io.BytesIO(bundle["image/jpeg"])) as picture:
        assert (picture.format, picture.size) == ("JPEG", size)


def test_show_refuses_what_is_no_picture(displayed):
    with pytest.raises(ImageError, match=r"expected uint8\[H, W, 3\], got float64\[2, 2\]"):
        show(np.zeros((2, 2)))
    assert displayed == []
