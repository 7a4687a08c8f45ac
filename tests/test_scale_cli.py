"""detect-many: options reach the job, a line says what was done, bad pictures are named."""

import pytest
from tiny_detector import tiny_detector

pytest.importorskip("pyarrow", reason="extra scale")

from helpers import scale, scale_cli
from helpers.__main__ import main
from helpers.scale import Summary
from helpers.scale_parts import Results

ROW = {
    "path": "a.jpg", "bytes": 1, "modified_ns": 1, "width": 640, "height": 480, "model": "m", "versions": "v",
    "boxes_xyxy": [[1.0, 2.0, 3.0, 4.0]] * 2, "scores": [0.9, 0.5], "class_ids": [0, 1],
    "names": ["RBC", "WBC"], "error": None,
}  # fmt: skip
BAD = ROW | {
    "path": "b.jpg",
    "boxes_xyxy": [],
    "scores": [],
    "class_ids": [],
    "names": [],
    "error": "an empty file",
}


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A stand-in for the job: writes the rows it is given, and what it was asked is kept."""
    asked = {}

    def use(rows, summary):
        def detect_folder(source, model, results, *, progress, **options):
            asked.update(options, source=source, model=model, results=results)
            progress(1, 2)
            progress(2, 2)
            if rows:
                results.mkdir()
                Results(results).write("part-1.parquet", rows)
            return summary

        monkeypatch.setattr(scale, "detect_folder", detect_folder)
        return asked

    return use


def run(tmp_path, *options):
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_detector())
    return main(
        ["detect-many", str(tmp_path), "--model", str(model), "--out", str(tmp_path / "out"), *options]
    )


def test_nothing_left_to_do(tmp_path, job, capsys):
    job([], Summary(3, 3))
    assert run(tmp_path) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "3 pictures: 3 done before, 0 done now (0 with an error), 0 boxes; tiny.onnx",
        f"{tmp_path / 'out'}: 0 rows; no boxes",
    ]
    assert said.err == ""


def test_what_was_done_and_how_fast(tmp_path, job, capsys):
    asked = job([ROW], Summary(1, 0, done=1, boxes=2, workers=1, seconds=9.0, working_s=0.5))
    assert run(tmp_path) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("2 boxes; tiny.onnx, 2.0 pictures/s, 9.0 s in all")
    assert second == f"{tmp_path / 'out'}: 1 rows; 1 RBC, 1 WBC"
    assert asked == {
        "source": tmp_path, "model": tmp_path / "tiny.onnx", "results": tmp_path / "out", "workers": None,
        "address": None, "batch_size": 8, "threads": 1, "gpus": 0.0, "score_threshold": 0.0,
    }  # fmt: skip


def test_every_option(tmp_path, job):
    asked = job([ROW], Summary(1, 0, done=1))
    options = ["--workers", "3", "--batch", "4", "--threads", "2", "--gpus", "0.5", "--conf", "0.25"]
    assert run(tmp_path, *options, "--address", "auto") == 0
    wanted = {"workers": 3, "batch_size": 4, "threads": 2, "gpus": 0.5, "score_threshold": 0.25}
    assert {name: asked[name] for name in wanted} == wanted
    assert asked["address"] == "auto"


def test_bad_pictures_are_named(tmp_path, job, capsys):
    job([ROW, BAD], Summary(2, 0, done=2, errors=1))
    assert run(tmp_path) == 1
    assert capsys.readouterr().err == "error: b.jpg: an empty file\n"


def test_a_name_becomes_the_models_file_for_many_pictures(tmp_path, monkeypatch, capsys):
    from helpers import convert, download
    from helpers.recipe import Files, Recipe

    monkeypatch.setattr(download, "find_checkpoint", lambda name: tmp_path / f"{name}.pt")
    made = []
    monkeypatch.setattr(
        convert, "convert", lambda path, **given: made.append((path, given)) or Files(tmp_path, path.stem)
    )
    assert scale_cli._model("best") == tmp_path / "best-batched.onnx"
    assert made[0][1]["recipe"] == Recipe(batched=True)
    assert made[0][0] == tmp_path / "best.pt"
    made[0][1]["progress"]("step")
    assert capsys.readouterr().out == "  step\n"


@pytest.mark.parametrize(
    "options", [["--workers", "0"], ["--conf", "2"], ["--batch", "x"], ["--out", __file__]]
)
def test_wrong_usage(tmp_path, options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["detect-many", str(tmp_path), *options])
    assert caught.value.code == 2


def test_a_folder_without_pictures_is_one_line(tmp_path, capsys):
    assert run(tmp_path) == 1
    assert capsys.readouterr().err.startswith("error: folder: expected at least one picture")
