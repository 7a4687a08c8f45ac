"""Executing again: one lesson that fails does not stop the rest, and changes are shown against the commit."""

from __future__ import annotations

import subprocess

import pytest

from helpers.course import cli, refresh, runner, twins
from helpers.course.changes import CellChange

LESSON = '# %% [markdown] id="{0}-title"\n# # {0}\n\n# %% id="{0}-one"\nprint("one")\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository with two lessons that keep no rule, and nobody to ask about rules."""
    for module in ("refresh", "runner", "twins", "place"):
        monkeypatch.setattr(f"helpers.course.{module}.repository", lambda: tmp_path)
    monkeypatch.setattr(refresh, "broken_rules", lambda path: [])
    monkeypatch.setenv("YOLOV7_BUILD", str(tmp_path / "build"))
    for number in ("00", "01"):
        write(tmp_path, number, LESSON.format(number))
    return tmp_path


def write(place, number, text):
    path = place / "notebooks" / "text" / f"{number}_lesson.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def commit(place):
    author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "notebooks"], [*author, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)


def pretend(outputs):
    """Stands in for a kernel: what each lesson prints, or the error that it ends with."""

    def execute(found):
        for twin in found:
            notebook = twins.push(twin)
            said = outputs[twin.stem[:2]]
            if isinstance(said, Exception):
                raise said
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs = [{"output_type": "stream", "name": "stdout", "text": f"{said}\n"}]
                    cell.execution_count = 1
            twins.write_notebook(twins.read_notebook(write_to(notebook, twin)), twins.notebook_of(twin))

    return execute


def write_to(notebook, twin):
    import nbformat

    path = twins.notebook_of(twin)
    nbformat.write(nbformat.from_dict(notebook), path)
    return path


@pytest.fixture
def outputs(place, monkeypatch):
    known = {"00": "one", "01": "one"}
    monkeypatch.setattr(refresh, "execute", pretend(known))
    return known


def test_nothing_to_refresh(place, capsys):
    assert refresh.refresh([]) == 0
    assert "0 notebooks, 0 cells executed: 0 changed" in capsys.readouterr().out


def test_without_a_change_there_is_nothing_but_the_counts(place, outputs, capsys):
    refresh.refresh(twins.lessons())
    commit(place)
    capsys.readouterr()
    assert refresh.refresh(twins.lessons()) == 0
    assert capsys.readouterr().out == (
        "\nWhat changed since the last commit\n\n"
        "2 notebooks, 2 cells executed: 0 changed, 0 not compared (0 of them differ), 0 parts not run here\n"
    )


def test_what_changed_is_shown_against_the_commit_not_against_the_last_run(place, outputs, capsys):
    refresh.refresh(twins.lessons())
    commit(place)
    outputs["01"] = "two\nnot run: no GPU"
    assert refresh.refresh(twins.lessons()) == 0
    capsys.readouterr()
    assert refresh.refresh(twins.lessons()) == 0
    said = capsys.readouterr().out
    assert (
        'notebooks/01_lesson.ipynb\nchanged  01-one  | print("one")\n    stdout\n    - one\n    + two' in said
    )
    assert "00_lesson" not in said
    assert "not run here: no GPU (01_lesson)\n2 notebooks, 2 cells executed: 1 changed" in said
    assert said.endswith("1 part not run here\n")


def test_a_lesson_that_fails_is_named_and_does_not_stop_the_rest(place, outputs, monkeypatch, capsys):
    refresh.refresh(twins.lessons())
    commit(place)
    outputs["00"] = runner.LessonFailedError("00_lesson, cell 00-one: KeyError: 'x'")
    monkeypatch.setattr(refresh, "broken_rules", lambda path: ["x"] if path.name.startswith("00") else [])
    outputs["01"] = "two"
    capsys.readouterr()
    assert refresh.refresh(twins.lessons()) == 1
    said = capsys.readouterr().out
    line = "failed: 00_lesson, cell 00-one (print(\"one\")): KeyError: 'x'"
    assert said.count(line) == 2, "at once, and at the end"
    assert "changed  01-one" in said
    assert "1 lesson FAILED" in said
    assert "Rules broken" not in said, "a lesson that failed breaks them anyhow"
    assert "2 notebooks, 1 cell executed" in said


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("bad twin")])
def test_other_errors_name_the_lesson(place, outputs, error, capsys):
    outputs["01"] = error
    assert refresh.refresh(twins.lessons()) == 1
    assert f"failed: 01_lesson: {type(error).__name__}: {error}" in capsys.readouterr().out


def test_without_git_it_compares_with_what_was_there(place, outputs, monkeypatch, capsys):
    refresh.refresh(twins.lessons())
    assert "new, 1 code cell\n" in capsys.readouterr().out
    outputs["00"] = "two"
    monkeypatch.setenv("PATH", str(place))
    assert refresh.refresh(twins.lessons()) == 0
    said = capsys.readouterr().out
    assert "What changed since this command was given (no git or no commit here)" in said
    assert "changed  00-one" in said
    assert "01_lesson" not in said


def test_a_broken_rule_is_said_and_fails(place, outputs, monkeypatch, capsys):
    monkeypatch.setattr(refresh, "broken_rules", lambda path: ["too long"])
    assert refresh.refresh(twins.lessons()[:1]) == 1
    assert "Rules broken\nnotebooks/00_lesson.ipynb: too long\n" in capsys.readouterr().out


def test_showing_without_running(place, outputs, capsys):
    refresh.refresh(twins.lessons())
    commit(place)
    write_to(changed(place), twins.lessons()[0])
    outputs.clear()  # a run would fail
    capsys.readouterr()
    assert refresh.refresh(twins.lessons(), run=False) == 0
    said = capsys.readouterr().out
    assert "changed  00-title" in said
    assert "2 notebooks, 2 cells: 1 changed" in said


def changed(place):
    notebook = twins.read_notebook(place / "notebooks" / "00_lesson.ipynb")
    notebook.cells[0].source = "# Another"
    return notebook


def test_a_real_kernel_and_a_real_commit(place, capsys):
    assert refresh.refresh(twins.lessons(["00"])) == 0
    commit(place)
    write(place, "00", LESSON.format("00") + '\n# %% id="00-bad"\n# why\n1 / 0\n')
    capsys.readouterr()
    assert refresh.refresh(twins.lessons(["00"])) == 1
    said = capsys.readouterr().out
    assert "failed: 00_lesson, cell 00-bad (1 / 0): ZeroDivisionError: division by zero" in said
    assert "added  00-bad  | 1 / 0" in said


def test_every_edition_english_first(place):
    for language, ending in (("zh-CN", "md"),):
        path = place / "notebooks" / "text" / language / f"01_lesson.{ending}"
        path.parent.mkdir(parents=True)
        path.write_text("", "utf-8")
    names = [twin.relative_to(place / "notebooks" / "text").as_posix() for twin in refresh.every_edition()]
    assert names == ["00_lesson.py", "01_lesson.py", "zh-CN/01_lesson.md"]
    assert [twin.name for twin in refresh.every_edition(["00"])] == ["00_lesson.py"]
    with pytest.raises(ValueError, match="expected one of 00_lesson, 01_lesson, got 7"):
        refresh.every_edition(["7"])


def test_the_closing_lines_of_nothing_and_of_much():
    assert refresh.closing([]).startswith("0 notebooks, 0 cells executed: 0 changed")
    differs = CellChange("00-t", "time()", "changed", expected=True)
    changed = CellChange("00-a", "a", "changed")
    books = [
        refresh.NotebookChanges("notebooks/00.ipynb", 3, 2, ("no GPU", "no GPU"), (differs, changed)),
        refresh.NotebookChanges("notebooks/zh-CN/00.ipynb", 3, 2, ("no GPU", "no net"), ()),
    ]
    assert refresh.closing(books, 2) == (
        "not run here: no GPU (00, zh-CN/00)\n"
        "not run here: no net (zh-CN/00)\n"
        "2 notebooks, 6 cells executed: 1 changed, 4 not compared (1 of them differ), 4 parts not run here, "
        "2 lessons FAILED"
    )
    assert str(books[0]).endswith("changed  00-a  | a\ndiffer, as they may: 00-t")


def test_the_command(place, outputs, monkeypatch):
    asked = []
    monkeypatch.setattr(refresh, "refresh", lambda found, run: asked.append((len(found), run)) or 0)
    for words in ([], ["01"], ["--no-run"]):
        assert cli.main(options("refresh", *words)) == 0
    assert asked == [(2, True), (1, True), (2, False)]


def options(*words):
    import argparse

    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    return parser.parse_args(["course", *words])
