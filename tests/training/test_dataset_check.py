"""Pictures: sizes from headers, cut and turned and missing ones, a picture twice, in one split and in two."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from labelled_folders import picture, told, write
from PIL import Image

from helpers.images import ImageError
from helpers.training.dataset_check import check, picture_size
from helpers.training.dataset_entries import Entry, Listing, Row

ROW = Row(1, 0, (1, 2, 30, 40))


def listing(**splits):
    made = Listing(("cell",))
    for split, paths in splits.items():
        made.splits[split] = [Entry(p, p.with_suffix(".txt"), [ROW], p, n) for n, p in enumerate(paths, 1)]
    return made


def names(splits):
    return {split: [each.path.name for each in annotations] for split, annotations in splits.items()}


def png_of(width, height):
    """A PNG whose header claims a size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return (
        b"\x89PNG\r\n\x1a\n" + body + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    )


def test_nothing():
    assert check(listing()) == ({}, {}, ())
    assert check(listing(train=[])) == ({"train": ()}, {"train": ()}, ())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif", ".gif"])
@pytest.mark.parametrize("decode", [False, True])
def test_sizes(tmp_path, suffix, decode):
    path = picture(tmp_path / f"a{suffix}", (72, 36))
    assert picture_size(path, decode=decode) == (72, 36)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_sizes_are_those_of_the_picture_that_is_loaded(tmp_path, suffix, orientation):
    from helpers.images import load_image

    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    pixels = np.random.default_rng(1).integers(0, 256, (36, 72, 3), np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    loaded = load_image(path).shape[1::-1]
    assert picture_size(path) == loaded
    assert suffix != ".jpg" or loaded == ((36, 72) if orientation in (6, 8) else (72, 36))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("decode", [False, True])
def test_pictures_that_are_cut(tmp_path, suffix, decode):
    path = picture(tmp_path / f"a{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ImageError, match="cut short or damaged"):
        picture_size(path, decode=decode)
    path.write_bytes(whole + b"\0" * 100)
    assert picture_size(path, decode=decode) == (64, 48)


def test_a_picture_damaged_inside_needs_decoding(tmp_path):
    path = picture(tmp_path / "a.png")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"IDAT") + 8
    raw[at : at + 40] = bytes(40)
    path.write_bytes(raw)
    assert picture_size(path) == (64, 48)
    with pytest.raises(ImageError):
        picture_size(path, decode=True)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>not found</html>", b"\xff\xd8\xff\xe0", png_of(0, 5), b"BM" + bytes(60), b"%PDF-1.4"]
)
def test_no_pictures(tmp_path, raw):
    path = tmp_path / "a.jpg"
    path.write_bytes(raw)
    with pytest.raises(ImageError, match=r"a\.jpg"):
        picture_size(path)
    _, _, flaws = check(listing(train=[path]))
    assert told(flaws) == [("unreadable-picture", "a.jpg", None)]
    assert not flaws[0].message.startswith(str(tmp_path))


def test_pillow_as_ultralytics_leaves_it(tmp_path, monkeypatch):
    def opened(path):
        raise ModuleNotFoundError("No module named 'pi_heif'")

    (tmp_path / "a.jpg").write_bytes(b"no picture")
    monkeypatch.setattr("PIL.Image.open", opened)
    with pytest.raises(ImageError, match=r"a\.jpg"):
        picture_size(tmp_path / "a.jpg")


def test_a_picture_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(60_000, 60_000))
    with pytest.raises(ImageError):
        picture_size(path)


def test_a_picture_of_many_pixels_is_no_warning(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png_of(12_000, 9_000))
    written, _, flaws = check(listing(train=[path]))
    assert (names(written), flaws) == ({"train": ["large.png"]}, ())


def test_missing_pictures_are_told_where_they_are_named(tmp_path):
    made = Listing(("cell",))
    made.splits["train"] = [Entry(tmp_path / "no.jpg", tmp_path / "no.txt", [], tmp_path / "train.txt", 7)]
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    long = Path(tmp_path / ("x" * 4000 + ".jpg"))
    for place in (tmp_path / "folder.jpg", tmp_path / "loop.jpg", long):
        made.splits["train"].append(Entry(place, place, [], tmp_path / "train.txt", 8))
    written, fixed, flaws = check(made)
    assert told(flaws) == [("missing-picture", "train.txt", 7)] + [("missing-picture", "train.txt", 8)] * 3
    assert written == fixed == {"train": ()}
    assert flaws[0].message == "no.jpg is missing"


def test_boxes_as_written_and_fixed(tmp_path):
    path = picture(tmp_path / "a.png")
    made = listing(train=[path])
    made.splits["train"][0].rows = [
        ROW,
        Row(2, 0, (5, 6, 5, 9)),
        Row(3, 0, (50, 2, 80, 9)),
        Row(4, 0, (1e300,) * 4),
    ]
    written, fixed, flaws = check(made)
    assert told(flaws) == [("no-area", "a.txt", 2), ("partly-outside", "a.txt", 3), ("no-area", "a.txt", 4)]
    assert written["train"][0].boxes_xyxy[:3].tolist() == [[1, 2, 30, 40], [5, 6, 5, 9], [50, 2, 80, 9]]
    assert fixed["train"][0].boxes_xyxy.tolist() == [[1, 2, 30, 40], [50, 2, 64, 9]]
    assert fixed["train"][0].class_ids.tolist() == [0, 0]
    assert (fixed["train"][0].boxes_xyxy.dtype, fixed["train"][0].class_ids.dtype) == (np.float32, np.int64)


def test_a_picture_without_boxes_stays(tmp_path):
    made = listing(train=[picture(tmp_path / "a.png")])
    made.splits["train"][0].rows = []
    written, fixed, flaws = check(made)
    assert flaws == ()
    assert written["train"][0].boxes_xyxy.shape == fixed["train"][0].boxes_xyxy.shape == (0, 4)
    assert fixed["train"][0].class_ids.dtype == np.int64


def test_what_the_label_makes_unusable(tmp_path):
    paths = [picture(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    made = listing(train=paths)
    made.splits["train"][0].unusable = True
    made.splits["train"][1].size_wh = (99, 48)
    written, fixed, flaws = check(made)
    assert (names(written), names(fixed)) == ({"train": ["b.png", "c.png"]}, {"train": ["c.png"]})
    assert [flaw.kind for flaw in flaws] == ["size"]


def test_the_same_picture_twice_in_a_split(tmp_path):
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    copy = picture(tmp_path / "c.png", like="a.png")
    written, fixed, flaws = check(listing(train=[a, b, a, copy]))
    assert told(flaws) == [("duplicate-picture", "a.png", 3), ("duplicate-picture", "c.png", 4)]
    assert [flaw.message for flaw in flaws] == ["a.png is listed twice", "c.png is the same picture as a.png"]
    assert names(written) == {"train": ["a.png", "b.png", "a.png", "c.png"]}
    assert names(fixed) == {"train": ["a.png", "b.png"]}


@pytest.mark.parametrize(
    ("splits", "fixed"),
    [
        ({"train": "ab", "val": "c"}, {"train": "b", "val": "c"}),
        ({"train": "ab", "val": "a"}, {"train": "b", "val": "a"}),
        ({"train": "ab", "val": "d", "test": "c"}, {"train": "b", "val": "d", "test": "c"}),
        ({"train": "b", "val": "ad", "test": "c"}, {"train": "b", "val": "d", "test": "c"}),
        ({"train": "ab", "val": "cd", "test": "e"}, {"train": "b", "val": "cd", "test": "e"}),
    ],
)
def test_a_picture_in_two_splits_leaves_training(tmp_path, splits, fixed):
    paths = {name: picture(tmp_path / f"{name}.png", like="a" if name == "c" else None) for name in "bcde"}
    paths["a"] = picture(tmp_path / "a.png", like="a")
    made = listing(**{split: [paths[name] for name in letters] for split, letters in splits.items()})
    _, left, flaws = check(made)
    assert [flaw.kind for flaw in flaws] == ["leak"]
    assert names(left) == {split: [f"{name}.png" for name in letters] for split, letters in fixed.items()}
    out = next(split for split in splits if splits[split] != fixed[split])
    assert flaws[0].fix == f"the picture is left out of {out}"
    assert flaws[0].picture == paths["a"]
    assert f"in {out} and in " in flaws[0].message


def test_pictures_of_the_same_number_of_bytes_differ(tmp_path):
    paths = [tmp_path / f"{name}.bmp" for name in "ab"]
    for path in paths:
        picture(path)
    assert paths[0].stat().st_size == paths[1].stat().st_size
    assert check(listing(train=paths[:1], val=paths[1:]))[2] == ()


def test_flaws_by_file_and_line_and_the_listings_own(tmp_path):
    made = listing(train=[picture(tmp_path / "b.png"), picture(tmp_path / "a.png")])
    for entry in made.splits["train"]:
        entry.rows = [Row(n, 0, (5, 6, 5, 9)) for n in (10, 9)]
    from helpers.training.flaws import Flaw

    made.flaws.append(Flaw("columns", tmp_path / "a.txt", "x", 3))
    assert [(flaw.path.name, flaw.line) for flaw in check(made)[2]] == [
        ("a.txt", 3), ("a.txt", 9), ("a.txt", 10), ("b.txt", 9), ("b.txt", 10),
    ]  # fmt: skip


def test_progress_sees_every_picture(tmp_path):
    seen = []

    def progress(items):
        seen.append(len(items))
        return items

    check(listing(train=[picture(tmp_path / "a.png")], val=[tmp_path / "none.png"]), progress=progress)
    assert seen == [2]


def test_nothing_is_written(tmp_path):
    path = picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "x")
    before = {each: each.stat().st_mtime_ns for each in tmp_path.iterdir()}
    check(listing(train=[path, path]), decode=True)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.iterdir()} == before
