"""What changed between two states of a notebook: paired by id, pictures by their pixels."""

from __future__ import annotations

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers.course import changes
from helpers.course.changes import compare, picture_difference, text_difference

IGNORED = ["nbval-ignore-output"]


def book(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def code(cell_id, source="x", *outputs, tags=()):
    return nbformat.v4.new_code_cell(source, id=cell_id, outputs=list(outputs), metadata={"tags": list(tags)})


def text(cell_id, source, tags=()):
    return nbformat.v4.new_markdown_cell(source, id=cell_id, metadata={"tags": list(tags)})


def said(words, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=words)


def shown(alt="", **data):
    metadata = {"image/jpeg": {"alt": alt}} if alt else {}
    return nbformat.v4.new_output(
        "display_data",
        data={kind.replace("_", "/"): value for kind, value in data.items()},
        metadata=metadata,
    )


def failed(name, words):
    return nbformat.v4.new_output("error", ename=name, evalue=words, traceback=[])


def picture(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_nothing_against_nothing():
    assert compare(book(), book()) == []
    assert text_difference("", "") == ["only the ends of lines differ"]


def test_the_same_is_no_change():
    cells = [text("a", "# Title"), code("b", "print(1)", said("1\n"))]
    again = [text("a", "# Title"), code("b", "print(1)", said("1\n"))]
    again[1].execution_count = 7
    assert compare(book(*cells), book(*again)) == []


PICTURE = {
    kind: base64.b64encode(picture(np.full((2, 3, 3), kind, np.uint8))).decode() for kind in (0, 9, 99)
}
ALL_DIFFER = "100.0 % of the pixels differ, 100.0 % by more than 16 of 255, mean absolute difference 99.00"
WAYS = {
    "added": (book(), book(code("n", "new = 1")), ("added", "n", "new = 1", ())),
    "removed": (book(code("o", "# why\nold = 1")), book(), ("removed", "o", "old = 1", ())),
    "source": (
        book(code("a", "x = 1\ny")),
        book(code("a", "x = 2\ny")),
        ("changed", "a", "x = 2", ("source", "- x = 1", "+ x = 2")),
    ),
    "prose": (
        book(text("a", "# One")),
        book(text("a", "# Two")),
        ("changed", "a", "# Two", ("source", "- # One", "+ # Two")),
    ),
    "type": (
        book(text("a", "x")),
        book(code("a", "x")),
        ("changed", "a", "x", ("cell type: markdown -> code",)),
    ),
    "tags": (book(code("a")), book(code("a", tags=["slow"])), ("changed", "a", "x", ("tags: none -> slow",))),
    "stdout": (
        book(code("a", "x", said("1\n2\n"))),
        book(code("a", "x", said("1\n3\n"))),
        ("changed", "a", "x", ("stdout", "- 2", "+ 3")),
    ),
    "in pieces": (
        book(code("a", "x", said("1\n"), said("2\n"))),
        book(code("a", "x", said("1\n2\n3\n"))),
        ("changed", "a", "x", ("stdout", "+ 3")),
    ),
    "stderr": (
        book(code("a")),
        book(code("a", "x", said("oh\n", "stderr"))),
        ("changed", "a", "x", ("stderr", "+ oh")),
    ),
    "an error": (
        book(code("a")),
        book(code("a", "x", failed("KeyError", "k"))),
        ("changed", "a", "x", ("error: none -> KeyError: k",)),
    ),
    "a result": (
        book(code("a", "x", shown(text_plain="1"))),
        book(code("a", "x", shown(text_plain="2"))),
        ("changed", "a", "x", ("result 1, text/plain", "- 1", "+ 2")),
    ),
    "a table": (
        book(code("a", "x", shown(text_html="<table><tr><td>1</td></tr></table>"))),
        book(code("a", "x", shown(text_html="<table><tr><td>2</td></tr></table>"))),
        ("changed", "a", "x", ("result 1, text/html", "- 1", "+ 2")),
    ),
    "one result more": (
        book(code("a")),
        book(code("a", "x", shown(text_plain="1"))),
        ("changed", "a", "x", ("results: 0 -> 1",)),
    ),
    "a picture": (
        book(code("a", "x", shown(image_jpeg=PICTURE[0]))),
        book(code("a", "x", shown(image_jpeg=PICTURE[99]))),
        ("changed", "a", "x", ("picture 1: 3 x 2, " + ALL_DIFFER,)),
    ),
    "a picture gone": (
        book(code("a", "x", shown(image_jpeg=PICTURE[0]))),
        book(code("a", "x", shown())),
        ("changed", "a", "x", ("picture 1: image/jpeg was removed",)),
    ),
    "alt": (
        book(code("a", "x", shown("two cells", image_jpeg=PICTURE[0]))),
        book(code("a", "x", shown("one cell", image_jpeg=PICTURE[0]))),
        ("changed", "a", "x", ("alternative texts of pictures", "- two cells", "+ one cell")),
    ),
}


@pytest.mark.parametrize(("before", "after", "expected"), WAYS.values(), ids=list(WAYS))
def test_each_kind_of_change(before, after, expected):
    (change,) = compare(before, after)
    assert (change.kind, change.cell, change.line, change.details) == expected
    assert not change.expected


def test_widgets_have_another_name_in_every_run_and_that_is_no_change():
    views = [shown(**{"application/vnd.jupyter.widget-view+json": {"model_id": name}}) for name in "ab"]
    assert compare(*(book(code("a", "x", view)) for view in views)) == []


def test_a_table_that_is_text_and_html_is_shown_once():
    results = [shown(text_plain=f"n\n{n}", text_html=f"<table><tr><td>{n}</td></tr></table>") for n in (1, 2)]
    (change,) = compare(*(book(code("a", "x", result)) for result in results))
    assert change.details == ("result 1, text/plain", "- 1", "+ 2")


def test_cells_are_paired_by_id_wherever_they_stand():
    before = book(code("a", "1"), code("b", "2"), code("c", "3"))
    after = book(code("c", "3"), code("a", "1"), code("new", "0"), code("b", "2"))
    assert [(change.kind, change.cell) for change in compare(before, after)] == [
        ("moved", "c"),
        ("added", "new"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (code("a", "x", said("1"), tags=IGNORED), code("a", "x", said("2"), tags=IGNORED), True),
        (code("a", "x", said("1"), tags=IGNORED), code("a", "y", said("2"), tags=IGNORED), False),
        (code("a", "x", said("1")), code("a", "x", said("2")), False),
        (text("a", "*Last verified 1*"), text("a", "*Last verified 2*"), False),
    ],
)
def test_what_may_differ_is_told_apart(before, after, expected):
    (change,) = compare(book(before), book(after))
    assert change.expected is expected


def test_the_line_that_every_run_writes_is_left_out():
    line, later = (text("v", f"*Last verified {n}*", ["verified"]) for n in (1, 2))
    assert compare(book(line), book(later)) == []
    assert compare(book(), book(later)) == []
    assert compare(book(line, code("a", "x")), book(code("a", "x"), later)) == []


def test_a_moved_cell_is_never_expected():
    before = book(code("a", "1", tags=IGNORED), code("b", "2"), code("c", "3"))
    (change,) = compare(before, book(code("b", "2"), code("c", "3"), code("a", "1", tags=IGNORED)))
    assert (change.cell, change.kind, change.expected) == ("a", "moved", False)


def test_long_differences_are_cut_and_counted():
    lines = text_difference("", "\n".join(f"line {n}" for n in range(40)))
    assert lines[:2] == ["+ line 0", "+ line 1"]
    assert lines[-1] == "... 28 more lines"
    assert len(lines) == changes.MAX_LINES + 1


def test_a_long_line_is_cut_to_where_it_differs():
    old, new = text_difference("a" * 300 + "OLD" + "b" * 300, "a" * 300 + "NEW" + "b" * 300)
    assert "OLD" in old
    assert "NEW" in new
    assert max(len(old), len(new)) <= changes.MAX_WIDTH + 8
    first, _ = text_difference("OLD" + "a" * 300, "NEW" + "a" * 300)
    assert first.startswith("- OLDaaa")
    assert first.endswith("aaa...")


def test_ends_of_lines_alone():
    assert text_difference("a\n", "a") == ["only the ends of lines differ"]


def column(value):
    """Four columns of zeros, the second of another value."""
    return lambda image: np.where(np.arange(4)[None, :, None] == 1, value, image).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: image[:2], "4 x 3 -> 4 x 2"),
        (
            column(17),
            "25.0 % of the pixels differ, 25.0 % by more than 16 of 255, mean absolute difference 4.25",
        ),
        (column(16), "4 x 3, 25.0 % of the pixels differ, 0.0 % by more than 16 of 255"),
        (column(1), "4 x 3, 25.0 % of the pixels differ, 0.0 % by more than 16 of 255"),
        (column([0, 20, 0]), "25.0 % of the pixels differ, 25.0 % by more than 16 of 255"),
    ],
)
def test_pictures_by_size_and_pixels(change, expected):
    before = np.zeros((3, 4, 3), np.uint8)
    after = change(before)
    assert expected in picture_difference(picture(before), picture(after))
    if after.shape == before.shape:
        assert expected in picture_difference(picture(after), picture(before)), "darker is no less"


def test_the_same_pixels_in_other_bytes():
    image = Image.fromarray(np.zeros((30, 40, 3), np.uint8))
    files = [io.BytesIO(), io.BytesIO()]
    for level, file in zip((0, 9), files, strict=True):
        image.save(file, "PNG", compress_level=level)
    assert "40 x 30, the same pixels, other bytes (" in picture_difference(*(f.getvalue() for f in files))


@pytest.mark.parametrize("error", [None, ModuleNotFoundError("No module named 'pi_heif'")])
@pytest.mark.parametrize("data", ["%%%bad", "aGk="])
def test_a_picture_that_cannot_be_read_is_told_and_hides_no_other_change(data, error, monkeypatch):
    """Where Ultralytics was imported, Pillow's refusal becomes the want of a package."""

    def opened(*_args):
        raise error

    if error:
        monkeypatch.setattr("PIL.Image.open", opened)
    before = book(code("a", "x", shown(image_jpeg=""), said("one\n")))
    after = book(code("a", "x", shown(image_jpeg=data), said("two\n")))
    (change,) = compare(before, after)
    assert change.details[:3] == ("stdout", "- one", "+ two")
    assert change.details[3] == "picture 1: other data, and one cannot be read"


def test_first_lines():
    assert changes.first_line(code("a", "")) == ""
    assert changes.first_line(code("a", "# only this")) == "# only this"
    assert changes.first_line(text("a", "# A heading\n\nprose")) == "# A heading"
    assert len(changes.first_line(code("a", "x" * 200))) == 73
