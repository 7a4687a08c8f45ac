"""A folder through Ray Data: every picture once, whatever dies on the way."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tiny_detector import tiny_detector, write_pictures

pytest.importorskip("ray", reason="extra scale")

from helpers import scale
from helpers.artifacts import Manifest, sha256
from helpers.detector import Detector, DetectorError
from helpers.images import ImageError
from helpers.scale import Summary, best_model, cluster, count_names, detect_folder, read_results
from helpers.scale_parts import Results, ScaleError

# a Ray that gave up leaves objects that complain when they go
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
DRIVER = """
import sys
from helpers.scale import detect_folder
detect_folder(*sys.argv[1:4], workers=2, part_size=2, batch_size=2)
"""


@pytest.fixture(scope="module")
def ray():
    """One small cluster for all tests of this module; Ray gives up after 30 s, so a busy machine has two."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(cluster(workers=2))
        except ScaleError:
            yield stack.enter_context(cluster(workers=2))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_detector())
    return path


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    write_pictures(folder, 11)
    (folder / "deep" / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    return folder


def no_ray(monkeypatch):
    def started(*_, **__):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(scale, "cluster", started)


def test_an_empty_folder(tmp_path, model, monkeypatch):
    no_ray(monkeypatch)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="at least one picture"):
        detect_folder(tmp_path / "empty", model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_finished_detector(tmp_path, pictures, monkeypatch):
    no_ray(monkeypatch)
    (tmp_path / "raw.onnx").write_bytes(b"onnx?")
    with pytest.raises(DetectorError, match=r"raw.onnx"):
        detect_folder(pictures, tmp_path / "raw.onnx", tmp_path / "out")


@pytest.mark.parametrize("name", ["workers", "batch_size", "threads", "part_size"])
def test_numbers_below_one(tmp_path, pictures, model, name):
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        detect_folder(pictures, model, tmp_path / "out", **{name: 0})


def test_without_ray_the_extra_is_named(tmp_path, pictures, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r"need the package ray,.*extra scale"):
        detect_folder(pictures, model, tmp_path / "out")


@pytest.mark.slow
def test_a_folder_comes_back_as_a_table_and_again_only_news_are_looked_at(
    ray, tmp_path, pictures, model, monkeypatch
):
    told, out = [], tmp_path / "out"
    summary = detect_folder(
        pictures, model, out, workers=2, part_size=3, batch_size=2,
        progress=lambda done, of: told.append((done, of)),
    )  # fmt: skip
    assert ray.is_initialized()
    assert str(summary) == "12 pictures: 0 done before, 12 done now (1 with an error), 22 boxes"
    assert sorted(told) == told
    assert [of for _, of in told] == [12] * 4
    assert told[-1][0] == 12
    assert 1 <= summary.workers <= 2
    assert summary.seconds > summary.working_s > 0
    assert summary.pictures_per_s == pytest.approx(12 / summary.working_s)
    assert len(Results(out).parts()) == 4
    assert count_names(read_results(out)) == {"WBC": 11, "RBC": 11}
    check_rows(read_results(out), pictures, sha256(model))

    before = {path: path.stat().st_mtime_ns for path in Results(out).parts()}
    with monkeypatch.context() as patch:
        no_ray(patch)
        assert detect_folder(pictures, model, out) == Summary(12, 12)
        with pytest.raises(ScaleError, match="another job"):
            detect_folder(pictures, model, out, score_threshold=0.5)
    assert {path: path.stat().st_mtime_ns for path in Results(out).parts()} == before
    write_pictures(pictures, 1, first=11)
    (pictures / "00.png").unlink()
    (pictures / "02.png").write_bytes((pictures / "04.png").read_bytes())
    summary = detect_folder(pictures, model, out, workers=1)
    assert (summary.pictures, summary.before, summary.done, summary.errors) == (12, 10, 2, 0)
    rows = {row["path"]: row for row in read_results(out).to_pylist()}
    assert len(rows) == 13 == len(read_results(out))  # 00.png is gone, its row is not
    assert rows["02.png"]["width"] == rows["04.png"]["width"]


def check_rows(table, pictures, model_hash):
    detector = Detector(tiny_detector(1))
    for row in table.to_pylist():
        assert row["model"] == model_hash
        if row["path"] == "deep/bad.jpg":
            assert "cut short or damaged" in row["error"]
            continue
        found = detector.detect(pictures / row["path"])
        assert row["scores"] == found.scores.tolist()
        assert row["boxes_xyxy"] == found.boxes_xyxy.tolist()


class Killer(threading.Thread):
    """Kills the first worker that says it is at work."""

    def __init__(self, out):
        super().__init__()
        self.out, self.killed, self.over = out, 0, threading.Event()

    def run(self):
        while not self.killed and not self.over.is_set():
            for note in self._notes():
                try:
                    pid = json.loads(note.read_text())["pid"]
                    os.kill(pid, signal.SIGKILL)
                except (OSError, ValueError):
                    continue
                self.killed = pid

    def _notes(self):
        try:
            return list((self.out / "_running").glob("part-*.json"))
        except FileNotFoundError:  # the folder comes and goes with the job
            return []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_after_a_kill_nothing_is_done_twice(ray, tmp_path, model):
    """The job is killed with `kill -9` while it works; then a worker of the next run is."""
    folder, out = tmp_path / "pictures", Results(tmp_path / "out")
    write_pictures(folder, 150)
    arguments = [sys.executable, "-c", DRIVER, str(folder), str(model), str(out.folder)]
    with subprocess.Popen(arguments, cwd=Path(__file__).parents[1]) as driver:
        deadline = time.monotonic() + 300
        while len(out.parts()) < 3 and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        driver.kill()
    at_kill = len(out.parts())
    assert 3 <= at_kill < 75
    time.sleep(2)  # workers may finish the part in hand
    before = {path: path.stat().st_mtime_ns for path in out.parts()}
    killer = Killer(out.folder)
    killer.start()
    try:
        summary = detect_folder(folder, model, out.folder, workers=2, part_size=50, batch_size=2)
    finally:
        killer.over.set()
        killer.join()
    assert killer.killed not in (0, os.getpid())
    assert summary.before == 2 * len(before) >= 2 * at_kill
    assert (summary.before + summary.done, summary.errors) == (150, 0)
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    table = read_results(out.folder)
    assert len(set(table["path"].to_pylist())) == len(table) == 150
    assert set(table["error"].to_pylist()) == {None}


@pytest.mark.parametrize(
    ("error", "said"),
    [("trace\nback\nOSError: disk full\n", "OSError: disk full"), ("", "RayError")],
)
def test_what_goes_wrong_in_a_worker_is_said_in_a_line(tmp_path, pictures, model, monkeypatch, error, said):
    import ray
    from ray import data

    class Dataset:
        def map(self, *_, **options):
            assert options["num_cpus"] == 2
            return self

        def iter_rows(self):
            raise ray.exceptions.RayError(error)

    @contextmanager
    def running(*_, **__):
        yield ray

    monkeypatch.setattr(scale, "cluster", running)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "put", lambda value: value)
    monkeypatch.setattr(data, "from_items", lambda *_, **__: Dataset())
    with pytest.raises(ScaleError, match=f"^a worker failed: {said}; parts that were finished stay"):
        detect_folder(pictures, model, tmp_path / "out", threads=2)


@pytest.mark.parametrize(
    ("workers", "threads", "alone", "expected"),
    [(None, 1, True, 6), (None, 4, True, 1), (None, 8, True, 1), (3, 1, True, 3), (9, 1, True, 6),
     (4, 2, True, 3), (9, 1, False, 9)],
)  # fmt: skip
def test_the_pool_fits_the_machine(workers, threads, alone, expected):
    class Six:
        @staticmethod
        def cluster_resources():
            return {"CPU": 6.0}

    assert scale._pool(Six, workers, threads, alone=alone) == expected


def test_the_batched_file_is_taken_where_it_is_current(tmp_path):
    given, batched = tmp_path / "m-ultralytics.onnx", tmp_path / "m-batched.onnx"
    given.write_bytes(tiny_detector(1))
    assert best_model(given) == given
    batched.write_bytes(tiny_detector())
    assert best_model(str(given)) == given  # of unknown origin
    Manifest(tmp_path).record(batched, call="batch", sources=[given])
    assert best_model(given) == batched
    assert best_model(batched) == batched
    given.write_bytes(tiny_detector(2))
    assert best_model(given) == given  # the batched file is of another model


def test_counting_nothing(tmp_path):
    assert count_names(read_results(tmp_path)) == {}
    assert Summary(0, 0).pictures_per_s == 0
