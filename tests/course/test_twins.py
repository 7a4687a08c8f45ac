"""Notebooks and their text twins: ids, tags and outputs survive the way there and back."""

from __future__ import annotations

import nbformat
import pytest

from helpers.course import editions, twins, verified

TEXT = """# %% [markdown]
# # 02 · Export
#
# Text with a [link](x.ipynb).

# %% tags=["nbval-ignore-output"]
import time

# %% id="named"
for n in range(2):
    print(n)
"""


@pytest.fixture
def twin(tmp_path):
    path = tmp_path / "notebooks" / "text" / "02_export.py"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT, "utf-8")
    return path


def test_no_lessons(tmp_path):
    assert twins.lessons(folder=tmp_path) == []
    with pytest.raises(ValueError, match="no lessons yet, got 02"):
        twins.lessons(["02"], tmp_path)


def test_a_lesson_comes_before_its_solutions_and_names_pick(tmp_path):
    for name in ("04_patch", "02_export", "solutions/02_export"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("", "utf-8")
    found = [path.relative_to(tmp_path).as_posix() for path in twins.lessons(folder=tmp_path)]
    assert found == ["02_export.py", "solutions/02_export.py", "04_patch.py"]
    assert [path.name for path in twins.lessons(["04"], tmp_path)] == ["04_patch.py"]
    assert len(twins.lessons(folder=tmp_path, solutions=False)) == 2
    with pytest.raises(ValueError, match="expected one of 02_export, 04_patch, got 05"):
        twins.lessons(["05"], tmp_path)


def test_the_notebook_has_the_cells_tags_and_ids_of_the_twin(twin):
    book = twins.push(twin)
    assert [cell.cell_type for cell in book.cells] == ["markdown", "code", "code"]
    assert book.cells[1].metadata == {"tags": ["nbval-ignore-output"]}
    assert book.cells[2].id == "named"
    assert all(cell.id for cell in book.cells)
    read = twins.read_notebook(twins.notebook_of(twin))
    nbformat.validate(read)
    assert read.metadata.kernelspec == twins.KERNEL
    assert twin.read_text("utf-8") == twins.render(read)
    assert f'id="{book.cells[0].id}"' in twin.read_text("utf-8"), "ids are written back"


def test_a_second_time_changes_nothing(twin):
    twins.push(twin)
    before = twin.read_bytes(), twins.notebook_of(twin).read_bytes()
    twins.push(twin)
    assert (twin.read_bytes(), twins.notebook_of(twin).read_bytes()) == before


def test_outputs_stay_where_the_source_did(twin):
    book = twins.push(twin)
    for count, cell in enumerate(book.cells[1:], 1):
        cell.execution_count, cell.outputs = count, [nbformat.v4.new_output("stream", text="0\n1\n")]
    twins.write_notebook(book, twins.notebook_of(twin))
    twin.write_text(twin.read_text("utf-8").replace("import time", "import sys"), "utf-8")
    after = twins.push(twin)
    assert after.cells[1].outputs == []
    assert after.cells[1].execution_count is None
    assert after.cells[2].outputs[0].text == "0\n1\n"


def test_doubled_ids_are_told_apart(twin):
    twin.write_text('# %% id="a"\nx = 1\n\n# %% id="a"\nx = 2\n', "utf-8")
    ids = [cell.id for cell in twins.push(twin).cells]
    assert ids[0] == "a"
    assert len(set(ids)) == 2


def test_the_other_way_round(twin):
    book = twins.push(twin)
    book.cells[2].source = "print('edited in JupyterLab')"
    twins.write_notebook(book, twins.notebook_of(twin))
    assert twins.pull(twins.notebook_of(twin)) == twin
    assert "edited in JupyterLab" in twin.read_text("utf-8")
    assert twins.push(twin).cells[2].id == "named"


def test_a_broken_notebook_is_not_written(twin):
    book = twins.push(twin)
    before = twins.notebook_of(twin).read_bytes()
    book.cells[1].cell_type = "nonsense"
    with pytest.raises(nbformat.ValidationError):
        twins.write_notebook(book, twins.notebook_of(twin))
    assert twins.notebook_of(twin).read_bytes() == before


# --- an edition in another language -------------------------------------------------------------------------


@pytest.fixture
def text(twin):
    """The Chinese text of the lesson, its notebook made and run."""
    english = twins.push(twin)
    path = twin.parent / "zh-CN" / "02_export.md"
    editions.write_text(path, [editions.Passage(english.cells[0].id, "", "# 02 · 导出")])
    editions.compare(path, english)
    book = twins.push(path)
    book.cells[2].outputs, book.cells[2].execution_count = [nbformat.v4.new_output("stream", text="0\n")], 2
    verified.put(book, verified.verified_line(3, "zh-CN"), "02_export")
    twins.write_notebook(book, twins.notebook_of(path))
    return path


def test_its_notebook_keeps_what_it_printed_and_when(text, twin):
    book = twins.push(text)
    prose, when, first, second = book.cells
    assert (prose.source, when.metadata.tags) == ("# 02 · 导出", [verified.TAG])
    assert [first.source, second.outputs[0].text] == ["import time", "0\n"]
    twin.write_text(twin.read_text("utf-8").replace("print(n)", "print(-n)"), "utf-8")
    twins.push(twin)
    again = twins.push(text)
    assert again.cells[3].source.endswith("print(-n)"), "code comes from the English notebook"
    assert again.cells[3].outputs == [], "and what the old code printed goes"


def test_its_text_is_taken_from_an_edited_notebook_and_asks_for_a_stamp(text):
    path, (before,) = twins.notebook_of(text), editions.read_text(text)
    assert before.stamp
    book = twins.read_notebook(path)
    book.cells[0].source = "# 02 · 导出模型"
    book.cells.append(nbformat.v4.new_markdown_cell("新的一段。", id="new"))
    twins.write_notebook(book, path)
    assert twins.pull(path) == text
    assert editions.read_text(text) == [
        editions.Passage(before.cell_id, before.stamp, "# 02 · 导出模型"),
        editions.Passage("new", "", "新的一段。"),
    ], "no line of the run, and the stamp of what was there"
    assert [cell.source for cell in twins.push(text).cells][:1] == ["# 02 · 导出模型"]


def test_a_lesson_that_is_not_there_in_english_names_the_file(text, twin):
    twins.notebook_of(twin).unlink()
    with pytest.raises(FileNotFoundError, match=r"notebooks.02_export\.ipynb"):
        twins.push(text)


def test_lessons_of_an_edition_are_its_texts(text):
    folder = text.parents[1]
    assert twins.lessons(folder=folder, language="zh-CN") == [text]
    with pytest.raises(ValueError, match="expected one of 02_export, got 09"):
        twins.lessons(["09"], folder, language="zh-CN")
    assert twins.twin_of(twins.notebook_of(text)) == text
