"""What a check leaves: real notebooks under real nbval, in a process of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from helpers.course import check_plugin, report


def code(cell_id, source, printed="", count=1, tags=()):
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
    return nbformat.v4.new_code_cell(
        source, id=cell_id, outputs=outputs, execution_count=count, metadata={"tags": list(tags)}
    )


GOOD = (
    nbformat.v4.new_markdown_cell("# Title", id="good-title"),
    code("good-one", "print('≤ 1')", "≤ 1\n"),
    code("good-time", "import time\nprint(time.time())", "0.0\n", tags=["nbval-ignore-output"]),
    code("good-gpu", "print('not run: no GPU')", "not run: no GPU\n"),
    code("good-skip", "1 / 0", tags=["nbval-skip"]),
    code("good-blank", "a = 1", count=None),
)
DIFFERS = (
    code("bad-same", "print('nodes 205')", "nodes 205\n"),
    code("bad-nodes", "# how many\nprint('input\\nnodes 207')", "input\nnodes 205\n"),
    code("bad-after", "print('fine')", "fine\n"),
)
RAISES = (
    code("zh-raise", "raise KeyError('chunk')", "1\n"),
    code("zh-next", "print(undefined)", "2\n"),
    code("zh-last", "print(3)", "3\n"),
)


@pytest.fixture(scope="module")
def checked(tmp_path_factory, repository):
    """A check of three notebooks and a module of unit tests."""
    root = tmp_path_factory.mktemp("course")
    for name, cells in (("00_good", GOOD), ("03_differs", DIFFERS), ("zh-CN/03_raises", RAISES)):
        path = root / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
    (root / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (root / "test_units.py").write_text(UNITS, "utf-8")
    (root / "test_unreadable.py").write_text("import no_such_module_here\n", "utf-8")
    shutil.copy(repository / "notebooks" / "nbval.cfg", root)
    folder = root / "build" / "check"
    environment = {**os.environ, "PYTHONUTF8": "1"}
    for part, words in {
        "notebooks": ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", "nbval.cfg", "notebooks"],
        "units": ["-n", "2", "--continue-on-collection-errors", "test_units.py", "test_unreadable.py"],
    }.items():
        command = [sys.executable, "-m", "pytest", "-q", *report.options(part, folder), *words]
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 1, done.stdout + done.stderr
    return folder


UNITS = """
import pytest
def test_good(): pass
def test_bad(): assert 1 == 2, "one is not two"
@pytest.mark.skip(reason="no GPU")
def test_skipped(): pass
@pytest.fixture
def broken(): raise OSError("no disk")
def test_setup(broken): pass
"""


def cells(folder):
    return {cell["cell"]: cell for cell in report.read(["notebooks"], folder).cells}


def test_every_cell_has_its_state_by_id(checked):
    assert {name: cell["state"] for name, cell in cells(checked).items()} == {
        "good-one": "compared",
        "good-time": "not compared",
        "good-gpu": "compared",
        "good-skip": "left out",
        "good-blank": "not compared",
        "bad-same": "compared",
        "bad-nodes": "failed",
        "bad-after": "compared",
        "zh-raise": "failed",
        "zh-next": "failed",
        "zh-last": "compared",
    }


def test_a_cell_that_differs_names_its_first_differing_line(checked):
    cell = cells(checked)["bad-nodes"]
    assert cell["notebook"] == "notebooks/03_differs.ipynb"
    assert (cell["number"], cell["line"]) == (2, "print('input\\nnodes 207')")
    assert (cell["where"], cell["expected"], cell["got"]) == ("stdout", "nodes 205", "nodes 207")


def test_a_cell_that_raises_names_its_error(checked):
    assert cells(checked)["zh-raise"]["error"] == "KeyError: 'chunk'"
    assert cells(checked)["zh-next"]["error"].startswith("NameError: ")
    assert cells(checked)["zh-raise"]["notebook"] == "notebooks/zh-CN/03_raises.ipynb"


def test_reasons_are_those_of_this_run(checked):
    assert cells(checked)["good-gpu"]["not_run"] == ["no GPU"]
    assert cells(checked)["good-one"]["not_run"] == []


def test_only_notebooks_with_a_broken_cell_are_kept_with_what_they_gave(checked):
    kept = sorted((checked / "executed").rglob("*.ipynb"))
    assert [path.relative_to(checked / "executed" / "notebooks").as_posix() for path in kept] == [
        "03_differs.ipynb",
        "zh-CN/03_raises.ipynb",
    ]
    differs, raises = (nbformat.read(path, as_version=4) for path in kept)
    assert [cell.outputs[0].text for cell in differs.cells] == ["nodes 205\n", "input\nnodes 207\n", "fine\n"]
    assert raises.cells[0].outputs[0].ename == "KeyError"


def test_unit_tests_are_counted_by_the_process_that_prints(checked):
    check = report.read(["units"], checked)
    assert check.tests == {"passed": 1, "failed": 3, "skipped": 1}
    said = {failure["test"]: failure["error"] for failure in check.failures}
    assert "one is not two" in said["test_units.py::test_bad"]
    assert "no disk" in said["test_units.py::test_setup"]
    assert "no_such_module_here" in said["test_unreadable.py"]


def test_the_summary_of_that_check(checked):
    check = report.read(["units", "notebooks", "gpu"], checked)
    assert report.closing(check).splitlines() == [
        "notebook         cells  compared  not compared  not run here  failed",
        "00_good              4         2             2             1       0",
        "03_differs           3         2             0             0       1",
        "zh-CN/03_raises      3         1             0             0       2",
        "3 notebooks         10         5             2             1       3",
        "not run here: no GPU (00_good)",
        "",
        "Broken cells",
        "03_differs, cell bad-nodes, In [2]: print('input\\nnodes 207')",
        "    first difference, in stdout",
        "    expected: nodes 205",
        "    got:      nodes 207",
        "zh-CN/03_raises, cell zh-raise, In [1]: raise KeyError('chunk')",
        "    KeyError: 'chunk'",
        "    then also: zh-next",
        "executed as far as they came: build/check/executed/",
        *[f"failed: {failure['test']}: {failure['error']}" for failure in check.failures],
        "tests: 1 passed, 3 failed, 1 skipped",
        "gpu: no report; pytest ended before its first test, see its lines above",
    ]


# --- the first difference, alone --------------------------------------------------------------------------


def out(kind="stream", **fields):
    return nbformat.v4.new_output(kind, **fields)


def item(committed, here, sanitize=lambda text: text):
    return SimpleNamespace(
        cell=SimpleNamespace(outputs=committed),
        test_outputs=here,
        sanitize=sanitize,
        parent=SimpleNamespace(skip_compare=("image/jpeg", "application/vnd.jupyter.widget-view+json")),
    )


def shown(**data):
    return out("display_data", data={key.replace("_", "/"): value for key, value in data.items()})


@pytest.mark.parametrize(
    ("committed", "here", "expected"),
    [
        ([], [out(text="1\n")], ("stdout", "", "1")),
        ([out(text="1\n")], [], ("stdout", "1", "")),
        ([out(text="1\n2\n")], [out(text="1\n")], ("stdout", "2", "")),
        ([out(text="1\n")], [out(text="1\n"), out(name="stderr", text="oh\n")], ("stderr", "", "oh")),
        ([shown(text_plain="a")], [shown(text_plain="b")], ("text/plain", "a", "b")),
        (
            [shown(text_plain="a", image_jpeg="x")],
            [shown(text_plain="a", image_jpeg="y")],
            ("outputs", "text/plain", "text/plain"),
        ),
        (
            [shown(application_json={"b": 1, "a": 2})],
            [shown(application_json={"a": 2, "b": 2})],
            ("application/json", '{"a": 2, "b": 1}', '{"a": 2, "b": 2}'),
        ),
        (
            [out("error", ename="KeyError", evalue="a")],
            [out("error", ename="KeyError", evalue="b")],
            ("evalue", "a", "b"),
        ),
    ],
)
def test_the_first_difference(committed, here, expected):
    found = check_plugin.first_difference(item(committed, here))
    assert (found["where"], found["expected"], found["got"]) == expected


def test_what_is_replaced_before_comparing_is_no_difference():
    replaced = item(
        [out(text="at 0x1\n2\n")], [out(text="at 0x9\n3\n")], lambda text: text.replace("0x9", "0x1")
    )
    assert check_plugin.first_difference(replaced) == {"where": "stdout", "expected": "2", "got": "3"}


@pytest.mark.parametrize(
    ("path", "worker", "recorded"), [("r.json", False, True), ("r.json", True, False), (None, False, False)]
)
def test_only_the_process_that_prints_records(path, worker, recorded):
    """Each of xdist's workers would write the part that it saw."""
    registered = []
    config = SimpleNamespace(
        getoption=lambda name: {"--course-report": path}[name],
        pluginmanager=SimpleNamespace(register=lambda recorder, name: registered.append(name)),
        **({"workerinput": {}} if worker else {}),
    )
    check_plugin.pytest_configure(config)
    assert bool(registered) is recorded


def reported(when, outcome, said="no kernel"):
    """What the hook makes of a report, for a cell that ran nothing."""
    cell = nbformat.v4.new_code_cell("a = 1", id="a")
    there = SimpleNamespace(
        cell=cell, cell_num=0, test_outputs=None, options={"check": True}, parent=SimpleNamespace(),
        path=Path("/x/notebooks/a.ipynb"), config=SimpleNamespace(rootpath=Path("/x")),
    )  # fmt: skip
    report = SimpleNamespace(when=when, **{name: name == outcome for name in ("passed", "failed", "skipped")})
    call = SimpleNamespace(excinfo=SimpleNamespace(value=RuntimeError(said)) if outcome == "failed" else None)
    hook = check_plugin.pytest_runtest_makereport(there, call)
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    return getattr(report, "course_cell", None)


def test_a_kernel_that_does_not_start_fails_its_cells():
    assert reported("setup", "failed")["error"] == "no kernel"
    assert reported("setup", "failed", "")["error"] == "no answer"
    assert reported("setup", "passed") is None
    assert reported("teardown", "passed") is None
    assert reported("call", "passed")["state"] == "not compared", "it has no count"


def test_without_the_option_nothing_is_written(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_one(): pass\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "helpers.course.check_plugin", "test_one.py"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert not (tmp_path / "build").exists()


def test_a_report_is_plain_json_in_utf_8(checked):
    text = (checked / "notebooks.json").read_bytes().decode("utf-8")
    assert "print('≤ 1')" in text
    assert set(json.loads(text)) == {"cells", "tests", "failures"}
