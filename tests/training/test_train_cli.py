"""`python -m helpers train`: flaws stop or are fixed; the last line says how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.__main__ import main
from helpers.training.datasets import write_dataset
from helpers.training.samples import CELL_NAMES
from helpers.training.smears import draw_smear
from helpers.training.train_cli import _run_name

pytest.importorskip("faster_coco_eval")

SHORT = ["--start", "", "--width", "0.125", "--steps", "2", "--batch", "2", "--size", "96", "--workers", "0"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    drawn = [draw_smear(seed, (128, 96), cells=3) for seed in range(4)]
    return write_dataset({"train": drawn[:3], "val": drawn[3:]}, tmp_path / "d", "yolo", names=CELL_NAMES)


def test_trains_and_says_how_to_go_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", str(data), "--out", str(out), *SHORT, "--stop-at", "1"]) == 0
    assert "stopped after step 1, all saved; the same command goes on" in capsys.readouterr().out
    assert main(["train", str(data), "--out", str(out), *SHORT]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["class", "train", "val"]
    assert "anchors: best possible recall" in "\n".join(said)
    assert said[-1].startswith(f"python -m helpers convert {out}")
    assert Path(said[-1].split()[4]).is_file()


def test_another_plan_in_the_same_folder_is_told_apart(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(data), "--out", str(tmp_path / "run"), *SHORT]
    assert main([*command, "--stop-at", "1"]) == 0
    assert main([*command, "--peak", "0.1"]) == 1
    assert "another configuration (peak 0.002, not 0.1)" in capsys.readouterr().err


def test_other_labels_or_another_start_do_not_go_on_with_a_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(data), "--out", str(tmp_path / "run"), *SHORT]
    assert main([*command, "--stop-at", "1"]) == 0
    assert main([*command, "--start", "blood-cells"]) == 1
    label = next((data / "labels" / "train").rglob("*.txt"))
    label.write_text(label.read_text() + "0 0.5 0.5 0.4 0.3\n")
    assert main(command) == 1
    assert "another configuration (source" in capsys.readouterr().err


def test_a_run_is_called_like_the_folder_of_its_data(data: Path) -> None:
    assert _run_name(data) == _run_name(data / "data.yaml") == "d"
    assert _run_name(data.with_name("cells.v2")) == "cells.v2"


def test_flaws_stop_or_are_fixed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = next((data / "labels").rglob("*.txt"))
    label.write_text(label.read_text() + "0 0.5 0.5 0 0.1\n")
    command = ["train", str(data), "--out", str(tmp_path / "run"), *SHORT]
    assert main(command) == 1
    assert "no-area" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*command, "--flaws", "fix"]) == 0
    assert capsys.readouterr().out.startswith("1 flaw")


@pytest.mark.parametrize(
    "wrong", [["--epochs", "1", "--steps", "1"], ["--batch", "0"], ["--anchors", "best"], ["--width", "0"]]
)
def test_wrong_arguments_end_before_any_work(data: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", str(data), *wrong])
    assert stop.value.code == 2
