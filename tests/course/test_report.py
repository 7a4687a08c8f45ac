"""The closing summary: tables, broken cells, reasons; the same as Markdown for the page of a run."""

from __future__ import annotations

import json

import pytest

from helpers.course import cli, report
from helpers.course.report import Check


def cell(name="05-a", state="compared", notebook="notebooks/05_build.ipynb", **more):
    return {
        "notebook": notebook,
        "cell": name,
        "number": 1,
        "line": "a = 1",
        "state": state,
        "not_run": [],
        **more,
    }


DIFFERS = {"where": "stdout", "expected": "| 1 |", "got": ""}


def test_nothing_was_checked():
    assert report.closing(Check()) == ""
    assert report.markdown(Check()).strip() == ""
    assert report.closing(Check(tests=dict.fromkeys(("passed", "failed", "skipped"), 0))) == ""


def test_no_report_is_said(tmp_path):
    check = report.read(["units", "notebooks"], tmp_path)
    assert check.missing == ("units", "notebooks")
    for text in (report.closing(check), report.markdown(check)):
        assert "units: no report; pytest ended before its first test" in text


def test_one_notebook_needs_no_sum_and_an_empty_side_is_said():
    check = Check((cell(), cell("05-b", "failed", **DIFFERS)))
    assert report.closing(check).splitlines() == [
        "notebook  cells  compared  not compared  not run here  failed",
        "05_build      2         1             0             0       1",
        "",
        "Broken cells",
        "05_build, cell 05-b, In [1]: a = 1",
        "    first difference, in stdout",
        "    expected: | 1 |",
        "    got:      (nothing)",
        "executed as far as they came: build/check/executed/",
    ]


def test_a_cell_left_out_was_not_executed_and_a_new_line_has_nothing_expected():
    new = {**DIFFERS, "expected": "", "got": "2"}
    said = report.closing(
        Check((cell(state="left out"), cell(state="not compared"), cell("b", "failed", **new)))
    )
    assert said.splitlines()[1].split() == ["05_build", "2", "0", "1", "0", "1"]
    assert "    expected: (nothing)\n    got:      2" in said


def test_cells_after_an_error_are_only_named_but_differences_are_all_shown():
    failed = [
        cell("a", "failed", **DIFFERS),
        cell("b", "failed", error="KeyError: 1"),
        cell("c", "failed", error="NameError"),
        cell("d", "failed", **DIFFERS),
        cell("e", "failed", notebook="notebooks/06.ipynb", **DIFFERS),
    ]
    said = report.closing(Check(tuple(failed)))
    assert [line.split(",")[1].strip() for line in said.splitlines() if ", cell " in line] == [
        "cell a",
        "cell b",
        "cell e",
    ]
    assert "    KeyError: 1\n    then also: c, d\n06, cell e" in said


def test_the_page_has_broken_cells_first_then_the_table():
    cells = (
        cell(not_run=["no `GPU`"]),
        cell("b_1", "failed", **DIFFERS),
        cell(notebook="notebooks/solutions/05.ipynb"),
    )
    text = report.markdown(Check(cells, {"passed": 3, "failed": 0, "skipped": 1}))
    assert text.splitlines() == [
        "### Broken cells",
        "",
        "**05\\_build, cell b\\_1, In \\[1\\]: a = 1**",
        "",
        "```text",
        "first difference, in stdout",
        "expected: | 1 |",
        "got:      (nothing)",
        "```",
        "",
        "tests: 3 passed, 0 failed, 1 skipped",
        "",
        "### Notebooks",
        "",
        "| notebook | cells | compared | not compared | not run here | failed |",
        "| --- | --: | --: | --: | --: | --: |",
        "| 05_build | 2 | 1 | 0 | 1 | 1 |",
        "| solutions/05 | 1 | 1 | 0 | 0 | 0 |",
        "| 2 notebooks | 3 | 2 | 0 | 1 | 1 |",
        "",
        "- not run here: no \\`GPU\\` \\(05\\_build\\)".replace("\\(", "(").replace("\\)", ")"),
    ]


def test_long_errors_are_one_line_and_many_failures_are_counted():
    failures = tuple({"test": f"t{n}", "error": "x" * 500 + "\nmore"} for n in range(25))
    said = report.closing(Check(failures=failures)).splitlines()
    assert len(said) == 21
    assert said[-1] == "failed: 5 more"
    assert max(map(len, said)) < 180


def test_broken_cells_are_annotated_in_github_actions_alone(monkeypatch):
    broken = Check(
        (cell("b", "failed", line="a, b: 5 %", notebook="notebooks/zh-CN/05.ipynb", **DIFFERS), cell())
    )
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert report.notices(broken) == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert report.notices(broken) == (
        "::error file=notebooks/zh-CN/05.ipynb,title=zh-CN/05%2C cell b%2C In [1]%3A a%2C b%3A 5 %25"
        "::first difference, in stdout%0Aexpected: | 1 |%0Agot:      (nothing)"
    )
    assert report.notices(Check((cell(),))) == ""


@pytest.mark.parametrize("there", [True, False])
def test_the_page_of_a_run_is_appended_to(tmp_path, monkeypatch, there):
    page = tmp_path / "page.md"
    page.write_text("before\n", "utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page) if there else "")
    assert report.publish("≤ 1\n") is there
    assert page.read_bytes() == ("before\n≤ 1\n" if there else "before\n").encode()


def test_what_the_last_check_left_is_forgotten(tmp_path):
    kept = tmp_path / "executed" / "notebooks" / "zh-CN" / "a.ipynb"
    kept.parent.mkdir(parents=True)
    for path in (kept, tmp_path / "units.json", tmp_path / "other.txt"):
        path.write_text("{}", "utf-8")
    report.forget(tmp_path)
    report.forget(tmp_path / "none")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["other.txt"]


def test_the_test_command_ends_with_the_summary(tmp_path, monkeypatch, capsys):
    """Both parts run, whatever the first did; the worst exit code counts."""
    monkeypatch.setattr(report, "report_folder", lambda: tmp_path)
    (tmp_path / "units.json").write_text("left over", "utf-8")
    codes, asked = {"units": 0, "notebooks": 1}, []

    class Done:
        def __init__(self, code):
            self.returncode = code

    def run(command, cwd, env, check):
        part = next(name for name in codes if f"{name}.json" in " ".join(command))
        asked.append((part, env["PYTHONUTF8"], env["YOLOV7_CHECKED"]))
        known = {
            "cells": [cell("x", "failed", **DIFFERS)] * codes[part],
            "tests": {"passed": 1, "failed": 0, "skipped": 0},
            "failures": [],
        }
        (tmp_path / f"{part}.json").write_text(json.dumps(known), "utf-8")
        return Done(codes[part])

    monkeypatch.setattr(cli.subprocess, "run", run)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    assert cli._test(None) == 1
    assert asked == [("units", "1", "1"), ("notebooks", "1", "1")]
    said = capsys.readouterr().out
    assert "05_build, cell x, In [1]: a = 1" in said
    assert said.endswith("tests: 2 passed, 0 failed, 0 skipped\n")
    assert "### Broken cells" in (tmp_path / "page.md").read_text("utf-8")
