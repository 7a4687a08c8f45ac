"""A lesson's files: found where they are current, made where they are missing or stale."""

import onnx
import onnx.parser
import pytest

from helpers import convert as convert_module
from helpers.artifacts import Manifest
from helpers.course import needs
from helpers.course.picker import CourseModel

GRAPH = """
<ir_version: 9, opset_import: ["" : 18]>
g (float[1, 3, 8, 8] images) => (float[M, 7] output) {
  shape = Constant <value = int64[2] {-1, 7}> ()
  row = Constant <value = float[7] {0, 1, 2, 3, 4, 5, 6}> ()
  output = Reshape(row, shape)
}
"""
KINDS = ("raw", "end2end", "ultralytics", "fp16")


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model of one's own: a checkpoint of a few bytes, an empty build folder."""
    monkeypatch.setenv("YOLOV7_BUILD", str(tmp_path / "build"))
    checkpoint = tmp_path / "tiny.pt"
    checkpoint.write_bytes(b"weights")
    return CourseModel(str(checkpoint))


@pytest.fixture
def calls(model, monkeypatch):
    """`convert` replaced by one that writes six-line graphs and remembers what it was asked for."""
    asked = []

    def convert(checkpoint, build, *, recipe):
        asked.append((checkpoint, build))
        manifest, source = Manifest(model.files.folder), model.checkpoint
        model.files.folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS if recipe.half else KINDS[:-1]:
            path = getattr(model.files, kind)
            onnx.save(onnx.parser.parse_model(GRAPH), path)
            manifest.record(path, call=f"make {kind}", sources=[source])
            source = path

    monkeypatch.setattr(convert_module, "convert", convert)
    return asked


@pytest.fixture
def headless(monkeypatch):
    monkeypatch.setenv("YOLOV7_HEADLESS", "1")


@pytest.fixture
def reader(monkeypatch):
    """A reader with a screen: nothing is checked, nothing is headless."""
    monkeypatch.setattr(needs, "is_headless", lambda: False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_made_and_its_shapes_are_said(model, calls, headless, capsys, kind):
    path = needs.need(model, kind)
    assert path == getattr(model.files, kind)
    assert path.is_file()
    assert calls == [(model.checkpoint, model.files.folder.parent)]
    assert capsys.readouterr().out == f"{path.name}: images [1, 3, 8, 8] -> output [M, 7]\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_current_file_is_found_not_made(model, calls, headless, capsys, kind):
    needs.need(model, kind)
    made = capsys.readouterr().out
    needs.need(model, kind)
    assert len(calls) == 1
    assert capsys.readouterr().out == made, "a check compares this line: made or found must read the same"


def test_require_says_nothing(model, calls, headless, capsys):
    assert needs.require(model, "raw") == model.files.raw
    assert calls
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", KINDS)
def test_new_weights_make_every_file_stale(model, calls, headless, kind):
    needs.require(model, kind)
    model.checkpoint.write_bytes(b"better weights")
    needs.require(model, kind)
    assert len(calls) == 2
    assert Manifest(model.files.folder).state(getattr(model.files, kind)) == "current"


@pytest.mark.parametrize("broken", KINDS)
def test_a_file_that_was_changed_by_hand_is_made_again(model, calls, headless, broken):
    needs.require(model, "fp16")
    path = getattr(model.files, broken)
    path.write_bytes(path.read_bytes() + b"\n")
    needs.require(model, "fp16")
    assert len(calls) == 2


def test_what_comes_later_does_not_matter(model, calls, headless):
    needs.require(model, "raw")
    model.files.end2end.unlink()
    needs.require(model, "raw")
    assert len(calls) == 1
    needs.require(model, "end2end")
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("kind", "lesson"),
    [
        ("raw", "02_export"),
        ("end2end", "02_export"),
        ("ultralytics", "04_patch"),
        ("fp16", "05_build_engine"),
    ],
)
def test_a_reader_is_told_what_is_missing_and_who_makes_it(model, calls, reader, capsys, kind, lesson):
    path = needs.need(model, kind)
    first, last, shapes = capsys.readouterr().out.splitlines()
    assert first == f"{path.name} is missing. Lesson {lesson} makes it; making it now ..."
    assert last == "done in 0 s"
    assert shapes.startswith(f"{path.name}: images")


def test_a_reader_is_told_why_a_file_is_stale(model, calls, reader, capsys):
    needs.require(model, "ultralytics")
    model.checkpoint.write_bytes(b"better weights")
    needs.need(model, "ultralytics")
    said = capsys.readouterr().out
    assert said.startswith(f"{model.files.ultralytics.name} is stale: {model.files.raw.name} is not current.")


def test_a_reader_with_current_files_is_not_bothered(model, calls, reader, capsys):
    needs.require(model, "raw")
    needs.need(model, "raw")
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("kind", ["", "engine", "RAW"])
def test_another_kind_is_refused(model, calls, kind):
    with pytest.raises(ValueError, match="ultralytics, fp16, int8, picture, batched, got") as error:
        needs.need(model, kind)
    assert repr(kind) in str(error.value)
    assert not calls
