"""One Pascal VOC file: texts and lines, parts of objects passed over, entities refused."""

from __future__ import annotations

import pytest

from helpers.training.dataset_xml import read_xml

WHOLE = """<?xml version="1.0"?>
<annotation>
  <filename>a &amp; b.jpg</filename>
  <owner><name>somebody</name></owner>
  <size><width> 64 </width>
    <height>48.0</height></size>
  <object>
    <part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>
    <name> red
 cell </name><difficult>1</difficult>
    <bndbox>
      <ymin>2</ymin><xmin>1.5</xmin><xmax>30</xmax><ymax>4e1</ymax></bndbox>
  </object>
  <object><name>dot</name><difficult>0</difficult></object>
</annotation>
"""
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "a.xml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_xml(path)

    return read


def test_an_empty_annotation(read):
    file = read("<annotation/>")
    assert (file.texts, file.objects, file.size_wh) == ({}, [], None)


def test_texts_and_lines(read):
    file = read(WHOLE)
    assert file.texts["filename"] == "a & b.jpg"
    assert (file.lines["filename"], file.lines["size"]) == (3, 5)
    assert file.size_wh == (64, 48)
    first, second = file.objects
    assert (first.name, first.difficult, first.corners()) == ("red cell", True, (1.5, 2, 30, 40))
    assert (first.lines[""], first.lines["name"], first.lines["bndbox"]) == (7, 9, 11)
    assert (second.name, second.difficult, second.lines[""]) == ("dot", False, 14)
    with pytest.raises(ValueError, match="<object> lacks <bndbox/xmin>"):
        second.corners()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no element found"),
        ("<annotation>", "no element found: line 1"),
        ("<a>\n<b></a>", "mismatched tag: line 2"),
        ("plain", "syntax error"),
        (b"\xff\xd8\xff\xe0", "can't decode|invalid"),
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>', "a document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "a document type"),
        ('<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a/>', "a document type"),
        ("<a>&undefined;</a>", "undefined entity"),
        ("<a>" * 40, "deeper than 32"),
    ],
)
def test_refused(read, text, reason):
    with pytest.raises(ValueError, match=reason):
        read(text)


@pytest.mark.parametrize("value", ["nan", "inf", "x", "1e999"])
def test_sizes_that_are_none(read, value):
    file = read(f"<a><size><width>{value}</width><height>2</height></size></a>")
    with pytest.raises(ValueError, match=r"size|could not convert"):
        _ = file.size_wh


def test_half_a_size_is_no_size(read):
    assert read("<a><size><width>64</width></size></a>").size_wh is None


def test_corners_that_are_no_number(read):
    corners = "<xmin>1</xmin><ymin>2</ymin><xmax>three</xmax><ymax>4</ymax>"
    (item,) = read(f"<a><object><bndbox>{corners}</bndbox></object></a>").objects
    with pytest.raises(ValueError, match="three"):
        item.corners()
    assert item.name == ""
