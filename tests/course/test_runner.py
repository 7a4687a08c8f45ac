"""The headless runner: order, failure, clean outputs, counts of what was not run; and its commands."""

from __future__ import annotations

import argparse
import base64
import json
from pathlib import Path

import nbformat
import pytest

from helpers.course import cli, runner, twins, verified

LESSON = """# %% [markdown]
# # 00

# %%
print("one")
print("two")

# %%
import os

from IPython.display import display

display({"image/jpeg": "aGk=", "text/plain": "<picture>"}, raw=True)
print("not run: no CUDA device")
print(os.environ["YOLOV7_HEADLESS"], os.environ.get("YOLOV7_CHECKED"), os.environ.get("YOLOV7_MODEL"))
"""


@pytest.fixture
def twin(tmp_path, monkeypatch):
    path = tmp_path / "notebooks" / "text" / "00_start.py"
    path.parent.mkdir(parents=True)
    path.write_text(LESSON, "utf-8")
    monkeypatch.setenv("YOLOV7_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(runner, "repository", lambda: tmp_path)
    monkeypatch.delenv("YOLOV7_CHECKED", raising=False)
    monkeypatch.delenv("YOLOV7_MODEL", raising=False)
    return path


def test_nothing_to_run():
    assert runner.execute([]) == []
    assert runner.summary([]) == "lesson  cells  not compared  not run  pictures  seconds"


def test_execute_writes_clean_outputs_as_a_check_would_see_them(twin, capsys):
    (result,) = runner.execute([twin])
    assert (result.name, result.cells, result.not_run) == ("00_start", 2, ("no CUDA device",))
    book = twins.read_notebook(twins.notebook_of(twin))
    said, first, second = book.cells[1:]
    assert verified.is_verified(said.source)
    assert said.metadata.pop("tags") == [verified.TAG]
    assert [first.execution_count, second.execution_count] == [1, 2]
    assert [output.text for output in first.outputs] == ["one\ntwo\n"], "one stream, joined"
    assert second.outputs[-1].text.endswith("1 1 None\n")
    assert all(dict(cell.metadata) == {} for cell in book.cells)
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert "00_start: 2 cells" in capsys.readouterr().out


def test_run_leaves_the_notebook_alone_and_saves_the_pictures(twin, tmp_path):
    twins.push(twin)
    before = twins.notebook_of(twin).read_bytes()
    (result,), folder = runner.run([twin], "blood-cells")
    assert twins.notebook_of(twin).read_bytes() == before
    assert folder == tmp_path / "build" / "blood-cells" / "pictures"
    assert (folder / "00_start-01.jpg").read_bytes() == base64.b64decode("aGk=")
    assert result.pictures == 1
    executed = twins.read_notebook(tmp_path / "build" / "executed" / "00_start.ipynb")
    assert executed.cells[2].outputs[-1].text.endswith("1 None blood-cells\n")
    assert "no CUDA device (00_start)" in runner.summary([result])
    record = json.loads((tmp_path / "build" / "executed" / "record.json").read_text())
    assert record["lessons"] == [{"name": "00_start", "seconds": round(result.seconds, 1), "cells": 2}]
    assert record["when"].endswith(" UTC")


def printed(book):
    return [output.text.strip() for cell in book.cells for output in cell.get("outputs", [])]


def test_a_model_is_found_from_the_folder_in_which_the_command_was_given(twin, tmp_path, monkeypatch):
    twin.write_text('# %% id="a"\nimport os\nprint(os.environ["YOLOV7_MODEL"])\n', "utf-8")
    twins.push(twin)
    (tmp_path / "mine.pt").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    for setting, argument, expected in (
        ("", "mine.pt", tmp_path / "mine.pt"), ("mine.pt", None, tmp_path / "mine.pt"),
        ("yolov7", None, "yolov7"), ("yolov7", "yolov7-tiny", "yolov7-tiny"), ("", None, "blood-cells"),
    ):  # fmt: skip
        monkeypatch.setenv("YOLOV7_MODEL", setting)
        with monkeypatch.context() as reader:
            reader.delenv("PYTEST_VERSION", raising=False)
            reader.setattr("helpers.course.picker.repository", lambda: tmp_path)
            _, folder = runner.run([twin], argument)
        assert printed(twins.read_notebook(tmp_path / "build" / "executed" / "00_start.ipynb")) == [
            str(expected)
        ]
        assert folder.parent.name == Path(expected).stem


def test_an_edition_is_executed_in_its_language_whatever_is_set(twin, monkeypatch):
    twin.write_text('# %% id="a"\nfrom helpers.course.language import current\nprint(current())\n', "utf-8")
    text = twin.parent / "zh-CN" / "00_start.md"
    text.parent.mkdir()
    text.write_text("", "utf-8")
    for named in ("zh-CN", "en"):
        monkeypatch.setenv("YOLOV7_LANGUAGE", named)
        runner.execute([twin, text])
        books = [twins.read_notebook(twins.notebook_of(path)) for path in (twin, text)]
        assert [printed(book) for book in books] == [["en"], ["zh-CN"]]


def test_a_failing_cell_stops_the_run_by_name_and_keeps_the_notebook(twin, capsys):
    twins.push(twin)
    before = twins.read_notebook(twins.notebook_of(twin))
    twin.write_text(LESSON + '\n# %% id="bad"\n1 / 0\n', "utf-8")
    with pytest.raises(
        runner.LessonFailedError, match="00_start, cell bad: ZeroDivisionError: division by zero"
    ):
        runner.execute([twin])
    after = twins.read_notebook(twins.notebook_of(twin))
    assert [cell.get("outputs") for cell in after.cells[:3]] == [cell.get("outputs") for cell in before.cells]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os._exit(1)", "00_start, cell bad: the kernel died"),
        ("import time; time.sleep(60)", "00_start, cell bad: no end within 1 s"),
    ],
)
def test_a_kernel_that_died_or_hangs_names_its_cell(twin, monkeypatch, source, said):
    monkeypatch.setattr(runner, "TIMEOUT_S", 1)
    twin.write_text(f'# %% id="bad"\n{source}\n', "utf-8")
    with pytest.raises(runner.LessonFailedError, match=said):
        runner.execute([twin])


def test_the_kernel_writes_utf_8_everywhere(twin):
    twin.write_text('# %% id="a"\nimport sys\nprint(sys.flags.utf8_mode, "→ 中")\n', "utf-8")
    runner.execute([twin])
    book = twins.notebook_of(twin).read_bytes()
    assert "1 → 中" in book.decode("utf-8")
    assert b"\r" not in book
    assert b"\r" not in twin.read_bytes()


def test_cleaning_drops_widget_state_that_no_output_uses():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    book = nbformat.v4.new_notebook(metadata={"widgets": {"a": {"state": {}}}, "extra": 1})
    book.cells = [nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data=view)])]
    runner.clean(book)
    assert "widgets" in book.metadata
    assert "extra" not in book.metadata
    book.cells = []
    runner.clean(book)
    assert "widgets" not in book.metadata


def test_cleaning_keeps_what_screen_readers_say():
    said = {"image/jpeg": {"alt": "two cells", "width": 9}, "isolated": True}
    shown = nbformat.v4.new_output("display_data", data={"image/jpeg": ""}, metadata=said)
    printed = nbformat.v4.new_output("stream", text="x")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[shown, printed])])
    runner.clean(book)
    assert [output.get("metadata") for output in book.cells[0].outputs] == [
        {"image/jpeg": {"alt": "two cells"}},
        None,
    ]


# --- commands ---------------------------------------------------------------------------------------------


def options(*words):
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    return parser.parse_args(["course", *words])


def test_every_command_is_carried_out_by_main():
    for words in (
        ["run"],
        ["test"],
        ["lab"],
        ["execute", "02"],
        ["sync", "--from-notebook"],
        ["check"],
        ["restamp"],
    ):
        assert options(*words).run is cli.main
    assert options("run", "--model", "yolov7", "00", "02").lessons == ["00", "02"]


def test_errors_are_one_line_and_exit_code_1(capsys):
    assert cli.main(options("execute", "77")) == 1
    assert capsys.readouterr().err.startswith("course: lesson: expected one of")


def test_execute_renews_the_gallery_also_after_a_lesson_that_failed(monkeypatch, capsys):
    renewed = []
    monkeypatch.setattr("helpers.course.gallery.renew", lambda languages: renewed.append(languages) or 1)
    monkeypatch.setattr(cli, "_check", lambda options: 0)
    monkeypatch.setattr(runner, "execute", lambda twins: [])
    assert cli.main(options("execute", "00")) == 1, "a page that stays as it was is not passed over"

    def fail(_twins):
        raise runner.LessonFailedError("00, cell a: no")

    monkeypatch.setattr(runner, "execute", fail)
    assert cli.main(options("execute", "--language", "zh-CN", "00")) == 1
    assert renewed == [("en",), ("zh-CN",)]
    assert "course: 00, cell a: no" in capsys.readouterr().err


def test_refresh_renews_every_edition(monkeypatch):
    codes = iter([1, 0])
    monkeypatch.setattr("helpers.course.refresh.refresh", lambda twins, run: 0)
    monkeypatch.setattr("helpers.course.gallery.renew", lambda: next(codes))
    assert [cli.main(options("refresh", "--no-run", "00")) for _ in range(2)] == [1, 0]


def test_a_language_that_is_set_does_not_reach_the_tests(monkeypatch):
    seen = []

    def run(command, env, **_):
        seen.append(env)
        return argparse.Namespace(returncode=0)

    monkeypatch.setenv("YOLOV7_LANGUAGE", "zh-CN")
    monkeypatch.setattr(cli.subprocess, "run", run)
    monkeypatch.setattr("helpers.course.report.forget", lambda: None)
    monkeypatch.setattr("helpers.course.report.publish", lambda text: False)
    cli.main(options("test"))
    assert seen
    assert not any("YOLOV7_LANGUAGE" in env for env in seen)


def test_the_test_command_is_strict_nbval():
    unit, *notebooks = cli.test_commands()
    assert unit[-2:] == ["tests", "helpers"]
    for command in notebooks:
        assert {"--nbval", "--nbval-current-env", "--nbval-sanitize-with"} <= set(command)


def test_sync_check_and_restamp_on_an_empty_place(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("helpers.course.twins.repository", lambda: tmp_path)
    monkeypatch.setattr("helpers.course.rules.repository", lambda: tmp_path)
    assert cli.main(options("sync")) == 0
    assert cli.main(options("sync", "--from-notebook")) == 0
    assert cli.main(options("check")) == 0
    assert "0 notebooks keep every rule" in capsys.readouterr().out
