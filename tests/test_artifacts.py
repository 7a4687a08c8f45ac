"""Files are whole or absent, and the manifest knows which are stale."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import onnx
import pytest

from helpers import artifacts
from helpers.artifacts import ArtifactError, Manifest, atomic_path, describe_onnx, sha256


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source.pt").write_text("weights")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "made.bin").write_text("made")
    return tmp_path / "build"


@pytest.fixture
def manifest(folder):
    manifest = Manifest(folder)
    manifest.record(folder / "made.bin", call="make()", sources=[folder.parent / "source.pt"], extra=3)
    return manifest


def test_atomic_path_replaces(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    for text in ("one", "two"):
        with atomic_path(target) as temporary:
            assert temporary.suffix == ".txt"
            assert temporary.parent == target.parent
            temporary.write_text(text)
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    code = (
        "import os, signal, sys\n"
        "from helpers.artifacts import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"


def test_sha256_of_nothing(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_no_manifest_yet(tmp_path):
    manifest = Manifest(tmp_path)
    assert manifest.entries() == {}
    assert manifest.state(tmp_path / "a.onnx") == "missing"
    (tmp_path / "a.onnx").write_text("x")
    assert manifest.state(tmp_path / "a.onnx") == "stale: not in the manifest"


def test_an_entry(folder, manifest):
    entry = manifest.entries()["made.bin"]
    assert entry["sha256"] == sha256(folder / "made.bin")
    assert (entry["bytes"], entry["call"], entry["extra"]) == (4, "make()", 3)
    assert entry["sources"] == {"../source.pt": sha256(folder.parent / "source.pt")}
    assert entry["versions"]["onnx"] == onnx.__version__
    assert str(folder) not in manifest.path.read_text()
    assert sorted(p.name for p in folder.iterdir()) == ["made.bin", "manifest.json"]


def test_state_follows_content_not_time(folder, manifest):
    made, source = folder / "made.bin", folder.parent / "source.pt"
    assert manifest.state(made) == "current"
    os.utime(source, (0, 0))
    os.utime(made, (1, 1))
    source.write_text("weights")
    assert manifest.state(made) == "current"
    source.write_text("others")
    assert manifest.state(made) == "stale: source.pt has changed since"
    source.unlink()
    assert manifest.state(made) == "stale: source.pt is gone"
    made.write_text("edited")
    assert manifest.state(made) == "stale: changed after it was made"
    made.unlink()
    assert manifest.state(made) == "missing"


def test_state_for_a_call_and_for_other_sources(folder, manifest):
    made, other = folder / "made.bin", folder.parent / "other.pt"
    assert manifest.state(made, call="make()") == "current"
    assert manifest.state(made, call="make(2)") == "stale: made by make()"
    other.write_text("weights")
    assert manifest.state(made, sources=[other]) == "current"  # moved, the same content
    other.write_text("others")
    assert manifest.state(made, sources=[other]) == "stale: other.pt is not what it was made from"
    assert manifest.state(made, sources=[]) == "stale:  is not what it was made from"


def test_require(folder, manifest):
    assert manifest.require(folder / "made.bin") == folder / "made.bin"
    for name, lesson in (("b.onnx", "02_export"), ("b-ultralytics.onnx", "04_patch"), ("b.bin", "02_export")):
        with pytest.raises(
            ArtifactError, match=f"{name} is missing. Lesson {lesson} makes it.*helpers convert build"
        ):
            manifest.require(folder / name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "{}",
        '{"files": []}',
        '{"files": {"a": 1}}',
        '{"files": {"a": {}}}',
        "[" * 100_000,
        '{"files": {"a": {"sha256": "", "call": "x", "sources": {}}}}',
        '{"files": {"a": {"sha256": "1", "call": "x", "sources": []}}}',
    ],
)
def test_a_corrupt_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json: .*Fix: delete it"):
        Manifest(tmp_path).entries()


def test_a_manifest_that_is_no_text(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match="no manifest"):
        Manifest(tmp_path).state(tmp_path / "a")
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ArtifactError, match="no manifest"):
        Manifest(tmp_path).entries()


def write_entries(folder, names):
    for name in names:
        (folder / name).write_text(name)
        Manifest(folder).record(folder / name, call="write")


@pytest.mark.parametrize("kind", [threading.Thread, multiprocessing.get_context("spawn").Process])
def test_two_writers_lose_nothing(tmp_path, kind):
    names = [[f"{writer}-{index}" for index in range(8)] for writer in range(2)]
    writers = [kind(target=write_entries, args=(tmp_path, some)) for some in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(Manifest(tmp_path).entries()) == sorted(names[0] + names[1])
    assert not (tmp_path / ".manifest.lock").exists()


@pytest.mark.parametrize(
    ("windows", "refusals", "patience"), [(True, 2, 10.0), (True, 2, -1.0), (False, 1, 10.0)]
)
def test_a_lock_on_its_way_out_is_waited_for_on_windows(tmp_path, monkeypatch, windows, refusals, patience):
    left, open_ = [True] * refusals, os.open

    def refusing(path, *rest):
        if left and str(path).endswith(".lock"):
            left.pop()
            raise PermissionError("delete pending")
        return open_(path, *rest)

    monkeypatch.setattr(artifacts, "_WINDOWS", windows)
    monkeypatch.setattr(artifacts.os, "open", refusing)
    if windows and patience > 0:
        with artifacts._locked(tmp_path / "a.lock", patience):
            assert left == []
    else:
        with pytest.raises(PermissionError), artifacts._locked(tmp_path / "a.lock", patience):
            pass
        assert len(left) == refusals - 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_left_behind_is_taken_over(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    os.utime(lock, (0, 0))
    with artifacts._locked(lock):
        assert lock.stat().st_mtime > 1
    assert not lock.exists()


def test_a_lock_is_waited_for(tmp_path):
    lock, order = tmp_path / "lock", []
    lock.touch()

    def release():
        time.sleep(0.05)
        order.append("released")
        lock.unlink()

    thread = threading.Thread(target=release)
    thread.start()
    with artifacts._locked(lock):
        order.append("held")
    thread.join()
    assert order == ["released", "held"]


def test_describe_onnx(tmp_path):
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> '
        "g (float[B, 3, 4] images) => (float[B, N, 7] output) { output = Identity(images) }"
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "a.onnx")
    expected = {
        "opset": 17,
        "inputs": [{"name": "images", "type": "float", "shape": ["B", 3, 4]}],
        "outputs": [{"name": "output", "type": "float", "shape": ["B", "N", 7]}],
    }
    assert describe_onnx(tmp_path / "a.onnx") == expected
    Manifest(tmp_path).record(tmp_path / "a.onnx", call="parse")
    entry = json.loads((tmp_path / "manifest.json").read_text())["files"]["a.onnx"]
    assert {key: entry[key] for key in expected} == expected


def test_another_drive(monkeypatch, tmp_path):
    def other_drive(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert artifacts._relative(tmp_path / "a", tmp_path) == (tmp_path / "a").as_posix()


def test_packages_that_are_not_installed():
    assert artifacts._version("no-such-package-at-all") is None
