"""One worker, without Ray: batches, reading ahead, bad pictures, pictures that kill."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_detector import tiny_detector, write_pictures

pytest.importorskip("pyarrow", reason="extra scale")

from helpers import scale_worker
from helpers.detector import Detector
from helpers.scale import _parts
from helpers.scale_parts import Picture, Results, list_pictures
from helpers.scale_worker import DIED, Job, Worker


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    write_pictures(tmp_path / "pictures", 7)
    return tmp_path


def job_in(folder, **changed):
    job = Job("run-1", str(folder / "pictures"), str(folder / "out"), "abc")
    return replace(job, **{"batch_size": 3, "providers": "cpu", **changed})


def part_of(folder):
    return _parts(list_pictures(folder / "pictures"), 100)[0]


def rows_of(folder):
    return Results(folder / "out").table().to_pylist()


class Died(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def test_nothing_to_do(folder):
    told = Worker(job_in(folder), tiny_detector())(
        {"name": "part-0.parquet", "path": [], "bytes": [], "modified_ns": []}
    )
    assert (told["pictures"], told["boxes"], told["errors"]) == (0, 0, 0)
    assert rows_of(folder) == []


@pytest.mark.parametrize("batch", ["b", 1, 3])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_rows_are_what_the_detector_says_picture_by_picture(folder, batch, size):
    (folder / "pictures" / "a-bad.png").write_text("no picture")
    part = part_of(folder)
    told = Worker(job_in(folder, batch_size=size), tiny_detector(batch))(part)
    rows = rows_of(folder)
    assert (told["part"], told["pictures"], told["boxes"], told["errors"]) == (part["name"], 8, 14, 1)
    assert told["ended"] >= told["started"] > 1e9
    assert [row["path"] for row in rows] == part["path"]
    detector = Detector(tiny_detector(1))
    for row in rows:
        if row["path"] == "a-bad.png":
            assert (
                row["error"]
                == "expected a complete picture (JPEG, PNG, ...), found text that begins 'no picture'"
            )
            assert (row["width"], row["scores"], row["boxes_xyxy"]) == (None, [], [])
            continue
        found = detector.detect(folder / "pictures" / row["path"])
        np.testing.assert_array_equal(np.float32(row["boxes_xyxy"]), found.boxes_xyxy)
        np.testing.assert_array_equal(np.float32(row["scores"]), found.scores)
        assert row["class_ids"] == found.class_ids.tolist() == [1, 0]
        assert row["names"] == ["WBC", "RBC"]
        index = int(Path(row["path"]).stem)
        assert (row["width"], row["height"], row["error"]) == (96 + 2 * index, 64 + index, None)
        assert (row["model"], row["bytes"]) == ("abc", (folder / "pictures" / row["path"]).stat().st_size)
        assert row["versions"].startswith("yolov7-graph-surgery 0.")


@pytest.mark.parametrize(
    ("batch", "size", "expected"), [(3, 1, [3, 3, 1]), (1, 8, [1] * 7), ("b", 5, [5, 2])]
)
def test_a_fixed_batch_is_filled(folder, monkeypatch, batch, size, expected):
    detect, lengths = Worker._detect, []
    monkeypatch.setattr(Worker, "_detect", lambda self, i: lengths.append(len(i)) or detect(self, i))
    Worker(job_in(folder, batch_size=size), tiny_detector(batch))(part_of(folder))
    assert lengths == expected


def test_settings_reach_the_detector(folder):
    worker = Worker(job_in(folder, score_threshold=0.3), tiny_detector())
    assert worker(part_of(folder))["boxes"] == 7
    assert {name for row in rows_of(folder) for name in row["names"]} == {"WBC"}
    assert worker.detector.provider == "CPUExecutionProvider"


def test_a_picture_that_is_gone_is_a_row(folder):
    part = part_of(folder)
    (folder / "pictures" / part["path"][0]).unlink()
    assert Worker(job_in(folder), tiny_detector())(part)["errors"] == 1
    assert rows_of(folder)[0]["error"] == "expected a picture file, found no file there; check the path"


def test_reading_ahead_is_bounded(folder, monkeypatch):
    """Never more than three batches of pictures in memory, however many there are to come."""
    write_pictures(folder / "pictures", 30, first=7)
    alive, most, lock = 0, 0, threading.Lock()
    load = Worker._load

    def counted(self, picture):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return load(self, picture)

    def detected(self, images):
        nonlocal alive
        batches.append(len(images))
        with lock:
            alive -= len(images)
        return detect(self, images)

    batches, detect = [], Worker._detect
    monkeypatch.setattr(Worker, "_load", counted)
    monkeypatch.setattr(Worker, "_detect", detected)
    Worker(job_in(folder), tiny_detector())(part_of(folder))
    assert batches == [3] * 12 + [1]
    assert 3 < most <= 9
    assert [row["path"] for row in rows_of(folder)] == part_of(folder)["path"]


def test_a_picture_the_graph_cannot_take_costs_one_row(folder, monkeypatch):
    detect_many = Detector.detect_many

    def fails(self, images, **options):
        if any(image.shape[0] == 66 for image in images):
            raise RuntimeError("node Conv_7")
        return detect_many(self, images, **options)

    monkeypatch.setattr(Detector, "detect_many", fails)
    assert Worker(job_in(folder), tiny_detector())(part_of(folder))["errors"] == 1
    errors = {row["path"]: row["error"] for row in rows_of(folder) if row["error"]}
    assert errors == {"02.png": "the graph failed: node Conv_7"}
    assert all(len(row["scores"]) == 2 for row in rows_of(folder) if row["path"] != "02.png")


def test_a_failure_that_is_no_pictures_fault_ends_the_part(folder, monkeypatch):
    monkeypatch.setattr(Results, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Worker(job_in(folder), tiny_detector())(part_of(folder))


def deadly(monkeypatch, *names):
    """From now on, these pictures kill whoever loads them."""
    load = Worker._load
    seen = []

    def kills(self, picture):
        seen.append(picture.path)
        if picture.path in names:
            raise Died
        return load(self, picture)

    monkeypatch.setattr(Worker, "_load", kills)
    return seen


def lives(folder, job, limit=9):
    """Start workers until one finishes the part; returns how many it took."""
    for life in range(1, limit):
        try:
            Worker(job, tiny_detector())(part_of(folder))
        except Died:
            assert Results(folder / "out").parts() == []
            continue
        return life
    return limit


@pytest.mark.parametrize(("names", "expected"), [((), 1), (("02.png",), 3), (("02.png", "deep/05.png"), 4)])
def test_pictures_that_kill_their_worker_cost_a_row_each(folder, monkeypatch, names, expected):
    deadly(monkeypatch, *names)
    assert lives(folder, job_in(folder)) == expected
    rows = rows_of(folder)
    assert {row["path"]: row["error"] for row in rows if row["error"]} == dict.fromkeys(names, DIED)
    assert len(rows) == 7
    assert [row["path"] for row in rows] == part_of(folder)["path"]
    assert not list((folder / "out" / "_running").iterdir())


def test_a_picture_that_killed_is_not_opened_again(folder, monkeypatch):
    seen = deadly(monkeypatch, "02.png")
    lives(folder, job_in(folder))
    assert seen.count("02.png") == 2


def test_a_kill_of_the_whole_run_accuses_no_picture(folder, monkeypatch):
    for run in ("run-1", "run-2", "run-3"):
        with monkeypatch.context() as patch:
            deadly(patch, "02.png")
            with pytest.raises(Died):
                Worker(job_in(folder, run=run), tiny_detector())(part_of(folder))
    assert lives(folder, job_in(folder, run="run-4")) == 1
    assert [row["error"] for row in rows_of(folder)] == [None] * 7


def test_the_note_says_who_is_at_what(folder, monkeypatch):
    note = folder / "out" / "_running" / f"{part_of(folder)['name']}.json"
    deadly(monkeypatch, "02.png")
    for at in (None, 1):
        with pytest.raises(Died):
            Worker(job_in(folder), tiny_detector())(part_of(folder))
        known = json.loads(note.read_text())
        assert (known["run"], known["at"], known["blamed"]) == ("run-1", at, [])
        assert known["pid"] == scale_worker.os.getpid()


@pytest.mark.parametrize("text", ["", "{"])
def test_a_note_that_cannot_be_read_means_nothing(folder, text):
    note = folder / "out" / "_running" / f"{part_of(folder)['name']}.json"
    note.parent.mkdir(parents=True)
    note.write_text(text)
    assert Worker(job_in(folder), tiny_detector())(part_of(folder))["errors"] == 0


def test_a_changed_picture_keeps_the_listed_key(folder):
    """The row says what was listed; so the change is noticed by the next run."""
    part = part_of(folder)
    part["modified_ns"][0] = 5
    Worker(job_in(folder), tiny_detector())(part)
    assert Picture(part["path"][0], part["bytes"][0], 5) in Results(folder / "out").done()
