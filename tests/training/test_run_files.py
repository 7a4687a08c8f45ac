"""Files of a run: whole after a kill, readable after damage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.training.run_files import RunFiles, TrainingError, durable_path


def test_an_empty_folder(tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "a" / "b")
    assert files.read_state() is None
    assert files.read_history() == []
    assert list(files.folder.iterdir()) == []


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with durable_path(target) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_a_kill_left_behind_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    for text in ("first", "second"):  # a kill in the first block: no clean-up ran
        temporary = tmp_path / ".a-partial.txt"
        temporary.write_text("left behind")
        with durable_path(target) as path:
            assert path == temporary
            path.write_text(text)
        assert target.read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("left", [0, 1, 100, 900])
def test_a_cut_state_falls_back_to_the_one_before(tmp_path: Path, left: int) -> None:
    files = RunFiles(tmp_path)
    for step in (1, 2):
        files.write_state({"step": step, "values": torch.arange(300)})
    assert files.read_state()["step"] == 2  # type: ignore[index]
    files.state.write_bytes(files.state.read_bytes()[:left])
    assert files.read_state()["step"] == 1  # type: ignore[index]
    files.before.write_bytes(b"PK\x03\x04")
    with pytest.raises(TrainingError, match="damaged files; delete them, or start from"):
        files.read_state()


def test_between_the_two_renames_there_is_a_state(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    files.write_state({"step": 1})
    files.state.rename(files.before)
    assert files.read_state() == {"step": 1}


def test_a_state_cannot_run_code(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    torch.save({"step": Path("x")}, files.state)
    with pytest.raises(TrainingError, match="damaged"):
        files.read_state()


def test_history_is_cut_back_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    for step in (1, 2, 3):
        files.append({"step": step, "box": 0.5})
    with files.history.open("a") as file:
        file.write('{"step": 4, "bo')
    assert [entry["step"] for entry in files.read_history()] == [1, 2, 3]
    files.cut_history(2)
    files.append({"step": 3, "box": 0.25})
    assert [entry["box"] for entry in files.read_history()] == [0.5, 0.5, 0.25]
