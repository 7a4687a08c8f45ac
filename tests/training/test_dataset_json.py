"""JSON with positions: the same objects as the json module's, each on its line; broken texts refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.training.dataset_json import Document, read_document
from helpers.training.flaws import DatasetError

CONTENT = {
    "info": {"lists": [1, [2, {"images": []}]], "text": 'a "quoted] } \\ text'},
    "images": [{"id": 1, "name": "ü\n"}, {"id": 2}],
    "empty": [],
    "mixed": [1, "a", None, [1, 2], {"a": [3]}, -1.5e3, True],
    "annotations": [{"id": 5, "bbox": [1, 2, 3, 4]}],
    "categories": [{"id": 1, "name": "cell"}],
    "last": 3,
}
PATH = Path("a.json")


@pytest.mark.parametrize("indent", [None, 0, 3])
@pytest.mark.parametrize("separators", [None, (",", ":"), (" ,\t", " :\r\n")])
def test_the_same_objects_as_json(indent, separators):
    text = " \n" + json.dumps(CONTENT, indent=indent, separators=separators, ensure_ascii=False) + "\n"
    document = Document(text, PATH)
    expected = {key: value for key, value in CONTENT.items() if isinstance(value, list)}
    assert {key: [item for _, item in items] for key, items in document.lists.items()} == expected


def test_lines_and_positions():
    text = '{"a": [{},\n{},{}\n,\n  {"b":\n1}]}'
    items = Document(text, PATH).lists["a"]
    assert [Document(text, PATH).line(at) for at, _ in items] == [1, 2, 2, 4]
    assert all(text[at] == "{" for at, _ in items)


@pytest.mark.parametrize("text", ["{}", ' {"a": 1}', '{"a": []}'])
def test_little(text):
    assert [item for items in Document(text, PATH).lists.values() for item in items] == []


BROKEN = [
    "", " ", "[]", "3", "{", '{"a"', '{"a":', '{"a": [', '{"a": [1', '{"a": [1,', '{"a" 1}', '{"a": [1 2]}',
    '{"a": [1}', '{"a": 1]', '{"a": 1 "b": 2}', "{a: 1}", '{"a": [{]}', "{1: 2}x", '{"a": nan}',
    '{"a": [' + "[" * 100_000, '{"a": [' + "9" * 5000 + "]}",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_broken_texts(text):
    with pytest.raises(DatasetError, match=r"a\.json: expected COCO's JSON, got: .*Fix: export it again"):
        Document(text, PATH)


def test_read_document(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(DatasetError, match="expected COCO's JSON"):
        read_document(path)
    path.write_bytes(b"\xff\xff")
    with pytest.raises(DatasetError, match="expected COCO's JSON"):
        read_document(path)
    path.write_text('{"images": {}, "annotations": []}')
    with pytest.raises(DatasetError, match="it lacks categories, images"):
        read_document(path)
    path.write_text('\ufeff{"images": [], "categories": []}', encoding="utf-8")
    assert read_document(path).lists == {"images": [], "categories": []}
