"""The environment check: every line with its fix, and the same text on every machine where headless."""

from __future__ import annotations

import os
import sys

import pytest

from helpers.course import environment
from helpers.course.environment import Finding, Report, check


def test_here_every_line_is_fine_or_optional():
    report = check()
    assert report.ready, str(report)
    assert str(report).endswith("ready: every lesson runs here")
    assert report._repr_html_().startswith("<table>")
    assert repr(report) == str(report)


def test_the_headless_form_has_no_version_and_no_machine():
    text = str(check().table(steady=True))
    assert not any(character.isdigit() for character in text)
    assert "GPU" not in text
    full = str(check().table(steady=False))
    assert "GPU" in full
    assert sys.version.split()[0] in full


def test_what_is_missing_comes_with_its_fix(monkeypatch):
    monkeypatch.setattr(environment, "_installed", lambda name: None if name == "netron" else "99.0")
    line = next(finding for finding in environment._packages() if finding.what == "netron")
    assert line == Finding("netron", "missing", "none", 'pip install "netron>=8"')
    report = Report((line,))
    assert not report.ready
    assert "not ready: see the column fix" in str(report)
    assert "not ready" in report._repr_html_()


@pytest.mark.parametrize(
    ("found", "floor", "enough"),
    [
        ("2.13.0+cpu", "2.9", True),
        ("2.9", "2.13", False),
        ("5.0.0.93", "4.10", True),
        ("8", "8", True),
        ("1.2rc1", "1.2", True),
    ],
)
def test_floors(found, floor, enough):
    assert environment._at_least(found, floor) is enough


def test_either_opencv_will_do(monkeypatch):
    monkeypatch.setattr(
        environment, "_installed", lambda name: None if name == "opencv-python-headless" else "99.0"
    )
    line = next(finding for finding in environment._packages() if finding.what == "opencv-python-headless")
    assert line.state == "ok"


def test_missing_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    monkeypatch.setattr(environment, "_installed", lambda name: None)
    monkeypatch.setattr(environment, "bundled_weights", lambda: tmp_path / "none.safetensors")
    assert environment._runtime().state == "missing"
    assert environment._ultralytics().state == "optional"
    assert environment._weights().fix == "git checkout -- data"


@pytest.mark.skipif(os.name == "nt", reason="needs executable scripts")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [("echo 'NVIDIA H200, 570.1'", "NVIDIA H200, 570.1"), ("exit 9", None), ("true", None)],
)
def test_the_gpu_is_what_its_driver_says(tmp_path, monkeypatch, answer, expected):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment.gpu_name() == expected
    findings = list(environment._gpu())
    assert [finding.what for finding in findings][:1] == ["GPU"]
    assert len(findings) == (3 if expected else 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert environment.gpu_name() is None


def test_the_closing_line_is_said_in_the_lessons_language(marked):
    for state, line in (
        ("ok", "ready: every lesson runs here"),
        ("missing", "not ready: see the column fix"),
    ):
        report = Report((Finding("disk", state, "2 GB"),))
        assert report._repr_html_().endswith(f"<p>«{line}»</p>")
        assert str(report).endswith(f"\n«{line}»")
