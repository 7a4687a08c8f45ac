"""Pascal VOC form: lists and layouts, names, difficult objects, and each flaw with its line."""

from __future__ import annotations

import pytest
from labelled_folders import picture, told, voc, voc_xml, write

from helpers.training.dataset_voc import list_voc, voc_folders
from helpers.training.flaws import DatasetError

CELL = ("cell", 1, 2, 30, 40)


def splits(listing):
    return {split: [entry.picture.name for entry in entries] for split, entries in listing.splits.items()}


def test_an_empty_folder(tmp_path):
    assert voc_folders(tmp_path) == []
    with pytest.raises(DatasetError, match=r"expected Annotations/\*\.xml"):
        list_voc(tmp_path)


def test_boxes_and_names_in_alphabetical_order(tmp_path):
    root = voc(tmp_path, {"b": [("dot", 5, 6, 7.5, 8), CELL], "a": []})
    listing = list_voc(root)
    assert listing.names == ("cell", "dot")
    assert (listing.flaws, listing.notes) == ([], [])
    assert splits(listing) == {"train": ["a.png", "b.png"]}
    empty, entry = listing.splits["train"]
    assert (empty.rows, entry.size_wh, entry.line_of_size, entry.relative) == ([], (64, 48), 3, False)
    assert [tuple(row) for row in entry.rows] == [(6, 1, (5, 6, 7.5, 8)), (10, 0, (1, 2, 30, 40))]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("classes.txt", "dot\ncell\n", ("dot", "cell")),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndot:1,2,3::\ncell:::\n",
            ("dot", "cell"),
        ),
    ],
)
def test_names_from_a_file_beside(tmp_path, file, text, expected):
    root = voc(tmp_path, {"a": [CELL]})
    write(root / file, text)
    assert list_voc(root).names == expected
    assert list_voc(root, ["cell"]).names == ("cell",)


def test_no_class_at_all(tmp_path):
    with pytest.raises(DatasetError, match="class names in the XML files: expected class names"):
        list_voc(voc(tmp_path, {"a": []}))


@pytest.mark.parametrize("place", ["", "ImageSets/Main/", "ImageSets/"])
def test_lists(tmp_path, place):
    root = voc(tmp_path, {name: [CELL] for name in "abcd"})
    write(root / f"{place}train.txt", "c\na\n")
    write(root / f"{place}val.txt", "JPEGImages/b.png\n")
    write(root / f"{place}trainval.txt", "a\nb\nc\n")
    listing = list_voc(root)
    assert splits(listing) == {"train": ["c.png", "a.png"], "val": ["b.png"]}
    assert [(e.source.name, e.line) for e in listing.splits["train"]] == [("train.txt", 1), ("train.txt", 2)]
    assert listing.flaws == []


def test_trainval_where_there_is_no_train(tmp_path):
    root = voc(tmp_path, {name: [CELL] for name in "ab"})
    write(root / "ImageSets/Main/trainval.txt", "a\n")
    write(root / "ImageSets/Main/test.txt", "b\n")
    assert splits(list_voc(root)) == {"test": ["b.png"], "train": ["a.png"]}


@pytest.mark.parametrize("folders", [("train", "valid"), ("", "val")])
def test_xml_files_beside_the_pictures(tmp_path, folders):
    for folder, name in zip(folders, "ab", strict=True):
        picture(tmp_path / folder / f"{name}.png")
        write(tmp_path / folder / f"{name}.xml", voc_xml(f"{name}.png", [CELL]))
    listing = list_voc(tmp_path)
    assert splits(listing) == {"train": ["a.png"], "val": ["b.png"]}
    assert listing.flaws == []


def test_difficult_objects_are_left_out(tmp_path):
    root = voc(tmp_path, {"a": [CELL, ("dot", 5, 6, 7, 8)]})
    path = root / "Annotations/a.xml"
    path.write_text(path.read_text().replace("<name>dot</name>", "<name>dot</name><difficult>1</difficult>"))
    listing = list_voc(root)
    assert (listing.names, listing.notes) == (("cell", "dot"), ["1 object marked difficult is left out"])
    assert [row.class_id for row in listing.splits["train"][0].rows] == [0]


def test_every_flaw_of_a_file_with_its_line(tmp_path):
    objects = [
        CELL,
        ("other", 1, 2, 3, 4),
        ("", 1, 2, 3, 4),
        ("cell", 1, "x", 3, 4),
        ("cell", 1, "nan", 3, 4),
    ]
    root = voc(tmp_path, {"a": objects})
    broken = write(root / "Annotations/b.xml", "<annotation>\n<object>\n</annotation>")
    write(root / "Annotations/c.xml", voc_xml("../../../etc/passwd", [CELL]))
    write(root / "Annotations/d.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]>\n<annotation/>")
    listing = list_voc(root, ["cell"])
    assert told(listing.flaws) == [
        ("broken-label", broken.name, 3), ("path", "c.xml", 2), ("broken-label", "d.xml", None),
        ("unknown-class", "a.xml", 9), ("unknown-class", "a.xml", 13), ("not-a-number", "a.xml", 18),
        ("not-a-number", "a.xml", 22),
    ]  # fmt: skip
    assert [flaw.message for flaw in listing.flaws[3:5]] == [
        "class 'other' is none of the classes",
        "has no class",
    ]
    assert splits(listing) == {"train": ["a.png"]}
    assert len(listing.splits["train"][0].rows) == 1


def test_missing_labels(tmp_path):
    root = voc(tmp_path, {"a": [CELL]})
    picture(root / "JPEGImages/bare.png")
    assert told(list_voc(root).flaws) == [("missing-label", "bare.png", None)]
    write(root / "train.txt", "a\nnone\n../../etc/passwd\n")
    assert told(list_voc(root).flaws) == [
        ("missing-label", "train.txt", 2),
        ("missing-label", "train.txt", 3),
    ]


def test_the_picture_by_the_labels_name_then_by_the_name_inside(tmp_path):
    root = voc(tmp_path, {"a": [CELL]})
    write(root / "Annotations/a.xml", voc_xml("another.png", [CELL]))
    assert splits(list_voc(root)) == {"train": ["a.png"]}
    (root / "JPEGImages/a.png").rename(root / "JPEGImages/another.png")
    listing = list_voc(root)
    assert splits(listing) == {"train": ["another.png"]}


def test_a_picture_that_is_named_nowhere(tmp_path):
    write(tmp_path / "Annotations/a.xml", "<annotation><object><name>cell</name></object></annotation>")
    listing = list_voc(tmp_path)
    assert listing.splits["train"][0].picture == tmp_path / "JPEGImages/a.jpg"
    assert (listing.splits["train"][0].size_wh, told(listing.flaws)) == (None, [("not-a-number", "a.xml", 1)])
