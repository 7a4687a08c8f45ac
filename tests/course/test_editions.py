"""Another language over the same code cells: markers, stamps, and what a text must share with its English."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from helpers.course import editions
from helpers.course.editions import Passage
from helpers.course.verified import TAG


def notebook(*cells):
    """`(id, source)` for markdown, `(id, source, outputs)` for code."""
    made = []
    for cell_id, source, *code in cells:
        if code:
            cell = nbformat.v4.new_code_cell(source, id=cell_id, execution_count=1)
            cell.outputs = [nbformat.v4.new_output("stream", text=code[0])]
            made.append(cell)
        else:
            made.append(nbformat.v4.new_markdown_cell(source, id=cell_id))
    return nbformat.v4.new_notebook(cells=made)


ENGLISH = notebook(("t", "# Title"), ("c", "print(1)", "1\n"), ("i", "It has `x`, 3 of 8 400 boxes."))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text" / "zh-CN" / "02.md"
    editions.write_text(
        path, [Passage("t", "", "# 标题"), Passage("i", "", "它有 `x`，8400 个框中的 3 个。")]
    )
    return path


def test_no_file_has_no_passages(tmp_path):
    assert editions.read_text(tmp_path / "none.md") == []


def test_text_survives_the_way_there_and_back(text):
    before = text.read_text("utf-8")
    passages = editions.read_text(text)
    assert [(p.cell_id, p.stamp) for p in passages] == [("t", ""), ("i", "")]
    editions.write_text(text, passages)
    assert (
        text.read_text("utf-8")
        == before
        == "<!-- t -->\n# 标题\n\n<!-- i -->\n它有 `x`，8400 个框中的 3 个。\n"
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("stray\n<!-- t -->\nx\n", "text before it: 'stray'"),
        ("<!-- t -->\na\n<!-- t -->\nb\n", "twice: ['t']"),
    ],
)
def test_a_file_that_cannot_be_meant(tmp_path, content, complaint):
    path = tmp_path / "02.md"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match="Fix: ") as error:
        editions.read_text(path)
    assert complaint in str(error.value)


def test_what_is_new_is_stamped_and_then_fits(text):
    assert len(list(editions.stale(editions.read_text(text), ENGLISH))) == 2
    assert editions.compare(text, ENGLISH) == []
    assert list(editions.stale(editions.read_text(text), ENGLISH)) == []
    again = text.read_bytes()
    assert editions.compare(text, ENGLISH) == []
    assert text.read_bytes() == again


def test_english_that_changes_alone_stays_a_complaint_until_the_text_is_edited(text):
    editions.compare(text, ENGLISH)
    changed = notebook(("t", "# Another title"), ("c", "print(1)", "1\n"), ("i", ENGLISH.cells[2].source))
    for _ in range(2):
        assert editions.compare(text, changed) == ["  t: the English has changed and this has not"]
        (line,) = editions.stale(editions.read_text(text), changed)
        assert line.startswith("cell t: the English has changed and this has not")
    text.write_text(text.read_text("utf-8").replace("标题", "别的标题"), "utf-8")
    assert editions.compare(text, changed) == []
    assert list(editions.stale(editions.read_text(text), changed)) == []


def test_accept_stamps_what_nobody_had_to_edit(text):
    editions.compare(text, ENGLISH)
    changed = notebook(("t", "# Titles"), ("i", ENGLISH.cells[2].source))
    assert editions.compare(text, changed, accept=True) == []
    assert list(editions.stale(editions.read_text(text), changed)) == []


def test_a_change_of_white_space_is_none(text):
    editions.compare(text, ENGLISH)
    wrapped = notebook(("t", "#  Title\n"), ("i", "It has `x`,\n3 of 8 400\nboxes."))
    assert list(editions.stale(editions.read_text(text), wrapped)) == []


def test_cells_that_come_and_go(text):
    editions.compare(text, ENGLISH)
    other = notebook(("t", "# Title"), ("n", "This one is new here."))
    assert editions.compare(text, other) == [
        "  n: still in English",
        "  i: no such cell in English; taken out",
    ]
    assert [p.cell_id for p in editions.read_text(text)] == ["t", "n"]
    assert [line[:7] for line in editions.stale(editions.read_text(text), other)] == ["cell n:"]


def test_a_passage_under_a_mistyped_marker_is_not_lost(text):
    text.write_text("<!-- t -->\n# 标题\n\n<!-- j -->\n一小时的工作。\n", "utf-8")
    for _ in range(2):
        assert editions.compare(text, ENGLISH) == [
            "  i: still in English",
            "  j: no such cell in English; mend its marker",
        ]
        assert [(p.cell_id, p.text[:2]) for p in editions.read_text(text)][2] == ("j", "一小")
    assert "cell j: no such cell in English" in list(editions.stale(editions.read_text(text), ENGLISH))


def test_a_passage_that_would_be_read_as_two_is_not_written(text):
    before = text.read_bytes()
    with pytest.raises(ValueError, match="cell t: expected no line like a marker, got '<!-- note -->'"):
        editions.write_text(text, [Passage("t", "", "a\n<!-- note -->\nb")])
    assert text.read_bytes() == before


@pytest.mark.parametrize(
    ("path", "language", "english"),
    [
        ("02.ipynb", "en", "02.ipynb"),
        ("/zh-CN/notebooks/02.ipynb", "en", "/zh-CN/notebooks/02.ipynb"),
        ("/zh-CN/notebooks/solutions/02.ipynb", "en", "/zh-CN/notebooks/solutions/02.ipynb"),
        ("/zh-CN/c/notebooks/zh-CN/02.ipynb", "zh-CN", "/zh-CN/c/notebooks/02.ipynb"),
        ("/en/notebooks/text/zh-CN/02.md", "zh-CN", "/en/notebooks/text/02.md"),
        ("zh-CN/solutions/02.ipynb", "zh-CN", "solutions/02.ipynb"),
    ],
)
def test_a_clone_may_lie_in_a_folder_of_any_name(path, language, english):
    assert editions.language_of(Path(path)) == language
    assert editions.english_of(Path(path)).as_posix() == english


@pytest.mark.parametrize(
    ("source", "english"),
    [("# ONNX", False), ("$x^2$", False), ("[`x`](https://a.org/some/page)", False), ("`some code`", False),
     ("# Idea", True), ("It has `x`.", True)],
)  # fmt: skip
def test_what_may_stay_as_it_is(tmp_path, source, english):
    path = tmp_path / "zh-CN" / "02.md"
    lines = editions.compare(path, notebook(("t", source)))
    assert lines == (["  t: still in English"] if english else [])
    assert editions.read_text(path)[0].is_of(source) != english


def test_order_matters(text):
    editions.compare(text, ENGLISH)
    passages = editions.read_text(text)
    assert list(editions.stale(passages[::-1], ENGLISH)) == ["cells: in another order than in English"]
    assert list(editions.stale([*passages, Passage("z", "", "?")], ENGLISH)) == [
        "cell z: no such cell in English"
    ]
    assert list(editions.stale(passages[:1], ENGLISH)) == ["cell i: not translated"]


@pytest.mark.parametrize(
    ("english", "chinese", "complaints"),
    [
        ("", "", []),
        ("`a` and `a`", "`a` 和 `a`", []),
        ("`a` and `a`", "`a`", ["`a`: 2 times in English, 1 here"]),
        ("none", "`b`", ["`b`: 0 times in English, 1 here"]),
        ("[x](https://a.org/b)", "[某](https://a.org/b)", []),
        ("[x](https://a.org/b)", "某", ["link https://a.org/b is missing"]),
        ("[x](https://colab.x/en)", "[x](https://colab.x/zh-CN)", []),
        ("[x](#Idea)", "[x](#想法)", []),
        ("8 400, 8,400 and 8400", "8400", []),
        ("80, 40", "80 和 40", []),
        ("0.35 of 3", "3 的 0.5", ["number 0.35 is missing"]),
        ("in `x[3]`", "在 `x[3]` 中", []),
    ],
)
def test_what_both_must_share(english, chinese, complaints):
    assert list(editions.unlike(Passage("a", "", chinese), english)) == complaints


def test_the_notebook_has_the_english_code_and_no_outputs(text):
    english = notebook(("t", "# Title"), ("run", "*yesterday*"), ("c", "print(1)", "1\n"), ("i", "Prose."))
    english.cells[1].metadata["tags"] = [TAG]
    english.cells[2].metadata["tags"] = ["colab"]
    made = editions.build(english, editions.read_text(text))
    assert [(cell.id, cell.source[:4]) for cell in made.cells] == [
        ("t", "# 标题"),
        ("c", "prin"),
        ("i", "它有 `"),
    ]
    assert (made.cells[1].outputs, made.cells[1].execution_count) == ([], None)
    assert made.cells[1].metadata["tags"] == ["colab"]
    assert english.cells[2].outputs, "the English one is not touched"


@pytest.mark.parametrize(
    ("source", "under"),
    [
        ("", ""),
        ("## 小结\n\n一句话。", '## 小结\n<a id="%E5%B0%8F%E7%BB%93"></a>\n\n一句话。'),
        ("## 没有 链接", "## 没有 链接"),
        ("## 1 + 1：二", '## 1 + 1：二\n<a id="1-+-1%EF%BC%9A%E4%BA%8C"></a>'),
        ("## Summary", "## Summary"),
    ],
)
def test_a_heading_that_is_linked_gets_an_anchor_that_jupyterlab_finds(source, under):
    english = notebook(("t", "# Title"), ("i", "Prose."))
    contents = "[一](#小结) [二](#1-+-1：二) [三](#Summary) [四](https://example.org/#没有-链接)"
    made = editions.build(english, [Passage("t", "", contents), Passage("i", "", source)])
    assert made.cells[0].source == contents
    assert made.cells[1].source == under
    assert editions.without_anchors(under) == source


def test_an_anchor_of_the_authors_own_stays():
    own = 'text\n<a id="here"></a>'
    assert editions.without_anchors(own) == own
