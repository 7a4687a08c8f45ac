"""Notebooks and their text twins: ids, tags and outputs survive the way there and back."""

from __future__ import annotations

import nbformat
import pytest

from helpers.course import twins

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
