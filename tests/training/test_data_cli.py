"""The command `check-data`: the table, every flaw as a line, and the exit code."""

from __future__ import annotations

import pytest
from labelled_folders import picture, write, yolo

from helpers.__main__ import main

ROW = "0 .5 .5 .5 .5\n"


def run(capsys, *words):
    code = main(["check-data", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err


def test_a_clean_folder(tmp_path, capsys):
    root = yolo(tmp_path, {"train/a": ROW + "1 .2 .2 .1 .1\n", "train/b": "", "val/c": ROW})
    code, out, err = run(capsys, root)
    assert (code, err) == (0, "")
    assert out == [
        f"{root}: yolo form, 2 classes",
        "class                  train  val",
        "cell                       1    1",
        "dot                        1    0",
        "all boxes                  2    1",
        "pictures                   2    1",
        "of them without boxes      1    0",
        "no flaws",
    ]


def test_flaws_and_what_fixing_leaves(tmp_path, capsys, monkeypatch):
    root = yolo(tmp_path / "set", {"train/a": ROW + "0 .5 .5 0 .5\n", "train/b": ROW, "val/c": ROW * 2})
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "set", "--fix-report")
    assert code == 1
    assert (
        "set/labels/train/a.txt:2: no-area: cell box (32, 12, 32, 36) has no area (fix: the box is dropped)"
        in out
    )
    assert "2 flaws: 1 no-area, 1 duplicate-box" in out
    after = out[out.index("with every flaw fixed:") :]
    assert after[2].split() == ["cell", "2", "1"]
    assert run(capsys, root)[1][-1] == "2 flaws: 1 no-area, 1 duplicate-box"


def test_the_folder_is_left_as_it_is(tmp_path, capsys):
    root = yolo(tmp_path, {"train/a": ROW * 2, "val/c": ROW})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run(capsys, root, "--fix-report", "--decode")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_form_names_and_notes(tmp_path, capsys):
    picture(tmp_path / "images/a.png")
    picture(tmp_path / "images/b.png")
    code, out, _ = run(capsys, tmp_path, "--form", "yolo", "--names", "one, two")
    assert code == 0
    assert out[2].split() == ["one", "0", "0"]
    assert "note: 2 pictures without a label file are background" in out


def test_decoding_finds_more(tmp_path, capsys):
    root = yolo(tmp_path, {"train/a": ROW, "train/b": ROW, "val/c": ROW})
    path = root / "images/train/a.png"
    raw = bytearray(path.read_bytes())
    at = raw.index(b"IDAT") + 8
    raw[at : at + 40] = bytes(40)
    path.write_bytes(raw)
    assert run(capsys, root)[0] == 0
    code, out, _ = run(capsys, root, "--decode")
    assert code == 1
    assert out[-1] == "1 flaw: 1 unreadable-picture"


def test_no_data_set(tmp_path, capsys):
    code, out, err = run(capsys, tmp_path)
    assert (code, out) == (1, [])
    assert err.startswith(f"error: {tmp_path}: expected a data set")


def test_nothing_left_after_fixing(tmp_path, capsys):
    root = yolo(tmp_path, {"train/a": ROW, "val/b": ROW})
    (root / "images/train/a.png").write_text("x")
    code, out, err = run(capsys, root, "--fix-report")
    assert code == 1
    assert "1 flaw: 1 unreadable-picture" in out
    assert "none is left in train" in err


def test_names_cannot_steer_the_terminal(tmp_path, capsys):
    root = yolo(tmp_path, {"train/a": ROW, "val/b": ROW}, 'train: list.txt\nnames: ["c\\e[31mell"]\n')
    write(root / "list.txt", "images/train/a.png\n../\x1b]0;x\x07.png\nimages/val/b.png\n")
    _, out, _ = run(capsys, root)
    assert not any("\x1b" in line or "\x07" in line for line in out)
    assert any("c?[31mell" in line for line in out)


def test_wrong_words(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["check-data"])
    with pytest.raises(SystemExit, match="2"):
        main(["check-data", "x", "--form", "csv"])
