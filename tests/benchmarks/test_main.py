"""The command: the machinery on a tiny model, cases that cannot run, and what is never claimed."""

import json
from pathlib import Path

import official_form
import pytest

from benchmarks import __main__ as command
from benchmarks import bench, machine, report
from benchmarks.bench import NotHereError
from benchmarks.cases import CASES
from benchmarks.row import Check, Row
from benchmarks.targets import Target


@pytest.fixture
def calm(monkeypatch):
    """A machine that nobody else uses."""
    monkeypatch.setattr(machine, "busy_share", lambda: 0.0)
    monkeypatch.setattr(machine.Others, "stop", lambda _: 0.02)


def quick_row(_bench):
    row = Row("floor", "t", "r", checks=[Check("x", 1.0, Target(1.05))])
    row.add({"a": [1.0, 1.0], "b": [2.0, 2.0]}, "a")
    return row


def main(tmp_path, *arguments):
    code = command.main(["--out", str(tmp_path), *arguments])
    files = list(tmp_path.glob("*.json"))
    return code, report.read_results(files[0]) if files else None


def test_the_list_names_every_row(capsys):
    assert command.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)
    assert all(len(line.split()) > 3 for line in lines)


def test_quick_walks_through_the_rows_of_graphs(tmp_path, monkeypatch, calm):
    official_form.save(tmp_path / "best.pt", official_form.make_model())
    rows = ["floor", "picture", "precision", "detections", "batch", "size", "photo"]
    options = [
        "--model",
        str(tmp_path / "best.pt"),
        "--quick",
        "--threads",
        "1",
        "--rounds",
        "2",
        "--no-peers",
    ]
    monkeypatch.chdir(tmp_path)
    code, data = main(tmp_path / "out", *options, "--only", *rows)
    assert code == 0
    assert [row["id"] for row in data["rows"]] == rows
    found = {row["id"]: row for row in data["rows"]}
    assert all(row["entries"] or row["series"] for row in data["rows"])
    assert found["floor"]["entries"][0]["name"] == "convolutions alone"
    assert found["floor"]["entries"][1]["ratio"]["count"] == 2
    assert len(found["detections"]["series"]) == 4
    assert found["precision"]["not_run"] == [
        "INT8: made at 640 px only, and not in a quick run: calibration takes long"
    ]
    assert {check["state"] for row in data["rows"] for check in row["checks"]} == {
        "not judged"
    }  # it is quick
    settings = {"model": str(tmp_path / "best.pt"), "size": 64, "rounds": 2, "threads": 1, "clock": "wall"}
    assert data["settings"] == settings
    assert data["quick"] is True


def test_the_clock_is_a_setting(tmp_path, monkeypatch, calm):
    monkeypatch.setattr(bench.time, "process_time", iter(range(0, 900, 3)).__next__)

    def turns(given):
        row = Row("floor", "t", "r")
        row.add(given.interleave({"a": int}, rounds=2), "a")
        return row

    monkeypatch.setitem(CASES, "floor", turns)
    _, data = main(tmp_path, "--only", "floor", "--clock", "cpu")
    assert data["rows"][0]["entries"][0]["value"]["median"] == 3000.0
    assert (data["settings"]["clock"], data["settings"]["threads"]) == ("cpu", 1)
    _, data = main(tmp_path, "--only", "floor")
    assert data["rows"][0]["entries"][0]["value"]["median"] < 1000


def test_a_calm_full_run_is_judged(tmp_path, monkeypatch, calm):
    monkeypatch.setitem(CASES, "floor", quick_row)
    code, data = main(tmp_path, "--only", "floor")
    assert code == 0
    assert data["quiet"] is True
    assert data["rows"][0]["checks"][0]["state"] == "met"
    assert data["rows"][0]["others"] == 0.02


def test_a_busy_machine_is_refused_or_flagged(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(CASES, "floor", quick_row)
    monkeypatch.setattr(machine, "busy_share", lambda: 0.4)
    monkeypatch.setattr(machine.Others, "stop", lambda _: 0.0)
    assert main(tmp_path, "--only", "floor") == (3, None)
    assert "others use 40% of this machine" in capsys.readouterr().err
    code, data = main(tmp_path, "--only", "floor", "--busy-ok")
    assert (code, data["quiet"]) == (0, False)
    assert data["rows"][0]["checks"][0]["state"] == "not judged"


def test_a_row_during_which_others_came_is_not_judged(tmp_path, monkeypatch):
    monkeypatch.setitem(CASES, "floor", quick_row)
    monkeypatch.setattr(machine, "busy_share", lambda: None)
    monkeypatch.setattr(machine.Others, "stop", lambda _: 0.11)
    code, data = main(tmp_path, "--only", "floor")
    assert (code, data["quiet"], data["rows"][0]["quiet"]) == (0, False, False)
    assert data["rows"][0]["checks"][0]["state"] == "not judged"


def test_one_row_does_not_cost_the_others(tmp_path, monkeypatch, calm, capsys):
    def absent(_bench):
        """Something."""
        raise NotHereError("no GPU here")

    def fails(_bench):
        """Something else."""
        raise KeyError("bug")

    for name, case in {"floor": fails, "picture": absent, "peers": quick_row}.items():
        monkeypatch.setitem(CASES, name, case)
    code, data = main(tmp_path, "--only", "floor", "picture", "peers")
    assert code == 1
    assert [row["not_run"] for row in data["rows"]] == [["failed: KeyError: 'bug'"], ["no GPU here"], []]
    assert data["rows"][1]["title"] == "Something"
    assert "not run: no GPU here" in capsys.readouterr().out


@pytest.fixture
def clone(tmp_path, monkeypatch):
    for name in ("benchmarks", "docs"):
        (tmp_path / "clone" / name).mkdir(parents=True)
    page = tmp_path / "clone" / "benchmarks" / "README.md"
    page.write_text(f"{report.START}\n{report.END}\n")
    monkeypatch.setattr(command, "ROOT", tmp_path / "clone")
    return tmp_path / "clone"


def test_save_writes_results_tables_and_figure(tmp_path, clone, monkeypatch, calm):
    monkeypatch.setitem(CASES, "floor", quick_row)
    assert main(tmp_path, "--only", "floor", "--save")[0] == 0
    (saved,) = (clone / "benchmarks" / "results").iterdir()
    assert json.loads(saved.read_text())["rows"][0]["id"] == "floor"
    assert "| floor | x | 1 | ≤ 1.05 | met |" in (clone / "benchmarks" / "README.md").read_text()
    assert (clone / "docs" / "benchmark.svg").stat().st_size < 100_000
    (clone / "docs" / "benchmark.svg").unlink()
    assert command.main(["--render", str(saved)]) == 0
    assert (clone / "docs" / "benchmark.svg").is_file()


@pytest.mark.parametrize("case", ["busy", "quick", "cpu"])
def test_save_refuses_what_must_not_be_quoted(tmp_path, clone, monkeypatch, capsys, case):
    monkeypatch.setitem(CASES, "floor", quick_row)
    monkeypatch.setattr(machine, "busy_share", lambda: 0.0)
    monkeypatch.setattr(machine.Others, "stop", lambda _: 0.5 if case == "busy" else 0.0)
    arguments = [
        "--only",
        "floor",
        "--save",
        *{"quick": ["--quick"], "cpu": ["--clock", "cpu"]}.get(case, []),
    ]
    assert main(tmp_path, *arguments)[0] == 1
    assert "--save: expected a" in capsys.readouterr().err
    assert not (clone / "benchmarks" / "results").exists()


def test_wrong_usage(tmp_path, capsys):
    assert command.main(["--render", str(tmp_path / "none.json")]) == 1
    assert "benchmark: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        command.main(["--only", "nope"])
    assert caught.value.code == 2


def test_the_package_is_what_helpers_benchmark_runs(monkeypatch):
    from helpers import __main__ as helpers_command
    from helpers import benchmark_cli

    asked = {}

    class Done:
        returncode = 3

    monkeypatch.setattr(
        benchmark_cli.subprocess, "run", lambda call, **given: asked.update(call=call, **given) or Done
    )
    assert helpers_command.main(["benchmark", "--only", "floor", "--busy-ok"]) == 3
    assert asked["call"][1:] == ["-m", "benchmarks", "--only", "floor", "--busy-ok"]
    assert Path(asked["cwd"], "benchmarks", "__main__.py").is_file()
    monkeypatch.setattr(benchmark_cli.Path, "is_file", lambda _: False)
    assert helpers_command.main(["benchmark"]) == 1
