"""What is installed, and what moved since the lock."""

from __future__ import annotations

import sys

import pytest

from helpers.course import versions
from helpers.course.versions import compare


def test_nothing_against_nothing():
    assert str(compare({}, {})) == "nothing moved since the lock"
    assert "Nothing." in versions.markdown(compare({}, {}), {})


@pytest.mark.parametrize(
    ("lock", "here", "expected"),
    [
        ({"onnx": "1.23.2"}, {"onnx": "1.23.2"}, "nothing moved since the lock"),
        ({"onnx": "1.23.2"}, {"onnx": "1.24.0"}, "moved since the lock: onnx 1.23.2 -> 1.24.0"),
        ({"torch": "2.13.0"}, {"torch": "2.13.0+cpu"}, "nothing moved since the lock"),
        ({"torch": "2.13.0"}, {"torch": "2.15.0+cpu"}, "moved since the lock: torch 2.13.0 -> 2.15.0+cpu"),
        ({"a": "1", "b": "2"}, {}, "nothing moved since the lock\nin the lock, not here: a 1, b 2"),
        ({}, {"b": "2", "a": "1"}, "nothing moved since the lock\nnot in the lock: a 1, b 2"),
        ({}, {"yolov7-graph-surgery": "0.1.0"}, "nothing moved since the lock"),
    ],
)
def test_what_moved(lock, here, expected):
    assert str(compare(lock, here)) == expected


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_lock_of_this_system(tmp_path, kind):
    (tmp_path / "lock.txt").write_text(
        "# head\nOnnx_IR==1.1.0\n\n"
        f"here==1 ; sys_platform == '{sys.platform}'\n"
        "elsewhere==1 ; sys_platform == 'nowhere'\n"
        "old==1 ; python_version < '3'  # comment\n",
        "utf-8",
    )
    (tmp_path / "lock-cpu.txt").write_text("onnxruntime==1.31.1\n", "utf-8")
    (tmp_path / "lock-gpu.txt").write_text("onnxruntime-gpu==1.31.1\n", "utf-8")
    only = "onnxruntime" if kind == "cpu" else "onnxruntime-gpu"
    assert versions.locked(kind, tmp_path) == {"onnx-ir": "1.1.0", "here": "1", only: "1.31.1"}


def test_the_committed_lock_can_be_read():
    found = versions.locked()
    assert {"torch", "onnx", "onnxruntime", "nbval"} <= found.keys()
    assert not any(version.startswith("=") or not version for version in found.values())


def test_what_is_installed_by_its_plain_name():
    found = versions.installed()
    assert found["numpy"]
    assert all(name == name.lower() and "_" not in name for name in found)
    assert list(found) == sorted(found)


def test_the_page_of_a_run_and_the_terminal_say_the_same(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    monkeypatch.setattr(versions, "installed", lambda: {"onnx": "1.24.0", "onnxruntime-gpu": "1"})
    asked = []
    monkeypatch.setattr(versions, "locked", lambda kind: asked.append(kind) or {"onnx": "1.23.2"})
    said = versions.show()
    assert asked == ["gpu"]
    assert said.startswith(
        "onnx==1.24.0\nonnxruntime-gpu==1\n\nmoved since the lock: onnx 1.23.2 -> 1.24.0\n"
    )
    text = page.read_text("utf-8")
    assert "| package | lock | here |\n| --- | --- | --- |\n| onnx | 1.23.2 | 1.24.0 |\n" in text
    assert "<details><summary>2 packages</summary>" in text
    assert "onnxruntime-gpu==1\n```" in text
    monkeypatch.setattr(versions, "installed", lambda: {"onnx": "1.24.0"})
    versions.show()
    assert asked == ["gpu", "cpu"]
