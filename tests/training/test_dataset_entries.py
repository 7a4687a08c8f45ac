"""Paths that stay inside the folder, splits by name, lists and class names."""

from __future__ import annotations

import pytest
from labelled_folders import picture, write

from helpers.training.dataset_entries import (
    TEXT_LIMIT,
    Listing,
    is_file,
    locate,
    pictures_under,
    read_list,
    read_text,
    split_of,
    unique_names,
)  # fmt: skip
from helpers.training.flaws import DatasetError


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "secret.jpg", "x")
    root = tmp_path / "data"
    for name in ("images/train/a.jpg", "lists/b.jpg", "b.jpg"):
        write(root / name, "x")
    return root


@pytest.mark.parametrize(
    ("written", "base", "expected"),
    [
        ("images/train/a.jpg", None, "images/train/a.jpg"),
        ("./images/train/a.jpg ", None, "images/train/a.jpg"),
        ("images\\train\\a.jpg", None, "images/train/a.jpg"),
        ("../images/train/a.jpg", None, "images/train/a.jpg"),
        ("../images/train/a.jpg", "lists", "images/train/a.jpg"),
        ("/content/drive/set/images/train/a.jpg", None, "images/train/a.jpg"),
        ("b.jpg", "lists", "lists/b.jpg"),
        ("b.jpg", None, "b.jpg"),
        ("../b.jpg", "lists", "b.jpg"),
        ("images/none.jpg", None, "images/none.jpg"),
        ("none.jpg", "lists", "lists/none.jpg"),
        ("images/../b.jpg", None, "b.jpg"),
        (".", None, ""),
        ("../../etc/passwd", None, None),
        ("../secret.jpg", None, None),
        ("images/../../secret.jpg", None, None),
        ("/etc/passwd", None, None),
        ("../data2/a.jpg", None, None),
        ("", None, None),
        ("  ", None, None),
        ("a\0b.jpg", None, None),
    ],
)
def test_locate(root, written, base, expected):
    found = locate(root, written, root / base if base else None)
    assert found == (None if expected is None else root / expected)


def test_a_sibling_with_the_same_beginning_is_outside(root):
    write(root.parent / "data2" / "a.jpg", "x")
    assert locate(root, "../data2/a.jpg") is None
    assert locate(root, str(root / "b.jpg")) == root / "b.jpg"


def test_names_that_no_file_can_have(root):
    long = "a" * 4000 + ".jpg"
    assert locate(root, long) == root / long
    assert not is_file(root / long)
    assert locate(root, long * 2) is None
    assert locate(root, "/a/b/c/d/e/f" + "/images/train/a.jpg") == root / "images/train/a.jpg"
    assert locate(root, "x/" * 2000 + "images/train/a.jpg") == root / "images/train/a.jpg"
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    assert not is_file(locate(root, "loop.jpg"))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("training", "train"), ("Train2017", "train"), ("instances_train2017", "train"),
        ("trainval", "train"), ("val", "val"), ("valid", "val"), ("validation", "val"), ("dev", "val"),
        ("obj_val_data", "val"), ("test", "test"), ("testing", "test"), ("my-test.v2", "test"),
        ("images", None), ("trains", None), ("value", None), ("latest", None), ("devices", None), ("", None),
    ],
)  # fmt: skip
def test_split_of(name, split):
    assert split_of(name) == split


def test_read_text_and_lists(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"")
    assert (read_text(path), read_list(path)) == ("", [])
    path.write_bytes("\ufeffa.jpg\r\n\r\n  ü b.jpg \n".encode())
    assert read_list(path) == [(1, "a.jpg"), (3, "ü b.jpg")]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="expected a list of pictures"):
        read_list(path)
    with pytest.raises(DatasetError, match="expected a list of pictures"):
        read_list(tmp_path / "none.txt")


def test_a_text_that_is_far_too_long(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(TEXT_LIMIT)
    assert len(read_text(path)) == TEXT_LIMIT
    with path.open("ab") as file:
        file.write(b"a")
    with pytest.raises(ValueError, match="more than 32 MB"):
        read_text(path)


def test_pictures_under(tmp_path):
    assert list(pictures_under(tmp_path / "none")) == []
    for name in ("b.png", "a.JPG", "sub/c.webp", ".hidden.jpg", ".git/d.jpg", "__MACOSX/e.jpg", "f.txt"):
        write(tmp_path / "images" / name, "x")
    (tmp_path / "images" / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = [path.relative_to(tmp_path / "images").as_posix() for path in pictures_under(tmp_path / "images")]
    assert found == ["a.JPG", "b.png", "sub/c.webp"]


def test_unique_names():
    assert unique_names(["a", " b ", 3], "x") == ("a", "b", "3")
    for names in ([], ["a", "a"], ["a", "a "], ["a", ""], ["a", None], ["a", ["b"]], ["a", {}]):
        with pytest.raises(DatasetError, match=r"x: expected class names, each once, got \d"):
            unique_names(names, "x")


def test_notes():
    listing = Listing(("a",))
    for count in (0, 1, 2):
        listing.note(count, "box", "boxes")
    assert listing.notes == ["1 box", "2 boxes"]


def test_the_helpers_pictures_differ(tmp_path):
    assert picture(tmp_path / "a.png").read_bytes() != picture(tmp_path / "b.png").read_bytes()
