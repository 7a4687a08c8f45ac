"""The YAML file of a YOLO data set: names in each form, tags refused, one file among several."""

from __future__ import annotations

import pytest
from labelled_folders import told, write

from helpers.training.dataset_yaml import class_names, find_yaml, line_of, picture_places, read_yaml
from helpers.training.flaws import DatasetError

SPLITS = "train: images\nval: images\n"


def names(tmp_path, text, flaws=None):
    file = write(tmp_path / "data.yaml", text)
    return class_names(tmp_path, file, read_yaml(file), None, flaws if flaws is not None else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("names: [a, b]", ("a", "b")),
        ("names:\n- a\n- b c", ("a", "b c")),
        ("names: {0: a, 1: b}", ("a", "b")),
        ("names: {1: b, 0: a}", ("a", "b")),
        ("names: [1, 2.5, x]", ("1", "2.5", "x")),
        ("names: [yes, no]", None),
        ("nc: 3", ("class0", "class1", "class2")),
        ("nc: 2\nnames: []", None),
        ("names: {0: a, 2: b}", None),
        ("names: {a: 0}", None),
        ("names: [a, a]", None),
        ("names: [a, [b]]", None),
        ("names: {}", None),
        ("nc: 0", None),
        ("nc: -1", None),
        ("nc: 100000000000", None),
        ("", None),
    ],
)
def test_names(tmp_path, text, expected):
    if expected is None:
        with pytest.raises(DatasetError, match="expected"):
            names(tmp_path, text)
    else:
        assert names(tmp_path, text) == expected


def test_a_count_that_differs_is_a_flaw(tmp_path):
    flaws = []
    assert names(tmp_path, "names: [a, b]\n\nnc: 3\n", flaws) == ("a", "b")
    assert told(flaws) == [("class-count", "data.yaml", 3)]
    assert flaws[0].message == "nc is 3, but there are 2 names"
    flaws.clear()
    assert names(tmp_path, "names: [a, b]\nnc: 2\n", flaws) == ("a", "b")
    assert flaws == []


@pytest.mark.parametrize("beside", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_names_beside_the_pictures(tmp_path, beside):
    write(tmp_path / beside, "a\nb b\n\n")
    assert names(tmp_path, SPLITS) == ("a", "b b")
    assert class_names(tmp_path, None, {}, None, []) == ("a", "b b")


HOSTILE = {
    "a tag": "names: !!python/object/apply:os.system ['touch {}']",
    "a tag of a tuple": "names: !!python/tuple [a]",
    "no YAML": "names: [a",
    "two documents": "names: [a]\n---\nnames: [b]",
    "a tab": "names:\n\t- a",
    "deep": "names: " + "[" * 20_000,
    "a huge number": "nc: " + "9" * 5000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_or_broken_files(tmp_path, kind):
    touched = tmp_path / "touched"
    file = write(tmp_path / "data.yaml", HOSTILE[kind].format(touched))
    with pytest.raises(DatasetError, match="expected YAML with train, val and names, got"):
        read_yaml(file)
    assert not touched.exists()


def test_aliases_do_not_multiply(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(DatasetError, match="expected class names") as caught:
        names(tmp_path, "\n".join([*lines, "names: *a11"]))
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("value", [3, [["a"]], {"a": "b"}, ["a", None]])
def test_places_that_are_none(tmp_path, value):
    with pytest.raises(DatasetError, match="train: expected a folder, a list file, or several"):
        picture_places(tmp_path, {"train": value})


def test_missing_file_and_no_mapping(tmp_path):
    with pytest.raises(DatasetError, match="expected YAML"):
        read_yaml(tmp_path / "none.yaml")
    assert read_yaml(write(tmp_path / "a.yaml", "- a\n- b\n")) == {}


def test_which_file(tmp_path):
    assert find_yaml(tmp_path) is None
    write(tmp_path / "compose.yml", "services: !custom [a]\n")
    write(tmp_path / "hyp.yaml", "lr0: 0.01\n")
    write(tmp_path / ".hidden.yaml", SPLITS)
    assert find_yaml(tmp_path) is None
    cells = write(tmp_path / "cells.yml", SPLITS)
    assert find_yaml(tmp_path) == cells
    write(tmp_path / "more.yaml", "names: [a]\n")
    with pytest.raises(
        DatasetError, match=r"expected one YAML file of a data set, got cells\.yml, more\.yaml"
    ):
        find_yaml(tmp_path)
    data = write(tmp_path / "data.yaml", "")
    assert find_yaml(tmp_path) == data


def test_places_named_by_the_file(tmp_path):
    content = {"train": "a", "val": ["b", "c"], "test": None, "names": ["x"]}
    assert picture_places(tmp_path, content) == {"train": ["a"], "val": ["b", "c"]}


def test_places_by_the_layout(tmp_path):
    assert picture_places(tmp_path, {}) == {"train": ["."]}
    (tmp_path / "images" / "other").mkdir(parents=True)
    assert picture_places(tmp_path, {}) == {"train": ["images"]}
    write(tmp_path / "train.txt", "")
    write(tmp_path / "readme.txt", "")
    assert picture_places(tmp_path, {}) == {"train": ["train.txt"]}
    (tmp_path / "images" / "val2017").mkdir()
    assert picture_places(tmp_path, {}) == {"val": ["images/val2017"]}
    (tmp_path / "valid" / "images").mkdir(parents=True)
    (tmp_path / "train").mkdir()
    assert picture_places(tmp_path, {}) == {"train": ["train"], "val": ["valid/images"]}


def test_line_of(tmp_path):
    file = write(tmp_path / "a.yaml", "a: 1\n# val: x\nvalue: 2\nval: 3\n")
    assert [line_of(file, key) for key in ("a", "val", "b")] == [1, 4, None]
