"""Results that are their own list of what is done: whole files, one row a picture, one job a folder."""

import json
import os
from pathlib import Path

import pytest

from helpers.images import ImageError
from helpers.scale_parts import Picture, Results, ScaleError, list_pictures, package, part_name, schema

pytest.importorskip("pyarrow", reason="extra scale")
import pyarrow as pa
import pyarrow.parquet as pq

JOB = {"pictures": "/data", "model": "abc", "score_threshold": 0.0}
A, B, C = (Picture(f"{name}.jpg", 10 + i, 1000 + i) for i, name in enumerate("abc"))


def row(picture, error=None, boxes=((1, 2, 3, 4),)):
    boxes = [] if error else [list(box) for box in boxes]
    return {
        "path": picture.path, "bytes": picture.bytes, "modified_ns": picture.modified_ns,
        "width": 640, "height": 480, "boxes_xyxy": boxes, "scores": [0.5] * len(boxes),
        "class_ids": [1] * len(boxes), "names": ["WBC"] * len(boxes), "error": error,
        "model": "abc", "versions": "v",
    }  # fmt: skip


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "out")


@pytest.fixture
def filled(results):
    with results.opened(JOB):
        results.write("part-1.parquet", [row(B), row(A)])
        results.write("part-2.parquet", [row(C, "an empty file")])
    return results


def test_nothing_yet(results):
    assert results.parts() == []
    assert results.done() == set()
    assert results.drop(["a.jpg"]) == 0
    assert results.unite() == 0
    assert results.table().schema == schema()
    assert len(results.table()) == 0


def test_rows_come_back_in_the_order_of_their_paths(filled):
    table = filled.table()
    assert table.column("path").to_pylist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert table.schema == schema()
    assert table.to_pylist()[0] == row(A)
    assert table.to_pylist()[2]["boxes_xyxy"] == []
    assert filled.done() == {A, B, C}


def test_any_reader_takes_the_folder_as_one_table(filled):
    """`_lock`, `_job.json` and the like are skipped; types and the schema's version are in the files."""
    table = pq.read_table(filled.folder)
    assert sorted(table.column("path").to_pylist()) == ["a.jpg", "b.jpg", "c.jpg"]
    assert table.schema.field("boxes_xyxy").type == pa.list_(pa.list_(pa.float32(), 4))
    assert pq.read_schema(filled.parts()[0]).metadata[b"yolov7_results"] == b"1"


@pytest.mark.parametrize(
    ("paths", "left", "files"),
    [
        ([], ["a.jpg", "b.jpg", "c.jpg"], 2),
        (["x.jpg"], ["a.jpg", "b.jpg", "c.jpg"], 2),
        (["a.jpg"], ["b.jpg", "c.jpg"], 2),
        (["c.jpg"], ["a.jpg", "b.jpg"], 1),
        (["a.jpg", "c.jpg"], ["b.jpg"], 1),
    ],
)
def test_dropped_rows_leave_the_others(filled, paths, left, files):
    assert filled.drop(iter(paths)) == 3 - len(left)
    assert filled.table().column("path").to_pylist() == left
    assert len(filled.parts()) == files
    assert not list(filled.folder.glob(".*"))


def test_files_without_a_stale_row_are_not_touched(filled):
    before = {path.name: path.stat().st_mtime_ns for path in filled.parts()}
    filled.drop(["c.jpg"])
    assert filled.parts()[0].stat().st_mtime_ns == before["part-1.parquet"]


@pytest.mark.parametrize("late", [[B], [A, B], [B, C], [A, B, C]], ids=["one", "a part", "two", "all"])
def test_what_a_killed_run_writes_late_leaves_one_row_a_picture(filled, late):
    """Its workers live on for a moment, and the next run does the same pictures, perhaps in other parts."""
    with filled.opened(JOB):
        filled.write("part-0.parquet", [row(picture) for picture in late])
    assert filled.table().column("path").to_pylist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert filled.unite() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "def"}, "model 'abc', not 'def'"),
        ({"score_threshold": 0.5}, "score_threshold 0.0, not 0.5"),
        ({"pictures": "/other"}, "pictures '/data', not '/other'"),
    ],
)
def test_another_job_is_refused_and_nothing_is_lost(filled, change, said):
    with (
        pytest.raises(ScaleError, match=f"of another job .{said}.; name another folder"),
        filled.opened(JOB | change),
    ):
        pytest.fail("opened")
    assert len(filled.table()) == 3
    with filled.opened(JOB):
        pass


def test_a_job_that_said_less_is_another_job(filled):
    path = filled.folder / "_job.json"
    known = json.loads(path.read_text("utf-8"))
    del known["score_threshold"]
    path.write_text(json.dumps(known), "utf-8")
    with pytest.raises(ScaleError, match=r"\(score_threshold None, not "), filled.opened(JOB):
        pytest.fail("opened")


def test_a_folder_with_results_of_unknown_origin_is_refused(filled):
    (filled.folder / "_job.json").unlink()
    with pytest.raises(ScaleError, match=r"has results without _job.json"), filled.opened(JOB):
        pytest.fail("opened")


def test_two_runs_at_once_are_refused(results):
    again = pytest.raises(ScaleError, match="another run holds")
    with results.opened(JOB), again, Results(results.folder).opened(JOB):
        pytest.fail("opened")
    with results.opened(JOB):
        pass


def test_what_a_kill_leaves_is_swept_away(filled):
    (filled.folder / ".part-3-x.parquet").write_bytes(b"half")
    (filled.folder / "_running").mkdir()
    (filled.folder / "_running" / "part-3.parquet.json").write_text("{}")
    with filled.opened(JOB):
        assert sorted(path.name for path in filled.folder.iterdir()) == [
            "_job.json",
            "_lock",
            "part-1.parquet",
            "part-2.parquet",
        ]


def test_a_damaged_file_is_named_with_its_cure(filled):
    filled.parts()[0].write_bytes(b"PAR1 no")
    for call in (filled.done, filled.table, filled.unite, lambda: filled.drop(["a.jpg"])):
        with pytest.raises(ScaleError, match=r"part-1.parquet: expected a Parquet file.*delete it"):
            call()


def test_a_write_that_fails_leaves_nothing(results):
    with results.opened(JOB), pytest.raises(pa.ArrowInvalid):
        results.write("part-9.parquet", [row(A) | {"width": "wide"}])
    assert results.parts() == []


def test_pictures_are_listed_with_what_tells_a_changed_one(tmp_path):
    for name in ("b.png", "a/deep/x.JPG", "a.txt", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "folder.jpg").mkdir()
    os.utime(tmp_path / "b.png", ns=(5, 1_234_567_000))
    found = list_pictures(tmp_path)
    assert [picture.path for picture in found] == ["a/deep/x.JPG", "b.png"]
    assert found[1] == Picture("b.png", 5, 1_234_567_000)
    (tmp_path / "b.png").write_bytes(b"123456")
    assert list_pictures(str(tmp_path))[1].bytes == 6


@pytest.mark.parametrize("name", ["nowhere", "empty", "file.jpg"])
def test_no_pictures(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match="folder: expected"):
        list_pictures(tmp_path / name)


def test_a_part_is_named_by_its_pictures():
    names = [
        part_name(p) for p in ([A], [A, B], [B, A], [Picture("a.jpg", 10, 1)], [Picture("a.jpg", 1, 1000)])
    ]
    assert len(set(names)) == 5
    assert names[0] == part_name([Picture("a.jpg", 10, 1000)])
    assert all(Path(name).match("part-*.parquet") for name in names)


def test_a_missing_package_names_the_extra():
    with pytest.raises(
        ImportError, match=r"need the package rayy,.*extra scale: yolov7-graph-surgery\[scale\]"
    ):
        package("rayy.data")
