"""The command line: files for an engineer in one call, one line when something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import official_form
import onnx
import pytest

from helpers import __main__ as command
from helpers.__main__ import main
from helpers.convert import Files, Recipe

SIZE = ["--size", "32x48", "--conf", "0.05"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a checkpoint, a picture, and what a process of its own, `convert`, makes of the first."""
    folder = tmp_path_factory.mktemp("main")
    official_form.save(folder / "best.pt", official_form.make_model())
    picture = np.random.default_rng(5).integers(0, 255, (60, 90, 3), np.uint8)
    cv2.imwrite(str(folder / "one.png"), picture)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning:importlib",
            "-m",
            "helpers",
            "convert",
            "best.pt",
            *SIZE,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / "log.txt").write_text(f"{done.returncode}\n{done.stderr}\n===\n{done.stdout}")
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def error_of(capsys, arguments, code=1):
    assert main(arguments) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def usage_of(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_convert_from_a_fresh_folder(folder):
    code, _, rest = (folder / "log.txt").read_text().partition("\n")
    errors, _, out = rest.partition("\n===\n")
    assert (code, errors) == ("0", "")
    files = ["best-end2end.onnx", "best-ultralytics.onnx", "best.onnx", "manifest.json"]
    assert sorted(p.name for p in (folder / "build" / "best").iterdir()) == files
    assert out.startswith("  best.onnx: export_onnx(size_wh=(32, 48), dynamic_batch=False)\n")
    assert "build/best/best-ultralytics.onnx" in out.replace(os.sep, "/")
    assert "done in " in out


def test_convert_again_says_that_all_is_current(here, capsys):
    assert main(["convert", "best.pt", *SIZE]) == 0
    assert capsys.readouterr().out.count(": current\n") == 3


def test_convert_with_every_option(here, tmp_path, monkeypatch):
    asked = {}

    def convert(checkpoint, out, **given):
        asked.update(given, checkpoint=checkpoint, out=out)
        files = Files(tmp_path, "best")
        for path in (files.raw, files.end2end, files.ultralytics, files.fp16):
            path.write_bytes(b"x")
        return files

    monkeypatch.setattr(command, "convert", convert)
    options = [
        "--size",
        "32",
        "--iou",
        "0.5",
        "--conf",
        "0.1",
        "--topk",
        "9",
        "--max-wh",
        "640",
        "--dynamic-batch",
        "--force",
        "--half",
    ]
    assert main(["convert", "best.pt", "--out", str(tmp_path), *options]) == 0
    assert asked["recipe"] == Recipe((32, 32), 0.5, 0.1, 9, 640.0, True, True)
    assert (asked["checkpoint"], asked["out"], asked["force"]) == (Path("best.pt"), tmp_path, True)


def test_export(here, tmp_path, capsys):
    assert main(["export", "best.pt", "--size", "16", "--out", str(tmp_path / "raw.onnx")]) == 0
    assert onnx.load(tmp_path / "raw.onnx").graph.output[0].name == "output"
    assert capsys.readouterr().out.startswith(str(tmp_path / "raw.onnx"))


def test_export_beside_where_one_stands(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr(
        command, "export_checkpoint", lambda c, path, r: made.append((c, path, r)) or path.write_bytes(b"x")
    )
    assert main(["export", str(folder / "best.pt"), "--dynamic-batch"]) == 0
    assert made[0][:2] == (folder / "best.pt", Path("best.onnx"))
    assert (made[0][2].size_wh, made[0][2].dynamic_batch) == ((640, 640), True)


def test_patch(here, tmp_path, capsys):
    raw = "build/best/best.onnx"
    assert main(["patch", raw, "--out", str(tmp_path / "a.onnx"), "--conf", "0.05", "--topk", "5"]) == 0
    assert [
        d.dim_value for d in onnx.load(tmp_path / "a.onnx").graph.output[0].type.tensor_type.shape.dim
    ] == [1, 5, 6]
    assert "score_threshold" in capsys.readouterr().out
    assert main(["patch", raw, "--out", str(tmp_path / "b.onnx"), "--names", "x, y,z", "--stride", "32"]) == 1
    assert "imgsz: expected (height, width), multiples of 32" in capsys.readouterr().err


def test_patch_beside_the_file(here, tmp_path, capsys):
    (tmp_path / "own.onnx").write_bytes(Path("build/best/best-end2end.onnx").read_bytes())
    assert main(["patch", str(tmp_path / "own.onnx"), "--names", "x, y,z"]) == 0
    metadata = {p.key: p.value for p in onnx.load(tmp_path / "own-ultralytics.onnx").metadata_props}
    assert metadata["names"] == "{0: 'x', 1: 'y', 2: 'z'}"
    assert main(["patch", str(tmp_path / "own.onnx"), "--names", "coco"]) == 0
    metadata = {p.key: p.value for p in onnx.load(tmp_path / "own-ultralytics.onnx").metadata_props}
    assert metadata["names"].endswith("79: 'toothbrush'}")


@pytest.mark.parametrize("model", ["build/best/best-ultralytics.onnx", "build/best/best-end2end.onnx"])
def test_detect_a_picture(here, tmp_path, capsys, model):
    assert main(["detect", model, "one.png", "--out", str(tmp_path / "drawn")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("one.png: ")
    assert cv2.imread(str(tmp_path / "drawn" / "one.jpg")).shape == (60, 90, 3)


def test_detect_goes_on_after_a_broken_picture(here, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").write_text("no picture")
    (pictures / "b.png").write_bytes(Path("one.png").read_bytes())
    assert (
        main(["detect", "build/best/best-ultralytics.onnx", str(pictures), "--out", str(tmp_path / "drawn")])
        == 1
    )
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "a.jpg" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out.startswith("b.png: ")
    assert [p.name for p in (tmp_path / "drawn").iterdir()] == ["b.jpg"]


def test_detect_what_the_shell_lists(here, tmp_path, capsys):
    pictures = [str(tmp_path / f"{name}.png") for name in "ab"]
    for path in pictures:
        Path(path).write_bytes(Path("one.png").read_bytes())
    out = ["--out", str(tmp_path / "drawn")]
    assert main(["detect", "build/best/best-ultralytics.onnx", *pictures, "nowhere.png", *out]) == 1
    captured = capsys.readouterr()
    assert [line[:7] for line in captured.out.splitlines()] == ["a.png: ", "b.png: "]
    assert captured.err.startswith("error: nowhere.png: ")


def test_no_picture_is_written_over_another(here, tmp_path, capsys):
    pictures, drawn = tmp_path / "pictures", tmp_path / "drawn"
    (pictures / "deeper").mkdir(parents=True)
    for name in ("a.bmp", "a.png", "deeper/a.png"):
        (pictures / name).write_bytes(Path("one.png").read_bytes())
    model = "build/best/best-ultralytics.onnx"
    assert main(["detect", model, str(pictures / "**" / "a.*"), "--out", str(drawn)]) == 0
    assert sorted(p.name for p in drawn.iterdir()) == ["a-2.jpg", "a.jpg", "a.png.jpg"]
    capsys.readouterr()
    found = error_of(capsys, ["detect", model, str(pictures), "--out", str(pictures)])
    assert "--out: expected another folder than the pictures'" in found
    assert sorted(p.name for p in pictures.iterdir()) == ["a.bmp", "a.png", "deeper"]


def test_no_control_characters_in_errors(tmp_path, capsys):
    assert "bad?[31mname" in error_of(capsys, ["convert", "bad\x1b[31mname"])


def test_a_missing_package_is_one_line(monkeypatch, capsys):
    def convert(*_, **__):
        raise ModuleNotFoundError("No module named 'onnxruntime'")

    monkeypatch.setattr(command, "convert", convert)
    assert error_of(capsys, ["convert", __file__]).endswith("'onnxruntime'; fix: python bootstrap.py setup")


def test_names_instead_of_the_checkpoints(tmp_path, monkeypatch, capsys):
    official_form.save(tmp_path / "best.pt", official_form.make_model(names=("a", "a", "b")))
    monkeypatch.chdir(tmp_path)
    found = error_of(capsys, ["convert", "best.pt", *SIZE])
    assert "names: expected a distinct name for each class" in found
    assert found.endswith("fix: pass other names (--names)")
    assert "names: expected 3, one for each class; got 2" in error_of(
        capsys, ["patch", "build/best/best.onnx", "--names", "x,y"]
    )
    assert main(["convert", "best.pt", *SIZE, "--names", "x, y,z"]) == 0
    assert "names=['x', 'y', 'z']" in capsys.readouterr().out
    metadata = {p.key: p.value for p in onnx.load("build/best/best-ultralytics.onnx").metadata_props}
    assert metadata["names"] == "{0: 'x', 1: 'y', 2: 'z'}"


def test_the_systems_errors_in_words(here, capsys):
    found = error_of(capsys, ["patch", "build/best/best.onnx", "--out", "one.png/deeper/a.onnx"])
    assert "one.png/deeper" in found.replace(os.sep, "/")
    assert found.endswith("; fix: check the path, its permissions and the free space")
    assert "Errno" not in found


def test_detect_a_video(here, tmp_path, capsys):
    from helpers.video import write_video

    frames = [np.full((60, 90, 3), value, np.uint8) for value in (10, 90, 200)]
    write_video(tmp_path / "clip.avi", frames)
    arguments = [
        "detect",
        "build/best/best-ultralytics.onnx",
        str(tmp_path / "clip.avi"),
        "--out",
        str(tmp_path / "drawn"),
    ]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("clip.avi: 3 frames -> ")
    assert (tmp_path / "drawn" / "clip-boxes.mp4").stat().st_size > 0


def test_evaluate(here, tmp_path, capsys):
    pytest.importorskip("faster_coco_eval")
    for name in ("JPEGImages", "Annotations"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "JPEGImages" / "x.jpg"), cv2.imread("one.png"))
    box = "<xmin>5</xmin><ymin>6</ymin><xmax>30</xmax><ymax>40</ymax>"
    size = "<size><width>90</width><height>60</height><depth>3</depth></size>"
    label = f"<object><name>a</name><bndbox>{box}</bndbox></object>"
    (tmp_path / "Annotations" / "x.xml").write_text(
        f"<annotation><filename>x.jpg</filename>{size}{label}</annotation>"
    )
    (tmp_path / "val.txt").write_text("x\n")
    assert main(["evaluate", "best.pt", "--data", str(tmp_path), "--size", "64"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 pictures of ")
    assert "AP50" in out
    assert "nearest valid size: 64x64" in error_of(
        capsys, ["evaluate", "best.pt", "--data", str(tmp_path), "--size", "60"]
    )


def test_errors_are_one_line(here, tmp_path, capsys):
    (tmp_path / "page.pt").write_text("<html>")
    assert "an HTML page, not a checkpoint" in error_of(capsys, ["convert", str(tmp_path / "page.pt")])
    assert error_of(capsys, ["convert", "nowhere.pt"]).startswith(
        "error: model: expected a file, blood-cells, or one of"
    )
    assert "nearest valid size: 48x32" in error_of(capsys, ["convert", "best.pt", "--size", "50x30"])
    assert "nearest valid size" in error_of(capsys, ["export", "best.pt", "--size=-5"])
    assert error_of(capsys, ["patch", "nowhere.onnx"]).startswith("error: ")
    assert "expected an ONNX file, got a zip" in error_of(capsys, ["detect", "best.pt", "one.png"])
    assert error_of(capsys, ["detect", "build/best/best.onnx", "one.png"]).startswith("error: ")
    assert error_of(capsys, ["detect", "build/best/best-ultralytics.onnx", "nowhere.png"]).startswith(
        "error: "
    )
    assert error_of(capsys, ["evaluate", "best.pt", "--data", str(tmp_path)]).startswith("error: ")


def test_a_traceback_on_demand(here, monkeypatch):
    monkeypatch.setenv("YOLOV7_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="expected a file"):
        main(["convert", "nowhere.pt"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["convert"],
        ["convert", "best.pt", "--size", "big"],
        ["convert", "best.pt", "--size", "1x2x3"],
        ["convert", "best.pt", "--topk", "1.5"],
        ["convert", "best.pt", "--topk", "0"],
        ["convert", "best.pt", "--topk", "3840"],
        ["convert", "best.pt", "--iou", "1.1"],
        ["convert", "best.pt", "--conf", "nan"],
        ["convert", "best.pt", "--max-wh", "inf"],
        ["convert", "best.pt", "--max-wh=-1"],
        ["convert", "best.pt", "--out", __file__],
        ["export", "best.pt", "--out", "."],
        ["export", "best.pt", "--out", "best"],
        ["patch", "best.onnx", "--out", "best.engine"],
        ["patch", "best.onnx", "--stride", "0"],
        ["detect", "best.onnx", "one.png", "--conf", "2"],
        ["detect", "a.onnx"],
        ["evaluate", "best.pt"],
    ],
)
def test_wrong_usage(capsys, arguments):
    assert "usage: python -m helpers" in usage_of(capsys, arguments)


def test_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for name in ("convert", "export", "patch", "detect", "evaluate", "course"):
        assert f"    {name} " in out


def test_interruption(here, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "convert", interrupt)
    assert error_of(capsys, ["convert", "best.pt"], 130).startswith("interrupted")


def test_the_command_line_starts_without_torch():
    code = "import sys, helpers.__main__ as m; m._parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
